//! One direction of a simulated transport. It can delay, cut, change and lose the bytes that are written to it. Time is
//! an argument. [`Link`](super::Link) and its users write and read.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::random::Random;
use crate::timestamp::Timestamp;

/// How a stream of bytes is cut into reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ChunkSize {
    /// All bytes that are available and fit.
    #[default]
    Whole,
    /// At most this many bytes; 1 is byte by byte, and 0 means 1.
    Fixed(usize),
    /// Each time a random number of bytes from 1 to this one, by the wire's seed.
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

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "these are the outcomes of a read without blocking")]
pub enum Arrival {
    /// No bytes have arrived yet.
    Nothing,
    /// This many bytes, at least 1.
    Bytes(usize),
    /// The writer has ended its direction: call [`receive_eof`](crate::Connection::receive_eof).
    Eof,
    /// The transport is broken: call [`abort`](crate::Connection::abort).
    Broken,
}

/// A write has failed, and all later ones will: call [`write_closed`](crate::Connection::write_closed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "there is nothing to tell")]
pub struct WriteFailed;

impl fmt::Display for WriteFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer does not read any more")
    }
}

impl core::error::Error for WriteFailed {}

/// One direction of a simulated transport, with a record of all its bytes.
///
/// A new wire is perfect: written bytes arrive at once and whole. Its settings may be changed at any time. Its
/// behaviour depends only on the seed and the calls: the same calls give the same bytes in the same pieces. Offsets
/// count from the first byte that was ever written to the wire.
pub struct Wire {
    /// The writes that are not read whole, in order. A write is not read before the writes in front of it.
    flight: VecDeque<Parcel>,
    /// The number of unread bytes in `flight`.
    in_flight: usize,
    written: Vec<u8>,
    received: Vec<u8>,
    latency: Duration,
    capacity: usize,
    reads: ChunkSize,
    writes: ChunkSize,
    /// The changes to single bytes, by their offset.
    changes: BTreeMap<u64, Change>,
    noise: Option<(u32, Random)>,
    /// The offset at which the reader's stream ends, and how.
    cut: Option<(u64, Arrival)>,
    /// The offset from which on writes fail.
    failing: u64,
    /// The time when the writer's half-close arrives.
    end: Option<Timestamp>,
    /// Whether the reader has read the end.
    is_heard: bool,
    /// Whether the reader has dropped its end.
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
    /// Creates a perfect wire. The seed decides the random behaviour that is set later.
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

    /// Sets how arrived bytes are cut into reads.
    pub fn chunk_reads(&mut self, size: ChunkSize) -> &mut Wire {
        self.reads = size;
        self
    }

    /// Sets how many bytes a write accepts at most.
    pub fn chunk_writes(&mut self, size: ChunkSize) -> &mut Wire {
        self.writes = size;
        self
    }

    /// Sets how much later bytes arrive that are written from now on. Bytes never overtake each other.
    pub fn delay(&mut self, latency: Duration) -> &mut Wire {
        self.latency = latency;
        self
    }

    /// Limits the bytes in flight. A write at the limit accepts nothing until bytes are read.
    pub fn limit(&mut self, bytes: usize) -> &mut Wire {
        self.capacity = bytes;
        self
    }

    /// Flips the bits of the byte at `offset` that are set in `bits`. The byte must not be written yet.
    pub fn flip(&mut self, offset: u64, bits: u8) -> &mut Wire {
        self.changes.insert(offset, Change::Flip(bits));
        self
    }

    /// Replaces the byte at `offset`. It must not be written yet.
    pub fn replace(&mut self, offset: u64, byte: u8) -> &mut Wire {
        self.changes.insert(offset, Change::Set(byte));
        self
    }

    /// Flips one bit in about every `one_in`th byte that is written from now on, by `seed`. 0 flips none.
    pub fn corrupt(&mut self, one_in: u32, seed: u64) -> &mut Wire {
        self.noise = (one_in > 0).then(|| (one_in, Random::new(seed)));
        self
    }

    /// Lets the reader's stream end after `offset` bytes, whatever is written.
    pub fn truncate(&mut self, offset: u64) -> &mut Wire {
        self.cut = Some((offset, Arrival::Eof));
        self
    }

    /// Breaks the transport for the reader after `offset` bytes, whatever is written.
    pub fn break_off(&mut self, offset: u64) -> &mut Wire {
        self.cut = Some((offset, Arrival::Broken));
        self
    }

    /// Lets writes fail after `offset` written bytes, as if the peer were gone.
    pub fn fail_writes(&mut self, offset: u64) -> &mut Wire {
        self.failing = offset;
        self
    }

    /// Writes at `now`, and returns how many of the bytes were accepted; 0 means that the wire is full.
    ///
    /// # Errors
    ///
    /// After the offset that was given to [`fail_writes`](Wire::fail_writes).
    ///
    /// # Panics
    ///
    /// If the writer has called [`close`](Wire::close): a loop must not write after its own half-close.
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

    /// Half-closes the wire for its writer. The end arrives after all written bytes. May be called again.
    pub fn close(&mut self, now: Timestamp) {
        if self.end.is_none() {
            self.end = Some(now + self.latency);
        }
    }

    /// Reads one piece of the bytes that have arrived by `now` into `buf`.
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

    /// Drops the reader's end: bytes in flight, and bytes written from now on, are lost.
    pub fn discard(&mut self) {
        self.flight.clear();
        self.in_flight = 0;
        self.is_dropped = true;
    }

    /// The earliest time at which there is something to read; `None` if nothing is in flight.
    pub fn next_arrival(&self) -> Option<Timestamp> {
        if self.is_dropped || self.is_heard {
            return None;
        }
        if self.cut.is_some_and(|(cut, _)| cut <= self.received.len() as u64) {
            return Some(Timestamp::default());
        }
        self.flight.front().map(|parcel| parcel.due).or(self.end)
    }

    /// All bytes that were ever written to the wire, before any change: the transcript of one direction.
    pub fn written(&self) -> &[u8] {
        &self.written
    }

    /// All bytes that were ever read from the wire, after all changes.
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
