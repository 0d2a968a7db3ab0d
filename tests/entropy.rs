//! The source of a client's masking keys and nonce. Each frame has a new key, in the order of the source. If the source
//! fails, no frame has an invented key. `frames.rs` and `src/mask.rs` test how payloads are masked.

mod util;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use util::*;
use websocket_proto::{
    ClientRequest, CloseCause, Config, Connection, Entropy, EntropyError, MessageKind,
    PreparedMessage, Role, State, Timeout, Timestamp, UsageError,
};

thread_local! {
    /// The number of draws from the source so far.
    static DRAWN: Cell<u32> = const { Cell::new(0) };
    /// The number of the first draw that fails.
    static FAILS_FROM: Cell<u32> = const { Cell::new(u32::MAX) };
}

/// A source that returns the keys K1, K2, K3, …, all different. A nonce is one key repeated.
fn sequence(out: &mut [u8]) -> Result<(), EntropyError> {
    let n = DRAWN.get() + 1;
    DRAWN.set(n);
    if n >= FAILS_FROM.get() {
        return Err(EntropyError);
    }
    out.iter_mut().zip(key(n).iter().cycle()).for_each(|(byte, key)| *byte = *key);
    Ok(())
}

fn key(n: u32) -> [u8; 4] {
    (0xa5b6_0000 + n).to_be_bytes()
}

/// A configuration with this source. It starts again at K1, and fails from the `n`th draw on.
fn failing_from(n: u32) -> Config {
    DRAWN.set(0);
    FAILS_FROM.set(n);
    Config::builder().entropy(Entropy::from_fn(sequence)).build().unwrap()
}

fn counted() -> Config {
    failing_from(u32::MAX)
}

fn request() -> ClientRequest {
    ClientRequest::new("ws://example.com/").unwrap()
}

/// A call that needs a key.
type Call = fn(&mut Connection) -> Result<(), UsageError>;

const CALLS: [(&str, Call); 8] = [
    ("text", |conn| conn.send("text")),
    ("binary", |conn| conn.send(b"binary")),
    ("large owned", |conn| conn.send(vec![9; 70_000])),
    ("prepared", |conn| conn.send_prepared(&PreparedMessage::new("prepared"))),
    ("first fragment", |conn| conn.send_fragment(MessageKind::Text, b"\xe2\x82", false)),
    ("last fragment", |conn| conn.send_fragment(MessageKind::Text, b"\xac", true)),
    ("ping", |conn| conn.ping(b"ping")),
    ("pong", |conn| conn.pong(b"pong")),
];

#[test]
fn every_frame_of_a_client_has_the_next_key() {
    // rfc6455-5.3-02, rfc6455-5.3-01, rfc6455-10.3-01: the first key is reserved for the Close
    let mut conn = open_with(Role::Client, counted());
    assert_eq!(DRAWN.get(), 1);
    let mut frames = Vec::new();
    for (name, call) in CALLS {
        call(&mut conn).unwrap();
        let wire = drain(&mut conn);
        assert_eq!(read_frames(&wire).len(), 1, "{name}");
        frames.extend(read_frames(&wire));
    }
    for ping in 0..3 {
        frames.extend(read_frames(&run(&mut conn, &[&to(Role::Client, 0x89, &[ping])]).output));
    }
    conn.close(1000, "bye").unwrap();
    frames.extend(read_frames(&drain(&mut conn)));

    let keys: Vec<_> = frames.iter().map(|frame| frame.key.unwrap()).collect();
    let expected: Vec<_> = (2..=12).chain([1]).map(key).collect();
    assert_eq!(keys, expected);
    let payloads: Vec<_> = frames.iter().map(|frame| (frame.first, frame.payload.len())).collect();
    let lens = [4, 6, 70_000, 8, 2, 1, 4, 4, 1, 1, 1, 5];
    let firsts = [0x81, 0x82, 0x82, 0x81, 0x01, 0x80, 0x89, 0x8a, 0x8a, 0x8a, 0x8a, 0x88];
    assert_eq!(payloads, firsts.into_iter().zip(lens).collect::<Vec<_>>());
}

