//! The life of a device between `EvtDriverDeviceAdd` and its deletion.
//!
//! ```text
//!   PrepareHardware ─ D0Entry ─ InterruptEnable ─ D0EntryPostInterruptsEnabled
//!        ─ queues created ─ SelfManagedIoInit or Restart      the way up
//!   ... and the same rungs in reverse order on the way down
//! ```
//!
//! Each rung has a call on the way up and calls that undo it. Where a call on the way up fails,
//! the rungs below it are undone, and the rung itself where WDF undoes it too.

pub(crate) mod device_calls;

use std::fmt;

use crate::abi::NtStatus;

/// What is called, on the client or on the framework's own half of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// `EvtDevicePrepareHardware`
    PrepareHardware,
    /// `EvtDeviceD0Entry`
    D0Entry,
    /// `EvtInterruptEnable` of all interrupts
    InterruptEnable,
    /// `EvtDeviceD0EntryPostInterruptsEnabled`
    PostInterruptsEnabled,
    /// The framework creates and starts the queues of all started adapters.
    IoStart,
    /// `EvtDeviceSelfManagedIoInit`
    SelfManagedIoInit,
    /// `EvtDeviceSelfManagedIoRestart`
    SelfManagedIoRestart,
    /// `EvtDeviceSelfManagedIoSuspend`
    SelfManagedIoSuspend,
    /// The framework cancels, drains, stops and deletes all queues.
    IoStop,
    /// `EvtDeviceD0ExitPreInterruptsDisabled`
    PreInterruptsDisabled,
    /// `EvtInterruptDisable` of all interrupts
    InterruptDisable,
    /// `EvtDeviceD0Exit`
    D0Exit,
    /// The framework stops all adapters: their interfaces end.
    AdapterStop,
    /// `EvtDeviceReleaseHardware`
    ReleaseHardware,
    /// `EvtDeviceSelfManagedIoFlush`
    SelfManagedIoFlush,
    /// `EvtDeviceSelfManagedIoCleanup`
    SelfManagedIoCleanup,
    /// `EvtDeviceSurpriseRemoval`, after the framework's own
    SurpriseRemoval,
    /// `EvtDeviceQueryStop`
    QueryStop,
    /// `EvtDeviceQueryRemove`
    QueryRemove,
}

impl Call {
    /// Microsoft's name of the callback, or what the framework does instead.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PrepareHardware => "EvtDevicePrepareHardware",
            Self::D0Entry => "EvtDeviceD0Entry",
            Self::InterruptEnable => "EvtInterruptEnable",
            Self::PostInterruptsEnabled => "EvtDeviceD0EntryPostInterruptsEnabled",
            Self::IoStart => "creating the queues",
            Self::SelfManagedIoInit => "EvtDeviceSelfManagedIoInit",
            Self::SelfManagedIoRestart => "EvtDeviceSelfManagedIoRestart",
            Self::SelfManagedIoSuspend => "EvtDeviceSelfManagedIoSuspend",
            Self::IoStop => "ending the queues",
            Self::PreInterruptsDisabled => "EvtDeviceD0ExitPreInterruptsDisabled",
            Self::InterruptDisable => "EvtInterruptDisable",
            Self::D0Exit => "EvtDeviceD0Exit",
            Self::AdapterStop => "stopping the adapters",
            Self::ReleaseHardware => "EvtDeviceReleaseHardware",
            Self::SelfManagedIoFlush => "EvtDeviceSelfManagedIoFlush",
            Self::SelfManagedIoCleanup => "EvtDeviceSelfManagedIoCleanup",
            Self::SurpriseRemoval => "EvtDeviceSurpriseRemoval",
            Self::QueryStop => "EvtDeviceQueryStop",
            Self::QueryRemove => "EvtDeviceQueryRemove",
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The state a device comes from on its way to D0, or goes to on its way from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Low {
    /// `WdfPowerDeviceD3`: it will be, or was, a sleep.
    Sleep,
    /// `WdfPowerDeviceD3Final` all the same, but it comes back: hardware is released for a while.
    Stop,
    /// `WdfPowerDeviceD3Final`: the first start, and the end.
    Final,
}

/// Who carries calls out.
pub(crate) trait Calls {
    /// Does one of them; a callback that the client does not have succeeds.
    ///
    /// # Errors
    /// The client's status, or the framework's.
    fn call(&self, call: Call, low: Low) -> Result<(), NtStatus>;
}

/// A call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed with {status}")]
pub(crate) struct PnpError {
    /// Which one.
    pub(crate) call: Call,
    /// With what.
    pub(crate) status: NtStatus,
}

struct Rung {
    up: Call,
    down: &'static [Call],
    /// Whether `down` is called even if `up` failed.
    undone_when_failed: bool,
}

const LADDER: [Rung; 6] = [
    Rung {
        up: Call::PrepareHardware,
        down: &[Call::AdapterStop, Call::ReleaseHardware],
        undone_when_failed: true,
    },
    Rung {
        up: Call::D0Entry,
        down: &[Call::D0Exit],
        undone_when_failed: false,
    },
    Rung {
        up: Call::InterruptEnable,
        down: &[Call::InterruptDisable],
        undone_when_failed: true,
    },
    Rung {
        up: Call::PostInterruptsEnabled,
        down: &[Call::PreInterruptsDisabled],
        undone_when_failed: false,
    },
    Rung {
        up: Call::IoStart,
        down: &[Call::IoStop],
        undone_when_failed: true,
    },
    Rung {
        up: Call::SelfManagedIoInit,
        down: &[Call::SelfManagedIoSuspend],
        undone_when_failed: false,
    },
];

/// How many rungs have been climbed when hardware is prepared and nothing has power.
const PREPARED: usize = 1;

/// One device's state machine. Used from one thread at a time.
pub(crate) struct Pnp<C> {
    calls: C,
    /// Rungs climbed.
    height: usize,
    self_managed: bool,
    low: Low,
    removed: bool,
}

impl<C: Calls> Pnp<C> {
    /// A device that `EvtDriverDeviceAdd` has just created.
    pub(crate) fn new(calls: C) -> Self {
        Self {
            calls,
            height: 0,
            self_managed: false,
            low: Low::Final,
            removed: false,
        }
    }

