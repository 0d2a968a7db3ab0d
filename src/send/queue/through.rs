//! `send_through`: passes a frame to the transport without copying the payload into the queue. Only the bytes that the
//! transport does not write are queued.

use alloc::borrow::Cow;

use super::cursor::FrameCursor;
use super::memory::KEEP_BYTES;
use super::segment::Piece;
use super::{MOVE_BYTES, Queue};
use crate::frame::{self, FirstByte, MAX_HEADER_BYTES};
use crate::mask;

/// This many bytes of a payload are masked before each write. They are still in the CPU's first cache when they are
/// written.
const PORTION_BYTES: usize = 16 * 1024;
/// Enough room to append a header.
const HEADER_ROOM: usize = 16;

const _: () = assert!(HEADER_ROOM >= MAX_HEADER_BYTES && PORTION_BYTES + HEADER_ROOM <= KEEP_BYTES);

impl Queue {
    /// Passes a frame to `write`, which returns how many bytes it has written, and queues the rest. A number that is
    /// too large counts as all. The queue must be empty.
    #[inline]
    pub(crate) fn push_through<E>(
        &mut self,
        first: FirstByte,
        payload: Cow<'_, [u8]>,
        mut write: impl FnMut(&[u8], &[u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        debug_assert!(self.len() == 0, "nothing may come before");
        let (header, size) = frame::encode(first, payload.len() as u64, None);
        let written = write(&header[..size], &payload);
        let n = *written.as_ref().unwrap_or(&0);
        if n < size + payload.len() {
            self.push_rest(first, &header[..size], payload, n);
        }
        written.map(drop)
    }

    /// Does the same for a client, and masks the payload portion by portion.
    pub(crate) fn push_through_masked<E>(
        &mut self,
        first: FirstByte,
        payload: &[u8],
        key: [u8; 4],
        mut write: impl FnMut(&[u8], &[u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        debug_assert!(self.len() == 0, "nothing may come before");
        self.is_used = true;
        // If `write` panics, this buffer is freed, and the queue is empty.
        let mut wire = core::mem::take(&mut self.tail);
        let mut masked = payload.len().min(PORTION_BYTES);
        wire.reserve(masked + HEADER_ROOM);
        frame::append_header(&mut wire, first, payload.len() as u64, Some(key));
        let size = wire.len();
        mask::append_masked(&mut wire, &payload[..masked], key);
        let mut before = 0;
        loop {
            let written = write(&wire, &[]);
            // More than all is all.
            let n = written.as_ref().map_or(0, |n| wire.len().min(*n));
            let (rest, rest_key) = (&payload[masked..], mask::rotate_key(key, masked));
            if n != wire.len() {
                wire.reserve_exact(rest.len());
                mask::append_masked(&mut wire, rest, rest_key);
                self.start = n;
                self.tail = wire;
                self.begin_within(first, size, payload.len(), before + n);
                return written.map(drop);
            }
            before += n;
            wire.clear();
            if rest.is_empty() {
                self.tail = wire;
                return Ok(());
            }
            let portion = rest.len().min(PORTION_BYTES);
            mask::append_masked(&mut wire, &rest[..portion], rest_key);
            masked += portion;
        }
    }

    /// Queues the rest of a frame. Its first `n` bytes are written.
    #[cold]
    fn push_rest(&mut self, first: FirstByte, header: &[u8], payload: Cow<'_, [u8]>, n: usize) {
        let (size, len) = (header.len(), payload.len());
        debug_assert!(n < size + len, "there is a rest");
        let start = n.saturating_sub(size);
        self.is_used = true;
        match payload {
            Cow::Owned(bytes) if n >= size && len - start >= MOVE_BYTES => {
                self.push_piece(Piece::Owned { bytes, start });
            }
            Cow::Owned(bytes) if len >= MOVE_BYTES && n < size => {
                self.push_moved(&header[n..], bytes);
            }
            payload => {
                let rest = &header[n.min(size)..];
                self.make_room(rest.len() + len - start);
                self.tail.extend_from_slice(rest);
                self.tail.extend_from_slice(&payload[start..]);
            }
        }
        self.begin_within(first, size, len, n);
    }

    /// Sets the counts and cursors of a queue that has only one data frame, whose first `n` bytes are written.
    fn begin_within(&mut self, first: FirstByte, header: usize, payload: usize, n: usize) {
        debug_assert!(self.buffered == 0, "nothing else is queued");
        self.buffered = (payload - n.saturating_sub(header)) as u64;
        // If no byte of the frame is written, control frames may still go ahead of it, and no cursor is needed.
        if n > 0 {
            let cursor = FrameCursor::within(first, header, payload, n);
            let parts = self.parts();
            parts.written = cursor;
            parts.untaken = cursor;
        }
    }
}
