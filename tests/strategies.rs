//! The library against the strategies that it offers to its users. Every valid stream has the expected events in every
//! cut. Every violation and every invalid handshake has the expected error at the expected byte.

mod util;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as ProptestConfig, TestRunner};
use std::collections::BTreeMap;
use util::{ROLES, builder, chunks, config, drain, open_with, other, plain_frames};
use websocket_proto::strategies::{
    BadRequest, BadResponse, BadStream, Chunking, Payload, RequestFault, RequestVerdict,
    ResponseFault, Seen, Stream, Streams, Violation, ascii, bad_request, bad_response, binary,
    chunking, close_reason, feed, forbidden_code, message, received_code, request, response,
    sendable_code, text,
};
use websocket_proto::{
    Accept, ClientRequest, CloseCause, Config, Connection, Message, ProtocolError, Role, State,
    UsageError,
};

/// The proptest configuration of all properties.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn any_role() -> impl Strategy<Value = Role> {
    prop::sample::select(&ROLES[..])
}

/// Limits that a short stream can exceed.
fn tight(config: Config) -> Config {
    config
        .to_builder()
        .max_frame_bytes(1 << 17)
        .max_message_bytes((1 << 17) + 100)
        .max_fragments(8)
        .build()
        .unwrap()
}

/// Streams that keep the limits.
fn streams(role: Role) -> Streams {
    Streams::to(role).max_payload_bytes(66_000).config(&tight(config()))
}

/// Streams with a violation. They are short because each is fed byte by byte.
fn bad_streams(role: Role) -> Streams {
    streams(role).max_payload_bytes(300)
}

fn both(valid: bool) -> impl Strategy<Value = (Option<Stream>, Option<BadStream>)> {
    let of = move |role| match valid {
        true => streams(role).valid().prop_map(|stream| (Some(stream), None)).boxed(),
        false => bad_streams(role).violating().prop_map(|stream| (None, Some(stream))).boxed(),
    };
    prop_oneof![of(Role::Server), of(Role::Client)]
}

fn valid_for_both() -> impl Strategy<Value = Stream> {
    both(true).prop_map(|(stream, _)| stream.expect("both(true) makes a Stream"))
}

fn bad_for_both() -> impl Strategy<Value = BadStream> {
    both(false).prop_map(|(_, stream)| stream.expect("both(false) makes a BadStream"))
}

/// A configuration for each kind of delivery.
fn deliveries() -> [Config; 2] {
    [config(), chunks()]
        .map(|config| tight(config.to_builder().max_queued_pongs(u8::MAX).build().unwrap()))
}

/// The frames that answer these events, and the Close with `code` that answers a violation.
fn answers(expected: &[Seen], code: Option<u16>) -> Vec<(u8, Vec<u8>)> {
    let mut answers = Vec::new();
    for seen in expected {
        match seen {
            Seen::Ping(payload) => answers.push((0x8a, payload.clone())),
            Seen::Closed(closed) if closed.is_clean() => {
                let body = closed.code().get().to_be_bytes();
                answers.push((0x88, if closed.code() == 1005 { vec![] } else { body.to_vec() }));
            }
            _ => {}
        }
    }
    answers.extend(code.map(|code| (0x88, code.to_be_bytes().to_vec())));
    answers
}

/// Feeds byte by byte. Returns after how many bytes the connection is closed.
fn bytes_to_verdict(conn: &mut Connection, bytes: &[u8]) -> Option<usize> {
    (1..=bytes.len()).find(|&at| {
        let _ = feed(conn, [&bytes[at - 1..at]]);
        conn.state() == State::Closed
    })
}

