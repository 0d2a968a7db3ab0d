//! A WebSocket over a transport that blocks, such as a [`TcpStream`](std::net::TcpStream) or a TLS stream on one: on
//! one thread, or on two. It needs the feature `std`. [`Transport`] tells what a transport must be able to do.
//!
//! [`WebSocket::accept`] and [`WebSocket::connect`] do the opening handshake on a transport that is connected already.
//! [`Incoming`] does the server's in two steps: see the request, then answer it. [`WebSocket::from_upgrade`] goes on
//! after a handshake that was done elsewhere.
//!
//! ```
//! use std::net::{TcpListener, TcpStream};
//! use std::thread;
//! use websocket_proto::drive::{Error, blocking::WebSocket};
//! use websocket_proto::{ClientRequest, Config};
//!
//! # fn main() -> Result<(), Error> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! thread::spawn(move || {
//!     let (stream, _) = listener.accept()?;
//!     let mut ws = WebSocket::accept(stream, Config::default())?;
//!     while let Some(message) = ws.recv()? {
//!         ws.feed(message)?; // written when `recv` waits
//!     }
//!     Ok::<(), Error>(())
//! });
//!
//! let stream = TcpStream::connect(address)?;
//! let request = ClientRequest::new(&format!("ws://{address}/")).expect("a valid URI");
//! let (mut ws, _response) = WebSocket::connect(stream, &request, Config::default())?;
//! ws.send("Hello")?;
//! assert_eq!(ws.recv()?.as_ref().and_then(|message| message.as_text()), Some("Hello"));
//! let closed = ws.close(1000, "")?;
//! assert!(closed.is_clean());
//! # Ok(()) }
//! ```
//!
//! # Which call does what
//!
//! | call | reads | writes | returns |
//! |---|---|---|---|
//! | [`recv`](WebSocket::recv) | until a message is whole | all that is queued, before it waits | an owned message |
//! | [`recv_event`](WebSocket::recv_event) | until there is an event | all that is queued, before it waits | an event that borrows the read buffer |
//! | [`wait`](WebSocket::wait) | until there is an event | all that is queued, before it waits | whether there is an event, after a limited time |
//! | [`send`](WebSocket::send) | nothing | all that is queued | when all is written |
//! | [`feed`](WebSocket::feed) | nothing | only if more than [`high_water_bytes`](crate::ConfigBuilder::high_water_bytes) are queued | when there is room |
//! | [`close`](WebSocket::close) | until the end, and drops messages | all that is queued | when the closing handshake is done |
//!
//! For many small messages, `feed` is several times as fast as `send`: one system call writes what was queued between
//! two waits.
//!
//! # One thread or two
//!
//! A thread in `send` reads nothing. If both ends send more than the sockets hold before they receive, both wait for
//! each other, until [`idle_timeout`](crate::ConfigBuilder::idle_timeout) if there is one. A thread in `recv` serves
//! both directions: while the peer does not read, it goes on reading. So a program on one thread that must not stand
//! still queues large messages by [`with`](WebSocket::with), and calls `recv`.
//!
//! This needs a transport that [limits its writes](Transport::set_write_timeout). A `TcpStream` on Windows does not.
//! There a write to a peer that does not read waits without an end, and no timeout passes: use two threads.
//!
//! [`WebSocket::split`] makes two halves for two threads, each with its own handle of the transport. A lock guards the
//! connection, and is never held while the transport waits. The thread that finds bytes to write writes them, and also
//! those that the other one queues meanwhile. So pongs go out while a long message is written, between two frames.
//!
//! # Time
//!
//! The timeouts and keepalive pings of [`Config`](crate::Config) happen while a call of this module runs. The driver
//! sets the timeouts of the transport: reads wait until the connection needs the time, writes at most 50 ms if the
//! transport can limit them. An operation that has timed out is repeated; only `wait` returns. A program that waits for
//! something else must call `wait` or `recv` now and then, which also answers pings.
//!
//! # The end
//!
//! When the peer closes, `recv` finishes the closing handshake and returns `None`. [`closed`](WebSocket::closed) tells
//! code and reason. An end without a complete closing handshake is an [`Error`](super::Error).
//!
//! The driver shuts the transport down behind the last bytes. It does not if the transport was given up: by
//! [`abort`](crate::Connection::abort), after a failed read or write, or after a
//! [`close_timeout`](crate::ConfigBuilder::close_timeout) before the closing handshake was complete, or before the
//! transport took its last bytes. Then the drop is the end. TLS sends no close_notify for it.
//!
//! To drop a WebSocket drops its transport, and does nothing else: what is queued is not written, and the peer sees an
//! end without a Close (1006). Call [`close`](WebSocket::close) before. Of two halves, the second drop ends the
//! transport.
//!
//! # Memory
//!
//! Each thread has one read buffer of 128 KiB for all its connections. Bytes that were read and wait for your program
//! take a buffer of their size, or the thread's if they are more than 8 KiB.

mod halves;
mod incoming;
mod line;
mod machine;
mod socket;
mod transport;

pub use halves::{RecvHalf, SendHalf};
pub use incoming::Incoming;
pub use socket::WebSocket;
pub use transport::Transport;
