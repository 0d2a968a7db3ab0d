//! Exhaustive tests: each pair of first bytes in each state, each boundary of lengths in each encoding, each subset of
//! the handshake's headers. The expected results are written here; the library does not compute them.
//!
//! `closing.rs` sends and receives all close codes; `exhaustive/utf8.rs` tries all strings of four bytes.

mod util;

use util::*;
use websocket_proto::{
    CloseCause, Config, Connection, FrameHeader, HandshakeError, MAX_HEADER_BYTES, Opcode,
    ProtocolError, Role, Shared,
};

/// What a receiver does with a header, given its opcode, FIN, and whether a message is unfinished.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Taken,
    Reserved,
    /// A continuation without a message.
    Stray,
    /// A new message within an unfinished one.
    Nested,
    /// A fragmented control frame.
    Fragment,
}

use Rule::{Fragment as F, Nested as N, Reserved as R, Stray as S, Taken as T};

/// RFC 6455 5.2, 5.4, 5.5, by opcode.
const RULES: [[Rule; 4]; 16] = [
    // outside   inside a message
    // FIN: 0, 1    0, 1
    [S, S, T, T], // 0: continuation
    [T, T, N, N], // 1: text
    [T, T, N, N], // 2: binary
    [R, R, R, R],
    [R, R, R, R],
    [R, R, R, R],
    [R, R, R, R],
    [R, R, R, R],
    [F, T, F, T], // 8: close
    [F, T, F, T], // 9: ping
    [F, T, F, T], // 10: pong
    [R, R, R, R],
    [R, R, R, R],
    [R, R, R, R],
    [R, R, R, R],
    [R, R, R, R],
];

/// The unfinished message at the time when a header arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Plain,
    Compressed,
}

/// The state of the receiver when a header arrives.
#[derive(Debug, Clone, Copy)]
struct Place {
    receiver: Role,
    deflate: bool,
    inside: Inside,
}

