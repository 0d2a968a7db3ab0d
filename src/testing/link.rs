//! A simulated transport: two wires and the clock that both ends share. It knows nothing about WebSocket. The loops of
//! this module and of the user run on it.

use core::time::Duration;

use super::wire::{Arrival, Wire, WriteFailed};
use crate::state::Role;
use crate::timestamp::Timestamp;

/// Two [wires](Wire) and a virtual clock: the transport between a client and a server.
///
/// It joins the two ends of a [`Pair`](super::Pair). It can also join your own loop with an
/// [`Endpoint`](super::Endpoint).
#[derive(Debug)]
pub struct Link {
    now: Timestamp,
    /// The client's wire, then the server's wire; each named after its writer.
    wires: [Wire; 2],
}

impl Link {
    /// Creates a perfect transport at time 0. The seed decides the random behaviour that is set on its wires later.
    pub fn new(seed: u64) -> Link {
        Link {
            now: Timestamp::default(),
            wires: [Wire::new(seed), Wire::new(seed ^ 0x5eed_0000_0000_0000)],
        }
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Advances the clock, and does nothing else.
    pub fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }

    /// The wire that `writer` writes and the other end reads.
    pub fn wire(&mut self, writer: Role) -> &mut Wire {
        &mut self.wires[writer as usize]
    }

    /// All bytes that `writer` has ever written.
    pub fn transcript(&self, writer: Role) -> &[u8] {
        self.wires[writer as usize].written()
    }

    /// One end, to read and write at the present time.
    pub fn end(&mut self, role: Role) -> LinkEnd<'_> {
        LinkEnd { link: self, role }
    }

    /// The next time at which bytes or an end arrive at either end. Bytes that have already arrived do not count.
    pub fn next_arrival(&self) -> Option<Timestamp> {
        let arrivals = self.wires.iter().filter_map(Wire::next_arrival);
        arrivals.filter(|arrival| *arrival > self.now).min()
    }
}

/// One end of a [`Link`], which reads and writes without blocking. With the feature `std` it implements `io::Read` and
/// `io::Write` too.
#[derive(Debug)]
pub struct LinkEnd<'l> {
    link: &'l mut Link,
    role: Role,
}

impl LinkEnd<'_> {
    /// Writes, and returns how many of the bytes were accepted; see [`Wire::write`].
    ///
    /// # Errors
    ///
    /// If writes fail at this offset because of [`Wire::fail_writes`].
    pub fn try_write(&mut self, bytes: &[u8]) -> Result<usize, WriteFailed> {
        let now = self.link.now;
        self.link.wire(self.role).write(now, bytes)
    }

    /// Reads one piece of what has arrived; see [`Wire::read`].
    pub fn try_read(&mut self, buf: &mut [u8]) -> Arrival {
        let now = self.link.now;
        self.link.wire(self.role.peer()).read(now, buf)
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        self.link.now
    }

    /// Whether the write side was shut down.
    pub fn is_shut_down(&self) -> bool {
        self.link.wires[self.role as usize].is_closed()
    }

    /// Shuts down the write side.
    pub fn shut_down(&mut self) {
        let now = self.link.now;
        self.link.wire(self.role).close(now);
    }

    /// Drops this end: shuts down the write side, and discards all bytes to this end.
    pub fn drop_transport(&mut self) {
        self.shut_down();
        self.link.wire(self.role.peer()).discard();
    }
}

#[cfg(feature = "std")]
impl std::io::Read for LinkEnd<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self.try_read(buf) {
            Arrival::Nothing => Err(std::io::ErrorKind::WouldBlock.into()),
            Arrival::Bytes(n) => Ok(n),
            Arrival::Eof => Ok(0),
            Arrival::Broken => Err(std::io::ErrorKind::ConnectionReset.into()),
        }
    }
}

#[cfg(feature = "std")]
impl std::io::Write for LinkEnd<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.try_write(bytes) {
            Ok(0) if !bytes.is_empty() => Err(std::io::ErrorKind::WouldBlock.into()),
            Ok(n) => Ok(n),
            Err(error) => Err(std::io::Error::new(std::io::ErrorKind::BrokenPipe, error)),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Role {
    /// The role of the other end.
    pub(super) fn peer(self) -> Role {
        match self {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        }
    }
}
