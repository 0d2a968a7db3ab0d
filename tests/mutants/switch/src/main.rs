//! Mutation testing with one build: see tests/mutants/run.

mod change;
mod plain;
mod rewrite;
mod table;
mod tree;
mod trial;

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Duration;

use change::Change;
use plain::Plain;
use table::{Results, Verdict};
use trial::Test;

/// Tests that take longer by themselves are left out, unless they are asked for: they try what others try, with more cases.
const SLOW: Duration = Duration::from_secs(4);

fn main() -> ExitCode {
    let root =
        PathBuf::from(output_of(Command::new("git").args(["rev-parse", "--show-toplevel"])).trim());
    let work = root.join("tests/.work/mutants");
    fs::create_dir_all(&work).unwrap();
    let (mut files, mut page) = (Vec::new(), None);
    let (mut again, mut with_slow, mut is_plain, mut explained) = (false, false, false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--page" => page = arguments.next(),
            "--again" => again = true,
            "--slow" => (with_slow, again) = (true, true),
            "--explained" => explained = true,
            "--plain" => is_plain = true,
            _ => files.push(argument),
        }
    }
    let is_meant = |change: &Change| {
        files.is_empty() || files.iter().any(|file| Path::new(&change.file).starts_with(file))
    };

    let changes = change::list(&root);
    let results = Results::open(
        &work.join("results.tsv"),
        &digest(&root, &["src"]),
        &digest(&root, &["tests"]),
    );
    let (tests, unviable, viable) = prepare(&root, &work, &changes);
    let mut taking_part: Vec<Test> = Vec::new();
    for test in tests {
        let why = match (test.passes, test.time > SLOW && !with_slow) {
            (false, _) => "fails without a change",
            (true, true) => "is slow",
            (true, false) => {
                taking_part.push(test);
                continue;
            }
        };
        let (program, name, seconds) = (&test.program, &test.name, test.time.as_secs_f64());
        eprintln!("left out: {program} {name} {why}, {seconds:.1} s");
    }

    let todo: Vec<&Change> = changes
        .iter()
        .filter(|change| is_meant(change) && change.explained == explained)
        .filter(|change| viable.contains(&change.id))
        .filter(|change| results.is_open(&change.name, again))
        .collect();
    eprintln!("{} changes to try", todo.len());
    let results = Mutex::new(results);
    trial::try_all(
        &root.join("tests/.work/mutants/tree"),
        &todo,
        &taking_part,
        |change, outcome| {
            results.lock().unwrap().add(&change.name, outcome);
        },
    );

    let mut results = results.into_inner().unwrap();
    if explained {
        let is_caught = |change: &&Change| results.verdict(&change.name) == Verdict::Caught;
        for change in changes.iter().filter(|change| change.explained).filter(is_caught) {
            println!("explained, and yet caught: {}", change.name);
        }
        return ExitCode::SUCCESS;
    }

    if is_plain {
        let todo: Vec<&Change> = changes
            .iter()
            .filter(|change| is_meant(change) && !change.explained)
            .filter(|change| !viable.contains(&change.id) && !unviable.contains(&change.id))
            .filter(|change| results.is_open(&change.name, again))
            .collect();
        plain::try_all(&root, &work, &todo, |change, plain| match plain {
            Plain::Tried(outcome) => results.add(&change.name, outcome),
            Plain::Unviable => results.add_unviable(&change.name),
        });
    }
    let verdicts: Vec<(&Change, Verdict)> = changes
        .iter()
        .filter(|change| is_meant(change))
        .map(|change| {
            let verdict = if change.explained {
                Verdict::Explained
            } else if unviable.contains(&change.id) {
                Verdict::Unviable
            } else {
                results.verdict(&change.name)
            };
            (change, verdict)
        })
        .collect();
    let commit =
        output_of(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(&root));
    let rows = table::rows(&verdicts);
    let text = table::text(&rows, commit.trim());
    print!("{text}");
    table::name_open(&verdicts);
    if let Some(page) = page {
        table::write_page(&root.join(page), &text);
    }
    let failed = rows.iter().filter(|row| !row.passes()).count();
    println!("{} passed, {failed} failed", rows.len() - failed);
    if failed == 0 && !rows.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Builds and records, unless that was done for the same sources. Returns the tests, and which changes do not and do
/// compile.
fn prepare(root: &Path, work: &Path, changes: &[Change]) -> (Vec<Test>, Vec<u32>, Vec<u32>) {
    let digest = digest(root, &["src", "tests", "docs", "fuzz", "Cargo.toml", "README.md"]);
    let (done, reached) = (work.join("built"), work.join("reached.tsv"));
    let numbers = |line: &str| line.split_whitespace().map(|n| n.parse().unwrap()).collect();
    if let Ok(text) = fs::read_to_string(&done) {
        let lines: Vec<_> = text.lines().collect();
        if let (&[old, unviable, viable], Some(tests)) = (&lines[..], trial::read(&reached))
            && old == digest
        {
            return (tests, numbers(unviable), numbers(viable));
        }
    }
    let _ = fs::remove_file(&done);
    let tree = work.join("tree");
    let built = tree::build(root, &tree, changes);
    eprintln!("{} test programs", built.programs.len());
    let tests = trial::record(&tree, &built.programs);
    trial::write(&reached, &tests);
    let line = |ids: &std::collections::BTreeSet<u32>| {
        ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
    };
    let (unviable, viable) = (line(&built.unviable), line(&built.viable));
    fs::write(&done, format!("{digest}\n{unviable}\n{viable}\n")).unwrap();
    (tests, numbers(&unviable), numbers(&viable))
}

/// A number for what is in these files and directories now.
fn digest(root: &Path, paths: &[&str]) -> String {
    let list = output_of(
        Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "--"])
            .args(paths)
            .current_dir(root),
    );
    let mut hasher = DefaultHasher::new();
    let counts =
        |file: &str| !file.starts_with("tests/mutants/") && !file.starts_with("docs/mutants");
    for file in list.lines().filter(|file| counts(file)) {
        file.hash(&mut hasher);
        fs::read(root.join(file)).unwrap_or_default().hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

/// What a program that succeeds has printed.
fn output_of(command: &mut Command) -> String {
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?} fails");
    String::from_utf8(output.stdout).expect("it is UTF-8")
}
