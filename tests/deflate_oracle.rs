//! permessage-deflate against other implementations: a strict inflater written here, which checks every distance, and
//! the inflater and compressor of the crate `miniz_oxide`. Random messages, random parameters, damaged payloads, many
//! cuts.
#![cfg(feature = "deflate")]

mod util;

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output, deflate_flags,
};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use util::*;
use websocket_proto::{
    Config, Connection, Deflate, DeflateParams, Delivery, Message, MessageKind, PreparedMessage,
    ProtocolError, Role, Timestamp, Upgrade,
};

const PLAIN: DeflateParams = DeflateParams {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};

const WINDOW: usize = 32 * 1024;
/// RFC 7692 7.2.1: the bytes that a sender removes from the end of a message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

fn config_of(level: u8, delivery: Delivery) -> Config {
    let mut options = Deflate::default();
    (options.level, options.min_bytes) = (level, 0);
    builder().delivery(delivery).deflate(options).build().unwrap()
}

fn open_deflate(role: Role, params: DeflateParams, config: Config) -> Connection {
    Connection::from_upgrade(Upgrade::new(role).deflate(params), config)
        .expect("a seed cannot fail")
}

fn receiver(role: Role, delivery: Delivery) -> Connection {
    open_deflate(role, PLAIN, config_of(6, delivery))
}

const DELIVERIES: [Delivery; 2] = [Delivery::Messages, Delivery::Chunks];

fn whole(kind: MessageKind, bytes: &[u8], delivery: Delivery) -> Seen {
    match (delivery, kind) {
        (Delivery::Messages, MessageKind::Text) => {
            Seen::Text(std::str::from_utf8(bytes).expect("text was sent").to_string())
        }
        (Delivery::Messages, MessageKind::Binary) => Seen::Binary(bytes.to_vec()),
        _ => Seen::Chunked(kind, bytes.to_vec()),
    }
}

/// An inflater by RFC 1951, bit by bit, for the messages of one direction.
struct Strict {
    /// The largest distance that is allowed.
    window: usize,
    /// Everything inflated since the window was last empty.
    out: Vec<u8>,
    /// The largest distance that was seen.
    farthest: usize,
}

/// Any error of a DEFLATE stream.
#[derive(Debug, PartialEq, Eq)]
struct Wrong;

