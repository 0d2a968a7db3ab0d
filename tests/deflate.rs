//! permessage-deflate (RFC 7692) on a connection: the RFC's own examples, invalid payloads, limits while inflating, and
//! windows that stay equal at both ends. `deflate_oracle` tests the codec against other implementations.
#![cfg(feature = "deflate")]

mod util;

use util::*;
use websocket_proto::{
    Config, Connection, Deflate, DeflateParams, Delivery, MessageKind, PreparedMessage,
    ProtocolError, Role, Upgrade,
};

const PLAIN: DeflateParams = DeflateParams {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};

fn deflate_config() -> Config {
    let mut deflate = Deflate::default();
    deflate.min_bytes = 0;
    builder().deflate(deflate).build().unwrap()
}

fn deflate_with(role: Role, params: DeflateParams, config: Config) -> Connection {
    Connection::from_upgrade(Upgrade::new(role).deflate(params), config).unwrap()
}

fn deflate(role: Role) -> Connection {
    deflate_with(role, PLAIN, deflate_config())
}

fn hex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Feeds `frames` to both roles in every cut, with both deliveries, and checks the events and the answers.
fn both(
    params: DeflateParams,
    frames: &[(u8, &str)],
    texts: &[&str],
    error: Option<ProtocolError>,
) {
    for role in ROLES {
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| to(role, *first, &hex(payload))).collect();
        for chunked in [false, true] {
            let mut seen: Vec<Seen> = texts
                .iter()
                .map(|text| match chunked {
                    false => Seen::Text(text.to_string()),
                    true => Seen::Chunked(MessageKind::Text, text.as_bytes().to_vec()),
                })
                .collect();
            let code;
            let mut answered: Vec<(u8, &[u8])> = Vec::new();
            if let Some(error) = &error {
                code = error.close_code().unwrap().get().to_be_bytes();
                seen.push(Seen::failed(error.clone()));
                answered.push((0x88, &code));
            }
            let make = || {
                let delivery = if chunked { Delivery::Chunks } else { Delivery::Messages };
                let config = deflate_config().to_builder().delivery(delivery).build().unwrap();
                deflate_with(role, params, config)
            };
            in_every_cut(role, make, &bytes, &seen, &answered);
        }
    }
}

#[test]
fn examples_of_the_rfc_are_received() {
    // rfc7692-6-02, rfc6455-6.2-07, rfc7692-6.2-01, rfc7692-7.2.2-01, rfc7692-7.2.1-03, rfc7692-7.2.1-04,
    // rfc7692-7.2.3.6-01
    for payload in [
        "f248cdc9c90700",             // 7.2.3.1
        "000500faff48656c6c6f00",     // 7.2.3.3: no compression
        "f348cdc9c9070000",           // 7.2.3.4: BFINAL
        "f24805000000ffffcac9c90700", // 7.2.3.5: two blocks
    ] {
        both(PLAIN, &[(0xc1, payload)], &["Hello"], None);
    }
    // 7.2.3.1: fragmented; 7.2.3.6: empty.
    both(PLAIN, &[(0x41, "f248cd"), (0x80, "c9c90700")], &["Hello"], None);
    both(PLAIN, &[(0xc1, "00")], &[""], None);
    both(PLAIN, &[(0x41, "f248cdc9c907"), (0x00, ""), (0x80, "00")], &["Hello"], None);
}

#[test]
fn window_is_kept_between_messages() {
    // rfc7692-7.1.1.1-05, rfc7692-7.1.1.2-05, rfc7692-7.2.2-03, rfc7692-7.2.2-05, rfc7692-7.2.1-05, rfc7692-6-03,
    // rfc7692-6.2-02, rfc7692-7.2.3.2-01, rfc7692-7.2.3.4-01
    both(PLAIN, &[(0xc1, "f248cdc9c90700"), (0xc1, "f200110000")], &["Hello", "Hello"], None);
    both(PLAIN, &[(0xc1, "f348cdc9c9070000"), (0xc1, "f200110000")], &["Hello", "Hello"], None);
    let between: &[(u8, &str)] =
        &[(0xc1, "f248cdc9c90700"), (0x81, "78797a"), (0xc1, "f200110000")];
    both(PLAIN, between, &["Hello", "xyz", "Hello"], None);
}

