//! The closing handshake and the end of a connection: codes, reasons, order, answers, failures, and what the loop's
//! questions (`wants_read` and others) return in every phase. `transport_end.rs` tests the end of the transport at each
//! byte, `time.rs` tests timers.

mod util;

use proptest::prelude::*;
use util::*;
use websocket_proto::{
    Accept, CloseCause, CloseCode, Config, Connection, Delivery, Entropy, Event,
    MAX_CLOSE_REASON_BYTES, MessageKind, PreparedMessage, ProtocolError, Role, State, Timestamp,
    UsageError, cut_close_reason,
};

/// Whether a Close frame may have this code: RFC 6455 7.4 and IANA's registry.
fn may_travel(code: u16) -> bool {
    [1000..=1003, 1007..=1014, 3000..=4999].iter().any(|range| range.contains(&code))
}

/// A Close frame's payload.
fn body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

fn sent(conn: &mut Connection) -> Vec<(u8, Vec<u8>)> {
    plain_frames(&drain(conn))
}

/// Feeds frames. Returns the events and the outgoing frames.
fn exchange(conn: &mut Connection, frames: &[(u8, &[u8])]) -> (Vec<Seen>, Vec<(u8, Vec<u8>)>) {
    let bytes: Vec<u8> =
        frames.iter().flat_map(|(first, payload)| to(conn.role(), *first, payload)).collect();
    let outcome = run(conn, &[&bytes]);
    (outcome.seen, plain_frames(&outcome.output))
}

/// Connections in every state except open, with nothing outgoing and no event pending.
fn not_open(role: Role) -> Vec<(&'static str, Connection)> {
    let mut all = vec![("connecting", connecting(role, config()))];
    if role == Role::Server {
        let mut deciding = connecting(role, config());
        feed(&mut deciding, REQUEST, &mut Log::default());
        all.push(("deciding", deciding));
    }
    for name in ["closing", "closed by the peer", "closed by us", "failed", "ended", "aborted"] {
        let mut conn = open(role);
        match name {
            "closing" => conn.close(1000, "").unwrap(),
            "closed by the peer" => feed(&mut conn, &to(role, 0x88, b""), &mut Log::default()),
            "closed by us" => {
                conn.close(1000, "").unwrap();
                feed(&mut conn, &to(role, 0x88, b""), &mut Log::default());
            }
            "failed" => feed(&mut conn, &to(role, 0x83, b""), &mut Log::default()),
            "ended" => conn.receive_eof(),
            _ => conn.abort(),
        }
        all.push((name, conn));
    }
    for (_, conn) in &mut all {
        drain(conn);
        while conn.poll_event().is_some() {}
    }
    all
}

#[test]
fn every_code_is_sent_or_is_an_error() {
    // rfc6455-7.4.1-01, rfc6455-7.4.1-03, rfc6455-7.4.1-04, rfc6455-7.4.1-05, rfc6455-7.4.1-06, rfc6455-7.4.1-08,
    // rfc6455-7.4.1-10, rfc6455-7.4.1-12, rfc6455-7.4.1-13, rfc6455-7.4.2-01, rfc6455-7.4.2-02, rfc6455-7.4.2-03,
    // rfc6455-7.4.2-04, rfc6455-5.5.1-02, whatwg-close-01 (the core accepts all codes of the RFC), whatwg-close-07,
    // whatwg-gc-02 (1001 can be sent)
    for role in ROLES {
        for code in 0..=u16::MAX {
            let named = CloseCode::new(code);
            for (number, is_it) in [(code, true), (code ^ 1, false)] {
                assert_eq!((named == number, number == named), (is_it, is_it), "{code}");
            }
            let mut conn = open(role);
            let result = conn.close(code, "why");
            if may_travel(code) && !(code == 1010 && role == Role::Server) {
                assert_eq!(result, Ok(()), "{role:?} {code}");
                assert_eq!(conn.state(), State::Closing);
                assert_eq!(sent(&mut conn), [(0x88, body(code, "why"))], "{role:?}");
            } else {
                assert_eq!(
                    result,
                    Err(UsageError::CloseCodeNotSendable(CloseCode::new(code))),
                    "{role:?}"
                );
                assert_eq!(
                    (conn.state(), conn.outgoing_len()),
                    (State::Open, 0),
                    "{role:?} {code}"
                );
                assert_eq!(conn.send("still open"), Ok(()));
            }
        }
    }
}

#[test]
fn every_received_code_is_echoed_or_a_violation() {
    // rfc6455-5.5.1-03, rfc6455-5.5.1-09, rfc6455-5.5.1-10, rfc6455-7.4-02, rfc6455-7.4.1-12
    for role in ROLES {
        for code in 0..=u16::MAX {
            let mut conn = open(role);
            let (seen, answer) = exchange(&mut conn, &[(0x88, &body(code, ""))]);
            if may_travel(code) {
                assert_eq!(seen, [Seen::closed(code, "", CloseCause::Peer)], "{role:?}");
                assert_eq!(answer, [(0x88, body(code, ""))], "{role:?}");
            } else {
                let [Seen::Closed { code: CloseCode::ABNORMAL, clean: false, cause, .. }] =
                    &seen[..]
                else {
                    panic!("{role:?} {code}: {seen:?}");
                };
                assert!(
                    matches!(cause, CloseCause::Protocol(ProtocolError::InvalidCloseCode { .. })),
                    "{seen:?}"
                );
                assert_eq!(answer, [(0x88, body(1002, ""))], "{role:?} {code}");
            }
            assert_eq!((conn.state(), conn.is_writable()), (State::Closed, false));
            assert_eq!(
                conn.is_finished(),
                role == Role::Server && may_travel(code),
                "{role:?} {code}"
            );
        }
    }
}

#[test]
fn named_codes_have_their_numbers() {
    // rfc6455-7.4.1-02
    let rows = [
        (CloseCode::NORMAL, 1000),
        (CloseCode::GOING_AWAY, 1001),
        (CloseCode::PROTOCOL_ERROR, 1002),
        (CloseCode::UNSUPPORTED_DATA, 1003),
        (CloseCode::NO_STATUS, 1005),
        (CloseCode::ABNORMAL, 1006),
        (CloseCode::INVALID_PAYLOAD, 1007),
        (CloseCode::POLICY_VIOLATION, 1008),
        (CloseCode::TOO_BIG, 1009),
        (CloseCode::EXTENSION_REQUIRED, 1010),
        (CloseCode::INTERNAL_ERROR, 1011),
        (CloseCode::SERVICE_RESTART, 1012),
        (CloseCode::TRY_AGAIN_LATER, 1013),
        (CloseCode::BAD_GATEWAY, 1014),
        (CloseCode::TLS_HANDSHAKE, 1015),
    ];
    for (code, number) in rows {
        assert_eq!((code.get(), CloseCode::from(number)), (number, code));
        assert_eq!((u16::from(code), code.to_string()), (number, number.to_string()));
        assert!(code == number && code != number + 1);
        assert_eq!(code.is_sendable_by(Role::Client), may_travel(number), "{code}");
    }
    assert_eq!(
        rows.map(|(code, _)| code)[..],
        *CloseCode::NAMED,
        "a row for each code with a name"
    );
}

