//! The ends of a [`Link`] as transports of tokio. Its clock is tokio's: on a paused one, a test of hours takes
//! milliseconds.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::link::Link;
use super::wire::Arrival;
use crate::state::Role;
use crate::timestamp::Timestamp;

/// One end of a [`Link`], as a transport of tokio: `AsyncRead` and `AsyncWrite`. It needs the features `testing` and
/// `tokio`.
///
/// The link's time is tokio's. With the clock paused, which needs tokio's feature `test-util`, time passes only when
/// all tasks wait: delays and timeouts take no real time, and a run can be repeated from the link's seed.
///
/// ```
/// use std::time::Duration;
/// use tokio::time::Instant;
/// use websocket_proto::drive::{Error, tokio::WebSocket};
/// use websocket_proto::testing::{ChunkSize, Link, LinkStream};
/// use websocket_proto::{ClientRequest, Config, Role};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Error> {
/// let mut link = Link::new(1);
/// link.wire(Role::Client).chunk_reads(ChunkSize::Random(3)).delay(Duration::from_secs(60));
/// let (client, server) = LinkStream::pair(link);
/// let config = Config::builder().handshake_timeout(None).build().expect("allowed");
///
/// let begin = Instant::now();
/// let request = ClientRequest::new("ws://a.test/").expect("a valid URI");
/// let (client, server) = tokio::try_join!(
///     WebSocket::connect(client, &request, config.clone()),
///     WebSocket::accept(server, config),
/// )?;
/// assert_eq!(begin.elapsed().as_secs(), 60);
/// # drop((client, server));
/// # Ok(()) }
/// ```
pub struct LinkStream {
    both: Arc<Mutex<Both>>,
    role: Role,
    /// Rings when the next bytes arrive at this end.
    arrival: Option<Pin<Box<Sleep>>>,
}

/// What the two ends share.
struct Both {
    link: Link,
    /// The link's time 0.
    epoch: Instant,
    /// The tasks that wait to read, indexed by the role of their end.
    readers: [Option<Waker>; 2],
    /// The tasks that wait to write.
    writers: [Option<Waker>; 2],
}

impl LinkStream {
    /// Makes the client's end and the server's end of a link.
    pub fn pair(link: Link) -> (LinkStream, LinkStream) {
        let epoch = Instant::now() - link.now().since_epoch();
        let both = Both { link, epoch, readers: [None, None], writers: [None, None] };
        let both = Arc::new(Mutex::new(both));
        let end = |role| LinkStream { both: both.clone(), role, arrival: None };
        (end(Role::Client), end(Role::Server))
    }

    /// Calls a closure with the link, at the present time: to change a wire, or to see what was written. The tasks of
    /// both ends are woken afterwards.
    pub fn with<R>(&self, call: impl FnOnce(&mut Link) -> R) -> R {
        let mut both = self.lock();
        let result = call(&mut both.link);
        both.wake(Role::Client);
        both.wake(Role::Server);
        result
    }

    /// The shared parts, with the link at the present time.
    fn lock(&self) -> MutexGuard<'_, Both> {
        let mut both = self.both.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::new(Instant::now().saturating_duration_since(both.epoch));
        let passed = now.saturating_since(both.link.now());
        both.link.pass(passed);
        both
    }
}

impl Both {
    /// Wakes the tasks at one end.
    fn wake(&mut self, role: Role) {
        let waiting = [self.readers[role as usize].take(), self.writers[role as usize].take()];
        waiting.into_iter().flatten().for_each(Waker::wake);
    }
}

impl AsyncRead for LinkStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut both = this.lock();
            match both.link.end(this.role).try_read(buf.initialize_unfilled()) {
                Arrival::Bytes(n) => {
                    buf.advance(n);
                    both.wake(this.role.peer());
                    return Poll::Ready(Ok(()));
                }
                Arrival::Eof => return Poll::Ready(Ok(())),
                Arrival::Broken => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Arrival::Nothing => {}
            }
            both.readers[this.role as usize] = Some(cx.waker().clone());
            let due = both.link.wire(this.role.peer()).next_arrival();
            let due = due.map(|due| both.epoch + due.since_epoch());
            drop(both);
            this.arrival = due.map(|due| Box::pin(sleep_until(due)));
            let Some(arrival) = &mut this.arrival else { return Poll::Pending };
            ready!(arrival.as_mut().poll(cx));
        }
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut both = self.lock();
        match both.link.end(self.role).try_write(bytes) {
            Ok(0) if !bytes.is_empty() => {
                both.writers[self.role as usize] = Some(cx.waker().clone());
                Poll::Pending
            }
            Ok(n) => {
                both.wake(self.role.peer());
                Poll::Ready(Ok(n))
            }
            Err(error) => Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, error))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut both = self.lock();
        both.link.end(self.role).shut_down();
        both.wake(self.role.peer());
        Poll::Ready(Ok(()))
    }
}

/// Drops this end: the peer reads the end of the transport, and what it writes is lost.
impl Drop for LinkStream {
    fn drop(&mut self) {
        let mut both = self.lock();
        both.link.end(self.role).drop_transport();
        both.wake(self.role.peer());
    }
}

impl fmt::Debug for LinkStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkStream").field("role", &self.role).finish_non_exhaustive()
    }
}
