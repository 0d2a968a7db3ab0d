//! The blocking driver: handshakes, messages on one thread and on two, the end, time, and transports that fail or stop
//! at any call.

#![cfg(feature = "std")]

#[path = "drive_blocking/handshake.rs"]
mod handshake;
#[path = "drive_blocking/scripted.rs"]
mod scripted;
#[path = "drive_blocking/slow.rs"]
mod slow;
#[path = "drive_blocking/the_end.rs"]
mod the_end;
#[path = "drive_blocking/threads.rs"]
mod threads;
#[path = "drive_blocking/time.rs"]
mod time;
#[path = "drive_blocking/transports.rs"]
mod transports;
mod util;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use util::{KEY, frame, other, plain_frames};
use websocket_proto::drive::blocking::WebSocket;
use websocket_proto::{Config, Role, Shared};

/// Two ends of a connection on loopback.
fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (ours, listener.accept().unwrap().0)
}

/// An open WebSocket, and the peer's end of its transport.
fn open_with(role: Role, config: impl Into<Shared<Config>>) -> (WebSocket<TcpStream>, Peer) {
    let (ours, theirs) = sockets();
    let ws = WebSocket::from_upgrade(ours, role, b"", config).expect("a seed cannot fail");
    (ws, Peer { stream: theirs, role: other(role) })
}

fn open(role: Role) -> (WebSocket<TcpStream>, Peer) {
    open_with(role, util::config())
}

/// A client and a server, open.
fn pair(config: Config) -> [WebSocket<TcpStream>; 2] {
    let (client, server) = sockets();
    [(client, Role::Client), (server, Role::Server)].map(|(stream, role)| {
        WebSocket::from_upgrade(stream, role, b"", config.clone()).expect("a seed cannot fail")
    })
}

/// A peer that reads and writes bytes, and shares no code with the library.
struct Peer {
    stream: TcpStream,
    role: Role,
}

impl Peer {
    /// Sends a frame. `first` is its first byte.
    fn send(&mut self, first: u8, payload: &[u8]) {
        let bytes = frame(first, payload, (self.role == Role::Client).then_some(KEY));
        self.stream.write_all(&bytes).unwrap();
    }

    /// Reads the next frame: its first byte, and its payload without the mask.
    fn next(&mut self) -> (u8, Vec<u8>) {
        let mut bytes = vec![0; 2];
        self.stream.read_exact(&mut bytes).unwrap();
        let length_bytes = match bytes[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        self.more(&mut bytes, length_bytes);
        let len = match &bytes[2..] {
            [] => u64::from(bytes[1] & 0x7f),
            length => length.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        let mask_bytes = if bytes[1] & 0x80 != 0 { 4 } else { 0 };
        self.more(&mut bytes, len as usize + mask_bytes);
        plain_frames(&bytes).pop().unwrap()
    }

    fn more(&mut self, bytes: &mut Vec<u8>, n: usize) {
        let begin = bytes.len();
        bytes.resize(begin + n, 0);
        self.stream.read_exact(&mut bytes[begin..]).unwrap();
    }

    /// Reads to the end of the transport.
    fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).unwrap();
        bytes
    }
}