#[test]
fn keys_are_drawn_in_the_order_of_the_calls_not_of_the_wire() {
    // rfc6455-5.3-02: frames that are queued together have distinct keys
    let mut conn = open_with(Role::Client, counted());
    conn.send("a").unwrap();
    conn.send("b").unwrap();
    conn.ping(b"c").unwrap();
    let keys: Vec<_> =
        read_frames(&drain(&mut conn)).iter().map(|frame| frame.key.unwrap()).collect();
    assert_eq!(keys, [key(4), key(2), key(3)]);
}

#[test]
fn close_has_its_own_key_whatever_causes_it() {
    // rfc6455-5.3-02, rfc6455-5.5.1-07
    let closes: [fn(&mut Connection); 4] = [
        |conn| conn.close(1000, "").unwrap(),
        Connection::close_without_code,
        |conn| feed(conn, &to(Role::Client, 0x88, b"\x03\xe8"), &mut Log::default()),
        |conn| feed(conn, &to(Role::Client, 0x83, b""), &mut Log::default()),
    ];
    for close in closes {
        let mut conn = open_with(Role::Client, counted());
        conn.send("x").unwrap();
        close(&mut conn);
        let keys: Vec<_> =
            read_frames(&drain(&mut conn)).iter().map(|frame| frame.key.unwrap()).collect();
        assert_eq!(keys, [key(2), key(1)]);
    }
}

#[test]
fn refused_calls_draw_no_key() {
    let mut conn = open_with(Role::Client, counted());
    conn.send_fragment(MessageKind::Text, b"begun", false).unwrap();
    let drawn = DRAWN.get();
    assert!(conn.send("no").is_err());
    assert!(conn.send_fragment(MessageKind::Binary, b"no", false).is_err());
    assert!(conn.send_fragment(MessageKind::Text, b"\xff", false).is_err());
    assert!(conn.ping(&[0; 126]).is_err());
    conn.abort();
    for (_, call) in CALLS {
        assert!(call(&mut conn).is_err());
    }
    assert_eq!(DRAWN.get(), drawn);
}

#[test]
fn a_server_needs_no_source() {
    // rfc6455-5.1-04
    for config in [failing_from(1), builder().entropy(Entropy::None).build().unwrap()] {
        let mut conn = Connection::server(config.clone());
        feed(&mut conn, REQUEST, &mut Log::default());
        conn.accept(&Default::default()).unwrap();
        for mut conn in [conn, open_with(Role::Server, config)] {
            for (name, call) in CALLS {
                assert_eq!(call(&mut conn), Ok(()), "{name}");
            }
            feed(&mut conn, &to(Role::Server, 0x89, b""), &mut Log::default());
            conn.close(1000, "").unwrap();
        }
    }
    assert_eq!(DRAWN.get(), 0);
}

#[test]
fn nonce_is_drawn_for_each_handshake() {
    // rfc6455-10.3-01, rfc6455-5.3-02: the nonce and the first key are different draws
    let mut nonces = BTreeSet::new();
    let config = counted();
    for n in 0..3 {
        let mut conn = Connection::client(&request(), config.clone()).unwrap();
        assert_eq!(DRAWN.get(), 2 * (n + 1));
        let request = drain(&mut conn);
        let at = request.windows(19).position(|part| part == b"Sec-WebSocket-Key: ").unwrap() + 19;
        nonces.insert(request[at..at + 24].to_vec());
    }
    assert_eq!(nonces.len(), 3);
}

#[test]
fn client_cannot_be_made_without_entropy() {
    // rfc6455-5.3-03
    let error = UsageError::Entropy(EntropyError);
    let none = builder().entropy(Entropy::None).build().unwrap();
    assert_eq!(Connection::client(&request(), none.clone()).err(), Some(error));
    assert_eq!(Connection::from_upgrade(Role::Client, none).err(), Some(error));
    assert_eq!(Connection::from_upgrade(Role::Client, failing_from(1)).err(), Some(error));
    for draws in [1, 2] {
        assert_eq!(
            Connection::client(&request(), failing_from(draws)).err(),
            Some(error),
            "{draws}"
        );
    }
    assert!(Connection::client(&request(), failing_from(3)).is_ok());
}

