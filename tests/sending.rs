//! Sending: which frames a call makes, when it is an error, and that a failed call changes nothing. `entropy.rs` tests
//! masking keys, `closing.rs` Close frames, `queue.rs` the order of the queue's bytes.

mod util;

use std::borrow::Cow;

use proptest::prelude::*;
use util::*;
use websocket_proto::{
    Accept, ClientRequest, Connection, Entropy, EntropyError, Event, Message, MessageKind,
    PreparedMessage, Response, Role, State, UsageError,
};

/// An entropy source that gives every frame the same key, so that bytes can be compared.
fn one_key(out: &mut [u8]) -> Result<(), EntropyError> {
    out.iter_mut().zip(KEY.iter().cycle()).for_each(|(byte, key)| *byte = *key);
    Ok(())
}

fn open_with_one_key(role: Role) -> Connection {
    let config = builder().entropy(Entropy::from_fn(one_key)).build().unwrap();
    open_with(role, config)
}

/// A frame as `role` sends it.
fn from(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, payload, (role == Role::Client).then_some(KEY))
}

fn sent(conn: &mut Connection) -> Vec<(u8, Vec<u8>)> {
    plain_frames(&drain(conn))
}

fn text(len: usize) -> String {
    (0..len).map(|i| char::from(b'a' + (i % 23) as u8)).collect()
}

/// Sizes near those where the encoding of the length changes, or the way in which the queue stores a payload.
fn sizes() -> Vec<usize> {
    let borders = [126, 4096, 16_384, 32_768, 65_536];
    let around = [-15, -14, -13, -10, -9, -8, -7, -5, -4, -3, -2, -1, 0, 1, 2];
    let near =
        borders.iter().flat_map(|at: &usize| around.map(|step| at.saturating_add_signed(step)));
    [0, 1, 2].into_iter().chain(near).chain([70_000]).collect()
}

