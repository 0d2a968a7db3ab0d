//! Which file of the library may know which: no circles, and no arrow that the table in docs/design.md forbids. The
//! arrows are read from the sources; code that only tests or only documentation sees does not count.

#[path = "architecture/arrows.rs"]
mod arrows;
#[path = "architecture/words.rs"]
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use arrows::{arrows, module_of};

/// The files of `src`, by their path in it: `handshake/uri.rs`.
type Sources = BTreeMap<String, String>;
/// From a file to the files that it names.
type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_files_know_each_other_in_a_circle() {
    let circles = circles(&arrows(&sources()));
    assert!(circles.is_empty(), "files that know each other in a circle:\n{}", circles.join("\n"));
}

#[test]
fn no_file_knows_what_the_design_page_forbids() {
    let sources = sources();
    let arrows = arrows(&sources);
    let rows = forbidden(&fs::read_to_string(root().join("docs/design.md")).expect("the page"));
    assert!(!rows.is_empty(), "docs/design.md has no table of forbidden arrows");
    let mut faults = Vec::new();
    for Forbidden { from, to, why } in &rows {
        for glob in from.iter().chain(to) {
            // A path of a file that was moved away would forbid nothing.
            if !sources.keys().any(|file| matches(glob, file)) {
                faults.push(format!("no file is called src/{glob}"));
            }
        }
        for (file, targets) in
            arrows.iter().filter(|(file, _)| from.iter().any(|g| matches(g, file)))
        {
            for target in targets.iter().filter(|target| to.iter().any(|g| matches(g, target))) {
                faults.push(format!("src/{file} must not know src/{target}: {why}"));
            }
        }
    }
    assert!(faults.is_empty(), "arrows that docs/design.md forbids:\n{}", faults.join("\n"));
}

