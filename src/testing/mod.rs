//! A test instrument for the code around a connection: no socket, no clock, no chance, and every harm that a transport
//! can do. With the feature `testing`; it needs no `std`, and adds no dependency.
//!
//! - [`Pair`]: a client and a server, joined by a simulated [`Wire`] in each direction and a virtual clock;
//! - [`Link`] and [`Endpoint`]: the same in parts, for a loop of your own at one end;
//! - [`ScriptedPeer`]: a peer that sends any bytes, right or wrong, and reads what comes back by hand, as
//!   [`RawFrame`]s;
//! - [`Script`]: a sequence of calls on one connection, with the promises of a connection checked after each.
//!
//! With the feature `arbitrary`, a fuzzer makes scripts and all public values out of its bytes. The page
//! `docs/testing.md` shows each by example.

#[cfg(feature = "arbitrary")]
mod arbitrary;
mod endpoint;
mod frame;
mod inbox;
mod invariants;
mod link;
mod pair;
mod peer;
mod random;
mod script;
mod step;
mod wire;

pub use endpoint::{Endpoint, answer_request};
pub use frame::{Length, Mask, RawFrame};
pub use link::{Link, LinkEnd};
pub use pair::Pair;
pub use peer::{RequestFlaw, ResponseFlaw, ScriptedPeer};
pub use script::{Broken, Run, Script};
pub use step::Step;
pub use wire::{Arrival, ChunkSize, Wire, WriteFailed};
