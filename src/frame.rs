//! The frame header (RFC 6455 5.2): its encoding, its decoding, and the rules for received headers. Other files handle
//! payloads, and decide what a frame does to the connection.

use alloc::vec::Vec;

use crate::error::ProtocolError;

/// The longest header: two bytes, a 64-bit length, a masking key.
pub const MAX_HEADER_BYTES: usize = 14;
/// The longest payload of a control frame (RFC 6455 5.5).
pub const MAX_CONTROL_BYTES: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV: u8 = 0x70;
/// RSV1 in [`FrameHeader::rsv`].
pub(crate) const RSV1_IN_HEADER: u8 = RSV1 >> 4;
const MASK: u8 = 0x80;
const CONTROL: u8 = 0x08;

/// The type of a frame (RFC 6455 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A text message, or its first fragment.
    Text = 1,
    /// A binary message, or its first fragment.
    Binary = 2,
    /// The closing handshake.
    Close = 8,
    /// A ping, to be answered by a pong.
    Ping = 9,
    /// A pong, as an answer or unsolicited.
    Pong = 10,
}

impl Opcode {
    /// The opcode in the low four bits of a frame's first byte; `None` if it is reserved.
    #[must_use]
    pub const fn from_first_byte(first: u8) -> Option<Opcode> {
        Some(match first & 0x0f {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    /// Whether frames with this opcode are control frames (RFC 6455 5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & CONTROL != 0
    }
}

/// A frame's header. Programs that read or write frames without a [`Connection`](crate::Connection) decode and encode
/// it. A connection reports it with [`Delivery::Frames`](crate::Delivery::Frames), and takes it in
/// [`begin_frame`](crate::Connection::begin_frame).
///
/// ```
/// use websocket_proto::{FrameHeader, Opcode};
///
/// let (header, size) = FrameHeader::decode(b"\x81\x05Hello")?.expect("the header is whole");
/// assert_eq!((header.opcode, header.payload_len, size), (Opcode::Text, 5, 2));
/// # Ok::<(), websocket_proto::ProtocolError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "RFC 6455 5.2 fixes the fields of a header")]
pub struct FrameHeader {
    /// Whether this is the message's last or only frame.
    pub fin: bool,
    /// RSV1, RSV2 and RSV3, with the values 4, 2 and 1. It is 0 unless an extension was negotiated.
    pub rsv: u8,
    /// The type of the frame.
    pub opcode: Opcode,
    /// The masking key, which only frames of clients have.
    pub mask: Option<[u8; 4]>,
    /// Payload length in bytes, below 2^63.
    pub payload_len: u64,
}

impl FrameHeader {
    /// Reads the header at the front of `bytes`. Returns it with its size in bytes, or `None` if more bytes are needed;
    /// [`missing_bytes`](FrameHeader::missing_bytes) tells how many.
    ///
    /// # Errors
    ///
    /// A reserved opcode; a control frame that is fragmented or longer than 125 bytes; a Close frame with a payload of
    /// one byte; a length of 2^63 or more, or not in its shortest form (RFC 6455 5.2, 5.5). Masking and reserved bits
    /// are not checked.
    pub fn decode(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        let Some(header) = parse(bytes, &Rules::STRUCTURE)? else { return Ok(None) };
        Ok(Some((
            FrameHeader {
                fin: header.first.is_final(),
                rsv: (header.first.0 & RSV) >> 4,
                opcode: header.first.opcode(),
                mask: (bytes[1] & MASK != 0).then_some(header.key),
                payload_len: header.len,
            },
            header.size,
        )))
    }

    /// Returns how many bytes are missing until [`decode`](FrameHeader::decode) can return the header that begins
    /// `bytes`. Behind the first two bytes of a header the number is exact; before them it is the least. It is 0 if the
    /// header is whole.
    ///
    /// ```
    /// use websocket_proto::FrameHeader;
    ///
    /// assert_eq!(FrameHeader::missing_bytes(b""), 2);
    /// assert_eq!(FrameHeader::missing_bytes(b"\x81\xfe\x01"), 5); // a 16-bit length and a masking key
    /// assert_eq!(FrameHeader::missing_bytes(b"\x81\x05Hello"), 0);
    /// ```
    #[must_use]
    pub const fn missing_bytes(bytes: &[u8]) -> usize {
        let [_, second, ..] = bytes else { return 2 - bytes.len() };
        let key: usize = if *second & MASK == 0 { 0 } else { 4 };
        let size = key
            + match *second & !MASK {
                126 => 4,
                127 => 10,
                _ => 2,
            };
        size.saturating_sub(bytes.len())
    }

    /// Writes the header to the front of `out`, with the length in its shortest form (RFC 6455 5.2). Returns the size
    /// of the header in bytes.
    ///
    /// # Panics
    ///
    /// If `rsv` is over 7, or if `payload_len` is 2^63 or more.
    pub fn encode(&self, out: &mut [u8; MAX_HEADER_BYTES]) -> usize {
        assert!(self.rsv <= 7, "`rsv` is {}, but it has three bits", self.rsv);
        assert!(self.payload_len < 1 << 63, "{} bytes are too many", self.payload_len);
        let first = FirstByte(u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode as u8);
        let (header, size) = encode(first, self.payload_len, self.mask);
        *out = header;
        size
    }
}

/// A frame's header as it is on the wire, whichever rules it breaks. Inspectors show broken frames with it, and find
/// where the next frame begins. [`FrameHeader::decode`] tells the rule that a header breaks.
///
/// ```
/// use websocket_proto::{FrameHeader, ProtocolError, RawHeader};
///
/// // A fragmented ping of 300 bytes, with a reserved bit and a length that is not in its shortest form.
/// let bytes = b"\x29\x7f\0\0\0\0\0\0\x01\x2c";
/// let header = RawHeader::read(bytes).expect("the header is whole");
/// assert_eq!((header.first_byte, header.mask, header.payload_len, header.size), (0x29, None, 300, 10));
/// assert_eq!(FrameHeader::decode(bytes), Err(ProtocolError::FragmentedControl { opcode: 9 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "RFC 6455 5.2 fixes the fields of a header")]
pub struct RawHeader {
    /// FIN, the three reserved bits, and the opcode in the low four bits. [`Opcode::from_first_byte`] reads the opcode.
    pub first_byte: u8,
    /// The masking key.
    pub mask: Option<[u8; 4]>,
    /// Payload length in bytes. It may be 2^63 or more, and short enough for a shorter length field.
    pub payload_len: u64,
    /// The size of the header in bytes: 2, 4 or 10, plus 4 if there is a masking key.
    pub size: usize,
}

impl RawHeader {
    /// Reads the header at the front of `bytes`. Returns `None` if more bytes are needed;
    /// [`FrameHeader::missing_bytes`] tells how many.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<RawHeader> {
        if FrameHeader::missing_bytes(bytes) > 0 {
            return None;
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let (payload_len, at) = match bytes[1] & !MASK {
            126 => (number(&bytes[2..4]), 4),
            127 => (number(&bytes[2..10]), 10),
            len => (u64::from(len), 2),
        };
        let key = bytes.get(at..at + 4).filter(|_| bytes[1] & MASK != 0);
        let mask = key.map(|key| [key[0], key[1], key[2], key[3]]);
        let size = at + if mask.is_some() { 4 } else { 0 };
        Some(RawHeader { first_byte: bytes[0], mask, payload_len, size })
    }
}

/// A frame's first byte (RFC 6455 5.2): FIN, the reserved bits, the opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FirstByte(u8);

impl FirstByte {
    /// The only frame of a text message.
    pub(crate) const FINAL_TEXT: FirstByte = FirstByte(FIN | Opcode::Text as u8);
    /// The only frame of a binary message.
    pub(crate) const FINAL_BINARY: FirstByte = FirstByte(FIN | Opcode::Binary as u8);

    #[inline]
    pub(crate) const fn new(opcode: Opcode, is_final: bool) -> FirstByte {
        FirstByte(if is_final { FIN } else { 0 } | opcode as u8)
    }

    /// Sets RSV1, which marks a compressed message (RFC 7692 6).
    #[cfg(feature = "deflate")]
    pub(crate) const fn with_rsv1(self) -> FirstByte {
        FirstByte(self.0 | RSV1)
    }

    /// The first byte of the message's next frame (RFC 6455 5.4), with the same FIN. Only the first frame of a message
    /// has RSV1 (RFC 7692 6.1).
    pub(crate) const fn continued(self) -> FirstByte {
        FirstByte(self.0 & FIN)
    }

    /// Clears FIN: more frames of the message follow.
    pub(crate) const fn unfinished(self) -> FirstByte {
        FirstByte(self.0 & !FIN)
    }

    /// The byte as it is on the wire.
    #[inline]
    pub(crate) const fn get(self) -> u8 {
        self.0
    }

    /// The opcode of a byte that [`parse`] has accepted or that we wrote.
    pub(crate) fn opcode(self) -> Opcode {
        Opcode::from_first_byte(self.0).expect("a reserved opcode is refused before")
    }

    /// Whether the frame ends its message.
    #[inline]
    pub(crate) const fn is_final(self) -> bool {
        self.0 & FIN != 0
    }

    /// Whether this is the first frame of a compressed message (RFC 7692 6).
    #[inline]
    pub(crate) const fn is_compressed(self) -> bool {
        self.0 & RSV1 != 0
    }

    /// Whether this is a control frame (RFC 6455 5.5).
    #[inline]
    pub(crate) const fn is_control(self) -> bool {
        self.0 & CONTROL != 0
    }

    /// Whether this is the first frame of a message, and not a continuation or a control frame.
    #[inline]
    pub(crate) const fn begins_message(self) -> bool {
        let opcode = self.0 & 0x0f;
        opcode == Opcode::Text as u8 || opcode == Opcode::Binary as u8
    }

    /// Whether this is the first frame of a text message.
    #[inline]
    pub(crate) const fn is_text(self) -> bool {
        self.0 & 0x0f == Opcode::Text as u8
    }
}

/// A received header that breaks no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) first: FirstByte,
    /// The masking key; 0 for an unmasked frame, since masking with 0 changes nothing.
    pub(crate) key: [u8; 4],
    /// Payload length in bytes.
    pub(crate) len: u64,
    /// Length of the header in bytes.
    pub(crate) size: usize,
}

impl Header {
    /// The same header for the caller.
    pub(crate) fn to_public(self) -> FrameHeader {
        let unmasked_size = match self.len {
            0..=125 => 2,
            126..=0xffff => 4,
            _ => 10,
        };
        FrameHeader {
            fin: self.first.is_final(),
            rsv: (self.first.0 & RSV) >> 4,
            opcode: self.first.opcode(),
            mask: (self.size > unmasked_size).then_some(self.key),
            payload_len: self.len,
        }
    }
}

/// Which mask bit a frame must have (RFC 6455 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Masking {
    /// The frames of a client.
    Required,
    /// The frames of a server.
    Forbidden,
    /// The sender is not known, or it is a client that need not mask.
    Any,
}

