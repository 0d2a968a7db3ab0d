//! A server that receives any bytes as a request, in any cut. A stricter parser checks each accepted request again. The
//! input selects the answer. An answer at once, and one after all bytes have arrived, give the same events.

use super::http::{Head, is_token};
use super::observer::{Observer, Outcome, Seen, read_frames};
use super::source::{ByteSource, Flags, config, cuts};
use websocket_proto::handshake::accept_key;
use websocket_proto::{
    Accept, CloseCause, Config, Connection, Delivery, HandshakeError, ProtocolError, Response,
    Role, UsageError,
};

struct Setup {
    config: Config,
    /// Whether the answer waits until all bytes have arrived.
    late: bool,
    /// Whether the transport ends after the bytes.
    ends: bool,
    answer: u8,
    status: u16,
}

impl Setup {
    fn read(source: &mut ByteSource<'_>) -> (Setup, [u8; 3]) {
        let mut flags = Flags::new(source.byte());
        let delivery = if flags.next() { Delivery::Chunks } else { Delivery::Messages };
        let mut config = config().delivery(delivery);
        let (late, ends, deflate) = (flags.next(), flags.next(), flags.next());
        #[cfg(feature = "deflate")]
        if deflate {
            config = config.deflate(super::deflate::options(source.byte()));
        }
        let _ = deflate;
        config = config
            .max_head_bytes(source.pick(&[16 * 1024, 2, 1, 16, 200, 300, 1000]))
            .max_headers(source.pick(&[64, 2, 1, 5, 6, 128, 1000]))
            .max_early_bytes(source.pick(&[64 * 1024, 0, 1, 10, 100]));
        let config = config.build().expect("each value is allowed");
        let (answer, status) = (source.byte(), source.word() % 700);
        let cut = [source.byte(), source.byte(), source.byte()];
        (Setup { config, late, ends, answer, status }, cut)
    }

    fn run(&self, pieces: &[&[u8]]) -> Outcome {
        let mut observer = Observer::new(Connection::server(self.config.clone()), true);
        for piece in pieces {
            observer.feed_with(piece, |observer, seen| {
                if !self.late {
                    self.answer(observer, seen);
                }
            });
        }
        if self.ends {
            observer.conn.receive_eof();
            observer.poll();
        }
        if self.late && observer.seen.len() == 1 {
            let seen = observer.seen[0].clone();
            self.answer(&mut observer, &seen);
            observer.poll();
        }
        observer.finish()
    }

    /// Tries invalid answers, then answers the request.
    fn answer(&self, observer: &mut Observer, seen: &Seen) {
        let wrong = |result, error: UsageError| assert_eq!(result, Err(error));
        let before = observer.output.len();
        let (head, wanted) = match seen {
            Seen::Upgrade(head) => {
                let offered = Head::read(head);
                let offered = offered.elements("sec-websocket-protocol");
                let first = offered.first().map(|name| std::str::from_utf8(name).expect("a token"));
                let conn = &mut observer.conn;
                let unoffered = Accept::new().subprotocol("not offered");
                wrong(conn.accept(&unoffered), UsageError::SubprotocolNotOffered);
                let unsound = Accept::new().header("A", "b\r\nc: d");
                wrong(conn.accept(&unsound), UsageError::InvalidHeaderValue);
                wrong(conn.respond(199), UsageError::InvalidStatus(199));
                let wanted = match self.answer % 4 {
                    0 => conn.accept(&Accept::new()).map(|()| 101),
                    1 => {
                        let mut accept = Accept::new().header("X", "y");
                        if let Some(name) = first {
                            accept = accept.subprotocol(name);
                        }
                        conn.accept(&accept).map(|()| 101)
                    }
                    2 => conn.respond(self.status).map(|()| self.status),
                    _ => conn.respond(Response::new(self.status).body("no")).map(|()| self.status),
                };
                wrong_again(observer);
                (head, wanted)
            }
            Seen::Plain(head) => {
                let conn = &mut observer.conn;
                wrong(conn.accept(&Accept::new()), UsageError::NoRequestPending);
                let response = Response::new(self.status).header("X", "y").body("hello");
                let wanted = conn.respond(response).map(|()| self.status);
                wrong_again(observer);
                (head, wanted)
            }
            _ => return,
        };
        let status = match wanted {
            Ok(status) => status,
            Err(error) => {
                assert_eq!(error, UsageError::InvalidStatus(self.status));
                assert!(!(200..600).contains(&self.status));
                assert_eq!(observer.conn.outgoing_len(), 0, "a failed call queues bytes");
                observer.conn.respond(500).expect("the request is still pending");
                500
            }
        };
        observer.drain();
        if self.ends && self.late && status == 101 && observer.output.len() == before {
            // The transport had ended before the request was accepted.
            assert!(observer.conn.is_finished());
            return;
        }
        let written = &observer.output[before..];
        let response = Head::read(written);
        assert_eq!(response.status(), status);
        if status == 101 {
            let key = Head::read(head);
            let key = key.one("sec-websocket-key");
            assert_eq!(response.one("sec-websocket-accept"), accept_key(key));
            assert!(response.has("connection", "upgrade") && response.has("upgrade", "websocket"));
            assert_eq!(response.size, written.len());
        } else {
            judge_refusal(&response, &written[response.size..], head.starts_with(b"HEAD "));
        }
    }
}

