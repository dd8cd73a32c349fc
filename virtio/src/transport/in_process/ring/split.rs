//! A split ring, as `virtio-queue` reads it.

use std::sync::atomic::{Ordering, fence};

use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::super::check::Violation;
use super::Memory;
use crate::queue::RingFeatures;
use crate::spec::ring::{avail, used};
use crate::transport::QueueSetup;

/// A buffer of the driver.
pub(super) type SplitChain<'m> = DescriptorChain<&'m Memory>;

#[derive(Debug)]
pub(super) struct SplitRing {
    queue: Queue,
    /// Used index at the last decision to interrupt.
    signalled: u16,
    /// Entries were published together, which `virtio-queue` does not know of.
    published_together: bool,
    /// Up to where the device has looked at buffers; it may have put some back.
    looked: u16,
    /// With `VIRTIO_F_IN_ORDER` the descriptor at which the next buffer has to begin.
    next_head: Option<u16>,
}

impl SplitRing {
    pub(super) fn new(
        setup: &QueueSetup,
        features: RingFeatures,
        memory: &Memory,
    ) -> Result<Self, Violation> {
        let unfit = |e| {
            Violation::new(
                "Virtqueue Configuration",
                format!("queue {}: {e}", setup.index),
            )
        };
        let mut queue = Queue::new(setup.size.get()).map_err(unfit)?;
        queue
            .try_set_desc_table_address(GuestAddress(setup.desc.0))
            .map_err(unfit)?;
        queue
            .try_set_avail_ring_address(GuestAddress(setup.driver.0))
            .map_err(unfit)?;
        queue
            .try_set_used_ring_address(GuestAddress(setup.device.0))
            .map_err(unfit)?;
        queue.set_event_idx(features.event_idx);
        queue.set_ready(true);
        if !queue.is_valid(memory)
            || setup.desc.0 == 0
            || setup.driver.0 == 0
            || setup.device.0 == 0
        {
            let what = format!(
                "queue {} lies outside mapped memory: {setup:x?}",
                setup.index
            );
            return Err(Violation::new("Virtqueue Configuration", what));
        }
        Ok(Self {
            queue,
            signalled: 0,
            published_together: false,
            looked: 0,
            next_head: features.in_order.then_some(0),
        })
    }

    pub(super) fn next_avail(&self) -> u16 {
        self.queue.next_avail()
    }

    pub(super) fn next_used(&self) -> u16 {
        self.queue.next_used()
    }

    /// Whether the available index has come to `position`.
    pub(super) fn has_up_to(&self, memory: &Memory, position: u16) -> bool {
        let idx = self.driver_word(memory, avail::IDX);
        idx.wrapping_sub(position) <= self.queue.size()
    }

