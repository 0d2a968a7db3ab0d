//! A sequence of calls as a value. Its run on a connection reports the result of each call, and after which call a
//! promise was broken. A fuzzer makes such values from its bytes, and a failure can be read as a list of calls.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::inbox::Inbox;
use super::invariants::{Checked, Life, Output, holds};
use super::peer::{header, request, response};
use super::step::Step;
use crate::config::Config;
use crate::connection::Connection;
use crate::error::UsageError;
use crate::event::Event;
use crate::handshake::{Accept, ClientRequest};
use crate::message::{Message, MessageKind};
use crate::send::PreparedMessage;
use crate::state::{Role, State};
use crate::timestamp::Timestamp;

/// A sequence of calls for one [`Connection`].
///
/// After every call the promises of a connection are checked through its public interface:
///
/// - no event comes after [`Event::Closed`]; the state never goes back; [`is_finished`](Connection::is_finished) does
///   not become false again;
/// - `None` from [`receive`](Connection::receive) means that the input is used up; from
///   [`receive_from`](Connection::receive_from) it means that there is room to read more;
/// - [`is_event_ready`](Connection::is_event_ready) says what `receive_from` then returns; a second call changes
///   nothing, and after `false`, `receive_from` changes nothing ([`Step::AskFirst`]);
/// - all output is well-formed: the head of the opening handshake if there is one, then frames that are valid for the
///   role, with at most one Close and no data frame after it;
/// - no data frame is larger than [`Config::max_outgoing_frame_bytes`];
/// - [`outgoing_len`](Connection::outgoing_len) is the number of unwritten bytes; only within a frame that is
///   [sent in pieces](Connection::begin_frame) it also counts bytes that wait for the end of the frame;
/// - [`buffered_amount`](Connection::buffered_amount) is the number of bytes sent less those written, exactly (with
///   permessage-deflate: less those of messages written whole);
/// - [`send_through`](Connection::send_through) passes its frame to the closure if nothing else is outgoing, and stops
///   after a partial write;
/// - at most [`Config::max_queued_pongs`] automatic pongs are queued;
/// - a closed connection stays closed, whatever is called.
///
/// ```
/// use websocket_proto::testing::{RawFrame, Script, Step};
/// use websocket_proto::{Config, Event, Message, Role};
///
/// let mut script = Script::new(Role::Server);
/// script.steps.push(Step::Send("Hello".into()));
/// script.steps.push(Step::Frame(RawFrame::text("world"), 1));
/// script.steps.push(Step::Write(3));
/// let run = script.run(Config::default())?;
/// assert!(matches!(&run.events[..], [(1, Event::Message(Message::Text(text)))] if text == "world"));
/// assert_eq!(run.output, b"\x81\x05Hello");
/// # Ok::<(), websocket_proto::testing::Broken>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Script {
    /// The role of the connection.
    pub role: Role,
    /// Whether the connection begins with the opening handshake. Default: `false`, it begins open.
    pub handshake: bool,
    /// The parameters of permessage-deflate, if a connection that begins open has agreed on it. Default: `None`.
    #[cfg(feature = "deflate")]
    pub deflate: Option<crate::deflate::DeflateParams>,
    /// The capacity of the [`ReadBuffer`](crate::ReadBuffer) to receive from. Default: `None`, receive from a slice.
    pub read_buffer: Option<usize>,
    /// Whether each message is recycled with [`recycle`](Connection::recycle). Default: `false`.
    pub recycle: bool,
    /// The steps in their order.
    pub steps: Vec<Step>,
}

/// The outcome of a script.
#[derive(Debug)]
#[non_exhaustive]
pub struct Run {
    /// The connection, with all outgoing bytes written.
    pub conn: Connection,
    /// All events, each with the index of the step that caused it.
    pub events: Vec<(usize, Event<'static>)>,
    /// The result of each step; `Ok` if its call returns nothing.
    pub results: Vec<Result<(), UsageError>>,
    /// All written bytes.
    pub output: Vec<u8>,
}

/// A promise that a connection has broken, which is a bug of this library.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// The index of the step; the number of steps if the promise was broken after the last one.
    pub index: usize,
    /// The step; `None` after the last.
    pub step: Option<Step>,
    /// A sentence about the broken promise.
    pub what: String,
}

