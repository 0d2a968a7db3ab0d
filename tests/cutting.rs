//! Messages that are cut into frames because they are larger than `max_outgoing_frame_bytes` (RFC 6455 5.4), for each
//! call that sends a message. `sending.rs` tests the frames of messages that are not cut.

mod util;

use proptest::prelude::*;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use util::*;
use websocket_proto::{
    Config, ConfigBuilder, Connection, Entropy, EntropyError, MessageKind, PreparedMessage, Role,
    UsageError,
};

/// A call that sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Borrowed,
    Owned,
    Prepared,
    /// `send_fragment` with the whole message.
    Whole,
    /// `send_fragment` with the first half of the message, and then with the second.
    Halves,
    /// `send_through`, to a transport that accepts this many bytes.
    Through(usize),
    #[cfg(feature = "deflate")]
    Uncompressed,
    #[cfg(feature = "deflate")]
    UncompressedHalves,
}

const WAYS: &[Way] = &[
    Way::Borrowed,
    Way::Owned,
    Way::Prepared,
    Way::Whole,
    Way::Halves,
    Way::Through(usize::MAX),
    Way::Through(0),
    Way::Through(5),
    #[cfg(feature = "deflate")]
    Way::Uncompressed,
    #[cfg(feature = "deflate")]
    Way::UncompressedHalves,
];

impl Way {
    /// Sends a binary message. Returns the bytes that the transport accepted.
    fn send(self, conn: &mut Connection, payload: &[u8]) -> Result<Vec<u8>, UsageError> {
        let kind = MessageKind::Binary;
        let (front, back) = payload.split_at(payload.len() / 2);
        match self {
            Way::Borrowed => conn.send(payload)?,
            Way::Owned => conn.send(payload.to_vec())?,
            Way::Prepared => conn.send_prepared(&PreparedMessage::new(payload))?,
            Way::Whole => conn.send_fragment(kind, payload, true)?,
            Way::Halves => {
                conn.send_fragment(kind, front, false)?;
                conn.send_fragment(kind, back, true)?;
            }
            Way::Through(room) => {
                let mut accepted = Vec::new();
                conn.send_through(payload, |header, payload| {
                    let n = (header.len() + payload.len()).min(room - accepted.len());
                    accepted.extend(header.iter().chain(payload).take(n));
                    Ok::<usize, UsageError>(n)
                })?;
                return Ok(accepted);
            }
            #[cfg(feature = "deflate")]
            Way::Uncompressed => conn.send_uncompressed(payload)?,
            #[cfg(feature = "deflate")]
            Way::UncompressedHalves => {
                conn.send_uncompressed_fragment(kind, front, false)?;
                conn.send_uncompressed_fragment(kind, back, true)?;
            }
        }
        Ok(Vec::new())
    }

    /// The parts of a message that are cut on their own.
    fn parts(self, payload: &[u8]) -> Vec<&[u8]> {
        let is_halved = match self {
            Way::Halves => true,
            #[cfg(feature = "deflate")]
            Way::UncompressedHalves => true,
            _ => false,
        };
        match is_halved {
            true => <[_; 2]>::from(payload.split_at(payload.len() / 2)).to_vec(),
            false => vec![payload],
        }
    }
}

fn limited(limit: usize) -> ConfigBuilder {
    builder().max_outgoing_frame_bytes(limit)
}

fn open_limited(role: Role, limit: usize) -> Connection {
    open_with(role, limited(limit).build().unwrap())
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 % 251) as u8).collect()
}

/// The frames of a binary message whose parts are cut at `limit`, in simple code.
fn cut(parts: &[&[u8]], limit: usize) -> Vec<(u8, Vec<u8>)> {
    let mut frames: Vec<(u8, Vec<u8>)> = Vec::new();
    for part in parts {
        let pieces = part.chunks(limit).map(<[u8]>::to_vec);
        let pieces: Vec<Vec<u8>> = if part.is_empty() { vec![vec![]] } else { pieces.collect() };
        frames.extend(pieces.into_iter().map(|piece| (0x00, piece)));
    }
    frames[0].0 |= 0x02;
    frames.last_mut().unwrap().0 |= 0x80;
    frames
}

