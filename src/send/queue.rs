//! The queue of bytes for the peer: frames in wire order, written in any portions, and the count of payload bytes that are
//! still in it. It knows frames, and that control frames go ahead of data; it does not know why they are sent.
//!
//! A byte leaves the queue when it is *written*: when the caller tells so by `advance`. Bytes can be *taken* before, as a
//! [`Segment`]; they count until they are written.

mod chunks;
mod cursor;
mod parts;
mod segment;
#[cfg(test)]
mod tests;
mod through;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::Shared;
use crate::error::UsageError;
use crate::frame::{self, FirstByte, MAX_HEADER_BYTES, Opcode};
use crate::last_use::LastUse;
use crate::mask;
use crate::timestamp::Timestamp;
use cursor::FrameCursor;
use parts::{Parts, pop_front};
use segment::Piece;

pub use chunks::OutgoingChunks;
pub use segment::Segment;

/// A tail buffer of this capacity is kept when the queue is empty; a larger one is freed.
const KEEP_BYTES: usize = 80 * 1024;
/// A tail buffer that holds this much is not grown any more: another is begun behind it.
const RETIRE_BYTES: usize = 64 * 1024;
/// An owned payload from this size on is moved into the queue as it is; a smaller one is cheaper to copy.
const MOVE_BYTES: usize = 4 * 1024;
/// This much of a payload that is moved is copied behind its header. A header alone would be a packet of its own, for
/// which a transport with Nagle's algorithm lets the payload wait.
const LEAD_BYTES: usize = 1400;
/// A compressor's buffer over this capacity is moved into the queue: the compressor would free it.
#[cfg(feature = "deflate")]
const MOVE_COMPRESSED_BYTES: usize = 32 * 1024;
/// What a piece that is taken counts beside its bytes, until it is released: it has two allocations and a place in a
/// list, and without this a caller that takes each small message out could hold any amount of them.
const TAKEN_PIECE_BYTES: u64 = 128;

/// An opening handshake's request or response is held in memory, and its length in 32 bits.
pub(crate) const MAX_HEAD_BYTES: u64 = i32::MAX as u64;

const _: () = assert!(LEAD_BYTES < MOVE_BYTES && LEAD_BYTES % 4 == 0);
const _: () = assert!(MOVE_BYTES <= RETIRE_BYTES && RETIRE_BYTES <= KEEP_BYTES);

/// The queue. Its order: what was taken, then the pieces ahead and the tail, with the control frames put in at the next
/// border between frames.
#[derive(Default)]
pub(crate) struct Queue {
    /// The end of the queue, where small frames coalesce; `..start` is released.
    tail: Vec<u8>,
    /// At most `tail.len()`; 0 if the tail is empty.
    start: usize,
    /// Payload bytes of data frames in the queue that are not released.
    buffered: u64,
    /// Unreleased bytes in `parts`; 0 if there is none.
    parts_len: u64,
    /// Parts of the queue that only a long or interrupted queue needs.
    parts: Option<Box<Parts>>,
    /// Bytes of the opening handshake at the front, which are not frames; unused once `parts` is there.
    head: u32,
    /// The queue was longer than its high mark, and was not as short as its low mark since.
    is_congested: bool,
    /// Something was queued since [`free_unused`](Queue::free_unused) last looked.
    is_used: bool,
    /// A Close frame or an HTTP response that ends the connection is in the queue, and not all of it is written.
    has_end: bool,
}

