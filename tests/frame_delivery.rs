//! Frames as they are: `Delivery::Frames` receives them, `begin_frame` and `send_payload` send them.

mod util;

use std::time::Duration;

use util::*;
use websocket_proto::{
    CloseCause, CloseCode, Closed, ConfigBuilder, Connection, Cut, Delivery, Event, FrameHeader,
    MessageKind, Opcode, ProtocolError, ReadBuffer, Role, State, Timestamp, UsageError,
};

fn frames() -> ConfigBuilder {
    builder().delivery(Delivery::Frames)
}

fn open_frames(role: Role) -> Connection {
    open_with(role, frames().build().unwrap())
}

/// What was received, with the pieces of a frame joined.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    /// The header, and the payload so far.
    Frame(FrameHeader, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Closed(Closed),
}

/// Collects events, and checks the borders of frames.
#[derive(Default)]
struct Frames {
    got: Vec<Got>,
    is_open: bool,
}

impl Frames {
    fn push(&mut self, event: Event<'_>) {
        assert!(!matches!(self.got.last(), Some(Got::Closed(_))), "{event:?} after the end");
        match event {
            Event::FrameHeader(header) => {
                assert!(!self.is_open, "a header within a frame");
                self.is_open = header.payload_len > 0;
                self.got.push(Got::Frame(header, Vec::new()));
            }
            Event::FramePayload(payload) => {
                assert!(self.is_open && !payload.as_bytes().is_empty(), "{payload:?}");
                let Some(Got::Frame(header, bytes)) = self.got.last_mut() else { panic!() };
                bytes.extend_from_slice(payload.as_bytes());
                let is_whole = bytes.len() as u64 == header.payload_len;
                assert_eq!(payload.is_last(), is_whole, "{payload:?} of {header:?}");
                self.is_open = !is_whole;
            }
            Event::Ping(payload) => self.got.push(Got::Ping(payload.into_owned())),
            Event::Pong(payload) => self.got.push(Got::Pong(payload.into_owned())),
            Event::Closed(closed) => self.got.push(Got::Closed(closed)),
            other => panic!("unexpected event {other:?}"),
        }
    }
}

fn receive_pieces(conn: &mut Connection, pieces: &[&[u8]]) -> Vec<Got> {
    let mut frames = Frames::default();
    for piece in pieces {
        let mut copy = piece.to_vec();
        let mut input = &mut copy[..];
        while let Some(event) = conn.receive(&mut input) {
            frames.push(event);
        }
        assert!(input.is_empty(), "receive returned None but has not used up the input");
    }
    while let Some(event) = conn.poll_event() {
        frames.push(event);
    }
    frames.got
}

/// The same through a `ReadBuffer`. If `asks`, `is_event_ready` is called before each `receive_from`.
fn receive_from(conn: &mut Connection, pieces: &[&[u8]], capacity: usize, asks: bool) -> Vec<Got> {
    let mut frames = Frames::default();
    let mut buffer = ReadBuffer::with_capacity(capacity);
    for mut piece in pieces.iter().copied() {
        while !piece.is_empty() {
            let n = buffer.fill_from(piece);
            piece = &piece[n..];
            loop {
                let is_ready = asks.then(|| conn.is_event_ready(&mut buffer));
                let event = conn.receive_from(&mut buffer);
                assert!(is_ready.is_none_or(|is_ready| is_ready == event.is_some()), "{event:?}");
                let Some(event) = event else { break };
                frames.push(event);
            }
        }
    }
    while let Some(event) = conn.poll_event() {
        frames.push(event);
    }
    frames.got
}

/// Feeds `bytes` in every cut, from slices and from buffers.
fn in_every_way(make: impl Fn() -> Connection, bytes: &[u8], expected: &[Got]) {
    for pieces in cuts(bytes) {
        let sizes = || pieces.iter().map(|piece| piece.len()).take(40).collect::<Vec<_>>();
        assert_eq!(receive_pieces(&mut make(), &pieces), expected, "{:?}", sizes());
        for (capacity, asks) in [(14, false), (20, true), (100_000, false), (100_000, true)] {
            let got = receive_from(&mut make(), &pieces, capacity, asks);
            assert_eq!(got, expected, "{:?} by {capacity}, asks: {asks}", sizes());
        }
    }
}

/// The frame with this first byte, as the peer of `role` sends it.
fn got(role: Role, first: u8, payload: &[u8]) -> Got {
    let header = FrameHeader {
        fin: first & 0x80 != 0,
        rsv: first >> 4 & 7,
        opcode: Opcode::from_first_byte(first).unwrap(),
        mask: (role == Role::Server).then_some(KEY),
        payload_len: payload.len() as u64,
    };
    Got::Frame(header, payload.to_vec())
}

