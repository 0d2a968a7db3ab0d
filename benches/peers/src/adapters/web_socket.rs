use tokio::io::{AsyncWriteExt, BufReader};
use web_socket::{DataType, Event, Stream};

use crate::peer::{Conn, Payload, Peer, Role, Sink};
use crate::transport::{Transport, block_on};

pub struct WebSocket;

struct Open {
    socket: web_socket::WebSocket<BufReader<Transport>>,
    message: Vec<u8>,
}

impl Peer for WebSocket {
    fn name(&self) -> &'static str {
        "web-socket"
    }

    fn note(&self) -> &'static str {
        "no handshake; the adapter assembles fragments, and checks UTF-8 with the standard library; 16 KiB BufReader"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        let stream = BufReader::with_capacity(16 * 1024, io);
        let socket = match role {
            Role::Server => web_socket::WebSocket::server(stream),
            Role::Client => web_socket::WebSocket::client(stream),
        };
        Some(Box::new(Open { socket, message: Vec::new() }))
    }
}

fn deliver(text: bool, payload: &[u8], sink: &mut Sink) {
    if text {
        std::str::from_utf8(payload).unwrap();
    }
    sink.message(text, payload);
}

impl Conn for Open {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        block_on(async {
            let mut got = 0;
            while got < n {
                match self.socket.recv().await.unwrap() {
                    Event::Data { ty: DataType::Complete(kind), data } => {
                        deliver(kind.is_text(), &data, sink);
                        got += 1;
                    }
                    Event::Data { ty: DataType::Stream(stream), data } => {
                        self.message.extend_from_slice(&data);
                        if let Stream::End(kind) = stream {
                            deliver(kind.is_text(), &self.message, sink);
                            self.message.clear();
                            got += 1;
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
    }

    fn send(&mut self, payload: &Payload, n: usize, batch: usize) {
        block_on(async {
            for i in 1..=n {
                match payload.text {
                    true => self.socket.send(payload.as_str()).await.unwrap(),
                    false => self.socket.send(&payload.bytes[..]).await.unwrap(),
                }
                if i % batch == 0 || i == n {
                    self.socket.stream.flush().await.unwrap();
                }
            }
        });
    }
}
