//! The formulas of `docs/security.md`: what a connection can have allocated at most, whatever its peer sends and
//! however little it reads, in terms of its configuration's limits.

#[path = "util/alloc.rs"]
mod alloc;
mod util;

use alloc::{Counting, measure};
use util::*;
use websocket_proto::{
    Accept, CloseCause, Config, Connection, Delivery, Event, HandshakeError, MessageKind,
    ProtocolError, Role, UsageError,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is small and does not grow: boxed state, one event, a control frame.
const FIXED: usize = 2048;

fn config_of(max_message: u64, max_outgoing: u64) -> Config {
    let mut config = config();
    config.max_message_bytes = max_message;
    config.max_frame_bytes = max_message;
    config.max_outgoing_bytes = max_outgoing;
    config
}

/// While the handshake lasts.
fn opening_bound(config: &Config, role: Role) -> usize {
    match role {
        Role::Server => 11 * config.max_head_bytes + 2 * config.max_early_bytes + FIXED,
        Role::Client => 3 * config.max_head_bytes + 2 * config.max_refusal_body_bytes + FIXED,
    }
}

/// What is being received.
fn receiving_bound(config: &Config) -> usize {
    match config.delivery {
        Delivery::Chunks => FIXED,
        _ => 2 * config.max_message_bytes as usize + FIXED,
    }
}

/// What is queued.
fn sending_bound(config: &Config) -> usize {
    // As many again may be taken out.
    let pongs = 2 * usize::from(config.max_queued_pongs) * 131;
    2 * config.max_outgoing_bytes as usize + 2 * pongs + 128 * 1024 + FIXED
}

/// Feeds one piece, and says whether the connection is over.
fn swallow(conn: &mut Connection, piece: &[u8]) -> Option<CloseCause> {
    let mut end = None;
    // The copy is the test's own, on the stack.
    for part in piece.chunks(1024) {
        let mut copy = [0; 1024];
        copy[..part.len()].copy_from_slice(part);
        let mut input = &mut copy[..part.len()];
        while let Some(event) = conn.receive(&mut input) {
            if let Event::Closed(closed) = event {
                end = Some(closed.cause);
            }
        }
    }
    end
}

#[test]
fn receiving_takes_no_more_than_the_limits_say() {
    // rfc6455-10.4-01, rfc6455-10.4-02
    for role in ROLES {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            for first in [0x01, 0x02] {
                // Fragments of one size, of growing sizes, of shrinking sizes.
                let sizes: [&dyn Fn(usize) -> usize; 5] =
                    [&|_| 1, &|_| 1000, &|n| n * n, &|n| 9000 / (n + 1), &|n| [1, 5000][n % 2]];
                for size in sizes {
                    let mut config = config_of(30_000, 1 << 20);
                    config.delivery = delivery;
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
                    assert!(too_big, "the limits were reached: {end:?}");
                }
            }
        }
    }
}

#[test]
fn a_queue_takes_no_more_than_the_limits_say() {
    // rfc6455-10.4-01
    for role in ROLES {
        for limit in [10_000, 300_000, 1_000_000] {
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
                                true => conn.send(payload.to_vec()),
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
    // rfc6455-10.4-01: written late, taken out early or late
    for role in ROLES {
        for every in [1, 7, 100, usize::MAX] {
            let config = config_of(1000, 1000);
            let bound = sending_bound(&config) - 2 * 1000;
            let mut conn = open_with(role, config);
            let ping = to(role, 0x89, &[b'p'; 125]);
            let (_, heap) = measure(|| {
                let mut out = Vec::with_capacity(100);
                for n in 0..20_000 {
                    assert!(swallow(&mut conn, &ping).is_none());
                    if n % every == 0 {
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
    // rfc6455-10.4-01: the smallest messages, of each of which the size is noted
    let params = websocket_proto::DeflateParams {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    for role in ROLES {
        for payload in ["", "a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            let mut config = config_of(1000, 300_000);
            let mut deflate = websocket_proto::Deflate::default();
            deflate.min_bytes = 0;
            config.deflate = Some(deflate);
            let codec = (32 + 372 + 64) * 1024;
            let bound = sending_bound(&config) + codec;
            let mut conn = Connection::from_upgrade_with_deflate(role, params, config).unwrap();
            let (messages, heap) = measure(|| {
                (0..).find(|_| match conn.send(payload) {
                    Ok(()) => false,
                    Err(UsageError::BufferFull { .. }) => true,
                    Err(error) => panic!("{error}"),
                })
            });
            let bound = bound + 16 * messages.expect("the limit was reached") as usize;
            assert!(heap.peak as usize <= bound, "{role:?} {payload}: {heap:?} of {bound}");
        }
    }
}

#[test]
fn opening_takes_no_more_than_the_limits_say() {
    // rfc6455-10.4-01
    let mut config = config();
    config.max_head_bytes = 20_000;
    config.max_early_bytes = 30_000;
    config.max_refusal_body_bytes = 40_000;
    for size in [1, 100, usize::MAX] {
        let bound = opening_bound(&config, Role::Server);
        let mut conn = connecting(Role::Server, config.clone());
        let head = std::str::from_utf8(REQUEST).unwrap().strip_suffix("\r\n").unwrap();
        let offers = (0..1000).map(|n| format!("p{n}, ")).collect::<String>();
        let head =
            format!("{head}Sec-WebSocket-Protocol: {offers}x\r\nX: {}\r\n\r\n", "x".repeat(10_000));
        let early = to(Role::Server, 0x02, &[b'x'; 100]).repeat(1000);
        let bytes = [head.as_bytes(), &early].concat();
        // The most names that a head can list.
        let head = std::str::from_utf8(REQUEST).unwrap().strip_suffix("\r\n").unwrap();
        let names = format!("{head}Sec-WebSocket-Protocol: {}x\r\n\r\n", "a,".repeat(9_000));
        let mut refusing = connecting(Role::Server, config.clone());
        let (end, heap) = measure(|| {
            let mut pieces = names.as_bytes().chunks(size.min(names.len()));
            pieces.find_map(|piece| swallow(&mut refusing, piece))
        });
        let twice = CloseCause::Protocol(HandshakeError::DuplicateSubprotocol.into());
        assert_eq!(end, Some(twice));
        assert!(heap.peak as usize <= bound, "many names by {size}: {heap:?}, {bound}");

        let (end, heap) = measure(|| {
            bytes.chunks(size.min(bytes.len())).find_map(|piece| swallow(&mut conn, piece))
        });
        let limit = config.max_early_bytes;
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
    // What is accepted gives it all back, but for the response that is queued.
    let mut conn = connecting(Role::Server, config);
    assert_eq!(swallow(&mut conn, REQUEST), None);
    conn.accept(&Accept::default()).unwrap();
    drain(&mut conn);
    conn.send_fragment(MessageKind::Text, b"", true).unwrap();
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
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            for block in [stored(500, 0), stored(500, 1), stored(10, 1), stored(0, 0)] {
                for fragment in [usize::MAX, 1000, 7] {
                    let mut config = config_of(30_000, 1 << 20);
                    config.delivery = delivery;
                    let chunk = if delivery == Delivery::Chunks { 2 * 16 * 1024 } else { 0 };
                    let bound = receiving_bound(&config) + (32 + 47) * 1024 + 512 + chunk;
                    let payload = block.repeat(40_000 / block.len());
                    let (mut conn, heap) = measure(|| {
                        Connection::from_upgrade_with_deflate(role, params, config).unwrap()
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
