//! The two halves of a WebSocket, which two threads own. They share the connection behind a lock, which is never held
//! while a call of the transport waits. The handle that writes is behind the same lock: a thread that writes takes it
//! out, and puts it back when nothing more is queued. So what another thread queues meanwhile is written by the thread
//! that writes, and no two frames are mixed.

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use super::line::{Line, MAX_SLICES, SHORT_WAIT};
use super::machine::{Found, Machine, SHORTEST_WAIT, Told, at_most};
use super::transport::Transport;
use crate::drive::Error;
use crate::drive::input::Input;
use crate::{CloseCode, Closed, Connection, Event, Message, Segment, Timestamp};

/// The receiving half looks at the connection at least this often, since nothing can wake a read: the sending half may
/// have closed it, or fed messages without writing them.
const LONGEST_READ: Duration = Duration::from_secs(1);
/// A call that waits for the end waits this long for the receiving half to take the last event. It may be in a read.
const LAST_EVENT_WAIT: Duration = Duration::from_secs(2);
/// Bytes are taken out of the queue up to this length for one write. Pongs can pass those that are not taken.
const TAKEN_BYTES: usize = 256 * 1024;

/// What both halves share.
struct Joint<T> {
    common: Mutex<Common<T>>,
    /// Notified after each change that a thread may wait for.
    changed: Condvar,
}

struct Common<T> {
    machine: Machine,
    /// The handle that writes. `None` while a thread writes.
    writer: Option<Writer<T>>,
    /// What the receiving half had when it was dropped.
    orphan: Option<(Line<T>, Input)>,
}

/// A handle of the transport, and what was taken out of the queue to be written.
struct Writer<T> {
    line: Line<T>,
    taken: VecDeque<Segment>,
    /// Segments whose memory can be used again.
    written: Vec<Segment>,
}

/// What has become of what is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrote {
    /// It is written, as far as it can be, or as far as was asked for.
    All,
    /// Some of it is written, and it is time to do something else.
    Some,
    /// The transport takes nothing for now.
    Nothing,
    /// Another thread writes it.
    Elsewhere,
}

/// The sending half of a [`WebSocket`](super::WebSocket).
///
/// It reads nothing: someone must call [`RecvHalf::recv`], which answers pings. If the receiving half was dropped, the
/// peer is read only by [`close`](SendHalf::close). To drop this half sends nothing.
pub struct SendHalf<T> {
    joint: Arc<Joint<T>>,
}

/// The receiving half of a [`WebSocket`](super::WebSocket).
///
/// It writes too, before it waits for the peer: pongs, and what the sending half has fed. If the peer does not read,
/// it goes on receiving. If a thread waits in the sending half, that one writes.
///
/// ```
/// use std::net::TcpStream;
/// use std::sync::mpsc;
/// use std::thread;
/// use websocket_proto::drive::{Error, blocking::WebSocket};
///
/// /// Answers each message. It reads on while it writes a long answer.
/// fn serve(ws: WebSocket<TcpStream>, answer: fn(&str) -> String) -> Result<(), Error> {
///     let (mut sends, mut receives) = ws.split(TcpStream::try_clone)?;
///     let (questions, waiting) = mpsc::sync_channel::<String>(1000);
///     let sender = thread::spawn(move || {
///         for question in waiting {
///             sends.send(answer(&question))?;
///         }
///         Ok(())
///     });
///     while let Some(message) = receives.recv()? {
///         if questions.send(message.into_text().unwrap_or_default()).is_err() {
///             break; // sending has failed
///         }
///     }
///     drop(questions);
///     sender.join().expect("it does not panic")
/// }
/// ```
pub struct RecvHalf<T> {
    joint: Arc<Joint<T>>,
    /// `None` only while it is dropped.
    source: Option<(Line<T>, Input)>,
}

pub(super) fn split<T>(
    machine: Machine,
    line: Line<T>,
    second: T,
    input: Input,
) -> (SendHalf<T>, RecvHalf<T>) {
    let writer = Some(Writer { line, taken: VecDeque::new(), written: Vec::new() });
    let common = Mutex::new(Common { machine, writer, orphan: None });
    let joint = Arc::new(Joint { common, changed: Condvar::new() });
    let source = Some((Line::new(second), input));
    (SendHalf { joint: joint.clone() }, RecvHalf { joint, source })
}

