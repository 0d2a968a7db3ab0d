//! Helpers of the tests: frames that are built and parsed without the library's codec, and connections that are fed
//! with the same bytes in every cut.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate that uses its own part of this"
)]

use websocket_proto::{
    CloseCause, CloseCode, Config, ConfigBuilder, Connection, Delivery, Entropy, Event, Message,
    MessageKind, ProtocolError, ReadBuffer, Role, Shared, State,
};

/// Both roles.
pub const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// The masking key of all frames that the tests send to a server, from RFC 6455 5.7.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A default configuration with reproducible keys, to be changed.
pub fn builder() -> ConfigBuilder {
    Config::builder().entropy(Entropy::Seed(1))
}

/// A default configuration with reproducible keys.
pub fn config() -> Config {
    builder().build().unwrap()
}

/// A configuration that delivers chunks.
pub fn chunks() -> Config {
    builder().delivery(Delivery::Chunks).build().unwrap()
}

/// This limit of the queue or of whole messages, or on 32-bit targets the largest one that is allowed.
pub fn in_one_buffer(bytes: u64) -> u64 {
    match usize::BITS {
        64.. => bytes,
        _ => bytes.min(isize::MAX as u64 / 2),
    }
}

/// A configuration to be changed that has no limit for received frames and messages. Where no buffer can hold such
/// messages, on 32-bit targets, it delivers chunks.
pub fn unlimited() -> ConfigBuilder {
    let delivery = if usize::BITS < 64 { Delivery::Chunks } else { Delivery::Messages };
    builder().delivery(delivery).max_frame_bytes(u64::MAX).max_message_bytes(u64::MAX)
}

/// An open connection.
pub fn open(role: Role) -> Connection {
    open_with(role, config())
}

pub fn open_with(role: Role, config: impl Into<Shared<Config>>) -> Connection {
    Connection::from_upgrade(role, config).expect("a seed cannot fail")
}

pub fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// A frame with this first byte, masked if there is a key, with the shortest encoding of its length.
pub fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(mask_bit | len as u8),
        len @ 126..=0xffff => {
            bytes.push(mask_bit | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(mask_bit | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    if let Some(key) = key {
        bytes.extend_from_slice(&key);
    }
    bytes
        .extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key.map_or(0, |key| key[i % 4])));
    bytes
}

/// A frame as the peer of `role` sends it.
pub fn to(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, payload, (role == Role::Server).then_some(KEY))
}

/// A frame parsed by `read_frames`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    pub key: Option<[u8; 4]>,
    /// Unmasked.
    pub payload: Vec<u8>,
}

/// Parses all of `bytes` as whole frames.
pub fn read_frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (first, second) = (bytes[0], bytes[1]);
        let (len, mut at) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 => (u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize, 10),
            len => (usize::from(len), 2),
        };
        let key = (second & 0x80 != 0).then(|| <[u8; 4]>::try_from(&bytes[at..at + 4]).unwrap());
        at += if key.is_some() { 4 } else { 0 };
        let payload = bytes[at..at + len]
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ key.map_or(0, |key| key[i % 4]));
        frames.push(Frame { first, key, payload: payload.collect() });
        bytes = &bytes[at + len..];
    }
    frames
}

/// The frames in `bytes` as (first byte, unmasked payload).
pub fn plain_frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    read_frames(bytes).into_iter().map(|frame| (frame.first, frame.payload)).collect()
}

/// An event, in a form that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Upgrade(String),
    Plain(String),
    Open,
    Text(String),
    Binary(Vec<u8>),
    /// A whole message, joined from its chunks.
    Chunked(MessageKind, Vec<u8>),
    /// The joined chunks of a message whose last chunk is missing.
    Unfinished(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// Joined pieces.
    RefusalBody(Vec<u8>),
    CloseReceived(CloseCode, String),
    Closed {
        code: CloseCode,
        reason: String,
        clean: bool,
        cause: CloseCause,
    },
}

impl Seen {
    /// The end of a connection that failed with `error`.
    pub fn failed(error: ProtocolError) -> Seen {
        Seen::Closed {
            code: CloseCode::ABNORMAL,
            reason: String::new(),
            clean: false,
            cause: CloseCause::Protocol(error),
        }
    }

    /// An end without a Close frame from the peer.
    pub fn lost(cause: CloseCause) -> Seen {
        Seen::Closed { code: CloseCode::ABNORMAL, reason: String::new(), clean: false, cause }
    }

    /// The end by a closing handshake.
    pub fn closed(code: u16, reason: &str, cause: CloseCause) -> Seen {
        Seen::Closed { code: code.into(), reason: reason.to_string(), clean: true, cause }
    }
}

