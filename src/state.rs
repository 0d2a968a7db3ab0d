//! The role of an endpoint and the state of a connection, as the caller sees them. The transitions between states are
//! in `connection.rs`.

use core::fmt;

/// The role of an endpoint (RFC 6455 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Role {
    /// The endpoint that opened the connection. It masks its frames.
    Client,
    /// The endpoint that accepted the connection. It does not mask its frames.
    Server,
}

/// The state of a connection, the `readyState` of WHATWG WebSockets. It never returns to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the standard's four states")]
pub enum State {
    /// The opening handshake is not complete.
    Connecting,
    /// Messages can be sent. After [`Event::CloseReceived`](crate::Event::CloseReceived) nothing more is received.
    Open,
    /// Our Close was queued, or [`write_closed`](crate::Connection::write_closed) was called. The peer's Close has not
    /// arrived.
    Closing,
    /// [`Event::Closed`](crate::Event::Closed) was reported, or is the next event.
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
