//! A scripted WebSocket server with a thread per connection. README.md lists what it does for each path.

use std::io::{Error, ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use websocket_proto::{
    Accept, Clock, Config, Connection, Deflate, Event, Message, Response, Shared, State,
    UpgradeRequest,
};

const SUBPROTOCOL: &str = "echo.example";
/// The longest silence of a client.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut config = Config::builder().idle_timeout(PATIENCE);
    let address = match &arguments[..] {
        [address] if !address.starts_with('-') => address,
        [address, option] if option == "--deflate" => {
            config = config.deflate(Deflate::default());
            address
        }
        _ => {
            eprintln!("usage: scripted_server ADDRESS [--deflate]");
            return ExitCode::from(2);
        }
    };
    match accept_all(address, Shared::new(config.build().expect("each value is allowed"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn accept_all(address: &str, config: Shared<Config>) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening on ws://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let (stream, config) = (stream?, config.clone());
        std::thread::spawn(move || {
            if let Err(error) = serve(stream, config) {
                eprintln!("connection given up: {error}");
            }
        });
    }
    Ok(())
}

/// The script that a path selects.
enum Script {
    Echo,
    Fragments,
    /// The number of answered pings.
    Ping(usize),
}

fn serve(mut stream: TcpStream, config: Shared<Config>) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let clock = Clock::new();
    let mut conn = Connection::server(config);
    let mut script = Script::Echo;
    let mut buf = [0; 16 * 1024];
    let mut filled = 0;
    loop {
        let mut input = &mut buf[..std::mem::take(&mut filled)];
        while let Some(event) = conn.receive(&mut input) {
            react(&mut conn, &mut script, event)?;
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
            let _ = stream.shutdown(Shutdown::Write); // it fails if the peer is gone already
            conn.write_closed();
        }
        if conn.is_finished() {
            return Ok(());
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

fn react(conn: &mut Connection, script: &mut Script, event: Event<'_>) -> Result<()> {
    match (event, script) {
        (Event::UpgradeRequest(request), script) => *script = begin(conn, &request)?,
        (Event::PlainRequest(request), _) => {
            let line = format!("{} {} {}\n", request.method(), request.target(), request.version());
            conn.respond(Response::new(200).body(line))?;
        }
        // Nothing can be sent after the Close.
        (Event::Message(_) | Event::Pong(_), _) if conn.state() != State::Open => {}
        (Event::Message(message), Script::Fragments) => send_fragments(conn, &message)?,
        (Event::Message(message), _) => conn.send(message)?,
        (Event::Pong(payload), Script::Ping(answered)) => {
            if *payload != *ping_payload(*answered) {
                conn.close(4000, "a pong with other bytes than its ping")?;
                return Ok(());
            }
            *answered += 1;
            match *answered {
                3 => conn.send("3 pongs")?,
                next => conn.ping(&ping_payload(next))?,
            }
        }
        _ => {}
    }
    Ok(())
}

/// Answers the request, and starts the script of its path.
fn begin(conn: &mut Connection, request: &UpgradeRequest<'_>) -> Result<Script> {
    let mut path = request.resource().split('/').skip(1);
    let what = path.next();
    if what == Some("reject") {
        conn.respond(Response::new(403).body("not here\n"))?;
        return Ok(Script::Echo);
    }
    let mut accept = Accept::new();
    if request.subprotocols().any(|offered| offered == SUBPROTOCOL) {
        accept = accept.subprotocol(SUBPROTOCOL);
    }
    conn.accept(&accept)?;
    Ok(match what {
        Some("close") => {
            match path.next() {
                Some(code) => {
                    let code: u16 = code.parse().map_err(Error::other)?;
                    conn.close(code, &percent_decoded(path.next().unwrap_or_default())?)?;
                }
                None => conn.close_without_code(),
            }
            Script::Echo
        }
        Some("ping") => {
            conn.ping(&ping_payload(0))?;
            Script::Ping(0)
        }
        Some("fragments") => Script::Fragments,
        _ => Script::Echo,
    })
}

fn ping_payload(i: usize) -> Vec<u8> {
    (0..[0, 1, 125][i]).collect()
}

fn send_fragments(conn: &mut Connection, message: &Message<'_>) -> Result<()> {
    let payload = message.as_bytes();
    let size = payload.len().div_ceil(7).max(1);
    let mut pieces = payload.chunks(size);
    for i in 0..7 {
        conn.ping(format!("before {i}").as_bytes())?;
        conn.send_fragment(message.kind(), pieces.next().unwrap_or_default(), false)?;
    }
    conn.ping(b"before the end")?;
    conn.send_fragment(message.kind(), b"", true)?;
    Ok(())
}

fn percent_decoded(text: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digits = String::from_utf8_lossy(&[*high, *low]).into_owned();
                bytes.push(u8::from_str_radix(&digits, 16).map_err(Error::other)?);
                rest = tail;
            }
            _ => bytes.push(first),
        }
    }
    String::from_utf8(bytes).map_err(Error::other)
}