struct Bits<'b> {
    bytes: &'b [u8],
    /// The next bit to read.
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, n: usize) -> Result<usize, Wrong> {
        let mut value = 0;
        for i in 0..n {
            let byte = *self.bytes.get(self.at / 8).ok_or(Wrong)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Ok(value)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

/// RFC 1951 3.2.2: the number of codes of each length, and the symbols in the order of their codes.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    /// A code must be complete. If it `may_be_single`, it may also be one code of one bit, or empty.
    fn new(lengths: &[usize], may_be_single: bool) -> Result<Code, Wrong> {
        let mut counts = [0; 16];
        lengths.iter().for_each(|&len| counts[len] += 1);
        counts[0] = 0;
        let used: usize = counts.iter().sum();
        let left = (1..16)
            .try_fold(1usize, |left, len| (left * 2).checked_sub(counts[len]))
            .ok_or(Wrong)?;
        if left > 0 && !(may_be_single && (used == 0 || used == 1 && counts[1] == 1)) {
            return Err(Wrong);
        }
        let mut symbols: Vec<usize> =
            (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        Ok(Code { counts, symbols })
    }

    fn decode(&self, bits: &mut Bits<'_>) -> Result<usize, Wrong> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                return Ok(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(Wrong)
    }
}

fn length_of(symbol: usize) -> (usize, usize) {
    match symbol {
        257..=264 => (symbol - 254, 0),
        285 => (258, 0),
        _ => {
            let extra = (symbol - 261) / 4;
            (3 + ((4 + (symbol - 261) % 4) << extra), extra)
        }
    }
}

fn distance_of(symbol: usize) -> (usize, usize) {
    match symbol {
        0..=3 => (symbol + 1, 0),
        _ => {
            let extra = symbol / 2 - 1;
            (1 + ((2 + symbol % 2) << extra), extra)
        }
    }
}

impl Strict {
    fn new(window: usize) -> Strict {
        Strict { window, out: Vec::new(), farthest: 0 }
    }

    /// Returns the bytes of a message. The error holds the bytes that its payload gave before the error.
    fn message(&mut self, payload: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let begin = self.out.len();
        let bytes = [payload, &TAIL].concat();
        let mut sure = begin;
        let verdict = self.blocks(&bytes, payload.len(), &mut sure);
        let out = self.out[begin..sure].to_vec();
        verdict.map(|()| out.clone()).map_err(|Wrong| out)
    }

    /// Inflates blocks. `sure` becomes the length of the output that the payload gave without the tail.
    fn blocks(&mut self, bytes: &[u8], payload: usize, sure: &mut usize) -> Result<(), Wrong> {
        let mut bits = Bits { bytes, at: 0 };
        loop {
            let last = bits.take(1)? == 1;
            let mut is_empty_stored = false;
            match bits.take(2)? {
                0 => {
                    bits.align();
                    let (len, check) = (bits.take(16)?, bits.take(16)?);
                    if len ^ check != 0xffff {
                        return Err(Wrong);
                    }
                    is_empty_stored = len == 0;
                    for _ in 0..len {
                        let byte = bits.take(8)? as u8;
                        self.out.push(byte);
                        if bits.at <= payload * 8 {
                            *sure = self.out.len();
                        }
                    }
                }
                1 => {
                    let lengths: Vec<usize> = (0..288)
                        .map(|symbol| match symbol {
                            0..=143 => 8,
                            144..=255 => 9,
                            256..=279 => 7,
                            _ => 8,
                        })
                        .collect();
                    self.symbols(
                        &mut bits,
                        payload,
                        sure,
                        &Code::new(&lengths, false)?,
                        &Code::new(&[5; 32], false)?,
                    )?;
                }
                2 => {
                    let (literals, distances) = dynamic(&mut bits)?;
                    self.symbols(&mut bits, payload, sure, &literals, &distances)?;
                }
                _ => return Err(Wrong),
            }
            if last {
                bits.align();
            }
            // A message ends with the empty stored block that the tail completes, or with a final block.
            if bits.at == bytes.len() * 8 && is_empty_stored || bits.at == payload * 8 && last {
                return Ok(());
            }
            if bits.at > payload * 8 {
                return Err(Wrong);
            }
        }
    }

    fn symbols(
        &mut self,
        bits: &mut Bits<'_>,
        payload: usize,
        sure: &mut usize,
        literals: &Code,
        distances: &Code,
    ) -> Result<(), Wrong> {
        loop {
            match literals.decode(bits)? {
                256 => return Ok(()),
                literal @ 0..=255 => self.out.push(literal as u8),
                286.. => return Err(Wrong),
                symbol => {
                    let (base, extra) = length_of(symbol);
                    let length = base + bits.take(extra)?;
                    let symbol = distances.decode(bits)?;
                    if symbol >= 30 {
                        return Err(Wrong);
                    }
                    let (base, extra) = distance_of(symbol);
                    let distance = base + bits.take(extra)?;
                    if distance > self.window.min(self.out.len()) {
                        return Err(Wrong);
                    }
                    self.farthest = self.farthest.max(distance);
                    for _ in 0..length {
                        self.out.push(self.out[self.out.len() - distance]);
                    }
                }
            }
            if bits.at <= payload * 8 {
                *sure = self.out.len();
            }
        }
    }
}

/// RFC 1951 3.2.7.
fn dynamic(bits: &mut Bits<'_>) -> Result<(Code, Code), Wrong> {
    let (literals, distances, lengths) =
        (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    if literals > 286 || distances > 30 {
        return Err(Wrong);
    }
    let mut of_lengths = [0; 19];
    for &at in &[16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15][..lengths] {
        of_lengths[at] = bits.take(3)?;
    }
    let code = Code::new(&of_lengths, false)?;
    let mut all = Vec::new();
    while all.len() < literals + distances {
        let (value, times) = match code.decode(bits)? {
            16 => (*all.last().ok_or(Wrong)?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            value => (value, 1),
        };
        all.extend(std::iter::repeat_n(value, times));
    }
    if all.len() > literals + distances || all[256] == 0 {
        return Err(Wrong);
    }
    Ok((Code::new(&all[..literals], true)?, Code::new(&all[literals..], true)?))
}

/// The inflater of `miniz_oxide`, for the messages of one direction.
struct Miniz {
    inner: Box<DecompressorOxide>,
    out: Vec<u8>,
}

impl Miniz {
    fn new() -> Miniz {
        Miniz { inner: Box::default(), out: Vec::new() }
    }

    fn message(&mut self, payload: &[u8], expected: usize) -> Vec<u8> {
        let begin = self.out.len();
        self.out.resize(begin + expected + 300, 0);
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
            | inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
        let bytes = [payload, &TAIL].concat();
        let (status, used, produced) =
            decompress(&mut self.inner, &bytes, &mut self.out, begin, flags);
        assert_eq!((status, used), (TINFLStatus::NeedsMoreInput, bytes.len()));
        self.out.truncate(begin + produced);
        self.out[begin..].to_vec()
    }
}

/// Two inflaters that check what one end sends.
struct Oracle {
    strict: Strict,
    miniz: Miniz,
    no_context_takeover: bool,
    /// The unfinished message: whether it is compressed, and its payload so far.
    open: Option<(bool, Vec<u8>)>,
}

impl Oracle {
    fn new(role: Role, params: DeflateParams) -> Oracle {
        let (bits, no_context_takeover) = match role {
            Role::Server => (params.server_max_window_bits, params.server_no_context_takeover),
            Role::Client => (params.client_max_window_bits, params.client_no_context_takeover),
        };
        Oracle {
            strict: Strict::new(1 << bits),
            miniz: Miniz::new(),
            no_context_takeover,
            open: None,
        }
    }

    /// Checks that the frames in `wire` carry the messages `expected`.
    fn check(&mut self, wire: &[u8], expected: &[&[u8]]) {
        let mut expected = expected.iter();
        for frame in read_frames(wire).into_iter().filter(|frame| frame.first & 0x08 == 0) {
            // RFC 7692 6.1: only the first frame of a message has RSV1.
            let continues = frame.first & 0x0f == 0;
            assert_eq!(continues, self.open.is_some());
            assert!(!continues || frame.first & 0x40 == 0, "a continuation frame has RSV1");
            let (compressed, payload) =
                self.open.get_or_insert((frame.first & 0x40 != 0, Vec::new()));
            payload.extend_from_slice(&frame.payload);
            if frame.first & 0x80 == 0 {
                continue;
            }
            let compressed = *compressed;
            let (_, payload) = self.open.take().expect("inserted above");
            let expected = *expected.next().expect("more messages than were sent");
            if !compressed {
                assert_eq!(payload, expected);
                continue;
            }
            // RFC 7692 7.2.1: the tail is removed, and a payload is never empty.
            assert!(!payload.is_empty() && !payload.ends_with(&TAIL));
            if self.no_context_takeover {
                self.strict = Strict::new(self.strict.window);
                self.miniz = Miniz::new();
            }
            assert_eq!(
                self.strict.message(&payload).as_deref(),
                Ok(expected),
                "the strict inflater differs"
            );
            assert_eq!(
                self.miniz.message(&payload, expected.len()),
                expected,
                "miniz_oxide differs"
            );
        }
        assert!(expected.next().is_none(), "a message is missing");
    }
}

/// A long sequence of random characters, some of two or three bytes. Messages are slices of it.
fn book() -> &'static [char] {
    static BOOK: std::sync::OnceLock<Vec<char>> = std::sync::OnceLock::new();
    BOOK.get_or_init(|| {
        let mut state = 1u32;
        let letters: Vec<char> = ('0'..='~').chain(['é', 'ß', '→']).collect();
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize
        };
        (0..80_000).map(|_| letters[next() % letters.len()]).collect()
    })
}

#[derive(Debug, Clone)]
struct Content {
    start: usize,
    len: usize,
    /// How often the slice is repeated.
    times: usize,
}

impl Content {
    fn text(&self) -> String {
        let end = (self.start + self.len).min(book().len());
        book()[self.start.min(end)..end].iter().collect::<String>().repeat(self.times)
    }
}

fn content() -> impl Strategy<Value = Content> {
    let starts = prop_oneof![0..100usize, 0..40_000usize];
    let lens = prop_oneof![
        6 => 0..40usize,
        4 => 40..700usize,
        2 => 700..6000usize,
        1 => prop::sample::select(vec![8192usize, 16_384, 32_768, 40_000]),
    ];
    // 60 repetitions inflate to more than one chunk holds while compressed input is left.
    let times = prop::sample::select(vec![1, 1, 1, 1, 2, 3, 60]);
    (starts, lens, times).prop_map(|(start, len, times)| {
        let len = if times > 3 { len % 700 } else { len };
        Content { start, len, times }
    })
}

/// How a message is sent.
#[derive(Debug, Clone)]
enum Way {
    Borrowed,
    Owned,
    Uncompressed,
    Prepared,
    /// In this many fragments, with pings between them.
    Fragments(usize),
}

#[derive(Debug, Clone)]
enum Act {
    Send {
        from: Role,
        kind: MessageKind,
        way: Way,
        content: Content,
        piece: usize,
    },
    /// Sends the latest prepared message again.
    Again {
        from: Role,
    },
    Release(Role),
    Tick(Role),
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(ROLES.to_vec())
}

fn kind() -> impl Strategy<Value = MessageKind> {
    prop::sample::select(vec![MessageKind::Text, MessageKind::Binary])
}

fn piece() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![1, 2, 7, 100, 1000, 4096, 1 << 20])
}