#[test]
fn send_without_a_key_changes_nothing() {
    // rfc6455-5.3-03: no unmasked byte, no zero key, and the call succeeds when the source works again
    for (i, (name, call)) in CALLS.into_iter().enumerate() {
        for queued in [false, true] {
            let mut conn = open_with(Role::Client, counted());
            if name == "last fragment" {
                CALLS[i - 1].1(&mut conn).unwrap();
            } else if queued {
                conn.send("queued").unwrap();
            }
            let wire: Vec<u8> = conn.outgoing_chunks().flatten().copied().collect();
            let buffered = conn.buffered_amount();
            FAILS_FROM.set(0);
            for _ in 0..3 {
                assert_eq!(call(&mut conn), Err(UsageError::Entropy(EntropyError)), "{name}");
            }
            assert_eq!(
                conn.outgoing_chunks().flatten().copied().collect::<Vec<_>>(),
                wire,
                "{name}"
            );
            assert_eq!((conn.buffered_amount(), conn.state()), (buffered, State::Open), "{name}");
            FAILS_FROM.set(u32::MAX);
            assert_eq!(
                call(&mut conn),
                Ok(()),
                "{name}: the failed call has changed the state of the message"
            );
            let frames = read_frames(&drain(&mut conn));
            assert!(frames.iter().any(|frame| frame.key == Some(key(DRAWN.get()))), "{name}");
        }
    }
}

#[test]
fn pong_without_a_key_ends_the_connection_with_a_close() {
    // rfc6455-5.3-03, rfc6455-5.5.2-02: the Close has the key that was drawn when the connection was made
    for queued in [false, true] {
        let mut conn = open_with(Role::Client, counted());
        let mut expected = Vec::new();
        if queued {
            conn.send("queued").unwrap();
            expected.push(Frame { first: 0x81, key: Some(key(2)), payload: b"queued".to_vec() });
        }
        FAILS_FROM.set(0);
        let input = [
            to(Role::Client, 0x81, b"before"),
            to(Role::Client, 0x89, b"p"),
            to(Role::Client, 0x81, b"after"),
        ];
        let outcome = run(&mut conn, &[&input.concat()]);
        let seen =
            [Seen::Text("before".to_string()), Seen::lost(CloseCause::Entropy(EntropyError))];
        assert_eq!(outcome.seen, seen);
        expected.push(Frame { first: 0x88, key: Some(key(1)), payload: b"\x03\xe9".to_vec() });
        assert_eq!(read_frames(&outcome.output), expected);
        assert!(conn.state() == State::Closed && !conn.is_finished());
        conn.receive_eof();
        assert!(conn.is_finished());
    }
    // After our own Close no second one is sent.
    let mut conn = open_with(Role::Client, counted());
    conn.close(1000, "").unwrap();
    FAILS_FROM.set(0);
    let outcome = run(&mut conn, &[&to(Role::Client, 0x89, b"p")]);
    assert_eq!(outcome.seen, [Seen::lost(CloseCause::Entropy(EntropyError))]);
    assert_eq!(plain_frames(&outcome.output), [(0x88, b"\x03\xe8".to_vec())]);
}

#[test]
fn close_needs_no_source() {
    // rfc6455-5.5.1-07, rfc6455-7.1.7-05
    type Close = fn(&mut Connection);
    let closes: [(Close, u16); 4] = [
        (|conn| conn.close(4000, "").unwrap(), 4000),
        (|conn| feed(conn, &to(Role::Client, 0x88, b"\x0f\xa1"), &mut Log::default()), 4001),
        (|conn| feed(conn, &to(Role::Client, 0x81, b"\xff"), &mut Log::default()), 1007),
        (
            |conn| {
                conn.tick(Timestamp::from_millis(0));
                conn.tick(Timestamp::from_millis(60_000));
                conn.tick(Timestamp::from_millis(60_001));
            },
            1001,
        ),
    ];
    for (close, code) in closes {
        let config = counted().to_builder().idle_timeout(Duration::from_secs(60)).build().unwrap();
        let mut conn = open_with(Role::Client, config);
        FAILS_FROM.set(0);
        close(&mut conn);
        let frames = read_frames(&drain(&mut conn));
        assert_eq!(
            (frames.len(), frames[0].first, frames[0].key),
            (1, 0x88, Some(key(1))),
            "{code}"
        );
        assert_eq!(frames[0].payload[..2], code.to_be_bytes());
    }
}