/// What an operation returns.
type Sent = Result<(), UsageError>;
/// A way to send, and its name.
type Way = (&'static str, fn(&mut Connection) -> Sent);

/// Every call that sends a frame other than Close.
const WAYS: [Way; 10] = [
    ("text", |conn| conn.send("text")),
    ("binary", |conn| conn.send(b"binary")),
    ("owned text", |conn| conn.send(text(5000))),
    ("owned binary", |conn| conn.send(vec![1; 5000])),
    ("prepared", |conn| conn.send_prepared(&PreparedMessage::new("prepared"))),
    ("large prepared", |conn| conn.send_prepared(&PreparedMessage::new(vec![2; 5000]))),
    ("fragment", |conn| conn.send_fragment(MessageKind::Binary, b"part", false)),
    ("last fragment", |conn| conn.send_fragment(MessageKind::Text, b"whole", true)),
    ("ping", |conn| conn.ping(b"ping")),
    ("pong", |conn| conn.pong(b"pong")),
];

#[test]
fn whole_message_is_one_frame_of_its_kind() {
    // rfc6455-5.4-01, rfc6455-6.1-01, rfc6455-6.1-04, rfc6455-6.1-06, rfc6455-6.1-07, rfc6455-6.1-08, rfc6455-5.3-06,
    // whatwg-send-03
    for role in ROLES {
        for len in (0..300).chain(sizes()) {
            let text = text(len);
            let mut conn = open_with_one_key(role);
            conn.send(&text).unwrap();
            assert!(
                drain(&mut conn) == from(role, 0x81, text.as_bytes()),
                "{role:?} text of {len}"
            );
            conn.send(text.as_bytes()).unwrap();
            assert!(
                drain(&mut conn) == from(role, 0x82, text.as_bytes()),
                "{role:?} binary of {len}"
            );
        }
    }
}

#[test]
fn strings_are_text_and_bytes_are_binary() {
    // whatwg-send-03, rfc6455-5.6-03: text comes from types that are UTF-8
    let string = "é€".to_string();
    let bytes = string.clone().into_bytes();
    let message = Message::from(&string);
    for role in ROLES {
        let mut conn = open(role);
        conn.send("é€").unwrap();
        conn.send(&string).unwrap();
        conn.send(string.clone()).unwrap();
        conn.send(Cow::Borrowed("é€")).unwrap();
        conn.send(Cow::<str>::Owned(string.clone())).unwrap();
        conn.send(&message).unwrap();
        conn.send(message.clone()).unwrap();
        assert_eq!(sent(&mut conn), vec![(0x81, bytes.clone()); 7], "{role:?}");
        conn.send(&bytes[..]).unwrap();
        conn.send(&bytes).unwrap();
        conn.send(bytes.clone()).unwrap();
        conn.send(Cow::Borrowed(&bytes[..])).unwrap();
        conn.send(Cow::<[u8]>::Owned(bytes.clone())).unwrap();
        conn.send("é€".as_bytes()).unwrap();
        assert_eq!(sent(&mut conn), vec![(0x82, bytes.clone()); 6], "{role:?}");
        conn.send(b"\xff\x00").unwrap();
        assert_eq!(sent(&mut conn), [(0x82, b"\xff\x00".to_vec())]);
    }
}

#[test]
fn owned_borrowed_and_prepared_messages_make_the_same_bytes() {
    // rfc6455-6.1-04, rfc6455-6.1-10, rfc6455-2.1-01: alone, after a message, and after a part of a message
    for role in ROLES {
        for len in sizes() {
            let text = text(len);
            for (queued, released) in [(0, 0), (20, 0), (20, 3), (20_000, 11)] {
                let run = |send: &dyn Fn(&mut Connection) -> Sent| {
                    let mut conn = open_with_one_key(role);
                    if queued > 0 {
                        conn.send(vec![0x55; queued]).unwrap();
                    }
                    let mut wire: Vec<u8> =
                        conn.outgoing_chunks().flatten().copied().take(released).collect();
                    conn.advance(released);
                    let before = conn.buffered_amount();
                    send(&mut conn).unwrap();
                    conn.send("next").unwrap();
                    assert_eq!(conn.buffered_amount(), before + len as u64 + 4, "{role:?} {len}");
                    wire.extend(drain(&mut conn));
                    wire
                };
                let mut expected = match queued {
                    0 => Vec::new(),
                    _ => from(role, 0x82, &vec![0x55; queued]),
                };
                expected.extend(from(role, 0x81, text.as_bytes()));
                expected.extend(from(role, 0x81, b"next"));
                let prepared = PreparedMessage::new(&text);
                let name = format!("{role:?}: {len} behind {queued} less {released}");
                assert!(run(&|conn| conn.send(&text)) == expected, "borrowed, {name}");
                assert!(run(&|conn| conn.send(text.clone())) == expected, "owned, {name}");
                assert!(run(&|conn| conn.send_prepared(&prepared)) == expected, "prepared, {name}");
            }
        }
    }
}

/// Sends through a transport that accepts `room` bytes in all, and returns the accepted bytes.
fn through(conn: &mut Connection, message: Message<'_>, mut room: usize) -> Vec<u8> {
    let mut taken = Vec::new();
    let sent: Result<(), UsageError> = conn.send_through(message, |header, payload| {
        let shown = [header, payload].concat();
        assert!(!shown.is_empty());
        let n = shown.len().min(room);
        room -= n;
        taken.extend_from_slice(&shown[..n]);
        Ok(n)
    });
    assert_eq!(sent, Ok(()));
    taken
}

#[test]
fn send_through_queues_only_what_the_transport_does_not_accept() {
    // rfc6455-6.1-04, rfc6455-5.3-06, rfc6455-5.4-08, whatwg-bufferedAmount-01: a ping goes after a frame that is
    // partly written, and before one that is not
    for role in ROLES {
        for len in [0, 1, 125, 126, 4095, 4096, 16_383, 16_384, 16_385, 65_535, 65_536, 70_000] {
            let payload = text(len);
            let wire = from(role, 0x82, payload.as_bytes());
            let ping = from(role, 0x89, b"ping");
            let behind = from(role, 0x81, b"behind");
            let header = wire.len() - len;
            let near = [0, 4096, 16_384, wire.len()]
                .into_iter()
                .flat_map(|at: usize| (0..40).map(move |n| (at + n).saturating_sub(20)));
            for room in near.filter(|room| *room <= wire.len()) {
                for owned in [false, true] {
                    let mut conn = open_with_one_key(role);
                    let message = Message::from(payload.as_bytes());
                    let message = if owned { message.into_owned() } else { message };
                    let taken = through(&mut conn, message, room);
                    assert!(taken == wire[..room], "{role:?} {len} {room} {owned}");
                    assert_eq!(conn.outgoing_len() as usize, wire.len() - room);
                    assert_eq!(conn.buffered_amount() as usize, len - room.saturating_sub(header));
                    conn.ping(b"ping").unwrap();
                    conn.send("behind").unwrap();
                    let expected = match room {
                        0 => [&ping[..], &wire, &behind].concat(),
                        _ => [&wire[room..], &ping, &behind].concat(),
                    };
                    let rest = drain(&mut conn);
                    assert!(rest == expected, "{role:?} {len} {room} {owned}");
                    assert_eq!(conn.buffered_amount(), 0);
                }
            }
        }
    }
}

#[test]
fn send_through_queues_the_message_if_bytes_are_outgoing() {
    // rfc6455-6.1-10
    for role in ROLES {
        for (name, way) in WAYS.iter().filter(|(name, _)| *name != "fragment") {
            let mut conn = open_with_one_key(role);
            way(&mut conn).unwrap();
            let first = drain(&mut { open_after(role, way) });
            assert!(through(&mut conn, "next".into(), usize::MAX).is_empty(), "{name}");
            assert!(drain(&mut conn) == [&first[..], &from(role, 0x81, b"next")].concat());
        }
    }
}

/// A connection that has made one call.
fn open_after(role: Role, way: &fn(&mut Connection) -> Sent) -> Connection {
    let mut conn = open_with_one_key(role);
    way(&mut conn).unwrap();
    conn
}

#[test]
fn error_of_the_transport_is_returned_and_the_rest_is_queued() {
    #[derive(Debug, PartialEq)]
    enum Error {
        Usage(UsageError),
        Transport,
    }
    impl From<UsageError> for Error {
        fn from(error: UsageError) -> Self {
            Error::Usage(error)
        }
    }
    for role in ROLES {
        for len in [5, 5000, 40_000] {
            let payload = text(len);
            for calls in 0..3 {
                let mut conn = open_with_one_key(role);
                let mut taken = Vec::new();
                let mut left = calls;
                let result = conn.send_through(&payload[..], |header, payload| {
                    if left == 0 {
                        return Err(Error::Transport);
                    }
                    left -= 1;
                    taken.extend_from_slice(header);
                    taken.extend_from_slice(payload);
                    Ok(header.len() + payload.len())
                });
                assert_eq!(result.is_ok(), conn.outgoing_len() == 0);
                assert!(result == Ok(()) || result == Err(Error::Transport));
                taken.extend(drain(&mut conn));
                assert!(taken == from(role, 0x81, payload.as_bytes()), "{role:?} {len} {calls}");
            }
        }
        let mut conn = open(role);
        conn.close(1000, "").unwrap();
        drain(&mut conn);
        let result = conn.send_through("late", |_, _| Err(Error::Transport));
        assert_eq!(result, Err(Error::Usage(UsageError::NotOpen(State::Closing))));
    }
}

#[test]
fn prepared_message_goes_out_on_any_number_of_connections() {
    // rfc6455-5.1-01, rfc6455-5.1-04: servers share the unmasked frame, each client masks a copy
    for len in [0, 1, 125, 126, 4082, 4095, 4096, 4097, 65_535, 65_536, 70_000] {
        for message in [Message::from(text(len)), Message::from(text(len).into_bytes())] {
            let prepared = PreparedMessage::new(&message);
            assert_eq!((prepared.kind(), prepared.payload()), (message.kind(), message.as_bytes()));
            let first = if message.kind() == MessageKind::Text { 0x81 } else { 0x82 };
            let copy = prepared.clone();
            for role in ROLES {
                for _ in 0..3 {
                    let mut conn = open(role);
                    conn.send_prepared(&prepared).unwrap();
                    conn.send_prepared(&copy).unwrap();
                    assert_eq!(conn.buffered_amount(), 2 * len as u64);
                    let frames = read_frames(&drain(&mut conn));
                    assert_eq!(frames.len(), 2);
                    for frame in frames {
                        assert_eq!(frame.first, first);
                        assert!(frame.payload == message.as_bytes(), "{role:?} {len}");
                        assert_eq!(frame.key.is_some(), role == Role::Client);
                    }
                }
            }
            assert!(
                prepared.payload() == message.as_bytes(),
                "a client has masked the shared payload"
            );
        }
    }
}

#[test]
fn client_masks_every_frame_and_server_masks_none() {
    // rfc6455-5.1-01, rfc6455-5.1-04, rfc6455-5.3-01, rfc6455-5.5.1-07, rfc6455-6.1-08
    for role in ROLES {
        let mut wire = Vec::new();
        for (_, send) in WAYS {
            let mut conn = open(role);
            send(&mut conn).unwrap();
            conn.close(1000, "bye").unwrap();
            wire.extend(drain(&mut conn));
        }
        for input in
            [(0x89, &b"ping"[..]), (0x88, b""), (0x88, b"\x03\xe8"), (0x83, b""), (0x81, b"\xff")]
        {
            wire.extend(run(&mut open(role), &[&to(role, input.0, input.1)]).output);
        }
        let frames = read_frames(&wire);
        assert_eq!(frames.len(), 2 * WAYS.len() + 5);
        for frame in frames {
            assert_eq!(frame.key.is_some(), role == Role::Client, "{frame:?}");
        }
    }
}

#[test]
fn nothing_is_sent_outside_of_the_open_state() {
    // rfc6455-6.1-02, rfc6455-5.1-07, rfc6455-5.5.1-08, rfc6455-5.5.2-05, rfc6455-6.1-03, whatwg-send-01,
    // whatwg-send-02 (the core returns an error), whatwg-bufferedAmount-03 (and does not count the bytes)
    type Prepare = fn(&mut Connection);
    let rows: [(State, Prepare); 9] = [
        (State::Closing, |conn| conn.close(1000, "").unwrap()),
        (State::Closing, |conn| conn.close_without_code()),
        (State::Closed, |conn| feed(conn, &to(conn.role(), 0x88, b""), &mut Log::default())),
        (State::Closed, |conn| feed(conn, &to(conn.role(), 0x83, b""), &mut Log::default())),
        (State::Closed, |conn| feed(conn, &to(conn.role(), 0x81, b"\xff"), &mut Log::default())),
        (State::Closed, Connection::receive_eof),
        (State::Closed, Connection::abort),
        (State::Closed, |conn| {
            conn.close_without_code();
            feed(conn, &to(conn.role(), 0x88, b""), &mut Log::default());
        }),
        (State::Closed, |conn| {
            conn.abort();
            while conn.poll_event().is_some() {}
        }),
    ];
    for role in ROLES {
        let mut all = vec![connecting(role, config())];
        if role == Role::Server {
            for request in [REQUEST, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &REQUEST[..30]] {
                let mut conn = connecting(role, config());
                feed(&mut conn, request, &mut Log::default());
                all.push(conn);
            }
        }
        assert!(all.iter().all(|conn| conn.state() == State::Connecting));
        for (state, prepare) in rows {
            for queued in [false, true] {
                let mut conn = open(role);
                if queued {
                    conn.send("queued").unwrap();
                }
                prepare(&mut conn);
                assert_eq!(conn.state(), state);
                all.push(conn);
            }
        }
        for mut conn in all {
            let state = conn.state();
            let wire: Vec<u8> = conn.outgoing_chunks().flatten().copied().collect();
            let buffered = conn.buffered_amount();
            for (name, send) in WAYS {
                // RFC 6455 5.5.1: after our Close no data frames are sent, but control frames are allowed.
                if state == State::Closing && ["ping", "pong"].contains(&name) {
                    continue;
                }
                assert_eq!(
                    send(&mut conn),
                    Err(UsageError::NotOpen(state)),
                    "{role:?} {state} {name}"
                );
                assert_eq!(conn.check_send(0), Err(UsageError::NotOpen(state)));
            }
            assert!(!conn.is_writable());
            assert_eq!(conn.buffered_amount(), buffered, "{role:?} {state}");
            assert_eq!(
                conn.outgoing_chunks().flatten().copied().collect::<Vec<_>>(),
                wire,
                "{role:?} {state}"
            );
        }
    }
}

#[test]
fn messages_may_follow_the_handshake_at_once() {
    // rfc6455-5.1-07, rfc6455-5.5.2-05, whatwg-feedback-open-01
    let mut server = connecting(Role::Server, config());
    feed(&mut server, REQUEST, &mut Log::default());
    server.accept(&Accept::new()).unwrap();
    server.send("welcome").unwrap();
    server.ping(b"there?").unwrap();
    let wire = drain(&mut server);
    let head = wire.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(wire[..head], response_to(REQUEST));
    assert_eq!(
        plain_frames(&wire[head..]),
        [(0x89, b"there?".to_vec()), (0x81, b"welcome".to_vec())]
    );

    let mut client = connecting(Role::Client, config());
    let mut bytes = response_to(&drain(&mut client));
    bytes.extend_from_slice(&wire[head..]);
    let mut input = &mut bytes[..];
    let Some(Event::Open(response)) = client.receive(&mut input) else { panic!("not open") };
    assert_eq!((response.subprotocol(), response.extensions().count()), (None, 0));
    client.send("thanks").unwrap();
    assert_eq!(sent(&mut client), [(0x81, b"thanks".to_vec())]);
}

#[test]
fn fragments_have_the_opcodes_of_a_fragmented_message() {
    // rfc6455-5.4-02, rfc6455-5.4-11, rfc6455-5.4-08, rfc6455-6.1-05, rfc6455-6.1-06, rfc6455-6.1-07
    let rows: [(&[&str], &[u8]); 5] = [
        (&["one"], &[0x81]),
        (&["on", "e"], &[0x01, 0x80]),
        (&["o", "n", "e"], &[0x01, 0x00, 0x80]),
        (&["", "", "o", "", "n", ""], &[0x01, 0x00, 0x00, 0x00, 0x00, 0x80]),
        (&["", ""], &[0x01, 0x80]),
    ];
    for role in ROLES {
        for (parts, firsts) in rows {
            for kind in [MessageKind::Text, MessageKind::Binary] {
                let mut conn = open(role);
                // The second message works like the first.
                for _ in 0..2 {
                    for (i, part) in parts.iter().enumerate() {
                        conn.send_fragment(kind, part.as_bytes(), i + 1 == parts.len()).unwrap();
                    }
                    let total: usize = parts.iter().map(|part| part.len()).sum();
                    assert_eq!(conn.buffered_amount(), total as u64);
                    let expected = parts.iter().zip(firsts).map(|(part, first)| {
                        let opcode_step =
                            u8::from(kind == MessageKind::Binary && first & 0x0f == 1);
                        (first + opcode_step, part.as_bytes().to_vec())
                    });
                    assert_eq!(
                        sent(&mut conn),
                        expected.collect::<Vec<_>>(),
                        "{role:?} {kind:?} {parts:?}"
                    );
                }
                conn.send("whole").unwrap();
                assert_eq!(sent(&mut conn), [(0x81, b"whole".to_vec())]);
            }
        }
        let mut conn = open(role);
        let large = vec![0x5a; 70_000];
        conn.send_fragment(MessageKind::Binary, &large, false).unwrap();
        conn.send_fragment(MessageKind::Binary, &large[..65_536], true).unwrap();
        assert!(
            sent(&mut conn) == [(0x02, large.clone()), (0x80, large[..65_536].to_vec())],
            "{role:?}"
        );
    }
}

#[test]
fn text_may_be_cut_within_a_character() {
    // rfc6455-5.6-01, rfc6455-5.6-03
    let text = "aé€😀\u{10ffff}\u{800}z";
    let bytes = text.as_bytes();
    for role in ROLES {
        let cuts = (0..=bytes.len()).flat_map(|a| {
            (a..=bytes.len()).map(move |b| vec![&bytes[..a], &bytes[a..b], &bytes[b..]])
        });
        for parts in cuts
            .chain([bytes.chunks(1).collect(), bytes.chunks(1).flat_map(|b| [b, &[]]).collect()])
        {
            let (mut conn, mut peer) = (open(role), open(other(role)));
            for (i, part) in parts.iter().enumerate() {
                conn.send_fragment(MessageKind::Text, part, i + 1 == parts.len()).unwrap();
            }
            let wire = drain(&mut conn);
            let payloads: Vec<_> =
                plain_frames(&wire).into_iter().map(|(_, payload)| payload).collect();
            assert_eq!(payloads, parts, "the fragments are not those of the caller");
            assert_eq!(run(&mut peer, &[&wire]).seen, [Seen::Text(text.to_string())], "{role:?}");
        }
    }
}

#[test]
fn text_that_is_not_utf8_is_an_error_and_does_not_change_the_message() {
    // rfc6455-5.6-03: (the first fragment, the invalid next fragment, whether it is the last)
    let rows: [(&[u8], &[u8], bool); 14] = [
        (b"", b"\xff", false),
        (b"", b"\x80", false),
        (b"", b"\xc0", false),
        (b"", b"\xc1\xbf", false),
        (b"", b"\xed\xa0", false),
        (b"", b"\xf4\x90", false),
        (b"", b"\xf5", false),
        (b"", b"good, then \xc3(", false),
        (b"", b"\xc3", true),
        (b"\xc3", b"", true),
        (b"\xc3", b"(", false),
        (b"\xe2\x82", b"\xac\xe2", true),
        (b"\xf0\x9f", b"\xc3\xa9", false),
        (b"\xe0", b"\x80\x80", false),
    ];
    for role in ROLES {
        for (before, refused, last) in rows {
            let mut conn = open(role);
            if !before.is_empty() {
                conn.send_fragment(MessageKind::Text, before, false).unwrap();
            }
            let len = conn.outgoing_len();
            for _ in 0..2 {
                assert_eq!(
                    conn.send_fragment(MessageKind::Text, refused, last),
                    Err(UsageError::InvalidUtf8),
                    "{role:?} {before:02x?} {refused:02x?}"
                );
            }
            assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (len, before.len() as u64));
            assert_eq!(conn.state(), State::Open);
            // The message can still be completed.
            let rest: &[u8] = match before {
                b"\xc3" => b"\xa9",
                b"\xe2\x82" => b"\xac",
                b"\xf0\x9f" => b"\x98\x80",
                b"\xe0" => b"\xa0\x80",
                _ => b"ok",
            };
            conn.send_fragment(MessageKind::Text, rest, true).unwrap();
            let firsts: Vec<_> = sent(&mut conn).into_iter().map(|(first, _)| first).collect();
            assert_eq!(firsts, if before.is_empty() { vec![0x81] } else { vec![0x01, 0x80] });
        }
        // Binary may be any bytes.
        let mut conn = open(role);
        conn.send_fragment(MessageKind::Binary, b"\xff\xc3", true).unwrap();
        assert_eq!(sent(&mut conn), [(0x82, b"\xff\xc3".to_vec())]);
    }
}

