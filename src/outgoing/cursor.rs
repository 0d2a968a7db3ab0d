//! A place in a stream of our own frames, moved over what is released: it finds the borders between frames, and what
//! was payload, by reading the headers that are passed.

use crate::frame::{self, FIN, Opcode};

/// A place in a stream of our own frames. The default is a border between two.
#[derive(Clone, Copy, Default)]
pub(super) struct FrameCursor {
    header_left: u8,
    is_data: bool,
    payload_left: u64,
    /// The low four bits of the frame's first byte. 0 in bytes that are no frame, as a continuation has it: neither is
    /// a control frame.
    opcode: u8,
    /// The frame ends a message.
    fin: bool,
    /// The message that is open is compressed (RFC 7692 6): its first frame has RSV1 set.
    compressed: bool,
}

/// What was passed over in a stream of frames.
#[derive(Default)]
pub(super) struct Passed {
    /// Payload bytes of data frames that are not compressed.
    pub(super) data: u64,
    /// Compressed messages that ended.
    pub(super) compressed: u32,
    /// Pongs that ended.
    pub(super) pongs: u32,
    /// Pings that ended.
    pub(super) pings: u32,
    /// A Close frame ended.
    pub(super) close: bool,
    /// Some of it was neither of a ping nor of a pong.
    pub(super) is_more_than_pings: bool,
}

impl FrameCursor {
    /// Inside bytes that are no frame: their end is a border.
    pub(super) fn in_head(len: u32) -> FrameCursor {
        FrameCursor { payload_left: u64::from(len), ..FrameCursor::default() }
    }

    /// Between frames, in a compressed message or not.
    pub(super) fn at_border_in(compressed: bool) -> FrameCursor {
        FrameCursor { compressed, ..FrameCursor::default() }
    }

    /// `n` bytes inside a data frame of an uncompressed message, whose header has `header` bytes.
    pub(super) fn within(header: usize, payload: usize, n: usize) -> FrameCursor {
        let in_header = n.min(header);
        FrameCursor {
            header_left: (header - in_header) as u8,
            is_data: true,
            payload_left: (payload - (n - in_header)) as u64,
            ..FrameCursor::default()
        }
    }

    pub(super) fn at_border(self) -> bool {
        self.to_border() == 0
    }

    /// Bytes up to the end of the frame.
    pub(super) fn to_border(self) -> u64 {
        u64::from(self.header_left) + self.payload_left
    }

    /// Moves over the first `n` bytes of `wire`, which holds headers whole.
    pub(super) fn advance(&mut self, wire: &[u8], n: usize) -> Passed {
        let mut passed = Passed::default();
        let mut at = 0;
        while at < n {
            if self.at_border() {
                let (first, len, size) = frame::decode_own(&wire[at..]);
                let opcode = first & 0x0f;
                *self = FrameCursor {
                    header_left: size as u8,
                    is_data: frame::is_data(first),
                    opcode,
                    payload_left: len,
                    fin: first & FIN != 0,
                    compressed: match opcode == Opcode::Text as u8 || opcode == Opcode::Binary as u8
                    {
                        true => frame::is_compressed(first),
                        false => self.compressed,
                    },
                };
            }
            let header = usize::from(self.header_left).min(n - at);
            self.header_left -= header as u8;
            at += header;
            let payload = self.payload_left.min((n - at) as u64);
            self.payload_left -= payload;
            at += payload as usize;
            if self.is_data && !self.compressed {
                passed.data += payload;
            }
            let is_ping = [Opcode::Ping as u8, Opcode::Pong as u8].contains(&self.opcode);
            passed.is_more_than_pings |= !is_ping;
            if self.at_border() {
                passed.compressed += u32::from(self.is_data && self.compressed && self.fin);
                passed.pongs += u32::from(self.opcode == Opcode::Pong as u8);
                passed.pings += u32::from(self.opcode == Opcode::Ping as u8);
                passed.close |= self.opcode == Opcode::Close as u8;
            }
        }
        passed
    }
}
