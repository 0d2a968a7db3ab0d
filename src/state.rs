//! The words for the two ends of a connection, and for how far it is. What leads from one state to the next is the
//! connection's business.

use core::fmt;

/// Which side of the connection this is (RFC 6455 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Role {
    /// The side that opened the connection: it masks its frames.
    Client,
    /// The side that accepted it.
    Server,
}

/// How far a connection is; it never goes back (WHATWG WebSockets, `readyState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the standard's four states")]
pub enum State {
    /// The opening handshake is not complete.
    Connecting,
    /// Messages can be sent.
    Open,
    /// Our Close was queued, the peer's has not arrived.
    Closing,
    /// [`Event::Closed`](crate::Event::Closed) was reported, or will be next.
    Closed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Connecting => "connecting",
            State::Open => "open",
            State::Closing => "closing",
            State::Closed => "closed",
        })
    }
}
