//! A test for each class of vulnerability that was published for a WebSocket implementation. The doc comment of a test
//! says what went wrong there; the test does the same to this library.
//!
//! Tests of linear work do not measure time. They count the allocated bytes for an input and for one sixteen times as
//! large. The second count may be sixteen times the first. If each arriving piece made a copy of everything before it,
//! it would be 256 times the first. The factor is sixteen because buffers grow by factors of two and four. Bytes that
//! are read repeatedly without a copy allocate nothing; `tests/linear/run` counts their instructions.

#[path = "util/alloc.rs"]
mod alloc;
mod util;

use std::cell::RefCell;
use std::collections::BTreeSet;

use alloc::{Counting, Heap, measure};
use util::*;
use websocket_proto::{
    Accept, ClientRequest, CloseCause, Config, Connection, Entropy, EntropyError, Event,
    HandshakeError, MessageKind, OriginPolicy, PreparedMessage, ProtocolError, Response, Role,
    State, Uri, UsageError,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Feeds one piece, drops the events, and returns the error if the connection fails.
fn swallow(conn: &mut Connection, piece: &mut [u8]) -> Option<ProtocolError> {
    let mut input = piece;
    let mut error = None;
    while let Some(event) = conn.receive(&mut input) {
        if let Event::Closed(closed) = event {
            match closed.into_cause() {
                CloseCause::Protocol(cause) => error = Some(cause),
                cause => panic!("{cause:?}"),
            }
        }
    }
    error
}

/// Asserts that `work(16 * n)` allocates at most sixteen times as much as `work(n)`, with a tolerance of 5 %.
fn assert_linear(name: &str, n: usize, work: impl Fn(usize) -> Heap) {
    let (few, many) = (work(n), work(16 * n));
    for (what, few, many) in [
        ("bytes", few.bytes, many.bytes),
        ("allocations", few.allocations, many.allocations),
        ("bytes at the peak", few.peak as u64, many.peak as u64),
    ] {
        assert!(
            20 * many <= 21 * 16 * few,
            "{name}: {few} {what} for {n}, {many} for an input sixteen times as large"
        );
    }
}

/// The header of a frame to `role`, with a 64-bit length and no payload.
fn declared(role: Role, first: u8, len: u64) -> Vec<u8> {
    let mut bytes = vec![first, if role == Role::Server { 0xff } else { 0x7f }];
    bytes.extend_from_slice(&len.to_be_bytes());
    if role == Role::Server {
        bytes.extend_from_slice(&KEY);
    }
    bytes
}

/// A configuration without limits for received data.
fn endless() -> Config {
    unlimited().max_fragments(u32::MAX).build().unwrap()
}

// ---- Lengths and limits ----

/// Lengths near 2^63 and 2^64 became negative, or their sum with earlier lengths wrapped around. Checks passed, and
/// peers crashed or read without a limit (CVE-2020-27813 in Go, CVE-2026-1528 in JavaScript, CVE-2026-43678 in Swift).
#[test]
fn lengths_do_not_overflow() {
    // rfc6455-5.2-08, rfc6455-10.4-01, rfc6455-10.4-02
    for role in ROLES {
        for first in [0x01, 0x02, 0x81, 0x82] {
            for len in [1 << 63, (1 << 63) + 125, u64::MAX - 13, u64::MAX] {
                let mut conn = open_with(role, endless());
                let mut bytes = declared(role, first, len);
                let (begin, rest) = bytes.split_at_mut(3);
                let error = swallow(&mut conn, begin);
                assert_eq!(error, Some(ProtocolError::LengthOutOfRange), "{role:?} {len:#x}");
                assert_eq!(swallow(&mut conn, rest), None, "an event after the end");
            }
            // The largest length, alone and after a fragment.
            let largest = i64::MAX as u64;
            let mut conn = open_with(role, endless());
            assert_eq!(swallow(&mut conn, &mut declared(role, first, largest)), None);
            assert_eq!(conn.state(), State::Open);
            let mut conn = open_with(role, endless());
            assert_eq!(swallow(&mut conn, &mut to(role, first & 0x0f, b"ab")), None);
            assert_eq!(swallow(&mut conn, &mut declared(role, 0x80, largest)), None);
            // The sum exceeds the limit; as a signed number it would be negative.
            let config = endless().to_builder().max_message_bytes(largest).build().unwrap();
            let mut conn = open_with(role, config);
            assert_eq!(swallow(&mut conn, &mut to(role, first & 0x0f, b"ab")), None);
            let error = ProtocolError::MessageTooBig { len: largest + 2, limit: largest };
            assert_eq!(swallow(&mut conn, &mut declared(role, 0x80, largest)), Some(error));
        }
    }
}

/// A buffer of the declared length was allocated before a byte of payload had arrived. One frame header of 14 bytes
/// allocated gigabytes, and a thousand idle connections exhausted the memory.
#[test]
fn nothing_is_allocated_because_it_was_declared() {
    // rfc6455-10.4-01
    for role in ROLES {
        for config in [endless(), config()] {
            let len = config.max_message_bytes().min(i64::MAX as u64);
            for first in [0x01, 0x02, 0x81, 0x82] {
                let mut conn = open_with(role, config.clone());
                let mut bytes = declared(role, first, len);
                let (error, heap) = measure(|| swallow(&mut conn, &mut bytes));
                assert_eq!((error, heap.allocations), (None, 0), "{role:?} {first:02x}: {heap:?}");
                // After that, memory follows the bytes that have arrived.
                let key = if role == Role::Server { KEY } else { [0; 4] };
                let mut piece: Vec<u8> = (0..100).map(|i| b'x' ^ key[i % 4]).collect();
                let (error, heap) = measure(|| swallow(&mut conn, &mut piece));
                assert_eq!(error, None);
                assert!(heap.peak <= 400, "{role:?} {first:02x}: {heap:?}");
            }
        }
    }
}

/// There were no limits by default (CVE-2026-44545 in Python), or they applied to each frame and not to the message, or
/// they were checked only after the last fragment.
#[test]
fn limits_hold_before_the_bytes_arrive() {
    // rfc6455-10.4-01, rfc6455-10.4-02
    const MIB: u64 = 1 << 20;
    for role in ROLES {
        // The default limits are checked as soon as the header has arrived.
        for first in [0x01, 0x02, 0x81, 0x82] {
            let mut conn = open(role);
            let error = swallow(&mut conn, &mut declared(role, first, 16 * MIB + 1));
            let too_big = ProtocolError::FrameTooBig { len: 16 * MIB + 1, limit: 16 * MIB };
            assert_eq!(error, Some(too_big), "{role:?} {first:02x}");
            assert_eq!(plain_frames(&drain(&mut conn)), [(0x88, vec![0x03, 0xf1])], "1009");
        }
        // The limit is for the message, not the frame. The header of the fragment that exceeds it is enough.
        let config = builder().max_message_bytes(1000).build().unwrap();
        let mut conn = open_with(role, config);
        let mut fragments: Vec<u8> = to(role, 0x02, &[7; 300]);
        fragments.extend(to(role, 0x00, &[7; 300]));
        fragments.extend(to(role, 0x00, &[7; 300]));
        let (error, heap) = measure(|| swallow(&mut conn, &mut fragments));
        assert_eq!(error, None);
        assert!(heap.peak <= 4 * 1000, "{heap:?}");
        let error = swallow(&mut conn, &mut to(role, 0x00, &[7; 101])[..2]);
        assert_eq!(
            error,
            Some(ProtocolError::MessageTooBig { len: 1001, limit: 1000 }),
            "{role:?}"
        );
    }
}

/// Every fragment allocated an object of a hundred bytes, however short it was (CVE-2026-48779 in JavaScript). Empty
/// fragments were not counted, so an endless message never exceeded a limit (CVE-2026-12151 in JavaScript).
#[test]
fn a_fragment_costs_its_bytes_and_is_counted() {
    // rfc6455-10.4-01
    for role in ROLES {
        for payload in [&b""[..], b"x"] {
            let mut conn = open(role);
            let limit = conn.config().max_fragments();
            let mut fragment = to(role, 0x00, payload);
            assert_eq!(swallow(&mut conn, &mut to(role, 0x02, payload)), None);
            let (error, heap) = measure(|| {
                (1..=limit).find_map(|n| swallow(&mut conn, &mut fragment).map(|error| (n, error)))
            });
            assert_eq!(error, Some((limit, ProtocolError::TooManyFragments { limit })), "{role:?}");
            let bytes = i64::from(limit) * payload.len() as i64;
            assert!(heap.peak <= 2 * bytes + 2048, "{role:?}: {heap:?}");
            assert_eq!(plain_frames(&drain(&mut conn)), [(0x88, vec![0x03, 0xf0])], "1008");
        }
        // Assembling a message from n pieces takes work in proportion to n.
        for first in [0x01, 0x02] {
            assert_linear("fragments of one byte", 4096, |n| {
                let mut conn = open_with(role, endless());
                let mut bytes = to(role, first, b"x");
                bytes.extend((0..n).flat_map(|_| to(role, 0x00, b"x")));
                measure(|| assert_eq!(swallow(&mut conn, &mut bytes), None)).1
            });
            assert_linear("a frame byte by byte", 4096, |n| {
                let mut conn = open(role);
                let mut bytes = to(role, first, &vec![b'x'; n]);
                let read = |byte| assert_eq!(swallow(&mut conn, byte), None);
                measure(|| bytes.chunks_mut(1).for_each(read)).1
            });
        }
    }
}

/// A compressed message was inflated whole before its size was checked: 16 KiB became 16 MiB, 6 MB became a gigabyte
/// (CVE-2026-1526 in JavaScript; two Python libraries fixed the same in May 2018).
#[cfg(feature = "deflate")]
#[test]
fn a_compressed_message_meets_its_limit_while_it_inflates() {
    // rfc7692-8-02, rfc6455-10.4-01
    const LIMIT: u64 = 100_000;
    let params = websocket_proto::DeflateParams {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let config = builder().deflate(websocket_proto::Deflate::default()).build().unwrap();
    let mut sender = Connection::from_upgrade(
        websocket_proto::Upgrade::new(Role::Server).deflate(params),
        config,
    )
    .unwrap();
    sender.send(vec![0; 16 << 20]).unwrap();
    let bomb = plain_frames(&drain(&mut sender)).remove(0).1;
    assert!(bomb.len() < 20_000, "{} bytes", bomb.len());
    for role in ROLES {
        for pieces in [1, 2, 100] {
            let config = builder().max_message_bytes(LIMIT).build().unwrap();
            let mut conn = Connection::from_upgrade(
                websocket_proto::Upgrade::new(role).deflate(params),
                config,
            )
            .unwrap();
            // In small fragments.
            let mut bytes = Vec::new();
            let cut: Vec<_> = bomb.chunks(bomb.len().div_ceil(pieces)).collect();
            for (i, piece) in cut.iter().enumerate() {
                let first = if i == 0 { 0x42 } else { 0x00 };
                let fin = if i + 1 == cut.len() { 0x80 } else { 0x00 };
                bytes.extend(to(role, first | fin, piece));
            }
            let (error, heap) = measure(|| swallow(&mut conn, &mut bytes));
            let too_big = ProtocolError::MessageTooBig { len: LIMIT + 1, limit: LIMIT };
            assert_eq!(error, Some(too_big), "{role:?} in {pieces}");
            // The message, the codec with its window, and the window beside the codec.
            assert!(heap.peak <= LIMIT as i64 * 2 + 96 * 1024, "{role:?} in {pieces}: {heap:?}");
        }
    }
}

/// The window size in a server's response went unchecked to the codec, which threw (CVE-2026-2229 in JavaScript).
#[cfg(feature = "deflate")]
#[test]
fn a_window_out_of_range_fails_the_handshake() {
    // rfc7692-7.1.2.1-02, -06
    for bits in ["", "0", "1", "7", "16", "08", "+9", "-9", "99999999999999999999", "1e1", "\"16\""]
    {
        let config = builder().deflate(websocket_proto::Deflate::default()).build().unwrap();
        let mut conn = connecting(Role::Client, config);
        let response = response_to(&drain(&mut conn));
        let response = String::from_utf8(response).unwrap();
        let line =
            format!("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits={bits}");
        let head = response.strip_suffix("\r\n").unwrap();
        let error = swallow(&mut conn, &mut format!("{head}{line}\r\n\r\n").into_bytes());
        assert!(
            matches!(
                error,
                Some(ProtocolError::Handshake(
                    HandshakeError::ExtensionParameters | HandshakeError::InvalidExtensions
                ))
            ),
            "{bits}: {error:?}"
        );
    }
}

// ---- The opening handshake ----

/// Each read parsed the whole head again from its beginning: a long header in small pieces kept a server busy for
/// minutes (CVE-2023-43669 in Rust). A backtracking pattern split a header's value (CVE-2021-32640 in JavaScript).
#[test]
fn a_head_in_small_pieces_is_copied_once() {
    // rfc6455-10.4-01
    let value = |n: usize| ["b".into(), " ".repeat(n / 2), "x".repeat(n / 2)].concat();
    for name in ["X", "Cookie", "Sec-WebSocket-Protocol"] {
        for size in [1, 7] {
            assert_linear("a long header", 16_384, |n| {
                let head = String::from_utf8(REQUEST.to_vec()).unwrap();
                let head = head.strip_suffix("\r\n").unwrap();
                let mut bytes = format!("{head}{name}: {}\r\n\r\n", value(n)).into_bytes();
                let config = builder().max_head_bytes(1 << 20).build().unwrap();
                let mut conn = Connection::server(config);
                let mut read = |piece: &mut [u8]| drop(swallow(&mut conn, piece));
                measure(|| bytes.chunks_mut(size).for_each(&mut read)).1
            });
        }
    }
}

/// A request with more headers than the parser stored crashed the server, which read headers that were missing
/// (CVE-2024-37890 in JavaScript).
#[test]
fn more_headers_than_there_is_room_for_are_refused() {
    // rfc6455-10.4-01, rfc6455-10.7-04
    let request = |fillers: usize| {
        let mut lines = "GET / HTTP/1.1\r\n".to_string();
        (0..fillers).for_each(|n| lines.push_str(&format!("x{n}: y\r\n")));
        lines
            + "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    };
    // Any configured limit holds.
    for limit in [10, 64, 1000, usize::MAX] {
        for fillers in [5, 6, 59, 60, 995, 996, 2000, 100_000] {
            let config = builder().max_headers(limit).max_head_bytes(1 << 22).build().unwrap();
            let mut conn = Connection::server(config);
            let mut bytes = request(fillers).into_bytes();
            let error = swallow(&mut conn, &mut bytes);
            if fillers + 5 <= limit {
                assert_eq!((error, conn.accept(&Accept::default())), (None, Ok(())));
            } else {
                let error = error.expect("too many headers fail the handshake");
                let too_many = HandshakeError::TooManyHeaders { limit };
                assert_eq!(error, too_many.into(), "{fillers} with {limit}");
                assert!(drain(&mut conn).starts_with(b"HTTP/1.1 431 "));
            }
        }
    }
}

/// A line break in a value from the application let an attacker add a header or a request (CVE-2026-1527 in JavaScript:
/// the value of Upgrade; a Python client: the URL).
#[test]
fn a_line_break_cannot_be_injected() {
    // rfc6455-3-02, rfc6455-4.1-19
    for evil in ["\r\nX: y", "\nX: y", "\r", "\n", "\0", "a\r\n\r\nGET / HTTP/1.1\r\n"] {
        for uri in [
            format!("ws://example.com/{evil}"),
            format!("ws://example.com/?{evil}"),
            format!("ws://example.com{evil}/"),
            format!("ws://{evil}/"),
            format!("ws{evil}://example.com/"),
            format!("ws://example.com:80{evil}/"),
        ] {
            assert!(Uri::parse(&uri).is_err(), "{uri:?}");
        }
        let request = || ClientRequest::new("ws://example.com/").unwrap();
        let value = format!("v{evil}");
        let rows = [
            (request().origin(&value[..]), UsageError::InvalidHeaderValue),
            (request().subprotocol(&value[..]), UsageError::InvalidSubprotocol),
            (request().header("X", &value[..]), UsageError::InvalidHeaderValue),
            (request().header(&value[..], "x"), UsageError::InvalidHeaderName),
        ];
        for (request, error) in rows {
            assert_eq!(Connection::client(&request, config()).err(), Some(error), "{evil:?}");
        }
        let mut conn = Connection::server(config());
        let mut head = REQUEST.to_vec();
        assert_eq!(swallow(&mut conn, &mut head), None);
        let rows = [
            (Accept::new().header("X", &value), UsageError::InvalidHeaderValue),
            (Accept::new().header(&value, "x"), UsageError::InvalidHeaderName),
            (Accept::new().subprotocol(&value), UsageError::SubprotocolNotOffered),
        ];
        for (accept, error) in rows {
            assert_eq!(conn.accept(&accept), Err(error), "{evil:?}");
        }
        let rows = [
            (Response::new(403).header("X", &value[..]), UsageError::InvalidHeaderValue),
            (Response::new(403).header(&value[..], "x"), UsageError::InvalidHeaderName),
        ];
        for (response, error) in rows {
            assert_eq!(conn.respond(response), Err(error), "{evil:?}");
        }
        assert_eq!(conn.outgoing_len(), 0, "the refused call has queued bytes");
        // In a frame a line break is text like any other, because the header gives the length.
        let mut conn = open(Role::Server);
        conn.close(1000, evil).unwrap();
        let body = [&b"\x03\xe8"[..], evil.as_bytes()].concat();
        assert_eq!(plain_frames(&drain(&mut conn)), [(0x88, body)]);
    }
}

/// A proxy forwarded an upgrade request that declared a body. The proxy and the server disagreed where the body ended:
/// one read the bytes as the body, the other as the next request or as frames (CVE-2026-58055 in a proxy).
#[test]
fn a_body_is_not_taken_for_frames() {
    // rfc6455-10.7-01, rfc6455-10.7-04, rfc9112-6.3-01
    for line in [
        "Content-Length: 11",
        "content-length: 1",
        "Content-Length: 0\r\nContent-Length: 11",
        "Content-Length: +0",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
    ] {
        for (role, head) in [(Role::Server, REQUEST.to_vec()), (Role::Client, Vec::new())] {
            let mut conn = connecting(role, config());
            let head = match role {
                Role::Server => head,
                Role::Client => response_to(&drain(&mut conn)),
            };
            let head = String::from_utf8(head).unwrap();
            let mut bytes =
                format!("{}{line}\r\n\r\n", head.strip_suffix("\r\n").unwrap()).into_bytes();
            bytes.extend(to(role, 0x81, b"Hello"));
            let outcome = run(&mut conn, &[&bytes, &to(role, 0x81, b"again")]);
            match role {
                Role::Server => {
                    let refused = [Seen::failed(HandshakeError::Body.into())];
                    assert_eq!(outcome.seen, refused, "{line}");
                    assert!(outcome.output.starts_with(b"HTTP/1.1 400 "));
                }
                // RFC 9112 6.3: a 101 has no body, whatever its headers say. So all readers agree where the frames
                // begin.
                Role::Client => {
                    let text = |text: &str| Seen::Text(text.to_string());
                    assert_eq!(outcome.seen, [Seen::Open, text("Hello"), text("again")], "{line}");
                    assert_eq!(outcome.output, b"");
                }
            }
        }
    }
}

/// Bytes after the handshake in the same read were dropped, and a client waited for ever for its greeting. Or they were
/// parsed as another HTTP request, and a script can make its frames look like one. Or they were buffered without a
/// limit.
#[test]
fn early_bytes_are_frames_and_come_once() {
    // rfc6455-10.7-05, rfc6455-10.4-01
    let smuggled = b"GET /admin HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let early: Vec<u8> =
        [to(Role::Server, 0x81, b"one"), to(Role::Server, 0x82, smuggled)].concat();
    let seen = [Seen::Text("one".into()), Seen::Binary(smuggled.to_vec())];
    for cut in 0..=early.len() {
        let mut conn = connecting(Role::Server, config());
        let shown = run(&mut conn, &[&[REQUEST, &early[..cut]].concat()]);
        assert_eq!(shown.seen, [Seen::Upgrade("/chat".into())]);
        conn.accept(&Accept::default()).unwrap();
        assert_eq!(run(&mut conn, &[&early[cut..]]).seen, seen, "cut at {cut}");
    }
    // A client: the greeting follows the 101.
    let mut conn = connecting(Role::Client, config());
    let response = response_to(&drain(&mut conn));
    let greeting = to(Role::Client, 0x81, b"welcome");
    let outcome = run(&mut conn, &[&[response, greeting].concat()]);
    assert_eq!(outcome.seen, [Seen::Open, Seen::Text("welcome".into())]);
    // A second request after the first is parsed as frames.
    let mut conn = connecting(Role::Server, config());
    run(&mut conn, &[&[REQUEST, smuggled].concat()]);
    conn.accept(&Accept::default()).unwrap();
    let failed = ProtocolError::ReservedBits { first_byte: b'G' };
    assert_eq!(run(&mut conn, &[]).seen, [Seen::failed(failed)]);
    // The bytes that wait for the decision are limited.
    let mut conn = connecting(Role::Server, config());
    run(&mut conn, &[REQUEST]);
    let limit = conn.config().max_early_bytes();
    let mut flood = vec![0x81; limit + 1];
    let (error, heap) = measure(|| swallow(&mut conn, &mut flood));
    assert_eq!(error, Some(HandshakeError::TooManyEarlyBytes { limit }.into()));
    assert!(heap.peak <= 2 * limit as i64, "{heap:?}");
}

/// Any page could open a connection with the cookies of its visitor, because the server did not check the Origin
/// header, or compared only its beginning or end (GHSA-p773-8mf4-rjm5 in JavaScript, and many applications).
#[test]
fn pages_of_other_origins_are_refused() {
    // rfc6455-10.2-01, rfc6455-10.2-02
    let policy = OriginPolicy::new(["https://example.com"]).unwrap();
    let rows = [
        (Some("https://example.com"), true),
        (Some("HTTPS://EXAMPLE.COM"), true),
        (None, false),
        (Some(""), false),
        (Some("null"), false),
        (Some("http://example.com"), false),
        (Some("https://example.com.evil"), false),
        (Some("https://evil-example.com"), false),
        (Some("https://evil.example.com"), false),
        (Some("https://evil/https://example.com"), false),
        (Some("https://example.com@evil"), false),
        (Some("https://example.com:444"), false),
        (Some("https://example.com/"), false),
        (Some("https://example.com, https://evil"), false),
        (Some("https://example.com\r\nOrigin: https://evil"), false),
    ];
    for (origin, is_allowed) in rows {
        let head = String::from_utf8(REQUEST.to_vec()).unwrap();
        let line = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
        let mut bytes = format!("{}{line}\r\n", head.strip_suffix("\r\n").unwrap()).into_bytes();
        let mut conn = Connection::server(config());
        let verdict = match conn.receive(&mut &mut bytes[..]) {
            Some(Event::UpgradeRequest(request)) => policy.check(&request),
            other => panic!("{other:?}"),
        };
        assert_eq!(verdict.is_ok(), is_allowed, "{origin:?}");
        if let Err(response) = verdict {
            conn.respond(response).unwrap();
            assert!(drain(&mut conn).starts_with(b"HTTP/1.1 403 "), "{origin:?}");
        }
    }
}

// ---- Answers and keys ----

/// Every ping was answered, and the pongs for a peer that does not read were queued without a limit.
#[test]
fn pings_of_a_peer_that_does_not_read_are_answered_in_bounded_memory() {
    // rfc6455-5.5.3-02, rfc6455-10.4-01
    for role in ROLES {
        for len in [0, 1, 125] {
            let mut conn = open(role);
            let most = usize::from(conn.config().max_queued_pongs());
            let mut last = Vec::new();
            let (_, heap) = measure(|| {
                for n in 0..10_000_u32 {
                    last = [&n.to_be_bytes()[..], &[b'p'; 125]].concat()[..len].to_vec();
                    assert_eq!(swallow(&mut conn, &mut to(role, 0x89, &last)), None);
                }
            });
            let wire = (to(role, 0x8a, &last).len() + 4) * most;
            assert!(conn.outgoing_len() <= wire as u64, "{role:?} {len}");
            assert!(heap.peak <= 4 * wire as i64 + 4096, "{role:?} {len}: {heap:?}");
            let pongs = plain_frames(&drain(&mut conn));
            assert_eq!((pongs.len(), pongs.last()), (most, Some(&(0x8a, last))), "{role:?} {len}");
        }
    }
}

thread_local! {
    /// The keys that the source has returned, and after how many keys it fails.
    static KEYS: RefCell<(Vec<[u8; 4]>, usize)> = const { RefCell::new((Vec::new(), usize::MAX)) };
}

/// A source that records its keys.
fn source(out: &mut [u8]) -> Result<(), EntropyError> {
    KEYS.with_borrow_mut(|(keys, fails_after)| {
        if keys.len() >= *fails_after {
            return Err(EntropyError);
        }
        let word = (keys.len() as u32 + 1).wrapping_mul(0x9e37_79b9);
        out.iter_mut().zip(word.to_le_bytes().iter().cycle()).for_each(|(byte, key)| *byte = *key);
        keys.push(word.to_le_bytes());
        Ok(())
    })
}

/// A client masked all frames of a connection with one key, so a server's script could choose the bytes on the wire
/// (CVE-2025-10148 in C). Others used a predictable generator, or zeros when the generator failed.
#[test]
fn every_frame_has_a_key_from_the_source() {
    // rfc6455-5.3-02, rfc6455-5.3-04, rfc6455-10.3-01
    type Call = fn(&mut Connection) -> Result<(), UsageError>;
    let calls: [Call; 7] = [
        |conn| conn.send("text"),
        |conn| conn.send(vec![7; 100_000]),
        |conn| conn.send_prepared(&PreparedMessage::new("prepared")),
        |conn| conn.send_fragment(MessageKind::Text, b"a", false),
        |conn| conn.ping(b"ping"),
        |conn| conn.pong(b"pong"),
        |conn| conn.send_fragment(MessageKind::Text, b"b", true),
    ];
    let client = |fails_after| {
        KEYS.set((Vec::new(), fails_after));
        let config = builder().entropy(Entropy::from_fn(source)).build().unwrap();
        Connection::from_upgrade(Role::Client, config)
    };
    let mut conn = client(usize::MAX).unwrap();
    for _ in 0..100 {
        calls.iter().for_each(|call| call(&mut conn).unwrap());
        run(&mut conn, &[]);
        assert_eq!(swallow(&mut conn, &mut to(Role::Client, 0x89, b"?")), None);
    }
    conn.close(1000, "").unwrap();
    let frames = read_frames(&drain(&mut conn));
    let used: BTreeSet<_> =
        frames.iter().map(|frame| frame.key.expect("the frame is masked")).collect();
    assert_eq!(used.len(), frames.len(), "a key is used twice");
    let given: BTreeSet<_> = KEYS.take().0.into_iter().collect();
    assert!(used.is_subset(&given), "a key is not from the source");
    // If the source fails, the call is an error, and nothing is queued.
    assert_eq!(client(0).err(), Some(UsageError::Entropy(EntropyError)));
    for call in calls.iter().take(6) {
        let mut conn = client(1).unwrap();
        assert_eq!(call(&mut conn), Err(UsageError::Entropy(EntropyError)));
        assert_eq!(conn.outgoing_len(), 0);
    }
}
