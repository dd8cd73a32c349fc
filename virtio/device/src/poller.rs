//! What the device's thread waits for.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

/// Something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A front end wants to connect.
    Listener,
    /// The front end has something to say, or has gone.
    Socket,
    /// Frames have arrived on the link.
    Link,
    /// The device is to end.
    Stop,
    /// The driver rang for this queue.
    Kick(u16),
}

const NAMES: [Event; 4] = [Event::Listener, Event::Socket, Event::Link, Event::Stop];

impl Event {
    fn number(self) -> u64 {
        match self {
            Self::Listener => 0,
            Self::Socket => 1,
            Self::Link => 2,
            Self::Stop => 3,
            Self::Kick(queue) => NAMES.len() as u64 + u64::from(queue),
        }
    }

    fn from_number(number: u64) -> Self {
        let named = NAMES.get(number as usize).copied();
        named.unwrap_or_else(|| Self::Kick((number - NAMES.len() as u64) as u16))
    }
}

/// Waits for several things at once. Clones share what is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Poller {
    epoll: Arc<OwnedFd>,
    kicks: Arc<Mutex<Vec<(u16, File)>>>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Arc::new(epoll::create(CreateFlags::CLOEXEC)?),
            kicks: Arc::default(),
        })
    }

    /// Waits for `fd` to be readable, too.
    pub(crate) fn add(&self, event: Event, fd: impl AsFd) -> io::Result<()> {
        self.register(event, fd, EventFlags::IN)
    }

    /// The same, told once each time that something comes: what is there need not be taken.
    pub(crate) fn add_edge(&self, event: Event, fd: impl AsFd) -> io::Result<()> {
        self.register(event, fd, EventFlags::IN | EventFlags::ET)
    }

    fn register(&self, event: Event, fd: impl AsFd, flags: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(event.number());
        Ok(epoll::add(&*self.epoll, fd, data, flags)?)
    }

    /// Waits for `fd` no more.
    pub(crate) fn remove(&self, fd: impl AsFd) {
        // What is closed has gone by itself.
        let _ = epoll::delete(&*self.epoll, fd);
    }

    /// Waits for the doorbell of a queue, in place of an earlier one.
    pub(crate) fn add_kick(&self, queue: u16, kick: File) -> io::Result<()> {
        self.remove_kicks(Some(queue));
        // Whoever has the other end could make it blocking; nothing depends on that before then.
        rustix::io::ioctl_fionbio(&kick, true)?;
        self.add(Event::Kick(queue), &kick)?;
        self.kicks().push((queue, kick));
        Ok(())
    }

    /// Waits no more for the doorbell of `queue`, or of any.
    pub(crate) fn remove_kicks(&self, queue: Option<u16>) {
        let gone = |index: u16| queue.is_none_or(|queue| queue == index);
        self.kicks().retain(|(index, kick)| {
            if gone(*index) {
                self.remove(kick);
            }
            !gone(*index)
        });
    }

    fn kicks(&self) -> std::sync::MutexGuard<'_, Vec<(u16, File)>> {
        self.kicks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something happens, or not at all if there is `more` to do anyway.
    pub(crate) fn wait(&self, more: bool, events: &mut Vec<Event>) -> io::Result<()> {
        let mut found = Vec::with_capacity(16);
        let timeout = more.then(Timespec::default);
        match epoll::wait(&*self.epoll, spare_capacity(&mut found), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        events.clear();
        events.extend(
            found
                .iter()
                .map(|event| Event::from_number(event.data.u64())),
        );
        for event in &*events {
            if let Event::Kick(queue) = event {
                self.quieten(*queue);
            }
        }
        Ok(())
    }

    /// Takes what a doorbell was rung with.
    fn quieten(&self, queue: u16) {
        let kicks = self.kicks();
        let own = kicks.iter().filter(|(index, _)| *index == queue);
        // One that was never rung has nothing to be read.
        own.for_each(|(_, kick)| drop((&*kick).read(&mut [0; 8])));
    }
}
