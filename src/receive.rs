//! The receiver turns bytes from the peer into messages and control frames (RFC 6455 5, 6.2). It knows neither the
//! phase of the connection, nor its queue, nor its deadlines. The connection decides what to do about a message or
//! control frame.

mod control;
mod front;
#[cfg(feature = "deflate")]
mod inflating;
mod message;
mod quick;
mod raw;
mod read_buffer;
mod ready;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::close_code::CloseCode;
use crate::config::{Config, Delivery};
use crate::deflate::MaybeCodec;
use crate::error::ProtocolError;
use crate::frame::{self, FirstByte, Header, MAX_HEADER_BYTES, Masking, ReservedBits, Rules};
use crate::frame_payload::FramePayload;
use crate::input::take_front;
use crate::mask;
use crate::message::{Chunk, Cut, Message};
use crate::state::Role;
use crate::timestamp::Timestamp;
use crate::utf8::InvalidUtf8;
use control::PartialControl;
use message::OpenMessage;

pub(crate) use front::{Front, Reading};
pub(crate) use raw::Raw;
pub use read_buffer::ReadBuffer;
pub(crate) use ready::LookAhead;

/// The receiving half of a connection.
#[derive(Default)]
pub(crate) struct Receiver {
    /// The position of the next byte in the stream of frames.
    place: Place,
    /// The open message, and the memory for messages.
    message: OpenMessage,
}

const _: () = assert!(size_of::<Receiver>() <= 72 || size_of::<usize>() != 8);

/// The position of the next byte in the stream of frames.
#[derive(Default)]
enum Place {
    /// Not in frames: the connection is not open yet, or its input is dropped (RFC 6455 1.4, 7.1.7).
    #[default]
    Stopped,
    /// Between messages, at a server: the next frame may take the quick way if it is masked.
    QuickMasked,
    /// Between messages, at a client: the next frame is not masked, and may take the quick way.
    QuickUnmasked,
    /// Between frames, or behind the first `len` bytes of a header. These bytes break no rule.
    Header { bytes: [u8; MAX_HEADER_BYTES], len: u8 },
    /// In the payload of a data frame, or behind its header if it has no payload.
    Payload(DataFrame),
    /// In the payload of a control frame that arrived in part.
    Control(Box<PartialControl>),
    /// In the payload of a frame whose front is stored in the caller's [`ReadBuffer`].
    Front,
}

const _: () = assert!(size_of::<Place>() == 16 || size_of::<usize>() != 8);

impl Place {
    /// Between frames, where a frame must take the general way.
    const BETWEEN_FRAMES: Place = Place::Header { bytes: [0; MAX_HEADER_BYTES], len: 0 };
}

/// A data frame whose header was received. It is packed, so that a [`Place`] has 16 bytes.
#[derive(Clone, Copy)]
#[repr(Rust, packed)]
struct DataFrame {
    first: FirstByte,
    /// The masking key, rotated so that its first byte masks the next byte of the payload.
    key: [u8; 4],
    /// Bytes of the payload that have not arrived.
    left: u64,
}

impl DataFrame {
    #[inline]
    fn new(header: &Header) -> DataFrame {
        DataFrame { first: header.first, key: header.key, left: header.len }
    }

    /// How many of the next `available` bytes belong to the payload.
    fn available(self, available: usize) -> usize {
        usize::try_from(self.left).map_or(available, |left| left.min(available))
    }

    /// The frame after `n` more bytes of its payload.
    fn behind(self, n: usize) -> DataFrame {
        DataFrame { key: mask::rotate_key(self.key, n), left: self.left - n as u64, ..self }
    }

    /// Whether its next `n` bytes are the end of a message.
    fn ends_with(self, n: usize) -> bool {
        self.first.is_final() && self.left == n as u64
    }
}

/// The role and the configuration. The connection passes them with each call.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'c> {
    /// Our role. A server receives masked frames, or also unmasked ones if the configuration says so; a client
    /// unmasked ones.
    pub(crate) role: Role,
    pub(crate) config: &'c Config,
}

impl Terms<'_> {
    /// The position between messages. The configuration may have closed the quick way.
    #[inline]
    fn between_messages(self) -> Place {
        match (self.config.is_quick, self.role) {
            (false, _) => Place::BETWEEN_FRAMES,
            (true, Role::Server) => Place::QuickMasked,
            (true, Role::Client) => Place::QuickUnmasked,
        }
    }
}

