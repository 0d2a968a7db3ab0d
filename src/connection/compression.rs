//! Messages through the codecs (RFC 7692 6): which are compressed, how a compressed one becomes events, and that the
//! limits hold while it inflates.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Connection;
use crate::Shared;
use crate::assembler::Inflating;
use crate::config::{Config, Delivery};
use crate::deflate::{Codec, DEFAULT_MIN_BYTES, DeflateParams, Step};
use crate::error::{ProtocolError, UsageError};
use crate::event::{Event, Message};
use crate::frame::{FIN, RSV1};
use crate::mask;
use crate::prepared::{self, PreparedMessage};
use crate::state::Role;
use crate::utf8::InvalidUtf8;

/// Compressed bytes that are unmasked at a time, when what they inflate to is handed over in chunks.
const CHUNK_INPUT: usize = 4 * 1024;
/// The most that is inflated at a time.
const CHUNK_OUTPUT: usize = 16 * 1024;
/// The least.
const MIN_OUTPUT: usize = 256;
/// A larger buffer is not kept for the next message, unless the caller gives it back.
const SPARE_BYTES: usize = 64 * 1024;

impl Connection {
    /// An open connection with permessage-deflate, whose opening handshake was done elsewhere: see
    /// [`from_upgrade`](Connection::from_upgrade), [`Deflate::accept`](crate::Deflate::accept) and
    /// [`Deflate::agree`](crate::Deflate::agree). The level and threshold are those of [`Config::deflate`].
    ///
    /// # Errors
    ///
    /// As [`from_upgrade`](Connection::from_upgrade).
    pub fn from_upgrade_with_deflate(
        role: Role,
        params: DeflateParams,
        config: impl Into<Shared<Config>>,
    ) -> Result<Connection, UsageError> {
        let mut connection = Connection::from_upgrade(role, config)?;
        connection.use_deflate(Some(params));
        Ok(connection)
    }

    /// The parameters of permessage-deflate, if it was negotiated.
    pub fn deflate_params(&self) -> Option<DeflateParams> {
        self.codec.as_ref().map(|codec| codec.params)
    }

