//! Opens a WebSocket for each text, all on one connection of HTTP/2, sends the texts, and prints what comes back.
//!
//! `cargo run --release --bin client URL TEXT...`

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::Request;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use websocket_proto::drive::tokio::WebSocket;
use websocket_proto::{ClientRequest, CloseCode, Closed, Config, Deflate, Shared};
use websocket_proto_h2::Stream;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

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

/// Returns whether all WebSockets were closed cleanly.
async fn run(url: &str, texts: &[String]) -> Result<bool> {
    let config = Shared::new(Config::builder().deflate(Deflate::default()).build()?);
    let request = ClientRequest::new(url)?;
    if request.uri().is_secure() {
        return Err("this example speaks ws:// only; wss:// needs a TLS library".into());
    }
    let stream = TcpStream::connect((request.uri().host(), request.uri().port())).await?;
    stream.set_nodelay(true)?;
    let (sender, http) = h2::client::handshake(stream).await?;
    tokio::spawn(http);
    timeout(Duration::from_secs(5), wait_for_settings(&sender)).await.map_err(
        |_| "the server has not sent SETTINGS_ENABLE_CONNECT_PROTOCOL, so it takes no WebSocket",
    )?;

    let mut sockets = JoinSet::new();
    for text in texts {
        sockets.spawn(echo(sender.clone(), request.clone(), text.clone(), config.clone()));
    }
    let mut is_clean = true;
    while let Some(ended) = sockets.join_next().await {
        is_clean &= ended??.is_clean();
    }
    Ok(is_clean)
}

/// An extended CONNECT may be sent only after the server has allowed it (RFC 8441 3).
async fn wait_for_settings(sender: &SendRequest<Bytes>) {
    while !sender.is_extended_connect_protocol_enabled() {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Sends one text on a WebSocket of its own, prints what comes back, and closes.
async fn echo(
    sender: SendRequest<Bytes>,
    request: ClientRequest,
    text: String,
    config: Shared<Config>,
) -> Result<Closed> {
    let mut connect: Request<()> = Request::try_from(&request.extended_connect(&config)?)?;
    connect.extensions_mut().insert(Protocol::from_static("websocket"));
    let (response, send) = sender.ready().await?.send_request(connect, false)?;
    let (response, receive) = response.await?.into_parts();
    let status = response.status.as_u16();
    let agreed = request.extended_response(status, &response.headers, &config)?;

    let stream = Stream::new(send, receive);
    let mut ws = WebSocket::from_upgrade(stream, agreed.upgrade, b"", config)?;
    ws.send(text).await?;
    if let Some(message) = ws.recv().await? {
        println!("{}", message.as_text().unwrap_or("binary"));
    }
    let closed = ws.close(CloseCode::NORMAL, "").await;
    Stream::end(ws);
    Ok(closed?)
}
