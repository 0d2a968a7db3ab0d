//! Echoes text and binary messages with one thread per connection, and uses only the standard library. SIGINT and
//! SIGTERM end the program without a Close, because the standard library does not handle signals; `echo_poll` and
//! `chat_tokio` do.
//!
//! `cargo run --release --example echo_server [ADDR] [--deflate]`; the default is 127.0.0.1:9001 without compression.

use std::collections::BTreeSet;
use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use websocket_proto::{
    Accept, Clock, CloseCause, Config, Connection, Deflate, Event, ReadBuffer, Shared, State,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (options, addresses): (Vec<&str>, Vec<&str>) =
        arguments.iter().map(String::as_str).partition(|word| word.starts_with('-'));
    let (address, deflate) = match (&addresses[..], &options[..]) {
        ([], []) => ("127.0.0.1:9001", false),
        ([], ["--deflate"]) => ("127.0.0.1:9001", true),
        ([address], []) => (*address, false),
        ([address], ["--deflate"]) => (*address, true),
        _ => {
            eprintln!("usage: echo_server [ADDR] [--deflate]");
            return ExitCode::from(2);
        }
    };
    let config = Config::builder()
        .deflate(deflate.then(Deflate::default))
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    let config = Shared::new(config.build().expect("these options are allowed"));
    let accepting: Vec<_> = listen(address)
        .into_iter()
        .map(|listener| {
            let config = config.clone();
            thread::spawn(move || accept_all(&listener, &config))
        })
        .collect();
    for thread in accepting {
        let _ = thread.join();
    }
    ExitCode::FAILURE // only reached if it cannot listen on any address
}

/// Listens on every address of `name`: `localhost` has an IPv4 address and often an IPv6 address.
fn listen(name: &str) -> Vec<TcpListener> {
    let addresses: BTreeSet<SocketAddr> = match name.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            eprintln!("cannot listen on {name}: {error}");
            return Vec::new();
        }
    };
    let bind = |address: SocketAddr| {
        let listener = TcpListener::bind(address)
            .inspect_err(|error| eprintln!("cannot listen on {address}: {error}"))
            .ok()?;
        println!("listening on ws://{}", listener.local_addr().ok()?);
        Some(listener)
    };
    addresses.into_iter().filter_map(bind).collect()
}

fn accept_all(listener: &TcpListener, config: &Shared<Config>) {
    for stream in listener.incoming() {
        // The client has gone, or no descriptor is free. Continue to serve the other clients.
        let Ok(stream) = stream else {
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let config = config.clone();
        let serve = move || {
            if let Err(error) = serve(stream, config) {
                eprintln!("connection dropped: {error}");
            }
        };
        if let Err(error) = thread::Builder::new().spawn(serve) {
            eprintln!("no thread for a connection: {error}");
        }
    }
}

fn serve(mut stream: TcpStream, config: Shared<Config>) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    let clock = Clock::new();
    let mut conn = Connection::server(config);
    let mut buffer = ReadBuffer::with_capacity(16 * 1024);
    loop {
        while let Some(event) = conn.receive_from(&mut buffer) {
            match event {
                Event::UpgradeRequest(_) => conn.accept(&Accept::default())?,
                Event::PlainRequest(_) => conn.respond(404)?,
                Event::Message(message) if conn.state() == State::Open => conn.send(message)?,
                Event::Closed(closed)
                    if !closed.is_clean() && *closed.cause() != CloseCause::Answered =>
                {
                    eprintln!("not closed cleanly: {}", closed.cause());
                }
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
            let _ = stream.shutdown(Shutdown::Write); // fails if the peer has gone
            conn.write_closed();
        }
        if conn.is_finished() {
            return Ok(());
        }
        let wake = conn.tick(clock.now());
        if conn.wants_write() || conn.is_finished() {
            continue;
        }
        stream.set_read_timeout(wake.map(|wake| clock.until(wake)))?;
        match stream.read(buffer.spare()) {
            Ok(0) => conn.receive_eof(),
            Ok(n) => buffer.filled(n),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                _ => conn.abort(),
            },
        }
    }
}
