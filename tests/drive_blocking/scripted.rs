//! A transport that takes and gives few bytes, and fails or stops at any call: nothing is lost, and nothing is sent
//! twice.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::{Arc, Mutex};

use websocket_proto::drive::Error;
use websocket_proto::drive::blocking::{Transport, WebSocket};
use websocket_proto::{Event, Message, Role};

use super::util::{ROLES, config, plain_frames, to};

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Never,
    /// The call with this number, from 0.
    Once(usize, ErrorKind),
    /// Every second call.
    Often(ErrorKind),
    /// Writing stops once after this number of bytes.
    Cut(usize),
}

#[derive(Debug, Clone)]
struct Wire {
    input: Vec<u8>,
    /// Written, and not passed on before the next flush.
    buffered: Vec<u8>,
    output: Vec<u8>,
    /// The longest read and write.
    most: usize,
    fault: Fault,
    calls: usize,
    is_shut_down: bool,
}

/// A handle of a scripted transport.
#[derive(Debug, Clone)]
struct Scripted(Arc<Mutex<Wire>>);

impl Scripted {
    fn new(input: Vec<u8>, most: usize, fault: Fault) -> Scripted {
        let (buffered, output) = (Vec::new(), Vec::new());
        let wire = Wire { input, buffered, output, most, fault, calls: 0, is_shut_down: false };
        Scripted(Arc::new(Mutex::new(wire)))
    }
}

impl Wire {
    fn call(&mut self) -> io::Result<()> {
        let call = self.calls;
        self.calls += 1;
        assert!(call < 1_000_000, "the driver turns in a circle");
        match self.fault {
            Fault::Once(at, kind) if at == call => Err(kind.into()),
            Fault::Often(kind) if call % 2 == 0 => Err(kind.into()),
            _ => Ok(()),
        }
    }
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.lock().unwrap();
        wire.call()?;
        let n = buffer.len().min(wire.most).min(wire.input.len());
        buffer[..n].copy_from_slice(&wire.input[..n]);
        wire.input.drain(..n);
        Ok(n)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut wire = self.0.lock().unwrap();
        wire.call()?;
        assert!(!wire.is_shut_down, "a write after the shutdown");
        let written = wire.output.len() + wire.buffered.len();
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        assert!(!bytes.is_empty(), "a write of nothing");
        let mut n = bytes.len().min(wire.most);
        if let Fault::Cut(at) = wire.fault {
            if written == at {
                wire.fault = Fault::Never;
                return Err(ErrorKind::WouldBlock.into());
            }
            n = n.min(at.saturating_sub(written));
        }
        wire.buffered.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        let wire = &mut *self.0.lock().unwrap();
        wire.call()?;
        wire.output.append(&mut wire.buffered);
        Ok(())
    }
}

impl Transport for Scripted {
    fn shutdown_write(&mut self) -> io::Result<()> {
        let mut wire = self.0.lock().unwrap();
        wire.call()?;
        assert!(wire.buffered.is_empty(), "a shutdown before the flush");
        wire.is_shut_down = true;
        Ok(())
    }
}

/// How the program uses the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    One,
    Halves,
    /// The receiving half is dropped for the end.
    Orphan,
}

const WAYS: [Way; 3] = [Way::One, Way::Halves, Way::Orphan];

/// Sends a small and a large message, echoes what comes, and closes. Returns what became of the transport, too.
fn run(role: Role, way: Way, most: usize, fault: Fault) -> (Result<(), Error>, Wire) {
    let large = vec![7; if most < 100 { 300 } else { 20_000 }];
    let frames = [
        to(role, 0x89, b"ping"),
        to(role, 0x01, b"Hel"),
        to(role, 0x80, b"lo"),
        to(role, 0x82, &large),
        to(role, 0x88, b"\x03\xe8"),
    ];
    let transport = Scripted::new(frames.concat(), most, fault);
    let ws = WebSocket::from_upgrade(transport.clone(), role, b"", config()).unwrap();
    let result = drive(ws, way, &large);
    let wire = transport.0.lock().unwrap().clone();
    (result, wire)
}

fn drive(mut ws: WebSocket<Scripted>, way: Way, large: &[u8]) -> Result<(), Error> {
    ws.send("first")?;
    ws.send(large)?;
    ws.feed("fed")?;
    let mut seen = Vec::new();
    if way == Way::One {
        while let Some(message) = ws.recv()? {
            seen.push(message.len());
            ws.feed(message)?;
        }
        assert!(ws.closed().is_some_and(|closed| closed.is_clean()));
    } else {
        let (mut sends, mut receives) = ws.split(|transport| Ok(transport.clone()))?;
        while let Some(event) = receives.recv_event()? {
            match event {
                Event::Message(message) => {
                    seen.push(message.len());
                    sends.feed(message)?;
                }
                Event::Closed(_) if way == Way::Orphan => break,
                _ => {}
            }
        }
        if way == Way::Orphan {
            drop(receives);
        }
        assert!(sends.close(1000, "")?.is_clean());
    }
    assert_eq!(seen, [5, large.len()]);
    Ok(())
}

