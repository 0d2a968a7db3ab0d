//! The end of the transport at every byte of a conversation, as an end of the stream and as a failure. The events of
//! the received bytes come first, then one end, and nothing after it.

mod util;

use util::*;
use websocket_proto::{
    Accept, CloseCause, Config, Connection, Cut, Event, HandshakeError, ProtocolError, Role, State,
    UsageError,
};

/// The bytes of a peer in pieces, each with the event that it causes when it has arrived whole.
struct Script {
    role: Role,
    pieces: Vec<(Vec<u8>, Option<Seen>)>,
}

impl Script {
    /// A conversation from the first byte of the handshake to the peer's Close. If `is_ours`, the connection sends its
    /// own Close as soon as it is open.
    fn new(role: Role, is_ours: bool) -> Script {
        let handshake = match role {
            Role::Server => (REQUEST.to_vec(), Some(Seen::Upgrade("/chat".to_string()))),
            Role::Client => {
                let response = response_to(&drain(&mut connecting(role, config())));
                (response, Some(Seen::Open))
            }
        };
        let mut pieces = vec![handshake];
        let cause = if is_ours { CloseCause::Local } else { CloseCause::Peer };
        let frames: [(u8, &[u8], Option<Seen>); 9] = [
            (0x81, "häl".as_bytes(), Some(Seen::Text("häl".to_string()))),
            (0x89, b"ping", Some(Seen::Ping(b"ping".to_vec()))),
            (0x02, &[1; 10], None),
            (0x00, b"", None),
            (0x8a, b"", Some(Seen::Pong(vec![]))),
            (0x80, &[1; 130], Some(Seen::Binary(vec![1; 140]))),
            (0x81, b"", Some(Seen::Text(String::new()))),
            (0x82, &[2; 126], Some(Seen::Binary(vec![2; 126]))),
            (0x88, b"\x0f\xa0bye", Some(Seen::closed(4000, "bye", cause))),
        ];
        pieces.extend(frames.map(|(first, payload, seen)| (to(role, first, payload), seen)));
        Script { role, pieces }
    }

    fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|(bytes, _)| bytes).copied().collect()
    }

    /// The events of the first `n` bytes.
    fn seen(&self, n: usize) -> Vec<Seen> {
        let mut end = 0;
        let whole = self.pieces.iter().take_while(|(bytes, _)| {
            end += bytes.len();
            end <= n
        });
        whole.filter_map(|(_, seen)| seen.clone()).collect()
    }
}

/// Feeds bytes to a connection, accepts its upgrade request, and closes as soon as it is open if `closes`.
fn play(conn: &mut Connection, bytes: &[u8], closes: bool, log: &mut Log) {
    let mut copy = bytes.to_vec();
    let mut input = &mut copy[..];
    while let Some(event) = conn.receive(&mut input) {
        let (asks, opens) =
            (matches!(event, Event::UpgradeRequest(_)), matches!(event, Event::Open(_)));
        log.push(event);
        if asks {
            conn.accept(&Accept::new()).unwrap();
        }
        if closes && (asks || opens) {
            conn.close(1001, "enough").unwrap();
        }
    }
}

fn poll(conn: &mut Connection, log: &mut Log) {
    while let Some(event) = conn.poll_event() {
        log.push(event);
    }
}

/// Asserts that nothing happens after the end, whatever is called.
fn assert_over(conn: &mut Connection, log: &Log, name: &str) {
    let len = conn.outgoing_len();
    let buffered = conn.buffered_amount();
    for _ in 0..2 {
        conn.receive_eof();
        let mut more = Log::default();
        feed(conn, &to(conn.role(), 0x81, b"late"), &mut more);
        feed(conn, b"HTTP/1.1 101 OK\r\n\r\n", &mut more);
        poll(conn, &mut more);
        assert_eq!(more.seen, [], "{name}: {:?}", log.seen);
        assert_eq!(conn.state(), State::Closed);
        assert!(conn.send("late").is_err() && conn.ping(b"").is_err());
        assert_eq!(conn.accept(&Accept::new()), Err(UsageError::NoRequestPending));
        assert_eq!(conn.close(1000, ""), Ok(()));
        assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (len, buffered), "{name}");
        assert!(!conn.wants_read());
    }
}

