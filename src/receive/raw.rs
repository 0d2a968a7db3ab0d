//! Receives frames as they are, for callers that pass frames on or look at them. The same rules are checked as for
//! messages. Nothing is put together or inflated.

use alloc::boxed::Box;

use super::{Before, DataFrame, Fault, Place, Received, Receiver, Result, Terms};
use crate::error::ProtocolError;
use crate::frame::Header;
use crate::frame_payload::FramePayload;
use crate::input::take_front;
use crate::mask;

impl Receiver {
    /// Begins a data frame. A frame without payload also ends here.
    #[inline(never)]
    pub(super) fn begin_raw_frame(
        &mut self,
        header: Header,
        terms: Terms<'_>,
    ) -> Result<Received<'static>, ProtocolError> {
        let frame = self.begin_frame(&header);
        if header.len == 0 {
            // RFC 6455 8.1: an empty last frame does not complete a character.
            if self.message.check_raw(&[], header.first.is_final()).is_err() {
                return Err(ProtocolError::InvalidUtf8);
            }
            self.place = self.place_behind_frame(terms);
        } else {
            self.place = Place::Payload(frame);
        }
        Ok(Received::FrameHeader(header.to_public()))
    }

    /// Takes the payload of a data frame, at most as much of it as `input` has. The caller calls it only if there is a
    /// byte of the payload.
    #[inline(never)]
    pub(super) fn receive_raw<'a>(
        &mut self,
        frame: DataFrame,
        input: &mut &'a mut [u8],
        terms: Terms<'_>,
    ) -> Result<Received<'a>, Box<Fault<'a>>> {
        let n = frame.available(input.len());
        debug_assert!(n > 0, "an empty payload ends with its header");
        let piece = take_front(input, n);
        mask::apply_mask(piece, frame.key);
        if let Err(good) = self.message.check_raw(piece, frame.ends_with(n)) {
            let before = (good > 0).then(|| FramePayload::new(&piece[..good], false));
            let before = before.map(Before::FramePayload);
            return Err(Box::new(Fault { before, error: ProtocolError::InvalidUtf8 }));
        }
        let is_last = frame.left == n as u64;
        self.move_place(frame, n, self.place_behind_frame(terms));
        Ok(Received::FramePayload(FramePayload::new(piece, is_last)))
    }
}
