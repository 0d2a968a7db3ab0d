//! Bytes of an unfinished message in a `ReadBuffer`: what happens to them when the connection ends, and what happens to
//! a caller who passes another buffer. `util::in_every_cut` tests for all kinds of input that a buffer does not change
//! the events.

mod util;

use util::{Log, ROLES, Seen, cuts, feed, open, run, run_from, to};
use websocket_proto::{CloseCause, CloseCode, Config, Connection, ReadBuffer, Role};

fn fill(buffer: &mut ReadBuffer, bytes: &[u8]) {
    buffer.spare()[..bytes.len()].copy_from_slice(bytes);
    buffer.filled(bytes.len());
}

fn filled(capacity: usize, bytes: &[u8]) -> ReadBuffer {
    let mut buffer = ReadBuffer::with_capacity(capacity);
    fill(&mut buffer, bytes);
    buffer
}

#[test]
fn connections_in_turn_use_a_shared_buffer() {
    for role in ROLES {
        let bytes = [to(role, 0x81, b"Hello"), to(role, 0x82, &[7; 300]), to(role, 0x89, b"x")];
        let bytes = bytes.concat();
        let expected = run(&mut open(role), &[&bytes]).seen;
        for cut in 0..=bytes.len() {
            let mut conns = [open(role), open(role), open(role)];
            let mut logs = [Log::default(), Log::default(), Log::default()];
            let mut buffer = ReadBuffer::shared(100);
            for mut part in [&bytes[..cut], &bytes[cut..]] {
                while !part.is_empty() {
                    let n = part.len().min(100);
                    for (conn, log) in conns.iter_mut().zip(&mut logs) {
                        assert_eq!(buffer.fill_from(part), n);
                        assert!(conn.is_event_ready(&mut buffer) || buffer.is_empty());
                        while let Some(event) = conn.receive_from(&mut buffer) {
                            log.push(event);
                        }
                        assert!(buffer.is_empty());
                    }
                    part = &part[n..];
                }
            }
            assert!(logs.iter().all(|log| log.seen == expected), "{role:?}, cut at {cut}");
        }
    }
}

fn receive_from(conn: &mut Connection, buffer: &mut ReadBuffer) -> Vec<Seen> {
    let mut log = Log::default();
    while let Some(event) = conn.receive_from(buffer) {
        log.push(event);
    }
    log.seen
}

/// A connection, and the buffer that holds the front of its unfinished message. The front looks like a whole frame.
fn cut(role: Role, capacity: usize) -> (Connection, ReadBuffer) {
    let mut conn = open(role);
    let mut buffer = ReadBuffer::with_capacity(capacity);
    let inner = to(role, 0x81, b"smuggled");
    let outer = to(role, 0x82, &[&inner[..], b"more"].concat());
    fill(&mut buffer, &outer[..outer.len() - 4]);
    assert_eq!(receive_from(&mut conn, &mut buffer), []);
    (conn, buffer)
}

#[test]
fn next_connection_does_not_receive_the_front_of_a_message() {
    for role in ROLES {
        for ends in [true, false] {
            let (mut conn, mut buffer) = cut(role, 100);
            if ends {
                conn.abort();
                assert_eq!(
                    receive_from(&mut conn, &mut buffer).len(),
                    1,
                    "only the end is reported"
                );
            }
            drop(conn);
            assert_eq!(buffer.unreceived(), b"");
            let mut next = open(role);
            assert_eq!(receive_from(&mut next, &mut buffer), []);
            fill(&mut buffer, &to(role, 0x81, b"own"));
            assert_eq!(
                receive_from(&mut next, &mut buffer),
                [Seen::Text("own".into())],
                "{role:?}"
            );
        }
    }
}

#[test]
fn front_of_a_message_is_not_parsed_as_a_request() {
    let mut conn = open(Role::Client);
    let mut buffer = ReadBuffer::with_capacity(200);
    fill(&mut buffer, b"\x82\x7dGET / HTTP/1.1\r\n\r\n");
    assert_eq!(receive_from(&mut conn, &mut buffer), []);
    let mut next = Connection::server(Config::default());
    assert_eq!(receive_from(&mut next, &mut buffer), []);
}