fn failed(error: ProtocolError) -> impl Fn(&Got) -> bool {
    let cause = CloseCause::Protocol(error);
    move |got| matches!(got, Got::Closed(closed) if *closed.cause() == cause)
}

#[test]
fn data_frames_arrive_as_they_are_and_control_frames_between_them() {
    // rfc6455-5.4-06, rfc6455-5.4-10, rfc6455-5.4-11, rfc6455-5.4-18
    let long = vec![b'x'; 70_000];
    for role in ROLES {
        let rows: &[(u8, &[u8])] = &[
            (0x81, b"Hello"),
            (0x01, b"a\xe2"),
            (0x89, b"ping"),
            (0x00, b""),
            (0x8a, b""),
            (0x00, b"\x82"),
            (0x80, b"\xac!"),
            (0x02, b""),
            (0x80, b""),
            (0x82, &long[..300]),
            (0x81, b""),
        ];
        let bytes: Vec<u8> =
            rows.iter().flat_map(|(first, bytes)| to(role, *first, bytes)).collect();
        let expected: Vec<Got> = rows
            .iter()
            .map(|(first, bytes)| match first {
                0x89 => Got::Ping(bytes.to_vec()),
                0x8a => Got::Pong(bytes.to_vec()),
                _ => got(role, *first, bytes),
            })
            .collect();
        in_every_way(|| open_frames(role), &bytes, &expected);
        // The ping is answered, as with any delivery.
        let mut conn = open_frames(role);
        receive_pieces(&mut conn, &[&bytes]);
        assert_eq!(plain_frames(&drain(&mut conn)), [(0x8a, b"ping".to_vec())]);

        let (one, all) = (to(role, 0x82, &long), [got(role, 0x82, &long)]);
        assert_eq!(receive_pieces(&mut open_frames(role), &[&one]), all);
    }
}

#[test]
fn header_event_tells_whether_the_frame_is_masked() {
    let config = frames().accept_unmasked_frames(true).build().unwrap();
    for len in [0, 1, 125, 126, 65_535, 65_536] {
        for key in [None, Some([0; 4]), Some(KEY)] {
            let mut conn = open_with(Role::Server, config.clone());
            let bytes = frame(0x82, &vec![7; len], key);
            let got = receive_pieces(&mut conn, &[&bytes]);
            let [Got::Frame(header, payload)] = &got[..] else { panic!("{got:?}") };
            assert_eq!((header.mask, header.payload_len), (key, len as u64));
            assert_eq!(*payload, vec![7; len]);
        }
    }
}

#[test]
fn the_rules_for_frames_and_text_are_those_of_the_other_deliveries() {
    // rfc6455-5.2-03, rfc6455-5.2-04, rfc6455-5.4-03, rfc6455-5.4-04, rfc6455-5.4-07, rfc6455-8.1-01
    let limits = |delivery| {
        let config = builder().delivery(delivery).max_fragments(3);
        config.max_frame_bytes(130).max_message_bytes(200).build().unwrap()
    };
    let rows: &[&[(u8, &[u8])]] = &[
        &[(0xc1, b"reserved bit")],
        &[(0x83, b"reserved opcode")],
        &[(0x80, b"continuation of nothing")],
        &[(0x01, b"a"), (0x81, b"nested")],
        &[(0x09, b"fragmented ping")],
        &[(0x88, b"\x03")],
        &[(0x88, b"\x03\xed")],
        &[(0x02, b""), (0x00, b""), (0x00, b""), (0x00, b"")],
        &[(0x82, &[0; 131])],
        &[(0x02, &[0; 130]), (0x80, &[0; 71])],
        &[(0x81, b"good\xff bad")],
        &[(0x01, b"good\xe2"), (0x00, b"\x28\x80"), (0x80, b"more")],
        &[(0x01, b"good\xe2\x82"), (0x80, b"")],
        &[(0x01, b"good\xe2"), (0x80, b"\x82")],
        &[(0x81, b"\xed\xa0\x80")],
    ];
    for role in ROLES {
        for row in rows {
            let bytes: Vec<u8> =
                row.iter().flat_map(|(first, bytes)| to(role, *first, bytes)).collect();
            let mut other = open_with(role, limits(Delivery::Chunks));
            let seen = run(&mut other, &[&bytes]);
            let Some(Seen::Closed { cause: CloseCause::Protocol(error), .. }) = seen.seen.last()
            else {
                panic!("{row:?}: {seen:?}");
            };
            let mut conn = open_with(role, limits(Delivery::Frames));
            let whole = receive_pieces(&mut conn, &[&bytes]);
            assert!(whole.last().is_some_and(failed(error.clone())), "{row:?}: {whole:?}");
            assert_eq!(drain(&mut conn), seen.output, "{row:?}");
            in_every_way(|| open_with(role, limits(Delivery::Frames)), &bytes, &whole);
        }
    }
}

