//! Heap memory of idle connections with permessage-deflate, counted over all threads. Neither a thread nor the program
//! keeps memory for them, whether each connection has its own thread or all share one.
#![cfg(feature = "deflate")]
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

mod util;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Barrier, Mutex};

use util::*;
use websocket_proto::{Config, Connection, Deflate, DeflateParams, Event, Role, Shared, Upgrade};

/// Counts the bytes that all threads together have allocated.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call goes unchanged to the system's allocator; counting changes one atomic number only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::SeqCst);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::SeqCst);
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        LIVE.fetch_add(new_size as i64 - layout.size() as i64, Ordering::SeqCst);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn params(no_takeover: bool) -> DeflateParams {
    DeflateParams {
        server_no_context_takeover: no_takeover,
        client_no_context_takeover: no_takeover,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    }
}

/// A message that does not repeat, and compresses to about half of its length.
fn message(len: usize) -> Vec<u8> {
    let mut state = 7u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 20) as u8 % 16
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn open_deflate(role: Role, params: DeflateParams, config: &Shared<Config>) -> Connection {
    Connection::from_upgrade(Upgrade::new(role).deflate(params), config.clone())
        .expect("a seed cannot fail")
}

/// The bytes of the peer of `role`: messages of these lengths.
fn wire(config: &Shared<Config>, role: Role, params: DeflateParams, lens: &[usize]) -> Vec<u8> {
    let mut peer = open_deflate(other(role), params, config);
    lens.iter()
        .flat_map(|&len| {
            peer.send(message(len)).unwrap();
            drain(&mut peer)
        })
        .collect()
}

/// A connection that has echoed all messages of `wire`, and is idle.
fn serve(config: &Shared<Config>, role: Role, params: DeflateParams, wire: &[u8]) -> Connection {
    let mut conn = open_deflate(role, params, config);
    let mut buf = [0; 16 * 1024];
    for piece in wire.chunks(buf.len()) {
        buf[..piece.len()].copy_from_slice(piece);
        let mut input = &mut buf[..piece.len()];
        while let Some(event) = conn.receive(&mut input) {
            let Event::Message(message) = event else { panic!("{event:?}") };
            conn.send(message.into_owned()).unwrap();
        }
        while conn.wants_write() {
            let n = conn.outgoing().len();
            conn.advance(n);
        }
    }
    conn.release_memory();
    conn
}

/// Makes `connections` connections on `threads` threads. Returns the bytes that each has allocated when all are idle.
fn kept(threads: usize, connections: usize, serve: &(impl Fn() -> Connection + Sync)) -> i64 {
    let barrier = Barrier::new(threads + 1);
    let step = || {
        // The first wait ends the previous phase, the second begins the next one. `live` counts between the two.
        barrier.wait();
        barrier.wait();
    };
    let live = || {
        barrier.wait();
        let live = LIVE.load(Ordering::SeqCst);
        barrier.wait();
        live
    };
    // One thread works at a time, so that busy connections do not add up.
    let turn = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut conns = Vec::with_capacity(connections / threads);
                step();
                {
                    let _turn = turn.lock().unwrap();
                    conns.extend((0..connections / threads).map(|_| serve()));
                }
                step();
                conns.clear();
                step();
            });
        }
        let before = live();
        let idle = live();
        let after = live();
        assert!(after <= before, "a thread keeps {} bytes of its connections", after - before);
        (idle - before) / connections as i64
    })
}

#[test]
fn idle_connection_keeps_its_windows_in_every_threading_model() {
    // rfc7692-7.2.2-02, rfc7692-7.2.2-04: only the window is kept after a message
    let config = Shared::new(builder().deflate(Deflate::default()).build().unwrap());
    for role in ROLES {
        let own = kept(1, 1, &|| open_deflate(role, params(false), &config));
        assert!((1..=512).contains(&own), "the size of the codec's struct is {own}");
        for no_takeover in [false, true] {
            let params = params(no_takeover);
            for lens in [&[100][..], &[1 << 20], &[100, 1 << 20, 3, 70_000, 100]] {
                // Each of the two windows has room for the bytes that it received, or twice that while it grows.
                let windows = match no_takeover {
                    true => 0,
                    false => 2 * (2 * lens.iter().sum::<usize>()).min(1 << 15) as i64,
                };
                let wire = wire(&config, role, params, lens);
                for (threads, connections) in [(1, 1), (8, 8), (1, 8), (3, 6)] {
                    let each = kept(threads, connections, &|| serve(&config, role, params, &wire));
                    assert!(
                        each <= own + windows,
                        "{role:?}, no takeover {no_takeover}, {lens:?}, {connections} connections of {threads} threads: {each} each, {own} and {windows} are allowed"
                    );
                    eprintln!(
                        "{role:?}, no takeover {no_takeover}, {lens:?}, {connections} connections of {threads} threads: {each} each"
                    );
                }
            }
        }
    }
}
