//! A run, as far as whoever goes on with it is concerned: another program in this process
//! ([`handover`](super::handover)), or one that the service manager starts ([`managed`](super::managed)).

use std::io;
use std::os::fd::OwnedFd;

use super::handover::{HostsState, State};
use super::hosts::Hosts;
use super::managed::Manager;
use super::work::Work;

/// A run of a device or of a client.
pub(super) trait Run {
    /// What its hosts work with.
    type Work: Work;

    fn hosts(&self) -> &Hosts<Self::Work>;

    fn hosts_mut(&mut self) -> &mut Hosts<Self::Work>;

    /// What the service manager, if there is one, is told and keeps.
    fn manager(&mut self) -> &mut Manager;

    /// What it is called where there is one line for it.
    fn title(&self) -> String;

    /// All that another program needs to go on with it and these hosts, and the descriptors that
    /// belong to its work.
    fn keep(&self, hosts: HostsState) -> io::Result<(State, Vec<OwnedFd>)>;
}
