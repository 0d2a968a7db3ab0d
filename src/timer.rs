//! The timer of a connection. It computes deadlines from the signs of life. The connection decides what happens at a
//! deadline.

use core::time::Duration;

use crate::timestamp::Timestamp;

/// The period that the timer measures. It begins with the first `tick` that finds the connection in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// No period: there was no `tick` yet, or the connection is finished.
    None,
    /// The opening handshake.
    Handshake,
    /// The connection is open: the time since the last sign of life of the peer.
    Silence,
    /// The connection is open and congested: the time since the transport last took bytes of the queue.
    Congestion,
    /// The caller has not answered the peer's Close: the time since the transport last took bytes of the queue.
    Answer,
    /// Our Close frame or last HTTP response is in the queue: the time since the transport last took bytes of the
    /// queue.
    Flush,
    /// The closing handshake, after our Close was written or cannot be written any more: the wait for the peer's Close.
    Closing,
    /// The connection is closed, and our last bytes are written: the wait for the end of the transport.
    Linger,
}

/// The deadline of a span, as a `tick` finds it.
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
    /// The moment when the span began, or when a `tick` found its last sign of life; in milliseconds, rounded up,
    /// modulo 2^64. If `LATE` is set, the moment when a `tick` first found that the deadline had passed.
    since: u64,
    /// The index of the keepalive interval, counted from `since`, in which the last ping was due. If `LATE` is set, the
    /// milliseconds from `since` to the last `tick` that found received bytes.
    mark: u32,
    span: Span,
    /// The bits below.
    signs: u8,
}

/// Bytes were received since the last `tick`.
const RECEIVED: u8 = 1;
/// Since the last `tick`, the transport took the whole queue, or a part with other bytes than those of pings and pongs.
const TAKEN: u8 = 1 << 1;
/// Since the last `tick`, the transport took a part of the queue and left the rest.
const LEFT: u8 = 1 << 2;
/// After `LEFT`, the transport took another part and left the rest.
const MORE: u8 = 1 << 3;
/// There is a backlog: at the last `tick`, the queue had bytes that the transport had left in it.
const BACKLOG: u8 = 1 << 4;
/// The transport took bytes of a backlog since the last `tick`.
const PROGRESS: u8 = BACKLOG << 1;
/// A `tick` has found that the deadline had passed.
const LATE: u8 = 1 << 6;

/// The time between the `tick` that first finds a passed deadline and the `tick` that acts on it. The caller can read
/// in between.
pub(crate) const GRACE: Duration = Duration::from_millis(1);

const _: () = assert!(size_of::<Timer>() == 14);

impl Timer {
    pub(crate) const fn new() -> Timer {
        Timer { since: 0, mark: 0, span: Span::None, signs: 0 }
    }

    /// Notes that bytes were received.
    #[inline]
    pub(crate) fn note_received(&mut self) {
        self.signs |= RECEIVED;
    }

    /// Whether bytes were received since the last `tick`.
    pub(crate) fn has_received(&self) -> bool {
        self.signs & RECEIVED != 0
    }

    /// Notes that the transport has taken the whole queue. This alone is not a sign of life of the peer, since a kernel
    /// also takes bytes for a peer that has vanished. It is one if there was a backlog.
    #[inline]
    pub(crate) fn note_emptied(&mut self) {
        let progress = (self.signs & BACKLOG) << 1;
        self.signs = self.signs & !(LEFT | MORE | BACKLOG) | TAKEN | progress;
    }

    /// Notes that the transport has taken a part of the queue. `is_progress` tells that this part has bytes that are
    /// not of pings or pongs.
    pub(crate) fn note_written(&mut self, is_progress: bool) {
        if self.signs & LEFT != 0 {
            self.signs |= MORE;
        }
        self.signs |= LEFT | (self.signs & BACKLOG) << 1 | if is_progress { TAKEN } else { 0 };
    }