#[test]
fn window_is_not_kept_without_context_takeover() {
    // rfc7692-7.2.2-02, rfc7692-7.2.2-04
    let params = DeflateParams {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..PLAIN
    };
    both(params, &[(0xc1, "f248cdc9c90700"), (0xc1, "f248cdc9c90700")], &["Hello", "Hello"], None);
    let far: &[(u8, &str)] = &[(0xc1, "f248cdc9c90700"), (0xc1, "f200110000")];
    // The second message is the literal "H" and a match whose distance reaches back before the message.
    for role in ROLES {
        let bytes: Vec<u8> =
            far.iter().flat_map(|(first, payload)| to(role, *first, &hex(payload))).collect();
        for cut in cuts(&bytes) {
            let outcome = run(&mut deflate_with(role, params, deflate_config()), &cut);
            assert_eq!(
                outcome.seen,
                [Seen::Text("Hello".into()), Seen::failed(ProtocolError::InvalidDeflate)]
            );
        }
    }
}

#[test]
fn payload_that_is_not_deflate_fails_with_1007() {
    // rfc7692-7.2.2-12, rfc7692-7.2.2-13
    let rows = [
        ("ffffff", ""),
        // No byte at all; an empty message has the byte 00.
        ("", ""),
        // A stored block that is cut off: the bytes before the cut are delivered.
        ("000500faff4865", "He"),
        // A stored block that the appended tail would complete.
        ("000300fcff", ""),
        // A fixed block that is cut off: within a symbol, and before its end-of-block symbol.
        ("f248cdc9", "Hel"),
        ("f248cdc9c9", "Hell"),
        ("f248cdc9c907", "Hello"),
        // The reserved block type.
        ("07", ""),
        // A dynamic block whose tables are cut off.
        ("04", ""),
    ];
    for (payload, right) in rows {
        for role in ROLES {
            let bytes = to(role, 0xc1, &hex(payload));
            let failed = Seen::failed(ProtocolError::InvalidDeflate);
            let answered: &[(u8, &[u8])] = &[(0x88, &[3, 0xef])];
            in_every_cut(role, || deflate(role), &bytes, std::slice::from_ref(&failed), answered);
            let config = deflate_config().to_builder().delivery(Delivery::Chunks).build().unwrap();
            let mut seen = vec![failed];
            if !right.is_empty() {
                seen.insert(0, Seen::Unfinished(MessageKind::Text, right.into()));
            }
            in_every_cut(
                role,
                || deflate_with(role, PLAIN, config.clone()),
                &bytes,
                &seen,
                answered,
            );
        }
    }
}

#[test]
fn rsv1_is_for_the_first_frame_of_a_message() {
    // rfc7692-6.1-04, rfc6455-5.2-03
    for (frames, first_byte) in [
        (&[(0xc9u8, "")][..], 0xc9),
        (&[(0xca, "")], 0xca),
        (&[(0xc8, "")], 0xc8),
        (&[(0x41, "f248cd"), (0xc0, "c9c90700")], 0xc0),
        (&[(0xe1, "")], 0xe1),
        (&[(0xd1, "")], 0xd1),
    ] {
        for role in ROLES {
            let bytes: Vec<u8> = frames
                .iter()
                .flat_map(|(first, payload)| to(role, *first, &hex(payload)))
                .collect();
            let error = ProtocolError::ReservedBits { first_byte };
            in_every_cut(
                role,
                || deflate(role),
                &bytes,
                &[Seen::failed(error)],
                &[(0x88, &[3, 0xea])],
            );
        }
    }
}

#[test]
fn text_is_checked_after_inflating() {
    // rfc7692-6.1-06
    for (payload, prefix) in [
        ("0002 00fd ff ff ff 00", ""),
        ("0003 00fc ff 61 e2 82 00", "a"),
        ("0005 00fa ff 61 62 ff 63 64 00", "ab"),
    ] {
        for role in ROLES {
            let bytes = to(role, 0xc1, &hex(payload));
            let error = Seen::failed(ProtocolError::InvalidUtf8);
            in_every_cut(
                role,
                || deflate(role),
                &bytes,
                std::slice::from_ref(&error),
                &[(0x88, &[3, 0xef])],
            );
            let config = deflate_config().to_builder().delivery(Delivery::Chunks).build().unwrap();
            let mut seen = vec![error];
            if !prefix.is_empty() {
                seen.insert(0, Seen::Unfinished(MessageKind::Text, prefix.into()));
            }
            in_every_cut(
                role,
                || deflate_with(role, PLAIN, config.clone()),
                &bytes,
                &seen,
                &[(0x88, &[3, 0xef])],
            );
        }
    }
}

