//! The frames of a capture: each frame as it was sent, and the result at its receiver.

use std::fmt::Write as _;

use websocket_proto::{
    Chunk, CloseCause, Config, Connection, DeflateParams, Delivery, Entropy, Event, FrameHeader,
    MessageKind, Opcode, ProtocolError, RawHeader, Role, Upgrade, apply_mask,
};

use super::{Report, count, escaped, named};

/// The frames that one endpoint sent, and a connection that receives them.
pub(super) struct Frames {
    /// The receiver; `None` after it has closed or failed.
    conn: Option<Connection>,
    /// A remark to print before the first frame after the end of the connection.
    behind: Option<&'static str>,
    width: usize,
    /// The kind of the open message, and whether it is compressed.
    open: Option<(MessageKind, bool)>,
    /// The frames of the open message.
    frames: u64,
    /// The payload bytes of these frames.
    wire_bytes: u64,
    /// The bytes of the message that were received, inflated.
    bytes: u64,
    /// The first of these bytes, to be printed.
    shown: Vec<u8>,
}

impl Frames {
    pub(super) fn new(sender: Role, deflate: Option<DeflateParams>, width: usize) -> Frames {
        // Messages of any size are read; in chunks they need no memory.
        let config = Config::builder().delivery(Delivery::Chunks).entropy(Entropy::Seed(0));
        let config = config.max_frame_bytes(u64::MAX).max_message_bytes(u64::MAX);
        let config = config.max_fragments(u32::MAX).build().expect("chunks have no largest limit");
        let role = match sender {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let conn = match deflate {
            Some(params) => Connection::from_upgrade(Upgrade::new(role).deflate(params), config),
            None => Connection::from_upgrade(role, config),
        };
        let conn = Some(conn.expect("a seed cannot fail"));
        Frames {
            conn,
            behind: None,
            width,
            open: None,
            frames: 0,
            wire_bytes: 0,
            bytes: 0,
            shown: Vec::new(),
        }
    }

    pub(super) fn decode(mut self, bytes: &[u8], start: usize, report: &mut Report) {
        let mut at = start;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if let Some(remark) = self.behind.take() {
                report.line(format_args!("-- {remark} --"));
            }
            let (decoded, fault) = match FrameHeader::decode(rest) {
                Ok(header) => {
                    (header.map(|(header, size)| (header.mask, header.payload_len, size)), None)
                }
                // The length of the invalid frame still tells where the next frame begins.
                Err(error) => (lengths(rest), Some(error)),
            };
            let Some((key, len, size)) = decoded else {
                let all =
                    rest.iter().take(14).map(|byte| format!("{byte:02x} ")).collect::<String>();
                report.line(format_args!("{at:>8}  {}", all.trim_end()));
                let is_too_long = fault == Some(ProtocolError::LengthOutOfRange);
                self.feed(rest, fault, report);
                report.note(match is_too_long {
                    true => format_args!("no frame is that long: the rest cannot be read"),
                    false => format_args!("the capture ends inside this header"),
                });
                break;
            };
            let there =
                rest.len().min(usize::try_from(len).unwrap_or(usize::MAX).saturating_add(size));
            let mut payload = rest[size..there].to_vec();
            if let Some(key) = key {
                apply_mask(&mut payload, key);
            }
            self.show(at, rest, (key, len), &payload, report);
            self.feed(&rest[..there], fault, report);
            if payload.len() as u64 != len {
                let there = payload.len();
                report.note(format_args!(
                    "the capture ends inside this frame: {there} of {len} bytes"
                ));
            }
            at += there;
        }
        if let (Some((kind, _)), true) = (self.open, self.conn.is_some()) {
            let (name, frames) = (kind_name(kind), count(self.frames, "frame"));
            let bytes = count(self.bytes, "byte");
            report.note(format_args!("unfinished {name} message: {frames}, {bytes}"));
        }
    }

