//! The messages and handshakes of the benchmarks. They are the same in every run.

use crate::peer::Expected;

/// xorshift64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.next() % from.len() as u64) as usize]
    }
}

pub fn binary(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| (random.next() >> 24) as u8).collect()
}

/// Text like that of JSON APIs.
pub fn ascii(random: &mut Random, len: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "{\"id\":",
        "\"user\":\"",
        "price",
        "quantity\":",
        "timestamp",
        " 12345",
        ",\"ok\":true",
        "}",
        " order-",
        "book",
        "bid",
        "ask",
        "level",
        "[1.25,",
        "0.0031]",
        "update ",
    ];
    let mut text = Vec::with_capacity(len + 16);
    while text.len() < len {
        text.extend_from_slice(random.choose(&WORDS).as_bytes());
    }
    text.truncate(len);
    text
}

/// Text like that of people, with characters of one to four bytes.
pub fn mixed(random: &mut Random, len: usize) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "hello ",
        "привет ",
        "世界您好",
        "naïve café ",
        "🚀🎉",
        "日本語テキスト",
        "Ελληνικά ",
        "plain ascii run of words ",
        "한국어",
        "ß",
        "data: 42; ",
        "🙂",
    ];
    let mut text = String::new();
    loop {
        let word = random.choose(&WORDS);
        if text.len() + word.len() > len {
            break;
        }
        text.push_str(word);
    }
    while text.len() < len {
        text.push('.');
    }
    text.into_bytes()
}

/// Messages with the same structure and different content.
pub fn json(count: usize, len: usize) -> Vec<Vec<u8>> {
    const SYMBOLS: [&str; 6] = ["AAPL", "MSFT", "GOOG", "BTC-USD", "ETH-USD", "NVDA"];
    let mut random = Random(0x5EED_5EED);
    let mut message = |i: usize| {
        let mut text =
            format!("{{\"type\":\"book_update\",\"seq\":{},\"entries\":[", i * 17 + 100_000);
        while text.len() < len {
            text += &format!(
                "{{\"symbol\":\"{}\",\"price\":{}.{:02},\"size\":{},\"side\":\"{}\",\
                \"ts\":\"2026-11-22T07:{:02}:{:02}.{:03}Z\",\"id\":\"{:016x}\"}},",
                random.choose(&SYMBOLS),
                random.between(10, 60_000),
                random.next() % 100,
                random.between(1, 5000),
                random.choose(&["buy", "sell"]),
                random.next() % 60,
                random.next() % 60,
                random.next() % 1000,
                random.next(),
            );
        }
        text.truncate(len);
        text.into_bytes()
    };
    (0..count).map(&mut message).collect()
}

