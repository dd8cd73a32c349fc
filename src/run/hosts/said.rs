//! What hosts say, and what comes of it. What it means was weighed before: [`weigh`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use log::{debug, info, warn};
use netadapter_shim::SystemPort;

use super::{BUDGET, Hosts, Member, News, SPARE_AFTER, State, TO_REPLACE};
use crate::channel::{Answer, Ask, FromHost, Report, StartFailure, ToHost};
use crate::control::QueueStats;
use crate::run::hearing::{Lead, Speaker, weigh};
use crate::run::holding::Holding;
use crate::run::host_process::HostId;
use crate::run::pulse::Pulse;

impl Hosts {
    /// A host has something to say.
    pub(in crate::run) fn said(&mut self, id: HostId) {
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

    pub(super) fn member(&mut self, id: HostId) -> Option<&mut Member> {
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
            Lead::Counted(counters) => {
                self.count(id, counters);
                self.tell_counted();
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

    /// Asks the host for its counters, and tells `waiting` when they are on the board; at once
    /// where there is nobody to ask.
    pub(in crate::run) fn count_now(&mut self, waiting: SyncSender<()>) {
        self.counting.push(waiting);
        let asked = match &self.active {
            Some(active) if self.is_running() => active.process.send(&ToHost::Count, &[]).is_ok(),
            _ => false,
        };
        if !asked {
            self.tell_counted();
        }
    }

    /// What there is on the board is all there will be.
    pub(super) fn tell_counted(&mut self) {
        for waiting in self.counting.drain(..) {
            // Whoever waited may have lost patience.
            let _ = waiting.try_send(());
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
            Ask::Carrier(up) => port(self.tap.set_link_state(up)),
            Ask::Offloads(offloads) => port(self.tap.set_tx_offloads(offloads.into())),
            Ask::Queues(count) => {
                let used = self
                    .tap
                    .use_queues(count)
                    .map_err(|error| error.to_string());
                used.map(|()| (Answer::Done, Vec::new()))
            }
        }
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
}
