//! Chance that can be repeated: a small generator, seeded, for the cuts and harms of a simulated wire. It is no source
//! of masking keys; [`Entropy::Seed`](crate::Entropy::Seed) is that of a test.

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

    /// A number below `n`, which is not 0.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
