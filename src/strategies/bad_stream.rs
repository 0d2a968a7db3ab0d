//! Streams that break exactly one rule, at any place. Each knows the rule, the error that must be reported, and the
//! byte that decides it. The other frames are those of valid streams.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::faults::{NotUtf8, is_decided_by_high_byte, least_len, not_deflate, not_utf8};
use super::stream::{Cut, Fragmented, Item, Writer, cut, stored};
use super::streams::Streams;
use super::violation::Violation;
use super::wire::{BINARY, CLOSE, FIN, Hex, Length, PING, PONG, RSV1, TEXT};
use super::{Payload, Seen, close};
use crate::close_code::CloseCode;
use crate::error::ProtocolError;
use crate::event::{CloseCause, Closed, SentClose};
use crate::state::Role;

/// Frames for an open connection, and the events that it must report. The first [`decided_at`](BadStream::decided_at)
/// bytes break one rule. The receiver must ignore the bytes behind them.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadStream {
    /// The role of the receiver.
    pub role: Role,
    /// The bytes that arrive.
    pub bytes: Vec<u8>,
    /// The rule that it breaks.
    pub violation: Violation,
    /// The number of bytes that decide it. With one byte less, the stream could still become valid. Two exceptions:
    /// what depends on a payload is never decided before the frame's header is complete, and a text or a DEFLATE block
    /// that is cut off is decided only by the end of its message.
    pub decided_at: usize,
    /// The error that the receiver must report.
    pub error: ProtocolError,
    /// The events that it must report. The last is [`Seen::Closed`], with code 1006 and this error as its cause.
    pub expected: Vec<Seen>,
}

impl fmt::Debug for BadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BadStream")
            .field("role", &self.role)
            .field("violation", &self.violation)
            .field("rfc_section", &self.violation.rfc_section())
            .field("bytes", &Hex(&self.bytes))
            .field("decided_at", &self.decided_at)
            .field("expected", &self.expected)
            .finish()
    }
}

impl Streams {
    /// Streams that break exactly one rule: any [`Violation`] that [is possible](Violation::applies_to) in these
    /// streams.
    pub fn violating(&self) -> BoxedStrategy<BadStream> {
        let all = Violation::ALL.iter().copied().filter(|violation| violation.applies_to(self));
        any_of(self, all.collect())
    }

    /// Streams that break this one rule; `None` if that is not possible [in these streams](Violation::applies_to).
    pub fn with(&self, violation: Violation) -> Option<BoxedStrategy<BadStream>> {
        violation.applies_to(self).then(|| any_of(self, [violation].into()))
    }
}

/// The random values from which a violation is made. Each shrinks independently.
#[derive(Debug, Clone)]
struct Draw {
    seed: u32,
    /// Valid messages and control frames before it.
    before: Vec<Item>,
    /// The beginning of a message that it interrupts or continues.
    open: Option<Fragmented>,
    pick: usize,
    more: u32,
    code: CloseCode,
    bad_code: CloseCode,
    /// Valid text before and behind the fault.
    text: (String, String),
    cuts: Vec<Cut>,
    payload: Vec<u8>,
    /// Valid messages and control frames behind it, which must be ignored.
    behind: Vec<Item>,
}

fn any_of(streams: &Streams, violations: Vec<Violation>) -> BoxedStrategy<BadStream> {
    let streams = streams.clone();
    let short = || super::message::text(24);
    let content = (
        (0..1000usize, any::<u32>()),
        (close::received_code(), close::forbidden_code()),
        (short(), short()),
        prop_oneof![1 => Just(Vec::new()), 1 => vec(cut(), 0..=4)],
        vec(any::<u8>(), 0..=8),
    );
    let place = (
        any::<u32>(),
        streams.items(),
        option::of(
            streams.clone().max_payload_bytes(streams.max_payload_bytes.min(200)).fragmented(),
        ),
        streams.clone().max_items(2).max_payload_bytes(20).items(),
    );
    (select(violations), place, content)
        .prop_map(move |(violation, (seed, before, open, behind), content)| {
            let ((pick, more), (code, bad_code), text, cuts, payload) = content;
            let draw = Draw {
                seed,
                before,
                open,
                pick,
                more,
                code,
                bad_code,
                text,
                cuts,
                payload,
                behind,
            };
            build(&streams, violation, &draw)
        })
        .boxed()
}

