//! The way from hyper to the driver for tokio, for both programs.

use std::io;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use websocket_proto::drive::{Error, tokio::WebSocket};
use websocket_proto::{Config, Shared, Upgrade};

/// Makes a WebSocket of what hyper hands over. hyper must have been given the socket as `TokioIo<TcpStream>`.
pub fn open(
    upgraded: Upgraded,
    upgrade: Upgrade,
    config: Shared<Config>,
) -> Result<WebSocket<TcpStream>, Error> {
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| io::Error::other("the transport is not a TcpStream"))?;
    let stream = parts.io.into_inner();
    stream.set_nodelay(true)?;
    // The bytes that hyper has read behind the head are frames.
    WebSocket::from_upgrade(stream, upgrade, &parts.read_buf, config)
}
