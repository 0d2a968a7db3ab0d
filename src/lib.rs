//! The WebSocket protocol (RFC 6455) as a pure state machine.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod assembler;
mod close;
mod config;
mod connection;
mod entropy;
mod error;
mod event;
mod frame;
pub mod handshake;
mod mask;
mod outgoing;
mod prepared;
mod read_buffer;
mod timer;
mod utf8;

/// The shared pointer of configurations and prepared messages: `Arc`, or `Rc` where there are no atomics.
#[cfg(not(target_has_atomic = "ptr"))]
pub use alloc::rc::Rc as Shared;
/// The shared pointer of configurations and prepared messages: `Arc`, or `Rc` where there are no atomics.
#[cfg(target_has_atomic = "ptr")]
pub use alloc::sync::Arc as Shared;

pub use close::{CloseCode, MAX_CLOSE_REASON_BYTES};
pub use config::{Config, Delivery};
pub use connection::{Connection, Role, State};
pub use entropy::{Entropy, EntropyError};
pub use error::{ProtocolError, UsageError};
pub use event::{Chunk, CloseCause, Closed, Event, Message, MessageKind, Timeout};
pub use frame::{FrameHeader, MAX_CONTROL_BYTES, MAX_HEADER_BYTES, Opcode};
pub use handshake::{
    Accept, ClientRequest, HandshakeError, OriginPolicy, PlainRequest, Response, UpgradeRequest,
    UpgradeResponse, Uri, UriError, accept_key,
};
pub use mask::apply_mask;
pub use outgoing::{OutgoingChunks, Segment};
pub use prepared::PreparedMessage;
pub use read_buffer::ReadBuffer;
pub use timer::Timestamp;