fn act() -> impl Strategy<Value = Act> {
    let way = prop_oneof![
        4 => Just(Way::Borrowed),
        2 => Just(Way::Owned),
        1 => Just(Way::Uncompressed),
        1 => Just(Way::Prepared),
        3 => (1..6usize).prop_map(Way::Fragments),
    ];
    prop_oneof![
        8 => (role(), kind(), way, content(), piece())
            .prop_map(|(from, kind, way, content, piece)| Act::Send { from, kind, way, content, piece }),
        1 => role().prop_map(|from| Act::Again { from }),
        1 => role().prop_map(Act::Release),
        1 => role().prop_map(Act::Tick),
    ]
}

fn params() -> impl Strategy<Value = DeflateParams> {
    (any::<bool>(), any::<bool>(), 9..=15u8, 9..=15u8).prop_map(
        |(server, client, server_bits, client_bits)| DeflateParams {
            server_no_context_takeover: server,
            client_no_context_takeover: client,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        },
    )
}

/// One end: its connection, the oracle for what it sends, its delivery and its clock.
struct End {
    conn: Connection,
    oracle: Oracle,
    delivery: Delivery,
    time: u64,
}

impl End {
    fn new(
        role: Role,
        params: DeflateParams,
        (level, memory_level, min_bytes, delivery): (u8, u8, usize, Delivery),
    ) -> End {
        let mut options = Deflate::default();
        (options.level, options.memory_level, options.min_bytes) = (level, memory_level, min_bytes);
        let config = builder().delivery(delivery).deflate(options).build().unwrap();
        End {
            conn: open_deflate(role, params, config),
            oracle: Oracle::new(role, params),
            delivery,
            time: 0,
        }
    }

    fn tick(&mut self) {
        self.time += 1;
        self.conn.tick(Timestamp::from_millis(self.time));
    }
}

/// Sends a message from one end to the other. Checks that it arrives, and that the oracle inflates it.
fn transfer(from: &mut End, to: &mut End, message: Message<'_>, way: &Way, piece: usize) {
    let (kind, bytes) = (message.kind(), message.as_bytes().to_vec());
    let mut pings = Vec::new();
    match way {
        Way::Borrowed => from.conn.send(&message).unwrap(),
        Way::Owned => from.conn.send(message.into_owned()).unwrap(),
        Way::Uncompressed => from.conn.send_uncompressed(&message).unwrap(),
        Way::Prepared => from.conn.send_prepared(&PreparedMessage::new(&message)).unwrap(),
        Way::Fragments(n) => {
            let size = bytes.len().div_ceil(*n).max(1);
            let mut parts: Vec<&[u8]> = bytes.chunks(size).collect();
            if parts.len() < *n {
                parts.push(&[]);
            }
            for (at, part) in parts.iter().enumerate() {
                from.conn.send_fragment(kind, part, at + 1 == parts.len()).unwrap();
                // The memory of the compressor may be freed between fragments.
                match at % 3 {
                    0 => from.conn.release_memory(),
                    1 => {
                        from.conn.ping(b"between").unwrap();
                        pings.push(Seen::Ping(b"between".to_vec()));
                    }
                    _ => from.tick(),
                }
            }
        }
    }
    assert_eq!(from.conn.buffered_amount(), bytes.len() as u64);
    let wire = drain(&mut from.conn);
    assert_eq!(from.conn.buffered_amount(), 0);
    from.oracle.check(&wire, &[&bytes]);
    let pieces = pieces_of(&wire, piece);
    let seen = run(&mut to.conn, &pieces).seen;
    let (heard, seen): (Vec<Seen>, Vec<Seen>) =
        seen.into_iter().partition(|seen| matches!(seen, Seen::Ping(_)));
    assert_eq!(heard, pings);
    assert_eq!(seen, [whole(kind, &bytes, to.delivery)]);
}

/// Level, level of memory, `min_bytes` and delivery of one end.
fn choices() -> impl Strategy<Value = (u8, u8, usize, Delivery)> {
    (0..=9u8, 1..=9u8, prop::sample::select(vec![0, 64]), prop::sample::select(DELIVERIES.to_vec()))
}

fn cases(cases: u32, seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(96, 1))]

    /// rfc7692-7.2.1-01, rfc7692-7.2.1-07, rfc7692-7.2.1-08, rfc7692-7.2.1-14, rfc7692-7.2.1-16, rfc7692-6.1-01,
    /// rfc7692-6.1-03, rfc7692-6.1-05, rfc7692-7.2.2-11, rfc7692-7.2.3.2-01
    #[test]
    fn messages_arrive_and_other_inflaters_read_them(
        params in params(),
        ends in prop::array::uniform2(choices()),
        acts in prop::collection::vec(act(), 1..14),
    ) {
        let mut ends = [End::new(Role::Server, params, ends[0]), End::new(Role::Client, params, ends[1])];
        let mut prepared = Content { start: 0, len: 20, times: 4 };
        for act in &acts {
            let [server, client] = &mut ends;
            match act {
                Act::Send { from, kind, way, content, piece } => {
                    let text = content.text();
                    let message = match kind {
                        MessageKind::Text => Message::from(&text[..]),
                        MessageKind::Binary => Message::from(text.as_bytes()),
                    };
                    if let Way::Prepared = way {
                        prepared = content.clone();
                    }
                    match from {
                        Role::Server => transfer(server, client, message, way, *piece),
                        Role::Client => transfer(client, server, message, way, *piece),
                    }
                }
                Act::Again { from } => {
                    let text = prepared.text();
                    match from {
                        Role::Server => transfer(server, client, (&text[..]).into(), &Way::Prepared, 4096),
                        Role::Client => transfer(client, server, (&text[..]).into(), &Way::Prepared, 4096),
                    }
                }
                Act::Release(Role::Server) => server.conn.release_memory(),
                Act::Release(Role::Client) => client.conn.release_memory(),
                Act::Tick(Role::Server) => server.tick(),
                Act::Tick(Role::Client) => client.tick(),
            }
        }
    }
}

