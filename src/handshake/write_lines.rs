//! Writes the lines of heads. What is in them, and whether it may be sent, is decided by each writer of a head.

use alloc::vec::Vec;

/// Appends the parts that `parts` passes to its argument. It calls `parts` twice: first to measure, then to write into
/// memory that is reserved once.
#[inline]
pub(super) fn write_parts(out: &mut Vec<u8>, parts: impl Fn(&mut dyn FnMut(&[u8]))) {
    let mut len = 0;
    parts(&mut |part| len += part.len());
    out.reserve_exact(len);
    parts(&mut |part| out.extend_from_slice(part));
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
