//! What must not be lost, in the keeping of the service manager (its file-descriptor store).
//!
//! A supervisor that dies, or is restarted, leaves there what its successor goes on with: the
//! TAPs' queues, the device's descriptors or a client's sockets, and a file with the [`State`]. The
//! host has ended with its supervisor. A name tells what a descriptor is and which one: what is to be
//! replaced is named otherwise than what replaces it, so that at any moment a whole set is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use log::warn;
use rustix::fs::fstat;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::handover::{Left, RunState, State};
use super::notify::Notifier;

/// What the manager tells of descriptors that it passes, see sd_listen_fds(3).
pub(super) const PASSED: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];
/// The first descriptor passed.
const FIRST: RawFd = 3;
/// More than a device can have.
const MAX_PASSED: usize = 256;
const STATE: &str = "state";

/// The names of what the manager keeps for this process.
#[derive(Debug, Default)]
pub(super) struct Store(BTreeSet<String>);

impl Store {
    /// One that has these already.
    pub(super) fn of(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// What is kept, for a program that replaces this one.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().cloned().collect()
    }

    /// Has `state` kept with its descriptors, and nothing else any more.
    pub(super) fn keep(
        &mut self,
        manager: &Notifier,
        mut state: State,
        fds: &[OwnedFd],
    ) -> io::Result<()> {
        let names = fds.iter().enumerate();
        let names = names.map(|(index, fd)| name(&format!("fd{index}"), fd.as_fd()));
        state.stored = names.collect::<io::Result<_>>()?;
        for (name, fd) in state.stored.iter().zip(fds) {
            self.add(manager, name, fd.as_fd())?;
        }
        let file = state.to_file()?;
        let state_name = name(STATE, file.as_fd())?;
        // Last, so that whatever it names is there.
        self.add(manager, &state_name, file.as_fd())?;
        let wanted = |name: &String| *name == state_name || state.stored.contains(name);
        for stale in self.names().iter().filter(|name| !wanted(name)) {
            self.remove(manager, stale)?;
        }
        Ok(())
    }

    fn add(&mut self, manager: &Notifier, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        if !self.0.contains(name) {
            manager.keep(name, fd)?;
            self.0.insert(name.to_owned());
        }
        Ok(())
    }

    fn remove(&mut self, manager: &Notifier, name: &str) -> io::Result<()> {
        manager.remove(name)?;
        self.0.remove(name);
        Ok(())
    }

    /// Has everything closed. When this returns the manager holds nothing of it any more, unless
    /// it does not listen.
    pub(super) fn clear(&mut self, manager: &Notifier) -> io::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        for name in self.names() {
            self.remove(manager, &name)?;
        }
        manager.wait()
    }
}

/// Which file it is, as far as the kernel tells: those that look the same, a TAP's or events,
/// stay the same as long as the device does.
fn name(role: &str, fd: BorrowedFd<'_>) -> io::Result<String> {
    Ok(format!("{role}-{:x}", fstat(fd)?.st_ino))
}

/// What a supervisor before this one has left with the manager.
#[derive(Debug)]
pub struct Kept<R> {
    pub(super) run: R,
    pub(super) left: Left,
}

impl<R> Kept<R> {
    /// What the manager has passed to this process, as `fits` takes it for this run. What cannot be
    /// used is given back to the manager to be closed: the run then begins from nothing.
    pub(super) fn received(fits: impl FnOnce(RunState) -> io::Result<R>) -> Option<Self> {
        let names = names_passed()?;
        let store = Store::of(names.iter().cloned());
        let sorted = passed(names).and_then(sort);
        match sorted.and_then(|(state, fds)| Ok((fits(state.run)?, state.began, state.hosts, fds)))
        {
            Ok((run, began, hosts, fds)) => Some(Self {
                run,
                left: Left {
                    began,
                    hosts,
                    channel: None,
                    fds,
                    store,
                },
            }),
            Err(error) => {
                warn!("what the service manager has kept is of no use: {error}");
                discard(store);
                None
            }
        }
    }
}

/// Goes on with what was kept. Where that does not succeed nothing is kept any more.
pub(super) fn go_on<R, T, E>(
    kept: Kept<R>,
    go_on: impl FnOnce(R, Left) -> Result<T, E>,
) -> Result<T, E> {
    let names = kept.left.store.names();
    let gone_on = go_on(kept.run, kept.left);
    if gone_on.is_err() {
        discard(Store::of(names));
    }
    gone_on
}

/// Why what was kept is not for this run.
pub(super) fn unfit(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Has the manager close what is of no use, so that the next start does not find it again.
pub(super) fn discard(mut store: Store) {
    let cleared = Notifier::from_environment().map(|manager| store.clear(&manager));
    if let Some(Err(error)) = cleared {
        warn!("the service manager still holds what it kept: {error}");
    }
}

/// The names of the descriptors that the manager has passed to this process, if it has.
fn names_passed() -> Option<Vec<String>> {
    let [process, count, names] = PASSED.map(|name| std::env::var(name).ok());
    let meant = process?.parse() == Ok(std::process::id());
    let count: usize = count?.parse().ok().filter(|count| *count > 0 && meant)?;
    let names = names.unwrap_or_default();
    let names = names.split(':').map(str::to_owned);
    Some(names.take(count.min(MAX_PASSED)).collect())
}

/// The descriptors, by name. Their numbers are free afterwards: each has become one that closes
/// when a driver host is started.
fn passed(names: Vec<String>) -> io::Result<BTreeMap<String, OwnedFd>> {
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    let fds = (FIRST..).zip(&names).map(|(number, _)| {
        let fd = pidfd_getfd(&own, number, PidfdGetfdFlags::empty());
        // Ours by the manager's word: nothing in this process has had the number before.
        nix::unistd::close(number)?;
        Ok(fd?)
    });
    // All of them, before any error counts: a number that is left open holds its file for good.
    let fds: Vec<io::Result<OwnedFd>> = fds.collect();
    let fds = fds.into_iter().collect::<io::Result<Vec<_>>>()?;
    Ok(names.into_iter().zip(fds).collect())
}

/// The state, and what it names.
fn sort(mut passed: BTreeMap<String, OwnedFd>) -> io::Result<(State, Vec<OwnedFd>)> {
    let is_state = |name: &&String| name.starts_with(STATE);
    // Two, if its writer died between adding one and removing the other: either is whole.
    let names: Vec<_> = passed.keys().filter(is_state).cloned().collect();
    let files = names.iter().filter_map(|name| passed.remove(name));
    let files: Vec<_> = files.map(File::from).collect();
    let state = files.iter().find_map(|file| {
        let state = State::of_file(file).ok()?;
        let whole = state.stored.iter().all(|name| passed.contains_key(name));
        whole.then_some(state)
    });
    let state = state.ok_or_else(|| unfit("parts are missing".to_owned()))?;
    let fds = state.stored.iter().filter_map(|name| passed.remove(name));
    let fds = fds.collect();
    Ok((state, fds))
}
