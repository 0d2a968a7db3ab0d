//! The sender's half of permessage-deflate: the deflater, the buffer that it fills, and how much of a message has gone
//! through it.

use alloc::vec::Vec;

use super::deflater::Deflater;
use super::{Deflate, Direction};

/// A buffer of more capacity is freed behind a message.
const KEEP_BYTES: usize = 32 * 1024;

pub(crate) struct Compressor {
    deflater: Deflater,
    /// The frame's payload that was compressed last.
    buffer: Vec<u8>,
    /// Bytes before compression of the fragments of a message that is not ended; `None` between messages.
    unfinished: Option<u64>,
    /// The least size of a message that is compressed, unless it is sent in fragments.
    min_bytes: usize,
    /// It was used since [`take_used`](Compressor::take_used) was called.
    is_used: bool,
}

impl Compressor {
    pub(super) fn new(direction: Direction, options: &Deflate) -> Compressor {
        Compressor {
            deflater: Deflater::new(direction, options.allowed_level()),
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

    /// Bytes before compression of the fragments of a message that is not ended.
    pub(crate) fn unfinished_bytes(&self) -> u64 {
        self.unfinished.unwrap_or(0)
    }

    /// The message that is not ended gets no end. Returns its bytes so far.
    pub(crate) fn cut_message(&mut self) -> Option<u64> {
        self.unfinished.take()
    }

    /// Compresses the payload of a frame into the buffer. Returns the message's size before compression if the frame is
    /// the `last`.
    pub(crate) fn compress(&mut self, payload: &[u8], last: bool) -> Option<u64> {
        self.is_used = true;
        self.buffer.clear();
        self.deflater.compress(payload, last, &mut self.buffer);
        let bytes = self.unfinished_bytes() + payload.len() as u64;
        self.unfinished = (!last).then_some(bytes);
        last.then_some(bytes)
    }

    /// What was compressed last; its memory may be taken.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The agreed window of what is sent.
    pub(crate) fn window_bits(&self) -> u8 {
        self.deflater.window_bits()
    }

    /// Begins anew with an empty window: a message was sent that did not go through it.
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

    /// Frees all memory but the window.
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
