//! How a WebSocket ends: by either side's Close, by the transport, by a mistake, by being dropped.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use websocket_proto::drive::Error;
use websocket_proto::drive::blocking::WebSocket;
use websocket_proto::{CloseCause, CloseCode, Event, FrameHeader, Message, Role, UsageError};

use super::open;
use super::slow::{Fault, Faulty};
use super::util::{ROLES, builder, chunks, plain_frames};

#[test]
fn close_runs_the_handshake_to_its_end() {
    // rfc6455-7.1.1-03
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        ws.feed("queued").unwrap();
        peer.send(0x81, b"dropped");
        let closing = thread::spawn(move || (ws.close(1001, "bye"), ws));
        assert_eq!(peer.next(), (0x81, b"queued".to_vec()));
        assert_eq!(peer.next(), (0x88, b"\x03\xe9bye".to_vec()));
        peer.send(0x88, b"\x03\xe9");
        if role == Role::Client {
            // The client waits for the server's end.
            peer.stream.shutdown(Shutdown::Write).unwrap();
        }
        let (closed, mut ws) = closing.join().unwrap();
        let closed = closed.unwrap();
        assert_eq!((closed.code(), closed.cause()), (CloseCode::GOING_AWAY, &CloseCause::Local));
        assert_eq!(peer.rest(), b"");
        assert_eq!(ws.closed(), Some(closed));
        assert_eq!(ws.recv().unwrap(), None);
        assert!(matches!(ws.send("late"), Err(Error::Closed(_))));
        assert!(ws.close(1000, "").unwrap().is_clean(), "it is closed already");
    }
}

#[test]
fn the_peers_close_is_answered_and_ends_the_loop() {
    // rfc6455-5.5.1-13
    for role in ROLES {
        for is_split in [false, true] {
            let (mut ws, mut peer) = open(role);
            ws.feed("queued").unwrap();
            peer.send(0x88, b"\x03\xe9bye");
            peer.stream.shutdown(Shutdown::Write).unwrap();
            let closed = if is_split {
                let (_sends, mut receives) = ws.split(TcpStream::try_clone).unwrap();
                assert_eq!(receives.recv().unwrap(), None);
                assert_eq!(receives.recv().unwrap(), None);
                receives.closed()
            } else {
                assert_eq!(ws.recv().unwrap(), None);
                assert_eq!(ws.recv().unwrap(), None);
                ws.closed()
            };
            let closed = closed.unwrap();
            assert_eq!((closed.code(), closed.reason()), (CloseCode::GOING_AWAY, "bye"));
            let frames = plain_frames(&peer.rest());
            assert_eq!(frames, [(0x81, b"queued".to_vec()), (0x88, b"\x03\xe9".to_vec())]);
        }
    }
}

#[test]
fn a_sending_half_closes_while_the_other_thread_receives() {
    for role in ROLES {
        let (ws, mut peer) = open(role);
        let (mut sends, mut receives) = ws.split(TcpStream::try_clone).unwrap();
        let receiving = thread::spawn(move || {
            let crossed = receives.recv().unwrap();
            (crossed, receives.recv().unwrap())
        });
        let closing = thread::spawn(move || (sends.close(1000, ""), sends.closed()));
        assert_eq!(peer.next(), (0x88, b"\x03\xe8".to_vec()));
        peer.send(0x81, b"crossed");
        peer.send(0x88, b"\x03\xe8");
        peer.stream.shutdown(Shutdown::Write).unwrap();
        let (result, closed) = closing.join().unwrap();
        assert_eq!(result.unwrap(), closed.unwrap());
        assert_eq!(receiving.join().unwrap(), (Some(Message::from("crossed")), None));
    }
}

#[test]
fn a_sending_half_learns_of_the_end_that_the_other_thread_has_received() {
    let config = builder().close_timeout(None).build().unwrap();
    let (ws, mut peer) = super::open_with(Role::Server, config);
    let (mut sends, mut receives) = ws.split(TcpStream::try_clone).unwrap();
    peer.send(0x83, b"an unknown opcode");
    assert!(matches!(receives.recv_event(), Ok(Some(Event::Closed(_)))));
    let (returned, returns) = std::sync::mpsc::channel();
    thread::spawn(move || returned.send(sends.close(1000, "").is_err()));
    let receiving = thread::spawn(move || (receives.recv().map(drop), receives));
    assert_eq!(peer.next().0, 0x88);
    // Until then the sending half would be woken to free memory.
    thread::sleep(Duration::from_millis(2_500));
    peer.stream.shutdown(Shutdown::Write).unwrap();
    let (_, _alive) = receiving.join().unwrap();
    assert_eq!(returns.recv_timeout(Duration::from_secs(30)), Ok(true));
}