#[test]
fn no_distance_is_beyond_the_agreed_window() {
    // rfc7692-7.2.1-08, rfc7692-7.2.1-14, rfc7692-7.2.1-16, rfc7692-7.2.2-11
    let book: Vec<u8> = book().iter().map(|&letter| letter as u8).collect();
    for role in ROLES {
        for bits in 9..=15u8 {
            let window = 1usize << bits;
            for level in 1..=9 {
                // To save time: with large windows the levels differ little.
                if bits > 12 && !matches!(level, 1 | 6 | 9) {
                    continue;
                }
                let params = DeflateParams {
                    server_max_window_bits: bits,
                    client_max_window_bits: bits,
                    ..PLAIN
                };
                let mut conn = open_deflate(role, params, config_of(level, Delivery::Messages));
                let mut oracle = Oracle::new(role, params);
                // A text repeats at a distance just below, at and beyond the window: in one message, across messages,
                // and with the compressor freed between them.
                for (turn, distance) in [
                    window - 300,
                    window - 262,
                    window - 261,
                    window - 1,
                    window,
                    window + 1,
                    window + 300,
                ]
                .into_iter()
                .enumerate()
                {
                    let period = &book[turn * 7..turn * 7 + distance];
                    let text = [period, &period[..200]].concat();
                    let parts = if turn % 2 == 0 {
                        vec![&text[..]]
                    } else {
                        vec![period, &text[distance..]]
                    };
                    for part in parts {
                        conn.send(part).unwrap();
                        if turn % 3 == 0 {
                            conn.release_memory();
                        }
                        oracle.check(&drain(&mut conn), &[part]);
                    }
                }
                let farthest = oracle.strict.farthest;
                assert!(
                    farthest <= window && farthest >= window - 300,
                    "{farthest} of {window} at level {level}"
                );
            }
        }
    }
}

#[test]
fn other_inflaters_read_every_level_and_length() {
    // rfc7692-7.2.1-01, rfc7692-7.2.1-02, rfc7692-7.2.3.6-01
    let levels = (0..=9).map(|level| (level, 8, 15));
    let memory = (1..=9).flat_map(|memory| [(1, memory, 9), (6, memory, 15), (9, memory, 12)]);
    for (level, memory_level, bits) in levels.chain(memory) {
        let mut options = Deflate::default();
        (options.level, options.memory_level, options.min_bytes) = (level, memory_level, 0);
        let config = builder().deflate(options).build().unwrap();
        let params = DeflateParams { server_max_window_bits: bits, ..PLAIN };
        let mut conn = open_deflate(Role::Server, params, config);
        let mut oracle = Oracle::new(Role::Server, params);
        let noise: Vec<u8> =
            (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for len in (0..70).chain([125, 126, 127, 250, 256, 1000, 4096, 16_383, 20_000]) {
            for bytes in [&noise[..len], &vec![b'a'; len]] {
                conn.send(bytes).unwrap();
                let wire = drain(&mut conn);
                oracle.check(&wire, &[bytes]);
                // A small window or little memory makes many short blocks, or blocks with fixed codes.
                let blocks = if (memory_level, bits) == (8, 15) { len / 1000 } else { len / 8 };
                let text = format!("{level}, {memory_level}: {} bytes for {len}", wire.len());
                assert!(wire.len() <= len + blocks + 16, "{text}");
            }
        }
    }
}

#[test]
fn other_inflaters_read_empty_messages_and_fragments() {
    // rfc7692-7.2.3.6-01, rfc7692-7.2.1-07
    for role in ROLES {
        for no_context_takeover in [false, true] {
            let params = DeflateParams {
                server_no_context_takeover: no_context_takeover,
                client_no_context_takeover: no_context_takeover,
                ..PLAIN
            };
            let mut conn = open_deflate(role, params, config_of(6, Delivery::Messages));
            let mut peer = open_deflate(other(role), params, config_of(6, Delivery::Messages));
            let mut oracle = Oracle::new(role, params);
            for parts in [
                &[""][..],
                &["", ""],
                &["", "", ""],
                &["Hello", ""],
                &["", "Hello"],
                &["Hello", "", "", "Hello", "", ""],
                &["", "Hello", ""],
            ] {
                for release in [false, true] {
                    for (at, part) in parts.iter().enumerate() {
                        conn.send_fragment(
                            MessageKind::Text,
                            part.as_bytes(),
                            at + 1 == parts.len(),
                        )
                        .unwrap();
                        if release {
                            conn.release_memory();
                        }
                    }
                    let wire = drain(&mut conn);
                    let text = parts.concat();
                    oracle.check(&wire, &[text.as_bytes()]);
                    let pieces: Vec<&[u8]> = wire.chunks(1).collect();
                    assert_eq!(run(&mut peer, &pieces).seen, [Seen::Text(text)], "{parts:?}");
                }
            }
        }
    }
}

/// Pieces of `size` bytes, or larger ones if there were more than about 100.
fn pieces_of(bytes: &[u8], size: usize) -> Vec<&[u8]> {
    bytes.chunks(size.max(bytes.len() / 100)).collect()
}

/// How `miniz_oxide` ends a part of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End1951 {
    Sync,
    Full,
    /// A final block.
    Final,
}

/// A message that another library compresses.
#[derive(Debug, Clone)]
struct Foreign {
    kind: MessageKind,
    parts: Vec<(Content, End1951)>,
    /// The payload bytes of a frame.
    fragment: usize,
    /// Whether the 00 after a final block at the end is left out.
    bare: bool,
}

fn foreign() -> impl Strategy<Value = Foreign> {
    let end =
        prop::sample::select(vec![End1951::Sync, End1951::Sync, End1951::Full, End1951::Final]);
    (
        kind(),
        prop::collection::vec((content(), end), 1..4),
        prop::sample::select(vec![1, 5, 1000, 1 << 20]),
        any::<bool>(),
    )
        .prop_map(|(kind, parts, fragment, bare)| Foreign { kind, parts, fragment, bare })
}

struct Compressor {
    inner: Box<CompressorOxide>,
    flags: u32,
}

impl Compressor {
    fn new(flags: u32) -> Compressor {
        Compressor { inner: Box::new(CompressorOxide::new(flags)), flags }
    }

    fn part(&mut self, bytes: &[u8], end: End1951, out: &mut Vec<u8>) {
        let flush = match end {
            End1951::Sync => TDEFLFlush::Sync,
            End1951::Full => TDEFLFlush::Full,
            End1951::Final => TDEFLFlush::Finish,
        };
        let (status, used) = compress_to_output(&mut self.inner, bytes, flush, |piece| {
            out.extend_from_slice(piece);
            true
        });
        assert_eq!(used, bytes.len());
        if end == End1951::Final {
            assert_eq!(status, TDEFLStatus::Done);
            // The next part starts a new stream; the receiver's window keeps the earlier bytes.
            *self = Compressor::new(self.flags);
        }
    }