/// The frames that the peer must get. They are the same for all ways.
fn expected(most: usize) -> Vec<(u8, Vec<u8>)> {
    let large = vec![7; if most < 100 { 300 } else { 20_000 }];
    vec![
        (0x81, b"first".to_vec()),
        (0x82, large.clone()),
        (0x81, b"fed".to_vec()),
        (0x8a, b"ping".to_vec()),
        (0x81, b"Hello".to_vec()),
        (0x82, large),
        (0x88, b"\x03\xe8".to_vec()),
    ]
}

fn check(role: Role, way: Way, most: usize, fault: Fault) -> (usize, Vec<u8>) {
    let (result, wire) = run(role, way, most, fault);
    result.unwrap_or_else(|error| panic!("{role:?}, {way:?}, {most}, {fault:?}: {error}"));
    assert!(wire.is_shut_down, "{role:?}, {way:?}, {most}, {fault:?}");
    let mut frames = plain_frames(&wire.output);
    let mut expected = expected(most);
    // A pong goes out at the next border between frames, which depends on what was written before.
    let is_pong = |(first, _): &(u8, Vec<u8>)| *first == 0x8a;
    for frames in [&mut frames, &mut expected] {
        assert_eq!(frames.iter().filter(|frame| is_pong(frame)).count(), 1);
        frames.retain(|frame| !is_pong(frame));
    }
    assert!(frames == expected, "{role:?}, {way:?}, {most}, {fault:?}");
    (wire.calls, wire.output)
}

#[test]
fn an_operation_that_stops_at_any_call_goes_on_where_it_was() {
    for role in ROLES {
        for way in WAYS {
            for most in [1, 7, 1000, usize::MAX] {
                let (calls, _) = check(role, way, most, Fault::Never);
                let step = (calls / 12).max(1);
                for kind in [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::Interrupted] {
                    check(role, way, most, Fault::Often(kind));
                    // The few calls of large pieces all; of the many calls of small ones the first, and some others.
                    for call in (0..calls).filter(|call| *call < 12 || call % step == 0) {
                        check(role, way, most, Fault::Once(call, kind));
                    }
                }
            }
        }
    }
}

#[test]
fn a_write_that_stops_after_any_byte_goes_on_behind_it() {
    for role in ROLES {
        for way in WAYS {
            let (_, output) = check(role, way, usize::MAX, Fault::Never);
            let is_near = |at: &usize| *at < 40 || at % 2003 == 0 || output.len() - at < 30;
            for at in (0..output.len()).filter(is_near) {
                check(role, way, usize::MAX, Fault::Cut(at));
            }
        }
    }
}

#[test]
fn a_failure_at_any_call_ends_the_connection_behind_whole_bytes() {
    for role in ROLES {
        for way in WAYS {
            for most in [7, usize::MAX] {
                let (calls, whole) = check(role, way, most, Fault::Never);
                let step = (calls / 20).max(1);
                for call in (0..calls).filter(|call| *call < 20 || call % step == 0) {
                    for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe] {
                        let (result, wire) = run(role, way, most, Fault::Once(call, kind));
                        assert!(
                            whole.starts_with(&wire.output),
                            "{role:?}, {way:?}, {most}, {call}"
                        );
                        match result {
                            Ok(()) => {}
                            Err(Error::Io(error)) => assert_eq!(error.kind(), kind),
                            Err(Error::Closed(closed)) => assert!(!closed.is_clean()),
                            Err(Error::Usage(error)) => panic!("{call}: {error}"),
                            Err(error) => panic!("{call}: {error}"),
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_message_that_cannot_be_written_or_flushed_is_an_error_at_once() {
    for role in ROLES {
        for call in 0..2 {
            for len in [1, 20_000] {
                let fault = Fault::Once(call, ErrorKind::BrokenPipe);
                let scripted = || Scripted::new(Vec::new(), usize::MAX, fault);
                let mut ws = WebSocket::from_upgrade(scripted(), role, b"", config()).unwrap();
                let whole = WebSocket::from_upgrade(scripted(), role, b"", config()).unwrap();
                let (mut sends, _receives) =
                    whole.split(|transport| Ok(transport.clone())).unwrap();
                for result in [ws.send(vec![7; len]), sends.send(vec![7; len])] {
                    let Err(Error::Io(error)) = result else {
                        panic!("{role:?}, {call}, {len}: {result:?}")
                    };
                    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                }
            }
        }
    }
}

/// A transport that panics when it is written.
struct Panics;

impl Read for Panics {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl Write for Panics {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        panic!("as the test wants")
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Panics {
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_of_the_transport_leaves_nobody_waiting() {
    for role in ROLES {
        let ws = WebSocket::from_upgrade(Panics, role, b"", config()).unwrap();
        let (mut sends, mut receives) = ws.split(|_| Ok(Panics)).unwrap();
        let sender = std::thread::spawn(move || sends.send(Message::from("x")));
        sender.join().unwrap_err();
        assert!(receives.recv().is_err());
        assert!(receives.recv().unwrap().is_none());
    }
}
