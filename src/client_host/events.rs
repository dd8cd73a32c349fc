//! What the control thread of a client's run waits for.

use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::ClientError;
use crate::run::signals;
use crate::signals::Signals;

/// Something to handle; adapters by their place in the list of watched interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The run is to end.
    Signal,
    /// Something is to be done: the client has given a device up, or a request waits.
    Woken,
    /// An adapter's interface changed.
    Link(usize),
    /// A queue of an adapter met a fault.
    Fault(usize),
}

impl Event {
    fn token(self) -> u64 {
        match self {
            Self::Signal => 0,
            Self::Woken => 1,
            Self::Link(number) => 2 * number as u64 + 2,
            Self::Fault(number) => 2 * number as u64 + 3,
        }
    }

    fn from_token(token: u64) -> Self {
        match token {
            0 => Self::Signal,
            1 => Self::Woken,
            even if even % 2 == 0 => Self::Link((even / 2 - 1) as usize),
            odd => Self::Fault((odd / 2 - 1) as usize),
        }
    }
}

/// An epoll set over signals and interfaces.
pub(super) struct Events {
    epoll: Epoll,
    signals: Signals,
    woken: EventFd,
}

/// Events handled between two looks at everything else.
const AT_ONCE: usize = 16;

impl Events {
    /// Starts to collect signals: from here on they end the run and not the process.
    pub(super) fn new() -> Result<Self, ClientError> {
        let epoll = Epoll::new().map_err(failed("make an epoll set"))?;
        let signals = signals().map_err(failed("register for signals"))?;
        let events = Self {
            epoll,
            signals,
            woken: EventFd::new(EFD_NONBLOCK).map_err(failed("make an eventfd"))?,
        };
        events.add(events.woken.as_raw_fd(), Event::Woken)?;
        events.add(events.signals.as_raw_fd(), Event::Signal)?;
        Ok(events)
    }

    /// What is written to have [`Event::Woken`] come.
    pub(super) fn waker(&self) -> Result<EventFd, ClientError> {
        self.woken.try_clone().map_err(failed("clone an eventfd"))
    }

    /// Watches a descriptor, also one that is watched already.
    pub(super) fn add(&self, fd: RawFd, event: Event) -> Result<(), ClientError> {
        let watch = |operation| {
            let interest = EpollEvent::new(EventSet::IN, event.token());
            self.epoll.ctl(operation, fd, interest)
        };
        let added = watch(ControlOperation::Add).or_else(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => watch(ControlOperation::Modify),
            _ => Err(error),
        });
        added.map_err(failed("watch a descriptor"))
    }

    /// Takes what has been written to the wakers back.
    pub(super) fn acknowledge(&self) {
        // Nothing there is as good.
        let _ = self.woken.read();
    }

    /// The events at hand, or those that come within `patience`; possibly none.
    pub(super) fn wait(&self, patience: Duration) -> Result<Vec<Event>, ClientError> {
        let mut ready = [EpollEvent::default(); AT_ONCE];
        let timeout = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        let count = match self.epoll.wait(timeout, &mut ready) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(failed("wait for events")(error)),
        };
        let events = ready[..count].iter();
        let events = events.map(|ready| Event::from_token(ready.data()));
        let mut events: Vec<_> = events.collect();
        if self.signals.have_come() && !events.contains(&Event::Signal) {
            events.push(Event::Signal);
        }
        Ok(events)
    }
}

fn failed(action: &'static str) -> impl Fn(std::io::Error) -> ClientError {
    move |source| ClientError::Events { action, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_bring_back_their_events() {
        let all = [
            Event::Signal,
            Event::Woken,
            Event::Link(0),
            Event::Fault(0),
            Event::Link(7),
            Event::Fault(7),
        ];
        assert_eq!(all.map(|event| Event::from_token(event.token())), all);
    }
}
