//! The connection owns a receiver, a sender and a [`Life`]: its phase, the ended directions of the transport, and its
//! timer. It decides what they do. This file has the type, the methods that report its state, and the outgoing bytes.
//! The files in `connection/` have the other methods, grouped by purpose.

mod end;
mod life;
mod opening;
mod phase;
mod receive;
mod send;
mod time;

use core::fmt;

use crate::Shared;
use crate::config::Config;
use crate::deflate::{Compressor, MaybeCodec};
#[cfg(doc)]
use crate::event::Event;
use crate::receive::{Receiver, Terms};
use crate::send::{Advanced, OutgoingChunks, Segment, Sender};
use crate::state::{Role, State};
use life::Life;
use phase::Phase;

/// One end of a WebSocket connection, as a value. [`receive`](Connection::receive) turns bytes from the peer into
/// events. [`send`](Connection::send) turns messages into bytes for the peer, which [`outgoing`](Connection::outgoing)
/// returns.
///
/// Every loop has the same steps: take events, write the outgoing bytes, shut down the transport's write side if
/// [`wants_shutdown`](Connection::wants_shutdown), stop if [`is_finished`](Connection::is_finished), tell the time
/// ([`tick`](Connection::tick)), wait, read. The [crate's page](crate) explains each step.
///
/// A connection is 192 bytes on 64-bit targets. An idle open connection owns no heap memory after
/// [`tick`](Connection::tick) has found it unused for [`Config::release_after`], or after
/// [`release_memory`](Connection::release_memory). If permessage-deflate was negotiated, its windows stay, and
/// up to 512 bytes.
pub struct Connection {
    /// Turns bytes from the peer into messages and control frames.
    recv: Receiver,
    /// Turns messages into bytes for the peer.
    send: Sender,
    /// The phase, the ended directions, the timer.
    life: Life,
    config: Shared<Config>,
    /// permessage-deflate, if it was negotiated.
    codec: MaybeCodec,
}

const _: () = assert!(size_of::<Connection>() <= 192 || size_of::<usize>() != 8);

impl Connection {
    fn new(role: Role, phase: Phase, config: Shared<Config>) -> Connection {
        Connection {
            recv: Receiver::default(),
            send: Sender::new(role),
            life: Life::new(phase),
            config,
            codec: None,
        }
    }

    /// Returns whether this is the client or the server.
    pub fn role(&self) -> Role {
        self.send.role()
    }

    /// Returns the state: connecting, open, closing or closed.
    pub fn state(&self) -> State {
        self.life.phase().state()
    }

    /// Returns the configuration that the connection was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the first contiguous piece of the outgoing bytes, or an empty slice. A frame's header is
    /// always followed by the first 1,400 bytes of its payload, or by all of a shorter one. After a write, call
    /// [`advance`](Connection::advance) with the number of written bytes before you call any other `&mut self` method.
    /// Otherwise a ping or pong may be queued in front of the written bytes.
    #[inline]
    pub fn outgoing(&self) -> &[u8] {
        self.send.first()
    }

