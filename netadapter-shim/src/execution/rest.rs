//! What a context does between two turns: the order in which it looks on, arms, looks once more
//! and sleeps.

use crate::wake::Waker;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another turn.
    Turn,
    /// Another turn although the last found nothing and nobody is to notify: something is likely
    /// to come soon.
    Look,
    /// The clients ask for notifications; then another turn, or a completion between the last
    /// turn and the arming would be slept over.
    Arm,
    /// Nothing came since the clients were armed: sleep until a source reports.
    Sleep,
}

/// How far a context has come on its way to sleep.
#[derive(Debug, Default)]
pub(super) struct Rest {
    armed: bool,
}

impl Rest {
    /// Begins a turn; whether somebody has sent a notification since the last. It may have
    /// started a queue, and a client may have taken its own notification back with the news:
    /// either must be armed anew.
    pub(super) fn begin_turn(&mut self, waker: &Waker) -> bool {
        let notified = waker.begin_turn();
        self.armed &= !notified;
        notified
    }

    /// After a turn that found work, or none; then `looks_on` says whether to wait awake. Who is
    /// armed already is on the way to sleep and is not asked.
    pub(super) fn after_turn(
        &mut self,
        found_work: bool,
        waker: &Waker,
        looks_on: impl FnOnce() -> bool,
    ) -> Next {
        if found_work {
            self.armed = false;
            Next::Turn
        } else if !self.armed && looks_on() {
            Next::Look
        } else if !self.armed {
            self.armed = true;
            Next::Arm
        } else if waker.try_sleep() {
            self.armed = false;
            Next::Sleep
        } else {
            Next::Turn
        }
    }
}
