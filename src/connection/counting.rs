//! Counts what is received, for a connection that was asked to. The queue counts what is sent, and stores the counts.

use super::Connection;
#[cfg(doc)]
use crate::config::Config;
use crate::counters::{Counters, Traffic};
use crate::event::Event;
use crate::frame::Header;
use crate::receive::{Raw, Received, Terms};

/// # Count
impl Connection {
    /// Returns how many messages, frames and bytes were sent and received. `None` if [`Config::count_traffic`] is
    /// `false`. [`Traffic`] defines what each number counts.
    ///
    /// ```
    /// use websocket_proto::{Config, Connection, Role};
    ///
    /// let config = Config::builder().count_traffic(true).build()?;
    /// let mut conn = Connection::from_upgrade(Role::Client, config)?;
    /// let mut bytes = *b"\x81\x05Hello";
    /// let _ = conn.receive(&mut &mut bytes[..]);
    /// let counters = conn.counters().expect("they were asked for");
    /// assert_eq!((counters.received.messages, counters.received.wire_bytes), (1, 7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    #[doc(alias("metrics", "statistics", "stats"))]
    pub fn counters(&self) -> Option<Counters> {
        self.send.counters().copied()
    }

    /// Receives frames, and counts them.
    #[cold]
    #[inline(never)]
    pub(super) fn receive_counted<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        let terms = Terms { role: self.send.role(), config: &self.config };
        let (available, left) = (input.len(), self.recv.payload_left());
        let mut has_message = self.recv.is_in_message();
        let mut seen = Traffic::default();
        let mut declared = left;
        let note = |header: &Header| {
            seen.frames += 1;
            if !header.first.is_control() {
                declared += header.len;
                has_message = true;
            }
        };
        let result = self.recv.receive_delivered(input, terms, &mut self.codec, note);
        seen.wire_bytes = (available - input.len()) as u64;
        if let Ok(received) = &result {
            seen.payload_bytes = declared - self.recv.payload_left();
            seen.messages = u64::from(has_message && !self.recv.is_in_message());
            match received {
                None | Some(Raw::Header(_) | Raw::Other(Received::Close(..))) => {}
                Some(Raw::Payload(payload)) => seen.message_bytes = payload.as_bytes().len() as u64,
                Some(Raw::Other(Received::Message(message))) => {
                    seen.message_bytes = message.len() as u64;
                }
                Some(Raw::Other(Received::Chunk(chunk))) => {
                    seen.message_bytes = chunk.as_bytes().len() as u64;
                }
                Some(Raw::Other(Received::Ping(_))) => seen.pings = 1,
                Some(Raw::Other(Received::Pong(_))) => seen.pongs = 1,
            }
        }
        if let Some(counters) = self.send.counters_mut() {
            counters.received += seen;
        }
        self.react_to_raw(result)
    }
}
