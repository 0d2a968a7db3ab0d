//! Two bounds. `Bytes` does the necessary work on each byte, without frames. `Framer` is the minimum that parses and
//! writes real frames: in place, with the fastest masking, without checks of the protocol.

use std::hint::black_box;
use std::io::IoSlice;

use crate::masks;
use crate::peer::{Conn, Payload, Peer, Role, Sink};
use crate::transport::{STATS, Transport};

const CAPACITY: usize = 16 * 1024;

pub struct Bytes;

struct BytesConn {
    io: Transport,
    role: Role,
    buf: Box<[u8]>,
}

impl Peer for Bytes {
    fn name(&self) -> &'static str {
        "(bytes only)"
    }

    fn note(&self) -> &'static str {
        "a bound: one read, XOR and UTF-8 check of plain payload; one copy or XOR to the transport"
    }

    fn is_bound(&self) -> bool {
        true
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(Box::new(BytesConn { io, role, buf: vec![0; CAPACITY].into() }))
    }
}

impl Conn for BytesConn {
    /// Receives everything; `text` is 1 if the bytes must be validated as UTF-8.
    fn recv(&mut self, text: usize, sink: &mut Sink) {
        let key = black_box([0; 4]);
        loop {
            let n = self.io.read(&mut self.buf);
            if n == 0 {
                return;
            }
            masks::mask(&mut self.buf[..n], key);
            if text == 1 {
                let _ = black_box(simdutf8::basic::from_utf8(&self.buf[..n]));
            }
            sink.bytes += n;
        }
    }

    fn send(&mut self, payload: &Payload, n: usize, _: usize) {
        for i in 0..n {
            if self.role == Role::Server {
                self.io.write(&payload.bytes);
                continue;
            }
            let mut rest = &payload.bytes[..];
            while !rest.is_empty() {
                let key = (i as u32).to_ne_bytes();
                let n = self.io.with_room(rest.len(), |room| {
                    masks::mask_copy(&rest[..room.len()], room, key);
                });
                rest = &rest[n..];
            }
            STATS.written_bytes.add(payload.bytes.len() as u64);
        }
    }
}

pub struct Framer;

struct FramerConn {
    io: Transport,
    role: Role,
    buf: Vec<u8>,
    start: usize,
    end: usize,
    message: Vec<u8>,
    text: bool,
    out: Vec<u8>,
    random: u64,
}

struct Header {
    first: u8,
    size: usize,
    len: usize,
    key: [u8; 4],
}

impl Peer for Framer {
    fn name(&self) -> &'static str {
        "(hand-written framer)"
    }

    fn note(&self) -> &'static str {
        "a bound: 16 KiB buffer, in place, the widest masking there is, simdutf8; keeps its memory; checks nothing but lengths"
    }

    fn is_bound(&self) -> bool {
        true
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(Box::new(FramerConn {
            io,
            role,
            buf: vec![0; CAPACITY],
            start: 0,
            end: 0,
            message: Vec::new(),
            text: false,
            out: Vec::new(),
            random: 0x1234_5678_9ABC_DEF1,
        }))
    }
}

