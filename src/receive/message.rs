//! The message that is open: its kind, its size so far, and its bytes if it is delivered whole. Its memory grows with what
//! has arrived, never with what was declared. Inflating is in `inflating`.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::time::Duration;

use super::DataFrame;
use crate::frame::{FirstByte, Sequence};
use crate::last_use::LastUse;
use crate::mask;
use crate::message::{Chunk, Marks, Message, MessageKind};
use crate::timestamp::Timestamp;
use crate::utf8::{self, InvalidUtf8, PayloadBuf, Utf8Carry};

/// The message that is open, and the memory for messages.
#[derive(Default)]
pub(super) struct OpenMessage {
    /// What has arrived of a message that is delivered whole, or that is compressed.
    pub(super) buf: PayloadBuf,
    /// Payload bytes that the frames so far have declared; of a compressed message, bytes that it has inflated to.
    pub(super) bytes: u64,
    /// Frames so far. 0 between messages.
    fragments: u32,
    /// In chunk delivery, the front of a character whose rest the next piece brings. A compressed message has it in
    /// `buf`.
    carry: Utf8Carry,
    /// What the first frame has said. `None` between messages.
    open: Option<Open>,
    memory: Memory,
    /// When something was received last.
    last_use: LastUse,
}

#[derive(Clone, Copy)]
struct Open {
    kind: MessageKind,
    coding: Coding,
    chunks: Chunks,
}

/// How the payload of the open message is coded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    /// Compressed (RFC 7692 6), and the inflater has handed over all bytes that it has taken.
    #[cfg(feature = "deflate")]
    Compressed,
    /// In chunk delivery: the inflater may hold more of the bytes that it has taken.
    #[cfg(feature = "deflate")]
    Inflating,
    /// The same, and it has taken the end of the message.
    #[cfg(feature = "deflate")]
    InflatingEnd,
}

/// Whether a chunk of the open message was delivered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chunks {
    None,
    Some,
}

/// Where the memory of `buf` comes from.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Memory {
    #[default]
    Own,
    /// The caller has given it back, and it did not have to grow since.
    Recycled,
}

impl OpenMessage {
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn fragments(&self) -> u32 {
        self.fragments
    }

    /// What a data frame may be now.
    #[inline]
    pub(super) fn sequence(&self) -> Sequence {
        match self.open {
            None => Sequence::Between,
            Some(Open { coding: Coding::Plain, .. }) => Sequence::Within { bytes: self.bytes },
            #[cfg(feature = "deflate")]
            Some(_) => Sequence::WithinCompressed,
        }
    }

    /// A data frame of `len` bytes begins.
    #[inline]
    pub(super) fn begin_frame(&mut self, first: FirstByte, len: u64) {
        debug_assert!(first.begins_message() != self.is_open(), "the rules for frames hold");
        self.fragments += 1;
        if first.begins_message() {
            let coding = match first.is_compressed() {
                #[cfg(feature = "deflate")]
                true => Coding::Compressed,
                _ => Coding::Plain,
            };
            let kind = if first.is_text() { MessageKind::Text } else { MessageKind::Binary };
            self.open = Some(Open { kind, coding, chunks: Chunks::None });
            if coding == Coding::Plain {
                self.bytes = len;
            }
        } else if matches!(self.open, Some(Open { coding: Coding::Plain, .. })) {
            self.bytes += len;
        }
    }

    pub(super) fn kind(&self) -> MessageKind {
        self.open.expect("payload belongs to an open message").kind
    }

