//! UTF-8 checked piece by piece, as text arrives. A check fails at the first byte that no valid text can have there.
//! What a failure means for the connection is decided elsewhere.
#![allow(
    unsafe_code,
    reason = "checked text becomes a `str` or a `String` without a second check; the tests check it again"
)]

use alloc::string::String;
use alloc::vec::Vec;
use core::str;

use crate::mask;

/// The bytes are not UTF-8, and more bytes would not make them UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidUtf8;

/// From this length on `simdutf8` is faster than the standard library.
const VECTOR_BYTES: usize = 64;

/// Up to this length [`validate`] tries ASCII first. For longer text `simdutf8` does so itself.
const SHORT_BYTES: usize = 128;

/// Returns `bytes` as text, or `None` if they are not UTF-8.
#[inline]
pub(crate) fn validate(bytes: &[u8]) -> Option<&str> {
    if bytes.len() <= SHORT_BYTES && is_ascii(bytes) {
        // SAFETY: ASCII is UTF-8.
        return Some(unsafe { str::from_utf8_unchecked(bytes) });
    }
    validate_any(bytes)
}

/// Unmasks `payload` and returns it as text, or `None` if it is not UTF-8. Unmasking tells whether a long payload is
/// ASCII; most text is, and is then not read a second time.
#[inline]
pub(crate) fn unmask(payload: &mut [u8], key: [u8; 4]) -> Option<&str> {
    match mask::mask_in_place(payload, key) {
        // SAFETY: ASCII is UTF-8.
        true => Some(unsafe { str::from_utf8_unchecked(payload) }),
        false => validate(payload),
    }
}

#[inline(never)]
fn validate_any(bytes: &[u8]) -> Option<&str> {
    if bytes.len() < VECTOR_BYTES {
        str::from_utf8(bytes).ok()
    } else {
        simdutf8::basic::from_utf8(bytes).ok()
    }
}

/// Returns the length of the complete characters in `bytes`; an incomplete one may follow them at the end. Returns
/// `None` if no further bytes can make `bytes` UTF-8.
pub(crate) fn checked_len(bytes: &[u8]) -> Option<usize> {
    split_unfinished(bytes).ok().map(|(text, _)| text.len())
}

/// Whether all bytes are ASCII (below 0x80). It reads whole words; the last word may overlap the one before it.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let any = if let Some(&last) = bytes.last_chunk::<8>() {
        let mut any = u64::from_ne_bytes(last);
        for word in bytes.chunks_exact(8) {
            any |= u64::from_ne_bytes(word.try_into().expect("eight bytes"));
        }
        any
    } else if let (Some(&first), Some(&last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>())
    {
        u64::from(u32::from_ne_bytes(first) | u32::from_ne_bytes(last))
    } else if let (Some(first), Some(last)) = (bytes.first(), bytes.last()) {
        u64::from(first | bytes[bytes.len() / 2] | last)
    } else {
        0
    };
    any & HIGH == 0
}

/// A growing payload with a prefix that is known to be UTF-8. A check begins behind this prefix, so it reads only new
/// bytes and the up to three bytes of an incomplete character before them.
#[derive(Default)]
pub(crate) struct PayloadBuf {
    bytes: Vec<u8>,
    /// `bytes[..valid]` is UTF-8. A method raises `valid` only over bytes that it has checked. A method that changes or
    /// drops checked bytes lowers it.
    valid: usize,
}

