//! The WebSocket protocol (RFC 6455) as a pure state machine, for both roles.
//!
//! A [`Connection`] is a value. It turns bytes from the peer into [events](Event), and [messages](Message) into bytes
//! for the peer. The caller supplies time and randomness. A connection never touches a socket, a clock or a thread, so
//! any loop can drive it.
//!
//! This page is the short form of `docs/guide.md`, in the repository and in the package. `docs/migration.md` there is
//! for users of tungstenite, tokio-tungstenite, fastwebsockets and wsproto.
//!
//! # The loop
//!
//! The module `drive`, with the feature `tokio`, has this loop for tokio. For your own, the same order is always right,
//! blocking or not:
//!
//! 1. **Take events**: pass the bytes that were read to [`receive`](Connection::receive) until it returns `None`. It
//!    also returns the events that time or the end of the transport has caused, so call it with empty input too.
//!    [`poll_event`](Connection::poll_event) returns only those events.
//! 2. **Write**, if it [`wants_write`](Connection::wants_write): all of
//!    [`outgoing_slices`](Connection::outgoing_slices) in one vectored write, or [`outgoing`](Connection::outgoing);
//!    [`advance`](Connection::advance) by what was written, and go back to 1. If a write fails, call
//!    [`write_closed`](Connection::write_closed) and go on: the peer's Close can still be read.
//! 3. **Shut down** the write side if it [`wants_shutdown`](Connection::wants_shutdown), then call `write_closed`.
//! 4. **Stop** if it [`is_finished`](Connection::is_finished), not already at [`Event::Closed`]: our own Close may
//!    still be outgoing.
//! 5. **Tell the time** with [`tick`](Connection::tick), which returns when to call it again. [`Clock`] reads the time
//!    for you, if the standard library is there. If the call queued bytes or ended the connection, go back to 1.
//! 6. **Wait, and read** once if it [`wants_read`](Connection::wants_read). Do not read while it
//!    [`is_congested`](Connection::is_congested) if your program answers what it reads. At the end of the transport,
//!    call [`receive_eof`](Connection::receive_eof); if a read fails, [`abort`](Connection::abort).
//!
//! A client is open when it reports [`Event::Open`]. A server is open when its call of [`accept`](Connection::accept)
//! returns `Ok`.
//!
//! Set `TCP_NODELAY`. The loop writes the whole queue at once, so Nagle's algorithm saves nothing, and it would delay
//! each write after the first. A thread that blocks in step 2 does not read. If both ends block because the socket
//! buffers are full, neither makes progress. To avoid this, read while writing: with two threads, a poll loop or an
//! async runtime.
//!
//! ```
//! use websocket_proto::{Accept, Config, Connection, Event, State, UsageError};
//!
//! /// A server's reaction to what was read: the same in every loop.
//! fn on_bytes(conn: &mut Connection, mut input: &mut [u8]) -> Result<(), UsageError> {
//!     while let Some(event) = conn.receive(&mut input) {
//!         match event {
//!             Event::UpgradeRequest(_) => conn.accept(&Accept::default())?,
//!             Event::PlainRequest(_) => conn.respond(404)?,
//!             // Messages still arrive after our Close, when `send` would return an error.
//!             Event::Message(message) if conn.state() == State::Open => conn.send(message)?,
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//!
//! let mut conn = Connection::server(Config::default());
//! let mut request = *b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
//! on_bytes(&mut conn, &mut request)?;
//! assert!(conn.outgoing().starts_with(b"HTTP/1.1 101 "));
//! conn.advance(conn.outgoing().len()); // written
//!
//! on_bytes(&mut conn, &mut b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".clone())?;
//! assert_eq!(conn.outgoing(), b"\x81\x05Hello");
//! # Ok::<(), UsageError>(())
//! ```
//!
//! # Examples
//!
//! The programs in `docs/examples`, in the repository and in the package:
//!
//! | `cargo run --release --example` | what it shows |
//! |---|---|
//! | `echo` | the loop as a whole program, the README's; one thread per connection |
//! | `playground` | a web page that shows each frame of a browser, on the same port; many connections in one thread |
//! | `echo_server` | one thread per connection, timeouts, compression |
//! | `echo_threads` | two threads per connection: one reads while the other writes |
//! | `echo_poll` | one thread and one read buffer for thousands of connections, backpressure, keepalive |
//! | `echo_tokio` | the driver for tokio: compression, keepalive, a timeout |
//! | `chat_tokio` | two halves on tokio, broadcast of messages encoded once, an Origin policy |
//! | `client` | a client at a terminal or in a pipe |
//! | `decode` | captured bytes, frame by frame, with each violation of the protocol |
//! | `proxy` | frames passed on as they come, compressed ones too, with backpressure in both directions |
//! | `million` | memory and speed of a million connections in one process |
//! | `autobahn_client` | the client of the Autobahn TestSuite |
//!
//! `docs/examples/hyper`, `axum`, `h2` and `h3`, in the repository, are packages of their own: programs on other HTTP
//! stacks. So are `redis_chat`, a chat whose rooms span several machines, and `subprotocols`, for MQTT and GraphQL.
//!
//! # Whose mistake it is
//!
//! A mistake of the peer is not an error of a call. The connection queues the Close frame or HTTP response that the RFC
//! requires, and [`Event::Closed`] reports the mistake as a [`ProtocolError`]. A mistake that only your program can see
//! ends the connection in the same way if you call [`fail`](Connection::fail). A mistake of the caller, a full queue,
//! or a failing source of entropy is a [`UsageError`]. A call that returns a `UsageError` has changed nothing.
//!
//! # Who owns what
//!
//! An event borrows from the bytes that were passed to [`receive`](Connection::receive), never from the connection. So
//! a received message can be sent while it is borrowed, on this connection or on another.
//!
//! | reading | a message that one read had whole | one that was cut |
//! |---|---|---|
//! | [`receive`](Connection::receive): one buffer serves any number of connections | is borrowed | is owned; [`recycle`](Connection::recycle) gives its memory back for the next |
//! | [`receive_from`](Connection::receive_from): a [`ReadBuffer`] for each connection | is borrowed | is borrowed, if it fits into the buffer and is neither fragmented nor compressed |
//!
//! | sending | the payload is |
//! |---|---|
//! | [`send`](Connection::send) | copied into the queue, or moved if it is owned and large |
//! | [`send_prepared`](Connection::send_prepared) | shared, on servers, if it is large |
//! | [`send_through`](Connection::send_through) | written from where it is, by a closure around your socket |
//!
//! # Features
//!
//! `std` (default): CPU detection at run time, [`Clock`], conversions to [`std::io`], and
//! [`drive::blocking`], a driver for sockets that block. `os-entropy` (default): the
//! operating system as the source of masking keys, see [`Entropy`]. `deflate` (default): permessage-deflate, which
//! [`ConfigBuilder::deflate`] turns on. Without these three features the crate is `no_std` with `alloc`.
//!
//! `tokio`: the module `drive::tokio`, a WebSocket over any `AsyncRead + AsyncWrite`. It needs the standard library.
//!
//! `http`: conversions from and to the types of the crate `http`, for the [`handshake`] in another HTTP stack.
//!
//! The other features are for tests of your own code. `proptest`: the module `strategies`, which generates messages,
//! streams and handshakes together with the expected result. `testing`: the module `testing`, with two ends on a
//! simulated wire and clock, a scripted peer, and checked scripts of calls. `arbitrary`: those scripts and the public
//! types, made from a fuzzer's bytes.

