//! Heads of HTTP messages, written by hand: what requests and responses have in common. `request.rs` and `response.rs`
//! say which lines they need, and what can be wrong with them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::config::Config;

/// A head: its first line and its header lines, without line ends.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) first: Vec<u8>,
    pub(super) lines: Vec<Vec<u8>>,
}

impl Head {
    /// Replaces the lines of this name by `lines`, which may be empty.
    pub(super) fn replace(&mut self, name: &str, lines: &[&str]) {
        let is_named = |line: &[u8]| {
            line.len() > name.len()
                && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
                && line[name.len()] == b':'
        };
        let at = self.lines.iter().position(|line| is_named(line)).unwrap_or(self.lines.len());
        self.lines.retain(|line| !is_named(line));
        self.lines.splice(at..at, lines.iter().map(|line| line.as_bytes().to_vec()));
    }

    pub(super) fn insert(&mut self, at: Index, line: impl Into<Vec<u8>>) {
        self.lines.insert(at.index(self.lines.len() + 1), line.into());
    }

    /// The bytes, and the length of the first line in bytes.
    pub(super) fn write(&self) -> (Vec<u8>, usize) {
        let mut bytes = self.first.clone();
        bytes.extend_from_slice(b"\r\n");
        let first_len = bytes.len();
        for line in &self.lines {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        (bytes, first_len)
    }

    /// The bytes with one line that ends in a bare LF, and the place of the LF.
    pub(super) fn write_with_bare_lf(&self, at: Index) -> (Vec<u8>, usize) {
        let (mut bytes, _) = self.write();
        let ends: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] == b'\n').collect();
        let lf = ends[at.index(ends.len())];
        bytes.remove(lf - 1);
        (bytes, lf - 1)
    }
}

/// The form of a head, which must not change its meaning.
#[derive(Debug, Clone)]
pub(super) struct HeadForm {
    case: u8,
    space: &'static str,
    more: Vec<(Index, &'static str)>,
    /// Which header line comes first.
    rotate: Index,
}

pub(super) fn form() -> impl Strategy<Value = HeadForm> {
    const MORE: [&str; 5] = [
        "User-Agent: x/1.0",
        "Cookie: a=b; c=d",
        "X-Empty:",
        "Accept-Language: de,en;q=0.5",
        "X-Bytes: \u{e9}\t\u{20ac}",
    ];
    let more = vec((any::<Index>(), select(&MORE[..])), 0..=3);
    (0..3u8, select(&[" ", "", "\t ", "   "][..]), more, any::<Index>())
        .prop_map(|(case, space, more, rotate)| HeadForm { case, space, more, rotate })
}

impl HeadForm {
    /// Makes a head of this form with these headers.
    pub(super) fn head(&self, first: &str, headers: &[(&str, &str)]) -> Head {
        let line = |&(name, value): &(&str, &str)| {
            let name = match self.case {
                0 => String::from(name),
                1 => name.to_ascii_lowercase(),
                _ => name.to_ascii_uppercase(),
            };
            format!("{name}:{}{value}", self.space).into_bytes()
        };
        let mut head =
            Head { first: first.as_bytes().to_vec(), lines: headers.iter().map(line).collect() };
        for (at, line) in &self.more {
            head.insert(*at, *line);
        }
        let places = head.lines.len();
        head.lines.rotate_left(self.rotate.index(places));
        head
    }
}

/// Folded header lines (RFC 9112 5.2), which a server refuses and a client reads as one line.
pub(super) const FOLDED: [&str; 3] =
    ["X-Folded: a\r\n folded", "X-Folded: a \t\r\n\tfolded", "X-Folded:\r\n \r\n folded"];

/// Header lines that do not begin with a name and a colon (RFC 9112 5).
pub(super) const BAD_NAMES: [&str; 6] =
    ["X-Fault : a", "X-Fault", ": a", "X Fault: a", "X-\u{e9}: a", "X(Fault): a"];

/// A header with a control character in its value (RFC 9110 5.5), except LF, which ends a line.
pub(super) fn bad_value(pick: usize) -> Vec<u8> {
    let control: Vec<u8> = (0..0x20).chain([0x7f]).filter(|byte| !b"\t\n".contains(byte)).collect();
    [b"X-Fault: a", &control[pick % control.len()..][..1], b"b"].concat()
}

/// Extensions that break the grammar (RFC 6455 9.1).
pub(super) const BAD_EXTENSIONS: [&str; 6] = ["a b", "a;;", "=x", "a; b=", "a; b=\"c", "a; \"b\""];

/// The limit that a head exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Headers,
    Head,
    FirstLine,
}

/// Makes a head exceed the limit. Returns how many of its bytes decide that; `None` if all do.
pub(super) fn exceed(head: &mut Head, over: Over, at: Index, config: &Config) -> Option<usize> {
    match over {
        Over::Headers => {
            let limit = config.max_headers;
            for _ in head.lines.len()..=limit {
                head.insert(at, "a:");
            }
            None
        }
        Over::Head => {
            head.insert(at, format!("X-Long: {}", "a".repeat(config.max_head_bytes)));
            Some(config.max_head_bytes + 1)
        }
        Over::FirstLine => {
            let slash = head.first.iter().position(|&byte| byte == b' ').map_or(0, |at| at + 1);
            // The bytes are inserted behind the first space: into the request-target or the status.
            let long = alloc::vec![b'/'; config.max_head_bytes];
            head.first.splice(slash..slash, long);
            Some(config.max_head_bytes + 1)
        }
    }
}
