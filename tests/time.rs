//! Time: which deadline `tick` returns in every phase, and what happens after it. The clock is a number. A connection
//! without ticks has no timers.

mod util;

use std::time::Duration;

use proptest::prelude::*;
use util::*;
use websocket_proto::{
    Accept, CloseCause, CloseCode, Config, Connection, MessageKind, ReadBuffer, Response, Role,
    State, Timeout, Timestamp, UsageError,
};

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn ms(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms))
}

/// Different timeouts: handshake 1000 ms, close 300 ms, idle and keepalive as given.
fn timed(idle: Option<u64>, keepalive: Option<u64>) -> Config {
    builder()
        .handshake_timeout(ms(1000))
        .close_timeout(ms(300))
        .idle_timeout(idle.and_then(ms))
        .keepalive_interval(keepalive.and_then(ms))
        .build()
        .unwrap()
}

fn news(conn: &mut Connection) -> Vec<Seen> {
    let mut log = Log::default();
    while let Some(event) = conn.poll_event() {
        log.push(event);
    }
    log.seen
}

/// Ticks at a deadline, which ends nothing yet, and a millisecond later. Returns what the second tick returns.
fn expire(conn: &mut Connection, deadline: u64) -> Option<Timestamp> {
    let (state, is_finished) = (conn.state(), conn.is_finished());
    assert_eq!(conn.tick(at(deadline)), Some(at(deadline + 1)));
    assert_eq!(
        (conn.state(), conn.is_finished()),
        (state, is_finished),
        "the first tick at the deadline ends the connection"
    );
    conn.tick(at(deadline + 1))
}

fn timed_out(timeout: Timeout) -> Seen {
    Seen::lost(CloseCause::TimedOut(timeout))
}

fn give(conn: &mut Connection, first: u8, payload: &[u8]) {
    feed(conn, &to(conn.role(), first, payload), &mut Log::default());
}

#[test]
fn handshake_and_close_have_a_timeout_by_default() {
    let config = Config::default();
    assert_eq!(config.handshake_timeout(), ms(10_000));
    assert_eq!(config.close_timeout(), ms(5_000));
    assert_eq!((config.idle_timeout(), config.keepalive_interval()), (None, None));
}

#[test]
fn handshake_has_a_deadline_from_the_first_tick_on() {
    // rfc6455-7.2.1-01, rfc6455-7.2.2-01, rfc6455-7.1.4-02, rfc6455-7.1.7-06
    type Prepare = fn(&mut Connection);
    let rows: [(Role, Prepare, &str); 6] = [
        (Role::Server, |_| {}, "408"),
        (Role::Server, |conn| feed(conn, &REQUEST[..40], &mut Log::default()), "408"),
        (Role::Server, |conn| feed(conn, REQUEST, &mut Log::default()), "503"),
        (Role::Server, |conn| feed(conn, b"GET / HTTP/1.1\r\n\r\n", &mut Log::default()), "503"),
        (Role::Client, |_| {}, ""),
        (Role::Client, |conn| drop(drain(conn)), ""),
    ];
    for (role, prepare, status) in rows {
        let mut conn = connecting(role, timed(None, None));
        prepare(&mut conn);
        let queued = conn.outgoing_len();
        assert_eq!(conn.tick(at(7000)), Some(at(8000)));
        assert_eq!(conn.tick(at(7999)), Some(at(8000)));
        assert_eq!((conn.state(), conn.outgoing_len()), (State::Connecting, queued));
        let next = expire(&mut conn, 8000);
        assert_eq!(news(&mut conn), [timed_out(Timeout::Handshake)], "{role:?} {status}");
        assert_eq!(conn.state(), State::Closed);
        match role {
            Role::Server => {
                assert_eq!(next, Some(at(8301)), "the response has the close timeout");
                let response = String::from_utf8(drain(&mut conn)).unwrap();
                assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
                assert!(response.contains("Connection: close\r\n"), "{response}");
                assert!(conn.wants_shutdown() && !conn.is_finished());
                // The timeout runs from the moment when the response is written.
                assert_eq!(conn.tick(at(8302)), Some(at(8602)));
                assert_eq!(expire(&mut conn, 8602), None);
                assert!(conn.is_finished() && news(&mut conn).is_empty());
            }
            Role::Client => {
                assert_eq!((next, conn.outgoing_len()), (None, 0));
                assert!(conn.is_finished());
            }
        }
    }
}

#[test]
fn handshake_in_single_bytes_has_the_same_deadline() {
    for role in ROLES {
        let mut conn = connecting(role, timed(Some(50), Some(20)));
        let bytes = match role {
            Role::Server => REQUEST.to_vec(),
            Role::Client => response_to(&drain(&mut conn)),
        };
        for now in 0..100 {
            assert_eq!(conn.tick(at(now * 10)), Some(at(1000)), "{role:?}");
            feed(&mut conn, &bytes[now as usize..now as usize + 1], &mut Log::default());
        }
        expire(&mut conn, 1000);
        assert_eq!(news(&mut conn), [timed_out(Timeout::Handshake)], "{role:?}");
    }
}

#[test]
fn handshake_deadline_ends_with_the_handshake() {
    for role in ROLES {
        for (idle, keepalive, next) in
            [(None, None, None), (Some(500), None, Some(1400)), (None, Some(20), Some(920))]
        {
            let mut conn = connecting(role, timed(idle, keepalive));
            assert_eq!(conn.tick(at(0)), Some(at(1000)));
            match role {
                Role::Server => {
                    feed(&mut conn, REQUEST, &mut Log::default());
                    assert_eq!(
                        conn.tick(at(600)),
                        Some(at(1000)),
                        "the handshake timeout includes the decision"
                    );
                    conn.accept(&Accept::new()).unwrap();
                }
                Role::Client => {
                    let response = response_to(&drain(&mut conn));
                    feed(&mut conn, &response, &mut Log::default());
                }
            }
            assert_eq!(conn.tick(at(900)), next.map(at), "{role:?} {idle:?} {keepalive:?}");
            drain(&mut conn);
            assert_eq!((conn.state(), conn.outgoing_len()), (State::Open, 0));
        }
    }
}

