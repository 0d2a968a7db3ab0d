//! S: sending. The payload must not change. Everything is written after each message, or after 64 of them.

use super::Settings;
use crate::measure::{Report, Stopwatch, measure, quiet};
use crate::peer::{Payload, Peer, Role};
use crate::transport::{STATS, Transport};
use crate::workloads::{Random, ascii};

struct Work {
    name: &'static str,
    role: Role,
    len: usize,
    batch: usize,
}

const fn work(name: &'static str, role: Role, len: usize, batch: usize) -> Work {
    Work { name, role, len, batch }
}

const WORKS: [Work; 12] = [
    work("S1", Role::Server, 16, 1),
    work("S1b", Role::Server, 16, 64),
    work("S2", Role::Server, 1024, 1),
    work("S2b", Role::Server, 1024, 64),
    work("S3", Role::Server, 64 << 10, 1),
    work("S4", Role::Server, 1 << 20, 1),
    work("S5", Role::Client, 16, 1),
    work("S5b", Role::Client, 16, 64),
    work("S6", Role::Client, 1024, 1),
    work("S6b", Role::Client, 1024, 64),
    work("S7", Role::Client, 64 << 10, 1),
    work("S8", Role::Client, 1 << 20, 1),
];

pub fn send(settings: &Settings, report: &mut Report) {
    let peers = settings.peers();
    for work in WORKS {
        if !settings.wants(work.name) {
            continue;
        }
        let payload = Payload { bytes: ascii(&mut Random(9), work.len).into(), text: false };
        let n = ((settings.mb << 20) / work.len).min(300_000);
        let run = |peer: &dyn Peer, n: usize| {
            let mut conn = peer.open(Transport::sink(), work.role)?;
            conn.send(&payload, 4, 1);
            STATS.reset();
            let time = Stopwatch::start();
            conn.send(&payload, n, work.batch);
            let ns = time.stop();
            assert!(STATS.written_bytes.get() >= (n * work.len) as u64, "all was written");
            Some(ns / n as f64)
        };
        let mut rows = measure(&peers, settings.rounds, |peer| run(peer, n));
        for (row, peer) in rows.iter_mut().zip(&peers) {
            if !row.ns.is_empty() {
                let n = n.min(6400);
                row.count(n, || {
                    quiet(|| run(&**peer, n));
                });
            }
        }
        rows.retain(|row| !row.ns.is_empty());
        let when = if work.batch == 1 { "each is written" } else { "64 are written at once" };
        let about = format!("{:?}, {} B, {when}", work.role, work.len);
        report.table("send", work.name, &about, work.len as f64, &rows);
    }
}
