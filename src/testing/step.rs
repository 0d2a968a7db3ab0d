//! The steps of a script: each a call of a connection, or something that happens to it. What it means to take one is
//! the business of [`Script`](super::Script).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::frame::RawFrame;
use crate::close_code::CloseCode;
#[cfg(doc)]
use crate::connection::Connection;
use crate::message::{Message, MessageKind};

/// One call, or one thing that happens to a connection.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The peer's part of the opening handshake arrives: a request, or the 101 that fits the request.
    Handshake,
    /// These bytes arrive in one read.
    Receive(Vec<u8>),
    /// This frame of the peer arrives, in reads of at most this many bytes; 0 is taken for 1.
    Frame(RawFrame, usize),
    /// The transport ends in the direction from the peer.
    Eof,
    /// [`Connection::accept`].
    Accept,
    /// [`Connection::reject`] with this status.
    Reject(u16),
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
        /// The fragment.
        payload: Vec<u8>,
        /// It ends the message.
        last: bool,
    },
    /// [`Connection::send_through`], to a transport that takes this many bytes of it and no more.
    SendThrough {
        /// The message.
        message: Message<'static>,
        /// What the transport has room for.
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
    /// This many bytes are written, or all that are outgoing, if those are fewer.
    Write(usize),
    /// [`Connection::take_outgoing`]: the piece counts as written with the next [`Write`](Step::Write).
    Take,
    /// [`Connection::write_closed`]: no more is written.
    WriteClosed,
    /// This much time passes, then [`Connection::tick`].
    Tick(Duration),
    /// [`Connection::abort`].
    Abort,
    /// [`Connection::release_memory`].
    ReleaseMemory,
}

impl Step {
    /// Whether it is a call of an application, as [`Send`](Step::Send) and [`Close`](Step::Close) are. The others are
    /// what the peer, the transport and time do, and the loop. Where the application is under test and makes its own
    /// calls, a script is left with those: `script.steps.retain(|step| !step.is_call())`.
    pub fn is_call(&self) -> bool {
        match self {
            Step::Accept
            | Step::Reject(_)
            | Step::Respond(_)
            | Step::Send(_)
            | Step::SendPrepared(_)
            | Step::SendUncompressed(_)
            | Step::Fragment { .. }
            | Step::SendThrough { .. }
            | Step::Ping(_)
            | Step::Pong(_)
            | Step::Close(..)
            | Step::CloseWithoutCode => true,
            Step::Handshake
            | Step::Receive(_)
            | Step::Frame(..)
            | Step::Eof
            | Step::Write(_)
            | Step::Take
            | Step::WriteClosed
            | Step::Tick(_)
            | Step::Abort
            | Step::ReleaseMemory => false,
        }
    }
}

/// Kinds and lengths, as everywhere, no payloads.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Handshake => f.write_str("Handshake"),
            Step::Receive(bytes) => write!(f, "Receive({} bytes)", bytes.len()),
            Step::Frame(frame, most) => write!(f, "Frame({frame:?} in {most})"),
            Step::Eof => f.write_str("Eof"),
            Step::Accept => f.write_str("Accept"),
            Step::Reject(status) => write!(f, "Reject({status})"),
            Step::Respond(status) => write!(f, "Respond({status})"),
            Step::Send(message) => write!(f, "Send({message:?})"),
            Step::SendPrepared(message) => write!(f, "SendPrepared({message:?})"),
            Step::SendUncompressed(message) => write!(f, "SendUncompressed({message:?})"),
            Step::Fragment { kind, payload, last } => {
                let last = if *last { ", last" } else { "" };
                write!(f, "Fragment({kind:?}, {} bytes{last})", payload.len())
            }
            Step::SendThrough { message, room } => {
                write!(f, "SendThrough({message:?}, room for {room})")
            }
            Step::Ping(payload) => write!(f, "Ping({} bytes)", payload.len()),
            Step::Pong(payload) => write!(f, "Pong({} bytes)", payload.len()),
            Step::Close(code, reason) => write!(f, "Close({code}, {} bytes)", reason.len()),
            Step::CloseWithoutCode => f.write_str("CloseWithoutCode"),
            Step::Write(n) => write!(f, "Write({n})"),
            Step::Take => f.write_str("Take"),
            Step::WriteClosed => f.write_str("WriteClosed"),
            Step::Tick(passed) => write!(f, "Tick({passed:?})"),
            Step::Abort => f.write_str("Abort"),
            Step::ReleaseMemory => f.write_str("ReleaseMemory"),
        }
    }
}
