//! Checks before the measurements: each adapter must receive every workload exactly, and the bytes that it sends must
//! parse. Prints which violations of the protocol each crate notices.

use super::Settings;
use crate::adapters::Framer;
use crate::masks;
use crate::measure::{Report, quiet};
use crate::peer::{Payload, Peer, Role, Sink};
use crate::transport::{Transport, captured, clear_captured};
use crate::workloads::{self, Random, Receiving, ascii};

pub fn verify(settings: &Settings, report: &mut Report) -> bool {
    println!("\n# verify: all that is received is compared, all that is sent is parsed");
    masks::verify();
    let mut failures = 0;
    let mut check = |what: String, run: &dyn Fn()| {
        if quiet(run).is_none() {
            failures += 1;
            println!("FAILED: {what}");
        }
    };
    for work in workloads::receiving(|name| settings.wants(name)) {
        for peer in settings.speakers() {
            if receives(&*peer) {
                check(format!("{} receives {}", peer.name(), work.name), &|| {
                    receive(&*peer, &work)
                });
            }
        }
    }
    for role in [Role::Server, Role::Client] {
        for len in [16, 1024, 65_536, 1 << 20] {
            for peer in settings.speakers() {
                let what = format!("{} sends {len} bytes as {role:?}", peer.name());
                check(what, &|| send(&*peer, role, len));
            }
        }
    }
    println!("{}", if failures == 0 { "all good" } else { "NOT GOOD" });
    println!("\nviolations that are not noticed:");
    for peer in settings.speakers() {
        if receives(&*peer) {
            print_violations(&*peer, report);
        }
    }
    failures == 0
}

fn receives(peer: &dyn Peer) -> bool {
    !matches!(peer.name(), "websocket-proto prepared" | "websocket-proto through")
}

fn receive(peer: &dyn Peer, work: &Receiving) {
    let n = work.messages.len() + work.messages.len() / 2;
    let io = Transport::sending(work.wire, work.wire.len() * 2, work.max_read);
    let mut sink = Sink::expecting(work.messages.clone());
    peer.open(io, Role::Server).expect("it can be opened").recv(n, &mut sink);
    assert!(sink.messages >= n);
}

fn send(peer: &dyn Peer, role: Role, len: usize) {
    let bytes = ascii(&mut Random(5), len);
    let payload = Payload { bytes: bytes.clone().into(), text: false };
    clear_captured(0);
    peer.open(Transport::capture(), role).expect("it can be opened").send(&payload, 3, 2);
    let wire = captured();
    assert_eq!(wire[1] & 0x80 != 0, role == Role::Client, "only clients mask");
    let other = if role == Role::Server { Role::Client } else { Role::Server };
    let mut sink = Sink::expecting(vec![(false, bytes)]);
    let io = Transport::sending(wire, wire.len(), usize::MAX);
    Framer.open(io, other).expect("it can be opened").recv(3, &mut sink);
    assert_eq!(sink.messages, 3);
}

fn print_violations(peer: &dyn Peer, report: &mut Report) {
    let mut missed = Vec::new();
    for (rule, wire) in workloads::violations() {
        let wire: &'static [u8] = wire.leak();
        let noticed = quiet(|| {
            let io = Transport::sending(wire, wire.len(), usize::MAX);
            peer.open(io, Role::Server).expect("it can be opened").recv(1, &mut Sink::default());
        })
        .is_none();
        if !noticed {
            missed.push(rule);
        }
    }
    println!(
        "  {:<26} {}",
        peer.name(),
        if missed.is_empty() { "-".into() } else { missed.join("; ") }
    );
    report.line(&format!(
        "\"section\":\"violations\",\"peer\":\"{}\",\"bound\":{},\"missed\":{missed:?}",
        peer.name(),
        peer.is_bound()
    ));
}
