//! One turn of the loop: events, writing, shutting down, the time, reading. It owns the transport and the connection.
//! What is done with an event or a message is decided by the types that have it.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::boxed::Box;
use std::io::{self, IoSlice};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::task::yield_now;
use ::tokio::time::{Instant, Sleep, sleep_until};

use super::tasks::{Side, Tasks};
use crate::drive::Error;
use crate::drive::error::End;
use crate::drive::input::Input;
use crate::{Closed, Connection, Event, Message, State, Timestamp, UsageError};

/// The most pieces of one vectored write.
const MAX_SLICES: usize = 64;
/// A message of at least this many bytes is offered to the transport before it is queued.
const LARGE_BYTES: usize = 16 * 1024;
/// A task that finds this many events without waiting lets the others run. tokio itself wants that only after 128 reads
/// and writes. With echoes, that is 8 MiB, or 380,000 messages of 16 bytes, and takes tens of milliseconds.
const TURN_EVENTS: usize = 256;
/// A task that reads this many bytes without waiting does the same.
const TURN_BYTES: usize = 256 * 1024;
/// A timer is set for at most this time: there is no [`Instant`] for every [`Timestamp`].
const LONGEST_SLEEP: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A transport, its connection, the time, and the tasks that wait.
#[derive(Debug)]
pub(super) struct Machine<T> {
    pub(super) transport: T,
    pub(super) conn: Connection,
    pub(super) end: End,
    pub(super) tasks: Tasks,
    /// What the task on the sending side waits for.
    awaited: Awaited,
    /// The time 0 of the connection.
    epoch: Instant,
    /// Rings when [`Connection::tick`] is due, or before.
    alarm: Option<Pin<Box<Sleep>>>,
    /// The number of events found, and of bytes read, since the receiving task last waited.
    turn_events: usize,
    turn_bytes: usize,
    /// Whether the transport has passed on all bytes that it has taken.
    is_flushed: bool,
    /// When the shutdown of the write side began.
    shutdown_began: Option<Instant>,
}

/// What the task on the sending side waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The queue is short enough for more messages.
    Room,
    /// All queued bytes are written, and flushed by the transport.
    Flush,
    /// The transport can be dropped.
    Finish,
}

/// What a turn of the receiving side has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// [`Connection::receive_from`] returns an event.
    Event,
    /// The transport can be dropped, and all events were taken.
    Finish,
}

impl<T> Machine<T> {
    pub(super) fn new(transport: T, conn: Connection) -> Machine<T> {
        Machine {
            transport,
            conn,
            end: End::default(),
            tasks: Tasks::default(),
            awaited: Awaited::Flush,
            epoch: Instant::now(),
            alarm: None,
            turn_events: 0,
            turn_bytes: 0,
            is_flushed: true,
            shutdown_began: None,
        }
    }