    /// Queues a message as it is, even where [`send`](Connection::send) would compress it: for secrets, whose size
    /// would tell (RFC 7692 8), and for what is compressed already.
    ///
    /// # Errors
    ///
    /// As [`send`](Connection::send).
    pub fn send_uncompressed<'m>(
        &mut self,
        message: impl Into<Message<'m>>,
    ) -> Result<(), UsageError> {
        self.send_plain(message.into())
    }

    pub(super) fn use_deflate(&mut self, params: Option<DeflateParams>) {
        self.codec = params.map(|params| {
            let defaults = crate::deflate::Deflate::default();
            let options = self.config.deflate.as_ref().unwrap_or(&defaults);
            Box::new(Codec::new(self.role, params, options))
        });
    }

    /// Whether a message of `len` bytes is to be compressed. It is decided before the compressor sees a byte, so that
    /// the peer's window never diverges from ours.
    #[inline]
    pub(super) fn compresses(&self, len: usize) -> bool {
        match &self.codec {
            Some(codec) => {
                let options = self.config.deflate.as_ref();
                let min_bytes = options.map_or(DEFAULT_MIN_BYTES, |options| options.min_bytes);
                len >= min_bytes && codec.deflater.is_usable()
            }
            None => false,
        }
    }

    pub(super) fn send_compressed(&mut self, message: Message<'_>) -> Result<(), UsageError> {
        let first = prepared::first_byte(message.kind()) | RSV1;
        let payload = message.into_payload();
        self.check_send(payload.len())?;
        self.push_compressed(first, &payload, Some(payload.len() as u64))
    }

    /// Queues a frame with `payload` compressed; `message` is the size of the message, if the frame ends it.
    fn push_compressed(
        &mut self,
        first: u8,
        payload: &[u8],
        message: Option<u64>,
    ) -> Result<(), UsageError> {
        let key = self.next_key()?;
        let codec = self.codec.as_mut().expect("only what was negotiated is compressed");
        codec.used = true;
        codec.compressed.clear();
        codec.deflater.compress(payload, first & FIN != 0, &mut codec.compressed);
        let len = payload.len() as u64;
        self.outgoing.push_compressor(first, &mut codec.compressed, key, len, message);
        if codec.compressed.capacity() > 2 * CHUNK_OUTPUT {
            codec.compressed = Vec::new();
        }
        self.note_queued();
        Ok(())
    }

    /// Whether the fragmented message that is being sent is compressed; one that begins now is.
    pub(super) fn compresses_fragment(&self) -> bool {
        match (&self.codec, self.outgoing.sending) {
            (Some(codec), Some(_)) => codec.sending.is_some(),
            (Some(codec), None) => codec.deflater.is_usable(),
            (None, _) => false,
        }
    }

    /// RFC 7692 6.1, 7.2.1: RSV1 on the first fragment alone, and the tail left out at the end of the last.
    pub(super) fn send_compressed_fragment(
        &mut self,
        first: u8,
        payload: &[u8],
    ) -> Result<(), UsageError> {
        let codec = self.codec.as_mut().expect("only what was negotiated is compressed");
        let bytes = codec.sending.unwrap_or(0) + payload.len() as u64;
        let fin = first & FIN != 0;
        let rsv1 = if codec.sending.is_none() { RSV1 } else { 0 };
        self.push_compressed(first | rsv1, payload, fin.then_some(bytes))?;
        if let Some(codec) = &mut self.codec {
            codec.sending = (!fin).then_some(bytes);
        }
        Ok(())
    }

    /// Queues a prepared message compressed; what it was compressed with was an empty window, and so ours is
    /// afterwards.
    pub(super) fn send_prepared_compressed(
        &mut self,
        message: &PreparedMessage,
    ) -> Result<(), UsageError> {
        let len = message.payload().len();
        self.check_send(len)?;
        let key = self.next_key()?;
        let codec = self.codec.as_mut().expect("only what was negotiated is compressed");
        codec.used = true;
        let frame = message.compressed(codec.deflater.window_bits());
        codec.deflater.forget();
        match key {
            None => self.outgoing.push_shared_compressed(frame.bytes(), len as u64),
            Some(_) => {
                let first = prepared::first_byte(message.kind()) | RSV1;
                self.outgoing.push_compressed(
                    first,
                    frame.payload(),
                    key,
                    len as u64,
                    Some(len as u64),
                );
            }
        }
        self.note_queued();
        Ok(())
    }

    /// Payload of a compressed message, of which `left` bytes of the frame are to come.
    pub(super) fn receive_compressed<'a>(
        &mut self,
        first: u8,
        key: [u8; 4],
        left: u64,
        input: &mut &'a mut [u8],
    ) -> Option<Event<'a>> {
        let fin = first & FIN != 0;
        let n = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        match self.config.delivery {
            Delivery::Messages => {
                let piece = self.take_payload(input, n, (first, key, left));
                mask::apply_mask(piece, key);
                match self.inflate_message(piece, fin && left == n as u64) {
                    Ok(message) => message.map(Event::Message),
                    Err(error) => Some(self.fail(error)),
                }
            }
            Delivery::Chunks => {
                let n = n.min(CHUNK_INPUT);
                mask::apply_mask(&mut input[..n], key);
                let step = self.inflate_step(&input[..n], CHUNK_OUTPUT);
                // What the inflater did not take is the caller's, as it came.
                mask::apply_mask(&mut input[step.used..n], mask::rotate_key(key, step.used));
                self.take_payload(input, step.used, (first, key, left));
                let end = fin && left == step.used as u64;
                self.message.inflating = match (end, step.full) {
                    (true, _) => Inflating::End,
                    (false, true) => Inflating::Part,
                    (false, false) => Inflating::Nothing,
                };
                self.hand_over_chunk(&step, false)
            }
        }
    }

    /// In chunk delivery: what the inflater still holds of bytes that it has taken.
    pub(super) fn drain_inflater(&mut self) -> Option<Event<'static>> {
        while self.message.inflating != Inflating::Nothing {
            let mut step = self.inflate_step(&[], CHUNK_OUTPUT);
            let mut end = false;
            if !step.full {
                let all = core::mem::take(&mut self.message.inflating) == Inflating::End;
                if all && step.verdict.is_ok() {
                    step.verdict = self.codec_mut().inflater.end_message();
                    end = step.verdict.is_ok();
                }
            }
            if let Some(event) = self.hand_over_chunk(&step, end) {
                return Some(event);
            }
        }
        None
    }

    fn codec_mut(&mut self) -> &mut Codec {
        self.codec.as_mut().expect("only what was negotiated is inflated")
    }

    /// Inflates up to `room` bytes behind what is there of the message, but no more than one over the limit.
    fn inflate_step(&mut self, input: &[u8], room: usize) -> Step {
        let limit = self.max_message_bytes();
        let allowed = limit.saturating_sub(self.message.bytes).saturating_add(1);
        let room = usize::try_from(allowed).map_or(room, |allowed| allowed.min(room));
        let codec = self.codec.as_mut().expect("only what was negotiated is inflated");
        codec.used = true;
        let message = &mut self.message;
        let len = message.buf.len();
        if message.buf.capacity() - len < room {
            // It grows by doubling, but not beyond what the limit lets come out.
            let most =
                usize::try_from(allowed).map_or(usize::MAX, |allowed| allowed.saturating_add(len));
            message.reserve(len.max(room).min(most - len));
        }
        let mut step = None;
        self.message
            .buf
            .append_with(room, |out| step.insert(codec.inflater.step(input, out)).produced);
        let step = step.expect("the step was made");
        self.message.bytes += step.produced as u64;
        step
    }

    /// The verdict on what a step has produced, in the order of the message's bytes: its text, its size, its coding.
    fn judge(&mut self, step: &Step, end: bool) -> Result<(), ProtocolError> {
        let limit = self.max_message_bytes();
        let too_big = self.message.bytes > limit;
        if too_big {
            let over = (self.message.bytes - limit) as usize;
            self.message.buf.truncate(self.message.buf.len() - over);
        }
        if self.message.is_text() {
            let whole = end && !too_big && step.verdict.is_ok();
            self.message.buf.check_utf8(whole).map_err(|InvalidUtf8| ProtocolError::InvalidUtf8)?;
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
    ) -> Result<Option<Message<'static>>, ProtocolError> {
        let mut rest = piece;
        loop {
            let room = self.message.room_to_inflate(rest.len());
            let step = self.inflate_step(rest, room);
            rest = &rest[step.used..];
            self.judge(&step, false)?;
            if !step.full && rest.is_empty() {
                break;
            }
        }
        if !end {
            return Ok(None);
        }
        self.codec_mut().inflater.end_message()?;
        self.message.take_inflated().map(Some).map_err(|InvalidUtf8| ProtocolError::InvalidUtf8)
    }

    /// The chunk that a step has made, if any. If something is wrong, what was right before it is handed over first.
    fn hand_over_chunk(&mut self, step: &Step, end: bool) -> Option<Event<'static>> {
        match self.judge(step, end) {
            Ok(()) => {
                let chunk = self.message.take_chunk(end);
                if end && self.message.buf.capacity() > SPARE_BYTES {
                    self.message.release();
                }
                chunk.map(Event::Chunk)
            }
            Err(error) => {
                if error == ProtocolError::InvalidUtf8 {
                    self.message.buf.check_up_to_fault();
                }
                let chunk = self.message.take_chunk(false);
                Some(self.fail_after(chunk, error))
            }
        }
    }
}

impl crate::assembler::Assembler {
    /// How much to inflate at a time from `input` bytes: into the room that is there, but not much more than text
    /// usually comes to, since room is cleared before it is written.
    fn room_to_inflate(&self, input: usize) -> usize {
        let spare = self.buf.capacity() - self.buf.len();
        let guess = input.saturating_mul(8).clamp(MIN_OUTPUT, CHUNK_OUTPUT);
        match spare {
            0..MIN_OUTPUT => guess,
            spare => guess.min(spare),
        }
    }
}