/// Runs `check` at every byte, for both roles, with either end closing first, with all output written and with none.
fn at_every_byte(config: &Config, check: impl Fn(&Script, usize, Connection, Log, bool)) {
    for role in ROLES {
        for is_ours in [false, true] {
            let script = Script::new(role, is_ours);
            let bytes = script.bytes();
            for n in 0..=bytes.len() {
                for is_written in [true, false] {
                    let mut conn = connecting(role, config.clone());
                    let mut log = Log::default();
                    if is_written {
                        drain(&mut conn);
                    }
                    play(&mut conn, &bytes[..n], is_ours, &mut log);
                    if is_written {
                        drain(&mut conn);
                    }
                    check(&script, n, conn, log, is_written);
                }
            }
        }
    }
}

#[test]
fn end_of_the_stream_at_every_byte_is_reported_once_after_earlier_events() {
    // rfc6455-7.1.4-01, rfc6455-7.1.4-02, rfc6455-7.1.5-03, rfc6455-7.2.1-02, rfc6455-7.1.7-06, rfc6455-5.5.1-13,
    // whatwg-feedback-close-01, whatwg-feedback-close-02, whatwg-feedback-close-03
    at_every_byte(&config(), |script, n, mut conn, mut log, is_written| {
        let name = format!("{:?} at byte {n}, written: {is_written}", script.role);
        let is_whole = n == script.bytes().len();
        let queued = conn.outgoing_len();
        let wire: Vec<u8> = conn.outgoing_chunks().flatten().copied().collect();
        conn.receive_eof();
        poll(&mut conn, &mut log);
        let mut expected = script.seen(n);
        if !is_whole {
            expected.push(Seen::lost(CloseCause::TransportEnded));
        }
        assert_eq!(log.seen, expected, "{name}");
        // After a closing handshake the queue can still be written. After any other end in this test it is dropped.
        assert_eq!(conn.outgoing_len(), if is_whole { queued } else { 0 }, "{name}");
        assert_eq!(conn.is_finished(), conn.outgoing_len() == 0, "{name}");
        assert_over(&mut conn, &log, &name);
        assert_eq!(drain(&mut conn), if is_whole { wire } else { vec![] }, "{name}");
        assert!(conn.is_finished(), "{name}");
        conn.abort();
        assert_over(&mut conn, &log, &name);
    });
}

#[test]
fn abort_at_every_byte_ends_at_once_and_writes_nothing() {
    // rfc6455-7.1.1-02, rfc6455-7.1.4-01, rfc6455-7.1.7-06, rfc6455-7.2.1-02
    at_every_byte(&config(), |script, n, mut conn, mut log, is_written| {
        let name = format!("{:?} at byte {n}, written: {is_written}", script.role);
        let buffered = conn.buffered_amount();
        conn.abort();
        poll(&mut conn, &mut log);
        let mut expected = script.seen(n);
        if n < script.bytes().len() {
            expected.push(Seen::lost(CloseCause::Aborted));
        }
        assert_eq!(log.seen, expected, "{name}");
        assert!(conn.is_finished() && conn.wants_shutdown() && !conn.wants_write(), "{name}");
        assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (0, buffered), "{name}");
        assert_over(&mut conn, &log, &name);
        conn.abort();
        assert_over(&mut conn, &log, &name);
    });
}

#[test]
fn abort_after_an_unreported_end_of_the_stream_is_not_a_second_end() {
    at_every_byte(&config(), |script, n, mut conn, mut log, _| {
        conn.receive_eof();
        conn.abort();
        conn.receive_eof();
        conn.abort();
        poll(&mut conn, &mut log);
        let ends = log.seen.iter().filter(|seen| matches!(seen, Seen::Closed { .. })).count();
        assert_eq!(ends, 1, "{:?} at byte {n}", script.role);
        assert!(conn.is_finished());
        assert_over(&mut conn, &log, "aborted");
    });
}

