//! As its README says for an echo loop: what `feed` queues is written before `next` reads more.

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::handshake::server_handshake;
use sockudo_ws::{Config, Message, WebSocketStream};
use tokio::net::TcpStream;

use crate::Served;

pub async fn echo(mut stream: TcpStream) -> Served {
    server_handshake(&mut stream).await?;
    let mut ws = WebSocketStream::server(stream, Config::default());
    while let Some(message) = ws.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => ws.feed(message).await?,
            Message::Close(_) => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}
