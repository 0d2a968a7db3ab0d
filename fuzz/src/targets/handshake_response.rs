//! A client that receives any bytes as a response, in any cut. A stricter parser checks each accepted response again.
//! The bytes are the input itself, or a valid response (the key is known) that the input changes.

use super::http::Head;
use super::observer::{Observer, Outcome, Seen, read_frames};
use super::source::{ByteSource, Flags, config, cuts};
use websocket_proto::handshake::accept_key;
use websocket_proto::{
    ClientRequest, CloseCause, CloseCode, Config, Connection, Delivery, HandshakeError,
    ProtocolError, Role,
};

struct Setup {
    config: Config,
    offers_subprotocols: bool,
    ends: bool,
}

impl Setup {
    fn connect(&self) -> Connection {
        let mut request = ClientRequest::new("ws://example.com/chat").expect("a good URI");
        if self.offers_subprotocols {
            request = request.subprotocol("a").subprotocol("b");
        }
        Connection::client(&request, self.config.clone()).expect("a seed cannot fail")
    }

    fn run(&self, pieces: &[&[u8]]) -> Outcome {
        let mut observer = Observer::new(self.connect(), true);
        observer.check();
        for piece in pieces {
            observer.feed(piece);
        }
        if self.ends {
            observer.conn.receive_eof();
            observer.poll();
        }
        observer.finish()
    }

    fn judge(&self, outcome: &Outcome, request: &[u8]) {
        let frames =
            outcome.output.strip_prefix(request).expect("the output begins with the request");
        let frames = read_frames(Role::Client, frames);
        let closes = frames.iter().filter(|frame| frame.first == 0x88).count();
        assert!(closes <= 1);
        match outcome.seen.iter().find(|seen| !matches!(seen, Seen::RefusalBody(_))) {
            Some(Seen::Open(head)) => self.judge_response(head, request),
            Some(Seen::Closed(closed)) => match closed.cause() {
                CloseCause::Protocol(ProtocolError::Handshake(error)) => {
                    if *error == HandshakeError::ExtensionMissing {
                        let code = CloseCode::EXTENSION_REQUIRED.get().to_be_bytes();
                        assert!(frames.len() == 1 && frames[0].payload.starts_with(&code));
                    } else {
                        assert!(
                            frames.is_empty(),
                            "RFC 6455 7.1.7: a failed handshake sends no Close"
                        );
                    }
                    if let HandshakeError::Refused(refusal) = error {
                        assert_ne!(refusal.status(), 101);
                        assert!(refusal.body().len() <= self.config.max_refusal_body_bytes());
                        refusal.headers().for_each(|header| assert!(!header.name.is_empty()));
                        refusal.supported_versions().for_each(drop);
                        assert!(
                            closed.failed_head().is_some_and(|head| head.starts_with(b"HTTP/1."))
                        );
                    }
                    let head = closed.failed_head().expect("a byte has failed");
                    assert!(head.len() <= self.config.max_head_bytes());
                }
                CloseCause::TransportEnded => assert!(self.ends && frames.is_empty()),
                other => panic!("unexpected cause {other:?}"),
            },
            None => assert!(frames.is_empty()),
            Some(other) => panic!("unexpected first event {other:?}"),
        }
    }

    /// Checks that the pieces of a refusal's body are what is stored of it otherwise.
    fn judge_pieces(&self, wire: &[u8], streamed: &Outcome) {
        let config = self.config.to_builder();
        let config = config.stream_refusal_body(false).max_refusal_body_bytes(wire.len() + 1);
        let stored = Setup { config: config.build().expect("allowed values"), ..*self };
        let stored = stored.run(&[wire]);
        let refusal = |outcome: &Outcome| outcome.closed().and_then(|end| end.refusal().cloned());
        match (refusal(streamed), refusal(&stored)) {
            (Some(streamed_refusal), Some(stored)) => {
                let body = streamed.seen.iter().find_map(|seen| match seen {
                    Seen::RefusalBody(body) => Some(&body[..]),
                    _ => None,
                });
                assert_eq!(body.unwrap_or_default(), stored.body());
                assert_eq!(streamed_refusal.body(), b"");
                assert_eq!(streamed_refusal.is_body_complete(), stored.is_body_complete());
                assert!(streamed_refusal.headers().eq(stored.headers()));
                assert_eq!(streamed_refusal.reason(), stored.reason());
            }
            (None, None) => {}
            other => panic!("{other:?}"),
        }
    }

