//! Serves an echo on h2. h2 reads and writes the frames of HTTP/2; the library judges the extended CONNECT (RFC 8441).
//!
//! `cargo run --release --bin server [ADDR] [--tls] [--idle-timeout=SECONDS]`; the defaults are 127.0.0.1:9001 and 60.
//! The idle timeout is that of each WebSocket, and of a connection without streams. With `--tls` it makes a certificate
//! for `localhost`, as browsers speak HTTP/2 only over TLS.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{Method, Request, Response, StatusCode};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use websocket_proto::drive::{self, tokio::WebSocket};
use websocket_proto::handshake::ExtendedConnect;
use websocket_proto::{Accept, Config, Deflate, Shared};
use websocket_proto_h2::Stream;

/// The largest number of streams on a connection.
const STREAMS: u32 = 100;
/// The number of bytes that a client may send on a stream before they are received.
const STREAM_WINDOW: u32 = 64 * 1024;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (flags, addresses): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let tls = flags.iter().any(|flag| flag == "--tls").then(acceptor).transpose()?;
    let address = addresses.first().map_or("127.0.0.1:9001", |address| &address[..]);
    let listener = TcpListener::bind(address).await?;
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    println!("listening on {scheme}://{}", listener.local_addr()?);
    let idle = flags.iter().find_map(|flag| flag.strip_prefix("--idle-timeout="));
    let idle = Duration::from_secs(idle.map_or(Ok(60), str::parse)?);
    let config = Config::builder()
        .deflate(Deflate::default())
        .keepalive_interval(idle / 3)
        .idle_timeout(idle);
    let config = Shared::new(config.build()?);
    loop {
        // The client has gone, or no descriptor is free. Continue to serve the other clients.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (tls, config) = (tls.clone(), config.clone());
        tokio::spawn(async move {
            let result = async {
                stream.set_nodelay(true)?;
                match tls {
                    Some(tls) => {
                        serve(timeout(idle, tls.accept(stream)).await??, &config, idle).await
                    }
                    None => serve(stream, &config, idle).await,
                }
            };
            if let Err(error) = result.await {
                eprintln!("connection dropped: {error}");
            }
        });
    }
}

/// TLS with a certificate of our own, which offers HTTP/2 alone (RFC 9113 3.3).
fn acceptor() -> Result<TlsAcceptor> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()])?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves one connection of HTTP/2, with any number of WebSockets. It ends if no stream is open for the time `idle`, or
/// up to twice this time.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    config: &Shared<Config>,
    idle: Duration,
) -> Result<()> {
    let handshake = Builder::new()
        // RFC 8441 3: SETTINGS_ENABLE_CONNECT_PROTOCOL lets clients send an extended CONNECT.
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        // Streams that are not read must not use up the window of the others.
        .initial_connection_window_size(STREAMS * STREAM_WINDOW)
        .handshake(stream);
    let mut http = timeout(idle, handshake).await??;
    let (streams, mut was_idle) = (Arc::new(()), false);
    loop {
        let (request, respond) = match timeout(idle, http.accept()).await {
            Ok(Some(request)) => request?,
            Ok(None) => return Ok(()),
            Err(_) => {
                let is_idle = Arc::strong_count(&streams) == 1;
                if is_idle && was_idle {
                    break;
                }
                was_idle = is_idle;
                continue;
            }
        };
        was_idle = false;
        let (config, stream) = (config.clone(), streams.clone());
        tokio::spawn(async move {
            let _stream = stream;
            let id = respond.stream_id().as_u32();
            match answer(request, respond, &config).await {
                Ok(how) => println!("stream {id}: {how}"),
                Err(error) => println!("stream {id} dropped: {error}"),
            }
        });
    }
    // RFC 9113 6.8: GOAWAY, so that the client knows that it can ask again elsewhere.
    http.graceful_shutdown();
    while let Some(request) = timeout(idle, http.accept()).await? {
        let (_, mut respond) = request?;
        respond.send_reset(Reason::REFUSED_STREAM);
    }
    Ok(())
}

/// Answers a request, and echoes all messages if it is an extended CONNECT for WebSocket. Returns how it ended.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    config: &Shared<Config>,
) -> Result<String> {
    // The request is borrowed while its body is moved into the transport.
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, ());
    let Some(protocol) = request.extensions().get::<Protocol>() else {
        // h2 has reset requests with :protocol that are not CONNECT (RFC 8441 4). This one may be a CONNECT for a
        // tunnel, which we do not make.
        let is_tunnel = request.method() == Method::CONNECT;
        let status = if is_tunnel { StatusCode::NOT_IMPLEMENTED } else { StatusCode::OK };
        let response = Response::builder().status(status).body(())?;
        let text = "this port speaks WebSocket over HTTP/2\n";
        respond.send_response(response, false)?.send_data(text.into(), true)?;
        return Ok(format!("{} answered with {status}", request.method()));
    };
    let connect = match ExtendedConnect::from_http(&request, protocol.as_str(), config) {
        Ok(connect) => connect,
        Err(error) => {
            let response: Response<Vec<u8>> = error.response().try_into()?;
            let how = format!("refused with {}: {error}", response.status());
            respond.send_response(response.map(drop), true)?;
            return Ok(how);
        }
    };
    println!(
        "stream {}: extended CONNECT for {} {}",
        respond.stream_id().as_u32(),
        connect.host(),
        connect.resource()
    );
    let accepted = connect.accept(&Accept::new(), config)?;
    let send = respond.send_response(Response::try_from(&accepted)?, false)?;
    let stream = Stream::new(send, body);
    let mut ws = WebSocket::from_upgrade(stream, accepted.upgrade, b"", config.clone())?;
    let ended = echo(&mut ws).await;
    // The cause says more than the error of a failed read or write.
    let Some(closed) = ws.closed() else {
        ended?;
        return Err("the echo ends with the connection".into());
    };
    Stream::end(ws);
    Ok(format!("{}: {closed}: {}", connect.resource(), closed.cause()))
}

async fn echo(ws: &mut WebSocket<Stream>) -> std::result::Result<(), drive::Error> {
    while let Some(message) = ws.recv().await? {
        // Written when `recv` waits. A client that does not read is not read either, from the high water mark to the
        // low one, and given up after the idle timeout. Its Close may then wait unread.
        ws.feed(message).await?;
    }
    Ok(())
}
