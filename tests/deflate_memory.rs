//! Heap memory of permessage-deflate: while inflating up to a limit, while busy, when idle, and per message in steady
//! state. The tests assert the bounds that the docs give, and print the figures (`--nocapture`).
#![cfg(feature = "deflate")]

#[path = "util/alloc.rs"]
mod alloc;
mod util;

use std::sync::OnceLock;

use alloc::{Counting, Heap, measure};
use util::*;
use websocket_proto::{
    CloseCause, Config, Connection, Deflate, DeflateParams, Delivery, Event, MessageKind,
    PreparedMessage, ProtocolError, Role, Shared, Timestamp, Upgrade,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1 << 20;

fn params(no_takeover: bool, bits: u8) -> DeflateParams {
    DeflateParams {
        server_no_context_takeover: no_takeover,
        client_no_context_takeover: no_takeover,
        server_max_window_bits: bits,
        client_max_window_bits: bits,
    }
}

fn deflate_config() -> Config {
    let mut options = Deflate::default();
    options.min_bytes = 0;
    builder().deflate(options).build().unwrap()
}

fn open_deflate(
    role: Role,
    params: DeflateParams,
    config: impl Into<Shared<Config>>,
) -> Connection {
    Connection::from_upgrade(Upgrade::new(role).deflate(params), config)
        .expect("a seed cannot fail")
}

/// The heap memory that belongs to a connection.
fn owned(conn: Connection) -> i64 {
    let ((), heap) = measure(|| drop(conn));
    -heap.kept
}

fn write_all(conn: &mut Connection) {
    while conn.wants_write() {
        let n = conn.outgoing().len();
        conn.advance(n);
    }
}

/// A compressed message of `len` zeros, as the peer of `role` sends it.
fn zeros(role: Role, len: usize) -> Vec<u8> {
    static PAYLOAD: OnceLock<Vec<u8>> = OnceLock::new();
    let compress = |len: usize| {
        let mut options = deflate_config().deflate().expect("it is set").clone();
        options.level = 9;
        let config = builder().deflate(options).build().unwrap();
        let mut conn = open_deflate(Role::Server, params(false, 15), config);
        conn.send(vec![0; len]).unwrap();
        plain_frames(&drain(&mut conn)).remove(0).1
    };
    match len {
        BOMB => to(role, 0xc2, PAYLOAD.get_or_init(|| compress(BOMB))),
        _ => to(role, 0xc2, &compress(len)),
    }
}

const BOMB: usize = 16 * MIB;
const LIMIT: usize = MIB;

/// Bytes of an inflater with its largest window, and of the connection around it.
fn codec_bytes() -> i64 {
    static BYTES: OnceLock<i64> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let (_, heap) = measure(|| {
            let mut conn = open_deflate(Role::Client, params(true, 15), deflate_config());
            let mut bytes = to(Role::Client, 0x42, &[0x00]);
            let mut input = &mut bytes[..];
            assert!(conn.receive(&mut input).is_none());
            conn
        });
        heap.peak
    })
}

/// Feeds a connection in pieces. Returns how many payload bytes were delivered, and the error that ended the
/// connection.
fn swallow(
    conn: &mut Connection,
    bytes: &mut [u8],
    piece: usize,
) -> (usize, Option<ProtocolError>) {
    let mut delivered = 0;
    for piece in bytes.chunks_mut(piece) {
        let mut input = piece;
        while let Some(event) = conn.receive(&mut input) {
            match event {
                Event::Message(message) => delivered += message.len(),
                Event::Chunk(chunk) => delivered += chunk.as_bytes().len(),
                Event::Closed(closed) => match closed.into_cause() {
                    CloseCause::Protocol(error) => return (delivered, Some(error)),
                    cause => panic!("{cause:?}"),
                },
                event => panic!("{event:?}"),
            }
        }
    }
    (delivered, None)
}

fn limited(limit: usize, delivery: Delivery) -> Shared<Config> {
    let config = deflate_config()
        .to_builder()
        .max_message_bytes(limit as u64)
        .delivery(delivery)
        .build()
        .unwrap();
    Shared::new(config)
}

fn too_big(limit: usize) -> Option<ProtocolError> {
    Some(ProtocolError::MessageTooBig { len: limit as u64 + 1, limit: limit as u64 })
}

