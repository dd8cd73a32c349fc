//! A session of a device goes on in another program, and from another one.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use log::info;

use super::board::SharedBoard;
use super::card::bind;
use super::device::{Device, DeviceRun};
use super::handover::{HostsState, Left, RunState, State};
use super::hosts::Hosts;
use super::managed::Manager;
use super::opening::Running;
use super::settings::host_settings;
use super::succession::Run;
use super::{Event, RunError, Session, events};
use crate::host::state::DeviceLock;
use crate::poller::Poller;
use crate::signals::Signals;

impl Session {
    /// From what another supervisor has left.
    pub(super) fn take_over(
        signals: Signals,
        run: DeviceRun,
        left: Left,
    ) -> Result<Self, RunError> {
        let taken = events("take over from the program before");
        let config = run.config;
        // Locks first: they were the old program's.
        let binding = bind(&config, true)?;
        let lock = run.lock.as_deref();
        let lock = lock.map(|stem| DeviceLock::acquire(&config.host, stem));
        let lock = lock.transpose()?;
        let device = Device::resume(run.device, left.fds)?;
        let mut poller = Poller::new().map_err(&taken)?;
        let mut watched = vec![(signals.as_raw_fd(), Event::Signal)];
        let removal = device.holding.removal();
        watched.extend(removal.map(|event| (event.as_raw_fd(), Event::Removal)));
        for (fd, event) in watched {
            poller.add(fd, event).map_err(&taken)?;
        }
        let board = SharedBoard::default();
        let settings = host_settings(&config);
        let hosts = Hosts::new(poller, device, settings, board.clone());
        let mut hosts = hosts.map_err(&taken)?;
        hosts.resume(left.hosts, left.channel).map_err(&taken)?;
        info!(
            "{}: this is umnet {} now",
            hosts.name(),
            env!("CARGO_PKG_VERSION")
        );
        let running = Running {
            hosts,
            board,
            ifname: run.ifname,
            index: run.index,
            signals,
            lock,
            store: left.store,
            began: left.began,
        };
        let mut session = Self::run(&config, running, binding.as_ref())?;
        session.binding = binding;
        Ok(session)
    }
}

impl Run for Session {
    type Work = Device;

    fn hosts(&self) -> &Hosts<Device> {
        &self.hosts
    }

    fn hosts_mut(&mut self) -> &mut Hosts<Device> {
        &mut self.hosts
    }

    fn manager(&mut self) -> &mut Manager {
        &mut self.manager
    }

    fn title(&self) -> String {
        self.ifname.to_string()
    }

    fn keep(&self, hosts: HostsState) -> io::Result<(State, Vec<OwnedFd>)> {
        let (device, fds) = self.hosts.work().keep()?;
        let run = DeviceRun {
            config: self.config.clone(),
            ifname: self.ifname.clone(),
            index: self.link.index,
            lock: self.lock.as_ref().map(|lock| lock.device().to_owned()),
            device,
        };
        let run = RunState::Device(Box::new(run));
        Ok((State::new(self.began, run, hosts), fds))
    }
}
