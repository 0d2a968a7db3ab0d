//! The queue of bytes for the peer. It has frames in wire order, which the caller writes in portions of any size, and
//! it counts the unwritten payload bytes. It puts pings and pongs ahead of data frames. It does not know why a frame is
//! sent.
//!
//! A byte leaves the queue when it is *written*, which the caller tells by `advance`. Before that, bytes can be *taken*
//! as a [`Segment`]. Taken bytes count as queued until they are written.

mod chunks;
#[cfg(feature = "deflate")]
mod compressed;
mod counting;
mod cursor;
mod head;
mod memory;
mod parts;
mod segment;
mod streamed;
mod taken;
#[cfg(test)]
mod tests;
mod through;
mod written;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::Shared;
use crate::frame::{self, FirstByte, MAX_HEADER_BYTES, Opcode};
use crate::mask;
use cursor::FrameCursor;
use memory::is_lead;
use parts::Parts;
use segment::Piece;

pub use chunks::OutgoingChunks;
pub(crate) use head::MAX_HEAD_BYTES;
pub use segment::Segment;

/// An owned payload of at least this size is moved into the queue. A smaller one is cheaper to copy.
const MOVE_BYTES: usize = 4 * 1024;
/// This many bytes of a moved payload are copied behind its header. A header alone would be a packet of its own. With
/// Nagle's algorithm, the payload would then wait until the peer acknowledges this packet.
const LEAD_BYTES: usize = 1400;
/// A taken piece counts this many bytes more than its length, until it is written. It costs two allocations and a slot
/// in a list. Without this, a caller that takes each small message on its own could use memory without limit.
const TAKEN_PIECE_BYTES: u64 = 128;

const _: () = assert!(LEAD_BYTES < MOVE_BYTES && LEAD_BYTES % 4 == 0);

/// The queue. Its order is: the taken pieces, the other pieces, the tail. Pings and pongs go behind the taken pieces,
/// at the next border between frames.
#[derive(Default)]
pub(crate) struct Queue {
    /// The end of the queue, where small frames coalesce; `..start` is written.
    tail: Vec<u8>,
    /// At most `tail.len()`; 0 if the tail is empty.
    start: usize,
    /// Payload bytes that count as buffered: of frames that are not written, and of messages that were dropped.
    buffered: u64,
    /// Unwritten bytes in `parts`; 0 if `parts` is `None`.
    parts_len: u64,
    /// The parts of the queue that a short queue without control frames does not need.
    parts: Option<Box<Parts>>,
    /// The length of the queued HTTP head, until the queue is empty. If `parts` exists, its cursors know how much of
    /// the head is left.
    head: u32,
    /// The queue has been longer than its high-water mark, and has not become as short as its low-water mark since
    /// then.
    is_congested: bool,
    /// Something was queued since the last call of [`free_unused`](Queue::free_unused).
    is_used: bool,
    /// A Close frame, an HTTP response that ends the connection, or a frame that was cut is in the queue and not wholly
    /// written.
    has_end: bool,
}

