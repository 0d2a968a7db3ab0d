//! The connection: it joins the leaves, and alone decides what happens. Here are its states, its questions and the
//! bytes that leave it; receiving, sending, the opening handshake, time and the end have files of their own.

mod buffered;
#[cfg(feature = "deflate")]
mod compression;
mod end;
mod opening;
mod receive;
mod send;
mod time;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::Shared;
use crate::assembler::Assembler;
use crate::config::{Config, Delivery};
use crate::entropy::EntropyError;
use crate::error::UsageError;
use crate::event::Closed;
#[cfg(doc)]
use crate::event::Event;
use crate::frame::MAX_CONTROL_BYTES;
use crate::outgoing::{Outgoing, OutgoingChunks, Segment};
use crate::state::{Role, State};
use crate::timer::Timer;
use crate::utf8::Utf8Carry;
use opening::Opening;
use receive::{FrameState, Short};

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
    outgoing: Outgoing,
    /// The message that is being received.
    message: Assembler,
    /// The frame that is being received.
    frame: FrameState,
    config: Shared<Config>,
    /// What an open connection in the middle of nothing does not have.
    rare: Option<Box<Rare>>,
    timer: Timer,
    /// The place in the sequence of [`Entropy::Seed`](crate::Entropy::Seed).
    entropy_state: u32,
    /// A client's key for its last Close frame, drawn ahead so that it is there when the source fails.
    close_key: [u8; 4],
    /// The end of the text of the fragmented message that is being sent.
    sending_text: Utf8Carry,
    /// permessage-deflate, if it was negotiated.
    #[cfg(feature = "deflate")]
    codec: Option<Box<crate::deflate::Codec>>,
    role: Role,
    phase: Phase,
    /// Which frames can take the short way through `receive`; kept by `refresh`.
    short: Short,
    /// Which directions of the transport have ended.
    ended: Ended,
}

const _: () = assert!(size_of::<Connection>() <= 192 || size_of::<usize>() != 8);

/// Where a connection is:
///
/// ```text
/// server  Request ─► Decision ─┐                                    the peer's Close has arrived
///                              ├─► Open ─┬─► Closing ───────┬─► Flushing (server) ─┐
/// client  Response ────────────┘         └─► WriteClosed ───┴─► Waiting (client) ──┼─► Finished
/// any of these, failed, refused or timed out ────────────────► Draining ───────────┘
/// ```
///
/// Any of them may be left for `Finished` at once, by `abort` or the end of the transport; `Closing` is left for
/// `WriteClosed` if our Close cannot be written any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Server: the request's head is being read.
    Request,
    /// Server: the caller decides about the request.
    Decision,
    /// Client: the response is being read.
    Response,
    /// The handshake is done.
    Open,
    /// Our Close was queued; the peer's is expected.
    Closing,
    /// The write side of the transport has ended before our Close was written. We wait for the peer's.
    WriteClosed,
    /// Closed: the server ends the transport as soon as all is written (RFC 6455 7.1.1).
    Flushing,
    /// Closed: the client waits for the server to end the transport (RFC 6455 7.1.1).
    Waiting,
    /// Closed by a failure or refusal: the server shuts its side down once all is written; both then discard what
    /// arrives until its end, since a transport that is closed with bytes unread throws away what it has sent.
    Draining,
    /// The transport can be dropped.
    Finished,
}

impl Phase {
    fn state(self) -> State {
        match self {
            Phase::Request | Phase::Decision | Phase::Response => State::Connecting,
            Phase::Open => State::Open,
            Phase::Closing | Phase::WriteClosed => State::Closing,
            Phase::Flushing | Phase::Waiting | Phase::Draining | Phase::Finished => State::Closed,
        }
    }

    /// Whether what arrives are frames that are received.
    fn receives_frames(self) -> bool {
        matches!(self.state(), State::Open | State::Closing)
    }
}

/// Which directions of the transport have ended, as the caller has told.
#[derive(Debug, Clone, Copy, Default)]
struct Ended(u8);

impl Ended {
    const READ: u8 = 1;
    const WRITE: u8 = 2;

    /// Notes an end, and returns whether it was known.
    fn note(&mut self, side: u8) -> bool {
        let known = self.0 & side != 0;
        self.0 |= side;
        known
    }

