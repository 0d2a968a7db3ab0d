//! An interactive client: a line from standard input is a text message, what arrives is printed.
//!
//! `cargo run --example client URL [--once TEXT]`. The exit status is 0 if the connection was closed cleanly.

use std::io::{BufRead, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::{
    ClientRequest, CloseCode, Closed, Config, Connection, Event, Message, Timestamp,
};

/// What the main thread, which owns the connection, waits for.
enum Happening {
    Bytes(Vec<u8>),
    TransportEnded,
    Line(String),
    LastLine,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (url, once) = match arguments[..] {
        [url] => (url, None),
        [url, "--once", text] => (url, Some(text)),
        _ => {
            eprintln!("usage: client URL [--once TEXT]");
            return ExitCode::from(2);
        }
    };
    match run(url, once) {
        Ok(closed) if closed.clean => {
            eprintln!("closed: {} {}", closed.code, closed.reason);
            ExitCode::SUCCESS
        }
        Ok(closed) => {
            match closed.refusal() {
                Some(refusal) => {
                    eprintln!("refused with status {}", refusal.status());
                    eprint!("{}", String::from_utf8_lossy(refusal.body()).escape_debug());
                    eprintln!();
                }
                None => eprintln!("not closed cleanly: {:?}", closed.cause),
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: &str, once: Option<&str>) -> Result<Closed> {
    let request = ClientRequest::new(url)?;
    if request.uri().is_secure() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "this example speaks ws:// only; wss:// needs a TLS library",
        ));
    }
    let mut stream = TcpStream::connect((request.uri().host(), request.uri().port()))?;
    let mut conn = Connection::client(&request, Config::default())?;
    let (happenings, inbox) = channel();
    read_transport(stream.try_clone()?, happenings.clone());
    if once.is_none() {
        read_lines(happenings.clone());
    }
    drive(&mut stream, &mut conn, &inbox, once)
}

fn drive(
    stream: &mut TcpStream,
    conn: &mut Connection,
    inbox: &Receiver<Happening>,
    once: Option<&str>,
) -> Result<Closed> {
    let epoch = Instant::now();
    let mut end = None;
    loop {
        let now = Timestamp::new(epoch.elapsed());
        let wait = conn.tick(now).map_or(Duration::from_secs(3600), |at| at.saturating_since(now));
        while let Some(event) = conn.poll_event() {
            handle(conn, event, once, &mut end)?;
        }
        while conn.wants_write() {
            match stream.write(conn.outgoing()) {
                Ok(n @ 1..) => conn.advance(n),
                // The transport is lost; `poll_event` tells, unless the connection was closed before.
                Ok(0) | Err(_) => conn.abort(),
            }
        }
        if conn.is_finished() {
            while let Some(event) = conn.poll_event() {
                handle(conn, event, once, &mut end)?;
            }
            return end.ok_or_else(|| Error::other("the connection ended without a word"));
        }
        match inbox.recv_timeout(wait) {
            Ok(Happening::Bytes(mut bytes)) => {
                let mut input = &mut bytes[..];
                while let Some(event) = conn.receive(&mut input) {
                    handle(conn, event, once, &mut end)?;
                }
            }
            Ok(Happening::TransportEnded) => conn.receive_eof(),
            Ok(Happening::Line(line)) => match conn.send(line) {
                Ok(()) => {}
                Err(error) => eprintln!("not sent: {error}"),
            },
            Ok(Happening::LastLine) => conn.close(CloseCode::NORMAL, "")?,
            // The time is told at the top of the loop.
            Err(_) => {}
        }
    }
}

fn handle(
    conn: &mut Connection,
    event: Event<'_>,
    once: Option<&str>,
    end: &mut Option<Closed>,
) -> Result<()> {
    match event {
        Event::Open(response) => {
            eprintln!(
                "open{}",
                response
                    .subprotocol()
                    .map(|name| format!(", subprotocol {name}"))
                    .unwrap_or_default()
            );
            if let Some(text) = once {
                conn.send(text)?;
            }
        }
        Event::Message(message) => {
            match &message {
                Message::Text(text) => println!("{text}"),
                Message::Binary(bytes) => println!("({} bytes of binary)", bytes.len()),
            }
            if once.is_some() {
                conn.close(CloseCode::NORMAL, "")?;
            }
        }
        Event::Closed(closed) => *end = Some(*closed),
        _ => {}
    }
    Ok(())
}

fn read_transport(mut stream: TcpStream, happenings: Sender<Happening>) {
    thread::spawn(move || {
        let mut buf = [0; 16 * 1024];
        // An error ends the transport as well as its end does.
        while let Ok(n @ 1..) = stream.read(&mut buf) {
            if happenings.send(Happening::Bytes(buf[..n].to_vec())).is_err() {
                return;
            }
        }
        let _ = happenings.send(Happening::TransportEnded);
    });
}

fn read_lines(happenings: Sender<Happening>) {
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if happenings.send(Happening::Line(line)).is_err() {
                return;
            }
        }
        let _ = happenings.send(Happening::LastLine);
    });
}
