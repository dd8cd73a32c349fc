//! The other side of [`super::held`]: what a process that was lent a device can do with it.

use std::io;
use std::sync::Arc;

use vmm_sys_util::eventfd::EventFd;

use super::config_space::ConfigSpace;
use super::function::Function;
use super::sys::{self, Device};
use super::{LentMemory, Loan, Resources, failure};
use crate::mem::{DmaRegion, DmaSlice, Iova};
use crate::transport::TransportError;

/// Who has memory that the device reaches.
pub trait MemoryLender: Send {
    /// Memory of at least `len` bytes, which is the same every time as long as it suffices.
    ///
    /// # Errors
    /// Whatever the lender says, or that nobody answers.
    fn lend(&mut self, len: usize) -> io::Result<LentMemory>;
}

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
        let lent = self.memory.lend(len);
        let lent = lent.map_err(failure(&self.name, &what))?;
        if lent.len < len {
            let reason = format!("{} bytes of memory were lent, {len} are needed", lent.len);
            return Err(self.unusable(reason));
        }
        let region = DmaRegion::shared(lent.file, lent.len);
        let region = region.map_err(failure(&self.name, &what))?;
        Ok(Arc::new(region).at(lent.iova))
    }

    fn map(&mut self, _region: &Arc<DmaRegion>) -> Result<Iova, TransportError> {
        Err(self.unusable("only memory that was lent is mapped for the device".to_owned()))
    }

    /// Its holder unmaps it when it lends more.
    fn unmap(&mut self, _iova: Iova) -> Result<(), TransportError> {
        Ok(())
    }
}
