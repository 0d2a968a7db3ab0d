//! Turns bytes into events. The receiver tells what was received; this file decides what the connection does about it.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;

use super::{Connection, Phase};
use crate::close::CloseBody;
use crate::close_code::CloseCode;
use crate::config::Delivery;
use crate::error::ProtocolError;
use crate::event::{CloseCause, Closed, Event};
use crate::input::take_front;
use crate::message::Message;
use crate::receive::{Before, Fault, Front, LookAhead, Raw, ReadBuffer, Reading, Received, Terms};
use crate::utf8::InvalidUtf8;

/// # Receive
impl Connection {
    /// Takes bytes from the peer off the front of `input`, up to the next event. Returns `None` when all bytes are
    /// taken and there is no event. Payloads are unmasked in place. The bytes that stay in `input` are unchanged; pass
    /// them to the next call. This call never fails: a mistake of the peer is reported by [`Event::Closed`].
    ///
    /// ```
    /// # use websocket_proto::{Config, Connection, Event, Role, State};
    /// # let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
    /// # let mut buf = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    /// # let n = buf.len();
    /// let mut input = &mut buf[..n];
    /// while let Some(event) = conn.receive(&mut input) {
    ///     match event {
    ///         // Messages still arrive after our Close, when `send` would return an error.
    ///         Event::Message(message) if conn.state() == State::Open => conn.send(message)?,
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!(conn.outgoing(), b"\x81\x05Hello");
    /// # Ok::<(), websocket_proto::UsageError>(())
    /// ```
    ///
    /// If the front of a message is buffered in a [`ReadBuffer`], read the rest into the same buffer, and call
    /// [`receive_from`](Connection::receive_from). Bytes passed to `receive` then end the connection with
    /// [`CloseCause::Aborted`], since they do not continue the message.
    #[inline]
    #[must_use = "the event is reported once"]
    #[doc(alias("receive_data", "feed", "handle_input", "onmessage"))]
    pub fn receive<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        match self.recv.receive_short(input) {
            Some(message) => Some(self.take_quick(message)),
            None => self.receive_longer(input),
        }
    }

    /// Takes bytes from the peer out of a [`ReadBuffer`], up to the next event; otherwise the same as
    /// [`receive`](Connection::receive). The buffer stores the front of a message until the rest arrives. So a message
    /// that fits into the buffer is borrowed from it, even if it came in several reads, unless it is fragmented or
    /// compressed or delivered in chunks. `None` means that more must be read.
    ///
    /// While one buffer stores the front of a message, bytes in another buffer end the connection with
    /// [`CloseCause::Aborted`].
    #[inline]
    #[must_use = "the event is reported once"]
    #[doc(alias("read"))]
    pub fn receive_from<'a>(&mut self, buffer: &'a mut ReadBuffer) -> Option<Event<'a>> {
        buffer.take_front(|input, front, capacity| {
            let message = match front {
                None => self.recv.receive_short(input),
                // The input begins with bytes that were received before.
                Some(_) => None,
            };
            match message {
                Some(message) => Some(self.take_quick(message)),
                None => self.receive_any_from(input, front, capacity),
            }
        })
    }

    /// Returns whether [`receive_from`](Connection::receive_from) would return an event now. `false` means that the
    /// loop must go on: answer a request, write, read, or stop if the connection
    /// [`is_finished`](Connection::is_finished).
    ///
    /// A function that reads in a loop cannot return an event that borrows from its buffer, since the borrow would last
    /// for the whole loop. With `is_event_ready` it can:
    ///
    /// ```
    /// # use std::io::Read;
    /// # use websocket_proto::{Config, Connection, Event, ReadBuffer, Role};
    /// fn recv<'a>(
    ///     conn: &mut Connection,
    ///     stream: &mut impl Read,
    ///     buffer: &'a mut ReadBuffer,
    /// ) -> std::io::Result<Option<Event<'a>>> {
    ///     while !conn.is_event_ready(buffer) {
    ///         if conn.is_finished() {
    ///             return Ok(None);
    ///         }
    ///         match stream.read(buffer.spare())? {
    ///             0 => conn.receive_eof(),
    ///             n => buffer.filled(n),
    ///         }
    ///     }
    ///     Ok(conn.receive_from(buffer))
    /// }
    /// # let mut conn = Connection::from_upgrade(Role::Server, Config::default())?;
    /// # let mut buffer = ReadBuffer::with_capacity(64);
    /// # let mut stream = &b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..];
    /// # let event = recv(&mut conn, &mut stream, &mut buffer)?;
    /// # assert!(matches!(event, Some(Event::Message(message)) if message.as_text() == Some("Hello")));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// This call takes all bytes except those that the event will borrow. Calling it before `receive_from` unmasks no
    /// payload byte twice. A request or response of the opening handshake is copied once.
    ///
    /// After `true`, no other call changes which event comes next, as long as the connection does not end. If the
    /// connection ends before the event is taken, by [`abort`](Connection::abort), [`fail`](Connection::fail), a
    /// timeout or [`receive_eof`](Connection::receive_eof), a message that lies whole in the buffer is dropped with the
    /// other bytes there. If [`close`](Connection::close) is called in between, a Close that lies in the buffer is its
    /// answer.
    #[must_use]
    pub fn is_event_ready(&mut self, buffer: &mut ReadBuffer) -> bool {
        if !self.recv.has_front() {
            buffer.drop_front();
        }
        loop {
            if self.life.has_event() {
                return true;
            }
            let (input, front) = buffer.filled_bytes();
            let is_in_frames = self.life.phase().receives_frames();
            let step = if is_in_frames && self.life.has_early_bytes() {
                LookAhead::Receive(0)
            } else if is_in_frames {
                let terms = Terms { role: self.send.role(), config: &self.config };
                self.recv.look_ahead(input, front, terms, self.codec.is_some())
            } else if input.is_empty() {
                LookAhead::NoInput
            } else {
                LookAhead::Receive(input.len())
            };
            let n = match step {
                LookAhead::Event => return true,
                LookAhead::NoInput => return false,
                LookAhead::Receive(n) => n,
            };
            let event = buffer.take_front_of(n, |input, front, capacity| {
                self.receive_any_from(input, front, capacity).map(Event::into_owned)
            });
            if let Some(event) = event {
                match event {
                    Event::Closed(closed) => self.life.set_closed(closed),
                    event => self.life.set_ready(event),
                }
                self.recv.close_quick_way();
                return true;
            }
        }
    }

    /// Returns the next event that needs no input. Such events are caused by time, by the end of the transport, by
    /// other calls such as [`abort`](Connection::abort), or by bytes that were received before. Call it until it
    /// returns `None`. In chunk delivery, [`receive`](Connection::receive) may return further chunks of a compressed
    /// message without input.
    #[must_use = "the event is reported once"]
    #[doc(alias("next_event", "poll"))]
    pub fn poll_event(&mut self) -> Option<Event<'static>> {
        if !self.life.has_waiting() {
            return None;
        }
        match self.life.take_event() {
            Some(event) => {
                self.start_receiver();
                Some(event)
            }
            None => self.receive_early_bytes(),
        }
    }

    /// Returns whether bytes from the peer should be read. It is false while the caller decides about a request, and
    /// when the connection needs no more bytes.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        match self.life.phase() {
            Phase::Request
            | Phase::Response
            | Phase::Open
            | Phase::Answering
            | Phase::Closing
            | Phase::WriteClosed
            | Phase::AwaitingEnd
            | Phase::Draining => !self.life.has_read_end(),
            Phase::Decision | Phase::Flushing | Phase::Finished => false,
        }
    }

    /// Gives the payload of a received message back. Its memory is used for the next message that must be assembled or
    /// inflated. A borrowed payload has no memory to give, and a closed connection takes none.
    ///
    /// The next message may own much more memory than it needs. Recycle that message too, or shrink it before you store
    /// it. If no message uses the memory, it is freed when nothing was received for
    /// [`Config::release_after`](crate::Config::release_after), or by [`release_memory`](Connection::release_memory).
    pub fn recycle(&mut self, message: Message<'_>) {
        match message.into_payload() {
            Cow::Owned(bytes) if self.life.phase().receives_frames() => self.recv.recycle(bytes),
            _ => {}
        }
    }

    #[inline(never)]
    fn receive_longer<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        match self.recv.receive_longer(input, &self.config) {
            Some(message) => Some(self.take_quick(message)),
            None => self.receive_frames(input),
        }
    }

    // Without optimization, inlining only costs stack.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn take_quick<'a>(&mut self, message: Result<Message<'a>, InvalidUtf8>) -> Event<'a> {
        self.life.timer.note_received();
        match message {
            Ok(message) => Event::Message(message),
            Err(InvalidUtf8) => {
                self.fail_for(CloseCause::Protocol(ProtocolError::InvalidUtf8), None)
            }
        }
    }

    /// Receives frames that the quick way (`receive/quick.rs`) cannot take.
    #[inline(never)]
    fn receive_frames<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        if !self.receives_frames_next() {
            return self.receive_outside_frames(input);
        }
        if !input.is_empty() {
            self.life.timer.note_received();
        }
        let terms = Terms { role: self.send.role(), config: &self.config };
        if terms.config.receives_apart {
            return self.receive_apart(input);
        }
        match self.recv.receive(input, terms, Delivery::Messages, &mut self.codec, |_| {}) {
            Ok(None) => None,
            Ok(Some(received)) => Some(self.react(received)),
            Err(fault) => Some(self.fail_by(*fault)),
        }
    }

    /// Receives frames that are delivered as chunks or as they are, or that are counted. These have loops of their own,
    /// so that the loop for messages asks nothing about them.
    #[inline(never)]
    fn receive_apart<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        if self.config.count_traffic {
            return self.receive_counted(input);
        }
        let terms = Terms { role: self.send.role(), config: &self.config };
        let result = self.recv.receive_delivered(input, terms, &mut self.codec, |_| {});
        self.react_to_raw(result)
    }

    /// Makes an event of what was received by a loop of its own.
    #[inline]
    pub(super) fn react_to_raw<'a>(
        &mut self,
        result: Result<Option<Raw<'a>>, Box<Fault<'a>>>,
    ) -> Option<Event<'a>> {
        match result {
            Ok(None) => None,
            Ok(Some(Raw::Header(header))) => Some(Event::FrameHeader(header)),
            Ok(Some(Raw::Payload(payload))) => Some(Event::FramePayload(payload)),
            Ok(Some(Raw::Other(received))) => Some(self.react(received)),
            Err(fault) => Some(self.fail_by(*fault)),
        }
    }

    /// Whether new input is frames and can be received now: no event, no early bytes and no front of a message come
    /// before it.
    #[inline]
    fn receives_frames_next(&self) -> bool {
        self.life.phase().receives_frames() && !self.life.has_waiting() && !self.recv.has_front()
    }

    /// Receives input that comes after a buffered event, or that is not frames. It returns buffered events first. Bytes
    /// of the opening handshake are received, and bytes after the end are dropped.
    #[inline(never)]
    fn receive_outside_frames<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        if let Some(event) = self.poll_event() {
            return Some(event);
        }
        if input.is_empty() {
            return None;
        }
        self.life.timer.note_received();
        if self.recv.has_front() {
            return self.abort_lost_front();
        }
        match self.life.phase() {
            Phase::Request | Phase::Decision | Phase::Response => self.receive_opening(input),
            Phase::Open | Phase::Closing | Phase::WriteClosed => self.receive_frames(input),
            // RFC 6455 1.4, 7.1.7: bytes after the peer's Close and after the end of the connection are dropped.
            Phase::Answering
            | Phase::Flushing
            | Phase::AwaitingEnd
            | Phase::Draining
            | Phase::Finished => {
                *input = &mut [];
                None
            }
        }
    }

    /// Receives input from a [`ReadBuffer`] if the quick way for short messages cannot take it.
    #[inline(never)]
    fn receive_any_from<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        front: &mut Option<Front>,
        capacity: usize,
    ) -> Option<Event<'a>> {
        if front.is_none() {
            if let Some(message) = self.recv.receive_longer(input, &self.config) {
                return Some(self.take_quick(message));
            }
        }
        if let Some(stale) = front.take_if(|_| !self.recv.has_front()) {
            // The buffered message does not belong to this connection, or this connection has ended.
            take_front(input, stale.len());
        }
        let is_front_here = front.is_some() || !self.recv.has_front();
        if !self.life.phase().receives_frames() || self.life.has_waiting() || !is_front_here {
            return self.receive_outside_frames(input);
        }
        if input.len() > front.as_ref().map_or(0, Front::len) {
            self.life.timer.note_received();
        }
        let terms = Terms { role: self.send.role(), config: &self.config };
        let inflates = self.codec.is_some();
        match self.recv.receive_from(input, front, capacity, terms, inflates) {
            Ok(Reading::Received(received)) => Some(self.react(received)),
            Ok(Reading::Nothing) => None,
            Ok(Reading::Frames) => self.receive_frames(input),
            Err(fault) => Some(self.fail_by(*fault)),
        }
    }

    /// Makes an event of a received message or control frame, and answers pings and Close frames.
    #[inline(always)]
    fn react<'a>(&mut self, received: Received<'a>) -> Event<'a> {
        match received {
            Received::Message(message) => Event::Message(message),
            Received::Chunk(chunk) => Event::Chunk(chunk),
            Received::Ping(payload) => self.receive_ping(payload),
            Received::Pong(payload) => self.receive_pong(payload),
            Received::Close(code, reason) => self.receive_close(code, reason),
        }
    }

    /// Fails the connection because of what was received. A piece of the message that came before is returned first.
    #[cold]
    fn fail_by<'a>(&mut self, fault: Fault<'a>) -> Event<'a> {
        let before = fault.before.map(|before| match before {
            Before::Chunk(chunk) => Event::Chunk(chunk),
            Before::FramePayload(payload) => Event::FramePayload(payload),
        });
        self.fail_for(CloseCause::Protocol(fault.error), before)
    }

    /// RFC 6455 5.5.2: a ping is answered with its payload.
    fn receive_ping<'a>(&mut self, payload: Cow<'a, [u8]>) -> Event<'a> {
        if self.config.answer_pings && !self.life.has_write_end() {
            if let Err(error) = self.send.answer_ping(&payload, &self.config) {
                return self.fail_for(CloseCause::Entropy(error), None);
            }
        }
        Event::Ping(payload)
    }

    fn receive_pong<'a>(&mut self, payload: Cow<'a, [u8]>) -> Event<'a> {
        if let Some(liveness) = self.life.liveness_mut() {
            liveness.receive_pong(&payload);
        }
        Event::Pong(payload)
    }

    /// RFC 6455 5.5.1, 7.1.5: the peer's Close ends the connection. It is answered unless our Close was sent before.
    fn receive_close(&mut self, code: CloseCode, reason: String) -> Event<'static> {
        let cut = self.recv.cut();
        let (cause, sent) = match self.life.phase() {
            Phase::Closing => (CloseCause::Local, self.life.take_sent()),
            Phase::Open if !self.config.answer_close => {
                let event = Event::CloseReceived { code, reason: reason.as_str().into() };
                self.enter_phase(Phase::Answering);
                let closed = Closed::clean(code, reason, CloseCause::Peer).with_cut(cut);
                self.life.set_unanswered(closed);
                return event;
            }
            // `queue_close` queues nothing if the write side has ended.
            _ => (CloseCause::Peer, self.queue_close(&CloseBody::answer_to(code))),
        };
        self.enter_phase(self.after_both_closes());
        Event::Closed(Closed::clean(code, reason, cause).with_sent(sent).with_cut(cut))
    }

    /// Receives the bytes that arrived behind the request while the caller decided.
    fn receive_early_bytes(&mut self) -> Option<Event<'static>> {
        if !self.life.phase().receives_frames() {
            return None;
        }
        let (mut bytes, start) = self.life.take_early_bytes()?;
        let mut input = &mut bytes[start..];
        let event = self.receive_frames(&mut input).map(Event::into_owned);
        let left = input.len();
        if self.life.phase().receives_frames() {
            if event.is_some() {
                // The buffer is stored again even if no bytes are left in it. While it is stored, `poll_event` calls
                // this function again. The inflater may have more output. After that, the end of the transport may have
                // to be reported.
                let start = bytes.len() - left;
                self.life.put_early_bytes_back(bytes, start);
                self.recv.close_quick_way();
            } else if self.life.has_read_end() {
                self.end_without_close(CloseCause::TransportEnded);
                return self.poll_event();
            } else {
                self.start_receiver();
            }
        }
        event
    }

    /// Ends the connection: the input does not come from the buffer that has the front of the message.
    #[cold]
    fn abort_lost_front(&mut self) -> Option<Event<'static>> {
        self.abort();
        self.poll_event()
    }
}
