//! Runs the tests: once to note what they reach, then with each change.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::change::Change;
use crate::tree::Program;

/// Two at a time leave a machine usable.
const PARALLEL: usize = 2;
/// A change may lengthen a test so many times, and by this, before it counts as one that does not end.
const SLOWER: u32 = 10;
const GRACE: Duration = Duration::from_secs(4);
/// Address space of a test program, in KiB: a change may allocate without end.
const MEMORY_KIB: u32 = 4 << 20;

/// A test, and what it showed without a change.
#[derive(Clone, Debug)]
pub struct Test {
    pub program: String,
    pub path: PathBuf,
    pub name: String,
    pub time: Duration,
    /// The changes whose place it comes to.
    pub reaches: Vec<u32>,
    pub passes: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// By this test.
    Caught(String),
    /// This test did not end.
    TimedOut(String),
    Missed,
    /// No test comes to the place.
    Unreached,
}

/// Runs every test of `programs` by itself, and notes what it reaches.
pub fn record(tree: &Path, programs: &[Program]) -> Vec<Test> {
    let mut all = Vec::new();
    for program in programs {
        let mut command = command(tree, &program.path);
        let list = command.args(["--list", "--format=terse"]).stderr(Stdio::null()).output();
        let list = String::from_utf8(list.expect("a test program runs").stdout).unwrap();
        let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
        all.extend(names.map(|name| Test {
            program: program.name.clone(),
            path: program.path.clone(),
            name: name.to_owned(),
            time: Duration::ZERO,
            reaches: Vec::new(),
            passes: false,
        }));
    }
    let tests = Mutex::new(Vec::new());
    in_parallel(&all, |test| {
        let asked = tree.with_file_name(format!("asked.{:?}", thread::current().id()));
        let _ = fs::remove_file(&asked);
        let begin = Instant::now();
        let mut command = command(tree, &test.path);
        command.env("MUTANT", "record").env("MUTANTS_ASKED", &asked);
        let status = command
            .args(["--exact", "--test-threads=1", &test.name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let mut test = test.clone();
        test.time = begin.elapsed();
        test.passes = status.is_ok_and(|status| status.success());
        // A program that ran programs has appended more than once.
        let text = fs::read_to_string(&asked).unwrap_or_default();
        test.reaches = text.lines().map(|id| id.parse().expect("a number")).collect();
        test.reaches.sort_unstable();
        test.reaches.dedup();
        tests.lock().unwrap().push(test);
    });
    tests.into_inner().unwrap()
}

/// Tries each of `changes` with the `tests` that reach it, and tells what came of it as soon as that is known.
pub fn try_all(
    tree: &Path,
    changes: &[&Change],
    tests: &[Test],
    tell: impl Fn(&Change, Outcome) + Sync,
) {
    let mut reaching: HashMap<u32, Vec<&Test>> = HashMap::new();
    for test in tests.iter().filter(|test| test.passes) {
        for &id in &test.reaches {
            reaching.entry(id).or_default().push(test);
        }
    }
    // Which tests have caught the changes of a file: they probably catch its next one, too.
    let credit: Mutex<HashMap<(&str, &str, &str), u32>> = Mutex::default();
    in_parallel(changes, |change| {
        let Some(tests) = reaching.get(&change.id) else {
            return tell(change, Outcome::Unreached);
        };
        let file = change.file.as_str();
        let batches = {
            let credit = credit.lock().unwrap();
            batches(tests, |test| {
                credit.get(&(file, &*test.program, &*test.name)).copied().unwrap_or_default()
            })
        };
        for batch in batches {
            if let Some((outcome, killer)) = run(tree, change.id, &batch) {
                if let Some(test) = batch.iter().find(|test| test.name == killer) {
                    let key = (file, &*test.program, &*test.name);
                    *credit.lock().unwrap().entry(key).or_default() += 1;
                }
                return tell(change, outcome);
            }
        }
        tell(change, Outcome::Missed);
    });
}

/// What is run together: those tests first that have caught most for the time they take, then the fast ones, then the
/// slow ones, one program at a time.
fn batches<'a>(tests: &[&'a Test], credit: impl Fn(&Test) -> u32) -> Vec<Vec<&'a Test>> {
    const FIRST: usize = 6;
    let worth = |test: &Test| f64::from(credit(test)) / (0.02 + test.time.as_secs_f64());
    let mut tests = tests.to_vec();
    tests.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    let known = tests.iter().take(FIRST).take_while(|test| credit(test) > 0).count();
    let rest = tests.split_off(known);
    let mut batches: Vec<_> = tests.into_iter().map(|test| vec![test]).collect();
    let mut tiers: BTreeMap<(u32, &str), Vec<&Test>> = BTreeMap::new();
    for test in rest {
        let tier = match test.time.as_millis() {
            0..30 => 0,
            30..300 => 1,
            300..2_000 => 2,
            _ => 3,
        };
        tiers.entry((tier, &test.program)).or_default().push(test);
    }
    let mut tiers: Vec<_> = tiers.into_iter().collect();
    tiers.sort_by_key(|((tier, _), tests)| {
        (*tier, tests.iter().map(|test| test.time).sum::<Duration>())
    });
    batches.extend(tiers.into_iter().map(|(_, tests)| tests));
    batches
}

