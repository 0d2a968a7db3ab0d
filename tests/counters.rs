//! The counters: what one end counts as sent is what is on the wire, and what the other end counts as received.

mod util;

use proptest::prelude::*;
use util::*;
use websocket_proto::testing::Pair;
use websocket_proto::{
    Accept, ClientRequest, Config, Connection, Delivery, Event, FrameHeader, Message, MessageKind,
    Opcode, PreparedMessage, ReadBuffer, Role, Timestamp, Traffic, Upgrade, UsageError,
};

const DELIVERIES: [Delivery; 3] = [Delivery::Messages, Delivery::Chunks, Delivery::Frames];

/// An action at one end.
#[derive(Debug, Clone)]
enum Act {
    /// A message, sent in this way. `room` is what the transport accepts of `send_through`.
    Send {
        way: u8,
        len: usize,
        room: usize,
    },
    /// A message in fragments of these lengths, with writes of at most `n` bytes between them.
    Fragments {
        lens: Vec<usize>,
        n: usize,
        way: u8,
    },
    Ping(usize),
    Pong(usize),
    /// Writes at most this many bytes.
    Write(usize),
    /// Takes a piece, and writes it in two parts.
    Take(usize),
    /// The other end reads at most this many bytes, in pieces of the second number.
    Read(usize, usize),
    Release,
}

fn act() -> impl Strategy<Value = Act> {
    let len = || {
        prop_oneof![
            4 => 0..40usize,
            3 => prop::sample::select(vec![125, 126, 127, 2000, 4096, 70_000]),
        ]
    };
    let amount = || prop::sample::select(vec![1, 2, 3, 7, 50, 5000, 100_000]);
    prop_oneof![
        6 => (0..5u8, len(), amount()).prop_map(|(way, len, room)| Act::Send { way, len, room }),
        4 => (prop::collection::vec(len(), 1..4), amount(), 0..3u8)
            .prop_map(|(lens, n, way)| Act::Fragments { lens, n, way }),
        2 => (0..126usize).prop_map(Act::Ping),
        1 => (0..126usize).prop_map(Act::Pong),
        5 => amount().prop_map(Act::Write),
        2 => amount().prop_map(Act::Take),
        6 => (amount(), amount()).prop_map(|(n, piece)| Act::Read(n, piece)),
        1 => Just(Act::Release),
    ]
}

/// How the program reads.
#[derive(Debug, Clone, Copy)]
enum Reader {
    Slice,
    Buffer,
    AskFirst,
}

struct End {
    conn: Connection,
    buffer: ReadBuffer,
    /// All bytes that were written; the other end has read `..passed`.
    written: Vec<u8>,
    passed: usize,
    /// The payload of all messages that were sent.
    message_bytes: u64,
    /// The messages that the other end has sent, and that were delivered here.
    delivered: u64,
}

impl End {
    fn new(conn: Connection) -> End {
        let buffer = ReadBuffer::with_capacity(200);
        End { conn, buffer, written: Vec::new(), passed: 0, message_bytes: 0, delivered: 0 }
    }

    fn act(&mut self, act: &Act) -> Result<(), UsageError> {
        let payload = vec![b'a'; 70_000];
        match act {
            Act::Send { way, len, room } => {
                let payload = &payload[..*len];
                let text = || std::str::from_utf8(payload).unwrap();
                match way {
                    0 => self.conn.send(text())?,
                    1 => self.conn.send(payload.to_vec())?,
                    2 => self.conn.send_prepared(&PreparedMessage::new(text()))?,
                    #[cfg(feature = "deflate")]
                    3 => self.conn.send_uncompressed(text())?,
                    _ => {
                        let (mut room, written) = (*room, &mut self.written);
                        self.conn.send_through(payload, |header, payload| {
                            let bytes = [header, payload].concat();
                            let n = room.min(bytes.len());
                            room -= n;
                            written.extend_from_slice(&bytes[..n]);
                            Ok::<_, UsageError>(n)
                        })?;
                    }
                }
                self.message_bytes += *len as u64;
            }
            Act::Fragments { lens, n, way } => {
                for (i, len) in lens.iter().enumerate() {
                    let (is_first, last) = (i == 0, i + 1 == lens.len());
                    let payload = &payload[..*len];
                    match way {
                        0 => self.conn.send_fragment(MessageKind::Text, payload, last)?,
                        #[cfg(feature = "deflate")]
                        1 => {
                            let kind = MessageKind::Text;
                            self.conn.send_uncompressed_fragment(kind, payload, last)?;
                        }
                        _ => {
                            self.conn.begin_frame(&FrameHeader {
                                fin: last,
                                rsv: 0,
                                opcode: if is_first {
                                    Opcode::Binary
                                } else {
                                    Opcode::Continuation
                                },
                                mask: None,
                                payload_len: *len as u64,
                            })?;
                            for piece in payload.chunks(len.div_ceil(2).max(1)) {
                                self.write(*n);
                                self.conn.send_payload(piece)?;
                            }
                        }
                    }
                    self.message_bytes += *len as u64;
                    self.write(*n);
                }
            }
            Act::Ping(len) => self.conn.ping(&payload[..*len])?,
            Act::Pong(len) => self.conn.pong(&payload[..*len])?,
            Act::Write(n) => self.write(*n),
            Act::Take(n) => {
                if let Some(segment) = self.conn.take_outgoing() {
                    let n = segment.len().min(*n);
                    self.written.extend_from_slice(&segment);
                    self.conn.advance(n);
                    self.conn.advance(segment.len() - n);
                    self.conn.recycle_segment(segment);
                }
            }
            Act::Release => self.conn.release_memory(),
            Act::Read(..) => unreachable!("it is done by the other end"),
        }
        Ok(())
    }