#[test]
fn control_frames_go_between_compressed_fragments() {
    // rfc7692-6-01, rfc6455-5.4-06
    let frames: &[(u8, &[u8])] =
        &[(0x41, &[0xf2, 0x48, 0xcd]), (0x89, b"hi"), (0x80, &[0xc9, 0xc9, 0x07, 0x00])];
    for role in ROLES {
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| to(role, *first, payload)).collect();
        let seen = [Seen::Ping(b"hi".to_vec()), Seen::Text("Hello".into())];
        in_every_cut(role, || deflate(role), &bytes, &seen, &[(0x8a, b"hi")]);
    }
}

#[test]
fn sent_messages_are_those_of_the_rfc() {
    // rfc6455-6.1-09, rfc7692-6.1-01, rfc7692-6.1-05, rfc7692-7.2.1-01, rfc7692-7.2.1-02, rfc7692-7.2.1-10,
    // rfc7692-7.2.1-13, rfc7692-7.2.3.6-01, rfc7692-7.2.1-07, rfc7692-6.1-03
    for role in ROLES {
        let mut conn = deflate(role);
        conn.send("Hello").unwrap();
        conn.send("Hello").unwrap();
        conn.send("").unwrap();
        conn.ping(b"raw").unwrap();
        conn.send(b"Hello").unwrap();
        let frames = plain_frames(&drain(&mut conn));
        assert_eq!(frames[0], (0x89, b"raw".to_vec()));
        assert_eq!(frames[1], (0xc1, hex("f248cdc9c90700")));
        assert_eq!(frames[2], (0xc1, hex("f200110000")));
        assert_eq!(frames[3], (0xc1, hex("00")));
        assert_eq!(frames[4].0, 0xc2);
        let mut peer = deflate(other(role));
        conn.send_fragment(MessageKind::Text, b"Hel", false).unwrap();
        conn.send_fragment(MessageKind::Text, b"", false).unwrap();
        conn.send_fragment(MessageKind::Text, b"lo", true).unwrap();
        let bytes = drain(&mut conn);
        let firsts: Vec<u8> = plain_frames(&bytes).iter().map(|(first, _)| *first).collect();
        assert_eq!(firsts, [0x41, 0x00, 0x80]);
        // `peer` has not received the messages above, so it gets the fragments of a fresh connection.
        let mut again = deflate(role);
        again.send_fragment(MessageKind::Text, b"Hel", false).unwrap();
        again.send_fragment(MessageKind::Text, b"lo", true).unwrap();
        let bytes = drain(&mut again);
        assert_eq!(run(&mut peer, &[&bytes]).seen, [Seen::Text("Hello".into())]);
    }
}

