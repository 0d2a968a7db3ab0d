//! A handle of a transport, with the timeouts that were set on it. Its calls return when there is something, when there
//! is an error, or when their time has passed.

use core::time::Duration;
use std::io::{self, ErrorKind, IoSlice};

use super::transport::Transport;

/// The longest time that one write waits, and that a read waits while something could not be written. After this time a
/// thread begins no further write before it has read or looked at the time. So one thread serves both directions when
/// both are slow.
pub(super) const SHORT_WAIT: Duration = Duration::from_millis(50);

/// The most pieces of one vectored write.
pub(super) const MAX_SLICES: usize = 64;

/// A handle of a transport, with its timeouts.
#[derive(Debug)]
pub(super) struct Line<T> {
    pub(super) transport: T,
    /// The timeout of reads; `None` if it must be set before the next read.
    read_timeout: Option<Option<Duration>>,
    has_write_timeout: bool,
}

impl<T> Line<T> {
    pub(super) fn new(transport: T) -> Line<T> {
        Line { transport, read_timeout: None, has_write_timeout: false }
    }
}

impl<T: Transport> Line<T> {
    /// Reads once, and waits at most this time, or a little less. `None` if nothing came.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        wait: Option<Duration>,
    ) -> io::Result<Option<usize>> {
        // A timeout that passes too early costs less than one that is set anew before each read.
        let is_short_enough = match (self.read_timeout, wait) {
            (None, _) => false,
            (Some(timeout), Some(wait)) => timeout.is_some_and(|timeout| timeout <= wait),
            (Some(_), None) => true,
        };
        if !is_short_enough {
            let _ = self.transport.set_read_timeout(wait);
            self.read_timeout = Some(wait);
        }
        match self.transport.read(buffer) {
            Ok(n) if n > buffer.len() => Err(miscounted()),
            Ok(n) => Ok(Some(n)),
            Err(error) if has_timed_out(&error) => {
                self.read_timeout = None;
                Ok(None)
            }
            // The caller looks at the time, since signals may come often.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes once, and waits at most [`SHORT_WAIT`]. `None` if nothing was written.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        self.limit_writes();
        match self.transport.write_vectored(slices) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(n) if n > slices.iter().map(|slice| slice.len()).sum() => Err(miscounted()),
            Ok(n) => Ok(Some(n)),
            Err(error) if is_no_failure(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets the transport pass on what it has taken. Returns whether it has.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match self.transport.flush() {
            Ok(()) => Ok(true),
            Err(error) if is_no_failure(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Shuts the write side down. Returns whether this is done.
    pub(super) fn shut_down(&mut self) -> bool {
        self.limit_writes();
        match self.transport.shutdown_write() {
            Err(error) if is_no_failure(&error) => false,
            // It fails if the peer has gone.
            _ => true,
        }
    }

    /// Takes the transport out, without timeouts.
    pub(super) fn into_transport(mut self) -> T {
        let _ = self.transport.set_read_timeout(None);
        let _ = self.transport.set_write_timeout(None);
        self.transport
    }

    fn limit_writes(&mut self) {
        if !self.has_write_timeout {
            let _ = self.transport.set_write_timeout(Some(SHORT_WAIT));
            self.has_write_timeout = true;
        }
    }
}

/// The error of a transport that reports more bytes than it was given.
fn miscounted() -> io::Error {
    io::Error::other("the transport reports more bytes than there are")
}

fn has_timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Whether the same call may succeed later.
fn is_no_failure(error: &io::Error) -> bool {
    has_timed_out(error) || error.kind() == ErrorKind::Interrupted
}
