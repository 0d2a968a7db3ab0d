//! Serves an echo on h3. h3 reads and writes the frames of HTTP/3; the library judges the extended CONNECT (RFC 9220).
//!
//! `cargo run --release --bin server [ADDR] [CERTIFICATE]`; the default is 127.0.0.1:9001. It makes a certificate for
//! `localhost`, and writes it to the file CERTIFICATE, in DER, for clients to trust.
//!
//! h3 0.0.8 refuses every `:protocol` but `webtransport` and `connect-udp` before this program sees the request.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h3::ext::Protocol;
use h3::server::RequestStream;
use http::{Method, Request, Response, StatusCode};
use quinn::{Endpoint, Incoming, ServerConfig, crypto::rustls::QuicServerConfig};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use websocket_proto::handshake::ExtendedConnect;
use websocket_proto::{Accept, Config, Connection, Deflate, Event, Shared, State};
use websocket_proto_h3::drive;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9001".into());
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()])?;
    if let Some(file) = arguments.next() {
        std::fs::write(file, cert.der())?;
    }
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let mut tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())?;
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let quic = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    let endpoint = Endpoint::server(quic, address.parse()?)?;
    println!("listening on wss://{}", endpoint.local_addr()?);
    let config = Config::builder()
        .deflate(Deflate::default())
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    let config = Shared::new(config.build()?);
    while let Some(incoming) = endpoint.accept().await {
        let config = config.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(incoming, &config).await {
                println!("connection ended: {error}");
            }
        });
    }
    Ok(())
}

/// Serves one connection of HTTP/3, with any number of WebSockets.
async fn serve(incoming: Incoming, config: &Shared<Config>) -> Result<()> {
    let quic = h3_quinn::Connection::new(incoming.await?);
    let mut http = h3::server::builder()
        // RFC 9220 3: SETTINGS_ENABLE_CONNECT_PROTOCOL lets clients send an extended CONNECT.
        .enable_extended_connect(true)
        // Such a frame at the end of a stream would wait until the peer's window has room for it.
        .send_grease(false)
        .build(quic)
        .await?;
    while let Some(resolver) = http.accept().await? {
        let config = config.clone();
        tokio::spawn(async move {
            let result = async {
                let (request, stream) = resolver.resolve_request().await?;
                answer(request, stream, &config).await
            };
            match result.await {
                Ok(how) => println!("request: {how}"),
                Err(error) => println!("request dropped: {error}"),
            }
        });
    }
    Ok(())
}

/// Answers a request, and echoes all messages if it is an extended CONNECT for WebSocket. Returns how it ended.
async fn answer(
    request: Request<()>,
    mut stream: RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>,
    config: &Shared<Config>,
) -> Result<String> {
    let Some(protocol) = request.extensions().get::<Protocol>() else {
        // This may be a CONNECT for a tunnel, which we do not make.
        let is_tunnel = request.method() == Method::CONNECT;
        let status = if is_tunnel { StatusCode::NOT_IMPLEMENTED } else { StatusCode::OK };
        stream.send_response(Response::builder().status(status).body(())?).await?;
        stream.send_data("this port speaks WebSocket over HTTP/3\n".into()).await?;
        stream.finish().await?;
        return Ok(format!("{} answered with {status}", request.method()));
    };
    let connect = match ExtendedConnect::from_http(&request, protocol.as_str(), config) {
        Ok(connect) => connect,
        Err(error) => {
            let response: Response<Vec<u8>> = error.response().try_into()?;
            let how = format!("refused with {}: {error}", response.status());
            stream.send_response(response.map(drop)).await?;
            stream.finish().await?;
            return Ok(how);
        }
    };
    println!("extended CONNECT for {} {}", connect.host(), connect.resource());
    let accepted = connect.accept(&Accept::new(), config)?;
    stream.send_response(Response::try_from(&accepted)?).await?;
    let conn = Connection::from_upgrade(accepted.upgrade, config.clone())?;
    let react = |conn: &mut Connection, event: Event<'_>| match event {
        Event::Message(message) if conn.state() == State::Open => conn.send(message),
        _ => Ok(()),
    };
    let (send, receive) = stream.split();
    let closed = drive(send, receive, conn, react).await?;
    let closed = closed.ok_or("the loop ends after the event Closed")?;
    Ok(format!("{}: {closed}: {}", connect.resource(), closed.cause()))
}
