//! Tests of the client's side: the bytes of requests, and responses with their verdicts, cut at every place.

use super::super::refusal::Refusal;
use super::super::tests::every_cut;
use super::*;
use std::format;
use std::string::{String, ToString as _};
use std::vec;

/// A handshake whose key is the example of the RFC.
const NONCE: [u8; 16] = *b"the sample nonce";

const SAMPLE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: chat\r\n\r\n";

fn with(begin: &str, line: &str) -> String {
    let mut head: Vec<&str> = SAMPLE.trim_end().split("\r\n").collect();
    *head.iter_mut().find(|old| old.starts_with(begin)).expect("a line of the sample") = line;
    head.retain(|line| !line.is_empty());
    head.join("\r\n") + "\r\n\r\n"
}

fn plus(lines: &str) -> String {
    SAMPLE.strip_suffix("\r\n").expect("blank line").to_string() + lines + "\r\n\r\n"
}

fn request(uri: &str) -> ClientRequest {
    ClientRequest::new(uri).expect("a valid URI")
}

fn client(request: &ClientRequest, extensions: Option<&str>) -> ClientHandshake {
    ClientHandshake::new(request, NONCE, extensions, &mut Vec::new()).expect("a valid request")
}

type Verdict = Option<Result<(), HandshakeError>>;

fn read_with(
    config: &Config,
    request: &ClientRequest,
    extensions: Option<&str>,
    pieces: &[&[u8]],
) -> (Verdict, Option<Vec<u8>>) {
    let mut handshake = client(request, extensions);
    for (i, piece) in pieces.iter().enumerate() {
        let mut bytes = piece.to_vec();
        let mut input = &mut bytes[..];
        if let Some(result) = handshake.receive(&mut input, config) {
            let left = result.is_ok().then(|| [&*input, &pieces[i + 1..].concat()].concat());
            return (Some(result.map(|_response| ())), left);
        }
        assert!(input.is_empty(), "None means that all was used");
    }
    (None, None)
}

fn check(response: impl AsRef<[u8]>, expected: Result<(), HandshakeError>) {
    let request = request("ws://h").subprotocol("chat").subprotocol("superchat");
    every_cut(response.as_ref(), &Some(expected), |pieces| {
        read_with(&Config::default(), &request, None, pieces)
    });
}

#[test]
fn requests_are_exact() {
    // rfc6455-4.1-18 to 4.1-27, 4.1-29 to 4.1-33, 4.1-36, 4.1-37, 4.1-38, 11.3.1-01, 11.3.5-02, whatwg-establish-01
    let mut out = b"before".to_vec();
    let nonce = core::array::from_fn(|i| i as u8 + 1);
    ClientHandshake::new(&request("ws://h:8080/a?b=c"), nonce, None, &mut out).expect("valid");
    let start = "GET /a?b=c HTTP/1.1\r\nHost: h:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\nSec-WebSocket-Version: 13\r\n";
    assert_eq!(String::from_utf8(out).expect("ASCII"), format!("before{start}\r\n"));

    let full = request("ws://h:8080/a?b=c")
        .header("Cookie", "a=b")
        .subprotocol("chat")
        .origin("http://o")
        .subprotocol("superchat")
        .header("X", "");
    let mut out = Vec::new();
    ClientHandshake::new(&full, nonce, Some("x; y"), &mut out).expect("valid");
    assert_eq!(
        String::from_utf8(out).expect("ASCII"),
        format!(
            "{start}Origin: http://o\r\nSec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: x; y\r\n\
             Cookie: a=b\r\nX: \r\n\r\n"
        )
    );
    let debug = format!("{full:?}");
    assert!(!debug.contains("a=b") && !debug.contains("b=c"), "{debug}");
}

