//! One virtqueue, device side, as `virtio-queue` reads it.

use std::sync::atomic::{Ordering, fence};

use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::check::Violation;
use super::config::Role;
use super::faults::{Overwrite, UsedEntries};
use crate::spec::ring::{avail, desc, used};
use crate::transport::QueueSetup;

/// The driver's memory as the device reaches it.
pub(super) type Memory = GuestMemoryMmap;
/// A buffer of the driver.
pub(super) type Chain<'m> = DescriptorChain<&'m Memory>;

/// A virtqueue that the driver has enabled.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) index: u16,
    pub(super) role: Role,
    pub(super) vector: Option<u16>,
    queue: Queue,
    /// Which heads the device holds.
    held: Box<[bool]>,
    /// Used index at the last decision to interrupt.
    signalled: u16,
    /// Entries were published together, which `virtio-queue` does not know of.
    published_together: bool,
    /// What the device overwrites when it takes a buffer.
    pub(super) overwrite: Option<Overwrite>,
    /// The device waits for the doorbell before it looks for buffers again.
    pub(super) starved: bool,
}

impl Ring {
    /// Takes over what the driver says of the queue.
    pub(super) fn new(
        setup: &QueueSetup,
        role: Role,
        event_idx: bool,
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
        queue.set_event_idx(event_idx);
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
            index: setup.index,
            role,
            vector: setup.vector,
            queue,
            held: vec![false; usize::from(setup.size.get())].into(),
            signalled: 0,
            published_together: false,
            overwrite: None,
            starved: false,
        })
    }

    /// Descriptors of the queue.
    pub(super) fn size(&self) -> u16 {
        self.queue.size()
    }

    /// How many buffers the device has taken, modulo 65536.
    pub(super) fn position(&self) -> u16 {
        self.queue.next_avail()
    }

    /// The next buffer that the driver has made available.
    pub(super) fn take<'m>(&mut self, memory: &'m Memory) -> Result<Option<Chain<'m>>, Violation> {
        let index = self.index;
        let next = self
            .queue
            .iter(memory)
            .map_err(|e| {
                Violation::new(
                    "The Virtqueue Available Ring",
                    format!("queue {index}: {e}"),
                )
            })?
            .next();
        let Some(chain) = next else { return Ok(None) };
        let head = chain.head_index();
        match self.held.get_mut(usize::from(head)) {
            Some(held) if !*held => *held = true,
            Some(_) => return Err(self.about_head(head, "is made available twice")),
            None => return Err(self.about_head(head, "is beyond the table")),
        }
        self.overwrite(memory, head);
        Ok(Some(chain))
    }

    fn about_head(&self, head: u16, what: &str) -> Violation {
        let what = format!("queue {}: descriptor {head} {what}", self.index);
        Violation::new("The Virtqueue Available Ring", what)
    }

    /// Gives back the last buffers taken, the latest first, as if they had not been looked at.
    pub(super) fn put_back(&mut self, heads: impl Iterator<Item = u16>) {
        for head in heads {
            self.held[usize::from(head)] = false;
            self.queue
                .set_next_avail(self.queue.next_avail().wrapping_sub(1));
        }
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
        for &(head, _) in used {
            self.held[usize::from(head)] = false;
        }
    }

    /// Writes one entry of the used ring without moving the index.
    pub(super) fn write_used(&self, memory: &Memory, at: u16, id: u32, len: u32) {
        let position = usize::from(at % self.queue.size());
        let entry = self.queue.used_ring() + (used::RING + position * used::ENTRY_SIZE) as u64;
        let _ = memory.write_obj(id.to_le(), GuestAddress(entry));
        let _ = memory.write_obj(len.to_le(), GuestAddress(entry + used::ENTRY_LEN as u64));
    }

    /// Says something else of the buffers that were used, by changing what would be written.
    pub(super) fn complete_falsely(
        &mut self,
        memory: &Memory,
        used: &[(u16, u32)],
        tell: fn(&mut UsedEntries),
    ) {
        let first = self.queue.next_used();
        let mut lie = UsedEntries {
            entries: used
                .iter()
                .map(|&(head, len)| (u32::from(head), len))
                .collect(),
            idx: first.wrapping_add(used.len() as u16),
            size: self.queue.size(),
            idle_id: self.idle_head(memory),
        };
        tell(&mut lie);
        for (i, &(id, len)) in lie.entries.iter().enumerate() {
            self.write_used(memory, first.wrapping_add(i as u16), id, len);
        }
        for &(head, _) in used {
            self.held[usize::from(head)] = false;
        }
        self.queue.set_next_used(lie.idx);
        self.signalled = lie.idx;
        let at = GuestAddress(self.queue.used_ring() + used::IDX as u64);
        let _ = memory.store(lie.idx.to_le(), at, Ordering::Release);
    }

    /// A head that the driver has not made available.
    fn idle_head(&self, memory: &Memory) -> u32 {
        let size = self.queue.size();
        let given = self.driver_word(memory, avail::IDX);
        let waiting = given.wrapping_sub(self.queue.next_avail());
        let waiting: Vec<u16> = (0..waiting)
            .map(|ahead| self.queue.next_avail().wrapping_add(ahead) % size)
            .map(|at| avail::RING + usize::from(at) * avail::ENTRY_SIZE)
            .map(|offset| self.driver_word(memory, offset))
            .collect();
        let idle = |head: &u16| !self.held[usize::from(*head)] && !waiting.contains(head);
        u32::from((0..size).find(idle).unwrap_or(size))
    }

    /// Overwrites what the driver wrote of a buffer that was just taken. Nothing here is read
    /// again before the driver has written it anew.
    fn overwrite(&self, memory: &Memory, head: u16) {
        match self.overwrite {
            Some(Overwrite::DescNext) => self.overwrite_next(memory, head),
            Some(Overwrite::AvailEntries) => {
                let seen = self.queue.next_avail().wrapping_sub(1) % self.queue.size();
                let entry = avail::RING + usize::from(seen) * avail::ENTRY_SIZE;
                let at = GuestAddress(self.queue.avail_ring() + entry as u64);
                let _ = memory.write_obj(0xfffe_u16, at);
            }
            None => {}
        }
    }

    fn overwrite_next(&self, memory: &Memory, index: u16) {
        let at = self.queue.desc_table() + u64::from(index) * desc::SIZE as u64;
        let flags = memory.load(GuestAddress(at + desc::FLAGS as u64), Ordering::Relaxed);
        if flags.map_or(0, u16::from_le) & desc::F_NEXT == 0 {
            let _ = memory.write_obj(0xfffe_u16, GuestAddress(at + desc::NEXT as u64));
        }
    }

    /// Writes the words by which the device asks for doorbells.
    pub(super) fn suppress(&self, memory: &Memory, flags: u16, behind: u16) {
        let ring = self.queue.used_ring();
        let event_at = used::RING + usize::from(self.queue.size()) * used::ENTRY_SIZE;
        let event = self.queue.next_avail().wrapping_sub(behind);
        let _ = memory.store(
            flags.to_le(),
            GuestAddress(ring + used::FLAGS as u64),
            Ordering::Relaxed,
        );
        let _ = memory.store(
            event.to_le(),
            GuestAddress(ring + event_at as u64),
            Ordering::Relaxed,
        );
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

    /// Tells the driver not to ring; it may still.
    pub(super) fn disable_doorbell(&mut self, memory: &Memory) {
        let _ = self.queue.disable_notification(memory);
    }

    /// Asks for the doorbell; whether buffers have come meanwhile.
    pub(super) fn enable_doorbell(&mut self, memory: &Memory) -> bool {
        let more = self.queue.enable_notification(memory).unwrap_or(false);
        fence(Ordering::SeqCst);
        more
    }
}
