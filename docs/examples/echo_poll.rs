//! Echoes text and binary on one thread: non-blocking sockets, thousands of connections, one read buffer for all of
//! them. A connection whose peer does not read is not read either, until its queue is down at the low mark.
//!
//! `cargo run --release --example echo_poll [ADDR]`, by default 127.0.0.1:9001.

use std::collections::HashMap;
use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, ToSocketAddrs};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use websocket_proto::{Accept, Config, Connection, Event, Shared, Timestamp};

const LISTENER: Token = Token(usize::MAX);
/// How often the connections that have a deadline are looked at: their timeouts are seconds.
const TICK: Duration = Duration::from_millis(250);
/// Reads from one connection before the others have their turn.
const READS_PER_TURN: usize = 16;

struct Peer {
    stream: TcpStream,
    conn: Connection,
    /// When the connection wants to be told the time.
    deadline: Option<Timestamp>,
}

type Peers = HashMap<Token, Peer>;

fn main() -> Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_string());
    let address = address.to_socket_addrs()?.next().ok_or(ErrorKind::AddrNotAvailable)?;
    let mut listener = TcpListener::bind(address)?;
    println!("listening on ws://{}", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;

    let config = Shared::new(Config::default());
    let epoch = Instant::now();
    let mut peers = Peers::new();
    let mut next_token = 0;
    let mut last_tick = Timestamp::default();
    let mut buf = vec![0; 64 * 1024];
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, (!peers.is_empty()).then_some(TICK)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        let now = Timestamp::new(epoch.elapsed());
        for ready in &events {
            if ready.token() == LISTENER {
                accept_all(&listener, poll.registry(), &config, &mut peers, &mut next_token)?;
            } else {
                turn(
                    poll.registry(),
                    &mut peers,
                    ready.token(),
                    now,
                    ready.is_readable(),
                    &mut buf,
                )?;
            }
        }
        if now >= last_tick + TICK {
            last_tick = now;
            let due: Vec<Token> = peers
                .iter()
                .filter(|(_, peer)| peer.deadline.is_some_and(|deadline| now >= deadline))
                .map(|(token, _)| *token)
                .collect();
            for token in due {
                turn(poll.registry(), &mut peers, token, now, false, &mut buf)?;
            }
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    registry: &Registry,
    config: &Shared<Config>,
    peers: &mut Peers,
    next_token: &mut usize,
) -> Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // Nobody waits any more; or a client is gone already, or no descriptor is left: the others go on.
            Err(_) => return Ok(()),
        };
        let token = Token(*next_token);
        *next_token += 1;
        // A client that is gone already.
        if stream.set_nodelay(true).is_err()
            || registry.register(&mut stream, token, Interest::READABLE).is_err()
        {
            continue;
        }
        let conn = Connection::server(config.clone());
        // The time is told at the next tick, which starts the handshake's timeout.
        peers.insert(token, Peer { stream, conn, deadline: Some(Timestamp::default()) });
    }
}

/// Serves one connection until it would block or had its turn, and forgets it when it is over.
fn turn(
    registry: &Registry,
    peers: &mut Peers,
    token: Token,
    now: Timestamp,
    readable: bool,
    buf: &mut [u8],
) -> Result<()> {
    let Some(peer) = peers.get_mut(&token) else { return Ok(()) };
    if peer.serve(now, readable, buf).is_err() {
        peer.conn.abort();
    }
    // A program that wants to know how its connections end drains `poll_event` here once more.
    if peer.conn.is_finished() {
        // It fails for a socket that is broken, which is forgotten all the same.
        let _ = registry.deregister(&mut peer.stream);
        peers.remove(&token);
        return Ok(());
    }
    // Registering anew reports again what is still ready. A connection that wants neither waits for a deadline, or for
    // the peer's end, which is reported in any case.
    let interest = match (peer.may_read(), peer.conn.wants_write()) {
        (true, true) => Interest::READABLE | Interest::WRITABLE,
        (false, true) => Interest::WRITABLE,
        (_, false) => Interest::READABLE,
    };
    registry.reregister(&mut peer.stream, token, interest)
}

impl Peer {
    /// Backpressure: a peer that does not take its echoes is not read.
    fn may_read(&self) -> bool {
        self.conn.wants_read() && !self.conn.is_congested()
    }

    fn serve(&mut self, now: Timestamp, readable: bool, buf: &mut [u8]) -> Result<()> {
        self.deadline = self.conn.tick(now);
        for _ in 0..READS_PER_TURN {
            while let Some(event) = self.conn.poll_event() {
                self.handle(event)?;
            }
            self.flush()?;
            if self.conn.wants_shutdown() {
                // The peer may be gone already.
                let _ = self.stream.shutdown(Shutdown::Write);
            }
            if self.conn.is_finished() || !readable || !self.may_read() {
                break;
            }
            match self.stream.read(buf) {
                Ok(0) => self.conn.receive_eof(),
                Ok(n) => {
                    let mut input = &mut buf[..n];
                    while let Some(event) = self.conn.receive(&mut input) {
                        self.handle(event)?;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Closing and closed connections have deadlines of their own.
        self.deadline = self.conn.tick(now);
        self.flush()
    }

    fn handle(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::UpgradeRequest(_) => self.conn.accept(&Accept::default())?,
            Event::PlainRequest(_) => self.conn.respond(404)?,
            Event::Message(message) if self.conn.check_send(message.len()).is_ok() => {
                self.conn.send(message)?
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes until the socket takes no more.
    fn flush(&mut self) -> Result<()> {
        while self.conn.wants_write() {
            let mut slices = [IoSlice::new(&[]); 16];
            let n = self.conn.outgoing_slices(&mut slices);
            match self.stream.write_vectored(&slices[..n]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.conn.advance(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
