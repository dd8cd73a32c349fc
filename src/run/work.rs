//! What hosts work with, and the supervisor keeps when one of them dies.

use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use super::hosts::HostSettings;
use crate::channel::{Answer, Ask, StartFailure, ToHost};

/// What a host is started with.
pub(super) struct Start<'a> {
    /// The verb, with its options.
    pub(super) arguments: Vec<OsString>,
    /// What it keeps of the environment, beside what every host does; without a list all.
    pub(super) environment: Option<&'static [&'static str]>,
    pub(super) message: ToHost,
    pub(super) fds: Vec<BorrowedFd<'a>>,
}

/// How long a host may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To build itself.
    pub(super) prepare: Duration,
    /// To start the device.
    pub(super) start: Duration,
    /// To stop the device and end.
    pub(super) stop: Duration,
    /// To stop when another one waits to replace it.
    pub(super) replace: Duration,
}

/// A device with its interface, or the interfaces of a client.
pub(super) trait Work {
    /// Whether a host that dies before one has ever run is followed by another one.
    const TRIES_AGAIN: bool;

    /// What it is called.
    fn name(&self) -> &str;

    /// What the next host is started with.
    fn start(&self, settings: &HostSettings) -> Start<'_>;

    fn patience(&self) -> Patience;

    /// Nothing goes on of what the host before has done: another one is about to begin.
    fn clear(&mut self);

    /// There is no host for a while, or none any more.
    fn rest(&mut self);

    /// Does what the host that works asks for.
    fn perform(&mut self, ask: Ask) -> Result<(Answer, Vec<OwnedFd>), String>;

    /// Whether what is kept of this for another program is out of date since this was last asked:
    /// something was lent or taken back.
    fn outdates_kept(&mut self) -> bool;

    /// The host has started, and has asked for all that it begins with.
    fn started(&mut self) {}

    /// Whether there is nothing left to work with after this.
    fn is_over(&self, failure: &StartFailure) -> bool;

    /// Whether the fallback "kernel" ends the run.
    fn can_be_given_up(&self) -> bool;
}
