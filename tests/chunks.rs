//! Messages delivered as chunks: where a chunk begins and ends, its flags, and which chunks of an invalid message are
//! delivered. `allocations.rs` and `bounds.rs` test their memory, `messages.rs` tests whole messages.

mod util;

use proptest::collection::vec;
use proptest::prelude::*;
use util::{
    Log, ROLES, Seen, both_roles, builder, chunks, config, cuts, drain, feed, in_every_cut,
    open_with, plain_frames, run, to,
};
use websocket_proto::{
    CloseCause, CloseCode, Connection, Delivery, Event, MessageKind, ProtocolError, Role, State,
    Timestamp, UsageError,
};

type Frames<'a> = &'a [(u8, &'a [u8])];

const NOT_UTF8: &[u8] = &[0x03, 0xef];

fn text(bytes: &[u8]) -> Seen {
    Seen::Chunked(MessageKind::Text, bytes.to_vec())
}

fn binary(bytes: &[u8]) -> Seen {
    Seen::Chunked(MessageKind::Binary, bytes.to_vec())
}

/// A chunk: its bytes, whether it is the first of its message, whether it is the last.
type Piece<'a> = (&'a [u8], bool, bool);

/// Feeds `bytes` in one read, and appends the chunks and their kinds to `found`.
fn read(conn: &mut Connection, bytes: &[u8], found: &mut Vec<(MessageKind, Vec<u8>, bool, bool)>) {
    let mut copy = bytes.to_vec();
    let (start, end) = (copy.as_ptr() as usize, copy.as_ptr() as usize + copy.len());
    let mut input = &mut copy[..];
    while let Some(event) = conn.receive(&mut input) {
        let Event::Chunk(chunk) = event else { panic!("{event:?}") };
        let bytes = chunk.as_bytes();
        // A chunk borrows from the input, unless it is a character that was cut.
        let at = bytes.as_ptr() as usize;
        assert!((start..=end).contains(&at) || bytes.len() <= 4, "{chunk:?} was copied");
        let (kind, first, last) = (chunk.kind(), chunk.is_first(), chunk.is_last());
        found.push((kind, bytes.to_vec(), first, last));
        let owned = chunk.clone().into_owned();
        assert_eq!((owned.kind(), owned.is_first(), owned.is_last()), (kind, first, last));
        assert_eq!((owned.as_bytes(), owned.as_text()), (bytes, chunk.as_text()));
    }
}

// rfc6455-5.4-05, -18, 5.6-01, 6.2-03
#[test]
fn chunks_are_the_bytes_of_each_read_up_to_a_whole_character() {
    // Frames, each with the reads that its payload arrives in; the expected chunks.
    type Row<'a> = (&'a [(u8, &'a [&'a [u8]])], &'a [Piece<'a>]);
    let rows: &[Row<'_>] = &[
        (&[(0x82, &[b"abc"])], &[(b"abc", true, true)]),
        (&[(0x82, &[b"ab", b"c"])], &[(b"ab", true, false), (b"c", false, true)]),
        (&[(0x81, &[b"ab", b"c"])], &[(b"ab", true, false), (b"c", false, true)]),
        (&[(0x02, &[b"ab"]), (0x80, &[b"c"])], &[(b"ab", true, false), (b"c", false, true)]),
        // An empty message is one empty chunk. An empty last fragment is an empty chunk.
        (&[(0x82, &[])], &[(b"", true, true)]),
        (&[(0x81, &[])], &[(b"", true, true)]),
        (&[(0x01, &[]), (0x00, &[]), (0x80, &[])], &[(b"", true, true)]),
        (&[(0x02, &[b"ab"]), (0x80, &[])], &[(b"ab", true, false), (b"", false, true)]),
        (&[(0x01, &[b"ab"]), (0x80, &[])], &[(b"ab", true, false), (b"", false, true)]),
        // Any other empty fragment is no chunk.
        (&[(0x02, &[]), (0x80, &[b"ab"])], &[(b"ab", true, true)]),
        (&[(0x02, &[b"a"]), (0x00, &[]), (0x80, &[b"b"])], {
            &[(b"a", true, false), (b"b", false, true)]
        }),
        // A character that a read or a frame cuts is a chunk of its own.
        (&[(0x81, &[b"a\xe2", b"\x82\xac b"])], {
            &[(b"a", true, false), (b"\xe2\x82\xac", false, false), (b" b", false, true)]
        }),
        (&[(0x81, &[b"\xf0", b"\x9f", b"\x98", b"\x80"])], &[(b"\xf0\x9f\x98\x80", true, true)]),
        (&[(0x81, &[b"\xf0\x9f", b"\x98\x80z"])], {
            &[(b"\xf0\x9f\x98\x80", true, false), (b"z", false, true)]
        }),
        (&[(0x01, &[b"\xe2"]), (0x00, &[b"\x82"]), (0x80, &[b"\xac"])], {
            &[(b"\xe2\x82\xac", true, true)]
        }),
        (&[(0x01, &[b"x\xc3"]), (0x00, &[]), (0x80, &[b"\xa9y\xc3", b"\xa9"])], {
            &[
                (b"x", true, false),
                (b"\xc3\xa9", false, false),
                (b"y", false, false),
                (b"\xc3\xa9", false, true),
            ]
        }),
        (&[(0x01, &[b"\xc3"]), (0x00, &[b"\xa9"]), (0x80, &[])], {
            &[(b"\xc3\xa9", true, false), (b"", false, true)]
        }),
        // A binary message is cut anywhere.
        (&[(0x82, &[b"a\xe2", b"\x82"])], &[(b"a\xe2", true, false), (b"\x82", false, true)]),
        // The next message has its own first chunk.
        (&[(0x82, &[b"a"]), (0x81, &[b"b"]), (0x82, &[])], {
            &[(b"a", true, true), (b"b", true, true), (b"", true, true)]
        }),
    ];
    for (frames, expected) in rows {
        for role in ROLES {
            let mut conn = open_with(role, chunks());
            let mut found = vec![];
            let mut kinds = vec![];
            for (first, payloads) in *frames {
                let bytes = to(role, *first, &payloads.concat());
                let mut at = bytes.len() - payloads.concat().len();
                read(&mut conn, &bytes[..at], &mut found);
                for payload in *payloads {
                    read(&mut conn, &bytes[at..at + payload.len()], &mut found);
                    at += payload.len();
                }
                if first & 0x0f != 0 {
                    let text = first & 0x0f == 1;
                    kinds.push(if text { MessageKind::Text } else { MessageKind::Binary });
                }
            }
            let mut kinds = kinds.into_iter();
            let mut kind = MessageKind::Binary;
            let expected: Vec<_> = expected
                .iter()
                .map(|(bytes, first, last)| {
                    if *first {
                        kind = kinds.next().unwrap();
                    }
                    (kind, bytes.to_vec(), *first, *last)
                })
                .collect();
            assert_eq!(found, expected, "{role:?}, {frames:02x?}");
            assert_eq!(conn.outgoing_len(), 0);
        }
    }
}

