//! A scripted WebSocket server, a thread per connection; README.md says what it does for which path.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use websocket_proto::{
    Accept, Config, Connection, Event, Message, Response, Shared, UpgradeRequest,
};

const SUBPROTOCOL: &str = "echo.example";
/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    #[cfg_attr(not(feature = "deflate"), allow(unused_mut, reason = "no option changes it"))]
    let mut config = Config::default();
    let address = match &arguments[..] {
        [address] => address,
        #[cfg(feature = "deflate")]
        [address, option] if option == "--deflate" => {
            config.deflate = Some(websocket_proto::Deflate::default());
            address
        }
        _ => {
            let usage = "usage: scripted_server ADDRESS [--deflate]";
            return Err(Error::new(ErrorKind::InvalidInput, usage));
        }
    };
    let listener = TcpListener::bind(address)?;
    println!("listening on ws://{}", listener.local_addr()?);
    let config = Shared::new(config);
    for stream in listener.incoming() {
        let (stream, config) = (stream?, config.clone());
        std::thread::spawn(move || {
            if let Err(error) = serve(stream, config) {
                eprintln!("connection lost: {error}");
            }
        });
    }
    Ok(())
}

/// What a path asks for.
enum Script {
    Echo,
    Fragments,
    /// How many pings were answered.
    Ping(usize),
}

fn serve(mut stream: TcpStream, config: Shared<Config>) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut conn = Connection::server(config);
    let mut script = Script::Echo;
    let mut buf = [0; 16 * 1024];
    loop {
        while let Some(event) = conn.poll_event() {
            handle(&mut conn, &mut script, event)?;
        }
        while conn.wants_write() {
            match stream.write(conn.outgoing())? {
                0 => return Err(ErrorKind::WriteZero.into()),
                n => conn.advance(n),
            }
        }
        if conn.wants_shutdown() {
            // The peer may be gone already.
            let _ = stream.shutdown(Shutdown::Write);
        }
        if conn.is_finished() {
            return Ok(());
        }
        let n = stream.read(&mut buf)?;
        if n == 0 {
            conn.receive_eof();
        }
        let mut input = &mut buf[..n];
        while let Some(event) = conn.receive(&mut input) {
            handle(&mut conn, &mut script, event)?;
        }
    }
}

fn handle(conn: &mut Connection, script: &mut Script, event: Event<'_>) -> Result<()> {
    match (event, script) {
        (Event::UpgradeRequest(request), script) => *script = begin(conn, &request)?,
        (Event::PlainRequest(request), _) => {
            let line = format!("{} {} {}\n", request.method(), request.target(), request.version());
            conn.respond(Response::new(200).body(line))?;
        }
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

/// Answers the request, and does what its path wants done at once.
fn begin(conn: &mut Connection, request: &UpgradeRequest<'_>) -> Result<Script> {
    let mut path = request.resource().split('/').skip(1);
    let what = path.next();
    if what == Some("reject") {
        conn.reject(Response::new(403).body("not here\n"))?;
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
