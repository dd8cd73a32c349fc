//! A run under a service manager: it hears when the device runs and how things are, its watchdog
//! is fed by the supervisor's own loop, and it keeps what a restart must not lose.
//!
//! Without one, nothing of this does anything.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use rustix::time::{ClockId, clock_gettime};
use signal_hook::consts::SIGUSR2;

use super::notify::{Notifier, watchdog_interval};
use super::store::Store;
use super::succession::Run;
use crate::signals::Signals;

/// How old the counters are at most that a killed supervisor leaves behind.
const REFRESH: Duration = Duration::from_secs(10);

/// The service manager, as this run sees it.
pub(super) struct Manager(Option<Managed>);

struct Managed {
    notifier: Notifier,
    store: Store,
    /// The run is to end and leave everything with the manager.
    leave: Signals,
    watchdog: Option<Duration>,
    feed_at: Instant,
    refresh_at: Instant,
    /// The host of which the last state was kept.
    kept_of: Option<u32>,
    ready: bool,
    status: String,
}

impl Managed {
    fn new(store: Store) -> io::Result<Option<Self>> {
        let Some(notifier) = Notifier::from_environment() else {
            return Ok(None);
        };
        let now = Instant::now();
        let mut managed = Self {
            notifier,
            store,
            leave: Signals::of(&[SIGUSR2])?,
            watchdog: watchdog_interval(),
            feed_at: now,
            refresh_at: now,
            kept_of: None,
            ready: false,
            status: String::new(),
        };
        // One that takes over in place has what is left of the time that the one before was given.
        managed.feed(now);
        Ok(Some(managed))
    }

    fn say(&self, lines: &str) {
        if let Err(error) = self.notifier.say(lines) {
            debug!("the service manager does not hear {lines:?}: {error}");
        }
    }

    fn feed(&mut self, now: Instant) {
        if let Some(interval) = self.watchdog
            && now >= self.feed_at
        {
            self.say("WATCHDOG=1");
            self.feed_at = now + interval;
        }
    }

    fn tell(&mut self, ready: bool, status: String) {
        if ready && !self.ready {
            self.say("READY=1");
            self.ready = true;
        }
        if status != self.status {
            self.say(&format!("STATUS={status}"));
            self.status = status;
        }
    }
}

impl Manager {
    /// The one that has started this process, if any; `store` is what it keeps.
    pub(super) fn new(store: Store) -> io::Result<Self> {
        Managed::new(store).map(Self)
    }

    /// When [`manage`] has something to do next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let managed = self.0.as_ref()?;
        let feed = managed.watchdog.map(|_| managed.feed_at);
        let refresh = managed.ready.then_some(managed.refresh_at);
        [feed, refresh].into_iter().flatten().min()
    }

    /// Becomes readable when the run is to leave everything with the manager.
    pub(super) fn leave(&self) -> Option<RawFd> {
        Some(self.0.as_ref()?.leave.as_raw_fd())
    }

    /// Whether the run is to leave everything with the manager.
    pub(super) fn wants_to_leave(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|managed| managed.leave.have_come())
    }

    /// What is kept, for a program that replaces this one.
    pub(super) fn stored(&self) -> Vec<String> {
        let managed = self.0.as_ref();
        managed.map_or_else(Vec::new, |managed| managed.store.names())
    }

    /// Another program is about to take over. It says itself when it is ready.
    pub(super) fn reloading(&mut self) {
        let Some(managed) = &mut self.0 else { return };
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        managed.feed_at = Instant::now();
        managed.feed(managed.feed_at);
        managed.say(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
        managed.ready = false;
    }

    /// The run is about to end in good order.
    pub(super) fn stopping(&self) {
        if let Some(managed) = &self.0 {
            managed.say("STOPPING=1\nSTATUS=giving the device back");
        }
    }

    /// Nothing is kept any more: interface and device are closed with this.
    pub(super) fn clear(&mut self) {
        if let Some(managed) = &mut self.0
            && let Err(error) = managed.store.clear(&managed.notifier)
        {
            warn!("the service manager still holds the device: {error}");
        }
    }
}

/// Tells the manager what there is to tell, as often as there is something.
pub(super) fn manage(run: &mut impl Run) {
    let now = Instant::now();
    let host = run.hosts().running_pid();
    let Some(managed) = &run.manager().0 else {
        return;
    };
    let fresh = host.is_some() && managed.kept_of != host;
    if fresh || (managed.ready && now >= managed.refresh_at) {
        keep_with_manager(run);
    }
    let (down, status) = status_line(run);
    if let Some(managed) = &mut run.manager().0 {
        managed.tell(host.is_some() || down, status);
        managed.feed(now);
    }
}

/// Has everything kept as it is now, if there is a manager.
pub(super) fn keep_with_manager(run: &mut impl Run) {
    if run.manager().0.is_none() {
        return;
    }
    let host = run.hosts().running_pid();
    let kept = run.keep(run.hosts().state());
    let Some(managed) = &mut run.manager().0 else {
        return;
    };
    let kept = kept.and_then(|(state, fds)| managed.store.keep(&managed.notifier, state, &fds));
    managed.kept_of = host;
    managed.refresh_at = Instant::now() + REFRESH;
    if let Err(error) = kept {
        let name = run.hosts().name();
        warn!("{name}: the service manager does not keep it: {error}");
    }
}

/// Whether there is no host for now, and how things are in one line.
fn status_line(run: &impl Run) -> (bool, String) {
    let name = run.title();
    let board = run.hosts().board();
    let down = board.down.is_some();
    let line = match (&board.down, run.hosts().running_pid()) {
        (Some(why), _) => format!("{name}: link down, no driver: {why}"),
        (None, None) => format!("{name}: waiting for a driver host"),
        (None, Some(pid)) => {
            let restarts = board.restarts;
            format!("{name}: driven by host {pid}, {restarts} restarts")
        }
    };
    // One line, whatever a host has said.
    (down, line.replace(['\n', '\r'], " "))
}

/// Ends this process and leaves interfaces, their connections and the device with the manager, for
/// the run that it starts next. The host ends with its supervisor.
pub(super) fn leave_with_manager(run: &mut impl Run) -> ! {
    keep_with_manager(run);
    let name = run.hosts().name();
    info!("{name}: left with the service manager for the next run");
    // Nothing is dropped: that would stop the device and take its memory away.
    std::process::exit(0)
}
