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
mod kept;
mod member;
mod said;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::MutexGuard;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use log::{debug, warn};

use self::member::{Member, State};
use super::activity::Activity;
use super::board::{Board, SharedBoard};
use super::host_process::{Ended, HostId, HostProcess, Program};
use super::policy::Policy;
use super::pulse::Look;
use super::update::Update;
use super::work::Work;
use super::{Event, RunError};
use crate::channel::{Answer, Interface, Report, StartFailure, ToHost};
use crate::config::{Coalesce, RestartConfig};
use crate::control::DeviceEvent;
use crate::poller::Poller;

/// A new spare is started when the host before it has run for so long: first things first.
const SPARE_AFTER: Duration = Duration::from_millis(100);
/// Messages of one host that are handled before anything else has its turn.
const BUDGET: usize = 64;

/// What every host of a run is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostSettings {
    pub(super) rx_ring: Option<u16>,
    pub(super) tx_ring: Option<u16>,
    pub(super) busy_poll_us: Option<u16>,
    pub(super) disabled: u128,
    pub(super) coalesce: Coalesce,
    pub(super) caged: bool,
    pub(super) restart: RestartConfig,
}

impl HostSettings {
    /// Those of hosts that have no device.
    pub(super) fn of_client(restart: RestartConfig, caged: bool) -> Self {
        Self {
            rx_ring: None,
            tx_ring: None,
            busy_poll_us: None,
            disabled: 0,
            coalesce: Coalesce::default(),
            caged,
            restart,
        }
    }
}

/// Something the session has to know of.
#[derive(Debug)]
pub(super) enum News {
    /// The device runs, for the first time or again.
    Started(Report),
    /// Something is lent that was not before, or is lent no more; the host hears of it by
    /// [`Hosts::answer_held`], once that is safe.
    Lent,
    /// The device wants the interface's peers told where it is.
    Announce,
    /// The first host could not start the device.
    Failed(StartFailure),
    /// The first host died, where that ends the run.
    Died(Ended),
    /// The device is there no longer.
    Gone(StartFailure),
    /// Too many hosts died, the last like this, and the fallback is to give the card back.
    GivenUp(Option<Ended>),
}

/// The hosts of a device, and what they get and give.
pub(super) struct Hosts<W> {
    // First, so that they end before what they were lent.
    active: Option<Member>,
    spare: Option<Member>,
    pub(super) poller: Poller<Event>,
    work: W,
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
    /// Answers that wait until what they bring is kept, and for whom.
    held: Vec<(HostId, Answer, Vec<OwnedFd>)>,
    /// Who waits for fresh counters.
    counting: Vec<SyncSender<()>>,
    /// Who waits for something to have happened to a client's devices.
    happening: Option<Happening>,
}

/// Hears what came of a device event.
pub(super) type Happening = SyncSender<Result<(), String>>;

impl<W: Work> Hosts<W> {
    pub(super) fn new(
        poller: Poller<Event>,
        work: W,
        settings: HostSettings,
        board: SharedBoard,
    ) -> io::Result<Self> {
        Ok(Self {
            poller,
            work,
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
            held: Vec::new(),
            counting: Vec::new(),
            happening: None,
        })
    }

    /// The device's name.
    pub(super) fn name(&self) -> &str {
        self.work.name()
    }

    pub(super) fn work(&self) -> &W {
        &self.work
    }

    pub(super) fn work_mut(&mut self) -> &mut W {
        &mut self.work
    }

    /// The connection to the host that drives the device.
    pub(super) fn channel(&self) -> Option<BorrowedFd<'_>> {
        Some(self.active.as_ref()?.process.channel())
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
        self.tell(&ToHost::Follow(interface));
    }

    /// Tells the host that drives the device something; whether there is one.
    pub(super) fn tell(&self, message: &ToHost) -> bool {
        let running = |active: &&Member| matches!(active.state, State::Running { .. });
        let Some(active) = self.active.as_ref().filter(running) else {
            return false;
        };
        // One that does not listen is found by its pulse.
        active.process.send(message, &[]).is_ok()
    }

    /// Has something happen to a client's devices, and tells `reply` what came of it.
    pub(super) fn happen(&mut self, event: DeviceEvent, reply: Happening) {
        if self.happening.is_some() {
            return drop(reply.try_send(Err("something else happens to it".to_owned())));
        }
        match self.tell(&ToHost::Happen(event)) {
            true => self.happening = Some(reply),
            false => drop(reply.try_send(Err("no client host runs at the moment".to_owned()))),
        }
    }

    fn happened(&mut self, outcome: Result<(), String>) {
        if let Some(reply) = self.happening.take() {
            // Whoever waited may have lost patience.
            let _ = reply.try_send(outcome);
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
        let name = self.name().to_owned();
        let patience = self.work.patience();
        let hang_after = self.settings.restart.hang_after;
        let Some(active) = &mut self.active else {
            return;
        };
        let pid = active.process.pid();
        match &mut active.state {
            State::Running { pulse, .. } => match pulse.look(now, || Activity::of(pid)) {
                Look::Wait => {}
                Look::Challenge(challenge) => {
                    // One that does not listen does not answer either.
                    let _ = active.process.send(&ToHost::Challenge(challenge), &[]);
                }
                Look::Hung => {
                    if !active.hung {
                        warn!(
                            "{name}: driver host {pid} shows no sign of life for {hang_after:?}, killed"
                        );
                    }
                    active.hung = true;
                    active.process.kill();
                }
            },
            State::Starting { until } | State::Stopping { until } if *until <= now => {
                warn!("{name}: driver host {pid} is late, killed");
                active.process.kill();
                *until = now + patience.stop;
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
        let start = self.work.start(&self.settings);
        let process = HostProcess::start(id, &self.program, &start)?;
        self.poller.add(process.channel_fd(), Event::Said(id))?;
        self.poller.add(process.pidfd(), Event::Ended(id))?;
        debug!("{}: driver host {} started", self.name(), process.pid());
        Ok(Member::preparing(
            process,
            now + self.work.patience().prepare,
        ))
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
        self.work.clear();
        next.state = State::Starting {
            until: now + self.work.patience().start,
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
    /// left when this returns; how the host ended, if there was one.
    pub(super) fn end(mut self) -> (W, Option<Ended>) {
        self.spare = None;
        let until = Instant::now() + self.work.patience().stop;
        if let Some(active) = &mut self.active {
            active.state = State::Stopping { until };
            if active.process.send(&ToHost::Stop, &[]).is_err() {
                active.process.kill();
            }
        }
        let mut how = None;
        while let Some(active) = &self.active {
            let id = active.process.id;
            self.said(id);
            self.answer_held();
            let step = Instant::now() + Duration::from_millis(5);
            let Some(active) = &mut self.active else {
                break;
            };
            if active.process.wait(step) {
                how = active.process.reap();
            }
            if how.is_some() {
                self.active = None;
            } else if Instant::now() >= until {
                warn!("{}: the host does not stop, killed", self.work.name());
                self.active = None;
            }
        }
        self.work.rest();
        (self.work, how)
    }
}
