//! The framework's half of a Tx queue: frames of the stack into system
//! buffers, packets to the client, completed ones collected.

use std::io;

use vm_memory::{Bytes, VolatileSlice};

use super::{ClientHalf, QueueFault, vlan};
use crate::abi::{
    FailureCode, NetOffloadIeee8021qFlags, NetPacket, NetPacketChecksum, NetPacketGso,
    NetPacketIeee8021Q, NetPacketLayout, NetPacketPartialChecksum,
};
use crate::buffer_pool::BufferId;
use crate::frame_layout::{HEAD_LENGTH, parse};
use crate::offload::{Covered, Patch, Segmentation, Segments, TxPlan, complete, plan_tx};
use crate::os_ring::OsRing;
use crate::port::{PortQueue, TxFrame};
use crate::ring::{NetRings, RingSet};
use crate::stats::Counters;

/// No turn takes more bytes from the port: the client copies them next, and should still find them
/// in the cache.
const CACHED_BYTES: u64 = 256 << 10;
/// Shorter frames have no Ethernet header.
const MINIMUM_FRAME: usize = 14;

/// What the client takes over, by headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TxCoverage {
    pub(crate) checksum: Covered,
    pub(crate) segmentation: Segmentation,
    /// 802.1Q tags that travel beside the packet.
    pub(crate) tagging: NetOffloadIeee8021qFlags,
    /// Frames that cannot be described are shown with Ignore set.
    pub(crate) post_ignored: bool,
    /// Frames of which nothing is asked are posted without their layout, which is not read then.
    pub(crate) unread: bool,
}

/// A Tx queue as the execution context drives it.
pub(crate) struct TxQueue {
    client: ClientHalf,
    set: RingSet,
    packets: OsRing,
    fragments: OsRing,
    coverage: TxCoverage,
    /// A large frame that is being cut.
    segments: Option<Segments>,
    /// A copy of the start of the frame at hand.
    head: Box<[u8; HEAD_LENGTH]>,
}

/// What became of a frame.
enum Fate {
    /// It is in the rings, with so many bytes.
    Posted(u32),
    /// Its segments come next.
    Cut,
    /// It cannot be described.
    Dropped,
}

/// What the client is to do to a frame.
struct Requests {
    checksum: NetPacketChecksum,
    gso: NetPacketGso,
    partial: NetPacketPartialChecksum,
}

/// How to go on with a frame that lacks something.
enum Description {
    Complete(Requests),
    Cut(Segments),
}

impl TxQueue {
    pub(crate) fn new(client: ClientHalf, mut set: RingSet, coverage: TxCoverage) -> Self {
        if client.verified_queue() {
            set.watch_buffers();
        }
        Self {
            packets: OsRing::new(&set.packets),
            fragments: OsRing::new(&set.fragments),
            client,
            set,
            coverage,
            segments: None,
            head: Box::new([0; HEAD_LENGTH]),
        }
    }

    pub(crate) fn start(&mut self) {
        self.client.start(&self.set);
    }

    /// Collects, fills, advances, collects. Returns the units of work done;
    /// clears `port_ready` once the port has nothing more to send.
    pub(crate) fn turn(
        &mut self,
        port: &mut dyn PortQueue,
        port_ready: &mut bool,
        budget: u32,
        counters: &Counters,
    ) -> Result<u32, QueueFault> {
        let mut work = 0;
        let more = *port_ready || self.segments.is_some();
        if more && !self.client.cancelled() {
            work += self.fill(port, port_ready, budget, counters);
            self.client.check_buffers(&mut self.set)?;
        }
        // Nothing owned, nothing to advance.
        if self.packets.outstanding() > 0 {
            self.client.advance(&self.set)?;
            work += self.collect()?;
        }
        Ok(work)
    }

    /// Asks for a notification, but only while packets are pending.
    pub(crate) fn arm(&mut self) {
        if self.packets.outstanding() > 0 {
            self.client.arm();
        }
    }

    pub(crate) fn cancel(&mut self) -> Result<u32, QueueFault> {
        self.client.cancel(&self.set)?;
        self.collect()
    }

    /// Whether the client has given everything back. Fragments it forgot to
    /// return with their packets do not hold up the end.
    pub(crate) fn is_idle(&self) -> bool {
        self.packets.outstanding() == 0
    }

    /// Packets and fragments the client still owns.
    pub(crate) fn owned(&self) -> (u32, u32) {
        (self.packets.outstanding(), self.fragments.outstanding())
    }

