//! A server and a client, joined by two queues of bytes on a virtual clock, run random programs. Whatever either end
//! does and however the bytes are cut, messages arrive once and in order, and both ends report one clean end.

mod util;

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use util::*;
use websocket_proto::{
    Accept, CloseCause, Config, Connection, Delivery, Entropy, Event, MessageKind, PreparedMessage,
    Role, State, Timestamp, UsageError,
};

/// An action at one end.
#[derive(Debug, Clone)]
enum Act {
    Send {
        kind: MessageKind,
        way: u8,
        len: usize,
    },
    Fragment {
        kind: MessageKind,
        len: usize,
        last: bool,
    },
    Ping(u8),
    Close(Option<u16>),
    /// Writes at most this many bytes to the wire.
    Write(usize),
    /// Like `Write`, but with `take_outgoing`.
    Take(usize),
    /// Reads at most this many bytes from the wire, in pieces of the second number.
    Read(usize, usize),
    /// Advances the clock of both ends by this many milliseconds.
    Pass(u8),
    Release,
}

fn act() -> impl Strategy<Value = Act> {
    let len = || {
        prop_oneof![
            8 => 0..40usize,
            3 => prop::sample::select(vec![0, 125, 126, 127, 4095, 4096]),
            1 => prop::sample::select(vec![16_384, 65_535, 65_536, 70 * 1024]),
        ]
    };
    let kind = || prop::sample::select(vec![MessageKind::Text, MessageKind::Binary]);
    let amount = || prop::sample::select(vec![1, 2, 3, 7, 50, 1000, 5000, 100_000]);
    prop_oneof![
        6 => (kind(), 0..3u8, len()).prop_map(|(kind, way, len)| Act::Send { kind, way, len }),
        5 => (kind(), len(), any::<bool>()).prop_map(|(kind, len, last)| Act::Fragment { kind, len, last }),
        2 => (1..126u8).prop_map(Act::Ping),
        1 => prop::option::of(prop::sample::select(vec![1000, 1001, 3000, 4999])).prop_map(Act::Close),
        8 => amount().prop_map(Act::Write),
        2 => amount().prop_map(Act::Take),
        10 => (amount(), prop::sample::select(vec![1, 2, 5, 100, 100_000])).prop_map(|(n, piece)| Act::Read(n, piece)),
        2 => (0..60u8).prop_map(Act::Pass),
        1 => Just(Act::Release),
    ]
}

/// One end: its connection, what it has sent, and the events that it has received.
struct End {
    conn: Connection,
    log: Log,
    /// The whole messages that it has sent.
    sent: Vec<(MessageKind, Vec<u8>)>,
    pings: Vec<Vec<u8>>,
    /// The kind and the bytes so far of the fragmented message that is being sent.
    open: Option<(MessageKind, Vec<u8>)>,
    /// The code with which this end called `close`; 1005 for none.
    closed_with: Option<u16>,
    accepts_late: bool,
    /// The bytes that this end has written and the other has not read.
    wire: VecDeque<u8>,
    /// All bytes that this end has written.
    record: Vec<u8>,
    has_shut_down: bool,
    was_told_eof: bool,
}