#[test]
fn messages_are_not_mixed() {
    // rfc6455-5.4-09, rfc6455-5.4-17
    for role in ROLES {
        for kind in [MessageKind::Text, MessageKind::Binary] {
            let mut conn = open(role);
            conn.send_fragment(kind, b"begun", false).unwrap();
            let len = conn.outgoing_len();
            let whole: [Way; 6] = [WAYS[0], WAYS[1], WAYS[2], WAYS[3], WAYS[4], WAYS[5]];
            for (name, send) in whole {
                assert_eq!(send(&mut conn), Err(UsageError::MessageUnfinished), "{role:?} {name}");
            }
            assert_eq!(conn.check_send(1), Err(UsageError::MessageUnfinished));
            let changed = match kind {
                MessageKind::Text => MessageKind::Binary,
                MessageKind::Binary => MessageKind::Text,
            };
            for last in [false, true] {
                assert_eq!(
                    conn.send_fragment(changed, b"other", last),
                    Err(UsageError::FragmentKindChanged),
                    "{role:?}"
                );
            }
            assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (len, 5));
            conn.send_fragment(kind, b", done", true).unwrap();
            assert_eq!(conn.check_send(1), Ok(()));
            conn.send_fragment(changed, b"next", true).unwrap();
            let first = |kind| if kind == MessageKind::Text { 1 } else { 2 };
            let frames = [
                (first(kind), b"begun".to_vec()),
                (0x80, b", done".to_vec()),
                (0x80 | first(changed), b"next".to_vec()),
            ];
            assert_eq!(sent(&mut conn), frames, "{role:?}");
        }
    }
}