#[test]
fn close_frame_has_the_code_and_the_reason_that_were_given() {
    // rfc6455-7.1.2-01, rfc6455-7.4-01, rfc6455-5.5.1-01, rfc6455-5.5.1-02, rfc6455-5.5.1-04, rfc6455-5.5.1-07,
    // rfc6455-7.4.1-11, whatwg-close-06, whatwg-close-07, whatwg-close-08 (no reason can be given without a code)
    type Row = (Option<(u16, &'static str)>, &'static [u8]);
    let rows: [Row; 6] = [
        (None, b""),
        (Some((1000, "")), b"\x03\xe8"),
        (Some((1000, "bye")), b"\x03\xe8bye"),
        (Some((3000, "x")), b"\x0b\xb8x"),
        (Some((1001, "\u{feff}é€😀")), b"\x03\xe9\xef\xbb\xbf\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
        (Some((4999, "\0")), b"\x13\x87\0"),
    ];
    for role in ROLES {
        for (close, payload) in rows {
            let mut conn = open(role);
            match close {
                None => conn.close_without_code(),
                Some((code, reason)) => conn.close(code, reason).unwrap(),
            }
            let frames = read_frames(&drain(&mut conn));
            assert_eq!(frames.len(), 1);
            assert_eq!(
                (frames[0].first, &frames[0].payload[..]),
                (0x88, payload),
                "{role:?} {close:?}"
            );
            assert_eq!(frames[0].key.is_some(), role == Role::Client);
        }
    }
    let mut client = open(Role::Client);
    client.close(CloseCode::EXTENSION_REQUIRED, "permessage-deflate").unwrap();
    assert_eq!(sent(&mut client), [(0x88, body(1010, "permessage-deflate"))]);
}

#[test]
fn reason_is_at_most_123_bytes_of_utf8() {
    // whatwg-close-02, rfc6455-5.5-02
    let rows = [
        ("a", 122),
        ("a", 123),
        ("a", 124),
        ("é", 61),
        ("é", 62),
        ("😀", 30),
        ("😀", 31),
        ("a", 70_000),
    ];
    for role in ROLES {
        for (character, n) in rows {
            let reason = character.repeat(n);
            let mut conn = open(role);
            let result = conn.close(1000, &reason);
            if reason.len() <= 123 {
                assert_eq!(result, Ok(()), "{character} x {n}");
                assert_eq!(sent(&mut conn), [(0x88, body(1000, &reason))]);
            } else {
                assert_eq!(result, Err(UsageError::CloseReasonTooLong { len: reason.len() }));
                assert_eq!(
                    (conn.state(), conn.outgoing_len()),
                    (State::Open, 0),
                    "{character} x {n}"
                );
            }
        }
    }
}

#[test]
fn arguments_of_close_are_checked_in_every_state() {
    // whatwg-close-03
    for role in ROLES {
        for (name, mut conn) in not_open(role) {
            let before = conn.state();
            for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
                assert_eq!(
                    conn.close(code, ""),
                    Err(UsageError::CloseCodeNotSendable(code.into())),
                    "{role:?} {name} {code}"
                );
                assert_eq!(conn.fail(code, ""), conn.close(code, ""), "{role:?} {name} {code}");
            }
            let long = "x".repeat(124);
            assert_eq!(
                conn.close(1000, &long),
                Err(UsageError::CloseReasonTooLong { len: 124 }),
                "{role:?} {name}"
            );
            assert_eq!(conn.fail(1000, &long), conn.close(1000, &long), "{role:?} {name}");
            if role == Role::Server {
                assert_eq!(
                    conn.close(1010, ""),
                    Err(UsageError::CloseCodeNotSendable(1010.into())),
                    "{name}"
                );
                assert_eq!(conn.fail(1010, ""), conn.close(1010, ""), "{name}");
            }
            assert_eq!((conn.state(), conn.outgoing_len()), (before, 0), "{role:?} {name}");
            assert!(conn.poll_event().is_none(), "{role:?} {name}");
        }
    }
}

#[test]
fn second_close_does_nothing() {
    // whatwg-close-04, rfc6455-5.5.1-09
    for role in ROLES {
        for (name, mut conn) in
            not_open(role).into_iter().filter(|(_, conn)| conn.state() >= State::Closing)
        {
            let before = conn.state();
            assert_eq!(conn.close(4000, "again"), Ok(()), "{role:?} {name}");
            conn.close_without_code();
            assert_eq!((conn.state(), conn.outgoing_len()), (before, 0), "{role:?} {name}");
            assert!(conn.poll_event().is_none(), "{role:?} {name}");
        }
        let mut conn = open(role);
        conn.close(4000, "first").unwrap();
        conn.close(4001, "second").unwrap();
        assert_eq!(sent(&mut conn), [(0x88, body(4000, "first"))], "{role:?}");
    }
}

#[test]
fn close_before_the_connection_is_open_ends_it_without_a_frame() {
    // whatwg-close-05, rfc6455-7.1.4-02, rfc6455-7.2.2-01, rfc6455-7.1.7-06
    for role in ROLES {
        for how in ["close", "close without code", "fail"] {
            let cause = if how == "fail" { CloseCause::Failed } else { CloseCause::Aborted };
            let deciding = |conn: &mut Connection| feed(conn, REQUEST, &mut Log::default());
            let rows: &[&dyn Fn(&mut Connection)] = match role {
                Role::Server => {
                    &[&|_| {}, &|conn| feed(conn, &REQUEST[..20], &mut Log::default()), &deciding]
                }
                Role::Client => &[&|_| {}, &|conn| drop(drain(conn)), &|conn| conn.advance(7)],
            };
            for (row, prepare) in rows.iter().enumerate() {
                let mut conn = connecting(role, config());
                prepare(&mut conn);
                let waits = role == Role::Server && row == 2;
                match how {
                    "close" => conn.close(1000, "bye").unwrap(),
                    "fail" => conn.fail(1000, "bye").unwrap(),
                    _ => conn.close_without_code(),
                }
                assert_eq!(conn.state(), State::Closed, "{role:?}");
                assert_eq!(conn.outgoing_len() > 0, waits, "{role:?}");
                let outcome = run(&mut conn, &[b"HTTP/1.1 101 Switching Protocols\r\n\r\n"]);
                assert_eq!(outcome.seen, [Seen::lost(cause.clone())], "{role:?}");
                if waits {
                    // A client that waits for the decision on its request gets a 503.
                    assert!(outcome.output.starts_with(b"HTTP/1.1 503 "), "{role:?}");
                    assert!(conn.wants_shutdown() && conn.wants_read() && !conn.is_finished());
                } else {
                    assert_eq!(outcome.output, b"", "{role:?}");
                    assert!(conn.is_finished() && conn.wants_shutdown() && !conn.wants_read());
                }
            }
        }
    }
}

#[test]
fn close_is_queued_after_everything_else() {
    // whatwg-close-09, rfc6455-5.5.1-08, rfc6455-7.3-03
    let large = vec![0x55; 70_000];
    for role in ROLES {
        for release in [0, 1, 3, 40_000] {
            let mut conn = open(role);
            let mut wire = Vec::new();
            conn.send("one").unwrap();
            conn.send(large.clone()).unwrap();
            conn.send_prepared(&PreparedMessage::new("three")).unwrap();
            let mut left = release;
            while left > 0 {
                let n = left.min(conn.outgoing().len());
                wire.extend_from_slice(&conn.outgoing()[..n]);
                conn.advance(n);
                left -= n;
            }
            let buffered = conn.buffered_amount();
            conn.close(1000, "bye").unwrap();
            assert_eq!(
                conn.buffered_amount(),
                buffered,
                "a Close does not count as the application's data"
            );
            assert_eq!(conn.send("late"), Err(UsageError::NotOpen(State::Closing)));
            assert_eq!(conn.send_fragment(MessageKind::Text, b"", true), conn.send("late"));
            wire.extend(drain(&mut conn));
            // rfc6455-5.5.2-05: pings and pongs can still be sent.
            conn.ping(b"late").unwrap();
            conn.pong(b"late").unwrap();
            let controls = [(0x89, b"late".to_vec()), (0x8a, b"late".to_vec())];
            assert_eq!(sent(&mut conn), controls, "{role:?}");
            let frames = plain_frames(&wire);
            let rest = [(0x81, b"three".to_vec()), (0x88, body(1000, "bye"))];
            assert_eq!(frames[0], (0x81, b"one".to_vec()), "{role:?} {release}");
            assert!(frames[1] == (0x82, large.clone()), "{role:?} {release}");
            assert_eq!(frames[2..], rest, "{role:?} {release}");
            assert_eq!(conn.buffered_amount(), 0);
        }
    }
}

#[test]
fn close_cuts_off_a_fragmented_message() {
    // rfc6455-5.5.1-12, rfc6455-6.1-03: the rest of the message is not sent, and the output still consists of whole
    // frames
    for role in ROLES {
        let begun = || {
            let mut conn = open(role);
            conn.send_fragment(MessageKind::Text, "é".as_bytes(), false).unwrap();
            conn.send_fragment(MessageKind::Text, b"\xe2\x82", false).unwrap();
            conn
        };
        let fragments = [(0x01, "é".as_bytes().to_vec()), (0x00, b"\xe2\x82".to_vec())];

        let mut ours = begun();
        ours.close(1001, "").unwrap();
        assert_eq!(
            ours.send_fragment(MessageKind::Text, b"\xac", true),
            Err(UsageError::NotOpen(State::Closing)),
            "{role:?}"
        );
        assert_eq!(
            sent(&mut ours),
            [&fragments[..], &[(0x88, body(1001, ""))]].concat(),
            "{role:?}"
        );

        let mut theirs = begun();
        let (seen, answer) = exchange(&mut theirs, &[(0x88, &body(4001, "now"))]);
        assert_eq!(seen, [Seen::closed(4001, "now", CloseCause::Peer)], "{role:?}");
        assert_eq!(
            theirs.send_fragment(MessageKind::Text, b"\xac", true),
            Err(UsageError::NotOpen(State::Closed)),
            "{role:?}"
        );
        assert_eq!(answer, [&fragments[..], &[(0x88, body(4001, ""))]].concat(), "{role:?}");

        let mut failed = begun();
        let (_, answer) = exchange(&mut failed, &[(0x83, b"")]);
        assert_eq!(answer, [&fragments[..], &[(0x88, body(1002, ""))]].concat(), "{role:?}");
        assert_eq!((failed.outgoing_len(), failed.buffered_amount()), (0, 0));

        let mut failed = begun();
        failed.fail(4001, "quota").unwrap();
        let answer = sent(&mut failed);
        assert_eq!(answer, [&fragments[..], &[(0x88, body(4001, "quota"))]].concat(), "{role:?}");
    }
}

#[test]
fn messages_between_our_close_and_the_peers_are_delivered() {
    // rfc6455-5.5.2-03, rfc6455-7.1.5-01, whatwg-feedback-message-01 (the core delivers them, a browser does not)
    for role in ROLES {
        let closing = || {
            let mut conn = open(role);
            conn.close(1000, "").unwrap();
            drain(&mut conn);
            conn
        };
        let frames: [(u8, &[u8]); 6] = [
            (0x81, b"one"),
            (0x02, b"t"),
            (0x89, b"ping"),
            (0x80, b"wo"),
            (0x8a, b"pong"),
            (0x88, b"\x0f\xa0enough"),
        ];
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| to(role, *first, payload)).collect();
        let seen = [
            Seen::Text("one".to_string()),
            Seen::Ping(b"ping".to_vec()),
            Seen::Binary(b"two".to_vec()),
            Seen::Pong(b"pong".to_vec()),
            Seen::closed(4000, "enough", CloseCause::Local),
        ];
        in_every_cut(role, closing, &bytes, &seen, &[(0x8a, b"ping")]);
    }
}