    /// Writes at most `n` bytes, but all that is possible in one vectored write.
    fn write(&mut self, n: usize) {
        let bytes: Vec<u8> = self.conn.outgoing_chunks().flatten().copied().collect();
        let n = bytes.len().min(n);
        self.written.extend_from_slice(&bytes[..n]);
        self.conn.advance(n);
    }

    fn read(&mut self, mut bytes: &[u8], reader: Reader) {
        while !bytes.is_empty() {
            match reader {
                Reader::Slice => {
                    let mut copy = bytes.to_vec();
                    let mut input = &mut copy[..];
                    while let Some(event) = self.conn.receive(&mut input) {
                        self.delivered += u64::from(matches!(event, Event::Message(_)));
                    }
                    bytes = &[];
                }
                Reader::Buffer | Reader::AskFirst => {
                    let n = self.buffer.fill_from(bytes);
                    bytes = &bytes[n..];
                    loop {
                        if matches!(reader, Reader::AskFirst)
                            && !self.conn.is_event_ready(&mut self.buffer)
                        {
                            break;
                        }
                        let Some(event) = self.conn.receive_from(&mut self.buffer) else { break };
                        self.delivered += u64::from(matches!(event, Event::Message(_)));
                    }
                }
            }
        }
    }
}

/// What these bytes of frames must count, without `message_bytes`.
fn count(mut wire: &[u8]) -> Traffic {
    let mut traffic = Traffic::default();
    traffic.wire_bytes = wire.len() as u64;
    while let Ok(Some((header, size))) = FrameHeader::decode(wire) {
        traffic.frames += 1;
        match header.opcode {
            Opcode::Ping => traffic.pings += 1,
            Opcode::Pong => traffic.pongs += 1,
            Opcode::Close => {}
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                traffic.payload_bytes += header.payload_len;
                traffic.messages += u64::from(header.fin);
            }
        }
        wire = &wire[size + header.payload_len as usize..];
    }
    assert!(wire.is_empty(), "all frames are whole");
    traffic
}

fn open_counting(role: Role, config: Config, compresses: bool) -> Connection {
    let upgrade = Upgrade::new(role);
    #[cfg(feature = "deflate")]
    let upgrade = match compresses {
        true => upgrade.deflate(websocket_proto::DeflateParams::default()),
        false => upgrade,
    };
    let _ = compresses;
    Connection::from_upgrade(upgrade, config).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn both_ends_count_what_is_on_the_wire(
        acts in prop::collection::vec((any::<bool>(), act()), 1..40),
        compresses in any::<bool>(),
        delivery in prop::sample::select(&DELIVERIES[..]),
        reader in prop::sample::select(&[Reader::Slice, Reader::Buffer, Reader::AskFirst][..]),
        longest in prop::sample::select(vec![usize::MAX, 100_000, 1000, 7]),
        pongs in prop::sample::select(vec![1u8, 16]),
    ) {
        let config = builder()
            .count_traffic(true)
            .delivery(delivery)
            .max_outgoing_frame_bytes(longest)
            .max_queued_pongs(pongs);
        #[cfg(feature = "deflate")]
        let config = config.deflate(compresses.then(websocket_proto::Deflate::default));
        let config = config.build().unwrap();
        let mut ends = ROLES.map(|role| End::new(open_counting(role, config.clone(), compresses)));
        let pass = |ends: &mut [End; 2], from: usize, n: usize, piece: usize| {
            let from_end = &mut ends[from];
            let n = n.min(from_end.written.len() - from_end.passed);
            let bytes = from_end.written[from_end.passed..][..n].to_vec();
            from_end.passed += n;
            for piece in bytes.chunks(piece) {
                ends[1 - from].read(piece, reader);
            }
        };
        for (who, act) in &acts {
            let who = usize::from(*who);
            match act {
                Act::Read(n, piece) => pass(&mut ends, 1 - who, *n, *piece),
                // A frame whose payload is sent in pieces cannot be cut.
                Act::Fragments { lens, way, .. }
                    if (*way == 2 || *way == 1 && cfg!(not(feature = "deflate")))
                        && lens.iter().any(|len| *len > longest) => {}
                act => ends[who].act(act).unwrap(),
            }
        }
        for _ in 0..3 {
            for from in 0..2 {
                ends[from].write(usize::MAX);
                pass(&mut ends, from, usize::MAX, 1000);
            }
        }
        for (from, to) in [(0, 1), (1, 0)] {
            prop_assert_eq!(ends[from].conn.outgoing_len(), 0);
            let sent = ends[from].conn.counters().unwrap().sent;
            let mut expected = count(&ends[from].written);
            expected.message_bytes = ends[from].message_bytes;
            prop_assert_eq!(sent, expected);
            if delivery == Delivery::Frames {
                // Frames that are delivered as they are are not inflated.
                expected.message_bytes = expected.payload_bytes;
            }
            prop_assert_eq!(ends[to].conn.counters().unwrap().received, expected);
            if delivery == Delivery::Messages {
                prop_assert_eq!(ends[to].delivered, expected.messages);
            }
        }
    }
}

