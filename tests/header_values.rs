//! Header values are bytes (RFC 9110 5.5), in what the caller sets and in what the peer sends. For every byte, at the
//! beginning, in the middle and at the end of a value: whether it is allowed, and that it arrives unchanged.

mod util;

use std::borrow::Cow;
use std::fmt::Debug;

use util::*;
use websocket_proto::handshake::{
    ExtendedConnect, HeaderList, HeaderValue, Headers, ProxyRequest, ProxyTunnel,
};
use websocket_proto::{
    Accept, ClientRequest, CloseCause, Config, Connection, Event, HandshakeError, ProtocolError,
    Response, Role, UsageError,
};

/// Values with each byte in three places. The flags: whether a received value may have the byte there, and whether a
/// value set by the caller may.
fn values() -> impl Iterator<Item = (Vec<u8>, bool, bool)> {
    (0..=255u8).flat_map(|byte| {
        let within = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        let at_ends = within && !matches!(byte, b' ' | b'\t');
        [
            (vec![b'a', byte, b'b'], within, within),
            (vec![byte, b'a'], within, at_ends),
            (vec![b'a', byte], within, at_ends),
        ]
    })
}

fn request() -> ClientRequest {
    ClientRequest::new("ws://example.com/chat").expect("a valid URI")
}

/// The value of the header `X` in a written head.
fn written(head: &[u8]) -> Vec<u8> {
    let begin = head.windows(3).position(|three| three == b"X: ");
    let rest = &head[begin.expect("the head has the header") + 3..];
    let end = rest.windows(2).position(|two| two == b"\r\n").expect("the line has an end");
    rest[..end].to_vec()
}

/// A server that has received `head` and waits for the caller's decision.
fn deciding(head: &[u8]) -> Connection {
    let mut conn = Connection::server(config());
    assert_eq!(run(&mut conn, &[head]).seen.len(), 1);
    conn
}

#[test]
fn values_set_by_the_caller_are_sent_unchanged_or_refused() {
    // rfc9110-5.5-01, rfc9110-5.5-02, rfc9110-5.5-03, rfc6455-4.1-19
    for (value, _, is_sendable) in values() {
        let error = UsageError::InvalidHeaderValue;
        let check = |what: &str, result: Result<Vec<u8>, UsageError>| {
            let expected = if is_sendable { Ok(value.clone()) } else { Err(error) };
            assert_eq!(result, expected, "{what}: {value:x?}");
        };
        let asked = request().header("X", &value);
        let conn = Connection::client(&asked, config());
        check("request", conn.map(|conn| written(conn.outgoing())));
        let last = |list: HeaderList<'_>| {
            list.headers().last().expect("X is the last header").value.to_vec()
        };
        let extended = asked.extended_connect(&config());
        check("extended CONNECT", extended.map(last));
        let x = |headers: Headers<'_>| headers.get("X").expect("it is there").to_vec();
        check("parts of a request", asked.upgrade(&config()).map(|asked| x(asked.headers())));
        let accept = Accept::new().header("X", &value);
        let mut conn = deciding(REQUEST);
        check("101", conn.accept(&accept).map(|()| written(conn.outgoing())));
        let plain = request();
        let list = plain.extended_connect(&config()).expect("a valid request");
        let connect = ExtendedConnect::parse(&list, &Config::default()).expect("a valid CONNECT");
        let accepted = connect.accept(&accept, &config());
        check("200", accepted.map(|accepted| last(accepted.headers)));
        let response = Response::new(403).header("X", &value);
        let mut conn = deciding(REQUEST);
        check("refusal", conn.respond(response.clone()).map(|()| written(conn.outgoing())));
        let mut conn = deciding(b"GET / HTTP/1.0\r\n\r\n");
        check("answer", conn.respond(response).map(|()| written(conn.outgoing())));
        let asked = ProxyRequest::new(request().uri()).header("X", &value);
        let tunnel = ProxyTunnel::new(&asked, config());
        check("tunnel", tunnel.map(|tunnel| written(tunnel.outgoing())));
    }
}

#[test]
fn caller_sets_names_and_values_as_text_or_as_bytes_everywhere() {
    let (name, text) = (String::from("X"), String::from("a\u{e9}"));
    let bytes = text.clone().into_bytes();
    macro_rules! forms {
        ($new:expr) => {
            [
                $new.header("X", "a\u{e9}"),
                $new.header("X", &text),
                $new.header("X", text.clone()),
                $new.header("X", Cow::Borrowed("a\u{e9}")),
                $new.header("X", Cow::<str>::Owned(text.clone())),
                $new.header("X", &bytes),
                $new.header("X", &bytes[..]),
                $new.header("X", bytes.clone()),
                $new.header("X", Cow::Borrowed(&bytes[..])),
                $new.header("X", b"a\xc3\xa9"),
                $new.header(&name, "a\u{e9}"),
                $new.header(name.clone(), "a\u{e9}"),
                $new.header(Cow::Borrowed("X"), "a\u{e9}"),
            ]
        };
    }
    fn assert_same<T: PartialEq + Debug>(forms: &[T]) {
        assert!(forms.iter().all(|form| *form == forms[0]), "{forms:?}");
    }
    let requests = forms!(request());
    assert_same(&requests);
    let conn = Connection::client(&requests[0], config()).unwrap();
    assert_eq!(written(conn.outgoing()), bytes);
    assert_same(&forms!(Accept::new()));
    assert_same(&forms!(Response::new(403)));
    assert_same(&forms!(ProxyRequest::new(request().uri())));
}

