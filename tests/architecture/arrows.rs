//! Reads which file names which: modules, imports and re-exports of a library's sources, and the paths in its code.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{close_of, is_name, without_tests, words};
use super::{Arrows, Sources};

pub(crate) type ModulePath = Vec<String>;

/// The module that a file is: `handshake/mod.rs` is `handshake`, `lib.rs` the root.
pub(crate) fn module_of(file: &str) -> ModulePath {
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
pub(crate) fn arrows(sources: &Sources) -> Arrows {
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
