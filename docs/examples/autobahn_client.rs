//! Runs every case of an Autobahn fuzzing server, then asks it for its report.
//!
//! `cargo run --release --example autobahn_client ws://127.0.0.1:9002 [--deflate]`

use std::io::{Error, ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use websocket_proto::{
    ClientRequest, Clock, Config, Connection, Deflate, Event, Message, Shared, State,
};

const AGENT: &str = "websocket-proto";
/// All timeouts: longer than the slowest case, so that only a server that has stopped answering reaches it.
const PATIENCE: Duration = Duration::from_secs(100);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (server, deflate) = match arguments[..] {
        [server] if !server.starts_with('-') => (server, false),
        [server, "--deflate"] => (server, true),
        _ => {
            eprintln!("usage: autobahn_client ws://HOST:PORT [--deflate]");
            return ExitCode::from(2);
        }
    };
    let config = Config::builder()
        .handshake_timeout(PATIENCE)
        .idle_timeout(PATIENCE)
        .close_timeout(PATIENCE)
        .deflate(deflate.then(Deflate::default));
    match run_all(server, &Shared::new(config.build().expect("each value is allowed"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run_all(server: &str, config: &Shared<Config>) -> Result<()> {
    let count = run(&format!("{server}/getCaseCount"), config, false)?;
    let count: u32 =
        count.parse().map_err(|_| Error::new(ErrorKind::InvalidData, "no case count"))?;
    println!("{count} cases");
    for case in 1..=count {
        run(&format!("{server}/runCase?case={case}&agent={AGENT}"), config, true)?;
    }
    run(&format!("{server}/updateReports?agent={AGENT}"), config, false)?;
    Ok(())
}

/// Runs one connection to its end, with echoes if `echo` is set. Returns the last text message.
fn run(url: &str, config: &Shared<Config>, echo: bool) -> Result<String> {
    let request = ClientRequest::new(url)?;
    let uri = request.uri();
    let mut stream = TcpStream::connect((uri.host(), uri.port())).map_err(|error| {
        Error::new(error.kind(), format!("cannot connect to {}: {error}", uri.authority()))
    })?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut conn = Connection::client(&request, config.clone())?;
    let mut buf = vec![0; 64 * 1024];
    let mut last = String::new();
    let (mut filled, clock) = (0, Clock::new());
    loop {
        let mut input = &mut buf[..std::mem::take(&mut filled)];
        while let Some(event) = conn.receive(&mut input) {
            match event {
                Event::Message(message) if echo && conn.state() == State::Open => {
                    conn.send(message)?;
                }
                Event::Message(Message::Text(text)) if !echo => last = text.into_owned(),
                _ => {} // a case may end in any way: the server's report decides
            }
        }
        if conn.wants_write() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = conn.outgoing_slices(&mut slices);
            match stream.write_vectored(&slices[..count]) {
                Ok(n @ 1..) => conn.advance(n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => conn.write_closed(),
            }
            continue;
        }
        if conn.wants_shutdown() {
            let _ = stream.shutdown(Shutdown::Write); // fails if the server has gone
            conn.write_closed();
        }
        if conn.is_finished() {
            return Ok(last);
        }
        let wake = conn.tick(clock.now());
        if conn.wants_write() || conn.is_finished() {
            continue;
        }
        stream.set_read_timeout(wake.map(|wake| clock.until(wake)))?;
        match stream.read(&mut buf) {
            Ok(0) => conn.receive_eof(),
            Ok(n) => filled = n,
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                _ => conn.abort(),
            },
        }
    }
}
