//! How a WebSocket ends: by either end's Close, by a transport that fails or ends, and by a drop.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex};
use tokio::time::{Duration, sleep, timeout};
use websocket_proto::drive::Error;
use websocket_proto::drive::tokio::{Incoming, WebSocket};
use websocket_proto::testing::{Link, LinkStream};
use websocket_proto::{
    CloseCause, CloseCode, Connection, Event, FrameHeader, Message, Response, Role, Timeout,
    Timestamp, UsageError,
};

use super::util::{
    REQUEST, ROLES, builder, config, connecting, open as connection, other, plain_frames, to,
};
use super::{next, open, open_with};

#[tokio::test]
async fn close_runs_the_closing_handshake_to_its_end() {
    // rfc6455-7.1.1-01
    for role in ROLES {
        for is_split in [false, true] {
            let (mut ws, mut peer) = open(role);
            ws.feed("before").await.unwrap();
            let answer = async {
                assert_eq!(peer.next().await, (0x81, b"before".to_vec()));
                assert_eq!(peer.next().await, (0x88, b"\x03\xe8bye".to_vec()));
                // Messages may come until the peer's Close.
                peer.send(0x81, b"crossed").await;
                peer.send(0x88, b"\x03\xe9").await;
                if role == Role::Client {
                    peer.stream.shutdown().await.unwrap();
                }
                assert_eq!(peer.rest().await, b"", "the write side is shut down");
            };
            let (closed, ()) = match is_split {
                false => tokio::join!(ws.close(1000, "bye"), answer),
                true => {
                    let (mut sends, mut receives) = ws.split();
                    let close = sends.close(1000, "bye");
                    let receive = async {
                        assert_eq!(receives.recv().await.unwrap(), Some(Message::from("crossed")));
                        assert_eq!(receives.recv().await.unwrap(), None);
                    };
                    let (closed, (), ()) = tokio::join!(close, receive, answer);
                    assert!(receives.closed().is_some() && sends.closed().is_some());
                    (closed, ())
                }
            };
            let closed = closed.unwrap();
            assert_eq!(
                (closed.code(), closed.cause()),
                (CloseCode::from(1001), &CloseCause::Local)
            );
            assert_eq!(closed.sent_reason(), "bye");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sending_half_closes_also_after_the_other_half_was_dropped() {
    for role in ROLES {
        for is_late in [false, true] {
            let (ws, mut peer) = open(role);
            let (mut sends, mut receives) = ws.split();
            // A part of a frame has arrived: it must not be lost with the half that has read it.
            let frame = peer.frame(0x81, b"half");
            let close = [&frame[3..], &peer.frame(0x88, b"\x03\xe8")].concat();
            peer.stream.write_all(&[&peer.frame(0x81, b"a"), &frame[..3]].concat()).await.unwrap();
            receives.recv().await.unwrap();
            let begin = tokio::time::Instant::now();
            let receives = Some(receives).filter(|_| is_late);
            let closing = tokio::spawn(async move { sends.close(1000, "").await });
            assert_eq!(peer.next().await.0, 0x88);
            peer.stream.write_all(&close).await.unwrap();
            peer.stream.shutdown().await.unwrap();
            drop(receives);
            assert_eq!(*closing.await.unwrap().unwrap().cause(), CloseCause::Local);
            assert_eq!(begin.elapsed().as_millis(), 0, "no timeout was needed");
        }
    }
}

#[tokio::test]
async fn the_peers_close_is_answered_and_ends_the_stream() {
    // rfc6455-5.5.1-13
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        ws.feed("queued").await.unwrap();
        peer.send(0x88, b"\x03\xe9bye").await;
        peer.stream.shutdown().await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), None);
        let closed = ws.closed().unwrap();
        assert_eq!((closed.code(), closed.reason()), (CloseCode::GOING_AWAY, "bye"));
        let frames = plain_frames(&peer.rest().await);
        assert_eq!(frames, [(0x81, b"queued".to_vec()), (0x88, b"\x03\xe9".to_vec())]);
        assert!(matches!(ws.send("late").await, Err(Error::Closed(_))));
        assert!(ws.close(1000, "").await.unwrap().is_clean(), "it is closed already");
        assert_eq!(ws.recv().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_close_that_cannot_be_sent_changes_nothing() {
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        let error = ws.close(1005, "").await.unwrap_err();
        assert!(matches!(error, Error::Usage(UsageError::CloseCodeNotSendable(_))));
        ws.send("still open").await.unwrap();
        assert_eq!(peer.next().await, (0x81, b"still open".to_vec()));
        let error = ws.send(vec![0; 65 << 20]).await.unwrap_err();
        assert!(matches!(error, Error::Usage(UsageError::BufferFull { .. })));
        ws.send("still open").await.unwrap();
    }
}

#[tokio::test]
async fn a_sink_is_closed_when_its_close_is_written() {
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        std::future::poll_fn(|cx| Pin::new(&mut ws).poll_close(cx)).await.unwrap();
        assert_eq!(peer.next().await, (0x88, b"\x03\xe8".to_vec()));
        peer.send(0x81, b"crossed").await;
        peer.send(0x88, b"\x03\xe8").await;
        peer.stream.shutdown().await.unwrap();
        assert_eq!(next(&mut ws).await.unwrap().unwrap(), Message::from("crossed"));
        assert!(next(&mut ws).await.is_none());
        let result = std::future::poll_fn(|cx| Pin::new(&mut ws).poll_ready(cx)).await;
        assert!(result.is_err(), "nothing more can be sent");
    }
}

#[tokio::test]
async fn the_sending_half_is_closed_when_its_close_is_written() {
    for role in ROLES {
        let (ws, mut peer) = open(role);
        let (mut sends, mut receives) = ws.split();
        std::future::poll_fn(|cx| Pin::new(&mut sends).poll_ready(cx)).await.unwrap();
        std::future::poll_fn(|cx| Pin::new(&mut sends).poll_close(cx)).await.unwrap();
        assert_eq!(peer.next().await, (0x88, b"\x03\xe8".to_vec()));
        let result = std::future::poll_fn(|cx| Pin::new(&mut sends).poll_ready(cx)).await;
        assert!(result.is_err(), "nothing more can be sent");
        peer.send(0x88, b"\x03\xe8").await;
        peer.stream.shutdown().await.unwrap();
        assert!(receives.recv().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn an_end_without_a_close_is_one_error() {
    // rfc6455-7.1.5-03
    for role in ROLES {
        let (mut ws, peer) = open(role);
        drop(peer);
        let Err(Error::Closed(closed)) = ws.recv().await else { panic!() };
        assert_eq!(*closed.cause(), CloseCause::TransportEnded);
        assert_eq!(ws.recv().await.unwrap(), None);
        let error = std::io::Error::from(ws.close(1000, "").await.unwrap_err());
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);

        let (mut ws, peer) = open(role);
        drop(peer);
        assert!(ws.close(1000, "").await.is_err());
        assert_eq!(ws.recv().await.unwrap(), None);

        let (mut ws, mut peer) = open(role);
        peer.send(0x83, b"").await;
        let receive = async {
            let Err(Error::Closed(closed)) = ws.recv().await else { panic!() };
            assert!(matches!(closed.cause(), CloseCause::Protocol(_)));
        };
        let drain = async {
            // RFC 6455 7.1.7: the Close tells the mistake.
            assert_eq!(peer.next().await.1[..2], [0x03, 0xea]);
            peer.stream.shutdown().await.unwrap();
        };
        tokio::join!(receive, drain);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_transport_are_reported_as_they_are() {
    for role in ROLES {
        let mut link = Link::new(1);
        link.wire(other(role)).break_off(7);
        let (client, server) = LinkStream::pair(link);
        let (ours, mut theirs) =
            if role == Role::Client { (client, server) } else { (server, client) };
        let mut ws = WebSocket::from_upgrade(ours, role, b"", config()).unwrap();
        theirs.write_all(&to(role, 0x81, b"x")).await.unwrap();
        theirs.write_all(&to(role, 0x81, b"cut off")).await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("x")));
        let Err(Error::Io(error)) = ws.recv().await else { panic!() };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(ws.recv().await.unwrap(), None);
        assert_eq!(*ws.closed().unwrap().cause(), CloseCause::Aborted);
    }
}

#[tokio::test(start_paused = true)]
async fn the_peers_close_is_received_after_a_failed_write() {
    for role in ROLES {
        let mut link = Link::new(1);
        link.wire(role).fail_writes(0);
        let (client, server) = LinkStream::pair(link);
        let (ours, mut theirs) =
            if role == Role::Client { (client, server) } else { (server, client) };
        let mut ws = WebSocket::from_upgrade(ours, role, b"", config()).unwrap();
        for message in [vec![1; 10], vec![1; 100_000]] {
            let Err(Error::Io(error)) = ws.send(message).await else { panic!() };
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
        let bytes = [to(role, 0x81, b"last"), to(role, 0x88, b"\x03\xf1too big")].concat();
        theirs.write_all(&bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("last")));
        assert_eq!(ws.recv().await.unwrap(), None);
        assert_eq!(ws.closed().unwrap().code(), CloseCode::from(1009));
    }
}

#[tokio::test]
async fn a_drop_sends_nothing_and_ends_the_transport() {
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        drop(ws.feed("queued"));
        drop(ws);
        assert_eq!(peer.rest().await, b"");
        let (ws, mut peer) = open(role);
        let (sends, receives) = ws.split();
        drop(sends);
        peer.send(0x81, b"x").await;
        let mut receives = receives;
        assert_eq!(receives.recv().await.unwrap(), Some(Message::from("x")));
        drop(receives);
        assert_eq!(peer.rest().await, b"");
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_is_shut_down_behind_an_end_but_not_if_it_was_given_up() {
    // RFC 8441 5: the peer must not take the end of a connection that was given up for an orderly one.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum End {
        OfThePeer,
        /// The peer answers our Close, and does not end the transport.
        Closes,
        Abort,
        CloseTimeout,
    }
    for role in ROLES {
        for end in [End::OfThePeer, End::Closes, End::Abort, End::CloseTimeout] {
            let is_orderly = matches!(end, End::OfThePeer | End::Closes);
            for is_split in [false, true] {
                let (mut ws, mut peer) = open(role);
                match end {
                    End::OfThePeer => peer.stream.shutdown().await.unwrap(),
                    End::Closes => peer.send(0x88, b"\x03\xe8").await,
                    End::Abort => ws.with(|conn| conn.abort()),
                    End::CloseTimeout => {}
                }
                let (mut whole, mut half) = (None, None);
                if is_split {
                    let (mut sends, receives) = ws.split();
                    drop(receives);
                    assert_eq!(sends.close(1000, "").await.is_ok(), end == End::Closes);
                    half = Some(sends);
                } else {
                    assert_eq!(ws.close(1000, "").await.is_ok(), end == End::Closes);
                    whole = Some(ws);
                }
                let ended = tokio::time::timeout(Duration::from_secs(60), peer.rest()).await;
                assert_eq!(ended.is_ok(), is_orderly, "{role:?}, {end:?}");
                if let Some(mut ws) = whole {
                    let wants_reset = ws.with(|conn| conn.wants_reset());
                    assert_eq!(wants_reset, !is_orderly, "{role:?}, {end:?}");
                    // The transport is whole, and not shut down.
                    let mut stream = ws.into_transport();
                    let written = stream.write_all(b"more").await;
                    assert_eq!(written.is_ok(), wants_reset, "{role:?}, {end:?}");
                    if wants_reset {
                        let mut more = [0; 4];
                        peer.stream.read_exact(&mut more).await.unwrap();
                    }
                }
                drop(half);
                assert_eq!(peer.rest().await, b"", "{role:?}, {end:?}");
            }
        }
    }
}

#[tokio::test]
async fn halves_give_the_transport_back_if_they_belong_together() {
    let (one, mut peer) = open(Role::Server);
    let (other, _peer) = open(Role::Server);
    let (sends, receives) = one.split();
    let (other_sends, other_receives) = other.split();
    let (sends, other_receives) = sends.into_transport(other_receives).unwrap_err();
    let mut stream = sends.into_transport(receives).unwrap();
    stream.write_all(b"raw").await.unwrap();
    drop(stream);
    assert_eq!(peer.rest().await, b"raw");
    assert!(other_sends.into_transport(other_receives).is_ok());
}

#[test]
fn errors_have_texts_sources_and_kinds() {
    let ended = |mut conn: Connection, mut bytes: Vec<u8>| {
        let mut bytes = &mut bytes[..];
        loop {
            match conn.receive(&mut bytes) {
                Some(Event::Closed(closed)) => return Error::from(closed),
                Some(_) => {}
                None => {
                    conn.advance(conn.outgoing().len());
                    conn.receive_eof();
                }
            }
        }
    };
    let by = |cause: fn(&mut Connection)| {
        let mut conn = connection(Role::Server);
        cause(&mut conn);
        ended(conn, Vec::new())
    };
    let limited = builder().handshake_timeout(Duration::from_secs(1)).build().unwrap();
    let mut late = connecting(Role::Server, limited);
    for millis in [0, 2_000, 3_000] {
        late.tick(Timestamp::from_millis(millis));
    }
    let mut client = connecting(Role::Client, config());
    let n = client.outgoing().len();
    client.advance(n);
    let refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
    let io = |kind: ErrorKind| Error::from(std::io::Error::from(kind));
    for (error, text, kind) in [
        (io(ErrorKind::BrokenPipe), "broken pipe", ErrorKind::BrokenPipe),
        (
            UsageError::MessageUnfinished.into(),
            "a fragmented message is unfinished",
            ErrorKind::InvalidInput,
        ),
        (
            by(|conn| conn.receive_eof()),
            "connection ended without the peer's Close frame: transport ended without a Close frame",
            ErrorKind::UnexpectedEof,
        ),
        (
            by(|conn| conn.abort()),
            "connection ended without the peer's Close frame: connection was aborted",
            ErrorKind::ConnectionAborted,
        ),
        (
            ended(connection(Role::Server), to(Role::Server, 0x83, b"")),
            "connection ended without the peer's Close frame: opcode 0x3 is reserved",
            ErrorKind::InvalidData,
        ),
        (
            ended(late, Vec::new()),
            "connection was not opened: handshake timeout has passed",
            ErrorKind::TimedOut,
        ),
        (
            ended(client, refusal),
            "connection was not opened: response status is 404",
            ErrorKind::ConnectionRefused,
        ),
    ] {
        assert_eq!(error.to_string(), text);
        assert!(std::error::Error::source(&error).is_none(), "the text has all");
        assert_eq!(std::io::Error::from(error).kind(), kind);
    }
    let Error::Closed(closed) = by(|conn| conn.abort()) else { panic!("it was aborted") };
    let error = Error::from(std::io::Error::other(closed));
    let source = std::error::Error::source(&error).expect("what is below the inner error");
    assert_eq!(source.to_string(), "connection was aborted");
}

#[tokio::test]
async fn debug_shows_no_payload() {
    let (mut ws, mut peer) = open(Role::Client);
    peer.send(0x81, b"a").await;
    peer.send(0x81, b"secret").await;
    ws.recv().await.unwrap();
    let text = format!("{ws:?}");
    assert!(text.contains("unreceived_bytes: 8") && !text.contains("secret"), "{text}");
    let (sends, receives) = ws.split();
    assert!(format!("{sends:?} {receives:?}").starts_with("SendHalf { conn: Connection"));
    let (ours, _theirs) = duplex(1);
    assert!(
        WebSocket::from_upgrade(ours, Role::Client, b"", config())
            .unwrap()
            .transport()
            .is_write_vectored()
    );
}

#[tokio::test(start_paused = true)]
async fn both_halves_are_told_how_the_connection_has_ended() {
    for role in ROLES {
        // The peer does not answer the Close, and the receiving half comes late.
        let (ws, _peer) = open(role);
        let (mut sends, mut receives) = ws.split();
        let receiving = async {
            sleep(Duration::from_millis(5_500)).await;
            (receives.recv().await, receives.recv().await)
        };
        let (closed, (first, second)) = tokio::join!(sends.close(1000, ""), receiving);
        for result in [closed.map(drop), first.map(drop)] {
            let Err(Error::Closed(closed)) = result else { panic!("{role:?}: {result:?}") };
            assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Close));
        }
        assert_eq!(second.unwrap(), None);

        // The transport fails.
        for is_sender_first in [true, false] {
            let ws = WebSocket::from_upgrade(Reset, role, b"", config()).unwrap();
            let (mut sends, mut receives) = ws.split();
            let (closed, received) = match is_sender_first {
                true => tokio::join!(sends.close(1000, ""), receives.recv()),
                false => {
                    let (received, closed) = tokio::join!(receives.recv(), sends.close(1000, ""));
                    (closed, received)
                }
            };
            for result in [closed.map(drop), received.map(drop)] {
                let Err(Error::Io(error)) = result else { panic!("{role:?}: {result:?}") };
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            }
        }
    }
}

/// A transport that the peer has reset.
struct Reset;

impl AsyncRead for Reset {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
    }
}