#[test]
fn keepalive_ping_without_a_key_is_not_sent() {
    let config = counted()
        .to_builder()
        .keepalive_interval(Duration::from_secs(1))
        .idle_timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    let mut conn = open_with(Role::Client, config);
    let at = Timestamp::from_millis;
    conn.tick(at(0));
    FAILS_FROM.set(0);
    assert_eq!(conn.tick(at(1000)), Some(at(2000)));
    assert_eq!((conn.outgoing_len(), conn.state()), (0, State::Open));
    FAILS_FROM.set(u32::MAX);
    assert_eq!(conn.tick(at(2000)), Some(at(3000)));
    assert_eq!(plain_frames(&drain(&mut conn)), [(0x89, vec![])]);
    FAILS_FROM.set(0);
    conn.tick(at(10_000));
    conn.tick(at(10_001));
    let outcome = run(&mut conn, &[]);
    assert_eq!(outcome.seen, [Seen::lost(CloseCause::TimedOut(Timeout::Idle))]);
    assert_eq!(read_frames(&outcome.output)[0].key, Some(key(1)));
}

#[test]
fn queued_bytes_of_a_frame_do_not_change() {
    // rfc6455-10.3-02: a masked frame does not change after `outgoing` has returned it
    let mut conn = open_with(Role::Client, counted());
    let mut payload = vec![0; 5000];
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for round in 0..4u8 {
        payload.fill(round);
        conn.send(&payload[..100]).unwrap();
        conn.send(payload.clone()).unwrap();
        payload.fill(0xee);
        let wire: Vec<u8> = conn.outgoing_chunks().flatten().copied().collect();
        assert!(wire.starts_with(&frames.concat()), "round {round}");
        frames = vec![wire];
        let _ = conn.close(1005, "");
        assert!(conn.send_fragment(MessageKind::Text, b"\xff", true).is_err());
    }
    for (i, frame) in read_frames(&frames.concat()).into_iter().enumerate() {
        assert!(frame.payload.iter().all(|byte| usize::from(*byte) == i / 2), "frame {i}");
    }
}

#[test]
fn a_source_with_state_is_shared_by_its_clones_and_fails_only_the_call_that_needs_it() {
    // rfc6455-5.3-02
    /// A generator as a board has it: it counts, and has a fault now and then.
    struct Generator(u32);
    let generator = Arc::new(Mutex::new(Generator(0)));
    let asked = generator.clone();
    let entropy = Entropy::from_fn(move |out| {
        let mut generator = asked.lock().map_err(|_| EntropyError)?;
        generator.0 += 1;
        if generator.0 % 5 == 0 {
            return Err(EntropyError);
        }
        out.copy_from_slice(&key(generator.0));
        Ok(())
    });
    let mut conns = [entropy.clone(), entropy]
        .map(|entropy| open_with(Role::Client, builder().entropy(entropy).build().unwrap()));
    let (mut sent, mut failed) = (0, 0);
    for n in 0..100 {
        match conns[n % 2].send("x") {
            Ok(()) => sent += 1,
            Err(error) => {
                assert_eq!(error, UsageError::Entropy(EntropyError));
                failed += 1;
            }
        }
    }
    // Two draws were for the keys of the Closes.
    assert_eq!(generator.lock().unwrap().0, 102);
    assert_eq!((sent, failed), (80, 20));
    let frames = conns.iter_mut().flat_map(|conn| read_frames(&drain(conn)));
    let keys: BTreeSet<_> = frames.map(|frame| frame.key.expect("a client masks")).collect();
    assert_eq!(keys.len(), sent, "no key was used twice");
}