#[test]
fn bomb_meets_the_limit_and_memory_stays_below_it() {
    // rfc7692-8-02, rfc6455-10.4-01
    let codec = codec_bytes();
    for role in ROLES {
        let bytes = zeros(role, BOMB);
        assert!(bytes.len() < 16_400, "{} bytes", bytes.len());
        let config = limited(LIMIT, Delivery::Messages);
        for piece in [bytes.len(), 1, 1460] {
            let mut copy = bytes.clone();
            let (mut conn, heap) = measure(|| {
                let mut conn = open_deflate(role, params(false, 15), config.clone());
                assert_eq!(swallow(&mut conn, &mut copy, piece), (0, too_big(LIMIT)));
                conn
            });
            let frames = plain_frames(&drain(&mut conn));
            assert_eq!(frames, [(0x88, vec![0x03, 0xf1])], "1009");
            eprintln!(
                "{role:?}: 16 MiB of zeros in {} bytes, read by {piece}: {heap:?}",
                bytes.len()
            );
            // The message up to its limit, the codec, the window beside it, and slack for the Close frame and the
            // event.
            let most = (LIMIT + 16 * 1024) as i64 + codec + 32 * 1024;
            assert!(heap.peak <= most, "{heap:?}, {most} allowed");
            conn.release_memory();
            assert_eq!(owned(conn), 0, "a closed connection has nothing on the heap");
        }
    }
}

#[test]
fn chunks_of_a_bomb_take_constant_memory() {
    // rfc7692-8-02
    let codec = codec_bytes();
    for role in ROLES {
        let bytes = zeros(role, BOMB);
        let whole = (BOMB, (BOMB, None));
        let cut = (LIMIT, (LIMIT, too_big(LIMIT)));
        for ((limit, expected), piece) in
            [(whole, 1460), (cut.clone(), bytes.len()), (cut.clone(), 1460), (cut, 1)]
        {
            let config = limited(limit, Delivery::Chunks);
            let mut copy = bytes.clone();
            let ((), heap) = measure(|| {
                let mut conn = open_deflate(role, params(false, 15), config.clone());
                assert_eq!(swallow(&mut conn, &mut copy, piece), expected);
            });
            eprintln!("{role:?}: chunks up to {limit}, read by {piece}: {heap:?}");
            // The codec, the window, the buffer of one inflating step, the chunk, and slack for the end.
            let most = codec + 32 * 1024 + 2 * 16 * 1024 + 4 * 1024;
            assert!(heap.peak <= most, "{heap:?}, {most} allowed");
        }
    }
}

#[test]
fn limit_is_exact() {
    // rfc7692-8-02
    for role in ROLES {
        for (len, fits) in [(LIMIT - 1, true), (LIMIT, true), (LIMIT + 1, false)] {
            let bytes = zeros(role, len);
            for delivery in [Delivery::Messages, Delivery::Chunks] {
                let config = limited(LIMIT, delivery);
                for piece in [bytes.len(), 100] {
                    let mut conn = open_deflate(role, params(false, 15), config.clone());
                    let delivered = match (fits, delivery) {
                        (true, _) => len,
                        (false, Delivery::Chunks) => LIMIT,
                        _ => 0,
                    };
                    let expected = (delivered, if fits { None } else { too_big(LIMIT) });
                    assert_eq!(swallow(&mut conn, &mut bytes.clone(), piece), expected);
                }
            }
        }
    }
}

/// Payloads of many sizes that repeat a little. Together they are larger than the largest window.
fn traffic() -> Vec<Vec<u8>> {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 20) as u8 % 60 + b'0'
    };
    [10, 5000, 300, 20_000, 1000, 30_000, 100]
        .iter()
        .map(|&len| (0..len).map(|_| next()).collect())
        .collect()
}

/// A connection that has sent or received `traffic`, or both.
fn after_traffic(
    config: &Shared<Config>,
    role: Role,
    params: DeflateParams,
    sends: bool,
    receives: bool,
) -> Connection {
    let mut conn = open_deflate(role, params, config.clone());
    let mut peer = open_deflate(other(role), params, config.clone());
    for payload in traffic() {
        if receives {
            peer.send(&payload[..]).unwrap();
            let mut bytes = drain(&mut peer);
            assert_eq!(swallow(&mut conn, &mut bytes, 1460), (payload.len(), None));
        }
        if sends {
            conn.send(&payload[..]).unwrap();
            write_all(&mut conn);
        }
    }
    conn
}

