//! Watches what a back end does of its own accord: it goes, it says that a ring is broken, it
//! says that its configuration has changed.
//!
//! A thread does nothing but wait for that, and turns it into what a PCI device would have: a
//! configuration interrupt, and something to read in the device status.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use vmm_sys_util::eventfd::EventFd;

use super::messages::{ConfigChanged, Header};
use super::socket::{receive, send};
use crate::spec::vhost_user::header;

/// How long a message of the back end may take from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(1);

/// What has been noticed.
#[derive(Debug, Default)]
pub(super) struct Noticed {
    /// The connection is closed.
    pub(super) closed: AtomicBool,
    /// The back end says that a ring is broken.
    pub(super) broken: AtomicBool,
}

/// An event to be shared with a back end: its end of the descriptor has the same flags.
pub(super) fn new_event() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?)
}

/// Fires an event of [`new_event`].
#[inline]
pub(super) fn fire(event: &OwnedFd) {
    // Fails only when the counter is full, and then there is plenty to be seen.
    let _ = rustix::io::write(event, &1u64.to_ne_bytes());
}

/// A connection being watched; dropping this ends it.
#[derive(Debug)]
pub(super) struct Watch {
    noticed: Arc<Noticed>,
    stop: Arc<OwnedFd>,
    /// Closed by the thread's end.
    ended: Receiver<()>,
}

/// Something to be run.
pub type Job = Box<dyn FnOnce() + Send>;

/// Starts what is to run beside the driver: by default on a thread of its own.
#[derive(Clone)]
pub struct Spawn(Arc<dyn Fn(Job) -> io::Result<()> + Send + Sync>);

impl Spawn {
    /// By calling `spawn`, which must not wait for the job's end.
    pub fn new(spawn: impl Fn(Job) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(spawn))
    }
}

impl Default for Spawn {
    fn default() -> Self {
        Self::new(|job| {
            let thread = thread::Builder::new().name("vhost-user watch".to_owned());
            thread.spawn(job).map(drop)
        })
    }
}

impl fmt::Debug for Spawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawn")
    }
}

/// What is watched.
pub(super) struct Watched {
    /// For messages.
    pub(super) name: Arc<str>,
    /// The connection.
    pub(super) connection: Arc<UnixStream>,
    /// Our end of the socket for the back end's own requests.
    pub(super) back_channel: Option<UnixStream>,
    /// Fires for a broken ring.
    pub(super) errors: Arc<OwnedFd>,
    /// To be fired for whatever is noticed.
    pub(super) config: Arc<EventFd>,
}

impl Watch {
    /// Starts to watch.
    pub(super) fn start(watched: Watched, spawn: &Spawn) -> io::Result<Self> {
        let stop = Arc::new(new_event()?);
        let noticed = Arc::new(Noticed::default());
        let mut watcher = Watcher {
            watched,
            stop: Arc::clone(&stop),
            noticed: Arc::clone(&noticed),
        };
        let (end, ended) = sync_channel::<()>(0);
        (spawn.0)(Box::new(move || {
            watcher.run();
            // Its descriptors are closed before the end is told.
            drop(watcher);
            drop(end);
        }))?;
        Ok(Self {
            noticed,
            stop,
            ended,
        })
    }

    /// Whether the back end has gone.
    pub(super) fn is_closed(&self) -> bool {
        self.noticed.closed.load(Ordering::Acquire)
    }

    /// Whether the back end asks, in its way, to be reset.
    pub(super) fn is_broken(&self) -> bool {
        self.noticed.broken.load(Ordering::Acquire)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        fire(&self.stop);
        // A thread that panicked has said so on standard error.
        let _ = self.ended.recv();
    }
}

struct Watcher {
    watched: Watched,
    stop: Arc<OwnedFd>,
    noticed: Arc<Noticed>,
}

impl Watcher {
    fn run(&mut self) {
        loop {
            match self.wait() {
                Ok(Happened { stop: true, .. }) => return,
                Ok(happened) => {
                    if !self.handle(&happened) {
                        return;
                    }
                }
                Err(error) => {
                    log::warn!("{}: cannot watch the back end: {error}", self.watched.name);
                    return self.notice(&self.noticed.closed);
                }
            }
        }
    }

    /// Whether to go on.
    fn handle(&mut self, happened: &Happened) -> bool {
        if happened.told {
            self.told();
        }
        if happened.error {
            // Read to the end by one read; a spurious event does no harm.
            let _ = rustix::io::read(&*self.watched.errors, &mut [0; 8]);
            log::warn!(
                "{}: the back end says that a ring is broken",
                self.watched.name
            );
            self.notice(&self.noticed.broken);
        }
        if happened.closed {
            log::warn!(
                "{}: the back end has closed the connection",
                self.watched.name
            );
            self.notice(&self.noticed.closed);
        }
        !happened.closed
    }

    fn notice(&self, what: &AtomicBool) {
        what.store(true, Ordering::Release);
        self.fire();
    }

    fn fire(&self) {
        // Fails only when the counter is full, and then the interrupt is pending anyway.
        let _ = self.watched.config.write(1);
    }

    /// The back end has something to say. One that says what was not agreed on is not listened
    /// to any more.
    fn told(&mut self) {
        let Some(socket) = &self.watched.back_channel else {
            return;
        };
        match hear(socket) {
            Ok(()) => self.fire(),
            Err(error) => {
                log::warn!("{}: not listening any more: {error}", self.watched.name);
                self.watched.back_channel = None;
            }
        }
    }

    fn wait(&self) -> io::Result<Happened> {
        let watched = &self.watched;
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.stop.as_fd(), PollFlags::IN),
            // What can be read there is the answer to somebody else's question.
            PollFd::from_borrowed_fd(watched.connection.as_fd(), PollFlags::RDHUP),
            PollFd::from_borrowed_fd(watched.errors.as_fd(), PollFlags::IN),
        ];
        if let Some(socket) = &watched.back_channel {
            fds.push(PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => Ok(Happened::default()),
            Err(error) => Err(error.into()),
            Ok(_) => {
                let any = |i: usize| fds.get(i).is_some_and(|fd| !fd.revents().is_empty());
                Ok(Happened {
                    stop: any(0),
                    closed: any(1),
                    error: any(2),
                    told: any(3),
                })
            }
        }
    }
}

#[derive(Debug, Default)]
struct Happened {
    stop: bool,
    closed: bool,
    error: bool,
    told: bool,
}

/// Takes one message of the back end and answers it if it is to be answered.
fn hear(socket: &UnixStream) -> io::Result<()> {
    let by = Instant::now() + PATIENCE;
    let mut bytes = [0; header::SIZE];
    receive(socket, &mut bytes, by)?;
    let told = ConfigChanged::check(Header::from_bytes(bytes)).map_err(io::Error::other)?;
    if told.need_reply {
        send(socket, &ConfigChanged::answer(), &[], by)?;
    }
    Ok(())
}