/// Sources of a small library, for the tests of what reads them.
fn small_library(files: &[(&str, &str)]) -> Sources {
    files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn arrows_are_seen_in_every_form_of_a_path_and_nowhere_else() {
    let others = [
        ("lib.rs", "mod a; mod b; mod c; mod d; pub use b::Item; pub use alloc::rc::Rc as Shared;"),
        ("b.rs", "pub struct Item;"),
        ("c.rs", "mod deep; pub use deep::Deep; pub(crate) use crate::b::Item as Alias;"),
        ("c/deep.rs", "pub struct Deep;"),
        ("d/mod.rs", "pub mod e; use e::helper; fn f() { helper() }"),
        ("d/e.rs", "pub fn helper() {}"),
    ];
    for (text, expected) in [
        ("use crate::b;", &["b.rs"][..]),
        ("use crate::b::{self};", &["b.rs"]),
        (
            "use crate::{\n    b::Item,\n    c::{deep::Deep, Alias as Other},\n};",
            &["b.rs", "c/deep.rs"],
        ),
        ("fn f(item: crate::b::Item) {}", &["b.rs"]),
        ("fn f(item: Vec<super::b::Item>) {}", &["b.rs"]),
        ("use super::c::Deep;", &["c/deep.rs"]),
        ("use super::c::Alias;", &["b.rs"]),
        ("use crate::c; fn f(deep: c::Deep) {}", &["c.rs", "c/deep.rs"]),
        // What lib.rs re-exports is where it is defined; what it names of another crate is in lib.rs.
        ("use crate::Item;", &["b.rs"]),
        ("fn f(shared: crate::Shared<u8>) {}", &["lib.rs"]),
        ("mod inner { use super::super::b::Item; use super::Own; }", &["b.rs"]),
        ("#[cfg(feature = \"x\")] use crate::b::Item;", &["b.rs"]),
        ("#[cfg(test)] use crate::c::Deep; use crate::b::Item;", &["b.rs"]),
        ("struct S { #[cfg(test)] deep: crate::c::Deep, item: crate::b::Item }", &["b.rs"]),
        ("#[cfg(test)] mod tests { use crate::b::Item; } use crate::d::e;", &["d/e.rs"]),
        ("#[cfg(all(test, unix))] fn f<A, B>() { crate::b::f() }", &[]),
        ("#[cfg(doc)] use crate::b::Item;", &[]),
        ("// crate::b::Item\n/* /* */ crate::b */ /// [`crate::b`]\n", &[]),
        ("const A: &str = \"\\\"crate::b::Item\"; const B: &str = r#\"\" crate::b \"#;", &[]),
        (
            "fn f<'a>(c: &'a str) -> char { if c == \"\" { '\\'' } else { '\"' } } type A = crate::b::Item;",
            &["b.rs"],
        ),
        ("fn f() -> impl Iterator<Item = u8> + use<> { std::iter::empty() }", &[]),
        ("use alloc::vec::Vec; use core::fmt;", &[]),
    ] {
        let mut files = others.to_vec();
        files.push(("a.rs", text));
        let arrows = arrows(&small_library(&files));
        let seen: Vec<&str> = arrows["a.rs"].iter().map(String::as_str).collect();
        assert_eq!(seen, expected, "{text}");
        assert!(arrows["lib.rs"].is_empty(), "re-exports are no arrows");
        assert_eq!(arrows["d/mod.rs"].iter().collect::<Vec<_>>(), ["d/e.rs"], "but a use is one");
    }
}

#[test]
fn circles_are_found_and_named_in_order() {
    let row = |text: &str, expected: &[&str]| {
        let files: Vec<(&str, &str)> =
            text.lines().filter_map(|line| line.split_once(": ")).collect();
        assert_eq!(circles(&arrows(&small_library(&files))), expected, "{text}");
    };
    row("a.rs: use crate::b::B;\nb.rs: struct B;", &[]);
    row("a.rs: use crate::b::B;\nb.rs: use crate::a::A;", &["src/a.rs -> src/b.rs -> src/a.rs"]);
    row(
        "a.rs: use crate::b::B;\nb.rs: use crate::c::C;\nc.rs: use crate::a::A;\nd.rs: use crate::a::A;",
        &["src/a.rs -> src/b.rs -> src/c.rs -> src/a.rs"],
    );
    // A child may know its parent; that closes no circle, but a way around it does.
    row("a.rs: mod b; use b::B; fn f(b: B) {}\na/b.rs: use super::A;", &[]);
    row(
        "a.rs: mod b; use b::B; fn f(b: B) {}\na/b.rs: use crate::c::C;\nc.rs: use crate::a::A;",
        &["src/a.rs -> src/a/b.rs -> src/c.rs -> src/a.rs"],
    );
}

#[test]
fn the_table_is_read_whole() {
    let page = "text\n\n| from | must not know | why |\n|---|---|---|\n| `a.rs`, `b/**` | `c*.rs` | so |\n\n| x |\n";
    let rows = forbidden(page);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0].from[..], &rows[0].to[..]),
        (&["a.rs".into(), "b/**".into()][..], &["c*.rs".into()][..])
    );
    for (glob, path, expected) in [
        ("a.rs", "a.rs", true),
        ("a.rs", "b/a.rs", false),
        ("*.rs", "a.rs", true),
        ("*.rs", "b/a.rs", false),
        ("**", "b/a.rs", true),
        ("b/**", "b/c/a.rs", true),
        ("b/**", "b.rs", false),
        ("b**", "b.rs", true),
        ("b**", "b/c/a.rs", true),
        ("b/a*.rs", "b/a.rs", true),
        ("b/a*.rs", "b/c/a.rs", false),
    ] {
        assert_eq!(matches(glob, path), expected, "{glob} {path}");
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All sources of the library but its unit tests.
fn sources() -> Sources {
    fn walk(dir: &Path, base: &Path, sources: &mut Sources) {
        for entry in fs::read_dir(dir).expect("a readable directory") {
            let path = entry.expect("a readable directory").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name of UTF-8");
            if path.is_dir() {
                walk(&path, base, sources);
            } else if name.ends_with(".rs") && name != "tests.rs" && !name.ends_with("_tests.rs") {
                let file = path.strip_prefix(base).expect("a file below src");
                let file = file.to_str().expect("a path of UTF-8").replace('\\', "/");
                sources.insert(file, fs::read_to_string(&path).expect("a readable file"));
            }
        }
    }
    let src = root().join("src");
    let mut sources = Sources::new();
    walk(&src, &src, &mut sources);
    assert!(sources.contains_key("lib.rs"), "src has the library");
    sources
}

/// A row of the table: files that must not know other files.
#[derive(Debug)]
struct Forbidden {
    from: Vec<String>,
    to: Vec<String>,
    why: String,
}

/// Reads the table whose header is `| from | must not know | why |`.
fn forbidden(page: &str) -> Vec<Forbidden> {
    let cells = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let globs = |cell: &str| -> Vec<String> {
        // Paths are the parts between backticks.
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let is_header = |line: &&str| cells(line) == ["from", "must not know", "why"];
    page.lines()
        .skip_while(|line| !is_header(line))
        .skip(2)
        .take_while(|line| line.trim_start().starts_with('|'))
        .map(|line| match &cells(line)[..] {
            [from, to, why] => Forbidden { from: globs(from), to: globs(to), why: why.clone() },
            other => panic!("docs/design.md: a row of the table has {} cells: {line}", other.len()),
        })
        .collect()
}

/// Whether a path matches: `*` is any text without a slash, `**` any text.
fn matches(glob: &str, path: &str) -> bool {
    if let Some(rest) = glob.strip_prefix("**") {
        return (0..=path.len()).any(|at| path.is_char_boundary(at) && matches(rest, &path[at..]));
    }
    if let Some(rest) = glob.strip_prefix('*') {
        let end = path.find('/').unwrap_or(path.len());
        return (0..=end).any(|at| path.is_char_boundary(at) && matches(rest, &path[at..]));
    }
    match (glob.chars().next(), path.chars().next()) {
        (None, None) => true,
        (Some(wanted), Some(seen)) if wanted == seen => {
            matches(&glob[wanted.len_utf8()..], &path[seen.len_utf8()..])
        }
        _ => false,
    }
}

/// The shortest circle of each group of files that know each other, as text.
fn circles(arrows: &Arrows) -> Vec<String> {
    let mut found: Vec<Vec<&str>> = Vec::new();
    for file in arrows.keys() {
        if found.iter().flatten().any(|seen| seen == file) {
            continue;
        }
        if let Some(circle) = way_back(arrows, file) {
            found.push(circle);
        }
    }
    found.iter().map(|circle| format!("src/{}", circle.join(" -> src/"))).collect()
}

/// The shortest way along the arrows from a file back to itself. An arrow of a child to a module that it is in is
/// passed over.
fn way_back<'a>(arrows: &'a Arrows, start: &'a str) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in arrows.get(file)?.iter().filter(|next| !is_above(next, file)) {
            if next == start {
                let mut way = vec![start, file];
                while way[way.len() - 1] != start {
                    way.push(came_from[way[way.len() - 1]]);
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(next.as_str()) {
                came_from.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

/// Whether one file is a module that the other lies in.
fn is_above(parent: &str, child: &str) -> bool {
    let (parent, child) = (module_of(parent), module_of(child));
    parent.len() < child.len() && child.starts_with(&parent)
}

/// The fields of a struct without type parameters, in order.
fn fields_of(source: &str, name: &str) -> Vec<String> {
    let words = words::words(source);
    let head = ["struct", name, "{"];
    let begin = words.windows(3).position(|words| words == head).expect("the struct") + 2;
    let end = words::close_of(&words, begin);
    let (mut depth, mut fields) = (0, Vec::new());
    for i in begin + 1..end {
        match words[i].as_str() {
            "(" | "[" | "<" | "{" => depth += 1,
            ")" | "]" | ">" | "}" => depth -= 1,
            ":" if depth == 0 && words[i + 1] != ":" && words[i - 1] != ":" => {
                fields.push(words[i - 1].clone());
            }
            _ => {}
        }
    }
    fields
}

#[test]
fn the_design_page_lists_each_field_of_a_connection() {
    let page = fs::read_to_string(root().join("docs/design.md")).expect("the page");
    let rows = page.lines().skip_while(|line| !line.starts_with("| type | field |")).skip(2);
    let mut listed = BTreeMap::<String, Vec<String>>::new();
    let mut owner = String::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if !cells[1].is_empty() {
            owner = cells[1].trim_matches('`').to_owned();
        }
        let fields = cells[2].split(", ").map(|field| field.trim_matches('`').to_owned());
        listed.entry(owner.clone()).or_default().extend(fields);
    }
    let sources = sources();
    for (name, file) in [
        ("Connection", "connection.rs"),
        ("Receiver", "receive.rs"),
        ("Sender", "send.rs"),
        ("Life", "connection/life.rs"),
    ] {
        assert_eq!(listed.remove(name), Some(fields_of(&sources[file], name)), "src/{file}");
    }
    assert_eq!(listed, BTreeMap::new(), "types that are not parts of a connection");
}

#[test]
fn one_function_changes_the_phase_and_one_calls_it() {
    let count = |what: &[&str]| -> usize {
        let of = |source: &String| {
            words::words(source).windows(what.len()).filter(|w| *w == what).count()
        };
        sources().values().map(of).sum()
    };
    assert_eq!(count(&["self", ".", "phase", "="]), 1 + count(&["self", ".", "phase", "=", "="]));
    assert_eq!(count(&["life", ".", "enter", "("]), 1);
}
