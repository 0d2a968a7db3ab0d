//! The pongs to keepalive pings: the deadline for them, and the round-trip time. `time.rs` tests when a ping is sent.

mod util;

use std::time::Duration;

use proptest::prelude::*;
use util::*;
use websocket_proto::{CloseCause, Config, Connection, Role, State, Timeout, Timestamp};

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn ms(ms: u64) -> Option<Duration> {
    Some(Duration::from_millis(ms))
}

/// A ping after each 100 ms of silence, and this pong timeout.
fn waiting(pong_timeout: Option<u64>) -> Config {
    builder()
        .keepalive_interval(ms(100))
        .pong_timeout(pong_timeout.and_then(ms))
        .measure_round_trip(pong_timeout.is_none())
        .close_timeout(ms(300))
        .high_water_bytes(1000)
        .release_after(Duration::from_secs(3600))
        .build()
        .unwrap()
}

/// An open connection that was told the time 0, so that its first ping is due at 100.
fn begun(role: Role, config: Config) -> Connection {
    let mut conn = open_with(role, config);
    assert_eq!(conn.tick(at(0)), Some(at(100)));
    conn
}

/// Writes all bytes, and returns the payloads of the pings among them.
fn pings(conn: &mut Connection) -> Vec<Vec<u8>> {
    let frames = plain_frames(&drain(conn));
    frames.into_iter().filter(|(first, _)| *first == 0x89).map(|(_, payload)| payload).collect()
}

fn give(conn: &mut Connection, first: u8, payload: &[u8]) {
    feed(conn, &to(conn.role(), first, payload), &mut Log::default());
}

fn pong(conn: &mut Connection, number: u32) {
    give(conn, 0x8a, &number.to_be_bytes());
}

fn number(number: u32) -> Vec<Vec<u8>> {
    vec![number.to_be_bytes().to_vec()]
}

#[test]
fn pings_have_a_number_only_if_their_pongs_matter() {
    // rfc6455-5.5.2-01
    let plain = builder().keepalive_interval(ms(100)).build().unwrap();
    let rows = [(plain, vec![vec![]]), (waiting(None), number(1)), (waiting(Some(50)), number(1))];
    for role in ROLES {
        for (config, expected) in rows.clone() {
            let mut conn = begun(role, config);
            conn.tick(at(100));
            assert_eq!(pings(&mut conn), expected, "{role:?}");
            assert_eq!(conn.round_trip_time(), None);
        }
    }
}

#[test]
fn a_ping_repeats_its_number_until_it_is_answered() {
    // rfc6455-5.5.3-02: a pong may answer several pings
    for role in ROLES {
        let mut conn = begun(role, waiting(None));
        for now in [100, 200, 300] {
            conn.tick(at(now));
            assert_eq!(pings(&mut conn), number(1), "{role:?} {now}");
            conn.tick(at(now));
        }
        pong(&mut conn, 1);
        conn.tick(at(350));
        // From the first of the pings.
        assert_eq!(conn.round_trip_time(), ms(250), "{role:?}");
        conn.tick(at(450));
        assert_eq!(pings(&mut conn), number(2), "{role:?}");
        conn.tick(at(450));
        // The pongs to the repeated pings come late, and answer nothing.
        pong(&mut conn, 1);
        conn.tick(at(470));
        assert_eq!(conn.round_trip_time(), ms(250), "{role:?}");
        pong(&mut conn, 2);
        conn.tick(at(480));
        assert_eq!(conn.round_trip_time(), ms(30), "{role:?}");
    }
}

#[test]
fn only_a_pong_with_the_number_of_the_ping_answers_it() {
    // rfc6455-5.5.3-01, rfc6455-5.5.3-04
    let wrong: [(u8, &[u8]); 8] = [
        (0x8a, b""),
        (0x8a, b"\0\0\0"),
        (0x8a, b"\0\0\0\x01\0"),
        (0x8a, b"\0\0\0\0"),
        (0x8a, b"\0\0\0\x02"),
        (0x8a, b"\x01\0\0\0"),
        (0x89, b"\0\0\0\x01"),
        (0x82, b"\0\0\0\x01"),
    ];
    for role in ROLES {
        for (first, payload) in wrong {
            let mut conn = begun(role, waiting(Some(50)));
            conn.tick(at(100));
            drain(&mut conn);
            conn.tick(at(100));
            give(&mut conn, first, payload);
            drain(&mut conn);
            // The bytes are a sign of life, so the wait starts again.
            assert_eq!(conn.tick(at(120)), Some(at(170)), "{role:?} {first:#x} {payload:?}");
            pong(&mut conn, 1);
            assert_eq!(conn.tick(at(130)), Some(at(230)), "{role:?}: the next ping");
            assert_eq!(conn.round_trip_time(), ms(30));
        }
    }
}

