//! The transmit half of a queue pair: system packets in, device slots out.
//!
//! ```text
//! post    packets from NextIndex on: take a slot, copy, header, add; publish, one kick
//! drain   slots that the device has used are free again, looked for when few are left, or after
//!         so many bytes that more would not stay in the cache
//! ```

use std::sync::Arc;

use netadapter_shim::abi::{NetPacket, NetPacketLayout};
use netadapter_shim::{NetRings, Notifier, PacketQueue};
use virtio::net::VirtioNetHdr;
use virtio::queue::{Arming, DeviceFault, SlotId, Virtqueue};
use virtio::transport::Doorbell;
use vm_memory::Bytes;

use crate::copy;
use crate::driver::Ended;
use crate::fault::{Fault, FaultSink};
use crate::offload::{self, ToTransmit};
use crate::slots::{FrameSlots, FreeSlots};
use crate::stats::TxStats;

/// With fewer free slots than this, used ones are looked for.
pub(crate) const LOW_WATER: usize = 32;
/// And after so many bytes: slots that come back soon are still in the cache when they are filled
/// again, and large frames would otherwise go round all of them.
pub(crate) const CACHED_BYTES: u64 = 256 << 10;
/// How many completions to wait for when no slot is free: one interrupt for so many.
const WAKE_AFTER: u16 = 16;
/// So often in a row may the watchdog see no progress before the device is reset.
const STALL_LIMIT: u32 = 5;

/// What a transmit queue is made of.
pub struct TxParts {
    /// Device and queue, for messages.
    pub name: String,
    /// The virtqueue.
    pub queue: Virtqueue,
    /// Its doorbell.
    pub doorbell: Box<dyn Doorbell>,
    /// Its slots.
    pub slots: FrameSlots,
    /// What it counts.
    pub stats: Arc<TxStats>,
    /// Where it reports a broken device.
    pub faults: FaultSink,
}

/// A transmit queue.
pub struct TxQueue {
    parts: TxParts,
    free: FreeSlots,
    /// Bytes before each frame.
    head_len: usize,
    notifier: Notifier,
    /// Bytes sent since used slots were looked for.
    unlooked_bytes: u64,
    /// Whether a slot came back since the last tick.
    progress: bool,
    idle_ticks: u32,
    /// Nothing more is done with the device: it broke the protocol, or the queue is cancelled.
    stopped: bool,
    /// It met a fault.
    failed: bool,
}

/// What a turn hands to the device, counted when it is over.
#[derive(Default)]
struct Sent {
    packets: u64,
    bytes: u64,
    csum_offload: u64,
    gso_packets: u64,
}

impl TxQueue {
    /// A queue whose completions `notifier` announces.
    pub fn new(parts: TxParts, notifier: Notifier) -> Self {
        let free = FreeSlots::of(&parts.queue);
        Self {
            head_len: parts.slots.shape().head_len(),
            parts,
            free,
            notifier,
            unlooked_bytes: 0,
            progress: false,
            idle_ticks: 0,
            stopped: false,
            failed: false,
        }
    }

    /// What it drove, for another queue to go on with.
    pub fn into_ended(self) -> Ended {
        let TxParts {
            queue,
            doorbell,
            slots,
            ..
        } = self.parts;
        Ended {
            queue,
            doorbell,
            slots,
            failed: self.failed,
        }
    }

    /// Copies packets into slots until either runs out.
    fn post(&mut self, rings: &NetRings<'_>) {
        let packets = rings.packet_ring();
        let end = packets.end_index();
        let mut next = packets.next_index();
        let mut fragment_end = rings.fragment_ring().begin_index();
        let mut sent = Sent::default();
        while next != end {
            let packet = rings.packet(next);
            if packet.ignore() {
                self.parts.stats.tx_dropped.add(1);
            } else {
                let Some(slot) = self.free.take() else { break };
                self.send(rings, next, packet, slot, &mut sent);
                // An ignored packet has no fragments, and its index means nothing.
                fragment_end = rings
                    .fragment_ring()
                    .advance_index(packet.fragment_index, u32::from(packet.fragment_count));
            }
            next = packets.increment_index(next);
        }
        packets.set_next_index(next);
        // The one decision on when a packet goes back to the system: here, after the copy and
        // not after completion. The device holds the copy; the buffer is free for the next
        // frame while it is still in the cache.
        packets.set_begin_index(next);
        rings.fragment_ring().set_begin_index(fragment_end);
        self.count(&sent);
        self.unlooked_bytes += sent.bytes;
        self.parts.queue.publish();
        let kicked = self
            .parts
            .queue
            .kick_if_needed(self.parts.doorbell.as_ref());
        self.parts.stats.tx_kicks.add(u64::from(kicked));
    }