#[test]
fn unfinished_message_is_told_from_its_first_fragment_to_its_last() {
    // rfc6455-5.4-09
    for role in ROLES {
        for kind in [MessageKind::Text, MessageKind::Binary] {
            let mut conn = open(role);
            assert_eq!(conn.unfinished_message(), None, "{role:?}");
            for _ in 0..2 {
                for is_last in [false, false, true] {
                    conn.send_fragment(kind, b"part", is_last).unwrap();
                    conn.ping(b"").unwrap();
                    let expected = (!is_last).then_some(kind);
                    assert_eq!(conn.unfinished_message(), expected, "{role:?}");
                    drain(&mut conn);
                    assert_eq!(conn.unfinished_message(), expected, "{role:?}");
                    assert_eq!(conn.check_send(1).is_ok(), is_last, "{role:?}");
                }
            }
            // Refused fragments change nothing.
            assert!(conn.send_fragment(MessageKind::Text, b"\xff", false).is_err());
            assert_eq!(conn.unfinished_message(), None, "{role:?}");
            conn.send_fragment(kind, b"", true).unwrap();
            conn.send("whole").unwrap();
            assert_eq!(conn.unfinished_message(), None, "{role:?}");
            // RFC 6455 5.5.1: no data frame follows a Close.
            let ends: [fn(&mut Connection, Role); 5] = [
                |conn, _| conn.close_without_code(),
                |conn, _| conn.write_closed(),
                |conn, _| conn.fail(1011, "").unwrap(),
                |conn, _| conn.abort(),
                |conn, role| feed(conn, &to(role, 0x88, b""), &mut Log::default()),
            ];
            for end in ends {
                let mut conn = open(role);
                conn.send_fragment(kind, b"", false).unwrap();
                end(&mut conn, role);
                assert_eq!(conn.unfinished_message(), None, "{role:?}");
            }
        }
    }
}

