//! Nanoseconds per operation of single functions and of fast paths. `cargo bench --bench micro [NAME]...`
//!
//! Each case asserts its result, so a run without an error has done the work. The figure is the time of the fastest of
//! many short rounds, because a disturbance only makes a round slower. `benches/instructions/run` counts instructions
//! instead.

use std::hint::black_box;
use std::time::Instant;

use websocket_proto::{
    Config, Connection, Event, FrameHeader, MAX_HEADER_BYTES, Message, Opcode, PreparedMessage,
    Role, Shared, apply_mask,
};

const ROUNDS: usize = 101;
const KEY: [u8; 4] = [1, 2, 3, 4];

/// Prints a line for each case whose name contains one of the arguments, or for all.
struct Table(Vec<String>);

impl Table {
    /// Times `round`, which must do `operations` operations on `bytes` bytes each, and assert their results.
    fn case(&self, name: &str, bytes: usize, operations: usize, mut round: impl FnMut()) {
        if !self.0.is_empty() && !self.0.iter().any(|wanted| name.contains(wanted.as_str())) {
            return;
        }
        round();
        let time = |_| {
            let begin = Instant::now();
            round();
            begin.elapsed().as_nanos() as f64 / operations as f64
        };
        let ns = (0..ROUNDS).map(time).fold(f64::INFINITY, f64::min);
        println!("{name:<44} {ns:>10.1} {:>10.2}", bytes as f64 / ns);
    }
}

fn main() {
    let wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let table = Table(wanted.collect());
    println!("{:<44} {:>10} {:>10}", "", "ns", "GB/s");
    masks(&table);
    headers(&table);
    queue(&table);
    receive(&table);
}

fn masks(table: &Table) {
    for len in [5, 16, 125, 1024, 16 * 1024, 1 << 20] {
        for misaligned in [0, 1] {
            let mut buffer = vec![7_u8; len + 64];
            let at = buffer.as_ptr().align_offset(64) + misaligned;
            let payload = &mut buffer[at..at + len];
            let operations = ((8 << 20) / (len + 64)).clamp(32, 20_000) & !1;
            let masked: Vec<u8> = KEY.iter().cycle().map(|key| 7 ^ key).take(len).collect();
            table.case(&format!("mask {len} B, {misaligned} off"), len, operations, || {
                for _ in 0..operations {
                    apply_mask(black_box(&mut *payload), black_box(KEY));
                }
                // An even number of maskings restores the payload.
                assert!(payload.ends_with(&[7]) && payload.starts_with(&[7]));
                apply_mask(payload, KEY);
                assert!(payload == masked);
                apply_mask(payload, KEY);
            });
        }
    }
}

fn headers(table: &Table) {
    const OPERATIONS: usize = 20_000;
    for len in [5, 1024, 100_000] {
        for mask in [None, Some(KEY)] {
            let header =
                FrameHeader { fin: true, rsv: 0, opcode: Opcode::Binary, mask, payload_len: len };
            let name = if mask.is_some() { "masked" } else { "unmasked" };
            let mut bytes = [0; MAX_HEADER_BYTES];
            let size = header.encode(&mut bytes);
            table.case(&format!("header: encode, {len} B {name}"), size, OPERATIONS, || {
                let mut sum = 0;
                for _ in 0..OPERATIONS {
                    sum += black_box(&header).encode(black_box(&mut bytes));
                }
                assert_eq!(sum, OPERATIONS * size);
            });
            table.case(&format!("header: decode, {len} B {name}"), size, OPERATIONS, || {
                for _ in 0..OPERATIONS {
                    let decoded = FrameHeader::decode(black_box(&bytes[..size]));
                    assert_eq!(decoded.expect("good"), Some((header, size)));
                }
            });
        }
    }
}

fn open(role: Role) -> Connection {
    Connection::from_upgrade(role, Shared::new(Config::default())).expect("the OS has entropy")
}

/// Calls `advance` for all outgoing bytes, and returns their number.
fn flush(conn: &mut Connection) -> usize {
    let mut written = 0;
    while conn.wants_write() {
        let n = black_box(conn.outgoing()).len();
        conn.advance(n);
        written += n;
    }
    written
}

