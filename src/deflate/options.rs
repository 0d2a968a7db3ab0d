//! The options of compression that an application chooses, and the parameters that two ends agree on (RFC 7692 7.1).
//! The opening handshake negotiates them.

use alloc::vec::Vec;

use super::Direction;
use crate::state::Role;

/// How a connection compresses, and what it offers, accepts and requires (RFC 7692).
///
/// Compression costs memory while a connection is busy: 372 KiB to send with the largest window, 246 KiB with the
/// smallest, and 47 KiB to receive, in addition to the windows. [`memory_level`](Deflate::memory_level) changes what
/// sending takes. An idle connection keeps only the windows (at most 32 KiB for each direction), or nothing without
/// context takeover. Codecs belong to one connection and are never shared.
///
/// Do not compress secrets together with what an attacker can choose: the sizes can reveal them (RFC 7692 8). Such a
/// message can be sent with [`send_uncompressed`](crate::Connection::send_uncompressed) or, in fragments, with
/// [`send_uncompressed_fragment`](crate::Connection::send_uncompressed_fragment).
///
/// [`ConfigBuilder::build`](crate::ConfigBuilder::build) refuses a level or a window that is out of range, and options
/// that contradict each other. [`offer`](Deflate::offer), [`accept`](Deflate::accept) and [`agree`](Deflate::agree)
/// take such windows as 9 or 15 bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Deflate {
    /// Effort of compression, 1 to 9; 0 for stored blocks (RFC 1951 3.2.4). Stored blocks are not compressed: they take
    /// up to 6 bytes more than the message, and 5 more for each further 64 KiB. Sending them takes neither a compressor
    /// nor a window. Default: 6.
    pub level: u8,
    /// Memory of the compressor, 1 to 9. It has 112 KiB for symbols and output at level 8, and half of that at each
    /// level below. With less memory, blocks are shorter and messages compress less. Default: 8.
    ///
    /// ```
    /// use websocket_proto::{Config, ConfigError, Deflate};
    ///
    /// // A compressor of 135 KiB instead of 372 KiB.
    /// let mut deflate = Deflate::default();
    /// (deflate.memory_level, deflate.server_max_window_bits) = (1, 9);
    /// let config = Config::builder().deflate(deflate).build()?;
    /// # Ok::<(), ConfigError>(())
    /// ```
    pub memory_level: u8,
    /// The least message length in bytes that is compressed. A message that is sent in several fragments is compressed
    /// whatever its length is, since its first fragment decides. Default: 64.
    pub min_bytes: usize,
    /// The server's largest window in bits, 9 to 15: 2 to this power in bytes. A client asks for it, a server keeps it.
    /// Default: 15.
    pub server_max_window_bits: u8,
    /// The client's largest window in bits, 9 to 15: 2 to this power in bytes. A client keeps it, a server asks for it
    /// if the client allows that. Default: 15.
    pub client_max_window_bits: u8,
    /// The server begins each message with an empty window. A client asks for this, a server does it. Default: `false`.
    pub server_no_context_takeover: bool,
    /// The client begins each message with an empty window. A client hints at this, a server asks for it. Default:
    /// `false`.
    pub client_no_context_takeover: bool,
    /// Whether a server declines an offer that does not let it limit the client's window to
    /// [`client_max_window_bits`](Deflate::client_max_window_bits). Otherwise it accepts such an offer, and the
    /// client's window has 15 bits. A client ignores this field: it insists on the server's window in any case, unless
    /// one of its [`fallbacks`](Deflate::fallbacks) allows a larger one. Default: `false`.
    ///
    /// ```
    /// use websocket_proto::Deflate;
    ///
    /// let mut deflate = Deflate::default();
    /// (deflate.client_max_window_bits, deflate.client_window_required) = (10, true);
    /// let answer = |offer: &str| Some(deflate.accept([offer.as_bytes()].into_iter())?.1);
    /// assert_eq!(answer("permessage-deflate"), None);
    /// assert_eq!(
    ///     answer("permessage-deflate; client_max_window_bits").as_deref(),
    ///     Some("permessage-deflate; client_max_window_bits=10")
    /// );
    /// ```
    pub client_window_required: bool,
    /// Whether a client offers `client_max_window_bits`, which lets the server limit the client's window (RFC 7692
    /// 7.1.2.2). Otherwise a response with this parameter fails the handshake. The client's own window keeps the field
    /// above in both cases. A server ignores this field. Default: `true`.
    ///
    /// ```
    /// # use websocket_proto::Deflate;
    /// let mut deflate = Deflate::default();
    /// assert_eq!(deflate.offer(), "permessage-deflate; client_max_window_bits");
    /// deflate.offer_client_max_window_bits = false;
    /// assert_eq!(deflate.offer(), "permessage-deflate");
    /// ```
    pub offer_client_max_window_bits: bool,
    /// Whether `server_no_context_takeover` is refused: a server declines an offer that asks for it, and a client fails
    /// the handshake if the response has it (RFC 7692 7.1.1.1). Default: `false`.
    ///
    /// ```
    /// # use websocket_proto::Deflate;
    /// let mut deflate = Deflate::default();
    /// deflate.refuse_server_no_context_takeover = true;
    /// let offers = b"permessage-deflate; server_no_context_takeover, permessage-deflate";
    /// let (_, response) = deflate.accept([&offers[..]].into_iter()).expect("the second offer");
    /// assert_eq!(response, "permessage-deflate");
    /// ```
    pub refuse_server_no_context_takeover: bool,
    /// Further offers of a client behind the first, in order of preference (RFC 7692 5). The server takes the first
    /// offer that it can keep. A server that cannot limit its window can take the plain offer,
    /// `DeflateParams::default()` (RFC 7692 7.1.2.1). The client's own window keeps the fields above in any case.
    /// Their windows are 9 to 15 bits. A server ignores this field. Default: none.
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
    /// The number of final DEFLATE blocks (RFC 7692 7.2.3.4) that a connection may receive in the middle of messages.
    /// Each 256 compressed bytes allow one more. The first of each message does not count, nor does any while the
    /// window is empty. Behind a final block the window is copied: up to 32 KiB, for a block of two bytes. Default: 64.
    /// If it is exceeded, the connection fails with close code 1008 and
    /// [`ProtocolError::TooManyFinalBlocks`](crate::ProtocolError::TooManyFinalBlocks).
    pub max_final_blocks: u32,
    /// Whether a client closes with code 1010 if the server does not accept the extension (RFC 6455 7.4.1). Default:
    /// `false`.
    pub required: bool,
}

