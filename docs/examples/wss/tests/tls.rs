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
fn a_request_of_more_than_rustls_holds_is_sent() {
    // rustls holds 64 KiB of a client's bytes before its handshake is done.
    let ((client_tls, server_tls), (ours, theirs)) = (tls(), sockets());
    let config = Config::builder().max_head_bytes(1 << 20).build().unwrap();
    let accept =
        thread::spawn(move || WebSocket::accept(Tls::new(server_tls, theirs).unwrap(), config));
    let cookie = "x".repeat(200_000);
    let request = ClientRequest::new("wss://localhost/").unwrap().header("Cookie", cookie);
    let ours = Tls::new(client_tls, ours).unwrap();
    assert!(WebSocket::connect(ours, &request, Config::default()).is_ok());
    assert!(accept.join().unwrap().is_ok());
}

/// Fills both buffers of a socket with bytes that are not of TLS. Returns their number.
fn clog(mut socket: &TcpStream) -> u64 {
    let (mut bytes, mut waits) = (0, 0);
    socket.set_nonblocking(true).unwrap();
    // The kernel makes the buffers longer while it moves bytes from one to the other.
    while waits < 10 {
        match socket.write(&[0; 4096]).or_else(|_| socket.write(&[0])) {
            Ok(n) => (bytes, waits) = (bytes + n as u64, 0),
            Err(_) => {
                waits += 1;
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
    socket.set_nonblocking(false).unwrap();
    bytes
}

/// Reads what `clog` has written.
fn unclog(socket: &mut TcpStream, bytes: u64) {
    std::io::copy(&mut socket.take(bytes), &mut std::io::sink()).unwrap();
}

#[test]
fn the_end_of_a_handshake_that_the_peer_takes_late_is_written() {
    let began = Instant::now();
    let ((client_tls, mut server_tls), (ours, mut theirs)) = (tls(), sockets());
    let second = ours.try_clone().unwrap();
    let connect = thread::spawn(move || {
        let request = ClientRequest::new("wss://localhost/").unwrap();
        let ours = Tls::new(client_tls, ours).unwrap();
        WebSocket::connect(ours, &request, Config::default()).map(drop)
    });
    while !server_tls.wants_write() {
        server_tls.read_tls(&mut theirs).unwrap();
        server_tls.process_new_packets().unwrap();
    }
    let bytes = clog(&second);
    while server_tls.wants_write() {
        server_tls.write_tls(&mut theirs).unwrap();
    }
    drop(second);
    thread::sleep(SHORT); // the client's writes time out
    unclog(&mut theirs, bytes);
    // `WebSocket::accept` goes on with the TLS handshake.
    let mut server =
        WebSocket::accept(Tls::new(server_tls, theirs).unwrap(), Config::default()).unwrap();
    connect.join().unwrap().unwrap();
    assert!(server.recv().is_err(), "the client was dropped without a Close");
    assert!(began.elapsed() < Duration::from_secs(4), "less than the handshake timeout");
}

#[test]
fn a_peer_that_does_not_take_the_handshake_is_given_up() {
    let ((mut client_tls, server_tls), (mut ours, theirs)) = (tls(), sockets());
    let config = Config::builder().handshake_timeout(SHORT).close_timeout(SHORT).build().unwrap();
    clog(&theirs);
    client_tls.write_tls(&mut ours).unwrap();
    let (done, is_done) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let result = WebSocket::accept(Tls::new(server_tls, theirs).unwrap(), config);
        done.send(result.map(drop)).unwrap();
    });
    let result = is_done.recv_timeout(Duration::from_secs(2)).unwrap();
    let Err(Error::Closed(closed)) = result else { panic!("{result:?}") };
    assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Handshake));
}

#[test]
fn a_peer_that_ends_a_late_handshake_is_not_waited_for() {
    let ((_client_tls, server_tls), (ours, theirs)) = (tls(), sockets());
    let config = Config::builder().handshake_timeout(SHORT).build().unwrap();
    let accept = thread::spawn(move || {
        let began = Instant::now();
        let result = WebSocket::accept(Tls::new(server_tls, theirs).unwrap(), config);
        (result.map(drop), began.elapsed())
    });
    thread::sleep(2 * SHORT);
    ours.shutdown(Shutdown::Write).unwrap();
    let (result, time) = accept.join().unwrap();
    let Err(Error::Closed(closed)) = result else { panic!("{result:?}") };
    assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Handshake));
    assert!(time < Duration::from_secs(4), "less than the close timeout: {time:?}");
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

/// Does the TLS handshake, and sends a request.
fn request(client: &mut ClientConnection, socket: &mut TcpStream) {
    while client.is_handshaking() {
        client.complete_io(socket).unwrap();
    }
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    client.writer().write_all(request.as_bytes()).unwrap();
    client.complete_io(socket).unwrap();
}

#[test]
fn the_end_of_tcp_without_a_close_notify_is_an_end_without_a_close() {
    // RFC 8446 6.1, rfc6455-7.1.5-03
    let ((mut client_tls, server_tls), (mut ours, theirs)) = (tls(), sockets());
    let accept = thread::spawn(move || {
        WebSocket::accept(Tls::new(server_tls, theirs).unwrap(), Config::default())?.recv()
    });
    request(&mut client_tls, &mut ours);
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

#[test]
fn a_message_before_a_record_that_is_not_valid_is_received() {
    // In one piece of 4 KiB, and in several records.
    for len in [200u16, 20_000] {
        let ((mut client_tls, server_tls), (mut ours, theirs)) = (tls(), sockets());
        let (opened, is_open) = std::sync::mpsc::channel();
        let (sent, is_sent) = std::sync::mpsc::channel();
        let accept = thread::spawn(move || {
            let tls = Tls::new(server_tls, theirs).unwrap();
            let mut server = WebSocket::accept(tls, Config::default()).unwrap();
            opened.send(()).unwrap();
            is_sent.recv().unwrap();
            (server.recv(), server.recv())
        });
        request(&mut client_tls, &mut ours);
        is_open.recv().unwrap();
        let frame = [&[0x82, 0xFE][..], &len.to_be_bytes(), &[0; 4], &vec![7; len.into()]].concat();
        client_tls.writer().write_all(&frame).unwrap();
        let mut records = Vec::new();
        while client_tls.wants_write() {
            client_tls.write_tls(&mut records).unwrap();
        }
        // RFC 8446 5.2: the outer type, the version, the length, and bytes that were not encrypted.
        records.extend([23, 3, 3, 0, 32].into_iter().chain([0; 32]));
        ours.write_all(&records).unwrap();
        sent.send(()).unwrap();
        let (message, end) = accept.join().unwrap();
        assert!(message.unwrap() == Some(Message::from(vec![7; len.into()])), "{len}");
        let Err(Error::Io(error)) = end else { panic!("{end:?}") };
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    }
}