impl End {
    fn new(role: Role, delivery: Delivery, accepts_late: bool) -> End {
        let config = Config::builder()
            .delivery(delivery)
            .entropy(Entropy::Seed(7))
            .keepalive_interval(Duration::from_millis(100))
            .idle_timeout(Duration::from_secs(60))
            .close_timeout(Duration::from_secs(60))
            .handshake_timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        End {
            conn: connecting(role, config),
            log: Log::default(),
            sent: Vec::new(),
            pings: Vec::new(),
            open: None,
            closed_with: None,
            accepts_late,
            wire: VecDeque::new(),
            record: Vec::new(),
            has_shut_down: false,
            was_told_eof: false,
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        assert!(!self.has_shut_down || bytes.is_empty(), "bytes are written after the shutdown");
        self.wire.extend(bytes);
        self.record.extend_from_slice(bytes);
    }

    fn write(&mut self, mut n: usize) {
        while n > 0 && self.conn.wants_write() {
            let piece = self.conn.outgoing();
            let piece = piece[..n.min(piece.len())].to_vec();
            n -= piece.len();
            self.put(&piece);
            self.conn.advance(piece.len());
        }
    }

    /// Writes at least `n` bytes in whole pieces of `take_outgoing`, and reports them with two calls of `advance`.
    fn take(&mut self, n: usize) {
        let (mut taken, mut segments) = (Vec::new(), Vec::new());
        while taken.len() < n {
            let Some(segment) = self.conn.take_outgoing() else { break };
            taken.extend_from_slice(&segment);
            segments.push(segment);
        }
        self.put(&taken);
        self.conn.advance(taken.len() / 2);
        self.conn.advance(taken.len() - taken.len() / 2);
        segments.into_iter().for_each(|segment| self.conn.recycle_segment(segment));
    }

    fn receive(&mut self, bytes: &[u8]) {
        let mut copy = bytes.to_vec();
        let mut input = &mut copy[..];
        let mut asked = false;
        while let Some(event) = self.conn.receive(&mut input) {
            let asks = matches!(event, Event::UpgradeRequest(_));
            self.log.push(event);
            if asks && self.accepts_late {
                asked = true;
            } else if asks {
                self.conn.accept(&Accept::new()).unwrap();
            }
        }
        assert!(input.is_empty());
        if asked {
            self.conn.accept(&Accept::new()).unwrap();
        }
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(event) = self.conn.poll_event() {
            self.log.push(event);
        }
    }

    fn send(&mut self, kind: MessageKind, way: u8, len: usize) {
        let payload = payload(kind, self.sent.len(), len);
        let text = || std::str::from_utf8(&payload).unwrap();
        let result = match (kind, way) {
            (MessageKind::Text, 0) => self.conn.send(text()),
            (MessageKind::Text, 1) => self.conn.send(text().to_string()),
            (MessageKind::Text, _) => self.conn.send_prepared(&PreparedMessage::new(text())),
            (MessageKind::Binary, 0) => self.conn.send(&payload),
            (MessageKind::Binary, 1) => self.conn.send(payload.clone()),
            (MessageKind::Binary, _) => self.conn.send_prepared(&PreparedMessage::new(&payload)),
        };
        match (self.conn.state(), &self.open) {
            (State::Open, None) => assert_eq!(result, Ok(())),
            (State::Open, Some(_)) => assert_eq!(result, Err(UsageError::MessageUnfinished)),
            (state, _) => assert_eq!(result, Err(UsageError::NotOpen(state))),
        }
        if result.is_ok() {
            self.sent.push((kind, payload));
        }
    }

    fn fragment(&mut self, kind: MessageKind, len: usize, last: bool) {
        // A text is cut within characters: the bytes left out of the last fragment begin the next.
        let kind = self.open.as_ref().map_or(kind, |(kind, _)| *kind);
        let mut part = match (&self.open, kind) {
            (Some((_, sent)), MessageKind::Text) => {
                vec![0xa9; usize::from(sent.last() == Some(&0xc3))]
            }
            _ => Vec::new(),
        };
        part.extend(payload(kind, self.sent.len(), len));
        if kind == MessageKind::Text && !last {
            part.push(0xc3);
        }
        let result = self.conn.send_fragment(kind, &part, last);
        if self.conn.state() != State::Open {
            assert_eq!(result, Err(UsageError::NotOpen(self.conn.state())));
            return;
        }
        assert_eq!(result, Ok(()));
        let (_, mut whole) = self.open.take().unwrap_or((kind, Vec::new()));
        whole.extend(part);
        match last {
            true => self.sent.push((kind, whole)),
            false => self.open = Some((kind, whole)),
        }
    }

    fn close(&mut self, code: Option<u16>) {
        // Before the connection is open, a close would end the handshake.
        if self.conn.state() != State::Open {
            return;
        }
        match code {
            Some(code) => self.conn.close(code, "over").unwrap(),
            None => self.conn.close_without_code(),
        }
        self.closed_with = Some(code.unwrap_or(1005));
    }
}

/// Text with characters of one to three bytes, or binary. Each `n` gives another payload.
fn payload(kind: MessageKind, n: usize, len: usize) -> Vec<u8> {
    match kind {
        MessageKind::Text => {
            format!("{n}é€").chars().cycle().take(len).collect::<String>().into_bytes()
        }
        MessageKind::Binary => (0..len).map(|i| (i * 7 + n) as u8).collect(),
    }
}

/// The simulation: `ends[0]` is the server.
struct Pair {
    ends: [End; 2],
    now: u64,
}

impl Pair {
    fn new(chunks: [bool; 2], accepts_late: bool) -> Pair {
        let delivery = |chunks| if chunks { Delivery::Chunks } else { Delivery::Messages };
        let server = End::new(Role::Server, delivery(chunks[0]), accepts_late);
        let client = End::new(Role::Client, delivery(chunks[1]), accepts_late);
        let mut pair = Pair { ends: [server, client], now: 0 };
        pair.pass(0);
        pair
    }

