//! The memory of the queue: how the tail grows, and when memory is freed.

use alloc::vec::Vec;
use core::time::Duration;

use super::segment::Piece;
use super::{LEAD_BYTES, MOVE_BYTES, Queue};
use crate::frame::MAX_HEADER_BYTES;
use crate::last_use::LastUse;
use crate::timestamp::Timestamp;

/// When the queue becomes empty, a tail buffer with more capacity than this is freed.
pub(super) const KEEP_BYTES: usize = 80 * 1024;
/// A tail buffer grows by doubling up to this size. When a buffer of this size is full, a new tail begins behind it.
pub(super) const RETIRE_BYTES: usize = 64 * 1024;

const _: () = assert!(MOVE_BYTES <= RETIRE_BYTES && RETIRE_BYTES <= KEEP_BYTES);

impl Queue {
    /// Makes the tail a piece of its own, and begins an empty tail.
    pub(super) fn retire_tail(&mut self) {
        if self.tail.len() > self.start {
            let piece = Piece::Owned {
                bytes: core::mem::take(&mut self.tail),
                start: core::mem::take(&mut self.start),
            };
            self.push_piece(piece);
        }
    }

    /// Makes room for `need` more bytes in the tail. It takes amortized constant time for each byte that is queued or
    /// written, however long the queue is.
    #[cold]
    pub(super) fn make_room(&mut self, need: usize) {
        // The unwritten bytes stay the same, so the cursors stay the same.
        let live = self.tail.len() - self.start;
        let room = live + need + MAX_HEADER_BYTES;
        if self.start >= live && live + need <= self.tail.capacity() {
            // At most as many bytes are moved as were written since the last move.
            count_moved(live);
            self.tail.drain(..self.start);
            self.start = 0;
        } else if live > 0 && (self.tail.capacity() >= RETIRE_BYTES || room > RETIRE_BYTES) {
            // The tail has its largest size, or the new bytes are many: nothing is moved.
            self.retire_tail();
            self.tail.reserve_exact(RETIRE_BYTES.max(need + MAX_HEADER_BYTES));
        } else {
            // The tail grows by doubling. For a large payload, the buffer has exactly the capacity that is needed.
            let doubled = (2 * self.tail.capacity()).min(RETIRE_BYTES);
            count_moved(live);
            self.tail.drain(..self.start);
            self.start = 0;
            self.tail.reserve_exact(room.max(doubled) - live);
        }
    }

    /// Drops all bytes. The unwritten payload bytes stay counted as buffered. The caller may still tell that taken
    /// bytes were written; this then has no effect.
    pub(crate) fn drop_all(&mut self) {
        let dropped = self.parts.as_ref().map_or(0, |parts| {
            parts.dropped + parts.taken.iter().map(|segment| segment.len() as u64).sum::<u64>()
        });
        let counters = self.parts.as_mut().and_then(|parts| parts.counters.take());
        *self = Queue { buffered: self.buffered, ..Queue::default() };
        if dropped > 0 || counters.is_some() {
            let parts = self.parts();
            parts.dropped = dropped;
            parts.counters = counters;
        }
    }

    /// Frees memory if the queue was empty for the time `after`. Otherwise returns the moment at which it must be
    /// freed; `None` if there is nothing to free.
    pub(crate) fn free_unused(
        &mut self,
        now: Timestamp,
        after: Duration,
        last_use: &mut LastUse,
    ) -> Option<Timestamp> {
        let used = core::mem::take(&mut self.is_used) || self.len() > 0;
        match last_use.observe(now, after, used) {
            Some(due) => (self.len() == 0 && self.owns_memory()).then_some(due),
            None => {
                self.free_memory();
                None
            }
        }
    }

    fn owns_memory(&self) -> bool {
        let parts = self.parts.as_ref();
        self.tail.capacity() > 0
            || parts.is_some_and(|parts| {
                parts.can_be_freed() && !parts.has_only_counters() || parts.spare.is_some()
            })
    }

    /// Frees memory if the queue is empty.
    pub(crate) fn free_memory(&mut self) {
        if self.len() == 0 {
            self.tail = Vec::new();
            match &mut self.parts {
                Some(parts) if !parts.can_be_freed() || parts.has_only_counters() => {
                    parts.spare = None;
                }
                parts => {
                    let counters = parts.take().and_then(|parts| parts.counters);
                    if counters.is_some() {
                        self.parts().counters = counters;
                    }
                }
            }
        }
    }
}

/// Whether a buffer is not larger than one that is made for a header and the first bytes of a moved payload.
pub(super) fn is_lead(buffer: &Vec<u8>) -> bool {
    buffer.capacity() <= MAX_HEADER_BYTES + LEAD_BYTES
}

/// Counts bytes that are moved within the queue, for the tests of amortized work.
#[inline]
pub(super) fn count_moved(bytes: usize) {
    #[cfg(test)]
    super::tests::MOVED.with(|moved| moved.set(moved.get() + bytes));
    #[cfg(not(test))]
    let _ = bytes;
}
