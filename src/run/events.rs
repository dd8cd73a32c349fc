//! What the control thread waits for.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;

use super::RunError;
use crate::driver::Driver;
use crate::host::watch::LinkWatch;

/// Something to handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The run is to end.
    Signal,
    /// The device's configuration may have changed.
    Config,
    /// A queue met a fault.
    Fault,
    /// The interface changed.
    Link,
    /// The system wants the device back.
    Removal,
}

const EVENTS: [Event; 5] = [
    Event::Signal,
    Event::Config,
    Event::Fault,
    Event::Link,
    Event::Removal,
];

/// An epoll set over signals, device and interface.
pub(super) struct Events {
    epoll: Epoll,
    _signals: UnixStream,
}

fn failed(action: &'static str) -> impl Fn(io::Error) -> RunError {
    move |source| RunError::Events { action, source }
}

impl Events {
    /// Starts to collect signals: from here on they end the run and not the process.
    pub(super) fn new() -> Result<Self, RunError> {
        let epoll = Epoll::new().map_err(failed("make an epoll set"))?;
        let signals = signals().map_err(failed("register for signals"))?;
        let events = Self {
            epoll,
            _signals: signals,
        };
        events.add(events._signals.as_raw_fd(), Event::Signal)?;
        Ok(events)
    }

    /// Waits for the driver's and the interface's events too.
    pub(super) fn watch(
        &self,
        driver: &Driver,
        watch: &LinkWatch,
        removal: Option<&EventFd>,
    ) -> Result<(), RunError> {
        if let Some(removal) = removal {
            self.add(removal.as_raw_fd(), Event::Removal)?;
        }
        self.add(driver.config_interrupt().as_raw_fd(), Event::Config)?;
        self.add(driver.fault_event().as_raw_fd(), Event::Fault)?;
        self.add(watch.as_raw_fd(), Event::Link)
    }

    fn add(&self, fd: RawFd, event: Event) -> Result<(), RunError> {
        let interest = EpollEvent::new(EventSet::IN, event as u64);
        self.epoll
            .ctl(ControlOperation::Add, fd, interest)
            .map_err(failed("watch a descriptor"))
    }

    /// The events at hand, or those that come until `deadline`; possibly none.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Result<Vec<Event>, RunError> {
        let mut ready = [EpollEvent::default(); EVENTS.len()];
        let count = match self.epoll.wait(timeout(deadline), &mut ready) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(failed("wait for events")(error)),
        };
        let of = |ready: &EpollEvent| EVENTS.get(ready.data() as usize).copied();
        Ok(ready[..count].iter().filter_map(of).collect())
    }
}

/// A socket that is readable once somebody wants the process to end.
pub(crate) fn signals() -> io::Result<UnixStream> {
    let (signals, sender) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
    }
    Ok(signals)
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
    use super::*;

    #[test]
    fn timeouts_never_end_before_the_deadline() {
        assert_eq!(timeout(None), -1);
        assert_eq!(timeout(Some(Instant::now())), 0);
        let soon = Instant::now() + Duration::from_millis(50);
        assert!((49..=51).contains(&timeout(Some(soon))));
    }
}
