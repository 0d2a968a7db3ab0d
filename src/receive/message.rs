//! The open message: its kind, its size so far, and its bytes if it is delivered whole. Its memory grows with the bytes
//! that have arrived, never with the declared length. `inflating` inflates compressed messages.

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

/// The open message, and the memory for messages.
#[derive(Default)]
pub(super) struct OpenMessage {
    /// The bytes that have arrived of a message that is delivered whole, or the inflated bytes of a compressed message.
    pub(super) buf: PayloadBuf,
    /// The size that the limit applies to: declared bytes, or inflated bytes if the message is compressed.
    pub(super) bytes: u64,
    /// Number of frames so far; 0 between messages.
    fragments: u32,
    /// If messages are not delivered whole, the first bytes of a character that is not complete. The chunks of a
    /// compressed message have them in `buf`.
    carry: Utf8Carry,
    /// What is known of the open message; `None` between messages.
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
    /// Compressed (RFC 7692 6). The inflater has no output left from the bytes that it has taken.
    #[cfg(feature = "deflate")]
    Compressed,
    /// In chunk delivery: the inflater may have more output from the bytes that it has taken.
    #[cfg(feature = "deflate")]
    Inflating,
    /// The same, and the inflater has taken the last byte of the message.
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
    /// The caller gave it back by `recycle`, and it has not grown since.
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

    /// Which data frames are allowed next.
    #[inline]
    pub(super) fn sequence(&self) -> Sequence {
        match self.open {
            None => Sequence::Between,
            Some(Open { coding: Coding::Plain, .. }) => Sequence::Within { bytes: self.bytes },
            #[cfg(feature = "deflate")]
            Some(_) => Sequence::WithinCompressed,
        }
    }

    /// Begins a data frame with a payload of `len` bytes.
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

    /// Takes a masked `piece` of the payload of `frame`. Returns the message if `piece` ends it. The message is
    /// borrowed if its whole payload is in `piece`.
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

    /// Stores the memory of `bytes` for a later message, if it is larger than the memory already stored.
    pub(super) fn recycle(&mut self, bytes: Vec<u8>) {
        if !self.is_open() && bytes.capacity() > self.buf.capacity() {
            self.buf.replace_memory(bytes);
            self.memory = Memory::Recycled;
        }
    }

    /// Frees the memory if nothing was received for the time `after`. Otherwise returns the moment at which it must be
    /// freed; `None` if there is nothing to free.
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

    /// Makes room for the next `n` bytes of the payload of `frame`. In the last frame, the capacity becomes at most
    /// four times the bytes that have arrived, and at most the size of the whole message, which is known then. In other
    /// frames it becomes two to four times the bytes that have arrived.
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

    /// How many of the next `n` bytes of payload go into one chunk. If the previous piece ended inside a character,
    /// only the rest of that character is taken next.
    pub(super) fn chunk_len(&self, n: usize) -> usize {
        match self.carry.missing() {
            0 => n,
            missing => n.min(missing),
        }
    }

    /// Takes an unmasked piece of the payload, of at most [`chunk_len`](OpenMessage::chunk_len) bytes. Returns its
    /// complete characters as a chunk, or nothing if it completes none. If the text is not UTF-8, the chunk is the text
    /// before the fault.
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
                    // If the piece continues a character, the fault is in this character: no text comes before it.
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
            self.mark_delivered();
        }
        if end {
            self.finish();
        }
        (chunk, verdict)
    }

    /// Checks an unmasked piece of the payload that is passed on as it is: the UTF-8 of text that is not compressed.
    /// `end` ends the message. The error is the number of bytes before the first wrong byte. A text that ends within a
    /// character is wrong at its last byte.
    pub(super) fn check_raw(&mut self, piece: &[u8], end: bool) -> Result<(), usize> {
        let is_plain = matches!(self.sequence(), Sequence::Within { .. });
        if is_plain && self.kind() == MessageKind::Text {
            let before = self.carry;
            if self.carry.feed(piece, end).is_err() {
                return Err(len_before_fault(before, piece));
            }
        }
        if end {
            self.finish();
        }
        Ok(())
    }

    fn has_no_chunks(&self) -> bool {
        matches!(self.open, Some(Open { chunks: Chunks::None, .. }))
    }

    fn mark_delivered(&mut self) {
        if let Some(open) = &mut self.open {
            open.chunks = Chunks::Some;
        }
    }

    /// Ends the message.
    #[inline]
    fn finish(&mut self) {
        self.open = None;
        self.bytes = 0;
        self.fragments = 0;
    }
}

/// Returns how many bytes of `piece` come before the wrong byte of an invalid text. `carry` has the first bytes of a
/// character that `piece` continues. If every byte can continue the text, the text ends within a character, and its
/// last byte is the wrong one.
#[cold]
fn len_before_fault(mut carry: Utf8Carry, piece: &[u8]) -> usize {
    let fault = piece.iter().position(|byte| carry.feed(&[*byte], false).is_err());
    fault.unwrap_or(piece.len().saturating_sub(1))
}

#[cfg(feature = "deflate")]
impl OpenMessage {
    #[inline]
    pub(super) fn is_compressed(&self) -> bool {
        self.open.is_some_and(|open| open.coding != Coding::Plain)
    }

    /// The coding of the open message; plain between messages.
    #[inline]
    pub(super) fn coding(&self) -> Coding {
        self.open.map_or(Coding::Plain, |open| open.coding)
    }

    /// In chunk delivery: whether the inflater may have more output from the bytes that it has taken.
    #[inline]
    pub(super) fn is_inflating(&self) -> bool {
        matches!(self.coding(), Coding::Inflating | Coding::InflatingEnd)
    }

    /// In chunk delivery: sets the coding of the open message, which is compressed.
    pub(super) fn set_coding(&mut self, coding: Coding) {
        let open = self.open.as_mut().expect("what is inflated belongs to an open message");
        open.coding = coding;
    }

    /// Takes the inflated message, which is complete. Its size was not known before, so surplus memory is freed.
    /// Recycled memory is not freed.
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

    /// Takes the inflated and checked bytes as a chunk. An empty chunk is returned only at the end of the message.
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
            self.mark_delivered();
        }
        Some(chunk)
    }
}
