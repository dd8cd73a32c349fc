//! One device of a client: running, waiting to be restarted, or down.

use std::time::Instant;

use crate::door::pnp::Pnp;
use crate::door::pnp::device_calls::DeviceCalls;
use crate::door::restart::RestartPolicy;
use crate::door::wdf::device::FailedAction;
use crate::door::wdf::io_socket::IoSocket;

/// A device that was brought up.
pub(super) struct Running {
    pub(super) pnp: Pnp<DeviceCalls>,
    /// Through which programs reach its I/O queues, if it has any.
    pub(super) socket: Option<IoSocket>,
}

/// Where a device is, or was.
pub(super) struct Slot {
    pub(super) running: Option<Running>,
    /// When it is to be restarted.
    pub(super) due: Option<Instant>,
    policy: RestartPolicy,
}

impl Slot {
    pub(super) fn new(running: Running) -> Self {
        Self {
            running: Some(running),
            due: None,
            policy: RestartPolicy::default(),
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.running.is_some() || self.due.is_some()
    }

    /// Takes the device out if the client has given it up.
    pub(super) fn take_failed(&mut self) -> Option<(Running, FailedAction)> {
        let action = self.running.as_ref()?.pnp.calls().failed()?;
        Some((self.running.take()?, action))
    }

    /// Whether it is to be restarted now.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// The client has said what is to become of it.
    pub(super) fn given_up(&mut self, action: FailedAction, now: Instant) {
        match action {
            FailedAction::ATTEMPT_RESTART => self.fail(now),
            _ => log::error!("the device stays down, as the client wants it"),
        }
    }

    /// It failed and counts as crashed.
    pub(super) fn fail(&mut self, now: Instant) {
        self.due = self.policy.on_failure(now);
        match self.due {
            Some(due) => log::warn!("the device is restarted in {:?}", due - now),
            None => log::error!("the device failed too often and stays down"),
        }
    }
}