impl PayloadBuf {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Reserves room for exactly `additional` more bytes.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.bytes.reserve_exact(additional);
    }

    /// Frees the unused capacity if the capacity is more than twice the length and more than 256 bytes.
    #[cfg(feature = "deflate")]
    pub(crate) fn shrink(&mut self) {
        if self.bytes.capacity() > (2 * self.bytes.len()).max(256) {
            self.bytes.shrink_to_fit();
        }
    }

    /// Appends `payload`, unmasked with `key`. The key 0x00000000 copies it unchanged.
    pub(crate) fn append_masked(&mut self, payload: &[u8], key: [u8; 4]) {
        mask::append_masked(&mut self.bytes, payload, key);
    }

    /// Appends `payload`, unmasked with `key`, and checks it as [`check_utf8`](PayloadBuf::check_utf8) does. Unmasking
    /// tells whether a long payload is ASCII; ASCII is not read a second time.
    pub(crate) fn append_masked_text(
        &mut self,
        payload: &[u8],
        key: [u8; 4],
        end: bool,
    ) -> Result<(), InvalidUtf8> {
        let is_checked = self.valid == self.bytes.len();
        if mask::append_masked_ascii(&mut self.bytes, payload, key) && is_checked {
            self.valid = self.bytes.len();
            return Ok(());
        }
        self.check_utf8(end)
    }

    /// Appends the bytes that `write` writes: it gets `room` zeroed bytes, writes to their front and returns how many.
    #[cfg(feature = "deflate")]
    pub(crate) fn append_with(&mut self, room: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        let at = self.bytes.len();
        self.bytes.resize(at + room, 0);
        let n = write(&mut self.bytes[at..]);
        debug_assert!(n <= room);
        self.bytes.truncate(at + n);
    }

    /// Replaces the memory of the empty buffer by that of `bytes`, whose content is dropped.
    pub(crate) fn replace_memory(&mut self, mut bytes: Vec<u8>) {
        debug_assert!(self.bytes.is_empty());
        bytes.clear();
        self.bytes = bytes;
    }

    /// Drops the bytes from `len` on. None of them may have been checked.
    #[cfg(feature = "deflate")]
    pub(crate) fn truncate(&mut self, len: usize) {
        assert!(len >= self.valid, "a cut in what was checked might split a character");
        self.bytes.truncate(len);
    }

    /// All bytes, checked or not.
    #[cfg(feature = "deflate")]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Marks the valid bytes before the fault as checked, after a check has failed.
    #[cfg(feature = "deflate")]
    pub(crate) fn check_up_to_fault(&mut self) {
        self.valid += valid_prefix(&self.bytes[self.valid..]).len();
    }

    /// The checked prefix.
    #[cfg(feature = "deflate")]
    pub(crate) fn checked(&self) -> &str {
        // SAFETY: `bytes[..valid]` is UTF-8 by the field's invariant.
        unsafe { str::from_utf8_unchecked(&self.bytes[..self.valid]) }
    }

    /// Drops the first `n` bytes and keeps the memory. Either exactly these bytes were checked, or none of the buffer.
    #[cfg(feature = "deflate")]
    pub(crate) fn drop_front(&mut self, n: usize) {
        debug_assert!(self.valid == n || self.valid == 0);
        self.bytes.drain(..n);
        self.valid = 0;
    }

    /// Checks the bytes behind the checked prefix. The last character may be incomplete, unless `end` says that the
    /// text ends here.
    pub(crate) fn check_utf8(&mut self, end: bool) -> Result<(), InvalidUtf8> {
        debug_assert!(self.valid <= self.bytes.len());
        let (text, unfinished) = split_unfinished(&self.bytes[self.valid..])?;
        if end && !unfinished.is_empty() {
            return Err(InvalidUtf8);
        }
        self.valid += text.len();
        Ok(())
    }

    /// Takes the text out with its memory, and leaves the buffer empty.
    ///
    /// # Panics
    ///
    /// If a byte was not checked.
    pub(crate) fn take_string(&mut self) -> String {
        assert_eq!(self.valid, self.bytes.len(), "the end of a text is checked before it is taken");
        let bytes = self.take_bytes();
        // SAFETY: `bytes[..valid]` is UTF-8 by the field's invariant, and `valid` was the length of `bytes`.
        unsafe { String::from_utf8_unchecked(bytes) }
    }

    /// Takes the bytes out with their memory, checked or not, and leaves the buffer empty.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        self.valid = 0;
        core::mem::take(&mut self.bytes)
    }
}

/// The incomplete character at the end of a piece of text, carried to the next piece.
#[derive(Clone, Copy, Default)]
pub(crate) struct Utf8Carry {
    /// `bytes[..len]` is the beginning of a character.
    bytes: [u8; 3],
    /// At most 3.
    len: u8,
}