#[test]
fn message_above_the_limit_is_cut_into_frames_of_the_limit() {
    // rfc6455-5.4-01, rfc6455-5.4-02, rfc6455-5.4-08, rfc6455-5.4-11, rfc6455-5.3-06
    let small = (1..=9).flat_map(|limit| (0..=3 * limit + 1).map(move |len| (limit, len)));
    let large = [125, 126, 4096, 65_535, 65_536].into_iter().flat_map(|limit: usize| {
        [limit - 1, limit, limit + 1, 2 * limit, 2 * limit + 1].map(|len| (limit, len))
    });
    for (limit, len) in small.chain(large) {
        for role in ROLES {
            for way in WAYS {
                let bytes = payload(len);
                let mut conn = open_limited(role, limit);
                let accepted = way.send(&mut conn, &bytes).unwrap();
                let wire = [accepted, drain(&mut conn)].concat();
                let expected = cut(&way.parts(&bytes), limit);
                assert!(plain_frames(&wire) == expected, "{role:?}, {way:?}, {len} by {limit}");
                // RFC 6455 5.3: each frame of a client has a key of its own.
                let mut keys: Vec<_> = read_frames(&wire).iter().map(|frame| frame.key).collect();
                assert!(keys.iter().all(|key| key.is_some() == (role == Role::Client)));
                let frames = keys.len();
                keys.sort_unstable();
                keys.dedup();
                assert!(role == Role::Server || keys.len() == frames, "a key is used twice");
            }
        }
    }
}

#[test]
fn text_is_cut_anywhere_and_arrives_whole() {
    // rfc6455-5.4-17, rfc6455-5.6-03
    for role in ROLES {
        for limit in 1..12 {
            let mut conn = open_limited(role, limit);
            conn.send("aé€😀").unwrap();
            conn.send_fragment(MessageKind::Text, "aé€😀".as_bytes(), true).unwrap();
            let wire = drain(&mut conn);
            assert_eq!(plain_frames(&wire)[0].0 & 0x0f, 1);
            let outcome = run(&mut open(other(role)), &[&wire]);
            assert_eq!(outcome.seen, [Seen::Text("aé€😀".into()), Seen::Text("aé€😀".into())]);
        }
    }
}

/// The places between frames, with both ends.
fn borders(wire: &[u8]) -> Vec<usize> {
    let mut at = 0;
    let mut borders = vec![0];
    for frame in read_frames(wire) {
        at += util::frame(frame.first, &frame.payload, frame.key).len();
        borders.push(at);
    }
    borders
}

/// The first byte of a control frame, and what queues the frame.
type Control = (u8, fn(&mut Connection));

#[test]
fn ping_goes_before_the_next_frame_of_a_cut_message_and_a_close_behind_all() {
    // rfc6455-5.4-06, rfc6455-5.5.2-04: at every byte of the message, for pings, pongs and answers.
    let controls: [Control; 3] = [
        (0x89, |conn| conn.ping(b"now").unwrap()),
        (0x8a, |conn| conn.pong(b"now").unwrap()),
        (0x8a, |conn| {
            let mut ping = to(conn.role(), 0x89, b"now");
            assert!(conn.receive(&mut &mut ping[..]).is_some());
        }),
    ];
    for role in ROLES {
        for way in WAYS.iter().filter(|way| **way != Way::Through(usize::MAX)) {
            for (first, send) in controls {
                let make = || {
                    let mut conn = open_limited(role, 10);
                    let accepted = way.send(&mut conn, &payload(35)).unwrap();
                    (conn, accepted)
                };
                let (mut conn, accepted) = make();
                let message = drain(&mut conn);
                let whole = [accepted, message.clone()].concat();
                let begun = whole.len() - message.len();
                let ends = borders(&whole);
                for written in 0..message.len() {
                    let (mut conn, _) = make();
                    conn.advance(written);
                    conn.close(1000, "").unwrap();
                    send(&mut conn);
                    let rest = [&whole[..begun + written], &drain(&mut conn)].concat();
                    let mut frames = plain_frames(&whole);
                    let next = ends.iter().position(|end| *end >= begun + written).unwrap();
                    frames.insert(next, (first, b"now".to_vec()));
                    frames.push((0x88, vec![3, 232]));
                    assert_eq!(plain_frames(&rest), frames, "{role:?}, {way:?} at {written}");
                }
            }
        }
    }
}

