//! Writes the parts of a head that another HTTP/1.1 stack has parsed as lines again, so that the readers of heads judge
//! them by the same rules. It checks only that no part can end its place in a line. Of a head above the limit it writes
//! one byte more than the limit, by which the reader knows that it is too long.

use alloc::vec::Vec;

use super::error::HandshakeError;
use super::headers::Header;
use super::syntax;
use super::version::HttpVersion;
use super::write_lines::put_header;

/// Writes a request line. Returns an error if the method is not a token, or if the target is empty or has white space
/// or a control character.
pub(super) fn write_request_line(
    method: &str,
    target: &str,
    version: HttpVersion,
    limit: usize,
) -> Result<Vec<u8>, HandshakeError> {
    // RFC 9112 3: a space separates the parts.
    let is_target =
        !target.is_empty() && syntax::len_from::<b'!'>(target.as_bytes()) == target.len();
    if !syntax::is_token(method.as_bytes()) || !is_target {
        return Err(HandshakeError::RequestLine);
    }
    let mut head = Vec::new();
    let end = alloc::format!(" {version}\r\n");
    for part in [method, " ", target, &end] {
        append(&mut head, part.as_bytes(), limit);
    }
    Ok(head)
}

/// Writes a status line. The reader refuses a status that has not three digits.
pub(super) fn write_status_line(version: HttpVersion, status: u16) -> Vec<u8> {
    alloc::format!("{version} {status:03} \r\n").into_bytes()
}

/// Appends header lines and the blank line to a first line.
pub(super) fn write_header_lines<'h>(
    mut head: Vec<u8>,
    headers: impl Iterator<Item = Header<'h>>,
    limit: usize,
) -> Result<Vec<u8>, HandshakeError> {
    for Header { name, value } in headers {
        if head.len() > limit {
            break;
        }
        // RFC 9110 5.1: a name is a token.
        if !syntax::is_token(name.as_bytes()) {
            return Err(HandshakeError::InvalidHeaderName);
        }
        // RFC 9110 5.5: CR, LF or NUL in a value could end the line.
        if syntax::value_len(value) < value.len() {
            return Err(HandshakeError::InvalidHeaderValue);
        }
        put_header(&mut |part| append(&mut head, part, limit), name, value);
    }
    append(&mut head, b"\r\n", limit);
    Ok(head)
}

/// Appends as much of `part` as fits into one byte more than `limit`.
fn append(head: &mut Vec<u8>, part: &[u8], limit: usize) {
    let room = limit.saturating_add(1).saturating_sub(head.len());
    head.extend_from_slice(&part[..part.len().min(room)]);
}
