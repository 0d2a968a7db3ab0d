//! Compresses payloads (RFC 7692 7.2.1). All that is compressed must be sent, so that the peer's window stays equal to
//! ours.

use alloc::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status};

use super::Direction;
use super::history::History;
use super::options::DEFAULT_MEMORY_LEVEL;

/// The most bytes that are overwritten. Above that a new compressor costs less.
const WIPE_BYTES: usize = 4 * 1024;
/// The level at which overwriting the window is not enough: zlib also follows links between old strings.
const UNWIPED_LEVEL: u8 = 9;
/// The level that stores messages in blocks without compression.
const STORED_LEVEL: u8 = 0;
/// The most bytes of a stored block (RFC 1951 3.2.4).
const MAX_STORED_BYTES: usize = 0xffff;
static ZEROS: [u8; WIPE_BYTES] = [0; WIPE_BYTES];

pub(crate) struct Deflater {
    direction: Direction,
    level: u8,
    memory_level: u8,
    /// Made when something is compressed, freed when the connection is idle. It is never used by another connection,
    /// since its output may depend on all that it has compressed before.
    stream: Option<Deflate>,
    /// The number of bytes that `stream` compressed since it was made or renewed.
    fed: usize,
    /// Whether the next payload begins with an empty window.
    restart: bool,
    /// The window, empty without context takeover and at level 0.
    history: History,
}

impl Deflater {
    pub(super) fn new(direction: Direction, level: u8, memory_level: u8) -> Deflater {
        Deflater {
            direction,
            level,
            memory_level,
            stream: None,
            fed: 0,
            restart: false,
            history: History::new(direction.window_bits),
        }
    }

    /// Whether this direction can be compressed. zlib has no raw DEFLATE with a window of 8 bits, and a larger one
    /// would violate the agreed limit. Messages are then sent uncompressed, which is always allowed.
    pub(crate) fn is_usable(&self) -> bool {
        self.direction.window_bits >= 9
    }

    /// The window size of what is sent, in bits.
    pub(crate) fn window_bits(&self) -> u8 {
        self.direction.window_bits
    }

    /// Compresses `payload`, flushes, and appends the result to `out`. `last` ends the message.
    pub(crate) fn compress(&mut self, payload: &[u8], last: bool, out: &mut Vec<u8>) {
        if self.level == STORED_LEVEL {
            return store(payload, last, out);
        }
        if core::mem::take(&mut self.restart) {
            self.renew();
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                self.fed = 0;
                let mut stream =
                    new_stream(self.level, self.memory_level, self.direction.window_bits);
                for part in self.history.parts() {
                    if !part.is_empty() {
                        stream
                            .set_dictionary(part)
                            .expect("raw DEFLATE takes a window at any border");
                        self.fed += part.len();
                    }
                }
                self.stream.insert(stream)
            }
        };
        let begin = out.len();
        flush_into(stream, payload, out);
        self.fed = self.fed.saturating_add(payload.len());
        if last {
            strip_tail(out, begin);
        }
        if !self.direction.no_context_takeover {
            self.history.append(payload);
        } else if last {
            self.restart = true;
        }
    }

    /// Makes the next payload begin with an empty window, because something was sent that this compressor has not seen.
    pub(crate) fn forget(&mut self) {
        self.history.free_memory();
        self.restart = true;
    }

    /// Whether there is something that [`free_memory`](Deflater::free_memory) frees.
    pub(super) fn owns_memory(&self) -> bool {
        self.stream.is_some()
    }

    /// Frees the compressor, between messages; the window stays.
    pub(super) fn free_memory(&mut self) {
        self.stream = None;
        self.restart = false;
    }

    /// Brings the compressor into the state of a new one. A reset leaves old bytes in the window's memory, and zlib
    /// reads up to 3 bytes beyond its input, so its output would depend on earlier messages. The old bytes are
    /// therefore overwritten with zeros.
    fn renew(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let window = 1 << self.direction.window_bits;
        // zlib allocates two windows.
        let dirty = self.fed.min(2 * window);
        if dirty > WIPE_BYTES || self.level == UNWIPED_LEVEL {
            self.stream = None;
            return;
        }
        stream.reset();
        for part in [dirty.min(window), dirty.saturating_sub(window)] {
            if part > 0 {
                stream.set_dictionary(&ZEROS[..part]).expect("the compressor was reset");
            }
        }
        stream.reset();
        self.fed = 0;
    }
}

/// Makes a compressor to raw DEFLATE with an empty window of 9 to 15 bits.
fn new_stream(level: u8, memory_level: u8, window_bits: u8) -> Deflate {
    Deflate::new_with_config(DeflateConfig {
        level: i32::from(level),
        mem_level: i32::from(memory_level),
        // zlib writes raw DEFLATE, without a header, if the number is negative.
        window_bits: -i32::from(window_bits),
        ..DeflateConfig::default()
    })
}

