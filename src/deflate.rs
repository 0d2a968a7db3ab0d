//! permessage-deflate (RFC 7692): its options, and the codecs of a connection, which share nothing with those of
//! another. The crate `zlib-rs` does DEFLATE itself. The handshake negotiates the parameters; the connection decides
//! when a message is compressed, and which limits hold.

mod deflater;
mod history;
mod inflater;
mod options;

pub(crate) use options::{DEFAULT_MIN_BYTES, clamp_bits};
pub use options::{Deflate, DeflateParams};

pub(crate) use deflater::{Deflater, compress_alone};
pub(crate) use inflater::{DeflateFault, Inflater, Step};

use alloc::vec::Vec;
use core::time::Duration;

use crate::state::Role;
use crate::timer::{LastUse, Timestamp};

/// The codecs of one connection, and the buffers that they use while it is busy.
pub(crate) struct Codec {
    pub(crate) params: DeflateParams,
    pub(crate) inflater: Inflater,
    pub(crate) deflater: Deflater,
    /// The buffer for a compressed message.
    pub(crate) compressed: Vec<u8>,
    /// The uncompressed bytes so far of the compressed message that is being sent in fragments; `None` without one.
    pub(crate) sending: Option<u64>,
    /// Whether a codec was used since the last call of [`free_unused`](Codec::free_unused).
    pub(crate) used: bool,
    last_use: LastUse,
}

impl Codec {
    pub(crate) fn new(role: Role, params: DeflateParams, options: &Deflate) -> Codec {
        let (mut ours, theirs) = match role {
            Role::Server => (params.server(), params.client()),
            Role::Client => (params.client(), params.server()),
        };
        // A smaller window than the agreed one is always allowed (RFC 7692 7.2.1).
        ours.window_bits = ours.window_bits.min(options.own_bits(role));
        ours.no_context_takeover |= options.own_no_context_takeover(role);
        Codec {
            params,
            inflater: Inflater::new(theirs, options.max_final_blocks),
            deflater: Deflater::new(ours, options.allowed_level()),
            compressed: Vec::new(),
            sending: None,
            used: false,
            last_use: LastUse::default(),
        }
    }

    /// Frees what is not needed between messages: all but the windows.
    pub(crate) fn release_memory(&mut self) {
        self.inflater.free();
        self.deflater.free();
        self.compressed = Vec::new();
    }

    /// Frees the same if no codec was used for the time `after`; otherwise returns when it may be due.
    pub(crate) fn free_unused(&mut self, now: Timestamp, after: Duration) -> Option<Timestamp> {
        let used = core::mem::take(&mut self.used);
        match self.last_use.observe(now, after, used) {
            Some(due) => self.owns_memory().then_some(due),
            None => {
                self.release_memory();
                None
            }
        }
    }

    /// Whether [`release_memory`](Codec::release_memory) would free anything.
    fn owns_memory(&self) -> bool {
        self.inflater.owns_memory() || self.deflater.owns_memory() || self.compressed.capacity() > 0
    }
}

/// The agreed parameters of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction {
    /// The base-2 logarithm of the sender's largest window in bytes (RFC 7692 7.1.2).
    pub(crate) window_bits: u8,
    /// Each message begins with an empty window (RFC 7692 7.1.1).
    pub(crate) no_context_takeover: bool,
}
