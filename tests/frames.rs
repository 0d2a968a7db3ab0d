//! Frame headers: which ones an endpoint accepts, which error the others give, and after which byte. `messages.rs`,
//! `control.rs`, `limits.rs` and `chunks.rs` test the effect of accepted frames.

mod util;

use util::{
    KEY, Log, ROLES, Seen, both_roles, builder, config, cuts, drain, feed, frame, in_every_cut,
    in_one_buffer, open, open_with, plain_frames, run, to, unlimited,
};
use websocket_proto::{
    CloseCause, Config, ConfigBuilder, Connection, Delivery, Entropy, FrameHeader,
    MAX_HEADER_BYTES, Message, MessageKind, Opcode, ProtocolError, RawHeader, Role, Shared, State,
};

/// The Close bodies 1002 and 1009.
const BROKEN: &[u8] = &[0x03, 0xea];
const TOO_BIG: &[u8] = &[0x03, 0xf1];

/// The state of the receiver when a header arrives.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The role of the receiver; `None` for [`FrameHeader::decode`], which knows no role.
    role: Option<Role>,
    /// The number of payload bytes so far of the unfinished message.
    open: Option<u64>,
    max_frame: u64,
    max_message: u64,
}

/// All rules: the error that the last of `bytes` causes, if the bytes before it are valid.
fn wrong(bytes: &[u8], place: Place) -> Option<ProtocolError> {
    match *bytes {
        [] => None,
        [first] => wrong_first(first, place),
        [first, second] => {
            wrong_second(first, second, place).or_else(|| wrong_length(first, second, &[], place))
        }
        [first, second, ref extended @ ..] => wrong_length(first, second, extended, place),
    }
}

fn wrong_first(first: u8, place: Place) -> Option<ProtocolError> {
    let (fin, rsv, opcode) = (first >= 0x80, first & 0x70, first & 0x0f);
    if rsv != 0 && place.role.is_some() {
        return Some(ProtocolError::ReservedBits { first_byte: first });
    }
    match (opcode, place.open) {
        (3..=7 | 11..=15, _) => Some(ProtocolError::ReservedOpcode { opcode }),
        (8..=10, _) if !fin => Some(ProtocolError::FragmentedControl { opcode }),
        (0, None) if place.role.is_some() => Some(ProtocolError::UnexpectedContinuation),
        (1 | 2, Some(_)) => Some(ProtocolError::UnfinishedMessage),
        _ => None,
    }
}

fn wrong_second(first: u8, second: u8, place: Place) -> Option<ProtocolError> {
    match (place.role, second >= 0x80, first & 0x0f, second & 0x7f) {
        (Some(Role::Server), false, _, _) => Some(ProtocolError::UnmaskedFrame),
        (Some(Role::Client), true, _, _) => Some(ProtocolError::MaskedFrame),
        (_, _, opcode @ 8..=10, 126 | 127) => Some(ProtocolError::ControlTooLong { opcode }),
        (_, _, 8, 1) => Some(ProtocolError::CloseTooShort),
        _ => None,
    }
}

fn wrong_length(first: u8, second: u8, extended: &[u8], place: Place) -> Option<ProtocolError> {
    let (width, least) = match second & 0x7f {
        126 => (2, 126),
        127 => (8, 0x1_0000),
        len => (0, u64::from(len)),
    };
    if first & 0x08 != 0 || extended.len() > width {
        return None;
    }
    // The smallest and the largest number that begin with the received bytes.
    let number = |filler: u8| {
        let mut bytes = [0; 8];
        bytes[8 - width..].fill(filler);
        bytes[8 - width..][..extended.len()].copy_from_slice(extended);
        u64::from_be_bytes(bytes)
    };
    let (low, high) = if width == 0 { (least, least) } else { (number(0), number(0xff)) };
    if low > i64::MAX as u64 {
        return Some(ProtocolError::LengthOutOfRange);
    }
    if high < least {
        return Some(ProtocolError::NonMinimalLength);
    }
    let len = low.max(least);
    if len > place.max_frame {
        return Some(ProtocolError::FrameTooBig { len, limit: place.max_frame });
    }
    let message = u128::from(place.open.unwrap_or(0)) + u128::from(len);
    // On 32 bits, a connection refuses a message that no buffer can hold.
    let limit = match place.role {
        Some(_) if usize::BITS < 64 => place.max_message.min(isize::MAX as u64 / 2),
        _ => place.max_message,
    };
    (message > u128::from(limit)).then(|| ProtocolError::MessageTooBig {
        len: u64::try_from(message).unwrap_or(u64::MAX),
        limit,
    })
}

