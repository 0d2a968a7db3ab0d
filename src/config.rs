//! The configuration of a connection: limits, timeouts, how messages are delivered, the source of entropy. Connections
//! share one value, which never changes. Which values are allowed is decided in `config/check.rs`.

mod check;

pub use check::ConfigError;

use core::fmt;
use core::time::Duration;

#[cfg(feature = "deflate")]
use crate::deflate::Deflate;
use crate::entropy::Entropy;

/// The quick way of the receiver does not check the limits of frames and messages for payloads of at most this size.
pub(crate) const UNCHECKED_BYTES: usize = 125;

/// Defines the settings: for each one a field, its default, a getter of [`Config`] and a setter of [`ConfigBuilder`].
/// The comment above a setting is for the getter's page. Two strings follow the default. The first one completes
/// "Returns …" and "Sets …". The second one gives the default and the allowed values.
macro_rules! settings {
    ($(
        $(#[doc = $more:literal])*
        $(#[cfg($cfg:meta)])?
        $name:ident: $type:ident $(<$of:ident>)? = $default:expr, $what:literal, $values:literal;
    )*) => {
        /// Limits and choices of a connection. Usually all connections share one value in a
        /// [`Shared`](crate::Shared).
        ///
        /// [`default`](Config::default) has the defaults below. [`builder`](Config::builder) changes some of them, and
        /// checks that the result makes sense.
        ///
        /// ```
        /// use core::time::Duration;
        /// use websocket_proto::{Config, ConfigError, Connection, Shared};
        ///
        /// let config = Config::builder()
        ///     .max_message_bytes(64 * 1024)
        ///     .idle_timeout(Duration::from_secs(60))
        ///     .build()?;
        /// let config = Shared::new(config);
        /// let a = Connection::server(config.clone());
        /// let b = Connection::server(config);
        /// # Ok::<(), ConfigError>(())
        /// ```
        ///
        #[doc = include_str!("../docs/settings.md")]
        #[derive(Clone)]
        #[doc(alias("WebSocketConfig", "max_message_size", "max_frame_size", "max_write_buffer_size"))]
        pub struct Config {
            $( $(#[cfg($cfg)])? pub(crate) $name: $type $(<$of>)?, )*
            /// If the queue holds at most this many bytes together with a message, the message is one frame and needs
            /// no further check. [`Config::derive`] sets this and the next two fields.
            pub(crate) one_frame_room: u64,
            /// Whether messages may be received by the quick way.
            pub(crate) is_quick: bool,
            /// Whether frames are received by a loop of their own: they are delivered as chunks or as they are, or they
            /// are counted.
            pub(crate) receives_apart: bool,
        }

        impl Default for Config {
            fn default() -> Self {
                let mut config = Config {
                    $( $(#[cfg($cfg)])? $name: $default, )*
                    one_frame_room: 0,
                    is_quick: false,
                    receives_apart: false,
                };
                config.derive();
                config
            }
        }

        /// Shows the settings.
        impl fmt::Debug for Config {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut f = f.debug_struct("Config");
                $( $(#[cfg($cfg)])? f.field(stringify!($name), &self.$name); )*
                f.finish()
            }
        }

        impl Config {
            /// Returns a builder with the defaults.
            pub fn builder() -> ConfigBuilder {
                ConfigBuilder::default()
            }

            /// Returns a builder with the values of this configuration. A water mark that equals its default counts as
            /// not set, so that it follows changes of the limits above it.
            pub fn to_builder(&self) -> ConfigBuilder {
                ConfigBuilder {
                    config: self.clone(),
                    has_high_water: self.high_water_bytes != self.default_high_water(),
                    has_low_water: self.low_water_bytes != self.default_low_water(),
                }
            }

            $(
                $(#[cfg($cfg)])?
                getter! {
                    #[doc = concat!("Returns ", $what, ". ", $values)]
                    $(#[doc = $more])*
                    $name: $type $(<$of>)?
                }
            )*
        }

        impl ConfigBuilder {
            $(
                $(#[cfg($cfg)])?
                setter! {
                    #[doc = concat!("Sets ", $what, ". ", $values, " See [`Config::", stringify!($name), "`].")]
                    $name: $type $(<$of>)?
                }
            )*

            /// Checks the values, and returns the configuration.
            ///
            /// # Errors
            ///
            /// [`ConfigError`] names the first setting whose value is not allowed, or two settings that contradict each
            /// other. The table of [`Config`] lists the allowed values.
            pub fn build(self) -> Result<Config, ConfigError> {
                let mut config = self.config;
                if !self.has_high_water {
                    config.high_water_bytes = config.default_high_water();
                }
                if !self.has_low_water {
                    config.low_water_bytes = config.default_low_water();
                }
                config.check()?;
                config.derive();
                Ok(config)
            }
        }
    };
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident: Option<Deflate>) => {
        $(#[$doc])*
        pub fn $name(&self) -> Option<&Deflate> {
            self.$name.as_ref()
        }
    };
    ($(#[$doc:meta])* $name:ident: Entropy) => {
        $(#[$doc])*
        pub fn $name(&self) -> &Entropy {
            &self.$name
        }
    };
    ($(#[$doc:meta])* $name:ident: $type:ty) => {
        $(#[$doc])*
        pub fn $name(&self) -> $type {
            self.$name
        }
    };
}

macro_rules! setter {
    ($(#[$doc:meta])* high_water_bytes: u64) => {
        $(#[$doc])*
        pub fn high_water_bytes(mut self, high_water_bytes: u64) -> Self {
            self.config.high_water_bytes = high_water_bytes;
            self.has_high_water = true;
            self
        }
    };
    ($(#[$doc:meta])* low_water_bytes: u64) => {
        $(#[$doc])*
        pub fn low_water_bytes(mut self, low_water_bytes: u64) -> Self {
            self.config.low_water_bytes = low_water_bytes;
            self.has_low_water = true;
            self
        }
    };
    ($(#[$doc:meta])* $name:ident: Option<$of:ident>) => {
        $(#[$doc])*
        pub fn $name(mut self, $name: impl Into<Option<$of>>) -> Self {
            self.config.$name = $name.into();
            self
        }
    };
    ($(#[$doc:meta])* $name:ident: $type:ty) => {
        $(#[$doc])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.config.$name = $name;
            self
        }
    };
}

/// Changes settings of a [`Config`]. [`build`](ConfigBuilder::build) checks them. The page of [`Config`] has a table of
/// the settings with their defaults and allowed values.
///
/// Setters of optional values take the value or an `Option` of it.
///
/// ```
/// use core::time::Duration;
/// use websocket_proto::{Config, ConfigError};
///
/// let config = Config::builder().close_timeout(None).idle_timeout(Duration::from_secs(60)).build()?;
/// assert_eq!((config.close_timeout(), config.idle_timeout()), (None, Some(Duration::from_secs(60))));
///
/// let error = config.to_builder().keepalive_interval(Duration::from_secs(60)).build().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "keepalive_interval is 60s, it must be at least 1 ms below idle_timeout, which is 60s"
/// );
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "`build` makes the configuration"]
pub struct ConfigBuilder {
    config: Config,
    /// Whether the water marks have other values than their defaults. Otherwise `build` lowers them to what the other
    /// settings allow.
    has_high_water: bool,
    has_low_water: bool,
}

settings! {
    delivery: Delivery = Delivery::Messages,
        "how received messages are delivered", "Default: [`Delivery::Messages`].";

    max_head_bytes: usize = 16 * 1024,
        "the most bytes of the head of a request or response, blank line included", "Default: 16 KiB; at least 1.";

    ///
    /// Parsing a head that came in pieces takes 32 bytes for each of its lines. These bytes are on the stack for up to
    /// 16 lines, and on the heap for more.
    max_headers: usize = 64,
        "the most header lines of a request or response", "Default: 64; at least 1.";

    max_early_bytes: usize = 64 * 1024,
        "the most bytes behind a request that are buffered until the server has accepted or rejected it",
        "Default: 64 KiB.";

    max_refusal_body_bytes: usize = 16 * 1024,
        "the most bytes of a refusal's body that a client stores", "Default: 16 KiB.";

    ///
    /// The client then returns each piece as [`Event::RefusalBody`](crate::Event::RefusalBody), without the chunked
    /// coding, and stores none of it. The body may have any size: it ends with the coding, with the transport, or when
    /// [`handshake_timeout`](Config::handshake_timeout) has passed. [`Event::Closed`](crate::Event::Closed) follows it.
    /// [`Connection::refusal`](crate::Connection::refusal) has the status and the headers before that.
    /// [`max_refusal_body_bytes`](Config::max_refusal_body_bytes) does not apply.
    ///
    /// ```
    /// use websocket_proto::{ClientRequest, Config, Connection, Event};
    ///
    /// let config = Config::builder().stream_refusal_body(true).build()?;
    /// let mut conn = Connection::client(&ClientRequest::new("ws://example.com/")?, config)?;
    /// let mut bytes = *b"HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\nit broke!";
    /// let mut input = &mut bytes[..];
    /// let (mut page, mut status) = (Vec::new(), None);
    /// while let Some(event) = conn.receive(&mut input) {
    ///     match event {
    ///         Event::RefusalBody(piece) => page.extend_from_slice(&piece), // to a file, for example
    ///         Event::Closed(closed) => status = closed.refusal().map(|refusal| refusal.status()),
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!((page, status), (b"it broke!".to_vec(), Some(500)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    stream_refusal_body: bool = false,
        "whether a client delivers the body of a refusal in pieces, as it arrives", "Default: `false`.";

    ///
    /// For a frame of a compressed message the limit is an eighth and 1 KiB higher, since compressing can make data
    /// longer. [`max_message_bytes`](Config::max_message_bytes) limits the inflated size.
    max_frame_bytes: u64 = 16 * 1024 * 1024,
        "the most payload bytes of one received frame", "Default: 16 MiB; at least 1.";

    ///
    /// A compressed message counts with its inflated size. For a message that is not compressed, the declared lengths
    /// of its frames are added up. The connection fails at the header with which the sum exceeds the limit. With
    /// [`Delivery::Chunks`] or [`Delivery::Frames`] the message is not stored, so `u64::MAX` is possible. With
    /// [`Delivery::Messages`] the limit is below 1 GiB on 32-bit targets. With [`Delivery::Frames`] nothing is
    /// inflated, so the size of a compressed message has no limit, only its frames have.
    max_message_bytes: u64 = 16 * 1024 * 1024,
        "the most payload bytes of one received message", "Default: 16 MiB; at least 1.";

    ///
    /// This limits the work for empty frames.
    max_fragments: u32 = 128 * 1024,
        "the most frames of one received message", "Default: 131,072; at least 1.";

    ///
    /// A send that would exceed the limit returns an error. In a request or response, only the application's headers
    /// and body count. A message that is compressed needs room for an eighth and 64 bytes more than its length. A piece
    /// that was [taken](crate::Connection::take_outgoing) counts 128 bytes more than its length until it is written.
    /// Automatic pongs and the Close frame have limits of their own, so they are always queued. What waits for the end
    /// of an [unfinished frame](crate::Connection::unfinished_frame) does not count against the payload of this frame,
    /// so that the frame can end. What another HTTP stack sends is not in this queue, so a head that is made for one
    /// has no limit. On 32-bit targets the limit is below 1 GiB.
    max_outgoing_bytes: u64 = 64 * 1024 * 1024,
        "the most bytes in the outgoing queue",
        "Default: 64 MiB; at least 1. If you set [`high_water_bytes`](Config::high_water_bytes), at least that value.";

    ///
    /// A larger payload is cut into frames (RFC 6455 5.4) when it is queued, so that pings and pongs need not wait for
    /// all of it, and for peers that refuse large frames. Pings and pongs go before the next frame that is neither
    /// taken nor partly written. A Close still goes behind the messages that were queued before it. A compressed
    /// message is cut behind the compressor, so the limit holds for the payload on the wire. Control frames are never
    /// cut: they have at most 125 bytes (RFC 6455 5.5). Each frame needs 14 bytes of room in the queue beside its
    /// payload. A payload that is cut is copied.
    ///
    /// ```
    /// use websocket_proto::{Config, ConfigError, Connection, Role};
    ///
    /// let config = Config::builder().max_outgoing_frame_bytes(3).build()?;
    /// let mut conn = Connection::from_upgrade(Role::Server, config).expect("a server needs no keys");
    /// conn.send("Hello").expect("the queue has room");
    /// assert_eq!(conn.outgoing(), b"\x01\x03Hel\x80\x02lo");
    /// # Ok::<(), ConfigError>(())
    /// ```
    max_outgoing_frame_bytes: usize = usize::MAX,
        "the most payload bytes of one frame of a message that is sent", "Default: no limit, `usize::MAX`; at least 1.";

    ///
    /// If the queue holds more bytes, [`is_writable`](crate::Connection::is_writable) becomes false.
    high_water_bytes: u64 = 64 * 1024,
        "the bytes in the queue above which the connection is congested",
        "Default: 64 KiB, or `max_outgoing_bytes` if that is less. At most [`max_outgoing_bytes`](Config::max_outgoing_bytes).";

    ///
    /// If the queue holds at most this many bytes, [`is_writable`](crate::Connection::is_writable) becomes true again.
    low_water_bytes: u64 = 16 * 1024,
        "the bytes in the queue at which congestion ends",
        "Default: 16 KiB, or `high_water_bytes` if that is less. At most [`high_water_bytes`](Config::high_water_bytes).";

    ///
    /// It limits two numbers. First, the pongs in the queue. Those that you send with [`pong`](crate::Connection::pong)
    /// are counted, but never refused or replaced because of this limit. If there are this many, the answer to a
    /// further ping replaces the latest answer in the queue, so only the latest ping is answered (RFC 6455 5.5.3).
    /// Second, the pongs that were taken and are not written. [`take_outgoing`](crate::Connection::take_outgoing)
    /// explains what it does at this limit. [`pong`](crate::Connection::pong) itself is limited by
    /// [`max_outgoing_bytes`](Config::max_outgoing_bytes) only.
    max_queued_pongs: u8 = 16,
        "the most pongs that wait to be written", "Default: 16; at least 1.";

    ///
    /// The time begins with the first [`tick`](crate::Connection::tick).
    handshake_timeout: Option<Duration> = Some(Duration::from_secs(10)),
        "the longest time until the connection is open; `None` for no limit", "Default: 10 s; at least 1 ms.";

    ///
    /// The first wait is for the transport to take queued bytes, until our Close or our last HTTP response is written.
    /// It starts again whenever the transport takes bytes other than pings and pongs, so a slow peer receives the whole
    /// queue. The second wait is for the peer's Close. The third wait is for the end of the transport. If the caller
    /// [answers the peer's Close](Config::answer_close), the time limits the wait for this answer too.
    close_timeout: Option<Duration> = Some(Duration::from_secs(5)),
        "the limit of each wait of a connection that ends; `None` for no limit", "Default: 5 s; at least 1 ms.";

    ///
    /// When this time has passed, the connection sends a Close with code 1001 and reports
    /// [`Event::Closed`](crate::Event::Closed) at once. [`close_timeout`](Config::close_timeout) then limits how long
    /// the transport is still needed. Received bytes end the silence. Bytes that the transport takes from a backlog end
    /// it too. A backlog is what an [`advance`](crate::Connection::advance) leaves in the queue. If all of it is
    /// written before the next [`tick`](crate::Connection::tick), it does not count as a backlog, since a kernel takes
    /// such bytes even if the peer is gone.
    ///
    /// While the connection [`is_congested`](crate::Connection::is_congested), the silence of the peer does not count,
    /// since the caller may have stopped reading. The connection then ends if the transport takes no bytes from the
    /// backlog for this time. Pings and pongs do not count as such bytes.
    idle_timeout: Option<Duration> = None,
        "the longest silence of the peer before an open connection ends; `None` for no limit",
        "Default: `None`; at least 1 ms, and at least 1 ms longer than [`keepalive_interval`](Config::keepalive_interval).";

    ///
    /// No ping is sent while another one is queued. While the connection is congested, the time since the transport
    /// last took bytes from the backlog is measured instead. A peer that answers pings is not disconnected by
    /// [`idle_timeout`](Config::idle_timeout), which must be longer for this reason.
    keepalive_interval: Option<Duration> = None,
        "the silence of the peer after which a ping is sent; `None` for no pings",
        "Default: `None`; at least 1 ms, and at least 1 ms shorter than [`idle_timeout`](Config::idle_timeout).";

    ///
    /// The wait begins with the first [`tick`](crate::Connection::tick) that finds the ping written. A pong with the
    /// payload of the ping ends it. The connection then sends a Close with code 1001, and reports
    /// [`Event::Closed`](crate::Event::Closed) with [`Timeout::Pong`](crate::Timeout::Pong).
    ///
    /// What ends a silence for [`idle_timeout`](Config::idle_timeout) starts this wait again, so it limits how long the
    /// peer may be silent while it owes a pong. A peer that sends a long frame cannot send its pong before the end of
    /// this frame, and many peers send it behind the messages that they have queued. While the connection
    /// [`is_congested`](crate::Connection::is_congested), the time does not count, since the caller may have stopped
    /// reading.
    ///
    /// Keepalive pings then carry a number of 4 bytes, the same one until it is answered. The connection takes 256
    /// bytes more from the first ping on.
    ///
    /// ```
    /// use core::time::Duration;
    /// use websocket_proto::{CloseCause, Config, Connection, Event, Role, Timeout, Timestamp};
    ///
    /// let config = Config::builder()
    ///     .keepalive_interval(Duration::from_secs(20))
    ///     .pong_timeout(Duration::from_secs(5))
    ///     .build()?;
    /// let mut conn = Connection::from_upgrade(Role::Server, config)?;
    /// let mut now = Timestamp::default();
    /// let closed = loop {
    ///     now = conn.tick(now).expect("an open connection has a deadline");
    ///     conn.advance(conn.outgoing().len()); // written to a peer that does not answer
    ///     if let Some(Event::Closed(closed)) = conn.poll_event() {
    ///         break closed;
    ///     }
    /// };
    /// assert_eq!(closed.cause(), &CloseCause::TimedOut(Timeout::Pong));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pong_timeout: Option<Duration> = None,
        "the longest wait for the pong to a keepalive ping; `None` for no limit",
        "Default: `None`; at least 1 ms, and only with [`keepalive_interval`](Config::keepalive_interval).";

    ///
    /// [`round_trip_time`](crate::Connection::round_trip_time) returns it. [`pong_timeout`](Config::pong_timeout)
    /// measures it too. Keepalive pings then carry a number of 4 bytes, as there.
    measure_round_trip: bool = false,
        "whether the round-trip time of keepalive pings is measured",
        "Default: `false`; `true` only with [`keepalive_interval`](Config::keepalive_interval).";

    ///
    /// [`Connection::counters`](crate::Connection::counters) returns the counts, and has an example. Counting costs
    /// time for each frame, since no frame takes the quickest way, and 400 bytes for each connection, also for an idle
    /// one. A message that comes in several reads is then assembled on the heap, not in the
    /// [`ReadBuffer`](crate::ReadBuffer).
    count_traffic: bool = false,
        "whether messages, frames and bytes are counted, each way", "Default: `false`.";

    ///
    /// Unused memory is buffers and codecs for further messages. The time is rounded up to 1/8 s. With zero, `tick`
    /// frees memory at most 1/8 s after its last use.
    release_after: Duration = Duration::from_secs(1),
        "the time after which [`tick`](crate::Connection::tick) frees unused memory", "Default: 1 s; at most an hour.";

    ///
    /// Browsers fail the handshake in this case. RFC 6455 allows the connection to go on.
    require_subprotocol: bool = false,
        "whether a client fails the handshake if it offered subprotocols and the server chose none",
        "Default: `false`.";

    ///
    /// This departs from RFC 6455 5.1: a client must mask all frames, and a server must fail the connection otherwise.
    /// Set it only for clients that cannot be mended and that send no bytes which a script can choose. Masking keeps
    /// such bytes from looking like HTTP to proxies on the way (RFC 6455 10.3). Masked frames are accepted as well, and
    /// all other rules stay as they are. A client always refuses masked frames.
    ///
    /// ```
    /// use websocket_proto::{Config, ConfigError, Connection, Event, Role};
    ///
    /// let config = Config::builder().accept_unmasked_frames(true).build()?;
    /// let mut conn = Connection::from_upgrade(Role::Server, config).expect("a server needs no keys");
    /// let mut bytes = *b"\x81\x05Hello";
    /// assert_eq!(conn.receive(&mut &mut bytes[..]), Some(Event::Message("Hello".into())));
    /// # Ok::<(), ConfigError>(())
    /// ```
    accept_unmasked_frames: bool = false,
        "whether a server accepts frames that the client did not mask", "Default: `false`.";

    ///
    /// With `false` a ping is only reported by [`Event::Ping`](crate::Event::Ping). The caller answers it with
    /// [`pong`](crate::Connection::pong) and the same payload, as soon as is practical; of several pings it may answer
    /// only the latest (RFC 6455 5.5.2, 5.5.3). [`max_queued_pongs`](Config::max_queued_pongs) does not limit these
    /// answers, so answer no faster than the transport takes them.
    ///
    /// ```
    /// use websocket_proto::{Config, Connection, Event, Role};
    ///
    /// let config = Config::builder().answer_pings(false).build()?;
    /// let mut conn = Connection::from_upgrade(Role::Client, config)?;
    /// let mut ping = *b"\x89\x05Hello";
    /// let Some(Event::Ping(payload)) = conn.receive(&mut &mut ping[..]) else { panic!() };
    /// assert!(!conn.wants_write()); // nothing is answered yet
    /// conn.pong(&payload)?;
    /// assert_eq!(conn.outgoing()[0], 0x8a);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    answer_pings: bool = true,
        "whether the connection answers pings by itself", "Default: `true`.";

    ///
    /// With `false` the peer's Close is reported by [`Event::CloseReceived`](crate::Event::CloseReceived), unless our
    /// Close was sent before. The caller may then go on sending, and answers with
    /// [`close`](crate::Connection::close) (RFC 6455 5.5.1). If the transport takes no bytes of messages for
    /// [`close_timeout`](Config::close_timeout) before that, the connection answers by itself.
    answer_close: bool = true,
        "whether the connection answers the peer's Close by itself", "Default: `true`.";

    #[cfg(feature = "deflate")]
    deflate: Option<Deflate> = None,
        "the options of permessage-deflate (RFC 7692); `None` if it is neither offered nor accepted",
        "Default: `None`; the level is 0 to 9, the memory level 1 to 9, windows are 9 to 15 bits.";

    entropy: Entropy = Entropy::default(),
        "the source of masking keys and nonces, which only clients use", "Default: [`Entropy::default`].";
}

impl Config {
    /// Sets the fields that follow from settings. They close the quick ways, so that these need not look at the
    /// settings themselves.
    fn derive(&mut self) {
        // A message that fits into this room exceeds neither the queue's limit nor that of a frame. What is counted
        // must take the general way.
        self.one_frame_room = match self.count_traffic {
            false => self.max_outgoing_bytes.min(self.max_outgoing_frame_bytes as u64),
            true => 0,
        };
        // The quick way does not check these limits for short frames.
        let limit = self.max_frame_bytes.min(self.max_message_bytes);
        self.receives_apart = self.delivery != Delivery::Messages || self.count_traffic;
        self.is_quick = !self.receives_apart && limit >= UNCHECKED_BYTES as u64;
    }

    /// The high water mark if it is not set: the default, or what the limit above it allows.
    fn default_high_water(&self) -> u64 {
        Config::default().high_water_bytes.min(self.max_outgoing_bytes)
    }

    /// The low water mark if it is not set: the default, or what the high water mark allows.
    fn default_low_water(&self) -> u64 {
        Config::default().low_water_bytes.min(self.high_water_bytes)
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
    /// Data frames as they arrive, for proxies, inspectors and conformance tools: the header as
    /// [`Event::FrameHeader`](crate::Event::FrameHeader), then the payload in pieces, as
    /// [`Event::FramePayload`](crate::Event::FramePayload). Control frames cause the same events and answers as with
    /// the other ways.
    ///
    /// All rules for frames are checked, and the UTF-8 of text. A compressed message is passed on as it is: its frames
    /// are not inflated, so neither its UTF-8 nor its inflated size is checked. The codec of permessage-deflate takes
    /// no memory for what is received.
    ///
    /// [`Connection::begin_frame`](crate::Connection::begin_frame) sends such frames, and has an example of a proxy.
    Frames,
}
