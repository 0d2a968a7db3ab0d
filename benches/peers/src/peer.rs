//! The interface through which every crate is measured. To add a crate, add a file in `adapters/` with an `impl Peer`
//! and an `impl Conn`, and a line in `adapters/mod.rs`.

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

/// Receives each message: whole, contiguous, unmasked, with text validated.
#[derive(Default)]
pub struct Sink {
    pub messages: usize,
    pub bytes: usize,
    /// The messages that must arrive, repeated in a cycle; empty for any messages.
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

/// A payload that belongs to the application. Sending must not change it.
pub struct Payload {
    pub bytes: Bytes,
    pub text: bool,
}

impl Payload {
    /// The payload of a text message.
    pub fn as_str(&self) -> &str {
        // SAFETY: the text of all workloads is ASCII. A check here would count as the crate's time.
        unsafe { std::str::from_utf8_unchecked(&self.bytes) }
    }
}

pub trait Conn {
    /// Receives at least `n` messages; more only if they arrived in one read with the last.
    fn recv(&mut self, n: usize, sink: &mut Sink);

    /// Sends `n` messages with this payload. Writes everything after each `batch` of them, and at the end.
    fn send(&mut self, payload: &Payload, n: usize, batch: usize);

    /// Sends these messages, and writes everything after each.
    fn send_all(&mut self, payloads: &[Payload]) {
        for payload in payloads {
            self.send(payload, 1, 1);
        }
    }
}

/// The crate does not have this function.
pub struct Unsupported;

pub trait Peer {
    fn name(&self) -> &'static str;

    /// What a reader must know about the figures.
    fn note(&self) -> &'static str {
        ""
    }

    /// Whether this is not a crate but a bound to compare with, which does not obey the protocol.
    fn is_bound(&self) -> bool {
        false
    }

    /// Creates an open connection, without an opening handshake.
    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>>;

    /// Does a server's opening handshake with the request in `io`. Returns the connection, unless only another crate
    /// can create it.
    fn accept(&self, _io: Transport) -> Result<Option<Box<dyn Conn>>, Unsupported> {
        Err(Unsupported)
    }

    /// Does a client's opening handshake with ws://server.example.com/chat.
    fn connect(&self, _io: Transport) -> Result<(), Unsupported> {
        Err(Unsupported)
    }

    /// Creates an open connection with permessage-deflate: level 6, windows of 15 bits, context takeover, or the
    /// nearest that the crate has.
    fn open_deflate(&self, _io: Transport, _role: Role) -> Option<Box<dyn Conn>> {
        None
    }
}