/// The number of bytes that decide, and the error; `None` if the header is valid.
type Verdict = Option<(usize, ProtocolError)>;

fn verdict(bytes: &[u8], place: Place) -> Verdict {
    (1..=bytes.len()).find_map(|n| wrong(&bytes[..n], place).map(|error| (n, error)))
}

fn body(error: &ProtocolError) -> &'static [u8] {
    match error {
        ProtocolError::FrameTooBig { .. } | ProtocolError::MessageTooBig { .. } => TOO_BIG,
        _ => BROKEN,
    }
}

/// The first payload bytes of an unfinished message.
const BEGUN: &[u8] = b"ab";

fn connection(role: Role, config: &Shared<Config>, inside: bool) -> Connection {
    let mut conn = open_with(role, config.clone());
    if inside {
        assert_eq!(run(&mut conn, &[&to(role, 0x02, BEGUN)]).seen, []);
    }
    conn
}

/// Asserts `verdict` for a header that is fed byte by byte, and for one that is fed at once with other bytes after it.
fn assert_verdict(
    role: Role,
    config: &Shared<Config>,
    inside: bool,
    header: &[u8],
    verdict: &Verdict,
) {
    let name = || format!("{role:?}, inside: {inside}, {header:02x?}");
    let expected = verdict.iter().map(|(_, error)| Seen::failed(error.clone())).collect::<Vec<_>>();
    let mut conn = connection(role, config, inside);
    let mut log = Log::default();
    for (at, byte) in header.iter().enumerate() {
        feed(&mut conn, &[*byte], &mut log);
        let failed = verdict.as_ref().is_some_and(|(n, _)| *n <= at + 1);
        let has_failed =
            matches!(log.seen.last(), Some(Seen::Closed { cause: CloseCause::Protocol(_), .. }));
        assert_eq!(has_failed, failed, "{} after {}", name(), at + 1);
    }
    let answered = plain_frames(&drain(&mut conn));
    let Some((_, error)) = verdict else {
        // A header of two bytes may be a whole frame. The caller checks its events.
        if header.len() > 2 {
            assert_eq!(
                (log.seen, answered, conn.state()),
                (vec![], vec![], State::Open),
                "{}",
                name()
            );
        }
        return;
    };
    assert_eq!(log.seen, expected, "{}", name());
    assert_eq!(answered, [(0x88, body(error).to_vec())], "{}", name());
    let mut conn = connection(role, config, inside);
    let outcome = run(&mut conn, &[&[header, b"behind behind behind"].concat()]);
    assert_eq!(outcome.seen, expected, "{}", name());
    assert_eq!(plain_frames(&outcome.output), answered, "{}", name());
}