impl Utf8Carry {
    /// Checks the next `piece` of a text. Returns the carried character if the front of `piece` completes it, and the
    /// complete characters of `piece` that follow. An incomplete character at the end is carried to the next piece.
    ///
    /// `end` says that the text ends with `piece`: an incomplete character is then an error. After an error the carry
    /// must not be used.
    pub(crate) fn feed<'a>(
        &mut self,
        piece: &'a [u8],
        end: bool,
    ) -> Result<(Option<InlineChar>, &'a str), InvalidUtf8> {
        let (char, rest) = if self.is_empty() { (None, piece) } else { self.complete(piece)? };
        let mut text = "";
        if !rest.is_empty() {
            let unfinished;
            (text, unfinished) = split_unfinished(rest)?;
            self.len = unfinished.len() as u8;
            for (carried, &byte) in self.bytes.iter_mut().zip(unfinished) {
                *carried = byte;
            }
        }
        if end && !self.is_empty() {
            return Err(InvalidUtf8);
        }
        Ok((char, text))
    }

    /// The number of bytes that the carried character lacks; 0 if none is carried.
    pub(crate) fn missing(&self) -> usize {
        match usize::from(self.len) {
            0 => 0,
            len => char_width(self.bytes[0]) - len,
        }
    }

    /// Whether no character is carried.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Completes the carried character from the front of `piece`. Returns it with the rest of `piece`, or `None` with
    /// an empty rest if it is still incomplete.
    #[inline(never)]
    fn complete<'a>(
        &mut self,
        piece: &'a [u8],
    ) -> Result<(Option<InlineChar>, &'a [u8]), InvalidUtf8> {
        let carried = usize::from(self.len);
        let width = char_width(self.bytes[0]);
        debug_assert!((1..width).contains(&carried));
        let (front, rest) = piece.split_at(piece.len().min(width - carried));
        let len = carried + front.len();
        let mut bytes = [0; 4];
        bytes[..carried].copy_from_slice(&self.bytes[..carried]);
        bytes[carried..len].copy_from_slice(front);
        match str::from_utf8(&bytes[..len]) {
            Ok(_) => {
                self.len = 0;
                Ok((Some(InlineChar { bytes, len: len as u8 }), rest))
            }
            Err(e) if e.error_len().is_none() => {
                debug_assert!(len <= 3 && rest.is_empty());
                self.bytes = [bytes[0], bytes[1], bytes[2]];
                self.len = len as u8;
                Ok((None, rest))
            }
            Err(_) => Err(InvalidUtf8),
        }
    }
}

/// One character, stored without the heap.
#[derive(Clone, Copy)]
pub(crate) struct InlineChar {
    /// `bytes[..len]` is one character.
    bytes: [u8; 4],
    /// 2 to 4: a character of one byte is never incomplete.
    len: u8,
}

impl InlineChar {
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("checked when it was made")
    }
}

/// The longest prefix of `bytes` that is UTF-8.
#[cold]
pub(crate) fn valid_prefix(bytes: &[u8]) -> &str {
    let valid = match str::from_utf8(bytes) {
        Ok(text) => return text,
        Err(error) => error.valid_up_to(),
    };
    str::from_utf8(&bytes[..valid]).expect("it was found valid up to there")
}

/// Splits `bytes` into complete characters and the up to three bytes of an incomplete one at the end.
#[inline]
fn split_unfinished(bytes: &[u8]) -> Result<(&str, &[u8]), InvalidUtf8> {
    let (whole, unfinished) = bytes.split_at(bytes.len() - unfinished_len(bytes));
    let text = validate(whole).ok_or(InvalidUtf8)?;
    if !unfinished.is_empty() {
        // RFC 3629 4: after 0xE0, 0xED, 0xF0 and 0xF4 the second byte has a smaller range.
        match str::from_utf8(unfinished) {
            Err(e) if e.error_len().is_none() => {}
            _ => return Err(InvalidUtf8),
        }
    }
    Ok((text, unfinished))
}

/// The number of bytes at the end that look like an incomplete character, judged by its first byte: 0 to 3.
#[inline]
fn unfinished_len(bytes: &[u8]) -> usize {
    for (behind, &byte) in bytes.iter().rev().take(3).enumerate() {
        match byte {
            0x00..=0x7F => return 0,
            0x80..=0xBF => {}
            0xC0..=0xFF => {
                return if behind + 1 < char_width(byte) { behind + 1 } else { 0 };
            }
        }
    }
    0
}

