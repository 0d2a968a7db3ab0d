//! Tests of extended CONNECT: lists of headers that are read and written.

use super::*;
use std::format;
use std::string::ToString as _;
use std::vec;
use std::vec::Vec;

const SAMPLE: [(&str, &str); 8] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/chat?x"),
    (":authority", "h:9"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-protocol", "chat, superchat"),
    ("origin", "https://o"),
];

fn parse_all<'h>(headers: &[(&'h str, &'h str)]) -> Result<ExtendedConnect<'h>, RequestError> {
    let headers = headers.iter().map(|&(name, value)| (name, value.as_bytes()));
    ExtendedConnect::parse(headers, &Config::default())
}

/// The sample with another value of a header; without the header if the value is empty; or with one header more.
fn with<'h>(name: &'h str, value: &'h str) -> Vec<(&'h str, &'h str)> {
    let mut headers: Vec<(&'h str, &'h str)> = SAMPLE.to_vec();
    match headers.iter().position(|&(other, _)| other == name) {
        Some(at) if value.is_empty() => drop(headers.remove(at)),
        Some(at) => headers[at].1 = value,
        None => headers.push((name, value)),
    }
    headers
}

fn plus<'h>(name: &'h str, value: &'h str) -> Vec<(&'h str, &'h str)> {
    [&SAMPLE[..], &[(name, value)]].concat()
}

#[test]
fn request_of_a_client() {
    // rfc8441-4-01, 4-02, 5-01 to 5-07, rfc9220-3-01, rfc9113-8.2.1-01, 8.3.1-03
    let request = ClientRequest::new("wss://h:9/chat?x")
        .expect("a valid URI")
        .header("X-Upper", "Value")
        .subprotocol("chat")
        .subprotocol("superchat")
        .origin("https://o");
    let headers = request.extended_connect(&Config::default()).expect("a valid request");
    let mut expected: Vec<(&str, &str)> = SAMPLE.to_vec();
    expected.swap(6, 7);
    expected.push(("x-upper", "Value"));
    let expected = expected.into_iter().map(|(name, value)| (name, value.as_bytes()));
    assert!(headers.headers().eq(expected.map(Header::from)));

    let plain = ClientRequest::new("ws://h").expect("a valid URI");
    let list = plain.extended_connect(&Config::default()).expect("a valid request");
    let headers: Vec<_> = list.headers().map(|header| (header.name, header.value)).collect();
    assert_eq!(headers.len(), 6);
    assert_eq!(headers[2], (":scheme", &b"http"[..]));
    assert_eq!(headers[4], (":authority", &b"h"[..]));
    assert_eq!(
        plain.header("host", "x").extended_connect(&Config::default()),
        Err(UsageError::ReservedHeader)
    );
}

#[test]
fn response_to_a_client() {
    // rfc8441-5-06, 5-07, 5-08
    use HandshakeError as E;
    let request = ClientRequest::new("ws://h").expect("a valid URI").subprotocol("chat");
    let config = Config::default();
    let judge = |config: &Config, status, headers: &[(&'static str, &'static [u8])]| {
        let result = request.extended_response(status, headers.iter().copied(), config);
        result.map(|response| response.subprotocol)
    };
    assert_eq!(judge(&config, 200, &[]), Ok(None));
    assert_eq!(judge(&config, 299, &[("sec-websocket-accept", b"whatever")]), Ok(None));
    assert_eq!(judge(&config, 200, &[("sec-websocket-protocol", b"chat")]), Ok(Some("chat")));
    for status in [101, 199, 300, 404, 501] {
        assert_eq!(judge(&config, status, &[]), Err(E::Status { status }));
    }
    for (name, value, error) in [
        ("sec-websocket-protocol", &b"Chat"[..], E::SubprotocolNotOffered { name: "Chat".into() }),
        ("sec-websocket-protocol", b"", E::InvalidSubprotocol),
        ("sec-websocket-extensions", b"foo", E::ExtensionNotOffered { name: "foo".into() }),
        ("sec-websocket-extensions", b"foo;;", E::InvalidExtensions),
    ] {
        assert_eq!(judge(&config, 200, &[(name, value)]), Err(error));
    }
    let twice = [("sec-websocket-protocol", &b"chat"[..]); 2];
    assert_eq!(judge(&config, 200, &twice), Err(E::SeveralSubprotocols));
    let config = Config::builder().require_subprotocol(true).build().unwrap();
    assert_eq!(judge(&config, 200, &[]), Err(E::SubprotocolMissing));
}

