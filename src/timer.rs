//! Time as the machine sees it: the caller's clock as a number, and the arithmetic of deadlines. What a deadline
//! means is decided by the connection.

use core::time::Duration;

/// The caller's monotonic clock: a duration since any moment that the caller chose, the same for all calls on a
/// connection. In a test it is just a number.
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
pub struct Timestamp(Duration);

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

/// What the timers run for. Each has one timer, which starts when the time is told for the first time in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// The time was never told.
    Unknown,
    /// The opening handshake.
    Handshake,
    /// The open connection, since the peer was last heard.
    Silence,
    /// The closing handshake, up to the peer's Close.
    Closing,
    /// The time for which the transport outlives the connection.
    Linger,
}

/// One running timer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timer {
    /// Milliseconds, rounded up, modulo 2^64.
    since: u64,
    /// The interval of the silence in which the last ping was due.
    pinged: u32,
    span: Span,
    /// The peer was heard since the time was last told.
    pub(crate) heard: bool,
}

const _: () = assert!(size_of::<Timer>() == 16);

impl Timer {
    pub(crate) const fn new() -> Timer {
        Timer { since: 0, pinged: 0, span: Span::Unknown, heard: false }
    }

    /// Notes the time: it begins a new span, or a new silence, if there is one.
    pub(crate) fn observe(&mut self, now: Timestamp, span: Span) {
        let heard = core::mem::take(&mut self.heard);
        if self.span != span || (span == Span::Silence && heard) {
            *self = Timer { since: millis(now) as u64, pinged: 0, span, heard: false };
        }
    }

    /// Milliseconds since the span began; 0 for a clock that went back before it.
    fn elapsed(&self, now: Timestamp) -> u64 {
        let elapsed = (millis(now) as u64).wrapping_sub(self.since) as i64;
        elapsed.max(0) as u64
    }

    /// The moment `after` the start of the span: never earlier, and less than a millisecond later.
    pub(crate) fn deadline(&self, now: Timestamp, after: Duration) -> Timestamp {
        let elapsed = (millis(now) as u64).wrapping_sub(self.since) as i64;
        let start = millis(now).saturating_add_signed(-i128::from(elapsed));
        let whole = u64::try_from(start / 1000).map_or(Duration::MAX, Duration::from_secs);
        let start = whole.saturating_add(Duration::from_millis((start % 1000) as u64));
        Timestamp(start.saturating_add(after))
    }

    /// Whether a ping is due, one in each `interval` of the silence, rounded up to a millisecond, and when the next is.
    /// After a late call one is enough for all that were missed.
    pub(crate) fn ping_due(&mut self, now: Timestamp, interval: Duration) -> (bool, Timestamp) {
        let interval = u64::try_from(interval.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let interval = interval.max(1);
        let passed = self.elapsed(now) / interval;
        let due = passed > u64::from(self.pinged);
        match u32::try_from(passed) {
            Ok(passed) => self.pinged = passed,
            // The clock has jumped farther than intervals are counted: they are counted anew.
            Err(_) => {
                self.since = millis(now) as u64;
                self.pinged = 0;
            }
        }
        let next = interval.saturating_mul(u64::from(self.pinged) + 1);
        (due, self.deadline(now, Duration::from_millis(next)))
    }
}

/// Milliseconds, rounded up.
fn millis(now: Timestamp) -> u128 {
    now.0.as_nanos().div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_is_not_early_and_survives_the_wrap() {
        for start in [0u64, 5, u64::from(u32::MAX) - 3, 1 << 40] {
            let mut timer = Timer::new();
            let begin = Timestamp(Duration::from_micros(start * 1000 + 700));
            timer.observe(begin, Span::Silence);
            for later in [0u64, 1, 10, 5000] {
                let now = begin + Duration::from_millis(later);
                let deadline = timer.deadline(now, Duration::from_millis(10));
                assert!(deadline >= begin + Duration::from_millis(10), "{start} {later}");
                assert!(deadline <= begin + Duration::from_millis(11), "{start} {later}");
            }
        }
    }

    #[test]
    fn a_new_span_and_a_sign_of_life_restart_it() {
        let ms = Timestamp::from_millis;
        let mut timer = Timer::new();
        timer.observe(ms(10), Span::Silence);
        timer.observe(ms(20), Span::Silence);
        assert_eq!(timer.deadline(ms(20), Duration::ZERO), ms(10));
        timer.heard = true;
        timer.observe(ms(30), Span::Silence);
        assert_eq!(timer.deadline(ms(30), Duration::ZERO), ms(30));
        timer.observe(ms(40), Span::Closing);
        timer.heard = true;
        timer.observe(ms(50), Span::Closing);
        assert_eq!(timer.deadline(ms(50), Duration::ZERO), ms(40));
    }
}
