//! The head of the opening handshake in the queue: a request or response. It comes before all frames, and is the only
//! thing in the queue that is not a frame.

use alloc::vec::Vec;

use super::Queue;
use super::cursor::FrameCursor;
use crate::error::UsageError;

/// The largest request or response of an opening handshake. The queue stores its length in 32 bits.
pub(crate) const MAX_HEAD_BYTES: u64 = i32::MAX as u64;

impl Queue {
    /// Queues the bytes that `write` appends: the head of the opening handshake. The queue must be empty. If `write`
    /// fails, or if the head is longer than [`MAX_HEAD_BYTES`], nothing is queued.
    pub(crate) fn push_head(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), UsageError>,
    ) -> Result<(), UsageError> {
        debug_assert!(self.len() == 0, "the opening handshake comes first");
        self.tail.clear();
        self.start = 0;
        let mut written = write(&mut self.tail);
        let (needed, limit) = (self.tail.len() as u64, MAX_HEAD_BYTES);
        if needed > limit {
            written = Err(UsageError::BufferFull { needed, limit });
        }
        if written.is_err() {
            self.tail = Vec::new();
            return written;
        }
        self.head = self.tail.len() as u32;
        if let Some(parts) = &mut self.parts {
            parts.written = FrameCursor::in_head(self.head);
            parts.untaken = parts.written;
        }
        self.is_used = true;
        Ok(())
    }

    /// Whether the queue is one head, and no byte of it is written or taken.
    pub(crate) fn has_whole_head(&self) -> bool {
        let is_untouched = self.start == 0 && self.parts_len == 0;
        self.head > 0 && is_untouched && self.tail.len() == self.head as usize
    }

    /// Replaces a whole head by the bytes that `write` appends. If `write` fails, nothing changes.
    pub(crate) fn replace_head(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), UsageError>,
    ) -> Result<(), UsageError> {
        debug_assert!(self.has_whole_head());
        let old = core::mem::take(&mut self.tail);
        let written = self.push_head(write);
        if written.is_err() {
            self.tail = old;
        }
        written
    }
}