#[test]
fn good_request_at_a_server() {
    // rfc8441-4-03, 5-06, 5-07, rfc9113-8.3.1-02
    let connect = parse_all(&SAMPLE).expect("good");
    assert_eq!((connect.scheme(), connect.host(), connect.resource()), ("https", "h:9", "/chat?x"));
    assert_eq!(
        (connect.origin(), connect.header("Origin")),
        (Some("https://o"), Some(&b"https://o"[..]))
    );
    assert!(connect.subprotocols().eq(["chat", "superchat"]));
    assert_eq!((connect.headers().count(), connect.extensions().count()), (3, 0));
    assert!(!format!("{connect:?}").contains("chat"));
    for good in [
        with("origin", ""),
        with("sec-websocket-protocol", ""),
        with(":scheme", "http"),
        plus("sec-websocket-key", "ignored"),
        plus("sec-websocket-extensions", "foo; bar"),
        plus("sec-websocket-protocol", "third"),
        plus("host", "h:9"),
        plus("host", "H:9"),
        plus("host", "h:0009"),
        [&plus("host", "h:9")[..], &[("host", "H:9")]].concat(),
        [&with(":authority", "h")[..], &[("host", "h:443")]].concat(),
        [&with(":authority", "h:443")[..], &[("host", "h")]].concat(),
        plus("expect", "100-continue"),
    ] {
        assert!(parse_all(&good).is_ok(), "{good:?}");
    }
}

#[test]
fn empty_list_of_subprotocols_offers_none() {
    // rfc8441-5-07, rfc6455-4.2.2-11
    for value in [",", ",\t, ,"] {
        let headers = with("sec-websocket-protocol", value);
        let connect = parse_all(&headers).expect("good");
        assert_eq!(connect.subprotocols().count(), 0);
        let accept = |accept| connect.accept(&accept, &Config::default()).map(|_| ());
        assert_eq!(accept(Accept::new().subprotocol("")), Err(UsageError::SubprotocolNotOffered));
        assert_eq!(accept(Accept::new()), Ok(()));
    }
}

