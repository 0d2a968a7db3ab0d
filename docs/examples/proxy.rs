//! A proxy between WebSocket clients and one server. It does its own opening handshake with each side, and passes
//! frames on as they come, in pieces: no message is put together or inflated. If the client and the server agree on the
//! same parameters of permessage-deflate, compressed messages are passed on as they are; otherwise neither side
//! compresses. Pings, pongs and Close frames pass from end to end: each end answers those of the other. One thread per
//! client.
//!
//! `cargo run --release --example proxy ADDR SERVER`, with two addresses such as `127.0.0.1:9002 127.0.0.1:9001`.

use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::net::{Shutdown, TcpListener, ToSocketAddrs};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use websocket_proto::{
    Accept, ClientRequest, Clock, CloseCode, Config, Connection, Deflate, DeflateParams, Delivery,
    Event, ReadBuffer, State, Timestamp, UpgradeRequest, UsageError,
};

/// The time that the server has to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);
const CLIENT: Token = Token(0);
const SERVER: Token = Token(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, server] = &arguments[..] else {
        eprintln!("usage: proxy ADDR SERVER");
        return ExitCode::from(2);
    };
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
        let server = server.clone();
        let serve = move || {
            if let Err(error) = serve(stream, &server) {
                eprintln!("connection dropped: {error}");
            }
        };
        if let Err(error) = thread::Builder::new().spawn(serve) {
            eprintln!("no thread for a connection: {error}");
        }
    }
}

/// Frames are delivered as they come, and the proxy answers no ping and no Close. The client of a proxy may be far
/// away, so a dead peer is noticed by silence. No ping can go out within a frame, so a frame may take as long as the
/// silence. A pong to a ping of the proxy's own is passed on too, and means nothing to the other end (RFC 6455 5.5.3).
fn config(deflate: Option<Deflate>) -> Config {
    Config::builder()
        .delivery(Delivery::Frames)
        .answer_pings(false)
        .answer_close(false)
        .deflate(deflate)
        .keepalive_interval(Duration::from_secs(20))
        .idle_timeout(Duration::from_secs(300))
        .build()
        .expect("the values are allowed")
}

/// One of the two connections with its socket.
struct Side {
    conn: Connection,
    stream: TcpStream,
    buffer: ReadBuffer,
}

/// Serves one client until both connections have ended.
fn serve(stream: std::net::TcpStream, address: &str) -> Result<()> {
    let (clock, mut poll) = (Clock::new(), Poll::new()?);
    let deflate = Deflate::default();
    let conn = Connection::server(config(Some(deflate.clone())));
    let mut client = Side::new(conn, stream, CLIENT, &poll)?;
    let request = loop {
        match client.next_event(&mut poll, &clock)? {
            Some(Event::UpgradeRequest(request)) => break request,
            Some(Event::PlainRequest(_)) => client.conn.respond(404)?,
            Some(_) => {}
            None => return Ok(()),
        }
    };
    let Some(mut server) = open_both(&mut client, &request, address, &mut poll, &clock)? else {
        while client.next_event(&mut poll, &clock)?.is_some() {}
        return Ok(());
    };
    let mut events = Events::with_capacity(8);
    loop {
        pass_on(&mut client, &mut server)?;
        pass_on(&mut server, &mut client)?;
        // A side is read only if the other one has room in its queue.
        let moved = client.turn(server.has_room()) | server.turn(client.has_room());
        if client.conn.is_finished() && server.conn.is_finished() {
            return Ok(());
        }
        if moved {
            continue;
        }
        let (client_wake, client_works) = client.tick(&clock);
        let (server_wake, server_works) = server.tick(&clock);
        let are_finished = client.conn.is_finished() && server.conn.is_finished();
        if client_works || server_works || are_finished {
            continue;
        }
        let wake = [client_wake, server_wake].into_iter().flatten().min();
        wait(&mut poll, &mut events, wake.map(|wake| clock.until(wake)))?;
    }
}

