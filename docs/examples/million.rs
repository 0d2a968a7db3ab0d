//! A million connections in memory. They share one configuration and one read buffer. Each receives masked messages in
//! random order, whole or in two reads, and echoes them. The program prints the memory of a connection and the speed.
//!
//! `cargo run --release --example million [N] [--json FILE]`; the default is 1,000,000 connections.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use websocket_proto::{Config, Connection, Event, Message, Role, Shared, UsageError, apply_mask};

/// The longest message; the shortest has 1 byte.
const MAX_PAYLOAD: usize = 120;
/// The header of a client's frame with a payload of at most 125 bytes.
const HEADER: usize = 6;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The ways to exchange a message on all connections. They run in order of their memory, since a process seldom returns
/// memory to the system.
#[derive(Clone, Copy)]
enum Way {
    /// Each frame arrives in one read. After the echo, [`Connection::release_memory`] frees the buffer of the queue.
    /// `tick` would do so after `Config::release_after`.
    Freed,
    /// Each frame arrives in two reads, with reads of all other connections between them.
    Cut,
    /// Each frame arrives in one read. The connection keeps the buffer of its queue, which makes the next echo faster.
    Kept,
}

const WAYS: [(Way, &str); 3] = [(Way::Freed, "freed"), (Way::Cut, "cut"), (Way::Kept, "kept")];

/// The results for a number of connections. Bytes are resident bytes per connection, the connection itself included.
struct Row {
    connections: usize,
    /// Bytes when all connections are open and have not been used.
    open: f64,
    /// For each way: the largest number of bytes that was seen, and the messages per second.
    ways: [(f64, f64); WAYS.len()],
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (most, json) = match arguments[..] {
        [] => (Some(1_000_000), None),
        [n] => (count(n), None),
        ["--json", file] => (Some(1_000_000), Some(file)),
        [n, "--json", file] => (count(n), Some(file)),
        _ => (None, None),
    };
    let Some(most) = most else {
        eprintln!("usage: million [N] [--json FILE]");
        return ExitCode::from(2);
    };
    match run(most, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Parses a number such as 1,000,000 or 1_000_000.
fn count(text: &str) -> Option<usize> {
    let count: u32 = text.replace([',', '_'], "").parse().ok()?;
    Some(count.max(1) as usize)
}

fn run(most: usize, json: Option<&str>) -> Result<(), Box<dyn Error>> {
    let mut counts: Vec<usize> =
        (3..).map(|power| 10_usize.pow(power)).take_while(|count| *count < most).collect();
    counts.push(most);
    let rows: Vec<Row> = counts.into_iter().map(exchange).collect::<Result<_, UsageError>>()?;

    println!(
        "\nA connection has {} bytes. Resident bytes per connection, the connection itself included, and messages/s,",
        size_of::<Connection>()
    );
    println!(
        "if the buffer is freed after each echo, if each frame arrives in two reads, if the buffer is kept:\n"
    );
    println!("{:>12} {:>8} {:>20} {:>20} {:>20}", "connections", "open", "freed", "cut", "kept");
    let mut lines = String::new();
    for row in &rows {
        print!("{:>12} {:>8.0}", row.connections, row.open);
        write!(
            lines,
            "{{\"section\":\"million\",\"connections\":{},\"value\":{},\"open\":{:.1}",
            row.connections,
            size_of::<Connection>(),
            row.open
        )?;
        for ((_, name), (bytes, per_second)) in WAYS.iter().zip(row.ways) {
            print!(" {bytes:>6.0} {per_second:>11.0}/s");
            write!(lines, ",\"{name}\":{bytes:.1},\"{name}_per_second\":{per_second:.0}")?;
        }
        println!();
        lines.push_str("}\n");
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
    let mut row = Row { connections, open: resident(), ways: [(0.0, 0.0); WAYS.len()] };
    for ((way, name), result) in WAYS.into_iter().zip(&mut row.ways) {
        let seed = random.next();
        let mut time = Duration::ZERO;
        if let Way::Cut = way {
            random.shuffle(&mut order);
            let begin = Instant::now();
            for &i in &order {
                let (frame, cut) = read_frame(&mut buf, seed ^ u64::from(i));
                let event = conns[i as usize].receive(&mut &mut frame[..cut]);
                assert!(event.is_none(), "the frame is not whole");
            }
            time += begin.elapsed();
            result.0 = resident();
        }
        random.shuffle(&mut order);
        let begin = Instant::now();
        for &i in &order {
            let conn = &mut conns[i as usize];
            let (frame, cut) = read_frame(&mut buf, seed ^ u64::from(i));
            let begin = if let Way::Cut = way { cut } else { 0 };
            let mut input = &mut frame[begin..];
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
            if !matches!(way, Way::Kept) {
                conn.release_memory();
            }
        }
        time += begin.elapsed();
        *result = (result.0.max(resident()), connections as f64 / time.as_secs_f64());
        println!("{connections} connections, {name}: a message echoed on all in {time:.2?}");
    }
    Ok(row)
}

/// Writes a client's frame, made from `seed`, to `buf` as a read would. Returns the frame and where to split it in two.
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

/// Asserts that the message is the one that [`read_frame`] made from `seed`.
fn check(message: &Message<'_>, seed: u64) {
    let (first, rest) = message.as_bytes().split_first().expect("a message has a byte or more");
    assert_eq!(message.len(), 1 + Random(seed).below(MAX_PAYLOAD));
    assert_eq!(usize::from(*first), message.len());
    assert!(rest.iter().all(|byte| *byte == seed as u8));
}

/// The resident memory of this process, or 0 where the system does not provide it.
fn resident_bytes() -> usize {
    // The second number counts resident pages; a page is taken to be 4 KiB.
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