// rfc6455-5.4-18
#[test]
fn a_read_of_any_size_is_one_chunk() {
    for role in ROLES {
        for first in [0x81, 0x82] {
            for len in [63, 64, 65, 4096, 70_000] {
                let mut found = vec![];
                let mut conn = open_with(role, chunks());
                let payload = vec![b'x'; len];
                read(&mut conn, &to(role, first, &payload), &mut found);
                let kind = if first == 0x81 { MessageKind::Text } else { MessageKind::Binary };
                assert_eq!(found, [(kind, payload, true, true)], "{role:?}, {len}");
            }
        }
    }
}

// rfc6455-5.4-05, -18, 5.6-01, 6.2-04
#[test]
fn characters_survive_every_cut_of_frames_and_reads() {
    let whole = "a\u{e9}\u{20ac}\u{1f600}z";
    let bytes = whole.as_bytes();
    for one in 0..=bytes.len() {
        for two in one..=bytes.len() {
            let (a, b, c) = (&bytes[..one], &bytes[one..two], &bytes[two..]);
            let frames = [(0x01, a), (0x00, b), (0x80, c)];
            both_roles(&chunks(), &frames, &[text(bytes)], &[]);
        }
    }
    both_roles(&chunks(), &[(0x81, bytes)], &[text(bytes)], &[]);
    both_roles(&chunks(), &[(0x82, bytes)], &[binary(bytes)], &[]);
}

// rfc6455-5.4-06, -10, -18, 5.5.2-02
#[test]
fn control_frames_may_come_between_chunks() {
    let frames: Frames<'_> = &[
        (0x01, b"a\xe2"),
        (0x89, b"i"),
        (0x00, b"\x82"),
        (0x8a, b"o"),
        (0x80, b"\xac"),
        (0x89, b"j"),
    ];
    let seen = [
        Seen::Ping(b"i".to_vec()),
        Seen::Pong(b"o".to_vec()),
        text("a\u{20ac}".as_bytes()),
        Seen::Ping(b"j".to_vec()),
    ];
    both_roles(&chunks(), frames, &seen, &[(0x8a, b"i"), (0x8a, b"j")]);
}

