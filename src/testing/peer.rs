//! A scripted peer: it sends what it is told to, valid or not, and decodes the answers without the library's codec. It
//! makes no decisions of its own.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::endpoint::answer_request;
use super::frame::RawFrame;
use super::link::Link;
use super::wire::{Arrival, WriteFailed};
use crate::connection::Connection;
use crate::event::Event;
use crate::handshake::accept_key;
use crate::state::Role;

/// The `Sec-WebSocket-Key` of a scripted client, from RFC 6455 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What is wrong with a request for a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestFlaw {
    /// Its method is POST.
    Post,
    /// It is HTTP/1.0.
    Http10,
    /// It has no `Host`.
    NoHost,
    /// It has no `Upgrade`, so it is a plain request.
    NoUpgrade,
    /// It has no `Connection`.
    NoConnection,
    /// It has no `Sec-WebSocket-Key`.
    NoKey,
    /// Its `Sec-WebSocket-Key` encodes 15 bytes.
    ShortKey,
    /// Its version is 8.
    OldVersion,
    /// It declares a body.
    Body,
    /// One line ends with LF alone.
    BareLineFeed,
}

/// What is wrong with the response to such a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseFlaw {
    /// Its status is 200.
    Status200,
    /// It is HTTP/1.0.
    Http10,
    /// It has no `Upgrade`.
    NoUpgrade,
    /// It has no `Connection`.
    NoConnection,
    /// It has no `Sec-WebSocket-Accept`.
    NoAccept,
    /// Its `Sec-WebSocket-Accept` answers another key.
    WrongAccept,
    /// It has a subprotocol, which is wrong if none was offered.
    Subprotocol,
    /// It has an unknown extension.
    Extension,
    /// One line ends with LF alone.
    BareLineFeed,
}

/// A peer that sends what it is told to, and decodes frames without validation.
///
/// Use [`exchange`](ScriptedPeer::exchange) with a [`Connection`], [`turn`](ScriptedPeer::turn) over a [`Link`], and
/// [`take_outgoing`](ScriptedPeer::take_outgoing) and [`receive`](ScriptedPeer::receive) with any other code.
///
/// ```
/// use websocket_proto::testing::{RawFrame, ScriptedPeer};
/// use websocket_proto::{Config, Connection, Event, ProtocolError, CloseCause, Role};
///
/// let mut conn = Connection::server(Config::default());
/// let mut peer = ScriptedPeer::new(Role::Client);
/// peer.send_request(None);
/// peer.send(&RawFrame::text("Hello").rsv(0b010));
/// let events = peer.exchange(&mut conn);
/// let Some(Event::Closed(closed)) = events.last() else { panic!("{events:?}") };
/// let error = ProtocolError::ReservedBits { first_byte: 0xa1 };
/// assert_eq!(*closed.cause(), CloseCause::Protocol(error));
/// assert!(peer.is_accepted());
/// assert_eq!(peer.next_frame(), Some(RawFrame::close(1002, "").mask(websocket_proto::testing::Mask::Unmasked)));
/// ```
#[derive(Clone)]
pub struct ScriptedPeer {
    role: Role,
    outgoing: Vec<u8>,
    /// Whether `end` was called.
    has_ended: bool,
    /// Whether `exchange` has passed that end on.
    end_is_told: bool,
    received: Vec<u8>,
    /// The length of the head at the front of `received`; `None` until it is whole, 0 without a handshake.
    head: Option<usize>,
    /// The offset in `received` of the next frame.
    at: usize,
    heard_end: bool,
}

impl ScriptedPeer {
    /// Creates a peer in this role, before the opening handshake.
    pub fn new(role: Role) -> ScriptedPeer {
        ScriptedPeer {
            role,
            outgoing: Vec::new(),
            has_ended: false,
            end_is_told: false,
            received: Vec::new(),
            head: None,
            at: 0,
            heard_end: false,
        }
    }

    /// Creates a peer in this role, after the opening handshake.
    pub fn open(role: Role) -> ScriptedPeer {
        ScriptedPeer { head: Some(0), ..ScriptedPeer::new(role) }
    }

