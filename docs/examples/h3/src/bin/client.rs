//! Opens a WebSocket for each text, all on one connection of HTTP/3, sends the texts, and prints what comes back.
//!
//! `cargo run --release --bin client URL CERTIFICATE TEXT...` trusts the certificate in the file CERTIFICATE, in DER.
//!
//! h3 0.0.8 knows no `:protocol` but `webtransport` and `connect-udp`, so this program ends with an error.

use std::error::Error;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use h3::client::SendRequest;
use h3::ext::Protocol;
use h3_quinn::OpenStreams;
use http::Request;
use quinn::{ClientConfig, Endpoint, crypto::rustls::QuicClientConfig};
use rustls::RootCertStore;
use tokio::task::JoinSet;
use websocket_proto::{
    ClientRequest, CloseCode, Closed, Config, Connection, Deflate, Event, Shared, State,
};
use websocket_proto_h3::drive;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, certificate, texts @ ..] = &arguments[..] else {
        eprintln!("usage: client URL CERTIFICATE TEXT...");
        return ExitCode::from(2);
    };
    match run(url, certificate, texts).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all WebSockets were closed cleanly.
async fn run(url: &str, certificate: &str, texts: &[String]) -> Result<bool> {
    let config = Shared::new(Config::builder().deflate(Deflate::default()).build()?);
    let request = ClientRequest::new(url)?;
    let protocol: Protocol =
        "websocket".parse().map_err(|_| "this version of h3 cannot send :protocol = websocket")?;

    let mut roots = RootCertStore::empty();
    roots.add(std::fs::read(certificate)?.into())?;
    let mut tls =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let quic = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let endpoint = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
    let server = (Ipv4Addr::LOCALHOST, request.uri().port()).into();
    let quic = endpoint.connect_with(quic, server, "localhost")?.await?;
    let quic = h3_quinn::Connection::new(quic);
    // Such a frame at the end of a stream would wait until the peer's window has room for it.
    let (mut http, sender) = h3::client::builder().send_grease(false).build(quic).await?;
    let closing = tokio::spawn(async move { http.wait_idle().await });

    let mut sockets = JoinSet::new();
    for text in texts {
        let (sender, request) = (sender.clone(), request.clone());
        sockets.spawn(echo(sender, request, protocol, text.clone(), config.clone()));
    }
    drop(sender);
    let mut is_clean = true;
    while let Some(ended) = sockets.join_next().await {
        is_clean &= ended??.is_some_and(|closed| closed.is_clean());
    }
    // The connection ends when the last sender of requests has gone.
    closing.await?;
    endpoint.wait_idle().await;
    Ok(is_clean)
}

/// Sends one text on a WebSocket of its own, prints what comes back, and closes.
async fn echo(
    mut sender: SendRequest<OpenStreams, Bytes>,
    request: ClientRequest,
    protocol: Protocol,
    text: String,
    config: Shared<Config>,
) -> Result<Option<Closed>> {
    let mut connect: Request<()> = Request::try_from(&request.extended_connect(&config)?)?;
    connect.extensions_mut().insert(protocol);
    let mut stream = sender.send_request(connect).await?;
    let response = stream.recv_response().await?;
    let status = response.status().as_u16();
    let agreed = request.extended_response(status, response.headers(), &config)?;

    let mut conn = Connection::from_upgrade(agreed.upgrade, config)?;
    conn.send(text)?;
    let react = |conn: &mut Connection, event: Event<'_>| match event {
        Event::Message(message) => {
            println!("{}", message.as_text().unwrap_or("binary"));
            match conn.state() {
                State::Open => conn.close(CloseCode::NORMAL, ""),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    };
    let (send, receive) = stream.split();
    Ok(drive(send, receive, conn, react).await?)
}
