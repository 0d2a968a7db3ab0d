//! Tests of the server's side: requests with their verdicts, cut at every place.

use super::super::tests::{BEHIND, every_cut};
use super::*;
use crate::config::Config;
use std::format;
use std::string::{String, ToString as _};

const SAMPLE: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// The sample with one line replaced; an empty one removes it. A line is found by its beginning.
fn with(begin: &str, line: &str) -> String {
    let mut head: Vec<&str> = SAMPLE.trim_end().split("\r\n").collect();
    match head.iter_mut().find(|old| old.starts_with(begin)) {
        Some(old) => *old = line,
        None => panic!("{begin}"),
    }
    head.retain(|line| !line.is_empty());
    head.join("\r\n") + "\r\n\r\n"
}

/// The sample with further lines.
fn plus(lines: &str) -> String {
    SAMPLE.strip_suffix("\r\n").expect("blank line").to_string() + lines + "\r\n\r\n"
}

type Verdict = Option<Result<&'static str, HandshakeError>>;

fn read_with(config: &Config, pieces: &[&[u8]]) -> (Verdict, Option<Vec<u8>>) {
    let mut handshake = ServerHandshake::new();
    for (i, piece) in pieces.iter().enumerate() {
        let mut bytes = piece.to_vec();
        let mut input = &mut bytes[..];
        if let Some(result) = handshake.receive(&mut input, config) {
            let left = result.is_ok().then(|| [&*input, &pieces[i + 1..].concat()].concat());
            let verdict = result.map(|step| match step {
                ServerStep::Upgrade(..) => "upgrade",
                ServerStep::Plain(_) => "plain",
            });
            return (Some(verdict), left);
        }
        assert!(input.is_empty(), "None means that all was used");
    }
    (None, None)
}

fn check(request: impl AsRef<[u8]>, expected: Result<&'static str, HandshakeError>) {
    every_cut(request.as_ref(), &Some(expected), |pieces| read_with(&Config::default(), pieces));
}

fn upgrade(head: &str) -> (UpgradeRequest<'static>, PendingUpgrade) {
    let mut bytes = head.as_bytes().to_vec();
    match ServerHandshake::new().receive(&mut &mut bytes[..], &Config::default()) {
        Some(Ok(ServerStep::Upgrade(request, pending))) => (request.into_owned(), pending),
        other => panic!("{head}: {other:?}"),
    }
}

