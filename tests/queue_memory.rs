//! The memory of a queue follows what is in it: payloads are moved and not copied, and what a long queue took is freed while
//! it becomes shorter, in few steps. That it never exceeds its limits is tested elsewhere.

#[path = "util/alloc.rs"]
mod alloc;
mod util;

use std::collections::VecDeque;

use alloc::{Counting, Heap, measure};
use util::*;
use websocket_proto::{Connection, MessageKind, Role, Segment, Timestamp, UsageError};

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

/// Sends `payload`, takes all that is outgoing, and writes the pieces of `depth` rounds before. Returns the bytes.
struct Rounds {
    conn: Connection,
    depth: usize,
    taken: VecDeque<Vec<Segment>>,
}

impl Rounds {
    fn new(role: Role, depth: usize) -> Rounds {
        // The list of pieces has room, so that it does not allocate while others are counted.
        Rounds { conn: open(role), depth, taken: VecDeque::with_capacity(8) }
    }

    fn round(&mut self, payload: &[u8], recycles: bool) {
        self.conn.send(payload).unwrap();
        let mut pieces = match self.taken.len() > self.depth {
            true => self.taken.pop_front().unwrap(),
            false => Vec::with_capacity(8),
        };
        for piece in pieces.drain(..) {
            self.conn.advance(piece.len());
            if recycles {
                self.conn.recycle_segment(piece);
            }
        }
        pieces.extend(std::iter::from_fn(|| self.conn.take_outgoing()));
        self.taken.push_back(pieces);
    }
}

#[test]
fn a_loop_that_takes_and_recycles_allocates_nothing_after_its_first_rounds() {
    for role in ROLES {
        for len in [0, 1, 125, 1000, 5000, 60_000] {
            for depth in 0..=1 {
                let payload = vec![7; len];
                let counted = |recycles| {
                    let mut rounds = Rounds::new(role, depth);
                    (0..8).for_each(|_| rounds.round(&payload, recycles));
                    measure(|| (0..50).for_each(|_| rounds.round(&payload, recycles))).1
                };
                let heap = counted(true);
                assert_eq!(heap.allocations, 0, "{role:?}, {len} bytes, {depth}: {heap:?}");
                assert!(counted(false).allocations >= 50, "the allocator counts");
            }
        }
    }
}

#[test]
fn of_several_recycled_segments_the_largest_stay() {
    for order in [[0, 1, 2], [0, 2, 1], [2, 0, 1]] {
        let mut conn = open(Role::Server);
        let pieces = [10, 10, 30_000].map(|len| {
            conn.send(vec![7; len].as_slice()).unwrap();
            conn.take_outgoing().unwrap()
        });
        conn.advance(conn.outgoing_len() as usize);
        let mut pieces = pieces.map(Some);
        for at in order {
            conn.recycle_segment(pieces[at].take().unwrap());
        }
        let payload = [7; 30_000];
        let sends = [(); 2].map(|()| {
            let ((), heap) = measure(|| conn.send(&payload).unwrap());
            drop(conn.take_outgoing());
            heap.allocations
        });
        assert!(sends.iter().sum::<u64>() <= 1, "{order:?}: {sends:?}");
    }
}

#[test]
fn memory_of_taken_pieces_is_freed_by_tick_and_by_release_memory() {
    for role in ROLES {
        for (by_tick, recycles) in [(false, false), (false, true), (true, false), (true, true)] {
            for unfinished in [false, true] {
                let mut conn = open(role);
                let ((), heap) = measure(|| {
                    conn.send(&[7; 30_000]).unwrap();
                    conn.send(&[7; 60_000]).unwrap();
                    while let Some(piece) = conn.take_outgoing() {
                        conn.advance(piece.len());
                        if recycles {
                            conn.recycle_segment(piece);
                        }
                    }
                    if unfinished {
                        conn.send_fragment(MessageKind::Binary, b"", false).unwrap();
                        drain(&mut conn);
                    }
                });
                assert!(heap.kept > if recycles { 30 * KIB } else { 0 }, "{role:?}: {heap:?}");
                let ((), freed) = measure(|| match by_tick {
                    true => {
                        let mut now = Timestamp::from_millis(0);
                        while let Some(due) = conn.tick(now) {
                            now = due;
                        }
                    }
                    false => conn.release_memory(),
                });
                assert_eq!(heap.kept + freed.kept, 0, "{role:?}, {by_tick}, {recycles}");
            }
        }
    }
}

