//! The message that is being received: its kind, its size so far, and its bytes if it is handed over whole. It keeps
//! memory in proportion to what has arrived, never to what was declared.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::time::Duration;

use crate::event::{Chunk, Marks, Message, MessageKind};
use crate::timer::{LastUse, Timestamp};
use crate::utf8::{self, InvalidUtf8, PayloadBuf, Utf8Carry};

/// An open message. It is in its default state between messages.
#[derive(Default)]
pub(crate) struct Assembler {
    /// What is here of a message that is handed over whole.
    pub(crate) buf: PayloadBuf,
    /// Payload bytes of the message that have arrived, or are declared by the frame that is open.
    pub(crate) bytes: u64,
    /// Frames of the message, the open one included.
    pub(crate) fragments: u32,
    /// The beginning of a character that the next piece must finish, if the message is handed over in chunks.
    carry: Utf8Carry,
    /// The kind of the open message.
    kind: Option<MessageKind>,
    /// A chunk of the message was handed over.
    begun: bool,
    /// The message is compressed (RFC 7692 6); `bytes` then counts what it has inflated to.
    pub(crate) compressed: bool,
    /// What has arrived is not here, but in the caller's [`ReadBuffer`](crate::ReadBuffer).
    pub(crate) held: bool,
    /// What the inflater may still hold of the bytes that it has taken, in chunk delivery.
    #[cfg(feature = "deflate")]
    pub(crate) inflating: Inflating,
    /// The memory of `buf` is what the caller has given back, if there is any.
    recycled: bool,
    /// When something was received last.
    last_use: LastUse,
}

/// What an inflater may still hold of the bytes that it has taken.
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Inflating {
    #[default]
    Nothing,
    /// A part of the message.
    Part,
    /// The end of the message: all its bytes were taken.
    End,
}

