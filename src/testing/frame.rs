//! Raw frames (RFC 6455 5.2): encoded with any violation, and decoded without validation. The code shares nothing with
//! the library's codec, because it is used to test that.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::state::Role;

/// The default masking key, from RFC 6455 5.7.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame in which every field can be set, to invalid values too.
///
/// ```
/// use websocket_proto::Role;
/// use websocket_proto::testing::{Length, RawFrame};
///
/// let hello = RawFrame::text("Hello");
/// assert_eq!(hello.encode(Role::Server), b"\x81\x05Hello");
/// assert_eq!(hello.clone().rsv(0b100).unfinished().encode(Role::Server), b"\x41\x05Hello");
/// assert_eq!(hello.length(Length::SixteenBit).encode(Role::Server), b"\x81\x7e\x00\x05Hello");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "RFC 6455 5.2 fixes the fields of a frame")]
pub struct RawFrame {
    /// FIN, RSV1 to RSV3 and the opcode, from the highest bit on.
    pub first: u8,
    /// Whether and how it is masked.
    pub mask: Mask,
    /// How the length is encoded.
    pub length: Length,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

/// Whether and how a frame is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_enums, reason = "there is no other way to mask a frame or not to")]
pub enum Mask {
    /// As the sender's role requires: a client masks, a server does not (RFC 6455 5.1). The key is always the same.
    #[default]
    ByRole,
    /// Masked with this key.
    Key([u8; 4]),
    /// Not masked.
    Unmasked,
}

/// How a frame encodes its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_enums, reason = "RFC 6455 5.2 has no other form")]
pub enum Length {
    /// In the fewest bytes, as RFC 6455 5.2 requires.
    #[default]
    Shortest,
    /// In 16 bits. The length of a longer payload is cut to its low 16 bits.
    SixteenBit,
    /// In 64 bits.
    SixtyFourBit,
    /// This length in the fewest bytes, whatever the payload is.
    Claimed(u64),
}

impl RawFrame {
    /// Creates a frame with FIN and this opcode. Only the low four bits of the opcode count.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> RawFrame {
        RawFrame {
            first: 0x80 | (opcode & 0x0f),
            mask: Mask::ByRole,
            length: Length::Shortest,
            payload: payload.into(),
        }
    }

    /// A text message.
    pub fn text(text: &str) -> RawFrame {
        RawFrame::new(1, text)
    }

    /// A binary message.
    pub fn binary(payload: impl Into<Vec<u8>>) -> RawFrame {
        RawFrame::new(2, payload)
    }

    /// The last fragment of a message. With [`unfinished`](RawFrame::unfinished) it is a middle one.
    pub fn continuation(payload: impl Into<Vec<u8>>) -> RawFrame {
        RawFrame::new(0, payload)
    }

    /// A ping.
    pub fn ping(payload: impl Into<Vec<u8>>) -> RawFrame {
        RawFrame::new(9, payload)
    }

    /// A pong.
    pub fn pong(payload: impl Into<Vec<u8>>) -> RawFrame {
        RawFrame::new(10, payload)
    }

    /// A Close with any code and a reason.
    pub fn close(code: u16, reason: &str) -> RawFrame {
        RawFrame::new(8, [&code.to_be_bytes()[..], reason.as_bytes()].concat())
    }

    /// Clears FIN.
    #[must_use]
    pub fn unfinished(mut self) -> RawFrame {
        self.first &= 0x7f;
        self
    }

    /// Sets the reserved bits: 4 is RSV1, 2 is RSV2, 1 is RSV3.
    #[must_use]
    pub fn rsv(mut self, bits: u8) -> RawFrame {
        self.first = (self.first & 0x8f) | (bits & 7) << 4;
        self
    }

    /// Sets how the frame is masked.
    #[must_use]
    pub fn mask(mut self, mask: Mask) -> RawFrame {
        self.mask = mask;
        self
    }

    /// Sets how the length is encoded.
    #[must_use]
    pub fn length(mut self, length: Length) -> RawFrame {
        self.length = length;
        self
    }

    /// The opcode.
    pub fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    /// Whether FIN is set.
    pub fn is_final(&self) -> bool {
        self.first & 0x80 != 0
    }

    /// The first byte and the payload, for comparisons.
    pub fn parts(&self) -> (u8, &[u8]) {
        (self.first, &self.payload)
    }

