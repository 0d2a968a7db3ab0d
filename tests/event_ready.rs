//! `is_event_ready`: a loop that asks it before it receives gets what a plain loop gets, and functions that return an
//! event can be written with it.

#[path = "util/alloc.rs"]
mod alloc;
mod util;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use alloc::{Counting, measure};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use util::*;
use websocket_proto::strategies::{
    Chunking, Streams, bad_request, bad_response, chunking, request, response,
};

use websocket_proto::testing::{RawFrame, Script, Step};
use websocket_proto::{
    Accept, CloseCause, Config, Connection, Event, Message, ReadBuffer, Role, State, Timeout,
    Timestamp,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sizes of buffers: smaller than a header, than a frame, than a head, than most messages; and larger.
const CAPACITIES: [usize; 6] = [1, 2, 3, 16, 200, 4096];

/// What the public interface shows of a connection and its buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    state: State,
    answers: [bool; 6],
    outgoing: Vec<u8>,
    buffered: u64,
    unreceived: Vec<u8>,
}

impl Shown {
    fn of(conn: &Connection, buffer: &ReadBuffer) -> Shown {
        Shown {
            state: conn.state(),
            answers: [
                conn.is_finished(),
                conn.wants_read(),
                conn.wants_write(),
                conn.wants_shutdown(),
                conn.is_writable(),
                conn.is_congested(),
            ],
            outgoing: conn.outgoing_chunks().flatten().copied().collect(),
            buffered: conn.buffered_amount(),
            unreceived: buffer.unreceived().to_vec(),
        }
    }
}

/// An event with its payload, which `Debug` does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told(String, Vec<u8>);

impl Told {
    fn of(event: &Event<'_>) -> Told {
        let payload = match event {
            Event::UpgradeRequest(request) => request.as_bytes(),
            Event::PlainRequest(request) => request.as_bytes(),
            Event::Open(response) => response.as_bytes(),
            Event::Message(message) => message.as_bytes(),
            Event::Chunk(chunk) => chunk.as_bytes(),
            Event::Ping(payload) | Event::Pong(payload) => payload,
            _ => &[],
        };
        let mut text = format!("{event:?}");
        // Whether our Close could be sent depends on the transport: `closing.rs` tests it.
        text.truncate(text.find(", sent_code").unwrap_or(text.len()));
        Told(text, payload.to_vec())
    }

    fn is_closed(&self) -> bool {
        self.0.starts_with("Closed")
    }
}

/// Fills a buffer with as much of `bytes` as it has room for, and returns the rest.
fn fill<'b>(buffer: &mut ReadBuffer, bytes: &'b [u8]) -> &'b [u8] {
    let spare = buffer.spare();
    let n = spare.len().min(bytes.len());
    assert!(n > 0 || bytes.is_empty(), "there is room to read more");
    spare[..n].copy_from_slice(&bytes[..n]);
    buffer.filled(n);
    &bytes[n..]
}

/// Asks, and checks that a second question changes nothing.
fn ask(conn: &mut Connection, buffer: &mut ReadBuffer) -> bool {
    let is_ready = conn.is_event_ready(buffer);
    let before = Shown::of(conn, buffer);
    assert_eq!(conn.is_event_ready(buffer), is_ready, "the answer changes");
    assert_eq!(Shown::of(conn, buffer), before, "a question changes something");
    is_ready
}

/// Asks, then receives once. The answer must be right, and `false` must mean that nothing is left to do.
fn ask_and_receive<'b>(conn: &mut Connection, buffer: &'b mut ReadBuffer) -> Option<Event<'b>> {
    if !ask(conn, buffer) {
        let before = (Shown::of(conn, buffer), buffer.spare().len());
        assert!(conn.receive_from(buffer).is_none(), "an event is not announced");
        let behind = (Shown::of(conn, buffer), buffer.spare().len());
        assert_eq!(behind, before, "receive_from has found something to do");
        return None;
    }
    Some(conn.receive_from(buffer).expect("an announced event is returned"))
}

type Receive = for<'b> fn(&mut Connection, &'b mut ReadBuffer) -> Option<Event<'b>>;

/// What happens to a connection between two reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The request is answered, if there is one.
    Answer,
    Send,
    Ping,
    Close,
    Pass(u64),
    Recycle,
    ReleaseMemory,
    Eof,
    Abort,
    WriteClosed,
}

impl Action {
    /// `now` is the time in milliseconds.
    fn apply(self, conn: &mut Connection, now: &mut u64) {
        match self {
            Action::Answer => {
                let _ = conn.accept(&Accept::new());
                let _ = conn.respond(404);
            }
            Action::Send => drop(conn.send("sent")),
            Action::Ping => drop(conn.ping(b"own")),
            Action::Close => conn.close(1000, "over").expect("1000 can be sent"),
            Action::Pass(ms) => {
                // The first call at a deadline ends nothing.
                for ms in [ms, 1] {
                    *now += ms;
                    conn.tick(Timestamp::from_millis(*now));
                }
            }
            Action::Recycle => conn.recycle(Message::from(vec![0; 100])),
            Action::ReleaseMemory => conn.release_memory(),
            Action::Eof => conn.receive_eof(),
            Action::Abort => conn.abort(),
            Action::WriteClosed => conn.write_closed(),
        }
    }
}

