//! Makes public values and scripts from a fuzzer's bytes. For any bytes the values are bounded, and valid where the
//! type promises that. Limits are usual or extreme, but no limit lets a connection hold more than a few megabytes.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use arbitrary::{Arbitrary, MaxRecursionReached, Result, Unstructured, size_hint};

use super::frame::{Length, Mask, RawFrame};
use super::script::Script;
use super::step::Step;
use crate::close_code::CloseCode;
use crate::config::{Config, Delivery};
#[cfg(feature = "deflate")]
use crate::deflate::{Deflate, DeflateParams};
use crate::entropy::Entropy;
use crate::frame::{FrameHeader, MAX_CONTROL_BYTES, Opcode};
use crate::message::{Message, MessageKind};
use crate::state::Role;

/// The largest number of steps of a script.
const MAX_STEPS: usize = 200;

/// Sizes near borders: of the encodings of a frame's length, of a control frame's payload, of the queue's pieces.
const SIZES: &[usize] =
    &[0, 1, 2, 20, 124, 125, 126, 127, 600, 4096, 16_384, 65_535, 65_536, 70_000];

impl<'a> Arbitrary<'a> for Role {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.choose(&[Role::Client, Role::Server]).copied()
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (1, Some(1))
    }
}

impl<'a> Arbitrary<'a> for MessageKind {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.choose(&[MessageKind::Text, MessageKind::Binary]).copied()
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (1, Some(1))
    }
}

impl<'a> Arbitrary<'a> for Opcode {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.choose(&[
            Opcode::Continuation,
            Opcode::Text,
            Opcode::Binary,
            Opcode::Close,
            Opcode::Ping,
            Opcode::Pong,
        ])
        .copied()
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (1, Some(1))
    }
}

/// Any number; codes with a meaning are likely.
impl<'a> Arbitrary<'a> for CloseCode {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        // Those that have no name, at the borders of what may be sent.
        const NEAR: [u16; 7] = [0, 999, 1004, 2999, 3000, 4999, 5000];
        let pick = usize::from(u.arbitrary::<u8>()?);
        let near = NEAR.iter().map(|&code| CloseCode::new(code));
        match CloseCode::NAMED.iter().copied().chain(near).nth(pick) {
            Some(code) => Ok(code),
            None => Ok(CloseCode::new(u.arbitrary()?)),
        }
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (1, Some(3))
    }
}

/// Text that is UTF-8, or any bytes.
impl<'a> Arbitrary<'a> for Message<'_> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match MessageKind::arbitrary(u)? {
            MessageKind::Text => Message::from(u.arbitrary::<String>()?),
            MessageKind::Binary => Message::from(u.arbitrary::<Vec<u8>>()?),
        })
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (1, None)
    }
}

/// A header that [`FrameHeader::decode`] accepts and returns unchanged.
impl<'a> Arbitrary<'a> for FrameHeader {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let opcode = Opcode::arbitrary(u)?;
        let payload_len = match opcode.is_control() {
            true => u.int_in_range(0..=MAX_CONTROL_BYTES as u64)?,
            // Each encoding of the length is equally likely.
            false => match u.int_in_range(0..=2)? {
                0 => u.int_in_range(0..=125)?,
                1 => u.int_in_range(126..=0xffff)?,
                _ => u.int_in_range(0x1_0000..=u64::MAX >> 1)?,
            },
        };
        Ok(FrameHeader {
            fin: opcode.is_control() || u.arbitrary()?,
            rsv: u.int_in_range(0..=7)?,
            opcode,
            mask: u.arbitrary()?,
            // RFC 6455 5.5.1: a Close has no body of one byte.
            payload_len: payload_len + u64::from(opcode == Opcode::Close && payload_len == 1),
        })
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (4, Some(17))
    }
}

