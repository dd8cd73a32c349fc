//! The framework's half of a Tx queue: frames of the stack into system
//! buffers, packets to the client, completed ones collected.

use std::io;

use vm_memory::{Bytes, VolatileSlice};

use super::{ClientHalf, QueueFault};
use crate::abi::{NetFragment, NetPacket, NetPacketChecksum, NetPacketGso, NetPacketLayout};
use crate::frame_layout::{HEAD_LENGTH, parse};
use crate::offload::{Covered, Patch, TxPlan, complete, plan_tx};
use crate::os_ring::OsRing;
use crate::port::{PortQueue, TxFrame};
use crate::ring::{NetRings, RingSet};
use crate::stats::Counters;

/// Shorter frames have no Ethernet header.
const MINIMUM_FRAME: usize = 14;

/// What the client takes over, by headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TxCoverage {
    pub(crate) checksum: Covered,
    pub(crate) segmentation: Covered,
}

/// A Tx queue as the execution context drives it.
pub(crate) struct TxQueue {
    client: ClientHalf,
    set: RingSet,
    packets: OsRing,
    fragments: OsRing,
    coverage: TxCoverage,
}

/// A frame ready to be described to the client.
struct Described {
    length: u32,
    layout: NetPacketLayout,
    checksum: NetPacketChecksum,
    gso: NetPacketGso,
}

impl TxQueue {
    pub(crate) fn new(client: ClientHalf, set: RingSet, coverage: TxCoverage) -> Self {
        Self {
            packets: OsRing::new(&set.packets),
            fragments: OsRing::new(&set.fragments),
            client,
            set,
            coverage,
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
        if *port_ready && !self.client.cancelled() {
            work += self.fill(port, port_ready, budget, counters);
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

    fn collect(&mut self) -> Result<u32, QueueFault> {
        let packets = self.packets.collect(&self.set.packets)?;
        for index in packets.indices() {
            self.set.packets.zero(index);
        }
        // Buffers come free with their fragments, not with their packets: the
        // client moves both Begin indices.
        let fragments = self.fragments.collect(&self.set.fragments)?;
        for index in fragments.indices() {
            self.set.release(index);
        }
        Ok(packets.count)
    }

    /// Moves frames of the stack into the rings, `budget` at most.
    fn fill(
        &mut self,
        port: &mut dyn PortQueue,
        port_ready: &mut bool,
        budget: u32,
        counters: &Counters,
    ) -> u32 {
        let room = self.packets.free().min(self.fragments.free()).min(budget);
        let (mut filled, mut bytes) = (0, 0);
        while filled < room {
            match self.read_frame(port) {
                Ok(Some(frame)) => match self.post(frame, counters) {
                    Some(length) => {
                        filled += 1;
                        bytes += u64::from(length);
                    }
                    None => counters.tx_dropped.add(1),
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
        if filled > 0 {
            self.packets.publish(&self.set.packets);
            self.fragments.publish(&self.set.fragments);
            counters.tx_packets.add(u64::from(filled));
            counters.tx_bytes.add(bytes);
        }
        filled
    }

    /// Reads the next frame into a buffer attached to the next fragment.
    fn read_frame(&mut self, port: &mut dyn PortQueue) -> io::Result<Option<TxFrame>> {
        let index = self.fragments.next();
        // A buffer may be left over from a frame that was dropped, or from a
        // look at a port that had nothing.
        let id = match self.set.attached(index) {
            Some(id) => id,
            None => self.set.attach(index).ok_or(io::ErrorKind::OutOfMemory)?,
        };
        port.transmit(&self.set.pool.buffer(id))
    }

    /// Describes the frame in the next fragment's buffer to the client. `None`
    /// if it cannot be; the buffer is used again for the next frame.
    fn post(&mut self, frame: TxFrame, counters: &Counters) -> Option<u32> {
        let (packet, fragment) = (self.packets.next(), self.fragments.next());
        let id = self.set.attached(fragment)?;
        let bytes = self.set.pool.client_slice(id);
        if frame.length > bytes.len() || frame.length < MINIMUM_FRAME {
            return None;
        }
        let bytes = bytes.subslice(0, frame.length).ok()?;
        let described = self.describe(bytes, &frame, counters)?;
        self.write(packet, fragment, described, &frame);
        self.set.write_virtual_address(fragment, id);
        self.packets.post();
        self.fragments.post();
        Some(frame.length as u32)
    }

    fn describe(
        &self,
        bytes: VolatileSlice<'_>,
        frame: &TxFrame,
        counters: &Counters,
    ) -> Option<Described> {
        let mut head = [0; HEAD_LENGTH];
        let count = bytes.copy_to(&mut head[..]);
        let head = &head[..count];
        let layout = parse(head);
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
            TxPlan::Drop => return None,
        };
        if let Some(Patch {
            offset,
            bytes: field,
        }) = patch
        {
            bytes.write_slice(&field, offset).ok()?;
        }
        let length = frame.length as u32;
        Some(Described {
            length,
            layout,
            checksum,
            gso,
        })
    }

    fn write(&self, packet: u32, fragment: u32, described: Described, frame: &TxFrame) {
        let view = NetRings::new(&self.set);
        let capacity = self.set.pool.capacity() as u32;
        let element = NetFragment::default()
            .with_valid_length(described.length)
            .with_capacity(capacity);
        view.set_fragment(fragment, element);
        view.set_packet(
            packet,
            NetPacket::new(fragment, 1).with_layout(described.layout),
        );
        view.set_checksum(packet, described.checksum);
        view.set_gso(packet, described.gso);
        // A checksum completed here is no longer partial.
        let whole = described.checksum == NetPacketChecksum::default();
        view.set_partial(
            packet,
            if whole {
                Default::default()
            } else {
                frame.partial
            },
        );
    }
}
