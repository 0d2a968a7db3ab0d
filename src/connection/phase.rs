//! The phases of a connection, and their order.

use crate::state::State;

/// Where a connection is:
///
/// ```text
/// server  Request ─► Decision ─┐                                    the peer's Close has arrived
///                              ├─► Open ─┬─► Closing ───────┬─► Flushing (server) ─────┐
/// client  Response ────────────┘         ├─► WriteClosed ───┼─► AwaitingEnd (client) ──┼─► Finished
///                                        └─► Answering ─────┘                          │
/// any but Answering, failed, refused, rejected or idle too long ────► Draining ────────┘
/// ```
///
/// The diagram omits what leads to `Finished` at once: `abort`, the end of the transport before the peer's Close, the
/// close timeout, a failed or late handshake of a client, a `close` or `fail` in `Request` or `Response`, a failed
/// write in `Request` or `Decision`, and a failure in `WriteClosed`. It also omits the following arrows. If the peer
/// closes first, `Open` leads to `Flushing` or `AwaitingEnd`, unless the caller answers by hand. If the write side has
/// ended when the response arrives, `Response` leads to `WriteClosed`. If the write side ends before our Close is
/// written, `Closing` leads to `WriteClosed`, and `Draining` leads to `Finished`. `Flushing`, `AwaitingEnd` and
/// `Draining` may be the last phase: `is_finished` tells when the transport can be dropped.
///
/// The phases in which messages can be sent have neighboring numbers, and so have those in which frames are received.
/// One comparison then tells them from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Server: the request's head is being read.
    Request = 4,
    /// Server: the caller decides about the request.
    Decision = 5,
    /// Client: the response is being read.
    Response = 6,
    /// The handshake is done.
    Open = 1,
    /// The peer's Close has arrived, and the caller has not answered it. Messages can be sent (RFC 6455 5.5.1). Bytes
    /// that arrive are dropped.
    Answering = 0,
    /// Our Close was queued; the peer's Close is expected.
    Closing = 2,
    /// The write side of the transport has ended before our Close was written; the peer's Close is expected.
    WriteClosed = 3,
    /// Closed: the server ends the transport as soon as the queue is written (RFC 6455 7.1.1).
    Flushing = 7,
    /// Closed: the client waits for the server to end the transport (RFC 6455 7.1.1).
    AwaitingEnd = 8,
    /// Closed by a failure or refusal. The server shuts its side down once the queue is written. Both roles drop the
    /// bytes that arrive until the transport ends. These bytes must be read: a transport that is closed with unread
    /// bytes also loses bytes that we have sent.
    Draining = 9,
    /// The transport can be dropped.
    Finished = 10,
}

impl Phase {
    pub(super) fn state(self) -> State {
        match self {
            Phase::Request | Phase::Decision | Phase::Response => State::Connecting,
            Phase::Open | Phase::Answering => State::Open,
            Phase::Closing | Phase::WriteClosed => State::Closing,
            Phase::Flushing | Phase::AwaitingEnd | Phase::Draining | Phase::Finished => {
                State::Closed
            }
        }
    }

    /// Whether frames are received.
    pub(super) fn receives_frames(self) -> bool {
        matches!(self, Phase::Open | Phase::Closing | Phase::WriteClosed)
    }

    /// Whether messages can be sent.
    #[inline]
    pub(super) fn sends_messages(self) -> bool {
        matches!(self, Phase::Open | Phase::Answering)
    }
}
