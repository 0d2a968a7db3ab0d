//! What is printed for people names its type, and tells payloads, header values and queries by their size alone: they may be
//! secrets, and a log is read by many.

mod util;

use std::fmt::Debug;

use util::*;
use websocket_proto::handshake::{ExtendedConnect, HeaderValue, ProxyRequest, ProxyTunnel};
use websocket_proto::{
    Accept, ClientRequest, CloseCause, CloseCode, Config, Connection, Entropy, Event,
    HandshakeError, Message, PreparedMessage, ProtocolError, ReadBuffer, Response, Role, Uri,
};

const SECRET: &str = "hunter2";

/// That `value` is printed with `part` in it, and without the secret.
fn check(value: &dyn Debug, part: &str) {
    let text = format!("{value:?}");
    assert!(text.contains(part), "{part:?} is missing: {text}");
    assert!(!text.contains(SECRET), "{text}");
}

/// The first event of `bytes`.
fn first<'a>(conn: &mut Connection, bytes: &'a mut [u8]) -> Event<'a> {
    conn.receive(&mut &mut *bytes).expect("there is an event")
}

#[test]
fn messages_and_the_frames_of_them_are_told_by_their_size() {
    check(&Message::from(SECRET), "Text(7 bytes)");
    check(&Message::from(SECRET.as_bytes()), "Binary(7 bytes)");
    check(&PreparedMessage::new(SECRET), "Text(7 bytes)");
    for (first_byte, config, part) in [
        (0x81, config(), "Text(7 bytes)"),
        (0x89, config(), "Ping(7 bytes)"),
        (0x8a, config(), "Pong(7 bytes)"),
        (0x82, chunks(), "Chunk"),
    ] {
        let mut conn = open_with(Role::Server, config);
        let mut bytes = to(Role::Server, first_byte, SECRET.as_bytes());
        let event = first(&mut conn, &mut bytes);
        check(&event, part);
        if let Event::Chunk(chunk) = event {
            check(&chunk, "len: 7");
        }
    }
    let mut closed = to(Role::Server, 0x88, b"\x03\xe8bye");
    check(&first(&mut open(Role::Server), &mut closed), "bye");
}

#[test]
fn a_connection_and_its_queue_are_told_by_their_sizes() {
    let mut conn = open(Role::Server);
    conn.send(SECRET).unwrap();
    check(&conn, "outgoing_len: 9");
    check(&conn.outgoing_chunks(), "[9]");
    check(&conn.take_outgoing().expect("it is queued"), "Segment(9 bytes)");
    let mut buffer = ReadBuffer::with_capacity(100);
    buffer.spare()[..7].copy_from_slice(SECRET.as_bytes());
    buffer.filled(7);
    check(&buffer, "7 of 100 bytes");
}

#[test]
fn requests_and_responses_are_told_without_queries_and_values() {
    let uri = format!("wss://example.com/?token={SECRET}");
    check(&uri.parse::<Uri>().expect("a good URI"), "example.com");
    let request = ClientRequest::new(&uri).expect("a good URI").header("Authorization", SECRET);
    check(&request, "ClientRequest");
    check(&Accept::new().header("Set-Cookie", SECRET), "Accept");
    check(&Response::new(403).header("X", SECRET).body(SECRET), "403");
    check(&HeaderValue::from(SECRET), "7 bytes");
    let asked = ProxyRequest::new(request.uri()).header("Proxy-Authorization", SECRET);
    check(&asked, "ProxyRequest");
    check(&ProxyTunnel::new(&asked, config()).expect("a good header"), "ProxyTunnel");
    check(&request.upgrade(&config()).expect("a good request"), "ClientUpgrade");
    let list = request.extended_connect(&Config::default()).expect("a good request");
    let path = list.headers().get(":path").expect("it is there");
    assert!(path.ends_with(SECRET.as_bytes()));
    check(&list, ":path");
    check(
        &ExtendedConnect::parse(&list, &Config::default()).expect("a good CONNECT"),
        "ExtendedConnect",
    );

    let head = |path: &str, upgrade: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: h\r\nCookie: {SECRET}\r\n{upgrade}\r\n").into_bytes()
    };
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    for (lines, part) in [(upgrade, "UpgradeRequest"), ("", "PlainRequest")] {
        let mut bytes = head(&format!("/?token={SECRET}"), lines);
        let event = first(&mut connecting(Role::Server, config()), &mut bytes);
        check(&event, part);
        let (Event::UpgradeRequest(_) | Event::PlainRequest(_)) = event else {
            panic!("{event:?}")
        };
        if let Event::UpgradeRequest(request) = event {
            check(&request.headers(), "Header");
            check(&request.headers().next().expect("it has headers"), "Host");
        }
    }
}

#[test]
fn answers_of_a_server_are_told_without_values_and_bodies() {
    let mut conn = connecting(Role::Client, config());
    let response = response_to(&drain(&mut conn));
    let mut response = [&response[..response.len() - 2], b"Set-Cookie: hunter2\r\n\r\n"].concat();
    check(&first(&mut conn, &mut response), "UpgradeResponse");
    let mut conn = connecting(Role::Client, config());
    let mut refused = *b"HTTP/1.1 403 No\r\nX: hunter2\r\nContent-Length: 7\r\n\r\nhunter2";
    let Event::Closed(closed) = first(&mut conn, &mut refused) else { panic!("it is refused") };
    check(&closed, "Refusal");
    let CloseCause::Protocol(ProtocolError::Handshake(HandshakeError::Refused(refusal))) =
        closed.cause()
    else {
        panic!("it is refused")
    };
    check(&refusal, "403");
}

#[test]
fn sources_and_codes_are_told_by_their_names() {
    fn source(_: &mut [u8]) -> Result<(), websocket_proto::EntropyError> {
        Ok(())
    }
    check(&Entropy::None, "None");
    check(&Entropy::from_fn(source), "Function");
    check(&Entropy::Seed(0x6875_6e74), "Seed");
    assert!(!format!("{:?}", Entropy::Seed(123_456)).contains("123456"), "a seed is a secret");
    check(&CloseCode::NORMAL, "1000");
}
