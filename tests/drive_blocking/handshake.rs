//! The opening handshake of both roles: answers, refusals, and what is handed on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::drive::blocking::{Incoming, WebSocket};
use websocket_proto::drive::{Error, Request};
use websocket_proto::{
    Accept, ClientRequest, CloseCause, Message, Response, Role, Timeout, UsageError,
};

use super::sockets;
use super::util::{REQUEST, builder, config, response_to, to};

#[cfg(feature = "deflate")]
const DEFLATING: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
const PLAIN: &[u8] = b"POST /page HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody";

/// Sends a request, and returns all that the server answers.
fn ask(mut client: TcpStream, request: &'static [u8]) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        client.write_all(request).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    })
}

#[test]
fn both_roles_open_and_talk() {
    let (client, server) = sockets();
    let server = thread::spawn(move || {
        let mut ws = WebSocket::accept(server, config()).unwrap();
        while let Some(message) = ws.recv().unwrap() {
            ws.send(message).unwrap();
        }
        ws.closed().unwrap()
    });
    let request = ClientRequest::new("ws://a.test/").unwrap();
    let (mut ws, response) = WebSocket::connect(client, &request, config()).unwrap();
    assert_eq!(response.subprotocol(), None);
    for len in [0, 125, 126, 16_383, 16_384, 65_536, 1 << 20] {
        ws.send(vec![7; len]).unwrap();
        assert!(ws.recv().unwrap() == Some(Message::from(vec![7; len])), "{len}");
    }
    assert!(ws.close(1000, "bye").unwrap().is_clean());
    assert_eq!(server.join().unwrap().reason(), "bye");
}

#[test]
fn a_refused_client_gets_the_response_and_the_end() {
    for (request, status) in [(PLAIN, "426"), (REQUEST, "403"), (b"nonsense\r\n\r\n", "400")] {
        let (client, server) = sockets();
        let asked = ask(client, request);
        let began = Instant::now();
        let result = WebSocket::accept_with(server, config(), |_| Err(Response::from(403)));
        assert!(matches!(result, Err(Error::Closed(_))), "{result:?}");
        let answer = asked.join().unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
        // The write side was shut down, so nobody has waited for the close timeout of 5 s.
        assert!(began.elapsed() < Duration::from_secs(4));
    }
}

#[test]
fn a_server_sees_the_request_and_answers_later() {
    let (mut client, server) = sockets();
    client.write_all(REQUEST).unwrap();
    client.write_all(&to(Role::Server, 0x81, b"soon")).unwrap();
    let incoming = Incoming::receive(server, config()).unwrap();
    assert!(
        matches!(incoming.request(), Request::Upgrade(request) if request.resource() == "/chat")
    );
    assert!(incoming.transport().peer_addr().is_ok());
    let mut ws = incoming.accept(&Accept::new()).unwrap();
    assert_eq!(ws.recv().unwrap(), Some(Message::from("soon")));

    let (client, server) = sockets();
    let asked = ask(client, PLAIN);
    let incoming = Incoming::receive(server, config()).unwrap();
    let closed = incoming.respond(Response::new(200).body("page")).unwrap();
    assert_eq!(*closed.cause(), CloseCause::Answered);
    assert!(asked.join().unwrap().ends_with("\r\n\r\npage"));

    let (client, server) = sockets();
    let asked = ask(client, PLAIN);
    let incoming = Incoming::receive(server, config()).unwrap();
    let result = incoming.accept(&Accept::new());
    assert!(matches!(result, Err(Error::Usage(UsageError::NoRequestPending))));
    assert!(asked.join().unwrap().starts_with("HTTP/1.1 500 "));
}

/// RFC 6455 9.1: the extensions are those of the second configuration. So are the limits: the early frame has 5 bytes.
#[cfg(feature = "deflate")]
#[test]
fn a_server_accepts_with_a_configuration_of_its_own() {
    use websocket_proto::Deflate;
    let few = builder().max_message_bytes(4).build().unwrap();
    let many = builder().max_message_bytes(5).deflate(Deflate::default()).build().unwrap();
    let early = to(Role::Server, 0x81, b"early");
    for is_more in [true, false] {
        let (first, second) = if is_more { (&few, &many) } else { (&many, &few) };
        // The early frame is read with the request, or after the answer.
        for is_early in [true, false] {
            let (mut client, server) = sockets();
            client.write_all(DEFLATING).unwrap();
            if is_early {
                client.write_all(&early).unwrap();
                thread::sleep(Duration::from_millis(10));
            }
            let incoming = Incoming::receive(server, first.clone()).unwrap();
            let mut ws = incoming.accept_with(&Accept::new(), second.clone()).unwrap();
            if !is_early {
                client.write_all(&early).unwrap();
            }
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(ws.with(|conn| conn.deflate_params().is_some()), is_more);
            match (is_more, ws.recv()) {
                (true, Ok(message)) => assert_eq!(message, Some(Message::from("early"))),
                (false, Err(Error::Closed(closed))) => {
                    assert_eq!(closed.sent_code(), Some(1009.into()));
                }
                (_, other) => panic!("{other:?}"),
            }
            drop(ws);
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
            assert_eq!(answer.contains("permessage-deflate"), is_more, "{answer}");
        }
    }
}

