//! Negotiation of permessage-deflate (RFC 7692 5, 7.1): offers, responses, declined offers and failures, row by row and
//! for all configurations. `deflate` and `deflate_oracle` test the effect of the agreed parameters on messages.
#![cfg(feature = "deflate")]

mod util;

use util::*;
use websocket_proto::{
    Accept, ClientRequest, CloseCause, Config, Connection, Deflate, DeflateParams, Entropy, Event,
    HandshakeError, MessageKind, ProtocolError, Role, State, Upgrade,
};

/// Server's and client's "no context takeover", server's and client's window bits.
fn params(no_takeover: (bool, bool), bits: (u8, u8)) -> DeflateParams {
    DeflateParams {
        server_no_context_takeover: no_takeover.0,
        client_no_context_takeover: no_takeover.1,
        server_max_window_bits: bits.0,
        client_max_window_bits: bits.1,
    }
}

fn options(no_takeover: (bool, bool), bits: (u8, u8)) -> Deflate {
    let mut options = Deflate::default();
    options.min_bytes = 0;
    options.server_no_context_takeover = no_takeover.0;
    options.client_no_context_takeover = no_takeover.1;
    options.server_max_window_bits = bits.0;
    options.client_max_window_bits = bits.1;
    options
}

fn plain() -> Deflate {
    options((false, false), (15, 15))
}

const PLAIN: ((bool, bool), (u8, u8)) = ((false, false), (15, 15));

/// Every valid configuration of what is negotiated, without fallbacks.
fn all_options() -> Vec<Deflate> {
    let mut all = Vec::new();
    for server in 9..=15 {
        for client in 9..=15 {
            for no_takeover in [(false, false), (false, true), (true, false), (true, true)] {
                for policy in 0..8 {
                    let mut options = options(no_takeover, (server, client));
                    options.client_window_required = policy & 1 != 0;
                    options.offer_client_max_window_bits = policy & 2 == 0;
                    options.refuse_server_no_context_takeover = policy & 4 != 0;
                    if builder().deflate(options.clone()).build().is_ok() {
                        all.push(options);
                    }
                }
            }
        }
    }
    assert_eq!(all.len(), 49 * (4 * 4 + 2 * 4));
    all
}

/// Whether these options do not change which offers and responses are refused.
fn is_without_policy(options: &Deflate) -> bool {
    !options.client_window_required
        && options.offer_client_max_window_bits
        && !options.refuse_server_no_context_takeover
}

fn lines<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = &'a [u8]> {
    lines.iter().map(|line| line.as_bytes())
}

