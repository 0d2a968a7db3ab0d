//! Heap and stack memory for reading a head. It depends on the head, not on the limits.

#[path = "util/alloc.rs"]
mod alloc;
#[path = "util/stack.rs"]
mod stack;
mod util;

use alloc::{Counting, Heap, measure};
use stack::measure_stack;
use util::*;
use websocket_proto::handshake::{HttpVersion, ParsedRequest};
use websocket_proto::{ClientRequest, Connection, Event, HandshakeError, Role};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The length of a browser's request.
const HEAD_BYTES: usize = 549;
const PIECE_BYTES: usize = 64;

/// A valid head for `role` of `HEAD_BYTES` bytes.
fn head_for(role: Role) -> Vec<u8> {
    let mut head = match role {
        Role::Server => REQUEST.to_vec(),
        Role::Client => response_to(&drain(&mut connecting(role, config()))),
    };
    head.truncate(head.len() - 2);
    head.extend_from_slice(b"X: ");
    head.resize(HEAD_BYTES - 4, b'x');
    head.extend_from_slice(b"\r\n\r\n");
    head
}

/// Heap and stack memory for reading the head in pieces, with this limit of headers.
fn cost(role: Role, max_headers: usize) -> (Heap, usize) {
    let connection = || {
        let config = builder().max_headers(max_headers).build().unwrap();
        let mut conn = connecting(role, config);
        drain(&mut conn);
        conn
    };
    fn read(conn: &mut Connection, head: &mut [u8]) {
        let mut shown = 0;
        for piece in head.chunks_mut(PIECE_BYTES) {
            let mut input = piece;
            while let Some(event) = conn.receive(&mut input) {
                assert!(matches!(event, Event::UpgradeRequest(_) | Event::Open(_)));
                shown += 1;
            }
        }
        assert_eq!(shown, 1);
    }
    let (mut conn, mut head) = (connection(), head_for(role));
    let ((), heap) = measure(|| read(&mut conn, &mut head));
    let (mut conn, mut head) = (connection(), head_for(role));
    let ((), stack) = measure_stack(|| read(&mut conn, &mut head));
    (heap, stack)
}

#[test]
fn memory_of_a_head_that_comes_in_pieces_is_small_and_does_not_depend_on_the_limit_of_headers() {
    // rfc6455-10.4-01
    for role in ROLES {
        let (heap, stack) = cost(role, 64);
        // One copy of the head, and the state for the decision.
        assert!(heap.bytes <= 992 && heap.peak <= 992, "{role:?}: {heap:?}");
        // Unoptimized code needs several times as much, most of it for SHA-1 and copies in its caller.
        let most = if cfg!(debug_assertions) { 16 * 1024 } else { 3 * 1024 };
        assert!(stack <= most, "{role:?}: {stack} bytes of stack");
        for max_headers in [8, 1000, usize::MAX] {
            assert_eq!(cost(role, max_headers), (heap, stack), "{role:?} with {max_headers}");
        }
    }
}

#[test]
fn a_part_over_the_limit_is_refused_without_a_copy_of_it() {
    // rfc6455-10.4-01
    let (config, huge) = (config(), "x".repeat(10 << 20));
    let limit = config.max_head_bytes();
    let upgrade = ClientRequest::new("ws://h/").unwrap().upgrade(&config).unwrap();
    let version = HttpVersion::Http11;
    let values = || [("x", huge.as_bytes())];
    let names = || [(&huge[..], &b"x"[..])];
    let in_request = |method: &str, target: &str, headers: [(&str, &[u8]); 1]| {
        let parsed = ParsedRequest::from_parts(method, target, version, headers, &config);
        parsed.expect_err("it is too long").error().clone()
    };
    let in_response = |headers: [(&str, &[u8]); 1]| {
        upgrade.response(version, 101, headers, &config).expect_err("it is too long")
    };
    let (too_long, first) =
        (HandshakeError::HeadTooLong { limit }, HandshakeError::FirstLineTooLong { limit });
    let ((), heap) = measure(|| {
        assert_eq!(in_request("GET", "/", values()), too_long);
        assert_eq!(in_request("GET", "/", names()), too_long);
        assert_eq!(in_request(&huge, "/", [("a", b"b")]), first);
        assert_eq!(in_request("GET", &huge, [("a", b"b")]), first);
        assert_eq!(in_response(values()), too_long);
        assert_eq!(in_response(names()), too_long);
    });
    assert!(heap.peak <= 3 * limit as i64, "{heap:?}");
}
