use std::hint::black_box;

use futures::SinkExt;
use yawc::frame::OpCode;
use yawc::{CompressionLevel, Frame, HttpStream, Options, WebSocket};

use super::hyper_glue;
use crate::peer::{Conn, Payload, Peer, Role, Sink, Unsupported};
use crate::transport::{Transport, block_on};

pub struct Yawc;

struct Open(WebSocket<Transport>);

fn options() -> Options {
    Options::default().with_limits(64 << 20, 128 << 20).with_utf8()
}

fn in_its_words(role: Role) -> yawc::Role {
    match role {
        Role::Server => yawc::Role::Server,
        Role::Client => yawc::Role::Client,
    }
}

impl Peer for Yawc {
    fn name(&self) -> &'static str {
        "yawc"
    }

    fn note(&self) -> &'static str {
        "its UTF-8 check turned on, its limits raised; handshake through hyper"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(Box::new(Open(WebSocket::from_stream(io, in_its_words(role), options()).unwrap())))
    }

    fn accept(&self, io: Transport) -> Result<Option<Box<dyn Conn>>, Unsupported> {
        hyper_glue::serve(io, |request| {
            WebSocket::<HttpStream>::upgrade_with_options(request, options()).unwrap().0
        });
        Ok(None)
    }

    fn connect(&self, io: Transport) -> Result<(), Unsupported> {
        let uri = "ws://server.example.com/chat".parse().unwrap();
        hyper_glue::with_runtime(|runtime| {
            let handshake = WebSocket::handshake(uri, io, options());
            black_box(runtime.block_on(handshake).unwrap());
        });
        Ok(())
    }

    fn open_deflate(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        let options = options().with_compression_level(CompressionLevel::new(6));
        let extensions = Some("permessage-deflate");
        let role = in_its_words(role);
        let open = WebSocket::from_stream_with_extensions(io, role, extensions, options);
        Some(Box::new(Open(open.unwrap())))
    }
}

impl Conn for Open {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        block_on(async {
            for _ in 0..n {
                let frame = self.0.next_frame().await.unwrap();
                sink.message(frame.opcode() == OpCode::Text, frame.payload());
            }
        });
    }

    fn send(&mut self, payload: &Payload, n: usize, batch: usize) {
        block_on(async {
            for i in 1..=n {
                let frame = match payload.text {
                    true => Frame::text(payload.bytes.clone()),
                    false => Frame::binary(payload.bytes.clone()),
                };
                self.0.feed(frame).await.unwrap();
                if i % batch == 0 || i == n {
                    self.0.flush().await.unwrap();
                }
            }
        });
    }
}
