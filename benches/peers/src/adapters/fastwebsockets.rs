use std::hint::black_box;

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, OpCode, WebSocket};
use http_body_util::Empty;

use super::hyper_glue;
use crate::peer::{Conn, Payload, Peer, Role, Sink, Unsupported};
use crate::transport::{Transport, block_on};

pub struct Fastwebsockets;

struct Open(FragmentCollector<Transport>);

impl Peer for Fastwebsockets {
    fn name(&self) -> &'static str {
        "fastwebsockets"
    }

    fn note(&self) -> &'static str {
        "FragmentCollector; 8 KiB reads; handshake through hyper; a client does not check Sec-WebSocket-Accept"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        let role = match role {
            Role::Server => fastwebsockets::Role::Server,
            Role::Client => fastwebsockets::Role::Client,
        };
        Some(Box::new(Open(FragmentCollector::new(WebSocket::after_handshake(io, role)))))
    }

    fn accept(&self, io: Transport) -> Result<Option<Box<dyn Conn>>, Unsupported> {
        hyper_glue::serve(io, |mut request| {
            let (response, _) = fastwebsockets::upgrade::upgrade(&mut request).unwrap();
            response.map(|_| Empty::new())
        });
        Ok(None)
    }

    fn connect(&self, io: Transport) -> Result<(), Unsupported> {
        let request = hyper::Request::get("/chat")
            .header("Host", "server.example.com")
            .header("Upgrade", "websocket")
            .header("Connection", "upgrade")
            .header("Sec-WebSocket-Key", fastwebsockets::handshake::generate_key())
            .header("Sec-WebSocket-Version", "13")
            .body(Empty::<Bytes>::new())
            .unwrap();
        hyper_glue::with_runtime(|runtime| {
            let open = fastwebsockets::handshake::client(&hyper_glue::Executor, request, io);
            black_box(runtime.block_on(open).unwrap());
        });
        Ok(())
    }
}

impl Conn for Open {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        block_on(async {
            for _ in 0..n {
                let frame = self.0.read_frame().await.unwrap();
                match frame.opcode {
                    OpCode::Text => sink.message(true, &frame.payload),
                    OpCode::Binary => sink.message(false, &frame.payload),
                    other => panic!("opcode {}", other as u8),
                }
            }
        });
    }

    fn send(&mut self, payload: &Payload, n: usize, _: usize) {
        block_on(async {
            for _ in 0..n {
                let opcode = if payload.text { OpCode::Text } else { OpCode::Binary };
                let bytes = fastwebsockets::Payload::Borrowed(&payload.bytes);
                self.0.write_frame(Frame::new(true, opcode, None, bytes)).await.unwrap();
            }
        });
    }
}
