//! Limits on received frames, messages and fragments, each at its border. Memory follows the bytes that have arrived,
//! never a declared length. `bounds.rs` tests the limits of the opening handshake and of the outgoing queue.

#[path = "util/alloc.rs"]
mod alloc;
mod util;

use alloc::measure;
use util::{
    Log, ROLES, Seen, both_roles, builder, chunks, config, cuts, drain, feed, in_every_cut,
    in_one_buffer, open_with, plain_frames, run, to, unlimited,
};
use websocket_proto::{
    CloseCause, Config, Connection, Delivery, MessageKind, ProtocolError, Role, State,
};

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

type Frames<'a> = &'a [(u8, &'a [u8])];

const BROKEN: &[u8] = &[0x03, 0xea];
const POLICY: &[u8] = &[0x03, 0xf0];
const TOO_BIG: &[u8] = &[0x03, 0xf1];

fn limited(max_frame: u64, max_message: u64, max_fragments: u32) -> Config {
    builder()
        .max_frame_bytes(max_frame)
        .max_message_bytes(in_one_buffer(max_message))
        .max_fragments(max_fragments)
        .build()
        .unwrap()
}

/// `config` with each kind of delivery.
fn deliveries(config: &Config) -> [Config; 2] {
    [Delivery::Messages, Delivery::Chunks]
        .map(|delivery| config.to_builder().delivery(delivery).build().unwrap())
}

fn binary(config: &Config, bytes: &[u8]) -> Seen {
    match config.delivery() {
        Delivery::Chunks => Seen::Chunked(MessageKind::Binary, bytes.to_vec()),
        _ => Seen::Binary(bytes.to_vec()),
    }
}

/// The events of an unfinished message with this delivery.
fn unfinished(config: &Config, bytes: &[u8]) -> Vec<Seen> {
    match config.delivery() {
        Delivery::Chunks if !bytes.is_empty() => {
            vec![Seen::Unfinished(MessageKind::Binary, bytes.to_vec())]
        }
        _ => vec![],
    }
}

/// Like [`both_roles`], but works with limits below the six bytes of the message that `both_roles` adds.
fn in_both_roles(config: &Config, frames: Frames<'_>, seen: &[Seen], answered: Frames<'_>) {
    if config.max_frame_bytes().min(config.max_message_bytes()) >= b"behind".len() as u64 {
        return both_roles(config, frames, seen, answered);
    }
    for role in ROLES {
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| to(role, *first, payload)).collect();
        for pieces in cuts(&bytes) {
            let outcome = run(&mut open_with(role, config.clone()), &pieces);
            assert_eq!(outcome.seen, seen, "{role:?}, {bytes:02x?}");
            let found = plain_frames(&outcome.output);
            let found: Vec<_> = found.iter().map(|(first, body)| (*first, &body[..])).collect();
            assert_eq!(found, answered, "{role:?}, {bytes:02x?}");
        }
    }
}

// rfc6455-10.4-01, -02
#[test]
fn a_frame_has_at_most_its_limit() {
    for limit in [1, 2, 100, 124, 125, 126, 127, 300, 65_535, 65_536] {
        for config in deliveries(&limited(limit, u64::MAX, 10)) {
            let error = ProtocolError::FrameTooBig { len: limit + 1, limit };
            for len in [limit.saturating_sub(1), limit, limit + 1] {
                let payload = vec![b'x'; len as usize];
                let (seen, answered): (_, Frames<'_>) = if len > limit {
                    ([Seen::failed(error.clone())], &[(0x88, TOO_BIG)])
                } else {
                    ([binary(&config, &payload)], &[])
                };
                if limit < 1000 {
                    in_both_roles(&config, &[(0x82, &payload)], &seen, answered);
                    continue;
                }
                for role in ROLES {
                    let bytes = to(role, 0x82, &payload);
                    for size in [1000, bytes.len()] {
                        let pieces: Vec<_> = bytes.chunks(size).collect();
                        let outcome = run(&mut open_with(role, config.clone()), &pieces);
                        assert_eq!(outcome.seen, seen, "{role:?}, {limit}, {len}");
                    }
                }
            }
        }
    }
}

// rfc6455-10.4-02
#[test]
fn the_frame_limit_applies_to_each_frame_and_not_to_control_frames() {
    let payload = [7; 100];
    for config in deliveries(&limited(100, 1000, 10)) {
        let frames: [(u8, &[u8]); 4] =
            [(0x02, &payload), (0x89, &[1; 125]), (0x00, &payload), (0x80, &payload)];
        let seen = [Seen::Ping(vec![1; 125]), binary(&config, &[7; 300])];
        in_both_roles(&config, &frames, &seen, &[(0x8a, &[1; 125])]);
        let frames: [(u8, &[u8]); 2] = [(0x02, &payload), (0x80, &[7; 101])];
        let error = ProtocolError::FrameTooBig { len: 101, limit: 100 };
        let seen = [unfinished(&config, &payload), vec![Seen::failed(error)]].concat();
        in_both_roles(&config, &frames, &seen, &[(0x88, TOO_BIG)]);
    }
    // With a limit of 1, control frames and empty messages are still allowed.
    for config in deliveries(&limited(1, 1, 10)) {
        let frames: [(u8, &[u8]); 3] = [(0x89, b"ping"), (0x02, b""), (0x80, b"")];
        let seen = [Seen::Ping(b"ping".to_vec()), binary(&config, b"")];
        in_both_roles(&config, &frames, &seen, &[(0x8a, b"ping")]);
    }
}

// rfc6455-10.4-01, -02
#[test]
fn a_message_has_at_most_its_limit() {
    for limit in [1, 2, 10, 124, 125, 126, 300] {
        for config in deliveries(&limited(u64::MAX, limit, 10)) {
            for len in [limit.saturating_sub(1), limit, limit + 1] {
                let payload = vec![b'x'; len as usize];
                let error = ProtocolError::MessageTooBig { len, limit };
                let is_good = len <= limit;
                let answered: Frames<'_> = if is_good { &[] } else { &[(0x88, TOO_BIG)] };
                // The message in one frame.
                let seen =
                    if is_good { binary(&config, &payload) } else { Seen::failed(error.clone()) };
                in_both_roles(&config, &[(0x82, &payload)], &[seen], answered);
                // The message in two and in three frames; the last one exceeds the limit.
                if len == 0 {
                    continue;
                }
                for at in [0, 1, payload.len() / 2, payload.len() - 1] {
                    let (a, b) = payload.split_at(at.min(payload.len() - 1));
                    let seen = if is_good {
                        vec![binary(&config, &payload)]
                    } else {
                        [unfinished(&config, a), vec![Seen::failed(error.clone())]].concat()
                    };
                    in_both_roles(&config, &[(0x02, a), (0x80, b)], &seen, answered);
                    let three: [(u8, &[u8]); 3] = [(0x02, a), (0x00, b""), (0x80, b)];
                    in_both_roles(&config, &three, &seen, answered);
                }
            }
        }
    }
}

// rfc6455-10.4-02
#[test]
fn the_message_limit_applies_to_each_message_and_not_to_control_frames() {
    for config in deliveries(&limited(u64::MAX, 4, 10)) {
        let frames: [(u8, &[u8]); 8] = [
            (0x02, b"ab"),
            (0x8a, b"pong pong"),
            (0x00, b"cd"),
            (0x80, b""),
            (0x82, b"efgh"),
            (0x02, b"ijkl"),
            (0x00, b""),
            (0x80, b"m"),
        ];
        let error = ProtocolError::MessageTooBig { len: 5, limit: 4 };
        let seen = [
            vec![Seen::Pong(b"pong pong".to_vec())],
            vec![binary(&config, b"abcd"), binary(&config, b"efgh")],
            unfinished(&config, b"ijkl"),
            vec![Seen::failed(error)],
        ]
        .concat();
        in_both_roles(&config, &frames, &seen, &[(0x88, TOO_BIG)]);
    }
}

// rfc6455-10.4-01, -02
#[test]
fn a_limit_is_enforced_on_the_header_alone() {
    // Frame limit, message limit, payload before, declared length, error.
    let frame = |len, limit| ProtocolError::FrameTooBig { len, limit };
    let message = |len, limit| ProtocolError::MessageTooBig { len, limit };
    let huge = i64::MAX as u64;
    let rows: &[(u64, u64, &[u8], u64, ProtocolError)] = &[
        (10, 100, b"", 11, frame(11, 10)),
        (100, 10, b"", 11, message(11, 10)),
        // A frame that exceeds both limits is reported with the frame limit.
        (10, 10, b"", 11, frame(11, 10)),
        (100, 10, b"abc", 8, message(11, 10)),
        (10, 10, b"abc", 11, frame(11, 10)),
        (65_535, u64::MAX, b"", 65_536, frame(65_536, 65_535)),
        (u64::MAX, 65_536, b"a", 65_536, message(65_537, 65_536)),
        // Sums of 2^63 and more.
        (u64::MAX, 1 << 63, b"ab", huge, message(huge + 2, 1 << 63)),
        (u64::MAX, huge, b"a", huge, message(huge + 1, huge)),
    ];
    for (max_frame, max_message, before, len, error) in rows {
        for config in deliveries(&limited(*max_frame, *max_message, 10)) {
            for role in ROLES {
                let first = if before.is_empty() { 0x82 } else { 0x80 };
                let length = match *len {
                    len @ 0..=125 => vec![len as u8],
                    len @ 126..=0xffff => [&[126], &(len as u16).to_be_bytes()[..]].concat(),
                    len => [&[127], &len.to_be_bytes()[..]].concat(),
                };
                let mut header = [&[first], &length[..]].concat();
                if role == Role::Server {
                    header[1] |= 0x80;
                }
                let begun = if before.is_empty() { vec![] } else { to(role, 0x02, before) };
                let bytes = [begun, header].concat();
                let seen =
                    [unfinished(&config, before), vec![Seen::failed(error.clone())]].concat();
                // The first bytes of a large length already exceed the limit, so the reported length may be smaller.
                let outcome = run(&mut open_with(role, config.clone()), &[&bytes]);
                if *len < 1 << 32 {
                    let make = || open_with(role, config.clone());
                    in_every_cut(role, make, &bytes, &seen, &[(0x88, TOO_BIG)]);
                } else {
                    let [.., Seen::Closed { cause, .. }] = &outcome.seen[..] else {
                        panic!("{role:?}: {:?}", outcome.seen)
                    };
                    let CloseCause::Protocol(found) = cause else { panic!("{role:?}: {cause:?}") };
                    assert_eq!(
                        std::mem::discriminant(found),
                        std::mem::discriminant(error),
                        "{role:?}: {found}"
                    );
                    assert_eq!(plain_frames(&outcome.output), [(0x88, TOO_BIG.to_vec())]);
                }
            }
        }
    }
}

// rfc6455-10.4-02, 5.4-11
#[test]
fn a_message_has_at_most_its_number_of_fragments() {
    for limit in [1, 2, 3, 10] {
        for payload in [&b""[..], b"a"] {
            for config in deliveries(&limited(1000, 1000, limit)) {
                let bytes = payload.repeat(limit as usize);
                let fragments = |n: u32| -> Vec<(u8, &[u8])> {
                    (0..n).map(|i| (if i == 0 { 0x02 } else { 0x00 }, payload)).collect()
                };
                let mut good = fragments(limit);
                good.last_mut().unwrap().0 |= 0x80;
                // The next message may have as many fragments again, and control frames do not count.
                let mut frames = [&good[..], &good].concat();
                frames.insert(1, (0x89, b""));
                frames.insert(1, (0x8a, b""));
                let mut seen = vec![binary(&config, &bytes); 2];
                let controls = [Seen::Pong(vec![]), Seen::Ping(vec![])];
                let at = if limit == 1 { 1 } else { 0 };
                seen.splice(at..at, controls);
                in_both_roles(&config, &frames, &seen, &[(0x8a, b"")]);
                // One more fragment fails, whether it is the last or not.
                for last in [0x00, 0x80] {
                    let mut frames = fragments(limit);
                    frames.push((last, payload));
                    let error = ProtocolError::TooManyFragments { limit };
                    let seen = [unfinished(&config, &bytes), vec![Seen::failed(error)]].concat();
                    in_both_roles(&config, &frames, &seen, &[(0x88, POLICY)]);
                }
            }
        }
    }
}

// rfc6455-10.4-02
#[test]
fn one_fragment_too_many_fails_at_its_first_byte() {
    for role in ROLES {
        let config = limited(1000, 1000, 2);
        let begun = [to(role, 0x02, b"a"), to(role, 0x00, b"b")].concat();
        for (first, error, body) in [
            (0x80, ProtocolError::TooManyFragments { limit: 2 }, POLICY),
            // A violation of the protocol is reported before the limit.
            (0x82, ProtocolError::UnfinishedMessage, BROKEN),
            (0xc0, ProtocolError::ReservedBits { first_byte: 0xc0 }, BROKEN),
        ] {
            let mut conn = open_with(role, config.clone());
            assert_eq!(run(&mut conn, &[&begun]).state, State::Open);
            let outcome = run(&mut conn, &[&[first]]);
            assert_eq!(outcome.seen, [Seen::failed(error)], "{role:?}, {first:02x}");
            assert_eq!(plain_frames(&outcome.output), [(0x88, body.to_vec())]);
        }
        // With a limit of 1 no message is fragmented, but control frames are allowed.
        let bytes = [to(role, 0x89, b"a"), to(role, 0x02, b""), to(role, 0x80, b"")].concat();
        let error = ProtocolError::TooManyFragments { limit: 1 };
        let seen = [Seen::Ping(b"a".to_vec()), Seen::failed(error)];
        let make = || open_with(role, limited(1000, 1000, 1));
        in_every_cut(role, make, &bytes, &seen, &[(0x8a, b"a"), (0x88, POLICY)]);
    }
}

// rfc6455-10.4-02
#[test]
fn there_are_limits_by_default() {
    let default = Config::default();
    assert_eq!((default.max_frame_bytes(), default.max_message_bytes()), (16 << 20, 16 << 20));
    assert_eq!(default.max_fragments(), 128 * 1024);
    for role in ROLES {
        for config in [config(), chunks()] {
            let mask = if role == Role::Server { 0x80 } else { 0 };
            let big = [0x82, mask | 127, 0, 0, 0, 0, 0x01, 0, 0, 0x01];
            let outcome = run(&mut open_with(role, config.clone()), &[&big]);
            let error = ProtocolError::FrameTooBig { len: (16 << 20) + 1, limit: 16 << 20 };
            assert_eq!(outcome.seen, [Seen::failed(error)]);
            let mut conn = open_with(role, config.clone());
            let many: Vec<u8> = (0..128 * 1024)
                .flat_map(|i| to(role, if i == 0 { 0x02 } else { 0x00 }, b""))
                .collect();
            let outcome = run(&mut conn, &[&many]);
            assert_eq!((outcome.seen, outcome.state), (vec![], State::Open));
            let outcome = run(&mut conn, &[&to(role, 0x80, b"")]);
            let error = ProtocolError::TooManyFragments { limit: 128 * 1024 };
            assert_eq!(outcome.seen, [Seen::failed(error)]);
        }
    }
}

// rfc7692-8-02, rfc6455-10.4-02
#[cfg(feature = "deflate")]
#[test]
fn a_compressed_message_may_be_longer_on_the_wire_than_its_limit() {
    let params = websocket_proto::DeflateParams {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    // RFC 7692 7.2.3.3: ten bytes in a stored block, which is longer than ten bytes.
    let payload = b"\x00\x0a\x00\xf5\xff0123456789\x00";
    let (a, b) = payload.split_at(3);
    for role in ROLES {
        for (limit, frames) in [
            (10, vec![(0xc2, &payload[..])]),
            (10, vec![(0x42, a), (0x80, b)]),
            (9, vec![(0xc2, &payload[..])]),
            (9, vec![(0x42, a), (0x80, b)]),
        ] {
            let config = limited(100, limit, 10);
            let make = || {
                Connection::from_upgrade(
                    websocket_proto::Upgrade::new(role).deflate(params),
                    config.clone(),
                )
                .unwrap()
            };
            let bytes: Vec<u8> =
                frames.iter().flat_map(|(first, payload)| to(role, *first, payload)).collect();
            match limit {
                10 => in_every_cut(role, make, &bytes, &[Seen::Binary(b"0123456789".into())], &[]),
                _ => {
                    let failed = Seen::failed(ProtocolError::MessageTooBig { len: 10, limit: 9 });
                    in_every_cut(role, make, &bytes, &[failed], &[(0x88, b"\x03\xf1")]);
                }
            }
        }
    }
}

/// Feeds one piece, and drops the events.
fn swallow(conn: &mut Connection, piece: &mut [u8]) {
    let mut input = piece;
    while let Some(event) = conn.receive(&mut input) {
        drop(event);
    }
}

// rfc6455-10.4-01, 5.2-08
#[test]
fn a_declared_length_costs_no_memory_until_bytes_arrive() {
    for role in ROLES {
        // On 32 bits no buffer can hold such a message.
        for config in [unlimited(), unlimited().delivery(Delivery::Chunks)] {
            let config = config.build().unwrap();
            for first in [0x01, 0x02, 0x81, 0x82] {
                let mask = if role == Role::Server { 0x80 } else { 0 };
                let mut header = vec![first, mask | 127, 0x7f, 255, 255, 255, 255, 255, 255, 255];
                if role == Role::Server {
                    header.extend([0; 4]);
                }
                let mut conn = open_with(role, config.clone());
                let ((), heap) = measure(|| swallow(&mut conn, &mut header));
                assert_eq!((heap.allocations, conn.state()), (0, State::Open), "{role:?}");
                // The memory is at most four times the bytes that arrive then.
                let mut piece = vec![b'x'; 1000];
                for n in 1..=20 {
                    let ((), heap) = measure(|| swallow(&mut conn, &mut piece));
                    let bound = match config.delivery() {
                        Delivery::Chunks => 0,
                        _ => 4 * 1000 * n,
                    };
                    assert!(heap.peak <= bound, "{role:?}, {first:02x}, {n}: {heap:?}");
                }
            }
        }
    }
}

// rfc6455-10.4-01
#[test]
fn memory_of_a_message_follows_its_bytes_and_not_its_fragments() {
    for role in ROLES {
        let config = builder().max_fragments(u32::MAX).build().unwrap();
        let mut conn = open_with(role, config);
        let mut bytes = to(role, 0x02, b"");
        for _ in 0..20_000 {
            bytes.extend(to(role, 0x00, b"x"));
            bytes.extend(to(role, 0x00, b""));
        }
        let ((), heap) = measure(|| swallow(&mut conn, &mut bytes));
        assert!(heap.peak <= 2 * 20_000, "{role:?}: {heap:?}");
        // The end of the connection frees the memory.
        let ((), heap) = measure(|| swallow(&mut conn, &mut to(role, 0x82, b"")));
        assert_eq!(conn.state(), State::Closed);
        assert!(heap.kept <= 1000 - 20_000, "{role:?}: {heap:?}");
    }
}

// rfc6455-10.4-01
#[test]
fn memory_of_a_last_frame_is_no_more_than_it_declares() {
    for role in ROLES {
        for first in [0x81, 0x82] {
            let mut bytes = to(role, first, &vec![b'x'; 100_000]);
            let mut conn = open_with(role, config());
            let ((), heap) = measure(|| {
                for piece in bytes.chunks_mut(1000) {
                    swallow(&mut conn, piece);
                }
            });
            assert!(heap.peak <= 100_000, "{role:?}: {heap:?}");
            assert_eq!(heap.kept, 0, "{role:?}: {heap:?}");
        }
    }
}

// rfc6455-10.4-01, 5.4-18
#[test]
fn a_message_in_chunks_takes_no_memory_whatever_its_length() {
    let text = "a\u{e9}\u{20ac}\u{1f600}".repeat(5000);
    for role in ROLES {
        for first in [0x01, 0x02] {
            let config =
                builder().delivery(Delivery::Chunks).max_message_bytes(u64::MAX).build().unwrap();
            let mut conn = open_with(role, config);
            let mut frame = to(role, first, text.as_bytes());
            let ((), heap) = measure(|| swallow(&mut conn, &mut frame));
            assert_eq!(heap.allocations, 0, "{role:?}: {heap:?}");
            for size in [1, 3, 1460, 1 << 20] {
                let mut frame = to(role, 0x00, text.as_bytes());
                let ((), heap) = measure(|| {
                    for piece in frame.chunks_mut(size) {
                        swallow(&mut conn, piece);
                    }
                });
                assert_eq!(heap.allocations, 0, "{role:?}, {size}: {heap:?}");
            }
        }
    }
}

// rfc6455-10.4-01, 5.5.3-02
#[test]
fn memory_of_control_frames_is_bounded() {
    for role in ROLES {
        let mut conn = open_with(role, config());
        let mut ping = to(role, 0x89, &[7; 125]);
        let ((), heap) = measure(|| {
            for size in [131, 1, 50] {
                for _ in 0..500 {
                    // `receive` unmasks its input in place, so it gets a copy on the stack.
                    for piece in ping.chunks_mut(size) {
                        let mut copy = [0; 131];
                        copy[..piece.len()].copy_from_slice(piece);
                        swallow(&mut conn, &mut copy[..piece.len()]);
                    }
                }
            }
        });
        assert_eq!(conn.state(), State::Open);
        assert!(heap.peak <= 10_000, "{role:?}: {heap:?}");
        assert!(conn.outgoing_len() <= 16 * 131, "{role:?}");
        drain(&mut conn);
        // A control frame whose last byte never arrives.
        let mut log = Log::default();
        let close = to(role, 0x88, &[&b"\x03\xe8"[..], &[b'r'; 123]].concat());
        let ((), heap) = measure(|| {
            for byte in &close[..close.len() - 1] {
                feed(&mut conn, &[*byte], &mut log);
            }
        });
        assert!(heap.peak <= 2000, "{role:?}: {heap:?}");
        assert_eq!(log, Log::default());
    }
}

/// On 32-bit targets no buffer can have more than `isize::MAX` bytes, so this is the largest limit.
#[cfg(target_pointer_width = "32")]
mod on_32_bits {
    use util::KEY;
    use websocket_proto::{Event, UsageError};

    use super::*;

    const MOST: u64 = isize::MAX as u64 / 2;

    fn largest() -> Config {
        builder()
            .max_outgoing_bytes(MOST)
            .max_frame_bytes(u64::MAX)
            .max_message_bytes(MOST)
            .build()
            .unwrap()
    }

    #[test]
    fn a_message_that_no_buffer_holds_is_too_big() {
        // rfc6455-10.4-01
        for role in ROLES {
            for len in [MOST + 1, u64::from(u32::MAX), 1 << 40, (1 << 63) - 1] {
                let mut conn = open_with(role, largest());
                let mut bytes = vec![0x82, if role == Role::Server { 0xff } else { 127 }];
                bytes.extend(len.to_be_bytes());
                bytes.extend_from_slice(if role == Role::Server { &KEY } else { &[] });
                bytes.extend([0; 100]);
                match conn.receive(&mut &mut bytes[..]) {
                    Some(Event::Closed(closed)) => {
                        let cause = closed.cause();
                        let is_too_big = matches!(
                            cause,
                            CloseCause::Protocol(ProtocolError::MessageTooBig { limit: MOST, .. })
                        );
                        assert!(is_too_big, "{len}: {cause:?}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_queue_that_no_buffer_holds_is_full() {
        for role in ROLES {
            let conn = open_with(role, largest());
            for len in [MOST as usize, usize::MAX / 2, usize::MAX] {
                let full = conn.check_send(len);
                assert!(
                    matches!(full, Err(UsageError::BufferFull { limit: MOST, .. })),
                    "{full:?}"
                );
            }
            assert_eq!(conn.check_send(MOST as usize - 14), Ok(()));
        }
    }
}

#[test]
fn the_smaller_limit_of_frames_and_messages_holds_for_every_length() {
    // rfc6455-10.4-01
    for role in ROLES {
        for (max_frame, max_message) in [(10_000, 1000), (1000, 10_000), (1000, 1000), (200, 126)] {
            let config = builder()
                .max_frame_bytes(max_frame)
                .max_message_bytes(max_message)
                .build()
                .unwrap();
            let config = websocket_proto::Shared::new(config);
            let limit = max_frame.min(max_message);
            for len in [1, 125, 126, limit - 1, limit, limit + 1, 2 * limit, 9_999, 60_000] {
                let mut bytes = to(role, 0x82, &vec![7; len as usize]);
                let mut conn = open_with(role, config.clone());
                let event = conn.receive(&mut &mut bytes[..]);
                let is_message = matches!(event, Some(websocket_proto::Event::Message(_)));
                assert_eq!(is_message, len <= limit, "{role:?}, {len}: {max_frame}, {max_message}");
            }
        }
    }
}
