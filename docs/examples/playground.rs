//! Shows WebSockets at work: a web page and its WebSockets on one port and in one thread. The page shows each frame that
//! a browser sends and receives, next to what the browser's API tells. SIGINT or SIGTERM closes all connections with 1001.
//!
//! `cargo run --release --example playground [--listen ADDR]`; the default is 127.0.0.1:9001, or the next free port.

use std::io::{Error, ErrorKind, Result};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use server::Server;

#[path = "playground/attacks.rs"]
mod attacks;
#[path = "playground/page.rs"]
mod page;
#[path = "playground/pages.rs"]
mod pages;
#[path = "playground/room.rs"]
mod room;
#[path = "playground/server.rs"]
mod server;
#[path = "playground/talk.rs"]
mod talk;
#[path = "playground/visit.rs"]
mod visit;
#[path = "playground/wire.rs"]
mod wire;

/// The time that the connections have to close after a signal.
const FAREWELL: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = match &arguments[..] {
        [] => None,
        [option, address] if option == "--listen" => Some(&address[..]),
        _ => {
            eprintln!("usage: playground [--listen ADDR]");
            return ExitCode::from(2);
        }
    };
    let serve = async { run(listen(address).await?).await };
    match LocalSet::new().run_until(serve).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Listens on the address. Without one, on the first free port from 9001 on.
async fn listen(address: Option<&str>) -> Result<TcpListener> {
    if let Some(address) = address {
        return TcpListener::bind(address).await.map_err(|error| {
            Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        });
    }
    for port in 9001..9101 {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                println!("port {port} is in use, trying the next one");
            }
            result => return result,
        }
    }
    Err(Error::new(ErrorKind::AddrInUse, "no port from 9001 to 9100 is free; use --listen"))
}

/// Serves until a signal arrives and the connections are closed.
async fn run(listener: TcpListener) -> Result<()> {
    let server = Server::new(listener.local_addr()?)?;
    println!("open http://{}/", server.address);
    let mut signalled = pin!(signal());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            result = &mut signalled => break result?,
        };
        match accepted {
            Ok((stream, _)) => drop(spawn_local(visit::serve(stream, server.clone()))),
            Err(_) => sleep(Duration::from_millis(10)).await, // no descriptor is free
        }
    }
    drop(listener);
    server.closes.send_replace(true);
    tokio::select! {
        _ = timeout(FAREWELL, server.closes.closed()) => Ok(()),
        result = signal() => result, // a second one ends the program at once
    }
}

/// Waits for SIGINT or SIGTERM.
async fn signal() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