#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(feature = "std", feature = "deflate")),
    allow(rustdoc::broken_intra_doc_links, reason = "the pages name items of all features")
)]

extern crate alloc;
#[cfg(any(test, feature = "std", feature = "tokio"))]
extern crate std;

#[cfg(feature = "std")]
mod clock;
mod close;
mod close_code;
mod config;
mod connection;
mod counters;
#[cfg_attr(not(feature = "deflate"), path = "no_deflate.rs")]
mod deflate;
#[cfg(any(feature = "std", feature = "tokio"))]
pub mod drive;
mod entropy;
mod error;
mod event;
mod frame;
mod frame_payload;
pub mod handshake;
mod input;
mod last_use;
mod mask;
mod message;
mod receive;
mod send;
mod state;
#[cfg(feature = "proptest")]
pub mod strategies;
#[cfg(feature = "testing")]
pub mod testing;
mod timer;
mod timestamp;
mod upgrade;
mod utf8;

/// The shared pointer of configurations, prepared messages and sources of entropy: `Arc`, or `Rc` where there are no
/// atomics.
#[cfg(not(target_has_atomic = "ptr"))]
pub use alloc::rc::Rc as Shared;
/// The shared pointer of configurations, prepared messages and sources of entropy: `Arc`, or `Rc` where there are no
/// atomics.
#[cfg(target_has_atomic = "ptr")]
pub use alloc::sync::Arc as Shared;

#[cfg(feature = "std")]
pub use clock::Clock;
pub use close::{MAX_CLOSE_REASON_BYTES, cut_close_reason};
pub use close_code::CloseCode;
pub use config::{Config, ConfigBuilder, ConfigError, Delivery};
pub use connection::Connection;
pub use counters::{Counters, Traffic};
#[cfg(feature = "deflate")]
pub use deflate::{Deflate, DeflateParams};
pub use entropy::{Entropy, EntropyError};
pub use error::{ProtocolError, UsageError};
pub use event::{CloseCause, Closed, Event, Timeout};
pub use frame::{FrameHeader, MAX_CONTROL_BYTES, MAX_HEADER_BYTES, Opcode, RawHeader};
pub use frame_payload::FramePayload;
pub use handshake::accept::Accept;
pub use handshake::client_request::ClientRequest;
pub use handshake::error::HandshakeError;
pub use handshake::origin::{OriginError, OriginPolicy};
pub use handshake::refusal::Refusal;
pub use handshake::request::{PlainRequest, UpgradeRequest};
pub use handshake::response::Response;
pub use handshake::upgrade_response::UpgradeResponse;
pub use handshake::uri::{Uri, UriError};
pub use mask::apply_mask;
pub use message::{Chunk, Cut, Message, MessageKind};
pub use receive::ReadBuffer;
pub use send::{OutgoingChunks, PreparedMessage, Segment};
pub use state::{Role, State};
pub use timestamp::Timestamp;
pub use upgrade::Upgrade;

/// The page's examples are run with the tests.
#[cfg(all(doctest, feature = "arbitrary", feature = "proptest"))]
#[doc = include_str!("../docs/testing.md")]
struct TestingPage;

/// The guide's code is compiled with the tests.
#[cfg(all(doctest, feature = "deflate", feature = "os-entropy"))]
#[doc = include_str!("../docs/guide.md")]
struct Guide;

/// The page's code is compiled with the tests. `tests/migration/run` compiles that of the other libraries too.
#[cfg(all(doctest, feature = "http", feature = "os-entropy"))]
#[doc = include_str!("../docs/migration.md")]
struct Migration;

/// The README's programs are compiled with the tests.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
