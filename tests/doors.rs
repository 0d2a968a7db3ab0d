//! What the caller takes into its own hands at the same time: the answers to pings and Close frames, frames in pieces,
//! fragments without compression, a limit for frames. Each of them alone has a file of its own: `by_hand.rs`,
//! `frame_delivery.rs`, `cutting.rs`.

mod util;

use std::time::Duration;

use util::*;
use websocket_proto::{
    Accept, CloseCause, CloseCode, Closed, Config, ConfigBuilder, Connection, Delivery, Event,
    FrameHeader, MessageKind, Opcode, ReadBuffer, Role, State, Timestamp, UsageError,
};

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn by_hand() -> ConfigBuilder {
    builder()
        .answer_pings(false)
        .answer_close(false)
        .close_timeout(Duration::from_millis(300))
        .delivery(Delivery::Frames)
}

fn header(first: u8, len: usize) -> FrameHeader {
    FrameHeader {
        fin: first & 0x80 != 0,
        rsv: first >> 4 & 7,
        opcode: Opcode::from_first_byte(first).unwrap(),
        mask: None,
        payload_len: len as u64,
    }
}

/// The events that the bytes of the peer cause.
fn give(conn: &mut Connection, bytes: &[u8]) -> Vec<Event<'static>> {
    let mut copy = bytes.to_vec();
    let mut input = &mut copy[..];
    let events = std::iter::from_fn(|| conn.receive(&mut input).map(Event::into_owned)).collect();
    assert!(input.is_empty());
    events
}

fn end(conn: &mut Connection) -> Closed {
    let Some(Event::Closed(closed)) = conn.poll_event() else { panic!("the end is reported") };
    assert!(conn.poll_event().is_none());
    closed
}

/// Writes all that can be written.
fn write_all(conn: &mut Connection, output: &mut Vec<u8>) {
    while conn.wants_write() {
        let n = conn.outgoing().len().min(3);
        output.extend_from_slice(&conn.outgoing()[..n]);
        conn.advance(n);
    }
}

const BODY: &[u8] = b"\x0f\xa1bye";

/// A connection that has sent the front of a frame, and then has reported the peer's Close with code 4001. `first` is
/// the first byte of the frame; of its payload `data`, 2 bytes are sent.
fn answering_in_a_frame(role: Role, config: Config, first: u8) -> (Connection, Vec<u8>) {
    let (mut conn, mut output) = (open_with(role, config), Vec::new());
    conn.begin_frame(&header(first, 4)).unwrap();
    conn.send_payload(b"da").unwrap();
    write_all(&mut conn, &mut output);
    conn.pong(b"waits").unwrap();
    let events = give(&mut conn, &to(role, 0x88, BODY));
    assert!(matches!(events[..], [Event::CloseReceived { .. }]), "{events:?}");
    assert_eq!((conn.state(), conn.unfinished_frame()), (State::Open, Some(2)));
    (conn, output)
}

type Answer = fn(&mut Connection);

const ANSWERS: [(Answer, &[u8]); 3] = [
    (|conn| conn.close(1000, "done").unwrap(), b"\x03\xe8done"),
    (Connection::close_without_code, b""),
    // The close timeout answers.
    (
        |conn| {
            conn.tick(at(0));
            conn.tick(at(300));
            conn.tick(at(301));
        },
        b"\x0f\xa1",
    ),
];