    /// The peer will send nothing more.
    #[inline]
    fn read(self) -> bool {
        self.0 & Ended::READ != 0
    }

    /// Nothing more can be written.
    #[inline]
    fn write(self) -> bool {
        self.0 & Ended::WRITE != 0
    }
}

/// What few connections have at any moment.
#[derive(Default)]
struct Rare {
    /// The opening handshake, until it is over.
    opening: Opening,
    /// Bytes that arrived after the request while the caller decided; `..early_start` is received.
    early: Vec<u8>,
    early_start: usize,
    /// The terminal event, when it did not come out of `receive`.
    pending: Option<Box<Closed>>,
    /// The beginning of a control frame's payload.
    control: Vec<u8>,
}

impl Rare {
    fn is_unused(&self) -> bool {
        matches!(self.opening, Opening::Done)
            && self.early.is_empty()
            && self.pending.is_none()
            && self.control.is_empty()
    }
}

impl Connection {
    /// An open connection, whose opening handshake was done elsewhere: by another HTTP/1.1 stack, or by an extended
    /// CONNECT over HTTP/2 (RFC 8441) or HTTP/3 (RFC 9220). Masking is the same there.
    ///
    /// # Errors
    ///
    /// [`UsageError::Entropy`] for a client without a source of masking keys.
    pub fn from_upgrade(
        role: Role,
        config: impl Into<Shared<Config>>,
    ) -> Result<Connection, UsageError> {
        let mut connection = Connection::new(role, Phase::Open, config.into());
        if role == Role::Client {
            connection.config.entropy.drop_inherited_batch();
            connection.draw_close_key()?;
        }
        connection.refresh();
        Ok(connection)
    }

    fn new(role: Role, phase: Phase, config: Shared<Config>) -> Connection {
        Connection {
            outgoing: Outgoing::default(),
            message: Assembler::default(),
            frame: FrameState::default(),
            config,
            rare: None,
            timer: Timer::new(),
            entropy_state: 0,
            close_key: [0; 4],
            sending_text: Utf8Carry::default(),
            #[cfg(feature = "deflate")]
            codec: None,
            role,
            phase,
            short: Short::Never,
            ended: Ended::default(),
        }
    }

    fn draw_close_key(&mut self) -> Result<(), EntropyError> {
        self.close_key = self.config.entropy.mask_key(&mut self.entropy_state)?;
        Ok(())
    }

    /// Which side this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// How far the connection is.
    pub fn state(&self) -> State {
        self.phase.state()
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
        self.outgoing.first()
    }