    pub(crate) fn client(&mut self) -> &mut ClientHalf {
        &mut self.client
    }

    /// Without packets the client is not called any more, and without room for
    /// fragments it gets no more packets.
    fn check_fragments_follow(&self) -> Result<(), QueueFault> {
        let stalled = self.packets.outstanding() == 0 && self.fragments.free() == 0;
        if !stalled {
            return Ok(());
        }
        let detail = format!(
            "all packets came back, but {} fragments did not; BeginIndex of the fragment ring \
             must move with them",
            self.fragments.outstanding()
        );
        let code = FailureCode::ShimTxFragmentsNotReturned;
        Err(self.client.violation(code, detail).into())
    }

    fn collect(&mut self) -> Result<u32, QueueFault> {
        let packets = self.packets.collect(&self.set.packets)?;
        NetRings::new(&self.set).zero_packets(packets);
        // Buffers come free with their fragments, not with their packets: the
        // client moves both Begin indices.
        let fragments = self.fragments.collect(&self.set.fragments)?;
        if self.client.verified_queue() {
            fragments
                .indices()
                .for_each(|index| self.set.inspect(index));
            self.client.check_buffers(&mut self.set)?;
            self.check_fragments_follow()?;
        }
        for index in fragments.indices() {
            self.set.release(index);
        }
        Ok(packets.count)
    }

    /// Moves frames of the stack into the rings, `budget` at most, and no more than [`CACHED_BYTES`].
    fn fill(
        &mut self,
        port: &mut dyn PortQueue,
        port_ready: &mut bool,
        budget: u32,
        counters: &Counters,
    ) -> u32 {
        let room = self.packets.free().min(self.fragments.free()).min(budget);
        let (mut filled, mut ignored, mut bytes) = (0, 0, 0);
        while filled + ignored < room && bytes < CACHED_BYTES {
            match self.read_frame(port) {
                Ok(Some((buffer, frame))) => match self.post(buffer, frame, counters) {
                    Fate::Posted(length) => {
                        filled += 1;
                        bytes += u64::from(length);
                    }
                    Fate::Cut => {}
                    Fate::Dropped => {
                        counters.tx_dropped.add(1);
                        ignored += self.post_ignored();
                    }
                },
                Ok(None) => {
                    *port_ready = false;
                    break;
                }
                Err(_) => {
                    // The next edge of the port's descriptor tries again.
                    counters.tx_errors.add(1);
                    *port_ready = false;
                    break;
                }
            }
        }
        if filled + ignored > 0 {
            self.packets.publish(&self.set.packets);
            self.fragments.publish(&self.set.fragments);
            counters.tx_packets.add(u64::from(filled));
            counters.tx_bytes.add(bytes);
        }
        filled + ignored
    }

    /// Reads the next frame into a buffer attached to the next fragment.
    fn read_frame(&mut self, port: &mut dyn PortQueue) -> io::Result<Option<(BufferId, TxFrame)>> {
        let index = self.fragments.next();
        // A buffer may be left over from a frame that was dropped, or from a
        // look at a port that had nothing.
        let id = match self.set.attached(index) {
            Some(id) => id,
            None => self.set.attach(index).ok_or(io::ErrorKind::OutOfMemory)?,
        };
        let buffer = self.set.pool.buffer(id);
        if let Some(segments) = &mut self.segments {
            match segments.next(&buffer)? {
                Some(frame) => return Ok(Some((id, frame))),
                None => self.segments = None,
            }
        }
        Ok(port.transmit(&buffer)?.map(|frame| (id, frame)))
    }

    /// Shows the client a packet without data, if it wants to see such; how
    /// many packets that took.
    fn post_ignored(&mut self) -> u32 {
        if !self.coverage.post_ignored {
            return 0;
        }
        let view = NetRings::new(&self.set);
        view.set_packet(self.packets.next(), NetPacket::default().with_ignore(true));
        self.packets.post();
        1
    }

    /// Describes the frame in the next fragment's buffer to the client. If it
    /// cannot be, the buffer is used again for the next frame.
    #[inline]
    fn post(&mut self, buffer: BufferId, frame: TxFrame, counters: &Counters) -> Fate {
        if frame.length > self.set.pool.capacity() || frame.length < MINIMUM_FRAME {
            return Fate::Dropped;
        }
        let asks = frame.partial.is_partial() || frame.partial.is_segmented();
        if asks || !self.coverage.unread || self.coverage.tagging.0 != 0 {
            return self.post_read(buffer, frame, counters);
        }
        let length = frame.length as u32;
        self.write(buffer, length, NetPacketLayout::default());
        self.show();
        Fate::Posted(length)
    }

