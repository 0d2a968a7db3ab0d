//! A whole WebSocket: one task receives and sends. `halves.rs` has the two halves of one, `opening.rs` the opening
//! handshakes.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use ::tokio::io::{AsyncRead, AsyncWrite};

use super::halves::{self, RecvHalf, SendHalf};
use super::machine::{Awaited, Found, Machine};
use crate::drive::Error;
use crate::drive::input::Input;
use crate::{CloseCode, Closed, Config, Connection, Event, Message, Shared, Upgrade};

/// A WebSocket over a transport of tokio. It is a `Stream` and a `Sink` of [`Message`]s, too.
///
/// The page of [the module](super) tells which call reads and writes, what a dropped future leaves, and what a drop of
/// the whole does.
pub struct WebSocket<T> {
    pub(super) machine: Machine<T>,
    pub(super) input: Input,
}

/// # Open, after a handshake that was done elsewhere
impl<T: AsyncRead + AsyncWrite + Unpin> WebSocket<T> {
    /// Goes on after an opening handshake that was done elsewhere: by another HTTP/1.1 stack, or by an extended CONNECT
    /// over HTTP/2 or HTTP/3. The argument is the [`Role`](crate::Role), or an [`Upgrade`] if extensions were
    /// negotiated. `leftovers` are bytes that the other stack has read behind the head; they are frames.
    ///
    /// ```
    /// use websocket_proto::drive::{Error, tokio::WebSocket};
    /// use websocket_proto::{Config, Role};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let (stream, _peer) = tokio::io::duplex(1024);
    /// let mut ws = WebSocket::from_upgrade(stream, Role::Client, b"\x81\x05Hello", Config::default())?;
    /// assert_eq!(ws.recv().await?.unwrap().as_text(), Some("Hello"));
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
        Ok(WebSocket { machine: Machine::new(transport, conn), input: Input::new(leftovers) })
    }
}

/// # Receive
impl<T: AsyncRead + AsyncWrite + Unpin> WebSocket<T> {
    /// Receives the next message, owned. All that is queued is written before it waits. Pings are answered. `None`
    /// means that the closing handshake is complete, see [`closed`](WebSocket::closed).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the transport cannot be read; [`Error::Closed`] if the connection has ended otherwise. The next
    /// call returns `None`. An `Io` error of kind `Unsupported` if the configuration delivers
    /// [chunks](crate::Delivery::Chunks).
    pub fn recv(
        &mut self,
    ) -> impl Future<Output = Result<Option<Message<'static>>, Error>> + use<'_, T> {
        poll_fn(|cx| self.machine.poll_message(cx, &mut self.input))
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
    pub async fn recv_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        match poll_fn(|cx| self.machine.poll_event(cx, &mut self.input)).await {
            Found::Event => Ok(self.machine.take_event(&mut self.input)),
            Found::Finish => self.machine.end.outcome().map(|()| None),
        }
    }
}

