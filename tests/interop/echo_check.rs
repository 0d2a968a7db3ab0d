//! A WebSocket client that checks a server. README.md describes its scenarios.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use websocket_proto::{
    ClientRequest, CloseCause, Closed, Config, Connection, Deflate, Event, HandshakeError, Message,
    MessageKind, ProtocolError, Shared,
};

/// The time limit for each answer.
const PATIENCE: Duration = Duration::from_secs(30);
const SIZES: [usize; 9] = [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20, 16 << 20];
const REASON: &str = "auf Wiedersehen, até logo, さようなら";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (url, scenario, deflate) = match arguments[..] {
        [url, scenario] => (url, scenario, false),
        [url, scenario, "--deflate"] => (url, scenario, true),
        _ => return usage(),
    };
    let config = Config::builder().deflate(deflate.then(Deflate::default)).build();
    let config = Shared::new(config.expect("the default options are allowed"));
    let server = &Server { url, config };
    let result = match scenario {
        "echo" => echo(server),
        "fragments" => fragments(server),
        "ping" => ping(server),
        "close" => close(server),
        "receive-fragments" => receive_fragments(server),
        "receive-ping" => receive_ping(server),
        "receive-close" => receive_close(server),
        "subprotocol" => subprotocol(server),
        "reject" => reject(server),
        _ => return usage(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: echo_check URL SCENARIO [--deflate]");
    ExitCode::from(2)
}

/// The address of the server, and the options for it.
struct Server<'a> {
    url: &'a str,
    config: Shared<Config>,
}

/// A connection and its socket.
struct Peer {
    stream: TcpStream,
    conn: Connection,
    events: VecDeque<Event<'static>>,
    buf: Vec<u8>,
    subprotocol: Option<String>,
}

impl Peer {
    fn connect(server: &Server<'_>, path: &str, subprotocols: &[&str]) -> Result<Peer> {
        let mut request =
            ClientRequest::new(&format!("{}{path}", server.url)).map_err(Error::other)?;
        for subprotocol in subprotocols {
            request = request.subprotocol(*subprotocol);
        }
        let stream = TcpStream::connect((request.uri().host(), request.uri().port()))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let conn = Connection::client(&request, server.config.clone())?;
        Ok(Peer {
            stream,
            conn,
            events: VecDeque::new(),
            buf: vec![0; 16 * 1024],
            subprotocol: None,
        })
    }

    fn open(server: &Server<'_>, path: &str, subprotocols: &[&str]) -> Result<Peer> {
        let mut peer = Peer::connect(server, path, subprotocols)?;
        match peer.next()? {
            Event::Open(response) => {
                // If compression was offered, the server must have accepted it.
                expect(
                    response.extensions().count(),
                    usize::from(server.config.deflate().is_some()),
                )?;
                peer.subprotocol = response.subprotocol().map(str::to_string);
            }
            event => return Err(Error::other(format!("not opened: {event:?}"))),
        }
        Ok(peer)
    }

    /// The next event.
    fn next(&mut self) -> Result<Event<'static>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if !self.step()? {
                return Err(Error::other("the connection is over"));
            }
        }
    }

    /// Runs one round of the loop without the events. Returns false when the connection is finished. It never calls
    /// `tick`: a late answer is an error of the read.
    fn step(&mut self) -> Result<bool> {
        if self.conn.wants_write() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.conn.outgoing_slices(&mut slices);
            match self.stream.write_vectored(&slices[..count]) {
                Ok(n @ 1..) => self.conn.advance(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => self.conn.write_closed(),
            }
            return Ok(true);
        }
        if self.conn.wants_shutdown() {
            let _ = self.stream.shutdown(Shutdown::Write); // it fails if the server is gone already
            self.conn.write_closed();
        }
        if self.conn.is_finished() {
            return Ok(false);
        }
        let n = self.stream.read(&mut self.buf)?;
        if n == 0 {
            self.conn.receive_eof();
        }
        let mut input = &mut self.buf[..n];
        while let Some(event) = self.conn.receive(&mut input) {
            self.events.push_back(event.into_owned());
        }
        Ok(true)
    }

    /// Checks that the next event is this message.
    fn echoed(&mut self, expected: impl Into<Message<'static>>) -> Result<()> {
        let expected = expected.into();
        loop {
            match self.next()? {
                Event::Message(message) if message == expected => return Ok(()),
                Event::Ping(_) => {}
                event => return Err(Error::other(format!("expected {expected:?}, got {event:?}"))),
            }
        }
    }

    /// Checks that the next event is the end, and that the server then ends the transport by itself.
    fn closed(&mut self) -> Result<Closed> {
        match self.next()? {
            Event::Closed(closed) => {
                while self.step()? {}
                Ok(closed)
            }
            event => Err(Error::other(format!("expected the end, got {event:?}"))),
        }
    }

    fn finish(mut self) -> Result<()> {
        self.conn.close(1000, "")?;
        let closed = self.closed()?;
        expect((closed.code().get(), closed.is_clean()), (1000, true))
    }
}