#[test]
fn mask_is_that_of_the_rfc() {
    // rfc6455-5.3-05, rfc6455-5.3-06
    let config = builder()
        .entropy(Entropy::from_fn(|out| {
            out.iter_mut().zip(KEY.iter().cycle()).for_each(|(byte, key)| *byte = *key);
            Ok(())
        }))
        .build()
        .unwrap();
    let mut conn = open_with(Role::Client, config);
    conn.send("Hello").unwrap();
    assert_eq!(conn.outgoing(), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
}

#[test]
fn a_seed_makes_runs_equal_to_the_byte() {
    let wire = |seed| {
        let config = Config::builder().entropy(Entropy::Seed(seed)).build().unwrap();
        let mut conn = Connection::client(&request(), config).unwrap();
        let mut wire = drain(&mut conn);
        let response = response_to(&wire);
        feed(&mut conn, &response, &mut Log::default());
        for (_, call) in CALLS {
            call(&mut conn).unwrap();
        }
        conn.close(1000, "").unwrap();
        wire.extend(drain(&mut conn));
        wire
    };
    assert!(wire(5) == wire(5));
    assert!(wire(5) != wire(6));
}

#[test]
#[cfg(feature = "os-entropy")]
fn keys_of_the_default_source_are_not_predictable() {
    // rfc6455-5.3-03, rfc6455-5.3-04, rfc6455-10.3-01: two connections, all kinds of frames
    let mut keys = Vec::new();
    for _ in 0..2 {
        let mut conn = open_with(Role::Client, Config::default());
        for i in 0..1000 {
            match i % 4 {
                0 => conn.send("text").unwrap(),
                1 => conn.send(vec![0; 5000]).unwrap(),
                2 => conn.ping(b"").unwrap(),
                _ => conn.send_fragment(MessageKind::Binary, b"", true).unwrap(),
            }
            keys.extend(
                read_frames(&drain(&mut conn))
                    .iter()
                    .map(|frame| u32::from_be_bytes(frame.key.unwrap())),
            );
        }
        conn.close_without_code();
        keys.extend(
            read_frames(&drain(&mut conn))
                .iter()
                .map(|frame| u32::from_be_bytes(frame.key.unwrap())),
        );
    }
    assert_eq!(keys.len(), 2002);
    let distinct: BTreeSet<_> = keys.iter().collect();
    assert!(distinct.len() >= 2000, "{} of 2002 keys are distinct", distinct.len());
    let steps: BTreeSet<_> = keys.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    assert!(steps.len() >= 1999, "{} of 2001 steps are distinct", steps.len());
    let flips: BTreeSet<_> = keys.windows(2).map(|pair| pair[1] ^ pair[0]).collect();
    assert!(flips.len() >= 1999, "{} of 2001 XORs are distinct", flips.len());
}

#[test]
fn a_seed_is_a_sequence_that_any_program_can_make() {
    // SplitMix64: the first four bytes, little-endian, of each number are a key. Those of seed 0 are in its publications.
    let rows: [(u64, [u64; 5]); 3] = [
        (0, {
            [
                0xe220_a839_7b1d_cdaf,
                0x6e78_9e6a_a1b9_65f4,
                0x06c4_5d18_8009_454f,
                0xf88b_b8a8_724c_81ec,
                0x1b39_896a_51a8_749b,
            ]
        }),
        (0x0123_4567_89ab_cdef, {
            [
                0x8e39_8032_3f3d_ce39,
                0xa33b_a70b_2933_3ab3,
                0x5bed_6dd3_dc00_f260,
                0x1a8f_ed80_c595_2760,
                0xac3d_49a6_90e8_5cb9,
            ]
        }),
        (u64::MAX, {
            [
                0xde0a_564c_bcd0_60c4,
                0x738b_10af_1713_67ff,
                0x8f33_8340_13b3_1f7c,
                0x13e7_2363_2ca2_39f9,
                0x4d02_a792_5ca1_f8ea,
            ]
        }),
    ];
    for (seed, numbers) in rows {
        let config = Config::builder().entropy(Entropy::Seed(seed)).build().unwrap();
        let mut conn = open_with(Role::Client, config);
        for _ in 0..4 {
            conn.send("text").unwrap();
        }
        conn.close(1000, "").unwrap();
        let keys = read_frames(&drain(&mut conn)).into_iter().map(|frame| frame.key.unwrap());
        let keys: Vec<u32> = keys.map(u32::from_le_bytes).collect();
        // The Close's was drawn ahead.
        let expected = [1, 2, 3, 4, 0].map(|n: usize| numbers[n] as u32);
        assert_eq!(keys, expected, "seed {seed:#x}");
    }
}
