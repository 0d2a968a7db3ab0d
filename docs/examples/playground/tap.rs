//! Cuts the bytes of one direction into the opening handshake and frames, with a bounded copy of each. It needs no
//! connection, and accepts frames that break rules: the page shows those too.

use websocket_proto::{FrameHeader, RawHeader};

/// The bytes of a head or of a payload that are copied at most.
const COPY_BYTES: usize = 64 * 1024;

#[derive(Default)]
pub(crate) struct Tap {
    /// Whether the head of the request or response has passed.
    has_head: bool,
    /// The bytes of the head, or of the frame's header and the front of its payload.
    held: Vec<u8>,
    /// The size of the header in `held`; 0 until it is whole.
    header: usize,
    /// The payload bytes to copy, and those to skip behind them.
    to_copy: usize,
    to_skip: u64,
    /// The messages that have begun.
    messages: u32,
}

pub(crate) enum Piece<'a> {
    /// A whole head of a request or response.
    Head(&'a [u8]),
    /// The header and the front of the payload, as they are on the wire, and the number of the message.
    Frame { header: &'a [u8], payload: &'a [u8], message: u32 },
}

impl Tap {
    /// Takes bytes, and gives each head or frame to `note` as soon as its copy is complete.
    pub(crate) fn pass(&mut self, mut bytes: &[u8], mut note: impl FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            if self.to_skip > 0 {
                let n = bytes.len().min(usize::try_from(self.to_skip).unwrap_or(usize::MAX));
                (bytes, self.to_skip) = (&bytes[n..], self.to_skip - n as u64);
                continue;
            }
            let wanted = match (self.has_head, self.header) {
                (false, _) => 1,
                (true, 0) => FrameHeader::missing_bytes(&self.held),
                (true, _) => self.to_copy,
            };
            let (front, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.held.extend_from_slice(front);
            bytes = rest;
            if !self.has_head {
                if self.held.ends_with(b"\r\n\r\n") || self.held.len() == COPY_BYTES {
                    self.has_head = true;
                    note(Piece::Head(&std::mem::take(&mut self.held)));
                }
                continue;
            }
            if self.header > 0 {
                self.to_copy -= front.len();
            } else {
                self.begin_frame();
            }
            if self.header > 0 && self.to_copy == 0 {
                self.finish(&mut note);
            }
        }
    }

    /// Notes the frame whose copy is complete, or all that there is of the last frame of a connection.
    pub(crate) fn finish(&mut self, mut note: impl FnMut(Piece<'_>)) {
        let (header, payload) = self.held.split_at(self.header);
        if self.header > 0 {
            note(Piece::Frame { header, payload, message: self.messages });
            self.held.clear();
            self.to_skip += self.to_copy as u64;
            (self.header, self.to_copy) = (0, 0);
        }
    }

    /// Begins a frame, whose header is whole. It may break rules.
    fn begin_frame(&mut self) {
        let Some(header) = RawHeader::read(&self.held) else { return };
        self.header = header.size;
        let len = header.payload_len;
        self.to_copy = usize::try_from(len).map_or(COPY_BYTES, |len| len.min(COPY_BYTES));
        self.to_skip = len - self.to_copy as u64;
        self.messages += u32::from(matches!(header.first_byte & 0x0f, 1 | 2));
    }
}