/// A whole frame. Most are valid, but every part can be wrong.
impl<'a> Arbitrary<'a> for RawFrame {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let opcode = if u.ratio(1, 32)? { u.arbitrary()? } else { Opcode::arbitrary(u)? as u8 };
        let is_control = opcode & 8 != 0;
        let payload = match opcode {
            1 if !u.ratio(1, 32)? => text(u)?.into_bytes(),
            8 if !u.ratio(1, 4)? => [&[3, 0xe8][..], text(u)?.as_bytes()].concat(),
            _ => payload(u)?,
        };
        let mut frame = RawFrame::new(opcode, payload);
        if is_control && !u.ratio(1, 32)? {
            frame.payload.truncate(MAX_CONTROL_BYTES);
        }
        if u.ratio(if is_control { 1 } else { 8 }, 32)? {
            frame = frame.unfinished();
        }
        if u.ratio(1, 32)? {
            frame = frame.rsv(u.arbitrary()?);
        }
        if u.ratio(1, 32)? {
            frame.mask = if u.arbitrary()? { Mask::Key(u.arbitrary()?) } else { Mask::Unmasked };
        }
        if u.ratio(1, 32)? {
            frame.length = match u.int_in_range(0..=2)? {
                0 => Length::SixteenBit,
                1 => Length::SixtyFourBit,
                _ => Length::Claimed(u.arbitrary()?),
            };
        }
        Ok(frame)
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (7, None)
    }
}

/// Up to 20 bytes of the fuzzer's input, so that some are left for more steps; or one byte repeated, so that little
/// input makes a long payload.
fn payload(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    if u.ratio(1, 8)? {
        let (byte, len) = (u.arbitrary()?, *u.choose(SIZES)?);
        return Ok(alloc::vec![byte; len]);
    }
    Ok(few_bytes(u)?.to_vec())
}

/// Text, made like [`payload`].
fn text(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 8)? {
        let len = *u.choose(SIZES)?;
        return Ok("aé€😀".chars().cycle().take(len).collect());
    }
    Ok(String::from_utf8_lossy(few_bytes(u)?).into_owned())
}

fn few_bytes<'a>(u: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    let len = u.int_in_range(0..=20)?;
    u.bytes(len.min(u.len()))
}

