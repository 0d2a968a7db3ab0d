//! R: a server receives.

use super::Settings;
use crate::measure::{Report, Stopwatch, measure, quiet};
use crate::peer::{Peer, Role, Sink};
use crate::transport::Transport;
use crate::workloads::{self, Receiving};

pub fn receive(settings: &Settings, report: &mut Report) {
    let peers = settings.peers();
    for work in workloads::receiving(|name| settings.wants(name)) {
        // Small messages take more time per byte.
        let mib = if work.name == "R1" { settings.mb / 2 } else { settings.mb };
        let times = ((mib << 20) / work.wire.len()).max(1);
        let mut rows = measure(&peers, settings.rounds, |peer| run(peer, &work, times));
        for (row, peer) in rows.iter_mut().zip(&peers) {
            if !row.ns.is_empty() {
                let times = ((8 << 20) / work.wire.len()).max(4);
                row.count(times * work.messages.len(), || {
                    quiet(|| run(&**peer, &work, times));
                });
            }
        }
        rows.retain(|row| !row.ns.is_empty());
        let bytes = work.plain.len() as f64 / work.messages.len() as f64;
        report.table("receive", work.name, work.about, bytes, &rows);
    }
}

fn run(peer: &dyn Peer, work: &Receiving, times: usize) -> Option<f64> {
    let bytes_only = peer.name() == "(bytes only)";
    let wire = if bytes_only { work.plain } else { work.wire };
    let io = Transport::sending(wire, wire.len() * times, work.max_read);
    let mut conn = peer.open(io, Role::Server)?;
    let mut sink = Sink::default();
    let n = times * work.messages.len();
    let time = Stopwatch::start();
    conn.recv(if bytes_only { work.has_text().into() } else { n }, &mut sink);
    let ns = time.stop();
    assert!(sink.bytes >= work.plain.len() * times, "all has arrived");
    Some(ns / n as f64)
}
