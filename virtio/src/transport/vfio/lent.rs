//! The other side of [`super::held`]: what a process that was lent a device can do with it.

use std::sync::Arc;

use vmm_sys_util::eventfd::EventFd;

use super::config_space::ConfigSpace;
use super::function::Function;
use super::sys::{self, Device};
use super::{Loan, Resources, failure};
use crate::mem::{DmaRegion, DmaSlice, Iova};
use crate::transport::{MemoryLender, TransportError};

/// Interrupts and memory of a device that another process holds.
pub(super) struct Lent {
    pub(super) name: Arc<str>,
    pub(super) events: Vec<Arc<EventFd>>,
    pub(super) memory: Box<dyn MemoryLender>,
}

impl Lent {
    /// Maps the device's registers. The device itself is left as it is.
    pub(super) fn open(
        loan: Loan,
        memory: Box<dyn MemoryLender>,
    ) -> Result<(Function, Self), TransportError> {
        let name: Arc<str> = loan.name.into();
        let device = Arc::new(Device::new(loan.device));
        let space = ConfigSpace::open(&device);
        let space = space.map_err(failure(&name, "finding configuration space"))?;
        let function = Function::open(&name, &device, &space)?;
        let events = loan.events.into_iter().map(sys::event_of).map(Arc::new);
        let lent = Self {
            name,
            events: events.collect(),
            memory,
        };
        Ok((function, lent))
    }

    fn unusable(&self, reason: String) -> TransportError {
        TransportError::Unusable {
            device: self.name.to_string(),
            reason,
        }
    }
}

impl Resources for Lent {
    fn vector_count(&self) -> u16 {
        self.events.len() as u16
    }

    fn interrupt(&mut self, vector: u16) -> Result<Arc<EventFd>, TransportError> {
        let count = self.events.len();
        let event = self.events.get(usize::from(vector)).map(Arc::clone);
        event.ok_or_else(|| self.unusable(format!("interrupt {vector} was not lent (of {count})")))
    }

    fn allocate(&mut self, len: usize) -> Result<DmaSlice, TransportError> {
        let what = format!("borrowing {len} bytes of memory for the device");
        let lent = self.memory.lend(len).and_then(|lent| {
            let iova = lent.iova;
            Ok(lent.into_region(len)?.at(iova))
        });
        lent.map_err(failure(&self.name, &what))
    }

    fn map(&mut self, _region: &Arc<DmaRegion>) -> Result<Iova, TransportError> {
        Err(self.unusable("only memory that was lent is mapped for the device".to_owned()))
    }

    /// Its holder unmaps it when it lends more.
    fn unmap(&mut self, _iova: Iova) -> Result<(), TransportError> {
        Ok(())
    }
}
