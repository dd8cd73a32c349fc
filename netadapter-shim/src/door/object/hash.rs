//! Hashing of addresses and of numbers that look like them.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds [`Spread`]; for maps whose keys are handles or addresses.
pub(crate) type SpreadState = BuildHasherDefault<Spread>;

/// Spreads a number over all bits. The keys are ours: nobody chooses them to collide.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, number: usize) {
        // An odd number with its bits well mixed: 2^64 over the golden ratio.
        let mixed = (self.0 ^ number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed.rotate_left(26);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    #[test]
    fn neighbours_differ_at_both_ends_of_their_hashes() {
        let hash = |number: usize| SpreadState::default().hash_one(number);
        let numbers = (0..128).map(|number| 0x4d00_0000_0000_0010 + 16 * number);
        let hashes: Vec<u64> = numbers.map(hash).collect();
        let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0xff).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert!(
            low.len() > 64 && high.len() > 32,
            "{} {}",
            low.len(),
            high.len()
        );
    }
}
