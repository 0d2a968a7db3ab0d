//! Sends messages and control frames (RFC 6455 5, 6.1). This file decides whether something may be sent in this phase,
//! and whether it is compressed.

use super::{Connection, Phase, compressor};
#[cfg(doc)]
use crate::config::Config;
use crate::deflate::Compressor;
#[cfg(feature = "deflate")]
use crate::deflate::MaybeCodec;
use crate::error::UsageError;
#[cfg(doc)]
use crate::event::Event;
use crate::frame::{FrameHeader, MAX_CONTROL_BYTES, Opcode};
use crate::message::{Message, MessageKind};
use crate::send::PreparedMessage;
#[cfg(feature = "deflate")]
use crate::send::most_compressed;

/// # Send
impl Connection {
    /// Queues a message (RFC 6455 6.1). It is one frame, or several if its payload is larger than
    /// [`Config::max_outgoing_frame_bytes`], which has no limit by default. A borrowed payload is copied once. A large
    /// owned payload of one frame is moved.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotOpen`], [`UsageError::MessageUnfinished`], [`UsageError::BufferFull`], [`UsageError::Entropy`].
    /// After an error nothing is queued.
    #[inline]
    #[doc(alias("write_message", "send_text", "send_binary"))]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), UsageError> {
        let message = message.into();
        self.check_open()?;
        #[cfg(feature = "deflate")]
        if let Some(compressor) = compressor_for(&mut self.codec, message.len()) {
            return self.send.send_compressed(message, &self.config, compressor);
        }
        self.send.send(message, &self.config)
    }

    /// Queues a message that was encoded before. A server shares a large message and copies a small one. A client
    /// copies and masks it. A message that is larger than [`Config::max_outgoing_frame_bytes`] is copied in both roles.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Connection::send).
    pub fn send_prepared(&mut self, message: &PreparedMessage) -> Result<(), UsageError> {
        self.check_open()?;
        #[cfg(feature = "deflate")]
        if let Some(compressor) = compressor_for(&mut self.codec, message.payload().len()) {
            return self.send.send_prepared_compressed(message, &self.config, compressor);
        }
        self.send.send_prepared(message, &self.config)
    }

    /// Queues a fragment of a message whose length is not known in advance (RFC 6455 5.4). The first call begins a
    /// message of `kind`; the call with `last` ends it. Each fragment is one frame, or several if it is larger than
    /// [`Config::max_outgoing_frame_bytes`]. A fragment may be empty. Pings, pongs and a Close may be sent between the
    /// fragments; other messages may not. Text may be cut anywhere, also within a character.
    ///
    /// If permessage-deflate was negotiated, the message is compressed, and each fragment is flushed. The first
    /// fragment decides this for the whole message (RFC 7692 6.1). So a small first fragment is compressed too, unless
    /// it is also the last: then `Deflate::min_bytes` holds, as for [`send`](Connection::send).
    /// `send_uncompressed_fragment` begins a message that is not compressed; this method continues such a message
    /// without compression.
    ///
    /// # Errors
    ///
    /// [`UsageError::FragmentKindChanged`]; [`UsageError::InvalidUtf8`] at the first byte that cannot be UTF-8, or if
    /// the `last` fragment ends within a character; and those of [`send`](Connection::send). After an error nothing is
    /// queued, and the message can be continued.
    #[doc(alias("send_data", "stream"))]
    pub fn send_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        last: bool,
    ) -> Result<(), UsageError> {
        self.check_open()?;
        let compressor = compressor(&mut self.codec);
        self.send.send_fragment(kind, payload, last, &self.config, compressor)
    }

    /// Returns the kind of the message that is being sent in [fragments](Connection::send_fragment): its first fragment
    /// was queued, and its last was not. `None` means that [`send`](Connection::send) may be called. A Close ends the
    /// message, so it is `None` after [`close`](Connection::close); if a frame is
    /// [unfinished](Connection::unfinished_frame), when its payload is whole.
    ///
    /// ```
    /// use websocket_proto::{Config, Connection, MessageKind, Role};
    ///
    /// let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
    /// conn.send_fragment(MessageKind::Text, b"Hel", false)?;
    /// assert_eq!(conn.unfinished_message(), Some(MessageKind::Text));
    /// conn.send_fragment(MessageKind::Text, b"lo", true)?;
    /// assert_eq!(conn.unfinished_message(), None);
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    #[must_use]
    pub fn unfinished_message(&self) -> Option<MessageKind> {
        self.send.unfinished_kind()
    }

    /// Queues the header of a data frame whose payload follows in pieces, by [`send_payload`](Connection::send_payload)
    /// (RFC 6455 5.2). A long payload needs no memory, and frames of another connection are passed on as they come. Of
    /// the header, `mask` has no effect: a client draws a key of its own, and a server does not mask. A frame without
    /// payload is whole at once.
    ///
    /// The frames of a message are sent in their order (RFC 6455 5.4): the first has the kind as its opcode, the others
    /// are continuations, the last has FIN. Fragments that are not compressed may also be sent by
    /// [`send_fragment`](Connection::send_fragment).
    ///
    /// The connection does not compress these frames. If permessage-deflate was agreed, `rsv` may be 4 (RSV1) on the
    /// first frame of a message. Its payload is then compressed by the caller, or on the connection that it comes from,
    /// within the [agreed parameters](Connection::deflate_params) (RFC 7692 7.2.1). With context takeover the peer
    /// inflates a message with the window of the messages before. So all compressed messages of the connection must
    /// come from the same compressor.
    ///
    /// Until the payload is whole, nothing else can be sent. Pings and pongs wait in the queue, and so do a Close of
    /// [`close`](Connection::close) and the answer to the peer's Close. They take no room from the payload, so the
    /// queue may then hold up to twice [`Config::max_outgoing_bytes`]. A connection that fails in between ends without
    /// a Close, so the peer reports code 1006. Keepalive pings wait too, so a peer that only listens is silent for as
    /// long as the frame takes: [`Config::idle_timeout`] must be longer than that.
    ///
    /// This pump passes the frames of one connection to another. It is the core of a proxy whose two connections have
    /// agreed on the same parameters of permessage-deflate, or on none. It may be called if `to`
    /// [`is_writable`](Connection::is_writable), so that the queue stays short.
    ///
    /// ```
    /// use websocket_proto::{CloseCode, Config, Connection, Delivery, Event, Role, State, UsageError};
    ///
    /// fn pass_on(from: &mut Connection, mut input: &mut [u8], to: &mut Connection) -> Result<(), UsageError> {
    ///     while let Some(event) = from.receive(&mut input) {
    ///         match event {
    ///             Event::FrameHeader(header) if to.state() == State::Open => to.begin_frame(&header)?,
    ///             // What follows a header that was not passed on is dropped.
    ///             Event::FramePayload(payload) if to.unfinished_frame().is_some() => {
    ///                 to.send_payload(payload.as_bytes())?;
    ///             }
    ///             Event::Closed(closed) if closed.code() == CloseCode::NO_STATUS => to.close_without_code(),
    ///             Event::Closed(closed) if closed.is_clean() => to.close(closed.code(), closed.reason())?,
    ///             Event::Closed(_) => to.fail(CloseCode::GOING_AWAY, "")?,
    ///             // Each connection answers the pings of its peer.
    ///             _ => {}
    ///         }
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let config = Config::builder().delivery(Delivery::Frames).build().expect("any delivery is allowed");
    /// let mut client = Connection::from_upgrade(Role::Server, config.clone())?; // the side of a client
    /// let mut server = Connection::from_upgrade(Role::Client, config)?; // the side of a server
    /// pass_on(&mut server, &mut b"\x01\x03Hel\x80\x02lo".clone(), &mut client)?;
    /// pass_on(&mut server, &mut b"\x88\x02\x03\xe8".clone(), &mut client)?;
    /// let mut sent = Vec::new();
    /// client.outgoing_chunks().for_each(|bytes| sent.extend_from_slice(bytes));
    /// assert_eq!(sent, b"\x01\x03Hel\x80\x02lo\x88\x02\x03\xe8");
    /// # Ok::<(), UsageError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UsageError::InvalidFrameHeader`], also for a payload of more than [`Config::max_outgoing_frame_bytes`];
    /// [`UsageError::FrameUnfinished`]; [`UsageError::MessageUnfinished`] for the first frame of a message within
    /// another one; [`UsageError::FragmentKindChanged`] for a continuation of a message that the connection compresses;
    /// [`UsageError::InvalidUtf8`] if a text ends with this frame within a character; [`UsageError::NotOpen`],
    /// [`UsageError::BufferFull`], [`UsageError::Entropy`]. After an error nothing is queued.
    #[doc(alias("send_frame", "write_frame", "passthrough"))]
    pub fn begin_frame(&mut self, header: &FrameHeader) -> Result<(), UsageError> {
        self.check_open()?;
        let compressor = compressor(&mut self.codec);
        self.send.begin_frame(header, &self.config, compressor)
    }

    /// Queues a copy of the next bytes of the payload that [`begin_frame`](Connection::begin_frame) has announced, at
    /// most as many as are missing. A client masks them. Text may be cut anywhere. With the last byte the frame is
    /// whole, and the pings, pongs and the Close that have waited for it can go out.
    ///
    /// It may be called until the frame is whole, also if a Close waits for that.
    ///
    /// ```
    /// use websocket_proto::{Config, Connection, FrameHeader, Opcode, Role};
    ///
    /// let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
    /// let header = FrameHeader { fin: true, rsv: 0, opcode: Opcode::Binary, mask: None, payload_len: 3 << 30 };
    /// conn.begin_frame(&header)?;
    /// conn.send_payload(&[0; 4096])?; // the first bytes of a file of 3 GiB
    /// assert_eq!(conn.unfinished_frame(), Some((3 << 30) - 4096));
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UsageError::PayloadTooLong`]; [`UsageError::InvalidUtf8`] for text that is not compressed, as in
    /// [`send_fragment`](Connection::send_fragment); [`UsageError::NotOpen`], [`UsageError::BufferFull`]. After an
    /// error nothing is queued, and the payload can be continued.
    pub fn send_payload(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        if !self.send.has_waiting_close() {
            self.check_open()?;
        }
        self.send.send_payload(payload, &self.config)
    }

    /// Returns how many bytes of payload are missing of the frame that is being [sent in
    /// pieces](Connection::begin_frame); `None` if no frame is unfinished. The connection's end also ends the frame.
    #[must_use]
    pub fn unfinished_frame(&self) -> Option<u64> {
        self.send.open_frame()
    }

    /// Queues a message without compression, even if [`send`](Connection::send) would compress it. Use it for secrets,
    /// since their compressed size would reveal something about them (RFC 7692 8), and for payloads that are compressed
    /// already.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Connection::send).
    #[cfg(feature = "deflate")]
    pub fn send_uncompressed<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
    ) -> Result<(), UsageError> {
        self.check_open()?;
        self.send.send(message.into(), &self.config)
    }

    /// Queues a fragment of a message that is not compressed, even if [`send_fragment`](Connection::send_fragment)
    /// would compress it. The uses are those of [`send_uncompressed`](Connection::send_uncompressed): secrets, and
    /// payloads that are compressed already. Apart from that it does the same as `send_fragment`.
    ///
    /// ```
    /// use websocket_proto::{Config, Connection, DeflateParams, MessageKind, Role, Upgrade, UsageError};
    ///
    /// let upgrade = Upgrade::new(Role::Server).deflate(DeflateParams::default());
    /// let mut conn = Connection::from_upgrade(upgrade, Config::default())?;
    /// conn.send_uncompressed_fragment(MessageKind::Text, b"pass", false)?;
    /// conn.send_uncompressed_fragment(MessageKind::Text, b"word", true)?;
    /// assert_eq!(conn.outgoing(), b"\x01\x04pass\x80\x04word");
    ///
    /// conn.send_fragment(MessageKind::Text, b"compressed: ", false)?;
    /// let secret = conn.send_uncompressed_fragment(MessageKind::Text, b"password", true);
    /// assert_eq!(secret, Err(UsageError::FragmentCompressionChanged));
    /// # Ok::<(), UsageError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`UsageError::FragmentCompressionChanged`] if the message was begun with `send_fragment`, whether the connection
    /// compresses or not; and those of `send_fragment`. A message that [`begin_frame`](Connection::begin_frame) has
    /// begun or continued is not compressed by the connection, so it can be continued.
    #[cfg(feature = "deflate")]
    pub fn send_uncompressed_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        last: bool,
    ) -> Result<(), UsageError> {
        self.check_open()?;
        self.send.send_uncompressed_fragment(kind, payload, last, &self.config)
    }

    /// Sends a message without copying it into the queue. `write` passes the frame to your transport, and the bytes
    /// that it does not write are queued. So the message is always sent whole. If the transport would block, `write`
    /// returns 0.
    ///
    /// `write` gets two slices. It writes one after the other in one vectored write, and returns how many bytes of both
    /// were written. If it returns more than it was given, all of it counts as written. On a server the slices are the
    /// header and your payload. On a client the payload must be masked, so `write` is called several times for a long
    /// message. Each call gets one masked portion in the first slice, and an empty second slice. The first portion
    /// begins with the header. If `write` writes less than the whole portion, it is not called again, and the rest is
    /// queued.
    ///
    /// A message that is larger than [`Config::max_outgoing_frame_bytes`] is passed to `write` frame by frame in this
    /// way. If bytes are outgoing already, or if the message is compressed, it is queued and `write` is not called. The
    /// loop then writes it with the rest of the queue.
    ///
    /// This is worthwhile for large payloads. For many small messages [`send`](Connection::send) is better: the queue
    /// coalesces them, and one system call writes all.
    ///
    /// ```
    /// # use websocket_proto::{Config, Connection, Role};
    /// use std::io::{ErrorKind, IoSlice, Write};
    ///
    /// # let mut stream = Vec::new();
    /// # let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
    /// conn.send_through("Hello", |header, payload| {
    ///     match stream.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]) {
    ///         Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
    ///         result => result,
    ///     }
    /// })?;
    /// # assert_eq!((&stream[..], conn.outgoing_len()), (&b"\x81\x05Hello"[..], 0));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`send`](Connection::send): nothing was written or queued then. An error of `write` is returned. After
    /// it the rest of the message is in the queue, so do not send the message again. If the transport cannot be written
    /// any more, call [`write_closed`](Connection::write_closed).
    ///
    /// If `write` panics and the panic is caught, the message is not queued, and it is not known which bytes were
    /// written. Call [`abort`](Connection::abort) then.
    #[inline]
    pub fn send_through<'m, E: From<UsageError>>(
        &mut self,
        message: impl Into<Message<'m>>,
        write: impl FnMut(&[u8], &[u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let message = message.into();
        self.check_open()?;
        #[cfg(feature = "deflate")]
        if let Some(compressor) = compressor_for(&mut self.codec, message.len()) {
            return Ok(self.send.send_compressed(message, &self.config, compressor)?);
        }
        if self.send.len() > 0 {
            return Ok(self.send.send(message, &self.config)?);
        }
        let result = self.send.send_through(message, &self.config, write);
        if self.send.len() > 0 {
            self.send.raise_congestion(&self.config);
            self.life.timer.note_written(false);
        }
        result
    }

    /// Returns whether a message of `len` bytes could be sent now.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Connection::send), except [`UsageError::Entropy`]. If the message would be compressed, there
    /// must be room for the largest size that compressing it can give.
    #[inline]
    pub fn check_send(&self, len: usize) -> Result<(), UsageError> {
        self.check_open()?;
        #[cfg(feature = "deflate")]
        let len = match &self.codec {
            Some(codec) if codec.compressor().compresses(len) => most_compressed(len),
            _ => len,
        };
        self.send.check_message(len, &self.config).map(drop)
    }

    /// Returns whether more messages should be sent now: the connection is open, and not
    /// [congested](Connection::is_congested). This is advice: [`send`](Connection::send) accepts messages up to
    /// [`Config::max_outgoing_bytes`].
    ///
    /// If all outgoing bytes wait for the end of an [unfinished frame](Connection::unfinished_frame), it is true
    /// although the connection is congested: only more payload of this frame lets them go out.
    #[inline]
    #[must_use]
    #[doc(alias("poll_ready"))]
    pub fn is_writable(&self) -> bool {
        self.life.phase().sends_messages()
            && (!self.send.is_congested() || self.send.needs_payload())
    }

    /// Returns the number of payload bytes that were passed to `send` and are not yet written to the transport: the
    /// W3C's `bufferedAmount`. Headers and control frames do not count. The number is exact after every partial write,
    /// except for compressed messages. A compressed message counts with its size before compression, until its last
    /// byte is written. When a connection ends with bytes unwritten, the number stays as it is.
    #[inline]
    #[must_use]
    #[doc(alias("bufferedAmount"))]
    pub fn buffered_amount(&self) -> u64 {
        let compressor = self.codec.as_ref().map(|codec| codec.compressor());
        self.send.buffered() + compressor.map_or(0, Compressor::unfinished_bytes)
    }

    /// Queues a ping of at most 125 bytes, ahead of all data frames that are neither taken nor partly written (RFC 6455
    /// 5.5.2). The peer's pong arrives as [`Event::Pong`]. A ping may be sent until the connection is closed, also
    /// after our own Close.
    ///
    /// # Errors
    ///
    /// [`UsageError::ControlTooLong`], [`UsageError::NotOpen`], [`UsageError::BufferFull`], [`UsageError::Entropy`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.send_control(Opcode::Ping, payload)
    }

    /// Queues a pong: an unsolicited one, which can serve as a one-way heartbeat (RFC 6455 5.5.3), or the answer to a
    /// ping. The connection answers pings by itself, unless [`Config::answer_pings`] is `false`.
    ///
    /// # Errors
    ///
    /// Those of [`ping`](Connection::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.send_control(Opcode::Pong, payload)
    }

    #[inline]
    fn check_open(&self) -> Result<(), UsageError> {
        match self.life.phase() {
            phase if phase.sends_messages() => Ok(()),
            phase => Err(UsageError::NotOpen(phase.state())),
        }
    }

    fn send_control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), UsageError> {
        // RFC 6455 5.5: the payload of a control frame is at most 125 bytes.
        if payload.len() > MAX_CONTROL_BYTES {
            return Err(UsageError::ControlTooLong { len: payload.len() });
        }
        // RFC 6455 5.5.1, 5.5.2: our Close forbids further data frames, not pings and pongs.
        let phase = self.life.phase();
        if !(phase.sends_messages() || phase == Phase::Closing) || self.life.has_write_end() {
            return Err(UsageError::NotOpen(self.state()));
        }
        self.send.send_control(opcode, payload, &self.config)
    }
}

/// Returns the compressor if a message of `len` bytes is to be compressed.
#[cfg(feature = "deflate")]
#[inline]
fn compressor_for(codec: &mut MaybeCodec, len: usize) -> Option<&mut Compressor> {
    compressor(codec).filter(|compressor| compressor.compresses(len))
}
