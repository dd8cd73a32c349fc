//! What may end a context's sleep, all watched edge-triggered: one epoll
//! behind `event-manager`.
//!
//! Edges make reading an eventfd needless: every signal is an edge of its own,
//! and its counter never fills within a lifetime. The port's edge is
//! remembered until the port has been read empty.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use event_manager::{
    EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberId, SubscriberOps,
};
use vmm_sys_util::eventfd::EventFd;

use crate::wake::Waker;

/// Events of one wait; a pair has four sources.
const CAPACITY: usize = 8;

/// Why the context woke up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Woken {
    /// The port became readable.
    pub(super) port: bool,
    /// Something reported; otherwise the time was up.
    pub(super) by_source: bool,
}

/// The context's epoll.
pub(super) struct Sources {
    manager: EventManager<Watch>,
    watch: SubscriberId,
    /// Keeps the descriptors open that epoll watches.
    _interrupts: Vec<Arc<EventFd>>,
}

/// Remembers whether the port's descriptor reported.
struct Watch {
    port: Option<RawFd>,
    woken: Woken,
}

impl MutEventSubscriber for Watch {
    fn process(&mut self, events: Events, _ops: &mut EventOps) {
        self.woken.by_source = true;
        self.woken.port |= Some(events.fd()) == self.port;
    }

    fn init(&mut self, _ops: &mut EventOps) {}
}

impl Sources {
    pub(super) fn new(
        waker: &Waker,
        port: Option<RawFd>,
        interrupts: &[Arc<EventFd>],
    ) -> io::Result<Self> {
        let mut manager = EventManager::new_with_capacity(CAPACITY).map_err(into_io)?;
        let woken = Woken::default();
        let watch = manager.add_subscriber(Watch { port, woken });
        let mut ops = manager.event_ops(watch).map_err(into_io)?;
        let mut fds = vec![waker.fd()];
        fds.extend(port);
        fds.extend(interrupts.iter().map(|interrupt| interrupt.as_raw_fd()));
        // Both queues of a pair may name the same interrupt.
        fds.sort_unstable();
        fds.dedup();
        for fd in fds {
            let edges = EventSet::IN | EventSet::EDGE_TRIGGERED;
            ops.add(Events::new_raw(fd, edges)).map_err(into_io)?;
        }
        Ok(Self {
            manager,
            watch,
            _interrupts: interrupts.to_vec(),
        })
    }

    /// Sleeps until a source reports or `timeout` milliseconds have passed
    /// (-1: for ever).
    pub(super) fn wait(&mut self, timeout: i32) -> io::Result<Woken> {
        self.manager.run_with_timeout(timeout).map_err(into_io)?;
        let watch = self.manager.subscriber_mut(self.watch).map_err(into_io)?;
        Ok(std::mem::take(&mut watch.woken))
    }
}

fn into_io(error: event_manager::Error) -> io::Error {
    match error {
        event_manager::Error::Epoll(errno) => io::Error::from_raw_os_error(errno.errno()),
        other => io::Error::other(other.to_string()),
    }
}