/// Which reserved bits a frame may have (RFC 6455 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReservedBits {
    /// None: no extension was negotiated.
    None,
    /// RSV1 on the first frame of a message: permessage-deflate was negotiated (RFC 7692 6).
    Rsv1,
    /// All: the extensions are not known.
    Any,
}

/// Which data frames are allowed next (RFC 6455 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// No message is open: a data frame must begin one.
    Between,
    /// A message is open: a data frame must continue it. Its frames have declared `bytes` so far.
    Within { bytes: u64 },
    /// A compressed message is open: a data frame must continue it. `max_message_bytes` limits its inflated bytes,
    /// which its frames do not declare.
    #[cfg(feature = "deflate")]
    WithinCompressed,
    /// The frames before are not known.
    Any,
}

/// The rules for the next received header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) masking: Masking,
    pub(crate) reserved_bits: ReservedBits,
    pub(crate) sequence: Sequence,
    /// The limit of frames in a message, if the open message has reached it.
    pub(crate) exhausted_fragments: Option<u32>,
    /// The largest payload of a frame that is not compressed.
    pub(crate) max_frame_bytes: u64,
    /// The largest message.
    pub(crate) max_message_bytes: u64,
}

impl Rules {
    /// The rules that do not depend on the connection.
    const STRUCTURE: Rules = Rules {
        masking: Masking::Any,
        reserved_bits: ReservedBits::Any,
        sequence: Sequence::Any,
        exhausted_fragments: None,
        max_frame_bytes: u64::MAX,
        max_message_bytes: u64::MAX,
    };

