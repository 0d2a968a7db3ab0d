//! Receiving out of a [`ReadBuffer`]: a message that was cut by the end of a read waits there until the rest of it has
//! arrived, and is handed over from there. So a connection with a buffer of its own neither copies nor allocates for
//! the messages that fit into it. What has arrived is judged at once all the same.

use alloc::borrow::Cow;
use core::mem;

use super::Connection;
use super::receive::{FrameState, begun_kind};
use crate::config::Delivery;
use crate::error::ProtocolError;
use crate::event::Event;
use crate::frame::{self, FIN, Header, Opcode};
use crate::input::take_front;
use crate::mask;
use crate::message::Message;
use crate::read_buffer::{Held, ReadBuffer};
use crate::utf8;

impl Connection {
    /// [`receive`](Connection::receive), from a buffer that remembers what was taken, and keeps the front of a frame
    /// that is cut: a message that fits into the buffer is borrowed from it, in however many reads it came. `None`
    /// means that more must be read.
    ///
    /// # Panics
    ///
    /// If a message was begun from another buffer, and this one does not hold as much as that, or has no room for the
    /// rest.
    #[inline]
    pub fn receive_from<'a>(&mut self, buffer: &'a mut ReadBuffer) -> Option<Event<'a>> {
        buffer.take_front(|input, held| {
            // What is held was received already, and is no beginning of a frame.
            let event = if held.len == 0 { self.receive_quick(input) } else { None };
            match event {
                Some(event) => Some(event),
                None => self.receive_or_hold(input, held),
            }
        })
    }

    /// What [`receive_quick`](Connection::receive_quick) leaves.
    #[inline(never)]
    fn receive_or_hold<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        held: &mut Held,
    ) -> Option<Event<'a>> {
        if self.message.held {
            return self.receive_rest(input, held);
        }
        // The front of a message that a connection did not live to complete.
        take_front(input, held.len);
        held.clear();
        let may_hold = self.phase.receives_frames()
            && self.rare.is_none()
            && matches!(self.frame, FrameState::Header { .. })
            && !self.message.is_open()
            && !input.is_empty();
        if may_hold {
            self.timer.note_received();
            let header = match self.receive_header(input) {
                Ok(Some(header)) => header,
                Ok(None) => {
                    self.refresh();
                    return None;
                }
                Err(error) => return Some(self.fail_refreshed(error)),
            };
            let Header { first, key, len: left, .. } = header;
            if self.can_hold(&header, input.len(), held.capacity) {
                self.message.held = true;
                self.frame = FrameState::Payload { first, key, left };
                self.refresh();
                return self.receive_rest(input, held);
            }
            let event = self.receive_frames(Some(header), input);
            self.refresh();
            return event;
        }
        self.receive_any(input)
    }

    /// Whether a frame of whose payload `available` bytes are there is a message of its own, cut, that fits into the
    /// buffer.
    fn can_hold(&self, header: &Header, available: usize, capacity: usize) -> bool {
        header.first & FIN != 0
            && begun_kind(header.first).is_some()
            && !frame::is_compressed(header.first)
            && self.config.delivery == Delivery::Messages
            && header.len <= capacity as u64
            && available < header.len as usize
    }

    /// The payload goes on behind its front, which is held at the beginning of `input`.
    fn receive_rest<'a>(&mut self, input: &mut &'a mut [u8], held: &mut Held) -> Option<Event<'a>> {
        let FrameState::Payload { first, key, left } = self.frame else {
            unreachable!("only payload is held")
        };
        let total = self.message.bytes;
        assert!(
            total == held.len as u64 + left && total <= held.capacity as u64,
            "the message was begun from another buffer"
        );
        let new = &mut input[held.len..];
        if new.is_empty() {
            return None;
        }
        self.timer.note_received();
        let n = usize::try_from(left).map_or(new.len(), |left| left.min(new.len()));
        let is_ascii = mask::mask_in_place(&mut new[..n], key);
        let end = held.len + n;
        let left = left - n as u64;
        let text = first & 0x0f == Opcode::Text as u8;
        if left > 0 {
            self.frame = FrameState::Payload { first, key: mask::rotate_key(key, n), left };
            let before = mem::replace(&mut held.len, end);
            if is_ascii && held.checked == before {
                held.checked = end;
            } else if text {
                match utf8::checked_len(&input[held.checked..end]) {
                    Some(len) => held.checked += len,
                    None => return Some(self.fail_refreshed(ProtocolError::InvalidUtf8)),
                }
            }
            return None;
        }
        let payload = take_front(input, end);
        held.clear();
        self.frame = FrameState::default();
        self.message.finish();
        let event = match text {
            false => Event::Message(Message::Binary(Cow::Borrowed(payload))),
            true => match utf8::validate(payload) {
                Some(text) => Event::Message(Message::Text(Cow::Borrowed(text))),
                None => self.fail(ProtocolError::InvalidUtf8),
            },
        };
        self.refresh();
        Some(event)
    }
}
