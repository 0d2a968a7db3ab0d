//! Compares what an open connection receives with `tungstenite`, without compression. A difference must have one of the
//! reasons that are listed here.

use std::io::{self, Read, Write};

use super::targets::observer::{Outcome, Seen};
use super::targets::receive::Setup;
use super::targets::source::ByteSource;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};
use websocket_proto::{CloseCause, Delivery, MessageKind, ProtocolError, Role};

/// Why the two may differ. The events before the difference are always equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowance {
    /// We validate each byte as it arrives. tungstenite waits for the end of the frame, which may never arrive.
    Earlier,
    /// RFC 6455 5.2: a length is encoded in the fewest bytes, and its top bit is 0. tungstenite accepts other lengths.
    /// We may report such a length as too big after its first byte, because a longer encoding implies a large length.
    LengthForm,
    /// RFC 6455 7.4: a close code that must not be on the wire. tungstenite reports a Close with 1002 instead.
    CloseCode,
    /// The code 1014 was registered with IANA after RFC 6455 (7.4.2 allows that). tungstenite treats it like a code
    /// that must not be on the wire.
    BadGateway,
}

/// The input has the format of `receive`, so that both use the same seeds.
pub fn differential(data: &[u8]) {
    let mut source = ByteSource::new(data);
    let mut setup = Setup::read(&mut source);
    let limit = setup.config.max_message_bytes();
    let config = setup.config.to_builder().delivery(Delivery::Messages).max_fragments(u32::MAX);
    // tungstenite checks its frame limit in the header, and its message limit at the end of a frame.
    setup.config = config.max_frame_bytes(limit).build().expect("each value is allowed");
    setup.deflate = None;
    let (role, limit) = (setup.role, limit as usize);
    let wire = source.rest();
    let ours = setup.passive().run(&[wire]);
    let (theirs, end) = tungstenite_reads(role, limit, wire);
    match compare(wire, &ours, &theirs, &end) {
        Ok(()) | Err(Some(_)) => {}
        Err(None) => panic!("{ours:#?}\nbut {theirs:#?}, {end:?}"),
    }
}

/// How tungstenite ended.
#[derive(Debug)]
enum End {
    MoreWanted,
    /// The peer's Close had this code and reason.
    Closed(u16, String),
    Failed(#[allow(dead_code, reason = "shown when a run fails")] Error),
}

/// Compares the two results. The error is the reason for a difference, or `None` if there is no reason.
fn compare(
    wire: &[u8],
    ours: &Outcome,
    theirs: &[Seen],
    end: &End,
) -> Result<(), Option<Allowance>> {
    let mut events = &ours.seen[..];
    let closed = ours.closed();
    if closed.is_some() {
        events = &events[..events.len() - 1];
    }
    let same = theirs == events;
    match (closed.map(|closed| closed.cause()), end) {
        (None, End::MoreWanted) if same => Ok(()),
        (Some(CloseCause::Peer), End::Closed(code, reason)) => {
            let closed = closed.expect("the cause comes from it");
            if (closed.code().get(), *code) == (1014, 1002) {
                return Err(same.then_some(Allowance::BadGateway));
            }
            let same = same && (closed.code().get(), closed.reason()) == (*code, reason.as_str());
            if same { Ok(()) } else { Err(None) }
        }
        (Some(CloseCause::Protocol(_)), End::Failed(_)) if same => Ok(()),
        (Some(CloseCause::Protocol(error)), _) => {
            let allowance = match error {
                ProtocolError::NonMinimalLength
                | ProtocolError::LengthOutOfRange
                | ProtocolError::ControlTooLong { .. }
                | ProtocolError::FrameTooBig { .. }
                | ProtocolError::MessageTooBig { .. }
                    if has_odd_length(wire) =>
                {
                    // Only tungstenite parses what follows.
                    return Err(theirs.starts_with(events).then_some(Allowance::LengthForm));
                }
                ProtocolError::InvalidCloseCode { .. } if matches!(end, End::Closed(1002, _)) => {
                    return Err(same.then_some(Allowance::CloseCode));
                }
                _ => Allowance::Earlier,
            };
            Err((same && matches!(end, End::MoreWanted)).then_some(allowance))
        }
        _ => Err(None),
    }
}

/// Whether any frame's length is not in its shortest form, is out of range, or is cut off.
fn has_odd_length(mut wire: &[u8]) -> bool {
    while let [_, second, rest @ ..] = wire {
        let (width, least) = match second & 0x7f {
            126 => (2, 126),
            127 => (8, 0x1_0000),
            _ => (0, 0),
        };
        let Some(extended) = rest.get(..width) else {
            // The extended length is cut off, so it may still be out of range or not minimal.
            return true;
        };
        let extended = extended.iter().fold(0u64, |len, byte| len << 8 | u64::from(*byte));
        if extended < least || extended >> 63 != 0 {
            return true;
        }
        let len = if width == 0 { u64::from(second & 0x7f) } else { extended };
        let size = (width as u64 + u64::from(second >> 7) * 4).saturating_add(len);
        wire = usize::try_from(size).ok().and_then(|size| rest.get(size..)).unwrap_or_default();
    }
    false
}

/// A stream that returns these bytes and then `WouldBlock`. It drops what is written.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            result => result,
        }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite_reads(role: Role, limit: usize, wire: &[u8]) -> (Vec<Seen>, End) {
    let role = match role {
        Role::Client => tungstenite::protocol::Role::Client,
        Role::Server => tungstenite::protocol::Role::Server,
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit.max(125)))
        .read_buffer_size(4096);
    let mut socket = WebSocket::from_raw_socket(Wire(wire), role, Some(config));
    let mut seen = Vec::new();
    loop {
        seen.push(match socket.read() {
            Ok(Message::Text(text)) => Seen::Message(MessageKind::Text, text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => Seen::Message(MessageKind::Binary, bytes.to_vec()),
            Ok(Message::Ping(payload)) => Seen::Ping(payload.to_vec()),
            Ok(Message::Pong(payload)) => Seen::Pong(payload.to_vec()),
            Ok(Message::Close(frame)) => {
                let (code, reason) = match &frame {
                    Some(frame) => (u16::from(frame.code), frame.reason.as_str()),
                    None => (1005, ""),
                };
                return (seen, End::Closed(code, reason.to_string()));
            }
            Ok(Message::Frame(_)) => unreachable!("reading never returns a Frame"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (seen, End::MoreWanted);
            }
            Err(error) => return (seen, End::Failed(error)),
        });
    }
}
