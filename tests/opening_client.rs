//! The client's opening handshake on a whole connection: the bytes before the response, the events of a response, how
//! an attempt ends. Unit tests in `src/handshake` test which responses are valid.

#[path = "util/alloc.rs"]
mod alloc;
mod util;

use std::cell::Cell;
use std::collections::BTreeSet;

use alloc::{Counting, measure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use util::*;
use websocket_proto::handshake::accept_key;
use websocket_proto::{
    ClientRequest, CloseCause, Closed, Config, Connection, Entropy, EntropyError, Event,
    HandshakeError, MessageKind, PreparedMessage, ProtocolError, ReadBuffer, Refusal, Role, State,
    Timestamp, Uri, UriError, UsageError,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn request() -> ClientRequest {
    let uri = "ws://example.com/chat?room=1";
    ClientRequest::new(uri).expect("a valid URI").subprotocol("chat").subprotocol("superchat")
}

fn client_with(config: Config) -> Connection {
    Connection::client(&request(), config).expect("a valid request")
}

/// A client whose request is written.
fn client() -> Connection {
    waiting(config())
}

fn waiting(config: Config) -> Connection {
    let mut conn = client_with(config);
    drain(&mut conn);
    conn
}

/// The value of a header of the outgoing request.
fn header(conn: &Connection, name: &str) -> String {
    let text = std::str::from_utf8(conn.outgoing()).expect("a request is ASCII here");
    let line = text.split("\r\n").find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.expect("the request has the header").to_string()
}

/// A response that accepts the request. The tests have a fixed seed, so the request is always the same.
fn response() -> String {
    let key = header(&client_with(config()), "Sec-WebSocket-Key");
    let accept = String::from_utf8(accept_key(key.as_bytes()).to_vec()).expect("base64 is ASCII");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
}

/// The response with `line` in place of the line that starts with `begin`. An empty `line` removes it.
fn with(begin: &str, line: &str) -> String {
    let response = response();
    assert!(response.split("\r\n").any(|old| old.starts_with(begin)), "{begin}");
    let lines = response.trim_end().split("\r\n");
    let lines = lines.map(|old| if old.starts_with(begin) { line } else { old });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\r\n") + "\r\n\r\n"
}

/// The response with more lines.
fn plus(lines: &str) -> String {
    response().trim_end().to_string() + "\r\n" + lines + "\r\n\r\n"
}

fn frames_behind() -> (Vec<u8>, Vec<Seen>) {
    let frames: [(u8, &[u8]); 4] = [(0x81, b"one"), (0x01, b"tw"), (0x89, b"p"), (0x80, b"o")];
    let bytes = frames.iter().flat_map(|(first, payload)| to(Role::Client, *first, payload));
    let text = |text: &str| Seen::Text(text.to_string());
    (bytes.collect(), vec![text("one"), Seen::Ping(b"p".to_vec()), text("two")])
}

/// Asserts that nothing can be sent before the response.
fn assert_silent(conn: &mut Connection) {
    let len = conn.outgoing_len();
    let not_open = Err(UsageError::NotOpen(State::Connecting));
    assert_eq!(conn.state(), State::Connecting);
    assert_eq!(conn.send("x"), not_open);
    assert_eq!(conn.check_send(0), not_open);
    assert_eq!(conn.send_prepared(&PreparedMessage::new("x")), not_open);
    assert_eq!(conn.send_fragment(MessageKind::Text, b"x", true), not_open);
    assert_eq!(conn.ping(b""), not_open);
    assert_eq!(conn.pong(b""), not_open);
    assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (len, 0));
    assert!(!conn.is_writable() && !conn.wants_shutdown() && !conn.is_finished());
}

/// Asserts that the attempt is over: no bytes are written or read, and no event follows.
fn assert_over(conn: &mut Connection) {
    assert_eq!(conn.state(), State::Closed);
    assert!(conn.is_finished() && conn.wants_shutdown() && !conn.wants_read());
    let bytes = [response().as_bytes(), &to(Role::Client, 0x89, b"p")].concat();
    let outcome = run(conn, &[&bytes]);
    assert_eq!((outcome.seen, outcome.output), (vec![], vec![]));
    assert_eq!(conn.send("x"), Err(UsageError::NotOpen(State::Closed)));
    conn.close(1000, "").expect("closing again does nothing");
    conn.receive_eof();
    conn.abort();
    assert!(conn.poll_event().is_none() && !conn.wants_write());
}

#[test]
fn request_is_outgoing_at_once_and_nothing_else_before_the_response() {
    // rfc6455-4.1-02, rfc6455-4.1-18, rfc6455-4.1-19, rfc6455-4.1-20, rfc6455-4.1-21, rfc6455-4.1-22, rfc6455-4.1-26,
    // rfc6455-4.1-39, rfc6455-6.1-02, whatwg-send-01, whatwg-states-01
    let mut conn = client_with(config());
    let key = header(&conn, "Sec-WebSocket-Key");
    let expected = format!(
        "GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: chat, superchat\r\n\r\n"
    );
    assert!(conn.wants_write() && conn.wants_read());
    assert_silent(&mut conn);
    // The response may begin to arrive before the request is written whole.
    let response = response();
    let mut output = Vec::new();
    let (head, last) = response.as_bytes().split_at(response.len() - 1);
    for byte in head {
        assert!(conn.receive(&mut &mut [*byte][..]).is_none());
        assert_silent(&mut conn);
        output.extend(conn.outgoing().first().copied());
        conn.advance(conn.outgoing().len().min(1));
    }
    output.extend(drain(&mut conn));
    assert_eq!(String::from_utf8(output).expect("ASCII"), expected);
    let mut last = last.to_vec();
    assert!(matches!(conn.receive(&mut &mut last[..]), Some(Event::Open(_))));
    assert_eq!((conn.state(), conn.wants_write()), (State::Open, false));
    conn.send("now").expect("the connection is open");
}

#[test]
fn frames_in_the_same_read_as_the_101_are_delivered() {
    // rfc6455-4.1-54, rfc6455-4.1-57, rfc6455-5.1-01
    let (behind, messages) = frames_behind();
    let bytes = [response().as_bytes(), &behind].concat();
    let expected = [vec![Seen::Open], messages].concat();
    for pieces in cuts(&bytes) {
        let mut conn = client();
        let outcome = run(&mut conn, &pieces);
        assert_eq!(outcome.seen, expected, "{}", pieces[0].len());
        assert_eq!(outcome.state, State::Open);
        let frames = read_frames(&outcome.output);
        assert_eq!(plain_frames(&outcome.output), [(0x8a, b"p".to_vec())]);
        assert!(frames[0].key.is_some());
    }
    // `receive` does not consume bytes after the head until it is called again.
    for at in 0..response().len() {
        let mut conn = client();
        let mut first = bytes[..at].to_vec();
        assert!(conn.receive(&mut &mut first[..]).is_none());
        let mut second = bytes[at..].to_vec();
        let mut input = &mut second[..];
        assert!(matches!(conn.receive(&mut input), Some(Event::Open(_))));
        assert_eq!(input, behind);
    }
}

#[test]
fn open_event_has_the_agreed_values() {
    // rfc6455-4.1-55, whatwg-feedback-open-01
    let chosen = |text: String| {
        let mut conn = client();
        let mut copy = text.into_bytes();
        let Some(Event::Open(response)) = conn.receive(&mut &mut copy[..]) else {
            panic!("the response is valid");
        };
        (
            response.subprotocol().map(str::to_string),
            response.extensions().count(),
            response.header("set-cookie").map(<[u8]>::to_vec),
        )
    };
    let protocol = |name: &str| Some(name.to_string());
    assert_eq!(chosen(response()), (protocol("chat"), 0, None));
    let other = with("Sec-WebSocket-Protocol", "sec-websocket-protocol:superchat");
    assert_eq!(chosen(other), (protocol("superchat"), 0, None));
    let none = with("Sec-WebSocket-Protocol", "Set-Cookie: a=b");
    assert_eq!(chosen(none), (None, 0, Some(b"a=b".to_vec())));
}

#[test]
fn frames_before_the_response_fail_the_handshake() {
    // rfc6455-4.1-53
    for first in [0x81, 0x88, 0x89] {
        let bytes = [to(Role::Client, first, b""), response().into_bytes()].concat();
        for pieces in cuts(&bytes) {
            let mut conn = client();
            let outcome = run(&mut conn, &pieces);
            let error = HandshakeError::NotHttp { byte: first };
            assert_eq!(outcome.seen, [Seen::failed(error.into())]);
            assert!(outcome.output.is_empty());
            assert_over(&mut conn);
        }
    }
}

#[test]
fn every_violation_of_a_response_ends_the_attempt_without_a_frame() {
    // rfc6455-4.1-40, rfc6455-4.1-43, rfc6455-4.1-44, rfc6455-4.1-45, rfc6455-4.1-46, rfc6455-4.1-47, rfc6455-4.1-48,
    // rfc6455-4.1-51, rfc6455-4.1-52, rfc6455-4.1-53, rfc6455-7.1.4-02, rfc6455-7.1.7-01, rfc6455-7.2.1-01,
    // rfc6455-9.1-01, rfc6455-11.3.3-01, rfc6455-11.3.4-02, whatwg-establish-07
    use HandshakeError as E;
    let wrong = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    for (text, error) in [
        (with("HTTP", "HTTP/1.0 101 Switching Protocols"), E::HttpVersion { major: 1, minor: 0 }),
        (with("HTTP", "HTTP/1.1 1x1 No"), E::StatusLine),
        (with("HTTP", "ICY 200 OK"), E::NotHttp { byte: b'I' }),
        (with("Upgrade", "Upgrade: websocket\n"), E::BareLineFeed { at: 52 }),
        (with("Upgrade", "Upgrade : websocket"), E::InvalidHeaderName),
        (plus("A: \0"), E::InvalidHeaderValue),
        (with("Upgrade", ""), E::UpgradeNotWebSocket),
        (with("Upgrade", "Upgrade: websocket, h2c"), E::UpgradeNotWebSocket),
        (with("Connection", ""), E::ConnectionNotUpgrade),
        (with("Connection", "Connection: keep-alive"), E::ConnectionNotUpgrade),
        (with("Sec-WebSocket-Accept", ""), E::MissingAccept),
        (plus(wrong), E::DuplicateAccept),
        (with("Sec-WebSocket-Accept", wrong), E::WrongAccept),
        (response().replace("Accept: ", "Accept: x"), E::WrongAccept),
        (
            plus("Sec-WebSocket-Extensions: permessage-deflate"),
            E::ExtensionNotOffered { name: "permessage-deflate".into() },
        ),
        (plus("Sec-WebSocket-Extensions: x;"), E::InvalidExtensions),
        (
            with("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: other"),
            E::SubprotocolNotOffered { name: "other".into() },
        ),
        (
            with("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: Chat"),
            E::SubprotocolNotOffered { name: "Chat".into() },
        ),
        (with("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol:"), E::InvalidSubprotocol),
        (plus("Sec-WebSocket-Protocol: superchat"), E::SeveralSubprotocols),
        ("HTTP/1.1 100 Continue\r\n\r\n".repeat(17), E::TooManyInterimResponses { limit: 16 }),
    ] {
        let with_behind = [text.as_bytes(), &frames_behind().0].concat();
        for bytes in [text.as_bytes(), &with_behind] {
            for pieces in cuts(bytes) {
                let mut conn = client();
                let outcome = run(&mut conn, &pieces);
                assert_eq!(outcome.seen, [Seen::failed(error.clone().into())], "{text}");
                assert!(
                    outcome.output.is_empty(),
                    "a client that fails the handshake sends no frame"
                );
                assert_over(&mut conn);
            }
        }
    }
}

#[test]
fn missing_subprotocol_fails_only_if_it_is_required() {
    // whatwg-establish-06
    let text = with("Sec-WebSocket-Protocol", "");
    for (is_required, expected) in
        [(false, Seen::Open), (true, Seen::failed(HandshakeError::SubprotocolMissing.into()))]
    {
        for pieces in cuts(text.as_bytes()) {
            let config = builder().require_subprotocol(is_required).build().unwrap();
            let outcome = run(&mut waiting(config), &pieces);
            assert_eq!(outcome.seen, std::slice::from_ref(&expected));
        }
    }
}

#[test]
fn interim_responses_are_ignored() {
    // rfc6455-4.1-40
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let (behind, messages) = frames_behind();
    for count in [1, 16] {
        let bytes = [interim.repeat(count).as_bytes(), response().as_bytes(), &behind].concat();
        for pieces in cuts(&bytes) {
            let outcome = run(&mut client(), &pieces);
            assert_eq!(outcome.seen, [vec![Seen::Open], messages.clone()].concat());
        }
    }
}

/// The refusal that ended the connection.
fn refusal(outcome: &Outcome) -> &Refusal {
    match &outcome.seen[..] {
        [Seen::Closed { cause: CloseCause::Protocol(ProtocolError::Handshake(error)), .. }] => {
            match error {
                HandshakeError::Refused(refusal) => refusal,
                other => panic!("{other}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn refusals_are_reported_whole_and_redirects_are_not_followed() {
    // rfc6455-4.1-41, rfc6455-11.3.5-01, whatwg-establish-02, whatwg-establish-05
    for (status, head, body, header, kept, is_complete) in [
        (
            401,
            "WWW-Authenticate: Basic\r\nContent-Length: 6",
            "log in",
            ("WWW-Authenticate", "Basic"),
            "log in",
            true,
        ),
        (302, "Location: ws://o/\r\nContent-Length: 0", "", ("location", "ws://o/"), "", true),
        (
            426,
            "Sec-WebSocket-Version: 8, 13\r\nContent-Length: 0",
            "",
            ("sec-websocket-version", "8, 13"),
            "",
            true,
        ),
        (
            403,
            "X: y\r\nTransfer-Encoding: chunked",
            "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: u\r\n\r\n",
            ("x", "y"),
            "abcde",
            true,
        ),
        (
            404,
            "X: y\r\nContent-Length: 20",
            "01234567890123456789",
            ("x", "y"),
            "0123456789",
            false,
        ),
        (
            500,
            "X: y\r\nTransfer-Encoding: chunked",
            "14\r\n01234567890123456789\r\n0\r\n\r\n",
            ("x", "y"),
            "0123456789",
            false,
        ),
        (200, "X: y", "01234567890123456789", ("x", "y"), "0123456789", false),
        (204, "X: y", "", ("x", "y"), "", true),
        (304, "X: y\r\nContent-Length: 9", "", ("x", "y"), "", true),
    ] {
        let text = format!("HTTP/1.1 {status} Reason\r\n{head}\r\n\r\n{body}");
        for pieces in cuts(text.as_bytes()) {
            let config = builder().max_refusal_body_bytes(10).build().unwrap();
            let mut conn = waiting(config);
            let outcome = run(&mut conn, &pieces);
            let refusal = refusal(&outcome);
            assert_eq!(refusal.status(), status);
            assert_eq!(refusal.header(header.0), Some(header.1.as_bytes()), "{text}");
            assert_eq!(String::from_utf8_lossy(refusal.body()), kept, "{text}");
            assert_eq!(refusal.is_body_complete(), is_complete, "{text}");
            assert!(outcome.output.is_empty());
            assert_over(&mut conn);
        }
    }
}

#[test]
fn refusal_is_told_until_the_end_is_taken() {
    let responses: [&[u8]; 3] = [
        b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    ];
    for response in responses {
        for step in [1, response.len()] {
            let (mut conn, mut buffer) =
                (connecting(Role::Client, config()), ReadBuffer::with_capacity(4096));
            for bytes in response.chunks(step) {
                buffer.spare()[..bytes.len()].copy_from_slice(bytes);
                buffer.filled(bytes.len());
                while !conn.is_finished() && conn.is_event_ready(&mut buffer) {
                    assert!(conn.refusal().is_some());
                    if matches!(conn.receive_from(&mut buffer), Some(Event::Closed(_))) {
                        assert!(conn.refusal().is_none());
                        break;
                    }
                }
            }
            assert_eq!(conn.state(), State::Closed);
        }
    }
}

#[test]
fn end_of_the_transport_ends_the_body_of_a_refusal() {
    // rfc6455-4.1-41
    for (head, body, is_complete) in [
        ("X: y", "body", true),
        ("X: y", "", true),
        ("Content-Length: 5", "body", false),
        ("Transfer-Encoding: chunked", "9\r\nbody", false),
    ] {
        let text = format!("HTTP/1.1 500 Reason\r\n{head}\r\n\r\n{body}");
        for pieces in cuts(text.as_bytes()) {
            let mut conn = client();
            let mut log = Log::default();
            for piece in pieces {
                feed(&mut conn, piece, &mut log);
            }
            assert_eq!((conn.state(), conn.wants_read()), (State::Connecting, true));
            conn.receive_eof();
            let outcome = run(&mut conn, &[]);
            let refusal = refusal(&outcome);
            assert_eq!(
                (refusal.body().ends_with(b"body") || body.is_empty(), log.seen),
                (true, vec![])
            );
            assert_eq!(refusal.is_body_complete(), is_complete, "{text}");
            assert_over(&mut conn);
        }
    }
}

#[test]
fn end_of_the_transport_before_the_whole_response_ends_without_a_frame() {
    // rfc6455-4.1-13, rfc6455-7.1.4-02, rfc6455-7.1.5-03, rfc6455-7.2.1-02, whatwg-establish-05
    let text = "HTTP/1.1 100 Continue\r\n\r\n".to_string() + &response();
    for at in 0..text.len() {
        for is_error in [false, true] {
            let mut conn = client();
            feed(&mut conn, &text.as_bytes()[..at], &mut Log::default());
            if is_error {
                conn.abort()
            } else {
                conn.receive_eof()
            }
            let outcome = run(&mut conn, &[&text.as_bytes()[at..]]);
            let cause = if is_error { CloseCause::Aborted } else { CloseCause::TransportEnded };
            assert_eq!(outcome.seen, [Seen::lost(cause)], "at {at}");
            assert!(outcome.output.is_empty());
            assert_over(&mut conn);
        }
    }
}

#[test]
fn closing_before_the_response_ends_the_attempt() {
    // rfc6455-7.1.4-02, whatwg-close-05
    for at in [0, 1, 40, response().len() - 1] {
        for is_written in [false, true] {
            let mut conn = if is_written { client() } else { client_with(config()) };
            feed(&mut conn, &response().as_bytes()[..at], &mut Log::default());
            conn.close(1000, "bye").expect("1000 can be sent");
            assert_eq!(conn.state(), State::Closed);
            let outcome = run(&mut conn, &[&response().as_bytes()[at..]]);
            assert_eq!(outcome.seen, [Seen::lost(CloseCause::Aborted)]);
            assert!(outcome.output.is_empty(), "the unwritten rest of the request is not dropped");
            assert_over(&mut conn);
        }
    }
}

#[test]
fn invalid_requests_make_no_connection() {
    // rfc6455-4.1-03, rfc6455-4.1-04, rfc6455-4.1-34, rfc6455-4.1-35, rfc6455-4.1-36, whatwg-constructor-02,
    // whatwg-constructor-03
    use UsageError as E;
    for (text, error) in [
        ("ws://h/\r\nx: y", UriError::Character),
        ("ws://h/\0", UriError::Character),
        ("ws://h/a b", UriError::Character),
        ("ws://h\r\n/", UriError::Character),
        ("ws://h/#", UriError::Fragment),
        ("ws://u:p@h/", UriError::UserInfo),
        ("ftp://h/", UriError::Scheme),
        ("ws:///", UriError::Host),
        ("ws://h:65536/", UriError::Port),
        ("ws://h/%0", UriError::Escape),
    ] {
        assert_eq!(ClientRequest::new(text).err(), Some(error), "{text:?}");
        assert_eq!(text.parse::<Uri>(), Err(error));
        assert_eq!(E::from(error), E::Uri(error));
    }
    let header = |name: &str, value: &str| request().header(name, value);
    for (request, error) in [
        (header("a\r\nb", "c"), E::InvalidHeaderName),
        (header("a\0", "c"), E::InvalidHeaderName),
        (header("", "c"), E::InvalidHeaderName),
        (header("a", "b\r\nc: d"), E::InvalidHeaderValue),
        (header("a", "b\n"), E::InvalidHeaderValue),
        (header("a", "b\0"), E::InvalidHeaderValue),
        (header("Host", "x"), E::ReservedHeader),
        (header("sec-websocket-key", "x"), E::ReservedHeader),
        (header("Content-Length", "1"), E::ReservedHeader),
        (request().origin("http://o\r\nx: y"), E::InvalidHeaderValue),
        (request().subprotocol(""), E::InvalidSubprotocol),
        (request().subprotocol("a b"), E::InvalidSubprotocol),
        (request().subprotocol("a\r\nb"), E::InvalidSubprotocol),
        (request().subprotocol("chat"), E::DuplicateSubprotocol),
    ] {
        let ((), heap) = measure(|| {
            assert_eq!(Connection::client(&request, config()).err(), Some(error), "{request:?}");
        });
        assert_eq!(heap.kept, 0, "the failed call has not freed its memory: {heap:?}");
        assert_eq!(request.extended_connect(&config()).err(), Some(error));
    }
}

#[test]
fn failing_source_of_entropy_makes_no_connection() {
    // rfc6455-5.3-03
    fn after_16(out: &mut [u8]) -> Result<(), EntropyError> {
        if out.len() == 16 { Ok(()) } else { Err(EntropyError) }
    }
    for entropy in
        [Entropy::None, Entropy::from_fn(|_| Err(EntropyError)), Entropy::from_fn(after_16)]
    {
        let config = builder().entropy(entropy).build().unwrap();
        let error = Connection::client(&request(), config).err();
        assert_eq!(error, Some(UsageError::Entropy(EntropyError)));
    }
}

#[test]
fn keys_are_16_bytes_of_the_source_and_do_not_repeat() {
    // rfc6455-4.1-27, rfc6455-4.1-28
    thread_local! { static COUNT: Cell<u64> = const { Cell::new(0) }; }
    fn count(out: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in out.chunks_mut(8) {
            COUNT.set(COUNT.get() + 1);
            chunk.copy_from_slice(&COUNT.get().to_be_bytes()[8 - chunk.len()..]);
        }
        Ok(())
    }
    let nonce = |entropy| {
        let config = builder().entropy(entropy).build().unwrap();
        let key = header(&client_with(config), "Sec-WebSocket-Key");
        let mut bytes = vec![0; 18];
        let len = STANDARD.decode_slice(key, &mut bytes).expect("the key is base64");
        bytes.truncate(len);
        bytes
    };
    let counted = nonce(Entropy::from_fn(count));
    assert_eq!(
        counted,
        [1u64.to_be_bytes(), 2u64.to_be_bytes()].concat(),
        "the keys are not the bytes of the source"
    );
    assert_eq!(nonce(Entropy::Seed(7)), nonce(Entropy::Seed(7)));
    let mut sources: Vec<Entropy> = (0..1000).map(Entropy::Seed).collect();
    sources.extend(vec![Entropy::from_fn(count); 1000]);
    #[cfg(feature = "os-entropy")]
    sources.extend(vec![Entropy::Os; 1000]);
    let nonces: BTreeSet<Vec<u8>> = sources.iter().map(|source| nonce(source.clone())).collect();
    assert_eq!(nonces.len(), sources.len());
    assert!(nonces.iter().all(|nonce| nonce.len() == 16));
}

#[test]
fn floods_of_a_server_are_bounded() {
    // rfc6455-10.4-01
    const LIMIT: usize = 4096;
    let endless = "x".repeat(1 << 18);
    let response = response();
    for (flood, is_refusal) in [
        ("HTTP/1.1 101 ".to_string() + &endless, false),
        ("HTTP/1.1 101 X\r\na: ".to_string() + &endless, false),
        ("HTTP/1.1 101 X\r\n".to_string() + &"a: b\r\n".repeat(1 << 14), false),
        ("HTTP/1.1 100 X\r\n\r\n".repeat(1 << 12), false),
        ("HTTP/1.1 200 X\r\n\r\n".to_string() + &endless, true),
        (format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n{endless}", u64::MAX), true),
        (
            format!("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n{endless}"),
            true,
        ),
    ] {
        for (first, size) in [(0, 1), (0, 1460), (0, usize::MAX), (9, usize::MAX)] {
            let config =
                builder().max_head_bytes(LIMIT).max_refusal_body_bytes(LIMIT).build().unwrap();
            let mut conn = waiting(config);
            let mut bytes = flood.clone().into_bytes();
            let (begin, rest) = bytes.split_at_mut(first);
            let mut log = Log::default();
            let ((), heap) = measure(|| {
                for piece in [begin].into_iter().chain(rest.chunks_mut(size.min(flood.len()))) {
                    let mut input = piece;
                    while let Some(event) = conn.receive(&mut input) {
                        log.push(event);
                    }
                }
            });
            let outcome = Outcome { seen: log.seen, output: drain(&mut conn), state: conn.state() };
            assert_eq!((outcome.seen.len(), outcome.output.len()), (1, 0));
            if is_refusal {
                assert_eq!(refusal(&outcome).body().len(), LIMIT);
                assert!(!refusal(&outcome).is_body_complete());
            }
            assert!(heap.peak <= 3 * LIMIT as i64 + 1024, "{heap:?}, {first} and then {size}");
            // Each of the 17 interim heads is buffered in an allocation of its own.
            assert!(heap.allocations <= 64, "{heap:?}, {first} and then {size}");
        }
    }
    // A head that arrives byte by byte is stored once, in a buffer that doubles.
    let mut conn = client();
    let mut bytes = response.into_bytes();
    let ((), heap) = measure(|| {
        for byte in bytes.chunks_mut(1) {
            drop(conn.receive(&mut &mut *byte));
        }
    });
    assert_eq!(conn.state(), State::Open);
    assert!(heap.allocations < 12 && heap.peak < 1024, "{heap:?}");
}

#[test]
fn folded_lines_of_a_response_are_read_as_spaces() {
    // rfc9112-5.2-02
    let accept = "Sec-WebSocket-Accept:\r\n\t".to_string() + &header_of_response();
    let (behind, messages) = frames_behind();
    for text in [
        with("Connection", "Connection: keep-alive,\r\n  Upgrade"),
        with("Sec-WebSocket-Accept", &accept),
        with("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol:\r\n \r\n chat"),
        "HTTP/1.1 103 Hints\r\nLink: <a>,\r\n <b>\r\n\r\n".to_string() + &response(),
    ] {
        for pieces in cuts(&[text.as_bytes(), &behind].concat()) {
            let outcome = run(&mut client(), &pieces);
            assert_eq!(outcome.seen, [vec![Seen::Open], messages.clone()].concat(), "{text}");
        }
    }
    // The getters return one line.
    let mut bytes = plus("X-Folded: a \r\n\t b\r\n c").into_bytes();
    let mut conn = client();
    let Some(Event::Open(response)) = conn.receive(&mut &mut bytes[..]) else { panic!("open") };
    assert_eq!(response.header("x-folded"), Some(&b"a     b   c"[..]));
    assert!(!response.as_bytes().windows(3).any(|three| matches!(three, b"\r\n " | b"\r\n\t")));
    // A refusal with folded lines keeps its status, its headers and its body.
    let text =
        "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n realm=\"x\"\r\nContent-Length: 2\r\n\r\nno";
    for pieces in cuts(text.as_bytes()) {
        let outcome = run(&mut client(), &pieces);
        let refusal = refusal(&outcome);
        assert_eq!((refusal.status(), refusal.body()), (401, &b"no"[..]));
        assert_eq!(refusal.header("www-authenticate"), Some(&b"Basic   realm=\"x\""[..]));
    }
}

/// The `Sec-WebSocket-Accept` value of `response`.
fn header_of_response() -> String {
    let response = response();
    let line = response.split("\r\n").find(|line| line.starts_with("Sec-WebSocket-Accept: "));
    line.expect("the response has the header")["Sec-WebSocket-Accept: ".len()..].to_string()
}

#[test]
fn length_or_coding_of_a_101_is_ignored() {
    // rfc9112-6.3-01
    let (behind, messages) = frames_behind();
    for lines in [
        "Content-Length: 5",
        "Content-Length: x",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip\r\nContent-Length: 99",
    ] {
        for pieces in cuts(&[plus(lines).as_bytes(), &behind].concat()) {
            let outcome = run(&mut client(), &pieces);
            assert_eq!(outcome.seen, [vec![Seen::Open], messages.clone()].concat(), "{lines}");
        }
    }
}

#[test]
fn scheme_is_one_of_four_in_any_case() {
    // rfc6455-4.1-03, rfc6455-4.1-04
    for scheme in ["ws", "wss", "http", "https"] {
        assert_eq!(Uri::parse(&format!("{scheme}://h")).map(|uri| uri.is_secure()), {
            Ok(scheme.ends_with("s") && scheme != "ws")
        });
        assert!(Uri::parse(&format!("{}://h", scheme.to_ascii_uppercase())).is_ok());
        for at in 0..scheme.len() {
            let mut other = scheme.as_bytes().to_vec();
            other[at] = b'x';
            let other = String::from_utf8(other).expect("ASCII");
            let error = Uri::parse(&format!("{other}://h")).err();
            assert_eq!(error, Some(UriError::Scheme), "{other}");
        }
    }
}

#[test]
fn header_of_a_response_with_almost_the_name_of_one_that_matters_is_any_other() {
    // rfc6455-4.1-43, 4.1-45, 4.1-47, 4.1-51, 4.1-52
    let almost = |name: &str| -> Vec<String> {
        let changed = |at: usize| {
            let mut bytes = name.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            String::from_utf8(bytes).expect("ASCII")
        };
        (0..name.len()).map(changed).collect()
    };
    let seen = |response: &str| run(&mut client(), &[response.as_bytes()]).seen;
    for name in ["Upgrade", "Connection", "Sec-WebSocket-Accept"] {
        let whole = response();
        let line = whole.split("\r\n").find(|line| line.starts_with(name)).expect("it is there");
        let value = line.split_once(": ").expect("it has a value").1;
        let missing = seen(&with(name, ""));
        for other in almost(name) {
            assert_eq!(seen(&with(name, &format!("{other}: {value}"))), missing, "{other}");
        }
    }
    for (name, value) in [
        ("Sec-WebSocket-Accept", "x"),
        ("Sec-WebSocket-Protocol", "other"),
        ("Sec-WebSocket-Extensions", "other"),
    ] {
        assert_ne!(seen(&plus(&format!("{name}: {value}"))), [Seen::Open], "{name}");
        for other in almost(name) {
            assert_eq!(seen(&plus(&format!("{other}: {value}"))), [Seen::Open], "{other}");
        }
    }
}

/// The end of a client that has received these pieces, and the joined pieces of a refusal's body.
fn end_of(conn: &mut Connection, pieces: &[&[u8]]) -> (Option<Closed>, Vec<u8>) {
    let mut body = Vec::new();
    let mut note = |conn: &Connection, event: Event<'_>| match event {
        Event::Closed(closed) => Some(closed),
        Event::RefusalBody(piece) => {
            assert!(!piece.is_empty());
            // The head is known while its body arrives.
            let refusal = conn.refusal().expect("its body is being read");
            assert_eq!((refusal.header("x"), refusal.body()), (Some(&b"y"[..]), &b""[..]));
            body.extend_from_slice(&piece);
            None
        }
        Event::Open(_) => None,
        other => panic!("{other:?}"),
    };
    let mut end = None;
    for piece in pieces {
        let mut copy = piece.to_vec();
        let mut input = &mut copy[..];
        while let Some(event) = conn.receive(&mut input) {
            end = note(conn, event);
        }
        assert!(input.is_empty());
    }
    while let Some(event) = conn.poll_event() {
        end = note(conn, event);
    }
    assert!(end.is_none() || conn.refusal().is_none(), "`Closed` has it now");
    (end, body)
}

#[test]
fn response_that_failed_can_be_seen_up_to_its_fault() {
    // rfc6455-7.1.7-02
    let good = response();
    let bad = |from: &str, to: &str| (good.replace(from, to), good.replace(from, to).len());
    let up_to = |text: String, part: &str| {
        let end = text.find(part).expect("the part is there") + part.len();
        (text, end)
    };
    let interim = "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n";
    let check = |config: Config, text: &str, head: &str| {
        for behind in [&b""[..], b"\x81\n\r\n\r\n"] {
            for pieces in cuts(&[text.as_bytes(), behind].concat()) {
                let mut conn = waiting(config.clone());
                let closed = end_of(&mut conn, &pieces).0.expect("the response is bad");
                let seen = closed.failed_head().map(|head| head.escape_ascii().to_string());
                assert_eq!(seen, Some(head.escape_default().to_string()));
                assert_eq!(closed.response(), None, "a client answers nothing");
                assert!(!format!("{closed:?}").contains("HTTP/1"));
            }
        }
    };
    for (text, len) in [
        ("SSH-2.0\r\n".to_string(), 1),
        up_to("HTTP/1.1 xyz\r\nA: b\r\n\r\n".into(), "xyz\r\n"),
        up_to(good.replace("Upgrade: websocket", "Upgrade: websocket\nX: y"), "websocket\n"),
        bad("Connection: Upgrade", "Connection : Upgrade"),
        bad("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"),
        bad("Protocol: chat", "Protocol: other"),
        bad("\r\n\r\n", "\r\nSec-WebSocket-Extensions: foo\r\n\r\n"),
        up_to("HTTP/1.1 404 Not here\r\nX: y\r\nContent-Length: 0\r\n\r\n".into(), "\r\n\r\n"),
    ] {
        check(config(), &text, &text[..len]);
        // Interim responses before it have not failed.
        check(config(), &format!("{interim}{text}"), &text[..len]);
    }
    check(config(), &interim.repeat(17), interim);
    let limited = builder().max_head_bytes(50).build().unwrap();
    check(limited, &good, &good[..50]);
    // RFC 9112 5.2: a fold is shown as the spaces that it is read as.
    check(config(), "HTTP/1.1 101 \r\na:\r\n b\r\n\r\n", "HTTP/1.1 101 \r\na:   b\r\n\r\n");
    // A response of which a part has arrived.
    type End = fn(&mut Connection);
    let deadline: End = |conn| {
        for ms in [0, 10_000, 10_001] {
            conn.tick(Timestamp::from_millis(ms));
        }
    };
    let ends: [End; 4] =
        [deadline, Connection::receive_eof, Connection::abort, Connection::close_without_code];
    for end in ends {
        for len in [0, 1, 30, good.len() - 1] {
            let mut conn = client();
            assert!(end_of(&mut conn, &[&good.as_bytes()[..len]]).0.is_none());
            end(&mut conn);
            let closed = end_of(&mut conn, &[]).0.expect("the connection has ended");
            let head = Some(&good.as_bytes()[..len]).filter(|head| !head.is_empty());
            assert_eq!(closed.failed_head(), head);
        }
    }
    // A handshake that succeeded has no failed head, however the connection ends.
    let mut conn = client();
    end_of(&mut conn, &[good.as_bytes()]);
    conn.abort();
    assert_eq!(end_of(&mut conn, &[]).0.expect("aborted").failed_head(), None);
}

#[cfg(feature = "deflate")]
#[test]
fn response_with_the_wrong_extensions_can_be_seen() {
    // rfc6455-7.1.7-02, rfc6455-7.4.1-10
    let mut deflate = websocket_proto::Deflate::default();
    deflate.required = true;
    let config = builder().deflate(deflate).build().unwrap();
    for line in ["", "Sec-WebSocket-Extensions: permessage-deflate; x\r\n"] {
        let text =
            response().replace("Upgrade: websocket\r\n", &format!("Upgrade: websocket\r\n{line}"));
        for pieces in cuts(text.as_bytes()) {
            let closed = end_of(&mut waiting(config.clone()), &pieces).0.expect("it is bad");
            assert_eq!(closed.failed_head(), Some(text.as_bytes()));
        }
    }
}

#[test]
fn reason_phrase_of_a_refusal_is_told_as_it_was_sent() {
    // rfc9112-4-01
    for (line, reason) in [
        ("HTTP/1.1 404 Not Found", "Not Found"),
        ("HTTP/1.1 404 ", ""),
        ("HTTP/1.1 404", ""),
        ("HTTP/1.0 599  a\tb ", " a\tb "),
        ("HTTP/1.1 500 \u{e9}\u{fc}", "\u{e9}\u{fc}"),
    ] {
        let text = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        for pieces in cuts(text.as_bytes()) {
            let outcome = run(&mut client(), &pieces);
            assert_eq!(refusal(&outcome).reason(), reason.as_bytes(), "{line}");
        }
    }
}

#[test]
fn body_of_a_refusal_is_delivered_in_pieces_on_request() {
    // rfc6455-4.1-41, rfc9112-6.3-01
    let long = "0123456789".repeat(40);
    let chunked = format!("190;ext=1\r\n{long}\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n");
    for (status, lines, body, expected, is_complete, is_ended) in [
        (401, "Content-Length: 6", "log in", "log in", true, true),
        (500, "Content-Length: 400", &long[..], &long[..], true, true),
        (302, "Content-Length: 0", "", "", true, true),
        (204, "Content-Length: 9", "", "", true, true),
        (403, "Transfer-Encoding: chunked", &chunked, &format!("{long}abc"), true, true),
        (403, "Transfer-Encoding: chunked", "0\r\n\r\n", "", true, true),
        (403, "Transfer-Encoding: chunked", "3\r\nabcX", "abc", false, true),
        (403, "Transfer-Encoding: chunked", "x", "", false, true),
        (403, "Transfer-Encoding: chunked", "5\r\nabc", "abc", false, false),
        (200, "A: b", &long, &long, true, false),
        (200, "A: b", "", "", true, false),
        (404, "Content-Length: 9", "short", "short", false, false),
    ] {
        let text = format!("HTTP/1.1 {status} Reason\r\nX: y\r\n{lines}\r\n\r\n{body}");
        let config = builder().stream_refusal_body(true).max_refusal_body_bytes(0).build().unwrap();
        for pieces in cuts(text.as_bytes()) {
            let mut conn = waiting(config.clone());
            let (mut end, mut seen) = end_of(&mut conn, &pieces);
            assert_eq!(end.is_some(), is_ended, "{text}");
            if !is_ended {
                assert_eq!((conn.state(), conn.wants_read()), (State::Connecting, true));
                conn.receive_eof();
                let (last, more) = end_of(&mut conn, &[]);
                seen.extend(more);
                end = last;
            }
            let end = end.expect("the end is reported");
            let refusal = end.refusal().expect("the refusal is the cause");
            assert_eq!(String::from_utf8_lossy(&seen), expected, "{text}");
            assert_eq!(
                (refusal.status(), refusal.reason(), refusal.body(), refusal.is_body_complete()),
                (status, &b"Reason"[..], &b""[..], is_complete),
                "{text}"
            );
            assert_over(&mut conn);
            // The same through a `ReadBuffer`, with and without `is_event_ready`.
            let outcome = run(&mut waiting(config.clone()), &pieces);
            for capacity in [1, 20, 1000] {
                assert_eq!(run_from(&mut waiting(config.clone()), &pieces, capacity), outcome);
            }
            assert_eq!(run_ready(&mut waiting(config.clone()), &pieces), outcome.seen);
        }
        // Without the setting nothing of the body is an event.
        let outcome = run(&mut client(), &[text.as_bytes()]);
        assert!(outcome.seen.len() <= 1);
    }
}

/// Feeds the pieces through a `ReadBuffer`, and takes an event only if `is_event_ready` says so.
fn run_ready(conn: &mut Connection, pieces: &[&[u8]]) -> Vec<Seen> {
    let mut log = Log::default();
    let mut buffer = ReadBuffer::with_capacity(1000);
    for piece in pieces {
        assert_eq!(buffer.fill_from(piece), piece.len());
        while conn.is_event_ready(&mut buffer) {
            log.push(conn.receive_from(&mut buffer).expect("it is ready"));
        }
    }
    assert!(conn.receive_from(&mut buffer).is_none());
    log.seen
}

#[test]
fn pieces_of_a_refusals_body_take_no_memory_and_their_number_is_not_limited() {
    let config = builder().stream_refusal_body(true).build().unwrap();
    for (line, piece) in [
        ("A: b", "0123456789abcdef".repeat(64)),
        (
            "Transfer-Encoding: chunked",
            format!("400;{}\r\n{}\r\n", "e".repeat(100), "x".repeat(1024)),
        ),
    ] {
        let mut conn = waiting(config.clone());
        let head = format!("HTTP/1.1 500 \r\nX: y\r\n{line}\r\n\r\n");
        assert!(end_of(&mut conn, &[head.as_bytes()]).0.is_none());
        let mut total = 0;
        let mut piece = piece.into_bytes();
        let ((), heap) = measure(|| {
            for _ in 0..4096 {
                let mut input = &mut piece[..];
                while let Some(event) = conn.receive(&mut input) {
                    let Event::RefusalBody(piece) = event else { panic!("{event:?}") };
                    total += piece.len();
                }
            }
        });
        assert_eq!((total, heap.peak), (4 << 20, 0));
        // The timeout ends it, and what had arrived is known to be a part.
        for ms in [0, 10_000, 10_001] {
            conn.tick(Timestamp::from_millis(ms));
        }
        let closed = end_of(&mut conn, &[]).0.expect("the time has passed");
        assert!(!closed.refusal().expect("the refusal is the cause").is_body_complete());
    }
}