#[test]
fn control_frames_go_between_fragments() {
    // rfc6455-5.4-06, rfc6455-5.4-08, rfc6455-5.4-10, rfc6455-5.5.2-04, rfc6455-5.5.2-05
    for role in ROLES {
        let (mut conn, mut peer) = (open(role), open(other(role)));
        let mut wire = Vec::new();
        conn.send_fragment(MessageKind::Text, "Hé".as_bytes(), false).unwrap();
        wire.extend(drain(&mut conn));
        conn.ping(b"between").unwrap();
        feed(&mut conn, &to(role, 0x89, b"theirs"), &mut Log::default());
        conn.send_fragment(MessageKind::Text, b"llo", true).unwrap();
        conn.pong(b"alone").unwrap();
        wire.extend(drain(&mut conn));
        let frames: [(u8, &[u8]); 5] = [
            (0x01, "Hé".as_bytes()),
            (0x89, b"between"),
            (0x8a, b"theirs"),
            (0x8a, b"alone"),
            (0x80, b"llo"),
        ];
        assert_eq!(
            plain_frames(&wire),
            frames.map(|(first, payload)| (first, payload.to_vec())),
            "{role:?}"
        );
        let outcome = run(&mut peer, &[&wire]);
        let seen = [
            Seen::Ping(b"between".to_vec()),
            Seen::Pong(b"theirs".to_vec()),
            Seen::Pong(b"alone".to_vec()),
            Seen::Text("Héllo".to_string()),
        ];
        assert_eq!(outcome.seen, seen);
        assert_eq!(plain_frames(&outcome.output), [(0x8a, b"between".to_vec())]);
    }
}

#[test]
fn control_frames_wait_for_the_end_of_a_frame_that_is_begun() {
    // rfc6455-5.5.2-04, rfc6455-5.4-08
    for role in ROLES {
        for released in [1, 2, 3, 7, 8] {
            let mut conn = open(role);
            conn.send("first").unwrap();
            conn.send("second").unwrap();
            let mut wire = conn.outgoing()[..released].to_vec();
            conn.advance(released);
            conn.ping(b"p").unwrap();
            feed(&mut conn, &to(role, 0x89, b"q"), &mut Log::default());
            wire.extend(drain(&mut conn));
            let control = [(0x89, b"p".to_vec()), (0x8a, b"q".to_vec())];
            let frames = plain_frames(&wire);
            let at = frames.iter().position(|(first, _)| *first == 0x89).unwrap();
            let is_second_begun = role == Role::Server && released > 7;
            assert_eq!(at, if is_second_begun { 2 } else { 1 }, "{role:?} {released}");
            assert_eq!(frames[at..at + 2], control, "{role:?} {released}");
        }
    }
}

#[test]
fn pings_and_pongs_carry_up_to_125_bytes() {
    // rfc6455-5.5-02, rfc6455-5.5-03, rfc6455-5.5.2-01, rfc6455-5.5.3-03, rfc6455-5.4-07, whatwg-ping-01
    for role in ROLES {
        for len in 0..=130 {
            let payload = vec![0xc3; len];
            let mut conn = open(role);
            let expected =
                if len <= 125 { Ok(()) } else { Err(UsageError::ControlTooLong { len }) };
            assert_eq!(conn.ping(&payload), expected);
            assert_eq!(conn.pong(&payload), expected);
            let frames = match expected {
                Ok(()) => vec![(0x89, payload.clone()), (0x8a, payload)],
                Err(_) => vec![],
            };
            assert_eq!(
                conn.buffered_amount(),
                0,
                "control frames do not count as the application's data"
            );
            assert_eq!(sent(&mut conn), frames, "{role:?} {len}");
            assert_eq!(conn.state(), State::Open);
        }
        let mut conn = open(role);
        assert_eq!(conn.ping(&vec![0; 70_000]), Err(UsageError::ControlTooLong { len: 70_000 }));
        assert_eq!(conn.outgoing_len(), 0);
    }
}