/// The default of [`Deflate::min_bytes`].
pub(crate) const DEFAULT_MIN_BYTES: usize = 64;
/// The default of [`Deflate::memory_level`].
pub(super) const DEFAULT_MEMORY_LEVEL: u8 = 8;

impl Default for Deflate {
    fn default() -> Self {
        Deflate {
            level: 6,
            memory_level: DEFAULT_MEMORY_LEVEL,
            min_bytes: DEFAULT_MIN_BYTES,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            client_window_required: false,
            offer_client_max_window_bits: true,
            refuse_server_no_context_takeover: false,
            fallbacks: Vec::new(),
            max_final_blocks: 64,
            required: false,
        }
    }
}

/// The parameters that two ends have agreed on, or that a client offers (RFC 7692 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "RFC 7692 7.1 fixes the four parameters")]
pub struct DeflateParams {
    /// The server begins each message with an empty window.
    pub server_no_context_takeover: bool,
    /// The client begins each message with an empty window.
    pub client_no_context_takeover: bool,
    /// The server's largest window in bits, 8 to 15: 2 to this power in bytes.
    pub server_max_window_bits: u8,
    /// The client's largest window in bits, 8 to 15: 2 to this power in bytes.
    pub client_max_window_bits: u8,
}

/// The parameters if neither end asks for any: the largest windows, kept from message to message.
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

impl Deflate {
    pub(super) fn own_bits(&self, role: Role) -> u8 {
        match role {
            Role::Server => self.server_max_window_bits,
            Role::Client => self.client_max_window_bits,
        }
    }

    pub(super) fn own_no_context_takeover(&self, role: Role) -> bool {
        match role {
            Role::Server => self.server_no_context_takeover,
            Role::Client => self.client_no_context_takeover,
        }
    }
}
