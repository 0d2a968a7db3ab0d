//! Counts of heap allocations: none for an idle connection, none per message in steady state, and never one whose size
//! is a declared length.

#[path = "util/alloc.rs"]
mod alloc;
mod util;

use std::time::Duration;

use alloc::{Counting, measure};
use util::*;
use websocket_proto::{
    Accept, ClientRequest, Connection, Delivery, Event, Message, MessageKind, PreparedMessage,
    ReadBuffer, Role, Shared, Timestamp,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Feeds `copy`, echoes messages, and writes everything. The caller makes the copy, so that it is not measured.
fn echo(conn: &mut Connection, copy: &mut [u8]) {
    let mut input = copy;
    while let Some(event) = conn.receive(&mut input) {
        if let Event::Message(message) = event {
            conn.send(message).unwrap();
        }
    }
    while conn.wants_write() {
        let n = conn.outgoing().len();
        conn.advance(n);
    }
}

#[test]
fn size_of_a_connection_is_what_the_docs_say() {
    if cfg!(target_pointer_width = "64") {
        let size = if cfg!(feature = "deflate") { 192 } else { 184 };
        assert_eq!(size_of::<Connection>(), size);
        assert!(size_of::<Option<Event<'_>>>() <= 32);
    }
}

#[test]
fn reading_extensions_allocates_nothing() {
    let value =
        br#"a; b="1\0"; c, permessage-deflate; server_max_window_bits="\1\0", d;e=f, bad bad"#;
    let ((params, is_read), heap) = measure(|| {
        let (mut params, mut is_read) = (0, 0);
        for extension in websocket_proto::handshake::parse_extensions(value) {
            let Ok(extension) = extension else { continue };
            for param in extension.params() {
                params += 1;
                is_read += usize::from(param.value().is_some_and(|value| value == "10"));
            }
        }
        (params, is_read)
    });
    assert_eq!((params, is_read, heap.allocations), (4, 2, 0));
}

#[test]
fn open_connection_owns_no_heap() {
    let config = Shared::new(config());
    for role in ROLES {
        let (conn, heap) = measure(|| open_with(role, config.clone()));
        assert_eq!((heap.allocations, heap.kept), (0, 0), "{role:?}");
        drop(conn);
    }
}

#[test]
fn idle_connection_owns_no_heap_after_a_busy_time() {
    let config = Shared::new(config());
    for role in ROLES {
        for when in ["on request", "when time passes"] {
            let mut traffic: Vec<Vec<u8>> = vec![
                to(role, 0x81, b"short"),
                to(role, 0x82, &[1; 70_000]),
                [to(role, 0x01, b"a"), to(role, 0x89, b"ping"), to(role, 0x80, b"b")].concat(),
            ];
            let (conn, heap) = measure(|| {
                let mut conn = open_with(role, config.clone());
                for bytes in &mut traffic {
                    echo(&mut conn, bytes);
                }
                if when == "on request" {
                    conn.release_memory();
                } else {
                    conn.tick(Timestamp::from_millis(0));
                    conn.tick(Timestamp::from_millis(1000));
                }
                conn
            });
            assert_eq!(heap.kept, 0, "{role:?} {when}");
            drop(conn);
        }
    }
}

#[test]
fn server_is_idle_without_heap_after_its_opening_handshake() {
    let request = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let config = Shared::new(config());
    let mut copy = request.to_vec();
    let (conn, heap) = measure(|| {
        let (mut conn, new) = measure(|| Connection::server(config.clone()));
        assert_eq!(new.allocations, 0, "a new server has no state on the heap");
        let mut input = &mut copy[..];
        assert!(matches!(conn.receive(&mut input), Some(Event::UpgradeRequest(_))));
        conn.accept(&Accept::default()).unwrap();
        let n = conn.outgoing().len();
        conn.advance(n);
        conn
    });
    assert!(heap.allocations <= 2, "{heap:?}");
    assert_eq!(heap.kept, 0, "freed without a tick");
    drop(conn);
}

#[test]
fn client_is_idle_without_heap_after_its_opening_handshake() {
    let config = builder()
        .entropy(websocket_proto::Entropy::from_fn(|out| {
            out.copy_from_slice(&b"the sample nonce"[..out.len()]);
            Ok(())
        }))
        .build()
        .unwrap();
    let config = Shared::new(config);
    let (request, heap) =
        measure(|| ClientRequest::new("WS://server.example.com:8080/caf\u{e9}?x").unwrap());
    let text = [request.uri().authority(), request.uri().resource()].concat();
    assert_eq!(text, "server.example.com:8080/caf%C3%A9?x");
    assert_eq!(
        (heap.allocations, heap.kept),
        (1, text.len() as i64),
        "one allocation of the exact size"
    );
    let mut response =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            .to_vec();
    let (conn, heap) = measure(|| {
        let mut conn = Connection::client(&request, config.clone()).unwrap();
        let n = conn.outgoing().len();
        conn.advance(n);
        let mut input = &mut response[..];
        assert!(matches!(conn.receive(&mut input), Some(Event::Open(_))));
        conn
    });
    assert!(heap.allocations <= 2, "{heap:?}");
    assert_eq!(heap.kept, 0, "freed without a tick: {heap:?}");
    drop(conn);
}

#[test]
fn steady_state_allocates_nothing_per_message() {
    let config = Shared::new(config());
    for role in ROLES {
        for len in [0, 1, 125, 126, 1000, 16_000] {
            for kind in [0x81, 0x82] {
                let frames = to(role, kind, &vec![b'x'; len]);
                let mut conn = open_with(role, config.clone());
                echo(&mut conn, &mut frames.clone());
                let mut copies: Vec<Vec<u8>> = (0..100).map(|_| frames.clone()).collect();
                let ((), heap) = measure(|| {
                    for copy in &mut copies {
                        echo(&mut conn, copy);
                    }
                });
                assert_eq!(heap.allocations, 0, "{role:?}, {len} bytes");
                let prepared = PreparedMessage::new(vec![1; len]);
                let ((), heap) = measure(|| {
                    for _ in 0..100 {
                        conn.send_prepared(&prepared).unwrap();
                        conn.send_fragment(MessageKind::Binary, &[1; 10], false).unwrap();
                        conn.send_fragment(MessageKind::Binary, &[1; 10], true).unwrap();
                        while conn.wants_write() {
                            let n = conn.outgoing().len();
                            conn.advance(n);
                        }
                    }
                });
                assert!(
                    heap.allocations <= 8,
                    "only the first rounds allocate: {heap:?}, {role:?}, {len} bytes"
                );
            }
        }
    }
}

#[test]
fn steady_state_allocates_nothing_per_chunk_and_ping() {
    let config = Shared::new(chunks());
    for role in ROLES {
        // Reads of 1001 bytes cut characters of each length at each place.
        let text = "aä€😀".repeat(1000);
        let message = to(role, 0x81, text.as_bytes());
        let ping = to(role, 0x89, b"ping");
        let mut conn = open_with(role, config.clone());
        let once = |conn: &mut Connection| {
            let mut copy = message.clone();
            let mut ping = ping.clone();
            measure(|| {
                for piece in copy.chunks_mut(1001).chain([&mut ping[..]]) {
                    let mut input = piece;
                    while conn.receive(&mut input).is_some() {}
                }
                while conn.wants_write() {
                    let n = conn.outgoing().len();
                    conn.advance(n);
                }
            })
        };
        once(&mut conn);
        let ((), heap) = once(&mut conn);
        assert_eq!(heap.allocations, 0, "{role:?}");
    }
}

#[test]
fn steady_state_allocates_nothing_per_frame() {
    // Frames are passed from one connection to another, with pings between them, and the reads cut them.
    let config = builder().delivery(Delivery::Frames).build().unwrap();
    let config = Shared::new(config);
    for role in ROLES {
        let long = vec![b'x'; 5000];
        let rows: [(u8, &[u8]); 8] = [
            (0x01, b"a"),
            (0x89, b"ping"),
            (0x00, b""),
            (0x80, "\u{20ac}".as_bytes()),
            (0x82, &long),
            (0x81, b""),
            (0x8a, b"pong"),
            (0x82, &long[..126]),
        ];
        let bytes: Vec<u8> =
            rows.iter().flat_map(|(first, bytes)| to(role, *first, bytes)).collect();
        for size in [1, 7, 1000, usize::MAX] {
            let mut from = open_with(role, config.clone());
            let mut on = open_with(other(role), config.clone());
            let once = |from: &mut Connection, on: &mut Connection| {
                let mut copy = bytes.clone();
                measure(|| {
                    for piece in copy.chunks_mut(size) {
                        let mut input = piece;
                        while let Some(event) = from.receive(&mut input) {
                            match event {
                                Event::FrameHeader(header) => on.begin_frame(&header).unwrap(),
                                Event::FramePayload(payload) => {
                                    on.send_payload(payload.as_bytes()).unwrap();
                                }
                                Event::Ping(payload) => on.ping(&payload).unwrap(),
                                Event::Pong(payload) => on.pong(&payload).unwrap(),
                                other => panic!("{other:?}"),
                            }
                        }
                        for conn in [&mut *from, &mut *on] {
                            while conn.wants_write() {
                                conn.advance(conn.outgoing().len());
                            }
                        }
                    }
                })
            };
            once(&mut from, &mut on);
            let ((), heap) = once(&mut from, &mut on);
            // The two control frames are put together on the heap if the reads cut them, as with any delivery.
            let cut = if size < 10 { 2 * 2 } else { 0 };
            assert!(heap.allocations <= cut && heap.kept == 0, "{role:?} in {size}: {heap:?}");
        }
    }
}

#[test]
fn cutting_a_message_into_frames_allocates_nothing_per_frame() {
    let config = builder().max_outgoing_frame_bytes(100).build().unwrap();
    let config = Shared::new(config);
    for role in ROLES {
        let mut conn = open_with(role, config.clone());
        let payload = vec![7; 16_000];
        for round in 0..4 {
            let ((), heap) = measure(|| {
                conn.send(&payload[..]).unwrap();
                while conn.wants_write() {
                    conn.advance(conn.outgoing().len());
                }
            });
            // A client draws the keys of all frames before it queues the first.
            let keys = if role == Role::Client { 1 } else { 0 };
            assert!(round == 0 || heap.allocations <= keys, "{role:?}: {heap:?}");
        }
    }
}

#[test]
fn nothing_is_allocated_by_a_declared_length() {
    // rfc6455-10.4-01
    for role in ROLES {
        let limits = builder()
            .max_frame_bytes(u64::MAX)
            .max_message_bytes(in_one_buffer(u64::MAX))
            .build()
            .unwrap();
        let limits = Shared::new(limits);
        let mask_bit = if role == Role::Server { 0x80 } else { 0 };
        // On 32 bits: half of the largest size of a buffer.
        let len = if usize::BITS < 64 { isize::MAX as u64 / 2 } else { (1 << 60) - 1 };
        let declared = [&[0x82, mask_bit | 127][..], &len.to_be_bytes(), &KEY].concat();
        let header = if role == Role::Server { 14 } else { 10 };
        for arrived in [0usize, 1, 100, 10_000] {
            let mut bytes = declared[..header].to_vec();
            bytes.resize(header + arrived, 7);
            let mut conn = open_with(role, limits.clone());
            let ((), heap) = measure(|| {
                let mut input = &mut bytes[..];
                assert!(conn.receive(&mut input).is_none());
            });
            assert!(heap.peak <= 4 * arrived as i64, "{heap:?} for {arrived} bytes");
        }
    }
}

#[test]
fn memory_of_a_large_message_follows_its_bytes_and_nothing_is_kept() {
    let len = 1 << 20;
    for role in ROLES {
        let mut bytes = to(role, 0x82, &vec![9; len]);
        let mut conn = open(role);
        let (message, heap) = measure(|| {
            for piece in bytes.chunks_mut(16 * 1024) {
                let mut input = piece;
                if let Some(Event::Message(message)) = conn.receive(&mut input) {
                    return message.into_owned();
                }
            }
            panic!("no message was received")
        });
        assert!(matches!(&message, Message::Binary(bytes) if bytes.len() == len));
        assert!(heap.peak <= len as i64 + 64 * 1024, "{heap:?}");
        assert_eq!(heap.kept, len as i64, "only the message is kept; it was moved, not copied");
    }
}

#[test]
fn message_that_fits_into_its_read_buffer_allocates_nothing() {
    for role in ROLES {
        let text = "aä€😀".repeat(300);
        let bytes = [to(role, 0x81, text.as_bytes()), to(role, 0x82, &[5; 4000])].concat();
        let mut conn = open(role);
        let mut buffer = ReadBuffer::with_capacity(4096);
        let (count, heap) = measure(|| {
            let mut count = 0;
            for piece in bytes.chunks(701) {
                buffer.spare()[..piece.len()].copy_from_slice(piece);
                buffer.filled(piece.len());
                while let Some(event) = conn.receive_from(&mut buffer) {
                    assert!(matches!(event, Event::Message(message) if message.len() >= 3000));
                    count += 1;
                }
            }
            count
        });
        assert_eq!((count, heap.allocations), (2, 0), "{role:?}");
    }
}

#[test]
fn recycled_memory_serves_the_next_message_and_is_freed_when_idle() {
    for role in ROLES {
        let message = to(role, 0x82, &vec![9; 100_000]);
        let mut conn = open(role);
        let receive = |conn: &mut Connection| {
            let mut copy = message.clone();
            measure(|| {
                for piece in copy.chunks_mut(16 * 1024) {
                    let mut input = piece;
                    while let Some(event) = conn.receive(&mut input) {
                        let Event::Message(message) = event else { panic!("{event:?}") };
                        assert_eq!(message.len(), 100_000);
                        conn.recycle(message);
                    }
                }
            })
            .1
        };
        assert!(receive(&mut conn).kept >= 100_000);
        for second in 0..3 {
            conn.tick(Timestamp::from_millis(1000 * second));
            assert_eq!(receive(&mut conn).allocations, 0, "{role:?}");
        }
        conn.tick(Timestamp::from_millis(5000));
        let ((), heap) = measure(|| {
            conn.tick(Timestamp::from_millis(6000));
        });
        assert!(heap.kept <= -100_000, "{heap:?}");
        receive(&mut conn);
        let ((), heap) = measure(|| conn.release_memory());
        assert!(heap.kept <= -100_000, "{heap:?}");
    }
}

/// Ticks at each moment that `tick` returns, until it returns `None`. Returns the time that passed.
fn wait_in_silence(conn: &mut Connection, now: u64) -> Duration {
    let begin = Timestamp::from_millis(now);
    let (mut now, mut next) = (begin, conn.tick(begin));
    while let Some(wake) = next {
        assert!(wake > now);
        now = wake;
        next = conn.tick(now);
    }
    now.saturating_since(begin)
}

#[test]
fn memory_is_freed_after_a_second_without_use_whatever_the_number_of_ticks() {
    // Messages that need the queue and an assembly buffer, every 10 ms, with 0 to 10 ticks after each.
    let config = Shared::new(config());
    for role in ROLES {
        let message = to(role, 0x82, &[1; 60_000]);
        let pinged = [to(role, 0x81, b"short"), to(role, 0x89, b"ping")].concat();
        for ticks in [0, 1, 2, 10] {
            let mut copies: Vec<Vec<u8>> = (0..50).map(|_| message.clone()).collect();
            let mut pings: Vec<Vec<u8>> = (0..50).map(|_| pinged.clone()).collect();
            let (conn, heap) = measure(|| {
                let mut conn = open_with(role, config.clone());
                let mut once = |conn: &mut Connection, n: usize| {
                    for piece in copies[n].chunks_mut(16 * 1024) {
                        let mut input = piece;
                        while let Some(Event::Message(message)) = conn.receive(&mut input) {
                            conn.send(message.as_bytes()).unwrap();
                            conn.recycle(message);
                        }
                    }
                    while conn.wants_write() {
                        let n = conn.outgoing().len();
                        conn.advance(n);
                    }
                    echo(conn, &mut pings[n]);
                    for tick in 0..ticks {
                        conn.tick(Timestamp::from_millis(n as u64 * 10 + tick));
                    }
                };
                (0..5).for_each(|n| once(&mut conn, n));
                let ((), steady) = measure(|| (5..50).for_each(|n| once(&mut conn, n)));
                assert_eq!(steady.allocations, 0, "{role:?}, {ticks} ticks: {steady:?}");
                let waited = wait_in_silence(&mut conn, 500);
                assert!(waited >= Duration::from_secs(1) && waited < Duration::from_millis(1250));
                conn
            });
            assert_eq!(
                heap.kept, 0,
                "{role:?}, {ticks} ticks: memory is freed at the moment that a tick returned"
            );
            drop(conn);
        }
    }
}

#[test]
fn memory_is_freed_release_after_its_last_use() {
    for after in [0, 1, 125, 3000] {
        let config =
            Shared::new(builder().release_after(Duration::from_millis(after)).build().unwrap());
        for role in ROLES {
            let mut conn = open_with(role, config.clone());
            echo(&mut conn, &mut to(role, 0x82, &[1; 60_000]));
            let waited = wait_in_silence(&mut conn, 77).as_millis() as u64;
            assert!((after..after + 250).contains(&waited), "{waited} for {after}");
            let ((), heap) = measure(|| drop(conn));
            assert_eq!(heap.kept, 0, "{role:?}");
        }
    }
}

#[test]
fn a_finished_connection_keeps_nothing() {
    let config = Shared::new(config());
    for role in ROLES {
        for end in [Connection::receive_eof, Connection::abort] {
            let mut bytes = to(role, 0x82, &[1; 60_000]);
            let mut conn = open_with(role, config.clone());
            echo(&mut conn, &mut bytes);
            end(&mut conn);
            let payload = vec![1; 100_000];
            let ((), heap) = measure(|| conn.recycle(Message::Binary(payload.into())));
            assert_eq!(heap.kept, -100_000, "a finished connection drops recycled memory");
            while conn.poll_event().is_some() {}
            assert!(conn.is_finished());
            assert_eq!(conn.tick(Timestamp::from_millis(0)), None);
            let ((), heap) = measure(|| drop(conn));
            assert_eq!(heap.kept, 0, "{role:?}");
        }
    }
}

#[test]
fn moving_payloads_into_a_warm_queue_allocates_nothing() {
    for role in ROLES {
        let mut conn = open(role);
        for len in [4096, 20_000, 100_000] {
            for round in 0..4 {
                let payload = vec![7; len];
                let (_, heap) = measure(|| {
                    conn.send(payload).unwrap();
                    while conn.wants_write() {
                        conn.advance(conn.outgoing().len());
                    }
                });
                assert!(round == 0 || heap.allocations == 0, "{role:?} {len}: {heap:?}");
            }
        }
    }
}

#[test]
fn of_the_memory_that_is_given_back_the_larger_stays_until_a_tick_frees_it() {
    for role in ROLES {
        let mut conn = open(role);
        let at = Timestamp::from_millis;
        assert_eq!(conn.tick(at(0)), None, "there is nothing to wait for");
        let ((), heap) = measure(|| {
            for len in [1000, 5000, 200] {
                conn.recycle(Message::Binary(vec![7; len].into()));
            }
        });
        assert_eq!(heap.kept, 5000, "{role:?}");
        let due = conn.tick(at(1)).expect("memory is to be freed");
        // What a message is put together in is not to be freed.
        let front = to(role, 0x02, b"front");
        assert!(conn.receive(&mut &mut front.clone()[..]).is_none());
        assert_eq!(conn.tick(at(2)), None, "{role:?}");
        let rest = to(role, 0x80, b"end");
        assert!(matches!(conn.receive(&mut &mut rest.clone()[..]), Some(Event::Message(_))));
        assert_eq!(conn.tick(at(3)), None, "{role:?}: the message has taken it along");
        assert!(due > at(1));
    }
}

#[test]
fn a_queue_that_was_long_keeps_at_most_80_kib() {
    for role in ROLES {
        for sizes in [&[100_000][..], &[300_000], &[60_000, 60_000, 60_000], &[10_000; 30]] {
            let mut conn = open(role);
            for len in sizes {
                conn.send(&vec![7; *len][..]).unwrap();
            }
            while conn.wants_write() {
                conn.advance(conn.outgoing().len());
            }
            let ((), heap) = measure(|| drop(conn));
            assert!(heap.kept >= -82 * 1024, "{role:?}, {sizes:?}: {heap:?}");
            let mut conn = open(role);
            conn.send(&vec![7; sizes[0]][..]).unwrap();
            conn.advance(conn.outgoing_len() as usize);
            let ((), heap) = measure(|| drop(conn));
            assert!(heap.kept >= -82 * 1024, "{role:?}, {sizes:?}, written at once: {heap:?}");
        }
    }
}

#[test]
fn a_server_to_which_nothing_was_said_owns_no_heap() {
    let config = Shared::new(config());
    let (conn, heap) = measure(|| {
        let mut conn = Connection::server(config.clone());
        assert!(conn.receive(&mut &mut [][..]).is_none());
        conn
    });
    assert_eq!((heap.allocations, heap.kept), (0, 0));
    drop(conn);
}

/// Receives pieces by way of a buffer, and returns what that has allocated.
fn receiving(conn: &mut Connection, pieces: &[&[u8]], asks: bool) -> u64 {
    let mut buffer = ReadBuffer::with_capacity(1000);
    let mut allocations = 0;
    for piece in pieces {
        buffer.spare()[..piece.len()].copy_from_slice(piece);
        buffer.filled(piece.len());
        let ((), heap) = measure(|| {
            while !asks || conn.is_event_ready(&mut buffer) {
                if conn.receive_from(&mut buffer).is_none() {
                    assert!(!asks, "an event was ready");
                    break;
                }
            }
        });
        allocations += heap.allocations;
        while conn.wants_write() {
            conn.advance(conn.outgoing().len());
        }
    }
    allocations
}

#[test]
fn to_ask_whether_an_event_is_ready_allocates_nothing() {
    // Messages, chunks and control frames are borrowed from the buffer, or put together once, whoever asks before.
    let text = "aé€😀 bc".as_bytes();
    let streams: [&[(u8, &[u8])]; 6] = [
        &[(0x81, text), (0x82, &[7; 30]), (0x81, b"")],
        &[(0x82, &[7; 200]), (0x81, text)],
        &[(0x01, &text[..6]), (0x00, &text[6..]), (0x80, b"more")],
        &[(0x02, b"ab"), (0x00, b""), (0x80, b"c")],
        &[(0x89, &[7; 20]), (0x8a, b""), (0x8a, b"pong")],
        &[(0x01, text), (0x8a, b"pong"), (0x80, text)],
    ];
    for role in ROLES {
        for config in [config(), chunks()] {
            let config = Shared::new(config);
            for stream in streams {
                let frames = stream.iter().flat_map(|(first, payload)| to(role, *first, payload));
                let bytes: Vec<u8> = frames.collect();
                // Of text, a piece of up to three bytes may hold no whole character: its chunk is copied.
                let has_text = stream.iter().any(|(first, _)| first & 0x0f == 1);
                let is_small = config.delivery() == Delivery::Chunks && has_text;
                for pieces in cuts(&bytes).into_iter().take(if is_small { 1 } else { usize::MAX }) {
                    let mut plain = open_with(role, config.clone());
                    let mut asking = open_with(role, config.clone());
                    let expected = receiving(&mut plain, &pieces, false);
                    let found = receiving(&mut asking, &pieces, true);
                    let sizes: Vec<_> = pieces.iter().map(|piece| piece.len()).take(20).collect();
                    assert!(found <= expected, "{role:?}, {sizes:?}: {found} for {expected}");
                }
            }
        }
    }
}
