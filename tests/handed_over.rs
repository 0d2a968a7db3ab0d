//! The memory of messages that are moved to the caller. Their capacity is bounded by their length, so a program that
//! keeps messages does not keep large buffers. Only memory that the caller recycles is used again.

#[cfg(feature = "deflate")]
#[path = "util/alloc.rs"]
mod alloc;
mod util;

use util::*;
use websocket_proto::{Connection, Event, Message, Role};

/// The capacity of an owned message; `None` for a borrowed one.
fn capacity(message: &Message<'_>) -> Option<usize> {
    match message {
        Message::Text(std::borrow::Cow::Owned(text)) => Some(text.capacity()),
        Message::Binary(std::borrow::Cow::Owned(bytes)) => Some(bytes.capacity()),
        _ => None,
    }
}

/// Contents that compress very well, moderately, and hardly at all.
fn contents(len: usize) -> [String; 3] {
    let mut state = 9u32;
    let mut next = |letters: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b' ' + ((state >> 20) % letters) as u8)
    };
    let mut draw = |letters: u32| (0..len).map(|_| next(letters)).collect();
    [draw(1), draw(4), draw(95)]
}

const SIZES: [usize; 24] = [
    0, 1, 2, 5, 6, 31, 127, 128, 129, 255, 256, 257, 500, 511, 513, 1000, 2050, 4095, 5000, 8193,
    16_384, 16_385, 33_000, 70_000,
];