impl Assembler {
    /// Whether a message is open: a frame of it was begun.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.kind.is_some()
    }

    /// A frame of `len` bytes begins; `kind` is that of a first frame, `None` for a continuation.
    #[inline]
    pub(crate) fn begin_frame(&mut self, kind: Option<MessageKind>, len: u64, compressed: bool) {
        debug_assert!(kind.is_none() == self.is_open(), "the rules for frames hold");
        if kind.is_some() {
            self.kind = kind;
            self.compressed = compressed;
        }
        self.fragments += 1;
        if !self.compressed {
            self.bytes += len;
        }
    }

    fn kind(&self) -> MessageKind {
        self.kind.expect("payload belongs to an open message")
    }

    /// Takes a piece of the payload, masked with `key`; `left` more bytes belong to its frame, and `fin` says whether
    /// that is the message's last. Returns the message when it is complete: borrowed, if all of it was in this piece.
    pub(crate) fn assemble<'a>(
        &mut self,
        piece: &'a mut [u8],
        key: [u8; 4],
        left: u64,
        fin: bool,
    ) -> Result<Option<Message<'a>>, InvalidUtf8> {
        let end = fin && left == 0;
        if end && self.buf.is_empty() {
            let message = match self.kind() {
                MessageKind::Text => {
                    Message::Text(Cow::Borrowed(utf8::unmask(piece, key).ok_or(InvalidUtf8)?))
                }
                MessageKind::Binary => {
                    crate::mask::apply_mask(piece, key);
                    Message::Binary(Cow::Borrowed(piece))
                }
            };
            self.finish();
            return Ok(Some(message));
        }
        self.grow(piece.len(), left, fin);
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
        self.recycled = false;
        self.finish();
        Ok(Some(message))
    }

    /// Makes room for `n` more bytes. Memory that had to grow is not what the caller has given back.
    pub(crate) fn reserve(&mut self, n: usize) {
        self.recycled &= self.buf.capacity() - self.buf.len() >= n;
        self.buf.reserve(n);
    }

    /// Uses the memory of `bytes` for a message to come, if that is more than there is.
    pub(crate) fn recycle(&mut self, bytes: Vec<u8>) {
        if !self.is_open() && bytes.capacity() > self.buf.capacity() {
            self.buf.replace_memory(bytes);
            self.recycled = true;
        }
    }

    /// Frees memory between messages if nothing was received for the time `after`; otherwise returns when that may be.
    pub(crate) fn free_unused(
        &mut self,
        now: Timestamp,
        after: Duration,
        received: bool,
    ) -> Option<Timestamp> {
        match self.last_use.observe(now, after, received) {
            Some(due) => (!self.is_open() && self.buf.capacity() > 0).then_some(due),
            None => {
                self.release();
                None
            }
        }
    }

    /// Gives memory back, between messages.
    pub(crate) fn release(&mut self) {
        if !self.is_open() {
            self.buf.replace_memory(Vec::new());
            self.recycled = false;
        }
    }

    /// Makes room for `n` more bytes: no more than four times what has arrived, and no more than is declared; twice, if
    /// more frames are to come.
    fn grow(&mut self, n: usize, left: u64, fin: bool) {
        let arrived = self.buf.len() + n;
        if arrived > self.buf.capacity() {
            let declared =
                usize::try_from(left).map_or(usize::MAX, |left| arrived.saturating_add(left));
            let target = match fin {
                true => arrived.saturating_mul(4).min(declared),
                false => arrived.saturating_mul(2).max(declared.min(arrived.saturating_mul(4))),
            };
            self.reserve(target - self.buf.len());
        }
    }

    /// How many of `n` bytes of payload the next chunk can take: a character that was cut is finished by itself.
    pub(crate) fn chunk_len(&self, n: usize) -> usize {
        match self.carry.missing() {
            0 => n,
            missing => n.min(missing),
        }
    }

    /// Takes a piece of the payload, unmasked, of at most [`chunk_len`](Assembler::chunk_len) bytes. Returns a chunk,
    /// unless there is nothing to hand over yet. If the text is wrong, the chunk is what was right before it.
    pub(crate) fn chunk<'a>(
        &mut self,
        piece: &'a [u8],
        end: bool,
    ) -> (Option<Chunk<'a>>, Result<(), InvalidUtf8>) {
        let mut marks = Marks { first: !self.begun, last: end };
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
                    // A character that was cut has no right part.
                    let text = if inside_character { "" } else { utf8::valid_prefix(piece) };
                    ((!text.is_empty()).then(|| Chunk::text(marks, text)), Err(InvalidUtf8))
                }
            },
        };
        let chunk = match (chunk, self.kind()) {
            // The last piece is handed over even if it is empty: it ends the message.
            (None, MessageKind::Binary) if end => Some(Chunk::binary(marks, &[])),
            (None, MessageKind::Text) if end && verdict.is_ok() => Some(Chunk::text(marks, "")),
            (chunk, _) => chunk,
        };
        self.begun |= chunk.is_some();
        if end {
            self.finish();
        }
        (chunk, verdict)
    }

    /// The message is complete.
    #[inline]
    pub(crate) fn finish(&mut self) {
        self.held = false;
        self.bytes = 0;
        self.fragments = 0;
        self.kind = None;
        self.begun = false;
        self.compressed = false;
        #[cfg(feature = "deflate")]
        {
            self.inflating = Inflating::Nothing;
        }
    }
}

#[cfg(feature = "deflate")]
impl Assembler {
    pub(crate) fn is_text(&self) -> bool {
        self.kind() == MessageKind::Text
    }

    /// The message that was inflated, which is complete. Its size was not known before: what it does not need of the
    /// memory is freed.
    pub(crate) fn take_inflated(&mut self) -> Result<Message<'static>, InvalidUtf8> {
        if !core::mem::take(&mut self.recycled) {
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

    /// A chunk of what was inflated and checked; none if there is nothing to say.
    pub(crate) fn take_chunk(&mut self, last: bool) -> Option<Chunk<'static>> {
        let marks = Marks { first: !self.begun, last };
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
            self.begun = true;
        }
        Some(chunk)
    }
}
