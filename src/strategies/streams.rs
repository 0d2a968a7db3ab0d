//! Which streams are generated: for which receiver, how long, within which limits, and which rules can be broken within
//! them. The streams themselves are built in `stream.rs` and `bad_stream.rs`.

use super::violation::Violation;
use crate::config::Config;
use crate::state::Role;

/// Which streams are generated: for whom, how long, within which limits.
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
    /// Streams for a receiver of this role: those that come from its peer. They keep the limits of the default
    /// configuration, have up to 6 messages and control frames, and messages of at most 70,000 bytes.
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

    /// The most bytes that a message has.
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

    /// The receiver's limits for frames, messages and fragments: valid streams keep them, violations exceed them.
    #[must_use]
    pub fn config(mut self, config: &Config) -> Streams {
        self.max_frame_bytes = config.max_frame_bytes;
        self.max_message_bytes = config.max_message_bytes;
        self.max_fragments = config.max_fragments.max(1);
        self
    }

    /// Whether the receiver has negotiated permessage-deflate: some messages are compressed then (RFC 7692), and can be
    /// wrong in ways of their own. They are stored, in DEFLATE's own word: no codec is involved.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn compressed(mut self, compressed: bool) -> Streams {
        self.compressed = compressed;
        self
    }
}

impl Violation {
    /// Whether it can be in such streams: a limit must be near enough to be exceeded with few bytes (that of fragments,
    /// with up to 1024 frames), and compressed messages must have been negotiated to be wrong.
    pub fn applies_to(self, streams: &Streams) -> bool {
        use Violation as V;
        let (frame, message) = (streams.max_frame_bytes, streams.max_message_bytes);
        match self {
            V::FrameTooBig => frame < 1 << 62 && frame <= message,
            // What lies before the frame that exceeds the limit has to be there.
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
            // The form alone says that the length is 65,536 at least.
            V::NonMinimalLength | V::LengthTopBit => frame >= 1 << 17 && message >= 1 << 17,
        }
    }
}
