//! Counts of what a connection has sent and received. The queue counts what is written, the connection what is
//! received.

use core::ops::AddAssign;

use crate::frame::{FirstByte, Opcode};

/// What a connection has sent and received since it was made. [`Connection::counters`](crate::Connection::counters)
/// returns it if [`Config::count_traffic`](crate::Config::count_traffic) is set.
///
/// Two ends agree: when all that one end has written has arrived, and no frame and no message is cut, its
/// [`sent`](Counters::sent) equals the other end's [`received`](Counters::received).
///
/// The counts only grow, and they stay when the connection ends. The difference of two values is the traffic between
/// them.
///
/// ```
/// use websocket_proto::{Config, ConfigError, Connection, Role};
///
/// let config = Config::builder().count_traffic(true).build()?;
/// let mut conn = Connection::from_upgrade(Role::Server, config).expect("a server needs no keys");
/// conn.send("Hello").expect("the queue has room");
/// conn.advance(conn.outgoing().len());
/// let sent = conn.counters().expect("they were asked for").sent;
/// assert_eq!((sent.messages, sent.message_bytes, sent.frames, sent.wire_bytes), (1, 5, 1, 7));
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Counters {
    /// What was written to the transport, according to [`advance`](crate::Connection::advance) and
    /// [`send_through`](crate::Connection::send_through). What waits in the queue does not count yet, and what was
    /// dropped from it never counts.
    pub sent: Traffic,
    /// What the connection has taken from its input while it received frames. What is dropped, after the peer's Close
    /// or after a failure, does not count. A frame that makes the connection fail may count in part.
    pub received: Traffic,
}

/// The traffic in one direction of a connection.
///
/// | count | what is counted | when |
/// |---|---|---|
/// | `messages` | messages | with the last byte; a received one when it is delivered |
/// | `message_bytes` | payload of messages, before compression | as it passes; see below |
/// | `frames` | frames, control frames included | with the last byte of the header |
/// | `payload_bytes` | payload of data frames, as it is on the wire | as it passes |
/// | `wire_bytes` | all bytes of frames: headers, payload, control frames | as they pass |
/// | `pings`, `pongs` | these control frames | with the last byte |
///
/// The payload of a compressed message that is sent counts in `message_bytes` with its last byte. What is received
/// counts there when it is delivered: with the message, or with each chunk.
///
/// The opening handshake is not counted: another HTTP stack may have done it. `payload_bytes` divided by
/// `message_bytes` is the ratio of compression. A message that the caller compresses
/// ([`begin_frame`](crate::Connection::begin_frame)), or that is delivered in frames
/// ([`Delivery::Frames`](crate::Delivery::Frames)), counts with its size on the wire in both.
///
/// ```
/// use websocket_proto::{Config, ConfigError, Connection, Role};
///
/// let config = Config::builder().count_traffic(true).build()?;
/// let mut conn = Connection::from_upgrade(Role::Client, config).expect("the system has entropy");
/// let _ = conn.receive(&mut &mut b"\x89\x00\x81\x05Hello".clone()[..]);
/// let received = conn.counters().expect("they were asked for").received;
/// assert_eq!((received.frames, received.pings, received.messages), (1, 1, 0)); // up to the first event
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Messages, text and binary.
    pub messages: u64,
    /// Payload bytes of messages, before compression.
    pub message_bytes: u64,
    /// Frames, control frames included.
    pub frames: u64,
    /// Payload bytes of data frames, after compression.
    pub payload_bytes: u64,
    /// Bytes of frames, with their headers.
    pub wire_bytes: u64,
    /// Pings (RFC 6455 5.5.2).
    pub pings: u64,
    /// Pongs, answers and others (RFC 6455 5.5.3).
    pub pongs: u64,
}

/// A part of a frame that was sent.
pub(crate) struct FramePart {
    pub(crate) first: FirstByte,
    /// Bytes of the header in this part.
    pub(crate) header: u64,
    /// Bytes of the payload in this part.
    pub(crate) payload: u64,
    /// Whether the last byte of the header is in this part.
    pub(crate) has_header_end: bool,
    /// Whether the last byte of the frame is in this part.
    pub(crate) has_end: bool,
}

impl Traffic {
    /// Adds a part of a frame. The caller adds `message_bytes`.
    pub(crate) fn add(&mut self, part: &FramePart) {
        self.frames += u64::from(part.has_header_end);
        self.wire_bytes += part.header + part.payload;
        let end = u64::from(part.has_end);
        match part.first.opcode() {
            Opcode::Ping => self.pings += end,
            Opcode::Pong => self.pongs += end,
            Opcode::Close => {}
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                self.payload_bytes += part.payload;
                self.messages += u64::from(part.has_end && part.first.is_final());
            }
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Traffic) {
        self.messages += more.messages;
        self.message_bytes += more.message_bytes;
        self.frames += more.frames;
        self.payload_bytes += more.payload_bytes;
        self.wire_bytes += more.wire_bytes;
        self.pings += more.pings;
        self.pongs += more.pongs;
    }
}