    /// Returns the bytes of the frame on the wire if `sender` sends it.
    pub fn encode(&self, sender: Role) -> Vec<u8> {
        let key = match (self.mask, sender) {
            (Mask::Key(key), _) => Some(key),
            (Mask::ByRole, Role::Client) => Some(KEY),
            (Mask::ByRole, Role::Server) | (Mask::Unmasked, _) => None,
        };
        let len = self.payload.len() as u64;
        let (len, form) = match self.length {
            Length::Shortest => (len, shortest(len)),
            Length::Claimed(len) => (len, shortest(len)),
            Length::SixteenBit => (len, Form::Sixteen),
            Length::SixtyFourBit => (len, Form::SixtyFour),
        };
        let mut bytes = Vec::with_capacity(self.payload.len() + 14);
        bytes.push(self.first);
        let mask_bit = if key.is_some() { 0x80 } else { 0 };
        match form {
            Form::Seven => bytes.push(mask_bit | len as u8),
            Form::Sixteen => {
                bytes.push(mask_bit | 126);
                bytes.extend_from_slice(&(len as u16).to_be_bytes());
            }
            Form::SixtyFour => {
                bytes.push(mask_bit | 127);
                bytes.extend_from_slice(&len.to_be_bytes());
            }
        }
        bytes.extend(key.iter().flatten());
        bytes.extend(masked(&self.payload, key));
        bytes
    }

    /// Decodes the frame at the front of `bytes` without validation, and returns it with its size. Returns `None` if
    /// the frame is not whole. Its mask is [`Mask::Key`] or [`Mask::Unmasked`].
    pub fn decode(bytes: &[u8]) -> Option<(RawFrame, usize)> {
        let head = Head::read(bytes)?;
        let end = head.size.checked_add(usize::try_from(head.len).ok()?)?;
        let payload = masked(bytes.get(head.size..end)?, head.key).collect();
        let length = match head.form {
            form if form == shortest(head.len) => Length::Shortest,
            Form::SixtyFour => Length::SixtyFourBit,
            Form::Seven | Form::Sixteen => Length::SixteenBit,
        };
        let mask = head.key.map_or(Mask::Unmasked, Mask::Key);
        Some((RawFrame { first: head.first, mask, length, payload }, end))
    }
}

/// Masks or unmasks `payload`; both are the same operation (RFC 6455 5.3).
fn masked(payload: &[u8], key: Option<[u8; 4]>) -> impl Iterator<Item = u8> {
    let key = key.unwrap_or_default();
    payload.iter().enumerate().map(move |(at, byte)| byte ^ key[at % 4])
}

/// The number of bits that encode a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Seven,
    Sixteen,
    SixtyFour,
}

/// RFC 6455 5.2: the encoding that a length must have.
fn shortest(len: u64) -> Form {
    match len {
        0..=125 => Form::Seven,
        126..=0xffff => Form::Sixteen,
        _ => Form::SixtyFour,
    }
}

/// A decoded frame header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) first: u8,
    pub(super) key: Option<[u8; 4]>,
    pub(super) len: u64,
    form: Form,
    /// The size of the header in bytes.
    pub(super) size: usize,
}

impl Head {
    /// Decodes the header at the front of `bytes`. Returns `None` if it is not whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Head> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let (form, len, mut size) = match second & 0x7f {
            126 => (Form::Sixteen, number(bytes.get(2..4)?), 4),
            127 => (Form::SixtyFour, number(bytes.get(2..10)?), 10),
            len => (Form::Seven, u64::from(len), 2),
        };
        let key = match second & 0x80 {
            0 => None,
            _ => {
                size += 4;
                let key = bytes.get(size - 4..size)?;
                Some([key[0], key[1], key[2], key[3]])
            }
        };
        Some(Head { first, key, len, form, size })
    }

    /// Returns what is wrong with the header in a frame of `sender`, regardless of extensions.
    pub(super) fn fault(&self, sender: Role) -> Option<&'static str> {
        let opcode = self.first & 0x0f;
        let is_control = opcode & 8 != 0;
        if !matches!(opcode, 0..=2 | 8..=10) {
            return Some("a reserved opcode");
        }
        if self.first & 0x30 != 0 || (self.first & 0x40 != 0 && (is_control || opcode == 0)) {
            return Some("a reserved bit");
        }
        if is_control && (self.first & 0x80 == 0 || self.len > 125) {
            return Some("a control frame in fragments, or of more than 125 bytes");
        }
        if self.key.is_some() != (sender == Role::Client) {
            return Some("a mask where there must be none, or none where there must be one");
        }
        if self.form != shortest(self.len) || self.len >> 63 != 0 {
            return Some("a length that is not in its shortest form");
        }
        None
    }
}

impl fmt::Debug for RawFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.opcode() {
            0 => "Continuation",
            1 => "Text",
            2 => "Binary",
            8 => "Close",
            9 => "Ping",
            10 => "Pong",
            _ => "Reserved",
        };
        let mut marks = String::new();
        if !self.is_final() {
            marks.push_str(", unfinished");
        }
        if self.first & 0x70 != 0 {
            marks.push_str(", reserved bits");
        }
        match self.length {
            Length::Shortest => {}
            Length::SixteenBit => marks.push_str(", 16-bit length"),
            Length::SixtyFourBit => marks.push_str(", 64-bit length"),
            Length::Claimed(_) => marks.push_str(", false length"),
        }
        write!(f, "{name}({} bytes{marks})", self.payload.len())
    }
}