/// The events of a whole frame, and the frames that answer it.
fn meaning(first: u8, payload: &[u8], inside: bool) -> (Vec<Seen>, Vec<(u8, Vec<u8>)>) {
    match first {
        0x81 => (vec![Seen::Text(text_of(payload))], vec![]),
        0x82 => (vec![Seen::Binary(payload.to_vec())], vec![]),
        0x80 if inside => (vec![Seen::Binary([BEGUN, payload].concat())], vec![]),
        0x00..=0x02 => (vec![], vec![]),
        0x88 => match payload {
            [] => (vec![Seen::closed(1005, "", CloseCause::Peer)], vec![(0x88, vec![])]),
            [high, low, reason @ ..] => (
                vec![Seen::closed(1000, &text_of(reason), CloseCause::Peer)],
                vec![(0x88, vec![*high, *low])],
            ),
            [_] => unreachable!("a Close body of 1 byte is refused"),
        },
        0x89 => (vec![Seen::Ping(payload.to_vec())], vec![(0x8a, payload.to_vec())]),
        0x8a => (vec![Seen::Pong(payload.to_vec())], vec![]),
        _ => unreachable!("{first:02x} is refused"),
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

// rfc6455-5.1-02, -03, -05, -06, 5.2-03, -04, -05, 5.4-03, -04, -07, 5.5-01, -03, -04, 5.5.1-02, 5.8-02, 10.7-01
#[test]
fn every_first_two_bytes_get_their_verdict_at_the_earliest_byte() {
    let config = Shared::new(config());
    let limit = config.max_frame_bytes();
    let mut taken = 0;
    for (role, inside) in ROLES.into_iter().flat_map(|role| [(role, false), (role, true)]) {
        let open = inside.then_some(BEGUN.len() as u64);
        let place = Place { role: Some(role), open, max_frame: limit, max_message: limit };
        for (first, second) in (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))) {
            let verdict = verdict(&[first, second], place);
            assert_verdict(role, &config, inside, &[first, second], &verdict);
            if verdict.is_some() || second & 0x7f > 125 {
                continue;
            }
            taken += 1;
            let len = usize::from(second & 0x7f);
            let mut payload = vec![b'x'; len];
            if first == 0x88 && len >= 2 {
                payload[..2].copy_from_slice(&[0x03, 0xe8]);
            }
            let bytes = to(role, first, &payload);
            assert_eq!(bytes[..2], [first, second]);
            let outcome = run(&mut connection(role, &config, inside), &[&bytes]);
            let (seen, answered) = meaning(first, &payload, inside);
            assert_eq!(outcome.seen, seen, "{role:?}, {first:02x} {second:02x}");
            assert_eq!(plain_frames(&outcome.output), answered);
        }
    }
    // 7 first bytes are valid outside of a message, 5 inside. A Close has 125 of the 126 short lengths (not 1).
    assert_eq!(taken, 2 * ((7 + 5) * 126 - 2));
}

