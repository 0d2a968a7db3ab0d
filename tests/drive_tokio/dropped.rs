//! A future may be dropped at any await point: nothing is lost, and nothing is sent twice.

use std::pin::{Pin, pin};
use std::task::Poll;

use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::Duration;
use websocket_proto::drive::Error;
use websocket_proto::drive::tokio::{Incoming, RecvHalf, SendHalf, WebSocket};
use websocket_proto::testing::{ChunkSize, Link, LinkStream};
use websocket_proto::{Accept, ClientRequest, CloseCause, CloseCode, Event, Message, Role};

use super::util::{REQUEST, ROLES, builder};

/// Polls a future at most `polls` times. Other tasks run between two polls. Returns `None` if the future was dropped
/// before it was ready. [`EVERY`] is as often as it takes.
async fn polled<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    if polls == EVERY {
        return Some(future.await);
    }
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// The number of polls that is never reached. The paused clock stands still while a task yields.
const EVERY: usize = usize::MAX;

/// A way to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Send,
    Feed,
    /// `poll_ready`, `start_send`, `poll_flush`.
    Sink,
}

/// A way to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Through {
    Recv,
    Events,
    Stream,
}

const SENT: [usize; 9] = [0, 5, 200, 16_384, 3, 20_000, 1000, 0, 7];

fn message(n: usize) -> Message<'static> {
    Message::from(vec![n as u8; SENT[n]])
}

/// The whole of a WebSocket, or a half of it.
trait Sends: Sink<Message<'static>, Error = Error> + Unpin {
    fn send(&mut self, message: Message<'static>) -> impl Future<Output = Result<(), Error>>;
    fn feed(&mut self, message: Message<'static>) -> impl Future<Output = Result<(), Error>>;
    fn flush(&mut self) -> impl Future<Output = Result<(), Error>>;
}

trait Receives: Stream<Item = Result<Message<'static>, Error>> + Unpin {
    fn recv(&mut self) -> impl Future<Output = Result<Option<Message<'static>>, Error>>;
    fn recv_event(&mut self) -> impl Future<Output = Result<Option<Event<'_>>, Error>>;
}

macro_rules! forward {
    ($sends:ty, $receives:ty) => {
        impl Sends for $sends {
            fn send(&mut self, m: Message<'static>) -> impl Future<Output = Result<(), Error>> {
                <$sends>::send(self, m)
            }
            fn feed(&mut self, m: Message<'static>) -> impl Future<Output = Result<(), Error>> {
                <$sends>::feed(self, m)
            }
            fn flush(&mut self) -> impl Future<Output = Result<(), Error>> {
                <$sends>::flush(self)
            }
        }
        impl Receives for $receives {
            fn recv(&mut self) -> impl Future<Output = Result<Option<Message<'static>>, Error>> {
                <$receives>::recv(self)
            }
            fn recv_event(&mut self) -> impl Future<Output = Result<Option<Event<'_>>, Error>> {
                <$receives>::recv_event(self)
            }
        }
    };
}

forward!(WebSocket<LinkStream>, WebSocket<LinkStream>);
forward!(SendHalf<LinkStream>, RecvHalf<LinkStream>);

/// Sends all messages. Each future is polled at most `polls` times; the first of them is made again only where the
/// method says so.
async fn send_all(ws: &mut impl Sends, way: Way, polls: usize) -> Result<(), Error> {
    for n in 0..SENT.len() {
        match way {
            Way::Send => polled(polls, ws.send(message(n))).await.unwrap_or(Ok(()))?,
            Way::Feed => polled(polls, ws.feed(message(n))).await.unwrap_or(Ok(()))?,
            Way::Sink => {
                if polled(polls, super::ready(ws)).await.is_none() {
                    super::ready(ws).await?;
                }
                Pin::new(&mut *ws).start_send(message(n))?;
                polled(polls, super::flush(ws)).await.unwrap_or(Ok(()))?;
            }
        }
    }
    polled(polls, ws.flush()).await.unwrap_or(Ok(()))?;
    ws.flush().await
}