    #[inline]
    fn send(
        &mut self,
        rings: &NetRings<'_>,
        index: u32,
        packet: NetPacket,
        slot: SlotId,
        sent: &mut Sent,
    ) {
        let copied = self.gather(rings, packet, slot).and_then(|len| {
            self.describe(rings, index, packet, slot, len, sent)?;
            Some(len)
        });
        let Some(len) = copied else {
            self.free.give_back(slot);
            return self.parts.stats.tx_dropped.add(1);
        };
        self.parts
            .queue
            .add_with_len(slot, (self.head_len + len) as u32);
        sent.packets += 1;
        sent.bytes += len as u64;
    }

    fn count(&self, sent: &Sent) {
        let stats = &self.parts.stats;
        stats.tx_packets.add(sent.packets);
        stats.tx_bytes.add(sent.bytes);
        stats.tx_csum_offload.add(sent.csum_offload);
        stats.tx_gso_packets.add(sent.gso_packets);
    }

    /// Copies the fragments of a packet, one behind the other; the frame's length, or `None`
    /// when they do not fit.
    #[inline]
    fn gather(&self, rings: &NetRings<'_>, packet: NetPacket, slot: SlotId) -> Option<usize> {
        let index = packet.fragment_index;
        let len = match packet.fragment_count {
            0 => return None,
            1 => self.append(rings, index, slot, 0)?,
            count => self.gather_all(rings, index, count, slot)?,
        };
        (len > 0).then_some(len)
    }

    #[inline(never)]
    fn gather_all(
        &self,
        rings: &NetRings<'_>,
        mut index: u32,
        count: u16,
        slot: SlotId,
    ) -> Option<usize> {
        let mut len = 0;
        for _ in 0..count {
            len = self.append(rings, index, slot, len)?;
            index = rings.fragment_ring().increment_index(index);
        }
        Some(len)
    }

    /// Copies a fragment behind the `len` bytes there are; how many there are then.
    #[inline(always)]
    fn append(&self, rings: &NetRings<'_>, index: u32, slot: SlotId, len: usize) -> Option<usize> {
        let fragment = rings.fragment(index);
        let (offset, more) = (fragment.offset() as usize, fragment.valid_length() as usize);
        let buffer = rings.buffer(index).subslice(offset, more).ok()?;
        if more > self.parts.slots.shape().frame_capacity() - len {
            return None;
        }
        let room = self.parts.slots.frame(slot, len, more);
        copy::buffer_to_slot(&buffer, &room).then_some(len + more)
    }

    /// Writes the header before the copied frame; `None` when the request makes no sense.
    #[inline]
    fn describe(
        &self,
        rings: &NetRings<'_>,
        index: u32,
        packet: NetPacket,
        slot: SlotId,
        len: usize,
        sent: &mut Sent,
    ) -> Option<()> {
        if !offload::asks_nothing(rings.checksum(index), rings.gso(index)) {
            return self.describe_offload(rings, index, packet.layout, slot, len, sent);
        }
        self.parts.slots.write_header(slot, VirtioNetHdr::default());
        Some(())
    }

    #[inline(never)]
    fn describe_offload(
        &self,
        rings: &NetRings<'_>,
        index: u32,
        layout: NetPacketLayout,
        slot: SlotId,
        len: usize,
        sent: &mut Sent,
    ) -> Option<()> {
        let gso = rings.gso(index);
        let segmented = gso.mss() > 0;
        let transmit = offload::transmit(ToTransmit {
            layout,
            checksum: rings.checksum(index),
            gso,
            ecn: segmented && rings.partial(index).segment_type.has_ecn(),
        })?;
        let header = transmit.header;
        if usize::from(header.csum_start) + usize::from(header.csum_offset) + 2 > len {
            return None;
        }
        if let Some(at) = transmit.add_length_at {
            self.add_length(slot, at, len - usize::from(header.csum_start))?;
        }
        self.parts.slots.write_header(slot, header);
        sent.csum_offload += u64::from(header.flags != 0);
        sent.gso_packets += u64::from(segmented);
        Some(())
    }

