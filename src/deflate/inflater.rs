//! Received payloads, decompressed step by step into room that the caller gives (RFC 7692 7.2.2): how much comes out is
//! the caller's choice, so that limits hold while inflating.

use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

use super::Direction;
use super::history::History;

/// RFC 7692 7.2.2: what the sender has left out at the end of each message, and a byte behind it.
const TAIL_AND_MORE: [u8; 5] = [0x00, 0x00, 0xff, 0xff, 0x00];
/// An empty stored block, which changes nothing at a border between blocks.
const EMPTY: [u8; 5] = [0x00, 0x00, 0x00, 0xff, 0xff];

/// The compressed bytes that pay for a block that is marked as final: behind one, the window is copied.
const BYTES_PER_FINAL_BLOCK: u64 = 256;

pub(crate) struct Inflater {
    direction: Direction,
    /// Made when a message begins, freed when the connection is idle. It is this connection's alone.
    stream: Option<Inflate>,
    /// `stream` must begin anew, with what `history` holds, before it takes more.
    stale: bool,
    /// The window. Without context takeover it begins anew with each message.
    history: History,
    /// The last block was marked as final: the stream goes on in a new one, with the same window.
    ended: bool,
    /// In the middle of a message: bytes of it were taken.
    open: bool,
    /// The open message went on behind a final block, and the window was copied for that.
    restarted: bool,
    /// Compressed bytes that were taken since the connection began.
    taken: u64,
    /// How often the window was copied behind a final block since the connection began, less once for each message.
    final_blocks: u64,
    /// So many of them are free, beside one for each [`BYTES_PER_FINAL_BLOCK`] of `taken`.
    max_final_blocks: u64,
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
    pub(crate) verdict: Result<(), DeflateFault>,
}

/// What is wrong with compressed bytes that were received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeflateFault {
    /// They are not a DEFLATE stream, or it does not end with its message.
    Invalid,
    /// Too many of their blocks are marked as final.
    TooManyFinalBlocks { limit: u64 },
}

impl Inflater {
    pub(super) fn new(direction: Direction, max_final_blocks: u32) -> Inflater {
        Inflater {
            direction,
            stream: None,
            stale: false,
            // Old zlib that was asked for a window of 8 bits uses one of 9.
            history: History::new(direction.window_bits.max(9)),
            ended: false,
            open: false,
            restarted: false,
            taken: 0,
            final_blocks: 0,
            max_final_blocks: u64::from(max_final_blocks),
        }
    }

    /// Inflates from `input` into `out`, which is not empty.
    pub(crate) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Step {
        let mut step = Step { used: 0, produced: 0, full: false, verdict: Ok(()) };
        self.open |= !input.is_empty();
        loop {
            // RFC 7692 7.2.1: blocks that are marked as final may be anywhere, and the window survives them.
            if self.ended && step.used < input.len() {
                step.verdict = self.restart();
                if step.verdict.is_err() {
                    return step;
                }
            }
            let stream = ready(&mut self.stream, &mut self.stale, &self.history);
            let (total_in, total_out) = (stream.total_in(), stream.total_out());
            let room = &mut out[step.produced..];
            let result = stream.decompress(&input[step.used..], room, InflateFlush::NoFlush);
            let used = (stream.total_in() - total_in) as usize;
            let produced = (stream.total_out() - total_out) as usize;
            self.history.append(&room[..produced]);
            self.taken += used as u64;
            step.used += used;
            step.produced += produced;
            step.full = step.produced == out.len();
            match result {
                Ok(Status::StreamEnd) => {
                    self.ended = true;
                    step.full = false;
                }
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) => step.verdict = Err(DeflateFault::Invalid),
            }
            let more_input = step.used < input.len() && step.produced < out.len();
            if step.verdict.is_err() || !more_input {
                return step;
            }
            if (used, produced) == (0, 0) {
                step.verdict = Err(DeflateFault::Invalid);
                return step;
            }
        }
    }

    /// Goes on behind a final block. Each restart copies the window, for as few as two bytes, so restarts are limited.
    /// The first of each message is free: RFC 7692 7.2.3.4 ends a message by a final block and an empty one.
    fn restart(&mut self) -> Result<(), DeflateFault> {
        if !self.history.is_empty() && core::mem::replace(&mut self.restarted, true) {
            self.final_blocks += 1;
            let limit = self.max_final_blocks.saturating_add(self.taken / BYTES_PER_FINAL_BLOCK);
            if self.final_blocks > limit {
                return Err(DeflateFault::TooManyFinalBlocks { limit });
            }
        }
        self.ended = false;
        self.stale = true;
        Ok(())
    }

    /// The message is complete: it must have brought the stream into the empty block whose end is the tail.
    pub(crate) fn end_message(&mut self) -> Result<(), DeflateFault> {
        // RFC 7692 7.2.3.6: even an empty message has a byte.
        if !core::mem::take(&mut self.open) {
            return Err(DeflateFault::Invalid);
        }
        self.restarted = false;
        // A final block that ends with the message has brought the sender's bytes to their end already.
        if !self.ended {
            let stream = ready(&mut self.stream, &mut self.stale, &self.history);
            // With `Block` the codec stops at the border between blocks behind the tail: the byte there is not taken.
            if feed(stream, &TAIL_AND_MORE, InflateFlush::Block) != (Ok(Status::Ok), 4, 0) {
                return Err(DeflateFault::Invalid);
            }
            // A fixed or dynamic block may also end here, in the middle of a byte. The next block does not begin at a
            // byte then, and this empty one is not taken whole.
            self.ended = match feed(stream, &EMPTY, InflateFlush::NoFlush) {
                (Ok(Status::Ok), 5, 0) => false,
                // The block whose end is the tail was marked as final.
                (Ok(Status::StreamEnd), 0, 0) => true,
                _ => return Err(DeflateFault::Invalid),
            };
        }
        if self.direction.no_context_takeover {
            self.history.clear();
        }
        // The codec's window is larger than a small one that was agreed: what it still has beyond that must not decide
        // whether the next message is understood.
        self.stale = core::mem::take(&mut self.ended)
            || self.direction.no_context_takeover
            || self.direction.window_bits < 15;
        Ok(())
    }

    /// Whether there is something that [`release`](Inflater::release) frees.
    pub(super) fn owns_memory(&self) -> bool {
        !self.open
            && (self.stream.is_some()
                || (self.direction.no_context_takeover && self.history.owns_memory()))
    }

    /// Frees the codec, between messages; the window stays.
    pub(super) fn release(&mut self) {
        if self.open {
            return;
        }
        self.stream = None;
        self.stale = false;
        self.ended = false;
        if self.direction.no_context_takeover {
            self.history.release();
        }
    }
}

/// The codec, with the window that is needed.
///
/// Its own window is always the largest: zlib takes or refuses a distance beyond a smaller one depending on how the
/// output is cut, and the verdict must not depend on that.
fn ready<'a>(
    stream: &'a mut Option<Inflate>,
    stale: &mut bool,
    history: &History,
) -> &'a mut Inflate {
    let is_new = stream.is_none();
    let stream = stream.get_or_insert_with(|| Inflate::new(false, 15));
    if is_new || *stale {
        // A reset empties the window.
        stream.reset(false);
        for part in history.parts() {
            if !part.is_empty() {
                stream.set_dictionary(part).expect("raw DEFLATE takes a window at any border");
            }
        }
        *stale = false;
    }
    stream
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
