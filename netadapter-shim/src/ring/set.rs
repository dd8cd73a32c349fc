//! Both rings of a queue and the buffers behind their fragments.

use super::watch::{Intrusion, Watch};
use super::{ElementLayout, Extensions, RingMap, RingMemory};
use crate::buffer_pool::{BufferId, BufferPool};

/// Marks a fragment without a buffer in the private table.
const NO_BUFFER: Option<BufferId> = None;

/// Both rings of one queue and the buffers attached to its fragments.
pub(crate) struct RingSet {
    pub(crate) packets: RingMemory,
    pub(crate) fragments: RingMemory,
    pub(crate) packet_layout: ElementLayout,
    pub(crate) fragment_layout: ElementLayout,
    pub(crate) pool: BufferPool,
    /// Buffer of each fragment element. Private: what the client writes into
    /// its ring never decides which memory is reached.
    attached: Vec<Option<BufferId>>,
    /// Only where the verifier is on.
    watch: Option<Watch>,
}

impl RingSet {
    /// Rings of the given sizes; `None` if memory runs out.
    pub(crate) fn new(
        packet_count: u32,
        fragment_count: u32,
        extensions: Extensions,
        pool: BufferPool,
    ) -> Option<Self> {
        let packet_layout = ElementLayout::packets(extensions);
        let fragment_layout = ElementLayout::fragments();
        let packets = RingMemory::new(packet_count, packet_layout.stride)?;
        let fragments = RingMemory::new(fragment_count, fragment_layout.stride)?;
        let attached = vec![NO_BUFFER; fragments.mask() as usize + 1];
        Some(Self {
            packets,
            fragments,
            packet_layout,
            fragment_layout,
            pool,
            attached,
            watch: None,
        })
    }

    /// Where a C client finds all this.
    pub(crate) fn map(&self) -> RingMap {
        RingMap::new(
            (&self.packets, &self.packet_layout),
            (&self.fragments, &self.fragment_layout),
        )
    }

    /// Takes a buffer from the pool and attaches it to a fragment element.
    /// Returns `None` if the pool is empty.
    #[inline]
    pub(crate) fn attach(&mut self, index: u32) -> Option<BufferId> {
        let id = self.pool.take()?;
        let at = self.position(index);
        self.attached[at] = Some(id);
        if self.watch.is_some() {
            self.watch_taken(index);
        }
        Some(id)
    }

    /// Attaches a buffer to every fragment element, which keeps it.
    ///
    /// # Panics
    /// If the pool has fewer.
    pub(crate) fn attach_all(&mut self) {
        for index in 0..=self.fragments.mask() {
            let attached = self.attach(index);
            assert!(attached.is_some(), "a buffer for each fragment element");
        }
    }

    /// Detaches the buffer of a fragment element and returns it to the pool.
    #[inline]
    pub(crate) fn release(&mut self, index: u32) {
        if self.watch.is_some() {
            self.watch_given_back(index);
        }
        let at = self.position(index);
        if let Some(id) = self.attached[at].take() {
            self.pool.give_back(id);
        }
    }

    /// The watch, if there is one, hears that a buffer was free until now.
    pub(crate) fn watch_taken(&mut self, index: u32) {
        let id = self.attached(index);
        if let (Some(watch), Some(id)) = (&mut self.watch, id) {
            watch.taken(&self.pool, id, index);
        }
    }

    /// The watch, if there is one, hears that a buffer is free from here on.
    pub(crate) fn watch_given_back(&mut self, index: u32) {
        let id = self.attached(index);
        if let (Some(watch), Some(id)) = (&mut self.watch, id) {
            watch.given_back(&self.pool, id);
        }
    }

    /// Watches the buffers from here on.
    pub(crate) fn watch_buffers(&mut self) {
        self.watch = Some(Watch::new(self.fragments.mask() + 1));
    }

    /// The buffer of a fragment is about to be the client's.
    #[inline]
    pub(crate) fn fence(&self, index: u32) {
        if let (Some(_), Some(id)) = (&self.watch, self.attached(index)) {
            self.pool.guard(id, false);
        }
    }

    /// The buffer of a fragment was the client's.
    #[inline]
    pub(crate) fn inspect(&mut self, index: u32) {
        let id = self.attached(index);
        if let (Some(watch), Some(id)) = (&mut self.watch, id) {
            watch.returned(&self.pool, id, index);
        }
    }

    /// What was seen since the last call.
    #[inline]
    pub(crate) fn take_intrusion(&mut self) -> Option<Intrusion> {
        self.watch.as_mut()?.take()
    }

    /// The buffer attached to a fragment element.
    #[inline]
    pub(crate) fn attached(&self, index: u32) -> Option<BufferId> {
        self.attached[self.position(index)]
    }

    /// The buffers of all fragment elements.
    #[inline]
    pub(crate) fn all_attached(&self) -> &[Option<BufferId>] {
        &self.attached
    }

    #[inline]
    fn position(&self, index: u32) -> usize {
        (index & self.fragments.mask()) as usize
    }
}