#[test]
fn bytes_before_the_fault_are_delivered_and_the_faulty_one_is_not() {
    // rfc6455-8.1-01: the byte that decides; a text that ends within a character is wrong at its last byte
    let rows: &[(&[u8], &[u8])] = &[
        (b"ab\xffcd", b"ab"),
        (b"ab\xe2\x82\x41", b"ab\xe2\x82"),
        (b"\xed\xa0\x80", b"\xed"),
        (b"ab\xf0\x9f", b"ab\xf0"),
        (b"\xc3", b""),
    ];
    for role in ROLES {
        for (text, good) in rows {
            let bytes = to(role, 0x81, text);
            let got = receive_pieces(&mut open_frames(role), &[&bytes]);
            let [Got::Frame(_, payload), Got::Closed(_)] = &got[..] else { panic!("{got:?}") };
            assert_eq!(payload, good);
            in_every_way(|| open_frames(role), &bytes, &got);
        }
    }
}

#[test]
fn end_within_a_frame_is_reported_as_its_cut() {
    for role in ROLES {
        let whole = to(role, 0x02, b"abc");
        for (at, cut) in (0..=whole.len()).map(|at| match at {
            0 => (at, None),
            at if at == whole.len() => (at, Some(Cut::Message)),
            at => (at, Some(Cut::Frame)),
        }) {
            let mut conn = open_frames(role);
            receive_pieces(&mut conn, &[&whole[..at]]);
            conn.receive_eof();
            let Some(Event::Closed(closed)) = conn.poll_event() else { panic!() };
            assert_eq!(closed.cut(), cut, "after {at} bytes");
        }
    }
}

fn header(first: u8, len: usize) -> FrameHeader {
    FrameHeader {
        fin: first & 0x80 != 0,
        rsv: first >> 4 & 7,
        opcode: Opcode::from_first_byte(first).unwrap(),
        mask: Some([9; 4]), // has no effect
        payload_len: len as u64,
    }
}

/// Writes at most `n` bytes.
fn write(conn: &mut Connection, n: usize, output: &mut Vec<u8>) {
    let n = n.min(conn.outgoing().len());
    output.extend_from_slice(&conn.outgoing()[..n]);
    conn.advance(n);
}

#[test]
fn frames_sent_in_pieces_are_frames_on_the_wire() {
    // rfc6455-5.2-09, rfc6455-5.3-01, rfc6455-5.4-02
    let long: Vec<u8> = (0..70_000_u32).map(|i| i as u8 & 0x7f).collect();
    let rows: &[(u8, &[u8])] = &[
        (0x81, "Hell\u{f6} w\u{20ac}rld".as_bytes()),
        (0x82, b""),
        (0x01, b"a\xe2"),
        (0x00, b""),
        (0x80, b"\x82\xac"),
        (0x82, &long[..126]),
        (0x82, &long[..65_535]),
        (0x82, &long),
        (0x81, b"end"),
    ];
    for role in ROLES {
        // How much is sent with one call, and how much is written after each call.
        for (piece, written) in
            [(1, 0), (1, 1), (3, 2), (3, 7), (7, usize::MAX), (5000, 4999), (usize::MAX, 100_000)]
        {
            let (mut conn, mut output) = (open(role), Vec::new());
            let (mut payload, mut wire) = (0, 0);
            let check = |conn: &Connection, payload: usize, output: &[u8]| {
                // The bytes of a payload that are written.
                let mut rest = output;
                let mut done = 0;
                while !rest.is_empty() {
                    let Some((header, size)) = FrameHeader::decode(rest).unwrap() else { break };
                    let n = (rest.len() - size).min(header.payload_len as usize);
                    done += n;
                    rest = &rest[size + n..];
                }
                assert_eq!(conn.buffered_amount(), (payload - done) as u64);
            };
            for (first, bytes) in rows {
                if bytes.len() > 10_000 && piece < 5000 {
                    continue;
                }
                conn.begin_frame(&header(*first, bytes.len())).unwrap();
                for part in bytes.chunks(piece) {
                    conn.send_payload(part).unwrap();
                    payload += part.len();
                    write(&mut conn, written, &mut output);
                    if output.len() < 1000 {
                        check(&conn, payload, &output);
                    }
                }
                assert_eq!(conn.unfinished_frame(), None);
                wire += 1;
            }
            assert_eq!(conn.unfinished_message(), None);
            output.extend(drain(&mut conn));
            assert_eq!((conn.buffered_amount(), conn.outgoing_len()), (0, 0));
            let sent = read_frames(&output);
            assert_eq!(sent.len(), wire);
            let expected = rows.iter().filter(|(_, bytes)| bytes.len() <= 10_000 || piece >= 5000);
            let mut keys = Vec::new();
            for (frame, (first, bytes)) in sent.iter().zip(expected) {
                assert!(frame.first == *first && frame.payload == *bytes, "{first:#x}");
                assert_eq!(frame.key.is_some(), role == Role::Client);
                assert!(!keys.contains(&frame.key) || role == Role::Server, "a key for each frame");
                keys.push(frame.key);
            }
            conn.send("free again").unwrap();
        }
    }
}

