//! What the caller decides by hand if the configuration says so: the pong to a ping, and the answer to the peer's
//! Close. `control.rs` and `closing.rs` test what the connection does by itself.

mod util;

use std::time::Duration;

use util::*;
use websocket_proto::{
    Accept, CloseCause, CloseCode, Closed, Config, Connection, Cut, Event, MessageKind, ReadBuffer,
    Role, State, Timestamp, UsageError,
};

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// A connection whose caller answers pings and the peer's Close, with a close timeout of 300 ms.
fn by_hand() -> Config {
    builder()
        .answer_pings(false)
        .answer_close(false)
        .close_timeout(Duration::from_millis(300))
        .idle_timeout(Duration::from_millis(50))
        .keepalive_interval(Duration::from_millis(20))
        .high_water_bytes(1000)
        .build()
        .unwrap()
}

fn give(conn: &mut Connection, first: u8, payload: &[u8]) -> Vec<Seen> {
    let mut log = Log::default();
    feed(conn, &to(conn.role(), first, payload), &mut log);
    log.seen
}

fn sent(conn: &mut Connection) -> Vec<(u8, Vec<u8>)> {
    plain_frames(&drain(conn))
}

/// The last event, which is the only one that waits.
fn end(conn: &mut Connection) -> Closed {
    let Some(Event::Closed(closed)) = conn.poll_event() else { panic!("the end is reported") };
    assert!(conn.poll_event().is_none());
    closed
}

fn received(code: u16, reason: &str) -> Seen {
    Seen::CloseReceived(code.into(), reason.into())
}

const BODY: &[u8] = b"\x0f\xa1bye";

/// A connection that has reported the peer's Close with [`BODY`], or the code 1005.
fn answering(role: Role, body: &[u8]) -> Connection {
    let mut conn = open_with(role, by_hand());
    let seen = give(&mut conn, 0x88, body);
    let expected = if body.is_empty() { received(1005, "") } else { received(4001, "bye") };
    assert_eq!(seen, [expected], "{role:?}");
    conn
}

#[test]
fn a_ping_is_answered_only_by_the_caller() {
    // rfc6455-5.5.2-02, rfc6455-5.5.3-01, rfc6455-5.5.3-02
    for role in ROLES {
        for is_closing in [false, true] {
            let config = || builder().answer_pings(false).max_queued_pongs(1).build().unwrap();
            let make = || {
                let mut conn = open_with(role, config());
                if is_closing {
                    conn.close(1000, "").unwrap();
                    drain(&mut conn);
                }
                conn
            };
            let bytes = [to(role, 0x89, b"one"), to(role, 0x89, b"two")].concat();
            let pings = [Seen::Ping(b"one".to_vec()), Seen::Ping(b"two".to_vec())];
            in_every_cut(role, make, &bytes, &pings, &[]);
            let mut conn = make();
            run(&mut conn, &[&bytes]);
            for payload in [b"one", b"two"] {
                conn.pong(payload).unwrap();
            }
            let pongs = [(0x8a, b"one".to_vec()), (0x8a, b"two".to_vec())];
            assert_eq!(sent(&mut conn), pongs, "{role:?} {is_closing}");
        }
    }
}

#[test]
fn a_close_is_reported_and_what_comes_behind_it_is_dropped() {
    // rfc6455-5.5.1-09, rfc6455-5.5.1-18
    for role in ROLES {
        for (body, expected) in [(&b""[..], received(1005, "")), (BODY, received(4001, "bye"))] {
            let bytes = [to(role, 0x82, b"before"), to(role, 0x88, body)].concat();
            // A message, a ping, a broken frame, a second Close.
            let behind = [
                to(role, 0x81, b"late"),
                to(role, 0x89, b"late"),
                to(role, 0xf3, b"late"),
                to(role, 0x88, b"\x03\xe8"),
            ];
            let all = [bytes, behind.concat()].concat();
            let seen = [Seen::Binary(b"before".to_vec()), expected];
            for pieces in cuts(&all) {
                let outcome = run(&mut open_with(role, by_hand()), &pieces);
                assert_eq!(outcome.seen, seen, "{role:?}");
                assert_eq!((outcome.state, &outcome.output[..]), (State::Open, &b""[..]));
                for capacity in [20, 1000] {
                    let from = run_from(&mut open_with(role, by_hand()), &pieces, capacity);
                    assert_eq!(from, outcome, "{role:?} {capacity}");
                }
            }
        }
    }
}

