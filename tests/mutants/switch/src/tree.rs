//! The copy of the crate in which every change is behind a switch, and its test programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::change::Change;
use crate::output_of;
use crate::rewrite::{self, Constants, Map, Not};

/// The module that the copy gets, and what brings it in.
const SWITCH: &str = include_str!("mutant_switch.rs");
/// The file that gets the module.
const LIBRARY: &str = "src/lib.rs";
const SWITCH_PATH: &str = "src/mutant_switch.rs";
const USE_SWITCH: &str = "\nmod mutant_switch;\npub(crate) use mutant_switch::mutant;\n";
/// A test that compiles files of the library once more, outside of it.
const OUTSIDE: &str = "tests/drivers.rs";
/// What that test needs. No change is on in it.
const NO_SWITCH: &str = "\nfn mutant(_: u32) -> bool {\n    false\n}\n";

/// A test program: what it is called and where it is.
pub struct Program {
    pub name: String,
    pub path: PathBuf,
}

/// What came of the changes.
pub struct Built {
    pub programs: Vec<Program>,
    /// Changes that can be switched on.
    pub viable: BTreeSet<u32>,
    /// Changes that do not compile.
    pub unviable: BTreeSet<u32>,
}

/// Copies the crate at `root` to `tree`, and builds its tests without the changes that do not compile.
pub fn build(root: &Path, tree: &Path, changes: &[Change]) -> Built {
    let files = output_of(
        Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(root),
    );
    let mut by_file: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        by_file.entry(&change.file).or_default().push(change);
    }
    let files: BTreeSet<&str> = files.lines().chain([SWITCH_PATH]).collect();
    remove_others(tree, tree, &files);
    // Its text may have no change of its own.
    by_file.entry(LIBRARY).or_default();
    for file in files.iter().filter(|file| !by_file.contains_key(**file)) {
        if let Ok(mut bytes) = fs::read(root.join(file)) {
            if **file == *OUTSIDE {
                bytes.extend_from_slice(NO_SWITCH.as_bytes());
            }
            write(&tree.join(file), &bytes);
        }
    }
    write(&tree.join(SWITCH_PATH), SWITCH.as_bytes());

    let source = |file: &str| fs::read_to_string(root.join(file)).expect("a listed file is there");
    let mut constants = Constants::default();
    for (&file, changes) in &by_file {
        constants.add(file, &source(file), changes);
    }
    let mut not = Not::default();
    loop {
        let mut viable = BTreeSet::new();
        let mut maps = BTreeMap::new();
        for (&file, changes) in &by_file {
            let (text, put) = rewrite::rewrite(file, &source(file), changes, &constants, &not);
            viable.extend(put);
            maps.insert(file, Map::of(&text));
            let more = if file == LIBRARY { USE_SWITCH } else { "" };
            write(&tree.join(file), (text + more).as_bytes());
        }
        eprintln!("{} changes, {} do not compile", viable.len(), not.changes.len());
        // The library alone, then with its unit tests, shows the errors in less time than the build.
        let library = ["check", "--lib", "--features", "testing,arbitrary,proptest"];
        let unit_tests = ["check", "--lib", "--profile", "test"];
        let build = ["test", "--no-run", "--lib", "--tests"];
        let mut messages = Vec::new();
        let has_errors = [&library[..], &unit_tests, &build].into_iter().any(|step| {
            messages = cargo(tree, step);
            leave_out(&messages, &maps, &mut not)
        });
        if has_errors {
            continue;
        }
        let programs = messages.iter().filter_map(program).collect();
        return Built { programs, viable, unviable: not.changes.into_iter().collect() };
    }
}

/// Removes what earlier copies had.
fn remove_others(tree: &Path, directory: &Path, files: &BTreeSet<&str>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.strip_prefix(tree).expect("it is below").to_str().expect("it is UTF-8");
        if path.is_dir() {
            remove_others(tree, &path, files);
        } else if !files.contains(name) {
            fs::remove_file(&path).unwrap();
        }
    }
}

/// Writes what is new: the time of a file that stays is kept, so that it is not built again.
fn write(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a file is in a directory")).unwrap();
    fs::write(path, bytes).unwrap();
}

fn cargo(tree: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = Command::new("nice")
        .args(["-n", "10", "cargo"])
        .args(arguments)
        .args(["--quiet", "--message-format=json"])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", tree.with_file_name("target"))
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_PROFILE_TEST_DEBUG", "0")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_TEST_OPT_LEVEL", "1")
        // A changed constant expression may overflow, duplicated code is redundant: none of it matters.
        .env("RUSTFLAGS", "--cap-lints=allow")
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    String::from_utf8(output.stdout)
        .expect("cargo writes UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a message is JSON"))
        .collect()
}

fn program(message: &Value) -> Option<Program> {
    let path = message["executable"].as_str()?;
    let target = &message["target"];
    let name = match target["kind"][0].as_str()? {
        "lib" => "lib",
        _ => target["name"].as_str()?,
    };
    Some(Program { name: name.to_owned(), path: path.into() })
}

/// Notes what the errors among `messages` are about, and returns whether there were any.
fn leave_out(messages: &[Value], maps: &BTreeMap<&str, Map>, not: &mut Not) -> bool {
    let errors = messages
        .iter()
        .filter(|message| message["reason"] == "compiler-message")
        .map(|message| &message["message"])
        .filter(|message| message["level"] == "error");
    let mut any = false;
    let before = (not.changes.len(), not.compile_time.len());
    let mut unknown = Vec::new();
    for error in errors {
        any = true;
        let text = error["message"].as_str().unwrap_or_default();
        if text.contains("cannot call non-const") {
            let path = text.split('`').nth(1).expect("the function is named");
            let name = path.split('<').next().unwrap().rsplit("::").next().unwrap();
            not.compile_time.insert(name.to_owned());
            continue;
        }
        let culprits = culprits(error, maps);
        if culprits.is_empty() && !text.starts_with("aborting") {
            unknown.push(&error["rendered"]);
        }
        not.changes.extend(culprits);
    }
    if any && before == (not.changes.len(), not.compile_time.len()) {
        for error in unknown {
            eprintln!("{}", error.as_str().unwrap_or_default());
        }
        panic!("the copy does not compile, and no change is to blame");
    }
    any
}

/// The changes that an error is about: those whose code it is in, else those beside it.
fn culprits(error: &Value, maps: &BTreeMap<&str, Map>) -> Vec<u32> {
    let spans = error["spans"].as_array().expect("an error has spans");
    let places = |primary: bool| {
        spans.iter().filter(move |span| span["is_primary"] == primary).filter_map(|span| {
            let number = |key: &str| span[key].as_u64().expect("a number") as usize;
            let map = maps.get(span["file_name"].as_str()?)?;
            Some((map, (number("line_start"), number("column_start"))))
        })
    };
    if error["code"]["code"] == "E0004" {
        return places(true).flat_map(|(map, place)| map.arms(place).to_vec()).collect();
    }
    for primary in [true, false] {
        let found: Vec<u32> =
            places(primary).filter_map(|(map, place)| map.changed(place)).collect();
        if !found.is_empty() {
            return found;
        }
    }
    places(true).filter_map(|(map, place)| map.beside(place).or(map.value(place))).collect()
}
