//! C: the cost of a byte, a fragment or a queued message for this crate, as their number grows. A rising curve would
//! show work that is not linear.

use std::hint::black_box;

use websocket_proto::{
    Config, Connection, Event, FrameHeader, MAX_HEADER_BYTES, Opcode, Role, Shared,
};

use super::Settings;
use crate::measure::{Report, Row, Stopwatch};

/// The size of a read.
const READ: usize = 16 * 1024;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The payload bytes of a fragment or of a queued message.
const FRAGMENT: usize = 16;
const QUEUED: usize = 100;
/// The bytes of one write.
const WRITTEN: usize = 1000;

/// Measures one point of a curve: nanoseconds per unit.
type Measured = fn(usize, &Shared<Config>) -> f64;

struct Curve {
    name: &'static str,
    about: &'static str,
    unit: &'static str,
    counts: &'static [usize],
    run: Measured,
}

const CURVES: [Curve; 3] = [
    Curve {
        name: "message",
        about: "a message of this many bytes, received in reads of 16 KiB",
        unit: "byte",
        counts: &[
            16,
            64,
            256,
            1 << 10,
            1 << 12,
            1 << 14,
            1 << 16,
            1 << 18,
            1 << 20,
            1 << 22,
            1 << 24,
        ],
        run: received_byte,
    },
    Curve {
        name: "fragments",
        about: "a message in this many fragments of 16 bytes, received",
        unit: "fragment",
        counts: &[1, 4, 16, 64, 256, 1 << 10, 1 << 12, 1 << 14, 1 << 16],
        run: received_fragment,
    },
    Curve {
        name: "queue",
        about: "this many messages of 100 bytes, queued, and written 1000 bytes at a time",
        unit: "message",
        counts: &[1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
        run: queued_message,
    },
];

pub fn curves(settings: &Settings, report: &mut Report) {
    let config = Config::builder()
        .max_frame_bytes(1 << 30)
        .max_message_bytes(1 << 30)
        .max_outgoing_bytes(1 << 30)
        .build();
    let config = Shared::new(config.expect("each value is allowed"));
    for curve in CURVES {
        if !settings.wants(curve.name) {
            continue;
        }
        println!("\n## curve {}: {}, ns per {}", curve.name, curve.about, curve.unit);
        let mut rows = vec![Row::default(); curve.counts.len()];
        for round in 0..=settings.rounds {
            for (row, count) in rows.iter_mut().zip(curve.counts) {
                let ns = (curve.run)(*count, &config);
                if round > 0 {
                    row.ns.push(ns);
                }
            }
        }
        for (row, count) in rows.iter().zip(curve.counts) {
            println!("{count:>12} {:>10.3}", row.quartile());
            report.line(&format!(
                "\"section\":\"curve\",\"work\":\"{}\",\"count\":{count},\"about\":\"{}\",\"unit\":\"{}\",\
                \"peer\":\"{count}\",\"ns\":{:.4}",
                curve.name,
                curve.about,
                curve.unit,
                row.quartile()
            ));
        }
    }
}

/// The least number of bytes for one point of a curve, so that it can be timed.
const ENOUGH: usize = 4 << 20;

fn frame(fin: bool, opcode: Opcode, len: usize) -> Vec<u8> {
    let header = FrameHeader { fin, rsv: 0, opcode, mask: Some(KEY), payload_len: len as u64 };
    let mut bytes = [0; MAX_HEADER_BYTES];
    let size = header.encode(&mut bytes);
    bytes[..size].iter().copied().chain((0..len).map(|i| i as u8)).collect()
}

/// Nanoseconds that a connection needs to receive `wire`, a whole message, `times` times.
fn receive(wire: &mut [u8], config: &Shared<Config>, times: usize) -> f64 {
    let mut conn =
        Connection::from_upgrade(Role::Server, config.clone()).expect("no entropy is needed");
    let mut messages = 0;
    let time = Stopwatch::start();
    for _ in 0..times {
        for piece in wire.chunks_mut(READ) {
            let mut input = piece;
            while let Some(event) = conn.receive(&mut input) {
                match event {
                    Event::Message(message) => drop(black_box(message)),
                    other => panic!("{other:?}"),
                }
                messages += 1;
            }
        }
    }
    let ns = time.stop();
    assert_eq!(messages, times);
    ns
}

fn received_byte(len: usize, config: &Shared<Config>) -> f64 {
    let times = (ENOUGH / len).max(2);
    receive(&mut frame(true, Opcode::Binary, len), config, times) / (times * len) as f64
}

fn received_fragment(count: usize, config: &Shared<Config>) -> f64 {
    let mut wire = Vec::new();
    for i in 0..count {
        let opcode = if i == 0 { Opcode::Binary } else { Opcode::Continuation };
        wire.extend(frame(i + 1 == count, opcode, FRAGMENT));
    }
    let times = (ENOUGH / wire.len()).max(2);
    receive(&mut wire, config, times) / (times * count) as f64
}

fn queued_message(count: usize, config: &Shared<Config>) -> f64 {
    let mut conn =
        Connection::from_upgrade(Role::Server, config.clone()).expect("no entropy is needed");
    let payload = [7; QUEUED];
    let times = (ENOUGH / (count * QUEUED)).max(2);
    let time = Stopwatch::start();
    for _ in 0..times {
        for _ in 0..count {
            conn.send(black_box(&payload)).expect("the limit is high");
        }
        while conn.wants_write() {
            let n = black_box(conn.outgoing()).len().min(WRITTEN);
            conn.advance(n);
        }
    }
    time.stop() / (times * count) as f64
}