#[test]
fn pong_has_the_bytes_of_its_ping_and_goes_before_messages() {
    // rfc6455-5.5.2-02, rfc6455-5.5.2-04, rfc6455-5.5.3-01, rfc6455-5.5.3-04
    for role in ROLES {
        for len in 0..=125u8 {
            let payload: Vec<u8> = (0..len).map(|i| i.wrapping_mul(37) ^ 0xff).collect();
            let mut conn = open(role);
            conn.send("queued").unwrap();
            let mut log = Log::default();
            feed(
                &mut conn,
                &[to(role, 0x89, &payload), to(role, 0x8a, b"unsolicited")].concat(),
                &mut log,
            );
            assert_eq!(
                log.seen,
                [Seen::Ping(payload.clone()), Seen::Pong(b"unsolicited".to_vec())]
            );
            assert_eq!(
                sent(&mut conn),
                [(0x8a, payload), (0x81, b"queued".to_vec())],
                "{role:?} {len}"
            );
            assert_eq!(conn.state(), State::Open);
        }
    }
}

#[test]
fn queued_pongs_are_bounded_and_the_latest_ping_is_always_answered() {
    // rfc6455-5.5.3-02: (limit, number of pings, indices of the answered pings)
    let rows: [(u8, usize, &[usize]); 5] = [
        (16, 3, &[0, 1, 2]),
        (3, 3, &[0, 1, 2]),
        (3, 4, &[0, 1, 3]),
        (3, 1000, &[0, 1, 999]),
        (1, 5, &[4]),
    ];
    for role in ROLES {
        for (limit, pings, answered) in rows {
            let config = builder().max_queued_pongs(limit).build().unwrap();
            let mut conn = open_with(role, config);
            let payload = |i: usize| format!("{i:0width$}", width = i % 120).into_bytes();
            for i in 0..pings {
                feed(&mut conn, &to(role, 0x89, &payload(i)), &mut Log::default());
                assert!(conn.outgoing_len() <= u64::from(limit) * 131);
            }
            let expected: Vec<_> = answered.iter().map(|&i| (0x8a, payload(i))).collect();
            assert_eq!(sent(&mut conn), expected, "{role:?} {limit} {pings}");
        }
    }
}

#[test]
fn pings_are_answered_after_our_own_close_and_not_after_the_peers() {
    // rfc6455-5.5.2-02, rfc6455-5.5.2-03
    for role in ROLES {
        let mut conn = open(role);
        conn.close(1000, "").unwrap();
        assert_eq!(sent(&mut conn), [(0x88, b"\x03\xe8".to_vec())]);
        feed(&mut conn, &to(role, 0x89, b"a"), &mut Log::default());
        assert_eq!(sent(&mut conn), [(0x8a, b"a".to_vec())], "{role:?}");
        feed(&mut conn, &[to(role, 0x88, b""), to(role, 0x89, b"b")].concat(), &mut Log::default());
        assert_eq!(conn.outgoing_len(), 0, "{role:?}");
    }
}

#[test]
fn full_queue_refuses_messages_and_does_not_change() {
    // whatwg-send-04: the caller gets an error; pongs and the Close are never refused
    const LIMIT: u64 = 6000;
    for role in ROLES {
        let config = builder().max_outgoing_bytes(LIMIT).build().unwrap();
        let mut conn = open_with(role, config);
        // The check always counts the largest header, 14 bytes.
        assert_eq!(
            conn.check_send(LIMIT as usize - 13),
            Err(UsageError::BufferFull { needed: LIMIT + 1, limit: LIMIT })
        );
        assert_eq!(conn.check_send(LIMIT as usize - 14), Ok(()));
        conn.send(vec![0; LIMIT as usize - 14]).unwrap();
        let (len, buffered) = (conn.outgoing_len(), conn.buffered_amount());
        assert!(len <= LIMIT);
        for (name, send) in WAYS {
            assert!(
                matches!(send(&mut conn), Err(UsageError::BufferFull { limit: LIMIT, .. })),
                "{role:?} {name}"
            );
            assert_eq!(
                (conn.outgoing_len(), conn.buffered_amount()),
                (len, buffered),
                "{role:?} {name}"
            );
        }
        // The refused fragment did not begin a message.
        assert!(matches!(conn.check_send(9), Err(UsageError::BufferFull { .. })));
        feed(&mut conn, &to(role, 0x89, b"ping"), &mut Log::default());
        conn.close(1000, "").unwrap();
        let firsts: Vec<_> = sent(&mut conn).into_iter().map(|(first, _)| first).collect();
        assert_eq!(firsts, [0x8a, 0x82, 0x88], "{role:?}");
    }
    for role in ROLES {
        let config = builder().max_outgoing_bytes(40).build().unwrap();
        let mut conn = open_with(role, config);
        conn.send_fragment(MessageKind::Text, b"\xe2\x82", false).unwrap();
        assert!(matches!(
            conn.send_fragment(MessageKind::Text, &[0xac; 40], true),
            Err(UsageError::BufferFull { .. })
        ));
        drain(&mut conn);
        conn.send_fragment(MessageKind::Text, b"\xac", true).unwrap();
        assert_eq!(sent(&mut conn), [(0x80, b"\xac".to_vec())], "{role:?}");
    }
}

#[test]
fn check_send_of_any_length_does_not_overflow() {
    for role in ROLES {
        let refused = open(role).check_send(usize::MAX);
        assert!(matches!(refused, Err(UsageError::BufferFull { .. })), "{role:?}");
    }
}

#[test]
fn is_writable_falls_above_the_high_mark_and_rises_at_the_low_one() {
    for role in ROLES {
        let config = builder().high_water_bytes(1000).low_water_bytes(100).build().unwrap();
        let mut conn = open_with(role, config);
        assert!(conn.is_writable());
        let header = if role == Role::Client { 8 } else { 4 };
        conn.send(vec![0; 1000 - header]).unwrap();
        assert!(conn.is_writable(), "at the high mark");
        conn.send("").unwrap();
        assert!(!conn.is_writable(), "above the high mark");
        assert_eq!(conn.check_send(1), Ok(()), "the mark is only advice");
        while conn.outgoing_len() > 101 {
            conn.advance(1);
            assert!(!conn.is_writable(), "{} bytes", conn.outgoing_len());
        }
        conn.advance(1);
        assert!(conn.is_writable());
    }
}

