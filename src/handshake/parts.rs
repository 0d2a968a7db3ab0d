//! Writes the parts of a head that another HTTP/1.1 stack has parsed as lines again, so that the readers of heads judge
//! them by the same rules. It checks only that no part can end its place in a line.

use alloc::vec::Vec;

use super::error::HandshakeError;
use super::headers::Header;
use super::syntax;
use super::version::HttpVersion;
use super::write_lines::write_header;

/// Writes a request line. Returns an error if the method is not a token, or if the target is empty or has white space
/// or a control character.
pub(super) fn write_request_line(
    method: &str,
    target: &str,
    version: HttpVersion,
) -> Result<Vec<u8>, HandshakeError> {
    // RFC 9112 3: a space separates the parts.
    let is_target =
        !target.is_empty() && syntax::len_from::<b'!'>(target.as_bytes()) == target.len();
    if !syntax::is_token(method.as_bytes()) || !is_target {
        return Err(HandshakeError::RequestLine);
    }
    Ok(alloc::format!("{method} {target} {version}\r\n").into_bytes())
}

/// Writes a status line. The reader refuses a status that has not three digits.
pub(super) fn write_status_line(version: HttpVersion, status: u16) -> Vec<u8> {
    alloc::format!("{version} {status:03} \r\n").into_bytes()
}

/// Appends header lines and the blank line to a first line. It stops behind the line that exceeds `limit` bytes, since
/// the reader refuses such a head.
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
        write_header(&mut head, name, value);
    }
    head.extend_from_slice(b"\r\n");
    Ok(head)
}
