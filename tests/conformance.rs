//! Traceability: a test cites the id of each requirement that applies, and `docs/conformance.md` lists these tests. The
//! requirements, the exceptions and the prose are data in `tests/conformance`; the citations are in all other tests.
//!
//! `UPDATE_CONFORMANCE=1 cargo test --test conformance` rewrites the page.
//!
//! A citation is a comment that contains the id of a requirement. It stands within a test or directly above it. After
//! one id, the next ids may leave out the document, or the document and the section, if they share it; `to` makes a
//! range.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// A row of `requirements.tsv`.
struct Requirement {
    id: String,
    spec: String,
    section: String,
    level: String,
    role: String,
    text: String,
    /// Why the requirement does not apply; `None` if it applies.
    exempt: Option<String>,
}

/// Where an id is cited: the file and the test.
type Place = (String, String);

/// All citations in the sources, and what is wrong with them.
#[derive(Default)]
struct Citations {
    places: BTreeMap<String, BTreeSet<Place>>,
    faults: Vec<String>,
}

#[test]
fn every_requirement_is_proven_and_the_page_says_so() {
    let requirements = requirements();
    let ids: BTreeSet<&str> = requirements.iter().map(|row| row.id.as_str()).collect();
    let exceptions = exceptions();
    let mut citations = Citations::default();
    for path in sources() {
        citations.collect(&path, &read(&path));
    }
    let mut faults = std::mem::take(&mut citations.faults);
    let is_proven = |id: &str| citations.places.contains_key(id);
    for (id, places) in &citations.places {
        if !ids.contains(id.as_str()) {
            faults.push(format!("{id} is cited by {places:?}, but no such requirement exists"));
        }
    }
    for (pattern, _) in &exceptions {
        let covered = || requirements.iter().filter(|row| matches(pattern, &row.id));
        if !covered().any(|row| row.exempt.is_none()) {
            faults.push(format!("the exception {pattern} matches no requirement that applies"));
        }
        for row in covered().filter(|row| is_proven(&row.id)) {
            faults.push(format!("the exception {pattern} is out of date: {} is proven", row.id));
        }
    }
    for row in requirements.iter().filter(|row| row.exempt.is_none() && !is_proven(&row.id)) {
        if exception(&exceptions, &row.id).is_none() {
            faults.push(format!("{} ({}) is proven by no test: {}", row.id, row.role, row.text));
        }
    }
    let page = page(&requirements, &exceptions, &citations.places);
    let path = root().join("docs/conformance.md");
    if env::var_os("UPDATE_CONFORMANCE").is_some() {
        fs::write(&path, &page).expect("docs/conformance.md can be written");
    } else if fs::read_to_string(&path).ok().as_deref() != Some(&page) {
        faults.push(
            "docs/conformance.md is out of date: run this test with UPDATE_CONFORMANCE=1"
                .to_string(),
        );
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn requirements() -> Vec<Requirement> {
    let text = read(&root().join("tests/conformance/requirements.tsv"));
    let rows = text.lines().skip(1).map(|line| {
        let fields: Vec<String> = line.split('\t').map(str::to_string).collect();
        let Ok([id, spec, section, level, role, text, applies]) = <[String; 7]>::try_from(fields)
        else {
            panic!("not seven columns: {line}");
        };
        let exempt = match applies.split_once(": ") {
            None if applies == "yes" => None,
            Some(("no", reason)) => Some(reason.to_string()),
            _ => panic!("{id}: the last column must be `yes`, or `no: ` and a reason"),
        };
        Requirement { id, spec, section, level, role, text, exempt }
    });
    let rows: Vec<Requirement> = rows.collect();
    assert_eq!(rows.iter().map(|row| &row.id).collect::<BTreeSet<_>>().len(), rows.len());
    rows
}

/// Requirements that no test proves, each with the reason: an id, or the beginning of ids and a star.
fn exceptions() -> Vec<(String, String)> {
    let text = read(&root().join("tests/conformance/exceptions.tsv"));
    let rows =
        text.lines().skip(1).map(|line| line.split_once('\t').expect("a row has two columns"));
    rows.map(|(pattern, reason)| (pattern.to_string(), reason.to_string())).collect()
}

fn matches(pattern: &str, id: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == id, |start| id.starts_with(start))
}

fn exception<'e>(exceptions: &'e [(String, String)], id: &str) -> Option<&'e str> {
    let found = exceptions.iter().find(|(pattern, _)| matches(pattern, id));
    found.map(|(_, reason)| reason.as_str())
}

