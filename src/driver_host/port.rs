//! The TAP as a host has it: frames go through its own descriptors, everything else is asked for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netadapter_shim::os::tap::Tap;
use netadapter_shim::{PortOffloads, PortQueue, SystemPort};

use super::line::SharedLine;
use crate::channel::Ask;

/// A TAP whose interface belongs to the supervisor.
pub(super) struct LentPort {
    tap: Tap,
    line: SharedLine,
    leaving: Leaving,
}

/// Whether the host is about to end. What the interface shows from then on is not its matter: the
/// next host may be about to begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaving(Arc<AtomicBool>);

impl Leaving {
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl LentPort {
    pub(super) fn new(tap: Tap, line: SharedLine) -> Self {
        Self {
            tap,
            line,
            leaving: Leaving::default(),
        }
    }

    pub(super) fn leaving(&self) -> Leaving {
        self.leaving.clone()
    }
}

impl SystemPort for LentPort {
    fn max_queues(&self) -> usize {
        self.tap.max_queues()
    }

    fn rx_offloads(&self) -> PortOffloads {
        self.tap.rx_offloads()
    }

    fn tx_offloads(&self) -> PortOffloads {
        self.tap.tx_offloads()
    }

    fn set_tx_offloads(&mut self, offloads: PortOffloads) -> io::Result<()> {
        self.line.have_done(Ask::Offloads(offloads.into()))
    }

    fn open_queues(&mut self, count: usize) -> io::Result<Vec<Box<dyn PortQueue>>> {
        // The interface gives nothing to queues that nobody looks at.
        self.line.have_done(Ask::Queues(count))?;
        self.tap.open_queues(count)
    }

    fn set_link_state(&mut self, up: bool) -> io::Result<()> {
        match self.leaving.has_begun() {
            true => Ok(()),
            false => self.line.have_done(Ask::Carrier(up)),
        }
    }
}
