//! The outgoing bytes in contiguous pieces, for a vectored write, with the control frames between data frames.

use core::fmt;

use super::segment::Piece;

/// Iterates over the outgoing bytes in contiguous pieces, in wire order. No piece is empty.
#[derive(Clone)]
pub struct OutgoingChunks<'a> {
    /// The rest of the current piece of data.
    pub(super) rest: &'a [u8],
    /// Bytes of data before the control frames; `u64::MAX` if there are no further control frames.
    pub(super) before_control: u64,
    pub(super) control: &'a [u8],
    pub(super) pieces: Option<alloc::collections::vec_deque::Iter<'a, Piece>>,
    pub(super) tail: &'a [u8],
}

impl<'a> Iterator for OutgoingChunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.before_control == 0 {
            self.before_control = u64::MAX;
            return Some(core::mem::take(&mut self.control));
        }
        if self.rest.is_empty() {
            self.rest = match self.pieces.as_mut().and_then(Iterator::next) {
                Some(piece) => piece.as_slice(),
                None => core::mem::take(&mut self.tail),
            };
        }
        let n = (self.rest.len() as u64).min(self.before_control) as usize;
        let (chunk, rest) = self.rest.split_at(n);
        self.rest = rest;
        if self.before_control != u64::MAX {
            self.before_control -= n as u64;
        }
        (!chunk.is_empty()).then_some(chunk)
    }
}

impl fmt::Debug for OutgoingChunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(<[u8]>::len)).finish()
    }
}