type Receive = fn(&mut Connection, &[u8]) -> Vec<Seen>;

/// Ways to give a connection bytes from elsewhere, while the front of its message waits in a buffer.
fn elsewhere() -> [Receive; 3] {
    [
        |conn, bytes| run(conn, &[bytes]).seen,
        |conn, bytes| receive_from(conn, &mut filled(100, bytes)),
        // This one is full before the message is complete.
        |conn, bytes| receive_from(conn, &mut filled(bytes.len().max(1), bytes)),
    ]
}

fn is_abortion(seen: &[Seen]) -> bool {
    matches!(seen, [Seen::Closed { code: CloseCode::ABNORMAL, cause: CloseCause::Aborted, .. }])
}

#[test]
fn bytes_that_arrive_elsewhere_than_their_front_end_the_connection() {
    for role in ROLES {
        for receive in elsewhere() {
            let (mut conn, mut buffer) = cut(role, 100);
            let seen = receive(&mut conn, &[0; 4]);
            assert!(is_abortion(&seen), "{role:?}: {seen:?}");
            assert!(conn.is_finished());
            fill(&mut buffer, &[0; 4]);
            assert_eq!(receive_from(&mut conn, &mut buffer), [], "its front is dropped");
            assert_eq!(buffer.unreceived(), b"");
        }
    }
}

#[test]
fn a_look_elsewhere_without_bytes_changes_nothing() {
    for role in ROLES {
        for receive in elsewhere() {
            let (mut conn, mut buffer) = cut(role, 100);
            assert_eq!(receive(&mut conn, b""), [], "{role:?}");
            assert_eq!(conn.poll_event().map(|event| format!("{event:?}")), None);
            fill(&mut buffer, &[0; 4]);
            let seen = receive_from(&mut conn, &mut buffer);
            assert!(matches!(&seen[..], [Seen::Binary(_)]), "{role:?}: {seen:?}");
        }
    }
}

#[test]
fn a_front_that_the_caller_has_dropped_ends_the_connection_with_the_next_bytes() {
    for role in ROLES {
        let (mut conn, mut buffer) = cut(role, 100);
        buffer.clear();
        assert_eq!(receive_from(&mut conn, &mut buffer), []);
        fill(&mut buffer, &to(role, 0x81, b"own"));
        let seen = receive_from(&mut conn, &mut buffer);
        assert!(is_abortion(&seen), "{role:?}: {seen:?}");
    }
}

#[test]
fn cut_header_is_held_by_the_connection_and_continues_from_any_input() {
    // rfc6455-5.2-01
    for role in ROLES {
        for len in [5, 200, 70_000] {
            let message = to(role, 0x82, &vec![7; len]);
            let header = message.len() - len;
            for at in 1..header {
                let mut conn = open(role);
                assert_eq!(receive_from(&mut conn, &mut filled(300, &message[..at])), []);
                let seen = run(&mut conn, &[&message[at..]]).seen;
                assert_eq!(seen, [Seen::Binary(vec![7; len])], "{role:?}, {len} at {at}");
            }
        }
    }
}

