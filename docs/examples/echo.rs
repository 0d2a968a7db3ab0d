//! The README's program: an echo server with timeouts and one thread per connection.

use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use websocket_proto::{Accept, Clock, Closed, Config, Connection, Event, Shared, State};

fn main() -> Result<()> {
    let config = Config::builder()
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60)); // finds peers that have vanished
    let config = Shared::new(config.build()?); // limits and timeouts of all connections
    for stream in TcpListener::bind("127.0.0.1:9001")?.incoming() {
        let Ok(stream) = stream else {
            std::thread::sleep(Duration::from_millis(10)); // the client has gone, or no descriptor is free
            continue;
        };
        let config = config.clone();
        let serve = move || println!("{:?}", serve(stream, config));
        if let Err(error) = std::thread::Builder::new().spawn(serve) {
            eprintln!("no thread for a connection: {error}");
        }
    }
    Ok(())
}

/// Serves one connection and returns how it ended.
pub(crate) fn serve(mut stream: TcpStream, config: Shared<Config>) -> Result<Option<Closed>> {
    stream.set_nodelay(true)?; // Nagle's algorithm would delay a write that follows another
    stream.set_write_timeout(Some(Duration::from_secs(30)))?; // if the peer stops reading
    let mut conn = Connection::server(config);
    let mut buf = [0; 16 * 1024]; // the read buffer; many connections can share one
    let (mut filled, mut end, clock) = (0, None, Clock::new());
    loop {
        // Events caused by the bytes read, by time, and by the end of the transport.
        let mut input = &mut buf[..std::mem::take(&mut filled)];
        while let Some(event) = conn.receive(&mut input) {
            match event {
                Event::UpgradeRequest(_) => conn.accept(&Accept::default())?,
                Event::PlainRequest(_) => conn.respond(404)?,
                // Messages can still arrive after our Close; `send` would then return an error.
                Event::Message(message) if conn.state() == State::Open => conn.send(message)?,
                Event::Closed(closed) => end = Some(closed),
                _ => {}
            }
        }
        if conn.wants_write() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = conn.outgoing_slices(&mut slices);
            match stream.write_vectored(&slices[..count]) {
                Ok(n @ 1..) => conn.advance(n), // partial writes are normal
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => conn.write_closed(), // the peer's Close can still arrive
            }
            continue;
        }
        if conn.wants_shutdown() {
            let _ = stream.shutdown(Shutdown::Write); // fails if the peer has gone
            conn.write_closed();
        }
        if conn.is_finished() {
            return Ok(end);
        }
        let wake = conn.tick(clock.now());
        if conn.wants_write() || conn.is_finished() {
            continue; // `tick` queued bytes or ended the connection
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
