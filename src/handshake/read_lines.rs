//! Reads the lines of a head: request line, status line and header lines (RFC 9112 3, 4, 5). `httparse` checks their
//! syntax. What it tolerates and RFC 9112 does not is refused by `head_buffer.rs`, which finds the end of a head. What
//! the lines mean is left to each role.

use alloc::vec;

use httparse::{EMPTY_HEADER, Request, Response, Status};

use super::error::HandshakeError;
use super::fields::Fields;
use super::version::{HttpVersion, parse_http_version};

/// The number of header lines whose table is on the stack: 512 bytes.
const FEW_LINES: usize = 16;

/// The parts of a request line (RFC 9112 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestLine<'h> {
    pub(super) method: &'h str,
    /// UTF-8 without white space and control characters. An upgrade requires ASCII; `request.rs` checks that.
    pub(super) target: &'h [u8],
    pub(super) version: HttpVersion,
}

/// Reads a request line, CR LF included. The version must be 1.0 or 1.1 (RFC 9112 2.3).
pub(super) fn read_request_line(line: &[u8]) -> Result<RequestLine<'_>, HandshakeError> {
    let mut request = Request::new(&mut []);
    let parsed = request.parse(line);
    match (parsed, request.method, request.path, request.version) {
        (Ok(_), Some(method), Some(target), Some(version @ (0 | 1))) => {
            let version = if version == 0 { HttpVersion::Http10 } else { HttpVersion::Http11 };
            Ok(RequestLine { method, target: target.as_bytes(), version })
        }
        (Err(httparse::Error::Version), ..) => {
            let word =
                line.strip_suffix(b"\r\n").and_then(|line| line.rsplit(|b| *b == b' ').next());
            Err(match word.and_then(parse_http_version) {
                Some((1, 0 | 1)) | None => HandshakeError::RequestLine,
                Some((major, minor)) => HandshakeError::HttpVersion { major, minor },
            })
        }
        _ => Err(HandshakeError::RequestLine),
    }
}

/// Reads a status line, CR LF included (RFC 9112 4), and returns the status.
pub(super) fn read_status_line(line: &[u8]) -> Result<u16, HandshakeError> {
    let mut response = Response::new(&mut []);
    let parsed = response.parse(line);
    match (parsed, response.version, response.code) {
        (Ok(_), Some(1), Some(status @ 100..)) => Ok(status),
        // A proxy or a refusal may use HTTP/1.0, which has no 1xx. RFC 6455 4.1: a 101 is HTTP/1.1.
        (Ok(_), Some(0), Some(status @ 200..)) => Ok(status),
        _ => Err(match line.split(|&byte| byte == b' ').next().and_then(parse_http_version) {
            Some((1, 1)) | None => HandshakeError::StatusLine,
            Some((major, minor)) => HandshakeError::HttpVersion { major, minor },
        }),
    }
}