#[test]
fn buffered_amount_counts_the_bytes_of_the_application() {
    // whatwg-bufferedAmount-01, whatwg-bufferedAmount-02, whatwg-bufferedAmount-03
    for role in ROLES {
        let mut conn = open(role);
        conn.send("é").unwrap();
        assert_eq!(conn.buffered_amount(), 2);
        conn.send(&[0; 10]).unwrap();
        assert_eq!(conn.buffered_amount(), 12);
        conn.send(vec![0; 200]).unwrap();
        conn.ping(b"not counted").unwrap();
        conn.send_fragment(MessageKind::Binary, &[0; 8], true).unwrap();
        assert_eq!(conn.buffered_amount(), 220);
        assert!(conn.outgoing_len() > 220);
        drain(&mut conn);
        assert_eq!(conn.buffered_amount(), 0);

        // No kind of end changes the amount; it falls only when bytes are written.
        let ends: [fn(&mut Connection); 5] = [
            |conn| conn.close(1000, "").unwrap(),
            |conn| feed(conn, &to(conn.role(), 0x88, b""), &mut Log::default()),
            |conn| feed(conn, &to(conn.role(), 0x83, b""), &mut Log::default()),
            Connection::receive_eof,
            Connection::abort,
        ];
        for end in ends {
            let mut conn = open(role);
            conn.send("seven b").unwrap();
            end(&mut conn);
            assert_eq!(conn.buffered_amount(), 7, "{role:?}");
            assert!(conn.send("more").is_err());
            assert_eq!(conn.buffered_amount(), 7, "{role:?}");
            let was_abandoned = conn.outgoing_len() == 0;
            drain(&mut conn);
            assert_eq!(conn.buffered_amount(), if was_abandoned { 7 } else { 0 }, "{role:?}");
        }
    }
}

#[test]
fn advance_beyond_the_outgoing_bytes_panics() {
    for role in ROLES {
        let result = std::panic::catch_unwind(|| {
            let mut conn = open(role);
            conn.send("x").unwrap();
            conn.advance(conn.outgoing_len() as usize + 1);
        });
        assert!(result.is_err(), "{role:?}");
    }
}

#[test]
fn a_transport_that_tells_too_much_has_written_all_that_it_was_given() {
    for role in ROLES {
        for len in [0, 5, 5000, 16 * 1024, 100_000] {
            for owned in [false, true] {
                for too_much in [1, 1000, usize::MAX / 2, usize::MAX] {
                    let mut conn = open(role);
                    let mut written = Vec::new();
                    let payload = vec![7; len];
                    let message =
                        if owned { payload.clone().into() } else { Message::from(&payload) };
                    let result = conn.send_through(message, |header, payload| {
                        written.extend_from_slice(header);
                        written.extend_from_slice(payload);
                        Ok::<usize, UsageError>(
                            (header.len() + payload.len()).saturating_add(too_much),
                        )
                    });
                    assert_eq!(result, Ok(()), "{role:?}, {len}");
                    assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (0, 0));
                    assert_eq!(plain_frames(&written), [(0x82, payload)]);
                    conn.send("next").unwrap();
                    assert_eq!(plain_frames(&drain(&mut conn)), [(0x81, b"next".to_vec())]);
                }
            }
        }
    }
}

/// One call in a random sequence.
#[derive(Debug, Clone)]
enum Call {
    Message { text: bool, owned: bool, prepared: bool, len: usize },
    Fragment { kind: MessageKind, part: Vec<u8>, last: bool },
    Ping(usize),
    Write(usize),
}

