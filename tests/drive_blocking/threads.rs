//! Both directions at once: two threads for each end, or one thread that must not stand still.

use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::drive::Error;
use websocket_proto::drive::blocking::{RecvHalf, SendHalf, WebSocket};
use websocket_proto::{Event, Message, Role};

use super::util::{ROLES, builder, config};
use super::{open, pair};

/// More than the sockets of both ends hold.
const MUCH: usize = 16 << 20;

fn halves(ws: WebSocket<TcpStream>) -> (SendHalf<TcpStream>, RecvHalf<TcpStream>) {
    ws.split(TcpStream::try_clone).unwrap()
}

#[test]
fn both_ends_send_much_at_once_on_two_threads() {
    let threads = pair(config()).map(|ws| {
        let (mut sends, mut receives) = halves(ws);
        let sending = thread::spawn(move || {
            sends.send(vec![7; MUCH]).unwrap();
            for n in 0..2000 {
                sends.feed(vec![n as u8; n]).unwrap();
            }
            sends.flush().unwrap();
            sends
        });
        let receiving = thread::spawn(move || {
            assert!(receives.recv().unwrap() == Some(Message::from(vec![7; MUCH])));
            for n in 0..2000 {
                assert!(receives.recv().unwrap() == Some(Message::from(vec![n as u8; n])), "{n}");
            }
            receives
        });
        (sending, receiving)
    });
    let [client, server] = threads.map(|(s, r)| (s.join().unwrap(), r.join().unwrap()));
    let ending = thread::spawn(move || {
        let (sends, mut receives) = server;
        assert_eq!(receives.recv().unwrap(), None);
        drop(sends);
    });
    let (mut sends, receives) = client;
    drop(receives);
    assert!(sends.close(1000, "").unwrap().is_clean());
    ending.join().unwrap();
}

#[test]
fn both_ends_send_much_at_once_on_one_thread_that_receives() {
    let threads = pair(config()).map(|mut ws| {
        thread::spawn(move || {
            ws.with(|conn| conn.send(vec![7; MUCH])).unwrap();
            assert!(ws.recv().unwrap() == Some(Message::from(vec![7; MUCH])));
            ws.flush().unwrap();
            ws
        })
    });
    let [mut client, mut server] = threads.map(|thread| thread.join().unwrap());
    let ending = thread::spawn(move || server.recv().unwrap());
    assert!(client.close(1000, "").unwrap().is_clean());
    assert_eq!(ending.join().unwrap(), None);
}

#[test]
fn pings_are_received_while_a_long_message_waits_and_pongs_follow_it() {
    // rfc6455-5.5.2-02
    for role in ROLES {
        let (ws, mut peer) = open(role);
        let (mut sends, mut receives) = halves(ws);
        let sending = thread::spawn(move || {
            sends.send(vec![7; MUCH]).unwrap();
            sends
        });
        peer.send(0x89, b"ping");
        let event = receives.recv_event().unwrap().map(Event::into_owned);
        assert_eq!(event, Some(Event::Ping(b"ping"[..].into())));
        assert!(!sending.is_finished(), "nobody reads");
        // The receiving half does not wait for the writes.
        peer.send(0x81, b"more");
        assert_eq!(receives.recv().unwrap(), Some(Message::from("more")));
        assert!(!sending.is_finished());
        let mut frames = [peer.next(), peer.next()];
        frames.sort_by_key(|(first, _)| *first);
        assert!(frames[0] == (0x82, vec![7; MUCH]) && frames[1] == (0x8a, b"ping".to_vec()));
        drop(sending.join().unwrap());
    }
}

#[test]
fn a_receiving_half_answers_while_nobody_sends() {
    // rfc6455-5.5.2-02
    for role in ROLES {
        let (ws, mut peer) = open(role);
        let (_sends, mut receives) = halves(ws);
        let receiving = thread::spawn(move || receives.recv());
        peer.send(0x89, b"1");
        assert_eq!(peer.next(), (0x8a, b"1".to_vec()));
        peer.send(0x81, b"end");
        assert_eq!(receiving.join().unwrap().unwrap(), Some(Message::from("end")));
    }
}

#[test]
fn what_was_fed_is_written_while_the_peer_is_silent() {
    for role in ROLES {
        let (ws, mut peer) = open(role);
        let (mut sends, mut receives) = halves(ws);
        let receiving = thread::spawn(move || receives.recv());
        thread::sleep(Duration::from_millis(20)); // it is in a read, most likely
        let began = Instant::now();
        sends.feed("fed").unwrap();
        assert_eq!(peer.next(), (0x81, b"fed".to_vec()));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        peer.send(0x81, b"end");
        assert!(receiving.join().unwrap().unwrap().is_some());
    }
}

#[test]
fn feeding_waits_at_the_high_water_mark() {
    for role in ROLES {
        for is_split in [false, true] {
            let config = builder().high_water_bytes(10_000).low_water_bytes(1000).build().unwrap();
            let (mut ws, mut peer) = super::open_with(role, config);
            let total = 40 << 20; // more than the sockets hold
            let feeding = thread::spawn(move || {
                let mut most = 0;
                if is_split {
                    let (mut sends, _receives) = halves(ws);
                    for _ in 0..total / 5000 {
                        sends.feed(&[7; 5000]).unwrap();
                        most = most.max(sends.with(|conn| conn.outgoing_len()));
                    }
                    sends.flush().unwrap();
                } else {
                    for _ in 0..total / 5000 {
                        ws.feed(&[7; 5000]).unwrap();
                        most = most.max(ws.with(|conn| conn.outgoing_len()));
                    }
                    ws.flush().unwrap();
                }
                most
            });
            thread::sleep(Duration::from_millis(300));
            assert!(!feeding.is_finished());
            let mut rest = vec![0; 1 << 16];
            while peer.stream.read(&mut rest).unwrap() > 0 {}
            let most = feeding.join().unwrap();
            assert!((5000..=10_000).contains(&most), "{most}");
        }
    }
}

#[test]
fn one_thread_can_have_both_halves_and_echo_what_it_borrows() {
    let [client, server] = pair(config());
    let echo = thread::spawn(move || {
        let (mut sends, mut receives) = halves(server);
        while let Some(event) = receives.recv_event()? {
            if let Event::Message(message) = event {
                sends.feed(message)?;
            }
        }
        Ok::<_, Error>(())
    });
    let (mut sends, mut receives) = halves(client);
    let sending = thread::spawn(move || {
        for n in 0..500 {
            sends.send(vec![1; n * 50]).unwrap();
        }
        sends
    });
    for n in 0..500 {
        assert!(receives.recv().unwrap() == Some(Message::from(vec![1; n * 50])), "{n}");
    }
    drop(receives);
    assert!(sending.join().unwrap().close(1000, "").unwrap().is_clean());
    echo.join().unwrap().unwrap();
}

#[test]
fn halves_can_go_to_other_threads() {
    fn check<T: Send>(_: &T) {}
    let (ws, _peer) = open(Role::Client);
    check(&ws);
    let (sends, receives) = halves(ws);
    check(&sends);
    check(&receives);
}
