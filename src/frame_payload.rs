//! The payload of a data frame, in the pieces in which it arrives, for callers that pass frames on or look at them.
//! [`crate::frame`] has the header.

use alloc::boxed::Box;
use core::fmt;
use core::hash::{Hash, Hasher};

/// A piece of a data frame's payload, as it arrived, with [`Delivery::Frames`](crate::Delivery::Frames). It is
/// unmasked, and compressed if its message is. The pieces that follow an
/// [`Event::FrameHeader`](crate::Event::FrameHeader) are the payload of that frame. Between them, only the end of the
/// connection is reported. No piece is empty.
///
/// Two pieces are equal if their bytes and their place in the frame are: whether one is borrowed does not matter.
///
/// ```
/// use websocket_proto::{Config, Connection, Delivery, Event, FrameHeader, Opcode, Role};
///
/// let config = Config::builder().delivery(Delivery::Frames).build().expect("any delivery is allowed");
/// let mut conn = Connection::from_upgrade(Role::Client, config)?;
/// let mut bytes = *b"\x01\x03Hel\x80\x02lo";
/// let mut input = &mut bytes[..];
/// let Some(Event::FrameHeader(header)) = conn.receive(&mut input) else { panic!() };
/// assert_eq!((header.opcode, header.fin, header.payload_len), (Opcode::Text, false, 3));
/// let Some(Event::FramePayload(payload)) = conn.receive(&mut input) else { panic!() };
/// assert!(payload.as_bytes() == b"Hel" && payload.is_last());
/// # Ok::<(), websocket_proto::UsageError>(())
/// ```
#[derive(Clone)]
pub struct FramePayload<'a>(Piece<'a>);

#[derive(Clone)]
enum Piece<'a> {
    Borrowed { is_last: bool, bytes: &'a [u8] },
    Owned { is_last: bool, bytes: Box<[u8]> },
}

impl<'a> FramePayload<'a> {
    pub(crate) fn new(bytes: &'a [u8], is_last: bool) -> FramePayload<'a> {
        FramePayload(Piece::Borrowed { is_last, bytes })
    }

    /// Returns the bytes; at least one.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Piece::Borrowed { bytes, .. } => bytes,
            Piece::Owned { bytes, .. } => bytes,
        }
    }

    /// Returns whether the frame ends with this piece. A frame whose payload is empty has no piece: it ends with its
    /// header.
    #[must_use]
    pub fn is_last(&self) -> bool {
        match self.0 {
            Piece::Borrowed { is_last, .. } | Piece::Owned { is_last, .. } => is_last,
        }
    }

    /// Makes the piece owned. Borrowed bytes are copied.
    #[must_use]
    pub fn into_owned(self) -> FramePayload<'static> {
        FramePayload(match self.0 {
            Piece::Borrowed { is_last, bytes } => Piece::Owned { is_last, bytes: bytes.into() },
            Piece::Owned { is_last, bytes } => Piece::Owned { is_last, bytes },
        })
    }
}

impl PartialEq for FramePayload<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.is_last() == other.is_last() && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for FramePayload<'_> {}

impl Hash for FramePayload<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.is_last(), self.as_bytes()).hash(state);
    }
}

impl fmt::Debug for FramePayload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramePayload")
            .field("len", &self.as_bytes().len())
            .field("last", &self.is_last())
            .finish()
    }
}
