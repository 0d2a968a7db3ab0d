//! The connection: it joins its two halves with its life, and alone decides what happens. Here are its parts, its questions,
//! and the bytes that leave it; its files have the rest by purpose.

mod end;
mod life;
mod opening;
mod phase;
mod receive;
mod send;
mod time;

use alloc::boxed::Box;
use core::fmt;

use crate::Shared;
use crate::config::Config;
use crate::deflate::{Codec, Compressor};
#[cfg(doc)]
use crate::event::Event;
use crate::receive::{Receiver, Terms};
use crate::send::{Advanced, OutgoingChunks, Segment, Sender};
use crate::state::{Role, State};
use life::Life;
use phase::Phase;

/// One end of a WebSocket connection, as a value: bytes from the peer go in by [`receive`](Connection::receive),
/// events come out; messages go in by [`send`](Connection::send), bytes for the peer come out by
/// [`outgoing`](Connection::outgoing).
///
/// The loop around it is always the same: take events, write what is outgoing, shut the transport's write side down if
/// [`wants_shutdown`](Connection::wants_shutdown), stop if [`is_finished`](Connection::is_finished), tell the time
/// ([`tick`](Connection::tick)), wait, read. The [crate's page](crate) has it step by step.
///
/// A connection is 192 bytes on 64-bit targets. An open connection owns no heap memory, but for the windows of
/// permessage-deflate where that was negotiated, once `tick` has found it unused for [`Config::release_after`] or
/// [`release_memory`](Connection::release_memory) was called.
pub struct Connection {
    /// Bytes from the peer, to what they mean.
    recv: Receiver,
    /// Messages, to bytes for the peer.
    send: Sender,
    /// Where the connection is.
    life: Life,
    config: Shared<Config>,
    /// permessage-deflate, if it was negotiated.
    codec: Option<Box<Codec>>,
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

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.send.role()
    }

    /// How far the connection is.
    pub fn state(&self) -> State {
        self.life.phase().state()
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes to be written to the peer now: the first contiguous piece, empty if there are none. A frame's header is
    /// never shown without the first 1,400 bytes of its payload, or all of it. Call [`advance`](Connection::advance)
    /// with the number that was written before any other method that changes the connection: otherwise a ping, a pong
    /// or a message may be queued in front of what was shown.
    #[inline]
    pub fn outgoing(&self) -> &[u8] {
        self.send.first()
    }

    /// All bytes to be written to the peer, in contiguous pieces, for a vectored write.
    #[inline]
    pub fn outgoing_chunks(&self) -> OutgoingChunks<'_> {
        self.send.chunks()
    }

    /// Fills `slices` with the first pieces of the bytes to be written, and returns how many there are.
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

    /// Moves the first piece of the outgoing bytes out of the connection, with a stable address and no borrow: for a
    /// kernel or thread that writes while the connection goes on. The pieces must be written in this order; each
    /// counts as outgoing until [`advance`](Connection::advance) releases it, the connection is finished, or its
    /// [write side is over](Connection::write_closed): what is written of it later may be told to `advance`, and
    /// changes nothing. Until then each counts 128 bytes, beside its own, against [`Config::max_outgoing_bytes`].
    ///
    /// `None` means that nothing is to be written, or that what comes next are pongs, and
    /// [`Config::max_queued_pongs`] of them are out already: `advance` brings them on.
    pub fn take_outgoing(&mut self) -> Option<Segment> {
        self.send.take(&self.config)
    }

    /// The first `n` outgoing bytes were written: those taken out first, then those of
    /// [`outgoing`](Connection::outgoing) and [`outgoing_chunks`](Connection::outgoing_chunks).
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
            Advanced::Part { is_more_than_pings } => {
                self.life.timer.note_written(is_more_than_pings);
            }
            Advanced::All => self.life.timer.note_emptied(),
        }
    }

    /// Bytes of the wire that were queued and not released by [`advance`](Connection::advance): frames with their
    /// headers, control frames, the opening handshake.
    #[inline]
    pub fn outgoing_len(&self) -> u64 {
        self.send.len()
    }

    /// Payload bytes of messages that were sent and not released by [`advance`](Connection::advance): the W3C's
    /// `bufferedAmount`. Neither framing nor control frames count. It is exact at every partial write of messages that
    /// are not compressed; a compressed message counts whole, at its size before compression, until its last byte is
    /// released. It stays as it is when the connection ends before they are written.
    #[inline]
    pub fn buffered_amount(&self) -> u64 {
        let compressor = self.codec.as_ref().map(|codec| codec.compressor());
        self.send.buffered() + compressor.map_or(0, Compressor::unfinished_bytes)
    }

    /// Whether more messages should be sent now: the connection is open, and not
    /// [congested](Connection::is_congested). It is advice: [`send`](Connection::send) goes on up to
    /// [`Config::max_outgoing_bytes`].
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.life.phase() == Phase::Open && !self.send.is_congested()
    }

    /// Whether the peer does not take what is sent as fast as it is sent: true once there are more than
    /// [`Config::high_water_bytes`] of outgoing bytes, until there are no more than [`Config::low_water_bytes`]. A
    /// program that answers what it receives had better not read meanwhile. It is false once the connection is not open:
    /// nothing is answered then, and the peer's Close must be read.
    #[inline]
    pub fn is_congested(&self) -> bool {
        self.send.is_congested() && self.life.phase() == Phase::Open
    }

    /// Whether there are outgoing bytes that are not taken.
    #[inline]
    pub fn wants_write(&self) -> bool {
        !self.send.first().is_empty()
    }

    /// Whether bytes from the peer are of use: not while the caller decides about a request, nor when all is over.
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

    /// Whether the write side of the transport should be shut down now (a half-close; with TLS a close_notify, with
    /// HTTP/2 an END_STREAM), so that the peer gets what was written and an end, while its own bytes are still read.
    /// It stays true until [`write_closed`](Connection::write_closed) tells that this was done, or failed.
    pub fn wants_shutdown(&self) -> bool {
        if self.life.has_write_end() || self.send.len() > 0 {
            return false;
        }
        match self.life.phase() {
            // RFC 6455 7.1.1: the server is the first to end its side; a client does so when the server has.
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

    /// Whether the transport can be dropped. [`Event::Closed`] was reported before, or waits in
    /// [`poll_event`](Connection::poll_event).
    pub fn is_finished(&self) -> bool {
        match self.life.phase() {
            Phase::Finished => true,
            Phase::Flushing => self.send.len() == 0,
            // The peer's end was seen, but it may still read.
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

    /// Lets frames in, if the phase does. The quick way stays closed while an event or early bytes wait, which the input
    /// must not overtake.
    fn start_receiver(&mut self) {
        if self.life.phase().receives_frames() {
            let terms = Terms { role: self.send.role(), config: &self.config };
            self.recv.start(terms);
            if self.life.has_extra() {
                self.recv.close_quick_way();
            }
        }
    }

    /// Enters a phase. This is the only place where the phase changes, and where the halves learn of it.
    fn go(&mut self, to: Phase) {
        self.life.go(to);
        self.start_receiver();
        if to.state() == State::Closed {
            self.recv.stop();
            self.send.cut_fragment(compressor(&mut self.codec));
            self.codec = None;
        }
    }
}

/// The sender's half of the codecs.
#[inline]
fn compressor(codec: &mut Option<Box<Codec>>) -> Option<&mut Compressor> {
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
