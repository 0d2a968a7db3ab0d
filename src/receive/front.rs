//! Messages that are assembled in a [`ReadBuffer`](super::ReadBuffer). If a read ends within a message, the front of
//! the message stays in the buffer, unmasked and checked, until the rest has arrived. The message is then borrowed from
//! the buffer. So for unfragmented, uncompressed messages that fit into its read buffer, a connection allocates
//! nothing.

use alloc::borrow::Cow;
use alloc::boxed::Box;

use super::{DataFrame, Fault, Place, Received, Receiver, Result, Terms};
use crate::frame::Header;
use crate::input::take_front;
use crate::mask;
use crate::message::Message;
use crate::utf8::{self, InvalidUtf8};

/// The front of an unfragmented message, at the beginning of the bytes of a [`ReadBuffer`](super::ReadBuffer).
pub(crate) struct Front {
    frame: DataFrame,
    /// The number of payload bytes that have arrived and are unmasked.
    len: usize,
    /// For text: the number of these bytes that are checked.
    checked: usize,
}

impl Front {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the payload that have not arrived; at least 1.
    pub(super) fn left(&self) -> u64 {
        self.frame.left
    }
}

/// The result of receiving from a buffer.
pub(crate) enum Reading<'a> {
    Received(Received<'a>),
    /// All bytes are received, and more are needed.
    Nothing,
    /// [`receive`](Receiver::receive) must take the rest of the input.
    Frames,
}

impl Receiver {
    /// Whether the front of a message is stored in a [`ReadBuffer`](super::ReadBuffer). The rest must then come from
    /// the same buffer.
    pub(crate) fn has_front(&self) -> bool {
        matches!(self.place, Place::Front)
    }

    /// Receives the next control frame; or begins or continues a message that has not arrived whole, if it fits into a
    /// buffer of `capacity` bytes. The part that has arrived stays in `input`, and `waiting` stores the header and the
    /// size of this part. When the last byte has arrived, the message is returned. For any other frame it returns
    /// [`Reading::Frames`].
    pub(crate) fn receive_from<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        waiting: &mut Option<Front>,
        capacity: usize,
        terms: Terms<'_>,
        inflates: bool,
    ) -> Result<Reading<'a>, Box<Fault<'a>>> {
        if !self.has_front() {
            let is_between_messages = !self.message.is_open()
                && matches!(
                    self.place,
                    Place::QuickMasked | Place::QuickUnmasked | Place::Header { .. }
                );
            if !is_between_messages || input.is_empty() || terms.config.receives_apart {
                return Ok(Reading::Frames);
            }
            let Some(header) = self.receive_header(input, terms, inflates)? else {
                return Ok(Reading::Nothing);
            };
            if header.first.is_control() {
                return Ok(match self.receive_control(Some(header), input, terms)? {
                    Some(received) => Reading::Received(received),
                    None => Reading::Frames,
                });
            }
            if !can_wait(&header, input.len(), capacity) {
                self.place = Place::Payload(self.begin_frame(&header));
                return Ok(Reading::Frames);
            }
            *waiting = Some(Front { frame: DataFrame::new(&header), len: 0, checked: 0 });
            self.place = Place::Front;
        }
        Ok(match self.receive_behind_front(input, waiting, terms)? {
            Some(message) => Reading::Received(Received::Message(message)),
            None => Reading::Nothing,
        })
    }

    /// Takes more payload of the message whose front is at the beginning of `input`.
    fn receive_behind_front<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        waiting: &mut Option<Front>,
        terms: Terms<'_>,
    ) -> Result<Option<Message<'a>>, InvalidUtf8> {
        let front = waiting.as_mut().expect("the connection passes the buffer that has the front");
        let begin = front.len;
        let n = front.frame.available(input.len() - begin);
        if n == 0 {
            return Ok(None);
        }
        let end = begin + n;
        let is_ascii = mask::mask_in_place(&mut input[begin..end], front.frame.key);
        let is_text = front.frame.first.is_text();
        front.frame = front.frame.behind(n);
        front.len = end;
        if front.frame.left > 0 {
            if is_ascii && front.checked == begin {
                front.checked = end;
            } else if is_text {
                let unchecked = &input[front.checked..end];
                front.checked += utf8::checked_len(unchecked).ok_or(InvalidUtf8)?;
            }
            return Ok(None);
        }
        *waiting = None;
        self.place = terms.between_messages();
        let payload = take_front(input, end);
        Ok(Some(match is_text {
            true => Message::Text(Cow::Borrowed(utf8::validate(payload).ok_or(InvalidUtf8)?)),
            false => Message::Binary(Cow::Borrowed(payload)),
        }))
    }
}

/// Whether the front of a message may stay in a buffer of `capacity` bytes. The message must have one frame, and must
/// not be compressed. It must fit into the buffer, and its payload must be longer than the `available` bytes.
fn can_wait(header: &Header, available: usize, capacity: usize) -> bool {
    header.first.is_final()
        && header.first.begins_message()
        && !header.first.is_compressed()
        && header.len <= capacity as u64
        && available < header.len as usize
}
