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
    begun: Begun,
    /// For text, the first bytes of a character that the next fragments must complete.
    carry: Utf8Carry,
}

/// The kind of a message, and whether its first fragment was sent by a call that never compresses. It is one enum, since
/// two would make a [`Sender`] larger.
#[derive(Clone, Copy)]
enum Begun {
    Text,
    Binary,
    #[cfg(feature = "deflate")]
    UncompressedText,
    #[cfg(feature = "deflate")]
    UncompressedBinary,
}

impl Begun {
    fn kind(self) -> MessageKind {
        match self {
            Begun::Text => MessageKind::Text,
            Begun::Binary => MessageKind::Binary,
            #[cfg(feature = "deflate")]
            Begun::UncompressedText => MessageKind::Text,
            #[cfg(feature = "deflate")]
            Begun::UncompressedBinary => MessageKind::Binary,
        }
    }

    #[cfg(feature = "deflate")]
    fn may_compress(self) -> bool {
        matches!(self, Begun::Text | Begun::Binary)
    }
}

impl Sender {
    /// The kind of the unfinished message.
    pub(crate) fn unfinished_kind(&self) -> Option<MessageKind> {
        self.fragment.map(|open| open.begun.kind())
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
        let begun = match kind {
            MessageKind::Text => Begun::Text,
            MessageKind::Binary => Begun::Binary,
        };
        self.continue_message(begun, payload, last, config, compressor)
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
        if self.fragment.is_some_and(|open| open.begun.may_compress()) {
            return Err(UsageError::FragmentCompressionChanged);
        }
        let begun = match kind {
            MessageKind::Text => Begun::UncompressedText,
            MessageKind::Binary => Begun::UncompressedBinary,
        };
        self.continue_message(begun, payload, last, config, None)
    }

    /// Queues a fragment of the unfinished message. If there is no such message, the fragment begins one: `new`.
    fn continue_message(
        &mut self,
        new: Begun,
        payload: &[u8],
        last: bool,
        config: &Config,
        compressor: Option<&mut Compressor>,
    ) -> Result<(), UsageError> {
        let (unfinished, kind) = (self.fragment, new.kind());
        if unfinished.is_some_and(|open| open.begun.kind() != kind) {
            return Err(UsageError::FragmentKindChanged);
        }
        #[cfg(feature = "deflate")]
        let most = match &compressor {
            Some(_) => super::compressing::most_compressed(payload.len()),
            None => payload.len(),
        };
        #[cfg(not(feature = "deflate"))]
        let most = payload.len();
        let frames = self.check_room(most, config)?;
        let mut open = unfinished.unwrap_or(Fragment { begun: new, carry: Utf8Carry::default() });
        if kind == MessageKind::Text && open.carry.feed(payload, last).is_err() {
            return Err(UsageError::InvalidUtf8);
        }
        let opcode = match (unfinished, kind) {
            (Some(_), _) => Opcode::Continuation,
            (None, MessageKind::Text) => Opcode::Text,
            (None, MessageKind::Binary) => Opcode::Binary,
        };
        self.push_fragment(FirstByte::new(opcode, last), payload, frames, config, compressor)?;
        self.raise_congestion(config);
        self.fragment = (!last).then_some(open);
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

    /// Forgets the unfinished message, because a Close follows or the connection has ended. It gets no last fragment.
    pub(crate) fn cut_fragment(&mut self, compressor: Option<&mut Compressor>) {
        self.fragment = None;
        #[cfg(feature = "deflate")]
        if let Some(bytes) = compressor.and_then(Compressor::cut_message) {
            self.queue.cut_compressed(bytes);
        }
        #[cfg(not(feature = "deflate"))]
        let _ = compressor;
    }
}
