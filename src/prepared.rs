//! A message that is encoded once and sent on many connections.

use alloc::vec::Vec;
use core::fmt;

use crate::Shared;
use crate::event::{Message, MessageKind};
use crate::frame::{self, FIN, Opcode};

/// A message encoded once, to be sent with [`send_prepared`](crate::Connection::send_prepared) on any number of
/// connections. Servers share its bytes; a client must copy and mask them, as each frame has its own key
/// (RFC 6455 5.3). Cloning it shares it.
#[derive(Clone)]
pub struct PreparedMessage {
    kind: MessageKind,
    frame: Shared<Vec<u8>>,
    header_len: u8,
}

impl PreparedMessage {
    /// Encodes a message.
    pub fn new<'m>(message: impl Into<Message<'m>>) -> PreparedMessage {
        let message = message.into();
        let payload = message.as_bytes();
        let (header, size) = frame::encode(first_byte(message.kind()), payload.len() as u64, None);
        let mut frame = Vec::with_capacity(size + payload.len());
        frame.extend_from_slice(&header[..size]);
        frame.extend_from_slice(payload);
        PreparedMessage { kind: message.kind(), frame: Shared::new(frame), header_len: size as u8 }
    }

    /// Text or binary.
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.frame[usize::from(self.header_len)..]
    }

    /// The whole frame, unmasked.
    pub(crate) fn frame(&self) -> &Shared<Vec<u8>> {
        &self.frame
    }
}

/// The first byte of an unfragmented message (RFC 6455 5.4).
#[inline]
pub(crate) fn first_byte(kind: MessageKind) -> u8 {
    FIN | match kind {
        MessageKind::Text => Opcode::Text as u8,
        MessageKind::Binary => Opcode::Binary as u8,
    }
}

impl fmt::Debug for PreparedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prepared{:?}({} bytes)", self.kind, self.payload().len())
    }
}
