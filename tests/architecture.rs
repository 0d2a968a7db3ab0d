//! Which file of the library may know which: no circles, and no arrow that the table in docs/design.md forbids. The
//! arrows are read from the sources; code that only tests or only documentation sees does not count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

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

// ---- The table ----

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

// ---- The circles ----

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

// ---- The arrows ----

type ModulePath = Vec<String>;

/// The module that a file is: `handshake/mod.rs` is `handshake`, `lib.rs` the root.
fn module_of(file: &str) -> ModulePath {
    let path = file.strip_suffix(".rs").expect("a source");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// What one module, a file or an inline `mod`, says.
#[derive(Default)]
struct Module {
    file: String,
    /// Names that `use` brings in, with the whole path of each. A path of another crate begins with `::`.
    imports: BTreeMap<String, ModulePath>,
    /// Paths of this crate in code.
    paths: BTreeSet<ModulePath>,
    /// All words of the code outside of `use`.
    words: BTreeSet<String>,
    /// What glob imports name.
    globs: Vec<ModulePath>,
}

type Modules = BTreeMap<ModulePath, Module>;

/// The arrows from file to file. An import that a module makes of its own child counts only if the module's own code
/// uses the name: it is a re-export otherwise.
fn arrows(sources: &Sources) -> Arrows {
    let mut modules = Modules::new();
    for (file, text) in sources {
        let words = without_tests(&words(text));
        read_module(file, module_of(file), &words, &mut modules);
    }
    let mut arrows: Arrows = sources.keys().map(|file| (file.clone(), BTreeSet::new())).collect();
    for (name, module) in &modules {
        let is_child = |path: &ModulePath| path.len() > name.len() && path.starts_with(name);
        let imports = module.imports.iter().filter(|(word, path)| {
            !is_child(&modules_of(&modules, path)) || module.words.contains(*word)
        });
        let all = imports.map(|(_, path)| path).chain(&module.paths).chain(&module.globs);
        for path in all {
            if let Some(target) = file_of(&modules, path, 0) {
                if target != module.file {
                    arrows.get_mut(&module.file).expect("a source").insert(target);
                }
            }
        }
    }
    arrows
}

/// The longest front of a path that is a module.
fn modules_of(modules: &Modules, path: &[String]) -> ModulePath {
    let is_module = |len: &usize| modules.contains_key(&path[..*len]);
    path[..(0..=path.len()).rev().find(is_module).unwrap_or(0)].to_vec()
}

/// The file that defines what a path names, found through re-exports; `None` for another crate's.
fn file_of(modules: &Modules, path: &[String], depth: usize) -> Option<String> {
    assert!(depth < 32, "{path:?} is re-exported in a circle");
    if path.first().is_some_and(|first| first == "::") {
        return None;
    }
    let owner = modules_of(modules, path);
    let module = modules.get(&owner)?;
    let rest = &path[owner.len()..];
    match rest.first().and_then(|item| module.imports.get(item)) {
        // Of another crate, but named here: `Shared` in lib.rs.
        Some(target) if target[0] == "::" => Some(module.file.clone()),
        Some(target) => file_of(modules, &[target, &rest[1..]].concat(), depth + 1),
        None => Some(module.file.clone()),
    }
}

/// Reads the words of one module, inline modules included.
fn read_module(file: &str, name: ModulePath, words: &[String], modules: &mut Modules) {
    let mut module = Module { file: file.to_owned(), ..Module::default() };
    let mut children: BTreeSet<String> = BTreeSet::new();
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    // Children first: a path may begin with one that is declared further down.
    for at in 0..words.len() {
        if word(at) == "mod" && is_name(word(at + 1)) {
            children.insert(words[at + 1].clone());
        }
    }
    let absolute = |segments: &[String], module: &Module| -> ModulePath {
        let mut base = name.clone();
        let (first, rest) = segments.split_first().expect("a path has a word");
        match first.as_str() {
            "crate" => return rest.to_vec(),
            "self" => {}
            "super" => {
                base.pop();
            }
            child if children.contains(child) => base.push(first.clone()),
            other => {
                return match module.imports.get(other) {
                    Some(path) => [path, rest].concat(),
                    None => [&["::".to_owned()], segments].concat(),
                };
            }
        }
        for segment in rest {
            if segment == "super" {
                base.pop();
            } else {
                base.push(segment.clone());
            }
        }
        base
    };
    let mut code = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match word(at) {
            // `use<…>` is no import.
            "use" if word(at + 1) != "<" => {
                let end = (at..words.len()).find(|&end| word(end) == ";").expect("`use` ends");
                let mut leaves = Vec::new();
                let is_rooted = word(at + 1) == ":";
                if !is_rooted {
                    read_tree(&words[at + 1..end], &[], &mut leaves);
                }
                for (segments, alias) in leaves {
                    let path = absolute(&segments, &module);
                    if alias == "*" {
                        module.globs.push(path);
                    } else {
                        module.imports.insert(alias, path);
                    }
                }
                at = end + 1;
            }
            "mod" if is_name(word(at + 1)) && word(at + 2) == "{" => {
                let end = close_of(words, at + 2);
                let child = [&name[..], &[words[at + 1].clone()]].concat();
                read_module(file, child, &words[at + 3..end], modules);
                at = end + 1;
            }
            "mod" if is_name(word(at + 1)) => at += 3,
            _ => {
                code.push(words[at].clone());
                at += 1;
            }
        }
    }
    let word = |at: usize| code.get(at).map_or("", String::as_str);
    let mut at = 0;
    while at < code.len() {
        if is_name(word(at)) && word(at + 1) == ":" && word(at + 2) == ":" {
            let mut segments = vec![code[at].clone()];
            at += 1;
            while word(at) == ":" && word(at + 1) == ":" && is_name(word(at + 2)) {
                segments.push(code[at + 2].clone());
                at += 3;
            }
            module.paths.insert(absolute(&segments, &module));
        } else {
            at += 1;
        }
    }
    module.words = code.into_iter().filter(|word| is_name(word)).collect();
    modules.insert(name, module);
}

