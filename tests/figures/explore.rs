//! Explores connections through the public interface: each different situation of a connection gets each stimulus once.
//! What was seen is a table of arrows between phases, of answers in each phase, and of events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use websocket_proto::handshake::accept_key;
use websocket_proto::{
    Accept, ClientRequest, Config, Connection, Delivery, Entropy, Event, Role, State, Timestamp,
};

/// What happens to a connection: a row of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stimulus {
    Request,
    PlainRequest,
    BadRequest,
    Accept,
    Respond,
    Response,
    BadResponse,
    Close,
    PeerClose,
    /// The peer's Close, which the caller answers.
    PeerCloseByHand,
    Fail,
    Mistake,
    Message,
    Ping,
    Pong,
    WriteClosed,
    Eof,
    Time,
    Abort,
    /// The loop writes the whole queue. It leads to no other phase, but decides what the other stimuli do.
    Write,
}

use Stimulus as S;

const ALL: [Stimulus; 20] = [
    S::Request,
    S::PlainRequest,
    S::BadRequest,
    S::Accept,
    S::Respond,
    S::Response,
    S::BadResponse,
    S::Close,
    S::PeerClose,
    S::PeerCloseByHand,
    S::Fail,
    S::Mistake,
    S::Message,
    S::Ping,
    S::Pong,
    S::WriteClosed,
    S::Eof,
    S::Time,
    S::Abort,
    S::Write,
];

/// The one timeout that a connection has: then [`Stimulus::Time`] says which one has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timeout {
    Handshake,
    Idle,
    Pong,
    Close,
}

/// The rows of the figures in their order, and their texts.
pub(crate) const ROWS: [(&str, Stimulus, Option<Timeout>); 19] = [
    ("a valid request arrives", S::Request, None),
    ("a plain request arrives", S::PlainRequest, None),
    ("a request that is refused arrives", S::BadRequest, None),
    ("accept()", S::Accept, None),
    ("respond()", S::Respond, None),
    ("a valid response arrives", S::Response, None),
    ("the server refuses, or its response is wrong", S::BadResponse, None),
    ("the handshake timeout", S::Time, Some(Timeout::Handshake)),
    ("close()", S::Close, None),
    ("the peer's Close arrives", S::PeerClose, None),
    ("the same, with answer_close(false)", S::PeerCloseByHand, None),
    ("the peer breaks the protocol", S::Mistake, None),
    ("fail()", S::Fail, None),
    ("the idle timeout", S::Time, Some(Timeout::Idle)),
    ("the pong timeout", S::Time, Some(Timeout::Pong)),
    ("write_closed(): a write has failed", S::WriteClosed, None),
    ("receive_eof(): the peer's direction ends", S::Eof, None),
    ("the close timeout", S::Time, Some(Timeout::Close)),
    ("abort()", S::Abort, None),
];

/// The answers to a question in one phase.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Answers {
    pub(crate) yes: bool,
    pub(crate) no: bool,
}

pub(crate) const QUESTIONS: [&str; 4] =
    ["wants_read", "is_writable", "wants_shutdown", "is_finished"];

/// What was seen of the connections of one role.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// From, to, and the row's text.
    pub(crate) arrows: BTreeSet<(String, String, &'static str)>,
    pub(crate) phases: BTreeMap<String, (State, [Answers; 4])>,
    /// Name of the event, and the state in which it was returned.
    pub(crate) events: BTreeSet<(String, State)>,
}

/// What tells one situation from another: the phase, the answers, and what was done to the transport.
type Situation = (String, [bool; 4], bool, BTreeSet<Stimulus>);

struct Subject {
    conn: Connection,
    now: Timestamp,
    done: BTreeSet<Stimulus>,
    /// The nonce of a client's request.
    key: String,
}

/// What the explored configurations differ in.
#[derive(Debug, Clone, Copy)]
struct Settings {
    delivery: Delivery,
    timeout: Timeout,
    /// Whether the caller answers the peer's Close, and sees the body of a refusal in pieces.
    by_hand: bool,
}

