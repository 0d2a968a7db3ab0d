//! What is received is a value: it can be copied, compared, used as a key, and shown. Whether it is borrowed does not matter.
//! Which type has which trait is checked in auto_traits.rs.

mod util;

use std::collections::HashSet;
use std::error::Error;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use util::*;
use websocket_proto::handshake::parse_extensions;
use websocket_proto::{
    Accept, Chunk, ClientRequest, CloseCause, Closed, Connection, Delivery, EntropyError, Event,
    HandshakeError, Message, ProtocolError, Role, Timeout,
};

/// All events of `bytes` in two pieces, owned.
fn events(conn: &mut Connection, bytes: &[u8], at: usize) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    for piece in [&bytes[..at], &bytes[at..]] {
        let mut copy = piece.to_vec();
        let mut input = &mut copy[..];
        while let Some(event) = conn.receive(&mut input) {
            let owned = event.clone().into_owned();
            assert_eq!(owned, event, "an owned event is the same event");
            let both: HashSet<Event<'_>> = [event.clone(), owned.clone()].into();
            assert_eq!(both.len(), 1, "equal events have the same hash: {event:?}");
            events.push(owned);
        }
    }
    events
}

#[test]
fn event_equals_its_owned_copy_and_differs_from_all_others() {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let mut all = HashSet::new();
        // Text and binary with the same bytes, a character that is cut, pings and pongs with the same bytes, a Close.
        let frames: [(u8, &[u8]); 9] = [
            (0x81, b"same"),
            (0x82, b"same"),
            (0x89, b"same"),
            (0x8a, b"same"),
            (0x01, b"same"),
            (0x00, b"same"),
            (0x80, b"same"),
            (0x81, "\u{20ac}\u{20ac}".as_bytes()),
            (0x88, b"\x03\xe8same"),
        ];
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| to(Role::Client, *first, payload)).collect();
        let mut whole = 0;
        for at in 0..bytes.len() {
            let config = builder().delivery(delivery).build().unwrap();
            let events = events(&mut open_with(Role::Client, config), &bytes, at);
            whole = if at == 0 { events.len() } else { whole };
            if delivery == Delivery::Messages {
                assert_eq!(events.len(), 7);
            }
            all.extend(events);
        }
        // Different events have different hashes: a set of them is not a list.
        let hash = |event| BuildHasherDefault::<DefaultHasher>::default().hash_one(event);
        let hashes: HashSet<u64> = all.iter().map(hash).collect();
        assert_eq!(hashes.len(), all.len(), "{delivery:?}");
        // Cut chunks are further values; whole messages are always the same.
        match delivery {
            Delivery::Messages => assert_eq!(all.len(), whole),
            _ => assert!(all.len() > whole),
        }
    }
}

#[test]
fn chunks_are_equal_if_their_kind_their_bytes_and_their_place_are() {
    /// The chunks of one message of three fragments.
    fn chunks_of(first: u8, payload: &[u8]) -> [Chunk<'static>; 3] {
        let frames = [(first, payload), (0x00, payload), (0x80, payload)];
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, payload)| to(Role::Client, *first, payload)).collect();
        let events = events(&mut open_with(Role::Client, chunks()), &bytes, 0);
        let chunks = events.into_iter().map(|event| match event {
            Event::Chunk(chunk) => chunk,
            other => panic!("{other:?}"),
        });
        chunks.collect::<Vec<_>>().try_into().expect("each frame is a chunk")
    }
    let rows = [chunks_of(0x01, b"x"), chunks_of(0x02, b"x"), chunks_of(0x01, b"y")].concat();
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate() {
            assert_eq!(a == b, i == j, "{a:?} {b:?}");
        }
    }
    assert_eq!(rows.iter().collect::<HashSet<_>>().len(), rows.len());
}

#[test]
fn message_gives_its_payload_as_the_kind_that_it_has() {
    for text in ["", "Hello", "\u{20ac}"] {
        for message in [Message::from(text), Message::from(text.to_string())] {
            assert_eq!(message.clone().into_text(), Ok(text.to_string()));
            assert_eq!(message.clone().into_binary(), Err(message));
        }
        let bytes = text.as_bytes();
        for message in [Message::from(bytes), Message::from(bytes.to_vec())] {
            assert_eq!(message.clone().into_binary(), Ok(bytes.to_vec()));
            assert_eq!(message.clone().into_text(), Err(message));
        }
    }
    // An owned payload is moved.
    let text = String::from("Hello");
    let place = text.as_ptr();
    assert_eq!(Message::from(text).into_text().map(|text| text.as_ptr()), Ok(place));
    let bytes = vec![0, 1];
    let place = bytes.as_ptr();
    assert_eq!(Message::from(bytes).into_binary().map(|bytes| bytes.as_ptr()), Ok(place));
}