#[test]
fn an_answer_within_a_frame_waits_for_its_end_and_the_event_does_not() {
    // rfc6455-5.5.1-08, rfc6455-5.5.1-09, rfc6455-5.5.1-12
    for role in ROLES {
        for (answer, body) in ANSWERS {
            for (first, ends) in [(0x82, false), (0x02, false), (0x82, true)] {
                let config = by_hand().build().unwrap();
                let (mut conn, mut output) = answering_in_a_frame(role, config, first);
                answer(&mut conn);
                let closed = end(&mut conn);
                assert_eq!((closed.code().get(), closed.cause()), (4001, &CloseCause::Peer));
                assert!(closed.is_clean() && closed.sent_code().is_some());
                if ends {
                    conn.receive_eof();
                }
                // What waits counts as outgoing, so the transport is still needed.
                assert_eq!((conn.state(), conn.wants_write()), (State::Closed, false));
                assert!(!conn.is_finished() && !conn.wants_shutdown() && conn.outgoing_len() > 0);
                let error = Err(UsageError::NotOpen(State::Closed));
                assert_eq!((conn.send("late"), conn.pong(b"late")), (error, error));
                conn.send_payload(b"t").unwrap();
                write_all(&mut conn, &mut output);
                assert_eq!(conn.unfinished_frame(), Some(1));
                conn.send_payload(b"a").unwrap();
                assert_eq!((conn.unfinished_frame(), conn.unfinished_message()), (None, None));
                write_all(&mut conn, &mut output);
                let frames =
                    [(first, b"data".to_vec()), (0x8a, b"waits".to_vec()), (0x88, body.to_vec())];
                assert_eq!(plain_frames(&output), frames, "{role:?}");
                assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (0, 0));
                assert_eq!(conn.is_finished(), ends || role == Role::Server);
                assert_eq!(conn.wants_shutdown(), conn.is_finished());
            }
        }
    }
}

#[test]
fn an_answer_that_waits_for_a_frame_ends_with_the_transport_or_the_close_timeout() {
    let ways: [fn(&mut Connection); 3] = [Connection::abort, Connection::write_closed, |conn| {
        // The first `tick` begins the wait.
        for ms in [0, 299, 300] {
            conn.tick(at(ms));
            assert!(!conn.is_finished());
        }
        conn.tick(at(301));
    }];
    for role in ROLES {
        for (answer, _) in &ANSWERS[..2] {
            for (n, way) in ways.iter().enumerate() {
                let config = by_hand().build().unwrap();
                let (mut conn, _) = answering_in_a_frame(role, config, 0x82);
                answer(&mut conn);
                way(&mut conn);
                assert_eq!(end(&mut conn).code().get(), 4001, "it is reported once");
                assert_eq!((conn.outgoing_len(), conn.unfinished_frame()), (0, None));
                let error = Err(UsageError::NotOpen(State::Closed));
                assert_eq!(conn.send_payload(b"ta"), error);
                if (n, role) == (1, Role::Client) {
                    conn.receive_eof();
                }
                assert!(conn.is_finished(), "{role:?} {n}");
                assert_eq!(conn.wants_reset(), n != 1);
            }
        }
    }
}

#[test]
fn a_failure_within_a_frame_leaves_the_close_of_the_peer_without_an_answer() {
    // The source of the frame has failed: its rest will not come, and a Close cannot stand within the frame.
    for role in ROLES {
        let config = by_hand().build().unwrap();
        let (mut conn, mut output) = answering_in_a_frame(role, config, 0x82);
        let before = output.len();
        conn.fail(1011, "the file is gone").unwrap();
        let closed = end(&mut conn);
        assert_eq!((closed.code().get(), closed.sent_code()), (4001, None));
        assert_eq!((conn.unfinished_frame(), conn.unfinished_message()), (None, None));
        assert_eq!(conn.send_payload(b"ta"), Err(UsageError::NotOpen(State::Closed)));
        write_all(&mut conn, &mut output);
        assert_eq!((output.len(), conn.outgoing_len()), (before, 0));
        assert_eq!(conn.is_finished(), role == Role::Server, "{role:?}: nothing waits");
        conn.receive_eof();
        assert!(conn.is_finished() && conn.wants_shutdown());
    }
}

/// A connection that has failed within a frame, with a whole message in front of it. Nothing is written.
fn failed_in_a_frame(role: Role) -> Connection {
    let mut conn = open_with(role, by_hand().build().unwrap());
    conn.send(vec![0; 1000]).unwrap();
    conn.begin_frame(&header(0x82, 10)).unwrap();
    conn.send_payload(b"12345").unwrap();
    conn.fail(1008, "").unwrap();
    assert_eq!(end(&mut conn).sent_code(), None);
    conn
}

