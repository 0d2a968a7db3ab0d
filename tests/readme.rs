//! The program of the README is the example `echo`, and people copy it. These tests run its loop, and the same loop for
//! a client, against raw sockets that end in different ways.
#![cfg(feature = "std")]

mod util;

#[allow(dead_code, reason = "its `main` is run as an example")]
#[path = "../docs/examples/echo.rs"]
mod echo;

use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use util::*;
use websocket_proto::{
    Clock, CloseCause, CloseCode, Closed, Config, Connection, Event, Role, State,
};

const MIB: usize = 1 << 20;

#[test]
fn the_readme_shows_the_example() {
    let example = include_str!("../docs/examples/echo.rs");
    let (_, program) = example.split_once("\n\n").expect("the example begins with a doc comment");
    // In the example `serve` is `pub(crate)`, so that the tests can call it.
    let program = program.replace("pub(crate) fn", "fn");
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("## The loop\n").expect("the README has this part");
    let (_, rest) = rest.split_once("```rust,no_run\n").expect("it has a program");
    let (shown, _) = rest.split_once("```\n").expect("the README's code block ends");
    assert_eq!(shown, program);
}

/// Two ends of a TCP connection over loopback.
fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

/// Runs `peer` against the README's server, and returns how the server's connection ended.
fn with_server(config: Config, peer: impl FnOnce(TcpStream)) -> Closed {
    let (ours, theirs) = sockets();
    let server = std::thread::spawn(move || echo::serve(ours, config.into()));
    peer(theirs);
    server.join().unwrap().unwrap().expect("the end is reported")
}

/// Sends a request, and reads the 101.
fn upgrade(stream: &mut TcpStream) {
    stream.write_all(REQUEST).unwrap();
    let mut response = vec![0; response_to(REQUEST).len()];
    stream.read_exact(&mut response).unwrap();
    assert_eq!(response, response_to(REQUEST));
}

/// Reads until the end or an error.
fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut buf) = (Vec::new(), [0; 65_536]);
    while let Ok(n @ 1..) = stream.read(&mut buf) {
        all.extend_from_slice(&buf[..n]);
    }
    all
}

/// The README's loop for a client. It sends `messages` when it is open, and closes after them if `closes`.
fn client(mut stream: TcpStream, messages: &[Vec<u8>], closes: bool) -> Result<Option<Closed>> {
    stream.set_nodelay(true)?;
    let request = websocket_proto::ClientRequest::new("ws://example.com/")?;
    let mut conn = Connection::client(&request, Config::default())?;
    let mut buf = [0; 16 * 1024];
    let (mut filled, mut end, clock) = (0, None, Clock::new());
    loop {
        let mut input = &mut buf[..std::mem::take(&mut filled)];
        while let Some(event) = conn.receive(&mut input) {
            match event {
                Event::Open(_) => {
                    for message in messages {
                        conn.send(&message[..])?;
                    }
                    if closes {
                        conn.close(1000, "")?;
                    }
                }
                Event::Closed(closed) => end = Some(closed),
                _ => {}
            }
        }
        if conn.wants_write() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = conn.outgoing_slices(&mut slices);
            match stream.write_vectored(&slices[..count]) {
                Ok(n @ 1..) => conn.advance(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => conn.write_closed(),
            }
            continue;
        }
        if conn.wants_shutdown() {
            let _ = stream.shutdown(Shutdown::Write);
            conn.write_closed();
        }
        if conn.is_finished() {
            return Ok(end);
        }
        let wake = conn.tick(clock.now());
        if conn.wants_write() || conn.is_finished() {
            continue;
        }
        stream.set_read_timeout(wake.map(|wake| clock.until(wake)))?;
        match stream.read(&mut buf) {
            Ok(0) => conn.receive_eof(),
            Ok(n) => filled = n,
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                _ => conn.abort(),
            },
        }
    }
}

/// Answers the request of a client.
fn accept(stream: &mut TcpStream) {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        request.extend(byte);
    }
    stream.write_all(&response_to(&request)).unwrap();
}

fn assert_last_word(closed: &Closed, code: u16, reason: &str, name: &str) {
    let seen = (closed.code(), closed.reason(), closed.is_clean(), closed.cause());
    assert_eq!(seen, (CloseCode::from(code), reason, true, &CloseCause::Peer), "{name}");
}

#[test]
fn a_client_reports_why_a_server_drops_its_upload() {
    // rfc6455-7.1.5-01, rfc6455-7.1.6-01: the client is sending 32 MiB when the server closes with 1009 and drops the
    // socket
    let messages = vec![vec![1; MIB]; 32];
    for piece in [1, usize::MAX] {
        let (ours, mut theirs) = sockets();
        let messages = messages.clone();
        let client = std::thread::spawn(move || client(ours, &messages, false));
        theirs.set_nodelay(true).unwrap();
        accept(&mut theirs);
        let mut first = [0; 1000];
        theirs.read_exact(&mut first).unwrap();
        let last_word = to(Role::Client, 0x88, b"\x03\xf1too big");
        for piece in last_word.chunks(piece.min(last_word.len())) {
            theirs.write_all(piece).unwrap();
        }
        drop(theirs);
        let closed = client.join().unwrap().unwrap().expect("the end is reported");
        assert_last_word(&closed, 1009, "too big", &format!("by {piece}"));
    }
}