#[test]
fn ping_in_a_cut_message_is_received_between_its_frames() {
    // rfc6455-5.4-06, rfc6455-5.4-10
    for role in ROLES {
        let mut conn = open_limited(role, 4096);
        conn.send(payload(100_000)).unwrap();
        let begun = conn.outgoing()[..1].to_vec();
        conn.advance(1);
        conn.ping(b"now").unwrap();
        let outcome = run(&mut open(other(role)), &[&begun, &drain(&mut conn)]);
        assert_eq!(outcome.seen, [Seen::Ping(b"now".into()), Seen::Binary(payload(100_000))]);
    }
}

#[test]
fn control_frames_are_never_cut() {
    // rfc6455-5.4-07, rfc6455-5.5-03
    for role in ROLES {
        // A limit of the queue with room for the control frames, but not for 125 frames each.
        let config = limited(1).max_outgoing_bytes(2 * (125 + 14)).build().unwrap();
        let mut conn = open_with(role, config);
        conn.ping(&[1; 125]).unwrap();
        conn.pong(&[2; 125]).unwrap();
        let mut ping = to(role, 0x89, &[3; 125]);
        assert!(conn.receive(&mut &mut ping[..]).is_some());
        conn.close(1000, &"r".repeat(123)).unwrap();
        let firsts: Vec<u8> =
            plain_frames(&drain(&mut conn)).iter().map(|(first, _)| *first).collect();
        assert_eq!(firsts, [0x89, 0x8a, 0x8a, 0x88]);
    }
}

#[test]
fn cut_message_needs_room_for_each_header_and_an_error_queues_nothing() {
    for role in ROLES {
        for way in WAYS {
            for (limit, len) in [(1, 7), (3, 7), (7, 7), (3, 0), (1000, 5000)] {
                // A fragment needs room when it is sent: the first half is then in the queue.
                let [queued, last] = match way.parts(&payload(len))[..] {
                    [front, back] => {
                        let mut conn = open_limited(role, limit);
                        conn.send_fragment(MessageKind::Binary, front, false).unwrap();
                        [conn.outgoing_len() as usize, back.len()]
                    }
                    _ => [0, len],
                };
                let needed = (queued + last + 14 * last.div_ceil(limit).max(1)) as u64;
                for room in [needed - 1, needed] {
                    let config = limited(limit).max_outgoing_bytes(room).build().unwrap();
                    let mut conn = open_with(role, config);
                    let result = way.send(&mut conn, &payload(len));
                    let name = format!("{role:?}, {way:?}, {len} by {limit} in {room}");
                    if room == needed {
                        assert!(result.is_ok(), "{name}: {result:?}");
                    } else {
                        assert_eq!(result, Err(UsageError::BufferFull { needed, limit: room }));
                        assert_eq!(conn.outgoing_len(), queued as u64, "{name}");
                    }
                }
            }
        }
    }
}

#[test]
fn check_send_counts_the_headers_of_all_frames() {
    for role in ROLES {
        for limit in [1, 2, 7, 100] {
            for len in 0..60 {
                let config = limited(limit).max_outgoing_bytes(200).build().unwrap();
                let mut conn = open_with(role, config);
                conn.send("queued before").ok();
                let told = conn.check_send(len);
                assert_eq!(told, conn.send(payload(len)), "{role:?}, {len} by {limit}");
            }
        }
    }
}

#[test]
fn limits_at_the_end_of_the_range_do_not_overflow() {
    let config = limited(1).build().unwrap();
    let conn = open_with(Role::Server, config);
    let limit = conn.config().max_outgoing_bytes();
    let full = conn.check_send(usize::MAX);
    assert!(matches!(full, Err(UsageError::BufferFull { limit: seen, .. }) if seen == limit));
}

/// A source of keys that fails at its `n`th key.
fn failing_at(n: usize) -> Entropy {
    let drawn = Arc::new(AtomicUsize::new(0));
    Entropy::from_fn(move |out| {
        out.fill(9);
        match drawn.fetch_add(1, Ordering::Relaxed) < n {
            true => Ok(()),
            false => Err(EntropyError),
        }
    })
}

