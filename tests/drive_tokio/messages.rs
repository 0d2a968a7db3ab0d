//! Messages both ways, of all sizes, whole and in pieces; split halves; backpressure; leftovers.

use std::pin::Pin;

use futures_sink::Sink;
use tokio::io::{AsyncWriteExt, duplex};
use tokio::time::{Duration, Instant, timeout};
use websocket_proto::drive::Error;
use websocket_proto::drive::tokio::WebSocket;
use websocket_proto::testing::{ChunkSize, Link, LinkStream};
use websocket_proto::{CloseCode, Event, Message, PreparedMessage, Role};

use super::util::{ROLES, builder, chunks, config};
use super::{flush, next, open, open_with, ready};

/// Sizes around the borders of headers, of the buffers of the driver, and of a direct write.
const SIZES: [usize; 14] =
    [0, 1, 125, 126, 1400, 8191, 8192, 8193, 16383, 16384, 65535, 65536, 131_073, 1 << 20];

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

#[tokio::test(start_paused = true)]
async fn messages_of_all_sizes_arrive_whole_over_any_transport() {
    for (seed, chunk) in [
        (1, ChunkSize::Whole),
        (2, ChunkSize::Random(20_000)),
        (3, ChunkSize::Fixed(4096)),
        (4, ChunkSize::Random(300)),
    ] {
        // Small pieces of large messages take long.
        let most = if chunk == ChunkSize::Random(300) { 20_000 } else { usize::MAX };
        let sizes = SIZES.into_iter().filter(|size| *size <= most);
        let mut link = Link::new(seed);
        for role in ROLES {
            let wire = link.wire(role).chunk_reads(chunk).chunk_writes(chunk);
            wire.limit(150_000).delay(Duration::from_millis(3));
        }
        let (client, server) = LinkStream::pair(link);
        let client = WebSocket::from_upgrade(client, Role::Client, b"", config()).unwrap();
        let server = WebSocket::from_upgrade(server, Role::Server, b"", config()).unwrap();
        let (mut client_sends, mut client_receives) = client.split();
        let (mut server_sends, mut server_receives) = server.split();
        let echo = tokio::spawn(async move {
            while let Some(event) = server_receives.recv_event().await? {
                if let Event::Message(message) = event {
                    server_sends.feed(message).await?;
                }
            }
            Ok::<_, Error>(())
        });
        let send = async {
            for size in sizes.clone() {
                client_sends.send(payload(size)).await?;
                client_sends.feed(&payload(size)).await?;
                client_sends.feed("é".repeat(size / 2)).await?;
            }
            client_sends.flush().await
        };
        let receive = async {
            for size in sizes.clone() {
                for _ in 0..2 {
                    let message = client_receives.recv().await?.expect("a message");
                    assert!(message == Message::from(payload(size)), "{size} bytes, {chunk:?}");
                }
                let text = client_receives.recv().await?.and_then(|text| text.into_text().ok());
                assert!(text == Some("é".repeat(size / 2)), "{size} bytes of text, {chunk:?}");
            }
            Ok::<_, Error>(client_receives)
        };
        let (_, client_receives) = tokio::try_join!(send, receive).unwrap();
        drop(client_receives);
        // The server's half answers the Close while it receives.
        assert!(client_sends.close(1000, "").await.unwrap().is_clean());
        echo.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn streams_and_sinks_have_owned_messages() {
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        peer.send(0x81, b"a").await;
        peer.send(0x89, b"ping").await;
        peer.send(0x82, b"b").await;
        assert_eq!(next(&mut ws).await.unwrap().unwrap(), Message::from("a"));
        assert_eq!(next(&mut ws).await.unwrap().unwrap(), Message::from(b"b"));
        ready(&mut ws).await.unwrap();
        Pin::new(&mut ws).start_send(Message::from("c")).unwrap();
        flush(&mut ws).await.unwrap();
        // RFC 6455 5.5.2: the pong was queued before the message.
        assert_eq!(peer.next().await, (0x8a, b"ping".to_vec()));
        assert_eq!(peer.next().await, (0x81, b"c".to_vec()));
        let (mut sends, mut receives) = ws.split();
        peer.send(0x81, b"d").await;
        assert_eq!(next(&mut receives).await.unwrap().unwrap(), Message::from("d"));
        ready(&mut sends).await.unwrap();
        Pin::new(&mut sends).start_send(Message::from("e")).unwrap();
        flush(&mut sends).await.unwrap();
        assert_eq!(peer.next().await, (0x81, b"e".to_vec()));
        peer.send(0x88, b"\x03\xe8").await;
        if role == Role::Client {
            peer.stream.shutdown().await.unwrap();
        }
        assert!(next(&mut receives).await.is_none());
        assert!(next(&mut receives).await.is_none(), "it stays at its end");
    }
}

#[tokio::test]
async fn events_are_all_that_a_connection_reports() {
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        let bytes = [
            peer.frame(0x89, b"1"),
            peer.frame(0x81, b"2"),
            peer.frame(0x8a, b"3"),
            peer.frame(0x88, b"\x03\xe9"),
        ];
        peer.stream.write_all(&bytes.concat()).await.unwrap();
        peer.stream.shutdown().await.unwrap();
        let mut seen = Vec::new();
        while let Some(event) = ws.recv_event().await.unwrap() {
            seen.push(match event {
                Event::Ping(payload) => (0x9, payload.into_owned()),
                Event::Message(message) => (0x1, message.into_bytes()),
                Event::Pong(payload) => (0xa, payload.into_owned()),
                Event::Closed(closed) => (0x8, closed.code().to_string().into_bytes()),
                other => panic!("{other:?}"),
            });
        }
        let expected = [(0x9, "1"), (0x1, "2"), (0xa, "3"), (0x8, "1001")];
        assert_eq!(seen, expected.map(|(kind, text)| (kind, text.as_bytes().to_vec())));
        assert_eq!(ws.closed().unwrap().code(), CloseCode::from(1001));
    }
}