#[test]
fn bad_requests_at_a_server() {
    // rfc8441-4-02, 5-01, 5-04, 5-07, rfc9220-3-03, rfc9113-8.2.1-01, -02, -03, 8.3.1-01, -03
    use HandshakeError as E;
    for (headers, error, status) in [
        (with(":method", "GET"), E::InvalidExtendedConnect, 400),
        (with(":method", ""), E::InvalidExtendedConnect, 400),
        (with(":protocol", ""), E::InvalidExtendedConnect, 400),
        (with(":protocol", "foo"), E::OtherProtocol, 501),
        (with(":scheme", ""), E::InvalidExtendedConnect, 400),
        (with(":scheme", "wss"), E::InvalidExtendedConnect, 400),
        (with(":path", ""), E::InvalidExtendedConnect, 400),
        (with(":path", "chat"), E::InvalidExtendedConnect, 400),
        (with(":path", "/a b"), E::InvalidExtendedConnect, 400),
        (with(":path", "/a#b"), E::InvalidExtendedConnect, 400),
        (with(":authority", ""), E::InvalidExtendedConnect, 400),
        (with(":authority", "u@h"), E::InvalidExtendedConnect, 400),
        (plus(":path", "/"), E::InvalidExtendedConnect, 400),
        (plus(":status", "200"), E::InvalidExtendedConnect, 400),
        ([&[("x", "y")], &SAMPLE[..]].concat(), E::InvalidExtendedConnect, 400),
        ([&SAMPLE[..1], &SAMPLE[..]].concat(), E::InvalidExtendedConnect, 400),
        (plus("connection", "upgrade"), E::InvalidExtendedConnect, 400),
        (plus("upgrade", "websocket"), E::InvalidExtendedConnect, 400),
        (plus("transfer-encoding", "chunked"), E::InvalidExtendedConnect, 400),
        (plus("X-Upper", "x"), E::InvalidExtendedConnect, 400),
        (plus("x y", "x"), E::InvalidExtendedConnect, 400),
        (plus("x", "a\r\nb"), E::InvalidExtendedConnect, 400),
        // RFC 9113 8.2.1: no value begins or ends with white space.
        (plus("x", " a"), E::InvalidExtendedConnect, 400),
        (plus("x", "a\t"), E::InvalidExtendedConnect, 400),
        (with("sec-websocket-protocol", " "), E::InvalidExtendedConnect, 400),
        (with("sec-websocket-version", "13 "), E::InvalidExtendedConnect, 400),
        (with("origin", "\thttps://o"), E::InvalidExtendedConnect, 400),
        (plus("origin", "https://o"), E::InvalidExtendedConnect, 400),
        (plus("host", "h"), E::InvalidExtendedConnect, 400),
        (plus("host", "h:443"), E::InvalidExtendedConnect, 400),
        (plus("host", "g:9"), E::InvalidExtendedConnect, 400),
        (plus("host", ""), E::InvalidExtendedConnect, 400),
        (plus("host", "h:9, h:9"), E::InvalidExtendedConnect, 400),
        ([&plus("host", "h:9")[..], &[("host", "g")]].concat(), E::InvalidExtendedConnect, 400),
        (with(":path", "?q"), E::InvalidExtendedConnect, 400),
        (plus("content-length", "5"), E::Body, 400),
        (with("sec-websocket-version", ""), E::Version { seen: None }, 400),
        (with("sec-websocket-version", "8"), E::Version { seen: Some(8) }, 400),
        (plus("sec-websocket-version", "13"), E::DuplicateVersion, 400),
        (with("sec-websocket-protocol", "a b"), E::InvalidSubprotocol, 400),
        (
            plus("sec-websocket-protocol", "chat"),
            E::DuplicateSubprotocol { name: "chat".into() },
            400,
        ),
        (plus("sec-websocket-extensions", "a;;"), E::InvalidExtensions, 400),
    ] {
        let refused = parse_all(&headers).expect_err("bad");
        let response = refused.response();
        assert_eq!((refused.error(), response.status()), (&error, status), "{headers:?}");
        let version = matches!(error, E::Version { .. }).then_some(&b"13"[..]);
        assert_eq!(response.headers().get("sec-websocket-version"), version);
    }
}

#[test]
fn accepting() {
    // rfc8441-5-06, 5-08
    let connect = parse_all(&SAMPLE).expect("good");
    let pair = |name: &str, value: &[u8]| (name.to_string(), value.to_vec());
    let accept = |accept: Accept<'_>| -> Result<Vec<_>, UsageError> {
        let accepted = connect.accept(&accept, &Config::default())?;
        assert_eq!(accepted.status, 200);
        Ok(accepted.headers.headers().map(|header| pair(header.name, header.value)).collect())
    };
    assert_eq!(accept(Accept::new()), Ok(vec![]));
    assert_eq!(
        accept(Accept::new().subprotocol("chat").header("Set-Cookie", "a=b")),
        Ok(vec![pair("sec-websocket-protocol", b"chat"), pair("set-cookie", b"a=b")])
    );
    assert_eq!(accept(Accept::new().subprotocol("x")), Err(UsageError::SubprotocolNotOffered));
    assert_eq!(accept(Accept::new().header("upgrade", "x")), Err(UsageError::ReservedHeader));
}
