//! Settings of the generated streams: the receiver's role, their length, the limits, and which rules can be broken
//! within these. `stream.rs` and `bad_stream.rs` build the streams.

use super::violation::Violation;
use crate::config::Config;
use crate::state::Role;

/// Settings of the generated streams: the receiver's role, their length, the limits.
#[derive(Debug, Clone)]
pub struct Streams {
    pub(super) role: Role,
    pub(super) max_payload_bytes: usize,
    pub(super) max_items: usize,
    pub(super) max_frame_bytes: u64,
    pub(super) max_message_bytes: u64,
    pub(super) max_fragments: u32,
    pub(super) compressed: bool,
}

impl Streams {
    /// Streams for a receiver of this role, as its peer sends them. They keep the limits of the default configuration,
    /// and have up to 6 messages and control frames; a message has at most 70,000 bytes.
    pub fn to(role: Role) -> Streams {
        let streams = Streams {
            role,
            max_payload_bytes: 70_000,
            max_items: 6,
            max_frame_bytes: 0,
            max_message_bytes: 0,
            max_fragments: 0,
            compressed: false,
        };
        streams.config(&Config::default())
    }

    /// The most bytes of a message.
    #[must_use]
    pub fn max_payload_bytes(mut self, max: usize) -> Streams {
        self.max_payload_bytes = max;
        self
    }

    /// The most messages, pings and pongs in a stream, not counting those between fragments.
    #[must_use]
    pub fn max_items(mut self, max: usize) -> Streams {
        self.max_items = max;
        self
    }

    /// The receiver's limits for frames, messages and fragments. Valid streams keep them, violations exceed them.
    #[must_use]
    pub fn config(mut self, config: &Config) -> Streams {
        self.max_frame_bytes = config.max_frame_bytes;
        self.max_message_bytes = config.max_message_bytes;
        self.max_fragments = config.max_fragments;
        self
    }

    /// Whether the receiver has negotiated permessage-deflate: some messages are then compressed, and have violations
    /// of their own (RFC 7692). They use stored blocks of DEFLATE, so no codec is needed.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn compressed(mut self, compressed: bool) -> Streams {
        self.compressed = compressed;
        self
    }
}

impl Violation {
    /// Whether the violation is possible in such streams. A limit must be low enough to be exceeded with few bytes, or
    /// with at most 1024 frames; violations in compressed messages need compression.
    pub fn applies_to(self, streams: &Streams) -> bool {
        use Violation as V;
        let (frame, message) = (streams.max_frame_bytes, streams.max_message_bytes);
        match self {
            V::FrameTooBig => frame < 1 << 62 && frame <= message,
            // The frames before the one that exceeds the limit must be written.
            V::MessageTooBig => {
                message < 1 << 62
                    && streams.max_fragments >= 2
                    && (frame > message || message - frame < frame.min(1 << 16))
            }
            V::TooManyFragments => streams.max_fragments <= 1024,
            V::DeflateBlockType | V::DeflateStoredLength | V::DeflateTruncated => {
                // The data must fit into one frame.
                streams.compressed && frame >= 64 && message >= 64
            }
            V::DeflateEmpty => streams.compressed,
            V::Utf8Overlong
            | V::Utf8Surrogate
            | V::Utf8TooHigh
            | V::Utf8Interrupted
            | V::Utf8StrayContinuation
            | V::Utf8Truncated => frame >= 64 && message >= 64,
            V::Masking
            | V::ReservedBits
            | V::ReservedBitOnContinuation
            | V::ReservedBitOnControl
            | V::ReservedOpcode
            | V::FragmentedControl
            | V::LongControl
            | V::UnexpectedContinuation
            | V::UnfinishedMessage
            | V::CloseTooShort
            | V::CloseCode
            | V::CloseReason => true,
            // The form of the length already means at least 65,536 bytes, which the limits must allow.
            V::NonMinimalLength | V::LengthTopBit => frame >= 1 << 17 && message >= 1 << 17,
        }
    }
}