#[tokio::test]
async fn chunks_are_events_and_no_messages() {
    let (mut ws, mut peer) = open_with(Role::Server, 1000, chunks());
    peer.send(0x01, b"Hel").await;
    let event = ws.recv_event().await.unwrap().map(Event::into_owned);
    assert!(matches!(event, Some(Event::Chunk(chunk)) if chunk.as_text() == Some("Hel")));
    peer.send(0x80, b"lo").await;
    let error = std::io::Error::from(ws.recv().await.unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
}

#[tokio::test]
async fn leftovers_of_another_stack_come_first() {
    for role in ROLES {
        for len in [0, 1, 5, 10_000, 300_000] {
            let (_, peer) = open(role);
            let big = payload(len);
            let bytes = [peer.frame(0x81, b"first"), peer.frame(0x82, &big)].concat();
            for cut in [0, 1, 3, bytes.len() / 2, bytes.len()] {
                let (ours, mut theirs) = duplex(1 << 20);
                let mut ws = WebSocket::from_upgrade(ours, role, &bytes[..cut], config()).unwrap();
                theirs.write_all(&bytes[cut..]).await.unwrap();
                assert_eq!(ws.recv().await.unwrap().unwrap(), Message::from("first"));
                assert!(ws.recv().await.unwrap().unwrap() == Message::from(&big), "{len}, {cut}");
            }
        }
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_makes_the_sink_wait() {
    for role in ROLES {
        let config = builder().high_water_bytes(10_000).low_water_bytes(1_000).build().unwrap();
        let (mut ws, mut peer) = open_with(role, 500, config);
        let mut sent = 0;
        // `ready` is false from the high water mark on.
        while timeout(Duration::from_millis(1), ready(&mut ws)).await.is_ok() {
            Pin::new(&mut ws).start_send(Message::from(vec![7; 1000])).unwrap();
            sent += 1;
            assert!(sent < 100, "memory is bounded");
        }
        assert!((10..=12).contains(&sent), "{sent} messages were queued");
        assert!(timeout(Duration::from_millis(1), ws.feed("more")).await.is_err());
        assert!(timeout(Duration::from_millis(1), ws.flush()).await.is_err());
        for _ in 0..sent {
            let (frame, flushed) = tokio::join!(peer.next(), async {
                timeout(Duration::from_millis(1), ws.flush()).await
            });
            assert_eq!(frame, (0x82, vec![7; 1000]));
            drop(flushed);
        }
        ready(&mut ws).await.unwrap();
        ws.flush().await.unwrap();
        // The message of the call that was dropped was queued.
        assert_eq!(peer.next().await, (0x81, b"more".to_vec()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_fed_is_written_when_the_program_waits() {
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        ws.feed("a").await.unwrap();
        ws.feed("b").await.unwrap();
        assert_eq!(ws.with(|conn| conn.buffered_amount()), 2, "nothing is written yet");
        let (message, ()) = tokio::join!(ws.recv(), async {
            assert_eq!(peer.next().await, (0x81, b"a".to_vec()));
            assert_eq!(peer.next().await, (0x81, b"b".to_vec()));
            peer.send(0x81, b"c").await;
        });
        assert_eq!(message.unwrap().unwrap(), Message::from("c"));
        // The sending half wakes the task that waits on the other half.
        let (mut sends, mut receives) = ws.split();
        let receives = tokio::spawn(async move { receives.recv().await.unwrap() });
        tokio::task::yield_now().await;
        let begin = Instant::now();
        sends.feed("d").await.unwrap();
        assert_eq!(peer.next().await, (0x81, b"d".to_vec()));
        assert_eq!(begin.elapsed(), Duration::ZERO, "no timer was needed");
        peer.send(0x81, b"e").await;
        assert_eq!(receives.await.unwrap(), Some(Message::from("e")));
    }
}

#[tokio::test]
async fn a_closure_reaches_all_of_the_connection() {
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        ws.with(|conn| conn.send_prepared(&PreparedMessage::new("prepared"))).unwrap();
        ws.with(|conn| conn.ping(b"x")).unwrap();
        ws.flush().await.unwrap();
        let mut frames = [peer.next().await, peer.next().await];
        frames.sort();
        assert_eq!(frames, [(0x81, b"prepared".to_vec()), (0x89, b"x".to_vec())]);
        let (mut sends, mut receives) = ws.split();
        let receives = tokio::spawn(async move { receives.recv().await });
        tokio::task::yield_now().await;
        // The task that receives learns that the connection has ended.
        sends.with(|conn| conn.abort());
        assert!(matches!(receives.await.unwrap(), Err(Error::Closed(_))));
    }
}

#[cfg(feature = "deflate")]
#[tokio::test(start_paused = true)]
async fn compressed_messages_arrive_whole() {
    use websocket_proto::{ClientRequest, Deflate};

    let config = builder().deflate(Deflate::default()).build().unwrap();
    let mut link = Link::new(5);
    link.wire(Role::Client).chunk_writes(ChunkSize::Random(500)).limit(600);
    let (client, server) = LinkStream::pair(link);
    let request = ClientRequest::new("ws://a.test/").unwrap();
    let (client, server) = tokio::try_join!(
        WebSocket::connect(client, &request, config.clone()),
        WebSocket::accept(server, config),
    )
    .unwrap();
    let ((mut client, _), mut server) = (client, server);
    assert!(server.with(|conn| conn.deflate_params()).is_some());
    for size in SIZES {
        let text = "compress me ".repeat(size / 12);
        let (sent, received) = tokio::join!(client.send(&text), server.recv());
        sent.unwrap();
        assert!(received.unwrap() == Some(Message::from(&text)), "{size}");
    }
}