// rfc6455-5.6-01, 8.1-01, 10.4-02
#[test]
fn the_valid_prefix_of_a_message_is_delivered_before_it_fails() {
    let utf8 = ProtocolError::InvalidUtf8;
    let config = builder()
        .delivery(Delivery::Chunks)
        .max_message_bytes(12)
        .max_fragments(3)
        .build()
        .unwrap();
    let rows: &[(Frames<'_>, &[u8], ProtocolError, &[u8])] = &[
        (&[(0x81, b"\xff")], b"", utf8.clone(), NOT_UTF8),
        (&[(0x81, b"ab\xff")], b"ab", utf8.clone(), NOT_UTF8),
        (&[(0x81, b"ab\xffcd")], b"ab", utf8.clone(), NOT_UTF8),
        (&[(0x81, b"ab\xc3")], b"ab", utf8.clone(), NOT_UTF8),
        (&[(0x81, b"ab\xe2\x82")], b"ab", utf8.clone(), NOT_UTF8),
        (&[(0x81, b"\xc3\xa9\xc3\x28")], b"\xc3\xa9", utf8.clone(), NOT_UTF8),
        (&[(0x81, b"a\xed\xa0\x80")], b"a", utf8.clone(), NOT_UTF8),
        (&[(0x01, b"ab"), (0x80, b"c\xff")], b"abc", utf8.clone(), NOT_UTF8),
        (&[(0x01, b"ab\xf0\x9f"), (0x80, b"\x98c")], b"ab", utf8.clone(), NOT_UTF8),
        (&[(0x01, b"a\xe2\x82"), (0x80, b"\xac\xff")], b"a\xe2\x82\xac", utf8.clone(), NOT_UTF8),
        (&[(0x01, b"a\xc3"), (0x80, b"")], b"a", utf8, NOT_UTF8),
        (
            &[(0x01, b"1234567890"), (0x80, b"123")],
            b"1234567890",
            ProtocolError::MessageTooBig { len: 13, limit: 12 },
            b"\x03\xf1",
        ),
        (
            &[(0x01, b"a"), (0x00, b"b"), (0x00, b"c"), (0x80, b"d")],
            b"abc",
            ProtocolError::TooManyFragments { limit: 3 },
            b"\x03\xf0",
        ),
        (&[(0x01, b"ab\xc3"), (0x81, b"c")], b"ab", ProtocolError::UnfinishedMessage, b"\x03\xea"),
    ];
    for (frames, good, error, answer) in rows {
        let mut seen = vec![Seen::failed(error.clone())];
        if !good.is_empty() {
            seen.insert(0, Seen::Unfinished(MessageKind::Text, good.to_vec()));
        }
        both_roles(&config, frames, &seen, &[(0x88, answer)]);
    }
}

// rfc6455-5.4-10, 5.5.1-18
#[test]
fn a_message_may_be_left_unfinished_by_the_end() {
    let frames: Frames<'_> = &[(0x01, b"ab\xc3"), (0x88, b"\x03\xe8"), (0x80, b"\xa9")];
    let begun = Seen::Unfinished(MessageKind::Text, b"ab".to_vec());
    let seen = [begun.clone(), Seen::closed(1000, "", CloseCause::Peer)];
    both_roles(&chunks(), frames, &seen, &[(0x88, b"\x03\xe8")]);
    for role in ROLES {
        for pieces in cuts(&to(role, 0x01, b"ab\xc3")) {
            let mut conn = open_with(role, chunks());
            let mut log = Log::default();
            for piece in pieces {
                feed(&mut conn, piece, &mut log);
            }
            conn.receive_eof();
            while let Some(event) = conn.poll_event() {
                log.push(event);
            }
            assert_eq!(log.seen, [begun.clone(), Seen::lost(CloseCause::TransportEnded)]);
        }
    }
}

// rfc6455-6.1-02, 8.1-01
#[test]
fn between_the_last_chunk_and_the_end_nothing_else_happens() {
    type Call = (&'static str, fn(&mut Connection));
    let calls: &[Call] = &[
        ("nothing", |_| {}),
        ("close", |conn| conn.close(CloseCode::NORMAL, "").unwrap()),
        ("close_without_code", |conn| conn.close_without_code()),
        ("receive_eof", |conn| conn.receive_eof()),
        ("release_memory", |conn| conn.release_memory()),
        ("abort", |conn| conn.abort()),
        ("tick", |conn| {
            for seconds in [0, 3600, 3601] {
                let _ = conn.tick(Timestamp::from_millis(seconds * 1000));
            }
        }),
    ];
    for (name, call) in calls {
        for role in ROLES {
            for is_polled in [false, true] {
                let mut conn = open_with(role, chunks());
                let mut bytes =
                    [to(role, 0x81, b"ab\xff"), to(role, 0x89, b"ping"), vec![0xff]].concat();
                let mut input = &mut bytes[..];
                let Some(Event::Chunk(chunk)) = conn.receive(&mut input) else { panic!() };
                assert_eq!((chunk.as_bytes(), chunk.is_last()), (&b"ab"[..], false));
                assert_eq!(conn.state(), State::Closed, "{role:?}, {name}");
                let refused = Err(UsageError::NotOpen(State::Closed));
                assert_eq!(conn.send("text"), refused);
                assert_eq!(conn.ping(b""), refused);
                call(&mut conn);
                let event = if is_polled { conn.poll_event() } else { conn.receive(&mut input) };
                let Some(Event::Closed(closed)) = event else { panic!("{role:?}, {name}") };
                assert_eq!(*closed.cause(), CloseCause::Protocol(ProtocolError::InvalidUtf8));
                assert!(conn.receive(&mut input).is_none());
                assert!(input.is_empty() && conn.poll_event().is_none(), "{role:?}, {name}");
                let output = plain_frames(&drain(&mut conn));
                match *name {
                    "abort" | "tick" => assert_eq!(output, []),
                    _ => assert_eq!(output, [(0x88, NOT_UTF8.to_vec())], "{role:?}, {name}"),
                }
            }
        }
    }
}

// rfc6455-5.4-18, 10.4-01
#[test]
fn a_message_of_any_declared_length_can_be_begun() {
    let config = builder()
        .delivery(Delivery::Chunks)
        .max_frame_bytes(u64::MAX)
        .max_message_bytes(u64::MAX)
        .build()
        .unwrap();
    for role in ROLES {
        let mask = if role == Role::Server { 0x80 } else { 0 };
        let mut bytes = vec![0x82, mask | 127, 0x7f, 255, 255, 255, 255, 255, 255, 255];
        if role == Role::Server {
            bytes.extend([0; 4]);
        }
        bytes.extend(b"and so on");
        let mut found = vec![];
        let mut conn = open_with(role, config.clone());
        read(&mut conn, &bytes, &mut found);
        read(&mut conn, b" and on", &mut found);
        let kind = MessageKind::Binary;
        let expected =
            [(kind, b"and so on".to_vec(), true, false), (kind, b" and on".to_vec(), false, false)];
        assert_eq!(found, expected);
        assert_eq!(conn.state(), State::Open);
    }
}

// rfc6455-5.5.1-09
#[test]
fn chunks_still_arrive_after_our_own_close() {
    for role in ROLES {
        let make = || {
            let mut conn = open_with(role, chunks());
            conn.close(CloseCode::NORMAL, "").unwrap();
            conn
        };
        let bytes = [to(role, 0x01, b"a\xc3"), to(role, 0x80, b"\xa9")].concat();
        let seen = [text("a\u{e9}".as_bytes())];
        in_every_cut(role, make, &bytes, &seen, &[(0x88, b"\x03\xe8")]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // rfc6455-5.4-18, 5.6-01, 8.1-01
    #[test]
    fn chunks_are_the_longest_valid_prefix_of_a_text(
        role in prop_oneof![Just(Role::Server), Just(Role::Client)],
        fragments in vec(prop_oneof![
            5 => "[a-z\u{e9}\u{20ac}\u{1f600}]{0,30}".prop_map(String::into_bytes),
            1 => vec(any::<u8>(), 0..4),
        ], 1..6),
        shift in 0..3usize,
        size in 1..50usize,
    ) {
        // The frames cut the same bytes anywhere, within characters too.
        let whole = fragments.concat();
        let parts: Vec<_> = whole.chunks(whole.len() / fragments.len() + 1 + shift).collect();
        let mut bytes = vec![];
        for (i, part) in parts.iter().enumerate() {
            bytes.extend(to(role, u8::from(i == 0), part));
        }
        bytes.extend(to(role, if parts.is_empty() { 0x81 } else { 0x80 }, b""));
        let pieces: Vec<_> = bytes.chunks(size).collect();
        let outcome = run(&mut open_with(role, chunks()), &pieces);
        let messages = run(&mut open_with(role, config()), &pieces);
        prop_assert_eq!(&outcome.output, &messages.output);
        prop_assert_eq!(outcome.state, messages.state);
        match std::str::from_utf8(&whole) {
            Ok(_) => prop_assert_eq!(outcome.seen, [text(&whole)]),
            Err(error) => {
                let good = &whole[..error.valid_up_to()];
                let failed = Seen::failed(ProtocolError::InvalidUtf8);
                prop_assert_eq!(messages.seen, std::slice::from_ref(&failed));
                if good.is_empty() {
                    prop_assert_eq!(outcome.seen, [failed]);
                } else {
                    let begun = Seen::Unfinished(MessageKind::Text, good.to_vec());
                    prop_assert_eq!(outcome.seen, [begun, failed]);
                }
            }
        }
    }
}
