//! Frames as they are: `Delivery::Frames` receives them, `begin_frame` and `send_payload` send them.

mod util;

use util::*;
use websocket_proto::{
    CloseCause, CloseCode, Closed, Config, ConfigBuilder, Connection, Cut, Delivery, Event,
    FrameHeader, MessageKind, Opcode, ProtocolError, ReadBuffer, Role, State, UsageError,
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
    // rfc6455-5.4-01, rfc6455-5.4-02, rfc6455-5.5-02: fragments, with control frames between them
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
    // rfc6455-5.2-02, rfc6455-5.4-08, rfc6455-5.5-01, rfc6455-8.1-01
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
