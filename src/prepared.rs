//! A message that is encoded once and sent on many connections.

use alloc::vec::Vec;
use core::fmt;

use crate::Shared;
use crate::event::{Message, MessageKind};
use crate::frame::{self, FIN, Opcode};

/// A message encoded once, to be sent with [`send_prepared`](crate::Connection::send_prepared) on any number of
/// connections. Servers share its bytes; a client must copy and mask them, as each frame has its own key
/// (RFC 6455 5.3). With permessage-deflate it is compressed once for all connections with the same window. Cloning it
/// shares it.
#[derive(Clone)]
pub struct PreparedMessage(Shared<Prepared>);

struct Prepared {
    kind: MessageKind,
    frame: PreparedFrame,
    /// The same compressed, for windows of 9 to 15 bits.
    #[cfg(feature = "deflate")]
    compressed: [std::sync::OnceLock<PreparedFrame>; 7],
}

/// A whole frame, unmasked.
pub(crate) struct PreparedFrame {
    bytes: Shared<Vec<u8>>,
    header_len: u8,
}

impl PreparedFrame {
    fn new(first: u8, payload: &[u8]) -> PreparedFrame {
        let (header, size) = frame::encode(first, payload.len() as u64, None);
        let mut bytes = Vec::with_capacity(size + payload.len());
        bytes.extend_from_slice(&header[..size]);
        bytes.extend_from_slice(payload);
        PreparedFrame { bytes: Shared::new(bytes), header_len: size as u8 }
    }

    pub(crate) fn bytes(&self) -> &Shared<Vec<u8>> {
        &self.bytes
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[usize::from(self.header_len)..]
    }
}

impl PreparedMessage {
    /// Encodes a message.
    pub fn new<'m>(message: impl Into<Message<'m>>) -> PreparedMessage {
        let message = message.into();
        let kind = message.kind();
        PreparedMessage(Shared::new(Prepared {
            kind,
            frame: PreparedFrame::new(first_byte(kind), message.as_bytes()),
            #[cfg(feature = "deflate")]
            compressed: Default::default(),
        }))
    }

    /// Text or binary.
    pub fn kind(&self) -> MessageKind {
        self.0.kind
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        self.0.frame.payload()
    }

    /// The frame as it is.
    pub(crate) fn frame(&self) -> &PreparedFrame {
        &self.0.frame
    }

    /// The frame compressed with an empty window of 9 to 15 bits; the level is that of who asks first.
    #[cfg(feature = "deflate")]
    pub(crate) fn compressed(&self, window_bits: u8, level: u8) -> &PreparedFrame {
        self.0.compressed[usize::from(window_bits - 9)].get_or_init(|| {
            let payload = crate::deflate::compress_alone(self.payload(), level, window_bits);
            PreparedFrame::new(first_byte(self.kind()) | frame::RSV1, &payload)
        })
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
        write!(f, "Prepared{:?}({} bytes)", self.kind(), self.payload().len())
    }
}
