//! Echoes text and binary messages over TLS, with one thread for each connection. It makes a certificate for
//! `localhost` and 127.0.0.1 at each start, and writes it to a file that clients can trust. A real server would read
//! its certificate and its key from files, with `PemObject` of `rustls::pki_types`.
//!
//! `cargo run --release --bin server ADDR CERTIFICATE`

use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection};
use websocket_proto::drive::{Error, blocking::WebSocket};
use websocket_proto::{CloseCause, Config, Shared};
use websocket_proto_wss::Tls;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, certificate] = &arguments[..] else {
        eprintln!("usage: server ADDR CERTIFICATE");
        return ExitCode::from(2);
    };
    match run(address, certificate) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(address: &str, certificate: &str) -> Result<(), Box<dyn std::error::Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()])?;
    std::fs::write(certificate, made.cert.pem())?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    // Clients that speak several protocols of HTTP choose HTTP/1.1 (RFC 7301).
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tls = Arc::new(tls);
    let config = Config::builder()
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    let config = Shared::new(config.build()?);
    let listener = TcpListener::bind(address)?;
    println!("listening on wss://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            std::thread::sleep(Duration::from_millis(10)); // the client has gone, or no descriptor is free
            continue;
        };
        let (tls, config) = (tls.clone(), config.clone());
        let serve = move || {
            match serve(stream, tls, config) {
                Ok(()) => {}
                // A request that does not ask for a WebSocket.
                Err(Error::Closed(closed)) if *closed.cause() == CloseCause::Answered => {}
                Err(Error::Closed(closed)) => eprintln!("not closed cleanly: {}", closed.cause()),
                Err(error) => eprintln!("connection dropped: {error}"),
            }
        };
        if let Err(error) = std::thread::Builder::new().spawn(serve) {
            eprintln!("no thread for a connection: {error}");
        }
    }
    Ok(())
}

fn serve(stream: TcpStream, tls: Arc<ServerConfig>, config: Shared<Config>) -> Result<(), Error> {
    let tls = ServerConnection::new(tls).map_err(io::Error::other)?;
    // The handshake timeout is for both handshakes.
    let mut ws = WebSocket::accept(Tls::new(tls, stream)?, config)?;
    while let Some(message) = ws.recv()? {
        ws.feed(message)?; // written when `recv` waits
    }
    Ok(())
}
