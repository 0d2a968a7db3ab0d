//! The events that a connection reports, and how it ended. A payload that is whole in the caller's read buffer is
//! borrowed from it. Other payloads are owned. Nothing borrows from the connection.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::close_code::CloseCode;
use crate::entropy::EntropyError;
use crate::error::ProtocolError;
use crate::frame::FrameHeader;
use crate::frame_payload::FramePayload;
use crate::handshake::{HandshakeError, PlainRequest, Refusal, UpgradeRequest, UpgradeResponse};
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
    /// A ping of at most 125 bytes. The connection has queued its pong (RFC 6455 5.5.2).
    Ping(Cow<'a, [u8]>),
    /// A pong of at most 125 bytes. It answers a ping, or it is unsolicited (RFC 6455 5.5.3).
    Pong(Cow<'a, [u8]>),
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

    /// The end of a connection by the peer's Close frame.
    pub(crate) fn clean(code: CloseCode, reason: String, cause: CloseCause) -> Closed {
        Closed(Box::new(End { code, reason, clean: true, cause, sent: None, cut: None }))
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
    /// The peer sent the first Close. It was answered, unless the write side of the transport had ended.
    Peer,
    /// We sent the first Close, and the peer has answered it.
    Local,
    /// The peer broke the protocol, or the server refused the opening handshake: see [`Closed::refusal`].
    Protocol(ProtocolError),
    /// Server: the application rejected the request, or answered a plain request.
    Rejected,
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
            CloseCause::Rejected => f.write_str("request was answered without a WebSocket"),
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
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Timeout::Handshake => "handshake timeout has passed",
            Timeout::Close => "close timeout has passed",
            Timeout::Idle => "idle timeout has passed",
        })
    }
}

impl core::error::Error for Timeout {}