#[test]
fn the_caller_may_finish_its_message_and_then_answers_with_any_code() {
    // rfc6455-5.5.1-09, rfc6455-5.5.1-11, rfc6455-5.5.1-12, rfc6455-5.5.1-13
    type Answer = fn(&mut Connection) -> Result<(), UsageError>;
    let answers: [(Answer, &[u8]); 3] = [
        (|conn| conn.close(1000, "done"), b"\x03\xe8done"),
        (|conn| conn.fail(1000, "done"), b"\x03\xe8done"),
        (
            |conn| {
                conn.close_without_code();
                Ok(())
            },
            b"",
        ),
    ];
    for role in ROLES {
        for (answer, body) in answers {
            let mut conn = open_with(role, by_hand());
            conn.send_fragment(MessageKind::Text, b"a", false).unwrap();
            assert_eq!(give(&mut conn, 0x88, BODY), [received(4001, "bye")]);
            assert_eq!(conn.unfinished_message(), Some(MessageKind::Text));
            assert_eq!((conn.state(), conn.is_writable()), (State::Open, true));
            assert_eq!(conn.check_send(1), Err(UsageError::MessageUnfinished));
            conn.send_fragment(MessageKind::Text, b"b", true).unwrap();
            conn.send("c").unwrap();
            conn.pong(b"d").unwrap();
            assert_eq!(answer(&mut conn), Ok(()));
            let closed = end(&mut conn);
            assert_eq!((closed.code().get(), closed.reason()), (4001, "bye"));
            assert_eq!((closed.is_clean(), closed.cause()), (true, &CloseCause::Peer));
            let code = if body.is_empty() { CloseCode::NO_STATUS } else { CloseCode::NORMAL };
            assert_eq!(closed.sent_code(), Some(code));
            assert_eq!(closed.sent_reason(), if body.is_empty() { "" } else { "done" });
            assert_eq!(closed.cut(), None);
            // After the answer nothing can be sent, and a second answer does nothing.
            assert_eq!(conn.send("late"), Err(UsageError::NotOpen(State::Closed)));
            assert_eq!(conn.pong(b""), Err(UsageError::NotOpen(State::Closed)));
            assert_eq!(answer(&mut conn), Ok(()));
            let frames = [
                (0x8a, b"d".to_vec()),
                (0x01, b"a".to_vec()),
                (0x80, b"b".to_vec()),
                (0x81, b"c".to_vec()),
                (0x88, body.to_vec()),
            ];
            assert_eq!(sent(&mut conn), frames, "{role:?}");
            // RFC 6455 7.1.1: the server ends the transport, and the client waits for that.
            assert_eq!(
                (conn.is_finished(), conn.wants_read()),
                match role {
                    Role::Server => (true, false),
                    Role::Client => (false, true),
                }
            );
            conn.receive_eof();
            assert!(conn.is_finished() && conn.wants_shutdown());
        }
    }
}

#[test]
fn a_wrong_answer_is_an_error_and_the_close_still_waits() {
    for role in ROLES {
        let mut conn = answering(role, BODY);
        for code in [999, 1005, 1006, 5000] {
            let error = Err(UsageError::CloseCodeNotSendable(code.into()));
            assert_eq!((conn.close(code, ""), conn.fail(code, "")), (error, error), "{role:?}");
        }
        assert_eq!((conn.state(), conn.outgoing_len()), (State::Open, 0));
        assert!(conn.poll_event().is_none());
        conn.close(1000, "").unwrap();
        assert_eq!(end(&mut conn).sent_code(), Some(CloseCode::NORMAL));
    }
}

#[test]
fn a_close_that_answers_ours_needs_no_answer() {
    // rfc6455-5.5.1-17
    for role in ROLES {
        let mut conn = open_with(role, by_hand());
        conn.close(1000, "").unwrap();
        drain(&mut conn);
        assert_eq!(give(&mut conn, 0x88, BODY), [Seen::closed(4001, "bye", CloseCause::Local)]);
        // Without a write side there can be no answer.
        let mut conn = open_with(role, by_hand());
        conn.write_closed();
        assert_eq!(give(&mut conn, 0x88, BODY), [Seen::closed(4001, "bye", CloseCause::Peer)]);
    }
}

