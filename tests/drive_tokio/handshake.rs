//! The opening handshake of both roles: answers, refusals, and what is handed on.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use websocket_proto::drive::tokio::{Incoming, WebSocket};
use websocket_proto::drive::{Error, Request};
use websocket_proto::{
    Accept, ClientRequest, CloseCause, HandshakeError, Message, ProtocolError, Response, Role,
    UpgradeRequest, UsageError,
};

use super::util::{builder, config, response_to, to};

const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: v1, v2\r\n\r\n";
#[cfg(feature = "deflate")]
const DEFLATING: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: v1, v2\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
const PLAIN: &[u8] = b"POST /page HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody";

/// Sends `bytes` to a server, ends the direction, and returns what the server answers.
async fn ask(mut client: DuplexStream, bytes: &[u8]) -> String {
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// The cause of an end.
fn cause<T: std::fmt::Debug>(result: Result<T, Error>) -> CloseCause {
    match result {
        Err(Error::Closed(closed)) => closed.into_cause(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_ends_open_and_frames_behind_the_heads_are_received() {
    let (client, mut server) = duplex(4096);
    let request = ClientRequest::new("ws://a.test/chat").unwrap().subprotocol("v2");
    let serve = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(server.read_u8().await.unwrap());
        }
        let mut answer = response_to(&head);
        answer.extend(to(Role::Client, 0x81, b"early"));
        server.write_all(&answer).await.unwrap();
    };
    let (opened, ()) = tokio::join!(WebSocket::connect(client, &request, config()), serve);
    let (mut ws, response) = opened.unwrap();
    assert_eq!(response.subprotocol(), None);
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("early")));

    let (mut client, server) = duplex(4096);
    let bytes = [REQUEST, &to(Role::Server, 0x81, b"early")].concat();
    client.write_all(&bytes).await.unwrap();
    let mut ws = WebSocket::accept_with(server, config(), |request| {
        assert_eq!(request.resource(), "/chat");
        let chosen = request.subprotocols().last().unwrap();
        Ok(Accept::new().subprotocol(chosen).header("X", request.host()))
    })
    .await
    .unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("early")));
    drop(ws);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.contains("Sec-WebSocket-Protocol: v2\r\nX: a.test\r\n"), "{answer}");
}

#[tokio::test]
async fn a_server_answers_what_it_does_not_accept() {
    fn deny<'r>(_: &'r UpgradeRequest<'static>) -> Result<Accept<'r>, Response> {
        Err(Response::new(403).body("no"))
    }
    fn wrong<'r>(_: &'r UpgradeRequest<'static>) -> Result<Accept<'r>, Response> {
        Ok(Accept::new().subprotocol("not offered"))
    }
    for (bytes, decide, status, expected) in [
        (PLAIN, 0, "426 ", Some(CloseCause::Answered)),
        (REQUEST, 1, "403 ", Some(CloseCause::Rejected)),
        (REQUEST, 2, "500 ", None),
        (&b"GET / HTTP/1.1\r\n\r\n"[..], 0, "426 ", Some(CloseCause::Answered)),
        (
            b"nonsense\r\n\r\n",
            0,
            "400 ",
            Some(CloseCause::Protocol(ProtocolError::Handshake(HandshakeError::RequestLine))),
        ),
    ] {
        let (client, server) = duplex(4096);
        let serve = async {
            match decide {
                0 => WebSocket::accept(server, config()).await,
                1 => WebSocket::accept_with(server, config(), deny).await,
                _ => WebSocket::accept_with(server, config(), wrong).await,
            }
        };
        let (answer, result) = tokio::join!(ask(client, bytes), serve);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        match expected {
            Some(expected) => assert_eq!(cause(result), expected),
            None => assert!(matches!(result, Err(Error::Usage(UsageError::SubprotocolNotOffered)))),
        }
    }
}

#[tokio::test]
async fn a_server_sees_the_request_and_answers_later() {
    let (mut client, server) = duplex(4096);
    client.write_all(REQUEST).await.unwrap();
    let incoming = Incoming::receive(server, config()).await.unwrap();
    assert!(matches!(incoming.request(), Request::Upgrade(request) if request.host() == "a.test"));
    // What the client sends meanwhile is received after the answer.
    client.write_all(&to(Role::Server, 0x81, b"soon")).await.unwrap();
    tokio::task::yield_now().await;
    let mut ws = incoming.accept(&Accept::new()).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("soon")));

    let (client, server) = duplex(4096);
    let serve = async {
        let incoming = Incoming::receive(server, config()).await.unwrap();
        assert!(
            matches!(incoming.request(), Request::Plain(request) if request.method() == "POST")
        );
        incoming.respond(Response::new(200).body("page")).await.unwrap()
    };
    let (answer, closed) = tokio::join!(ask(client, PLAIN), serve);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\npage"), "{answer}");
    assert_eq!(*closed.cause(), CloseCause::Answered);

    let (client, server) = duplex(4096);
    let serve = async {
        let incoming = Incoming::receive(server, config()).await.unwrap();
        incoming.accept(&Accept::new()).await.map(drop)
    };
    let (answer, result) = tokio::join!(ask(client, PLAIN), serve);
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(matches!(result, Err(Error::Usage(UsageError::NoRequestPending))));
}