#[test]
fn the_server_reports_the_close_of_a_client_that_does_not_read() {
    // rfc6455-7.1.5-01: writing the echoes fails, before or after the server reads the Close
    for (echoes, piece) in [(0, 1), (1, 1), (5, usize::MAX), (3, 1000)] {
        let closed = with_server(Config::default(), |mut stream| {
            stream.set_nodelay(true).unwrap();
            upgrade(&mut stream);
            let message = to(Role::Server, 0x82, &[7; 10_000]);
            let last_word = to(Role::Server, 0x88, b"\x03\xe9leaving");
            let bytes = [message.repeat(echoes), last_word].concat();
            for piece in bytes.chunks(piece.min(bytes.len())) {
                stream.write_all(piece).unwrap();
            }
            // The echoes are unread, so the kernel resets the connection.
        });
        assert_last_word(&closed, 1001, "leaving", &format!("{echoes} echoes by {piece}"));
    }
}

#[test]
fn the_server_reports_a_close_that_arrives_while_it_writes() {
    // The echo of 24 MiB does not fit into the sockets, so the server is writing when the client resets the connection.
    let config =
        Config::builder().max_frame_bytes(64 << 20).max_message_bytes(64 << 20).build().unwrap();
    let closed = with_server(config, |mut stream| {
        upgrade(&mut stream);
        let bytes =
            [to(Role::Server, 0x82, &vec![7; 24 * MIB]), to(Role::Server, 0x88, b"\x03\xf1")];
        stream.write_all(&bytes.concat()).unwrap();
        // The echo has begun.
        stream.read_exact(&mut [0; 1000]).unwrap();
    });
    assert_last_word(&closed, 1009, "", "while writing");
}

#[test]
fn the_server_ends_cleanly_whichever_end_closes() {
    // rfc6455-7.1.1-01, rfc6455-5.5.1-13: the server answers the Close, and shuts down its side first
    let closed = with_server(Config::default(), |mut stream| {
        upgrade(&mut stream);
        let message = to(Role::Server, 0x81, b"Hello");
        stream.write_all(&[message, to(Role::Server, 0x88, b"\x03\xe8")].concat()).unwrap();
        assert_eq!(read_all(&mut stream), b"\x81\x05Hello\x88\x02\x03\xe8");
    });
    assert_last_word(&closed, 1000, "", "closed");
    // A client's loop shuts down its side too: the server reads an EOF, not an error.
    let (ours, mut theirs) = sockets();
    let client = std::thread::spawn(move || client(ours, &[b"Hello".to_vec()], true));
    accept(&mut theirs);
    theirs.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut sent = vec![0; 2 + 4 + 5 + 2 + 4 + 2];
    theirs.read_exact(&mut sent).unwrap();
    assert_eq!(plain_frames(&sent), [(0x82, b"Hello".to_vec()), (0x88, b"\x03\xe8".to_vec())]);
    theirs.write_all(b"\x88\x02\x03\xe8").unwrap();
    theirs.shutdown(Shutdown::Write).unwrap();
    assert_eq!(theirs.read(&mut [0; 10]).unwrap(), 0, "the client shuts down after the server");
    let closed = client.join().unwrap().unwrap().expect("the end is reported");
    assert_eq!((closed.is_clean(), closed.cause()), (true, &CloseCause::Local));
}

#[test]
fn the_server_outlives_its_timeouts_and_reports_them() {
    let config = Config::builder().handshake_timeout(Duration::from_millis(100)).build().unwrap();
    let closed = with_server(config, |mut stream| {
        stream.write_all(&REQUEST[..40]).unwrap();
        let response = String::from_utf8(read_all(&mut stream)).unwrap();
        assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    });
    assert_eq!(*closed.cause(), CloseCause::TimedOut(websocket_proto::Timeout::Handshake));
    // A read timeout is not an error: pings are sent, and the connection of a peer that answers stays open.
    let config = Config::builder()
        .keepalive_interval(Duration::from_millis(20))
        .idle_timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let closed = with_server(config, |mut stream| {
        upgrade(&mut stream);
        for _ in 0..5 {
            let mut ping = [0; 2];
            stream.read_exact(&mut ping).unwrap();
            assert_eq!(ping, [0x89, 0]);
            stream.write_all(&to(Role::Server, 0x8a, b"")).unwrap();
        }
        stream.write_all(&to(Role::Server, 0x88, b"\x03\xe8")).unwrap();
        read_all(&mut stream);
    });
    assert_last_word(&closed, 1000, "", "pinged");
}

#[test]
fn the_server_reports_an_end_without_a_close() {
    // rfc6455-7.1.5-03
    for request in [&REQUEST[..10], REQUEST] {
        let closed = with_server(Config::default(), |mut stream| {
            stream.write_all(request).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            read_all(&mut stream);
        });
        assert_eq!(
            (closed.code(), closed.cause()),
            (CloseCode::ABNORMAL, &CloseCause::TransportEnded)
        );
    }
}

#[test]
fn nothing_is_sent_once_the_state_is_not_open() {
    // The program checks the state before it echoes: `send` would be an error, and `?` would end the loop too early.
    let mut conn = open(Role::Server);
    conn.write_closed();
    assert_eq!(conn.state(), State::Closing);
    assert!(conn.send("late").is_err());
}
