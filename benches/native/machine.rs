//! The machine that `virtio-drivers` runs on here: a device, and pages of one DMA region that are
//! handed out once and never taken back.
//!
//! Buffers lie in the region too, so sharing one with the device costs a subtraction. That is the
//! best its interface allows: what is measured is that driver, and not our way of mapping.
#![allow(unsafe_code)] // `Hal` is an unsafe trait about raw memory

use std::cell::{Cell, RefCell};
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use virtio::{DmaRegion, Transport, TransportError};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

const LEN: usize = 8 << 20;

thread_local! {
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
    static PLACE: Cell<Place> = const { Cell::new(Place { start: 0, iova: 0, taken: 0 }) };
}

/// Where the region lies, here and for the device, and how much of it was handed out.
#[derive(Clone, Copy)]
struct Place {
    start: usize,
    iova: u64,
    taken: usize,
}

/// A device.
pub(crate) struct Machine {
    pub(crate) transport: Box<dyn Transport>,
}

impl Machine {
    /// Makes `transport` the device of this thread, with memory of its own.
    pub(crate) fn install(mut transport: Box<dyn Transport>) -> Result<(), TransportError> {
        let failed = |source: io::Error| TransportError::Io {
            device: "virtio-drivers".to_owned(),
            operation: "memfd".to_owned(),
            source,
        };
        let region = Arc::new(DmaRegion::new(LEN).map_err(failed)?);
        let iova = transport.map_dma(&region)?;
        PLACE.set(Place {
            start: region.host_address() as usize,
            iova: iova.0,
            taken: 0,
        });
        // What was handed out of it stays valid for good.
        std::mem::forget(region);
        MACHINE.set(Some(Self { transport }));
        Ok(())
    }

    /// Lends the machine of this thread.
    pub(crate) fn with<T>(f: impl FnOnce(&mut Self) -> T) -> T {
        MACHINE.with_borrow_mut(|machine| f(machine.as_mut().expect("a machine is installed")))
    }
}

/// Takes `len` zeroed bytes that nobody else gets.
pub(crate) fn take(len: usize) -> &'static mut [u8] {
    let mut place = PLACE.get();
    let start = place.start + place.taken;
    place.taken += len.next_multiple_of(PAGE_SIZE);
    assert!(place.taken <= LEN, "the region is large enough");
    PLACE.set(place);
    let start = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: the bytes lie in a mapping that is never undone, are zeroed, and are handed out once.
    // The device shares this thread and touches them inside calls of the driver only, which is how
    // the driver's own interface has it.
    unsafe { std::slice::from_raw_parts_mut(start, len) }
}

fn device_address(here: NonNull<u8>) -> PhysAddr {
    let place = PLACE.get();
    place.iova + (here.as_ptr().expose_provenance() - place.start) as u64
}

pub(crate) struct Pages;

// SAFETY: pages come from one mapping that stays, are handed out once, and are zeroed; device
// addresses are those under which it is mapped for the device.
unsafe impl Hal for Pages {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let here = NonNull::from(take(pages * PAGE_SIZE)).cast();
        (device_address(here), here)
    }

    unsafe fn dma_dealloc(_address: PhysAddr, _here: NonNull<u8>, _pages: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(_address: PhysAddr, _size: usize) -> NonNull<u8> {
        unreachable!("only the crate's own PCI transport asks for this")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        device_address(buffer.cast())
    }

    unsafe fn unshare(_address: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}