#[test]
fn if_a_key_of_a_cut_message_cannot_be_drawn_nothing_is_queued() {
    // rfc6455-5.3-06
    for way in WAYS.iter().filter(|way| way.parts(b"").len() == 1) {
        // The first key is that of the Close.
        for keys in 1..=5 {
            let config = limited(3).entropy(failing_at(keys)).build().unwrap();
            let mut conn = open_with(Role::Client, config);
            let result = way.send(&mut conn, &payload(10));
            if keys == 5 {
                assert!(result.is_ok(), "{way:?}: {result:?}");
                continue;
            }
            assert_eq!(result, Err(UsageError::Entropy(EntropyError)), "{way:?}");
            assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (0, 0), "{way:?}");
            assert_eq!(conn.unfinished_message(), None, "{way:?}");
        }
    }
}

#[test]
fn send_through_passes_frame_by_frame_and_queues_what_is_not_written() {
    // For each number of bytes that the transport accepts, whether it then blocks or fails.
    for role in ROLES {
        let bytes = payload(35);
        let mut conn = open_limited(role, 10);
        conn.send(&bytes).unwrap();
        let wire = drain(&mut conn);
        for room in 0..=wire.len() {
            for fails in [false, true] {
                let mut conn = open_limited(role, 10);
                let mut accepted = Vec::<u8>::new();
                let is_cut_short = Cell::new(false);
                let result = conn.send_through(&bytes, |header, payload| {
                    assert!(!is_cut_short.get(), "`write` is called after it has blocked");
                    let shown = header.len() + payload.len();
                    let n = shown.min(room - accepted.len());
                    is_cut_short.set(n < shown);
                    accepted.extend(header.iter().chain(payload).take(n));
                    match n == 0 && fails {
                        true => Err(UsageError::NoRequestPending),
                        false => Ok(n),
                    }
                });
                let name = format!("{role:?}, room for {room}");
                let must_fail = fails && borders(&wire).contains(&room) && room < wire.len();
                assert_eq!(result.is_err(), must_fail, "{name}");
                assert!(accepted == wire[..accepted.len()], "{name}");
                assert_eq!(accepted.len(), room, "{name}");
                let payload_written =
                    plain_frames_of_front(&wire, room).iter().map(Vec::len).sum::<usize>();
                assert_eq!(conn.buffered_amount(), (bytes.len() - payload_written) as u64);
                assert!(drain(&mut conn) == wire[room..], "{name}");
                assert_eq!(conn.buffered_amount(), 0, "{name}");
            }
        }
    }
}

/// The payload bytes among the first `n` bytes of the wire, for each frame.
fn plain_frames_of_front(wire: &[u8], n: usize) -> Vec<Vec<u8>> {
    let ends = borders(wire);
    let frames = read_frames(wire);
    let front = |(frame, end): (Frame, &usize)| {
        let missing = end.saturating_sub(n).min(frame.payload.len());
        frame.payload[..frame.payload.len() - missing].to_vec()
    };
    frames.into_iter().zip(&ends[1..]).map(front).collect()
}

#[test]
fn buffered_amount_of_a_cut_message_is_exact_at_every_byte() {
    // whatwg-bufferedAmount-01, whatwg-bufferedAmount-02
    for role in ROLES {
        let mut conn = open_limited(role, 10);
        conn.send(payload(35)).unwrap();
        conn.send(payload(3)).unwrap();
        let wire: Vec<u8> = conn.outgoing_chunks().flatten().copied().collect();
        for n in 0..=wire.len() {
            let written: usize = plain_frames_of_front(&wire, n).iter().map(Vec::len).sum();
            assert_eq!(conn.buffered_amount(), (38 - written) as u64, "{role:?} at {n}");
            if n < wire.len() {
                conn.advance(1);
            }
        }
    }
}

