//! The server's opening handshake on a whole connection: when the request is reported, what happens to the bytes after
//! it, how a decision or a refusal ends. Unit tests in `src/handshake` test which heads are valid.

#[path = "util/alloc.rs"]
mod alloc;
mod util;

use alloc::{Counting, measure};
use util::*;
use websocket_proto::handshake::HttpVersion;
use websocket_proto::{
    Accept, CloseCause, Closed, Config, Connection, Delivery, Event, HandshakeError, MessageKind,
    OriginPolicy, PreparedMessage, ProtocolError, Response, Role, State, Timestamp, UsageError,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HEAD: &str = "GET /chat?room=1 HTTP/1.1\r\n\
    Host: example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\r\n";

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// The head with `line` in place of the line that starts with `begin`. An empty `line` removes it.
fn with(begin: &str, line: &str) -> String {
    let lines = HEAD.trim_end().split("\r\n");
    assert!(lines.clone().any(|old| old.starts_with(begin)), "{begin}");
    let lines = lines.map(|old| if old.starts_with(begin) { line } else { old });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\r\n") + "\r\n\r\n"
}

/// The head with more lines.
fn plus(lines: &str) -> String {
    HEAD.trim_end().to_string() + "\r\n" + lines + "\r\n\r\n"
}

fn upgrade() -> Seen {
    Seen::Upgrade("/chat?room=1".to_string())
}

fn refused(error: HandshakeError) -> Seen {
    Seen::failed(error.into())
}

/// Masked frames of a client (330 bytes), their events with `Delivery::Messages`, and the frames that answer them.
fn frames_behind() -> (Vec<u8>, Vec<Seen>, Vec<u8>) {
    let binary = [7; 256];
    let frames: [(u8, &[u8]); 6] =
        [(0x81, b"one"), (0x89, b"p"), (0x01, b"tw"), (0x89, b"q"), (0x80, b"o"), (0x82, &binary)];
    let seen = vec![
        Seen::Text("one".to_string()),
        Seen::Ping(b"p".to_vec()),
        Seen::Ping(b"q".to_vec()),
        Seen::Text("two".to_string()),
        Seen::Binary(binary.to_vec()),
    ];
    let bytes = frames.iter().flat_map(|(first, payload)| to(Role::Server, *first, payload));
    (bytes.collect(), seen, [frame(0x8a, b"p", None), frame(0x8a, b"q", None)].concat())
}

/// When the caller decides about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// As soon as `receive` has returned the request.
    InTheLoop,
    /// After the piece that completed the request is used up.
    AfterThePiece,
    AfterAllPieces,
    /// After all pieces. The transport ends before the next event is polled.
    BeforeEof,
    AfterEof,
}

impl When {
    fn has_eof(self) -> bool {
        matches!(self, When::BeforeEof | When::AfterEof)
    }
}

const WHENS: [When; 5] =
    [When::InTheLoop, When::AfterThePiece, When::AfterAllPieces, When::BeforeEof, When::AfterEof];

/// Asserts that a connection that waits for a decision wants nothing, and that nothing is outgoing.
fn assert_undecided(conn: &mut Connection) {
    assert_eq!(conn.state(), State::Connecting);
    assert!(!conn.wants_read() && !conn.wants_write() && !conn.is_writable());
    assert!(!conn.wants_shutdown() && !conn.is_finished());
    assert_eq!(conn.send("x"), Err(UsageError::NotOpen(State::Connecting)));
    assert_eq!(conn.outgoing_len(), 0);
}

/// Feeds `pieces` to a server, calls `decide` at the given time, and returns all events.
fn serve(
    conn: &mut Connection,
    pieces: &[&[u8]],
    when: When,
    decide: impl Fn(&mut Connection),
) -> Vec<Seen> {
    let mut log = Log::default();
    let mut undecided = false;
    for piece in pieces {
        let mut copy = piece.to_vec();
        let mut input = &mut copy[..];
        while let Some(event) = conn.receive(&mut input) {
            let is_request = matches!(event, Event::UpgradeRequest(_) | Event::PlainRequest(_));
            log.push(event);
            if is_request {
                assert_undecided(conn);
                undecided = true;
            }
            if undecided && when == When::InTheLoop {
                decide(conn);
                undecided = false;
            }
        }
        assert!(input.is_empty(), "receive returned None but has not used up the input");
        if undecided && when == When::AfterThePiece {
            decide(conn);
            undecided = false;
        }
    }
    if when == When::AfterEof {
        conn.receive_eof();
    }
    if undecided {
        decide(conn);
    }
    if when == When::BeforeEof {
        conn.receive_eof();
    }
    while let Some(event) = conn.poll_event() {
        log.push(event);
    }
    log.seen
}

fn accept(conn: &mut Connection) {
    conn.accept(&Accept::default()).expect("the request is pending");
}

/// Asserts the behaviour after the last byte is written: shut down the write side, drop all input until the end.
fn assert_drains(conn: &mut Connection) {
    assert_eq!((conn.state(), conn.outgoing_len()), (State::Closed, 0));
    assert!(conn.wants_shutdown() && conn.wants_read() && !conn.is_finished());
    let mut log = Log::default();
    feed(conn, HEAD.as_bytes(), &mut log);
    feed(conn, &to(Role::Server, 0x88, b"\x03\xe8"), &mut log);
    assert_eq!((log.seen, conn.outgoing_len()), (vec![], 0), "input after the end is parsed");
    assert_all_calls_fail(conn);
    conn.receive_eof();
    assert!(conn.poll_event().is_none(), "the end is reported twice");
    assert!(conn.is_finished() && conn.wants_shutdown() && !conn.wants_read());
}

/// Asserts that no request is pending: both answers are errors and change nothing.
fn assert_all_calls_fail(conn: &mut Connection) {
    let (len, state) = (conn.outgoing_len(), conn.state());
    assert_eq!(conn.accept(&Accept::default()), Err(UsageError::NoRequestPending));
    assert_eq!(conn.respond(404), Err(UsageError::NoRequestPending));
    assert_eq!((conn.outgoing_len(), conn.state()), (len, state));
}