#[test]
fn what_stands_before_a_cut_frame_is_written_as_long_as_the_peer_takes_it() {
    for role in ROLES {
        let mut conn = failed_in_a_frame(role);
        let mut output = Vec::new();
        for n in 0.. {
            conn.tick(at(250 * n));
            let len = conn.outgoing().len().min(100);
            output.extend_from_slice(&conn.outgoing()[..len]);
            conn.advance(len);
            if len == 0 {
                break;
            }
        }
        let (message, cut) =
            output.split_at(output.len() - 5 - 2 - 4 * usize::from(role == Role::Client));
        assert_eq!(plain_frames(message), [(0x82, vec![0; 1000])], "{role:?}");
        assert_eq!(cut[0], 0x82);
        assert_eq!(conn.outgoing_len(), 0);

        let mut conn = failed_in_a_frame(role);
        conn.write_closed();
        assert!(conn.is_finished(), "{role:?}: the rest cannot be written");
    }
}

#[test]
fn a_cut_frame_that_is_not_written_in_time_is_no_orderly_end() {
    for role in ROLES {
        let mut conn = open_with(role, by_hand().build().unwrap());
        give(&mut conn, &to(role, 0x88, BODY));
        conn.begin_frame(&header(0x82, 4)).unwrap();
        conn.send_payload(b"da").unwrap();
        conn.fail(1008, "").unwrap();
        for ms in [0, 300, 301] {
            assert!(!conn.is_finished());
            conn.tick(at(ms));
        }
        assert!(conn.is_finished() && conn.wants_reset(), "{role:?}");
    }
}

#[test]
fn close_of_the_peer_ends_each_way_to_receive_frames() {
    // rfc6455-5.5.1-18
    for role in ROLES {
        let bytes = [
            to(role, 0x01, b"ab"),
            to(role, 0x89, b"ping"),
            to(role, 0x80, b"c"),
            to(role, 0x88, BODY),
            to(role, 0x81, b"late"),
            to(role, 0xf3, b"late"),
        ]
        .concat();
        let check = |events: &[String], conn: &mut Connection| {
            let all = events.join(" ");
            assert_eq!(all, "header ab ping header c close", "{role:?}");
            assert_eq!((conn.state(), conn.outgoing_len()), (State::Open, 0));
            conn.close(1000, "").unwrap();
            assert_eq!(end(conn).code().get(), 4001);
        };
        let note = |events: &mut Vec<String>, event: Event<'_>| match event {
            Event::FrameHeader(_) => events.push("header".into()),
            Event::FramePayload(payload) => {
                let text = std::str::from_utf8(payload.as_bytes()).unwrap().to_owned();
                match events.last_mut() {
                    Some(last) if last != "header" => last.push_str(&text),
                    _ => events.push(text),
                }
            }
            Event::Ping(payload) => events.push(String::from_utf8(payload.into_owned()).unwrap()),
            Event::CloseReceived { code, reason } => {
                assert_eq!((code.get(), &*reason), (4001, "bye"));
                events.push("close".into());
            }
            other => panic!("unexpected event {other:?}"),
        };
        for pieces in cuts(&bytes) {
            let mut conn = open_with(role, by_hand().build().unwrap());
            let mut events = Vec::new();
            for piece in &pieces {
                let mut copy = piece.to_vec();
                let mut input = &mut copy[..];
                while let Some(event) = conn.receive(&mut input) {
                    note(&mut events, event);
                }
            }
            check(&events, &mut conn);
            for (capacity, asks) in [(14, true), (20, false), (1000, true)] {
                let mut conn = open_with(role, by_hand().build().unwrap());
                let mut buffer = ReadBuffer::with_capacity(capacity);
                let mut events = Vec::new();
                for mut piece in pieces.iter().copied() {
                    while !piece.is_empty() {
                        let n = buffer.fill_from(piece);
                        piece = &piece[n..];
                        loop {
                            let is_ready = asks.then(|| conn.is_event_ready(&mut buffer));
                            let event = conn.receive_from(&mut buffer);
                            assert!(is_ready.is_none_or(|is_ready| is_ready == event.is_some()));
                            let Some(event) = event else { break };
                            note(&mut events, event);
                        }
                    }
                }
                check(&events, &mut conn);
            }
        }
        // Frames that arrive behind the request are delivered in the same way.
        if role == Role::Server {
            for asks in [false, true] {
                let mut conn = connecting(role, by_hand().build().unwrap());
                let events = give(&mut conn, &[REQUEST, &bytes].concat());
                assert!(matches!(events[..], [Event::UpgradeRequest(_)]));
                conn.accept(&Accept::new()).unwrap();
                let (mut buffer, mut events) = (ReadBuffer::with_capacity(100), Vec::new());
                loop {
                    let is_ready = asks.then(|| conn.is_event_ready(&mut buffer));
                    let event = conn.receive_from(&mut buffer);
                    assert!(is_ready.is_none_or(|is_ready| is_ready == event.is_some()));
                    let Some(event) = event else { break };
                    note(&mut events, event);
                }
                drain(&mut conn);
                check(&events, &mut conn);
            }
        }
    }
}