#[test]
fn names_set_by_the_caller_are_tokens() {
    // rfc9110-5.1-01
    for byte in 0..=255u8 {
        let name = format!("X{}y", char::from(byte));
        let separator = b"()<>@,;:\\\"/[]?={} \t".contains(&byte);
        let expected = match (0x21..=0x7e).contains(&byte) && !separator {
            true => Ok(()),
            false => Err(UsageError::InvalidHeaderName),
        };
        let asked = request().header(&name, "v");
        assert_eq!(Connection::client(&asked, config()).map(drop), expected, "{name:?}");
        assert_eq!(asked.extended_connect(&config()).map(drop), expected, "{name:?}");
        let accept = Accept::new().header(&name, "v");
        assert_eq!(deciding(REQUEST).accept(&accept), expected, "{name:?}");
        let response = Response::new(403).header(&name, "v");
        assert_eq!(deciding(REQUEST).respond(response), expected, "{name:?}");
        let asked = ProxyRequest::new(request().uri()).header(&name, "v");
        assert_eq!(ProxyTunnel::new(&asked, config()).map(drop), expected, "{name:?}");
    }
}

/// Feeds a head in pieces. Returns the value of its header `X`, or the error.
fn taken(mut conn: Connection, pieces: &[&[u8]]) -> Result<Vec<u8>, HandshakeError> {
    drain(&mut conn);
    for piece in pieces {
        let mut copy = piece.to_vec();
        let mut input = &mut copy[..];
        let value = match conn.receive(&mut input) {
            None => continue,
            Some(Event::UpgradeRequest(request)) => request.header("x").map(<[u8]>::to_vec),
            Some(Event::PlainRequest(request)) => request.header("x").map(<[u8]>::to_vec),
            Some(Event::Open(response)) => response.header("x").map(<[u8]>::to_vec),
            Some(Event::Closed(closed)) => match closed.cause() {
                CloseCause::Protocol(ProtocolError::Handshake(error)) => match error {
                    HandshakeError::Refused(refusal) => refusal.header("x").map(<[u8]>::to_vec),
                    error => return Err(error.clone()),
                },
                cause => panic!("{cause:?}"),
            },
            Some(other) => panic!("{other:?}"),
        };
        return Ok(value.expect("the event has the header"));
    }
    panic!("no event after the whole head");
}

#[test]
fn received_values_arrive_as_they_were_sent() {
    // rfc9110-5.5-01, rfc9110-5.5-02, rfc9110-5.5-03
    let answer = response_to(&drain(&mut connecting(Role::Client, config())));
    let refusal = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
    let plain = b"GET / HTTP/1.1\r\n\r\n";
    for (role, head) in [
        (Role::Server, REQUEST),
        (Role::Server, plain),
        (Role::Client, &answer),
        (Role::Client, refusal),
    ] {
        // LF is left out: it ends a line, so its effect depends on the bytes around it.
        for (value, passes, _) in values().filter(|(value, ..)| !value.contains(&b'\n')) {
            let mut bytes =
                head.strip_suffix(b"\r\n").expect("the head ends with a blank line").to_vec();
            bytes.extend([b"X:", &value[..], b"\r\n\r\n"].concat());
            // White space around a value is not a part of it.
            let expected = match passes {
                true => Ok(value.trim_ascii().to_vec()),
                false => Err(HandshakeError::InvalidHeaderValue),
            };
            let last = bytes.len() - value.len() - 4;
            for pieces in [
                vec![&bytes[..]],
                bytes.chunks(1).collect(),
                vec![&bytes[..last], &bytes[last..]],
                vec![&bytes[..last + 1], &bytes[last + 1..]],
            ] {
                let conn = connecting(role, config());
                assert_eq!(taken(conn, &pieces), expected, "{role:?} {value:x?}");
            }
        }
    }
}

#[test]
fn values_of_an_extended_connect_arrive_as_they_were_sent() {
    // rfc9110-5.5-01, rfc9110-5.5-02, rfc9113-8.2.1-02, rfc9113-8.2.1-03
    let request = request();
    let list = request.extended_connect(&Config::default()).expect("a valid request");
    for (value, _, passes) in values() {
        let sent = list.headers().chain([("x", &value[..]).into()]);
        match ExtendedConnect::parse(sent, &Config::default()) {
            Ok(connect) => assert!(passes && connect.header("x") == Some(&value), "{value:x?}"),
            Err(refusal) => {
                let error = HandshakeError::InvalidExtendedConnect;
                assert_eq!((passes, refusal.error()), (false, &error), "{value:x?}");
            }
        }
        let received = request.extended_response(200, [("x", &value[..])], &Config::default());
        let error = HandshakeError::InvalidHeaderValue;
        assert_eq!(received.err(), (!passes).then_some(error), "{value:x?}");
    }
}

#[test]
fn a_value_is_the_bytes_that_it_is_made_of() {
    let (text, bytes) = ("caf\u{e9}", "caf\u{e9}".as_bytes());
    let array: &[u8; 5] = bytes.try_into().unwrap();
    let (string, vector) = (String::from(text), bytes.to_vec());
    let values: [HeaderValue<'_>; 9] = [
        text.into(),
        bytes.into(),
        array.into(),
        (&string).into(),
        (&vector).into(),
        string.clone().into(),
        vector.clone().into(),
        Cow::Borrowed(text).into(),
        Cow::Borrowed(bytes).into(),
    ];
    for value in values {
        assert_eq!(value.as_bytes(), bytes);
    }
}