fn queue(table: &Table) {
    const OPERATIONS: usize = 2048;
    let roles: &[Role] = match cfg!(feature = "os-entropy") {
        true => &[Role::Server, Role::Client],
        false => &[Role::Server],
    };
    for role in roles {
        for (len, header) in [(16, 2), (1024, 4), (65_536, 10)] {
            let header = header + if *role == Role::Client { 4 } else { 0 };
            let payload = vec![7; len];
            let operations = OPERATIONS.min((4 << 20) / len);
            for batch in [1, 64] {
                let name = format!("queue: send {len} B as {role:?}, {batch} per write");
                let mut conn = open(*role);
                table.case(&name, len, operations, || {
                    let mut written = 0;
                    for i in 1..=operations {
                        conn.send(black_box(&payload[..])).expect("the connection is open");
                        if i % batch == 0 {
                            written += flush(&mut conn);
                        }
                    }
                    assert_eq!(written, operations * (header + len));
                    assert_eq!((conn.buffered_amount(), conn.outgoing_len()), (0, 0));
                });
            }
        }
    }
    let mut conn = open(Role::Server);
    for len in [1024, 65_536] {
        let message = PreparedMessage::new(vec![7; len]);
        table.case(&format!("queue: send {len} B prepared"), len, OPERATIONS, || {
            let mut written = 0;
            for _ in 0..OPERATIONS {
                conn.send_prepared(black_box(&message)).expect("the connection is open");
                written += flush(&mut conn);
            }
            assert_eq!(written, OPERATIONS * (len + if len < 65_536 { 4 } else { 10 }));
        });
    }
    table.case("queue: 16 B, 7 bytes per write", 16, OPERATIONS, || {
        for _ in 0..OPERATIONS {
            conn.send(black_box(&[7; 16])).expect("the connection is open");
            while conn.wants_write() {
                conn.advance(conn.outgoing().len().min(7));
            }
        }
        assert_eq!((conn.buffered_amount(), conn.outgoing_len()), (0, 0));
    });
}

/// A frame to a server. Its payload is ASCII both masked and unmasked, so it can be received again after it was
/// unmasked in place.
fn frame(first: u8, len: usize) -> Vec<u8> {
    let header = FrameHeader {
        fin: first & 0x80 != 0,
        rsv: 0,
        opcode: Opcode::from_first_byte(first).expect("a valid opcode"),
        mask: Some(KEY),
        payload_len: len as u64,
    };
    let mut bytes = [0; MAX_HEADER_BYTES];
    let size = header.encode(&mut bytes);
    bytes[..size].iter().copied().chain((0..len).map(|i| b'@' + (i % 23) as u8)).collect()
}

fn receive(table: &Table) {
    const OPERATIONS: usize = 4096;
    for (name, first, len) in [
        ("binary, 16 B", 0x82, 16),
        ("text, 16 B", 0x81, 16),
        ("text, 125 B", 0x81, 125),
        ("text, 128 B", 0x81, 128),
        ("text, 1024 B", 0x81, 1024),
    ] {
        // The even number of frames that nearly fills a read.
        let count = (16 * 1024 / (len + 8)) & !1;
        let mut read = frame(first, len).repeat(count);
        let mut conn = open(Role::Server);
        let operations = OPERATIONS / count * count;
        table.case(&format!("receive: {name}, whole"), len, operations, || {
            let mut received = 0;
            for _ in 0..operations / count {
                let mut input = black_box(&mut read[..]);
                while let Some(event) = conn.receive(&mut input) {
                    let Event::Message(message) = event else { panic!("{event:?}") };
                    received += black_box(&message).len();
                }
            }
            assert_eq!(received, operations * len);
        });
    }
    for (name, cut) in [("in its header", 4), ("in its payload", 500)] {
        let mut front = frame(0x81, 1024);
        let mut back = front.split_off(cut);
        let mut conn = open(Role::Server);
        table.case(&format!("receive: text, 1024 B, cut {name}"), 1024, OPERATIONS, || {
            for _ in 0..OPERATIONS {
                assert!(conn.receive(&mut black_box(&mut front[..])).is_none());
                match conn.receive(&mut black_box(&mut back[..])) {
                    Some(Event::Message(Message::Text(text))) => assert_eq!(text.len(), 1024),
                    other => panic!("{other:?}"),
                }
            }
        });
    }
    let mut fragments: Vec<u8> = [0x02, 0x00, 0x00, 0x80].map(|first| frame(first, 16)).concat();
    let mut conn = open(Role::Server);
    table.case("receive: binary, 4 fragments of 16 B", 64, OPERATIONS, || {
        for _ in 0..OPERATIONS {
            match conn.receive(&mut black_box(&mut fragments[..])) {
                Some(Event::Message(message)) => assert_eq!(message.len(), 64),
                other => panic!("{other:?}"),
            }
        }
    });
    let mut ping = frame(0x89, 16);
    table.case("receive: ping, with its pong", 16, OPERATIONS, || {
        for _ in 0..OPERATIONS {
            match conn.receive(&mut black_box(&mut ping[..])) {
                Some(Event::Ping(payload)) => assert_eq!(payload.len(), 16),
                other => panic!("{other:?}"),
            }
            assert_eq!(flush(&mut conn), 18);
        }
    });
}
