//! Serves an echo on axum, at `/`, and a page at `/hello`.
//!
//! `cargo run --release --bin server [ADDR] [--deflate]`; the default is 127.0.0.1:9001.

use std::io::Result;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use websocket_proto::drive::Error;
use websocket_proto::{Accept, Config, Deflate, Shared};
use websocket_proto_axum::{WebSocket, WebSocketUpgrade};

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
    loop {
        // The client has gone, or no descriptor is free. Continue to serve the other clients.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true); // fails if the client has gone
        // `axum::serve` has no timer, so that it would wait forever for the rest of a request's head. hyper waits 30 s.
        let serve = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()))
            .with_upgrades();
        tokio::spawn(async move {
            if let Err(error) = serve.await {
                eprintln!("connection dropped: {error}");
            }
        });
    }
}

/// Accepts the first subprotocol that the client offers, if it offers any.
async fn echo(upgrade: WebSocketUpgrade) -> Response {
    let first = upgrade.request.subprotocols().next().map(str::to_string);
    let accept = first.iter().fold(Accept::new(), |accept, name| accept.subprotocol(name));
    upgrade.accept(&accept, serve)
}

/// Echoes all messages.
async fn serve(mut ws: WebSocket) {
    let result = async {
        while let Some(message) = ws.recv().await? {
            ws.feed(message).await?; // written when `recv` waits
        }
        Ok(())
    };
    match result.await {
        Ok(()) => {}
        Err(Error::Closed(closed)) => eprintln!("not closed cleanly: {}", closed.cause()),
        Err(error) => eprintln!("connection dropped: {error}"),
    }
}
