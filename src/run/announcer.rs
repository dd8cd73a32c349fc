//! Peers are told where the interface is, as often as its device asks for that, and not oftener than
//! does any good.

use std::time::{Duration, Instant};

use log::{info, warn};

use crate::host::announcement::announce;

/// The shortest time between two announcements: what a device asks for in between is granted by the
/// one before. A machine that has moved announces itself some times, 50 ms apart and more.
const SPACING: Duration = Duration::from_millis(20);

/// When peers were told last.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    last: Option<Instant>,
}

impl Announcer {
    /// The device has asked for an announcement of interface `index`.
    pub(super) fn asked(&mut self, device: &str, index: u32, now: Instant) {
        if !self.is_due(now) {
            return;
        }
        match announce(index) {
            Ok(count) => info!("{device}: told its peers of {count} address(es), as it asked"),
            Err(error) => warn!("{device}: its peers could not be told where it is: {error}"),
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now >= last + SPACING);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_asks_without_end_is_granted_so_many_a_second() {
        let (start, mut announcer) = (Instant::now(), Announcer::default());
        let asks = (0..1000).map(|n| start + Duration::from_millis(n));
        let granted = asks.filter(|now| announcer.is_due(*now)).count();
        assert_eq!(granted, 50);
    }
}
