//! What a receiver reports, in a form that can be compared, and the loop that gathers it.

use alloc::string::String;
use alloc::vec::Vec;

use super::Payload;
use crate::connection::Connection;
use crate::event::{Closed, Event};
use crate::message::MessageKind;

/// An event, as the generated values expect it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seen {
    /// A request for a WebSocket was shown.
    UpgradeRequest,
    /// Another request was shown.
    PlainRequest,
    /// A client's connection is open.
    Open,
    /// A message, whole or put together from its chunks.
    Message(Payload),
    /// A ping.
    Ping(Vec<u8>),
    /// A pong.
    Pong(Vec<u8>),
    /// The end.
    Closed(Closed),
}

/// Gives the pieces to a connection, one after the other, and returns what it reports, [`poll_event`] at the end
/// included. Chunks are put together; a message whose last chunk does not come is left out, so that the same is
/// expected with either [`Delivery`](crate::Delivery). What is outgoing stays there.
///
/// [`poll_event`]: Connection::poll_event
///
/// # Panics
///
/// If bytes are left of a piece although `receive` returned `None`, or anything is reported after the end: the
/// connection is broken then.
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

#[derive(Default)]
struct Log {
    seen: Vec<Seen>,
    /// The chunks of a message whose last has not come.
    chunks: Vec<u8>,
}

impl Log {
    fn push(&mut self, event: Event<'_>) {
        assert!(!matches!(self.seen.last(), Some(Seen::Closed(_))), "{event:?} after the end");
        self.seen.push(match event {
            Event::UpgradeRequest(_) => Seen::UpgradeRequest,
            Event::PlainRequest(_) => Seen::PlainRequest,
            Event::Open(_) => Seen::Open,
            Event::Message(message) => Seen::Message(message.into()),
            Event::Chunk(chunk) => {
                self.chunks.extend_from_slice(chunk.as_bytes());
                if !chunk.is_last() {
                    return;
                }
                let bytes = core::mem::take(&mut self.chunks);
                Seen::Message(match chunk.kind() {
                    MessageKind::Text => {
                        Payload::Text(String::from_utf8(bytes).expect("chunks of text are UTF-8"))
                    }
                    MessageKind::Binary => Payload::Binary(bytes),
                })
            }
            Event::Ping(payload) => Seen::Ping(payload.into_owned()),
            Event::Pong(payload) => Seen::Pong(payload.into_owned()),
            Event::Closed(closed) => Seen::Closed(*closed),
        });
    }
}
