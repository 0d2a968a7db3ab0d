//! Received Close, ping and pong frames: their events, their answers and the order of the answers, and that nothing
//! happens after the end. `closing.rs` tests our own Close and its place in the queue, `time.rs` tests its timers.

mod util;

use proptest::collection::vec;
use proptest::prelude::*;
use util::{
    Log, ROLES, Seen, both_roles, builder, chunks, config, cuts, drain, feed, in_every_cut, open,
    open_with, plain_frames, run, to,
};
use websocket_proto::{
    CloseCause, CloseCode, Config, Connection, Delivery, FrameHeader, MessageKind, ProtocolError,
    Role, Shared, State, Timestamp, UsageError,
};

const BROKEN: &[u8] = &[0x03, 0xea];
const NOT_UTF8: &[u8] = &[0x03, 0xef];

/// Writes the first `n` outgoing bytes.
fn write(conn: &mut Connection, n: usize) -> Vec<u8> {
    let mut written = vec![];
    while written.len() < n {
        let piece = conn.outgoing();
        let step = piece.len().min(n - written.len());
        assert!(step > 0, "fewer than {n} bytes are outgoing");
        written.extend_from_slice(&piece[..step]);
        conn.advance(step);
    }
    written
}

/// Feeds one whole frame, which must not close the connection.
fn take(conn: &mut Connection, first: u8, payload: &[u8]) {
    let mut log = Log::default();
    feed(conn, &to(conn.role(), first, payload), &mut log);
    assert_ne!(conn.state(), State::Closed, "{:?}", log.seen);
}

/// Whether a Close frame may have this code: RFC 6455 7.4 and IANA's registry.
fn may_travel(code: u16) -> bool {
    (1000..=1003).contains(&code) || (1007..=1014).contains(&code) || (3000..=4999).contains(&code)
}

// rfc6455-5.5.1-02, -03, -09, -10
#[test]
fn every_close_code_is_validated_at_the_earliest_byte() {
    let config = Shared::new(config());
    // The high bytes of 1000 to 1014, and of 3000 to 4999.
    let may_begin = |high: u8| high == 0x03 || (0x0b..=0x13).contains(&high);
    let mut accepted = 0;
    for role in ROLES {
        // Each frame comes in two reads; `closing.rs` feeds it in one.
        for code in 0..=u16::MAX {
            let body = code.to_be_bytes();
            let bytes = to(role, 0x88, &body);
            let seen = if may_travel(code) {
                accepted += 1;
                Seen::closed(code, "", CloseCause::Peer)
            } else {
                let low = if may_begin(body[0]) { body[1] } else { 0 };
                let code = u16::from_be_bytes([body[0], low]);
                Seen::failed(ProtocolError::InvalidCloseCode { code })
            };
            let answer = if may_travel(code) { &body } else { BROKEN };
            let mut conn = open_with(role, config.clone());
            let mut log = Log::default();
            let (front, last) = bytes.split_at(bytes.len() - 1);
            feed(&mut conn, front, &mut log);
            let ended = conn.state() == State::Closed;
            assert_eq!(ended, !may_begin(body[0]), "{role:?}, {code}: closed after its high byte");
            feed(&mut conn, last, &mut log);
            assert_eq!(log.seen, [seen], "{role:?}, {code}");
            assert_eq!(plain_frames(&drain(&mut conn)), [(0x88, answer.to_vec())], "{code}");
        }
    }
    assert_eq!(accepted, 2 * (4 + 8 + 2000));
}

// rfc6455-5.5.1-01, -02, -03, -04, -09, -10
#[test]
fn a_close_is_reported_and_answered_with_its_code() {
    let reason = "r".repeat(123);
    let long = [b"\x03\xe8", reason.as_bytes()].concat();
    let rows: &[(&[u8], u16, &str, &[u8])] = &[
        (b"", 1005, "", b""),
        (b"\x03\xe8", 1000, "", b"\x03\xe8"),
        (b"\x03\xe8bye", 1000, "bye", b"\x03\xe8"),
        (b"\x03\xf6", 1014, "", b"\x03\xf6"),
        (b"\x0f\xa1\xe2\x82\xac\xf0\x9f\x98\x80", 4001, "\u{20ac}\u{1f600}", b"\x0f\xa1"),
        (b"\x13\x87\0", 4999, "\0", b"\x13\x87"),
        (&long, 1000, &reason, b"\x03\xe8"),
    ];
    for (body, code, reason, answer) in rows {
        let seen = [Seen::closed(*code, reason, CloseCause::Peer)];
        both_roles(&config(), &[(0x88, body)], &seen, &[(0x88, answer)]);
        both_roles(&chunks(), &[(0x88, body)], &seen, &[(0x88, answer)]);
    }
}

