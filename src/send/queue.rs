//! The queue of bytes for the peer. It has frames in wire order, which the caller writes in portions of any size, and
//! it counts the unwritten payload bytes. It puts pings and pongs ahead of data frames. It does not know why a frame is
//! sent.
//!
//! A byte leaves the queue when it is *written*, which the caller tells by `advance`. Before that, bytes can be *taken*
//! as a [`Segment`]. Taken bytes count as queued until they are written.

mod chunks;
mod counting;
mod cursor;
mod parts;
mod segment;
mod streamed;
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

/// When the queue becomes empty, a tail buffer with more capacity than this is freed.
const KEEP_BYTES: usize = 80 * 1024;
/// A tail buffer grows by doubling up to this size. When a buffer of this size is full, a new tail begins behind it.
const RETIRE_BYTES: usize = 64 * 1024;
/// An owned payload of at least this size is moved into the queue. A smaller one is cheaper to copy.
const MOVE_BYTES: usize = 4 * 1024;
/// This many bytes of a moved payload are copied behind its header. A header alone would be a packet of its own. With
/// Nagle's algorithm, the payload would then wait until the peer acknowledges this packet.
const LEAD_BYTES: usize = 1400;
/// A compressor's buffer with more capacity than this is moved into the queue, since the compressor does not keep such
/// a buffer.
#[cfg(feature = "deflate")]
const MOVE_COMPRESSED_BYTES: usize = 32 * 1024;
/// A taken piece counts this many bytes more than its length, until it is written. It costs two allocations and a slot
/// in a list. Without this, a caller that takes each small message on its own could use memory without limit.
const TAKEN_PIECE_BYTES: u64 = 128;

/// The largest request or response of an opening handshake. The queue stores its length in 32 bits.
pub(crate) const MAX_HEAD_BYTES: u64 = i32::MAX as u64;

const _: () = assert!(LEAD_BYTES < MOVE_BYTES && LEAD_BYTES % 4 == 0);
const _: () = assert!(MOVE_BYTES <= RETIRE_BYTES && RETIRE_BYTES <= KEEP_BYTES);

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
    /// A Close frame, or an HTTP response that ends the connection, is in the queue and not wholly written.
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

    /// Queues a frame of a compressed message with a copy of `payload`. If the frame ends the message, `message` is the
    /// message's size before compression. This size counts as buffered until the frame is written.
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
        self.count_compressed(message);
    }

    /// Queues a frame of a compressed message whose payload is in the compressor's own `buffer`. A large buffer is
    /// moved, unless more than half of it is empty. Apart from that it does the same as
    /// [`push_compressed`](Queue::push_compressed).
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
        self.count_compressed(message);
    }

    /// Queues a whole compressed frame that other connections share. `message` is the message's size before
    /// compression.
    #[cfg(feature = "deflate")]
    pub(crate) fn push_shared_compressed(&mut self, frame: &Shared<Vec<u8>>, message: u64) {
        self.push_shared(frame, 0);
        self.count_compressed(Some(message));
    }

    #[cfg(feature = "deflate")]
    fn count_compressed(&mut self, message: Option<u64>) {
        self.buffered += message.unwrap_or(0);
        let parts = self.parts();
        parts.is_in_compressed = message.is_none();
        parts.compressed_sizes.extend(message);
    }

    /// Takes over the count of an unfinished compressed message from the compressor, since the message gets no last
    /// frame. Its `bytes` count as buffered until the queue is empty.
    #[cfg(feature = "deflate")]
    pub(crate) fn cut_compressed(&mut self, bytes: u64) {
        self.buffered += bytes;
        if let Some(parts) = &mut self.parts {
            parts.is_in_compressed = false;
        }
    }

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

    /// Removes the first `n` bytes, which are written. It does this only if they are the whole queue, if the queue has
    /// only the tail and control frames, and if nothing is counted. Otherwise it returns `false` and does nothing; the
    /// caller then calls [`advance_partly`](Queue::advance_partly).
    #[inline]
    pub(crate) fn advance_whole(&mut self, n: usize) -> bool {
        let is_quick = || match &self.parts {
            None => true,
            Some(parts) => parts.counters.is_none() && (self.parts_len == 0 || parts.is_writable()),
        };
        let is_whole = n > 0 && n as u64 == self.len() && is_quick();
        if is_whole {
            self.parts_len = 0;
            self.reset();
        }
        is_whole
    }

    /// Resets the counts when the queue is empty.
    #[inline]
    fn reset(&mut self) {
        self.tail.clear();
        self.start = 0;
        self.buffered = 0;
        self.is_congested = false;
        self.has_end = false;
        // The memory of the opening handshake is freed, since many connections are idle for long after it.
        if self.head > 0 || self.tail.capacity() > KEEP_BYTES {
            self.head = 0;
            self.tail = Vec::new();
        }
        if let Some(parts) = &mut self.parts {
            parts.reset();
        }
    }

    /// Removes the first `n` bytes, which are written. Returns true if one of them belongs to a frame that is not a
    /// ping or pong.
    ///
    /// # Panics
    ///
    /// If fewer bytes are queued.
    pub(crate) fn advance_partly(&mut self, mut n: usize) -> bool {
        let mut is_progress = false;
        if n == 0 {
            return false;
        }
        if let Some(parts) = self.parts.as_mut().filter(|parts| parts.dropped >= n as u64) {
            parts.dropped -= n as u64;
            return false;
        }
        assert!(n as u64 <= self.len(), "advance({n}), but {} bytes are outgoing", self.len());
        self.count_written(n);
        // A frame may now be partly written, so the cursors are needed.
        self.parts();
        while n > 0 {
            let parts = self.parts.as_mut().expect("it was made above");
            if let Some(segment) = parts.taken.front_mut() {
                let step = n.min(segment.len());
                let counts = parts.written.advance(segment, step);
                parts.taken_pongs = parts.taken_pongs.saturating_sub(counts.pongs);
                segment.start += step;
                if segment.is_empty() {
                    pop_front(&mut parts.taken);
                }
                self.buffered -= parts.count_written(&counts);
                self.has_end &= !counts.close;
                is_progress |= counts.is_progress;
                self.parts_len -= step as u64;
                n -= step;
                continue;
            }
            let piece = self.first();
            let step = n.min(piece.len());
            assert!(step > 0, "advance is {n} too many: what is left waits for the end of a frame");
            let mut cursor = self.parts.as_ref().expect("it was made above").written;
            let counts = cursor.advance(piece, step);
            n -= step;
            self.remove_front(step, &cursor);
            let parts = self.parts.as_mut().expect("it was made above");
            parts.written = cursor;
            parts.pongs = parts.pongs.saturating_sub(counts.pongs);
            self.buffered -= parts.count_written(&counts);
            self.has_end &= !counts.close;
            is_progress |= counts.is_progress;
        }
        if self.len() == 0 {
            self.reset();
        }
        is_progress
    }

    /// Removes `n` bytes from the front of the bytes that are not taken. `exposed` is the cursor after these `n` bytes.
    fn remove_front(&mut self, n: usize, exposed: &FrameCursor) {
        let parts =
            self.parts.as_mut().expect("`parts` is made before a part of the queue is removed");
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
                    // The buffer is used again. Usually it held the header of a moved payload, and the header of the
                    // next moved payload is then written into it.
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

    /// Makes the tail a piece of its own, and begins an empty tail.
    fn retire_tail(&mut self) {
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
    fn make_room(&mut self, need: usize) {
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
}

/// Whether a buffer is not larger than one that is made for a header and the first bytes of a moved payload.
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
