//! A small seeded generator of random numbers, for the cuts and changes of a simulated wire. Masking keys of tests come
//! from [`Entropy::Seed`](crate::Entropy::Seed).

use crate::entropy::split_mix;

/// SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        split_mix(self.0)
    }

    /// Returns a number below `n`. `n` must not be 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
