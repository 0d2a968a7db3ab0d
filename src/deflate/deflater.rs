//! Payloads to be sent, compressed (RFC 7692 7.2.1): the window that the peer follows never diverges from ours, because
//! whatever goes in here is sent.

use alloc::vec::Vec;

use zlib_rs::{DeflateFlush, Status};

use super::history::History;
use super::{Direction, pool};

pub(crate) struct Deflater {
    direction: Direction,
    level: u8,
    stream: Option<zlib_rs::Deflate>,
    /// The window. Without context takeover it stays empty.
    history: History,
}

impl Deflater {
    pub(super) fn new(direction: Direction, level: u8) -> Deflater {
        Deflater { direction, level, stream: None, history: History::new(direction.window_bits) }
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
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let mut stream = pool::deflate(self.level, self.direction.window_bits);
                for part in self.history.parts() {
                    if !part.is_empty() {
                        stream
                            .set_dictionary(part)
                            .expect("raw DEFLATE takes a window at any border");
                    }
                }
                self.stream.insert(stream)
            }
        };
        let begin = out.len();
        flush_into(stream, payload, out);
        if last {
            strip_tail(out, begin);
        }
        if self.direction.no_context_takeover {
            if last {
                self.forget();
            }
        } else {
            self.history.append(payload);
        }
    }

    /// Begins with an empty window: something was sent that this compressor has not seen.
    pub(crate) fn forget(&mut self) {
        self.history.release();
        self.release();
    }

    /// Whether there is something that [`release`](Deflater::release) frees.
    pub(super) fn owns_memory(&self) -> bool {
        self.stream.is_some()
    }

    /// Gives back the codec, between messages; the window stays.
    pub(super) fn release(&mut self) {
        if let Some(stream) = self.stream.take() {
            pool::give_deflate(self.level, self.direction.window_bits, stream);
        }
    }
}

/// A whole message, compressed with an empty window.
pub(crate) fn compress_alone(payload: &[u8], level: u8, window_bits: u8) -> Vec<u8> {
    let mut stream = pool::deflate(level, window_bits);
    let mut out = Vec::new();
    flush_into(&mut stream, payload, &mut out);
    strip_tail(&mut out, 0);
    pool::give_deflate(level, window_bits, stream);
    out
}

/// RFC 7692 7.2.1: compresses all of `payload` up to an empty stored block.
fn flush_into(stream: &mut zlib_rs::Deflate, mut payload: &[u8], out: &mut Vec<u8>) {
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
