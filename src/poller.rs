//! Waiting for several descriptors at once, each under a name of its own.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

/// Most events told at once; the rest are told next time.
const BATCH: usize = 16;

/// An epoll set whose members have names of type `N`.
#[derive(Debug)]
pub struct Poller<N> {
    epoll: Epoll,
    names: BTreeMap<RawFd, N>,
}

impl<N: Copy> Poller<N> {
    /// An empty set.
    ///
    /// # Errors
    /// Descriptors have run out.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new()?,
            names: BTreeMap::new(),
        })
    }

    /// Waits for `fd` too, until [`Poller::remove`].
    ///
    /// # Errors
    /// What the kernel says; `fd` is not waited for then.
    pub fn add(&mut self, fd: RawFd, name: N) -> io::Result<()> {
        let interest = EpollEvent::new(EventSet::IN, u64::from(fd.cast_unsigned()));
        self.epoll.ctl(ControlOperation::Add, fd, interest)?;
        self.names.insert(fd, name);
        Ok(())
    }

    /// Waits for `fd` no longer. To be called before it is closed.
    pub fn remove(&mut self, fd: RawFd) {
        if self.names.remove(&fd).is_some() {
            // It was in the set, so nothing can go wrong that mattered.
            let nothing = EpollEvent::default();
            let _ = self.epoll.ctl(ControlOperation::Delete, fd, nothing);
        }
    }

    /// The names of those that are ready now or get ready until `deadline`; possibly none.
    ///
    /// # Errors
    /// What the kernel says, a signal apart.
    pub fn wait(&self, deadline: Option<Instant>) -> io::Result<Vec<N>> {
        let mut ready = [EpollEvent::default(); BATCH];
        let count = match self.epoll.wait(timeout(deadline), &mut ready) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        let name = |event: &EpollEvent| {
            let fd = RawFd::try_from(event.data()).ok()?;
            self.names.get(&fd).copied()
        };
        Ok(ready.iter().take(count).filter_map(name).collect())
    }
}

/// Milliseconds until `deadline`, rounded up; -1 without one.
fn timeout(deadline: Option<Instant>) -> i32 {
    let Some(deadline) = deadline else { return -1 };
    let left = deadline.saturating_duration_since(Instant::now());
    let rounded = left + Duration::from_micros(999);
    i32::try_from(rounded.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn timeouts_never_end_before_the_deadline() {
        assert_eq!(timeout(None), -1);
        assert_eq!(timeout(Some(Instant::now())), 0);
        let soon = Instant::now() + Duration::from_millis(50);
        assert!((49..=51).contains(&timeout(Some(soon))));
    }

    #[test]
    fn who_is_ready_is_told_by_name_and_who_was_removed_is_not() {
        let mut poller = Poller::new().unwrap();
        let (here, mut there) = UnixStream::pair().unwrap();
        poller.add(here.as_raw_fd(), 'h').unwrap();
        assert_eq!(poller.wait(Some(Instant::now())).unwrap(), []);
        there.write_all(b"x").unwrap();
        assert_eq!(poller.wait(None).unwrap(), ['h']);
        poller.remove(here.as_raw_fd());
        assert_eq!(poller.wait(Some(Instant::now())).unwrap(), []);
    }
}