#[test]
fn a_call_that_cannot_be_done_changes_nothing() {
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        let error = ws.close(1005, "").unwrap_err();
        assert!(matches!(error, Error::Usage(UsageError::CloseCodeNotSendable(_))));
        let error = ws.send(vec![0; 65 << 20]).unwrap_err();
        assert!(matches!(error, Error::Usage(UsageError::BufferFull { .. })));
        ws.send("still open").unwrap();
        assert_eq!(peer.next(), (0x81, b"still open".to_vec()));
    }
}

#[test]
fn a_frame_that_is_unfinished_does_not_stop_a_flush() {
    let (header, _) = FrameHeader::decode(b"\x82\x02").unwrap().unwrap();
    for is_split in [false, true] {
        let (mut ws, mut peer) = open(Role::Server);
        let begin = |conn: &mut websocket_proto::Connection| {
            conn.begin_frame(&header).unwrap();
            conn.send_payload(b"a").unwrap();
        };
        if is_split {
            let (mut sends, _receives) = ws.split(TcpStream::try_clone).unwrap();
            sends.with(begin);
            sends.flush().unwrap();
            sends.with(|conn| conn.ping(b"waits")).unwrap();
            sends.flush().unwrap();
            sends.with(|conn| conn.send_payload(b"b")).unwrap();
            sends.flush().unwrap();
        } else {
            ws.with(begin);
            ws.flush().unwrap();
            ws.with(|conn| conn.ping(b"waits")).unwrap();
            ws.flush().unwrap();
            ws.with(|conn| conn.send_payload(b"b")).unwrap();
            ws.flush().unwrap();
        }
        assert_eq!(peer.next(), (0x82, b"ab".to_vec()));
        assert_eq!(peer.next(), (0x89, b"waits".to_vec()));
    }
}

#[test]
fn an_end_without_a_close_is_one_error() {
    // rfc6455-7.1.5-03
    for role in ROLES {
        let (mut ws, peer) = open(role);
        drop(peer);
        let Err(Error::Closed(closed)) = ws.recv() else { panic!() };
        assert_eq!(*closed.cause(), CloseCause::TransportEnded);
        assert_eq!(ws.recv().unwrap(), None);
        let error = std::io::Error::from(ws.close(1000, "").unwrap_err());
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);

        let (mut ws, peer) = open(role);
        drop(peer);
        assert!(ws.close(1000, "").is_err());
        assert_eq!(ws.recv().unwrap(), None);
    }
}

#[test]
fn a_mistake_of_the_peer_is_answered_and_the_transport_drained() {
    // RFC 6455 7.1.7
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        peer.send(0x83, b"");
        let receiving = thread::spawn(move || ws.recv());
        assert_eq!(peer.next().1[..2], [0x03, 0xea]);
        // What the peer sends before it sees the Close does not become a reset.
        let _ = peer.stream.write_all(&[0; 100]);
        peer.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(peer.rest(), b"");
        let Err(Error::Closed(closed)) = receiving.join().unwrap() else { panic!() };
        assert!(matches!(closed.cause(), CloseCause::Protocol(_)));
    }
}

#[test]
fn a_drop_sends_nothing_and_ends_the_transport() {
    for role in ROLES {
        let (mut ws, mut peer) = open(role);
        ws.feed("queued").unwrap();
        drop(ws);
        assert_eq!(peer.rest(), b"");
        let (ws, mut peer) = open(role);
        let (sends, mut receives) = ws.split(TcpStream::try_clone).unwrap();
        drop(sends);
        peer.send(0x81, b"x");
        assert_eq!(receives.recv().unwrap(), Some(Message::from("x")));
        drop(receives);
        assert_eq!(peer.rest(), b"");
    }
}

