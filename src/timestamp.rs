//! Moments of the caller's clock. [`crate::timer`] computes the deadlines.

use core::time::Duration;

/// A moment of the caller's monotonic clock: the duration since an epoch. The caller chooses the epoch, and uses the
/// same one for all calls on a connection. A test can use any number. [`saturating_since`](Timestamp::saturating_since)
/// returns the time between two moments. Adding a [`Duration`] saturates. With the feature `std`, `Clock` makes the
/// moments.
///
/// ```
/// use core::time::Duration;
/// use websocket_proto::Timestamp;
///
/// // A board that counts milliseconds since its start.
/// let now = Timestamp::from_millis(1500);
/// let wake = now + Duration::from_secs(1);
/// assert_eq!(wake.saturating_since(now), Duration::from_secs(1));
/// assert_eq!(now.saturating_since(wake), Duration::ZERO);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub(crate) Duration);

impl Timestamp {
    /// Makes a moment from the time since the caller's epoch.
    #[must_use]
    pub const fn new(since_epoch: Duration) -> Timestamp {
        Timestamp(since_epoch)
    }

    /// Makes a moment from the milliseconds since the caller's epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Timestamp {
        Timestamp(Duration::from_millis(millis))
    }

    /// Returns the time since the caller's epoch.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        self.0
    }

    /// Returns the time to wait from `now` until this moment; zero if it has passed.
    #[must_use]
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
    /// The time since the epoch, rounded up to milliseconds.
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
