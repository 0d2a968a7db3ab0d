//! The parts of a queue that a short queue without control frames does not need: its lists of pieces, the buffer of
//! control frames, and the cursors. `queue` decides which bytes go where.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use super::cursor::{Counts, FrameCursor};
use super::memory::count_moved;
use super::segment::{Piece, Segment};
use super::streamed::Streamed;
use crate::Shared;
use crate::counters::Counters;

/// The capacity for control frames may be this much larger than twice their size.
const KEEP_CONTROL_BYTES: usize = 4 * 1024;
/// A list of pieces does not shrink below this number of slots.
const KEEP_SLOTS: usize = 16;

/// The parts of a queue that is long, that has control frames, or whose first frame is partly written.
#[derive(Default)]
pub(super) struct Parts {
    /// Pieces that the caller has taken, in wire order, until they are written.
    pub(super) taken: VecDeque<Segment>,
    /// Pieces ahead of the tail.
    pub(super) pieces: VecDeque<Piece>,
    /// Whole control frames, which go ahead of all data; `..control_start` is written or taken.
    pub(super) control: Vec<u8>,
    pub(super) control_start: usize,
    /// The first control frame is partly written. Its rest comes before all other bytes that are not taken.
    pub(super) in_control: bool,
    /// For each compressed message whose last frame is queued, its size before compression; in wire order.
    pub(super) compressed_sizes: VecDeque<u64>,
    /// The data frame that was queued last belongs to a compressed message and does not end it.
    pub(super) is_in_compressed: bool,
    /// Pongs in `control`, whether they answer a ping or not.
    pub(super) pongs: u32,
    /// Pongs in `taken`.
    pub(super) taken_pongs: u32,
    /// Pings in `control` or `taken`.
    pub(super) pings: u32,
    /// Bytes that were taken and not written when the queue was dropped. The caller may still tell that they were
    /// written.
    pub(super) dropped: u64,
    /// Where in `control` the latest answer to a ping begins. It is below `control_start` if that answer is partly
    /// written.
    pub(super) last_pong: Option<usize>,
    /// The block of a recycled segment, for the next piece that is taken. Nobody else owns it. Its vector is empty.
    pub(super) spare: Option<Shared<Vec<u8>>>,
    /// The frame whose payload the caller sends in pieces. When it is whole, the memory stays for the next one.
    pub(super) streamed: Option<Box<Streamed>>,
    /// What the connection has sent and received, if it is counted. Such a queue always has these parts.
    pub(super) counters: Option<Box<Counters>>,
    /// The place of the first byte that is not written, in its frame.
    pub(super) written: FrameCursor,
    /// The place of the first byte that is not taken, in its frame; the same as `written` if nothing is taken.
    pub(super) untaken: FrameCursor,
}

impl Parts {
    /// Whether an empty queue does not need these parts.
    pub(super) fn can_be_freed(&self) -> bool {
        !self.is_in_compressed && self.dropped == 0 && !self.is_in_streamed()
    }

    /// Whether these parts own no memory except the counters.
    pub(super) fn has_only_counters(&self) -> bool {
        let lists = [self.taken.capacity(), self.pieces.capacity(), self.control.capacity()];
        self.counters.is_some()
            && lists == [0; 3]
            && self.compressed_sizes.capacity() == 0
            && self.streamed.is_none()
    }

    /// Whether a frame, or a message that the caller compresses, is unfinished.
    fn is_in_streamed(&self) -> bool {
        self.streamed.as_ref().is_some_and(|streamed| streamed.is_unfinished())
    }

    /// Whether only the tail and control frames are queued.
    pub(super) fn has_no_pieces(&self) -> bool {
        self.taken.is_empty() && self.pieces.is_empty()
    }

    /// Whether all that is queued can be written: nothing waits for the end of a frame.
    pub(super) fn is_writable(&self) -> bool {
        self.has_no_pieces() && !self.is_in_streamed()
    }

