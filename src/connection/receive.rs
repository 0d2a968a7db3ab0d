//! Bytes in, events out: the way of a frame through the connection, and what each kind of frame leads to.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::ToString;
use core::mem;

use super::{Connection, Phase, at_most_a_buffer};
use crate::close::{self, CloseBody};
use crate::close_code::CloseCode;
use crate::config::Delivery;
use crate::error::ProtocolError;
use crate::event::{CloseCause, Closed, Event};
use crate::frame::{self, FIN, Header, MAX_CONTROL_BYTES, MAX_HEADER_BYTES, Opcode, Rules};
use crate::input::take_front;
use crate::mask;
use crate::message::{Message, MessageKind};
use crate::state::Role;
use crate::utf8::{self, InvalidUtf8};

/// The frame that is being received.
#[derive(Clone, Copy)]
pub(super) enum FrameState {
    /// `bytes[..len]` is the beginning of a header, and keeps the rules as far as it goes.
    Header { bytes: [u8; MAX_HEADER_BYTES], len: u8 },
    /// `left` more bytes of payload, of which `key` masks the first.
    Payload { first: u8, key: [u8; 4], left: u64 },
}

const _: () = assert!(size_of::<FrameState>() == 16);

impl Default for FrameState {
    fn default() -> Self {
        FrameState::Header { bytes: [0; MAX_HEADER_BYTES], len: 0 }
    }
}

impl FrameState {
    pub(super) fn is_between_frames(&self) -> bool {
        matches!(self, FrameState::Header { len: 0, .. })
    }
}

/// Which frames take the short ways: unfragmented messages of up to 65,535 bytes, whole in the input, on a connection
/// that is in the middle of nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Short {
    Never,
    /// Those of a client.
    Masked,
    /// Those of a server.
    Unmasked,
}

const FINAL_TEXT: u8 = FIN | Opcode::Text as u8;
const FINAL_BINARY: u8 = FIN | Opcode::Binary as u8;

