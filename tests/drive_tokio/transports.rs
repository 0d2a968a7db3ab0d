//! What the driver asks of its transport: how many calls, with how many bytes, and how much memory it holds meanwhile.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Duration;
use websocket_proto::drive::Error;
use websocket_proto::drive::tokio::WebSocket;
use websocket_proto::{Message, Role};

use super::alloc::live;
use super::util::{ROLES, config, plain_frames, to};

/// A transport that counts the calls. Each of `arriving` is one read, and an empty one is
/// a read that must wait, as a socket's after a short read.
#[derive(Debug, Default, Clone)]
struct Counting {
    arriving: VecDeque<Vec<u8>>,
    written: Vec<u8>,
    reads: usize,
    writes: usize,
    flushes: usize,
    is_vectored: bool,
    /// A write takes at most this many bytes; 0 means all.
    most: usize,
    /// Bytes that are written but not flushed, as a `BufWriter` has them. `None` passes all on at once.
    unflushed: Option<Vec<u8>>,
    /// The next call of each of these names is interrupted.
    interrupts: Vec<&'static str>,
    /// Every flush fails, as of a `BufWriter` whose socket the peer has reset.
    flush_fails: bool,
    /// The number of flushes that must wait; `usize::MAX` for all.
    flush_waits: usize,
    /// Every write fails.
    write_fails: bool,
    is_shut_down: bool,
}

