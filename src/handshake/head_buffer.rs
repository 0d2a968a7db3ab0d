//! Collects a head that arrives in pieces, and finds its end, in linear time and bounded memory (RFC 9112 2.1). What
//! the lines mean is left to `head_reader.rs`.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::mem;

use super::error::HandshakeError;
use super::headers::split_line_inclusive;
use crate::input::take_front;

/// What differs between a request's head and a response's.
pub(super) struct HeadRules {
    /// The most bytes that a head may have.
    pub(super) limit: usize,
    /// Whether a head may begin with this byte.
    pub(super) is_first_byte: fn(u8) -> bool,
    /// Checks the first line, CR LF included, as soon as it has arrived.
    pub(super) judge_line: fn(&[u8]) -> Result<(), HandshakeError>,
    /// Whether one empty line before the head is skipped. It is not part of the head.
    pub(super) skips_empty_line: bool,
    /// Whether folded lines are unfolded, in place, once the head is complete.
    pub(super) unfolds: bool,
}

/// The least capacity in bytes, in which the heads of most browsers fit.
const FIRST_BYTES: usize = 640;

/// Collects one head. The result does not depend on how the bytes were cut.
#[derive(Default)]
pub(super) struct HeadBuffer {
    /// The bytes of an incomplete head: at most one more than the limit. No byte is searched twice.
    stored: Vec<u8>,
    /// Where the line that is being read begins; 0 for the first line.
    line_start: usize,
    /// The number of bytes of an empty line that were skipped before the head: 0 to 2.
    skipped: u8,
}

impl HeadBuffer {
    /// Whether nothing has arrived yet.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.stored.is_empty() && self.skipped == 0
    }

    /// Takes a head off the front of `input`: borrowed if it lies there whole, owned if it began in an earlier call.
    /// Returns `None` if all of `input` was stored and more is needed. An error leaves `input` as it was, apart from a
    /// skipped empty line; the head up to the byte with the fault is then stored.
    pub(super) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        rules: &HeadRules,
    ) -> Option<Result<Cow<'a, [u8]>, HandshakeError>> {
        if self.stored.is_empty() {
            if rules.skips_empty_line {
                if let Err(error) = self.skip_empty_line(input) {
                    self.store_failed(Cow::Borrowed(b"\r"));
                    return Some(Err(error));
                }
            }
            return match scan(input, 0, &mut self.line_start, rules) {
                Ok(Some(end)) => {
                    (self.line_start, self.skipped) = (0, 0);
                    let head = take_front(input, end);
                    if rules.unfolds {
                        unfold(head);
                    }
                    Some(Ok(Cow::Borrowed(head)))
                }
                Ok(None) => {
                    self.store(mem::take::<&mut [u8]>(input), rules.limit);
                    None
                }
                Err((error, end)) => {
                    self.store_failed(Cow::Borrowed(&input[..end]));
                    Some(Err(error))
                }
            };
        }
        let before = self.stored.len();
        // One byte more than the limit is enough to know that it is exceeded.
        let room = rules.limit.saturating_add(1).saturating_sub(before);
        self.store(&input[..room.min(input.len())], rules.limit);
        match scan(&self.stored, before, &mut self.line_start, rules) {
            Ok(Some(end)) => {
                take_front(input, end - before);
                let mut head = mem::take(&mut self.stored);
                head.truncate(end);
                (self.line_start, self.skipped) = (0, 0);
                if rules.unfolds {
                    unfold(&mut head);
                }
                Some(Ok(Cow::Owned(head)))
            }
            Ok(None) => {
                *input = &mut [];
                None
            }
            Err((error, end)) => {
                self.stored.truncate(end);
                Some(Err(error))
            }
        }
    }

    /// Stores a head, or the front of one, in which a fault was found.
    #[cold]
    pub(super) fn store_failed(&mut self, head: Cow<'_, [u8]>) {
        self.stored = head.into_owned();
    }

    /// The bytes of a head that is incomplete or has failed.
    pub(super) fn stored(&self) -> &[u8] {
        &self.stored
    }

    /// Takes the bytes of a head that is incomplete or has failed.
    pub(super) fn take_stored(&mut self) -> Vec<u8> {
        mem::take(&mut self.stored)
    }

    /// Takes one empty line off the front of `input`, or as much of it as has arrived.
    fn skip_empty_line(&mut self, input: &mut &mut [u8]) -> Result<(), HandshakeError> {
        if self.skipped == 0 && input.first() == Some(&b'\r') {
            take_front(input, 1);
            self.skipped = 1;
        }
        match (self.skipped, input.first()) {
            (1, Some(b'\n')) => {
                take_front(input, 1);
                self.skipped = 2;
                Ok(())
            }
            (1, Some(_)) => Err(HandshakeError::NotHttp { byte: b'\r' }),
            _ => Ok(()),
        }
    }

    /// Stores `bytes`. The capacity doubles, up to one byte more than the limit.
    fn store(&mut self, bytes: &[u8], limit: usize) {
        let (len, capacity) = (self.stored.len(), self.stored.capacity());
        let needed = len + bytes.len();
        if needed > capacity {
            let doubled = capacity.saturating_mul(2).max(FIRST_BYTES);
            let grown = doubled.min(limit.saturating_add(1)).max(needed);
            self.stored.reserve_exact(grown - len);
        }
        self.stored.extend_from_slice(bytes);
    }
}