/// Runs tests of one program with a change. Returns the first that fails or does not end.
fn run(tree: &Path, id: u32, tests: &[&Test]) -> Option<(Outcome, String)> {
    let limit = tests.iter().map(|test| test.time).sum::<Duration>() * SLOWER + GRACE;
    let program = &tests[0].program;
    let mut command = command(tree, &tests[0].path);
    command
        .env("MUTANT", id.to_string())
        .args(["--exact", "--test-threads=1"])
        .args(tests.iter().map(|test| &test.name))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("a test program runs");
    let (sender, lines) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    // Ends with the program.
    thread::spawn(move || {
        for part in stdout.split(b' ').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&part).into_owned()).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + limit;
    // "test NAME ... ok\ntest NAME ... FAILED\n"
    let (mut running, mut before) = (String::new(), String::new());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(part) if part.starts_with("FAILED") => {
                kill(&mut child);
                return Some((Outcome::Caught(format!("{program} {running}")), running));
            }
            Ok(part) => {
                if before.ends_with("test") && !part.contains('\n') {
                    running = part.clone();
                }
                before = part;
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                kill(&mut child);
                return Some((Outcome::TimedOut(format!("{program} {running}")), running));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                // Closed its output, and is about to end.
                let passed = child.wait().is_ok_and(|status| status.success());
                return (!passed)
                    .then(|| (Outcome::Caught(format!("{program} {running}")), running));
            }
        }
    }
}

/// A test program in a process group of its own, behind everything else on the machine.
fn command(tree: &Path, program: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -v {MEMORY_KIB}; exec nice -n 10 \"$0\" \"$@\"")])
        .arg(program)
        .current_dir(tree)
        .process_group(0)
        .stdin(Stdio::null())
        .env("CARGO_MANIFEST_DIR", tree)
        .env("RUST_BACKTRACE", "0")
        // The same cases each time; that a property fails is enough, how small its counterexample can be made is not asked.
        .env("PROPTEST_RNG_SEED", "1")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    command
}

/// Ends a program and those that it has started.
fn kill(child: &mut Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    let _ = child.wait();
}

fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

/// A line for each test, to be read by [`read`].
pub fn write(path: &Path, tests: &[Test]) {
    let mut file = fs::File::create(path).unwrap();
    for test in tests {
        let ids: Vec<_> = test.reaches.iter().map(u32::to_string).collect();
        let (micros, path) = (test.time.as_micros(), test.path.display());
        let (program, name, passes) = (&test.program, &test.name, test.passes);
        let ids = ids.join(",");
        writeln!(file, "{program}\t{path}\t{name}\t{micros}\t{passes}\t{ids}").unwrap();
    }
}

pub fn read(path: &Path) -> Option<Vec<Test>> {
    let text = fs::read_to_string(path).ok()?;
    let test = |line: &str| {
        let fields: Vec<_> = line.split('\t').collect();
        let &[program, path, name, micros, passes, ids] = &fields[..] else {
            panic!("a line has six fields");
        };
        let ids = ids.split(',').filter(|id| !id.is_empty());
        Test {
            program: program.to_owned(),
            path: path.into(),
            name: name.to_owned(),
            time: Duration::from_micros(micros.parse().expect("a number")),
            reaches: ids.map(|id| id.parse().expect("a number")).collect(),
            passes: passes == "true",
        }
    };
    Some(text.lines().map(test).collect())
}