/// The end of a connection that received these frames.
fn end_by(conn: &mut Connection, first: u8, payload: &[u8]) -> Closed {
    match events(conn, &to(Role::Client, first, payload), 0).pop() {
        Some(Event::Closed(closed)) => closed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn closed_tells_code_and_reason_and_its_source_is_the_cause() {
    let mut closing = open(Role::Client);
    closing.close_without_code();
    let rows = [
        (
            end_by(&mut open(Role::Client), 0x88, b"\x03\xe9"),
            "connection was closed with code 1001",
            "peer started the closing handshake",
        ),
        (
            // Control characters do not reach a terminal.
            end_by(&mut open(Role::Client), 0x88, b"\x0f\xa0\x1b[2Jbye\n"),
            r#"connection was closed with code 4000, reason "\u{1b}[2Jbye\n""#,
            "peer started the closing handshake",
        ),
        (
            end_by(&mut closing, 0x88, b""),
            "connection was closed with code 1005",
            "we started the closing handshake",
        ),
        (
            end_by(&mut open(Role::Client), 0x83, b""),
            "connection ended without the peer's Close frame",
            "opcode 0x3 is reserved",
        ),
        (
            // A connection that was never open is not said to lack a Close frame.
            end_by(&mut Connection::server(config()), 0x82, b""),
            "connection was not opened",
            "first byte 0x82 does not begin an HTTP/1.1 message",
        ),
    ];
    for (closed, text, cause) in rows {
        assert_eq!(closed.to_string(), text);
        let source = closed.source().and_then(|source| source.downcast_ref::<CloseCause>());
        assert_eq!(source, Some(closed.cause()));
        assert_eq!(closed.cause().to_string(), cause);
        // The text of an inner error is part of the cause's own, so a report does not show it twice.
        assert!(closed.cause().source().is_none());
        assert_eq!(closed.clone().into_cause(), *closed.cause());
    }
}

#[test]
fn each_cause_has_a_text_of_its_own() {
    let causes = [
        (CloseCause::Peer, "peer started the closing handshake"),
        (CloseCause::Local, "we started the closing handshake"),
        (CloseCause::Protocol(ProtocolError::UnmaskedFrame), "client's frame is not masked"),
        (
            CloseCause::Protocol(HandshakeError::MissingHost.into()),
            &HandshakeError::MissingHost.to_string(),
        ),
        (CloseCause::Rejected, "application rejected the request"),
        (CloseCause::Answered, "application answered a plain request"),
        (CloseCause::TransportEnded, "transport ended without a Close frame"),
        (CloseCause::Aborted, "connection was aborted"),
        (CloseCause::Failed, "application failed the connection"),
        (CloseCause::TimedOut(Timeout::Handshake), "handshake timeout has passed"),
        (CloseCause::TimedOut(Timeout::Close), "close timeout has passed"),
        (CloseCause::TimedOut(Timeout::Idle), "idle timeout has passed"),
        (CloseCause::Entropy(EntropyError), "source of entropy failed"),
    ];
    for (cause, text) in &causes {
        assert_eq!(cause.to_string(), *text, "{cause:?}");
    }
    let texts: HashSet<&str> = causes.iter().map(|(_, text)| *text).collect();
    assert_eq!(texts.len(), causes.len());
}

#[test]
fn each_head_gives_its_bytes_away_as_they_were_received() {
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let plain = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for (head, at) in [(&request[..], 0), (&request[..], 9), (&plain[..], 0), (&plain[..], 9)] {
        let mut server = Connection::server(config());
        match events(&mut server, head, at).pop() {
            Some(Event::UpgradeRequest(request)) => assert_eq!(request.into_bytes(), head),
            Some(Event::PlainRequest(request)) => assert_eq!(request.into_bytes(), head),
            other => panic!("{other:?}"),
        }
    }
    let request = ClientRequest::new("ws://h/").unwrap();
    let mut client = Connection::client(&request, config()).unwrap();
    let mut server = Connection::server(config());
    let upgrade = events(&mut server, &drain(&mut client), 0).pop();
    assert!(matches!(upgrade, Some(Event::UpgradeRequest(_))));
    server.accept(&Accept::new()).unwrap();
    let head = drain(&mut server);
    match events(&mut client, &head, 9).pop() {
        Some(Event::Open(response)) => assert_eq!(response.into_bytes(), head),
        other => panic!("{other:?}"),
    }
}

#[test]
fn extensions_are_equal_if_their_names_and_parameters_are() {
    let rows = ["a", "b", "a; p", "a; q", "a; p=1", "a; p=2", "a; p; q", "a; q; p"];
    let read = |line| {
        let mut all = parse_extensions(line).map(|extension| extension.expect("valid"));
        (all.next().expect("one extension"), all.next())
    };
    let all = rows.map(|row| read(row.as_bytes()));
    for (i, (a, rest)) in all.iter().enumerate() {
        assert_eq!(*rest, None);
        for (j, (b, _)) in all.iter().enumerate() {
            assert_eq!(a == b, i == j, "{} and {}", rows[i], rows[j]);
        }
    }
    let hash = |extension| BuildHasherDefault::<DefaultHasher>::default().hash_one(extension);
    let hashes: HashSet<u64> = all.iter().map(|(extension, _)| hash(extension)).collect();
    assert_eq!(hashes.len(), rows.len());
    // Quotes and escapes do not change a value.
    let (plain, quoted) = (read(b"a; p=12").0, read(b"a; p=\"1\\2\"").0);
    assert_eq!((&plain, hash(&plain)), (&quoted, hash(&quoted)));
}
