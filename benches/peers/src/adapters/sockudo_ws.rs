use std::hint::black_box;

use bytes::BytesMut;
use futures::{SinkExt, StreamExt};
use sockudo_ws::{
    CompressedProtocol, CompressedWebSocketStream, Config, DeflateConfig, Message, WebSocketStream,
};

use super::hyper_glue::with_runtime;
use crate::peer::{Conn, Payload, Peer, Role, Sink, Unsupported};
use crate::transport::{Transport, block_on};

const MAX_BYTES: usize = 64 << 20;
const READ: usize = 16 * 1024;

fn in_its_words(role: Role) -> sockudo_ws::Role {
    match role {
        Role::Server => sockudo_ws::Role::Server,
        Role::Client => sockudo_ws::Role::Client,
    }
}

#[inline(always)]
fn deliver(message: &Message, sink: &mut Sink) {
    match message {
        Message::Text(bytes) => sink.message(true, bytes),
        Message::Binary(bytes) => sink.message(false, bytes),
        other => panic!("{other:?}"),
    }
}

fn message(payload: &Payload) -> Message {
    match payload.text {
        true => Message::Text(payload.bytes.clone()),
        false => Message::Binary(payload.bytes.clone()),
    }
}

/// The crate's core without I/O.
pub struct Protocol;

enum Core {
    Plain(sockudo_ws::protocol::Protocol),
    Deflate(CompressedProtocol),
}

struct ProtocolConn {
    io: Transport,
    core: Core,
    buf: BytesMut,
    messages: Vec<Message>,
    out: BytesMut,
}

impl ProtocolConn {
    fn boxed(io: Transport, core: Core) -> Option<Box<dyn Conn>> {
        let (buf, out) = (BytesMut::new(), BytesMut::new());
        Some(Box::new(ProtocolConn { io, core, buf, messages: Vec::new(), out }))
    }
}

impl Peer for Protocol {
    fn name(&self) -> &'static str {
        "sockudo-ws protocol"
    }

    fn note(&self) -> &'static str {
        "Protocol::process_into over BytesMut, 16 KiB reads"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        let role = in_its_words(role);
        let core = sockudo_ws::protocol::Protocol::new(role, MAX_BYTES, MAX_BYTES);
        ProtocolConn::boxed(io, Core::Plain(core))
    }

    fn open_deflate(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        let config = DeflateConfig::default();
        let core = match role {
            Role::Server => CompressedProtocol::server(MAX_BYTES, MAX_BYTES, config),
            Role::Client => CompressedProtocol::client(MAX_BYTES, MAX_BYTES, config),
        };
        ProtocolConn::boxed(io, Core::Deflate(core))
    }
}

impl Conn for ProtocolConn {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        let mut got = 0;
        while got < n {
            self.buf.reserve(READ);
            let room = self.buf.spare_capacity_mut().as_mut_ptr().cast::<u8>();
            // SAFETY: there is room for a read, and the length grows by the number of read bytes.
            let read = unsafe {
                let read = self.io.read(std::slice::from_raw_parts_mut(room, READ));
                self.buf.set_len(self.buf.len() + read);
                read
            };
            assert!(read > 0, "the transport has ended");
            match &mut self.core {
                Core::Plain(core) => core.process_into(&mut self.buf, &mut self.messages),
                Core::Deflate(core) => core.process_into(&mut self.buf, &mut self.messages),
            }
            .unwrap();
            got += self.messages.len();
            for message in self.messages.drain(..) {
                deliver(&message, sink);
            }
        }
    }

    fn send(&mut self, payload: &Payload, n: usize, batch: usize) {
        for i in 1..=n {
            let message = message(payload);
            match &mut self.core {
                Core::Plain(core) => core.encode_message(&message, &mut self.out),
                Core::Deflate(core) => core.encode_message(&message, &mut self.out),
            }
            .unwrap();
            if i % batch == 0 || i == n {
                self.io.write(&self.out);
                self.out.clear();
            }
        }
    }
}

/// The crate over tokio.
pub struct Stream;

struct StreamConn<S>(S);

fn config() -> Config {
    Config { max_message_size: MAX_BYTES, max_frame_size: MAX_BYTES, ..Config::default() }
}

impl Peer for Stream {
    fn name(&self) -> &'static str {
        "sockudo-ws stream"
    }

    fn note(&self) -> &'static str {
        "WebSocketStream with its default timers, in a current-thread runtime"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        with_runtime(|runtime| {
            let _guard = runtime.enter();
            Some(Box::new(StreamConn(match role {
                Role::Server => WebSocketStream::server(io, config()),
                Role::Client => WebSocketStream::client(io, config()),
            })) as Box<dyn Conn>)
        })
    }

    fn accept(&self, mut io: Transport) -> Result<Option<Box<dyn Conn>>, Unsupported> {
        with_runtime(|runtime| {
            let _guard = runtime.enter();
            block_on(sockudo_ws::handshake::server_handshake(&mut io)).unwrap();
            let conn = StreamConn(WebSocketStream::server(io, config()));
            Ok(Some(Box::new(conn) as Box<dyn Conn>))
        })
    }

    fn connect(&self, mut io: Transport) -> Result<(), Unsupported> {
        with_runtime(|runtime| {
            let _guard = runtime.enter();
            let host = "server.example.com";
            block_on(sockudo_ws::handshake::client_handshake(&mut io, host, "/chat", None))
                .unwrap();
            black_box(WebSocketStream::client(io, config()));
            Ok(())
        })
    }

    fn open_deflate(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        let deflate = DeflateConfig::default();
        with_runtime(|runtime| {
            let _guard = runtime.enter();
            Some(Box::new(StreamConn(match role {
                Role::Server => CompressedWebSocketStream::server(io, config(), deflate),
                Role::Client => CompressedWebSocketStream::client(io, config(), deflate),
            })) as Box<dyn Conn>)
        })
    }
}

impl<S> Conn for StreamConn<S>
where
    S: futures::Stream<Item = sockudo_ws::Result<Message>>
        + futures::Sink<Message, Error = sockudo_ws::Error>
        + Unpin,
{
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        with_runtime(|runtime| {
            let _guard = runtime.enter();
            block_on(async {
                for _ in 0..n {
                    deliver(&self.0.next().await.unwrap().unwrap(), sink);
                }
            });
        });
    }

    fn send(&mut self, payload: &Payload, n: usize, batch: usize) {
        with_runtime(|runtime| {
            let _guard = runtime.enter();
            block_on(async {
                for i in 1..=n {
                    self.0.feed(message(payload)).await.unwrap();
                    if i % batch == 0 || i == n {
                        self.0.flush().await.unwrap();
                    }
                }
            });
        });
    }
}