    /// The role of the peer.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Sends a frame, masked as the role requires unless the frame says otherwise.
    pub fn send(&mut self, frame: &RawFrame) -> &mut ScriptedPeer {
        let bytes = frame.encode(self.role);
        self.send_bytes(&bytes)
    }

    /// Sends any bytes.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> &mut ScriptedPeer {
        self.outgoing.extend_from_slice(bytes);
        self
    }

    /// Sends a request for a WebSocket, valid except for the flaw.
    pub fn send_request(&mut self, flaw: Option<RequestFlaw>) -> &mut ScriptedPeer {
        self.send_bytes(request(flaw).as_bytes())
    }

    /// Sends the response to the received request, valid except for the flaw.
    ///
    /// # Panics
    ///
    /// If no request with a key was received.
    pub fn send_response(&mut self, flaw: Option<ResponseFlaw>) -> &mut ScriptedPeer {
        let head = self.head().expect("a request was received");
        let key = header(head, "Sec-WebSocket-Key").expect("the request has a key");
        let response = response(key, flaw);
        self.send_bytes(response.as_bytes())
    }

    /// Ends the transport after all bytes sent so far. Nothing can be sent after it.
    pub fn end(&mut self) -> &mut ScriptedPeer {
        self.has_ended = true;
        self
    }

    /// Removes and returns the bytes that the peer has sent.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.outgoing)
    }

    /// Receives bytes of the other end.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        if self.head.is_none() {
            let end = self.received.windows(4).position(|four| four == b"\r\n\r\n");
            self.head = end.map(|end| end + 4);
            self.at = self.head.unwrap_or(0);
        }
    }

    /// Receives the end of the transport.
    pub fn receive_end(&mut self) {
        self.heard_end = true;
    }

    /// All received bytes.
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Whether the end of the transport was received.
    pub fn has_heard_the_end(&self) -> bool {
        self.heard_end
    }

    /// The received head of a request or response, if it is whole and valid UTF-8.
    pub fn head(&self) -> Option<&str> {
        core::str::from_utf8(&self.received[..self.head?]).ok()
    }

    /// Whether a response was received that accepts the request of [`send_request`](ScriptedPeer::send_request).
    pub fn is_accepted(&self) -> bool {
        let accept = accept_key(KEY.as_bytes());
        self.head().is_some_and(|head| {
            head.starts_with("HTTP/1.1 101 ")
                && header(head, "Sec-WebSocket-Accept").map(str::as_bytes) == Some(&accept)
        })
    }

    /// The next received whole frame, decoded without validation. Its mask is never [`Mask::ByRole`].
    ///
    /// [`Mask::ByRole`]: super::Mask::ByRole
    pub fn next_frame(&mut self) -> Option<RawFrame> {
        self.head?;
        let (frame, size) = RawFrame::decode(&self.received[self.at..])?;
        self.at += size;
        Some(frame)
    }

    /// The received bytes after the last whole frame: the front of a frame, or the body of a refusal.
    pub fn rest(&self) -> &[u8] {
        &self.received[self.at..]
    }

    /// Exchanges bytes with a connection until neither has any to send. The connection's requests are
    /// [answered](answer_request). Returns its events.
    ///
    /// # Panics
    ///
    /// If the connection is of the same role.
    pub fn exchange(&mut self, conn: &mut Connection) -> Vec<Event<'static>> {
        assert_ne!(self.role, conn.role(), "two ends of a connection have different roles");
        let mut events = Vec::new();
        loop {
            let mut bytes = self.take_outgoing();
            let mut input = &mut bytes[..];
            let mut moved = !input.is_empty();
            while let Some(event) = conn.receive(&mut input) {
                let event = event.into_owned();
                answer_request(conn, &event);
                events.push(event);
            }
            if self.has_ended && !core::mem::replace(&mut self.end_is_told, true) {
                conn.receive_eof();
            }
            while let Some(event) = conn.poll_event() {
                events.push(event);
            }
            while conn.wants_write() {
                self.receive(conn.outgoing());
                conn.advance(conn.outgoing().len());
                moved = true;
            }
            if conn.wants_shutdown() || conn.is_finished() {
                self.receive_end();
            }
            if !moved {
                return events;
            }
        }
    }

    /// Writes the sent bytes to the peer's end of a link, and reads what has arrived there. Returns whether anything
    /// happened.
    pub fn turn(&mut self, link: &mut Link) -> bool {
        let mut end = link.end(self.role);
        let mut moved = false;
        while !self.outgoing.is_empty() {
            match end.try_write(&self.outgoing) {
                Ok(0) => break,
                Ok(n) => drop(self.outgoing.drain(..n)),
                Err(WriteFailed) => self.outgoing.clear(),
            }
            moved = true;
        }
        if self.has_ended && self.outgoing.is_empty() && !end.is_shut_down() {
            end.shut_down();
            moved = true;
        }
        let mut buf = [0; 4096];
        match end.try_read(&mut buf) {
            Arrival::Bytes(n) => {
                self.receive(&buf[..n]);
                true
            }
            Arrival::Eof | Arrival::Broken => {
                moved |= !self.heard_end;
                self.receive_end();
                moved
            }
            Arrival::Nothing => moved,
        }
    }
}