#[test]
fn chunks_before_the_end_of_the_stream_are_whole_or_marked_unfinished() {
    // rfc6455-7.1.5-03
    at_every_byte(&chunks(), |script, n, mut conn, mut log, _| {
        conn.receive_eof();
        poll(&mut conn, &mut log);
        let mut expected = Vec::new();
        for seen in script.seen(n) {
            expected.push(match seen {
                Seen::Text(text) => {
                    Seen::Chunked(websocket_proto::MessageKind::Text, text.into_bytes())
                }
                Seen::Binary(bytes) => Seen::Chunked(websocket_proto::MessageKind::Binary, bytes),
                seen => seen,
            });
        }
        if n < script.bytes().len() {
            expected.push(Seen::lost(CloseCause::TransportEnded));
        }
        log.seen.retain(|seen| !matches!(seen, Seen::Unfinished(..)));
        assert_eq!(log.seen, expected, "{:?} at byte {n}", script.role);
    });
}

#[test]
fn close_of_a_failed_connection_is_written_after_the_end_of_the_stream() {
    // rfc6455-7.1.7-05: the peer may have shut down only its own side
    for role in ROLES {
        let mut conn = open(role);
        let mut log = Log::default();
        feed(&mut conn, &to(role, 0x83, b""), &mut log);
        conn.receive_eof();
        assert!(conn.wants_write() && !conn.is_finished() && !conn.wants_read());
        assert_eq!(plain_frames(&drain(&mut conn)), [(0x88, b"\x03\xea".to_vec())], "{role:?}");
        assert!(conn.is_finished());
        assert_over(&mut conn, &log, "failed");
    }
}

#[test]
fn end_between_the_two_closes_is_not_clean() {
    // rfc6455-7.1.4-01, rfc6455-7.1.5-03
    for role in ROLES {
        let mut conn = open(role);
        conn.close(1000, "").unwrap();
        drain(&mut conn);
        conn.receive_eof();
        let outcome = run(&mut conn, &[]);
        assert_eq!(outcome.seen, [Seen::lost(CloseCause::TransportEnded)], "{role:?}");
        assert!(conn.is_finished());
    }
}

#[test]
fn end_while_the_caller_decides_leaves_the_decision_to_the_caller() {
    // rfc6455-7.2.2-01
    let deciding = |behind: &[u8]| {
        let mut conn = connecting(Role::Server, config());
        let mut log = Log::default();
        feed(&mut conn, &[REQUEST, behind].concat(), &mut log);
        conn.receive_eof();
        poll(&mut conn, &mut log);
        assert_eq!(log.seen, [Seen::Upgrade("/chat".to_string())]);
        assert_eq!(conn.state(), State::Connecting);
        (conn, log)
    };
    let (mut rejected, mut log) = deciding(b"");
    rejected.respond(403).unwrap();
    poll(&mut rejected, &mut log);
    assert_eq!(log.seen[1..], [Seen::lost(CloseCause::Rejected)]);
    assert!(!rejected.is_finished());
    assert!(drain(&mut rejected).starts_with(b"HTTP/1.1 403 "));
    assert!(rejected.is_finished());
    assert_over(&mut rejected, &log, "rejected");

    let (mut accepted, mut log) = deciding(b"");
    accepted.accept(&Accept::new()).unwrap();
    poll(&mut accepted, &mut log);
    assert_eq!(log.seen[1..], [Seen::lost(CloseCause::TransportEnded)]);
    assert!(accepted.is_finished());
    assert_over(&mut accepted, &log, "accepted");

    let (mut aborted, mut log) = deciding(b"");
    aborted.abort();
    poll(&mut aborted, &mut log);
    assert_eq!(log.seen[1..], [Seen::lost(CloseCause::Aborted)]);
    assert_over(&mut aborted, &log, "aborted");
}

