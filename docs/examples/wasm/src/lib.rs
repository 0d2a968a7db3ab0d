//! Echoes text and binary messages of many connections as wasm, for a program in JavaScript that has the sockets:
//! `server.mjs`.
//!
//! The two share one buffer for bytes from peers, which JavaScript fills. Bytes for a peer stay in the connection's
//! queue, where JavaScript reads them. Each call may allocate and so grow the memory of wasm. Then the views of it in
//! JavaScript become empty, so JavaScript makes a new view for each use.
//!
//! No function here is unsafe: they take and return numbers. With a wrong number, wasm traps, and the instance is lost:
//! the `RefCell` stays borrowed, so each later call but `input_bytes` traps too.

use std::cell::RefCell;
use std::time::Duration;

use websocket_proto::{Accept, Config, Connection, Deflate, Event, Shared, State, Timestamp};

const INPUT_BYTES: usize = 64 * 1024;

struct Server {
    /// Bytes from a peer. JavaScript writes to it between two calls, and only then.
    input: Box<[u8]>,
    config: Shared<Config>,
    /// A connection's place is its number.
    connections: Vec<Option<Connection>>,
    /// The numbers of free places.
    free: Vec<usize>,
}

thread_local! {
    static SERVER: RefCell<Server> = RefCell::new(Server {
        input: vec![0; INPUT_BYTES].into_boxed_slice(),
        config: Shared::new(
            Config::builder()
                .deflate(Deflate::default())
                .keepalive_interval(Duration::from_secs(20))
                .idle_timeout(Duration::from_secs(60))
                .build()
                .expect("these values are allowed"),
        ),
        connections: Vec::new(),
        free: Vec::new(),
    });
}

fn with<R>(number: usize, use_it: impl FnOnce(&mut Connection, &mut [u8]) -> R) -> R {
    SERVER.with_borrow_mut(|server| {
        let conn = server.connections[number].as_mut().expect("the number is that of a connection");
        use_it(conn, &mut server.input)
    })
}

/// The address of the buffer for bytes from a peer, of `input_bytes` bytes. It never changes.
#[unsafe(no_mangle)]
extern "C" fn input() -> *mut u8 {
    SERVER.with_borrow_mut(|server| server.input.as_mut_ptr())
}

#[unsafe(no_mangle)]
extern "C" fn input_bytes() -> usize {
    INPUT_BYTES
}

/// Makes a connection, and returns its number.
#[unsafe(no_mangle)]
extern "C" fn open() -> usize {
    SERVER.with_borrow_mut(|server| {
        // A server needs no source of randomness.
        let conn = Some(Connection::server(server.config.clone()));
        let number = server.free.pop().unwrap_or(server.connections.len());
        match server.connections.get_mut(number) {
            Some(place) => *place = conn,
            None => server.connections.push(conn),
        }
        number
    })
}

/// Drops a connection. Its number may then be that of another one.
#[unsafe(no_mangle)]
extern "C" fn drop_connection(number: usize) {
    SERVER.with_borrow_mut(|server| {
        if server.connections[number].take().is_some() {
            server.free.push(number);
        }
    });
}

/// Receives the first `n` bytes of the input buffer.
#[unsafe(no_mangle)]
extern "C" fn receive(number: usize, n: usize) {
    with(number, |conn, input| react(conn, &mut input[..n]));
}

/// The peer has ended its direction.
#[unsafe(no_mangle)]
extern "C" fn receive_eof(number: usize) {
    with(number, |conn, _| {
        conn.receive_eof();
        react(conn, &mut []);
    });
}

/// The transport has failed.
#[unsafe(no_mangle)]
extern "C" fn abort(number: usize) {
    with(number, |conn, _| {
        conn.abort();
        react(conn, &mut []);
    });
}

/// Passes the time. Returns in how many milliseconds this must be called again; -1 for never.
#[unsafe(no_mangle)]
extern "C" fn tick(number: usize, now_millis: f64) -> f64 {
    let now = Timestamp::from_millis(now_millis as u64);
    with(number, |conn, _| {
        let wake = conn.tick(now);
        react(conn, &mut []);
        wake.map_or(-1.0, |wake| wake.saturating_since(now).as_secs_f64() * 1000.0)
    })
}

/// The address of the next bytes for the peer. They are valid until another function is called.
#[unsafe(no_mangle)]
extern "C" fn outgoing(number: usize) -> *const u8 {
    with(number, |conn, _| conn.outgoing().as_ptr())
}

/// The number of these bytes; 0 if there are none.
#[unsafe(no_mangle)]
extern "C" fn outgoing_bytes(number: usize) -> usize {
    with(number, |conn, _| conn.outgoing().len())
}

/// The first `n` of these bytes are written.
#[unsafe(no_mangle)]
extern "C" fn advance(number: usize, n: usize) {
    with(number, |conn, _| conn.advance(n));
}

#[unsafe(no_mangle)]
extern "C" fn wants_shutdown(number: usize) -> bool {
    with(number, |conn, _| conn.wants_shutdown())
}

/// Our direction is shut down.
#[unsafe(no_mangle)]
extern "C" fn write_closed(number: usize) {
    with(number, |conn, _| {
        conn.write_closed();
        react(conn, &mut []);
    });
}

#[unsafe(no_mangle)]
extern "C" fn is_finished(number: usize) -> bool {
    with(number, |conn, _| conn.is_finished())
}

fn react(conn: &mut Connection, mut input: &mut [u8]) {
    while let Some(event) = conn.receive(&mut input) {
        let result = match event {
            Event::UpgradeRequest(_) => conn.accept(&Accept::default()),
            Event::PlainRequest(_) => conn.respond(404),
            Event::Message(message) if conn.state() == State::Open => conn.send(message),
            _ => Ok(()),
        };
        if result.is_err() {
            conn.abort(); // the echoes of one read are more than the queue may hold
        }
    }
}