#[test]
fn what_waits_for_the_end_of_a_frame_never_keeps_the_frame_from_its_end() {
    // A peer that pings, or a caller that answers pings, cannot block the frame that the pongs wait for.
    for role in ROLES {
        for answers in [true, false] {
            for closes in [true, false] {
                let config = builder().max_outgoing_bytes(200).answer_pings(answers);
                let mut conn = open_with(role, config.build().unwrap());
                let mut output = Vec::new();
                conn.begin_frame(&header(0x82, 1000)).unwrap();
                write_all(&mut conn, &mut output);
                for _ in 0..20 {
                    give(&mut conn, &to(role, 0x89, &[7; 125]));
                    if !answers {
                        let full = conn.pong(&[7; 125]);
                        let is_full = matches!(full, Err(UsageError::BufferFull { .. }));
                        assert!(is_full || full.is_ok(), "{full:?}");
                    }
                }
                let waiting = conn.outgoing_len();
                assert!(waiting <= 200 || answers, "{waiting}");
                for sent in 0..1000 {
                    // Only payload can let the pongs go out, so the caller is told to send it.
                    assert!(conn.is_writable() && !conn.wants_write(), "{role:?} {sent}");
                    if closes && sent == 500 {
                        conn.close(1000, "").unwrap();
                    }
                    if closes && sent >= 500 {
                        conn.send_payload(&[1; 200]).unwrap();
                        conn.send_payload(&[1]).unwrap_err();
                        write_all(&mut conn, &mut output);
                        conn.send_payload(&[1; 200]).unwrap();
                        write_all(&mut conn, &mut output);
                        conn.send_payload(&[1; 100]).unwrap();
                        break;
                    }
                    conn.send_payload(&[1]).unwrap();
                    write_all(&mut conn, &mut output);
                }
                write_all(&mut conn, &mut output);
                assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (0, 0));
                let frames = plain_frames(&output);
                let pongs = if answers { 16 } else { 1 };
                assert_eq!(frames.len(), 1 + pongs + usize::from(closes), "{answers} {closes}");
                assert_eq!((frames[0].0, frames[0].1.len()), (0x82, 1000));
                assert_eq!(conn.is_writable(), !closes);
            }
        }
    }
}