/// Explores a role in each configuration.
pub(crate) fn explore(role: Role) -> Seen {
    let mut seen = Seen::default();
    for delivery in [Delivery::Messages, Delivery::Chunks, Delivery::Frames] {
        for timeout in [Timeout::Handshake, Timeout::Idle, Timeout::Pong, Timeout::Close] {
            for by_hand in [false, true] {
                explore_with(role, Settings { delivery, timeout, by_hand }, &mut seen);
            }
        }
    }
    seen
}

fn explore_with(role: Role, settings: Settings, seen: &mut Seen) {
    let mut known = BTreeSet::<Situation>::new();
    let mut paths = VecDeque::from([Vec::new()]);
    while let Some(path) = paths.pop_front() {
        let subject = Subject::after(role, settings, &path);
        seen.note_answers(&subject.conn);
        if !known.insert(subject.situation()) {
            continue;
        }
        for stimulus in ALL {
            let mut subject = Subject::after(role, settings, &path);
            let from = phase(&subject.conn);
            if !subject.apply(stimulus, &mut seen.events) {
                continue;
            }
            let to = phase(&subject.conn);
            if from != to {
                let is_row = |row: &&(&'static str, Stimulus, Option<Timeout>)| {
                    row.1 == stimulus && row.2.is_none_or(|timeout| timeout == settings.timeout)
                };
                let row = ROWS.iter().find(is_row);
                let (text, ..) =
                    row.unwrap_or_else(|| panic!("{stimulus:?} leads from {from} to {to}"));
                seen.arrows.insert((from, to, text));
            }
            paths.push_back([&path[..], &[stimulus]].concat());
        }
    }
}

impl Seen {
    fn note_answers(&mut self, conn: &Connection) {
        let row = self.phases.entry(phase(conn)).or_insert((conn.state(), Default::default()));
        for (answers, answer) in row.1.iter_mut().zip(answers(conn)) {
            *(if answer { &mut answers.yes } else { &mut answers.no }) = true;
        }
    }
}

fn answers(conn: &Connection) -> [bool; 4] {
    [conn.wants_read(), conn.is_writable(), conn.wants_shutdown(), conn.is_finished()]
}

/// The phase that `Debug` shows.
fn phase(conn: &Connection) -> String {
    let text = format!("{conn:?}");
    let (_, rest) = text.split_once("phase: ").expect("Debug shows the phase");
    rest.chars().take_while(|c| c.is_alphanumeric()).collect()
}

impl Subject {
    fn after(role: Role, settings: Settings, path: &[Stimulus]) -> Subject {
        let minute = Duration::from_secs(60);
        let only = |this: Timeout| (settings.timeout == this).then_some(minute);
        let config = Config::builder()
            .delivery(settings.delivery)
            .handshake_timeout(only(Timeout::Handshake))
            .idle_timeout(only(Timeout::Idle))
            .close_timeout(only(Timeout::Close))
            .keepalive_interval(only(Timeout::Pong))
            .pong_timeout(only(Timeout::Pong))
            .answer_close(!settings.by_hand)
            .stream_refusal_body(settings.by_hand)
            .entropy(Entropy::Seed(1))
            .build()
            .expect("each value is allowed");
        let conn = match role {
            Role::Server => Connection::server(config),
            Role::Client => {
                let request = ClientRequest::new("ws://a.test/").expect("a valid URI");
                Connection::client(&request, config).expect("a valid request")
            }
        };
        let request = String::from_utf8_lossy(conn.outgoing());
        let (_, rest) = request.split_once("Sec-WebSocket-Key: ").unwrap_or_default();
        let key = rest.chars().take(24).collect();
        let now = Timestamp::default();
        let mut subject = Subject { conn, now, done: BTreeSet::new(), key };
        for stimulus in path {
            assert!(subject.apply(*stimulus, &mut BTreeSet::new()), "{path:?} was possible before");
        }
        subject
    }

    fn situation(&self) -> Situation {
        (phase(&self.conn), answers(&self.conn), self.conn.wants_write(), self.done.clone())
    }