/// Collects events. It joins chunks and checks their flags, and panics if an event follows `Closed`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Log {
    pub seen: Vec<Seen>,
    open: Option<(MessageKind, Vec<u8>)>,
}

impl Log {
    pub fn push(&mut self, event: Event<'_>) {
        assert!(!matches!(self.seen.last(), Some(Seen::Closed { .. })), "{event:?} after the end");
        let seen = match event {
            Event::UpgradeRequest(request) => Seen::Upgrade(request.resource().to_string()),
            Event::PlainRequest(request) => Seen::Plain(request.target().to_string()),
            Event::Open(_) => Seen::Open,
            Event::Message(Message::Text(text)) => Seen::Text(text.into_owned()),
            Event::Message(Message::Binary(bytes)) => Seen::Binary(bytes.into_owned()),
            Event::Chunk(chunk) => {
                assert_eq!(chunk.is_first(), self.open.is_none(), "{chunk:?}");
                assert_eq!(
                    chunk.as_text().map(str::as_bytes),
                    match chunk.kind() {
                        MessageKind::Text => Some(chunk.as_bytes()),
                        MessageKind::Binary => None,
                    }
                );
                assert!(
                    !chunk.as_bytes().is_empty() || chunk.is_last(),
                    "{chunk:?} is empty but not the last"
                );
                let (kind, mut bytes) = self.open.take().unwrap_or((chunk.kind(), Vec::new()));
                assert_eq!(kind, chunk.kind());
                bytes.extend_from_slice(chunk.as_bytes());
                if !chunk.is_last() {
                    self.open = Some((kind, bytes));
                    return;
                }
                Seen::Chunked(kind, bytes)
            }
            Event::Ping(payload) => Seen::Ping(payload.into_owned()),
            Event::Pong(payload) => Seen::Pong(payload.into_owned()),
            Event::RefusalBody(piece) => {
                assert!(!piece.is_empty());
                if let Some(Seen::RefusalBody(all)) = self.seen.last_mut() {
                    all.extend_from_slice(&piece);
                    return;
                }
                Seen::RefusalBody(piece.into_owned())
            }
            Event::CloseReceived { code, reason } => Seen::CloseReceived(code, reason.into()),
            Event::Closed(closed) => {
                if let Some((kind, bytes)) = self.open.take() {
                    self.seen.push(Seen::Unfinished(kind, bytes));
                }
                Seen::Closed {
                    code: closed.code(),
                    reason: closed.reason().to_string(),
                    clean: closed.is_clean(),
                    cause: closed.into_cause(),
                }
            }
            other => panic!("unexpected event {other:?}"),
        };
        self.seen.push(seen);
    }
}

/// The result of feeding a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub seen: Vec<Seen>,
    /// All bytes that were outgoing at the end.
    pub output: Vec<u8>,
    pub state: State,
}

/// Feeds one piece until `receive` returns `None`.
pub fn feed(conn: &mut Connection, piece: &[u8], log: &mut Log) {
    let mut copy = piece.to_vec();
    let mut input = &mut copy[..];
    while let Some(event) = conn.receive(&mut input) {
        log.push(event);
    }
    assert!(input.is_empty(), "receive returned None but has not used up the input");
}

/// Writes everything that is outgoing, and returns it.
pub fn drain(conn: &mut Connection) -> Vec<u8> {
    let mut output = Vec::new();
    while conn.wants_write() {
        let n = conn.outgoing().len();
        output.extend_from_slice(conn.outgoing());
        conn.advance(n);
    }
    assert_eq!(conn.outgoing_len(), 0);
    output
}

pub fn run(conn: &mut Connection, pieces: &[&[u8]]) -> Outcome {
    let mut log = Log::default();
    for piece in pieces {
        feed(conn, piece, &mut log);
    }
    while let Some(event) = conn.poll_event() {
        log.push(event);
    }
    Outcome { seen: log.seen, output: drain(conn), state: conn.state() }
}

/// Like [`run`], but with a `ReadBuffer` of `capacity` bytes.
pub fn run_from(conn: &mut Connection, pieces: &[&[u8]], capacity: usize) -> Outcome {
    run_through(conn, pieces, ReadBuffer::with_capacity(capacity), false)
}

/// Like [`run`], but through this buffer. A shared one must be empty each time when no event is left.
pub fn run_through(
    conn: &mut Connection,
    pieces: &[&[u8]],
    mut buffer: ReadBuffer,
    is_shared: bool,
) -> Outcome {
    let mut log = Log::default();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let spare = buffer.spare();
            let n = spare.len().min(rest.len());
            spare[..n].copy_from_slice(&rest[..n]);
            buffer.filled(n);
            rest = &rest[n..];
            while let Some(event) = conn.receive_from(&mut buffer) {
                log.push(event);
            }
            assert!(!is_shared || buffer.is_empty(), "a shared buffer stores nothing");
        }
    }
    while let Some(event) = conn.poll_event() {
        log.push(event);
    }
    Outcome { seen: log.seen, output: drain(conn), state: conn.state() }
}