/// The expected result for the first two bytes of a header.
fn expected(place: Place, first: u8, second: u8) -> Result<(), ProtocolError> {
    let (fin, rsv, opcode) = (first >> 7, first >> 4 & 7, first & 15);
    let is_first_of_message = matches!(opcode, 1 | 2);
    // RFC 7692 6: only the first frame of a compressed message has RSV1.
    if rsv != 0 && !(rsv == 4 && place.deflate && is_first_of_message) {
        return Err(ProtocolError::ReservedBits { first_byte: first });
    }
    let inside = usize::from(place.inside != Inside::Nothing);
    match RULES[usize::from(opcode)][2 * inside + usize::from(fin)] {
        T => {}
        R => return Err(ProtocolError::ReservedOpcode { opcode }),
        S => return Err(ProtocolError::UnexpectedContinuation),
        N => return Err(ProtocolError::UnfinishedMessage),
        F => return Err(ProtocolError::FragmentedControl { opcode }),
    }
    match (place.receiver, second >> 7) {
        (Role::Server, 0) => return Err(ProtocolError::UnmaskedFrame),
        (Role::Client, 1) => return Err(ProtocolError::MaskedFrame),
        _ => {}
    }
    match (opcode, second & 127) {
        (8..=10, 126 | 127) => Err(ProtocolError::ControlTooLong { opcode }),
        (8, 1) => Err(ProtocolError::CloseTooShort),
        // A compressed message without any byte is not a DEFLATE stream. A server still waits for the masking key.
        (0..=2, 0) if fin == 1 && place.receiver == Role::Client => {
            let compressed =
                if opcode == 0 { place.inside == Inside::Compressed } else { rsv == 4 };
            if compressed { Err(ProtocolError::InvalidDeflate) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

/// Whether only the second byte shows this error.
fn by_the_second(error: &ProtocolError) -> bool {
    matches!(
        error,
        ProtocolError::UnmaskedFrame
            | ProtocolError::MaskedFrame
            | ProtocolError::ControlTooLong { .. }
            | ProtocolError::CloseTooShort
            | ProtocolError::InvalidDeflate
    )
}

fn connection(place: Place, config: &Shared<Config>) -> Connection {
    let receiver = place.receiver;
    #[cfg(feature = "deflate")]
    let mut conn = if place.deflate {
        let params = websocket_proto::DeflateParams {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        };
        Connection::from_upgrade(
            websocket_proto::Upgrade::new(receiver).deflate(params),
            config.clone(),
        )
        .unwrap()
    } else {
        open_with(receiver, config.clone())
    };
    #[cfg(not(feature = "deflate"))]
    let mut conn = open_with(receiver, config.clone());
    let first = match place.inside {
        Inside::Nothing => return conn,
        Inside::Plain => 0x02,
        Inside::Compressed => 0x42,
    };
    assert!(conn.receive(&mut &mut to(receiver, first, b"")[..]).is_none());
    conn
}

/// Feeds `bytes`, and returns the error that ended the connection.
fn verdict(conn: &mut Connection, bytes: &[u8]) -> Result<(), ProtocolError> {
    let mut log = Log::default();
    feed(conn, bytes, &mut log);
    match log.seen.pop() {
        Some(Seen::Closed { cause: CloseCause::Protocol(error), .. }) => Err(error),
        _ => Ok(()),
    }
}

// rfc6455-5.2-01, -03, -04, -05, 5.4-03, -04, 5.5-01, -03, 5.5.1-02, 5.1-02, -05, rfc7692-6-02, -03, 6.1-04
#[test]
fn each_pair_of_first_bytes_in_each_state() {
    let config = Shared::new(config());
    let mut places = vec![(false, Inside::Nothing), (false, Inside::Plain)];
    if cfg!(feature = "deflate") {
        let inside = [Inside::Nothing, Inside::Plain, Inside::Compressed];
        places.extend(inside.map(|inside| (true, inside)));
    }
    for receiver in ROLES {
        for &(deflate, inside) in &places {
            let place = Place { receiver, deflate, inside };
            let mut taken = 0;
            for first in 0..=255 {
                let alone = verdict(&mut connection(place, &config), &[first]).err();
                for second in 0..=255 {
                    let expected = expected(place, first, second);
                    let mut conn = connection(place, &config);
                    let found = verdict(&mut conn, &[first, second]);
                    assert_eq!(found, expected, "{place:?} {first:02x} {second:02x}");
                    // The first byte alone gives the same error, unless the second byte decides it.
                    let decided = expected.clone().err().filter(|error| !by_the_second(error));
                    assert_eq!(alone, decided, "{place:?} {first:02x}");
                    taken += u32::from(expected.is_ok());
                }
            }
            // Each role accepts 128 second bytes for a data frame, 126 for a ping or pong, 125 for a Close (length 1 is
            // too short).
            let data = match (inside, deflate) {
                (Inside::Nothing, false) => 4,
                (Inside::Nothing, true) => 8,
                _ => 2,
            };
            let is_client = u32::from(receiver == Role::Client);
            let empty = match (inside, deflate) {
                (Inside::Nothing, true) => 2 * is_client,
                (Inside::Compressed, _) => is_client,
                _ => 0,
            };
            assert_eq!(taken, data * 128 + 3 * 126 - 1 - empty, "{place:?}");
        }
    }
}

/// Lengths near a border: of an encoding, of 32-bit and of signed integers.
const BOUNDARIES: [u64; 31] = [
    0,
    1,
    2,
    124,
    125,
    126,
    127,
    128,
    255,
    256,
    65_534,
    65_535,
    65_536,
    65_537,
    (1 << 24) - 1,
    1 << 24,
    (1 << 24) + 1,
    (1 << 31) - 1,
    1 << 31,
    (1 << 31) + 1,
    (1 << 32) - 1,
    1 << 32,
    (1 << 32) + 1,
    (1 << 53) - 1,
    1 << 53,
    (1 << 53) + 1,
    (1 << 63) - 1,
    1 << 63,
    (1 << 63) + 1,
    u64::MAX - 1,
    u64::MAX,
];

// rfc6455-5.2-07, -08, -09, -10
#[test]
fn each_boundary_of_lengths_in_each_encoding() {
    let config = Shared::new(unlimited().build().unwrap());
    let mut shortest = [0; 3];
    for len in BOUNDARIES {
        let encodings = [
            (len < 126).then(|| (vec![len as u8], Ok(()))),
            (len < 65_536).then(|| {
                let bytes = [&[126][..], &(len as u16).to_be_bytes()].concat();
                (bytes, if len < 126 { Err(ProtocolError::NonMinimalLength) } else { Ok(()) })
            }),
            Some((
                [&[127][..], &len.to_be_bytes()].concat(),
                match len {
                    0..65_536 => Err(ProtocolError::NonMinimalLength),
                    65_536..0x8000_0000_0000_0000 => Ok(()),
                    _ => Err(ProtocolError::LengthOutOfRange),
                },
            )),
        ];
        let mut good = 0;
        for (which, encoding) in encodings.into_iter().enumerate() {
            let Some((length, expected)) = encoding else {
                continue;
            };
            for receiver in ROLES {
                let mut header = [&[0x82], &length[..]].concat();
                if receiver == Role::Server {
                    header[1] |= 0x80;
                    header.extend_from_slice(&KEY);
                }
                for cut in 0..=header.len() {
                    let mut conn = open_with(receiver, config.clone());
                    let (a, b) = header.split_at(cut);
                    let found = verdict(&mut conn, a).and_then(|()| verdict(&mut conn, b));
                    assert_eq!(found, expected, "{receiver:?} {len} in {header:02x?} at {cut}");
                }
                // `FrameHeader::decode` gives the same result, and `encode` writes the same bytes.
                let decoded = FrameHeader::decode(&header);
                if expected.is_ok() {
                    let expected = FrameHeader {
                        fin: true,
                        rsv: 0,
                        opcode: Opcode::Binary,
                        mask: (receiver == Role::Server).then_some(KEY),
                        payload_len: len,
                    };
                    assert_eq!(decoded, Ok(Some((expected, header.len()))));
                    let mut out = [0; MAX_HEADER_BYTES];
                    let size = expected.encode(&mut out);
                    assert_eq!(out[..size], header, "{len}");
                }
                assert_eq!(decoded.map(|_| ()), expected, "{len}");
            }
            if expected.is_ok() {
                good += 1;
                shortest[which] += 1;
            }
        }
        assert_eq!(good, usize::from(len < 1 << 63), "the number of valid encodings of {len}");
    }
    assert_eq!(shortest, [5, 7, 15]);
}

/// All ways to have each header never, once or twice.
fn subsets(headers: &[&str]) -> Vec<Vec<usize>> {
    let all = 3_usize.pow(headers.len() as u32);
    let digits = |n: usize| (0..headers.len()).map(move |at| n / 3_usize.pow(at as u32) % 3);
    (0..all).map(|n| digits(n).collect()).collect()
}

/// The head with each header as often as `times` says, in order and in reverse order.
fn heads(first_line: &str, headers: &[&str], times: &[usize]) -> [Vec<u8>; 2] {
    let lines = headers.iter().zip(times);
    let lines: Vec<String> = lines.map(|(line, &n)| format!("{line}\r\n").repeat(n)).collect();
    let head = |lines: String| format!("{first_line}\r\n{lines}\r\n").into_bytes();
    let reversed = lines.iter().rev().map(String::as_str).collect();
    [head(lines.concat()), head(reversed)]
}

// rfc6455-4.2.1-01, -02, -06, -07, -08, -09, 4.4-01, 11.3.1-01, 11.3.5-02
#[test]
fn each_subset_of_the_headers_of_a_request() {
    let headers = [
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ];
    let mut good = 0;
    for times in subsets(&headers) {
        let [host, upgrade, connection, key, version] = times[..] else { unreachable!() };
        // The arms are in the order of the server's checks. Upgrade and Connection are lists, so they may be repeated.
        let fault = match (upgrade, version, connection, host, key) {
            (0, ..) => None,
            (_, 0, ..) => Some((HandshakeError::Version { seen: None }, 426)),
            (_, 2, ..) => Some((HandshakeError::DuplicateVersion, 400)),
            (_, _, 0, ..) => Some((HandshakeError::ConnectionNotUpgrade, 400)),
            (_, _, _, 0, _) => Some((HandshakeError::MissingHost, 400)),
            (_, _, _, 2, _) => Some((HandshakeError::DuplicateHost, 400)),
            (.., 0) => Some((HandshakeError::MissingKey, 400)),
            (.., 2) => Some((HandshakeError::DuplicateKey, 400)),
            _ => None,
        };
        for head in heads("GET / HTTP/1.1", &headers, &times) {
            for pieces in [vec![&head[..]], head.chunks(1).collect(), head.chunks(50).collect()] {
                let outcome = run(&mut Connection::server(config()), &pieces);
                match &fault {
                    None if upgrade == 0 => assert_eq!(outcome.seen, [Seen::Plain("/".into())]),
                    None => {
                        assert_eq!(outcome.seen, [Seen::Upgrade("/".into())], "{times:?}");
                        good += 1;
                    }
                    Some((error, status)) => {
                        assert_eq!(outcome.seen, [Seen::failed(error.clone().into())], "{times:?}");
                        let status = format!("HTTP/1.1 {status} ");
                        assert!(outcome.output.starts_with(status.as_bytes()), "{times:?}");
                        continue;
                    }
                }
                assert_eq!(outcome.output, b"", "the server answers before the caller has decided");
            }
        }
    }
    // Host, key and version once, each of the two lists once or twice; in two orders and three cuts.
    assert_eq!(good, 2 * 2 * 2 * 3);
}

// rfc6455-4.1-43, -44, -45, -46, -47, 4.1-53, 11.3.3-01
#[test]
fn each_subset_of_the_headers_of_a_response() {
    let mut good = 0;
    for times in subsets(&["", "", ""]) {
        for order in 0..2 {
            for size in [1, 50, usize::MAX] {
                let mut conn = connecting(Role::Client, config());
                let response = String::from_utf8(response_to(&drain(&mut conn))).unwrap();
                let mut lines: Vec<&str> = response.trim_end().split("\r\n").collect();
                let first = lines.remove(0);
                assert!(lines[0].starts_with("Upgrade:"));
                assert!(lines[1].starts_with("Connection:"));
                assert!(lines[2].starts_with("Sec-WebSocket-Accept:"));
                let [upgrade, connection, accept] = times[..] else { unreachable!() };
                let fault = match (upgrade, connection, accept) {
                    (0 | 2, ..) => Some(HandshakeError::UpgradeNotWebSocket),
                    (_, 0, _) => Some(HandshakeError::ConnectionNotUpgrade),
                    (_, _, 0) => Some(HandshakeError::MissingAccept),
                    (_, _, 2) => Some(HandshakeError::DuplicateAccept),
                    _ => None,
                };
                let head = &heads(first, &lines, &times)[order];
                let pieces: Vec<&[u8]> = head.chunks(size.min(head.len())).collect();
                let outcome = run(&mut conn, &pieces);
                let seen = match fault {
                    Some(error) => Seen::failed(error.into()),
                    None => Seen::Open,
                };
                good += usize::from(seen == Seen::Open);
                assert_eq!(outcome.seen, [seen], "{times:?}");
                assert_eq!(outcome.output, b"", "a client answers a bad response");
            }
        }
    }
    // Upgrade and accept once, Connection once or twice; in two orders and three cuts.
    assert_eq!(good, 2 * 2 * 3);
}

// rfc6455-4.2.1-01, rfc9110-6.2-01, rfc9110-15.2-01, rfc9112-3.2-02
#[test]
fn each_subset_of_the_headers_of_a_request_by_http_1_0() {
    let headers =
        ["Host: example.com", "Upgrade: websocket", "Connection: Upgrade", "Upgrade: h2c"];
    for times in subsets(&headers) {
        for method in ["GET", "OPTIONS"] {
            for head in heads(&format!("{method} /x HTTP/1.0"), &headers, &times) {
                for pieces in [vec![&head[..]], head.chunks(1).collect(), head.chunks(50).collect()]
                {
                    let mut conn = Connection::server(config());
                    let outcome = run(&mut conn, &pieces);
                    if times[1] == 0 {
                        assert_eq!(outcome.seen, [Seen::Plain("/x".into())], "{times:?}");
                        conn.respond(200).expect("the request is pending");
                        let output = String::from_utf8(drain(&mut conn)).unwrap();
                        assert!(output.starts_with("HTTP/1.1 200 OK\r\nConnection: close\r\n"));
                    } else {
                        let error = HandshakeError::HttpVersion { major: 1, minor: 0 };
                        assert_eq!(outcome.seen, [Seen::failed(error.into())], "{times:?}");
                        assert!(outcome.output.starts_with(b"HTTP/1.1 505 "), "{times:?}");
                    }
                }
            }
        }
    }
}
