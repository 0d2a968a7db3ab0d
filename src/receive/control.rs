//! Control frames (RFC 6455 5.5). A frame that is whole in the input is borrowed from it. A frame that arrives in part
//! is buffered until its end. The body of a Close is checked as it arrives.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::ToString;

use super::{Place, Received, Receiver, Reception, Terms};
use crate::close;
use crate::frame::{Header, MAX_CONTROL_BYTES, Opcode};
use crate::input::take_front;
use crate::mask;

/// A control frame whose payload has arrived in part.
pub(super) struct PartialControl {
    header: Header,
    /// `payload[..arrived]` is received and unmasked. `arrived` is less than the length in the header.
    payload: [u8; MAX_CONTROL_BYTES],
    arrived: u8,
}

impl PartialControl {
    /// Bytes of the payload that have not arrived.
    pub(super) fn left(&self) -> usize {
        self.header.len as usize - usize::from(self.arrived)
    }

    /// Takes payload off the front of `input`, and returns all that has arrived.
    fn take(&mut self, input: &mut &mut [u8]) -> &[u8] {
        let piece = take_front(input, self.left().min(input.len()));
        let begin = usize::from(self.arrived);
        let end = begin + piece.len();
        self.payload[begin..end].copy_from_slice(piece);
        mask::apply_mask(&mut self.payload[begin..end], mask::rotate_key(self.header.key, begin));
        self.arrived = end as u8;
        &self.payload[..end]
    }
}

impl Receiver {
    /// Takes the payload of a control frame, or as much of it as `input` has. If `header` is `None`, the payload
    /// continues the buffered frame.
    #[inline(never)]
    pub(super) fn receive_control<'a>(
        &mut self,
        header: Option<Header>,
        input: &mut &'a mut [u8],
        terms: Terms<'_>,
    ) -> Reception<'a> {
        if let Some(header) = header {
            let len = header.len as usize;
            if input.len() >= len {
                let payload = take_front(input, len);
                mask::apply_mask(payload, header.key);
                self.place = self.place_behind_frame(terms);
                return complete(header.first.opcode(), Cow::Borrowed(payload));
            }
            let payload = [0; MAX_CONTROL_BYTES];
            let begun = PartialControl { header, payload, arrived: 0 };
            self.place = Place::Control(Box::new(begun));
        }
        self.receive_rest_of_control(input, terms)
    }

    /// Takes more payload of the buffered control frame.
    fn receive_rest_of_control<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        terms: Terms<'_>,
    ) -> Reception<'a> {
        let Place::Control(control) = &mut self.place else {
            unreachable!("it is called in the payload of a control frame")
        };
        let (opcode, len) = (control.header.first.opcode(), control.header.len as usize);
        let arrived = control.take(input);
        if arrived.len() < len {
            if opcode == Opcode::Close {
                close::check_received(arrived, len)?;
            }
            return Ok(None);
        }
        let payload = arrived.to_vec();
        self.place = self.place_behind_frame(terms);
        complete(opcode, Cow::Owned(payload))
    }
}

/// Makes the result of a control frame with its whole payload.
fn complete(opcode: Opcode, payload: Cow<'_, [u8]>) -> Reception<'_> {
    Ok(Some(match opcode {
        Opcode::Ping => Received::Ping(payload),
        Opcode::Pong => Received::Pong(payload),
        Opcode::Close => {
            close::check_received(&payload, payload.len())?;
            let (code, reason) = close::parse(&payload);
            Received::Close(code, reason.to_string())
        }
        Opcode::Continuation | Opcode::Text | Opcode::Binary => {
            unreachable!("these are data frames")
        }
    }))
}
