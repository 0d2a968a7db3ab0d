//! A frame whose header is queued before its payload. The caller sends the payload in pieces. Until it is whole,
//! control frames wait, since the cursor of the queue is not at a border. A Close waits here.

use alloc::vec::Vec;

use super::Queue;
use super::cursor::FrameCursor;
use super::segment::Piece;
use crate::frame::{self, FirstByte, MAX_HEADER_BYTES, Opcode};
use crate::mask;

/// An unfinished frame, or an unfinished message that the caller compresses.
#[derive(Default)]
pub(super) struct Streamed {
    /// The unfinished frame; `None` between the frames of a compressed message.
    frame: Option<OpenFrame>,
    /// For a message that the caller compresses: its payload bytes that count as buffered, or `None`.
    compressed: Option<u64>,
    /// A Close frame that waits for the end of the frame. It counts as queued.
    close: Vec<u8>,
}

#[derive(Clone, Copy)]
struct OpenFrame {
    first: FirstByte,
    /// The masking key, rotated so that its first byte masks the next byte of the payload.
    key: [u8; 4],
    /// Bytes of the payload that are not queued; at least 1.
    left: u64,
}

impl Streamed {
    /// Whether a frame, or a message that the caller compresses, is unfinished.
    pub(super) fn is_unfinished(&self) -> bool {
        self.frame.is_some() || self.compressed.is_some()
    }

    /// The queue has become empty. Nothing counts as buffered any more. Returns the place of the next byte if it
    /// belongs to an unfinished frame.
    pub(super) fn reset(&mut self) -> Option<FrameCursor> {
        self.compressed = self.compressed.map(|_| 0);
        let frame = self.frame?;
        Some(FrameCursor::in_payload(frame.first, frame.left, self.compressed.is_some()))
    }
}

impl Queue {
    fn streamed(&self) -> Option<&Streamed> {
        self.parts.as_ref()?.streamed.as_deref()
    }

    /// Bytes that the payload of the unfinished frame lacks.
    pub(crate) fn open_frame(&self) -> Option<u64> {
        Some(self.streamed()?.frame?.left)
    }

    /// Whether the unfinished frame is the last of its message.
    pub(crate) fn is_open_frame_last(&self) -> bool {
        let frame = self.streamed().and_then(|streamed| streamed.frame);
        frame.is_some_and(|frame| frame.first.is_final())
    }

    /// Whether the caller compresses the unfinished message.
    pub(crate) fn is_in_compressed_by_caller(&self) -> bool {
        self.streamed().is_some_and(|streamed| streamed.compressed.is_some())
    }

    /// Whether a Close waits for the end of a frame.
    pub(crate) fn has_waiting_close(&self) -> bool {
        self.streamed().is_some_and(|streamed| !streamed.close.is_empty())
    }