    /// All bytes to be written to the peer, in contiguous pieces, for a vectored write.
    #[inline]
    pub fn outgoing_chunks(&self) -> OutgoingChunks<'_> {
        self.outgoing.chunks()
    }

    /// Fills `slices` with the first pieces of the bytes to be written, and returns how many there are.
    #[cfg(feature = "std")]
    #[inline]
    pub fn outgoing_slices<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut n = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.outgoing.chunks()) {
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
        self.outgoing.take(self.config.max_queued_pongs)
    }

    /// The first `n` outgoing bytes were written: those taken out first, then those of
    /// [`outgoing`](Connection::outgoing) and [`outgoing_chunks`](Connection::outgoing_chunks).
    ///
    /// # Panics
    ///
    /// If `n` is more than [`outgoing_len`](Connection::outgoing_len).
    #[inline]
    pub fn advance(&mut self, n: usize) {
        if self.outgoing.advance_whole(n) {
            self.timer.note_emptied();
        } else {
            self.advance_partly(n);
        }
    }

    fn advance_partly(&mut self, n: usize) {
        let taken = self.outgoing.advance_partly(n);
        match self.outgoing.len() {
            0 if n > 0 => self.timer.note_emptied(),
            _ if n > 0 => self.timer.note_written(taken),
            _ => {}
        }
        self.note_released();
    }

    /// Bytes of the wire that were queued and not released by [`advance`](Connection::advance): frames with their
    /// headers, control frames, the opening handshake.
    #[inline]
    pub fn outgoing_len(&self) -> u64 {
        self.outgoing.len()
    }

    /// Payload bytes of messages that were sent and not released by [`advance`](Connection::advance): the W3C's
    /// `bufferedAmount`. Neither framing nor control frames count. It is exact at every partial write of messages that
    /// are not compressed; a compressed message counts whole, at its size before compression, until its last byte is
    /// released. It stays as it is when the connection ends before they are written.
    #[inline]
    pub fn buffered_amount(&self) -> u64 {
        self.outgoing.buffered()
    }

    /// Whether more messages should be sent now: the connection is open, and not
    /// [congested](Connection::is_congested). It is advice: [`send`](Connection::send) goes on up to
    /// [`Config::max_outgoing_bytes`].
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.phase == Phase::Open && !self.outgoing.blocked
    }

    /// Whether the peer does not take what is sent as fast as it is sent: true once there are more than
    /// [`Config::high_water_bytes`] of outgoing bytes, until there are no more than [`Config::low_water_bytes`]. A
    /// program that answers what it receives had better not read meanwhile. It is false once the connection is not open:
    /// nothing is answered then, and the peer's Close must be read.
    #[inline]
    pub fn is_congested(&self) -> bool {
        self.outgoing.blocked && self.phase == Phase::Open
    }

    /// Whether there are outgoing bytes that are not taken.
    #[inline]
    pub fn wants_write(&self) -> bool {
        !self.outgoing.first().is_empty()
    }

    /// Whether bytes from the peer are of use: not while the caller decides about a request, nor when all is over.
    pub fn wants_read(&self) -> bool {
        match self.phase {
            Phase::Request
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::WriteClosed
            | Phase::Waiting
            | Phase::Draining => !self.ended.read(),
            Phase::Decision | Phase::Flushing | Phase::Finished => false,
        }
    }

    /// Whether the write side of the transport should be shut down now (a half-close; with TLS a close_notify, with
    /// HTTP/2 an END_STREAM), so that the peer gets what was written and an end, while its own bytes are still read.
    /// It stays true until [`write_closed`](Connection::write_closed) tells that this was done, or failed.
    pub fn wants_shutdown(&self) -> bool {
        if self.ended.write() || self.outgoing.len() > 0 {
            return false;
        }
        match self.phase {
            // RFC 6455 7.1.1: the server is the first to end its side; a client does so when the server has.
            Phase::Draining => self.role == Role::Server || self.is_finished(),
            Phase::Waiting | Phase::Flushing | Phase::Finished => self.is_finished(),
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
        match self.phase {
            Phase::Finished => true,
            Phase::Flushing => self.outgoing.len() == 0,
            // The peer's end was seen, but it may still read.
            Phase::Waiting | Phase::Draining => self.ended.read() && self.outgoing.len() == 0,
            Phase::Request
            | Phase::Decision
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::WriteClosed => false,
        }
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn tidy(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_unused()) {
            self.rare = None;
        }
    }

    fn has_early(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.early.is_empty())
    }

    /// Works out anew which frames can take the short way; to be called whenever the state may have changed.
    fn refresh(&mut self) {
        self.tidy();
        let short = self.phase.receives_frames()
            && self.rare.is_none()
            && !self.ended.read()
            && self.frame.is_between_frames()
            && !self.message.is_open()
            && self.config.delivery == Delivery::Messages
            && self.config.max_fragments > 0
            && self.config.max_frame_bytes.min(self.config.max_message_bytes)
                >= MAX_CONTROL_BYTES as u64;
        self.short = match (short, self.role) {
            (false, _) => Short::Never,
            (true, Role::Server) => Short::Masked,
            (true, Role::Client) => Short::Unmasked,
        };
    }
}

/// A limit of what is held in memory. On 32-bit targets no buffer may become larger than 1 GiB, since it doubles when
/// it grows and a `Vec` has at most `isize::MAX` bytes; on others memory ends long before.
#[inline]
fn at_most_a_buffer(limit: u64) -> u64 {
    match usize::BITS {
        64.. => limit,
        _ => limit.min(isize::MAX as u64 / 2),
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("phase", &self.phase)
            .field("outgoing_len", &self.outgoing_len())
            .field("buffered_amount", &self.buffered_amount())
            .finish_non_exhaustive()
    }
}
