//! Time as the machine sees it: the caller's clock as a number, and the arithmetic of deadlines. What a deadline
//! means is decided by the connection.

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

/// What the timer measures. Each span has its own time, which starts when the connection is first told the time in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// Nothing: the time was never told, or the connection is finished.
    None,
    /// The opening handshake.
    Handshake,
    /// The open connection, since the peer gave the last sign of life.
    Silence,
    /// The open connection while it is congested, since the transport last took bytes of the backlog.
    Congestion,
    /// Our last bytes (a Close frame, an HTTP response) wait in the queue: since the transport last took bytes of the
    /// backlog.
    Flush,
    /// The closing handshake, from our Close on the wire to the peer's.
    Closing,
    /// The time for which the transport outlives the connection.
    Linger,
}

/// When something that runs out does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// It has no limit.
    None,
    /// Not yet: the caller must tell the time at this moment at the latest.
    At(Timestamp),
    /// It has run out.
    Passed,
}

/// One running timer, and the signs of life since the time was last told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timer {
    /// Milliseconds, rounded up, modulo 2^64: when the span, or its last sign of life, began. Once `LATE` is set: when
    /// the deadline was first seen to have passed.
    since: u64,
    /// The number of the keepalive interval in which the last ping was due. Once `LATE` is set: the milliseconds from
    /// `since` to the last tick before which something was received.
    mark: u32,
    span: Span,
    /// The bits below.
    signs: u8,
    /// When the outgoing queue was last used.
    pub(crate) queue_used: LastUse,
}

/// Bytes were received since the time was last told.
const HEARD: u8 = 1;
/// The transport took bytes since the time was last told, not of pings and pongs alone.
const TAKEN: u8 = 1 << 1;
/// The transport was offered bytes since the time was last told, and left some.
const LEFT: u8 = 1 << 2;
/// After that it took more, and still has not taken all.
const MORE: u8 = 1 << 3;
/// There is a backlog: bytes that the transport had left were still there when the time was last told.
const BACKLOG: u8 = 1 << 4;
/// The transport took bytes of a backlog since the time was last told.
const PROGRESS: u8 = BACKLOG << 1;
/// A tick has seen that the deadline has passed.
const LATE: u8 = 1 << 6;

/// After a deadline, the time until the tick that ends something: the caller reads in between.
const GRACE: Duration = Duration::from_millis(1);

const _: () = assert!(size_of::<Timer>() == 16);

impl Timer {
    pub(crate) const fn new() -> Timer {
        Timer { since: 0, mark: 0, span: Span::None, signs: 0, queue_used: LastUse(0) }
    }

    /// Bytes were received.
    #[inline]
    pub(crate) fn note_received(&mut self) {
        self.signs |= HEARD;
    }

    /// Whether bytes were received since the time was last told.
    pub(crate) fn has_received(&self) -> bool {
        self.signs & HEARD != 0
    }

    /// The transport has taken all bytes that were queued. What it takes at once, be it in several writes, is no sign
    /// of life: a kernel also takes bytes for a peer that is gone.
    #[inline]
    pub(crate) fn note_emptied(&mut self) {
        let progress = (self.signs & BACKLOG) << 1;
        self.signs = self.signs & !(LEFT | MORE | BACKLOG) | TAKEN | progress;
    }

    /// The transport has taken bytes, and left some. `taken`: not of pings and pongs alone.
    pub(crate) fn note_written(&mut self, taken: bool) {
        if self.signs & LEFT != 0 {
            self.signs |= MORE;
        }
        self.signs |= LEFT | (self.signs & BACKLOG) << 1 | if taken { TAKEN } else { 0 };
    }

