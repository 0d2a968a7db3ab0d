//! The steps of a script. [`Script`](super::Script) runs them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::frame::RawFrame;
use crate::close_code::CloseCode;
#[cfg(doc)]
use crate::connection::Connection;
use crate::frame::FrameHeader;
use crate::message::{Message, MessageKind};

/// One call of a connection, or one event of its peer, its transport or its clock.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The peer's part of the opening handshake arrives: a request, or the 101 that fits the request.
    Handshake,
    /// These bytes arrive in one read.
    Receive(Vec<u8>),
    /// This frame of the peer arrives, in reads of at most this many bytes; 0 means 1.
    Frame(RawFrame, usize),
    /// The transport ends in the direction from the peer: [`Connection::receive_eof`].
    Eof,
    /// [`Connection::accept`].
    Accept,
    /// [`Connection::respond`] with this status.
    Respond(u16),
    /// [`Connection::send`].
    Send(Message<'static>),
    /// [`Connection::send_prepared`].
    SendPrepared(Message<'static>),
    /// `Connection::send_uncompressed`; without the feature `deflate` it is [`Connection::send`].
    SendUncompressed(Message<'static>),
    /// [`Connection::send_fragment`].
    Fragment {
        /// Text or binary.
        kind: MessageKind,
        /// The payload of the fragment.
        payload: Vec<u8>,
        /// Whether it is the last fragment.
        last: bool,
    },
    /// [`Connection::begin_frame`].
    BeginFrame(FrameHeader),
    /// [`Connection::send_payload`].
    SendPayload(Vec<u8>),
    /// `Connection::send_uncompressed_fragment`; without the feature `deflate` it is [`Connection::send_fragment`].
    UncompressedFragment {
        /// Text or binary.
        kind: MessageKind,
        /// The payload of the fragment.
        payload: Vec<u8>,
        /// Whether it is the last fragment.
        last: bool,
    },
    /// [`Connection::send_through`], to a transport that accepts `room` bytes.
    SendThrough {
        /// The message.
        message: Message<'static>,
        /// How many bytes the transport accepts.
        room: usize,
    },
    /// [`Connection::ping`].
    Ping(Vec<u8>),
    /// [`Connection::pong`].
    Pong(Vec<u8>),
    /// [`Connection::close`].
    Close(CloseCode, String),
    /// [`Connection::close_without_code`].
    CloseWithoutCode,
    /// [`Connection::fail`].
    Fail(CloseCode, String),
    /// This many bytes are written, or all if fewer are outgoing.
    Write(usize),
    /// [`Connection::take_outgoing`]. A later [`Write`](Step::Write) writes the piece.
    Take,
    /// [`Connection::write_closed`]: nothing can be written any more.
    WriteClosed,
    /// This much time passes, then [`Connection::tick`].
    Tick(Duration),
    /// [`Connection::abort`].
    Abort,
    /// [`Connection::release_memory`].
    ReleaseMemory,
    /// From here on, [`Connection::is_event_ready`] is called before each [`Connection::receive_from`]. Without a read
    /// buffer nothing changes.
    AskFirst,
}

impl Step {
    /// Whether the step is a call of the application, like [`Send`](Step::Send) and [`Close`](Step::Close). All others
    /// are actions of the peer, the transport, the clock or the loop. If the application itself is under test, keep
    /// only those: `script.steps.retain(|step| !step.is_call())`.
    pub fn is_call(&self) -> bool {
        match self {
            Step::Accept
            | Step::Respond(_)
            | Step::Send(_)
            | Step::SendPrepared(_)
            | Step::SendUncompressed(_)
            | Step::Fragment { .. }
            | Step::BeginFrame(_)
            | Step::SendPayload(_)
            | Step::UncompressedFragment { .. }
            | Step::SendThrough { .. }
            | Step::Ping(_)
            | Step::Pong(_)
            | Step::Close(..)
            | Step::CloseWithoutCode
            | Step::Fail(..) => true,
            Step::Handshake
            | Step::Receive(_)
            | Step::Frame(..)
            | Step::Eof
            | Step::Write(_)
            | Step::Take
            | Step::WriteClosed
            | Step::Tick(_)
            | Step::Abort
            | Step::ReleaseMemory
            | Step::AskFirst => false,
        }
    }
}

/// Shows kinds and lengths, no payloads.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Handshake => f.write_str("Handshake"),
            Step::Receive(bytes) => write!(f, "Receive({} bytes)", bytes.len()),
            Step::Frame(frame, most) => write!(f, "Frame({frame:?} in {most})"),
            Step::Eof => f.write_str("Eof"),
            Step::Accept => f.write_str("Accept"),
            Step::Respond(status) => write!(f, "Respond({status})"),
            Step::Send(message) => write!(f, "Send({message:?})"),
            Step::SendPrepared(message) => write!(f, "SendPrepared({message:?})"),
            Step::SendUncompressed(message) => write!(f, "SendUncompressed({message:?})"),
            Step::Fragment { kind, payload, last } => {
                let last = if *last { ", last" } else { "" };
                write!(f, "Fragment({kind:?}, {} bytes{last})", payload.len())
            }
            Step::BeginFrame(header) => write!(f, "BeginFrame({header:?})"),
            Step::SendPayload(payload) => write!(f, "SendPayload({} bytes)", payload.len()),
            Step::UncompressedFragment { kind, payload, last } => {
                let last = if *last { ", last" } else { "" };
                write!(f, "UncompressedFragment({kind:?}, {} bytes{last})", payload.len())
            }
            Step::SendThrough { message, room } => {
                write!(f, "SendThrough({message:?}, room for {room})")
            }
            Step::Ping(payload) => write!(f, "Ping({} bytes)", payload.len()),
            Step::Pong(payload) => write!(f, "Pong({} bytes)", payload.len()),
            Step::Close(code, reason) => write!(f, "Close({code}, {} bytes)", reason.len()),
            Step::CloseWithoutCode => f.write_str("CloseWithoutCode"),
            Step::Fail(code, reason) => write!(f, "Fail({code}, {} bytes)", reason.len()),
            Step::Write(n) => write!(f, "Write({n})"),
            Step::Take => f.write_str("Take"),
            Step::WriteClosed => f.write_str("WriteClosed"),
            Step::Tick(passed) => write!(f, "Tick({passed:?})"),
            Step::Abort => f.write_str("Abort"),
            Step::ReleaseMemory => f.write_str("ReleaseMemory"),
            Step::AskFirst => f.write_str("AskFirst"),
        }
    }
}
