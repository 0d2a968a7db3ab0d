//! The configuration of a connection: limits, timeouts, how messages are delivered, the source of entropy. Connections
//! share one value, which never changes.

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
    /// The most header lines of a request or response. Default: 64. Parsing a head that came in pieces takes 32 bytes
    /// for each of its lines. These bytes are on the stack for up to 16 lines, and on the heap for more.
    pub max_headers: usize,
    /// The most bytes behind a request that are buffered until the server has accepted or rejected it. Default: 64 KiB.
    pub max_early_bytes: usize,
    /// The most bytes of a refusal's body that a client stores. Default: 16 KiB.
    pub max_refusal_body_bytes: usize,
    /// The most payload bytes of one received frame. Default: 16 MiB. For a frame of a compressed message the limit is
    /// an eighth and 1 KiB higher, since compressing can make data longer. `max_message_bytes` limits the inflated
    /// size.
    pub max_frame_bytes: u64,
    /// The most payload bytes of one received message. A compressed message counts with its inflated size. Default: 16
    /// MiB. If the frames of a message that is not compressed declare more, the connection fails at the header that
    /// exceeds the limit. With [`Delivery::Chunks`] the message is not stored, so `u64::MAX` is possible. With
    /// [`Delivery::Messages`] it is at most 1 GiB on 32-bit targets.
    pub max_message_bytes: u64,
    /// The most frames of one received message. This limits the work for empty frames. Default: 131,072.
    pub max_fragments: u32,
    /// The most bytes in the outgoing queue. A send that would exceed it returns an error. In a request or response,
    /// only the application's headers and body count. A message that is compressed needs room for an eighth and 64
    /// bytes more than its length. A piece that was [taken](crate::Connection::take_outgoing) counts 128 bytes more
    /// than its length until it is written. Automatic pongs and the Close frame have limits of their own, so they are
    /// always queued. Default: 64 MiB. On 32-bit targets it is at most 1 GiB.
    pub max_outgoing_bytes: u64,
    /// If the queue holds more bytes, [`is_writable`](crate::Connection::is_writable) becomes false. Default: 64 KiB.
    pub high_water_bytes: u64,
    /// If the queue holds at most this many bytes, [`is_writable`](crate::Connection::is_writable) becomes true again.
    /// Default: 16 KiB.
    pub low_water_bytes: u64,
    /// Limits two numbers. First, the pongs in the queue, those of [`pong`](crate::Connection::pong) included. If there
    /// are this many, the answer to a further ping replaces the latest answer in the queue, so only the latest ping is
    /// answered (RFC 6455 5.5.3). Second, the pongs that were [taken](crate::Connection::take_outgoing) and are not
    /// written. If there are this many, no further control frames can be taken. Default: 16; at least 1.
    pub max_queued_pongs: u8,
    /// The longest time from the first [`tick`](crate::Connection::tick) until the connection is open; `None` for no
    /// limit. Default: 10 s.
    pub handshake_timeout: Option<Duration>,
    /// Limits each wait of a connection that ends; `None` for no limit. Default: 5 s. The first wait is for the
    /// transport to take queued bytes, until our Close or our last HTTP response is written. It starts again whenever
    /// the transport takes bytes other than pings and pongs, so a slow peer receives the whole queue. The second wait
    /// is for the peer's Close. The third wait is for the end of the transport.
    pub close_timeout: Option<Duration>,
    /// The longest silence of the peer before an open connection ends; `None` for no limit. Default: `None`. Received
    /// bytes end the silence. Bytes that the transport takes from a backlog end it too. A backlog is what an
    /// [`advance`](crate::Connection::advance) leaves in the queue. If all of it is written before the next
    /// [`tick`](crate::Connection::tick), it does not count as a backlog, since a kernel takes such bytes even if the
    /// peer is gone.
    ///
    /// While the connection [`is_congested`](crate::Connection::is_congested), the silence of the peer does not count,
    /// since the caller may have stopped reading. The connection then ends if the transport takes no bytes from the
    /// backlog for this time. Pings and pongs do not count as such bytes.
    pub idle_timeout: Option<Duration>,
    /// The silence of the peer after which a ping is sent, unless a ping is queued already; `None` for no pings.
    /// Default: `None`. While the connection is congested, the time since the transport last took bytes from the
    /// backlog is measured instead. If [`idle_timeout`](Config::idle_timeout) is longer than this interval, a peer that
    /// answers pings is not disconnected.
    pub keepalive_interval: Option<Duration>,
    /// The time after which [`tick`](crate::Connection::tick) frees unused memory: buffers and codecs for further
    /// messages. It is rounded up to 1/8 s, and is at most an hour. Default: 1 s.
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
    /// Pieces of messages as they arrive, as [`Event::Chunk`](crate::Event::Chunk). The size of a message does not
    /// affect how much memory is used.
    Chunks,
}
