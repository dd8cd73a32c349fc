//! The machine that `virtio-drivers` runs on here: memory for the device, from one region.
//!
//! The crate's `Hal` has functions without `self`, so the machine is a thread's own.
#![allow(unsafe_code)] // `Hal` is an unsafe trait about raw memory

use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::Arc;

use virtio::{DmaRegion, Iova, Transport, TransportError};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// Enough for the queues and all buffers of the driver.
const PAGES: usize = 1024;

thread_local! {
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

/// A device and the memory it may reach.
pub(crate) struct Machine {
    pub(crate) transport: Box<dyn Transport>,
    region: Arc<DmaRegion>,
    iova: Iova,
    taken: [bool; PAGES],
}

impl Machine {
    /// Makes `transport` the device of this thread.
    pub(crate) fn install(mut transport: Box<dyn Transport>) -> Result<(), TransportError> {
        let region = DmaRegion::new(PAGES * PAGE_SIZE).map_err(|source| TransportError::Io {
            device: transport.name().to_owned(),
            operation: "memfd".to_owned(),
            source,
        })?;
        let region = Arc::new(region);
        let iova = transport.map_dma(&region)?;
        let machine = Self {
            transport,
            region,
            iova,
            taken: [false; PAGES],
        };
        MACHINE.set(Some(machine));
        Ok(())
    }

    /// Lends the machine of this thread.
    pub(crate) fn with<T>(f: impl FnOnce(&mut Self) -> T) -> T {
        MACHINE.with_borrow_mut(|machine| f(machine.as_mut().expect("a machine is installed")))
    }

    /// Takes so many pages that lie together; the first one.
    fn take(&mut self, pages: usize) -> Option<usize> {
        let first = (0..=PAGES - pages).find(|&at| !self.taken[at..at + pages].contains(&true))?;
        self.taken[first..first + pages].fill(true);
        Some(first)
    }

    fn give_back(&mut self, address: PhysAddr, pages: usize) {
        let first = (address - self.iova.0) as usize / PAGE_SIZE;
        self.taken[first..first + pages].fill(false);
    }

    fn device_address(&self, page: usize) -> PhysAddr {
        self.iova.0 + (page * PAGE_SIZE) as u64
    }

    fn bytes(&self, address: PhysAddr, len: usize) -> virtio::DmaSlice {
        let whole = self.region.at(self.iova);
        let slice = whole.slice((address - self.iova.0) as usize, len);
        slice.expect("an address from this machine")
    }
}

pub(crate) struct Pages;

// SAFETY: pages come from one mapping that lives as long as the thread's machine, are handed out
// once until they come back, and are zeroed.
unsafe impl Hal for Pages {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        Machine::with(|machine| {
            let page = machine.take(pages).expect("memory for a queue");
            let address = machine.device_address(page);
            machine.bytes(address, pages * PAGE_SIZE).clear();
            let here = machine.region.host_address() as usize + page * PAGE_SIZE;
            let pointer = NonNull::new(std::ptr::with_exposed_provenance_mut(here));
            (address, pointer.expect("a mapping is not at 0"))
        })
    }

    unsafe fn dma_dealloc(address: PhysAddr, _here: NonNull<u8>, pages: usize) -> i32 {
        Machine::with(|machine| machine.give_back(address, pages));
        0
    }

    unsafe fn mmio_phys_to_virt(_address: PhysAddr, _size: usize) -> NonNull<u8> {
        unreachable!("only the crate's own PCI transport asks for this")
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        Machine::with(|machine| {
            let page = machine
                .take(buffer.len().div_ceil(PAGE_SIZE))
                .expect("memory for a buffer");
            let address = machine.device_address(page);
            if direction != BufferDirection::DeviceToDriver {
                // SAFETY: the caller lends the buffer for the duration of this call.
                let bytes = unsafe { buffer.as_ref() };
                machine.bytes(address, bytes.len()).bytes().copy_from(bytes);
            }
            address
        })
    }

    unsafe fn unshare(address: PhysAddr, mut buffer: NonNull<[u8]>, direction: BufferDirection) {
        Machine::with(|machine| {
            if direction != BufferDirection::DriverToDevice {
                // SAFETY: the caller lends the buffer for the duration of this call.
                let bytes = unsafe { buffer.as_mut() };
                machine.bytes(address, bytes.len()).bytes().copy_to(bytes);
            }
            machine.give_back(address, buffer.len().div_ceil(PAGE_SIZE));
        });
    }
}
