//! The header lines of a valid head, in order (RFC 9110 5). The readers decide whether a head is valid.

use core::fmt;
use core::iter::FusedIterator;

use super::syntax::trim;

/// One header line of a request or response (RFC 9110 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Header<'a> {
    /// The name as it was sent. Names are compared without regard to case.
    pub name: &'a str,
    /// The value without the white space around it; mostly ASCII, but any byte from 0x80 is allowed.
    pub value: &'a [u8],
}

impl<'a> Header<'a> {
    /// Whether the header has this name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value as text; `None` if it is not UTF-8.
    pub fn value_str(&self) -> Option<&'a str> {
        core::str::from_utf8(self.value).ok()
    }
}

impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("name", &self.name)
            .field("value_bytes", &self.value.len())
            .finish()
    }
}

/// The header lines of a head in the order they were sent.
#[derive(Clone)]
pub struct Headers<'a> {
    /// The remaining lines, each with its CR LF, and the blank line at the end.
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// The headers of a complete, valid head.
    pub(super) fn of(head: &'a [u8]) -> Self {
        Headers { rest: split_line(head).1 }
    }

    /// The value of the first header of this name, in any case.
    pub fn get(mut self, name: &str) -> Option<&'a [u8]> {
        self.find(|header| header.is(name)).map(|header| header.value)
    }

    /// The values of all headers of this name, in order.
    pub(super) fn named(self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.filter(move |header| header.is(name)).map(|header| header.value)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        let (line, rest) = split_line(self.rest);
        let colon = line.iter().position(|&byte| byte == b':')?;
        self.rest = rest;
        let name = core::str::from_utf8(&line[..colon])
            .expect("a head that was found good has token names");
        Some(Header { name, value: trim(&line[colon + 1..]) })
    }
}

impl FusedIterator for Headers<'_> {}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The first line without its CR LF, and what is behind it.
pub(super) fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(lf) => (&bytes[..lf.saturating_sub(1)], &bytes[lf + 1..]),
        None => (bytes, &[]),
    }
}

/// The first line with its CR LF, and what is behind it.
pub(super) fn split_line_inclusive(head: &[u8]) -> (&[u8], &[u8]) {
    head.split_at(head.iter().position(|&byte| byte == b'\n').map_or(head.len(), |lf| lf + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn headers_are_walked_as_httparse_sees_them() {
        let head = b"GET / HTTP/1.1\r\nA:\r\nB: \t \r\nc:d\r\nE: \tf g\t \r\nA: \xff:\r\n\r\n";
        let mut slots = [httparse::EMPTY_HEADER; 8];
        let mut request = httparse::Request::new(&mut slots);
        assert!(request.parse(head).is_ok_and(|status| status.is_complete()));
        let theirs: Vec<_> =
            request.headers.iter().map(|header| (header.name, header.value)).collect();
        let ours: Vec<_> = Headers::of(head).map(|header| (header.name, header.value)).collect();
        assert_eq!(ours, theirs);
        assert_eq!(ours.len(), 5);
        assert_eq!(Headers::of(head).named("a").count(), 2);
    }
}