impl Script {
    /// Creates an empty script for an open connection in this role.
    pub fn new(role: Role) -> Script {
        Script {
            role,
            handshake: false,
            #[cfg(feature = "deflate")]
            deflate: None,
            read_buffer: None,
            recycle: false,
            steps: Vec::new(),
        }
    }

    /// Creates a connection that the script can run on.
    ///
    /// # Errors
    ///
    /// [`UsageError::Entropy`] for a client without a source of masking keys.
    pub fn connection(&self, config: Config) -> Result<Connection, UsageError> {
        #[cfg(feature = "deflate")]
        if let (false, Some(params)) = (self.handshake, self.deflate) {
            return Connection::from_upgrade(
                crate::Upgrade::new(self.role).deflate(params),
                config,
            );
        }
        match (self.handshake, self.role) {
            (false, role) => Connection::from_upgrade(role, config),
            (true, Role::Server) => Ok(Connection::server(config)),
            (true, Role::Client) => {
                let request = ClientRequest::new("ws://peer.test/chat").expect("the URI is valid");
                Connection::client(&request, config)
            }
        }
    }

    /// Runs the script on a [`connection`](Script::connection) with this configuration.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    ///
    /// # Panics
    ///
    /// If the connection cannot be created: for a client without a source of masking keys.
    pub fn run(&self, config: Config) -> Result<Run, Broken> {
        let conn = self.connection(config).expect("the configuration has a source of entropy");
        self.run_with(conn, |_, _| {})
    }

    /// Runs the script on any connection. `react`, the code under test, is called with each event. It must not call
    /// `advance`, `take_outgoing`, `send_through` or `write_closed`, because the script does all writing. If it sends
    /// messages with permessage-deflate, the buffered amount is not checked any more, because the script cannot see
    /// their size.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn run_with(
        &self,
        conn: Connection,
        react: impl FnMut(&mut Connection, &Event<'static>),
    ) -> Result<Run, Broken> {
        let mut runner = Runner {
            life: Life::new(&conn),
            out: Output::new(&conn),
            inbox: Inbox::new(self.read_buffer),
            recycle: self.recycle,
            run: Run { conn, events: Vec::new(), results: Vec::new(), output: Vec::new() },
            now: Timestamp::default(),
            react,
        };
        for (index, step) in self.steps.iter().enumerate() {
            let done = runner.step(index, step);
            done.map_err(|what| Broken { index, step: Some(step.clone()), what })?;
        }
        let index = self.steps.len();
        runner.finish(index).map_err(|what| Broken { index, step: None, what })?;
        Ok(runner.run)
    }
}

struct Runner<R> {
    run: Run,
    life: Life,
    out: Output,
    inbox: Inbox,
    recycle: bool,
    now: Timestamp,
    react: R,
}