#[test]
fn both_may_close_at_once() {
    // rfc6455-5.5.1-13, rfc6455-5.5.1-17, rfc6455-7.1.2-02
    let (mut server, mut client) = (open(Role::Server), open(Role::Client));
    server.close(1001, "shutdown").unwrap();
    client.close(3001, "done").unwrap();
    let (from_server, from_client) = (drain(&mut server), drain(&mut client));
    assert_eq!(plain_frames(&from_server), [(0x88, body(1001, "shutdown"))]);
    assert_eq!(plain_frames(&from_client), [(0x88, body(3001, "done"))]);

    let at_server = run(&mut server, &[&from_client]);
    assert_eq!(at_server.seen, [Seen::closed(3001, "done", CloseCause::Local)]);
    assert_eq!(at_server.output, b"");
    assert!(server.wants_shutdown() && server.is_finished());

    let at_client = run(&mut client, &[&from_server]);
    assert_eq!(at_client.seen, [Seen::closed(1001, "shutdown", CloseCause::Local)]);
    assert_eq!(at_client.output, b"");
    assert!(!client.wants_shutdown() && !client.is_finished() && client.wants_read());
    client.receive_eof();
    assert!(client.is_finished() && client.poll_event().is_none());
}

#[test]
fn code_and_reason_reported_are_those_of_the_first_close_received() {
    // rfc6455-7.1.5-01, rfc6455-7.1.5-02, rfc6455-7.1.6-01, rfc6455-5.5.1-04, rfc6455-5.5.1-18,
    // whatwg-feedback-close-03, whatwg-feedback-close-04
    let long = body(1000, &"é".repeat(61));
    let rows: [(&[u8], u16, &str); 6] = [
        (b"", 1005, ""),
        (b"\x03\xe8", 1000, ""),
        (b"\x0f\xa0bye", 4000, "bye"),
        (b"\x0b\xb8\xef\xbb\xbfa", 3000, "\u{feff}a"),
        (b"\x03\xf3\0", 1011, "\0"),
        (&long, 1000, &"é".repeat(61)),
    ];
    for role in ROLES {
        for (payload, code, reason) in rows {
            let frames = [to(role, 0x88, payload), to(role, 0x88, &body(4999, "second"))].concat();
            let echo = &payload[..payload.len().min(2)];
            let seen = [Seen::closed(code, reason, CloseCause::Peer)];
            in_every_cut(role, || open(role), &frames, &seen, &[(0x88, echo)]);

            let closing = || {
                let mut conn = open(role);
                conn.close(1000, "ours").unwrap();
                conn
            };
            let seen = [Seen::closed(code, reason, CloseCause::Local)];
            in_every_cut(role, closing, &frames, &seen, &[(0x88, b"\x03\xe8ours")]);
        }
    }
}