    /// Tells the time and the current `span`, which may last for `limit`.
    ///
    /// The first call at or after the deadline only sets `LATE`, since a process that was stopped must first read the
    /// bytes that have arrived. If no bytes were received until a later call, that call returns [`Deadline::Passed`].
    /// If bytes were received, the span of silence starts again. In the other spans the deadline moves to one
    /// millisecond after `now`. It can move again and again, until `limit` has passed once more.
    pub(crate) fn observe(
        &mut self,
        now: Timestamp,
        span: Span,
        limit: Option<Duration>,
    ) -> Deadline {
        // If a second write also leaves bytes in the queue, the bytes of this write came from a backlog.
        if self.signs & MORE != 0 {
            self.signs |= PROGRESS;
        }
        if self.signs & LEFT != 0 {
            self.signs |= BACKLOG;
        }
        let restarts = match span {
            Span::Silence => RECEIVED | PROGRESS,
            // In these spans the queue is a backlog. Pongs do not count, so that a peer cannot defer the end by sending
            // pings.
            Span::Congestion | Span::Answer | Span::Flush => TAKEN,
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

    /// Whether a `tick` has found that the deadline had passed.
    pub(crate) fn is_late(&self) -> bool {
        self.signs & LATE != 0
    }

    /// Milliseconds since `since`; 0 if the clock went back to a moment before it.
    fn elapsed(&self, now: Timestamp) -> u64 {
        let elapsed = now.wrapping_millis().wrapping_sub(self.since) as i64;
        elapsed.max(0) as u64
    }

    /// `since + after`, rounded up by less than a millisecond.
    pub(crate) fn deadline(&self, now: Timestamp, after: Duration) -> Timestamp {
        let elapsed = now.wrapping_millis().wrapping_sub(self.since) as i64;
        let away = Duration::from_millis(elapsed.unsigned_abs());
        let rounded = now.rounded_up();
        let start = match elapsed {
            0.. => rounded.saturating_sub(away),
            _ => rounded.saturating_add(away),
        };
        Timestamp(start.saturating_add(after))
    }

    /// Returns whether a ping is due, and when the next one will be due. During silence one ping is due in each
    /// `interval`, which is not zero and is rounded up to milliseconds. A call that comes after several intervals makes
    /// only one ping due.
    pub(crate) fn ping_due(&mut self, now: Timestamp, interval: Duration) -> (bool, Timestamp) {
        debug_assert!(!self.is_late(), "`mark` counts no intervals while `LATE` is set");
        let rest = u64::from(interval.subsec_nanos().div_ceil(1_000_000));
        let interval = interval.as_secs().saturating_mul(1000).saturating_add(rest);
        let passed = self.elapsed(now) / interval;
        let due = passed > u64::from(self.mark);
        match u32::try_from(passed) {
            Ok(passed) => self.mark = passed,
            // The clock has jumped by more intervals than `mark` can count: the count starts again.
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

    const SPANS: [Span; 7] = [
        Span::Handshake,
        Span::Silence,
        Span::Congestion,
        Span::Answer,
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
        // Whether the sign restarts `Silence`, and whether it restarts `Congestion`, `Answer` and `Flush`.
        let signs: [(&str, Sign, bool, bool); 8] = [
            ("nothing", |_| {}, false, false),
            ("bytes received", Timer::note_received, true, false),
            ("all taken at once", Timer::note_emptied, false, true),
            ("a first part of many bytes was taken", |timer| timer.note_written(true), false, true),
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
                    Span::Congestion | Span::Answer | Span::Flush => restarts_backlog,
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
                // A repeated call at the same moment changes nothing.
                for _ in 0..3 {
                    assert_eq!(timer.observe(ms(late), span, limit(100)), at(late + 1), "{span:?}");
                }
                assert_eq!(timer.observe(ms(late + 1), span, limit(100)), Deadline::Passed);
            }
        }
    }

    #[test]
    fn what_is_received_after_a_late_look_defers_the_end_for_as_long_as_the_limit_at_most() {
        for span in SPANS.into_iter().filter(|span| *span != Span::Silence) {
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