const LENGTHS: [u64; 25] = [
    0,
    1,
    124,
    125,
    126,
    127,
    128,
    255,
    256,
    300,
    0xfffe,
    0xffff,
    0x1_0000,
    0x1_0001,
    0xff_ffff,
    0x100_0000,
    0x100_0001,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    1 << 62,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// The headers with this first and second byte that the tests use.
fn headers(first: u8, second: u8) -> Vec<Vec<u8>> {
    let key = if second >= 0x80 { &KEY[..] } else { &[] };
    let extended = |len: u64| match second & 0x7f {
        126 => u16::try_from(len).ok().map(|len| len.to_be_bytes().to_vec()),
        127 => Some(len.to_be_bytes().to_vec()),
        _ => unreachable!("only extended lengths are asked for"),
    };
    let extended = LENGTHS.into_iter().filter_map(extended);
    extended.map(|bytes| [&[first, second], &bytes[..], key].concat()).collect()
}

// rfc6455-5.2-07, -08, -10, 10.4-01
#[test]
fn every_extended_length_gets_its_verdict_at_the_earliest_byte() {
    let limits = [
        (16 << 20, 16 << 20),
        (u64::MAX, u64::MAX),
        (1, u64::MAX),
        (125, u64::MAX),
        (126, u64::MAX),
        (300, u64::MAX),
        (0xffff, u64::MAX),
        (0x1_0000, u64::MAX),
        (u64::MAX, 128),
        (u64::MAX, 302),
        (u64::MAX, 0x1_0001),
        (u64::MAX, 1 << 63),
        (300, 301),
    ];
    for (max_frame, max_message) in limits {
        let config = builder().max_message_bytes(in_one_buffer(max_message));
        let outside = Shared::new(config.clone().max_frame_bytes(max_frame).build().unwrap());
        // The limit must allow the two bytes that begin the message.
        let inside = Shared::new(config.max_frame_bytes(max_frame.max(2)).build().unwrap());
        for role in ROLES {
            let mask = if role == Role::Server { 0x80 } else { 0 };
            for (config, is_inside) in [(&outside, false), (&inside, true)] {
                let place = Place {
                    role: Some(role),
                    open: is_inside.then_some(BEGUN.len() as u64),
                    max_frame: config.max_frame_bytes(),
                    max_message,
                };
                for first in [0x00, 0x80, 0x01, 0x81, 0x02, 0x82, 0x89, 0xc2, 0x83] {
                    for header in [126, 127].into_iter().flat_map(|len| headers(first, mask | len))
                    {
                        let verdict = verdict(&header, place);
                        assert_verdict(role, config, is_inside, &header, &verdict);
                    }
                }
            }
        }
    }
}

// rfc6455-5.2-07, -08, -10, 10.4-01
#[test]
fn a_length_fails_at_the_byte_that_decides() {
    use ProtocolError::{FrameTooBig, LengthOutOfRange, NonMinimalLength};
    let big = |len, limit| FrameTooBig { len, limit };
    let all = u64::MAX;
    // The limit of a frame; the header without its first byte; the verdict.
    let rows: &[(u64, &[u8], Verdict)] = &[
        (all, &[126, 0x00, 0x7e], None),
        (all, &[126, 0xff, 0xff], None),
        (all, &[126, 0x00, 0x7d], Some((4, NonMinimalLength))),
        (all, &[126, 0x00, 0x00], Some((4, NonMinimalLength))),
        (all, &[127, 0, 0, 0, 0, 0, 1, 0, 0], None),
        (all, &[127, 0x7f, 255, 255, 255, 255, 255, 255, 255], None),
        (all, &[127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Some((8, NonMinimalLength))),
        (all, &[127, 0, 0, 0, 0, 0, 0, 0, 0], Some((8, NonMinimalLength))),
        (all, &[127, 0x80, 0, 0, 0, 0, 0, 0, 0], Some((3, LengthOutOfRange))),
        (all, &[127, 255, 255, 255, 255, 255, 255, 255, 255], Some((3, LengthOutOfRange))),
        (124, &[125], Some((2, big(125, 124)))),
        (125, &[126, 0x00, 0x7e], Some((2, big(126, 125)))),
        (125, &[126, 0x00, 0x7d], Some((2, big(126, 125)))),
        (125, &[127, 0x80, 0, 0, 0, 0, 0, 0, 0], Some((2, big(0x1_0000, 125)))),
        (300, &[126, 0x01, 0x2c], None),
        (300, &[126, 0x01, 0x2d], Some((4, big(301, 300)))),
        (300, &[126, 0x02, 0x00], Some((3, big(512, 300)))),
        (300, &[126, 0x00, 0x7d], Some((4, NonMinimalLength))),
        (0xffff, &[127, 0, 0, 0, 0, 0, 1, 0, 0], Some((2, big(0x1_0000, 0xffff)))),
        (1 << 24, &[127, 0, 0, 0, 0, 1, 0, 0, 0], None),
        (1 << 24, &[127, 0, 0, 0, 0, 1, 0, 0, 1], Some((10, big(0x100_0001, 1 << 24)))),
        (1 << 24, &[127, 0, 0, 0, 0, 2, 0, 0, 0], Some((7, big(2 << 24, 1 << 24)))),
        (1 << 24, &[127, 0, 0, 0, 1, 0, 0, 0, 0], Some((6, big(1 << 32, 1 << 24)))),
        (1 << 24, &[127, 0x0f, 0, 0, 0, 0, 0, 0, 0], Some((3, big(0x0f << 56, 1 << 24)))),
        (1 << 24, &[127, 0x80, 0, 0, 0, 0, 0, 0, 0], Some((3, LengthOutOfRange))),
    ];
    for (limit, length, verdict) in rows {
        let config = Shared::new(unlimited().max_frame_bytes(*limit).build().unwrap());
        for role in ROLES {
            let mut header = [&[0x82], *length].concat();
            if role == Role::Server {
                header[1] |= 0x80;
                header.extend_from_slice(&KEY);
            }
            assert_verdict(role, &config, false, &header, verdict);
        }
    }
}

#[test]
fn a_raw_header_is_read_whichever_rules_it_breaks() {
    let (mut read, mut broken) = (0, 0);
    for (first, second) in (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))) {
        let headers = match second & 0x7f {
            126 | 127 => headers(first, second),
            _ if second >= 0x80 => vec![[&[first, second], &KEY[..]].concat()],
            _ => vec![vec![first, second]],
        };
        for header in headers {
            let key = if second >= 0x80 { Some(KEY) } else { None };
            let extended = &header[2..header.len() - if key.is_some() { 4 } else { 0 }];
            let len = match extended {
                [] => u64::from(second & 0x7f),
                _ => extended.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
            };
            for n in 0..header.len() {
                assert_eq!(RawHeader::read(&header[..n]), None, "{header:02x?} at {n}");
            }
            let size = header.len();
            let expected = RawHeader { first_byte: first, mask: key, payload_len: len, size };
            for behind in [&b""[..], b"behind"] {
                let bytes = [&header, behind].concat();
                assert_eq!(RawHeader::read(&bytes), Some(expected), "{header:02x?}");
            }
            // A header that breaks no rule is the same in both forms.
            match FrameHeader::decode(&header) {
                Ok(decoded) => {
                    let (decoded, whole) = decoded.expect("the header is whole");
                    assert_eq!((decoded.mask, decoded.payload_len, whole), (key, len, size));
                    read += 1;
                }
                Err(_) => broken += 1,
            }
        }
    }
    assert!(read > 10_000 && broken > 10_000, "{read}, {broken}");
}

