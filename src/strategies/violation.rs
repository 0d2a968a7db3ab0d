//! The rules that a stream can break: the section, the error and the close code of each. `bad_stream.rs` builds streams
//! that break them.

use crate::close_code::CloseCode;
use crate::error::ProtocolError;

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// A client's frame without a mask, or a server's with one (RFC 6455 5.1).
    Masking,
    /// A reserved bit on the first frame of a message that was not negotiated (RFC 6455 5.2).
    ReservedBits,
    /// RSV1 on a continuation (RFC 7692 6.1).
    ReservedBitOnContinuation,
    /// RSV1 on a control frame (RFC 7692 6.1).
    ReservedBitOnControl,
    /// An opcode that is not assigned (RFC 6455 5.2).
    ReservedOpcode,
    /// A control frame without FIN (RFC 6455 5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (RFC 6455 5.5).
    LongControl,
    /// A length that is not in the fewest bytes (RFC 6455 5.2).
    NonMinimalLength,
    /// A 64-bit length with its top bit set (RFC 6455 5.2).
    LengthTopBit,
    /// A continuation with no message open (RFC 6455 5.4).
    UnexpectedContinuation,
    /// A new message inside an unfinished one (RFC 6455 5.4).
    UnfinishedMessage,
    /// Text with a character that is not in the fewest bytes (RFC 6455 8.1, RFC 3629 3).
    Utf8Overlong,
    /// Text with a surrogate (RFC 6455 8.1, RFC 3629 3).
    Utf8Surrogate,
    /// Text with a character above U+10FFFF, or a byte that never occurs in UTF-8 (RFC 6455 8.1, RFC 3629 3).
    Utf8TooHigh,
    /// Text with a character that is interrupted by another one (RFC 6455 8.1).
    Utf8Interrupted,
    /// Text with a continuation byte that follows no first byte (RFC 6455 8.1).
    Utf8StrayContinuation,
    /// Text that ends in the middle of a character (RFC 6455 8.1).
    Utf8Truncated,
    /// A Close body of one byte (RFC 6455 5.5.1).
    CloseTooShort,
    /// A close code that must not be on the wire (RFC 6455 7.4).
    CloseCode,
    /// A close reason that is not UTF-8 (RFC 6455 5.5.1).
    CloseReason,
    /// A frame over the limit (RFC 6455 10.4).
    FrameTooBig,
    /// A message over the limit (RFC 6455 10.4).
    MessageTooBig,
    /// A message of too many frames (RFC 6455 10.4).
    TooManyFragments,
    /// A compressed message with a block of the reserved type (RFC 7692 6.2, RFC 1951 3.2.3).
    DeflateBlockType,
    /// A compressed message with a stored block whose two lengths contradict each other (RFC 7692 6.2, RFC 1951 3.2.4).
    DeflateStoredLength,
    /// A compressed message that ends in the middle of a block (RFC 7692 7.2.2).
    DeflateTruncated,
    /// A compressed message of no bytes (RFC 7692 7.2.3.6).
    DeflateEmpty,
}

impl Violation {
    /// All of them.
    pub const ALL: &[Violation] = &[
        Violation::Masking,
        Violation::ReservedBits,
        Violation::ReservedBitOnContinuation,
        Violation::ReservedBitOnControl,
        Violation::ReservedOpcode,
        Violation::FragmentedControl,
        Violation::LongControl,
        Violation::NonMinimalLength,
        Violation::LengthTopBit,
        Violation::UnexpectedContinuation,
        Violation::UnfinishedMessage,
        Violation::Utf8Overlong,
        Violation::Utf8Surrogate,
        Violation::Utf8TooHigh,
        Violation::Utf8Interrupted,
        Violation::Utf8StrayContinuation,
        Violation::Utf8Truncated,
        Violation::CloseTooShort,
        Violation::CloseCode,
        Violation::CloseReason,
        Violation::FrameTooBig,
        Violation::MessageTooBig,
        Violation::TooManyFragments,
        Violation::DeflateBlockType,
        Violation::DeflateStoredLength,
        Violation::DeflateTruncated,
        Violation::DeflateEmpty,
    ];

