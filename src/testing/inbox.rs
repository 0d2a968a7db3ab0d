//! Feeds the bytes of a peer to a connection: from a slice, or from a read buffer that holds unfinished messages. The
//! script handles the events.

use alloc::format;
use alloc::string::String;

use super::invariants::{Checked, Shown, holds};
use crate::connection::Connection;
use crate::event::Event;
use crate::frame::MAX_HEADER_BYTES;
use crate::receive::ReadBuffer;
use crate::state::State;

/// Receives with [`Connection::receive`], or [`Connection::receive_from`] if there is a buffer.
#[derive(Debug)]
pub(super) struct Inbox {
    buffer: Option<ReadBuffer>,
    /// Whether [`Connection::is_event_ready`] is called before each `receive_from`.
    asks: bool,
}

impl Inbox {
    /// Creates an inbox with a read buffer of this many bytes, or without one.
    pub(super) fn new(capacity: Option<usize>) -> Inbox {
        Inbox { buffer: capacity.map(ReadBuffer::with_capacity), asks: false }
    }

    /// From now on, [`Connection::is_event_ready`] is called before each `receive_from`.
    pub(super) fn ask_first(&mut self) {
        self.asks = true;
    }

    /// Returns the next event, and removes the received bytes from the front of `input`. Returns `None` when all bytes
    /// are received. With a buffer, `receive_from` is also called before the first read, as a loop may do.
    pub(super) fn next(
        &mut self,
        conn: &mut Connection,
        input: &mut &mut [u8],
    ) -> Result<Option<Event<'static>>, String> {
        let Some(buffer) = &mut self.buffer else {
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
            let event = match self.asks {
                true => ask_and_receive(conn, buffer)?,
                false => conn.receive_from(buffer).map(Event::into_owned),
            };
            if event.is_some() {
                return Ok(event);
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

/// Receives after [`Connection::is_event_ready`], and checks what that promises.
fn ask_and_receive(
    conn: &mut Connection,
    buffer: &mut ReadBuffer,
) -> Result<Option<Event<'static>>, String> {
    let is_ready = conn.is_event_ready(buffer);
    let before = Shown::of(conn, buffer);
    let unchanged = |conn: &Connection, buffer: &ReadBuffer, call: &str| -> Checked {
        let after = Shown::of(conn, buffer);
        holds(after == before, || format!("{call} has changed {before:?} to {after:?}"))
    };
    let again = conn.is_event_ready(buffer);
    holds(again == is_ready, || format!("is_event_ready is {is_ready}, and then {again}"))?;
    unchanged(conn, buffer, "a second is_event_ready")?;
    let event = conn.receive_from(buffer).map(Event::into_owned);
    holds(event.is_some() == is_ready, || {
        format!("is_event_ready is {is_ready}, but receive_from returns {event:?}")
    })?;
    if event.is_none() {
        unchanged(conn, buffer, "receive_from after is_event_ready was false")?;
    }
    Ok(event)
}
