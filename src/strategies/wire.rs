//! Bytes on the wire, laid out by hand (RFC 6455 5.2): frames with any header, right or wrong. It shares nothing with
//! the library's own codec, since what it writes is what that codec is judged by.

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

/// The form of a length: the shortest one, or one that was chosen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Shortest(u64),
    In16(u16),
    In64(u64),
}

/// Where a piece of data lies on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The data's range within its message.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where the payload begins on the wire.
    pub(super) at: usize,
}

/// What the peer of a receiver has sent so far.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    /// The peer is a client.
    masked: bool,
    /// The masking keys differ from frame to frame, unless this is 0: then so are they.
    seed: u32,
    frames: u32,
    pub(super) bytes: Vec<u8>,
}

impl Wire {
    /// For a receiver of this role.
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

    /// A frame as the peer must send it; where its payload begins.
    pub(super) fn frame(&mut self, first: u8, payload: &[u8]) -> usize {
        self.frame_with(first, self.masked, Length::Shortest(payload.len() as u64), payload)
    }

    /// The same with the mask bit that a peer of this role must not send.
    pub(super) fn frame_wrongly_masked(&mut self, first: u8, payload: &[u8]) {
        self.frame_with(first, !self.masked, Length::Shortest(payload.len() as u64), payload);
    }

    /// A frame whose length is what is said, whatever the payload is; where its payload begins.
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

/// Bytes in hexadecimal, for counterexamples; long ones are cut off.
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
