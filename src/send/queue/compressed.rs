//! Frames of compressed messages in the queue. A compressed message counts as buffered with its size before
//! compression, which the queue stores until the message is written.

use alloc::vec::Vec;

use super::Queue;
use crate::Shared;
use crate::frame::FirstByte;

/// A compressor's buffer with more capacity than this is moved into the queue, since the compressor does not keep such
/// a buffer.
const MOVE_COMPRESSED_BYTES: usize = 32 * 1024;

impl Queue {
    /// Queues a frame of a compressed message with a copy of `payload`. If the frame ends the message, `message` is the
    /// message's size before compression. This size counts as buffered until the frame is written.
    pub(crate) fn push_compressed(
        &mut self,
        first: FirstByte,
        payload: &[u8],
        key: Option<[u8; 4]>,
        message: Option<u64>,
    ) {
        self.push(first, payload, key);
        self.buffered -= payload.len() as u64;
        self.count_compressed(message);
    }

    /// Queues a frame of a compressed message whose payload is in the compressor's own `buffer`. A large buffer is
    /// moved, unless more than half of it is empty. Apart from that it does the same as
    /// [`push_compressed`](Queue::push_compressed).
    pub(crate) fn push_compressor_buffer(
        &mut self,
        first: FirstByte,
        buffer: &mut Vec<u8>,
        key: Option<[u8; 4]>,
        message: Option<u64>,
    ) {
        if buffer.capacity() <= MOVE_COMPRESSED_BYTES || buffer.len() < buffer.capacity() / 2 {
            return self.push_compressed(first, buffer, key, message);
        }
        let compressed = buffer.len() as u64;
        self.push_owned(first, core::mem::take(buffer), key);
        self.buffered -= compressed;
        self.count_compressed(message);
    }

    /// Queues a whole compressed frame that other connections share. `message` is the message's size before
    /// compression.
    pub(crate) fn push_shared_compressed(&mut self, frame: &Shared<Vec<u8>>, message: u64) {
        self.push_shared(frame, 0);
        self.count_compressed(Some(message));
    }

    fn count_compressed(&mut self, message: Option<u64>) {
        self.buffered += message.unwrap_or(0);
        let parts = self.parts();
        parts.is_in_compressed = message.is_none();
        parts.compressed_sizes.extend(message);
    }

    /// Takes over the count of an unfinished compressed message from the compressor, since the message gets no last
    /// frame. Its `bytes` count as buffered until the queue is empty.
    pub(crate) fn cut_compressed(&mut self, bytes: u64) {
        self.buffered += bytes;
        if let Some(parts) = &mut self.parts {
            parts.is_in_compressed = false;
        }
    }
}