/// The same reads and actions in one of the two loops.
struct Loop {
    conn: Connection,
    buffer: ReadBuffer,
    receive: Receive,
    /// Whether a request is answered when it is reported. Otherwise what follows it arrives early.
    answers: bool,
    now: u64,
    /// Each event, and what was shown when it was returned.
    told: Vec<(Told, Shown)>,
    output: Vec<u8>,
}

impl Loop {
    fn new(conn: Connection, capacity: usize, receive: Receive, answers: bool) -> Loop {
        let buffer = ReadBuffer::with_capacity(capacity);
        Loop { conn, buffer, receive, answers, now: 0, told: Vec::new(), output: Vec::new() }
    }

    fn receive(&mut self) {
        while let Some(event) = (self.receive)(&mut self.conn, &mut self.buffer) {
            let told = Told::of(&event);
            if let Event::Message(message) = event.into_owned() {
                self.conn.recycle(message);
            }
            self.told.push((told, Shown::of(&self.conn, &self.buffer)));
            if self.answers {
                Action::Answer.apply(&mut self.conn, &mut self.now);
            }
        }
        self.output.extend(drain(&mut self.conn));
    }

    fn read(&mut self, mut bytes: &[u8]) {
        // A loop may also receive before it has read.
        self.receive();
        while !bytes.is_empty() {
            bytes = fill(&mut self.buffer, bytes);
            self.receive();
        }
    }

    fn act(&mut self, action: Action) {
        action.apply(&mut self.conn, &mut self.now);
        self.receive();
    }

    /// All that the loop has seen, once nothing more arrives.
    fn outcome(mut self) -> (Vec<(Told, Shown)>, Vec<u8>, Shown) {
        self.act(Action::Answer);
        assert!(self.conn.poll_event().is_none(), "an event is left");
        (self.told, self.output, Shown::of(&self.conn, &self.buffer))
    }
}

/// Asserts that both loops have the same outcome. `actions` happen before the piece of their index.
fn same(
    make: &dyn Fn() -> Connection,
    pieces: &[&[u8]],
    capacity: usize,
    answers: bool,
    actions: &[(usize, Action)],
) {
    let receives: [Receive; 2] = [Connection::receive_from, ask_and_receive];
    let [plain, asked] = receives.map(|receive| {
        let mut run = Loop::new(make(), capacity, receive, answers);
        for at in 0..=pieces.len() {
            for (_, action) in actions.iter().filter(|(place, _)| *place == at) {
                run.act(*action);
            }
            run.read(pieces.get(at).copied().unwrap_or_default());
        }
        run.outcome()
    });
    if plain != asked {
        let sizes: Vec<_> = pieces.iter().map(|piece| piece.len()).collect();
        assert_eq!(plain.0, asked.0, "the events of {sizes:?} by {capacity} with {actions:?}");
        assert_eq!(plain, asked, "the outcome of {sizes:?} by {capacity} with {actions:?}");
    }
}

/// Limits and times that a short test reaches.
fn tight(mut config: Config) -> Config {
    config = config
        .to_builder()
        .max_frame_bytes(1 << 17)
        .max_message_bytes((1 << 17) + 100)
        .max_fragments(8)
        .max_early_bytes(2000)
        .handshake_timeout(Duration::from_millis(50))
        .close_timeout(Duration::from_millis(50))
        .idle_timeout(Duration::from_millis(100))
        .keepalive_interval(Duration::from_millis(30))
        .build()
        .unwrap();
    config
}

fn deliveries() -> [Config; 2] {
    [config(), chunks()].map(tight)
}

/// An open connection, with permessage-deflate if `deflates` and the feature is on.
fn make_open(role: Role, config: &Config, deflates: bool) -> Connection {
    #[cfg(feature = "deflate")]
    if deflates {
        let params = websocket_proto::DeflateParams {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        };
        let made = Connection::from_upgrade(
            websocket_proto::Upgrade::new(role).deflate(params),
            config.clone(),
        );
        return made.expect("a seed cannot fail");
    }
    let _ = deflates;
    open_with(role, config.clone())
}

/// Frames of every kind to `role`, valid and invalid; if `deflates`, of compressed messages.
fn wires(role: Role, deflates: bool) -> Vec<Vec<u8>> {
    let to = |first, payload: &[u8]| to(role, first, payload);
    if deflates {
        // Stored blocks (RFC 1951 3.2.4), whole, in fragments, and with a fault behind good bytes.
        let stored = [&b"\0\x05\0\xfa\xff"[..], b"Hello", b"\0"].concat();
        let fault = [&stored[..10], b"\0\x05\0\xff\xff"].concat();
        return vec![
            [to(0xc1, &stored), to(0xc2, &stored), to(0x81, b"plain")].concat(),
            [to(0x41, &stored[..3]), to(0x89, b"?"), to(0x00, &stored[3..7])].concat(),
            [to(0x42, &stored[..7]), to(0x00, b""), to(0x80, &stored[7..])].concat(),
            [to(0xc1, &fault), to(0x81, b"ignored")].concat(),
            [to(0xc1, b"\0\x02\0\xfd\xffa\xff\0"), to(0x81, b"ignored")].concat(),
        ];
    }
    vec![
        [to(0x81, "aé€😀".as_bytes()), to(0x82, b""), to(0x82, &[7; 20])].concat(),
        [to(0x81, b""), to(0x01, b""), to(0x00, b""), to(0x80, b"")].concat(),
        [
            to(0x01, "a€".as_bytes().split_last().unwrap().1),
            to(0x89, b"?"),
            to(0x00, b"\xac\xf0"),
            to(0x8a, b""),
            to(0x80, b"\x9f\x98\x80"),
            to(0x89, b""),
        ]
        .concat(),
        [to(0x02, b"abc"), to(0x00, b"de"), to(0x80, b"f"), to(0x81, b"behind")].concat(),
        [to(0x82, &[5; 150]), to(0x8a, b"!")].concat(),
        [to(0x81, b"last"), to(0x88, b"\x03\xe8bye"), to(0x81, b"ignored")].concat(),
        [to(0x89, b"?"), to(0x88, b"")].concat(),
        // Faults: of the text, at once and behind good text, of a Close, of headers.
        [to(0x81, b"good \xff bad"), to(0x81, b"ignored")].concat(),
        [to(0x01, b"good \xe2"), to(0x80, b"\x28")].concat(),
        [to(0x81, b"cut \xe2\x82"), to(0x81, b"ignored")].concat(),
        to(0x88, b"\x03\xec"),
        to(0x88, b"\x03\xe8\xff"),
        [to(0x81, b"good"), to(0x83, b"")].concat(),
        [to(0x01, b"open"), to(0x81, b"new")].concat(),
        frame(0x81, b"masking", (role == Role::Client).then_some(KEY)),
    ]
}