/// Whether a message must be open where the rule is broken; `None` if both are possible.
fn wants_open(violation: Violation) -> Option<bool> {
    use Violation as V;
    match violation {
        V::ReservedBitOnContinuation | V::UnfinishedMessage => Some(true),
        V::ReservedBits | V::UnexpectedContinuation => Some(false),
        // These write a message of their own.
        V::FrameTooBig | V::MessageTooBig | V::TooManyFragments => Some(false),
        _ if violation.is_in_utf8() || violation.is_in_deflate() => Some(false),
        _ => None,
    }
}

fn build(streams: &Streams, violation: Violation, draw: &Draw) -> BadStream {
    let mut writer = Writer::new(streams, draw.seed);
    draw.before.iter().for_each(|item| writer.item(item));
    // The open message must allow one more frame.
    let is_open = match wants_open(violation) {
        Some(wanted) => wanted,
        None => draw.open.is_some() && streams.max_fragments > 1,
    };
    if is_open {
        open(&mut writer, draw, streams);
    }
    let (decided_at, error) = break_rule(streams, violation, draw, is_open, &mut writer);
    let mut expected = core::mem::take(&mut writer.expected);
    draw.behind.iter().for_each(|item| writer.item(item));
    let sent = error.close_code().map(|code| SentClose::new(code, ""));
    let closed = Closed::abnormal(CloseCause::Protocol(error.clone()));
    expected.push(Seen::Closed(closed.with_sent(sent)));
    let bytes = writer.wire.bytes;
    debug_assert!(decided_at <= bytes.len(), "{violation:?} is decided by what is there");
    BadStream { role: streams.role, bytes, violation, decided_at, error, expected }
}

/// Writes the beginning of an uncompressed message, with room for one more frame.
fn open(writer: &mut Writer, draw: &Draw, streams: &Streams) {
    let (opcode, data, cuts) = match &draw.open {
        None => (TEXT, &[][..], &[][..]),
        Some(Fragmented { payload, cuts, .. }) => {
            let opcode = if let Payload::Text(_) = payload { TEXT } else { BINARY };
            let room = streams.max_message_bytes.saturating_sub(16);
            let len = payload.as_bytes().len().min(usize::try_from(room).unwrap_or(usize::MAX));
            (opcode, &payload.as_bytes()[..len], &cuts[..])
        }
    };
    let most = (streams.max_fragments as usize).saturating_sub(2);
    writer.message(opcode, data, &cuts[..cuts.len().min(most)], false);
}

