//! Tries the changes that cannot be switched, by `cargo mutants` itself: a build for each.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::change::Change;
use crate::trial::Outcome;

/// A change may make a loop that does not end.
const LIMIT_SECONDS: &str = "300";

/// What comes of a change without a switch: it may also be found not to compile.
pub enum Plain {
    Tried(Outcome),
    Unviable,
}

/// Tries `changes` with the unit tests, and with all tests what those have missed; tells what came of each.
pub fn try_all(
    root: &Path,
    work: &Path,
    changes: &[&Change],
    mut tell: impl FnMut(&Change, Plain),
) {
    let mut left = changes.to_vec();
    for tests in [&["--lib"][..], &["--lib", "--tests"]] {
        let is_last = tests.len() > 1;
        let output = work.join("plain");
        run(root, &output, &left, tests);
        let listed = |list: &str| {
            let path = output.join("mutants.out").join(list);
            fs::read_to_string(path).unwrap_or_default()
        };
        let lists = ["caught.txt", "timeout.txt", "unviable.txt", "missed.txt"].map(listed);
        left.retain(|change| {
            let found = lists.iter().position(|list| list.lines().any(|line| line == change.name));
            let by = || "cargo mutants".to_owned();
            tell(
                change,
                match found {
                    Some(0) => Plain::Tried(Outcome::Caught(by())),
                    Some(1) => Plain::Tried(Outcome::TimedOut(by())),
                    Some(2) => Plain::Unviable,
                    Some(_) if is_last => Plain::Tried(Outcome::Missed),
                    Some(_) | None => return true,
                },
            );
            false
        });
    }
}

/// Runs cargo-mutants, which leaves its lists in `output`.
fn run(root: &Path, output: &Path, changes: &[&Change], tests: &[&str]) {
    let _ = fs::remove_dir_all(output);
    if changes.is_empty() {
        return;
    }
    let mut command = Command::new("nice");
    command
        .args(["-n", "10", "cargo", "mutants", "--no-config", "--baseline=skip", "--no-shuffle"])
        .args(["--colors=never", "--timeout", LIMIT_SECONDS, "--output"])
        .arg(output)
        .args(tests.iter().map(|test| format!("--cargo-arg={test}")))
        // Whatever the expressions say, it tries fields of structs, too.
        .args(changes.iter().map(|change| format!("--file={}", change.file)))
        .args(changes.iter().map(|change| format!("--re=^{}$", escaped(&change.name))))
        .current_dir(root)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("PROPTEST_RNG_SEED", "1")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0");
    // Its own status says whether all were caught.
    command.status().expect("cargo-mutants runs");
}

/// A regular expression for a text.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(char) {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}