    /// Takes `piece` of the payload of `frame`, masked. Returns the message if `piece` is its end: borrowed, if all of it
    /// was in this piece.
    #[inline(always)]
    pub(super) fn assemble<'a>(
        &mut self,
        piece: &'a mut [u8],
        frame: DataFrame,
    ) -> Result<Option<Message<'a>>, InvalidUtf8> {
        let end = frame.ends_with(piece.len());
        let key = frame.key;
        if end && self.buf.is_empty() {
            let message = match self.kind() {
                MessageKind::Text => {
                    Message::Text(Cow::Borrowed(utf8::unmask(piece, key).ok_or(InvalidUtf8)?))
                }
                MessageKind::Binary => {
                    mask::apply_mask(piece, key);
                    Message::Binary(Cow::Borrowed(piece))
                }
            };
            self.finish();
            return Ok(Some(message));
        }
        self.grow(piece.len(), frame);
        let text = self.kind() == MessageKind::Text;
        match text {
            true => self.buf.append_masked_text(piece, key, end)?,
            false => self.buf.append_masked(piece, key),
        }
        if !end {
            return Ok(None);
        }
        let message = match text {
            true => Message::Text(Cow::Owned(self.buf.take_string())),
            false => Message::Binary(Cow::Owned(self.buf.take_bytes())),
        };
        self.memory = Memory::Own;
        self.finish();
        Ok(Some(message))
    }

    /// Makes room for `n` more bytes.
    pub(super) fn reserve(&mut self, n: usize) {
        if self.buf.capacity() - self.buf.len() < n {
            self.memory = Memory::Own;
        }
        self.buf.reserve(n);
    }

    /// Uses the memory of `bytes` for a message to come, if that is more than there is.
    pub(super) fn recycle(&mut self, bytes: Vec<u8>) {
        if !self.is_open() && bytes.capacity() > self.buf.capacity() {
            self.buf.replace_memory(bytes);
            self.memory = Memory::Recycled;
        }
    }

    /// Frees the memory if nothing was received for the time `after`; otherwise returns when that will be.
    pub(super) fn free_unused(
        &mut self,
        now: Timestamp,
        after: Duration,
        received: bool,
    ) -> Option<Timestamp> {
        match self.last_use.observe(now, after, received) {
            Some(due) => (!self.is_open() && self.buf.capacity() > 0).then_some(due),
            None => {
                self.free_memory();
                None
            }
        }
    }

    /// Frees the memory, unless a message is open.
    pub(super) fn free_memory(&mut self) {
        if !self.is_open() {
            self.buf.replace_memory(Vec::new());
            self.memory = Memory::Own;
        }
    }

    /// Makes room for the next `n` bytes of the payload of `frame`: at most four times what has arrived, and at most what
    /// the frame has declared. If more frames follow, at least twice what has arrived.
    fn grow(&mut self, n: usize, frame: DataFrame) {
        let arrived = self.buf.len() + n;
        if arrived > self.buf.capacity() {
            let left = frame.left - n as u64;
            let declared =
                usize::try_from(left).map_or(usize::MAX, |left| arrived.saturating_add(left));
            let target = match frame.first.is_final() {
                true => arrived.saturating_mul(4).min(declared),
                false => arrived.saturating_mul(2).max(declared.min(arrived.saturating_mul(4))),
            };
            self.reserve(target - self.buf.len());
        }
    }

    /// How many of the next `n` bytes of payload one chunk takes. The rest of a character that was cut is a chunk of its
    /// own.
    pub(super) fn chunk_len(&self, n: usize) -> usize {
        match self.carry.missing() {
            0 => n,
            missing => n.min(missing),
        }
    }

    /// Takes a piece of the payload, unmasked, of at most [`chunk_len`](OpenMessage::chunk_len) bytes. Returns a chunk,
    /// unless the piece has no whole character. If the text is wrong, the chunk is the text before the fault.
    pub(super) fn chunk<'a>(
        &mut self,
        piece: &'a [u8],
        end: bool,
    ) -> (Option<Chunk<'a>>, Result<(), InvalidUtf8>) {
        let mut marks = Marks { first: self.has_no_chunks(), last: end };
        let inside_character = !self.carry.is_empty();
        let (chunk, verdict) = match self.kind() {
            MessageKind::Binary => {
                ((!piece.is_empty()).then(|| Chunk::binary(marks, piece)), Ok(()))
            }
            MessageKind::Text => match self.carry.feed(piece, end) {
                Ok((Some(character), _)) => (Some(Chunk::character(marks, character)), Ok(())),
                Ok((None, text)) => ((!text.is_empty()).then(|| Chunk::text(marks, text)), Ok(())),
                Err(InvalidUtf8) => {
                    marks.last = false;
                    // If a character was cut, the fault is in it, and no text comes before the fault.
                    let text = if inside_character { "" } else { utf8::valid_prefix(piece) };
                    ((!text.is_empty()).then(|| Chunk::text(marks, text)), Err(InvalidUtf8))
                }
            },
        };
        let chunk = match (chunk, self.kind()) {
            // The last piece is a chunk even if it is empty, since it ends the message.
            (None, MessageKind::Binary) if end => Some(Chunk::binary(marks, &[])),
            (None, MessageKind::Text) if end && verdict.is_ok() => Some(Chunk::text(marks, "")),
            (chunk, _) => chunk,
        };
        if chunk.is_some() {
            self.note_chunk();
        }
        if end {
            self.finish();
        }
        (chunk, verdict)
    }

    fn has_no_chunks(&self) -> bool {
        matches!(self.open, Some(Open { chunks: Chunks::None, .. }))
    }

    fn note_chunk(&mut self) {
        if let Some(open) = &mut self.open {
            open.chunks = Chunks::Some;
        }
    }

    /// The message is complete.
    #[inline]
    fn finish(&mut self) {
        self.open = None;
        self.bytes = 0;
        self.fragments = 0;
    }
}

