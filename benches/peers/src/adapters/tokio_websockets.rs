use std::hint::black_box;

use futures::{SinkExt, StreamExt};
use tokio_websockets::{ClientBuilder, Message, ServerBuilder, WebSocketStream};

use crate::peer::{Conn, Payload, Peer, Role, Sink, Unsupported};
use crate::transport::{Transport, block_on};

pub struct TokioWebsockets;

struct Open(WebSocketStream<Transport>);

impl Peer for TokioWebsockets {
    fn name(&self) -> &'static str {
        "tokio-websockets"
    }

    fn note(&self) -> &'static str {
        "8 KiB reads; keys by fastrand"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(Box::new(Open(match role {
            Role::Server => ServerBuilder::new().serve(io),
            Role::Client => ClientBuilder::new().take_over(io),
        })))
    }

    fn accept(&self, io: Transport) -> Result<Option<Box<dyn Conn>>, Unsupported> {
        let (_, stream) = block_on(ServerBuilder::new().accept(io)).unwrap();
        Ok(Some(Box::new(Open(stream))))
    }

    fn connect(&self, io: Transport) -> Result<(), Unsupported> {
        let builder = ClientBuilder::new().uri("ws://server.example.com/chat").unwrap();
        black_box(block_on(builder.connect_on(io)).unwrap());
        Ok(())
    }
}

impl Conn for Open {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        block_on(async {
            for _ in 0..n {
                let message = self.0.next().await.unwrap().unwrap();
                sink.message(message.is_text(), message.as_payload());
            }
        });
    }

    fn send(&mut self, payload: &Payload, n: usize, batch: usize) {
        block_on(async {
            for i in 1..=n {
                let message = match payload.text {
                    true => Message::text(payload.bytes.clone()),
                    false => Message::binary(payload.bytes.clone()),
                };
                self.0.feed(message).await.unwrap();
                if i % batch == 0 || i == n {
                    self.0.flush().await.unwrap();
                }
            }
        });
    }
}
