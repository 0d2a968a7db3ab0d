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

/// Tries `changes` with all tests, and tells what came of each.
pub fn try_all(
    root: &Path,
    work: &Path,
    changes: &[&Change],
    mut tell: impl FnMut(&Change, Plain),
) {
    if changes.is_empty() {
        return;
    }
    let output = work.join("plain");
    let _ = fs::remove_dir_all(&output);
    let mut command = Command::new("nice");
    command
        .args(["-n", "10", "cargo", "mutants", "--no-config", "--baseline=skip", "--no-shuffle"])
        .args([
            "--colors=never",
            "--timeout",
            LIMIT_SECONDS,
            "--cargo-arg=--lib",
            "--cargo-arg=--tests",
        ])
        .arg("--output")
        .arg(&output)
        .args(changes.iter().map(|change| format!("--re=^{}$", escaped(&change.name))))
        .current_dir(root)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("PROPTEST_RNG_SEED", "1")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0");
    // Its own status says whether all were caught.
    command.status().expect("cargo-mutants runs");
    let listed = |list: &str| {
        let path = output.join("mutants.out").join(list);
        fs::read_to_string(path).unwrap_or_default()
    };
    let (caught, missed) = (listed("caught.txt"), listed("missed.txt"));
    let (timeout, unviable) = (listed("timeout.txt"), listed("unviable.txt"));
    for change in changes {
        let is_in = |list: &str| list.lines().any(|line| line == change.name);
        let by = || "cargo mutants".to_owned();
        if is_in(&caught) {
            tell(change, Plain::Tried(Outcome::Caught(by())));
        } else if is_in(&timeout) {
            tell(change, Plain::Tried(Outcome::TimedOut(by())));
        } else if is_in(&missed) {
            tell(change, Plain::Tried(Outcome::Missed));
        } else if is_in(&unviable) {
            tell(change, Plain::Unviable);
        }
    }
}

/// A regular expression for a text.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        if r"\.+*?()|[]{}^$#&-~/".contains(char) && char != '/' {
            escaped.push('\\');
        }
        escaped.push(char);
    }
    escaped
}