/// Runs a named check and prints its result. The scenario continues if the check fails.
fn check(name: &str, body: impl FnOnce() -> Result<()>) {
    match body() {
        Ok(()) => println!("ok {name}"),
        Err(error) => println!("FAILED {name}: {error}"),
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(seen: T, expected: T) -> Result<()> {
    if seen == expected {
        return Ok(());
    }
    Err(Error::other(format!("expected {expected:?}, got {seen:?}")))
}

/// Exactly `size` bytes of UTF-8, with characters of every length.
fn text_of(size: usize) -> String {
    "z".repeat(size % 10) + &"aé€😀".repeat(size / 10)
}

fn binary_of(size: usize) -> Vec<u8> {
    (0..251).cycle().take(size).collect()
}

fn echo(server: &Server<'_>) -> Result<()> {
    let mut peer = Peer::open(server, "/echo", &[])?;
    for size in SIZES {
        check(&format!("text {size}"), || {
            peer.conn.send(text_of(size))?;
            peer.echoed(text_of(size))
        });
        check(&format!("binary {size}"), || {
            let message = binary_of(size);
            peer.conn.send(&message[..])?;
            peer.echoed(message)
        });
    }
    peer.finish()
}

fn fragments(server: &Server<'_>) -> Result<()> {
    let mut peer = Peer::open(server, "/echo", &[])?;
    let text = "Grüße, 世界 😀".repeat(100);
    let binary = binary_of(1000);
    let large = binary_of(100_000);
    check("text cut inside characters", || {
        send_pieces(&mut peer.conn, MessageKind::Text, text.as_bytes().chunks(3))?;
        peer.echoed(text.clone())
    });
    check("one-byte fragments", || {
        send_pieces(&mut peer.conn, MessageKind::Binary, binary.chunks(1))?;
        peer.echoed(binary.clone())
    });
    check("empty fragments", || {
        send_pieces(
            &mut peer.conn,
            MessageKind::Binary,
            ["", "", "abc", "", "def", ""].map(str::as_bytes),
        )?;
        peer.echoed(&b"abcdef"[..])
    });
    check("large fragments", || {
        send_pieces(&mut peer.conn, MessageKind::Binary, [&large[..]; 5])?;
        peer.echoed(large.repeat(5))
    });
    check("pings between fragments", || {
        let pieces = ["one ", "two ", "three"];
        for (i, piece) in pieces.iter().enumerate() {
            peer.conn.ping(piece.as_bytes())?;
            peer.conn.send_fragment(MessageKind::Text, piece.as_bytes(), i + 1 == pieces.len())?;
            peer.events.extend(std::iter::from_fn(|| peer.conn.poll_event()));
        }
        // Pongs and the echo may arrive in any order, but the pongs in the order of the pings, and each once.
        let (mut pongs, mut echoes) = (Vec::new(), 0);
        while pongs.len() < pieces.len() || echoes == 0 {
            match peer.next()? {
                Event::Pong(payload) => pongs.push(String::from_utf8_lossy(&payload).into_owned()),
                Event::Message(message) => {
                    expect(message.as_text(), Some("one two three"))?;
                    echoes += 1;
                }
                event => return Err(Error::other(format!("expected echo or pong, got {event:?}"))),
            }
        }
        expect(pongs, pieces.map(String::from).to_vec())
    });
    peer.finish()
}

fn send_pieces<'a>(
    conn: &mut Connection,
    kind: MessageKind,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<()> {
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        conn.send_fragment(kind, piece, pieces.peek().is_none())?;
    }
    Ok(())
}

fn ping(server: &Server<'_>) -> Result<()> {
    let mut peer = Peer::open(server, "/echo", &[])?;
    for size in [0, 1, 125] {
        check(&format!("{size} bytes"), || {
            peer.conn.ping(&binary_of(size))?;
            match peer.next()? {
                Event::Pong(payload) => expect(payload.into_owned(), binary_of(size)),
                event => Err(Error::other(format!("expected a pong, got {event:?}"))),
            }
        });
    }
    peer.finish()
}

fn close(server: &Server<'_>) -> Result<()> {
    for (name, body) in [
        ("1000", Some((1000, ""))),
        ("1001", Some((1001, "going away"))),
        ("3000", Some((3000, ""))),
        ("4999", Some((4999, REASON))),
        ("none", None),
    ] {
        check(name, || {
            let mut peer = Peer::open(server, "/echo", &[])?;
            match body {
                Some((code, reason)) => peer.conn.close(code, reason)?,
                None => peer.conn.close_without_code(),
            }
            let closed = peer.closed()?;
            let answer = body.map_or(1005, |(code, _)| code);
            expect(
                (closed.code().get(), closed.is_clean(), closed.cause()),
                (answer, true, &CloseCause::Local),
            )
        });
    }
    Ok(())
}

fn receive_fragments(server: &Server<'_>) -> Result<()> {
    let mut peer = Peer::open(server, "/fragments", &[])?;
    for (name, message) in [
        ("text", Message::from(text_of(1000))),
        ("binary", Message::from(binary_of(100_000))),
        ("empty", Message::from("")),
    ] {
        check(name, || {
            peer.conn.send(&message)?;
            peer.echoed(message)
        });
    }
    peer.finish()
}

fn receive_ping(server: &Server<'_>) -> Result<()> {
    let mut peer = Peer::open(server, "/ping", &[])?;
    check("pongs", || peer.echoed("3 pongs"));
    peer.finish()
}

fn receive_close(server: &Server<'_>) -> Result<()> {
    for (name, path, code, reason) in [
        ("1000", "/close/1000".to_string(), 1000, ""),
        ("1001", "/close/1001/going%20away".to_string(), 1001, "going away"),
        ("3000", "/close/3000".to_string(), 3000, ""),
        // The path of a URI must be percent-encoded.
        ("4999", format!("/close/4999/{}", REASON.replace(' ', "%20")), 4999, REASON),
        ("none", "/close".to_string(), 1005, ""),
    ] {
        check(name, || {
            let closed = Peer::open(server, &path, &[])?.closed()?;
            expect((closed.code().get(), closed.reason()), (code, reason))?;
            expect((closed.is_clean(), closed.cause()), (true, &CloseCause::Peer))
        });
    }
    Ok(())
}

fn subprotocol(server: &Server<'_>) -> Result<()> {
    for (name, offered, agreed) in [
        ("one of two", &["other.example", "echo.example"][..], Some("echo.example")),
        ("none of two", &["other.example", "Echo.Example"], None),
        ("none offered", &[], None),
    ] {
        check(name, || {
            let mut peer = Peer::open(server, "/echo", offered)?;
            expect(peer.subprotocol.as_deref(), agreed)?;
            peer.conn.send("hello")?;
            peer.echoed("hello")?;
            peer.finish()
        });
    }
    Ok(())
}

fn reject(server: &Server<'_>) -> Result<()> {
    check("403", || match Peer::connect(server, "/reject", &[])?.next()? {
        Event::Closed(closed) => match closed.into_cause() {
            CloseCause::Protocol(ProtocolError::Handshake(HandshakeError::Refused(refusal))) => {
                expect(refusal.status(), 403)
            }
            cause => Err(Error::other(format!("ended by {cause:?}"))),
        },
        event => Err(Error::other(format!("expected a refusal, got {event:?}"))),
    });
    Ok(())
}
