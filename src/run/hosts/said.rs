//! What hosts say, and what comes of it. What it means was weighed before: [`weigh`].

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use log::{debug, info, warn};

use super::{BUDGET, Hosts, Member, News, SPARE_AFTER, State};
use crate::channel::{Answer, Ask, FromHost, Report, StartFailure, ToHost};
use crate::control::QueueStats;
use crate::run::hearing::{Lead, Speaker, weigh};
use crate::run::host_process::HostId;
use crate::run::pulse::Pulse;
use crate::run::work::Work;

impl<W: Work> Hosts<W> {
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
            Lead::Failed(failure) => self.failed(failure, speaker),
            Lead::Changed(report) => self.board.lock().report = Some(*report),
            Lead::Announce if self.is_running() => self.news.push(News::Announce),
            // Of one that stops, the next one's device asks again if it still wants that.
            Lead::Announce => {}
            Lead::Happened(outcome) => self.happened(outcome),
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
                until: Instant::now() + self.work.patience().replace,
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
        let (answer, fds) = match self.work.perform(ask) {
            Ok(done) => done,
            Err(why) => {
                warn!("{name}: {why}");
                (Answer::No(why), Vec::new())
            }
        };
        let Some(active) = &self.active else { return };
        // In the order of the questions.
        let waits = self.work.outdates_kept() || !self.held.is_empty();
        self.held.push((active.process.id, answer, fds));
        match waits {
            true => self.news.push(News::Lent),
            false => self.answer_held(),
        }
    }

    /// Whoever goes on if this program dies knows of what was lent: hosts may have it.
    pub(in crate::run) fn answer_held(&mut self) {
        for (id, answer, fds) in std::mem::take(&mut self.held) {
            let active = self.active.as_ref();
            // Not a host that came after the one that asked.
            if let Some(active) = active.filter(|active| active.process.id == id) {
                let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
                // One that does not listen is found by its pulse.
                let _ = active.process.send(&ToHost::Answer(answer), &fds);
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
        self.work.started();
        // What happened to the interface while it started.
        if let (Some(interface), Some(active)) = (self.interface, &self.active) {
            let _ = active.process.send(&ToHost::Follow(interface), &[]);
        }
        self.update_succeeded(&format!("driver host {}, umnet {}", info.pid, info.version));
        self.spare_at = Some(now + SPARE_AFTER);
        self.news.push(News::Started(report));
    }

    /// The host ends after that by itself.
    fn failed(&mut self, failure: StartFailure, speaker: Speaker) {
        if speaker == Speaker::Spare && self.update.is_some() {
            return self.update_failed(&failure.why);
        }
        if self.has_run && self.work.is_over(&failure) {
            self.news.push(News::Gone(failure));
        } else if self.has_run {
            warn!("{}: {}", self.name(), failure.why);
        } else {
            self.news.push(News::Failed(failure));
        }
    }

    fn given_up_by_host(&mut self, why: &str) {
        self.fall_back(why, None, Instant::now());
        if let Some(active) = &self.active {
            active.process.kill();
        }
    }
}
