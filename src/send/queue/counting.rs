//! Counts what is written, for a connection that was asked to. The bytes are counted when they leave the queue, so what
//! was dropped or replaced is not counted. The counts are stored here, since only here a connection without them pays
//! nothing.

use super::Queue;
use super::parts::Parts;
use crate::counters::{Counters, FramePart};
use crate::frame::FirstByte;

/// [`Config::count_traffic`](crate::Config::count_traffic) names this number.
const _: () = assert!(size_of::<Parts>() + size_of::<Counters>() <= 400 || size_of::<usize>() != 8);

impl Queue {
    /// Counts what is written from now on. The queue must be new.
    #[cold]
    pub(crate) fn begin_counting(&mut self) {
        self.parts().counters = Some(Default::default());
    }

    #[inline]
    pub(crate) fn counters(&self) -> Option<&Counters> {
        self.parts.as_ref()?.counters.as_deref()
    }

    pub(crate) fn counters_mut(&mut self) -> Option<&mut Counters> {
        self.parts.as_mut()?.counters.as_deref_mut()
    }

    /// Counts the first `n` bytes, which are about to be removed.
    #[inline]
    pub(super) fn count_written(&mut self, n: usize) {
        if self.counters().is_some() {
            self.count_front(n);
        }
    }

    #[cold]
    fn count_front(&mut self, mut n: usize) {
        let Some(parts) = &self.parts else { return };
        let (mut cursor, mut sizes) = (parts.written, parts.compressed_sizes.iter());
        let mut sent = parts.counters.as_ref().map_or_else(Default::default, |all| all.sent);
        let taken = parts.taken.iter().map(|segment| &**segment);
        for piece in taken.chain(self.chunks()) {
            let step = n.min(piece.len());
            cursor.add_to(&mut sent, piece, step, &mut sizes);
            n -= step;
            if n == 0 {
                break;
            }
        }
        if let Some(counters) = self.counters_mut() {
            counters.sent = sent;
        }
    }

    /// Counts a frame that was passed to the transport. The rest of it that was not written is the whole queue.
    pub(crate) fn count_through(&mut self, first: FirstByte, header: usize, payload: usize) {
        let left = self.len();
        let Some(counters) = self.counters_mut() else { return };
        let (header, payload) = (header as u64, payload as u64);
        let written = header + payload - left;
        let part = FramePart {
            first,
            header: header.min(written),
            payload: written.saturating_sub(header),
            has_header_end: written >= header,
            has_end: left == 0,
        };
        counters.sent.add(&part);
        counters.sent.message_bytes += part.payload;
    }
}
