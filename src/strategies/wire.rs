//! Frames on the wire, laid out by hand (RFC 6455 5.2), with any header, valid or not. It shares no code with the
//! library's codec, which it tests.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::state::Role;

pub(super) const FIN: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 0x88;
pub(super) const PING: u8 = 0x89;
pub(super) const PONG: u8 = 0x8a;

/// The form of a length: the shortest, or a given one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Shortest(u64),
    In16(u16),
    In64(u64),
}

/// The place of a piece of data on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The data's range within its message.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where the payload begins on the wire.
    pub(super) at: usize,
}

/// The bytes that the receiver's peer has sent.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    /// Whether the peer masks: it is a client.
    masked: bool,
    /// The seed of the masking keys, which differ from frame to frame. If it is 0, all keys are 0.
    seed: u32,
    frames: u32,
    pub(super) bytes: Vec<u8>,
}

impl Wire {
    /// Frames for a receiver of this role.
    pub(super) fn to(role: Role, seed: u32) -> Wire {
        Wire { masked: role == Role::Server, seed, frames: 0, bytes: Vec::new() }
    }

    fn key(&mut self) -> [u8; 4] {
        self.frames += 1;
        match self.seed {
            0 => [0; 4],
            seed => (seed ^ self.frames.wrapping_mul(0x9e37_79b1)).to_be_bytes(),
        }
    }

    /// Writes a frame as the peer must send it. Returns where its payload begins.
    pub(super) fn frame(&mut self, first: u8, payload: &[u8]) -> usize {
        self.frame_with(first, self.masked, Length::Shortest(payload.len() as u64), payload)
    }

    /// Writes a frame with the mask bit that the peer must not send.
    pub(super) fn frame_wrongly_masked(&mut self, first: u8, payload: &[u8]) {
        self.frame_with(first, !self.masked, Length::Shortest(payload.len() as u64), payload);
    }

    /// Writes a frame with this length in its header, whatever the payload is. Returns where the payload begins.
    pub(super) fn frame_of_length(&mut self, first: u8, length: Length, payload: &[u8]) -> usize {
        self.frame_with(first, self.masked, length, payload)
    }

    fn frame_with(&mut self, first: u8, masked: bool, length: Length, payload: &[u8]) -> usize {
        let mask_bit = if masked { 0x80 } else { 0 };
        let length = match length {
            Length::Shortest(len @ 126..=0xffff) => Length::In16(len as u16),
            Length::Shortest(len @ 0x1_0000..) => Length::In64(len),
            other => other,
        };
        self.bytes.push(first);
        match length {
            Length::Shortest(len) => self.bytes.push(mask_bit | len as u8),
            Length::In16(len) => {
                self.bytes.push(mask_bit | 126);
                self.bytes.extend_from_slice(&len.to_be_bytes());
            }
            Length::In64(len) => {
                self.bytes.push(mask_bit | 127);
                self.bytes.extend_from_slice(&len.to_be_bytes());
            }
        }
        let key = if masked { self.key() } else { [0; 4] };
        if masked {
            self.bytes.extend_from_slice(&key);
        }
        let at = self.bytes.len();
        self.bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        at
    }
}

/// Bytes in hexadecimal for counterexamples, cut off if there are many.
pub(super) struct Hex<'b>(pub(super) &'b [u8]);

impl fmt::Debug for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 512;
        let mut text = String::new();
        for byte in self.0.iter().take(SHOWN) {
            let gap = if text.is_empty() { "" } else { " " };
            write!(text, "{gap}{byte:02x}")?;
        }
        match self.0.len() {
            0..=SHOWN => write!(f, "[{text}]"),
            len => write!(f, "[{text} … {len} bytes]"),
        }
    }
}
