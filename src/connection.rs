//! The connection: it joins the leaves, and alone decides what happens. Here are its states, its questions and its
//! end; [`receive`](Connection::receive) and what follows from it, and sending, have files of their own.

mod buffered;
#[cfg(feature = "deflate")]
mod compression;
mod opening;
mod receive;
mod send;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::Shared;
use crate::assembler::Assembler;
use crate::close::{CloseBody, CloseCode};
use crate::config::{Config, Delivery};
use crate::entropy::EntropyError;
use crate::error::{ProtocolError, UsageError};
use crate::event::{Chunk, CloseCause, Closed, Event, Timeout};
use crate::frame::{FIN, MAX_CONTROL_BYTES, Opcode};
use crate::outgoing::{Outgoing, OutgoingChunks, Segment};
use crate::state::{Role, State};
use crate::timer::{Span, Timer, Timestamp};
use crate::utf8::Utf8Carry;
use opening::Opening;
use receive::{FrameState, Short};

/// One end of a WebSocket connection, as a value: bytes from the peer go in by [`receive`](Connection::receive),
/// events come out; messages go in by [`send`](Connection::send), bytes for the peer come out by
/// [`outgoing`](Connection::outgoing).
///
/// The loop around it is always the same: tell the time ([`tick`](Connection::tick), if timeouts are wanted), drain
/// [`poll_event`](Connection::poll_event), write what is outgoing, shut the transport's write side down if
/// [`wants_shutdown`](Connection::wants_shutdown), stop if [`is_finished`](Connection::is_finished), wait, read, and
/// `receive` until it returns `None`. The [crate's page](crate) has it as a program.
///
/// A connection is 192 bytes on 64-bit targets. While it is open and idle it owns no heap memory, once `tick` has found
/// it so or [`release_memory`](Connection::release_memory) was called, but for the windows of permessage-deflate where
/// that was negotiated.
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
    /// The peer will send nothing more.
    eof: bool,
}

const _: () = assert!(size_of::<Connection>() <= 192 || size_of::<usize>() != 8);

