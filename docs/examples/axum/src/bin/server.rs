//! Serves an echo on axum, at `/`, and a page at `/hello`.
//!
//! `cargo run --release --bin server [ADDR] [--deflate]`; the default is 127.0.0.1:9001.

use std::io::Result;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use hyper::upgrade::Upgraded;
use tokio::net::TcpListener;
use websocket_proto::{Accept, Config, Connection, Deflate, Event, Shared, State};
use websocket_proto_axum::{WebSocketUpgrade, drive};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (flags, addresses): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let mut config = Config::builder()
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    if flags.iter().any(|flag| flag == "--deflate") {
        config = config.deflate(Deflate::default());
    }
    let app = Router::new()
        .route("/", get(echo))
        .route("/hello", get("hello\n"))
        .with_state(Shared::new(config.build()?));
    let address = addresses.first().map_or("127.0.0.1:9001", |address| &address[..]);
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // fails if the client has gone
    });
    axum::serve(listener, app).await
}

/// Accepts the first subprotocol that the client offers, if it offers any.
async fn echo(upgrade: WebSocketUpgrade) -> Response {
    let first = upgrade.request.subprotocols().next().map(str::to_string);
    let accept = first.iter().fold(Accept::new(), |accept, name| accept.subprotocol(name));
    upgrade.accept(&accept, serve)
}

/// Echoes all messages.
async fn serve(transport: Upgraded, conn: Connection) {
    let react = |conn: &mut Connection, event: Event<'_>| match event {
        Event::Message(message) if conn.state() == State::Open => conn.send(message),
        _ => Ok(()),
    };
    match drive(transport, conn, react).await {
        Ok(Some(closed)) if !closed.is_clean() => eprintln!("not closed cleanly: {closed}"),
        Ok(_) => {}
        Err(error) => eprintln!("connection dropped: {error}"),
    }
}
