//! Pieces that the caller takes out of the queue, and whose memory it may give back. A taken piece counts as queued
//! until it is written.

use alloc::vec::Vec;

use super::Queue;
use super::memory::KEEP_BYTES;
use super::parts::pop_front;
use super::segment::{Piece, Segment};
use crate::Shared;

impl Queue {
    /// Takes the first contiguous piece. It counts as queued until it is written. If control frames come next, all of
    /// them are taken, with one exception. If pongs that were taken before are not written yet, and these and the new
    /// ones are more than `limit`, it returns `None`. Without this exception, a peer that pings but does not read could
    /// make us hold any number of pongs.
    pub(crate) fn take(&mut self, limit: u8) -> Option<Segment> {
        self.parts();
        let n = self.first().len();
        if n == 0 {
            return None;
        }
        let parts = self.parts.as_mut().expect("it was made above");
        let from_control = parts.is_control_next();
        let pongs = parts.taken_pongs + parts.pongs;
        if from_control && parts.taken_pongs > 0 && pongs > u32::from(limit) {
            return None;
        }
        let segment = if from_control {
            parts.take_control()
        } else {
            // If control frames come at a border within this piece, only the bytes before the border are taken. The
            // whole piece becomes shared, so that the rest can stay in the queue without a copy.
            let whole = match pop_front(&mut parts.pieces) {
                Some(Piece::Owned { bytes, start }) => self.share(bytes, start),
                Some(Piece::Shared(segment)) => segment,
                None => {
                    let bytes = core::mem::take(&mut self.tail);
                    let start = core::mem::take(&mut self.start);
                    self.parts_len += (bytes.len() - start) as u64;
                    self.share(bytes, start)
                }
            };
            let (segment, rest) = whole.split_at(n);
            if let Some(rest) = rest {
                self.parts().pieces.push_front(Piece::Shared(rest));
            }
            segment
        };
        let parts = self.parts();
        parts.untaken.advance(&segment, n);
        parts.taken.push_back(segment.clone());
        Some(segment)
    }

    /// Makes a segment of `bytes`. If the caller has given a segment back and the tail has no memory, no memory is
    /// allocated: `bytes` are put into the `Arc` of that segment, and its old buffer becomes the tail.
    fn share(&mut self, bytes: Vec<u8>, start: usize) -> Segment {
        let has_no_tail = self.tail.capacity() == 0;
        match self.parts().spare.take_if(|_| has_no_tail) {
            None => Segment::new(bytes, start),
            Some(block) => {
                let (segment, old) = Segment::new_in(block, bytes, start);
                self.tail = old;
                segment
            }
        }
    }

    /// Uses the memory of a segment for further pieces, if nobody else owns it and it has at most `KEEP_BYTES`. Of two
    /// spare segments the larger one stays.
    pub(crate) fn recycle(&mut self, segment: Segment) {
        // The memory is not needed in two cases. Without `parts`, no taken piece waits to be written. After taken bytes
        // were dropped, the queue sends nothing more.
        let Some(parts) = self.parts.as_mut().filter(|parts| parts.dropped == 0) else { return };
        let Some(mut block) = segment.into_block() else { return };
        if block.capacity() > KEEP_BYTES {
            return;
        }
        if self.tail.capacity() == 0 {
            self.tail =
                core::mem::take(Shared::get_mut(&mut block).expect("nobody else owns the block"));
        }
        if parts.spare.as_ref().is_none_or(|spare| spare.capacity() < block.capacity()) {
            parts.spare = Some(block);
        }
    }
}