#[test]
fn good_requests() {
    // rfc9112-2.2-01, 3.2.2-01, rfc9110-4.2.3-01, rfc9110-10.1.1-02
    // rfc6455-4.2.1-02, 4.2.1-05, 4.2.1-07, 4.2.1-08, 4.2.1-09, 4.2.1-13, 4.2.1-14, 11.3.2-01, 11.3.4-01, 4.2.2-23
    for request in [
        SAMPLE.to_string(),
        with("Upgrade", "upgrade: WebSocket"),
        with("Upgrade", "Upgrade: foo, websocket"),
        with("Upgrade", "Upgrade: foo\r\nUpgrade: websocket"),
        with("Connection", "CONNECTION: keep-alive, uPGRADE"),
        with("Connection", "Connection: keep-alive\r\nConnection: Upgrade"),
        with("Connection", "Connection:Upgrade"),
        with("Connection", "Connection: \t Upgrade \t"),
        with("Sec-WebSocket-Protocol", ""),
        with("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol:"),
        with("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: ,\t,\r\nSec-WebSocket-Protocol:"),
        with("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b"),
        // The unused bits need not be zero: the RFC's example before erratum 3150.
        with("Sec-WebSocket-Key", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=="),
        with("Sec-WebSocket-Key", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4P+/=="),
        with("GET", "GET http://server.example.com/chat HTTP/1.1"),
        with("GET", "GET HTTPS://[::1]:9/ HTTP/1.1"),
        with("GET", "GET ws://h HTTP/1.1"),
        with("GET", "GET http://h?q HTTP/1.1"),
        with("GET", "GET wss://h:1?/q HTTP/1.1"),
        with("GET", "GET /\"{}|%zz?a?b HTTP/1.1"),
        with("Host", "Host: [::1]:80"),
        with("Host", "Host: h:65535"),
        plus("X-Foo: bar\r\nX-Foo:\r\nX-Bar: \u{e9}"),
        plus("Content-Length: 0"),
        plus("Sec-WebSocket-Extensions: foo\r\nSec-WebSocket-Extensions: bar; baz=2"),
        plus("Sec-WebSocket-Extensions:"),
        plus("Sec-WebSocket-Extensions: a;b=\"1\\0\",, ,"),
        plus("Origin: again"),
        plus("Expect: 100-continue"),
        format!("\r\n{SAMPLE}"),
    ] {
        check(request, Ok("upgrade"));
    }
    let mut lines: Vec<&str> = SAMPLE.trim_end().split("\r\n").collect();
    lines[1..].reverse();
    check(lines.join("\r\n") + "\r\n\r\n", Ok("upgrade"));
}

#[test]
fn requests_that_do_not_ask_for_websocket_are_plain() {
    for request in [
        "GET / HTTP/1.1\r\n\r\n".to_string(),
        "\r\nGET / HTTP/1.1\r\n\r\n".to_string(),
        "GET / HTTP/1.0\r\n\r\n".to_string(),
        "\r\nOPTIONS / HTTP/1.0\r\n\r\n".to_string(),
        with("GET", "GET / HTTP/1.0").replace("websocket", "h2c"),
        "HEAD * HTTP/1.1\r\nHost: h\r\n\r\n".to_string(),
        "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\n".to_string(),
        "CONNECT h:80 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_string(),
        with("Upgrade", ""),
        with("Upgrade", "Upgrade: h2c"),
        with("Upgrade", "Upgrade: websocketx"),
        with("Upgrade", "Upgrade: x-websocket, web socket"),
    ] {
        check(request, Ok("plain"));
    }
}

#[test]
fn bad_upgrades() {
    use HandshakeError as E;
    let version = |seen| E::Version { seen };
    // rfc9112-3.2-01
    // rfc6455-4.2.1-01, 4.2.1-03, 4.2.1-05, 4.2.1-06, 4.2.1-08, 4.2.1-09, 4.2.1-10, 4.2.2-07, 4.2.2-11, 4.3-01, 4.3-02,
    // 9.1-01, 11.3.1-01, 11.3.5-02
    for (request, error) in [
        (with("GET", "GET /chat HTTP/1.0"), E::HttpVersion { major: 1, minor: 0 }),
        (with("GET", "POST * HTTP/1.0"), E::HttpVersion { major: 1, minor: 0 }),
        (with("GET", "POST /chat HTTP/1.1"), E::Method),
        (with("GET", "HEAD /chat HTTP/1.1"), E::Method),
        (with("GET", "get /chat HTTP/1.1"), E::Method),
        (with("GET", "OPTIONS * HTTP/1.1"), E::Method),
        (with("Sec-WebSocket-Version", ""), version(None)),
        (with("Sec-WebSocket-Version", "Sec-WebSocket-Version:"), version(None)),
        (with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), version(Some(8))),
        (with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 25"), version(Some(25))),
        (with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 0"), version(Some(0))),
        (with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 013"), version(None)),
        (with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 256"), version(None)),
        (with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8"), version(None)),
        (plus("Sec-WebSocket-Version: 13"), E::DuplicateVersion),
        (plus("Sec-WebSocket-Version: 8"), E::DuplicateVersion),
        (with("Connection", ""), E::ConnectionNotUpgrade),
        (with("Connection", "Connection: close"), E::ConnectionNotUpgrade),
        (with("Connection", "Connection: Upgradex"), E::ConnectionNotUpgrade),
        (with("GET", "GET * HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET server:80 HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET chat HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET ftp://h/ HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET http:///chat HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET http://u@h/chat HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET http://?q HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET ftp://h?q HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET ?q HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET h?q HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET /chat#f HTTP/1.1"), E::InvalidTarget),
        (with("GET", "GET /\u{e9} HTTP/1.1"), E::InvalidTarget),
        (with("Host", ""), E::MissingHost),
        (with("Host", "Host:"), E::InvalidHost),
        (with("Host", "Host: a b"), E::InvalidHost),
        (with("Host", "Host: h:99999"), E::InvalidHost),
        (with("Host", "Host: user@h"), E::InvalidHost),
        (with("Host", "Host: [::1"), E::InvalidHost),
        (plus("Host: server.example.com"), E::DuplicateHost),
        (with("Sec-WebSocket-Key", ""), E::MissingKey),
        (with("Sec-WebSocket-Key", "Sec-WebSocket-Key:"), E::InvalidKey { len: 0 }),
        (with("Sec-WebSocket-Key", "Sec-WebSocket-Key: abc"), E::InvalidKey { len: 3 }),
        (
            with("Sec-WebSocket-Key", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4P"),
            E::InvalidKey { len: 20 },
        ),
        (
            with("Sec-WebSocket-Key", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEBE="),
            E::InvalidKey { len: 24 },
        ),
        (
            with("Sec-WebSocket-Key", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEBES"),
            E::InvalidKey { len: 24 },
        ),
        (
            with("Sec-WebSocket-Key", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA"),
            E::InvalidKey { len: 22 },
        ),
        (
            with("Sec-WebSocket-Key", "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4P-_=="),
            E::InvalidKey { len: 24 },
        ),
        (
            with("Sec-WebSocket-Key", "Sec-WebSocket-Key: AQIDBAUGBwg CgsMDQ4PEA=="),
            E::InvalidKey { len: 24 },
        ),
        (
            with("Sec-WebSocket-Key", "Sec-WebSocket-Key: AQIDBAUGBwg*CgsMDQ4PEA=="),
            E::InvalidKey { len: 24 },
        ),
        (plus("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), E::DuplicateKey),
        (plus("Content-Length: 5"), E::Body),
        (plus("Content-Length: +0"), E::Body),
        (plus("Content-Length: 0\r\nContent-Length: 1"), E::Body),
        (plus("Content-Length: 1\r\nContent-Length: 0"), E::Body),
        (plus("Transfer-Encoding: chunked\r\nContent-Length: 0"), E::Body),
        (plus("Transfer-Encoding: chunked"), E::Body),
        (plus("Transfer-Encoding:"), E::Body),
        (with("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: ,;"), E::InvalidSubprotocol),
        (with("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: a b"), E::InvalidSubprotocol),
        (with("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: a, \"b\""), E::InvalidSubprotocol),
        (plus("Sec-WebSocket-Protocol: chat"), E::DuplicateSubprotocol { name: "chat".into() }),
        (plus("Sec-WebSocket-Extensions: permessage-deflate;;"), E::InvalidExtensions),
        (plus("Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: =x"), E::InvalidExtensions),
    ] {
        check(request, Err(error));
    }
}

#[test]
fn order_of_the_checks_is_fixed() {
    use HandshakeError as E;
    let worst = "POST * HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    check(worst.replace("1.1", "1.0"), Err(E::HttpVersion { major: 1, minor: 0 }));
    check(worst, Err(E::Method));
    check(worst.replace("POST", "GET"), Err(E::Version { seen: None }));
    let more = |lines: &str| format!("GET * HTTP/1.1\r\nUpgrade: websocket\r\n{lines}\r\n");
    check(
        more("Sec-WebSocket-Version: 1\r\nSec-WebSocket-Version: 2\r\n"),
        Err(E::DuplicateVersion),
    );
    check(more("Sec-WebSocket-Version: 13\r\n"), Err(E::ConnectionNotUpgrade));
    check(more("Sec-WebSocket-Version: 13\r\nConnection: upgrade\r\n"), Err(E::InvalidTarget));
}

#[test]
fn heads_that_are_not_http_1_1() {
    use HandshakeError as E;
    let version = |major, minor| E::HttpVersion { major, minor };
    // rfc6455-4.2.1-04, rfc6455-10.7-04; refused at the first line, or the first byte, though nothing else comes
    for (request, error) in [
        (&b"\x16\x03\x01\x02\x00\x01"[..], E::NotHttp { byte: 0x16 }),
        (b"\r\n\r\nGET / HTTP/1.1\r\n", E::NotHttp { byte: b'\r' }),
        (b"\rGET / HTTP/1.1\r\n", E::NotHttp { byte: b'\r' }),
        (b"\nGET / HTTP/1.1\r\n", E::NotHttp { byte: b'\n' }),
        (b"\r\n\x16", E::NotHttp { byte: 0x16 }),
        (b" GET / HTTP/1.1\r\n", E::NotHttp { byte: b' ' }),
        (b"\x81\x85mask", E::NotHttp { byte: 0x81 }),
        (b"PRI * HTTP/2.0\r\n", version(2, 0)),
        (b"\r\nPRI * HTTP/2.0\r\n", version(2, 0)),
        (b"GET / HTTP/1.2\r\nbad header\r\n\r\n", version(1, 2)),
        (b"GET / HTTP/1.0\r\nbad header\r\n\r\n", E::InvalidHeaderName),
        (b"GET / HTTP/1.0\n", E::BareLineFeed { at: 14 }),
        (b"GET / HTTP/0.9\r\n", version(0, 9)),
        (b"GET / HTTP/1.2\r\n", version(1, 2)),
        (b"GET / HTTP/3.7\r\n", version(3, 7)),
        (b"GET / HTTP/11.1\r\n", E::RequestLine),
        (b"GET / HTTP/1.\r\n", E::RequestLine),
        (b"GET / HTTP/1\r\n", E::RequestLine),
        (b"GET / http/1.1\r\n", E::RequestLine),
        (b"GET / HTTP/1.1 \r\n", E::RequestLine),
        (b"GET / HTTP/1.1\r\r\n", E::RequestLine),
        (b"GET /\r\n", E::RequestLine),
        (b"GET\r\n", E::RequestLine),
        (b"GET  / HTTP/1.1\r\n", E::RequestLine),
        (b"GET /  HTTP/1.1\r\n", E::RequestLine),
        (b"GET /a b HTTP/1.1\r\n", E::RequestLine),
        (b"GET /\0 HTTP/1.1\r\n", E::RequestLine),
        (b"GET /\xff HTTP/1.1\r\n", E::RequestLine),
        (b"GET /a\tb HTTP/1.1\r\n", E::RequestLine),
        (b"GET /\rHTTP/1.1\r\n", E::RequestLine),
        (b"G@T / HTTP/1.1\r\n", E::RequestLine),
        (b"GET / HTTP/1.1\n", E::BareLineFeed { at: 14 }),
        (b"GET / HTTP/1.1\nHost: h\n\n", E::BareLineFeed { at: 14 }),
    ] {
        check(request, Err(error));
    }
}

#[test]
fn header_lines_are_strict() {
    // rfc9110-5.1-01, 5.5-02, 5.5-03, rfc9112-2.2-03, 5.1-01, 5.2-01
    use HandshakeError as E;
    for (lines, error) in [
        (&b"Host : h\r\n\r\n"[..], E::InvalidHeaderName),
        (b"Host\t: h\r\n\r\n", E::InvalidHeaderName),
        (b"Host\r\n\r\n", E::InvalidHeaderName),
        (b": h\r\n\r\n", E::InvalidHeaderName),
        (b"Ho st: h\r\n\r\n", E::InvalidHeaderName),
        (b"Ho\0st: h\r\n\r\n", E::InvalidHeaderName),
        (b"H\xc3\xa9: h\r\n\r\n", E::InvalidHeaderName),
        (b" Host: h\r\n\r\n", E::InvalidHeaderName),
        (b"A: b\r\n folded\r\n\r\n", E::InvalidHeaderName),
        (b"A: b\r\n\tfolded\r\n\r\n", E::InvalidHeaderName),
        (b"A: b\r\n \r\n\r\n", E::InvalidHeaderName),
        (b"A:\r\n b\r\n\r\n", E::InvalidHeaderName),
        (b"A: b\r\n\rx: y\r\n\r\n", E::InvalidHeaderName),
        (b"A: b\0\r\n\r\n", E::InvalidHeaderValue),
        (b"A: \0b\r\n\r\n", E::InvalidHeaderValue),
        (b"A: b\x1bc\r\n\r\n", E::InvalidHeaderValue),
        (b"A: b\x7f\r\n\r\n", E::InvalidHeaderValue),
        (b"A: b\rc\r\n\r\n", E::InvalidHeaderValue),
        (b"A: b\r\r\n\r\n", E::InvalidHeaderValue),
        (b"A:\r\r\n\r\n", E::InvalidHeaderValue),
        (b"A: b\n", E::BareLineFeed { at: 20 }),
        (b"A: b\nC: d\r\n\r\n", E::BareLineFeed { at: 20 }),
        (b"A: b\r\nC:\n", E::BareLineFeed { at: 24 }),
        (b"A: b\r\n\n", E::BareLineFeed { at: 22 }),
        // The first fault decides.
        (b"A: \0\r\nB\n", E::BareLineFeed { at: 23 }),
    ] {
        check([b"GET / HTTP/1.1\r\n", lines].concat(), Err(error.clone()));
    }
}

#[test]
fn limits_are_exact_at_every_cut() {
    use HandshakeError as E;
    let run = |config: &Config, bytes: &str, expected: Verdict| {
        every_cut(bytes.as_bytes(), &expected, |pieces| read_with(config, pieces));
    };
    let bytes = |most| Config::builder().max_head_bytes(most).build().unwrap();
    let headers = |most| Config::builder().max_headers(most).build().unwrap();
    run(&bytes(SAMPLE.len()), SAMPLE, Some(Ok("upgrade")));
    let config = bytes(SAMPLE.len() - 1);
    run(&config, SAMPLE, Some(Err(E::HeadTooLong { limit: SAMPLE.len() - 1 })));
    assert_eq!(read_with(&config, &[&SAMPLE.as_bytes()[..SAMPLE.len() - 1]]).0, None);
    run(&bytes(19), SAMPLE, Some(Err(E::FirstLineTooLong { limit: 19 })));
    let config = bytes(20);
    run(&config, SAMPLE, Some(Err(E::HeadTooLong { limit: 20 })));
    // A fault within the limit is reported first.
    run(
        &config,
        &with("GET", "GET /chat HTTP/1.2"),
        Some(Err(E::HttpVersion { major: 1, minor: 2 })),
    );
    run(&headers(7), SAMPLE, Some(Ok("upgrade")));
    run(&headers(6), SAMPLE, Some(Err(E::TooManyHeaders { limit: 6 })));
    let many = |count: usize| "GET / HTTP/1.1\r\n".to_string() + &"a:\r\n".repeat(count) + "\r\n";
    for count in [0, 128, 129, 4000] {
        let config = headers(usize::MAX);
        assert_eq!(read_with(&config, &[many(count).as_bytes()]).0, Some(Ok("plain")));
    }
    // The first line over the limit is not read, so its faults do not matter.
    let config = headers(200);
    for (head, expected) in [
        (many(200), Ok("plain")),
        (many(201), Err(E::TooManyHeaders { limit: 200 })),
        (many(201).replace("a:\r\n\r\n", "a\r\n\r\n"), Err(E::TooManyHeaders { limit: 200 })),
    ] {
        assert_eq!(read_with(&config, &[head.as_bytes()]).0, Some(expected));
    }
}

#[test]
fn getters_of_an_upgrade() {
    // rfc6455-4.2.1-05, 4.2.1-11, 4.2.1-12, 4.2.2-05
    let (request, _) = upgrade(SAMPLE);
    assert_eq!(
        (request.target(), request.resource(), request.host()),
        ("/chat", "/chat", "server.example.com")
    );
    assert_eq!(request.origin(), Some("http://example.com"));
    assert!(request.subprotocols().eq(["chat", "superchat"]));
    assert_eq!(request.extensions().count(), 0);
    assert_eq!(request.headers().count(), 7);
    assert_eq!(request.header("sec-websocket-VERSION"), Some(&b"13"[..]));
    assert_eq!(request.header("x"), None);
    assert_eq!(request.as_bytes(), SAMPLE.as_bytes());
    let debug = format!("{request:?} {:?}", request.headers());
    assert!(!debug.contains("example.com") && !debug.contains("/chat"), "{debug}");

    for (target, resource, host) in [
        ("http://h:8/p?q", "/p?q", "h:8"),
        ("http://h", "/", "h"),
        ("http://h/", "/", "h"),
        ("/p?http://h/", "/p?http://h/", "server.example.com"),
    ] {
        let (request, _) = upgrade(&with("GET", &format!("GET {target} HTTP/1.1")));
        assert_eq!(
            (request.target(), request.resource(), request.host()),
            (target, resource, host)
        );
    }

    // An empty path is reported as the root, with its query (RFC 9110 4.2.3).
    for (sent, target, resource, host) in [
        ("http://h:8?q", "http://h:8/?q", "/?q", "h:8"),
        ("ws://[::1]??/", "ws://[::1]/??/", "/??/", "[::1]"),
        ("http://h?", "http://h/?", "/?", "h"),
    ] {
        // rfc9110-4.2.3-01, rfc9112-3.2.2-01, rfc9112-3.2.2-02, rfc6455-3-04
        let (request, _) = upgrade(&with("GET", &format!("GET {sent} HTTP/1.1")));
        assert_eq!(
            (request.target(), request.resource(), request.host()),
            (target, resource, host)
        );
        let shown = with("GET", &format!("GET {target} HTTP/1.1"));
        assert_eq!(request.as_bytes(), shown.as_bytes());
    }

    let more = "Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Protocol: ,x\r\nsec-websocket-extensions: b;c\r\nOrigin: y";
    let (request, _) = upgrade(&plus(more));
    assert!(request.subprotocols().eq(["chat", "superchat", "x"]));
    assert!(request.extensions().eq([&b"a"[..], b"b;c"]));
    assert_eq!(request.origin(), None, "two origins are none");
    assert_eq!(upgrade(&with("Origin", "")).0.origin(), None);
}

#[test]
fn getters_of_a_plain_request() {
    let mut bytes = [b"HEAD /health?x HTTP/1.1\r\nA: b\r\n\r\n", BEHIND].concat();
    let mut input = &mut bytes[..];
    let Some(Ok(ServerStep::Plain(request))) =
        ServerHandshake::new().receive(&mut input, &Config::default())
    else {
        panic!("a plain request");
    };
    assert_eq!(
        (request.method(), request.target(), request.is_head()),
        ("HEAD", "/health?x", true)
    );
    assert_eq!(request.version(), HttpVersion::Http11);
    assert_eq!((request.header("a"), request.headers().count()), (Some(&b"b"[..]), 1));
    assert_eq!(input, BEHIND);
    assert_eq!(request.clone().into_bytes(), request.as_bytes());
    assert!(request.clone().into_owned() == request);
}

#[test]
fn resource_and_host_of_a_plain_request_are_found_or_missing() {
    // rfc9112-3.2.2-01, rfc9112-3.2.2-02, rfc9110-4.2.3-01
    for (line, lines, target, resource, host) in [
        ("GET /p?q", "Host: h:8\r\n", "/p?q", "/p?q", Some("h:8")),
        ("GET /p", "", "/p", "/p", None),
        ("GET /p", "Host: a\r\nHost: a\r\n", "/p", "/p", None),
        ("GET /p", "Host:\r\n", "/p", "/p", None),
        ("GET /p", "Host: u@h\r\n", "/p", "/p", None),
        ("GET /p", "Host: a\u{e9}\r\n", "/p", "/p", None),
        ("POST http://h:8/p?q", "Host: x\r\n", "http://h:8/p?q", "/p?q", Some("h:8")),
        ("POST http://h:8?q", "Host: x\r\n", "http://h:8/?q", "/?q", Some("h:8")),
        ("GET http://h", "", "http://h", "/", Some("h")),
        ("GET /\u{e9}", "Host: h\r\n", "/\u{e9}", "/\u{e9}", Some("h")),
        ("OPTIONS *", "Host: h\r\n", "*", "*", Some("h")),
        ("CONNECT a:80", "Host: h\r\n", "a:80", "a:80", Some("h")),
    ] {
        let mut bytes = format!("{line} HTTP/1.1\r\n{lines}\r\n").into_bytes();
        let Some(Ok(ServerStep::Plain(request))) =
            ServerHandshake::new().receive(&mut &mut bytes[..], &Config::default())
        else {
            panic!("{line}: a plain request");
        };
        assert_eq!(
            (request.target(), request.resource(), request.host()),
            (target, resource, host),
            "{line}"
        );
        let method = line.split(' ').next().expect("a method");
        let shown = format!("{method} {target} HTTP/1.1\r\n{lines}\r\n");
        assert_eq!(request.as_bytes(), shown.as_bytes());
    }
}

#[test]
fn whole_heads_are_borrowed_and_cut_ones_owned() {
    let mut bytes = SAMPLE.as_bytes().to_vec();
    let range = bytes.as_ptr_range();
    let Some(Ok(ServerStep::Upgrade(request, _))) =
        ServerHandshake::new().receive(&mut &mut bytes[..], &Config::default())
    else {
        panic!("an upgrade");
    };
    assert!(range.contains(&request.as_bytes().as_ptr()));
}

#[test]
fn accepting_writes_exactly_the_choice() {
    // rfc6455-4.2.2-09, 4.2.2-10, 4.2.2-12, 4.2.2-13, 4.2.2-15, 4.2.2-16, 4.2.2-17, 4.2.2-18, 4.2.2-19, 4.2.2-20,
    // 4.2.2-21
    const START: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let (_, pending) = upgrade(SAMPLE);
    let write = |accept: &Accept<'_>, extensions: Option<&str>| {
        let mut out = b"before".to_vec();
        let result = pending.accept(accept, extensions, &mut out);
        let text = String::from_utf8(out).expect("ASCII");
        assert!(result.is_ok() || text == "before", "an error writes nothing");
        result.map(|()| text.strip_prefix("before").expect("it appends").to_string())
    };
    assert_eq!(write(&Accept::new(), None), Ok(format!("{START}\r\n")));
    assert_eq!(
        write(&Accept::new().subprotocol("superchat").header("Set-Cookie", "a=b"), Some("x; y")),
        Ok(format!(
            "{START}Sec-WebSocket-Protocol: superchat\r\nSec-WebSocket-Extensions: x; y\r\nSet-Cookie: a=b\r\n\r\n"
        ))
    );
    for name in ["", "Chat", "chat,superchat", "chat, superchat", "x"] {
        let accept = Accept::new().subprotocol(name);
        assert_eq!(write(&accept, None), Err(UsageError::SubprotocolNotOffered), "{name:?}");
    }
    for (name, value, error) in [
        ("a b", "c", UsageError::InvalidHeaderName),
        ("a", "b\r\nc: d", UsageError::InvalidHeaderValue),
        ("sec-websocket-protocol", "chat", UsageError::ReservedHeader),
        ("Content-Length", "0", UsageError::ReservedHeader),
    ] {
        assert_eq!(write(&Accept::new().header(name, value), None), Err(error));
    }
    let (_, pending) = upgrade(&with("Sec-WebSocket-Protocol", ""));
    let accept = Accept::new().subprotocol("chat");
    assert_eq!(
        pending.accept(&accept, None, &mut Vec::new()),
        Err(UsageError::SubprotocolNotOffered)
    );
    assert!(!format!("{:?}", Accept::new().header("Set-Cookie", "secret")).contains("secret"));
}