    /// Whether the next bytes are those of control frames: a control frame is partly written, or no data frame is
    /// partly written or taken.
    pub(super) fn is_control_next(&self) -> bool {
        self.control_start < self.control.len() && (self.in_control || self.untaken.at_border())
    }

    /// The first contiguous bytes that are not taken.
    pub(super) fn first<'a>(&'a self, tail: &'a [u8]) -> &'a [u8] {
        if self.is_control_next() {
            return &self.control[self.control_start..];
        }
        let piece = self.pieces.front().map_or(tail, Piece::as_slice);
        match self.control.is_empty() {
            true => piece,
            // Control frames come at the next border between data frames.
            false => &piece[..(piece.len() as u64).min(self.untaken.to_border()) as usize],
        }
    }

    /// Counts the bytes that a cursor has moved over as written. Returns their number of payload bytes before
    /// compression.
    pub(super) fn count_written(&mut self, counts: &Counts) -> u64 {
        self.pings -= counts.pings;
        let mut bytes = counts.data;
        for _ in 0..counts.compressed {
            bytes += pop_front(&mut self.compressed_sizes)
                .expect("each size was noted when its message was queued");
        }
        bytes
    }

    /// Makes room for `need` more bytes of control frames, in amortized constant time for each byte.
    pub(super) fn make_control_room(&mut self, need: usize) {
        if self.control.capacity() - self.control.len() < need {
            let live = self.control.len() - self.control_start;
            self.move_control((live + need) * 3 / 2);
        }
    }

    /// Frees memory that the queued control frames do not need, in amortized constant time for each written byte.
    pub(super) fn free_written_control(&mut self) {
        let live = self.control.len() - self.control_start;
        if live == 0 {
            self.clear_control();
        } else if self.control.capacity() > 2 * live + KEEP_CONTROL_BYTES {
            self.move_control(live);
        }
    }

    /// Takes all control frames.
    pub(super) fn take_control(&mut self) -> Segment {
        let mut bytes = mem::take(&mut self.control);
        if bytes.capacity() > bytes.len() + KEEP_CONTROL_BYTES {
            bytes.shrink_to_fit();
        }
        self.in_control = false;
        self.taken_pongs += mem::take(&mut self.pongs);
        self.last_pong = None;
        Segment::new(bytes, mem::take(&mut self.control_start))
    }

    /// Moves the control frames to the front of a buffer of this capacity.
    fn move_control(&mut self, capacity: usize) {
        self.control.drain(..self.control_start);
        self.last_pong = self.last_pong.and_then(|at| at.checked_sub(self.control_start));
        self.control_start = 0;
        count_moved(self.control.len());
        self.control.shrink_to(capacity);
        self.control.reserve_exact(capacity - self.control.len());
    }

    /// Sets the counts after the last control frame, and frees a large buffer.
    pub(super) fn clear_control(&mut self) {
        if self.control.capacity() > KEEP_CONTROL_BYTES {
            self.control = Vec::new();
        }
        self.control.clear();
        self.control_start = 0;
        self.pongs = 0;
        self.last_pong = None;
    }

    /// Sets the counts and cursors of a queue that has become empty.
    pub(super) fn reset(&mut self) {
        debug_assert!(self.has_no_pieces());
        self.clear_control();
        self.in_control = false;
        self.compressed_sizes.clear();
        self.taken_pongs = 0;
        self.pings = 0;
        let unfinished = self.streamed.as_mut().and_then(|streamed| streamed.reset());
        self.written = unfinished.unwrap_or(FrameCursor::at_border_in(self.is_in_compressed));
        self.untaken = self.written;
    }
}

/// Removes and returns the first element, and frees memory that the other elements do not need, in amortized constant
/// time.
pub(super) fn pop_front<T>(list: &mut VecDeque<T>) -> Option<T> {
    let first = list.pop_front();
    if list.capacity() > KEEP_SLOTS && list.len() < list.capacity() / 4 {
        list.shrink_to((2 * list.len()).max(KEEP_SLOTS));
    }
    first
}
