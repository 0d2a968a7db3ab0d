//! Echoes text and binary messages on one thread: non-blocking sockets, thousands of connections, one read buffer for
//! all of them. If a peer does not read, its connection is not read either until the queue falls to the low water mark.
//! A peer that reads nothing for a minute is disconnected. SIGINT or SIGTERM closes all connections with 1001; the
//! program then ends with status 0.
//!
//! `cargo run --release --example echo_poll [ADDR]`; the default is 127.0.0.1:9001.

use std::collections::{BTreeSet, HashMap};
use std::io::{Error, ErrorKind, IoSlice, Read, Result, Write};
use std::net::Shutdown;
use std::process::ExitCode;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use websocket_proto::{
    Accept, Clock, CloseCause, CloseCode, Config, Connection, Event, Message, Shared, State,
    Timestamp, UsageError,
};

/// The token of the waker that a signal triggers.
const SIGNAL: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);
/// The size of the read buffer that all connections share. A read has a frame of 64 KiB whole, with its header and with
/// frames around it: such a message is not copied. A buffer of 64 KiB cuts each of these frames.
const READ_BYTES: usize = 128 * 1024;
/// The size from which an echo is written from where it was read. Shorter ones are cheaper in the queue: one write
/// takes all of them.
const LARGE_BYTES: usize = 16 * 1024;
/// The number of reads from one connection before the next connection is served.
const READS_PER_TURN: usize = 2;
/// The wait after a failed accept, usually because no descriptor is free. No event reports that accepting is possible
/// again.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// The time that the connections have to close after a signal.
const FAREWELL: Duration = Duration::from_secs(10);
/// Whether a read that does not fill the buffer has emptied the socket, so that an event will report new bytes.
/// epoll(7) guarantees this. On other systems mio reports new bytes only after a read that returned `WouldBlock`.
const IS_SHORT_READ_LAST: bool = cfg!(target_os = "linux");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = match &arguments[..] {
        [] => "127.0.0.1:9001",
        [address] if !address.starts_with('-') => address,
        _ => {
            eprintln!("usage: echo_poll [ADDR]");
            return ExitCode::from(2);
        }
    };
    match run(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal arrives and the connections are closed.
fn run(address: &str) -> Result<()> {
    let listener = std::net::TcpListener::bind(address).map_err(|error| {
        Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })?;
    listener.set_nonblocking(true)?;
    println!("listening on ws://{}", listener.local_addr()?);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let waker = Waker::new(poll.registry(), SIGNAL)?;
    // Waking fails only if the poll has ended.
    ctrlc::set_handler(move || drop(waker.wake())).map_err(Error::other)?;
    let mut server = Server::new(poll.registry().try_clone()?, TcpListener::from_std(listener))?;
    let clock = Clock::new();
    let mut last = None;
    loop {
        let now = clock.now();
        let wake = server.wake(now).into_iter().chain(last).min();
        match poll.poll(&mut events, wake.map(|wake| wake.saturating_since(now))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
        let now = clock.now();
        server.continue_turns(now);
        for event in &events {
            if event.token() == SIGNAL {
                last = Some(if last.is_none() { now + FAREWELL } else { now }); // a second signal ends at once
                server.close_all(now);
            } else {
                server.note_ready(event, now);
            }
        }
        if last.is_some_and(|last| server.peers.is_empty() || last <= now) {
            return Ok(());
        }
    }
}

struct Server {
    registry: Registry,
    config: Shared<Config>,
    /// `None` after a signal.
    listener: Option<TcpListener>,
    peers: HashMap<Token, Peer>,
    next_token: usize,
    /// The deadlines of connections, and the time of the next accept after a failed one.
    deadlines: BTreeSet<(Timestamp, Token)>,
    /// Connections that used all their reads and may have more to read.
    unread: BTreeSet<Token>,
    buf: Vec<u8>,
}

struct Peer {
    stream: TcpStream,
    conn: Connection,
    /// The peer's entry in [`Server::deadlines`].
    deadline: Option<Timestamp>,
    /// Whether the socket can be read and written, until an operation would block. mio reports each change once.
    is_readable: bool,
    is_writable: bool,
    /// mio has reported the end of the stream, possibly before its last bytes were read. It does not report it again.
    is_ending: bool,
}

impl Server {
    fn new(registry: Registry, mut listener: TcpListener) -> Result<Server> {
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        let config = Config::builder()
            .keepalive_interval(Duration::from_secs(20))
            .idle_timeout(Duration::from_secs(60)); // also for a peer that does not read
        Ok(Server {
            registry,
            config: Shared::new(config.build()?),
            listener: Some(listener),
            next_token: 0,
            peers: HashMap::new(),
            deadlines: BTreeSet::new(),
            unread: BTreeSet::new(),
            buf: vec![0; READ_BYTES],
        })
    }

    /// The latest time to stop waiting for the sockets.
    fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        if self.unread.is_empty() { deadline } else { Some(now) }
    }

    /// Serves the connections that may have more to read, and those whose deadline has passed.
    fn continue_turns(&mut self, now: Timestamp) {
        for token in std::mem::take(&mut self.unread) {
            self.turn(token, now);
        }
        let later = self.deadlines.split_off(&(now, SIGNAL));
        for (_, token) in std::mem::replace(&mut self.deadlines, later) {
            self.turn(token, now);
        }
    }

    fn note_ready(&mut self, event: &mio::event::Event, now: Timestamp) {
        if let Some(peer) = self.peers.get_mut(&event.token()) {
            peer.is_readable |= event.is_readable() || event.is_read_closed();
            peer.is_writable |= event.is_writable() || event.is_write_closed();
            peer.is_ending |= event.is_read_closed() || event.is_error();
        }
        self.turn(event.token(), now);
    }

    fn turn(&mut self, token: Token, now: Timestamp) {
        if token == LISTENER {
            return self.accept(now);
        }
        let Some(peer) = self.peers.get_mut(&token) else { return };
        let deadline = peer.serve(now, &mut self.buf);
        if peer.deadline != deadline {
            let old = std::mem::replace(&mut peer.deadline, deadline);
            old.map(|old| self.deadlines.remove(&(old, token)));
            deadline.map(|deadline| self.deadlines.insert((deadline, token)));
        }
        if peer.conn.is_finished() {
            let _ = self.registry.deregister(&mut peer.stream); // fails if the socket is broken
            self.peers.remove(&token);
        } else if peer.may_read() {
            self.unread.insert(token);
        }
    }

    fn accept(&mut self, now: Timestamp) {
        while let Some(listener) = &self.listener {
            match listener.accept() {
                Ok((stream, _)) => self.add(stream, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.deadlines.insert((now + ACCEPT_AGAIN, LISTENER));
                    return;
                }
            }
        }
    }

    fn add(&mut self, mut stream: TcpStream, now: Timestamp) {
        let token = Token(self.next_token);
        self.next_token += 1;
        let both = Interest::READABLE | Interest::WRITABLE; // never changed
        if stream.set_nodelay(true).is_err()
            || self.registry.register(&mut stream, token, both).is_err()
        {
            return; // the client has gone
        }
        let conn = Connection::server(self.config.clone());
        let (is_readable, is_writable, is_ending) = (false, false, false);
        let peer = Peer { stream, conn, deadline: None, is_readable, is_writable, is_ending };
        self.peers.insert(token, peer);
        self.turn(token, now); // starts the handshake timeout
    }

    /// Stops accepting, and closes all connections.
    fn close_all(&mut self, now: Timestamp) {
        self.listener = None;
        for token in self.peers.keys().copied().collect::<Vec<_>>() {
            if let Some(peer) = self.peers.get_mut(&token) {
                peer.conn.close(CloseCode::GOING_AWAY, "").expect("1001 can be sent");
            }
            self.turn(token, now);
        }
    }
}

impl Peer {
    /// Whether to read. Backpressure: a peer that does not read its echoes is not read.
    fn may_read(&self) -> bool {
        self.is_readable && self.conn.wants_read() && !self.conn.is_congested()
    }

    /// Serves until the socket would block or all reads of this turn are used. Returns the deadline of the connection.
    fn serve(&mut self, now: Timestamp, buf: &mut [u8]) -> Option<Timestamp> {
        let (mut filled, mut reads) = (0, 0);
        loop {
            let mut input = &mut buf[..std::mem::take(&mut filled)];
            while let Some(event) = self.conn.receive(&mut input) {
                let conn = &mut self.conn;
                let result = match event {
                    Event::UpgradeRequest(_) => conn.accept(&Accept::default()),
                    Event::PlainRequest(_) => conn.respond(404),
                    Event::Message(message) if conn.state() == State::Open => self.echo(message),
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
                    self.conn.abort();
                }
            }
            if self.conn.wants_write() && self.is_writable {
                self.write();
                continue;
            }
            if self.conn.wants_shutdown() {
                let _ = self.stream.shutdown(Shutdown::Write); // fails if the peer has gone
                self.conn.write_closed();
            }
            if self.conn.is_finished() {
                return None;
            }
            let wake = self.conn.tick(now);
            if self.conn.is_finished() || self.conn.wants_write() && self.is_writable {
                continue;
            }
            if !self.may_read() || reads == READS_PER_TURN {
                return wake;
            }
            reads += 1;
            filled = self.read(buf);
        }
    }

    /// Sends a message back. What the socket does not take of a large one is queued.
    fn echo(&mut self, message: Message<'_>) -> std::result::Result<(), UsageError> {
        if message.len() < LARGE_BYTES || !self.is_writable {
            return self.conn.send(message);
        }
        self.conn.send_through(message, |header, payload| {
            match self.stream.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_writable = false,
                Ok(n) => return Ok(n),
                Err(_) => {} // `write` tries again, and meets a lasting error
            }
            Ok(0)
        })
    }

    fn write(&mut self) {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = self.conn.outgoing_slices(&mut slices);
        // A system call with one slice takes fewer instructions than one with a list of slices.
        let written = match &slices[..count] {
            [slice] => self.stream.write(slice),
            slices => self.stream.write_vectored(slices),
        };
        match written {
            Ok(n @ 1..) => self.conn.advance(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_writable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => self.conn.write_closed(),
        }
    }

    /// Reads once and returns the number of bytes.
    fn read(&mut self, buf: &mut [u8]) -> usize {
        match self.stream.read(buf) {
            Ok(0) => self.conn.receive_eof(),
            Ok(n) => {
                let is_last = IS_SHORT_READ_LAST && n < buf.len() && !self.is_ending;
                self.is_readable &= !is_last;
                return n;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.conn.abort(),
        }
        0
    }
}
