//! Feeds the bytes of a peer to a connection: from a slice, or from a read buffer that holds unfinished messages. The
//! script handles the events.

use alloc::format;
use alloc::string::String;

use super::invariants::holds;
use crate::connection::Connection;
use crate::event::Event;
use crate::frame::MAX_HEADER_BYTES;
use crate::receive::ReadBuffer;
use crate::state::State;

/// Receives with [`Connection::receive`], or [`Connection::receive_from`] if there is a buffer.
#[derive(Debug)]
pub(super) struct Inbox(Option<ReadBuffer>);

impl Inbox {
    /// Creates an inbox with a read buffer of this many bytes, or without one.
    pub(super) fn new(capacity: Option<usize>) -> Inbox {
        Inbox(capacity.map(ReadBuffer::with_capacity))
    }

    /// Returns the next event, and removes the received bytes from the front of `input`. Returns `None` when all bytes
    /// are received. With a buffer, `receive_from` is also called before the first read, as a loop may do.
    pub(super) fn next(
        &mut self,
        conn: &mut Connection,
        input: &mut &mut [u8],
    ) -> Result<Option<Event<'static>>, String> {
        let Some(buffer) = &mut self.0 else {
            let before = input.len();
            let event = conn.receive(input);
            let left = input.len();
            holds(left <= before, || format!("the input grew from {before} bytes to {left}"))?;
            holds(event.is_some() || left == 0, || {
                format!("None, but {left} bytes are not received")
            })?;
            return Ok(event.map(Event::into_owned));
        };
        loop {
            if let Some(event) = conn.receive_from(buffer) {
                return Ok(Some(event.into_owned()));
            }
            // The buffer may hold the first bytes of a header.
            let waiting = buffer.unreceived().len();
            let most = if conn.state() == State::Closed { 0 } else { MAX_HEADER_BYTES - 1 };
            holds(waiting <= most, || format!("None, but {waiting} bytes are not received"))?;
            let spare = buffer.spare();
            holds(!spare.is_empty(), || "None, but there is no room to read more".into())?;
            if input.is_empty() {
                return Ok(None);
            }
            let n = spare.len().min(input.len());
            let (read, rest) = core::mem::take(input).split_at_mut(n);
            spare[..n].copy_from_slice(read);
            buffer.filled(n);
            *input = rest;
        }
    }
}
