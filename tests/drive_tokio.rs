//! The driver for tokio: handshakes, messages, the end, time, wake-ups, and futures that are dropped at any point.

#[path = "util/alloc.rs"]
mod alloc;
#[path = "drive_tokio/dropped.rs"]
mod dropped;
#[path = "drive_tokio/handshake.rs"]
mod handshake;
#[path = "drive_tokio/load.rs"]
mod load;
#[path = "drive_tokio/messages.rs"]
mod messages;
#[path = "drive_tokio/streams.rs"]
mod streams;
#[path = "drive_tokio/the_end.rs"]
mod the_end;
#[path = "drive_tokio/time.rs"]
mod time;
#[path = "drive_tokio/transports.rs"]
mod transports;
mod util;
#[path = "drive_tokio/wakeups.rs"]
mod wakeups;

use std::pin::Pin;

use alloc::Counting;
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use util::{KEY, frame, other, plain_frames};
use websocket_proto::drive::Error;
use websocket_proto::drive::tokio::WebSocket;
use websocket_proto::{Config, Message, Role, Shared};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// An open WebSocket, and the peer's end of its transport, which holds `capacity` bytes in each direction.
fn open_with(
    role: Role,
    capacity: usize,
    config: impl Into<Shared<Config>>,
) -> (WebSocket<DuplexStream>, Peer) {
    let (ours, theirs) = duplex(capacity);
    let ws = WebSocket::from_upgrade(ours, role, b"", config).expect("a seed cannot fail");
    (ws, Peer { stream: theirs, role: other(role) })
}

fn open(role: Role) -> (WebSocket<DuplexStream>, Peer) {
    open_with(role, 1 << 20, util::config())
}

/// A peer that reads and writes bytes, and shares no code with the library.
struct Peer {
    stream: DuplexStream,
    role: Role,
}

impl Peer {
    /// Sends a frame. `first` is its first byte.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let bytes = self.frame(first, payload);
        self.stream.write_all(&bytes).await.unwrap();
    }

    fn frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        frame(first, payload, (self.role == Role::Client).then_some(KEY))
    }

    /// Reads the next frame: its first byte, and its payload without the mask.
    async fn next(&mut self) -> (u8, Vec<u8>) {
        let mut bytes = vec![0; 2];
        self.stream.read_exact(&mut bytes).await.unwrap();
        let length_bytes = match bytes[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        self.more(&mut bytes, length_bytes).await;
        let len = match &bytes[2..] {
            [] => u64::from(bytes[1] & 0x7f),
            length => length.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        let mask_bytes = if bytes[1] & 0x80 != 0 { 4 } else { 0 };
        self.more(&mut bytes, len as usize + mask_bytes).await;
        plain_frames(&bytes).pop().unwrap()
    }

    async fn more(&mut self, bytes: &mut Vec<u8>, n: usize) {
        let begin = bytes.len();
        bytes.resize(begin + n, 0);
        self.stream.read_exact(&mut bytes[begin..]).await.unwrap();
    }

    /// Reads to the end of the transport.
    async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    }
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

async fn ready<'m>(
    sink: &mut (impl Sink<Message<'m>, Error = Error> + Unpin),
) -> Result<(), Error> {
    std::future::poll_fn(|cx| Pin::new(&mut *sink).poll_ready(cx)).await
}

async fn flush<'m>(
    sink: &mut (impl Sink<Message<'m>, Error = Error> + Unpin),
) -> Result<(), Error> {
    std::future::poll_fn(|cx| Pin::new(&mut *sink).poll_flush(cx)).await
}