fn check_bad(
    stream: &BadStream,
    chunking: &Chunking,
    make: impl Fn(Config) -> Connection,
) -> Result<(), TestCaseError> {
    let code = stream.violation.close_code();
    prop_assert!(stream.violation.matches(&stream.error));
    prop_assert_eq!(stream.error.close_code(), Some(code));
    for config in deliveries() {
        let mut conn = make(config.clone());
        prop_assert_eq!(&feed(&mut conn, chunking.cut(&stream.bytes)), &stream.expected);
        prop_assert_eq!(conn.state(), State::Closed);
        let answered = plain_frames(&drain(&mut conn));
        prop_assert_eq!(answered, answers(&stream.expected, Some(code.get())));
        // The bytes up to the deciding one give the same events in one piece.
        let mut conn = make(config.clone());
        prop_assert_eq!(&feed(&mut conn, [&stream.bytes[..stream.decided_at]]), &stream.expected);
        let mut conn = make(config.clone());
        let before = feed(&mut conn, [&stream.bytes[..stream.decided_at - 1]]);
        prop_assert_eq!(&before[..], &stream.expected[..stream.expected.len() - 1]);
        prop_assert_eq!(
            bytes_to_verdict(&mut make(config), &stream.bytes),
            Some(stream.decided_at)
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(400))]

    // rfc6455-5.4-05, -06, -10, -11, -12, -17, 5.5.1-01, -09, 5.5.2-02, 5.5.3-01, 6.2-01, -04, -05
    #[test]
    fn valid_streams_have_the_expected_events_in_any_cut(
        stream in valid_for_both(),
        chunking in chunking(),
    ) {
        for config in deliveries() {
            let cuts = [chunking.clone(), Chunking::WHOLE, Chunking::every(1)];
            for chunking in cuts {
                let mut conn = open_with(stream.role, config.clone());
                prop_assert_eq!(&feed(&mut conn, chunking.cut(&stream.bytes)), &stream.expected);
                let answered = plain_frames(&drain(&mut conn));
                prop_assert_eq!(answered, answers(&stream.expected, None));
            }
        }
    }

    // rfc6455-5.1-02, -03, -05, -06, 5.2-03, -04, -08, -10, 5.4-03, -04, -07, 5.5-01, 5.5.1-03, -05, 7.1.7-01, -03,
    // -05, -07, 7.4.1-07, -09, 8.1-01, 10.4-01, -02
    #[test]
    fn violations_are_reported_at_the_byte_that_decides(
        stream in bad_for_both(),
        chunking in chunking(),
    ) {
        check_bad(&stream, &chunking, |config| open_with(stream.role, config))?;
    }

    #[test]
    fn requested_violation_is_the_one_that_is_generated(
        (role, violation) in (any_role(), prop::sample::select(Violation::ALL)),
        seed in any::<u64>(),
    ) {
        let streams = streams(role);
        prop_assume!(violation.applies_to(&streams));
        let mut runner = TestRunner::new_with_rng(cases(1), rng(seed));
        let stream = streams.with(violation).expect("it is possible");
        let stream = stream.new_tree(&mut runner).expect("nothing is filtered").current();
        prop_assert_eq!(stream.violation, violation);
        prop_assert!(violation.matches(&stream.error));
        prop_assert!(violation.rfc_section().starts_with("RFC "));
    }

    #[test]
    fn impossible_violation_and_request_without_a_key_give_nothing(
        role in any_role(),
        good in response(),
        bad in bad_response(&config()),
    ) {
        for violation in Violation::ALL.iter().copied() {
            let streams = Streams::to(role);
            prop_assert_eq!(streams.with(violation).is_some(), violation.applies_to(&streams));
        }
        for request in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"Sec-WebSocket-Key"] {
            prop_assert_eq!((good.to(request), bad.to(request)), (None, None));
        }
    }

    #[test]
    fn default_limits_are_exceeded_too(role in any_role(), seed in any::<u64>()) {
        let mut runner = TestRunner::new_with_rng(cases(1), rng(seed));
        for violation in [Violation::FrameTooBig, Violation::MessageTooBig] {
            let streams = Streams::to(role).max_payload_bytes(300).with(violation);
            let tree = streams.expect("it is possible").new_tree(&mut runner);
            let stream = tree.expect("nothing is filtered").current();
            let mut conn = open_with(role, config());
            prop_assert_eq!(bytes_to_verdict(&mut conn, &stream.bytes), Some(stream.decided_at));
            let mut conn = open_with(role, config());
            prop_assert_eq!(feed(&mut conn, [&stream.bytes[..]]), stream.expected);
        }
    }

    #[test]
    fn pieces_of_a_cut_are_the_whole(bytes in binary(300), chunking in chunking()) {
        let pieces = chunking.cut(&bytes);
        prop_assert!(!pieces.is_empty());
        prop_assert_eq!(pieces.concat(), bytes);
    }

    // rfc6455-7.4.1-01, -04, -05, -06, -13, 7.4.2-01, -02, -03, -04
    #[test]
    fn close_codes_are_sendable_or_forbidden_as_their_strategy_says(
        role in any_role(),
        (sendable, received, forbidden) in
            any_role().prop_flat_map(|role| (sendable_code(role).prop_map(move |code| (role, code)), received_code(), forbidden_code())),
        reason in close_reason(),
    ) {
        let (sender, code) = sendable;
        let mut conn = open_with(sender, config());
        prop_assert_eq!(conn.close(code, &reason), Ok(()));
        let body = [&code.get().to_be_bytes(), reason.as_bytes()].concat();
        prop_assert_eq!(plain_frames(&drain(&mut conn)), vec![(0x88, body)]);
        prop_assert!(code.is_sendable_by(sender) && received.is_sendable_by(Role::Client));
        prop_assert!(!forbidden.is_sendable_by(role));
        let refused = open_with(role, config()).close(forbidden, &reason);
        prop_assert_eq!(refused, Err(UsageError::CloseCodeNotSendable(forbidden)));
    }

    #[test]
    fn messages_arrive_as_they_were_sent(
        role in any_role(),
        payload in message(70_000),
        (ascii, text) in (ascii(200), text(200)),
        chunking in chunking(),
    ) {
        prop_assert!(ascii.is_ascii() && ascii.len() <= 200 && text.len() <= 200);
        let mut sender = open_with(other(role), config());
        for payload in [&payload, &Payload::Text(ascii.clone()), &Payload::Text(text.clone())] {
            sender.send(Message::from(payload)).expect("the connection is open");
        }
        let bytes = drain(&mut sender);
        let seen = feed(&mut open_with(role, config()), chunking.cut(&bytes));
        let sent = [payload, Payload::Text(ascii), Payload::Text(text)];
        prop_assert_eq!(seen, sent.map(Seen::Message).to_vec());
    }

    // rfc6455-4.2.1-02, -05, -07, -08, -09
    #[test]
    fn valid_requests_are_reported_with_their_last_byte(request in request(), chunking in chunking()) {
        let (last, most) = request.bytes.split_last().expect("a request is not empty");
        let mut conn = Connection::server(config());
        prop_assert_eq!(feed(&mut conn, chunking.cut(most)), vec![]);
        prop_assert_eq!(feed(&mut conn, [&[*last][..]]), vec![Seen::UpgradeRequest]);
        prop_assert_eq!(conn.accept(&Accept::default()), Ok(()));
        prop_assert!(conn.outgoing().starts_with(b"HTTP/1.1 101 "));
        let mut conn = Connection::server(config());
        prop_assert_eq!(feed(&mut conn, [&request.bytes[..]]), vec![Seen::UpgradeRequest]);
    }

    // rfc6455-4.2.1-01, -03, -06, -10, 4.2.2-07, 10.7-04
    #[test]
    fn bad_requests_are_answered_with_the_expected_status(
        (config, request) in small_or_default().prop_flat_map(|config| {
            (Just(config.clone()), bad_request(&config))
        }),
        chunking in chunking(),
    ) {
        let BadRequest { bytes, verdict, decided_at, .. } = request;
        let (bytes, decided_at) = (&bytes[..], decided_at);
        for pieces in [chunking.cut(bytes), vec![bytes], vec![&bytes[..decided_at]]] {
            let mut conn = Connection::server(config.clone());
            let seen = feed(&mut conn, pieces);
            match &verdict {
                RequestVerdict::Plain => prop_assert_eq!(seen, vec![Seen::PlainRequest]),
                RequestVerdict::Refused { status, error } => {
                    prop_assert_eq!(cause(&seen), Some(&CloseCause::Protocol(error.clone().into())));
                    let line = format!("HTTP/1.1 {status} ");
                    let output = drain(&mut conn);
                    prop_assert!(output.starts_with(line.as_bytes()), "{}", output.escape_ascii());
                    prop_assert_eq!(error.status(), Some(*status));
                }
            }
        }
        let mut conn = Connection::server(config);
        let first = (1..=bytes.len()).find(|&at| !feed(&mut conn, [&bytes[at - 1..at]]).is_empty());
        prop_assert_eq!(first, Some(decided_at));
    }

    // rfc6455-4.1-44, -46, -48, -54
    #[test]
    fn valid_responses_open_the_connection(response in response(), chunking in chunking()) {
        let (mut conn, request) = client(config());
        let bytes = response.to(&request).expect("it has a key");
        let (last, most) = bytes.split_last().expect("a response is not empty");
        prop_assert_eq!(feed(&mut conn, chunking.cut(most)), vec![]);
        prop_assert_eq!(feed(&mut conn, [&[*last][..]]), vec![Seen::Open]);
        prop_assert_eq!(conn.state(), State::Open);
    }

    // rfc6455-4.1-41, -43, -44, -45, -46, -47, -48, -51, -52, -53
    #[test]
    fn bad_responses_fail_the_handshake(
        (config, response) in small_or_default().prop_flat_map(|config| {
            (Just(config.clone()), bad_response(&config))
        }),
        chunking in chunking(),
    ) {
        let BadResponse { decided_at, .. } = response;
        let (mut conn, request) = client(config.clone());
        let bytes = response.to(&request).expect("it has a key");
        let seen = feed(&mut conn, chunking.cut(&bytes));
        match cause(&seen) {
            Some(CloseCause::Protocol(ProtocolError::Handshake(error))) => {
                prop_assert!(response.is(error), "{error:?}");
            }
            other => prop_assert!(false, "{other:?}"),
        }
        prop_assert_eq!((conn.state(), conn.outgoing_len()), (State::Closed, 0));
        let (mut conn, _) = client(config);
        prop_assert_eq!(bytes_to_verdict(&mut conn, &bytes), Some(decided_at));
    }
}

