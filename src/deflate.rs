//! permessage-deflate (RFC 7692): what is negotiated, and the codecs of a connection, which share nothing with those
//! of another. DEFLATE itself is the business of the crate `zlib-rs`; when a message is compressed, and what limits
//! hold, is decided by the connection.

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
    /// Where a message is compressed to.
    pub(crate) compressed: Vec<u8>,
    /// The fragmented message that is being sent is compressed; this many bytes of it are.
    pub(crate) sending: Option<u64>,
    /// Used since [`free_unused`](Codec::free_unused) last looked.
    pub(crate) used: bool,
    last_use: LastUse,
}

impl Codec {
    pub(crate) fn new(role: Role, params: DeflateParams, options: &Deflate) -> Codec {
        let (mut ours, theirs) = match role {
            Role::Server => (params.server(), params.client()),
            Role::Client => (params.client(), params.server()),
        };
        // Less than what was agreed is always allowed (RFC 7692 7.2.1).
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

    /// Gives back what is not needed between messages: all but the windows.
    pub(crate) fn release_memory(&mut self) {
        self.inflater.release();
        self.deflater.release();
        self.compressed = Vec::new();
    }

    /// The same, if nothing was done for the time `after`; otherwise returns when that may be.
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

    /// Whether there is something that [`release_memory`](Codec::release_memory) frees.
    fn owns_memory(&self) -> bool {
        self.inflater.owns_memory() || self.deflater.owns_memory() || self.compressed.capacity() > 0
    }
}

/// One direction's share of the agreed parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction {
    /// The window of the sender is at most 2 to this power (RFC 7692 7.1.2).
    pub(crate) window_bits: u8,
    /// Each message begins with an empty window (RFC 7692 7.1.1).
    pub(crate) no_context_takeover: bool,
}
