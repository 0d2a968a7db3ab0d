//! The error of all drivers, and how a finished connection becomes a result. It has no part in driving.

use core::fmt;
use std::io;

use crate::{CloseCause, Closed, Connection, HandshakeError, ProtocolError, State, UsageError};

/// Why a driver could not do what was asked. It converts into [`io::Error`].
///
/// ```
/// use websocket_proto::drive::Error;
/// use websocket_proto::{State, UsageError};
///
/// let error = Error::from(UsageError::NotOpen(State::Closing));
/// assert_eq!(error.to_string(), "connection is closing, sending needs it open");
/// assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::NotConnected);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The transport failed. If a write failed, messages of the peer may still be received. The kind is
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) if the connection has ended, and only receiving tells
    /// why: then what was queued may be lost. It is [`TimedOut`](io::ErrorKind::TimedOut) if a client did not take the
    /// response in time.
    Io(io::Error),
    /// The call was wrong, or cannot be carried out. It has changed nothing.
    Usage(UsageError),
    /// The connection has ended, and not by a complete closing handshake; or it was never opened.
    /// [`Closed::refusal`] has the response of a server that refused. Sending may return this after a complete closing
    /// handshake, too.
    Closed(Closed),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => error.fmt(f),
            Error::Usage(error) => error.fmt(f),
            Error::Closed(closed) => write!(f, "{closed}: {}", closed.cause()),
        }
    }
}

/// The text of an inner error is a part of this error's text, so the source is what is below the inner error.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => error.source(),
            Error::Usage(error) => error.source(),
            Error::Closed(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

impl From<UsageError> for Error {
    fn from(error: UsageError) -> Error {
        Error::Usage(error)
    }
}

impl From<Closed> for Error {
    fn from(closed: Closed) -> Error {
        Error::Closed(closed)
    }
}

/// An error of the transport stays what it is. [`Error::Closed`] becomes the source of the new error, whose kind tells
/// the cause: `TimedOut`, `UnexpectedEof`, `ConnectionRefused` for a refused handshake, `InvalidData` for a mistake of
/// the peer, else `ConnectionAborted`.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error {
            Error::Io(error) => error,
            Error::Usage(error) => error.into(),
            Error::Closed(closed) => io::Error::new(kind_of(closed.cause()), closed),
        }
    }
}

fn kind_of(cause: &CloseCause) -> io::ErrorKind {
    match cause {
        CloseCause::Protocol(ProtocolError::Handshake(HandshakeError::Refused(_))) => {
            io::ErrorKind::ConnectionRefused
        }
        CloseCause::Protocol(_) => io::ErrorKind::InvalidData,
        CloseCause::TransportEnded => io::ErrorKind::UnexpectedEof,
        CloseCause::TimedOut(_) => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::ConnectionAborted,
    }
}

/// How a connection has ended, as a driver reports it.
#[derive(Debug, Default)]
pub(super) struct End {
    /// The connection's last event.
    closed: Option<Closed>,
    /// The error that ended reading.
    read: Option<Failure>,
    /// The error that ended writing.
    write: Option<Failure>,
    /// Whether queued bytes, or bytes that the transport still held, were given up.
    has_lost_bytes: bool,
    /// Whether the caller knows the end: [`outcome`](End::outcome) has reported it, or a call that closes has.
    is_reported: bool,
}

/// An error of the transport. When it was reported, its kind is left.
#[derive(Debug)]
struct Failure {
    kind: io::ErrorKind,
    error: Option<io::Error>,
}

impl Failure {
    fn new(error: io::Error) -> Failure {
        Failure { kind: error.kind(), error: Some(error) }
    }

    fn report(&mut self) -> Error {
        Error::Io(self.error.take().unwrap_or_else(|| self.kind.into()))
    }
}

impl End {
    pub(super) fn note_closed(&mut self, closed: &Closed) {
        self.closed = Some(closed.clone());
    }

    pub(super) fn note_read_error(&mut self, error: io::Error) {
        self.read = Some(Failure::new(error));
    }

    pub(super) fn note_write_error(&mut self, error: io::Error) {
        self.write.get_or_insert(Failure::new(error));
    }

