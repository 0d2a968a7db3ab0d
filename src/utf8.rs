//! UTF-8 as it arrives: text is checked piece by piece, each byte once, and fails at the first byte that cannot be
//! right. What a failure means for the connection is decided elsewhere.
#![allow(
    unsafe_code,
    reason = "a text that was checked piece by piece is handed over without another pass; the tests check it again"
)]

use alloc::string::String;
use alloc::vec::Vec;
use core::str;

use crate::mask;

/// The bytes are not, and cannot become, UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidUtf8;

/// From this length on the vector code beats the standard library's.
const VECTOR_BYTES: usize = 64;

/// Up to this length a text is first tried as ASCII; longer ones are tried by the vector code itself.
const SHORT_BYTES: usize = 128;

/// The text that `bytes` are, if they are UTF-8.
#[inline]
pub(crate) fn validate(bytes: &[u8]) -> Option<&str> {
    if bytes.len() <= SHORT_BYTES && is_ascii(bytes) {
        // SAFETY: ASCII is UTF-8.
        return Some(unsafe { str::from_utf8_unchecked(bytes) });
    }
    validate_any(bytes)
}

/// Unmasks `payload`, and gives the text that it is, if it is UTF-8. Long ASCII, which is most text, is known from the
/// unmasking.
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

/// How much of `bytes` is UTF-8: all but the beginning of a character that more bytes would finish. `None` if it cannot
/// become UTF-8.
pub(crate) fn checked_len(bytes: &[u8]) -> Option<usize> {
    split_unfinished(bytes).ok().map(|(text, _)| text.len())
}

/// Are all bytes below 80? Without a loop over bytes: the last word overlaps the one before.
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

/// A growing payload, of which a prefix is known to be UTF-8. What was checked is not checked again, but for the up
/// to three bytes of a character that had not ended.
#[derive(Default)]
pub(crate) struct PayloadBuf {
    bytes: Vec<u8>,
    /// `bytes[..valid]` is UTF-8: each method that raises it has checked what it adds, and none changes, or drops, what
    /// was checked without lowering it.
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

    /// Makes room for `additional` bytes, and no more than that.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.bytes.reserve_exact(additional);
    }

    /// Frees memory that is not used, if the capacity is over twice the length and over 256 bytes.
    #[cfg(feature = "deflate")]
    pub(crate) fn shrink(&mut self) {
        if self.bytes.capacity() > (2 * self.bytes.len()).max(256) {
            self.bytes.shrink_to_fit();
        }
    }

    /// Appends `payload`, masked or unmasked with `key`; 00000000 copies.
    pub(crate) fn append_masked(&mut self, payload: &[u8], key: [u8; 4]) {
        mask::append_masked(&mut self.bytes, payload, key);
    }

    /// The same with text, checked as by [`check_utf8`](PayloadBuf::check_utf8). Long ASCII is known from the
    /// unmasking.
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

    /// Lets `write` write to the front of `room` more bytes, and keeps as many as it says.
    #[cfg(feature = "deflate")]
    pub(crate) fn fill(&mut self, room: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        let at = self.bytes.len();
        self.bytes.resize(at + room, 0);
        let n = write(&mut self.bytes[at..]);
        debug_assert!(n <= room);
        self.bytes.truncate(at + n);
    }

    /// Uses the memory of `bytes`, which it drops; the buffer is empty before and after.
    pub(crate) fn adopt(&mut self, mut bytes: Vec<u8>) {
        debug_assert!(self.bytes.is_empty());
        bytes.clear();
        self.bytes = bytes;
    }

    /// Drops what stands at `len` and behind it, none of which was checked.
    #[cfg(feature = "deflate")]
    pub(crate) fn truncate(&mut self, len: usize) {
        assert!(len >= self.valid, "a cut in what was checked might split a character");
        self.bytes.truncate(len);
    }

    /// What is there.
    #[cfg(feature = "deflate")]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Counts as checked what is right before the byte at which a check failed.
    #[cfg(feature = "deflate")]
    pub(crate) fn check_up_to_fault(&mut self) {
        self.valid += valid_prefix(&self.bytes[self.valid..]).len();
    }

    /// What was found to be UTF-8.
    #[cfg(feature = "deflate")]
    pub(crate) fn checked(&self) -> &str {
        // SAFETY: `bytes[..valid]` is UTF-8 by the field's invariant.
        unsafe { str::from_utf8_unchecked(&self.bytes[..self.valid]) }
    }

    /// Drops the front of what is there, all of it checked or none, and keeps the memory.
    #[cfg(feature = "deflate")]
    pub(crate) fn drop_front(&mut self, n: usize) {
        debug_assert!(self.valid == n || self.valid == 0);
        self.bytes.drain(..n);
        self.valid = 0;
    }

    /// Checks what was appended since the last check. A character may be unfinished at the end, unless this is the
    /// `end` of the text.
    pub(crate) fn check_utf8(&mut self, end: bool) -> Result<(), InvalidUtf8> {
        debug_assert!(self.valid <= self.bytes.len());
        let (text, unfinished) = split_unfinished(&self.bytes[self.valid..])?;
        if end && !unfinished.is_empty() {
            return Err(InvalidUtf8);
        }
        self.valid += text.len();
        Ok(())
    }

    /// Takes the text out, all of which was checked; the buffer is left empty, without memory.
    pub(crate) fn take_string(&mut self) -> String {
        assert_eq!(self.valid, self.bytes.len(), "the end of a text is checked before it is taken");
        let bytes = self.take_bytes();
        // SAFETY: `bytes[..valid]` is UTF-8 by the field's invariant, and `valid` was all of it.
        unsafe { String::from_utf8_unchecked(bytes) }
    }

    /// Takes the bytes out, checked or not; the buffer is left empty, without memory.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        self.valid = 0;
        core::mem::take(&mut self.bytes)
    }
}

