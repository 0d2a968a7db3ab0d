//! websocket-proto: with a read buffer for each connection, with one read buffer for all, with payloads that are
//! encoded once, and with `send_through`.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::IoSlice;

use websocket_proto::{
    Accept, ClientRequest, Config, Connection, Deflate, Event, MessageKind, PreparedMessage,
    ReadBuffer, Shared, Upgrade, UsageError,
};

use crate::peer::{Conn, Payload, Peer, Role, Sink, Unsupported};
use crate::transport::Transport;

const READ: usize = 16 * 1024;

thread_local! {
    /// Shared by all connections, as is usual.
    static CONFIG: Shared<Config> = Shared::new(Config::default());
    static DEFLATE: Shared<Config> = {
        let config = Config::builder().deflate(Deflate::default()).build();
        Shared::new(config.expect("the default options are allowed"))
    };
    /// The read buffer of [`Pooled`].
    static POOL: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

fn open(role: Role) -> Connection {
    let config = CONFIG.with(Clone::clone);
    Connection::from_upgrade(in_our_words(role), config).expect("the OS has entropy")
}

fn open_deflate(role: Role) -> Connection {
    let config = DEFLATE.with(Clone::clone);
    let offers = [&b"permessage-deflate"[..]];
    let deflate = config.deflate().expect("it was set");
    let (params, _) = deflate.accept(offers.into_iter()).expect("the offer is good");
    Connection::from_upgrade(Upgrade::new(in_our_words(role)).deflate(params), config)
        .expect("the OS has entropy")
}

fn in_our_words(role: Role) -> websocket_proto::Role {
    match role {
        Role::Server => websocket_proto::Role::Server,
        Role::Client => websocket_proto::Role::Client,
    }
}

#[inline]
fn flush(io: &mut Transport, conn: &mut Connection) {
    while conn.wants_write() {
        let n = io.write(conn.outgoing());
        conn.advance(n);
    }
}

fn accept(io: &mut Transport, buf: &mut [u8]) -> Connection {
    let mut conn = Connection::server(CONFIG.with(Clone::clone));
    let n = io.read(buf);
    match conn.receive(&mut &mut buf[..n]) {
        Some(Event::UpgradeRequest(_)) => {}
        other => panic!("{other:?}"),
    }
    conn.accept(&Accept::default()).expect("the request waits");
    flush(io, &mut conn);
    conn
}

fn connect(io: &mut Transport, buf: &mut [u8]) -> Connection {
    let request = ClientRequest::new("ws://server.example.com/chat").expect("the URI is good");
    let mut conn = Connection::client(&request, CONFIG.with(Clone::clone)).expect("entropy");
    flush(io, &mut conn);
    let n = io.read(buf);
    match conn.receive(&mut &mut buf[..n]) {
        Some(Event::Open(_)) => {}
        other => panic!("{other:?}"),
    }
    conn
}

#[inline]
fn send(io: &mut Transport, conn: &mut Connection, payload: &Payload, n: usize, batch: usize) {
    for i in 1..=n {
        match payload.text {
            true => conn.send(payload.as_str()).expect("the connection is open"),
            false => conn.send(&payload.bytes[..]).expect("the connection is open"),
        }
        if i % batch == 0 || i == n {
            flush(io, conn);
        }
    }
}

/// A read buffer for each connection.
pub struct Own;

/// Like [`Own`], but received payloads are recycled.
pub struct Recycling;

struct OwnConn<const RECYCLES: bool> {
    io: Transport,
    conn: Connection,
    buf: ReadBuffer,
}

impl<const RECYCLES: bool> OwnConn<RECYCLES> {
    fn boxed(io: Transport, conn: Connection) -> Box<dyn Conn> {
        let buf = ReadBuffer::with_capacity(READ);
        Box::new(OwnConn::<RECYCLES> { io, conn, buf })
    }
}

impl Peer for Own {
    fn name(&self) -> &'static str {
        "websocket-proto"
    }

    fn note(&self) -> &'static str {
        "a ReadBuffer of 16 KiB per connection; send copies the payload; keys from the OS's CSPRNG"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(OwnConn::<false>::boxed(io, open(role)))
    }

    fn accept(&self, mut io: Transport) -> Result<Option<Box<dyn Conn>>, Unsupported> {
        let mut buf = ReadBuffer::with_capacity(READ);
        let conn = accept(&mut io, buf.spare());
        Ok(Some(Box::new(OwnConn::<false> { io, conn, buf })))
    }

    fn connect(&self, mut io: Transport) -> Result<(), Unsupported> {
        let mut buf = ReadBuffer::with_capacity(READ);
        let conn = connect(&mut io, buf.spare());
        black_box((conn, buf));
        Ok(())
    }

    fn open_deflate(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(OwnConn::<true>::boxed(io, open_deflate(role)))
    }
}