fn cause(seen: &[Seen]) -> Option<&CloseCause> {
    match seen {
        [Seen::Closed(closed)] => Some(closed.cause()),
        _ => None,
    }
}

/// A client and the request that it has sent.
fn client(config: Config) -> (Connection, Vec<u8>) {
    let request = ClientRequest::new("ws://example.com/chat").expect("a valid URI");
    let request = request.subprotocol("chat").subprotocol("superchat");
    let mut conn = Connection::client(&request, config).expect("a seed cannot fail");
    let sent = drain(&mut conn);
    (conn, sent)
}

/// Configurations with the default limits for heads, or with small ones.
fn small_or_default() -> impl Strategy<Value = Config> {
    any::<bool>().prop_map(|is_small| match is_small {
        true => builder().max_head_bytes(1024).max_headers(16).build().unwrap(),
        false => config(),
    })
}

fn rng(seed: u64) -> proptest::test_runner::TestRng {
    let bytes = [seed.to_le_bytes(); 4].concat();
    proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &bytes)
}

#[cfg(feature = "deflate")]
mod deflate {
    use super::*;
    use websocket_proto::{Deflate, DeflateParams};

    fn make(role: Role, config: Config) -> Connection {
        let config = config.to_builder().deflate(Deflate::default()).build().unwrap();
        let params = DeflateParams {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        };
        Connection::from_upgrade(websocket_proto::Upgrade::new(role).deflate(params), config)
            .expect("a seed cannot fail")
    }

