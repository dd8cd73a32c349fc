//! One driver host after the other: the one that drives the device, and the spare that waits.
//!
//! ```text
//! start ─► Preparing ─ Ready ─► Ready (a spare) ─ Go ─► Starting ─ Started ─► Running
//!                                                          │                     │
//!               the device is stopped, the policy asked ◄──┴── dead, hung ◄──────┘
//! ```
//!
//! Nothing here waits for a host: what it has to do in time has a deadline, at which it is killed.
//! A killed host and one that died by itself take the same way.

mod ended;
mod said;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::MutexGuard;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use log::{debug, warn};
use netadapter_shim::SystemPort;
use netadapter_shim::os::tap::Tap;

use super::board::{Board, HostInfo, SharedBoard};
use super::handover::{HostsState, port_setup};
use super::holding::{Holding, Lending};
use super::host_process::{HostId, HostProcess, Program};
use super::policy::Policy;
use super::pulse::{Look, Pulse};
use super::update::Update;
use super::{Event, RunError};
use crate::channel::{Interface, PROTOCOL, Report, Setup, StartFailure, ToHost};
use crate::config::RestartConfig;
use crate::poller::Poller;

/// How long a host may take to build itself.
const TO_PREPARE: Duration = Duration::from_secs(20);
/// How long a host may take to start the device.
const TO_START: Duration = Duration::from_secs(15);
/// How long a host may take to stop the device and end.
const TO_STOP: Duration = Duration::from_secs(5);
/// How long a host may take to stop that another one waits to replace.
const TO_REPLACE: Duration = Duration::from_secs(1);
/// A new spare is started when the host before it has run for so long: first things first.
const SPARE_AFTER: Duration = Duration::from_millis(100);
/// Messages of one host that are handled before anything else has its turn.
const BUDGET: usize = 64;

/// Where a host is in its life.
#[derive(Clone, Copy, Debug)]
enum State {
    Preparing { until: Instant },
    Ready,
    Starting { until: Instant },
    Running { since: Instant, pulse: Pulse },
    Stopping { until: Instant },
}

/// A host and where it is.
struct Member {
    process: HostProcess,
    state: State,
    info: HostInfo,
    hung: bool,
}

impl Member {
    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Ready => None,
            State::Preparing { until } | State::Starting { until } | State::Stopping { until } => {
                Some(until)
            }
            State::Running { pulse, .. } => Some(pulse.next_look()),
        }
    }
}

/// What every host of a run is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostSettings {
    pub(super) rx_ring: Option<u16>,
    pub(super) tx_ring: Option<u16>,
    pub(super) disabled: u128,
    pub(super) caged: bool,
    pub(super) restart: RestartConfig,
}

/// Something the session has to know of.
#[derive(Debug)]
pub(super) enum News {
    /// The device runs, for the first time or again.
    Started(Report),
    /// The first host could not start the device.
    Failed(StartFailure),
    /// The device is there no longer.
    Gone,
    /// Too many hosts died, and the fallback is to give the card back.
    GivenUp,
}

/// The hosts of a device, and what they get and give.
pub(super) struct Hosts {
    // First, so that they end before what they were lent.
    active: Option<Member>,
    spare: Option<Member>,
    pub(super) poller: Poller<Event>,
    holding: Holding,
    tap: Tap,
    pub(super) program: Program,
    settings: HostSettings,
    board: SharedBoard,
    policy: Policy,
    pub(super) update: Option<Update>,
    /// When the next host is to begin, while there is none.
    begin_at: Option<Instant>,
    /// When the next spare is to be started.
    spare_at: Option<Instant>,
    /// What the interface is like, for the next host.
    interface: Option<Interface>,
    next_id: u32,
    /// Whether a host has ever run the device.
    has_run: bool,
    news: Vec<News>,
    /// Who waits for fresh counters.
    counting: Vec<SyncSender<()>>,
}

impl Hosts {
    pub(super) fn new(
        poller: Poller<Event>,
        holding: Holding,
        tap: Tap,
        settings: HostSettings,
        board: SharedBoard,
    ) -> io::Result<Self> {
        Ok(Self {
            poller,
            holding,
            tap,
            program: Program::own()?,
            settings,
            board,
            policy: Policy::new(settings.restart),
            update: None,
            active: None,
            spare: None,
            begin_at: Some(Instant::now()),
            spare_at: Some(Instant::now()),
            interface: None,
            next_id: 0,
            has_run: false,
            news: Vec::new(),
            counting: Vec::new(),
        })
    }

    /// The device's name.
    pub(super) fn name(&self) -> &str {
        self.holding.name()
    }

