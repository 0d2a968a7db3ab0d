//! The pages for readers: their links lead to files and headings that exist, and so do the paths that they name. Both
//! front pages, the README and the page of the crate, name every example.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a directory below the root with the given extension.
fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).expect("the directory exists");
    let paths = entries.map(|entry| entry.expect("the directory can be read").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|seen| seen == extension)).collect();
    files.sort();
    assert!(!files.is_empty(), "{directory} has a file");
    files
}

/// The lines of a page outside of fenced code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// A line without its code spans.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// The targets of the links and images of a page: `[text](target)`, `[name]: target`, `src="target"`, `href="target"`.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(page).map(without_code) {
        for (opening, closing) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            let behind = line.split(opening).skip(1);
            links.extend(behind.filter_map(|rest| Some(rest.split_once(closing)?.0.to_owned())));
        }
        if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            links.push(target.to_owned());
        }
    }
    links
}

/// The anchors that GitHub gives to the headings of a page.
fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().chars();
        let kept = kept.filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

/// What is wrong with a relative link on the page at `path`.
fn fault(path: &Path, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => path.to_owned(),
        file => path.parent().expect("a page is in a directory").join(file),
    };
    if !target.exists() {
        return Some(format!("{}: {link} leads to no file", path.display()));
    }
    if !anchor.is_empty() && !anchors(&read(&target)).iter().any(|seen| seen == anchor) {
        return Some(format!("{}: {link} leads to no heading", path.display()));
    }
    None
}

/// The pages at the root, in `docs` and in `.github`.
fn pages() -> impl Iterator<Item = PathBuf> {
    let front = ["README.md", "CHANGELOG.md"].map(|page| root().join(page));
    front.into_iter().chain(files("docs", "md")).chain(files(".github", "md"))
}

/// The paths that a page names in code spans, from the root: `` `tests/links.rs` ``, `` `tests/fuzz/run 60` ``.
fn paths(page: &str) -> impl Iterator<Item = &str> {
    let spans = prose(page).flat_map(|line| line.split('`').skip(1).step_by(2));
    let paths = spans.filter_map(|span| span.split([' ', ':']).next());
    paths.filter(|path| {
        let directory = path.split_once('/').map_or("", |(first, _)| first);
        ["src", "tests", "docs", "benches", "fuzz", ".ci", ".cargo", ".github"].contains(&directory)
    })
}

#[test]
fn each_relative_link_of_a_page_leads_to_a_file_and_a_heading() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for path in pages().chain(files("benches/peers", "md")) {
        let links = links(&read(&path));
        for link in links.iter().filter(|link| !link.contains(':')) {
            seen += 1;
            faults.extend(fault(&path, link));
        }
    }
    assert!(seen > 10, "only {seen} relative links: the pages are not read");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_path_that_a_page_names_exists() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for path in paths(&read(&page)) {
            seen += 1;
            if !root().join(path).exists() {
                faults.push(format!("{}: {path} does not exist", page.display()));
            }
        }
    }
    assert!(seen > 10, "only {seen} paths: the pages are not read");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_example_is_named_on_both_front_pages() {
    let readme = links(&read(&root().join("README.md")));
    let library = read(&root().join("src/lib.rs"));
    for path in files("docs/examples", "rs") {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name in UTF-8");
        assert!(readme.contains(&format!("docs/examples/{name}.rs")), "the README links to {name}");
        assert!(
            library.contains(&format!("//! | `{name}` |")),
            "the crate's page has a row for {name}"
        );
    }
}

#[test]
fn links_and_paths_are_seen_in_every_form_and_not_in_blocks_of_code() {
    for (page, expected) in [
        ("[a](b.md) and [c](d.md#e)", &["b.md", "d.md#e"][..]),
        ("![plot](plots/a.svg)", &["plots/a.svg"]),
        ("[`code`](a.rs)", &["a.rs"]),
        ("<img src=\"a.svg\"> <a href=\"b.md\">", &["a.svg", "b.md"]),
        ("[a]\n\n[a]: b.md", &["b.md"]),
        ("`[a](b.md)`", &[]),
        ("```\n[a](b.md)\n```\n[c](d.md)", &["d.md"]),
    ] {
        assert_eq!(links(page), expected, "{page}");
    }
    let page =
        "`tests/a.rs`, `tests/a/run 60`, `src/b.rs::c`, `a/b`, `tests`\n```\n`tests/d.rs`\n```";
    assert_eq!(paths(page).collect::<Vec<_>>(), ["tests/a.rs", "tests/a/run", "src/b.rs"]);
    let page = "# The loop\n## `unsafe`, and more\ntext # none\n```sh\n# a comment\n```\n";
    assert_eq!(anchors(page), ["the-loop", "unsafe-and-more"]);
    let page = root().join("README.md");
    for link in
        ["docs/design.md#", "docs/nothing.md", "#licence", "#nothing", "docs/design.md#unsafe"]
    {
        assert_eq!(fault(&page, link).is_some(), link.contains("nothing"), "{link}");
    }
}

#[test]
fn readme_names_each_script_once() {
    let mut scripts = vec!["benches/run".to_owned()];
    for parent in ["tests", "benches"] {
        for entry in fs::read_dir(root().join(parent)).expect("the directory exists") {
            let path = entry.expect("the directory can be read").path().join("run");
            if path.is_file() {
                let path = path.strip_prefix(root()).expect("it is below the root");
                scripts.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    assert!(scripts.len() > 20, "{scripts:?}");
    let readme = read(&root().join("README.md"));
    for script in scripts {
        // A line of the list: the script, its arguments, and what it does.
        let rows = readme.lines().filter(|line| {
            line.split_once(" # ").is_some_and(|(call, _)| call.split(' ').next() == Some(&script))
        });
        assert_eq!(rows.count(), 1, "rows of the README for {script}");
    }
}

#[test]
fn the_readme_links_to_nothing_that_is_not_published() {
    // A directory with a Cargo.toml of its own is another package, and cargo leaves it out of ours.
    let page = read(&root().join("README.md"));
    let links = links(&page);
    let is_in_another = |link: &&String| {
        Path::new(link).ancestors().skip(1).any(|directory| {
            !directory.as_os_str().is_empty() && root().join(directory).join("Cargo.toml").exists()
        })
    };
    let others: Vec<_> =
        links.iter().filter(|link| !link.contains("://")).filter(is_in_another).collect();
    assert!(others.is_empty(), "{others:?}");
}