#[test]
fn pings_and_pongs_wait_for_the_end_of_the_frame() {
    // rfc6455-5.4-06: a control frame stands between frames, not within one
    for role in ROLES {
        for sent in 0..4 {
            for written in 0..20 {
                let (mut conn, mut output) = (open(role), Vec::new());
                conn.send("before").unwrap();
                conn.begin_frame(&header(0x82, 4)).unwrap();
                conn.send_payload(&b"data"[..sent]).unwrap();
                for _ in 0..written {
                    write(&mut conn, 1, &mut output);
                }
                conn.ping(b"a").unwrap();
                conn.pong(b"b").unwrap();
                run_quietly(&mut conn, &to(role, 0x89, b"c"));
                // If the frame is begun on the wire, only its own bytes can go out.
                while conn.wants_write() {
                    write(&mut conn, 3, &mut output);
                }
                assert!(conn.take_outgoing().is_none());
                conn.send_payload(&b"data"[sent..]).unwrap();
                output.extend(drain(&mut conn));
                let frames = plain_frames(&output);
                let data: Vec<_> = frames.iter().filter(|(first, _)| first & 8 == 0).collect();
                assert_eq!(data, [&(0x81, b"before".to_vec()), &(0x82, b"data".to_vec())]);
                let control: Vec<_> =
                    frames.iter().filter(|(first, _)| first & 8 != 0).cloned().collect();
                let all = [(0x89, b"a".to_vec()), (0x8a, b"b".to_vec()), (0x8a, b"c".to_vec())];
                assert_eq!(control, all, "{role:?}, {sent} sent, {written} written");
            }
        }
    }
}

/// Feeds bytes whose events do not matter.
fn run_quietly(conn: &mut Connection, bytes: &[u8]) -> Option<Closed> {
    let mut copy = bytes.to_vec();
    let mut input = &mut copy[..];
    let mut end = None;
    while let Some(event) = conn.receive(&mut input) {
        if let Event::Closed(closed) = event {
            end = Some(closed);
        }
    }
    end
}

#[test]
fn close_and_the_answer_to_a_close_wait_for_the_end_of_the_frame() {
    // rfc6455-5.5.1-08, rfc6455-5.5.1-09, rfc6455-5.5.1-12
    for role in ROLES {
        for written in [0, 1, 5, 100] {
            for (ours, theirs) in [(true, false), (false, true), (true, true)] {
                for last in [0x82, 0x02] {
                    let (mut conn, mut output) = (open(role), Vec::new());
                    conn.begin_frame(&header(last, 4)).unwrap();
                    conn.send_payload(b"da").unwrap();
                    write(&mut conn, written, &mut output);
                    if ours {
                        conn.close(1001, "bye").unwrap();
                        assert_eq!(conn.state(), State::Closing);
                    }
                    if theirs {
                        run_quietly(&mut conn, &to(role, 0x88, &1000_u16.to_be_bytes()));
                        assert_eq!(conn.state(), State::Closed);
                    }
                    output.extend(std::iter::from_fn(|| {
                        let byte = *conn.outgoing().first()?;
                        conn.advance(1);
                        Some(byte)
                    }));
                    assert!(!conn.is_finished() && !conn.wants_shutdown());
                    assert_eq!(conn.unfinished_frame(), Some(2));
                    conn.send_payload(b"ta").unwrap();
                    assert_eq!((conn.unfinished_frame(), conn.unfinished_message()), (None, None));
                    let error = UsageError::NotOpen(conn.state());
                    assert_eq!(conn.begin_frame(&header(0x80, 1)), Err(error));
                    assert_eq!(conn.send_payload(b"more"), Err(error));
                    output.extend(drain(&mut conn));
                    let close = match ours {
                        true => b"\x03\xe9bye".to_vec(),
                        false => b"\x03\xe8".to_vec(),
                    };
                    let expected = [(last, b"data".to_vec()), (0x88, close)];
                    assert_eq!(plain_frames(&output), expected);
                    if theirs && role == Role::Server {
                        assert!(conn.is_finished() && conn.wants_shutdown());
                    }
                }
            }
        }
    }
}