/// Reads the tree of a `use`: whole paths, each with the name that it gets.
fn read_tree(words: &[String], before: &[String], leaves: &mut Vec<(ModulePath, String)>) {
    let mut path = before.to_vec();
    let mut at = 0;
    while at < words.len() {
        match words[at].as_str() {
            "{" => {
                let end = close_of(words, at);
                for part in split_commas(&words[at + 1..end]) {
                    read_tree(part, &path, leaves);
                }
                return;
            }
            "as" => {
                leaves.push((path, words[at + 1].clone()));
                return;
            }
            "*" => {
                leaves.push((path, "*".to_owned()));
                return;
            }
            ":" => at += 1,
            // `frame::{self}` is `frame`.
            "self" if !path.is_empty() => at += 1,
            name => {
                path.push(name.to_owned());
                at += 1;
            }
        }
    }
    if let Some(last) = path.last().cloned() {
        leaves.push((path, last));
    }
}

/// The parts of a list, divided by the commas outside of braces.
fn split_commas(words: &[String]) -> Vec<&[String]> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0);
    for (at, word) in words.iter().enumerate() {
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 0 => {
                parts.push(&words[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&words[begin..]);
    // A list may end in a comma.
    parts.retain(|part| !part.is_empty());
    parts
}

// ---- The words of a source ----

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first == '_' || first.is_alphabetic())
}