#[test]
fn nothing_after_a_received_close_is_interpreted() {
    // rfc6455-5.5.1-18, rfc6455-5.5.2-02, rfc6455-7.1.1-01
    let rows: [&[(u8, &[u8])]; 5] = [
        &[(0x81, b"text")],
        &[(0x89, b"ping"), (0x8a, b"pong")],
        &[(0x83, b"reserved"), (0xf9, b"")],
        &[(0x81, b"\xff"), (0x88, b"\x03")],
        &[(0x01, b"begun")],
    ];
    for role in ROLES {
        for rest in rows {
            let mut bytes = to(role, 0x88, b"\x03\xe8");
            bytes.extend(rest.iter().flat_map(|(first, payload)| to(role, *first, payload)));
            let seen = [Seen::closed(1000, "", CloseCause::Peer)];
            in_every_cut(role, || open(role), &bytes, &seen, &[(0x88, b"\x03\xe8")]);
        }
    }
}

#[test]
fn answer_to_a_close_is_queued_after_everything_else() {
    // rfc6455-5.5.1-09, rfc6455-5.5.1-11
    for role in ROLES {
        let mut conn = open(role);
        conn.send("queued").unwrap();
        let mut log = Log::default();
        feed(&mut conn, &[to(role, 0x89, b"p"), to(role, 0x88, b"\x03\xe9")].concat(), &mut log);
        assert!(conn.wants_write());
        assert_eq!(conn.send("new"), Err(UsageError::NotOpen(State::Closed)));
        conn.close(1000, "").unwrap();
        let frames =
            [(0x8a, b"p".to_vec()), (0x81, b"queued".to_vec()), (0x88, b"\x03\xe9".to_vec())];
        assert_eq!(sent(&mut conn), frames, "{role:?}");
    }
}

#[test]
fn close_sent_or_received_ends_the_open_state() {
    // rfc6455-7.1.3-01, whatwg-feedback-closing-01: a received Close changes the state from open to closed, because the
    // answer is queued in the same call
    for role in ROLES {
        let mut conn = open(role);
        conn.close_without_code();
        assert_eq!((conn.state(), conn.is_writable()), (State::Closing, false));
        exchange(&mut conn, &[(0x88, b"")]);
        assert_eq!(conn.state(), State::Closed);
        let mut conn = open(role);
        exchange(&mut conn, &[(0x88, b"")]);
        assert_eq!((conn.state(), conn.is_writable()), (State::Closed, false));
    }
}

#[test]
fn a_server_may_close_at_any_moment() {
    // rfc6455-7.3-01: within a frame, within a message, within a header
    for role in ROLES {
        let message = [to(role, 0x01, b"beg"), to(role, 0x80, b"un")].concat();
        for at in 0..message.len() {
            let mut conn = open(role);
            let mut log = Log::default();
            feed(&mut conn, &message[..at], &mut log);
            conn.close(1001, "").unwrap();
            feed(&mut conn, &message[at..], &mut log);
            feed(&mut conn, &to(role, 0x88, b"\x03\xe9"), &mut log);
            let seen = [Seen::Text("begun".to_string()), Seen::closed(1001, "", CloseCause::Local)];
            assert_eq!(log.seen, seen, "{role:?} at {at}");
            assert_eq!(sent(&mut conn), [(0x88, body(1001, ""))]);
        }
    }
}