#[test]
fn keepalive_within_a_long_frame_waits_and_its_pong_is_not_late() {
    for role in ROLES {
        let config = builder()
            .keepalive_interval(Duration::from_millis(20))
            .pong_timeout(Duration::from_millis(10))
            .build()
            .unwrap();
        let (mut conn, mut output) = (open_with(role, config), Vec::new());
        conn.tick(at(0));
        conn.begin_frame(&header(0x82, 100)).unwrap();
        for n in 0..100 {
            // The ping is queued once, and no pong is owed as long as it waits.
            conn.tick(at(n * 10));
            assert_eq!(conn.state(), State::Open, "{role:?} at {n}");
            conn.send_payload(&[1]).unwrap();
            if n < 99 {
                write_all(&mut conn, &mut output);
            }
        }
        write_all(&mut conn, &mut output);
        let frames = plain_frames(&output);
        assert_eq!(frames.iter().map(|(first, _)| *first).collect::<Vec<_>>(), [0x82, 0x89]);
        // From now on the peer owes the pong.
        conn.tick(at(1000));
        conn.tick(at(1010));
        conn.tick(at(1011));
        assert_eq!(conn.state(), State::Closed);
        assert!(matches!(end(&mut conn).cause(), CloseCause::TimedOut(_)));
        assert_eq!(conn.buffered_amount(), 0);
    }
}

#[test]
fn frame_in_pieces_obeys_the_limit_of_frames() {
    for role in ROLES {
        let config = builder().max_outgoing_frame_bytes(4).build().unwrap();
        let (mut conn, mut peer) = (open_with(role, config), open(other(role)));
        let too_long = Err(UsageError::InvalidFrameHeader);
        assert_eq!(conn.begin_frame(&header(0x82, 5)), too_long);
        assert_eq!((conn.outgoing_len(), conn.unfinished_message()), (0, None));
        // A fragment that is cut, and the frame that continues it.
        conn.send_fragment(MessageKind::Binary, b"0123456789", false).unwrap();
        assert_eq!(conn.begin_frame(&header(0x80, 5)), too_long);
        conn.begin_frame(&header(0x00, 4)).unwrap();
        conn.send_payload(b"abcd").unwrap();
        conn.send_fragment(MessageKind::Binary, b"ABCDEF", true).unwrap();
        conn.send("a cut message").unwrap();
        conn.begin_frame(&header(0x81, 4)).unwrap();
        conn.send_payload(b"last").unwrap();
        let output = drain(&mut conn);
        let lens: Vec<_> = plain_frames(&output).iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(lens, [4, 4, 2, 4, 4, 2, 4, 4, 4, 1, 4]);
        let texts = ["a cut message", "last"].map(|text| Seen::Text(text.into()));
        let seen = run(&mut peer, &[&output]).seen;
        assert_eq!(seen[0], Seen::Binary(b"0123456789abcdABCDEF".to_vec()));
        assert_eq!(seen[1..], texts);
    }
}

/// A step in the sending of messages. Steps of fragments and frames continue the message if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Send,
    Fragment {
        last: bool,
    },
    #[cfg(feature = "deflate")]
    Uncompressed {
        last: bool,
    },
    Frame {
        last: bool,
    },
    /// A frame that begins a message which the caller compresses.
    #[cfg(feature = "deflate")]
    Compressed {
        last: bool,
    },
}

const STEPS: &[Step] = &[
    Step::Send,
    Step::Fragment { last: false },
    Step::Fragment { last: true },
    #[cfg(feature = "deflate")]
    Step::Uncompressed { last: false },
    #[cfg(feature = "deflate")]
    Step::Uncompressed { last: true },
    Step::Frame { last: false },
    Step::Frame { last: true },
    #[cfg(feature = "deflate")]
    Step::Compressed { last: false },
    #[cfg(feature = "deflate")]
    Step::Compressed { last: true },
];

/// How the unfinished message began, as far as it decides how it may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// By `send_fragment`.
    Fragment,
    /// Surely without compression.
    Plain,
    /// By a frame that the caller compressed.
    #[cfg_attr(not(feature = "deflate"), expect(dead_code, reason = "nothing is compressed"))]
    ByCaller,
}

/// What the documentation says about the steps.
struct Model {
    is_deflate: bool,
    begun: Option<Begun>,
    text: Vec<u8>,
    texts: Vec<Seen>,
}

