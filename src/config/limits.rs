//! Which numbers a setting takes.

use std::fmt;

use crate::card::MAX_QUEUE_PAIRS;

/// A range of numbers, all of it or only its powers of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    min: i64,
    max: i64,
    power_of_two: bool,
}

/// Descriptors in a queue (virtio 1.2 §2.7: a power of two, at most 32768).
pub const RING_SIZE: Limit = Limit::power_of_two(4, 32_768);
/// Pairs of queues.
pub const QUEUES: Limit = Limit::range(1, MAX_QUEUE_PAIRS as i64);
/// Microseconds of looking awake; beyond a millisecond a sleep costs nothing worth mentioning.
pub(super) const BUSY_POLL_US: Limit = Limit::range(0, 1_000);
/// Bytes in a packet: the least IPv4 asks for, the most a TAP takes.
pub const MTU: Limit = Limit::range(68, 65_521);
/// Buffers in a pool.
pub(super) const BUFFER_COUNT: Limit = Limit::power_of_two(16, 65_536);
/// Bytes in a buffer: a plain Ethernet frame at least, a segmented one with headers at most.
pub(super) const BUFFER_BYTES: Limit = Limit::range(1_536, 131_072);

/// Microseconds that a device may put a notification off: up to a tenth of a second.
pub(super) const MICROSECONDS: Limit = Limit::range(0, 100_000);
/// Frames after which it may not any longer: up to the longest ring.
pub(super) const FRAMES: Limit = Limit::range(0, 32_768);

/// Milliseconds: time enough to be seen, and no more than an hour.
pub(super) const MILLISECONDS: Limit = Limit::range(10, 3_600_000);
/// Driver hosts that die one after the other; 0 has the first one that dies young end in the
/// fallback.
pub(super) const RESTARTS: Limit = Limit::range(0, 10_000);

impl Limit {
    const fn range(min: i64, max: i64) -> Self {
        Self {
            min,
            max,
            power_of_two: false,
        }
    }

    const fn power_of_two(min: i64, max: i64) -> Self {
        Self {
            min,
            max,
            power_of_two: true,
        }
    }

    /// The largest number there is, where it is one of 32 bits.
    pub(super) const fn max(self) -> u32 {
        self.max as u32
    }

    /// Whether the number is allowed.
    pub fn allows(self, value: i64) -> bool {
        let in_range = (self.min..=self.max).contains(&value);
        in_range && (!self.power_of_two || value.count_ones() == 1)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.power_of_two {
            f.write_str("a power of two ")?;
        }
        write!(f, "from {} to {}", self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_powers_of_two_within_the_specs_bounds() {
        let allowed: Vec<i64> = (-5..70_000).filter(|n| RING_SIZE.allows(*n)).collect();
        let expected: Vec<i64> = (2..=15).map(|shift| 1 << shift).collect();
        assert_eq!(allowed, expected);
    }

    #[test]
    fn ranges_hold_their_ends_and_nothing_beyond() {
        assert!(MTU.allows(68) && MTU.allows(65_521) && MTU.allows(1_500));
        assert!(!MTU.allows(67) && !MTU.allows(65_522) && !MTU.allows(-1));
    }
}