#[test]
fn closing_handshake_has_a_deadline_whatever_the_peer_sends() {
    // rfc6455-7.1.1-04, rfc6455-7.1.5-03
    for role in ROLES {
        for written in [true, false] {
            let mut conn = open_with(role, timed(Some(10_000), Some(100)));
            conn.tick(at(0));
            conn.send("queued").unwrap();
            conn.close(1000, "").unwrap();
            if written {
                drain(&mut conn);
            }
            assert_eq!(conn.tick(at(50)), Some(at(350)));
            for now in [100, 200, 349] {
                give(&mut conn, 0x81, b"talk");
                give(&mut conn, 0x89, b"");
                assert_eq!(conn.tick(at(now)), Some(at(350)), "{role:?}");
            }
            assert_eq!(expire(&mut conn, 350), None);
            assert_eq!(news(&mut conn), [timed_out(Timeout::Close)], "{role:?}");
            assert!(conn.is_finished() && conn.wants_shutdown());
            assert_eq!(conn.outgoing_len(), 0, "unwritten bytes are not dropped");
            assert_eq!(conn.buffered_amount(), if written { 0 } else { 6 });
        }
    }
}

#[test]
fn transport_has_a_deadline_after_the_end() {
    // rfc6455-5.5.1-15, rfc6455-5.5.1-16, rfc6455-7.1.1-01, rfc6455-7.1.1-04, rfc6455-7.1.1-06
    type End = fn(&mut Connection);
    let ends: [(&str, End); 3] = [
        ("the peer's Close", |conn| give(conn, 0x88, b"\x03\xe8")),
        ("both Closes", |conn| {
            conn.close(1000, "").unwrap();
            give(conn, 0x88, b"\x03\xe8");
        }),
        ("a failure", |conn| give(conn, 0x83, b"")),
    ];
    for role in ROLES {
        for (name, end) in ends {
            for written in [true, false] {
                let mut conn = open_with(role, timed(None, None));
                assert_eq!(conn.tick(at(10)), None);
                end(&mut conn);
                if written {
                    drain(&mut conn);
                }
                let was_finished = conn.is_finished();
                assert_eq!(was_finished, written && role == Role::Server && name != "a failure");
                if was_finished {
                    assert_eq!(conn.tick(at(20)), None, "a finished connection has a deadline");
                    continue;
                }
                assert_eq!(conn.tick(at(20)), Some(at(320)), "{role:?} {name}");
                for now in [100, 319] {
                    feed(&mut conn, b"talk", &mut Log::default());
                    assert_eq!(conn.tick(at(now)), Some(at(320)), "{role:?} {name}");
                }
                assert_eq!((conn.is_finished(), conn.wants_write()), (was_finished, !written));
                assert_eq!(expire(&mut conn, 320), None);
                assert!(
                    conn.is_finished() && !conn.wants_read() && !conn.wants_write(),
                    "{role:?} {name}"
                );
                assert_eq!(news(&mut conn), [], "the end is reported twice");
            }
        }
    }
}

#[test]
fn end_of_the_transport_ends_all_timers() {
    for role in ROLES {
        for end in [Connection::receive_eof, Connection::abort] {
            let mut conn = open_with(role, timed(Some(100), Some(10)));
            conn.tick(at(0));
            end(&mut conn);
            assert_eq!(news(&mut conn).len(), 1);
            for now in [0, 100, 10_000] {
                assert_eq!(conn.tick(at(now)), None);
                assert_eq!(news(&mut conn), []);
            }
        }
    }
}

#[test]
fn silent_peer_times_out() {
    // rfc6455-7.1.7-05: a Close is sent, for a peer that was only slow
    for role in ROLES {
        let mut conn = open_with(role, timed(Some(500), None));
        assert_eq!(conn.tick(at(1000)), Some(at(1500)));
        conn.send("sending is no sign of life").unwrap();
        drain(&mut conn);
        assert_eq!(conn.tick(at(1499)), Some(at(1500)));
        assert_eq!(conn.state(), State::Open);
        assert_eq!(expire(&mut conn, 1500), Some(at(1801)));
        assert_eq!(news(&mut conn), [timed_out(Timeout::Idle)], "{role:?}");
        let frames = plain_frames(&drain(&mut conn));
        assert_eq!((frames.len(), frames[0].0, &frames[0].1[..2]), (1, 0x88, &b"\x03\xe9"[..]));
        assert_eq!(conn.wants_shutdown(), role == Role::Server);
        // The peer's late answer is dropped.
        let outcome = run(&mut conn, &[&to(role, 0x88, b"\x03\xe8")]);
        assert_eq!((outcome.seen, outcome.output), (vec![], vec![]));
        assert_eq!(
            conn.tick(at(1600)),
            Some(at(1900)),
            "the timeout runs from the write of the Close"
        );
        assert_eq!(expire(&mut conn, 1900), None);
        assert!(conn.is_finished());
    }
}

#[test]
fn any_received_byte_ends_the_silence() {
    for role in ROLES {
        let message = [to(role, 0x01, b"a"), to(role, 0x80, &[b'b'; 130])].concat();
        let frames =
            [message, to(role, 0x8a, b""), to(role, 0x89, b"ping"), to(role, 0x81, b"short")]
                .concat();
        let mut conn = open_with(role, timed(Some(500), None));
        conn.tick(at(0));
        let mut now = 0;
        for byte in frames.chunks(1) {
            now += 499;
            feed(&mut conn, byte, &mut Log::default());
            assert_eq!(conn.tick(at(now)), Some(at(now + 500)), "{role:?}");
        }
        // A call of `receive` without input does not end the silence.
        feed(&mut conn, &[], &mut Log::default());
        assert_eq!(conn.tick(at(now + 499)), Some(at(now + 500)));
        // Several short whole messages in one read take the fast path.
        for _ in 0..3 {
            now += 499;
            feed(
                &mut conn,
                &[to(role, 0x81, b"x"), to(role, 0x82, b"")].concat(),
                &mut Log::default(),
            );
            assert_eq!(conn.tick(at(now)), Some(at(now + 500)), "{role:?}");
        }
        expire(&mut conn, now + 500);
        assert_eq!(news(&mut conn), [timed_out(Timeout::Idle)]);
    }
}

#[test]
fn any_byte_received_through_a_buffer_ends_the_silence_once() {
    for role in ROLES {
        let message = to(role, 0x82, &[b'b'; 130]);
        // A cut within the header, after the header, and within the payload.
        for cut in 1..12 {
            let mut conn = open_with(role, timed(Some(500), None));
            let mut buffer = ReadBuffer::with_capacity(200);
            conn.tick(at(0));
            buffer.spare()[..cut].copy_from_slice(&message[..cut]);
            buffer.filled(cut);
            assert!(conn.receive_from(&mut buffer).is_none());
            assert_eq!(conn.tick(at(499)), Some(at(999)), "{role:?}, cut at {cut}");
            // A call without new bytes does not end the silence, although the buffer still holds the front of a frame.
            buffer.filled(0);
            assert!(conn.receive_from(&mut buffer).is_none());
            assert_eq!(conn.tick(at(998)), Some(at(999)), "{role:?}, cut at {cut}");
            expire(&mut conn, 999);
            assert_eq!(news(&mut conn), [timed_out(Timeout::Idle)]);
        }
    }
}