/// All Rust files in the folders that contain tests, sorted.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["src", "tests", "fuzz"].map(|name| root().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("the folder can be listed").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

impl Citations {
    /// Collects the citations of one file.
    fn collect(&mut self, path: &Path, text: &str) {
        let file = path.strip_prefix(root()).unwrap_or(path);
        let file = file.to_string_lossy().replace('\\', "/");
        let lines: Vec<&str> = text.lines().collect();
        let mut at = 0;
        while at < lines.len() {
            let Some(first) = comment(lines[at]) else {
                at += 1;
                continue;
            };
            // The comment continues in the next lines that consist of a comment only.
            let (start, mut block) = (at, first.to_string());
            at += 1;
            while at < lines.len() && lines[at].trim_start().starts_with("//") {
                block += " ";
                block += comment(lines[at]).unwrap_or_default();
                at += 1;
            }
            let ids = cited(&block);
            if ids.is_empty() {
                continue;
            }
            match test_of(&file, &lines, start) {
                Some(test) => {
                    for id in ids {
                        self.places.entry(id).or_default().insert((file.clone(), test.clone()));
                    }
                }
                None => self.faults.push(format!("{file}:{} cites outside of a test", start + 1)),
            }
        }
    }
}

/// The comment in a line, without its slashes.
fn comment(line: &str) -> Option<&str> {
    let trimmed = line.trim_start();
    let text = match trimmed.strip_prefix("//") {
        Some(text) => text,
        None => trimmed.split_once(" // ")?.1,
    };
    Some(text.trim_start_matches(['/', '!']).trim())
}

/// The ids in a comment: whole ids, and the shortened ids listed after them.
fn cited(text: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    let (mut is_list, mut is_range) = (false, false);
    for word in text.split_whitespace() {
        let bare = word.trim_matches(['(', ')', ',', ';', ':', '.']);
        if is_list && matches!(bare, "to" | "and") {
            is_range = bare == "to";
            continue;
        }
        let id = match is_id(bare) {
            true => Some(bare.to_string()),
            false if is_list => listed(ids.last(), bare),
            false => None,
        };
        is_list = id.is_some();
        if let Some(id) = id {
            if is_range {
                let between = range(ids.last().expect("`to` follows an id"), &id);
                ids.extend(between);
            }
            ids.push(id);
        }
        is_range = false;
    }
    ids
}

