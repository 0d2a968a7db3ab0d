//! A connection with its clock: what a turn of the loop does without the transport. One thread has it for itself, or
//! two share it behind a lock.

use core::time::Duration;
use std::io;

use crate::drive::Error;
use crate::drive::error::End;
use crate::drive::input::Input;
use crate::{Clock, Closed, Connection, Event, Message, Timestamp, UsageError};

/// A connection, its end, and the time.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) conn: Connection,
    pub(super) end: End,
    clock: Clock,
    /// Whether the transport has passed on all bytes that it has taken.
    pub(super) is_flushed: bool,
    /// When it was seen that the connection is finished, but not its transport.
    finished_at: Option<Timestamp>,
}

/// What a turn has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// [`Machine::take_event`] returns an event.
    Event,
    /// The transport can be dropped, and all events were taken.
    Finish,
    /// The time that the caller wanted to wait has passed.
    Nothing,
}

/// What the time has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It has queued bytes, or changed the state.
    Changed,
    /// Nothing. The time must be told again after this wait, and need not be told earlier.
    Unchanged(Option<Duration>),
}

impl Machine {
    pub(super) fn new(conn: Connection) -> Machine {
        Machine {
            conn,
            end: End::default(),
            clock: Clock::new(),
            is_flushed: true,
            finished_at: None,
        }
    }

    /// Takes the event that a turn has found.
    pub(super) fn take_event<'a>(&mut self, input: &'a mut Input) -> Option<Event<'a>> {
        let event = self.conn.receive_from(input.buffer());
        if let Some(Event::Closed(closed)) = &event {
            self.end.note_closed(closed);
        }
        event
    }

    /// Takes the event that a turn has found, and returns it if it is a message.
    pub(super) fn take_message(
        &mut self,
        input: &mut Input,
    ) -> Result<Option<Message<'static>>, Error> {
        let event = self.take_event(input).map(Event::into_owned);
        input.settle();
        match event {
            Some(Event::Message(message)) => Ok(Some(message)),
            Some(Event::Chunk(_)) => {
                let what = "the configuration delivers chunks: call `recv_event`";
                Err(Error::Io(io::Error::new(io::ErrorKind::Unsupported, what)))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn closed(&self) -> Option<Closed> {
        self.end.closed().cloned()
    }

    /// Queues a message.
    pub(super) fn queue(&mut self, message: Message<'_>) -> Result<(), Error> {
        self.conn.send(message).map_err(|error| self.refusal(error))
    }

    pub(super) fn refusal(&mut self, error: UsageError) -> Error {
        self.end.refusal(error)
    }

    /// The result of sending: an error if queued messages can no longer be written.
    pub(super) fn sent(&mut self) -> Result<(), Error> {
        self.end.sent(&self.conn, self.is_flushed)
    }

    /// Whether the transport can be dropped. A transport that does not take its last bytes or its end within the close
    /// timeout is dropped without.
    pub(super) fn is_done(&mut self) -> bool {
        if !self.conn.is_finished() {
            return false;
        }
        self.leave_if_given_up();
        if self.is_behind() {
            let now = self.now();
            let waited = now.saturating_since(*self.finished_at.get_or_insert(now));
            if self.conn.config().close_timeout().is_none_or(|limit| waited < limit) {
                return false;
            }
            self.leave();
        }
        true
    }

    /// A transport that was given up is left as it is, neither flushed nor shut down: its peer must not take the end
    /// for an orderly one.
    pub(super) fn leave_if_given_up(&mut self) {
        if self.conn.wants_reset() {
            self.leave();
        }
    }

    /// Leaves the transport as it is: nothing more is written, flushed or shut down.
    pub(super) fn leave(&mut self) {
        self.end.leave(&mut self.conn, &mut self.is_flushed);
    }

    /// Whether the transport must be written or flushed.
    pub(super) fn is_unwritten(&self) -> bool {
        self.conn.wants_write() || !self.is_flushed
    }

    /// Whether the transport must be written, flushed or shut down.
    pub(super) fn is_behind(&self) -> bool {
        self.is_unwritten() || self.conn.wants_shutdown()
    }

    /// Tells the connection what a read has brought. The bytes are in the buffer already.
    pub(super) fn note_read(&mut self, read: io::Result<Option<usize>>) {
        match read {
            Ok(Some(0)) => self.conn.receive_eof(),
            Ok(_) => {}
            Err(error) => {
                self.end.note_read_error(error);
                self.end.watch_queue(&mut self.conn, Connection::abort);
            }
        }
    }

    /// Tells the connection what a write has done. Returns false if the transport takes nothing for now.
    pub(super) fn note_write(&mut self, written: io::Result<Option<usize>>) -> bool {
        match written {
            Ok(None) => return false,
            Ok(Some(n)) => {
                self.conn.advance(n);
                self.is_flushed = false;
            }
            Err(error) => self.note_write_error(error),
        }
        true
    }

    /// Tells the connection whether the transport has passed on what it has taken. Returns false if it has not.
    pub(super) fn note_flush(&mut self, flushed: io::Result<bool>) -> bool {
        match flushed {
            Ok(flushed) => self.is_flushed = flushed,
            Err(error) => self.note_write_error(error),
        }
        self.is_flushed
    }

    pub(super) fn note_write_error(&mut self, error: io::Error) {
        self.end.note_write_error(error);
        self.leave();
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells the connection the time.
    pub(super) fn tell_time(&mut self) -> Told {
        let seen = |conn: &Connection| (conn.state(), conn.outgoing_len(), conn.is_finished());
        let before = seen(&self.conn);
        let now = self.now();
        let wake = self.end.watch_queue(&mut self.conn, |conn| conn.tick(now));
        if seen(&self.conn) != before {
            return Told::Changed;
        }
        Told::Unchanged(wake.map(|wake| wake.saturating_since(now).max(SHORTEST_WAIT)))
    }

    /// The time to wait: at most `wait`, and at most until the moment `until`. `None` if this moment has passed, unless
    /// nothing was read before: writing may take longer than the caller wants to wait.
    pub(super) fn cut_wait(
        &self,
        wait: Option<Duration>,
        until: Option<Timestamp>,
        has_read: bool,
    ) -> Option<Option<Duration>> {
        let Some(until) = until else { return Some(wait) };
        let left = until.saturating_since(self.now());
        if left.is_zero() && (has_read || !self.conn.wants_read()) {
            return None;
        }
        let left = left.max(SHORTEST_WAIT);
        Some(Some(wait.map_or(left, |wait| wait.min(left))))
    }
}

/// Sockets refuse a timeout of zero, and may round shorter times to it.
pub(super) const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The shorter one of a time to wait and a limit.
pub(super) fn at_most(wait: Option<Duration>, limit: Duration) -> Option<Duration> {
    Some(wait.map_or(limit, |wait| wait.min(limit)))
}