/// A request for a WebSocket.
pub(super) fn request(flaw: Option<RequestFlaw>) -> String {
    use RequestFlaw::{
        BareLineFeed, Body, Http10, NoConnection, NoHost, NoKey, NoUpgrade, OldVersion, Post,
        ShortKey,
    };
    let mut head = String::from(match flaw {
        Some(Post) => "POST /chat HTTP/1.1\r\n",
        Some(Http10) => "GET /chat HTTP/1.0\r\n",
        _ => "GET /chat HTTP/1.1\r\n",
    });
    let mut line = |missing: &[RequestFlaw], text: &str| {
        if !flaw.is_some_and(|flaw| missing.contains(&flaw)) {
            head.push_str(text);
        }
    };
    line(&[NoHost, BareLineFeed], "Host: peer.test\r\n");
    line(&[NoUpgrade], "Upgrade: websocket\r\n");
    line(&[NoConnection], "Connection: Upgrade\r\n");
    line(&[OldVersion], "Sec-WebSocket-Version: 13\r\n");
    line(&[NoKey, ShortKey], "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    head.push_str(match flaw {
        Some(BareLineFeed) => "Host: peer.test\n",
        Some(OldVersion) => "Sec-WebSocket-Version: 8\r\n",
        Some(ShortKey) => "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n",
        Some(Body) => "Content-Length: 5\r\n",
        _ => "",
    });
    head.push_str("\r\n");
    head
}

/// The response that accepts a request with this key.
pub(super) fn response(key: &str, flaw: Option<ResponseFlaw>) -> String {
    use ResponseFlaw::{
        BareLineFeed, Extension, Http10, NoAccept, NoConnection, NoUpgrade, Status200, Subprotocol,
        WrongAccept,
    };
    let mut head = String::from(match flaw {
        Some(Status200) => "HTTP/1.1 200 OK\r\n",
        Some(Http10) => "HTTP/1.0 101 Switching Protocols\r\n",
        _ => "HTTP/1.1 101 Switching Protocols\r\n",
    });
    if flaw != Some(NoUpgrade) {
        head.push_str("Upgrade: websocket\r\n");
    }
    match flaw {
        Some(NoConnection) => {}
        Some(BareLineFeed) => head.push_str("Connection: Upgrade\n"),
        _ => head.push_str("Connection: Upgrade\r\n"),
    }
    if flaw != Some(NoAccept) {
        let key = if flaw == Some(WrongAccept) { "" } else { key };
        let accept = accept_key(key.as_bytes());
        head.push_str("Sec-WebSocket-Accept: ");
        head.extend(accept.iter().map(|byte| char::from(*byte)));
        head.push_str("\r\n");
    }
    head.push_str(match flaw {
        Some(Subprotocol) => "Sec-WebSocket-Protocol: unheard-of\r\n",
        Some(Extension) => "Sec-WebSocket-Extensions: unheard-of\r\n",
        _ => "",
    });
    head.push_str("\r\n");
    head
}

/// The value of the first header line with this name.
pub(super) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    lines
        .into_iter()
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

impl fmt::Debug for ScriptedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedPeer")
            .field("role", &self.role)
            .field("outgoing", &self.outgoing.len())
            .field("received", &self.received.len())
            .finish_non_exhaustive()
    }
}