impl<R: FnMut(&mut Connection, &Event<'static>)> Runner<R> {
    fn step(&mut self, index: usize, step: &Step) -> Checked {
        let conn = &mut self.run.conn;
        let result = match step {
            Step::Handshake => {
                let bytes = self.handshake();
                self.receive(index, &bytes)?;
                Ok(())
            }
            Step::Receive(bytes) => {
                self.receive(index, bytes)?;
                Ok(())
            }
            Step::Frame(frame, most) => {
                let bytes = frame.encode(conn.role().peer());
                for piece in bytes.chunks((*most).max(1)) {
                    self.receive(index, piece)?;
                }
                Ok(())
            }
            Step::Eof => {
                conn.receive_eof();
                Ok(())
            }
            Step::Accept => conn.accept(&Accept::new()),
            Step::Respond(status) => conn.respond(*status),
            Step::Send(message) => {
                let sent = conn.send(message);
                self.sent(sent, message.len())?
            }
            Step::SendPrepared(message) => {
                let sent = conn.send_prepared(&PreparedMessage::new(message));
                self.sent(sent, message.len())?
            }
            Step::SendUncompressed(message) => {
                #[cfg(feature = "deflate")]
                let sent = conn.send_uncompressed(message);
                #[cfg(not(feature = "deflate"))]
                let sent = conn.send(message);
                self.sent(sent, message.len())?
            }
            Step::Fragment { kind, payload, last } => {
                let sent = conn.send_fragment(*kind, payload, *last);
                self.sent(sent, payload.len())?
            }
            Step::UncompressedFragment { kind, payload, last } => {
                #[cfg(feature = "deflate")]
                let sent = conn.send_uncompressed_fragment(*kind, payload, *last);
                #[cfg(not(feature = "deflate"))]
                let sent = conn.send_fragment(*kind, payload, *last);
                self.sent(sent, payload.len())?
            }
            Step::BeginFrame(header) => {
                let begun = conn.begin_frame(header);
                if begun.is_ok() {
                    self.out.begun(header);
                }
                begun
            }
            Step::SendPayload(payload) => {
                let sent = conn.send_payload(payload);
                if sent.is_ok() {
                    self.out.continued(payload.len());
                }
                sent
            }
            Step::SendThrough { message, room } => self.send_through(message, *room)?,
            Step::Ping(payload) => conn.ping(payload),
            Step::Pong(payload) => {
                let sent = conn.pong(payload);
                self.out.own_pongs += u64::from(sent.is_ok());
                sent
            }
            Step::Close(code, reason) => conn.close(*code, reason),
            Step::Fail(code, reason) => {
                let (before, failed) = (conn.state(), conn.fail(*code, reason));
                let is_failed = failed.is_ok() && before != State::Closed;
                let has_ended = conn.state() == State::Closed && !conn.is_writable();
                holds(has_ended || !is_failed, || "the connection goes on after fail".into())?;
                failed
            }
            Step::CloseWithoutCode => {
                conn.close_without_code();
                Ok(())
            }
            Step::Write(n) => {
                let bytes = self.out.release(conn, *n)?;
                self.run.output.extend(bytes);
                Ok(())
            }
            Step::Take => {
                self.out.take(conn);
                Ok(())
            }
            Step::WriteClosed => {
                conn.write_closed();
                self.out.dropped();
                let wants = conn.wants_write() || conn.wants_shutdown() || conn.is_writable();
                holds(!wants, || {
                    "wants_write, wants_shutdown or is_writable is true after write_closed".into()
                })?;
                Ok(())
            }
            Step::Tick(passed) => {
                self.now = self.now + *passed;
                let (now, next) = (self.now, conn.tick(self.now));
                holds(next.is_none_or(|next| next > now), || {
                    format!("tick at {now:?} returned {next:?}")
                })?;
                Ok(())
            }
            Step::Abort => {
                conn.abort();
                let is_finished = conn.is_finished();
                holds(is_finished, || "is_finished is false after abort".into())?;
                Ok(())
            }
            Step::ReleaseMemory => {
                conn.release_memory();
                Ok(())
            }
            Step::AskFirst => {
                self.inbox.ask_first();
                Ok(())
            }
        };
        self.run.results.push(result);
        self.check()?;
        self.poll(index)
    }

    fn sent(
        &mut self,
        sent: Result<(), UsageError>,
        len: usize,
    ) -> Result<Result<(), UsageError>, String> {
        if sent.is_ok() {
            self.out.sent(&self.run.conn, len)?;
        }
        Ok(sent)
    }

    /// Sends through a transport that accepts `room` bytes. The rest is queued, and so is a message that the transport
    /// is not offered. A compressed message is not offered.
    fn send_through(
        &mut self,
        message: &Message<'static>,
        room: usize,
    ) -> Result<Result<(), UsageError>, String> {
        let conn = &mut self.run.conn;
        let waited = conn.outgoing_len();
        let mut written = Vec::new();
        let (mut is_shown, mut is_partial, mut is_late) = (false, false, false);
        let sent = conn.send_through(message.clone(), |header, payload| {
            is_late |= is_partial;
            is_shown = true;
            let shown = header.len() + payload.len();
            let n = shown.min(room - written.len());
            is_partial = n < shown;
            written.extend(header.iter().chain(payload).take(n));
            Ok(n)
        });
        holds(!is_late, || "more bytes are offered after a partial write".into())?;
        // A compressed frame is queued.
        let is_queued = sent.is_err() || waited > 0 || {
            !is_shown && conn.outgoing().first().is_some_and(|first| first & 0x40 != 0)
        };
        holds(is_shown != is_queued, || {
            format!("{sent:?} after {waited} bytes, and the frame is offered: {is_shown}")
        })?;
        let sent = match is_shown && sent.is_ok() {
            true => {
                self.out.sent_as_it_is(&self.run.conn, message.len());
                sent
            }
            false => self.sent(sent, message.len())?,
        };
        self.out.written(&written)?;
        self.run.output.extend(written);
        Ok(sent)
    }

    /// The peer's bytes of the opening handshake. Empty if a client's peer has no request to answer.
    fn handshake(&self) -> Vec<u8> {
        if self.run.conn.role() == Role::Server {
            return request(None).into_bytes();
        }
        let sent = [&self.run.output[..], &self.out.queued(&self.run.conn)].concat();
        let head = String::from_utf8_lossy(&sent);
        header(&head, "Sec-WebSocket-Key")
            .map_or(Vec::new(), |key| response(key, None).into_bytes())
    }

    fn receive(&mut self, index: usize, bytes: &[u8]) -> Checked {
        let mut copy = bytes.to_vec();
        let mut input = &mut copy[..];
        while let Some(event) = self.inbox.next(&mut self.run.conn, &mut input)? {
            self.note(index, event)?;
        }
        Ok(())
    }

    fn poll(&mut self, index: usize) -> Checked {
        while let Some(event) = self.run.conn.poll_event() {
            self.note(index, event)?;
        }
        self.check()
    }

    fn note(&mut self, index: usize, event: Event<'static>) -> Checked {
        self.life.note(&event)?;
        self.check()?;
        (self.react)(&mut self.run.conn, &event);
        self.out.learn(&self.run.conn)?;
        let event = match (self.recycle, event) {
            (true, Event::Message(message)) => {
                let kept = message.clone();
                self.run.conn.recycle(message);
                Event::Message(kept)
            }
            (_, event) => event,
        };
        self.run.events.push((index, event));
        self.check()
    }

    fn check(&mut self) -> Checked {
        self.life.check(&self.run.conn)?;
        self.out.check(&self.run.conn)
    }

    /// Writes everything, and checks that a closed connection stays closed.
    fn finish(&mut self, index: usize) -> Checked {
        self.poll(index)?;
        let (conn, is_closed) = (&mut self.run.conn, self.life.is_closed());
        holds((conn.state() == State::Closed) == is_closed, || {
            format!(
                "the state is {}, {} terminal event",
                conn.state(),
                if is_closed { "with a" } else { "without a" }
            )
        })?;
        if is_closed {
            let before = self.out.queued(conn);
            stays_closed(conn, &mut self.inbox)?;
            holds(self.out.queued(conn) == before, || "output changed after the end".into())?;
        }
        let bytes = self.out.release(conn, usize::MAX)?;
        self.run.output.extend(bytes);
        self.check()
    }
}