    fn pass(&mut self, ms: u64) {
        self.now += ms;
        for end in &mut self.ends {
            let next = end.conn.tick(Timestamp::from_millis(self.now));
            assert!(next.is_none_or(|next| next > Timestamp::from_millis(self.now)));
            end.poll();
        }
    }

    fn read(&mut self, at: usize, n: usize, piece: usize) {
        let n = n.min(self.ends[1 - at].wire.len());
        if !self.ends[at].conn.wants_read() {
            return;
        }
        let bytes: Vec<u8> = self.ends[1 - at].wire.drain(..n).collect();
        for piece in bytes.chunks(piece) {
            self.ends[at].receive(piece);
        }
        self.shut_down();
    }

    /// Shuts down the write side where the connection wants it. The other end gets the EOF after it has read all bytes.
    fn shut_down(&mut self) {
        for at in [0, 1] {
            let end = &mut self.ends[at];
            if end.conn.wants_shutdown() || end.conn.is_finished() {
                assert!(!end.conn.wants_write());
                end.has_shut_down = true;
            }
            let is_drained = end.has_shut_down && end.wire.is_empty();
            let other = &mut self.ends[1 - at];
            if is_drained && !other.was_told_eof && other.conn.wants_read() {
                other.was_told_eof = true;
                other.conn.receive_eof();
                other.poll();
            }
        }
    }

    fn run(&mut self, acts: &[(bool, Act)]) {
        for (is_client, act) in acts {
            let at = usize::from(*is_client);
            let end = &mut self.ends[at];
            match act {
                Act::Send { kind, way, len } => end.send(*kind, *way, *len),
                Act::Fragment { kind, len, last } => end.fragment(*kind, *len, *last),
                // RFC 6455 5.5.2: a ping is allowed while closing, but the peer need not answer it.
                Act::Ping(_) if end.conn.state() == State::Closing => {}
                Act::Ping(len) => {
                    let payload = vec![end.pings.len() as u8; usize::from(*len)];
                    let result = end.conn.ping(&payload);
                    assert_eq!(result.is_ok(), end.conn.state() == State::Open);
                    if result.is_ok() {
                        end.pings.push(payload);
                    }
                }
                Act::Close(code) => end.close(*code),
                Act::Write(n) => end.write(*n),
                Act::Take(n) => end.take(*n),
                Act::Read(n, piece) => self.read(at, *n, *piece),
                Act::Pass(ms) => self.pass(u64::from(*ms)),
                Act::Release => end.conn.release_memory(),
            }
            self.shut_down();
        }
    }

    /// Writes and reads at both ends until no byte moves.
    fn settle(&mut self) {
        loop {
            let before = self
                .ends
                .each_ref()
                .map(|end| (end.record.len(), end.wire.len(), end.was_told_eof));
            for at in [0, 1] {
                self.ends[at].write(usize::MAX);
                self.shut_down();
                self.read(1 - at, usize::MAX, 10_000);
            }
            if self.ends.each_ref().map(|end| (end.record.len(), end.wire.len(), end.was_told_eof))
                == before
            {
                return;
            }
        }
    }

