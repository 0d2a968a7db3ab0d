//! Where else a close code is known than in its row in src/close_code.rs: each test names a place that a new row must
//! reach and that cannot be derived from it. The codes themselves are tested in tests/closing.rs and tests/control.rs.

use std::fs;
use std::path::Path;

use websocket_proto::{CloseCode, Role};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The names of the constants, read from the rows: no code can tell its name.
fn named() -> Vec<(String, CloseCode)> {
    let rows: Vec<(String, CloseCode)> = read("src/close_code.rs")
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("    ")?.split_once(" = ")?;
            let (number, _) = rest.split_once(", ")?;
            Some((name.to_owned(), CloseCode::new(number.parse().ok()?)))
        })
        .collect();
    let codes: Vec<CloseCode> = rows.iter().map(|(_, code)| *code).collect();
    assert_eq!(codes, CloseCode::NAMED, "the rows are read as the compiler reads them");
    rows
}

#[test]
fn named_codes_are_in_ascending_order() {
    assert!(CloseCode::NAMED.is_sorted_by(|before, code| before < code));
}

#[test]
fn lists_of_names_have_every_named_code() {
    // rfc6455-7.4.1-02
    let lists = [("docs/examples/decode.rs", " =>"), ("tests/closing.rs", ", ")];
    let mut missing = Vec::new();
    for (path, behind) in lists {
        let text = read(path);
        for (name, code) in named() {
            if !text.contains(&format!("CloseCode::{name}{behind}")) {
                missing.push(format!("{path} lists the close codes, but not {name}, {code}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn sentences_about_codes_on_the_wire_name_all_of_them() {
    // rfc6455-7.4-01, rfc6455-7.4.2-01
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for code in (0..=u16::MAX).filter(|code| CloseCode::new(*code).is_sendable_by(Role::Client)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == code => *last = code,
            _ => ranges.push((code, code)),
        }
    }
    let mut missing = Vec::new();
    for path in ["src/close_code.rs", "src/strategies/close.rs", "tests/conformance/choices.md"] {
        let text = read(path);
        for (first, last) in &ranges {
            let range = match first == last {
                true => format!("{first}"),
                false => format!("{first} to {last}"),
            };
            if !text.contains(&range) {
                missing.push(format!("{path} does not say that {range} may be on the wire"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
