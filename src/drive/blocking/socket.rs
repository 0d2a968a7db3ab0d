//! A whole WebSocket: one thread receives and sends. `halves.rs` has the two halves of one, `incoming.rs` the opening
//! handshake of a server, `WebSocket::accept` too.

use core::fmt;
use core::time::Duration;
use std::io::{self, IoSlice};
use std::thread;

use super::halves::{self, RecvHalf, SendHalf};
use super::line::{Line, MAX_SLICES, SHORT_WAIT};
use super::machine::{Found, Machine, SHORTEST_WAIT, Told, at_most};
use super::transport::Transport;
use crate::drive::Error;
use crate::drive::input::Input;
use crate::{
    ClientRequest, CloseCode, Closed, Config, Connection, Event, Message, Shared, Timestamp,
    Upgrade, UpgradeResponse, UsageError,
};

/// A message of at least this many bytes is offered to the transport before it is queued.
const LARGE_BYTES: usize = 16 * 1024;

/// A WebSocket over a transport that blocks.
///
/// The page of [the module](super) tells which call reads and writes, what two threads are good for, and what a drop
/// does.
pub struct WebSocket<T> {
    pub(super) machine: Machine,
    pub(super) line: Line<T>,
    pub(super) input: Input,
}

/// # Open
impl<T: Transport> WebSocket<T> {
    /// Sends a client's request on a transport that is connected to the server, with TLS for `wss`, and receives the
    /// response (RFC 6455 4.1).
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a request that cannot be sent. [`Error::Io`]. [`Error::Closed`] if the server refused:
    /// [`Closed::refusal`] has its response; and if the response was not valid, or did not arrive in
    /// [`Config::handshake_timeout`].
    pub fn connect(
        transport: T,
        request: &ClientRequest,
        config: impl Into<Shared<Config>>,
    ) -> Result<(WebSocket<T>, UpgradeResponse<'static>), Error> {
        let conn = Connection::client(request, config)?;
        let mut ws = WebSocket::new(transport, conn, Input::default());
        loop {
            match ws.recv_event()?.map(Event::into_owned) {
                Some(Event::Open(response)) => return Ok((ws, response)),
                Some(_) => {}
                None => return Err(ws.machine.end.unopened()),
            }
        }
    }

    /// Goes on after an opening handshake that was done elsewhere, by another HTTP/1.1 stack. The argument is the
    /// [`Role`](crate::Role), or an [`Upgrade`] if extensions were negotiated. `leftovers` are bytes that the other
    /// stack has read behind the head; they are frames.
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// use websocket_proto::drive::{Error, blocking::WebSocket};
    /// use websocket_proto::{Config, Role};
    ///
    /// # fn main() -> Result<(), Error> {
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// let mut ws = WebSocket::from_upgrade(stream, Role::Client, b"\x81\x05Hello", Config::default())?;
    /// assert_eq!(ws.recv()?.unwrap().as_text(), Some("Hello"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a client without a source of masking keys.
    pub fn from_upgrade(
        transport: T,
        upgrade: impl Into<Upgrade>,
        leftovers: &[u8],
        config: impl Into<Shared<Config>>,
    ) -> Result<WebSocket<T>, Error> {
        let conn = Connection::from_upgrade(upgrade, config)?;
        Ok(WebSocket::new(transport, conn, Input::new(leftovers)))
    }
}