/// Frames that violate the protocol, the error, and the close code that answers it.
type Violation = (Vec<(u8, &'static [u8])>, ProtocolError, u16);

fn violations() -> Vec<Violation> {
    vec![
        (vec![(0x83, b"")], ProtocolError::ReservedOpcode { opcode: 3 }, 1002),
        (vec![(0x81, b"\xff")], ProtocolError::InvalidUtf8, 1007),
        (vec![(0x01, b"a"), (0x80, b"\xff")], ProtocolError::InvalidUtf8, 1007),
        (vec![(0x82, &[0; 11])], ProtocolError::MessageTooBig { len: 11, limit: 10 }, 1009),
        (
            vec![(0x02, &[0; 6]), (0x80, &[0; 5])],
            ProtocolError::MessageTooBig { len: 11, limit: 10 },
            1009,
        ),
        (vec![(0x88, b"\x03")], ProtocolError::CloseTooShort, 1002),
        (vec![(0x88, b"\x03\xed")], ProtocolError::InvalidCloseCode { code: 1005 }, 1002),
        (vec![(0x88, b"\x03\xe8\xff")], ProtocolError::InvalidCloseReason, 1007),
        (vec![(0x80, b"")], ProtocolError::UnexpectedContinuation, 1002),
    ]
}

fn small() -> Config {
    builder().max_message_bytes(10).build().unwrap()
}

#[test]
fn failing_an_open_connection_queues_one_close_and_nothing_more_is_processed() {
    // rfc6455-7.1.7-01, rfc6455-7.1.7-02, rfc6455-7.1.7-03, rfc6455-7.1.7-04, rfc6455-7.1.7-05, rfc6455-7.1.7-07,
    // rfc6455-7.4.1-07, rfc6455-7.4.1-09, rfc6455-7.1.1-01, rfc6455-5.5.1-05, whatwg-feedback-close-01,
    // whatwg-feedback-close-02
    for role in ROLES {
        for (frames, error, code) in violations() {
            let bytes: Vec<u8> =
                frames.iter().flat_map(|(first, payload)| to(role, *first, payload)).collect();
            let make = || {
                let mut conn = open_with(role, small());
                conn.send("first").unwrap();
                conn
            };
            let seen = [Seen::failed(error.clone())];
            let code = body(code, "");
            in_every_cut(role, make, &bytes, &seen, &[(0x81, b"first"), (0x88, &code)]);

            let mut conn = make();
            run(&mut conn, &[&bytes]);
            for frame in [
                to(role, 0x81, b"a"),
                to(role, 0x89, b"p"),
                to(role, 0x88, b"\x03\xe8"),
                vec![0xff; 100],
            ] {
                let outcome = run(&mut conn, &[&frame]);
                assert_eq!((outcome.seen, outcome.output), (vec![], vec![]), "{role:?} {error:?}");
            }
            assert_eq!(conn.send("no"), Err(UsageError::NotOpen(State::Closed)));
            conn.close(1000, "").unwrap();
            assert_eq!(conn.outgoing_len(), 0);
            // rfc6455-7.1.1-05, rfc6455-7.1.1-06: the server shuts down, the client waits; both read on.
            assert_eq!(conn.wants_shutdown(), role == Role::Server, "{error:?}");
            assert!(conn.wants_read() && !conn.is_finished(), "{role:?} {error:?}");
            conn.receive_eof();
            assert!(conn.is_finished() && !conn.wants_read(), "{role:?} {error:?}");
            assert!(conn.poll_event().is_none());
        }
    }
}

#[test]
fn caller_who_fails_the_connection_sends_one_close_and_receives_nothing_more() {
    // rfc6455-7.1.7-01, rfc6455-7.1.7-03, rfc6455-7.1.7-05, rfc6455-7.1.7-07, rfc6455-7.1.1-01: at every byte of a
    // stream, with and without a Close of ours before
    let rows: [(&str, Config); 2] = [("messages", config()), ("chunks", chunks())];
    for ((how, config), role) in rows.iter().flat_map(|row| ROLES.map(|role| (row, role))) {
        let stream = [
            to(role, 0x81, b"whole"),
            to(role, 0x02, b"begun"),
            to(role, 0x89, b"p"),
            to(role, 0x80, &[7; 300]),
            to(role, 0x88, b"\x03\xe8"),
        ]
        .concat();
        let last = stream.len() - to(role, 0x88, b"\x03\xe8").len();
        for (at, is_closing) in (0..=last).flat_map(|at| [(at, false), (at, true)]) {
            let what = format!("{role:?} {how} at {at}, closing: {is_closing}");
            let mut conn = open_with(role, config.clone());
            conn.send("first").unwrap();
            if is_closing {
                conn.close(4000, "ours").unwrap();
            }
            let before = run(&mut conn, &[&stream[..at]]);
            assert_eq!(conn.fail(1008, "quota"), Ok(()), "{what}");
            assert_eq!((conn.state(), conn.is_writable()), (State::Closed, false), "{what}");
            let after = run(&mut conn, &[&stream[at..], &to(role, 0x81, b"late"), &[0xff; 100]]);
            assert_eq!(after.seen, [Seen::lost(CloseCause::Failed)], "{what}");
            let closes: Vec<_> = plain_frames(&[before.output, after.output].concat());
            let closes: Vec<_> = closes.into_iter().filter(|(first, _)| *first == 0x88).collect();
            let expected = if is_closing { body(4000, "ours") } else { body(1008, "quota") };
            assert_eq!(closes, [(0x88, expected)], "{what}");
            assert_eq!(conn.send("no"), Err(UsageError::NotOpen(State::Closed)), "{what}");
            assert_eq!(answers(&conn), (true, false, role == Role::Server, false), "{what}");
            conn.receive_eof();
            assert!(conn.is_finished() && conn.poll_event().is_none(), "{what}");
        }
    }
}

#[test]
fn failing_a_closed_connection_does_nothing() {
    // rfc6455-7.1.7-05, rfc6455-5.5.1-09
    for role in ROLES {
        for (name, mut conn) in not_open(role).into_iter() {
            if conn.state() == State::Closed {
                let before = answers(&conn);
                assert_eq!(conn.fail(4000, "again"), Ok(()), "{role:?} {name}");
                assert_eq!((answers(&conn), conn.outgoing_len()), (before, 0), "{role:?} {name}");
                assert!(conn.poll_event().is_none(), "{role:?} {name}");
            }
        }
        let mut conn = open(role);
        conn.fail(4000, "first").unwrap();
        conn.fail(4001, "second").unwrap();
        conn.close(4002, "third").unwrap();
        assert_eq!(sent(&mut conn), [(0x88, body(4000, "first"))], "{role:?}");
        assert!(conn.poll_event().is_some() && conn.poll_event().is_none(), "{role:?}");
    }
}

#[test]
fn bytes_that_came_behind_the_request_are_not_received_after_a_failure() {
    // rfc6455-7.1.7-07
    let early = [REQUEST, &to(Role::Server, 0x81, b"early")].concat();
    for fails in [false, true] {
        let mut conn = connecting(Role::Server, config());
        let mut log = Log::default();
        feed(&mut conn, &early, &mut log);
        conn.accept(&Accept::new()).unwrap();
        if fails {
            conn.fail(1011, "").unwrap();
        }
        let seen = run(&mut conn, &[b""]).seen;
        let expected = match fails {
            true => Seen::lost(CloseCause::Failed),
            false => Seen::Text("early".to_string()),
        };
        assert_eq!(seen, [expected]);
    }
}

#[test]
fn frame_with_the_wrong_mask_is_answered_with_1002() {
    // rfc6455-5.1-02, rfc6455-5.1-03, rfc6455-5.1-05, rfc6455-5.1-06
    for role in ROLES {
        let error = match role {
            Role::Server => ProtocolError::UnmaskedFrame,
            Role::Client => ProtocolError::MaskedFrame,
        };
        for (first, payload) in [(0x81, &b"Hello"[..]), (0x82, b""), (0x89, b""), (0x88, b"")] {
            let bytes = to(other(role), first, payload);
            let seen = [Seen::failed(error.clone())];
            in_every_cut(role, || open(role), &bytes, &seen, &[(0x88, b"\x03\xea")]);
        }
    }
}

#[test]
fn failing_after_our_close_sends_no_second_one() {
    // rfc6455-5.5.1-09, rfc6455-7.1.7-05
    for role in ROLES {
        for (frames, error, _) in violations() {
            let bytes: Vec<u8> =
                frames.iter().flat_map(|(first, payload)| to(role, *first, payload)).collect();
            let make = || {
                let mut conn = open_with(role, small());
                conn.close(4000, "").unwrap();
                conn
            };
            in_every_cut(role, make, &bytes, &[Seen::failed(error)], &[(0x88, &body(4000, ""))]);
        }
    }
}

#[test]
fn failure_is_described() {
    // rfc6455-7.1.7-02, rfc6455-7.1.7-04
    let mut server = open(Role::Server);
    let mut bytes = to(Role::Server, 0x83, b"");
    let event = server.receive(&mut &mut bytes[..]);
    let Some(Event::Closed(closed)) = event else { panic!("{event:?}") };
    let CloseCause::Protocol(error) = closed.cause() else { panic!("{closed:?}") };
    assert_eq!(error.to_string(), "opcode 0x3 is reserved");
    assert_eq!(error.close_code(), Some(CloseCode::PROTOCOL_ERROR));
}

/// The last event. The peer's bytes come first.
fn last_event(conn: &mut Connection, mut bytes: Vec<u8>) -> websocket_proto::Closed {
    let mut input = &mut bytes[..];
    loop {
        match conn.receive(&mut input) {
            Some(Event::Closed(closed)) => return closed,
            Some(_) => {}
            None => panic!("the connection has not ended"),
        }
    }
}

#[test]
fn closed_tells_which_close_was_sent() {
    // rfc6455-7.1.7-02, rfc6455-7.1.7-04
    type Steps = fn(&mut Connection, Role) -> Vec<u8>;
    type Row = (&'static str, Steps, Option<(u16, &'static str)>);
    fn ours(conn: &mut Connection) {
        conn.close(4000, "ours").unwrap();
    }
    fn pass(conn: &mut Connection) {
        let mut next = conn.tick(Timestamp::from_millis(0));
        while let Some(now) = next.filter(|_| conn.state() != State::Closed) {
            next = conn.tick(now);
        }
    }
    let rows: [Row; 21] = [
        (
            "ours is answered",
            |conn, role| {
                ours(conn);
                to(role, 0x88, b"\x03\xe8")
            },
            Some((4000, "ours")),
        ),
        (
            "ours has no code",
            |conn, role| {
                conn.close_without_code();
                to(role, 0x88, b"")
            },
            Some((1005, "")),
        ),
        ("ours is the answer", |_, role| to(role, 0x88, b"\x0f\xa1theirs"), Some((4001, ""))),
        ("ours is the answer to none", |_, role| to(role, 0x88, b""), Some((1005, ""))),
        (
            "a second one is not sent",
            |conn, role| {
                ours(conn);
                conn.close(4002, "again").unwrap();
                to(role, 0x88, b"")
            },
            Some((4000, "ours")),
        ),
        (
            "messages come behind ours",
            |conn, role| {
                ours(conn);
                let frames: [(u8, &[u8]); 4] =
                    [(0x81, b"one"), (0x02, b"t"), (0x89, b""), (0x80, &[2; 300])];
                frames
                    .iter()
                    .flat_map(|(first, payload)| to(role, *first, payload))
                    .chain(to(role, 0x88, b""))
                    .collect()
            },
            Some((4000, "ours")),
        ),
        ("violation", |_, role| to(role, 0x83, b""), Some((1002, ""))),
        (
            "violation after ours",
            |conn, role| {
                ours(conn);
                to(role, 0x83, b"")
            },
            Some((4000, "ours")),
        ),
        (
            "fail",
            |conn, _| {
                conn.fail(1008, "quota").unwrap();
                vec![]
            },
            Some((1008, "quota")),
        ),
        (
            "fail after ours",
            |conn, _| {
                ours(conn);
                conn.fail(1008, "quota").unwrap();
                vec![]
            },
            Some((4000, "ours")),
        ),
        (
            "fail after fail",
            |conn, _| {
                conn.fail(1008, "quota").unwrap();
                conn.fail(1011, "").unwrap();
                vec![]
            },
            Some((1008, "quota")),
        ),
        (
            "idle timeout",
            |conn, _| {
                pass(conn);
                vec![]
            },
            Some((1001, "idle timeout")),
        ),
        (
            "close timeout",
            |conn, _| {
                ours(conn);
                drain(conn);
                pass(conn);
                vec![]
            },
            Some((4000, "ours")),
        ),
        (
            "ours is never written",
            |conn, _| {
                ours(conn);
                pass(conn);
                vec![]
            },
            None,
        ),
        (
            "abort",
            |conn, _| {
                conn.abort();
                vec![]
            },
            None,
        ),
        (
            "abort after ours",
            |conn, _| {
                ours(conn);
                drain(conn);
                conn.abort();
                vec![]
            },
            Some((4000, "ours")),
        ),
        (
            "abort before ours is written",
            |conn, _| {
                ours(conn);
                conn.advance(3);
                conn.abort();
                vec![]
            },
            None,
        ),
        (
            "end before ours is written",
            |conn, _| {
                ours(conn);
                conn.receive_eof();
                vec![]
            },
            None,
        ),
        (
            "end after ours",
            |conn, _| {
                ours(conn);
                drain(conn);
                conn.receive_eof();
                vec![]
            },
            Some((4000, "ours")),
        ),
        (
            "failed write",
            |conn, role| {
                ours(conn);
                conn.write_closed();
                to(role, 0x88, b"")
            },
            None,
        ),
        (
            "shutdown after ours",
            |conn, role| {
                ours(conn);
                drain(conn);
                conn.write_closed();
                to(role, 0x88, b"")
            },
            Some((4000, "ours")),
        ),
    ];
    for (role, (name, steps, expected)) in
        ROLES.iter().flat_map(|role| rows.map(|row| (*role, row)))
    {
        let timed = builder().idle_timeout(std::time::Duration::from_secs(30)).build().unwrap();
        let mut conn = open_with(role, timed);
        let bytes = steps(&mut conn, role);
        let closed = last_event(&mut conn, bytes);
        let sent = closed.sent_code().map(|code| (code.get(), closed.sent_reason()));
        assert_eq!(sent, expected, "{role:?}: {name}");
        assert_eq!(
            closed.sent_reason().is_empty(),
            expected.is_none_or(|(_, reason)| reason.is_empty())
        );
        assert!(conn.poll_event().is_none(), "{role:?}: {name}");
    }
    for role in ROLES {
        let mut conn = connecting(role, config());
        conn.fail(1011, "").unwrap();
        assert_eq!(last_event(&mut conn, vec![]).sent_code(), None, "{role:?}");
    }
}

#[test]
fn a_sent_close_does_not_change_what_is_received() {
    // whatwg-feedback-message-01: the same bytes are the same events before our Close and after it
    for role in ROLES {
        let frames: [(u8, &[u8]); 6] = [
            (0x81, b"a"),
            (0x82, &[1; 200]),
            (0x01, b"b"),
            (0x89, b"p"),
            (0x80, b"c"),
            (0x82, &[2; 70_000]),
        ];
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| to(role, *first, payload)).collect();
        for size in [1, 7, 1000, bytes.len()] {
            let [before, after] = [false, true].map(|closes| {
                let mut conn = open(role);
                if closes {
                    conn.close(1000, "bye").unwrap();
                }
                let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
                (run(&mut conn, &pieces).seen, conn)
            });
            assert_eq!(after.0, before.0, "{role:?} by {size}");
            let mut conn = after.1;
            let mut buffer = websocket_proto::ReadBuffer::with_capacity(512);
            let hello = to(role, 0x81, b"Hello");
            buffer.spare()[..hello.len()].copy_from_slice(&hello);
            buffer.filled(hello.len());
            assert!(conn.is_event_ready(&mut buffer));
            assert!(matches!(conn.receive_from(&mut buffer), Some(Event::Message(_))));
            assert!(!conn.is_event_ready(&mut buffer));
        }
    }
}

