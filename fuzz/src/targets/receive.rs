//! An open connection that receives any bytes. The cut does not change the events, the output or the state, and the
//! output is the right answer to the events.

use super::observer::{Frame, Observer, Outcome, Seen, read_frames};
use super::source::{ByteSource, Flags, config, cuts};
use websocket_proto::{
    CloseCause, CloseCode, Config, ConfigBuilder, Connection, Delivery, ReadBuffer, Role, State,
};

/// The first 8 bytes of the input.
pub struct Setup {
    pub role: Role,
    pub config: Config,
    /// The parameters of permessage-deflate, if it is used.
    pub deflate: Option<u8>,
    /// Whether a message is queued before anything is received.
    sends_first: bool,
    /// Whether a Close is queued before anything is received.
    closes_first: bool,
    /// Whether the transport ends after the bytes.
    ends: bool,
    drains: bool,
    pub cut: [u8; 3],
}

const BYTES: &[u64] = &[64 * 1024, 2, 1, 124, 125, 126, 127, 1000, 4096, 65_535];

impl Setup {
    pub fn read(source: &mut ByteSource<'_>) -> Setup {
        let mut flags = Flags::new(source.byte());
        let role = if flags.next() { Role::Client } else { Role::Server };
        let delivery = if flags.next() { Delivery::Chunks } else { Delivery::Messages };
        let deflate = flags.next();
        let (sends_first, closes_first) = (flags.next(), flags.next());
        let (ends, drains) = (flags.next(), flags.next());
        let config = config()
            .delivery(delivery)
            .max_queued_pongs(if flags.next() { source.byte().max(1) } else { 16 })
            .max_frame_bytes(source.pick(BYTES))
            .max_message_bytes(source.pick(BYTES))
            .max_fragments(source.pick(&[u32::MAX, 4, 1, 2, 3, 100]))
            .build()
            .expect("each value is allowed");
        let params = source.byte();
        let cut = [source.byte(), source.byte(), source.byte()];
        let deflate = deflate.then_some(params);
        // With permessage-deflate the frame of this message would be compressed.
        let sends_first = sends_first && deflate.is_none();
        Setup { role, config, deflate, sends_first, closes_first, ends, drains, cut }
    }

    /// The same setup, but the connection sends nothing by itself.
    pub fn passive(self) -> Setup {
        Setup { sends_first: false, closes_first: false, ends: false, drains: true, ..self }
    }

    pub fn run(&self, pieces: &[&[u8]]) -> Outcome {
        self.run_with(|observer| pieces.iter().for_each(|piece| observer.feed(piece)))
    }

    /// Like `run`, but with a `ReadBuffer` of `capacity` bytes. If `asks`, `is_event_ready` is called first.
    fn run_from(&self, pieces: &[&[u8]], capacity: usize, asks: bool) -> Outcome {
        let mut buffer = ReadBuffer::with_capacity(capacity);
        self.run_with(|observer| {
            pieces.iter().for_each(|piece| observer.feed_from(&mut buffer, piece, asks));
        })
    }

    fn run_with(&self, feed: impl FnOnce(&mut Observer)) -> Outcome {
        let mut conn = self.open();
        if self.sends_first {
            conn.send("first").expect("the connection is open");
        }
        if self.closes_first {
            conn.close(1000, "").expect("1000 can be sent");
        }
        let mut observer = Observer::new(conn, self.drains);
        observer.check();
        feed(&mut observer);
        if self.ends {
            observer.conn.receive_eof();
            observer.poll();
        }
        observer.finish()
    }

    fn open(&self) -> Connection {
        self.open_as(self.role, self.config.delivery())
    }

    /// An open connection with this role and delivery.
    pub fn open_as(&self, role: Role, delivery: Delivery) -> Connection {
        self.open_with(role, self.config.to_builder().delivery(delivery))
    }

    /// An open connection with this role, for frames. It answers neither pings nor a Close.
    pub fn open_by_hand(&self, role: Role) -> Connection {
        let config = self.config.to_builder().delivery(Delivery::Frames);
        self.open_with(role, config.answer_pings(false).answer_close(false))
    }

    fn open_with(&self, role: Role, config: ConfigBuilder) -> Connection {
        let config = config.build().expect("each value is allowed");
        #[cfg(feature = "deflate")]
        if let Some(byte) = self.deflate {
            let upgrade = websocket_proto::Upgrade::new(role).deflate(deflate_params(byte));
            return Connection::from_upgrade(upgrade, config).expect("a seed cannot fail");
        }
        Connection::from_upgrade(role, config).expect("a seed cannot fail")
    }

