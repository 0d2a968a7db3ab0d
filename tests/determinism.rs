//! The bytes that a connection sends depend on its own calls only, not on the thread or on other connections of the
//! thread. Otherwise a client could learn from its own frames what another client was sent.
#![cfg(feature = "deflate")]

mod util;

use util::*;
use websocket_proto::{
    Connection, Deflate, DeflateParams, MessageKind, PreparedMessage, Role, Upgrade,
};

const LEVELS: std::ops::RangeInclusive<u8> = 0..=9;
const WINDOWS: std::ops::RangeInclusive<u8> = 9..=15;

fn open_deflate(role: Role, level: u8, bits: u8, no_takeover: bool) -> Connection {
    let default = Deflate::default().memory_level;
    open_with_memory(role, level, default, bits, no_takeover)
}

fn open_with_memory(
    role: Role,
    level: u8,
    memory_level: u8,
    bits: u8,
    no_takeover: bool,
) -> Connection {
    let params = DeflateParams {
        server_no_context_takeover: no_takeover,
        client_no_context_takeover: no_takeover,
        server_max_window_bits: bits,
        client_max_window_bits: bits,
    };
    let mut options = Deflate::default();
    (options.level, options.memory_level, options.min_bytes) = (level, memory_level, 0);
    let config = builder().deflate(options).build().unwrap();
    Connection::from_upgrade(Upgrade::new(role).deflate(params), config)
        .expect("a seed cannot fail")
}

