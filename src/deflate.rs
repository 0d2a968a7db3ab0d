//! permessage-deflate (RFC 7692): its options, and the codecs of a connection. Connections share no codec. The crate
//! `zlib-rs` implements DEFLATE. The handshake negotiates the parameters. The connection decides when a message is
//! compressed, and which limits apply.

mod compressor;
mod deflater;
mod history;
mod inflater;
mod options;

pub use options::{Deflate, DeflateParams};

pub(crate) use compressor::Compressor;
pub(crate) use deflater::compress_alone;
pub(crate) use inflater::{DeflateFault, Inflater, Step};

use alloc::boxed::Box;
use core::time::Duration;

use crate::last_use::LastUse;
use crate::state::Role;
use crate::timestamp::Timestamp;

/// The codecs of a connection, if permessage-deflate was negotiated.
pub(crate) type MaybeCodec = Option<Box<Codec>>;

/// The codecs of one connection, one for each direction.
pub(crate) struct Codec {
    pub(crate) params: DeflateParams,
    inflater: Inflater,
    compressor: Compressor,
    /// When one of the two was used last.
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
            compressor: Compressor::new(ours, options),
            last_use: LastUse::default(),
        }
    }

    /// The half for receiving.
    pub(crate) fn inflater(&mut self) -> &mut Inflater {
        &mut self.inflater
    }

    /// The half for sending.
    #[inline]
    pub(crate) fn compressor(&self) -> &Compressor {
        &self.compressor
    }

    /// The half for sending.
    #[inline]
    pub(crate) fn compressor_mut(&mut self) -> &mut Compressor {
        &mut self.compressor
    }

    /// Frees all memory except the windows.
    pub(crate) fn free_memory(&mut self) {
        self.inflater.free_memory();
        self.compressor.free_memory();
    }

    /// Frees all memory except the windows if neither half was used for the time `after`. Otherwise returns the moment
    /// for it.
    pub(crate) fn free_unused(&mut self, now: Timestamp, after: Duration) -> Option<Timestamp> {
        let was_used = self.inflater.take_used() | self.compressor.take_used();
        match self.last_use.observe(now, after, was_used) {
            Some(due) => self.owns_memory().then_some(due),
            None => {
                self.free_memory();
                None
            }
        }
    }

    /// Whether [`free_memory`](Codec::free_memory) would free memory.
    fn owns_memory(&self) -> bool {
        self.inflater.owns_memory() || self.compressor.owns_memory()
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