/// Writes the fault. Returns how many bytes of the stream decide it, and the error that the receiver must report.
fn break_rule(
    streams: &Streams,
    violation: Violation,
    draw: &Draw,
    is_open: bool,
    writer: &mut Writer,
) -> (usize, ProtocolError) {
    use Violation as V;
    let at = writer.wire.bytes.len();
    let Draw { pick, payload, .. } = draw;
    let controls = [PING, PONG, CLOSE];
    let control = controls[pick % 3];
    // RFC 6455 5.5.1: a Close without a code has no body.
    let body = if control == CLOSE { &[] } else { &payload[..] };
    let data = match is_open {
        true => [0, FIN][pick % 2],
        false => [TEXT | FIN, BINARY | FIN, TEXT, BINARY][pick % 4],
    };
    match violation {
        V::Masking => {
            match pick % 7 {
                0..4 => writer.wire.frame_wrongly_masked(data, payload),
                _ => writer.wire.frame_wrongly_masked(control, body),
            }
            let error = match streams.role {
                Role::Server => ProtocolError::UnmaskedFrame,
                Role::Client => ProtocolError::MaskedFrame,
            };
            (at + 2, error)
        }
        V::ReservedBits => {
            // RFC 7692 6: if compression is negotiated, RSV1 alone marks a compressed message.
            let bits: &[u8] =
                if streams.compressed { &[1, 2, 3, 5, 6, 7] } else { &[4, 1, 2, 3, 5, 6, 7] };
            let first_byte = data | bits[*pick / 4 % bits.len()] << 4;
            writer.wire.frame(first_byte, payload);
            (at + 1, ProtocolError::ReservedBits { first_byte })
        }
        V::ReservedBitOnContinuation => {
            let first_byte = data | RSV1;
            writer.wire.frame(first_byte, payload);
            (at + 1, ProtocolError::ReservedBits { first_byte })
        }
        V::ReservedBitOnControl => {
            let first_byte = control | RSV1;
            writer.wire.frame(first_byte, body);
            (at + 1, ProtocolError::ReservedBits { first_byte })
        }
        V::ReservedOpcode => {
            let opcode = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15][pick % 10];
            // A reserved control opcode has FIN too: no control frame is fragmented (RFC 6455 5.5).
            let fin = if opcode > 7 || *pick / 10 % 2 == 0 { FIN } else { 0 };
            writer.wire.frame(opcode | fin, payload);
            (at + 1, ProtocolError::ReservedOpcode { opcode })
        }
        V::FragmentedControl => {
            writer.wire.frame(control & !FIN, body);
            (at + 1, ProtocolError::FragmentedControl { opcode: control & 0x0f })
        }
        V::LongControl => {
            let len = [126, 127, 200, 0xffff, 0x1_0000][*pick / 3 % 5];
            let long = alloc::vec![b'a'; len];
            writer.wire.frame(control, &long);
            (at + 2, ProtocolError::ControlTooLong { opcode: control & 0x0f })
        }
        V::NonMinimalLength => {
            let len = payload.len() as u16;
            let (length, decides) = match *pick / 4 % 5 {
                0 => (Length::In16(len), 4),
                1 => (Length::In16(125), 4),
                // After six zero bytes, no length remains that needs eight bytes.
                2 => (Length::In64(len.into()), 8),
                3 => (Length::In64(126), 8),
                _ => (Length::In64(0xffff), 8),
            };
            writer.wire.frame_of_length(data, length, payload);
            (at + decides, ProtocolError::NonMinimalLength)
        }
        V::LengthTopBit => {
            let length = 1 << 63 | u64::from(draw.more) << (*pick / 4 % 32);
            writer.wire.frame_of_length(data, Length::In64(length), payload);
            (at + 3, ProtocolError::LengthOutOfRange)
        }
        V::UnexpectedContinuation => {
            writer.wire.frame([0, FIN][pick % 2], payload);
            (at + 1, ProtocolError::UnexpectedContinuation)
        }
        V::UnfinishedMessage => {
            let first = [TEXT | FIN, BINARY | FIN, TEXT, BINARY][pick % 4];
            writer.wire.frame(first, payload);
            (at + 1, ProtocolError::UnfinishedMessage)
        }
        V::CloseTooShort => {
            writer.wire.frame(CLOSE, &[[3, 0, 0xff][pick % 3]]);
            (at + 2, ProtocolError::CloseTooShort)
        }
        V::CloseCode => {
            let code = draw.bad_code.get();
            let body = [&code.to_be_bytes(), draw.text.0.as_bytes()].concat();
            let start = writer.wire.frame(CLOSE, &body);
            match is_decided_by_high_byte(code) {
                true => (start + 1, ProtocolError::InvalidCloseCode { code: code & 0xff00 }),
                false => (start + 2, ProtocolError::InvalidCloseCode { code }),
            }
        }
        V::CloseReason => {
            let mut body = draw.code.get().to_be_bytes().to_vec();
            let decides = put_not_utf8(&mut body, any_not_utf8(*pick), &draw.text);
            let start = writer.wire.frame(CLOSE, &body);
            (start + decides.unwrap_or(body.len()), ProtocolError::InvalidCloseReason)
        }
        V::FrameTooBig => {
            let limit = streams.max_frame_bytes;
            let len = limit + 1 + excess(draw);
            writer.wire.frame_of_length(data, Length::Shortest(len), payload);
            let (decides, len) = decided_by_length(&writer.wire.bytes[at..], 0, limit);
            (at + decides, ProtocolError::FrameTooBig { len, limit })
        }
        V::MessageTooBig => message_too_big(streams, draw, writer),
        V::TooManyFragments => {
            let limit = streams.max_fragments;
            for i in 0..limit {
                writer.wire.frame(if i == 0 { BINARY } else { 0 }, &[]);
            }
            let at = writer.wire.bytes.len();
            writer.wire.frame([0, FIN][pick % 2], payload);
            (at + 1, ProtocolError::TooManyFragments { limit })
        }
        V::Utf8Overlong
        | V::Utf8Surrogate
        | V::Utf8TooHigh
        | V::Utf8Interrupted
        | V::Utf8StrayContinuation
        | V::Utf8Truncated => {
            let mut data = Vec::new();
            let faults = not_utf8(violation);
            let mut decides = put_not_utf8(&mut data, faults[pick % faults.len()], &draw.text);
            let mut opcode = TEXT;
            if streams.compressed && draw.more % 2 == 1 {
                // The text is one stored block, behind the block's header of five bytes.
                (opcode, data) = (TEXT | RSV1, stored(&data));
                decides = decides.map(|decides| 5 + decides);
            }
            (put_message(writer, opcode, &data, &draw.cuts, decides), ProtocolError::InvalidUtf8)
        }
        V::DeflateBlockType | V::DeflateStoredLength | V::DeflateTruncated | V::DeflateEmpty => {
            let (fault, decides) = not_deflate(violation, *pick / 2);
            let mut data = match violation {
                V::DeflateEmpty => Vec::new(),
                _ => stored(draw.text.0.as_bytes()),
            };
            // Without the beginning of the last block, which the fault replaces.
            data.pop();
            let decides = decides.map(|decides| data.len() + decides);
            data.extend_from_slice(&fault);
            let opcode = RSV1 | [TEXT, BINARY][pick % 2];
            let at = put_message(writer, opcode, &data, &draw.cuts, decides);
            (at, ProtocolError::InvalidDeflate)
        }
    }
}

