//! The timeouts of the configuration, by the transport's own; waits of limited time.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::drive::Error;
use websocket_proto::{CloseCause, Message, Timeout};

use super::util::{ROLES, builder};
use super::{open, open_with};

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn waiting_returns_after_its_time_or_with_an_event() {
    for role in ROLES {
        for is_split in [false, true] {
            let (mut ws, mut peer) = open(role);
            let began = Instant::now();
            if is_split {
                let (_sends, mut receives) = ws.split(TcpStream::try_clone).unwrap();
                assert!(!receives.wait(Duration::ZERO) && !receives.wait(SHORT));
                assert!(began.elapsed() >= SHORT, "{:?}", began.elapsed());
                peer.send(0x81, b"x");
                assert!(receives.wait(Duration::MAX) && receives.wait(Duration::ZERO));
                assert_eq!(receives.recv().unwrap(), Some(Message::from("x")));
                drop(peer);
                assert!(receives.wait(Duration::MAX));
                assert!(receives.recv().is_err());
            } else {
                assert!(!ws.wait(Duration::ZERO) && !ws.wait(SHORT));
                assert!(began.elapsed() >= SHORT, "{:?}", began.elapsed());
                peer.send(0x81, b"x");
                assert!(ws.wait(Duration::MAX) && ws.wait(Duration::ZERO));
                assert_eq!(ws.recv().unwrap(), Some(Message::from("x")));
                drop(peer);
                assert!(ws.wait(Duration::MAX));
                assert!(ws.recv().is_err());
            }
        }
    }
}

#[test]
fn pings_are_sent_while_a_program_waits() {
    for role in ROLES {
        let config = builder().keepalive_interval(SHORT).build().unwrap();
        let (mut ws, mut peer) = open_with(role, config);
        let receiving = thread::spawn(move || ws.recv());
        for _ in 0..3 {
            assert_eq!(peer.next().0, 0x89);
        }
        peer.send(0x81, b"x");
        assert_eq!(receiving.join().unwrap().unwrap(), Some(Message::from("x")));
    }
}

#[test]
fn a_silent_peer_is_given_up_while_a_program_receives_or_sends() {
    // The peer never reads, and the sockets hold less.
    let large = || vec![0; 32 << 20];
    for role in ROLES {
        for (is_split, sends) in [(false, false), (false, true), (true, false), (true, true)] {
            let config = builder().idle_timeout(SHORT).close_timeout(SHORT).build().unwrap();
            let (mut ws, _peer) = open_with(role, config);
            let mut sent = Ok(());
            let result = if is_split {
                let (mut sending, mut receives) = ws.split(TcpStream::try_clone).unwrap();
                if sends {
                    sent = sending.send(large());
                }
                receives.recv()
            } else {
                if sends {
                    sent = ws.send(large());
                }
                ws.recv()
            };
            match sent {
                Err(Error::Io(error)) if sends => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionAborted, "the message is lost");
                }
                sent => assert!(sent.is_ok() && !sends, "{role:?}, split: {is_split}: {sent:?}"),
            }
            let Err(Error::Closed(closed)) = result else { panic!("{role:?}: {result:?}") };
            assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Idle));
        }
    }
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_given_up() {
    for role in ROLES {
        let config = builder().close_timeout(SHORT).build().unwrap();
        let (mut ws, _peer) = open_with(role, config.clone());
        let Err(Error::Closed(closed)) = ws.close(1000, "") else { panic!() };
        assert_eq!(*closed.cause(), CloseCause::TimedOut(Timeout::Close));

        // The other thread is in a read meanwhile, and returns too.
        let (ws, _peer) = open_with(role, config);
        let (mut sends, mut receives) = ws.split(TcpStream::try_clone).unwrap();
        let receiving = thread::spawn(move || (receives.recv().map(drop), receives.recv()));
        thread::sleep(Duration::from_millis(20));
        let began = Instant::now();
        assert!(matches!(sends.close(1000, ""), Err(Error::Closed(_))));
        let (_, second) = receiving.join().unwrap();
        assert_eq!(second.unwrap(), None);
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
}