/// What `wants_read`, `wants_write`, `wants_shutdown` and `is_finished` return.
type Answers = (bool, bool, bool, bool);

fn answers(conn: &Connection) -> Answers {
    (conn.wants_read(), conn.wants_write(), conn.wants_shutdown(), conn.is_finished())
}

/// Makes a connection, and applies `steps` to it. The first step is `connect` (before the handshake) or `open`.
fn at(role: Role, steps: &str) -> Connection {
    let mut conn = match steps.starts_with("connect") {
        true => connecting(role, config()),
        false => open(role),
    };
    for step in steps.split(", ") {
        match step {
            "connect" | "open" => {}
            "request" => feed(&mut conn, REQUEST, &mut Log::default()),
            "half request" => feed(&mut conn, &REQUEST[..9], &mut Log::default()),
            "plain request" => {
                feed(&mut conn, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &mut Log::default())
            }
            "bad request" => feed(&mut conn, b"BAD\r\n\r\n", &mut Log::default()),
            "accept" => conn.accept(&Accept::new()).unwrap(),
            "reject" | "respond" => conn.respond(403).unwrap(),
            "refusal" => {
                feed(
                    &mut conn,
                    b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
                    &mut Log::default(),
                );
            }
            "half refusal" => {
                feed(
                    &mut conn,
                    b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nab",
                    &mut Log::default(),
                );
            }
            "response" => {
                let response = response_to(&drain(&mut conn));
                feed(&mut conn, &response, &mut Log::default());
            }
            "send" => conn.send("text").unwrap(),
            "close" => conn.close(1000, "").unwrap(),
            "their close" => feed(&mut conn, &to(role, 0x88, b"\x03\xe8"), &mut Log::default()),
            "violation" => feed(&mut conn, &to(role, 0x83, b""), &mut Log::default()),
            "fail" => conn.fail(1011, "why").unwrap(),
            "write closed" => conn.write_closed(),
            "write" => drop(drain(&mut conn)),
            "eof" => conn.receive_eof(),
            "abort" => conn.abort(),
            "deadline" => {
                // The first ticks free memory and find that the deadline has passed; a later one ends the connection.
                let before = conn.state();
                let mut next = conn.tick(Timestamp::from_millis(50));
                while let Some(now) = next.filter(|_| conn.state() == before) {
                    if conn.is_finished() {
                        break;
                    }
                    next = conn.tick(now);
                }
            }
            step => panic!("unknown step {step}"),
        }
    }
    conn
}