#[test]
fn level_0_sends_the_stored_block_of_the_rfc() {
    // rfc7692-7.2.1-01, rfc7692-7.2.1-04, rfc7692-7.2.1-07, rfc7692-7.2.3.6-01
    let mut options = Deflate::default();
    (options.level, options.min_bytes) = (0, 0);
    let config = builder().deflate(options).build().unwrap();
    let stored = |bytes: &[u8]| {
        let len = bytes.len() as u16;
        [&[0x00], &len.to_le_bytes()[..], &(!len).to_le_bytes(), bytes].concat()
    };
    let long: Vec<u8> = (0..70_000_u32).map(|i| (i % 251) as u8).collect();
    for role in ROLES {
        for no_takeover in [false, true] {
            let params = DeflateParams {
                server_no_context_takeover: no_takeover,
                client_no_context_takeover: no_takeover,
                ..PLAIN
            };
            let mut conn = deflate_with(role, params, config.clone());
            conn.send("Hello").unwrap();
            conn.send("").unwrap();
            for (part, last) in [(&b"Hel"[..], false), (b"", false), (b"lo", true)] {
                conn.send_fragment(MessageKind::Binary, part, last).unwrap();
            }
            conn.send_prepared(&websocket_proto::PreparedMessage::with_level("Hello", 0)).unwrap();
            conn.send(&long[..]).unwrap();
            let bytes = drain(&mut conn);
            let whole = [stored(b"Hello"), vec![0x00]].concat();
            let blocks = [stored(&long[..0xffff]), stored(&long[0xffff..]), vec![0x00]].concat();
            assert_eq!(whole, hex("000500faff48656c6c6f00"));
            assert_eq!(
                plain_frames(&bytes),
                [
                    (0xc1, whole.clone()),
                    (0xc1, vec![0x00]),
                    (0x42, stored(b"Hel")),
                    (0x00, vec![]),
                    (0x80, [stored(b"lo"), vec![0x00]].concat()),
                    (0xc1, whole),
                    (0xc2, blocks),
                ]
            );
            // The peer reads it, in two cuts.
            for size in [bytes.len(), 7] {
                let mut peer = deflate_with(other(role), params, config.clone());
                let seen = run(&mut peer, &bytes.chunks(size).collect::<Vec<_>>()).seen;
                let hello = Seen::Text("Hello".into());
                let expected = [
                    hello.clone(),
                    Seen::Text(String::new()),
                    Seen::Binary(b"Hello".to_vec()),
                    hello,
                    Seen::Binary(long.clone()),
                ];
                assert!(seen == expected, "{role:?} {no_takeover} {size}");
            }
        }
    }
}

#[test]
fn without_context_takeover_every_message_starts_with_an_empty_window() {
    // rfc7692-7.2.1-09, rfc7692-7.2.1-12, rfc7692-7.1.1.2-03
    let params = DeflateParams {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..PLAIN
    };
    for role in ROLES {
        let mut conn = deflate_with(role, params, deflate_config());
        conn.send("Hello").unwrap();
        conn.send("Hello").unwrap();
        let frames = plain_frames(&drain(&mut conn));
        assert_eq!(frames, vec![(0xc1, hex("f248cdc9c90700")); 2]);
    }
}

#[test]
fn short_and_secret_messages_are_not_compressed() {
    // rfc7692-6.1-02, rfc7692-8-01
    for role in ROLES {
        let config = builder().deflate(Deflate::default()).build().unwrap();
        let mut conn = deflate_with(role, PLAIN, config);
        let text = "x".repeat(64);
        conn.send(&text[..63]).unwrap();
        conn.send(&text[..]).unwrap();
        conn.send_uncompressed(&text[..]).unwrap();
        let firsts: Vec<u8> =
            plain_frames(&drain(&mut conn)).iter().map(|(first, _)| *first).collect();
        assert_eq!(firsts, [0x81, 0xc1, 0x81]);
    }
}

#[test]
fn limit_holds_while_inflating() {
    // rfc7692-8-02, rfc6455-7.4.1-09
    for role in ROLES {
        for (limit, len, ok) in [
            (1000u64, 999usize, true),
            (1000, 1000, true),
            (1000, 1001, false),
            (1, 1, true),
            (1, 2, false),
        ] {
            let mut sender = deflate(other(role));
            let text = "a".repeat(len);
            sender.send(&text[..]).unwrap();
            let bytes = drain(&mut sender);
            for chunked in [false, true] {
                let config = deflate_config()
                    .to_builder()
                    .delivery(if chunked { Delivery::Chunks } else { Delivery::Messages })
                    .max_message_bytes(limit)
                    .build()
                    .unwrap();
                let whole = match chunked {
                    false => Seen::Text(text.clone()),
                    true => Seen::Chunked(MessageKind::Text, text.clone().into_bytes()),
                };
                let mut seen = Vec::new();
                if ok {
                    seen.push(whole);
                } else {
                    if chunked && limit > 0 {
                        seen.push(Seen::Unfinished(
                            MessageKind::Text,
                            text.as_bytes()[..limit as usize].to_vec(),
                        ));
                    }
                    seen.push(Seen::failed(ProtocolError::MessageTooBig { len: limit + 1, limit }));
                }
                for cut in cuts(&bytes) {
                    let outcome = run(&mut deflate_with(role, PLAIN, config.clone()), &cut);
                    assert_eq!(outcome.seen, seen, "{role:?} {limit} {len} {chunked}");
                }
            }
        }
    }
}

