//! WebSocket over a stream of HTTP/2 or HTTP/3 (RFC 8441, RFC 9220): a client's extended CONNECT, a server's response,
//! and the connection on the stream. Unit tests in `src/handshake` test the single headers.

mod util;

use util::*;
use websocket_proto::handshake::{Accepted, ExtendedConnect, HeaderList};
use websocket_proto::{
    Accept, ClientRequest, CloseCause, Config, Connection, HandshakeError, OriginPolicy,
    ProtocolError, Role, State, Timestamp, UsageError,
};

fn request() -> ClientRequest {
    let uri = "wss://example.com:8443/chat?room=1";
    ClientRequest::new(uri).expect("a valid URI").subprotocol("chat").subprotocol("superchat")
}

/// The headers in the form in which an HTTP stack passes them.
fn received<'h>(list: &'h HeaderList<'_>) -> Vec<(&'h str, &'h [u8])> {
    list.headers().map(|header| (header.name, header.value)).collect()
}

/// Passes the server's response to the client, and returns the agreed subprotocol or the error.
fn judge(request: &ClientRequest, response: &Accepted) -> Result<Option<String>, HandshakeError> {
    request
        .extended_response(response.status, &response.headers, &Config::default())
        .map(|response| response.subprotocol.map(str::to_string))
}

#[test]
fn client_and_server_agree_without_key_and_accept() {
    // rfc8441-4-01, rfc8441-4-02, rfc8441-4-03, rfc8441-5-01, rfc8441-5-02, rfc8441-5-03, rfc8441-5-04, rfc8441-5-05,
    // rfc8441-5-06, rfc8441-5-07, rfc8441-5-08, rfc9220-3-01
    for (uri, scheme, authority, resource) in [
        ("wss://example.com:8443/chat?room=1", "https", "example.com:8443", "/chat?room=1"),
        ("ws://example.com:8443", "http", "example.com:8443", "/"),
        ("wss://[::1]:443/?a", "https", "[::1]", "/?a"),
    ] {
        let request = ClientRequest::new(uri)
            .expect("a valid URI")
            .origin("https://example.com")
            .subprotocol("chat")
            .header("Authorization", "Bearer x");
        let headers = request.extended_connect(&Config::default()).expect("a valid request");
        for name in headers.headers().map(|header| header.name) {
            assert_eq!(name, name.to_ascii_lowercase());
            let is_old = ["host", "connection", "upgrade", "sec-websocket-key"].contains(&name);
            assert!(!is_old, "{name} belongs to HTTP/1.1");
        }
        let connect = ExtendedConnect::parse(received(&headers), &Config::default())
            .expect("a valid CONNECT");
        assert_eq!(
            (connect.scheme(), connect.host(), connect.resource()),
            (scheme, authority, resource)
        );
        assert!(connect.subprotocols().eq(["chat"]));
        assert_eq!(connect.header("authorization"), Some(&b"Bearer x"[..]));
        let policy = OriginPolicy::new(["https://example.com"]).unwrap();
        assert!(policy.is_allowed(connect.origin()));
        for (accept, chosen) in [
            (Accept::new(), None),
            (Accept::new().subprotocol("chat").header("X-Y", "z"), Some("chat")),
        ] {
            let response = connect.accept(&accept, &Config::default()).expect("chat was offered");
            assert_eq!(response.status, 200);
            assert_eq!(response.headers.headers().get("sec-websocket-accept"), None);
            assert_eq!(judge(&request, &response), Ok(chosen.map(str::to_string)));
        }
        let other = connect.accept(&Accept::new().subprotocol("Chat"), &Config::default());
        assert_eq!(other, Err(UsageError::SubprotocolNotOffered));
    }
}

