//! A device with its interface, as hosts work with it.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use log::warn;
use netadapter_shim::SystemPort;
use netadapter_shim::os::tap::Tap;
use serde::{Deserialize, Serialize};

use super::handover::{miscounted, port_setup};
use super::holding::{HeldState, Holding, Lending};
use super::host_process::{UNCAGED, VERB};
use super::hosts::HostSettings;
use super::work::{Patience, Start, Work};
use super::{RunError, events};
use crate::channel::{Answer, Ask, PROTOCOL, PortSetup, Setup, StartFailure, ToHost};
use crate::config::RunConfig;
use crate::host::IfName;

/// How long hosts of a device may take.
const PATIENCE: Patience = Patience {
    prepare: Duration::from_secs(20),
    start: Duration::from_secs(15),
    stop: Duration::from_secs(5),
    replace: Duration::from_secs(1),
};

/// One device and its interface.
pub(super) struct Device {
    pub(super) holding: Holding,
    pub(super) tap: Tap,
    /// Whether the device's memory is other than what was kept.
    memory_is_new: bool,
}

/// What another program has to know of a run with a device.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeviceRun {
    pub(super) config: RunConfig,
    pub(super) ifname: IfName,
    /// The interface's.
    pub(super) index: u32,
    /// What the lock of a device without a binding is named by.
    pub(super) lock: Option<String>,
    pub(super) device: KeptDevice,
}

/// The device itself; its descriptors are the TAP's queues, then the device's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptDevice {
    pub(super) holding: HeldState,
    pub(super) port: PortSetup,
}

impl Device {
    pub(super) fn new(holding: Holding, tap: Tap) -> Self {
        Self {
            holding,
            tap,
            memory_is_new: false,
        }
    }

    /// What another program needs to hold it instead of this one.
    pub(super) fn keep(&self) -> io::Result<(KeptDevice, Vec<OwnedFd>)> {
        let (holding, device) = self.holding.keep()?;
        let queues = self.tap.queues().map(|fd| fd.try_clone_to_owned());
        let mut fds = queues.collect::<io::Result<Vec<_>>>()?;
        fds.extend(device);
        let port = port_setup(&self.tap);
        Ok((KeptDevice { holding, port }, fds))
    }

    /// What another program has kept; it may be running.
    pub(super) fn resume(kept: KeptDevice, mut queues: Vec<OwnedFd>) -> Result<Self, RunError> {
        let KeptDevice { holding, port } = kept;
        let wanted = port.queues + holding.descriptor_count();
        if queues.len() != wanted {
            let why = miscounted(queues.len(), wanted);
            return Err(events("take the device over")(why));
        }
        let device = queues.split_off(port.queues);
        let tap = Tap::attached(&port.name, queues, port.uso);
        Ok(Self::new(Holding::resume(holding, device)?, tap))
    }

    fn stop(&self) {
        if let Err(error) = self.holding.stop() {
            // Whatever the device still does, it does to memory that is built anew.
            warn!("{}: {error}", self.name());
        }
    }

    fn hide_carrier(&mut self) {
        if let Err(error) = self.tap.set_link_state(false) {
            warn!("{}: {error}", self.name());
        }
    }
}

impl Work for Device {
    const TRIES_AGAIN: bool = true;

    fn name(&self) -> &str {
        self.holding.name()
    }

    fn start(&self, settings: &HostSettings) -> Start<'_> {
        let Lending { setup, mut fds } = self.holding.lend();
        fds.extend(self.tap.queues());
        let setup = Setup {
            protocol: PROTOCOL,
            device: setup,
            port: port_setup(&self.tap),
            busy_poll_us: settings.busy_poll_us,
            rx_ring: settings.rx_ring,
            tx_ring: settings.tx_ring,
            disabled: settings.disabled,
            coalesce: settings.coalesce,
            caged: settings.caged,
        };
        let open = (!settings.caged).then_some(UNCAGED);
        Start {
            arguments: std::iter::once(VERB)
                .chain(open)
                .map(OsString::from)
                .collect(),
            environment: Some(&[]),
            message: ToHost::Setup(Box::new(setup)),
            fds,
        }
    }

    fn patience(&self) -> Patience {
        PATIENCE
    }

    fn clear(&mut self) {
        self.stop();
    }

    fn rest(&mut self) {
        self.hide_carrier();
        self.stop();
    }

    fn perform(&mut self, ask: Ask) -> Result<(Answer, Vec<OwnedFd>), String> {
        let port = |done: io::Result<()>| {
            let done = done.map_err(|error| error.to_string());
            done.map(|()| (Answer::Done, Vec::new()))
        };
        match ask {
            Ask::Memory(len) => {
                let before = self.holding.memory();
                let lent = self.holding.lend_memory(len)?;
                self.memory_is_new |= self.holding.memory() != before;
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
                let used = self.tap.use_queues(count);
                let used = used.map_err(|error| error.to_string());
                used.map(|()| (Answer::Done, Vec::new()))
            }
            Ask::Client(_) => Err("a driver host asks for what is a client's".to_owned()),
        }
    }

    fn outdates_kept(&mut self) -> bool {
        std::mem::take(&mut self.memory_is_new)
    }

    fn is_over(&self, failure: &StartFailure) -> bool {
        failure.gone && matches!(self.holding, Holding::Vfio(_))
    }

    fn can_be_given_up(&self) -> bool {
        matches!(self.holding, Holding::Vfio(_))
    }
}
