//! Messages (RFC 6455 5.6), and the chunks in which they can be received. A payload that is whole in the caller's read
//! buffer is borrowed from it. Other payloads are owned. Nothing borrows from the connection.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};

use crate::utf8::InlineChar;

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

/// A whole message, received or to be sent (RFC 6455 5.6).
///
/// It converts from `&str`, `String`, `&[u8]`, `Vec<u8>`, and their `Cow`s. It also converts from a reference to a
/// message, so that a received message can be sent while it borrows the read buffer. A large owned payload is moved
/// into the queue, not copied.
#[derive(Clone, PartialEq, Eq, Hash)]
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
    /// Returns whether this is text or binary.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        match self {
            Message::Text(_) => MessageKind::Text,
            Message::Binary(_) => MessageKind::Binary,
        }
    }

    /// Returns the text; `None` for a binary message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// Returns the payload.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// Returns the payload. A borrowed payload is copied.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.into_payload().into_owned()
    }

    /// Returns the text, without a check of its UTF-8: it was checked when the message was received or made. A borrowed
    /// text is copied. To keep the borrow, match on [`Message::Text`].
    ///
    /// ```
    /// use websocket_proto::Message;
    ///
    /// assert_eq!(Message::from("Hello").into_text(), Ok(String::from("Hello")));
    /// let binary = Message::from(b"\x00\x01");
    /// assert_eq!(binary.clone().into_text(), Err(binary));
    /// ```
    ///
    /// # Errors
    ///
    /// A binary message is given back.
    pub fn into_text(self) -> Result<String, Message<'a>> {
        match self {
            Message::Text(text) => Ok(text.into_owned()),
            Message::Binary(_) => Err(self),
        }
    }

    /// Returns the payload of a binary message. A borrowed payload is copied. [`into_bytes`](Message::into_bytes)
    /// returns the payload of both kinds.
    ///
    /// # Errors
    ///
    /// A text message is given back.
    pub fn into_binary(self) -> Result<Vec<u8>, Message<'a>> {
        match self {
            Message::Binary(bytes) => Ok(bytes.into_owned()),
            Message::Text(_) => Err(self),
        }
    }

    /// The payload, still owned or borrowed.
    #[inline]
    pub(crate) fn into_payload(self) -> Cow<'a, [u8]> {
        match self {
            Message::Text(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
            Message::Text(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            Message::Binary(bytes) => bytes,
        }
    }

    /// Returns the payload length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the message owned. A borrowed payload is copied.
    #[must_use]
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

/// What the end of a connection has cut: [`Closed::cut`](crate::Closed::cut).
///
/// ```
/// use websocket_proto::{Config, Connection, Cut, Event, Role};
///
/// let mut conn = Connection::from_upgrade(Role::Client, Config::default())?;
/// assert!(conn.receive(&mut &mut b"\x81\x05Hel".clone()[..]).is_none());
/// conn.receive_eof();
/// let Some(Event::Closed(closed)) = conn.poll_event() else { panic!() };
/// assert_eq!(closed.cut(), Some(Cut::Frame));
/// # Ok::<(), websocket_proto::UsageError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cut {
    /// A frame: a part of its header or payload has not arrived.
    Frame,
    /// A message between two of its frames: its last frame has not arrived (RFC 6455 5.4).
    Message,
}

/// A piece of a message, as it arrived. The concatenation of the pieces is the message. Between the pieces of a
/// message, only pings, pongs and the end of the connection are reported. A piece of text ends between two characters.
///
/// Two pieces are equal if their kind, their bytes and their place in the message are: whether one is borrowed does not
/// matter.
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

/// Whether a chunk is the first or the last one of its message.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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

    /// Returns whether this is text or binary. It is the same for all pieces of a message.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        match self.0 {
            Piece::Text(..) | Piece::Character(..) | Piece::OwnedText(..) => MessageKind::Text,
            Piece::Binary(..) | Piece::OwnedBinary(..) => MessageKind::Binary,
        }
    }

    /// Returns whether this is the first piece of its message.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.marks().first
    }

    /// Returns whether this is the last piece of its message, which may be empty.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.marks().last
    }

    /// Returns the text; `None` for a piece of a binary message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.0 {
            Piece::Text(_, text) => Some(text),
            Piece::Character(_, character) => Some(character.as_str()),
            Piece::OwnedText(_, text) => Some(text),
            Piece::Binary(..) | Piece::OwnedBinary(..) => None,
        }
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Piece::Text(_, text) => text.as_bytes(),
            Piece::Character(_, character) => character.as_str().as_bytes(),
            Piece::OwnedText(_, text) => text.as_bytes(),
            Piece::Binary(_, bytes) => bytes,
            Piece::OwnedBinary(_, bytes) => bytes,
        }
    }

    /// Makes the piece owned. Borrowed bytes are copied.
    #[must_use]
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

impl PartialEq for Chunk<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind()
            && self.marks() == other.marks()
            && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Chunk<'_> {}

impl Hash for Chunk<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kind(), self.marks(), self.as_bytes()).hash(state);
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
