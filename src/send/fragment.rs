//! Messages that are sent in fragments (RFC 6455 5.4).

use super::{Compressor, Sender};
use crate::config::Config;
use crate::error::UsageError;
use crate::frame::{FirstByte, Opcode};
use crate::message::MessageKind;
use crate::utf8::Utf8Carry;

/// An unfinished message: its first fragment is sent, its last is not.
#[derive(Clone, Copy)]
pub(super) struct Fragment {
    stage: Stage,
    /// For text, the first bytes of a character that the next fragments must complete.
    carry: Utf8Carry,
}

/// The kind of an unfinished message, and how it goes on. It is one enum, since two values would make a [`Sender`]
/// larger.
#[derive(Clone, Copy)]
enum Stage {
    Text,
    Binary,
    /// Text that is not compressed, whatever was negotiated.
    #[cfg(feature = "deflate")]
    UncompressedText,
    /// The same for a binary message.
    #[cfg(feature = "deflate")]
    UncompressedBinary,
    /// Text that only `begin_frame` and `send_payload` can continue: a frame is unfinished, or the caller compresses
    /// the message. The queue knows more.
    FramedText,
    /// The same for a binary message.
    FramedBinary,
}

impl Fragment {
    /// A message that has not begun to be sent.
    pub(super) fn new(kind: MessageKind) -> Fragment {
        let stage = match kind {
            MessageKind::Text => Stage::Text,
            MessageKind::Binary => Stage::Binary,
        };
        Fragment { stage, carry: Utf8Carry::default() }
    }

    /// A message that has not begun to be sent, and is not compressed.
    #[cfg(feature = "deflate")]
    fn uncompressed(kind: MessageKind) -> Fragment {
        let stage = match kind {
            MessageKind::Text => Stage::UncompressedText,
            MessageKind::Binary => Stage::UncompressedBinary,
        };
        Fragment { stage, carry: Utf8Carry::default() }
    }

    pub(super) fn kind(self) -> MessageKind {
        match self.stage {
            Stage::Text | Stage::FramedText => MessageKind::Text,
            Stage::Binary | Stage::FramedBinary => MessageKind::Binary,
            #[cfg(feature = "deflate")]
            Stage::UncompressedText => MessageKind::Text,
            #[cfg(feature = "deflate")]
            Stage::UncompressedBinary => MessageKind::Binary,
        }
    }

    /// Whether a call that may compress began it.
    #[cfg(feature = "deflate")]
    fn may_compress(self) -> bool {
        matches!(self.stage, Stage::Text | Stage::Binary)
    }

    /// Whether only `begin_frame` and `send_payload` can continue it.
    pub(super) fn is_framed(self) -> bool {
        matches!(self.stage, Stage::FramedText | Stage::FramedBinary)
    }

    /// The message after a step in a frame. `is_framed` tells whether only another such step can continue it. If not,
    /// its frames so far are not compressed.
    pub(super) fn framed(self, is_framed: bool) -> Fragment {
        let stage = match (self.kind(), is_framed) {
            (MessageKind::Text, true) => Stage::FramedText,
            (MessageKind::Binary, true) => Stage::FramedBinary,
            #[cfg(feature = "deflate")]
            (kind, false) => Fragment::uncompressed(kind).stage,
            #[cfg(not(feature = "deflate"))]
            (kind, false) => Fragment::new(kind).stage,
        };
        Fragment { stage, ..self }
    }

    /// Checks the next piece of the message if it is text. `end` ends the message.
    pub(super) fn feed(&mut self, payload: &[u8], end: bool) -> Result<(), UsageError> {
        match self.kind() {
            MessageKind::Text if self.carry.feed(payload, end).is_err() => {
                Err(UsageError::InvalidUtf8)
            }
            _ => Ok(()),
        }
    }
}

impl Sender {
    /// The kind of the unfinished message.
    pub(crate) fn unfinished_kind(&self) -> Option<MessageKind> {
        self.fragment.map(Fragment::kind)
    }

