//! Payloads to be sent, compressed (RFC 7692 7.2.1): the window that the peer follows never diverges from ours, because
//! whatever goes in here is sent.

use alloc::vec::Vec;

use zlib_rs::{Deflate, DeflateFlush, Status};

use super::Direction;
use super::history::History;

/// A window that holds more than this is not wiped: a new compressor costs less.
const WIPE_BYTES: usize = 4 * 1024;
/// At this level zlib also follows links between strings that it has not come to yet, which a wipe does not undo.
const UNWIPED_LEVEL: u8 = 9;
static ZEROS: [u8; WIPE_BYTES] = [0; WIPE_BYTES];

pub(crate) struct Deflater {
    direction: Direction,
    level: u8,
    /// Made when something is compressed, freed when the connection is idle. It is this connection's alone: what it
    /// emits may depend on whatever went through it before.
    stream: Option<Deflate>,
    /// Bytes that went through `stream` since it was new, or as new.
    fed: usize,
    /// What is compressed next begins with an empty window.
    restart: bool,
    /// The window. Without context takeover it stays empty.
    history: History,
}

impl Deflater {
    pub(super) fn new(direction: Direction, level: u8) -> Deflater {
        Deflater {
            direction,
            level,
            stream: None,
            fed: 0,
            restart: false,
            history: History::new(direction.window_bits),
        }
    }

    /// Whether this direction can be compressed: raw DEFLATE cannot be had with a window of 8 bits, and a larger one
    /// would break the agreement. Messages then go as they are, which is always allowed.
    pub(crate) fn is_usable(&self) -> bool {
        self.direction.window_bits >= 9
    }

    /// The agreed window of what is sent.
    pub(crate) fn window_bits(&self) -> u8 {
        self.direction.window_bits
    }

    /// Appends `payload`, compressed and flushed, to `out`; `last` ends the message.
    pub(crate) fn compress(&mut self, payload: &[u8], last: bool, out: &mut Vec<u8>) {
        if core::mem::take(&mut self.restart) {
            self.renew();
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                self.fed = 0;
                let mut stream = new_stream(self.level, self.direction.window_bits);
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

    /// What is compressed next begins with an empty window: something was sent that this compressor has not seen.
    pub(crate) fn forget(&mut self) {
        self.history.release();
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

    /// Makes the compressor as new. A reset leaves the window's bytes in memory, and zlib reads them beyond the end of
    /// its input. Its output would then depend on earlier messages, which no context takeover is to prevent. So the
    /// bytes are overwritten with zeros, as in a new window.
    fn renew(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let window = 1 << self.direction.window_bits;
        // The compressor's memory is two windows.
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

/// A compressor to raw DEFLATE with an empty window of 9 to 15 bits.
fn new_stream(level: u8, window_bits: u8) -> Deflate {
    Deflate::new(i32::from(level), false, window_bits)
}

/// A whole message, compressed with an empty window by a compressor that is made for it.
pub(crate) fn compress_alone(payload: &[u8], level: u8, window_bits: u8) -> Vec<u8> {
    let mut stream = new_stream(level, window_bits);
    let mut out = Vec::new();
    flush_into(&mut stream, payload, &mut out);
    strip_tail(&mut out, 0);
    out
}

/// RFC 7692 7.2.1: compresses all of `payload` up to an empty stored block.
fn flush_into(stream: &mut Deflate, mut payload: &[u8], out: &mut Vec<u8>) {
    // Most text comes to less than half.
    let mut room = payload.len() / 2 + 64;
    loop {
        let at = out.len();
        out.resize(at + room, 0);
        let (used, produced) = (stream.total_in(), stream.total_out());
        let result = stream.compress(payload, &mut out[at..], DeflateFlush::SyncFlush);
        payload = &payload[(stream.total_in() - used) as usize..];
        out.truncate(at + (stream.total_out() - produced) as usize);
        match result {
            // Room is left: everything is out.
            Ok(Status::Ok | Status::BufError) if out.len() < at + room => break,
            Ok(Status::Ok) => room = payload.len() / 2 + 64,
            Ok(Status::BufError) => break,
            Ok(Status::StreamEnd) | Err(_) => {
                unreachable!("a flush neither ends a stream nor fails")
            }
        }
    }
    debug_assert!(payload.is_empty());
}

/// RFC 7692 7.2.1: the end of the empty stored block is left out; 7.2.3.6: nothing at all goes as 00.
fn strip_tail(out: &mut Vec<u8>, begin: usize) {
    if out[begin..].ends_with(&[0x00, 0x00, 0xff, 0xff]) {
        out.truncate(out.len() - 4);
    }
    if out.len() == begin {
        out.push(0x00);
    }
}
