//! Reads the body of a refusal as it arrives (RFC 9112 6): finds its end, and stores it up to a limit or returns it in
//! pieces.

use alloc::boxed::Box;
use core::fmt;

use super::headers::Headers;
use super::refusal::Refusal;
use super::syntax;
use crate::input::take_front;

/// Reads the body of a refusal.
pub(crate) struct RefusalReader {
    refusal: Box<Refusal>,
    framing: Framing,
    /// The number of bytes of chunk extensions and trailers that were skipped.
    passed_over: usize,
}

/// One step through the bytes of a body.
enum Step<'a> {
    Data(&'a [u8]),
    /// A byte of the chunked coding.
    Skipped,
    Incomplete,
    End,
}

/// How the end of the body is found (RFC 9112 6.3).
enum Framing {
    /// The number of bytes that are left.
    Length(u64),
    Chunked(Chunked),
    UntilEof,
}

/// Where in the chunked coding the next byte is (RFC 9112 7.1).
#[derive(Clone, Copy)]
enum Chunked {
    /// In the digits of a chunk's size; `digits` were read.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the size, in an extension, which is skipped.
    Extension {
        size: u64,
    },
    /// Before the LF behind the size.
    SizeEnd {
        size: u64,
    },
    /// In the data; `left` bytes are left.
    Data {
        left: u64,
    },
    /// Before the CR behind the data, and then before the LF.
    DataCr,
    DataLf,
    /// Behind the last chunk, at the beginning of a line.
    TrailerStart,
    /// In the line of a trailer, which is skipped.
    Trailer,
    /// Before the LF that ends the body.
    End,
}

/// The next step of a reader that returns the body in pieces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Bytes of the body, at least one.
    Data(&'a [u8]),
    /// All of the input was used, and more is needed.
    Incomplete,
    /// The body is finished: complete, or malformed.
    End,
}

impl RefusalReader {
    /// A reader for a response whose body has not been read.
    pub(crate) fn new(refusal: Box<Refusal>) -> Self {
        let framing = framing(refusal.status, &refusal.head);
        RefusalReader { refusal, framing, passed_over: 0 }
    }

    /// The refusal, with what has arrived of its body.
    pub(crate) fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// Takes bytes off the front of `input`, up to the next bytes of the body, and returns these. It stores nothing and
    /// has no limit.
    pub(crate) fn receive_piece<'a>(&mut self, input: &mut &'a mut [u8]) -> Piece<'a> {
        loop {
            match self.step(input, usize::MAX, usize::MAX) {
                Step::Data(data) => return Piece::Data(data),
                Step::Skipped => {}
                Step::Incomplete => return Piece::Incomplete,
                Step::End => return Piece::End,
            }
        }
    }

    /// Whether the body is known to be complete, so that no further byte is needed.
    pub(crate) fn is_at_end(&self) -> bool {
        matches!(self.framing, Framing::Length(0))
    }

    /// Takes bytes of the body off the front of `input`. Returns `true` if the body is finished: complete, over the
    /// limit, or malformed. The limit holds for skipped bytes too.
    pub(super) fn receive(&mut self, input: &mut &mut [u8], limit: usize) -> bool {
        loop {
            let room = limit.saturating_sub(self.refusal.body.len());
            match self.step(input, room, limit) {
                Step::Data(data) => self.refusal.body.extend_from_slice(data),
                Step::Skipped => {}
                Step::Incomplete => return false,
                Step::End => return true,
            }
        }
    }

    /// Takes one byte of the coding off the front of `input`, or at most `room` bytes of data. If there is no room, the
    /// body ends. It also ends if more than `limit` bytes of chunk extensions and trailers were skipped.
    fn step<'a>(&mut self, input: &mut &'a mut [u8], room: usize, limit: usize) -> Step<'a> {
        let mut endless = u64::MAX;
        let left = match &mut self.framing {
            Framing::Length(0) => {
                self.refusal.is_body_complete = true;
                return Step::End;
            }
            // The rest is not stored, so it is not waited for.
            Framing::Length(_) if room == 0 => return Step::End,
            Framing::Length(left) | Framing::Chunked(Chunked::Data { left }) => left,
            Framing::Chunked(state) => {
                let Some(&byte) = input.first() else { return Step::Incomplete };
                take_front(input, 1);
                if matches!(state, Chunked::Extension { .. } | Chunked::Trailer) {
                    self.passed_over = self.passed_over.saturating_add(1);
                    if self.passed_over > limit {
                        return Step::End;
                    }
                }
                return match state.step(byte) {
                    Some(true) => {
                        self.refusal.is_body_complete = true;
                        Step::End
                    }
                    Some(false) => Step::Skipped,
                    None => Step::End,
                };
            }
            Framing::UntilEof => &mut endless,
        };
        if input.is_empty() {
            return Step::Incomplete;
        }
        if room == 0 {
            return Step::End;
        }
        let len = input.len().min(room).min(usize::try_from(*left).unwrap_or(usize::MAX));
        let data = take_front(input, len);
        *left -= len as u64;
        if let Framing::Chunked(state @ Chunked::Data { left: 0 }) = &mut self.framing {
            *state = Chunked::DataCr;
        }
        Step::Data(data)
    }

    /// The refusal with the body that was read. `is_eof` tells that the transport ended, which completes a body without
    /// a length.
    pub(crate) fn finish(mut self, is_eof: bool) -> Box<Refusal> {
        self.refusal.is_body_complete |=
            self.is_at_end() || (is_eof && matches!(self.framing, Framing::UntilEof));
        self.refusal
    }
}

