//! An echo on tokio by the driver `drive::tokio`, with compression, keepalive and a timeout.
//!
//! `cargo run --release --example echo_tokio [ADDR]`; the default is 127.0.0.1:9001.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use websocket_proto::drive::{Error, tokio::WebSocket};
use websocket_proto::{Config, Deflate, Shared};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9001".to_owned());
    let config = Config::builder()
        .deflate(Deflate::default())
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    let config = Shared::new(config.build()?);
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    loop {
        // The client has gone, or no descriptor is free.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        tokio::spawn(serve(stream, config.clone()));
    }
}

async fn serve(stream: TcpStream, config: Shared<Config>) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut ws = WebSocket::accept(stream, config).await?;
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?; // written when `recv` waits
    }
    Ok(())
}
