//! One direction of a simulated transport: what is written arrives later, in pieces, harmed or not at all, as it was
//! told to. Time is an argument; who writes and reads is the business of [`Link`](super::Link) and its users.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::random::Random;
use crate::timestamp::Timestamp;

/// How a stream of bytes is cut into reads, or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ChunkSize {
    /// As much as there is, and as there is room for.
    #[default]
    Whole,
    /// At most this many bytes; 1 is byte by byte, and 0 is taken for 1.
    Fixed(usize),
    /// Each time another number of bytes, from 1 to this one, by the wire's seed.
    Random(usize),
}

impl ChunkSize {
    fn next(self, random: &mut Random) -> usize {
        match self {
            ChunkSize::Whole => usize::MAX,
            ChunkSize::Fixed(n) => n.max(1),
            ChunkSize::Random(most) => 1 + random.below(most.max(1) as u64) as usize,
        }
    }
}

/// What a read has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "these are the outcomes of a read without blocking")]
pub enum Arrival {
    /// Nothing yet.
    Nothing,
    /// This many bytes, at least 1.
    Bytes(usize),
    /// The writer has ended its direction: [`receive_eof`](crate::Connection::receive_eof).
    Eof,
    /// The transport has broken: [`abort`](crate::Connection::abort).
    Broken,
}

/// A write failed, and so will all others: [`write_closed`](crate::Connection::write_closed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "there is nothing to tell")]
pub struct WriteFailed;

impl fmt::Display for WriteFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer does not read any more")
    }
}

impl core::error::Error for WriteFailed {}

/// One direction of a simulated transport, with a record of all that went over it.
///
/// Untouched it is perfect: what is written arrives at once and whole. Everything else is asked for, may be changed at
/// any time, and follows from the seed: the same calls give the same bytes in the same pieces. Offsets count from the
/// first byte that was ever written to it.
pub struct Wire {
    /// What was written and not read. Each waits for those before it, whenever it is due.
    flight: VecDeque<Parcel>,
    /// The bytes in `flight` that were not read.
    in_flight: usize,
    written: Vec<u8>,
    received: Vec<u8>,
    latency: Duration,
    capacity: usize,
    reads: ChunkSize,
    writes: ChunkSize,
    /// What is done to single bytes, by their offset.
    changes: BTreeMap<u64, Change>,
    noise: Option<(u32, Random)>,
    /// The stream ends here for the reader, whatever is written after it.
    cut: Option<(u64, Arrival)>,
    /// A write fails from here on.
    failing: u64,
    /// When the end that the writer has made arrives.
    end: Option<Timestamp>,
    /// The reader has heard the end.
    is_heard: bool,
    /// Nobody reads any more.
    is_dropped: bool,
    random: Random,
}

struct Parcel {
    due: Timestamp,
    bytes: Vec<u8>,
    read: usize,
}

enum Change {
    Flip(u8),
    Set(u8),
}

impl Wire {
    /// A perfect wire; the seed is for what is asked of it later.
    pub fn new(seed: u64) -> Wire {
        Wire {
            flight: VecDeque::new(),
            in_flight: 0,
            written: Vec::new(),
            received: Vec::new(),
            latency: Duration::ZERO,
            capacity: usize::MAX,
            reads: ChunkSize::Whole,
            writes: ChunkSize::Whole,
            changes: BTreeMap::new(),
            noise: None,
            cut: None,
            failing: u64::MAX,
            end: None,
            is_heard: false,
            is_dropped: false,
            random: Random::new(seed),
        }
    }

    /// Cuts what arrives into reads.
    pub fn chunk_reads(&mut self, size: ChunkSize) -> &mut Wire {
        self.reads = size;
        self
    }

    /// Cuts what is written: a write takes no more than that, as a socket's may.
    pub fn chunk_writes(&mut self, size: ChunkSize) -> &mut Wire {
        self.writes = size;
        self
    }

    /// What is written from now on arrives this much later. Bytes never overtake each other.
    pub fn delay(&mut self, latency: Duration) -> &mut Wire {
        self.latency = latency;
        self
    }

    /// No more than `bytes` can be on their way: a write beyond takes nothing, until something was read.
    pub fn limit(&mut self, bytes: usize) -> &mut Wire {
        self.capacity = bytes;
        self
    }

    /// Changes the byte at `offset` by flipping the bits that are set in `bits`. It must not be written yet.
    pub fn flip(&mut self, offset: u64, bits: u8) -> &mut Wire {
        self.changes.insert(offset, Change::Flip(bits));
        self
    }

    /// Changes the byte at `offset` to this one. It must not be written yet.
    pub fn replace(&mut self, offset: u64, byte: u8) -> &mut Wire {
        self.changes.insert(offset, Change::Set(byte));
        self
    }

    /// Flips one bit of about every `one_in`th byte that is written from now on, by `seed`; 0 ends it.
    pub fn corrupt(&mut self, one_in: u32, seed: u64) -> &mut Wire {
        self.noise = (one_in > 0).then(|| (one_in, Random::new(seed)));
        self
    }

