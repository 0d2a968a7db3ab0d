//! Receives frames as they are, for callers that pass frames on or look at them. The same rules are checked as for
//! messages. Nothing is put together or inflated. It has its own loop, so that messages do not pay for it.

use alloc::boxed::Box;

use super::{Before, DataFrame, Fault, Place, Received, Receiver, Result, Terms};
use crate::config::Delivery;
use crate::deflate::MaybeCodec;
use crate::error::ProtocolError;
use crate::frame::{FrameHeader, Header};
use crate::frame_payload::FramePayload;
use crate::input::take_front;
use crate::mask;

/// What was received of frames that are delivered as they are.
pub(crate) enum Raw<'a> {
    /// The header of a data frame.
    Header(FrameHeader),
    /// A piece of the payload of the data frame whose header came last.
    Payload(FramePayload<'a>),
    /// A control frame; or a message or chunk, if frames are counted and not delivered as they are.
    Other(Received<'a>),
}

impl Receiver {
    /// Takes bytes off the front of `input`, up to the end of what the configuration delivers next: a message, a chunk,
    /// a header or piece of payload, or a control frame. Passes each header to `note`.
    #[inline]
    pub(crate) fn receive_delivered<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        terms: Terms<'_>,
        codec: &mut MaybeCodec,
        note: impl FnMut(&Header),
    ) -> Result<Option<Raw<'a>>, Box<Fault<'a>>> {
        match terms.config.delivery {
            Delivery::Frames => self.receive_raw(input, terms, codec.is_some(), note),
            delivery @ (Delivery::Messages | Delivery::Chunks) => {
                let received = self.receive(input, terms, delivery, codec, note)?;
                Ok(received.map(Raw::Other))
            }
        }
    }

    /// Takes bytes off the front of `input`, up to the end of the first header, piece of payload or control frame.
    /// `None` means that all input was taken, and that more is needed. Passes each header to `note`.
    #[inline(never)]
    fn receive_raw<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        terms: Terms<'_>,
        inflates: bool,
        mut note: impl FnMut(&Header),
    ) -> Result<Option<Raw<'a>>, Box<Fault<'a>>> {
        while !input.is_empty() {
            let control = match &self.place {
                Place::Payload(frame) => {
                    let frame = *frame;
                    return self.receive_raw_payload(frame, input, terms).map(Some);
                }
                Place::QuickMasked | Place::QuickUnmasked | Place::Header { .. } => {
                    match self.receive_header(input, terms, inflates)? {
                        None => return Ok(None),
                        Some(header) if header.first.is_control() => {
                            note(&header);
                            Some(header)
                        }
                        Some(header) => {
                            note(&header);
                            return Ok(Some(self.begin_raw_frame(&header, terms)?));
                        }
                    }
                }
                Place::Control(_) => None,
                Place::Stopped | Place::Front => {
                    *input = &mut [];
                    return Ok(None);
                }
            };
            if let Some(received) = self.receive_control(control, input, terms)? {
                return Ok(Some(Raw::Other(received)));
            }
        }
        Ok(None)
    }

    /// Begins a data frame. A frame without payload also ends here.
    fn begin_raw_frame(
        &mut self,
        header: &Header,
        terms: Terms<'_>,
    ) -> Result<Raw<'static>, ProtocolError> {
        let frame = self.begin_frame(header);
        if header.len == 0 {
            // RFC 6455 8.1: an empty last frame does not complete a character.
            if self.message.check_raw(&[], header.first.is_final()).is_err() {
                return Err(ProtocolError::InvalidUtf8);
            }
            self.place = self.place_behind_frame(terms);
        } else {
            self.place = Place::Payload(frame);
        }
        Ok(Raw::Header(header.to_public()))
    }

    /// Takes the payload of a data frame, at most as much of it as `input` has, which is not empty.
    fn receive_raw_payload<'a>(
        &mut self,
        frame: DataFrame,
        input: &mut &'a mut [u8],
        terms: Terms<'_>,
    ) -> Result<Raw<'a>, Box<Fault<'a>>> {
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
        Ok(Raw::Payload(FramePayload::new(piece, is_last)))
    }
}