#[test]
fn frames_after_the_request_are_received_before_the_end_of_the_stream() {
    // rfc6455-7.1.4-01: frames in one read with the request, cut at every byte, with the end at different times
    #[derive(Clone, Copy, Debug)]
    enum End {
        BeforeAccept,
        AfterAccept,
        AfterFirst,
        BehindOurClose,
    }
    let frames = [(0x81, &b"one"[..]), (0x89, b"p"), (0x82, b"two"), (0x88, b"\x03\xe8")];
    let pieces = frames.map(|(first, payload)| to(Role::Server, first, payload));
    let all =
        [Seen::Text("one".to_string()), Seen::Ping(b"p".to_vec()), Seen::Binary(b"two".to_vec())];
    let behind = pieces.concat();
    for end in [End::BeforeAccept, End::AfterAccept, End::AfterFirst, End::BehindOurClose] {
        for n in 0..=behind.len() {
            let mut conn = connecting(Role::Server, config());
            let mut log = Log::default();
            feed(&mut conn, &[REQUEST, &behind[..n]].concat(), &mut log);
            log.seen.clear();
            if matches!(end, End::BeforeAccept) {
                conn.receive_eof();
            }
            conn.accept(&Accept::new()).unwrap();
            match end {
                End::BeforeAccept => {}
                End::AfterAccept => conn.receive_eof(),
                End::AfterFirst => {
                    if let Some(event) = conn.poll_event() {
                        log.push(event);
                    }
                    conn.receive_eof();
                }
                End::BehindOurClose => {
                    conn.close(1001, "").unwrap();
                    conn.receive_eof();
                }
            }
            poll(&mut conn, &mut log);
            let mut at = 0;
            let whole = pieces.iter().take_while(|piece| {
                at += piece.len();
                at <= n
            });
            let count = whole.count();
            let mut expected = all[..count.min(3)].to_vec();
            let cause = match end {
                End::BehindOurClose => CloseCause::Local,
                _ => CloseCause::Peer,
            };
            expected.push(match count {
                4 => Seen::closed(1000, "", cause),
                _ => Seen::lost(CloseCause::TransportEnded),
            });
            assert_eq!(log.seen, expected, "{end:?} at byte {n}");
            drain(&mut conn);
            assert!(conn.is_finished(), "{end:?} at byte {n}");
            assert_over(&mut conn, &log, "early");
        }
    }
}

#[test]
fn end_of_the_stream_within_a_refusal_reports_the_refusal() {
    // rfc6455-7.2.1-01: (response, whether its body is complete at the end of the stream)
    let rows: [(&[u8], bool); 4] = [
        (b"HTTP/1.1 403 Forbidden\r\n\r\nno", true),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nno", false),
        (b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", false),
        (b"HTTP/1.0 403 Forbidden\r\n\r\nno", true),
    ];
    for (response, is_complete) in rows {
        for at in 0..=response.len() {
            let mut conn = connecting(Role::Client, config());
            let mut log = Log::default();
            feed(&mut conn, &response[..at], &mut log);
            conn.receive_eof();
            poll(&mut conn, &mut log);
            let [Seen::Closed { code, clean: false, cause, .. }] = &log.seen[..] else {
                panic!("{:?}", log.seen)
            };
            assert_eq!(*code, 1006);
            let head_len = response.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
            if at < head_len {
                assert_eq!(*cause, CloseCause::TransportEnded, "at {at}");
            } else {
                let CloseCause::Protocol(ProtocolError::Handshake(HandshakeError::Refused(
                    refusal,
                ))) = cause
                else {
                    panic!("{cause:?} at {at}");
                };
                assert_eq!(refusal.status(), 403);
                assert!(b"no".starts_with(refusal.body()), "at {at}");
                let is_whole = is_complete || response[head_len..at].ends_with(b"123456789");
                assert_eq!(refusal.is_body_complete(), is_whole, "at {at}");
            }
            assert!(conn.is_finished());
            assert_over(&mut conn, &log, "refused");
        }
    }
}

#[test]
fn drop_at_every_byte_is_safe() {
    // whatwg-gc-01
    at_every_byte(&config(), |_, _, conn, _, _| drop(conn));
}

#[test]
fn pieces_taken_out_before_the_end_may_still_be_advanced() {
    // The connection ends during a write, which completes in part or in whole after the end.
    let timed = builder().close_timeout(std::time::Duration::from_millis(1)).build().unwrap();
    let ends: [fn(&mut Connection); 3] = [Connection::receive_eof, Connection::abort, |conn| {
        conn.close(1000, "").unwrap();
        for ms in [0, 5, 10] {
            conn.tick(websocket_proto::Timestamp::from_millis(ms));
        }
    }];
    for role in ROLES {
        for end in ends {
            for (first, second) in [(0, 1), (1, 1), (1, 6), (7, 6)] {
                let mut conn = open_with(role, timed.clone());
                conn.send("Hello").unwrap();
                conn.send("rest").unwrap();
                let taken = conn.take_outgoing().unwrap();
                assert_eq!(conn.take_outgoing().map(|piece| piece.len()), None);
                conn.advance(first);
                end(&mut conn);
                assert!(conn.is_finished() && conn.outgoing_len() == 0);
                let buffered = conn.buffered_amount();
                conn.release_memory();
                conn.abort();
                conn.advance(second.min(taken.len() - first));
                assert_eq!(
                    (conn.outgoing_len(), conn.buffered_amount()),
                    (0, buffered),
                    "{role:?}"
                );
                let too_much = taken.len() - first - second.min(taken.len() - first) + 1;
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    conn.advance(too_much);
                }));
                assert!(result.is_err(), "advance accepts more bytes than were taken out");
            }
        }
    }
}

