//! Decompresses received payloads step by step (RFC 7692 7.2.2). The caller gives the room for each step, so that
//! limits hold while inflating.

use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

use super::Direction;
use super::history::History;

/// The four bytes that the sender removes from the end of each message (RFC 7692 7.2.2), and one byte more.
const TAIL_AND_MORE: [u8; 5] = [0x00, 0x00, 0xff, 0xff, 0x00];
/// An empty stored block. Between two blocks it has no effect.
const EMPTY: [u8; 5] = [0x00, 0x00, 0x00, 0xff, 0xff];

/// The number of compressed bytes that allow one more final block. Behind a final block the window is copied.
const BYTES_PER_FINAL_BLOCK: u64 = 256;

pub(crate) struct Inflater {
    direction: Direction,
    /// Made when a message begins, freed when the connection is idle. It is never used by another connection.
    stream: Option<Inflate>,
    /// Whether `stream` must be reset, and get the window from `history`, before it is used.
    stale: bool,
    /// The window. Without context takeover it is emptied after each message.
    history: History,
    /// Whether the inflater was used since the last call of [`take_used`](Inflater::take_used).
    is_used: bool,
    /// The last block was marked as final: the next byte begins a new stream with the same window.
    ended: bool,
    /// Whether a message has begun and not ended.
    open: bool,
    /// Whether the open message has continued behind a final block.
    restarted: bool,
    /// The number of compressed bytes that were read since the connection began.
    taken: u64,
    /// How often the window was copied behind a final block since the connection began. The first copy in each message
    /// does not count.
    final_blocks: u64,
    /// The base limit of `final_blocks`. Each [`BYTES_PER_FINAL_BLOCK`] bytes of `taken` add one.
    max_final_blocks: u64,
}

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// The number of input bytes that were read.
    pub(crate) used: usize,
    /// The number of bytes that were written.
    pub(crate) produced: usize,
    /// Whether the room was used up, so that more output may come without more input.
    pub(crate) full: bool,
    /// The error, if the input behind the `used` bytes is refused.
    pub(crate) verdict: Result<(), DeflateFault>,
}

/// Why received compressed bytes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeflateFault {
    /// They are not a DEFLATE stream, or the message ends in the middle of a block.
    Invalid,
    /// Too many blocks are final.
    TooManyFinalBlocks { limit: u64 },
}

impl Inflater {
    pub(super) fn new(direction: Direction, max_final_blocks: u32) -> Inflater {
        Inflater {
            direction,
            stream: None,
            stale: false,
            is_used: false,
            // A peer with an old zlib that has agreed on a window of 8 bits compresses with one of 9.
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
        self.is_used = true;
        self.open |= !input.is_empty();
        loop {
            // RFC 7692 7.2.1: any block may be final, and the window is kept behind it.
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

    /// Continues behind a final block. This copies the window, and a final block may be as short as two bytes, so the
    /// number of copies is limited. The first copy in each message does not count: in RFC 7692 7.2.3.4 a message ends
    /// with a final block and then an empty block, so even a normal message continues once.
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

    /// Ends the message. With the four removed bytes appended, it must end between two blocks.
    pub(crate) fn end_message(&mut self) -> Result<(), DeflateFault> {
        // RFC 7692 7.2.3.6: even an empty message has one byte.
        if !core::mem::take(&mut self.open) {
            return Err(DeflateFault::Invalid);
        }
        self.restarted = false;
        // Behind a final block the sender removes no bytes, so none are added.
        if !self.ended {
            let stream = ready(&mut self.stream, &mut self.stale, &self.history);
            // With `Block` the codec stops between two blocks, behind the four bytes. It must not read the fifth.
            if feed(stream, &TAIL_AND_MORE, InflateFlush::Block) != (Ok(Status::Ok), 4, 0) {
                return Err(DeflateFault::Invalid);
            }
            // If the message was cut in the middle of a Huffman block, our four bytes may complete this block. It then
            // ends inside the fourth byte. To detect this, `EMPTY` is fed next. The codec is not at a byte border then,
            // so it does not read `EMPTY` as one empty block.
            self.ended = match feed(stream, &EMPTY, InflateFlush::NoFlush) {
                (Ok(Status::Ok), 5, 0) => false,
                // The block that ends with the four bytes is final.
                (Ok(Status::StreamEnd), 0, 0) => true,
                _ => return Err(DeflateFault::Invalid),
            };
        }
        if self.direction.no_context_takeover {
            self.history.clear();
        }
        // The codec's own window may be larger than the agreed one. So it may still have bytes of earlier messages that
        // are outside the agreed window. The next message must not refer to them.
        self.stale = core::mem::take(&mut self.ended)
            || self.direction.no_context_takeover
            || self.direction.window_bits < 15;
        Ok(())
    }

    /// Whether it was used since the last call.
    pub(super) fn take_used(&mut self) -> bool {
        core::mem::take(&mut self.is_used)
    }

    /// Whether there is something that [`free_memory`](Inflater::free_memory) frees.
    pub(super) fn owns_memory(&self) -> bool {
        !self.open
            && (self.stream.is_some()
                || (self.direction.no_context_takeover && self.history.owns_memory()))
    }

    /// Frees the codec, between messages. With context takeover, the window stays.
    pub(super) fn free_memory(&mut self) {
        if self.open {
            return;
        }
        self.stream = None;
        self.stale = false;
        self.ended = false;
        if self.direction.no_context_takeover {
            self.history.free_memory();
        }
    }
}

/// Returns the codec with the right window.
///
/// The codec's own window is always the largest. With a smaller one, zlib accepts or refuses a far distance depending
/// on how the output is cut, and the verdict must not depend on that.
fn ready<'a>(
    stream: &'a mut Option<Inflate>,
    stale: &mut bool,
    history: &History,
) -> &'a mut Inflate {
    let is_new = stream.is_none();
    let stream = stream.get_or_insert_with(|| Inflate::new(false, 15));
    if is_new || *stale {
        // The reset empties the codec's window, so it is filled again from the history.
        stream.reset(false);
        for part in history.parts() {
            if !part.is_empty() {
                stream
                    .set_dictionary(part)
                    .expect("raw DEFLATE accepts a window between any two blocks");
            }
        }
        *stale = false;
    }
    stream
}

/// Feeds bytes that should produce no output. Returns the result, and how many bytes were read and written.
fn feed(
    stream: &mut Inflate,
    bytes: &[u8],
    flush: InflateFlush,
) -> (Result<Status, InflateError>, u64, u64) {
    let before = (stream.total_in(), stream.total_out());
    let result = stream.decompress(bytes, &mut [0], flush);
    (result, stream.total_in() - before.0, stream.total_out() - before.1)
}