// rfc6455-5.2-03, -04, 5.5-04, 5.8-01, -02
#[test]
fn reserved_bits_and_opcodes_fail_in_every_cut() {
    for first in 0x80..=0xff_u8 {
        let error = match (first & 0x70, first & 0x0f) {
            (0, opcode @ (3..=7 | 11..=15)) => ProtocolError::ReservedOpcode { opcode },
            (0, _) => continue,
            _ => ProtocolError::ReservedBits { first_byte: first },
        };
        let failed = [Seen::Text("before".into()), Seen::failed(error)];
        let frames: [(u8, &[u8]); 2] = [(0x81, b"before"), (first, b"x")];
        both_roles(&config(), &frames, &failed, &[(0x88, BROKEN)]);
    }
}

// rfc6455-5.1-02, -03, -05, -06, 5.3-07
#[test]
fn a_mask_bit_of_the_wrong_role_fails_in_every_cut() {
    for first in [0x81, 0x01, 0x82, 0x88, 0x89, 0x8a] {
        for payload in [&b""[..], b"Hello"] {
            for (role, key, error) in [
                (Role::Server, None, ProtocolError::UnmaskedFrame),
                (Role::Client, Some(KEY), ProtocolError::MaskedFrame),
                (Role::Client, Some([0; 4]), ProtocolError::MaskedFrame),
            ] {
                let bytes = frame(first, payload, key);
                let failed = [Seen::failed(error)];
                in_every_cut(role, || open(role), &bytes, &failed, &[(0x88, BROKEN)]);
            }
        }
    }
}

fn lenient() -> ConfigBuilder {
    builder().accept_unmasked_frames(true)
}

// rfc6455-5.1-02, 5.2-03, -05: all rules but that of the mask bit hold, at the same byte.
#[test]
fn each_unmasked_header_gets_the_verdict_of_the_masked_one_if_it_may() {
    let config = Shared::new(lenient().build().unwrap());
    let limit = config.max_frame_bytes();
    for inside in [false, true] {
        let open = inside.then_some(BEGUN.len() as u64);
        let place = Place { role: Some(Role::Server), open, max_frame: limit, max_message: limit };
        for (first, len) in (0..=255u8).flat_map(|a| (0..0x80u8).map(move |b| (a, b))) {
            let judged = verdict(&[first, len | 0x80], place);
            for second in [len, len | 0x80] {
                assert_verdict(Role::Server, &config, inside, &[first, second], &judged);
            }
            if judged.is_some() || len > 125 {
                continue;
            }
            let mut payload = vec![b'x'; len.into()];
            if first == 0x88 && len >= 2 {
                payload[..2].copy_from_slice(&[0x03, 0xe8]);
            }
            let expected = meaning(first, &payload, inside);
            for key in [None, Some(KEY), Some([0; 4])] {
                let bytes = frame(first, &payload, key);
                let outcome = run(&mut connection(Role::Server, &config, inside), &[&bytes]);
                assert_eq!((outcome.seen, plain_frames(&outcome.output)), expected, "{bytes:02x?}");
            }
        }
        for second in [126, 127] {
            for header in headers(if inside { 0x80 } else { 0x82 }, second) {
                let masked = [&[header[0], second | 0x80], &header[2..]].concat();
                let judged = verdict(&masked, place);
                assert_verdict(Role::Server, &config, inside, &header, &judged);
            }
        }
    }
}

