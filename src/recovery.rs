//! When to reset a device that misbehaves, and when to stop trying.
//!
//! A device that breaks the protocol once may do so again at once: resets are spaced out, and
//! after too many without a quiet time between them the interface stays down.

use std::time::{Duration, Instant};

const FIRST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// A device that behaved for so long is trusted as at first.
const QUIET_TIME: Duration = Duration::from_secs(60);
const MAX_RESETS: u32 = 16;

/// What to do about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reset the device at this time.
    ResetAt(Instant),
    /// Leave it alone.
    GiveUp,
}

/// How often a device was reset lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recovery {
    resets: u32,
    last: Option<Instant>,
}

impl Recovery {
    /// A fault has happened, or a reset failed.
    pub fn on_fault(&mut self, now: Instant) -> Step {
        if self
            .last
            .is_some_and(|last| now.saturating_duration_since(last) >= QUIET_TIME)
        {
            self.resets = 0;
        }
        self.last = Some(now);
        if self.resets >= MAX_RESETS {
            return Step::GiveUp;
        }
        let doublings = self.resets;
        self.resets += 1;
        let delay = FIRST_DELAY
            .saturating_mul(1 << doublings.min(16))
            .min(LONGEST_DELAY);
        Step::ResetAt(now + delay)
    }

    /// Resets since the last quiet time.
    pub fn resets(&self) -> u32 {
        self.resets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit_and_then_it_gives_up() {
        let mut recovery = Recovery::default();
        let now = Instant::now();
        let delays: Vec<_> = std::iter::from_fn(|| match recovery.on_fault(now) {
            Step::ResetAt(at) => Some(at - now),
            Step::GiveUp => None,
        })
        .collect();
        assert_eq!(delays.len(), MAX_RESETS as usize);
        assert_eq!(delays[..3], [10, 20, 40].map(Duration::from_millis));
        assert_eq!(delays.last(), Some(&LONGEST_DELAY));
        assert!(delays.is_sorted());
    }

    #[test]
    fn a_quiet_time_restores_trust() {
        let mut recovery = Recovery::default();
        let start = Instant::now();
        while recovery.on_fault(start) != Step::GiveUp {}
        let almost = start + QUIET_TIME - Duration::from_millis(1);
        assert_eq!(recovery.on_fault(almost), Step::GiveUp);
        let later = almost + QUIET_TIME;
        assert_eq!(recovery.on_fault(later), Step::ResetAt(later + FIRST_DELAY));
    }
}
