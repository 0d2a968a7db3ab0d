//! The events that a connection reports, and how it ended. A payload that is whole in the caller's read buffer is
//! borrowed from it. Other payloads are owned. Nothing borrows from the connection.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU16;

use crate::close_code::CloseCode;
use crate::entropy::EntropyError;
use crate::error::ProtocolError;
use crate::frame::FrameHeader;
use crate::frame_payload::FramePayload;
use crate::handshake::{
    HandshakeError, PlainRequest, Refusal, Response, UpgradeRequest, UpgradeResponse,
};
use crate::message::{Chunk, Cut, Message};

/// An event of a connection. [`Event::Closed`] is the last one.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[must_use = "an event is reported once"]
pub enum Event<'a> {
    /// Server: a valid request for a WebSocket. Call [`accept`](crate::Connection::accept) or
    /// [`respond`](crate::Connection::respond) (RFC 6455 4.2.2). Until then, further input is only buffered.
    /// A server has no event when it is open: it is open when `accept` returns `Ok`.
    UpgradeRequest(UpgradeRequest<'a>),
    /// Server: an HTTP request that does not ask for a WebSocket. Answer it with
    /// [`respond`](crate::Connection::respond), or hand [its bytes](PlainRequest::as_bytes) and the rest of the input
    /// to another HTTP server.
    PlainRequest(PlainRequest<'a>),
    /// Client: the server has accepted, and the connection is open (RFC 6455 4.1). A server is open when
    /// [`accept`](crate::Connection::accept) returns `Ok`.
    Open(UpgradeResponse<'a>),
    /// A whole message, with [`Delivery::Messages`](crate::Delivery::Messages).
    Message(Message<'a>),
    /// A piece of a message, with [`Delivery::Chunks`](crate::Delivery::Chunks).
    Chunk(Chunk<'a>),
    /// The header of a data frame, with [`Delivery::Frames`](crate::Delivery::Frames). Its payload follows. A frame
    /// whose payload is empty has only this event.
    FrameHeader(FrameHeader),
    /// A piece of the payload of the data frame whose header came last, with
    /// [`Delivery::Frames`](crate::Delivery::Frames).
    FramePayload(FramePayload<'a>),
    /// A ping of at most 125 bytes. The connection has queued its pong (RFC 6455 5.5.2), unless
    /// [`Config::answer_pings`](crate::Config::answer_pings) leaves that to the caller.
    Ping(Cow<'a, [u8]>),
    /// A pong of at most 125 bytes. It answers a ping, or it is unsolicited (RFC 6455 5.5.3).
    Pong(Cow<'a, [u8]>),
    /// Client: a piece of the body of the response with which the server refuses, with
    /// [`Config::stream_refusal_body`](crate::Config::stream_refusal_body). It has at least one byte.
    /// [`Connection::refusal`](crate::Connection::refusal) has the status and the headers.
    RefusalBody(Cow<'a, [u8]>),
    /// The peer's Close, with [`Config::answer_close`](crate::Config::answer_close) set to `false` (RFC 6455 5.5.1).
    /// Nothing more is received, and messages can still be sent. Finish the current message, and answer with
    /// [`close`](crate::Connection::close) or [`close_without_code`](crate::Connection::close_without_code).
    /// [`Event::Closed`] follows, with this code and reason.
    ///
    /// ```
    /// use websocket_proto::{CloseCode, Config, Connection, Event, MessageKind, Role};
    ///
    /// let config = Config::builder().answer_close(false).build()?;
    /// let mut conn = Connection::from_upgrade(Role::Client, config)?;
    /// conn.send_fragment(MessageKind::Text, b"one, ", false)?;
    /// let mut bytes = *b"\x88\x05\x03\xe9bye";
    /// let Some(Event::CloseReceived { code, .. }) = conn.receive(&mut &mut bytes[..]) else { panic!() };
    /// assert_eq!(code, CloseCode::GOING_AWAY);
    /// conn.send_fragment(MessageKind::Text, b"two", true)?;
    /// conn.close(CloseCode::NORMAL, "done")?;
    /// let Some(Event::Closed(closed)) = conn.poll_event() else { panic!() };
    /// assert_eq!((closed.code(), closed.sent_code()), (CloseCode::GOING_AWAY, Some(CloseCode::NORMAL)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    CloseReceived {
        /// The code; 1005 if the frame has none (RFC 6455 7.1.5).
        code: CloseCode,
        /// The reason, at most 123 bytes.
        reason: Box<str>,
    },
    /// The end of the connection. It is reported exactly once. The transport can be dropped once
    /// [`is_finished`](crate::Connection::is_finished) returns `true`.
    Closed(Closed),
}

const _: () = assert!(size_of::<Option<Event<'_>>>() <= 32 || size_of::<usize>() != 8);

impl Event<'_> {
    /// Makes the event owned. Borrowed bytes are copied.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Event::UpgradeRequest(request) => Event::UpgradeRequest(request.into_owned()),
            Event::PlainRequest(request) => Event::PlainRequest(request.into_owned()),
            Event::Open(response) => Event::Open(response.into_owned()),
            Event::Message(message) => Event::Message(message.into_owned()),
            Event::Chunk(chunk) => Event::Chunk(chunk.into_owned()),
            Event::FrameHeader(header) => Event::FrameHeader(header),
            Event::FramePayload(payload) => Event::FramePayload(payload.into_owned()),
            Event::Ping(payload) => Event::Ping(Cow::Owned(payload.into_owned())),
            Event::Pong(payload) => Event::Pong(Cow::Owned(payload.into_owned())),
            Event::RefusalBody(piece) => Event::RefusalBody(Cow::Owned(piece.into_owned())),
            Event::CloseReceived { code, reason } => Event::CloseReceived { code, reason },
            Event::Closed(closed) => Event::Closed(closed),
        }
    }
}

/// Payloads and headers may be confidential, so only their sizes are shown.
impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::UpgradeRequest(request) => request.fmt(f),
            Event::PlainRequest(request) => request.fmt(f),
            Event::Open(response) => f.debug_tuple("Open").field(response).finish(),
            Event::Message(message) => message.fmt(f),
            Event::Chunk(chunk) => chunk.fmt(f),
            Event::FrameHeader(header) => header.fmt(f),
            Event::FramePayload(payload) => payload.fmt(f),
            Event::Ping(payload) => write!(f, "Ping({} bytes)", payload.len()),
            Event::Pong(payload) => write!(f, "Pong({} bytes)", payload.len()),
            Event::RefusalBody(piece) => write!(f, "RefusalBody({} bytes)", piece.len()),
            Event::CloseReceived { code, reason } => {
                write!(f, "CloseReceived({code}, {reason:?})")
            }
            Event::Closed(closed) => closed.fmt(f),
        }
    }
}

/// How a connection ended (RFC 6455 7.1). It is one pointer in size.
///
/// As text it tells the code and the reason. As an [error](core::error::Error) its source is the
/// [cause](Closed::cause).
///
/// ```
/// use websocket_proto::{CloseCause, CloseCode, Config, Connection, Event, Role};
///
/// let mut conn = Connection::from_upgrade(Role::Client, Config::default())?;
/// let mut bytes = *b"\x88\x05\x03\xe9bye";
/// let Some(Event::Closed(closed)) = conn.receive(&mut &mut bytes[..]) else { panic!() };
/// assert_eq!((closed.code(), closed.reason()), (CloseCode::GOING_AWAY, "bye"));
/// assert!(closed.is_clean() && *closed.cause() == CloseCause::Peer);
/// assert_eq!(closed.to_string(), "connection was closed with code 1001, reason \"bye\"");
/// # Ok::<(), websocket_proto::UsageError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[doc(alias("CloseEvent", "CloseFrame"))]
pub struct Closed(Box<End>);

/// The parts of [`Closed`]. They are boxed, so that an event stays small.
#[derive(Clone, PartialEq, Eq, Hash)]
struct End {
    code: CloseCode,
    reason: String,
    clean: bool,
    cause: CloseCause,
    sent: Option<SentClose>,
    cut: Option<Cut>,
    /// The head that failed the opening handshake. A refusal has its head itself.
    failed_head: Option<Box<[u8]>>,
    /// The status of the response with which the server has answered on its own.
    answered: Option<NonZeroU16>,
}

/// Code and reason of the Close frame that we have sent.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct SentClose {
    /// 1005 if the frame has no code.
    pub(crate) code: CloseCode,
    pub(crate) reason: Box<str>,
}

impl Closed {
    /// Returns the code of the first Close frame received (RFC 6455 7.1.5). It is 1005 if that frame had no code, and
    /// 1006 if no Close frame was received. It is never the code that we have sent.
    #[must_use]
    pub fn code(&self) -> CloseCode {
        self.0.code
    }

    /// Returns the reason in the first Close frame received, at most 123 bytes. It is not meant for end users (RFC 6455
    /// 7.1.6).
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Returns whether the peer's Close has arrived, before ours or after it (RFC 6455 7.1.4). Our Close may still be
    /// lost, if the write side of the transport [has ended](crate::Connection::write_closed).
    #[must_use]
    #[doc(alias = "wasClean")]
    pub fn is_clean(&self) -> bool {
        self.0.clean
    }

    /// Returns who ended the connection, and why.
    #[must_use]
    pub fn cause(&self) -> &CloseCause {
        &self.0.cause
    }

    /// Returns the cause, owned.
    #[must_use]
    pub fn into_cause(self) -> CloseCause {
        self.0.cause
    }

    /// Returns the code of the Close frame that we have sent: by [`close`](crate::Connection::close) or
    /// [`fail`](crate::Connection::fail), as the answer to the peer's, or because of a mistake or the silence of the
    /// peer. It is 1005 if our frame has no code. `None` means that we sent none: the opening handshake was not done,
    /// or the transport ended before.
    ///
    /// A Close that is still queued counts as sent. It is lost if the loop cannot write it.
    ///
    /// ```
    /// use websocket_proto::{CloseCode, Config, Connection, Event, Role};
    ///
    /// let mut conn = Connection::from_upgrade(Role::Client, Config::default())?;
    /// conn.close(CloseCode::NORMAL, "done")?;
    /// let mut theirs = *b"\x88\x05\x03\xe9bye";
    /// let Some(Event::Closed(closed)) = conn.receive(&mut &mut theirs[..]) else { panic!() };
    /// assert_eq!((closed.code(), closed.reason()), (CloseCode::GOING_AWAY, "bye"));
    /// assert_eq!((closed.sent_code(), closed.sent_reason()), (Some(CloseCode::NORMAL), "done"));
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    #[must_use]
    pub fn sent_code(&self) -> Option<CloseCode> {
        self.0.sent.as_ref().map(|sent| sent.code)
    }

    /// Returns the reason in the Close frame that we have sent, at most 123 bytes. It is empty if
    /// [`sent_code`](Closed::sent_code) is `None`.
    #[must_use]
    pub fn sent_reason(&self) -> &str {
        self.0.sent.as_ref().map_or("", |sent| &sent.reason)
    }

    /// Returns what the end has cut of the peer's frames and messages: `None` if all had arrived whole, if the opening
    /// handshake was not done, or if the peer broke the protocol. Bytes that were not passed to
    /// [`receive`](crate::Connection::receive) are not known here, nor those that wait behind an accepted request. A
    /// compressed message also counts as cut if a part of it was not delivered yet.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.0.cut
    }

    /// Returns the server's response if the server refused the opening handshake: a redirect, a request for
    /// authentication, an error.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self.cause() {
            CloseCause::Protocol(ProtocolError::Handshake(HandshakeError::Refused(refusal))) => {
                Some(refusal)
            }
            _ => None,
        }
    }

    /// Returns the head of the request or response with which the opening handshake failed, for a log line (RFC 6455
    /// 7.1.7). It ends with the byte that decided, or is what had arrived of an incomplete head. It has at most
    /// [`Config::max_head_bytes`](crate::Config::max_head_bytes). Folded lines of a response are unfolded.
    ///
    /// Returns `None` if no byte of a head had arrived, if the handshake did not fail, or if an event has reported the
    /// head before: a request that was rejected, or not answered in time.
    ///
    /// The peer chooses these bytes, and they may have secrets such as cookies. [`Debug`](fmt::Debug) does not show
    /// them.
    ///
    /// ```
    /// use websocket_proto::{Config, Connection, Event};
    ///
    /// let mut conn = Connection::server(Config::default());
    /// let mut bytes = *b"GET /chat HTTP/2.5\r\nHost: example.com\r\n\r\n";
    /// let Some(Event::Closed(closed)) = conn.receive(&mut &mut bytes[..]) else { panic!() };
    /// let head = closed.failed_head().unwrap_or_default().escape_ascii();
    /// assert_eq!(
    ///     format!("{}: {head}", closed.cause()),
    ///     "version is HTTP/2.5, not HTTP/1.1: GET /chat HTTP/2.5\\r\\n"
    /// );
    /// ```
    #[must_use]
    pub fn failed_head(&self) -> Option<&[u8]> {
        match self.refusal() {
            Some(refusal) => Some(refusal.head()),
            None => self.0.failed_head.as_deref(),
        }
    }

    /// Server: returns the response that the connection has queued on its own, because the request is invalid or was
    /// not answered in time. Add headers to it, and pass it to [`Connection::respond`](crate::Connection::respond)
    /// before a byte of it is written. `None` for any other end, and on a client.
    ///
    /// A server with a clock must send a `Date` in every response with a status below 500 (RFC 9110 6.6.1). This one
    /// has none, since a connection knows no calendar.
    ///
    /// ```
    /// use websocket_proto::{Config, Connection, Event};
    /// # let now = || "Tue, 15 Nov 1994 08:12:31 GMT";
    ///
    /// let mut conn = Connection::server(Config::default());
    /// let mut bytes = *b"GET /chat HTTP/1.1\r\nHost : example.com\r\n\r\n";
    /// let Some(Event::Closed(closed)) = conn.receive(&mut &mut bytes[..]) else { panic!() };
    /// if let Some(response) = closed.response() {
    ///     conn.respond(response.header("Date", now()).body(closed.cause().to_string()))?;
    /// }
    /// assert!(conn.outgoing().starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
    /// assert!(conn.outgoing().ends_with(b"\r\n\r\nheader line does not begin with a token and a colon"));
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    #[must_use]
    pub fn response(&self) -> Option<Response> {
        let status = self.0.answered?.get();
        match self.cause() {
            CloseCause::Protocol(ProtocolError::Handshake(error)) => error.response(),
            _ => Some(Response::new(status)),
        }
    }

    /// The end of a connection by the peer's Close frame.
    pub(crate) fn clean(code: CloseCode, reason: String, cause: CloseCause) -> Closed {
        Closed(Box::new(End {
            code,
            reason,
            clean: true,
            cause,
            sent: None,
            cut: None,
            failed_head: None,
            answered: None,
        }))
    }

    /// The end of a connection without a Close frame from the peer.
    pub(crate) fn abnormal(cause: CloseCause) -> Closed {
        Closed(Box::new(End {
            code: CloseCode::ABNORMAL,
            reason: String::new(),
            clean: false,
            cause,
            sent: None,
            cut: None,
            failed_head: None,
            answered: None,
        }))
    }

    /// Adds the Close that we have sent.
    pub(crate) fn with_sent(mut self, sent: Option<SentClose>) -> Closed {
        self.0.sent = sent;
        self
    }

    /// Adds what the end has cut.
    pub(crate) fn with_cut(mut self, cut: Option<Cut>) -> Closed {
        self.0.cut = cut;
        self
    }

    /// Adds the head that failed the opening handshake, unless it is empty.
    pub(crate) fn with_failed_head(mut self, head: Vec<u8>) -> Closed {
        self.0.failed_head = Some(head.into_boxed_slice()).filter(|head| !head.is_empty());
        self
    }

    /// Adds the status of the response with which the server has answered on its own.
    pub(crate) fn with_answered(mut self, status: u16) -> Closed {
        self.0.answered = NonZeroU16::new(status);
        self
    }
}