    /// The message's payload.
    fn message(&mut self, message: &Foreign) -> (String, Vec<u8>) {
        let (mut text, mut out) = (String::new(), Vec::new());
        for (content, end) in &message.parts {
            let part = content.text();
            self.part(part.as_bytes(), *end, &mut out);
            text += &part;
        }
        match message.parts.last().expect("a message has a part").1 {
            End1951::Final if message.bare => {}
            // RFC 7692 7.2.3.4: an empty block follows a final block.
            End1951::Final => out.push(0x00),
            End1951::Sync | End1951::Full if out.ends_with(&TAIL) => out.truncate(out.len() - 4),
            // The compressor had no input and wrote nothing: the message is empty.
            End1951::Sync | End1951::Full => out.push(0x00),
        }
        (text, out)
    }
}

/// Frames of one compressed message, as the peer of `role` sends them.
fn frames(role: Role, kind: MessageKind, payload: &[u8], fragment: usize) -> Vec<u8> {
    let first = match kind {
        MessageKind::Text => 0x41,
        MessageKind::Binary => 0x42,
    };
    let mut parts = pieces_of(payload, fragment);
    if parts.is_empty() {
        parts.push(&[]);
    }
    let last = parts.len() - 1;
    (0..=last)
        .flat_map(|at| {
            let first = if at == 0 { first } else { 0 };
            to(role, first | if at == last { 0x80 } else { 0 }, parts[at])
        })
        .collect()
}

fn compressor_flags() -> impl Strategy<Value = u32> {
    use deflate_flags::*;
    prop_oneof![
        // The number of hash probes, and greedy or lazy parsing.
        (1..500u32, any::<bool>()).prop_map(
            |(probes, greedy)| probes | if greedy { TDEFL_GREEDY_PARSING_FLAG } else { 0 }
        ),
        Just(TDEFL_FORCE_ALL_RAW_BLOCKS),
        Just(TDEFL_FORCE_ALL_STATIC_BLOCKS | 100),
        Just(TDEFL_RLE_MATCHES | 10),
    ]
}

proptest! {
    #![proptest_config(cases(64, 2))]

    /// rfc7692-7.2.1-03, rfc7692-7.2.1-04, rfc7692-7.2.1-05, rfc7692-7.2.1-06, rfc7692-7.2.2-01, rfc7692-7.2.2-03,
    /// rfc7692-7.2.2-05, rfc7692-7.2.2-08, rfc7692-7.2.2-10, rfc7692-7.2.3.4-01, rfc7692-6.2-01
    #[test]
    fn messages_of_another_compressor_are_received(
        role in role(),
        delivery in prop::sample::select(DELIVERIES.to_vec()),
        flags in compressor_flags(),
        messages in prop::collection::vec((foreign(), piece(), any::<bool>()), 1..6),
    ) {
        let mut compressor = Compressor::new(flags);
        let mut strict = Strict::new(WINDOW);
        let mut conn = receiver(role, delivery);
        for (message, piece, release) in &messages {
            let (text, payload) = compressor.message(message);
            prop_assert_eq!(strict.message(&payload), Ok(text.clone().into_bytes()));
            let wire = frames(role, message.kind, &payload, message.fragment);
            let pieces = pieces_of(&wire, *piece);
            prop_assert_eq!(run(&mut conn, &pieces).seen, [whole(message.kind, text.as_bytes(), delivery)]);
            if *release {
                conn.release_memory();
            }
        }
    }
}

/// The events that the strict inflater expects for binary messages with these payloads.
fn by_the_model(payloads: &[Vec<u8>], delivery: Delivery) -> Vec<Seen> {
    let mut strict = Strict::new(WINDOW);
    let mut seen = Vec::new();
    for payload in payloads {
        match strict.message(payload) {
            Ok(bytes) => seen.push(whole(MessageKind::Binary, &bytes, delivery)),
            Err(prefix) => {
                if delivery == Delivery::Chunks && !prefix.is_empty() {
                    seen.push(Seen::Unfinished(MessageKind::Binary, prefix));
                }
                seen.push(Seen::failed(ProtocolError::InvalidDeflate));
                break;
            }
        }
    }
    seen
}