#[test]
fn reply_to_the_last_early_message_is_sent_before_the_end() {
    // rfc6455-7.1.4-01: the state stays open until the message before the end is received
    let mut conn = connecting(Role::Server, config());
    let mut log = Log::default();
    feed(&mut conn, &[REQUEST, &to(Role::Server, 0x81, b"one")].concat(), &mut log);
    conn.receive_eof();
    conn.accept(&Accept::new()).unwrap();
    assert!(matches!(conn.poll_event(), Some(Event::Message(_))));
    assert_eq!((conn.state(), conn.send("reply")), (State::Open, Ok(())));
    let mut log = Log::default();
    poll(&mut conn, &mut log);
    assert_eq!(log.seen, [Seen::lost(CloseCause::TransportEnded)]);
    assert_over(&mut conn, &log, "early");
}

#[test]
fn refusal_with_a_missing_body_is_reported() {
    // rfc6455-4.1-41: the server refuses, but then the client times out, aborts or closes before the end of the body
    let late: [fn(&mut Connection); 3] = [
        |conn| {
            conn.tick(websocket_proto::Timestamp::from_millis(0));
            conn.tick(websocket_proto::Timestamp::from_millis(10_000));
            conn.tick(websocket_proto::Timestamp::from_millis(10_001));
        },
        Connection::abort,
        |conn| conn.close(1000, "").unwrap(),
    ];
    for (framing, kept) in [("", "log"), ("Content-Length: 9\r\n", "log")] {
        for end in late {
            let mut conn = connecting(Role::Client, config());
            let mut log = Log::default();
            let response = format!("HTTP/1.1 401 No\r\nWWW-Authenticate: x\r\n{framing}\r\nlog");
            feed(&mut conn, response.as_bytes(), &mut log);
            end(&mut conn);
            let Some(Event::Closed(closed)) = conn.poll_event() else { panic!("no Closed event") };
            let refusal = closed.refusal().expect("the head of the refusal has arrived");
            assert_eq!(
                (refusal.status(), refusal.header("www-authenticate")),
                (401, Some(&b"x"[..]))
            );
            assert_eq!((refusal.body(), refusal.is_body_complete()), (kept.as_bytes(), false));
            assert!(conn.is_finished());
        }
    }
    let mut conn = connecting(Role::Client, config());
    conn.abort();
    let Some(Event::Closed(closed)) = conn.poll_event() else { panic!("no Closed event") };
    assert_eq!((closed.refusal(), closed.cause()), (None, &CloseCause::Aborted));
}

#[test]
fn after_a_failed_write_at_every_byte_the_peers_close_is_received() {
    // rfc6455-7.1.5-01, rfc6455-7.1.6-01, rfc6455-7.2.1-02: the transport cannot write any more, but still delivers the
    // peer's messages, its code and its reason
    at_every_byte(&config(), |script, n, mut conn, mut log, is_written| {
        let name = format!("{:?} at byte {n}, written: {is_written}", script.role);
        let bytes = script.bytes();
        let (state, buffered) = (conn.state(), conn.buffered_amount());
        let is_close_out = state == State::Closing && is_written;
        conn.write_closed();
        conn.write_closed();
        assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (0, buffered), "{name}");
        poll(&mut conn, &mut log);
        if state == State::Connecting && script.role == Role::Server {
            let mut expected = script.seen(n);
            expected.push(Seen::lost(CloseCause::Aborted));
            assert_eq!(
                log.seen, expected,
                "{name}: a server that cannot answer the request must end"
            );
            assert!(conn.is_finished() && !conn.wants_shutdown(), "{name}");
            return assert_over(&mut conn, &log, &name);
        }
        if matches!(state, State::Open | State::Closing) {
            assert_eq!(conn.state(), State::Closing, "{name}");
            let refused = Err(UsageError::NotOpen(State::Closing));
            let late = [conn.send("late"), conn.ping(b""), conn.pong(b""), conn.check_send(0)];
            assert_eq!(late, [refused; 4], "{name}");
            assert_eq!(conn.close(4001, "late"), Ok(()));
            assert!(conn.wants_read() && !conn.is_finished(), "{name}");
        }
        play(&mut conn, &bytes[n..], false, &mut log);
        poll(&mut conn, &mut log);
        let mut expected = script.seen(bytes.len());
        if n < bytes.len() {
            let cause = if is_close_out { CloseCause::Local } else { CloseCause::Peer };
            *expected.last_mut().unwrap() = Seen::closed(4000, "bye", cause);
        }
        assert_eq!(log.seen, expected, "{name}");
        assert_eq!((conn.state(), conn.outgoing_len()), (State::Closed, 0), "{name}");
        assert!(!conn.wants_shutdown() && !conn.wants_write(), "{name}");
        conn.receive_eof();
        assert!(conn.is_finished() && !conn.wants_shutdown(), "{name}");
        assert_over(&mut conn, &log, &name);
    });
}