/// Whether the word has the form of a whole id; the requirement need not exist.
fn is_id(word: &str) -> bool {
    let Some((spec, rest)) = word.split_once('-') else { return false };
    let is_spec = spec == "whatwg" || spec.strip_prefix("rfc").is_some_and(is_number);
    is_spec && rest.rsplit_once('-').is_some_and(|(_, number)| is_number(number))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The whole id of a shortened one: `5.2-04` has the document of the id before it, `-04` also its section.
fn listed(before: Option<&String>, word: &str) -> Option<String> {
    let before = before?;
    let (section, number) = word.rsplit_once('-')?;
    if !is_number(number) {
        return None;
    }
    if section.is_empty() {
        let (same, _) = before.rsplit_once('-')?;
        return Some(format!("{same}-{number}"));
    }
    let (spec, _) = before.split_once('-')?;
    section.split('.').all(is_number).then(|| format!("{spec}-{section}-{number}"))
}

/// The ids between two ids of one section.
fn range(begin: &str, end: &str) -> Vec<String> {
    let parts = |id: &str| {
        let (section, number) = id.rsplit_once('-').expect("an id ends in a number");
        (section.to_string(), number.parse::<u32>().expect("an id ends in a number"))
    };
    let ((section, first), (other, last)) = (parts(begin), parts(end));
    assert!(section == other && first < last, "{begin} to {end} is not a range");
    (first + 1..last).map(|number| format!("{section}-{number:02}")).collect()
}

/// The test that contains the comment, or the test below it. It relies on rustfmt's indentation.
fn test_of(file: &str, lines: &[&str], at: usize) -> Option<String> {
    if file.starts_with("fuzz/") {
        // A fuzz target is a file.
        return Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    }
    let depth = indent(lines[at]);
    let mut limit = depth;
    for (above, line) in lines[..at].iter().enumerate().rev() {
        if line.trim().is_empty() || indent(line) >= limit {
            continue;
        }
        // The last line of a long signature has the indentation of its first line.
        limit = indent(line) + usize::from(line.trim_start().starts_with(')'));
        if let Some(name) = function(line) {
            return is_test(lines, above).then(|| name.to_string());
        }
    }
    for (below, line) in lines.iter().enumerate().skip(at) {
        if let Some(name) = function(line).filter(|_| indent(line) == depth) {
            return is_test(lines, below).then(|| name.to_string());
        }
        if indent(line) < depth && !line.trim().is_empty() {
            return None;
        }
    }
    None
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The name of the function whose signature begins in this line.
fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// Whether the attributes above this line make the function a test that is not ignored.
fn is_test(lines: &[&str], at: usize) -> bool {
    let above = lines[..at].iter().rev().map(|line| line.trim_start());
    let above = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    let has = |attribute: &str| above.clone().any(|line| line.starts_with(attribute));
    (has("#[test]") || has("#[tokio::test")) && !has("#[ignore")
}

/// The text of `docs/conformance.md`.
fn page(
    requirements: &[Requirement],
    exceptions: &[(String, String)],
    places: &BTreeMap<String, BTreeSet<Place>>,
) -> String {
    let mut page = String::from(INTRODUCTION);
    page += "\n| document | requirements | proven | not proven, or decided otherwise | do not apply |\n|---|---|---|---|---|\n";
    let is_proven = |row: &&Requirement| row.exempt.is_none() && places.contains_key(&row.id);
    let mut specs: Vec<&str> = Vec::new();
    for row in requirements {
        if !specs.contains(&row.spec.as_str()) {
            specs.push(&row.spec);
        }
    }
    for spec in specs.iter().copied().chain(["total"]) {
        let rows = || requirements.iter().filter(|row| spec == "total" || row.spec == spec);
        let (all, proven) = (rows().count(), rows().filter(is_proven).count());
        let exempt = rows().filter(|row| row.exempt.is_some()).count();
        let title = if spec == "total" { "all" } else { title(spec) };
        let rest = all - proven - exempt;
        writeln!(page, "| {title} | {all} | {proven} | {rest} | {exempt} |")
            .expect("a String grows");
    }
    page += "\n## Deviations, and choices where the RFC is silent\n\n";
    page += read(&root().join("tests/conformance/choices.md")).trim();
    page += "\n";
    let mut section = (String::new(), String::new());
    for row in requirements {
        if (&row.spec, &row.section) != (&section.0, &section.1) {
            section = (row.spec.clone(), row.section.clone());
            let Requirement { spec, section, .. } = row;
            let spec = title(spec);
            write!(page, "\n## {spec}, {section}\n\n| id | level | role | requirement | proven by |\n|---|---|---|---|---|\n")
                .expect("a String grows");
        }
        let mut proof = match (&row.exempt, exception(exceptions, &row.id)) {
            (Some(reason), _) => format!("does not apply: {reason}"),
            (None, Some(reason)) => reason.to_string(),
            (None, None) => String::new(),
        };
        let mut last = "";
        for (file, test) in places.get(&row.id).into_iter().flatten() {
            let separator = if proof.is_empty() {
                ""
            } else if last == file {
                ", "
            } else {
                "; "
            };
            proof += separator;
            if last != file {
                write!(proof, "`{file}`: ").expect("a String grows");
            }
            write!(proof, "`{test}`").expect("a String grows");
            last = file;
        }
        if proof.is_empty() {
            proof += "**nowhere**";
        }
        let cells = [&row.id, &row.level, &row.role, &row.text, &proof];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        writeln!(page, "| {} |", cells.join(" | ")).expect("a String grows");
    }
    page
}

/// The name of a document in a heading.
fn title(spec: &str) -> &str {
    match spec {
        "rfc6455" => "RFC 6455",
        "rfc7692" => "RFC 7692",
        "rfc7936" => "RFC 7936",
        "rfc8307" => "RFC 8307",
        "rfc8441" => "RFC 8441",
        "rfc9220" => "RFC 9220",
        "rfc6454" => "RFC 6454",
        "rfc9110" => "RFC 9110",
        "rfc9112" => "RFC 9112",
        "rfc9113" => "RFC 9113",
        "whatwg-websockets" => "WHATWG WebSockets",
        other => panic!("{other} has no title"),
    }
}

const INTRODUCTION: &str = "\
# Conformance

<!-- Generated by tests/conformance.rs: change the tests, or the files in tests/conformance, and run
     UPDATE_CONFORMANCE=1 cargo test --test conformance -->

The requirements of the documents on WebSocket, one per row and in our own words, and the tests that prove each. The
list covers:

- RFC 6455 and RFC 7692: every sentence with a keyword of RFC 2119 (MUST NOT is listed as MUST, SHOULD NOT as SHOULD), and the
  steps and grammars without one;
- RFC 8441, RFC 9220, RFC 7936 and RFC 8307;
- RFC 6454, RFC 9110, RFC 9112 and RFC 9113: the rules that the opening handshake depends on;
- the WHATWG standard: the rules that a protocol library can implement.

A test names the requirements that it proves in a comment, and this page is generated from these comments. The test fails if
an applicable requirement has no test, if a comment names an unknown requirement, or if this page is out of date.

A requirement for the caller, who owns sockets, TLS and policy, does not apply. Its row gives the reason.
";

#[test]
fn ids_are_found_in_lists_and_ranges() {
    for (text, ids) in [
        ("rfc0-1-01", &["rfc0-1-01"][..]),
        ("rfc0-1.2-01, 3-02, whatwg-a-b-03.", &["rfc0-1.2-01", "rfc0-3-02", "whatwg-a-b-03"]),
        ("rfc0-1-01 to 1-04; text 5-05", &["rfc0-1-01", "rfc0-1-02", "rfc0-1-03", "rfc0-1-04"]),
        ("rfc0-1-09 to rfc0-1-11 and 2-01", &["rfc0-1-09", "rfc0-1-10", "rfc0-1-11", "rfc0-2-01"]),
        ("rfc0-1.2-01, -03, 3-02, -04", &["rfc0-1.2-01", "rfc0-1.2-03", "rfc0-3-02", "rfc0-3-04"]),
        ("rfc0-1-01 to -03", &["rfc0-1-01", "rfc0-1-02", "rfc0-1-03"]),
        ("rfc0-1-01 (why), rfc0-1-02: so", &["rfc0-1-01", "rfc0-1-02"]),
        ("RFC 6455 5.5: text 3-4, an rfc0-like word, rfc0-1-*", &[]),
    ] {
        assert_eq!(cited(text), ids, "{text}");
    }
}

#[test]
fn citations_belong_to_the_test_around_or_below_them() {
    let cite = format!("// rfc{}", "0-1-01");
    for (text, test) in [
        (format!("#[test]\nfn a() {{\n    {cite}\n}}\n"), Some("a")),
        (format!("{cite}\n#[test]\nfn a() {{\n}}\n"), Some("a")),
        (format!("#[test]\n/{cite}\nfn a() {{\n}}\n"), Some("a")),
        (format!("#[test]\nfn a() {{\n    x(&[\n        1, {cite}\n    ]);\n}}\n"), Some("a")),
        (format!("#[test]\nfn a() {{\n}}\n\n{cite}\n#[test]\nfn b() {{\n}}\n"), Some("b")),
        (format!("mod t {{\n    #[test]\n    fn a() {{\n        {cite}\n    }}\n}}\n"), Some("a")),
        (format!("#[test]\nfn a(\n    x: u8,\n) {{\n    {cite}\n}}\n"), Some("a")),
        (format!("#[tokio::test(a = 1)]\nasync fn a() {{\n    {cite}\n}}\n"), Some("a")),
        (format!("#[test]\n#[ignore = \"slow\"]\nfn a() {{\n    {cite}\n}}\n"), None),
        (format!("#[test]\nfn a() {{\n}}\n\nfn b() {{\n    {cite}\n}}\n"), None),
        (format!("#[test]\nfn a() {{\n}}\n\nfn b(\n) {{\n    {cite}\n}}\n"), None),
        (format!("#[test]\nfn a() {{\n}}\n\n{cite}\n"), None),
        (format!("{cite}\nfn b() {{\n}}\n"), None),
    ] {
        let mut citations = Citations::default();
        citations.collect(Path::new("tests/x.rs"), &text);
        let found = citations.places.get("rfc0-1-01").map(|places| places.first());
        let found = found.flatten().map(|(_, test)| test.as_str());
        assert_eq!((found, citations.faults.len()), (test, usize::from(test.is_none())), "{text}");
    }
}
