//! A device with its interface, as hosts work with it.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use log::warn;
use netadapter_shim::SystemPort;
use netadapter_shim::os::tap::Tap;

use super::handover::port_setup;
use super::holding::{Holding, Lending};
use super::host_process::{UNCAGED, VERB};
use super::hosts::HostSettings;
use super::work::{Patience, Start, Work};
use crate::channel::{Answer, Ask, PROTOCOL, Report, Setup, StartFailure, ToHost};

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
}

impl Device {
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

    fn perform(&mut self, ask: Ask, _taking_over: bool) -> Result<(Answer, Vec<OwnedFd>), String> {
        let port = |done: io::Result<()>| {
            let done = done.map_err(|error| error.to_string());
            done.map(|()| (Answer::Done, Vec::new()))
        };
        match ask {
            Ask::Memory(len) => {
                let lent = self.holding.lend_memory(len)?;
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

    // It has stated its link on the way.
    fn started(&mut self, _report: &Report) {}

    fn is_over(&self, failure: &StartFailure) -> bool {
        failure.gone && matches!(self.holding, Holding::Vfio(_))
    }

    fn can_be_given_up(&self) -> bool {
        matches!(self.holding, Holding::Vfio(_))
    }
}
