//! The headers of a valid head, in order (RFC 9110 5): the lines of HTTP/1.1, or the list of an HTTP stack. The readers
//! decide whether a head is valid.

use alloc::borrow::Cow;
use core::fmt;
use core::iter::FusedIterator;
use core::slice;

use super::syntax::trim;

/// One header: a name and a value (RFC 9110 5).
///
/// Another HTTP stack's headers are passed as this type, or as pairs that convert into it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Header<'a> {
    /// The name as it was sent. Names are compared without regard to case.
    pub name: &'a str,
    /// The value; mostly ASCII, but any byte from 0x80 is allowed. It has no white space around it if it was received
    /// over HTTP/1.1.
    pub value: &'a [u8],
}

impl<'a> Header<'a> {
    /// Whether the header has this name, in any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value as text; `None` if it is not UTF-8.
    #[must_use]
    pub fn value_str(&self) -> Option<&'a str> {
        core::str::from_utf8(self.value).ok()
    }
}

impl<'a> From<(&'a str, &'a [u8])> for Header<'a> {
    fn from((name, value): (&'a str, &'a [u8])) -> Self {
        Header { name, value }
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

/// The headers of a request or response, in the order in which they were sent.
///
/// It is an iterator over them. [`get`](Headers::get) and [`get_all`](Headers::get_all) search those that it has not
/// returned yet.
///
/// ```
/// use websocket_proto::{Config, Connection, Event};
///
/// let mut request = *b"GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 a\r\nVia: 1.1 b\r\n\r\n";
/// let mut conn = Connection::server(Config::default());
/// let Some(Event::PlainRequest(request)) = conn.receive(&mut &mut request[..]) else { panic!() };
/// let headers = request.headers();
/// assert_eq!(headers.get("via"), Some(&b"1.1 a"[..]));
/// assert!(headers.get_all("via").eq([b"1.1 a", b"1.1 b"]));
/// assert!(headers.map(|header| header.name).eq(["Host", "Via", "Via"]));
/// ```
#[derive(Clone)]
pub struct Headers<'a> {
    rest: Rest<'a>,
}

/// Name and value of a header in a list, borrowed or owned.
pub(super) type Pair<'a> = (Cow<'a, str>, Cow<'a, [u8]>);

/// The remaining headers.
#[derive(Clone)]
enum Rest<'a> {
    /// Lines, each with its CR LF, and the blank line at the end.
    Lines(&'a [u8]),
    List(slice::Iter<'a, Pair<'a>>),
}

impl<'a> Headers<'a> {
    /// The headers of a complete, valid head.
    #[inline]
    pub(super) fn of_head(head: &'a [u8]) -> Self {
        Headers { rest: Rest::Lines(split_line(head).1) }
    }

    /// The headers of a list.
    pub(super) fn of_list(list: &'a [Pair<'a>]) -> Self {
        Headers { rest: Rest::List(list.iter()) }
    }

    /// The value of the first header of this name, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// The values of all headers of this name, in any case, in order.
    pub fn get_all<'n>(
        &self,
        name: &'n str,
    ) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a, 'n> {
        self.clone().filter(move |header| header.is(name)).map(|header| header.value)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        match &mut self.rest {
            Rest::Lines(lines) => {
                let (line, rest) = split_line(lines);
                let colon = line.iter().position(|&byte| byte == b':')?;
                *lines = rest;
                let name = core::str::from_utf8(&line[..colon])
                    .expect("a head that was found good has token names");
                Some(Header { name, value: trim(&line[colon + 1..]) })
            }
            Rest::List(list) => list.next().map(|(name, value)| Header { name, value }),
        }
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
    fn a_list_is_walked_like_the_lines_of_a_head() {
        let head = b"GET / HTTP/1.1\r\nA: b\r\nC: d\r\na: e\r\n\r\n";
        let list: Vec<Pair<'_>> = Headers::of_head(head)
            .map(|header| (Cow::Owned(header.name.into()), Cow::Borrowed(header.value)))
            .collect();
        for mut headers in [Headers::of_head(head), Headers::of_list(&list)] {
            assert_eq!((headers.get("a"), headers.get("x")), (Some(&b"b"[..]), None));
            assert!(headers.get_all("A").eq([b"b", b"e"]));
            assert_eq!(headers.next(), Some(Header { name: "A", value: b"b" }));
            assert_eq!(headers.get("a"), Some(&b"e"[..]), "what was returned is not searched");
            assert_eq!(headers.by_ref().count(), 2);
            assert_eq!(headers.next(), None);
        }
    }

    #[test]
    fn headers_are_walked_as_httparse_sees_them() {
        let head = b"GET / HTTP/1.1\r\nA:\r\nB: \t \r\nc:d\r\nE: \tf g\t \r\nA: \xff:\r\n\r\n";
        let mut slots = [httparse::EMPTY_HEADER; 8];
        let mut request = httparse::Request::new(&mut slots);
        assert!(request.parse(head).is_ok_and(|status| status.is_complete()));
        let theirs: Vec<_> =
            request.headers.iter().map(|header| (header.name, header.value)).collect();
        let ours: Vec<_> =
            Headers::of_head(head).map(|header| (header.name, header.value)).collect();
        assert_eq!(ours, theirs);
        assert_eq!(ours.len(), 5);
        assert!(Headers::of_head(head).get_all("a").eq([&b""[..], b"\xff:"]));
    }
}
