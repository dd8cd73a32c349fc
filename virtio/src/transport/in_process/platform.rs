//! What a machine gives a device: interrupts to raise and memory to reach.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use vm_memory::{FileOffset, GuestAddress, GuestMemoryRegion, GuestRegionMmap, MmapRegion};
use vmm_sys_util::eventfd::EventFd;

use super::conduct::Interrupts;
use super::core::Core;
use crate::mem::{DmaRegion, Iova};
use crate::transport::TransportError;

/// Interrupts, and where the next memory goes.
#[derive(Debug)]
pub(super) struct Platform {
    vectors: Vec<Option<Line>>,
    /// The interrupt for configuration changes.
    pub(super) config_vector: Option<u16>,
    next_iova: u64,
}

/// Where an interrupt goes.
#[derive(Debug)]
enum Line {
    /// To the driver, which got it from [`Core::interrupt`].
    Driver(Arc<EventFd>),
    /// To an eventfd that came from outside.
    Outside(File),
}

impl Line {
    fn raise(&self) {
        // Fails only when the counter is full, and then the interrupt is pending anyway.
        let _ = match self {
            Self::Driver(event) => event.write(1),
            Self::Outside(event) => (&*event).write_all(&1u64.to_ne_bytes()),
        };
    }
}

/// Device addresses start beyond what a 32-bit mistake reaches.
const FIRST_IOVA: u64 = 0x1_0000_0000;
/// Nothing is mapped for this far behind a region, so that running over its end is seen.
const GUARD: u64 = 1 << 30;

impl Platform {
    pub(super) fn new(vectors: u16) -> Self {
        Self {
            vectors: (0..vectors).map(|_| None).collect(),
            config_vector: None,
            next_iova: FIRST_IOVA,
        }
    }

    /// Signals interrupt `vector`; whether anybody can hear it.
    pub(super) fn fire(&self, vector: Option<u16>) -> bool {
        let line = vector.and_then(|vector| self.vectors.get(usize::from(vector))?.as_ref());
        let Some(line) = line else { return false };
        line.raise();
        true
    }
}

impl Core {
    pub(super) fn check_vector(&self, vector: Option<u16>) -> Result<(), TransportError> {
        if let Some(vector) = vector
            && !self.conduct.grants_interrupts()
        {
            return Err(self.unusable(format!("interrupt {vector} was refused")));
        }
        match vector {
            Some(vector) if vector >= self.vector_count() => Err(self.unusable(format!(
                "interrupt {vector} does not exist (the device has {})",
                self.vector_count()
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn vector_count(&self) -> u16 {
        self.platform.vectors.len() as u16
    }

    pub(super) fn interrupt(&mut self, vector: u16) -> Result<Arc<EventFd>, TransportError> {
        self.check_vector(Some(vector))?;
        let name = &self.config.name;
        let io = |source: io::Error| TransportError::Io {
            device: name.clone(),
            operation: "eventfd".to_owned(),
            source,
        };
        let place = &mut self.platform.vectors[usize::from(vector)];
        if let Some(Line::Driver(event)) = place {
            return Ok(Arc::clone(event));
        }
        let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC).map_err(io)?;
        let event = Arc::new(event);
        *place = Some(Line::Driver(Arc::clone(&event)));
        Ok(event)
    }

    /// Lets an interrupt go to `event`, an eventfd, from now on.
    pub(super) fn connect_interrupt(
        &mut self,
        vector: u16,
        event: File,
    ) -> Result<(), TransportError> {
        self.check_vector(Some(vector))?;
        self.platform.vectors[usize::from(vector)] = Some(Line::Outside(event));
        Ok(())
    }

    pub(super) fn enable_config_interrupt(&mut self, vector: u16) -> Result<(), TransportError> {
        self.check_vector(Some(vector))?;
        self.platform.config_vector = Some(vector);
        Ok(())
    }

    /// Raises interrupt `vector`; whether anybody can hear it.
    pub(super) fn raise(&mut self, vector: Option<u16>) -> bool {
        if self.conduct.interrupts() == Interrupts::Never {
            return false;
        }
        let heard = self.platform.fire(vector);
        self.traffic.counters.interrupts += u64::from(heard);
        heard
    }

    pub(super) fn map_dma(&mut self, region: &Arc<DmaRegion>) -> Result<Iova, TransportError> {
        let iova = self.platform.next_iova;
        let file = region
            .file()
            .try_clone()
            .map_err(|source| TransportError::Io {
                device: self.config.name.clone(),
                operation: "dup of a DMA region".to_owned(),
                source,
            })?;
        self.map_at(Iova(iova), FileOffset::new(file, 0), region.len())?;
        self.platform.next_iova = iova + region.len() as u64 + GUARD;
        Ok(Iova(iova))
    }

    /// Lets the device reach `len` bytes of a file, from `iova` on.
    pub(super) fn map_at(
        &mut self,
        iova: Iova,
        file: FileOffset,
        len: usize,
    ) -> Result<(), TransportError> {
        let mapped = MmapRegion::from_file(file, len)
            .map_err(|e| e.to_string())
            .and_then(|mapping| {
                GuestRegionMmap::new(mapping, GuestAddress(iova.0))
                    .ok_or("address overflow".to_owned())
            })
            .and_then(|region| {
                self.memory
                    .insert_region(Arc::new(region))
                    .map_err(|e| e.to_string())
            })
            .map_err(|e| self.unusable(format!("a DMA region cannot be mapped: {e}")))?;
        self.memory = Arc::new(mapped);
        Ok(())
    }

    pub(super) fn unmap_dma(&mut self, iova: Iova) -> Result<(), TransportError> {
        self.violations
            .check(!self.rings.is_empty(), "Device Reset", || {
                format!("{iova} is taken away from a running device")
            });
        let region =
            vm_memory::GuestMemoryBackend::find_region(&*self.memory, GuestAddress(iova.0));
        let removed = region
            .filter(|region| region.start_addr().0 == iova.0)
            .map(GuestMemoryRegion::len)
            .and_then(|len| self.memory.remove_region(GuestAddress(iova.0), len).ok());
        match removed {
            Some((memory, _)) => {
                self.memory = Arc::new(memory);
                Ok(())
            }
            None => Err(self.unusable(format!("{iova} is not the start of a mapping"))),
        }
    }
}