/// A message of any kind.
fn any_message(u: &mut Unstructured<'_>) -> Result<Message<'static>> {
    Ok(match MessageKind::arbitrary(u)? {
        MessageKind::Text => Message::from(text(u)?),
        MessageKind::Binary => Message::from(payload(u)?),
    })
}

/// The first choice, which is the usual one, in at least seven of eight cases.
fn first_or<T: Copy>(choices: &[T], u: &mut Unstructured<'_>) -> Result<T> {
    let byte = usize::from(u.arbitrary::<u8>()?);
    Ok(choices[if byte < 224 { 0 } else { byte % choices.len() }])
}

/// Usual or extreme limits, with or without timeouts, with [`Entropy::Seed`]. A connection with it holds at most a few
/// megabytes.
impl<'a> Arbitrary<'a> for Config {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        const BYTES: &[u64] = &[1024 * 1024, 1, 2, 124, 125, 126, 127, 1000, 4096, 65_535];
        const MARKS: &[u64] = &[1024 * 1024, 0, 1, 124, 125, 126, 127, 1000, 4096, 65_535];
        const HEADS: &[usize] = &[16 * 1024, 1, 2, 64, 200, 64 * 1024];
        const EARLY: &[usize] = &[16 * 1024, 0, 1, 64, 200, 64 * 1024];
        // Smaller frames would be so many that a script takes too much of the fuzzer's time.
        const FRAMES: &[usize] = &[usize::MAX, 100, 125, 126, 127, 1000, 4096, 65_535];
        const TIMES: &[Option<u64>] =
            &[None, Some(1), Some(2), Some(50), Some(5000), Some(u64::MAX)];
        let time = |u: &mut Unstructured<'a>| -> Result<Option<Duration>> {
            Ok(first_or(TIMES, u)?.map(Duration::from_millis))
        };
        // Most programs do not expect frames.
        let delivery = match u.int_in_range(0..=15)? {
            15 => Delivery::Frames,
            n if n % 2 == 0 => Delivery::Messages,
            _ => Delivery::Chunks,
        };
        let config = Config::builder()
            .delivery(delivery)
            .max_head_bytes(first_or(HEADS, u)?)
            .max_headers(first_or(&[64, 1, 2, 5, usize::MAX], u)?)
            .max_early_bytes(first_or(EARLY, u)?)
            .max_refusal_body_bytes(first_or(EARLY, u)?)
            .max_frame_bytes(first_or(BYTES, u)?)
            .max_message_bytes(first_or(BYTES, u)?)
            .max_fragments(first_or(&[u32::MAX, 1, 2, 3, 4, 100], u)?);
        let most: u64 = first_or(BYTES, u)?;
        let high = most.min(first_or(MARKS, u)?);
        let low = high.min(first_or(MARKS, u)?);
        let config = config
            .max_outgoing_bytes(most)
            .high_water_bytes(high)
            .low_water_bytes(low)
            .max_queued_pongs(first_or(&[16, 1, 2, 3, u8::MAX], u)?)
            .handshake_timeout(time(u)?)
            .close_timeout(time(u)?);
        let (idle, keepalive) = (time(u)?, time(u)?);
        let config = config
            .idle_timeout(idle)
            .keepalive_interval(keepalive.filter(|&every| idle.is_none_or(|idle| every < idle)));
        // One byte makes all of these choices. Mostly its usual values are 0 and 1.
        let bits: u8 = u.arbitrary()?;
        let pong = [None, Some(1), Some(50), Some(5000)][usize::from(bits >> 6)];
        let has_keepalive = keepalive.is_some_and(|every| idle.is_none_or(|idle| every < idle));
        let config = config
            .require_subprotocol(bits & 1 != 0)
            .answer_pings(bits & 0b110 != 0b110)
            .answer_close(bits & 0b1_1000 != 0b1_1000)
            .measure_round_trip(has_keepalive && bits & 0b10_0000 != 0)
            .pong_timeout(pong.filter(|_| has_keepalive).map(Duration::from_millis));
        #[cfg(feature = "deflate")]
        let config = config.deflate(u.arbitrary::<Option<Deflate>>()?);
        let config = config
            .entropy(Entropy::Seed(u.arbitrary()?))
            .release_after(Duration::from_millis(first_or(&[1000, 0, 1, 50, 3_600_000], u)?));
        let bits: u8 = u.arbitrary()?;
        let config = config
            .stream_refusal_body(bits & 1 != 0)
            .count_traffic(bits & 0b110 == 0b110)
            .max_outgoing_frame_bytes(first_or(FRAMES, u)?);
        Ok(config.build().expect("each value is allowed, and none contradicts another"))
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        let deflate = if cfg!(feature = "deflate") { (1, 8) } else { (0, 0) };
        (28 + deflate.0, Some(28 + deflate.1))
    }
}

/// Any options in range.
#[cfg(feature = "deflate")]
impl<'a> Arbitrary<'a> for Deflate {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Deflate {
            level: u.int_in_range(1..=9)?,
            min_bytes: *u.choose(&[64, 0, 1, 1000])?,
            server_max_window_bits: u.int_in_range(9..=15)?,
            client_max_window_bits: u.int_in_range(9..=15)?,
            server_no_context_takeover: u.arbitrary()?,
            client_no_context_takeover: u.arbitrary()?,
            fallbacks: alloc::vec::Vec::new(),
            required: u.arbitrary()?,
            ..Deflate::default()
        })
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (7, Some(7))
    }
}

/// Parameters that a negotiation can result in (RFC 7692 7.1).
#[cfg(feature = "deflate")]
impl<'a> Arbitrary<'a> for DeflateParams {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(DeflateParams {
            server_no_context_takeover: u.arbitrary()?,
            client_no_context_takeover: u.arbitrary()?,
            server_max_window_bits: u.int_in_range(8..=15)?,
            client_max_window_bits: u.int_in_range(8..=15)?,
        })
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (4, Some(4))
    }
}