// rfc6455-5.5.1-02, -03, -05, 8.1-01
#[test]
fn a_close_with_a_bad_body_fails() {
    let code = |code| ProtocolError::InvalidCloseCode { code };
    let reason = ProtocolError::InvalidCloseReason;
    let rows: &[(&[u8], ProtocolError, &[u8])] = &[
        (b"\x03", ProtocolError::CloseTooShort, BROKEN),
        (b"\xff", ProtocolError::CloseTooShort, BROKEN),
        (b"\x03\xe7", code(999), BROKEN),
        (b"\x03\xec", code(1004), BROKEN),
        (b"\x03\xed", code(1005), BROKEN),
        (b"\x03\xee", code(1006), BROKEN),
        (b"\x03\xf7", code(1015), BROKEN),
        (b"\x0b\xb7", code(2999), BROKEN),
        (b"\x13\x88", code(5000), BROKEN),
        // A bad code is reported before a bad reason.
        (b"\x03\xed\xff", code(1005), BROKEN),
        (b"\0\0\xff", code(0), BROKEN),
        (b"\x03\xe8\xff", reason.clone(), NOT_UTF8),
        (b"\x03\xe8\xc3\x28", reason.clone(), NOT_UTF8),
        (b"\x03\xe8\xc0\x80", reason.clone(), NOT_UTF8),
        (b"\x03\xe8\xed\xa0\x80", reason.clone(), NOT_UTF8),
        (b"\x03\xe8\xf4\x90\x80\x80", reason.clone(), NOT_UTF8),
        (b"\x03\xe8ok\xe2\x82", reason.clone(), NOT_UTF8),
        (b"\x03\xe8\xc3", reason, NOT_UTF8),
    ];
    for (body, error, answer) in rows {
        let failed = [Seen::failed(error.clone())];
        both_roles(&config(), &[(0x88, body)], &failed, &[(0x88, answer)]);
        let inside = [(0x01, &b"a"[..]), (0x88, body)];
        both_roles(&config(), &inside, &failed, &[(0x88, answer)]);
    }
}

// rfc6455-5.5.1-05
#[test]
fn a_close_reason_fails_at_the_first_byte_that_is_not_utf8() {
    for (reason, at) in [
        (&b"\xffmore"[..], 0),
        (b"ok\x80more", 2),
        (b"ok\xc3\x28more", 3),
        (b"\xe2\x82\x28more", 2),
        (b"\xed\xa0\x80more", 1),
        (b"\xf0\x9f\x98\x28more", 3),
        // The body ends within a character: its last byte decides.
        (b"ok\xe2\x82", 3),
    ] {
        for role in ROLES {
            let bytes = to(role, 0x88, &[b"\x03\xe8", reason].concat());
            let wrong = bytes.len() - reason.len() + at;
            let mut conn = open(role);
            let mut log = Log::default();
            for (i, byte) in bytes.iter().enumerate() {
                feed(&mut conn, &[*byte], &mut log);
                let ended = conn.state() == State::Closed;
                assert_eq!(ended, i >= wrong, "{role:?}, {reason:02x?}, {i}");
            }
            assert_eq!(log.seen, [Seen::failed(ProtocolError::InvalidCloseReason)]);
        }
    }
}

// rfc6455-5.5.1-18, 5.5.2-02
#[test]
fn nothing_after_a_close_is_interpreted() {
    let behind: [(u8, &[u8]); 8] = [
        (0x81, b"text"),
        (0x89, b"ping"),
        (0x8a, b"pong"),
        (0x88, b"\x03\xe9"),
        (0x88, b"\0"),
        (0xff, b"reserved"),
        (0x80, b"lone"),
        (0x81, b"\xff"),
    ];
    for (first, payload) in behind {
        let frames = [(0x88, &b"\x03\xe8"[..]), (first, payload)];
        let seen = [Seen::closed(1000, "", CloseCause::Peer)];
        both_roles(&config(), &frames, &seen, &[(0x88, b"\x03\xe8")]);
    }
}

