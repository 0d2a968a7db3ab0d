//! Bytes of an unfinished message in a `ReadBuffer`: what happens to them when the connection ends, and what happens to
//! a caller who passes another buffer. `util::in_every_cut` tests for all kinds of input that a buffer does not change
//! the events.

mod util;

use std::panic::{AssertUnwindSafe, catch_unwind};

use util::{Log, ROLES, Seen, open, run, to};
use websocket_proto::{Config, Connection, ReadBuffer, Role};

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

#[test]
fn rest_of_a_message_from_another_buffer_panics() {
    for role in ROLES {
        let elsewhere: [fn(&mut Connection); 2] = [
            |conn| drop(conn.receive(&mut &mut [0; 4][..])),
            |conn| drop(conn.receive_from(&mut ReadBuffer::with_capacity(100))),
        ];
        for receive in elsewhere {
            let (mut conn, mut buffer) = cut(role, 100);
            let result = catch_unwind(AssertUnwindSafe(|| receive(&mut conn)));
            assert!(result.is_err(), "{role:?}");
            fill(&mut buffer, &[0; 4]);
            assert_eq!(
                receive_from(&mut conn, &mut buffer).len(),
                1,
                "the message does not arrive after the panic"
            );
        }
    }
}

#[test]
fn unfinished_message_needs_a_buffer_that_it_fits_into() {
    for role in ROLES {
        let message = to(role, 0x82, &[0; 50]);
        let (header, payload) = message.split_at(message.len() - 50);
        let mut conn = open(role);
        assert_eq!(receive_from(&mut conn, &mut filled(100, header)), []);
        let mut small = ReadBuffer::with_capacity(49);
        let result = catch_unwind(AssertUnwindSafe(|| drop(conn.receive_from(&mut small))));
        assert!(result.is_err(), "a buffer too small for the message is accepted");
        let seen = receive_from(&mut conn, &mut filled(50, payload));
        assert_eq!(seen.len(), 1, "{role:?}");
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
