//! The pages for integrators: what their tables promise to list whole is whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_table_of_errors_of_the_caller_names_each_error_once() {
    assert_lists(section("docs/guide.md", "## Errors"), "| error |", "src/error.rs", "UsageError");
}

#[test]
fn the_table_of_events_names_each_event_once() {
    assert_lists(section("docs/guide.md", "## Events"), "| event |", "src/event.rs", "Event<'a>");
}

#[test]
fn the_defaults_of_guide_and_readme_are_those_of_the_settings() {
    let page = read("docs/settings.md");
    let cells = |row: &str| {
        row.split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<String>>()
    };
    let settings: Vec<Vec<String>> = rows(&page, "| setting |").map(cells).collect();
    // `docs/settings.md` is compared with the code by `tests/config.rs`.
    let default = |name: &str| {
        let row = settings.iter().find(|row| row[1] == name).unwrap_or_else(|| panic!("{name}"));
        match &row[2][..] {
            "None" | "no limit" => "none".to_owned(),
            text => text.split(',').next().unwrap_or(text).to_owned(),
        }
    };
    let guide = section("docs/guide.md", "## Time");
    let readme = read("README.md");
    let tables = [rows(&guide, "| timeout |"), rows(&readme, "| limit |")];
    let mut compared = 0;
    for row in tables.into_iter().flatten() {
        let [names, defaults] = [1, 2].map(|n| row.split('|').nth(n).expect("a cell").trim());
        // The names at the front of the cell, and as many defaults.
        let front = names.split([':', ';', '.']).next().unwrap_or(names);
        let is_setting = |name: &&str| settings.iter().any(|row| row[1] == *name);
        for (name, seen) in spans(front).filter(is_setting).zip(defaults.split(", ")) {
            let same = |text: &str| text.replace(',', "");
            assert_eq!(same(seen), same(&default(name)), "{row}");
            compared += 1;
        }
    }
    assert_eq!(compared, 24, "names of settings in both tables");
}

#[test]
fn the_tables_of_calls_are_compiled_below_them() {
    let page = read("docs/migration.md");
    let sections: Vec<&str> =
        page.split("\n## ").skip(1).filter(|s| s.contains("\n| there |")).collect();
    assert_eq!(sections.len(), 4, "tungstenite, tokio-tungstenite, fastwebsockets, wsproto");
    let mut missing = Vec::new();
    for section in sections {
        let name = section.lines().next().unwrap_or_default();
        // The code of the other library, and ours. Some of ours is in another section.
        let theirs = blocks(section, |info| info == "python" || info.contains("ignore"));
        let ours = blocks(&page, |info| info == "rust" || info == "rust,no_run");
        for row in rows(section, "| there |") {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
            for (cell, code) in cells.iter().zip([&theirs, &ours]) {
                let words = spans(cell)
                    .flat_map(|span| span.split(|c: char| !c.is_alphanumeric() && c != '_'));
                for word in words.filter(|word| word.len() > 1 && !code.contains(word)) {
                    missing.push(format!("{name}: {word} of the row {row}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no block has\n{}", missing.join("\n"));
}

/// Fails unless the first cells of the table name the variants of the enum, each once.
fn assert_lists(section: String, header: &str, file: &str, name: &str) {
    let source = read(file);
    let (_, rest) =
        source.split_once(&format!("pub enum {name} {{")).expect("the enum is in this file");
    let (body, _) = rest.split_once("\n}").expect("the enum ends");
    let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = variants.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let variants: BTreeSet<&str> =
        variants.filter_map(|line| line.split(['(', ',', ' ']).next()).collect();
    let rows: Vec<&str> = rows(&section, header).collect();
    let cells = rows.iter().filter_map(|row| row.split('|').nth(1));
    let named: Vec<&str> = cells.flat_map(spans).filter(|span| !span.contains("::")).collect();
    assert_eq!(named.iter().copied().collect::<BTreeSet<_>>(), variants);
    assert_eq!(named.len(), variants.len(), "a variant is named twice");
}

/// The rows of the table with this header.
fn rows<'p>(section: &'p str, header: &str) -> impl Iterator<Item = &'p str> {
    let lines = section.lines().skip_while(move |line| !line.starts_with(header));
    lines.skip(2).take_while(|line| line.starts_with('|'))
}

/// The spans of code in a line.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The fenced blocks whose language is wanted, joined.
fn blocks(page: &str, is_wanted: impl Fn(&str) -> bool) -> String {
    let parts: Vec<&str> = page.split("\n```").collect();
    let blocks = parts.iter().filter_map(|part| part.split_once('\n'));
    blocks.filter(|(info, _)| is_wanted(info)).map(|(_, code)| code).collect()
}

/// The part of a page under a heading.
fn section(file: &str, heading: &str) -> String {
    let page = read(file);
    let (_, rest) = page.split_once(&format!("\n{heading}\n")).expect("the page has the heading");
    rest.split("\n## ").next().expect("a part").to_owned()
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
