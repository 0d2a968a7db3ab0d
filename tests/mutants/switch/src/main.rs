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

/// What the command line asks for.
#[derive(Default)]
struct Options {
    /// Files and directories; none: all.
    paths: Vec<String>,
    /// Those that were missed are tried once more.
    again: bool,
    /// Slow tests take part.
    with_slow: bool,
    /// Changes without a switch are tried.
    plain: bool,
    /// Those that are explained are tried, and no others.
    explained: bool,
    /// Where the table goes.
    page: Option<String>,
}

impl Options {
    fn read() -> Options {
        let mut options = Options::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match &*argument {
                "--again" => options.again = true,
                "--slow" => (options.with_slow, options.again) = (true, true),
                "--plain" => options.plain = true,
                "--explained" => options.explained = true,
                "--page" => options.page = arguments.next(),
                _ => options.paths.push(argument),
            }
        }
        options
    }

    fn is_meant(&self, change: &Change) -> bool {
        let file = Path::new(&change.file);
        self.paths.is_empty() || self.paths.iter().any(|path| file.starts_with(path))
    }
}

fn main() -> ExitCode {
    let options = Options::read();
    let root = output_of(Command::new("git").args(["rev-parse", "--show-toplevel"]));
    let root = PathBuf::from(root.trim());
    let work = root.join("tests/.work/mutants");
    fs::create_dir_all(&work).unwrap();

    let changes = change::list(&root);
    // What other processes change meanwhile is for the next run.
    let (library, tests) = (digest(&root, &["src"]), digest(&root, &["tests", ":!tests/mutants"]));
    let results = Results::open(&work.join("results.tsv"), &library, &tests);
    let (tests, unviable, viable) = prepare(&root, &work, &changes);
    let tests = taking_part(tests, options.with_slow);

    let meant = changes.iter().filter(|change| options.is_meant(change));
    let (todo, plain): (Vec<&Change>, Vec<&Change>) = meant
        .clone()
        .filter(|change| change.explained == options.explained && !unviable.contains(&change.id))
        .filter(|change| results.is_open(&change.name, options.again))
        .partition(|change| viable.contains(&change.id));
    eprintln!("{} changes to try, and {} without a switch", todo.len(), plain.len());
    let results = Mutex::new(results);
    trial::try_all(&work.join("tree"), &todo, &tests, |change, outcome| {
        results.lock().unwrap().add(&change.name, outcome);
    });
    let mut results = results.into_inner().unwrap();
    if options.plain {
        plain::try_all(&root, &work, &plain, |change, plain| match plain {
            Plain::Tried(outcome) => results.add(&change.name, outcome),
            Plain::Unviable => results.add_unviable(&change.name),
        });
    }

    if options.explained {
        let is_caught = |change: &&Change| results.verdict(&change.name) == Verdict::Caught;
        for change in meant.filter(|change| change.explained).filter(is_caught) {
            println!("explained, and yet caught: {}", change.name);
        }
        return ExitCode::SUCCESS;
    }
    let verdicts: Vec<(&Change, Verdict)> = meant
        .map(|change| match () {
            () if change.explained => (change, Verdict::Explained),
            () if unviable.contains(&change.id) => (change, Verdict::Unviable),
            () => (change, results.verdict(&change.name)),
        })
        .collect();
    let commit =
        output_of(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(&root));
    let rows = table::rows(&verdicts);
    let text = table::text(&rows, commit.trim());
    print!("{text}");
    table::name_open(&verdicts);
    if let Some(page) = options.page {
        table::write_page(&root.join(page), &text);
    }
    let failed = rows.iter().filter(|row| !row.passes()).count();
    println!("{} passed, {failed} failed", rows.len() - failed);
    if failed == 0 && !rows.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The tests that pass without a change, and are not too slow; the others are named.
fn taking_part(mut tests: Vec<Test>, with_slow: bool) -> Vec<Test> {
    tests.retain(|test| {
        let why = match (test.passes, test.time > SLOW && !with_slow) {
            (true, false) => return true,
            (true, true) => "is slow",
            (false, _) => "fails without a change",
        };
        let (program, name, seconds) = (&test.program, &test.name, test.time.as_secs_f64());
        eprintln!("left out: {program} {name} {why}, {seconds:.1} s");
        false
    });
    tests
}

/// Builds and records, unless that was done for the same sources. Returns the tests, and which changes do not and do
/// compile.
fn prepare(root: &Path, work: &Path, changes: &[Change]) -> (Vec<Test>, Vec<u32>, Vec<u32>) {
    let digest = digest(root, &[".", ":!docs/*.md", ":!.cargo"]);
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
    for file in list.lines() {
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
