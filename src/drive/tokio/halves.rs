//! The two halves of a WebSocket, which two tasks own. They share the machine behind a mutex, which is held for a poll
//! at most.

use core::fmt;
use core::future::poll_fn;
use core::mem;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::time::timeout;

use super::machine::{Awaited, Found, Machine};
use super::tasks::Side;
use crate::drive::Error;
use crate::drive::input::Input;
use crate::{CloseCode, Closed, Connection, Event, Message};

/// A call that waits for the end waits this long for the receiving half to take the last event.
const LAST_EVENT_WAIT: Duration = Duration::from_secs(1);

/// What both halves share.
#[derive(Debug)]
struct Common<T> {
    machine: Machine<T>,
    /// What the receiving half had not received when it was dropped.
    orphan: Option<Input>,
}

type Joint<T> = Arc<Mutex<Common<T>>>;

/// The sending half of a [`WebSocket`](super::WebSocket). It is a `Sink` of [`Message`]s, too.
///
/// It reads nothing: someone must call [`RecvHalf::recv`], which answers pings. If the receiving half was dropped, the
/// peer is read only by [`close`](SendHalf::close). To drop this half sends nothing.
pub struct SendHalf<T> {
    joint: Joint<T>,
}

/// The receiving half of a [`WebSocket`](super::WebSocket). It is a `Stream` of [`Message`]s, too.
///
/// ```
/// # use tokio::io::{AsyncRead, AsyncWrite};
/// use websocket_proto::drive::{Error, tokio::WebSocket};
/// use websocket_proto::Event;
///
/// /// Answers with messages that borrow the read buffer.
/// async fn echo(ws: WebSocket<impl AsyncRead + AsyncWrite + Unpin>) -> Result<(), Error> {
///     let (mut sends, mut receives) = ws.split();
///     while let Some(event) = receives.recv_event().await? {
///         if let Event::Message(message) = event {
///             sends.feed(message).await?;
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct RecvHalf<T> {
    joint: Joint<T>,
    input: Input,
}

pub(super) fn split<T>(machine: Machine<T>, input: Input) -> (SendHalf<T>, RecvHalf<T>) {
    let joint = Arc::new(Mutex::new(Common { machine, orphan: None }));
    (SendHalf { joint: joint.clone() }, RecvHalf { joint, input })
}

/// A panic in a closure of the user's leaves the connection as consistent as without the lock.
fn lock<T>(joint: &Joint<T>) -> MutexGuard<'_, Common<T>> {
    joint.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: AsyncRead + AsyncWrite + Unpin> RecvHalf<T> {
    /// Receives the next message, owned; see [`WebSocket::recv`](super::WebSocket::recv).
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::recv`](super::WebSocket::recv).
    pub fn recv(
        &mut self,
    ) -> impl Future<Output = Result<Option<Message<'static>>, Error>> + use<'_, T> {
        poll_fn(|cx| self.poll_message(cx))
    }

    /// Receives the next event, which borrows this half's read buffer; see
    /// [`WebSocket::recv_event`](super::WebSocket::recv_event). The sending half can send it while it is borrowed.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::recv_event`](super::WebSocket::recv_event).
    pub async fn recv_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        let found = poll_fn(|cx| lock(&self.joint).machine.poll_event(cx, &mut self.input)).await;
        let machine = &mut lock(&self.joint).machine;
        match found {
            Found::Event => Ok(machine.take_event(&mut self.input)),
            Found::Finish => machine.end.outcome().map(|()| None),
        }
    }

    pub(super) fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Message<'static>>, Error>> {
        lock(&self.joint).machine.poll_message(cx, &mut self.input)
    }
}

