//! Bytes of an unfinished message in a `ReadBuffer`: what happens to them when the connection ends, and what happens to
//! a caller who passes another buffer. `util::in_every_cut` tests for all kinds of input that a buffer does not change
//! the events.

mod util;

use util::{Log, ROLES, Seen, open, run, to};
use websocket_proto::{CloseCause, CloseCode, Config, Connection, ReadBuffer, Role};

fn fill(buffer: &mut ReadBuffer, bytes: &[u8]) {
    buffer.spare()[..bytes.len()].copy_from_slice(bytes);
    buffer.filled(bytes.len());
}

fn filled(capacity: usize, bytes: &[u8]) -> ReadBuffer {
    let mut buffer = ReadBuffer::with_capacity(capacity);
    fill(&mut buffer, bytes);
    buffer
}

fn receive_from(conn: &mut Connection, buffer: &mut ReadBuffer) -> Vec<Seen> {
    let mut log = Log::default();
    while let Some(event) = conn.receive_from(buffer) {
        log.push(event);
    }
    log.seen
}

/// A connection, and the buffer that holds the front of its unfinished message. The front looks like a whole frame.
fn cut(role: Role, capacity: usize) -> (Connection, ReadBuffer) {
    let mut conn = open(role);
    let mut buffer = ReadBuffer::with_capacity(capacity);
    let inner = to(role, 0x81, b"smuggled");
    let outer = to(role, 0x82, &[&inner[..], b"more"].concat());
    fill(&mut buffer, &outer[..outer.len() - 4]);
    assert_eq!(receive_from(&mut conn, &mut buffer), []);
    (conn, buffer)
}

#[test]
fn next_connection_does_not_receive_the_front_of_a_message() {
    for role in ROLES {
        for ends in [true, false] {
            let (mut conn, mut buffer) = cut(role, 100);
            if ends {
                conn.abort();
                assert_eq!(
                    receive_from(&mut conn, &mut buffer).len(),
                    1,
                    "only the end is reported"
                );
            }
            drop(conn);
            assert_eq!(buffer.unreceived(), b"");
            let mut next = open(role);
            assert_eq!(receive_from(&mut next, &mut buffer), []);
            fill(&mut buffer, &to(role, 0x81, b"own"));
            assert_eq!(
                receive_from(&mut next, &mut buffer),
                [Seen::Text("own".into())],
                "{role:?}"
            );
        }
    }
}

#[test]
fn front_of_a_message_is_not_parsed_as_a_request() {
    let mut conn = open(Role::Client);
    let mut buffer = ReadBuffer::with_capacity(200);
    fill(&mut buffer, b"\x82\x7dGET / HTTP/1.1\r\n\r\n");
    assert_eq!(receive_from(&mut conn, &mut buffer), []);
    let mut next = Connection::server(Config::default());
    assert_eq!(receive_from(&mut next, &mut buffer), []);
}

type Receive = fn(&mut Connection, &[u8]) -> Vec<Seen>;

/// Ways to give a connection bytes from elsewhere, while the front of its message waits in a buffer.
fn elsewhere() -> [Receive; 3] {
    [
        |conn, bytes| run(conn, &[bytes]).seen,
        |conn, bytes| receive_from(conn, &mut filled(100, bytes)),
        // This one is full before the message is complete.
        |conn, bytes| receive_from(conn, &mut filled(bytes.len().max(1), bytes)),
    ]
}

fn is_abortion(seen: &[Seen]) -> bool {
    matches!(seen, [Seen::Closed { code: CloseCode::ABNORMAL, cause: CloseCause::Aborted, .. }])
}

#[test]
fn bytes_that_arrive_elsewhere_than_their_front_end_the_connection() {
    for role in ROLES {
        for receive in elsewhere() {
            let (mut conn, mut buffer) = cut(role, 100);
            let seen = receive(&mut conn, &[0; 4]);
            assert!(is_abortion(&seen), "{role:?}: {seen:?}");
            assert!(conn.is_finished());
            fill(&mut buffer, &[0; 4]);
            assert_eq!(receive_from(&mut conn, &mut buffer), [], "its front is dropped");
            assert_eq!(buffer.unreceived(), b"");
        }
    }
}

#[test]
fn a_look_elsewhere_without_bytes_changes_nothing() {
    for role in ROLES {
        for receive in elsewhere() {
            let (mut conn, mut buffer) = cut(role, 100);
            assert_eq!(receive(&mut conn, b""), [], "{role:?}");
            assert_eq!(conn.poll_event().map(|event| format!("{event:?}")), None);
            fill(&mut buffer, &[0; 4]);
            let seen = receive_from(&mut conn, &mut buffer);
            assert!(matches!(&seen[..], [Seen::Binary(_)]), "{role:?}: {seen:?}");
        }
    }
}

#[test]
fn a_front_that_the_caller_has_dropped_ends_the_connection_with_the_next_bytes() {
    for role in ROLES {
        let (mut conn, mut buffer) = cut(role, 100);
        buffer.clear();
        assert_eq!(receive_from(&mut conn, &mut buffer), []);
        fill(&mut buffer, &to(role, 0x81, b"own"));
        let seen = receive_from(&mut conn, &mut buffer);
        assert!(is_abortion(&seen), "{role:?}: {seen:?}");
    }
}

#[test]
fn cut_header_is_held_by_the_connection_and_continues_from_any_input() {
    // rfc6455-5.2-01
    for role in ROLES {
        for len in [5, 200, 70_000] {
            let message = to(role, 0x82, &vec![7; len]);
            let header = message.len() - len;
            for at in 1..header {
                let mut conn = open(role);
                assert_eq!(receive_from(&mut conn, &mut filled(300, &message[..at])), []);
                let seen = run(&mut conn, &[&message[at..]]).seen;
                assert_eq!(seen, [Seen::Binary(vec![7; len])], "{role:?}, {len} at {at}");
            }
        }
    }
}
