//! The quick way: receives a message in one frame that is whole in the input and has at most 65,535 payload bytes. It
//! is open only between messages. It changes no state except the input.

use alloc::borrow::Cow;

use super::{Place, Receiver};
use crate::config::{Config, UNCHECKED_BYTES};
use crate::frame::{FirstByte, MAX_CONTROL_BYTES};
use crate::input::take_front;
use crate::mask;
use crate::message::Message;
use crate::utf8::{self, InvalidUtf8};

/// A 7-bit payload length of 126 means that the length is in the next two bytes.
const LENGTH_IN_16_BITS: u8 = 126;
const MASK: u8 = 0x80;

const _: () = assert!(UNCHECKED_BYTES == MAX_CONTROL_BYTES, "`receive_short` takes these payloads");

/// The result of the quick way. `None` means that the frame must take the general way, because it breaks a rule, is not
/// whole in the input, or is of a kind that the quick way does not read. The input is then unchanged.
type Quick<'a> = Option<Result<Message<'a>, InvalidUtf8>>;

impl Receiver {
    /// Takes a message of at most 125 bytes off the front of `input`.
    #[inline(always)]
    pub(crate) fn receive_short<'a>(&self, input: &mut &'a mut [u8]) -> Quick<'a> {
        match self.place {
            Place::QuickMasked => receive_short::<true>(input),
            Place::QuickUnmasked => receive_short::<false>(input),
            _ => None,
        }
    }

    /// Takes a message of 126 to 65,535 bytes off the front of `input`.
    #[inline(always)]
    pub(crate) fn receive_longer<'a>(
        &self,
        input: &mut &'a mut [u8],
        config: &Config,
    ) -> Quick<'a> {
        match self.place {
            Place::QuickMasked => receive_longer::<true>(input, config),
            Place::QuickUnmasked => receive_longer::<false>(input, config),
            _ => None,
        }
    }
}

const FINAL_TEXT: u8 = FirstByte::FINAL_TEXT.get();
const FINAL_BINARY: u8 = FirstByte::FINAL_BINARY.get();

#[inline(always)]
fn receive_short<'a, const MASKED: bool>(input: &mut &'a mut [u8]) -> Quick<'a> {
    let header = if MASKED { 6 } else { 2 };
    let [first @ (FINAL_TEXT | FINAL_BINARY), second, ..] = **input else { return None };
    let len = usize::from(if MASKED { second ^ MASK } else { second });
    if len > MAX_CONTROL_BYTES || input.len() < header + len {
        return None;
    }
    Some(take_frame::<MASKED>(input, first, header, len))
}

#[inline(always)]
fn receive_longer<'a, const MASKED: bool>(input: &mut &'a mut [u8], config: &Config) -> Quick<'a> {
    let header = if MASKED { 8 } else { 4 };
    let [first @ (FINAL_TEXT | FINAL_BINARY), second, high, low, ..] = **input else {
        return None;
    };
    if second != LENGTH_IN_16_BITS | if MASKED { MASK } else { 0 } {
        return None;
    }
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len <= MAX_CONTROL_BYTES
        || input.len() < header + len
        || len as u64 > config.max_frame_bytes
        || len as u64 > config.max_message_bytes
    {
        return None;
    }
    Some(take_frame::<MASKED>(input, first, header, len))
}

/// Takes a whole frame off the front of `input`. The caller has checked its header.
// Without optimization, inlining only costs stack.
#[cfg_attr(not(debug_assertions), inline(always))]
fn take_frame<'a, const MASKED: bool>(
    input: &mut &'a mut [u8],
    first: u8,
    header: usize,
    len: usize,
) -> Result<Message<'a>, InvalidUtf8> {
    let (header, payload) = take_front(input, header + len).split_at_mut(header);
    let key = match MASKED {
        true => *header.last_chunk().expect("the header of a masked frame ends in its key"),
        false => [0; 4],
    };
    if first == FINAL_BINARY {
        if MASKED {
            mask::apply_mask(payload, key);
        }
        return Ok(Message::Binary(Cow::Borrowed(payload)));
    }
    let text = match MASKED {
        true => utf8::unmask(payload, key),
        false => utf8::validate(payload),
    };
    match text {
        Some(text) => Ok(Message::Text(Cow::Borrowed(text))),
        None => Err(InvalidUtf8),
    }
}
