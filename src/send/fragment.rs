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

/// The kind of an unfinished message, and how it goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Text,
    Binary,
    /// Text that only `begin_frame` and `send_payload` can continue: a frame is unfinished, or the caller compresses
    /// the message. The queue knows more.
    FramedText,
    /// The same for a binary message.
    FramedBinary,
}

impl Fragment {
    /// A message of which nothing was sent.
    pub(super) fn new(kind: MessageKind) -> Fragment {
        let stage = match kind {
            MessageKind::Text => Stage::Text,
            MessageKind::Binary => Stage::Binary,
        };
        Fragment { stage, carry: Utf8Carry::default() }
    }

    pub(super) fn kind(self) -> MessageKind {
        match self.stage {
            Stage::Text | Stage::FramedText => MessageKind::Text,
            Stage::Binary | Stage::FramedBinary => MessageKind::Binary,
        }
    }

    /// Whether only `begin_frame` and `send_payload` can continue it.
    pub(super) fn is_framed(self) -> bool {
        matches!(self.stage, Stage::FramedText | Stage::FramedBinary)
    }

    pub(super) fn framed(self, is_framed: bool) -> Fragment {
        let stage = match (self.kind(), is_framed) {
            (MessageKind::Text, false) => Stage::Text,
            (MessageKind::Text, true) => Stage::FramedText,
            (MessageKind::Binary, false) => Stage::Binary,
            (MessageKind::Binary, true) => Stage::FramedBinary,
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
    /// compressed if there is a usable `compressor`.
    pub(crate) fn send_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        last: bool,
        config: &Config,
        compressor: Option<&mut Compressor>,
    ) -> Result<(), UsageError> {
        let begun = self.fragment;
        let mut message = Fragment::new(kind);
        if let Some(begun) = begun {
            if begun.stage != message.stage {
                return Err(self.not_continued());
            }
            message = begun;
        }
        #[cfg(feature = "deflate")]
        let compressor = compressor.filter(|compressor| match begun {
            Some(_) => compressor.is_in_message(),
            None => compressor.is_usable(),
        });
        #[cfg(feature = "deflate")]
        let most = match &compressor {
            Some(_) => super::compressing::most_compressed(payload.len()),
            None => payload.len(),
        };
        #[cfg(not(feature = "deflate"))]
        let most = payload.len();
        self.check_room(most, config)?;
        message.feed(payload, last)?;
        let opcode = match (begun, kind) {
            (Some(_), _) => Opcode::Continuation,
            (None, MessageKind::Text) => Opcode::Text,
            (None, MessageKind::Binary) => Opcode::Binary,
        };
        let first = FirstByte::new(opcode, last);
        let key = self.next_key(config)?;
        match compressor {
            #[cfg(feature = "deflate")]
            Some(compressor) => self.push_compressed(first, payload, key, compressor),
            _ => self.queue.push(first, payload, key),
        }
        self.raise_congestion(config);
        self.fragment = (!last).then_some(message);
        Ok(())
    }

    /// Why `send_fragment` cannot continue the unfinished message.
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
