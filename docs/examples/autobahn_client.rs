//! Runs every case of an Autobahn fuzzing server, then asks it for its report.
//!
//! `cargo run --release --example autobahn_client ws://127.0.0.1:9002 [--deflate]`

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use websocket_proto::{ClientRequest, Config, Connection, Event, Shared};

const AGENT: &str = "websocket-proto";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut config = Config::default();
    let server = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [server] => server.to_string(),
        [server, "--deflate"] => {
            config.deflate = Some(websocket_proto::Deflate::default());
            server.to_string()
        }
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "usage: autobahn_client ws://HOST:PORT [--deflate]",
            ));
        }
    };
    let config = Shared::new(config);
    let count = run(&format!("{server}/getCaseCount"), &config, false)?;
    let count: u32 =
        count.parse().map_err(|_| Error::new(ErrorKind::InvalidData, "no case count"))?;
    println!("{count} cases");
    for case in 1..=count {
        run(&format!("{server}/runCase?case={case}&agent={AGENT}"), &config, true)?;
    }
    run(&format!("{server}/updateReports?agent={AGENT}"), &config, false)?;
    Ok(())
}

/// Connects, echoes if asked to, until the connection is closed. Returns the last text message.
fn run(url: &str, config: &Shared<Config>, echo: bool) -> Result<String> {
    let request =
        ClientRequest::new(url).map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
    let mut stream = TcpStream::connect((request.uri().host(), request.uri().port()))?;
    stream.set_nodelay(true)?;
    // A case takes as long as the server needs; one that stops answering is given up.
    stream.set_read_timeout(Some(Duration::from_secs(100)))?;
    let mut conn = Connection::client(&request, config.clone())?;
    let mut buf = vec![0; 64 * 1024];
    let mut last = String::new();
    loop {
        while conn.poll_event().is_some() {}
        // A case may end in a transport that is cut off: the server's report is the judge.
        if flush(&mut stream, &mut conn).is_err() {
            conn.abort();
        }
        if conn.is_finished() {
            return Ok(last);
        }
        let n = match stream.read(&mut buf) {
            Ok(0) => {
                conn.receive_eof();
                continue;
            }
            Ok(n) => n,
            Err(_) => {
                conn.abort();
                continue;
            }
        };
        let mut input = &mut buf[..n];
        while let Some(event) = conn.receive(&mut input) {
            if let Event::Message(message) = event {
                if echo && conn.check_send(message.len()).is_ok() {
                    conn.send(message)?;
                } else if let Some(text) = message.as_text() {
                    last = text.to_string();
                }
            }
        }
    }
}

fn flush(stream: &mut TcpStream, conn: &mut Connection) -> Result<()> {
    while conn.wants_write() {
        match stream.write(conn.outgoing())? {
            0 => return Err(ErrorKind::WriteZero.into()),
            n => conn.advance(n),
        }
    }
    Ok(())
}
