//! The interface that every implementation is measured through. To add a crate: a file in `adapters/` with an `impl
//! Peer` and an `impl Conn`, and a line in `adapters/mod.rs`.

use std::hint::black_box;

use bytes::Bytes;

use crate::transport::Transport;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Server,
    Client,
}

/// Whether the message is text, and its payload.
pub type Expected = (bool, Vec<u8>);

/// Takes each received message: whole, contiguous, unmasked, text checked.
#[derive(Default)]
pub struct Sink {
    pub messages: usize,
    pub bytes: usize,
    /// The messages that must come, over and over; empty to take any.
    expected: Vec<Expected>,
}

impl Sink {
    pub fn expecting(expected: Vec<Expected>) -> Sink {
        Sink { expected, ..Sink::default() }
    }

    #[inline(always)]
    pub fn message(&mut self, text: bool, payload: &[u8]) {
        self.messages += 1;
        self.bytes += payload.len();
        black_box(payload.as_ptr());
        if !self.expected.is_empty() {
            self.check(text, payload);
        }
    }

    #[cold]
    #[inline(never)]
    fn check(&self, text: bool, payload: &[u8]) {
        let at = self.messages - 1;
        let expected = &self.expected[at % self.expected.len()];
        assert_eq!(text, expected.0, "kind of message {at}");
        assert!(payload == expected.1, "payload of message {at}, {} bytes", payload.len());
    }
}

/// A payload of the application, which keeps it: it is the same after it was sent.
pub struct Payload {
    pub bytes: Bytes,
    pub text: bool,
}

impl Payload {
    /// The payload of a text message.
    pub fn as_str(&self) -> &str {
        // SAFETY: the workloads make text of ASCII, and no crate's time should go into another check.
        unsafe { std::str::from_utf8_unchecked(&self.bytes) }
    }
}

pub trait Conn {
    /// Receives at least `n` messages; more only if they came in one read with the last.
    fn recv(&mut self, n: usize, sink: &mut Sink);

    /// Sends `n` messages with this payload. All is written after each `batch` of them, and at the end.
    fn send(&mut self, payload: &Payload, n: usize, batch: usize);

    /// Sends these messages, and writes all after each.
    fn send_all(&mut self, payloads: &[Payload]) {
        for payload in payloads {
            self.send(payload, 1, 1);
        }
    }
}

/// The crate does not have that.
pub struct Unsupported;

pub trait Peer {
    fn name(&self) -> &'static str;

    /// What must be known to judge its figures.
    fn note(&self) -> &'static str {
        ""
    }

    /// No crate, but a bound to compare with: it does not keep the protocol.
    fn is_bound(&self) -> bool {
        false
    }

    /// An open connection whose opening handshake was done elsewhere.
    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>>;

    /// The opening handshake of a server, whose request is in `io`; and the connection, unless the crate's way to it is
    /// through another crate.
    fn accept(&self, _io: Transport) -> Result<Option<Box<dyn Conn>>, Unsupported> {
        Err(Unsupported)
    }

    /// The opening handshake of a client with ws://server.example.com/chat.
    fn connect(&self, _io: Transport) -> Result<(), Unsupported> {
        Err(Unsupported)
    }

    /// An open connection with permessage-deflate at level 6, with windows of 15 bits that are taken over, or the
    /// nearest that the crate has.
    fn open_deflate(&self, _io: Transport, _role: Role) -> Option<Box<dyn Conn>> {
        None
    }
}