    /// Applies the stimulus, and takes the events. Returns `false` if it means nothing here.
    fn apply(&mut self, stimulus: Stimulus, events: &mut BTreeSet<(String, State)>) -> bool {
        let conn = &mut self.conn;
        let is_server = conn.role() == Role::Server;
        let handshake = conn.state() == State::Connecting;
        // Masked frames for a server, with the key 0.
        let frame = |first: u8, payload: &[u8]| {
            let (mask, key) = if is_server { (0x80, &[0; 4][..]) } else { (0, &[][..]) };
            [&[first, mask | payload.len() as u8], key, payload].concat()
        };
        let in_frames = !handshake && conn.wants_read();
        let mut bytes = match stimulus {
            S::Request if is_server && handshake => concat!(
                "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            )
            .into(),
            S::PlainRequest if is_server && handshake => {
                b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_vec()
            }
            S::BadRequest if is_server && handshake => b"nonsense\r\n\r\n".to_vec(),
            S::Response if !is_server && handshake => {
                let accept = accept_key(self.key.as_bytes());
                let accept = std::str::from_utf8(&accept).expect("base64 is ASCII");
                let head = "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
                format!("{head}Sec-WebSocket-Accept: {accept}\r\n\r\n").into_bytes()
            }
            S::BadResponse if !is_server && handshake => {
                b"HTTP/1.1 403 \r\nContent-Length: 2\r\n\r\nno".to_vec()
            }
            S::PeerClose if in_frames && conn.config().answer_close() => {
                frame(0x88, &1000_u16.to_be_bytes())
            }
            S::PeerCloseByHand if in_frames && !conn.config().answer_close() => {
                frame(0x88, &1000_u16.to_be_bytes())
            }
            S::Mistake if in_frames => frame(0xf1, b""),
            S::Message if in_frames => frame(0x81, b"hi"),
            S::Ping if in_frames => frame(0x89, b""),
            S::Pong if in_frames => frame(0x8a, b""),
            S::Write if conn.wants_write() => {
                while conn.wants_write() {
                    conn.advance(conn.outgoing().len());
                }
                Vec::new()
            }
            S::Accept if conn.accept(&Accept::default()).is_ok() => Vec::new(),
            S::Respond if conn.respond(404).is_ok() => Vec::new(),
            S::Close => conn.close(1000, "").map(|()| Vec::new()).expect("1000 can be sent"),
            S::Fail => conn.fail(1008, "").map(|()| Vec::new()).expect("1008 can be sent"),
            S::WriteClosed => {
                self.done.insert(stimulus);
                conn.write_closed();
                Vec::new()
            }
            S::Eof => {
                self.done.insert(stimulus);
                conn.receive_eof();
                Vec::new()
            }
            S::Time => {
                // The second call past a deadline ends the connection.
                for pause in [0, 3_600_000, 2] {
                    self.now = self.now + Duration::from_millis(pause);
                    let _ = conn.tick(self.now);
                }
                Vec::new()
            }
            S::Abort => {
                conn.abort();
                Vec::new()
            }
            _ => return false,
        };
        let mut input = &mut bytes[..];
        loop {
            let before = conn.state();
            let Some(event) = conn.receive(&mut input) else { break };
            events.insert((name(&event), before));
        }
        true
    }
}

/// The name of the event's variant. `Debug` shows it for some events only.
fn name(event: &Event<'_>) -> String {
    match event {
        Event::UpgradeRequest(_) => "UpgradeRequest",
        Event::PlainRequest(_) => "PlainRequest",
        Event::Open(_) => "Open",
        Event::Message(_) => "Message",
        Event::Chunk(_) => "Chunk",
        Event::FrameHeader(_) => "FrameHeader",
        Event::FramePayload(_) => "FramePayload",
        Event::RefusalBody(_) => "RefusalBody",
        Event::CloseReceived { .. } => "CloseReceived",
        Event::Ping(_) => "Ping",
        Event::Pong(_) => "Pong",
        Event::Closed(_) => "Closed",
        other => panic!("an event that these tables do not know: {other:?}"),
    }
    .into()
}