/// Checks that nothing happens after the end, whatever is called.
fn stays_closed(conn: &mut Connection, inbox: &mut Inbox) -> Checked {
    let mut bytes = *b"\x81\x80\0\0\0\0\x81\x00GET / HTTP/1.1\r\n\r\n";
    let mut input = &mut bytes[..];
    let event = inbox.next(conn, &mut input)?;
    holds(event.is_none() && input.is_empty(), || "input is received after the end".into())?;
    let refused = Err(UsageError::NotOpen(State::Closed));
    let results = [
        conn.send("late"),
        conn.send_fragment(MessageKind::Text, b"late", true),
        conn.ping(b""),
        conn.pong(b""),
    ];
    holds(results == [refused; 4], || format!("after the end, sending gives {results:?}"))?;
    conn.close_without_code();
    let failed = conn.fail(1011, "late");
    holds(failed.is_ok(), || format!("after the end, fail gives {failed:?}"))?;
    conn.release_memory();
    // A response of the connection's own can be replaced, but not by one that cannot be sent.
    let (accept, respond) = (conn.accept(&Accept::new()), conn.respond(99));
    let is_refused = matches!(
        (accept, respond),
        (
            Err(UsageError::NoRequestPending),
            Err(UsageError::NoRequestPending | UsageError::InvalidStatus(99)),
        )
    );
    holds(is_refused, || format!("after the end, answers give {accept:?} and {respond:?}"))?;
    holds(conn.poll_event().is_none(), || "an event follows the end".into())
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Some(step) => write!(f, "step {} ({step:?}): {}", self.index, self.what),
            None => write!(f, "after {} steps: {}", self.index, self.what),
        }
    }
}

impl core::error::Error for Broken {}