#[test]
fn server_refuses_with_a_status_that_the_client_reports() {
    // rfc8441-5-01, rfc8441-5-04, rfc9220-3-03, rfc6455-4.4-01
    let request = request();
    for (name, value, status, headers) in [
        (":protocol", "connect-udp", 501, &[][..]),
        (":protocol", "WebSocket", 501, &[]),
        (":method", "GET", 400, &[]),
        (":scheme", "wss", 400, &[]),
        (":path", "", 400, &[]),
        ("sec-websocket-version", "8", 400, &[("sec-websocket-version", "13")]),
        ("upgrade", "websocket", 400, &[]),
        ("connection", "Upgrade", 400, &[]),
    ] {
        let list = request.extended_connect(&Config::default()).expect("a valid request");
        let mut sent = received(&list);
        match sent.iter_mut().find(|(other, _)| *other == name) {
            Some(header) => header.1 = value.as_bytes(),
            None => sent.push((name, value.as_bytes())),
        }
        let response =
            ExtendedConnect::parse(sent, &Config::default()).expect_err("a bad CONNECT").response();
        let text = response.headers().map(|header| (header.name, header.value_str().unwrap()));
        assert_eq!(response.status(), status, "{name}: {value}");
        assert!(text.eq(headers.iter().copied()), "{name}: {value}");
        let verdict =
            request.extended_response(response.status(), response.headers(), &Config::default());
        assert_eq!(verdict, Err(HandshakeError::Status { status }));
    }
}

#[test]
fn client_refuses_what_it_did_not_offer() {
    // rfc8441-5-07, rfc8441-5-08, rfc8441-8-01, rfc6455-4.1-51, rfc6455-4.1-52
    let request = request();
    let header = |name: &'static str, value: &'static str| vec![(name, value.as_bytes())];
    let protocol = "sec-websocket-protocol";
    let extensions = "sec-websocket-extensions";
    for (status, headers, error) in [
        (101, vec![], HandshakeError::Status { status: 101 }),
        (302, header("location", "/"), HandshakeError::Status { status: 302 }),
        (
            200,
            header(protocol, "other"),
            HandshakeError::SubprotocolNotOffered { name: "other".into() },
        ),
        (200, header(protocol, "chat, superchat"), HandshakeError::InvalidSubprotocol),
        (
            200,
            header(extensions, "permessage-deflate"),
            HandshakeError::ExtensionNotOffered { name: "permessage-deflate".into() },
        ),
        (200, header(extensions, ""), HandshakeError::InvalidExtensions),
    ] {
        let verdict = request.extended_response(status, headers.clone(), &Config::default());
        assert_eq!(verdict, Err(error), "{status} {headers:?}");
    }
    // RFC 8441 5: Sec-WebSocket-Accept is ignored.
    let headers = header("sec-websocket-accept", "wrong");
    assert!(request.extended_response(200, headers, &Config::default()).is_ok());
}

#[test]
fn requests_that_cannot_be_sent_are_refused() {
    use UsageError as E;
    for (request, error) in [
        (request().header("a", "b\r\nc: d"), E::InvalidHeaderValue),
        (request().header(":path", "/"), E::InvalidHeaderName),
        (request().header("Host", "h"), E::ReservedHeader),
        (request().header("Upgrade", "x"), E::ReservedHeader),
        (request().header("Connection", "x"), E::ReservedHeader),
        (request().header("Keep-Alive", "x"), E::ReservedHeader),
        (request().header("Proxy-Connection", "x"), E::ReservedHeader),
        (request().header("TE", "gzip"), E::ReservedHeader),
        (request().header("Sec-WebSocket-Key", "x"), E::ReservedHeader),
        (request().origin("a\0"), E::InvalidHeaderValue),
        (request().subprotocol("chat"), E::DuplicateSubprotocol),
    ] {
        assert_eq!(request.extended_connect(&Config::default()), Err(error), "{request:?}");
    }
}

/// Moves all outgoing bytes of `from` to `to`, and returns them.
fn transfer(from: &mut Connection, to: &mut Connection, log: &mut Log) -> Vec<u8> {
    let bytes = drain(from);
    feed(to, &bytes, log);
    bytes
}

