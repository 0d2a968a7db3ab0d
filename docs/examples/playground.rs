//! Shows WebSockets at work: a web page and its WebSockets on one port and in one thread. The page shows each frame that
//! a browser sends and receives, next to what the browser's API tells. SIGINT or SIGTERM closes all connections with 1001.
//!
//! `cargo run --release --example playground [--listen ADDR]`; the default is 127.0.0.1:9001, or the next free port.

use std::io::{Error, ErrorKind, Result};
use std::net::TcpListener;
use std::process::ExitCode;

use mio::{Events, Poll, Token, Waker};
use websocket_proto::Clock;

use server::{LISTENER, SIGNAL, Server};

#[path = "playground/attacks.rs"]
mod attacks;
#[path = "playground/orders.rs"]
mod orders;
#[path = "playground/pages.rs"]
mod pages;
#[path = "playground/peer.rs"]
mod peer;
#[path = "playground/room.rs"]
mod room;
#[path = "playground/server.rs"]
mod server;
#[path = "playground/tap.rs"]
mod tap;
#[path = "playground/visit.rs"]
mod visit;
#[path = "playground/watch.rs"]
mod watch;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = match &arguments[..] {
        [] => None,
        [option, address] if option == "--listen" => Some(&address[..]),
        _ => {
            eprintln!("usage: playground [--listen ADDR]");
            return ExitCode::from(2);
        }
    };
    match listen(address).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Listens on the address. Without one, on the first free port from 9001 on.
fn listen(address: Option<&str>) -> Result<TcpListener> {
    if let Some(address) = address {
        return TcpListener::bind(address).map_err(|error| {
            Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        });
    }
    for port in 9001..9101 {
        match TcpListener::bind(("127.0.0.1", port)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                println!("port {port} is in use, trying the next one");
            }
            result => return result,
        }
    }
    Err(Error::new(ErrorKind::AddrInUse, "no port from 9001 to 9100 is free; use --listen"))
}

/// Serves until a signal arrives and the connections are closed.
fn run(listener: TcpListener) -> Result<()> {
    listener.set_nonblocking(true)?;
    println!("open http://{}/", listener.local_addr()?);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let waker = Waker::new(poll.registry(), Token(SIGNAL))?;
    // Waking fails only if the poll has ended.
    ctrlc::set_handler(move || drop(waker.wake())).map_err(Error::other)?;
    let clock = Clock::new();
    let mut server = Server::new(poll.registry().try_clone()?, listener, clock)?;
    while !server.is_done(clock.now()) {
        match poll.poll(&mut events, server.wait(clock.now())) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
        for event in &events {
            match event.token().0 {
                SIGNAL => server.close_all(clock.now()),
                LISTENER => server.accept(),
                number => server.note_ready(number, event),
            }
        }
        server.serve_busy(clock.now());
    }
    Ok(())
}
