//! The driver on tokio. What `feed` queues is written when `recv` waits.

use tokio::net::TcpStream;
use websocket_proto::drive::tokio::WebSocket;
use websocket_proto::{Config, Shared};

use crate::Served;

pub fn config() -> Shared<Config> {
    Shared::new(Config::default())
}

pub async fn echo(stream: TcpStream, config: Shared<Config>) -> Served {
    let mut ws = WebSocket::accept(stream, config).await?;
    while let Some(message) = ws.recv().await? {
        ws.feed(message).await?;
    }
    Ok(())
}
