//! The driver over other transports than pipes in memory: sockets of both families, boxes, references, and two halves
//! that were joined.

use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite, join, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, timeout};
use websocket_proto::drive::tokio::WebSocket;
use websocket_proto::{ClientRequest, Message};

use super::util::config;

/// A size at which a message is queued, and one at which it is offered to the transport first.
const SIZES: [usize; 4] = [0, 5, 10_000, 1 << 20];

/// Talks over a transport, whole and in halves, with the handshakes and the end. Each end learns of the other's by a
/// shutdown: nothing is dropped before.
async fn check<T>(name: &str, pairs: [(T, T); 2])
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    for (is_split, (client, server)) in [false, true].into_iter().zip(pairs) {
        let echo = tokio::spawn(async move {
            let mut ws = WebSocket::accept(server, config()).await.unwrap();
            while let Some(message) = ws.recv().await.unwrap() {
                ws.feed(message).await.unwrap();
            }
            ws
        });
        let request = ClientRequest::new("ws://a.test/").unwrap();
        let talk = async {
            let (mut ws, _) = WebSocket::connect(client, &request, config()).await.unwrap();
            if is_split {
                let (mut sends, mut receives) = ws.split();
                for len in SIZES {
                    let (sent, message) = tokio::join!(sends.send(vec![7; len]), receives.recv());
                    sent.unwrap();
                    assert!(message.unwrap() == Some(Message::from(vec![7; len])), "{name}, {len}");
                }
                let (closed, end) = tokio::join!(sends.close(1000, ""), receives.recv());
                assert!(closed.unwrap().is_clean() && end.unwrap().is_none(), "{name}");
            } else {
                for len in SIZES {
                    ws.send(vec![7; len]).await.unwrap();
                    let message = ws.recv().await.unwrap();
                    assert!(message == Some(Message::from(vec![7; len])), "{name}, {len}");
                }
                assert!(ws.close(1000, "").await.unwrap().is_clean(), "{name}");
            }
            drop(echo.await.unwrap());
        };
        // Less than the close timeout of 5 s.
        timeout(Duration::from_secs(4), talk).await.unwrap_or_else(|_| panic!("{name} hangs"));
    }
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

trait Io: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

fn both<A, B>((a, b): (A, A), map: impl Fn(A) -> B) -> (B, B) {
    (map(a), map(b))
}

#[tokio::test]
async fn every_transport_talks_and_ends() {
    check("TcpStream", [tcp().await, tcp().await]).await;
    let boxed = |stream| Box::new(stream) as Box<dyn Io + Unpin>;
    check("Box<dyn …>", [both(tcp().await, boxed), both(tcp().await, boxed)]).await;
    let pinned = |stream| Box::pin(stream) as Pin<Box<dyn Io>>;
    check("Pin<Box<dyn …>>", [both(tcp().await, pinned), both(tcp().await, pinned)]).await;
    let borrowed = |stream| Box::leak(Box::new(stream));
    check("&mut TcpStream", [both(tcp().await, borrowed), both(tcp().await, borrowed)]).await;
    let joined = |stream| {
        let (reads, writes) = split(stream);
        join(reads, writes)
    };
    check("Join", [both(tcp().await, joined), both(tcp().await, joined)]).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_stream_talks_and_ends() {
    use tokio::net::UnixStream;
    let pair = || UnixStream::pair().unwrap();
    check("UnixStream", [pair(), pair()]).await;
    let boxed = |stream| Box::new(stream) as Box<dyn Io + Unpin>;
    check("Box<dyn …> of a UnixStream", [both(pair(), boxed), both(pair(), boxed)]).await;
}