#[test]
fn failure_within_a_frame_ends_without_a_close() {
    // rfc6455-7.1.7-06: a Close cannot stand within a frame
    let config = || builder().idle_timeout(Duration::from_secs(1)).build().unwrap();
    let ways: [fn(&mut Connection) -> Option<Closed>; 4] = [
        |conn| {
            conn.fail(1008, "no").unwrap();
            None
        },
        |conn| run_quietly(conn, b"\xf0"),
        |conn| {
            for seconds in [0, 5, 10] {
                conn.tick(Timestamp::default() + Duration::from_secs(seconds));
            }
            None
        },
        |conn| {
            conn.close(1000, "waits, and is never sent").unwrap();
            conn.fail(1008, "no").unwrap();
            None
        },
    ];
    for role in ROLES {
        for (n, way) in ways.iter().enumerate() {
            for written in 0..12 {
                let (mut conn, mut output) = (open_with(role, config()), Vec::new());
                conn.begin_frame(&header(0x82, 4)).unwrap();
                conn.send_payload(b"da").unwrap();
                write(&mut conn, written, &mut output);
                conn.ping(b"waits").unwrap();
                let closed = way(&mut conn).or_else(|| match conn.poll_event() {
                    Some(Event::Closed(closed)) => Some(closed),
                    _ => None,
                });
                let closed = closed.unwrap_or_else(|| panic!("{n}: no event of the end"));
                assert_eq!((closed.code(), closed.sent_code()), (CloseCode::ABNORMAL, None));
                assert_eq!(conn.unfinished_frame(), None);
                output.extend(drain(&mut conn));
                // A ping goes out only before the frame.
                if written == 0 {
                    let ping = if role == Role::Client { 6 + 5 } else { 2 + 5 };
                    assert_eq!(output[0], 0x89);
                    output.drain(..ping);
                }
                // What remains is the front of the frame.
                let size = if role == Role::Client { 6 } else { 2 };
                assert_eq!((output[0], output.len()), (0x82, size + 2), "{n}, {written}");
                assert_eq!(conn.wants_shutdown(), role == Role::Server);
                conn.receive_eof();
                assert!(conn.is_finished());
            }
        }
    }
}

