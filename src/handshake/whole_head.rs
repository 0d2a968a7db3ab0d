//! Reads a head that lies whole in the input, in one pass: it checks every byte and gathers the headers that matter. It
//! accepts fewer heads than `httparse`, and reads those in the same way. It returns `None` for any other head;
//! `head_buffer.rs` and `read_lines.rs` then read it and find its error.

use super::fields::Fields;
use super::syntax::{len_from, token_len, trim};
use crate::config::Config;

/// Reads a GET over HTTP/1.1, and returns its target and the length of the head.
#[inline]
pub(super) fn read_request<'h>(
    input: &'h [u8],
    config: &Config,
    fields: &mut Fields<'h>,
) -> Option<(&'h [u8], usize)> {
    let rest = input.strip_prefix(b"GET ")?;
    // RFC 9112 3.2: a target has only visible characters.
    let (target, rest) = rest.split_at(len_from::<b'!'>(rest));
    if target.is_empty() || !target.is_ascii() {
        return None;
    }
    let rest = rest.strip_prefix(b" HTTP/1.1\r\n")?;
    let len = input.len() - read_headers(rest, config.max_headers, fields)?.len();
    (len <= config.max_head_bytes).then_some((target, len))
}

/// Reads a response over HTTP/1.1, and returns its status and the length of the head.
#[inline]
pub(super) fn read_response<'h>(
    input: &'h [u8],
    config: &Config,
    fields: &mut Fields<'h>,
) -> Option<(u16, usize)> {
    // RFC 9112 4: three digits, a space, and a reason that may be empty.
    let rest = input.strip_prefix(b"HTTP/1.1 ")?;
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', rest @ ..] = rest else {
        return None;
    };
    let status = [a, b, c].iter().fold(0, |all, &digit| 10 * all + u16::from(digit - b'0'));
    let (_reason, rest) = read_line(rest)?;
    let len = input.len() - read_headers(rest, config.max_headers, fields)?.len();
    (len <= config.max_head_bytes).then_some((status, len))
}

/// Reads at most `limit` header lines and the blank line (RFC 9112 5). Returns the bytes behind it.
#[inline]
fn read_headers<'h>(mut rest: &'h [u8], limit: usize, fields: &mut Fields<'h>) -> Option<&'h [u8]> {
    let mut left = limit;
    loop {
        if let [b'\r', b'\n', behind @ ..] = rest {
            return Some(behind);
        }
        left = left.checked_sub(1)?;
        // RFC 9112 5.1: no white space before the colon.
        let (name, [b':', line @ ..]) = rest.split_at(token_len(rest)) else { return None };
        if name.is_empty() {
            return None;
        }
        let (value, behind) = read_line(line)?;
        fields.add(name, trim(value));
        rest = behind;
    }
}

/// Splits off a line. Returns it without its CR LF, and the bytes behind it; `None` if it has a control character, a
/// tab included.
#[inline]
fn read_line(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, [b'\r', b'\n', behind @ ..]) = rest.split_at(len_from::<b' '>(rest)) else {
        return None;
    };
    Some((line, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const REQUEST: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: h:8\r\nUpgrade:websocket\r\nX_y.z:  a\xff \r\nconnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nE:\r\n\
        Sec-WebSocket-Extensions: a_b; c=\"d\", e\r\n\r\n\x81\n";

    const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat \r\n\r\n\x81\n";

    /// Texts that differ from this one by one byte: replaced by any other, inserted, or removed; and its beginnings.
    fn neighbours(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        (0..text.len()).flat_map(move |at| {
            let (front, back) = text.split_at(at);
            let other = (0..=255).map(move |byte| [front, &[byte], &back[1..]].concat());
            let more = b"\t\r\n :a_\x7f\xff".map(|byte| [front, &[byte], back].concat());
            other.chain(more).chain([[front, &back[1..]].concat(), front.to_vec()])
        })
    }

    fn fields_of<'h>(headers: &[httparse::Header<'h>]) -> Fields<'h> {
        Fields::gather(headers.iter().map(|header| (header.name, header.value)))
    }

    fn lines_end_in_crlf(head: &[u8]) -> bool {
        let count = |part: &[u8]| head.windows(part.len()).filter(|window| *window == part).count();
        count(b"\n") == count(b"\r\n") && count(b"\r") == count(b"\r\n")
    }

    #[test]
    fn requests_that_are_taken_are_those_that_httparse_sees() {
        let config = Config::default();
        let mut taken = 0;
        for text in neighbours(REQUEST).chain([REQUEST.to_vec()]) {
            let mut fields = Fields::default();
            let Some((target, len)) = read_request(&text, &config, &mut fields) else { continue };
            taken += 1;
            let mut slots = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut slots);
            assert_eq!(request.parse(&text), Ok(httparse::Status::Complete(len)), "{text:?}");
            assert_eq!(
                (request.method, request.path.map(str::as_bytes), request.version),
                (Some("GET"), Some(target), Some(1))
            );
            assert_eq!(fields, fields_of(request.headers), "{text:?}");
            assert!(lines_end_in_crlf(&text[..len]), "{text:?}");
        }
        assert!(taken > 10_000, "{taken}");
    }

    #[test]
    fn responses_that_are_taken_are_those_that_httparse_sees() {
        let config = Config::default();
        let mut taken = 0;
        for text in neighbours(RESPONSE).chain([RESPONSE.to_vec()]) {
            let mut fields = Fields::default();
            let Some((status, len)) = read_response(&text, &config, &mut fields) else { continue };
            taken += 1;
            let mut slots = [httparse::EMPTY_HEADER; 16];
            let mut response = httparse::Response::new(&mut slots);
            assert_eq!(response.parse(&text), Ok(httparse::Status::Complete(len)), "{text:?}");
            assert_eq!((response.code, response.version), (Some(status), Some(1)));
            assert_eq!(fields, fields_of(response.headers), "{text:?}");
            assert!(lines_end_in_crlf(&text[..len]), "{text:?}");
        }
        assert!(taken > 10_000, "{taken}");
    }

    #[test]
    fn heads_of_the_usual_shape_are_taken_up_to_the_limits() {
        let len = REQUEST.len() - 2;
        let taken = |max_headers, max_head_bytes| {
            let config = Config::builder().max_headers(max_headers).max_head_bytes(max_head_bytes);
            let config = config.build().unwrap();
            read_request(REQUEST, &config, &mut Fields::default())
        };
        assert_eq!(taken(8, len), Some((&b"/a?b"[..], len)));
        assert_eq!(taken(7, len), None);
        assert_eq!(taken(8, len - 1), None);
    }
}