impl<T: Transport> RecvHalf<T> {
    /// Receives the next message, owned; see [`WebSocket::recv`](super::WebSocket::recv).
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::recv`](super::WebSocket::recv).
    pub fn recv(&mut self) -> Result<Option<Message<'static>>, Error> {
        loop {
            let found = self.turn(None);
            let (joint, input) = self.parts();
            let mut common = joint.lock();
            match found {
                Found::Event => {
                    let message = common.machine.take_message(input);
                    joint.changed.notify_all();
                    if let Some(message) = message? {
                        return Ok(Some(message));
                    }
                }
                Found::Finish => return common.machine.end.outcome().map(|()| None),
                Found::Nothing => {}
            }
        }
    }

    /// Receives the next event, which borrows this half's read buffer; see
    /// [`WebSocket::recv_event`](super::WebSocket::recv_event). The sending half can send it while it is borrowed.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::recv_event`](super::WebSocket::recv_event).
    pub fn recv_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        loop {
            match self.turn(None) {
                Found::Event => {
                    let (joint, input) = self.parts();
                    let mut common = joint.lock();
                    let event = common.machine.take_event(input);
                    joint.changed.notify_all();
                    return Ok(event);
                }
                Found::Finish => return self.joint.lock().machine.end.outcome().map(|()| None),
                Found::Nothing => {}
            }
        }
    }

    /// Waits until there is an event, at most for this time; see [`WebSocket::wait`](super::WebSocket::wait).
    #[must_use = "without an event, `recv` waits"]
    pub fn wait(&mut self, time: Duration) -> bool {
        let until = self.joint.lock().machine.now() + time.max(SHORTEST_WAIT);
        self.turn(Some(until)) != Found::Nothing
    }

    fn turn(&mut self, until: Option<Timestamp>) -> Found {
        let (line, input) = self.source.as_mut().expect(HAS_SOURCE);
        self.joint.turn(line, input, until)
    }
}

impl<T> RecvHalf<T> {
    /// Returns how the connection has ended, if it has.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.joint.lock().machine.closed()
    }

    fn parts(&mut self) -> (&Joint<T>, &mut Input) {
        (&self.joint, &mut self.source.as_mut().expect(HAS_SOURCE).1)
    }
}

const HAS_SOURCE: &str = "only `drop` takes it";

impl<T: Transport> SendHalf<T> {
    /// Queues a message, and writes all that is queued; see [`WebSocket::send`](super::WebSocket::send). If the
    /// receiving half is writing, this waits until it is done.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::send`](super::WebSocket::send).
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.joint.lock().machine.queue(message.into())?;
        self.flush()
    }

    /// Queues a message, and writes only if the queue is long; see [`WebSocket::feed`](super::WebSocket::feed). The
    /// receiving half writes what is queued before its next read, and at least once in a second.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::send`](super::WebSocket::send).
    pub fn feed<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), Error> {
        self.joint.lock().machine.queue(message.into())?;
        self.write_until(|machine| !machine.conn.is_congested())
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::send`](super::WebSocket::send).
    pub fn flush(&mut self) -> Result<(), Error> {
        self.write_until(|machine| machine.conn.outgoing_len() == 0 && machine.is_flushed)
    }

    /// Calls a closure with the connection; see [`WebSocket::with`](super::WebSocket::with). Meanwhile the other half
    /// waits, so the closure should not block.
    pub fn with<R>(&mut self, call: impl FnOnce(&mut Connection) -> R) -> R {
        let result = call(&mut self.joint.lock().machine.conn);
        self.joint.changed.notify_all();
        result
    }

    /// Queues a Close, and waits for the end of the connection (RFC 6455 7.1.2). The receiving half receives what the
    /// peer still sends, so another thread must receive from it until its end, or it must be dropped. If it is dropped,
    /// this drops the messages. [`Config::close_timeout`](crate::Config::close_timeout) limits each wait for the peer.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::close`](super::WebSocket::close). [`Error::Io`] of kind `ConnectionAborted` if the
    /// connection has ended, and the receiving half does not receive its last event within two seconds.
    pub fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> Result<Closed, Error> {
        self.with(|conn| conn.close(code, reason))?;
        self.joint.finish()
    }

    fn write_until(&mut self, is_enough: impl Fn(&Machine) -> bool) -> Result<(), Error> {
        let joint = &*self.joint;
        let mut common = joint.lock();
        while !is_enough(&common.machine) && !common.machine.is_done() {
            let wrote;
            (common, wrote) = joint.write(common, &is_enough);
            match (wrote, common.machine.tell_time()) {
                // What is left cannot be written: it waits for the end of an unfinished frame.
                (Wrote::All, _) => break,
                (_, Told::Changed) => joint.changed.notify_all(),
                (Wrote::Some | Wrote::Nothing, Told::Unchanged(_)) => {}
                (Wrote::Elsewhere, Told::Unchanged(wait)) => common = joint.wait(common, wait),
            }
        }
        common.machine.sent()
    }
}