impl FramerConn {
    #[inline(always)]
    fn header(&self) -> Option<Header> {
        let bytes = &self.buf[self.start..self.end];
        let [first, second, ..] = *bytes else { return None };
        let (len, size) = match second & 0x7f {
            126 => (u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize, 4),
            127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize, 10),
            len => (len as usize, 2),
        };
        if second & 0x80 == 0 {
            return Some(Header { first, size, len, key: [0; 4] });
        }
        let key = *bytes.get(size..)?.first_chunk()?;
        Some(Header { first, size: size + 4, len, key })
    }

    #[inline(always)]
    fn fill(&mut self) {
        self.buf.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let n = self.io.read(&mut self.buf[self.end..]);
        assert!(n > 0, "the transport has ended");
        self.end += n;
    }

    /// Reads the payload of a frame that does not fit into the buffer to its final place, and unmasks it while it is
    /// cached.
    fn read_large(&mut self, header: &Header) {
        let mut key = header.key;
        let from = self.start + header.size;
        self.append(from, self.end - from, key);
        key.rotate_left((self.end - from) % 4);
        let mut left = header.len - (self.end - from);
        (self.start, self.end) = (0, 0);
        self.message.reserve(left);
        while left > 0 {
            let at = self.message.len();
            let n = left.min(CAPACITY);
            // SAFETY: there is room for `left` bytes. Those that are not read are cut off again.
            unsafe { self.message.set_len(at + n) };
            let n = self.io.read(&mut self.message[at..]);
            assert!(n > 0, "the transport has ended");
            self.message.truncate(at + n);
            masks::mask(&mut self.message[at..], key);
            key.rotate_left(n % 4);
            left -= n;
        }
    }

    fn append(&mut self, from: usize, len: usize, key: [u8; 4]) {
        masks::mask_append(&mut self.message, &self.buf[from..from + len], key);
    }
}

impl Conn for FramerConn {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        let mut got = 0;
        while got < n {
            let Some(header) = self.header() else {
                self.fill();
                continue;
            };
            let opcode = header.first & 0x0f;
            let fin = header.first & 0x80 != 0;
            assert!(header.first & 0x70 == 0 && opcode < 3, "a data frame");
            if opcode != 0 {
                self.text = opcode == 1;
            }
            let from = self.start + header.size;
            if self.end - from >= header.len {
                self.start = from + header.len;
                if fin && opcode != 0 {
                    let payload = &mut self.buf[from..from + header.len];
                    masks::mask(payload, header.key);
                    if self.text {
                        simdutf8::basic::from_utf8(payload).expect("UTF-8");
                    }
                    sink.message(self.text, payload);
                    got += 1;
                    continue;
                }
                self.append(from, header.len, header.key);
            } else if header.size + header.len <= CAPACITY {
                self.fill();
                continue;
            } else {
                self.read_large(&header);
            }
            if fin {
                if self.text {
                    simdutf8::basic::from_utf8(&self.message).expect("UTF-8");
                }
                sink.message(self.text, &self.message);
                self.message.clear();
                got += 1;
            }
        }
    }

    fn send(&mut self, payload: &Payload, n: usize, batch: usize) {
        for i in 1..=n {
            let mut header = [0; 14];
            header[0] = if payload.text { 0x81 } else { 0x82 };
            let mut size = match payload.bytes.len() {
                len @ 0..126 => {
                    header[1] = len as u8;
                    2
                }
                len @ 126..0x1_0000 => {
                    header[1] = 126;
                    header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                    4
                }
                len => {
                    header[1] = 127;
                    header[2..10].copy_from_slice(&(len as u64).to_be_bytes());
                    10
                }
            };
            if self.role == Role::Server {
                if batch == 1 && payload.bytes.len() > 256 {
                    let slices = [IoSlice::new(&header[..size]), IoSlice::new(&payload.bytes)];
                    self.io.write_vectored(&slices);
                    continue;
                }
                self.out.extend_from_slice(&header[..size]);
                self.out.extend_from_slice(&payload.bytes);
            } else {
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                let key = (self.random as u32).to_ne_bytes();
                header[1] |= 0x80;
                header[size..size + 4].copy_from_slice(&key);
                size += 4;
                self.out.extend_from_slice(&header[..size]);
                // Masks in pieces that stay in the nearest cache until they are written.
                let mut pieces = payload.bytes.chunks(CAPACITY).peekable();
                while let Some(piece) = pieces.next() {
                    masks::mask_append(&mut self.out, piece, key);
                    if pieces.peek().is_some() {
                        self.io.write(&self.out);
                        self.out.clear();
                    }
                }
            }
            if i % batch == 0 || i == n {
                self.io.write(&self.out);
                self.out.clear();
            }
        }
    }
}