    /// Checks the rules for which the first byte is enough.
    #[inline]
    fn check_first(&self, first: u8) -> Result<(), ProtocolError> {
        // RFC 6455 5.2, RFC 7692 6: only the first frame of a message may have RSV1.
        let allowed = match self.reserved_bits {
            ReservedBits::None => 0,
            ReservedBits::Rsv1 if FirstByte(first).begins_message() => RSV1,
            ReservedBits::Rsv1 => 0,
            ReservedBits::Any => RSV,
        };
        if first & RSV & !allowed != 0 {
            return Err(ProtocolError::ReservedBits { first_byte: first });
        }
        let Some(opcode) = Opcode::from_first_byte(first) else {
            return Err(ProtocolError::ReservedOpcode { opcode: first & 0x0f });
        };
        if opcode.is_control() {
            // RFC 6455 5.5: control frames are not fragmented.
            if first & FIN == 0 {
                return Err(ProtocolError::FragmentedControl { opcode: opcode as u8 });
            }
            return Ok(());
        }
        // RFC 6455 5.4: the fragments of two messages are not interleaved.
        match (self.sequence, opcode) {
            (Sequence::Between, Opcode::Continuation) => {
                return Err(ProtocolError::UnexpectedContinuation);
            }
            (Sequence::Between | Sequence::Any, _) | (_, Opcode::Continuation) => {}
            _ => return Err(ProtocolError::UnfinishedMessage),
        }
        match self.exhausted_fragments {
            Some(limit) => Err(ProtocolError::TooManyFragments { limit }),
            None => Ok(()),
        }
    }

