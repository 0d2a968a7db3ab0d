//! How frames become messages: fragments, frames between them, UTF-8 of text, and that the events do not depend on the
//! cut. `frames.rs`, `control.rs`, `limits.rs` and `chunks.rs` test headers, control frames, limits and chunks.

mod util;

use proptest::collection::vec;
use proptest::prelude::*;
use util::{
    Log, ROLES, Seen, both_roles, builder, chunks, config, drain, feed, frame, in_every_cut, open,
    open_with, plain_frames, run, to,
};
use websocket_proto::{
    CloseCause, Config, Delivery, MessageKind, ProtocolError, Role, Shared, State,
};

type Frames<'a> = &'a [(u8, &'a [u8])];

const BROKEN: &[u8] = &[0x03, 0xea];
const NOT_UTF8: &[u8] = &[0x03, 0xef];

fn text(text: &str) -> Seen {
    Seen::Text(text.into())
}

fn binary(bytes: &[u8]) -> Seen {
    Seen::Binary(bytes.to_vec())
}

// rfc6455-5.2-01, 5.4-01, -02, -11, -12, -17, 5.6-01, -02, 6.2-01, -03, -04, -05
#[test]
fn frames_make_messages() {
    let rows: &[(Frames<'_>, &[Seen])] = &[
        (&[(0x81, b"Hello")], &[text("Hello")]),
        (&[(0x82, b"Hello")], &[binary(b"Hello")]),
        (&[(0x81, b"")], &[text("")]),
        (&[(0x82, b"")], &[binary(b"")]),
        (&[(0x01, b"Hel"), (0x80, b"lo")], &[text("Hello")]),
        (&[(0x02, b"\0\x01"), (0x80, b"\x01\0")], &[binary(b"\0\x01\x01\0")]),
        (&[(0x01, b"a"), (0x00, b"b"), (0x00, b"c"), (0x80, b"d")], &[text("abcd")]),
        // Empty fragments at every place.
        (&[(0x01, b""), (0x80, b"")], &[text("")]),
        (&[(0x01, b""), (0x00, b""), (0x80, b"")], &[text("")]),
        (&[(0x02, b""), (0x00, b""), (0x80, b"")], &[binary(b"")]),
        (&[(0x01, b""), (0x80, b"ab")], &[text("ab")]),
        (&[(0x01, b"ab"), (0x80, b"")], &[text("ab")]),
        (&[(0x01, b"a"), (0x00, b""), (0x00, b""), (0x80, b"b")], &[text("ab")]),
        (&[(0x02, b""), (0x00, b"a"), (0x00, b""), (0x80, b"")], &[binary(b"a")]),
        // A message ends with its last frame.
        (&[(0x81, b"a"), (0x81, b"b"), (0x82, b"c")], &[text("a"), text("b"), binary(b"c")]),
        (&[(0x01, b"a"), (0x80, b"b"), (0x02, b"c"), (0x80, b"")], &[text("ab"), binary(b"c")]),
        (&[(0x82, b"a"), (0x01, b"\xc3"), (0x80, b"\xa9")], &[binary(b"a"), text("\u{e9}")]),
        // A binary message need not be UTF-8.
        (&[(0x82, b"\xc3\x28")], &[binary(b"\xc3\x28")]),
        (&[(0x02, b"\xc3"), (0x80, b"\x28\xff")], &[binary(b"\xc3\x28\xff")]),
        // Fragments may cut a character, and an empty fragment may stand within it.
        (&[(0x01, b"\xe2"), (0x00, b"\x82"), (0x80, b"\xac")], &[text("\u{20ac}")]),
        (&[(0x01, b"\xf0\x9f"), (0x00, b""), (0x80, b"\x98\x80!")], &[text("\u{1f600}!")]),
        (&[(0x81, b"\0"), (0x81, b"\xef\xbb\xbf"), (0x81, b"\xef\xbf\xbf")], {
            &[text("\0"), text("\u{feff}"), text("\u{ffff}")]
        }),
    ];
    for (frames, seen) in rows {
        both_roles(&config(), frames, seen, &[]);
    }
}

// rfc6455-5.4-05, -12, 6.2-04
#[test]
fn a_message_does_not_depend_on_its_fragmentation() {
    let whole = "a\u{e9}\u{20ac}\u{1f600}\u{10ffff}z";
    for (first, seen) in [(0x01, text(whole)), (0x02, binary(whole.as_bytes()))] {
        let bytes = whole.as_bytes();
        let expected = [seen];
        for role in ROLES {
            for one in 0..=bytes.len() {
                for two in one..=bytes.len() {
                    let frames = [
                        to(role, first, &bytes[..one]),
                        to(role, 0x00, &bytes[one..two]),
                        to(role, 0x80, &bytes[two..]),
                    ]
                    .concat();
                    for size in [1, 2, 3, 5, 1000] {
                        let pieces: Vec<_> = frames.chunks(size).collect();
                        let outcome = run(&mut open(role), &pieces);
                        assert_eq!(outcome.seen, expected, "{role:?} {one} {two} {size}");
                    }
                }
            }
        }
    }
}

// rfc6455-5.4-11, 5.4-12
#[test]
fn thousands_of_one_byte_and_empty_fragments_make_one_message() {
    let body: String = "a\u{20ac}".repeat(1000);
    for role in ROLES {
        let mut bytes = to(role, 0x01, b"");
        for byte in body.bytes() {
            bytes.extend(to(role, 0x00, &[byte]));
            bytes.extend(to(role, 0x00, b""));
        }
        bytes.extend(to(role, 0x80, b""));
        for size in [1, 7, 1460, bytes.len()] {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            assert_eq!(run(&mut open(role), &pieces).seen, [text(&body)], "{role:?}, {size}");
        }
    }
}

// rfc6455-5.4-06, -10, 5.5.2-02, 5.5.3-04
#[test]
fn control_frames_may_come_between_fragments() {
    let (ping, pong) = (Seen::Ping(b"i".to_vec()), Seen::Pong(b"o".to_vec()));
    let rows: &[(Frames<'_>, &[Seen], Frames<'_>)] = &[
        (
            &[(0x01, b"Hel"), (0x89, b"i"), (0x80, b"lo")],
            &[ping.clone(), text("Hello")],
            &[(0x8a, b"i")],
        ),
        (&[(0x02, b"Hel"), (0x8a, b"o"), (0x80, b"lo")], &[pong.clone(), binary(b"Hello")], &[]),
        // Several control frames, within a character, and around empty fragments.
        (
            &[(0x01, b"\xe2"), (0x89, b"i"), (0x00, b"\x82"), (0x8a, b"o"), (0x80, b"\xac")],
            &[ping.clone(), pong.clone(), text("\u{20ac}")],
            &[(0x8a, b"i")],
        ),
        (
            &[(0x01, b""), (0x89, b"i"), (0x00, b""), (0x89, b"i"), (0x8a, b"o"), (0x80, b"")],
            &[ping.clone(), ping, pong, text("")],
            &[(0x8a, b"i"), (0x8a, b"i")],
        ),
        // The payload of a control frame is not a part of the message.
        (
            &[(0x01, b"a"), (0x89, b"\xff\xff"), (0x80, b"b")],
            &[Seen::Ping(b"\xff\xff".to_vec()), text("ab")],
            &[(0x8a, b"\xff\xff")],
        ),
    ];
    for (frames, seen, answered) in rows {
        both_roles(&config(), frames, seen, answered);
    }
}

// rfc6455-5.4-10, 5.5.1-09, -18, 6.1-03
#[test]
fn a_close_may_come_between_fragments() {
    for begun in [&b"Hel"[..], b"", b"\xe2\x82"] {
        let frames: [(u8, &[u8]); 3] = [(0x01, begun), (0x88, b"\x03\xe8"), (0x80, b"\xaclo")];
        let seen = [Seen::closed(1000, "", CloseCause::Peer)];
        both_roles(&config(), &frames, &seen, &[(0x88, b"\x03\xe8")]);
    }
}

// rfc6455-5.4-03, -04, -17
#[test]
fn messages_are_not_interleaved() {
    let lone = ProtocolError::UnexpectedContinuation;
    let inside = ProtocolError::UnfinishedMessage;
    let ping = Seen::Ping(vec![]);
    let rows: &[(Frames<'_>, &[Seen], ProtocolError)] = &[
        (&[(0x80, b"")], &[], lone.clone()),
        (&[(0x00, b"")], &[], lone.clone()),
        (&[(0x80, b"abc")], &[], lone.clone()),
        (&[(0x81, b"a"), (0x80, b"b")], &[text("a")], lone.clone()),
        (&[(0x82, b""), (0x00, b"")], &[binary(b"")], lone.clone()),
        (&[(0x01, b"a"), (0x80, b"b"), (0x80, b"c")], &[text("ab")], lone.clone()),
        (&[(0x01, b""), (0x80, b""), (0x00, b"")], &[text("")], lone),
        (&[(0x01, b"a"), (0x81, b"b")], &[], inside.clone()),
        (&[(0x01, b"a"), (0x82, b"b")], &[], inside.clone()),
        (&[(0x02, b"a"), (0x01, b"b")], &[], inside.clone()),
        (&[(0x02, b""), (0x02, b"")], &[], inside.clone()),
        (&[(0x01, b""), (0x00, b""), (0x01, b"")], &[], inside.clone()),
    ];
    for (frames, seen, error) in rows {
        let failed = [*seen, &[Seen::failed(error.clone())]].concat();
        both_roles(&config(), frames, &failed, &[(0x88, BROKEN)]);
    }
    let frames: [(u8, &[u8]); 3] = [(0x01, b""), (0x89, b""), (0x02, b"")];
    let answered: Frames<'_> = &[(0x8a, b""), (0x88, BROKEN)];
    both_roles(&config(), &frames, &[ping, Seen::failed(inside)], answered);
}

/// Invalid UTF-8, with the index of the first byte that is wrong.
const NOT_TEXT: &[(&[u8], usize)] = &[
    // A continuation byte at the start of a character.
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"\xc3\xa9\x80", 2),
    // Overlong forms.
    (b"\xc0\x80", 0),
    (b"\xc1\xbf", 0),
    (b"\xe0\x80\x80", 1),
    (b"\xe0\x9f\xbf", 1),
    (b"\xf0\x80\x80\x80", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    // Surrogates.
    (b"\xed\xa0\x80", 1),
    (b"\xed\xad\xbf", 1),
    (b"\xed\xbf\xbf", 1),
    // Above U+10FFFF, and forms of five and six bytes.
    (b"\xf4\x90\x80\x80", 1),
    (b"\xf4\xbf\xbf\xbf", 1),
    (b"\xf5\x80\x80\x80", 0),
    (b"\xf7\xbf\xbf\xbf", 0),
    (b"\xf8\x88\x80\x80\x80", 0),
    (b"\xfc\x84\x80\x80\x80\x80", 0),
    (b"\xfe", 0),
    (b"\xff", 0),
    // Another byte where a continuation byte must follow.
    (b"\xc3\x28", 1),
    (b"\xc3\xc3", 1),
    (b"\xe2\x28\xa1", 1),
    (b"\xe2\x82\x28", 2),
    (b"\xe2\x82\xe2", 2),
    (b"\xf0\x28\x8c\xbc", 1),
    (b"\xf0\x9f\x28\x80", 2),
    (b"\xf0\x9f\x98\x28", 3),
    (b"\xf0\x9f\x98\xf0", 3),
];

/// Characters that are cut off.
const UNFINISHED: &[&[u8]] = &[
    b"\xc2",
    b"\xdf",
    b"\xe0",
    b"\xe0\xa0",
    b"\xe2\x82",
    b"\xed\x9f",
    b"\xef",
    b"\xf0",
    b"\xf0\x90",
    b"\xf0\x9f\x98",
    b"\xf4\x8f",
    b"\xf4\x8f\xbf",
];

/// RFC 3629 4. Returns how many bytes the last character lacks; the error is the index of the first wrong byte.
fn check_text(bytes: &[u8]) -> Result<usize, usize> {
    // The ranges of the bytes that must follow; the next one is last.
    let mut expected: Vec<(u8, u8)> = vec![];
    for (at, &byte) in bytes.iter().enumerate() {
        if let Some((from, to)) = expected.pop() {
            if !(from..=to).contains(&byte) {
                return Err(at);
            }
            continue;
        }
        let tail = (0x80, 0xbf);
        expected = match byte {
            0x00..=0x7f => vec![],
            0xc2..=0xdf => vec![tail],
            0xe0 => vec![tail, (0xa0, 0xbf)],
            0xe1..=0xec | 0xee..=0xef => vec![tail, tail],
            0xed => vec![tail, (0x80, 0x9f)],
            0xf0 => vec![tail, tail, (0x90, 0xbf)],
            0xf1..=0xf3 => vec![tail, tail, tail],
            0xf4 => vec![tail, tail, (0x80, 0x8f)],
            _ => return Err(at),
        };
    }
    Ok(expected.len())
}

// rfc6455-5.6-01, 8.1-01
#[test]
fn text_that_is_not_utf8_fails_in_every_cut() {
    let failed = [Seen::failed(ProtocolError::InvalidUtf8)];
    let answered: Frames<'_> = &[(0x88, NOT_UTF8)];
    let unfinished = UNFINISHED.iter().copied();
    for bad in NOT_TEXT.iter().map(|(bad, _)| *bad).chain(unfinished) {
        both_roles(&config(), &[(0x81, bad)], &failed, answered);
        both_roles(&config(), &[(0x81, &[b"ab\xc3\xa9", bad].concat())], &failed, answered);
        for at in 0..=bad.len() {
            let (a, b) = bad.split_at(at);
            both_roles(&config(), &[(0x01, a), (0x80, b)], &failed, answered);
            both_roles(&config(), &[(0x01, a), (0x00, b""), (0x80, b)], &failed, answered);
        }
    }
}

/// Feeds single bytes. Returns how many of them fail the connection; `None` if they do not.
fn fails_after(role: Role, config: &Shared<Config>, bytes: &[u8]) -> Option<usize> {
    let mut conn = open_with(role, config.clone());
    let mut log = Log::default();
    for (at, byte) in bytes.iter().enumerate() {
        feed(&mut conn, &[*byte], &mut log);
        if conn.state() == State::Closed {
            assert_eq!(log.seen.last(), Some(&Seen::failed(ProtocolError::InvalidUtf8)));
            assert_eq!(plain_frames(&drain(&mut conn)), [(0x88, NOT_UTF8.to_vec())]);
            return Some(at + 1);
        }
    }
    None
}

// rfc6455-5.6-01, 8.1-01
#[test]
fn text_fails_at_the_first_invalid_byte() {
    let prefixes = [0, 1, 2, 3, 7, 8, 15, 16, 30, 31, 32, 60, 61, 62, 63, 64, 65, 127, 128, 200];
    for (bad, at) in NOT_TEXT {
        assert_eq!(check_text(bad), Err(*at), "{bad:02x?}");
        for role in ROLES {
            let key = if role == Role::Server { 4 } else { 0 };
            for config in [config(), chunks()].map(Shared::new) {
                for len in prefixes {
                    // The frame is not the last of its message, and more of its payload follows.
                    let prefix = vec![b'x'; len];
                    let body = [&prefix, *bad, b"more"].concat();
                    let bytes = to(role, 0x01, &body);
                    let header = bytes.len() - body.len();
                    let failed = fails_after(role, &config, &bytes);
                    assert_eq!(failed, Some(header + len + at + 1), "{role:?}, {len}, {bad:02x?}");
                    // The same bytes in two reads; the second ends with the wrong byte.
                    for split in 0..=*at {
                        let mut conn = open_with(role, config.clone());
                        let mut log = Log::default();
                        let (a, b) = bytes.split_at(header + len + split);
                        feed(&mut conn, a, &mut log);
                        assert_eq!(conn.state(), State::Open, "{role:?}, {len}, {bad:02x?}");
                        feed(&mut conn, &b[..at + 1 - split], &mut log);
                        assert_eq!(conn.state(), State::Closed, "{role:?}, {len}, {bad:02x?}");
                    }
                }
                // Each byte in its own fragment.
                let mut bytes = to(role, 0x01, b"");
                for byte in *bad {
                    bytes.extend(to(role, 0x00, &[*byte]));
                }
                let failed = fails_after(role, &config, &bytes);
                assert_eq!(failed, Some((2 + key) + (at + 1) * (3 + key)), "{role:?}, {bad:02x?}");
            }
        }
    }
}

// rfc6455-5.6-01, 8.1-01
#[test]
fn text_that_ends_within_a_character_fails_at_its_end() {
    for begun in UNFINISHED {
        assert!(check_text(begun).is_ok_and(|lacks| lacks > 0), "{begun:02x?}");
        for role in ROLES {
            for config in [config(), chunks()].map(Shared::new) {
                let bytes = to(role, 0x81, begun);
                let failed = fails_after(role, &config, &bytes);
                assert_eq!(failed, Some(bytes.len()), "{role:?}, {begun:02x?}");
                // With an empty last fragment, the last byte of its header decides.
                let bytes = [to(role, 0x01, begun), to(role, 0x80, b"")].concat();
                let failed = fails_after(role, &config, &bytes);
                assert_eq!(failed, Some(bytes.len()), "{role:?}, {begun:02x?}");
            }
        }
    }
}

/// Feeds `bytes` as an unfinished text byte by byte, and as a whole text at once. Asserts the result of [`check_text`].
fn assert_text(role: Role, config: &Shared<Config>, bytes: &[u8]) {
    let verdict = check_text(bytes);
    let unfinished = to(role, 0x01, bytes);
    let header = unfinished.len() - bytes.len();
    let failed = fails_after(role, config, &unfinished);
    assert_eq!(failed, verdict.err().map(|at| header + at + 1), "{role:?}, {bytes:02x?}");
    let outcome = run(&mut open_with(role, config.clone()), &[&to(role, 0x81, bytes)]);
    let expected = match verdict {
        Ok(0) => text(std::str::from_utf8(bytes).unwrap()),
        _ => Seen::failed(ProtocolError::InvalidUtf8),
    };
    assert_eq!(outcome.seen, [expected], "{role:?}, {bytes:02x?}");
}

// rfc6455-5.6-01, 8.1-01
#[test]
fn every_text_of_two_bytes_is_validated() {
    let config = Shared::new(config());
    for (a, b) in (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))) {
        // The roles differ only in the mask, so each text is tried with one of them.
        assert_text(ROLES[usize::from(a ^ b) & 1], &config, &[a, b]);
    }
}

// rfc6455-5.6-01, 8.1-01
#[test]
fn texts_of_three_and_four_bytes_are_validated() {
    let config = Shared::new(config());
    let leads =
        [0x7f, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5];
    let edges = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xff];
    for lead in leads {
        for second in edges {
            for third in edges {
                assert_text(Role::Client, &config, &[lead, second, third]);
                // A fourth byte is tried only after three valid ones.
                if check_text(&[lead, second, third]).is_ok() {
                    for fourth in edges {
                        assert_text(Role::Server, &config, &[lead, second, third, fourth]);
                    }
                }
            }
        }
    }
}

// rfc6455-5.6-01
#[test]
fn every_character_arrives() {
    let all: String = (char::MIN..=char::MAX).collect();
    for role in ROLES {
        for (size, read) in [(1021, 1 << 20), (1 << 16, 4093)] {
            let mut bytes = Vec::new();
            let parts: Vec<_> = all.as_bytes().chunks(size).collect();
            for (i, part) in parts.iter().enumerate() {
                let fin = if i + 1 == parts.len() { 0x80 } else { 0 };
                bytes.extend(to(role, fin | u8::from(i == 0), part));
            }
            let pieces: Vec<_> = bytes.chunks(read).collect();
            let outcome = run(&mut open(role), &pieces);
            assert!(matches!(&outcome.seen[..], [Seen::Text(text)] if *text == all), "{role:?}");
        }
    }
}

/// A message in fragments, and the control frames before each of them.
#[derive(Debug, Clone)]
struct Sent {
    is_text: bool,
    body: String,
    cuts: Vec<prop::sample::Index>,
    controls: Vec<(bool, Vec<u8>)>,
}

fn any_sent() -> impl Strategy<Value = Sent> {
    let body = prop_oneof![
        4 => "[a-z\u{e9}\u{20ac}\u{1f600}]{0,40}",
        1 => "[\\PC]{100,400}",
    ];
    let control = (any::<bool>(), vec(any::<u8>(), 0..20));
    (any::<bool>(), body, vec(any::<prop::sample::Index>(), 0..5), vec(control, 0..4))
        .prop_map(|(is_text, body, cuts, controls)| Sent { is_text, body, cuts, controls })
}

impl Sent {
    /// Appends the frames, their events, and the pongs that answer them.
    fn frames(
        &self,
        role: Role,
        bytes: &mut Vec<u8>,
        seen: &mut Vec<Seen>,
        pongs: &mut Vec<(u8, Vec<u8>)>,
    ) {
        let body = self.body.as_bytes();
        let mut cuts: Vec<usize> = self.cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let mut first = if self.is_text { 1 } else { 2 };
        let mut controls = self.controls.iter();
        for (i, cut) in cuts.windows(2).enumerate() {
            if let Some((is_ping, payload)) = controls.next() {
                bytes.extend(to(role, if *is_ping { 0x89 } else { 0x8a }, payload));
                if *is_ping {
                    pongs.push((0x8a, payload.clone()));
                    seen.push(Seen::Ping(payload.clone()));
                } else {
                    seen.push(Seen::Pong(payload.clone()));
                }
            }
            let fin = if i + 2 == cuts.len() { 0x80 } else { 0 };
            bytes.extend(to(role, fin | first, &body[cut[0]..cut[1]]));
            first = 0;
        }
        seen.push(if self.is_text { text(&self.body) } else { binary(body) });
    }
}

/// `bytes` in pieces of these sizes, repeated in a cycle.
fn pieces<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = vec![];
    for size in sizes.iter().cycle() {
        let (piece, rest) = bytes.split_at(bytes.len().min(*size));
        pieces.push(piece);
        bytes = rest;
        if bytes.is_empty() {
            break;
        }
    }
    pieces
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

fn any_cut() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1..4usize, 1..40usize, 1..2000usize], 1..12)
}

