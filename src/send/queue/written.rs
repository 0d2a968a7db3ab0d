//! Removes the bytes that are written from the queue. The cursors read the headers among them, so the queue knows which
//! of the bytes are payload, and which frames are pings, pongs or the end.

use alloc::vec::Vec;

use super::Queue;
use super::cursor::FrameCursor;
use super::memory::{KEEP_BYTES, is_lead};
use super::parts::pop_front;
use super::segment::Piece;

impl Queue {
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
}
