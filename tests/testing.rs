//! Tests of the module `testing`: a run can be repeated to the byte, each harm to a wire gives the right error, the
//! scripted peer sends what it is told to, and a script notices a broken promise.
#![cfg(feature = "testing")]

mod util;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use util::{ROLES, builder, config, other, read_frames};
use websocket_proto::testing::{
    Arrival, ChunkSize, Endpoint, Length, Link, Mask, Pair, RawFrame, RequestFlaw, ResponseFlaw,
    Script, ScriptedPeer, Step, Wire,
};
use websocket_proto::{
    Accept, CloseCause, Closed, Config, Connection, Delivery, Event, FrameHeader, HandshakeError,
    MAX_HEADER_BYTES, Message, MessageKind, Opcode, ProtocolError, Role, State, Timeout, Timestamp,
    UsageError,
};

/// A change to a wire.
type Harm = fn(&mut Wire);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The texts of the text messages among these events.
fn texts<'a>(events: &'a [Event<'static>]) -> Vec<&'a str> {
    let mut texts = Vec::new();
    for event in events {
        if let Event::Message(Message::Text(text)) = event {
            texts.push(&text[..]);
        }
    }
    texts
}

/// The last event, which must be `Closed`.
fn closed<'a>(events: &'a [Event<'static>]) -> &'a Closed {
    let Some(Event::Closed(closed)) = events.last() else {
        panic!("the last of {events:?} is not Closed")
    };
    closed
}

/// An open pair with unchanged wires.
fn open_pair() -> Pair {
    Pair::open(1, Config::default(), Config::default())
}

/// A conversation over corrupted wires. Returns for each role the written bytes, the received bytes, and the events.
fn conversation(seed: u64) -> [(Vec<u8>, Vec<u8>, String); 2] {
    let mut pair = Pair::new(seed);
    for role in ROLES {
        pair.wire(role)
            .chunk_reads(ChunkSize::Random(50))
            .chunk_writes(ChunkSize::Random(20))
            .delay(ms(30));
        pair.on_event(role, |conn, event| match event {
            Event::UpgradeRequest(_) => conn.accept(&Accept::new()).unwrap(),
            Event::Message(message) if message.len() < 200 => {
                let _ = conn.send(format!("{} and more", message.as_text().unwrap_or("")));
            }
            _ => {}
        });
    }
    pair.run_until_idle();
    pair.wire(Role::Server).corrupt(100, seed);
    pair.client().send("a word").unwrap();
    pair.advance(ms(1000));
    let _ = pair.server().close(1000, "");
    pair.run(ms(20_000));
    ROLES.map(|role| {
        let wire = pair.wire(role);
        let bytes = (wire.written().to_vec(), wire.received().to_vec());
        (bytes.0, bytes.1, format!("{:?}", pair.endpoint(role).events()))
    })
}

#[test]
fn same_seed_gives_the_same_run() {
    let first = conversation(7);
    assert!(first == conversation(7));
    assert!(first != conversation(8));
    assert!(first[0].0 != first[0].1, "the server's bytes are not corrupted");
    assert!(first[1].0 == first[1].1, "the client's bytes are corrupted");
}

#[test]
fn seed_decides_keys_and_cuts() {
    let run = |seed| {
        let config = Config::builder().delivery(Delivery::Chunks).build().unwrap();
        let mut pair = Pair::open(seed, config.clone(), config);
        for role in ROLES {
            pair.wire(role).chunk_reads(ChunkSize::Random(20));
            pair.endpoint(role).conn().send([b'x'; 200].as_slice()).unwrap();
        }
        pair.run_until_idle();
        let sizes = ROLES.map(|role| format!("{:?}", pair.take_events(role)));
        (pair.transcript(Role::Client).to_vec(), sizes)
    };
    let [(keys, [server, client]), (other_keys, [other_server, other_client])] = [1, 2].map(run);
    assert!(keys != other_keys && server != other_server && client != other_client);
    assert!(server != client, "both wires make the same random cuts");
}

#[test]
fn bytes_to_an_aborted_end_are_not_waited_for() {
    let mut pair = open_pair();
    pair.wire(Role::Client).delay(ms(100));
    pair.client().send("late").unwrap();
    pair.server().abort();
    pair.run_until_idle();
    assert!(pair.endpoint(Role::Server).is_done());
    assert_eq!(pair.now(), Timestamp::default());
}

#[test]
fn deadlines_are_kept_while_bytes_are_in_flight() {
    let config = Config::builder().keepalive_interval(ms(100)).build().unwrap();
    let mut pair = Pair::open(1, Config::default(), config);
    pair.wire(Role::Client).delay(ms(250));
    pair.client().send("slow").unwrap();
    // Without the abort, pings and late pongs would keep the pair busy for ever.
    pair.on_event(Role::Client, |conn, event| {
        if let Event::Ping(_) = event {
            conn.abort();
        }
    });
    pair.run_until_idle();
    // The ping came at 100 ms, and the client aborted. The end arrives 250 ms later.
    assert_eq!(pair.now(), Timestamp::from_millis(100 + 250));
    let pings = pair.take_events(Role::Client);
    assert!(matches!(pings[..], [Event::Ping(_), Event::Closed(_)]), "{pings:?}");
}

#[test]
fn wire_cuts_reads_and_writes_as_configured() {
    for (chunking, most, exact) in [
        (ChunkSize::Whole, 100, true),
        (ChunkSize::Fixed(1), 1, true),
        (ChunkSize::Fixed(7), 7, false),
        (ChunkSize::Fixed(0), 1, true),
        (ChunkSize::Random(9), 9, false),
    ] {
        let bytes: Vec<u8> = (0..100).collect();
        let now = Timestamp::default();
        let (mut writes, mut wire) = (Wire::new(3), Wire::new(3));
        writes.chunk_writes(chunking);
        wire.chunk_reads(chunking);
        assert_eq!(wire.write(now, &bytes), Ok(100));
        let mut sizes = [Vec::new(), Vec::new()];
        let mut buf = [0; 200];
        while let Arrival::Bytes(n) = wire.read(now, &mut buf) {
            sizes[0].push(n);
        }
        while writes.written().len() < 100 {
            let n = writes.write(now, &bytes[writes.written().len()..]).unwrap();
            sizes[1].push(n);
        }
        assert_eq!((wire.received(), writes.written()), (&bytes[..], &bytes[..]));
        for sizes in sizes {
            assert!(
                sizes.iter().all(|size| *size <= most && (!exact || *size == most)),
                "{sizes:?}"
            );
            assert!(sizes.len() > 1 || most == 100);
            let distinct: std::collections::BTreeSet<_> = sizes.iter().collect();
            assert!(chunking != ChunkSize::Random(9) || distinct.len() > 3, "{sizes:?}");
        }
    }
}

#[test]
fn cuts_and_latency_change_nothing_but_the_time() {
    let run = |chunking, latency| {
        let mut pair = Pair::new(5);
        for role in ROLES {
            pair.wire(role).chunk_reads(chunking).chunk_writes(chunking).delay(latency);
        }
        pair.run_until_idle();
        let opened = pair.now().since_epoch();
        pair.client().send("one").unwrap();
        pair.client().ping(b"?").unwrap();
        pair.server().send("two").unwrap();
        pair.run_until_idle();
        pair.client().close(1000, "over").unwrap();
        assert!(pair.run(ms(10_000)));
        assert_eq!(pair.server().state(), State::Closed);
        let seen = ROLES.map(|role| format!("{:?}", pair.take_events(role)));
        (seen, ROLES.map(|role| pair.transcript(role).to_vec()), opened)
    };
    let (seen, transcripts, opened) = run(ChunkSize::Whole, ms(0));
    assert_eq!(opened, ms(0));
    for chunking in [ChunkSize::Fixed(1), ChunkSize::Fixed(3), ChunkSize::Random(4)] {
        assert!(run(chunking, ms(70)) == (seen.clone(), transcripts.clone(), ms(140)));
    }
}

#[test]
fn bytes_arrive_after_their_latency_and_in_order() {
    let mut pair = open_pair();
    pair.wire(Role::Client).delay(ms(100));
    pair.client().send("slow").unwrap();
    pair.advance(ms(10));
    pair.wire(Role::Client).delay(ms(0));
    pair.client().send("fast").unwrap();
    pair.advance(ms(89));
    assert_eq!(texts(pair.endpoint(Role::Server).events()), [""; 0]);
    pair.advance(ms(1));
    assert_eq!(texts(pair.endpoint(Role::Server).events()), ["slow", "fast"]);
    assert_eq!(pair.now(), Timestamp::from_millis(100));
}

#[test]
fn truncated_or_broken_wire_ends_without_a_close() {
    // rfc6455-7.1.5-03
    for (breaks, cause) in [(false, CloseCause::TransportEnded), (true, CloseCause::Aborted)] {
        for writer in ROLES {
            let mut pair = open_pair();
            let wire = pair.wire(writer);
            let _ = if breaks { wire.break_off(3) } else { wire.truncate(3) };
            pair.endpoint(writer).conn().send("Hello").unwrap();
            pair.run_until_idle();
            assert_eq!(pair.wire(writer).received().len(), 3);
            let events = pair.take_events(other(writer));
            assert_eq!(events.len(), 1);
            assert_eq!((closed(&events).code().get(), closed(&events).cause()), (1006, &cause));
        }
    }
}

#[test]
fn loop_ends_after_a_failed_write() {
    // rfc6455-7.1.5-03, rfc6455-7.1.5-01: the peer's Close is received if it arrives before the close timeout
    for writer in ROLES {
        for says in [Some(1009), None] {
            let mut pair = open_pair();
            pair.wire(writer).fail_writes(3);
            pair.endpoint(writer).conn().send("Hello").unwrap();
            pair.run_until_idle();
            assert_eq!(pair.transcript(writer).len(), 3);
            assert_eq!(pair.endpoint(writer).conn().state(), State::Closing);
            let peer = pair.endpoint(other(writer)).conn();
            peer.send("before").unwrap();
            if let Some(code) = says {
                peer.close(code, "").unwrap();
            }
            pair.run(ms(5000));
            assert_eq!(pair.endpoint(writer).is_done(), says.is_some() && writer == Role::Server);
            pair.run(ms(10_000));
            let events = pair.take_events(writer);
            assert_eq!(texts(&events), ["before"]);
            let end = closed(&events);
            let expected = match says {
                Some(code) => (code, true, &CloseCause::Peer),
                None => (1006, false, &CloseCause::TimedOut(Timeout::Close)),
            };
            assert_eq!((end.code().get(), end.is_clean(), end.cause()), expected, "{writer:?}");
            assert!(pair.endpoint(writer).is_done());
        }
    }
}

#[test]
fn changed_bytes_fail_the_receiver() {
    let (reserved, opcode) = (ProtocolError::ReservedBits { first_byte: 0xa1 }, 0x83);
    for writer in ROLES {
        let harms: [(Harm, ProtocolError); 3] = [
            (|wire| _ = wire.flip(0, 0x20), reserved.clone()),
            (
                |wire| _ = wire.replace(0, 0x83),
                ProtocolError::ReservedOpcode { opcode: opcode & 15 },
            ),
            (
                |wire| _ = wire.flip(1, 0x80),
                match writer {
                    Role::Client => ProtocolError::UnmaskedFrame,
                    Role::Server => ProtocolError::MaskedFrame,
                },
            ),
        ];
        for (harm, error) in harms {
            let mut pair = open_pair();
            harm(pair.wire(writer));
            pair.endpoint(writer).conn().send("Hello").unwrap();
            pair.run_until_idle();
            assert_eq!(
                pair.transcript(writer)[0],
                0x81,
                "the transcript has the changed byte, not the written one"
            );
            let events = pair.take_events(other(writer));
            assert_eq!(*closed(&events).cause(), CloseCause::Protocol(error));
            let events = pair.take_events(writer);
            assert_eq!((closed(&events).code().get(), closed(&events).is_clean()), (1002, true));
        }
    }
}

#[test]
fn full_wire_accepts_no_more_bytes() {
    let mut pair = open_pair();
    pair.wire(Role::Server).limit(1000).delay(ms(10));
    pair.server().send(vec![1; 100_000]).unwrap();
    pair.advance(ms(9));
    assert_eq!(pair.transcript(Role::Server).len(), 1000);
    assert!(!pair.server().is_writable() && pair.server().buffered_amount() == 100_010 - 1000);
    pair.advance(ms(10));
    assert_eq!(pair.transcript(Role::Server).len(), 2000);
    pair.run_until_idle();
    assert!(pair.server().is_writable());
    assert_eq!(pair.now().since_epoch(), ms(10 * 101));
    let events = pair.take_events(Role::Client);
    assert!(matches!(&events[..], [Event::Message(message)] if message.len() == 100_000));
}

#[test]
fn advancing_time_causes_timeouts_and_pings() {
    // The server does not answer the request.
    let mut pair = Pair::new(1);
    pair.on_event(Role::Server, |_, _| {});
    pair.advance(ms(10_000));
    assert_eq!(pair.endpoint(Role::Client).events().len(), 0);
    // The first tick at a deadline ends nothing.
    pair.advance(ms(1));
    for role in ROLES {
        let events = pair.take_events(role);
        assert_eq!(*closed(&events).cause(), CloseCause::TimedOut(Timeout::Handshake), "{role:?}");
    }
    // A ping in every silence.
    let config = Config::builder().keepalive_interval(ms(100)).build().unwrap();
    let mut pair = Pair::open(1, Config::default(), config);
    pair.advance(ms(1050));
    let events = pair.take_events(Role::Client);
    assert!(events.len() == 10 && events.iter().all(|event| matches!(event, Event::Ping(_))));
    // The peer's answer to the Close does not arrive in time.
    let mut pair = open_pair();
    pair.wire(Role::Client).delay(ms(60_000));
    pair.server().close(1000, "").unwrap();
    assert!(!pair.run(ms(4999)) && pair.run(ms(60_000)));
    let events = pair.take_events(Role::Server);
    assert_eq!(*closed(&events).cause(), CloseCause::TimedOut(Timeout::Close));
}

#[test]
fn request_is_answered_by_the_reaction_or_later() {
    let mut pair = Pair::new(1);
    pair.on_event(Role::Server, |conn, event| {
        if matches!(event, Event::UpgradeRequest(_)) {
            conn.respond(403).unwrap();
        }
    });
    assert!(pair.run(ms(10)));
    assert_eq!(*closed(pair.endpoint(Role::Server).events()).cause(), CloseCause::Rejected);

    let mut pair = Pair::new(1);
    let seen = Rc::new(Cell::new(0));
    let counter = seen.clone();
    pair.on_event(Role::Server, move |_, _| counter.set(counter.get() + 1));
    pair.run_until_idle();
    assert_eq!((seen.get(), pair.client().state()), (1, State::Connecting));
    pair.server().accept(&Accept::new()).unwrap();
    pair.run_until_idle();
    assert_eq!(pair.client().state(), State::Open);
    assert_eq!(pair.client().send("x").and_then(|()| pair.server().send("y")), Ok(()));
}

#[test]
#[should_panic(expected = "still busy")]
fn endless_answers_panic_instead_of_hanging() {
    let mut pair = open_pair();
    for role in ROLES {
        pair.on_event(role, |conn, event| {
            if let Event::Message(message) = event {
                conn.send(message).unwrap();
            }
        });
    }
    pair.limit_turns(1000);
    pair.client().send("for ever").unwrap();
    pair.run_until_idle();
}

#[test]
#[should_panic(expected = "still busy")]
fn pings_more_often_than_the_latency_panic_instead_of_hanging() {
    let config = Config::builder().keepalive_interval(ms(100)).build().unwrap();
    let mut pair = Pair::open(1, Config::default(), config);
    pair.limit_turns(1000);
    pair.wire(Role::Client).delay(ms(250));
    pair.client().send("slow").unwrap();
    pair.run_until_idle();
}

#[cfg(feature = "std")]
#[test]
fn users_loop_exchanges_bytes_with_an_endpoint_over_io() {
    use std::io::{ErrorKind, Read, Write};

    let mut link = Link::new(2);
    link.wire(Role::Client).chunk_writes(ChunkSize::Fixed(3));
    link.wire(Role::Server).delay(ms(5)).chunk_reads(ChunkSize::Fixed(10));
    let conn = Connection::from_upgrade(Role::Server, Config::default()).unwrap();
    let mut server = Endpoint::new(conn);
    server.conn().send("Hello").unwrap();
    let bytes = RawFrame::close(1000, "").encode(Role::Client);
    link.end(Role::Client).write_all(&bytes).unwrap();
    let mut buf = [0; 100];
    while server.turn(&mut link) {}
    let error = link.end(Role::Client).read(&mut buf).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    link.pass(ms(5));
    let mut got = Vec::new();
    assert_eq!(link.end(Role::Client).read_to_end(&mut got).unwrap(), 11);
    assert_eq!(got, b"\x81\x05Hello\x88\x02\x03\xe8");
    assert!(server.is_done());
    // A full wire, and a broken one.
    let mut link = Link::new(2);
    link.wire(Role::Client).limit(4).break_off(2);
    link.wire(Role::Server).limit(1);
    assert_eq!(link.end(Role::Server).write(b"12").unwrap(), 1);
    let error = link.end(Role::Server).write(b"2").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(link.end(Role::Client).write(b"1234").unwrap(), 4);
    // Bytes after the break are discarded, so they need no room.
    assert_eq!(link.end(Role::Client).write(b"567").unwrap(), 2);
    assert_eq!(link.end(Role::Server).read(&mut buf).unwrap(), 2);
    let error = link.end(Role::Server).read(&mut buf).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
#[should_panic(expected = "after a half-close")]
fn write_after_a_half_close_panics() {
    let mut link = Link::new(1);
    link.end(Role::Client).shut_down();
    link.end(Role::Client).try_write(b"late").expect("the wire is not broken");
}

#[test]
fn raw_frame_is_encoded_and_decoded_unchanged() {
    // The examples of RFC 6455 5.7, and lengths in every encoding.
    assert_eq!(
        RawFrame::text("Hello").encode(Role::Client),
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
    );
    assert_eq!(RawFrame::text("Hel").unfinished().encode(Role::Server), b"\x01\x03Hel");
    assert_eq!(RawFrame::continuation("lo").encode(Role::Server), b"\x80\x02lo");
    assert_eq!(
        RawFrame::new(3, []).rsv(7).length(Length::Claimed(1 << 63)).encode(Role::Server),
        [0xf3, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]
    );
    for len in [0, 1, 125, 126, 65_535, 65_536] {
        for length in [Length::Shortest, Length::SixteenBit, Length::SixtyFourBit] {
            for mask in [Mask::Unmasked, Mask::Key([1, 2, 3, 4])] {
                if length == Length::SixteenBit && len > 65_535 {
                    continue;
                }
                let frame = RawFrame::binary(vec![7; len]).rsv(5).length(length).mask(mask);
                let mut bytes = frame.encode(Role::Server);
                let size = bytes.len();
                assert_eq!(RawFrame::decode(&bytes[..size - 1]), None);
                bytes.push(0);
                let (read, end) = RawFrame::decode(&bytes).unwrap();
                assert_eq!((read.parts(), read.mask, end), (frame.parts(), mask, size));
                assert_eq!(read.encode(Role::Server), bytes[..size], "{frame:?}");
                // The frame parser of the other tests gives the same payload.
                assert_eq!(read_frames(&bytes[..size])[0].payload, frame.payload);
            }
        }
    }
}

#[test]
fn scripted_frames_give_the_right_error() {
    // rfc6455-5.1-02, rfc6455-5.1-05, rfc6455-5.2-03, rfc6455-5.2-04, rfc6455-5.2-08, rfc6455-5.2-10, rfc6455-5.4-03,
    // rfc6455-5.4-04, rfc6455-5.4-06, rfc6455-5.4-07, rfc6455-5.5-01
    use ProtocolError::*;
    let text = || RawFrame::text("ab");
    for role in ROLES {
        let (wrong_mask, error) = match role {
            Role::Server => (Mask::Unmasked, UnmaskedFrame),
            Role::Client => (Mask::Key([0; 4]), MaskedFrame),
        };
        let rows: Vec<(Vec<RawFrame>, ProtocolError)> = vec![
            (vec![text().mask(wrong_mask)], error),
            (vec![text().rsv(4)], ReservedBits { first_byte: 0xc1 }),
            (vec![RawFrame::new(11, "")], ReservedOpcode { opcode: 11 }),
            (vec![text().length(Length::SixteenBit)], NonMinimalLength),
            (vec![text().length(Length::SixtyFourBit)], NonMinimalLength),
            (vec![text().length(Length::Claimed(1 << 63))], LengthOutOfRange),
            (vec![RawFrame::ping("?").unfinished()], FragmentedControl { opcode: 9 }),
            (vec![RawFrame::pong([0; 126])], ControlTooLong { opcode: 10 }),
            (vec![RawFrame::continuation("")], UnexpectedContinuation),
            (vec![text().unfinished(), RawFrame::binary("")], UnfinishedMessage),
            (vec![RawFrame::text("\u{e9}"), RawFrame::new(1, [0xff])], InvalidUtf8),
            (vec![RawFrame::new(8, [3])], CloseTooShort),
            (vec![RawFrame::close(1005, "")], InvalidCloseCode { code: 1005 }),
        ];
        for (frames, error) in rows {
            let mut peer = ScriptedPeer::open(other(role));
            let mut conn = util::open(role);
            let last = frames.last().unwrap().clone();
            for frame in &frames {
                peer.send(frame);
            }
            let events = peer.exchange(&mut conn);
            assert_eq!(
                *closed(&events).cause(),
                CloseCause::Protocol(error.clone()),
                "{role:?} {last:?}"
            );
            let answer = peer.next_frame().unwrap();
            let code = error.close_code().unwrap().get();
            assert_eq!(answer.parts(), RawFrame::close(code, "").parts());
            assert_eq!(answer.mask == Mask::Unmasked, role == Role::Server);
            assert_eq!((peer.next_frame(), peer.rest()), (None, &[][..]));
        }
        // The same frame without the flaw.
        let mut peer = ScriptedPeer::open(other(role));
        let mut conn = util::open(role);
        peer.send(&text().unfinished())
            .send(&RawFrame::ping("?"))
            .send(&RawFrame::continuation("c"));
        peer.send(&RawFrame::close(1000, "over")).end();
        let events = peer.exchange(&mut conn);
        assert_eq!(texts(&events), ["abc"]);
        assert_eq!((closed(&events).is_clean(), closed(&events).code().get()), (true, 1000));
        assert_eq!(peer.next_frame().unwrap().parts(), (0x8a, &b"?"[..]));
        assert_eq!(peer.next_frame().unwrap().parts(), (0x88, &b"\x03\xe8"[..]));
        assert!(conn.is_finished() && peer.has_heard_the_end());
    }
}

#[test]
fn scripted_requests_get_the_right_answer() {
    for (flaw, status) in [
        (None, 101),
        (Some(RequestFlaw::Post), 405),
        (Some(RequestFlaw::Http10), 505),
        (Some(RequestFlaw::NoHost), 400),
        (Some(RequestFlaw::NoUpgrade), 404),
        (Some(RequestFlaw::NoConnection), 400),
        (Some(RequestFlaw::NoKey), 400),
        (Some(RequestFlaw::ShortKey), 400),
        (Some(RequestFlaw::OldVersion), 426),
        (Some(RequestFlaw::Body), 400),
        (Some(RequestFlaw::BareLineFeed), 400),
    ] {
        let mut peer = ScriptedPeer::new(Role::Client);
        let mut conn = Connection::server(Config::default());
        peer.send_request(flaw);
        let events = peer.exchange(&mut conn);
        let head = peer.head().unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{flaw:?}: {head}");
        assert_eq!(peer.is_accepted(), flaw.is_none());
        assert_eq!(
            events.len(),
            if flaw.is_none() { 1 } else { events.len().max(1) },
            "{events:?}"
        );
        assert_eq!(conn.state() == State::Open, flaw.is_none());
    }
}

#[test]
fn scripted_responses_give_the_right_error() {
    use HandshakeError::*;
    type IsIt = fn(&HandshakeError) -> bool;
    let rows: [(ResponseFlaw, IsIt); 9] = [
        (
            ResponseFlaw::Status200,
            |error| matches!(error, Refused(refusal) if refusal.status() == 200),
        ),
        (ResponseFlaw::Http10, |error| matches!(error, HttpVersion { major: 1, minor: 0 })),
        (ResponseFlaw::NoUpgrade, |error| matches!(error, UpgradeNotWebSocket)),
        (ResponseFlaw::NoConnection, |error| matches!(error, ConnectionNotUpgrade)),
        (ResponseFlaw::NoAccept, |error| matches!(error, MissingAccept)),
        (ResponseFlaw::WrongAccept, |error| matches!(error, WrongAccept)),
        (ResponseFlaw::Subprotocol, |error| matches!(error, SubprotocolNotOffered { .. })),
        (ResponseFlaw::Extension, |error| matches!(error, ExtensionNotOffered { .. })),
        (ResponseFlaw::BareLineFeed, |error| matches!(error, BareLineFeed { .. })),
    ];
    let talk = |flaw| {
        let request = websocket_proto::ClientRequest::new("ws://a.test/").unwrap();
        let mut end = Endpoint::new(Connection::client(&request, config()).unwrap());
        let mut peer = ScriptedPeer::new(Role::Server);
        let mut link = Link::new(1);
        link.wire(Role::Server).chunk_reads(ChunkSize::Random(20));
        while end.turn(&mut link) | peer.turn(&mut link) {}
        assert!(peer.head().unwrap().starts_with("GET / HTTP/1.1\r\n"));
        peer.send_response(flaw).send(&RawFrame::text("x")).end();
        while end.turn(&mut link) | peer.turn(&mut link) {}
        end.take_events()
    };
    for (flaw, is_it) in rows {
        let events = talk(Some(flaw));
        let CloseCause::Protocol(ProtocolError::Handshake(error)) = closed(&events).cause() else {
            panic!("{flaw:?}: {events:?}")
        };
        assert!(is_it(error), "{flaw:?}: {error:?}");
    }
    assert_eq!(texts(&talk(None)), ["x"]);
}

#[test]
fn script_reports_the_result_and_the_events_of_each_step() {
    let mut script = Script::new(Role::Client);
    script.handshake = true;
    script.steps = vec![
        Step::Send("early".into()),
        Step::Handshake,
        Step::Send("Hello".into()),
        Step::Fragment { kind: MessageKind::Text, payload: vec![0xff], last: false },
        Step::Frame(RawFrame::text("world").unfinished(), 2),
        Step::Take,
        Step::Write(30),
        Step::Frame(RawFrame::continuation("!"), 1),
        Step::Tick(ms(1)),
        Step::Write(usize::MAX),
        Step::Eof,
    ];
    let run = script.run(config()).unwrap();
    let refused = Err(UsageError::NotOpen(State::Connecting));
    assert_eq!((run.results[0], run.results[3]), (refused, Err(UsageError::InvalidUtf8)));
    assert!(run.results[4..].iter().all(Result::is_ok));
    let [(1, Event::Open(_)), (7, Event::Message(message)), (10, Event::Closed(end))] =
        &run.events[..]
    else {
        panic!("{:?}", run.events)
    };
    assert_eq!((message.as_text(), end.code().get()), (Some("world!"), 1006));
    assert!(run.output.starts_with(b"GET /chat ") && run.conn.is_finished());
    let head = run.output.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(read_frames(&run.output[head..])[0].payload, b"Hello");
}

#[test]
fn script_knows_the_frames_of_messages_that_are_cut() {
    // Bytes that do not compress.
    let bytes: Vec<u8> = (0..1000u32).map(|i| (i.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
    let (kind, payload) = (MessageKind::Binary, bytes.clone());
    let message = Message::from(bytes.clone());
    let steps = [
        Step::Send(message.clone()),
        Step::SendPrepared(message.clone()),
        Step::SendUncompressed(message.clone()),
        Step::SendThrough { message, room: 150 },
        Step::Fragment { kind, payload: payload.clone(), last: false },
        Step::Fragment { kind, payload: payload.clone(), last: true },
        Step::UncompressedFragment { kind, payload: payload.clone(), last: false },
        Step::Fragment { kind, payload, last: true },
        Step::Write(5000),
        Step::Take,
        Step::Write(333),
    ];
    for role in ROLES {
        for is_compressed in [false, true] {
            let mut script = Script::new(role);
            #[cfg(feature = "deflate")]
            if is_compressed {
                script.deflate = Some(websocket_proto::DeflateParams::default());
            }
            script.steps = steps.iter().cycle().take(3 * steps.len()).cloned().collect();
            let config = builder().max_outgoing_frame_bytes(100).build().unwrap();
            let run = script.run(config).unwrap_or_else(|broken| panic!("{broken}"));
            assert!(run.results.iter().all(Result::is_ok), "{:?}", run.results);
            let frames = read_frames(&run.output);
            assert!(frames.len() > 120, "{} frames, {is_compressed}", frames.len());
            assert!(frames.iter().all(|frame| frame.payload.len() <= 100));
        }
    }
    // A fragment that must not be compressed does not continue a message that may be.
    #[cfg(feature = "deflate")]
    {
        let mut script = Script::new(Role::Client);
        script.steps = steps[4..5].iter().chain(&steps[6..7]).cloned().collect();
        let run = script.run(config()).unwrap();
        assert_eq!(run.results, [Ok(()), Err(UsageError::FragmentCompressionChanged)]);
    }
}

#[test]
fn script_sends_through_a_transport_with_any_room() {
    // rfc6455-5.1-01, rfc6455-5.1-04, rfc6455-5.3-05
    for role in ROLES {
        for len in [0, 5, 200, 5000, 40_000] {
            let whole = len + MAX_HEADER_BYTES;
            for room in [0, 1, 2, 3, 5, 7, 9, 100, len / 2, 16_400, whole, usize::MAX] {
                let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
                let message = Message::from(payload.clone());
                let mut script = Script::new(role);
                script.steps = vec![
                    Step::SendThrough { message, room },
                    Step::Ping(b"?".to_vec()),
                    Step::Write(1),
                    Step::SendThrough { message: "after".into(), room },
                    Step::Frame(RawFrame::ping("!"), 1),
                ];
                let run = script.run(config()).unwrap_or_else(|e| panic!("{len} in {room}: {e}"));
                assert_eq!(run.results, [Ok(()); 5]);
                let frames = read_frames(&run.output);
                let data: Vec<_> = frames.iter().filter(|frame| frame.first & 8 == 0).collect();
                assert_eq!(data.len() + 2, frames.len());
                assert_eq!(data[0].payload, payload, "{len} in {room}");
                assert_eq!(data[1].payload, b"after");
                // A ping goes before a frame if no byte of the frame is written, else after it.
                assert_eq!(frames[0].first == 0x89, room == 0, "{len} in {room}");
            }
        }
    }
}

#[test]
fn script_receives_the_same_from_a_buffer_of_any_size() {
    // rfc6455-5.3-05, rfc6455-5.4-02
    let text = "Hello, w\u{f6}rld \u{20ac} \u{1f600}! ".repeat(4);
    let binary: Vec<u8> = (0..300).map(|i| i as u8).collect();
    for role in ROLES {
        for most in [1, 7, usize::MAX] {
            let mut script = Script::new(role);
            script.steps = vec![
                Step::Frame(RawFrame::text(&text), most),
                Step::Frame(RawFrame::binary(&binary[..]), most),
                Step::Frame(RawFrame::text("a").unfinished(), most),
                Step::Frame(RawFrame::continuation("b"), most),
                Step::Receive(vec![]),
                Step::Frame(RawFrame::new(1, b"cut \xff behind".to_vec()), most),
            ];
            for read_buffer in [None, Some(0), Some(13), Some(14), Some(64), Some(310), Some(9000)]
            {
                for recycle in [false, true] {
                    (script.read_buffer, script.recycle) = (read_buffer, recycle);
                    let run =
                        script.run(config()).unwrap_or_else(|e| panic!("{read_buffer:?}: {e}"));
                    let [
                        (0, Event::Message(first)),
                        (1, Event::Message(second)),
                        (3, Event::Message(third)),
                        (5, Event::Closed(end)),
                    ] = &run.events[..]
                    else {
                        panic!("{read_buffer:?} {most}: {:?}", run.events)
                    };
                    assert_eq!((first.as_text(), third.as_text()), (Some(&text[..]), Some("ab")));
                    assert_eq!(second.as_bytes(), binary);
                    assert_eq!(*end.cause(), CloseCause::Protocol(ProtocolError::InvalidUtf8));
                }
            }
        }
    }
}

#[test]
fn receive_without_input_is_no_sign_of_life() {
    // The peer falls silent within a header, and the loop calls `receive` without new bytes.
    for read_buffer in [None, Some(1000)] {
        let mut script = Script::new(Role::Server);
        script.read_buffer = read_buffer;
        script.steps = vec![Step::Tick(ms(1)), Step::Receive(vec![0x81])];
        for _ in 0..6 {
            script.steps.extend([Step::Tick(ms(20)), Step::Receive(vec![])]);
        }
        let config = builder().idle_timeout(ms(50)).build().unwrap();
        let run = script.run(config).unwrap();
        let [(10, Event::Closed(end))] = &run.events[..] else {
            panic!("{read_buffer:?}: {:?}", run.events)
        };
        assert_eq!(*end.cause(), CloseCause::TimedOut(Timeout::Idle));
    }
}

#[test]
fn script_names_the_step_that_broke_a_promise() {
    // The reaction calls `advance`, which the script does not see, so the connection seems to break a promise.
    for deflate in [false, true] {
        let mut script = Script::new(Role::Server);
        script.steps = vec![
            Step::Send("Hello".into()),
            Step::Frame(RawFrame::text("x"), 1),
            Step::Frame(RawFrame::ping(""), 1),
        ];
        let config = builder()
            .delivery(if deflate { Delivery::Chunks } else { Delivery::Messages })
            .build()
            .unwrap();
        let conn = script.connection(config).unwrap();
        let broken = script.run_with(conn, |conn, event| {
            if let Event::Ping(_) = event {
                conn.advance(3);
            }
        });
        let broken = broken.unwrap_err();
        assert_eq!((broken.index, broken.step.as_ref()), (2, script.steps.last()));
        assert!(broken.to_string().starts_with("step 2 (Frame(Ping(0 bytes) in 1)): "), "{broken}");
    }
}

#[test]
fn script_fails_a_connection_and_checks_that_it_ends() {
    // rfc6455-7.1.7-05, rfc6455-7.1.7-07
    for role in ROLES {
        let mut script = Script::new(role);
        script.steps = vec![
            Step::Fail(1005.into(), String::new()),
            Step::Fail(1008.into(), "quota".into()),
            Step::Frame(RawFrame::text("late"), 1),
        ];
        assert!(script.steps[1].is_call());
        let run = script.run(config()).unwrap_or_else(|broken| panic!("{broken}"));
        let refused = Err(UsageError::CloseCodeNotSendable(1005.into()));
        assert_eq!(run.results, [refused, Ok(()), Ok(())], "{role:?}");
        let [(1, Event::Closed(closed))] = &run.events[..] else { panic!("{:?}", run.events) };
        assert_eq!(*closed.cause(), CloseCause::Failed);
        assert_eq!(closed.sent_code().map(|code| code.get()), Some(1008));
        assert_eq!(read_frames(&run.output)[0].payload, b"\x03\xf0quota", "{role:?}");
    }
}

#[test]
fn script_sends_frames_in_pieces_and_accounts_for_them() {
    // rfc6455-5.4-06, rfc6455-5.5.1-12
    let header = |opcode, fin, payload_len| {
        Step::BeginFrame(FrameHeader { fin, rsv: 0, opcode, mask: None, payload_len })
    };
    for role in ROLES {
        let mut script = Script::new(role);
        script.steps = vec![
            header(Opcode::Text, false, 5),
            Step::SendPayload(b"He".to_vec()),
            Step::Write(4),
            Step::Frame(RawFrame::ping("waits"), 1),
            Step::Send("not within a frame".into()),
            Step::Write(usize::MAX),
            Step::SendPayload(b"llo!".to_vec()),
            Step::SendPayload(b"llo".to_vec()),
            Step::Take,
            header(Opcode::Continuation, true, 2),
            Step::Close(1000.into(), "waits".into()),
            Step::SendPayload(b"!".to_vec()),
            Step::Write(usize::MAX),
            Step::SendPayload(b"!".to_vec()),
        ];
        assert!(script.steps[0].is_call() && script.steps[1].is_call());
        let run = script.run(config()).unwrap_or_else(|broken| panic!("{broken}"));
        let refused: Vec<_> = run.results.iter().filter_map(|result| result.err()).collect();
        let expected =
            [UsageError::MessageUnfinished, UsageError::PayloadTooLong { len: 4, left: 3 }];
        assert_eq!(refused, expected);
        let sent: Vec<_> =
            read_frames(&run.output).into_iter().map(|f| (f.first, f.payload)).collect();
        let expected: [(u8, &[u8]); 4] =
            [(0x01, b"Hello"), (0x8a, b"waits"), (0x80, b"!!"), (0x88, b"\x03\xe8waits")];
        assert_eq!(sent, expected.map(|(first, bytes)| (first, bytes.to_vec())), "{role:?}");
    }
}

#[test]
fn script_accounts_for_what_a_reaction_sends() {
    let mut script = Script::new(Role::Server);
    script.steps = vec![
        Step::Frame(RawFrame::text("x"), 1),
        Step::Frame(RawFrame::ping(""), 1),
        Step::Write(1),
        Step::Frame(RawFrame::text("y"), 1),
        Step::Write(usize::MAX),
        Step::Abort,
    ];
    let conn = script.connection(config()).unwrap();
    let run = script.run_with(conn, |conn, event| match event {
        Event::Message(message) => {
            conn.send(message).unwrap();
            conn.send_fragment(MessageKind::Text, b"...", true).unwrap();
        }
        Event::Ping(_) => (0..20).for_each(|_| conn.pong(b"extra").unwrap()),
        _ => {}
    });
    let run = run.unwrap();
    assert_eq!(run.conn.buffered_amount(), 0);
    assert_eq!(read_frames(&run.output).len(), 4 + 1 + 20);
}

/// Values from a fuzzer's bytes.
#[cfg(feature = "arbitrary")]
mod arbitrary_values {
    use super::*;
    use arbitrary::{Arbitrary, Unstructured};
    use websocket_proto::CloseCode;

    /// Pseudo-random bytes, the same in every run.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    /// Makes values from `noise`. Asserts that each uses as many bytes as `size_hint` says, and that all `expected`
    /// classes occur.
    fn values<T: for<'a> Arbitrary<'a>>(expected: usize, class: impl Fn(&T) -> usize) {
        let mut seen = vec![false; expected];
        for seed in 0..600 {
            let bytes = noise(seed, 400);
            let mut source = Unstructured::new(&bytes);
            let value = T::arbitrary(&mut source).unwrap();
            let used = bytes.len() - source.len();
            let (least, most) = T::size_hint(0);
            assert!(
                most.is_none_or(|most| used <= most),
                "{used} bytes used, at most {most:?} expected"
            );
            assert!(used >= least, "{used} bytes used, at least {least} expected");
            seen[class(&value)] = true;
        }
        assert!(seen.iter().all(|seen| *seen), "{}: {seen:?}", std::any::type_name::<T>());
        assert!(T::arbitrary(&mut Unstructured::new(&[])).is_ok(), "empty input makes no value");
    }

    #[test]
    fn public_values_come_in_all_kinds_and_are_valid() {
        values::<Role>(2, |role| *role as usize);
        values::<MessageKind>(2, |kind| *kind as usize);
        values::<Opcode>(2, |opcode| usize::from(opcode.is_control()));
        values::<CloseCode>(2, |code| usize::from(code.is_sendable_by(Role::Client)));
        values::<Message<'static>>(2, |message| usize::from(message.as_text().is_some()));
        values::<Config>(2, |config| {
            assert!(matches!(config.entropy(), websocket_proto::Entropy::Seed(_)));
            assert!(
                config.max_message_bytes() <= 1 << 20 && config.max_outgoing_bytes() <= 1 << 20
            );
            usize::from(config.delivery() == Delivery::Chunks)
        });
        values::<Config>(2, |config| usize::from(config.answer_pings()));
        values::<Config>(2, |config| usize::from(config.answer_close()));
        values::<Config>(2, |config| usize::from(config.measure_round_trip()));
        values::<Config>(2, |config| usize::from(config.count_traffic()));
        values::<Config>(2, |config| usize::from(config.pong_timeout().is_some()));
        values::<FrameHeader>(3, |header| {
            let mut bytes = [0; MAX_HEADER_BYTES];
            let size = header.encode(&mut bytes);
            assert_eq!(FrameHeader::decode(&bytes[..size]), Ok(Some((*header, size))));
            usize::from(header.payload_len > 125) + usize::from(header.payload_len > 0xffff)
        });
        values::<RawFrame>(2, |frame| usize::from(frame.opcode() & 8 != 0));
        values::<Script>(2, |script| usize::from(script.handshake));
    }

    #[cfg(feature = "deflate")]
    #[test]
    fn parameters_of_compression_are_valid() {
        use websocket_proto::{Deflate, DeflateParams};
        values::<DeflateParams>(8, |params| {
            assert!((8..=15).contains(&params.client_max_window_bits));
            usize::from(params.server_max_window_bits) - 8
        });
        values::<Deflate>(2, |deflate| usize::from(deflate.required));
    }

    #[test]
    fn scripts_from_random_bytes_keep_their_promises() {
        let mut kinds = std::collections::BTreeSet::new();
        let (mut messages, mut released, mut ways) = (0, 0, [[0; 2]; 2]);
        let mut closes = 0;
        for seed in 0..300 {
            let bytes = noise(seed, 500);
            let mut source = Unstructured::new(&bytes);
            let config = Config::arbitrary(&mut source).unwrap();
            let script = Script::arbitrary(&mut source).unwrap();
            let run = script.run(config.clone());
            let run =
                run.unwrap_or_else(|broken| panic!("{seed}: {broken}\n{config:?}\n{script:#?}"));
            ways[usize::from(script.read_buffer.is_some())][usize::from(script.recycle)] += 1;
            kinds.extend(
                script.steps.iter().map(std::mem::discriminant).map(|kind| format!("{kind:?}")),
            );
            messages +=
                run.events.iter().filter(|(_, event)| matches!(event, Event::Message(_))).count();
            let is_close = |event| matches!(event, &(_, Event::CloseReceived { .. }));
            closes += run.events.iter().filter(|event| is_close(event)).count();
            released += run.output.len();
        }
        assert!(closes > 0, "the peer's Close is answered by hand");
        assert_eq!(kinds.len(), 25, "the number of kinds of steps that occur");
        assert!(ways.as_flattened().iter().all(|runs| *runs > 5), "ways of receiving: {ways:?}");
        assert!(messages > 150 && released > 100_000, "{messages} messages, {released} bytes");
    }
}
