//! A connection whose invariants are checked after every call, and whose events and output are recorded so that two
//! runs can be compared.

use websocket_proto::{
    CloseCause, CloseCode, Closed, Connection, Event, Message, MessageKind, ReadBuffer, Role,
    State, Timestamp, UsageError,
};

/// An event. Chunks are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The whole head.
    Upgrade(Vec<u8>),
    /// The whole head.
    Plain(Vec<u8>),
    /// The whole head.
    Open(Vec<u8>),
    Message(MessageKind, Vec<u8>),
    /// The joined chunks of a message that was unfinished when the connection ended.
    Unfinished(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// Joined pieces.
    RefusalBody(Vec<u8>),
    Closed(Closed),
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub seen: Vec<Seen>,
    /// The joined chunks of a message that is still unfinished.
    pub partial: Option<(MessageKind, Vec<u8>)>,
    /// All written bytes.
    pub output: Vec<u8>,
    pub state: State,
}

impl Outcome {
    pub fn closed(&self) -> Option<&Closed> {
        match self.seen.last() {
            Some(Seen::Closed(closed)) => Some(closed),
            _ => None,
        }
    }
}

pub struct Observer {
    pub conn: Connection,
    pub seen: Vec<Seen>,
    pub partial: Option<(MessageKind, Vec<u8>)>,
    pub output: Vec<u8>,
    /// Whether output is written after every event. Otherwise only `drain` writes it.
    pub drains: bool,
    state: State,
    has_write_end: bool,
}

impl Observer {
    pub fn new(conn: Connection, drains: bool) -> Observer {
        let state = conn.state();
        Observer {
            conn,
            seen: Vec::new(),
            partial: None,
            output: Vec::new(),
            drains,
            state,
            has_write_end: false,
        }
    }

