//! The sections of the report.

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
    /// MiB of payload per round.
    pub mb: usize,
    /// Parts of names of the wanted peers; empty for all. The bounds are always included.
    pub only: Vec<String>,
    /// Names of the wanted workloads; empty for all.
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

    /// The peers that are not bounds.
    pub fn speakers(&self) -> Vec<Box<dyn Peer>> {
        self.peers().into_iter().filter(|peer| peer.name() != "(bytes only)").collect()
    }

    pub fn wants(&self, work: &str) -> bool {
        self.work.is_empty() || self.work.iter().any(|name| name == work)
    }
}