// rfc6455-5.1-03: a deviation, by the caller's choice only
#[test]
fn a_server_that_may_accepts_unmasked_frames() {
    let long = "\u{e9}".repeat(100);
    let longer = vec![7; 66_000];
    let frames: [(u8, &[u8]); 8] = [
        (0x81, b"Hello"),
        (0x81, long.as_bytes()),
        (0x01, b"fr\xc3"),
        (0x89, b"ping"),
        (0x80, b"\xa9"),
        (0x82, b""),
        (0x8a, b""),
        (0x88, b"\x03\xe8bye"),
    ];
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let text = |text: &str| match delivery {
            Delivery::Messages => Seen::Text(text.into()),
            _ => Seen::Chunked(MessageKind::Text, text.into()),
        };
        let binary = |bytes: &[u8]| match delivery {
            Delivery::Messages => Seen::Binary(bytes.into()),
            _ => Seen::Chunked(MessageKind::Binary, bytes.into()),
        };
        let config = lenient().delivery(delivery).build().unwrap();
        let open = || open_with(Role::Server, config.clone());
        let seen = [
            text("Hello"),
            text(&long),
            Seen::Ping(b"ping".to_vec()),
            text("fr\u{e9}"),
            binary(b""),
            Seen::Pong(vec![]),
            Seen::closed(1000, "bye", CloseCause::Peer),
        ];
        // No frame is masked, or every second one, or all.
        for masked in [[false, false], [true, false], [false, true], [true, true]] {
            let frames = frames.iter().zip(masked.into_iter().cycle());
            let bytes: Vec<u8> = frames
                .flat_map(|((first, payload), is_masked)| {
                    frame(*first, payload, is_masked.then_some(KEY))
                })
                .collect();
            let answered: [(u8, &[u8]); 2] = [(0x8a, b"ping"), (0x88, b"\x03\xe8")];
            in_every_cut(Role::Server, open, &bytes, &seen, &answered);
        }
        let bytes = frame(0x82, &longer, None);
        for size in [1, 1000, bytes.len()] {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            assert!(run(&mut open(), &pieces).seen == [binary(&longer)], "{size}");
        }
        // Text that is not UTF-8 fails as if it were masked.
        let mut failed = vec![Seen::failed(ProtocolError::InvalidUtf8)];
        if delivery == Delivery::Chunks {
            failed.insert(0, Seen::Unfinished(MessageKind::Text, b"a".to_vec()));
        }
        let bytes = frame(0x81, b"a\xff", None);
        in_every_cut(Role::Server, open, &bytes, &failed, &[(0x88, &[0x03, 0xef])]);
        // A client with this setting refuses masked frames as before.
        let open = || open_with(Role::Client, config.clone());
        let failed = [Seen::failed(ProtocolError::MaskedFrame)];
        let bytes = frame(0x81, b"Hello", Some(KEY));
        in_every_cut(Role::Client, open, &bytes, &failed, &[(0x88, BROKEN)]);
        in_every_cut(Role::Client, open, &to(Role::Client, 0x81, b"Hello"), &[text("Hello")], &[]);
    }
}

// rfc6455-5.2-05, 6.2-02
#[test]
fn every_opcode_has_its_meaning() {
    for (first, payload) in [
        (0x81, &b"Hello"[..]),
        (0x82, b"Hello"),
        (0x88, b"\x03\xe8bye"),
        (0x89, b"hi"),
        (0x8a, b"hi"),
    ] {
        let (seen, answered) = meaning(first, payload, false);
        let answered: Vec<_> = answered.iter().map(|(first, body)| (*first, &body[..])).collect();
        both_roles(&config(), &[(first, payload)], &seen, &answered);
    }
    let frames: [(u8, &[u8]); 2] = [(0x02, b"Hel"), (0x80, b"lo")];
    both_roles(&config(), &frames, &[Seen::Binary(b"Hello".to_vec())], &[]);
}