/// Steps that are mostly in the wrong place, and at the end the step that changes no outcome. An arbitrary script does
/// not have that one: a target that compares outcomes puts it in.
static RARE: [Step; 5] =
    [Step::Handshake, Step::Accept, Step::Respond(403), Step::Respond(404), Step::AskFirst];

/// Mostly valid calls. Calls that end the connection, and invalid bytes, are rare.
impl<'a> Arbitrary<'a> for Script {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut script = Script::new(Role::arbitrary(u)?);
        script.handshake = u.ratio(1, 4)?;
        #[cfg(feature = "deflate")]
        if u.ratio(1, 4)? {
            script.deflate = Some(u.arbitrary()?);
        }
        if u.ratio(1, 4)? {
            script.read_buffer = Some(first_or(&[16 * 1024, 0, 13, 14, 15, 130, 1000, 70_020], u)?);
        }
        script.recycle = u.ratio(1, 4)?;
        let mut open = Fragments::default();
        if script.handshake && u.ratio(7, 8)? {
            script.steps.push(Step::Handshake);
            script.steps.push(Step::Accept);
        }
        while script.steps.len() < MAX_STEPS && !u.is_empty() {
            script.steps.push(open.step(&RARE[..4], u)?);
        }
        Ok(script)
    }

    fn size_hint(depth: usize) -> (usize, Option<usize>) {
        size_hint::and((5, None), Role::size_hint(depth))
    }

    fn try_size_hint(depth: usize) -> Result<(usize, Option<usize>), MaxRecursionReached> {
        Ok(Self::size_hint(depth))
    }
}

impl<'a> Arbitrary<'a> for Step {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Fragments::default().step(&RARE, u)
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (1, None)
    }
}

/// The unfinished messages in both directions, so that the next step can continue them.
#[derive(Default)]
struct Fragments {
    sent: Option<MessageKind>,
    /// Whether the unfinished sent message is sent without compression.
    sent_uncompressed: bool,
    received: Option<MessageKind>,
    /// Payload bytes that the frame lacks which is sent in pieces.
    unsent: u64,
}

impl Fragments {
    /// A step; now and then one of `rare`.
    fn step(&mut self, rare: &[Step], u: &mut Unstructured<'_>) -> Result<Step> {
        if self.unsent > 0 && u.arbitrary()? {
            return self.send_payload(u);
        }
        Ok(match u.int_in_range(0..=31)? {
            0..=9 => {
                let (frame, most) = (self.frame(u)?, *u.choose(&[usize::MAX, 1, 2, 7, 100])?);
                // At most about 64 reads for a frame: more would take too much of the fuzzer's time.
                let most = most.max(frame.payload.len() / 64);
                Step::Frame(frame, most)
            }
            10..=12 => Step::Send(any_message(u)?),
            13 => Step::SendPrepared(any_message(u)?),
            14 => Step::SendUncompressed(any_message(u)?),
            15..=17 => self.fragment(u)?,
            18 => Step::Ping(payload(u)?),
            19 => Step::Pong(payload(u)?),
            20..=22 => Step::Write(*u.choose(&[usize::MAX, 0, 1, 2, 3, 5, 14, 100, 5000])?),
            23 => Step::Take,
            24 | 25 => {
                Step::Tick(Duration::from_millis(*u.choose(&[0, 1, 49, 50, 5000, 100_000])?))
            }
            26 => Step::ReleaseMemory,
            27 if u.ratio(1, 8)? => Step::Receive(few_bytes(u)?.to_vec()),
            27 => Step::SendThrough {
                message: any_message(u)?,
                room: *u.choose(&[usize::MAX, 0, 1, 3, 5, 100, 5000, 16_400, 40_000])?,
            },
            28 => u.choose(rare)?.clone(),
            // Steps that end the connection are rare.
            29 if u.ratio(1, 4)? => Step::Close(u.arbitrary()?, text(u)?),
            29 => self.begin_frame(u)?,
            30 if u.ratio(1, 8)? => Step::Eof,
            31 if u.ratio(1, 8)? => Step::Abort,
            31 if u.ratio(1, 4)? => Step::CloseWithoutCode,
            31 if u.ratio(1, 4)? => Step::WriteClosed,
            31 if u.ratio(1, 4)? => Step::Fail(u.arbitrary()?, text(u)?),
            _ => Step::Send(any_message(u)?),
        })
    }