/// Reads at most `limit` header lines and the blank line that ends them (RFC 9112 5), and gathers the headers that
/// matter. The parser's table has 32 bytes for each line that has arrived, not for each that is allowed. It is on the
/// heap if there are many lines.
pub(super) fn read_headers(lines: &[u8], limit: usize) -> Result<Fields<'_>, HandshakeError> {
    // The blank line needs no slot.
    let count = lines.iter().filter(|&&byte| byte == b'\n').count().saturating_sub(1);
    let needed = count.min(limit);
    let mut few = [EMPTY_HEADER; FEW_LINES];
    let mut many;
    let slots = match few.get_mut(..needed) {
        Some(few) => few,
        None => {
            many = vec![EMPTY_HEADER; needed];
            &mut many[..]
        }
    };
    let error = match httparse::parse_headers(lines, slots) {
        Ok(Status::Complete((_, headers))) => {
            let headers = headers.iter().map(|header| (header.name, header.value));
            return Ok(Fields::gather(headers));
        }
        Ok(Status::Partial) => httparse::Error::HeaderName,
        Err(error) => error,
    };
    // The first line over the limit is not judged.
    let is_full = slots.last().is_none_or(|last| !last.name.is_empty());
    Err(match error {
        _ if count > limit && is_full => HandshakeError::TooManyHeaders { limit },
        httparse::Error::HeaderValue => HandshakeError::InvalidHeaderValue,
        _ => HandshakeError::InvalidHeaderName,
    })
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

    /// Texts that differ from this one by one byte.
    fn neighbours(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        (0..text.len()).flat_map(move |at| {
            let (front, back) = text.split_at(at);
            let other = (0..=255).map(move |byte| [front, &[byte], &back[1..]].concat());
            let more = b"\t\r\n :a_\x7f\xff".map(|byte| [front, &[byte], back].concat());
            other.chain(more).chain([[front, &back[1..]].concat()])
        })
    }

    /// Whether the head buffer would accept this: all lines end in CR LF, and the only blank line is the last.
    fn is_whole(head: &[u8]) -> bool {
        let lines: Vec<&[u8]> = head.split_inclusive(|&byte| byte == b'\n').collect();
        let blank = lines.iter().position(|line| *line == b"\r\n");
        lines.iter().all(|line| line.ends_with(b"\r\n")) && blank == Some(lines.len() - 1)
    }

    fn is_token(text: &[u8]) -> bool {
        let is_token =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        !text.is_empty() && text.iter().all(is_token)
    }

    /// RFC 9110 5.5: no control character but a tab.
    fn is_value(text: &[u8]) -> bool {
        text.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
    }

    /// Whether header lines are well-formed: a plain reading of the grammar.
    fn are_header_lines(lines: &[u8]) -> bool {
        let lines = lines.strip_suffix(b"\r\n").expect("the blank line");
        let good = |line: &[u8]| {
            let line = line.strip_suffix(b"\r\n").expect("whole lines");
            let colon = line.iter().position(|&byte| byte == b':');
            colon.is_some_and(|colon| is_token(&line[..colon]) && is_value(&line[colon + 1..]))
        };
        lines.split_inclusive(|&byte| byte == b'\n').all(good)
    }

    /// Whether a request line is well-formed.
    fn is_request_line(line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\r\n").expect("a whole line");
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let [method, target, version] = words[..] else { return false };
        let is_target = !target.is_empty() && target.iter().all(|&b| b > b' ' && b != 0x7f);
        let is_version = matches!(version, b"HTTP/1.0" | b"HTTP/1.1");
        is_token(method) && is_target && str::from_utf8(target).is_ok() && is_version
    }

    /// Whether a status line is well-formed. HTTP/1.0 has no 1xx, and no status is below 100.
    fn is_status_line(line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\r\n").expect("a whole line");
        let Some((version, rest)) = line.split_at_checked(9) else { return false };
        let Some((digits, reason)) = rest.split_at_checked(3) else { return false };
        let least = match version {
            b"HTTP/1.1 " => b'1',
            b"HTTP/1.0 " => b'2',
            _ => return false,
        };
        let is_reason = matches!(reason, [] | [b' ', ..]) && is_value(reason);
        is_reason && digits.iter().all(u8::is_ascii_digit) && digits[0] >= least
    }

    #[test]
    fn lines_are_good_or_bad_as_the_grammar_says() {
        // rfc9112-3-01, rfc9112-4-01, rfc9112-5.1-01, rfc9110-5.1-01, 5.5-01, 5.5-02, 5.5-03
        type Line = (&'static [u8], fn(&[u8]) -> bool, fn(&[u8]) -> bool);
        let heads: [Line; 2] = [
            (REQUEST, |line| read_request_line(line).is_ok(), is_request_line),
            (RESPONSE, |line| read_status_line(line).is_ok(), is_status_line),
        ];
        for (head, read_line, is_line) in heads {
            let mut verdicts = [0; 2];
            for text in neighbours(head).filter(|text| is_whole(text) && text[0] != b'\r') {
                let first = text.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
                let (line, lines) = text.split_at(first);
                assert_eq!(read_line(line), is_line(line), "{text:?}");
                let fields = read_headers(lines, 16);
                assert_eq!(fields.is_ok(), are_header_lines(lines), "{text:?}");
                verdicts[usize::from(read_line(line) && fields.is_ok())] += 1;
            }
            assert!(verdicts.iter().all(|&count| count > 1000), "{verdicts:?}");
        }
    }

    #[test]
    fn any_number_of_lines_is_read() {
        for lines in [0, 1, FEW_LINES - 1, FEW_LINES, FEW_LINES + 1, 5000] {
            let text = ["a:\r\n".repeat(lines), "Host: h\r\n\r\n".into()].concat();
            for limit in [lines + 1, lines + 2, usize::MAX] {
                let fields = read_headers(text.as_bytes(), limit).expect("no more than the limit");
                assert_eq!(fields.host, super::super::fields::Single::Once(b"h"), "{lines}");
            }
            let error = Err(E::TooManyHeaders { limit: lines });
            assert_eq!(read_headers(text.as_bytes(), lines), error);
        }
    }

    #[test]
    fn lines_have_their_own_errors() {
        let headers = |text: &[u8]| read_headers(text, 2).err();
        for (text, error) in [
            (&b"\r\n"[..], None),
            (b"a:\r\nb: c\r\n\r\n", None),
            (b"a:\r\nb:\r\nc:\r\n\r\n", Some(E::TooManyHeaders { limit: 2 })),
            // The first fault decides.
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