#[test]
fn bytes_that_were_read_before_a_late_tick_count() {
    for role in ROLES {
        let mut conn = open_with(role, timed(Some(500), Some(100)));
        conn.tick(at(0));
        give(&mut conn, 0x8a, b"");
        assert_eq!(conn.tick(at(9000)), Some(at(9100)), "{role:?}");
        assert_eq!((conn.state(), conn.outgoing_len()), (State::Open, 0));
    }
}

#[test]
fn a_ping_is_sent_after_every_interval_of_silence() {
    // whatwg-ping-01, rfc6455-5.5.2-05
    for role in ROLES {
        let mut conn = open_with(role, timed(None, Some(100)));
        assert_eq!(conn.tick(at(1000)), Some(at(1100)));
        assert_eq!(conn.tick(at(1099)), Some(at(1100)));
        assert_eq!(conn.outgoing_len(), 0);
        for n in 1..5 {
            assert_eq!(conn.tick(at(1000 + 100 * n)), Some(at(1100 + 100 * n)));
            assert_eq!(plain_frames(&drain(&mut conn)), [(0x89, vec![])], "{role:?}");
            assert_eq!(conn.tick(at(1050 + 100 * n)), Some(at(1100 + 100 * n)));
            assert_eq!(conn.outgoing_len(), 0, "{role:?}");
        }
        // A received byte restarts the interval.
        feed(&mut conn, &to(role, 0x8a, b"")[..1], &mut Log::default());
        assert_eq!(conn.tick(at(1499)), Some(at(1599)));
        assert_eq!(conn.tick(at(1598)), Some(at(1599)));
        assert_eq!(conn.outgoing_len(), 0);
        assert_eq!(conn.tick(at(1599)), Some(at(1699)));
        assert_eq!(plain_frames(&drain(&mut conn)), [(0x89, vec![])]);
        assert_eq!((conn.state(), news(&mut conn)), (State::Open, vec![]));
    }
}

#[test]
fn late_tick_sends_one_ping_and_keeps_the_intervals() {
    for role in ROLES {
        let mut conn = open_with(role, timed(None, Some(100)));
        conn.tick(at(0));
        for (now, next) in
            [(1234, 1300), (1300, 1400), (2000, 2100), (2099, 2100), (7_777_777, 7_777_800)]
        {
            let is_due = now != 2099;
            assert_eq!(conn.tick(at(now)), Some(at(next)), "{role:?} at {now}");
            assert_eq!(
                plain_frames(&drain(&mut conn)).len(),
                usize::from(is_due),
                "{role:?} at {now}"
            );
        }
    }
}

#[test]
fn keepalive_goes_on_however_long_the_silence_is() {
    // In a silence of many intervals, many more pings are due than are sent.
    for role in ROLES {
        for interval in [1, 10, 1000] {
            let mut conn = open_with(role, timed(None, Some(interval)));
            conn.tick(at(0));
            for now in [65_534, 65_535, 65_536, 65_537, 70_000, 200_000] {
                let now = now * interval;
                assert_eq!(
                    conn.tick(at(now)),
                    Some(at(now + interval)),
                    "{role:?} {interval} at {now}"
                );
                assert_eq!(
                    plain_frames(&drain(&mut conn)),
                    [(0x89, vec![])],
                    "{role:?} {interval} at {now}"
                );
            }
        }
    }
}

#[test]
fn keepalive_keeps_a_peer_that_answers_and_times_out_one_that_does_not() {
    for role in ROLES {
        let mut conn = open_with(role, timed(Some(250), Some(100)));
        let mut now = 0;
        let mut next = conn.tick(at(now)).unwrap();
        for _ in 0..10 {
            assert_eq!(next, at(now + 100), "the ping is due before the idle timeout");
            now += 100;
            conn.tick(next);
            assert_eq!(plain_frames(&drain(&mut conn)), [(0x89, vec![])]);
            give(&mut conn, 0x8a, b"");
            next = conn.tick(at(now)).unwrap();
        }
        let mut wire = Vec::new();
        for deadline in [now + 100, now + 200, now + 250, now + 251] {
            assert_eq!(next, at(deadline), "{role:?}");
            next = conn.tick(next).unwrap();
            // A kernel accepts bytes even if the peer is gone, so a write at once is no sign of life.
            wire.extend(drain(&mut conn));
        }
        assert_eq!(news(&mut conn), [timed_out(Timeout::Idle)]);
        assert_eq!(next, at(now + 551));
        let firsts: Vec<_> = plain_frames(&wire).into_iter().map(|(first, _)| first).collect();
        assert_eq!(firsts, [0x89, 0x89, 0x88], "{role:?}");
    }
}

#[test]
fn keepalive_stops_with_the_closing_handshake() {
    // rfc6455-5.5.2-05
    for role in ROLES {
        let mut conn = open_with(role, timed(None, Some(10)));
        conn.tick(at(0));
        conn.close(1000, "").unwrap();
        conn.tick(at(5));
        assert_eq!(conn.tick(at(200)), Some(at(305)));
        assert_eq!(plain_frames(&drain(&mut conn)), [(0x88, b"\x03\xe8".to_vec())], "{role:?}");
    }
}

#[test]
fn pings_go_between_the_fragments_of_a_message() {
    // rfc6455-5.4-06
    for role in ROLES {
        let mut conn = open_with(role, timed(None, Some(10)));
        conn.tick(at(0));
        conn.send_fragment(MessageKind::Text, b"a", false).unwrap();
        let mut wire = drain(&mut conn);
        conn.tick(at(10));
        conn.send_fragment(MessageKind::Text, b"b", true).unwrap();
        wire.extend(drain(&mut conn));
        let frames = [(0x01, b"a".to_vec()), (0x89, vec![]), (0x80, b"b".to_vec())];
        assert_eq!(plain_frames(&wire), frames, "{role:?}");
    }
}