/// # Send
impl<T: AsyncRead + AsyncWrite + Unpin> WebSocket<T> {
    /// Queues a message in this call, and waits until all that is queued is written.
    ///
    /// Nothing is read meanwhile. If both ends send much before they receive, both wait for each other:
    /// [`split`](WebSocket::split), and receive in another task.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the message cannot be sent; it is not queued then. [`Error::Io`] if the transport cannot be
    /// written, [`Error::Closed`] if the connection has ended: the message may have been lost.
    pub fn send<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
    ) -> impl Future<Output = Result<(), Error>> {
        let queued = self.machine.queue(message.into());
        async move {
            queued?;
            poll_fn(|cx| self.machine.poll_sent(cx, Awaited::Flush)).await
        }
    }

    /// Queues a message in this call, and waits only if more than
    /// [`high_water_bytes`](crate::ConfigBuilder::high_water_bytes) are queued, until at most `low_water_bytes` are.
    /// What is queued is written when [`recv`](WebSocket::recv) waits, or by [`flush`](WebSocket::flush).
    ///
    /// # Errors
    ///
    /// Those of [`send`](WebSocket::send).
    pub fn feed<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
    ) -> impl Future<Output = Result<(), Error>> {
        let queued = self.machine.queue(message.into());
        async move {
            queued?;
            poll_fn(|cx| self.machine.poll_sent(cx, Awaited::Room)).await
        }
    }

    /// Waits until all that is queued is written.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Closed`] if messages that were queued cannot be written.
    pub fn flush(&mut self) -> impl Future<Output = Result<(), Error>> + use<'_, T> {
        poll_fn(|cx| self.machine.poll_sent(cx, Awaited::Flush))
    }

    /// Calls a closure with the connection, for all that it can do and tell: `ping`, `send_prepared`, `send_fragment`,
    /// `fail`, `state`, `buffered_amount`. What it queues is written by the next call that writes, such as
    /// [`flush`](WebSocket::flush).
    ///
    /// The methods of the loop are the driver's: the closure must not call `receive`, `receive_from`, `poll_event`,
    /// `advance`, `take_outgoing` or `tick`.
    ///
    /// ```
    /// # use tokio::io::{AsyncRead, AsyncWrite};
    /// use websocket_proto::drive::{Error, tokio::WebSocket};
    /// use websocket_proto::PreparedMessage;
    ///
    /// async fn tell<T: AsyncRead + AsyncWrite + Unpin>(
    ///     ws: &mut WebSocket<T>,
    ///     message: &PreparedMessage,
    /// ) -> Result<(), Error> {
    ///     ws.with(|conn| conn.send_prepared(message))?;
    ///     ws.flush().await
    /// }
    /// ```
    pub fn with<R>(&mut self, call: impl FnOnce(&mut Connection) -> R) -> R {
        self.machine.with(call)
    }
}

/// # End
impl<T: AsyncRead + AsyncWrite + Unpin> WebSocket<T> {
    /// Queues a Close in this call, and runs the closing handshake to its end (RFC 6455 7.1.2): what is queued is
    /// written, the peer's Close is awaited, and the write side is shut down. Messages that still arrive are dropped.
    /// To receive them, call `with(|conn| conn.close(…))` and then [`recv`](WebSocket::recv) until it returns `None`.
    ///
    /// [`Config::close_timeout`] limits each wait. If the connection is closing or closed already, this goes on with
    /// it.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a code or reason that cannot be sent; nothing has changed then. [`Error::Io`] and
    /// [`Error::Closed`] if the peer's Close did not arrive.
    pub fn close(
        &mut self,
        code: impl Into<CloseCode>,
        reason: &str,
    ) -> impl Future<Output = Result<Closed, Error>> {
        let queued = self.machine.with(|conn| conn.close(code, reason));
        async move {
            queued?;
            let closed = poll_fn(|cx| self.machine.poll_finish(cx, &mut self.input)).await;
            self.machine.end.note_reported();
            closed
        }
    }

    /// Splits into two halves, for two tasks: one receives, and the other one sends.
    pub fn split(self) -> (SendHalf<T>, RecvHalf<T>) {
        halves::split(self.machine, self.input)
    }
}

impl<T> WebSocket<T> {
    /// Returns how the connection has ended, if it has.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.machine.closed().cloned()
    }

    /// Returns the transport, for questions such as the peer's address. Bytes that are read from it or written to it
    /// are lost to the connection.
    #[must_use]
    pub fn transport(&self) -> &T {
        &self.machine.transport
    }

    /// Returns the transport, and drops the connection. What is queued is not written, and what was read is lost. So
    /// this is for the end: to reset a stream of HTTP/2 if the connection
    /// [was given up](crate::Connection::wants_reset), or to ask the transport for its counters.
    ///
    /// ```
    /// use websocket_proto::drive::{Error, tokio::WebSocket};
    /// use websocket_proto::{Config, Role};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let (stream, _peer) = tokio::io::duplex(1024);
    /// let mut ws = WebSocket::from_upgrade(stream, Role::Server, b"", Config::default())?;
    /// ws.with(|conn| conn.abort());
    /// assert!(ws.close(1000, "").await.is_err());
    /// if ws.with(|conn| conn.wants_reset()) {
    ///     let _stream = ws.into_transport(); // a stream of HTTP/2 has a method for RST_STREAM
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn into_transport(self) -> T {
        self.machine.transport
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> WebSocket<T> {
    pub(super) fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message<'static>>, Error>> {
        self.machine.poll_message(cx, &mut self.input)
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
