use std::io::IoSlice;

use websocket_sans_io::{
    FrameInfo, Opcode, WebsocketFrameDecoder, WebsocketFrameEncoder, WebsocketFrameEvent,
};

use crate::peer::{Conn, Payload, Peer, Role, Sink};
use crate::transport::Transport;

pub struct WebsocketSansIo;

struct Open {
    io: Transport,
    role: Role,
    decoder: WebsocketFrameDecoder,
    buf: Box<[u8]>,
    start: usize,
    end: usize,
    message: Vec<u8>,
    encoder: WebsocketFrameEncoder,
    out: Vec<u8>,
    random: u64,
}

impl Peer for WebsocketSansIo {
    fn name(&self) -> &'static str {
        "websocket-sans-io"
    }

    fn note(&self) -> &'static str {
        "frames alone; the adapter reads 16 KiB, hands over in place what lies whole in it, assembles the rest, checks \
        UTF-8 with the standard library; keys by xorshift; no rules for messages"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(Box::new(Open {
            io,
            role,
            decoder: WebsocketFrameDecoder::new(),
            buf: vec![0; 16 * 1024].into(),
            start: 0,
            end: 0,
            message: Vec::new(),
            encoder: WebsocketFrameEncoder::new(),
            out: Vec::new(),
            random: 0x9E37_79B9_7F4A_7C15,
        }))
    }
}

fn deliver(opcode: Opcode, payload: &[u8], sink: &mut Sink) {
    let text = opcode == Opcode::Text;
    if text {
        std::str::from_utf8(payload).unwrap();
    }
    sink.message(text, payload);
}

impl Conn for Open {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        let mut got = 0;
        // The payload's length, if the payload can be delivered in place.
        let mut whole = None;
        let mut delivered = false;
        while got < n {
            let start = self.start;
            let result = self.decoder.add_data(&mut self.buf[start..self.end]).unwrap();
            self.start += result.consumed_bytes;
            match result.event {
                Some(WebsocketFrameEvent::Start { frame_info: info, .. }) => {
                    assert!(info.is_reasonable() && info.opcode.is_data());
                    let alone = info.fin && info.opcode != Opcode::Continuation;
                    whole = alone.then_some(info.payload_length);
                    delivered = false;
                }
                Some(WebsocketFrameEvent::PayloadChunk { original_opcode }) => {
                    let chunk = &self.buf[start..self.start];
                    if whole == Some(chunk.len() as u64) {
                        deliver(original_opcode, chunk, sink);
                        delivered = true;
                    } else {
                        self.message.extend_from_slice(chunk);
                    }
                }
                Some(WebsocketFrameEvent::End { frame_info: info, original_opcode })
                    if info.fin =>
                {
                    if !delivered {
                        deliver(original_opcode, &self.message, sink);
                        self.message.clear();
                    }
                    got += 1;
                }
                Some(WebsocketFrameEvent::End { .. }) => {}
                None if self.start == self.end => {
                    self.start = 0;
                    self.end = self.io.read(&mut self.buf);
                    assert!(self.end > 0, "the transport has ended");
                }
                None => {}
            }
        }
    }

    fn send(&mut self, payload: &Payload, n: usize, _: usize) {
        for _ in 0..n {
            let mask = (self.role == Role::Client).then(|| {
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                (self.random as u32).to_ne_bytes()
            });
            let header = self.encoder.start_frame(&FrameInfo {
                opcode: if payload.text { Opcode::Text } else { Opcode::Binary },
                payload_length: payload.bytes.len() as u64,
                mask,
                fin: true,
                reserved: 0,
            });
            if self.encoder.transform_needed() {
                self.out.clear();
                self.out.extend_from_slice(&header);
                self.out.extend_from_slice(&payload.bytes);
                self.encoder.transform_frame_payload(&mut self.out[header.len()..]);
                self.io.write(&self.out);
            } else {
                let slices = [IoSlice::new(&header), IoSlice::new(&payload.bytes)];
                self.io.write_vectored(&slices);
            }
        }
    }
}
