//! A handshake in another HTTP/1.1 stack, which passes the parts of a head. The judge is the connection that reads the
//! same head as bytes: `fuzz/src/targets/parsed_head.rs` compares the verdicts.

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the targets are a crate of their own for the fuzzer, which uses all of it"
)]
#[path = "../fuzz/src/targets/mod.rs"]
mod targets;
mod util;

use std::iter;

use proptest::prelude::*;
use targets::parsed_head::{Failure, Parts, Verdict, parsed_head, same_request, same_response};
use util::*;
use websocket_proto::handshake::{HttpVersion, ParsedRequest, RequestError, accept_key};
use websocket_proto::strategies::{
    BadRequest, RequestVerdict, ResponseFault, bad_request, bad_response, request, response,
};
use websocket_proto::{
    Accept, ClientRequest, Config, Connection, Entropy, EntropyError, HandshakeError, ReadBuffer,
    Role, UpgradeRequest, UsageError,
};

const KEY_TEXT: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const HEADERS: [(&str, &[u8]); 5] = [
    ("host", b"example.com"),
    ("connection", b"Upgrade"),
    ("upgrade", b"websocket"),
    ("sec-websocket-key", KEY_TEXT.as_bytes()),
    ("sec-websocket-version", b"13"),
];

fn judge(
    method: &str,
    target: &str,
    more: &[(&str, &[u8])],
) -> Result<ParsedRequest, RequestError> {
    let headers = HEADERS.iter().chain(more).copied();
    ParsedRequest::from_parts(method, target, HttpVersion::Http11, headers, &config())
}