#[test]
fn connection_on_a_stream_is_open_at_once_and_masks_as_over_http_1() {
    // rfc8441-5-09, rfc8441-8-01, rfc6455-5.1-01, rfc6455-5.1-04
    let (mut client, mut server) = (open(Role::Client), open(Role::Server));
    let (mut at_client, mut at_server) = (Log::default(), Log::default());
    for conn in [&client, &server] {
        assert_eq!((conn.state(), conn.outgoing_len(), conn.wants_read()), (State::Open, 0, true));
    }
    assert_eq!(server.accept(&Accept::new()), Err(UsageError::NoRequestPending));
    client.send("to the server").expect("open");
    client.ping(b"p").expect("open");
    server.send("to the client").expect("open");
    let bytes = transfer(&mut client, &mut server, &mut at_server);
    assert!(read_frames(&bytes).iter().all(|frame| frame.key.is_some()));
    let bytes = transfer(&mut server, &mut client, &mut at_client);
    assert!(read_frames(&bytes).iter().all(|frame| frame.key.is_none()));
    let text = |text: &str| Seen::Text(text.to_string());
    // The ping and its pong go before messages that are not begun.
    assert_eq!(at_server.seen, [Seen::Ping(b"p".to_vec()), text("to the server")]);
    assert_eq!(at_client.seen, [Seen::Pong(b"p".to_vec()), text("to the client")]);
    // RFC 6455 5.1 still applies: an unmasked frame fails the server, a masked one the client.
    for role in ROLES {
        let outcome = run(&mut open(role), &[&to(other(role), 0x81, b"x")]);
        let error = match role {
            Role::Server => ProtocolError::UnmaskedFrame,
            Role::Client => ProtocolError::MaskedFrame,
        };
        assert_eq!(outcome.seen, [Seen::failed(error)]);
    }
}

#[test]
fn end_of_the_stream_is_the_end_of_the_transport() {
    // rfc8441-5-10, rfc9220-3-05
    let (mut client, mut server) = (open(Role::Client), open(Role::Server));
    let (mut at_client, mut at_server) = (Log::default(), Log::default());
    client.close(1000, "done").expect("1000 can be sent");
    transfer(&mut client, &mut server, &mut at_server);
    assert_eq!(at_server.seen, [Seen::closed(1000, "done", CloseCause::Peer)]);
    assert!(!server.wants_shutdown(), "the server shuts down before its own Close is written");
    transfer(&mut server, &mut client, &mut at_client);
    assert_eq!(at_client.seen, [Seen::closed(1000, "", CloseCause::Local)]);
    // The server ends the stream first; the client is finished when it sees that end.
    assert!(server.wants_shutdown() && server.is_finished());
    assert!(!client.wants_shutdown() && !client.is_finished());
    client.receive_eof();
    assert!(client.is_finished() && client.poll_event().is_none());
    // The end of the stream without a Close.
    for role in ROLES {
        let mut conn = open(role);
        conn.receive_eof();
        let outcome = run(&mut conn, &[]);
        assert_eq!(outcome.seen, [Seen::lost(CloseCause::TransportEnded)]);
        assert!(conn.is_finished() && conn.wants_shutdown());
    }
}

#[test]
fn reset_of_the_stream_is_the_loss_of_the_transport() {
    // rfc8441-5-11, rfc9220-3-06
    for role in ROLES {
        let mut conn = open(role);
        conn.send("unsent").expect("open");
        feed(&mut conn, &to(role, 0x81, b"half")[..4], &mut Log::default());
        conn.abort();
        let outcome = run(&mut conn, &[&to(role, 0x81, b"x")]);
        assert_eq!(outcome.seen, [Seen::lost(CloseCause::Aborted)]);
        assert!(outcome.output.is_empty() && conn.is_finished());
    }
}

