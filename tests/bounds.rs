//! The formulas of `docs/security.md`: the most memory that a connection allocates, as a function of its limits. They
//! hold whatever the peer sends, and however little it reads.

#[path = "util/alloc.rs"]
mod alloc;
mod util;

use alloc::{Counting, measure};
use proptest::prelude::*;
use util::*;
use websocket_proto::{
    Accept, CloseCause, Config, Connection, Delivery, Event, FrameHeader, HandshakeError,
    MessageKind, Opcode, ProtocolError, Role, Segment, UsageError,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Parts of a fixed small size: boxed state, one event, a control frame.
const FIXED: usize = 2048;

fn config_of(max_message: u64, max_outgoing: u64) -> Config {
    builder()
        .max_outgoing_bytes(max_outgoing)
        .max_message_bytes(max_message)
        .max_frame_bytes(max_message)
        .build()
        .unwrap()
}

/// The bound during the opening handshake. The parser has 32 bytes for each header line. The shortest line that it
/// takes is 3 bytes: `a` and CR LF.
fn opening_bound(config: &Config, role: Role) -> usize {
    let lines = config.max_headers().min(config.max_head_bytes() / 3);
    32 * lines
        + match role {
            Role::Server => 11 * config.max_head_bytes() + 2 * config.max_early_bytes() + FIXED,
            Role::Client => {
                3 * config.max_head_bytes() + 2 * config.max_refusal_body_bytes() + FIXED
            }
        }
}

/// The bound for the message that is being received.
fn receiving_bound(config: &Config) -> usize {
    match config.delivery() {
        Delivery::Chunks | Delivery::Frames => FIXED,
        _ => 2 * config.max_message_bytes() as usize + FIXED,
    }
}

/// The bound for the queue.
fn sending_bound(config: &Config) -> usize {
    // The pongs in the queue, and as many that `take_outgoing` has taken out of it.
    let pongs = 2 * usize::from(config.max_queued_pongs()) * 131;
    let limit = config.max_outgoing_bytes() as usize;
    // A tail of 64 KiB may become a piece while few of its bytes are left. A tail for less has at most 4 times the
    // limit.
    2 * limit + 2 * pongs + (4 * limit).min(128 * 1024) + FIXED
}

/// Feeds one piece. Returns why the connection ended, if it did.
fn swallow(conn: &mut Connection, piece: &[u8]) -> Option<CloseCause> {
    let mut end = None;
    // The copy is on the stack, so that it is not measured.
    for part in piece.chunks(1024) {
        let mut copy = [0; 1024];
        copy[..part.len()].copy_from_slice(part);
        let mut input = &mut copy[..part.len()];
        while let Some(event) = conn.receive(&mut input) {
            if let Event::Closed(closed) = event {
                end = Some(closed.into_cause());
            }
        }
    }
    end
}

#[test]
fn receiving_takes_no_more_than_the_limits_say() {
    // rfc6455-10.4-01, rfc6455-10.4-02
    for role in ROLES {
        for delivery in [Delivery::Messages, Delivery::Chunks, Delivery::Frames] {
            for first in [0x01, 0x02] {
                // Fragments of constant, growing, shrinking and alternating sizes.
                let sizes: [&dyn Fn(usize) -> usize; 5] =
                    [&|_| 1, &|_| 1000, &|n| n * n, &|n| 9000 / (n + 1), &|n| [1, 5000][n % 2]];
                for size in sizes {
                    let config =
                        config_of(30_000, 1 << 20).to_builder().delivery(delivery).build().unwrap();
                    let bound = receiving_bound(&config);
                    let mut conn = open_with(role, config);
                    let frames = (0..200_000).map(|n| {
                        let opcode = if n == 0 { first } else { 0x00 };
                        to(role, opcode, &vec![b'x'; size(n)])
                    });
                    let mut most = 0;
                    let mut end = None;
                    for frame in frames {
                        let live = most;
                        let (ended, heap) = measure(|| swallow(&mut conn, &frame));
                        most = live + heap.peak.max(0) as usize;
                        if ended.is_some() {
                            end = ended;
                            break;
                        }
                        most = live + heap.kept.max(0) as usize;
                    }
                    assert!(most <= bound, "{role:?} {delivery:?}: {most} of {bound}");
                    let too_big = matches!(
                        end,
                        Some(CloseCause::Protocol(
                            ProtocolError::MessageTooBig { .. }
                                | ProtocolError::FrameTooBig { .. }
                                | ProtocolError::TooManyFragments { .. }
                        ))
                    );
                    assert!(too_big, "no limit was reached: {end:?}");
                }
            }
        }
    }
}

#[test]
fn a_queue_takes_no_more_than_the_limits_say() {
    // rfc6455-10.4-01
    for role in ROLES {
        for limit in [1_000, 4_500, 10_000, 300_000, 1_000_000] {
            let sizes: [&dyn Fn(usize) -> usize; 5] =
                [&|_| 20, &|_| 100, &|_| 3000, &|n| [1, 70_000][n % 2], &|n| [5000, 1][n % 2]];
            for size in sizes {
                for owned in [true, false] {
                    let config = config_of(1000, limit);
                    let bound = sending_bound(&config);
                    let mut conn = open_with(role, config);
                    let ping = to(role, 0x89, &[b'p'; 125]);
                    let payload = vec![b'x'; 70_000];
                    let (_, heap) = measure(|| {
                        for n in 0..200_000 {
                            let payload = &payload[..size(n)];
                            let sent = match owned {
                                // The copy for a refused message would count as the library's.
                                true => conn
                                    .check_send(size(n))
                                    .and_then(|()| conn.send(payload.to_vec())),
                                false => conn.send(payload),
                            };
                            match sent {
                                Ok(()) if n < 100 => assert!(swallow(&mut conn, &ping).is_none()),
                                Ok(()) => {}
                                Err(UsageError::BufferFull { .. }) => return,
                                Err(error) => panic!("{error}"),
                            }
                        }
                        panic!("the limit was not reached");
                    });
                    let peak = heap.peak as usize;
                    assert!(peak <= bound, "{role:?} {limit} {owned}: {peak} of {bound}");
                }
            }
        }
    }
}

#[test]
fn a_flood_of_pings_takes_no_more_than_the_limits_say() {
    // rfc6455-10.4-01: nothing is written; pieces are taken out at different rates
    for role in ROLES {
        for (every, pongs) in [(1, 16), (7, 16), (100, 16), (usize::MAX, 16), (1, 255), (254, 255)]
        {
            let config =
                config_of(1000, 1000).to_builder().max_queued_pongs(pongs).build().unwrap();
            let bound = sending_bound(&config) - 2 * 1000;
            let mut conn = open_with(role, config);
            let ping = to(role, 0x89, &[b'p'; 125]);
            let (_, heap) = measure(|| {
                let mut out = Vec::with_capacity(100);
                for n in 0..20_000 {
                    assert!(swallow(&mut conn, &ping).is_none());
                    if n % every == every - 1 {
                        out.extend(conn.take_outgoing());
                    }
                }
            });
            assert!(heap.peak as usize <= bound, "{role:?} {every}: {heap:?} of {bound}");
        }
    }
}

#[cfg(feature = "deflate")]
#[test]
fn a_queue_of_compressed_messages_takes_no_more_than_the_limits_say() {
    // rfc6455-10.4-01: the smallest messages; the queue stores the uncompressed size of each
    let params = websocket_proto::DeflateParams {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    for role in ROLES {
        for payload in ["", "a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            let mut deflate = websocket_proto::Deflate::default();
            deflate.min_bytes = 0;
            let config = config_of(1000, 300_000).to_builder().deflate(deflate).build().unwrap();
            let codec = (32 + 372 + 64) * 1024;
            let bound = sending_bound(&config) + codec;
            let mut conn = Connection::from_upgrade(
                websocket_proto::Upgrade::new(role).deflate(params),
                config,
            )
            .unwrap();
            let (messages, heap) = measure(|| {
                (0..).find(|_| match conn.send(payload) {
                    Ok(()) => false,
                    Err(UsageError::BufferFull { .. }) => true,
                    Err(error) => panic!("{error}"),
                })
            });
            let bound = bound + 16 * messages.expect("the limit is reached") as usize;
            assert!(heap.peak as usize <= bound, "{role:?} {payload}: {heap:?} of {bound}");
        }
    }
}

#[test]
fn opening_takes_no_more_than_the_limits_say() {
    // rfc6455-10.4-01
    let config = builder()
        .max_head_bytes(20_000)
        .max_early_bytes(30_000)
        .max_refusal_body_bytes(40_000)
        .build()
        .unwrap();
    for size in [1, 100, usize::MAX] {
        let bound = opening_bound(&config, Role::Server);
        let mut conn = connecting(Role::Server, config.clone());
        let head = std::str::from_utf8(REQUEST).unwrap().strip_suffix("\r\n").unwrap();
        let offers = (0..1000).map(|n| format!("p{n}, ")).collect::<String>();
        let head =
            format!("{head}Sec-WebSocket-Protocol: {offers}x\r\nX: {}\r\n\r\n", "x".repeat(10_000));
        let early = to(Role::Server, 0x02, &[b'x'; 100]).repeat(1000);
        let bytes = [head.as_bytes(), &early].concat();
        // Nearly as many names as fit into a head.
        let head = std::str::from_utf8(REQUEST).unwrap().strip_suffix("\r\n").unwrap();
        let names = format!("{head}Sec-WebSocket-Protocol: {}x\r\n\r\n", "a,".repeat(9_000));
        let mut refusing = connecting(Role::Server, config.clone());
        let (end, heap) = measure(|| {
            let mut pieces = names.as_bytes().chunks(size.min(names.len()));
            pieces.find_map(|piece| swallow(&mut refusing, piece))
        });
        let twice =
            CloseCause::Protocol(HandshakeError::DuplicateSubprotocol { name: "a".into() }.into());
        assert_eq!(end, Some(twice));
        assert!(heap.peak as usize <= bound, "many names by {size}: {heap:?}, {bound}");

        let (end, heap) = measure(|| {
            bytes.chunks(size.min(bytes.len())).find_map(|piece| swallow(&mut conn, piece))
        });
        let limit = config.max_early_bytes();
        let error = HandshakeError::TooManyEarlyBytes { limit };
        assert_eq!(end, Some(CloseCause::Protocol(error.into())));
        assert!(heap.peak as usize <= bound, "server by {size}: {heap:?}, {bound}");

        let bound = opening_bound(&config, Role::Client);
        let mut conn = connecting(Role::Client, config.clone());
        drain(&mut conn);
        let body = "b".repeat(100_000);
        let bytes = format!(
            "HTTP/1.1 404 Not Found\r\nX: {}\r\nContent-Length: 100000\r\n\r\n{body}",
            "x".repeat(15_000)
        );
        let bytes = bytes.as_bytes();
        let (end, heap) = measure(|| {
            bytes.chunks(size.min(bytes.len())).find_map(|piece| swallow(&mut conn, piece))
        });
        let refused = HandshakeError::status;
        match end {
            Some(CloseCause::Protocol(ProtocolError::Handshake(error))) => {
                assert_eq!(refused(&error), None, "a client has no status to answer with");
            }
            other => panic!("{other:?}"),
        }
        assert!(heap.peak as usize <= bound, "client by {size}: {heap:?}, {bound}");
    }
    // After `accept` nothing of the handshake remains but the queued response.
    let mut conn = connecting(Role::Server, config);
    assert_eq!(swallow(&mut conn, REQUEST), None);
    conn.accept(&Accept::default()).unwrap();
    drain(&mut conn);
    conn.send_fragment(MessageKind::Text, b"", true).unwrap();
}

/// Calls `send` until it fails with `BufferFull`. Returns the peak of what was allocated.
fn fill(
    conn: &mut Connection,
    mut send: impl FnMut(&mut Connection) -> Result<(), UsageError>,
) -> usize {
    let cap = conn.config().max_outgoing_bytes();
    let (full, heap) = measure(|| {
        (0..10_000_000).any(|_| match send(conn) {
            Ok(()) => {
                assert!(conn.outgoing_len() <= cap, "the queue is longer than max_outgoing_bytes");
                false
            }
            Err(UsageError::BufferFull { .. }) => true,
            Err(error) => panic!("{error}"),
        })
    });
    assert!(full, "the limit was not reached");
    heap.peak as usize
}

#[test]
fn pieces_that_are_taken_one_by_one_take_no_more_than_the_limits_say() {
    // rfc6455-10.4-01: the caller holds all pieces, and nothing is written
    for role in ROLES {
        for limit in [1_000, 4_500, 10_000, 300_000] {
            for size in [0, 1, 20, 100, 1000, 5000] {
                let payload = vec![b'x'; size];
                for way in 0..4 {
                    let config = config_of(1000, limit);
                    let bound = sending_bound(&config);
                    let mut conn = open_with(role, config);
                    let mut held = Vec::with_capacity(limit as usize);
                    let peak = fill(&mut conn, |conn| {
                        match way {
                            0 => conn.send(&payload[..]),
                            1 => conn.send(payload.clone()),
                            2 => conn.send_fragment(MessageKind::Binary, &payload, false),
                            _ => conn.ping(&payload[..size.min(125)]),
                        }?;
                        while let Some(segment) = conn.take_outgoing() {
                            held.push(segment);
                        }
                        Ok(())
                    });
                    assert!(peak <= bound, "{role:?} {limit} {size} {way}: {peak} of {bound}");
                }
            }
        }
    }
}

#[test]
fn pings_that_are_written_in_part_take_no_more_than_the_limits_say() {
    // rfc6455-10.4-01: each share of the pings is written before the next pings are queued
    for role in ROLES {
        for limit in [1_000, 4_500, 10_000, 300_000] {
            for share in 1..20 {
                for size in [0, 50, 125] {
                    let config = config_of(1000, limit);
                    let bound = sending_bound(&config);
                    let mut conn = open_with(role, config);
                    let payload = vec![b'x'; 40_000];
                    let mut peak = 0;
                    let (_, heap) = measure(|| {
                        for round in 0..4 {
                            fill(&mut conn, |conn| conn.ping(&payload[..size]));
                            let n = conn.outgoing_len() * share / 20;
                            conn.advance(n as usize);
                            if round % 2 == 1 {
                                // Messages of half a buffer each reuse the memory of the pings.
                                fill(&mut conn, |conn| conn.send(&payload[..33_000]));
                                fill(&mut conn, |conn| conn.send(&payload[..100]));
                            }
                        }
                    });
                    peak = peak.max(heap.peak as usize);
                    assert!(peak <= bound, "{role:?} {limit} {share} {size}: {peak} of {bound}");
                }
            }
        }
    }
}

#[cfg(feature = "deflate")]
#[test]
fn what_does_not_compress_takes_no_more_than_the_limits_say() {
    // rfc6455-10.4-01: bytes from 144 on; a fixed Huffman code has nine bits for each
    let params = websocket_proto::DeflateParams {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let mut noise = vec![0; 1_000_000];
    let mut state = 1_u32;
    for byte in &mut noise {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *byte = 144 + (state >> 8) as u8 % 112;
    }
    for role in ROLES {
        for (level, memory_level) in
            [(0, 8), (1, 8), (2, 8), (4, 8), (6, 8), (9, 8), (1, 1), (6, 2), (6, 9)]
        {
            // The compressor, a window and a spare buffer. Each level of memory doubles 112 KiB of the compressor.
            let codec = (32 + 260 + 64) * 1024 + (7 << (memory_level + 6));
            for size in [0, 1, 300, 5000, 33_000, 200_000, 880_000] {
                for way in 0..3 {
                    let mut deflate = websocket_proto::Deflate::default();
                    deflate.min_bytes = 0;
                    (deflate.level, deflate.memory_level) = (level, memory_level);
                    let config =
                        config_of(1000, 1_000_000).to_builder().deflate(deflate).build().unwrap();
                    let bound = sending_bound(&config) + codec;
                    let open = |config: &Config| {
                        Connection::from_upgrade(
                            websocket_proto::Upgrade::new(role).deflate(params),
                            config.clone(),
                        )
                        .unwrap()
                    };
                    let payload = &noise[..size];
                    // The memory of a prepared message is its own. The first send allocates it, and is not measured.
                    let prepared = websocket_proto::PreparedMessage::new(payload);
                    if way == 2 {
                        open(&config).send_prepared(&prepared).unwrap();
                    }
                    let mut conn = open(&config);
                    let mut messages = 0;
                    let peak = fill(&mut conn, |conn| {
                        messages += 1;
                        // `check_send` must return the same error as the send.
                        let can = conn.check_send(size);
                        let sent = match way {
                            0 => conn.send(payload),
                            1 => {
                                conn.send_fragment(MessageKind::Binary, payload, messages % 2 == 0)
                            }
                            _ => conn.send_prepared(&prepared),
                        };
                        assert!(way == 1 || can == sent, "{can:?} {sent:?}");
                        if messages == 500 { conn.send(&noise[..]) } else { sent }
                    });
                    let bound = bound + 32 * messages;
                    let text = format!("{role:?} {level} {memory_level} {size} {way}");
                    assert!(peak <= bound, "{text}: {peak} of {bound}");
                }
            }
        }
    }
}

/// The header of a message in one frame.
fn binary(len: usize) -> FrameHeader {
    FrameHeader { fin: true, rsv: 0, opcode: Opcode::Binary, mask: None, payload_len: len as u64 }
}

#[test]
fn a_frame_that_is_never_finished_takes_no_more_than_the_limits_say() {
    // rfc6455-10.4-01: what waits for the end of the frame is bounded, written or not
    for role in ROLES {
        for is_written in [false, true] {
            for (limit, size) in [10_000, 150_000]
                .into_iter()
                .flat_map(|limit| [(limit, 1), (limit, 100), (limit, 5000)])
            {
                let config = config_of(1000, limit);
                // Our own pings do not take the room of the payload, so both can be queued up to the limit.
                let bound = sending_bound(&config) + 2 * limit as usize;
                let mut conn = open_with(role, config);
                let ping = to(role, 0x89, &[b'p'; 125]);
                let payload = vec![b'x'; size];
                let (waiting, heap) = measure(|| {
                    conn.begin_frame(&binary(isize::MAX as usize)).unwrap();
                    for _ in 0..2000 {
                        assert!(swallow(&mut conn, &ping).is_none());
                        let sent =
                            [conn.send_payload(&payload), conn.ping(&payload[..size.min(125)])];
                        for full in sent.into_iter().filter_map(Result::err) {
                            assert!(matches!(full, UsageError::BufferFull { .. }), "{full}");
                        }
                        while is_written && !conn.outgoing().is_empty() {
                            conn.advance(conn.outgoing().len());
                        }
                    }
                    conn.close(1000, "waits too").unwrap();
                    conn.outgoing_len()
                });
                assert!(heap.peak as usize <= bound, "{role:?} {size}: {heap:?} of {bound}");
                // A client's frames have a key.
                let pongs = 16 * 131 + 6 + 11;
                let most = if is_written { limit } else { 2 * limit };
                assert!(waiting <= most + pongs, "{role:?} {size}: {waiting} bytes wait");
                // What waits does not keep the frame from going on.
                assert!(!is_written || conn.send_payload(&payload).is_ok());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_caller_queues_takes_no_more_than_the_limits_say(
        client in any::<bool>(),
        pongs in prop::sample::select(vec![1, 16, 255]),
        frame in prop::sample::select(vec![usize::MAX, usize::MAX, 5000, 100, 1]),
        limit in prop::sample::select(vec![400_000, 400_000, 30_000, 10_000, 2_000]),
        steps in prop::collection::vec((0..9usize, 0..12usize, 0..=20usize, any::<bool>()), 1..40),
    ) {
        // rfc6455-10.4-01
        let role = if client { Role::Client } else { Role::Server };
        let config = config_of(1000, limit).to_builder().max_queued_pongs(pongs);
        let config = config.max_outgoing_frame_bytes(frame).build().unwrap();
        let payload = vec![b'x'; 400_000];
        let ping = to(role, 0x89, &[b'p'; 125]);
        // How many bytes of the first held piece are written.
        let mut begun = 0;
        // A piece stays whole until its last byte is written. Our pings that wait for the end of a frame take no room
        // from its payload.
        let streams = steps.iter().any(|step| step.0 == 7);
        let factor = if streams { 3 } else { 1 };
        let bound = sending_bound(&config) + factor * config.max_outgoing_bytes() as usize;
        let mut conn = open_with(role, config);
        let mut held = std::collections::VecDeque::with_capacity(100_000);
        let (_, heap) = measure(|| {
            for &(way, size, share, take) in &steps {
                let size = [0, 1, 20, 100, 1000, 4090, 5000, 33_000, 65_000, 80_000, 200_000, 390_000][size];
                let size = size.min(limit as usize * 39 / 40);
                for _ in 0..20_000 {
                    let payload = &payload[..size];
                    let done = match way {
                        0 | 1 => conn.send(payload).is_err(),
                        // `check_send` comes first: the copy for a refused message would count as the library's.
                        2 => conn.check_send(size).is_err() || conn.send(payload.to_vec()).is_err(),
                        3 => conn.ping(&payload[..size.min(125)]).is_err(),
                        4 => swallow(&mut conn, &ping).is_some() || conn.outgoing_len() > 100_000,
                        5 => conn.send_fragment(MessageKind::Binary, payload, true).is_err(),
                        6 => {
                            conn.release_memory();
                            true
                        }
                        // The frame may stay unfinished, and what is queued then waits for its end.
                        7 => match conn.unfinished_frame() {
                            None => conn.begin_frame(&binary(size.min(frame))).is_err(),
                            Some(left) => {
                                let n = size.min(left as usize);
                                n == 0 || conn.send_payload(&payload[..n]).is_err()
                            }
                        },
                        _ => true,
                    };
                    while take && held.len() < 100_000 {
                        let Some(segment) = conn.take_outgoing() else { break };
                        held.push_back(segment);
                    }
                    if done {
                        break;
                    }
                }
                let taken = held.iter().map(|segment: &Segment| segment.len()).sum::<usize>() - begun;
                let writable = taken + conn.outgoing_chunks().map(<[u8]>::len).sum::<usize>();
                let mut n = writable * share / 20;
                conn.advance(n);
                // The caller drops pieces that are written.
                n += begun;
                while held.front().is_some_and(|segment| segment.len() <= n) {
                    n -= held.pop_front().unwrap().len();
                }
                begun = if held.is_empty() { 0 } else { n };
            }
        });
        prop_assert!(heap.peak as usize <= bound, "{} of {bound}", heap.peak);
    }
}

#[cfg(feature = "deflate")]
#[test]
fn receiving_compressed_takes_no_more_than_the_limits_say() {
    // rfc6455-10.4-01, rfc7692-8-02: stored blocks, final ones and empty ones, up to the limit and beyond
    let params = websocket_proto::DeflateParams {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let stored = |len: usize, is_final: u8| {
        let len = len as u16;
        let mut block = vec![is_final];
        block.extend(len.to_le_bytes());
        block.extend((!len).to_le_bytes());
        block.extend((0..len).map(|n| (u32::from(n).wrapping_mul(2_654_435_761) >> 24) as u8));
        block
    };
    for role in ROLES {
        for delivery in [Delivery::Messages, Delivery::Chunks, Delivery::Frames] {
            for block in [stored(500, 0), stored(500, 1), stored(10, 1), stored(0, 0)] {
                for fragment in [usize::MAX, 1000, 7] {
                    let config =
                        config_of(30_000, 1 << 20).to_builder().delivery(delivery).build().unwrap();
                    let chunk = if delivery == Delivery::Chunks { 2 * 16 * 1024 } else { 0 };
                    // Frames are passed on as they are: no codec has a window or memory.
                    let codec = if delivery == Delivery::Frames { 0 } else { (32 + 47) * 1024 };
                    let bound = receiving_bound(&config) + codec + 512 + chunk;
                    let payload = block.repeat(40_000 / block.len());
                    let (mut conn, heap) = measure(|| {
                        Connection::from_upgrade(
                            websocket_proto::Upgrade::new(role).deflate(params),
                            config,
                        )
                        .unwrap()
                    });
                    let mut kept = heap.kept.max(0) as usize;
                    let mut most = kept;
                    for (n, piece) in payload.chunks(fragment.min(payload.len())).enumerate() {
                        let frame = to(role, if n == 0 { 0x42 } else { 0x00 }, piece);
                        let (ended, heap) = measure(|| swallow(&mut conn, &frame));
                        most = most.max(kept + heap.peak.max(0) as usize);
                        kept = (kept as i64 + heap.kept) as usize;
                        if ended.is_some() {
                            break;
                        }
                    }
                    assert!(most <= bound, "{role:?} {delivery:?}: {most} of {bound}");
                }
            }
        }
    }
}

#[test]
fn heads_of_many_lines_take_no_more_than_the_limits_say() {
    // rfc6455-10.4-01: as many lines as a head can have, good ones and bad ones
    for max_headers in [1, 64, 1000, usize::MAX] {
        for line in ["a:\r\n", "a\r\n", "\r\n"] {
            for role in ROLES {
                let config = builder()
                    .max_headers(max_headers)
                    .max_early_bytes(0)
                    .max_refusal_body_bytes(0)
                    .build()
                    .unwrap();
                let bound = opening_bound(&config, role);
                let first = match role {
                    Role::Server => "GET / HTTP/1.1\r\n",
                    Role::Client => "HTTP/1.1 101 x\r\n",
                };
                let count = (config.max_head_bytes() - first.len() - 2) / line.len();
                let head = [first, &line.repeat(count), "\r\n"].concat();
                for size in [100, 1024] {
                    let mut conn = connecting(role, config.clone());
                    drain(&mut conn);
                    let (_, heap) = measure(|| {
                        head.as_bytes().chunks(size).find_map(|piece| swallow(&mut conn, piece))
                    });
                    assert!(
                        heap.peak as usize <= bound,
                        "{role:?}, {max_headers}, {line:?}: {heap:?} of {bound}"
                    );
                }
            }
        }
    }
}