#[test]
fn misuse_of_frames_is_a_typed_error_that_changes_nothing() {
    // rfc6455-5.2-02, rfc6455-5.4-09, rfc6455-5.4-17
    type Call = fn(&mut Connection) -> Result<(), UsageError>;
    let unfinished = Err(UsageError::FrameUnfinished { left: 3 });
    let invalid = Err(UsageError::InvalidFrameHeader);
    let outside: &[(Call, Result<(), UsageError>)] = &[
        (|conn| conn.send_payload(b"abc"), Err(UsageError::PayloadTooLong { len: 3, left: 0 })),
        (|conn| conn.begin_frame(&header(0x80, 1)), invalid),
        (|conn| conn.begin_frame(&header(0x89, 1)), invalid),
        (|conn| conn.begin_frame(&header(0x88, 2)), invalid),
        (|conn| conn.begin_frame(&header(0xc1, 1)), invalid),
        (|conn| conn.begin_frame(&header(0x91, 1)), invalid),
        (
            |conn| conn.begin_frame(&FrameHeader { payload_len: 1 << 63, ..header(0x82, 0) }),
            invalid,
        ),
    ];
    let within: &[(Call, Result<(), UsageError>)] = &[
        (|conn| conn.send_payload(b"1234"), Err(UsageError::PayloadTooLong { len: 4, left: 3 })),
        (|conn| conn.begin_frame(&header(0x80, 1)), unfinished),
        (|conn| conn.send("message"), Err(UsageError::MessageUnfinished)),
        (|conn| conn.check_send(1), Err(UsageError::MessageUnfinished)),
        (|conn| conn.send_fragment(MessageKind::Text, b"a", true), unfinished),
        (
            |conn| conn.send_through("message", |_, _| Ok::<_, UsageError>(0)),
            Err(UsageError::MessageUnfinished),
        ),
        (|conn| conn.send_payload(b"\xff"), Err(UsageError::InvalidUtf8)),
        (|conn| conn.send_payload(b"ab\xe2"), Err(UsageError::InvalidUtf8)),
    ];
    let between: &[(Call, Result<(), UsageError>)] = &[
        (|conn| conn.begin_frame(&header(0x81, 1)), Err(UsageError::MessageUnfinished)),
        (|conn| conn.begin_frame(&header(0xc0, 1)), invalid),
        (|conn| conn.send("message"), Err(UsageError::MessageUnfinished)),
        (
            |conn| conn.send_fragment(MessageKind::Binary, b"a", true),
            Err(UsageError::FragmentKindChanged),
        ),
    ];
    for role in ROLES {
        let try_all = |conn: &mut Connection, calls: &[(Call, Result<(), UsageError>)]| {
            for (n, (call, expected)) in calls.iter().enumerate() {
                let before =
                    (conn.outgoing_len(), conn.buffered_amount(), conn.unfinished_message());
                assert_eq!(call(conn), *expected, "{role:?}, {n}");
                let after =
                    (conn.outgoing_len(), conn.buffered_amount(), conn.unfinished_message());
                assert_eq!(after, before);
            }
        };
        let mut conn = open(role);
        try_all(&mut conn, outside);
        conn.begin_frame(&header(0x81, 4)).unwrap();
        conn.send_payload(b"x").unwrap();
        assert_eq!(conn.unfinished_message(), Some(MessageKind::Text));
        try_all(&mut conn, within);
        conn.send_payload(b"yz!").unwrap();
        try_all(&mut conn, outside);
        // The two ways to send fragments can be mixed.
        conn.send_fragment(MessageKind::Text, b"a\xe2", false).unwrap();
        try_all(&mut conn, between);
        conn.begin_frame(&header(0x00, 2)).unwrap();
        conn.send_payload(b"\x82\xac").unwrap();
        try_all(&mut conn, between);
        conn.send_fragment(MessageKind::Text, b"\xe2", false).unwrap();
        assert_eq!(conn.begin_frame(&header(0x80, 0)), Err(UsageError::InvalidUtf8));
        conn.send_fragment(MessageKind::Text, b"\x82\xac", true).unwrap();
        let sent = plain_frames(&drain(&mut conn));
        let firsts: Vec<u8> = sent.iter().map(|(first, _)| *first).collect();
        assert_eq!(firsts, [0x81, 0x01, 0x00, 0x00, 0x80]);

        let config = builder().max_outgoing_bytes(60).build().unwrap();
        let mut conn = open_with(role, config);
        conn.begin_frame(&header(0x82, 1000)).unwrap();
        let full = conn.send_payload(&[0; 60]);
        assert!(matches!(full, Err(UsageError::BufferFull { limit: 60, .. })), "{full:?}");
        assert_eq!(conn.unfinished_frame(), Some(1000));
        for _ in 0..50 {
            conn.send_payload(&[1; 20]).unwrap();
            drain_open(&mut conn);
        }
        assert_eq!(conn.unfinished_frame(), None);
    }
}

fn drain_open(conn: &mut Connection) {
    while conn.wants_write() {
        conn.advance(conn.outgoing().len());
    }
}

#[test]
#[should_panic(expected = "too many")]
fn waiting_bytes_cannot_be_written_within_a_frame() {
    let mut conn = open(Role::Server);
    conn.begin_frame(&header(0x82, 4)).unwrap();
    drain_open(&mut conn);
    conn.ping(b"waits").unwrap();
    conn.advance(conn.outgoing_len() as usize);
}

#[test]
fn taken_pieces_of_a_frame_count_until_they_are_written() {
    for role in ROLES {
        let (mut conn, mut output) = (open(role), Vec::new());
        conn.begin_frame(&header(0x82, 8)).unwrap();
        for part in [&b"ab"[..], b"cd", b"ef", b"gh"] {
            conn.send_payload(part).unwrap();
            assert_eq!(conn.buffered_amount(), 2);
            let segment = conn.take_outgoing().expect("the payload can go out");
            conn.ping(part).unwrap();
            output.extend_from_slice(&segment);
            assert_eq!(conn.buffered_amount(), 2);
            conn.advance(segment.len());
            conn.recycle_segment(segment);
            assert_eq!(conn.buffered_amount(), 0);
        }
        output.extend(drain(&mut conn));
        let frames = plain_frames(&output);
        assert_eq!(frames[0], (0x82, b"abcdefgh".to_vec()));
        assert_eq!(frames.len(), 5);
    }
}

#[cfg(feature = "deflate")]
mod deflate {
    use super::*;
    use websocket_proto::{Deflate, DeflateParams, Upgrade};