    /// Checks the rules for which the second byte is enough, except those for the length of data frames.
    #[inline]
    fn check_second(&self, first: u8, second: u8) -> Result<(), ProtocolError> {
        match (self.masking, second & MASK != 0) {
            // RFC 6455 5.1: a client masks every frame, and a server masks no frame.
            (Masking::Required, false) => return Err(ProtocolError::UnmaskedFrame),
            (Masking::Forbidden, true) => return Err(ProtocolError::MaskedFrame),
            (Masking::Required, true) | (Masking::Forbidden, false) | (Masking::Any, _) => {}
        }
        if first & CONTROL != 0 {
            let opcode = first & 0x0f;
            if usize::from(second & !MASK) > MAX_CONTROL_BYTES {
                return Err(ProtocolError::ControlTooLong { opcode });
            }
            // RFC 6455 5.5.1: a Close body is empty or begins with a code of two bytes.
            if opcode == Opcode::Close as u8 && second & !MASK == 1 {
                return Err(ProtocolError::CloseTooShort);
            }
        }
        Ok(())
    }

    /// Checks the limits. While the header is incomplete, `len` is the smallest length that it can have.
    #[inline]
    fn check_len(&self, first: u8, len: u64) -> Result<(), ProtocolError> {
        if first & CONTROL != 0 {
            return Ok(());
        }
        let (before, compressed) = match self.sequence {
            Sequence::Between | Sequence::Any => (0, FirstByte(first).is_compressed()),
            Sequence::Within { bytes } => (bytes, false),
            #[cfg(feature = "deflate")]
            Sequence::WithinCompressed => (0, true),
        };
        if len > self.max_frame_bytes {
            let limit = match compressed {
                true => max_compressed_bytes(self.max_frame_bytes),
                false => self.max_frame_bytes,
            };
            if len > limit {
                return Err(ProtocolError::FrameTooBig { len, limit });
            }
        }
        if compressed {
            return Ok(());
        }
        match before.checked_add(len) {
            Some(total) if total <= self.max_message_bytes => Ok(()),
            total => Err(ProtocolError::MessageTooBig {
                len: total.unwrap_or(u64::MAX),
                limit: self.max_message_bytes,
            }),
        }
    }
}

/// The largest payload of a compressed frame. Compressing can make data longer. A fixed Huffman block takes at most
/// nine bits for a byte, which adds an eighth. A stored block adds a few bytes, and the sender chooses how many blocks
/// it uses.
fn max_compressed_bytes(max_frame_bytes: u64) -> u64 {
    max_frame_bytes.saturating_add(max_frame_bytes / 8).saturating_add(1024)
}

