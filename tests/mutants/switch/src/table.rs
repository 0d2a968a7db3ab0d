//! What came of each change, kept in a file as it comes, and the table of it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use crate::change::Change;
use crate::trial::Outcome;

/// What is known of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Caught,
    Missed,
    /// No test comes to it.
    Unreached,
    /// .cargo/mutants.toml says why no test can see it.
    Explained,
    /// It does not compile.
    Unviable,
    /// It was not tried.
    Open,
}

/// Outcomes of this and of earlier runs.
pub struct Results {
    file: File,
    /// What was tried: the library, and the tests.
    library: String,
    tests: String,
    known: HashMap<String, (Verdict, bool)>,
}

impl Results {
    /// Reads what is known of the same library. A change that other tests have missed is tried again.
    pub fn open(path: &Path, library: &str, tests: &str) -> Results {
        let mut known = HashMap::new();
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let fields: Vec<_> = line.split('\t').collect();
            // The last line may have been cut off.
            let &[of_library, of_tests, outcome, _, name] = &fields[..] else { continue };
            if of_library == library {
                let verdict = match outcome {
                    "caught" | "timeout" => Verdict::Caught,
                    "missed" => Verdict::Missed,
                    "unreached" => Verdict::Unreached,
                    "unviable" => Verdict::Unviable,
                    _ => continue,
                };
                known.insert(name.to_owned(), (verdict, of_tests == tests));
            }
        }
        let file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        Results { file, library: library.to_owned(), tests: tests.to_owned(), known }
    }

    pub fn is_open(&self, name: &str, again: bool) -> bool {
        match self.known.get(name) {
            Some((Verdict::Caught | Verdict::Unviable, _)) => false,
            Some((_, same_tests)) => again || !same_tests,
            None => true,
        }
    }

    pub fn add(&mut self, name: &str, outcome: Outcome) {
        let (verdict, word, test) = match &outcome {
            Outcome::Caught(test) => (Verdict::Caught, "caught", test.as_str()),
            Outcome::TimedOut(test) => (Verdict::Caught, "timeout", test.as_str()),
            Outcome::Missed => (Verdict::Missed, "missed", ""),
            Outcome::Unreached => (Verdict::Unreached, "unreached", ""),
        };
        self.note(name, verdict, word, test);
    }

    /// A change of which the build has shown that it does not compile.
    pub fn add_unviable(&mut self, name: &str) {
        self.note(name, Verdict::Unviable, "unviable", "");
    }

    fn note(&mut self, name: &str, verdict: Verdict, word: &str, test: &str) {
        let (library, tests) = (&self.library, &self.tests);
        writeln!(self.file, "{library}\t{tests}\t{word}\t{test}\t{name}").unwrap();
        self.known.insert(name.to_owned(), (verdict, true));
    }

    pub fn verdict(&self, name: &str) -> Verdict {
        self.known.get(name).map_or(Verdict::Open, |(verdict, _)| *verdict)
    }
}

/// The counts of a file.
#[derive(Default)]
pub struct Row {
    file: String,
    all: u32,
    caught: u32,
    missed: u32,
    explained: u32,
    unviable: u32,
    open: u32,
}

impl Row {
    /// Every change that compiles was caught, or is explained.
    pub fn passes(&self) -> bool {
        self.missed == 0 && self.open == 0
    }

    fn add(&mut self, verdict: Verdict) {
        self.all += 1;
        *match verdict {
            Verdict::Caught => &mut self.caught,
            Verdict::Missed | Verdict::Unreached => &mut self.missed,
            Verdict::Explained => &mut self.explained,
            Verdict::Unviable => &mut self.unviable,
            Verdict::Open => &mut self.open,
        } += 1;
    }

    /// Caught of those that were tried and of those that are open, in percent.
    fn score(&self) -> f64 {
        let tried = self.caught + self.missed + self.open;
        if tried == 0 { 100.0 } else { 100.0 * f64::from(self.caught) / f64::from(tried) }
    }
}

pub fn rows(verdicts: &[(&Change, Verdict)]) -> Vec<Row> {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for (change, verdict) in verdicts {
        rows.entry(&change.file).or_default().add(*verdict);
    }
    rows.into_iter().map(|(file, row)| Row { file: file.to_owned(), ..row }).collect()
}

/// The table, as Markdown.
pub fn text(rows: &[Row], commit: &str) -> String {
    let mut sum = Row { file: "all".to_owned(), ..Row::default() };
    let mut text = String::new();
    writeln!(text, "| file at `{commit}` | changes | caught | missed | not tried | explained | do not compile | score |").unwrap();
    writeln!(text, "|---|--:|--:|--:|--:|--:|--:|--:|").unwrap();
    for row in rows {
        sum.all += row.all;
        sum.caught += row.caught;
        sum.missed += row.missed;
        sum.explained += row.explained;
        sum.unviable += row.unviable;
        sum.open += row.open;
    }
    for row in rows.iter().chain([&sum]) {
        let Row { file, all, caught, missed, explained, unviable, open } = row;
        let score = row.score();
        writeln!(text, "| {file} | {all} | {caught} | {missed} | {open} | {explained} | {unviable} | {score:.1} % |").unwrap();
    }
    text
}

/// Names what was not caught.
pub fn name_open(verdicts: &[(&Change, Verdict)]) {
    for (change, verdict) in verdicts {
        match verdict {
            Verdict::Missed => println!("missed       {}", change.name),
            Verdict::Unreached => println!("not reached  {}", change.name),
            Verdict::Open => println!("not tried    {}", change.name),
            Verdict::Caught | Verdict::Explained | Verdict::Unviable => {}
        }
    }
}

/// Puts the table at the end of a page, in the place of the one that was there.
pub fn write_page(path: &Path, table: &str) {
    let page = fs::read_to_string(path).expect("the page is there");
    let (text, _) = page.split_once("| file at ").expect("the page has a table");
    fs::write(path, format!("{text}{table}")).unwrap();
}
