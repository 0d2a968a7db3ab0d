//! A stream passes through a proxy of two connections that deliver and send frames. What the receiver behind the proxy
//! gets is what it would get without the proxy, whether messages are compressed or not, and however the stream is cut.
//! The proxy passes pings, pongs and the Close on, and answers only the Close, and only when it has passed it on.

use super::receive::Setup;
use super::source::{ByteSource, cuts};
use websocket_proto::{
    CloseCause, CloseCode, Closed, Connection, Delivery, Event, MessageKind, Role, State,
    UsageError,
};

/// What a receiver of whole messages has seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    messages: Vec<(MessageKind, Vec<u8>)>,
    /// The payloads of pings, and of pongs.
    pings: [Vec<Vec<u8>>; 2],
    closed: Option<Closed>,
}

impl Seen {
    fn receive(&mut self, conn: &mut Connection, bytes: &[u8]) {
        let mut copy = bytes.to_vec();
        let mut input = &mut copy[..];
        while let Some(event) = conn.receive(&mut input) {
            match event {
                Event::Message(message) => {
                    self.messages.push((message.kind(), message.into_bytes()));
                }
                Event::Closed(closed) => self.closed = Some(closed),
                Event::Ping(payload) => self.pings[0].push(payload.into_owned()),
                Event::Pong(payload) => self.pings[1].push(payload.into_owned()),
                other => panic!("unexpected event {other:?}"),
            }
        }
        assert!(input.is_empty(), "receive returned None but has not used up the input");
        conn.advance(conn.outgoing_len() as usize);
    }
}

struct Proxy {
    /// It receives the stream in the role of the receiver.
    near: Connection,
    /// It sends to the receiver.
    far: Connection,
    closed: Option<Closed>,
    /// The number of bytes of its queue that are written at a time, less one.
    step: u8,
}

impl Proxy {
    /// Passes on a piece of the stream, and returns the bytes for the receiver in the pieces in which they are written.
    fn pass(&mut self, piece: &[u8], ends: bool) -> Vec<Vec<u8>> {
        let mut copy = piece.to_vec();
        let mut input = &mut copy[..];
        let mut written = Vec::new();
        while let Some(event) = self.near.receive(&mut input) {
            self.pass_event(event);
            self.write(&mut written);
        }
        if ends && self.closed.is_none() {
            self.near.receive_eof();
            let event = self.near.poll_event().expect("the end is reported");
            self.pass_event(event);
        }
        self.write(&mut written);
        self.near.advance(self.near.outgoing_len() as usize);
        written
    }

    fn pass_event(&mut self, event: Event<'_>) {
        let far = &mut self.far;
        match event {
            Event::FrameHeader(header) => {
                assert_eq!(far.unfinished_frame(), None, "a header within a frame");
                far.begin_frame(&header).expect("the near side has checked the frame");
                let left = (header.payload_len > 0).then_some(header.payload_len);
                assert_eq!(far.unfinished_frame(), left);
                // Nothing goes between the frames of a message.
                let is_within = left.is_some() || !header.fin;
                assert_eq!(far.check_send(0).is_err(), is_within);
                assert_eq!(far.unfinished_message().is_some(), is_within);
            }
            Event::FramePayload(payload) => {
                far.send_payload(payload.as_bytes()).expect("the near side has checked the text");
                assert_eq!(far.unfinished_frame().is_none(), payload.is_last());
            }
            Event::Ping(payload) => far.ping(&payload).expect("the connection is open"),
            Event::Pong(payload) => far.pong(&payload).expect("the connection is open"),
            Event::CloseReceived { code, reason } => {
                assert_eq!(far.unfinished_frame(), None, "a Close within a frame");
                close(far, code, &reason);
                close(&mut self.near, code, "");
            }
            Event::Closed(closed) => {
                match closed.is_clean() {
                    false => far.fail(CloseCode::GOING_AWAY, "").expect("it can be sent"),
                    true => assert_eq!(far.state(), State::Closing, "the Close was passed on"),
                }
                self.closed = Some(closed);
            }
            other => panic!("unexpected event {other:?}"),
        }
    }

    fn write(&mut self, written: &mut Vec<Vec<u8>>) {
        while self.far.wants_write() {
            let bytes = self.far.outgoing();
            let n = bytes.len().min(usize::from(self.step) + 1);
            written.push(bytes[..n].to_vec());
            self.far.advance(n);
        }
        if self.far.unfinished_frame().is_none() {
            assert_eq!(self.far.outgoing_len(), 0, "nothing waits between frames");
        }
    }
}

fn close(conn: &mut Connection, code: CloseCode, reason: &str) {
    match conn.close(code, reason) {
        Err(UsageError::CloseCodeNotSendable(_)) => conn.close_without_code(),
        result => result.expect("a received reason fits"),
    }
}

/// The input is a setup of `receive`, then the bytes on the wire.
pub fn reframe(data: &[u8]) {
    let mut source = ByteSource::new(data);
    let setup = Setup::read(&mut source);
    let role = setup.role;
    let wire = source.rest();
    let mut direct = Seen::default();
    direct.receive(&mut setup.open_as(role, Delivery::Messages), wire);
    for pieces in cuts(wire, setup.cut).into_iter().chain([vec![wire]]) {
        let mut proxy = Proxy {
            near: setup.open_by_hand(role),
            far: setup.open_by_hand(peer(role)),
            closed: None,
            step: setup.cut[0],
        };
        let (mut seen, mut receiver) = (Seen::default(), setup.open_as(role, Delivery::Messages));
        for (n, piece) in pieces.iter().enumerate() {
            for bytes in proxy.pass(piece, n + 1 == pieces.len()) {
                seen.receive(&mut receiver, &bytes);
            }
        }
        judge(role, &direct, &seen, proxy.closed.as_ref());
    }
}

fn judge(role: Role, direct: &Seen, seen: &Seen, near: Option<&Closed>) {
    assert_eq!(seen.messages, direct.messages, "the proxy changes the messages");
    assert_eq!(seen.pings, direct.pings, "the proxy changes pings or pongs");
    let Some(closed) = &direct.closed else {
        // The stream goes on, so the proxy has failed when it ended.
        return;
    };
    let near = near.expect("a stream that ends ends the proxy");
    match closed.cause() {
        CloseCause::Peer => {
            let told = |closed: &Closed| (closed.code(), closed.is_clean(), closed.cut());
            assert_eq!((told(near), near.cause()), (told(closed), closed.cause()));
            let seen = seen.closed.as_ref().expect("the Close is passed on");
            let is_lost = role == Role::Client && closed.code().get() == 1010;
            assert!(seen.is_clean());
            assert!(is_lost || (seen.code(), seen.reason()) == (closed.code(), closed.reason()));
        }
        cause @ CloseCause::Protocol(_) => {
            // The receiver has found the fault if only it inflates.
            let behind = seen.closed.as_ref().map(Closed::cause);
            assert!(
                near.cause() == cause || behind == Some(cause),
                "{near:?}, {seen:?}, {cause:?}"
            );
        }
        other => panic!("unexpected cause {other:?}"),
    }
}

fn peer(role: Role) -> Role {
    match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    }
}