// rfc6455-5.5.1-09, -17, -18, 5.5.2-02
#[test]
fn after_our_own_close_the_first_close_of_the_peer_is_reported_and_not_answered() {
    for role in ROLES {
        for (first, second) in [(&b"\x0f\xa0over"[..], &b"\x03\xe9"[..]), (b"", b"\x03\xe8")] {
            let make = || {
                let mut conn = open(role);
                conn.close(CloseCode::NORMAL, "").unwrap();
                conn
            };
            let frames = [to(role, 0x88, first), to(role, 0x88, second)].concat();
            let (code, reason) = if first.is_empty() { (1005, "") } else { (4000, "over") };
            let seen = [Seen::closed(code, reason, CloseCause::Local)];
            in_every_cut(role, make, &frames, &seen, &[(0x88, b"\x03\xe8")]);
        }
    }
}

// rfc6455-5.5.1-08, 10.7-03
#[test]
fn a_failure_after_our_own_close_sends_no_second_one() {
    for role in ROLES {
        let make = || {
            let mut conn = open(role);
            conn.close(CloseCode::GOING_AWAY, "").unwrap();
            conn
        };
        for (first, payload, error) in [
            (0x81, &b"\xff"[..], ProtocolError::InvalidUtf8),
            (0x80, b"", ProtocolError::UnexpectedContinuation),
            (0x88, b"\x03", ProtocolError::CloseTooShort),
        ] {
            let frames = to(role, first, payload);
            in_every_cut(role, make, &frames, &[Seen::failed(error)], &[(0x88, b"\x03\xe9")]);
        }
    }
}

// rfc6455-5.5.2-01, -02, 5.5.3-01, 5.5-01
#[test]
fn a_pong_echoes_a_ping_of_any_length() {
    for len in 0..=125 {
        let payload: Vec<u8> = (0..len).map(|i| (255 - i * 3 % 256) as u8).collect();
        for role in ROLES {
            for pieces in cuts(&to(role, 0x89, &payload)) {
                let outcome = run(&mut open(role), &pieces);
                assert_eq!(outcome.seen, [Seen::Ping(payload.clone())], "{role:?}, {len}");
                let answered = plain_frames(&outcome.output);
                assert_eq!(answered, [(0x8a, payload.clone())], "{role:?}, {len}");
            }
        }
    }
    let rows: [&[u8]; 4] = [b"", b"hi", b"\xc3\x28\xff\0", &[0xee; 125]];
    for payload in rows {
        let seen = [Seen::Ping(payload.to_vec())];
        both_roles(&config(), &[(0x89, payload)], &seen, &[(0x8a, payload)]);
        both_roles(&chunks(), &[(0x89, payload)], &seen, &[(0x8a, payload)]);
    }
}

// rfc6455-5.5.3-04
#[test]
fn an_unsolicited_pong_is_reported_and_not_answered() {
    for payload in [&b""[..], b"o", &[0xff; 125]] {
        let frames = [(0x8a, payload), (0x8a, payload), (0x81, b"a")];
        let pong = Seen::Pong(payload.to_vec());
        let seen = [pong.clone(), pong, Seen::Text("a".into())];
        both_roles(&config(), &frames, &seen, &[]);
    }
}

// rfc6455-5.4-07, 5.5-01, -03
#[test]
fn a_long_or_fragmented_control_frame_fails() {
    for opcode in [8, 9, 10] {
        for len in [126, 127, 300, 65_536] {
            let payload = vec![0x03; len];
            let error = ProtocolError::ControlTooLong { opcode };
            for role in ROLES {
                let bytes = to(role, 0x80 | opcode, &payload);
                let outcome = run(&mut open(role), &[&bytes[..2]]);
                assert_eq!(outcome.seen, [Seen::failed(error.clone())], "{role:?}, {opcode}");
                assert_eq!(plain_frames(&outcome.output), [(0x88, BROKEN.to_vec())]);
            }
            if len < 1000 {
                let failed = [Seen::failed(error)];
                both_roles(&config(), &[(0x80 | opcode, &payload)], &failed, &[(0x88, BROKEN)]);
            }
        }
        let failed = [Seen::failed(ProtocolError::FragmentedControl { opcode })];
        both_roles(&config(), &[(opcode, b"")], &failed, &[(0x88, BROKEN)]);
        let inside = [(0x01, &b"a"[..]), (opcode, b"\x03\xe8")];
        both_roles(&config(), &inside, &failed, &[(0x88, BROKEN)]);
    }
}

