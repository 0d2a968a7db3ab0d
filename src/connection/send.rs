//! Messages in, bytes for the peer out: what may be sent when, and how it is framed (RFC 6455 5, 6.1).

use super::{Connection, Phase, compressor};
use crate::error::UsageError;
#[cfg(doc)]
use crate::event::Event;
use crate::frame::{MAX_CONTROL_BYTES, Opcode};
use crate::message::{Message, MessageKind};
use crate::send::PreparedMessage;
#[cfg(feature = "deflate")]
use crate::send::most_compressed;

impl Connection {
    /// Queues a message as one frame (RFC 6455 6.1). A borrowed payload is copied, once; a large owned one is moved.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotOpen`], [`UsageError::MessageUnfinished`], [`UsageError::BufferFull`],
    /// [`UsageError::Entropy`]. Nothing is queued then.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), UsageError> {
        let message = message.into();
        self.check_open()?;
        #[cfg(feature = "deflate")]
        if let Some(compressor) = compressor_for(&mut self.codec, message.len()) {
            return self.send.send_compressed(message, &self.config, compressor);
        }
        self.send.send(message, &self.config)
    }

    /// Queues a message as it is, even where [`send`](Connection::send) would compress it: for secrets, whose size
    /// would tell (RFC 7692 8), and for what is compressed already.
    ///
    /// # Errors
    ///
    /// As [`send`](Connection::send).
    #[cfg(feature = "deflate")]
    pub fn send_uncompressed<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
    ) -> Result<(), UsageError> {
        self.check_open()?;
        self.send.send(message.into(), &self.config)
    }

    /// Whether a message of `len` bytes could be sent now: the errors of [`send`](Connection::send), but for those of
    /// the source of entropy. Where it would be compressed, there must be room for the most that it can become.
    #[inline]
    pub fn check_send(&self, len: usize) -> Result<(), UsageError> {
        self.check_open()?;
        #[cfg(feature = "deflate")]
        let len = match &self.codec {
            Some(codec) if codec.compressor().compresses(len) => most_compressed(len),
            _ => len,
        };
        self.send.check_message(len, &self.config)
    }

    #[inline]
    fn check_open(&self) -> Result<(), UsageError> {
        match self.life.phase() {
            Phase::Open => Ok(()),
            phase => Err(UsageError::NotOpen(phase.state())),
        }
    }

    /// Sends a message past the queue: `write`, your transport's own, is given its frame at once, and what it does not
    /// write is queued. So the message is sent whole in any case, and a transport that would block writes 0 bytes.
    ///
    /// The two slices that `write` is given go out one after the other, in one vectored write, and it returns how many
    /// bytes of both were written. A server's are header and payload, from where they are. A client's payload must be
    /// masked, and comes in portions, each in the first slice, without a copy of it all: while all is written, there is
    /// a next call. Where something is outgoing already, or the message is compressed, it is queued, and `write` is not
    /// called: the loop's own write brings it out in its turn.
    ///
    /// It saves the copy into the queue, which is worth most for large payloads; many small messages are better
    /// coalesced by [`send`](Connection::send), with one system call for all of them.
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
    /// Those of [`send`](Connection::send): nothing was shown or queued then. An error of `write` is passed on, and
    /// leaves all in the queue that was not written before, so that the message must not be sent again:
    /// [`write_closed`](Connection::write_closed) if it is final.
    ///
    /// # Panics
    ///
    /// If `write` returns more than the bytes that it was shown. The message is not queued then, nor if `write` itself
    /// panics: what went out of it is known to nobody, and all that is left to do is [`abort`](Connection::abort).
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
            self.send.note_longer(&self.config);
            self.life.timer.note_written(false);
        }
        result
    }

    /// Queues a message that was encoded before. A server shares a large one, and copies a small one; a client copies
    /// and masks it.
    ///
    /// # Errors
    ///
    /// As [`send`](Connection::send).
    pub fn send_prepared(&mut self, message: &PreparedMessage) -> Result<(), UsageError> {
        self.check_open()?;
        #[cfg(feature = "deflate")]
        if let Some(compressor) = compressor_for(&mut self.codec, message.payload().len()) {
            return self.send.send_prepared_compressed(message, &self.config, compressor);
        }
        self.send.send_prepared(message, &self.config)
    }

    /// Queues a fragment of a message whose length is not known (RFC 6455 5.4): the first call begins a message of
    /// `kind`, the one with `last` ends it. Each makes one frame; it may be empty. Pings, pongs and a Close can go
    /// between them, other messages cannot. Text may be cut anywhere, also within a character. Where permessage-deflate
    /// was negotiated, the message is compressed, and each fragment is flushed.
    ///
    /// # Errors
    ///
    /// [`UsageError::FragmentKindChanged`]; [`UsageError::InvalidUtf8`] from the first byte that cannot be UTF-8, or
    /// for a character that `last` leaves unfinished; and those of [`send`](Connection::send). Nothing is queued then,
    /// and the message stays as it was.
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

    /// Queues a ping of at most 125 bytes, ahead of messages that are not begun (RFC 6455 5.5.2). The peer's pong
    /// arrives as [`Event::Pong`]. It may be sent until the connection is closed, also after our own Close.
    ///
    /// # Errors
    ///
    /// [`UsageError::ControlTooLong`], [`UsageError::NotOpen`], [`UsageError::BufferFull`], [`UsageError::Entropy`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.send_control(Opcode::Ping, payload)
    }

    /// Queues a pong that answers nothing, as a one-way heartbeat (RFC 6455 5.5.3). Pings are answered without it.
    ///
    /// # Errors
    ///
    /// As [`ping`](Connection::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), UsageError> {
        self.send_control(Opcode::Pong, payload)
    }

    fn send_control(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), UsageError> {
        // RFC 6455 5.5: the payload of a control frame is at most 125 bytes.
        if payload.len() > MAX_CONTROL_BYTES {
            return Err(UsageError::ControlTooLong { len: payload.len() });
        }
        // RFC 6455 5.5.1, 5.5.2: after our Close only data frames are over.
        if !matches!(self.life.phase(), Phase::Open | Phase::Closing) || self.life.has_write_end() {
            return Err(UsageError::NotOpen(self.state()));
        }
        self.send.send_control(opcode, payload, &self.config)
    }
}

/// The compressor, if a message of `len` bytes is to be compressed.
#[cfg(feature = "deflate")]
#[inline]
fn compressor_for(
    codec: &mut Option<alloc::boxed::Box<crate::deflate::Codec>>,
    len: usize,
) -> Option<&mut crate::deflate::Compressor> {
    compressor(codec).filter(|compressor| compressor.compresses(len))
}