    /// Takes the event that [`poll_event`](Machine::poll_event) has found.
    pub(super) fn take_event<'a>(&mut self, input: &'a mut Input) -> Option<Event<'a>> {
        let event = self.conn.receive_from(input.buffer());
        if let Some(Event::Closed(closed)) = &event {
            self.end.note_closed(closed);
            self.tasks.wake(Side::Sends);
        }
        event
    }

    pub(super) fn closed(&self) -> Option<&Closed> {
        self.end.closed()
    }

    /// Calls a closure with the connection. If the connection has another state afterwards, or is finished, the task
    /// that receives is woken.
    pub(super) fn with<R>(&mut self, call: impl FnOnce(&mut Connection) -> R) -> R {
        let before = (self.conn.state(), self.conn.is_finished());
        let result = call(&mut self.conn);
        if (self.conn.state(), self.conn.is_finished()) != before {
            self.tasks.wake(Side::Receives);
        }
        result
    }

    /// Whether what the sending side waits for is the case.
    fn has(&self, awaited: Awaited) -> bool {
        match awaited {
            // If nothing can be written, what is left waits for the end of an unfinished frame.
            Awaited::Room => !self.conn.is_congested() || !self.conn.wants_write(),
            Awaited::Flush => {
                !self.conn.wants_write() && (self.is_flushed || self.has(Awaited::Finish))
            }
            Awaited::Finish => self.conn.is_finished() && !self.conn.wants_shutdown(),
        }
    }

    /// An error unless messages can be sent.
    pub(super) fn check_open(&mut self) -> Result<(), Error> {
        match self.conn.state() {
            State::Open => Ok(()),
            state => Err(self.end.refusal(UsageError::NotOpen(state))),
        }
    }

    fn note_write_error(&mut self, error: io::Error) {
        self.end.note_write_error(error);
        self.leave();
    }

    /// Leaves the transport as it is: nothing more is written, flushed or shut down.
    fn leave(&mut self) {
        self.end.leave(&mut self.conn, &mut self.is_flushed);
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Machine<T> {
    /// Runs the loop until there is an event, or until the transport can be dropped. Everything queued is written
    /// before the loop waits for the peer. If no event is ready, all bytes that were read are received.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>, input: &mut Input) -> Poll<Found> {
        let found = self.receive_turn(cx, input);
        input.settle();
        match found {
            Poll::Pending => self.tasks.wait(Side::Receives, cx.waker()),
            Poll::Ready(_) => self.tasks.clear(Side::Receives),
        }
        if self.tasks.is_waiting(Side::Sends)
            && (self.has(self.awaited) || self.conn.state() == State::Closed)
        {
            self.tasks.wake(Side::Sends);
        }
        found
    }

    /// The next message, owned; `None` at the end.
    pub(super) fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut Input,
    ) -> Poll<Result<Option<Message<'static>>, Error>> {
        loop {
            match ready!(self.poll_event(cx, input)) {
                Found::Finish => return Poll::Ready(self.end.outcome().map(|()| None)),
                Found::Event => match self.take_event(input).map(Event::into_owned) {
                    Some(Event::Message(message)) => {
                        input.settle();
                        return Poll::Ready(Ok(Some(message)));
                    }
                    Some(Event::Chunk(_)) => {
                        let what = "the configuration delivers chunks: call `recv_event`";
                        let error = io::Error::new(io::ErrorKind::Unsupported, what);
                        return Poll::Ready(Err(Error::Io(error)));
                    }
                    _ => {}
                },
            }
        }
    }

    /// Runs the connection to its end, and drops the messages that still arrive.
    pub(super) fn poll_finish(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut Input,
    ) -> Poll<Result<Closed, Error>> {
        while let Found::Event = ready!(self.poll_event(cx, input)) {
            let _ = self.take_event(input);
        }
        Poll::Ready(self.end.finished())
    }

    /// Runs the sending part of the loop until `awaited` is the case. Reads nothing.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, awaited: Awaited) -> Poll<()> {
        let (before, is_finished) = (self.conn.state(), self.conn.is_finished());
        let done = self.send_turn(cx, awaited);
        match done {
            Poll::Pending => {
                self.awaited = awaited;
                self.tasks.wait(Side::Sends, cx.waker());
            }
            Poll::Ready(()) => self.tasks.clear(Side::Sends),
        }
        if (self.conn.state(), self.conn.is_finished()) != (before, is_finished) {
            self.tasks.wake(Side::Receives);
        }
        done
    }

    /// Runs the sending part of the loop until `awaited` is the case, and tells whether what was queued is written or
    /// still can be.
    pub(super) fn poll_sent(
        &mut self,
        cx: &mut Context<'_>,
        awaited: Awaited,
    ) -> Poll<Result<(), Error>> {
        ready!(self.poll_send(cx, awaited));
        Poll::Ready(self.end.sent(&self.conn, self.is_flushed))
    }

    /// Queues a message. A large one is offered to the transport first, so that only the rest is copied.
    pub(super) fn queue(&mut self, message: Message<'_>) -> Result<(), Error> {
        let queued = match message.len() >= LARGE_BYTES && self.transport.is_write_vectored() {
            true => self.send_through(message),
            false => self.conn.send(message),
        };
        queued.map_err(|error| self.end.refusal(error))
    }

    fn send_through(&mut self, message: Message<'_>) -> Result<(), UsageError> {
        // No task polls here. If the transport cannot take all, it wakes those that wait, and they write the rest.
        let waker = self.tasks.waker();
        let mut cx = Context::from_waker(&waker);
        let mut error = None;
        let (transport, is_flushed) = (&mut self.transport, &mut self.is_flushed);
        self.conn.send_through(message, |header, payload| {
            let slices = [IoSlice::new(header), IoSlice::new(payload)];
            match Pin::new(&mut *transport).poll_write_vectored(&mut cx, &slices) {
                Poll::Ready(Ok(n)) => {
                    *is_flushed = false;
                    Ok::<_, UsageError>(n)
                }
                Poll::Ready(Err(failed)) => {
                    error = (failed.kind() != io::ErrorKind::Interrupted).then_some(failed);
                    Ok(0)
                }
                Poll::Pending => Ok(0),
            }
        })?;
        if let Some(error) = error {
            self.note_write_error(error);
        }
        Ok(())
    }

    fn receive_turn(&mut self, cx: &mut Context<'_>, input: &mut Input) -> Poll<Found> {
        let joined = self.tasks.join(Side::Receives, cx.waker());
        let mut both = Context::from_waker(joined.as_ref().unwrap_or(cx.waker()));
        loop {
            let is_event_ready = self.conn.is_event_ready(input.buffer());
            if is_event_ready && self.turn_events < TURN_EVENTS {
                self.turn_events += 1;
                return Poll::Ready(Found::Event);
            }
            let _ = self.poll_write(&mut both);
            if is_event_ready {
                // A peer that floods leaves no other moment to tell the time.
                let _ = self.poll_time(&mut both);
                self.end_turn(cx);
                return Poll::Pending;
            }
            let _ = self.poll_shutdown(&mut both);
            if self.has(Awaited::Finish) {
                // A failed write may have caused an event.
                return Poll::Ready(match self.conn.is_event_ready(input.buffer()) {
                    true => Found::Event,
                    false => Found::Finish,
                });
            }
            // Before the time is told, the bytes that came in time are read. So it is told once for each wait.
            if self.conn.wants_read() && self.poll_read(cx, input).is_ready() {
                continue;
            }
            if !self.poll_time(&mut both) {
                return Poll::Pending;
            }
        }
    }

    fn send_turn(&mut self, cx: &mut Context<'_>, awaited: Awaited) -> Poll<()> {
        let joined = self.tasks.join(Side::Sends, cx.waker());
        let mut both = Context::from_waker(joined.as_ref().unwrap_or(cx.waker()));
        loop {
            if self.has(awaited) {
                return Poll::Ready(());
            }
            let _ = self.poll_write(&mut both);
            let _ = self.poll_shutdown(&mut both);
            if self.has(awaited) {
                return Poll::Ready(());
            }
            if !self.poll_time(&mut both) {
                return Poll::Pending;
            }
        }
    }

    /// Writes all that is queued, and flushes the transport. `Ready` also if writing has failed.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.conn.wants_write() {
            match ready!(self.poll_write_once(cx)) {
                Ok(0) => self.note_write_error(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.is_flushed = false;
                    self.conn.advance(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.note_write_error(error),
            }
        }
        while !self.is_flushed {
            match ready!(Pin::new(&mut self.transport).poll_flush(cx)) {
                Ok(()) => self.is_flushed = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.note_write_error(error),
            }
        }
        Poll::Ready(())
    }

    fn poll_write_once(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let transport = Pin::new(&mut self.transport);
        let first = self.conn.outgoing();
        // A system call with one slice takes fewer instructions than one with a list of slices.
        if first.len() as u64 == self.conn.outgoing_len() || !transport.is_write_vectored() {
            return transport.poll_write(cx, first);
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(self.conn.outgoing_chunks()) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        transport.poll_write_vectored(cx, &slices[..count])
    }

    /// Shuts down the write side if the connection asks for it. A transport that does not finish this within the close
    /// timeout is dropped without. So is one that was given up, as its peer must not take the end for an orderly one.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.conn.wants_shutdown() {
            // RFC 8441 5: RST_STREAM, which a stream of HTTP/2 sends when it is dropped.
            if self.conn.wants_reset() {
                self.leave();
                break;
            }
            let began = *self.shutdown_began.get_or_insert_with(Instant::now);
            match Pin::new(&mut self.transport).poll_shutdown(cx) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Ok(())) => {
                    self.is_flushed = true; // a shutdown flushes first
                    self.conn.write_closed();
                }
                Poll::Ready(Err(_)) => self.leave(), // the peer has gone
                Poll::Pending => {
                    let limit = self.conn.config().close_timeout();
                    match limit.is_some_and(|limit| began.elapsed() >= limit) {
                        true => self.leave(),
                        false => return Poll::Pending,
                    }
                }
            }
        }
        Poll::Ready(())
    }

    /// Reads once. `Ready` if the connection has learned something.
    fn poll_read(&mut self, cx: &mut Context<'_>, input: &mut Input) -> Poll<()> {
        if self.turn_bytes >= TURN_BYTES {
            self.end_turn(cx);
            return Poll::Pending;
        }
        let buffer = input.buffer();
        let mut read = ReadBuf::new(buffer.spare());
        let Poll::Ready(result) = Pin::new(&mut self.transport).poll_read(cx, &mut read) else {
            (self.turn_events, self.turn_bytes) = (0, 0);
            return Poll::Pending;
        };
        match result {
            Ok(()) => match read.filled().len() {
                0 => self.conn.receive_eof(),
                n => {
                    self.turn_bytes += n;
                    buffer.filled(n);
                }
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.end.note_read_error(error);
                self.end.watch_queue(&mut self.conn, Connection::abort);
            }
        }
        Poll::Ready(())
    }

    /// Has the task woken when the runtime has run the other tasks, and has seen which sockets are ready.
    fn end_turn(&mut self, cx: &mut Context<'_>) {
        (self.turn_events, self.turn_bytes) = (0, 0);
        let _ = pin!(yield_now()).poll(cx);
    }

    /// Tells the connection the time, and sets the alarm. Returns whether this changed something.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> bool {
        let seen = |conn: &Connection| (conn.state(), conn.outgoing_len(), conn.is_finished());
        let before = seen(&self.conn);
        loop {
            let now = Instant::now();
            let time = Timestamp::new(now.saturating_duration_since(self.epoch));
            let wake = self.end.watch_queue(&mut self.conn, |conn| conn.tick(time));
            if seen(&self.conn) != before {
                return true;
            }
            let wake = match (wake, self.shutdown_began, self.conn.config().close_timeout()) {
                (None, Some(began), Some(limit)) if self.conn.wants_shutdown() => {
                    Some(limit.saturating_sub(now.saturating_duration_since(began)))
                }
                (wake, ..) => wake.map(|wake| wake.saturating_since(time)),
            };
            let Some(wait) = wake else {
                self.alarm = None;
                return false;
            };
            let due = now + wait.min(LONGEST_SLEEP);
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
            // An alarm that rings too early costs less than one that is set anew in each turn.
            if alarm.is_elapsed() || due < alarm.deadline() {
                alarm.as_mut().reset(due);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return false;
            }
            if self.conn.wants_shutdown() {
                return true;
            }
        }
    }
}