#[cfg(feature = "deflate")]
impl OpenMessage {
    #[inline]
    pub(super) fn is_compressed(&self) -> bool {
        self.open.is_some_and(|open| open.coding != Coding::Plain)
    }

    /// How the open message is coded; between messages, as plain.
    #[inline]
    pub(super) fn coding(&self) -> Coding {
        self.open.map_or(Coding::Plain, |open| open.coding)
    }

    /// In chunk delivery: whether the inflater may hold more of the bytes that it has taken.
    #[inline]
    pub(super) fn is_inflating(&self) -> bool {
        matches!(self.coding(), Coding::Inflating | Coding::InflatingEnd)
    }

    /// In chunk delivery: what the inflater may hold of the open message, which is compressed.
    pub(super) fn set_coding(&mut self, coding: Coding) {
        let open = self.open.as_mut().expect("what is inflated belongs to an open message");
        open.coding = coding;
    }

    /// The message that was inflated, which is complete. Memory that it does not need is freed, unless the caller has
    /// given it back: its size was not known before.
    pub(super) fn take_inflated(&mut self) -> Result<Message<'static>, InvalidUtf8> {
        if core::mem::take(&mut self.memory) == Memory::Own {
            self.buf.shrink();
        }
        let message = match self.kind() {
            MessageKind::Text => {
                self.buf.check_utf8(true)?;
                Message::Text(Cow::Owned(self.buf.take_string()))
            }
            MessageKind::Binary => Message::Binary(Cow::Owned(self.buf.take_bytes())),
        };
        self.finish();
        Ok(message)
    }

    /// A chunk of the bytes that were inflated and checked; `None` if there are none and the message goes on.
    pub(super) fn take_chunk(&mut self, last: bool) -> Option<Chunk<'static>> {
        let marks = Marks { first: self.has_no_chunks(), last };
        let chunk = match self.kind() {
            MessageKind::Text => Chunk::text(marks, self.buf.checked()).into_owned(),
            MessageKind::Binary => Chunk::binary(marks, self.buf.as_slice()).into_owned(),
        };
        let len = chunk.as_bytes().len();
        self.buf.drop_front(len);
        if last {
            self.finish();
        } else if len == 0 {
            return None;
        } else {
            self.note_chunk();
        }
        Some(chunk)
    }
}
