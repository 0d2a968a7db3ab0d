//! Invalid byte sequences in text and in DEFLATE, and the byte that decides each; also what the bytes of a length and
//! of a close code decide. `bad_stream.rs` puts them into a stream.

use alloc::vec::Vec;

use super::violation::Violation;

/// A sequence that is not UTF-8 (RFC 3629 3, 4), and how many of its bytes decide that; `None` if the end of the
/// message does.
pub(super) type NotUtf8 = (&'static [u8], Option<usize>);

/// The sequences for one violation.
pub(super) fn not_utf8(violation: Violation) -> &'static [NotUtf8] {
    match violation {
        Violation::Utf8Overlong => &[
            (b"\xc0\x80", Some(1)),
            (b"\xc0\xaf", Some(1)),
            (b"\xc1\xbf", Some(1)),
            (b"\xe0\x80\xaf", Some(2)),
            (b"\xe0\x9f\xbf", Some(2)),
            (b"\xf0\x80\x80\xaf", Some(2)),
            (b"\xf0\x8f\xbf\xbf", Some(2)),
        ],
        Violation::Utf8Surrogate => &[
            (b"\xed\xa0\x80", Some(2)),
            (b"\xed\xaf\xbf", Some(2)),
            (b"\xed\xb0\x80", Some(2)),
            (b"\xed\xbf\xbf", Some(2)),
            // A pair of surrogates, as in UTF-16.
            (b"\xed\xa0\xbd\xed\xb8\x80", Some(2)),
        ],
        Violation::Utf8TooHigh => &[
            (b"\xf4\x90\x80\x80", Some(2)),
            (b"\xf4\xbf\xbf\xbf", Some(2)),
            (b"\xf5\x80\x80\x80", Some(1)),
            (b"\xf8\x88\x80\x80\x80", Some(1)),
            (b"\xfe", Some(1)),
            (b"\xff", Some(1)),
        ],
        Violation::Utf8Interrupted => &[
            (b"\xc3a", Some(2)),
            (b"\xe2a\x82", Some(2)),
            (b"\xe2\x82a", Some(3)),
            (b"\xf0a\x9f\x98", Some(2)),
            (b"\xf0\x9fa", Some(3)),
            (b"\xf0\x9f\x98a", Some(4)),
            (b"\xe2\x82\xe2\x82\xac", Some(3)),
        ],
        Violation::Utf8StrayContinuation => &[(b"\x80", Some(1)), (b"\xbf", Some(1))],
        _ => &[
            (b"\xc3", None),
            (b"\xe2", None),
            (b"\xe2\x82", None),
            (b"\xf0", None),
            (b"\xf0\x9f", None),
            (b"\xf0\x9f\x98", None),
        ],
    }
}

/// Bytes that make a valid DEFLATE stream invalid when they are appended (RFC 1951 3.2), and how many of them decide
/// that; `None` if the end of the message does.
pub(super) fn not_deflate(violation: Violation, pick: usize) -> (Vec<u8>, Option<usize>) {
    match violation {
        // A block of the reserved type, final and not final.
        Violation::DeflateBlockType => (alloc::vec![[0x06, 0x07][pick % 2], 0, 0], Some(1)),
        // A stored block whose second length is not the complement of the first.
        Violation::DeflateStoredLength => (alloc::vec![0, 2, 0, !2, !1, b'a', b'a'], Some(5)),
        // A stored block whose last bytes are missing.
        Violation::DeflateTruncated => {
            let missing = 1 + (pick % 9) as u8;
            let mut block = alloc::vec![0, 9, 0, !9, !0];
            block.resize(5 + usize::from(9 - missing), b'a');
            (block, None)
        }
        // RFC 7692 7.2.3.6: even an empty message has one byte.
        _ => (Vec::new(), None),
    }
}

/// The least payload length that a header can have. `header` is its received part from the second byte on.
pub(super) fn least_len(header: &[u8]) -> u64 {
    let at_least = |width: usize| {
        (0..width).fold(0, |len, at| len << 8 | u64::from(header.get(1 + at).copied().unwrap_or(0)))
    };
    match header[0] & 0x7f {
        126 => at_least(2).max(126),
        127 => at_least(8).max(0x1_0000),
        len => u64::from(len),
    }
}

/// Whether the high byte alone decides that a close code is forbidden: no allowed code begins with it.
pub(super) fn is_decided_by_high_byte(code: u16) -> bool {
    // 1000 to 1014 are 0x03e8 to 0x03f6; 3000 to 4999 are 0x0bb8 to 0x1387.
    !matches!(code >> 8, 0x03 | 0x0b..=0x13)
}
