//! Shows WebSockets at work: a web page and its WebSockets on one port and in one thread. The page shows each frame
//! that a browser sends and receives, next to what the browser's API tells. SIGINT or SIGTERM closes all with 1001.
//!
//! `cargo run --release --example playground [--listen ADDR]`; the default is 127.0.0.1:9001, or the next free port.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::process::exit;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use server::Server;

mod attacks;
mod page;
mod pages;
mod room;
mod server;
mod talk;
mod visit;
mod wire;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = match &arguments[..] {
        [] => None,
        [option, address] if option == "--listen" => Some(&address[..]),
        _ => {
            eprintln!("usage: playground [--listen ADDR]");
            exit(2);
        }
    };
    if let Err(error) = LocalSet::new().run_until(serve(address)).await {
        eprintln!("{error}");
        exit(1);
    }
}

/// Serves until a signal arrives and the connections are closed.
async fn serve(address: Option<&str>) -> Result<()> {
    let listener = listen(address).await?;
    let server = Server::new(listener.local_addr()?)?;
    let (closes, mut closed) = (server.closes.clone(), server.closes.subscribe());
    ctrlc::set_handler(move || {
        if closes.send_replace(true) {
            exit(1); // a second signal ends the program at once
        }
    })
    .map_err(Error::other)?;
    println!("open http://{}/", server.address);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(spawn_local(visit::serve(stream, server.clone()))),
                Err(_) => sleep(Duration::from_millis(10)).await, // no descriptor is free
            },
            _ = closed.changed() => break,
        }
    }
    drop((listener, closed));
    // Each connection has a receiver until it has closed.
    let _ = timeout(Duration::from_secs(3), server.closes.closed()).await;
    Ok(())
}

/// Listens on the address. Without one, on the first free port from 9001 on.
async fn listen(address: Option<&str>) -> Result<TcpListener> {
    let first = address.unwrap_or("127.0.0.1:9001");
    let bound = match TcpListener::bind(first).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse && address.is_none() => {
            println!("{first} is in use, taking the next free port");
            let next = (9002..9100).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
            TcpListener::bind(&next.collect::<Vec<_>>()[..]).await
        }
        bound => bound,
    };
    bound.map_err(|error| Error::new(error.kind(), format!("cannot listen on {first}: {error}")))
}