#[test]
fn bad_requests_send_nothing() {
    // rfc6455-4.1-03, 4.1-04, 4.1-34, 4.1-35, 4.1-38, whatwg-constructor-03
    use UsageError as E;
    let base = || request("ws://h");
    let header = |name: &str, value: &str| base().header(name, value);
    for (request, error) in [
        (base().subprotocol(""), E::InvalidSubprotocol),
        (base().subprotocol("a b"), E::InvalidSubprotocol),
        (base().subprotocol("a,b"), E::InvalidSubprotocol),
        (base().subprotocol("a/b"), E::InvalidSubprotocol),
        (base().subprotocol("\u{e9}"), E::InvalidSubprotocol),
        (base().subprotocol("a\r\n"), E::InvalidSubprotocol),
        (base().subprotocol("chat").subprotocol("x").subprotocol("chat"), E::DuplicateSubprotocol),
        (base().origin("http://o\r\nx: y"), E::InvalidHeaderValue),
        (base().origin(""), E::InvalidHeaderValue),
        (header("a b", "c"), E::InvalidHeaderName),
        (header("", "c"), E::InvalidHeaderName),
        (header("a:", "c"), E::InvalidHeaderName),
        (header("a", "b\r\nc: d"), E::InvalidHeaderValue),
        (header("a", "b\0"), E::InvalidHeaderValue),
        (header("a", "b "), E::InvalidHeaderValue),
        (header("HOST", "x"), E::ReservedHeader),
        (header("upgrade", "x"), E::ReservedHeader),
        (header("Connection", "x"), E::ReservedHeader),
        (header("Sec-WebSocket-Key", "x"), E::ReservedHeader),
        (header("Sec-WebSocket-Version", "x"), E::ReservedHeader),
        (header("Sec-WebSocket-Protocol", "x"), E::ReservedHeader),
        (header("Sec-WebSocket-Extensions", "x"), E::ReservedHeader),
        (header("Content-Length", "5"), E::ReservedHeader),
        (header("Transfer-Encoding", "chunked"), E::ReservedHeader),
        (header("Origin", "x").header("origin", "y"), E::ReservedHeader),
        (header("Origin", "x").origin("y"), E::ReservedHeader),
    ] {
        let mut out = Vec::new();
        let found = ClientHandshake::new(&request, NONCE, None, &mut out).err();
        assert_eq!((found, out), (Some(error), vec![]), "{request:?}");
    }
    // Names with a dot, or that differ in case only, are valid; Origin may be given as a header.
    client(
        &base()
            .subprotocol("v10.stomp")
            .subprotocol("chat")
            .subprotocol("Chat")
            .header("Origin", "x"),
        None,
    );
}

#[test]
fn good_responses() {
    // rfc6455-4.1-44, 4.1-46, 4.1-48, 4.1-49, 4.1-54, 4.1-57, rfc9112-5.2-02, 6.3-01
    for response in [
        SAMPLE.to_string(),
        with("HTTP", "HTTP/1.1 101"),
        with("HTTP", "HTTP/1.1 101 \u{e9}"),
        with("Upgrade", "UPGRADE: WebSocket"),
        with("Connection", "Connection: keep-alive, uPGRADE"),
        with("Connection", "Connection: keep-alive\r\nConnection: Upgrade"),
        with("Sec-WebSocket-Accept", "Sec-WebSocket-Accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \t"),
        with("Sec-WebSocket-Protocol", ""),
        with("Sec-WebSocket-Protocol", "sec-websocket-protocol: superchat"),
        plus("Content-Length: 0"),
        plus("Content-Length: 5"),
        plus("Content-Length: 5\r\nContent-Length: x"),
        plus("Transfer-Encoding: chunked"),
        plus("a: b\r\n c"),
        plus("a:\r\n\t\r\n \r\nb:\r\n c"),
        with("Upgrade", "Upgrade:\r\n websocket"),
        with("Connection", "Connection: keep-alive,\r\n\tUpgrade"),
        with("Sec-WebSocket-Accept", "Sec-WebSocket-Accept:\r\n s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n "),
        with("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: \r\n chat"),
        plus("Set-Cookie: a=b"),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n{SAMPLE}"),
        "HTTP/1.1 102\r\n\r\n".repeat(16) + SAMPLE,
    ] {
        check(response, Ok(()));
    }
}

