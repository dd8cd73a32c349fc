//! A small generator for property tests: its seed is printed when a test
//! fails, and `UMNET_SEED=<number>` replays it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// xorshift64*
pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// A seed from the environment, or from the clock.
    pub(crate) fn from_env() -> Self {
        let given = std::env::var("UMNET_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let clock = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            now.map_or(1, |elapsed| elapsed.as_nanos() as u64)
        };
        let seed = given.unwrap_or_else(clock).max(1);
        println!("UMNET_SEED={seed}");
        Self::from_seed(seed)
    }

    /// A generator whose seed is known.
    pub(crate) fn from_seed(seed: u64) -> Self {
        let seed = seed.max(1);
        Self { seed, state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, which must not be 0.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        ((self.next() >> 32) % u64::from(limit)) as u32
    }
}

impl fmt::Display for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UMNET_SEED={}", self.seed)
    }
}