#[test]
fn prepared_messages_are_compressed_once_and_the_window_follows() {
    let prepared = PreparedMessage::new("Hello Hello Hello");
    for role in ROLES {
        let mut conn = deflate(role);
        let mut peer = deflate(other(role));
        for _ in 0..2 {
            conn.send("Hello Hello").unwrap();
            conn.send_prepared(&prepared).unwrap();
            conn.send("Hello Hello Hello Hello").unwrap();
        }
        assert_eq!(conn.buffered_amount(), 2 * (11 + 17 + 23));
        let bytes = drain(&mut conn);
        assert_eq!(conn.buffered_amount(), 0);
        assert!(plain_frames(&bytes).iter().all(|(first, _)| *first == 0xc1));
        let expected = ["Hello Hello", "Hello Hello Hello", "Hello Hello Hello Hello"];
        let seen: Vec<Seen> =
            expected.iter().cycle().take(6).map(|text| Seen::Text(text.to_string())).collect();
        assert_eq!(run(&mut peer, &[&bytes]).seen, seen);
    }
}

#[test]
fn buffered_amount_is_zero_after_a_close_that_cut_a_message_short() {
    // whatwg-bufferedAmount-01
    for role in ROLES {
        let mut conn = deflate(role);
        conn.send_fragment(MessageKind::Binary, &[7; 250], false).unwrap();
        drain(&mut conn);
        assert_eq!(conn.buffered_amount(), 250, "the last byte of the message is not queued yet");
        conn.close(1000, "").unwrap();
        assert_eq!(conn.buffered_amount(), 250);
        drain(&mut conn);
        assert_eq!(conn.buffered_amount(), 0, "the message can no longer be completed");
    }
}

#[test]
fn buffered_amount_counts_before_compression_and_falls_with_the_last_byte() {
    // whatwg-bufferedAmount-02
    for role in ROLES {
        let mut conn = deflate(role);
        conn.send(vec![7; 10_000]).unwrap();
        conn.send_uncompressed(&[1; 10]).unwrap();
        conn.send_fragment(MessageKind::Binary, &[2; 500], false).unwrap();
        conn.send_fragment(MessageKind::Binary, &[2; 600], true).unwrap();
        assert_eq!(conn.buffered_amount(), 11_110);
        let sizes: Vec<usize> = {
            let bytes: Vec<u8> = conn.outgoing_chunks().flatten().copied().collect();
            read_frames(&bytes).iter().map(|f| frame(f.first, &f.payload, f.key).len()).collect()
        };
        for _ in 0..sizes[0] - 1 {
            conn.advance(1);
            assert_eq!(conn.buffered_amount(), 11_110);
        }
        conn.advance(1);
        assert_eq!(conn.buffered_amount(), 1110);
        conn.advance(sizes[1]);
        assert_eq!(conn.buffered_amount(), 1100);
        conn.advance(sizes[2] + sizes[3] - 1);
        assert_eq!(conn.buffered_amount(), 1100);
        conn.advance(1);
        assert_eq!(conn.buffered_amount(), 0);
    }
}

#[test]
fn idle_codecs_are_freed_and_the_windows_stay() {
    for role in ROLES {
        let mut conn = deflate(role);
        let mut peer = deflate(other(role));
        for turn in 0..3 {
            conn.send("Hello").unwrap();
            let bytes = drain(&mut conn);
            let len = plain_frames(&bytes)[0].1.len();
            assert!(turn == 0 || len <= 5, "{len} bytes: the window is lost");
            assert_eq!(run(&mut peer, &[&bytes]).seen, [Seen::Text("Hello".into())]);
            conn.release_memory();
            peer.release_memory();
        }
        // Within a message `release_memory` does not free the codec.
        let bytes = to(other(role), 0x41, &hex("f248cd"));
        let _ = run(&mut peer, &[&bytes]);
        peer.release_memory();
        let bytes = to(other(role), 0x80, &hex("c9c90700"));
        assert_eq!(run(&mut peer, &[&bytes]).seen, [Seen::Text("Hello".into())]);
    }
}

