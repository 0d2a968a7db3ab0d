//! Choices that the RFCs leave open, as described in `tests/conformance/choices.md`. Most of them concern the byte at
//! which an error is reported; their tests feed single bytes.

mod util;

use util::*;
#[cfg(feature = "deflate")]
use websocket_proto::Config;
use websocket_proto::{Connection, ProtocolError, Role, State};

/// Feeds `bytes` one by one. Returns after how many of them the connection is closed, and the last event.
fn fails_after(mut conn: Connection, bytes: &[u8]) -> Option<(usize, Seen)> {
    let mut log = Log::default();
    for (at, byte) in bytes.iter().enumerate() {
        feed(&mut conn, &[*byte], &mut log);
        if conn.state() == State::Closed {
            return Some((at + 1, log.seen.pop().expect("a closed connection has an event")));
        }
    }
    None
}

#[test]
fn answer_to_a_close_has_its_code_and_not_its_reason() {
    // rfc6455-5.5.1-04, rfc6455-5.5.1-10
    for reason in ["", "bye", &"r".repeat(123)] {
        for code in [1000_u16, 1001, 1010, 4999] {
            let body = [&code.to_be_bytes(), reason.as_bytes()].concat();
            for role in ROLES {
                let seen = Seen::closed(code, reason, websocket_proto::CloseCause::Peer);
                let close = to(role, 0x88, &body);
                let answer = [(0x88, &code.to_be_bytes()[..])];
                in_every_cut(role, || open(role), &close, &[seen], &answer);
            }
        }
    }
}

#[test]
fn empty_final_frame_is_judged_behind_its_key() {
    // rfc6455-5.4-03, rfc6455-8.1-01
    for config in [config(), chunks()] {
        for role in ROLES {
            // The text ends within a character. The second byte of the last frame shows that no byte follows.
            let begin = to(role, 0x01, b"a\xe2\x82");
            let end = to(role, 0x80, b"");
            let (after, seen) =
                fails_after(open_with(role, config.clone()), &[&begin[..], &end].concat())
                    .expect("the text is not UTF-8");
            let key = if role == Role::Server { 4 } else { 0 };
            assert_eq!((after, end.len()), (begin.len() + 2 + key, 2 + key));
            let failed = Seen::failed(ProtocolError::InvalidUtf8);
            assert_eq!(seen, failed, "{role:?}");
        }
    }
}

#[cfg(feature = "deflate")]
mod deflate {
    use super::*;
    use websocket_proto::{Deflate, DeflateParams};

    fn compressed(role: Role, config: Config) -> Connection {
        let config = config.to_builder().deflate(Deflate::default()).build().unwrap();
        let params = DeflateParams::default();
        Connection::from_upgrade(websocket_proto::Upgrade::new(role).deflate(params), config)
            .expect("a seed cannot fail")
    }

    #[test]
    fn empty_compressed_message_is_judged_behind_its_key() {
        // rfc7692-7.2.3.6-01
        for config in [config(), chunks()] {
            for role in ROLES {
                for (begin, end) in
                    [(vec![], to(role, 0xc1, b"")), (to(role, 0x41, b"\xf2"), to(role, 0x80, b""))]
                {
                    let bytes = [&begin[..], &end].concat();
                    let (after, seen) = fails_after(compressed(role, config.clone()), &bytes)
                        .expect("the DEFLATE stream is cut off");
                    assert_eq!(after, bytes.len(), "{role:?}");
                    let failed = Seen::failed(ProtocolError::InvalidDeflate);
                    assert_eq!(seen, failed, "{role:?}");
                }
            }
        }
    }

    #[test]
    fn fault_of_deflate_is_seen_when_its_field_is_complete() {
        // rfc7692-7.2.2-01
        // A payload that is not DEFLATE, the byte that decides this, and the byte at which the connection fails.
        for (payload, decided, seen) in [
            // A block of the reserved type.
            (&b"\x06xx"[..], 1, 1),
            // A distance of 1 with nothing before it.
            (b"\x03\x02xx", 2, 2),
            // The complement of a stored block's length is wrong: in its first byte, then in its second byte.
            (b"\x00\x05\x00\x00\xffx", 4, 5),
            (b"\x00\x05\x00\xfa\x00x", 5, 5),
            // HLIT says 287 lengths, HDIST says 31: both are too many. HLIT, HDIST and HCLEN are read at once.
            (b"\xf4\x00\x00x", 1, 3),
            (b"\x04\x1e\x00x", 2, 3),
            // The first code length repeats the previous one, which does not exist. The repeat count is read first.
            (b"\x9c\x1a\xb7\x9e\x98\xbc\xbd\xccx", 7, 8),
        ] {
            assert!(
                (decided..decided + 3).contains(&seen),
                "the error is seen more than two bytes late"
            );
            for role in ROLES {
                for config in [config(), chunks()] {
                    let frame = to(role, 0x42, payload);
                    let header = frame.len() - payload.len();
                    let conn = || compressed(role, config.clone());
                    let (after, end) =
                        fails_after(conn(), &frame).expect("the payload is not DEFLATE");
                    assert_eq!(after, header + seen, "{role:?} {payload:02x?}");
                    assert_eq!(end, Seen::failed(ProtocolError::InvalidDeflate));
                    // The same byte fails the connection if all bytes before it come in one read.
                    let mut log = Log::default();
                    let mut whole = conn();
                    feed(&mut whole, &frame[..after - 1], &mut log);
                    assert_eq!(whole.state(), State::Open, "{role:?} {payload:02x?}");
                    feed(&mut whole, &frame[after - 1..after], &mut log);
                    assert_eq!(whole.state(), State::Closed, "{role:?} {payload:02x?}");
                }
            }
        }
    }
}