/// # Receive
impl<T: Transport> WebSocket<T> {
    /// Receives the next message, owned. All that is queued is written before it waits. Pings are answered. `None`
    /// means that the closing handshake is complete, see [`closed`](WebSocket::closed).
    ///
    /// If the peer does not read, this goes on receiving, and writes when the peer reads again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the transport cannot be read; [`Error::Closed`] if the connection has ended otherwise. The next
    /// call returns `None`. An `Io` error of kind `Unsupported` if the configuration delivers
    /// [chunks](crate::Delivery::Chunks).
    pub fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        loop {
            match self.turn(None) {
                Found::Event => {
                    if let Some(message) = self.machine.take_message(&mut self.input)? {
                        return Ok(Some(message));
                    }
                }
                Found::Finish => return self.machine.end.outcome().map(|()| None),
                Found::Nothing => {}
            }
        }
    }

    /// Receives the next event, which borrows the read buffer if it can: messages or chunks, pings, pongs, and at last
    /// [`Event::Closed`]. Call it until it returns `None`, also after `Closed`: that call finishes the closing
    /// handshake.
    ///
    /// While the event is borrowed, this WebSocket cannot be used. To answer with a borrowed message,
    /// [`split`](WebSocket::split) it.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](WebSocket::recv), except that chunks are events.
    pub fn recv_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        loop {
            match self.turn(None) {
                Found::Event => return Ok(self.machine.take_event(&mut self.input)),
                Found::Finish => return self.machine.end.outcome().map(|()| None),
                Found::Nothing => {}
            }
        }
    }

    /// Waits until there is an event, at most for this time, and does what [`recv`](WebSocket::recv) does while it
    /// waits. Returns whether [`recv_event`](WebSocket::recv_event) returns without waiting: with an event, an error,
    /// or `None`. A time of zero waits about a millisecond. It waits up to two tenths of a second longer if the
    /// transport is slow to take what is written. A transport that cannot set its
    /// [timeout](Transport::set_read_timeout) may wait longer.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use websocket_proto::drive::{Error, blocking::{Transport, WebSocket}};
    ///
    /// /// Sends a reading each second, and answers what arrives.
    /// fn report(mut ws: WebSocket<impl Transport>, measure: impl Fn() -> String) -> Result<(), Error> {
    ///     let mut next = Instant::now();
    ///     loop {
    ///         if !ws.wait(next.saturating_duration_since(Instant::now())) {
    ///             ws.send(measure())?;
    ///             next += Duration::from_secs(1);
    ///         } else if ws.recv_event()?.is_none() {
    ///             return Ok(());
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use = "without an event, `recv` waits"]
    pub fn wait(&mut self, time: Duration) -> bool {
        let until = self.machine.now() + time.max(SHORTEST_WAIT);
        self.turn(Some(until)) != Found::Nothing
    }
}

/// # Send
impl<T: Transport> WebSocket<T> {
    /// Queues a message, and writes all that is queued.
    ///
    /// Nothing is read meanwhile. If both ends send much before they receive, both wait for each other. Then
    /// [`split`](WebSocket::split), and receive in another thread; or queue messages by [`with`](WebSocket::with), and
    /// let [`recv`](WebSocket::recv) write them.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the message cannot be sent; it is not queued then. [`Error::Io`] if the transport cannot be
    /// written, [`Error::Closed`] if the connection has ended: the message may have been lost. It has also ended if the
    /// peer did not read for [`Config::idle_timeout`].
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        let message = message.into();
        match message.len() >= LARGE_BYTES {
            true => self.send_through(message)?,
            false => self.machine.queue(message)?,
        }
        self.flush()
    }

    /// Queues a message, and writes only if more than
    /// [`high_water_bytes`](crate::ConfigBuilder::high_water_bytes) are queued, until at most `low_water_bytes` are.
    /// What is queued is written when [`recv`](WebSocket::recv) waits, or by [`flush`](WebSocket::flush).
    ///
    /// # Errors
    ///
    /// Those of [`send`](WebSocket::send).
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.machine.queue(message.into())?;
        while self.machine.conn.is_congested() && self.machine.conn.wants_write() {
            self.write_once();
            self.machine.tell_time();
        }
        self.machine.sent()
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Closed`] if messages that were queued cannot be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.write();
        while self.machine.is_unwritten() && !self.machine.is_done() {
            self.machine.tell_time();
            self.write();
        }
        self.machine.sent()
    }

    /// Calls a closure with the connection, for all that it can do and tell: `ping`, `send_prepared`, `send_fragment`,
    /// `fail`, `state`, `buffered_amount`. What it queues is written by the next call that writes, such as
    /// [`flush`](WebSocket::flush).
    ///
    /// The methods of the loop are the driver's: the closure must not call `receive`, `receive_from`, `poll_event`,
    /// `advance`, `take_outgoing` or `tick`.
    ///
    /// ```
    /// use websocket_proto::PreparedMessage;
    /// use websocket_proto::drive::{Error, blocking::{Transport, WebSocket}};
    ///
    /// fn tell(ws: &mut WebSocket<impl Transport>, message: &PreparedMessage) -> Result<(), Error> {
    ///     ws.with(|conn| conn.send_prepared(message))?;
    ///     ws.flush()
    /// }
    /// ```
    pub fn with<R>(&mut self, call: impl FnOnce(&mut Connection) -> R) -> R {
        call(&mut self.machine.conn)
    }
}