impl Counting {
    fn interrupt(&mut self, call: &str) -> io::Result<()> {
        let Some(at) = self.interrupts.iter().position(|name| *name == call) else { return Ok(()) };
        self.interrupts.remove(at);
        Err(io::ErrorKind::Interrupted.into())
    }
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.interrupt("read")?;
        let bytes = self.arriving.pop_front().filter(|bytes| !bytes.is_empty());
        let Some(mut bytes) = bytes else { return Poll::Pending };
        self.reads += 1;
        let n = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..n]);
        if n < bytes.len() {
            self.arriving.push_front(bytes.split_off(n));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        self.interrupt("write")?;
        if self.write_fails {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let mut bytes = Vec::new();
        for slice in slices {
            let room = if self.most > 0 { self.most - bytes.len() } else { usize::MAX };
            bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        match &mut self.unflushed {
            Some(unflushed) => unflushed.extend_from_slice(&bytes),
            None => self.written.extend_from_slice(&bytes),
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn is_write_vectored(&self) -> bool {
        self.is_vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        self.interrupt("flush")?;
        if self.flush_waits > 0 {
            self.flush_waits -= usize::from(self.flush_waits < usize::MAX);
            return Poll::Pending;
        }
        if self.flush_fails {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if let Some(bytes) = self.unflushed.as_mut().map(std::mem::take) {
            self.written.extend(bytes);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.interrupt("shutdown")?;
        self.is_shut_down = true;
        self.poll_flush(cx)
    }
}

fn over(transport: Counting, role: Role) -> WebSocket<Counting> {
    WebSocket::from_upgrade(transport, role, b"", config()).unwrap()
}

/// Polls once.
fn once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn frames(ws: &WebSocket<Counting>) -> Vec<(u8, Vec<u8>)> {
    plain_frames(&ws.transport().written)
}

#[tokio::test]
async fn pipelined_messages_take_one_read_and_one_write() {
    for role in ROLES {
        for is_vectored in [false, true] {
            let burst = to(role, 0x81, b"0123456789abcdef").repeat(100);
            let arriving = VecDeque::from([burst.clone(), burst]);
            let mut ws = over(Counting { arriving, is_vectored, ..Counting::default() }, role);
            let echo = async {
                while let Some(message) = ws.recv().await.unwrap() {
                    ws.feed(message).await.unwrap();
                }
            };
            assert!(once(echo).is_pending());
            let Counting { reads, writes, flushes, .. } = ws.transport();
            assert_eq!((*reads, *writes, *flushes), (2, 2, 2));
            assert_eq!(frames(&ws), vec![(0x81, b"0123456789abcdef".to_vec()); 200]);
        }
    }
}

#[tokio::test]
async fn a_turn_that_ends_before_all_is_received_has_written_its_answers() {
    for role in ROLES {
        let burst = to(role, 0x81, b"0123456789abcdef").repeat(1_000);
        let mut ws = over(Counting { arriving: [burst].into(), ..Counting::default() }, role);
        for turn in 1..=4 {
            let echo = async {
                while let Some(message) = ws.recv().await.unwrap() {
                    ws.feed(message).await.unwrap();
                }
            };
            assert!(once(echo).is_pending());
            let Counting { reads, writes, .. } = ws.transport();
            assert_eq!((*reads, *writes), (1, turn));
            assert_eq!(frames(&ws).len(), (256 * turn).min(1_000));
        }
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_flushed_is_an_error_at_once() {
    for role in ROLES {
        for len in [1, 20_000] {
            let transport = || Counting {
                unflushed: Some(Vec::new()),
                flush_fails: true,
                ..Counting::default()
            };
            let mut ws = over(transport(), role);
            let (mut sends, _receives) = over(transport(), role).split();
            for result in [ws.send(vec![7; len]).await, sends.send(vec![7; len]).await] {
                let Err(Error::Io(error)) = result else { panic!("{role:?}, {len}: {result:?}") };
                assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            }
        }
    }
}

#[tokio::test]
async fn a_message_that_was_not_flushed_when_the_connection_is_given_up_is_an_error() {
    for role in ROLES {
        let transport = Counting {
            unflushed: Some(Vec::new()),
            flush_waits: usize::MAX,
            ..Counting::default()
        };
        let mut ws = over(transport, role);
        assert!(once(ws.send("x")).is_pending());
        ws.with(|conn| conn.abort());
        assert!(matches!(once(ws.flush()), Poll::Ready(Err(_))), "{role:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_not_flushed_when_the_transport_is_left_is_an_error() {
    for role in ROLES {
        for flush_fails in [false, true] {
            let transport = Counting {
                arriving: [to(role, 0x88, b"\x03\xe8")].into(),
                unflushed: Some(Vec::new()),
                flush_waits: if flush_fails { 0 } else { usize::MAX },
                flush_fails,
                ..Counting::default()
            };
            let (mut sends, mut receives) = over(transport, role).split();
            let (sent, _) = tokio::join!(sends.send("x"), receives.recv());
            assert!(sent.is_err(), "{role:?}, {flush_fails}");
        }
    }
}

#[tokio::test]
async fn a_close_or_ping_that_cannot_be_written_is_an_error() {
    for role in ROLES {
        let failing = || over(Counting { write_fails: true, ..Counting::default() }, role);
        let (mut pings, mut closes) = (failing(), failing());
        pings.with(|conn| conn.ping(b"")).unwrap();
        let close = poll_fn(|cx| Sink::<Message<'_>>::poll_close(Pin::new(&mut closes), cx));
        for result in [pings.flush().await, close.await] {
            let Err(Error::Io(error)) = result else { panic!("{role:?}: {result:?}") };
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
    }
}

#[tokio::test]
async fn what_is_flushed_when_the_connection_has_ended_is_no_error() {
    // A server is finished when its Close is written.
    let arriving = [to(Role::Server, 0x88, b"\x03\xe8")].into();
    let unflushed = Some(Vec::new());
    let transport = Counting { arriving, unflushed, flush_waits: 4, ..Counting::default() };
    let (mut sends, mut receives) = over(transport.clone(), Role::Server).split();
    let feed = sends.feed("x");
    assert!(once(receives.recv()).is_pending(), "the answer is not flushed");
    assert!(matches!(once(feed), Poll::Ready(Ok(()))));
    let mut ws = over(transport, Role::Server);
    assert!(once(ws.recv()).is_pending(), "the answer is not flushed");
    while once(ws.flush()).map(Result::unwrap).is_pending() {
        assert!(ws.transport().flushes < 10);
    }
    assert_eq!(ws.recv().await.unwrap(), None);
}

#[tokio::test]
async fn one_message_at_a_time_takes_one_read_and_one_write() {
    for role in ROLES {
        let arriving = (0..10).flat_map(|_| [Vec::new(), to(role, 0x81, b"0123456789abcdef")]);
        let mut ws = over(Counting { arriving: arriving.collect(), ..Counting::default() }, role);
        for n in 1..=10 {
            assert!(once(ws.recv()).is_pending());
            let message = ws.recv().await.unwrap().unwrap();
            ws.send(message).await.unwrap();
            let Counting { reads, writes, .. } = ws.transport();
            assert_eq!((*reads, *writes), (n, n));
        }
    }
}

#[tokio::test]
async fn large_messages_are_written_from_where_they_lie() {
    for role in ROLES {
        for (is_vectored, most) in [(true, 0), (true, 7_000), (false, 7_000)] {
            let transport = Counting { is_vectored, most, ..Counting::default() };
            let mut ws = over(transport, role);
            let message = vec![7; 1 << 20];
            drop(ws.send(&message));
            if role == Role::Server && is_vectored && most == 0 {
                // Header and payload are written by one call, and not from the queue.
                assert_eq!((ws.transport().writes, frames(&ws).len()), (1, 1));
            }
            ws.flush().await.unwrap();
            assert!(frames(&ws) == [(0x82, message)]);
        }
    }
}

#[tokio::test]
async fn a_transport_that_buffers_is_flushed() {
    for role in ROLES {
        let mut ws = over(Counting { unflushed: Some(Vec::new()), ..Counting::default() }, role);
        ws.send("a").await.unwrap();
        assert_eq!(frames(&ws), [(0x81, b"a".to_vec())]);
        ws.feed("b").await.unwrap();
        assert!(once(ws.recv()).is_pending());
        assert_eq!(frames(&ws).len(), 2, "also before it waits");
        assert_eq!(ws.transport().flushes, 2);
        assert!(once(ws.recv()).is_pending());
        assert_eq!(ws.transport().flushes, 2, "but not without a write");
        ws.send(&vec![7; 100_000]).await.unwrap();
        assert_eq!(ws.transport().flushes, 3);
    }
}

#[tokio::test]
async fn an_interrupted_call_is_made_again() {
    for role in ROLES {
        for len in [5, 100_000] {
            let arriving = [to(role, 0x81, b"Hello"), to(role, 0x88, b"\x03\xe8")].into();
            let interrupts = vec!["read", "write", "flush", "shutdown"];
            let mut ws = over(
                Counting { arriving, interrupts, is_vectored: true, ..Counting::default() },
                role,
            );
            ws.send(vec![7; len]).await.unwrap();
            assert!(frames(&ws) == [(0x82, vec![7; len])]);
            assert_eq!(ws.recv().await.unwrap(), Some(Message::from("Hello")));
            // The server ends the transport (RFC 6455 7.1.1). The client waits for that.
            assert_eq!(once(ws.recv()).is_ready(), role == Role::Server);
            assert_eq!(ws.transport().is_shut_down, role == Role::Server);
            assert_eq!(ws.transport().interrupts.is_empty(), role == Role::Server);
        }
    }
}

/// A transport that answers as it is told, and wakes nobody. Without an answer it must wait.
#[derive(Debug, Default)]
struct Told {
    arriving: VecDeque<Vec<u8>>,
    writes: VecDeque<io::Result<usize>>,
    can_shut_down: bool,
}

impl AsyncRead for Told {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(bytes) = self.arriving.pop_front() else { return Poll::Pending };
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Told {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.writes.pop_front() {
            // The caller is asked again.
            Some(Ok(0)) | None => Poll::Pending,
            Some(result) => Poll::Ready(result),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.can_shut_down { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

#[tokio::test]
async fn a_sender_that_finds_the_end_wakes_the_receiver() {
    for role in ROLES {
        let failed = io::ErrorKind::BrokenPipe.into();
        let transport = Told {
            arriving: VecDeque::from([to(role, 0x83, b"")]),
            writes: VecDeque::from([Ok(0), Err(failed)]),
            can_shut_down: true,
        };
        let ws = WebSocket::from_upgrade(transport, role, b"", config()).unwrap();
        let (mut sends, mut receives) = ws.split();
        let receive = tokio::spawn(async move { receives.recv().await });
        tokio::task::yield_now().await;
        // The peer broke the protocol, and our Close cannot be written.
        let _ = once(sends.flush());
        let received = tokio::time::timeout(Duration::from_millis(500), receive).await;
        assert!(received.expect("it is woken").unwrap().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_does_not_shut_down_is_left() {
    for role in ROLES {
        let transport = Told {
            arriving: VecDeque::from([to(role, 0x88, b"\x03\xe8"), Vec::new()]),
            writes: VecDeque::from([Ok(if role == Role::Client { 8 } else { 4 })]),
            can_shut_down: false,
        };
        let begin = tokio::time::Instant::now();
        let mut ws = WebSocket::from_upgrade(transport, role, b"", config()).unwrap();
        let received = tokio::time::timeout(Duration::from_secs(60), ws.recv()).await;
        assert_eq!(received.expect("it ends").unwrap(), None);
        assert_eq!(begin.elapsed().as_secs(), 5, "{role:?}: the close timeout");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_sent_when_the_transport_has_passed_it_on() {
    for role in ROLES {
        let (ours, mut theirs) = tokio::io::duplex(10);
        let ours = tokio::io::BufWriter::new(ours);
        let mut ws = WebSocket::from_upgrade(ours, role, b"", config()).unwrap();
        let mut bytes = vec![0; if role == Role::Client { 106 } else { 102 }];
        {
            let mut send = pin!(ws.send(vec![7; 100]));
            let waiting = tokio::time::timeout(Duration::from_secs(1), send.as_mut()).await;
            assert!(waiting.is_err(), "the bytes are in the transport's buffer");
            let (sent, read) =
                tokio::join!(send, tokio::io::AsyncReadExt::read_exact(&mut theirs, &mut bytes));
            sent.unwrap();
            read.unwrap();
        }
        assert_eq!(plain_frames(&bytes), [(0x82, vec![7; 100])]);
    }
}

/// A connection that has received and sent, and waits, has neither a read buffer nor a queue nor a timer.
#[test]
fn an_idle_connection_has_nothing_on_the_heap() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        for role in ROLES {
            for len in [10, 10_000, 200_000] {
                // A part of the next header has arrived, too.
                let bytes = [to(role, 0x82, &vec![1; len]), to(role, 0x82, b"x")[..2].to_vec()];
                let arriving = VecDeque::from([bytes.concat()]);
                let most = 1;
                let mut ws = over(Counting { arriving, most, ..Counting::default() }, role);
                let wait = async |ws: &mut WebSocket<Counting>| {
                    tokio::time::timeout(Duration::from_secs(10), ws.recv()).await.unwrap_err();
                };
                let mut idle = over(Counting::default(), role);
                wait(&mut idle).await; // the thread's buffer is made
                let live = live();
                let message = ws.recv().await.unwrap().unwrap();
                assert!(message == Message::from(vec![1; len]));
                drop(message);
                wait(&mut ws).await;
                assert!(self::live() <= live, "{} bytes more", self::live() - live);
            }
        }
    });
}

#[tokio::test]
async fn bytes_that_wait_for_the_program_take_memory_of_their_size() {
    for role in ROLES {
        for count in [2, 100] {
            let burst = to(role, 0x81, b"0123456789abcdef").repeat(count);
            let len = burst.len() as i64;
            let arriving = VecDeque::from([burst]);
            let mut ws = over(Counting { arriving, ..Counting::default() }, role);
            let mut idle = over(Counting::default(), role);
            assert!(once(idle.recv()).is_pending(), "the thread's buffer is made");
            let live = live();
            let message = once(ws.recv());
            assert!(matches!(message, Poll::Ready(Ok(Some(_)))));
            drop(message);
            // Another connection finds the thread's buffer free.
            assert!(once(idle.recv()).is_pending());
            let held = self::live() - live;
            // The bytes that have arrived are freed, and some of them are held again.
            assert!(held <= 256, "{held} bytes more, of {len}");
        }
    }
}