/// Appends `payload` in stored blocks (RFC 1951 3.2.4, RFC 7692 7.2.3.3). The peer's window has the payload afterwards,
/// but stored blocks do not refer to it. So this needs no compressor, and the bytes depend on nothing else.
fn store(payload: &[u8], last: bool, out: &mut Vec<u8>) {
    let blocks = payload.len().div_ceil(MAX_STORED_BYTES);
    out.reserve(payload.len() + 5 * blocks + 1);
    for block in payload.chunks(MAX_STORED_BYTES) {
        let len = block.len() as u16;
        out.push(0x00);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
    // RFC 7692 7.2.1: an empty stored block, whose last four bytes are removed.
    if last {
        out.push(0x00);
    }
}

/// Compresses a whole message by a new compressor, whose window is empty.
pub(crate) fn compress_alone(payload: &[u8], level: u8, window_bits: u8) -> Vec<u8> {
    let mut out = Vec::new();
    if level == STORED_LEVEL {
        store(payload, true, &mut out);
        return out;
    }
    let mut stream = new_stream(level, DEFAULT_MEMORY_LEVEL, window_bits);
    flush_into(&mut stream, payload, &mut out);
    strip_tail(&mut out, 0);
    out
}

/// The most bytes of one call: zlib counts with 32 bits. The tests need no 4 GiB.
const MOST_INPUT: usize = if cfg!(test) { 1_000 } else { u32::MAX as usize };

/// Compresses all of `payload`, and ends with an empty stored block (RFC 7692 7.2.1).
fn flush_into(stream: &mut Deflate, mut payload: &[u8], out: &mut Vec<u8>) {
    // Most text is compressed to less than half.
    let mut room = payload.len() / 2 + 64;
    loop {
        let at = out.len();
        out.resize(at + room, 0);
        let (used, produced) = (stream.total_in(), stream.total_out());
        let is_last = payload.len() <= MOST_INPUT;
        let (part, flush) = match is_last {
            true => (payload, DeflateFlush::SyncFlush),
            false => (&payload[..MOST_INPUT], DeflateFlush::NoFlush),
        };
        let result = stream.compress(part, &mut out[at..], flush);
        payload = &payload[(stream.total_in() - used) as usize..];
        out.truncate(at + (stream.total_out() - produced) as usize);
        match result {
            // Room is left, so all output was written.
            Ok(Status::Ok | Status::BufError) if is_last && out.len() < at + room => break,
            Ok(Status::BufError) if is_last => break,
            Ok(Status::Ok | Status::BufError) => room = payload.len() / 2 + 64,
            Ok(Status::StreamEnd) | Err(_) => {
                unreachable!("a flush neither ends a stream nor fails")
            }
        }
    }
    debug_assert!(payload.is_empty());
}

/// Removes the end of the empty stored block (RFC 7692 7.2.1). An empty message becomes the byte 0x00 (RFC 7692
/// 7.2.3.6).
fn strip_tail(out: &mut Vec<u8>, begin: usize) {
    if out[begin..].ends_with(&[0x00, 0x00, 0xff, 0xff]) {
        out.truncate(out.len() - 4);
    }
    if out.len() == begin {
        out.push(0x00);
    }
}

#[cfg(test)]
mod tests {
    use miniz_oxide::inflate::decompress_to_vec;

    use super::*;

    #[test]
    fn payloads_that_take_many_calls_are_compressed_whole() {
        let direction = Direction { window_bits: 15, no_context_takeover: false };
        for len in [0, 1, MOST_INPUT - 1, MOST_INPUT, MOST_INPUT + 1, 2 * MOST_INPUT, 7_777] {
            let mixed = (0..len as u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8);
            for payload in [mixed.collect(), alloc::vec![b'a'; len]] {
                for level in 1..=9 {
                    let mut deflater = Deflater::new(direction, level, DEFAULT_MEMORY_LEVEL);
                    let mut sent = Vec::new();
                    for _ in 0..2 {
                        deflater.compress(&payload, true, &mut sent);
                        sent.extend([0x00, 0x00, 0xff, 0xff]);
                    }
                    let mut alone = compress_alone(&payload, level, 15);
                    alone.extend([0x00, 0x00, 0xff, 0xff]);
                    for (mut bytes, expected) in
                        [(sent, payload.repeat(2)), (alone, payload.clone())]
                    {
                        bytes.extend([0x01, 0x00, 0x00, 0xff, 0xff]); // the last block of a stream
                        let received = decompress_to_vec(&bytes);
                        assert!(received.unwrap() == expected, "{len} bytes, level {level}");
                    }
                }
            }
        }
    }
}
