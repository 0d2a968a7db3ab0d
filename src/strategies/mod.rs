//! [`proptest`] strategies for property tests of WebSocket programs: messages, streams of frames, opening handshakes,
//! and ways to cut them, each with the expected result. Feature `proptest`, which needs `std`.
//!
//! Every generated value has its verdict. A [`Stream`] has the events that a receiver must report. A [`BadStream`]
//! breaks exactly one rule; it has the rule, the [`ProtocolError`](crate::ProtocolError) and the byte that decides it.
//! A [`BadRequest`] has the HTTP status that answers it. They are written by hand from the RFC and share no code with
//! the library's codec, so they are an oracle for this library and for programs that use it.
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
