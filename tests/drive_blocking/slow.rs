//! Transports that are slow, stuck, or count wrongly: reading and the time go on, and nothing that is lost is `Ok`.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use websocket_proto::drive::Error;
use websocket_proto::drive::blocking::{Incoming, Transport, WebSocket};
use websocket_proto::{Event, Response, Role, State};

use super::sockets;
use super::util::{REQUEST, ROLES, builder, config, to};

/// What is wrong with a transport.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// It takes all bytes, and does not pass them on: TLS does so if the peer does not read.
    Stuck,
    /// It takes 1 KiB in 20 milliseconds.
    Slow,
    /// It reports a byte more than it was given.
    Miscounting,
}

#[derive(Debug)]
pub(super) struct Faulty(pub(super) TcpStream, pub(super) Fault);

impl Faulty {
    pub(super) fn try_clone(&self) -> std::io::Result<Faulty> {
        Ok(Faulty(self.0.try_clone()?, self.1))
    }
}

impl Read for Faulty {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.read(bytes)?;
        Ok(if self.1 == Fault::Miscounting { bytes.len() + 1 } else { n })
    }
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(match self.1 {
            Fault::Stuck => bytes.len(),
            Fault::Slow => {
                thread::sleep(Duration::from_millis(20));
                bytes.len().min(1024)
            }
            Fault::Miscounting => bytes.len() + 1,
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.1 != Fault::Stuck {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Transport for Faulty {
    fn shutdown_write(&mut self) -> std::io::Result<()> {
        assert!(self.1 != Fault::Stuck, "it was given up");
        self.0.shutdown_write()
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> std::io::Result<()> {
        self.0.set_read_timeout(timeout)
    }
}

#[test]
fn a_short_wait_receives_what_has_come_even_if_writing_takes_longer() {
    for role in ROLES {
        let stuck = || {
            let (ours, mut peer) = sockets();
            let mut ws =
                WebSocket::from_upgrade(Faulty(ours, Fault::Stuck), role, b"", config()).unwrap();
            peer.write_all(&to(role, 0x81, b"Hello")).unwrap();
            ws.feed("never flushed").unwrap();
            (ws, peer)
        };
        let (mut ws, _peer) = stuck();
        assert!(ws.wait(Duration::ZERO), "{role:?}");
        let (ws, _peer) = stuck();
        let (_sends, mut receives) = ws.split(Faulty::try_clone).unwrap();
        assert!(receives.wait(Duration::ZERO), "{role:?}, split");
    }
}

#[test]
fn a_message_that_was_not_flushed_when_the_transport_is_left_is_an_error() {
    for role in ROLES {
        for is_split in [false, true] {
            let (ours, mut peer) = sockets();
            let config = builder().close_timeout(Duration::from_millis(50)).build().unwrap();
            let mut ws =
                WebSocket::from_upgrade(Faulty(ours, Fault::Stuck), role, b"", config).unwrap();
            peer.write_all(&to(role, 0x88, b"\x03\xe8")).unwrap();
            let sent = if is_split {
                let (mut sends, mut receives) = ws.split(Faulty::try_clone).unwrap();
                let receiving = thread::spawn(move || receives.recv().map(drop));
                let sent = sends.send("never flushed");
                drop(receiving.join().unwrap());
                sent
            } else {
                ws.feed("never flushed").unwrap();
                ws.recv_event().unwrap(); // the Close
                ws.flush()
            };
            assert!(sent.is_err(), "{role:?}, split: {is_split}");
        }
    }
}

#[test]
fn a_wait_receives_what_has_come_before_all_is_written() {
    for role in ROLES {
        let slow = || {
            let (ours, mut peer) = sockets();
            let mut ws =
                WebSocket::from_upgrade(Faulty(ours, Fault::Slow), role, b"", config()).unwrap();
            peer.write_all(&to(role, 0x81, b"Hello")).unwrap();
            ws.with(|conn| conn.send(vec![7; 200_000])).unwrap();
            (ws, peer)
        };
        let (mut ws, _peer) = slow();
        assert!(ws.wait(Duration::ZERO), "{role:?}");
        assert!(ws.with(|conn| conn.outgoing_len()) > 100_000, "{role:?}");
        let (ws, _peer) = slow();
        let (mut sends, mut receives) = ws.split(Faulty::try_clone).unwrap();
        assert!(receives.wait(Duration::ZERO), "{role:?}");
        assert!(sends.with(|conn| conn.outgoing_len()) > 100_000, "{role:?}, split");
    }
}

#[test]
fn a_peer_that_takes_a_long_message_is_not_idle() {
    for role in ROLES {
        for is_split in [false, true] {
            let (ours, _peer) = sockets();
            let config = builder().idle_timeout(Duration::from_millis(1_000)).build().unwrap();
            let mut ws =
                WebSocket::from_upgrade(Faulty(ours, Fault::Slow), role, b"", config).unwrap();
            assert!(!ws.wait(Duration::ZERO));
            let message = vec![7; 100_000]; // two seconds
            let state = if is_split {
                let (mut sends, mut receives) = ws.split(Faulty::try_clone).unwrap();
                sends.send(message).unwrap();
                assert!(!receives.wait(Duration::from_millis(20)));
                sends.with(|conn| conn.state())
            } else {
                ws.send(message).unwrap();
                assert!(!ws.wait(Duration::from_millis(20)));
                ws.with(|conn| conn.state())
            };
            assert_eq!(state, State::Open, "{role:?}, split: {is_split}");
        }
    }
}

#[test]
fn a_response_that_the_client_does_not_take_is_an_error() {
    let (ours, mut client) = sockets();
    let config = builder().close_timeout(Duration::from_millis(100)).build().unwrap();
    client.write_all(REQUEST).unwrap();
    let incoming = Incoming::receive(ours, config).unwrap();
    let result = incoming.respond(Response::new(200).body(vec![b'x'; 32 << 20]));
    let Err(Error::Io(error)) = result else { panic!("{result:?}") };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn a_transport_that_counts_wrongly_is_an_error() {
    for role in ROLES {
        let open = move || {
            let (ours, mut peer) = sockets();
            peer.write_all(&to(role, 0x81, b"Hello")).unwrap();
            (
                WebSocket::from_upgrade(Faulty(ours, Fault::Miscounting), role, b"", config())
                    .unwrap(),
                peer,
            )
        };
        let (returned, returns) = mpsc::channel();
        thread::spawn(move || {
            let (mut ws, _peer) = open();
            returned.send(ws.send("x")).unwrap();
            let (mut ws, _peer) = open();
            returned.send(ws.recv().map(drop)).unwrap();
            let (mut sends, _receives) = open().0.split(Faulty::try_clone).unwrap();
            returned.send(sends.send("x")).unwrap();
            let (_sends, mut receives) = open().0.split(Faulty::try_clone).unwrap();
            returned.send(receives.recv().map(drop)).unwrap();
        });
        for call in 0..4 {
            let result = returns.recv_timeout(Duration::from_secs(30)).expect("no call hangs");
            assert!(matches!(result, Err(Error::Io(_))), "{role:?}, {call}: {result:?}");
        }
    }
}

/// Takes a few bytes with each write. Its reads bring `input` once, and then nothing in time.
#[derive(Debug, Default)]
struct Few {
    most: usize,
    input: Vec<u8>,
    empty_reads: usize,
    written: usize,
    /// The errors of the next calls of `flush`.
    flush_errors: Vec<ErrorKind>,
    write_error: Option<ErrorKind>,
}

impl Read for Few {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        if self.input.is_empty() {
            self.empty_reads += 1;
            thread::sleep(Duration::from_millis(1));
            return Err(ErrorKind::WouldBlock.into());
        }
        let n = self.input.len().min(bytes.len());
        bytes[..n].copy_from_slice(&self.input[..n]);
        self.input.drain(..n);
        Ok(n)
    }
}

impl Write for Few {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(error) = self.write_error {
            return Err(error.into());
        }
        let n = bytes.len().min(self.most);
        self.written += n;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.flush_errors.pop().map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Transport for Few {
    fn shutdown_write(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn set_read_timeout(&mut self, _: Option<Duration>) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_transport_that_takes_few_bytes_at_once_is_not_waited_for_between_them() {
    for role in ROLES {
        let few = Few { most: 256, ..Few::default() };
        let mut ws = WebSocket::from_upgrade(few, role, b"", config()).unwrap();
        ws.with(|conn| conn.send(vec![7; 8 << 20])).unwrap();
        while ws.with(|conn| conn.outgoing_len()) > 0 {
            assert!(!ws.wait(Duration::ZERO));
        }
        assert!(ws.transport().empty_reads < 1_000, "{role:?}: {}", ws.transport().empty_reads);
    }
}

#[test]
fn what_is_written_when_the_connection_has_ended_is_no_error() {
    // A server is finished when its Close is written.
    let text_and_close =
        [to(Role::Server, 0x81, b"x"), to(Role::Server, 0x88, b"\x03\xe8")].concat();
    for writes in [1, 15, 16, 17, 32, 48] {
        for flush_errors in [vec![], vec![ErrorKind::Interrupted], vec![ErrorKind::WouldBlock; 2]] {
            let input = text_and_close.clone();
            let few = Few { most: 100, input, flush_errors, ..Few::default() };
            let mut ws = WebSocket::from_upgrade(few, Role::Server, b"", config()).unwrap();
            ws.recv().unwrap();
            let frames = 100 * writes - 4; // and the answer to the Close
            ws.with(|conn| conn.send(vec![7; frames - if frames > 127 { 4 } else { 2 }])).unwrap();
            assert!(matches!(ws.recv_event().unwrap(), Some(Event::Closed(_))));
            ws.flush().unwrap();
            assert_eq!(ws.transport().written, 100 * writes);
            assert_eq!(ws.transport().flush_errors, []);
            assert_eq!(ws.recv().unwrap(), None);
        }
    }
}

#[test]
fn a_ping_that_cannot_be_written_is_an_error() {
    for role in ROLES {
        let few = || Few { write_error: Some(ErrorKind::BrokenPipe), ..Few::default() };
        let mut ws = WebSocket::from_upgrade(few(), role, b"", config()).unwrap();
        ws.with(|conn| conn.ping(b"")).unwrap();
        let result = ws.flush();
        let Err(Error::Io(error)) = result else { panic!("{role:?}: {result:?}") };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}
