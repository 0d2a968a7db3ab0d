//! Tests of the answers that only the connection sees: `has_unwritten_end` and `has_waiting_ping`, checked against the
//! written bytes. `tests/queue.rs` tests the queue through the public interface.

use alloc::vec::Vec;
use core::cell::Cell;

use super::memory::RETIRE_BYTES;
use super::*;

std::thread_local! {
    /// Bytes that were moved within queues on this thread.
    pub(super) static MOVED: Cell<usize> = const { Cell::new(0) };
}

const CLOSE: FirstByte = FirstByte::new(Opcode::Close, true);
const BINARY: FirstByte = FirstByte::FINAL_BINARY;

/// The frames that are queued before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Small,
    Ping,
    PingAndSmall,
    Moved,
    Fragment,
    Through,
}

const BEFORE: [Before; 7] = [
    Before::Nothing,
    Before::Small,
    Before::Ping,
    Before::PingAndSmall,
    Before::Moved,
    Before::Fragment,
    Before::Through,
];

/// What [`Connection::advance`](crate::Connection::advance) does.
fn advance(queue: &mut Queue, n: usize) {
    if !queue.advance_whole(n) {
        queue.advance_partly(n);
    }
}

/// A queue, and the bytes that were written from it.
struct Recorded {
    queue: Queue,
    key: Option<[u8; 4]>,
    taken: Vec<Segment>,
    written: Vec<u8>,
}

impl Recorded {
    fn new(key: Option<[u8; 4]>, before: Before) -> Recorded {
        let mut recorded =
            Recorded { queue: Queue::default(), key, taken: Vec::new(), written: Vec::new() };
        let queue = &mut recorded.queue;
        match before {
            Before::Nothing => {}
            Before::Small => queue.push(BINARY, b"abc", key),
            Before::Ping => queue.push_control(Opcode::Ping, b"p", key),
            Before::PingAndSmall => {
                queue.push_control(Opcode::Ping, b"p", key);
                queue.push(BINARY, b"abc", key);
            }
            Before::Moved => queue.push_owned(BINARY, alloc::vec![7; MOVE_BYTES], key),
            Before::Fragment => queue.push(FirstByte::new(Opcode::Text, false), b"ab", key),
            Before::Through => {
                let written = &mut recorded.written;
                let write = |header: &[u8], _: &[u8]| {
                    written.extend_from_slice(&header[..1]);
                    Ok::<usize, ()>(1)
                };
                match key {
                    None => queue.push_through(BINARY, b"through".as_slice().into(), write),
                    Some(key) => queue.push_through_masked(BINARY, b"through", key, write),
                }
                .expect("it does not fail");
            }
        }
        recorded
    }

    /// Takes `n` pieces.
    fn take(&mut self, n: usize) {
        self.taken.extend((0..n).map_while(|_| self.queue.take(16)));
    }

    /// Writes up to `n` bytes, the taken ones first.
    fn write(&mut self, n: usize) {
        let n = n.min(self.queue.len() as usize);
        let chunks = self.queue.chunks().map(<[u8]>::to_vec);
        let mut shown = self.taken.iter().map(|segment| segment.to_vec()).chain(chunks).flatten();
        self.written.extend(shown.by_ref().take(n));
        drop(shown);
        advance(&mut self.queue, n);
        let mut left = n;
        while let Some(segment) = self.taken.first_mut().filter(|_| left > 0) {
            let step = left.min(segment.len());
            segment.start += step;
            left -= step;
            if segment.is_empty() {
                self.taken.remove(0);
            }
        }
    }

    /// Where in the written bytes each frame with this opcode ends.
    fn ends_of(&self, opcode: Opcode) -> Vec<usize> {
        let mut at = 0;
        let mut ends = Vec::new();
        while at < self.written.len() {
            let header = frame::decode_own(&self.written[at..]);
            at += header.size + header.len as usize;
            if header.first.opcode() == opcode {
                ends.push(at);
            }
        }
        ends
    }
}

