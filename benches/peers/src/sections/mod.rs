//! What is measured.

mod curves;
mod deflate;
mod handshakes;
mod memory;
mod receive;
mod send;
mod verify;

pub use curves::curves;
pub use deflate::deflate;
pub use handshakes::handshakes;
pub use memory::memory;
pub use receive::receive;
pub use send::send;
pub use verify::verify;

use crate::adapters;
use crate::peer::Peer;

pub struct Settings {
    pub rounds: usize,
    /// MiB of payload that a round sends or receives.
    pub mb: usize,
    /// Peers with one of these in their name, and the bounds; empty for all.
    pub only: Vec<String>,
    /// Workloads with one of these names; empty for all.
    pub work: Vec<String>,
}

impl Settings {
    pub fn peers(&self) -> Vec<Box<dyn Peer>> {
        let wanted = |peer: &dyn Peer| {
            self.only.is_empty()
                || peer.is_bound()
                || self.only.iter().any(|part| peer.name().contains(part))
        };
        adapters::all().into_iter().filter(|peer| wanted(&**peer)).collect()
    }

    /// Those that speak the protocol.
    pub fn speakers(&self) -> Vec<Box<dyn Peer>> {
        self.peers().into_iter().filter(|peer| peer.name() != "(bytes only)").collect()
    }

    pub fn wants(&self, work: &str) -> bool {
        self.work.is_empty() || self.work.iter().any(|name| name == work)
    }
}