#[test]
fn a_pong_that_comes_before_its_ping_was_found_written_measures_nothing() {
    for role in ROLES {
        // Guessed before the ping is written; or after it was written, without a `tick` in between.
        for is_written in [false, true] {
            let mut conn = begun(role, waiting(Some(50)));
            conn.tick(at(100));
            if is_written {
                drain(&mut conn);
            }
            pong(&mut conn, 1);
            assert_eq!(conn.tick(at(140)), Some(at(240)), "{role:?}");
            drain(&mut conn);
            assert_eq!(conn.tick(at(200)), Some(at(240)), "{role:?}: no pong is waited for");
            assert_eq!(conn.round_trip_time(), None);
        }
    }
}

#[test]
fn a_peer_that_does_not_answer_is_disconnected_from_when_the_ping_was_written() {
    for role in ROLES {
        let mut conn = begun(role, waiting(Some(50)));
        assert_eq!(conn.tick(at(100)), Some(at(200)), "the ping is not written yet");
        // It is written late, in two parts.
        conn.advance(1);
        assert_eq!(conn.tick(at(120)), Some(at(200)), "{role:?}");
        drain(&mut conn);
        // The rest was a backlog.
        assert_eq!(conn.tick(at(130)), Some(at(180)), "{role:?}");
        assert_eq!(conn.tick(at(179)), Some(at(180)), "{role:?}");
        assert_eq!(conn.tick(at(180)), Some(at(181)), "the first look ends nothing");
        assert_eq!(conn.tick(at(180)), Some(at(181)), "nor does a second one at the same moment");
        assert_eq!(conn.state(), State::Open);
        assert_eq!(conn.tick(at(181)), Some(at(481)));
        let outcome = run(&mut conn, &[]);
        assert_eq!(outcome.seen, [Seen::lost(CloseCause::TimedOut(Timeout::Pong))], "{role:?}");
        let body = [b"\x03\xe9", &b"pong timeout"[..]].concat();
        assert_eq!(plain_frames(&outcome.output), [(0x88, body)], "{role:?}");
        // The close timeout follows, as after each failure.
        assert!(conn.wants_read() && !conn.is_finished());
        assert_eq!(conn.tick(at(482)), Some(at(782)));
    }
}

#[test]
fn the_deadline_is_that_of_the_oldest_ping_without_an_answer() {
    for role in ROLES {
        let mut conn = begun(role, waiting(Some(250)));
        for now in [100, 200, 300] {
            conn.tick(at(now));
            assert_eq!(pings(&mut conn), number(1), "{role:?}");
            let next = conn.tick(at(now));
            assert_eq!(next, Some(at((now + 100).min(350))), "{role:?}");
        }
        conn.tick(at(350));
        conn.tick(at(351));
        assert_eq!(conn.state(), State::Closed, "{role:?}");
    }
}

#[test]
fn any_sign_of_life_starts_the_wait_again_and_only_the_pong_ends_it() {
    for role in ROLES {
        // Each byte of a long frame, behind which the pong comes.
        let mut conn = begun(role, waiting(Some(50)));
        conn.tick(at(100));
        drain(&mut conn);
        conn.tick(at(100));
        let mut log = Log::default();
        for (n, byte) in to(role, 0x82, &[7; 20]).iter().enumerate() {
            let now = 140 + 40 * n as u64;
            feed(&mut conn, &[*byte], &mut log);
            assert_eq!(conn.tick(at(now)), Some(at(now + 50)), "{role:?} {n}");
        }
        pong(&mut conn, 1);
        let now = 140 + 40 * 30;
        assert_eq!(conn.tick(at(now)), Some(at(now + 100)), "{role:?}");
        assert_eq!(conn.state(), State::Open);

        // Bytes that the transport takes from a backlog, below the high-water mark.
        let mut conn = begun(role, waiting(Some(50)));
        conn.tick(at(100));
        drain(&mut conn);
        conn.tick(at(100));
        conn.send(vec![7; 500]).unwrap();
        for now in (110..1000).step_by(40) {
            conn.advance(10);
            conn.tick(at(now));
            assert_eq!(conn.state(), State::Open, "{role:?} {now}");
        }
        conn.tick(at(1050));
        conn.tick(at(1051));
        assert_eq!(conn.state(), State::Closed, "{role:?}");
    }
}

#[test]
fn bytes_that_lie_unread_at_the_deadline_are_read_first() {
    for role in ROLES {
        for late in [150, 151, 5000] {
            let mut conn = begun(role, waiting(Some(50)));
            conn.tick(at(100));
            drain(&mut conn);
            conn.tick(at(100));
            assert_eq!(conn.tick(at(late)), Some(at(late + 1)), "{role:?} {late}");
            drain(&mut conn);
            pong(&mut conn, 1);
            assert_eq!(conn.tick(at(late + 1)), Some(at(late + 101)), "{role:?} {late}");
            assert_eq!((conn.state(), conn.round_trip_time()), (State::Open, ms(late - 99)));
        }
    }
}