impl<T> SendHalf<T> {
    /// Returns how the connection has ended, if the receiving half has learned it.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.joint.lock().machine.closed()
    }
}

impl<T: Transport> SendHalf<T> {
    /// Returns the transport, without timeouts, and drops both halves and the connection; see
    /// [`WebSocket::into_transport`](super::WebSocket::into_transport).
    ///
    /// # Errors
    ///
    /// The two halves, if they do not belong together.
    pub fn into_transport(self, receives: RecvHalf<T>) -> Result<T, (SendHalf<T>, RecvHalf<T>)> {
        if !Arc::ptr_eq(&self.joint, &receives.joint) {
            return Err((self, receives));
        }
        drop(receives);
        let writer = self.joint.lock().writer.take().expect("no call of this half is running");
        Ok(writer.line.into_transport())
    }
}

impl<T> Joint<T> {
    /// Locks, even if a thread has panicked while it held the lock: the connection is consistent between two calls.
    fn lock(&self) -> MutexGuard<'_, Common<T>> {
        self.common.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, at most for this time.
    fn wait<'a>(
        &self,
        common: MutexGuard<'a, Common<T>>,
        wait: Option<Duration>,
    ) -> MutexGuard<'a, Common<T>> {
        match wait {
            Some(wait) => {
                let waited = self.changed.wait_timeout(common, wait);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait(common).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl<T: Transport> Joint<T> {
    /// Runs the loop until there is an event, until the transport can be dropped, or until a moment.
    fn turn(&self, line: &mut Line<T>, input: &mut Input, until: Option<Timestamp>) -> Found {
        let found = self.unsettled_turn(line, input, until);
        input.settle();
        found
    }

    fn unsettled_turn(
        &self,
        line: &mut Line<T>,
        input: &mut Input,
        until: Option<Timestamp>,
    ) -> Found {
        let mut common = self.lock();
        let mut has_read = false;
        loop {
            if common.machine.conn.is_event_ready(input.buffer()) {
                return Found::Event;
            }
            let wrote;
            (common, wrote) = self.write(common, &|_| false);
            // Another thread may have changed everything meanwhile.
            if common.machine.conn.is_event_ready(input.buffer()) {
                return Found::Event;
            }
            if common.machine.is_done() {
                self.changed.notify_all(); // a thread may wait for it in `finish`
                return Found::Finish;
            }
            let Told::Unchanged(wait) = common.machine.tell_time() else {
                self.changed.notify_all();
                continue;
            };
            let Some(mut wait) = common.machine.cut_wait(wait, until, has_read) else {
                return Found::Nothing;
            };
            if !common.machine.conn.wants_read() {
                if wrote == Wrote::Elsewhere || !common.is_behind() {
                    common = self.wait(common, wait);
                }
                continue;
            }
            let longest = match wrote {
                Wrote::Some => SHORTEST_WAIT,
                Wrote::Nothing => SHORT_WAIT,
                Wrote::All | Wrote::Elsewhere => LONGEST_READ,
            };
            wait = at_most(wait, longest);
            drop(common);
            let buffer = input.buffer();
            let read = line.read(buffer.spare(), wait);
            has_read = true;
            if let Ok(Some(n)) = read {
                buffer.filled(n);
            }
            common = self.lock();
            common.machine.note_read(read);
        }
    }

    /// Writes until nothing is queued, or until `is_enough`, for about [`SHORT_WAIT`]. Shuts the write side down if the
    /// connection asks for it. The lock is not held while the transport is called.
    fn write<'a>(
        &'a self,
        mut common: MutexGuard<'a, Common<T>>,
        is_enough: &dyn Fn(&Machine) -> bool,
    ) -> (MutexGuard<'a, Common<T>>, Wrote) {
        let Some(writer) = common.writer.take() else { return (common, Wrote::Elsewhere) };
        let mut lent = Lent { joint: self, writer: Some(writer) };
        let writer = lent.writer.as_mut().expect("it was just put there");
        let mut is_changed = false;
        let mut until = None;
        let wrote = loop {
            common.machine.leave_if_given_up();
            if common.machine.conn.outgoing_len() == 0 {
                // If the connection has dropped its queue, what was taken is dropped too.
                writer.taken.clear();
            }
            if is_enough(&common.machine) {
                break Wrote::All;
            }
            writer.fill(&mut common.machine.conn);
            let goes_on = if !writer.taken.is_empty() {
                let now = common.machine.now();
                if now >= *until.get_or_insert(now + SHORT_WAIT) {
                    break Wrote::Some;
                }
                drop(common);
                let written = writer.write();
                common = self.lock();
                let goes_on = common.machine.note_write(written);
                // It takes them after `advance`.
                writer
                    .written
                    .drain(..)
                    .for_each(|segment| common.machine.conn.recycle_segment(segment));
                goes_on
            } else if !common.machine.is_flushed {
                drop(common);
                let flushed = writer.line.flush();
                common = self.lock();
                common.machine.note_flush(flushed)
            } else if common.machine.conn.wants_shutdown() {
                drop(common);
                let is_done = writer.line.shut_down();
                common = self.lock();
                if is_done {
                    common.machine.conn.write_closed();
                }
                is_done
            } else {
                break Wrote::All;
            };
            is_changed = true;
            if !goes_on {
                break Wrote::Nothing;
            }
        };
        common.writer = lent.writer.take();
        // Two threads that wait must not wake each other without an end.
        if is_changed {
            self.changed.notify_all();
        }
        (common, wrote)
    }

    /// Waits for the end of the connection, and runs it if nobody receives.
    fn finish(&self) -> Result<Closed, Error> {
        let mut common = self.lock();
        let mut done_at = None;
        loop {
            if let Some((mut line, mut input)) = common.orphan.take() {
                drop(common);
                while self.turn(&mut line, &mut input, None) != Found::Finish {
                    let _ = self.lock().machine.take_event(&mut input);
                }
                return self.lock().machine.end.finished();
            }
            let wrote;
            (common, wrote) = self.write(common, &|_| false);
            if common.machine.is_done() {
                // The receiving half takes the last event.
                let now = common.machine.now();
                let waited = now.saturating_since(*done_at.get_or_insert(now));
                let left = LAST_EVENT_WAIT.saturating_sub(waited);
                if common.machine.closed().is_some() || left.is_zero() {
                    return common.machine.end.finished();
                }
                common = self.wait(common, Some(left));
                continue;
            }
            match common.machine.tell_time() {
                Told::Changed => self.changed.notify_all(),
                Told::Unchanged(_) if matches!(wrote, Wrote::Some | Wrote::Nothing) => {}
                Told::Unchanged(wait) => common = self.wait(common, wait),
            }
        }
    }
}

impl<T> Common<T> {
    /// Whether the transport must be written, flushed or shut down by the next thread that writes.
    fn is_behind(&self) -> bool {
        let is_taken = |writer: &Writer<T>| !writer.taken.is_empty();
        self.machine.is_behind() || self.writer.as_ref().is_some_and(is_taken)
    }
}

impl<T> Writer<T> {
    /// Takes bytes out of the queue.
    fn fill(&mut self, conn: &mut Connection) {
        let mut len: usize = self.taken.iter().map(|segment| segment.len()).sum();
        while self.taken.len() < MAX_SLICES && len < TAKEN_BYTES {
            let Some(segment) = conn.take_outgoing() else { return };
            len += segment.len();
            self.taken.push_back(segment);
        }
    }
}

impl<T: Transport> Writer<T> {
    /// Writes once what was taken.
    fn write(&mut self) -> std::io::Result<Option<usize>> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        for (slice, segment) in slices.iter_mut().zip(&self.taken) {
            *slice = IoSlice::new(segment);
        }
        let written = self.line.write(&slices[..self.taken.len()])?;
        let mut left = written.unwrap_or(0);
        while let Some(segment) = self.taken.front_mut() {
            if segment.len() > left {
                segment.advance(left);
                break;
            }
            left -= segment.len();
            self.written.extend(self.taken.pop_front());
        }
        Ok(written)
    }
}

/// A writer that a thread has taken out. It is put back also if the transport panics; then nothing more is written.
struct Lent<'a, T> {
    joint: &'a Joint<T>,
    writer: Option<Writer<T>>,
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            let mut common = self.joint.lock();
            common.machine.leave();
            common.writer = Some(writer);
            self.joint.changed.notify_all();
        }
    }
}

impl<T> Drop for RecvHalf<T> {
    fn drop(&mut self) {
        // The sending half may wait for the end, which nobody else receives now.
        self.joint.lock().orphan = self.source.take();
        self.joint.changed.notify_all();
    }
}

impl<T> fmt::Debug for SendHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendHalf")
            .field("conn", &self.joint.lock().machine.conn)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for RecvHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unreceived = self.source.as_ref().map_or(0, |(_, input)| input.unreceived().len());
        f.debug_struct("RecvHalf")
            .field("conn", &self.joint.lock().machine.conn)
            .field("unreceived_bytes", &unreceived)
            .finish_non_exhaustive()
    }
}
