//! Hosts that are gone: what becomes of the device, and who comes next.

use std::time::Instant;

use log::{error, warn};
use netadapter_shim::SystemPort;

use super::{Hosts, Member, News, State};
use crate::config::Fallback;
use crate::run::holding::Holding;
use crate::run::host_process::HostId;
use crate::run::policy::Verdict;
use crate::run::update::Update;

impl Hosts {
    /// A host's process has ended.
    pub(in crate::run) fn ended(&mut self, id: HostId) {
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
        self.tell_counted();
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

    pub(super) fn fall_back(&mut self, why: &str, now: Instant) {
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
}