#[test]
fn connection_without_ticks_has_no_timers() {
    // rfc6455-7.1.7-08, rfc6455-7.2.1-03: without a tick nothing ends
    for role in ROLES {
        let config =
            timed(Some(2), Some(1)).to_builder().handshake_timeout(ms(1)).close_timeout(ms(1));
        let config = config.build().unwrap();
        let mut conn = connecting(role, config);
        match role {
            Role::Server => {
                feed(&mut conn, REQUEST, &mut Log::default());
                conn.accept(&Accept::new()).unwrap();
            }
            Role::Client => {
                let response = response_to(&drain(&mut conn));
                feed(&mut conn, &response, &mut Log::default());
            }
        }
        drain(&mut conn);
        for _ in 0..100 {
            give(&mut conn, 0x81, b"x");
            assert_eq!(
                (news(&mut conn), conn.outgoing_len(), conn.state()),
                (vec![], 0, State::Open)
            );
        }
        conn.close(1000, "").unwrap();
        drain(&mut conn);
        give(&mut conn, 0x82, b"x");
        assert_eq!((news(&mut conn), conn.state()), (vec![], State::Closing), "{role:?}");
    }
}

#[test]
fn without_timeouts_tick_returns_none() {
    // rfc6455-7.1.7-08, rfc6455-7.2.1-03
    for role in ROLES {
        let config = builder().handshake_timeout(None).close_timeout(None).build().unwrap();
        let year = 365 * 24 * 3600 * 1000;
        let mut opening = connecting(role, config.clone());
        let mut conn = open_with(role, config);
        for now in [0, 1, year, 100 * year] {
            assert_eq!(opening.tick(at(now)), None);
            assert_eq!(conn.tick(at(now)), None);
            give(&mut conn, 0x89, b"");
            assert_eq!(conn.tick(at(now)), None);
            assert_eq!((opening.state(), conn.state()), (State::Connecting, State::Open));
        }
        conn.close(1000, "").unwrap();
        assert_eq!(conn.tick(at(200 * year)), None);
        give(&mut conn, 0x83, b"");
        assert_eq!(conn.tick(at(300 * year)), None);
        conn.receive_eof();
        drain(&mut conn);
        assert_eq!(conn.tick(at(400 * year)), None);
        assert!(conn.is_finished());
    }
}

#[test]
fn timeout_of_one_millisecond_ends_at_the_first_tick_after_another_one() {
    for role in ROLES {
        let config =
            timed(Some(1), None).to_builder().handshake_timeout(ms(1)).close_timeout(ms(1));
        let config = config.build().unwrap();
        let rows = [
            (connecting(role, config.clone()), Timeout::Handshake),
            (open_with(role, config.clone()), Timeout::Idle),
            (
                {
                    let mut conn = open_with(role, config.clone());
                    conn.close(1000, "").unwrap();
                    conn
                },
                Timeout::Close,
            ),
        ];
        for (mut conn, timeout) in rows {
            assert_eq!(conn.tick(at(0)), Some(at(1)));
            let next = expire(&mut conn, 1);
            assert_eq!(news(&mut conn), [timed_out(timeout)], "{role:?}");
            // The Close or the response has the close timeout, which is 1 ms too.
            if let Some(next) = next {
                assert_eq!((next, conn.is_finished()), (at(3), false), "{role:?} {timeout:?}");
                assert_eq!(expire(&mut conn, 3), None);
            }
            assert!(conn.is_finished());
        }
        let mut conn = open_with(role, timed(None, Some(1)));
        assert_eq!(conn.tick(at(5)), Some(at(6)));
    }
}

#[test]
fn deadlines_are_never_early() {
    for role in ROLES {
        for micros in [0, 1, 499, 500, 999, 1000, 1001] {
            let begin = Timestamp::new(Duration::from_micros(5_000_000 + micros));
            let mut conn = open_with(role, timed(Some(10), None));
            let deadline = conn.tick(begin).unwrap();
            let wait = deadline.saturating_since(begin);
            assert!(
                (Duration::from_millis(10)..Duration::from_millis(11)).contains(&wait),
                "{wait:?}"
            );
            let before = Timestamp::new(deadline.since_epoch() - Duration::from_nanos(1));
            assert_eq!(conn.tick(before), Some(deadline));
            assert_eq!(conn.state(), State::Open);
            let next = conn.tick(deadline).unwrap();
            assert_eq!(conn.state(), State::Open);
            assert!(next > deadline && next <= deadline + Duration::from_millis(2), "{next:?}");
            conn.tick(next);
            assert_eq!(conn.state(), State::Closed, "{role:?} {micros}");
        }
    }
}

#[test]
fn deadlines_do_not_depend_on_the_epoch() {
    // Times near 2^32 and 2^64 milliseconds, and near the largest timestamp.
    let wrap = 1u64 << 32;
    let millis = [
        0,
        1,
        wrap - 251,
        wrap - 250,
        wrap - 1,
        wrap,
        wrap * 7 - 100,
        1 << 53,
        u64::MAX - 1000,
        u64::MAX,
    ];
    let begins = millis.map(at).into_iter().chain([
        Timestamp::new(Duration::from_secs(u64::MAX / 1000 + 10)),
        Timestamp::new(Duration::from_secs(u64::MAX - 60)),
    ]);
    for role in ROLES {
        for begin in begins.clone() {
            let after = |ms| begin + Duration::from_millis(ms);
            let mut conn = open_with(role, timed(Some(500), Some(200)));
            assert_eq!(conn.tick(begin), Some(after(200)), "{role:?} {begin:?}");
            assert_eq!(conn.outgoing_len(), 0);
            assert_eq!(conn.tick(after(200)), Some(after(400)), "{role:?} {begin:?}");
            assert_eq!(conn.tick(after(400)), Some(after(500)), "{role:?} {begin:?}");
            assert_eq!(conn.tick(after(499)), Some(after(500)), "{role:?} {begin:?}");
            // The first ping is still queued, so no second one is added.
            assert_eq!(plain_frames(&drain(&mut conn)).len(), 1);
            assert_eq!(conn.tick(after(500)), Some(after(501)), "{role:?} {begin:?}");
            assert_eq!(conn.tick(after(501)), Some(after(801)), "{role:?} {begin:?}");
            assert_eq!(news(&mut conn), [timed_out(Timeout::Idle)]);
            assert_eq!(conn.tick(after(801)), Some(after(802)), "{role:?} {begin:?}");
            assert_eq!(conn.tick(after(802)), None, "{role:?} {begin:?}");
        }
        // Near the largest timestamp, a deadline does not fit: nothing is due, and nothing overflows.
        let end = Timestamp::new(Duration::MAX);
        let mut conn = open_with(role, timed(Some(500), None));
        conn.tick(Timestamp::new(Duration::MAX - Duration::from_secs(1)));
        assert_eq!(conn.state(), State::Open, "{role:?}");
        conn.tick(end);
        let almost = Duration::MAX - Duration::from_millis(1);
        let forever = builder().idle_timeout(Duration::MAX).keepalive_interval(almost);
        let forever = forever.build().unwrap();
        let mut conn = open_with(role, forever);
        for now in [at(0), at(1 << 40), at(u64::MAX)] {
            let next = conn.tick(now).unwrap();
            assert!(
                next > now && conn.state() == State::Open && conn.outgoing_len() == 0,
                "{role:?} {now:?}"
            );
        }
    }
}

