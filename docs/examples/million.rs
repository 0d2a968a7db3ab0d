//! A million connections in memory: opens them from one shared configuration, exchanges masked messages on all of
//! them in random order, through one read buffer, with every frame cut somewhere; and tells what a connection costs.
//!
//! `cargo run --release --example million [N] [--json FILE]`, by default 1,000,000 connections.

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use websocket_proto::{Config, Connection, Event, Message, Role, Shared, UsageError, apply_mask};

/// Messages that each connection receives and echoes.
const ROUNDS: usize = 3;
/// A message has 1 to so many bytes.
const MAX_PAYLOAD: usize = 120;
/// The header of a client's frame with so small a payload.
const HEADER: usize = 6;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What so many connections have shown. Bytes are resident ones per connection, its own value included.
struct Row {
    connections: usize,
    /// All are open, and nothing has happened.
    open: f64,
    /// All are in the middle of a frame.
    cut: f64,
    /// All have sent, and keep a small buffer for the next time.
    busy: f64,
    /// All gave their memory back.
    idle: f64,
    messages_per_second: f64,
    /// What giving it back takes, per connection.
    release: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut most = 1_000_000;
    let mut json = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = Some(arguments.next().ok_or("--json needs a file")?),
            number => most = number.replace([',', '_'], "").parse::<u32>()?.max(1) as usize,
        }
    }
    let mut counts: Vec<usize> =
        (3..).map(|power| 10_usize.pow(power)).take_while(|count| *count < most).collect();
    counts.push(most);
    let rows: Vec<Row> = counts.into_iter().map(exchange).collect::<Result<_, UsageError>>()?;

    println!("\nA connection is a value of {} bytes.", size_of::<Connection>());
    println!("Resident bytes per connection, its value included:\n");
    println!(
        "{:>12} {:>8} {:>14} {:>14} {:>14} {:>14} {:>10}",
        "connections", "open", "in mid-frame", "buffers kept", "released", "messages/s", "release"
    );
    let mut lines = String::new();
    for row in &rows {
        let Row { connections, open, cut, busy, idle, messages_per_second, release } = row;
        let release = release.as_nanos();
        println!(
            "{connections:>12} {open:>8.0} {cut:>14.0} {busy:>14.0} {idle:>14.0} {messages_per_second:>14.0} \
            {release:>7} ns"
        );
        writeln!(
            lines,
            "{{\"section\":\"million\",\"connections\":{connections},\"value\":{},\"open\":{open:.1},\"cut\":{cut:.1},\
            \"busy\":{busy:.1},\"idle\":{idle:.1},\"messages_per_second\":{messages_per_second:.0},\
            \"release_ns\":{release}}}",
            size_of::<Connection>()
        )?;
    }
    if let Some(path) = json {
        std::fs::write(path, lines)?;
    }
    Ok(())
}

fn exchange(connections: usize) -> Result<Row, UsageError> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut order: Vec<u32> = (0..connections as u32).collect();
    let mut buf = [0; HEADER + MAX_PAYLOAD]; // one read buffer for all
    let config = Shared::new(Config::default());
    let before = resident_bytes();
    let resident = || resident_bytes().saturating_sub(before) as f64 / connections as f64;

    let mut conns = Vec::with_capacity(connections);
    for _ in 0..connections {
        conns.push(Connection::from_upgrade(Role::Server, config.clone())?);
    }
    let mut row = Row {
        connections,
        open: resident(),
        cut: 0.0,
        busy: 0.0,
        idle: 0.0,
        messages_per_second: 0.0,
        release: Duration::ZERO,
    };
    let mut time = Duration::ZERO;
    for round in 0..ROUNDS {
        let seed = random.next();
        // The first read of each connection ends in the middle of a frame.
        random.shuffle(&mut order);
        let begin = Instant::now();
        for &i in &order {
            let (frame, cut) = read_frame(&mut buf, seed ^ u64::from(i));
            let event = conns[i as usize].receive(&mut &mut frame[..cut]);
            assert!(event.is_none(), "the frame is not whole");
        }
        time += begin.elapsed();
        row.cut = resident();

        // The second one, after those of all others, has the rest; the message is echoed, and the echo written.
        random.shuffle(&mut order);
        let begin = Instant::now();
        for &i in &order {
            let conn = &mut conns[i as usize];
            let (frame, cut) = read_frame(&mut buf, seed ^ u64::from(i));
            let mut input = &mut frame[cut..];
            while let Some(event) = conn.receive(&mut input) {
                let Event::Message(message) = event else {
                    panic!("{event:?} instead of a message")
                };
                check(&message, seed ^ u64::from(i));
                conn.send(message)?;
            }
            let written = conn.outgoing().len();
            assert!(written > 2, "the echo is there");
            conn.advance(written);
        }
        time += begin.elapsed();
        row.busy = resident();

        // Who expects nothing more for a while gives the buffer back that would make the next echo cheap. `tick` does
        // it by itself, for a connection that has sent nothing since the tick before.
        let begin = Instant::now();
        conns.iter_mut().for_each(Connection::release_memory);
        row.release = begin.elapsed() / connections as u32;
        // The C library's allocator goes through its freed small pieces when it is asked for a large one.
        drop(black_box(Vec::<u8>::with_capacity(100_000)));
        row.idle = resident();
        println!("{connections} connections, message {} of {ROUNDS} echoed on all", round + 1);
    }
    row.messages_per_second = (ROUNDS * connections) as f64 / time.as_secs_f64();
    Ok(row)
}

/// "Reads" the frame of a client that `seed` stands for into `buf`, and says where it is cut in two.
fn read_frame(buf: &mut [u8; HEADER + MAX_PAYLOAD], seed: u64) -> (&mut [u8], usize) {
    let mut random = Random(seed);
    let len = 1 + random.below(MAX_PAYLOAD);
    let cut = 1 + random.below(HEADER + len - 1);
    let (header, payload) = buf[..HEADER + len].split_at_mut(HEADER);
    header[..2].copy_from_slice(&[0x82, 0x80 | len as u8]);
    header[2..].copy_from_slice(&KEY);
    payload.fill(seed as u8);
    payload[0] = len as u8;
    apply_mask(payload, KEY);
    (&mut buf[..HEADER + len], cut)
}

/// The message is the one that [`read_frame`] has made of `seed`.
fn check(message: &Message<'_>, seed: u64) {
    let (first, rest) = message.as_bytes().split_first().expect("a message has a byte or more");
    assert_eq!(message.len(), 1 + Random(seed).below(MAX_PAYLOAD));
    assert_eq!(usize::from(*first), message.len());
    assert!(rest.iter().all(|byte| *byte == seed as u8));
}

/// The memory of this process that is in use, where the system tells it: 0 elsewhere.
fn resident_bytes() -> usize {
    // The second number is resident pages, of 4 KiB where this is measured.
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|line| line.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn shuffle(&mut self, items: &mut [u32]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