#[test]
fn bad_responses() {
    // rfc9112-2.2-03
    // rfc6455-4.1-43 to 4.1-48, 4.1-50 to 4.1-53, 9.1-01, 11.3.3-01, 11.3.4-02, rfc7936-2-01
    use HandshakeError as E;
    let accept =
        |value: &str| with("Sec-WebSocket-Accept", &format!("Sec-WebSocket-Accept: {value}"));
    let subprotocol =
        |value: &str| with("Sec-WebSocket-Protocol", &format!("Sec-WebSocket-Protocol: {value}"));
    let extensions = |value: &str| plus(&format!("Sec-WebSocket-Extensions: {value}"));
    for (response, error) in [
        (with("Upgrade", ""), E::UpgradeNotWebSocket),
        (with("Upgrade", "Upgrade: websocket2"), E::UpgradeNotWebSocket),
        (with("Upgrade", "Upgrade: h2c"), E::UpgradeNotWebSocket),
        (with("Upgrade", "Upgrade: websocket, h2c"), E::UpgradeNotWebSocket),
        (plus("Upgrade: websocket"), E::UpgradeNotWebSocket),
        (with("Connection", ""), E::ConnectionNotUpgrade),
        (with("Connection", "Connection: upgraded"), E::ConnectionNotUpgrade),
        (with("Connection", "Connection: close"), E::ConnectionNotUpgrade),
        (with("Sec-WebSocket-Accept", ""), E::MissingAccept),
        (accept("S3pPLMBiTxaQ9kYGzzhZRbK+xOo="), E::WrongAccept),
        (accept("s3pPLMBiTxaQ9kYGzzhZRbK+xOo"), E::WrongAccept),
        (accept("s3pPLMBiTxaQ9kYGzzhZRbK+xO0="), E::WrongAccept),
        (accept(""), E::WrongAccept),
        // The hash of the key's 16 bytes instead of its text.
        (accept("BXhwxM0SZasKmCD9S4BfpPmCnEw="), E::WrongAccept),
        (plus("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), E::DuplicateAccept),
        // A fold is white space, so the value is changed.
        (with("Upgrade", "Upgrade: web\r\n socket"), E::UpgradeNotWebSocket),
        (accept("s3pPLMBiTxaQ9kYGz\r\n zhZRbK+xOo="), E::WrongAccept),
        (subprotocol("chat,\r\n superchat"), E::InvalidSubprotocol),
        (
            extensions("permessage-deflate"),
            E::ExtensionNotOffered { name: "permessage-deflate".into() },
        ),
        (extensions("foo"), E::ExtensionNotOffered { name: "foo".into() }),
        (extensions(""), E::InvalidExtensions),
        (extensions("a b"), E::InvalidExtensions),
        (subprotocol("Chat"), E::SubprotocolNotOffered { name: "Chat".into() }),
        (subprotocol("other"), E::SubprotocolNotOffered { name: "other".into() }),
        (subprotocol(""), E::InvalidSubprotocol),
        (subprotocol("chat, superchat"), E::InvalidSubprotocol),
        (plus("Sec-WebSocket-Protocol: superchat"), E::SeveralSubprotocols),
        (plus("Sec-WebSocket-Protocol: chat"), E::SeveralSubprotocols),
        (with("HTTP", "HTTP/1.0 101 No"), E::HttpVersion { major: 1, minor: 0 }),
        (with("HTTP", "HTTP/1.2 101 No"), E::HttpVersion { major: 1, minor: 2 }),
        ("HTTP/2.0 200 OK\r\n".to_string(), E::HttpVersion { major: 2, minor: 0 }),
        ("HTTP/2 200\r\n".to_string(), E::StatusLine),
        ("HTTP/1.1 1x1 No\r\n".to_string(), E::StatusLine),
        ("HTTP/1.1 99 No\r\n".to_string(), E::StatusLine),
        ("HTTP/1.1 099 No\r\n".to_string(), E::StatusLine),
        ("HTTP/1.1  101 No\r\n".to_string(), E::StatusLine),
        ("HTTP/1.1 1010 No\r\n".to_string(), E::StatusLine),
        ("HTTP/1.1 101 N\0\r\n".to_string(), E::StatusLine),
        ("HTTP/1.1\r\n".to_string(), E::StatusLine),
        ("\r\n".to_string() + SAMPLE, E::NotHttp { byte: b'\r' }),
        ("220 mail\r\n".to_string(), E::NotHttp { byte: b'2' }),
        ("HTTP/1.1 101 X\n".to_string(), E::BareLineFeed { at: 14 }),
        (with("Upgrade", "Upgrade : websocket"), E::InvalidHeaderName),
        (with("Upgrade", " Upgrade: websocket"), E::InvalidHeaderName),
        (with("Upgrade", "\tUpgrade: websocket\r\n\tx"), E::InvalidHeaderName),
        (plus("a\r\n : b"), E::InvalidHeaderName),
        (plus("a: b\r\n c\0"), E::InvalidHeaderValue),
        (plus("a: b\0"), E::InvalidHeaderValue),
        (plus("a: b\rc"), E::InvalidHeaderValue),
        ("HTTP/1.1 100 Go\r\n\r\n".repeat(17), E::TooManyInterimResponses { limit: 16 }),
    ] {
        check(response, Err(error));
    }
}

#[test]
fn limits_of_a_response() {
    let request = request("ws://h").subprotocol("chat");
    let run = |config: &Config, text: &str, expected: Verdict| {
        every_cut(text.as_bytes(), &expected, |pieces| read_with(config, &request, None, pieces));
    };
    let bytes = |most| Config::builder().max_head_bytes(most).build().unwrap();
    let headers = |most| Config::builder().max_headers(most).build().unwrap();
    let config = bytes(SAMPLE.len());
    run(&config, SAMPLE, Some(Ok(())));
    run(&config, &format!("HTTP/1.1 100\r\n\r\n{SAMPLE}"), Some(Ok(())));
    let limit = SAMPLE.len() - 1;
    run(&bytes(limit), SAMPLE, Some(Err(HandshakeError::HeadTooLong { limit })));
    run(&bytes(10), SAMPLE, Some(Err(HandshakeError::FirstLineTooLong { limit: 10 })));
    run(&headers(3), SAMPLE, Some(Err(HandshakeError::TooManyHeaders { limit: 3 })));
    let many =
        SAMPLE.replace("Upgrade: websocket", &("a:\r\n".repeat(2000) + "Upgrade: websocket"));
    let all = headers(usize::MAX);
    assert_eq!(read_with(&all, &request, None, &[many.as_bytes()]).0, Some(Ok(())));
    let limit = 2003;
    let error = Some(Err(HandshakeError::TooManyHeaders { limit }));
    assert_eq!(read_with(&headers(limit), &request, None, &[many.as_bytes()]).0, error);
}

#[test]
fn subprotocols_and_extensions_that_were_not_agreed_on() {
    // rfc6455-4.1-51, 4.1-52, 4.1-55, 4.1-56, 11.3.2-02, whatwg-establish-06
    let config = Config::default();
    let plain = request("ws://h");
    let with_chat = request("ws://h").subprotocol("chat");
    let none = with("Sec-WebSocket-Protocol", "");
    let verdict = |config: &Config, request, extensions, text: &str| {
        read_with(config, request, extensions, &[text.as_bytes()]).0
    };
    assert_eq!(
        verdict(&config, &plain, None, SAMPLE),
        Some(Err(HandshakeError::SubprotocolNotOffered { name: "chat".into() }))
    );
    assert_eq!(verdict(&config, &with_chat, None, &none), Some(Ok(())));
    let config = Config::builder().require_subprotocol(true).build().unwrap();
    assert_eq!(
        verdict(&config, &with_chat, None, &none),
        Some(Err(HandshakeError::SubprotocolMissing))
    );
    assert_eq!(verdict(&config, &plain, None, &none), Some(Ok(())));

    let two = plus("Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b;c\r\nSet-Cookie: d");
    let mut bytes = two.clone().into_bytes();
    let mut handshake = client(&with_chat, Some("a, b"));
    let Some(Ok(response)) = handshake.receive(&mut &mut bytes[..], &config) else {
        panic!("open");
    };
    assert!(response.extensions().eq([&b"a"[..], b"b;c"]));
    assert_eq!(
        (response.subprotocol(), response.header("set-cookie")),
        (Some("chat"), Some(&b"d"[..]))
    );
    assert_eq!((response.headers().count(), response.as_bytes()), (7, two.as_bytes()));
    assert!(!format!("{response:?}").contains("s3pPL"));
    assert!(response.clone().into_owned() == response);
    let bad = plus("Sec-WebSocket-Extensions: a;;");
    assert_eq!(
        verdict(&config, &with_chat, Some("a"), &bad),
        Some(Err(HandshakeError::InvalidExtensions))
    );
}

type Seen = (u16, String, bool);

fn seen(error: Option<HandshakeError>) -> Option<Seen> {
    match error? {
        HandshakeError::Refused(refusal) => Some((
            refusal.status(),
            String::from_utf8(refusal.body().to_vec()).expect("UTF-8"),
            refusal.is_body_complete(),
        )),
        other => panic!("{other}"),
    }
}

/// Feeds a refusal and then the end of the transport.
fn refused(pieces: &[&[u8]], limit: usize, is_eof: bool) -> Option<Seen> {
    let config = Config::builder().max_refusal_body_bytes(limit).build().unwrap();
    let mut handshake = client(&request("ws://h"), None);
    for piece in pieces {
        let mut bytes = piece.to_vec();
        if let Some(result) = handshake.receive(&mut &mut bytes[..], &config) {
            return seen(result.err());
        }
    }
    if is_eof { seen(handshake.take_refusal(true)) } else { None }
}

#[test]
fn refusals_have_status_and_body() {
    // rfc6455-4.1-41, 4.1-42, whatwg-establish-02, whatwg-establish-05
    for (head, body, limit, status, kept, complete) in [
        ("401 Log in\r\nContent-Length: 4", "wait", 99, 401, "wait", true),
        ("302 Found\r\nLocation: /\r\nContent-Length: 0", "", 99, 302, "", true),
        ("204 No", "", 99, 204, "", true),
        ("304 No\r\nContent-Length: 9", "", 99, 304, "", true),
        (
            "200 OK\r\nContent-Length: 4, 4\r\nTransfer-Encoding: chunked",
            "2\r\nab\r\n0\r\n\r\n",
            99,
            200,
            "ab",
            true,
        ),
        ("200 OK\r\nContent-Length: 4\r\nContent-Length: 4", "abcd", 99, 200, "abcd", true),
        ("404 No\r\nContent-Length: 6", "abc", 3, 404, "abc", false),
        ("404 No\r\nContent-Length: 3", "abc", 3, 404, "abc", true),
        ("404 No\r\nContent-Length: 6", "", 0, 404, "", false),
        ("503 No\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n", 3, 503, "abc", true),
        ("503 No\r\nTransfer-Encoding: chunked", "4\r\nabcd", 3, 503, "abc", false),
        (
            "503 No\r\nTransfer-Encoding: x, Chunked",
            "1;x=\"y\"\r\na\r\n00B \r\nb23456789cd\r\n0;\r\nT: r\r\nU:\r\n\r\n",
            99,
            503,
            "ab23456789cd",
            true,
        ),
        ("503 No\r\nTransfer-Encoding: chunked", "1\r\nax", 99, 503, "a", false),
        ("503 No\r\nTransfer-Encoding: chunked", "g", 99, 503, "", false),
        ("503 No\r\nTransfer-Encoding: chunked", ";", 99, 503, "", false),
        ("503 No\r\nTransfer-Encoding: chunked", "1\n", 99, 503, "", false),
        ("503 No\r\nTransfer-Encoding: chunked", "1\rx", 99, 503, "", false),
        ("503 No\r\nTransfer-Encoding: chunked", "1;\n", 99, 503, "", false),
        ("503 No\r\nTransfer-Encoding: chunked", "00000000000000001", 99, 503, "", false),
        ("503 No\r\nTransfer-Encoding: chunked", "0\r\n\rx", 99, 503, "", false),
        ("503 No\r\nTransfer-Encoding: chunked", "ffffffffffffffff\r\nabcd", 3, 503, "abc", false),
        ("500 No", "abcd", 3, 500, "abc", false),
        // Skipped bytes are limited too: an extension, a trailer.
        ("503 No\r\nTransfer-Encoding: chunked", "0;ab\r\n\r\n", 3, 503, "", true),
        ("503 No\r\nTransfer-Encoding: chunked", "0;abcd", 3, 503, "", false),
        ("503 No\r\nTransfer-Encoding: chunked", "0\r\na:bc\r", 3, 503, "", false),
    ] {
        let bytes = format!("HTTP/1.1 {head}\r\n\r\n{body}");
        every_cut(bytes.as_bytes(), &Some((status, kept.to_string(), complete)), |pieces| {
            (refused(pieces, limit, false), None)
        });
    }
}

#[test]
fn refusals_end_with_the_transport() {
    for (head, body, kept, complete) in [
        ("500 No", "abc", "abc", true),
        ("500 No", "", "", true),
        ("500 No\r\nTransfer-Encoding: gzip", "abc", "abc", true),
        ("500 No\r\nContent-Length: abc", "abc", "abc", true),
        ("500 No\r\nContent-Length: 1\r\nContent-Length: 2", "abc", "abc", true),
        ("500 No\r\nContent-Length: 4", "abc", "abc", false),
        ("500 No\r\nTransfer-Encoding: chunked", "3\r\nabc\r\n", "abc", false),
    ] {
        let bytes = format!("HTTP/1.0 {head}\r\n\r\n{body}").into_bytes();
        for at in 0..bytes.len() {
            let found = refused(&[&bytes[..at], &bytes[at..]], 99, true);
            assert_eq!(found, Some((500, kept.to_string(), complete)), "{head} {body} at {at}");
            assert_eq!(refused(&[&bytes[..at], &bytes[at..]], 99, false), None);
        }
    }
    assert_eq!(refused(&[b"HTTP/1.1 101 X\r\n"], 99, true), None, "no refusal has begun");
}

#[test]
fn refusal_shows_headers_and_versions() {
    // rfc6455-4.4-02, rfc6455-11.3.5-01
    let mut bytes = *b"HTTP/1.1 426 No\r\nSec-WebSocket-Version: 13, 8\r\nX: secret\r\nsec-websocket-version: 7,x,013\r\n\
        Content-Length: 0\r\n\r\n";
    let mut handshake = client(&request("ws://h"), None);
    let result = handshake.receive(&mut &mut bytes[..], &Config::default());
    let Some(Err(HandshakeError::Refused(refusal))) = result else { panic!("a refusal") };
    let refusal: Refusal = *refusal;
    assert!(refusal.supported_versions().eq([13, 8, 7]));
    assert_eq!((refusal.headers().count(), refusal.header("x")), (4, Some(&b"secret"[..])));
    assert!(!format!("{refusal:?}").contains("secret"));
}