#[test]
fn after_a_failed_write_the_end_of_the_stream_or_the_close_timeout_ends_it() {
    // rfc6455-7.1.5-03, rfc6455-7.1.4-02
    for role in ROLES {
        for closes in [false, true] {
            for frames in [vec![], to(role, 0x81, b"before"), to(role, 0x89, b"ping")] {
                let prepare = || {
                    let timed =
                        builder().idle_timeout(std::time::Duration::from_secs(1)).build().unwrap();
                    let mut conn = open_with(role, timed);
                    conn.tick(websocket_proto::Timestamp::from_millis(0));
                    conn.send("lost").unwrap();
                    if closes {
                        conn.close(1000, "").unwrap();
                    }
                    conn.write_closed();
                    let mut log = Log::default();
                    feed(&mut conn, &frames, &mut log);
                    assert_eq!(
                        conn.outgoing_len(),
                        0,
                        "an answer is queued that cannot be written"
                    );
                    (conn, log)
                };
                let (mut conn, mut log) = prepare();
                conn.receive_eof();
                poll(&mut conn, &mut log);
                assert_eq!(log.seen.last(), Some(&Seen::lost(CloseCause::TransportEnded)));
                assert_over(&mut conn, &log, "ended");
                // Only the close timeout applies, not the idle timeout.
                let (mut conn, mut log) = prepare();
                for ms in [10, 5009] {
                    conn.tick(websocket_proto::Timestamp::from_millis(ms));
                    assert_eq!(conn.state(), State::Closing, "{role:?} at {ms}");
                }
                for ms in [5010, 5011] {
                    conn.tick(websocket_proto::Timestamp::from_millis(ms));
                }
                poll(&mut conn, &mut log);
                let timed_out = CloseCause::TimedOut(websocket_proto::Timeout::Close);
                assert_eq!(log.seen.last(), Some(&Seen::lost(timed_out)), "{role:?}");
                assert_eq!(conn.buffered_amount(), 4);
                assert_over(&mut conn, &log, "timed out");
            }
        }
    }
}

#[test]
fn a_failure_after_a_failed_write_finishes_the_connection() {
    // rfc6455-7.1.7-01, rfc6455-7.1.7-06, rfc6455-7.1.1-02: no Close can be written, so nothing is read to deliver it
    let endless = builder().close_timeout(None).build().unwrap();
    let violation: fn(&mut Connection) -> Seen = |conn| {
        let mut log = Log::default();
        feed(conn, &to(conn.role(), 0x83, b""), &mut log);
        log.seen.pop().expect("the violation is reported at once")
    };
    let ours: fn(&mut Connection) -> Seen = |conn| {
        conn.fail(1008, "not written").unwrap();
        let mut log = Log::default();
        poll(conn, &mut log);
        log.seen.pop().expect("the failure is reported")
    };
    let error = ProtocolError::ReservedOpcode { opcode: 3 };
    for role in ROLES {
        for (fail, expected) in
            [(violation, Seen::failed(error.clone())), (ours, Seen::lost(CloseCause::Failed))]
        {
            for closes in [false, true] {
                for is_written in [false, true] {
                    let mut conn = open_with(role, endless.clone());
                    conn.send("lost").unwrap();
                    if closes {
                        conn.close(1000, "").unwrap();
                    }
                    if is_written {
                        drain(&mut conn);
                    }
                    conn.write_closed();
                    assert_eq!(fail(&mut conn), expected);
                    // A Close that was written before may be lost if the transport is dropped with unread bytes.
                    let drains = closes && is_written;
                    assert_eq!((conn.wants_read(), conn.is_finished()), (drains, !drains));
                    assert!(!conn.wants_write() && !conn.wants_shutdown() && !conn.wants_reset());
                    conn.receive_eof();
                    assert_over(&mut conn, &Log::default(), "failed");
                    assert!(conn.is_finished());
                }
            }
        }
    }
}