// rfc6455-5.2-07, -12, 5.3-06
#[test]
fn every_length_arrives_in_its_shortest_form() {
    for len in [0, 1, 124, 125, 126, 127, 128, 255, 256, 65_534, 65_535, 65_536] {
        let payload: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        for role in ROLES {
            let bytes = to(role, 0x82, &payload);
            let form = match bytes[1] & 0x7f {
                126 => 4,
                127 => 10,
                _ => 2,
            };
            let key = if role == Role::Server { 4 } else { 0 };
            assert_eq!(bytes.len(), form + key + payload.len());
            assert_eq!(
                form,
                if len < 126 {
                    2
                } else if len < 65_536 {
                    4
                } else {
                    10
                }
            );
            let seen = [Seen::Binary(payload.clone())];
            if len < 1000 {
                in_every_cut(role, || open(role), &bytes, &seen, &[]);
                continue;
            }
            for at in [0, 1, 2, 3, 4, 8, 9, 10, 13, 14, 15, 17, len / 2, len - 1, len] {
                let (a, b) = bytes.split_at(at);
                assert_eq!(run(&mut open(role), &[a, b]).seen, seen, "{role:?}, {len} at {at}");
            }
            let pieces: Vec<_> = bytes.chunks(1).collect();
            assert_eq!(run(&mut open(role), &pieces).seen, seen, "{role:?}, {len}");
        }
    }
}

// rfc6455-5.2-06, 5.3-05, -06, 6.2-08
#[test]
fn a_payload_is_unmasked_for_every_key_length_and_cut() {
    for key in [[0; 4], [0xff; 4], [1, 2, 3, 4], [0, 0, 0, 0x80], KEY] {
        for len in (0..=40).chain([63, 64, 65, 100, 125, 126, 127, 300]) {
            let payload: Vec<u8> = (0..len).map(|i| (i * 7 + 3) as u8).collect();
            let bytes = frame(0x82, &payload, Some(key));
            for size in (1..=9).chain([16, 17, 64, 1000]) {
                let pieces: Vec<_> = bytes.chunks(size).collect();
                let outcome = run(&mut open(Role::Server), &pieces);
                assert_eq!(
                    outcome.seen,
                    [Seen::Binary(payload.clone())],
                    "{key:02x?}, {len}, {size}"
                );
            }
        }
    }
}

// rfc6455-5.2-11, 10.7-05
#[test]
fn a_frame_takes_exactly_its_own_bytes() {
    for role in ROLES {
        for first in [0x81, 0x82, 0x89, 0x8a] {
            for len in [0, 1, 5, 125] {
                let whole = to(role, first, &vec![b'x'; len]);
                let mut bytes = [&whole[..], &to(role, 0x82, b"\x81\x00\x88\x00")].concat();
                let behind = bytes[whole.len()..].to_vec();
                let mut conn = open(role);
                let mut input = &mut bytes[..];
                assert!(conn.receive(&mut input).is_some());
                assert_eq!(input, behind, "{role:?}, {first:02x}, {len}");
            }
        }
    }
}

// rfc6455-10.7-05
#[test]
fn payload_that_looks_like_frames_is_payload() {
    let inner: Vec<u8> =
        [to(Role::Client, 0x88, b"\x03\xe8"), to(Role::Server, 0x81, b"x"), vec![0xff; 9]].concat();
    let seen = [Seen::Binary(inner.clone()), Seen::Ping(inner.clone())];
    both_roles(&config(), &[(0x82, &inner), (0x89, &inner)], &seen, &[(0x8a, &inner)]);
}

/// A connection for the examples of RFC 6455 5.7. A client masks with [`KEY`].
fn keyed(role: Role) -> Connection {
    let config = builder()
        .entropy(Entropy::from_fn(|key| {
            key.copy_from_slice(&KEY);
            Ok(())
        }))
        .build()
        .unwrap();
    open_with(role, config)
}

fn sent(mut conn: Connection, message: impl Into<Message<'static>>) -> Vec<u8> {
    conn.send(message).unwrap();
    drain(&mut conn)
}