/// Asserts that the library reports what the strict inflater expects: for both roles and deliveries, in several cuts
/// and fragmentations, and with or without `release_memory` between reads.
fn as_the_model(payloads: &[Vec<u8>], cut: usize) {
    for delivery in DELIVERIES {
        let expected = by_the_model(payloads, delivery);
        for (role, fragment) in
            [(Role::Server, 1 << 20), (Role::Client, 1 << 20), (Role::Server, 3)]
        {
            let wire: Vec<u8> = payloads
                .iter()
                .flat_map(|payload| frames(role, MessageKind::Binary, payload, fragment))
                .collect();
            let at = cut % (wire.len() + 1);
            for pieces in [
                vec![&wire[..]],
                vec![&wire[..at], &wire[at..]],
                pieces_of(&wire, 1 + cut % 50),
                pieces_of(&wire, 1),
            ] {
                let mut conn = receiver(role, delivery);
                let outcome = run(&mut conn, &pieces);
                assert_eq!(outcome.seen, expected, "{role:?} {delivery:?} {payloads:02x?}");
                let mut conn = receiver(role, delivery);
                let mut log = Log::default();
                for piece in &pieces {
                    feed(&mut conn, piece, &mut log);
                    conn.release_memory();
                }
                while let Some(event) = conn.poll_event() {
                    log.push(event);
                }
                assert_eq!(log.seen, expected, "released: {role:?} {delivery:?} {payloads:02x?}");
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Append(Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..6);
    prop_oneof![
        4 => (any::<usize>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => any::<usize>().prop_map(Damage::Cut),
        1 => (any::<usize>(), bytes()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (any::<usize>(), 1..5usize).prop_map(|(at, n)| Damage::Remove(at, n)),
        1 => bytes().prop_map(Damage::Append),
    ]
}

impl Damage {
    fn apply(&self, payload: &mut Vec<u8>) {
        let len = payload.len();
        match self {
            Damage::Flip(at, bit) if len > 0 => payload[at % len] ^= 1 << bit,
            Damage::Flip(..) => payload.push(1),
            Damage::Cut(at) => payload.truncate(at % (len + 1)),
            Damage::Insert(at, bytes) => {
                let at = at % (len + 1);
                payload.splice(at..at, bytes.iter().copied());
            }
            Damage::Remove(at, n) => {
                let at = at % (len + 1);
                payload.drain(at..(at + n).min(len));
            }
            Damage::Append(bytes) => payload.extend_from_slice(bytes),
        }
    }
}

proptest! {
    #![proptest_config(cases(48, 3))]

    /// rfc7692-7.2.2-12, rfc7692-7.2.2-13
    #[test]
    fn damaged_payloads_are_received_as_the_strict_inflater_reads_them(
        flags in compressor_flags(),
        contents in prop::collection::vec((0..300usize, 0..100usize, 1..4usize), 1..4),
        final_block in any::<bool>(),
        damages in prop::collection::vec(damage(), 1..3),
        which in any::<usize>(),
        cut in any::<usize>(),
    ) {
        let mut compressor = Compressor::new(flags);
        let end = if final_block { End1951::Final } else { End1951::Sync };
        let mut payloads: Vec<Vec<u8>> = contents.iter().map(|&(start, len, times)| {
            let parts = vec![(Content { start, len, times }, end)];
            compressor.message(&Foreign { kind: MessageKind::Binary, parts, fragment: 1, bare: false }).1
        }).collect();
        let which = which % payloads.len();
        damages.iter().for_each(|damage| damage.apply(&mut payloads[which]));
        // A good message follows: it is delivered only if all messages before it are good.
        payloads.push(vec![0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        as_the_model(&payloads, cut);
    }

    /// Random bytes whose first three bits select every kind of block.
    #[test]
    fn random_bytes_are_received_as_the_strict_inflater_reads_them(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..3),
        first in 0..8u8,
        cut in any::<usize>(),
    ) {
        let mut payloads = payloads;
        if let Some(byte) = payloads[0].first_mut() {
            *byte = *byte & !7 | first;
        }
        payloads.push(vec![0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        as_the_model(&payloads, cut);
    }
}

/// Writes DEFLATE bit by bit.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// Unused bits of the last byte.
    free: u32,
}

/// An element of a compressed block.
#[derive(Debug, Clone)]
enum Token {
    Literal(u8),
    Match { length: usize, distance: usize },
}

impl Writer {
    fn bits(&mut self, value: usize, n: usize) {
        for i in 0..n {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            *self.bytes.last_mut().expect("it was pushed") |=
                ((value >> i & 1) as u8) << (8 - self.free);
            self.free -= 1;
        }
    }

    /// Writes a Huffman code: its most significant bit comes first (RFC 1951 3.1.1).
    fn code(&mut self, value: usize, n: usize) {
        (0..n).rev().for_each(|i| self.bits(value >> i, 1));
    }

    fn symbol(&mut self, symbol: usize) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    fn fixed(&mut self, tokens: &[Token], last: bool) {
        self.bits(usize::from(last), 1);
        self.bits(1, 2);
        for token in tokens {
            match *token {
                Token::Literal(byte) => self.symbol(usize::from(byte)),
                Token::Match { length, distance } => {
                    let symbol = (257..=285)
                        .rfind(|&symbol| length_of(symbol).0 <= length)
                        .expect("a length is at least 3");
                    self.symbol(symbol);
                    let (base, extra) = length_of(symbol);
                    self.bits(length - base, extra);
                    let symbol = (0..30)
                        .rfind(|&symbol| distance_of(symbol).0 <= distance)
                        .expect("a distance is at least 1");
                    self.code(symbol, 5);
                    let (base, extra) = distance_of(symbol);
                    self.bits(distance - base, extra);
                }
            }
        }
        self.symbol(256);
        if last {
            self.free = 0;
        }
    }

    fn stored(&mut self, bytes: &[u8], last: bool) {
        self.bits(usize::from(last), 3);
        self.free = 0;
        self.bytes.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(&(!(bytes.len() as u16)).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    /// Ends a message with an empty block whose tail is left out.
    fn end(mut self, last: bool) -> Vec<u8> {
        self.bits(usize::from(last), 3);
        self.bytes
    }
}

fn message_of(tokens: &[Token]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.fixed(tokens, false);
    writer.end(false)
}

fn stored_message(bytes: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    bytes.chunks(65_535).for_each(|part| writer.stored(part, false));
    writer.end(false)
}

fn block() -> impl Strategy<Value = (bool, Result<Vec<Token>, Vec<u8>>)> {
    let distance = prop_oneof![4 => 1..30usize, 2 => 1..600usize, 1 => 1..=32_768usize];
    let length = prop_oneof![4 => 3..20usize, 1 => 3..=258usize];
    let token = prop_oneof![
        3 => any::<u8>().prop_map(Token::Literal),
        1 => (length, distance).prop_map(|(length, distance)| Token::Match { length, distance }),
    ];
    let fixed = prop::collection::vec(token, 0..30).prop_map(Ok);
    let stored = prop::collection::vec(any::<u8>(), 0..50).prop_map(Err);
    (prop::bool::weighted(0.3), prop_oneof![fixed, stored])
}

proptest! {
    #![proptest_config(cases(64, 4))]

    /// Blocks of any kind, final or not. Matches may reach into earlier messages or before the first one.
    /// rfc7692-7.2.1-03, rfc7692-7.2.1-04, rfc7692-7.2.1-05, rfc7692-7.2.1-06, rfc7692-7.2.2-12
    #[test]
    fn blocks_of_any_kind_are_received_as_the_strict_inflater_reads_them(
        messages in prop::collection::vec((prop::collection::vec(block(), 0..5), 0..3u8), 1..5),
        cut in any::<usize>(),
    ) {
        let payloads: Vec<Vec<u8>> = messages.iter().map(|(blocks, end)| {
            let mut writer = Writer::default();
            for (last, block) in blocks {
                match block {
                    Ok(tokens) => writer.fixed(tokens, *last),
                    Err(bytes) => writer.stored(bytes, *last),
                }
            }
            match end {
                0 => writer.end(true),
                // Without an empty block at the end, the message is valid only if its last block is final.
                1 => writer.bytes,
                _ => writer.end(false),
            }
        }).collect();
        as_the_model(&payloads, cut);
    }
}

const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
const HELLO_FROM_THE_WINDOW: [u8; 5] = [0xf2, 0x00, 0x11, 0x00, 0x00];

#[test]
fn messages_after_final_blocks_are_received_as_the_strict_inflater_reads_them() {
    // rfc7692-7.2.1-05, rfc7692-7.2.1-06, rfc7692-7.2.2-13, rfc7692-7.2.3.4-01
    let final_hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let with_00 = [&final_hello[..], &[0x00]].concat();
    // The empty block at the end is marked as final.
    let with_01 = [&final_hello[..], &[0x01]].concat();
    let only_01 = vec![0x01];
    let bare = final_hello.to_vec();
    let twice = [&final_hello[..], &final_hello, &[0x00]].concat();
    let four = [bare.clone(), with_00, with_01, only_01];
    for first in four.iter().chain([&twice]) {
        for second in [&HELLO[..], &HELLO_FROM_THE_WINDOW, &[0x00], &[0x01], &bare] {
            as_the_model(
                &[HELLO.to_vec(), first.clone(), second.to_vec(), HELLO_FROM_THE_WINDOW.to_vec()],
                3,
            );
        }
    }
}

#[test]
fn compressed_message_of_zero_length_fails_whatever_came_before() {
    // rfc7692-7.2.2-12, rfc7692-7.2.3.6-01
    let final_hello = vec![0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for before in
        [None, Some(HELLO.to_vec()), Some(final_hello), Some(vec![0x00]), Some(vec![0x01])]
    {
        let mut payloads: Vec<Vec<u8>> = before.into_iter().collect();
        payloads.extend([vec![], HELLO.to_vec()]);
        as_the_model(&payloads, 3);
        assert_eq!(
            by_the_model(&payloads, Delivery::Messages).last(),
            Some(&Seen::failed(ProtocolError::InvalidDeflate))
        );
    }
}

#[test]
fn block_that_ends_within_the_tail_does_not_end_the_message() {
    // rfc7692-7.2.1-01, rfc7692-7.2.2-13: a dynamic block whose code lengths continue in the tail. It ends within the
    // tail's last byte, and at least one bit of that byte follows.
    for end_bits in [1, 2, 3] {
        let mut payload = Vec::new();
        for filler in 0..8 {
            let mut writer = Writer::default();
            // Each literal of 9 bits moves what follows by one bit, until the payload ends at a byte boundary.
            writer.fixed(&vec![Token::Literal(200); filler], false);
            writer.bits(0, 1);
            writer.bits(2, 2);
            // 286 literal code lengths and 5 distance code lengths, in a code of 18 symbols.
            writer.bits(29, 5);
            writer.bits(4, 5);
            writer.bits(14, 4);
            // The Huffman codes: symbol 18 is 0, 3 is 10, 2 is 110, 1 is 1110, 16 is 1111.
            for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1] {
                writer.bits(
                    [0, 4, 3, 2].get(symbol).copied().unwrap_or(match symbol {
                        16 => 4,
                        18 => 1,
                        _ => 0,
                    }),
                    3,
                );
            }
            let zeros = |writer: &mut Writer, n: usize| {
                writer.code(0, 1);
                writer.bits(n - 11, 7);
            };
            let length = |writer: &mut Writer, len: usize| match len {
                1 => writer.code(0b1110, 4),
                2 => writer.code(0b110, 3),
                _ => writer.code(0b10, 2),
            };
            // The literals have the smaller codes, so the code of the end-of-block symbol is all ones.
            zeros(&mut writer, 97);
            (1..end_bits).for_each(|len| length(&mut writer, len));
            length(&mut writer, end_bits);
            zeros(&mut writer, 138);
            zeros(&mut writer, 256 - 97 - 138 - end_bits);
            length(&mut writer, end_bits);
            // The tail's 00 00 is 22 code lengths of zero. The first 12 bits of ff ff are 12 more (two repeats). The
            // next bits are the end-of-block symbol.
            if writer.free == 0 {
                payload = writer.bytes;
                break;
            }
        }
        assert!(!payload.is_empty(), "none of eight fillers ends at a byte boundary");
        for next in [&HELLO[..], &[0x00], &[]] {
            as_the_model(&[HELLO.to_vec(), payload.clone(), next.to_vec()], 3);
        }
        let model = by_the_model(&[payload], Delivery::Messages);
        assert_eq!(model, [Seen::failed(ProtocolError::InvalidDeflate)]);
    }
}

#[test]
fn distances_reach_over_messages_up_to_the_largest_window() {
    // rfc7692-7.1.2.1-08, rfc7692-7.1.2.2-07, rfc7692-7.2.2-08, rfc7692-7.2.2-10, rfc7692-7.2.1-08
    let book: Vec<u8> = book().iter().map(|&letter| letter as u8).collect();
    let far = |distance| message_of(&[Token::Match { length: 258, distance }]);
    let hello = stored_message(b"hello");
    for (before, distance, good) in [
        (vec![&book[..32_768]], 32_768, true),
        (vec![&book[..32_767]], 32_768, false),
        (vec![&book[..32_767], b"x"], 32_768, true),
        (vec![&book[..20_000], &book[..12_768]], 32_768, true),
        (vec![&book[..20_000], &book[..12_767]], 32_768, false),
        (vec![&book[..70_000]], 32_768, true),
        (vec![b"x"; 10], 10, true),
        (vec![b"x"; 10], 11, false),
        (vec![], 1, false),
    ] {
        let mut payloads: Vec<Vec<u8>> = before.iter().map(|bytes| stored_message(bytes)).collect();
        payloads.extend([far(distance), hello.clone()]);
        let all = before.concat();
        for delivery in DELIVERIES {
            let model = by_the_model(&payloads, delivery);
            assert_eq!(
                model.len() == payloads.len() && good,
                good,
                "the model rejects a valid distance: {distance}"
            );
            for role in ROLES {
                let wire: Vec<u8> = payloads
                    .iter()
                    .flat_map(|payload| frames(role, MessageKind::Binary, payload, 1 << 20))
                    .collect();
                for size in [1 << 20, 1] {
                    for release in [false, true] {
                        let mut conn = receiver(role, delivery);
                        let mut log = Log::default();
                        for piece in pieces_of(&wire, size) {
                            feed(&mut conn, piece, &mut log);
                            if release && size > 1 {
                                conn.release_memory();
                            }
                        }
                        while let Some(event) = conn.poll_event() {
                            log.push(event);
                        }
                        assert!(
                            log.seen == model,
                            "{role:?} {delivery:?} {size} {release} {distance}"
                        );
                        let failed = Seen::failed(ProtocolError::InvalidDeflate);
                        assert_eq!(log.seen.last() == Some(&failed), !good);
                    }
                }
            }
            if good {
                let expected: Vec<u8> =
                    (0..258).map(|i| all[all.len() - distance + i % distance]).collect();
                assert_eq!(model[before.len()], whole(MessageKind::Binary, &expected, delivery));
            }
        }
    }
}

#[test]
fn window_survives_final_blocks() {
    // rfc7692-7.2.1-05, rfc7692-7.2.2-08, rfc7692-7.2.2-10
    let book: Vec<u8> = book().iter().map(|&letter| letter as u8).collect();
    for len in [100usize, 32_768, 50_000] {
        let mut writer = Writer::default();
        book[..len].chunks(10_000).for_each(|part| writer.stored(part, true));
        writer.fixed(&[Token::Match { length: 100, distance: len.min(WINDOW) }], true);
        writer.fixed(&[Token::Match { length: 100, distance: 100 }], true);
        let payload = writer.end(false);
        let expected = [
            &book[..len],
            &book[len.saturating_sub(WINDOW)..][..100],
            &book[len.saturating_sub(WINDOW)..][..100],
        ]
        .concat();
        for role in ROLES {
            for delivery in DELIVERIES {
                let wire = frames(role, MessageKind::Binary, &payload, 1 << 20);
                for size in [1 << 20, 1] {
                    let mut conn = receiver(role, delivery);
                    let pieces = pieces_of(&wire, size);
                    let seen = run(&mut conn, &pieces).seen;
                    assert!(
                        seen == [whole(MessageKind::Binary, &expected, delivery)],
                        "{len} {size}"
                    );
                }
            }
        }
    }
}

#[test]
fn smaller_agreed_window_never_gives_wrong_bytes() {
    // rfc7692-7.2.2-07, rfc7692-7.2.2-09: a distance beyond the agreed window gives the right bytes or an error.
    let book: Vec<u8> = book().iter().map(|&letter| letter as u8).collect();
    for role in ROLES {
        for bits in 8..=15u8 {
            let window = 1usize << bits;
            let params = DeflateParams {
                server_max_window_bits: bits,
                client_max_window_bits: bits,
                ..PLAIN
            };
            for (distance, release) in [
                (window, false),
                (window, true),
                (window + 1, false),
                (window + 1, true),
                (window + 200, true),
            ] {
                if distance > WINDOW {
                    continue;
                }
                for size in [1, 50, 1 << 20] {
                    let mut conn = open_deflate(role, params, config_of(6, Delivery::Messages));
                    run(
                        &mut conn,
                        &[&frames(
                            role,
                            MessageKind::Binary,
                            &stored_message(&book[..40_000]),
                            1 << 20,
                        )],
                    );
                    if release {
                        conn.release_memory();
                    }
                    let wire = frames(
                        role,
                        MessageKind::Binary,
                        &message_of(&[Token::Match { length: 50, distance }]),
                        99,
                    );
                    let pieces = pieces_of(&wire, size);
                    let seen = run(&mut conn, &pieces).seen;
                    let right = Seen::Binary(book[40_000 - distance..][..50].to_vec());
                    let failed = Seen::failed(ProtocolError::InvalidDeflate);
                    if distance <= window {
                        assert_eq!(seen, [right]);
                    } else {
                        assert!(
                            seen == [right] || seen == [failed],
                            "{distance} of {window}: {seen:?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn empty_blocks_cost_linear_work() {
    // With quadratic work this test would take far too long.
    let n = 100_000usize;
    let mut fixed = Writer::default();
    (0..n).for_each(|_| fixed.fixed(&[], false));
    let mut stored = Writer::default();
    (0..n).for_each(|_| stored.stored(b"", false));
    let mut finals = Writer::default();
    (0..n / 10).for_each(|_| finals.fixed(&[], true));
    for writer in [fixed, stored, finals] {
        let payload = writer.end(false);
        for delivery in DELIVERIES {
            for (role, fragment, size) in [
                (Role::Server, 1 << 20, 1 << 20),
                (Role::Client, 1 << 20, 1),
                (Role::Server, 1, 4096),
            ] {
                let wire = frames(role, MessageKind::Text, &payload, fragment);
                let pieces = pieces_of(&wire, size);
                let seen = run(&mut receiver(role, delivery), &pieces).seen;
                assert_eq!(seen, [whole(MessageKind::Text, b"", delivery)]);
            }
        }
    }
}

#[test]
fn text_and_limits_are_checked_in_the_order_of_the_bytes() {
    // rfc7692-6.1-06, rfc7692-8-02: invalid UTF-8, invalid DEFLATE and the limit, in different orders, in every cut.
    let too_big = ProtocolError::MessageTooBig { len: 7, limit: 6 };
    for (text, broken, error) in [
        (&b"abc\xff"[..], true, ProtocolError::InvalidUtf8),
        (b"abc\xc3", true, ProtocolError::InvalidDeflate),
        (b"abcdef", true, ProtocolError::InvalidDeflate),
        (b"abcdefg", true, too_big.clone()),
        (b"abcdef\xff", true, too_big.clone()),
        (b"abcde\xff\xff", true, ProtocolError::InvalidUtf8),
        (b"abcde\xc3\xa9", false, too_big),
        (b"abcde\xc3", false, ProtocolError::InvalidUtf8),
    ] {
        let mut writer = Writer::default();
        let tokens: Vec<Token> = text.iter().map(|&byte| Token::Literal(byte)).collect();
        writer.fixed(&tokens, false);
        let mut payload = writer.end(false);
        if broken {
            // A block of the reserved type.
            let mut writer = Writer::default();
            writer.fixed(&tokens, false);
            writer.bits(7, 3);
            payload = writer.bytes;
        }
        for role in ROLES {
            for delivery in DELIVERIES {
                let config =
                    config_of(6, delivery).to_builder().max_message_bytes(6).build().unwrap();
                let wire = to(role, 0xc1, &payload);
                for pieces in cuts(&wire) {
                    let seen = run(&mut open_deflate(role, PLAIN, config.clone()), &pieces).seen;
                    // The valid text before the error is delivered first; it is the same in every cut.
                    let within = &text[..text.len().min(6)];
                    let right = within.utf8_chunks().next().map_or("", |chunk| chunk.valid());
                    let mut expected = vec![Seen::failed(error.clone())];
                    if delivery == Delivery::Chunks {
                        expected.insert(0, Seen::Unfinished(MessageKind::Text, right.into()));
                    }
                    assert_eq!(seen, expected, "{delivery:?} {text:02x?}");
                }
            }
        }
    }
}

#[test]
fn strict_inflater_agrees_with_the_rfc() {
    // A test of the strict inflater: it accepts the examples of RFC 7692 7.2.3, and refuses invalid payloads.
    for (payload, text) in [
        (&HELLO[..], Some("Hello")),
        (
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            Some("Hello"),
        ),
        (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], Some("Hello")),
        (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], Some("Hello")),
        (&[0x00], Some("")),
        (&[], None),
        (&HELLO[..6], None),
        (&HELLO_FROM_THE_WINDOW, None),
    ] {
        let verdict = Strict::new(WINDOW).message(payload);
        assert_eq!(verdict.ok(), text.map(|text| text.as_bytes().to_vec()), "{payload:02x?}");
    }
    let mut strict = Strict::new(512);
    assert!(strict.message(&stored_message(&[7; 600])).is_ok());
    assert!(strict.message(&message_of(&[Token::Match { length: 3, distance: 512 }])).is_ok());
    assert!(strict.message(&message_of(&[Token::Match { length: 3, distance: 513 }])).is_err());
}
