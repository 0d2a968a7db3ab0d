//! A small application over WebSocket messages, and a complete fuzz target for it. As `fuzz/fuzz_targets/store.rs` it
//! runs with `cargo fuzz run store`. Here, `cargo test` runs it on random bytes. `cfg(fuzzing)` selects between the
//! two; a fuzz crate needs neither this condition nor the test.

#![allow(unexpected_cfgs, reason = "cargo-fuzz sets `cfg(fuzzing)`")]
#![cfg_attr(fuzzing, no_main)]

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Result, Unstructured};
use websocket_proto::testing::{RawFrame, Script, Step};
use websocket_proto::{Accept, Config, Connection, Event, Message, Role, UsageError};

// ---- The application: a store of named texts. Each text message is a request. Each request gets one reply, in order.

/// The limit of names in a store.
const MAX_NAMES: usize = 3;

#[derive(Default)]
struct Store {
    texts: BTreeMap<String, String>,
}

impl Store {
    /// Executes `put NAME TEXT`, `get NAME` or `forget NAME`, and returns the reply.
    fn answer(&mut self, request: &str) -> String {
        let mut words = request.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("put"), Some(name), Some(text)) => {
                if !self.texts.contains_key(name) && self.texts.len() == MAX_NAMES {
                    return "full".to_string();
                }
                self.texts.insert(name.to_string(), text.to_string());
                "done".to_string()
            }
            (Some("get"), Some(name), None) => match self.texts.get(name) {
                Some(text) => format!("is {text}"),
                None => "unknown".to_string(),
            },
            (Some("forget"), Some(name), None) => match self.texts.remove(name) {
                Some(_) => "done".to_string(),
                None => "unknown".to_string(),
            },
            _ => "what?".to_string(),
        }
    }
}

/// Handles an event as the server. `replies` is for the test: it collects the replies that were sent.
fn serve(
    store: &mut Store,
    conn: &mut Connection,
    event: &Event<'_>,
    replies: &mut Vec<String>,
) -> std::result::Result<(), UsageError> {
    match event {
        Event::UpgradeRequest(_) => conn.accept(&Accept::new()),
        Event::PlainRequest(_) => conn.respond(404),
        Event::Message(Message::Text(request)) => {
            // A client that closes or does not read gets no reply, so its request must not change the store.
            if conn.check_send(request.len() + 100).is_err() {
                return conn.close(1013, "too many requests");
            }
            let reply = store.answer(request);
            match conn.send(&reply) {
                Err(UsageError::BufferFull { .. }) => conn.close(1013, "too many requests"),
                Err(error) => Err(error),
                Ok(()) => {
                    replies.push(reply);
                    Ok(())
                }
            }
        }
        Event::Message(Message::Binary(_)) => conn.close(1003, "text only"),
        _ => Ok(()),
    }
}

// ---- The fuzz target.

/// A test case made from the fuzzer's bytes: limits, and a script with valid requests between its other steps.
#[derive(Debug)]
struct Input {
    config: Config,
    script: Script,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Input> {
        let config = Config::arbitrary(u)?;
        let mut requests = Vec::new();
        for _ in 0..u.int_in_range(0..=12)? {
            let verb = *u.choose(&["put", "get", "forget", "lose"])?;
            let name = *u.choose(&["a", "b", "c", "d", "ê"])?;
            let request = match verb {
                "put" => format!("{verb} {name} {}", u.int_in_range(0..=9)?),
                _ => format!("{verb} {name}"),
            };
            let pieces = *u.choose(&[1, 3, usize::MAX])?;
            requests.push((u.arbitrary::<u8>()?, Step::Frame(RawFrame::text(&request), pieces)));
        }
        let mut script = Script::arbitrary(u)?;
        script.role = Role::Server;
        // The application makes these calls itself. The other steps are those of the peer, the transport and time.
        script.steps.retain(|step| !step.is_call());
        for (place, request) in requests {
            script.steps.insert(usize::from(place) % (script.steps.len() + 1), request);
        }
        Ok(Input { config, script })
    }
}

/// Runs a test case. Returns how many replies were written and the largest number of texts stored, so that the test
/// can check that the target reaches the application.
fn check(input: Input) -> (usize, usize) {
    let conn = match input.script.handshake {
        true => Connection::server(input.config),
        false => {
            Connection::from_upgrade(Role::Server, input.config).expect("a server needs no keys")
        }
    };
    let ends = [Step::Abort, Step::Eof, Step::WriteClosed];
    let aborts = ends.iter().any(|end| input.script.steps.contains(end));
    let times_out = input.script.steps.iter().any(|step| matches!(step, Step::Tick(_)));
    let (mut store, mut replies, mut stored) = (Store::default(), Vec::new(), 0);
    // `run_with` checks the guarantees of the library after each call. An error is a bug of the library.
    let run = input.script.run_with(conn, |conn, event| {
        if let Err(error) = serve(&mut store, conn, event, &mut replies) {
            panic!("{error} on {event:?}");
        }
        // A guarantee of the application.
        assert!(store.texts.len() <= MAX_NAMES);
        stored = stored.max(store.texts.len());
    });
    let run = run.unwrap_or_else(|broken| panic!("{broken}"));

    // Another guarantee: the replies are written in order, and all of them unless the transport has ended.
    let written = written(&run.output, input.script.handshake);
    assert!(replies.starts_with(&written), "{written:?} were written, {replies:?} were sent");
    assert!(written.len() == replies.len() || aborts || times_out);
    (written.len(), stored)
}

/// The texts of the frames that the server has written, read without the library's codec.
fn written(output: &[u8], handshake: bool) -> Vec<String> {
    let mut at = 0;
    if handshake {
        if !output.starts_with(b"HTTP/1.1 101 ") {
            return Vec::new();
        }
        at = output
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .map_or(output.len(), |end| end + 4);
    }
    let mut texts = Vec::new();
    while let Some((frame, size)) = RawFrame::decode(&output[at..]) {
        at += size;
        match frame.parts() {
            (0x81, text) => texts.push(String::from_utf8(text.to_vec()).expect("replies are text")),
            (first, _) => assert!(matches!(first, 0x88..=0x8a), "first byte {first:#x}"),
        }
    }
    texts
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: Input| {
    check(input);
});

#[cfg(not(fuzzing))]
#[test]
fn target_holds_on_noise_and_reaches_the_application() {
    let mut state = 1u64;
    let mut noise = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let (mut replies, mut most_stored) = (0, 0);
    for _ in 0..600 {
        let bytes: Vec<u8> = (0..300).map(|_| noise()).collect();
        let input = Input::arbitrary(&mut Unstructured::new(&bytes)).expect("noise is enough");
        let (written, stored) = check(input);
        replies += written;
        most_stored = most_stored.max(stored);
    }
    assert!(replies > 200 && most_stored == MAX_NAMES, "{replies} replies, {most_stored} stored");
}
