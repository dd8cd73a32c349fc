//! The receive half of a queue pair: device slots in, system packets out.
//!
//! ```text
//! drain   pop_used -> check header and lengths -> copy -> fill NET_PACKET -> Begin moves
//! post    the slots were added again as they were emptied: publish, few kicks
//! ```
//!
//! System buffers never reach the device, so posting does not concern the NET_RINGs and
//! NextIndex stays unused.

use std::sync::Arc;

use netadapter_shim::abi::{NetFragment, NetPacket};
use netadapter_shim::{NetRings, Notifier, PacketQueue};
use virtio::net::{FeatureSet, HashReport, VirtioNetHdr};
use virtio::queue::{Arming, DeviceFault, SlotId, Used, Virtqueue};
use virtio::spec::net::feature::VIRTIO_NET_F_MRG_RXBUF;
use virtio::spec::net::header::GSO_NONE;
use virtio::transport::Doorbell;
use vm_memory::VolatileSlice;

use crate::copy;
use crate::driver::Ended;
use crate::fault::{Fault, FaultSink};
use crate::hash;
use crate::offload::{self, Received};
use crate::slots::FrameSlots;
use crate::stats::{Counter, RxStats};

/// Shortest frame: a link header.
const MIN_FRAME: usize = 14;
/// While frames come the device is told of emptied slots so often in a round of the queue, if it
/// asks for it.
pub(crate) const RINGS_A_ROUND: u16 = 8;
/// So many frames in a row may miss buffers before the device is reset.
const MISSING_BUFFERS_LIMIT: u32 = 8;

/// What a receive queue is made of.
pub struct RxParts {
    /// Device and queue, for messages.
    pub name: String,
    /// The virtqueue, all of whose slots are with the device.
    pub queue: Virtqueue,
    /// Its doorbell.
    pub doorbell: Box<dyn Doorbell>,
    /// Its slots.
    pub slots: FrameSlots,
    /// What was agreed on with the device.
    pub features: FeatureSet,
    /// Longest frame, in bytes, that is not several segments in one.
    pub frame_limit: usize,
    /// What may have been hashed, where headers tell of it; 0: they do not.
    pub hash_types: u32,
    /// What it counts.
    pub stats: Arc<RxStats>,
    /// Where it reports a broken device.
    pub faults: FaultSink,
}

/// A receive queue.
pub struct RxQueue {
    parts: RxParts,
    mergeable: bool,
    notifier: Notifier,
    missing_buffers: u32,
    /// The last turn brought frames.
    busy: bool,
    /// Nothing has come since an interrupt was asked for.
    awaits_interrupt: bool,
    /// Nothing more is done with the device: it broke the protocol, or the queue is cancelled.
    stopped: bool,
    /// It met a fault.
    failed: bool,
}

/// The ring elements that a frame is received into.
#[derive(Clone, Copy)]
struct Place {
    packet: u32,
    fragment: u32,
}

/// Why a frame was dropped: the counter that says so.
type Drop = fn(&RxStats) -> &Counter;

impl RxQueue {
    /// A queue whose packets `notifier` announces.
    pub fn new(parts: RxParts, notifier: Notifier) -> Self {
        let mergeable = parts.features.has(VIRTIO_NET_F_MRG_RXBUF);
        Self {
            parts,
            mergeable,
            notifier,
            missing_buffers: 0,
            busy: false,
            awaits_interrupt: false,
            stopped: false,
            failed: false,
        }
    }