/// The number of bytes of a character that begins with `lead`.
#[inline]
fn char_width(lead: u8) -> usize {
    match lead {
        0x00..=0xBF => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Whether `bytes` are UTF-8 or more bytes can make them UTF-8, by the standard library.
    fn is_possible(bytes: &[u8]) -> bool {
        match str::from_utf8(bytes) {
            Ok(_) => true,
            Err(e) => e.error_len().is_none(),
        }
    }

    fn push(carry: &mut Utf8Carry, text: &mut Vec<u8>, piece: &[u8], end: bool) -> bool {
        let Ok((char, rest)) = carry.feed(piece, end) else { return false };
        if let Some(char) = char {
            assert_eq!(char.as_str().chars().count(), 1);
            text.extend_from_slice(char.as_str().as_bytes());
        }
        text.extend_from_slice(rest.as_bytes());
        true
    }

    /// Feeds `pieces` to both checkers, and compares each verdict and the text with the standard library's.
    fn check_pieces(pieces: &[&[u8]]) {
        let (mut buf, mut carry) = (PayloadBuf::default(), Utf8Carry::default());
        let (mut whole, mut text) = (Vec::new(), Vec::new());
        for (i, &piece) in pieces.iter().enumerate() {
            let end = i + 1 == pieces.len();
            whole.extend_from_slice(piece);
            buf.append_masked(piece, [0; 4]);
            let good = if end { str::from_utf8(&whole).is_ok() } else { is_possible(&whole) };
            assert_eq!(buf.check_utf8(end).is_ok(), good, "{pieces:02x?} at {i}");
            assert_eq!(push(&mut carry, &mut text, piece, end), good, "{pieces:02x?} at {i}");
            if !good {
                return;
            }
            let valid_up_to = str::from_utf8(&whole).map_or_else(|e| e.valid_up_to(), str::len);
            assert_eq!(text, whole[..valid_up_to]);
            assert_eq!(buf.valid, valid_up_to);
            assert_eq!(carry.is_empty(), valid_up_to == whole.len());
            assert_eq!(carry.missing() == 0, carry.is_empty());
            assert_eq!(valid_prefix(&whole).len(), valid_up_to);
            assert_eq!(checked_len(&whole), Some(valid_up_to));
        }
        assert_eq!(buf.take_string().as_bytes(), whole);
        assert!(buf.is_empty() && buf.valid == 0);
    }

    #[test]
    fn sizes() {
        assert_eq!(size_of::<PayloadBuf>(), 4 * size_of::<usize>());
        assert_eq!(size_of::<Utf8Carry>(), 4);
        assert_eq!(size_of::<InvalidUtf8>(), 0);
    }

    #[test]
    fn one_high_byte_anywhere_is_not_ascii() {
        for len in 0..80 {
            let mut bytes = vec![0x7f; len];
            assert!(is_ascii(&bytes), "{len}");
            for at in 0..len {
                bytes[at] = 0x80;
                assert!(!is_ascii(&bytes), "{at} of {len}");
                bytes[at] = 0x7f;
            }
        }
    }

    #[test]
    fn long_ascii_does_not_finish_a_character() {
        // rfc6455-8.1-01: ASCII found while unmasking does not complete a character that came before it
        for len in [1, 100, 129, 200, 1000] {
            for (front, is_good) in
                [(&b"\xe2\x82"[..], false), (b"\xf0", false), (b"\xe2\x82\xac", true)]
            {
                for end in [false, true] {
                    let mut buf = PayloadBuf::default();
                    buf.append_masked_text(front, [0; 4], false).expect("more can make it text");
                    let verdict = buf.append_masked_text(&vec![b'a'; len], [0; 4], end);
                    assert_eq!(verdict.is_ok(), is_good, "{len} behind {front:02x?}");
                }
            }
        }
    }

    #[test]
    fn validate_agrees_with_std_for_each_length_and_place() {
        // rfc6455-8.1-01
        let lengths = if cfg!(miri) { 120..140 } else { 0..200 };
        for len in lengths {
            let mut bytes = vec![b'a'; len];
            assert_eq!(validate(&bytes).map(str::len), Some(len));
            for at in 0..len {
                for strange in ["\u{80}", "ß", "す", "😀", "\u{10FFFF}"] {
                    bytes.fill(b'a');
                    for (byte, strange) in bytes[at..].iter_mut().zip(strange.bytes()) {
                        *byte = strange;
                    }
                    assert_eq!(validate(&bytes), str::from_utf8(&bytes).ok());
                }
                for bad in [0x80, 0xBF, 0xC0, 0xFF] {
                    bytes.fill(b'a');
                    bytes[at] = bad;
                    assert_eq!(validate(&bytes), None, "{bad:02x} at {at} of {len}");
                }
            }
        }
    }

    /// Extends a possible prefix by each of the 256 bytes, and asserts that both checkers fail at an impossible one.
    fn extend_by_each_byte(buf: &mut PayloadBuf, carry: Utf8Carry, depth: usize) {
        let valid = buf.valid;
        for byte in 0..=255 {
            let mut carry = carry;
            buf.bytes.push(byte);
            let possible = is_possible(&buf.bytes);
            let complete = str::from_utf8(&buf.bytes).is_ok();
            assert_eq!({ carry }.feed(&[byte], true).is_ok(), complete, "{:02x?}", buf.bytes);
            assert_eq!(carry.feed(&[byte], false).is_ok(), possible, "{:02x?}", buf.bytes);
            assert_eq!(buf.check_utf8(true).is_ok(), complete, "{:02x?}", buf.bytes);
            buf.valid = valid;
            assert_eq!(buf.check_utf8(false).is_ok(), possible, "{:02x?}", buf.bytes);
            // One ASCII byte stands for all of them where more bytes follow.
            if possible && depth > 1 && (byte >= 0x7F || byte == 0) {
                extend_by_each_byte(buf, carry, depth - 1);
            }
            buf.valid = valid;
            buf.bytes.pop();
        }
    }

    #[test]
    fn strings_of_up_to_three_bytes_fail_at_the_first_impossible_byte() {
        // rfc6455-8.1-01, rfc6455-5.6-01
        let depth = if cfg!(miri) { 1 } else { 3 };
        extend_by_each_byte(&mut PayloadBuf::default(), Utf8Carry::default(), depth);
    }

    #[test]
    fn strings_of_four_bytes_fail_at_the_first_impossible_byte() {
        // rfc6455-8.1-01, rfc6455-5.6-01. A row: the bytes, and how many were fed when the check fails.
        const TABLE: &[(&[u8], Option<usize>)] = &[
            (b"\xC0\x80", Some(1)),
            (b"\xC1\xBF", Some(1)),
            (b"\xC3\x28", Some(2)),
            (b"\xE0\x80\x80", Some(2)),
            (b"\xE0\x9F\xBF", Some(2)),
            (b"\xE0\xA0\x80", None),
            (b"\xED\x9F\xBF", None),
            (b"\xED\xA0\x80", Some(2)),
            (b"\xED\xBF\xBF", Some(2)),
            (b"\xEF\xBF\xBF", None),
            (b"\xE2\x82\x41", Some(3)),
            (b"\xE2\x82\xE2", Some(3)),
            (b"\xF0\x80\x80\x80", Some(2)),
            (b"\xF0\x8F\xBF\xBF", Some(2)),
            (b"\xF0\x90\x80\x80", None),
            (b"\xF0\x90\x80\x7F", Some(4)),
            (b"\xF0\x90\x80\xC0", Some(4)),
            (b"\xF0\x90\x7F\x80", Some(3)),
            (b"\xF0\x90\xC0\x80", Some(3)),
            (b"\xF3\xBF\xBF\xBF", None),
            (b"\xF4\x8F\xBF\xBF", None),
            (b"\xF4\x8F\xBF\xF4", Some(4)),
            (b"\xF4\x90\x80\x80", Some(2)),
            (b"\xF5\x80\x80\x80", Some(1)),
            (b"\xF8\x88\x80\x80", Some(1)),
            (b"\xFF\xFF\xFF\xFF", Some(1)),
            (b"\x80\x80\x80\x80", Some(1)),
        ];
        for &(bytes, fails_at) in TABLE {
            for prefix in [&b""[..], b"a", "xyzß".as_bytes(), &[b'a'; 300]] {
                let (mut buf, mut carry) = (PayloadBuf::default(), Utf8Carry::default());
                buf.append_masked(prefix, [0; 4]);
                assert_eq!(buf.check_utf8(false), Ok(()));
                assert!(carry.feed(prefix, false).is_ok());
                let mut failed = (None, None);
                for (i, &byte) in bytes.iter().enumerate() {
                    buf.append_masked(&[byte], [0; 4]);
                    if failed.0.is_none() && buf.check_utf8(false).is_err() {
                        failed.0 = Some(i + 1);
                    }
                    if failed.1.is_none() && carry.feed(&[byte], false).is_err() {
                        failed.1 = Some(i + 1);
                    }
                }
                assert_eq!(failed, (fails_at, fails_at), "{bytes:02x?}");
                check_pieces(&[prefix, bytes]);
                for at in 0..bytes.len() {
                    check_pieces(&[prefix, &bytes[..at], &bytes[at..]]);
                    check_pieces(&[prefix, &bytes[..at]]);
                }
            }
        }
    }

    #[test]
    fn text_may_be_cut_anywhere() {
        // rfc6455-5.6-01
        let text = "aß€😀\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}z".as_bytes();
        for i in 0..=text.len() {
            for j in i..=text.len() {
                check_pieces(&[&text[..i], &text[i..j], &text[j..]]);
            }
        }
        check_pieces(&text.chunks(1).collect::<Vec<_>>());
        let long = "Grüße: すべて 😀, and more. ".repeat(12);
        for i in 0..=long.len() {
            check_pieces(&[&long.as_bytes()[..i], &long.as_bytes()[i..]]);
        }
    }

    #[test]
    fn an_empty_piece_changes_nothing() {
        let mut carry = Utf8Carry::default();
        assert!(carry.feed(b"\xE2\x82", false).is_ok());
        let (char, text) = carry.feed(b"", false).unwrap_or_else(|_| panic!("nothing was added"));
        assert!(char.is_none() && text.is_empty() && !carry.is_empty());
        assert_eq!(carry.missing(), 1);
        assert!({ carry }.feed(b"", true).is_err());
        let (char, text) = carry.feed(b"\xACb", true).unwrap_or_else(|_| panic!("a whole text"));
        assert_eq!((char.map(|c| c.as_str().len()), text), (Some(3), "b"));
    }

    #[test]
    fn a_payload_is_unmasked_as_it_is_appended() {
        let mut buf = PayloadBuf::default();
        buf.reserve(5);
        assert_eq!(buf.capacity(), 5);
        buf.append_masked(&[0x7f, 0x9f, 0x4d, 0x51, 0x58], [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(buf.check_utf8(true), Ok(()));
        assert_eq!(buf.take_string(), "Hello");
        assert!(buf.is_empty());
        buf.append_masked(&[0xFF], [0; 4]);
        assert_eq!(buf.check_utf8(false), Err(InvalidUtf8));
        assert_eq!(buf.take_bytes(), [0xFF]);
        assert_eq!((buf.len(), buf.capacity()), (0, 0));
    }

    #[test]
    #[should_panic = "checked before it is taken"]
    fn unchecked_text_is_not_taken() {
        let mut buf = PayloadBuf::default();
        buf.append_masked(b"\xE2\x82", [0; 4]);
        assert_eq!(buf.check_utf8(false), Ok(()));
        buf.take_string();
    }

    /// Text with characters of every width, up to two bytes replaced, flipped or removed, or its end cut off.
    fn nearly_utf8() -> impl Strategy<Value = Vec<u8>> {
        let chars = prop_oneof![
            3 => proptest::char::range('\0', '\u{7F}'),
            1 => proptest::char::range('\u{80}', '\u{7FF}'),
            1 => proptest::char::range('\u{800}', '\u{FFFF}'),
            1 => proptest::char::range('\u{10000}', '\u{10FFFF}'),
        ];
        let spoil = (any::<prop::sample::Index>(), 0..4u8, any::<u8>());
        let text = (prop::collection::vec(chars, 0..120), prop::collection::vec(spoil, 0..3));
        text.prop_map(|(chars, spoils)| {
            let mut bytes = chars.iter().collect::<String>().into_bytes();
            for (index, how, byte) in spoils {
                if bytes.is_empty() {
                    continue;
                }
                let at = index.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes[at] ^= 1 << (byte % 8),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at),
                }
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 8 } else { 1000 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn agrees_with_std_however_it_is_cut(
            bytes in nearly_utf8(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            // rfc6455-8.1-01, rfc6455-5.6-01
            prop_assert_eq!(validate(&bytes), str::from_utf8(&bytes).ok());
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            check_pieces(&cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect::<Vec<_>>());
            check_pieces(&bytes.chunks(1).collect::<Vec<_>>());
        }
    }
}
