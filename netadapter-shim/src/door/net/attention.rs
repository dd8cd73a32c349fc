//! Whether a client that was asked for a notification gives one.
//!
//! A client that forgets to notify is not seen at once: its packets wait until
//! something else brings the next Advance. So an armed queue that has slept for
//! a while is looked at, and packets that come back then, without a Notify
//! since the arming, should have been told of. One such find may be a packet
//! that came at this very moment; two in a row are none.

use std::time::{Duration, Instant};

/// How long a queue is armed before a look at it means something.
const ASLEEP: Duration = Duration::from_millis(500);
/// Finds in a row that make a breach.
const ENOUGH: u32 = 2;

/// What is known about one queue's notifications.
#[derive(Default)]
pub(super) struct Attention {
    /// Since when, and the number of notifications then.
    armed: Option<(Instant, u64)>,
    looking: bool,
    finds: u32,
    /// Notifications at the last find.
    seen: u64,
}

impl Attention {
    /// The client was asked for a notification.
    pub(super) fn armed(&mut self, notifications: u64) {
        self.armed = Some((Instant::now(), notifications));
    }

    /// Whether a look may be worth it later.
    pub(super) fn waits(&self) -> bool {
        self.armed.is_some()
    }

    /// The Advance that follows is made without a sign from anybody.
    pub(super) fn look(&mut self) {
        let asleep = |(since, _): (Instant, u64)| since.elapsed() >= ASLEEP;
        self.looking = self.armed.is_some_and(asleep);
    }

    /// After an Advance: whether the client should have notified and did not,
    /// again. `moved` says that it gave packets back.
    pub(super) fn is_lacking(&mut self, moved: bool, notifications: u64) -> bool {
        let looking = std::mem::take(&mut self.looking);
        if !moved {
            return false;
        }
        let silent = self.armed.take().is_some_and(|(_, at)| at == notifications);
        if notifications != self.seen {
            (self.seen, self.finds) = (notifications, 0);
        }
        self.finds += u32::from(looking && silent);
        self.finds == ENOUGH && looking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue that has been armed for long enough, and is looked at.
    fn looked_at(attention: &mut Attention, notifications: u64) {
        let long_ago = Instant::now().checked_sub(ASLEEP).unwrap();
        attention.armed = Some((long_ago, notifications));
        attention.look();
    }

    #[test]
    fn two_finds_without_a_notification_are_a_lack() {
        let mut attention = Attention::default();
        looked_at(&mut attention, 0);
        assert!(!attention.is_lacking(true, 0), "it may have come just now");
        looked_at(&mut attention, 0);
        assert!(attention.is_lacking(true, 0));
    }

    #[test]
    fn a_notification_between_two_finds_clears_the_first() {
        let mut attention = Attention::default();
        looked_at(&mut attention, 0);
        assert!(!attention.is_lacking(true, 0));
        looked_at(&mut attention, 1);
        assert!(!attention.is_lacking(true, 1));
    }

    #[test]
    fn an_empty_look_and_a_queue_armed_just_now_are_no_find() {
        let mut attention = Attention::default();
        for _ in 0..4 {
            looked_at(&mut attention, 0);
            assert!(!attention.is_lacking(false, 0));
            attention.armed(0);
            attention.look();
            assert!(!attention.is_lacking(true, 0));
        }
    }
}