#[test]
fn the_questions_of_the_loop_in_every_phase() {
    // rfc6455-5.5.1-13, rfc6455-5.5.1-14, rfc6455-5.5.1-15, rfc6455-7.1.1-03, rfc6455-7.1.1-05, rfc6455-7.1.1-06,
    // rfc6455-7.1.2-02, rfc6455-7.1.7-01, rfc6455-7.1.7-03, rfc6455-7.2.1-02, rfc6455-7.2.2-01
    const T: bool = true;
    const F: bool = false;
    // read, write, shut down, finished
    let both: [(&str, Answers); 14] = [
        ("open", (T, F, F, F)),
        ("open, send", (T, T, F, F)),
        ("open, send, write", (T, F, F, F)),
        ("open, close", (T, T, F, F)),
        ("open, close, write", (T, F, F, F)),
        ("open, send, eof", (F, F, T, T)),
        ("open, close, eof", (F, F, T, T)),
        ("open, send, abort", (F, F, T, T)),
        ("open, close, write, deadline", (F, F, T, T)),
        ("open, close, deadline", (F, F, T, T)),
        ("open, their close, abort", (F, F, T, T)),
        ("open, their close, deadline", (F, F, T, T)),
        ("open, violation, deadline", (F, F, T, T)),
        ("open, violation, abort", (F, F, T, T)),
    ];
    let server: [(&str, Answers); 26] = [
        ("connect", (T, F, F, F)),
        ("connect, half request", (T, F, F, F)),
        ("connect, half request, eof", (F, F, T, T)),
        ("connect, half request, deadline", (T, T, F, F)),
        ("connect, half request, deadline, write", (T, F, T, F)),
        ("connect, bad request", (T, T, F, F)),
        ("connect, bad request, write", (T, F, T, F)),
        ("connect, bad request, write, eof", (F, F, T, T)),
        ("connect, request", (F, F, F, F)),
        ("connect, request, eof", (F, F, F, F)),
        ("connect, request, accept", (T, T, F, F)),
        ("connect, request, accept, write", (T, F, F, F)),
        ("connect, request, eof, accept", (F, F, T, T)),
        ("connect, request, reject", (T, T, F, F)),
        ("connect, request, reject, write", (T, F, T, F)),
        ("connect, request, reject, write, eof", (F, F, T, T)),
        ("connect, request, eof, reject", (F, T, F, F)),
        ("connect, request, eof, reject, write", (F, F, T, T)),
        ("connect, plain request", (F, F, F, F)),
        ("connect, plain request, respond, write", (T, F, T, F)),
        ("open, their close", (F, T, F, F)),
        ("open, their close, write", (F, F, T, T)),
        ("open, their close, eof, write", (F, F, T, T)),
        ("open, close, write, their close", (F, F, T, T)),
        ("open, close, their close, write", (F, F, T, T)),
        ("open, violation", (T, T, F, F)),
    ];
    let failed_server: [(&str, Answers); 3] = [
        ("open, violation, write", (T, F, T, F)),
        ("open, violation, eof", (F, T, F, F)),
        ("open, violation, eof, write", (F, F, T, T)),
    ];
    let client: [(&str, Answers); 16] = [
        ("connect", (T, T, F, F)),
        ("connect, write", (T, F, F, F)),
        ("connect, write, eof", (F, F, T, T)),
        ("connect, deadline", (F, F, T, T)),
        ("connect, response", (T, F, F, F)),
        ("connect, write, refusal", (F, F, T, T)),
        ("connect, write, half refusal", (T, F, F, F)),
        ("connect, write, half refusal, eof", (F, F, T, T)),
        ("open, their close", (T, T, F, F)),
        ("open, their close, write", (T, F, F, F)),
        ("open, their close, write, eof", (F, F, T, T)),
        ("open, their close, eof", (F, T, F, F)),
        ("open, close, write, their close", (T, F, F, F)),
        ("open, close, write, their close, eof", (F, F, T, T)),
        ("open, violation, write", (T, F, F, F)),
        ("open, violation, write, eof", (F, F, T, T)),
    ];
    let rows = both
        .iter()
        .map(|row| (Role::Server, row))
        .chain(both.iter().map(|row| (Role::Client, row)));
    let rows = rows.chain(server.iter().chain(&failed_server).map(|row| (Role::Server, row)));
    for (role, (steps, expected)) in rows.chain(client.iter().map(|row| (Role::Client, row))) {
        assert_eq!(answers(&at(role, steps)), *expected, "{role:?}: {steps}");
        // The caller fails a connection in the way in which a mistake of the peer does.
        let by_caller = steps.replace("violation", "fail");
        assert_eq!(answers(&at(role, &by_caller)), *expected, "{role:?}: {by_caller}");
    }
    for role in ROLES {
        for steps in
            ["open, X, write closed", "open, X, write, write closed", "open, write closed, X"]
        {
            let [by_peer, by_caller] =
                ["violation", "fail"].map(|cause| answers(&at(role, &steps.replace('X', cause))));
            assert_eq!(by_caller, by_peer, "{role:?}: {steps}");
        }
    }
}

#[test]
fn dropping_a_connection_emits_nothing() {
    // whatwg-gc-01: dropping draws no masking key, so it makes no frame
    use std::sync::atomic::{AtomicU32, Ordering};
    static DRAWN: AtomicU32 = AtomicU32::new(0);
    let config = builder()
        .entropy(Entropy::from_fn(|out| {
            DRAWN.fetch_add(1, Ordering::Relaxed);
            out.fill(7);
            Ok(())
        }))
        .build()
        .unwrap();
    let conn = open_with(Role::Client, config);
    let before = DRAWN.load(Ordering::Relaxed);
    drop(conn);
    assert_eq!(DRAWN.load(Ordering::Relaxed), before);
}