/// A message and the way it is sent, and how much of the queue is written behind it, in 255ths.
fn sending() -> impl Strategy<Value = (Way, usize, u8)> {
    let len = prop_oneof![4 => 0usize..300, 2 => 300usize..5000, 1 => 60_000usize..80_000];
    let way = prop_oneof![
        8 => prop::sample::select(WAYS),
        1 => (0usize..20_000).prop_map(Way::Through),
    ];
    (way, len, any::<u8>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn peer_that_refuses_larger_frames_accepts_whatever_is_sent(
        client in any::<bool>(),
        compress in any::<bool>(),
        noise in any::<bool>(),
        limit in prop_oneof![1usize..40, 100usize..200, 1000usize..5000, Just(65_536), Just(usize::MAX)],
        sends in prop::collection::vec(sending(), 1..8),
    ) {
        // rfc6455-5.4-02, rfc7692-6.1-01, rfc7692-6.1-03, rfc7692-6.1-05, rfc7692-7.2.1-07
        let role = if client { Role::Client } else { Role::Server };
        let config = limited(limit);
        let peer = unlimited().max_frame_bytes(limit as u64).max_fragments(u32::MAX);
        let (mut conn, mut peer) = pair(role, compress, config, peer);
        let (mut wire, mut sent) = (Vec::new(), Vec::new());
        for (n, (way, len, part)) in sends.into_iter().enumerate() {
            let mut state = n as u32;
            let bytes: Vec<u8> = (0..len)
                .map(|i| match noise {
                    true => {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 24) as u8
                    }
                    false => b'a' + ((i + n) % 26) as u8,
                })
                .collect();
            wire.extend(way.send(&mut conn, &bytes).unwrap());
            sent.push(bytes);
            let mut n = conn.outgoing_len() as usize * usize::from(part) / 255;
            while n > 0 {
                let piece = conn.outgoing();
                let piece = piece[..n.min(piece.len())].to_vec();
                conn.advance(piece.len());
                n -= piece.len();
                wire.extend(piece);
            }
            conn.ping(b"").unwrap();
        }
        wire.extend(drain(&mut conn));
        prop_assert_eq!(conn.buffered_amount(), 0);
        let longest = read_frames(&wire).iter().map(|frame| frame.payload.len()).max();
        prop_assert!(longest <= Some(limit), "{longest:?} of {limit}");
        let mut seen = run(&mut peer, &[&wire]).seen;
        seen.retain(|seen| !matches!(seen, Seen::Ping(_)));
        let received: Vec<Vec<u8>> = seen
            .into_iter()
            .map(|seen| match seen {
                Seen::Binary(bytes) | Seen::Chunked(_, bytes) => bytes,
                other => panic!("{other:?}"),
            })
            .collect();
        prop_assert!(received == sent);
    }
}

/// The connection that sends, and its peer. Without the feature `deflate` nothing is compressed.
fn pair(
    role: Role,
    compress: bool,
    config: ConfigBuilder,
    peer: ConfigBuilder,
) -> (Connection, Connection) {
    let open = |role: Role, config: ConfigBuilder| {
        #[cfg(feature = "deflate")]
        if compress {
            return deflate::open(role, config);
        }
        let config: Config = config.build().unwrap();
        open_with(role, config)
    };
    let _ = compress;
    (open(role, config), open(other(role), peer))
}

#[cfg(feature = "deflate")]
mod deflate {
    use super::*;
    use websocket_proto::{Deflate, DeflateParams, Upgrade};

    pub(super) fn open(role: Role, config: ConfigBuilder) -> Connection {
        let upgrade = Upgrade::new(role).deflate(DeflateParams::default());
        let config = config.deflate(Deflate::default()).build().unwrap();
        Connection::from_upgrade(upgrade, config).expect("a seed cannot fail")
    }

    /// Bytes that do not compress.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1u32;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    /// All ways whose message is compressed.
    fn compressing() -> impl Iterator<Item = Way> {
        let ways = [Way::Borrowed, Way::Owned, Way::Prepared, Way::Whole, Way::Halves];
        ways.into_iter().chain([Way::Through(usize::MAX)])
    }

    #[test]
    fn compressed_message_is_compressed_whole_and_then_cut() {
        // rfc7692-6.1-01, rfc7692-6.1-03, rfc7692-6.1-05, rfc7692-7.2.1-07
        for role in ROLES {
            for way in compressing() {
                for bytes in [noise(1000), payload(5000), vec![0; 70_000]] {
                    let frames = |limit| {
                        let mut conn = open(role, limited(limit));
                        assert!(way.send(&mut conn, &bytes).unwrap().is_empty());
                        assert_eq!(conn.buffered_amount(), bytes.len() as u64);
                        let wire = drain(&mut conn);
                        assert_eq!(conn.buffered_amount(), 0);
                        plain_frames(&wire)
                    };
                    // The frames that are not cut, each cut in simple code.
                    let whole = frames(usize::MAX);
                    for limit in [1, 2, 5, 100, 1000, 2000] {
                        let parts: Vec<&[u8]> =
                            whole.iter().map(|(_, payload)| &payload[..]).collect();
                        let mut expected = cut(&parts, limit);
                        expected[0].0 |= 0x40;
                        assert!(frames(limit) == expected, "{role:?}, {way:?}, by {limit}");
                    }
                }
            }
        }
    }

