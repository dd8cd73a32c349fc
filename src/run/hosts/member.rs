//! A host and where it is in its life.

use std::time::Instant;

use crate::run::board::HostInfo;
use crate::run::host_process::HostProcess;
use crate::run::pulse::Pulse;

/// Where a host is in its life.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Preparing { until: Instant },
    Ready,
    Starting { until: Instant },
    Running { since: Instant, pulse: Pulse },
    Stopping { until: Instant },
}

/// A host and where it is.
pub(super) struct Member {
    pub(super) process: HostProcess,
    pub(super) state: State,
    pub(super) info: HostInfo,
    pub(super) hung: bool,
}

impl Member {
    /// When it is to be looked after next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Ready => None,
            State::Preparing { until } | State::Starting { until } | State::Stopping { until } => {
                Some(until)
            }
            State::Running { pulse, .. } => Some(pulse.next_look()),
        }
    }

    /// A host that was started just now and has to be ready at `until`.
    pub(super) fn preparing(process: HostProcess, until: Instant) -> Self {
        let pid = process.pid();
        Self {
            process,
            state: State::Preparing { until },
            info: HostInfo {
                pid,
                ..HostInfo::default()
            },
            hung: false,
        }
    }

    /// A host that ran before this program did.
    pub(super) fn adopted(
        process: HostProcess,
        info: HostInfo,
        pulse: Pulse,
        since: Instant,
    ) -> Self {
        Self {
            process,
            state: State::Running { since, pulse },
            info,
            hung: false,
        }
    }
}