    /// What it drove, for another queue to go on with.
    pub fn into_ended(self) -> Ended {
        let RxParts {
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

    /// Moves received frames into the rings until either side runs out.
    fn drain(&mut self, rings: &NetRings<'_>) -> Result<(), DeviceFault> {
        let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
        let (mut packet, mut fragment) = (packets.begin_index(), fragments.begin_index());
        let (packet_end, fragment_end) = (packets.end_index(), fragments.end_index());
        let (mut outcome, mut count, mut bytes) = (Ok(()), 0, 0);
        while packet != packet_end && fragment != fragment_end {
            match self.receive(rings, Place { packet, fragment }) {
                Ok(None) => break,
                Ok(Some(Err(reason))) => self.count_dropped(reason),
                Ok(Some(Ok(len))) => {
                    packet = packets.increment_index(packet);
                    fragment = fragments.increment_index(fragment);
                    count += 1;
                    bytes += len as u64;
                }
                Err(fault) => {
                    outcome = Err(fault);
                    break;
                }
            }
        }
        self.busy = packet != packets.begin_index();
        self.awaits_interrupt &= !self.busy;
        packets.set_begin_index(packet);
        fragments.set_begin_index(fragment);
        self.parts.stats.rx_packets.add(count);
        self.parts.stats.rx_bytes.add(bytes);
        outcome
    }

    /// Copies the next frame that the device has used to where `place` says and describes it
    /// there; its length, or why it was dropped.
    #[inline]
    fn receive(
        &mut self,
        rings: &NetRings<'_>,
        place: Place,
    ) -> Result<Option<Result<usize, Drop>>, DeviceFault> {
        let Some(first) = self.parts.queue.pop_used()? else {
            return Ok(None);
        };
        // The header is read even when the length makes no sense: the slot holds that many
        // bytes in any case, and how many buffers belong together must be known to drop them.
        let header = self.parts.slots.read_header(first.slot);
        let len = match self.says_nothing(VirtioNetHdr::from_words(header)) {
            true => self.receive_plain(rings, place, first),
            false => self.receive_described(rings, place, first.slot, first.len, header)?,
        };
        if let Ok(len) = len {
            let filled = rings.fragment(place.fragment).with_offset(0);
            rings.set_fragment(place.fragment, filled.with_valid_length(len as u32));
        }
        Ok(Some(len))
    }

    /// Whether a frame is in one buffer, and the device tells nothing else of it.
    #[inline]
    fn says_nothing(&self, header: VirtioNetHdr) -> bool {
        offload::is_plain(header) && self.is_in_one_buffer(header) && self.parts.hash_types == 0
    }

    /// Without MRG_RXBUF the field should read 1, but there are devices that leave it be.
    #[inline]
    fn is_in_one_buffer(&self, header: VirtioNetHdr) -> bool {
        header.num_buffers == 1 || !self.mergeable
    }

    #[inline]
    fn receive_plain(
        &mut self,
        rings: &NetRings<'_>,
        place: Place,
        used: Used,
    ) -> Result<usize, Drop> {
        let len = self.copy_first(used, &rings.buffer(place.fragment));
        self.parts.queue.add(used.slot);
        let len = len?;
        if len > self.parts.frame_limit {
            return Err(over_error);
        }
        rings.set_packet(place.packet, NetPacket::new(place.fragment, 1));
        Ok(len)
    }

    /// Apart, and told all in registers, so that plain frames need not pass on what they do not
    /// have.
    #[inline(never)]
    fn receive_described(
        &mut self,
        rings: &NetRings<'_>,
        place: Place,
        slot: SlotId,
        len: Option<u32>,
        header: [u32; 3],
    ) -> Result<Result<usize, Drop>, DeviceFault> {
        let header = VirtioNetHdr::from_words(header);
        let buffer = rings.buffer(place.fragment);
        let hash = match self.parts.hash_types {
            0 => HashReport::default(),
            _ => self.parts.slots.read_hash(slot),
        };
        let gathered = self.gather(Used { slot, len }, header, &buffer);
        self.parts.queue.add(slot);
        Ok(gathered?.and_then(|len| {
            let facts = self.check(header, hash, &buffer, len)?;
            self.describe(rings, place, &facts, hash);
            Ok(len)
        }))
    }

    /// Copies the buffers of one frame, the first of which is `first`; the frame's length.
    fn gather(
        &mut self,
        first: Used,
        header: VirtioNetHdr,
        buffer: &VolatileSlice<'_>,
    ) -> Result<Result<usize, Drop>, DeviceFault> {
        let len = self.copy_first(first, buffer);
        if self.is_in_one_buffer(header) {
            return Ok(len);
        }
        self.gather_rest(first, header.num_buffers, len, buffer)
    }

    #[inline]
    fn copy_first(&self, first: Used, buffer: &VolatileSlice<'_>) -> Result<usize, Drop> {
        let written = first.len.ok_or(length_error as Drop)? as usize;
        let len = written
            .checked_sub(self.parts.slots.shape().head_len())
            .ok_or(length_error as Drop)?;
        if len < MIN_FRAME {
            return Err(length_error);
        }
        let slot = self.parts.slots.frame(first.slot, 0, len);
        if copy::slot_to_buffer(&slot, buffer) {
            Ok(len)
        } else {
            Err(over_error)
        }
    }

    /// Takes the further buffers of a frame off the queue, even if the frame is to be dropped:
    /// otherwise their contents would be taken for headers.
    fn gather_rest(
        &mut self,
        first: Used,
        num_buffers: u16,
        mut len: Result<usize, Drop>,
        buffer: &VolatileSlice<'_>,
    ) -> Result<Result<usize, Drop>, DeviceFault> {
        if num_buffers == 0 || num_buffers > self.parts.queue.slot_count() {
            return Ok(Err(buffer_error));
        }
        let mut before = first;
        for _ in 1..num_buffers {
            let Some(used) = self.parts.queue.pop_used()? else {
                return Ok(Err(self.missing_buffer()));
            };
            len = len.and_then(|len| self.append(before, used, len, buffer));
            self.parts.queue.add(used.slot);
            before = used;
        }
        self.missing_buffers = 0;
        Ok(len)
    }

    /// Copies a further buffer behind the `len` bytes there are; the buffer before it must
    /// have been filled (§ *Processing of Incoming Packets*).
    fn append(
        &self,
        before: Used,
        used: Used,
        len: usize,
        buffer: &VolatileSlice<'_>,
    ) -> Result<usize, Drop> {
        let full = self.parts.slots.shape().layout().parts[0].len;
        if before.len != Some(full) {
            return Err(buffer_error);
        }
        let more = used.len.filter(|&n| n > 0).ok_or(length_error as Drop)? as usize;
        let slot = self.parts.slots.continuation(used.slot, more);
        let rest = buffer.offset(len).map_err(|_| over_error as Drop)?;
        if copy::slot_to_buffer(&slot, &rest) {
            Ok(len + more)
        } else {
            Err(over_error)
        }
    }

    /// A frame's buffers are handed over together; that they are not all there is tolerated
    /// for a few frames only.
    fn missing_buffer(&mut self) -> Drop {
        self.missing_buffers += 1;
        if self.missing_buffers >= MISSING_BUFFERS_LIMIT {
            self.fail(Fault::MissingBuffers {
                frames: self.missing_buffers,
            });
        }
        buffer_error
    }

    /// Checks what the device said of the `len` bytes now in `buffer`.
    fn check(
        &self,
        header: VirtioNetHdr,
        hash: HashReport,
        buffer: &VolatileSlice<'_>,
        len: usize,
    ) -> Result<Received, Drop> {
        if header.gso_type == GSO_NONE && len > self.parts.frame_limit {
            return Err(over_error);
        }
        if !hash::is_possible(hash, self.parts.hash_types) {
            return Err(header_error);
        }
        let bytes = buffer.subslice(0, len).map_err(|_| over_error as Drop)?;
        offload::received(header, &bytes, self.parts.features).map_err(|_| header_error as Drop)
    }

    /// Tells the system what the device said of a frame.
    fn describe(
        &self,
        rings: &NetRings<'_>,
        Place { packet, fragment }: Place,
        facts: &Received,
        hash: HashReport,
    ) {
        if *facts != Received::default() {
            rings.set_checksum(packet, facts.checksum);
            rings.set_partial(packet, facts.partial);
            rings.set_rsc(packet, facts.rsc);
            let stats = &self.parts.stats;
            stats.rx_csum_offload.add(1);
            let segmented = facts.partial.is_segmented();
            stats.rx_gso_packets.add(segmented.into());
        }
        if self.parts.hash_types != 0 {
            rings.set_hash(packet, hash::packet_hash(hash));
        }
        let described = NetPacket::new(fragment, 1).with_layout(facts.layout);
        rings.set_packet(packet, described);
    }

    /// Shows the device the emptied slots in every turn, but rings only when a good part of the
    /// queue has been emptied or nothing is coming: a device that waits for slots fills that many
    /// at once then, and each ring costs as much as several frames. With larger parts it waits too
    /// long, and so does whoever drives it.
    #[inline]
    fn post(&mut self) {
        self.parts.queue.publish();
        let waiting = self.parts.queue.unkicked_count();
        if self.busy && waiting < self.parts.queue.slot_count() / RINGS_A_ROUND {
            return;
        }
        let kicked = self
            .parts
            .queue
            .kick_if_needed(self.parts.doorbell.as_ref());
        self.parts.stats.rx_kicks.add(u64::from(kicked));
    }

    #[cold]
    fn count_dropped(&self, reason: Drop) {
        self.parts.stats.rx_errors.add(1);
        reason(&self.parts.stats).add(1);
    }

    #[cold]
    fn fail(&mut self, fault: Fault) {
        self.stopped = true;
        self.failed = true;
        self.parts.faults.report(&self.parts.name, fault);
    }

    /// Asks for an interrupt; whether frames are waiting already.
    fn arm(&mut self) -> bool {
        self.parts.stats.rx_arms.add(1);
        let arming = self.parts.queue.arm(1);
        self.awaits_interrupt = matches!(arming, Ok(Arming::Armed));
        match arming {
            Ok(arming) => arming == Arming::MoreWork,
            Err(fault) => {
                self.fail(Fault::Protocol(fault));
                false
            }
        }
    }
}

impl PacketQueue for RxQueue {
    fn advance(&mut self, rings: &NetRings<'_>) {
        if self.stopped {
            return;
        }
        match self.drain(rings) {
            Ok(()) => self.post(),
            Err(fault) => self.fail(Fault::Protocol(fault)),
        }
    }

    fn set_notification_enabled(&mut self, enabled: bool) {
        if self.stopped {
            return;
        }
        if !enabled {
            self.parts.queue.disarm();
        } else if self.arm() {
            self.notifier.notify();
        }
    }

    fn cancel(&mut self, rings: &NetRings<'_>) {
        self.stopped = true;
        let (packets, fragments) = (rings.packet_ring(), rings.fragment_ring());
        let mut packet = packets.begin_index();
        while packet != packets.end_index() {
            rings.set_packet(packet, rings.packet(packet).with_ignore(true));
            packet = packets.increment_index(packet);
        }
        let mut fragment = fragments.begin_index();
        while fragment != fragments.end_index() {
            let empty: NetFragment = rings.fragment(fragment).with_offset(0).with_valid_length(0);
            rings.set_fragment(fragment, empty);
            fragment = fragments.increment_index(fragment);
        }
        packets.set_begin_index(packet);
        fragments.set_begin_index(fragment);
    }

    fn wants_tick(&self) -> bool {
        !self.stopped
    }

    /// Looks for frames whose interrupt never came. While frames are coming, none is awaited.
    fn tick(&mut self) {
        if !self.stopped && self.awaits_interrupt && self.arm() {
            self.parts.stats.rx_missed_interrupts.add(1);
            self.notifier.notify();
        }
    }
}

fn length_error(stats: &RxStats) -> &Counter {
    &stats.rx_length_errors
}

fn buffer_error(stats: &RxStats) -> &Counter {
    &stats.rx_buffer_errors
}

fn header_error(stats: &RxStats) -> &Counter {
    &stats.rx_header_errors
}

fn over_error(stats: &RxStats) -> &Counter {
    &stats.rx_over_errors
}
