//! The lines of a head (RFC 9112 3, 4, 5): which request lines, status lines and header lines are well-formed, and their
//! parts. Where a head ends is found by `head.rs`; what the lines mean is left to the rules of each role.
//!
//! A line is read in one pass, and nothing is stored of it: any number of lines takes no memory.

use super::error::HandshakeError;
use super::fields::Fields;
use super::request::HttpVersion;
use super::syntax::{len_from, token_len, trim, value_len};

/// The parts of a request line (RFC 9112 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestLine<'h> {
    pub(super) method: &'h str,
    /// UTF-8 without white space and control characters. That it is ASCII is checked where it matters.
    pub(super) target: &'h [u8],
    pub(super) version: HttpVersion,
}

/// Reads a request line, CR LF included. Of the versions that look so, 1.0 and 1.1 exist (RFC 9112 2.3).
pub(super) fn read_request_line(line: &[u8]) -> Result<RequestLine<'_>, HandshakeError> {
    let (method, target, version) = split_request_line(line).ok_or(HandshakeError::RequestLine)?;
    let version = match version {
        (1, 0) => HttpVersion::Http10,
        (1, 1) => HttpVersion::Http11,
        (major, minor) => return Err(HandshakeError::HttpVersion { major, minor }),
    };
    Ok(RequestLine { method, target, version })
}

/// Method, target, and the numbers of the version.
fn split_request_line(line: &[u8]) -> Option<(&str, &[u8], (u8, u8))> {
    // RFC 9112 3: method, target and version with one space between them.
    let (method, rest) = line.split_at(token_len(line));
    let rest = rest.strip_prefix(b" ")?;
    let (target, rest) = rest.split_at(len_from::<b'!'>(rest));
    let version = rest.strip_prefix(b" ")?.strip_suffix(b"\r\n")?;
    if method.is_empty() || target.is_empty() {
        return None;
    }
    core::str::from_utf8(target).ok()?;
    Some((core::str::from_utf8(method).ok()?, target, parse_version(version)?))
}

/// Reads a status line, CR LF included (RFC 9112 4), and returns the status.
pub(super) fn read_status_line(line: &[u8]) -> Result<u16, HandshakeError> {
    let (version, rest) = line.split_at(line.len().min("HTTP/1.1".len()));
    match (parse_version(version), parse_status(rest)) {
        (Some((1, 1)), Some(status @ 100..)) => Ok(status),
        // RFC 6455 4.1: an upgrade is HTTP/1.1. A proxy, or a refusal, may speak HTTP/1.0, which has no 1xx.
        (Some((1, 0)), Some(status @ 200..)) => Ok(status),
        (Some((1, 1)) | None, _) => Err(HandshakeError::StatusLine),
        // A longer word is no version.
        (Some(_), _) if !rest.starts_with(b" ") => Err(HandshakeError::StatusLine),
        (Some((major, minor)), _) => Err(HandshakeError::HttpVersion { major, minor }),
    }
}

/// Reads what is behind the version: three digits, and a reason, whose space may be missing with it.
fn parse_status(rest: &[u8]) -> Option<u16> {
    let [b' ', digits @ .., b'\r', b'\n'] = rest else { return None };
    let (digits, reason) = digits.split_first_chunk::<3>()?;
    let is_reason = matches!(reason, [] | [b' ', ..]);
    if !is_reason || value_len(reason) < reason.len() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |all, digit| 10 * all + u16::from(digit - b'0')))
}

/// The numbers of `HTTP/1.1` (RFC 9112 2.3).
fn parse_version(word: &[u8]) -> Option<(u8, u8)> {
    match word {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Some((major - b'0', minor - b'0'))
        }
        _ => None,
    }
}

/// Reads header lines to the blank line (RFC 9112 5), `limit` of them at most, gathers what matters, and returns what
/// is behind. A line that is cut off is an error like one that is malformed.
#[inline]
pub(super) fn read_headers<'h>(
    mut rest: &'h [u8],
    limit: usize,
    fields: &mut Fields<'h>,
) -> Result<&'h [u8], HandshakeError> {
    let mut left = limit;
    loop {
        if let [b'\r', b'\n', behind @ ..] = rest {
            return Ok(behind);
        }
        if left == 0 {
            return Err(HandshakeError::TooManyHeaders { limit });
        }
        left -= 1;
        // RFC 9112 5.1: no white space before the colon, nor, by 5.2, before the name.
        let (name, [b':', line @ ..]) = rest.split_at(token_len(rest)) else {
            return Err(HandshakeError::InvalidHeaderName);
        };
        if name.is_empty() {
            return Err(HandshakeError::InvalidHeaderName);
        }
        // Most values have no tab.
        let (value, behind) = match line.split_at(len_from::<b' '>(line)) {
            (value, [b'\r', b'\n', behind @ ..]) => (value, behind),
            _ => split_value(line)?,
        };
        fields.add(name, trim(value));
        rest = behind;
    }
}

