//! What a connection is told once: limits, timeouts, the way to receive, the source of entropy. One value is
//! shared by any number of connections; nothing in it changes while they live.

use core::time::Duration;

use crate::entropy::Entropy;

/// Limits and choices of a connection, usually one [`Shared`](crate::Shared) value for all of them.
///
/// ```
/// use websocket_proto::{Config, Connection, Shared};
///
/// let mut config = Config::default();
/// config.max_message_bytes = 64 * 1024;
/// let config = Shared::new(config);
/// let a = Connection::server(config.clone());
/// let b = Connection::server(config);
/// ```
///
/// | limit | default | when it is exceeded |
/// |---|---|---|
/// | [`max_head_bytes`](Config::max_head_bytes) | 16 KiB | 431 (414 within the request line); a client fails |
/// | [`max_headers`](Config::max_headers) | 64 | 431; a client fails |
/// | [`max_early_bytes`](Config::max_early_bytes) | 64 KiB | 400 |
/// | [`max_refusal_body_bytes`](Config::max_refusal_body_bytes) | 16 KiB | the rest is left out |
/// | [`max_frame_bytes`](Config::max_frame_bytes), of a compressed frame an eighth and 1 KiB more | 16 MiB | close code 1009 |
/// | [`max_message_bytes`](Config::max_message_bytes) | 16 MiB | close code 1009 |
/// | [`max_fragments`](Config::max_fragments) | 131,072 | close code 1008 |
/// | [`max_outgoing_bytes`](Config::max_outgoing_bytes) | 64 MiB | [`UsageError::BufferFull`](crate::UsageError::BufferFull) |
/// | [`max_queued_pongs`](Config::max_queued_pongs) | 16 | only the latest ping is answered |
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// How received messages are handed over. Default: [`Delivery::Messages`].
    pub delivery: Delivery,
    /// Bytes of a request's or response's head, blank line included. Default: 16 KiB.
    pub max_head_bytes: usize,
    /// Header lines of a request or response. Default: 64. While a head that comes in pieces is judged, each line that
    /// is there takes 32 bytes: on the stack up to 16 lines, on the heap for more.
    pub max_headers: usize,
    /// Bytes that a client sent after its request, kept while the server has not decided. Default: 64 KiB.
    pub max_early_bytes: usize,
    /// Bytes of the body of a refusal that a client keeps. Default: 16 KiB.
    pub max_refusal_body_bytes: usize,
    /// Payload bytes of one received frame. Default: 16 MiB. A frame of a compressed message may have an eighth of this
    /// and 1 KiB more, since what does not compress grows; what it inflates to is limited as a message.
    pub max_frame_bytes: u64,
    /// Payload bytes of one received message, inflated if it is compressed. Default: 16 MiB. A single frame over it
    /// fails, too, at its header. In [`Delivery::Chunks`]
    /// nothing is stored, so that `u64::MAX` is a fair choice. In [`Delivery::Messages`] it is 1 GiB at most on 32-bit
    /// targets.
    pub max_message_bytes: u64,
    /// Frames of one received message: it bounds the work spent on empty ones. Default: 131,072.
    pub max_fragments: u32,
    /// Bytes in the outgoing queue; a send that would exceed it is refused. So are headers and a body of the
    /// application in a request or response; the lines of the handshake itself do not count. A message that is to be
    /// compressed needs room for an eighth and 64 bytes more than its length. Each piece that is
    /// [taken out](crate::Connection::take_outgoing) counts 128 bytes more than it has. Default: 64 MiB. On 32-bit
    /// targets at most 1 GiB. Automatic pongs and the Close frame have limits of their own, so they are always
    /// queued.
    pub max_outgoing_bytes: u64,
    /// [`is_writable`](crate::Connection::is_writable) turns false when the queue holds more. Default: 64 KiB.
    pub high_water_bytes: u64,
    /// [`is_writable`](crate::Connection::is_writable) turns true again at or below it. Default: 16 KiB.
    pub low_water_bytes: u64,
    /// Pongs waiting to be written or taken, those of [`pong`](crate::Connection::pong) included, from which on only
    /// the latest ping is answered (RFC 6455 5.5.3). Default: 16; at least 1.
    pub max_queued_pongs: u8,
    /// From the first [`tick`](crate::Connection::tick) to an open connection; `None`: no limit. Default: 10 s.
    pub handshake_timeout: Option<Duration>,
    /// How long to wait for the peer's Close once ours is written, and then as long again for the end of the transport;
    /// `None`: no limit. Default: 5 s. Before our Close, or the HTTP response that ends the connection, is written, it
    /// is the longest time in which the transport takes nothing of what is queued: a slow peer gets all of it.
    pub close_timeout: Option<Duration>,
    /// Silence of the peer after which an open connection is given up; `None`: no limit. Default: `None`. Bytes that
    /// the transport takes from a backlog (an [`advance`](crate::Connection::advance) after one that left bytes) are a
    /// sign of life too. Bytes that it takes at once are none, since a kernel also takes them for a peer that is gone:
    /// neither in one write, nor in several before the next [`tick`](crate::Connection::tick) that leave nothing.
    /// While the connection [`is_congested`](crate::Connection::is_congested), the peer's silence does not count, since
    /// we may be the ones who do not read. A backlog of which nothing is taken for this long ends the connection then.
    pub idle_timeout: Option<Duration>,
    /// Silence of the peer after which a ping is sent, unless one waits to be written; `None`: never. Default: `None`.
    /// While the connection is congested, the time counts since the transport last took bytes of the backlog.
    /// With an [`idle_timeout`](Config::idle_timeout) above it, a peer that answers stays.
    pub keepalive_interval: Option<Duration>,
    /// Memory that a connection keeps for what comes next (buffers, codecs) is freed when it was not used for so long,
    /// as [`tick`](crate::Connection::tick) tells the time: rounded up to 1/8 s, and an hour at the most. Default: 1
    /// s.
    pub release_after: Duration,
    /// A client fails the handshake if it offered subprotocols and the server chose none, as browsers do; RFC 6455
    /// lets it go on. Default: `false`.
    pub require_subprotocol: bool,
    /// Offers and accepts permessage-deflate (RFC 7692); `None`: it is neither offered nor accepted. Default: `None`.
    #[cfg(feature = "deflate")]
    pub deflate: Option<crate::deflate::Deflate>,
    /// Where masking keys and nonces come from; used by clients only. Default: [`Entropy::default`].
    pub entropy: Entropy,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            delivery: Delivery::Messages,
            max_head_bytes: 16 * 1024,
            max_headers: 64,
            max_early_bytes: 64 * 1024,
            max_refusal_body_bytes: 16 * 1024,
            max_frame_bytes: 16 * 1024 * 1024,
            max_message_bytes: 16 * 1024 * 1024,
            max_fragments: 128 * 1024,
            max_outgoing_bytes: 64 * 1024 * 1024,
            high_water_bytes: 64 * 1024,
            low_water_bytes: 16 * 1024,
            max_queued_pongs: 16,
            handshake_timeout: Some(Duration::from_secs(10)),
            close_timeout: Some(Duration::from_secs(5)),
            idle_timeout: None,
            keepalive_interval: None,
            release_after: Duration::from_secs(1),
            require_subprotocol: false,
            #[cfg(feature = "deflate")]
            deflate: None,
            entropy: Entropy::default(),
        }
    }
}

/// How received messages are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Delivery {
    /// Each message whole, as [`Event::Message`](crate::Event::Message).
    #[default]
    Messages,
    /// Each message in pieces as they arrive, as [`Event::Chunk`](crate::Event::Chunk): constant memory for a
    /// message of any size.
    Chunks,
}