// rfc6455-5.5.2-02, 5.5.3-01, -02
#[test]
fn ten_pings_in_one_read_get_ten_pongs() {
    let payloads: Vec<[u8; 1]> = (0..10).map(|i| [i]).collect();
    let frames: Vec<(u8, &[u8])> = payloads.iter().map(|payload| (0x89, &payload[..])).collect();
    let answered: Vec<(u8, &[u8])> = payloads.iter().map(|payload| (0x8a, &payload[..])).collect();
    let seen: Vec<_> = payloads.iter().map(|payload| Seen::Ping(payload.to_vec())).collect();
    both_roles(&config(), &frames, &seen, &answered);
}

// rfc6455-5.4-06, 5.5.2-04
#[test]
fn a_pong_goes_before_messages_that_are_not_begun_and_never_into_one() {
    for role in ROLES {
        for large in [3, 5000] {
            let queue = || {
                let mut conn = open(role);
                conn.send("first").unwrap();
                conn.send(vec![b'x'; large]).unwrap();
                conn
            };
            let first = if role == Role::Client { 11 } else { 7 };
            let both = queue().outgoing_len() as usize;
            let places = (0..=both).filter(|at| *at < 40 || *at + 20 > both || at % 97 == 0);
            for at in places {
                let mut conn = queue();
                let mut wire = write(&mut conn, at);
                take(&mut conn, 0x89, b"one");
                take(&mut conn, 0x89, b"two");
                wire.extend(drain(&mut conn));
                let mut expected = vec![(0x81, b"first".to_vec()), (0x82, vec![b'x'; large])];
                let border = match at {
                    0 => 0,
                    at if at <= first => 1,
                    _ => 2,
                };
                let pongs = [(0x8a, b"one".to_vec()), (0x8a, b"two".to_vec())];
                expected.splice(border..border, pongs);
                assert_eq!(plain_frames(&wire), expected, "{role:?}, {large}, after {at}");
            }
        }
    }
}

// rfc6455-5.4-06, -08, 5.5.2-04
#[test]
fn a_pong_goes_between_our_own_fragments() {
    for role in ROLES {
        let fragment = if role == Role::Client { 6 + 3 } else { 2 + 3 };
        for at in 0..=fragment {
            let mut conn = open(role);
            conn.send_fragment(MessageKind::Text, b"Hel", false).unwrap();
            let mut wire = write(&mut conn, at);
            take(&mut conn, 0x89, b"hi");
            conn.send_fragment(MessageKind::Text, b"lo", true).unwrap();
            wire.extend(drain(&mut conn));
            let pong = (0x8a, b"hi".to_vec());
            let (hel, lo) = ((0x01, b"Hel".to_vec()), (0x80, b"lo".to_vec()));
            let expected = if at == 0 { [pong, hel, lo] } else { [hel, pong, lo] };
            assert_eq!(plain_frames(&wire), expected, "{role:?}, after {at}");
        }
    }
}

// rfc6455-5.5.2-02, -03, 5.5.1-08
#[test]
fn pings_are_answered_after_our_own_close_until_the_peers_close() {
    for role in ROLES {
        let close_len = if role == Role::Client { 8 } else { 4 };
        for written in 0..=close_len {
            let mut conn = open(role);
            conn.close(CloseCode::NORMAL, "").unwrap();
            let mut wire = write(&mut conn, written);
            take(&mut conn, 0x89, b"hi");
            wire.extend(drain(&mut conn));
            take(&mut conn, 0x89, b"again");
            let mut log = Log::default();
            feed(&mut conn, &to(role, 0x88, b"\x03\xe8"), &mut log);
            feed(&mut conn, &to(role, 0x89, b"late"), &mut log);
            assert_eq!(log.seen, [Seen::closed(1000, "", CloseCause::Local)]);
            wire.extend(drain(&mut conn));
            let (close, pong) = ((0x88, b"\x03\xe8".to_vec()), (0x8a, b"hi".to_vec()));
            let again = (0x8a, b"again".to_vec());
            let expected = if written == 0 { [pong, close, again] } else { [close, pong, again] };
            assert_eq!(plain_frames(&wire), expected, "{role:?}, after {written}");
        }
    }
}

