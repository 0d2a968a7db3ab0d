//! The sender's half of permessage-deflate: the deflater, its output buffer, and the size of the unfinished message.

use alloc::vec::Vec;

use super::deflater::Deflater;
use super::{Deflate, Direction};

/// After each frame, a buffer of more capacity is freed.
const KEEP_BYTES: usize = 32 * 1024;

pub(crate) struct Compressor {
    deflater: Deflater,
    /// The compressed payload of the last frame.
    buffer: Vec<u8>,
    /// Bytes of the unfinished message so far, before compression; `None` between messages.
    unfinished: Option<u64>,
    /// Smaller messages are not compressed, unless they are sent in several fragments.
    min_bytes: usize,
    /// It was used since the last call of [`take_used`](Compressor::take_used).
    is_used: bool,
}

impl Compressor {
    pub(super) fn new(direction: Direction, options: &Deflate) -> Compressor {
        Compressor {
            deflater: Deflater::new(direction, options.level, options.memory_level),
            buffer: Vec::new(),
            unfinished: None,
            min_bytes: options.min_bytes,
            is_used: false,
        }
    }

    /// Whether a message of `len` bytes, in one frame, is to be compressed.
    #[inline]
    pub(crate) fn compresses(&self, len: usize) -> bool {
        len >= self.min_bytes && self.is_usable()
    }

    /// Whether this direction can be compressed at all.
    pub(crate) fn is_usable(&self) -> bool {
        self.deflater.is_usable()
    }

    /// Whether the fragmented message that is being sent is compressed.
    pub(crate) fn is_in_message(&self) -> bool {
        self.unfinished.is_some()
    }

    /// Bytes of the unfinished message so far, before compression; 0 between messages.
    pub(crate) fn unfinished_bytes(&self) -> u64 {
        self.unfinished.unwrap_or(0)
    }

    /// Forgets the unfinished message, which gets no last frame. Returns its bytes so far, before compression.
    pub(crate) fn cut_message(&mut self) -> Option<u64> {
        self.unfinished.take()
    }

    /// Compresses the payload of a frame into the buffer. If the frame is the `last` of its message, returns the
    /// message's size before compression.
    pub(crate) fn compress(&mut self, payload: &[u8], last: bool) -> Option<u64> {
        self.is_used = true;
        self.buffer.clear();
        self.deflater.compress(payload, last, &mut self.buffer);
        let bytes = self.unfinished_bytes() + payload.len() as u64;
        self.unfinished = (!last).then_some(bytes);
        last.then_some(bytes)
    }

    /// The compressed payload of the last frame. The caller may take its memory.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The base-2 logarithm of the window for sending.
    pub(crate) fn window_bits(&self) -> u8 {
        self.deflater.window_bits()
    }

    /// Starts again with an empty window, after a message that was sent without this compressor.
    pub(crate) fn forget_window(&mut self) {
        self.is_used = true;
        self.deflater.forget();
    }

    /// Frees the buffer if it is large.
    pub(crate) fn free_large_buffer(&mut self) {
        if self.buffer.capacity() > KEEP_BYTES {
            self.buffer = Vec::new();
        }
    }

    /// Frees all memory except the window.
    pub(super) fn free_memory(&mut self) {
        self.deflater.free_memory();
        self.buffer = Vec::new();
    }

    pub(super) fn owns_memory(&self) -> bool {
        self.deflater.owns_memory() || self.buffer.capacity() > 0
    }

    /// Whether it was used since the last call.
    pub(super) fn take_used(&mut self) -> bool {
        core::mem::take(&mut self.is_used)
    }
}
