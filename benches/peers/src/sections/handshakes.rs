//! H: opening handshakes, from the first byte to an open connection.

use super::Settings;
use crate::measure::{Report, Row, Stopwatch, measure};
use crate::peer::Peer;
use crate::transport::{self, Transport};
use crate::workloads::{BROWSER_REQUEST, CLIENT_REQUEST};

/// The number of handshakes in a round.
const TIMES: usize = 2000;

pub fn handshakes(settings: &Settings, report: &mut Report) {
    let peers: Vec<_> = settings.peers().into_iter().filter(|peer| !peer.is_bound()).collect();
    if settings.wants("H1") {
        let rows = rows(settings, &peers, accept, 0.0);
        let about = "server: a browser's request of 15 headers";
        report.table("handshake", "H1", about, BROWSER_REQUEST.len() as f64, &rows);
    }
    if settings.wants("H2") {
        let alone = mock_alone(settings.rounds);
        let rows = rows(settings, &peers, connect, alone);
        let about = format!("client: {alone:.0} ns for the mock server are taken off");
        report.table("handshake", "H2", &about, CLIENT_REQUEST.len() as f64, &rows);
    }
}

fn rows(
    settings: &Settings,
    peers: &[Box<dyn Peer>],
    once: fn(&dyn Peer) -> bool,
    off: f64,
) -> Vec<Row> {
    let mut rows = measure(peers, settings.rounds, |peer| {
        if !once(peer) {
            return None;
        }
        let time = Stopwatch::start();
        for _ in 0..TIMES {
            once(peer);
        }
        Some(time.stop() / TIMES as f64 - off)
    });
    for (row, peer) in rows.iter_mut().zip(peers) {
        if !row.ns.is_empty() {
            row.count(TIMES, || (0..TIMES).for_each(|_| _ = once(&**peer)));
        }
    }
    rows.retain(|row| !row.ns.is_empty());
    rows
}

fn accept(peer: &dyn Peer) -> bool {
    let io = Transport::sending_parts([BROWSER_REQUEST, &[], &[], &[]], usize::MAX);
    std::hint::black_box(peer.accept(io)).is_ok()
}

fn connect(peer: &dyn Peer) -> bool {
    peer.connect(Transport::mock_server()).is_ok()
}

fn mock_alone(rounds: usize) -> f64 {
    let mut row = Row::default();
    for _ in 0..rounds {
        let time = Stopwatch::start();
        for _ in 0..TIMES {
            std::hint::black_box(transport::mock_server_alone(CLIENT_REQUEST));
        }
        row.ns.push(time.stop() / TIMES as f64);
    }
    row.quartile()
}
