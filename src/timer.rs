//! The one timer of a connection: the arithmetic of deadlines and of signs of life. What a deadline means is decided by
//! the connection.

use core::time::Duration;

use crate::timestamp::Timestamp;

/// What the timer measures. The time of a span starts with the first `tick` that finds the connection in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// Nothing: there was no `tick`, or the connection is finished.
    None,
    /// The opening handshake.
    Handshake,
    /// The open connection, since the peer gave the last sign of life.
    Silence,
    /// The open connection while it is congested, since the transport last took bytes of the backlog.
    Congestion,
    /// The time in which our last bytes (a Close frame, an HTTP response) wait in the queue, since the transport last
    /// took bytes of the backlog.
    Flush,
    /// The closing handshake, from our Close on the wire to the peer's.
    Closing,
    /// The time for which the transport outlives the connection.
    Linger,
}

/// What a `tick` finds about the deadline of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// The span has no limit.
    None,
    /// The deadline has not passed. The next `tick` must come at this moment at the latest.
    At(Timestamp),
    /// The deadline has passed.
    Passed,
}

/// One running timer, and the signs of life since the last `tick`.
///
/// It is packed, so that it has 14 bytes and [`Life`](crate::connection) has 24.
#[derive(Debug, Clone, Copy)]
#[repr(Rust, packed(2))]
pub(crate) struct Timer {
    /// When the span began, or its last sign of life came: milliseconds, rounded up, modulo 2^64. Once `LATE` is set:
    /// when a `tick` first found that the deadline had passed.
    since: u64,
    /// The number of the keepalive interval in which the last ping was due. Once `LATE` is set: the milliseconds from
    /// `since` to the last `tick` that found received bytes.
    mark: u32,
    span: Span,
    /// The bits below.
    signs: u8,
}

/// Bytes were received since the last `tick`.
const RECEIVED: u8 = 1;
/// The transport took bytes since the last `tick`, and not only bytes of pings and pongs.
const TAKEN: u8 = 1 << 1;
/// The transport took only a part of the queue since the last `tick`.
const LEFT: u8 = 1 << 2;
/// After `LEFT`, it took another part, and still not all.
const MORE: u8 = 1 << 3;
/// There is a backlog: at the last `tick`, bytes that the transport had left were still in the queue.
const BACKLOG: u8 = 1 << 4;
/// The transport took bytes of a backlog since the last `tick`.
const PROGRESS: u8 = BACKLOG << 1;
/// A `tick` has found that the deadline has passed.
const LATE: u8 = 1 << 6;

/// The time between the `tick` that finds a passed deadline and the `tick` that ends something. The caller reads in
/// between.
const GRACE: Duration = Duration::from_millis(1);

const _: () = assert!(size_of::<Timer>() == 14);

impl Timer {
    pub(crate) const fn new() -> Timer {
        Timer { since: 0, mark: 0, span: Span::None, signs: 0 }
    }

    /// Bytes were received.
    #[inline]
    pub(crate) fn note_received(&mut self) {
        self.signs |= RECEIVED;
    }

    /// Whether bytes were received since the last `tick`.
    pub(crate) fn has_received(&self) -> bool {
        self.signs & RECEIVED != 0
    }

    /// The transport has taken the whole queue. Bytes that it takes at once, in one write or in several, are no sign of
    /// life: a kernel also takes bytes for a peer that has vanished.
    #[inline]
    pub(crate) fn note_emptied(&mut self) {
        let progress = (self.signs & BACKLOG) << 1;
        self.signs = self.signs & !(LEFT | MORE | BACKLOG) | TAKEN | progress;
    }

    /// The transport has taken a part of the queue. `taken`: that part has bytes that are not of pings and pongs.
    pub(crate) fn note_written(&mut self, taken: bool) {
        if self.signs & LEFT != 0 {
            self.signs |= MORE;
        }
        self.signs |= LEFT | (self.signs & BACKLOG) << 1 | if taken { TAKEN } else { 0 };
    }