    /// Brings the device to D0, from wherever it is.
    ///
    /// # Errors
    /// The call that failed. The device is then where it was before it was started: hardware
    /// released, without power.
    pub(crate) fn start(&mut self) -> Result<(), PnpError> {
        while let Some(rung) = LADDER.get(self.height) {
            let up = self.way_up(rung);
            if let Err(status) = self.calls.call(up, self.low) {
                self.low = Low::Final;
                if rung.undone_when_failed {
                    self.undo(rung);
                }
                self.descend_to(0);
                return Err(PnpError { call: up, status });
            }
            self.height += 1;
        }
        Ok(())
    }

    /// Takes the device's power away; hardware stays prepared, interfaces stay.
    pub(crate) fn power_down(&mut self) {
        self.low = Low::Sleep;
        self.descend_to(PREPARED);
    }

    /// Takes power and hardware away for a while, as for a rebalance of resources; the way back is
    /// [`Self::start`].
    ///
    /// # Errors
    /// The client refuses (`EvtDeviceQueryStop`): nothing has changed then.
    pub(crate) fn stop(&mut self) -> Result<(), PnpError> {
        let call = Call::QueryStop;
        let asked = self.calls.call(call, self.low);
        asked.map_err(|status| PnpError { call, status })?;
        self.low = Low::Stop;
        self.descend_to(0);
        Ok(())
    }

    /// Who carries the calls out.
    pub(crate) fn calls(&self) -> &C {
        &self.calls
    }

    /// Whether the device is in D0 with everything running.
    pub(crate) fn is_working(&self) -> bool {
        self.height == LADDER.len()
    }

    /// The device was pulled out: the client hears of it, then it ends as in [`Self::remove`].
    pub(crate) fn surprise_remove(&mut self) {
        if !self.removed {
            self.tell(Call::SurpriseRemoval);
        }
        self.end();
    }

    /// Ends the device's life in good order: the client is asked, and told. It cannot refuse, for
    /// whoever hosts it ends too.
    pub(crate) fn remove(&mut self) {
        if self.is_working() {
            self.tell(Call::QueryRemove);
        }
        self.end();
    }

    /// Power off, hardware released, self-managed I/O cleaned up. What fails on the way down is
    /// logged and does not stop it.
    fn end(&mut self) {
        self.low = Low::Final;
        self.descend_to(0);
        if self.self_managed && !self.removed {
            self.tell(Call::SelfManagedIoFlush);
            self.tell(Call::SelfManagedIoCleanup);
        }
        self.removed = true;
    }

    /// Self-managed I/O is initialised once in a device's life and restarted from then on.
    fn way_up(&mut self, rung: &Rung) -> Call {
        match rung.up {
            Call::SelfManagedIoInit if self.self_managed => Call::SelfManagedIoRestart,
            Call::SelfManagedIoInit => {
                self.self_managed = true;
                Call::SelfManagedIoInit
            }
            other => other,
        }
    }

    fn descend_to(&mut self, height: usize) {
        while self.height > height {
            self.height -= 1;
            self.undo(&LADDER[self.height]);
        }
    }

    fn undo(&self, rung: &Rung) {
        for call in rung.down {
            self.tell(*call);
        }
    }

    fn tell(&self, call: Call) {
        if let Err(status) = self.calls.call(call, self.low) {
            log::warn!("{call} failed with {status} on the way down");
        }
    }
}

#[cfg(test)]
mod tests;
