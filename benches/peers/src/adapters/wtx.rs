use std::hint::black_box;

use httparse::Header;
use wtx::collection::Vector;
use wtx::misc::UriRef;
use wtx::rng::{Xorshift64, simple_seed};
use wtx::web_socket::compression::{Compression, Flate2, NegotiatedCompression, WindowBits};
use wtx::web_socket::{
    CompressionLevel, DeflateConfig, Frame, OpCode, WebSocket, WebSocketAcceptor, WebSocketBuffer,
    WebSocketConnector, WebSocketPayloadOrigin,
};

use crate::peer::{Conn, Payload, Peer, Role, Sink, Unsupported};
use crate::transport::{Transport, block_on};

pub struct Wtx;

struct Open<C, const IS_CLIENT: bool> {
    socket: WebSocket<C, Xorshift64, Transport, WebSocketBuffer, IS_CLIENT>,
    message: Vector<u8>,
    out: Vec<u8>,
}

fn open<C: NegotiatedCompression + 'static>(
    compression: C,
    io: Transport,
    role: Role,
) -> Box<dyn Conn> {
    // The crate's default buffer is empty at first and grows to one message per read. This gives it the 16 KiB of the
    // others.
    let buffer = WebSocketBuffer::with_capacity(16 * 1024, 0, 0).unwrap();
    let random = Xorshift64::from(simple_seed());
    let (message, out) = (Vector::new(), Vec::new());
    match role {
        Role::Server => {
            let socket = WebSocket::new(compression, false, random, io, buffer);
            Box::new(Open::<C, false> { socket, message, out })
        }
        Role::Client => {
            let socket = WebSocket::new(compression, false, random, io, buffer);
            Box::new(Open::<C, true> { socket, message, out })
        }
    }
}

impl Peer for Wtx {
    fn name(&self) -> &'static str {
        "wtx"
    }

    fn note(&self) -> &'static str {
        "payloads in place (Adaptive) in 16 KiB, its default after a handshake; SIMD width fixed when it is compiled; keys \
        by xorshift"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(open((), io, role))
    }

    fn accept(&self, io: Transport) -> Result<Option<Box<dyn Conn>>, Unsupported> {
        let socket = block_on(WebSocketAcceptor::default().accept(io)).unwrap();
        Ok(Some(Box::new(Open { socket, message: Vector::new(), out: Vec::new() })))
    }

    fn connect(&self, io: Transport) -> Result<(), Unsupported> {
        let uri = UriRef::new("ws://server.example.com/chat");
        let connector = WebSocketConnector::default().no_masking(false);
        let result: wtx::Result<_> = block_on(connector.connect(io, &uri));
        black_box(result.unwrap());
        Ok(())
    }

    fn open_deflate(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        let config = DeflateConfig {
            client_max_window_bits: WindowBits::Fifteen,
            server_max_window_bits: WindowBits::Fifteen,
            compression_level: CompressionLevel::Six,
        };
        let header = [Header { name: "Sec-WebSocket-Extensions", value: b"permessage-deflate" }];
        let flate2 = Flate2::from(config);
        Some(match role {
            Role::Server => {
                let agreed = <Flate2 as Compression<false>>::negotiate(flate2, header.iter());
                open(agreed.unwrap(), io, role)
            }
            Role::Client => {
                let agreed = <Flate2 as Compression<true>>::negotiate(flate2, header.iter());
                open(agreed.unwrap(), io, role)
            }
        })
    }
}

impl<C: NegotiatedCompression, const IS_CLIENT: bool> Conn for Open<C, IS_CLIENT> {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        block_on(async {
            for _ in 0..n {
                self.message.clear();
                let origin = WebSocketPayloadOrigin::Adaptive;
                let frame = self.socket.read_frame(&mut self.message, origin).await.unwrap();
                match frame.op_code() {
                    OpCode::Text => sink.message(true, frame.payload()),
                    OpCode::Binary => sink.message(false, frame.payload()),
                    other => panic!("{other:?}"),
                }
            }
        });
    }

    fn send(&mut self, payload: &Payload, n: usize, _: usize) {
        let opcode = if payload.text { OpCode::Text } else { OpCode::Binary };
        block_on(async {
            for i in 0..n {
                // The crate takes `&mut` and a client masks in place, so an application that keeps its payload must
                // copy it.
                if i == 0 || IS_CLIENT {
                    self.out.clear();
                    self.out.extend_from_slice(&payload.bytes);
                }
                let mut frame = Frame::new_fin(opcode, &mut self.out[..]);
                self.socket.write_frame(&mut frame).await.unwrap();
            }
        });
    }
}