/// Receives all messages. After each future that was dropped, one is polled to its end.
async fn receive_all(ws: &mut impl Receives, through: Through, polls: usize) {
    for n in 0..SENT.len() {
        let received = match through {
            Through::Recv => match polled(polls, ws.recv()).await {
                Some(received) => received,
                None => ws.recv().await,
            },
            Through::Stream => match polled(polls, super::next(ws)).await {
                Some(received) => received.transpose(),
                None => super::next(ws).await.transpose(),
            },
            Through::Events => {
                let event = match polled(polls, ws.recv_event()).await {
                    Some(event) => event.map(|event| event.map(Event::into_owned)),
                    None => ws.recv_event().await.map(|event| event.map(Event::into_owned)),
                };
                event.map(|event| match event {
                    Some(Event::Message(message)) => Some(message),
                    other => panic!("{other:?}"),
                })
            }
        };
        assert!(received.unwrap() == Some(message(n)), "message {n}");
    }
}

/// The most polls of one future before it is dropped, and steps beyond.
fn polls() -> impl Iterator<Item = usize> {
    (0..16).chain([24, 60, EVERY])
}

fn pair(seed: u64) -> (WebSocket<LinkStream>, WebSocket<LinkStream>) {
    let mut link = Link::new(seed);
    for role in ROLES {
        let wire = link.wire(role).chunk_reads(ChunkSize::Random(700)).limit(900);
        wire.chunk_writes(ChunkSize::Random(500)).delay(Duration::from_millis(1));
    }
    let (client, server) = LinkStream::pair(link);
    let config = builder().high_water_bytes(1000).low_water_bytes(100).build().unwrap();
    let open = |stream, role| WebSocket::from_upgrade(stream, role, b"", config.clone()).unwrap();
    (open(client, Role::Client), open(server, Role::Server))
}