#[test]
fn a_server_that_cannot_accept_with_another_configuration_answers_500() {
    let limit = |bytes| builder().max_head_bytes(bytes).build().unwrap();
    let head_bytes = REQUEST.len();
    for (bytes, subprotocol, config, error) in [
        (PLAIN, None, config(), UsageError::NoRequestPending),
        (REQUEST, None, limit(head_bytes - 1), UsageError::NoRequestPending),
        (REQUEST, Some("not offered"), limit(head_bytes), UsageError::SubprotocolNotOffered),
    ] {
        let (client, server) = sockets();
        let asked = ask(client, bytes);
        let incoming = Incoming::receive(server, super::util::config()).unwrap();
        let accept = subprotocol.map_or(Accept::new(), |name| Accept::new().subprotocol(name));
        let result = incoming.accept_with(&accept, config);
        let Err(Error::Usage(seen)) = result else { panic!("{result:?}") };
        assert_eq!(seen, error);
        assert!(asked.join().unwrap().starts_with("HTTP/1.1 500 "));
    }
}

#[test]
fn a_101_that_cannot_be_written_is_an_error_with_either_configuration() {
    for is_other in [false, true] {
        let (mut client, server) = sockets();
        client.write_all(REQUEST).unwrap();
        let incoming = Incoming::receive(server, config()).unwrap();
        incoming.transport().shutdown(Shutdown::Write).unwrap();
        let result = match is_other {
            true => incoming.accept_with(&Accept::new(), config()),
            false => incoming.accept(&Accept::new()),
        };
        let Err(Error::Io(error)) = result else { panic!("{result:?}") };
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
}

#[test]
fn a_request_is_handed_on_with_all_bytes_and_without_timeouts() {
    for bytes in [PLAIN, REQUEST] {
        for cut in (0..bytes.len()).step_by(7) {
            let (mut client, server) = sockets();
            let sender = thread::spawn(move || {
                client.write_all(&bytes[..cut]).unwrap();
                thread::yield_now();
                client.write_all(&bytes[cut..]).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                client
            });
            let (mut server, mut read) = Incoming::receive(server, config()).unwrap().into_parts();
            assert_eq!(server.read_timeout().unwrap(), None);
            assert_eq!(server.write_timeout().unwrap(), None);
            server.read_to_end(&mut read).unwrap();
            assert_eq!(read, bytes, "cut at {cut}");
            sender.join().unwrap();
        }
    }
}

#[test]
fn a_client_gets_the_refusal() {
    for (answer, status) in [
        (&b"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nlogin"[..], Some(401)),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", None),
        (b"", None),
    ] {
        let (client, mut server) = sockets();
        server.write_all(answer).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        let request = ClientRequest::new("ws://a.test/").unwrap();
        let result = WebSocket::connect(client, &request, config());
        let Err(Error::Closed(closed)) = result else { panic!("{result:?}") };
        assert_eq!(closed.refusal().map(|refusal| refusal.status()), status);
    }
}

#[test]
fn a_handshake_that_takes_too_long_is_given_up() {
    let config = builder().handshake_timeout(Duration::from_millis(100)).build().unwrap();
    let (client, server) = sockets();
    let asked = ask(client, b"GET / HTTP/1.1\r\n");
    let Err(Error::Closed(closed)) = WebSocket::accept(server, config.clone()) else { panic!() };
    assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Handshake));
    assert!(asked.join().unwrap().starts_with("HTTP/1.1 408 "));

    let (client, _server) = sockets();
    let request = ClientRequest::new("ws://a.test/").unwrap();
    let Err(Error::Closed(closed)) = WebSocket::connect(client, &request, config) else { panic!() };
    assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Handshake));
}

#[test]
fn leftovers_of_another_stack_come_first() {
    let (ours, mut theirs) = sockets();
    let bytes = [to(Role::Client, 0x81, b"first"), to(Role::Client, 0x82, &[7; 9000])].concat();
    let mut ws = WebSocket::from_upgrade(ours, Role::Client, &bytes[..100], config()).unwrap();
    theirs.write_all(&bytes[100..]).unwrap();
    assert_eq!(ws.recv().unwrap(), Some(Message::from("first")));
    assert_eq!(ws.recv().unwrap(), Some(Message::from(vec![7; 9000])));
    let (client, mut server) = sockets();
    let request = ClientRequest::new("ws://a.test/").unwrap();
    let connecting = thread::spawn(move || WebSocket::connect(client, &request, config()));
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        server.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    // RFC 6455 4.1: frames may follow the response at once.
    server.write_all(&[response_to(&head), to(Role::Client, 0x81, b"at once")].concat()).unwrap();
    let (mut ws, _) = connecting.join().unwrap().unwrap();
    assert_eq!(ws.recv().unwrap(), Some(Message::from("at once")));
}