    /// Ends the write side of the transport.
    pub fn write_closed(&mut self) {
        self.conn.write_closed();
        self.has_write_end = true;
        assert!(!self.conn.wants_write() && !self.conn.wants_shutdown());
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.seen.last(), Some(Seen::Closed(_)))
    }

    /// Records an event, and checks its invariants.
    pub fn note(&mut self, event: Event<'_>) {
        assert!(!self.is_closed(), "{event:?} after the end");
        let seen = match event {
            Event::UpgradeRequest(request) => {
                assert!(self.seen.is_empty() && self.conn.state() == State::Connecting);
                Seen::Upgrade(request.as_bytes().to_vec())
            }
            Event::PlainRequest(request) => {
                assert!(self.seen.is_empty() && self.conn.state() == State::Connecting);
                Seen::Plain(request.as_bytes().to_vec())
            }
            Event::Open(response) => {
                // A client that cannot write any more still receives its response, but it cannot send.
                let state = if self.has_write_end { State::Closing } else { State::Open };
                assert!(self.seen.is_empty() && self.conn.state() == state);
                Seen::Open(response.as_bytes().to_vec())
            }
            Event::Message(message) => {
                assert!(self.partial.is_none(), "a message within a message");
                self.judge_size(message.len());
                let kind = message.kind();
                Seen::Message(kind, checked(kind, message.into_bytes()))
            }
            Event::Chunk(chunk) => {
                assert_eq!(chunk.is_first(), self.partial.is_none(), "{chunk:?}");
                assert!(
                    !chunk.as_bytes().is_empty() || chunk.is_last(),
                    "{chunk:?} is empty but not the last"
                );
                let (kind, mut bytes) = self.partial.take().unwrap_or((chunk.kind(), Vec::new()));
                assert_eq!(kind, chunk.kind());
                bytes.extend(checked(kind, chunk.as_bytes().to_vec()));
                self.judge_size(bytes.len());
                if !chunk.is_last() {
                    self.partial = Some((kind, bytes));
                    return;
                }
                Seen::Message(kind, bytes)
            }
            Event::Ping(payload) => Seen::Ping(control(payload.into_owned())),
            Event::Pong(payload) => Seen::Pong(control(payload.into_owned())),
            Event::RefusalBody(piece) => {
                assert!(!piece.is_empty() && self.conn.config().stream_refusal_body());
                let refusal = self.conn.refusal().expect("its body is being read");
                assert!(refusal.status() != 101 && refusal.body().is_empty());
                if let Some(Seen::RefusalBody(body)) = self.seen.last_mut() {
                    return body.extend_from_slice(&piece);
                }
                assert!(self.seen.is_empty());
                Seen::RefusalBody(piece.into_owned())
            }
            Event::Closed(closed) => {
                assert_eq!(self.conn.state(), State::Closed);
                let has_code = closed.code() != CloseCode::ABNORMAL;
                assert_eq!(
                    closed.is_clean(),
                    has_code,
                    "`clean` does not agree with the close code"
                );
                let by_close = matches!(closed.cause(), CloseCause::Peer | CloseCause::Local);
                assert_eq!(closed.is_clean(), by_close);
                assert!(closed.reason().len() <= 123 && (has_code || closed.reason().is_empty()));
                let code = closed.code();
                assert!(
                    !has_code || code == CloseCode::NO_STATUS || code.is_sendable_by(Role::Client)
                );
                if let Some((kind, bytes)) = self.partial.take() {
                    self.seen.push(Seen::Unfinished(kind, bytes));
                }
                Seen::Closed(closed)
            }
            other => panic!("unexpected event {other:?}"),
        };
        self.seen.push(seen);
    }

    fn judge_size(&self, len: usize) {
        let limit = self.conn.config().max_message_bytes();
        assert!(len as u64 <= limit, "a message of {len} bytes, the limit is {limit}");
    }

    /// Checks what must hold after every call.
    pub fn check(&mut self) {
        let state = self.conn.state();
        assert!(state >= self.state, "from {} back to {state}", self.state);
        self.state = state;
        let chunks = self.conn.outgoing_chunks();
        let mut shown = 0;
        for chunk in chunks.clone() {
            assert!(!chunk.is_empty());
            shown += chunk.len();
        }
        assert_eq!(self.conn.outgoing_len(), shown as u64);
        assert_eq!(self.conn.wants_write(), shown > 0);
        let first = chunks.clone().next().unwrap_or_default();
        assert_eq!(self.conn.outgoing(), first);
        assert!(state == State::Open || !self.conn.is_writable());
        if self.conn.is_finished() {
            assert!(state == State::Closed && !self.conn.wants_write());
        }
        assert!(state == State::Closed || !self.conn.wants_shutdown());
        if self.drains {
            self.drain();
        }
    }

    /// Feeds one piece until `receive` returns `None`.
    pub fn feed(&mut self, piece: &[u8]) {
        self.feed_with(piece, |_, _| ());
    }

    /// Like [`feed`](Observer::feed), with a call of `then` after each event.
    pub fn feed_with(&mut self, piece: &[u8], mut then: impl FnMut(&mut Observer, &Seen)) {
        let mut copy = piece.to_vec();
        let mut input = &mut copy[..];
        loop {
            let before = input.len();
            let Some(event) = self.conn.receive(&mut input) else { break };
            assert!(input.len() <= before);
            let count = self.seen.len();
            self.note(event);
            self.check();
            if self.seen.len() > count {
                let seen = self.seen[count].clone();
                then(self, &seen);
                self.check();
            }
        }
        assert!(input.is_empty(), "receive returned None but has not used up the input");
        self.check();
    }

    /// Feeds one piece through a buffer, which may hold the front of a message afterwards. If `asks`, `is_event_ready` is
    /// called before each `receive_from`.
    pub fn feed_from(&mut self, buffer: &mut ReadBuffer, mut piece: &[u8], asks: bool) {
        while !piece.is_empty() {
            let spare = buffer.spare();
            let n = spare.len().min(piece.len());
            assert!(n > 0, "the buffer has no room for more");
            spare[..n].copy_from_slice(&piece[..n]);
            buffer.filled(n);
            piece = &piece[n..];
            loop {
                let is_ready = asks.then(|| self.conn.is_event_ready(buffer));
                if asks {
                    self.check();
                    assert_eq!(Some(self.conn.is_event_ready(buffer)), is_ready);
                }
                let event = self.conn.receive_from(buffer);
                assert!(is_ready.is_none_or(|is_ready| is_ready == event.is_some()));
                let Some(event) = event else { break };
                self.note(event);
                self.check();
            }
            self.check();
        }
    }

    pub fn poll(&mut self) {
        while let Some(event) = self.conn.poll_event() {
            self.note(event);
            self.check();
        }
        self.check();
    }

    /// Writes all output.
    pub fn drain(&mut self) {
        while self.conn.wants_write() {
            let n = self.conn.outgoing().len();
            self.output.extend_from_slice(self.conn.outgoing());
            self.conn.advance(n);
        }
        assert_eq!(self.conn.outgoing_len(), 0);
    }

    /// Ends the run: writes all output, and checks that a closed connection stays closed.
    pub fn finish(mut self) -> Outcome {
        self.poll();
        assert_eq!(self.is_closed(), self.conn.state() == State::Closed);
        if self.is_closed() {
            self.stays_closed();
        }
        self.drain();
        assert_eq!(self.conn.state(), self.state);
        if self.is_closed() {
            self.conn.receive_eof();
            assert!(self.conn.is_finished());
            assert!(!self.conn.wants_read() && self.conn.poll_event().is_none());
        }
        Outcome { seen: self.seen, partial: self.partial, output: self.output, state: self.state }
    }

    /// Checks that nothing happens after the end, whatever is called.
    fn stays_closed(&mut self) {
        let before: Vec<u8> = self.conn.outgoing_chunks().flatten().copied().collect();
        let conn = &mut self.conn;
        let mut bytes = *b"\x81\x80\0\0\0\0\x81\x00GET / HTTP/1.1\r\n\r\n";
        let mut input = &mut bytes[..];
        assert!(conn.receive(&mut input).is_none() && input.is_empty());
        let refused = Err(UsageError::NotOpen(State::Closed));
        assert_eq!(conn.send("late"), refused);
        assert_eq!(conn.send(vec![1; 5000]), refused);
        assert_eq!(conn.send_fragment(MessageKind::Text, b"late", true), refused);
        assert_eq!((conn.ping(b""), conn.pong(b"")), (refused, refused));
        assert_eq!(conn.close(1000, ""), Ok(()));
        // A response of the connection's own can be replaced, but not by one that cannot be sent.
        let respond = conn.respond(99);
        assert!(matches!(
            respond,
            Err(UsageError::NoRequestPending | UsageError::InvalidStatus(99))
        ));
        conn.tick(Timestamp::from_millis(0));
        conn.release_memory();
        assert!(conn.poll_event().is_none() && !conn.is_writable());
        let after: Vec<u8> = conn.outgoing_chunks().flatten().copied().collect();
        assert_eq!(after, before, "the queue has changed after the end");
    }
}

