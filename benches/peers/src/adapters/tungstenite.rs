use std::hint::black_box;

use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, Utf8Bytes, WebSocket};

use crate::peer::{Conn, Payload, Peer, Role, Sink, Unsupported};
use crate::transport::Transport;

pub struct Tungstenite;

struct Open(WebSocket<Transport>);

impl Peer for Tungstenite {
    fn name(&self) -> &'static str {
        "tungstenite"
    }

    fn note(&self) -> &'static str {
        "its default configuration, with a read buffer of 128 KiB"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        let role = match role {
            Role::Server => tungstenite::protocol::Role::Server,
            Role::Client => tungstenite::protocol::Role::Client,
        };
        let config = WebSocketConfig::default();
        Some(Box::new(Open(WebSocket::from_raw_socket(io, role, Some(config)))))
    }

    fn accept(&self, io: Transport) -> Result<Option<Box<dyn Conn>>, Unsupported> {
        Ok(Some(Box::new(Open(tungstenite::accept(io).unwrap()))))
    }

    fn connect(&self, io: Transport) -> Result<(), Unsupported> {
        black_box(tungstenite::client("ws://server.example.com/chat", io).unwrap());
        Ok(())
    }
}

impl Conn for Open {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        for _ in 0..n {
            match self.0.read().unwrap() {
                Message::Text(text) => sink.message(true, text.as_bytes()),
                Message::Binary(bytes) => sink.message(false, &bytes),
                other => panic!("{other:?}"),
            }
        }
    }

    fn send(&mut self, payload: &Payload, n: usize, batch: usize) {
        for i in 1..=n {
            let bytes = payload.bytes.clone();
            self.0
                .write(match payload.text {
                    // SAFETY: the payload of a text message is UTF-8.
                    true => Message::Text(unsafe { Utf8Bytes::from_bytes_unchecked(bytes) }),
                    false => Message::Binary(bytes),
                })
                .unwrap();
            if i % batch == 0 || i == n {
                self.0.flush().unwrap();
            }
        }
    }
}