/// A value, and what is behind the end of its line.
#[cold]
fn split_value(line: &[u8]) -> Result<(&[u8], &[u8]), HandshakeError> {
    // RFC 9110 5.5: no control character but a tab.
    match line.split_at(value_len(line)) {
        (value, [b'\r', b'\n', behind @ ..]) => Ok((value, behind)),
        _ => Err(HandshakeError::InvalidHeaderValue),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HandshakeError as E;
    use std::vec::Vec;

    const REQUEST: &[u8] =
        b"GET /a?b HTTP/1.1\r\nHost: h:8\r\nUpgrade:websocket\r\nX_y.z:  a\xff\t \r\n\
        connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nE:\r\nA: \tb\tc\r\n\r\n";

    const RESPONSE: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nE:\r\nA: \tb\tc\r\n\r\n";

    /// Texts that are one byte away from this one.
    fn neighbours(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        (0..text.len()).flat_map(move |at| {
            let (front, back) = text.split_at(at);
            let other = (0..=255).map(move |byte| [front, &[byte], &back[1..]].concat());
            let more = b"\t\r\n :a_\x7f\xff".map(|byte| [front, &[byte], back].concat());
            other.chain(more).chain([[front, &back[1..]].concat()])
        })
    }

    /// Whether the head reader would hand this over: lines that end in CR LF, to the first blank one.
    fn is_whole(head: &[u8]) -> bool {
        let lines: Vec<&[u8]> = head.split_inclusive(|&byte| byte == b'\n').collect();
        let blank = lines.iter().position(|line| *line == b"\r\n");
        lines.iter().all(|line| line.ends_with(b"\r\n")) && blank == Some(lines.len() - 1)
    }

    #[test]
    fn heads_are_good_or_bad_as_httparse_says() {
        // rfc9112-3-01, rfc9112-4-01, rfc9112-5.1-01, rfc9110-5.1-01, 5.5-01, 5.5-02, 5.5-03
        let mut verdicts = [0; 2];
        for text in neighbours(REQUEST).filter(|text| is_whole(text) && text[0] != b'\r') {
            let mut slots = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut slots);
            let theirs = request.parse(&text).is_ok_and(|status| status.is_complete());
            let first = text.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
            let line = read_request_line(&text[..first]);
            let mut fields = Fields::default();
            let ours = line.clone().and_then(|_| read_headers(&text[first..], 16, &mut fields));
            verdicts[usize::from(theirs)] += 1;
            assert_eq!(ours.is_ok(), theirs, "{text:?}");
            if theirs {
                let line = line.expect("a good line");
                let target = request.path.map(str::as_bytes);
                assert_eq!((Some(line.method), Some(line.target)), (request.method, target));
                assert_eq!(request.version, Some(u8::from(line.version == HttpVersion::Http11)));
                let headers = request.headers.iter().map(|header| (header.name, header.value));
                assert_eq!(fields, Fields::gather(headers), "{text:?}");
                assert_eq!(ours, Ok(&[][..]));
            }
        }
        assert!(verdicts.iter().all(|&count| count > 3000), "{verdicts:?}");
        let mut verdicts = [0; 2];
        for text in neighbours(RESPONSE).filter(|text| is_whole(text) && text[0] != b'\r') {
            let mut slots = [httparse::EMPTY_HEADER; 16];
            let mut response = httparse::Response::new(&mut slots);
            let theirs = response.parse(&text).is_ok_and(|status| status.is_complete());
            let first = text.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
            let mut fields = Fields::default();
            let ours = read_status_line(&text[..first])
                .and_then(|status| Ok((status, read_headers(&text[first..], 16, &mut fields)?)));
            // Below 100 there is no status, and HTTP/1.0 has no 1xx.
            let is_status = match (response.version, response.code) {
                (Some(0), code) => code >= Some(200),
                (_, code) => code >= Some(100),
            };
            verdicts[usize::from(theirs)] += 1;
            assert_eq!(ours.is_ok(), theirs && is_status, "{text:?}");
            if let Ok((status, _)) = ours {
                assert_eq!(Some(status), response.code, "{text:?}");
            }
        }
        assert!(verdicts.iter().all(|&count| count > 1000), "{verdicts:?}");
    }

    #[test]
    fn lines_have_their_own_errors() {
        let headers = |text: &[u8]| read_headers(text, 2, &mut Fields::default()).err();
        for (text, error) in [
            (&b"\r\n"[..], None),
            (b"a:\r\nb: c\r\n\r\n", None),
            (b"a:\r\nb:\r\nc:\r\n\r\n", Some(E::TooManyHeaders { limit: 2 })),
            // What comes first decides.
            (b"a:\r\nb:\r\nc\r\n\r\n", Some(E::TooManyHeaders { limit: 2 })),
            (b"a:\r\n\0\r\n\r\n", Some(E::InvalidHeaderName)),
            (b"a: \0\r\nb\r\n\r\n", Some(E::InvalidHeaderValue)),
        ] {
            assert_eq!(headers(text), error, "{text:?}");
        }
        for (line, expected) in [
            (&b"HTTP/1.1 200\r\n"[..], Ok(200)),
            (b"HTTP/1.1 999 \xff\t\r\n", Ok(999)),
            (b"HTTP/1.0 200 OK\r\n", Ok(200)),
            (b"HTTP/1.0 199 OK\r\n", Err(E::HttpVersion { major: 1, minor: 0 })),
            (b"HTTP/1.2 101 OK\r\n", Err(E::HttpVersion { major: 1, minor: 2 })),
            (b"HTTP/1.10 101 OK\r\n", Err(E::StatusLine)),
            (b"HTTP/2.00 101 OK\r\n", Err(E::StatusLine)),
            (b"HTTP/1.1 099 No\r\n", Err(E::StatusLine)),
            (b"HTTP/1.1 200a\r\n", Err(E::StatusLine)),
            (b"HTTP/1.1 200 a\x7f\r\n", Err(E::StatusLine)),
            (b"HTTP/1.1\r\n", Err(E::StatusLine)),
            (b"H\r\n", Err(E::StatusLine)),
        ] {
            assert_eq!(read_status_line(line), expected, "{line:?}");
        }
    }
}