    /// Bytes of control frames that wait while a frame is unfinished. They cannot go out before its payload is whole,
    /// or at best before its header.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        match (&self.parts, self.streamed()) {
            (Some(parts), Some(streamed)) if streamed.frame.is_some() => {
                (parts.control.len() - parts.control_start + streamed.close.len()) as u64
            }
            _ => 0,
        }
    }

    /// Whether a frame is unfinished, and nothing can be written before more of its payload is queued.
    pub(crate) fn needs_payload(&self) -> bool {
        let is_taken = self.parts.as_ref().is_some_and(|parts| !parts.taken.is_empty());
        self.open_frame().is_some() && self.first().is_empty() && !is_taken
    }

    /// Queues the header of a frame with a payload of `len` bytes. [`push_payload`](Queue::push_payload) queues the
    /// payload. `is_compressed` tells that the caller compresses the message.
    pub(crate) fn begin_frame(
        &mut self,
        first: FirstByte,
        len: u64,
        key: Option<[u8; 4]>,
        is_compressed: bool,
    ) {
        if self.tail.capacity() - self.tail.len() < MAX_HEADER_BYTES {
            self.make_room(MAX_HEADER_BYTES);
        }
        frame::append_header(&mut self.tail, first, len, key);
        self.is_used = true;
        let parts = self.parts();
        let streamed = parts.streamed.get_or_insert_default();
        streamed.frame = Some(OpenFrame { first, key: key.unwrap_or_default(), left: len });
        streamed.compressed = is_compressed.then(|| streamed.compressed.unwrap_or(0));
        if len == 0 {
            self.end_frame();
        }
    }

    /// Queues the next piece of the payload of the unfinished frame, which lacks at least as many bytes.
    pub(crate) fn push_payload(&mut self, payload: &[u8]) {
        if self.tail.capacity() - self.tail.len() < payload.len() {
            self.make_room(payload.len());
        }
        let streamed = self.parts.as_mut().and_then(|parts| parts.streamed.as_mut());
        let streamed = streamed.expect("the caller has checked that a frame is unfinished");
        let frame = streamed.frame.as_mut().expect("the caller has checked that it is unfinished");
        mask::append_masked(&mut self.tail, payload, frame.key);
        let len = payload.len() as u64;
        frame.key = mask::rotate_key(frame.key, payload.len());
        frame.left -= len;
        let is_whole = frame.left == 0;
        if let Some(bytes) = &mut streamed.compressed {
            *bytes += len;
        }
        self.buffered += len;
        self.is_used = true;
        if is_whole {
            self.end_frame();
        }
    }

    /// Queues a Close frame that waits for the end of the unfinished frame. No data frame follows it.
    pub(crate) fn push_behind_frame(
        &mut self,
        first: FirstByte,
        payload: &[u8],
        key: Option<[u8; 4]>,
    ) {
        let mut close = Vec::with_capacity(MAX_HEADER_BYTES + payload.len());
        frame::append_header(&mut close, first, payload.len() as u64, key);
        mask::append_masked(&mut close, payload, key.unwrap_or_default());
        self.parts_len += close.len() as u64;
        let streamed = self.parts().streamed.as_mut();
        streamed.expect("the caller has checked that a frame is unfinished").close = close;
        self.mark_end();
    }

    /// Ends the frame, whose payload is whole. A Close that has waited for it is queued.
    fn end_frame(&mut self) {
        let parts = self.parts();
        let Some(streamed) = &mut parts.streamed else { return };
        let Some(frame) = streamed.frame.take() else { return };
        let is_last = frame.first.is_final();
        if let Some(bytes) = streamed.compressed {
            parts.is_in_compressed = !is_last;
            if is_last {
                parts.compressed_sizes.push_back(bytes);
                streamed.compressed = None;
            }
        }
        if streamed.close.is_empty() {
            return;
        }
        // RFC 6455 5.5.1: no data frame follows a Close.
        let close = core::mem::take(&mut streamed.close);
        streamed.compressed = None;
        parts.is_in_compressed = false;
        self.parts_len -= close.len() as u64;
        if self.tail.capacity() - self.tail.len() < close.len() {
            self.make_room(close.len());
        }
        self.tail.extend_from_slice(&close);
    }

    /// Gives up the unfinished frame or message: the connection fails, or a Close follows. Nothing that waits for the
    /// end of the frame goes out: a cut frame is the end of the queue.
    pub(crate) fn cut_frame(&mut self) {
        let Some(parts) = &mut self.parts else { return };
        let Some(streamed) = parts.streamed.take() else { return };
        parts.is_in_compressed = false;
        if !streamed.close.is_empty() {
            self.parts_len -= streamed.close.len() as u64;
            self.has_end = false;
        }
        if streamed.frame.is_none() {
            return;
        }
        // Control frames can still go out if a whole frame, or the rest of one, is queued before the unfinished frame.
        let data = parts.pieces.iter().map(|piece| Piece::as_slice(piece).len()).sum::<usize>()
            + self.tail.len()
            - self.start;
        if !parts.in_control && parts.untaken.to_border() > data as u64 {
            let mut control = &parts.control[parts.control_start..];
            self.parts_len -= control.len() as u64;
            while !control.is_empty() {
                let header = frame::decode_own(control);
                parts.pings -= u32::from(header.first.opcode() == Opcode::Ping);
                control = &control[header.size + header.len as usize..];
            }
            parts.clear_control();
        }
        self.has_end = self.len() > 0;
    }
}
