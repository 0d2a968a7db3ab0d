//! The caller's clock as a number. Deadlines belong to [`crate::timer`].

use core::time::Duration;

/// The caller's monotonic clock: a duration since any moment that the caller chose, the same for all calls on a
/// connection. In a test it is just a number. [`saturating_since`](Timestamp::saturating_since) is the time between two
/// moments; adding a [`Duration`] saturates.
///
/// ```
/// # #[cfg(feature = "std")] {
/// use websocket_proto::Timestamp;
///
/// let epoch = std::time::Instant::now();
/// let now = Timestamp::new(epoch.elapsed());
/// # let _ = now; }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub(crate) Duration);

impl Timestamp {
    /// A moment, as the time since the caller's epoch.
    pub const fn new(since_epoch: Duration) -> Timestamp {
        Timestamp(since_epoch)
    }

    /// A moment in milliseconds since the caller's epoch.
    pub const fn from_millis(millis: u64) -> Timestamp {
        Timestamp(Duration::from_millis(millis))
    }

    /// The time since the caller's epoch.
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// How long to wait from `now` until this moment; zero if it has passed.
    pub const fn saturating_since(self, now: Timestamp) -> Duration {
        self.0.saturating_sub(now.0)
    }
}

impl core::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(duration))
    }
}

impl Timestamp {
    /// Milliseconds since the epoch, rounded up.
    pub(crate) fn rounded_up(self) -> Duration {
        let millis = self.0.subsec_nanos().div_ceil(1_000_000);
        Duration::from_secs(self.0.as_secs()).saturating_add(Duration::from_millis(millis.into()))
    }

    /// Milliseconds since the epoch, rounded up, modulo 2^64.
    pub(crate) fn wrapping_millis(self) -> u64 {
        let millis = self.0.subsec_nanos().div_ceil(1_000_000);
        // `Duration::as_millis` would calculate with 128 bits.
        self.0.as_secs().wrapping_mul(1000).wrapping_add(millis.into())
    }
}