    /// The next buffer that the driver has made available, or what is wrong.
    pub(super) fn take<'m>(
        &mut self,
        memory: &'m Memory,
    ) -> Result<Option<SplitChain<'m>>, String> {
        let next = self.queue.iter(memory).map_err(|e| e.to_string())?.next();
        self.looked = self.queue.next_avail();
        if let Some(chain) = &next {
            self.check_order(chain)?;
        }
        Ok(next)
    }

    /// § *The Virtqueue Descriptor Table*: in order, a driver uses the table from its beginning
    /// to its end and round again.
    fn check_order(&mut self, chain: &SplitChain<'_>) -> Result<(), String> {
        let Some(mut at) = self.next_head else {
            return Ok(());
        };
        let mut linked = Some(chain.head_index());
        for part in chain.clone() {
            if linked != Some(at) {
                return Err(format!("descriptor {linked:?} comes where {at} is next"));
            }
            at = (at + 1) % self.queue.size();
            linked = part.has_next().then(|| part.next());
        }
        self.next_head = Some(at);
        Ok(())
    }

    /// Gives back the last buffer taken, which begins at `head`.
    pub(super) fn put_back(&mut self, head: u16, _span: u16) {
        self.next_head = self.next_head.map(|_| head);
        self.queue
            .set_next_avail(self.queue.next_avail().wrapping_sub(1));
    }

    /// Hands buffers back by one entry, which names the last and stands where that of the first
    /// would (§ *In-order use of descriptors*).
    pub(super) fn complete_batch(&mut self, memory: &Memory, used: &[(u16, u32)]) {
        let Some(&(last_head, last_len)) = used.last() else {
            return;
        };
        let first = self.queue.next_used();
        self.write_used(memory, first, u32::from(last_head), last_len);
        let idx = first.wrapping_add(used.len() as u16);
        let at = GuestAddress(self.queue.used_ring() + used::IDX as u64);
        let _ = memory.store(idx.to_le(), at, Ordering::Release);
        self.queue.set_next_used(idx);
        self.published_together = true;
    }

    /// Hands `(head, bytes written)` back to the driver; all become visible at once.
    pub(super) fn complete(&mut self, memory: &Memory, used: &[(u16, u32)]) {
        let Some((&(last_head, last_len), before)) = used.split_last() else {
            return;
        };
        let first = self.queue.next_used();
        for (i, &(head, len)) in before.iter().enumerate() {
            self.write_used(memory, first.wrapping_add(i as u16), u32::from(head), len);
        }
        self.published_together |= !before.is_empty();
        self.queue
            .set_next_used(first.wrapping_add(before.len() as u16));
        // The ring was found to lie in mapped memory, and heads below its size, when taken.
        let _ = self.queue.add_used(memory, last_head, last_len);
    }

    /// Goes on `moved` entries further, which somebody else has written.
    pub(super) fn go_on(&mut self, moved: u16) {
        let idx = self.queue.next_used().wrapping_add(moved);
        self.queue.set_next_used(idx);
        self.signalled = idx;
    }

    /// Writes one entry of the used ring without moving the index.
    fn write_used(&self, memory: &Memory, at: u16, id: u32, len: u32) {
        let position = usize::from(at % self.queue.size());
        let entry = self.queue.used_ring() + (used::RING + position * used::ENTRY_SIZE) as u64;
        let _ = memory.write_obj(id.to_le(), GuestAddress(entry));
        let _ = memory.write_obj(len.to_le(), GuestAddress(entry + used::ENTRY_LEN as u64));
    }

    /// Whether the driver wants to be told of what was used since it was last asked.
    pub(super) fn wants_interrupt(&mut self, memory: &Memory) -> bool {
        let (old, new) = (self.signalled, self.queue.next_used());
        if old == new {
            return false;
        }
        self.signalled = new;
        // `virtio-queue` begins with the full barrier that both ways need. It knows nothing of
        // NO_INTERRUPT, nor of entries that were published together.
        let wanted = self.queue.needs_notification(memory).unwrap_or(true);
        if !self.queue.event_idx_enabled() {
            return self.driver_word(memory, avail::FLAGS) & avail::F_NO_INTERRUPT == 0;
        }
        let together = std::mem::take(&mut self.published_together);
        let event_at = avail::RING + usize::from(self.queue.size()) * avail::ENTRY_SIZE;
        let event = self.driver_word(memory, event_at);
        wanted || (together && event.wrapping_sub(old) < new.wrapping_sub(old))
    }

    fn driver_word(&self, memory: &Memory, offset: usize) -> u16 {
        let address = GuestAddress(self.queue.avail_ring() + offset as u64);
        memory
            .load(address, Ordering::Relaxed)
            .map_or(0, u16::from_le)
    }

    pub(super) fn disable_doorbell(&mut self, memory: &Memory) {
        let _ = self.queue.disable_notification(memory);
    }

    pub(super) fn enable_doorbell(&mut self, memory: &Memory) -> bool {
        let next = self.queue.next_avail();
        self.queue.set_next_avail(self.looked);
        let more = self.queue.enable_notification(memory).unwrap_or(false);
        self.queue.set_next_avail(next);
        fence(Ordering::SeqCst);
        more
    }
}