impl Model {
    /// Returns what the step gives, and which message is unfinished then.
    fn judge(&self, step: Step) -> Result<(Begun, bool), UsageError> {
        match (step, self.begun) {
            (Step::Send, None) => Ok((Begun::Plain, true)),
            (Step::Send, Some(_)) => Err(UsageError::MessageUnfinished),
            (Step::Fragment { .. }, Some(Begun::ByCaller)) => Err(UsageError::FragmentKindChanged),
            (Step::Fragment { last }, begun) => Ok((begun.unwrap_or(Begun::Fragment), last)),
            (Step::Frame { .. }, Some(Begun::Fragment)) if self.is_deflate => {
                Err(UsageError::FragmentKindChanged)
            }
            (Step::Frame { last }, Some(Begun::ByCaller)) => Ok((Begun::ByCaller, last)),
            (Step::Frame { last }, _) => Ok((Begun::Plain, last)),
            #[cfg(feature = "deflate")]
            (Step::Uncompressed { .. }, Some(Begun::Fragment)) => {
                Err(UsageError::FragmentCompressionChanged)
            }
            #[cfg(feature = "deflate")]
            (Step::Uncompressed { .. }, Some(Begun::ByCaller)) => {
                Err(UsageError::FragmentKindChanged)
            }
            #[cfg(feature = "deflate")]
            (Step::Uncompressed { last }, _) => Ok((Begun::Plain, last)),
            #[cfg(feature = "deflate")]
            (Step::Compressed { .. }, _) if !self.is_deflate => Err(UsageError::InvalidFrameHeader),
            #[cfg(feature = "deflate")]
            (Step::Compressed { .. }, Some(_)) => Err(UsageError::MessageUnfinished),
            #[cfg(feature = "deflate")]
            (Step::Compressed { last }, None) => Ok((Begun::ByCaller, last)),
        }
    }

    /// Takes the step with the connection and with the model.
    fn take(&mut self, conn: &mut Connection, step: Step) {
        let expected = self.judge(step);
        let last = expected.is_ok_and(|(_, last)| last);
        // A character is cut at each border.
        let mut piece = match self.begun {
            None => b"text that is longer than the limit of a frame: ".to_vec(),
            Some(_) => b"\x82\xac and this is another fragment ".to_vec(),
        };
        if matches!(step, Step::Frame { .. }) {
            piece.truncate(8);
        }
        #[cfg(feature = "deflate")]
        if matches!(step, Step::Compressed { .. }) {
            piece.truncate(8);
        }
        if !last {
            piece.push(0xe2);
        }
        let before = (conn.outgoing_len(), conn.buffered_amount(), conn.unfinished_message());
        let result = match step {
            Step::Send => conn.send(std::str::from_utf8(&piece).unwrap_or("refused")),
            Step::Fragment { last } => conn.send_fragment(MessageKind::Text, &piece, last),
            #[cfg(feature = "deflate")]
            Step::Uncompressed { last } => {
                conn.send_uncompressed_fragment(MessageKind::Text, &piece, last)
            }
            Step::Frame { last } => {
                let opcode = if self.begun.is_some() { 0 } else { 1 };
                let payload = match self.begun {
                    Some(Begun::ByCaller) => stored(&piece, last),
                    _ => piece.clone(),
                };
                send_frame(conn, opcode | if last { 0x80 } else { 0 }, &payload)
            }
            #[cfg(feature = "deflate")]
            Step::Compressed { last } => {
                send_frame(conn, 0x41 | if last { 0x80 } else { 0 }, &stored(&piece, last))
            }
        };
        assert_eq!(result, expected.map(drop), "{step:?} in {:?}", self.begun);
        let Ok((begun, last)) = expected else {
            let after = (conn.outgoing_len(), conn.buffered_amount(), conn.unfinished_message());
            assert_eq!(after, before, "{step:?} in {:?}", self.begun);
            return;
        };
        self.text.extend(piece);
        self.begun = (!last).then_some(begun);
        assert_eq!(conn.unfinished_message(), self.begun.map(|_| MessageKind::Text));
        if last {
            let text = String::from_utf8(std::mem::take(&mut self.text)).unwrap();
            self.texts.push(Seen::Text(text));
        }
    }
}