impl fmt::Debug for HeadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadBuffer").field("stored_bytes", &self.stored.len()).finish()
    }
}

/// Replaces each fold by spaces, which joins the folded lines (RFC 9112 5.2). The length does not change. White space
/// at the start of the first header line is not a fold: that line stays malformed.
fn unfold(head: &mut [u8]) {
    let is_white = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let mut at = split_line_inclusive(head).0.len();
    // Where the line begins. Bytes before it are not searched again.
    let mut begin = at;
    while let Some(found) = head[at..].iter().position(|&byte| byte == b'\n') {
        let lf = at + found;
        at = lf + 1;
        if !is_white(head.get(at)) {
            continue;
        }
        // The fold is the end of the line with the white space around it.
        let line = &head[begin..lf - 1];
        begin += line.iter().rposition(|byte| !is_white(Some(byte))).map_or(0, |last| last + 1);
        while is_white(head.get(at)) {
            at += 1;
        }
        head[begin..at].fill(b' ');
        begin = at;
    }
}

/// Searches for the blank line from `from` on; the bytes before were searched. Checks each byte in order, so that the
/// verdict does not depend on how the bytes were cut. Returns where the head ends; with an error, where the bytes end
/// that decided it.
fn scan(
    bytes: &[u8],
    from: usize,
    line_start: &mut usize,
    rules: &HeadRules,
) -> Result<Option<usize>, (HandshakeError, usize)> {
    match bytes.first() {
        Some(&byte) if from == 0 && !(rules.is_first_byte)(byte) => {
            return Err((HandshakeError::NotHttp { byte }, 1));
        }
        _ => {}
    }
    let window = &bytes[..bytes.len().min(rules.limit)];
    let mut at = from;
    while let Some(found) = window[at..].iter().position(|&byte| byte == b'\n') {
        let lf = at + found;
        at = lf + 1;
        // RFC 9112 2.2: lines end in CR LF. A bare LF could be used for request smuggling.
        if lf == 0 || window[lf - 1] != b'\r' {
            return Err((HandshakeError::BareLineFeed { at: lf }, at));
        }
        if *line_start == 0 {
            (rules.judge_line)(&window[..at]).map_err(|error| (error, at))?;
        } else if lf - *line_start == 1 {
            return Ok(Some(at));
        }
        *line_start = at;
    }
    if bytes.len() <= rules.limit {
        Ok(None)
    } else if *line_start == 0 {
        Err((HandshakeError::FirstLineTooLong { limit: rules.limit }, rules.limit))
    } else {
        Err((HandshakeError::HeadTooLong { limit: rules.limit }, rules.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const RULES: HeadRules = HeadRules {
        limit: 64,
        is_first_byte: |byte| byte == b'G',
        judge_line: |_| Ok(()),
        skips_empty_line: false,
        unfolds: false,
    };

    type Verdict = Option<Result<Vec<u8>, HandshakeError>>;

    fn read(pieces: &[&[u8]]) -> (Verdict, Option<Vec<u8>>) {
        read_by(&RULES, pieces)
    }

    fn read_by(rules: &HeadRules, pieces: &[&[u8]]) -> (Verdict, Option<Vec<u8>>) {
        let mut reader = HeadBuffer::default();
        for (i, piece) in pieces.iter().enumerate() {
            let mut bytes = piece.to_vec();
            let mut input = &mut bytes[..];
            if let Some(result) = reader.receive(&mut input, rules) {
                let left = [&*input, &pieces[i + 1..].concat()].concat();
                assert!(result.is_err() || reader.is_empty());
                return (Some(result.map(Cow::into_owned)), Some(left));
            }
            assert!(input.is_empty(), "None means that all was used");
        }
        (None, None)
    }

    #[test]
    fn heads_end_at_the_blank_line() {
        for head in [&b"G\r\n\r\n"[..], b"G x\r\na:b\r\nc: d\r\n\r\n"] {
            super::super::tests::every_cut(head, &Some(Ok(head.to_vec())), read);
        }
    }

    #[test]
    fn limit_is_exact() {
        let head = |len: usize| [b"G\r\na:", &[b'x'; 64][..len - 9], b"\r\n\r\n"].concat();
        super::super::tests::every_cut(&head(64), &Some(Ok(head(64))), read);
        let long = head(65);
        assert_eq!(read(&[&long]).0, Some(Err(HandshakeError::HeadTooLong { limit: 64 })));
        assert_eq!(read(&[&long[..64]]).0, None);
        for at in 0..65 {
            assert_eq!(
                read(&[&long[..at], &long[at..]]).0,
                Some(Err(HandshakeError::HeadTooLong { limit: 64 }))
            );
        }
        assert_eq!(read(&[&[b'G'; 64]]).0, None);
        assert_eq!(
            read(&[&[b'G'; 65]]).0,
            Some(Err(HandshakeError::FirstLineTooLong { limit: 64 }))
        );
        assert_eq!(
            read(&[&[b'G'; 9], &[b'G'; 99]]).0,
            Some(Err(HandshakeError::FirstLineTooLong { limit: 64 }))
        );
    }

    #[test]
    fn folds_become_spaces_in_place() {
        // rfc9112-5.2-02
        let rules = HeadRules { unfolds: true, ..RULES };
        for (head, expected) in [
            (&b"G\r\na:\r\n b\r\n\r\n"[..], &b"G\r\na:   b\r\n\r\n"[..]),
            (b"G\r\na: b\r\n\tc\r\n\r\n", b"G\r\na: b   c\r\n\r\n"),
            (b"G\r\na: b \t\r\n\t c\r\n\r\n", b"G\r\na: b      c\r\n\r\n"),
            (b"G\r\na: b\r\n \r\n c\r\nd:\r\n\r\n", b"G\r\na: b      c\r\nd:\r\n\r\n"),
            (b"G\r\na: b\tc\r\n \r\n\r\n", b"G\r\na: b\tc   \r\n\r\n"),
            (b"G\r\na\r\n : b\r\n\r\n", b"G\r\na   : b\r\n\r\n"),
            // The first line has no header line before it to be continued.
            (b"G\r\n a: b\r\n\r\n", b"G\r\n a: b\r\n\r\n"),
            (b"G\r\n a\r\n b\r\n\r\n", b"G\r\n a   b\r\n\r\n"),
        ] {
            let expected = Some(Ok(expected.to_vec()));
            super::super::tests::every_cut(head, &expected, |pieces| read_by(&rules, pieces));
            // In a request folds stay, and are refused later.
            super::super::tests::every_cut(head, &Some(Ok(head.to_vec())), read);
        }
        // Many folds, and long ones, take linear time.
        let mut long = b"G\r\na:".to_vec();
        long.extend(b"\r\n ".repeat(1 << 18));
        long.extend(b"\r\n".iter().chain(&[b' '; 1 << 18]));
        long.extend(b"\r\n\r\n");
        unfold(&mut long);
        assert!(
            long[5..]
                .strip_suffix(b"\r\n\r\n")
                .is_some_and(|value| value.iter().all(|&b| b == b' '))
        );
    }

    #[test]
    fn one_empty_line_is_passed_over_and_does_not_count() {
        // rfc9112-2.2-01
        let rules = HeadRules { skips_empty_line: true, limit: 8, ..RULES };
        let head = b"G\r\na:\r\n\r\n";
        let error = |byte| Some(Err(HandshakeError::NotHttp { byte }));
        let limit = HeadRules { limit: 9, ..rules };
        for (before, expected, rules) in [
            (&b""[..], Some(Ok(head.to_vec())), &limit),
            (b"\r\n", Some(Ok(head.to_vec())), &limit),
            (b"\r\n", Some(Err(HandshakeError::HeadTooLong { limit: 8 })), &rules),
            (b"\r\n\r\n", error(b'\r'), &limit),
            (b"\r\r\n", error(b'\r'), &limit),
            (b"\n", error(b'\n'), &limit),
            (b"\r\n\n", error(b'\n'), &limit),
            (b"\r\n ", error(b' '), &limit),
        ] {
            let bytes = [before, head].concat();
            super::super::tests::every_cut(&bytes, &expected, |pieces| {
                let (verdict, left) = read_by(rules, pieces);
                let left = left.filter(|_| verdict.as_ref().is_some_and(Result::is_ok));
                (verdict, left)
            });
        }
    }
}
