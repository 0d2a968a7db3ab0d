//! Serves an echo on hyper. hyper reads the requests and writes the responses; the library judges the requests.
//!
//! `cargo run --release --bin server [ADDR]`; the default is 127.0.0.1:9001.

use std::convert::Infallible;
use std::io::Result;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, http};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use websocket_proto::drive::Error;
use websocket_proto::handshake::ParsedRequest;
use websocket_proto::{Accept, Config, Deflate, Shared, Upgrade};
use websocket_proto_hyper::open;

type Answer = Response<Full<Bytes>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    let config = Config::builder()
        .deflate(Deflate::default())
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    let config = Shared::new(config.build()?);
    loop {
        // The client has gone, or no descriptor is free. Continue to serve the other clients.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let config = config.clone();
        let service = service_fn(move |request| {
            let answer = answer(request, &config);
            async { Ok::<_, Infallible>(answer) }
        });
        tokio::spawn(async move {
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new());
            if let Err(error) =
                server.serve_connection(TokioIo::new(stream), service).with_upgrades().await
            {
                eprintln!("connection dropped: {error}");
            }
        });
    }
}

/// Answers a request, and starts the echo if it is accepted.
fn answer(request: Request<Incoming>, config: &Shared<Config>) -> Answer {
    let result = match ParsedRequest::from_http(&request, config) {
        Ok(ParsedRequest::Plain(_)) => Ok(Response::new("this port speaks WebSocket\n".into())),
        Ok(ParsedRequest::Upgrade(upgrade)) => match upgrade.accept(&Accept::new(), config) {
            Ok(accepted) => Response::try_from(&accepted).inspect(|_| {
                tokio::spawn(echo(request, accepted.upgrade, config.clone()));
            }),
            Err(error) => {
                eprintln!("cannot accept: {error}");
                Response::builder().status(500).body(Full::default())
            }
        },
        Err(error) => {
            eprintln!("request refused: {error}");
            error.response().try_into()
        }
    };
    result.unwrap_or_else(|error: http::Error| {
        eprintln!("cannot answer: {error}");
        Response::new(Full::default())
    })
}

/// Echoes all messages, once hyper has sent the response.
async fn echo(request: Request<Incoming>, upgrade: Upgrade, config: Shared<Config>) {
    let result = async {
        let upgraded = hyper::upgrade::on(request).await.map_err(std::io::Error::other)?;
        let mut ws = open(upgraded, upgrade, config)?;
        while let Some(message) = ws.recv().await? {
            ws.feed(message).await?; // written when `recv` waits
        }
        Ok::<_, Error>(())
    };
    match result.await {
        Ok(()) => {}
        Err(Error::Closed(closed)) => eprintln!("not closed cleanly: {}", closed.cause()),
        Err(error) => eprintln!("connection dropped: {error}"),
    }
}