impl fmt::Debug for RefusalReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

/// How the body of a response to GET or CONNECT is framed (RFC 9112 6.3).
fn framing(status: u16, head: &[u8]) -> Framing {
    if matches!(status, 100..=199 | 204 | 304) {
        return Framing::Length(0);
    }
    let mut codings =
        Headers::of_head(head).get_all("Transfer-Encoding").flat_map(syntax::list).peekable();
    if codings.peek().is_some() {
        let is_chunked = codings.last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
        return if is_chunked { Framing::Chunked(Chunked::START) } else { Framing::UntilEof };
    }
    let mut lengths = Headers::of_head(head).get_all("Content-Length").map(syntax::number);
    match lengths.next() {
        // Contradicting lengths count as no length.
        Some(Some(length)) if lengths.all(|other| other == Some(length)) => Framing::Length(length),
        _ => Framing::UntilEof,
    }
}

impl Chunked {
    const START: Chunked = Chunked::Size { size: 0, digits: 0 };

    /// Reads one byte outside of data. Returns `Some(true)` at the end of the body, and `None` if the byte breaks the
    /// chunked coding.
    fn step(&mut self, byte: u8) -> Option<bool> {
        let behind_size =
            |size| if size == 0 { Chunked::TrailerStart } else { Chunked::Data { left: size } };
        *self = match (*self, byte) {
            (Chunked::Size { size, digits }, _) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = char::from(byte).to_digit(16).expect("a hexadecimal digit");
                Chunked::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Chunked::Size { digits: 0, .. }, _) => return None,
            (Chunked::Size { size, .. } | Chunked::Extension { size }, b'\r') => {
                Chunked::SizeEnd { size }
            }
            (Chunked::Size { size, .. }, b';' | b' ' | b'\t') => Chunked::Extension { size },
            (Chunked::Extension { .. }, b'\n') => return None,
            (Chunked::Extension { size }, _) => Chunked::Extension { size },
            (Chunked::SizeEnd { size }, b'\n') => behind_size(size),
            (Chunked::DataCr, b'\r') => Chunked::DataLf,
            (Chunked::DataLf, b'\n') => Chunked::START,
            (Chunked::TrailerStart, b'\r') => Chunked::End,
            (Chunked::Trailer, b'\n') => Chunked::TrailerStart,
            (Chunked::TrailerStart | Chunked::Trailer, _) => Chunked::Trailer,
            (Chunked::End, b'\n') => return Some(true),
            (
                Chunked::Size { .. }
                | Chunked::SizeEnd { .. }
                | Chunked::Data { .. }
                | Chunked::DataCr
                | Chunked::DataLf
                | Chunked::End,
                _,
            ) => return None,
        };
        Some(false)
    }
}