#[test]
fn reset_is_wanted_exactly_if_the_stream_was_given_up() {
    // rfc8441-5-10, rfc8441-5-11, rfc9220-3-05, rfc9220-3-06
    type End = fn(&mut Connection);
    fn time_out(conn: &mut Connection) {
        let mut now = Timestamp::from_millis(0);
        while let Some(wake) = conn.tick(now) {
            assert!(!conn.wants_reset(), "before the timeout");
            now = wake;
        }
        assert!(conn.is_finished());
    }
    fn peer_closes(conn: &mut Connection) {
        feed(conn, &to(conn.role(), 0x88, b"\x03\xe8"), &mut Log::default());
    }
    fn fail(conn: &mut Connection) {
        feed(conn, &to(conn.role(), 0x83, b""), &mut Log::default());
    }
    let rows: [(&str, bool, End); 16] = [
        ("open", false, |_| {}),
        ("the peer ends without a Close", false, Connection::receive_eof),
        ("a write fails", false, Connection::write_closed),
        ("the peer closes and ends", false, |conn| {
            peer_closes(conn);
            drain(conn);
            conn.receive_eof();
        }),
        ("a failure, drained to the end", false, |conn| {
            fail(conn);
            drain(conn);
            conn.receive_eof();
        }),
        ("abort after the end", false, |conn| {
            peer_closes(conn);
            drain(conn);
            conn.receive_eof();
            assert!(conn.is_finished());
            conn.abort();
        }),
        ("the peer closes and does not end", false, |conn| {
            peer_closes(conn);
            drain(conn);
            time_out(conn);
        }),
        ("our Close is answered by a peer that does not end", false, |conn| {
            conn.close(1000, "").unwrap();
            drain(conn);
            peer_closes(conn);
            time_out(conn);
        }),
        ("abort", true, Connection::abort),
        ("abort in the middle of a frame", true, |conn| {
            conn.send("text").unwrap();
            conn.advance(1);
            conn.abort();
        }),
        ("abort instead of an answer to the peer's Close", true, |conn| {
            peer_closes(conn);
            conn.abort();
        }),
        ("our Close is not written", true, |conn| {
            conn.close(1000, "").unwrap();
            time_out(conn);
        }),
        ("our Close is not answered", true, |conn| {
            conn.close(1000, "").unwrap();
            drain(conn);
            time_out(conn);
        }),
        ("the answer to the peer's Close is not written", true, |conn| {
            peer_closes(conn);
            time_out(conn);
        }),
        ("the answer is not written to a peer that has ended", true, |conn| {
            peer_closes(conn);
            conn.advance(1);
            conn.receive_eof();
            time_out(conn);
        }),
        ("a failed connection is not ended by the peer", true, |conn| {
            fail(conn);
            drain(conn);
            time_out(conn);
        }),
    ];
    for role in ROLES {
        for (name, is_reset, end) in rows {
            let mut conn = open(role);
            end(&mut conn);
            assert_eq!(conn.wants_reset(), is_reset, "{role:?}: {name}");
            // Both questions can be true, so that a loop without resets still ends the transport.
            if is_reset {
                assert!(conn.is_finished() && conn.wants_shutdown(), "{role:?}: {name}");
            }
            conn.write_closed();
            conn.receive_eof();
            assert_eq!(conn.wants_reset(), is_reset, "{role:?}: {name}, later");
            assert!(!conn.wants_shutdown());
        }
    }
}

#[cfg(feature = "http")]
#[test]
fn types_of_the_crate_http_pass_through_both_ends() {
    // rfc8441-4-03, rfc8441-5-01, rfc9220-3-01
    use http::{Method, Request, Response, StatusCode};
    let config = config();
    let client = request().origin("https://a").header("X-Bytes", &[b'a', 0xe9]);
    let list = client.extended_connect(&config).expect("a valid request");
    let request: Request<()> = Request::try_from(&list).expect("few headers");
    assert_eq!(request.method(), Method::CONNECT);
    assert_eq!(request.uri(), "https://example.com:8443/chat?room=1");
    let connect = ExtendedConnect::from_http(&request, "websocket", &Config::default())
        .expect("a valid request");
    assert_eq!(Ok(&connect), ExtendedConnect::parse(&list, &Config::default()).as_ref());
    let accepted = connect.accept(&Accept::new().subprotocol("chat"), &config).unwrap();
    let response: Response<()> = Response::try_from(&accepted).expect("few headers");
    assert_eq!(response.status(), StatusCode::OK);
    let agreed = client.extended_response(200, response.headers(), &config);
    assert_eq!(agreed.unwrap().subprotocol, Some("chat"));

    // What is missing or wrong gets the status that it gets from a list.
    let status = |request: &Request<()>, protocol| {
        let error = ExtendedConnect::from_http(request, protocol, &Config::default())
            .expect_err("a bad request");
        let response: Response<Vec<u8>> = error.response().try_into().expect("few headers");
        response.status().as_u16()
    };
    assert_eq!(status(&request, "connect-udp"), 501);
    for change in [
        (|r| *r.method_mut() = Method::GET) as fn(&mut Request<()>),
        |r| *r.uri_mut() = "/chat".parse().unwrap(),
        |r| *r.uri_mut() = "example.com:443".parse().unwrap(),
        |r| *r.uri_mut() = "ftp://example.com/".parse().unwrap(),
        |r| drop(r.headers_mut().insert("upgrade", "websocket".parse().unwrap())),
        |r| drop(r.headers_mut().insert("sec-websocket-version", "8".parse().unwrap())),
        |r| drop(r.headers_mut().insert("host", "other".parse().unwrap())),
    ] {
        let mut request = request.clone();
        change(&mut request);
        assert_eq!(status(&request, "websocket"), 400, "{request:?}");
    }
    // A list that is no request.
    assert!(Request::<()>::try_from(&accepted.headers).is_err());
}

