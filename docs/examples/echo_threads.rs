//! Echoes text and binary messages with two threads per connection: one reads while the other writes. So it cannot
//! deadlock with a peer that sends more than the sockets' buffers hold before it reads. It uses only the standard
//! library. As in `echo_server`, SIGINT and SIGTERM end the program without a Close.
//!
//! `cargo run --release --example echo_threads [ADDR]`; the default is 127.0.0.1:9001.

use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use websocket_proto::{
    Accept, Clock, CloseCause, Config, Connection, Event, Segment, Shared, State,
};

/// The state that the two threads of a connection share.
struct Link {
    stream: TcpStream,
    conn: Mutex<Connection>,
    /// Notified after each change of the connection: it may want to write, or to read again.
    changed: Condvar,
    clock: Clock,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = match &arguments[..] {
        [] => "127.0.0.1:9001",
        [address] if !address.starts_with('-') => address,
        _ => {
            eprintln!("usage: echo_threads [ADDR]");
            return ExitCode::from(2);
        }
    };
    // The echoes for a peer that does not read are buffered up to here. Above it, the peer is not read.
    let config = Config::builder()
        .high_water_bytes(45 * 1024 * 1024)
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(60));
    let config = Shared::new(config.build().expect("it is below max_outgoing_bytes"));
    let listener = TcpListener::bind(address)
        .inspect_err(|error| eprintln!("cannot listen on {address}: {error}"));
    let Ok(listener) = listener else { return ExitCode::FAILURE };
    if let Ok(address) = listener.local_addr() {
        println!("listening on ws://{address}");
    }
    loop {
        // The client has gone, or no descriptor is free. Continue to serve the other clients.
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let config = config.clone();
        let serve = move || {
            if let Err(error) = serve(stream, config) {
                eprintln!("connection dropped: {error}");
            }
        };
        if let Err(error) = thread::Builder::new().spawn(serve) {
            eprintln!("no thread for a connection: {error}");
        }
    }
}

/// Serves one connection: this thread writes and calls `tick`, another thread reads.
fn serve(stream: TcpStream, config: Shared<Config>) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?; // if the peer stops reading
    let conn = Mutex::new(Connection::server(config));
    let link = Link { stream, conn, changed: Condvar::new(), clock: Clock::new() };
    thread::scope(|scope| {
        let reader = thread::Builder::new().spawn_scoped(scope, || link.read());
        if reader.is_ok() {
            link.write();
        }
        // The reader stops waiting, or its read returns.
        link.changed.notify_all();
        let _ = link.stream.shutdown(Shutdown::Both);
        reader.map(drop)
    })
}

impl Link {
    /// Locks the connection, even if a thread has panicked while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads until the connection wants no more bytes. The lock is not held during a read.
    fn read(&self) {
        let mut buf = [0; 16 * 1024];
        loop {
            let is_full = |conn: &mut Connection| conn.wants_read() && conn.is_congested();
            let conn = self.changed.wait_while(self.lock(), is_full);
            if !conn.unwrap_or_else(PoisonError::into_inner).wants_read() {
                return;
            }
            let result = (&self.stream).read(&mut buf);
            let mut conn = self.lock();
            match result {
                Ok(0) => conn.receive_eof(),
                Ok(n) => react(&mut conn, &mut buf[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => conn.abort(),
            }
            self.changed.notify_all();
        }
    }

    /// Writes until the connection is finished. The lock is not held during a write.
    fn write(&self) {
        let mut conn = self.lock();
        loop {
            react(&mut conn, &mut []); // events caused by time and by the end of the transport
            if conn.wants_write() {
                let segments = std::iter::from_fn(|| conn.take_outgoing()).take(16);
                let segments: Vec<Segment> = segments.collect();
                drop(conn);
                let written = write_all(&self.stream, &segments);
                conn = self.lock();
                match written {
                    Ok(n) => conn.advance(n),
                    Err(_) => conn.write_closed(),
                }
                self.changed.notify_all(); // the reader may wait for room in the queue
                continue;
            }
            if conn.wants_shutdown() {
                let _ = self.stream.shutdown(Shutdown::Write); // fails if the peer has gone
                conn.write_closed();
            }
            if conn.is_finished() {
                return;
            }
            let wake = conn.tick(self.clock.now());
            if conn.wants_write() || conn.is_finished() {
                continue;
            }
            let wait = wake.map_or(Duration::MAX, |wake| self.clock.until(wake));
            let waited = self.changed.wait_timeout(conn, wait);
            conn = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Writes all segments in as few writes as the system allows, and returns their length.
fn write_all(mut stream: &TcpStream, segments: &[Segment]) -> Result<usize> {
    let mut all: Vec<IoSlice<'_>> = segments.iter().map(|segment| IoSlice::new(segment)).collect();
    let mut left = &mut all[..];
    while !left.is_empty() {
        match stream.write_vectored(left) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut left, n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(segments.iter().map(|segment| segment.len()).sum())
}

/// Handles the events of `input`, and the events caused by time and by the end of the transport.
fn react(conn: &mut Connection, mut input: &mut [u8]) {
    while let Some(event) = conn.receive(&mut input) {
        let result = match event {
            Event::UpgradeRequest(_) => conn.accept(&Accept::default()),
            Event::PlainRequest(_) => conn.respond(404),
            Event::Message(message) if conn.state() == State::Open => conn.send(message),
            Event::Closed(closed)
                if !closed.is_clean() && *closed.cause() != CloseCause::Answered =>
            {
                eprintln!("not closed cleanly: {}", closed.cause());
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            eprintln!("connection dropped: {error}");
            conn.abort();
        }
    }
}