/// RFC 6455 9.1: the extensions are those of the second configuration. So are the limits: the early frame has 5 bytes.
#[cfg(feature = "deflate")]
#[tokio::test]
async fn a_server_accepts_with_a_configuration_of_its_own_at_every_cut() {
    use websocket_proto::Deflate;
    let few = builder().max_message_bytes(4).build().unwrap();
    let many = builder().max_message_bytes(5).deflate(Deflate::default()).build().unwrap();
    let bytes = [DEFLATING, &to(Role::Server, 0x81, b"early")].concat();
    for is_more in [true, false] {
        let (first, second) = if is_more { (&few, &many) } else { (&many, &few) };
        for cut in 1..=bytes.len() {
            let (mut client, server) = duplex(4096);
            client.write_all(&bytes[..cut]).await.unwrap();
            let serve = async {
                let incoming = Incoming::receive(server, first.clone()).await.unwrap();
                let Request::Upgrade(request) = incoming.request() else { panic!() };
                let request = request.clone();
                let chosen = request.subprotocols().last().unwrap();
                let accept = Accept::new().subprotocol(chosen).header("X", request.host());
                let mut ws = incoming.accept_with(&accept, second.clone()).await.unwrap();
                assert_eq!(ws.with(|conn| conn.deflate_params().is_some()), is_more);
                match (is_more, ws.recv().await) {
                    (true, Ok(message)) => assert_eq!(message, Some(Message::from("early"))),
                    (false, Err(Error::Closed(closed))) => {
                        assert_eq!(closed.sent_code(), Some(1009.into()));
                    }
                    (_, other) => panic!("{other:?}"),
                }
            };
            let ask = async {
                tokio::task::yield_now().await;
                client.write_all(&bytes[cut..]).await.unwrap();
                client.shutdown().await.unwrap();
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).await.unwrap();
                String::from_utf8_lossy(&answer).into_owned()
            };
            let ((), answer) = tokio::join!(serve, ask);
            assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
            assert!(answer.contains("Sec-WebSocket-Protocol: v2\r\n"), "{answer}");
            assert!(answer.contains("X: a.test\r\n"), "{answer}");
            assert_eq!(answer.contains("permessage-deflate"), is_more, "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_server_that_cannot_accept_with_another_configuration_answers_500() {
    let limit = |bytes| builder().max_head_bytes(bytes).build().unwrap();
    let head_bytes = REQUEST.len();
    for (bytes, subprotocol, config, error) in [
        (PLAIN, None, config(), UsageError::NoRequestPending),
        (REQUEST, None, limit(head_bytes - 1), UsageError::NoRequestPending),
        (REQUEST, Some("not offered"), limit(head_bytes), UsageError::SubprotocolNotOffered),
    ] {
        let (client, server) = duplex(4096);
        let serve = async {
            let incoming = Incoming::receive(server, super::util::config()).await.unwrap();
            let accept = subprotocol.map_or(Accept::new(), |name| Accept::new().subprotocol(name));
            incoming.accept_with(&accept, config).await.map(drop)
        };
        let (answer, result) = tokio::join!(ask(client, bytes), serve);
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        let Err(Error::Usage(seen)) = result else { panic!("{result:?}") };
        assert_eq!(seen, error);
    }
}

#[tokio::test]
async fn a_101_that_cannot_be_written_is_an_error_with_either_configuration() {
    for is_other in [false, true] {
        let (mut client, server) = duplex(4096);
        client.write_all(REQUEST).await.unwrap();
        let incoming = Incoming::receive(server, config()).await.unwrap();
        drop(client);
        let result = match is_other {
            true => incoming.accept_with(&Accept::new(), config()).await,
            false => incoming.accept(&Accept::new()).await,
        };
        let Err(Error::Io(error)) = result else { panic!("{result:?}") };
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
}

#[tokio::test]
async fn a_request_is_handed_on_with_all_bytes_that_were_read() {
    for bytes in [PLAIN, REQUEST] {
        for cut in 0..bytes.len() {
            let (mut client, server) = duplex(4096);
            client.write_all(&bytes[..cut]).await.unwrap();
            let (incoming, ()) = tokio::join!(Incoming::receive(server, config()), async {
                tokio::task::yield_now().await;
                client.write_all(&bytes[cut..]).await.unwrap();
            });
            let (mut server, mut read) = incoming.unwrap().into_parts();
            client.shutdown().await.unwrap();
            server.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, bytes, "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_client_gets_the_refusal() {
    for (answer, status) in [
        (&b"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nlogin"[..], Some(401)),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", None),
        (b"", None),
    ] {
        let (client, mut server) = duplex(4096);
        let request = ClientRequest::new("ws://a.test/").unwrap();
        server.write_all(answer).await.unwrap();
        server.shutdown().await.unwrap();
        let result = WebSocket::connect(client, &request, config()).await;
        let Err(Error::Closed(closed)) = result else { panic!("{result:?}") };
        assert_eq!(closed.refusal().map(|refusal| refusal.status()), status);
        if let Some(refusal) = closed.refusal() {
            assert_eq!(refusal.body(), b"login");
            let error = std::io::Error::from(Error::Closed(closed));
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        }
    }
    let request = ClientRequest::new("ws://a.test/").unwrap().header("a b", "");
    let (client, _server) = duplex(4096);
    let result = WebSocket::connect(client, &request, config()).await;
    assert!(matches!(result, Err(Error::Usage(UsageError::InvalidHeaderName))));
}
