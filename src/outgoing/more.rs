//! The parts of a queue that is long, that has control frames waiting, or that was released in the middle of a frame:
//! its lists of pieces, the lane of control frames and the cursors. What goes where, and when, is decided by the queue.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use super::count_moved;
use super::cursor::{FrameCursor, Passed};
use super::segment::{Piece, Segment};

/// The lane of control frames may have this much more capacity than twice what it holds.
const KEEP_CONTROL_BYTES: usize = 4 * 1024;
/// Slots that a list of pieces keeps when it becomes empty.
const KEEP_SLOTS: usize = 16;

/// The parts of a queue that is long, that has control frames waiting, or that was released in the middle of a frame.
#[derive(Default)]
pub(super) struct More {
    /// Pieces that the caller has taken out, in wire order, until they are released.
    pub(super) taken: VecDeque<Segment>,
    /// Pieces ahead of the tail.
    pub(super) pieces: VecDeque<Piece>,
    /// Whole control frames that go ahead of all data; `..control_start` is released or taken.
    pub(super) control: Vec<u8>,
    pub(super) control_start: usize,
    /// The control frame at the front is begun: the rest of it comes before anything else.
    pub(super) in_control: bool,
    /// The sizes before compression of the compressed messages that are queued whole, in wire order.
    pub(super) compressed: VecDeque<u64>,
    /// The bytes before compression of the compressed message that is queued in part; they stay buffered until its end.
    pub(super) unfinished: Option<u64>,
    /// Pongs in `control`, answers or not.
    pub(super) pongs: u32,
    /// Pongs among what is taken.
    pub(super) taken_pongs: u32,
    /// Pings that are not released, in `control` or taken.
    pub(super) pings: u32,
    /// This many bytes were taken out and not released when all was dropped: they may still be written.
    pub(super) abandoned: u64,
    /// Where in `control` the latest answer to a ping begins, if none of it is released.
    pub(super) last_pong: Option<usize>,
    /// Where in its frame the first unreleased byte stands.
    pub(super) released: FrameCursor,
    /// Where in its frame the first byte stands that is not taken; equal to `released` if none is.
    pub(super) exposed: FrameCursor,
}

impl More {
    /// Whether nothing has to be remembered while the queue is empty.
    pub(super) fn can_be_dropped(&self) -> bool {
        self.unfinished.is_none() && self.abandoned == 0
    }

    /// Whether all that is queued is the tail and control frames.
    pub(super) fn has_no_pieces(&self) -> bool {
        self.taken.is_empty() && self.pieces.is_empty()
    }

    /// Whether the next bytes are those of control frames: one of them is begun, or no frame of data is.
    pub(super) fn is_control_next(&self) -> bool {
        self.control_start < self.control.len() && (self.in_control || self.exposed.at_border())
    }

    /// What [`OutgoingChunks`] begins with.
    pub(super) fn first<'a>(&'a self, tail: &'a [u8]) -> &'a [u8] {
        if self.is_control_next() {
            return &self.control[self.control_start..];
        }
        let piece = self.pieces.front().map_or(tail, Piece::as_slice);
        match self.control.is_empty() {
            true => piece,
            // The control frames that wait go in at the next border between frames.
            false => &piece[..(piece.len() as u64).min(self.exposed.to_border()) as usize],
        }
    }

    /// Counts what was passed over as released, and returns its payload bytes, those before compression.
    pub(super) fn release(&mut self, passed: &Passed) -> u64 {
        self.pings -= passed.pings;
        let mut bytes = passed.data;
        for _ in 0..passed.compressed {
            bytes += pop_front(&mut self.compressed).expect("each was noted when it was queued");
        }
        bytes
    }

    /// Makes room for `need` more bytes of control frames, in amortized constant time per byte.
    pub(super) fn make_control_room(&mut self, need: usize) {
        if self.control.capacity() - self.control.len() < need {
            let live = self.control.len() - self.control_start;
            self.move_control((live + need) * 3 / 2);
        }
    }

    /// Frees memory that the control frames which are left do not need, in amortized constant time per released byte.
    pub(super) fn free_released_control(&mut self) {
        let live = self.control.len() - self.control_start;
        if live == 0 {
            self.clear_control();
        } else if self.control.capacity() > 2 * live + KEEP_CONTROL_BYTES {
            self.move_control(live);
        }
    }

    /// Takes the control frames out, all that are left.
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

    /// Moves the control frames that are left to the front of a buffer of this capacity.
    fn move_control(&mut self, capacity: usize) {
        self.control.drain(..self.control_start);
        self.last_pong = self.last_pong.and_then(|at| at.checked_sub(self.control_start));
        self.control_start = 0;
        count_moved(self.control.len());
        self.control.shrink_to(capacity);
        self.control.reserve_exact(capacity - self.control.len());
    }

    /// No control frame is left.
    fn clear_control(&mut self) {
        if self.control.capacity() > KEEP_CONTROL_BYTES {
            self.control = Vec::new();
        }
        self.control.clear();
        self.control_start = 0;
        self.pongs = 0;
        self.last_pong = None;
    }

    pub(super) fn reset(&mut self) {
        debug_assert!(self.has_no_pieces());
        self.clear_control();
        self.in_control = false;
        self.compressed.clear();
        self.taken_pongs = 0;
        self.pings = 0;
        self.released = FrameCursor::at_border_in(self.unfinished.is_some());
        self.exposed = self.released;
    }
}

/// Takes the first element out, and frees memory that the rest does not need, in amortized constant time.
pub(super) fn pop_front<T>(list: &mut VecDeque<T>) -> Option<T> {
    let first = list.pop_front();
    if list.capacity() > KEEP_SLOTS && list.len() < list.capacity() / 4 {
        list.shrink_to((2 * list.len()).max(KEEP_SLOTS));
    }
    first
}