impl Connection {
    /// Takes bytes from the peer off the front of `input`, up to the next event; `None` when all are used and there
    /// is no event. Payloads are unmasked in place. What stays in `input` was not touched, and must be given again,
    /// once. This never fails: what the peer does wrong ends in [`Event::Closed`].
    ///
    /// ```
    /// # use websocket_proto::{Config, Connection, Event, Role, State};
    /// # let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
    /// # let mut buf = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    /// # let n = buf.len();
    /// let mut input = &mut buf[..n];
    /// while let Some(event) = conn.receive(&mut input) {
    ///     match event {
    ///         // Messages still arrive when our side is over, and `send` would be an error.
    ///         Event::Message(message) if conn.state() == State::Open => conn.send(message)?,
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!(conn.outgoing(), b"\x81\x05Hello");
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the front of a message waits in a [`ReadBuffer`](crate::ReadBuffer): the rest of it must go there, to
    /// [`receive_from`](Connection::receive_from).
    #[inline]
    pub fn receive<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        match self.receive_quick(input) {
            Some(event) => Some(event),
            None => self.receive_any(input),
        }
    }

    /// The short ways; `None` if none of them can be gone.
    #[inline(always)]
    pub(super) fn receive_quick<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        match self.short {
            Short::Masked => match self.receive_short::<true>(input) {
                Some(event) => Some(event),
                None => self.receive_whole::<true>(input),
            },
            Short::Unmasked => match self.receive_short::<false>(input) {
                Some(event) => Some(event),
                None => self.receive_whole::<false>(input),
            },
            Short::Never => None,
        }
    }

    /// Gives the payload of a received message back, so that its memory serves the next one that has to be put together
    /// or inflated; it does nothing for a borrowed one, nor once the connection is closed. That message may then have
    /// much more memory than it needs: give it back too, or shrink it before it is kept. The memory is kept until a
    /// message takes it along, or nothing was received for [`Config::release_after`](crate::Config::release_after), or
    /// until [`release_memory`](Connection::release_memory).
    pub fn recycle(&mut self, message: Message<'_>) {
        match message.into_payload() {
            Cow::Owned(bytes) if self.phase.receives_frames() => self.message.recycle(bytes),
            _ => {}
        }
    }

    /// What the time, the end of the transport, or the bytes kept during the opening handshake have brought.
    pub fn poll_event(&mut self) -> Option<Event<'static>> {
        self.rare.as_ref()?;
        let event = self.poll_rare();
        self.refresh();
        event
    }

    fn poll_rare(&mut self) -> Option<Event<'static>> {
        let rare = self.rare.as_mut()?;
        if let Some(closed) = rare.pending.take() {
            return Some(Event::Closed(closed));
        }
        if !self.phase.receives_frames() || rare.early.is_empty() {
            return None;
        }
        let mut early = mem::take(&mut rare.early);
        let start = mem::take(&mut rare.early_start);
        let mut input = &mut early[start..];
        let event = self.receive_frames(None, &mut input).map(Event::into_owned);
        let left = input.len();
        if self.phase.receives_frames() {
            if event.is_some() {
                // Even if nothing is left: the inflater may hold more, and an end comes after what was before it.
                let rare = self.rare();
                rare.early_start = early.len() - left;
                rare.early = early;
            } else if self.ended.read() {
                self.end_without_close(CloseCause::TransportEnded);
                return self.poll_rare();
            }
        }
        event
    }

    /// A frame that needs no state: everything about it is in its bytes.
    #[inline(always)]
    fn receive_short<'a, const MASKED: bool>(
        &mut self,
        input: &mut &'a mut [u8],
    ) -> Option<Event<'a>> {
        let header = if MASKED { 6 } else { 2 };
        let [first @ (FINAL_TEXT | FINAL_BINARY), second, ..] = **input else { return None };
        let len = usize::from(if MASKED { second ^ 0x80 } else { second });
        if len > MAX_CONTROL_BYTES || input.len() < header + len {
            return None;
        }
        Some(self.take_whole::<MASKED>(input, first, header, len))
    }

    /// The same for payloads of 126 to 65,535 bytes.
    fn receive_whole<'a, const MASKED: bool>(
        &mut self,
        input: &mut &'a mut [u8],
    ) -> Option<Event<'a>> {
        let header = if MASKED { 8 } else { 4 };
        let [first @ (FINAL_TEXT | FINAL_BINARY), second, high, low, ..] = **input else {
            return None;
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let second_wanted = if MASKED { 0x80 | 126 } else { 126 };
        if second != second_wanted
            || len <= MAX_CONTROL_BYTES
            || input.len() < header + len
            || len as u64 > self.config.max_frame_bytes.min(self.config.max_message_bytes)
        {
            return None;
        }
        Some(self.take_whole::<MASKED>(input, first, header, len))
    }

    /// Takes a frame whose header keeps all rules off the front of `input`, where it lies whole.
    #[inline(always)]
    fn take_whole<'a, const MASKED: bool>(
        &mut self,
        input: &mut &'a mut [u8],
        first: u8,
        header: usize,
        len: usize,
    ) -> Event<'a> {
        let (header, payload) = take_front(input, header + len).split_at_mut(header);
        let key = match MASKED {
            true => *header.last_chunk().expect("the header of a masked frame ends in its key"),
            false => [0; 4],
        };
        self.timer.note_received();
        if first == FINAL_BINARY {
            if MASKED {
                mask::apply_mask(payload, key);
            }
            return Event::Message(Message::Binary(Cow::Borrowed(payload)));
        }
        let text = match MASKED {
            true => utf8::unmask(payload, key),
            false => utf8::validate(payload),
        };
        match text {
            Some(text) => Event::Message(Message::Text(Cow::Borrowed(text))),
            None => self.fail_refreshed(ProtocolError::InvalidUtf8),
        }
    }

    #[cold]
    pub(super) fn fail_refreshed(&mut self, error: ProtocolError) -> Event<'static> {
        let event = self.fail(error);
        self.refresh();
        event
    }

    /// Everything that does not take the short way.
    #[inline(never)]
    pub(super) fn receive_any<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        assert!(!self.message.held, "the front of the message is in a ReadBuffer");
        if self.rare.is_some() {
            if let Some(event) = self.poll_event() {
                return Some(event);
            }
        }
        if !input.is_empty() {
            self.timer.note_received();
        }
        let event = match self.phase {
            Phase::Request | Phase::Decision | Phase::Response => self.receive_opening(input),
            Phase::Open | Phase::Closing | Phase::WriteClosed => self.receive_frames(None, input),
            // RFC 6455 1.4, 7.1.7: what comes after the end is discarded.
            Phase::Flushing | Phase::Waiting | Phase::Draining | Phase::Finished => {
                *input = &mut [];
                None
            }
        };
        self.refresh();
        event
    }

    /// Receives frames up to the next event; `begun` is one of which the header was taken.
    pub(super) fn receive_frames<'a>(
        &mut self,
        mut begun: Option<Header>,
        input: &mut &'a mut [u8],
    ) -> Option<Event<'a>> {
        loop {
            let (first, key, left) = if let Some(header) = begun.take() {
                (header.first, header.key, header.len)
            } else {
                #[cfg(feature = "deflate")]
                if let Some(event) = self.drain_inflater() {
                    return Some(event);
                }
                if input.is_empty() {
                    return None;
                }
                match self.frame {
                    FrameState::Payload { first, key, left } => (first, key, left),
                    FrameState::Header { .. } => match self.receive_header(input) {
                        Ok(Some(header)) => (header.first, header.key, header.len),
                        Ok(None) => return None,
                        Err(error) => return Some(self.fail(error)),
                    },
                }
            };
            let event = match first & 0x08 {
                0 => self.receive_data(first, key, left, input),
                _ => self.receive_control(first, key, left, input),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    /// Takes a header off the front of `input`, or what is there of it.
    #[inline(always)]
    pub(super) fn receive_header(
        &mut self,
        input: &mut &mut [u8],
    ) -> Result<Option<Header>, ProtocolError> {
        let rules = self.rules();
        let FrameState::Header { mut bytes, len } = self.frame else {
            unreachable!("it is called between payloads")
        };
        let mut len = usize::from(len);
        let header = if len == 0 {
            let header = frame::parse(input, &rules)?;
            let used = match &header {
                Some(header) => header.size,
                None => {
                    bytes[..input.len()].copy_from_slice(input);
                    len = input.len();
                    len
                }
            };
            take_front(input, used);
            header
        } else {
            loop {
                let Some(byte) = input.first().copied() else { break None };
                bytes[len] = byte;
                len += 1;
                take_front(input, 1);
                if let Some(header) = frame::parse(&bytes[..len], &rules)? {
                    break Some(header);
                }
            }
        };
        match &header {
            Some(header) if frame::is_data(header.first) => {
                let kind = begun_kind(header.first);
                self.message.begin_frame(kind, header.len, frame::is_compressed(header.first));
            }
            Some(_) => {}
            None => self.frame = FrameState::Header { bytes, len: len as u8 },
        }
        Ok(header)
    }

    /// [`Config::max_message_bytes`](crate::Config::max_message_bytes), as far as a message fits into one buffer.
    #[inline]
    pub(super) fn max_message_bytes(&self) -> u64 {
        match self.config.delivery {
            Delivery::Messages => at_most_a_buffer(self.config.max_message_bytes),
            Delivery::Chunks => self.config.max_message_bytes,
        }
    }

    pub(super) fn rules(&self) -> Rules {
        let limit = self.config.max_fragments;
        #[cfg(feature = "deflate")]
        let rsv_allowed = if self.codec.is_some() { frame::RSV1 } else { 0 };
        #[cfg(not(feature = "deflate"))]
        let rsv_allowed = 0;
        Rules {
            masked: Some(self.role == Role::Server),
            rsv_allowed,
            message_open: Some(self.message.is_open()),
            fragments_exhausted: (self.message.fragments >= limit).then_some(limit),
            max_frame_bytes: self.config.max_frame_bytes,
            max_message_bytes: self.max_message_bytes(),
            message_bytes: self.message.bytes,
            message_compressed: self.message.compressed,
        }
    }

    /// Takes `n` bytes of the payload off the front of `input`; `left` of the frame were to come before.
    pub(super) fn take_payload<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        n: usize,
        (first, key, left): (u8, [u8; 4], u64),
    ) -> &'a mut [u8] {
        let piece = take_front(input, n);
        self.frame = match left - n as u64 {
            0 => FrameState::default(),
            left => FrameState::Payload { first, key: mask::rotate_key(key, n), left },
        };
        piece
    }

    fn receive_data<'a>(
        &mut self,
        first: u8,
        key: [u8; 4],
        left: u64,
        input: &mut &'a mut [u8],
    ) -> Option<Event<'a>> {
        #[cfg(feature = "deflate")]
        if self.message.compressed {
            return self.receive_compressed(first, key, left, input);
        }
        let fin = first & FIN != 0;
        let n = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        match self.config.delivery {
            Delivery::Messages => {
                let piece = self.take_payload(input, n, (first, key, left));
                match self.message.assemble(piece, key, left - n as u64, fin) {
                    Ok(message) => message.map(Event::Message),
                    Err(InvalidUtf8) => Some(self.fail(ProtocolError::InvalidUtf8)),
                }
            }
            Delivery::Chunks => {
                let n = self.message.chunk_len(n);
                let piece = self.take_payload(input, n, (first, key, left));
                mask::apply_mask(piece, key);
                match self.message.chunk(piece, fin && left == n as u64) {
                    (chunk, Ok(())) => chunk.map(Event::Chunk),
                    (chunk, Err(InvalidUtf8)) => {
                        Some(self.fail_after(chunk, ProtocolError::InvalidUtf8))
                    }
                }
            }
        }
    }

    fn receive_control<'a>(
        &mut self,
        first: u8,
        key: [u8; 4],
        left: u64,
        input: &mut &'a mut [u8],
    ) -> Option<Event<'a>> {
        let opcode = Opcode::from_first_byte(first).expect("a reserved opcode was refused");
        let n = (left as usize).min(input.len());
        let piece = self.take_payload(input, n, (first, key, left));
        let left = left as usize - n;
        mask::apply_mask(piece, key);
        let begun = self.rare.as_ref().is_some_and(|rare| !rare.control.is_empty());
        let payload = if left == 0 && !begun {
            Cow::Borrowed(&*piece)
        } else {
            let control = &mut self.rare().control;
            control.extend_from_slice(piece);
            if left == 0 { Cow::Owned(mem::take(control)) } else { Cow::Borrowed(&[][..]) }
        };
        if opcode == Opcode::Close {
            let arrived = match left {
                0 => &*payload,
                _ => &self.rare().control[..],
            };
            let len = arrived.len() + left;
            if let Err(error) = close::check_received(arrived, len) {
                return Some(self.fail(error));
            }
        }
        if left > 0 {
            return None;
        }
        match opcode {
            Opcode::Ping => {
                if let Err(error) = self.queue_pong(&payload) {
                    return Some(self.fail_for_entropy(error));
                }
                Some(Event::Ping(payload))
            }
            Opcode::Pong => Some(Event::Pong(payload)),
            Opcode::Close => Some(self.receive_close(&payload)),
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                unreachable!("these are data frames")
            }
        }
    }

    /// RFC 6455 5.5.1, 7.1.5: the peer's Close is answered, unless ours was first, and ends the connection.
    fn receive_close(&mut self, payload: &[u8]) -> Event<'static> {
        let (code, reason) = close::parse(payload);
        let reason = reason.to_string();
        let cause = match self.phase {
            Phase::Closing => CloseCause::Local,
            // Nothing can be queued if it is our write side that has ended.
            _ => {
                let body = match code {
                    CloseCode::NO_STATUS => CloseBody::EMPTY,
                    code => CloseBody::new(code, "").expect("a received code can be sent"),
                };
                self.queue_close(&body);
                CloseCause::Peer
            }
        };
        self.end(match self.role {
            Role::Server => Phase::Flushing,
            Role::Client => Phase::Waiting,
        });
        Event::Closed(Box::new(Closed { code, reason, clean: true, cause }))
    }
}

/// The kind of the message that a frame with this first byte begins.
pub(super) fn begun_kind(first: u8) -> Option<MessageKind> {
    match Opcode::from_first_byte(first) {
        Some(Opcode::Text) => Some(MessageKind::Text),
        Some(Opcode::Binary) => Some(MessageKind::Binary),
        _ => None,
    }
}