    /// Returns all outgoing bytes in contiguous pieces, for a vectored write.
    #[inline]
    pub fn outgoing_chunks(&self) -> OutgoingChunks<'_> {
        self.send.chunks()
    }

    /// Fills `slices` with the first pieces of the outgoing bytes, and returns the number of slices that it filled.
    #[cfg(feature = "std")]
    #[inline]
    pub fn outgoing_slices<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut n = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.send.chunks()) {
            *slice = std::io::IoSlice::new(chunk);
            n += 1;
        }
        n
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
    /// Returns `None` if there is nothing to take, or if control frames come next while [`Config::max_queued_pongs`]
    /// pongs are taken and not written. In the second case, call `advance` first.
    pub fn take_outgoing(&mut self) -> Option<Segment> {
        self.send.take(&self.config)
    }

    /// Gives a [taken](Connection::take_outgoing) piece back. Its memory is used for further outgoing bytes, so a loop
    /// that takes, writes and recycles allocates nothing after its first rounds. Call it after
    /// [`advance`](Connection::advance): the memory is only used if nobody else owns the piece, and the connection owns
    /// it until it is written. Memory of more than 80 KiB is freed.
    ///
    /// The piece may come from another connection; its bytes are never sent. If the memory is not used, it is freed when
    /// nothing was sent for [`Config::release_after`], or by [`release_memory`](Connection::release_memory).
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

    /// Tells that the first `n` outgoing bytes were written. Bytes that were [taken](Connection::take_outgoing) come
    /// first, then those of [`outgoing`](Connection::outgoing).
    ///
    /// # Panics
    ///
    /// If `n` is more than [`outgoing_len`](Connection::outgoing_len).
    #[inline]
    pub fn advance(&mut self, n: usize) {
        if self.send.advance_whole(n) {
            self.life.timer.note_emptied();
        } else {
            self.advance_partly(n);
        }
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

    /// Returns the number of bytes that are queued and not written: frames with their headers, control frames, the
    /// opening handshake. [`advance`](Connection::advance) tells which bytes are written.
    #[inline]
    pub fn outgoing_len(&self) -> u64 {
        self.send.len()
    }

    /// Returns the number of payload bytes that were passed to `send` and are not yet written to the transport: the
    /// W3C's `bufferedAmount`. Headers and control frames do not count. The number is exact after every partial write,
    /// except for compressed messages. A compressed message counts with its size before compression, until its last
    /// byte is written. When a connection ends with bytes unwritten, the number stays as it is.
    #[inline]
    pub fn buffered_amount(&self) -> u64 {
        let compressor = self.codec.as_ref().map(|codec| codec.compressor());
        self.send.buffered() + compressor.map_or(0, Compressor::unfinished_bytes)
    }

    /// Returns whether more messages should be sent now: the connection is open, and not
    /// [congested](Connection::is_congested). This is advice: [`send`](Connection::send) accepts messages up to
    /// [`Config::max_outgoing_bytes`].
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.life.phase() == Phase::Open && !self.send.is_congested()
    }

    /// Returns whether the outgoing queue is long, because the peer reads slower than we send. It becomes true when
    /// more than [`Config::high_water_bytes`] are outgoing, and false when at most [`Config::low_water_bytes`] are
    /// left. A program that answers what it receives should not read while it is true. If the connection is not open,
    /// it is false: nothing is answered then, and the peer's Close must be read.
    #[inline]
    pub fn is_congested(&self) -> bool {
        self.send.is_congested() && self.life.phase() == Phase::Open
    }

    /// Returns whether there are outgoing bytes that are not [taken](Connection::take_outgoing).
    #[inline]
    pub fn wants_write(&self) -> bool {
        !self.send.first().is_empty()
    }

    /// Returns whether bytes from the peer should be read. It is false while the caller decides about a request, and
    /// when the connection needs no more bytes.
    pub fn wants_read(&self) -> bool {
        match self.life.phase() {
            Phase::Request
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::WriteClosed
            | Phase::AwaitingEnd
            | Phase::Draining => !self.life.has_read_end(),
            Phase::Decision | Phase::Flushing | Phase::Finished => false,
        }
    }

    /// Returns whether the write side of the transport should be shut down now: a half-close, with TLS a close_notify,
    /// with HTTP/2 an END_STREAM. The peer then receives all bytes and the end of the transport, and its own bytes can
    /// still be read. Call [`write_closed`](Connection::write_closed) when the shutdown is done or has failed; until
    /// then this stays true.
    pub fn wants_shutdown(&self) -> bool {
        if self.life.has_write_end() || self.send.len() > 0 {
            return false;
        }
        match self.life.phase() {
            // RFC 6455 7.1.1: the server ends its side first, and the client ends its side after that.
            Phase::Draining => self.role() == Role::Server || self.is_finished(),
            Phase::AwaitingEnd | Phase::Flushing | Phase::Finished => self.is_finished(),
            Phase::Request
            | Phase::Decision
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::WriteClosed => false,
        }
    }

    /// Returns whether the transport can be dropped. [`Event::Closed`] was returned before, or
    /// [`poll_event`](Connection::poll_event) still returns it.
    pub fn is_finished(&self) -> bool {
        match self.life.phase() {
            Phase::Finished => true,
            Phase::Flushing => self.send.len() == 0,
            // The peer has ended its side, but it may still read.
            Phase::AwaitingEnd | Phase::Draining => {
                self.life.has_read_end() && self.send.len() == 0
            }
            Phase::Request
            | Phase::Decision
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::WriteClosed => false,
        }
    }

    /// Starts the receiver if frames are received in this phase. While an event or early bytes are buffered, the quick
    /// way stays closed: they must be delivered before new input.
    fn start_receiver(&mut self) {
        if self.life.phase().receives_frames() {
            let terms = Terms { role: self.send.role(), config: &self.config };
            self.recv.start(terms);
            if self.life.has_extra() {
                self.recv.close_quick_way();
            }
        }
    }

    /// Enters a phase. If the connection is open then, the receiver starts. If it is closed then, the receiver stops,
    /// and a message that is sent in fragments stays incomplete. The phase changes nowhere else.
    fn enter_phase(&mut self, to: Phase) {
        self.life.enter(to);
        self.start_receiver();
        if to.state() == State::Closed {
            self.recv.stop();
            self.send.cut_fragment(compressor(&mut self.codec));
            self.codec = None;
        }
    }
}

/// The codec's half for sending.
#[inline]
fn compressor(codec: &mut MaybeCodec) -> Option<&mut Compressor> {
    codec.as_mut().map(|codec| codec.compressor_mut())
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role())
            .field("phase", &self.life.phase())
            .field("outgoing_len", &self.outgoing_len())
            .field("buffered_amount", &self.buffered_amount())
            .finish_non_exhaustive()
    }
}