#[test]
fn busy_connection_takes_a_codec_for_each_direction() {
    // To measure one codec, an idle connection sends or receives one short message.
    let config = Shared::new(deflate_config());
    for role in ROLES {
        for bits in 9..=15 {
            let params = params(false, bits);
            let idle = owned(open_deflate(role, params, config.clone()));
            let mut sender = open_deflate(role, params, config.clone());
            sender.send("short").unwrap();
            write_all(&mut sender);
            let sends = owned(sender) - idle;
            let mut receiver = open_deflate(role, params, config.clone());
            let mut bytes = to(role, 0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
            assert_eq!(swallow(&mut receiver, &mut bytes, 100), (5, None));
            let receives = owned(receiver) - idle;
            eprintln!("{role:?}, {bits} bits: {sends} to send, {receives} to receive");
            // 270 KiB for the hash table, symbols and pending bytes, whatever the window; 6 bytes of window and chains
            // for each byte of the window size; 2 KiB for the message and its frame.
            assert!(sends <= (270 + 2) * 1024 + (6 << bits), "{sends}");
            assert!(receives <= (47 + 2) * 1024, "{receives}");
        }
    }
}

#[test]
fn the_memory_level_halves_what_is_neither_window_nor_hash_table() {
    let takes = |level: u8, memory_level: u8, bits: u8| {
        let mut options = Deflate::default();
        (options.level, options.memory_level, options.min_bytes) = (level, memory_level, 0);
        let config = builder().deflate(options).build().unwrap();
        let params = params(true, bits);
        let mut conn = open_deflate(Role::Server, params, config.clone());
        conn.send("short").unwrap();
        write_all(&mut conn);
        let idle = owned(open_deflate(Role::Server, params, config));
        owned(conn) - idle
    };
    for bits in 9..=15 {
        for memory_level in 1..=9 {
            let sends = takes(6, memory_level, bits);
            eprintln!("memory level {memory_level}, {bits} bits: {sends} to send");
            // Symbols and output, the hash table, window and chains; 2 KiB for the message and its frame.
            let symbols = 7 << (memory_level + 6);
            let most = symbols + 128 * 1024 + (4 << bits) + (4 + 2) * 1024;
            assert!(sends <= most && sends > most - 6 * 1024, "{sends} of {most}");
        }
        // Stored blocks need no compressor.
        assert!(takes(0, 8, bits) <= 2 * 1024);
    }
    // The figures of the docs.
    for (memory_level, bits, kib) in
        [(8, 15, 372), (8, 9, 246), (1, 9, 135), (1, 15, 261), (9, 15, 484)]
    {
        let sends = takes(6, memory_level, bits);
        assert_eq!((sends + 1023) / 1024, kib, "{sends} bytes");
    }
}

#[test]
fn idle_connection_keeps_its_windows_and_no_more() {
    // rfc7692-7.2.2-02, rfc7692-7.2.2-04, rfc7692-7.2.2-07, rfc7692-7.2.2-09
    let config = Shared::new(deflate_config());
    for role in ROLES {
        // The size of the codec's struct.
        let own = owned(open_deflate(role, params(false, 15), config.clone()));
        assert!((1..=512).contains(&own), "{own}");
        eprintln!("{role:?}: a codec that was never used: {own} bytes");
        for no_takeover in [false, true] {
            for bits in 9..=15 {
                let idle = |sends, receives, by_time| {
                    let mut conn =
                        after_traffic(&config, role, params(no_takeover, bits), sends, receives);
                    match by_time {
                        false => conn.release_memory(),
                        true => {
                            conn.tick(Timestamp::from_millis(0));
                            conn.tick(Timestamp::from_millis(1000));
                        }
                    }
                    owned(conn)
                };
                let window = if no_takeover { 0 } else { 1i64 << bits };
                let both = idle(true, true, false);
                eprintln!("{role:?}, {bits} bits, no takeover {no_takeover}: idle {both}");
                assert_eq!(both, own + 2 * window);
                if matches!(bits, 9 | 15) {
                    assert_eq!(idle(true, false, false), own + window);
                    assert_eq!(idle(false, true, false), own + window);
                }
                if bits == 12 {
                    assert_eq!(
                        idle(true, true, true),
                        both,
                        "ticks free as much as release_memory"
                    );
                }
            }
        }
    }
}

/// Compressed messages of a peer, each as its frame.
fn wires(
    role: Role,
    params: DeflateParams,
    kind: MessageKind,
    len: usize,
    n: usize,
) -> Vec<Vec<u8>> {
    let mut peer = open_deflate(other(role), params, deflate_config());
    let text: String = (0..len).map(|i| char::from(b'a' + (i * i / 7 % 26) as u8)).collect();
    (0..n)
        .map(|i| {
            // Each message differs from the one before.
            let text = format!("{:04}{}", i % 10, &text[..len - 4]);
            match kind {
                MessageKind::Text => peer.send(text).unwrap(),
                MessageKind::Binary => peer.send(text.into_bytes()).unwrap(),
            }
            drain(&mut peer)
        })
        .collect()
}

fn echo(conn: &mut Connection, bytes: &mut [u8]) {
    let mut input = bytes;
    while let Some(event) = conn.receive(&mut input) {
        match event {
            Event::Message(message) => {
                conn.send(&message).unwrap();
                conn.recycle(message);
            }
            event => panic!("{event:?}"),
        }
    }
    write_all(conn);
}

#[test]
fn echo_in_steady_state_allocates_nothing() {
    let config = Shared::new(deflate_config());
    for role in ROLES {
        for no_takeover in [false, true] {
            for (len, kind) in
                [(4, MessageKind::Text), (300, MessageKind::Binary), (9000, MessageKind::Text)]
            {
                let params = params(no_takeover, 9);
                // This many messages fill the windows of 512 bytes.
                let warm = 1000 / len + 20;
                let mut wires = wires(role, params, kind, len, warm + 20);
                let mut conn = open_deflate(role, params, config.clone());
                wires[..warm].iter_mut().for_each(|wire| echo(&mut conn, wire));
                let ((), heap) = measure(|| {
                    wires[warm..].iter_mut().for_each(|wire| echo(&mut conn, wire));
                });
                assert_eq!(
                    heap.allocations, 0,
                    "{role:?} {kind:?} {len}, no takeover {no_takeover}: {heap:?}"
                );
            }
        }
    }
}

#[test]
fn received_messages_that_are_recycled_allocate_nothing() {
    let config = Shared::new(deflate_config());
    for role in ROLES {
        let params = params(false, 10);
        let mut wires = wires(role, params, MessageKind::Text, 2000, 70);
        let mut conn = open_deflate(role, params, config.clone());
        let mut receive = |wires: &mut [Vec<u8>]| {
            for wire in wires {
                let mut input = &mut wire[..];
                while let Some(event) = conn.receive(&mut input) {
                    match event {
                        Event::Message(message) => conn.recycle(message),
                        event => panic!("{event:?}"),
                    }
                }
            }
        };
        receive(&mut wires[..20]);
        let ((), heap) = measure(|| receive(&mut wires[20..]));
        assert_eq!(heap.allocations, 0, "{role:?}: {heap:?}");
    }
}

#[test]
fn sending_in_steady_state_allocates_nothing() {
    let config = Shared::new(deflate_config());
    for role in ROLES {
        for no_takeover in [false, true] {
            for len in [0, 1, 64, 8000] {
                let mut conn = open_deflate(role, params(no_takeover, 11), config.clone());
                let text: String =
                    (0..len).map(|i| char::from(b'a' + (i * i / 3 % 26) as u8)).collect();
                let mut send = |n: usize| {
                    for _ in 0..n {
                        conn.send(&text[..]).unwrap();
                        write_all(&mut conn);
                        conn.send(text.as_bytes()).unwrap();
                        write_all(&mut conn);
                        conn.send_fragment(MessageKind::Text, text.as_bytes(), false).unwrap();
                        conn.send_fragment(MessageKind::Text, b"end", true).unwrap();
                        write_all(&mut conn);
                        conn.send_uncompressed(&text[..]).unwrap();
                        write_all(&mut conn);
                    }
                };
                send((3 * 2048 / (len + 1)).clamp(5, 700));
                let ((), heap) = measure(|| send(20));
                assert_eq!(
                    heap.allocations, 0,
                    "{role:?} {len}, no takeover {no_takeover}: {heap:?}"
                );
            }
        }
    }
}

#[test]
fn prepared_message_is_compressed_once_for_all_connections() {
    let config = Shared::new(deflate_config());
    // The payload is large, because only large frames are shared.
    let payload = traffic().concat();
    for role in ROLES {
        let mut conns: Vec<Connection> =
            (0..100).map(|_| open_deflate(role, params(false, 15), config.clone())).collect();
        let prepared = PreparedMessage::new(&payload[..]);
        let mut costs: Vec<Heap> = Vec::new();
        for conn in &mut conns {
            let ((), heap) = measure(|| conn.send_prepared(&prepared).unwrap());
            costs.push(heap);
        }
        eprintln!(
            "{role:?}, {} bytes prepared: first {:?}, then {:?}",
            payload.len(),
            costs[0],
            costs[1]
        );
        let frames = plain_frames(
            conns[0].outgoing_chunks().flatten().copied().collect::<Vec<_>>().as_slice(),
        );
        let compressed = frames[0].1.len() as i64;
        assert!(compressed < payload.len() as i64 && compressed > 4096);
        for (cost, conn) in costs.iter().zip(&conns).skip(1) {
            let most = match role {
                // A reference to the frame that the first send made.
                Role::Server => 1024,
                // A copy with its own mask; no compressor.
                Role::Client => 2 * compressed + 1024,
            };
            assert!(cost.peak <= most, "{role:?}: {cost:?}");
            if role == Role::Server {
                assert!(
                    std::ptr::eq(conn.outgoing(), conns[0].outgoing()),
                    "the frame is not shared"
                );
            }
        }
        // For another window size the message is compressed again, and that frame is shared too.
        let mut small: Vec<Connection> =
            (0..2).map(|_| open_deflate(role, params(false, 9), config.clone())).collect();
        for conn in &mut small {
            conn.send_prepared(&prepared).unwrap();
        }
        if role == Role::Server {
            assert!(std::ptr::eq(small[0].outgoing(), small[1].outgoing()));
            assert!(!std::ptr::eq(small[0].outgoing(), conns[0].outgoing()));
        }
        for conn in conns.iter_mut().take(2).chain(&mut small) {
            let bytes = drain(conn);
            let mut peer =
                open_deflate(other(role), conn.deflate_params().unwrap(), config.clone());
            let mut log = Log::default();
            feed(&mut peer, &bytes, &mut log);
            assert!(log.seen == [Seen::Binary(payload.clone())]);
        }
    }
}

#[test]
fn prepared_message_keeps_its_compressed_bytes_and_no_compressor() {
    let config = Shared::new(deflate_config());
    let payload = traffic().concat();
    for role in ROLES {
        for bits in [9, 15] {
            let mut conn = open_deflate(role, params(false, bits), config.clone());
            let prepared = PreparedMessage::new(&payload[..]);
            let ((), heap) = measure(|| {
                conn.send_prepared(&prepared).unwrap();
                write_all(&mut conn);
                conn.release_memory();
            });
            let compressed = payload.len() as i64;
            let most = 270 * 1024 + (6 << bits) + 6 * compressed;
            assert!(heap.peak <= most, "{role:?} {bits}: {heap:?}, {most} allowed");
            assert!(heap.kept <= compressed, "{role:?} {bits}: {heap:?}");
            assert!(
                owned(conn) <= 512,
                "the connection keeps a window although the prepared message emptied it"
            );
        }
    }
}

#[test]
fn codecs_stay_while_they_are_used_and_are_freed_by_the_clock() {
    // Messages, pings, and ticks between them allocate nothing. Then, in silence, `tick` returns when it frees the
    // codecs.
    let config = Shared::new(deflate_config());
    for role in ROLES {
        for no_takeover in [false, true] {
            let params = params(no_takeover, 10);
            let own = owned(open_deflate(role, params, config.clone()));
            let mut wires = wires(role, params, MessageKind::Text, 500, 60);
            let mut pings: Vec<Vec<u8>> = (0..60).map(|_| to(role, 0x89, b"ping")).collect();
            let mut conn = open_deflate(role, params, config.clone());
            let mut once = |conn: &mut Connection, n: usize| {
                let now = n as u64 * 10;
                echo(conn, &mut wires[n]);
                conn.tick(Timestamp::from_millis(now));
                let mut input = &mut pings[n][..];
                while conn.receive(&mut input).is_some() {}
                write_all(conn);
                conn.tick(Timestamp::from_millis(now + 1));
                conn.tick(Timestamp::from_millis(now + 2));
            };
            (0..20).for_each(|n| once(&mut conn, n));
            let ((), heap) = measure(|| (20..60).for_each(|n| once(&mut conn, n)));
            assert_eq!(heap.allocations, 0, "{role:?}, no takeover {no_takeover}: {heap:?}");
            let mut next = conn.tick(Timestamp::from_millis(600));
            let mut now = 600;
            while let Some(wake) = next {
                now = wake.since_epoch().as_millis();
                next = conn.tick(wake);
            }
            assert!((1600..=1850).contains(&now), "{now}");
            let window = if no_takeover { 0 } else { 1 << 10 };
            assert_eq!(owned(conn), own + 2 * window, "{role:?}, no takeover {no_takeover}");
        }
    }
}

#[test]
fn a_large_message_leaves_no_large_buffer_behind() {
    // What compresses well needs much room while it is compressed, and little in the queue.
    let config = Shared::new(deflate_config());
    for role in ROLES {
        let busy_after = |len: usize| {
            let mut conn = open_deflate(role, params(false, 15), config.clone());
            conn.send(vec![0; len]).unwrap();
            write_all(&mut conn);
            owned(conn)
        };
        let (small, large) = (busy_after(1000), busy_after(MIB));
        // A window, and a buffer that serves the next message.
        assert!(large <= small + 2 * 32 * 1024, "{role:?}: {large}, not {small}");
    }
}

#[test]
fn messages_of_some_tens_of_kilobytes_are_compressed_where_the_last_one_was() {
    let config = Shared::new(deflate_config());
    for role in ROLES {
        for len in [8000, 20_000, 40_000, 60_000] {
            let mut conn = open_deflate(role, params(false, 11), config.clone());
            let payload = vec![0; len];
            let mut send = || {
                conn.send(&payload[..]).unwrap();
                write_all(&mut conn);
            };
            (0..3).for_each(|_| send());
            let ((), heap) = measure(|| (0..20).for_each(|_| send()));
            assert_eq!(heap.allocations, 0, "{role:?} {len}: {heap:?}");
        }
    }
}

#[test]
fn a_chunk_that_was_inflated_is_one_allocation_and_large_memory_goes_with_its_message() {
    let config =
        Shared::new(deflate_config().to_builder().delivery(Delivery::Chunks).build().unwrap());
    for role in ROLES {
        let mut wires = wires(role, params(false, 11), MessageKind::Binary, 3000, 40);
        let mut conn = open_deflate(role, params(false, 11), config.clone());
        let mut receive = |wire: &mut Vec<u8>| {
            let mut chunks = 0;
            for piece in wire.chunks_mut(200) {
                let mut input = piece;
                while let Some(event) = conn.receive(&mut input) {
                    let Event::Chunk(chunk) = event else { panic!("{event:?}") };
                    chunks += u64::from(!chunk.as_bytes().is_empty());
                }
            }
            chunks
        };
        for wire in &mut wires[..20] {
            receive(wire);
        }
        for wire in &mut wires[20..] {
            let (chunks, heap) = measure(|| receive(wire));
            assert_eq!(heap.allocations, chunks, "{role:?}: {heap:?}");
        }
        // What was given back serves one message.
        conn.recycle(vec![7; 100_000].into());
        let mut last = stored(role);
        let ((), heap) = measure(|| {
            let mut input = &mut last[..];
            while conn.receive(&mut input).is_some() {}
        });
        assert!(heap.kept <= -100_000, "{role:?}: {heap:?}");
    }
}

/// A compressed message that needs no window: a stored block.
fn stored(role: Role) -> Vec<u8> {
    to(role, 0xc2, &[0x00, 0x03, 0x00, 0xfc, 0xff, b'e', b'n', b'd', 0x00])
}

#[test]
fn a_tick_says_when_a_codec_is_to_be_freed_and_nothing_where_there_is_none() {
    let config = Shared::new(deflate_config());
    for role in ROLES {
        for no_takeover in [false, true] {
            let params = params(no_takeover, 10);
            let mut conn = open_deflate(role, params, config.clone());
            assert_eq!(conn.tick(Timestamp::from_millis(0)), None, "no codec was made");
            // One that only receives owns nothing else.
            let mut bytes = stored(role);
            assert_eq!(swallow(&mut conn, &mut bytes, 100), (3, None));
            let due = conn.tick(Timestamp::from_millis(100)).expect("its codec is to be freed");
            assert!(due.since_epoch().as_millis() >= 1100, "{due:?}");
            assert_eq!(conn.tick(due), None, "{role:?}, no takeover {no_takeover}");
        }
    }
}

#[test]
fn the_memory_that_is_to_be_freed_first_says_when() {
    // A codec that compressed at 0 s, and a queue that was used at 0.9 s.
    let config = Shared::new(deflate_config());
    for role in ROLES {
        // It does not compress, and is moved into the queue as it is.
        let noise: Vec<u8> =
            (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut conn = open_deflate(role, params(false, 15), config.clone());
        conn.send(noise).unwrap();
        write_all(&mut conn);
        conn.tick(Timestamp::from_millis(0));
        conn.send_uncompressed("short").unwrap();
        write_all(&mut conn);
        let due = conn.tick(Timestamp::from_millis(900)).expect("memory is to be freed");
        assert!((1000..=1250).contains(&due.since_epoch().as_millis()), "{role:?}: {due:?}");
    }
}

#[test]
fn a_window_grows_by_doubling() {
    let config = Shared::new(deflate_config());
    for role in ROLES {
        let mut wires = wires(role, params(false, 15), MessageKind::Binary, 20, 2000);
        let mut conn = open_deflate(role, params(false, 15), config.clone());
        let ((), heap) = measure(|| wires.iter_mut().for_each(|wire| echo(&mut conn, wire)));
        // 2,000 messages in two windows of 32 KiB: a dozen steps for each, and what is made once.
        assert!(heap.allocations < 100, "{role:?}: {heap:?}");
    }
}

#[test]
fn codecs_that_are_used_between_ticks_stay_whichever_direction_uses_them() {
    // Something every 600 ms, and a tick behind it: shorter than `Config::release_after`, and going on for longer.
    let config = Shared::new(deflate_config());
    type Use = fn(&mut Connection, &mut [u8]);
    let uses: [(&str, Use); 3] = [
        ("both", echo),
        ("sending", |conn, _| {
            conn.send(&[7; 100]).unwrap();
            write_all(conn);
        }),
        ("receiving", |conn, mut bytes| {
            while let Some(Event::Message(message)) = conn.receive(&mut bytes) {
                conn.recycle(message);
            }
        }),
    ];
    for role in ROLES {
        for (name, use_once) in uses {
            let params = params(false, 10);
            let mut wires = wires(role, params, MessageKind::Text, 500, 40);
            let mut conn = open_deflate(role, params, config.clone());
            let mut once = |n: usize| {
                use_once(&mut conn, &mut wires[n]);
                conn.tick(Timestamp::from_millis(n as u64 * 600));
            };
            (0..20).for_each(&mut once);
            let ((), heap) = measure(|| (20..40).for_each(once));
            assert_eq!(heap.allocations, 0, "{role:?}, {name}: {heap:?}");
        }
    }
}

#[test]
fn a_compressed_message_in_the_queue_has_memory_of_its_size() {
    let config = Shared::new(deflate_config());
    for role in ROLES {
        let queued = |payload: Vec<u8>| {
            let mut conn = open_deflate(role, params(false, 9), config.clone());
            // The codec is made.
            conn.send("short").unwrap();
            write_all(&mut conn);
            let (sent, heap) = measure(|| conn.send(&payload[..]));
            sent.unwrap();
            assert!(conn.outgoing_len() > 4096);
            heap
        };
        // 8 MiB of zeros come to some 8 KiB, in a buffer that was made for much more.
        let heap = queued(vec![0; 8 * MIB]);
        assert!(heap.kept <= 64 * 1024, "{role:?}: {heap:?}");
        // What does not compress is moved.
        let noise =
            (0..MIB as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 ^ (i >> 8) as u8);
        let heap = queued(noise.collect());
        assert!(heap.peak <= 2 * MIB as i64, "{role:?}: {heap:?}");
    }
}

#[test]
fn recycled_segments_are_freed_while_a_compressed_message_is_unfinished() {
    for role in ROLES {
        let twin = |recycles: bool| {
            let mut conn = open_deflate(role, params(false, 15), deflate_config());
            conn.send_fragment(MessageKind::Binary, b"begun", false).unwrap();
            for _ in 0..4 {
                conn.ping(&[7; 125]).unwrap();
                let piece = conn.take_outgoing().expect("it is queued");
                conn.advance(conn.outgoing_len() as usize);
                if recycles {
                    conn.recycle_segment(piece);
                }
            }
            conn.release_memory();
            owned(conn)
        };
        assert_eq!(twin(true), twin(false), "{role:?}");
    }
}