#[test]
fn a_transport_is_shut_down_behind_an_end_but_not_if_it_was_given_up() {
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
                let config = builder().close_timeout(Duration::from_millis(50)).build().unwrap();
                let (mut ws, mut peer) = super::open_with(role, config);
                match end {
                    End::OfThePeer => peer.stream.shutdown(Shutdown::Write).unwrap(),
                    End::Closes => peer.send(0x88, b"\x03\xe8"),
                    End::Abort => ws.with(|conn| conn.abort()),
                    End::CloseTimeout => {}
                }
                let (mut whole, mut half) = (None, None);
                if is_split {
                    let (mut sends, receives) = ws.split(TcpStream::try_clone).unwrap();
                    drop(receives);
                    assert_eq!(sends.close(1000, "").is_ok(), end == End::Closes);
                    half = Some(sends);
                } else {
                    assert_eq!(ws.close(1000, "").is_ok(), end == End::Closes);
                    whole = Some(ws);
                }
                peer.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                let read = peer.stream.read_to_end(&mut Vec::new());
                assert_eq!(read.is_ok(), is_orderly, "{role:?}, {end:?}: {read:?}");
                peer.stream.set_read_timeout(None).unwrap();
                if let Some(mut ws) = whole {
                    let wants_reset = ws.with(|conn| conn.wants_reset());
                    assert_eq!(wants_reset, !is_orderly, "{role:?}, {end:?}");
                    let stream = ws.into_transport();
                    assert_eq!(stream.read_timeout().unwrap(), None);
                    assert_eq!(stream.write_timeout().unwrap(), None);
                }
                drop(half);
                assert_eq!(peer.rest(), b"", "{role:?}, {end:?}");
            }
        }
    }
}

#[test]
fn a_transport_that_was_given_up_is_not_waited_for() {
    for role in ROLES {
        for is_split in [false, true] {
            let (ours, _peer) = super::sockets();
            let config = builder().close_timeout(None).build().unwrap();
            let mut ws =
                WebSocket::from_upgrade(Faulty(ours, Fault::Stuck), role, b"", config).unwrap();
            ws.with(|conn| conn.send("never flushed")).unwrap();
            assert!(!ws.wait(Duration::from_millis(20)));
            ws.with(|conn| conn.abort());
            let (returned, returns) = std::sync::mpsc::channel();
            thread::spawn(move || {
                let closed = if is_split {
                    let (mut sends, mut receives) = ws.split(Faulty::try_clone).unwrap();
                    assert!(receives.recv().is_err());
                    let closed = sends.close(1000, "");
                    sends.into_transport(receives).expect("the halves belong together");
                    closed
                } else {
                    ws.close(1000, "")
                };
                returned.send(closed.is_err()).unwrap();
            });
            let closed = returns.recv_timeout(Duration::from_secs(30));
            assert_eq!(closed, Ok(true), "{role:?}, split: {is_split}");
        }
    }
}

#[test]
fn halves_give_the_transport_back_if_they_belong_together() {
    let (one, mut peer) = open(Role::Server);
    let (other, _peer) = open(Role::Server);
    let (sends, receives) = one.split(TcpStream::try_clone).unwrap();
    let (other_sends, other_receives) = other.split(TcpStream::try_clone).unwrap();
    let (sends, other_receives) = sends.into_transport(other_receives).unwrap_err();
    let mut stream = sends.into_transport(receives).unwrap();
    stream.write_all(b"raw").unwrap();
    drop(stream);
    assert_eq!(peer.rest(), b"raw");
    assert!(other_sends.into_transport(other_receives).is_ok());
}

#[test]
fn chunks_are_events_and_no_messages() {
    let (mut ws, mut peer) = super::open_with(Role::Server, chunks());
    peer.send(0x01, b"Hel");
    let event = ws.recv_event().unwrap().map(Event::into_owned);
    assert!(matches!(event, Some(Event::Chunk(chunk)) if chunk.as_text() == Some("Hel")));
    peer.send(0x80, b"lo");
    let error = std::io::Error::from(ws.recv().unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn debug_shows_no_payload() {
    let (mut ws, mut peer) = open(Role::Client);
    peer.stream.write_all(b"\x81\x01a\x81\x06secret").unwrap();
    thread::sleep(std::time::Duration::from_millis(20));
    ws.recv().unwrap();
    let text = format!("{ws:?}");
    assert!(text.contains("unreceived_bytes") && !text.contains("secret"), "{text}");
    let (sends, receives) = ws.split(TcpStream::try_clone).unwrap();
    assert!(format!("{sends:?} {receives:?}").starts_with("SendHalf { conn: Connection"));
}