/// Names and single characters of punctuation, without comments and literals.
fn words(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut words = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        match (chars[i], at(i + 1)) {
            ('/', '/') => i = (i..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len()),
            ('/', '*') => {
                let mut depth = 0;
                loop {
                    match (at(i), at(i + 1)) {
                        ('/', '*') => (depth, i) = (depth + 1, i + 2),
                        ('*', '/') => (depth, i) = (depth - 1, i + 2),
                        _ => i += 1,
                    }
                    if depth == 0 || i >= chars.len() {
                        break;
                    }
                }
            }
            ('"', _) => i = end_of_string(&chars, i),
            // A character, or else a lifetime.
            ('\'', '\\') => i = (i + 3..chars.len()).find(|&i| chars[i] == '\'').unwrap_or(i) + 1,
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            (first, _) if first == '_' || first.is_alphanumeric() => {
                let end =
                    (i..chars.len()).find(|&i| !(chars[i] == '_' || chars[i].is_alphanumeric()));
                let end = end.unwrap_or(chars.len());
                let name: String = chars[i..end].iter().collect();
                i = end;
                let hashes = (i..).take_while(|&i| at(i) == '#').count();
                match (name.as_str(), at(i + hashes)) {
                    ("r" | "br" | "cr", '"') => i = end_of_raw_string(&chars, i + hashes, hashes),
                    ("b" | "c", '"') if hashes == 0 => i = end_of_string(&chars, i),
                    _ => words.push(name),
                }
            }
            (blank, _) if blank.is_whitespace() => i += 1,
            (other, _) => {
                words.push(other.to_string());
                i += 1;
            }
        }
    }
    words
}

/// Where a string ends whose opening quote is at `start`.
fn end_of_string(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// The same of a raw string with this many `#`.
fn end_of_raw_string(chars: &[char], start: usize, hashes: usize) -> usize {
    let is_end = |&i: &usize| {
        chars[i] == '"' && chars[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    (start + 1..chars.len()).find(is_end).map_or(chars.len(), |i| i + 1 + hashes)
}

/// Leaves out each item, field or statement whose `#[cfg(…)]` wants `test`, `doc` or `doctest`.
fn without_tests(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let Some(end) = end_of_attribute(words, at) else {
            kept.push(words[at].clone());
            at += 1;
            continue;
        };
        let attribute: Vec<&str> = words[at..end].iter().map(String::as_str).collect();
        let condition = match attribute[..] {
            ["#", "[", "cfg", "(", "all", "(", first, ..] => first,
            ["#", "[", "cfg", "(", first, ..] => first,
            _ => "",
        };
        at = if ["test", "doc", "doctest"].contains(&condition) {
            end_of_item(words, end)
        } else {
            end
        };
    }
    kept
}

/// Where the attribute that begins here ends.
fn end_of_attribute(words: &[String], at: usize) -> Option<usize> {
    let bang = usize::from(words.get(at + 1)? == "!");
    (words[at] == "#" && words[at + 1 + bang] == "[").then(|| close_of(words, at + 1 + bang) + 1)
}

/// Where the item behind an attribute ends: at its semicolon, at the end of its block, or, for a field, at its comma.
fn end_of_item(words: &[String], mut at: usize) -> usize {
    while let Some(end) = end_of_attribute(words, at) {
        at = end;
    }
    let is_item = |word: &String| {
        let items = "pub fn impl mod struct enum trait use const static type unsafe extern async macro_rules";
        items.split(' ').any(|item| item == word)
    };
    let has_commas = words.get(at).is_some_and(is_item);
    let ends_in_semicolon = {
        let mut first = words[at..].iter();
        let word = first
            .by_ref()
            .find(|word| !matches!(word.as_str(), "pub" | "(" | ")" | "crate" | "super" | "in"));
        word.is_some_and(|word| matches!(word.as_str(), "use" | "static" | "type" | "let"))
    };
    while at < words.len() {
        match words[at].as_str() {
            ";" => return at + 1,
            "," if !has_commas => return at + 1,
            "}" => return at,
            "{" if !ends_in_semicolon => return close_of(words, at) + 1,
            "{" | "(" | "[" => at = close_of(words, at) + 1,
            _ => at += 1,
        }
    }
    at
}

/// Where the bracket that opens at `open` is closed.
fn close_of(words: &[String], open: usize) -> usize {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate().skip(open) {
        match word.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    words.len() - 1
}
