//! The blocking driver over TLS: messages, both directions at once, timeouts, and each kind of end.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use websocket_proto::drive::{Error, blocking::WebSocket};
use websocket_proto::{ClientRequest, CloseCause, Config, ConfigBuilder, Message, Timeout};
use websocket_proto_wss::Tls;

const SHORT: Duration = Duration::from_millis(200);

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// The TLS of both ends, before their handshake.
fn tls() -> (ClientConnection, ServerConnection) {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    (
        ClientConnection::new(Arc::new(client), name).unwrap(),
        ServerConnection::new(Arc::new(server)).unwrap(),
    )
}

/// An open client and an open server.
fn open(client: ConfigBuilder, server: ConfigBuilder) -> (WebSocket<Tls>, WebSocket<Tls>) {
    let ((client_tls, server_tls), (ours, theirs)) = (tls(), sockets());
    let config = server.build().unwrap();
    let accept =
        thread::spawn(move || WebSocket::accept(Tls::new(server_tls, theirs).unwrap(), config));
    let request = ClientRequest::new("wss://localhost/").unwrap();
    let ours = Tls::new(client_tls, ours).unwrap();
    let (client, _) = WebSocket::connect(ours, &request, client.build().unwrap()).unwrap();
    (client, accept.join().unwrap().unwrap())
}

#[test]
fn messages_of_all_sizes_are_echoed_and_the_end_waits_for_nobody() {
    let began = Instant::now();
    let (mut client, mut server) = open(Config::builder(), Config::builder());
    let echo = thread::spawn(move || {
        while let Some(message) = server.recv().unwrap() {
            server.feed(message).unwrap();
        }
        server // the socket is not dropped before the client has seen the end
    });
    // Around the limits of a record, of rustls's buffer, and of a direct write.
    for len in [0, 1, 125, 16_383, 16_384, 65_535, 65_536, 1 << 20] {
        client.send(vec![7; len]).unwrap();
        assert!(client.recv().unwrap() == Some(Message::from(vec![7; len])), "{len}");
    }
    assert!(client.close(1000, "").unwrap().is_clean());
    drop(echo.join().unwrap());
    assert!(began.elapsed() < Duration::from_secs(4), "less than the close timeout");
}

#[test]
fn both_ends_send_much_at_once() {
    const MUCH: usize = 16 << 20; // more than the sockets hold
    let (client, server) = open(Config::builder(), Config::builder());
    let threads = [client, server].map(|mut ws| {
        thread::spawn(move || {
            ws.with(|conn| conn.send(vec![7; MUCH])).unwrap();
            assert!(ws.recv().unwrap() == Some(Message::from(vec![7; MUCH])));
            ws.flush().unwrap();
            ws
        })
    });
    let ends = threads.map(|thread| thread.join().unwrap());
    drop(ends);
}

#[test]
fn a_silent_peer_is_given_up() {
    let (mut client, _server) =
        open(Config::builder().idle_timeout(SHORT).close_timeout(SHORT), Config::builder());
    let Err(Error::Closed(closed)) = client.recv() else { panic!() };
    assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Idle));
}

#[test]
fn a_handshake_that_arrives_byte_by_byte_gets_no_extra_time() {
    let ((mut client, server_tls), (mut ours, theirs)) = (tls(), sockets());
    let config = Config::builder().handshake_timeout(SHORT).close_timeout(SHORT).build().unwrap();
    let accept = thread::spawn(move || {
        let began = Instant::now();
        let result = WebSocket::accept(Tls::new(server_tls, theirs).unwrap(), config);
        (result.map(drop), began.elapsed())
    });
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    for byte in hello {
        if ours.write_all(&[byte]).is_err() {
            break; // the server has gone
        }
        thread::sleep(Duration::from_millis(20));
    }
    let (result, time) = accept.join().unwrap();
    let Err(Error::Closed(closed)) = result else { panic!("{result:?}") };
    assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Handshake));
    assert!(time < Duration::from_secs(2), "{time:?}");
}

#[test]
fn the_end_of_tcp_without_a_close_notify_is_an_end_without_a_close() {
    // RFC 8446 6.1, rfc6455-7.1.5-03
    let ((mut client_tls, server_tls), (mut ours, theirs)) = (tls(), sockets());
    let accept = thread::spawn(move || {
        WebSocket::accept(Tls::new(server_tls, theirs).unwrap(), Config::default())?.recv()
    });
    while client_tls.is_handshaking() {
        client_tls.complete_io(&mut ours).unwrap();
    }
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    client_tls.writer().write_all(request.as_bytes()).unwrap();
    client_tls.complete_io(&mut ours).unwrap();
    ours.shutdown(Shutdown::Write).unwrap();
    let Err(Error::Closed(closed)) = accept.join().unwrap() else { panic!() };
    assert_eq!(*closed.cause(), CloseCause::TransportEnded);
    ours.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_record_that_is_not_valid_is_an_error_and_answered_by_an_alert() {
    let ((_, server_tls), (mut ours, theirs)) = (tls(), sockets());
    let accept = thread::spawn(move || {
        WebSocket::accept(Tls::new(server_tls, theirs).unwrap(), Config::default()).map(drop)
    });
    ours.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let Err(Error::Io(error)) = accept.join().unwrap() else { panic!() };
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let mut alert = [0];
    ours.read_exact(&mut alert).unwrap();
    assert_eq!(alert, [21], "RFC 8446 5.1: the type of an alert");
}
