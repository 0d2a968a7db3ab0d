use std::hint::black_box;

use soketto::connection::{Builder, Mode, Receiver, Sender};
use soketto::extension::deflate::Deflate;
use soketto::extension::{Extension, Param};
use soketto::handshake::server::Response;
use soketto::handshake::{Client, Server, ServerResponse};

use crate::peer::{Conn, Payload, Peer, Role, Sink, Unsupported};
use crate::transport::{Transport, block_on};

pub struct Soketto;

struct Open {
    sender: Sender<Transport>,
    receiver: Receiver<Transport>,
    message: Vec<u8>,
}

fn finish(builder: Builder<Transport>) -> Box<dyn Conn> {
    let (sender, receiver) = builder.finish();
    Box::new(Open { sender, receiver, message: Vec::new() })
}

fn mode(role: Role) -> Mode {
    match role {
        Role::Server => Mode::Server,
        Role::Client => Mode::Client,
    }
}

impl Peer for Soketto {
    fn name(&self) -> &'static str {
        "soketto"
    }

    fn note(&self) -> &'static str {
        "the adapter checks UTF-8 with the standard library; messages into one Vec; deflate at level 1, no takeover"
    }

    fn open(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        Some(finish(Builder::new(io, mode(role))))
    }

    fn accept(&self, io: Transport) -> Result<Option<Box<dyn Conn>>, Unsupported> {
        block_on(async {
            let mut server = Server::new(io);
            let key = server.receive_request().await.unwrap().key();
            server.send_response(&Response::Accept { key, protocol: None }).await.unwrap();
            Ok(Some(finish(server.into_builder())))
        })
    }

    fn connect(&self, io: Transport) -> Result<(), Unsupported> {
        block_on(async {
            let mut client = Client::new(io, "server.example.com", "/chat");
            match client.handshake().await.unwrap() {
                ServerResponse::Accepted { .. } => {}
                _ => panic!("the server has not accepted"),
            }
            black_box(client.into_builder().finish());
        });
        Ok(())
    }

    fn open_deflate(&self, io: Transport, role: Role) -> Option<Box<dyn Conn>> {
        let mut deflate = Deflate::new(mode(role));
        deflate.configure(&[Param::new("server_no_context_takeover")]).unwrap();
        let mut builder = Builder::new(io, mode(role));
        builder.add_extensions([Box::new(deflate) as Box<dyn Extension + Send>]);
        Some(finish(builder))
    }
}

impl Conn for Open {
    fn recv(&mut self, n: usize, sink: &mut Sink) {
        block_on(async {
            for _ in 0..n {
                self.message.clear();
                let data = self.receiver.receive_data(&mut self.message).await.unwrap();
                if data.is_text() {
                    std::str::from_utf8(&self.message).unwrap();
                }
                sink.message(data.is_text(), &self.message);
            }
        });
    }

    fn send(&mut self, payload: &Payload, n: usize, batch: usize) {
        block_on(async {
            for i in 1..=n {
                match payload.text {
                    true => self.sender.send_text(payload.as_str()).await.unwrap(),
                    false => self.sender.send_binary(&payload.bytes).await.unwrap(),
                }
                if i % batch == 0 || i == n {
                    self.sender.flush().await.unwrap();
                }
            }
        });
    }
}