    fn streams(role: Role) -> Streams {
        super::streams(role).compressed(true)
    }

    proptest! {
        #![proptest_config(cases(200))]

        // rfc7692-6-03, 6.2-01, -02, 7.2.2-01, 7.2.3.2-01
        #[test]
        fn compressed_streams_have_the_expected_events(
            stream in prop_oneof![streams(Role::Server).valid(), streams(Role::Client).valid()],
            chunking in chunking(),
        ) {
            for config in deliveries() {
                // Without optimization, a long message in single bytes takes too long to inflate.
                let is_short = stream.bytes.len() < 4000;
                let cut = if is_short { chunking.clone() } else { Chunking::every(1460) };
                for chunking in [&cut, &Chunking::WHOLE] {
                    let mut conn = make(stream.role, config.clone());
                    let seen = feed(&mut conn, chunking.cut(&stream.bytes));
                    prop_assert_eq!(&seen, &stream.expected);
                }
            }
        }

        // rfc7692-6.1-04, -06, 7.2.2-12, -13
        #[test]
        fn violations_of_compression_are_reported_at_the_byte_that_decides(
            stream in prop_oneof![
                bad_streams(Role::Server).compressed(true).violating(),
                bad_streams(Role::Client).compressed(true).violating(),
            ],
            chunking in chunking(),
        ) {
            check_bad(&stream, &chunking, |config| make(stream.role, config))?;
        }
    }
}