#[test]
fn clock_that_goes_back_a_little_ends_nothing() {
    // A clock that is read on two threads can go back.
    for role in ROLES {
        let mut conn = open_with(role, timed(Some(500), Some(200)));
        conn.tick(at(10_000));
        assert_eq!(conn.tick(at(9_999)).map(|next| next > at(10_000)), Some(true), "{role:?}");
        assert_eq!((conn.state(), conn.outgoing_len()), (State::Open, 0), "{role:?}");
    }
}

#[test]
fn timestamp_is_a_duration_since_any_epoch() {
    let moment = Timestamp::new(Duration::from_micros(1_500));
    assert_eq!(moment.since_epoch(), Duration::from_micros(1_500));
    assert_eq!(at(2).saturating_since(moment), Duration::from_micros(500));
    assert_eq!(moment.saturating_since(at(2)), Duration::ZERO);
    assert_eq!(moment + Duration::from_micros(500), at(2));
    assert_eq!(Timestamp::new(Duration::MAX) + Duration::MAX, Timestamp::new(Duration::MAX));
    assert!(Timestamp::default() == at(0) && at(0) < moment);
}

/// An action between two ticks.
#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    /// Waits until the moment that the last tick returned.
    Sleep,
    Frame(u8),
    Send,
    Close,
    Write,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::sample::select(vec![0, 1, 19, 20, 99, 100, 301, 5000]).prop_map(Step::Pass),
        6 => Just(Step::Sleep),
        3 => prop::sample::select(vec![0x81, 0x89, 0x8a, 0x88, 0x83]).prop_map(Step::Frame),
        1 => Just(Step::Send),
        1 => Just(Step::Close),
        2 => Just(Step::Write),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn state_changes_at_the_returned_deadline_and_not_before(
        client in any::<bool>(), idle in prop::option::of(50..400u64), keepalive in prop::option::of(10..200u64),
        begin in prop::sample::select(vec![0, 1 << 20, (1 << 32) - 150, (1 << 40) + 1]),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let keepalive = keepalive.filter(|&every| idle.is_none_or(|idle| every < idle));
        let mut conn = open_with(role, timed(idle, keepalive));
        let mut now = begin;
        let mut log = Log::default();
        for step in steps {
            let next = conn.tick(at(now));
            prop_assert_eq!(next, conn.tick(at(now)), "a second tick at the same time returns another deadline");
            while let Some(event) = conn.poll_event() { log.push(event) }
            let Some(next) = next else {
                let nothing_runs = conn.is_finished() || (idle.is_none() && keepalive.is_none());
                prop_assert!(nothing_runs, "{:?}", conn);
                if conn.is_finished() { break }
                continue;
            };
            prop_assert!(next > at(now), "the deadline has passed, so a loop would not wait");
            let before = (conn.state(), conn.outgoing_len(), conn.is_finished());
            let deadline = u64::try_from(next.since_epoch().as_millis()).unwrap();
            if deadline > now + 1 {
                prop_assert_eq!(conn.tick(at(deadline - 1)), Some(next));
                prop_assert_eq!((conn.state(), conn.outgoing_len(), conn.is_finished()), before);
                now = deadline - 1;
            }
            match step {
                Step::Pass(ms) => now += ms,
                Step::Sleep => {
                    // Earlier ticks may free memory, and the first tick at a deadline ends nothing. A queued ping
                    // prevents further pings.
                    let waits = before.1 > 0 && keepalive.is_some();
                    let mut wake = Some(next);
                    for _ in 0..5 {
                        let Some(at) = wake else { break };
                        now = u64::try_from(at.since_epoch().as_millis()).unwrap();
                        wake = conn.tick(at);
                        let after = (conn.state(), conn.outgoing_len(), conn.is_finished());
                        if after != before { break }
                        prop_assert!(wake.is_none_or(|next| next > at));
                    }
                    let after = (conn.state(), conn.outgoing_len(), conn.is_finished());
                    prop_assert!(after != before || waits || wake.is_none(), "nothing happened at {:?}", next);
                }
                Step::Frame(first) => feed(&mut conn, &to(role, first, b""), &mut log),
                Step::Send => drop(conn.send("x")),
                Step::Close => conn.close(CloseCode::NORMAL, "").unwrap(),
                Step::Write => drop(drain(&mut conn)),
            }
        }
    }
}

#[test]
fn clock_that_jumps_forward_sends_one_ping_and_keeps_the_intervals() {
    for role in ROLES {
        let mut conn = open_with(role, timed(None, Some(100)));
        conn.tick(at(0));
        let jump = 1_700_000_000_000;
        for now in [jump, jump + 100, jump + 200] {
            assert_eq!(conn.tick(at(now)), Some(at(now + 100)), "{role:?} at {now}");
            assert_eq!(plain_frames(&drain(&mut conn)), [(0x89, vec![])], "{role:?} at {now}");
        }
        assert_eq!(conn.tick(at(jump + 250)), Some(at(jump + 300)));
        assert_eq!(drain(&mut conn), []);
    }
}

#[test]
fn interval_is_rounded_up_to_a_millisecond() {
    let config = timed(None, Some(1))
        .to_builder()
        .keepalive_interval(Duration::from_micros(1900))
        .build()
        .unwrap();
    let mut conn = open_with(Role::Server, config);
    conn.tick(at(0));
    for turn in 1..50 {
        assert_eq!(conn.tick(at(2 * turn)), Some(at(2 * turn + 2)));
        assert_eq!(plain_frames(&drain(&mut conn)).len(), 1, "in turn {turn}");
    }
}