    /// RFC 6455 4.1: checks an accepted response.
    fn judge_response(&self, bytes: &[u8], request: &[u8]) {
        let head = Head::read(bytes);
        assert_eq!((head.status(), head.size), (101, bytes.len()));
        assert!(bytes.len() <= self.config.max_head_bytes());
        assert!(head.one("upgrade").eq_ignore_ascii_case(b"websocket"));
        // RFC 9112 6.3: headers about a body are ignored.
        assert!(head.has("connection", "upgrade"));
        assert_eq!(head.one("sec-websocket-accept"), accept_of(request));
        match &head.all("sec-websocket-protocol")[..] {
            [] => assert!(!(self.offers_subprotocols && self.config.require_subprotocol())),
            [name] => assert!(self.offers_subprotocols && matches!(*name, b"a" | b"b")),
            more => panic!("{} subprotocols", more.len()),
        }
        for extension in head.elements("sec-websocket-extensions") {
            let name = extension.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next();
            assert_eq!(name, Some(&b"permessage-deflate"[..]));
            #[cfg(feature = "deflate")]
            assert!(self.config.deflate().is_some());
        }
    }
}

fn accept_of(request: &[u8]) -> [u8; 28] {
    accept_key(Head::read(request).one("sec-websocket-key"))
}

/// A valid response, changed in up to 7 places.
fn spliced(source: &mut ByteSource<'_>, request: &[u8]) -> Vec<u8> {
    let accept = accept_of(request);
    let accept = std::str::from_utf8(&accept).expect("base64");
    let more = source.pick(&[
        "",
        "Sec-WebSocket-Protocol: b\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10; client_max_window_bits=9\r\n",
    ]);
    let mut head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
    .into_bytes();
    for _ in 0..source.byte() % 8 {
        let at = usize::from(source.byte()) % (head.len() + 1);
        let cut = usize::from(source.byte() % 8).min(head.len() - at);
        let len = usize::from(source.byte() % 64);
        head.splice(at..at + cut, source.take(len).iter().copied());
    }
    head
}

/// The input is a setup, then the bytes on the wire.
pub fn handshake_response(data: &[u8]) {
    let mut source = ByteSource::new(data);
    let mut flags = Flags::new(source.byte());
    let splices = flags.next();
    let delivery = if flags.next() { Delivery::Chunks } else { Delivery::Messages };
    let (offers_subprotocols, ends, deflate) = (flags.next(), flags.next(), flags.next());
    let mut config = config().delivery(delivery).require_subprotocol(flags.next());
    config = config.stream_refusal_body(flags.next());
    #[cfg(feature = "deflate")]
    if deflate {
        let byte = source.byte();
        let mut options = super::deflate::options(byte);
        if byte % 3 == 0 {
            options.fallbacks.push(websocket_proto::DeflateParams::default());
        }
        config = config.deflate(options);
    }
    let _ = deflate;
    config = config
        .max_head_bytes(source.pick(&[16 * 1024, 2, 1, 16, 150, 200, 1000]))
        .max_headers(source.pick(&[64, 2, 1, 3, 4, 128, 1000]))
        .max_refusal_body_bytes(source.pick(&[16 * 1024, 0, 1, 5, 10, 100]));
    let config = config.build().expect("each value is allowed");
    let cut = [source.byte(), source.byte(), source.byte()];
    let setup = Setup { config, offers_subprotocols, ends };
    let request = setup.connect().outgoing().to_vec();
    let mut wire = if splices { spliced(&mut source, &request) } else { Vec::new() };
    wire.extend_from_slice(source.rest());
    let whole = setup.run(&[&wire]);
    setup.judge(&whole, &request);
    if setup.config.stream_refusal_body() {
        setup.judge_pieces(&wire, &whole);
    }
    for pieces in cuts(&wire, cut) {
        assert_eq!(setup.run(&pieces), whole, "the cut changes the outcome");
    }
}
