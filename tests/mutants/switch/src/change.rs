//! The changes that cargo-mutants would make, from its list.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::output_of;

/// A line and a column, both from 1, as cargo-mutants and rustc count them.
pub type Place = (usize, usize);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Genre {
    /// The function returns a made-up value at once.
    FnValue,
    /// Another operator between the same operands.
    BinaryOperator,
    /// `!` or `-` is left out.
    UnaryOperator,
    /// The arm is left out.
    MatchArm,
    /// The arm's guard is always true, or always false.
    MatchArmGuard,
    /// The field has the value of the expression behind `..`.
    StructField,
}

/// One change in one place.
#[derive(Clone, Debug)]
pub struct Change {
    /// From 1 on, in the order of the list.
    pub id: u32,
    /// As cargo-mutants names it: file, place, what is replaced, the function.
    pub name: String,
    pub file: String,
    pub genre: Genre,
    pub replacement: String,
    /// Where the change is; for `FnValue`, where the function is.
    pub place: Place,
    /// .cargo/mutants.toml names it, with a reason why no test can see it.
    pub explained: bool,
}

/// Lists the changes of the crate at `root`, without its modules for tests.
pub fn list(root: &Path) -> Vec<Change> {
    let judged = entries(root, &[]);
    let judged: HashSet<&str> = judged.iter().map(|entry| text(entry, "name")).collect();
    let all = entries(root, &["--no-config"]);
    let listed = all.iter().filter(|entry| !is_for_tests(text(entry, "file")));
    (1..).zip(listed).map(|(id, entry)| change(id, entry, &judged)).collect()
}

fn is_for_tests(file: &str) -> bool {
    file.starts_with("src/testing") || file.starts_with("src/strategies")
}

fn entries(root: &Path, arguments: &[&str]) -> Vec<Value> {
    let mut command = Command::new("cargo");
    command.args(["mutants", "--list", "--json"]).args(arguments).current_dir(root);
    match serde_json::from_str(&output_of(&mut command)).expect("cargo-mutants writes JSON") {
        Value::Array(entries) => entries,
        _ => panic!("the list is an array"),
    }
}

fn change(id: u32, entry: &Value, judged: &HashSet<&str>) -> Change {
    let genre = match text(entry, "genre") {
        "FnValue" => Genre::FnValue,
        "BinaryOperator" => Genre::BinaryOperator,
        "UnaryOperator" => Genre::UnaryOperator,
        "MatchArm" => Genre::MatchArm,
        "MatchArmGuard" => Genre::MatchArmGuard,
        "StructField" => Genre::StructField,
        other => panic!("{other} is not known"),
    };
    let span = match genre {
        Genre::FnValue => &entry["function"]["span"],
        _ => &entry["span"],
    };
    let number = |key| span["start"][key].as_u64().expect("a number") as usize;
    Change {
        id,
        name: text(entry, "name").to_owned(),
        file: text(entry, "file").to_owned(),
        genre,
        replacement: text(entry, "replacement").to_owned(),
        place: (number("line"), number("column")),
        explained: !judged.contains(text(entry, "name")),
    }
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or_else(|| panic!("{key} is missing"))
}
