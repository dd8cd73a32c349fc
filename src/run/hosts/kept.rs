//! Hosts that go on under another program, and what that has to know of them.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::member::Member;
use super::{Hosts, SPARE_AFTER};
use crate::run::Event;
use crate::run::board::HostInfo;
use crate::run::handover::HostsState;
use crate::run::host_process::{HostId, HostProcess};
use crate::run::pulse::Pulse;
use crate::run::work::Work;

impl<W: Work> Hosts<W> {
    /// What another program needs to know of the hosts.
    pub(in crate::run) fn state(&self) -> HostsState {
        let active = self.active.as_ref().map(|active| active.info.clone());
        HostsState {
            board: self.board.lock().clone(),
            interface: self.interface,
            active: active.unwrap_or_default(),
            next_id: self.next_id,
            has_run: self.has_run,
        }
    }

    /// What another program needs to go on with the host that drives the device. The spare ends.
    pub(in crate::run) fn keep(&mut self) -> Result<HostsState, String> {
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
    pub(in crate::run) fn resume(
        &mut self,
        state: HostsState,
        channel: Option<OwnedFd>,
    ) -> io::Result<()> {
        let HostsState {
            mut board,
            interface,
            active,
            next_id,
            has_run,
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
        self.has_run = has_run;
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
        let pulse = Pulse::new(now, self.settings.restart.hang_after);
        self.active = Some(Member::adopted(process, info, pulse, now));
        self.begin_at = None;
        self.spare_at = Some(now + SPARE_AFTER);
        Ok(())
    }
}