#[test]
fn text_in_a_buffer_is_judged_at_each_read_as_without_one() {
    // rfc6455-8.1-01: what is held is judged once, and no later than what is not.
    let good = "aé€😀bc d".as_bytes();
    let mut texts = vec![good.to_vec(), "plain text, é and more of it".as_bytes().to_vec()];
    for (at, wrong) in (0..good.len()).flat_map(|at| [(at, b'x'), (at, 0xe2), (at, 0x80)]) {
        let mut text = good.to_vec();
        text[at] = wrong;
        texts.push(text);
    }
    for role in ROLES {
        for text in &texts {
            let message = to(role, 0x81, text);
            let begin = message.len() - text.len();
            for first in 0..text.len() {
                for second in first..text.len() {
                    let (mut plain, mut buffered) = (open(role), open(role));
                    let mut buffer = ReadBuffer::with_capacity(100);
                    let (mut seen, mut seen_from) = (Log::default(), Log::default());
                    let cuts = [0, begin + first, begin + second, message.len()];
                    for piece in cuts.windows(2).map(|cut| &message[cut[0]..cut[1]]) {
                        feed(&mut plain, piece, &mut seen);
                        fill(&mut buffer, piece);
                        while let Some(event) = buffered.receive_from(&mut buffer) {
                            seen_from.push(event);
                        }
                        assert_eq!(seen_from, seen, "{role:?}, {text:02x?} in {cuts:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn long_text_in_a_buffer_is_judged_at_each_read_as_without_one() {
    // rfc6455-8.1-01: long pieces that are ASCII are not looked at again, unless a character before them is unfinished.
    let ascii = "a".repeat(200);
    let pieces =
        [&ascii[..], "\u{e9}b", "\u{20ac}"].map(|text| text.as_bytes().to_vec()).into_iter();
    let cut = [[ascii.as_bytes(), b"\xc3"].concat(), [b"\xa9", ascii.as_bytes()].concat()];
    let pieces: Vec<Vec<u8>> = pieces.chain(cut).collect();
    for role in ROLES {
        for n in 0..pieces.len().pow(3) {
            let at = |place: u32| &pieces[n / pieces.len().pow(place) % pieces.len()];
            let reads = [at(0), at(1), at(2)];
            let text = [&reads[0][..], reads[1], reads[2], b"end"].concat();
            let message = to(role, 0x81, &text);
            let begin = message.len() - text.len();
            let (mut plain, mut buffered) = (open(role), open(role));
            let mut buffer = ReadBuffer::with_capacity(1000);
            let (mut seen, mut seen_from) = (Log::default(), Log::default());
            let mut from = 0;
            for len in reads.map(Vec::len).into_iter().chain([b"end".len()]) {
                let to = if from == 0 { begin + len } else { from + len };
                feed(&mut plain, &message[from..to], &mut seen);
                fill(&mut buffer, &message[from..to]);
                while let Some(event) = buffered.receive_from(&mut buffer) {
                    seen_from.push(event);
                }
                assert_eq!(seen_from, seen, "{role:?}, {reads:02x?}");
                from = to;
            }
        }
    }
}

#[test]
fn what_waits_in_a_buffer_is_moved_when_little_room_is_left_and_not_more_often() {
    // No more is moved than was taken since the last time, unless there is no room at all.
    for role in ROLES {
        let header = if role == Role::Server { 8 } else { 4 };
        // Bytes of the message that is taken, and of the one behind it; whether that is moved.
        for (taken, waiting, is_moved) in [
            (150, 150, false),
            (370, 380, false),
            (400, 360, true),
            (300, 500, false),
            (500, 500, true),
            (300, 700, true),
        ] {
            let frame = |len: usize| to(role, 0x82, &vec![7; len - header]);
            let mut conn = open(role);
            let mut buffer = filled(1000, &[frame(taken), frame(waiting)].concat());
            assert!(conn.receive_from(&mut buffer).is_some());
            assert_eq!(buffer.unreceived(), frame(waiting), "{role:?}");
            let room = 1000 - waiting - if is_moved { 0 } else { taken };
            assert_eq!(buffer.spare().len(), room, "{role:?}, {taken} and {waiting}");
            assert_eq!(buffer.unreceived(), frame(waiting), "{role:?}");
            assert!(conn.receive_from(&mut buffer).is_some());
            assert_eq!((buffer.unreceived().len(), buffer.spare().len()), (0, 1000));
        }
    }
}

#[test]
fn a_buffer_that_was_cleared_is_as_new() {
    for role in ROLES {
        let (conn, mut buffer) = cut(role, 100);
        drop(conn);
        fill(&mut buffer, b"more");
        assert_eq!(buffer.unreceived(), b"more");
        buffer.clear();
        assert_eq!((buffer.unreceived().len(), buffer.spare().len()), (0, 100));
        fill(&mut buffer, &to(role, 0x81, b"next"));
        let seen = receive_from(&mut open(role), &mut buffer);
        assert_eq!(seen, [Seen::Text("next".into())], "{role:?}");
    }
}

/// Messages of each form, with control frames between them: some fit into a small buffer, and others do not.
fn stream(role: Role) -> Vec<u8> {
    let frames: [(u8, &[u8]); 9] = [
        (0x81, b"Hello"),
        (0x89, b"ping"),
        (0x82, &[7; 40]),
        (0x01, b"in "),
        (0x8a, b""),
        (0x00, b""),
        (0x80, "pieces \u{20ac}".as_bytes()),
        (0x81, b""),
        (0x82, &[8; 130]),
    ];
    frames.iter().flat_map(|(first, payload)| to(role, *first, payload)).collect()
}

#[test]
fn bytes_that_are_put_in_are_received_as_bytes_that_are_read_in() {
    for role in ROLES {
        let bytes = stream(role);
        for capacity in [1, 2, 10, 50, 1000] {
            for pieces in cuts(&bytes) {
                let read = run_from(&mut open(role), &pieces, capacity);
                let mut conn = open(role);
                let mut log = Log::default();
                // The first piece comes in the vector, as behind a request that another stack has read.
                let (first, others) = pieces.split_first().expect("there is a piece");
                let mut vec = Vec::with_capacity(capacity.max(first.len()));
                vec.extend_from_slice(first);
                let capacity = vec.capacity();
                let mut buffer = ReadBuffer::from(vec);
                assert_eq!(buffer.unreceived(), *first);
                for mut piece in std::iter::once(&b""[..]).chain(others.iter().copied()) {
                    loop {
                        let room = buffer.spare().len();
                        let n = buffer.fill_from(piece);
                        assert_eq!(n, room.min(piece.len()));
                        piece = &piece[n..];
                        while let Some(event) = conn.receive_from(&mut buffer) {
                            log.push(event);
                        }
                        if piece.is_empty() {
                            break;
                        }
                        assert!(n > 0, "there is room after None");
                    }
                }
                assert_eq!(log.seen, read.seen, "{role:?}, {capacity}");
                assert!(buffer.is_empty());
                assert_eq!(buffer.spare().len(), capacity);
            }
        }
    }
}

#[test]
fn a_vector_of_any_size_becomes_a_buffer_without_a_copy() {
    for (len, capacity) in [(0, 0), (0, 1), (1, 1), (3, 100), (100, 100)] {
        let mut vec = Vec::with_capacity(capacity);
        vec.resize(len, 7);
        let (place, capacity) = (vec.as_ptr(), vec.capacity());
        let mut buffer = ReadBuffer::from(vec);
        assert_eq!(buffer.unreceived(), vec![7; len]);
        assert_eq!(buffer.spare().len(), capacity.max(1) - len);
        assert_eq!(buffer.is_empty(), len == 0);
        if capacity > 0 {
            assert_eq!(buffer.unreceived().as_ptr(), place);
        }
    }
}

#[test]
fn a_buffer_is_empty_between_messages_and_never_within_one_that_waits_in_it() {
    for role in ROLES {
        let message = to(role, 0x82, &[7; 30]);
        let header = message.len() - 30;
        let mut conn = open(role);
        let mut buffer = ReadBuffer::with_capacity(100);
        assert!(buffer.is_empty());
        for (at, byte) in message.iter().enumerate() {
            assert_eq!(buffer.fill_from(&[*byte]), 1);
            assert!(!buffer.is_empty(), "{role:?}: it is not received");
            let is_whole = at + 1 == message.len();
            assert_eq!(receive_from(&mut conn, &mut buffer).len(), usize::from(is_whole));
            // The connection has the bytes of a cut header. From its last byte on, the message waits in the buffer.
            let waits = at + 1 >= header && !is_whole;
            assert_eq!(buffer.is_empty(), !waits, "{role:?} at {at}");
        }
        let (_, mut buffer) = cut(role, 100);
        assert!(!buffer.is_empty() && buffer.unreceived().is_empty());
        buffer.clear();
        assert!(buffer.is_empty());
    }
}