/// Opens the connection to the server, and accepts the client's request. Returns `None` if the client is refused.
fn open_both(
    client: &mut Side,
    request: &UpgradeRequest<'_>,
    address: &str,
    poll: &mut Poll,
    clock: &Clock,
) -> Result<Option<Side>> {
    // The parameters that the client's connection will have. The server is offered the same.
    let params = Deflate::default().accept(request.extensions()).map(|(params, _)| params);
    let mut opened = open_server(request, address, params.map(deflate_of), poll, clock)?;
    if params.is_some()
        && opened.as_ref().is_ok_and(|server| server.side.conn.deflate_params() != params)
    {
        // Compressed messages could not be passed on, so there must be none on either side.
        opened = open_server(request, address, None, poll, clock)?;
        client.conn = Connection::server(config(None));
        let mut head = request.as_bytes().to_vec();
        let again = client.conn.receive(&mut &mut head[..]).is_some();
        assert!(again, "it is the same request");
    }
    let server = match opened {
        Ok(server) => server,
        Err(status) => {
            client.conn.respond(status)?;
            return Ok(None);
        }
    };
    let accept = match &server.subprotocol {
        Some(subprotocol) => Accept::new().subprotocol(subprotocol),
        None => Accept::new(),
    };
    client.conn.accept(&accept)?;
    Ok(Some(server.side))
}

/// A connection to the server that is open, and the subprotocol that the server has chosen.
struct Opened {
    side: Side,
    subprotocol: Option<String>,
}

/// Connects to the first address that answers. The client waits meanwhile.
fn connect(address: &str) -> Result<std::net::TcpStream> {
    let mut connected = Err(ErrorKind::NotFound.into());
    for address in address.to_socket_addrs()? {
        connected = std::net::TcpStream::connect_timeout(&address, PATIENCE);
        if connected.is_ok() {
            break;
        }
    }
    connected
}

/// Opens a connection to the server for this request of a client. The error is the status for the client.
fn open_server(
    request: &UpgradeRequest<'_>,
    address: &str,
    deflate: Option<Deflate>,
    poll: &mut Poll,
    clock: &Clock,
) -> Result<std::result::Result<Opened, u16>> {
    let stream = match connect(address) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(Err(504)),
        Err(_) => return Ok(Err(502)),
    };
    let Ok(mut forwarded) = ClientRequest::new(&format!("ws://{address}{}", request.resource()))
    else {
        return Ok(Err(400));
    };
    if let Some(origin) = request.origin() {
        forwarded = forwarded.origin(origin);
    }
    for subprotocol in request.subprotocols() {
        forwarded = forwarded.subprotocol(subprotocol);
    }
    let conn = Connection::client(&forwarded, config(deflate))?;
    let mut side = Side::new(conn, stream, SERVER, poll)?;
    loop {
        match side.next_event(poll, clock)? {
            Some(Event::Open(response)) => {
                let subprotocol = response.subprotocol().map(String::from);
                return Ok(Ok(Opened { side, subprotocol }));
            }
            Some(Event::Closed(closed)) => {
                return Ok(Err(closed.refusal().map_or(502, |refusal| match refusal.status() {
                    // The status is for the client only if it is no redirect to another handshake.
                    status @ 400..=599 => status,
                    _ => 502,
                })));
            }
            Some(_) => {}
            None => return Ok(Err(502)),
        }
    }
}

/// The options with which a client offers exactly these parameters.
fn deflate_of(params: DeflateParams) -> Deflate {
    let mut deflate = Deflate::default();
    deflate.server_no_context_takeover = params.server_no_context_takeover;
    deflate.client_no_context_takeover = params.client_no_context_takeover;
    deflate.server_max_window_bits = params.server_max_window_bits;
    deflate.client_max_window_bits = params.client_max_window_bits;
    deflate
}

/// Passes on what has arrived from one side.
fn pass_on(from: &mut Side, to: &mut Side) -> Result<()> {
    while let Some(event) = from.conn.receive_from(&mut from.buffer) {
        match event {
            Event::FrameHeader(header) if to.conn.state() == State::Open => {
                to.conn.begin_frame(&header)?;
            }
            // The payload of a header that was not passed on is dropped.
            Event::FramePayload(payload) if to.conn.unfinished_frame().is_some() => {
                to.conn.send_payload(payload.as_bytes())?;
            }
            Event::Ping(payload) if to.conn.state() == State::Open => to.conn.ping(&payload)?,
            Event::Pong(payload) if to.conn.state() == State::Open => to.conn.pong(&payload)?,
            Event::CloseReceived { code, reason } => close(&mut to.conn, code, &reason)?,
            // If this side's Close was passed on, this is the answer to it.
            Event::Closed(closed) if closed.is_clean() => {
                close(&mut to.conn, closed.code(), closed.reason())?;
            }
            // The rest of a frame will not come either, so no Close may wait for it.
            Event::Closed(_) => to.conn.fail(CloseCode::GOING_AWAY, "the other side has gone")?,
            _ => {}
        }
    }
    Ok(())
}