/// Checks that a request cannot be answered twice.
fn wrong_again(observer: &mut Observer) {
    let conn = &mut observer.conn;
    if conn.state() != websocket_proto::State::Connecting {
        assert_eq!(conn.accept(&Accept::new()), Err(UsageError::NoRequestPending));
        assert_eq!(conn.respond(404), Err(UsageError::NoRequestPending));
    }
}

fn judge_refusal(response: &Head, body: &[u8], head_only: bool) {
    let status = response.status();
    assert!((200..600).contains(&status));
    assert!(response.has("connection", "close"));
    if matches!(status, 204 | 304) {
        assert!(response.all("content-length").is_empty() && body.is_empty());
    } else {
        let length = std::str::from_utf8(response.one("content-length")).expect("digits");
        assert_eq!(if head_only { 0 } else { length.parse().expect("a number") }, body.len());
    }
    if status == 426 {
        assert!(response.has("upgrade", "websocket") && response.has("connection", "upgrade"));
        assert_eq!(response.one("sec-websocket-version"), b"13");
    }
}

/// RFC 6455 4.2.1: checks an accepted request.
fn judge_request(bytes: &[u8], config: &Config) {
    let head = Head::read(bytes);
    assert_eq!(head.size, bytes.len());
    // One byte more: `/` is inserted for the empty path of an absolute URI.
    assert!(bytes.len() <= config.max_head_bytes() + 1);
    assert!(head.headers.len() <= config.max_headers());
    let target = head.line.strip_prefix("GET ").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    let target = target.expect("GET and HTTP/1.1");
    let lower = target.to_ascii_lowercase();
    assert!(!target.contains(' '));
    let starts = ["/", "http://", "https://", "ws://", "wss://"];
    assert!(starts.iter().any(|start| lower.starts_with(start)), "{target}");
    assert!(!head.one("host").is_empty());
    assert!(head.has("upgrade", "websocket") && head.has("connection", "upgrade"));
    assert_eq!(head.one("sec-websocket-version"), b"13");
    let key = head.one("sec-websocket-key");
    assert!(key.len() == 24 && key.ends_with(b"=="));
    assert!(head.has_no_body());
    let mut offered = head.elements("sec-websocket-protocol");
    assert!(offered.iter().all(|name| is_token(name)));
    let count = offered.len();
    offered.sort_unstable();
    offered.dedup();
    assert_eq!(offered.len(), count, "a subprotocol is offered twice");
}

fn judge(setup: &Setup, outcome: &Outcome) {
    match outcome.seen.first() {
        Some(Seen::Upgrade(head)) => judge_request(head, &setup.config),
        Some(Seen::Plain(head)) => {
            let head = Head::read(head);
            assert!([" HTTP/1.0", " HTTP/1.1"].iter().any(|version| head.line.ends_with(version)));
            assert!(
                !head.has("upgrade", "websocket") && head.size <= setup.config.max_head_bytes()
            );
        }
        Some(Seen::Closed(closed)) => match closed.cause() {
            CloseCause::Protocol(ProtocolError::Handshake(error)) => {
                let head = Head::read(&outcome.output);
                assert_eq!(Some(head.status()), error.status());
                judge_refusal(&head, &outcome.output[head.size..], false);
                assert_eq!(closed.response().map(|response| response.status()), error.status());
                let head = closed.failed_head().expect("a byte has failed");
                assert!((1..=setup.config.max_head_bytes()).contains(&head.len()));
            }
            CloseCause::TransportEnded => assert!(setup.ends && outcome.output.is_empty()),
            other => panic!("unexpected cause {other:?}"),
        },
        None => assert!(outcome.output.is_empty()),
        Some(other) => panic!("unexpected first event {other:?}"),
    }
    if outcome.output.starts_with(b"HTTP/1.1 101 ") {
        let head = Head::read(&outcome.output);
        read_frames(Role::Server, &outcome.output[head.size..]);
    }
}

/// The input is a setup, then the bytes on the wire.
pub fn handshake_request(data: &[u8]) {
    let mut source = ByteSource::new(data);
    let (mut setup, cut) = Setup::read(&mut source);
    let wire = source.rest();
    let whole = setup.run(&[wire]);
    judge(&setup, &whole);
    for pieces in cuts(wire, cut) {
        assert_eq!(setup.run(&pieces), whole, "the cut changes the outcome");
    }
    setup.late = !setup.late;
    let other = setup.run(&[wire]);
    judge(&setup, &other);
    let too_early = |outcome: &Outcome| {
        let early =
            |error: &HandshakeError| matches!(error, HandshakeError::TooManyEarlyBytes { .. });
        outcome.closed().is_some_and(|closed| {
            matches!(closed.cause(), CloseCause::Protocol(ProtocolError::Handshake(error)) if early(error))
        })
    };
    if !too_early(&whole) && !too_early(&other) {
        assert_eq!(
            (&other.seen, &other.partial),
            (&whole.seen, &whole.partial),
            "the time of the answer changes the events"
        );
        // Nothing is written to a client whose transport has ended before the answer.
        if !setup.ends {
            assert_eq!(other.output, whole.output, "the time of the answer changes the output");
        }
    }
}