    fn open_deflate(role: Role, params: DeflateParams, config: ConfigBuilder) -> Connection {
        let config = config.deflate(Deflate::default()).handshake_timeout(None).build().unwrap();
        Connection::from_upgrade(Upgrade::new(role).deflate(params), config).unwrap()
    }

    /// Passes the bytes that `from` has outgoing through a proxy of two connections to `to`, in pieces of `piece`
    /// bytes.
    fn pass(
        from: &mut Connection,
        proxy: (&mut Connection, &mut Connection),
        piece: usize,
    ) -> Vec<u8> {
        let (near, far) = proxy;
        let mut bytes = drain(from);
        let mut wire = Vec::new();
        for part in bytes.chunks_mut(piece) {
            let mut input = part;
            while let Some(event) = near.receive(&mut input) {
                match event {
                    Event::FrameHeader(header) => far.begin_frame(&header).unwrap(),
                    Event::FramePayload(payload) => far.send_payload(payload.as_bytes()).unwrap(),
                    other => panic!("{other:?}"),
                }
                assert!(far.buffered_amount() <= far.outgoing_len());
            }
            while far.wants_write() {
                let n = far.outgoing().len().div_ceil(2);
                wire.extend_from_slice(&far.outgoing()[..n]);
                far.advance(n);
            }
        }
        assert_eq!((far.outgoing_len(), far.buffered_amount()), (0, 0));
        wire
    }

    #[test]
    fn compressed_messages_are_passed_on_as_they_are() {
        // The window goes on with the next message.
        for takeover in [true, false] {
            let params = DeflateParams {
                server_no_context_takeover: !takeover,
                client_no_context_takeover: !takeover,
                ..DeflateParams::default()
            };
            for role in ROLES {
                for piece in [1, 3, 1000] {
                    let mut from = open_deflate(role, params, builder());
                    let mut near = open_deflate(other(role), params, frames());
                    let mut far = open_deflate(role, params, frames());
                    let mut to = open_deflate(other(role), params, builder());
                    let text = "compressed, and passed on as it is. ".repeat(10);
                    for _ in 0..3 {
                        from.send(&text).unwrap();
                        from.send("short").unwrap();
                        from.send_fragment(MessageKind::Text, text.as_bytes(), false).unwrap();
                        from.send_fragment(MessageKind::Text, b"", false).unwrap();
                        from.send_fragment(MessageKind::Text, text.as_bytes(), true).unwrap();
                        let wire = pass(&mut from, (&mut near, &mut far), piece);
                        assert!(wire.len() < text.len());
                        let outcome = run(&mut to, &[&wire]);
                        let expected =
                            [text.clone(), "short".into(), text.repeat(2)].map(Seen::Text);
                        assert_eq!(outcome.seen, expected, "{role:?} in {piece}");
                    }
                    // There is no memory of a codec, which `tick` would free.
                    assert_eq!(near.tick(Timestamp::default()), None);
                }
            }
        }
    }

    #[test]
    fn a_proxy_keeps_the_borders_of_frames_and_the_reserved_bits() {
        // rfc6455-5.4-13 to 5.4-16: control frames, compressed messages that the proxy does not understand, and
        // connections whose handshake it has not seen. Reserved bits that were not agreed are refused.
        for role in ROLES {
            let rows: &[(u8, &[u8])] = &[
                (0x41, b"\xff\xff"), // not a DEFLATE stream
                (0x89, b"between"),
                (0x00, b""),
                (0x8a, b""),
                (0x00, &[7; 300]),
                (0x80, b"\0"),
                (0xc2, &[9; 126]),
                (0x81, b"plain"),
                (0x02, b""),
                (0x80, b"x"),
            ];
            let bytes: Vec<u8> =
                rows.iter().flat_map(|(first, bytes)| to(role, *first, bytes)).collect();
            for piece in [1, 3, 1000] {
                let params = DeflateParams::default();
                let by_hand = || frames().answer_pings(false);
                let mut near = open_deflate(role, params, by_hand());
                let mut far = open_deflate(other(role), params, by_hand());
                let mut wire = Vec::new();
                for part in bytes.clone().chunks_mut(piece) {
                    let mut input = part;
                    while let Some(event) = near.receive(&mut input) {
                        match event {
                            Event::FrameHeader(header) => far.begin_frame(&header).unwrap(),
                            Event::FramePayload(payload) => {
                                far.send_payload(payload.as_bytes()).unwrap();
                            }
                            Event::Ping(payload) => far.ping(&payload).unwrap(),
                            Event::Pong(payload) => far.pong(&payload).unwrap(),
                            other => panic!("{other:?}"),
                        }
                        write(&mut far, usize::MAX, &mut wire);
                    }
                }
                let passed = plain_frames(&wire);
                let expected: Vec<_> = rows.iter().map(|(first, b)| (*first, b.to_vec())).collect();
                assert_eq!(passed, expected, "{role:?} in {piece}");

                for bit in [0x20, 0x10] {
                    let mut near = open_deflate(role, params, frames());
                    let unknown = to(role, 0x81 | bit, b"x");
                    let got = receive_pieces(&mut near, &[&unknown]);
                    let error = ProtocolError::ReservedBits { first_byte: 0x81 | bit };
                    assert!(matches!(&got[..], [end] if failed(error)(end)), "{got:?}");
                }
            }
        }
    }

