//! What a connection reports: the events, and the messages in them. Payloads borrow from the caller's own read
//! buffer where they lie whole in it, and are owned otherwise; nothing borrows from the connection.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::close_code::CloseCode;
use crate::entropy::EntropyError;
use crate::error::ProtocolError;
use crate::handshake::{HandshakeError, PlainRequest, Refusal, UpgradeRequest, UpgradeResponse};
use crate::message::{Chunk, Message};

/// Something that happened. [`Event::Closed`] is the last.
#[non_exhaustive]
#[must_use = "an event is reported once"]
pub enum Event<'a> {
    /// Server: a valid request for a WebSocket. Nothing more is read until
    /// [`accept`](crate::Connection::accept) or [`reject`](crate::Connection::reject) (RFC 6455 4.2.2).
    UpgradeRequest(UpgradeRequest<'a>),
    /// Server: an HTTP request that does not ask for a WebSocket. Answer it with
    /// [`respond`](crate::Connection::respond), or take [its bytes](PlainRequest::as_bytes) and the rest of the input
    /// elsewhere.
    PlainRequest(PlainRequest<'a>),
    /// Client: the server has accepted, the connection is open (RFC 6455 4.1).
    Open(UpgradeResponse<'a>),
    /// A whole message, with [`Delivery::Messages`](crate::Delivery::Messages).
    Message(Message<'a>),
    /// A piece of a message, with [`Delivery::Chunks`](crate::Delivery::Chunks).
    Chunk(Chunk<'a>),
    /// A ping of at most 125 bytes; its pong is queued already (RFC 6455 5.5.2).
    Ping(Cow<'a, [u8]>),
    /// A pong of at most 125 bytes, solicited or not (RFC 6455 5.5.3).
    Pong(Cow<'a, [u8]>),
    /// The end: how the connection closed. Reported exactly once. The transport is done with when
    /// [`is_finished`](crate::Connection::is_finished) says so.
    Closed(Box<Closed>),
}

const _: () = assert!(size_of::<Option<Event<'_>>>() <= 32 || size_of::<usize>() != 8);

impl Event<'_> {
    /// The same event without a borrow; copies what was borrowed.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Event::UpgradeRequest(request) => Event::UpgradeRequest(request.into_owned()),
            Event::PlainRequest(request) => Event::PlainRequest(request.into_owned()),
            Event::Open(response) => Event::Open(response.into_owned()),
            Event::Message(message) => Event::Message(message.into_owned()),
            Event::Chunk(chunk) => Event::Chunk(chunk.into_owned()),
            Event::Ping(payload) => Event::Ping(Cow::Owned(payload.into_owned())),
            Event::Pong(payload) => Event::Pong(Cow::Owned(payload.into_owned())),
            Event::Closed(closed) => Event::Closed(closed),
        }
    }
}

/// What the peer or the caller may want to keep to itself, payloads and headers, is told by its size alone.
impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::UpgradeRequest(request) => request.fmt(f),
            Event::PlainRequest(request) => request.fmt(f),
            Event::Open(response) => f.debug_tuple("Open").field(response).finish(),
            Event::Message(message) => message.fmt(f),
            Event::Chunk(chunk) => chunk.fmt(f),
            Event::Ping(payload) => write!(f, "Ping({} bytes)", payload.len()),
            Event::Pong(payload) => write!(f, "Pong({} bytes)", payload.len()),
            Event::Closed(closed) => closed.fmt(f),
        }
    }
}

/// How a connection ended (RFC 6455 7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// The code of the first Close frame received; 1005 if it had none, 1006 if there was no Close frame
    /// (RFC 6455 7.1.5). It is never the code that we have sent: what that was follows from `cause`.
    pub code: CloseCode,
    /// The reason in the first Close frame received, at most 123 bytes; not for end users (RFC 6455 7.1.6).
    pub reason: String,
    /// Whether the peer's Close has arrived, after ours or before it (RFC 6455 7.1.4). Our answer is lost if the write
    /// side of the transport [has ended](crate::Connection::write_closed).
    pub clean: bool,
    /// Who ended the connection, and why.
    pub cause: CloseCause,
}

impl Closed {
    /// The server's answer, if it refused the opening handshake: a redirect, a request to log in, an error.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.cause {
            CloseCause::Protocol(ProtocolError::Handshake(HandshakeError::Refused(refusal))) => {
                Some(refusal)
            }
            _ => None,
        }
    }

    /// An end without a Close frame from the peer.
    pub(crate) fn abnormal(cause: CloseCause) -> Box<Closed> {
        Box::new(Closed { code: CloseCode::ABNORMAL, reason: String::new(), clean: false, cause })
    }
}

/// Who ended a connection, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseCause {
    /// The peer's Close came first. It was answered, unless the write side of the transport had ended.
    Peer,
    /// Our own Close came first, and the peer has sent its own.
    Local,
    /// The peer broke the protocol, or the server refused the opening handshake: see [`Closed::refusal`].
    Protocol(ProtocolError),
    /// The server's caller answered the request with a response of its own.
    Rejected,
    /// The transport ended without a Close frame.
    TransportEnded,
    /// The caller gave up, by [`abort`](crate::Connection::abort) or by closing before the connection was open; or the
    /// write side of the transport ended before a server had answered its request.
    Aborted,
    /// The peer was too slow.
    TimedOut(Timeout),
    /// No masking key could be had for an automatic reply.
    Entropy(EntropyError),
}

/// Which of the configured timeouts has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timeout {
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout).
    Handshake,
    /// [`Config::close_timeout`](crate::Config::close_timeout).
    Close,
    /// [`Config::idle_timeout`](crate::Config::idle_timeout).
    Idle,
}