#[test]
fn asked_loop_is_the_plain_loop_at_every_cut() {
    for role in ROLES {
        for config in deliveries() {
            for deflates in [false, cfg!(feature = "deflate")] {
                for wire in wires(role, deflates) {
                    for capacity in CAPACITIES {
                        let make = || make_open(role, &config, deflates);
                        let same = |pieces: &[&[u8]], actions: &[_]| {
                            same(&make, pieces, capacity, true, actions);
                        };
                        same(&wire.chunks(1).collect::<Vec<_>>(), &[]);
                        same(&wire.chunks(3).collect::<Vec<_>>(), &[]);
                        for at in 0..=wire.len() {
                            same(&[&wire[..at], &wire[at..]], &[]);
                            // A small and a large buffer: the others differ in how a message is put together.
                            let is_tried = matches!(capacity, 3 | 200);
                            let actions = [Action::Eof, Action::Abort, Action::WriteClosed];
                            for action in actions.into_iter().filter(|_| is_tried) {
                                same(&[&wire[..at], &wire[at..]], &[(1, action)]);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn asked_loop_is_the_plain_loop_through_the_handshake() {
    for config in deliveries() {
        let frames =
            [to(Role::Server, 0x81, "é€".as_bytes()), to(Role::Server, 0x88, b"")].concat();
        let request = [REQUEST, &frames].concat();
        let make = || Connection::server(config.clone());
        for capacity in CAPACITIES {
            for at in 0..=request.len() {
                let pieces = [&request[..at], &request[at..]];
                for answers in [true, false] {
                    same(&make, &pieces, capacity, answers, &[]);
                    for action in [Action::Eof, Action::Abort, Action::WriteClosed, Action::Close] {
                        same(&make, &pieces, capacity, answers, &[(1, action)]);
                        let then = [(1, action), (1, Action::Answer), (2, Action::Eof)];
                        same(&make, &pieces, capacity, answers, &then);
                    }
                }
            }
        }
        let make = || connecting(Role::Client, config.clone());
        let head = response_to(&drain(&mut make()));
        let frames =
            [to(Role::Client, 0x81, "é€".as_bytes()), to(Role::Client, 0x88, b"")].concat();
        let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnono".to_vec();
        for response in [[&head[..], &frames].concat(), refusal] {
            for capacity in CAPACITIES {
                for at in 0..=response.len() {
                    let pieces = [&response[..at], &response[at..]];
                    same(&make, &pieces, capacity, true, &[]);
                    for action in [Action::Eof, Action::Abort, Action::WriteClosed, Action::Close] {
                        same(&make, &pieces, capacity, true, &[(1, action)]);
                    }
                }
            }
        }
    }
}

/// In chunk delivery the inflater holds more than the input has: events come without input.
#[cfg(feature = "deflate")]
#[test]
fn asked_loop_is_the_plain_loop_while_a_message_inflates() {
    for role in ROLES {
        let config = builder().deflate(websocket_proto::Deflate::default()).build().unwrap();
        let mut sender = make_open(other(role), &config, true);
        for message in ["aé€😀".repeat(10_000), "b".into(), "c".repeat(70_000)] {
            sender.send(message).unwrap();
            sender.ping(b"?").unwrap();
        }
        let wire = drain(&mut sender);
        for config in deliveries() {
            for capacity in CAPACITIES {
                for size in [1, 7, 100, wire.len()] {
                    let pieces: Vec<_> = wire.chunks(size).collect();
                    for end in [None, Some(Action::Eof), Some(Action::Abort)] {
                        let actions: Vec<_> =
                            end.into_iter().map(|end| (pieces.len() / 2, end)).collect();
                        same(&|| make_open(role, &config, true), &pieces, capacity, true, &actions);
                    }
                }
            }
        }
    }
}

#[test]
fn asked_loop_is_the_plain_loop_with_frames_that_are_not_masked() {
    let frames: [(u8, &[u8]); 5] =
        [(0x81, b"Hello"), (0x01, b"fr\xc3"), (0x89, b"?"), (0x80, b"\xa9"), (0x82, &[7; 300])];
    let wire: Vec<u8> =
        frames.iter().flat_map(|(first, payload)| frame(*first, payload, None)).collect();
    for accepts in [false, true] {
        for config in deliveries() {
            let config = config.to_builder().accept_unmasked_frames(accepts).build().unwrap();
            for capacity in CAPACITIES {
                for size in [1, 2, 7, 100, wire.len()] {
                    let pieces: Vec<_> = wire.chunks(size).collect();
                    same(&|| open_with(Role::Server, config.clone()), &pieces, capacity, true, &[]);
                }
            }
        }
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn actions() -> impl Strategy<Value = Vec<(Index, Action)>> {
    let action = prop_oneof![
        4 => select(&[Action::Send, Action::Ping, Action::Answer, Action::Recycle][..]),
        2 => select(&[0, 1, 29, 30, 50, 99, 100]).prop_map(Action::Pass),
        1 => Just(Action::ReleaseMemory),
        1 => select(&[Action::Close, Action::Eof, Action::Abort, Action::WriteClosed][..]),
    ];
    prop::collection::vec((any::<Index>(), action), 0..=4)
}

/// How an input is given to a connection.
#[derive(Debug, Clone)]
struct Given {
    config: Config,
    chunking: Chunking,
    capacity: usize,
    answers: bool,
    actions: Vec<(Index, Action)>,
}

impl Given {
    fn check(&self, make: &dyn Fn() -> Connection, bytes: &[u8]) {
        let pieces = self.chunking.cut(bytes);
        let actions: Vec<_> = self
            .actions
            .iter()
            .map(|(index, action)| (index.index(pieces.len() + 1), *action))
            .collect();
        same(make, &pieces, self.capacity, self.answers, &actions);
    }
}

fn given() -> impl Strategy<Value = Given> {
    let deliveries = select(deliveries().to_vec());
    (deliveries, chunking(), select(&CAPACITIES[..]), any::<bool>(), actions()).prop_map(
        |(config, chunking, capacity, answers, actions)| Given {
            config,
            chunking,
            capacity,
            answers,
            actions,
        },
    )
}

/// A valid stream, or one that breaks a rule.
fn stream(role: Role, deflates: bool) -> BoxedStrategy<Vec<u8>> {
    let streams = Streams::to(role).max_payload_bytes(5000).config(&tight(config()));
    #[cfg(feature = "deflate")]
    let streams = streams.compressed(deflates);
    let _ = deflates;
    prop_oneof![
        streams.valid().prop_map(|stream| stream.bytes),
        streams.clone().max_payload_bytes(300).violating().prop_map(|stream| stream.bytes),
    ]
    .boxed()
}

fn any_stream() -> impl Strategy<Value = (Role, bool, Vec<u8>)> {
    let kind = (
        select(&ROLES[..]),
        prop::bool::weighted(if cfg!(feature = "deflate") { 0.5 } else { 0.0 }),
    );
    kind.prop_flat_map(|(role, deflates)| (Just(role), Just(deflates), stream(role, deflates)))
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn asked_loop_is_the_plain_loop_for_any_stream(
        (role, deflates, bytes) in any_stream(),
        given in given(),
    ) {
        given.check(&|| make_open(role, &given.config, deflates), &bytes);
    }

    #[test]
    fn asked_loop_is_the_plain_loop_for_any_request(
        head in prop_oneof![
            request().prop_map(|request| request.bytes),
            bad_request(&tight(config())).prop_map(|request| request.bytes),
        ],
        behind in stream(Role::Server, false),
        given in given(),
    ) {
        given.check(&|| Connection::server(given.config.clone()), &[head, behind].concat());
    }

    #[test]
    fn asked_loop_is_the_plain_loop_for_any_response(
        (good, bad) in prop_oneof![
            response().prop_map(|response| (Some(response), None)),
            bad_response(&tight(config())).prop_map(|response| (None, Some(response))),
        ],
        behind in stream(Role::Client, false),
        given in given(),
    ) {
        let make = || connecting(Role::Client, given.config.clone());
        let request = drain(&mut make());
        let head = match (good, bad) {
            (Some(good), _) => good.to(&request).expect("it has a key"),
            (_, Some(bad)) => bad.to(&request).expect("it has a key"),
            _ => unreachable!("one of them is made"),
        };
        given.check(&make, &[head, behind].concat());
    }
}

// ---- While an event waits ----

/// How the event that waits is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    FromBuffer,
    ByPoll,
    /// By `receive`, with the bytes that follow.
    BySlice,
}

/// A connection before it has received anything, and the bytes that arrive.
type Case = (Box<dyn Fn() -> Connection>, Vec<u8>);

/// Inputs in which events wait of every kind that is received before it is asked for: heads, inflated messages, chunks of a
/// character, faults; and others that stay in the buffer.
fn waiting_cases() -> Vec<Case> {
    let mut all: Vec<Case> = Vec::new();
    for config in deliveries() {
        for role in ROLES {
            for deflates in [false, cfg!(feature = "deflate")] {
                for wire in wires(role, deflates) {
                    let config = config.clone();
                    all.push((Box::new(move || make_open(role, &config, deflates)), wire));
                }
            }
        }
        let request = [REQUEST, &to(Role::Server, 0x81, "é€".as_bytes())].concat();
        let server = config.clone();
        all.push((Box::new(move || Connection::server(server.clone())), request));
        let response = response_to(&drain(&mut connecting(Role::Client, config.clone())));
        let response = [&response[..], &to(Role::Client, 0x81, "é€".as_bytes())].concat();
        all.push((Box::new(move || connecting(Role::Client, config.clone())), response));
    }
    all
}

/// The events of a plain loop that reads byte by byte, each with the number of bytes that were read.
fn expected((make, wire): &Case) -> Vec<(usize, Told)> {
    let (mut conn, mut buffer) = (make(), ReadBuffer::with_capacity(4096));
    let mut told = Vec::new();
    for (at, byte) in wire.iter().enumerate() {
        fill(&mut buffer, &[*byte]);
        while let Some(event) = conn.receive_from(&mut buffer) {
            told.push((at + 1, Told::of(&event)));
            Action::Answer.apply(&mut conn, &mut 0);
        }
    }
    told
}

/// What has come of an input with some actions while the event of index `nth` waits.
struct Waited {
    told: Vec<Told>,
    /// The number of bytes that were received when the actions came.
    received: usize,
    was_closed: bool,
    /// Whether it was closed once the event was taken, and had not been before.
    has_ended: bool,
}

impl Waited {
    fn note(&mut self, conn: &mut Connection, event: Event<'_>, nth: usize) {
        self.told.push(Told::of(&event));
        Action::Answer.apply(conn, &mut 0);
        if self.told.len() == nth + 1 {
            self.has_ended = conn.state() == State::Closed && !self.was_closed;
        }
    }
}

fn wait(
    (make, wire): &Case,
    capacity: usize,
    nth: usize,
    actions: &[Action],
    taken: Taken,
) -> Waited {
    let (mut conn, mut buffer) = (make(), ReadBuffer::with_capacity(capacity));
    let mut now = 0;
    Action::Pass(0).apply(&mut conn, &mut now);
    let mut waited = Waited { told: vec![], received: 0, was_closed: false, has_ended: false };
    let mut rest = &wire[..];
    while let Some((byte, behind)) = rest.split_first() {
        fill(&mut buffer, &[*byte]);
        rest = behind;
        while conn.is_event_ready(&mut buffer) {
            if waited.told.len() == nth {
                waited.was_closed = conn.state() == State::Closed;
                waited.received = wire.len() - rest.len() - buffer.unreceived().len();
                actions.iter().for_each(|action| action.apply(&mut conn, &mut now));
                assert!(ask(&mut conn, &mut buffer), "the event no longer waits");
                let mut copy = rest.to_vec();
                let mut input = &mut copy[..];
                let event = match taken {
                    Taken::FromBuffer => None,
                    Taken::ByPoll => conn.poll_event(),
                    // Bytes must not overtake those that are in the buffer.
                    Taken::BySlice if !buffer.unreceived().is_empty() => None,
                    Taken::BySlice => {
                        let event = conn.receive(&mut input).expect("it waits").into_owned();
                        assert_eq!(input, rest, "the bytes have waited too");
                        Some(event)
                    }
                };
                if let Some(event) = event {
                    waited.note(&mut conn, event, nth);
                    continue;
                }
            }
            let event = conn.receive_from(&mut buffer).expect("an announced event is returned");
            waited.note(&mut conn, event, nth);
        }
    }
    waited
}

#[test]
fn an_event_that_waits_is_the_next_one_and_is_not_lost() {
    const ACTIONS: [&[Action]; 7] = [
        &[Action::Answer],
        &[Action::Send, Action::Ping, Action::Recycle, Action::ReleaseMemory, Action::Pass(1)],
        &[Action::Close],
        &[Action::WriteClosed],
        &[Action::Eof],
        &[Action::Abort],
        &[Action::Pass(1000)],
    ];
    // How often each of these ended a connection while a received event waited.
    let mut ended = [0; ACTIONS.len()];
    for case in waiting_cases() {
        let expected = expected(&case);
        for (nth, (at, _)) in expected.iter().enumerate() {
            for (actions, ended) in ACTIONS.into_iter().zip(&mut ended) {
                for taken in [Taken::FromBuffer, Taken::ByPoll, Taken::BySlice] {
                    for capacity in [2, 4096] {
                        let waited = wait(&case, capacity, nth, actions, taken);
                        let what = || {
                            let bytes = &case.1;
                            format!(
                                "{bytes:02x?} by {capacity}: {actions:?} while event {nth} waits, taken {taken:?}"
                            )
                        };
                        let ends = waited.has_ended;
                        *ended += usize::from(ends && *at <= waited.received);
                        // What was not received when the connection ended is dropped.
                        let is_due = |at: usize| !ends || at <= waited.received;
                        let due = expected.iter().filter(|(at, _)| is_due(*at));
                        let due: Vec<_> = due.map(|(_, told)| told).collect();
                        let (told, end) = match waited.told.split_last() {
                            Some((end, told)) if ends => (told, Some(end)),
                            _ => (&waited.told[..], None),
                        };
                        assert!(end.is_none_or(Told::is_closed), "{}: {end:?} at the end", what());
                        if actions == [Action::Close]
                            && due.last().is_some_and(|due| due.is_closed())
                        {
                            // Our Close changes the cause of the end, which is told once all the same.
                            assert_eq!(told.len(), due.len(), "{}", what());
                            continue;
                        }
                        assert_eq!(told.iter().collect::<Vec<_>>(), due, "{}", what());
                    }
                }
            }
        }
    }
    for (actions, ended) in ACTIONS.into_iter().zip(ended) {
        let ends = matches!(actions, [Action::Eof | Action::Abort | Action::Pass(1000)]);
        assert!(!ends || ended > 0, "{actions:?} has ended no connection while an event waited");
    }
}

#[test]
fn an_end_by_time_while_an_event_waits_is_told_behind_it() {
    // RFC 6455 7.1.5: there was no Close.
    let mut conn = Connection::server(tight(config()));
    let mut buffer = ReadBuffer::with_capacity(4096);
    conn.tick(Timestamp::from_millis(0));
    fill(&mut buffer, REQUEST);
    assert!(ask(&mut conn, &mut buffer));
    for ms in [50, 51] {
        conn.tick(Timestamp::from_millis(ms));
    }
    assert_eq!(conn.state(), State::Closed);
    let mut log = Log::default();
    while let Some(event) = ask_and_receive(&mut conn, &mut buffer) {
        log.push(event);
    }
    let end = Seen::lost(CloseCause::TimedOut(Timeout::Handshake));
    assert_eq!(log.seen, [Seen::Upgrade("/chat".into()), end]);
}

/// A buffer that holds the front of another connection's message, and a connection whose message waits in another buffer.
#[test]
fn fronts_in_the_wrong_place_are_as_for_receive_from() {
    for role in ROLES {
        let cut = |capacity| {
            let mut conn = open(role);
            let mut buffer = ReadBuffer::with_capacity(capacity);
            let message = to(role, 0x82, &to(role, 0x81, b"smuggled"));
            fill(&mut buffer, &message[..message.len() - 2]);
            assert!(!ask(&mut conn, &mut buffer));
            assert_eq!(buffer.unreceived(), b"");
            (conn, buffer)
        };
        for capacity in [20, 200] {
            let (_, mut buffer) = cut(capacity);
            let mut next = open(role);
            assert!(ask_and_receive(&mut next, &mut buffer).is_none());
            fill(&mut buffer, &to(role, 0x81, b"own"));
            let event = ask_and_receive(&mut next, &mut buffer).map(|event| Told::of(&event).1);
            assert_eq!(event.as_deref(), Some(&b"own"[..]), "{role:?}");
            // A look elsewhere changes nothing; bytes elsewhere end the connection.
            let (mut conn, mut buffer) = cut(capacity);
            let mut elsewhere = ReadBuffer::with_capacity(capacity);
            assert!(ask_and_receive(&mut conn, &mut elsewhere).is_none());
            fill(&mut elsewhere, &[0; 2]);
            let mut log = Log::default();
            log.push(ask_and_receive(&mut conn, &mut elsewhere).expect("the end"));
            assert_eq!(log.seen, [Seen::lost(CloseCause::Aborted)], "{role:?}");
            fill(&mut buffer, &[0; 2]);
            assert!(ask_and_receive(&mut conn, &mut buffer).is_none());
            assert_eq!(buffer.unreceived(), b"");
        }
    }
}

// ---- Functions that return an event ----

/// A peer in memory. What it sends is read in these pieces, and then its end. It takes a few bytes at a time.
struct Peer {
    pieces: VecDeque<Vec<u8>>,
    written: Vec<u8>,
    is_shut_down: bool,
    /// Whether every second call would block.
    stalls: bool,
    is_ready: bool,
}

impl Peer {
    fn new(pieces: &[&[u8]], stalls: bool) -> Peer {
        let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec());
        let pieces = pieces.collect();
        Peer { pieces, written: Vec::new(), is_shut_down: false, stalls, is_ready: false }
    }

    fn would_block(&mut self) -> bool {
        self.is_ready = !self.is_ready;
        self.stalls && self.is_ready
    }
}

impl Read for Peer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.front_mut() else { return Ok(0) };
        let n = piece.len().min(buf.len());
        buf[..n].copy_from_slice(&piece[..n]);
        piece.drain(..n);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Ok(n)
    }
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(7);
        self.written.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.would_block() {
            return Poll::Pending;
        }
        let n = Read::read(&mut *self, buf.initialize_unfilled())?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.would_block() {
            true => Poll::Pending,
            false => Poll::Ready(Write::write(&mut *self, bytes)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.would_block() {
            return Poll::Pending;
        }
        self.is_shut_down = true;
        Poll::Ready(Ok(()))
    }
}

/// A connection with its transport.
struct Socket<T> {
    conn: Connection,
    buffer: ReadBuffer,
    stream: T,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket<T> {
    /// The next event; `None` when the transport can be dropped. It can be dropped at every `await`.
    async fn recv(&mut self) -> io::Result<Option<Event<'_>>> {
        while !self.conn.is_event_ready(&mut self.buffer) {
            if self.conn.wants_write() {
                let n = self.stream.write(self.conn.outgoing()).await?;
                self.conn.advance(n);
                continue;
            }
            if self.conn.wants_shutdown() {
                self.stream.shutdown().await?;
                self.conn.write_closed();
            }
            if self.conn.is_finished() {
                return Ok(None);
            }
            match self.stream.read(self.buffer.spare()).await? {
                0 => self.conn.receive_eof(),
                n => self.buffer.filled(n),
            }
        }
        Ok(self.conn.receive_from(&mut self.buffer))
    }
}

impl<T: Read + Write> Socket<T> {
    /// The same for a transport that blocks.
    fn recv_blocking(&mut self) -> io::Result<Option<Event<'_>>> {
        while !self.conn.is_event_ready(&mut self.buffer) {
            if self.conn.wants_write() {
                let n = self.stream.write(self.conn.outgoing())?;
                self.conn.advance(n);
                continue;
            }
            if self.conn.is_finished() {
                return Ok(None);
            }
            match self.stream.read(self.buffer.spare())? {
                0 => self.conn.receive_eof(),
                n => self.buffer.filled(n),
            }
        }
        Ok(self.conn.receive_from(&mut self.buffer))
    }
}

impl<T> Socket<T> {
    /// Echoes a message, and tells what the event was.
    fn echo(conn: &mut Connection, event: Event<'static>) -> Told {
        let told = Told::of(&event);
        match event {
            Event::Message(message) if conn.state() == State::Open => conn.send(message).unwrap(),
            Event::UpgradeRequest(_) => conn.accept(&Accept::new()).unwrap(),
            _ => {}
        }
        told
    }
}

/// A future that a runtime with several threads accepts.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

/// All events of a socket. If `drops`, a future that is not ready is dropped, and a new one is made.
fn all_events(socket: &mut Socket<Peer>, drops: bool) -> Vec<Told> {
    let context = &mut Context::from_waker(Waker::noop());
    let mut told = Vec::new();
    loop {
        let event = {
            let mut future = pin!(sendable(socket.recv()));
            loop {
                match future.as_mut().poll(context) {
                    Poll::Ready(event) => break Some(event.unwrap().map(Event::into_owned)),
                    Poll::Pending if drops => break None,
                    Poll::Pending => {}
                }
            }
        };
        match event {
            Some(Some(event)) => told.push(Socket::<Peer>::echo(&mut socket.conn, event)),
            Some(None) => return told,
            None => {}
        }
    }
}

fn all_events_blocking(socket: &mut Socket<Peer>) -> Vec<Told> {
    let mut told = Vec::new();
    while let Some(event) = socket.recv_blocking().unwrap() {
        let event = event.into_owned();
        told.push(Socket::<Peer>::echo(&mut socket.conn, event));
    }
    told
}

#[test]
fn event_can_be_returned_from_a_function_that_reads() {
    let text = "aé€😀";
    let frames = |role| -> Vec<u8> {
        let frames: [(u8, &[u8]); 7] = [
            (0x81, text.as_bytes()),
            (0x89, b"?"),
            (0x01, b"x\xe2"),
            (0x8a, b"!"),
            (0x80, b"\x82\xac"),
            (0x82, &[7; 40]),
            (0x88, b"\x03\xe8bye"),
        ];
        frames.iter().flat_map(|(first, payload)| to(role, *first, payload)).collect()
    };
    let told = |event: Event<'_>| Told::of(&event);
    let expected = [
        told(Event::Message(text.into())),
        told(Event::Ping(Cow::Borrowed(b"?"))),
        told(Event::Pong(Cow::Borrowed(b"!"))),
        told(Event::Message("x€".into())),
        told(Event::Message(vec![7; 40].into())),
    ];
    let echoed = [(0x81, text.as_bytes().to_vec()), (0x81, "x€".into()), (0x82, vec![7; 40])];
    for (role, with_head) in [(Role::Server, false), (Role::Client, false), (Role::Server, true)] {
        let head = if with_head { REQUEST } else { b"" };
        let wire = [head, &frames(role)].concat();
        for pieces in cuts(&wire) {
            for capacity in [16, 4096] {
                for (drops, stalls, blocks) in
                    [(true, true, false), (false, true, false), (false, false, true)]
                {
                    let conn = match with_head {
                        true => Connection::server(config()),
                        false => open(role),
                    };
                    let buffer = ReadBuffer::with_capacity(capacity);
                    let stream = Peer::new(&pieces, stalls);
                    let mut socket = Socket { conn, buffer, stream };
                    let told = match blocks {
                        true => all_events_blocking(&mut socket),
                        false => all_events(&mut socket, drops),
                    };
                    let sizes: Vec<_> = pieces.iter().map(|piece| piece.len()).take(40).collect();
                    let what = format!("{role:?}, {sizes:?} by {capacity}, dropped: {drops}");
                    let (end, told) = told.split_last().expect("the end is reported");
                    assert!(end.is_closed() && socket.conn.is_finished(), "{what}");
                    assert_eq!(&told[usize::from(with_head)..], expected, "{what}");
                    let written = &socket.stream.written[..];
                    let head_end = written.windows(4).position(|four| four == b"\r\n\r\n");
                    let written = match with_head {
                        true => &written[head_end.expect("the response is written") + 4..],
                        false => written,
                    };
                    let written = plain_frames(written);
                    let of = |firsts: &[u8]| -> Vec<_> {
                        let is_of = |frame: &&(u8, Vec<u8>)| firsts.contains(&frame.0);
                        written.iter().filter(is_of).cloned().collect()
                    };
                    assert_eq!(of(&[0x81, 0x82]), echoed, "{what}");
                    assert_eq!(of(&[0x8a]), [(0x8a, b"?".to_vec())], "{what}");
                    assert_eq!(of(&[0x88]), [(0x88, b"\x03\xe8".to_vec())], "{what}");
                    assert!(blocks || socket.stream.is_shut_down, "{what}");
                }
            }
        }
    }
}

// ---- What it costs ----

fn addresses(bytes: &[u8]) -> Range<usize> {
    let range = bytes.as_ptr_range();
    range.start as usize..range.end as usize
}

/// Asserts that the payload of an event lies in a buffer at these addresses.
fn is_borrowed(event: &Event<'_>, buffer: &Range<usize>, payload: &[u8]) {
    let bytes = match event {
        Event::Message(message) => message.as_bytes(),
        Event::Chunk(chunk) => chunk.as_bytes(),
        Event::Ping(payload) | Event::Pong(payload) => payload,
        other => panic!("unexpected event {other:?}"),
    };
    assert_eq!(bytes, payload);
    let place = addresses(bytes);
    assert!(buffer.start <= place.start && place.end <= buffer.end, "{event:?} is a copy");
}

#[test]
fn whole_frame_stays_as_it_came_until_it_is_received() {
    for role in ROLES {
        for config in [config(), chunks()] {
            for (first, len) in [(0x81, 1), (0x82, 1), (0x81, 125), (0x82, 126), (0x81, 60_000)]
                .into_iter()
                .chain([(0x82, 70_000), (0x89, 0), (0x8a, 125)])
            {
                let payload = vec![b'x'; len];
                let wire = to(role, first, &payload);
                let mut conn = open_with(role, config.clone());
                let mut buffer = ReadBuffer::with_capacity(100_000);
                let place = addresses(buffer.spare());
                fill(&mut buffer, &[&wire[..], b"\x81"].concat());
                let (is_ready, heap) = measure(|| {
                    conn.is_event_ready(&mut buffer) && conn.is_event_ready(&mut buffer)
                });
                assert!(is_ready && buffer.unreceived().starts_with(&wire), "{role:?} {first:x}");
                assert_eq!(heap.allocations, 0, "{role:?} {first:x} {len}");
                let (event, heap) = measure(|| conn.receive_from(&mut buffer));
                is_borrowed(&event.expect("it is announced"), &place, &payload);
                // A pong is queued.
                assert!(heap.allocations == 0 || first == 0x89, "{role:?} {first:x} {len}");
            }
        }
    }
}

#[test]
fn message_that_fits_into_the_buffer_is_borrowed_in_any_cut_and_costs_no_allocation() {
    const LEN: usize = 300;
    for role in ROLES {
        for (first, payload) in [(0x81, "é".repeat(LEN / 2)), (0x82, "x".repeat(LEN))] {
            let wire = to(role, first, payload.as_bytes());
            let mut conn = open(role);
            let mut buffer = ReadBuffer::with_capacity(wire.len());
            let place = addresses(buffer.spare());
            for at in 0..wire.len() {
                let ((), heap) = measure(|| {
                    assert!(!conn.is_event_ready(&mut buffer));
                    fill(&mut buffer, &wire[..at]);
                    assert!(!conn.is_event_ready(&mut buffer));
                    fill(&mut buffer, &wire[at..]);
                    assert!(conn.is_event_ready(&mut buffer));
                    let event = conn.receive_from(&mut buffer).expect("it is announced");
                    is_borrowed(&event, &place, payload.as_bytes());
                });
                assert_eq!(heap.allocations, 0, "{role:?} {first:x}, cut at {at}");
            }
        }
    }
}

/// In chunk delivery a chunk is borrowed as soon as it has a whole character.
#[test]
fn chunk_is_borrowed() {
    for role in ROLES {
        for (first, payload) in [(0x81, "é".repeat(100)), (0x82, "x".repeat(200))] {
            let wire = to(role, first, payload.as_bytes());
            let header = wire.len() - payload.len();
            for at in [2, 4, 100, 198] {
                let mut conn = open_with(role, chunks());
                let mut buffer = ReadBuffer::with_capacity(4096);
                let place = addresses(buffer.spare());
                fill(&mut buffer, &wire[..header + at]);
                let ((), heap) = measure(|| {
                    let is_ready = conn.is_event_ready(&mut buffer);
                    assert!(is_ready, "{role:?} {first:x} at {at}");
                    let event = conn.receive_from(&mut buffer).expect("it is announced");
                    // Fewer than four bytes of text may have no whole character, so they are received to know.
                    if at >= 4 || first == 0x82 {
                        is_borrowed(&event, &place, &payload.as_bytes()[..at]);
                    }
                });
                let allocates = first == 0x81 && at < 4;
                assert_eq!(heap.allocations > 0, allocates, "{role:?} {first:x} at {at}");
            }
        }
    }
}

// ---- Scripts ----

#[test]
fn script_that_asks_first_has_the_same_outcome() {
    for (role, config) in ROLES.into_iter().flat_map(|role| deliveries().map(|c| (role, c))) {
        for handshake in [false, true] {
            let mut script = Script::new(role);
            script.handshake = handshake;
            script.steps = vec![
                Step::ReleaseMemory,
                Step::Handshake,
                Step::Frame(RawFrame::text("aé€😀"), 1),
                Step::Frame(RawFrame::ping("?"), 2),
                Step::Accept,
                Step::Frame(RawFrame::binary(vec![7; 300]), 100),
                Step::Frame(RawFrame::text("cut").unfinished(), 3),
                Step::Frame(RawFrame::pong(""), usize::MAX),
                Step::Frame(RawFrame::continuation("!"), 1),
                Step::Close(1000.into(), "over".into()),
                Step::Frame(RawFrame::close(1000, ""), 1),
                Step::Eof,
            ];
            if !handshake {
                script.steps.remove(1);
            }
            let told = |script: &Script| {
                let run = script.run(config.clone()).unwrap_or_else(|broken| panic!("{broken}"));
                let told = run.events.iter().map(|(step, event)| (*step, Told::of(event)));
                (told.collect::<Vec<_>>(), run.output, run.results)
            };
            for capacity in CAPACITIES {
                script.read_buffer = Some(capacity);
                let plain = told(&script);
                let mut asking = script.clone();
                asking.steps[0] = Step::AskFirst;
                assert_eq!(told(&asking), plain, "{role:?} by {capacity}");
            }
        }
    }
}
