//! The bytes that are sent, and the bytes that must come back: the same few frames again and again, so that a position
//! tells the bytes.

use std::io::IoSlice;

/// A cycle is about this long, and has at most [`MAX_FRAMES`]: it stays in the cache.
const CYCLE_BYTES: usize = 256 * 1024;
const MAX_FRAMES: usize = 64;
const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub struct Cycle {
    bytes: Vec<u8>,
    frame_bytes: usize,
}

impl Cycle {
    /// A client's frames.
    pub fn requests(payload_bytes: usize) -> Cycle {
        Cycle::new(payload_bytes, |frame, payload| {
            header(frame, payload.len(), 0x80);
            frame.extend(MASKING_KEY);
            frame.extend(
                payload.iter().zip(MASKING_KEY.iter().cycle()).map(|(byte, key)| byte ^ key),
            );
        })
    }

    /// A server's frames.
    pub fn echoes(payload_bytes: usize) -> Cycle {
        Cycle::new(payload_bytes, |frame, payload| {
            header(frame, payload.len(), 0);
            frame.extend(payload);
        })
    }

    fn new(payload_bytes: usize, encode: impl Fn(&mut Vec<u8>, &[u8])) -> Cycle {
        let frames = (CYCLE_BYTES / payload_bytes.max(1)).clamp(1, MAX_FRAMES);
        let mut bytes = Vec::new();
        for frame in 0..frames {
            // Each frame of a cycle differs, so that an echo in a wrong place is seen.
            let payload: Vec<u8> =
                (0..payload_bytes).map(|i| b'0' + ((i + 7 * frame) % 75) as u8).collect();
            encode(&mut bytes, &payload);
        }
        let frame_bytes = bytes.len() / frames;
        Cycle { bytes, frame_bytes }
    }

    pub fn frame_bytes(&self) -> u64 {
        self.frame_bytes as u64
    }

    /// The bytes from a position up to the end of the cycle.
    fn from(&self, position: u64) -> &[u8] {
        &self.bytes[(position % self.bytes.len() as u64) as usize..]
    }

    /// Whether these bytes are those at a position.
    pub fn is_at(&self, mut position: u64, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let expected = self.from(position);
            let n = expected.len().min(bytes.len());
            if bytes[..n] != expected[..n] {
                return false;
            }
            bytes = &bytes[n..];
            position += n as u64;
        }
        true
    }

    /// The bytes at a position, up to a length or as many as the slices can hold.
    pub fn slices<'a, 'b>(
        &'a self,
        mut position: u64,
        mut length: u64,
        slices: &'b mut [IoSlice<'a>],
    ) -> &'b [IoSlice<'a>] {
        let mut count = 0;
        for slice in slices.iter_mut() {
            if length == 0 {
                break;
            }
            let bytes = self.from(position);
            let n = (bytes.len() as u64).min(length);
            *slice = IoSlice::new(&bytes[..n as usize]);
            position += n;
            length -= n;
            count += 1;
        }
        &slices[..count]
    }
}

/// The header of a text frame.
fn header(frame: &mut Vec<u8>, payload_bytes: usize, mask: u8) {
    frame.push(0x81);
    match payload_bytes {
        0..=125 => frame.push(mask | payload_bytes as u8),
        126..=0xffff => {
            frame.push(mask | 126);
            frame.extend((payload_bytes as u16).to_be_bytes());
        }
        _ => {
            frame.push(mask | 127);
            frame.extend((payload_bytes as u64).to_be_bytes());
        }
    }
}