/// What was received.
pub(crate) enum Received<'a> {
    Message(Message<'a>),
    Chunk(Chunk<'a>),
    Ping(Cow<'a, [u8]>),
    Pong(Cow<'a, [u8]>),
    /// A Close frame; code 1005 if it has no body (RFC 6455 7.1.5).
    Close(CloseCode, String),
}

/// What the peer did wrong, for which the connection fails (RFC 6455 7.1.7).
pub(crate) struct Fault<'a> {
    /// A piece of the message that was received before the fault. The caller gets it first.
    pub(crate) before: Option<Before<'a>>,
    pub(crate) error: ProtocolError,
}

/// A piece of a message that was received before a fault.
pub(crate) enum Before<'a> {
    Chunk(Chunk<'a>),
    FramePayload(FramePayload<'a>),
}

impl From<ProtocolError> for Box<Fault<'_>> {
    #[cold]
    fn from(error: ProtocolError) -> Self {
        Box::new(Fault { before: None, error })
    }
}

impl From<InvalidUtf8> for Box<Fault<'_>> {
    #[cold]
    fn from(InvalidUtf8: InvalidUtf8) -> Self {
        ProtocolError::InvalidUtf8.into()
    }
}

type Result<T, E> = core::result::Result<T, E>;
/// `None` means that all input was taken, and that more is needed.
type Reception<'a> = Result<Option<Received<'a>>, Box<Fault<'a>>>;

impl Receiver {
    /// Starts to receive frames, and opens the quick way between messages. The caller calls it again after
    /// [`close_quick_way`](Receiver::close_quick_way).
    pub(crate) fn start(&mut self, terms: Terms<'_>) {
        if matches!(self.place, Place::Stopped | Place::Header { len: 0, .. })
            && !self.message.is_open()
        {
            self.place = terms.between_messages();
        }
    }

    /// Closes the quick way. [`start`](Receiver::start) and the end of the next message or control frame open it again.
    pub(crate) fn close_quick_way(&mut self) {
        if matches!(self.place, Place::QuickMasked | Place::QuickUnmasked) {
            self.place = Place::BETWEEN_FRAMES;
        }
    }

    /// Whether a message has begun and is not delivered to its end.
    pub(crate) fn is_in_message(&self) -> bool {
        self.message.is_open()
    }

    /// Bytes that the payload of the current data frame lacks.
    pub(crate) fn payload_left(&self) -> u64 {
        match &self.place {
            Place::Payload(frame) => frame.left,
            _ => 0,
        }
    }

    /// What the end of the connection cuts if it comes now.
    pub(crate) fn cut(&self) -> Option<Cut> {
        match &self.place {
            Place::Stopped => None,
            Place::QuickMasked | Place::QuickUnmasked | Place::Header { len: 0, .. } => {
                self.message.is_open().then_some(Cut::Message)
            }
            Place::Header { .. } | Place::Payload(_) | Place::Control(_) | Place::Front => {
                Some(Cut::Frame)
            }
        }
    }

    /// Stops receiving frames, drops a message or frame that arrived in part, and frees its memory.
    pub(crate) fn stop(&mut self) {
        *self = Receiver::default();
    }

    /// Stores the memory of `bytes` for a later message, if it is larger than the memory already stored.
    pub(crate) fn recycle(&mut self, bytes: Vec<u8>) {
        self.message.recycle(bytes);
    }

    /// Frees the memory for messages, unless a message is open.
    pub(crate) fn free_memory(&mut self) {
        self.message.free_memory();
    }

    /// Frees the memory for messages if nothing was received for the time `after`. Otherwise returns the moment at
    /// which it must be freed; `None` if there is nothing to free.
    pub(crate) fn free_unused(
        &mut self,
        now: Timestamp,
        after: Duration,
        received: bool,
    ) -> Option<Timestamp> {
        self.message.free_unused(now, after, received)
    }

    /// Takes bytes off the front of `input`, up to the end of the first message, chunk or control frame. Passes each
    /// header to `note`. `delivery` is that of the configuration; a caller that knows it makes the loop shorter.
    // Without optimization, inlining only costs stack.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn receive<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        terms: Terms<'_>,
        delivery: Delivery,
        codec: &mut MaybeCodec,
        mut note: impl FnMut(&Header),
    ) -> Reception<'a> {
        loop {
            #[cfg(feature = "deflate")]
            if delivery == Delivery::Chunks && self.message.is_inflating() {
                if let Some(chunk) = self.drain_inflater(terms, codec)? {
                    return Ok(Some(Received::Chunk(chunk)));
                }
            }
            let frame = match &self.place {
                Place::Payload(frame) if !input.is_empty() || frame.left == 0 => *frame,
                _ if input.is_empty() => return Ok(None),
                Place::QuickMasked | Place::QuickUnmasked | Place::Header { .. } => {
                    match self.receive_header(input, terms, codec.is_some())? {
                        None => return Ok(None),
                        Some(header) if header.first.is_control() => {
                            note(&header);
                            match self.receive_control(Some(header), input, terms)? {
                                None => continue,
                                received => return Ok(received),
                            }
                        }
                        Some(header) => {
                            note(&header);
                            self.begin_frame(&header)
                        }
                    }
                }
                Place::Control(_) => match self.receive_control(None, input, terms)? {
                    None => continue,
                    received => return Ok(received),
                },
                Place::Payload(_) | Place::Stopped | Place::Front => {
                    *input = &mut [];
                    return Ok(None);
                }
            };
            let received = self.receive_data(frame, input, terms, delivery, codec)?;
            if received.is_some() {
                return Ok(received);
            }
        }
    }

    #[inline]
    fn begin_frame(&mut self, header: &Header) -> DataFrame {
        self.message.begin_frame(header.first, header.len);
        DataFrame::new(header)
    }

    /// Takes a header off the front of `input`; `None` if `input` ends before the header does.
    #[inline(always)]
    fn receive_header(
        &mut self,
        input: &mut &mut [u8],
        terms: Terms<'_>,
        inflates: bool,
    ) -> Result<Option<Header>, ProtocolError> {
        let rules = self.rules(terms, inflates);
        let (mut bytes, mut len) = match self.place {
            Place::Header { bytes, len } => (bytes, usize::from(len)),
            _ => ([0; MAX_HEADER_BYTES], 0),
        };
        let header = if len == 0 {
            let header = match frame::parse(input, &rules) {
                Ok(header) => header,
                Err(error) => parse_leniently(error, input, &rules, terms)?,
            };
            let used = match &header {
                Some(header) => header.size,
                None => {
                    bytes[..input.len()].copy_from_slice(input);
                    len = input.len();
                    len
                }
            };
            take_front(input, used);
            header
        } else {
            loop {
                let Some(byte) = input.first().copied() else { break None };
                bytes[len] = byte;
                len += 1;
                take_front(input, 1);
                let header = match frame::parse(&bytes[..len], &rules) {
                    Ok(header) => header,
                    Err(error) => parse_leniently(error, &bytes[..len], &rules, terms)?,
                };
                if header.is_some() {
                    break header;
                }
            }
        };
        if header.is_none() {
            self.place = Place::Header { bytes, len: len as u8 };
        }
        Ok(header)
    }

    fn rules(&self, terms: Terms<'_>, inflates: bool) -> Rules {
        let limit = terms.config.max_fragments;
        Rules {
            masking: match terms.role {
                Role::Server => Masking::Required,
                Role::Client => Masking::Forbidden,
            },
            reserved_bits: if inflates { ReservedBits::Rsv1 } else { ReservedBits::None },
            sequence: self.message.sequence(),
            exhausted_fragments: (self.message.fragments() >= limit).then_some(limit),
            max_frame_bytes: terms.config.max_frame_bytes,
            max_message_bytes: terms.config.max_message_bytes,
        }
    }

    /// Takes the payload of a data frame, at most as much of it as `input` has.
    #[inline(always)]
    fn receive_data<'a>(
        &mut self,
        frame: DataFrame,
        input: &mut &'a mut [u8],
        terms: Terms<'_>,
        delivery: Delivery,
        codec: &mut MaybeCodec,
    ) -> Reception<'a> {
        #[cfg(feature = "deflate")]
        if self.message.is_compressed() {
            return self.receive_compressed(frame, input, terms, codec);
        }
        #[cfg(not(feature = "deflate"))]
        let _ = codec;
        let n = frame.available(input.len());
        match delivery {
            Delivery::Messages => {
                let piece = take_front(input, n);
                let Some(message) = self.message.assemble(piece, frame)? else {
                    self.move_place(frame, n, Place::BETWEEN_FRAMES);
                    return Ok(None);
                };
                self.place = terms.between_messages();
                Ok(Some(Received::Message(message)))
            }
            Delivery::Chunks | Delivery::Frames => {
                debug_assert!(delivery == Delivery::Chunks, "`raw` has the frames");
                let n = self.message.chunk_len(n);
                let piece = take_front(input, n);
                mask::apply_mask(piece, frame.key);
                let (chunk, verdict) = self.message.chunk(piece, frame.ends_with(n));
                match verdict {
                    Ok(()) => {
                        self.move_place(frame, n, self.place_behind_frame(terms));
                        Ok(chunk.map(Received::Chunk))
                    }
                    Err(InvalidUtf8) => {
                        let before = chunk.map(Before::Chunk);
                        Err(Box::new(Fault { before, error: ProtocolError::InvalidUtf8 }))
                    }
                }
            }
        }
    }

    /// Moves the position over the next `n` bytes of the frame; `behind` is the position behind the whole frame.
    #[inline]
    fn move_place(&mut self, frame: DataFrame, n: usize, behind: Place) {
        self.place = match frame.left == n as u64 {
            true => behind,
            false => Place::Payload(frame.behind(n)),
        };
    }

    /// The position behind a frame.
    fn place_behind_frame(&self, terms: Terms<'_>) -> Place {
        match self.message.is_open() {
            true => Place::BETWEEN_FRAMES,
            false => terms.between_messages(),
        }
    }
}

/// Parses a header again, since it breaks a rule. If it lacks a mask, the setting may allow that. Only this function
/// looks at the setting, so frames that break no rule do not pay for it.
#[cold]
fn parse_leniently(
    error: ProtocolError,
    bytes: &[u8],
    rules: &Rules,
    terms: Terms<'_>,
) -> Result<Option<Header>, ProtocolError> {
    match error {
        // RFC 6455 5.1: a server closes the connection. The setting departs from it, by the caller's choice.
        ProtocolError::UnmaskedFrame if terms.config.accept_unmasked_frames => {
            frame::parse(bytes, &Rules { masking: Masking::Any, ..*rules })
        }
        error => Err(error),
    }
}