/// Feeds frames in pieces, passes each message to `react`, and returns the number of messages.
fn each_message(
    conn: &mut Connection,
    bytes: &[u8],
    piece: usize,
    mut react: impl FnMut(&mut Connection, Message<'_>),
) -> usize {
    let mut count = 0;
    let mut bytes = bytes.to_vec();
    for piece in bytes.chunks_mut(piece) {
        let mut input = piece;
        while let Some(event) = conn.receive(&mut input) {
            let Event::Message(message) = event else { panic!("{event:?}") };
            count += 1;
            react(conn, message);
        }
        while conn.wants_write() {
            let n = conn.outgoing().len();
            conn.advance(n);
        }
    }
    count
}

/// One message to `role` for each size and content, in frames of `fragment` bytes.
fn messages(
    role: Role,
    fragment: usize,
    mut encode: impl FnMut(&str) -> (u8, Vec<u8>),
) -> Vec<Vec<u8>> {
    let mut wires = Vec::new();
    for (n, len) in SIZES.into_iter().chain(SIZES.into_iter().rev()).enumerate() {
        for content in contents(len) {
            let (rsv1, payload) = encode(&content);
            let mut wire = Vec::new();
            let count = payload.len().div_ceil(fragment).max(1);
            for i in 0..count {
                let end = payload.len().min((i + 1).saturating_mul(fragment));
                let first = if i == 0 { rsv1 | (1 + n as u8 % 2) } else { 0 };
                let fin = if i + 1 == count { 0x80 } else { 0 };
                wire.extend(to(role, first | fin, &payload[i * fragment.min(end)..end]));
            }
            wires.push(wire);
        }
    }
    wires
}

fn assert_capacity_is_bounded(role: Role, make: impl Fn() -> Connection, wires: &[Vec<u8>]) {
    for piece in [1, 100, 1460, 16 * 1024, usize::MAX] {
        // Owned messages are sent back, kept or dropped. None of this changes the capacity of the next one.
        let mut conn = make();
        let mut kept = Vec::new();
        for wire in wires {
            if piece == 1 && wire.len() > 10_000 {
                continue;
            }
            let count = each_message(&mut conn, wire, piece.min(wire.len()), |conn, message| {
                let len = message.len();
                if let Some(capacity) = capacity(&message) {
                    let most = (2 * len).max(256);
                    assert!(capacity <= most, "{role:?} by {piece}: {capacity} for {len} bytes");
                }
                match len % 3 {
                    0 => conn.send(message.into_owned()).unwrap(),
                    1 => kept.push(message.into_owned()),
                    _ => {}
                }
            });
            assert_eq!(count, 1, "{role:?} by {piece}");
        }
    }
}

#[test]
fn message_has_at_most_twice_its_length_or_256_bytes() {
    // rfc6455-10.4-01
    for role in ROLES {
        for fragment in [usize::MAX, 1000, 50] {
            let wires = messages(role, fragment, |text| (0, text.as_bytes().to_vec()));
            assert_capacity_is_bounded(role, || open(role), &wires);
        }
    }
}

#[cfg(feature = "deflate")]
mod inflated {
    use super::*;
    use alloc::{Counting, measure};
    use websocket_proto::{Config, Deflate, DeflateParams, Shared};

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    fn deflate_config() -> Shared<Config> {
        let mut options = Deflate::default();
        options.min_bytes = 0;
        let config = builder().deflate(options).build().unwrap();
        Shared::new(config)
    }

    fn open_deflate(role: Role, no_takeover: bool, config: &Shared<Config>) -> Connection {
        let params = DeflateParams {
            server_no_context_takeover: no_takeover,
            client_no_context_takeover: no_takeover,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        };
        Connection::from_upgrade(
            websocket_proto::Upgrade::new(role).deflate(params),
            config.clone(),
        )
        .expect("a seed cannot fail")
    }

    #[test]
    fn inflated_message_has_at_most_twice_its_length_or_256_bytes() {
        // rfc6455-10.4-01
        let config = deflate_config();
        for role in ROLES {
            for no_takeover in [false, true] {
                for fragment in [usize::MAX, 1000, 50] {
                    let mut peer = open_deflate(other(role), no_takeover, &config);
                    let wires = messages(role, fragment, |text| {
                        peer.send(text).unwrap();
                        (0x40, plain_frames(&drain(&mut peer)).remove(0).1)
                    });
                    let make = || open_deflate(role, no_takeover, &config);
                    assert_capacity_is_bounded(role, make, &wires);
                }
            }
        }
    }

    #[test]
    fn memory_is_used_again_only_if_it_was_recycled() {
        let config = deflate_config();
        for role in ROLES {
            let mut peer = open_deflate(other(role), false, &config);
            let mut wire = |text: &str| {
                peer.send(text).unwrap();
                drain(&mut peer)
            };
            let mut conn = open_deflate(role, false, &config);
            // A long message is sent, then a short one is received and kept, 1,000 times.
            let long = "x".repeat(60_000);
            let mut wires: Vec<Vec<u8>> = (0..1000).map(|n| wire(&format!("m{n:04}"))).collect();
            let mut kept: Vec<Message<'static>> = Vec::with_capacity(1000);
            let ((), heap) = measure(|| {
                for wire in &mut wires {
                    conn.send(long.clone()).unwrap();
                    while conn.wants_write() {
                        let n = conn.outgoing().len();
                        conn.advance(n);
                    }
                    let mut input = &mut wire[..];
                    let Some(Event::Message(message)) = conn.receive(&mut input) else { panic!() };
                    kept.push(message.into_owned());
                }
                conn.release_memory();
            });
            let windows = 2 * 32 * 1024;
            assert!(heap.kept <= 1000 * 256 + windows, "{role:?}: {heap:?}");
            // A recycled buffer serves the next message and no other.
            conn.recycle(long.into());
            for recycled in [true, false] {
                let mut bytes = wire("again");
                let mut input = &mut bytes[..];
                let Some(Event::Message(message)) = conn.receive(&mut input) else { panic!() };
                assert_eq!(capacity(&message), Some(if recycled { 60_000 } else { 256 }));
            }
        }
    }
    #[test]
    fn a_message_larger_than_the_recycled_memory_has_at_most_twice_its_length() {
        // The recycled memory is too small for the next message, so the usual bound holds.
        let config = deflate_config();
        for role in ROLES {
            let mut peer = open_deflate(other(role), false, &config);
            let mut conn = open_deflate(role, false, &config);
            for len in [300, 2000, 30_000] {
                let short = [to(role, 0x02, b"x"), to(role, 0x80, b"x")].concat();
                peer.send("text ".repeat(len / 5)).unwrap();
                let mut bytes = [short, drain(&mut peer)].concat();
                let mut input = &mut bytes[..];
                let mut kept = None;
                while let Some(Event::Message(message)) = conn.receive(&mut input) {
                    match message.len() {
                        2 => conn.recycle(message),
                        _ => kept = Some(message.into_owned()),
                    }
                }
                let kept = kept.expect("the long message arrives");
                assert!(capacity(&kept).unwrap() <= 2 * kept.len(), "{role:?} {len}: {kept:?}");
            }
        }
    }

    #[test]
    fn inflated_message_has_memory_that_was_given_back_or_no_more_than_any_other() {
        // rfc6455-10.4-01: memory that had to grow is not what was given back.
        let config = deflate_config();
        for role in ROLES {
            for len in [60, 105, 300, 900, 5500] {
                let content = &contents(len)[2];
                for given_back in [1, 100, 300, 1000, 6000] {
                    for piece in [1, 100, 1000, usize::MAX] {
                        let mut peer = open_deflate(other(role), false, &config);
                        peer.send(&content[..]).unwrap();
                        let wire = drain(&mut peer);
                        let mut conn = open_deflate(role, false, &config);
                        conn.recycle(Message::Binary(Vec::with_capacity(given_back).into()));
                        let mut found = None;
                        each_message(&mut conn, &wire, piece.min(wire.len()), |_, message| {
                            assert_eq!(message.as_bytes(), content.as_bytes());
                            found = capacity(&message);
                        });
                        let (found, most) = (found.expect("it is owned"), (2 * len).max(256));
                        // At least this much room is wanted for what comes out next.
                        let fits = len + 256 <= given_back;
                        assert!(!fits || found == given_back, "{role:?} {len} by {piece}: {found}");
                        assert!(
                            found == given_back || found <= most,
                            "{role:?} {len} by {piece}: {found}, and {given_back} were given back"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn memory_that_is_given_back_in_the_middle_of_a_message_changes_nothing_of_it() {
    for role in ROLES {
        for first in [&b""[..], b"front "] {
            for given_back in [1, 10_000] {
                let mut conn = open(role);
                let mut log = Log::default();
                feed(&mut conn, &to(role, 0x02, first), &mut log);
                conn.recycle(Message::Binary(vec![7; given_back].into()));
                feed(&mut conn, &to(role, 0x80, b"end"), &mut log);
                let whole = [first, b"end"].concat();
                assert_eq!(log.seen, [Seen::Binary(whole)], "{role:?}, {given_back}");
            }
        }
    }
}
