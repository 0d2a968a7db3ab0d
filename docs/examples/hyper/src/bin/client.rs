//! Sends texts on hyper, and prints what comes back. hyper writes the request and reads the response; the library makes
//! the request and judges the response.
//!
//! `cargo run --release --bin client URL TEXT...` ends when as many messages have arrived as texts were given.

use std::error::Error;
use std::process::ExitCode;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use websocket_proto::{ClientRequest, CloseCode, Config, Deflate, Shared};
use websocket_proto_hyper::open;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, texts @ ..] = &arguments[..] else {
        eprintln!("usage: client URL TEXT...");
        return ExitCode::from(2);
    };
    match run(url, texts).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether the connection was closed cleanly.
async fn run(url: &str, texts: &[String]) -> Result<bool, Box<dyn Error>> {
    let config = Shared::new(Config::builder().deflate(Deflate::default()).build()?);
    let request = ClientRequest::new(url)?;
    if request.uri().is_secure() {
        return Err("this example speaks ws:// only; wss:// needs a TLS library".into());
    }
    let stream = TcpStream::connect((request.uri().host(), request.uri().port())).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());

    let upgrade = request.upgrade(&config)?;
    let request: Request<Empty<Bytes>> = Request::try_from(&upgrade)?;
    let response = sender.send_request(request).await?;
    let agreed = upgrade.http_response(&response, &config)?.upgrade;
    let upgraded = hyper::upgrade::on(response).await?;

    let mut ws = open(upgraded, agreed, config)?;
    for text in texts {
        ws.with(|conn| conn.send(&text[..]))?; // `recv` writes what is queued
    }
    for _ in texts {
        let Some(message) = ws.recv().await? else { break };
        println!("{}", message.as_text().unwrap_or("binary"));
    }
    Ok(ws.close(CloseCode::NORMAL, "").await?.is_clean())
}
