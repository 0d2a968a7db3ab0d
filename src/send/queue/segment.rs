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
}

/// A piece of the outgoing bytes that was taken out of the queue. Its address is stable and it borrows nothing, so the
/// kernel or another thread can write it while the connection goes on. Clones share the bytes.
///
/// After a partial write, [`advance`](Segment::advance) keeps the rest. After the last write,
/// [`recycle_segment`](crate::Connection::recycle_segment) gives the memory back to the connection.
///
/// ```
/// # use websocket_proto::{Config, Connection, Role};
/// # let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
/// conn.send("Hello")?;
/// let mut segment = conn.take_outgoing().expect("bytes are outgoing");
/// assert_eq!(segment[..], *b"\x81\x05Hello");
/// segment.advance(3); // the transport has written 3 bytes
/// conn.advance(3);
/// assert_eq!(segment[..], *b"ello");
/// # Ok::<(), websocket_proto::UsageError>(())
/// ```
#[derive(Clone)]
#[doc(alias = "Transmit")]
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

    /// Makes a segment of `bytes` in a shared block that nobody else owns. Returns the vector that was in the block.
    pub(super) fn new_in(
        mut block: Shared<Vec<u8>>,
        bytes: Vec<u8>,
        start: usize,
    ) -> (Segment, Vec<u8>) {
        let end = bytes.len();
        let place = Shared::get_mut(&mut block).expect("nobody else owns the block");
        let old = core::mem::replace(place, bytes);
        (Segment { bytes: block, start, end }, old)
    }

    /// Takes the block out, emptied; `None` if somebody else owns it too.
    pub(super) fn into_block(self) -> Option<Shared<Vec<u8>>> {
        let mut block = self.bytes;
        Shared::get_mut(&mut block)?.clear();
        Some(block)
    }

    /// Removes the first `n` bytes, which were written. If there are not more than `n`, the segment becomes empty.
    pub fn advance(&mut self, n: usize) {
        self.start += n.min(self.len());
    }

    pub(super) fn shared(bytes: Shared<Vec<u8>>) -> Segment {
        let end = bytes.len();
        Segment { bytes, start: 0, end }
    }

    /// Splits a segment behind its first `n` bytes. The second part is `None` if it would be empty.
    pub(super) fn split_at(mut self, n: usize) -> (Segment, Option<Segment>) {
        if n == self.len() {
            return (self, None);
        }
        let front = Segment { end: self.start + n, ..self.clone() };
        self.start += n;
        (front, Some(self))
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