    /// Leaves the transport as it is: nothing more is written, flushed or shut down. `is_flushed` tells whether the
    /// transport has passed on all bytes that it has taken.
    pub(super) fn leave(&mut self, conn: &mut Connection, is_flushed: &mut bool) {
        self.has_lost_bytes |= !core::mem::replace(is_flushed, true);
        self.watch_queue(conn, Connection::write_closed);
    }

    /// Calls what writes nothing, but may drop the queue, and notes whether it has.
    pub(super) fn watch_queue<R>(
        &mut self,
        conn: &mut Connection,
        call: impl FnOnce(&mut Connection) -> R,
    ) -> R {
        let queued = conn.outgoing_len();
        let result = call(conn);
        self.has_lost_bytes |= queued > 0 && conn.outgoing_len() == 0;
        result
    }

    pub(super) fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    /// Notes that the caller knows how the connection has ended.
    pub(super) fn note_reported(&mut self) {
        self.is_reported = true;
    }

    /// The result for a finished connection: `Ok` after a complete closing handshake, else the error. It is reported
    /// once. From then on the result is `Ok`, so that a loop over messages ends.
    pub(super) fn outcome(&mut self) -> Result<(), Error> {
        let has_ended = self.closed.is_some() || self.read.is_some();
        if core::mem::replace(&mut self.is_reported, true) || !has_ended {
            return Ok(());
        }
        self.finished().map(drop)
    }

    /// The result of a finished connection whose events were taken.
    pub(super) fn finished(&mut self) -> Result<Closed, Error> {
        match (&mut self.read, &self.closed) {
            (_, Some(closed)) if closed.is_clean() => Ok(closed.clone()),
            (Some(failure), _) => Err(failure.report()),
            (None, Some(closed)) => Err(Error::Closed(closed.clone())),
            (None, None) => Err(Error::Io(io::ErrorKind::ConnectionAborted.into())),
        }
    }

    /// The error of an opening handshake that has failed.
    pub(super) fn unopened(&mut self) -> Error {
        match self.finished() {
            Ok(closed) => Error::Closed(closed),
            Err(error) => error,
        }
    }

    /// The result of a request that was answered without a WebSocket: an error unless the response was written.
    pub(super) fn responded(&mut self) -> Result<Closed, Error> {
        match (&mut self.write, &mut self.read, &self.closed) {
            (Some(failure), ..) => Err(failure.report()),
            (None, Some(failure), _) if self.has_lost_bytes => Err(failure.report()),
            (None, None, _) if self.has_lost_bytes => {
                Err(Error::Io(io::ErrorKind::TimedOut.into()))
            }
            (None, _, Some(closed)) => Ok(closed.clone()),
            (None, _, None) => Err(self.unopened()),
        }
    }

    /// The result of accepting a request whose response was to be written: an error if the transport did not take it.
    pub(super) fn accepted(&mut self) -> Result<(), Error> {
        self.write.as_mut().map_or(Ok(()), |failure| Err(failure.report()))
    }

    /// The result of sending: an error if what was queued can no longer be written.
    pub(super) fn sent(&mut self, conn: &Connection, is_flushed: bool) -> Result<(), Error> {
        self.has_lost_bytes |= conn.wants_reset() && !is_flushed;
        // The amount stays when the queue is dropped. An open connection has not dropped it: a compressed message that
        // is unfinished counts.
        let has_dropped_queue =
            conn.state() != State::Open && conn.outgoing_len() == 0 && conn.buffered_amount() > 0;
        if !has_dropped_queue && !self.has_lost_bytes {
            return Ok(());
        }
        Err(self.cause().unwrap_or_else(|| Error::Io(io::ErrorKind::ConnectionAborted.into())))
    }

    /// The error of a call that needs the connection open. `error` is what the connection says.
    pub(super) fn refusal(&mut self, error: UsageError) -> Error {
        match error {
            UsageError::NotOpen(_) => self.cause().unwrap_or(Error::Usage(error)),
            error => Error::Usage(error),
        }
    }

    /// Why nothing can be sent any more, if it is known.
    fn cause(&mut self) -> Option<Error> {
        match (&mut self.write, &self.closed) {
            (Some(failure), _) => Some(failure.report()),
            (None, Some(closed)) => Some(Error::Closed(closed.clone())),
            (None, None) => None,
        }
    }
}
