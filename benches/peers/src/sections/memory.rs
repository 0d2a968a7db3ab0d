//! MEM: heap memory of a server's connection: its boxed value and everything that it owns, without the transport.

use super::Settings;
use crate::alloc;
use crate::measure::{Report, quiet};
use crate::peer::{Conn, Peer, Role, Sink};
use crate::transport::Transport;
use crate::workloads::{BROWSER_REQUEST, frame};

/// The number of connections at a time. With many, memory that is allocated once for all counts little.
const CONNECTIONS: usize = 50;

struct Held {
    idle: f64,
    after_small: f64,
    /// The most that one connection grows by while 1 MiB is received.
    growth: f64,
    after_large: f64,
    /// The memory after another small message.
    then: f64,
}

pub fn memory(settings: &Settings, report: &mut Report) {
    println!("\n## memory: bytes per connection of a server");
    println!(
        "{:<26} {:>10} {:>10} {:>12} {:>12} {:>12} {:>12}",
        "", "opened by", "idle", "after 16 B", "1 MiB takes", "after it", "then 16 B"
    );
    for peer in settings.speakers() {
        let opened_by = if shakes_hands(&*peer) { "handshake" } else { "open" };
        let Some(held) = quiet(|| measure(&*peer)) else {
            println!("{:<26} {:>10}", peer.name(), "-");
            continue;
        };
        let Held { idle, after_small, growth, after_large, then } = held;
        println!(
            "{:<26} {opened_by:>10} {idle:>10.0} {after_small:>12.0} {growth:>12.0} {after_large:>12.0} {then:>12.0}",
            peer.name()
        );
        report.line(&format!(
            "\"section\":\"memory\",\"peer\":\"{}\",\"bound\":{},\"opened_by\":\"{opened_by}\",\"idle\":{idle:.0},\
            \"after_small\":{after_small:.0},\"growth\":{growth:.0},\"after_large\":{after_large:.0},\"then\":{then:.0}",
            peer.name(),
            peer.is_bound()
        ));
    }
}

/// A request, then a small, a large and a small message. No read contains bytes of two of them.
fn transport(request: bool) -> Transport {
    let message = |len| {
        let mut wire = Vec::new();
        frame(&mut wire, 0x82, &vec![7; len], Some([1, 2, 3, 4]));
        &*wire.leak()
    };
    let small = message(16);
    let request = if request { BROWSER_REQUEST } else { &[] };
    Transport::sending_parts([request, small, message(1 << 20), small], 16 * 1024)
}

fn open(peer: &dyn Peer, handshake: bool, io: Transport) -> Box<dyn Conn> {
    match handshake {
        true => peer.accept(io).ok().flatten(),
        false => peer.open(io, Role::Server),
    }
    .expect("the peer could do this before")
}

fn shakes_hands(peer: &dyn Peer) -> bool {
    matches!(quiet(|| peer.accept(transport(true))), Some(Ok(Some(_))))
}

fn measure(peer: &dyn Peer) -> Held {
    // The first connection is not counted: it may allocate memory once per thread.
    let handshake = shakes_hands(peer);
    let mut conn = open(peer, handshake, transport(handshake));
    (0..3).for_each(|_| conn.recv(1, &mut Sink::default()));
    drop(conn);

    let mut conns: Vec<Box<dyn Conn>> = Vec::with_capacity(CONNECTIONS);
    let transports: Vec<Transport> = (0..CONNECTIONS).map(|_| transport(handshake)).collect();
    alloc::count(true);
    let before = alloc::counts().live;
    // The transports were allocated before, so they do not count.
    let held = |now: i64| (now - before) as f64 / CONNECTIONS as f64;
    conns.extend(transports.into_iter().map(|io| open(peer, handshake, io)));
    let idle = held(alloc::counts().live);
    let receive = |all: &mut Vec<Box<dyn Conn>>| {
        all.iter_mut().for_each(|conn| conn.recv(1, &mut Sink::default()));
        held(alloc::counts().live)
    };
    let after_small = receive(&mut conns);
    let live = alloc::counts().live;
    alloc::restart_peak();
    conns[0].recv(1, &mut Sink::default());
    let growth = (alloc::counts().peak - live) as f64;
    conns[1..].iter_mut().for_each(|conn| conn.recv(1, &mut Sink::default()));
    let after_large = held(alloc::counts().live);
    let then = receive(&mut conns);
    alloc::count(false);
    Held { idle, after_small, growth, after_large, then }
}
