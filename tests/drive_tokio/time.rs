//! Timeouts, keepalive, and the memory of an idle connection, on tokio's paused clock.

use std::io::ErrorKind;

use tokio::io::{AsyncWriteExt, duplex};
use tokio::time::{Duration, Instant, sleep, timeout};
use websocket_proto::drive::Error;
use websocket_proto::drive::tokio::{Incoming, WebSocket};
use websocket_proto::{Accept, ClientRequest, CloseCause, Message, Role, Timeout};

use super::util::{ROLES, builder, config};
use super::{open, open_with};

const SECOND: Duration = Duration::from_secs(1);

/// Whether about this time has passed. A timeout is noticed a millisecond after its deadline, and tokio rounds up.
fn is_about(begin: Instant, expected: Duration) -> bool {
    let passed = begin.elapsed();
    passed >= expected && passed <= expected + Duration::from_millis(10)
}

#[tokio::test(start_paused = true)]
async fn a_late_handshake_fails() {
    let begin = Instant::now();
    let (mut client, server) = duplex(1000);
    client.write_all(b"GET / HTT").await.unwrap();
    let serve = async {
        let Err(Error::Closed(closed)) = WebSocket::accept(server, config()).await else {
            panic!()
        };
        assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Handshake));
    };
    let ask = async {
        let mut answer = [0; 13];
        tokio::io::AsyncReadExt::read_exact(&mut client, &mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408 ");
        assert!(is_about(begin, 10 * SECOND));
        drop(client);
    };
    tokio::join!(serve, ask);

    let begin = Instant::now();
    let (client, _server) = duplex(1000);
    let request = ClientRequest::new("ws://a.test/").unwrap();
    let result = WebSocket::connect(client, &request, config()).await;
    let Err(Error::Closed(closed)) = result else { panic!() };
    assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Handshake));
    assert!(is_about(begin, 10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_program_may_take_its_time_for_the_answer() {
    let (mut client, server) = duplex(1000);
    client.write_all(super::util::REQUEST).await.unwrap();
    let incoming = Incoming::receive(server, config()).await.unwrap();
    sleep(100 * SECOND).await;
    let mut ws = incoming.accept(&Accept::new()).await.unwrap();
    client.write_all(&super::util::to(Role::Server, 0x81, b"x")).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("x")));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_a_close_is_left() {
    for role in ROLES {
        for half in 0..3 {
            let begin = Instant::now();
            let (mut ws, peer) = open(role);
            let closed = match half {
                0 => ws.close(1000, "").await,
                // Nobody receives, and the half is not dropped.
                1 => {
                    let (mut sends, receives) = ws.split();
                    let closed = sends.close(1000, "").await;
                    drop(receives);
                    // It has waited a second for the receiving half to take the event of the end.
                    assert!(is_about(begin, 6 * SECOND), "{:?}", begin.elapsed());
                    let Err(Error::Io(error)) = closed else { panic!("{closed:?}") };
                    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
                    continue;
                }
                _ => {
                    let (mut sends, receives) = ws.split();
                    drop(receives);
                    sends.close(1000, "").await
                }
            };
            let Err(Error::Closed(closed)) = closed else { panic!("{closed:?}") };
            assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Close));
            assert!(is_about(begin, 5 * SECOND), "{:?}", begin.elapsed());
            drop(peer);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_bytes_does_not_hold_a_close_forever() {
    for role in ROLES {
        let begin = Instant::now();
        let (mut ws, _peer) = open_with(role, 10, config());
        drop(ws.send("more than the transport holds"));
        assert!(ws.close(1000, "").await.is_err());
        assert!(is_about(begin, 5 * SECOND), "{:?}", begin.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_peer_is_left_and_one_that_answers_pings_is_kept() {
    for role in ROLES {
        let config = builder().idle_timeout(30 * SECOND).build().unwrap();
        let begin = Instant::now();
        let (mut ws, mut peer) = open_with(role, 1000, config);
        let receive = async {
            let Err(Error::Closed(closed)) = ws.recv().await else { panic!() };
            assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Idle));
        };
        let drain = async {
            assert_eq!(peer.next().await.1[..2], [0x03, 0xe9]);
            assert!(is_about(begin, 30 * SECOND));
            peer.stream.shutdown().await.unwrap();
        };
        tokio::join!(receive, drain);

        let config = builder().idle_timeout(30 * SECOND).keepalive_interval(10 * SECOND);
        let (mut ws, mut peer) = open_with(role, 1000, config.build().unwrap());
        let begin = Instant::now();
        let answer = async {
            for n in 1..=20 {
                assert_eq!(peer.next().await, (0x89, vec![]));
                assert!(is_about(begin, n * 10 * SECOND), "{n}: {:?}", begin.elapsed());
                peer.send(0x8a, b"").await;
            }
            peer.send(0x81, b"alive").await;
        };
        let (message, ()) = tokio::join!(ws.recv(), answer);
        assert_eq!(message.unwrap(), Some(Message::from("alive")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_is_told_when_time_is_up() {
    for role in ROLES {
        let config = builder().idle_timeout(30 * SECOND).build().unwrap();
        let begin = Instant::now();
        let (mut ws, _peer) = open_with(role, 10, config);
        let result = timeout(100 * SECOND, ws.send("more than the transport holds")).await;
        let Err(Error::Io(error)) = result.expect("it ends") else { panic!() };
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        // The silence, and then the wait for the Close to be written.
        assert!(is_about(begin, 35 * SECOND), "{:?}", begin.elapsed());
    }
}
