//! How long a context that finds nothing looks on before it arms and sleeps.
//!
//! Going to sleep and being woken costs both sides system calls and some microseconds. A wait is
//! what lies between a turn that found nothing and the next that finds something, looked or slept
//! through. One that was no longer than the limit makes the next look twice as long, up to the
//! limit; one that was longer ends looking until there is a short one again. So what comes in quick
//! succession is waited for awake, and who has nothing to do sleeps at once.

use std::time::{Duration, Instant};

/// Turns between two looks at the clock, which takes about as long as one of them.
const TURNS_PER_CLOCK: u32 = 8;
/// Turns of one wait, whatever the clock says: more than there are in the longest limit.
const MOST_TURNS: u32 = 1 << 17;
/// The first look after a short wait is this part of the limit.
const FIRST: u32 = 8;

/// The looking of one context.
#[derive(Debug)]
pub(super) struct BusyPoll {
    limit: Duration,
    /// How long the present wait, or the next one, is looked through.
    budget: Duration,
    /// Turns of the present wait that found nothing.
    turns: u32,
    /// When the present wait was first seen on the clock.
    since: Option<Instant>,
}

impl BusyPoll {
    /// Never looks longer than `limit`; not at all if that is zero.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            budget: Duration::ZERO,
            turns: 0,
            since: None,
        }
    }

    /// A turn has found nothing: whether to look on.
    pub(super) fn looks_on(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.limit.is_zero() {
            return false;
        }
        self.turns = self.turns.saturating_add(1);
        if !self.budget.is_zero() && !self.turns.is_multiple_of(TURNS_PER_CLOCK) {
            return self.turns < MOST_TURNS;
        }
        let now = now();
        let since = *self.since.get_or_insert(now);
        now.saturating_duration_since(since) < self.budget && self.turns < MOST_TURNS
    }

    /// The wait is over, if there was one: something was found, or the context slept. Whether it
    /// was looked through, at least in part.
    #[inline]
    pub(super) fn end_wait(&mut self, now: impl FnOnce() -> Instant) -> bool {
        let looked = self.turns > 0 && !self.budget.is_zero();
        self.turns = 0;
        if let Some(since) = self.since.take() {
            self.learn(now().saturating_duration_since(since));
        }
        looked
    }

    fn learn(&mut self, waited: Duration) {
        self.budget = match waited <= self.limit {
            true => (self.budget * 2).clamp(self.limit / FIRST, self.limit),
            false => Duration::ZERO,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(64);
    /// What a turn that finds nothing takes.
    const TURN: Duration = Duration::from_nanos(100);

    /// A context whose next frame comes `after` its last, time and again; the time it looked for
    /// each of them.
    fn looked(poll: &mut BusyPoll, after: Duration) -> Duration {
        let start = Instant::now();
        let mut now = start;
        while poll.looks_on(|| now) {
            now += TURN;
            if now - start >= after {
                break;
            }
        }
        let looked = now - start;
        poll.end_wait(|| start + after);
        looked
    }

    #[test]
    fn without_a_limit_nobody_looks_or_asks_for_the_time() {
        let mut poll = BusyPoll::new(Duration::ZERO);
        let never = || panic!("asked for the time");
        for _ in 0..100 {
            assert!(!poll.looks_on(never));
            assert!(!poll.end_wait(never));
        }
    }

    #[test]
    fn short_waits_make_the_look_longer_until_it_catches_them() {
        let mut poll = BusyPoll::new(LIMIT);
        let gap = LIMIT / 2;
        let looks: Vec<_> = (0..6).map(|_| looked(&mut poll, gap)).collect();
        assert_eq!(looks[0], Duration::ZERO, "it has to see a short one first");
        assert!(looks.is_sorted(), "{looks:?}");
        assert!(looks[5] >= gap && looks[5] < gap + TURN, "{looks:?}");
    }

    #[test]
    fn a_long_wait_is_looked_through_no_longer_than_the_limit_and_the_next_not_at_all() {
        let mut poll = BusyPoll::new(LIMIT);
        for _ in 0..6 {
            looked(&mut poll, LIMIT / 2);
        }
        let long = looked(&mut poll, 100 * LIMIT);
        assert!(long >= LIMIT && long < LIMIT + TURN * 8, "{long:?}");
        for _ in 0..3 {
            assert_eq!(looked(&mut poll, 100 * LIMIT), Duration::ZERO);
        }
    }

    #[test]
    fn a_clock_that_stands_still_ends_nothing_but_the_turns_do() {
        let mut poll = BusyPoll::new(LIMIT);
        looked(&mut poll, LIMIT / 2);
        let now = Instant::now();
        let turns = (0..=MOST_TURNS).take_while(|_| poll.looks_on(|| now));
        assert_eq!(turns.count(), MOST_TURNS as usize - 1);
    }

    #[test]
    fn what_ends_before_the_clock_is_asked_teaches_nothing_and_costs_nothing() {
        let mut poll = BusyPoll::new(LIMIT);
        looked(&mut poll, LIMIT / 2);
        let budget = poll.budget;
        let never = || panic!("asked for the time");
        for _ in 1..TURNS_PER_CLOCK {
            assert!(poll.looks_on(never));
        }
        assert!(poll.end_wait(never));
        assert_eq!(poll.budget, budget);
    }
}