    /// The section with the rule.
    pub fn rfc_section(self) -> &'static str {
        use Violation as V;
        match self {
            V::Masking => "RFC 6455 5.1",
            V::ReservedBits | V::ReservedOpcode | V::NonMinimalLength | V::LengthTopBit => {
                "RFC 6455 5.2"
            }
            V::UnexpectedContinuation | V::UnfinishedMessage => "RFC 6455 5.4",
            V::FragmentedControl | V::LongControl => "RFC 6455 5.5",
            V::CloseTooShort | V::CloseReason => "RFC 6455 5.5.1",
            V::CloseCode => "RFC 6455 7.4",
            V::Utf8Overlong
            | V::Utf8Surrogate
            | V::Utf8TooHigh
            | V::Utf8Interrupted
            | V::Utf8StrayContinuation
            | V::Utf8Truncated => "RFC 6455 8.1",
            V::FrameTooBig | V::MessageTooBig | V::TooManyFragments => "RFC 6455 10.4",
            V::ReservedBitOnContinuation | V::ReservedBitOnControl => "RFC 7692 6.1",
            V::DeflateBlockType | V::DeflateStoredLength => "RFC 7692 6.2",
            V::DeflateTruncated => "RFC 7692 7.2.2",
            V::DeflateEmpty => "RFC 7692 7.2.3.6",
        }
    }

    /// The code of the Close frame that must answer it (RFC 6455 7.4.1).
    pub fn close_code(self) -> CloseCode {
        use Violation as V;
        CloseCode::new(match self {
            V::Masking
            | V::ReservedBits
            | V::ReservedBitOnContinuation
            | V::ReservedBitOnControl
            | V::ReservedOpcode
            | V::FragmentedControl
            | V::LongControl
            | V::NonMinimalLength
            | V::LengthTopBit
            | V::UnexpectedContinuation
            | V::UnfinishedMessage
            | V::CloseTooShort
            | V::CloseCode => 1002,
            V::Utf8Overlong
            | V::Utf8Surrogate
            | V::Utf8TooHigh
            | V::Utf8Interrupted
            | V::Utf8StrayContinuation
            | V::Utf8Truncated
            | V::CloseReason
            | V::DeflateBlockType
            | V::DeflateStoredLength
            | V::DeflateTruncated
            | V::DeflateEmpty => 1007,
            V::TooManyFragments => 1008,
            V::FrameTooBig | V::MessageTooBig => 1009,
        })
    }

    /// Whether an error is of the kind that this violation must lead to. [`BadStream::error`](super::BadStream::error)
    /// is the exact error.
    pub fn matches(self, error: &ProtocolError) -> bool {
        use ProtocolError as E;
        use Violation as V;
        match self {
            V::Masking => matches!(error, E::UnmaskedFrame | E::MaskedFrame),
            V::ReservedBits | V::ReservedBitOnContinuation | V::ReservedBitOnControl => {
                matches!(error, E::ReservedBits { .. })
            }
            V::ReservedOpcode => matches!(error, E::ReservedOpcode { .. }),
            V::FragmentedControl => matches!(error, E::FragmentedControl { .. }),
            V::LongControl => matches!(error, E::ControlTooLong { .. }),
            V::NonMinimalLength => matches!(error, E::NonMinimalLength),
            V::LengthTopBit => matches!(error, E::LengthOutOfRange),
            V::UnexpectedContinuation => matches!(error, E::UnexpectedContinuation),
            V::UnfinishedMessage => matches!(error, E::UnfinishedMessage),
            V::Utf8Overlong
            | V::Utf8Surrogate
            | V::Utf8TooHigh
            | V::Utf8Interrupted
            | V::Utf8StrayContinuation
            | V::Utf8Truncated => matches!(error, E::InvalidUtf8),
            V::CloseTooShort => matches!(error, E::CloseTooShort),
            V::CloseCode => matches!(error, E::InvalidCloseCode { .. }),
            V::CloseReason => matches!(error, E::InvalidCloseReason),
            V::FrameTooBig => matches!(error, E::FrameTooBig { .. }),
            V::MessageTooBig => matches!(error, E::MessageTooBig { .. }),
            V::TooManyFragments => matches!(error, E::TooManyFragments { .. }),
            V::DeflateBlockType
            | V::DeflateStoredLength
            | V::DeflateTruncated
            | V::DeflateEmpty => matches!(error, E::InvalidDeflate),
        }
    }

    pub(super) fn is_in_utf8(self) -> bool {
        self.matches(&ProtocolError::InvalidUtf8)
    }

    pub(super) fn is_in_deflate(self) -> bool {
        self.matches(&ProtocolError::InvalidDeflate)
    }
}