    #[test]
    fn a_message_that_begin_frame_continues_may_go_on_uncompressed() {
        // The same calls are accepted whether the connection compresses or not, unless it compresses this message.
        let text = MessageKind::Text;
        for role in ROLES {
            for compresses in [false, true] {
                let open = || match compresses {
                    true => open_deflate(role, DeflateParams::default(), builder()),
                    false => open(role),
                };
                let mut conn = open();
                conn.begin_frame(&header(0x01, 1)).unwrap();
                conn.send_payload(b"a").unwrap();
                conn.send_uncompressed_fragment(text, b"b", false).unwrap();
                conn.send_fragment(text, b"c", false).unwrap();
                conn.send_uncompressed_fragment(text, b"d", true).unwrap();
                let firsts = [0x01, 0x00, 0x00, 0x80];
                let sent = plain_frames(&drain(&mut conn));
                assert_eq!(sent.iter().map(|(first, _)| *first).collect::<Vec<_>>(), firsts);

                let mut conn = open();
                conn.send_fragment(text, b"a", false).unwrap();
                let refused = Err(UsageError::FragmentCompressionChanged);
                assert_eq!(conn.send_uncompressed_fragment(text, b"b", true), refused);
                let continued = conn.begin_frame(&header(0x00, 1));
                if compresses {
                    assert_eq!(continued, Err(UsageError::FragmentKindChanged));
                    continue;
                }
                conn.send_payload(b"b").unwrap();
                conn.send_uncompressed_fragment(text, b"c", true).unwrap();
            }
        }
    }

    #[test]
    fn a_message_is_compressed_by_the_caller_or_by_the_connection() {
        for role in ROLES {
            let params = DeflateParams::default();
            let mut conn = open_deflate(role, params, builder());
            let changed = Err(UsageError::FragmentKindChanged);
            conn.send_fragment(MessageKind::Binary, b"ours", false).unwrap();
            assert_eq!(conn.begin_frame(&header(0x80, 1)), changed);
            conn.send_fragment(MessageKind::Binary, b"", true).unwrap();

            conn.begin_frame(&header(0x42, 0)).unwrap();
            assert_eq!(conn.send_fragment(MessageKind::Binary, b"ours", true), changed);
            conn.begin_frame(&header(0x80, 1)).unwrap();
            conn.send_payload(b"\0").unwrap();
            assert_eq!(conn.unfinished_message(), None);
            assert_eq!(conn.begin_frame(&header(0xa1, 1)), Err(UsageError::InvalidFrameHeader));
            // The window of the peer has not changed as our compressor's would have.
            conn.send("compressed by the connection, twice".repeat(4).as_str()).unwrap();
            let mut peer = open_deflate(other(role), params, builder());
            let seen = run(&mut peer, &[&drain(&mut conn)]).seen;
            let text = "compressed by the connection, twice".repeat(4);
            let expected =
                [Seen::Binary(b"ours".to_vec()), Seen::Binary(Vec::new()), Seen::Text(text)];
            assert_eq!(seen, expected);
            // The message that is cut by a Close counts until the queue is empty.
            conn.begin_frame(&header(0x42, 3)).unwrap();
            conn.send_payload(b"abc").unwrap();
            assert_eq!(conn.buffered_amount(), 3);
            conn.close(1000, "").unwrap();
            drain(&mut conn);
            assert_eq!(conn.buffered_amount(), 0);
        }
    }

    #[test]
    fn compressed_text_is_not_checked_and_its_size_is_not_limited() {
        // Documented: only the peer that inflates can check them.
        for role in ROLES {
            let config = frames().max_message_bytes(10).max_frame_bytes(100);
            let mut conn = open_deflate(role, DeflateParams::default(), config);
            let bytes = to(role, 0xc1, &[0xff; 100]);
            let [Got::Frame(header, payload)] = &receive_pieces(&mut conn, &[&bytes])[..] else {
                panic!()
            };
            assert_eq!((header.rsv, payload.len()), (4, 100));
        }
    }
}