/// Text in pieces: the up to three bytes of an unfinished character are carried from one piece to the next.
#[derive(Clone, Copy, Default)]
pub(crate) struct Utf8Carry {
    /// `bytes[..len]` begins a character and does not finish it.
    bytes: [u8; 3],
    /// At most 3.
    len: u8,
}

impl Utf8Carry {
    /// Takes `piece`, and gives the character that the carried bytes and the front of the piece make, then the rest
    /// up to the last whole character; what begins a character behind that is carried on. At the `end` nothing may
    /// stay unfinished. After an error the text is lost, and the carry means nothing.
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

    /// How many bytes the unfinished character lacks; 0 if there is none.
    pub(crate) fn missing(&self) -> usize {
        match usize::from(self.len) {
            0 => 0,
            len => char_width(self.bytes[0]) - len,
        }
    }

    /// Is no character unfinished?
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The carried character and the rest of `piece`; while there is no such character, no rest either.
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

/// One character, held in place.
#[derive(Clone, Copy)]
pub(crate) struct InlineChar {
    /// `bytes[..len]` is one character.
    bytes: [u8; 4],
    /// 2 to 4: a character that is one byte long is never unfinished.
    len: u8,
}

impl InlineChar {
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.len)]).expect("checked when it was made")
    }
}

/// The longest prefix that is UTF-8.
#[cold]
pub(crate) fn valid_prefix(bytes: &[u8]) -> &str {
    let valid = match str::from_utf8(bytes) {
        Ok(text) => return text,
        Err(error) => error.valid_up_to(),
    };
    str::from_utf8(&bytes[..valid]).expect("it was found valid up to there")
}

/// Splits `bytes` behind the last whole character: the text, and the up to three bytes that begin another.
#[inline]
fn split_unfinished(bytes: &[u8]) -> Result<(&str, &[u8]), InvalidUtf8> {
    let (whole, unfinished) = bytes.split_at(bytes.len() - unfinished_len(bytes));
    let text = validate(whole).ok_or(InvalidUtf8)?;
    if !unfinished.is_empty() {
        // The first bytes of E0, ED, F0 and F4 sequences have narrower successors (RFC 3629 4).
        match str::from_utf8(unfinished) {
            Err(e) if e.error_len().is_none() => {}
            _ => return Err(InvalidUtf8),
        }
    }
    Ok((text, unfinished))
}

/// How many bytes at the end look like a character that more bytes would finish: up to three.
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

/// How many bytes a character has that begins with `lead`.
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

    /// What the standard library says of the bytes so far: can more bytes make them UTF-8?
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

    /// Feeds `pieces` to both checkers and holds each verdict, and the text, against the standard library.
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
        // rfc6455-8.1-01: what is known to be ASCII from the unmasking is checked together with what came before it
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

    /// Extends a possible prefix by each byte: both checkers, fed byte by byte, fail at the first impossible one.
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
        // rfc6455-8.1-01, rfc6455-5.6-01. Bytes, and how many of them are given when it fails.
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

    /// Text of all widths, with a few bytes spoilt, lost or doubled.
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