    /// Tells the time in `span`, which may last for `limit`.
    ///
    /// The first call at or past the deadline only notes that it is late, since a process that was stopped still has to
    /// read what has arrived. A later call returns [`Deadline::Passed`], unless bytes were received in between: then it
    /// asks for one more call. That can go on for as long as `limit` at the most.
    pub(crate) fn observe(
        &mut self,
        now: Timestamp,
        span: Span,
        limit: Option<Duration>,
    ) -> Deadline {
        // Several writes that still leave bytes in the queue take them from a backlog.
        if self.signs & MORE != 0 {
            self.signs |= PROGRESS;
        }
        if self.signs & LEFT != 0 {
            self.signs |= BACKLOG;
        }
        let restarts = match span {
            Span::Silence => RECEIVED | PROGRESS,
            // The queue is a backlog. Pongs do not count: a peer that pings must not defer the end.
            Span::Congestion | Span::Flush => TAKEN,
            Span::None | Span::Handshake | Span::Closing | Span::Linger => 0,
        };
        if self.span != span || self.signs & restarts != 0 {
            self.since = now.wrapping_millis();
            self.mark = 0;
            self.span = span;
            self.signs &= BACKLOG;
        }
        let Some(limit) = limit else {
            self.signs &= BACKLOG;
            return Deadline::None;
        };
        self.signs &= RECEIVED | BACKLOG | LATE;
        if self.signs & LATE == 0 {
            self.signs &= BACKLOG;
            let deadline = self.deadline(now, limit);
            if now < deadline {
                return Deadline::At(deadline);
            }
            self.signs |= LATE;
            self.since = now.wrapping_millis();
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
            self.signs &= !RECEIVED;
        }
        Deadline::At(self.deadline(now, Duration::from_millis(u64::from(self.mark)) + GRACE))
    }

    /// Whether a `tick` has found that the deadline has passed.
    pub(crate) fn is_late(&self) -> bool {
        self.signs & LATE != 0
    }

    /// Milliseconds since the span began; 0 if the clock went back to a moment before that.
    fn elapsed(&self, now: Timestamp) -> u64 {
        let elapsed = now.wrapping_millis().wrapping_sub(self.since) as i64;
        elapsed.max(0) as u64
    }

    /// `since + after`, rounded up by less than a millisecond.
    fn deadline(&self, now: Timestamp, after: Duration) -> Timestamp {
        let elapsed = now.wrapping_millis().wrapping_sub(self.since) as i64;
        let away = Duration::from_millis(elapsed.unsigned_abs());
        let rounded = now.rounded_up();
        let start = match elapsed {
            0.. => rounded.saturating_sub(away),
            _ => rounded.saturating_add(away),
        };
        Timestamp(start.saturating_add(after))
    }

    /// Whether a ping is due, and when the next one is. One is due in each `interval` of the silence, which is rounded up
    /// to a millisecond. A late call makes one ping due, however many intervals it has missed.
    pub(crate) fn ping_due(&mut self, now: Timestamp, interval: Duration) -> (bool, Timestamp) {
        debug_assert!(!self.is_late(), "the mark counts intervals");
        let rest = u64::from(interval.subsec_nanos().div_ceil(1_000_000));
        let interval = interval.as_secs().saturating_mul(1000).saturating_add(rest).max(1);
        let passed = self.elapsed(now) / interval;
        let due = passed > u64::from(self.mark);
        match u32::try_from(passed) {
            Ok(passed) => self.mark = passed,
            // The clock has jumped by more intervals than `mark` can count: the count begins anew.
            Err(_) => {
                self.since = now.wrapping_millis();
                self.mark = 0;
            }
        }
        let next = interval.saturating_mul(u64::from(self.mark) + 1);
        (due, self.deadline(now, Duration::from_millis(next)))
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
}
