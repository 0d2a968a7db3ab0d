//! What a connection reports: the events, and the messages in them. Payloads borrow from the caller's own read
//! buffer where they lie whole in it, and are owned otherwise; nothing borrows from the connection.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::close::CloseCode;
use crate::entropy::EntropyError;
use crate::error::ProtocolError;
use crate::handshake::{HandshakeError, PlainRequest, Refusal, UpgradeRequest, UpgradeResponse};
use crate::utf8::InlineChar;

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

/// Text or binary (RFC 6455 5.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(
    clippy::exhaustive_enums,
    reason = "RFC 6455 5.2 has no third kind; opcodes 3 to 7 are refused"
)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// A whole message (RFC 6455 5.6), received or to be sent.
///
/// It is made from `&str`, `String`, `&[u8]`, `Vec<u8>`, their `Cow`s, and from a reference to another message: a
/// received one can be sent on while it borrows the read buffer. An owned payload is moved into the queue if it
/// is large.
#[derive(Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "RFC 6455 5.2 has no third kind; opcodes 3 to 7 are refused"
)]
pub enum Message<'a> {
    /// UTF-8.
    Text(Cow<'a, str>),
    /// Any bytes.
    Binary(Cow<'a, [u8]>),
}

impl<'a> Message<'a> {
    /// Text or binary.
    pub fn kind(&self) -> MessageKind {
        match self {
            Message::Text(_) => MessageKind::Text,
            Message::Binary(_) => MessageKind::Binary,
        }
    }

    /// The text of a text message.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The payload, copied only if it is borrowed.
    pub fn into_bytes(self) -> Vec<u8> {
        self.into_payload().into_owned()
    }

    /// The payload, owned or borrowed as it was.
    #[inline]
    pub(crate) fn into_payload(self) -> Cow<'a, [u8]> {
        match self {
            Message::Text(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
            Message::Text(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            Message::Binary(bytes) => bytes,
        }
    }

    /// Payload length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same message without a borrow; copies a payload that was borrowed.
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Message::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
            Message::Binary(bytes) => Message::Binary(Cow::Owned(bytes.into_owned())),
        }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({} bytes)", self.kind(), self.len())
    }
}

impl<'a> From<&'a str> for Message<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Message::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Message<'_> {
    fn from(text: String) -> Self {
        Message::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Self {
        Message::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<Cow<'a, str>> for Message<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Message::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Message::Binary(Cow::Borrowed(bytes))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Message::Binary(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Message<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Message::Binary(Cow::Owned(bytes))
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Message::Binary(Cow::Borrowed(bytes))
    }
}

impl<'a> From<Cow<'a, [u8]>> for Message<'a> {
    fn from(bytes: Cow<'a, [u8]>) -> Self {
        Message::Binary(bytes)
    }
}

impl<'a> From<&'a Message<'_>> for Message<'a> {
    fn from(message: &'a Message<'_>) -> Self {
        match message {
            Message::Text(text) => Message::Text(Cow::Borrowed(text)),
            Message::Binary(bytes) => Message::Binary(Cow::Borrowed(bytes)),
        }
    }
}

/// A piece of a message, as it arrived. The pieces of a message follow each other with only pings and pongs
/// between; their concatenation is the message. A piece of text ends on a character's border.
#[derive(Clone)]
pub struct Chunk<'a>(Piece<'a>);

#[derive(Clone)]
enum Piece<'a> {
    Text(Marks, &'a str),
    Binary(Marks, &'a [u8]),
    Character(Marks, InlineChar),
    OwnedText(Marks, Box<str>),
    OwnedBinary(Marks, Box<[u8]>),
}

/// Where in its message a chunk stands.
#[derive(Clone, Copy)]
pub(crate) struct Marks {
    pub(crate) first: bool,
    pub(crate) last: bool,
}

impl<'a> Chunk<'a> {
    pub(crate) fn text(marks: Marks, text: &'a str) -> Self {
        Chunk(Piece::Text(marks, text))
    }

    pub(crate) fn binary(marks: Marks, bytes: &'a [u8]) -> Self {
        Chunk(Piece::Binary(marks, bytes))
    }

    pub(crate) fn character(marks: Marks, character: InlineChar) -> Self {
        Chunk(Piece::Character(marks, character))
    }

    /// Text or binary: the same for all pieces of a message.
    pub fn kind(&self) -> MessageKind {
        match self.0 {
            Piece::Text(..) | Piece::Character(..) | Piece::OwnedText(..) => MessageKind::Text,
            Piece::Binary(..) | Piece::OwnedBinary(..) => MessageKind::Binary,
        }
    }

    /// Whether this is its message's first piece.
    pub fn is_first(&self) -> bool {
        self.marks().first
    }

    /// Whether this is its message's last piece, which may be empty.
    pub fn is_last(&self) -> bool {
        self.marks().last
    }

    /// The text of a piece of a text message.
    pub fn as_text(&self) -> Option<&str> {
        match &self.0 {
            Piece::Text(_, text) => Some(text),
            Piece::Character(_, character) => Some(character.as_str()),
            Piece::OwnedText(_, text) => Some(text),
            Piece::Binary(..) | Piece::OwnedBinary(..) => None,
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Piece::Text(_, text) => text.as_bytes(),
            Piece::Character(_, character) => character.as_str().as_bytes(),
            Piece::OwnedText(_, text) => text.as_bytes(),
            Piece::Binary(_, bytes) => bytes,
            Piece::OwnedBinary(_, bytes) => bytes,
        }
    }

    /// The same piece without a borrow; copies what was borrowed.
    pub fn into_owned(self) -> Chunk<'static> {
        Chunk(match self.0 {
            Piece::Text(marks, text) => Piece::OwnedText(marks, text.into()),
            Piece::Binary(marks, bytes) => Piece::OwnedBinary(marks, bytes.into()),
            Piece::Character(marks, character) => Piece::Character(marks, character),
            Piece::OwnedText(marks, text) => Piece::OwnedText(marks, text),
            Piece::OwnedBinary(marks, bytes) => Piece::OwnedBinary(marks, bytes),
        })
    }

    fn marks(&self) -> Marks {
        match self.0 {
            Piece::Text(marks, _)
            | Piece::Binary(marks, _)
            | Piece::Character(marks, _)
            | Piece::OwnedText(marks, _)
            | Piece::OwnedBinary(marks, _) => marks,
        }
    }
}

impl fmt::Debug for Chunk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("kind", &self.kind())
            .field("len", &self.as_bytes().len())
            .field("first", &self.is_first())
            .field("last", &self.is_last())
            .finish()
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
