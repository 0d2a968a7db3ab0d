//! A client for a terminal or a pipe. It sends each line of standard input as a text message, and prints the messages
//! that it receives. A line that is not UTF-8 is not sent, and reported on standard error.
//!
//! `cargo run --release --example client URL [--once TEXT]`. With `--once` it sends `TEXT`, and closes after the first
//! message that it receives.
//!
//! After the last line it closes with 1000: at a terminal at once, otherwise 2 seconds later, to receive answers.
//! SIGINT or SIGTERM closes with 1001. The exit status is 0 if the connection was closed cleanly, 1 if not, and 2 for
//! wrong arguments.

use std::io::{BufRead, Error, ErrorKind, IoSlice, IsTerminal, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use websocket_proto::{
    ClientRequest, Clock, CloseCode, Closed, Config, Connection, Event, Message, Timestamp,
};

/// The time to receive messages after the last line.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the main thread waits for. It owns the connection.
enum Happening {
    Bytes(Vec<u8>),
    TransportEnded,
    TransportFailed,
    Line(String),
    LastLine,
    Signal,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (url, once) = match arguments[..] {
        [url] if !url.starts_with('-') => (url, None),
        [url, "--once", text] => (url, Some(text)),
        _ => {
            eprintln!("usage: client URL [--once TEXT]");
            return ExitCode::from(2);
        }
    };
    match run(url, once) {
        Ok(closed) if closed.is_clean() => {
            eprintln!("closed: {} {}", closed.code(), closed.reason().escape_debug());
            ExitCode::SUCCESS
        }
        Ok(closed) => {
            match closed.refusal() {
                Some(refusal) => {
                    let body = String::from_utf8_lossy(refusal.body());
                    eprintln!("refused with status {}\n{}", refusal.status(), body.escape_debug());
                }
                None => eprintln!("not closed cleanly: {}", closed.cause()),
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Connects, and runs until the connection has ended.
fn run(url: &str, once: Option<&str>) -> Result<Closed> {
    let request = ClientRequest::new(url)?;
    let uri = request.uri();
    if uri.is_secure() {
        let text = "this example speaks ws:// only; wss:// needs a TLS library";
        return Err(Error::new(ErrorKind::Unsupported, text));
    }
    let stream = TcpStream::connect((uri.host(), uri.port())).map_err(|error| {
        Error::new(error.kind(), format!("cannot connect to {}: {error}", uri.authority()))
    })?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?; // if the server stops reading
    let (happenings, inbox) = channel();
    let signals = happenings.clone();
    // Sending fails only when the main thread has ended.
    ctrlc::set_handler(move || drop(signals.send(Happening::Signal))).map_err(Error::other)?;
    read_transport(stream.try_clone()?, happenings.clone());
    let conn = Connection::client(&request, Config::default())?;
    Client { stream, conn, once, happenings, inbox, close_at: None, end: None }.run()
}

struct Client<'a> {
    stream: TcpStream,
    conn: Connection,
    once: Option<&'a str>,
    /// For the thread that reads standard input. It starts when the connection is open.
    happenings: Sender<Happening>,
    inbox: Receiver<Happening>,
    /// When to close, after the last line was sent.
    close_at: Option<Timestamp>,
    end: Option<Closed>,
}

impl Client<'_> {
    /// Runs the loop until the connection has ended.
    fn run(mut self) -> Result<Closed> {
        let clock = Clock::new();
        let mut bytes = Vec::new();
        loop {
            let mut input = &mut bytes[..];
            while let Some(event) = self.conn.receive(&mut input) {
                self.react(event)?;
            }
            bytes.clear();
            if self.conn.wants_write() {
                let mut slices = [IoSlice::new(&[]); 16];
                let count = self.conn.outgoing_slices(&mut slices);
                // It may block, since another thread reads.
                match self.stream.write_vectored(&slices[..count]) {
                    Ok(n @ 1..) => self.conn.advance(n),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => self.conn.write_closed(), // the server's Close can still arrive
                }
                continue;
            }
            if self.conn.wants_shutdown() {
                let _ = self.stream.shutdown(Shutdown::Write); // fails if the server has gone
                self.conn.write_closed();
            }
            if self.conn.is_finished() {
                return self
                    .end
                    .ok_or_else(|| Error::other("the connection ended without a Closed event"));
            }
            let now = clock.now();
            if self.close_at.take_if(|close_at| *close_at <= now).is_some() {
                self.conn.close(CloseCode::NORMAL, "")?;
            }
            let wake = self.conn.tick(now);
            if self.conn.wants_write() || self.conn.is_finished() {
                continue;
            }
            let wake = wake.into_iter().chain(self.close_at).min();
            let wait = wake.map_or(Duration::from_secs(3600), |wake| clock.until(wake));
            match self.inbox.recv_timeout(wait) {
                Ok(Happening::Bytes(read)) => bytes = read,
                Ok(Happening::TransportEnded) => self.conn.receive_eof(),
                Ok(Happening::TransportFailed) => self.conn.abort(),
                Ok(Happening::Line(line)) => {
                    if let Err(error) = self.conn.send(line) {
                        eprintln!("not sent: {error}");
                    }
                }
                Ok(Happening::LastLine) => {
                    let is_awaited = !std::io::stdin().is_terminal();
                    self.close_at = Some(if is_awaited { now + PATIENCE } else { now });
                }
                Ok(Happening::Signal) => self.conn.close(CloseCode::GOING_AWAY, "")?,
                Err(_) => {} // the wait is over: `tick` is next
            }
        }
    }

    fn react(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Open(response) => {
                match response.subprotocol() {
                    Some(name) => eprintln!("open, subprotocol {name}"),
                    None => eprintln!("open"),
                }
                match self.once {
                    Some(text) => self.conn.send(text)?,
                    None => read_lines(self.happenings.clone()),
                }
            }
            Event::Message(message) => {
                match &message {
                    Message::Text(text) => writeln!(std::io::stdout(), "{text}")?,
                    Message::Binary(bytes) => {
                        writeln!(std::io::stdout(), "({} bytes of binary)", bytes.len())?;
                    }
                }
                if self.once.is_some() {
                    self.conn.close(CloseCode::NORMAL, "")?;
                }
            }
            Event::Closed(closed) => self.end = Some(closed),
            _ => {}
        }
        Ok(())
    }
}

fn read_transport(mut stream: TcpStream, happenings: Sender<Happening>) {
    thread::spawn(move || {
        let mut buf = [0; 16 * 1024];
        loop {
            let happening = match stream.read(&mut buf) {
                Ok(0) => Happening::TransportEnded,
                Ok(n) => Happening::Bytes(buf[..n].to_vec()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => Happening::TransportFailed,
            };
            let is_last = !matches!(happening, Happening::Bytes(_));
            if happenings.send(happening).is_err() || is_last {
                return;
            }
        }
    });
}

fn read_lines(happenings: Sender<Happening>) {
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let sent = match line {
                Ok(line) => happenings.send(Happening::Line(line)),
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    eprintln!("not sent: a line that is not UTF-8");
                    Ok(())
                }
                Err(_) => break,
            };
            if sent.is_err() {
                return;
            }
        }
        let _ = happenings.send(Happening::LastLine);
    });
}
