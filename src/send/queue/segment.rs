//! The pieces of the queue, and the pieces that the caller takes out of it.

use alloc::vec::Vec;
use core::fmt;

use crate::Shared;

/// A piece of the queue.
pub(super) enum Piece {
    /// `..start` is not in the queue: it is written, or the piece before this one has a copy of it.
    Owned { bytes: Vec<u8>, start: usize },
    /// Shared with other connections, or with a segment that the caller has taken.
    Shared(Segment),
}

impl Piece {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Piece::Owned { bytes, start } => &bytes[*start..],
            Piece::Shared(segment) => segment,
        }
    }

    pub(super) fn drop_front(&mut self, n: usize) {
        match self {
            Piece::Owned { start, .. } => *start += n,
            Piece::Shared(segment) => segment.start += n,
        }
    }

    pub(super) fn into_segment(self) -> Segment {
        match self {
            Piece::Owned { bytes, start } => Segment::new(bytes, start),
            Piece::Shared(segment) => segment,
        }
    }
}

/// A piece of the outgoing bytes that was taken out of the queue. Its address is stable and it borrows nothing, so the
/// kernel or another thread can write it while the connection goes on.
#[derive(Clone)]
pub struct Segment {
    bytes: Shared<Vec<u8>>,
    pub(super) start: usize,
    end: usize,
}

impl Segment {
    pub(super) fn new(bytes: Vec<u8>, start: usize) -> Segment {
        let end = bytes.len();
        Segment { bytes: Shared::new(bytes), start, end }
    }

    pub(super) fn shared(bytes: Shared<Vec<u8>>) -> Segment {
        let end = bytes.len();
        Segment { bytes, start: 0, end }
    }

    /// Splits off the first `n` bytes.
    pub(super) fn split_to(&mut self, n: usize) -> Segment {
        let front = Segment { end: self.start + n, ..self.clone() };
        self.start += n;
        front
    }
}

impl core::ops::Deref for Segment {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}

impl AsRef<[u8]> for Segment {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({} bytes)", self.len())
    }
}
