//! When a dead driver host is replaced, and when that is given up for a while.
//!
//! A host that has worked for a while and dies is replaced at once. Hosts that die young, one
//! after the other, are a crash loop: each waits twice as long as the one before it, and after
//! too many of them the stated fallback comes.

use std::time::{Duration, Instant};

use crate::config::RestartConfig;

/// Young deaths in a row that are followed by a new host at once.
const FREE: u32 = 2;

/// What to do about a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next host begins at this time.
    Restart(Instant),
    /// The fallback.
    GiveUp,
}

/// The deaths so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    config: RestartConfig,
    young_deaths: u32,
}

impl Policy {
    pub(super) fn new(config: RestartConfig) -> Self {
        Self {
            config,
            young_deaths: 0,
        }
    }

    /// A host died; `running_since` is when its device began to run, if it did.
    pub(super) fn on_death(&mut self, now: Instant, running_since: Option<Instant>) -> Verdict {
        let settled = |since| now.saturating_duration_since(since) >= self.config.settled_after;
        if running_since.is_some_and(settled) {
            self.young_deaths = 0;
        }
        self.young_deaths += 1;
        if self.young_deaths > self.config.give_up_after {
            return Verdict::GiveUp;
        }
        Verdict::Restart(now + self.delay())
    }

    /// The fallback's time is over: one attempt, and the fallback again if it fails.
    pub(super) fn on_retry(&mut self) {
        self.young_deaths = self.config.give_up_after;
    }

    /// Young deaths in a row.
    pub(super) fn young_deaths(&self) -> u32 {
        self.young_deaths
    }

    fn delay(&self) -> Duration {
        let Some(doublings) = self.young_deaths.checked_sub(FREE + 1) else {
            return Duration::ZERO;
        };
        let delay = self
            .config
            .first_delay
            .saturating_mul(1 << doublings.min(16));
        delay.min(self.config.longest_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay(verdict: Verdict, now: Instant) -> Duration {
        match verdict {
            Verdict::Restart(at) => at - now,
            Verdict::GiveUp => panic!("given up"),
        }
    }

    #[test]
    fn hosts_that_die_young_wait_longer_each_time_until_the_fallback() {
        let mut policy = Policy::new(RestartConfig::default());
        let now = Instant::now();
        let delays: Vec<Duration> = (0..20)
            .map(|_| delay(policy.on_death(now, Some(now)), now))
            .collect();
        let expected = [0, 0, 20, 40, 80, 160, 320, 640, 1280, 1500];
        assert_eq!(delays[..10], expected.map(Duration::from_millis));
        assert_eq!(policy.on_death(now, None), Verdict::GiveUp);
        assert_eq!(policy.on_death(now, None), Verdict::GiveUp);
    }

    #[test]
    fn a_host_that_has_worked_for_a_while_is_replaced_at_once() {
        let config = RestartConfig::default();
        let mut policy = Policy::new(config);
        let now = Instant::now();
        for _ in 0..10 {
            policy.on_death(now, None);
        }
        let almost = now + config.settled_after - Duration::from_millis(1);
        assert!(delay(policy.on_death(almost, Some(now)), almost) > Duration::ZERO);
        let later = now + config.settled_after;
        assert_eq!(policy.on_death(later, Some(now)), Verdict::Restart(later));
        assert_eq!(policy.young_deaths(), 1);
    }

    #[test]
    fn an_attempt_after_the_fallback_is_one_attempt() {
        let config = RestartConfig::default();
        let mut policy = Policy::new(config);
        let now = Instant::now();
        policy.on_retry();
        assert_eq!(policy.on_death(now, Some(now)), Verdict::GiveUp);
        policy.on_retry();
        let later = now + config.settled_after;
        assert_eq!(policy.on_death(later, Some(now)), Verdict::Restart(later));
    }
}
