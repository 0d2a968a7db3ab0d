//! `is_event_ready` says whether `receive_from` returns an event, and changes nothing about what is received: each kind of
//! input is received with it and without it.

mod util;

use proptest::prelude::*;
use util::*;
use websocket_proto::{Accept, Config, Connection, Event, ReadBuffer, Role, Shared, State};

/// How a loop uses the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// It receives when an event is ready, and not otherwise.
    Always,
    /// It asks, and receives whatever the answer is, which must have been right.
    AndChecks,
    /// It asks behind every third read.
    Sometimes,
}

const WAYS: [Asks; 3] = [Asks::Always, Asks::AndChecks, Asks::Sometimes];

/// Hands one event over, as a server that accepts each upgrade.
fn react(conn: &mut Connection, event: Event<'_>, log: &mut Log) {
    let (is_upgrade, is_plain) =
        (matches!(event, Event::UpgradeRequest(_)), matches!(event, Event::PlainRequest(_)));
    log.push(event);
    if is_upgrade {
        conn.accept(&Accept::default()).expect("the request waits");
    } else if is_plain {
        conn.respond(404).expect("the request waits");
    }
}

/// Takes all events out of the buffer.
fn take_events(
    conn: &mut Connection,
    buffer: &mut ReadBuffer,
    asks: bool,
    checks: bool,
    log: &mut Log,
) {
    loop {
        let ready = asks.then(|| conn.is_event_ready(buffer));
        if ready == Some(false) && !checks {
            return;
        }
        let Some(event) = conn.receive_from(buffer) else {
            assert_ne!(ready, Some(true), "an event was ready");
            return;
        };
        assert_ne!(ready, Some(false), "{event:?} was not announced");
        react(conn, event, log);
    }
}

/// Receives pieces by way of a buffer of `capacity` bytes.
fn run_asking(conn: &mut Connection, pieces: &[&[u8]], capacity: usize, asks: Asks) -> Outcome {
    let mut log = Log::default();
    let mut buffer = ReadBuffer::with_capacity(capacity);
    for (n, piece) in pieces.iter().enumerate() {
        let mut rest = *piece;
        while !rest.is_empty() {
            let spare = buffer.spare();
            assert!(!spare.is_empty(), "there is room behind `false`");
            let len = spare.len().min(rest.len());
            spare[..len].copy_from_slice(&rest[..len]);
            buffer.filled(len);
            rest = &rest[len..];
            let is_asked = asks != Asks::Sometimes || n % 3 == 0;
            take_events(conn, &mut buffer, is_asked, asks == Asks::AndChecks, &mut log);
        }
    }
    take_events(conn, &mut buffer, true, true, &mut log);
    Outcome { seen: log.seen, output: drain(conn), state: conn.state() }
}

/// The same without a question.
fn run_plainly(conn: &mut Connection, bytes: &[u8]) -> Outcome {
    let mut log = Log::default();
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    while let Some(event) = conn.receive(&mut input) {
        react(conn, event, &mut log);
    }
    Outcome { seen: log.seen, output: drain(conn), state: conn.state() }
}

fn check(make: impl Fn() -> Connection, bytes: &[u8]) {
    let expected = run_plainly(&mut make(), bytes);
    for pieces in cuts(bytes) {
        for capacity in [20, 100] {
            for asks in WAYS {
                let outcome = run_asking(&mut make(), &pieces, capacity, asks);
                let sizes: Vec<_> = pieces.iter().map(|piece| piece.len()).take(20).collect();
                assert_eq!(outcome, expected, "{asks:?} by {capacity} in {sizes:?}");
            }
        }
    }
}

/// Frames of each kind, good and bad.
fn streams() -> Vec<Vec<(u8, Vec<u8>)>> {
    let text = "aé€😀 and more".as_bytes();
    let frames: [&[(u8, &[u8])]; 12] = [
        &[(0x81, text), (0x82, &[7; 30]), (0x81, b"")],
        &[(0x82, &[7; 300]), (0x81, text)],
        &[(0x01, &text[..2]), (0x89, b"ping"), (0x00, &text[2..7]), (0x80, &text[7..])],
        &[(0x02, b""), (0x00, b""), (0x80, b""), (0x8a, b"pong")],
        &[(0x89, &[7; 125]), (0x8a, b""), (0x89, b"")],
        &[(0x81, b"text"), (0x88, b"\x03\xe8bye"), (0x81, b"dropped")],
        &[(0x81, b"ab\xff"), (0x81, b"dropped")],
        &[(0x01, b"ab\xe2"), (0x80, b"cd"), (0x81, b"dropped")],
        &[(0x01, text), (0x81, b"interrupts")],
        &[(0x83, b"reserved")],
        &[(0x88, b"\x03")],
        &[(0x82, &[7; 70]), (0x82, &[7; 1]), (0x02, &[7; 40]), (0x80, &[7; 40])],
    ];
    let owned = |rows: &[(u8, &[u8])]| {
        rows.iter().map(|(first, payload)| (*first, payload.to_vec())).collect()
    };
    frames.into_iter().map(owned).collect()
}

#[test]
fn an_event_is_ready_exactly_if_one_is_returned_and_receiving_is_the_same() {
    for role in ROLES {
        for config in [config(), chunks()] {
            let config = Shared::new(config);
            for stream in streams() {
                let frames = stream.iter().flat_map(|(first, payload)| to(role, *first, payload));
                check(|| open_with(role, config.clone()), &frames.collect::<Vec<u8>>());
            }
        }
    }
}