#[cfg(feature = "deflate")]
#[test]
fn compression_is_agreed_on_as_over_http_1() {
    // rfc8441-5-07, rfc7692-5-15
    let config = builder().deflate(websocket_proto::Deflate::default()).build().unwrap();
    let request = ClientRequest::new("wss://example.com/chat").expect("a valid URI");
    let list = request.extended_connect(&config).expect("a valid request");
    let connect = ExtendedConnect::parse(&list, &Config::default()).expect("a valid request");
    let accepted = connect.accept(&Accept::new(), &config).expect("nothing was chosen");
    let response = &accepted.headers;
    let opened = request.extended_response(200, response, &config).expect("a valid response");
    assert_eq!(opened.upgrade.deflate_params(), accepted.upgrade.deflate_params());
    let params = accepted.upgrade.deflate_params().expect("both ends are configured for it");
    let mut client = Connection::from_upgrade(
        websocket_proto::Upgrade::new(Role::Client).deflate(params),
        config.clone(),
    )
    .unwrap();
    let mut server = Connection::from_upgrade(
        websocket_proto::Upgrade::new(Role::Server).deflate(params),
        config.clone(),
    )
    .unwrap();
    let text = "compressed ".repeat(20);
    client.send(&text[..]).unwrap();
    let bytes = drain(&mut client);
    assert!(bytes[0] == 0xc1 && bytes.len() < text.len());
    assert_eq!(run(&mut server, &[&bytes]).seen, [Seen::Text(text)]);
    // A client that did not offer compression refuses it; a server without it in its configuration does not accept it.
    let verdict = request.extended_response(200, response, &Config::default());
    assert_eq!(
        verdict.map(|_| ()),
        Err(HandshakeError::ExtensionNotOffered { name: "permessage-deflate".into() })
    );
    let plain = connect.accept(&Accept::new(), &Config::default()).expect("nothing was chosen");
    assert_eq!((plain.headers.headers().count(), plain.upgrade.deflate_params()), (0, None));
}

#[cfg(feature = "deflate")]
#[test]
fn missing_required_extension_is_an_error_as_over_http_1() {
    // rfc6455-7.4.1-10
    let request = ClientRequest::new("wss://example.com/chat").expect("a valid URI");
    let without: [(&str, &[u8]); 0] = [];
    for (required, verdict) in [(false, Ok(None)), (true, Err(HandshakeError::ExtensionMissing))] {
        let mut deflate = websocket_proto::Deflate::default();
        deflate.required = required;
        let config = builder().deflate(deflate).build().unwrap();
        let response = request.extended_response(200, without, &config);
        assert_eq!(response.map(|response| response.upgrade.deflate_params()), verdict);
    }
}

#[test]
fn unreadable_origin_is_not_treated_as_absent() {
    // rfc6455-10.2-01, rfc6455-4.2.2-05
    let request = request();
    let headers = request.extended_connect(&config()).expect("a valid request");
    for (origin, is_good) in [("https://a", true), ("https://a\u{e9}", false)] {
        let mut all = received(&headers);
        all.retain(|(name, _)| *name != "origin");
        all.push(("origin", origin.as_bytes()));
        let parsed = ExtendedConnect::parse(all.iter().copied(), &Config::default());
        assert_eq!(
            parsed.as_ref().map(|connect| connect.origin()).ok(),
            is_good.then_some(Some(origin))
        );
    }
}

