//! Tools to test the code around a connection, without sockets and clocks. A run can be repeated from its seed, and the
//! simulated transport can cut, delay, change and lose bytes. The module needs the feature `testing`, but neither `std`
//! nor a further dependency.
//!
//! - [`Pair`]: a client and a server, joined by a simulated [`Wire`] in each direction and a virtual clock;
//! - [`Link`] and [`Endpoint`]: the parts of a pair, for your own loop at one end;
//! - `LinkStream`, with the feature `tokio`: the ends of a link as transports of tokio, on its paused clock;
//! - [`ScriptedPeer`]: a peer that sends any bytes, valid or not, and decodes the answers as [`RawFrame`]s;
//! - [`Script`]: a sequence of calls on one connection, with the promises of a connection checked after each.
//!
//! A test should fail where code breaks a rule, so some methods panic: the page of each says when.
//!
//! With the feature `arbitrary`, a fuzzer's bytes make scripts and all public values. The page `docs/testing.md` has
//! examples.

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
#[cfg(feature = "tokio")]
mod stream;
mod wire;

pub use endpoint::{Endpoint, answer_request};
pub use frame::{Length, Mask, RawFrame};
pub use link::{Link, LinkEnd};
pub use pair::Pair;
pub use peer::{RequestFlaw, ResponseFlaw, ScriptedPeer};
pub use script::{Broken, Run, Script};
pub use step::Step;
#[cfg(feature = "tokio")]
pub use stream::LinkStream;
pub use wire::{Arrival, ChunkSize, Wire, WriteFailed};