#[test]
fn events_of_the_opening_handshake_are_ready_with_their_last_byte() {
    for config in [config(), chunks()] {
        let config = Shared::new(config);
        let behind = [
            to(Role::Server, 0x81, b"early"),
            to(Role::Server, 0x89, b""),
            to(Role::Server, 0x88, b""),
        ]
        .concat();
        check(|| connecting(Role::Server, config.clone()), &[REQUEST, &behind].concat());
        check(|| connecting(Role::Server, config.clone()), b"GET / HTTP/1.1\r\n\r\n");
        check(|| connecting(Role::Server, config.clone()), b"\x16\x03\x01 no HTTP\r\n\r\n");
        let client = || {
            let mut conn = connecting(Role::Client, config.clone());
            let request = drain(&mut conn);
            (conn, response_to(&request))
        };
        let frames = [to(Role::Client, 0x81, b"first"), to(Role::Client, 0x88, b"")].concat();
        check(|| client().0, &[client().1, frames].concat());
        check(|| client().0, b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nno!");
    }
}

#[cfg(feature = "deflate")]
#[test]
fn events_of_compressed_messages_are_ready_when_they_are_inflated() {
    use websocket_proto::{Deflate, DeflateParams};
    let params = DeflateParams {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    for role in ROLES {
        for mut config in [config(), chunks()] {
            let mut options = Deflate::default();
            options.min_bytes = 0;
            config.deflate = Some(options);
            let config = Shared::new(config);
            let make = |role| {
                Connection::from_upgrade_with_deflate(role, params, config.clone())
                    .expect("a seed cannot fail")
            };
            let mut peer = make(other(role));
            peer.send("aé€😀 ".repeat(20)).unwrap();
            peer.send(vec![0; 40_000]).unwrap();
            peer.ping(b"ping").unwrap();
            peer.send_fragment(websocket_proto::MessageKind::Text, b"fragment", false).unwrap();
            peer.send_fragment(websocket_proto::MessageKind::Text, b"", true).unwrap();
            peer.send_uncompressed("plain").unwrap();
            check(|| make(role), &drain(&mut peer));
            // What it inflates to is no text.
            check(
                || make(role),
                &to(role, 0xc1, &[0x00, 0x02, 0x00, 0xfd, 0xff, b'a', 0xff, 0x00]),
            );
        }
    }
}

#[test]
fn an_end_that_no_bytes_have_brought_is_ready() {
    type End = fn(&mut Connection);
    let ends: [End; 3] = [Connection::abort, Connection::receive_eof, |conn| {
        for at in [0, 1, 100_000, 100_001, 200_000, 200_001] {
            conn.tick(websocket_proto::Timestamp::from_millis(at));
        }
    }];
    for role in ROLES {
        for end in ends {
            let mut config = config();
            config.idle_timeout = Some(std::time::Duration::from_millis(5));
            let mut conn = open_with(role, config);
            let mut buffer = ReadBuffer::with_capacity(100);
            assert!(!conn.is_event_ready(&mut buffer), "nothing has happened");
            end(&mut conn);
            assert!(conn.is_event_ready(&mut buffer) && conn.is_event_ready(&mut buffer));
            assert!(matches!(conn.receive_from(&mut buffer), Some(Event::Closed(_))), "{role:?}");
            assert!(!conn.is_event_ready(&mut buffer), "it is told once");
            assert_eq!(conn.state(), State::Closed);
        }
    }
}

#[test]
fn bytes_that_a_connection_has_left_in_a_buffer_are_no_event_of_the_next() {
    for role in ROLES {
        let message = to(role, 0x82, &to(role, 0x81, b"smuggled"));
        let left = || {
            let mut buffer = ReadBuffer::with_capacity(100);
            let cut = message.len() - 1;
            buffer.spare()[..cut].copy_from_slice(&message[..cut]);
            buffer.filled(cut);
            assert!(!open(role).is_event_ready(&mut buffer));
            buffer
        };
        let own = to(role, 0x81, b"own");
        for cut in 0..=own.len() {
            let mut buffer = left();
            let mut next = open(role);
            buffer.spare()[..cut].copy_from_slice(&own[..cut]);
            buffer.filled(cut);
            let is_whole = cut == own.len();
            assert_eq!(next.is_event_ready(&mut buffer), is_whole, "{role:?}, {cut} bytes");
            assert_eq!(next.receive_from(&mut buffer).is_some(), is_whole, "{role:?}, {cut} bytes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_received_alike(
        client in any::<bool>(),
        delivers_chunks in any::<bool>(),
        mut bytes in prop::collection::vec(any::<u8>(), 0..80),
        first in prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x89, 0x88]),
        reads in prop::collection::vec(1usize..20, 1..20),
        capacity in 16usize..100,
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let config: Config = if delivers_chunks { chunks() } else { config() };
        let payload = bytes.split_off(bytes.len() / 2);
        let stream = [to(role, first, &payload), bytes].concat();
        let mut pieces = Vec::new();
        let (mut rest, mut sizes) = (&stream[..], reads.iter().cycle());
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            pieces.push(piece);
            rest = more;
        }
        let expected = run_plainly(&mut open_with(role, config.clone()), &stream);
        for asks in WAYS {
            let outcome =
                run_asking(&mut open_with(role, config.clone()), &pieces, capacity, asks);
            prop_assert_eq!(&outcome, &expected);
        }
    }
}
