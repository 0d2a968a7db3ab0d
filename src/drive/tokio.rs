//! A WebSocket over any transport of tokio: everything that is `AsyncRead + AsyncWrite + Unpin`, such as a `TcpStream`,
//! a TLS stream, or what another HTTP stack hands over. It needs the feature `tokio`.
//!
//! [`WebSocket::accept`] and [`WebSocket::connect`] do the opening handshake on a transport that is connected already.
//! [`Incoming`] does the server's in two steps: see the request, then answer it. [`WebSocket::from_upgrade`] goes on
//! after a handshake that was done elsewhere.
//!
//! ```
//! use std::time::Duration;
//! use tokio::net::{TcpListener, TcpStream};
//! use websocket_proto::drive::{Error, tokio::WebSocket};
//! use websocket_proto::{ClientRequest, Config};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! tokio::spawn(async move {
//!     let (stream, _) = listener.accept().await?;
//!     let mut ws = WebSocket::accept(stream, Config::default()).await?;
//!     while let Some(message) = ws.recv().await? {
//!         ws.send(message).await?;
//!     }
//!     Ok::<(), Error>(())
//! });
//!
//! let stream = TcpStream::connect(address).await?;
//! let request = ClientRequest::new(&format!("ws://{address}/")).expect("a valid URI");
//! let (mut ws, _response) = WebSocket::connect(stream, &request, Config::default()).await?;
//! ws.send("Hello").await?;
//! assert_eq!(ws.recv().await?.as_ref().and_then(|message| message.as_text()), Some("Hello"));
//! let closed = ws.close(1000, "").await?;
//! assert!(closed.is_clean());
//! # Ok(()) }
//! ```
//!
//! # Which call does what
//!
//! | call | reads | writes | returns |
//! |---|---|---|---|
//! | [`recv`](WebSocket::recv), `Stream` | until a message is whole | all that is queued, before it waits | an owned message |
//! | [`recv_event`](WebSocket::recv_event) | until there is an event | all that is queued, before it waits | an event that borrows the read buffer |
//! | [`send`](WebSocket::send) | nothing | all that is queued | when all is written |
//! | [`feed`](WebSocket::feed) | nothing | only if more than [`high_water_bytes`](crate::ConfigBuilder::high_water_bytes) are queued | when there is room |
//! | [`close`](WebSocket::close) | until the end, and drops messages | all that is queued | when the closing handshake is done |
//!
//! For many small messages, `feed` is several times as fast as `send`: one system call writes what was queued between
//! two waits.
//!
//! # What a dropped future leaves
//!
//! A message is queued by the call of `send` or `feed` itself, before the future is polled. Then it is sent exactly
//! once, also if the future is dropped: the next call that writes goes on where the last one stopped. In the same way
//! `close` queues its Close. `recv` takes a message only in the poll that returns it. So every method can stand in
//! `select!`, and nothing is lost or sent twice. The futures of [`accept`](WebSocket::accept),
//! [`connect`](WebSocket::connect) and [`Incoming`] own the transport and drop it with them.
//!
//! # Time
//!
//! The timeouts and keepalive pings of [`Config`](crate::Config) happen while a future of this module is polled. A
//! program that waits for something else should call [`recv`](WebSocket::recv) beside it, in `select!` or in another
//! task: it also answers pings. The runtime must have its timer enabled, or the first wait panics.
//!
//! # One thread, many connections
//!
//! A receiver that finds bytes each time lets the other tasks of its thread run after 256 events or 256 KiB, whichever
//! comes first. What was queued until then is written. So a peer that floods does not keep the others waiting. This also
//! holds for a loop that only calls `recv` and `feed`.
//!
//! # The end
//!
//! When the peer closes, `recv` finishes the closing handshake and returns `None`. [`closed`](WebSocket::closed) tells
//! code and reason. An end without a complete closing handshake is an [`Error`](super::Error).
//!
//! The driver shuts the transport down behind the last bytes. It does not if the transport was given up: by
//! [`abort`](crate::Connection::abort), after a failed read or write, or after a
//! [`close_timeout`](crate::ConfigBuilder::close_timeout) before the closing handshake was complete, or before the
//! transport took its last bytes. Then the drop is the end: of two halves, the second drop. TLS sends no close_notify
//! for it. A stream of HTTP/2 should send RST_STREAM (RFC 8441 5): [`into_transport`](WebSocket::into_transport) gives
//! it back.
//!
//! To drop a WebSocket drops its transport, and does nothing else: what is queued is not written, and the peer sees an
//! end without a Close (1006). Call [`close`](WebSocket::close) before.
//!
//! # Memory
//!
//! All connections of a thread read into one buffer of 128 KiB. A connection that waits for its peer has no read
//! buffer. Bytes that were read and wait for your program take a buffer of their size, or the thread's if they are more
//! than 8 KiB.

mod halves;
mod machine;
mod opening;
mod sink;
mod socket;
mod tasks;

pub use halves::{RecvHalf, SendHalf};
pub use opening::Incoming;
pub use socket::WebSocket;
