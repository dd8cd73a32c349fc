//! Signals that a process waits for beside other things.
//!
//! Their handler wakes a wait by writing to a socket, and that can fail for want of memory. So it
//! leaves a mark before, which is what counts, to be looked at whenever a wait has returned: a
//! signal interrupts one that has begun, and the next deadline ends any other.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Signals that no longer do what they do by themselves.
#[derive(Debug)]
pub(crate) struct Signals {
    socket: UnixStream,
    come: Arc<AtomicBool>,
}

impl Signals {
    /// Those with these numbers.
    pub(crate) fn of(numbers: &[i32]) -> io::Result<Self> {
        let (socket, sender) = UnixStream::pair()?;
        let come = Arc::new(AtomicBool::new(false));
        for &number in numbers {
            // In this order: whoever is woken finds the mark.
            signal_hook::flag::register(number, Arc::clone(&come))?;
            signal_hook::low_level::pipe::register(number, sender.try_clone()?)?;
        }
        Ok(Self { socket, come })
    }

    /// Whether one of them has come.
    pub(crate) fn have_come(&self) -> bool {
        self.come.load(Ordering::Relaxed)
    }
}

/// Readable once one of them has come, unless there was no memory to say so.
impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;
    use std::time::{Duration, Instant};

    use signal_hook::consts::SIGURG;
    use signal_hook::low_level::raise;

    use super::*;
    use crate::poller::Poller;

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(5))
    }

    #[test]
    fn a_signal_ends_a_wait_and_leaves_its_mark() {
        let signals = Signals::of(&[SIGURG]).unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(signals.as_raw_fd(), 's').unwrap();
        assert!(!signals.have_come());
        raise(SIGURG).unwrap();
        assert_eq!(poller.wait(soon()).unwrap(), ['s']);
        assert!(signals.have_come());
    }
    #[test]
    fn the_mark_is_left_also_when_nobody_can_be_woken() {
        let signals = Signals::of(&[SIGURG]).unwrap();
        signals.socket.shutdown(Shutdown::Both).unwrap();
        raise(SIGURG).unwrap();
        assert!(signals.have_come());
    }
}