    pub(super) fn holding(&self) -> &Holding {
        &self.holding
    }

    pub(super) fn tap(&self) -> &Tap {
        &self.tap
    }

    /// The connection to the host that drives the device.
    pub(super) fn channel(&self) -> Option<BorrowedFd<'_>> {
        Some(self.active.as_ref()?.process.channel())
    }

    /// What another program needs to know of the hosts.
    pub(super) fn state(&self) -> HostsState {
        let active = self.active.as_ref().map(|active| active.info.clone());
        HostsState {
            board: self.board.lock().clone(),
            interface: self.interface,
            active: active.unwrap_or_default(),
            next_id: self.next_id,
        }
    }

    /// What another program needs to go on with the host that drives the device. The spare ends.
    pub(super) fn keep(&mut self) -> Result<HostsState, String> {
        self.check_update()?;
        if self.active.is_none() {
            return Err("no driver host runs at the moment".to_owned());
        }
        let state = self.state();
        self.dismiss_spare();
        self.spare_at = Some(Instant::now() + self.settings.restart.longest_delay);
        Ok(state)
    }

    /// Goes on with a host of the program before this one, or after it if it ended with that.
    pub(super) fn resume(&mut self, state: HostsState, channel: Option<OwnedFd>) -> io::Result<()> {
        let HostsState {
            mut board,
            interface,
            active,
            next_id,
        } = state;
        board.supervisor_restarts += 1;
        if channel.is_none() {
            board.bank();
            // The next host begins at once.
            board.down = None;
        }
        *self.board.lock() = board;
        self.next_id = next_id.wrapping_add(1);
        self.interface = interface;
        self.has_run = true;
        match channel {
            Some(channel) => self.adopt(HostId(next_id), active, channel),
            None => Ok(()),
        }
    }

    fn adopt(&mut self, id: HostId, info: HostInfo, channel: OwnedFd) -> io::Result<()> {
        let now = Instant::now();
        let process = HostProcess::adopt(id, info.pid, channel)?;
        self.poller.add(process.channel_fd(), Event::Said(id))?;
        self.poller.add(process.pidfd(), Event::Ended(id))?;
        self.active = Some(Member {
            process,
            state: State::Running {
                since: now,
                pulse: Pulse::new(now, self.settings.restart.hang_after),
            },
            info,
            hung: false,
        });
        self.begin_at = None;
        self.spare_at = Some(now + SPARE_AFTER);
        Ok(())
    }

    /// Whether there is no driver for now, and none about to begin.
    pub(super) fn is_down(&self) -> bool {
        self.board.lock().down.is_some()
    }

    /// When [`Hosts::tick`] has something to do next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let members = [&self.active, &self.spare].into_iter().flatten();
        let waiting_to_begin = self.begin_at.filter(|_| self.active.is_none());
        let waiting_for_spare = self.spare_at.filter(|_| self.spare.is_none());
        members
            .filter_map(Member::deadline)
            .chain(waiting_to_begin.filter(|_| self.spare_is_ready()))
            .chain(waiting_for_spare)
            .min()
    }

    /// What has happened since the last call.
    pub(super) fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// The interface is like this now: the host follows, and so does each that comes after it.
    pub(super) fn follow(&mut self, interface: Interface) {
        if self.interface.replace(interface) == Some(interface) {
            return;
        }
        if let Some(active) = &self.active
            && matches!(active.state, State::Running { .. })
        {
            // One that does not listen is found by its pulse.
            let _ = active.process.send(&ToHost::Follow(interface), &[]);
        }
    }

    /// Starts what is due, and kills what is late.
    pub(super) fn tick(&mut self, now: Instant) -> Result<(), RunError> {
        if self.spare.is_none() && self.spare_at.is_some_and(|at| at <= now) {
            self.start_spare(now);
        }
        if self.active.is_none() && self.begin_at.is_some_and(|at| at <= now) {
            self.begin(now);
        }
        self.look_after_active(now);
        if let Some(spare) = &self.spare
            && matches!(spare.state, State::Preparing { until } if until <= now)
        {
            warn!(
                "{}: a driver host is not ready in time, killed",
                self.name()
            );
            spare.process.kill();
        }
        Ok(())
    }

    fn look_after_active(&mut self, now: Instant) {
        let name = self.holding.name().to_owned();
        let hang_after = self.settings.restart.hang_after;
        let Some(active) = &mut self.active else {
            return;
        };
        let pid = active.process.pid();
        match &mut active.state {
            State::Running { pulse, .. } => match pulse.look(now) {
                Look::Wait => {}
                Look::Challenge(challenge) => {
                    // One that does not listen does not answer either.
                    let _ = active.process.send(&ToHost::Challenge(challenge), &[]);
                }
                Look::Hung => {
                    warn!(
                        "{name}: driver host {pid} shows no sign of life for {hang_after:?}, killed"
                    );
                    active.hung = true;
                    active.process.kill();
                }
            },
            State::Starting { until } | State::Stopping { until } if *until <= now => {
                warn!("{name}: driver host {pid} is late, killed");
                active.process.kill();
                *until = now + TO_STOP;
            }
            _ => {}
        }
    }

    fn spare_is_ready(&self) -> bool {
        let state = self.spare.as_ref().map(|spare| spare.state);
        matches!(state, Some(State::Ready))
    }

    pub(super) fn start_spare(&mut self, now: Instant) {
        self.spare_at = None;
        match self.start(now) {
            Ok(member) => self.spare = Some(member),
            Err(error) => {
                warn!("{}: cannot start a driver host: {error}", self.name());
                self.spare_at = Some(now + self.settings.restart.longest_delay);
                self.update_failed(&error.to_string());
            }
        }
    }

    /// Ends the spare, which is as if it had never been.
    pub(super) fn dismiss_spare(&mut self) {
        if let Some(spare) = self.spare.take() {
            self.poller.remove(spare.process.channel_fd());
            self.poller.remove(spare.process.pidfd());
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.running_pid().is_some()
    }

    /// The process that drives the device.
    pub(super) fn running_pid(&self) -> Option<u32> {
        let active = self.active.as_ref()?;
        matches!(active.state, State::Running { .. }).then_some(active.info.pid)
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock()
    }

    fn start(&mut self, now: Instant) -> io::Result<Member> {
        let id = HostId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        let Lending { setup, mut fds } = self.holding.lend();
        let port = port_setup(&self.tap);
        fds.extend(self.tap.queues());
        let setup = Setup {
            protocol: PROTOCOL,
            device: setup,
            port,
            rx_ring: self.settings.rx_ring,
            tx_ring: self.settings.tx_ring,
            disabled: self.settings.disabled,
            caged: self.settings.caged,
        };
        let process = HostProcess::start(id, &self.program, setup, &fds)?;
        self.poller.add(process.channel_fd(), Event::Said(id))?;
        self.poller.add(process.pidfd(), Event::Ended(id))?;
        debug!("{}: driver host {} started", self.name(), process.pid());
        Ok(Member {
            info: HostInfo {
                pid: process.pid(),
                ..HostInfo::default()
            },
            process,
            state: State::Preparing {
                until: now + TO_PREPARE,
            },
            hung: false,
        })
    }

    /// The spare takes over, as soon as there is one.
    fn begin(&mut self, now: Instant) {
        if !self.spare_is_ready() {
            if self.spare.is_none() && self.spare_at.is_none() {
                self.spare_at = Some(now);
            }
            return;
        }
        let Some(mut next) = self.spare.take() else {
            return;
        };
        self.begin_at = None;
        if let Err(error) = self.holding.stop() {
            // Whatever the device still does, it does to memory that is built anew.
            warn!("{}: {error}", self.name());
        }
        next.state = State::Starting {
            until: now + TO_START,
        };
        if let Err(error) = next.process.send(&ToHost::Go(self.interface), &[]) {
            warn!(
                "{}: driver host {}: {error}",
                self.name(),
                next.process.pid()
            );
            next.process.kill();
        }
        self.active = Some(next);
    }

    /// Has the host stop the device, waits for its end, and ends the spare. Nothing of theirs is
    /// left when this returns.
    pub(super) fn end(mut self) -> Holding {
        self.spare = None;
        if let Some(active) = &mut self.active {
            active.state = State::Stopping {
                until: Instant::now() + TO_STOP,
            };
            if active.process.send(&ToHost::Stop, &[]).is_err() {
                active.process.kill();
            }
        }
        let until = Instant::now() + TO_STOP;
        while let Some(active) = &self.active {
            let id = active.process.id;
            self.said(id);
            let step = Instant::now() + Duration::from_millis(5);
            let Some(active) = &mut self.active else {
                break;
            };
            if active.process.wait(step) && active.process.reap().is_some() {
                self.active = None;
            } else if Instant::now() >= until {
                warn!(
                    "{}: the driver host does not stop, killed",
                    self.holding.name()
                );
                self.active = None;
            }
        }
        if let Err(error) = self.holding.stop() {
            warn!("{}: {error}", self.holding.name());
        }
        if let Err(error) = self.tap.set_link_state(false) {
            debug!("{}: {error}", self.holding.name());
        }
        self.holding
    }
}
