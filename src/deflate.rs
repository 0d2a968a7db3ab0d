//! permessage-deflate (RFC 7692): what is negotiated, and the codecs of a connection, which share nothing with those
//! of another. DEFLATE itself is the business of the crate `zlib-rs`; when a message is compressed, and what limits
//! hold, is decided by the connection.

mod compressor;
mod deflater;
mod history;
mod inflater;
mod negotiation;

pub use negotiation::{Deflate, DeflateParams};

pub(crate) use compressor::Compressor;
pub(crate) use deflater::compress_alone;
pub(crate) use inflater::{Inflater, Step};

use core::time::Duration;

use crate::error::ProtocolError;
use crate::last_use::LastUse;
use crate::state::Role;
use crate::timestamp::Timestamp;

/// The codecs of one connection: a half for each direction.
pub(crate) struct Codec {
    pub(crate) params: DeflateParams,
    inflater: Inflater,
    compressor: Compressor,
    /// When one of them was used last.
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
            compressor: Compressor::new(ours, options),
            last_use: LastUse::default(),
        }
    }

    /// The receiver's half.
    pub(crate) fn inflater(&mut self) -> &mut Inflater {
        &mut self.inflater
    }

    /// The sender's half.
    pub(crate) fn compressor(&self) -> &Compressor {
        &self.compressor
    }

    /// The sender's half.
    pub(crate) fn compressor_mut(&mut self) -> &mut Compressor {
        &mut self.compressor
    }

    /// Frees all memory but the windows.
    pub(crate) fn free_memory(&mut self) {
        self.inflater.free_memory();
        self.compressor.free_memory();
    }

    /// The same, if neither half was used for the time `after`; otherwise returns when that will be.
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

    /// Whether there is memory that [`free_memory`](Codec::free_memory) frees.
    fn owns_memory(&self) -> bool {
        self.inflater.owns_memory() || self.compressor.owns_memory()
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

/// What is wrong with compressed bytes that were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeflateFault {
    /// They are not a DEFLATE stream, or it does not end with its message.
    Invalid,
    /// Too many of their blocks are marked as final.
    TooManyFinalBlocks { limit: u64 },
}

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