#[test]
fn hint_that_was_not_agreed_on_binds_neither_end() {
    // rfc7692-7.2.1-11, rfc7692-7.2.2-06
    let mut hinting = Deflate::default();
    hinting.min_bytes = 0;
    hinting.client_no_context_takeover = true;
    let agreed = hinting.agree([&b"permessage-deflate"[..]]).unwrap();
    assert_eq!(agreed, Some(PLAIN), "the server did not agree to the hint");
    // The server understands a client that keeps its window although it gave the hint.
    let mut client = deflate(Role::Client);
    let mut server = deflate_with(Role::Server, PLAIN, deflate_config());
    for _ in 0..2 {
        client.send("Hello").unwrap();
    }
    let bytes = drain(&mut client);
    assert_eq!(plain_frames(&bytes)[1], (0xc1, hex("f200110000")));
    assert_eq!(run(&mut server, &[&bytes]).seen, vec![Seen::Text("Hello".into()); 2]);
    // Our client keeps to its own hint, and the server understands it too.
    let config = deflate_config().to_builder().deflate(hinting).build().unwrap();
    let mut client = deflate_with(Role::Client, PLAIN, config);
    for _ in 0..2 {
        client.send("Hello").unwrap();
    }
    let bytes = drain(&mut client);
    assert_eq!(plain_frames(&bytes)[1], (0xc1, hex("f248cdc9c90700")));
    assert_eq!(run(&mut server, &[&bytes]).seen, vec![Seen::Text("Hello".into()); 2]);
}

#[test]
fn default_windows_are_the_largest() {
    // rfc7692-7.3-01
    let defaults = Deflate::default();
    assert_eq!((defaults.server_max_window_bits, defaults.client_max_window_bits), (15, 15));
}

#[test]
fn unfinished_compressed_message_stays_buffered_when_the_queue_is_empty() {
    // whatwg-bufferedAmount-02
    for role in ROLES {
        for release in [false, true] {
            let mut conn = deflate(role);
            let mut peer = deflate(other(role));
            let mut wire = Vec::new();
            for (n, last) in [(500, false), (600, false), (700, true)] {
                conn.send_fragment(MessageKind::Binary, &vec![2; n], last).unwrap();
                // Written byte by byte: the amount falls to 0 with the last byte of the message, not before.
                let total = conn.buffered_amount();
                while conn.wants_write() {
                    assert_eq!(conn.buffered_amount(), total, "{role:?} in {n}");
                    wire.push(conn.outgoing()[0]);
                    conn.advance(1);
                }
                if release {
                    conn.release_memory();
                }
                let buffered =
                    [(500, 500), (600, 1100), (700, 0)].iter().find(|row| row.0 == n).unwrap().1;
                assert_eq!(conn.buffered_amount(), buffered, "{role:?} after {n}");
            }
            assert_eq!(run(&mut peer, &[&wire]).seen, [Seen::Binary(vec![2; 1800])]);
        }
    }
}

#[test]
fn verdict_does_not_depend_on_whether_the_codec_was_freed() {
    // rfc7692-7.1.2.2-05: the second message has a match that reaches into the first
    for bits in [8, 9, 15] {
        let mut params = PLAIN;
        (params.server_max_window_bits, params.client_max_window_bits) = (bits, bits);
        for distance in [250_usize, 400, 500, 600, 2000] {
            let [second, first] = far_copy(distance);
            for role in ROLES {
                let verdicts = [false, true].map(|release| {
                    let mut conn = deflate_with(role, params, deflate_config());
                    let before = run(&mut conn, &[&to(role, 0xc2, &first)]).seen;
                    assert_eq!(before.len(), 1);
                    if release {
                        conn.release_memory();
                    }
                    run(&mut conn, &[&to(role, 0xc2, &second)]).seen
                });
                assert_eq!(verdicts[0], verdicts[1], "{role:?}, {bits} bits, distance {distance}");
                // The agreed window bounds the distance. 8 bits count as 9, because old zlib uses 9 if asked for 8.
                let is_near = distance <= 1 << bits.max(9);
                assert_eq!(
                    matches!(verdicts[0][..], [Seen::Binary(_)]),
                    is_near,
                    "{bits}, {distance}"
                );
            }
        }
    }
}

