//! Hands out the outgoing bytes, and learns which of them were written.

use super::Connection;
#[cfg(doc)]
use crate::config::Config;
use crate::send::{Advanced, OutgoingChunks, Segment};

/// # Write the outgoing bytes
impl Connection {
    /// Returns whether there are outgoing bytes that are not [taken](Connection::take_outgoing).
    #[inline]
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.send.first().is_empty()
    }

    /// Returns the first contiguous piece of the outgoing bytes, or an empty slice. A frame's header is
    /// always followed by the first 1,400 bytes of its payload, or by all of a shorter one, unless the payload is
    /// [sent in pieces](Connection::begin_frame). After a write, call
    /// [`advance`](Connection::advance) with the number of written bytes before you call any other `&mut self` method.
    /// Otherwise a ping or pong may be queued in front of the written bytes.
    #[inline]
    #[must_use]
    #[doc(alias("poll_transmit", "poll_output", "bytes_to_send", "data_to_send"))]
    pub fn outgoing(&self) -> &[u8] {
        self.send.first()
    }

    /// Fills `slices` with the first pieces of the outgoing bytes, and returns the number of slices that it filled.
    #[cfg(feature = "std")]
    #[inline]
    #[must_use]
    pub fn outgoing_slices<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut n = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.send.chunks()) {
            *slice = std::io::IoSlice::new(chunk);
            n += 1;
        }
        n
    }

    /// Returns all outgoing bytes in contiguous pieces, for a vectored write.
    #[inline]
    #[must_use]
    pub fn outgoing_chunks(&self) -> OutgoingChunks<'_> {
        self.send.chunks()
    }

    /// Takes the first piece of the outgoing bytes out of the connection. The piece has a stable address and borrows
    /// nothing, so a kernel or a thread can write it while the connection goes on. Write the pieces in the order in
    /// which they were taken. Call [`advance`](Connection::advance) when bytes of them were written.
    ///
    /// A taken piece counts as outgoing until it is written. Until then it also counts 128 bytes more than its length
    /// against [`Config::max_outgoing_bytes`]. A taken piece also stops counting when the connection is finished, or
    /// when its [write side has ended](Connection::write_closed). After that, `advance` still accepts the number of
    /// bytes written, and does nothing.
    ///
    /// Returns `None` if there is nothing to take. It also returns `None` if all of the following hold: control frames
    /// come next; pongs that were taken before are not written yet; and these pongs and those in the queue are more
    /// than [`Config::max_queued_pongs`]. In this case, [`wants_write`](Connection::wants_write) stays true: wait until
    /// a write completes, and call `advance` first.
    #[must_use = "the bytes are not in the queue any more"]
    pub fn take_outgoing(&mut self) -> Option<Segment> {
        self.send.take(&self.config)
    }

    /// Tells that the first `n` outgoing bytes were written. Bytes that were [taken](Connection::take_outgoing) come
    /// first, then those of [`outgoing`](Connection::outgoing).
    ///
    /// # Panics
    ///
    /// If `n` is more than [`outgoing_len`](Connection::outgoing_len), or includes bytes that cannot be written yet.
    #[inline]
    #[doc(alias("consume"))]
    pub fn advance(&mut self, n: usize) {
        if self.send.advance_whole(n) {
            self.life.timer.note_emptied();
        } else {
            self.advance_partly(n);
        }
    }

    /// Gives a [taken](Connection::take_outgoing) piece back. Its memory is used for further outgoing bytes, so a loop
    /// that takes, writes and recycles allocates nothing for messages after its first rounds. Call it after
    /// [`advance`](Connection::advance): until then the connection itself holds the piece, and memory is used again
    /// only if nobody else holds it. Memory of more than 80 KiB is freed.
    ///
    /// The piece may come from another connection; its bytes are never sent. If the memory is not used, it is freed
    /// when nothing was sent for [`Config::release_after`], or by [`release_memory`](Connection::release_memory).
    ///
    /// ```
    /// # use std::io::Write;
    /// # use websocket_proto::{Config, Connection, Role};
    /// # let mut transport = Vec::new();
    /// # let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
    /// # conn.send("Hello")?;
    /// while let Some(segment) = conn.take_outgoing() {
    ///     transport.write_all(&segment)?; // or by another thread, or by the kernel
    ///     conn.advance(segment.len());
    ///     conn.recycle_segment(segment);
    /// }
    /// # assert_eq!(transport, b"\x81\x05Hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn recycle_segment(&mut self, segment: Segment) {
        self.send.recycle(segment);
    }

    /// Returns the number of bytes that are queued and not written: frames with their headers, control frames, the
    /// opening handshake. [`advance`](Connection::advance) tells which bytes are written. Pings, pongs and a Close that
    /// wait for the end of an [unfinished frame](Connection::unfinished_frame) count too, although they cannot be
    /// written yet.
    #[inline]
    #[must_use]
    pub fn outgoing_len(&self) -> u64 {
        self.send.len()
    }

    /// Returns whether the outgoing queue is long, because the peer reads slower than we send. It becomes true when
    /// more than [`Config::high_water_bytes`] are outgoing, and false when at most [`Config::low_water_bytes`] are
    /// left. A program that answers what it receives should not read while it is true. If the connection is not open,
    /// it is false: nothing is answered then, and the peer's Close must be read.
    #[inline]
    #[must_use]
    #[doc(alias("backpressure"))]
    pub fn is_congested(&self) -> bool {
        self.send.is_congested() && self.life.phase().sends_messages()
    }

    fn advance_partly(&mut self, n: usize) {
        match self.send.advance_partly(n, &self.config) {
            Advanced::Nothing => {}
            Advanced::Part { is_progress } => {
                self.life.timer.note_written(is_progress);
            }
            Advanced::All => self.life.timer.note_emptied(),
        }
    }
}