impl Queue {
    /// Unreleased bytes.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.parts_len + (self.tail.len() - self.start) as u64
    }

    /// What counts against the hard cap: unreleased bytes, and what it takes to keep those that are taken.
    #[inline]
    pub(crate) fn charge(&self) -> u64 {
        let taken = self.parts.as_ref().map_or(0, |parts| parts.taken.len() as u64);
        self.len() + taken * TAKEN_PIECE_BYTES
    }

    /// Payload bytes of data frames that are not released.
    #[inline]
    pub(crate) fn buffered(&self) -> u64 {
        self.buffered
    }

    /// Queues a frame with a copy of `payload`, masked with `key`.
    #[inline]
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

    /// Queues a frame with `payload` moved in, masked in place with `key`.
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

    /// Queues the rest of a header, and the payload moved in behind it.
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

    /// Queues a whole frame that is shared with others; `payload_len` bytes of it are the payload of a data frame.
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

    /// Queues a frame of a compressed message with a copy of `payload`. `message` is the size of the message before
    /// compression, if the frame ends it: so many bytes count as buffered until the frame is written.
    #[cfg(feature = "deflate")]
    pub(crate) fn push_compressed(
        &mut self,
        first: FirstByte,
        payload: &[u8],
        key: Option<[u8; 4]>,
        message: Option<u64>,
    ) {
        self.push(first, payload, key);
        self.buffered -= payload.len() as u64;
        self.note_compressed(message);
    }

    /// As [`push_compressed`](Queue::push_compressed), with the payload in the compressor's own buffer. A large one is
    /// moved in, unless more than half of it is empty.
    #[cfg(feature = "deflate")]
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
        self.note_compressed(message);
    }

    /// Queues a whole compressed frame that is shared with others; `message` is its message's size before compression.
    #[cfg(feature = "deflate")]
    pub(crate) fn push_shared_compressed(&mut self, frame: &Shared<Vec<u8>>, message: u64) {
        self.push_shared(frame, 0);
        self.note_compressed(Some(message));
    }

    #[cfg(feature = "deflate")]
    fn note_compressed(&mut self, message: Option<u64>) {
        self.buffered += message.unwrap_or(0);
        let parts = self.parts();
        parts.is_in_compressed = message.is_none();
        parts.compressed_sizes.extend(message);
    }

    /// The compressed message that was queued in part gets no end: `bytes` of it count as buffered until the queue is
    /// empty.
    #[cfg(feature = "deflate")]
    pub(crate) fn cut_compressed(&mut self, bytes: u64) {
        self.buffered += bytes;
        if let Some(parts) = &mut self.parts {
            parts.is_in_compressed = false;
        }
    }

    /// Queues what `write` appends, which is the head of the opening handshake; the queue must be empty. On an error, and
    /// if it is more than [`MAX_HEAD_BYTES`], nothing is queued.
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

    /// Queues a control frame ahead of all data that is not begun.
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

    /// Queues the answer to a ping ahead of all data that is not begun. When `limit` pongs wait, it takes the place of
    /// the latest answer, unless that is begun (RFC 6455 5.5.3).
    pub(crate) fn push_pong(&mut self, payload: &[u8], key: Option<[u8; 4]>, limit: u8) {
        let parts = self.parts();
        let is_full = parts.pongs >= u32::from(limit.max(1));
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

    /// Compares the length with the high mark; to be called when the queue has become longer.
    #[inline]
    pub(crate) fn note_longer(&mut self, high: u64) {
        if self.len() > high {
            self.is_congested = true;
        }
    }

    /// Compares the length with the low mark; to be called when the queue has become shorter.
    #[inline]
    pub(crate) fn note_shorter(&mut self, low: u64) {
        if self.len() <= low {
            self.is_congested = false;
        }
    }

    #[inline]
    pub(crate) fn is_congested(&self) -> bool {
        self.is_congested
    }

    /// Notes that what was queued last, a Close frame or a whole HTTP response, is the last that this side says. Only
    /// pings and pongs are queued after it.
    pub(crate) fn note_end(&mut self) {
        self.has_end = true;
    }

    /// Whether an end was noted of which a byte is not released. Pings and pongs that are queued later do not
    /// change it.
    pub(crate) fn has_unwritten_end(&self) -> bool {
        self.has_end
    }

    /// Whether a ping of this side is not released whole.
    pub(crate) fn has_waiting_ping(&self) -> bool {
        self.parts.as_ref().is_some_and(|parts| parts.pings > 0)
    }

    /// The first contiguous piece; empty only if the queue is.
    #[inline]
    pub(crate) fn first(&self) -> &[u8] {
        match &self.parts {
            Some(parts) if self.parts_len > 0 => parts.first(&self.tail[self.start..]),
            _ => &self.tail[self.start..],
        }
    }

    /// All that is not taken, in contiguous pieces.
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

    /// Releases the first `n` bytes if these are all, and no piece stands ahead of the tail; otherwise returns `false`,
    /// and [`advance_partly`](Queue::advance_partly) must be called.
    #[inline]
    pub(crate) fn advance_whole(&mut self, n: usize) -> bool {
        let has_no_pieces = || self.parts.as_ref().is_none_or(|parts| parts.has_no_pieces());
        let is_whole = n > 0 && n as u64 == self.len() && (self.parts_len == 0 || has_no_pieces());
        if is_whole {
            self.parts_len = 0;
            self.reset();
        }
        is_whole
    }

    /// The queue has become empty.
    #[inline]
    fn reset(&mut self) {
        self.tail.clear();
        self.start = 0;
        self.buffered = 0;
        self.is_congested = false;
        self.has_end = false;
        // No memory is kept for after the opening handshake: many connections are silent for long after it.
        if self.head > 0 || self.tail.capacity() > KEEP_BYTES {
            self.head = 0;
            self.tail = Vec::new();
        }
        if let Some(parts) = &mut self.parts {
            parts.reset();
        }
    }

    /// Releases the first `n` bytes, and returns whether they are not of pings and pongs alone.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    pub(crate) fn advance_partly(&mut self, mut n: usize) -> bool {
        let mut is_more_than_pings = false;
        if n == 0 {
            return false;
        }
        if let Some(parts) = self.parts.as_mut().filter(|parts| parts.dropped >= n as u64) {
            parts.dropped -= n as u64;
            return false;
        }
        assert!(n as u64 <= self.len(), "advance({n}), but {} bytes are outgoing", self.len());
        // The border between frames must be known, now that a part of one is released.
        self.parts();
        while n > 0 {
            let parts = self.parts.as_mut().expect("it was made above");
            if let Some(segment) = parts.taken.front_mut() {
                let step = n.min(segment.len());
                let passed = parts.written.advance(segment, step);
                parts.taken_pongs = parts.taken_pongs.saturating_sub(passed.pongs);
                segment.start += step;
                if segment.is_empty() {
                    pop_front(&mut parts.taken);
                }
                self.buffered -= parts.count_written(&passed);
                self.has_end &= !passed.close;
                is_more_than_pings |= passed.is_more_than_pings;
                self.parts_len -= step as u64;
                n -= step;
                continue;
            }
            let piece = self.first();
            let step = n.min(piece.len());
            let mut cursor = self.parts.as_ref().expect("it was made above").written;
            let passed = cursor.advance(piece, step);
            n -= step;
            self.remove_front(step, &cursor);
            let parts = self.parts.as_mut().expect("it was made above");
            parts.written = cursor;
            parts.pongs = parts.pongs.saturating_sub(passed.pongs);
            self.buffered -= parts.count_written(&passed);
            self.has_end &= !passed.close;
            is_more_than_pings |= passed.is_more_than_pings;
        }
        if self.len() == 0 {
            self.reset();
        }
        is_more_than_pings
    }

    /// Drops `n` bytes off the front of what is not taken, after which `exposed` is where the rest begins.
    fn remove_front(&mut self, n: usize, exposed: &FrameCursor) {
        let parts = self
            .parts
            .as_mut()
            .expect("a part of the queue is only removed with the cursors in place");
        let from_control = parts.is_control_next();
        parts.untaken = *exposed;
        if from_control {
            parts.control_start += n;
            parts.in_control = !exposed.at_border();
            self.parts_len -= n as u64;
            parts.free_written_control();
        } else if let Some(piece) = parts.pieces.front_mut() {
            piece.drop_front(n);
            self.parts_len -= n as u64;
            if piece.as_slice().is_empty() {
                match pop_front(&mut parts.pieces) {
                    // It serves the next payload that is moved.
                    Some(Piece::Owned { mut bytes, .. })
                        if self.tail.capacity() == 0 && is_lead(&bytes) =>
                    {
                        bytes.clear();
                        self.tail = bytes;
                    }
                    _ => {}
                }
            }
        } else {
            self.start += n;
            if self.start == self.tail.len() {
                self.tail.clear();
                self.start = 0;
            }
        }
    }

    /// Moves the first contiguous piece out; it counts until it is released. Control frames wait while `limit` pongs
    /// are out, so that a peer cannot make more of them than it lets be written.
    pub(crate) fn take(&mut self, limit: u8) -> Option<Segment> {
        self.parts();
        let n = self.first().len();
        if n == 0 {
            return None;
        }
        let parts = self.parts.as_mut().expect("it was made above");
        let from_control = parts.is_control_next();
        if from_control && parts.taken_pongs >= u32::from(limit.max(1)) {
            return None;
        }
        let segment = if from_control {
            parts.take_control()
        } else {
            // The whole piece becomes shared, so that a rest behind a border can stay in the queue.
            let mut whole = match pop_front(&mut parts.pieces) {
                Some(piece) => piece.into_segment(),
                None => {
                    let bytes = core::mem::take(&mut self.tail);
                    let tail = Segment::new(bytes, core::mem::take(&mut self.start));
                    self.parts_len += tail.len() as u64;
                    tail
                }
            };
            let segment = whole.split_to(n);
            if !whole.is_empty() {
                parts.pieces.push_front(Piece::Shared(whole));
            }
            segment
        };
        parts.untaken.advance(&segment, n);
        parts.taken.push_back(segment.clone());
        Some(segment)
    }

    /// Drops all bytes; what the application sent stays counted as buffered. What was taken out may still be released,
    /// which changes nothing then.
    pub(crate) fn drop_all(&mut self) {
        let dropped = self.parts.as_ref().map_or(0, |parts| {
            parts.dropped + parts.taken.iter().map(|segment| segment.len() as u64).sum::<u64>()
        });
        *self = Queue { buffered: self.buffered, ..Queue::default() };
        if dropped > 0 {
            self.parts().dropped = dropped;
        }
    }

    /// Frees memory if the queue was empty for the time `after`; otherwise returns when that will be.
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
        self.tail.capacity() > 0 || self.parts.as_ref().is_some_and(|parts| parts.can_be_freed())
    }

    /// Frees memory if the queue is empty.
    pub(crate) fn free_memory(&mut self) {
        if self.len() == 0 {
            self.tail = Vec::new();
            if self.parts.as_ref().is_some_and(|parts| parts.can_be_freed()) {
                self.parts = None;
            }
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

    /// Makes the tail a piece of its own, and begins a new one.
    fn retire_tail(&mut self) {
        if self.tail.len() > self.start {
            let piece = Piece::Owned {
                bytes: core::mem::take(&mut self.tail),
                start: core::mem::take(&mut self.start),
            };
            self.push_piece(piece);
        }
    }

    /// Makes room for `need` more bytes in the tail, in amortized constant time per byte that is queued or released,
    /// however deep the queue is.
    #[cold]
    fn make_room(&mut self, need: usize) {
        // A cursor counts from the front of the queue, so that none changes here.
        let live = self.tail.len() - self.start;
        let room = live + need + MAX_HEADER_BYTES;
        if self.start >= live && live + need <= self.tail.capacity() {
            // No more is moved than was released.
            count_moved(live);
            self.tail.drain(..self.start);
            self.start = 0;
        } else if live > 0 && (self.tail.capacity() >= RETIRE_BYTES || room > RETIRE_BYTES) {
            // More than half of the tail is live, or what comes is large: nothing is moved.
            self.retire_tail();
            self.tail.reserve_exact(RETIRE_BYTES.max(need + MAX_HEADER_BYTES));
        } else {
            // It grows by doubling; a large payload gets just its size.
            let doubled = (2 * self.tail.capacity()).min(RETIRE_BYTES);
            count_moved(live);
            self.tail.drain(..self.start);
            self.start = 0;
            self.tail.reserve_exact(room.max(doubled) - live);
        }
    }
}

/// Whether a buffer was made for a header and the front of a payload that was moved.
fn is_lead(buffer: &Vec<u8>) -> bool {
    buffer.capacity() <= MAX_HEADER_BYTES + LEAD_BYTES
}

/// Counts bytes that are moved within the queue, for the tests of amortized work.
#[inline]
fn count_moved(bytes: usize) {
    #[cfg(test)]
    tests::MOVED.with(|moved| moved.set(moved.get() + bytes));
    #[cfg(not(test))]
    let _ = bytes;
}
