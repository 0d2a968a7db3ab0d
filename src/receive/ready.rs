//! Tells whether the next bytes of an input complete an event, without taking them. With this answer, the caller of
//! `is_event_ready` waits for an event before it borrows one.

use super::{Front, Place, Receiver, Terms, parse_leniently};
use crate::config::Delivery;
use crate::frame::{self, Header, MAX_HEADER_BYTES};
use crate::message::MessageKind;

/// A piece of text of at least this length always completes a character, or has a fault.
const MAX_CHAR_BYTES: usize = 4;

/// What `is_event_ready` must do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookAhead {
    /// The next call of `receive` returns a message, a piece of one, a control frame or a fault, and borrows where it
    /// can.
    Event,
    /// This many bytes must be received before more is known. If they complete an event, it usually borrows nothing.
    /// Only a chunk of text can borrow, and at most three bytes. `is_event_ready` copies them, so that it can store the
    /// event.
    Receive(usize),
    /// There are no bytes to receive.
    NoInput,
}

impl Receiver {
    /// Looks at `input`. If `waiting` describes the front of a message, `input` begins with that front.
    pub(crate) fn look_ahead(
        &self,
        input: &[u8],
        waiting: Option<&Front>,
        terms: Terms<'_>,
        inflates: bool,
    ) -> LookAhead {
        #[cfg(feature = "deflate")]
        if self.message.is_inflating() {
            return LookAhead::Receive(0);
        }
        let len = input.len();
        if len == waiting.map_or(0, Front::len) {
            return LookAhead::NoInput;
        }
        match &self.place {
            Place::Front => match waiting {
                Some(front) if (len - front.len()) as u64 >= front.left() => LookAhead::Event,
                _ => LookAhead::Receive(len),
            },
            Place::Control(control) if control.left() <= len => LookAhead::Event,
            Place::Control(_) | Place::Stopped => LookAhead::Receive(len),
            Place::Payload(frame) => {
                let n = frame.available(len);
                match self.completes(n, frame.ends_with(n), terms) {
                    true => LookAhead::Event,
                    false => LookAhead::Receive(n),
                }
            }
            Place::QuickMasked | Place::QuickUnmasked | Place::Header { .. } => {
                self.look_ahead_at_header(input, terms, inflates)
            }
        }
    }

    fn look_ahead_at_header(&self, input: &[u8], terms: Terms<'_>, inflates: bool) -> LookAhead {
        let (mut bytes, begun) = match self.place {
            Place::Header { bytes, len } => (bytes, usize::from(len)),
            _ => ([0; MAX_HEADER_BYTES], 0),
        };
        let new = input.len().min(MAX_HEADER_BYTES - begun);
        bytes[begun..begun + new].copy_from_slice(&input[..new]);
        let (bytes, rules) = (&bytes[..begun + new], self.rules(terms, inflates));
        let header = frame::parse(bytes, &rules)
            .or_else(|error| parse_leniently(error, bytes, &rules, terms));
        let Ok(header) = header else { return LookAhead::Event };
        let Some(Header { first, len, size, .. }) = header else {
            return LookAhead::Receive(input.len());
        };
        let size = size - begun;
        let available = usize::try_from(len).map_or(usize::MAX, |len| len.min(input.len() - size));
        let is_whole = available as u64 == len;
        let is_plain = match first.begins_message() {
            true => !first.is_compressed(),
            false => !self.is_compressed(),
        };
        if is_whole && first.is_final() && (first.is_control() || is_plain) {
            return LookAhead::Event;
        }
        match terms.config.delivery {
            Delivery::Frames if !first.is_control() => LookAhead::Event,
            Delivery::Chunks if !first.is_control() && is_plain => LookAhead::Receive(size),
            _ => LookAhead::Receive(size + available),
        }
    }

    /// Whether the next `n` bytes of payload complete a message or a piece of one that may borrow them. `end` tells
    /// that they end the message.
    fn completes(&self, n: usize, end: bool, terms: Terms<'_>) -> bool {
        if terms.config.delivery == Delivery::Frames {
            return true;
        }
        if self.is_compressed() {
            return false;
        }
        end || match (terms.config.delivery, self.message.kind()) {
            (Delivery::Messages | Delivery::Frames, _) => false,
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