/// Draws `count` values, and counts them by `kind`.
fn tally<T: std::fmt::Debug, K: Ord>(
    strategy: impl Strategy<Value = T>,
    count: usize,
    kind: impl Fn(&T) -> K,
) -> BTreeMap<K, usize> {
    let mut runner = TestRunner::new_with_rng(cases(1), rng(1));
    let mut tally = BTreeMap::new();
    for _ in 0..count {
        let value = strategy.new_tree(&mut runner).expect("nothing is filtered out").current();
        *tally.entry(kind(&value)).or_default() += 1;
    }
    tally
}

#[test]
fn every_violation_and_every_fault_is_generated() {
    let narrow = bad_streams(Role::Server);
    #[cfg(feature = "deflate")]
    let narrow = narrow.compressed(true);
    let seen = tally(narrow.violating(), 2000, |stream| format!("{:?}", stream.violation));
    let wanted = Violation::ALL.iter().filter(|violation| violation.applies_to(&narrow)).count();
    assert_eq!(seen.len(), wanted, "{seen:?}");
    #[cfg(feature = "deflate")]
    assert_eq!(wanted, Violation::ALL.len());
    let faults = tally(bad_request(&config()), 2000, |request| format!("{:?}", request.fault));
    assert_eq!(faults.len(), RequestFault::ALL.len(), "{faults:?}");
    let faults = tally(bad_response(&config()), 2000, |response| format!("{:?}", response.fault));
    assert_eq!(faults.len(), ResponseFault::ALL.len(), "{faults:?}");
}

#[test]
fn streams_contain_the_cases_that_receivers_get_wrong() {
    for role in ROLES {
        let kinds = tally(Streams::to(role).valid(), 1000, |stream| {
            let is = |wanted: fn(&Seen) -> bool| stream.expected.iter().any(wanted);
            (
                is(|seen| matches!(seen, Seen::Closed(_))),
                is(|seen| matches!(seen, Seen::Ping(_) | Seen::Pong(_))),
                is(|seen| matches!(seen, Seen::Message(payload) if payload.as_bytes().is_empty())),
                is(
                    |seen| matches!(seen, Seen::Message(payload) if payload.as_bytes().len() > 0xffff),
                ),
            )
        });
        let any = |pick: fn(&(bool, bool, bool, bool)) -> bool| kinds.keys().any(pick);
        assert!(
            any(|kind| kind.0) && any(|kind| kind.1) && any(|kind| kind.2) && any(|kind| kind.3)
        );
    }
}

#[test]
fn counterexamples_shrink_to_the_smallest_stream() {
    // The smallest stream that is not empty, and the smallest with a message of more than 125 bytes.
    let shrink = |wrong: fn(&Stream) -> bool| {
        let mut runner = TestRunner::new_with_rng(cases(1000), rng(7));
        let found = runner.run(&Streams::to(Role::Server).valid(), |stream| {
            if wrong(&stream) { Err(TestCaseError::fail("")) } else { Ok(()) }
        });
        match found {
            Err(proptest::test_runner::TestError::Fail(_, stream)) => stream,
            other => panic!("{other:?}"),
        }
    };
    let smallest = shrink(|stream| !stream.bytes.is_empty());
    assert!(smallest.bytes.len() <= 6, "{smallest:?}");
    let smallest = shrink(|stream| {
        let is_long =
            |seen: &Seen| matches!(seen, Seen::Message(payload) if payload.as_bytes().len() > 125);
        stream.expected.iter().any(is_long)
    });
    assert_eq!(smallest.bytes.len(), 8 + 126, "{smallest:?}");
    assert_eq!(smallest.expected.len(), 1, "{smallest:?}");
    assert_eq!(smallest.bytes[4..8], [0; 4], "{smallest:?}");
}