/// The cuts for tests: `bytes` whole, in single bytes, in pieces of 3 and of 1460 bytes, and in two pieces at every
/// place. In a long input not every place far from the ends is tried.
pub fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut cuts = vec![
        vec![bytes],
        bytes.chunks(1).collect(),
        bytes.chunks(3).collect(),
        bytes.chunks(1460).collect(),
    ];
    let step = (bytes.len() / 512).max(1);
    for at in 0..=bytes.len() {
        if at < 200 || at + 200 > bytes.len() || at % step == 0 {
            cuts.push(vec![&bytes[..at], &bytes[at..]]);
        }
    }
    cuts
}

/// Feeds `bytes` in every cut to connections from `make`, alone and with a text message after them. Asserts the events
/// `seen` and the outgoing frames `answered` (first byte and payload) each time.
pub fn in_every_cut(
    role: Role,
    make: impl Fn() -> Connection,
    bytes: &[u8],
    seen: &[Seen],
    answered: &[(u8, &[u8])],
) {
    let ended = matches!(seen.last(), Some(Seen::Closed { .. }));
    let behind = to(role, 0x81, b"behind");
    let with_behind = [bytes, &behind].concat();
    let chunked = make().config().delivery() == Delivery::Chunks;
    for (all, is_behind) in [(bytes, false), (&with_behind[..], true)] {
        let mut expected = seen.to_vec();
        if is_behind && !ended {
            expected.push(match chunked {
                true => Seen::Chunked(MessageKind::Text, b"behind".to_vec()),
                false => Seen::Text("behind".to_string()),
            });
        }
        for pieces in cuts(all) {
            let sizes = || pieces.iter().map(|piece| piece.len()).take(40).collect::<Vec<_>>();
            let outcome = run(&mut make(), &pieces);
            for capacity in [20, 1000, 100_000] {
                let buffered = run_from(&mut make(), &pieces, capacity);
                assert_eq!(buffered, outcome, "{role:?}, {:?} by {capacity}", sizes());
            }
            let shared = run_through(&mut make(), &pieces, ReadBuffer::shared(1000), true);
            assert_eq!(shared, outcome, "{role:?}, {:?} by a shared buffer", sizes());
            assert_eq!(
                outcome.seen,
                expected,
                "{role:?}, {:02x?} in {:?}",
                &all[..all.len().min(40)],
                sizes()
            );
            let frames = plain_frames(&outcome.output);
            let frames: Vec<_> =
                frames.iter().map(|(first, payload)| (*first, &payload[..])).collect();
            assert_eq!(
                frames,
                answered,
                "{role:?}, {:02x?} in {:?}",
                &all[..all.len().min(40)],
                sizes()
            );
            for frame in read_frames(&outcome.output) {
                assert_eq!(frame.key.is_some(), role == Role::Client, "only a client masks");
            }
            if ended {
                assert_eq!(outcome.state, State::Closed);
            }
        }
    }
}

/// [`in_every_cut`] for both roles, with these frames from the peer.
pub fn both_roles(
    config: &Config,
    frames: &[(u8, &[u8])],
    seen: &[Seen],
    answered: &[(u8, &[u8])],
) {
    for role in ROLES {
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| to(role, *first, payload)).collect();
        in_every_cut(role, || open_with(role, config.clone()), &bytes, seen, answered);
    }
}

/// A client's request, with the key of RFC 6455 1.3.
pub const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The response that accepts a client's request.
pub fn response_to(request: &[u8]) -> Vec<u8> {
    let request = std::str::from_utf8(request).expect("a request is ASCII");
    let key =
        request.split("Sec-WebSocket-Key: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let accept =
        websocket_proto::handshake::accept_key(key.expect("a request has a key").as_bytes());
    let accept = std::str::from_utf8(&accept).expect("base64 is ASCII");
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    format!("{head}{accept}\r\n\r\n").into_bytes()
}

/// A connection before its opening handshake.
pub fn connecting(role: Role, config: impl Into<Shared<Config>>) -> Connection {
    match role {
        Role::Server => Connection::server(config),
        Role::Client => {
            let request =
                websocket_proto::ClientRequest::new("ws://example.com/chat").expect("a valid URI");
            Connection::client(&request, config).expect("a seed cannot fail")
        }
    }
}
