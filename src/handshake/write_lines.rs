//! Writes the lines of heads, and checks the headers that an application adds: names, values, and reserved names.

use alloc::vec::Vec;

use super::syntax;
use crate::error::UsageError;

/// Headers of a 101, and of a request, that an application must not add: the handshake writes them, or they would break
/// it.
pub(super) const RESERVED_IN_UPGRADE: &[&str] = &[
    "Connection",
    "Content-Length",
    "Host",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version",
    "Transfer-Encoding",
    "Upgrade",
];

/// Headers of other responses that an application must not add.
pub(super) const RESERVED_IN_RESPONSE: &[&str] =
    &["Connection", "Content-Length", "Sec-WebSocket-Accept", "Transfer-Encoding", "Upgrade"];

/// Checks a header that the application adds.
pub(super) fn check_header(name: &str, value: &[u8], reserved: &[&str]) -> Result<(), UsageError> {
    if !syntax::is_token(name.as_bytes()) {
        Err(UsageError::InvalidHeaderName)
    } else if reserved.iter().any(|other| other.eq_ignore_ascii_case(name)) {
        Err(UsageError::ReservedHeader)
    } else if !syntax::is_field_value(value) {
        Err(UsageError::InvalidHeaderValue)
    } else {
        Ok(())
    }
}

/// Appends the parts that `parts` passes to its argument. It calls `parts` twice: first to measure, then to write into
/// memory that is reserved once.
#[inline]
pub(super) fn write_parts(out: &mut Vec<u8>, parts: impl Fn(&mut dyn FnMut(&[u8]))) {
    let mut len = 0;
    parts(&mut |part| len += part.len());
    out.reserve_exact(len);
    parts(&mut |part| out.extend_from_slice(part));
}

/// The length in bytes of these header lines. It saturates: the same text may be borrowed many times.
pub(super) fn headers_len<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> u64 {
    let line = |(name, value): (&str, &[u8])| [name.len(), 4, value.len()].map(|part| part as u64);
    headers.flat_map(line).fold(0, u64::saturating_add)
}

/// Passes the parts of one header line to `put`.
pub(super) fn put_header(put: &mut dyn FnMut(&[u8]), name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        put(part);
    }
}

/// Appends one header line.
pub(super) fn write_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    put_header(&mut |part| out.extend_from_slice(part), name, value);
}
