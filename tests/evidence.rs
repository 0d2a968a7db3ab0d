//! Evidence: what was run, when, and with which result. `tests/evidence/record` runs a check and writes its row into
//! `tests/evidence/results.tsv`; the table at the end of `docs/security.md` shows these rows.
//!
//! `UPDATE_EVIDENCE=1 cargo test --test evidence` rewrites the table.

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

const COLUMNS: [&str; 5] = ["check", "command", "date", "commit", "result"];
/// The lines around the table on the page.
const MARKS: [&str; 2] = ["<!-- evidence -->\n", "<!-- end of evidence -->\n"];

#[test]
fn the_page_shows_every_recorded_result() {
    let results = read(&root().join("tests/evidence/results.tsv"));
    let (table, mut faults) = table(&results);
    let path = root().join("docs/security.md");
    let page = read(&path);
    let [before, _, after] = parts(&page).expect("the page has the marks of the table");
    let updated = [before, MARKS[0], &table, MARKS[1], after].concat();
    if env::var_os("UPDATE_EVIDENCE").is_some() {
        fs::write(&path, updated).expect("docs/security.md can be written");
    } else if updated != page {
        faults.push("docs/security.md is out of date: run this test with UPDATE_EVIDENCE=1".into());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn dates_stand_only_in_the_table() {
    let mut faults = Vec::new();
    for entry in fs::read_dir(root().join("docs")).expect("the directory exists") {
        let path = entry.expect("the directory can be read").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let page = read(&path);
        let prose =
            parts(&page).map_or(page.clone(), |[before, _, after]| before.to_owned() + after);
        let dated = prose.split(|c: char| !c.is_ascii_digit() && c != '-');
        faults.extend(
            dated.filter(|word| is_date(word)).map(|date| format!("{}: {date}", path.display())),
        );
    }
    assert!(faults.is_empty(), "a date stands in the text: {}", faults.join(", "));
}

/// The table of the page, and what is wrong with the rows.
fn table(results: &str) -> (String, Vec<String>) {
    let mut table = format!("| {} |\n|---|---|---|---|---|\n", COLUMNS.join(" | "));
    let (mut faults, mut commands) = (Vec::new(), BTreeSet::new());
    let mut lines = results.lines();
    if lines.next() != Some(&COLUMNS.join("\t")) {
        faults.push(format!("the first line must name the columns {COLUMNS:?}"));
    }
    for line in lines {
        let cells: Vec<String> = line.split('\t').map(|cell| cell.replace('|', "\\|")).collect();
        let [check, command, date, commit, result] = &cells[..] else {
            faults.push(format!("not five columns: {line}"));
            continue;
        };
        let is_commit = commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if check.is_empty() || result.is_empty() || !is_date(date) || !is_commit {
            faults.push(format!("a column is empty, or is no date or no commit: {line}"));
        }
        if !commands.insert(command.clone()) {
            faults.push(format!("two rows have the command {command}"));
        }
        // What no command does begins with `by hand`.
        let code = if command.starts_with("by hand") { "" } else { "`" };
        table += &format!("| {check} | {code}{command}{code} | {date} | `{commit}` | {result} |\n");
    }
    (table, faults)
}

/// The text before the table, the table, and the text behind it.
fn parts(page: &str) -> Option<[&str; 3]> {
    let (before, rest) = page.split_once(MARKS[0])?;
    let (table, after) = rest.split_once(MARKS[1])?;
    Some([before, table, after])
}

/// Whether the word has the form `2026-11-26`.
fn is_date(word: &str) -> bool {
    let is_number = |text: &str, len| text.len() == len && text.bytes().all(|c| c.is_ascii_digit());
    let parts: Vec<&str> = word.split('-').collect();
    matches!(parts[..], [year, month, day] if is_number(year, 4) && is_number(month, 2) && is_number(day, 2))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn rows_that_are_not_complete_are_named() {
    let head = COLUMNS.join("\t");
    let row = "a\trun\t2026-11-26\t0123abc\tpassed";
    for (rows, faults) in [
        (row.to_string(), 0),
        (format!("{row}\n{}", row.replace("run", "run b")), 0),
        (format!("{row}\n{row}"), 1),
        (row.replace("\tpassed", ""), 1),
        (row.replace("passed", ""), 1),
        (row.replace("2026-11-26", "26.11."), 1),
        (row.replace("0123abc", "today"), 1),
        (row.replacen('a', "", 1), 1),
    ] {
        let (_, found) = table(&format!("{head}\n{rows}\n"));
        assert_eq!(found.len(), faults, "{rows}: {found:?}");
    }
    assert_eq!(table(row).1.len(), 1, "the names of the columns are missing");
}