/// Runs `check` with every way to write a queue. `first` bytes are written before the end is queued, and then `step`
/// bytes at a time. A ping is queued after `ping` writes, and `take` pieces are taken before each write.
fn every_way(mut check: impl FnMut(Recorded, [usize; 4])) {
    for key in [None, Some([1, 2, 3, 4])] {
        for before in BEFORE {
            for first in [0, 1, 2, 3, 5, 7, 9, 12, 2000, usize::MAX] {
                for step in [1, 2, 3, 5, 8, 13, 21, 4000, usize::MAX] {
                    if before == Before::Moved && step < 13 {
                        continue;
                    }
                    for ping in 0..5 {
                        for take in 0..4 {
                            check(Recorded::new(key, before), [first, step, ping, take]);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn an_end_is_unwritten_until_its_last_byte_is_written() {
    // It does not matter which frames are queued before it, ahead of it or after it.
    every_way(|mut recorded, [first, step, ping, take]| {
        recorded.write(first);
        assert!(!recorded.queue.has_unwritten_end(), "none was marked");
        recorded.queue.push(CLOSE, b"\x03\xe8bye", recorded.key);
        recorded.queue.mark_end();
        let mut seen = alloc::vec![(recorded.written.len(), recorded.queue.has_unwritten_end())];
        let mut round = 0;
        while recorded.queue.len() > 0 || round <= ping {
            if round == ping {
                recorded.queue.push_control(Opcode::Ping, b"late", recorded.key);
                recorded.queue.push_pong(b"", recorded.key, 1);
            }
            recorded.take(take);
            seen.push((recorded.written.len(), recorded.queue.has_unwritten_end()));
            recorded.write(step);
            seen.push((recorded.written.len(), recorded.queue.has_unwritten_end()));
            round += 1;
        }
        let end = recorded.ends_of(Opcode::Close)[0];
        for (written, unwritten) in seen {
            assert_eq!(unwritten, written < end, "{written} of {end} bytes");
        }
    });
}

#[test]
fn a_ping_waits_until_its_last_byte_is_written() {
    every_way(|mut recorded, [first, step, ping, take]| {
        let pings = usize::from(recorded.queue.has_waiting_ping());
        recorded.take(take);
        recorded.write(first);
        let mut pushed = pings;
        let mut seen = Vec::new();
        let mut round = 0;
        while recorded.queue.len() > 0 || round <= ping {
            if round == ping {
                recorded.queue.push_pong(b"", recorded.key, 1);
                recorded.queue.push_control(Opcode::Ping, b"late", recorded.key);
                recorded.queue.push(BINARY, b"x", recorded.key);
                pushed += 1;
            }
            recorded.take(take);
            seen.push((recorded.written.len(), pushed, recorded.queue.has_waiting_ping()));
            recorded.write(step);
            seen.push((recorded.written.len(), pushed, recorded.queue.has_waiting_ping()));
            round += 1;
        }
        let ends = recorded.ends_of(Opcode::Ping);
        for (written, pushed, waits) in seen {
            let out = ends.iter().filter(|end| **end <= written).count();
            assert_eq!(waits, out < pushed, "{written}: {ends:?}, {pushed} were queued");
        }
    });
}

#[test]
fn a_response_is_unwritten_until_its_last_byte_is_written() {
    for step in 1..=RESPONSE.len() {
        for take in [false, true] {
            let mut recorded = Recorded::new(None, Before::Nothing);
            let write = |out: &mut Vec<u8>| {
                out.extend_from_slice(RESPONSE);
                Ok(())
            };
            recorded.queue.push_head(write).expect("it does not fail");
            recorded.queue.mark_end();
            while recorded.queue.len() > 0 {
                assert!(recorded.queue.has_unwritten_end());
                if take {
                    recorded.take(1);
                }
                recorded.write(step);
            }
            assert!(!recorded.queue.has_unwritten_end());
            assert_eq!(recorded.written, RESPONSE);
        }
    }
}

const RESPONSE: &[u8] = b"HTTP/1.1 404 Not Found\r\n\r\n";

#[test]
fn what_is_given_up_neither_ends_nor_pings() {
    let mut recorded = Recorded::new(None, Before::Ping);
    recorded.queue.push(CLOSE, b"", None);
    recorded.queue.mark_end();
    recorded.take(1);
    recorded.queue.drop_all();
    assert!(!recorded.queue.has_unwritten_end() && !recorded.queue.has_waiting_ping());
    advance(&mut recorded.queue, 2);
    assert!(!recorded.queue.has_unwritten_end() && !recorded.queue.has_waiting_ping());
}

#[test]
fn work_per_byte_is_constant_at_every_depth() {
    // The queue stays at one length: as many bytes are written as are queued, one frame or several frames at a time.
    for piece in [0, 14, 28, 62, 1000, 5000, 20_000] {
        let frame_len = if piece < 126 { 2 } else { 4 } + piece;
        // The size of the first message decides which capacities the tail gets by doubling.
        for first in [1, 40, 3600] {
            for depth in (0..140_000).step_by(9999).chain((58_000..66_000).step_by(999)) {
                for batch in [1, 7] {
                    let mut queue = Queue::default();
                    queue.push(BINARY, &alloc::vec![0; first], None);
                    let payload = alloc::vec![0; piece];
                    while queue.len() < depth {
                        queue.push(
                            BINARY,
                            &payload[..piece.min((depth - queue.len()) as usize)],
                            None,
                        );
                    }
                    MOVED.set(0);
                    let turns = 140_000 / (batch * frame_len.max(100)) + 3;
                    for _ in 0..turns {
                        (0..batch).for_each(|_| queue.push(BINARY, &payload, None));
                        let n = (batch * frame_len).min(queue.len() as usize);
                        advance(&mut queue, n);
                    }
                    // While a buffer grows to its last size, each doubling may move it once.
                    let bytes = turns * batch * frame_len;
                    let most = 2 * bytes + 2 * RETIRE_BYTES;
                    assert!(
                        MOVED.get() <= most,
                        "{piece} {first} {depth}: {} of {most}",
                        MOVED.get()
                    );
                }
            }
        }
    }
}

#[test]
fn work_per_byte_is_constant_for_control_frames_too() {
    for len in [0, 1, 50, 125] {
        for depth in [100, 5000, 50_000] {
            for step in [1, 2, 3, 100, 127, 1000] {
                let mut queue = Queue::default();
                let payload = alloc::vec![0; len];
                while queue.len() < depth {
                    queue.push_control(Opcode::Ping, &payload, None);
                }
                MOVED.set(0);
                let mut bytes = 0;
                for _ in 0..(100_000 / step).min(10_000) {
                    let n = step.min(queue.len() as usize);
                    advance(&mut queue, n);
                    bytes += step;
                    while queue.len() < depth {
                        queue.push_control(Opcode::Ping, &payload, None);
                        bytes += 2 + len;
                    }
                }
                let most = 4 * bytes + 4 * depth as usize;
                assert!(MOVED.get() <= most, "{len} {depth} {step}: {} of {most}", MOVED.get());
            }
        }
    }
}