fn call() -> impl Strategy<Value = Call> {
    let len = prop_oneof![6 => 0..200usize, 1 => prop::sample::select(vec![4095, 4096, 16_384, 65_535, 65_536])];
    let kind = prop::sample::select(vec![MessageKind::Text, MessageKind::Binary]);
    let parts: Vec<&[u8]> = vec![b"", b"part", b"\xc3", b"\xa9", b"\xe2\x82", b"\xac"];
    let part = prop_oneof![
        4 => prop::sample::select(parts).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop_oneof![
        4 => (any::<bool>(), any::<bool>(), any::<bool>(), len)
            .prop_map(|(text, owned, prepared, len)| Call::Message { text, owned, prepared, len }),
        5 => (kind, part, any::<bool>()).prop_map(|(kind, part, last)| Call::Fragment { kind, part, last }),
        1 => (0..130usize).prop_map(Call::Ping),
        3 => (0..3000usize).prop_map(Call::Write),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accepted_messages_are_on_the_wire_once_and_in_order(
        client in any::<bool>(), calls in prop::collection::vec(call(), 1..40)
    ) {
        // rfc6455-6.1-04, rfc6455-6.1-10, rfc6455-5.4-02, rfc6455-5.4-08, rfc6455-5.4-09, rfc6455-5.6-03
        let role = if client { Role::Client } else { Role::Server };
        let mut conn = open(role);
        let (mut data, mut pings, mut wire) = (Vec::new(), 0, Vec::new());
        let mut message: Option<(MessageKind, Vec<u8>)> = None;
        for call in calls {
            match call {
                Call::Message { text: is_text, owned, prepared, len } => {
                    let text = text(len);
                    let result = match (is_text, owned, prepared) {
                        (true, _, true) => conn.send_prepared(&PreparedMessage::new(&text)),
                        (false, _, true) => conn.send_prepared(&PreparedMessage::new(text.as_bytes())),
                        (true, true, _) => conn.send(text.clone()),
                        (true, false, _) => conn.send(&text),
                        (false, true, _) => conn.send(text.clone().into_bytes()),
                        (false, false, _) => conn.send(text.as_bytes()),
                    };
                    prop_assert_eq!(result.is_ok(), message.is_none());
                    if result.is_ok() {
                        data.push((if is_text { 0x81 } else { 0x82 }, text.into_bytes()));
                    }
                }
                Call::Fragment { kind, part, last } => {
                    let (begun, mut whole) = message.clone().unwrap_or((kind, Vec::new()));
                    whole.extend_from_slice(&part);
                    let fits = match (kind, std::str::from_utf8(&whole)) {
                        (MessageKind::Binary, _) | (_, Ok(_)) => true,
                        (_, Err(error)) => error.error_len().is_none() && !last,
                    };
                    let expected = match begun == kind {
                        false => Err(UsageError::FragmentKindChanged),
                        true if !fits => Err(UsageError::InvalidUtf8),
                        true => Ok(()),
                    };
                    prop_assert_eq!(conn.send_fragment(kind, &part, last), expected);
                    if expected.is_ok() {
                        let opcode = if message.is_some() { 0 } else if kind == MessageKind::Text { 1 } else { 2 };
                        data.push((opcode | if last { 0x80 } else { 0 }, part));
                        message = (!last).then_some((kind, whole));
                    }
                }
                Call::Ping(len) => {
                    prop_assert_eq!(conn.ping(&vec![b'p'; len]).is_ok(), len <= 125);
                    pings += u32::from(len <= 125);
                }
                Call::Write(n) => {
                    let n = n.min(conn.outgoing().len());
                    wire.extend_from_slice(&conn.outgoing()[..n]);
                    conn.advance(n);
                }
            }
        }
        wire.extend(drain(&mut conn));
        let (control, frames): (Vec<_>, Vec<_>) =
            plain_frames(&wire).into_iter().partition(|(first, _)| first & 8 != 0);
        prop_assert!(frames == data);
        prop_assert_eq!(control.len(), pings as usize);
        prop_assert_eq!(conn.buffered_amount(), 0);
    }
}

/// A call of the opening handshake that sends `n` bytes of the application.
type Opener = (&'static str, fn(&mut Connection, usize) -> Result<(), UsageError>);

#[test]
fn hard_cap_holds_for_requests_and_responses() {
    let upgrade = |limit: u64| {
        let config = builder().max_outgoing_bytes(limit).build().unwrap();
        let mut conn = connecting(Role::Server, config);
        let mut request = REQUEST.to_vec();
        assert!(matches!(conn.receive(&mut &mut request[..]), Some(Event::UpgradeRequest(_))));
        conn
    };
    let plain = |limit: u64| {
        let config = builder().max_outgoing_bytes(limit).build().unwrap();
        let mut conn = connecting(Role::Server, config);
        let mut request = *b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(matches!(conn.receive(&mut &mut request[..]), Some(Event::PlainRequest(_))));
        conn
    };
    let openers: [Opener; 5] = [
        ("accept", |conn, n| conn.accept(&Accept::new().header("X", "x".repeat(n)))),
        ("reject", |conn, n| conn.respond(Response::new(403).body(vec![b'x'; n]))),
        ("reject with a header", |conn, n| {
            conn.respond(Response::new(403).header("X", "x".repeat(n)))
        }),
        ("respond", |conn, n| conn.respond(Response::new(200).body(vec![b'x'; n]))),
        ("respond with a header", |conn, n| {
            conn.respond(Response::new(200).header("X", "x".repeat(n)))
        }),
    ];
    for (name, open) in openers {
        let conn = |limit| match name.starts_with("respond") {
            true => plain(limit),
            false => upgrade(limit),
        };
        for n in [1, 100, 5000] {
            // Only the application's header or body counts, not the lines that the handshake itself writes.
            let own = if name.contains("header") || name == "accept" { "X: \r\n".len() } else { 0 };
            let own = (own + n) as u64;
            for limit in [1, own - 1, own, own + 1].into_iter().filter(|limit| *limit > 0) {
                let mut conn = conn(limit);
                let result = open(&mut conn, n);
                if limit >= own {
                    assert_eq!(result, Ok(()), "{name}");
                    assert!((own..own + 250).contains(&conn.outgoing_len()), "{name}");
                    continue;
                }
                assert_eq!(result, Err(UsageError::BufferFull { needed: own, limit }), "{name}");
                assert_eq!((conn.outgoing_len(), conn.wants_write()), (0, false), "{name}");
                assert_eq!(conn.state(), State::Connecting);
                assert_eq!(open(&mut conn, n), result, "{name}: the request is no longer pending");
            }
        }
    }
}

#[test]
fn hard_cap_holds_for_a_clients_request() {
    let connect = |limit: u64, n: usize| {
        let config = builder().max_outgoing_bytes(limit).build().unwrap();
        let request = ClientRequest::new("ws://example.com/").unwrap();
        Connection::client(&request.header("X", "x".repeat(n)).subprotocol("x".repeat(n)), config)
    };
    for n in [1, 100, 5000] {
        // The bytes of the application: a header and a subprotocol.
        let own = ("X: \r\n".len() + 2 * n) as u64;
        connect(own, n).unwrap();
        for limit in [1, own - 1] {
            let error = connect(limit, n).unwrap_err();
            assert_eq!(error, UsageError::BufferFull { needed: own, limit });
        }
    }
}

#[test]
fn gigabytes_of_headers_are_refused_before_they_are_written() {
    // 256 headers of 16 MiB are 4 GiB, which does not fit into 32 bits.
    let text = "x".repeat(1 << 24);
    let config = builder().max_outgoing_bytes(in_one_buffer(u64::MAX)).build().unwrap();
    let mut conn = connecting(Role::Server, config.clone());
    let mut request = REQUEST.to_vec();
    assert!(conn.receive(&mut &mut request[..]).is_some());
    let accept = (0..256).fold(Accept::new(), |accept, _| accept.header("X", &text));
    let error = conn.accept(&accept).unwrap_err();
    assert!(matches!(error, UsageError::BufferFull { needed: 0x1_0000_0000.., .. }), "{error:?}");
    assert_eq!(conn.outgoing_len(), 0);
    conn.accept(&Accept::new()).expect("the request is still pending");
    assert_eq!(conn.state(), State::Open);
}

#[cfg(feature = "deflate")]
#[test]
fn check_send_tells_what_send_would_say_of_short_and_long_messages() {
    use websocket_proto::{Deflate, DeflateParams};
    let params = DeflateParams {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let mut options = Deflate::default();
    options.min_bytes = 100;
    let config = websocket_proto::Shared::new(
        builder().max_outgoing_bytes(400).deflate(options).build().unwrap(),
    );
    for role in ROLES {
        for queued in [0, 250, 300, 370] {
            for len in 0..500 {
                let mut conn = Connection::from_upgrade(
                    websocket_proto::Upgrade::new(role).deflate(params),
                    config.clone(),
                )
                .expect("a seed cannot fail");
                if queued > 0 {
                    conn.send_uncompressed(&vec![7; queued][..]).unwrap();
                }
                let told = conn.check_send(len);
                assert_eq!(told, conn.send(vec![7; len]), "{role:?}, {len} behind {queued}");
            }
        }
    }
}
