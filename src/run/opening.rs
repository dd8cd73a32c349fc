//! How a session begins.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Instant;

use log::info;

use super::announcer::Announcer;
use super::board::SharedBoard;
use super::card::{bind, hold, release};
use super::device::Device;
use super::holding::Holding;
use super::hosts::{Hosts, News};
use super::interface::{Port, discard, dress, find, look_at};
use super::managed::Manager;
use super::moment::Moment;
use super::orders::orders;
use super::report::Reporter;
use super::settings::host_settings;
use super::store::Store;
use super::{Event, RunError, Session, events};
use crate::channel::Report;
use crate::config::RunConfig;
use crate::control::Server;
use crate::host::IfName;
use crate::host::binding::{Binding, Restore};
use crate::host::interface::{Interfaces, Link};
use crate::host::state::DeviceLock;
use crate::host::watch::LinkWatch;
use crate::poller::Poller;
use crate::signals::Signals;

/// What a session is made of, once the device runs.
pub(super) struct Running {
    pub(super) hosts: Hosts<Device>,
    pub(super) board: SharedBoard,
    pub(super) ifname: IfName,
    /// The interface's.
    pub(super) index: u32,
    pub(super) signals: Signals,
    pub(super) lock: Option<DeviceLock>,
    /// What the service manager keeps.
    pub(super) store: Store,
    pub(super) began: Moment,
}

impl Session {
    pub(super) fn open(config: &RunConfig, signals: Signals) -> Result<Self, RunError> {
        let binding = bind(config, false)?;
        match Self::open_bound(config, signals, binding.as_ref()) {
            Ok(mut session) => {
                session.binding = binding;
                Ok(session)
            }
            Err(failed) => {
                // Whatever held the device has been dropped by now.
                release(binding, Restore::Everything);
                Err(failed)
            }
        }
    }

    fn open_bound(
        config: &RunConfig,
        signals: Signals,
        binding: Option<&Binding>,
    ) -> Result<Self, RunError> {
        let (holding, lock) = hold(config, binding)?;
        let port = Port::open(config, binding)?;
        let (name, kept) = (port.name.clone(), port.kept);
        let opened = Self::open_between(config, signals, binding, (holding, lock), port);
        if opened.is_err() && config.keep_interface && !kept {
            discard(&name);
        }
        opened
    }

    fn open_between(
        config: &RunConfig,
        signals: Signals,
        binding: Option<&Binding>,
        (holding, lock): (Holding, Option<DeviceLock>),
        port: Port,
    ) -> Result<Self, RunError> {
        let Port { tap, name, kept } = port;
        let board = SharedBoard::default();
        let mut poller = Poller::new().map_err(events("make an epoll set"))?;
        let watch_for = |poller: &mut Poller<Event>, fd, event| {
            poller.add(fd, event).map_err(events("watch a descriptor"))
        };
        watch_for(&mut poller, signals.as_raw_fd(), Event::Signal)?;
        if let Some(removal) = holding.removal() {
            watch_for(&mut poller, removal.as_raw_fd(), Event::Removal)?;
        }
        let device = Device::new(holding, tap);
        let hosts = Hosts::new(poller, device, host_settings(config), board.clone());
        let mut hosts = hosts.map_err(events("open the program of driver hosts"))?;
        let report = first_start(config, &mut hosts, &signals)?;
        if !kept {
            dress(config, &report, binding, &name)?;
        }
        info!(
            "{}: driving interface {name}; memory: {} KiB of rings and slots, {} KiB of system buffers",
            hosts.name(),
            report.pinned_bytes / 1024,
            report.pool_bytes / 1024
        );
        let running = Running {
            hosts,
            board,
            index: find(&mut Interfaces::open()?, &name)?.index,
            ifname: name,
            signals,
            lock,
            store: Store::default(),
            began: Moment::now(),
        };
        Self::run(config, running, binding)
    }

    /// Watches the interface, and answers questions.
    pub(super) fn run(
        config: &RunConfig,
        running: Running,
        binding: Option<&Binding>,
    ) -> Result<Self, RunError> {
        let Running {
            mut hosts,
            board,
            ifname,
            index,
            signals,
            lock,
            store,
            began,
        } = running;
        let watch = LinkWatch::new(index)?;
        let link = look_at(index)?;
        let (orders, book) = orders().map_err(events("make an eventfd"))?;
        let manager = Manager::new(store).map_err(events("reach the service manager"))?;
        let mut watched = vec![
            (watch.as_raw_fd(), Event::Link),
            (book.bell.as_raw_fd(), Event::Order),
        ];
        watched.extend(manager.leave().map(|fd| (fd, Event::Leave)));
        for (fd, event) in watched {
            let watched = hosts.poller.add(fd, event);
            watched.map_err(events("watch a descriptor"))?;
        }
        let shared = (board, orders);
        let reporter = Reporter::new(
            hosts.name(),
            shared,
            binding,
            &link,
            ifname.clone(),
            (config.restart, began),
        );
        let server = Server::start(&config.host, &reporter.stem(), Arc::new(reporter))?;
        let mut session = Self {
            config: config.clone(),
            hosts,
            watch,
            binding: None,
            ifname,
            adopt: config.adopt,
            keep_interface: config.keep_interface,
            link: Link::default(),
            announcer: Announcer::default(),
            book,
            _server: server,
            signals,
            lock,
            manager,
            began,
        };
        session.follow(link);
        Ok(session)
    }
}

/// Waits for the first host to start the device. The deadlines are those of the hosts.
fn first_start(
    config: &RunConfig,
    hosts: &mut Hosts<Device>,
    signals: &Signals,
) -> Result<Report, RunError> {
    loop {
        hosts.tick(Instant::now())?;
        for news in hosts.news() {
            match news {
                News::Started(report) => return Ok(report),
                News::Failed(failure) => {
                    let device = config.device.clone();
                    return Err(RunError::NotStarted { device, failure });
                }
                News::Gone(_) | News::Died(_) | News::GivenUp(_) => return Err(given_up(hosts)),
                // There are no addresses yet.
                News::Announce => {}
                // There is nothing to lose yet.
                News::Lent => hosts.answer_held(),
            }
        }
        if hosts.is_down() {
            return Err(given_up(hosts));
        }
        let ready = hosts.poller.wait(hosts.deadline());
        let ready = ready.map_err(events("wait for events"))?;
        if signals.have_come() {
            return Err(RunError::Interrupted);
        }
        for event in ready {
            match event {
                Event::Said(host) => hosts.said(host),
                Event::Ended(host) => hosts.ended(host),
                // A signal only wakes.
                _ => {}
            }
        }
    }
}

fn given_up(hosts: &Hosts<Device>) -> RunError {
    RunError::GivenUp {
        device: hosts.name().to_owned(),
    }
}
