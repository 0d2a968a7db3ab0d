//! Loops around a [`Connection`](crate::Connection), ready to use. A driver owns a transport and a connection: it reads
//! and writes, tells the time, and ends both in the right order. It opens no socket, resolves no name and speaks no
//! TLS: it takes a transport that is connected already.
//!
//! [`blocking`], with the feature `std`, drives a connection on one thread or two, over a socket that blocks.
//! [`tokio`](mod@tokio), with the feature `tokio`, drives a connection over any `AsyncRead + AsyncWrite`.
//!
//! The drivers use nothing but the public interface of this crate. A program with other needs can copy one.

#[cfg(feature = "std")]
pub mod blocking;
mod error;
mod input;
mod request;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use error::Error;
pub use request::Request;
