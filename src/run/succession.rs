//! A session goes on in another program, and from another one.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

use log::info;
use netadapter_shim::os::tap::Tap;

use super::board::SharedBoard;
use super::card::bind;
use super::device::Device;
use super::handover::{self, Descriptors, HostsState, Inheritance, State};
use super::holding::{HeldState, Holding};
use super::host_process::Program;
use super::hosts::Hosts;
use super::opening::Running;
use super::settings::host_settings;
use super::store::Store;
use super::update::Reply;
use super::{Event, RunError, Session, events};
use crate::host::state::DeviceLock;
use crate::poller::Poller;
use crate::signals::Signals;

/// How long a control thread may take to pass an answer on.
const TO_REPLY: Duration = Duration::from_millis(50);

impl Session {
    /// From what the program before this one has left.
    pub(super) fn resume(signals: Signals) -> Result<Self, RunError> {
        let taken = events("take over from the program before");
        let (inheritance, state) = Inheritance::open().map_err(&taken)?;
        let store = Store::of(state.stored.iter().cloned());
        Self::take_over(signals, state, store, |state| {
            inheritance.descriptors(state)
        })
    }

    pub(super) fn take_over(
        signals: Signals,
        state: State,
        store: Store,
        descriptors: impl FnOnce(&State) -> io::Result<Descriptors>,
    ) -> Result<Self, RunError> {
        let taken = events("take over from the program before");
        let config = state.config.clone();
        // Locks first: they were the old program's.
        let binding = bind(&config, true)?;
        let lock = state.lock.as_deref();
        let lock = lock.map(|stem| DeviceLock::acquire(&config.host, stem));
        let lock = lock.transpose()?;
        let fds = descriptors(&state).map_err(&taken)?;
        let tap = Tap::attached(&state.port.name, fds.queues, state.port.uso);
        let holding = Holding::resume(state.holding, fds.device)?;
        let mut poller = Poller::new().map_err(&taken)?;
        let mut watched = vec![(signals.as_raw_fd(), Event::Signal)];
        watched.extend(
            holding
                .removal()
                .map(|event| (event.as_raw_fd(), Event::Removal)),
        );
        for (fd, event) in watched {
            poller.add(fd, event).map_err(&taken)?;
        }
        let board = SharedBoard::default();
        let settings = host_settings(&config);
        let device = Device { holding, tap };
        let hosts = Hosts::new(poller, device, settings, board.clone());
        let mut hosts = hosts.map_err(&taken)?;
        hosts.resume(state.hosts, fds.channel).map_err(&taken)?;
        info!(
            "{}: this is umnet {} now",
            hosts.name(),
            env!("CARGO_PKG_VERSION")
        );
        let running = Running {
            hosts,
            board,
            ifname: state.ifname,
            index: state.index,
            signals,
            lock,
            store,
            began: state.began,
        };
        let mut session = Self::run(&config, running, binding.as_ref())?;
        session.binding = binding;
        Ok(session)
    }

    /// Makes place for another program of the supervisor. Comes back only if that fails, and then
    /// nothing has changed.
    pub(super) fn change_program(
        &mut self,
        path: Option<&Path>,
        reply: &Reply,
    ) -> Result<(), String> {
        let path = path.unwrap_or(self.hosts.program.path());
        let program = Program::open(path);
        let program =
            program.map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        handover::check(&program)?;
        let failed = |error: io::Error| error.to_string();
        let hosts = self.hosts.keep()?;
        let (holding, device) = self.hosts.work().holding.keep().map_err(failed)?;
        let mut state = self.state(holding, hosts);
        state.stored = self.manager.stored();
        let mut fds: Vec<_> = self.hosts.channel().into_iter().collect();
        fds.extend(self.hosts.work().tap.queues());
        fds.extend(device.iter().map(AsFd::as_fd));
        let _ = reply.send(Ok("the supervisor is being replaced".to_owned()));
        // The control thread is about to pass that on, and ends with this program.
        std::thread::sleep(TO_REPLY);
        self.manager.reloading();
        Err(handover::change(&program, &state, &fds).to_string())
    }

    /// What another program has to know.
    pub(super) fn state(&self, holding: HeldState, hosts: HostsState) -> State {
        let lock = self.lock.as_ref().map(|lock| lock.device().to_owned());
        let interface = (self.ifname.clone(), self.link.index);
        let tap = &self.hosts.work().tap;
        let run = (self.config.clone(), self.began);
        State::new(run, interface, lock, holding, tap, hosts)
    }
}