#[test]
fn a_response_is_received_after_the_request_could_not_be_written() {
    // rfc6455-4.1-41: a server may refuse a long request before it has read all of it
    let mut conn = connecting(Role::Client, config());
    conn.advance(10);
    conn.write_closed();
    assert_eq!((conn.state(), conn.outgoing_len()), (State::Connecting, 0));
    let mut log = Log::default();
    feed(&mut conn, b"HTTP/1.1 431 Too Large\r\nContent-Length: 2\r\n\r\nno", &mut log);
    poll(&mut conn, &mut log);
    let [Seen::Closed { cause: CloseCause::Protocol(error), .. }] = &log.seen[..] else {
        panic!("{:?}", log.seen)
    };
    assert!(error.to_string().contains("431"), "{error}");
    assert!(conn.is_finished() && !conn.wants_shutdown());
}

#[test]
fn both_roles_shut_down_their_side_of_the_transport() {
    // rfc6455-7.1.1-01, rfc6455-7.1.1-05: a client sends its TLS close_notify or END_STREAM after the server's
    type End = fn(&mut Connection);
    let ends: [(&str, End); 4] = [
        ("our Close", |conn| {
            conn.close(1000, "").unwrap();
            drain(conn);
            feed(conn, &to(conn.role(), 0x88, b"\x03\xe8"), &mut Log::default());
        }),
        ("the peer's Close", |conn| {
            feed(conn, &to(conn.role(), 0x88, b"\x03\xe8"), &mut Log::default());
        }),
        ("a failure", |conn| feed(conn, &to(conn.role(), 0x83, b""), &mut Log::default())),
        ("nothing", |_| {}),
    ];
    for role in ROLES {
        for (name, end) in ends {
            let mut conn = open(role);
            end(&mut conn);
            assert_eq!(conn.wants_shutdown(), !conn.wants_write() && conn.is_finished());
            drain(&mut conn);
            let is_first = role == Role::Server && conn.state() == State::Closed;
            assert_eq!(
                conn.wants_shutdown(),
                is_first,
                "{role:?} {name}: only the server shuts down before the EOF"
            );
            conn.receive_eof();
            assert!(conn.wants_shutdown() && conn.is_finished(), "{role:?} {name}");
            conn.write_closed();
            assert!(
                !conn.wants_shutdown() && conn.is_finished(),
                "{role:?} {name}: shutdown is wanted again"
            );
        }
    }
}

#[test]
fn failed_write_of_the_last_bytes_finishes_the_connection() {
    // A response, or a Close after a failure, cannot be written. So there is no reason to drain the input.
    let endless = builder().close_timeout(None).build().unwrap();
    type Prepare = fn(&mut Connection);
    let rows: [(Role, Prepare); 4] = [
        (Role::Server, |conn| {
            feed(conn, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &mut Log::default());
            conn.respond(404).unwrap();
        }),
        (Role::Server, |conn| {
            feed(conn, REQUEST, &mut Log::default());
            conn.respond(403).unwrap();
        }),
        (Role::Server, |conn| {
            feed(conn, REQUEST, &mut Log::default());
            conn.accept(&Accept::new()).unwrap();
            feed(conn, &to(Role::Server, 0x83, b""), &mut Log::default());
        }),
        (Role::Client, |conn| {
            let response = response_to(&drain(conn));
            feed(conn, &response, &mut Log::default());
            feed(conn, &to(Role::Client, 0x83, b""), &mut Log::default());
        }),
    ];
    for (role, prepare) in rows {
        for is_written in [false, true] {
            let mut conn = connecting(role, endless.clone());
            prepare(&mut conn);
            while conn.poll_event().is_some() {}
            assert_eq!(conn.state(), State::Closed, "{role:?}");
            if is_written {
                drain(&mut conn);
            }
            conn.write_closed();
            // If it was written before, the input is drained until the EOF, because the peer may still have to read it.
            assert_eq!(conn.is_finished(), !is_written, "{role:?}");
            assert_eq!((conn.wants_read(), conn.wants_shutdown()), (is_written, false), "{role:?}");
            conn.receive_eof();
            assert!(conn.is_finished());
        }
    }
}