fn checked(kind: MessageKind, bytes: Vec<u8>) -> Vec<u8> {
    assert!(kind == MessageKind::Binary || std::str::from_utf8(&bytes).is_ok(), "not UTF-8");
    bytes
}

fn control(payload: Vec<u8>) -> Vec<u8> {
    assert!(payload.len() <= 125);
    payload
}

/// A frame parsed by `read_frames`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    /// Unmasked.
    pub payload: Vec<u8>,
}

/// Parses all of `bytes` as whole frames of `role`, with the shortest length, masked exactly if `role` is a client.
pub fn read_frames(role: Role, bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (header, len) = measure(&bytes[at..]);
        let first = bytes[at];
        assert_eq!(bytes[at + 1] & 0x80 != 0, role == Role::Client, "only a client masks");
        let key = match role {
            Role::Client => &bytes[at + header - 4..at + header],
            Role::Server => &[0; 4],
        };
        assert!(at + header + len <= bytes.len(), "the last frame is cut off");
        let payload = bytes[at + header..at + header + len]
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect();
        assert!(matches!(first & 0x3f, 0..=2 | 8..=10), "first byte {first:#x}");
        assert!(first & 8 == 0 || (first & 0xc0 == 0x80 && len <= 125));
        frames.push(Frame { first, payload });
        at += header + len;
    }
    frames
}

/// The size of the header at the front, and of the payload after it.
pub fn measure(bytes: &[u8]) -> (usize, usize) {
    let mask = usize::from(bytes[1] >> 7) * 4;
    match bytes[1] & 0x7f {
        126 => {
            let len = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            assert!(len >= 126);
            (4 + mask, len)
        }
        127 => {
            let len = u64::from_be_bytes(bytes[2..10].try_into().expect("8 bytes"));
            assert!(len > 0xffff);
            (10 + mask, len as usize)
        }
        len => (2 + mask, usize::from(len)),
    }
}

/// A message of this kind.
pub fn message(kind: MessageKind, payload: &[u8]) -> Message<'_> {
    match kind {
        MessageKind::Text => Message::from(std::str::from_utf8(payload).expect("text")),
        MessageKind::Binary => Message::from(payload),
    }
}
