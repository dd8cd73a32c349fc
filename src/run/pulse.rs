//! Whether a driver host still does its work.
//!
//! A challenge goes out, and is answered by the poll loops themselves: a host whose queues stand
//! still does not answer, however busy its other threads are. Time is counted in looks, each a
//! good while after the one before, and not on the clock: a machine that was paused, or a
//! supervisor that was kept waiting, has missed looks and takes nobody for hung because of it. Nor
//! do looks count at which the host would have run and was not let: a machine has better things to
//! do then, or a disk is slow.

use std::time::{Duration, Instant};

use super::activity::Activity;

/// Looks in the time that a host has.
const LOOKS: u32 = 5;
/// They come a tenth earlier than that time has room for: each may be a little late, and all
/// together are not to be.
const EARLY: (u32, u32) = (9, 10);

/// A host that has run for less between two looks, and would have, was kept from answering.
const TOO_LITTLE: Duration = Duration::from_millis(1);
/// So many looks in a row may be forgiven for that, nine times the time that a host has.
const FORGIVEN: u32 = 9 * LOOKS;

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
    forgiven: u32,
    /// At the last look that found no answer.
    seen: Activity,
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
            forgiven: 0,
            seen: Activity::default(),
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
            self.forgiven = 0;
        }
        self.excused_until = None;
    }

    /// The host has something to do that takes a while.
    pub(super) fn excuse(&mut self, until: Instant) {
        self.excused_until = Some(until);
    }

    /// Looks, if it is time to; and, if there is no answer, at what the host does.
    pub(super) fn look(&mut self, now: Instant, activity: impl FnOnce() -> Activity) -> Look {
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
        if self.is_kept_waiting(activity()) && self.forgiven < FORGIVEN {
            self.forgiven += 1;
            return Look::Wait;
        }
        self.missed += 1;
        match self.missed < LOOKS - 1 {
            true => Look::Wait,
            false => Look::Hung,
        }
    }

    fn is_kept_waiting(&mut self, now: Activity) -> bool {
        let before = std::mem::replace(&mut self.seen, now);
        now.wants && now.ran.saturating_sub(before.ran) < TOO_LITTLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANG: Duration = Duration::from_secs(1);

    /// The time until the host is taken for hung, looked at whenever it wants to be.
    fn until_hung(pulse: Pulse, start: Instant) -> Duration {
        until_hung_as(pulse, start, Activity::default)
    }

    /// The same of a host that does something.
    fn until_hung_as(
        mut pulse: Pulse,
        start: Instant,
        mut activity: impl FnMut() -> Activity,
    ) -> Duration {
        loop {
            let now = pulse.next_look();
            match pulse.look(now, &mut activity) {
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
            assert_eq!(
                pulse.look(now, Activity::default),
                Look::Challenge(expected)
            );
            pulse.answered(expected);
        }
    }

    #[test]
    fn an_answer_to_something_else_counts_for_nothing() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start, HANG);
        pulse.look(pulse.next_look(), Activity::default);
        pulse.answered(7);
        pulse.answered(0);
        assert!(until_hung(pulse, start) < HANG);
    }

    #[test]
    fn a_pause_of_everybody_is_no_reason() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start, HANG);
        let asked = pulse.next_look();
        assert_eq!(pulse.look(asked, Activity::default), Look::Challenge(1));
        // The machine stands still for five seconds; then there is one look, not twenty-five.
        let later = asked + 5 * HANG;
        assert_eq!(pulse.look(later, Activity::default), Look::Wait);
        assert_eq!(pulse.look(later, Activity::default), Look::Wait);
        pulse.answered(1);
        assert_eq!(
            pulse.look(pulse.next_look(), Activity::default),
            Look::Challenge(2)
        );
    }

    #[test]
    fn a_host_that_has_said_so_may_be_silent_for_a_while() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start, HANG);
        pulse.look(pulse.next_look(), Activity::default);
        pulse.excuse(start + 8 * HANG);
        let found = until_hung(pulse, start);
        assert!(found >= 8 * HANG && found <= 9 * HANG, "{found:?}");
    }

    /// A host of which a thread is ready to run and gets so much of a processor between two looks.
    fn ready(gets: Duration) -> impl FnMut() -> Activity {
        let mut ran = Duration::from_secs(5);
        move || {
            ran += gets;
            Activity { ran, wants: true }
        }
    }

    #[test]
    fn a_host_that_is_not_let_run_is_waited_for_but_not_for_ever() {
        let start = Instant::now();
        let pulse = Pulse::new(start, HANG);
        let found = until_hung_as(pulse, start, ready(Duration::from_micros(50)));
        assert!(found > 8 * HANG && found < 10 * HANG, "{found:?}");
    }

    #[test]
    fn a_host_that_loops_is_found_in_time_on_a_busy_machine() {
        let start = Instant::now();
        let pulse = Pulse::new(start, HANG);
        let found = until_hung_as(pulse, start, ready(Duration::from_millis(4)));
        assert_eq!(found, HANG * EARLY.0 / EARLY.1);
    }

    #[test]
    fn an_answer_after_a_long_wait_is_as_good_as_any() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start, HANG);
        pulse.look(pulse.next_look(), Activity::default);
        let mut starved = ready(Duration::ZERO);
        pulse.look(pulse.next_look(), &mut starved);
        for _ in 0..2 * LOOKS {
            assert_eq!(pulse.look(pulse.next_look(), &mut starved), Look::Wait);
        }
        pulse.answered(1);
        assert_eq!(
            pulse.look(pulse.next_look(), &mut starved),
            Look::Challenge(2)
        );
    }
}
