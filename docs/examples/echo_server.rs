//! Echoes text and binary: std only, a thread per connection, until it is killed. A browser that opens the same address
//! gets a small page that connects back.
//!
//! `cargo run --release --example echo_server [ADDR] [--deflate]`, by default 127.0.0.1:9001 without compression.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use websocket_proto::{
    Accept, Config, Connection, Event, PlainRequest, ReadBuffer, Response, Shared, Timestamp,
};

const PAGE: &str = include_str!("echo_page.html");

fn main() -> Result<()> {
    let (flags, address): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let listener = TcpListener::bind(address.first().map_or("127.0.0.1:9001", String::as_str))?;
    println!("listening on ws://{}", listener.local_addr()?);
    let mut config = Config::default();
    match flags.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {}
        ["--deflate"] => config.deflate = Some(websocket_proto::Deflate::default()),
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "usage: echo_server [ADDR] [--deflate]",
            ));
        }
    }
    let config = Shared::new(config);
    for stream in listener.incoming() {
        // A client that is gone before it was accepted, or a lack of descriptors: the others are still served.
        let Ok(stream) = stream else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        let config = config.clone();
        let serve = move || {
            if let Err(error) = serve(stream, config) {
                eprintln!("connection given up: {error}");
            }
        };
        if let Err(error) = std::thread::Builder::new().spawn(serve) {
            eprintln!("no thread for a connection: {error}");
        }
    }
    Ok(())
}

fn serve(mut stream: TcpStream, config: Shared<Config>) -> Result<()> {
    stream.set_nodelay(true)?;
    let epoch = Instant::now();
    let mut conn = Connection::server(config);
    let mut buffer = ReadBuffer::with_capacity(16 * 1024);
    loop {
        // Tell the time, and learn how long to wait at most.
        let now = Timestamp::new(epoch.elapsed());
        let wait = conn.tick(now).map(|at| at.saturating_since(now).max(Duration::from_millis(1)));
        stream.set_read_timeout(wait)?;
        stream.set_write_timeout(wait)?;
        // What time and the end of the transport brought.
        while let Some(event) = conn.poll_event() {
            handle(&mut conn, event)?;
        }
        match flush(&mut stream, &mut conn) {
            Ok(()) => {}
            Err(error) if is_timeout(&error) => continue,
            // The transport is lost; `poll_event` tells, unless the connection was closed before.
            Err(_) => {
                conn.abort();
                continue;
            }
        }
        if conn.wants_shutdown() {
            // The peer may be gone already.
            let _ = stream.shutdown(Shutdown::Write);
        }
        if conn.is_finished() {
            return Ok(());
        }
        match stream.read(buffer.spare()) {
            Ok(0) => conn.receive_eof(),
            Ok(n) => {
                buffer.filled(n);
                while let Some(event) = conn.receive_from(&mut buffer) {
                    handle(&mut conn, event)?;
                }
            }
            Err(error) if is_timeout(&error) => {}
            Err(_) => conn.abort(),
        }
    }
}

fn flush(stream: &mut TcpStream, conn: &mut Connection) -> Result<()> {
    while conn.wants_write() {
        match stream.write(conn.outgoing()) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => conn.advance(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn handle(conn: &mut Connection, event: Event<'_>) -> Result<()> {
    match event {
        Event::UpgradeRequest(_) => conn.accept(&Accept::default())?,
        Event::PlainRequest(request) => conn.respond(answer(&request))?,
        Event::Message(message) => conn.send(message)?,
        _ => {}
    }
    Ok(())
}

/// The page on `/`, nothing elsewhere.
fn answer(request: &PlainRequest<'_>) -> Response {
    match (request.method(), request.target()) {
        ("GET" | "HEAD", "/") => {
            Response::new(200).header("Content-Type", "text/html; charset=utf-8").body(PAGE)
        }
        ("GET" | "HEAD", _) => Response::new(404),
        _ => Response::new(405).header("Allow", "GET, HEAD"),
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
