//! [`proptest`] strategies for whoever builds on WebSocket: messages, streams of frames, opening handshakes and ways to
//! cut them, each with what must come of it. Feature `proptest`; it needs `std`, whatever other features are on.
//!
//! Every generated value carries its own verdict. A [`Stream`] knows the events that a receiver has to report; a
//! [`BadStream`] breaks exactly one rule, and knows which, with which [`ProtocolError`](crate::ProtocolError) that ends
//! and after which byte; a [`BadRequest`] knows the HTTP status that answers it. All of it is laid out by hand from the
//! RFC and shares no code with the library's codec: it is an oracle, for this library and for what is built on it.
//!
//! Values shrink towards fewer frames, shorter payloads, `a` and 0, no fragments, zero masking keys and one uncut
//! piece.
//!
//! ```
//! use proptest::prelude::*;
//! use websocket_proto::strategies::{Streams, chunking, feed};
//! use websocket_proto::{Config, Connection, Role};
//!
//! proptest! {
//!     # #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]
//!     # /*
//!     #[test]
//!     # */
//!     fn a_valid_stream_says_the_same_in_any_cut(
//!         stream in Streams::to(Role::Server).valid(),
//!         chunking in chunking(),
//!     ) {
//!         let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
//!         prop_assert_eq!(feed(&mut conn, chunking.cut(&stream.bytes)), stream.expected);
//!     }
//! }
//! # a_valid_stream_says_the_same_in_any_cut();
//! ```

mod bad_stream;
mod chunking;
mod close;
mod faults;
mod head;
mod message;
mod request;
mod response;
mod seen;
mod stream;
mod streams;
mod violation;
mod wire;

pub use bad_stream::BadStream;
pub use chunking::{Chunking, chunking};
pub use close::{close_reason, forbidden_code, received_code, sendable_code};
pub use message::{Payload, ascii, binary, message, text};
pub use request::{BadRequest, GoodRequest, RequestFault, RequestVerdict, bad_request, request};
pub use response::{BadResponse, GoodResponse, ResponseFault, bad_response, response};
pub use seen::{Seen, feed};
pub use stream::Stream;
pub use streams::Streams;
pub use violation::Violation;