    /// The frames that must have been written for these events.
    fn output(&self, seen: &[Seen]) -> Vec<Frame> {
        let frame = |first, payload: &[u8]| Frame { first, payload: payload.to_vec() };
        let mut before = Vec::new();
        if self.sends_first {
            before.push(frame(0x81, b"first"));
        }
        if self.closes_first {
            before.push(frame(0x88, &1000u16.to_be_bytes()));
        }
        // RFC 6455 5.5.2, 5.5.3: a pong for each ping. If pongs are not written, the latest replaces the last one at
        // the limit.
        let mut pongs = Vec::new();
        for seen in seen {
            if let Seen::Ping(payload) = seen {
                let limit = usize::from(self.config.max_queued_pongs());
                if !self.drains && pongs.len() == limit {
                    pongs.pop();
                }
                pongs.push(frame(0x8a, payload));
            }
        }
        let close = match seen.last() {
            Some(Seen::Closed(closed)) => match closed.cause() {
                CloseCause::Peer if closed.code() == CloseCode::NO_STATUS => Some(frame(0x88, b"")),
                CloseCause::Peer => Some(frame(0x88, &closed.code().get().to_be_bytes())),
                CloseCause::Protocol(_) if self.closes_first => None,
                CloseCause::Protocol(error) => {
                    let code = error.close_code().expect("the connection was open");
                    assert!(code.is_sendable_by(self.role));
                    Some(frame(0x88, &code.get().to_be_bytes()))
                }
                CloseCause::Local => {
                    assert!(self.closes_first);
                    None
                }
                CloseCause::TransportEnded => {
                    assert!(self.ends);
                    // The end of the transport drops unwritten frames.
                    if !self.drains {
                        return Vec::new();
                    }
                    None
                }
                other => panic!("unexpected cause {other:?}"),
            },
            _ => None,
        };
        match self.drains {
            true => before.into_iter().chain(pongs).chain(close).collect(),
            false => pongs.into_iter().chain(before).chain(close).collect(),
        }
    }
}

/// The parameters of permessage-deflate that a byte selects.
#[cfg(feature = "deflate")]
pub fn deflate_params(byte: u8) -> websocket_proto::DeflateParams {
    let mut flags = Flags::new(byte);
    websocket_proto::DeflateParams {
        server_no_context_takeover: flags.next(),
        client_no_context_takeover: flags.next(),
        server_max_window_bits: 15 - (byte >> 2 & 7),
        client_max_window_bits: 15 - (byte >> 5 & 7),
    }
}

/// The input is a setup, then the bytes on the wire.
pub fn receive(data: &[u8]) {
    let mut source = ByteSource::new(data);
    let setup = Setup::read(&mut source);
    let wire = source.rest();
    let whole = setup.run(&[wire]);
    let begun = if setup.closes_first { State::Closing } else { State::Open };
    assert_eq!(whole.state, if whole.closed().is_some() { State::Closed } else { begun });
    assert!(!setup.ends || whole.closed().is_some());
    assert_eq!(read_frames(setup.role, &whole.output), setup.output(&whole.seen));
    for pieces in cuts(wire, setup.cut) {
        assert_eq!(setup.run(&pieces), whole, "the cut changes the outcome");
        for capacity in [usize::from(setup.cut[0]), 64, 8192] {
            for asks in [false, true] {
                assert_eq!(
                    setup.run_from(&pieces, capacity, asks),
                    whole,
                    "a buffer of {capacity} bytes changes the outcome, is_event_ready called: {asks}"
                );
            }
        }
    }
    if setup.config.delivery() == Delivery::Messages {
        let parts = whole.seen.iter().any(|seen| matches!(seen, Seen::Unfinished(..)));
        assert!(whole.partial.is_none() && !parts, "chunks are delivered with Delivery::Messages");
    }
    other_delivery(setup, wire, &whole);
}

/// Checks that the other delivery gives the same events, except for chunks of an unfinished message.
fn other_delivery(mut setup: Setup, wire: &[u8], outcome: &Outcome) {
    let other = match setup.config.delivery() {
        Delivery::Messages => Delivery::Chunks,
        _ => Delivery::Messages,
    };
    let config = setup.config.to_builder().delivery(other).build();
    setup.config = config.expect("each value is allowed");
    let other = setup.run(&[wire]);
    let whole = |outcome: &Outcome| {
        let unfinished = |seen: &&Seen| !matches!(seen, Seen::Unfinished(..));
        outcome.seen.iter().filter(unfinished).cloned().collect::<Vec<_>>()
    };
    assert_eq!(whole(&other), whole(outcome), "the delivery changes the events");
    assert_eq!((&other.output, other.state), (&outcome.output, outcome.state));
}