fn with_extensions(head: &[u8], lines: &[&str]) -> Vec<u8> {
    let mut bytes = head[..head.len() - 2].to_vec();
    for line in lines {
        bytes.extend_from_slice(format!("Sec-WebSocket-Extensions: {line}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The values of the `Sec-WebSocket-Extensions` lines in a head.
fn extensions_of(head: &[u8]) -> Vec<String> {
    let head = std::str::from_utf8(head).expect("heads are ASCII here");
    head.split("\r\n")
        .filter_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "))
        .map(str::to_string)
        .collect()
}

/// Feeds a server, accepts its upgrade requests, and returns its events.
fn serve(conn: &mut Connection, pieces: &[&[u8]]) -> Vec<Seen> {
    let mut log = Log::default();
    for piece in pieces {
        let mut copy = piece.to_vec();
        let mut input = &mut copy[..];
        while let Some(event) = conn.receive(&mut input) {
            let asks = matches!(event, Event::UpgradeRequest(_));
            log.push(event);
            if asks {
                conn.accept(&Accept::default()).expect("a request is pending");
            }
        }
        while let Some(event) = conn.poll_event() {
            log.push(event);
        }
    }
    log.seen
}

/// A server's answer to these extension lines: the value in its response, and the parameters.
fn answered(options: Option<Deflate>, offer: &[&str]) -> Option<(String, DeflateParams)> {
    let config = builder().deflate(options).build().unwrap();
    let request = with_extensions(REQUEST, offer);
    let mut both = [&request[..], &[]].map(|_| None);
    for (at, pieces) in [vec![&request[..]], request.chunks(1).collect()].iter().enumerate() {
        let mut conn = Connection::server(config.clone());
        assert_eq!(serve(&mut conn, pieces), [Seen::Upgrade("/chat".into())], "{offer:?}");
        assert_eq!(conn.state(), State::Open, "{offer:?}");
        let head = drain(&mut conn);
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        let values = extensions_of(&head);
        assert!(values.len() <= 1, "{offer:?}: {values:?}");
        assert_eq!(values.is_empty(), conn.deflate_params().is_none(), "{offer:?}");
        both[at] = values.into_iter().next().zip(conn.deflate_params());
    }
    let [whole, bytewise] = both;
    assert_eq!(whole, bytewise, "{offer:?}");
    whole
}

/// Asserts that `Deflate::accept` and a whole server both return `expected`.
fn accepts(options: &Deflate, offer: &[&str], expected: Option<(&str, DeflateParams)>) {
    let direct = options.accept(lines(offer));
    let direct = direct.as_ref().map(|(params, text)| (&text[..], *params));
    assert_eq!(direct, expected, "{options:?} {offer:?}");
    let whole = answered(Some(options.clone()), offer);
    assert_eq!(whole.as_ref().map(|(text, params)| (&text[..], *params)), expected, "{offer:?}");
}

#[test]
fn server_answers_good_offers() {
    // rfc6455-9-02, rfc6455-9-04, rfc6455-9.2-01
    // rfc7692-3-01, rfc7692-5-06, rfc7692-7-01, rfc7692-7-02, rfc7692-7.1.1.1-02, rfc7692-7.1.1.1-03,
    // rfc7692-7.1.2.1-02, rfc7692-7.1.2.1-04, rfc7692-7.1.2.2-01, rfc7692-7.1.2.2-03, rfc7692-7.1.3-01
    type Row = (&'static str, &'static str, (bool, bool), (u8, u8));
    let rows: [Row; 24] = [
        ("", "", PLAIN.0, PLAIN.1),
        ("; server_no_context_takeover", "; server_no_context_takeover", (true, false), PLAIN.1),
        ("; client_no_context_takeover", "; client_no_context_takeover", (false, true), PLAIN.1),
        ("; server_max_window_bits=9", "; server_max_window_bits=9", PLAIN.0, (9, 15)),
        ("; server_max_window_bits=10", "; server_max_window_bits=10", PLAIN.0, (10, 15)),
        ("; server_max_window_bits=11", "; server_max_window_bits=11", PLAIN.0, (11, 15)),
        ("; server_max_window_bits=12", "; server_max_window_bits=12", PLAIN.0, (12, 15)),
        ("; server_max_window_bits=13", "; server_max_window_bits=13", PLAIN.0, (13, 15)),
        ("; server_max_window_bits=14", "; server_max_window_bits=14", PLAIN.0, (14, 15)),
        // 15 bits is the default, but the parameter was offered, so the response has it.
        ("; server_max_window_bits=15", "; server_max_window_bits=15", PLAIN.0, (15, 15)),
        ("; client_max_window_bits", "", PLAIN.0, (15, 15)),
        ("; client_max_window_bits=8", "; client_max_window_bits=8", PLAIN.0, (15, 8)),
        ("; client_max_window_bits=9", "; client_max_window_bits=9", PLAIN.0, (15, 9)),
        ("; client_max_window_bits=14", "; client_max_window_bits=14", PLAIN.0, (15, 14)),
        ("; client_max_window_bits=15", "", PLAIN.0, (15, 15)),
        // Quoted values, with escapes too.
        ("; server_max_window_bits=\"10\"", "; server_max_window_bits=10", PLAIN.0, (10, 15)),
        ("; server_max_window_bits=\"1\\0\"", "; server_max_window_bits=10", PLAIN.0, (10, 15)),
        ("; client_max_window_bits=\"\\1\\2\"", "; client_max_window_bits=12", PLAIN.0, (15, 12)),
        // White space around every separator.
        (" ;\tclient_max_window_bits = 12 ", "; client_max_window_bits=12", PLAIN.0, (15, 12)),
        (";server_no_context_takeover", "; server_no_context_takeover", (true, false), PLAIN.1),
        // The parameters in any order.
        (
            "; client_max_window_bits=10; server_max_window_bits=11; client_no_context_takeover; server_no_context_takeover",
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; client_max_window_bits=10",
            (true, true),
            (11, 10),
        ),
        (
            "; server_no_context_takeover; client_max_window_bits",
            "; server_no_context_takeover",
            (true, false),
            PLAIN.1,
        ),
        // Offers of browsers and of other clients.
        (
            "; client_max_window_bits; server_max_window_bits=15",
            "; server_max_window_bits=15",
            PLAIN.0,
            PLAIN.1,
        ),
        (
            "; client_no_context_takeover; server_no_context_takeover",
            "; server_no_context_takeover; client_no_context_takeover",
            (true, true),
            PLAIN.1,
        ),
    ];
    for (offer, response, no_takeover, bits) in rows {
        let offer = format!("permessage-deflate{offer}");
        let response = format!("permessage-deflate{response}");
        accepts(&plain(), &[&offer], Some((&response, params(no_takeover, bits))));
    }
}

#[test]
fn server_asks_for_what_it_is_configured_to() {
    // rfc7692-7.1.1.1-04, rfc7692-7.1.1.2-02, rfc7692-7.1.2.1-06, rfc7692-7.1.2.1-07, rfc7692-7.1.2.2-05,
    // rfc7692-7.1.2.2-06
    let row = |config: ((bool, bool), (u8, u8)),
               offer: &str,
               response: &str,
               agreed: ((bool, bool), (u8, u8))| {
        let offer = format!("permessage-deflate{offer}");
        let response = format!("permessage-deflate{response}");
        let expected = Some((&response[..], params(agreed.0, agreed.1)));
        accepts(&options(config.0, config.1), &[&offer], expected);
    };
    let none = (false, false);
    row(((true, false), (15, 15)), "", "; server_no_context_takeover", ((true, false), (15, 15)));
    row(((false, true), (15, 15)), "", "; client_no_context_takeover", ((false, true), (15, 15)));
    row((none, (12, 15)), "", "; server_max_window_bits=12", (none, (12, 15)));
    row(
        (none, (12, 15)),
        "; server_max_window_bits=10",
        "; server_max_window_bits=10",
        (none, (10, 15)),
    );
    row(
        (none, (12, 15)),
        "; server_max_window_bits=14",
        "; server_max_window_bits=12",
        (none, (12, 15)),
    );
    // Without `client_max_window_bits` in the offer, the server must not limit the client's window.
    row((none, (15, 10)), "", "", (none, (15, 15)));
    row(
        (none, (15, 10)),
        "; client_max_window_bits",
        "; client_max_window_bits=10",
        (none, (15, 10)),
    );
    row(
        (none, (15, 10)),
        "; client_max_window_bits=15",
        "; client_max_window_bits=10",
        (none, (15, 10)),
    );
    row(
        (none, (15, 10)),
        "; client_max_window_bits=9",
        "; client_max_window_bits=9",
        (none, (15, 9)),
    );
    row(
        (none, (15, 10)),
        "; client_max_window_bits=8",
        "; client_max_window_bits=8",
        (none, (15, 8)),
    );
    // Options that are in no configuration: a window size out of range is replaced by the nearest possible one.
    let row = |bits, offer: &str, response: &str, agreed| {
        let answer = options(none, bits).accept(lines(&[&format!("permessage-deflate{offer}")]));
        let expected = (params(none, agreed), format!("permessage-deflate{response}"));
        assert_eq!(answer, Some(expected), "{bits:?}");
    };
    for low in [0, 1, 7, 8] {
        row((low, 15), "", "; server_max_window_bits=9", (9, 15));
        row((15, low), "; client_max_window_bits", "; client_max_window_bits=9", (15, 9));
    }
    for high in [16, 31, 255] {
        row((high, high), "; client_max_window_bits", "", (15, 15));
    }
}

#[test]
fn server_declines_what_its_policy_refuses_and_takes_the_next_offer() {
    // rfc7692-5-07, rfc7692-7.1.1.1-01, rfc7692-7.1.2.2-05
    let with = |bits, change: fn(&mut Deflate)| {
        let mut options = options(PLAIN.0, bits);
        change(&mut options);
        options
    };
    let window = with((15, 10), |options| options.client_window_required = true);
    let largest = with((15, 15), |options| options.client_window_required = true);
    let takeover = with((15, 15), |options| options.refuse_server_no_context_takeover = true);
    let limited = "permessage-deflate; client_max_window_bits=10";
    let anew = "permessage-deflate; server_no_context_takeover";
    let small = Some((limited, params(PLAIN.0, (15, 10))));
    let smaller = Some(("permessage-deflate; client_max_window_bits=8", params(PLAIN.0, (15, 8))));
    let all = Some(("permessage-deflate", params(PLAIN.0, PLAIN.1)));
    for (options, offer, expected) in [
        // Without the parameter the server cannot limit the client's window.
        (&window, &["permessage-deflate"][..], None),
        (&window, &["permessage-deflate; client_no_context_takeover"], None),
        (&window, &["permessage-deflate; client_max_window_bits"], small),
        (&window, &["permessage-deflate; client_max_window_bits=15"], small),
        (&window, &["permessage-deflate; client_max_window_bits=8"], smaller),
        (&window, &["permessage-deflate, permessage-deflate; client_max_window_bits"], small),
        (&window, &["permessage-deflate", limited], small),
        // No window of a client is above 15 bits.
        (&largest, &["permessage-deflate"], all),
        (&takeover, &[anew], None),
        (
            &takeover,
            &["permessage-deflate; server_no_context_takeover; client_max_window_bits"],
            None,
        ),
        (&takeover, &[anew, "permessage-deflate"], all),
        (&takeover, &["permessage-deflate", anew], all),
    ] {
        accepts(options, offer, expected);
    }
    // The client's takeover is another parameter.
    let hinted = "permessage-deflate; client_no_context_takeover";
    accepts(&takeover, &[hinted], Some((hinted, params((false, true), PLAIN.1))));
}

#[test]
fn client_fails_on_a_response_that_its_policy_refuses() {
    // rfc7692-7-11, rfc7692-7.1.2.2-05
    let bad = Err(HandshakeError::ExtensionParameters);
    let good = |no_takeover, bits| Ok(Some(params(no_takeover, bits)));
    let mut silent = plain();
    silent.offer_client_max_window_bits = false;
    assert_eq!(silent.offer(), "permessage-deflate");
    let mut takeover = plain();
    takeover.refuse_server_no_context_takeover = true;
    assert_eq!(takeover.offer(), plain().offer());
    let none = (false, false);
    for (options, text, expected) in [
        (&silent, "", good(none, (15, 15))),
        (&silent, "; server_max_window_bits=9", good(none, (9, 15))),
        (&silent, "; client_no_context_takeover", good((false, true), (15, 15))),
        (&silent, "; client_max_window_bits=10", bad.clone()),
        (&silent, "; client_max_window_bits=15", bad.clone()),
        (&takeover, "", good(none, (15, 15))),
        (&takeover, "; client_no_context_takeover", good((false, true), (15, 15))),
        (&takeover, "; client_max_window_bits=10", good(none, (15, 10))),
        (&takeover, "; server_no_context_takeover", bad.clone()),
        (&takeover, "; client_max_window_bits=10; server_no_context_takeover", bad),
    ] {
        agrees(options, &[&format!("permessage-deflate{text}")], expected);
    }
    // The request has no parameter that lets the server limit the client's window, in no offer.
    silent.client_max_window_bits = 10;
    silent.fallbacks = vec![params((true, false), (10, 15)), DeflateParams::default()];
    let config = client_config(Some(silent));
    let offers = extensions_of(&drain(&mut connecting(Role::Client, config)));
    let expected = "permessage-deflate, permessage-deflate; server_no_context_takeover; \
                    server_max_window_bits=10, permessage-deflate";
    assert_eq!(offers, [expected]);
}

/// Invalid values: other numbers, and invalid spellings of the numbers from 8 to 15.
const BAD_BITS: [&str; 22] = [
    "7",
    "16",
    "0",
    "1",
    "17",
    "80",
    "150",
    "08",
    "09",
    "010",
    "0015",
    "+9",
    "-9",
    "9.0",
    "0x9",
    "1_0",
    "x",
    "9a",
    "18446744073709551625",
    "265",
    "*",
    "nine",
];

#[test]
fn server_declines_unusable_offers_and_goes_on() {
    // rfc6455-9.1-05
    // rfc7692-5-07, rfc7692-7-01, rfc7692-7-03, rfc7692-7-04, rfc7692-7-05, rfc7692-7-06, rfc7692-7-07,
    // rfc7692-7.1.1.1-01, rfc7692-7.1.2.1-02, rfc7692-7.1.2.1-03, rfc7692-7.1.2.2-02
    let mut offers: Vec<String> = [
        // Names of other extensions.
        "Permessage-Deflate",
        "PERMESSAGE-DEFLATE",
        "permessage-deflate2",
        "xpermessage-deflate",
        "perframe-deflate",
        "x-webkit-deflate-frame",
        "permessage-bzip2; client_max_window_bits",
        "deflate-stream",
        // Undefined parameters.
        "permessage-deflate; foo",
        "permessage-deflate; foo=bar",
        "permessage-deflate; foo=\"10\"",
        "permessage-deflate; Server_no_context_takeover",
        "permessage-deflate; server_max_window_bit=10",
        "permessage-deflate; permessage-deflate",
        "permessage-deflate; server_no_context_takeover; foo",
        "permessage-deflate; foo; server_no_context_takeover",
        "permessage-deflate; mux",
        // A value for a parameter that has none, and no value for one that needs it.
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover=\"x\"",
        "permessage-deflate; client_no_context_takeover=0",
        "permessage-deflate; client_no_context_takeover=client_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits; client_max_window_bits",
        // Repeated parameters.
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; client_max_window_bits; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=11",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=10; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=10; client_max_window_bits=10",
        // The compressor has no window of 8 bits, so the offer is declined.
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=8; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=\"8\"",
        // No offer of permessage-deflate.
        "foo",
        "foo, bar; baz=1",
    ]
    .map(str::to_string)
    .to_vec();
    for bits in BAD_BITS {
        offers.push(format!("permessage-deflate; server_max_window_bits={bits}"));
        offers.push(format!("permessage-deflate; server_max_window_bits=\"{bits}\""));
        offers.push(format!("permessage-deflate; client_max_window_bits={bits}"));
        offers.push(format!("permessage-deflate; client_max_window_bits=\"{bits}\""));
    }
    for offer in &offers {
        accepts(&plain(), &[offer], None);
        // A good offer is accepted, before or after the bad one, in the same line or another.
        let fallback = "permessage-deflate; server_max_window_bits=10";
        let expected = Some((fallback, params(PLAIN.0, (10, 15))));
        accepts(&plain(), &[&format!("{offer}, {fallback}")], expected);
        accepts(&plain(), &[offer, fallback], expected);
        accepts(&plain(), &[&format!("{fallback}, {offer}")], expected);
        accepts(&plain(), &[fallback, offer], expected);
    }
}

#[test]
fn server_takes_the_first_offer_that_it_can() {
    // rfc7692-5-02, rfc7692-5-03, rfc6455-9.1-08
    let bits = |n: u8| format!("permessage-deflate; server_max_window_bits={n}");
    for (offer, chosen) in [
        (&["permessage-deflate; server_max_window_bits=10, permessage-deflate"][..], Some(10)),
        (&["permessage-deflate, permessage-deflate; server_max_window_bits=10"], None),
        (
            &[
                "permessage-deflate; server_max_window_bits=8",
                "permessage-deflate; server_max_window_bits=11",
            ],
            Some(11),
        ),
        (
            &[
                "foo",
                " , ,bar ,",
                "permessage-deflate; server_max_window_bits=12 ,, permessage-deflate",
            ],
            Some(12),
        ),
        (
            &[
                "permessage-deflate; server_max_window_bits=13",
                "permessage-deflate; server_max_window_bits=9",
            ],
            Some(13),
        ),
    ] {
        let response = chosen.map_or("permessage-deflate".to_string(), bits);
        let agreed = params(PLAIN.0, (chosen.unwrap_or(15), 15));
        accepts(&plain(), offer, Some((&response, agreed)));
    }
}

#[test]
fn many_offers_are_read_once() {
    let bad = "permessage-deflate; server_max_window_bits=\"\\8\",".repeat(100_000);
    assert_eq!(plain().accept(lines(&[&bad])), None);
    let (agreed, response) =
        plain().accept(lines(&[&bad, "permessage-deflate"])).expect("the last offer is good");
    assert_eq!((agreed, &response[..]), (params(PLAIN.0, PLAIN.1), "permessage-deflate"));
}

#[test]
fn server_refuses_a_header_that_breaks_the_grammar() {
    // rfc6455-9.1-01: the status is 400, even if a good offer comes first.
    for bad in [
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=\"8 \"",
        "permessage-deflate; server_max_window_bits=8 9",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits=,foo",
        "permessage-deflate;",
        "permessage-deflate;;client_max_window_bits",
        "permessage-deflate; =10",
        "permessage-deflate=10",
        "permessage-deflate client_max_window_bits",
        "permessage-deflate; server_max_window_bits=\"10",
    ] {
        for offer in [&[bad][..], &["permessage-deflate", bad], &[bad, "permessage-deflate"]] {
            let config = builder().deflate(plain()).build().unwrap();
            let mut conn = Connection::server(config);
            let request = with_extensions(REQUEST, offer);
            let error = ProtocolError::from(HandshakeError::InvalidExtensions);
            assert_eq!(serve(&mut conn, &[&request]), [Seen::failed(error)], "{offer:?}");
            let head = drain(&mut conn);
            assert!(head.starts_with(b"HTTP/1.1 400 "), "{offer:?}");
            assert!(extensions_of(&head).is_empty());
        }
    }
}

#[test]
fn server_without_deflate_in_its_configuration_never_answers_an_offer() {
    // rfc7692-5-12
    for offer in [
        &["permessage-deflate"][..],
        &["permessage-deflate; client_max_window_bits"],
        &["foo", "permessage-deflate"],
        &[],
    ] {
        assert_eq!(answered(None, offer), None, "{offer:?}");
    }
    assert_eq!(
        answered(Some(plain()), &[]),
        None,
        "the server answers although nothing was offered"
    );
}

/// The parameters of one element, parsed by the test itself: server's and client's "no context takeover", server's and
/// client's window bits.
type Read = (bool, bool, Option<u8>, Option<Option<u8>>);

fn read(text: &str) -> Read {
    let mut read = (false, false, None, None);
    let mut elements = text.split("; ");
    assert_eq!(elements.next(), Some("permessage-deflate"));
    for element in elements {
        match element.split_once('=') {
            None if element == "server_no_context_takeover" => read.0 = true,
            None if element == "client_no_context_takeover" => read.1 = true,
            None if element == "client_max_window_bits" => read.3 = Some(None),
            Some(("server_max_window_bits", bits)) => read.2 = Some(bits.parse().unwrap()),
            Some(("client_max_window_bits", bits)) => read.3 = Some(Some(bits.parse().unwrap())),
            _ => panic!("{text}"),
        }
    }
    read
}

fn write((server, client, server_bits, client_bits): Read) -> String {
    let mut text = "permessage-deflate".to_string();
    if server {
        text += "; server_no_context_takeover";
    }
    if client {
        text += "; client_no_context_takeover";
    }
    if let Some(bits) = server_bits {
        text += &format!("; server_max_window_bits={bits}");
    }
    match client_bits {
        Some(Some(bits)) => text += &format!("; client_max_window_bits={bits}"),
        Some(None) => text += "; client_max_window_bits",
        None => {}
    }
    text
}

/// Every element that obeys the grammar of the parameters.
fn all_elements() -> Vec<Read> {
    let mut all = Vec::new();
    for (server, client) in [(false, false), (false, true), (true, false), (true, true)] {
        for server_bits in [None].into_iter().chain((8..=15).map(Some)) {
            for client_bits in
                [None, Some(None)].into_iter().chain((8..=15).map(|bits| Some(Some(bits))))
            {
                all.push((server, client, server_bits, client_bits));
            }
        }
    }
    all
}

#[test]
fn client_offers_what_it_is_configured_to() {
    // rfc6455-9-01
    // rfc7692-5-01, rfc7692-5-04, rfc7692-5-05, rfc7692-7.1.1.1-01, rfc7692-7.1.1.2-01, rfc7692-7.1.2.1-01,
    // rfc7692-7.1.2.2-01
    assert_eq!(plain().offer(), "permessage-deflate; client_max_window_bits");
    let full = options((true, true), (10, 11)).offer();
    assert_eq!(
        full,
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
         client_max_window_bits=11"
    );
    for options in all_options() {
        let (server, client) = (options.server_max_window_bits, options.client_max_window_bits);
        let expected = (
            options.server_no_context_takeover,
            options.client_no_context_takeover,
            (server < 15).then_some(server),
            options.offer_client_max_window_bits.then_some((client < 15).then_some(client)),
        );
        assert_eq!(read(&options.offer()), expected, "{options:?}");
    }
    // A window size out of range is replaced by the nearest possible one.
    for low in [0, 7, 8] {
        assert_eq!(read(&options(PLAIN.0, (low, low)).offer()).2, Some(9));
        assert_eq!(read(&options(PLAIN.0, (low, low)).offer()).3, Some(Some(9)));
    }
    assert_eq!(options(PLAIN.0, (16, 255)).offer(), plain().offer());
    // The request has the offer.
    assert_eq!(extensions_of(&drain(&mut connecting(Role::Client, config()))), [""; 0]);
    for options in [plain(), options((true, true), (10, 11))] {
        let config = builder().deflate(options.clone()).build().unwrap();
        let request = drain(&mut connecting(Role::Client, config));
        assert_eq!(extensions_of(&request), [options.offer()]);
    }
}

#[test]
fn every_answer_is_allowed_by_its_offer() {
    // rfc7692-5-07, rfc7692-7.1.1.1-02, rfc7692-7.1.2.1-04, rfc7692-7.1.2.1-06, rfc7692-7.1.2.2-03,
    // rfc7692-7.1.2.2-04, rfc7692-7.1.2.2-05, rfc7692-7.1.2.2-06, rfc7692-5-16
    let elements: Vec<(Read, String)> =
        all_elements().into_iter().map(|element| (element, write(element))).collect();
    for server in all_options() {
        for (offer, text) in &elements {
            let answer = server.accept(lines(&[text]));
            // A server cannot have a window of 8 bits. The others are its choice.
            let is_declined = offer.2 == Some(8)
                || (server.refuse_server_no_context_takeover && offer.0)
                || (server.client_window_required
                    && server.client_max_window_bits < 15
                    && offer.3.is_none());
            assert_eq!(answer.is_none(), is_declined, "{server:?} {text}");
            let Some((agreed, response)) = answer else { continue };
            let said = read(&response);
            assert!(!(server.refuse_server_no_context_takeover && said.0), "{text}: {response}");
            assert!(
                !server.client_window_required
                    || agreed.client_max_window_bits <= server.client_max_window_bits
            );
            assert!(said.0 >= offer.0, "{text}: {response}");
            if let Some(asked) = offer.2 {
                assert!(
                    said.2.is_some_and(|bits| (9..=asked).contains(&bits)),
                    "{text}: {response}"
                );
            }
            match (offer.3, said.3) {
                (_, None) => {}
                (Some(None), Some(Some(bits))) => assert!((8..=15).contains(&bits)),
                (Some(Some(hint)), Some(Some(bits))) => assert!((8..=hint).contains(&bits)),
                (None, Some(_)) | (_, Some(None)) => panic!("{text}: {response}"),
            }
            // The answer has what the server is configured to do.
            let bits = said.2.unwrap_or(15);
            assert!(bits <= server.server_max_window_bits);
            assert!(said.0 >= server.server_no_context_takeover);
            assert!(said.1 >= server.client_no_context_takeover);
            // The agreed parameters are those of the response.
            let client_bits =
                said.3.map_or(15, |bits| bits.expect("a response gives the parameter a value"));
            assert_eq!(agreed, params((said.0, said.1), (bits, client_bits)), "{text}: {response}");
        }
    }
}

#[test]
fn client_agrees_to_every_answer_of_a_server() {
    // rfc7692-5-16, rfc7692-3-01
    let all = all_options();
    for client in &all {
        let offer = client.offer();
        for server in &all {
            // To save time, not each policy is tried with each pair of windows.
            let is_thin = |options: &Deflate| {
                let bits = [options.server_max_window_bits, options.client_max_window_bits];
                bits.iter().all(|bits| [9, 12, 15].contains(bits))
            };
            if ![client, server].into_iter().all(is_without_policy)
                && ![client, server].into_iter().all(is_thin)
            {
                continue;
            }
            let answer = server.accept(lines(&[&offer]));
            let is_declined = (server.refuse_server_no_context_takeover
                && client.server_no_context_takeover)
                || (server.client_window_required
                    && server.client_max_window_bits < 15
                    && !client.offer_client_max_window_bits);
            assert_eq!(answer.is_none(), is_declined, "{server:?} {offer}");
            let Some((agreed, response)) = answer else { continue };
            // A server may begin each message with an empty window although nobody asked for it.
            let expected = match client.refuse_server_no_context_takeover
                && server.server_no_context_takeover
            {
                true => Err(HandshakeError::ExtensionParameters),
                false => Ok(Some(agreed)),
            };
            assert_eq!(client.agree(lines(&[&response])), expected, "{offer}: {response}");
            let either = |of: fn(&Deflate) -> bool| of(client) || of(server);
            let least = |of: fn(&Deflate) -> u8| of(client).min(of(server));
            assert_eq!(
                agreed,
                params(
                    (
                        either(|options| options.server_no_context_takeover),
                        either(|options| options.client_no_context_takeover)
                    ),
                    (
                        least(|options| options.server_max_window_bits),
                        match client.offer_client_max_window_bits {
                            true => least(|options| options.client_max_window_bits),
                            false => 15,
                        }
                    )
                )
            );
        }
    }
}

#[test]
fn client_validates_every_response_against_its_offer() {
    // rfc7692-7-02, rfc7692-7.1.1.1-02, rfc7692-7.1.1.1-04, rfc7692-7.1.1.2-03, rfc7692-7.1.1.2-04,
    // rfc7692-7.1.2.1-05, rfc7692-7.1.2.1-07, rfc7692-7.1.2.2-04, rfc7692-7.2.1-15
    let elements: Vec<(Read, String)> =
        all_elements().into_iter().map(|element| (element, write(element))).collect();
    for client in all_options() {
        for (said, text) in &elements {
            let asked = client.server_max_window_bits;
            let bad = (client.server_no_context_takeover && !said.0)
                || (asked < 15 && said.2.is_none_or(|bits| bits > asked))
                || said.3 == Some(None)
                || (!client.offer_client_max_window_bits && said.3.is_some())
                || (client.refuse_server_no_context_takeover && said.0);
            let expected = match bad {
                true => Err(HandshakeError::ExtensionParameters),
                false => Ok(Some(params(
                    (said.0, said.1),
                    (said.2.unwrap_or(15), said.3.flatten().unwrap_or(15)),
                ))),
            };
            assert_eq!(client.agree(lines(&[text])), expected, "{client:?} {text}");
        }
    }
}

const NONCE: &[u8; 16] = b"the sample nonce";

fn client_config(options: Option<Deflate>) -> Config {
    builder()
        .deflate(options)
        .entropy(Entropy::from_fn(|out| {
            out.copy_from_slice(&NONCE[..out.len()]);
            Ok(())
        }))
        .build()
        .unwrap()
}

/// A client whose request is written, and a response to it with these extension lines.
fn asking(config: Config, extensions: &[&str]) -> (Connection, Vec<u8>) {
    let request = ClientRequest::new("ws://example.com/chat").expect("a valid URI");
    let mut conn = Connection::client(&request, config).expect("a valid request");
    let request = drain(&mut conn);
    assert!(request.windows(24).any(|bytes| bytes == b"dGhlIHNhbXBsZSBub25jZQ=="));
    (conn, with_extensions(&response_to(&request), extensions))
}

/// Asserts that `Deflate::agree` returns `expected`, and that a whole client does the same in some cuts.
fn agrees(
    options: &Deflate,
    extensions: &[&str],
    expected: Result<Option<DeflateParams>, HandshakeError>,
) {
    // The handshake refuses a header without an element before it asks the extension.
    if !extensions.iter().all(|line| line.trim_matches([' ', ',']).is_empty()) {
        assert_eq!(options.agree(lines(extensions)), expected, "{options:?} {extensions:?}");
    }
    let config = client_config(Some(options.clone()));
    let (_, response) = asking(config.clone(), extensions);
    let with_frame = [&response[..], &to(Role::Client, 0x81, b"behind")].concat();
    for pieces in
        [vec![&with_frame[..]], with_frame.chunks(1).collect(), with_frame.chunks(50).collect()]
    {
        let (mut conn, _) = asking(config.clone(), extensions);
        let outcome = run(&mut conn, &pieces);
        match &expected {
            Ok(agreed) => {
                assert_eq!(
                    outcome.seen,
                    [Seen::Open, Seen::Text("behind".into())],
                    "{extensions:?}"
                );
                assert_eq!(conn.deflate_params(), *agreed, "{extensions:?}");
            }
            Err(error) => {
                // RFC 6455 7.1.7: the handshake failed, so no Close is sent.
                let failed = Seen::failed(ProtocolError::from(error.clone()));
                assert_eq!(outcome.seen, [failed], "{extensions:?}");
                assert_eq!((outcome.state, outcome.output), (State::Closed, Vec::new()));
                assert!(conn.is_finished() && conn.deflate_params().is_none());
            }
        }
    }
}

#[test]
fn client_accepts_good_responses() {
    // rfc7692-5-13, rfc7692-5-15, rfc7692-7.1.1.1-04, rfc7692-7.1.1.2-03, rfc7692-7.1.2.1-07
    let good = |config: Deflate, text: &str, no_takeover, bits| {
        agrees(
            &config,
            &[&format!("permessage-deflate{text}")],
            Ok(Some(params(no_takeover, bits))),
        );
    };
    let none = (false, false);
    good(plain(), "", none, (15, 15));
    good(plain(), "; server_no_context_takeover", (true, false), (15, 15));
    good(plain(), "; client_no_context_takeover", (false, true), (15, 15));
    for bits in 8..=15 {
        good(plain(), &format!("; server_max_window_bits={bits}"), none, (bits, 15));
        good(plain(), &format!("; client_max_window_bits=\"{bits}\""), none, (15, bits));
    }
    good(plain(), ";client_max_window_bits = 9 ;server_max_window_bits=\"1\\0\"", none, (10, 9));
    good(options((true, false), (15, 15)), "; server_no_context_takeover", (true, false), (15, 15));
    // The server ignores the hint, or chooses more or less than the hint.
    good(options((false, true), (15, 15)), "", none, (15, 15));
    good(options(none, (15, 10)), "", none, (15, 15));
    good(options(none, (15, 10)), "; client_max_window_bits=12", none, (15, 12));
    good(options(none, (15, 10)), "; client_max_window_bits=9", none, (15, 9));
    good(options(none, (10, 15)), "; server_max_window_bits=10", none, (10, 15));
    good(options(none, (10, 15)), "; server_max_window_bits=8", none, (8, 15));
    // A list may have empty elements, and lines with nothing else.
    let empty = Ok(Some(params(none, (15, 15))));
    agrees(&plain(), &[" , permessage-deflate ,, ", ","], empty);
    // The server declined.
    agrees(&plain(), &[], Ok(None));
}

#[test]
fn client_fails_on_bad_responses() {
    // rfc7692-5-09, rfc7692-5-14, rfc7692-5.1-01, rfc7692-7-08, rfc7692-7-09, rfc7692-7-10, rfc7692-7.1.2.1-02,
    // rfc7692-7.1.2.1-05, rfc7692-7.1.2.1-06, rfc7692-7.1.2.2-04
    use HandshakeError::{ExtensionParameters, InvalidExtensions};
    for text in [
        "foo",
        "foo=1",
        "Client_no_context_takeover",
        "server_no_context_takeover=1",
        "client_no_context_takeover=x",
        "server_max_window_bits",
        "client_max_window_bits",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits=10; client_max_window_bits=10",
        "client_max_window_bits=10; client_max_window_bits=9",
    ] {
        agrees(&plain(), &[&format!("permessage-deflate; {text}")], Err(ExtensionParameters));
    }
    for bits in BAD_BITS {
        for name in ["server_max_window_bits", "client_max_window_bits"] {
            let text = format!("permessage-deflate; {name}={bits}");
            agrees(&plain(), &[&text], Err(ExtensionParameters));
        }
    }
    // The response lacks what the client requires.
    let anew = options((true, false), (15, 15));
    agrees(&anew, &["permessage-deflate"], Err(ExtensionParameters));
    agrees(&anew, &["permessage-deflate; client_no_context_takeover"], Err(ExtensionParameters));
    let small = options((false, false), (10, 15));
    agrees(&small, &["permessage-deflate"], Err(ExtensionParameters));
    for bits in 11..=15 {
        let text = format!("permessage-deflate; server_max_window_bits={bits}");
        agrees(&small, &[&text], Err(ExtensionParameters));
    }
    // The response accepts what was not offered, or accepts it twice.
    for (extensions, name) in [
        (&["foo"][..], "foo"),
        (&["Permessage-Deflate"], "Permessage-Deflate"),
        (&["x-webkit-deflate-frame"], "x-webkit-deflate-frame"),
        (&["permessage-deflate, x-webkit-deflate-frame"], "x-webkit-deflate-frame"),
        (&["x-webkit-deflate-frame, permessage-deflate"], "x-webkit-deflate-frame"),
        (&["permessage-deflate", "foo"], "foo"),
        (&["permessage-deflate, permessage-deflate"], "permessage-deflate"),
        (
            &["permessage-deflate", "permessage-deflate; client_max_window_bits=10"],
            "permessage-deflate",
        ),
    ] {
        agrees(
            &plain(),
            extensions,
            Err(HandshakeError::ExtensionNotOffered { name: name.into() }),
        );
    }
    // The response breaks the grammar.
    for extensions in [
        &[""][..],
        &[" , "],
        &["permessage-deflate;"],
        &["permessage-deflate; server_max_window_bits="],
        &["permessage-deflate; client_max_window_bits=\"\""],
        &["permessage-deflate; client_max_window_bits=\"10"],
        &["permessage-deflate", "a b"],
    ] {
        agrees(&plain(), extensions, Err(InvalidExtensions));
    }
}

#[test]
fn client_that_does_not_offer_fails_on_any_answer() {
    // rfc7692-5-14
    let (mut conn, response) = asking(client_config(None), &["permessage-deflate"]);
    let failed = Seen::failed(
        HandshakeError::ExtensionNotOffered { name: "permessage-deflate".into() }.into(),
    );
    let outcome = run(&mut conn, &[&response]);
    assert_eq!((outcome.seen, outcome.output), (vec![failed], Vec::new()));
}

#[test]
fn client_that_needs_compression_ends_with_1010() {
    // rfc6455-7.4.1-10, rfc7692-5.1-01
    let mut options = plain();
    options.required = true;
    let config = client_config(Some(options.clone()));
    let (_, response) = asking(config.clone(), &[]);
    let behind = [&response[..], &to(Role::Client, 0x81, b"not heard")].concat();
    for bytes in [&response, &behind] {
        for pieces in [vec![&bytes[..]], bytes.chunks(1).collect(), bytes.chunks(7).collect()] {
            let (mut conn, _) = asking(config.clone(), &[]);
            let outcome = run(&mut conn, &pieces);
            let missing = ProtocolError::from(HandshakeError::ExtensionMissing);
            assert_eq!(outcome.seen, [Seen::failed(missing)]);
            let frames = read_frames(&outcome.output);
            assert_eq!(frames.len(), 1);
            assert_eq!((frames[0].first, frames[0].key), (0x88, Some(*b"the ")));
            assert_eq!(frames[0].payload, b"\x03\xf2permessage-deflate");
            assert_eq!(outcome.state, State::Closed);
            assert!(
                !conn.is_finished(),
                "the client does not wait for the server to end the transport"
            );
            conn.receive_eof();
            assert!(conn.is_finished() && conn.poll_event().is_none());
        }
    }
    // If the server accepts, or answers wrongly, `required` changes nothing.
    agrees(&options, &["permessage-deflate"], Ok(Some(params(PLAIN.0, PLAIN.1))));
    agrees(&options, &["permessage-deflate; foo"], Err(HandshakeError::ExtensionParameters));
    agrees(&options, &["foo"], Err(HandshakeError::ExtensionNotOffered { name: "foo".into() }));
    // A server ignores `required`.
    assert_eq!(answered(Some(options), &[]), None);
}

#[test]
fn declined_compression_is_not_used_either_way() {
    // rfc7692-5-13, rfc7692-7-07, rfc6455-9.1-06
    let server_config = builder().deflate(plain()).build().unwrap();
    let request = with_extensions(REQUEST, &["permessage-deflate; foo"]);
    let server = || {
        let mut conn = Connection::server(server_config.clone());
        serve(&mut conn, &[&request]);
        drain(&mut conn);
        conn
    };
    let client = || {
        let (mut conn, response) = asking(client_config(Some(plain())), &[]);
        assert_eq!(run(&mut conn, &[&response]).seen, [Seen::Open]);
        conn
    };
    let makers: [(Role, &dyn Fn() -> Connection); 2] =
        [(Role::Server, &server), (Role::Client, &client)];
    for (role, make) in makers {
        let mut conn = make();
        assert_eq!((conn.state(), conn.deflate_params()), (State::Open, None));
        conn.send("Hello").unwrap();
        conn.send_fragment(MessageKind::Text, b"Hel", false).unwrap();
        conn.send_fragment(MessageKind::Text, b"lo", true).unwrap();
        let frames = plain_frames(&drain(&mut conn));
        assert_eq!(
            frames,
            [(0x81, b"Hello".to_vec()), (0x01, b"Hel".to_vec()), (0x80, b"lo".to_vec())]
        );
        let compressed = to(role, 0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        let failed = Seen::failed(ProtocolError::ReservedBits { first_byte: 0xc1 });
        in_every_cut(role, make, &compressed, &[failed], &[(0x88, &[3, 0xea])]);
    }
}

/// A client and a server after their opening handshake with each other.
fn pair(client: Option<Deflate>, server: Option<Deflate>) -> (Connection, Connection) {
    let server_config = builder().deflate(server).build().unwrap();
    let (mut client, mut server) =
        (connecting(Role::Client, client_config(client)), Connection::server(server_config));
    let request = drain(&mut client);
    assert_eq!(serve(&mut server, &[&request]).len(), 1);
    let response = drain(&mut server);
    assert_eq!(run(&mut client, &[&response]).seen, [Seen::Open]);
    (client, server)
}

/// Sends one text twice, checks that the other end receives it, and returns the two payloads.
fn twice(from: &mut Connection, to: &mut Connection) -> [Vec<u8>; 2] {
    let mut payloads = Vec::new();
    for _ in 0..2 {
        from.send("Hello").unwrap();
        let bytes = drain(from);
        let frames = plain_frames(&bytes);
        assert_eq!(frames[0].0, if from.deflate_params().is_some() { 0xc1 } else { 0x81 });
        payloads.push(frames[0].1.clone());
        assert_eq!(run(to, &[&bytes]).seen, [Seen::Text("Hello".into())]);
    }
    payloads.try_into().unwrap()
}

#[test]
fn both_ends_agree_on_what_each_direction_does() {
    // rfc7692-7-12, rfc7692-5-15, rfc7692-7.1.1.1-02, rfc7692-7.1.1.2-03, rfc7692-7.2.1-09, rfc7692-7.2.1-10,
    // rfc7692-7.2.1-12, rfc7692-7.2.1-13
    let four = [
        ((true, false), (15, 15)),
        ((false, true), (15, 15)),
        ((false, false), (9, 15)),
        ((false, false), (15, 9)),
    ];
    for (no_takeover, bits) in four.into_iter().chain([PLAIN, ((true, true), (11, 10))]) {
        let special = options(no_takeover, bits);
        for (client, server) in [
            (special.clone(), plain()),
            (plain(), special.clone()),
            (special.clone(), special.clone()),
        ] {
            let (mut client, mut server) = pair(Some(client), Some(server));
            assert_eq!(client.deflate_params(), Some(params(no_takeover, bits)));
            assert_eq!(server.deflate_params(), client.deflate_params());
            let [first, second] = twice(&mut server, &mut client);
            assert_eq!(first == second, no_takeover.0);
            let [first, second] = twice(&mut client, &mut server);
            assert_eq!(first == second, no_takeover.1);
        }
    }
    for (client, server) in [(None, Some(plain())), (Some(plain()), None), (None, None)] {
        let (mut client, mut server) = pair(client, server);
        assert_eq!((client.deflate_params(), server.deflate_params()), (None, None));
        twice(&mut server, &mut client);
        twice(&mut client, &mut server);
    }
}

#[test]
fn client_limited_to_8_bits_sends_uncompressed() {
    // rfc7692-7-11, rfc7692-7.2.1-14: the compressor has no window of 8 bits, and a sender need not compress.
    let (mut conn, response) =
        asking(client_config(Some(plain())), &["permessage-deflate; client_max_window_bits=8"]);
    assert_eq!(run(&mut conn, &[&response]).seen, [Seen::Open]);
    let text = "Hello ".repeat(100);
    conn.send(&text[..]).unwrap();
    conn.send_prepared(&websocket_proto::PreparedMessage::new(&text[..])).unwrap();
    conn.send_fragment(MessageKind::Text, text.as_bytes(), false).unwrap();
    conn.send_fragment(MessageKind::Text, b"", true).unwrap();
    let frames = plain_frames(&drain(&mut conn));
    let firsts: Vec<u8> = frames.iter().map(|frame| frame.0).collect();
    assert_eq!(firsts, [0x81, 0x81, 0x01, 0x80]);
    // The client still inflates.
    let compressed = to(Role::Client, 0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    assert_eq!(run(&mut conn, &[&compressed]).seen, [Seen::Text("Hello".into())]);
}

#[test]
fn compressed_frame_in_the_same_read_as_the_head_is_inflated() {
    // rfc7692-5-15
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let server_config = builder().deflate(plain()).build().unwrap();
    let request = with_extensions(REQUEST, &["permessage-deflate"]);
    let all = [&request[..], &to(Role::Server, 0xc1, &hello)].concat();
    for pieces in [vec![&all[..]], all.chunks(1).collect(), all.chunks(100).collect()] {
        let mut conn = Connection::server(server_config.clone());
        let seen = serve(&mut conn, &pieces);
        assert_eq!(seen, [Seen::Upgrade("/chat".into()), Seen::Text("Hello".into())]);
    }
    // The same if the server accepts later.
    let mut conn = Connection::server(server_config);
    let mut log = Log::default();
    feed(&mut conn, &all, &mut log);
    conn.accept(&Accept::default()).unwrap();
    log.push(conn.poll_event().expect("the message was received before"));
    assert_eq!(log.seen, [Seen::Upgrade("/chat".into()), Seen::Text("Hello".into())]);

    let (_, response) = asking(client_config(Some(plain())), &["permessage-deflate"]);
    let all = [&response[..], &to(Role::Client, 0xc1, &hello)].concat();
    for pieces in cuts(&all) {
        let (mut conn, _) = asking(client_config(Some(plain())), &["permessage-deflate"]);
        assert_eq!(run(&mut conn, &pieces).seen, [Seen::Open, Seen::Text("Hello".into())]);
    }
}

#[test]
fn handshake_done_elsewhere_has_the_same_parameters() {
    let offered = options((true, false), (12, 10));
    let (agreed, response) = plain().accept(lines(&[&offered.offer()])).unwrap();
    assert_eq!(offered.agree(lines(&[&response])), Ok(Some(agreed)));
    let config = builder().deflate(plain()).build().unwrap();
    let mut server =
        Connection::from_upgrade(Upgrade::new(Role::Server).deflate(agreed), config.clone())
            .unwrap();
    let mut client =
        Connection::from_upgrade(Upgrade::new(Role::Client).deflate(agreed), config).unwrap();
    assert_eq!(server.deflate_params(), Some(agreed));
    assert_eq!(client.deflate_params(), Some(agreed));
    let [first, second] = twice(&mut server, &mut client);
    assert_eq!(first, second);
    let [first, second] = twice(&mut client, &mut server);
    assert_ne!(first, second);
    assert_eq!(
        Connection::from_upgrade(Role::Server, Config::default()).unwrap().deflate_params(),
        None
    );
}

#[test]
fn invalid_deflate_is_reported_once_whatever_follows() {
    // A Close in the same read and the end of the transport follow.
    for role in ROLES {
        let config = builder().deflate(plain()).build().unwrap();
        let mut conn =
            Connection::from_upgrade(Upgrade::new(role).deflate(params(PLAIN.0, PLAIN.1)), config)
                .unwrap();
        let bytes = [to(role, 0xc1, &[0xff, 0xff, 0xff]), to(role, 0x88, &[3, 0xe8])].concat();
        let outcome = run(&mut conn, &[&bytes]);
        assert_eq!(outcome.seen, [Seen::failed(ProtocolError::InvalidDeflate)]);
        conn.receive_eof();
        assert!(conn.poll_event().is_none() && conn.is_finished());
        assert!(matches!(outcome.seen[0], Seen::Closed { cause: CloseCause::Protocol(_), .. }));
    }
}

/// Options with these offers: the first in the fields, the others as fallbacks.
fn offering(offers: &[DeflateParams]) -> Deflate {
    let (first, rest) = offers.split_first().expect("at least one offer");
    let mut options = options(
        (first.server_no_context_takeover, first.client_no_context_takeover),
        (first.server_max_window_bits, first.client_max_window_bits),
    );
    options.fallbacks = rest.to_vec();
    options
}

const NOTHING_ASKED: DeflateParams = DeflateParams {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};

#[test]
fn client_offers_alternatives_in_order() {
    // rfc7692-5-02, rfc7692-5-04, rfc7692-7.1.2.1-01
    assert_eq!(DeflateParams::default(), NOTHING_ASKED);
    let small = params((false, false), (10, 15));
    let anew = params((true, true), (9, 9));
    let plain = "permessage-deflate; client_max_window_bits";
    let small_text = "permessage-deflate; server_max_window_bits=10; client_max_window_bits";
    let anew_text = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
        server_max_window_bits=9; client_max_window_bits=9";
    for (offers, expected) in [
        (&[NOTHING_ASKED][..], plain.to_string()),
        (&[small, NOTHING_ASKED], format!("{small_text}, {plain}")),
        (&[anew, small, NOTHING_ASKED], format!("{anew_text}, {small_text}, {plain}")),
        (&[NOTHING_ASKED, anew], format!("{plain}, {anew_text}")),
    ] {
        let options = offering(offers);
        assert_eq!(options.offer(), expected);
        // A window out of range is offered as the nearest possible one.
        let mut nearest = options.clone();
        for offer in &mut nearest.fallbacks {
            if offer.client_max_window_bits == 9 {
                offer.client_max_window_bits = 7;
            }
        }
        assert_eq!(nearest.offer(), expected);
        let request = drain(&mut connecting(Role::Client, client_config(Some(options.clone()))));
        assert_eq!(extensions_of(&request), std::slice::from_ref(&expected));
        let config = client_config(Some(options));
        let request = ClientRequest::new("wss://example.com").expect("a valid URI");
        let list = request.extended_connect(&config).expect("a valid request");
        let offers = list.headers().get("sec-websocket-extensions");
        assert_eq!(offers, Some(expected.as_bytes()));
    }
}

#[test]
fn response_must_fit_one_of_the_offers() {
    // rfc7692-5-14, rfc7692-5-16, rfc7692-7-11, rfc7692-7.1.1.1-02, rfc7692-7.1.2.1-05
    let elements: Vec<(Read, String)> =
        all_elements().into_iter().map(|element| (element, write(element))).collect();
    let mut asked = Vec::new();
    for no_takeover in [(false, false), (true, false), (true, true)] {
        for bits in [(9, 15), (12, 9), (15, 15)] {
            asked.push(params(no_takeover, bits));
        }
    }
    let single: Vec<Deflate> = asked.iter().map(|offer| offering(&[*offer])).collect();
    for (first, alone) in asked.iter().zip(&single) {
        for (second, other) in asked.iter().zip(&single) {
            let both = offering(&[*first, *second]);
            let three = offering(&[*first, *first, *second]);
            for (_, text) in &elements {
                // A response is accepted exactly if one of the offers allows it, with the same parameters.
                let by_itself = |options: &Deflate| options.agree(lines(&[text]));
                let expected = by_itself(alone).or_else(|_| by_itself(other));
                assert_eq!(by_itself(&both), expected, "{first:?} {second:?} {text}");
                assert_eq!(by_itself(&three), expected, "{first:?} {second:?} {text}");
            }
        }
    }
    // Some of them through a whole client. A response that fits the two offers only in parts fails.
    let options = offering(&[params((true, false), (15, 15)), params((false, false), (10, 15))]);
    let good = |no_takeover, bits| Ok(Some(params(no_takeover, bits)));
    let failed = Err(HandshakeError::ExtensionParameters);
    let twice = "permessage-deflate; server_no_context_takeover, permessage-deflate; server_max_window_bits=10";
    for (text, expected) in [
        ("permessage-deflate; server_no_context_takeover", good((true, false), (15, 15))),
        ("permessage-deflate; server_max_window_bits=10", good((false, false), (10, 15))),
        ("permessage-deflate; server_max_window_bits=9", good((false, false), (9, 15))),
        ("permessage-deflate", failed.clone()),
        ("permessage-deflate; server_max_window_bits=11", failed.clone()),
        ("permessage-deflate; client_no_context_takeover", failed),
        // A response may accept one offer, not two.
        (twice, Err(HandshakeError::ExtensionNotOffered { name: "permessage-deflate".into() })),
    ] {
        agrees(&options, &[text], expected);
    }
    let with_plain = offering(&[params((false, false), (10, 15)), NOTHING_ASKED]);
    agrees(&with_plain, &["permessage-deflate"], Ok(Some(NOTHING_ASKED)));
}

#[test]
fn server_that_cannot_keep_the_first_offer_takes_the_plain_one() {
    // rfc7692-5-02, rfc7692-5-03, rfc7692-5-15, rfc7692-7-07, rfc7692-7.1.2.1-03
    // Another library's server that cannot limit its window.
    let client = || offering(&[params((false, false), (10, 10)), NOTHING_ASKED]);
    let (mut conn, response) = asking(client_config(Some(client())), &["permessage-deflate"]);
    assert_eq!(run(&mut conn, &[&response]).seen, [Seen::Open]);
    assert_eq!(conn.deflate_params(), Some(NOTHING_ASKED));
    // Our server accepts the first offer, or the second if the first has a window of 8 bits or is invalid.
    for (offer, taken) in [
        (client().offer(), (10, 10)),
        (
            client().offer().replace("server_max_window_bits=10", "server_max_window_bits=8"),
            (15, 15),
        ),
        (client().offer().replace("=10", "=x"), (15, 15)),
    ] {
        let (_, agreed) = answered(Some(plain()), &[&offer]).expect("one offer is accepted");
        let agreed = (agreed.server_max_window_bits, agreed.client_max_window_bits);
        assert_eq!(agreed, taken, "{offer}");
    }
    // Both directions use the agreed parameters.
    for server in [plain(), options((true, true), (15, 15))] {
        let (mut client, mut server) = pair(Some(client()), Some(server));
        assert_eq!(client.deflate_params(), server.deflate_params());
        twice(&mut server, &mut client);
        twice(&mut client, &mut server);
    }
    // All offers are declined, and the client requires compression.
    let mut required = client();
    required.required = true;
    let (mut conn, response) = asking(client_config(Some(required)), &[]);
    let missing = Seen::failed(HandshakeError::ExtensionMissing.into());
    assert_eq!(run(&mut conn, &[&response]).seen, [missing]);
}