/// Where a connection is:
///
/// ```text
/// server  Request ─► Decision ─┐                      both Close frames exist
///                              ├─► Open ─► Closing ─┬─► Flushing (server) ─┐
/// client  Response ────────────┘      └─────────────┴─► Waiting (client) ──┼─► Finished
/// any of these, failed, refused or timed out ───────► Draining ────────────┘
/// ```
///
/// Any of them may be left for `Finished` at once, by `abort` or the end of the transport.
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
            Phase::Closing => State::Closing,
            Phase::Flushing | Phase::Waiting | Phase::Draining | Phase::Finished => State::Closed,
        }
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
            connection.config.entropy.begin();
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
            eof: false,
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
    /// counts as outgoing until [`advance`](Connection::advance) releases it, or the connection is finished: what is
    /// written of it later may be told to `advance`, and changes nothing. Until then each counts 128 bytes, beside its
    /// own, against [`Config::max_outgoing_bytes`].
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
        self.outgoing.advance(n);
        self.note_released();
    }

    /// Bytes of the wire that were queued and not released by [`advance`](Connection::advance): frames with their
    /// headers, control frames, the opening handshake.
    #[inline]
    pub fn outgoing_len(&self) -> u64 {
        self.outgoing.len()
    }

    /// Payload bytes of messages that were sent and not released by [`advance`](Connection::advance): the W3C's
    /// `bufferedAmount`. Neither framing nor control frames count. It is exact at every partial write, and stays as
    /// it is when the connection ends before they are written.
    #[inline]
    pub fn buffered_amount(&self) -> u64 {
        self.outgoing.buffered()
    }

    /// Whether more messages should be sent now: the connection is open, and not
    /// [congested](Connection::is_congested). It is advice: [`send`](Connection::send) goes on up to
    /// [`Config::max_outgoing_bytes`].
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.phase == Phase::Open && !self.is_congested()
    }

    /// Whether the peer does not take what is sent as fast as it is sent: true once there are
    /// [`Config::high_water_bytes`] of outgoing bytes, until there are no more than [`Config::low_water_bytes`]. A
    /// program that answers what it receives had better not read meanwhile.
    #[inline]
    pub fn is_congested(&self) -> bool {
        self.outgoing.blocked
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
            | Phase::Waiting
            | Phase::Draining => !self.eof,
            Phase::Decision | Phase::Flushing | Phase::Finished => false,
        }
    }

    /// Whether the write side of the transport should be shut down now (a half-close), so that the peer gets what was
    /// written and an end, while its own bytes are still read. It stays true until the end; shutting down again does
    /// no harm, and its errors mean no more than that the peer is gone already.
    pub fn wants_shutdown(&self) -> bool {
        match self.phase {
            // RFC 6455 7.1.1: the server is the first to close; a client leaves it to the server.
            Phase::Draining | Phase::Flushing => {
                self.role == Role::Server && self.outgoing.len() == 0
            }
            Phase::Finished => self.outgoing.len() == 0,
            Phase::Request
            | Phase::Decision
            | Phase::Response
            | Phase::Open
            | Phase::Closing
            | Phase::Waiting => false,
        }
    }

    /// Whether the transport can be dropped. [`Event::Closed`] was reported before, or waits in
    /// [`poll_event`](Connection::poll_event).
    pub fn is_finished(&self) -> bool {
        match self.phase {
            Phase::Finished => true,
            Phase::Flushing => self.outgoing.len() == 0,
            // The peer's end was seen, but it may still read.
            Phase::Waiting | Phase::Draining => self.eof && self.outgoing.len() == 0,
            Phase::Request | Phase::Decision | Phase::Response | Phase::Open | Phase::Closing => {
                false
            }
        }
    }

    /// The transport has ended in the direction from the peer: a read of 0 bytes, an END_STREAM. Without a Close
    /// from the peer this is an end with code 1006 (RFC 6455 7.1.5), which [`poll_event`](Connection::poll_event)
    /// then reports. What is queued after the closing handshake is still to be written. May be called again.
    pub fn receive_eof(&mut self) {
        if core::mem::replace(&mut self.eof, true) {
            return;
        }
        match self.phase {
            // The answer to the request can still reach the peer.
            Phase::Decision => {}
            // What came before the end is received first.
            Phase::Open | Phase::Closing if self.has_early() => {}
            Phase::Request | Phase::Response | Phase::Open | Phase::Closing => {
                self.end_without_close(CloseCause::TransportEnded);
            }
            Phase::Flushing | Phase::Waiting | Phase::Draining | Phase::Finished => {}
        }
        self.refresh();
    }

    /// The transport has failed, or is to be given up: the connection is finished at once, and nothing more is
    /// written. Without a closing handshake before, [`poll_event`](Connection::poll_event) then reports an end with
    /// code 1006. May be called again.
    pub fn abort(&mut self) {
        match self.phase.state() {
            State::Connecting | State::Open | State::Closing => {
                self.end_without_close(CloseCause::Aborted);
            }
            State::Closed => {
                self.outgoing.abandon();
                self.phase = Phase::Finished;
            }
        }
        self.refresh();
    }

    /// Ends the connection and its transport; `poll_event` reports it. A server's refusal tells more than what ended
    /// the reading of its body.
    fn end_without_close(&mut self, cause: CloseCause) {
        let cause = match self.refusal_so_far() {
            Some(error) => CloseCause::Protocol(error.into()),
            None => cause,
        };
        self.outgoing.abandon();
        self.end(Phase::Finished);
        self.rare().pending = Some(Closed::abnormal(cause));
    }

    /// The connection is closed; what was being received is dropped.
    fn end(&mut self, phase: Phase) {
        self.phase = phase;
        self.message = Assembler::default();
        self.frame = FrameState::default();
        self.outgoing.sending = None;
        self.rare = None;
        #[cfg(feature = "deflate")]
        {
            self.codec = None;
        }
    }

    /// RFC 6455 7.1.7: fails the connection for what the peer did, with a Close frame if it was established.
    #[cold]
    fn fail(&mut self, error: ProtocolError) -> Event<'static> {
        Event::Closed(self.end_failed(error))
    }

    /// The same, where `chunk` was received before: it comes first, and the end out of `poll_event`.
    #[cold]
    fn fail_after<'a>(&mut self, chunk: Option<Chunk<'a>>, error: ProtocolError) -> Event<'a> {
        let closed = self.end_failed(error);
        match chunk {
            None => Event::Closed(closed),
            Some(chunk) => {
                self.rare().pending = Some(closed);
                Event::Chunk(chunk)
            }
        }
    }

    fn end_failed(&mut self, error: ProtocolError) -> Box<Closed> {
        if let (Phase::Open, Some(code)) = (self.phase, error.close_code()) {
            self.queue_close(&CloseBody::new(code, "").expect("the codes of errors can be sent"));
        }
        self.end(Phase::Draining);
        Closed::abnormal(CloseCause::Protocol(error))
    }

    /// Queues a Close frame after all that is queued. RFC 6455 5.5.1: it is the last frame that carries anything of
    /// ours.
    fn queue_close(&mut self, body: &CloseBody) {
        let key = match self.role {
            Role::Client => Some(self.close_key),
            Role::Server => None,
        };
        self.outgoing.push(FIN | Opcode::Close as u8, body.as_bytes(), key);
        self.outgoing.sending = None;
    }

    /// Starts the closing handshake with a code and a reason of at most 123 bytes (RFC 6455 7.1.2). Messages that were
    /// sent before go out first; messages of the peer still arrive. Before the connection is open there is nobody
    /// to tell, and it is ended. When it is closing or closed already, nothing happens.
    ///
    /// # Errors
    ///
    /// [`UsageError::CloseCodeNotSendable`] and [`UsageError::CloseReasonTooLong`], whatever the state. A server does
    /// not send 1010 (RFC 6455 7.4.1).
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<(), UsageError> {
        let code = code.into();
        let body = CloseBody::new(code, reason)?;
        if code == CloseCode::EXTENSION_REQUIRED && self.role == Role::Server {
            return Err(UsageError::CloseCodeNotSendable(code));
        }
        self.start_close(&body);
        Ok(())
    }

    /// Starts the closing handshake without a code, which the peer sees as 1005 (RFC 6455 7.1.5); otherwise like
    /// [`close`](Connection::close).
    pub fn close_without_code(&mut self) {
        self.start_close(&CloseBody::EMPTY);
    }

    fn start_close(&mut self, body: &CloseBody) {
        match self.phase.state() {
            State::Connecting => self.end_without_close(CloseCause::Aborted),
            State::Open => {
                self.queue_close(body);
                self.phase = Phase::Closing;
            }
            State::Closing | State::Closed => {}
        }
        self.refresh();
    }

    /// Tells what time it is, and returns when to call again at the latest; `None` if there is nothing to wait for.
    /// What the time brings comes out of [`poll_event`](Connection::poll_event). All timeouts, and keepalive pings,
    /// hang on this call: a program that never makes it has none. It also gives a buffer back that was not used since
    /// the last call.
    pub fn tick(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.outgoing.release_unused();
        if !self.timer.heard {
            self.message.release();
        }
        #[cfg(feature = "deflate")]
        if let Some(codec) = &mut self.codec {
            codec.release_unused();
        }
        let span = match self.phase {
            Phase::Request | Phase::Decision | Phase::Response => Span::Handshake,
            Phase::Open => Span::Silence,
            Phase::Closing => Span::Closing,
            Phase::Flushing | Phase::Waiting | Phase::Draining => Span::Linger,
            Phase::Finished => return None,
        };
        self.timer.observe(now, span);
        let limit = match span {
            Span::Handshake => self.config.handshake_timeout,
            Span::Silence => self.config.idle_timeout,
            Span::Closing | Span::Linger => self.config.close_timeout,
            Span::Unknown => None,
        };
        let deadline = limit.map(|limit| self.timer.deadline(now, limit));
        if deadline.is_some_and(|deadline| now >= deadline) {
            self.time_out(span);
            self.refresh();
            return self.tick(now);
        }
        match (span, self.config.keepalive_interval) {
            (Span::Silence, Some(interval)) => {
                let ping = self.keep_alive(now, interval);
                Some(deadline.map_or(ping, |deadline| deadline.min(ping)))
            }
            _ => deadline,
        }
    }

    /// Sends a ping if the silence is as long as that, and returns when the next is due.
    fn keep_alive(&mut self, now: Timestamp, interval: Duration) -> Timestamp {
        let (due, next) = self.timer.ping_due(now, interval);
        if due {
            // A ping that cannot be queued is made up for by the next.
            let _ = self.ping(b"");
        }
        next
    }

    /// The timeout of `span` has passed.
    fn time_out(&mut self, span: Span) {
        match span {
            Span::Handshake => self.time_out_opening(),
            Span::Silence => {
                let body = CloseBody::new(CloseCode::GOING_AWAY, "idle timeout");
                self.queue_close(&body.expect("code and reason can be sent"));
                self.end(Phase::Draining);
                self.rare().pending = Some(Closed::abnormal(CloseCause::TimedOut(Timeout::Idle)));
            }
            Span::Closing => self.end_without_close(CloseCause::TimedOut(Timeout::Close)),
            Span::Linger | Span::Unknown => {
                self.outgoing.abandon();
                self.phase = Phase::Finished;
            }
        }
    }

    /// Gives back the memory that is kept for sending while the connection is busy, if nothing is queued. An open
    /// connection then owns no heap memory, unless it is in the middle of a message.
    pub fn release_memory(&mut self) {
        self.outgoing.release_memory();
        self.message.release();
        #[cfg(feature = "deflate")]
        if let Some(codec) = &mut self.codec {
            codec.release_memory();
        }
        self.tidy();
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
        let short = matches!(self.phase, Phase::Open | Phase::Closing)
            && self.rare.is_none()
            && !self.eof
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