#[test]
fn request_is_reported_with_its_last_byte_and_no_later_byte_is_consumed() {
    // rfc6455-4.2.1-01, rfc6455-4.2.2-01, rfc6455-4.2.2-23
    let (behind, ..) = frames_behind();
    for (head, is_upgrade) in [
        (HEAD, true),
        ("GET /x HTTP/1.1\r\n\r\n", false),
        ("HEAD * HTTP/1.1\r\nA: b\r\n\r\n", false),
    ] {
        for at in 0..head.len() {
            let mut conn = Connection::server(config());
            let mut first = head.as_bytes()[..at].to_vec();
            let mut input = &mut first[..];
            assert!(conn.receive(&mut input).is_none() && input.is_empty(), "{head:?} at {at}");
            assert!(conn.wants_read() && !conn.wants_write());
            assert_all_calls_fail(&mut conn);
            let mut second = [&head.as_bytes()[at..], &behind].concat();
            let mut input = &mut second[..];
            match conn.receive(&mut input) {
                Some(Event::UpgradeRequest(request)) => {
                    assert_eq!((request.as_bytes(), is_upgrade), (head.as_bytes(), true));
                    assert!(request.subprotocols().eq(["chat", "superchat"]));
                }
                Some(Event::PlainRequest(request)) => {
                    assert_eq!((request.as_bytes(), is_upgrade), (head.as_bytes(), false));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(input, behind, "{head:?} at {at}");
            assert_undecided(&mut conn);
        }
    }
}

#[test]
fn frames_after_the_request_are_delivered_once_after_it_is_accepted() {
    // rfc6455-4.2.2-22, rfc6455-4.2.2-23, rfc6455-6.2-01
    let (behind, messages, answers) = frames_behind();
    let bytes = [HEAD.as_bytes(), &behind].concat();
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        for when in WHENS {
            let mut expected = [vec![upgrade()], messages.clone()].concat();
            if delivery == Delivery::Chunks {
                for seen in &mut expected {
                    *seen = match std::mem::replace(seen, Seen::Open) {
                        Seen::Text(text) => Seen::Chunked(MessageKind::Text, text.into_bytes()),
                        Seen::Binary(bytes) => Seen::Chunked(MessageKind::Binary, bytes),
                        other => other,
                    };
                }
            }
            if when.has_eof() {
                expected.push(Seen::lost(CloseCause::TransportEnded));
            }
            for pieces in cuts(&bytes) {
                let config = builder().delivery(delivery).build().unwrap();
                let mut conn = Connection::server(config);
                let seen = serve(&mut conn, &pieces, when, accept);
                assert_eq!(seen, expected, "{delivery:?} {when:?} {}", pieces[0].len());
                let output = drain(&mut conn);
                if when.has_eof() {
                    // The transport ended without a Close, so nothing is written.
                    assert!(output.is_empty() && conn.is_finished());
                } else {
                    assert_eq!(output, [ACCEPTED.as_bytes(), &answers].concat());
                    assert_eq!(conn.state(), State::Open);
                }
            }
        }
    }
}

#[test]
fn poll_event_and_receive_return_buffered_events_in_order() {
    let (behind, messages, _) = frames_behind();
    for polls in 0..=messages.len() {
        let mut conn = Connection::server(config());
        let mut log = Log::default();
        feed(&mut conn, &[HEAD.as_bytes(), &behind].concat(), &mut log);
        accept(&mut conn);
        for _ in 0..polls {
            log.push(conn.poll_event().expect("an event is buffered"));
        }
        // Bytes that arrive later come after the buffered ones.
        feed(&mut conn, &to(Role::Server, 0x81, b"later"), &mut log);
        assert!(conn.poll_event().is_none());
        let later = Seen::Text("later".to_string());
        assert_eq!(log.seen, [vec![upgrade()], messages.clone(), vec![later]].concat());
    }
}

#[test]
fn close_after_the_request_is_answered_even_if_the_transport_has_ended() {
    // rfc6455-7.1.4-01, rfc6455-5.5.1-09
    let close = to(Role::Server, 0x88, b"\x0f\xa0bye");
    let bytes = [HEAD.as_bytes(), &to(Role::Server, 0x81, b"one"), &close, b"GET"].concat();
    for when in WHENS {
        for pieces in cuts(&bytes) {
            let mut conn = Connection::server(config());
            let seen = serve(&mut conn, &pieces, when, accept);
            let closed = Seen::closed(4000, "bye", CloseCause::Peer);
            assert_eq!(seen, [upgrade(), Seen::Text("one".to_string()), closed], "{when:?}");
            let answer = frame(0x88, b"\x0f\xa0", None);
            assert_eq!(drain(&mut conn), [ACCEPTED.as_bytes(), &answer].concat());
            assert!(conn.is_finished());
        }
    }
}

#[test]
fn offered_extensions_are_declined_and_not_used() {
    // rfc6455-4.2.2-14, rfc6455-4.2.2-15, rfc6455-5.8-01, rfc6455-5.8-02, rfc6455-9-03
    let head = plus("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x");
    let frames = [to(Role::Server, 0x81, b"one"), to(Role::Server, 0xc1, b"two")].concat();
    for pieces in cuts(&[head.as_bytes(), &frames].concat()) {
        let mut conn = Connection::server(config());
        let seen = serve(&mut conn, &pieces, When::InTheLoop, |conn| {
            let other = Accept::new().header("Sec-WebSocket-Extensions", "x");
            assert_eq!(conn.accept(&other), Err(UsageError::ReservedHeader));
            accept(conn);
        });
        let error = ProtocolError::ReservedBits { first_byte: 0xc1 };
        assert_eq!(seen, [upgrade(), Seen::Text("one".to_string()), Seen::failed(error)]);
        let close = frame(0x88, b"\x03\xea", None);
        assert_eq!(drain(&mut conn), [ACCEPTED.as_bytes(), &close].concat());
    }
}

#[test]
fn http_after_an_accepted_request_is_parsed_as_frames() {
    // rfc6455-4.2.2-23: frames follow the request; as the first byte of a frame, `G` has reserved bits
    let bytes = [HEAD, HEAD].concat();
    for when in [When::InTheLoop, When::AfterThePiece, When::AfterAllPieces] {
        for pieces in cuts(bytes.as_bytes()) {
            let mut conn = Connection::server(config());
            let seen = serve(&mut conn, &pieces, when, accept);
            let error = ProtocolError::ReservedBits { first_byte: b'G' };
            assert_eq!(seen, [upgrade(), Seen::failed(error)], "{when:?}");
            let close = frame(0x88, b"\x03\xea", None);
            assert_eq!(drain(&mut conn), [ACCEPTED.as_bytes(), &close].concat());
        }
    }
}

#[test]
fn bytes_after_an_undecided_request_are_bounded() {
    // rfc6455-10.4-01
    const LIMIT: usize = 200;
    let bounded = |limit| {
        let config = builder().max_early_bytes(limit).build().unwrap();
        Connection::server(config)
    };
    for len in [LIMIT - 1, LIMIT, LIMIT + 1] {
        let payload = vec![1; len - 8];
        let behind = to(Role::Server, 0x82, &payload);
        assert_eq!(behind.len(), len);
        let bytes = [HEAD.as_bytes(), &behind].concat();
        for pieces in cuts(&bytes) {
            let binary = || vec![upgrade(), Seen::Binary(payload.clone())];
            // If the caller decides at once, no bytes are buffered.
            assert_eq!(serve(&mut bounded(0), &pieces, When::InTheLoop, accept), binary());
            let mut conn = bounded(LIMIT);
            if len <= LIMIT {
                assert_eq!(serve(&mut conn, &pieces, When::AfterAllPieces, accept), binary());
                assert_eq!(drain(&mut conn), ACCEPTED.as_bytes());
            } else {
                let seen = serve(&mut conn, &pieces, When::AfterAllPieces, |conn| {
                    let accepted = conn.accept(&Accept::default());
                    assert_eq!(accepted, Err(UsageError::NoRequestPending));
                });
                let error = HandshakeError::TooManyEarlyBytes { limit: LIMIT };
                assert_eq!(seen, [upgrade(), refused(error)]);
                assert_eq!(drain(&mut conn), answer("400 Bad Request").into_bytes());
                assert_drains(&mut conn);
            }
        }
    }
}

#[test]
fn flood_after_an_undecided_request_is_not_stored() {
    let config = builder().max_early_bytes(1000).build().unwrap();
    let mut conn = Connection::server(config);
    feed(&mut conn, HEAD.as_bytes(), &mut Log::default());
    let mut flood = vec![0x55; 1 << 20];
    let ((), heap) = measure(|| {
        for piece in flood.chunks_mut(700) {
            let mut input = piece;
            while conn.receive(&mut input).is_some() {}
        }
    });
    assert!(heap.peak < 4096, "{heap:?}");
    assert!(drain(&mut conn).starts_with(b"HTTP/1.1 400 "));
    assert_drains(&mut conn);
}

#[test]
fn rejected_request_ends_with_its_response_and_later_bytes_are_dropped() {
    // rfc6455-4.2.2-03, rfc6455-4.2.2-04, rfc6455-4.2.2-06, rfc6455-4.2.2-08, rfc6455-7.2.2-01
    let (behind, ..) = frames_behind();
    for (response, text) in [
        (Response::from(403), FORBIDDEN.to_string()),
        (Response::from(404), answer("404 Not Found")),
        (
            Response::new(401).header("WWW-Authenticate", "Basic realm=\"x\"").body("log in"),
            "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 6\r\n\
             WWW-Authenticate: Basic realm=\"x\"\r\n\r\nlog in"
                .to_string(),
        ),
        (
            Response::new(307).header("Location", "wss://other.example/chat"),
            "HTTP/1.1 307 Temporary Redirect\r\nConnection: close\r\nContent-Length: 0\r\n\
             Location: wss://other.example/chat\r\n\r\n"
                .to_string(),
        ),
    ] {
        for behind in [&[][..], &behind, HEAD.as_bytes(), b"GET / HTTP/1.1\r\n\r\n"] {
            let bytes = [HEAD.as_bytes(), behind].concat();
            for when in WHENS {
                for pieces in cuts(&bytes) {
                    let mut conn = Connection::server(config());
                    let seen = serve(&mut conn, &pieces, when, |conn| {
                        conn.respond(response.clone()).expect("the request is pending");
                    });
                    assert_eq!(seen, [upgrade(), Seen::lost(CloseCause::Rejected)], "{when:?}");
                    assert!(
                        !conn.wants_shutdown() && !conn.is_finished(),
                        "the response is not written yet"
                    );
                    assert_eq!(drain(&mut conn), text.as_bytes());
                    if when.has_eof() {
                        assert!(conn.is_finished() && conn.wants_shutdown());
                    } else {
                        assert_drains(&mut conn);
                    }
                }
            }
        }
    }
}

#[test]
fn answers_without_a_request_are_refused_and_queue_nothing() {
    let after = |bytes: &str, decide: fn(&mut Connection)| {
        let mut conn = Connection::server(config());
        serve(&mut conn, &[bytes.as_bytes()], When::AfterAllPieces, decide);
        conn
    };
    for mut conn in [
        Connection::server(config()),
        after(&HEAD[..HEAD.len() - 1], |_| ()),
        after(HEAD, accept),
        after(HEAD, |conn| conn.respond(403).expect("the request is pending")),
        after("GET / HTTP/1.1\r\n\r\n", |conn| conn.respond(404).expect("the request is pending")),
        after(HEAD, |conn| conn.close(1000, "").expect("1000 can be sent")),
        after(HEAD, Connection::abort),
        open(Role::Server),
        open(Role::Client),
    ] {
        assert_all_calls_fail(&mut conn);
        drain(&mut conn);
        assert_all_calls_fail(&mut conn);
    }
    // A plain request cannot be answered by `accept`.
    let mut conn = after("GET / HTTP/1.1\r\n\r\n", |_| ());
    assert_eq!(conn.accept(&Accept::default()), Err(UsageError::NoRequestPending));
    assert_undecided(&mut conn);
}

#[test]
fn answer_that_cannot_be_sent_leaves_the_request_pending() {
    // rfc6455-4.2.2-09, rfc6455-4.2.2-11, rfc6455-4.2.2-12, rfc7936-2-01
    use UsageError as E;
    let mut conn = Connection::server(config());
    let mut log = Log::default();
    feed(&mut conn, &[HEAD.as_bytes(), &to(Role::Server, 0x81, b"one")].concat(), &mut log);
    for name in ["", "Chat", "other", "chat, superchat", " chat", "chat\r\nx: y"] {
        let accept = Accept::new().subprotocol(name);
        assert_eq!(conn.accept(&accept), Err(E::SubprotocolNotOffered), "{name:?}");
        assert_undecided(&mut conn);
    }
    for (name, value, error) in [
        ("a b", "c", E::InvalidHeaderName),
        ("a\r\nb", "c", E::InvalidHeaderName),
        ("a", "b\r\nc: d", E::InvalidHeaderValue),
        ("a", "b\0", E::InvalidHeaderValue),
        ("Connection", "close", E::ReservedHeader),
        ("Sec-WebSocket-Accept", "x", E::ReservedHeader),
    ] {
        assert_eq!(conn.accept(&Accept::new().header(name, value)), Err(error), "{name:?}");
        assert_eq!(conn.respond(Response::new(403).header(name, value)), Err(error), "{name:?}");
        assert_undecided(&mut conn);
    }
    for status in [0, 100, 101, 199, 600] {
        assert_eq!(conn.respond(status), Err(E::InvalidStatus(status)));
        assert_undecided(&mut conn);
    }
    conn.accept(&Accept::new().subprotocol("superchat").header("Set-Cookie", "a=b"))
        .expect("the request is still pending");
    feed(&mut conn, &to(Role::Server, 0x81, b"two"), &mut log);
    let text = |text: &str| Seen::Text(text.to_string());
    assert_eq!(log.seen, [upgrade(), text("one"), text("two")], "events are lost or out of order");
    let expected = ACCEPTED.trim_end().to_string()
        + "\r\nSec-WebSocket-Protocol: superchat\r\nSet-Cookie: a=b\r\n\r\n";
    assert_eq!(drain(&mut conn), expected.as_bytes());
}

#[test]
fn first_message_goes_out_with_the_101() {
    // rfc6455-4.2.2-16, rfc6455-4.2.2-17, rfc6455-4.2.2-22
    let mut conn = Connection::server(config());
    let mut copy = HEAD.as_bytes().to_vec();
    let mut input = &mut copy[..];
    let event = conn.receive(&mut input);
    assert!(matches!(event, Some(Event::UpgradeRequest(_))));
    accept(&mut conn);
    assert_eq!((conn.state(), conn.is_writable(), conn.wants_read()), (State::Open, true, true));
    conn.send("hello").expect("the connection is open");
    conn.send_prepared(&PreparedMessage::new("there")).expect("the connection is open");
    assert_eq!(conn.buffered_amount(), 10, "only messages count as buffered");
    let expected =
        [ACCEPTED.as_bytes(), &frame(0x81, b"hello", None), &frame(0x81, b"there", None)].concat();
    assert_eq!(conn.outgoing(), expected, "the response and both messages are one piece");
    // The same byte by byte.
    let mut output = Vec::new();
    while conn.wants_write() {
        output.push(conn.outgoing()[0]);
        conn.advance(1);
        let left = expected.len() - output.len();
        assert_eq!(
            conn.buffered_amount(),
            left.min(5) as u64 + left.saturating_sub(7).min(5) as u64
        );
    }
    assert_eq!(output, expected);
}

/// A response without a body, as the connection writes it.
fn answer(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

/// Asserts that a server answers `request` with `answer`: in every cut, and with or without a frame after it.
#[track_caller]
fn assert_refused(config: &Config, request: &[u8], error: &HandshakeError, answer: &str) {
    let with_behind = [request, &to(Role::Server, 0x81, b"one")].concat();
    for bytes in [request, &with_behind] {
        for pieces in cuts(bytes) {
            let mut conn = Connection::server(config.clone());
            let seen = serve(&mut conn, &pieces, When::InTheLoop, accept);
            assert_eq!(seen, [refused(error.clone())], "{}", String::from_utf8_lossy(request));
            assert!(!conn.wants_shutdown(), "shutdown before the response is written");
            assert_eq!(String::from_utf8_lossy(&drain(&mut conn)), answer);
            assert_drains(&mut conn);
        }
    }
}

#[test]
fn every_refusal_is_one_response_and_one_end() {
    // rfc6455-4.2.1-01, rfc6455-4.2.1-03, rfc6455-4.2.1-04, rfc6455-4.2.1-06, rfc6455-4.2.1-08, rfc6455-4.2.1-09,
    // rfc6455-4.2.1-10, rfc6455-4.2.2-07, rfc6455-4.3-02, rfc6455-4.4-01, rfc6455-7.2.2-01, rfc6455-9.1-01,
    // rfc6455-10.7-01, rfc6455-10.7-02, rfc6455-10.7-04, rfc6455-11.3.1-01, rfc6455-11.3.5-02
    use HandshakeError as E;
    let key = |value: &str| with("Sec-WebSocket-Key", &format!("Sec-WebSocket-Key: {value}"));
    let version = |value: &str| with("Sec-WebSocket-Version", value);
    let not_http = |line: &str| line.to_string() + "\r\nHost: h\r\n\r\n";
    let bad_requests = [
        ("\x16\x03\x01\x02\x00\x01".to_string(), E::NotHttp { byte: 0x16 }),
        (format!("\r\n\r\n{HEAD}"), E::NotHttp { byte: b'\r' }),
        (not_http("GET /chat"), E::RequestLine),
        (not_http("GET  /chat HTTP/1.1"), E::RequestLine),
        (with("Host", "Host: h\nX: y"), E::BareLineFeed { at: 34 }),
        (with("Host", "Host : h"), E::InvalidHeaderName),
        (with("Host", "Host: h\r\n folded"), E::InvalidHeaderName),
        (plus("H\u{e9}: x"), E::InvalidHeaderName),
        (with("Host", "Host: h\0"), E::InvalidHeaderValue),
        (plus("Sec-WebSocket-Version: 13"), E::DuplicateVersion),
        (with("Connection", ""), E::ConnectionNotUpgrade),
        (with("Connection", "Connection: Upgradex"), E::ConnectionNotUpgrade),
        (with("GET", "GET * HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET example.com:80 HTTP/1.1"), E::InvalidTarget),
        (with("Host", ""), E::MissingHost),
        (plus("Host: example.com"), E::DuplicateHost),
        (with("Host", "Host: [::1"), E::InvalidHost),
        (with("Sec-WebSocket-Key", ""), E::MissingKey),
        (plus("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), E::DuplicateKey),
        (key(""), E::InvalidKey { len: 0 }),
        (key("AQIDBAUGBwgJCgsMDQ4P"), E::InvalidKey { len: 20 }),
        (plus("Content-Length: 5"), E::Body),
        (plus("Transfer-Encoding: chunked"), E::Body),
        (plus("Sec-WebSocket-Protocol: a/b"), E::InvalidSubprotocol),
        (plus("Sec-WebSocket-Protocol: chat"), E::DuplicateSubprotocol { name: "chat".into() }),
        (plus("Sec-WebSocket-Extensions: a;;"), E::InvalidExtensions),
    ];
    for (request, error) in bad_requests {
        assert_refused(&config(), request.as_bytes(), &error, &answer("400 Bad Request"));
    }
    let not_allowed = "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nContent-Length: 0\r\n\
        Allow: GET\r\n\r\n";
    for method in ["POST", "HEAD", "get"] {
        let request = with("GET", &format!("{method} /chat HTTP/1.1"));
        assert_refused(&config(), request.as_bytes(), &E::Method, not_allowed);
    }
    let upgrade_required = "HTTP/1.1 426 Upgrade Required\r\nConnection: close, Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n";
    for (request, seen) in [
        (version(""), None),
        (version("Sec-WebSocket-Version: 13, 8"), None),
        (version("Sec-WebSocket-Version: 8"), Some(8)),
        (version("Sec-WebSocket-Version: 14"), Some(14)),
    ] {
        assert_refused(&config(), request.as_bytes(), &E::Version { seen }, upgrade_required);
    }
    for (request, major, minor) in [
        (with("GET", "GET /chat HTTP/1.0"), 1, 0),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_string(), 2, 0),
    ] {
        let answer = answer("505 HTTP Version Not Supported");
        assert_refused(&config(), request.as_bytes(), &E::HttpVersion { major, minor }, &answer);
    }
}

#[test]
fn heads_over_a_limit_are_refused_and_heads_at_it_are_not() {
    // rfc6455-10.4-01, rfc6455-10.7-04
    use HandshakeError as E;
    let too_large = answer("431 Request Header Fields Too Large");
    let limit = HEAD.len();
    let config = builder().max_head_bytes(limit).max_headers(6).build().unwrap();
    for pieces in cuts(HEAD.as_bytes()) {
        let mut conn = Connection::server(config.clone());
        assert_eq!(serve(&mut conn, &pieces, When::InTheLoop, accept), [upgrade()]);
    }
    let config = builder().max_head_bytes(limit - 1).build().unwrap();
    let error = E::HeadTooLong { limit: limit - 1 };
    assert_refused(&config, HEAD.as_bytes(), &error, &too_large);
    let config = builder().max_head_bytes(20).build().unwrap();
    let error = E::FirstLineTooLong { limit: 20 };
    assert_refused(&config, HEAD.as_bytes(), &error, &answer("414 URI Too Long"));
    let config = builder().max_head_bytes(limit).max_headers(5).build().unwrap();
    assert_refused(&config, HEAD.as_bytes(), &E::TooManyHeaders { limit: 5 }, &too_large);
}

#[test]
fn plain_requests_are_answered() {
    let body = || Response::new(200).header("Content-Type", "text/plain").body("hello");
    let start = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\n";
    for (request, target, response, expected) in [
        ("GET /x HTTP/1.1\r\nHost: h\r\n\r\n", "/x", body(), start.to_string() + "hello"),
        // RFC 9110 9.3.2: the response to HEAD has the Content-Length but no body.
        ("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n", "/x", body(), start.to_string()),
        ("OPTIONS * HTTP/1.1\r\n\r\n", "*", Response::new(404), answer("404 Not Found")),
        (
            "GET /y HTTP/1.1\r\nUpgrade: websocketx\r\nConnection: Upgrade\r\n\r\n",
            "/y",
            Response::new(404),
            answer("404 Not Found"),
        ),
    ] {
        for behind in ["", "body", "GET / HTTP/1.1\r\n\r\n"] {
            let bytes = [request, behind].concat();
            for when in WHENS {
                for pieces in cuts(bytes.as_bytes()) {
                    let mut conn = Connection::server(config());
                    let seen = serve(&mut conn, &pieces, when, |conn| {
                        conn.respond(response.clone()).expect("the request is pending");
                    });
                    let plain = Seen::Plain(target.to_string());
                    assert_eq!(seen, [plain, Seen::lost(CloseCause::Answered)], "{request}");
                    assert_eq!(String::from_utf8_lossy(&drain(&mut conn)), expected);
                    if when.has_eof() {
                        assert!(conn.is_finished());
                    } else {
                        assert_drains(&mut conn);
                    }
                }
            }
        }
    }
}

#[test]
fn answer_to_a_plain_request_that_cannot_be_sent_leaves_it_pending() {
    let mut conn = Connection::server(config());
    feed(&mut conn, b"HEAD / HTTP/1.1\r\n\r\n", &mut Log::default());
    assert_eq!(conn.respond(101), Err(UsageError::InvalidStatus(101)));
    let response = Response::new(200).header("Content-Length", "9");
    assert_eq!(conn.respond(response), Err(UsageError::ReservedHeader));
    assert_undecided(&mut conn);
    conn.respond(Response::new(200).body("x")).expect("the request is still pending");
    assert!(drain(&mut conn).ends_with(b"Content-Length: 1\r\n\r\n"));
}

#[test]
fn bytes_of_another_protocol_are_handed_over_untouched() {
    for bytes in [
        &b"POST /rpc HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n\x00\xff{\r\n\r\n}"[..],
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nPRI * HTTP/2.0\r\n",
    ] {
        for pieces in cuts(bytes) {
            let mut conn = Connection::server(config());
            let mut taken = None;
            let mut rest = Vec::new();
            for piece in pieces {
                let mut copy = piece.to_vec();
                let mut input = &mut copy[..];
                if taken.is_none() {
                    match conn.receive(&mut input) {
                        Some(Event::PlainRequest(request)) => taken = Some(request.into_bytes()),
                        None => assert!(input.is_empty()),
                        other => panic!("{other:?}"),
                    }
                }
                rest.extend_from_slice(input);
            }
            assert_eq!([taken.expect("a plain request"), rest].concat(), bytes);
            assert!(!conn.wants_write(), "bytes are queued for a handed-over connection");
        }
    }
}

#[test]
fn pages_of_other_origins_are_rejected() {
    // rfc6455-4.2.2-05, rfc6455-10.2-01, rfc6455-10.2-02
    let policy = OriginPolicy::new(["https://example.com"]).expect("a valid origin");
    for (request, is_allowed) in [
        (plus("Origin: https://example.com"), true),
        (plus("Origin: https://example.com.evil"), false),
        (plus("Origin: http://example.com"), false),
        (plus("Origin: null"), false),
        (plus("Origin: https://example.com\r\nOrigin: https://example.com"), false),
        (HEAD.to_string(), false),
    ] {
        for pieces in cuts(request.as_bytes()) {
            let mut conn = Connection::server(config());
            for piece in pieces {
                let mut copy = piece.to_vec();
                let mut input = &mut copy[..];
                while let Some(event) = conn.receive(&mut input) {
                    if let Event::UpgradeRequest(request) = event {
                        match policy.check(&request) {
                            Ok(()) => conn.accept(&Accept::default()),
                            Err(response) => conn.respond(response),
                        }
                        .expect("the request is pending");
                    }
                }
            }
            let expected = if is_allowed { ACCEPTED } else { FORBIDDEN };
            assert_eq!(String::from_utf8_lossy(&drain(&mut conn)), expected, "{request}");
        }
    }
}

#[test]
fn end_of_the_transport_within_the_request_sends_no_response() {
    // rfc6455-7.1.4-02, rfc6455-7.1.5-03
    for at in 0..HEAD.len() {
        let mut conn = Connection::server(config());
        let seen = serve(&mut conn, &[&HEAD.as_bytes()[..at]], When::AfterEof, |_| unreachable!());
        assert_eq!(seen, [Seen::lost(CloseCause::TransportEnded)], "at {at}");
        assert!(conn.is_finished() && conn.wants_shutdown() && !conn.wants_write());
        assert_all_calls_fail(&mut conn);
    }
    // While the caller decides, the end of the transport changes nothing.
    let mut conn = Connection::server(config());
    feed(&mut conn, HEAD.as_bytes(), &mut Log::default());
    conn.receive_eof();
    assert!(conn.poll_event().is_none());
    assert_undecided(&mut conn);
}

#[test]
fn close_before_the_decision_writes_at_most_a_503() {
    // rfc6455-7.1.4-02, whatwg-close-05
    type GiveUp = fn(&mut Connection);
    let give_up: [(bool, GiveUp); 3] = [
        (true, Connection::abort),
        (false, Connection::close_without_code),
        (false, |conn| conn.close(1001, "bye").expect("1001 can be sent")),
    ];
    for bytes in ["", &HEAD[..40], HEAD, "GET / HTTP/1.1\r\n\r\n", &[HEAD, "behind"].concat()] {
        for (aborts, give_up) in give_up {
            let mut conn = Connection::server(config());
            feed(&mut conn, bytes.as_bytes(), &mut Log::default());
            give_up(&mut conn);
            assert_eq!(conn.state(), State::Closed);
            let outcome = run(&mut conn, &[HEAD.as_bytes()]);
            assert_eq!(outcome.seen, [Seen::lost(CloseCause::Aborted)], "{bytes:?}");
            // A client that waits for the decision gets a 503, unless the caller aborts.
            let waits = !aborts && bytes.contains("\r\n\r\n");
            let output = String::from_utf8(outcome.output).unwrap();
            assert_eq!(output.starts_with("HTTP/1.1 503 "), waits, "{bytes:?}: {output}");
            assert_eq!((output.is_empty(), conn.is_finished()), (!waits, !waits));
            assert!(conn.wants_shutdown());
            conn.receive_eof();
            assert!(conn.is_finished());
            give_up(&mut conn);
            assert!(conn.poll_event().is_none(), "the end is reported twice");
            assert_all_calls_fail(&mut conn);
        }
    }
}

#[test]
fn head_in_single_bytes_costs_few_allocations_and_bounded_memory() {
    // rfc6455-10.4-01
    let cost = |len: usize| {
        let filler = HEAD.len() + "X: \r\n".len();
        let mut bytes = plus(&format!("X: {}", "x".repeat(len - filler))).into_bytes();
        assert_eq!(bytes.len(), len);
        let config = builder().max_head_bytes(len).build().unwrap();
        let mut conn = Connection::server(config);
        let (shown, heap) = measure(|| {
            let mut shown = 0;
            for byte in bytes.chunks_mut(1) {
                let mut input = byte;
                if let Some(event) = conn.receive(&mut input) {
                    assert!(matches!(event, Event::UpgradeRequest(_)));
                    shown += 1;
                }
            }
            shown
        });
        assert_eq!(shown, 1);
        assert!(heap.peak <= 2 * len as i64 + 1024, "{len}: {heap:?}");
        assert!(heap.kept < 1024, "the memory of the head is not freed: {heap:?}");
        heap.allocations
    };
    // The buffer doubles, so sixteen times the bytes need four more allocations.
    let (short, long) = (cost(1 << 10), cost(1 << 14));
    assert!(long <= short + 4, "{short} allocations, then {long}");
}

#[test]
fn header_floods_are_refused_in_bounded_memory() {
    // rfc6455-10.4-01, rfc6455-10.7-04
    const LIMIT: usize = 4096;
    let many_headers = "GET / HTTP/1.1\r\n".to_string() + &"a: b\r\n".repeat(1 << 15);
    let long_header = "GET / HTTP/1.1\r\na: ".to_string() + &"x".repeat(1 << 18);
    let long_line = "GET /".to_string() + &"x".repeat(1 << 18);
    let no_line = "G".repeat(1 << 18);
    let few_bytes = "GET / HTTP/1.1\r\n".to_string() + &"a:\r\n".repeat(65) + "\r\n";
    for (flood, status) in [
        (&many_headers, "431"),
        (&long_header, "431"),
        (&long_line, "414"),
        (&no_line, "414"),
        (&few_bytes, "431"),
    ] {
        for (first, size) in [(0, 1), (0, 1460), (0, usize::MAX), (9, usize::MAX)] {
            let config = builder().max_head_bytes(LIMIT).build().unwrap();
            let mut conn = Connection::server(config);
            let mut bytes = flood.clone().into_bytes();
            let (begin, rest) = bytes.split_at_mut(first);
            let (ends, heap) = measure(|| {
                let mut ends = 0;
                for piece in [begin].into_iter().chain(rest.chunks_mut(size.min(flood.len()))) {
                    let mut input = piece;
                    while let Some(event) = conn.receive(&mut input) {
                        assert!(matches!(event, Event::Closed(_)));
                        ends += 1;
                    }
                }
                ends
            });
            assert_eq!(ends, 1);
            assert!(heap.peak <= 2 * LIMIT as i64 + 1024, "{heap:?}, {first} and then {size}");
            assert!(drain(&mut conn).starts_with(format!("HTTP/1.1 {status} ").as_bytes()));
            assert_drains(&mut conn);
        }
    }
}

#[test]
fn early_frames_are_received_before_the_end_of_the_transport() {
    // rfc6455-7.1.4-01, rfc6455-7.1.5-01
    for eof_first in [false, true] {
        let mut conn = Connection::server(config());
        let (one, close) = (to(Role::Server, 0x81, b"one"), to(Role::Server, 0x88, b"\x03\xe8"));
        let mut log = Log::default();
        feed(&mut conn, &[REQUEST, &one, &close].concat(), &mut log);
        conn.accept(&Accept::default()).unwrap();
        if eof_first {
            conn.receive_eof();
        }
        conn.close(1000, "").unwrap();
        conn.receive_eof();
        let seen = run(&mut conn, &[]).seen;
        assert_eq!(seen, [Seen::Text("one".into()), Seen::closed(1000, "", CloseCause::Local)]);
    }
}

/// The events and the output of a server that gets `request` and `behind`; asserts that no cut changes them.
fn served(request: &str, behind: &str, decide: fn(&mut Connection)) -> (Vec<Seen>, String) {
    let bytes = [request, behind].concat();
    let mut outcomes = cuts(bytes.as_bytes()).into_iter().map(|pieces| {
        let mut conn = Connection::server(config());
        let seen = serve(&mut conn, &pieces, When::InTheLoop, decide);
        (seen, String::from_utf8_lossy(&drain(&mut conn)).into_owned())
    });
    let first = outcomes.next().expect("at least one cut");
    assert!(outcomes.all(|outcome| outcome == first), "{request}");
    first
}

#[test]
fn plain_requests_by_http_1_0_are_answered_like_those_by_http_1_1() {
    // rfc9110-6.2-01, rfc9110-7.8-02, rfc9110-10.1.1-01, rfc9110-15.2-01, rfc9112-3.2-02, rfc9112-6.1-01, -02, 9.3-01
    let answered = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n";
    for (line, lines, body) in [
        // HAProxy's health check, nginx's proxy_pass, and headers that they may add.
        ("OPTIONS / HTTP/1.0", "", "ok"),
        ("GET / HTTP/1.0", "Host: backend\r\nConnection: close\r\n", "ok"),
        ("GET / HTTP/1.0", "Connection: keep-alive\r\n", "ok"),
        ("HEAD / HTTP/1.0", "", ""),
        ("POST / HTTP/1.0", "Content-Length: 3\r\n", "ok"),
        ("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n", "ok"),
        ("POST / HTTP/1.0", "Content-Length: 3\r\nExpect: 100-continue\r\n", "ok"),
        ("GET / HTTP/1.0", "Upgrade: h2c\r\nConnection: Upgrade\r\n", "ok"),
        ("GET / HTTP/1.0", "Host: a\r\nHost: b\r\n", "ok"),
    ] {
        for behind in ["", "3\r\nabc", "GET / HTTP/1.0\r\n\r\n"] {
            for version in ["1.0", "1.1"] {
                let request = format!("{}\r\n{lines}\r\n", line.replace("1.0", version));
                let (seen, output) = served(&request, behind, |conn| {
                    conn.respond(Response::new(200).body("ok")).expect("the request is pending");
                });
                assert_eq!(seen, [Seen::Plain("/".into()), Seen::lost(CloseCause::Answered)]);
                assert_eq!(output, format!("{answered}{body}"), "{request}");
            }
        }
    }
}

#[test]
fn version_of_a_plain_request_is_reported() {
    for (text, version) in [("1.0", HttpVersion::Http10), ("1.1", HttpVersion::Http11)] {
        let mut bytes = format!("GET /0 HTTP/{text}\r\nA: 1.1\r\n\r\n").into_bytes();
        let mut conn = Connection::server(config());
        let Some(Event::PlainRequest(request)) = conn.receive(&mut &mut bytes[..]) else {
            panic!("no plain request");
        };
        assert_eq!((request.version(), version.to_string()), (version, format!("HTTP/{text}")));
    }
}

#[test]
fn upgrade_by_http_1_0_is_refused_at_the_end_of_its_head() {
    // rfc6455-4.2.1-01, rfc6455-4.2.1-04, rfc9110-15.2-01
    let refusal = answer("505 HTTP Version Not Supported");
    let error = HandshakeError::HttpVersion { major: 1, minor: 0 };
    for (line, lines) in [
        ("GET /chat HTTP/1.0", ""),
        ("GET /chat HTTP/1.0", "Expect: 100-continue"),
        ("POST * HTTP/1.0", "Host: a"),
    ] {
        let mut request = with("GET", line);
        if !lines.is_empty() {
            request =
                format!("{}{lines}\r\n\r\n", request.trim_end_matches("\r\n").to_owned() + "\r\n");
        }
        assert_refused(&config(), request.as_bytes(), &error, &refusal);
        let mut conn = Connection::server(config());
        let cut = &request.as_bytes()[..request.len() - 1];
        assert!(
            run(&mut conn, &[cut]).seen.is_empty(),
            "refused before the end of the head, which may still be a plain request"
        );
    }
    // Any other version is refused after the request line.
    for (line, major, minor) in
        [("GET / HTTP/0.9", 0, 9), ("GET / HTTP/1.2", 1, 2), ("PRI * HTTP/2.0", 2, 0)]
    {
        let error = HandshakeError::HttpVersion { major, minor };
        assert_refused(&config(), format!("{line}\r\n").as_bytes(), &error, &refusal);
    }
}

#[test]
fn one_empty_line_before_the_request_is_ignored() {
    // rfc9112-2.2-01
    let (behind, messages, answers) = frames_behind();
    for pieces in cuts(&[b"\r\n", HEAD.as_bytes(), &behind].concat()) {
        let mut conn = Connection::server(config());
        let seen = serve(&mut conn, &pieces, When::AfterAllPieces, accept);
        assert_eq!(seen, [vec![upgrade()], messages.clone()].concat());
        assert_eq!(drain(&mut conn), [ACCEPTED.as_bytes(), &answers].concat());
    }
    // `as_bytes` begins with the request line, not with the empty line.
    let mut conn = Connection::server(config());
    assert!(run(&mut conn, &[b"\r", b"\n"]).seen.is_empty());
    let mut bytes = b"GET / HTTP/1.0\r\n\r\n".to_vec();
    match conn.receive(&mut &mut bytes[..]) {
        Some(Event::PlainRequest(request)) => assert!(request.as_bytes().starts_with(b"GET ")),
        other => panic!("{other:?}"),
    }
    // The transport ends after the empty line.
    let mut conn = Connection::server(config());
    let seen = serve(&mut conn, &[b"\r\n"], When::AfterEof, |_| unreachable!());
    assert_eq!(seen, [Seen::lost(CloseCause::TransportEnded)]);
}

#[test]
fn empty_list_of_subprotocols_offers_none() {
    // rfc6455-4.2.1-12, rfc6455-4.2.2-11
    for lines in [
        "Sec-WebSocket-Protocol:",
        "Sec-WebSocket-Protocol: \t",
        "Sec-WebSocket-Protocol: ,, ,",
        "Sec-WebSocket-Protocol:\r\nSec-WebSocket-Protocol: ,",
    ] {
        let (seen, output) = served(&with("Sec-WebSocket-Protocol", lines), "", |conn| {
            let chosen = Accept::new().subprotocol("");
            assert_eq!(conn.accept(&chosen), Err(UsageError::SubprotocolNotOffered));
            accept(conn);
        });
        assert_eq!((&seen[..], &output[..]), (&[upgrade()][..], ACCEPTED), "{lines}");
    }
}

#[test]
fn absolute_uri_without_a_path_names_the_root_and_its_query() {
    // rfc6455-3-04, rfc9110-4.2.3-01, rfc9112-3.2.2-01
    for (target, resource) in [
        ("http://example.com?room=1", "/?room=1"),
        ("HTTP://example.com", "/"),
        ("wss://[::1]:8?a/b?c", "/?a/b?c"),
    ] {
        let request = with("GET", &format!("GET {target} HTTP/1.1"));
        let (seen, output) = served(&request, "", accept);
        assert_eq!((seen, &output[..]), (vec![Seen::Upgrade(resource.into())], ACCEPTED));
    }
}

#[test]
fn expectation_of_an_upgrade_is_passed_over() {
    // rfc9110-10.1.1-02: an upgrade request has no content that the client could withhold
    for lines in ["Expect: 100-continue", "expect: 100-Continue\r\nContent-Length: 0"] {
        let (seen, output) = served(&plus(lines), "", accept);
        assert_eq!((&seen[..], &output[..]), (&[upgrade()][..], ACCEPTED), "{lines}");
    }
}

/// Names that differ from `name` in one character, and in two by the same bit.
fn almost(name: &str) -> Vec<String> {
    let changed = |places: &[usize], bit: u8| {
        let mut bytes = name.as_bytes().to_vec();
        places.iter().for_each(|at| bytes[*at] ^= bit);
        String::from_utf8(bytes).ok()
    };
    let is_token = |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let one = (0..name.len()).flat_map(|at| [1, 2, 4, 8, 16].map(|bit| changed(&[at], bit)));
    let two = (1..name.len()).flat_map(|at| [1, 2, 4, 8].map(|bit| changed(&[0, at], bit)));
    one.chain(two).flatten().filter(is_token).collect()
}

#[test]
fn header_with_almost_the_name_of_one_that_matters_is_any_other() {
    // rfc6455-4.2.1-06, 4.2.1-07, 4.2.1-08, 4.2.1-09, 4.2.1-10, 4.2.1-14
    let seen = |request: &str| run(&mut Connection::server(config()), &[request.as_bytes()]).seen;
    for name in ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"] {
        let line = HEAD.split("\r\n").find(|line| line.starts_with(name)).expect("it is there");
        let value = line.split_once(": ").expect("it has a value").1;
        let missing = seen(&with(name, ""));
        for other in almost(name) {
            assert_eq!(seen(&with(name, &format!("{other}: {value}"))), missing, "{other}");
        }
    }
    for (name, value) in [
        ("Host", "example.com"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Sec-WebSocket-Protocol", "chat"),
        ("Sec-WebSocket-Extensions", "="),
    ] {
        assert_ne!(seen(&plus(&format!("{name}: {value}"))), [upgrade()], "{name}");
        for other in almost(name) {
            assert_eq!(seen(&plus(&format!("{other}: {value}"))), [upgrade()], "{other}");
        }
    }
}

#[test]
fn escapes_of_a_host_have_two_hexadecimal_digits() {
    // rfc6455-4.2.1-06
    for (host, is_good) in [
        ("h%41", true),
        ("%aFx", true),
        ("h%", false),
        ("h%4", false),
        ("h%4g", false),
        ("h%g4", false),
        ("h%zz", false),
        ("h%%41", false),
        ("h%41%4", false),
    ] {
        let request = with("Host", &format!("Host: {host}"));
        let seen = run(&mut Connection::server(config()), &[request.as_bytes()]).seen;
        let expected = if is_good { upgrade() } else { refused(HandshakeError::InvalidHost) };
        assert_eq!(seen, [expected], "{host}");
    }
}

#[test]
fn line_over_the_limit_of_headers_is_not_judged_and_those_before_it_are() {
    // rfc6455-10.4-01
    let config = builder().max_headers(4).build().unwrap();
    for bad in 0..7 {
        let lines: String = (0..7)
            .map(|n| if n == bad { "b\0d: x\r\n".into() } else { format!("n{n}: x\r\n") })
            .collect();
        let request = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        let error = match bad {
            0..4 => HandshakeError::InvalidHeaderName,
            _ => HandshakeError::TooManyHeaders { limit: 4 },
        };
        for pieces in cuts(request.as_bytes()) {
            let mut conn = Connection::server(config.clone());
            assert_eq!(run(&mut conn, &pieces).seen, [refused(error.clone())], "line {bad}");
        }
    }
}

#[test]
fn headers_are_shown_as_text_if_they_are() {
    let mut bytes = plus("A: text \u{e9}\r\nB:").into_bytes();
    bytes.truncate(bytes.len() - 4);
    bytes.extend_from_slice(b" \xff\r\n\r\n");
    let mut conn = Connection::server(config());
    let Some(Event::UpgradeRequest(request)) = conn.receive(&mut &mut bytes[..]) else { panic!() };
    let text = |name: &str| {
        let header = request.headers().find(|header| header.is(name)).expect("it is there");
        header.value_str().map(str::to_string)
    };
    assert_eq!(text("host").as_deref(), Some("example.com"));
    assert_eq!((text("a").as_deref(), text("B")), (Some("text \u{e9}"), None));
}

#[test]
fn status_has_the_phrase_of_its_registry() {
    let phrases = [
        (200, "OK"),
        (201, "Created"),
        (202, "Accepted"),
        (204, "No Content"),
        (205, "Reset Content"),
        (300, "Multiple Choices"),
        (301, "Moved Permanently"),
        (302, "Found"),
        (303, "See Other"),
        (304, "Not Modified"),
        (307, "Temporary Redirect"),
        (308, "Permanent Redirect"),
        (400, "Bad Request"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (406, "Not Acceptable"),
        (408, "Request Timeout"),
        (409, "Conflict"),
        (410, "Gone"),
        (413, "Content Too Large"),
        (414, "URI Too Long"),
        (421, "Misdirected Request"),
        (425, "Too Early"),
        (426, "Upgrade Required"),
        (429, "Too Many Requests"),
        (431, "Request Header Fields Too Large"),
        (500, "Internal Server Error"),
        (501, "Not Implemented"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (504, "Gateway Timeout"),
        (505, "HTTP Version Not Supported"),
        (511, "Network Authentication Required"),
    ];
    for status in 200..600u16 {
        let mut conn = Connection::server(config());
        feed(&mut conn, b"GET / HTTP/1.1\r\n\r\n", &mut Log::default());
        conn.respond(status).expect("it is a status");
        let response = String::from_utf8(drain(&mut conn)).expect("ASCII");
        let phrase = phrases.iter().find(|(known, _)| *known == status).map_or("", |row| row.1);
        let line = response.split("\r\n").next().expect("it has a line");
        // One of which the phrase is not known has none (RFC 9112 4).
        assert_eq!(line, format!("HTTP/1.1 {status} {phrase}"));
    }
}

#[test]
fn entry_of_an_origin_policy_is_an_origin_whatever_its_scheme() {
    for (entry, is_origin) in [
        ("app://page", true),
        ("app://page:80", true),
        ("file://", true),
        ("app://pa%67e", false),
        ("app://*", false),
        ("app://user@page", false),
        ("app://page/path", false),
        ("app://page:x", false),
    ] {
        assert_eq!(OriginPolicy::new([entry]).is_ok(), is_origin, "{entry}");
    }
    let policy = OriginPolicy::new(["app://Page"]).expect("an origin");
    assert!(policy.is_allowed(Some("APP://page")) && !policy.is_allowed(Some("app://page:80")));
}

#[test]
fn frames_that_came_before_the_decision_come_before_those_behind_it_through_a_buffer_too() {
    let mut conn = Connection::server(config());
    let mut buffer = websocket_proto::ReadBuffer::with_capacity(1000);
    let mut log = Log::default();
    let mut give = |conn: &mut Connection, bytes: &[u8]| {
        buffer.spare()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
        // One event alone: those behind it wait.
        if let Some(event) = conn.receive_from(&mut buffer) {
            log.push(event);
        }
    };
    give(&mut conn, HEAD.as_bytes());
    let [one, two] = [&b"one"[..], b"two"].map(|text| to(Role::Server, 0x81, text));
    give(&mut conn, &[&one[..], &two].concat());
    accept(&mut conn);
    for text in [&b"three"[..], b"four"] {
        give(&mut conn, &to(Role::Server, 0x81, text));
    }
    give(&mut conn, b"");
    give(&mut conn, b"");
    let texts = ["one", "two", "three", "four"].map(|text| Seen::Text(text.into()));
    assert_eq!(log.seen, [&[upgrade()], &texts[..]].concat());
}

/// A head that a server refuses, and the front of it that decides.
fn failed_heads() -> Vec<(String, usize)> {
    let head = |begin: &str, line: &str| (with(begin, line), with(begin, line).len());
    let up_to = |text: String, part: &str| {
        let end = text.find(part).expect("the part is there") + part.len();
        (text, end)
    };
    vec![
        ("\x16\x03\x01".into(), 1),
        up_to(with("GET", "GET /chat"), "GET /chat\r\n"),
        up_to(with("GET", "GET /chat HTTP/2.0"), "GET /chat HTTP/2.0\r\n"),
        up_to(with("Host", "Host: h\nX: y"), "Host: h\n"),
        head("Host", "Host : h"),
        head("Host", "Host: h\0"),
        head("Host", ""),
        head("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"),
        head("GET", "POST /chat HTTP/1.1"),
        head("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: chat, chat"),
    ]
}

/// The last event of a server that has received these pieces.
fn closed_after(conn: &mut Connection, pieces: &[&[u8]]) -> Option<Closed> {
    let mut last = None;
    for piece in pieces {
        let mut copy = piece.to_vec();
        let mut input = &mut copy[..];
        while let Some(event) = conn.receive(&mut input) {
            last = Some(event.into_owned());
        }
    }
    match last.or_else(|| conn.poll_event())? {
        Event::Closed(closed) => Some(closed),
        _ => None,
    }
}

#[test]
fn request_that_failed_can_be_seen_up_to_its_fault() {
    // rfc6455-7.1.7-04
    let check = |config: &Config, bytes: &[u8], head: &[u8]| {
        for behind in [&b""[..], b"\x81\n\r\n\r\n"] {
            for pieces in cuts(&[bytes, behind].concat()) {
                let mut conn = Connection::server(config.clone());
                let closed = closed_after(&mut conn, &pieces).expect("the request is bad");
                let seen = closed.failed_head().map(|head| head.escape_ascii().to_string());
                assert_eq!(seen, Some(head.escape_ascii().to_string()));
                let text = format!("{closed:?}");
                assert!(!text.contains("/chat") && !text.contains("47, 99, 104"), "{text}");
            }
        }
    };
    for (text, len) in failed_heads() {
        check(&config(), text.as_bytes(), &text.as_bytes()[..len]);
    }
    // An empty line before a request is not a part of it. It is what failed if it is not one.
    let bad = with("Host", "");
    check(&config(), format!("\r\n{bad}").as_bytes(), bad.as_bytes());
    check(&config(), format!("\r\n\r\n{bad}").as_bytes(), b"\r");
    check(&config(), b"\rGET", b"\r");
    // Of a head that is too long it is as much as the limit allows.
    for limit in [1, 20, HEAD.len() - 1] {
        let config = builder().max_head_bytes(limit).build().unwrap();
        check(&config, HEAD.as_bytes(), &HEAD.as_bytes()[..limit]);
    }
    let config = builder().max_headers(3).build().unwrap();
    check(&config, HEAD.as_bytes(), HEAD.as_bytes());
}

#[test]
fn incomplete_request_can_be_seen_when_the_handshake_ends() {
    // rfc6455-7.1.7-04
    type End = fn(&mut Connection);
    let ends: [(End, bool); 5] = [
        (|conn| pass_deadline(conn), true),
        (Connection::receive_eof, false),
        (Connection::abort, false),
        (Connection::write_closed, false),
        (Connection::close_without_code, false),
    ];
    for (end, is_answered) in ends {
        for len in [0, 1, 2, 9, HEAD.len() - 1] {
            for pieces in cuts(&HEAD.as_bytes()[..len]) {
                let mut conn = Connection::server(config());
                assert!(closed_after(&mut conn, &pieces).is_none());
                end(&mut conn);
                let closed = closed_after(&mut conn, &[]).expect("the connection has ended");
                let head = Some(&HEAD.as_bytes()[..len]).filter(|head| !head.is_empty());
                assert_eq!(closed.failed_head(), head);
                assert_eq!(
                    closed.response().map(|response| response.status()),
                    is_answered.then_some(408)
                );
            }
        }
        // What an event has reported is not stored.
        let mut conn = Connection::server(config());
        assert!(closed_after(&mut conn, &[HEAD.as_bytes()]).is_none());
        end(&mut conn);
        let closed = closed_after(&mut conn, &[]);
        assert_eq!(closed.as_ref().and_then(Closed::failed_head), None);
        if is_answered {
            assert_eq!(closed.and_then(|closed| closed.response()), Some(Response::new(503)));
        }
    }
}

/// Calls `tick` until the handshake timeout has passed.
fn pass_deadline(conn: &mut Connection) {
    for ms in [0, 10_000, 10_001] {
        conn.tick(Timestamp::from_millis(ms));
    }
}

/// Servers that have answered on their own: how each came to be, its standard response, and whether the request was a
/// HEAD.
fn answered() -> Vec<(Connection, String, bool)> {
    let after = |bytes: &str, end: fn(&mut Connection)| {
        let mut conn = Connection::server(builder().max_early_bytes(3).build().unwrap());
        for piece in bytes.as_bytes().chunks(700) {
            feed(&mut conn, piece, &mut Log::default());
        }
        end(&mut conn);
        conn
    };
    let early = |head: &str| {
        let mut conn = after(head, |_| ());
        feed(&mut conn, b"four", &mut Log::default());
        conn
    };
    let not_allowed =
        answer("405 Method Not Allowed").trim_end().to_string() + "\r\nAllow: GET\r\n\r\n";
    let upgrade = "HTTP/1.1 426 Upgrade Required\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n";
    let (bad, late, busy) = (
        answer("400 Bad Request"),
        answer("408 Request Timeout"),
        answer("503 Service Unavailable"),
    );
    let old = with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8");
    vec![
        (after("\x16", |_| ()), bad.clone(), false),
        (after(&with("Host", ""), |_| ()), bad.clone(), false),
        (after(&old, |_| ()), upgrade.into(), false),
        (after(&with("GET", "HEAD /chat HTTP/1.1"), |_| ()), not_allowed, true),
        (after("HEAD /x HTTP/1.1\r\nA\r\n\r\n", |_| ()), bad.clone(), true),
        (early(HEAD), bad.clone(), false),
        (early("GET / HTTP/1.1\r\n\r\n"), bad.clone(), false),
        (early("HEAD / HTTP/1.1\r\n\r\n"), bad, true),
        (after("", pass_deadline), late.clone(), false),
        (after("GET /", pass_deadline), late.clone(), false),
        (after("HEAD /", pass_deadline), late, true),
        (after(HEAD, pass_deadline), busy.clone(), false),
        (after("HEAD / HTTP/1.1\r\n\r\n", pass_deadline), busy, true),
    ]
}

#[test]
fn response_of_the_servers_own_can_be_replaced_until_a_byte_is_written() {
    // rfc9110-6.6.1-01, rfc6455-4.2.2-07
    const DATE: &str = "Tue, 15 Nov 1994 08:12:31 GMT";
    type Step = fn(&mut Connection);
    let too_late: [Step; 5] = [
        |conn| conn.advance(1),
        |conn| assert!(conn.take_outgoing().is_some()),
        |conn| drop(drain(conn)),
        Connection::write_closed,
        Connection::abort,
    ];
    for at in 0..answered().len() {
        let server = || answered().swap_remove(at);
        let (mut conn, standard, is_head) = server();
        assert_eq!(String::from_utf8_lossy(conn.outgoing()), standard);
        // A response that cannot be sent changes nothing.
        for (response, error) in [
            (Response::new(101), UsageError::InvalidStatus(101)),
            (Response::new(400).header("Content-Length", "5"), UsageError::ReservedHeader),
            (Response::new(400).header("a", "b\n"), UsageError::InvalidHeaderValue),
        ] {
            assert_eq!(conn.respond(response), Err(error));
            assert_eq!(String::from_utf8_lossy(conn.outgoing()), standard);
        }
        conn.advance(0);
        // Any number of times, before and after the last event is taken.
        conn.respond(Response::new(418).body("x".repeat(100_000))).expect("nothing is written");
        let closed = match conn.poll_event() {
            Some(Event::Closed(closed)) => Some(closed),
            None => None,
            other => panic!("{other:?}"),
        };
        let status: u16 = standard[9..12].parse().unwrap();
        let own =
            closed.map_or(Response::new(status), |closed| closed.response().expect("it answered"));
        assert_eq!(own.status(), status);
        conn.respond(own.header("Date", DATE).body("why")).expect("nothing is written");
        assert!(conn.poll_event().is_none(), "a second end");
        let text = String::from_utf8(drain(&mut conn)).unwrap();
        assert!(
            text.starts_with(&standard[..30]) && text.contains(&format!("\r\nDate: {DATE}\r\n"))
        );
        assert!(text.contains("Content-Length: 3\r\n"));
        // RFC 9110 9.3.2: a HEAD gets no body.
        assert!(text.ends_with(if is_head { "\r\n\r\n" } else { "\r\n\r\nwhy" }), "{text}");
        assert_drains(&mut conn);
        for step in too_late {
            let (mut conn, ..) = server();
            while conn.poll_event().is_some() {}
            step(&mut conn);
            assert_all_calls_fail(&mut conn);
        }
    }
}

#[test]
fn standard_response_is_told_with_the_end() {
    // rfc9110-6.6.1-01
    for (text, _) in failed_heads() {
        let mut conn = Connection::server(config());
        let closed = closed_after(&mut conn, &[text.as_bytes()]).expect("the request is bad");
        let standard = closed.response().expect("the server has answered");
        let queued = conn.outgoing().to_vec();
        conn.respond(standard).expect("nothing is written");
        assert_eq!(conn.outgoing(), queued);
    }
    // The caller's own answers are not told.
    let rejected: fn(&mut Connection) = |conn| conn.respond(403).unwrap();
    for end in [rejected, Connection::close_without_code, Connection::abort] {
        let mut conn = Connection::server(config());
        assert!(closed_after(&mut conn, &[HEAD.as_bytes()]).is_none());
        end(&mut conn);
        let closed = closed_after(&mut conn, &[]).expect("the connection has ended");
        assert_eq!((closed.response(), closed.failed_head()), (None, None));
    }
}
