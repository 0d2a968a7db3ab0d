//! What the bytes at the front of an input will come to, told before they are taken: so a caller can wait for an event
//! without holding it.

use super::{Front, Place, Receiver, Terms};
use crate::config::Delivery;
use crate::frame::{self, Header, MAX_HEADER_BYTES};
use crate::message::MessageKind;

/// Bytes of a piece of text in which at least one character ends, or is wrong.
const MAX_CHAR_BYTES: usize = 4;

/// What the bytes at the front of an input come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// The next call that receives returns something, and borrows it where it can.
    Something,
    /// Nothing can be said before so many bytes are received. If something comes of them, it borrows nothing, or at most
    /// three bytes.
    After(usize),
    /// There are no bytes.
    Nothing,
}

impl Receiver {
    /// Looks at `input`, which begins with `waiting`, if there is such a front.
    pub(crate) fn outlook(
        &self,
        input: &[u8],
        waiting: Option<&Front>,
        terms: Terms<'_>,
        inflates: bool,
    ) -> Outlook {
        #[cfg(feature = "deflate")]
        if self.message.is_inflating() {
            return Outlook::After(0);
        }
        let len = input.len();
        if len == waiting.map_or(0, Front::len) {
            return Outlook::Nothing;
        }
        match &self.place {
            Place::Front => match waiting {
                Some(front) if (len - front.len()) as u64 >= front.left() => Outlook::Something,
                _ => Outlook::After(len),
            },
            Place::Control(control) if control.left() <= len => Outlook::Something,
            Place::Control(_) | Place::Stopped => Outlook::After(len),
            Place::Payload(frame) => {
                let n = frame.available(len);
                match self.yields(n, frame.ends_with(n), terms) {
                    true => Outlook::Something,
                    false => Outlook::After(n),
                }
            }
            Place::QuickMasked | Place::QuickUnmasked | Place::Header { .. } => {
                self.outlook_on_header(input, terms, inflates)
            }
        }
    }

    fn outlook_on_header(&self, input: &[u8], terms: Terms<'_>, inflates: bool) -> Outlook {
        let (mut bytes, begun) = match self.place {
            Place::Header { bytes, len } => (bytes, usize::from(len)),
            _ => ([0; MAX_HEADER_BYTES], 0),
        };
        let new = input.len().min(MAX_HEADER_BYTES - begun);
        bytes[begun..begun + new].copy_from_slice(&input[..new]);
        let header = frame::parse(&bytes[..begun + new], &self.rules(terms, inflates));
        let Ok(header) = header else { return Outlook::Something };
        let Some(Header { first, len, size, .. }) = header else {
            return Outlook::After(input.len());
        };
        let size = size - begun;
        let available = usize::try_from(len).map_or(usize::MAX, |len| len.min(input.len() - size));
        let is_whole = available as u64 == len;
        let is_plain = match first.begins_message() {
            true => !first.is_compressed(),
            false => !self.is_compressed(),
        };
        if is_whole && first.is_final() && (first.is_control() || is_plain) {
            return Outlook::Something;
        }
        match terms.config.delivery {
            Delivery::Chunks if !first.is_control() && is_plain => Outlook::After(size),
            _ => Outlook::After(size + available),
        }
    }

    /// Whether the next `n` bytes of payload come to something that may borrow them; `end`: they are the end of the
    /// message.
    fn yields(&self, n: usize, end: bool, terms: Terms<'_>) -> bool {
        if self.is_compressed() {
            return false;
        }
        end || match (terms.config.delivery, self.message.kind()) {
            (Delivery::Messages, _) => false,
            (Delivery::Chunks, MessageKind::Binary) => true,
            (Delivery::Chunks, MessageKind::Text) => {
                n >= MAX_CHAR_BYTES || self.message.chunk_len(n) < n
            }
        }
    }

    /// Whether the open message is compressed.
    fn is_compressed(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.message.is_compressed();
        #[cfg(not(feature = "deflate"))]
        false
    }
}