impl SentClose {
    pub(crate) fn new(code: CloseCode, reason: &str) -> SentClose {
        SentClose { code, reason: reason.into() }
    }
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed")
            .field("code", &self.code())
            .field("reason", &self.reason())
            .field("clean", &self.is_clean())
            .field("cause", &self.cause())
            .field("sent_code", &self.sent_code())
            .field("sent_reason", &self.sent_reason())
            .field("cut", &self.cut())
            .finish()
    }
}

/// The peer chooses the reason, so control characters in it are escaped.
impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_clean(), self.reason()) {
            (false, _) if self.cause().is_of_handshake() => {
                f.write_str("connection was not opened")
            }
            (false, _) => f.write_str("connection ended without the peer's Close frame"),
            (true, "") => write!(f, "connection was closed with code {}", self.code()),
            (true, reason) => {
                write!(f, "connection was closed with code {}, reason {reason:?}", self.code())
            }
        }
    }
}

impl core::error::Error for Closed {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(self.cause())
    }
}

/// Who ended a connection, and why. As text, a mistake of the peer is told by its [`ProtocolError`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseCause {
    /// The peer sent the first Close. It was answered, unless the write side of the transport had ended, or the caller
    /// called [`abort`](crate::Connection::abort) before it answered.
    Peer,
    /// We sent the first Close, and the peer has answered it.
    Local,
    /// The peer broke the protocol, or the server refused the opening handshake: see [`Closed::refusal`].
    Protocol(ProtocolError),
    /// Server: the application rejected the request for a WebSocket.
    Rejected,
    /// Server: the application answered a plain request.
    Answered,
    /// The transport ended without a Close frame.
    TransportEnded,
    /// The caller called [`abort`](crate::Connection::abort), or closed the connection before it was open. On a server,
    /// this is also the cause if the write side of the transport ended before the request was answered.
    Aborted,
    /// The caller called [`fail`](crate::Connection::fail).
    Failed,
    /// A timeout has passed.
    TimedOut(Timeout),
    /// Client: the source of entropy failed to supply a masking key for a pong.
    Entropy(EntropyError),
}