/// Reads the header at the front of `bytes`; `None` if more bytes are needed. Fails as soon as every frame that begins
/// with `bytes` would break a rule. The error is the one that the earliest wrong byte causes. So the result does not
/// depend on how the bytes were split.
#[inline]
pub(crate) fn parse(bytes: &[u8], rules: &Rules) -> Result<Option<Header>, ProtocolError> {
    if let [first, second, ..] = *bytes {
        let (len, at) = match second & !MASK {
            126 if bytes.len() >= 4 => (u64::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 if bytes.len() >= 10 => {
                (u64::from_be_bytes(bytes[2..10].try_into().expect("8 bytes were sliced")), 10)
            }
            126 | 127 => return parse_partial(bytes, rules),
            len => (u64::from(len), 2),
        };
        let masked = second & MASK != 0;
        let size = at + if masked { 4 } else { 0 };
        let minimal = match at {
            2 => true,
            4 => len >= 126,
            _ => len > 0xffff && len >> 63 == 0,
        };
        if minimal
            && bytes.len() >= size
            && rules.check_first(first).is_ok()
            && rules.check_second(first, second).is_ok()
            && rules.check_len(first, len).is_ok()
        {
            let key = match masked {
                true => bytes[at..at + 4].try_into().expect("4 bytes were sliced"),
                false => [0; 4],
            };
            return Ok(Some(Header { first: FirstByte(first), key, len, size }));
        }
    }
    parse_partial(bytes, rules)
}

/// Checks a header that is incomplete or breaks a rule, byte by byte.
#[cold]
fn parse_partial(bytes: &[u8], rules: &Rules) -> Result<Option<Header>, ProtocolError> {
    for end in 1..=bytes.len().min(MAX_HEADER_BYTES) {
        check_prefix(&bytes[..end], rules)?;
    }
    Ok(None)
}

/// Checks the rules that could not be checked before the last byte of `bytes` was known. `bytes`
/// is the beginning of a header.
fn check_prefix(bytes: &[u8], rules: &Rules) -> Result<(), ProtocolError> {
    let first = bytes[0];
    let [_, second, extended @ ..] = bytes else { return rules.check_first(first) };
    if extended.is_empty() {
        rules.check_second(first, *second)?;
    }
    // `low` and `high` are the smallest and the largest length that the known bytes allow. `least` is the smallest
    // length that needs a length field of `width` bytes.
    let (width, least) = match second & !MASK {
        126 => (2, 126),
        127 => (8, 0x1_0000),
        len => return rules.check_len(first, u64::from(len)),
    };
    let known = &extended[..extended.len().min(width)];
    let (mut low, mut high) = (0u64, 0u64);
    for at in 0..width {
        low = low << 8 | u64::from(known.get(at).copied().unwrap_or(0x00));
        high = high << 8 | u64::from(known.get(at).copied().unwrap_or(0xff));
    }
    // RFC 6455 5.2: the most significant bit is 0.
    if low >> 63 != 0 {
        return Err(ProtocolError::LengthOutOfRange);
    }
    // RFC 6455 5.2: the length is in the fewest bytes that can hold it.
    if high < least {
        return Err(ProtocolError::NonMinimalLength);
    }
    rules.check_len(first, low.max(least))
}

/// Encodes a header with the length in its shortest form (RFC 6455 5.2). Returns it with its size.
#[inline]
pub(crate) fn encode(
    first: FirstByte,
    len: u64,
    key: Option<[u8; 4]>,
) -> ([u8; MAX_HEADER_BYTES], usize) {
    let mut header = [0; MAX_HEADER_BYTES];
    if let Ok(len) = u16::try_from(len) {
        let (word, size) = encode_short(first, len, key);
        header[..8].copy_from_slice(&word.to_le_bytes());
        return (header, size);
    }
    header[0] = first.0;
    header[1] = 127;
    header[2..10].copy_from_slice(&len.to_be_bytes());
    match key {
        Some(key) => {
            header[1] |= MASK;
            header[10..].copy_from_slice(&key);
            (header, MAX_HEADER_BYTES)
        }
        None => (header, 10),
    }
}

/// Encodes a header for a payload of up to 65,535 bytes. Returns it as a number whose lowest byte is the first byte of
/// the header.
#[inline]
fn encode_short(first: FirstByte, len: u16, key: Option<[u8; 4]>) -> (u64, usize) {
    let (word, size) = match len {
        0..=125 => (u64::from(first.0) | u64::from(len) << 8, 2),
        _ => (u64::from(first.0) | 126 << 8 | u64::from(len.swap_bytes()) << 16, 4),
    };
    match key {
        Some(key) => {
            let key = u64::from(u32::from_le_bytes(key));
            (word | u64::from(MASK) << 8 | key << (8 * size), size + 4)
        }
        None => (word, size),
    }
}

/// Appends to `out` the header that [`encode`] returns.
#[inline]
pub(crate) fn append_header(out: &mut Vec<u8>, first: FirstByte, len: u64, key: Option<[u8; 4]>) {
    if let Ok(len) = u16::try_from(len) {
        // Appending eight bytes and truncating is cheaper than appending a number of bytes that is not constant.
        let (word, size) = encode_short(first, len, key);
        let end = out.len() + size;
        out.extend_from_slice(&word.to_le_bytes());
        out.truncate(end);
    } else {
        let (header, size) = encode(first, len, key);
        out.extend_from_slice(&header[..size]);
    }
}

/// Reads a header that [`encode`] wrote.
pub(crate) fn decode_own(bytes: &[u8]) -> Header {
    parse(bytes, &Rules::STRUCTURE)
        .expect("our own header is well-formed")
        .expect("our own header is never cut")
}