impl<const RECYCLES: bool> Conn for OwnConn<RECYCLES> {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        let mut got = 0;
        loop {
            while let Some(event) = self.conn.receive_from(&mut self.buf) {
                match event {
                    Event::Message(message) => {
                        sink.message(message.kind() == MessageKind::Text, message.as_bytes());
                        if RECYCLES {
                            self.conn.recycle(message);
                        }
                    }
                    other => panic!("{other:?}"),
                }
                got += 1;
                if got == n {
                    return;
                }
            }
            let read = self.io.read(self.buf.spare());
            assert!(read > 0, "the transport has ended");
            self.buf.filled(read);
        }
    }

    fn send(&mut self, payload: &Payload, n: usize, batch: usize) {
        send(&mut self.io, &mut self.conn, payload, n, batch);
    }
}

impl Peer for Recycling {
    fn name(&self) -> &'static str {
        "websocket-proto recycling"
    }

    fn note(&self) -> &'static str {
        "the same, and large payloads are given back by recycle, so that their memory is kept; receiving only"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(OwnConn::<true>::boxed(io, open(role)))
    }
}

/// One read buffer for all connections of a thread, as in a loop around `poll`.
pub struct Pooled;

struct PooledConn {
    io: Transport,
    conn: Connection,
}

impl Peer for Pooled {
    fn name(&self) -> &'static str {
        "websocket-proto pooled"
    }

    fn note(&self) -> &'static str {
        "the same, with one 16 KiB buffer for all connections"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(Box::new(PooledConn { io, conn: open(role) }))
    }

    fn accept(&self, mut io: Transport) -> Result<Option<Box<dyn Conn>>, Unsupported> {
        let conn = POOL.with_borrow_mut(|buf| accept(&mut io, buf));
        Ok(Some(Box::new(PooledConn { io, conn })))
    }

    fn connect(&self, mut io: Transport) -> Result<(), Unsupported> {
        black_box(POOL.with_borrow_mut(|buf| connect(&mut io, buf)));
        Ok(())
    }
}

impl Conn for PooledConn {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        let mut got = 0;
        POOL.with_borrow_mut(|buf| {
            while got < n {
                let read = self.io.read(buf);
                assert!(read > 0, "the transport has ended");
                let mut input = &mut buf[..read];
                while let Some(event) = self.conn.receive(&mut input) {
                    match event {
                        Event::Message(message) => {
                            sink.message(message.kind() == MessageKind::Text, message.as_bytes());
                            got += 1;
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
        });
    }

    fn send(&mut self, payload: &Payload, n: usize, batch: usize) {
        send(&mut self.io, &mut self.conn, payload, n, batch);
        // A loop over many connections frees the buffers of a connection that has nothing to write.
        self.conn.release_memory();
    }
}

/// The application stores its payload as a `PreparedMessage`, the shared form of this crate.
pub struct Prepared;

struct PreparedConn {
    io: Transport,
    conn: Connection,
    /// The last sent payload, identified by its address.
    prepared: Option<(*const u8, PreparedMessage)>,
}

impl Peer for Prepared {
    fn name(&self) -> &'static str {
        "websocket-proto prepared"
    }

    fn note(&self) -> &'static str {
        "the payload is kept as a PreparedMessage, as others keep theirs as Bytes; sending only"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(Box::new(PreparedConn { io, conn: open(role), prepared: None }))
    }
}

impl Conn for PreparedConn {
    fn recv(&mut self, _: usize, _: &mut Sink) {
        panic!("this is for sending");
    }

    fn send(&mut self, payload: &Payload, n: usize, batch: usize) {
        let at = payload.bytes.as_ptr();
        let message = match &self.prepared {
            Some((same, message)) if *same == at => message,
            _ => {
                let message = match payload.text {
                    true => PreparedMessage::new(payload.as_str()),
                    false => PreparedMessage::new(&payload.bytes[..]),
                };
                &self.prepared.insert((at, message)).1
            }
        };
        for i in 1..=n {
            self.conn.send_prepared(message).expect("the connection is open");
            if i % batch == 0 || i == n {
                flush(&mut self.io, &mut self.conn);
            }
        }
    }
}

/// Each message is sent with `send_through`, like in crates that write at once.
pub struct Through;

struct ThroughConn {
    io: Transport,
    conn: Connection,
}

impl Peer for Through {
    fn name(&self) -> &'static str {
        "websocket-proto through"
    }

    fn note(&self) -> &'static str {
        "send_through: header and payload from where they are, each message is written at once; sending only"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(Box::new(ThroughConn { io, conn: open(role) }))
    }
}

impl Conn for ThroughConn {
    fn recv(&mut self, _: usize, _: &mut Sink) {
        panic!("this is for sending");
    }

    fn send(&mut self, payload: &Payload, n: usize, _: usize) {
        let Self { io, conn } = self;
        for _ in 0..n {
            let write = |header: &[u8], payload: &[u8]| {
                let slices = [IoSlice::new(header), IoSlice::new(payload)];
                Ok::<usize, UsageError>(io.write_vectored(&slices))
            };
            match payload.text {
                true => conn.send_through(payload.as_str(), write),
                false => conn.send_through(&payload.bytes[..], write),
            }
            .expect("the connection is open");
        }
    }
}