impl<T> RecvHalf<T> {
    /// Returns how the connection has ended, if it has.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        lock(&self.joint).machine.closed().cloned()
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> SendHalf<T> {
    /// Queues a message in this call, and waits until all that is queued is written; see
    /// [`WebSocket::send`](super::WebSocket::send).
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::send`](super::WebSocket::send).
    pub fn send<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
    ) -> impl Future<Output = Result<(), Error>> {
        let queued = lock(&self.joint).machine.queue(message.into());
        async move {
            queued?;
            poll_fn(|cx| self.poll_sent(cx, Awaited::Flush)).await
        }
    }

    /// Queues a message in this call, and waits only if the queue is long; see
    /// [`WebSocket::feed`](super::WebSocket::feed). If a task waits in [`RecvHalf::recv`], it is woken, and writes what
    /// is queued.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::send`](super::WebSocket::send).
    pub fn feed<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
    ) -> impl Future<Output = Result<(), Error>> {
        let mut common = lock(&self.joint);
        let queued = common.machine.queue(message.into());
        common.machine.tasks.wake(Side::Receives);
        drop(common);
        async move {
            queued?;
            poll_fn(|cx| self.poll_sent(cx, Awaited::Room)).await
        }
    }

    /// Waits until all that is queued is written.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::flush`](super::WebSocket::flush).
    pub fn flush(&mut self) -> impl Future<Output = Result<(), Error>> + use<'_, T> {
        poll_fn(|cx| self.poll_sent(cx, Awaited::Flush))
    }

    /// Calls a closure with the connection; see [`WebSocket::with`](super::WebSocket::with). Meanwhile the other half
    /// waits, so the closure should not block.
    pub fn with<R>(&mut self, call: impl FnOnce(&mut Connection) -> R) -> R {
        lock(&self.joint).machine.with(call)
    }

    /// Queues a Close in this call, and waits for the end of the connection (RFC 6455 7.1.2). The receiving half
    /// receives what the peer still sends, so it must be received from, or be dropped. If it is dropped, this drops the
    /// messages. [`Config::close_timeout`](crate::Config::close_timeout) limits each wait.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::close`](super::WebSocket::close). [`Error::Io`] of kind `ConnectionAborted` if the
    /// connection has ended, and the receiving half does not receive its last event within a second.
    pub fn close(
        &mut self,
        code: impl Into<CloseCode>,
        reason: &str,
    ) -> impl Future<Output = Result<Closed, Error>> {
        let queued = self.with(|conn| conn.close(code, reason));
        async move {
            queued?;
            poll_fn(|cx| self.poll_finish(cx)).await;
            if self.closed().is_none() {
                let _ = timeout(LAST_EVENT_WAIT, poll_fn(|cx| self.poll_closed(cx))).await;
            }
            lock(&self.joint).machine.end.finished()
        }
    }

    pub(super) fn poll_sent(
        &mut self,
        cx: &mut Context<'_>,
        awaited: Awaited,
    ) -> Poll<Result<(), Error>> {
        lock(&self.joint).machine.poll_sent(cx, awaited)
    }

    pub(super) fn machine<R>(&mut self, call: impl FnOnce(&mut Machine<T>) -> R) -> R {
        call(&mut lock(&self.joint).machine)
    }

    /// Runs the connection to its end.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let common = &mut *lock(&self.joint);
        match &mut common.orphan {
            Some(input) => common.machine.poll_finish(cx, input).map(drop),
            None => common.machine.poll_send(cx, Awaited::Finish),
        }
    }

    /// Waits until the receiving half has taken the last event of a finished connection.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let common = &mut *lock(&self.joint);
        match &mut common.orphan {
            Some(input) => common.machine.poll_finish(cx, input).map(drop),
            None if common.machine.closed().is_some() => Poll::Ready(()),
            None => {
                common.machine.tasks.wait(Side::Sends, cx.waker());
                Poll::Pending
            }
        }
    }
}

impl<T> SendHalf<T> {
    /// Returns how the connection has ended, if the receiving half has learned it.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        lock(&self.joint).machine.closed().cloned()
    }

    /// Returns the transport, and drops both halves and the connection; see
    /// [`WebSocket::into_transport`](super::WebSocket::into_transport).
    ///
    /// ```
    /// # use tokio::io::{AsyncRead, AsyncWrite};
    /// use websocket_proto::drive::tokio::{RecvHalf, SendHalf};
    ///
    /// /// Returns the stream if it must be reset.
    /// fn to_be_reset<T: AsyncRead + AsyncWrite + Unpin>(
    ///     mut sends: SendHalf<T>,
    ///     receives: RecvHalf<T>,
    /// ) -> Option<T> {
    ///     if sends.with(|conn| conn.wants_reset()) { sends.into_transport(receives).ok() } else { None }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The two halves, if they do not belong together.
    pub fn into_transport(self, receives: RecvHalf<T>) -> Result<T, (SendHalf<T>, RecvHalf<T>)> {
        if !Arc::ptr_eq(&self.joint, &receives.joint) {
            return Err((self, receives));
        }
        drop(receives);
        let joint = Arc::into_inner(self.joint).expect("a WebSocket has two halves");
        Ok(joint.into_inner().unwrap_or_else(PoisonError::into_inner).machine.transport)
    }
}

impl<T> Drop for RecvHalf<T> {
    fn drop(&mut self) {
        let common = &mut *lock(&self.joint);
        common.orphan = Some(mem::take(&mut self.input));
        common.machine.tasks.clear(Side::Receives);
        // It may wait for the end, which nobody else receives now.
        common.machine.tasks.wake(Side::Sends);
    }
}

impl<T> fmt::Debug for SendHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendHalf")
            .field("conn", &lock(&self.joint).machine.conn)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for RecvHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvHalf")
            .field("conn", &lock(&self.joint).machine.conn)
            .field("unreceived_bytes", &self.input.unreceived().len())
            .finish_non_exhaustive()
    }
}
