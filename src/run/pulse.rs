//! Whether a driver host still does its work.
//!
//! A challenge goes out, and is answered by the poll loops themselves: a host whose queues stand
//! still does not answer, however busy its other threads are. Time is counted in looks, each a
//! good while after the one before, and not on the clock: a machine that was paused, or a
//! supervisor that was kept waiting, has missed looks and takes nobody for hung because of it.

use std::time::{Duration, Instant};

/// Looks in the time that a host has.
const LOOKS: u32 = 5;
/// They come a tenth earlier than that time has room for: each may be a little late, and all
/// together are not to be.
const EARLY: (u32, u32) = (9, 10);

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Send this challenge.
    Challenge(u64),
    /// The last challenge is not answered yet.
    Wait,
    /// It was not answered in the time there is.
    Hung,
}

/// The signs of life of one host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    interval: Duration,
    next: Instant,
    asked: u64,
    answered: u64,
    missed: u32,
    /// A host that has said so may be silent until then.
    excused_until: Option<Instant>,
}

impl Pulse {
    /// A host that begins now and has `hang_after` for an answer.
    pub(super) fn new(now: Instant, hang_after: Duration) -> Self {
        let interval = hang_after * EARLY.0 / (EARLY.1 * LOOKS);
        Self {
            interval,
            next: now + interval,
            asked: 0,
            answered: 0,
            missed: 0,
            excused_until: None,
        }
    }

    /// When to look next.
    pub(super) fn next_look(&self) -> Instant {
        self.next
    }

    /// The host has answered.
    pub(super) fn answered(&mut self, challenge: u64) {
        if challenge == self.asked {
            self.answered = challenge;
            self.missed = 0;
        }
        self.excused_until = None;
    }

    /// The host has something to do that takes a while.
    pub(super) fn excuse(&mut self, until: Instant) {
        self.excused_until = Some(until);
    }

    /// Looks, if it is time to.
    pub(super) fn look(&mut self, now: Instant) -> Look {
        if now < self.next {
            return Look::Wait;
        }
        self.next = now + self.interval;
        if self.answered == self.asked {
            self.asked += 1;
            self.missed = 0;
            return Look::Challenge(self.asked);
        }
        if self.excused_until.is_some_and(|until| now < until) {
            return Look::Wait;
        }
        self.missed += 1;
        match self.missed < LOOKS - 1 {
            true => Look::Wait,
            false => Look::Hung,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANG: Duration = Duration::from_secs(1);

    /// The time until the host is taken for hung, looked at whenever it wants to be.
    fn until_hung(mut pulse: Pulse, start: Instant) -> Duration {
        loop {
            let now = pulse.next_look();
            match pulse.look(now) {
                Look::Hung => return now - start,
                _ => assert!(now - start < 100 * HANG, "never"),
            }
        }
    }

    #[test]
    fn a_host_that_never_answers_is_found_in_time() {
        let start = Instant::now();
        let found = until_hung(Pulse::new(start, HANG), start);
        assert_eq!(found, HANG * EARLY.0 / EARLY.1);
    }

    #[test]
    fn a_host_that_answers_is_asked_again_and_never_taken_for_hung() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start, HANG);
        for expected in 1..1000 {
            let now = pulse.next_look();
            assert_eq!(pulse.look(now), Look::Challenge(expected));
            pulse.answered(expected);
        }
    }

    #[test]
    fn an_answer_to_something_else_counts_for_nothing() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start, HANG);
        pulse.look(pulse.next_look());
        pulse.answered(7);
        pulse.answered(0);
        assert!(until_hung(pulse, start) < HANG);
    }

    #[test]
    fn a_pause_of_everybody_is_no_reason() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start, HANG);
        let asked = pulse.next_look();
        assert_eq!(pulse.look(asked), Look::Challenge(1));
        // The machine stands still for five seconds; then there is one look, not twenty-five.
        let later = asked + 5 * HANG;
        assert_eq!(pulse.look(later), Look::Wait);
        assert_eq!(pulse.look(later), Look::Wait);
        pulse.answered(1);
        assert_eq!(pulse.look(pulse.next_look()), Look::Challenge(2));
    }

    #[test]
    fn a_host_that_has_said_so_may_be_silent_for_a_while() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start, HANG);
        pulse.look(pulse.next_look());
        pulse.excuse(start + 8 * HANG);
        let found = until_hung(pulse, start);
        assert!(found >= 8 * HANG && found <= 9 * HANG, "{found:?}");
    }
}