/// # End
impl<T: Transport> WebSocket<T> {
    /// Queues a Close, and runs the closing handshake to its end (RFC 6455 7.1.2): what is queued is written, the
    /// peer's Close is awaited, and the write side is shut down. Messages that still arrive are dropped. To receive
    /// them, call `with(|conn| conn.close(…))` and then [`recv`](WebSocket::recv) until it returns `None`.
    ///
    /// [`Config::close_timeout`] limits each wait. If the connection is closing or closed already, this goes on with
    /// it.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a code or reason that cannot be sent; nothing has changed then. [`Error::Io`] and
    /// [`Error::Closed`] if the peer's Close did not arrive.
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<Closed, Error> {
        self.machine.conn.close(code, reason)?;
        self.finish();
        let closed = self.machine.end.finished();
        self.machine.end.note_reported();
        closed
    }

    /// Splits into two halves, for two threads: one receives, and the other one sends. Each has a handle of the
    /// transport; `clone` makes the second one.
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// # use std::thread;
    /// use websocket_proto::drive::{Error, blocking::WebSocket};
    /// # use websocket_proto::{Config, Role};
    ///
    /// # fn main() -> Result<(), Error> {
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// # let ws = WebSocket::from_upgrade(stream, Role::Client, b"\x81\x05Hello", Config::default())?;
    /// let (mut sends, mut receives) = ws.split(TcpStream::try_clone)?;
    /// let sender = thread::spawn(move || sends.send("Hello"));
    /// assert_eq!(receives.recv()?.unwrap().as_text(), Some("Hello"));
    /// # sender.join().unwrap() }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of `clone`. The WebSocket is dropped then.
    pub fn split(
        self,
        clone: impl FnOnce(&T) -> io::Result<T>,
    ) -> io::Result<(SendHalf<T>, RecvHalf<T>)> {
        let second = clone(&self.line.transport)?;
        Ok(halves::split(self.machine, self.line, second, self.input))
    }
}

impl<T> WebSocket<T> {
    pub(super) fn new(transport: T, conn: Connection, input: Input) -> WebSocket<T> {
        WebSocket { machine: Machine::new(conn), line: Line::new(transport), input }
    }

    /// Returns how the connection has ended, if it has.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.machine.closed()
    }

    /// Returns the transport, for questions such as the peer's address. Its timeouts are the driver's. Bytes that are
    /// read from it or written to it are lost to the connection.
    #[must_use]
    pub fn transport(&self) -> &T {
        &self.line.transport
    }
}

impl<T: Transport> WebSocket<T> {
    /// Returns the transport, without timeouts, and drops the connection. What is queued is not written, and what was
    /// read is lost. So this is for the end.
    ///
    /// ```
    /// # use std::net::{TcpListener, TcpStream};
    /// use websocket_proto::drive::{Error, blocking::WebSocket};
    /// use websocket_proto::{Config, Role};
    ///
    /// # fn main() -> Result<(), Error> {
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let stream = TcpStream::connect(listener.local_addr()?)?;
    /// let mut ws = WebSocket::from_upgrade(stream, Role::Server, b"", Config::default())?;
    /// ws.with(|conn| conn.abort());
    /// assert!(ws.close(1000, "").is_err());
    /// let _stream: TcpStream = ws.into_transport();
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn into_transport(self) -> T {
        self.line.into_transport()
    }