/// An action of the caller or of the peer.
#[derive(Debug, Clone)]
enum Op {
    Bytes(Vec<u8>),
    Frame(u8, Vec<u8>),
    Request,
    Accept,
    Respond,
    Send(usize),
    Fragment(bool),
    Ping,
    Close(u16),
    Fail(u16),
    Write(usize),
    Tick(u64),
    Poll,
    Eof,
    WriteClosed,
    Abort,
    Release,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Op::Bytes),
        8 => (prop::sample::select(vec![0x81, 0x82, 0x01, 0x80, 0x00, 0x89, 0x8a, 0x88, 0x88, 0x83]),
            prop::sample::select(vec![&b""[..], b"\x03\xe8", b"text", b"\xff"]))
            .prop_map(|(first, payload)| Op::Frame(first, payload.to_vec())),
        2 => Just(Op::Request),
        2 => Just(Op::Accept),
        2 => Just(Op::Respond),
        3 => prop::sample::select(vec![0, 5, 126, 5000]).prop_map(Op::Send),
        1 => any::<bool>().prop_map(Op::Fragment),
        1 => Just(Op::Ping),
        1 => prop::sample::select(vec![1000, 1005]).prop_map(Op::Close),
        1 => prop::sample::select(vec![1008, 1005]).prop_map(Op::Fail),
        4 => prop::sample::select(vec![0, 1, 7, 100, 10_000]).prop_map(Op::Write),
        2 => prop::sample::select(vec![0, 1, 100, 5_000, 20_000]).prop_map(Op::Tick),
        2 => Just(Op::Poll),
        1 => Just(Op::Eof),
        1 => Just(Op::WriteClosed),
        1 => Just(Op::Abort),
        1 => Just(Op::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn states_never_go_back_and_the_end_is_reported_once(
        client in any::<bool>(), from_upgrade in any::<bool>(), in_chunks in any::<bool>(),
        ops in prop::collection::vec(op(), 1..40),
    ) {
        // whatwg-states-01, whatwg-feedback-close-01, rfc6455-5.5.1-09, rfc6455-5.5.1-13
        let role = if client { Role::Client } else { Role::Server };
        let delivery = if in_chunks { Delivery::Chunks } else { Delivery::Messages };
        let seconds = std::time::Duration::from_secs;
        let config = builder().delivery(delivery).idle_timeout(seconds(30)).keepalive_interval(seconds(10));
        let config = config.build().unwrap();
        let mut conn = if from_upgrade { open_with(role, config) } else { connecting(role, config) };
        let mut log = Log::default();
        let mut wire = Vec::new();
        let (mut now, mut closed_len, mut abandoned) = (0, None, false);
        let mut has_write_closed = false;
        for op in ops.into_iter().chain([Op::Poll]) {
            let before = (conn.state(), conn.is_finished(), conn.wants_shutdown(), conn.wants_read());
            let (queued, is_write) = (conn.outgoing_len(), matches!(op, Op::Write(_)));
            let had_news = matches!(log.seen.last(), Some(Seen::Closed { .. }));
            match op {
                Op::Bytes(bytes) => feed(&mut conn, &bytes, &mut log),
                Op::Frame(first, payload) => feed(&mut conn, &to(role, first, &payload), &mut log),
                Op::Request => {
                    let bytes = match role {
                        Role::Server => REQUEST.to_vec(),
                        Role::Client if wire.ends_with(b"\r\n\r\n") => response_to(&wire),
                        Role::Client => b"HTTP/1.1 403 No\r\n\r\nbody".to_vec(),
                    };
                    feed(&mut conn, &bytes, &mut log);
                }
                Op::Accept => drop(conn.accept(&Accept::new())),
                Op::Respond => drop(conn.respond(404)),
                Op::Send(n) => {
                    let result = conn.send(vec![b'a'; n]);
                    prop_assert_eq!(result.is_ok(), conn.check_send(n).is_ok());
                    prop_assert!(result.is_err() || conn.state() == State::Open);
                }
                Op::Fragment(last) => drop(conn.send_fragment(MessageKind::Text, b"f", last)),
                Op::Ping => {
                    let may = match conn.state() {
                        State::Open => true,
                        // RFC 6455 5.5.1: after our Close no data frames are sent, but control frames are allowed.
                        State::Closing => !has_write_closed,
                        State::Connecting | State::Closed => false,
                    };
                    prop_assert_eq!(conn.ping(b"").is_ok(), may);
                }
                Op::WriteClosed => {
                    conn.write_closed();
                    has_write_closed = true;
                }
                Op::Close(code) => drop(conn.close(code, "why")),
                Op::Fail(code) => {
                    let failed = conn.fail(code, "why");
                    prop_assert!(failed.is_err() || conn.state() == State::Closed);
                }
                Op::Write(n) => {
                    let n = n.min(conn.outgoing().len());
                    wire.extend_from_slice(&conn.outgoing()[..n]);
                    conn.advance(n);
                }
                Op::Tick(ms) => {
                    now += ms;
                    let next = conn.tick(Timestamp::from_millis(now));
                    prop_assert!(next.is_none_or(|next| next > Timestamp::from_millis(now)), "{:?} at {}", next, now);
                }
                Op::Poll => while let Some(event) = conn.poll_event() { log.push(event) },
                Op::Eof => conn.receive_eof(),
                Op::Abort => conn.abort(),
                Op::Release => conn.release_memory(),
            }
            abandoned |= !is_write && conn.outgoing_len() < queued;
            prop_assert!(conn.state() >= before.0, "{:?} after {:?}", conn.state(), before.0);
            if before.0 == State::Closed {
                // Once true, `is_finished` and `wants_shutdown` stay true. Once false, `wants_read` stays false. The
                // queue does not grow.
                let wants_shutdown = conn.wants_shutdown() || has_write_closed;
                prop_assert!(conn.is_finished() >= before.1 && wants_shutdown >= before.2);
                prop_assert!(conn.wants_read() <= before.3);
                prop_assert!(conn.outgoing_len() <= closed_len.unwrap_or(u64::MAX));
                closed_len = Some(conn.outgoing_len());
            }
            prop_assert!(!(had_news && conn.state() != State::Closed));
            prop_assert!(!(conn.is_finished() && conn.wants_read()));
            prop_assert!(!(conn.is_finished() && conn.wants_write()));
            let writes = conn.wants_write() || conn.wants_shutdown() || conn.outgoing_len() > 0;
            prop_assert!(!(has_write_closed && writes), "{:?} after write_closed", conn);
        }
        let ends = log.seen.iter().filter(|seen| matches!(seen, Seen::Closed { .. })).count();
        prop_assert_eq!(ends, usize::from(conn.state() == State::Closed));
        if from_upgrade && !abandoned && !has_write_closed {
            // At most one Close is sent, and only pings and pongs follow it.
            wire.extend(drain(&mut conn));
            let frames = plain_frames(&wire);
            let end = frames.iter().position(|(first, _)| *first == 0x88);
            prop_assert!(frames[end.map_or(frames.len(), |at| at + 1)..].iter().all(|(first, _)| matches!(first, 0x89 | 0x8a)));
            // After the end of the transport or an abort no Close is sent.
            let is_cut = matches!(log.seen.last(), Some(Seen::Closed {
                cause: CloseCause::TransportEnded | CloseCause::Aborted, ..
            }));
            prop_assert!(is_cut || end.is_some() == (conn.state() >= State::Closing), "{:?}", log.seen);
        }
    }
}

#[test]
fn codes_that_a_role_may_send_are_those_that_its_close_accepts() {
    // rfc6455-7.4-01, rfc6455-7.4.2-01
    for role in ROLES {
        for number in 0..=u16::MAX {
            let code = CloseCode::new(number);
            let is_sendable = may_travel(number) && !(role == Role::Server && number == 1010);
            assert_eq!(code.is_sendable_by(role), is_sendable, "{role:?} {code}");
            // To save time, `close` is called only with codes near a border.
            let is_near = [0, 999, 1016, 2999, 3000, 4999, 5000, u16::MAX].contains(&number);
            if is_near || (1000..1016).contains(&number) {
                let closed = open(role).close(code, "");
                let expected = match is_sendable {
                    true => Ok(()),
                    false => Err(UsageError::CloseCodeNotSendable(code)),
                };
                assert_eq!(closed, expected, "{role:?} {code}");
            }
        }
    }
}

#[test]
fn reason_that_is_too_long_is_cut_between_characters() {
    // rfc6455-5.5.1-04
    for character in ["a", "\u{e9}", "\u{20ac}", "\u{1f600}"] {
        for shift in 0..4 {
            for count in 0..130 {
                let reason = "x".repeat(shift) + &character.repeat(count);
                let cut = cut_close_reason(&reason);
                assert!(reason.starts_with(cut) && cut.len() <= MAX_CLOSE_REASON_BYTES);
                // The next character would not fit.
                let next = reason[cut.len()..].chars().next();
                assert!(
                    next.is_none_or(|next| cut.len() + next.len_utf8() > MAX_CLOSE_REASON_BYTES)
                );
            }
            let long = "x".repeat(shift) + &character.repeat(200);
            for role in ROLES {
                let mut conn = open(role);
                assert!(conn.close(4000, &long).is_err());
                conn.close(4000, cut_close_reason(&long)).expect("the cut reason fits");
                let body = [b"\x0f\xa0", cut_close_reason(&long).as_bytes()].concat();
                assert_eq!(plain_frames(&drain(&mut conn)), [(0x88, body)]);
            }
        }
    }
}
