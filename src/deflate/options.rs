//! What an application chooses about compression, and what two ends have agreed on (RFC 7692 7.1): values. How they are
//! agreed on is left to the opening handshake.

use alloc::vec::Vec;

use super::Direction;
use crate::state::Role;

/// How a connection compresses, and what it offers, accepts and insists on (RFC 7692).
///
/// Compression costs memory while a connection is busy: 372 KiB to send with the largest window, 246 KiB with the
/// smallest, and 47 KiB to receive, beside the windows. Idle, it is down to the windows (32 KiB for each direction at
/// most), or to nothing without context takeover. Codecs belong to one connection and are never shared.
///
/// Do not compress secrets together with what an attacker can choose: the sizes tell (RFC 7692 8). Such a message can
/// be sent with [`send_uncompressed`](crate::Connection::send_uncompressed).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deflate {
    /// Effort of compression, 1 to 9; what lies outside is brought into it. Default: 6.
    pub level: u8,
    /// Shorter messages are sent as they are. Default: 64 bytes.
    pub min_bytes: usize,
    /// The server's window is at most 2 to this power, 9 to 15. A client asks for it, a server keeps to it.
    /// Default: 15.
    pub server_max_window_bits: u8,
    /// The client's window is at most 2 to this power, 9 to 15. A client keeps to it, a server asks for it if the
    /// client lets it. Default: 15.
    pub client_max_window_bits: u8,
    /// The server begins each message with an empty window. A client asks for it, a server does it. Default: `false`.
    pub server_no_context_takeover: bool,
    /// The client begins each message with an empty window. A client hints at it, a server asks for it.
    /// Default: `false`.
    pub client_no_context_takeover: bool,
    /// More offers of a client, after the first, the best first (RFC 7692 5). The server takes the first offer that it
    /// can keep: one that cannot limit its window takes the plain offer, `DeflateParams::default()` (RFC 7692 7.1.2.1).
    /// The client's own window keeps to the fields above in any case. Windows outside of 9 to 15 bits are brought into
    /// that range. A server ignores this. Default: none.
    ///
    /// ```
    /// use websocket_proto::{Deflate, DeflateParams};
    ///
    /// let mut deflate = Deflate::default();
    /// deflate.server_max_window_bits = 10;
    /// deflate.fallbacks = vec![DeflateParams::default()];
    /// assert_eq!(
    ///     deflate.offer(),
    ///     "permessage-deflate; server_max_window_bits=10; client_max_window_bits, \
    ///      permessage-deflate; client_max_window_bits"
    /// );
    /// ```
    pub fallbacks: Vec<DeflateParams>,
    /// How many final DEFLATE blocks (RFC 7692 7.2.3.4) with more of their message behind them a connection may receive.
    /// Each 256 compressed bytes allow one more. The first of each message is free, and so is any while the window is
    /// empty. Behind each the window is copied: up to 32 KiB, for as few as two bytes. Default: 64. When it is
    /// exceeded: close code 1008, [`ProtocolError::TooManyFinalBlocks`](crate::ProtocolError::TooManyFinalBlocks).
    pub max_final_blocks: u32,
    /// A client that does not get the extension ends the connection with close code 1010 (RFC 6455 7.4.1).
    /// Default: `false`.
    pub required: bool,
}

/// Smaller messages are not compressed, if nothing else is said.
pub(crate) const DEFAULT_MIN_BYTES: usize = 64;

impl Default for Deflate {
    fn default() -> Self {
        Deflate {
            level: 6,
            min_bytes: DEFAULT_MIN_BYTES,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            fallbacks: Vec::new(),
            max_final_blocks: 64,
            required: false,
        }
    }
}

/// What the two ends have agreed on, or what a client offers (RFC 7692 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "RFC 7692 7.1 fixes the four parameters")]
pub struct DeflateParams {
    /// The server begins each message with an empty window.
    pub server_no_context_takeover: bool,
    /// The client begins each message with an empty window.
    pub client_no_context_takeover: bool,
    /// The server's window is at most 2 to this power, 8 to 15.
    pub server_max_window_bits: u8,
    /// The client's window is at most 2 to this power, 8 to 15.
    pub client_max_window_bits: u8,
}

/// What is agreed on where nothing is asked for: the largest windows, kept from message to message.
impl Default for DeflateParams {
    fn default() -> Self {
        DeflateParams {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

impl DeflateParams {
    pub(super) fn server(&self) -> Direction {
        Direction {
            window_bits: self.server_max_window_bits.clamp(8, 15),
            no_context_takeover: self.server_no_context_takeover,
        }
    }

    pub(super) fn client(&self) -> Direction {
        Direction {
            window_bits: self.client_max_window_bits.clamp(8, 15),
            no_context_takeover: self.client_no_context_takeover,
        }
    }
}

/// Window bits of ours, brought into the range that can be had: raw DEFLATE cannot be written with 8.
pub(crate) fn clamp_bits(bits: u8) -> u8 {
    bits.clamp(9, 15)
}

impl Deflate {
    /// The level, brought into its range.
    pub(crate) fn allowed_level(&self) -> u8 {
        self.level.clamp(1, 9)
    }

    pub(super) fn own_bits(&self, role: Role) -> u8 {
        match role {
            Role::Server => self.server_bits(),
            Role::Client => self.client_bits(),
        }
    }

    pub(super) fn own_no_context_takeover(&self, role: Role) -> bool {
        match role {
            Role::Server => self.server_no_context_takeover,
            Role::Client => self.client_no_context_takeover,
        }
    }

    pub(crate) fn server_bits(&self) -> u8 {
        clamp_bits(self.server_max_window_bits)
    }

    pub(crate) fn client_bits(&self) -> u8 {
        clamp_bits(self.client_max_window_bits)
    }
}
