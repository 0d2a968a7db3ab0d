//! The configuration of a connection: limits, timeouts, how messages are delivered, the source of entropy. Any number
//! of connections share one value, which never changes.

use core::time::Duration;

use crate::entropy::Entropy;

/// Limits and choices of a connection. Usually all connections share one value in a [`Shared`](crate::Shared).
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
    /// How received messages are delivered. Default: [`Delivery::Messages`].
    pub delivery: Delivery,
    /// The most bytes of the head of a request or response, blank line included. Default: 16 KiB.
    pub max_head_bytes: usize,
    /// The most header lines of a request or response. Default: 64. While a head that came in pieces is judged, each of
    /// its lines takes 32 bytes: on the stack for up to 16 lines, on the heap for more.
    pub max_headers: usize,
    /// The most bytes behind a request that are buffered until the server has accepted or rejected it. Default: 64 KiB.
    pub max_early_bytes: usize,
    /// The most bytes of a refusal's body that a client stores. Default: 16 KiB.
    pub max_refusal_body_bytes: usize,
    /// The most payload bytes of one received frame. Default: 16 MiB. For a frame of a compressed message the limit is
    /// an eighth and 1 KiB higher, since compressing can make bytes longer. What it inflates to is limited by
    /// `max_message_bytes`.
    pub max_frame_bytes: u64,
    /// The most payload bytes of one received message, inflated if it is compressed. Default: 16 MiB. A single frame
    /// that exceeds it fails at its header. With [`Delivery::Chunks`] nothing is stored, so `u64::MAX` is possible.
    /// With [`Delivery::Messages`] it is at most 1 GiB on 32-bit targets.
    pub max_message_bytes: u64,
    /// The most frames of one received message, which bounds the work for empty frames. Default: 131,072.
    pub max_fragments: u32,
    /// The most bytes in the outgoing queue. A send that would exceed it returns an error. The application's headers
    /// and body in a request or response count, the lines of the handshake itself do not. A message to be compressed
    /// needs room for an eighth and 64 bytes more than its length. Each piece that is [taken
    /// out](crate::Connection::take_outgoing) counts 128 bytes more than its length. Default: 64 MiB. On 32-bit targets
    /// it is at most 1 GiB. Automatic pongs and the Close frame have limits of their own, so they are always queued.
    pub max_outgoing_bytes: u64,
    /// If the queue holds more bytes, [`is_writable`](crate::Connection::is_writable) becomes false. Default: 64 KiB.
    pub high_water_bytes: u64,
    /// If the queue holds at most this many bytes, [`is_writable`](crate::Connection::is_writable) becomes true again.
    /// Default: 16 KiB.
    pub low_water_bytes: u64,
    /// If this many pongs wait to be written or taken, those of [`pong`](crate::Connection::pong) included, only the
    /// latest of further pings is answered (RFC 6455 5.5.3). Default: 16; at least 1.
    pub max_queued_pongs: u8,
    /// The longest time from the first [`tick`](crate::Connection::tick) until the connection is open; `None` for no
    /// limit. Default: 10 s.
    pub handshake_timeout: Option<Duration>,
    /// The longest wait for the peer's Close once ours is written, and then again for the end of the transport; `None`
    /// for no limit. Default: 5 s. Until our Close, or the HTTP response that ends the connection, is written, it is
    /// the longest time in which the transport takes no bytes, so that a slow peer gets all that is queued.
    pub close_timeout: Option<Duration>,
    /// The longest silence of the peer before an open connection ends; `None` for no limit. Default: `None`. Silence
    /// also ends when the transport takes bytes from a backlog: an [`advance`](crate::Connection::advance) after one
    /// that left bytes. It does not end if all bytes are taken at once, in one write or in several before the next
    /// [`tick`](crate::Connection::tick), since a kernel takes those even if the peer is gone. While the connection
    /// [`is_congested`](crate::Connection::is_congested), silence does not count, since it may be us who do not read;
    /// then the connection ends if the transport takes nothing from the backlog for this long.
    pub idle_timeout: Option<Duration>,
    /// The silence of the peer after which a ping is sent, unless one waits to be written; `None` for no pings.
    /// Default: `None`. While the connection is congested, the time counts from when the transport last took bytes from
    /// the backlog. If [`idle_timeout`](Config::idle_timeout) is longer, a peer that answers is not disconnected.
    pub keepalive_interval: Option<Duration>,
    /// The time after which [`tick`](crate::Connection::tick) frees memory that was not used: buffers and codecs that a
    /// connection keeps for further messages. It is rounded up to 1/8 s, and is at most an hour. Default: 1 s.
    pub release_after: Duration,
    /// Whether a client fails the handshake if it offered subprotocols and the server chose none. Browsers do; RFC 6455
    /// allows the connection to go on. Default: `false`.
    pub require_subprotocol: bool,
    /// The options of permessage-deflate (RFC 7692); `None` if it is neither offered nor accepted. Default: `None`.
    #[cfg(feature = "deflate")]
    pub deflate: Option<crate::deflate::Deflate>,
    /// The source of masking keys and nonces; only clients use it. Default: [`Entropy::default`].
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

/// How received messages are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Delivery {
    /// Whole messages, as [`Event::Message`](crate::Event::Message).
    #[default]
    Messages,
    /// Pieces of messages as they arrive, as [`Event::Chunk`](crate::Event::Chunk). The memory does not depend on the
    /// size of a message.
    Chunks,
}
