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

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use log::{debug, error, info, warn};
use netadapter_shim::SystemPort;
use netadapter_shim::os::tap::Tap;

use super::board::{Board, HostInfo, SharedBoard};
use super::handover::{HostsState, port_setup};
use super::hearing::{Lead, Speaker, weigh};
use super::holding::{Holding, Lending};
use super::host_process::{HostId, HostProcess, Program};
use super::policy::{Policy, Verdict};
use super::pulse::{Look, Pulse};
use super::update::Update;
use super::{Event, RunError};
use crate::channel::{
    Answer, Ask, FromHost, Interface, PROTOCOL, Report, Setup, StartFailure, ToHost,
};
use crate::config::{Fallback, RestartConfig};
use crate::control::QueueStats;
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

    /// A host has something to say.
    pub(super) fn said(&mut self, id: HostId) {
        for _ in 0..BUDGET {
            let Some(member) = self.member(id) else {
                return;
            };
            match member.process.receive() {
                Ok(Some(message)) => self.handle(id, message),
                Ok(None) => return,
                Err(error) => {
                    debug!("{}: driver host: {error}", self.name());
                    // Its end, which comes now if it has not come yet, is handled as any other.
                    let Some(member) = self.member(id) else {
                        return;
                    };
                    member.process.kill();
                    let fd = member.process.channel_fd();
                    self.poller.remove(fd);
                    return;
                }
            }
        }
    }

    fn member(&mut self, id: HostId) -> Option<&mut Member> {
        let members = [&mut self.active, &mut self.spare].into_iter().flatten();
        members.into_iter().find(|member| member.process.id == id)
    }

    fn handle(&mut self, id: HostId, message: FromHost) {
        let is_active = self.active.as_ref().is_some_and(|a| a.process.id == id);
        let speaker = match is_active {
            true => Speaker::Active,
            false => Speaker::Spare,
        };
        match weigh(message, speaker) {
            Lead::Ready { version, cage } => self.ready(id, version, cage),
            Lead::Answer(ask) => self.answer(ask),
            Lead::Started(report) => self.started(id, *report),
            Lead::Failed(failure) => self.failed(failure),
            Lead::Changed(report) => self.board.lock().report = Some(*report),
            Lead::Alive {
                challenge,
                counters,
            } => {
                if self.count(id, counters)
                    && let Some(pulse) = self.pulse()
                {
                    pulse.answered(challenge);
                }
            }
            Lead::Excused(time) => {
                if let Some(pulse) = self.pulse() {
                    pulse.excuse(Instant::now() + time);
                }
            }
            Lead::GivenUp(why) => self.given_up_by_host(&why),
            Lead::Stopped(counters) => {
                self.count(id, counters);
            }
            Lead::Refused(what) => self.refuse(id, &what),
        }
    }

    /// Takes a host's counters; whether they could be taken.
    fn count(&mut self, id: HostId, counters: Vec<QueueStats>) -> bool {
        let counted = self.board.lock().count(counters);
        if !counted {
            self.refuse(id, "more counters than there can be");
        }
        counted
    }

    fn pulse(&mut self) -> Option<&mut Pulse> {
        match &mut self.active.as_mut()?.state {
            State::Running { pulse, .. } => Some(pulse),
            _ => None,
        }
    }

    fn refuse(&mut self, id: HostId, what: &str) {
        warn!("{}: a driver host says {what}, killed", self.name());
        if let Some(member) = self.member(id) {
            member.process.kill();
        }
    }

    fn ready(&mut self, id: HostId, version: String, cage: String) {
        let name = self.name().to_owned();
        let Some(spare) = &mut self.spare else { return };
        if !matches!(spare.state, State::Preparing { .. }) {
            return self.refuse(id, "that it is ready twice");
        }
        spare.info.version = version;
        spare.info.cage = cage;
        spare.state = State::Ready;
        debug!("{name}: driver host {} is ready", spare.info.pid);
        if let Some(update) = &mut self.update {
            update.replacing = true;
            self.stop_active();
        }
    }

    /// The spare waits to take over.
    fn stop_active(&mut self) {
        if let Some(active) = &mut self.active {
            active.state = State::Stopping {
                until: Instant::now() + TO_REPLACE,
            };
            if active.process.send(&ToHost::Stop, &[]).is_err() {
                active.process.kill();
            }
        }
    }

    fn answer(&mut self, ask: Ask) {
        let name = self.name().to_owned();
        let (answer, fds) = match self.perform(ask) {
            Ok(done) => done,
            Err(why) => {
                warn!("{name}: {why}");
                (Answer::No(why), Vec::new())
            }
        };
        if let Some(active) = &self.active {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            // One that does not listen is found by its pulse.
            let _ = active.process.send(&ToHost::Answer(answer), &fds);
        }
    }

    fn perform(&mut self, ask: Ask) -> Result<(Answer, Vec<OwnedFd>), String> {
        let port = |done: io::Result<()>| {
            let done = done.map_err(|error| error.to_string());
            done.map(|()| (Answer::Done, Vec::new()))
        };
        match ask {
            Ask::Memory(len) => {
                let lent = self.holding.lend_memory(len)?;
                let answer = Answer::Memory {
                    len: lent.len,
                    iova: lent.iova.0,
                };
                Ok((answer, vec![lent.file.into()]))
            }
            Ask::Connection => Ok((Answer::Done, vec![self.holding.connect()?.into()])),
            // The interface keeps its carrier while hosts change places: the kernel would forget
            // its neighbours, and everybody would wait for the next answer to who is where.
            Ask::Carrier(false) if self.is_taking_over() => port(Ok(())),
            Ask::Carrier(up) => port(self.tap.set_link_state(up)),
            Ask::Offloads(offloads) => port(self.tap.set_tx_offloads(offloads.into())),
        }
    }

    /// Whether a host starts the device that another one has run before it.
    fn is_taking_over(&self) -> bool {
        let state = self.active.as_ref().map(|active| active.state);
        self.has_run && matches!(state, Some(State::Starting { .. }))
    }

    fn started(&mut self, id: HostId, report: Report) {
        let now = Instant::now();
        let pulse = Pulse::new(now, self.settings.restart.hang_after);
        let Some(active) = &mut self.active else {
            return;
        };
        if !matches!(active.state, State::Starting { .. }) {
            return self.refuse(id, "that it started twice");
        }
        active.state = State::Running { since: now, pulse };
        let info = active.info.clone();
        let again = std::mem::replace(&mut self.has_run, true);
        let mut board = self.board.lock();
        board.restarts += u64::from(again);
        board.report = Some(report.clone());
        board.down = None;
        let restarts = board.restarts;
        board.host = Some(info.clone());
        drop(board);
        match again {
            true => info!(
                "{}: driver host {} took over (restart {restarts})",
                self.name(),
                info.pid
            ),
            false => info!("{}: driver host {}: {}", self.name(), info.pid, info.cage),
        }
        if !report.link_up
            && let Err(error) = self.tap.set_link_state(false)
        {
            warn!("{}: {error}", self.name());
        }
        // What happened to the interface while it started.
        if let (Some(interface), Some(active)) = (self.interface, &self.active) {
            let _ = active.process.send(&ToHost::Follow(interface), &[]);
        }
        self.update_succeeded(&format!("driver host {}, umnet {}", info.pid, info.version));
        self.spare_at = Some(now + SPARE_AFTER);
        self.news.push(News::Started(report));
    }

    /// The host ends after that by itself.
    fn failed(&mut self, failure: StartFailure) {
        if failure.gone && self.has_run && matches!(self.holding, Holding::Vfio(_)) {
            self.news.push(News::Gone);
        } else if self.has_run {
            warn!("{}: {}", self.name(), failure.why);
        } else {
            self.news.push(News::Failed(failure));
        }
    }

    fn given_up_by_host(&mut self, why: &str) {
        self.fall_back(why, Instant::now());
        if let Some(active) = &self.active {
            active.process.kill();
        }
    }

    /// A host's process has ended.
    pub(super) fn ended(&mut self, id: HostId) {
        let Some(member) = self.member(id) else {
            return;
        };
        let Some(how) = member.process.reap() else {
            return;
        };
        let (channel, pidfd) = (member.process.channel_fd(), member.process.pidfd());
        self.poller.remove(channel);
        self.poller.remove(pidfd);
        if self
            .spare
            .as_ref()
            .is_some_and(|spare| spare.process.id == id)
        {
            self.spare_ended(&how);
        } else if let Some(dead) = self.active.take() {
            self.active_ended(&dead, &how);
        }
    }

    fn spare_ended(&mut self, how: &str) {
        self.spare = None;
        let now = Instant::now();
        if self.update.is_some() {
            self.spare_at = Some(now);
            return self.update_failed(&format!("a driver host of the new program {how}"));
        }
        match self.policy.on_death(now, None) {
            Verdict::Restart(at) => {
                warn!("{}: the spare driver host {how}", self.name());
                self.spare_at = Some(at);
            }
            Verdict::GiveUp => self.fall_back(&format!("the spare driver host {how}"), now),
        }
    }

    fn active_ended(&mut self, dead: &Member, how: &str) {
        let now = Instant::now();
        let since = match dead.state {
            State::Running { since, .. } => Some(since),
            _ => None,
        };
        let mut board = self.board.lock();
        board.bank();
        board.hangs += u64::from(dead.hung);
        // Not one of the attempts that the fallback makes: those begin nothing by themselves.
        let fallen_back = board.down.is_some() && self.begin_at.is_some();
        drop(board);
        if fallen_back {
            return;
        }
        let verdict = |hosts: &mut Self| {
            let verdict = hosts.policy.on_death(now, since);
            hosts.board.lock().young_deaths = hosts.policy.young_deaths();
            verdict
        };
        match (&self.update, dead.state) {
            (
                Some(Update {
                    replacing: true, ..
                }),
                State::Stopping { .. },
            ) => {
                self.begin_at = Some(now);
                return self.begin_now_if_due(now);
            }
            (Some(_), State::Starting { .. }) => {
                self.update_failed(&format!("the driver host of the new program {how}"));
                self.dismiss_spare();
            }
            _ => {}
        }
        match verdict(self) {
            Verdict::Restart(at) => {
                warn!("{}: driver host {} {how}", self.name(), dead.info.pid);
                self.begin_at = Some(at);
            }
            Verdict::GiveUp => {
                let deaths = self.policy.young_deaths() - 1;
                let why = format!("{deaths} driver hosts died one after the other, the last {how}");
                self.fall_back(&why, now);
            }
        }
        self.begin_now_if_due(now);
    }

    /// Without going round the loop once more: every millisecond counts here.
    fn begin_now_if_due(&mut self, now: Instant) {
        if self.begin_at.is_some_and(|at| at <= now) {
            self.begin(now);
        }
    }

    fn fall_back(&mut self, why: &str, now: Instant) {
        let restart = self.settings.restart;
        if restart.fallback == Fallback::Kernel && matches!(self.holding, Holding::Vfio(_)) {
            error!("{}: {why}; the card goes back to the kernel", self.name());
            self.news.push(News::GivenUp);
            return;
        }
        error!(
            "{}: {why}; the link is down, next attempt in {:?}",
            self.name(),
            restart.retry_after
        );
        if let Err(error) = self.tap.set_link_state(false) {
            warn!("{}: {error}", self.name());
        }
        if let Err(error) = self.holding.stop() {
            warn!("{}: {error}", self.name());
        }
        self.board.lock().down = Some(why.to_owned());
        self.policy.on_retry();
        self.begin_at = Some(now + restart.retry_after);
        self.spare_at = self.begin_at;
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
