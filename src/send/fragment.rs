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
    kind: MessageKind,
    /// For text, the first bytes of a character that the next fragments must complete.
    carry: Utf8Carry,
}

impl Sender {
    /// The kind of the unfinished message.
    pub(crate) fn unfinished_kind(&self) -> Option<MessageKind> {
        self.fragment.map(|begun| begun.kind)
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
        if begun.is_some_and(|begun| begun.kind != kind) {
            return Err(UsageError::FragmentKindChanged);
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
        let mut carry = begun.map(|begun| begun.carry).unwrap_or_default();
        if kind == MessageKind::Text && carry.feed(payload, last).is_err() {
            return Err(UsageError::InvalidUtf8);
        }
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
        self.fragment = (!last).then_some(Fragment { kind, carry });
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