#[test]
fn the_end_of_each_direction_before_the_answer_keeps_the_code_of_the_peer() {
    // rfc6455-7.1.5-01
    for role in ROLES {
        for body in [&b""[..], BODY] {
            let code = if body.is_empty() { 1005 } else { 4001 };
            // The peer ends its direction: it may still read.
            let mut conn = answering(role, body);
            conn.receive_eof();
            assert!(!conn.wants_read() && !conn.is_finished() && conn.poll_event().is_none());
            conn.send("rest").unwrap();
            conn.close(1000, "").unwrap();
            assert_eq!(end(&mut conn).code().get(), code);
            let frames = [(0x81, b"rest".to_vec()), (0x88, b"\x03\xe8".to_vec())];
            assert_eq!((sent(&mut conn), conn.is_finished()), (frames.to_vec(), true), "{role:?}");

            // Nothing can be written any more, or the caller gives up.
            for aborts in [false, true] {
                let mut conn = answering(role, body);
                conn.send("lost").unwrap();
                match aborts {
                    false => conn.write_closed(),
                    true => conn.abort(),
                }
                let closed = end(&mut conn);
                assert_eq!((closed.code().get(), closed.is_clean()), (code, true), "{role:?}");
                assert_eq!((closed.cause(), closed.sent_code()), (&CloseCause::Peer, None));
                assert_eq!((conn.state(), conn.outgoing_len()), (State::Closed, 0));
                assert_eq!(conn.buffered_amount(), 4);
                assert_eq!(conn.is_finished(), aborts || role == Role::Server, "{role:?}");
                conn.receive_eof();
                assert!(conn.is_finished());
            }
        }
    }
}

#[test]
fn the_questions_of_the_loop_before_the_answer() {
    // rfc6455-5.5.1-18: what the peer sends behind its Close is read and dropped
    for role in ROLES {
        let mut conn = answering(role, BODY);
        assert!(conn.wants_read() && !conn.wants_shutdown() && !conn.is_finished());
        assert!(conn.is_writable() && !conn.is_congested() && !conn.wants_write());
        conn.send(vec![0; 1001]).unwrap();
        assert!(!conn.is_writable() && conn.is_congested(), "{role:?}");
        drain(&mut conn);
        assert!(conn.is_writable() && !conn.is_congested(), "{role:?}");
        conn.send(vec![0; 1001]).unwrap();
        conn.close(1000, "").unwrap();
        assert!(!conn.is_writable() && !conn.is_congested(), "{role:?}: nothing is answered");
    }
}

#[test]
fn a_close_that_no_one_answers_is_answered_after_the_close_timeout() {
    // rfc6455-5.5.1-09, rfc6455-5.5.1-10, rfc6455-5.5.1-11
    for role in ROLES {
        for (body, answer) in [(&b""[..], &b""[..]), (BODY, &BODY[..2])] {
            let mut conn = open_with(role, by_hand());
            assert_eq!(conn.tick(at(0)), Some(at(20)));
            conn.send_fragment(MessageKind::Text, b"never finished", false).unwrap();
            give(&mut conn, 0x88, body);
            // Neither keepalive nor the idle timeout goes on. The bytes of the peer do not defer the answer.
            assert_eq!(conn.tick(at(10)), Some(at(310)));
            give(&mut conn, 0x81, b"late");
            assert_eq!(conn.tick(at(200)), Some(at(310)));
            // The transport takes bytes: the time starts again.
            assert_eq!(sent(&mut conn), [(0x01, b"never finished".to_vec())], "{role:?}");
            assert_eq!(conn.tick(at(300)), Some(at(600)));
            assert_eq!(conn.tick(at(600)), Some(at(601)), "the first look ends nothing");
            assert_eq!((conn.state(), conn.outgoing_len()), (State::Open, 0));
            assert_eq!(conn.tick(at(601)), Some(at(901)));
            let closed = end(&mut conn);
            assert_eq!((closed.is_clean(), closed.cause()), (true, &CloseCause::Peer));
            assert_eq!(closed.sent_code(), Some(closed.code()));
            assert_eq!(sent(&mut conn), [(0x88, answer.to_vec())], "{role:?}");
        }
        // Without a close timeout the connection waits as long as the caller.
        let config = by_hand().to_builder().close_timeout(None).build().unwrap();
        let mut conn = open_with(role, config);
        conn.tick(at(0));
        give(&mut conn, 0x88, BODY);
        assert_eq!(conn.tick(at(1 << 40)), None);
        assert_eq!(conn.state(), State::Open);
    }
}

