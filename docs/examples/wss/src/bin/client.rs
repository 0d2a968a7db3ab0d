//! Sends texts over TLS, and prints what comes back. It ends when as many messages have arrived as texts were given.
//! With `--proxy` it connects through an HTTP proxy: a CONNECT opens a tunnel, and TLS goes through it to the server.
//!
//! `cargo run --release --bin client [--proxy HOST:PORT] CERTIFICATE URL TEXT...` trusts the certificate in the file. A
//! real client would trust those of the system, by the crate `rustls-platform-verifier`.
//!
//! The exit status is 0 if the connection was closed cleanly, 1 if not, and 2 for wrong arguments.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use websocket_proto::drive::{self, blocking::WebSocket};
use websocket_proto::handshake::{ProxyRequest, ProxyTunnel};
use websocket_proto::{ClientRequest, CloseCode, Config, Shared, Uri};
use websocket_proto_wss::Tls;

/// The longest wait for each address to connect, and for bytes of the proxy.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (proxy, rest) = match &arguments[..] {
        [flag, proxy, rest @ ..] if flag == "--proxy" => (Some(proxy), rest),
        rest => (None, rest),
    };
    let [certificate, url, texts @ ..] = rest else {
        eprintln!("usage: client [--proxy HOST:PORT] CERTIFICATE URL TEXT...");
        return ExitCode::from(2);
    };
    match run(proxy.map(String::as_str), certificate, url, texts) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether the connection was closed cleanly.
fn run(
    proxy: Option<&str>,
    certificate: &str,
    url: &str,
    texts: &[String],
) -> Result<bool, Box<dyn Error>> {
    let request = ClientRequest::new(url)?;
    let uri = request.uri();
    if !uri.is_secure() {
        return Err("this client speaks wss only".into());
    }
    let config = Shared::new(Config::default());
    let (stream, early) = match proxy {
        Some(proxy) => tunnel(proxy, uri, &config)?,
        None => (dial((uri.host(), uri.port()))?, Vec::new()),
    };

    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(certificate)? {
        roots.add(certificate?)?;
    }
    let mut tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    // The certificate must be for the host of the URL, also behind a proxy.
    let name = ServerName::try_from(uri.host().to_owned())?;
    let mut tls: rustls::Connection = ClientConnection::new(Arc::new(tls), name)?.into();
    // A server waits for the client's first record, so bytes behind the proxy's response are rare.
    let mut early = &early[..];
    while !early.is_empty() {
        tls.read_tls(&mut early)?;
        tls.process_new_packets()?;
    }

    let (mut ws, _) = WebSocket::connect(Tls::new(tls, stream)?, &request, config)?;
    let ended = talk(&mut ws, texts);
    if let Some(closed) = ws.closed() {
        eprintln!("closed: {}", closed.cause());
        return Ok(closed.is_clean());
    }
    ended?;
    Ok(false)
}

/// Sends the texts, prints what comes back, and closes.
fn talk(ws: &mut WebSocket<Tls>, texts: &[String]) -> Result<(), drive::Error> {
    for text in texts {
        ws.with(|conn| conn.send(&text[..]))?; // `recv` writes what is queued
    }
    for _ in texts {
        let Some(message) = ws.recv()? else { break };
        println!("{}", String::from_utf8_lossy(message.as_bytes()));
    }
    ws.close(CloseCode::NORMAL, "")?;
    Ok(())
}

/// Connects to the first address that answers.
fn dial(addresses: impl ToSocketAddrs) -> io::Result<TcpStream> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Opens a tunnel to the server of `uri`. Returns the transport, and what the server has already sent through it.
fn tunnel(
    proxy: &str,
    uri: &Uri,
    config: &Shared<Config>,
) -> Result<(TcpStream, Vec<u8>), Box<dyn Error>> {
    let mut stream = dial(proxy)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // A proxy with a password gets the header Proxy-Authorization.
    let mut tunnel = ProxyTunnel::new(&ProxyRequest::new(uri), config.clone())?;
    stream.write_all(tunnel.outgoing())?;
    tunnel.advance(tunnel.outgoing().len());
    let mut buf = [0; 4096];
    loop {
        let n = stream.read(&mut buf)?;
        if n == 0 {
            return Err(match tunnel.receive_eof() {
                Some(refusal) => format!("the proxy refuses: {refusal}").into(),
                None => "the proxy has closed the transport".into(),
            });
        }
        let mut input = &mut buf[..n];
        match tunnel.receive(&mut input) {
            Some(Ok(())) => return Ok((stream, input.to_vec())),
            Some(Err(error)) => return Err(format!("the proxy refuses: {error}").into()),
            None => {}
        }
    }
}