/// The payload of ping number `i`; its length depends on `i`.
fn numbered(i: u32) -> Vec<u8> {
    [&i.to_be_bytes()[..], &vec![0xaa; i as usize % 120]].concat()
}

// rfc6455-5.5.3-02, 10.4-01
#[test]
fn first_pings_up_to_the_limit_and_the_latest_are_answered() {
    for role in ROLES {
        for limit in [1, 2, 16, u8::MAX] {
            let config = builder().max_queued_pongs(limit).build().unwrap();
            let mut conn = open_with(role, config);
            conn.send("queued").unwrap();
            let kept = u32::from(limit.max(1)) - 1;
            for i in 0..3000 {
                take(&mut conn, 0x89, &numbered(i));
                let bound = 20 + u64::from(limit.max(1)) * (125 + 6);
                assert!(conn.outgoing_len() <= bound, "{role:?}, {limit}, {i}");
            }
            let mut expected: Vec<_> = (0..kept).map(|i| (0x8a, numbered(i))).collect();
            expected.push((0x8a, numbered(2999)));
            expected.push((0x81, b"queued".to_vec()));
            assert_eq!(plain_frames(&drain(&mut conn)), expected, "{role:?}, {limit}");
            // After the pongs are written there is room for as many again, even while the message is still queued.
            let again: Vec<_> = (0..=kept).map(|i| (0x8a, numbered(i))).collect();
            for message in [None, Some("queued")] {
                for i in 0..=kept {
                    take(&mut conn, 0x89, &numbered(i));
                }
                let pongs = conn.outgoing_len() as usize;
                if let Some(message) = message {
                    conn.send(message).unwrap();
                }
                assert_eq!(plain_frames(&write(&mut conn, pongs)), again, "{role:?}, {limit}");
            }
            for i in 0..=kept {
                take(&mut conn, 0x89, &numbered(i));
            }
            let mut expected = again;
            expected.push((0x81, b"queued".to_vec()));
            assert_eq!(plain_frames(&drain(&mut conn)), expected, "{role:?}, {limit}");
        }
    }
}

// rfc6455-5.5.3-02, 5.5.2-04
#[test]
fn a_flood_of_pings_never_spoils_a_frame_that_is_partly_written() {
    for role in ROLES {
        for limit in [1, 2, 16] {
            for at in 0..60 {
                let config = builder().max_queued_pongs(limit).build().unwrap();
                let mut conn = open_with(role, config);
                conn.send("queued message").unwrap();
                for i in 0..4 {
                    take(&mut conn, 0x89, &numbered(i));
                }
                let at = at.min(conn.outgoing_len() as usize);
                let mut wire = write(&mut conn, at);
                conn.ping(b"our own").unwrap();
                for i in 4..500 {
                    take(&mut conn, 0x89, &numbered(i));
                    assert!(conn.outgoing_len() < 200 + 131 * (u64::from(limit) + 1));
                }
                wire.extend(drain(&mut conn));
                let frames = plain_frames(&wire);
                let name = || format!("{role:?}, {limit}, after {at}: {frames:02x?}");
                let pongs: Vec<_> = frames
                    .iter()
                    .filter(|(first, _)| *first == 0x8a)
                    .map(|(_, body)| body)
                    .collect();
                assert_eq!(pongs.last(), Some(&&numbered(499)), "{}", name());
                let number = |body: &[u8]| u32::from_be_bytes(body[..4].try_into().unwrap());
                assert!(pongs.windows(2).all(|two| number(two[0]) < number(two[1])), "{}", name());
                assert!(pongs.iter().all(|body| **body == numbered(number(body))), "{}", name());
                let others: Vec<_> =
                    frames.iter().filter(|(first, _)| *first != 0x8a).cloned().collect();
                let (ping, text) =
                    ((0x89, b"our own".to_vec()), (0x81, b"queued message".to_vec()));
                assert!(
                    others == [ping.clone(), text.clone()] || others == [text, ping],
                    "{}",
                    name()
                );
            }
        }
    }
}