    /// Queues a fragment. The first fragment begins a message of `kind`; the `last` ends it. A new message is
    /// compressed if there is a usable `compressor`. A message in one fragment must also be large enough.
    pub(crate) fn send_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        last: bool,
        config: &Config,
        compressor: Option<&mut Compressor>,
    ) -> Result<(), UsageError> {
        #[cfg(feature = "deflate")]
        let compressor = compressor.filter(|compressor| match (self.fragment, last) {
            (Some(_), _) => compressor.is_in_message(),
            (None, true) => compressor.compresses(payload.len()),
            (None, false) => compressor.is_usable(),
        });
        self.continue_message(Fragment::new(kind), payload, last, config, compressor)
    }

    /// Queues a fragment that is not compressed. It continues only a message that began with such a fragment.
    #[cfg(feature = "deflate")]
    pub(crate) fn send_uncompressed_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        last: bool,
        config: &Config,
    ) -> Result<(), UsageError> {
        // RFC 7692 6.1: a message is compressed as a whole or not at all.
        if self.fragment.is_some_and(Fragment::may_compress) {
            return Err(UsageError::FragmentCompressionChanged);
        }
        self.continue_message(Fragment::uncompressed(kind), payload, last, config, None)
    }

    /// Queues a fragment of the unfinished message. If no message is unfinished, the fragment begins `new`.
    fn continue_message(
        &mut self,
        new: Fragment,
        payload: &[u8],
        last: bool,
        config: &Config,
        compressor: Option<&mut Compressor>,
    ) -> Result<(), UsageError> {
        let unfinished = self.fragment;
        let mut message = new;
        if let Some(begun) = unfinished {
            if begun.kind() != new.kind() || begun.is_framed() {
                return Err(self.not_continued());
            }
            message = begun;
        }
        #[cfg(feature = "deflate")]
        let most = match &compressor {
            Some(_) => super::compressing::most_compressed(payload.len()),
            None => payload.len(),
        };
        #[cfg(not(feature = "deflate"))]
        let most = payload.len();
        let frames = self.check_room(most, config)?;
        message.feed(payload, last)?;
        let opcode = match (unfinished, new.kind()) {
            (Some(_), _) => Opcode::Continuation,
            (None, MessageKind::Text) => Opcode::Text,
            (None, MessageKind::Binary) => Opcode::Binary,
        };
        self.push_fragment(FirstByte::new(opcode, last), payload, frames, config, compressor)?;
        self.raise_congestion(config);
        self.fragment = (!last).then_some(message);
        Ok(())
    }

    fn push_fragment(
        &mut self,
        first: FirstByte,
        payload: &[u8],
        frames: usize,
        config: &Config,
        compressor: Option<&mut Compressor>,
    ) -> Result<(), UsageError> {
        #[cfg(feature = "deflate")]
        if let Some(compressor) = compressor {
            let first = if first.begins_message() { first.with_rsv1() } else { first };
            if frames > 1 {
                return self.send_cut_compressed(first, payload, frames, config, compressor);
            }
            let key = self.next_key(config)?;
            self.push_compressed(first, payload, key, compressor);
            return Ok(());
        }
        #[cfg(not(feature = "deflate"))]
        let _ = compressor;
        if frames > 1 {
            return self.send_cut(first, payload, frames, config);
        }
        let key = self.next_key(config)?;
        self.queue.push(first, payload, key);
        Ok(())
    }

    /// Why a fragment cannot continue the unfinished message.
    #[cold]
    fn not_continued(&self) -> UsageError {
        match self.open_frame() {
            Some(left) => UsageError::FrameUnfinished { left },
            None => UsageError::FragmentKindChanged,
        }
    }

    /// Forgets the unfinished message, because a Close follows or the connection has ended. It gets no last fragment.
    pub(crate) fn cut_fragment(&mut self, compressor: Option<&mut Compressor>) {
        if self.fragment.take().is_some_and(Fragment::is_framed) {
            self.queue.cut_frame();
        }
        #[cfg(feature = "deflate")]
        if let Some(bytes) = compressor.and_then(Compressor::cut_message) {
            self.queue.cut_compressed(bytes);
        }
        #[cfg(not(feature = "deflate"))]
        let _ = compressor;
    }
}
