//! Received payloads, decompressed step by step into room that the caller gives (RFC 7692 7.2.2): how much comes out is
//! the caller's choice, so that limits hold while inflating.

use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

use super::history::History;
use super::{Direction, InvalidDeflate, pool};

/// RFC 7692 7.2.2: what the sender has left out at the end of each message, and a byte behind it.
const TAIL_AND_MORE: [u8; 5] = [0x00, 0x00, 0xff, 0xff, 0x00];
/// An empty stored block, which changes nothing at a border between blocks.
const EMPTY: [u8; 5] = [0x00, 0x00, 0x00, 0xff, 0xff];

pub(crate) struct Inflater {
    direction: Direction,
    /// Made when a message begins; given back when it ends, or when the connection is idle.
    stream: Option<Inflate>,
    /// The window. Without context takeover it begins anew with each message.
    history: History,
    /// The last block was marked as final: the stream goes on in a new one, with the same window.
    ended: bool,
    /// In the middle of a message: bytes of it were taken.
    open: bool,
}

/// What came of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes of the input that are used.
    pub(crate) used: usize,
    /// Bytes that were written.
    pub(crate) produced: usize,
    /// There may be more to come without more input: the room was used up.
    pub(crate) full: bool,
    /// What follows these bytes.
    pub(crate) verdict: Result<(), InvalidDeflate>,
}

impl Inflater {
    pub(super) fn new(direction: Direction) -> Inflater {
        Inflater {
            direction,
            stream: None,
            // Old zlib that was asked for a window of 8 bits uses one of 9.
            history: History::new(direction.window_bits.max(9)),
            ended: false,
            open: false,
        }
    }

    /// Inflates from `input` into `out`, which is not empty.
    pub(crate) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        let mut step = Step { used: 0, produced: 0, full: false, verdict: Ok(()) };
        self.open |= !input.is_empty();
        loop {
            // RFC 7692 7.2.1: blocks that are marked as final may be anywhere, and the window survives them.
            if self.ended && step.used < input.len() {
                self.restart();
            }
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => self.stream.insert(revive(&self.history)),
            };
            let (total_in, total_out) = (stream.total_in(), stream.total_out());
            let room = &mut out[step.produced..];
            let result = stream.decompress(&input[step.used..], room, InflateFlush::NoFlush);
            let used = (stream.total_in() - total_in) as usize;
            let produced = (stream.total_out() - total_out) as usize;
            self.history.append(&room[..produced]);
            step.used += used;
            step.produced += produced;
            step.full = step.produced == out.len();
            match result {
                Ok(Status::StreamEnd) => {
                    self.ended = true;
                    step.full = false;
                }
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => step.verdict = Err(InvalidDeflate),
            }
            let more_input = step.used < input.len() && step.produced < out.len();
            if step.verdict.is_err() || !more_input {
                return step;
            }
            if (used, produced) == (0, 0) {
                step.verdict = Err(InvalidDeflate);
                return step;
            }
        }
    }

    /// The message is complete: it must have brought the stream into the empty block whose end is the tail.
    pub(crate) fn end_message(&mut self) -> Result<(), InvalidDeflate> {
        // RFC 7692 7.2.3.6: even an empty message has a byte.
        if !core::mem::take(&mut self.open) {
            return Err(InvalidDeflate);
        }
        // A final block that ends with the message has brought the sender's bytes to their end already.
        if !self.ended {
            let stream = self.stream.get_or_insert_with(|| revive(&self.history));
            // With `Block` the codec stops at the border between blocks behind the tail: the byte there is not taken.
            if feed(stream, &TAIL_AND_MORE, InflateFlush::Block) != (Ok(Status::Ok), 4, 0) {
                return Err(InvalidDeflate);
            }
            // A block that is no stored one could end there too, in the middle of a byte: then this is none either.
            self.ended = match feed(stream, &EMPTY, InflateFlush::NoFlush) {
                (Ok(Status::Ok), 5, 0) => false,
                // The block whose end is the tail was marked as final.
                (Ok(Status::StreamEnd), 0, 0) => true,
                _ => return Err(InvalidDeflate),
            };
        }
        // The codec's window is larger than a small one that was agreed: what it still has beyond that must not decide
        // whether the next message is understood.
        let is_forgotten = self.direction.no_context_takeover || self.direction.window_bits < 15;
        if self.direction.no_context_takeover {
            self.history.clear();
        }
        if is_forgotten {
            self.ended = false;
            if let Some(stream) = self.stream.take() {
                pool::give_inflate(stream);
            }
        }
        Ok(())
    }

    /// Whether there is something that [`release`](Inflater::release) frees.
    pub(super) fn owns_memory(&self) -> bool {
        !self.open
            && (self.stream.is_some()
                || (self.direction.no_context_takeover && self.history.owns_memory()))
    }

    /// Gives back the codec, between messages; the window stays.
    pub(super) fn release(&mut self) {
        if self.open {
            return;
        }
        if let Some(stream) = self.stream.take() {
            pool::give_inflate(stream);
            self.ended = false;
        }
        if self.direction.no_context_takeover {
            self.history.release();
        }
    }

    fn restart(&mut self) {
        self.ended = false;
        if let Some(stream) = &mut self.stream {
            stream.reset(false);
            remember(stream, &self.history);
        }
    }
}

/// Feeds bytes that should give nothing: the result, and how many were taken and written.
fn feed(
    stream: &mut Inflate,
    bytes: &[u8],
    flush: InflateFlush,
) -> (Result<Status, InflateError>, u64, u64) {
    let before = (stream.total_in(), stream.total_out());
    let result = stream.decompress(bytes, &mut [0], flush);
    (result, stream.total_in() - before.0, stream.total_out() - before.1)
}

fn revive(history: &History) -> Inflate {
    let mut stream = pool::inflate();
    remember(&mut stream, history);
    stream
}

fn remember(stream: &mut Inflate, history: &History) {
    for part in history.parts() {
        if !part.is_empty() {
            stream.set_dictionary(part).expect("raw DEFLATE takes a window at any border");
        }
    }
}