#[test]
fn the_wait_does_not_count_while_the_connection_is_congested() {
    for role in ROLES {
        let mut conn = begun(role, waiting(Some(50)));
        conn.tick(at(100));
        drain(&mut conn);
        conn.tick(at(100));
        conn.send(vec![7; 2000]).unwrap();
        for now in (110..2000).step_by(30) {
            conn.tick(at(now));
            assert!(conn.is_congested() && conn.state() == State::Open, "{role:?} {now}");
        }
        drain(&mut conn);
        assert_eq!(conn.tick(at(2000)), Some(at(2050)), "{role:?}");
        conn.tick(at(2050));
        conn.tick(at(2051));
        assert_eq!(conn.state(), State::Closed, "{role:?}");
    }
}

#[test]
fn no_pong_is_waited_for_after_a_close() {
    for role in ROLES {
        for is_ours in [true, false] {
            let config = waiting(Some(50)).to_builder().answer_close(false).build().unwrap();
            let mut conn = begun(role, config);
            conn.tick(at(100));
            drain(&mut conn);
            conn.tick(at(100));
            match is_ours {
                true => conn.close(1000, "").unwrap(),
                false => give(&mut conn, 0x88, b""),
            }
            drain(&mut conn);
            assert_eq!(conn.tick(at(140)), Some(at(440)), "{role:?} {is_ours}");
            assert_eq!(conn.tick(at(160)), Some(at(440)), "{role:?} {is_ours}");
        }
    }
}

#[test]
fn a_queue_that_is_full_costs_no_number() {
    for role in ROLES {
        let config = waiting(Some(50)).to_builder().max_outgoing_bytes(1000);
        let mut conn = begun(role, config.build().unwrap());
        conn.send(vec![7; 980]).unwrap();
        conn.tick(at(100));
        assert_eq!(pings(&mut conn), Vec::<Vec<u8>>::new(), "{role:?}");
        assert_eq!(conn.tick(at(140)), Some(at(200)), "{role:?}: no pong is waited for");
        conn.tick(at(200));
        assert_eq!(pings(&mut conn), number(1), "{role:?}");
    }
}

#[test]
fn a_clock_that_goes_back_ends_nothing() {
    for role in ROLES {
        let mut conn = begun(role, waiting(Some(50)));
        conn.tick(at(100));
        drain(&mut conn);
        conn.tick(at(100));
        // Before the ping, and after the first look at the deadline.
        conn.tick(at(60));
        assert_eq!(conn.tick(at(149)), Some(at(150)), "{role:?}");
        conn.tick(at(150));
        conn.tick(at(90));
        assert_eq!((conn.state(), conn.tick(at(120))), (State::Open, Some(at(150))), "{role:?}");
        pong(&mut conn, 1);
        conn.tick(at(80));
        assert_eq!(conn.round_trip_time(), Some(Duration::ZERO), "{role:?}");
    }
}

proptest! {
    // A peer that answers each ping in time is never disconnected, and each round trip is the peer's delay. A peer that
    // stops is disconnected at the deadline, however often `tick` is called, and at any epoch.
    #[test]
    fn a_peer_is_disconnected_only_if_it_stops_to_answer(
        is_server in any::<bool>(),
        epoch in prop_oneof![Just(0), Just(u64::from(u32::MAX) - 500), 0..u64::MAX / 4],
        interval in 5..300u64,
        limit in 2..300u64,
        delays in prop::collection::vec(0..300u64, 1..10),
        step in 1..7u64,
    ) {
        let role = if is_server { Role::Server } else { Role::Client };
        let config = builder().keepalive_interval(ms(interval)).pong_timeout(ms(limit));
        let mut conn = open_with(role, config.build().unwrap());
        let (mut now, mut answered) = (0, 0);
        // The moment at which the pong arrives, and the delay.
        let mut due: Option<(u64, u64)> = None;
        let mut last_written = None;
        while conn.state() == State::Open {
            prop_assert!(now < 100_000);
            if let Some((_, delay)) = due.filter(|(moment, _)| *moment <= now) {
                pong(&mut conn, answered as u32 + 1);
                conn.tick(at(epoch + now));
                prop_assert!(conn.round_trip_time() >= ms(delay));
                prop_assert!(conn.round_trip_time() <= ms(delay + step));
                due = None;
                last_written = None;
                answered += 1;
            }
            conn.tick(at(epoch + now));
            if !pings(&mut conn).is_empty() && conn.state() == State::Open {
                conn.tick(at(epoch + now));
                if last_written.is_none() {
                    last_written = Some(now);
                    due = delays.get(answered).map(|delay| {
                        let delay = delay % limit.saturating_sub(step).max(1);
                        (now + delay, delay)
                    });
                }
            }
            now += step;
        }
        prop_assert_eq!(answered, delays.len());
        // The first look, the second one, and the step after it.
        let waited = now - last_written.expect("a ping was written");
        prop_assert!(waited > limit && waited <= limit + 3 * step, "{} {}", waited, limit);
    }
}