    /// Tells the time in `span`, which lasts for `limit`.
    ///
    /// The first call at or past the deadline only notes that it is late, since a process that was stopped has bytes
    /// to read. A later call finds that the time has passed, unless something was received in between; then it asks
    /// to be called once more, for as long as `limit` at the most.
    pub(crate) fn observe(
        &mut self,
        now: Timestamp,
        span: Span,
        limit: Option<Duration>,
    ) -> Deadline {
        // What is taken in several writes, with some left even now, is taken from a backlog.
        if self.signs & MORE != 0 {
            self.signs |= PROGRESS;
        }
        if self.signs & LEFT != 0 {
            self.signs |= BACKLOG;
        }
        let restarts = match span {
            Span::Silence => HEARD | PROGRESS,
            // The queue is known to be a backlog. A peer that makes us answer its pings does not defer the end.
            Span::Congestion | Span::Flush => TAKEN,
            Span::None | Span::Handshake | Span::Closing | Span::Linger => 0,
        };
        if self.span != span || self.signs & restarts != 0 {
            self.since = millis(now);
            self.mark = 0;
            self.span = span;
            self.signs &= BACKLOG;
        }
        let Some(limit) = limit else {
            self.signs &= BACKLOG;
            return Deadline::None;
        };
        self.signs &= HEARD | BACKLOG | LATE;
        if self.signs & LATE == 0 {
            self.signs &= BACKLOG;
            let deadline = self.deadline(now, limit);
            if now < deadline {
                return Deadline::At(deadline);
            }
            self.signs |= LATE;
            self.since = millis(now);
            self.mark = 0;
            return Deadline::At(self.deadline(now, GRACE));
        }
        let elapsed = self.elapsed(now);
        if elapsed > u64::from(self.mark) {
            let is_within = u128::from(elapsed) < limit.as_millis();
            match u32::try_from(elapsed) {
                Ok(elapsed) if is_within && self.has_received() => self.mark = elapsed,
                _ => return Deadline::Passed,
            }
            self.signs &= !HEARD;
        }
        Deadline::At(self.deadline(now, Duration::from_millis(u64::from(self.mark)) + GRACE))
    }

    /// Whether a tick has seen that the deadline has passed.
    pub(crate) fn is_late(&self) -> bool {
        self.signs & LATE != 0
    }

    /// Milliseconds since the span began; 0 for a clock that went back before it.
    fn elapsed(&self, now: Timestamp) -> u64 {
        let elapsed = millis(now).wrapping_sub(self.since) as i64;
        elapsed.max(0) as u64
    }

    /// `since + after`, rounded up by less than a millisecond.
    fn deadline(&self, now: Timestamp, after: Duration) -> Timestamp {
        let elapsed = millis(now).wrapping_sub(self.since) as i64;
        let away = Duration::from_millis(elapsed.unsigned_abs());
        let rounded = rounded_up(now);
        let start = match elapsed {
            0.. => rounded.saturating_sub(away),
            _ => rounded.saturating_add(away),
        };
        Timestamp(start.saturating_add(after))
    }

    /// Whether a ping is due, one in each `interval` of the silence, rounded up to a millisecond, and when the next is.
    /// After a late call one is enough for all that were missed.
    pub(crate) fn ping_due(&mut self, now: Timestamp, interval: Duration) -> (bool, Timestamp) {
        debug_assert!(!self.is_late(), "the mark counts intervals");
        let rest = u64::from(interval.subsec_nanos().div_ceil(1_000_000));
        let interval = interval.as_secs().saturating_mul(1000).saturating_add(rest).max(1);
        let passed = self.elapsed(now) / interval;
        let due = passed > u64::from(self.mark);
        match u32::try_from(passed) {
            Ok(passed) => self.mark = passed,
            // The clock has jumped farther than intervals are counted: they are counted anew.
            Err(_) => {
                self.since = millis(now);
                self.mark = 0;
            }
        }
        let next = interval.saturating_mul(u64::from(self.mark) + 1);
        (due, self.deadline(now, Duration::from_millis(next)))
    }
}

/// The time, rounded up to milliseconds.
fn rounded_up(now: Timestamp) -> Duration {
    let millis = now.0.subsec_nanos().div_ceil(1_000_000);
    Duration::from_secs(now.0.as_secs()).saturating_add(Duration::from_millis(millis.into()))
}

/// Milliseconds, rounded up, modulo 2^64.
fn millis(now: Timestamp) -> u64 {
    let millis = now.0.subsec_nanos().div_ceil(1_000_000);
    // Without the 128 bits of `Duration::as_millis`.
    now.0.as_secs().wrapping_mul(1000).wrapping_add(millis.into())
}

/// When memory was last used, in eighths of a second modulo 2^16, as ticks tell the time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LastUse(u16);

const EIGHTH_NANOS: u32 = 125_000_000;
/// The longest time after which unused memory is freed, in seconds.
const MOST_SECONDS: u64 = 3600;

const _: () = assert!(MOST_SECONDS * 8 < i16::MAX as u64);