/// Writes a message whose first `decides` bytes, or whose end if `None`, decide the fault. Returns how many bytes of
/// the stream that is. Control frames between the fragments are expected only before that place.
fn put_message(
    writer: &mut Writer,
    opcode: u8,
    data: &[u8],
    cuts: &[Cut],
    decides: Option<usize>,
) -> usize {
    let seen_before = writer.expected.len();
    let places = writer.message(opcode, data, cuts, true);
    let Some(decides) = decides else { return writer.wire.bytes.len() };
    let place = places.iter().position(|place| (place.start + 1..=place.end).contains(&decides));
    let place = place.expect("the byte that decides is in one of the frames");
    let controls_before: usize = cuts.iter().take(place).map(|cut| cut.controls.len()).sum();
    writer.expected.truncate(seen_before + controls_before);
    places[place].at + decides - places[place].start
}

/// Writes a message that exceeds the limit with its last frame, whose size is allowed.
fn message_too_big(streams: &Streams, draw: &Draw, writer: &mut Writer) -> (usize, ProtocolError) {
    let (limit, max_frame) = (streams.max_message_bytes, streams.max_frame_bytes);
    // The bytes before the last frame: as many as needed to keep that one within its own limit, or a few more.
    let least = (limit + 1).saturating_sub(max_frame);
    let before = (least + draw.payload.len() as u64).min(limit).min(max_frame);
    if before > 0 || draw.pick % 2 == 1 {
        writer.wire.frame(BINARY, &alloc::vec![b'a'; before as usize]);
    }
    let first = if before > 0 || draw.pick % 2 == 1 { 0 } else { BINARY };
    let fin = [FIN, 0][draw.pick / 2 % 2];
    let at = writer.wire.bytes.len();
    let len = (limit - before + 1).saturating_add(excess(draw)).min(max_frame);
    writer.wire.frame_of_length(first | fin, Length::Shortest(len), &draw.payload);
    let (decides, len) = decided_by_length(&writer.wire.bytes[at..], before, limit);
    (at + decides, ProtocolError::MessageTooBig { len, limit })
}

/// By how many bytes a limit is exceeded, less one: often 0, else up to 2^60.
fn excess(draw: &Draw) -> u64 {
    match draw.pick / 4 % 30 {
        0..15 => 0,
        shift => u64::from(draw.more) << (2 * (shift - 15)),
    }
}

/// The number of bytes of a header that decide that `before` bytes and its payload exceed the limit, and their least
/// sum by then.
fn decided_by_length(header: &[u8], before: u64, limit: u64) -> (usize, u64) {
    (2..=10)
        .map(|size| (size, before + least_len(&header[1..size])))
        .find(|&(_, len)| len > limit)
        .expect("the whole length is over the limit")
}

/// Appends text with a fault in the middle. Returns how many bytes of `data` decide it; `None` if the end does.
fn put_not_utf8(
    data: &mut Vec<u8>,
    (fault, decides): NotUtf8,
    (before, behind): &(String, String),
) -> Option<usize> {
    data.extend_from_slice(before.as_bytes());
    let at = data.len();
    data.extend_from_slice(fault);
    if decides.is_some() {
        data.extend_from_slice(behind.as_bytes());
    }
    decides.map(|decides| at + decides)
}

/// A sequence that is not UTF-8, of any class.
fn any_not_utf8(pick: usize) -> NotUtf8 {
    let classes = Violation::ALL.iter().copied().filter(|violation| violation.is_in_utf8());
    let all: Vec<NotUtf8> = classes.flat_map(not_utf8).copied().collect();
    all[pick % all.len()]
}