/// Random text of `letters` different letters. Few letters make many short matches.
fn text(len: usize, letters: u32, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + ((state >> 16) % letters) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// Returns all bytes that a connection sends in a fixed sequence of calls: messages of each size up to 300 bytes and of
/// some others, whole, in fragments and prepared, with `release_memory` at times.
fn life(role: Role, level: u8, bits: u8, no_takeover: bool) -> Vec<u8> {
    let mut conn = open_deflate(role, level, bits, no_takeover);
    let mut sent = Vec::new();
    let sizes = (1..=300).chain([511, 513, 1000, 20_000, 20, 3]);
    for (n, len) in sizes.enumerate() {
        let payload = text(len, 2 + n as u32 % 4, n as u32);
        match n % 5 {
            0 | 1 => conn.send(&payload[..]).unwrap(),
            2 => conn.send(payload).unwrap(),
            3 => {
                let (front, back) = payload.split_at(len / 3);
                conn.send_fragment(MessageKind::Binary, front, false).unwrap();
                conn.send_fragment(MessageKind::Binary, back, false).unwrap();
                conn.send_fragment(MessageKind::Binary, b"", true).unwrap();
            }
            _ => {
                let prepared = match n % 2 {
                    0 => PreparedMessage::new(payload),
                    _ => PreparedMessage::with_level(payload, 10 - level),
                };
                conn.send_prepared(&prepared).unwrap();
            }
        }
        if n % 7 == 6 {
            conn.release_memory();
        }
        sent.extend(drain(&mut conn));
        if n % 7 == 3 {
            conn.release_memory();
        }
    }
    sent
}

/// Runs other connections on this thread, of both roles, with the same level and window size, until windows are full.
fn serve_others(level: u8, bits: u8, seed: u32) {
    for role in ROLES {
        for no_takeover in [false, true] {
            let mut conn = open_deflate(role, level, bits, no_takeover);
            for (letters, len) in [(3, 70_000), (2, 300), (4, 5000)] {
                conn.send(text(len, letters, seed)).unwrap();
                conn.send_prepared(&PreparedMessage::with_level(text(len, 3, !seed), level))
                    .unwrap();
                drain(&mut conn);
                if len == 300 {
                    conn.release_memory();
                }
            }
            conn.release_memory();
        }
    }
}

#[test]
fn sent_bytes_do_not_depend_on_connections_served_before() {
    // rfc7692-8-01
    for level in LEVELS {
        for bits in WINDOWS {
            for role in ROLES {
                for no_takeover in [false, true] {
                    let fresh = std::thread::spawn(move || life(role, level, bits, no_takeover));
                    let used = std::thread::spawn(move || {
                        serve_others(level, bits, u32::from(level) << 8 | u32::from(bits));
                        life(role, level, bits, no_takeover)
                    });
                    let (fresh, used) = (fresh.join().unwrap(), used.join().unwrap());
                    assert!(
                        fresh == used,
                        "{role:?}, level {level}, {bits} bits, no takeover {no_takeover}"
                    );
                }
            }
        }
    }
}

/// The attack: the attacker's connection compresses some bytes and is idle. On the same thread another connection sends
/// a page with a secret. Then the attacker's connection compresses a chosen message, and its frames must not depend on
/// the secret. The secret is at the offset that equals the length of the attacker's first message: a compressor that
/// the two connections share would look at that byte next.
#[test]
fn frames_do_not_reveal_what_another_connection_was_sent() {
    // rfc7692-8-01
    for level in LEVELS {
        for n in 0..400 {
            let no_takeover = n % 4 == 0;
            let letters = 2 + n % 3;
            let history = text(3 + n as usize % 37, letters, n);
            let chosen = text(1 + n as usize % 41, letters, !n);
            let observe = |secret: u8| {
                let mut attacker = open_deflate(Role::Server, level, 15, no_takeover);
                attacker.send(&history[..]).unwrap();
                drain(&mut attacker);
                attacker.release_memory();

                let mut victim = open_deflate(Role::Server, level, 15, no_takeover);
                let mut page = vec![b'.'; 100];
                page[history.len()] = secret;
                victim.send(page).unwrap();
                drain(&mut victim);
                victim.release_memory();

                if no_takeover {
                    attacker.send_fragment(MessageKind::Binary, &history, false).unwrap();
                    attacker.send_fragment(MessageKind::Binary, &chosen, true).unwrap();
                } else {
                    attacker.send(&chosen[..]).unwrap();
                }
                drain(&mut attacker)
            };
            let first = observe(b'a');
            for secret in 1..letters as u8 {
                let secret = b'a' + secret;
                assert!(observe(secret) == first, "level {level}, {n}: {}", char::from(secret));
            }
        }
    }
}

#[test]
fn without_takeover_a_message_is_compressed_as_if_it_were_the_first() {
    // rfc7692-7.2.1-09, rfc7692-7.2.1-12: its bytes do not depend on the messages before
    let memory_levels = (1..=9).flat_map(|memory| [(9, memory), (15, memory)]);
    let windows: Vec<_> = WINDOWS.map(|bits| (bits, 8)).chain(memory_levels).collect();
    for level in LEVELS {
        for &(bits, memory) in &windows {
            let open = || open_with_memory(Role::Server, level, memory, bits, true);
            let send = |conn: &mut Connection, payload: &[u8]| {
                let (front, back) = payload.split_at(payload.len() / 2);
                conn.send_fragment(MessageKind::Binary, front, false).unwrap();
                conn.send_fragment(MessageKind::Binary, back, true).unwrap();
                drain(conn)
            };
            let mut conn = open();
            let sizes = (1..=120).chain([511, 512, 513, 1024, 1100, 4096, 4097, 70_000, 9000, 5]);
            for (n, len) in sizes.enumerate() {
                let payload = text(len, 2 + n as u32 % 2, n as u32);
                let alone = send(&mut open(), &payload);
                assert!(send(&mut conn, &payload) == alone, "{level}, {memory}, {bits}: {len}");
                // The earlier message is longer, so the window holds its bytes after the end of the next message.
                let secret = text(len + 20, 2, !(n as u32));
                conn.send(secret).unwrap();
                drain(&mut conn);
            }
        }
    }
}

#[test]
fn prepared_message_is_compressed_at_a_level_of_its_own() {
    // The bytes do not depend on which connection sends the message first.
    let payload = text(3000, 5, 9);
    for role in ROLES {
        for (own, level) in [(None, 6), (Some(1), 1), (Some(9), 9), (Some(0), 0), (Some(200), 9)] {
            let prepare = || match own {
                None => PreparedMessage::new(&payload[..]),
                Some(own) => PreparedMessage::with_level(&payload[..], own),
            };
            let mut expected = open_deflate(role, level, 12, false);
            expected.send(&payload[..]).unwrap();
            let expected = plain_frames(&drain(&mut expected));
            for asks in LEVELS {
                let mut conn = open_deflate(role, asks, 12, false);
                let prepared = prepare();
                conn.send_prepared(&prepared).unwrap();
                assert_eq!(
                    plain_frames(&drain(&mut conn)),
                    expected,
                    "level {own:?}, first sent by a connection of level {asks}"
                );
            }
        }
    }
}

#[test]
fn behind_a_prepared_message_one_is_compressed_as_if_it_were_the_first() {
    // rfc7692-8-01: what was prepared was compressed with an empty window, whatever the codec holds of earlier messages.
    for level in LEVELS {
        for bits in WINDOWS {
            for len in (1..=120u32).chain([511, 1024, 4097]) {
                let open = || open_deflate(Role::Server, level, bits, false);
                let send = |conn: &mut Connection, payload: Vec<u8>| {
                    let (front, back) = payload.split_at(payload.len() / 2);
                    conn.send_fragment(MessageKind::Binary, front, false).unwrap();
                    conn.send_fragment(MessageKind::Binary, back, true).unwrap();
                    drain(conn)
                };
                let mut conn = open();
                // A codec that is made anew has the window of the one before.
                send(&mut conn, text(len as usize + 20, 2, !len));
                conn.release_memory();
                send(&mut conn, text(3, 2, len + 1));
                let prepared = PreparedMessage::with_level(text(5, 2, len), level);
                conn.send_prepared(&prepared).unwrap();
                drain(&mut conn);
                let payload = || text(len as usize, 2 + len % 2, len);
                let alone = send(&mut open(), payload());
                assert!(send(&mut conn, payload()) == alone, "level {level}, {bits}: {len}");
            }
        }
    }
}