/// Appends a frame with the first byte `first`.
pub fn frame(out: &mut Vec<u8>, first: u8, payload: &[u8], key: Option<[u8; 4]>) {
    let mask = if key.is_some() { 0x80 } else { 0 };
    out.push(first);
    match payload.len() {
        len @ 0..126 => out.push(mask | len as u8),
        len @ 126..0x1_0000 => {
            out.push(mask | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(mask | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    let key = match key {
        Some(key) => {
            out.extend_from_slice(&key);
            key
        }
        None => [0; 4],
    };
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Messages for a server to receive.
pub struct Receiving {
    pub name: &'static str,
    pub about: &'static str,
    /// Their frames.
    pub wire: &'static [u8],
    /// Their payloads alone.
    pub plain: &'static [u8],
    pub messages: Vec<Expected>,
    pub max_read: usize,
}

impl Receiving {
    pub fn has_text(&self) -> bool {
        self.messages.iter().any(|(text, _)| *text)
    }
}

/// The read sizes of a busy loop, and of one TCP segment.
const READ: usize = 16 * 1024;
const SEGMENT: usize = 1460;

/// The wanted workloads. Each has at most 1 MiB, so that it stays in a near cache, like bytes that a kernel has just
/// received. With more, the copy of the transport would take most of the time. Each workload has its own seed, so it
/// does not depend on the others.
pub fn receiving(wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = Receiving> {
    type Make = fn(&mut Random) -> Vec<Expected>;
    let kib: Make = |random| many(500, || (true, ascii(random, 1024)));
    let mix: Make = |random| {
        many(1000, || {
            let len = match random.next() % 100 {
                0..90 => random.between(20, 200),
                90..99 => 2048,
                _ => 65_536,
            };
            (true, ascii(random, len))
        })
    };
    let large: Make = |random| many(1, || (false, binary(random, 1 << 20)));
    let list: [(&str, &str, usize, Option<usize>, Make); 11] = [
        ("R1", "16 B binary", READ, None, |random| many(20_000, || (false, binary(random, 16)))),
        ("R2", "128 B text", READ, None, |random| many(4000, || (true, ascii(random, 128)))),
        ("R3", "1 KiB text", READ, None, kib),
        ("R3s", "1 KiB text, 1460 B reads", SEGMENT, None, kib),
        ("R4", "16 KiB binary", READ, None, |random| many(32, || (false, binary(random, 16_384)))),
        ("R5", "64 KiB text, not ASCII", READ, None, |random| {
            many(8, || (true, mixed(random, 65_536)))
        }),
        ("R6", "1 MiB binary", READ, None, large),
        ("R7", "1 MiB text", READ, None, |random| many(1, || (true, ascii(random, 1 << 20)))),
        ("R8", "1 MiB binary in fragments of 4 KiB", READ, Some(4096), large),
        ("R9", "text: 90 % 20-200 B, 9 % 2 KiB, 1 % 64 KiB", READ, None, mix),
        ("R9s", "the same mix, 1460 B reads", SEGMENT, None, mix),
    ];
    list.into_iter().filter(move |(name, ..)| wanted(name)).map(
        |(name, about, max_read, fragment, make)| {
            work(name, about, max_read, fragment, make(&mut Random(0x1234_5678_9ABC)))
        },
    )
}

fn many(count: usize, mut message: impl FnMut() -> Expected) -> Vec<Expected> {
    (0..count).map(|_| message()).collect()
}

fn work(
    name: &'static str,
    about: &'static str,
    max_read: usize,
    fragment: Option<usize>,
    messages: Vec<Expected>,
) -> Receiving {
    let mut random = Random(0x0ABC_DEF1_2345);
    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    for (text, payload) in &messages {
        plain.extend_from_slice(payload);
        let opcode = if *text { 1 } else { 2 };
        let fragments = payload.chunks(fragment.unwrap_or(payload.len()));
        let last = fragments.len() - 1;
        for (i, fragment) in fragments.enumerate() {
            let first = if i == 0 { opcode } else { 0 } | if i == last { 0x80 } else { 0 };
            frame(&mut wire, first, fragment, Some((random.next() as u32).to_ne_bytes()));
        }
    }
    Receiving { name, about, wire: wire.leak(), plain: plain.leak(), messages, max_read }
}

/// A browser's request.
pub const BROWSER_REQUEST: &[u8] = b"GET /socket/v1/stream?token=eyJhbGciOiJIUzI1NiJ9 HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/131.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: https://app.example.com\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    Sec-GPC: 1\r\n\r\n";

/// A client's request, to measure the mock server.
pub const CLIENT_REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// Bytes that violate a rule, and a valid message after them. A crate that delivers a message has not noticed the
/// violation.
pub fn violations() -> Vec<(&'static str, Vec<u8>)> {
    const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);
    type Frame<'a> = (u8, &'a [u8], Option<[u8; 4]>);
    let broken = |frames: &[Frame<'_>]| {
        let mut wire = Vec::new();
        for (first, payload, key) in frames {
            frame(&mut wire, *first, payload, *key);
        }
        wire
    };
    let mut list = vec![
        ("text is not UTF-8", broken(&[(0x81, b"abc\xff\xfe", KEY)])),
        (
            "text is not UTF-8, in fragments",
            broken(&[(0x01, b"abc\xe2", KEY), (0x80, b"\x28\xa1", KEY)]),
        ),
        ("a client's frame is not masked", broken(&[(0x82, b"abc", None)])),
        ("RSV1 without an extension", broken(&[(0xc2, b"abc", KEY)])),
        ("reserved opcode 3", broken(&[(0x83, b"abc", KEY)])),
        ("continuation of nothing", broken(&[(0x80, b"abc", KEY)])),
        ("message within a message", broken(&[(0x02, b"abc", KEY), (0x82, b"abc", KEY)])),
        ("ping of 126 bytes", broken(&[(0x89, &[0; 126], KEY)])),
        ("ping in fragments", broken(&[(0x09, b"abc", KEY)])),
        ("length not in the fewest bytes", b"\x82\xfe\x00\x03\x01\x02\x03\x04abc".to_vec()),
        (
            "length of more than 63 bits",
            b"\x82\xff\x80\0\0\0\0\0\0\x03\x01\x02\x03\x04abc".to_vec(),
        ),
    ];
    for (_, wire) in &mut list {
        frame(wire, 0x82, b"good", KEY);
    }
    list
}