    /// A frame that mostly fits: it continues an unfinished message, and otherwise begins one.
    fn frame(&mut self, u: &mut Unstructured<'_>) -> Result<RawFrame> {
        let mut frame = RawFrame::arbitrary(u)?;
        if frame.opcode() == 8 && !u.ratio(1, 8)? {
            frame = RawFrame::ping("");
        }
        if frame.opcode() < 3 && !u.ratio(1, 32)? {
            let opcode = match (self.received, frame.opcode()) {
                (None, 0) => 2,
                (None, opcode) => opcode,
                (Some(_), _) => 0,
            };
            frame.first = (frame.first & 0xf0) | opcode;
            if self.received == Some(MessageKind::Text) {
                frame.payload = String::from_utf8_lossy(&frame.payload).into_owned().into_bytes();
            }
        }
        self.received = match frame.opcode() {
            0..=2 if frame.is_final() => None,
            1 => Some(MessageKind::Text),
            2 => Some(MessageKind::Binary),
            _ => self.received,
        };
        Ok(frame)
    }

    /// The header of a frame that mostly fits the unfinished message.
    fn begin_frame(&mut self, u: &mut Unstructured<'_>) -> Result<Step> {
        let kind = match self.sent {
            Some(kind) => kind,
            None => u.arbitrary()?,
        };
        let opcode = match (self.sent, kind) {
            _ if u.ratio(1, 32)? => u.arbitrary()?,
            (Some(_), _) => Opcode::Continuation,
            (None, MessageKind::Text) => Opcode::Text,
            (None, MessageKind::Binary) => Opcode::Binary,
        };
        let fin = u.ratio(1, 2)?;
        let rsv = if u.ratio(1, 8)? { u.int_in_range(0..=7)? } else { 0 };
        let payload_len = first_or(&[5, 0, 1, 126, 1000, 65_536, u64::MAX], u)?;
        self.unsent = payload_len;
        self.sent = (!fin).then_some(kind);
        Ok(Step::BeginFrame(FrameHeader { fin, rsv, opcode, mask: None, payload_len }))
    }

    /// A piece of the payload that mostly fits the unfinished frame.
    fn send_payload(&mut self, u: &mut Unstructured<'_>) -> Result<Step> {
        let mut payload = payload(u)?;
        if !u.ratio(1, 32)? {
            payload.truncate(usize::try_from(self.unsent).unwrap_or(usize::MAX));
            payload.iter_mut().for_each(|byte| *byte &= 0x7f);
        }
        self.unsent = self.unsent.saturating_sub(payload.len() as u64);
        Ok(Step::SendPayload(payload))
    }

    fn fragment(&mut self, u: &mut Unstructured<'_>) -> Result<Step> {
        let kind = match self.sent {
            Some(kind) if !u.ratio(1, 32)? => kind,
            _ => MessageKind::arbitrary(u)?,
        };
        // A message goes on as it was begun, except now and then.
        let other = u.ratio(1, if self.sent.is_some() { 32 } else { 4 })?;
        let uncompressed = other != (self.sent.is_some() && self.sent_uncompressed);
        let last = u.ratio(1, 3)?;
        self.sent = (!last).then_some(kind);
        self.sent_uncompressed = uncompressed;
        let payload = match kind {
            MessageKind::Text if !u.ratio(1, 16)? => text(u)?.into_bytes(),
            _ => payload(u)?,
        };
        Ok(match uncompressed {
            true => Step::UncompressedFragment { kind, payload, last },
            false => Step::Fragment { kind, payload, last },
        })
    }
}