    /// The same for a frame whose headers are to be read.
    #[inline(never)]
    fn post_read(&mut self, buffer: BufferId, mut frame: TxFrame, counters: &Counters) -> Fate {
        let bytes = self.set.pool.client_slice(buffer);
        let mut tag = NetPacketIeee8021Q::default();
        if self.coverage.tagging.0 != 0 {
            // The client inserts tags: out of the frame with it.
            (frame, tag) = vlan::lift(bytes, frame, self.coverage.tagging);
        }
        let Ok(bytes) = bytes.subslice(0, frame.length) else {
            return Fate::Dropped;
        };
        let count = bytes.len().min(HEAD_LENGTH);
        bytes.copy_to_volatile_slice(VolatileSlice::from(&mut self.head[..]));
        let head = &self.head[..count];
        let layout = parse(head);
        let requests = match frame.partial.is_partial() || frame.partial.is_segmented() {
            false => None,
            true => match self.describe(bytes, head, layout, &frame, tag, counters) {
                None => return Fate::Dropped,
                Some(Description::Complete(requests)) => Some(requests),
                Some(Description::Cut(segments)) => {
                    self.segments = Some(segments);
                    return Fate::Cut;
                }
            },
        };
        let length = frame.length as u32;
        self.write(buffer, length, layout);
        self.request(requests, tag);
        self.show();
        Fate::Posted(length)
    }

    #[inline(never)]
    fn describe(
        &self,
        bytes: VolatileSlice<'_>,
        head: &[u8],
        layout: NetPacketLayout,
        frame: &TxFrame,
        tag: NetPacketIeee8021Q,
        counters: &Counters,
    ) -> Option<Description> {
        let (sums, segments) = (self.coverage.checksum, self.coverage.segmentation);
        let plan = plan_tx(head, frame.length, layout, frame.partial, sums, segments);
        let (checksum, gso, patch) = match plan {
            TxPlan::Describe {
                checksum,
                gso,
                patch,
            } => (checksum, gso, patch),
            TxPlan::Complete => {
                let patch = complete(bytes, frame.partial)?;
                counters.tx_csum_software.add(1);
                (
                    NetPacketChecksum::default(),
                    NetPacketGso::default(),
                    Some(patch),
                )
            }
            TxPlan::Segment => {
                let mut whole = vec![0; frame.length];
                bytes.read_slice(&mut whole, 0).ok()?;
                // A tag taken out goes with every segment, in its bytes.
                let (whole, frame) = vlan::restore(whole, *frame, tag);
                let layout = parse(&whole);
                return Segments::new(whole, layout, frame.partial).map(Description::Cut);
            }
            TxPlan::Drop => return None,
        };
        if let Some(Patch {
            offset,
            bytes: field,
        }) = patch
        {
            bytes.write_slice(&field, offset).ok()?;
        }
        // A checksum completed here is no longer partial.
        let whole = checksum == NetPacketChecksum::default();
        Some(Description::Complete(Requests {
            checksum,
            gso,
            partial: if whole {
                Default::default()
            } else {
                frame.partial
            },
        }))
    }

    /// Describes the frame in the next packet and the next fragment. The packet's element was
    /// zeroed when it came back, so there is nothing to write for what is not requested.
    #[inline]
    fn write(&mut self, buffer: BufferId, length: u32, layout: NetPacketLayout) {
        let (packet, fragment) = (self.packets.next(), self.fragments.next());
        let view = NetRings::new(&self.set);
        view.post_fragment(fragment, buffer, length);
        view.set_packet(packet, NetPacket::new(fragment, 1).with_layout(layout));
    }

    /// Adds what the client is asked to do.
    fn request(&mut self, requests: Option<Requests>, tag: NetPacketIeee8021Q) {
        let (packet, view) = (self.packets.next(), NetRings::new(&self.set));
        if let Some(requests) = requests {
            view.set_checksum(packet, requests.checksum);
            view.set_gso(packet, requests.gso);
            view.set_partial(packet, requests.partial);
        }
        if tag != NetPacketIeee8021Q::default() {
            view.set_ieee8021q(packet, tag);
        }
    }

    /// Posts what was written.
    #[inline]
    fn show(&mut self) {
        self.set.fence(self.fragments.next());
        self.packets.post();
        self.fragments.post();
    }
}