// rfc6455-5.2-14, 5.7-01, -02, -03
#[test]
fn the_examples_of_text_are_read_and_written_exactly() {
    let hello = [Seen::Text("Hello".into())];
    let unmasked = b"\x81\x05\x48\x65\x6c\x6c\x6f";
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let fragmented = b"\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f";
    in_every_cut(Role::Client, || open(Role::Client), unmasked, &hello, &[]);
    in_every_cut(Role::Server, || open(Role::Server), masked, &hello, &[]);
    in_every_cut(Role::Client, || open(Role::Client), fragmented, &hello, &[]);
    assert_eq!(sent(keyed(Role::Server), "Hello"), unmasked);
    assert_eq!(sent(keyed(Role::Client), "Hello"), masked);
    let mut conn = open(Role::Server);
    conn.send_fragment(MessageKind::Text, b"Hel", false).unwrap();
    conn.send_fragment(MessageKind::Text, b"lo", true).unwrap();
    assert_eq!(drain(&mut conn), fragmented);
}

// rfc6455-5.7-04
#[test]
fn the_example_of_a_ping_is_answered_exactly() {
    let ping = b"\x89\x05\x48\x65\x6c\x6c\x6f";
    let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    for pieces in cuts(ping) {
        let outcome = run(&mut keyed(Role::Client), &pieces);
        assert_eq!(outcome.seen, [Seen::Ping(b"Hello".to_vec())]);
        assert_eq!(outcome.output, pong);
    }
    let seen = [Seen::Pong(b"Hello".to_vec())];
    in_every_cut(Role::Server, || open(Role::Server), pong, &seen, &[]);
}

// rfc6455-5.7-05, -06
#[test]
fn the_examples_of_binary_are_read_and_written_exactly() {
    for (len, header) in [(256, &b"\x82\x7e\x01\x00"[..]), (65_536, b"\x82\x7f\0\0\0\0\0\x01\0\0")]
    {
        let payload = vec![0x5a; len];
        let bytes = [header, &payload].concat();
        let outcome = run(&mut open(Role::Client), &[&bytes]);
        assert_eq!(outcome.seen, [Seen::Binary(payload.clone())]);
        assert_eq!(sent(open(Role::Server), payload), bytes);
    }
}

// rfc6455-5.2-04, -07, -08, -10, -14, 5.5-01, -03
#[test]
fn a_header_alone_is_decoded_or_refused_at_the_earliest_byte() {
    let place = Place { role: None, open: None, max_frame: u64::MAX, max_message: u64::MAX };
    for (first, second) in (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))) {
        let key = if second >= 0x80 { &KEY[..] } else { &[] };
        let rows = match second & 0x7f {
            126 | 127 => headers(first, second),
            _ => vec![[&[first, second], key].concat()],
        };
        for header in rows {
            let verdict = verdict(&header, place);
            let behind = [&header[..], b"behind the header"].concat();
            for n in (0..=header.len()).chain([behind.len()]) {
                let decoded = FrameHeader::decode(&behind[..n]);
                // The second byte tells the length of the header.
                let known = if n < 2 { 2 } else { header.len() };
                let missing = FrameHeader::missing_bytes(&behind[..n]);
                assert_eq!(missing, known.saturating_sub(n), "{header:02x?}, {n}");
                match &verdict {
                    Some((at, error)) if *at <= n => assert_eq!(decoded, Err(error.clone())),
                    _ if n < header.len() => assert_eq!(decoded, Ok(None), "{header:02x?}, {n}"),
                    _ => {
                        let len = match header.len() - key.len() {
                            2 => u64::from(second & 0x7f),
                            4 => u64::from(u16::from_be_bytes([header[2], header[3]])),
                            _ => u64::from_be_bytes(header[2..10].try_into().unwrap()),
                        };
                        let expected = FrameHeader {
                            fin: first >= 0x80,
                            rsv: first >> 4 & 7,
                            opcode: Opcode::from_first_byte(first).unwrap(),
                            mask: (second >= 0x80).then_some(KEY),
                            payload_len: len,
                        };
                        assert_eq!(decoded, Ok(Some((expected, header.len()))), "{header:02x?}");
                        let mut out = [0; MAX_HEADER_BYTES];
                        let size = expected.encode(&mut out);
                        assert_eq!(out[..size], header);
                    }
                }
            }
        }
    }
}
