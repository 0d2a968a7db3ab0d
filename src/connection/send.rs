//! Messages in, bytes for the peer out: what may be sent when, and how it is framed (RFC 6455 5, 6.1).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{Connection, Phase, at_most_a_buffer};
use crate::close::CloseBody;
use crate::close_code::CloseCode;
use crate::entropy::EntropyError;
use crate::error::UsageError;
use crate::event::{CloseCause, Closed, Event};
use crate::frame::{FIN, MAX_CONTROL_BYTES, MAX_HEADER_BYTES, Opcode};
use crate::message::{Message, MessageKind};
use crate::prepared::{self, PreparedMessage};
use crate::state::Role;

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
        #[cfg(feature = "deflate")]
        if self.compresses(message.len()) {
            return self.send_compressed(message);
        }
        self.send_plain(message)
    }

    #[inline]
    pub(super) fn send_plain(&mut self, message: Message<'_>) -> Result<(), UsageError> {
        let kind = message.kind();
        match message.into_payload() {
            Cow::Borrowed(payload) => self.send_copy(kind, payload),
            Cow::Owned(payload) => self.send_owned(kind, payload),
        }
    }

    /// Whether a message of `len` bytes could be sent now: the errors of [`send`](Connection::send), but for those of
    /// the source of entropy. Where it would be compressed, there must be room for the most that it can become.
    #[inline]
    pub fn check_send(&self, len: usize) -> Result<(), UsageError> {
        #[cfg(feature = "deflate")]
        if self.compresses(len) {
            return self.check_message(most_compressed(len));
        }
        self.check_message(len)
    }

    /// Whether a message whose frame has a payload of at most `len` bytes could be queued now.
    #[inline]
    fn check_message(&self, len: usize) -> Result<(), UsageError> {
        self.check_message_behind(self.outgoing.charge(), len)
    }

    /// The same, where what is queued is known to count this much.
    #[inline]
    fn check_message_behind(&self, queued: u64, len: usize) -> Result<(), UsageError> {
        if self.phase != Phase::Open {
            return Err(UsageError::NotOpen(self.state()));
        }
        if self.outgoing.sending.is_some() {
            return Err(UsageError::MessageUnfinished);
        }
        self.check_room_behind(queued, len)
    }

    fn check_room(&self, len: usize) -> Result<(), UsageError> {
        self.check_room_behind(self.outgoing.charge(), len)
    }

    #[inline]
    fn check_room_behind(&self, queued: u64, len: usize) -> Result<(), UsageError> {
        let needed = (queued + MAX_HEADER_BYTES as u64).saturating_add(len as u64);
        let limit = at_most_a_buffer(self.config.max_outgoing_bytes);
        if needed > limit {
            return Err(UsageError::BufferFull { needed, limit });
        }
        Ok(())
    }

    #[inline]
    fn send_copy(&mut self, kind: MessageKind, payload: &[u8]) -> Result<(), UsageError> {
        self.check_message(payload.len())?;
        let key = self.next_key()?;
        self.outgoing.push(prepared::first_byte(kind), payload, key);
        self.note_queued();
        Ok(())
    }

    fn send_owned(&mut self, kind: MessageKind, payload: Vec<u8>) -> Result<(), UsageError> {
        self.check_message(payload.len())?;
        let key = self.next_key()?;
        self.outgoing.push_owned(prepared::first_byte(kind), payload, key);
        self.note_queued();
        Ok(())
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
        #[cfg(feature = "deflate")]
        if self.compresses(message.len()) {
            return Ok(self.send_compressed(message)?);
        }
        if self.outgoing.len() > 0 {
            return Ok(self.send_plain(message)?);
        }
        let first = prepared::first_byte(message.kind());
        let payload = message.into_payload();
        self.check_message_behind(0, payload.len())?;
        let result = match self.next_key().map_err(UsageError::from)? {
            None => self.outgoing.push_through(first, payload, write),
            Some(key) => self.outgoing.push_through_masked(first, &payload, key, write),
        };
        if self.outgoing.len() > 0 {
            self.note_queued();
            self.timer.note_written(false);
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
        #[cfg(feature = "deflate")]
        if self.compresses(message.payload().len()) {
            return self.send_prepared_compressed(message);
        }
        match self.role {
            Role::Client => self.send_copy(message.kind(), message.payload()),
            Role::Server => {
                self.check_message(message.payload().len())?;
                self.outgoing.push_shared(message.frame().bytes(), message.payload().len());
                self.note_queued();
                Ok(())
            }
        }
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
        if self.phase != Phase::Open {
            return Err(UsageError::NotOpen(self.state()));
        }
        if self.outgoing.sending.is_some_and(|begun| begun != kind) {
            return Err(UsageError::FragmentKindChanged);
        }
        #[cfg(feature = "deflate")]
        let most =
            if self.compresses_fragment() { most_compressed(payload.len()) } else { payload.len() };
        #[cfg(not(feature = "deflate"))]
        let most = payload.len();
        self.check_room(most)?;
        let mut text = self.sending_text;
        if kind == MessageKind::Text && text.feed(payload, last).is_err() {
            return Err(UsageError::InvalidUtf8);
        }
        let opcode = match (self.outgoing.sending, kind) {
            (Some(_), _) => Opcode::Continuation,
            (None, MessageKind::Text) => Opcode::Text,
            (None, MessageKind::Binary) => Opcode::Binary,
        };
        self.push_fragment(if last { FIN } else { 0 } | opcode as u8, payload)?;
        self.sending_text = text;
        self.outgoing.sending = (!last).then_some(kind);
        Ok(())
    }

    fn push_fragment(&mut self, first: u8, payload: &[u8]) -> Result<(), UsageError> {
        #[cfg(feature = "deflate")]
        if self.compresses_fragment() {
            return self.send_compressed_fragment(first, payload);
        }
        let key = self.next_key()?;
        self.outgoing.push(first, payload, key);
        self.note_queued();
        Ok(())
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
        if !matches!(self.phase, Phase::Open | Phase::Closing) || self.ended.write() {
            return Err(UsageError::NotOpen(self.state()));
        }
        self.check_room(payload.len())?;
        let key = self.next_key()?;
        self.outgoing.push_control(opcode, payload, key);
        self.note_queued();
        Ok(())
    }

    /// RFC 6455 5.5.2: a ping is answered with its payload, unless a Close was received; 5.5.3: of several that wait,
    /// the latest is enough.
    pub(super) fn queue_pong(&mut self, payload: &[u8]) -> Result<(), EntropyError> {
        if self.ended.write() {
            return Ok(());
        }
        let key = self.next_key()?;
        let before = self.outgoing.len();
        self.outgoing.push_pong(payload, key, self.config.max_queued_pongs);
        self.note_queued();
        // A short pong in the place of a long one.
        if self.outgoing.len() < before {
            self.note_released();
        }
        Ok(())
    }

    /// No key for an automatic reply: the connection ends with a Close, whose key was drawn ahead.
    #[cold]
    pub(super) fn fail_for_entropy(&mut self, error: EntropyError) -> Event<'static> {
        if self.phase == Phase::Open {
            self.queue_close(&CloseBody::new(CloseCode::GOING_AWAY, "").expect("1001 can be sent"));
        }
        self.end(Phase::Draining);
        Event::Closed(Closed::abnormal(CloseCause::Entropy(error)))
    }

    /// RFC 6455 5.3: a client masks each frame with a fresh key.
    #[inline]
    pub(super) fn next_key(&mut self) -> Result<Option<[u8; 4]>, EntropyError> {
        match self.role {
            Role::Server => Ok(None),
            Role::Client => self.mask_key().map(Some),
        }
    }

    #[inline(never)]
    fn mask_key(&mut self) -> Result<[u8; 4], EntropyError> {
        self.config.entropy.mask_key(&mut self.entropy_state)
    }

    #[inline]
    pub(super) fn note_queued(&mut self) {
        if self.outgoing.len() > self.config.high_water_bytes {
            self.outgoing.blocked = true;
        }
    }

    /// The queue has become shorter.
    #[inline]
    pub(super) fn note_released(&mut self) {
        if self.outgoing.blocked && self.outgoing.len() <= self.config.low_water_bytes {
            self.outgoing.blocked = false;
        }
    }
}

/// The most bytes that `len` bytes come to compressed. A literal of a block with fixed codes has at most 9 bits (RFC
/// 1951 3.2.6), a stored block has 5 bytes beside its own, and so has a flush.
#[cfg(feature = "deflate")]
fn most_compressed(len: usize) -> usize {
    len.saturating_add(len / 8).saturating_add(64)
}
