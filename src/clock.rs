//! A clock for callers that have the standard library. Only the caller reads it: the state machine gets the time as an
//! argument.

use core::time::Duration;
use std::time::Instant;

use crate::timestamp::Timestamp;

/// [`Clock::instant`] returns no later moment than this after the clock was made: about 30 years. Each platform's
/// [`Instant`] has room for it.
const LATEST: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
/// The shortest result of [`Clock::until`].
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The operating system's monotonic clock, as a source of [`Timestamp`]s. Its epoch is the moment when it was made.
///
/// It is there for the caller's convenience. A connection never reads a clock: it knows only the time that is passed to
/// [`tick`](crate::Connection::tick). All connections of a program can share one clock; copies have the same epoch.
///
/// ```
/// # use std::net::TcpStream;
/// use websocket_proto::{Clock, Config, Connection};
///
/// # fn wait(stream: &TcpStream) -> std::io::Result<()> {
/// let clock = Clock::new();
/// let mut conn = Connection::server(Config::default());
/// let wake = conn.tick(clock.now());
/// stream.set_read_timeout(wake.map(|wake| clock.until(wake)))?; // a loop that blocks in a read
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// Makes a clock whose epoch is now.
    #[must_use]
    pub fn new() -> Clock {
        Clock { epoch: Instant::now() }
    }

    /// Reads the clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.timestamp(Instant::now())
    }

    /// Converts an [`Instant`], such as one that was read for other purposes. An instant before the epoch becomes the
    /// epoch.
    #[must_use]
    pub fn timestamp(&self, instant: Instant) -> Timestamp {
        Timestamp::new(instant.saturating_duration_since(self.epoch))
    }

    /// Converts into an [`Instant`], for timers such as tokio's `sleep_until`. A moment more than 30 years after the
    /// epoch is moved to that time.
    #[must_use]
    pub fn instant(&self, moment: Timestamp) -> Instant {
        self.epoch + moment.since_epoch().min(LATEST)
    }

    /// Returns the time to wait from now until `moment`, for calls such as
    /// [`set_read_timeout`](std::net::TcpStream::set_read_timeout) and
    /// [`recv_timeout`](std::sync::mpsc::Receiver::recv_timeout). It is at least one millisecond, also if the moment
    /// has passed: `set_read_timeout` refuses a time of zero, and shorter times may be rounded to it.
    #[must_use]
    pub fn until(&self, moment: Timestamp) -> Duration {
        moment.saturating_since(self.now()).max(SHORTEST_WAIT)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}