/// Eighths of a second, rounded up, and no more than an hour of them.
fn in_eighths(after: Duration) -> i32 {
    let after = after.min(Duration::from_secs(MOST_SECONDS));
    (after.as_secs() * 8) as i32 + after.subsec_nanos().div_ceil(EIGHTH_NANOS) as i32
}

impl LastUse {
    /// Tells the time, and whether the memory was `used` since the last call. Returns when it is to be freed; `None`:
    /// now. That is when it was not used for `after`, rounded up to an eighth of a second, and at most an hour.
    pub(crate) fn observe(
        &mut self,
        now: Timestamp,
        after: Duration,
        used: bool,
    ) -> Option<Timestamp> {
        let (whole, rest) =
            (now.0.subsec_nanos() / EIGHTH_NANOS, now.0.subsec_nanos() % EIGHTH_NANOS);
        let eighths = now.0.as_secs().wrapping_mul(8).wrapping_add(whole.into()) as u16;
        if used {
            self.0 = eighths.wrapping_add(u16::from(rest > 0));
        }
        let mut elapsed = eighths.wrapping_sub(self.0) as i16;
        // The clock has gone back, or the time was not told for so long that the number has gone around: the time is
        // measured anew. The moment of use is rounded up, so that -1 is none of these.
        if elapsed < -1 {
            self.0 = eighths;
            elapsed = 0;
        }
        let left = in_eighths(after) - i32::from(elapsed);
        match u64::try_from(left) {
            Ok(left @ 1..) => {
                let begun = now.0 - Duration::from_nanos(rest.into());
                Some(Timestamp(begun.saturating_add(Duration::from_millis(left * 125))))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPANS: [Span; 6] = [
        Span::Handshake,
        Span::Silence,
        Span::Congestion,
        Span::Flush,
        Span::Closing,
        Span::Linger,
    ];

    fn ms(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn limit(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    fn at(millis: u64) -> Deadline {
        Deadline::At(ms(millis))
    }

    #[test]
    fn deadline_is_not_early_and_survives_the_wrap() {
        for start in [0u64, 5, u64::from(u32::MAX) - 3, 1 << 40] {
            let mut timer = Timer::new();
            let begin = Timestamp(Duration::from_micros(start * 1000 + 700));
            timer.observe(begin, Span::Silence, None);
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
        type Sign = fn(&mut Timer);
        // What restarts silence; what restarts the spans of a queue that is known to be a backlog.
        let signs: [(&str, Sign, bool, bool); 8] = [
            ("nothing", |_| {}, false, false),
            ("bytes received", Timer::note_received, true, false),
            ("all taken at once", Timer::note_emptied, false, true),
            ("the first taken of many", |timer| timer.note_written(true), false, true),
            ("pings taken", |timer| timer.note_written(false), false, false),
            (
                "all taken at once in two writes",
                |timer| {
                    timer.note_written(true);
                    timer.note_emptied();
                },
                false,
                true,
            ),
            (
                "two writes, and some left",
                |timer| {
                    timer.note_written(true);
                    timer.note_written(true);
                },
                true,
                true,
            ),
            (
                "what was left is taken after it was seen",
                |timer| {
                    timer.note_written(false);
                    timer.observe(ms(15), timer.span, limit(100));
                    timer.note_emptied();
                },
                true,
                true,
            ),
        ];
        for span in SPANS {
            for (name, sign, restarts_silence, restarts_backlog) in signs {
                let mut timer = Timer::new();
                assert_eq!(timer.observe(ms(10), span, limit(100)), at(110));
                sign(&mut timer);
                let is_restarted = match span {
                    Span::Silence => restarts_silence,
                    Span::Congestion | Span::Flush => restarts_backlog,
                    Span::None | Span::Handshake | Span::Closing | Span::Linger => false,
                };
                let deadline = if is_restarted { 130 } else { 110 };
                assert_eq!(
                    timer.observe(ms(30), span, limit(100)),
                    at(deadline),
                    "{span:?} {name}"
                );
                // A sign counts once.
                assert_eq!(
                    timer.observe(ms(40), span, limit(100)),
                    at(deadline),
                    "{span:?} {name}"
                );
                for other in SPANS.into_iter().filter(|other| *other != span) {
                    let mut timer = timer;
                    assert_eq!(timer.observe(ms(70), other, limit(100)), at(170), "{other:?}");
                }
            }
        }
    }

    #[test]
    fn a_backlog_lasts_until_all_is_taken() {
        let mut timer = Timer::new();
        timer.observe(ms(0), Span::Silence, limit(100));
        timer.note_written(true);
        for now in [10, 20, 30] {
            timer.observe(ms(now), Span::Silence, limit(100));
        }
        for now in [40, 50] {
            timer.note_written(false);
            assert_eq!(timer.observe(ms(now), Span::Silence, limit(100)), at(now + 100));
        }
        timer.note_emptied();
        assert_eq!(timer.observe(ms(60), Span::Silence, limit(100)), at(160));
        timer.note_emptied();
        assert_eq!(timer.observe(ms(70), Span::Silence, limit(100)), at(160));
    }

    #[test]
    fn the_first_look_at_a_passed_deadline_ends_nothing() {
        for span in SPANS {
            for late in [100, 101, 5000, 1 << 40] {
                let mut timer = Timer::new();
                assert_eq!(timer.observe(ms(0), span, limit(100)), at(100));
                // At the same moment nothing changes, however often it is told.
                for _ in 0..3 {
                    assert_eq!(timer.observe(ms(late), span, limit(100)), at(late + 1), "{span:?}");
                }
                assert_eq!(timer.observe(ms(late + 1), span, limit(100)), Deadline::Passed);
            }
        }
    }

    #[test]
    fn what_is_received_after_a_late_look_defers_the_end_for_as_long_as_the_limit_at_most() {
        for span in [Span::Handshake, Span::Congestion, Span::Flush, Span::Closing, Span::Linger] {
            let mut timer = Timer::new();
            timer.observe(ms(0), span, limit(100));
            timer.observe(ms(5000), span, limit(100));
            for now in 5001..5100 {
                timer.note_received();
                for _ in 0..2 {
                    assert_eq!(timer.observe(ms(now), span, limit(100)), at(now + 1), "{span:?}");
                }
            }
            timer.note_received();
            assert_eq!(timer.observe(ms(5100), span, limit(100)), Deadline::Passed, "{span:?}");
        }
        let mut timer = Timer::new();
        timer.observe(ms(0), Span::Silence, limit(100));
        timer.observe(ms(5000), Span::Silence, limit(100));
        timer.note_received();
        assert_eq!(timer.observe(ms(5001), Span::Silence, limit(100)), at(5101));
    }

    #[test]
    fn memory_is_freed_by_the_clock_alone() {
        // The same with a tick every millisecond, and with few.
        for (after, step) in
            [(1000, 1), (1000, 7), (1000, 125), (1000, 999), (1000, 1000), (1300, 50)]
        {
            let after = Duration::from_millis(after);
            for start in [0, 1, 124, 125, 65_536 * 125 - 500, 1 << 50] {
                let mut last = LastUse::default();
                let Some(due) = last.observe(ms(start), after, true) else {
                    panic!("it was used just now")
                };
                let wait = due.saturating_since(ms(start));
                assert!((after..after + Duration::from_millis(250)).contains(&wait), "{wait:?}");
                let mut now = start + step;
                while ms(now) < due {
                    assert_eq!(last.observe(ms(now), after, false), Some(due), "{now}");
                    now += step;
                }
                assert_eq!(last.observe(due, after, false), None);
                assert_eq!(last.observe(ms(now), after, false), None, "{now}");
            }
        }
    }

    #[test]
    fn memory_is_freed_in_the_end_whatever_the_clock_does() {
        for after in
            [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3600), Duration::MAX]
        {
            for jump in [0u64, 1, 3_600_000, 4_096_000, 8_191_000, 8_192_000, 1 << 44] {
                let mut last = LastUse::default();
                last.observe(ms(1 << 45), after, true);
                let mut now = ms((1 << 45) - jump);
                let mut ticks = 0;
                while let Some(due) = last.observe(now, after, false) {
                    assert!(
                        due > now && due.saturating_since(now) <= Duration::from_millis(3_600_125)
                    );
                    now = due;
                    ticks += 1;
                }
                assert!(ticks <= 2, "{after:?} {jump}");
            }
        }
        // At the end of time nothing overflows.
        let end = Timestamp(Duration::MAX);
        assert!(LastUse::default().observe(end, Duration::MAX, true).is_some());
    }
}