#[tokio::test(start_paused = true)]
async fn messages_arrive_once_whichever_poll_is_the_last() {
    for polls in polls() {
        for way in [Way::Send, Way::Feed, Way::Sink] {
            for through in [Through::Recv, Through::Events, Through::Stream] {
                let (mut client, mut server) = pair(polls as u64);
                let (sent, ()) = tokio::join!(
                    send_all(&mut client, way, polls),
                    receive_all(&mut server, through, polls),
                );
                sent.unwrap();
                let (sent, ()) = tokio::join!(
                    send_all(&mut server, way, polls),
                    receive_all(&mut client, through, polls),
                );
                sent.unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn halves_on_tasks_lose_nothing_either() {
    for polls in polls() {
        let throughs = [Through::Recv, Through::Events, Through::Stream];
        for (way, through) in [Way::Send, Way::Feed, Way::Sink]
            .into_iter()
            .flat_map(|way| throughs.map(|through| (way, through)))
        {
            let (client, server) = pair(polls as u64);
            let tasks = [client, server].map(|ws| {
                let (mut sends, mut receives) = ws.split();
                let sending = tokio::spawn(async move {
                    send_all(&mut sends, way, polls).await.unwrap();
                    sends
                });
                let receiving = tokio::spawn(async move {
                    receive_all(&mut receives, through, polls).await;
                    receives
                });
                (sending, receiving)
            });
            for (sending, receiving) in tasks {
                drop((sending.await.unwrap(), receiving.await.unwrap()));
            }
        }
    }
}

/// A way to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    Whole,
    /// `poll_close`, and then receiving to the end.
    Sink,
    /// By the sending half, while the other half receives.
    Halves,
    /// By the sending half, when the other half was dropped.
    Orphan,
}

#[tokio::test(start_paused = true)]
async fn a_close_goes_on_where_it_was_dropped() {
    for polls in polls() {
        for closer in ROLES {
            for closing in [Closing::Whole, Closing::Sink, Closing::Halves, Closing::Orphan] {
                let (client, server) = pair(polls as u64);
                let (mut closes, mut other) = match closer {
                    Role::Client => (client, server),
                    Role::Server => (server, client),
                };
                drop(closes.feed(message(5)));
                let (code, reason) = match closing {
                    Closing::Sink => (CloseCode::NORMAL, ""),
                    _ => (CloseCode::from(1001), "first"),
                };
                let answer = async {
                    assert!(other.recv().await.unwrap() == Some(message(5)));
                    assert_eq!(
                        polled(polls, other.recv()).await.unwrap_or(Ok(None)).unwrap(),
                        None
                    );
                    assert_eq!(other.recv().await.unwrap(), None);
                    let closed = other.closed().unwrap();
                    assert_eq!((closed.code(), closed.reason()), (code, reason));
                };
                let close = async {
                    let closed = match closing {
                        Closing::Whole => match polled(polls, closes.close(code, reason)).await {
                            Some(closed) => closed.unwrap(),
                            None => closes.close(1000, "second").await.unwrap(),
                        },
                        Closing::Sink => {
                            // A `Sink` begins in its first poll, and goes on in each other one.
                            for most in [polls, EVERY] {
                                let close =
                                    std::future::poll_fn(|cx| Pin::new(&mut closes).poll_close(cx));
                                polled(most, close).await.unwrap_or(Ok(())).unwrap();
                            }
                            assert_eq!(closes.recv().await.unwrap(), None);
                            closes.closed().unwrap()
                        }
                        Closing::Halves | Closing::Orphan => {
                            let (mut sends, mut receives) = closes.split();
                            let receive = async {
                                if closing == Closing::Orphan {
                                    return drop(receives);
                                }
                                let end = match polled(polls, receives.recv()).await {
                                    Some(end) => end,
                                    None => receives.recv().await,
                                };
                                assert_eq!(end.unwrap(), None);
                            };
                            let close = async {
                                match polled(polls, sends.close(code, reason)).await {
                                    Some(closed) => closed.unwrap(),
                                    None => sends.close(1000, "second").await.unwrap(),
                                }
                            };
                            tokio::join!(close, receive).0
                        }
                    };
                    assert_eq!(*closed.cause(), CloseCause::Local);
                };
                tokio::join!(close, answer);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_dropped_ends_its_transport() {
    /// The future of one end. It owns the transport.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Connect,
        Accept,
        Receive,
        AcceptLater,
        Respond,
    }
    async fn run(step: Step, polls: usize, ours: LinkStream) -> bool {
        let config = builder().build().unwrap();
        let request = ClientRequest::new("ws://a.test/").unwrap();
        let incoming = async |ours| Incoming::receive(ours, config.clone()).await.unwrap();
        match step {
            Step::Connect => {
                polled(polls, WebSocket::connect(ours, &request, config)).await.is_some()
            }
            Step::Accept => polled(polls, WebSocket::accept(ours, config)).await.is_some(),
            Step::Receive => polled(polls, Incoming::receive(ours, config)).await.is_some(),
            Step::AcceptLater => {
                let incoming = incoming(ours).await;
                polled(polls, incoming.accept(&Accept::new())).await.is_some()
            }
            Step::Respond => {
                let incoming = incoming(ours).await;
                polled(polls, incoming.respond(403)).await.is_some()
            }
        }
    }
    for polls in polls() {
        for step in [Step::Connect, Step::Accept, Step::Receive, Step::AcceptLater, Step::Respond] {
            let mut link = Link::new(polls as u64);
            for role in ROLES {
                let wire = link.wire(role).chunk_reads(ChunkSize::Random(20)).limit(100);
                wire.chunk_writes(ChunkSize::Random(20)).delay(Duration::from_millis(1));
            }
            let (client, server) = LinkStream::pair(link);
            let (ours, mut theirs, bytes) = match step {
                Step::Connect => (client, server, vec![]),
                _ => (server, client, REQUEST.to_vec()),
            };
            let peer = async {
                // It fails if our end was dropped already.
                let _ = theirs.write_all(&bytes).await;
                let _ = theirs.read_to_end(&mut Vec::new()).await;
            };
            let both = async { tokio::join!(run(step, polls, ours), peer) };
            // The peer's end comes by the drop, or by a timeout of the handshake.
            let (is_done, ()) = tokio::time::timeout(Duration::from_secs(60), both)
                .await
                .unwrap_or_else(|_| panic!("{step:?}, {polls}: the peer learns nothing"));
            assert!(is_done || polls < EVERY, "{step:?}");
        }
    }
}