    /// Adds `length` to the checksum field at `offset` of the copied frame.
    fn add_length(&self, slot: SlotId, offset: usize, length: usize) -> Option<()> {
        let field = self.parts.slots.frame(slot, offset, 2);
        let sum = u16::from_be_bytes(field.read_obj::<[u8; 2]>(0).ok()?);
        let sum = offload::add_length(sum, length as u32);
        field.write_obj(sum.to_be_bytes(), 0).ok()
    }

    /// Takes back the slots that the device has used. What it says of their length is of no
    /// interest: it only read them.
    fn drain(&mut self) -> Result<(), DeviceFault> {
        while let Some(used) = self.parts.queue.pop_used()? {
            self.free.give_back(used.slot);
            self.progress = true;
        }
        Ok(())
    }

    /// Whether slots had come back already when the interrupt was asked for.
    fn arm(&mut self) -> Result<bool, DeviceFault> {
        self.parts.stats.tx_arms.add(1);
        let count = self.parts.queue.outstanding_count().min(WAKE_AFTER);
        Ok(self.parts.queue.arm(count)? == Arming::MoreWork)
    }

    /// Reports a device that broke the protocol; afterwards the queue does nothing.
    fn settle<T: Default>(&mut self, outcome: Result<T, DeviceFault>) -> T {
        outcome.unwrap_or_else(|fault| {
            self.fail(Fault::Protocol(fault));
            T::default()
        })
    }

    #[cold]
    fn fail(&mut self, fault: Fault) {
        self.stopped = true;
        self.failed = true;
        self.parts.faults.report(&self.parts.name, fault);
    }

    /// The device has had frames for a whole tick and gave none back.
    #[cold]
    fn stalled(&mut self, outstanding: u16) {
        self.idle_ticks += 1;
        self.parts.stats.tx_timeout.add(1);
        if self.idle_ticks >= STALL_LIMIT {
            self.fail(Fault::TransmitStalled {
                outstanding,
                ticks: self.idle_ticks,
            });
        } else {
            self.parts.queue.kick_always(self.parts.doorbell.as_ref());
        }
    }
}

impl PacketQueue for TxQueue {
    fn advance(&mut self, rings: &NetRings<'_>) {
        if self.stopped {
            return;
        }
        if self.free.len() < LOW_WATER || self.unlooked_bytes >= CACHED_BYTES {
            self.unlooked_bytes = 0;
            let outcome = self.drain();
            self.settle(outcome);
        }
        if !self.stopped {
            self.post(rings);
            self.parts
                .stats
                .tx_busy
                .add(u64::from(self.free.is_empty()));
        }
    }

    fn set_notification_enabled(&mut self, enabled: bool) {
        if self.stopped {
            return;
        }
        if !enabled {
            return self.parts.queue.disarm();
        }
        let outcome = self.arm();
        if self.settle(outcome) {
            self.notifier.notify();
        }
    }

    /// Gives all packets back unsent.
    fn cancel(&mut self, rings: &NetRings<'_>) {
        self.stopped = true;
        for ring in [rings.packet_ring(), rings.fragment_ring()] {
            ring.set_next_index(ring.end_index());
            ring.set_begin_index(ring.end_index());
        }
    }

    fn wants_tick(&self) -> bool {
        !self.stopped && self.parts.queue.outstanding_count() > 0
    }

    /// Reaps what lazy draining left, and watches that the device makes progress.
    fn tick(&mut self) {
        if self.stopped {
            return;
        }
        let outcome = self.drain();
        self.settle(outcome);
        let outstanding = self.parts.queue.outstanding_count();
        if std::mem::take(&mut self.progress) || outstanding == 0 {
            self.idle_ticks = 0;
        } else if !self.stopped {
            self.stalled(outstanding);
        }
        if !self.free.is_empty() {
            self.notifier.notify();
        }
    }
}