#[test]
fn a_close_behind_the_request_waits_for_an_answer_too() {
    for ended in [false, true] {
        let mut conn = connecting(Role::Server, by_hand());
        let behind = [to(Role::Server, 0x88, BODY), to(Role::Server, 0x81, b"late")].concat();
        let mut log = Log::default();
        feed(&mut conn, &[REQUEST, &behind].concat(), &mut log);
        if ended {
            conn.receive_eof();
        }
        conn.accept(&Accept::new()).unwrap();
        assert!(matches!(conn.poll_event(), Some(Event::CloseReceived { .. })));
        assert!(conn.poll_event().is_none() && conn.state() == State::Open);
        conn.close(1000, "").unwrap();
        assert_eq!(end(&mut conn).code().get(), 4001, "{ended}");
    }
}

#[test]
fn an_answer_between_the_look_and_the_event_counts_as_ours_only_if_the_close_was_not_received() {
    for role in ROLES {
        // The Close lies in the buffer: our Close comes first, and the peer's answers it.
        let mut conn = open_with(role, by_hand());
        let mut buffer = ReadBuffer::with_capacity(100);
        let bytes = to(role, 0x88, BODY);
        buffer.spare()[..bytes.len()].copy_from_slice(&bytes);
        buffer.filled(bytes.len());
        assert!(conn.is_event_ready(&mut buffer));
        conn.close(1000, "").unwrap();
        let Some(Event::Closed(closed)) = conn.receive_from(&mut buffer) else {
            panic!("{role:?}")
        };
        assert_eq!(closed.cause(), &CloseCause::Local);
    }
    // The Close came behind the request, so the look has received it: our Close is the answer.
    let mut conn = connecting(Role::Server, by_hand());
    feed(&mut conn, &[REQUEST, &to(Role::Server, 0x88, BODY)].concat(), &mut Log::default());
    conn.accept(&Accept::new()).unwrap();
    let mut buffer = ReadBuffer::with_capacity(100);
    assert!(conn.is_event_ready(&mut buffer));
    conn.close(1000, "").unwrap();
    let event = conn.receive_from(&mut buffer);
    assert!(matches!(event, Some(Event::CloseReceived { .. })), "{event:?}");
    assert_eq!(end(&mut conn).cause(), &CloseCause::Peer);
}

#[test]
fn a_message_that_the_close_of_the_peer_cuts_is_told_at_the_end() {
    for role in ROLES {
        for (begins, cut) in [(false, None), (true, Some(Cut::Message))] {
            let mut conn = open_with(role, by_hand());
            if begins {
                give(&mut conn, 0x02, b"begun");
            }
            give(&mut conn, 0x88, BODY);
            conn.release_memory();
            conn.close(1000, "").unwrap();
            assert_eq!(end(&mut conn).cut(), cut, "{role:?}");
        }
    }
}

#[cfg(feature = "deflate")]
#[test]
fn a_compressed_message_may_be_finished_before_the_answer() {
    use websocket_proto::{DeflateParams, Upgrade};
    for role in ROLES {
        let make = |role, config: Config| {
            let upgrade = Upgrade::new(role).deflate(DeflateParams::default());
            Connection::from_upgrade(upgrade, config).unwrap()
        };
        let (mut conn, mut peer) = (make(role, by_hand()), make(other(role), config()));
        conn.send_fragment(MessageKind::Text, &b"word ".repeat(50), false).unwrap();
        peer.close(1000, "").unwrap();
        feed(&mut conn, &drain(&mut peer), &mut Log::default());
        conn.send_fragment(MessageKind::Text, b"last", true).unwrap();
        conn.send("word ".repeat(50)).unwrap();
        conn.close_without_code();
        let outcome = run(&mut peer, &[&drain(&mut conn)]);
        let texts = ["word ".repeat(50) + "last", "word ".repeat(50)].map(Seen::Text);
        assert_eq!(outcome.seen[..2], texts, "{role:?}");
        assert_eq!(outcome.seen[2..], [Seen::closed(1005, "", CloseCause::Local)]);
    }
}
