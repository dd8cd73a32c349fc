//! A split ring with event indices, device side, without anything that a device must mistrust.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use virtio::DmaSlice;
use virtio::mem::{Iova, OutOfRegion};
use virtio::queue::RingLayout;
use virtio::spec::ring::{avail, desc, used};
use virtio::transport::QueueSetup;
use vmm_sys_util::eventfd::EventFd;

/// A virtqueue that a driver has enabled.
pub(super) struct Ring {
    desc: DmaSlice,
    avail: DmaSlice,
    used: DmaSlice,
    size: u16,
    /// Buffers taken and handed back so far.
    taken: u16,
    put: u16,
    /// The driver's index when last read.
    seen: u16,
    /// What the driver was last asked about an interrupt for.
    signalled: u16,
    interrupt: Option<Arc<EventFd>>,
}

impl Ring {
    pub(super) fn new(
        setup: &QueueSetup,
        memory: &DmaSlice,
        interrupt: Option<Arc<EventFd>>,
    ) -> Result<Self, OutOfRegion> {
        let size = setup.size.get();
        let at = |iova: Iova, len| memory.slice((iova.0 - memory.iova().0) as usize, len);
        Ok(Self {
            desc: at(setup.desc, usize::from(size) * desc::SIZE)?,
            avail: at(setup.driver, RingLayout::avail_len(setup.size))?,
            used: at(setup.device, RingLayout::used_len(setup.size))?,
            size,
            taken: 0,
            put: 0,
            seen: 0,
            signalled: 0,
            interrupt,
        })
    }

    pub(super) fn size(&self) -> usize {
        self.size.into()
    }

    /// Bytes of the first buffer, as of all others of a receive queue.
    pub(super) fn buffer_len(&self) -> usize {
        self.len_of(0)
    }

    /// Bytes of the buffer `head`.
    pub(super) fn len_of(&self, head: u16) -> usize {
        let at = usize::from(head) * desc::SIZE + desc::LEN;
        self.desc.load_u32(at, Ordering::Relaxed) as usize
    }

    /// The memory of the buffer `head`.
    ///
    /// # Panics
    /// When it lies outside of `memory`, which is all that the driver has mapped.
    pub(super) fn buffer(&self, head: u16, memory: &DmaSlice) -> DmaSlice {
        let at = usize::from(head) * desc::SIZE + desc::ADDR;
        let addr = self.desc.load_u64(at, Ordering::Relaxed);
        let offset = addr.wrapping_sub(memory.iova().0) as usize;
        let buffer = memory.slice(offset, self.len_of(head));
        buffer.expect("a descriptor names mapped memory")
    }

    /// How many buffers wait to be taken.
    #[inline]
    pub(super) fn available(&mut self) -> usize {
        self.seen = self.avail.load_u16(avail::IDX, Ordering::Acquire);
        self.seen.wrapping_sub(self.taken).into()
    }

    /// The next one; there must be one.
    #[inline]
    pub(super) fn take(&mut self) -> u16 {
        let position = usize::from(self.taken % self.size);
        self.taken = self.taken.wrapping_add(1);
        let entry = avail::RING + position * avail::ENTRY_SIZE;
        self.avail.load_u16(entry, Ordering::Relaxed)
    }

    /// Hands `head` back; the driver sees it after [`Self::publish`].
    #[inline]
    pub(super) fn put(&mut self, head: u16, len: u32) {
        let position = usize::from(self.put % self.size);
        self.put = self.put.wrapping_add(1);
        let entry = used::RING + position * used::ENTRY_SIZE;
        let (id, at) = (entry + used::ENTRY_ID, entry + used::ENTRY_LEN);
        self.used.store_u32(id, head.into(), Ordering::Relaxed);
        self.used.store_u32(at, len, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn publish(&self) {
        self.used.store_u16(used::IDX, self.put, Ordering::Release);
    }

    /// Asks to be told of the next buffer; whether `enough` wait already.
    pub(super) fn ask_for_doorbell(&mut self, enough: usize) -> bool {
        let event = used::RING + usize::from(self.size) * used::ENTRY_SIZE;
        self.used.store_u16(event, self.seen, Ordering::Relaxed);
        // § Available Buffer Notification Suppression: the request must be visible before the
        // last look at the driver's index.
        fence(Ordering::SeqCst);
        self.available() >= enough && self.seen != self.taken
    }

    /// Interrupts the driver if it wants to know of what was handed back, or `regardless`.
    pub(super) fn interrupt_if_asked(&mut self, regardless: bool) {
        fence(Ordering::SeqCst);
        let event = avail::RING + usize::from(self.size) * avail::ENTRY_SIZE;
        let event = self.avail.load_u16(event, Ordering::Relaxed);
        let (old, new) = (self.signalled, self.put);
        self.signalled = new;
        // § Used Buffer Notification Suppression.
        let passed = new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old);
        if let Some(interrupt) = self.interrupt.as_ref().filter(|_| passed || regardless) {
            // Fails only when the counter is full, and then the interrupt is pending anyway.
            let _ = interrupt.write(1);
        }
    }
}