#[test]
fn connection_specific_headers_are_refused_on_a_stream() {
    // rfc8441-5-04; RFC 9113 8.2.2, in both directions
    let config = config();
    let rows = [
        ("connection", "x", false),
        ("keep-alive", "x", false),
        ("proxy-connection", "x", false),
        ("te", "gzip", false),
        ("te", "Trailers", true),
        ("trailer", "x", true),
    ];
    for (name, value, is_good) in rows {
        let with = request().header(name, value);
        assert_eq!(with.extended_connect(&config).is_ok(), is_good, "{name}: {value}");
        let request = request();
        let headers = request.extended_connect(&config).expect("a valid request");
        let mut all = received(&headers);
        let connect = ExtendedConnect::parse(all.iter().copied(), &Config::default())
            .expect("a valid request");
        let accepted = connect.accept(&Accept::new().header(name, value), &config);
        assert_eq!(accepted.is_ok(), is_good, "{name}: {value}");
        all.push((name, value.as_bytes()));
        let parsed = ExtendedConnect::parse(all.iter().copied(), &Config::default());
        assert_eq!(parsed.is_ok(), is_good, "{name}: {value}");
        if let Err(refusal) = parsed {
            assert_eq!(refusal.to_string(), refusal.error().to_string());
            assert_ne!(refusal.to_string(), "");
        }
    }
}

#[test]
fn limits_of_heads_hold_for_lists_of_headers() {
    // rfc6455-10.4-01
    use HandshakeError as E;
    let request = request();
    let sent = request.extended_connect(&config()).expect("a valid request");
    let all = received(&sent);
    let len: usize = all.iter().map(|(name, value)| name.len() + 4 + value.len()).sum();
    let limits = |headers, bytes| {
        builder().max_headers(headers).max_head_bytes(bytes).build().expect("allowed values")
    };
    for (headers, bytes, error) in [
        (all.len(), len, None),
        (all.len() - 1, len, Some(E::TooManyHeaders { limit: all.len() - 1 })),
        (all.len(), len - 1, Some(E::HeadTooLong { limit: len - 1 })),
    ] {
        let config = limits(headers, bytes);
        let parsed = ExtendedConnect::parse(all.iter().copied(), &config);
        let refused = parsed.err();
        assert_eq!(refused.as_ref().map(|refused| refused.error()), error.as_ref());
        // RFC 6585 5.
        assert!(refused.is_none_or(|refused| refused.response().status() == 431));
        // The same for a client, with these headers in a response.
        let plain = ClientRequest::new("wss://h/").expect("a valid URI");
        let others = all.iter().filter(|(name, _)| !name.starts_with("sec-websocket-p")).copied();
        let filler = all.iter().filter(|(name, _)| name.starts_with("sec-websocket-p"));
        let filler = filler.map(|(name, value)| (&"xxxxxxxxxxxxxxxxxxxxxx"[..name.len()], *value));
        assert_eq!(plain.extended_response(200, others.chain(filler), &config).err(), error);
    }
    // Headers without an end are read up to the limit.
    let config = config();
    let pulled = std::cell::Cell::new(0);
    let endless =
        |name| std::iter::repeat((name, &b"b"[..])).inspect(|_| pulled.set(pulled.get() + 1));
    let limit = config.max_headers();
    let pseudo = all[..5].iter().copied();
    let parsed = ExtendedConnect::parse(pseudo.chain(endless("a")), &config);
    assert_eq!(
        parsed.err().map(|refused| refused.error().clone()),
        Some(E::TooManyHeaders { limit })
    );
    let judged = request.extended_response(200, endless("sec-websocket-protocol"), &config);
    assert_eq!(judged.err(), Some(E::TooManyHeaders { limit }));
    assert!(pulled.get() <= 2 * (limit + 1));
}
