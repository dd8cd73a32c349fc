//! Seeded pseudo-random bytes, and the digest that both ends print.
//!
//! The generator is Marsaglia's xorshift with a multiplied output (the one known as xorshift64*):
//! three shifts and one multiplication for eight bytes, which an emulated processor still does at
//! hundreds of megabytes a second.

use xxhash_rust::xxh3::Xxh3;

/// An endless stream of bytes that depends on nothing but its seed.
pub(super) struct Pattern {
    state: u64,
}

impl Pattern {
    pub(super) fn new(seed: u64) -> Self {
        // Zero is the generator's one fixed point; the odd constant also parts neighbouring seeds.
        let state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            state: if state == 0 { 1 } else { state },
        }
    }

    /// Fills `bytes` with what comes next; an unfinished word at the end is dropped.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            let next = self.next().to_le_bytes();
            match <&mut [u8; 8]>::try_from(&mut *word) {
                Ok(whole) => *whole = next,
                Err(_) => word.copy_from_slice(&next[..word.len()]),
            }
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Count and XXH3-128 of everything that passed.
#[derive(Default)]
pub(super) struct Digest {
    bytes: u64,
    hash: Xxh3,
}

impl Digest {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn hex(&self) -> String {
        format!("{:032x}", self.hash.digest128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_bytes(seed: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        Pattern::new(seed).fill(&mut bytes);
        bytes
    }

    #[test]
    fn equal_seeds_agree_and_different_seeds_do_not() {
        assert_eq!(first_bytes(7, 4096), first_bytes(7, 4096));
        assert_ne!(first_bytes(7, 4096), first_bytes(8, 4096));
        assert_ne!(
            first_bytes(u64::MAX, 64),
            vec![0; 64],
            "the seed that would stand still"
        );
    }

    #[test]
    fn a_short_fill_is_the_start_of_a_long_one() {
        assert_eq!(first_bytes(1, 13), first_bytes(1, 16)[..13]);
    }

    #[test]
    fn bytes_are_spread_evenly() {
        let bytes = first_bytes(3, 1 << 20);
        let mut seen = [0u32; 256];
        bytes.iter().for_each(|byte| seen[usize::from(*byte)] += 1);
        assert!(
            seen.iter().all(|count| (3600..4600).contains(count)),
            "{seen:?}"
        );
    }

    #[test]
    fn digest_tells_one_flipped_bit_and_ignores_how_bytes_were_cut() {
        let mut bytes = first_bytes(5, 100_000);
        let (mut whole, mut parts, mut changed) =
            (Digest::default(), Digest::default(), Digest::default());
        whole.update(&bytes);
        bytes.chunks(777).for_each(|part| parts.update(part));
        bytes[50_000] ^= 0x10;
        changed.update(&bytes);
        assert_eq!(whole.hex(), parts.hex());
        assert_ne!(whole.hex(), changed.hex());
        assert_eq!(whole.bytes(), 100_000);
    }

    #[test]
    fn digest_is_the_published_xxh3_128() {
        // XXH3-128 of nothing, as the reference implementation's own test vectors give it.
        assert_eq!(Digest::default().hex(), "99aa06d3014798d86001c324468d497f");
    }
}
