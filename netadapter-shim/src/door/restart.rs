//! When a device that failed is started again, as UMDF's driver manager has
//! it: a few times, and anew after a long time without a failure.

use std::time::{Duration, Instant};

/// Restarts in a row.
const MOST: u32 = 5;
/// A device that worked for so long has a clean slate, but for the failure at hand.
const QUIET: Duration = Duration::from_secs(30 * 60);
/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What is known of one device's failures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RestartPolicy {
    failures: u32,
    last: Option<Instant>,
}

impl RestartPolicy {
    /// The device has failed: when to start it again, or `None` to leave it down.
    pub(crate) fn on_failure(&mut self, now: Instant) -> Option<Instant> {
        let quiet = |last: Instant| now.saturating_duration_since(last) >= QUIET;
        if self.last.is_some_and(quiet) {
            self.failures = 0;
        }
        self.last = Some(now);
        if self.failures >= MOST {
            return None;
        }
        let pause = FIRST_PAUSE * (1 << self.failures);
        self.failures += 1;
        Some(now + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_the_sixth_failure_is_the_last() {
        let (mut policy, now) = (RestartPolicy::default(), Instant::now());
        let pauses = std::iter::from_fn(|| policy.on_failure(now));
        let pauses: Vec<_> = pauses.map(|at| (at - now).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600]);
        assert_eq!(policy.on_failure(now + Duration::from_secs(60)), None);
    }

    #[test]
    fn half_an_hour_without_a_failure_counts_anew() {
        let (mut policy, start) = (RestartPolicy::default(), Instant::now());
        while policy.on_failure(start).is_some() {}
        let almost = start + QUIET - Duration::from_millis(1);
        assert_eq!(policy.on_failure(almost), None);
        let later = almost + QUIET;
        assert_eq!(policy.on_failure(later), Some(later + FIRST_PAUSE));
    }
}