/// Connections that were ended by received bytes and by calls, each with its name and its events.
fn ended_connections(role: Role, config: &Config) -> Vec<(String, Connection, Log)> {
    let bad: [(u8, &[u8]); 8] = [
        (0x83, b""),
        (0x80, b""),
        (0x81, b"\xff"),
        (0x88, b"\x03"),
        (0x88, b"\x03\xe8\xff"),
        (0x88, b"\x03\xe8"),
        (0x88, b""),
        (0x09, b""),
    ];
    let mut ended = vec![];
    for is_closing in [false, true] {
        let begin = || {
            let mut conn = open_with(role, config.clone());
            conn.send("queued").unwrap();
            take(&mut conn, 0x89, b"ping");
            if is_closing {
                conn.close(CloseCode::NORMAL, "").unwrap();
            }
            conn
        };
        for (first, payload) in bad {
            let (mut conn, mut log) = (begin(), Log::default());
            feed(&mut conn, &to(role, first, payload), &mut log);
            ended.push((format!("{first:02x} {payload:02x?}, closing: {is_closing}"), conn, log));
        }
        type EndingCall = (&'static str, fn(&mut Connection));
        let calls: [EndingCall; 3] = [
            ("eof", |conn| conn.receive_eof()),
            ("abort", |conn| conn.abort()),
            ("timeout", |conn| {
                for seconds in [0, 3600, 3601] {
                    let _ = conn.tick(Timestamp::from_millis(seconds * 1000));
                }
            }),
        ];
        for (name, call) in calls {
            let (mut conn, mut log) = (begin(), Log::default());
            call(&mut conn);
            while let Some(event) = conn.poll_event() {
                log.push(event);
            }
            ended.push((format!("{name}, closing: {is_closing}"), conn, log));
        }
    }
    ended
}

// rfc6455-5.5.1-08, -18, 6.1-02, -03, 10.7-02
#[test]
fn after_the_end_nothing_happens_whatever_is_called() {
    let config = builder().idle_timeout(std::time::Duration::from_secs(60)).build().unwrap();
    for role in ROLES {
        for (name, mut conn, mut log) in ended_connections(role, &config) {
            assert_eq!(conn.state(), State::Closed, "{role:?}, {name}");
            assert_eq!(log.seen.len(), 1, "{role:?}, {name}: {:?}", log.seen);
            let left = conn.outgoing_len();
            let refused = Err(UsageError::NotOpen(State::Closed));
            for _ in 0..2 {
                assert_eq!(conn.send("text"), refused);
                assert_eq!(conn.send(vec![0; 9000]), refused);
                assert_eq!(conn.send_fragment(MessageKind::Text, b"a", false), refused);
                assert_eq!(conn.ping(b"a"), refused);
                assert_eq!(conn.pong(b"a"), refused);
                assert_eq!(conn.check_send(0), refused);
                assert_eq!(conn.close(CloseCode::NORMAL, "again"), Ok(()));
                conn.close_without_code();
                for (first, payload) in
                    [(0x81, &b"text"[..]), (0x89, b"ping"), (0x88, b"\x03\xe8"), (0xff, b"")]
                {
                    feed(&mut conn, &to(role, first, payload), &mut log);
                }
                assert!(conn.poll_event().is_none(), "{role:?}, {name}");
                assert!(!conn.is_writable(), "{role:?}, {name}");
                assert_eq!(conn.outgoing_len(), left, "{role:?}, {name}");
                conn.receive_eof();
                assert!(conn.poll_event().is_none(), "{role:?}, {name}");
                assert_eq!(conn.outgoing_len(), left, "{role:?}, {name}");
            }
            assert_eq!(drain(&mut conn).len() as u64, left);
            assert!(conn.is_finished(), "{role:?}, {name}");
            conn.abort();
            assert!(conn.poll_event().is_none(), "{role:?}, {name}");
            assert_eq!(conn.tick(Timestamp::from_millis(1 << 40)), None, "{role:?}, {name}");
            assert_eq!((conn.state(), conn.outgoing_len()), (State::Closed, 0), "{role:?}, {name}");
            assert_eq!(log.seen.len(), 1, "{role:?}, {name}: {:?}", log.seen);
        }
    }
}

/// A call on a connection.
#[derive(Debug, Clone)]
enum Call {
    /// A correctly masked frame: first byte, payload, how many bytes are left out at its end.
    Receive(u8, Vec<u8>, usize),
    Garbage(Vec<u8>),
    Send(usize),
    Fragment(bool),
    Ping,
    Pong,
    Close,
    CloseWithoutCode,
    Tick(u64),
    Advance(prop::sample::Index),
    Poll,
    Eof,
    Abort,
    ReleaseMemory,
}

fn any_call() -> impl Strategy<Value = Call> {
    let payload = prop_oneof![
        4 => "[a-z\u{e9}]{0,9}".prop_map(String::into_bytes),
        1 => Just(b"\x03\xe8".to_vec()),
        1 => vec(any::<u8>(), 0..200),
    ];
    let first = prop_oneof![
        20 => prop::sample::select(&[0x81, 0x82, 0x01, 0x80, 0x89, 0x8a][..]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ];
    prop_oneof![
        20 => (first, payload, prop_oneof![9 => Just(0), 1 => 0..9usize])
            .prop_map(|(first, payload, cut)| Call::Receive(first, payload, cut)),
        1 => vec(any::<u8>(), 0..20).prop_map(Call::Garbage),
        4 => prop_oneof![0..300usize, 4000..5000usize].prop_map(Call::Send),
        4 => any::<bool>().prop_map(Call::Fragment),
        2 => Just(Call::Ping),
        2 => Just(Call::Pong),
        1 => Just(Call::Close),
        1 => Just(Call::CloseWithoutCode),
        4 => (0..4000u64).prop_map(Call::Tick),
        8 => any::<prop::sample::Index>().prop_map(Call::Advance),
        3 => Just(Call::Poll),
        1 => Just(Call::Eof),
        1 => Just(Call::Abort),
        1 => Just(Call::ReleaseMemory),
    ]
}

/// The first byte of each frame in `wire`.
fn first_bytes(mut wire: &[u8]) -> Vec<u8> {
    let mut firsts = vec![];
    while let Ok(Some((header, size))) = FrameHeader::decode(wire) {
        firsts.push(wire[0]);
        wire = wire.get(size + header.payload_len as usize..).unwrap_or_default();
    }
    firsts
}

/// A connection whose invariants are checked after each call.
struct Watched {
    conn: Connection,
    log: Log,
    wire: Vec<u8>,
    now: u64,
}

impl Watched {
    fn call(&mut self, call: &Call) {
        let Watched { conn, log, wire, now } = self;
        let (before, left) = (conn.state(), conn.outgoing_len());
        let refused = match before {
            State::Open => None,
            // Pings and pongs can be sent until the state is closed.
            State::Closing if matches!(call, Call::Ping | Call::Pong) => None,
            state => Some(Err(UsageError::NotOpen(state))),
        };
        let sent = match call {
            Call::Receive(first, payload, cut) => {
                let bytes = to(conn.role(), *first, payload);
                feed(conn, &bytes[..bytes.len() - cut.min(&bytes.len())], log);
                None
            }
            Call::Garbage(bytes) => {
                feed(conn, bytes, log);
                None
            }
            Call::Send(len) => Some(conn.send(vec![b'x'; *len])),
            Call::Fragment(last) => Some(conn.send_fragment(MessageKind::Text, b"part", *last)),
            Call::Ping => Some(conn.ping(b"ping")),
            Call::Pong => Some(conn.pong(b"pong")),
            Call::Close => {
                conn.close(CloseCode::NORMAL, "bye").unwrap();
                None
            }
            Call::CloseWithoutCode => {
                conn.close_without_code();
                None
            }
            Call::Tick(millis) => {
                *now += millis;
                let _ = conn.tick(Timestamp::from_millis(*now));
                None
            }
            Call::Advance(n) => {
                let n = n.index(left as usize + 1);
                wire.extend(write(conn, n));
                None
            }
            Call::Poll => {
                while let Some(event) = conn.poll_event() {
                    log.push(event);
                }
                None
            }
            Call::Eof => {
                conn.receive_eof();
                None
            }
            Call::Abort => {
                conn.abort();
                None
            }
            Call::ReleaseMemory => {
                conn.release_memory();
                None
            }
        };
        if let (Some(sent), Some(refused)) = (sent, refused) {
            assert_eq!(sent, refused);
        }
        assert!(conn.state() >= before, "from {before} to {}", conn.state());
        if before == State::Closed {
            assert!(conn.outgoing_len() <= left, "the queue grew after the end");
        }
        if matches!(log.seen.last(), Some(Seen::Closed { .. })) {
            assert_eq!(conn.state(), State::Closed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // rfc6455-5.1-07, 5.5.1-08, -09, -17, 6.1-02, -03
    #[test]
    fn whatever_is_called_there_is_one_end_and_nothing_after_it(
        role in prop_oneof![Just(Role::Server), Just(Role::Client)],
        is_chunked in any::<bool>(),
        calls in vec(any_call(), 0..60),
    ) {
        let config = builder().max_outgoing_bytes(20_000)
            .delivery(if is_chunked { Delivery::Chunks } else { Delivery::Messages })
            .idle_timeout(std::time::Duration::from_secs(9))
            .keepalive_interval(std::time::Duration::from_secs(3))
            .max_message_bytes(150)
            .max_fragments(5)
            .max_queued_pongs(2)
            .build()
            .unwrap();
        let conn = open_with(role, config);
        let mut watched = Watched { conn, log: Log::default(), wire: vec![], now: 0 };
        for call in &calls {
            watched.call(call);
        }
        for call in [Call::Poll, Call::Eof, Call::Poll, Call::Abort, Call::Poll] {
            watched.call(&call);
        }
        // `Log` panics if an event follows `Closed`.
        let ended = matches!(watched.log.seen.last(), Some(Seen::Closed { .. }));
        prop_assert!(ended);
        prop_assert!(watched.conn.is_finished());
        let firsts = first_bytes(&watched.wire);
        if let Some(at) = firsts.iter().position(|first| *first == 0x88) {
            // Only pings and pongs may follow our Close.
            prop_assert!(firsts[at + 1..].iter().all(|first| matches!(first, 0x89 | 0x8a)), "{:02x?}", firsts);
        }
        prop_assert!(firsts.iter().all(|first| first & 0x70 == 0));
    }
}

// rfc6455-5.5.3-02, 5.5.2-04, 10.4-01
#[test]
fn no_more_pongs_are_taken_out_than_the_limit() {
    for role in ROLES {
        for limit in [1, 2, 16_u8] {
            for burst in 1..=limit {
                let config = builder().max_queued_pongs(limit).build().unwrap();
                let mut conn = open_with(role, config);
                let (mut out, mut taken) = (Vec::new(), 0);
                for i in 0..100 {
                    for _ in 0..burst {
                        take(&mut conn, 0x89, &numbered(i));
                    }
                    if let Some(piece) = conn.take_outgoing() {
                        taken += plain_frames(&piece).len();
                        out.push(piece);
                    }
                    assert!(taken <= usize::from(limit), "{role:?}, {limit}, {burst}: {taken}");
                }
                assert!(taken > usize::from(limit - burst), "{role:?}, {limit}, {burst}: {taken}");
                // Written pongs make room for those that wait.
                out.iter().for_each(|piece| conn.advance(piece.len()));
                assert!(conn.take_outgoing().is_some());
            }
        }
    }
}

#[test]
fn pongs_that_are_taken_out_count_until_they_are_written() {
    for role in ROLES {
        for limit in [1, 2, 16] {
            let config = builder().max_queued_pongs(limit).build().unwrap();
            let limit = u64::from(limit);
            let mut conn = open_with(role, config);
            let mut out = Vec::new();
            for i in 0..500 {
                take(&mut conn, 0x89, &numbered(i));
                out.extend(conn.take_outgoing());
                assert!(conn.outgoing_len() <= 2 * limit * (125 + 6), "{role:?}, {limit}, {i}");
            }
            // A message is queued after the pongs. Taking and writing pieces in turn sends all of it.
            conn.send("behind").unwrap();
            let mut wire = Vec::new();
            while conn.outgoing_len() > 0 {
                for piece in out.drain(..) {
                    wire.extend_from_slice(&piece);
                    conn.advance(piece.len());
                }
                out.extend(conn.take_outgoing());
                assert!(
                    !out.is_empty() || conn.outgoing_len() == 0,
                    "nothing can be taken, but bytes are outgoing"
                );
            }
            let mut frames = plain_frames(&wire);
            assert_eq!(frames.pop(), Some((0x81, b"behind".to_vec())), "{role:?}, {limit}");
            assert_eq!(frames.last(), Some(&(0x8a, numbered(499))), "{role:?}, {limit}");
            assert!(frames.len() as u64 <= 2 * limit, "{role:?}, {limit}");
        }
    }
}