    /// Prints a frame's header and payload.
    fn show(
        &mut self,
        at: usize,
        frame: &[u8],
        (key, len): (Option<[u8; 4]>, u64),
        payload: &[u8],
        report: &mut Report,
    ) {
        let (first, opcode) = (frame[0], Opcode::from_first_byte(frame[0]));
        let name = match opcode {
            Some(Opcode::Continuation) => "continuation".into(),
            Some(Opcode::Text) => "text".into(),
            Some(Opcode::Binary) => "binary".into(),
            Some(Opcode::Close) => "close".into(),
            Some(Opcode::Ping) => "ping".into(),
            Some(Opcode::Pong) => "pong".into(),
            None => format!("opcode {:#x}", first & 0x0f),
        };
        let bits = [(0x80, "FIN"), (0x40, "RSV1"), (0x20, "RSV2"), (0x10, "RSV3")];
        let bits: Vec<&str> =
            bits.iter().filter(|(bit, _)| first & bit != 0).map(|(_, name)| *name).collect();
        let width = match frame[1] & 0x7f {
            126 => 16,
            127 => 64,
            _ => 7,
        };
        let key = key.map_or("no key".into(), |key| format!("key {:08x}", u32::from_be_bytes(key)));
        let bits = if bits.is_empty() { "-".to_string() } else { bits.join(" ") };
        report.line(format_args!(
            "{at:>8}  {name:<12}  {bits:<8}  {} in a {width}-bit length, {key}",
            count(len, "byte")
        ));
        match opcode {
            Some(Opcode::Text) => self.begin(MessageKind::Text, first),
            Some(Opcode::Binary) => self.begin(MessageKind::Binary, first),
            _ => {}
        }
        if first & 0x08 == 0 {
            self.frames += 1;
            self.wire_bytes += len;
        }
        let as_text = match (opcode, self.open) {
            (
                Some(Opcode::Text | Opcode::Binary | Opcode::Continuation),
                Some((kind, compressed)),
            ) => kind == MessageKind::Text && !compressed,
            _ => false,
        };
        match (opcode, payload) {
            (Some(Opcode::Close), [high, low, reason @ ..]) => {
                let code = named(u16::from_be_bytes([*high, *low]).into());
                let reason = match reason {
                    [] => String::new(),
                    _ => format!(", reason {}", self.cut(reason, reason.len() as u64, true)),
                };
                report.note(format_args!("{code}{reason}"));
            }
            (_, []) => {}
            _ => report.note(format_args!("{}", self.cut(payload, payload.len() as u64, as_text))),
        }
    }

    fn begin(&mut self, kind: MessageKind, first: u8) {
        self.open = Some((kind, first & 0x40 != 0));
        (self.frames, self.wire_bytes, self.bytes) = (0, 0, 0);
        self.shown.clear();
    }

    /// Passes a frame to the receiver and prints the result. `fault` is a violation in the header: it is printed if the
    /// receiver has closed or failed before this frame.
    fn feed(&mut self, frame: &[u8], fault: Option<ProtocolError>, report: &mut Report) {
        let Some(mut conn) = self.conn.take() else {
            if let Some(error) = fault {
                report.violation(&error, false);
            }
            return;
        };
        let mut copy = frame.to_vec();
        let mut input = &mut copy[..];
        while let Some(event) = conn.receive(&mut input) {
            match event {
                Event::Chunk(chunk) => self.collect(&chunk, report),
                Event::Closed(closed) => {
                    self.behind = Some(match closed.into_cause() {
                        CloseCause::Protocol(error) => {
                            report.violation(&error, true);
                            "the connection has failed: what follows is taken apart frame by frame, no more"
                        }
                        _ => "nothing behind a Close has a meaning (RFC 6455 5.5.1)",
                    });
                    return;
                }
                _ => {}
            }
        }
        // Drops the receiver's pongs.
        while conn.wants_write() {
            conn.advance(conn.outgoing().len());
        }
        self.conn = Some(conn);
    }

    /// Collects a piece of the open message, and prints the message at its end. A message in a single uncompressed
    /// frame was printed with the frame.
    fn collect(&mut self, chunk: &Chunk<'_>, report: &mut Report) {
        self.bytes += chunk.as_bytes().len() as u64;
        let room = (self.width + 1).saturating_sub(self.shown.len());
        self.shown.extend(chunk.as_bytes().iter().take(room));
        if !chunk.is_last() {
            return;
        }
        let compressed = self.open.take().is_some_and(|(_, compressed)| compressed);
        if compressed || self.frames > 1 {
            let kind = chunk.kind();
            let (name, frames) = (kind_name(kind), count(self.frames, "frame"));
            let bytes = count(self.bytes, "byte");
            let from = match compressed {
                true => format!(", inflated from {}", self.wire_bytes),
                false => String::new(),
            };
            report.note(format_args!("= {name} message: {frames}, {bytes}{from}"));
            let shown = self.cut(&self.shown, self.bytes, kind == MessageKind::Text);
            report.note(format_args!("  {shown}"));
        }
    }

    /// Formats the beginning of a payload of `total` bytes, as text or as hex.
    fn cut(&self, bytes: &[u8], total: u64, as_text: bool) -> String {
        let mut end = bytes.len().min(self.width);
        // Does not split a character.
        while as_text && end < bytes.len() && end > 0 && bytes[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        let mut text = match as_text {
            true => format!("\"{}\"", escaped(&bytes[..end])),
            false => {
                let hex: Vec<_> = bytes[..end].iter().map(|byte| format!("{byte:02x}")).collect();
                hex.join(" ")
            }
        };
        let hidden = total - end as u64;
        if hidden > 0 {
            write!(text, "… (+{hidden} bytes)").expect("a String takes all");
        }
        text
    }
}

/// The masking key, the payload length and the size of an invalid header. `None` if the header is incomplete or its
/// length is out of range.
fn lengths(bytes: &[u8]) -> Option<(Option<[u8; 4]>, u64, usize)> {
    let header = RawHeader::read(bytes).filter(|header| header.payload_len <= i64::MAX as u64)?;
    Some((header.mask, header.payload_len, header.size))
}

fn kind_name(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Text => "text",
        MessageKind::Binary => "binary",
    }
}