    /// Runs the loop until there is an event, until the transport can be dropped, or until a moment. Everything queued
    /// is written before it waits for the peer, if the peer reads.
    pub(super) fn turn(&mut self, until: Option<Timestamp>) -> Found {
        let found = self.unsettled_turn(until);
        self.input.settle();
        found
    }

    fn unsettled_turn(&mut self, until: Option<Timestamp>) -> Found {
        let mut has_read = false;
        loop {
            if self.machine.conn.is_event_ready(self.input.buffer()) {
                return Found::Event;
            }
            self.machine.leave_if_given_up();
            let mut goes_on = self.write();
            if !self.machine.is_unwritten() && self.machine.conn.wants_shutdown() {
                goes_on = self.line.shut_down();
                if goes_on {
                    self.machine.conn.write_closed();
                }
            }
            if self.machine.is_done() {
                // A failed write may have caused an event.
                return match self.machine.conn.is_event_ready(self.input.buffer()) {
                    true => Found::Event,
                    false => Found::Finish,
                };
            }
            let Told::Unchanged(wait) = self.machine.tell_time() else { continue };
            let Some(mut wait) = self.machine.cut_wait(wait, until, has_read) else {
                return Found::Nothing;
            };
            if self.machine.is_behind() {
                wait = at_most(wait, if goes_on { SHORTEST_WAIT } else { SHORT_WAIT });
            }
            if self.machine.conn.wants_read() {
                self.read(wait);
                has_read = true;
            } else if !self.machine.is_behind() {
                thread::sleep(wait.unwrap_or(Duration::MAX));
            }
        }
    }

    /// Runs the connection to its end, and drops the events that still come.
    pub(super) fn finish(&mut self) {
        loop {
            match self.turn(None) {
                Found::Event => drop(self.machine.take_event(&mut self.input)),
                Found::Finish => return,
                Found::Nothing => {}
            }
        }
    }

    fn read(&mut self, wait: Option<Duration>) {
        let buffer = self.input.buffer();
        let read = self.line.read(buffer.spare(), wait);
        if let Ok(Some(n)) = read {
            buffer.filled(n);
        }
        self.machine.note_read(read);
    }

    /// Writes what is queued, for about [`SHORT_WAIT`], and lets the transport pass it on. Returns false if the
    /// transport takes nothing for now.
    fn write(&mut self) -> bool {
        let mut until = None;
        while self.machine.conn.wants_write() {
            let now = self.machine.now();
            if now >= *until.get_or_insert(now + SHORT_WAIT) {
                return true;
            }
            if !self.write_once() {
                return false;
            }
        }
        self.machine.is_flushed || self.machine.note_flush(self.line.flush())
    }

    /// Writes once. Returns false if the transport takes nothing for now.
    fn write_once(&mut self) -> bool {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let n = self.machine.conn.outgoing_slices(&mut slices);
        let written = self.line.write(&slices[..n]);
        self.machine.note_write(written)
    }

    /// Queues a message that the transport gets first, so that only the rest is copied.
    fn send_through(&mut self, message: Message<'_>) -> Result<(), Error> {
        let (line, mut failed) = (&mut self.line, None);
        let mut has_written = false;
        let queued = self.machine.conn.send_through(message, |header, payload| {
            match line.write(&[IoSlice::new(header), IoSlice::new(payload)]) {
                Ok(n) => {
                    has_written |= n.is_some();
                    Ok::<_, UsageError>(n.unwrap_or(0))
                }
                Err(error) => {
                    failed = Some(error);
                    Ok(0)
                }
            }
        });
        self.machine.is_flushed &= !has_written;
        queued.map_err(|error| self.machine.refusal(error))?;
        if let Some(error) = failed {
            self.machine.note_write_error(error);
        }
        Ok(())
    }
}

impl<T> fmt::Debug for WebSocket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("conn", &self.machine.conn)
            .field("unreceived_bytes", &self.input.unreceived().len())
            .finish_non_exhaustive()
    }
}