#[test]
fn memory_that_somebody_else_owns_or_that_is_large_is_not_used() {
    for role in ROLES {
        // The caller has a clone: its bytes stay.
        let mut conn = open(role);
        conn.send(&[7; 1000]).unwrap();
        let piece = conn.take_outgoing().unwrap();
        let (clone, bytes) = (piece.clone(), piece.to_vec());
        conn.advance(piece.len());
        conn.recycle_segment(piece);
        conn.send(&[8; 1000]).unwrap();
        assert_eq!(clone[..], bytes);
        drain(&mut conn);
        // The connection owns it until it is written.
        conn.send(&[7; 1000]).unwrap();
        let piece = conn.take_outgoing().unwrap();
        let bytes = piece.to_vec();
        conn.recycle_segment(piece.clone());
        conn.send(&[8; 1000]).unwrap();
        assert_eq!(piece[..], bytes);
        conn.advance(piece.len());
        drain(&mut conn);
        conn.release_memory();
        // A large piece is freed, and so is each piece of a connection that has taken nothing.
        let ((), heap) = measure(|| {
            conn.send(&[7; 100_000]).unwrap();
            let piece = conn.take_outgoing().unwrap();
            conn.advance(piece.len());
            conn.recycle_segment(piece);
        });
        assert!(heap.kept < 3 * KIB, "{role:?}: {heap:?}");
        conn.send(&[7; 1000]).unwrap();
        let piece = conn.take_outgoing().unwrap();
        conn.advance(piece.len());
        let mut idle = open(role);
        let ((), heap) = measure(|| idle.recycle_segment(piece));
        assert!(heap.kept < 0 && heap.allocations == 0, "{role:?}: {heap:?}");
    }
}

#[test]
fn pieces_of_another_connection_never_show_in_the_output() {
    for role in ROLES {
        let (mut secret, mut conn, mut twin) = (open(role), open(role), open(role));
        let mut written = [Vec::new(), Vec::new()];
        for round in 0..200_usize {
            secret.send(vec![0xaa; 37 * (round % 20) + 1]).unwrap();
            let stolen = secret.take_outgoing().unwrap();
            secret.advance(stolen.len());
            conn.recycle_segment(stolen);
            for (conn, written) in [&mut conn, &mut twin].into_iter().zip(&mut written) {
                conn.send(vec![round as u8; 61 * (round % 9)]).unwrap();
                if round % 3 == 0 {
                    conn.send(vec![round as u8; 5000]).unwrap();
                }
                if round % 4 == 0 {
                    conn.ping(&[7; 10]).unwrap();
                }
                let most = if round % 5 == 0 { 1 } else { 9 };
                for piece in
                    std::iter::from_fn(|| conn.take_outgoing()).take(most).collect::<Vec<_>>()
                {
                    written.extend_from_slice(&piece);
                    conn.advance(piece.len());
                }
            }
        }
        for (conn, written) in [&mut conn, &mut twin].into_iter().zip(&mut written) {
            written.extend(drain(conn));
        }
        assert_eq!(written[0], written[1], "{role:?}");
    }
}

#[test]
fn a_segment_can_be_shortened_to_the_bytes_that_are_left() {
    let mut conn = open(Role::Server);
    conn.send(&[7; 100]).unwrap();
    let whole = conn.take_outgoing().unwrap();
    for n in [0, 1, 50, whole.len(), whole.len() + 1, usize::MAX] {
        let mut rest = whole.clone();
        rest.advance(n);
        assert_eq!(rest[..], whole[n.min(whole.len())..]);
        assert_eq!(rest.as_ref(), &rest[..]);
        rest.advance(1);
        assert_eq!(rest[..], whole[n.saturating_add(1).min(whole.len())..]);
    }
}