#[test]
fn without_the_setting_there_are_no_counters() {
    for role in ROLES {
        let mut conn = open(role);
        conn.send("Hello").unwrap();
        drain(&mut conn);
        feed(&mut conn, &to(role, 0x81, b"Hello"), &mut Log::default());
        assert_eq!(conn.counters(), None, "{role:?}");
    }
}

#[test]
fn the_opening_handshake_is_not_counted() {
    let config = builder().count_traffic(true).build().unwrap();
    let mut pair = Pair::with_configs(1, config.clone(), config.clone());
    pair.run_until_idle();
    for conn in [pair.client().counters(), pair.server().counters()] {
        assert_eq!(conn, Some(Default::default()));
    }
    pair.server().send("Hello").unwrap();
    pair.run_until_idle();
    assert_eq!(pair.server().counters().unwrap().sent.wire_bytes, 7);
    assert_eq!(pair.client().counters().unwrap().received.wire_bytes, 7);

    // Frames that come in one read with the request, or that go out in one write with the response.
    let mut client =
        Connection::client(&ClientRequest::new("ws://peer.test/").unwrap(), config.clone())
            .unwrap();
    let mut server = Connection::server(config);
    let mut early = drain(&mut client);
    early.extend(to(Role::Server, 0x81, b"early"));
    let mut input = &mut early[..];
    assert!(matches!(server.receive(&mut input), Some(Event::UpgradeRequest(_))));
    assert!(server.receive(&mut input).is_none());
    server.accept(&Accept::new()).unwrap();
    assert!(
        matches!(server.poll_event(), Some(Event::Message(Message::Text(text))) if text == "early")
    );
    server.send("Hello").unwrap();
    let mut response = drain(&mut server);
    while client
        .receive(&mut &mut response[..])
        .is_some_and(|event| !matches!(event, Event::Message(_)))
    {
        let behind = response.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        response.drain(..behind);
    }
    let (server, client) = (server.counters().unwrap(), client.counters().unwrap());
    assert_eq!((server.received.messages, server.received.wire_bytes), (1, 11));
    assert_eq!((server.sent.messages, server.sent.wire_bytes), (1, 7));
    assert_eq!((client.received, client.sent), (server.sent, Traffic::default()));
}

#[test]
fn what_is_dropped_from_the_queue_is_not_counted_and_the_counts_stay() {
    type End = fn(&mut Connection);
    let ends: [End; 2] = [Connection::abort, Connection::write_closed];
    for (role, end) in ROLES.into_iter().flat_map(|role| ends.map(|end| (role, end))) {
        let mut conn = open_with(role, builder().count_traffic(true).build().unwrap());
        conn.send("Hello").unwrap();
        conn.send("dropped").unwrap();
        conn.advance(if role == Role::Server { 7 } else { 11 } + 1);
        feed(&mut conn, &to(role, 0x89, b"ping"), &mut Log::default());
        end(&mut conn);
        conn.release_memory();
        let counters = conn.counters().unwrap();
        let sent = counters.sent;
        assert_eq!((sent.messages, sent.frames, sent.message_bytes, sent.pongs), (1, 1, 5, 0));
        assert_eq!((counters.received.pings, counters.received.frames), (1, 1));
    }
}

#[test]
fn a_close_is_a_frame_and_what_follows_it_is_not_counted() {
    for role in ROLES {
        let mut conn = open_with(role, builder().count_traffic(true).build().unwrap());
        let close = to(role, 0x88, b"\x03\xe8");
        let bytes = [&close[..], &to(role, 0x81, b"Hello")].concat();
        feed(&mut conn, &bytes, &mut Log::default());
        let answer = drain(&mut conn);
        let counters = conn.counters().unwrap();
        for (traffic, bytes) in [(counters.received, &close), (counters.sent, &answer)] {
            assert_eq!(traffic, count(bytes), "{role:?}");
        }
    }
}

#[test]
fn an_idle_connection_that_counts_needs_no_tick() {
    for role in ROLES {
        let mut conn = open_with(role, builder().count_traffic(true).build().unwrap());
        conn.send("Hello").unwrap();
        conn.ping(b"").unwrap();
        let segment = conn.take_outgoing().unwrap();
        conn.advance(segment.len());
        drain(&mut conn);
        let counters = conn.counters();
        let mut now = Timestamp::default();
        let mut ticks = 0;
        while let Some(next) = conn.tick(now) {
            (now, ticks) = (next, ticks + 1);
            assert!(ticks < 10, "{role:?}: nothing is left to be freed");
        }
        assert_eq!(conn.counters(), counters);
    }
}