/// Writes `n` bytes, or all that are outgoing.
fn write(conn: &mut Connection, mut n: usize) {
    n = n.min(conn.outgoing_len() as usize);
    conn.advance(n);
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Ticks like a loop: at each moment that a tick returned, and at `until`. Appends the events to `log`.
fn pass(conn: &mut Connection, until: u64, log: &mut Log) {
    let mut next = conn.tick(at(until - 1000));
    while let Some(wake) = next.filter(|wake| *wake <= at(until)) {
        next = conn.tick(wake);
    }
    conn.tick(at(until));
    while let Some(event) = conn.poll_event() {
        log.push(event);
    }
}

#[test]
fn bytes_written_from_a_backlog_are_a_sign_of_life() {
    // The peer sends nothing while it reads 10 MiB, 100 KiB each second. The idle timeout is 30 s.
    for role in ROLES {
        for keepalive in [None, Some(10_000)] {
            let mut conn = open_with(role, timed(Some(30_000), keepalive));
            let mut log = Log::default();
            conn.send(vec![1; 10 * MIB]).unwrap();
            let mut seconds = 0;
            while conn.outgoing_len() > 0 {
                assert_eq!(conn.state(), State::Open, "{role:?} after {seconds} s");
                write(&mut conn, 100 * KIB);
                seconds += 1;
                pass(&mut conn, 1000 * seconds, &mut log);
            }
            assert!(seconds > 100 && log.seen.is_empty(), "{seconds} s, {:?}", log.seen);
            // After that the silence counts.
            for _ in 0..29 {
                seconds += 1;
                pass(&mut conn, 1000 * seconds, &mut log);
                drain(&mut conn);
                assert_eq!(conn.state(), State::Open, "{role:?} {keepalive:?}");
            }
            pass(&mut conn, 1000 * (seconds + 3), &mut log);
            assert_eq!(log.seen, [timed_out(Timeout::Idle)], "{role:?} {keepalive:?}");
        }
    }
}

#[test]
fn bytes_written_at_once_are_no_sign_of_life() {
    // A kernel accepts bytes even if the peer is gone.
    for role in ROLES {
        let mut conn = open_with(role, timed(Some(30_000), None));
        let mut log = Log::default();
        for second in 1..=29 {
            conn.send(vec![1; 10 * KIB]).unwrap();
            let all = conn.outgoing_len() as usize;
            conn.advance(all);
            pass(&mut conn, 1000 * second, &mut log);
            assert_eq!(conn.state(), State::Open);
        }
        pass(&mut conn, 32_000, &mut log);
        assert_eq!(log.seen, [timed_out(Timeout::Idle)], "{role:?}");
    }
}

#[test]
fn silence_does_not_count_while_the_connection_is_congested() {
    // 100 echoes of 1 KiB are written at 1 KiB a second. The caller does not read while the connection is congested.
    for role in ROLES {
        let mut conn = open_with(role, timed(Some(30_000), None));
        let mut log = Log::default();
        for _ in 0..100 {
            conn.send(vec![1; KIB]).unwrap();
        }
        let mut second = 0;
        while conn.is_congested() {
            write(&mut conn, KIB);
            second += 1;
            pass(&mut conn, 1000 * second, &mut log);
            assert_eq!((conn.state(), &log.seen[..]), (State::Open, &[][..]), "{role:?} {second}");
        }
        assert!(second > 80, "{second}");
        // If no byte of a backlog is written, the connection times out, whatever the peer sends.
        let mut conn = open_with(role, timed(Some(30_000), None));
        for _ in 0..100 {
            conn.send(vec![1; KIB]).unwrap();
        }
        conn.tick(at(0));
        for second in 1..=30 {
            feed(&mut conn, &to(role, 0x8a, b""), &mut Log::default());
            assert_eq!(conn.state(), State::Open);
            pass(&mut conn, 1000 * second, &mut log);
        }
        pass(&mut conn, 31_001, &mut log);
        assert_eq!(log.seen, [timed_out(Timeout::Idle)], "{role:?}");
    }
}

#[test]
fn close_timeout_runs_from_the_moment_our_close_is_written() {
    // rfc6455-7.1.1-04: a Close after 10 MiB, to a peer that reads 1 MiB a second
    type End = fn(&mut Connection);
    let ends: [End; 2] =
        [|conn| conn.close(1000, "").unwrap(), |conn| give(conn, 0x88, b"\x03\xe8")];
    for role in ROLES {
        for (which, end) in ends.into_iter().enumerate() {
            let config = timed(None, None).to_builder().close_timeout(ms(5000)).build().unwrap();
            let mut conn = open_with(role, config);
            let mut log = Log::default();
            conn.send(vec![1; 10 * MIB]).unwrap();
            conn.tick(at(0));
            end(&mut conn);
            let mut now = 0;
            while conn.outgoing_len() > 0 {
                assert!(!conn.is_finished(), "{role:?} at {now}");
                write(&mut conn, MIB);
                now += 1000;
                pass(&mut conn, now, &mut log);
            }
            assert_eq!((now, conn.buffered_amount()), (11_000, 0), "{role:?}");
            if which == 1 && role == Role::Server {
                assert!(conn.is_finished());
                continue;
            }
            assert!(!conn.is_finished());
            // Pings after the Close do not restart the timeout.
            for ping in 1..=4 {
                if which == 0 {
                    conn.ping(b"").unwrap();
                }
                pass(&mut conn, now + 1000 * ping, &mut log);
                assert!(!conn.is_finished(), "{role:?}");
                drain(&mut conn);
            }
            pass(&mut conn, now + 5002, &mut log);
            let seen = if which == 0 { vec![timed_out(Timeout::Close)] } else { vec![] };
            assert_eq!((conn.is_finished(), log.seen), (true, seen), "{role:?}");
        }
    }
}

#[test]
fn close_timeout_ends_a_backlog_that_makes_no_progress() {
    for role in ROLES {
        for taken in [0, 3] {
            let mut conn = open_with(role, timed(None, None));
            conn.send(vec![1; 10 * MIB]).unwrap();
            conn.close(1000, "").unwrap();
            conn.tick(at(0));
            let mut now = 0;
            for _ in 0..taken {
                write(&mut conn, KIB);
                now += 200;
                assert!(conn.tick(at(now)).is_some() && !conn.is_finished());
            }
            let last = if taken > 0 { now } else { 0 };
            assert_eq!(conn.tick(at(last + 299)), Some(at(last + 300)), "{role:?} {taken}");
            assert_eq!(expire(&mut conn, last + 300), None);
            assert_eq!(news(&mut conn), [timed_out(Timeout::Close)], "{role:?} {taken}");
            assert!(conn.is_finished() && conn.buffered_amount() > 9 * MIB as u64);
        }
    }
}

#[test]
fn a_large_response_does_not_time_out_while_it_makes_progress() {
    let config = timed(None, None).to_builder().close_timeout(ms(5000)).build().unwrap();
    for request in [REQUEST, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut conn = connecting(Role::Server, config.clone());
        feed(&mut conn, request, &mut Log::default());
        let response = Response::new(403).body(vec![b'x'; 10 * MIB]);
        conn.respond(response).unwrap();
        let mut log = Log::default();
        let mut now = 1000;
        conn.tick(at(now));
        while conn.outgoing_len() > 0 {
            write(&mut conn, MIB);
            now += 1000;
            pass(&mut conn, now, &mut log);
        }
        assert_eq!((now, conn.is_finished()), (12_000, false));
        assert!(conn.wants_shutdown());
        pass(&mut conn, now + 5002, &mut log);
        assert!(conn.is_finished());
    }
}

#[test]
fn a_late_tick_ends_nothing_before_arrived_bytes_are_read() {
    // The process was stopped, or the machine slept. 40 connections have unread bytes in their sockets.
    for role in ROLES {
        let ping = to(role, 0x89, b"there?");
        for late in [1, 500, 60_000, 1 << 40] {
            for _ in 0..40 {
                let mut conn = open_with(role, timed(Some(500), None));
                conn.tick(at(0));
                let now = 500 + late;
                assert_eq!(conn.tick(at(now)), Some(at(now + 1)), "{role:?}");
                feed(&mut conn, &ping, &mut Log::default());
                assert_eq!(plain_frames(&drain(&mut conn)), [(0x8a, b"there?".to_vec())]);
                assert_eq!(conn.tick(at(now + 1)), Some(at(now + 501)), "{role:?}");
                assert_eq!(news(&mut conn), []);
            }
        }
        // The handshake and the peer's Close arrived in time, but are read after a late tick.
        let mut conn = connecting(role, timed(None, None));
        let bytes = match role {
            Role::Server => REQUEST.to_vec(),
            Role::Client => response_to(&drain(&mut conn)),
        };
        conn.tick(at(0));
        assert_eq!(conn.tick(at(60_000)), Some(at(60_001)));
        feed(&mut conn, &bytes, &mut Log::default());
        if role == Role::Server {
            conn.accept(&Accept::new()).unwrap();
        }
        drain(&mut conn);
        conn.tick(at(60_001));
        assert_eq!(conn.state(), State::Open, "{role:?}");
        conn.close(1000, "").unwrap();
        drain(&mut conn);
        conn.tick(at(60_002));
        assert_eq!(conn.tick(at(120_000)), Some(at(120_001)));
        let mut log = Log::default();
        feed(&mut conn, &to(role, 0x88, b"\x03\xe8"), &mut log);
        assert_eq!(log.seen, [Seen::closed(1000, "", CloseCause::Local)], "{role:?}");
    }
}

#[test]
fn bytes_received_after_a_late_tick_count_with_keepalive_too() {
    for role in ROLES {
        let mut conn = open_with(role, timed(Some(100), Some(20)));
        for _ in 0..100 {
            conn.send(vec![1; KIB]).unwrap();
        }
        conn.tick(at(0));
        assert_eq!(conn.tick(at(5000)), Some(at(5001)), "{role:?}");
        for now in 5001..5050 {
            give(&mut conn, 0x8a, b"");
            for _ in 0..3 {
                assert_eq!(conn.tick(at(now)), Some(at(now + 1)), "{role:?} at {now}");
            }
            assert_eq!((conn.state(), news(&mut conn)), (State::Open, vec![]), "{role:?} at {now}");
        }
        conn.tick(at(5050));
        assert_eq!(news(&mut conn), [timed_out(Timeout::Idle)], "{role:?}");
    }
}

#[test]
fn at_most_one_keepalive_ping_is_queued() {
    // whatwg-ping-01: for 1000 s no whole frame can be written
    for role in ROLES {
        for way in ["not at all", "in part", "taken out"] {
            let mut conn = open_with(role, timed(None, Some(1000)));
            let mut taken = Vec::new();
            for second in 0..1000 {
                conn.tick(at(1000 * second));
                match way {
                    "in part" if second == 1 => conn.advance(1),
                    "taken out" => taken.extend(conn.take_outgoing()),
                    _ => {}
                }
            }
            let frame = if role == Role::Server { 2 } else { 6 };
            let left = if way == "in part" { frame - 1 } else { frame };
            assert_eq!(conn.outgoing_len(), left, "{role:?} {way}");
            conn.advance(left as usize);
            // Bytes written from a backlog are a sign of life, which restarts the interval.
            conn.tick(at(if way == "in part" { 1_000_000 } else { 999_999 }));
            conn.tick(at(1_001_000));
            assert_eq!(
                plain_frames(&drain(&mut conn)),
                [(0x89, vec![])],
                "the next ping is queued"
            );
        }
    }
}

#[test]
fn a_finished_connection_has_no_deadline() {
    for role in ROLES {
        for end in [b"\x88".as_slice(), b"\x83"] {
            let mut conn = open_with(role, timed(Some(100), Some(10)));
            conn.tick(at(0));
            give(&mut conn, end[0], b"");
            conn.receive_eof();
            drain(&mut conn);
            assert!(conn.is_finished());
            assert_eq!(conn.tick(at(1)), None, "{role:?}");
        }
    }
}

#[test]
fn number_of_ticks_changes_nothing() {
    // The same calls at the same times give the same output and the same end, however many ticks are between them.
    for role in ROLES {
        for every in [1, 10, 50] {
            let run = |every: u64| {
                let mut conn = open_with(role, timed(Some(250), Some(100)));
                let (mut wire, mut log) = (Vec::new(), Log::default());
                for now in (0..2000).step_by(1) {
                    if now % every == 0 || now % 50 == 0 {
                        conn.tick(at(now));
                        conn.tick(at(now));
                    }
                    if now % 200 == 0 && now < 1000 {
                        feed(&mut conn, &to(role, 0x81, b"x"), &mut log);
                        conn.tick(at(now));
                    }
                    while let Some(event) = conn.poll_event() {
                        log.push(event);
                    }
                    wire.extend(drain(&mut conn));
                }
                (wire, log.seen)
            };
            assert_eq!(run(every), run(50), "{role:?} {every}");
        }
    }
}

#[test]
fn the_first_bytes_written_to_a_full_socket_are_progress() {
    // The socket is full when the Close, the response or the large message is queued. It accepts bytes after 4 s, and
    // then every 4 s.
    type Prepare = fn() -> Connection;
    let rows: [(&str, Prepare); 3] = [
        ("close", || {
            let mut conn = open(Role::Server);
            conn.send(vec![1; MIB]).unwrap();
            conn.close(1000, "").unwrap();
            conn
        }),
        ("response", || {
            let mut conn = connecting(Role::Server, config());
            feed(&mut conn, REQUEST, &mut Log::default());
            conn.respond(Response::new(403).body(vec![1; MIB])).unwrap();
            conn
        }),
        ("congested", || {
            let mut conn = open_with(Role::Client, timed(Some(5000), None));
            conn.send(vec![1; MIB]).unwrap();
            conn
        }),
    ];
    for (name, prepare) in rows {
        let mut conn = prepare();
        let mut log = Log::default();
        while let Some(event) = conn.poll_event() {
            log.push(event);
        }
        let told = log.seen.len();
        for now in 0..=12_000 {
            if now > 0 && now % 4000 == 0 {
                write(&mut conn, 64 * KIB);
            }
            conn.tick(at(now));
            assert!(conn.wants_write() && !conn.is_finished(), "{name} at {now}");
            assert_eq!(news(&mut conn), [], "{name} at {now}");
        }
        for now in 12_001..=17_001 {
            conn.tick(at(now));
        }
        assert!(
            conn.is_finished() || conn.state() == State::Closed,
            "{name}: the connection does not end although nothing is written"
        );
        assert_eq!(news(&mut conn).len() + told, 1, "{name}");
    }
}

#[test]
fn a_silent_peer_times_out_however_bytes_are_written() {
    // Messages of two pieces are written at once: in one `advance`, piece by piece, with `take_outgoing`, byte by byte.
    for role in ROLES {
        for way in 0..4 {
            let mut conn = open_with(role, timed(Some(30_000), Some(12_000)));
            let mut end = None;
            for second in 0..100 {
                if second % 10 == 0 && conn.state() == State::Open {
                    conn.send(vec![1; 8192]).unwrap();
                }
                // Ticks before and after the write.
                conn.tick(at(second * 1000));
                conn.tick(at(second * 1000 + 1));
                while conn.wants_write() {
                    let n = match way {
                        0 => conn.outgoing_len() as usize,
                        1 => conn.outgoing().len(),
                        2 => conn.take_outgoing().unwrap().len(),
                        _ => 1,
                    };
                    conn.advance(n);
                }
                conn.tick(at(second * 1000 + 2));
                if !news(&mut conn).is_empty() {
                    end = Some(second);
                    break;
                }
            }
            assert_eq!(end, Some(30), "{role:?}, way {way}");
        }
    }
}

#[test]
fn a_peer_that_pings_cannot_delay_our_close_for_ever() {
    // rfc6455-7.1.1-04: the peer reads only as many bytes as its pings make us queue before our Close
    for role in ROLES {
        let mut conn = open(role);
        let pong = if role == Role::Server { 2 } else { 6 };
        give(&mut conn, 0x89, b"");
        give(&mut conn, 0x89, b"");
        conn.close(1001, "").unwrap();
        let mut end = None;
        for second in 0..100u64 {
            if second % 2 == 1 {
                write(&mut conn, pong);
                give(&mut conn, 0x89, b"");
            }
            conn.tick(at(second * 1000));
            conn.tick(at(second * 1000 + 1));
            if !news(&mut conn).is_empty() {
                end = Some(second);
                break;
            }
        }
        assert!(end.is_some_and(|end| end <= 11), "{role:?}: {end:?}");
    }
}

#[test]
fn a_write_of_nothing_is_no_sign_of_life() {
    // A transport that would block takes 0 bytes; a caller may tell that, too.
    for role in ROLES {
        for high_water in [1, 1000] {
            let config = timed(Some(500), None)
                .to_builder()
                .high_water_bytes(high_water)
                .low_water_bytes(high_water)
                .build()
                .unwrap();
            let mut conn = open_with(role, config);
            conn.send("some of it is left").unwrap();
            conn.tick(at(0));
            conn.advance(1);
            assert_eq!(conn.tick(at(100)), Some(at(if high_water == 1 { 600 } else { 500 })));
            let deadline = conn.tick(at(200)).expect("silence has an end").since_epoch();
            for now in [300, 400, 499] {
                conn.advance(0);
                let next = conn.tick(at(now)).expect("silence has an end");
                assert_eq!(next.since_epoch(), deadline, "{role:?}, {high_water}, at {now}");
            }
            expire(&mut conn, deadline.as_millis() as u64);
            assert_eq!(news(&mut conn), [timed_out(Timeout::Idle)], "{role:?}, {high_water}");
        }
    }
}

/// Sends 10 bytes past the queue, of which the transport takes so many.
fn send_past_the_queue(conn: &mut Connection, room: usize) {
    let mut left = room;
    conn.send_through("0123456789", |header, payload| {
        let n = left.min(header.len() + payload.len());
        left -= n;
        Ok::<usize, UsageError>(n)
    })
    .unwrap();
}

#[test]
fn what_the_transport_takes_of_a_message_past_the_queue_is_a_sign_of_life_if_it_was_a_backlog() {
    for role in ROLES {
        // Taken at once: a kernel takes it for a peer that is gone.
        let mut conn = open_with(role, timed(Some(500), None));
        for now in [0, 100, 200, 300, 499] {
            send_past_the_queue(&mut conn, usize::MAX);
            assert_eq!((conn.outgoing_len(), conn.tick(at(now))), (0, Some(at(500))), "{role:?}");
        }
        expire(&mut conn, 500);
        assert_eq!(news(&mut conn), [timed_out(Timeout::Idle)], "{role:?}");
        // Left by one write, and taken by later ones.
        for (room, later) in [(0, 0), (1, 0), (5, 0), (0, 1), (5, 2)] {
            let mut conn = open_with(role, timed(Some(500), None));
            conn.tick(at(0));
            send_past_the_queue(&mut conn, room);
            assert_eq!(conn.tick(at(100)), Some(at(500)), "{role:?}, {room}");
            conn.advance(later);
            drain(&mut conn);
            assert_eq!(conn.tick(at(200)), Some(at(700)), "{role:?}, {room}, {later}");
        }
    }
}

#[test]
fn bytes_written_of_pieces_that_were_taken_out_are_a_sign_of_life_where_others_are() {
    // The connection is congested, or closing; pieces are written by a thread or kernel, a part each 20 s.
    for role in ROLES {
        for closes in [false, true] {
            let config =
                timed(Some(30_000), None).to_builder().close_timeout(ms(30_000)).build().unwrap();
            let mut conn = open_with(role, config);
            for _ in 0..100 {
                conn.send(vec![1; KIB]).unwrap();
            }
            if closes {
                conn.close(1000, "").unwrap();
            }
            let mut pieces = Vec::new();
            pieces.extend(std::iter::from_fn(|| conn.take_outgoing()));
            assert!(!pieces.is_empty() && !conn.wants_write());
            for turn in 0..8 {
                assert_eq!(conn.tick(at(20_000 * turn)), Some(at(20_000 * turn + 30_000)));
                write(&mut conn, KIB);
            }
            assert_eq!(news(&mut conn), [], "{role:?}, closing: {closes}");
        }
    }
}
