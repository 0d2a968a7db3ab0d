//! Many connections on a runtime with several threads, over real sockets.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use websocket_proto::drive::Error;
use websocket_proto::drive::tokio::WebSocket;
use websocket_proto::{ClientRequest, CloseCause, Event, Message, Role, Timeout};

use super::util::{KEY, ROLES, builder, config, frame, to};

const CLIENTS: usize = 50;
const ROUNDS: usize = 20;

/// An echo that borrows.
async fn echo(stream: TcpStream) -> Result<(), Error> {
    let (mut sends, mut receives) = WebSocket::accept(stream, config()).await?.split();
    while let Some(event) = receives.recv_event().await? {
        if let Event::Message(message) = event {
            sends.feed(message).await?;
        }
    }
    Ok(())
}

async fn connect(address: std::net::SocketAddr) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let request = ClientRequest::new(&format!("ws://{address}/")).unwrap();
    WebSocket::connect(stream, &request, config()).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_are_served_beside_one_that_stalls_and_one_that_floods() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(echo(stream));
        }
    });
    // It sends, and reads no answer.
    let mut stalled = connect(address).await;
    let message = vec![7; 60_000];
    while timeout(Duration::from_millis(100), stalled.send(&message)).await.is_ok() {}
    // It sends frames without end, as fast as it can.
    let flooding = connect(address).await;
    let flood = tokio::spawn(async move {
        let (mut sends, mut receives) = flooding.split();
        tokio::spawn(async move { while let Ok(Some(_)) = receives.recv().await {} });
        while sends.feed("flood").await.is_ok() {}
    });
    let clients = (0..CLIENTS).map(|client| {
        tokio::spawn(async move {
            let (mut sends, mut receives) = connect(address).await.split();
            let send = tokio::spawn(async move {
                for round in 0..ROUNDS {
                    sends.feed(vec![client as u8; round * 97]).await.unwrap();
                    if round % 5 == 0 {
                        sends.flush().await.unwrap();
                    }
                }
                sends
            });
            for round in 0..ROUNDS {
                let message = receives.recv().await.unwrap();
                assert_eq!(message, Some(Message::from(vec![client as u8; round * 97])));
            }
            let mut sends = send.await.unwrap();
            let (closed, end) = tokio::join!(sends.close(1000, ""), receives.recv());
            assert!(closed.unwrap().is_clean() && end.unwrap().is_none());
        })
    });
    for client in clients.collect::<Vec<_>>() {
        timeout(Duration::from_secs(60), client).await.expect("it is served").unwrap();
    }
    flood.abort();
}

/// A peer that has always sent more, and takes everything: no call of it waits.
struct Endless {
    bytes: Vec<u8>,
    left: usize,
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let whole = buf.remaining().min(self.left) / self.bytes.len();
        for _ in 0..whole {
            buf.put_slice(&self.bytes);
        }
        self.left -= whole * self.bytes.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_peer_that_floods_lets_other_tasks_run_after_few_messages() {
    for role in ROLES {
        for (len, most) in [(0, 256), (16, 256), (1_000, 256), (60_000, 6)] {
            let bytes = frame(0x82, &vec![7; len], (role == Role::Server).then_some(KEY));
            let flood = Endless { bytes, left: 16 * 1024 * 1024 };
            let in_turn = Cell::new(0);
            let others = async {
                loop {
                    in_turn.set(0);
                    tokio::task::yield_now().await;
                }
            };
            let mut ws = WebSocket::from_upgrade(flood, role, &[], config()).unwrap();
            let receives = async {
                let mut longest = 0;
                while let Ok(Some(_)) = ws.recv().await {
                    in_turn.set(in_turn.get() + 1);
                    longest = longest.max(in_turn.get());
                }
                longest
            };
            let longest =
                tokio::select! { biased; () = others => 0, longest = receives => longest };
            assert!((1..=most).contains(&longest), "{role:?}, {len} bytes: {longest} messages");
        }
    }
}

#[tokio::test]
async fn time_passes_while_a_peer_floods() {
    for role in ROLES {
        for len in [0, 1_000, 60_000] {
            let bytes = frame(0x82, &vec![7; len], (role == Role::Server).then_some(KEY));
            let config = builder().close_timeout(Duration::from_millis(20)).build().unwrap();
            let flood = Endless { bytes, left: usize::MAX };
            let mut ws = WebSocket::from_upgrade(flood, role, &[], config).unwrap();
            // The peer does not answer the Close.
            let closed = timeout(Duration::from_secs(60), ws.close(1000, "")).await;
            let Ok(Err(Error::Closed(closed))) = closed else {
                panic!("{role:?}, {len}: {closed:?}")
            };
            assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Close));
        }
    }
}

#[tokio::test]
async fn a_peer_that_sends_nonsense_harms_nobody_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = tokio::spawn(async move {
        let (bad, _) = listener.accept().await.unwrap();
        let bad = tokio::spawn(echo(bad));
        let (good, _) = listener.accept().await.unwrap();
        tokio::spawn(echo(good));
        assert!(bad.await.unwrap().is_err());
    });
    let mut bad = TcpStream::connect(address).await.unwrap();
    bad.write_all(super::util::REQUEST).await.unwrap();
    bad.write_all(&to(Role::Client, 0xff, &[0xff; 1000])).await.unwrap();
    let mut good = connect(address).await;
    good.send("x").await.unwrap();
    assert_eq!(good.recv().await.unwrap(), Some(Message::from("x")));
    drop(bad);
    serve.await.unwrap();
}
