//! Random numbers that a seed repeats, and how a failure names its seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, or 0.
    pub fn below(&mut self, limit: usize) -> usize {
        // The multiplication spreads the upper half evenly enough over a small range.
        (((self.next() >> 32) * limit as u64) >> 32) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// What `UMNET_SEED` asks to be repeated.
pub fn seed_to_repeat() -> Option<String> {
    std::env::var("UMNET_SEED").ok()
}

/// Runs `sequence`; if it fails, says how to repeat just it.
pub fn repeatable(seed: impl Fn() -> String, sequence: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(sequence)) {
        eprintln!("to repeat this sequence alone: UMNET_SEED={}", seed());
        resume_unwind(panic);
    }
}