/// A frame's first byte, its payload, and a masking key (or none) in place of the one that the receiver requires. Most
/// frames are valid.
type AnyFrame = (u8, Vec<u8>, Option<Option<[u8; 4]>>);

fn any_frame() -> impl Strategy<Value = AnyFrame> {
    let first = prop_oneof![
        6 => prop::sample::select(&[0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8a][..]),
        1 => any::<u8>(),
    ];
    let text = prop::sample::select(&b"a\x80\xbf\xc3\xa9\xe2\x82\xac\xed\xf0\x9f\xff"[..]);
    let payload = prop_oneof![
        3 => "[a-z\u{e9}\u{20ac}\u{1f600}]{0,50}".prop_map(String::into_bytes),
        1 => vec(text, 0..12),
        1 => "[a-z\u{e9}]{0,40}".prop_map(|reason| [b"\x03\xe8", reason.as_bytes()].concat()),
        1 => vec(any::<u8>(), 0..300),
    ];
    let key = prop_oneof![20 => Just(None), 1 => any::<Option<[u8; 4]>>().prop_map(Some)];
    (first, payload, key)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // rfc6455-5.4-05, -06, -12, -17, 6.2-01, -04, -05
    #[test]
    fn events_of_a_valid_stream_do_not_depend_on_the_cut(
        role in any_role(),
        sent in vec(any_sent(), 0..6),
        sizes in any_cut(),
    ) {
        let (mut bytes, mut seen, mut pongs) = (vec![], vec![], vec![]);
        for message in &sent {
            message.frames(role, &mut bytes, &mut seen, &mut pongs);
        }
        let config = builder().max_queued_pongs(u8::MAX).build().unwrap();
        let whole = run(&mut open_with(role, config.clone()), &[&bytes]);
        prop_assert_eq!(&whole.seen, &seen);
        prop_assert_eq!(plain_frames(&whole.output), pongs);
        prop_assert_eq!(whole.state, State::Open);
        let cut = run(&mut open_with(role, config.clone()), &pieces(&bytes, &sizes));
        prop_assert_eq!(&cut, &whole);
        // The joined chunks are the same messages.
        let config = config.to_builder().delivery(Delivery::Chunks).build().unwrap();
        let cut = run(&mut open_with(role, config), &pieces(&bytes, &sizes));
        let joined: Vec<_> = seen.into_iter().map(|seen| match seen {
            Seen::Text(text) => {
                Seen::Chunked(MessageKind::Text, text.into_bytes())
            }
            Seen::Binary(bytes) => Seen::Chunked(MessageKind::Binary, bytes),
            seen => seen,
        }).collect();
        prop_assert_eq!(cut.seen, joined);
        prop_assert_eq!(cut.output, whole.output);
    }

    // rfc6455-6.2-01, 10.7-01
    #[test]
    fn events_of_any_bytes_do_not_depend_on_the_cut(
        role in any_role(),
        frames in vec(any_frame(), 0..8),
        garbage in vec(any::<u8>(), 0..20),
        sizes in any_cut(),
        is_chunked in any::<bool>(),
    ) {
        let mut bytes = vec![];
        for (first, payload, key) in &frames {
            bytes.extend(match key {
                None => to(role, *first, payload),
                Some(key) => frame(*first, payload, *key),
            });
        }
        bytes.extend(garbage);
        let config = Shared::new(if is_chunked { chunks() } else { config() });
        let whole = run(&mut open_with(role, config.clone()), &[&bytes]);
        let cut = run(&mut open_with(role, config.clone()), &pieces(&bytes, &sizes));
        prop_assert_eq!(&cut, &whole);
        let bytewise = run(&mut open_with(role, config), &pieces(&bytes, &[1]));
        prop_assert_eq!(&bytewise, &whole);
    }

    // rfc6455-5.6-01, 8.1-01
    #[test]
    fn text_fails_in_the_read_with_the_first_invalid_byte(
        role in any_role(),
        bytes in vec(prop_oneof![
            6 => "[a-z\u{e9}\u{20ac}\u{1f600}\u{7ff}\u{800}]{0,40}".prop_map(String::into_bytes),
            1 => vec(any::<u8>(), 0..3),
        ], 0..6).prop_map(|parts| parts.concat()),
        sizes in any_cut(),
        is_chunked in any::<bool>(),
    ) {
        let mut conn = open_with(role, if is_chunked { chunks() } else { config() });
        let whole = to(role, 0x01, &[&bytes[..], b"more"].concat());
        let header = whole.len() - bytes.len() - 4;
        let mut log = Log::default();
        feed(&mut conn, &whole[..header], &mut log);
        let mut received = 0;
        for piece in pieces(&whole[header..whole.len() - 4], &sizes) {
            feed(&mut conn, piece, &mut log);
            received += piece.len();
            let failed = check_text(&bytes[..received]).is_err();
            prop_assert_eq!(conn.state() == State::Closed, failed);
        }
    }
}

// rfc6455-6.2-01
#[test]
fn a_message_that_fails_is_not_delivered_in_part() {
    for role in ROLES {
        let bytes = [to(role, 0x01, b"good"), to(role, 0x00, b"\xff")].concat();
        let failed = [Seen::failed(ProtocolError::InvalidUtf8)];
        in_every_cut(role, || open(role), &bytes, &failed, &[(0x88, NOT_UTF8)]);
    }
}
