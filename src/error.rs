//! Errors, by who made the mistake: [`UsageError`] is the caller's, [`ProtocolError`] the peer's. A usage error is
//! returned and changes nothing. A protocol error ends the connection and is reported in its last event. The close code
//! that answers it is decided here, in one match.

use core::fmt;

use crate::close_code::CloseCode;
#[cfg(feature = "deflate")]
use crate::deflate::DeflateFault;
use crate::entropy::EntropyError;
use crate::handshake::{HandshakeError, UriError};
use crate::state::State;

/// A call that is wrong at this moment, or that cannot be carried out. It has changed nothing.
///
/// It is small, `Copy` and `'static`, so that `?` works while a message is borrowed. With the feature `std` it converts
/// into [`std::io::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UsageError {
    /// Messages can be sent in the open state only (RFC 6455 6.1), pings and pongs until the connection is closed.
    NotOpen(State),
    /// No request waits for this answer.
    NoRequestPending,
    /// The payload of a ping or pong is at most 125 bytes (RFC 6455 5.5).
    ControlTooLong {
        /// Payload length in bytes.
        len: usize,
    },
    /// A close reason is at most 123 bytes of UTF-8 (RFC 6455 5.5). [`cut_close_reason`](crate::cut_close_reason)
    /// shortens one.
    CloseReasonTooLong {
        /// Length in bytes.
        len: usize,
    },
    /// This close code must not be sent, or not by this role (RFC 6455 7.4).
    CloseCodeNotSendable(CloseCode),
    /// The queue would exceed [`Config::max_outgoing_bytes`](crate::Config::max_outgoing_bytes).
    BufferFull {
        /// Bytes that the queue would hold.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// A message is unfinished that is sent in fragments, or in a frame whose payload is sent in pieces. It must be
    /// finished before another one is started (RFC 6455 5.4).
    MessageUnfinished,
    /// A fragment is not of the kind of the first fragment of its message (RFC 6455 5.4). Or the connection compresses
    /// one of them, and the caller the other.
    FragmentKindChanged,
    /// A frame that [`begin_frame`](crate::Connection::begin_frame) has begun is unfinished. No further frame can be
    /// sent before the rest of its payload (RFC 6455 5.2).
    FrameUnfinished {
        /// Bytes of the payload that are missing.
        left: u64,
    },
    /// More payload than the unfinished frame lacks, or no frame is unfinished.
    PayloadTooLong {
        /// Length in bytes.
        len: usize,
        /// Bytes of the payload that the frame lacks; 0 if no frame is unfinished.
        left: u64,
    },
    /// A frame with this header cannot be sent now: a control frame; a continuation of no message (RFC 6455 5.4); a
    /// reserved bit other than RSV1 on the first frame of a message where permessage-deflate was agreed (RFC 7692 6); a
    /// payload of 2^63 bytes or more (RFC 6455 5.2), or of more than
    /// [`max_outgoing_frame_bytes`](crate::Config::max_outgoing_frame_bytes).
    InvalidFrameHeader,
    /// A fragment that must not be compressed continues a message that may be compressed (RFC 7692 6.1). Begin the
    /// message with `send_uncompressed_fragment`.
    FragmentCompressionChanged,
    /// Text must be UTF-8 (RFC 6455 5.6).
    InvalidUtf8,
    /// Not a usable `ws` or `wss` URI (RFC 6455 3).
    Uri(UriError),
    /// A header's name is not a token (RFC 9110 5.6.2).
    InvalidHeaderName,
    /// A header's value has a control character, or white space at its ends (RFC 9110 5.5).
    InvalidHeaderValue,
    /// The handshake writes this header itself, or it would break the handshake.
    ReservedHeader,
    /// A subprotocol's name is not a token (RFC 6455 4.1).
    InvalidSubprotocol,
    /// A subprotocol was listed twice (RFC 6455 4.1).
    DuplicateSubprotocol,
    /// The client did not offer this subprotocol (RFC 6455 4.2.2).
    SubprotocolNotOffered,
    /// The status is not that of a final response, 200 to 599.
    InvalidStatus(u16),
    /// The source of masking keys and nonces failed.
    Entropy(EntropyError),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::NotOpen(state) => write!(f, "connection is {state}, sending needs it open"),
            UsageError::NoRequestPending => f.write_str("no request is waiting for this answer"),
            UsageError::ControlTooLong { len } => {
                write!(f, "control frame payload is {len} bytes, limit is 125")
            }
            UsageError::CloseReasonTooLong { len } => {
                write!(f, "close reason is {len} bytes, limit is 123")
            }
            UsageError::CloseCodeNotSendable(code) => {
                write!(f, "close code {code} must not be sent")
            }
            UsageError::BufferFull { needed, limit } => {
                write!(f, "outgoing queue would hold {needed} bytes, limit is {limit}")
            }
            UsageError::MessageUnfinished => f.write_str("a fragmented message is unfinished"),
            UsageError::FragmentKindChanged => {
                f.write_str("fragment is not of the kind of the message's first")
            }
            UsageError::FrameUnfinished { left } => {
                write!(f, "a frame is unfinished, its payload lacks {left} bytes")
            }
            UsageError::PayloadTooLong { len, left } => {
                write!(f, "payload is {len} bytes, the unfinished frame lacks {left}")
            }
            UsageError::InvalidFrameHeader => {
                f.write_str("a frame with this header cannot be sent now")
            }
            UsageError::FragmentCompressionChanged => {
                f.write_str("message was begun by a call that may compress it")
            }
            UsageError::InvalidUtf8 => f.write_str("text is not UTF-8"),
            UsageError::Uri(error) => error.fmt(f),
            UsageError::InvalidHeaderName => f.write_str("header name is not a token"),
            UsageError::InvalidHeaderValue => f.write_str("header value is not allowed"),
            UsageError::ReservedHeader => f.write_str("header is written by the handshake itself"),
            UsageError::InvalidSubprotocol => f.write_str("subprotocol is not a token"),
            UsageError::DuplicateSubprotocol => f.write_str("subprotocol is listed twice"),
            UsageError::SubprotocolNotOffered => f.write_str("subprotocol was not offered"),
            UsageError::InvalidStatus(status) => {
                write!(f, "status {status} is not that of a final response, 200 to 599")
            }
            UsageError::Entropy(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for UsageError {}

impl From<UriError> for UsageError {
    fn from(error: UriError) -> Self {
        UsageError::Uri(error)
    }
}

impl From<EntropyError> for UsageError {
    fn from(error: EntropyError) -> Self {
        UsageError::Entropy(error)
    }
}

#[cfg(any(feature = "std", feature = "tokio"))]
impl From<UsageError> for std::io::Error {
    fn from(error: UsageError) -> Self {
        use std::io::ErrorKind;
        let kind = match error {
            UsageError::NotOpen(_) => ErrorKind::NotConnected,
            UsageError::BufferFull { .. } => ErrorKind::QuotaExceeded,
            UsageError::Entropy(_) => ErrorKind::Other,
            _ => ErrorKind::InvalidInput,
        };
        std::io::Error::new(kind, error)
    }
}

#[cfg(feature = "std")]
impl From<UriError> for std::io::Error {
    fn from(error: UriError) -> Self {
        UsageError::Uri(error).into()
    }
}

#[cfg(feature = "std")]
impl From<EntropyError> for std::io::Error {
    fn from(error: EntropyError) -> Self {
        UsageError::Entropy(error).into()
    }
}

#[cfg(feature = "std")]
impl From<HandshakeError> for std::io::Error {
    fn from(error: HandshakeError) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// What the peer did wrong. It ends the connection, and is reported in [`Closed`](crate::Closed).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit that no negotiated extension defines is set (RFC 6455 5.2).
    ReservedBits {
        /// The frame's first byte.
        first_byte: u8,
    },
    /// An opcode that is not assigned (RFC 6455 5.2).
    ReservedOpcode {
        /// The opcode, 3 to 7 or 11 to 15.
        opcode: u8,
    },
    /// A client's frame was not masked (RFC 6455 5.1), and
    /// [`Config::accept_unmasked_frames`](crate::Config::accept_unmasked_frames) is off.
    UnmaskedFrame,
    /// A server's frame was masked (RFC 6455 5.1).
    MaskedFrame,
    /// A control frame without FIN (RFC 6455 5.5).
    FragmentedControl {
        /// The opcode, 8 to 10.
        opcode: u8,
    },
    /// A control frame of more than 125 bytes (RFC 6455 5.5).
    ControlTooLong {
        /// The opcode, 8 to 10.
        opcode: u8,
    },
    /// A length that is not in the fewest bytes (RFC 6455 5.2).
    NonMinimalLength,
    /// A 64-bit length with its top bit set (RFC 6455 5.2).
    LengthOutOfRange,
    /// A continuation frame with no message open (RFC 6455 5.4).
    UnexpectedContinuation,
    /// A new message inside an unfinished one (RFC 6455 5.4).
    UnfinishedMessage,
    /// A frame over [`Config::max_frame_bytes`](crate::Config::max_frame_bytes); the limit of a compressed frame is an
    /// eighth and 1 KiB higher.
    FrameTooBig {
        /// The least length in bytes that it can have, by what has arrived.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A message over [`Config::max_message_bytes`](crate::Config::max_message_bytes).
    MessageTooBig {
        /// The least length in bytes that it can have, by what has arrived.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A message of more frames than [`Config::max_fragments`](crate::Config::max_fragments).
    TooManyFragments {
        /// The limit in frames.
        limit: u32,
    },
    /// More final DEFLATE blocks than `Deflate::max_final_blocks` allows, plus one for every 256 compressed bytes (RFC
    /// 7692 7.2.3.4).
    TooManyFinalBlocks {
        /// The limit in blocks when it was exceeded.
        limit: u64,
    },
    /// A text message that is not UTF-8 (RFC 6455 8.1).
    InvalidUtf8,
    /// A compressed message that is not a DEFLATE stream, or ends in the middle of a block (RFC 7692 7.2.2).
    InvalidDeflate,
    /// A Close frame of one byte (RFC 6455 5.5.1).
    CloseTooShort,
    /// A close code that must not be on the wire (RFC 6455 7.4).
    InvalidCloseCode {
        /// The code. If its high byte already decided, the low byte is 0.
        code: u16,
    },
    /// A close reason that is not UTF-8 (RFC 6455 5.5.1).
    InvalidCloseReason,
    /// The opening handshake failed.
    Handshake(HandshakeError),
}

impl ProtocolError {
    /// The code of the Close frame that answers this error; `None` for a failed handshake, which has no Close frame
    /// (RFC 6455 7.1.7, 7.2.2).
    #[must_use]
    pub fn close_code(&self) -> Option<CloseCode> {
        Some(match self {
            ProtocolError::ReservedBits { .. }
            | ProtocolError::ReservedOpcode { .. }
            | ProtocolError::UnmaskedFrame
            | ProtocolError::MaskedFrame
            | ProtocolError::FragmentedControl { .. }
            | ProtocolError::ControlTooLong { .. }
            | ProtocolError::NonMinimalLength
            | ProtocolError::LengthOutOfRange
            | ProtocolError::UnexpectedContinuation
            | ProtocolError::UnfinishedMessage
            | ProtocolError::CloseTooShort
            | ProtocolError::InvalidCloseCode { .. } => CloseCode::PROTOCOL_ERROR,
            ProtocolError::InvalidUtf8
            | ProtocolError::InvalidDeflate
            | ProtocolError::InvalidCloseReason => CloseCode::INVALID_PAYLOAD,
            ProtocolError::FrameTooBig { .. } | ProtocolError::MessageTooBig { .. } => {
                CloseCode::TOO_BIG
            }
            ProtocolError::TooManyFragments { .. } | ProtocolError::TooManyFinalBlocks { .. } => {
                CloseCode::POLICY_VIOLATION
            }
            ProtocolError::Handshake(_) => return None,
        })
    }

    /// The section with the rule that was broken, such as `RFC 6455 5.1`; for a limit, the section that allows limits.
    /// It is meant for logs and error pages.
    #[must_use]
    pub fn rfc_section(&self) -> &'static str {
        match self {
            ProtocolError::UnmaskedFrame | ProtocolError::MaskedFrame => "RFC 6455 5.1",
            ProtocolError::ReservedBits { .. }
            | ProtocolError::ReservedOpcode { .. }
            | ProtocolError::NonMinimalLength
            | ProtocolError::LengthOutOfRange => "RFC 6455 5.2",
            ProtocolError::UnexpectedContinuation | ProtocolError::UnfinishedMessage => {
                "RFC 6455 5.4"
            }
            ProtocolError::FragmentedControl { .. } | ProtocolError::ControlTooLong { .. } => {
                "RFC 6455 5.5"
            }
            ProtocolError::CloseTooShort | ProtocolError::InvalidCloseReason => "RFC 6455 5.5.1",
            ProtocolError::InvalidCloseCode { .. } => "RFC 6455 7.4",
            ProtocolError::InvalidUtf8 => "RFC 6455 8.1",
            ProtocolError::FrameTooBig { .. }
            | ProtocolError::MessageTooBig { .. }
            | ProtocolError::TooManyFragments { .. }
            | ProtocolError::TooManyFinalBlocks { .. } => "RFC 6455 10.4",
            ProtocolError::InvalidDeflate => "RFC 7692 7.2.2",
            ProtocolError::Handshake(error) => error.rfc_section(),
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolError::ReservedBits { first_byte } => {
                write!(f, "reserved bits are set in first byte {first_byte:#04x}")
            }
            ProtocolError::ReservedOpcode { opcode } => write!(f, "opcode {opcode:#x} is reserved"),
            ProtocolError::UnmaskedFrame => f.write_str("client's frame is not masked"),
            ProtocolError::MaskedFrame => f.write_str("server's frame is masked"),
            ProtocolError::FragmentedControl { opcode } => {
                write!(f, "control frame {opcode:#x} is fragmented")
            }
            ProtocolError::ControlTooLong { opcode } => {
                write!(f, "control frame {opcode:#x} is over 125 bytes")
            }
            ProtocolError::NonMinimalLength => f.write_str("length is not in its shortest form"),
            ProtocolError::LengthOutOfRange => f.write_str("64-bit length has its top bit set"),
            ProtocolError::UnexpectedContinuation => {
                f.write_str("continuation with no message open")
            }
            ProtocolError::UnfinishedMessage => f.write_str("new message inside an unfinished one"),
            ProtocolError::FrameTooBig { len, limit } => {
                write!(f, "frame is at least {len} bytes, limit is {limit}")
            }
            ProtocolError::MessageTooBig { len, limit } => {
                write!(f, "message is at least {len} bytes, limit is {limit}")
            }
            ProtocolError::TooManyFragments { limit } => {
                write!(f, "message has more fragments than the limit of {limit}")
            }
            ProtocolError::TooManyFinalBlocks { limit } => {
                write!(f, "compressed bytes have more final blocks than the limit of {limit}")
            }
            ProtocolError::InvalidUtf8 => f.write_str("text is not UTF-8"),
            ProtocolError::InvalidDeflate => f.write_str("compressed message is not valid DEFLATE"),
            ProtocolError::CloseTooShort => f.write_str("close payload is 1 byte, a code needs 2"),
            ProtocolError::InvalidCloseCode { code } => {
                write!(f, "close code {code} is not allowed")
            }
            ProtocolError::InvalidCloseReason => f.write_str("close reason is not UTF-8"),
            ProtocolError::Handshake(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ProtocolError {}

impl From<HandshakeError> for ProtocolError {
    fn from(error: HandshakeError) -> Self {
        ProtocolError::Handshake(error)
    }
}

#[cfg(feature = "deflate")]
impl From<DeflateFault> for ProtocolError {
    fn from(fault: DeflateFault) -> Self {
        match fault {
            DeflateFault::Invalid => ProtocolError::InvalidDeflate,
            DeflateFault::TooManyFinalBlocks { limit } => {
                ProtocolError::TooManyFinalBlocks { limit }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HandshakeError as H;
    use ProtocolError as P;

    #[test]
    fn each_error_names_the_section_of_its_rule() {
        let rows = [
            (P::ReservedBits { first_byte: 0xf1 }, "RFC 6455 5.2"),
            (P::ReservedOpcode { opcode: 3 }, "RFC 6455 5.2"),
            (P::UnmaskedFrame, "RFC 6455 5.1"),
            (P::MaskedFrame, "RFC 6455 5.1"),
            (P::FragmentedControl { opcode: 9 }, "RFC 6455 5.5"),
            (P::ControlTooLong { opcode: 9 }, "RFC 6455 5.5"),
            (P::NonMinimalLength, "RFC 6455 5.2"),
            (P::LengthOutOfRange, "RFC 6455 5.2"),
            (P::UnexpectedContinuation, "RFC 6455 5.4"),
            (P::UnfinishedMessage, "RFC 6455 5.4"),
            (P::FrameTooBig { len: 2, limit: 1 }, "RFC 6455 10.4"),
            (P::MessageTooBig { len: 2, limit: 1 }, "RFC 6455 10.4"),
            (P::TooManyFragments { limit: 1 }, "RFC 6455 10.4"),
            (P::TooManyFinalBlocks { limit: 1 }, "RFC 6455 10.4"),
            (P::InvalidUtf8, "RFC 6455 8.1"),
            (P::InvalidDeflate, "RFC 7692 7.2.2"),
            (P::CloseTooShort, "RFC 6455 5.5.1"),
            (P::InvalidCloseCode { code: 999 }, "RFC 6455 7.4"),
            (P::InvalidCloseReason, "RFC 6455 5.5.1"),
            (H::NotHttp { byte: 0x16 }.into(), "RFC 9112 2.1"),
            (H::RequestLine.into(), "RFC 9112 3"),
            (H::StatusLine.into(), "RFC 9112 4"),
            (H::HttpVersion { major: 1, minor: 0 }.into(), "RFC 6455 4.2.1"),
            (H::BareLineFeed { at: 0 }.into(), "RFC 9112 2.2"),
            (H::InvalidHeaderName.into(), "RFC 9112 5"),
            (H::InvalidHeaderValue.into(), "RFC 9110 5.5"),
            (H::FirstLineTooLong { limit: 1 }.into(), "RFC 9110 15.5.15"),
            (H::HeadTooLong { limit: 1 }.into(), "RFC 6585 5"),
            (H::TooManyHeaders { limit: 1 }.into(), "RFC 6585 5"),
            (H::Method.into(), "RFC 6455 4.2.1"),
            (H::Version { seen: None }.into(), "RFC 6455 4.4"),
            (H::DuplicateVersion.into(), "RFC 6455 11.3.5"),
            (H::ConnectionNotUpgrade.into(), "RFC 6455 4.1"),
            (H::UpgradeNotWebSocket.into(), "RFC 6455 4.1"),
            (H::InvalidTarget.into(), "RFC 6455 4.2.1"),
            (H::MissingHost.into(), "RFC 6455 4.2.1"),
            (H::DuplicateHost.into(), "RFC 9112 3.2"),
            (H::InvalidHost.into(), "RFC 9112 3.2"),
            (H::MissingKey.into(), "RFC 6455 4.2.1"),
            (H::DuplicateKey.into(), "RFC 6455 11.3.1"),
            (H::InvalidKey { len: 1 }.into(), "RFC 6455 4.2.1"),
            (H::Body.into(), "RFC 9112 6.3"),
            (H::InvalidSubprotocol.into(), "RFC 6455 4.3"),
            (H::DuplicateSubprotocol { name: "a".into() }.into(), "RFC 6455 4.1"),
            (H::InvalidExtensions.into(), "RFC 6455 9.1"),
            (H::MissingAccept.into(), "RFC 6455 4.1"),
            (H::DuplicateAccept.into(), "RFC 6455 11.3.3"),
            (H::WrongAccept.into(), "RFC 6455 4.1"),
            (H::SeveralSubprotocols.into(), "RFC 6455 11.3.4"),
            (H::SubprotocolNotOffered { name: "a".into() }.into(), "RFC 6455 4.1"),
            (H::SubprotocolMissing.into(), "RFC 6455 4.1"),
            (H::ExtensionNotOffered { name: "a".into() }.into(), "RFC 6455 4.1"),
            (H::ExtensionParameters.into(), "RFC 6455 9.1"),
            (H::ExtensionMissing.into(), "RFC 6455 7.4.1"),
            (H::TooManyEarlyBytes { limit: 1 }.into(), "RFC 6455 10.4"),
            (H::TooManyInterimResponses { limit: 1 }.into(), "RFC 9110 15.2"),
            (H::InvalidExtendedConnect.into(), "RFC 8441 4"),
            (H::OtherProtocol.into(), "RFC 9220 3"),
            (H::Status { status: 404 }.into(), "RFC 8441 5"),
        ];
        for (error, section) in rows {
            assert_eq!(error.rfc_section(), section, "{error:?}");
        }
        // Only a handshake makes a refusal.
        let config = crate::Config::builder().entropy(crate::Entropy::Seed(1)).build().unwrap();
        let request = crate::ClientRequest::new("ws://example.com/").expect("a good URI");
        let mut conn = crate::Connection::client(&request, config).expect("a seed cannot fail");
        let mut response = *b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        match conn.receive(&mut &mut response[..]) {
            Some(crate::Event::Closed(closed)) => match closed.into_cause() {
                crate::CloseCause::Protocol(error @ P::Handshake(H::Refused(_))) => {
                    assert_eq!(error.rfc_section(), "RFC 6455 4.1");
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}
