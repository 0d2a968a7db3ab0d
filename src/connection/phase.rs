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
/// close timeout, a failed or late handshake of a client, a `close` or `fail` in `Request` or `Response`, and a failed
/// write in `Request` or `Decision`. It also omits the following arrows. If the peer closes first, `Open` leads to
/// `Flushing` or `AwaitingEnd`, unless the caller answers by hand. If the write side has ended when the response
/// arrives, `Response` leads to `WriteClosed`. If the write side ends before our Close is written, `Closing` leads to
/// `WriteClosed`, and `Draining` leads to `Finished`. `Flushing`, `AwaitingEnd` and `Draining` may be the last phase:
/// `is_finished` tells when the transport can be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Server: the request's head is being read.
    Request,
    /// Server: the caller decides about the request.
    Decision,
    /// Client: the response is being read.
    Response,
    /// The handshake is done.
    Open,
    /// The peer's Close has arrived, and the caller has not answered it. Messages can be sent (RFC 6455 5.5.1). Bytes
    /// that arrive are dropped.
    Answering,
    /// Our Close was queued; the peer's Close is expected.
    Closing,
    /// The write side of the transport has ended before our Close was written; the peer's Close is expected.
    WriteClosed,
    /// Closed: the server ends the transport as soon as the queue is written (RFC 6455 7.1.1).
    Flushing,
    /// Closed: the client waits for the server to end the transport (RFC 6455 7.1.1).
    AwaitingEnd,
    /// Closed by a failure or refusal. The server shuts its side down once the queue is written. Both roles drop the
    /// bytes that arrive until the transport ends. These bytes must be read: a transport that is closed with unread
    /// bytes also loses bytes that we have sent.
    Draining,
    /// The transport can be dropped.
    Finished,
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