    /// Runs the program to its end. `closer` closes if no end has closed.
    fn run_to_the_end(&mut self, acts: &[(bool, Act)], closer: usize) {
        self.run(acts);
        self.settle();
        if self.ends.iter().all(|end| end.closed_with.is_none()) {
            assert!(self.ends.iter().all(|end| end.conn.state() == State::Open));
            for end in &mut self.ends {
                if end.open.is_some() {
                    end.fragment(MessageKind::Text, 3, true);
                }
                assert_eq!(
                    end.log.seen.iter().filter(|seen| matches!(seen, Seen::Closed { .. })).count(),
                    0
                );
            }
            self.settle();
            self.ends[closer].close(Some(1000));
            self.settle();
        }
    }

    fn check(&self) {
        for at in [0, 1] {
            let (end, other) = (&self.ends[at], &self.ends[1 - at]);
            let role = end.conn.role();
            // Every message of the other end has arrived, once and in order.
            let messages = end.log.seen.iter().filter_map(|seen| match seen {
                Seen::Text(text) => Some((MessageKind::Text, text.as_bytes())),
                Seen::Binary(bytes) => Some((MessageKind::Binary, &bytes[..])),
                Seen::Chunked(kind, bytes) => Some((*kind, &bytes[..])),
                _ => None,
            });
            let messages: Vec<_> = messages.collect();
            let sent: Vec<_> = other.sent.iter().map(|(kind, bytes)| (*kind, &bytes[..])).collect();
            assert_eq!(messages.len(), sent.len(), "{role:?}: the number of received messages");
            assert!(messages == sent, "{role:?} has received other messages than were sent");
            // Its pings have arrived too. The empty ones are keepalive pings.
            let pings = end.log.seen.iter().filter_map(|seen| match seen {
                Seen::Ping(payload) if !payload.is_empty() => Some(payload),
                _ => None,
            });
            assert!(pings.eq(&other.pings), "{role:?} has received other pings than were sent");
            // Pongs answer pings in order.
            let mut pings = end.pings.iter();
            for seen in &end.log.seen {
                if let Seen::Pong(payload) = seen {
                    assert!(
                        payload.is_empty() || pings.any(|ping| ping == payload),
                        "{role:?}: a pong without a ping"
                    );
                }
            }
            // Each end reports one clean end with the right code.
            let ends: Vec<_> =
                end.log.seen.iter().filter(|seen| matches!(seen, Seen::Closed { .. })).collect();
            let [Seen::Closed { code, reason, clean: true, cause }] = ends[..] else {
                panic!("{role:?}: {ends:?}")
            };
            match (end.closed_with, other.closed_with) {
                (Some(_), Some(theirs)) => {
                    assert_eq!((cause, code.get()), (&CloseCause::Local, theirs));
                    assert_eq!(reason, if theirs == 1005 { "" } else { "over" });
                }
                (Some(ours), None) => {
                    assert_eq!(
                        (cause, code.get(), &reason[..]),
                        (&CloseCause::Local, ours, ""),
                        "the peer echoes our code"
                    );
                }
                (None, Some(theirs)) => {
                    assert_eq!((cause, code.get()), (&CloseCause::Peer, theirs));
                    assert_eq!(reason, if theirs == 1005 { "" } else { "over" });
                }
                (None, None) => panic!("no end has closed"),
            }
            assert!(end.conn.is_finished() && end.conn.state() == State::Closed, "{:?}", end.conn);
            assert_eq!((end.conn.buffered_amount(), end.conn.outgoing_len()), (0, 0), "{role:?}");
            assert!(
                end.wire.is_empty() || role == Role::Client,
                "the client has not read everything"
            );
            // The written bytes, parsed by the test: one Close, then only pongs; only the client masks.
            let head = end.record.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
            let frames = read_frames(&end.record[head..]);
            let close = frames.iter().position(|frame| frame.first == 0x88).unwrap();
            assert!(frames[close + 1..].iter().all(|frame| frame.first == 0x8a), "{role:?}");
            assert!(frames.iter().all(|frame| frame.key.is_some() == (role == Role::Client)));
        }
        // The server ends the transport first.
        assert!(self.ends[0].has_shut_down && self.ends[1].was_told_eof);
    }
}

/// `cases` programs for each property. The seed is fixed, so every run is the same.
fn programs(cases: u32) -> ProptestConfig {
    let failure_persistence = None;
    ProptestConfig {
        cases,
        failure_persistence,
        rng_seed: RngSeed::Fixed(0x5eed),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(programs(150))]

    #[test]
    fn messages_sent_before_the_close_arrive_and_both_ends_are_clean(
        acts in prop::collection::vec((any::<bool>(), act()), 0..150),
        chunks in any::<[bool; 2]>(), accepts_late in any::<bool>(), closer in 0..2usize,
    ) {
        // rfc6455-5.4-08, rfc6455-5.4-12, rfc6455-5.5.1-08, rfc6455-5.5.1-13, rfc6455-5.5.1-14, rfc6455-5.5.1-17,
        // rfc6455-6.1-10, rfc6455-7.1.1-03, rfc6455-7.1.4-01, rfc6455-7.1.5-01, rfc6455-7.1.7-08, rfc6455-7.3-03,
        // whatwg-close-09, whatwg-feedback-message-02, whatwg-feedback-close-01, whatwg-bufferedAmount-01
        let mut pair = Pair::new(chunks, accepts_late);
        pair.run_to_the_end(&acts, closer);
        pair.check();
    }
}

proptest! {
    #![proptest_config(programs(25))]

    #[test]
    fn same_program_makes_the_same_bytes(
        acts in prop::collection::vec((any::<bool>(), act()), 0..150), accepts_late in any::<bool>(),
    ) {
        let run = || {
            let mut pair = Pair::new([false, true], accepts_late);
            pair.run_to_the_end(&acts, 0);
            pair.ends.map(|end| (end.record, end.log))
        };
        prop_assert!(run() == run());
    }

    #[test]
    fn lost_transport_ends_both_once_and_not_clean(
        acts in prop::collection::vec((any::<bool>(), act()), 0..100),
        chunks in any::<[bool; 2]>(), accepts_late in any::<bool>(),
    ) {
        // rfc6455-7.1.4-01, rfc6455-7.1.5-03, rfc6455-7.2.1-02: the messages that arrive are the first sent ones
        let acts: Vec<_> = acts.into_iter().filter(|(_, act)| !matches!(act, Act::Close(_))).collect();
        let mut pair = Pair::new(chunks, accepts_late);
        pair.run(&acts);
        for end in &mut pair.ends {
            end.conn.receive_eof();
            end.poll();
            prop_assert!(end.conn.is_finished());
            prop_assert_eq!(end.conn.outgoing_len(), 0);
            let last = end.log.seen.last();
            prop_assert_eq!(last, Some(&Seen::lost(CloseCause::TransportEnded)));
        }
        for at in [0, 1] {
            let received = pair.ends[at].log.seen.iter().filter_map(|seen| match seen {
                Seen::Text(text) => Some(text.as_bytes()),
                Seen::Binary(bytes) | Seen::Chunked(_, bytes) => Some(&bytes[..]),
                _ => None,
            });
            let sent = &pair.ends[1 - at].sent;
            prop_assert!(received.clone().count() <= sent.len());
            prop_assert!(received.zip(sent).all(|(received, (_, sent))| received == sent));
        }
    }
}

#[test]
fn pair_that_does_not_close_stays_open() {
    // rfc6455-7.1.7-08, rfc6455-7.2.1-03: 75 seconds, with a keepalive ping in every silence
    let mut pair = Pair::new([false, false], false);
    pair.settle();
    for round in 0..500 {
        pair.pass(150);
        if round % 3 == 0 {
            pair.ends[round % 2].send(MessageKind::Text, 0, round % 200);
        }
        pair.settle();
        assert!(pair.ends.iter().all(|end| end.conn.state() == State::Open));
    }
    let count = |is_counted: fn(&Seen) -> bool| {
        pair.ends.iter().flat_map(|end| &end.log.seen).filter(|seen| is_counted(seen)).count()
    };
    let pings = count(|seen| matches!(seen, Seen::Ping(_)));
    assert!(pings > 200, "{pings} pings");
    assert_eq!(count(|seen| matches!(seen, Seen::Pong(_))), pings);
    assert_eq!(count(|seen| matches!(seen, Seen::Text(_))), 167);
    pair.run_to_the_end(&[], 1);
    pair.check();
}