/// Passes a Close on: as our Close, or as the answer to the peer's. If both have gone out, nothing happens.
fn close(to: &mut Connection, code: CloseCode, reason: &str) -> Result<()> {
    match to.close(code, reason) {
        // 1005 stands for a Close without a code. RFC 6455 7.4.1: only clients send 1010.
        Err(UsageError::CloseCodeNotSendable(_)) => to.close_without_code(),
        closed => closed?,
    }
    Ok(())
}

/// Waits until a socket is ready, or until `limit` has passed.
fn wait(poll: &mut Poll, events: &mut Events, limit: Option<Duration>) -> Result<()> {
    match poll.poll(events, limit) {
        Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

impl Side {
    fn new(
        conn: Connection,
        stream: std::net::TcpStream,
        token: Token,
        poll: &Poll,
    ) -> Result<Side> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Side { conn, stream, buffer: ReadBuffer::with_capacity(16 * 1024) })
    }

    /// Returns the next event of this side alone; `None` when it is finished.
    fn next_event(&mut self, poll: &mut Poll, clock: &Clock) -> Result<Option<Event<'static>>> {
        let mut events = Events::with_capacity(8);
        loop {
            if let Some(event) = self.conn.receive_from(&mut self.buffer) {
                return Ok(Some(event.into_owned()));
            }
            if self.conn.is_finished() && !self.conn.wants_shutdown() {
                return Ok(None);
            }
            if self.turn(true) {
                continue;
            }
            let (wake, works) = self.tick(clock);
            if !works && !self.conn.is_finished() {
                wait(poll, &mut events, wake.map(|wake| clock.until(wake)))?;
            }
        }
    }

    /// Writes, shuts down, and reads once if `may_read`. Returns whether anything happened. If not, an event of the
    /// socket tells when to try again.
    fn turn(&mut self, may_read: bool) -> bool {
        let mut moved = false;
        if self.conn.wants_write() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.conn.outgoing_slices(&mut slices);
            match self.stream.write_vectored(&slices[..count]) {
                Ok(n @ 1..) => self.conn.advance(n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.read(may_read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => self.conn.write_closed(), // the peer's Close can still arrive
            }
            moved = true;
        }
        if self.conn.wants_shutdown() {
            let _ = self.stream.shutdown(Shutdown::Write); // fails if the peer has gone
            self.conn.write_closed();
            moved = true;
        }
        self.read(may_read) || moved
    }

    fn read(&mut self, may_read: bool) -> bool {
        if !may_read || !self.conn.wants_read() {
            return false;
        }
        match self.stream.read(self.buffer.spare()) {
            Ok(0) => self.conn.receive_eof(),
            Ok(n) => self.buffer.filled(n),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.conn.abort(),
        }
        true
    }

    /// Whether the other side may be read: what it sends goes into this queue. If this side is not open, it is dropped,
    /// except the rest of a frame.
    fn has_room(&self) -> bool {
        match self.conn.unfinished_frame() {
            _ if self.conn.state() == State::Open => self.conn.is_writable(),
            Some(_) => self.conn.outgoing_len() <= self.conn.config().high_water_bytes(),
            None => true,
        }
    }

    /// Tells the time. Returns when to do so again, and whether there is something to do before.
    fn tick(&mut self, clock: &Clock) -> (Option<Timestamp>, bool) {
        let before = self.conn.outgoing_len();
        let wake = self.conn.tick(clock.now());
        let works = self.conn.outgoing_len() != before
            || self.conn.wants_shutdown()
            || self.conn.is_event_ready(&mut self.buffer);
        (wake, works)
    }
}
