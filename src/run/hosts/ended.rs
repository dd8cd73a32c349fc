//! Hosts that are gone: what becomes of the device, and who comes next.

use std::time::Instant;

use log::{error, warn};

use super::{Hosts, Member, News, State};
use crate::config::Fallback;
use crate::run::host_process::{Ended, HostId};
use crate::run::policy::Verdict;
use crate::run::update::Update;
use crate::run::work::Work;

impl<W: Work> Hosts<W> {
    /// A host's process has ended.
    pub(in crate::run) fn ended(&mut self, id: HostId) {
        // Its last words may say why.
        self.said(id);
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
            self.spare_ended(how);
        } else if let Some(dead) = self.active.take() {
            self.active_ended(&dead, how);
        }
    }

    /// The first one, where that ends the run.
    fn was_the_last(&mut self, how: Ended) -> bool {
        let last = !W::TRIES_AGAIN && !self.has_run;
        if last {
            self.news.push(News::Died(how));
        }
        last
    }

    fn spare_ended(&mut self, how: Ended) {
        self.spare = None;
        if self.was_the_last(how) {
            return;
        }
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
            Verdict::GiveUp if self.is_running() => {
                warn!(
                    "{}: the spare driver host {how}, as others before it",
                    self.name()
                );
                self.spare_at = Some(now + self.settings.restart.retry_after);
            }
            Verdict::GiveUp => self.fall_back(&format!("the spare driver host {how}"), how, now),
        }
    }

    fn active_ended(&mut self, dead: &Member, how: Ended) {
        let now = Instant::now();
        let since = match dead.state {
            State::Running { since, .. } => Some(since),
            _ => None,
        };
        self.tell_counted();
        self.happened(Err(format!("driver host {}: {how}", dead.info.pid)));
        if self.was_the_last(how) {
            return;
        }
        let mut board = self.board.lock();
        board.bank();
        board.hangs += u64::from(dead.hung);
        // Not one of the attempts that the fallback makes: those begin nothing by themselves.
        let fallen_back = board.down.is_some() && self.begin_at.is_some();
        drop(board);
        if fallen_back {
            return;
        }
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
        let verdict = self.policy.on_death(now, since);
        self.board.lock().young_deaths = self.policy.young_deaths();
        match verdict {
            Verdict::Restart(at) => {
                warn!("{}: driver host {} {how}", self.name(), dead.info.pid);
                self.begin_at = Some(at);
            }
            Verdict::GiveUp => {
                let why = match self.policy.young_deaths() - 1 {
                    0 => format!("the driver host died, {how}"),
                    deaths => {
                        format!("{deaths} driver hosts died one after the other, the last {how}")
                    }
                };
                self.fall_back(&why, how, now);
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

    pub(super) fn fall_back(&mut self, why: &str, how: impl Into<Option<Ended>>, now: Instant) {
        let restart = self.settings.restart;
        if restart.fallback == Fallback::Kernel && self.work.can_be_given_up() {
            error!("{}: {why}; given up", self.name());
            self.news.push(News::GivenUp(how.into()));
            return;
        }
        error!(
            "{}: {why}; the link is down, next attempt in {:?}",
            self.name(),
            restart.retry_after
        );
        self.work.rest();
        self.board.lock().down = Some(why.to_owned());
        self.policy.on_retry();
        self.begin_at = Some(now + restart.retry_after);
        self.spare_at = self.begin_at;
    }
}
