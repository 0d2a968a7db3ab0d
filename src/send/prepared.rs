//! A message that is encoded once and sent on many connections.

use alloc::vec::Vec;
use core::fmt;

use crate::Shared;
use crate::frame::{self, FirstByte};
use crate::message::{Message, MessageKind};

/// A message that is encoded once and sent with [`send_prepared`](crate::Connection::send_prepared) on any number of
/// connections. Servers share its bytes. A client must copy and mask them, since each frame has its own key (RFC 6455
/// 5.3). A connection whose [`Config::max_outgoing_frame_bytes`](crate::Config::max_outgoing_frame_bytes) is less than
/// the payload copies the bytes and cuts them into frames. Clones share the same memory.
///
/// With permessage-deflate the message is compressed when it is first sent, once for all connections with the same
/// window size. It is compressed at a level of its own by a new compressor. So its bytes do not depend on the
/// connection, nor on earlier messages. The compressor takes up to 372 KiB while it works.
#[derive(Clone)]
pub struct PreparedMessage(Shared<Prepared>);

struct Prepared {
    kind: MessageKind,
    frame: PreparedFrame,
    /// The level of compression, 0 to 9.
    #[cfg(feature = "deflate")]
    level: u8,
    /// The compressed frame, for each window of 9 to 15 bits.
    #[cfg(feature = "deflate")]
    compressed: [std::sync::OnceLock<PreparedFrame>; 7],
}

/// A whole frame, unmasked.
pub(crate) struct PreparedFrame {
    bytes: Shared<Vec<u8>>,
    header_len: u8,
}

impl PreparedFrame {
    fn new(first: FirstByte, payload: &[u8]) -> PreparedFrame {
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
    /// Encodes a message. If it is compressed, the level is 6, the default of `Deflate`.
    pub fn new<'m>(message: impl Into<Message<'m>>) -> PreparedMessage {
        let message = message.into();
        let kind = message.kind();
        PreparedMessage(Shared::new(Prepared {
            kind,
            frame: PreparedFrame::new(first_byte(kind), message.as_bytes()),
            #[cfg(feature = "deflate")]
            level: crate::deflate::Deflate::default().level,
            #[cfg(feature = "deflate")]
            compressed: Default::default(),
        }))
    }

    /// Encodes a message that is compressed at `level`, 1 to 9, or stored at 0 (`Deflate::level`). The level of the
    /// connections that send it does not matter. A value above 9 is taken as 9.
    #[cfg(feature = "deflate")]
    pub fn with_level<'m>(message: impl Into<Message<'m>>, level: u8) -> PreparedMessage {
        let mut prepared = PreparedMessage::new(message);
        Shared::get_mut(&mut prepared.0).expect("it was just made").level = level.min(9);
        prepared
    }

    /// Returns whether this is text or binary.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.0.kind
    }

    /// Returns the payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.0.frame.payload()
    }

    /// The frame without compression.
    pub(crate) fn frame(&self) -> &PreparedFrame {
        &self.0.frame
    }

    /// The frame compressed with an empty window of 9 to 15 bits.
    #[cfg(feature = "deflate")]
    pub(crate) fn compressed(&self, window_bits: u8) -> &PreparedFrame {
        self.0.compressed[usize::from(window_bits - 9)].get_or_init(|| {
            let payload = crate::deflate::compress_alone(self.payload(), self.0.level, window_bits);
            PreparedFrame::new(first_byte(self.kind()).with_rsv1(), &payload)
        })
    }
}

/// The first byte of an unfragmented message (RFC 6455 5.4).
#[inline]
pub(crate) const fn first_byte(kind: MessageKind) -> FirstByte {
    match kind {
        MessageKind::Text => FirstByte::FINAL_TEXT,
        MessageKind::Binary => FirstByte::FINAL_BINARY,
    }
}

impl fmt::Debug for PreparedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prepared{:?}({} bytes)", self.kind(), self.payload().len())
    }
}
