//! Times in buckets that are at most 1/64 wider than their lower bound. Adding one costs a few instructions.

use std::time::Duration;

/// Buckets for each power of two.
const STEPS: usize = 64;

pub struct Histogram {
    buckets: Vec<u32>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: vec![0; 40 * STEPS], count: 0 }
    }
}

impl Histogram {
    pub fn add(&mut self, time: Duration) {
        let last = self.buckets.len() - 1;
        self.buckets[bucket(time.as_nanos() as u64).min(last)] += 1;
        self.count += 1;
    }

    /// The time that this part of all times does not exceed; zero if there are none.
    pub fn quantile(&self, part: f64) -> Duration {
        let rank = (self.count as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (i, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank && seen > 0 {
                return Duration::from_nanos(lower_bound(i));
            }
        }
        Duration::ZERO
    }
}

fn bucket(nanoseconds: u64) -> usize {
    if nanoseconds < STEPS as u64 {
        return nanoseconds as usize;
    }
    let power = nanoseconds.ilog2() as usize - STEPS.ilog2() as usize;
    power * STEPS + (nanoseconds >> power) as usize
}

fn lower_bound(bucket: usize) -> u64 {
    if bucket < 2 * STEPS {
        return bucket as u64;
    }
    let power = bucket / STEPS - 1;
    ((bucket - power * STEPS) as u64) << power
}
