//! One end of a simulated conversation: a connection and the documented loop around it, one turn at a time, over a
//! [`Link`](super::Link). A reaction of the user handles the events.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::invariants::Life;
use super::link::{Link, LinkEnd};
use super::wire::{Arrival, WriteFailed};
use crate::connection::Connection;
use crate::event::Event;
use crate::handshake::Accept;
use crate::timestamp::Timestamp;

/// The user's handler of events.
type Reaction = Box<dyn FnMut(&mut Connection, &Event<'static>)>;

/// The size of the read buffer.
const READ_BYTES: usize = 16 * 1024;

/// A [`Connection`] in the loop that the [crate's page](crate) describes, over one end of a [`Link`].
///
/// A [`Pair`](super::Pair) has two of them. A single one is the peer of your own loop: let both take turns until
/// neither has anything to do, then let time pass.
///
/// ```
/// use websocket_proto::testing::{Endpoint, Link};
/// use websocket_proto::{Config, Connection, Role};
///
/// let mut link = Link::new(1);
/// let mut server = Endpoint::new(Connection::server(Config::default()));
/// link.end(Role::Client).try_write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")?; // by your own code
/// while server.turn(&mut link) {}
/// let mut buf = [0; 1024];
/// link.end(Role::Client).try_read(&mut buf);
/// assert!(buf.starts_with(b"HTTP/1.1 404 "));
/// # Ok::<(), websocket_proto::testing::WriteFailed>(())
/// ```
///
/// # Panics
///
/// [`turn`](Endpoint::turn) panics if the connection breaks one of its promises: an event after [`Event::Closed`], a
/// state that goes back, input that is not used up. That is a bug of this library.
pub struct Endpoint {
    conn: Connection,
    events: Vec<Event<'static>>,
    reaction: Reaction,
    life: Life,
    deadline: Option<Timestamp>,
    /// Whether the loop has ended.
    is_done: bool,
    buf: Vec<u8>,
}

impl Endpoint {
    /// Creates the loop around `conn`. Requests are [answered](answer_request) at once.
    pub fn new(conn: Connection) -> Endpoint {
        let life = Life::new(&conn);
        Endpoint {
            conn,
            events: Vec::new(),
            reaction: Box::new(answer_request),
            life,
            deadline: None,
            is_done: false,
            buf: vec![0; READ_BYTES],
        }
    }

    /// Sets the reaction to events from now on, in place of [`answer_request`].
    ///
    /// A request that the reaction does not answer stays pending until the test calls [`accept`](Connection::accept) or
    /// [`respond`](Connection::respond).
    pub fn on_event(&mut self, reaction: impl FnMut(&mut Connection, &Event<'static>) + 'static) {
        self.reaction = Box::new(reaction);
    }

    /// The connection, for calls such as `send`, `ping` and `close`.
    pub fn conn(&mut self) -> &mut Connection {
        &mut self.conn
    }

    /// The events so far, except those [taken](Endpoint::take_events) before.
    pub fn events(&self) -> &[Event<'static>] {
        &self.events
    }

    /// Removes and returns the events so far.
    pub fn take_events(&mut self) -> Vec<Event<'static>> {
        core::mem::take(&mut self.events)
    }

    /// Whether the loop has ended: the connection is finished, and the transport is dropped.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The time of the next tick, if nothing arrives before.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.deadline.filter(|_| !self.is_done)
    }

    /// Runs the loop once at the link's time: drain `poll_event`, write, shut down, stop if finished, tick, and, unless
    /// the tick caused something, read once and `receive`. Returns whether anything happened.
    pub fn turn(&mut self, link: &mut Link) -> bool {
        if self.is_done {
            return false;
        }
        let mut end = link.end(self.conn.role());
        let mut moved = self.poll();
        while self.conn.wants_write() {
            match end.try_write(self.conn.outgoing()) {
                Ok(0) => break,
                Ok(n) => self.conn.advance(n),
                Err(WriteFailed) => self.conn.write_closed(),
            }
            moved = true;
        }
        if self.conn.wants_shutdown() {
            end.shut_down();
            self.conn.write_closed();
            moved = true;
        }
        self.check();
        // A failed write may have ended the connection.
        moved |= self.poll();
        if self.conn.is_finished() {
            end.drop_transport();
            self.is_done = true;
            return true;
        }
        let waited = self.conn.outgoing_len();
        self.deadline = self.conn.tick(end.now());
        self.check();
        if self.poll() || self.conn.outgoing_len() != waited || self.conn.is_finished() {
            return true;
        }
        self.read(&mut end) || moved
    }

    fn read(&mut self, end: &mut LinkEnd<'_>) -> bool {
        if !self.conn.wants_read() {
            return false;
        }
        let mut buf = core::mem::take(&mut self.buf);
        let arrival = end.try_read(&mut buf);
        match arrival {
            Arrival::Nothing => {}
            Arrival::Bytes(n) => self.receive(&mut buf[..n]),
            Arrival::Eof => self.conn.receive_eof(),
            Arrival::Broken => self.conn.abort(),
        }
        self.buf = buf;
        self.check();
        arrival != Arrival::Nothing
    }

    /// Drains `poll_event`, and returns whether there was an event.
    fn poll(&mut self) -> bool {
        let mut moved = false;
        while let Some(event) = self.conn.poll_event() {
            self.react(event);
            moved = true;
        }
        moved
    }

    fn receive(&mut self, mut input: &mut [u8]) {
        while let Some(event) = self.conn.receive(&mut input) {
            self.react(event.into_owned());
        }
        assert!(input.is_empty(), "{} bytes were not received", input.len());
    }

    fn react(&mut self, event: Event<'static>) {
        if let Err(what) = self.life.note(&event) {
            panic!("{:?}: {what}", self.conn.role());
        }
        self.check();
        (self.reaction)(&mut self.conn, &event);
        self.events.push(event);
    }

    fn check(&mut self) {
        if let Err(what) = self.life.check(&self.conn) {
            panic!("{:?}: {what}", self.conn.role());
        }
    }
}

/// The default reaction of an [`Endpoint`]: accepts a request for a WebSocket, answers any other request with 404, and
/// ignores other events.
///
/// # Panics
///
/// If the request was answered before.
pub fn answer_request(conn: &mut Connection, event: &Event<'_>) {
    let answered = match event {
        Event::UpgradeRequest(_) => conn.accept(&Accept::new()),
        Event::PlainRequest(_) => conn.respond(404),
        _ => Ok(()),
    };
    answered.expect("the request is pending");
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("conn", &self.conn)
            .field("events", &self.events)
            .field("is_done", &self.is_done)
            .finish_non_exhaustive()
    }
}