impl AsyncWrite for Reset {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_of_the_sending_half_ends_the_wait_for_the_peers_end() {
    let config = builder().close_timeout(None).build().unwrap();
    let (ws, mut peer) = open_with(Role::Client, 1 << 20, config);
    let (mut sends, mut receives) = ws.split();
    let receiving = tokio::spawn(async move { receives.recv().await });
    peer.send(0x88, b"\x03\xe8").await;
    assert_eq!(peer.next().await.0, 0x88);
    sleep(Duration::from_secs(60)).await;
    assert!(!receiving.is_finished(), "the server ends the transport");
    sends.with(Connection::abort);
    let received = timeout(Duration::from_secs(1), receiving).await.expect("it is woken");
    assert_eq!(received.unwrap().unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_the_client_does_not_take_is_an_error() {
    let (mut client, server) = duplex(500);
    client.write_all(REQUEST).await.unwrap();
    let incoming = Incoming::receive(server, config()).await.unwrap();
    let result = incoming.respond(Response::new(200).body(vec![b'x'; 10_000])).await;
    let Err(Error::Io(error)) = result else { panic!("{result:?}") };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_message_or_frame_that_is_unfinished_does_not_stop_a_flush() {
    let (header, _) = FrameHeader::decode(b"\x82\x02").unwrap().unwrap();
    let config = builder().high_water_bytes(4).low_water_bytes(2).build().unwrap();
    for is_split in [false, true] {
        let (mut ws, mut peer) = open_with(Role::Server, 1 << 20, config.clone());
        ws.with(|conn| conn.begin_frame(&header)).unwrap();
        ws.with(|conn| conn.send_payload(b"a")).unwrap();
        ws.flush().await.unwrap();
        ws.with(|conn| conn.ping(b"waits")).unwrap();
        let limit = Duration::from_secs(100);
        if is_split {
            let (mut sends, _receives) = ws.split();
            timeout(limit, sends.flush()).await.expect("it ends").unwrap();
            let mut sink = Pin::new(&mut sends);
            let ready = poll_fn(|cx| Sink::<Message<'_>>::poll_ready(sink.as_mut(), cx));
            timeout(limit, ready).await.expect("it ends").unwrap();
            sends.with(|conn| conn.send_payload(b"b")).unwrap();
            sends.flush().await.unwrap();
        } else {
            timeout(limit, ws.flush()).await.expect("it ends").unwrap();
            ws.with(|conn| conn.send_payload(b"b")).unwrap();
            ws.flush().await.unwrap();
        }
        assert_eq!(peer.next().await, (0x82, b"ab".to_vec()));
        assert_eq!(peer.next().await, (0x89, b"waits".to_vec()));
    }
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn a_compressed_message_that_is_unfinished_is_not_lost() {
    use websocket_proto::{Deflate, DeflateParams, MessageKind, Upgrade};

    for role in ROLES {
        let config = builder().deflate(Deflate::default()).build().unwrap();
        let (ours, _theirs) = duplex(1 << 20);
        let upgrade = Upgrade::new(role).deflate(DeflateParams::default());
        let mut ws = WebSocket::from_upgrade(ours, upgrade, b"", config).unwrap();
        ws.with(|conn| conn.send_fragment(MessageKind::Text, b"abc", false)).unwrap();
        ws.flush().await.unwrap();
        ws.with(|conn| conn.ping(b"")).unwrap();
        let (mut sends, _receives) = ws.split();
        sends.flush().await.unwrap();
    }
}