fn upgrade(more: &[(&str, &[u8])], config: &Config) -> UpgradeRequest<'static> {
    let headers = HEADERS.iter().chain(more).copied();
    match ParsedRequest::from_parts("GET", "/", HttpVersion::Http11, headers, config) {
        Ok(ParsedRequest::Upgrade(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn client_request() -> ClientRequest {
    let request = ClientRequest::new("ws://example.com/chat").expect("a valid URI");
    request.subprotocol("chat").subprotocol("superchat")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // rfc9110-5.1-01, rfc9110-5.5-02, rfc6455-10.4-01
    #[test]
    fn hostile_parts_are_refused_or_judged_as_the_lines_that_they_make(
        limits in any::<u8>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        parsed_head(&[&[0x20, limits], &bytes[..]].concat());
    }

    // rfc6455-4.2.1-02, -05, -07, -08, -09, -13
    #[test]
    fn valid_request_is_an_upgrade_as_bytes_and_as_parts(request in request()) {
        let accept = Accept::new().header("Set-Cookie", "a=b");
        match same_request(&request.bytes, &config(), &accept) {
            Some(Verdict::Upgrade { answer: Some(_), .. }) => {}
            other => prop_assert!(false, "{other:?}"),
        }
    }

    // rfc6455-4.2.1-01, -03, -05, -06, -08, -09, -10
    #[test]
    fn bad_request_gets_the_same_refusal_as_bytes_and_as_parts(
        (config, request) in small_or_default().prop_flat_map(|config| {
            (Just(config.clone()), bad_request(&config))
        }),
    ) {
        let BadRequest { bytes, verdict, .. } = request;
        // The faults that no parser passes on have no parts.
        match (same_request(&bytes, &config, &Accept::new()), verdict) {
            (None, RequestVerdict::Refused { .. }) => {}
            (Some(Verdict::Plain { .. }), RequestVerdict::Plain) => {}
            (
                Some(Verdict::Refused { error, status }),
                RequestVerdict::Refused { status: expected, error: reason },
            ) => {
                prop_assert_eq!((error, status), (reason, expected));
            }
            (found, expected) => prop_assert!(false, "{found:?} for {expected:?}"),
        }
    }

    // rfc6455-4.1-44, -46, -48, -54
    #[test]
    fn valid_response_is_agreed_on_as_bytes_and_as_parts(response in response()) {
        let respond = |request: &[u8]| response.to(request).expect("it has a key");
        // Interim responses before the final one are not parts of it.
        let verdict = same_response(&client_request(), &config(), |request| final_of(respond(request)));
        prop_assert_eq!(verdict, Some(Ok((None, None))));
    }

    // rfc6455-4.1-41, -43, -44, -45, -46, -47, -48, -51, -52, -53
    #[test]
    fn bad_response_fails_alike_as_bytes_and_as_parts(
        (config, response) in small_or_default().prop_flat_map(|config| {
            (Just(config.clone()), bad_response(&config))
        }),
    ) {
        let respond = |request: &[u8]| response.to(request).expect("it has a key");
        let verdict = same_response(&client_request(), &config, |request| final_of(respond(request)));
        match verdict {
            Some(Err(Failure::Other(error))) => prop_assert!(response.is(&error), "{error:?}"),
            Some(Err(Failure::Refused(status, _))) => prop_assert_ne!(status, 101),
            // `final_of` has removed this fault.
            Some(Ok(_)) => prop_assert_eq!(response.fault, ResponseFault::TooManyInterimResponses),
            None => {}
        }
    }
}

/// A response without the interim ones before it.
fn final_of(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.starts_with(b"HTTP/1.1 10") && !bytes.starts_with(b"HTTP/1.1 101") {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
        bytes.drain(..end + 4);
    }
    bytes
}

/// Configurations with the default limits for heads, or with small ones.
fn small_or_default() -> impl Strategy<Value = Config> {
    any::<bool>().prop_map(|is_small| match is_small {
        true => builder().max_head_bytes(1024).max_headers(16).build().unwrap(),
        false => config(),
    })
}

/// Calls `check` with each choice of one alternative for each header.
fn each_choice(all: &[&[&str]], chosen: &mut String, check: &mut impl FnMut(&str)) {
    let Some((alternatives, rest)) = all.split_first() else { return check(chosen) };
    let len = chosen.len();
    for lines in *alternatives {
        chosen.push_str(lines);
        each_choice(rest, chosen, check);
        chosen.truncate(len);
    }
}

#[test]
fn each_mixture_of_request_headers_gets_one_verdict() {
    // rfc6455-4.2.1-01, 4.2.1-03, 4.2.1-05, 4.2.1-06, 4.2.1-08, 4.2.1-09, 4.2.1-10, 4.3-01, 9.1-01, 11.3.5-02
    let lines = [
        "GET / HTTP/1.1\r\n|GET / HTTP/1.0\r\n|POST / HTTP/1.1\r\n|GET http://h?q HTTP/1.1\r\n|GET /\u{e9} HTTP/1.1\r\n",
        "Host: h\r\n||Host: h\r\nHost: h\r\n",
        "Upgrade: websocket\r\n||upgrade:h2c, WebSocket \r\n",
        "Connection: Upgrade\r\n|Connection: close\r\nCONNECTION: a,b\r\n",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n||Sec-WebSocket-Key: short\r\n",
        "Sec-WebSocket-Version: 13\r\n|Sec-WebSocket-Version: 8\r\n|Sec-WebSocket-Version: 13\r\nsec-websocket-version: 8\r\n",
        "|Sec-WebSocket-Protocol: chat\r\n|Sec-WebSocket-Protocol: a, a\r\n",
        "|Sec-WebSocket-Extensions: permessage-deflate\r\n|Sec-WebSocket-Extensions: a;;\r\n",
        "Content-Length: 0\r\n|Content-Length: 1\r\n",
    ];
    let lines = lines.map(|line| line.split('|').collect::<Vec<_>>());
    let lines: Vec<&[&str]> = lines.iter().map(|line| &line[..]).collect();
    let (config, accept) = (config(), Accept::new().subprotocol("chat"));
    let mut verdicts = [0; 3];
    each_choice(&lines, &mut String::new(), &mut |head| {
        let head = [head, "\r\n"].concat();
        let verdict = same_request(head.as_bytes(), &config, &accept);
        verdicts[match verdict.expect("the head parses") {
            Verdict::Upgrade { .. } => 0,
            Verdict::Plain { .. } => 1,
            Verdict::Refused { .. } => 2,
        }] += 1;
    });
    assert!(verdicts.iter().all(|&count| count > 10), "{verdicts:?}");
}

#[test]
fn each_mixture_of_response_headers_gets_one_verdict() {
    // rfc6455-4.1-43, 4.1-44, 4.1-45, 4.1-46, 4.1-47, 4.1-48, 4.1-51, 4.1-52
    let lines = [
        "HTTP/1.1 101 X\r\n|HTTP/1.0 101 X\r\n|HTTP/1.1 426\r\n|HTTP/1.0 302 X\r\n|HTTP/1.1 099 X\r\n",
        "Upgrade: WebSocket\r\n||Upgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\n|Connection: close\r\n",
        "Sec-WebSocket-Accept: @\r\n||Sec-WebSocket-Accept: x\r\n|Sec-WebSocket-Accept: @\r\nSec-WebSocket-Accept: @\r\n",
        "|Sec-WebSocket-Protocol: chat\r\n|Sec-WebSocket-Protocol: Chat\r\n\
         |Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: superchat\r\n",
        "|Sec-WebSocket-Extensions: permessage-deflate\r\n|Sec-WebSocket-Extensions:\r\n\
         |Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7\r\n",
        "|Content-Length: 5\r\n",
    ];
    let lines = lines.map(|line| line.split('|').collect::<Vec<_>>());
    let lines: Vec<&[&str]> = lines.iter().map(|line| &line[..]).collect();
    #[allow(unused_mut, reason = "there is one more with permessage-deflate")]
    let mut configs = vec![config(), builder().require_subprotocol(true).build().unwrap()];
    #[cfg(feature = "deflate")]
    for required in [false, true] {
        let mut deflate = websocket_proto::Deflate::default();
        deflate.required = required;
        configs.push(builder().deflate(deflate).build().unwrap());
    }
    let request = client_request();
    let (mut agreed, mut failed) = (0, 0);
    each_choice(&lines, &mut String::new(), &mut |head| {
        for config in &configs {
            let verdict = same_response(&request, config, |request| {
                let sent = Parts::read(request).expect("a valid request");
                let is_key = |(name, _): &&(&str, &[u8])| *name == "Sec-WebSocket-Key";
                let key = sent.headers.iter().find(is_key).expect("a request has a key").1;
                let accept = accept_key(key);
                let accept = std::str::from_utf8(&accept).expect("base64");
                format!("{}\r\n", head.replace('@', accept)).into_bytes()
            });
            match verdict.expect("the head parses") {
                Ok(_) => agreed += 1,
                Err(_) => failed += 1,
            }
        }
    });
    assert!(agreed > 4 && failed > 1000, "{agreed} {failed}");
}

#[test]
fn part_that_could_break_out_of_its_line_is_refused() {
    // rfc9110-5.1-01, rfc9110-5.5-02, rfc9112-3-01
    use HandshakeError as E;
    let texts =
        ["", "\r", "\n", "\r\n", "\0", " ", "\r\nX: y", "\r\n\r\n", " HTTP/1.1\r\nX: y\r\n\r\n"];
    for text in texts {
        for (before, after) in [("", ""), ("a", ""), ("", "a"), ("a", "a")] {
            let part = [before, text, after].concat();
            let is_same = !part.is_empty() && text.is_empty();
            let refused =
                |result: Result<ParsedRequest, RequestError>, error: HandshakeError| match result {
                    Err(found) => assert_eq!(found.error(), &error, "{part:?}"),
                    Ok(_) => assert!(is_same, "{part:?}"),
                };
            // `a` as a method or a target is a fault of its own.
            assert!(judge(&part, "/", &[]).is_err());
            if !is_same {
                refused(judge(&part, "/", &[]), E::RequestLine);
                refused(judge("GET", &part, &[]), E::RequestLine);
                if !part.is_empty() {
                    refused(judge("GET", &format!("/{part}"), &[]), E::RequestLine);
                }
            }
            refused(judge("GET", "/", &[(&part, b"x")]), E::InvalidHeaderName);
        }
    }
    // Any byte in any place of a value, or any ASCII character in a name or a target: refused, or passed on alone.
    for byte in 0..=255u8 {
        for value in [vec![byte], vec![b'a', byte], vec![byte, b'a'], vec![b'a', byte, b'b']] {
            let is_control = byte != b'\t' && (byte < b' ' || byte == 0x7f);
            match judge("GET", "/", &[("x", &value)]) {
                Ok(ParsedRequest::Upgrade(request)) => {
                    assert!(!is_control, "{value:x?}");
                    let is_white = |byte: &u8| matches!(byte, b' ' | b'\t');
                    let start = value.iter().take_while(|byte| is_white(byte)).count();
                    let end = value.iter().rev().take_while(|byte| is_white(byte)).count();
                    let trimmed = value.get(start..value.len() - end).unwrap_or(b"");
                    assert_eq!(request.header("x"), Some(trimmed));
                    assert_eq!(request.headers().count(), 6);
                }
                other => assert!(is_control && other.is_err(), "{value:x?}: {other:?}"),
            }
        }
        if byte.is_ascii() {
            let text = format!("a{}", char::from(byte));
            match judge("GET", "/", &[(&text, b"x")]) {
                Ok(ParsedRequest::Upgrade(request)) => {
                    assert!(byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
                    assert_eq!(request.headers().last().map(|header| header.name), Some(&text[..]));
                }
                other => assert!(other.is_err(), "{text:?}: {other:?}"),
            }
            match judge("GET", &format!("/{text}"), &[]) {
                Ok(ParsedRequest::Upgrade(request)) => {
                    assert!(byte.is_ascii_graphic() && byte != b'#');
                    assert_eq!(
                        (request.target(), request.headers().count()),
                        (&format!("/{text}")[..], 5)
                    );
                }
                other => assert!(other.is_err(), "{text:?}: {other:?}"),
            }
        }
    }
    // The same for the headers of a response.
    let upgrade = client_request().upgrade(&config()).expect("a valid request");
    for (name, value, error) in [
        ("x", &b"a\r\nupgrade: websocket"[..], E::InvalidHeaderValue),
        ("x", b"\0", E::InvalidHeaderValue),
        ("x: y\r\nz", b"", E::InvalidHeaderName),
        ("x ", b"", E::InvalidHeaderName),
        ("", b"", E::InvalidHeaderName),
    ] {
        let verdict = upgrade.response(HttpVersion::Http11, 101, [(name, value)], &config());
        assert_eq!(verdict, Err(error), "{name:?}");
    }
}

#[test]
fn limits_of_heads_hold_for_parts() {
    // rfc6455-10.4-01
    let limits = |headers, bytes| {
        builder().max_headers(headers).max_head_bytes(bytes).build().expect("allowed values")
    };
    let head = "GET / HTTP/1.1\r\nhost: example.com\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
    let judge = |config: &Config| {
        let version = HttpVersion::Http11;
        let parsed = ParsedRequest::from_parts("GET", "/", version, HEADERS, config);
        parsed.map(drop).map_err(|error| (error.error().clone(), error.response().status()))
    };
    use HandshakeError as E;
    assert_eq!(judge(&limits(5, head.len())), Ok(()));
    assert_eq!(judge(&limits(4, head.len())), Err((E::TooManyHeaders { limit: 4 }, 431)));
    let limit = head.len() - 1;
    assert_eq!(judge(&limits(5, limit)), Err((E::HeadTooLong { limit }, 431)));
    assert_eq!(judge(&limits(5, 15)), Err((E::FirstLineTooLong { limit: 15 }, 414)));
    // Headers without an end are read up to the limit.
    let pulled = std::cell::Cell::new(0);
    let endless = || iter::repeat(("a", &b"b"[..])).inspect(|_| pulled.set(pulled.get() + 1));
    let config = config();
    let limit = config.max_head_bytes();
    let parsed = ParsedRequest::from_parts("GET", "/", HttpVersion::Http11, endless(), &config);
    assert_eq!(parsed.map_err(|error| error.error().clone()), Err(E::HeadTooLong { limit }));
    let upgrade = client_request().upgrade(&config).expect("a valid request");
    let verdict = upgrade.response(HttpVersion::Http11, 101, endless(), &config);
    assert_eq!(verdict, Err(E::HeadTooLong { limit }));
    assert!(pulled.get() <= 2 * (limit / "a: b\r\n".len() + 2), "{}", pulled.get());
}

#[test]
fn refusal_names_what_another_stack_must_send() {
    // rfc6455-4.4-01
    let without = |name: &'static str| HEADERS.into_iter().filter(move |header| header.0 != name);
    let refused =
        |method, version, headers: &mut dyn Iterator<Item = (&'static str, &'static [u8])>| {
            let parsed = ParsedRequest::from_parts(method, "/", version, headers, &config());
            let response = parsed.expect_err("a bad request").response();
            let headers = response.headers();
            let text =
                headers.map(|header| format!("{}: {}", header.name, header.value_str().unwrap()));
            (response.status(), text.collect::<Vec<_>>())
        };
    let http11 = HttpVersion::Http11;
    assert_eq!(
        refused("GET", http11, &mut without("sec-websocket-version")),
        (
            426,
            vec![
                "Connection: Upgrade".into(),
                "Upgrade: websocket".into(),
                "Sec-WebSocket-Version: 13".into()
            ]
        )
    );
    assert_eq!(refused("PUT", http11, &mut without("")), (405, vec!["Allow: GET".into()]));
    assert_eq!(refused("GET", HttpVersion::Http10, &mut without("")), (505, vec![]));
    assert_eq!(refused("GET", http11, &mut without("host")), (400, vec![]));
    // A response that a connection sends has these headers once.
    let mut conn = Connection::server(config());
    let mut head = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n".to_vec();
    assert!(conn.receive(&mut &mut head[..]).is_some());
    let text = String::from_utf8_lossy(conn.outgoing()).to_ascii_lowercase();
    assert_eq!(text.matches("sec-websocket-version").count(), 1, "{text}");
}

#[test]
fn any_other_status_is_a_refusal_without_its_body() {
    // rfc6455-4.1-41
    let upgrade = client_request().upgrade(&config()).expect("a valid request");
    for (status, length, is_complete) in [
        (100, "5", true),
        (103, "5", true),
        (200, "5", false),
        (200, "0", true),
        (204, "5", true),
        (401, "", false),
        (999, "5", false),
    ] {
        let headers = [("content-length", length.as_bytes()), ("location", b"/x")];
        match upgrade.response(HttpVersion::Http11, status, headers, &config()) {
            Err(HandshakeError::Refused(refusal)) => {
                assert_eq!((refusal.status(), refusal.body()), (status, &b""[..]));
                assert_eq!(refusal.is_body_complete(), is_complete, "{status} {length:?}");
                assert_eq!(refusal.header("location"), Some(&b"/x"[..]));
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    for status in [0, 10, 99, 1000, u16::MAX] {
        let verdict = upgrade.response(HttpVersion::Http11, status, HEADERS, &config());
        assert_eq!(verdict, Err(HandshakeError::StatusLine), "{status}");
    }
}

#[test]
fn acceptance_needs_what_was_offered_and_headers_that_can_be_sent() {
    // rfc6455-4.2.2-11
    let request = upgrade(&[("sec-websocket-protocol", b"chat, superchat")], &config());
    use UsageError as E;
    for (accept, expected) in [
        (Accept::new(), Ok(3)),
        (Accept::new().subprotocol("superchat"), Ok(4)),
        (Accept::new().subprotocol("Chat"), Err(E::SubprotocolNotOffered)),
        (Accept::new().subprotocol(""), Err(E::SubprotocolNotOffered)),
        (Accept::new().header("Set-Cookie", "a"), Ok(4)),
        (Accept::new().header("Upgrade", "a"), Err(E::ReservedHeader)),
        (Accept::new().header("a b", "a"), Err(E::InvalidHeaderName)),
        (Accept::new().header("a", "\r\n"), Err(E::InvalidHeaderValue)),
    ] {
        let accepted = request.accept(&accept, &config());
        assert_eq!(accepted.map(|accepted| accepted.headers.headers().count()), expected);
    }
}

#[test]
fn each_request_has_a_key_of_its_own_from_the_source_of_entropy() {
    // rfc6455-4.1-27, rfc6455-4.1-28
    let of = |entropy| builder().entropy(entropy).build().unwrap();
    let key = |config: &Config| {
        let upgrade = client_request().upgrade(config)?;
        Ok(upgrade.headers().get("Sec-WebSocket-Key").expect("it has a key").to_vec())
    };
    let count = std::sync::atomic::AtomicU8::new(0);
    let config = of(Entropy::from_fn(move |out| {
        out.fill(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        Ok(())
    }));
    assert_eq!(key(&config), Ok(b"AAAAAAAAAAAAAAAAAAAAAA==".to_vec()));
    assert_eq!(key(&config), Ok(b"AQEBAQEBAQEBAQEBAQEBAQ==".to_vec()));
    let config = of(Entropy::from_fn(|_| Err(EntropyError)));
    assert_eq!(key(&config), Err(UsageError::Entropy(EntropyError)));
    let config = of(Entropy::Seed(1));
    let bad = client_request().header("Host", "h").upgrade(&config);
    assert_eq!(bad.map(drop), Err(UsageError::ReservedHeader));
}

#[test]
fn ends_that_met_over_parsed_heads_exchange_messages_and_bytes_read_too_far() {
    // rfc6455-4.2.2-22, rfc6455-4.2.2-23, rfc7692-5-15
    #[allow(unused_mut, reason = "there is one more with permessage-deflate")]
    let mut configs = vec![(config(), false)];
    #[cfg(feature = "deflate")]
    configs.push((builder().deflate(websocket_proto::Deflate::default()).build().unwrap(), true));
    for (config, is_compressed) in configs {
        let sent = client_request().upgrade(&config).expect("a valid request");
        let headers = sent.headers();
        let version = HttpVersion::Http11;
        let parsed =
            ParsedRequest::from_parts(sent.method(), sent.target(), version, headers, &config);
        let Ok(ParsedRequest::Upgrade(request)) = parsed else { panic!("{parsed:?}") };
        assert_eq!((request.host(), request.resource()), ("example.com", "/chat"));
        let accept = Accept::new().subprotocol("superchat");
        let accepted = request.accept(&accept, &config).expect("it was offered");
        let agreed = sent.response(version, accepted.status, &accepted.headers, &config);
        let agreed = agreed.expect("a valid response");
        assert_eq!(agreed.subprotocol, Some("superchat"));
        assert_eq!((agreed.upgrade.role(), accepted.upgrade.role()), (Role::Client, Role::Server));
        let mut ends = [agreed.upgrade, accepted.upgrade]
            .map(|upgrade| Connection::from_upgrade(upgrade, config.clone()).expect("a seed"));
        for from in [0, 1] {
            let text = "to the other end ".repeat(20);
            ends[from].send(&text[..]).expect("open");
            let mut bytes = drain(&mut ends[from]);
            assert_eq!(bytes[0] & 0x40 != 0, is_compressed);
            // The stack has read the front of the frame behind the head.
            let behind = bytes.split_off(7);
            let other = &mut ends[1 - from];
            let mut buffer = ReadBuffer::from(bytes);
            assert!(other.receive_from(&mut buffer).is_none());
            assert_eq!(buffer.fill_from(&behind), behind.len());
            let event = other.receive_from(&mut buffer);
            let is_it = matches!(&event, Some(websocket_proto::Event::Message(message)) if *message == text[..].into());
            assert!(is_it, "{event:?}");
        }
    }
}

#[cfg(feature = "http")]
mod http_types {
    use super::*;
    use http::{HeaderMap, Request, Response, StatusCode, Version};
    use websocket_proto::handshake::Header;

    fn http_request(uri: &str) -> Request<()> {
        let request = HEADERS
            .iter()
            .fold(Request::get(uri), |request, &(name, value)| request.header(name, value));
        request.body(()).expect("a valid request")
    }

    #[test]
    fn types_of_the_crate_http_pass_through_both_ends() {
        let config = config();
        let sent = client_request().header("X-Bytes", &[b'a', 0xe9]).upgrade(&config).unwrap();
        let request: Request<()> = Request::try_from(&sent).expect("few headers");
        assert_eq!((request.method().as_str(), request.version()), ("GET", Version::HTTP_11));
        assert_eq!(request.headers().len(), sent.headers().count());
        let parsed = ParsedRequest::from_http(&request, &config).expect("a valid request");
        let (parts, ()) = request.into_parts();
        assert_eq!(ParsedRequest::from_http_parts(&parts, &config), Ok(parsed.clone()));
        let ParsedRequest::Upgrade(parsed) = parsed else { panic!("{parsed:?}") };
        assert_eq!((parsed.target(), parsed.header("x-bytes")), ("/chat", Some(&b"a\xe9"[..])));

        let accepted = parsed.accept(&Accept::new().subprotocol("chat"), &config).unwrap();
        let response: Response<()> = Response::try_from(&accepted).expect("few headers");
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let agreed = sent.http_response(&response, &config).expect("a valid response");
        assert_eq!(agreed.subprotocol, Some("chat"));
        let other = client_request().upgrade(&builder().entropy(Entropy::Seed(2)).build().unwrap());
        let verdict = other.unwrap().http_response(&response, &config);
        assert_eq!(verdict, Err(HandshakeError::WrongAccept));
    }

    #[test]
    fn target_is_the_uri_in_each_of_its_forms() {
        for (uri, target) in [
            ("/", "/"),
            ("/a?b", "/a?b"),
            ("http://h/a", "http://h/a"),
            ("http://h?q", "http://h/?q"),
        ] {
            match ParsedRequest::from_http(&http_request(uri), &config()) {
                Ok(ParsedRequest::Upgrade(request)) => assert_eq!(request.target(), target),
                other => panic!("{uri}: {other:?}"),
            }
        }
        for uri in ["*", "h:80"] {
            let parsed = ParsedRequest::from_http(&http_request(uri), &config());
            assert_eq!(parsed.unwrap_err().error(), &HandshakeError::InvalidTarget, "{uri}");
        }
    }

    #[test]
    fn versions_are_converted_or_refused() {
        for (version, expected) in [
            (Version::HTTP_11, Ok(HttpVersion::Http11)),
            (Version::HTTP_10, Ok(HttpVersion::Http10)),
            (Version::HTTP_09, Err((0, 9))),
            (Version::HTTP_2, Err((2, 0))),
            (Version::HTTP_3, Err((3, 0))),
        ] {
            let expected =
                expected.map_err(|(major, minor)| HandshakeError::HttpVersion { major, minor });
            assert_eq!(HttpVersion::try_from(version), expected);
            if let Ok(back) = expected {
                assert_eq!(Version::from(back), version);
                continue;
            }
            let mut request = http_request("/");
            *request.version_mut() = version;
            let error = ParsedRequest::from_http(&request, &config()).unwrap_err();
            assert_eq!(error.response().status(), 505);
            let mut response = Response::new(());
            *response.version_mut() = version;
            let upgrade = client_request().upgrade(&config()).unwrap();
            assert!(matches!(
                upgrade.http_response(&response, &config()),
                Err(HandshakeError::HttpVersion { .. })
            ));
        }
    }

    #[test]
    fn refusal_becomes_a_response_or_an_error() {
        let mut request = http_request("/");
        request.headers_mut().insert("sec-websocket-version", "8".parse().unwrap());
        let error = ParsedRequest::from_http(&request, &config()).unwrap_err();
        let response: Response<Vec<u8>> = error.response().try_into().expect("few headers");
        assert_eq!(response.status(), 426);
        assert_eq!(response.headers()["sec-websocket-version"], "13");
        assert_eq!(response.headers()["connection"], "Upgrade");
        let refusal =
            websocket_proto::Response::new(401).header("a", "b").header("a", "c").body("d");
        let response: Response<Vec<u8>> = refusal.try_into().expect("a valid refusal");
        assert_eq!(response.headers().get_all("a").iter().count(), 2);
        assert_eq!(response.body(), b"d");
        // rfc6455-4.4-01: also a 426 of the program's own names what is required.
        let response: Response<Vec<u8>> =
            websocket_proto::Response::new(426).try_into().expect("a valid refusal");
        let headers = ["connection", "upgrade", "sec-websocket-version"];
        assert_eq!(headers.map(|name| &response.headers()[name]), ["Upgrade", "websocket", "13"]);
        for status in [204, 205, 304] {
            let response = websocket_proto::Response::new(status).body("x");
            let response: Response<Vec<u8>> = response.try_into().expect("a valid refusal");
            assert_eq!(response.body(), b"", "{status}");
        }
        for bad in [
            websocket_proto::Response::new(99),
            websocket_proto::Response::new(101),
            websocket_proto::Response::new(199),
            websocket_proto::Response::new(600),
            // The stack writes these itself: two lengths of one body would disagree.
            websocket_proto::Response::new(403).header("Content-Length", "5").body("x"),
            websocket_proto::Response::new(403).header("Transfer-Encoding", "chunked"),
            websocket_proto::Response::new(403).header("Connection", "keep-alive"),
            websocket_proto::Response::new(426)
                .header("Upgrade", "a")
                .header("Content-Length", "5"),
            websocket_proto::Response::new(400).header("a", " b"),
            websocket_proto::Response::new(400).header("a b", "c"),
            websocket_proto::Response::new(400).header("a", "\r\n"),
            websocket_proto::Response::new(400).header("a".repeat(70_000), "c"),
        ] {
            assert!(Response::<Vec<u8>>::try_from(bad).is_err());
        }
    }

    #[test]
    fn too_many_headers_for_a_map_are_an_error() {
        let mut request = ClientRequest::new("ws://h").unwrap();
        let mut accept = Accept::new();
        for number in 0..40_000 {
            request = request.header(format!("x{number}"), "y");
            accept = accept.header(format!("x{number}"), "y");
        }
        let upgrade = request.upgrade(&config()).expect("a valid request");
        assert!(Request::<()>::try_from(&upgrade).is_err());
        let accepted = super::upgrade(&[], &config()).accept(&accept, &config()).unwrap();
        assert!(Response::<()>::try_from(&accepted).is_err());
    }

    #[test]
    fn header_map_fits_wherever_headers_are_taken() {
        let mut map = HeaderMap::new();
        map.append("a", "b".parse().unwrap());
        map.append("a", "c".parse().unwrap());
        let pairs: Vec<Header<'_>> = map.iter().map(Into::into).collect();
        assert_eq!(pairs, [("a", &b"b"[..]).into(), ("a", &b"c"[..]).into()]);
        let request = ClientRequest::new("ws://h").unwrap();
        assert!(request.extended_response(200, &map, &config()).is_ok());
        let upgrade = request.upgrade(&config()).unwrap();
        let verdict = upgrade.response(HttpVersion::Http11, 101, &map, &config());
        assert_eq!(verdict, Err(HandshakeError::UpgradeNotWebSocket));
    }
}