impl Queue {
    /// The number of unwritten bytes.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.parts_len + (self.tail.len() - self.start) as u64
    }

    /// The number that `max_outgoing_bytes` limits: the unwritten bytes, and 128 bytes for each taken piece.
    #[inline]
    pub(crate) fn charged_bytes(&self) -> u64 {
        let taken = self.parts.as_ref().map_or(0, |parts| parts.taken.len() as u64);
        self.len() + taken * TAKEN_PIECE_BYTES
    }

    /// Unwritten payload bytes of data frames.
    #[inline]
    pub(crate) fn buffered(&self) -> u64 {
        self.buffered
    }

    /// Queues a frame with a copy of `payload`, masked with `key`. It is inlined, since a call would be a tenth of the
    /// work for a short message.
    #[inline(always)]
    pub(crate) fn push(&mut self, first: FirstByte, payload: &[u8], key: Option<[u8; 4]>) {
        if self.tail.capacity() - self.tail.len() < MAX_HEADER_BYTES + payload.len() {
            self.make_room(MAX_HEADER_BYTES + payload.len());
        }
        frame::append_header(&mut self.tail, first, payload.len() as u64, key);
        mask::append_masked(&mut self.tail, payload, key.unwrap_or_default());
        if !first.is_control() {
            self.buffered += payload.len() as u64;
        }
        self.is_used = true;
    }

    /// Queues a frame whose `payload` is moved into the queue, and masked in place with `key`.
    pub(crate) fn push_owned(
        &mut self,
        first: FirstByte,
        mut payload: Vec<u8>,
        key: Option<[u8; 4]>,
    ) {
        if payload.len() < MOVE_BYTES {
            return self.push(first, &payload, key);
        }
        let (header, size) = frame::encode(first, payload.len() as u64, key);
        self.buffered += payload.len() as u64;
        self.is_used = true;
        if let Some(key) = key {
            mask::apply_mask(&mut payload, key);
        }
        self.push_moved(&header[..size], payload);
    }

    /// Queues `header` and then the payload. After `send_through`, `header` is only the part that the transport has not
    /// taken. Only the first bytes of the payload are copied.
    fn push_moved(&mut self, header: &[u8], payload: Vec<u8>) {
        let need = header.len() + LEAD_BYTES;
        let has_room = self.tail.capacity() - self.tail.len() >= need;
        let (mut front, start) =
            if has_room && (self.tail.len() > self.start || is_lead(&self.tail)) {
                (core::mem::take(&mut self.tail), core::mem::take(&mut self.start))
            } else {
                self.retire_tail();
                (Vec::with_capacity(MAX_HEADER_BYTES + LEAD_BYTES), 0)
            };
        front.extend_from_slice(header);
        front.extend_from_slice(&payload[..LEAD_BYTES]);
        self.push_piece(Piece::Owned { bytes: front, start });
        self.push_piece(Piece::Owned { bytes: payload, start: LEAD_BYTES });
    }

    /// Queues a whole frame that other connections share. `payload_len` bytes of it count as buffered payload.
    pub(crate) fn push_shared(&mut self, frame: &Shared<Vec<u8>>, payload_len: usize) {
        self.buffered += payload_len as u64;
        self.is_used = true;
        if frame.len() < MOVE_BYTES {
            if self.tail.capacity() - self.tail.len() < frame.len() {
                self.make_room(frame.len());
            }
            self.tail.extend_from_slice(frame);
        } else {
            self.retire_tail();
            self.push_piece(Piece::Shared(Segment::shared(frame.clone())));
        }
    }

    /// Queues a ping or pong ahead of all data frames that are neither taken nor partly written.
    pub(crate) fn push_control(&mut self, opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>) {
        let parts = self.parts();
        parts.make_control_room(MAX_HEADER_BYTES + payload.len());
        let before = parts.control.len();
        frame::append_header(
            &mut parts.control,
            FirstByte::new(opcode, true),
            payload.len() as u64,
            key,
        );
        mask::append_masked(&mut parts.control, payload, key.unwrap_or_default());
        parts.pongs += u32::from(opcode == Opcode::Pong);
        parts.pings += u32::from(opcode == Opcode::Ping);
        self.parts_len += (parts.control.len() - before) as u64;
        self.is_used = true;
    }

    /// Queues the answer to a ping in the same place as other control frames. If `limit` pongs are queued and not
    /// taken, it replaces the latest answer, unless a part of that is written (RFC 6455 5.5.3).
    pub(crate) fn push_pong(&mut self, payload: &[u8], key: Option<[u8; 4]>, limit: u8) {
        let parts = self.parts();
        let is_full = parts.pongs >= u32::from(limit);
        if let Some(at) = parts.last_pong.filter(|at| is_full && *at >= parts.control_start) {
            let header = frame::decode_own(&parts.control[at..]);
            let old = header.size + header.len as usize;
            parts.control.drain(at..at + old);
            parts.pongs -= 1;
            self.parts_len -= old as u64;
        }
        let frame_len = payload.len() + if key.is_some() { 6 } else { 2 };
        self.push_control(Opcode::Pong, payload, key);
        let parts = self.parts();
        parts.last_pong = Some(parts.control.len() - frame_len);
    }

    /// Makes the queue congested if it is longer than `high`. Call it when the queue has grown.
    #[inline]
    pub(crate) fn raise_congestion(&mut self, high: u64) {
        if self.len() > high {
            self.is_congested = true;
        }
    }

    /// Ends the congestion if the queue is at most `low` bytes long. Call it when the queue has shrunk.
    #[inline]
    pub(crate) fn ease_congestion(&mut self, low: u64) {
        if self.len() <= low {
            self.is_congested = false;
        }
    }

    #[inline]
    pub(crate) fn is_congested(&self) -> bool {
        self.is_congested
    }

    /// Marks the frame or response that was queued last as the end: a Close frame, or an HTTP response that ends the
    /// connection. Later calls queue only pings and pongs.
    pub(crate) fn mark_end(&mut self) {
        self.has_end = true;
    }

    /// Whether the end is queued and not wholly written. Pings and pongs that go out behind it do not count.
    pub(crate) fn has_unwritten_end(&self) -> bool {
        self.has_end
    }

    /// Whether one of our pings is not wholly written.
    pub(crate) fn has_waiting_ping(&self) -> bool {
        self.parts.as_ref().is_some_and(|parts| parts.pings > 0)
    }

    /// The first contiguous piece of the bytes that are not taken, or an empty slice.
    #[inline]
    pub(crate) fn first(&self) -> &[u8] {
        match &self.parts {
            Some(parts) if self.parts_len > 0 => parts.first(&self.tail[self.start..]),
            _ => &self.tail[self.start..],
        }
    }

    /// All bytes that are not taken, in contiguous pieces.
    #[inline]
    pub(crate) fn chunks(&self) -> OutgoingChunks<'_> {
        let Some(parts) = &self.parts else {
            return OutgoingChunks {
                rest: &self.tail[self.start..],
                before_control: u64::MAX,
                control: &[],
                pieces: None,
                tail: &[],
            };
        };
        let control = &parts.control[parts.control_start..];
        OutgoingChunks {
            rest: &[],
            before_control: match control.is_empty() {
                true => u64::MAX,
                false if parts.in_control => 0,
                false => parts.untaken.to_border(),
            },
            control,
            pieces: Some(parts.pieces.iter()),
            tail: &self.tail[self.start..],
        }
    }

    fn parts(&mut self) -> &mut Parts {
        self.parts.get_or_insert_with(|| {
            let cursor = FrameCursor::in_head(self.head);
            Box::new(Parts { written: cursor, untaken: cursor, ..Parts::default() })
        })
    }

    fn push_piece(&mut self, piece: Piece) {
        self.parts_len += piece.as_slice().len() as u64;
        self.parts().pieces.push_back(piece);
    }
}
