//! When memory was last used. Only the elapsed time decides when it is freed. The owner of the memory decides what a
//! use is, and frees it.

use core::time::Duration;

use crate::timestamp::Timestamp;

/// When memory was last used, by the caller's clock, in eighths of a second modulo 2^16.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LastUse(u16);

const EIGHTH_NANOS: u32 = 125_000_000;
/// The longest time after which unused memory is freed.
pub(crate) const MOST_AFTER: Duration = Duration::from_secs(3600);

const _: () = assert!(MOST_AFTER.as_secs() * 8 < i16::MAX as u64);

/// The duration in eighths of a second, rounded up.
fn in_eighths(after: Duration) -> i32 {
    debug_assert!(after <= MOST_AFTER, "`ConfigBuilder::build` refuses more");
    (after.as_secs() * 8) as i32 + after.subsec_nanos().div_ceil(EIGHTH_NANOS) as i32
}

impl LastUse {
    /// Tells the time, and whether the memory was `used` since the last call. Returns when the memory must be freed.
    /// `None` means now: it was not used for `after`. This time is at most [`MOST_AFTER`], and is rounded up to an
    /// eighth of a second.
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
        // The clock has gone back, or the number has wrapped because there was no `tick` for a long time: the
        // measurement starts again. -1 is a valid elapsed time, since the moment of use is rounded up.
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

    fn ms(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn memory_is_freed_by_the_clock_alone() {
        // The result does not depend on the time between two ticks.
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
        for after in [Duration::ZERO, Duration::from_secs(1), MOST_AFTER] {
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
        // The largest timestamp does not overflow.
        let end = Timestamp(Duration::MAX);
        assert!(LastUse::default().observe(end, MOST_AFTER, true).is_some());
    }
}
