//! Inflates compressed messages into messages or chunks (RFC 7692 6.2, 7.2.2), within the limits.

use alloc::boxed::Box;

use super::message::Coding;
use super::{Before, DataFrame, Fault, Received, Receiver, Reception, Result, Terms};
use crate::config::Delivery;
use crate::deflate::{Inflater, MaybeCodec, Step};
use crate::error::ProtocolError;
use crate::input::take_front;
use crate::mask;
use crate::message::{Chunk, Message, MessageKind};
use crate::utf8::InvalidUtf8;

/// In chunk delivery, the largest number of compressed bytes that are unmasked at a time.
const CHUNK_INPUT: usize = 4 * 1024;
/// The largest number of bytes that are inflated at a time.
const CHUNK_OUTPUT: usize = 16 * 1024;
/// The fewest bytes of room for a step of the inflater, unless the limit allows less.
const MIN_OUTPUT: usize = 256;
/// In chunk delivery, a buffer with more capacity than this is freed after each message.
const SPARE_BYTES: usize = 64 * 1024;

impl Receiver {
    /// Takes payload of a compressed message.
    #[inline(never)]
    pub(super) fn receive_compressed<'a>(
        &mut self,
        frame: DataFrame,
        input: &mut &'a mut [u8],
        terms: Terms<'_>,
        codec: &mut MaybeCodec,
    ) -> Reception<'a> {
        let inflater = negotiated(codec);
        let n = frame.available(input.len());
        match terms.config.delivery {
            Delivery::Messages => {
                let piece = take_front(input, n);
                mask::apply_mask(piece, frame.key);
                let message = self.inflate_message(piece, frame.ends_with(n), terms, inflater)?;
                self.move_place(frame, n, self.place_behind_frame(terms));
                Ok(message.map(Received::Message))
            }
            Delivery::Chunks | Delivery::Frames => {
                let n = n.min(CHUNK_INPUT);
                mask::apply_mask(&mut input[..n], frame.key);
                let step = self.inflate(&input[..n], CHUNK_OUTPUT, terms, inflater);
                // The bytes that the inflater did not take stay in the input, so they are masked again.
                let rest_key = mask::rotate_key(frame.key, step.used);
                mask::apply_mask(&mut input[step.used..n], rest_key);
                take_front(input, step.used);
                self.message.set_coding(match (frame.ends_with(step.used), step.full) {
                    (true, _) => Coding::InflatingEnd,
                    (false, true) => Coding::Inflating,
                    (false, false) => Coding::Compressed,
                });
                self.move_place(frame, step.used, self.place_behind_frame(terms));
                Ok(self.take_chunk(&step, false, terms)?.map(Received::Chunk))
            }
        }
    }

    /// In chunk delivery, returns the next chunk from bytes that the inflater has already taken.
    #[inline(never)]
    pub(super) fn drain_inflater(
        &mut self,
        terms: Terms<'_>,
        codec: &mut MaybeCodec,
    ) -> Result<Option<Chunk<'static>>, Box<Fault<'static>>> {
        loop {
            let coding = self.message.coding();
            match coding {
                Coding::Plain | Coding::Compressed => return Ok(None),
                Coding::Inflating | Coding::InflatingEnd => {}
            }
            let inflater = negotiated(codec);
            let mut step = self.inflate(&[], CHUNK_OUTPUT, terms, inflater);
            let mut end = false;
            if !step.full {
                self.message.set_coding(Coding::Compressed);
                if coding == Coding::InflatingEnd && step.verdict.is_ok() {
                    step.verdict = inflater.end_message();
                    end = step.verdict.is_ok();
                }
            }
            let chunk = self.take_chunk(&step, end, terms)?;
            if chunk.is_some() {
                return Ok(chunk);
            }
        }
    }

    /// Appends up to `room` inflated bytes to the message's buffer, but at most one byte more than the limit allows.
    fn inflate(
        &mut self,
        input: &[u8],
        room: usize,
        terms: Terms<'_>,
        inflater: &mut Inflater,
    ) -> Step {
        let message = &mut self.message;
        let limit = terms.config.max_message_bytes;
        let allowed = limit.saturating_sub(message.bytes).saturating_add(1);
        let room = usize::try_from(allowed).map_or(room, |allowed| allowed.min(room));
        let len = message.buf.len();
        if message.buf.capacity() - len < room {
            // The buffer grows by doubling, but not beyond what the limit allows.
            let most =
                usize::try_from(allowed).map_or(usize::MAX, |allowed| allowed.saturating_add(len));
            message.reserve(len.max(room).min(most - len));
        }
        let mut step = None;
        message.buf.append_with(room, |out| step.insert(inflater.step(input, out)).produced);
        let step = step.expect("`append_with` calls its closure");
        message.bytes += step.produced as u64;
        step
    }

    /// Checks the output of a step. The output is cut at the limit, so invalid text that is found lies before the
    /// limit. A fault in the compressed data lies behind all output of the step. So the text is checked first, then the
    /// size, then the data: the error is that of the earliest wrong byte.
    fn judge(&mut self, step: &Step, end: bool, terms: Terms<'_>) -> Result<(), ProtocolError> {
        let message = &mut self.message;
        let limit = terms.config.max_message_bytes;
        let too_big = message.bytes > limit;
        if too_big {
            let over = (message.bytes - limit) as usize;
            message.buf.truncate(message.buf.len() - over);
        }
        if message.kind() == MessageKind::Text {
            let whole = end && !too_big && step.verdict.is_ok();
            message.buf.check_utf8(whole).map_err(|InvalidUtf8| ProtocolError::InvalidUtf8)?;
        }
        if too_big {
            return Err(ProtocolError::MessageTooBig { len: limit.saturating_add(1), limit });
        }
        step.verdict.map_err(ProtocolError::from)
    }

    fn inflate_message(
        &mut self,
        piece: &[u8],
        end: bool,
        terms: Terms<'_>,
        inflater: &mut Inflater,
    ) -> Result<Option<Message<'static>>, ProtocolError> {
        let mut rest = piece;
        loop {
            let room = self.room_to_inflate(rest.len());
            let step = self.inflate(rest, room, terms, inflater);
            rest = &rest[step.used..];
            self.judge(&step, false, terms)?;
            if !step.full && rest.is_empty() {
                break;
            }
        }
        if !end {
            return Ok(None);
        }
        inflater.end_message()?;
        self.message.take_inflated().map(Some).map_err(|InvalidUtf8| ProtocolError::InvalidUtf8)
    }

    /// Returns the chunk that a step has made, if it completes a character or the message. If there is an error, the
    /// bytes before it are returned in [`Fault::before`].
    fn take_chunk(
        &mut self,
        step: &Step,
        end: bool,
        terms: Terms<'_>,
    ) -> Result<Option<Chunk<'static>>, Box<Fault<'static>>> {
        match self.judge(step, end, terms) {
            Ok(()) => {
                let chunk = self.message.take_chunk(end);
                if end && self.message.buf.capacity() > SPARE_BYTES {
                    self.message.free_memory();
                }
                Ok(chunk)
            }
            Err(error) => {
                if error == ProtocolError::InvalidUtf8 {
                    self.message.buf.check_up_to_fault();
                }
                let before = self.message.take_chunk(false).map(Before::Chunk);
                Err(Box::new(Fault { before, error }))
            }
        }
    }

    /// The room for the output of one step, if `input` compressed bytes are left. The room is zeroed first, which costs
    /// time, so it is not much larger than the usual output for text.
    fn room_to_inflate(&self, input: usize) -> usize {
        let spare = self.message.buf.capacity() - self.message.buf.len();
        let guess = input.saturating_mul(8).clamp(MIN_OUTPUT, CHUNK_OUTPUT);
        match spare {
            0..MIN_OUTPUT => guess,
            spare => guess.min(spare),
        }
    }
}

fn negotiated(codec: &mut MaybeCodec) -> &mut Inflater {
    let codec = codec.as_mut();
    codec.expect("RSV1 is refused unless permessage-deflate was negotiated").inflater()
}
