//! A place in the stream of our own frames. It moves over the bytes that are written or taken, and reads the frame
//! headers among them. So it knows where each frame ends and which bytes are payload.

use crate::counters::{FramePart, Traffic};
use crate::frame::{self, FirstByte, Opcode};

/// A place in the stream of our own frames. The default is the border between two frames.
#[derive(Clone, Copy, Default)]
pub(super) struct FrameCursor {
    header_left: u8,
    payload_left: u64,
    /// The first byte of the frame; `None` in the head of the opening handshake, which is not a frame.
    first: Option<FirstByte>,
    /// The data frames belong to a compressed message (RFC 7692 6): its first frame has RSV1 set.
    is_compressed: bool,
}

/// Counts of the bytes that a cursor has moved over.
#[derive(Default)]
pub(super) struct Counts {
    /// Payload bytes of messages that are not compressed.
    pub(super) data: u64,
    /// Ends of compressed messages.
    pub(super) compressed: u32,
    /// Ends of pongs.
    pub(super) pongs: u32,
    /// Ends of pings.
    pub(super) pings: u32,
    /// The end of a Close frame.
    pub(super) close: bool,
    /// At least one byte belongs to neither a ping nor a pong.
    pub(super) is_progress: bool,
}

impl FrameCursor {
    /// At the beginning of a head of `len` bytes. The border behind it is the beginning of the first frame.
    pub(super) fn in_head(len: u32) -> FrameCursor {
        FrameCursor { payload_left: u64::from(len), ..FrameCursor::default() }
    }

    /// Between frames. `is_compressed` tells that the next data frame continues a compressed message.
    pub(super) fn at_border_in(is_compressed: bool) -> FrameCursor {
        FrameCursor { is_compressed, ..FrameCursor::default() }
    }

    /// Behind the first `n` bytes of an uncompressed data frame with `header` bytes of header and `payload` bytes of
    /// payload.
    pub(super) fn within(first: FirstByte, header: usize, payload: usize, n: usize) -> FrameCursor {
        let in_header = n.min(header);
        FrameCursor {
            header_left: (header - in_header) as u8,
            payload_left: (payload - (n - in_header)) as u64,
            first: Some(first),
            is_compressed: false,
        }
    }

    /// In the payload of a frame, `left` bytes before its end.
    pub(super) fn in_payload(first: FirstByte, left: u64, is_compressed: bool) -> FrameCursor {
        FrameCursor { header_left: 0, payload_left: left, first: Some(first), is_compressed }
    }

    pub(super) fn at_border(self) -> bool {
        self.to_border() == 0
    }

    /// Bytes up to the end of the frame.
    pub(super) fn to_border(self) -> u64 {
        u64::from(self.header_left) + self.payload_left
    }

    /// Moves over the first `n` bytes of `wire`. Each header that begins in these bytes must be whole in `wire`.
    pub(super) fn advance(&mut self, wire: &[u8], n: usize) -> Counts {
        let mut counts = Counts::default();
        let mut at = 0;
        while at < n {
            let (header, payload) = self.step(wire, at, n);
            at += header + payload as usize;
            counts.count(self, payload);
        }
        counts
    }

    /// Moves over the bytes `at..n` of `wire`, but not beyond the end of a frame. Returns how many of them belong to
    /// the header, and how many to the payload.
    #[inline(always)]
    fn step(&mut self, wire: &[u8], at: usize, n: usize) -> (usize, u64) {
        if self.at_border() {
            let header = frame::decode_own(&wire[at..]);
            self.header_left = header.size as u8;
            self.payload_left = header.len;
            self.first = Some(header.first);
            if header.first.begins_message() {
                self.is_compressed = header.first.is_compressed();
            }
        }
        let header = usize::from(self.header_left).min(n - at);
        self.header_left -= header as u8;
        let payload = self.payload_left.min((n - at - header) as u64);
        self.payload_left -= payload;
        (header, payload)
    }

    /// Moves over the first `n` bytes of `wire`, and adds them to `sent`. `sizes` are the sizes before compression of
    /// the compressed messages whose ends come next.
    pub(super) fn add_to<'s>(
        &mut self,
        sent: &mut Traffic,
        wire: &[u8],
        n: usize,
        sizes: &mut impl Iterator<Item = &'s u64>,
    ) {
        let mut at = 0;
        while at < n {
            let (header, payload) = self.step(wire, at, n);
            at += header + payload as usize;
            // The head of the opening handshake is not counted.
            let Some(first) = self.first else { continue };
            let part = FramePart {
                first,
                header: header as u64,
                payload,
                has_header_end: header > 0 && self.header_left == 0,
                has_end: self.at_border(),
            };
            sent.add(&part);
            if first.opcode().is_control() {
                continue;
            }
            sent.message_bytes += match self.is_compressed {
                false => payload,
                true if part.has_end && first.is_final() => sizes.next().copied().unwrap_or(0),
                true => 0,
            };
        }
    }
}

impl Counts {
    /// Counts `payload` more bytes of the cursor's frame, and the frame's end if the cursor has reached it.
    fn count(&mut self, cursor: &FrameCursor, payload: u64) {
        let Some(first) = cursor.first else {
            self.is_progress = true;
            return;
        };
        let opcode = first.opcode();
        if !opcode.is_control() && !cursor.is_compressed {
            self.data += payload;
        }
        self.is_progress |= !matches!(opcode, Opcode::Ping | Opcode::Pong);
        if cursor.at_border() {
            match opcode {
                Opcode::Ping => self.pings += 1,
                Opcode::Pong => self.pongs += 1,
                Opcode::Close => self.close = true,
                Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                    self.compressed += u32::from(cursor.is_compressed && first.is_final());
                }
            }
        }
    }
}
