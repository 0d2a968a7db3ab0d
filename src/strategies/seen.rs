//! The events of a receiver in a form that can be compared, and the loop that collects them.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::Payload;
use crate::close_code::CloseCode;
use crate::connection::Connection;
use crate::event::{Closed, Event};
use crate::message::MessageKind;

/// An event in the form that generated values expect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// A request for a WebSocket.
    UpgradeRequest,
    /// A plain request.
    PlainRequest,
    /// The client's connection is open.
    Open,
    /// A message, whole or joined from its chunks.
    Message(Payload),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// The body of a refusal, joined from its pieces.
    RefusalBody(Vec<u8>),
    /// The peer's Close, if the caller answers it: its code and reason.
    CloseReceived(CloseCode, Box<str>),
    /// The end.
    Closed(Closed),
}

/// Feeds the pieces to a connection, one after the other, then calls [`poll_event`], and returns all events. Chunks and
/// frames are joined; a message whose last piece does not arrive is left out, so that every
/// [`Delivery`](crate::Delivery) gives the same. With [`Delivery::Frames`](crate::Delivery::Frames), messages must not
/// be compressed. Outgoing bytes are not taken.
///
/// [`poll_event`]: Connection::poll_event
///
/// # Panics
///
/// If `receive` returns `None` before a piece is used up, or if an event follows [`Seen::Closed`]: both are bugs of the
/// connection.
pub fn feed<'p>(conn: &mut Connection, pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<Seen> {
    let mut log = Log::default();
    for piece in pieces {
        let mut copy = piece.to_vec();
        let mut input = &mut copy[..];
        while let Some(event) = conn.receive(&mut input) {
            log.push(event);
        }
        assert!(input.is_empty(), "None means that the input is used up");
    }
    while let Some(event) = conn.poll_event() {
        log.push(event);
    }
    log.seen
}

/// The opcodes that begin a message (RFC 6455 5.2).
const TEXT: u8 = 1;
const BINARY: u8 = 2;

#[derive(Default)]
struct Log {
    seen: Vec<Seen>,
    /// The pieces of a message whose last piece has not arrived.
    pieces: Vec<u8>,
    /// With frames: the kind of the message.
    kind: Option<MessageKind>,
    /// With frames: whether the frame ends the message.
    is_last_frame: bool,
}

impl Log {
    fn push(&mut self, event: Event<'_>) {
        assert!(!matches!(self.seen.last(), Some(Seen::Closed(_))), "{event:?} after the end");
        let seen = match event {
            Event::UpgradeRequest(_) => Seen::UpgradeRequest,
            Event::PlainRequest(_) => Seen::PlainRequest,
            Event::Open(_) => Seen::Open,
            Event::Message(message) => Seen::Message(message.into()),
            Event::Chunk(chunk) => {
                self.pieces.extend_from_slice(chunk.as_bytes());
                if !chunk.is_last() {
                    return;
                }
                self.join(chunk.kind())
            }
            Event::FrameHeader(header) => {
                self.is_last_frame = header.fin;
                let kind = match header.opcode as u8 {
                    TEXT => MessageKind::Text,
                    BINARY => MessageKind::Binary,
                    _ => self.kind.expect("a continuation follows the first frame of its message"),
                };
                self.kind = Some(kind);
                if !header.fin || header.payload_len > 0 {
                    return;
                }
                self.join(kind)
            }
            Event::FramePayload(payload) => {
                self.pieces.extend_from_slice(payload.as_bytes());
                match self.kind {
                    Some(kind) if payload.is_last() && self.is_last_frame => self.join(kind),
                    _ => return,
                }
            }
            Event::Ping(payload) => Seen::Ping(payload.into_owned()),
            Event::Pong(payload) => Seen::Pong(payload.into_owned()),
            Event::RefusalBody(piece) => match self.seen.last_mut() {
                Some(Seen::RefusalBody(body)) => return body.extend_from_slice(&piece),
                _ => Seen::RefusalBody(piece.into_owned()),
            },
            Event::CloseReceived { code, reason } => Seen::CloseReceived(code, reason),
            Event::Closed(closed) => Seen::Closed(closed),
        };
        self.seen.push(seen);
    }

    fn join(&mut self, kind: MessageKind) -> Seen {
        let bytes = core::mem::take(&mut self.pieces);
        Seen::Message(match kind {
            MessageKind::Text => {
                Payload::Text(String::from_utf8(bytes).expect("checked text is UTF-8"))
            }
            MessageKind::Binary => Payload::Binary(bytes),
        })
    }
}