    /// The reader finds an end after `offset` bytes, whatever is written.
    pub fn truncate(&mut self, offset: u64) -> &mut Wire {
        self.cut = Some((offset, Arrival::Eof));
        self
    }

    /// The reader finds the transport broken after `offset` bytes, whatever is written.
    pub fn break_off(&mut self, offset: u64) -> &mut Wire {
        self.cut = Some((offset, Arrival::Broken));
        self
    }

    /// The writer's writes fail once it has written `offset` bytes, as those to a peer that is gone.
    pub fn fail_writes(&mut self, offset: u64) -> &mut Wire {
        self.failing = offset;
        self
    }

    /// Writes at `now`, and returns how many of the bytes were taken; 0 means that the wire is full.
    ///
    /// # Errors
    ///
    /// Behind the offset that was given to [`fail_writes`](Wire::fail_writes).
    ///
    /// # Panics
    ///
    /// If the writer has ended it: no loop writes after its own half-close.
    pub fn write(&mut self, now: Timestamp, bytes: &[u8]) -> Result<usize, WriteFailed> {
        assert!(self.end.is_none(), "{} bytes were written after a half-close", bytes.len());
        let begin = self.written.len() as u64;
        let good = usize::try_from(self.failing.saturating_sub(begin)).unwrap_or(usize::MAX);
        if good == 0 {
            return Err(WriteFailed);
        }
        let room = self.capacity.saturating_sub(self.in_flight);
        let mut n = bytes.len().min(room).min(good);
        if n > 0 {
            n = n.min(self.writes.next(&mut self.random));
        }
        if n == 0 {
            return Ok(0);
        }
        self.written.extend_from_slice(&bytes[..n]);
        let mut bytes = bytes[..n].to_vec();
        for (at, byte) in (begin..).zip(&mut bytes) {
            match self.changes.remove(&at) {
                Some(Change::Flip(bits)) => *byte ^= bits,
                Some(Change::Set(other)) => *byte = other,
                None => {}
            }
            if let Some((one_in, random)) = &mut self.noise {
                if random.below(u64::from(*one_in)) == 0 {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
        if let Some((cut, _)) = self.cut {
            bytes.truncate(usize::try_from(cut.saturating_sub(begin)).unwrap_or(usize::MAX));
        }
        if !self.is_dropped && !bytes.is_empty() {
            self.in_flight += bytes.len();
            self.flight.push_back(Parcel { due: now + self.latency, bytes, read: 0 });
        }
        Ok(n)
    }

    /// The writer ends its direction: a half-close, which arrives after all that was written. May be called again.
    pub fn close(&mut self, now: Timestamp) {
        if self.end.is_none() {
            self.end = Some(now + self.latency);
        }
    }

    /// Reads what has arrived by `now` into `buf`, one piece of it.
    pub fn read(&mut self, now: Timestamp, buf: &mut [u8]) -> Arrival {
        let left =
            self.cut.map_or(u64::MAX, |(cut, _)| cut.saturating_sub(self.received.len() as u64));
        if let (0, Some((_, ending))) = (left, self.cut) {
            self.is_heard = true;
            return ending;
        }
        if self.flight.front().is_none_or(|parcel| parcel.due > now) {
            if self.flight.is_empty() && self.end.is_some_and(|end| end <= now) {
                self.is_heard = true;
                return Arrival::Eof;
            }
            return Arrival::Nothing;
        }
        let most = buf.len().min(self.reads.next(&mut self.random));
        let most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut n = 0;
        while let Some(parcel) =
            self.flight.front_mut().filter(|parcel| n < most && parcel.due <= now)
        {
            let part = (most - n).min(parcel.bytes.len() - parcel.read);
            buf[n..n + part].copy_from_slice(&parcel.bytes[parcel.read..parcel.read + part]);
            parcel.read += part;
            n += part;
            if parcel.read == parcel.bytes.len() {
                self.flight.pop_front();
            }
        }
        self.in_flight -= n;
        self.received.extend_from_slice(&buf[..n]);
        Arrival::Bytes(n)
    }

    /// Nobody will read any more: what is on its way, and what is written from now on, is lost.
    pub fn discard(&mut self) {
        self.flight.clear();
        self.in_flight = 0;
        self.is_dropped = true;
    }

    /// When there is something to read, at the earliest; `None` if nothing is on its way.
    pub fn next_arrival(&self) -> Option<Timestamp> {
        if self.is_dropped || self.is_heard {
            return None;
        }
        if self.cut.is_some_and(|(cut, _)| cut <= self.received.len() as u64) {
            return Some(Timestamp::default());
        }
        self.flight.front().map(|parcel| parcel.due).or(self.end)
    }

    /// All bytes that were ever written to it, unharmed: the transcript of one direction.
    pub fn written(&self) -> &[u8] {
        &self.written
    }

    /// All bytes that were ever read from it, harmed as they were.
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Whether the writer has ended its direction.
    pub fn is_closed(&self) -> bool {
        self.end.is_some()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("written", &self.written.len())
            .field("in_flight", &self.in_flight)
            .field("received", &self.received.len())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