/// What the end has cut, by the events.
fn cut(conn: &mut Connection) -> Option<Cut> {
    match conn.poll_event() {
        Some(Event::Closed(closed)) => closed.cut(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn end_tells_whether_it_cut_a_frame_or_a_message() {
    // rfc6455-7.1.5-03: at every byte, in every way to receive, by every end without a Close
    let ends: [fn(&mut Connection); 3] =
        [Connection::receive_eof, Connection::abort, |conn| conn.fail(1011, "").unwrap()];
    for role in ROLES {
        let frames: [(u8, &[u8], Option<Cut>); 9] = [
            (0x81, b"whole", None),
            (0x82, &[1; 200], None),
            (0x89, b"p", None),
            (0x02, b"begun", Some(Cut::Message)),
            (0x8a, b"", Some(Cut::Message)),
            (0x00, b"", Some(Cut::Message)),
            (0x00, &[2; 130], Some(Cut::Message)),
            (0x80, b"", None),
            (0x81, b"", None),
        ];
        let mut rows = vec![(Vec::new(), None)];
        for (first, payload, behind) in frames {
            let frame = to(role, first, payload);
            for n in 1..=frame.len() {
                let mut bytes = rows[rows.len() - 1].0.clone();
                bytes.push(frame[n - 1]);
                rows.push((bytes, if n < frame.len() { Some(Cut::Frame) } else { behind }));
            }
        }
        for (at, (bytes, expected)) in rows.iter().enumerate() {
            for end in ends {
                for config in [config(), chunks()] {
                    for size in [1, usize::MAX] {
                        let mut conn = open_with(role, config.clone());
                        let mut log = Log::default();
                        bytes.chunks(size).for_each(|piece| feed(&mut conn, piece, &mut log));
                        end(&mut conn);
                        assert_eq!(cut(&mut conn), *expected, "{role:?} at {at}");
                    }
                    // The front of a message stays in the buffer, or the bytes go through it.
                    for capacity in [64, 1024] {
                        let mut conn = open_with(role, config.clone());
                        run_from(&mut conn, &[bytes], capacity);
                        end(&mut conn);
                        assert_eq!(cut(&mut conn), *expected, "{role:?} at {at}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_close_cuts_a_message_and_a_violation_tells_no_cut() {
    for role in ROLES {
        for (closing, begun) in [(false, false), (false, true), (true, false), (true, true)] {
            let expected = begun.then_some(Cut::Message);
            for (last, expected) in [(&[0x88][..], expected), (&[0x83], None)] {
                let mut conn = open(role);
                if closing {
                    conn.close(1000, "").unwrap();
                }
                let mut bytes = if begun { to(role, 0x01, b"begun") } else { vec![] };
                bytes.extend(to(role, last[0], b""));
                let Some(Event::Closed(closed)) = conn.receive(&mut &mut bytes[..]) else {
                    panic!()
                };
                assert_eq!(closed.cut(), expected, "{role:?}, closing: {closing}, {last:x?}");
            }
        }
        // Nothing of the opening handshake is a frame.
        let mut conn = connecting(role, config());
        feed(
            &mut conn,
            if role == Role::Server { &REQUEST[..9] } else { b"HTTP/1.1" },
            &mut Log::default(),
        );
        conn.receive_eof();
        assert_eq!(cut(&mut conn), None, "{role:?}");
    }
    // The bytes behind a request are received first.
    let begun = to(Role::Server, 0x81, b"begun");
    let mut conn = connecting(Role::Server, config());
    feed(&mut conn, &[REQUEST, &begun[..begun.len() - 1]].concat(), &mut Log::default());
    conn.receive_eof();
    conn.accept(&Accept::new()).unwrap();
    assert_eq!(cut(&mut conn), Some(Cut::Frame));
}