    #[test]
    fn buffered_amount_of_a_cut_compressed_message_falls_with_its_last_byte() {
        // whatwg-bufferedAmount-02
        for role in ROLES {
            for way in compressing() {
                let mut conn = open(role, limited(10));
                way.send(&mut conn, &noise(200)).unwrap();
                let end = conn.outgoing_len();
                conn.send(&[1; 7]).unwrap();
                for _ in 1..end {
                    conn.advance(1);
                    assert!(conn.buffered_amount() >= 207 / 2, "{role:?}, {way:?}");
                }
                conn.advance(1);
                assert_eq!(conn.buffered_amount(), 7, "{role:?}, {way:?}");
            }
        }
    }

    #[test]
    fn without_room_or_keys_nothing_is_compressed_and_the_windows_stay_equal() {
        // rfc7692-7.2.1-01
        for way in compressing() {
            // Each key of the message fails once. The number of its keys is known before it is compressed.
            for keys in 1..100 {
                let drawn = Arc::new(AtomicUsize::new(0));
                let counted = drawn.clone();
                let entropy = Entropy::from_fn(move |out| {
                    out.fill(9);
                    match counted.fetch_add(1, Ordering::Relaxed) == keys {
                        true => Err(EntropyError),
                        false => Ok(()),
                    }
                });
                let mut conn = open(Role::Client, limited(10).entropy(entropy));
                let mut peer = open(Role::Server, builder());
                let text = b"the same text for the window, again and again and again and again.";
                let failed = way.send(&mut conn, text).is_err();
                let queued = conn.unfinished_message().is_some();
                if !failed {
                    assert!(drawn.load(Ordering::Relaxed) > 7, "{way:?}");
                    break;
                }
                if queued {
                    // The first half was sent.
                    let half = &text[text.len() / 2..];
                    conn.send_fragment(MessageKind::Binary, half, true).unwrap();
                } else {
                    assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (0, 0));
                    way.send(&mut conn, text).unwrap();
                }
                conn.send(&text[..]).unwrap();
                let outcome = run(&mut peer, &[&drain(&mut conn)]);
                let text = Seen::Binary(text.to_vec());
                assert_eq!(outcome.seen, [text.clone(), text], "{way:?}, key {keys}");
            }
        }
    }

    #[test]
    fn compressed_message_needs_room_for_what_it_could_grow_to_in_frames() {
        for role in ROLES {
            for way in compressing().filter(|way| way.parts(b"").len() == 1) {
                let most: u64 = 1000 + 1000 / 8 + 64;
                let needed = most + 14 * most.div_ceil(100);
                for room in [needed - 1, needed] {
                    let mut conn = open(role, limited(100).max_outgoing_bytes(room));
                    let told = conn.check_send(1000);
                    let result = way.send(&mut conn, &payload(1000)).map(drop);
                    let expected = match room == needed {
                        true => Ok(()),
                        false => Err(UsageError::BufferFull { needed, limit: room }),
                    };
                    assert_eq!((told, result), (expected, expected), "{role:?}, {way:?}");
                }
            }
        }
    }

    const SECRET: &[u8] = b"a secret that would compress, would compress, would compress well";

    #[test]
    fn uncompressed_fragments_have_no_rsv1_and_leave_the_window_as_it_is() {
        // rfc7692-6.1-02, rfc7692-6-03, rfc7692-8-01
        for role in ROLES {
            let mut conn = open(role, builder());
            let mut peer = open(other(role), builder());
            let kind = MessageKind::Binary;
            conn.send(SECRET).unwrap();
            conn.send_uncompressed_fragment(kind, SECRET, false).unwrap();
            assert_eq!(conn.unfinished_message(), Some(kind));
            conn.send_uncompressed_fragment(kind, b"", false).unwrap();
            conn.send_uncompressed_fragment(kind, SECRET, true).unwrap();
            conn.send_uncompressed_fragment(kind, SECRET, true).unwrap();
            conn.send(SECRET).unwrap();
            let wire = drain(&mut conn);
            assert_eq!(conn.buffered_amount(), 0);
            let frames = plain_frames(&wire);
            let plain = [
                (0x02, SECRET.to_vec()),
                (0x00, vec![]),
                (0x80, SECRET.to_vec()),
                (0x82, SECRET.to_vec()),
            ];
            assert_eq!(frames[1..5], plain, "{role:?}");
            assert_eq!((frames[0].0, frames[5].0), (0xc2, 0xc2));
            let once = Seen::Binary(SECRET.to_vec());
            let twice = Seen::Binary([SECRET, SECRET].concat());
            let outcome = run(&mut peer, &[&wire]);
            assert_eq!(outcome.seen, [once.clone(), twice, once.clone(), once]);
        }
    }

    #[test]
    fn first_fragment_decides_whether_a_message_is_compressed() {
        // rfc7692-6.1-01, rfc7692-6.1-02: whether the connection compresses or not.
        for role in ROLES {
            for compress in [false, true] {
                let make = || pair(role, compress, builder(), builder());
                for kind in [MessageKind::Text, MessageKind::Binary] {
                    // Begun without compression: `send_fragment` goes on without.
                    let (mut conn, mut peer) = make();
                    conn.send_uncompressed_fragment(kind, SECRET, false).unwrap();
                    conn.send_fragment(kind, SECRET, true).unwrap();
                    let wire = drain(&mut conn);
                    let opcode = if kind == MessageKind::Text { 1 } else { 2 };
                    let plain = [(opcode, SECRET.to_vec()), (0x80, SECRET.to_vec())];
                    assert_eq!(plain_frames(&wire), plain);
                    assert_eq!(run(&mut peer, &[&wire]).seen.len(), 1);

                    // Begun with `send_fragment`: a secret does not get into this message.
                    let (mut conn, mut peer) = make();
                    conn.send_fragment(kind, SECRET, false).unwrap();
                    let queued = conn.outgoing_len();
                    for last in [false, true] {
                        let refused = conn.send_uncompressed_fragment(kind, SECRET, last);
                        assert_eq!(refused, Err(UsageError::FragmentCompressionChanged));
                    }
                    assert_eq!(conn.outgoing_len(), queued);
                    conn.send_fragment(kind, SECRET, true).unwrap();
                    // The next message decides for itself.
                    conn.send_uncompressed_fragment(kind, SECRET, true).unwrap();
                    assert_eq!(run(&mut peer, &[&drain(&mut conn)]).seen.len(), 2);
                }
            }
        }
    }

    #[test]
    fn uncompressed_fragments_keep_the_rules_of_fragments() {
        // rfc6455-5.4-09, rfc6455-5.4-17, rfc6455-5.6-03
        for role in ROLES {
            let mut conn = open(role, builder());
            conn.send_uncompressed_fragment(MessageKind::Text, "é".as_bytes(), false).unwrap();
            let changed = conn.send_uncompressed_fragment(MessageKind::Binary, b"", true);
            assert_eq!(changed, Err(UsageError::FragmentKindChanged));
            let invalid = conn.send_uncompressed_fragment(MessageKind::Text, b"\xff", true);
            assert_eq!(invalid, Err(UsageError::InvalidUtf8));
            assert_eq!(conn.send("x"), Err(UsageError::MessageUnfinished));
            conn.close(1000, "").unwrap();
            let late = conn.send_uncompressed_fragment(MessageKind::Text, b"", true);
            assert_eq!(late, Err(UsageError::NotOpen(websocket_proto::State::Closing)));
        }
    }

    #[test]
    fn message_in_one_fragment_is_compressed_if_it_is_as_long_as_other_messages_must_be() {
        for role in ROLES {
            for (len, is_compressed) in [(0, false), (63, false), (64, true)] {
                let mut conn = open(role, builder());
                conn.send_fragment(MessageKind::Binary, &vec![7; len], true).unwrap();
                let first = plain_frames(&drain(&mut conn))[0].0;
                assert_eq!(first & 0x40 != 0, is_compressed, "{role:?}, {len}");
                // The length of a longer message is not known at its first fragment.
                conn.send_fragment(MessageKind::Binary, &vec![7; len], false).unwrap();
                assert_eq!(plain_frames(&drain(&mut conn))[0].0 & 0x40, 0x40);
            }
        }
    }
}