/// Two payloads: one match of 258 bytes at `distance`, and the stored block of `distance` bytes to be received before.
fn far_copy(distance: usize) -> [Vec<u8>; 2] {
    let data: Vec<u8> = (0..distance).map(|i| (i * 7 + i / 256) as u8).collect();
    let len = data.len() as u16;
    let mut first = vec![0];
    first.extend_from_slice(&len.to_le_bytes());
    first.extend_from_slice(&(!len).to_le_bytes());
    first.extend_from_slice(&data);
    first.push(0);
    // RFC 1951 3.2.6: a fixed block with length 258 (code 285), the distance and the end of the block; then the first
    // bits of the empty stored block whose tail is left out.
    let mut bits = Vec::new();
    let mut put = |value: usize, count: usize, msb_first: bool| {
        for at in 0..count {
            let at = if msb_first { count - 1 - at } else { at };
            bits.push(value >> at & 1 == 1);
        }
    };
    put(0b010, 3, false);
    put(0b1100_0101, 8, true);
    let extra = ((distance - 1) / 2).ilog2() as usize;
    let symbol = 2 * (extra + 1) + ((distance - 1) >> extra & 1);
    put(symbol, 5, true);
    put((distance - 1) & ((1 << extra) - 1), extra, false);
    put(0, 7, true);
    put(0b000, 3, false);
    let mut second = vec![0; bits.len().div_ceil(8)];
    for (at, bit) in bits.iter().enumerate() {
        second[at / 8] |= u8::from(*bit) << (at % 8);
    }
    [second, first]
}

#[test]
fn poll_event_returns_an_early_compressed_message_whole() {
    // rfc7692-6.2-01: the request and a message in one read; the request is accepted later, perhaps after the EOF
    let mut text = "early ".repeat(10);
    for len in [1, 5, 60, 3000, 40_000] {
        while text.len() < len {
            text += &text.clone();
        }
        let text = &text[..len];
        for (delivery, is_over) in [(false, false), (false, true), (true, false), (true, true)] {
            let config = if delivery { chunks() } else { config() };
            let config = config.to_builder().deflate(Deflate::default()).build().unwrap();
            let mut peer = deflate(Role::Client);
            peer.send(text).unwrap();
            let request = String::from_utf8(REQUEST.to_vec())
                .unwrap()
                .replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
            let mut conn = Connection::server(config);
            let mut log = Log::default();
            feed(&mut conn, &[request.as_bytes(), &drain(&mut peer)].concat(), &mut log);
            if is_over {
                conn.receive_eof();
            }
            conn.accept(&websocket_proto::Accept::new()).unwrap();
            assert!(conn.deflate_params().is_some());
            let mut log = Log::default();
            while let Some(event) = conn.poll_event() {
                log.push(event);
            }
            let mut expected = vec![match delivery {
                false => Seen::Text(text.to_string()),
                true => Seen::Chunked(MessageKind::Text, text.as_bytes().to_vec()),
            }];
            if is_over {
                expected.push(Seen::lost(websocket_proto::CloseCause::TransportEnded));
            }
            assert_eq!(log.seen, expected, "{len}, {delivery}, {is_over}");
        }
    }
}

#[test]
fn without_a_configuration_the_defaults_hold() {
    let mut conn = deflate_with(Role::Server, PLAIN, config());
    for (len, first) in [(63, 0x81), (64, 0xc1)] {
        conn.send("a".repeat(len)).unwrap();
        assert_eq!(drain(&mut conn)[0], first, "{len}");
    }
}

#[test]
fn buffered_amount_of_a_compressed_message_falls_with_its_last_fragment() {
    // whatwg-bufferedAmount-02: fragments count whole, with a message behind them, too.
    for role in ROLES {
        for fragments in [&[500][..], &[500, 600], &[0, 500, 600], &[1, 1, 1, 0]] {
            let mut conn = deflate(role);
            for (n, len) in fragments.iter().enumerate() {
                let last = n + 1 == fragments.len();
                conn.send_fragment(MessageKind::Binary, &vec![2; *len], last).unwrap();
            }
            let message: u64 = fragments.iter().map(|len| *len as u64).sum();
            let wire = conn.outgoing_len() as usize;
            conn.send_uncompressed(&[1; 10]).unwrap();
            for n in 1..wire {
                conn.advance(1);
                assert_eq!(conn.buffered_amount(), message + 10, "{role:?}, {fragments:?} at {n}");
            }
            conn.advance(1);
            assert_eq!(conn.buffered_amount(), 10, "{role:?}, {fragments:?}");
        }
    }
}