/// Sends a frame in pieces of 3 bytes.
fn send_frame(conn: &mut Connection, first: u8, payload: &[u8]) -> Result<(), UsageError> {
    conn.begin_frame(&header(first, payload.len()))?;
    payload.chunks(3).try_for_each(|piece| conn.send_payload(piece))
}

/// A stored block (RFC 1951 3.2.4), which ends a compressed message if it is the `last` (RFC 7692 7.2.1).
fn stored(payload: &[u8], last: bool) -> Vec<u8> {
    let len = payload.len() as u16;
    let mut block = vec![0];
    block.extend(len.to_le_bytes());
    block.extend((!len).to_le_bytes());
    block.extend(payload);
    block.extend(last.then_some(0));
    block
}

/// Takes each sequence of `len` steps, ends the last message, and compares what the peer receives.
fn in_every_order(len: u32, is_deflate: bool, open: impl Fn(Role, Config) -> Connection) {
    for role in ROLES {
        for limit in [usize::MAX, 16] {
            for number in 0..STEPS.len().pow(len) {
                let digits = (0..len).map(|place| number / STEPS.len().pow(place) % STEPS.len());
                let config = builder().max_outgoing_frame_bytes(limit).build().unwrap();
                let mut conn = open(role, config.clone());
                let mut model =
                    Model { is_deflate, begun: None, text: Vec::new(), texts: Vec::new() };
                let steps: Vec<Step> = digits.map(|digit| STEPS[digit]).collect();
                for step in &steps {
                    model.take(&mut conn, *step);
                }
                match model.begun {
                    None => {}
                    Some(Begun::ByCaller) => model.take(&mut conn, Step::Frame { last: true }),
                    Some(_) => model.take(&mut conn, Step::Fragment { last: true }),
                }
                let output = drain(&mut conn);
                assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (0, 0), "{steps:?}");
                for frame in read_frames(&output) {
                    assert!(frame.payload.len() <= limit, "{steps:?}");
                }
                let seen = run(&mut open(other(role), config), &[&output]).seen;
                assert_eq!(seen, model.texts, "{role:?} {steps:?}");
            }
        }
    }
}

#[test]
fn each_order_of_fragments_and_frames_gives_the_message_or_the_documented_error() {
    // rfc6455-5.4-02, rfc6455-5.4-09
    in_every_order(4, false, open_with);
}

#[cfg(feature = "deflate")]
#[test]
fn each_order_of_fragments_and_frames_gives_the_compressed_message_or_the_documented_error() {
    // rfc7692-6.1-01
    use websocket_proto::{Deflate, DeflateParams, Upgrade};
    in_every_order(3, true, |role, config| {
        let config = config.to_builder().deflate(Deflate::default()).build().unwrap();
        let upgrade = Upgrade::new(role).deflate(DeflateParams::default());
        Connection::from_upgrade(upgrade, config).unwrap()
    });
}

#[test]
fn a_close_by_hand_is_no_answer_if_ours_waits_for_a_frame() {
    // rfc6455-5.5.1-17: our Close was queued first, so the peer's answers it
    for role in ROLES {
        let (mut conn, mut output) =
            (open_with(role, by_hand().build().unwrap()), Vec::<u8>::new());
        conn.begin_frame(&header(0x82, 1)).unwrap();
        conn.close(1001, "").unwrap();
        let events = give(&mut conn, &to(role, 0x88, BODY));
        let [Event::Closed(closed)] = &events[..] else { panic!("{events:?}") };
        assert_eq!((closed.code().get(), closed.cause()), (4001, &CloseCause::Local));
        assert_eq!(closed.sent_code(), Some(CloseCode::GOING_AWAY));
        conn.send_payload(b"x").unwrap();
        write_all(&mut conn, &mut output);
        assert_eq!(plain_frames(&output)[1], (0x88, b"\x03\xe9".to_vec()), "{role:?}");
        assert_eq!((conn.outgoing_len(), conn.buffered_amount()), (0, 0));
    }
}