impl CloseCause {
    /// Whether only a connection that was never open ends with this cause.
    fn is_of_handshake(&self) -> bool {
        matches!(
            self,
            CloseCause::Protocol(ProtocolError::Handshake(_))
                | CloseCause::Rejected
                | CloseCause::Answered
                | CloseCause::TimedOut(Timeout::Handshake)
        )
    }
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseCause::Peer => f.write_str("peer started the closing handshake"),
            CloseCause::Local => f.write_str("we started the closing handshake"),
            CloseCause::Protocol(error) => error.fmt(f),
            CloseCause::Rejected => f.write_str("application rejected the request"),
            CloseCause::Answered => f.write_str("application answered a plain request"),
            CloseCause::TransportEnded => f.write_str("transport ended without a Close frame"),
            CloseCause::Aborted => f.write_str("connection was aborted"),
            CloseCause::Failed => f.write_str("application failed the connection"),
            CloseCause::TimedOut(timeout) => timeout.fmt(f),
            CloseCause::Entropy(error) => error.fmt(f),
        }
    }
}

/// The text of an inner error is the text of the cause, so the inner error is not a source.
impl core::error::Error for CloseCause {}

/// Which of the configured timeouts has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout).
    Handshake,
    /// [`Config::close_timeout`](crate::Config::close_timeout).
    Close,
    /// [`Config::idle_timeout`](crate::Config::idle_timeout).
    Idle,
    /// [`Config::pong_timeout`](crate::Config::pong_timeout).
    Pong,
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Timeout::Handshake => "handshake timeout has passed",
            Timeout::Close => "close timeout has passed",
            Timeout::Idle => "idle timeout has passed",
            Timeout::Pong => "pong timeout has passed",
        })
    }
}

impl core::error::Error for Timeout {}
