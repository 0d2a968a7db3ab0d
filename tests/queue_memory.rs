//! The memory of a queue follows what is in it: payloads are moved and not copied, and what a long queue took is freed while
//! it becomes shorter, in few steps. That it never exceeds its limits is tested elsewhere.

#[path = "util/alloc.rs"]
mod alloc;
mod util;

use alloc::{Counting, Heap, measure};
use util::*;
use websocket_proto::{Connection, Role, UsageError};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KIB: i64 = 1024;

/// Sends an owned payload past the queue, of whose frame the transport takes `room` bytes.
fn send_past(conn: &mut Connection, payload: Vec<u8>, mut room: usize) -> Heap {
    let send = || {
        conn.send_through(payload, |header, payload| {
            let n = room.min(header.len() + payload.len());
            room -= n;
            Ok::<usize, UsageError>(n)
        })
    };
    let (sent, heap) = measure(send);
    sent.unwrap();
    heap
}

#[test]
fn what_a_transport_leaves_of_an_owned_payload_is_moved_if_it_is_large_and_copied_if_it_is_small() {
    let (len, header) = (100_000, 10);
    for room in [0, 1, header - 1, header, header + 1, 50_000, 95_000] {
        let mut conn = open(Role::Server);
        let heap = send_past(&mut conn, vec![7; len], room);
        assert_eq!(conn.outgoing_len() as usize, header + len - room);
        assert!(heap.bytes < 8 * 1024, "{room}: {heap:?}");
    }
    for left in [1, 1000, 4000] {
        let mut conn = open(Role::Server);
        let heap = send_past(&mut conn, vec![7; len], header + len - left);
        assert_eq!(conn.outgoing_len() as usize, left);
        assert!(heap.kept < 8 * KIB - len as i64, "{left}: {heap:?}");
    }
}

#[test]
fn portions_of_a_masked_payload_need_little_more_than_one_of_them() {
    for len in [1, 1000, 16 * 1024, 100_000] {
        let mut conn = open(Role::Client);
        let heap = send_past(&mut conn, vec![7; len], usize::MAX);
        assert!(heap.kept <= 17 * KIB, "{len}: {heap:?}");
    }
}

#[test]
fn a_list_of_many_pieces_is_freed_in_few_steps_while_it_becomes_shorter() {
    for role in ROLES {
        for takes in [false, true] {
            let config = builder().max_outgoing_bytes(in_one_buffer(1 << 30)).build().unwrap();
            let mut conn = open_with(role, config);
            // Each is a piece of its own, with another for its front.
            for _ in 0..2000 {
                conn.send(vec![7; 5000]).unwrap();
            }
            if takes {
                while conn.take_outgoing().is_some() {}
            }
            let rest = 5000;
            let ((), heap) = measure(|| {
                while conn.outgoing_len() > rest {
                    let n = (conn.outgoing_len() - rest).min(3000);
                    conn.advance(n as usize);
                }
            });
            assert!(heap.allocations < 40, "{role:?}, {takes}: {heap:?}");
            let ((), heap) = measure(|| drop(conn));
            assert!(heap.kept >= -16 * KIB, "{role:?}, {takes}: {heap:?}");
        }
    }
}

/// A connection with so many pings of 100 bytes in its queue, and the bytes of a frame.
fn pings(role: Role, n: usize) -> (Connection, usize) {
    let config = builder().max_outgoing_bytes(in_one_buffer(1 << 30)).build().unwrap();
    let mut conn = open_with(role, config);
    for _ in 0..n {
        conn.ping(&[7; 100]).unwrap();
    }
    let frame = conn.outgoing_len() as usize / n;
    (conn, frame)
}

#[test]
fn many_control_frames_are_freed_in_few_steps_while_they_are_written() {
    for role in ROLES {
        let (mut conn, frame) = pings(role, 1000);
        let ((), heap) = measure(|| (1..1000).for_each(|_| conn.advance(frame)));
        assert!(heap.allocations < 20, "{role:?}: {heap:?}");
        let (mut last, one) = measure(|| pings(role, 1).0);
        let ((), heap) = measure(|| drop(conn));
        assert!(heap.kept >= -(one.kept + 5 * KIB), "{role:?}: {heap:?}, and {one:?}");
        // The last one is written: a small buffer is kept for the next.
        drain(&mut last);
        let ((), heap) = measure(|| last.ping(&[7; 100]).unwrap());
        assert_eq!(heap.allocations, 0, "{role:?}: {heap:?}");
        let (mut conn, frame) = pings(role, 1000);
        conn.advance(1000 * frame);
        let ((), heap) = measure(|| drop(conn));
        assert!(heap.kept >= -5 * KIB, "{role:?}: {heap:?}");
    }
}

#[test]
fn control_frames_that_are_taken_out_have_memory_of_their_size() {
    for role in ROLES {
        for n in (300..1000).step_by(50) {
            let (mut conn, frame) = pings(role, n);
            let left = conn.outgoing_len() as i64;
            let segment = conn.take_outgoing().expect("there are some");
            assert_eq!(segment.len() as i64, left);
            drop(segment);
            let ((), heap) = measure(|| drop(conn));
            assert!(heap.kept >= -(left + 6 * KIB), "{role:?}, {n}: {heap:?}, {left} are left");
            // Most are written before.
            let (mut conn, _) = pings(role, n);
            conn.advance((n - 10) * frame);
            drop(conn.take_outgoing().expect("there are some"));
            let ((), heap) = measure(|| drop(conn));
            assert!(heap.kept >= -(3 * left / 2 + 6 * KIB), "{role:?}, {n}: {heap:?}");
        }
    }
}

#[test]
fn control_frames_that_never_run_out_take_no_more_and_more_memory() {
    for role in ROLES {
        let (mut conn, frame) = pings(role, 3);
        let ((), heap) = measure(|| {
            for _ in 0..10_000 {
                conn.ping(&[7; 100]).unwrap();
                conn.advance(frame);
            }
        });
        assert!(heap.kept <= 5 * KIB && heap.allocations <= 700, "{role:?}: {heap:?}");
    }
}

#[test]
fn a_queue_that_is_neither_empty_nor_long_stays_small() {
    for role in ROLES {
        for ahead in [1, 3] {
            let mut conn = open(role);
            let ((), heap) = measure(|| {
                (0..ahead).for_each(|_| conn.send(&[7; 100]).unwrap());
                let frame = conn.outgoing_len() as usize / ahead;
                for _ in 0..10_000 {
                    conn.send(&[7; 100]).unwrap();
                    conn.advance(frame);
                }
            });
            assert!(heap.kept <= 3 * KIB && heap.allocations < 12, "{role:?}, {ahead}: {heap:?}");
        }
    }
}

#[test]
fn a_queue_takes_at_most_twice_its_bytes_and_a_large_message_its_own_size() {
    for role in ROLES {
        let mut conn = open(role);
        let mut kept = 0;
        for n in 1..=60 {
            let ((), heap) = measure(|| conn.send(&[7; 1000]).unwrap());
            kept += heap.kept;
            assert!(kept <= 2 * 1100 * n, "{role:?}, {n}: {kept}");
        }
        for len in [70_000, 100_000, 1_000_000] {
            for before in [0, 10] {
                let (payload, mut conn) = (vec![7; len], open(role));
                let ((), heap) = measure(|| {
                    if before > 0 {
                        conn.send(&[7; 10]).unwrap();
                    }
                    conn.send(&payload[..]).unwrap();
                });
                let most = len as i64 + 4 * KIB;
                assert!(heap.kept <= most, "{role:?}, {len} behind {before}: {heap:?}");
            }
        }
    }
}
