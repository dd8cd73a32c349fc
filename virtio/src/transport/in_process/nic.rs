//! The data path of the device: frames out, frames in, commands.

use std::sync::Arc;

use vm_memory::{Bytes, GuestAddress};

use super::Frame;
use super::check::{self, Violation};
use super::config::Role;
use super::faults::{Answer, Delivery};
use super::registers::Core;
use super::ring::{Chain, Memory, Ring};
use crate::net::VirtioNetHdr;
use crate::spec::net::feature::*;
use crate::spec::net::{MAX_LARGE_FRAME, ctrl};
use crate::spec::status;

/// What a device has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames taken from the driver.
    pub tx_frames: u64,
    /// Frames given to the driver.
    pub rx_frames: u64,
    /// Bytes of the latter, without headers.
    pub rx_bytes: u64,
    /// Frames lost because they do not fit into the driver's buffers.
    pub rx_oversize: u64,
    /// Frames lost because they need an offload that the driver did not accept.
    pub rx_unsupported: u64,
    /// Frames that the receive filters kept away from the driver.
    pub rx_filtered: u64,
    /// Times the device found no receive buffer for a frame.
    pub rx_starved: u64,
    /// Commands carried out or refused.
    pub commands: u64,
    /// Interrupts raised.
    pub interrupts: u64,
    /// Doorbells rung.
    pub doorbells: u64,
}

/// The data path's own state.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) counters: Counters,
    /// Bytes on their way out.
    leaving: Frame,
    /// A frame that waits for buffers.
    arriving: Delivery,
    has_arriving: bool,
    /// Buffers of the frame being delivered.
    filled: Vec<(u16, u32)>,
}

/// Buffers looked at in one go before another queue gets its turn.
const BUDGET: usize = 256;

impl Core {
    /// Does what there is to do, up to a limit; whether anything was done.
    pub(super) fn service(&mut self) -> bool {
        self.bells.start_looking();
        let running =
            self.status & (status::DRIVER_OK | status::DEVICE_NEEDS_RESET) == status::DRIVER_OK;
        if !running || self.here().is_err() {
            return false;
        }
        let mut busy = false;
        for i in 0..self.rings.len() {
            if self.stalls(self.rings[i].role) {
                continue;
            }
            let rung = self.bells.take(self.rings[i].index);
            let served = match self.rings[i].role {
                Role::Transmit if rung => self.drain(i, Self::transmit_one),
                Role::Control if rung => self.drain(i, Self::execute_one),
                Role::Receive => {
                    self.rings[i].starved &= !rung;
                    self.receive(i)
                }
                Role::Transmit | Role::Control => Ok(false),
            };
            busy |= self.settle(i, served);
        }
        self.lie_after_service();
        busy
    }

    /// Tells the driver of what was used; a ring that broke the rules stops the device.
    fn settle(&mut self, i: usize, served: Result<bool, Violation>) -> bool {
        let broken = served.is_err();
        let busy = served.unwrap_or_else(|violation| {
            self.violations.add(violation);
            false
        });
        let ring = &mut self.rings[i];
        if ring.wants_interrupt(&self.memory) {
            let vector = ring.vector;
            self.raise(vector);
        }
        if broken {
            self.demand_reset();
        }
        busy
    }

    /// Serves one queue that the driver fills, until it is empty.
    fn drain(
        &mut self,
        i: usize,
        serve: fn(&mut Self, usize, Chain<'_>) -> Result<Option<u32>, Violation>,
    ) -> Result<bool, Violation> {
        let memory = Arc::clone(&self.memory);
        for served in 0..BUDGET {
            self.rings[i].disable_doorbell(&memory);
            let Some(chain) = self.rings[i].take(&memory)? else {
                if self.rings[i].enable_doorbell(&memory) {
                    continue;
                }
                return Ok(served > 0);
            };
            let head = chain.head_index();
            if let Some(len) = serve(self, i, chain)? {
                self.complete(i, &memory, &[(head, len)]);
            }
        }
        self.bells.again(self.rings[i].index);
        Ok(true)
    }

    fn transmit_one(&mut self, i: usize, chain: Chain<'_>) -> Result<Option<u32>, Violation> {
        let frame = &mut self.traffic.leaving;
        gather(&self.rings[i], chain, frame)?;
        let mtu = self.config.mtu;
        for what in check::transmitted(frame.header(), frame.payload(), self.accepted, mtu) {
            self.violations
                .add(Violation::new("Packet Transmission", what));
        }
        self.link.send(frame);
        self.traffic.counters.tx_frames += 1;
        Ok(Some(0))
    }

    fn execute_one(&mut self, _i: usize, chain: Chain<'_>) -> Result<Option<u32>, Violation> {
        let memory: &Memory = chain.memory();
        let mut command = Vec::new();
        for part in chain.clone().readable() {
            read_onto(&mut command, memory, part.addr(), part.len())?;
        }
        let ack = self
            .control
            .execute(&command, self.accepted, &mut self.violations);
        self.traffic.counters.commands += 1;
        let Some(part) = chain
            .clone()
            .writable()
            .next()
            .filter(|part| part.len() > 0)
        else {
            return Err(Violation::new(
                "Control Virtqueue",
                "a command has no room for its acknowledgement",
            ));
        };
        let ack = match self.false_answer() {
            Some(Answer::Never) => return Ok(None),
            Some(Answer::Nothing) => return Ok(Some(1)),
            Some(Answer::Byte(byte)) => byte,
            Some(Answer::Error) => ctrl::ACK_ERR,
            None => ack,
        };
        memory
            .write_obj(ack, part.addr())
            .map_err(|e| dma_fault(part.addr(), &e))?;
        Ok(Some(1))
    }

    /// Gives frames to the driver for as long as there are frames and buffers.
    fn receive(&mut self, i: usize) -> Result<bool, Violation> {
        // Frames arrive at the first pair: steering is not modelled.
        if self.rings[i].index != 0 {
            return Ok(false);
        }
        let memory = Arc::clone(&self.memory);
        let mut served = 0;
        while served < BUDGET && !self.rings[i].starved && self.next_arriving() {
            self.rings[i].disable_doorbell(&memory);
            if self.deliver(i, &memory)? {
                self.traffic.has_arriving = false;
                served += 1;
            } else if !self.rings[i].enable_doorbell(&memory) {
                self.rings[i].starved = true;
                self.traffic.counters.rx_starved += 1;
            }
        }
        Ok(served > 0)
    }

    /// Makes sure of a frame to deliver, if there is one that this driver can be given.
    fn next_arriving(&mut self) -> bool {
        if !self.traffic.has_arriving
            && let Some(planted) = self.telling.planted.pop_front()
        {
            self.traffic.arriving = planted;
            self.traffic.has_arriving = true;
        }
        while !self.traffic.has_arriving && self.link.receive(&mut self.traffic.arriving.frame) {
            self.traffic.arriving.be_honest();
            self.traffic.has_arriving = self.prepare();
        }
        self.traffic.has_arriving
    }

    /// Fits the frame to what the driver accepted; whether it can be given to it.
    fn prepare(&mut self) -> bool {
        let (frame, accepted) = (&mut self.traffic.arriving.frame, self.accepted);
        let header = frame.header();
        if self.config.filters && !self.control.passes(frame.payload(), self.config.mac) {
            self.traffic.counters.rx_filtered += 1;
            return false;
        }
        if !check::may_coalesce(header.gso_type, accepted, frame.payload()) {
            self.traffic.counters.rx_unsupported += 1;
            return false;
        }
        if !accepted.has(VIRTIO_NET_F_GUEST_CSUM) {
            if check::needs_csum(&header) {
                check::complete_checksum(&header, frame.payload_mut());
            }
            frame.set_header(VirtioNetHdr::default());
        }
        true
    }

    /// Puts the waiting frame into buffers of ring `i`; whether there were enough.
    fn deliver(&mut self, i: usize, memory: &Memory) -> Result<bool, Violation> {
        let mergeable = self.accepted.has(VIRTIO_NET_F_MRG_RXBUF);
        let least = self.least_buffer();
        let (ring, traffic) = (&mut self.rings[i], &mut self.traffic);
        let Delivery { frame, fill, .. } = &traffic.arriving;
        let bytes = frame.as_bytes();
        let (mut first, mut written) = (None, 0);
        traffic.filled.clear();
        while written < bytes.len() {
            let Some(chain) = ring.take(memory)? else {
                ring.put_back(traffic.filled.drain(..).rev().map(|(head, _)| head));
                return Ok(false);
            };
            let end = bytes.len().min(written.saturating_add(*fill));
            let len = scatter(ring, chain.clone(), &bytes[written..end], least)?;
            traffic.filled.push((chain.head_index(), len as u32));
            first.get_or_insert(chain);
            written += len;
            if !mergeable && written < bytes.len() {
                ring.put_back(traffic.filled.drain(..).rev().map(|(head, _)| head));
                traffic.counters.rx_oversize += 1;
                return Ok(true);
            }
        }
        traffic.counters.rx_frames += 1;
        traffic.counters.rx_bytes += frame.payload().len() as u64;
        let count = traffic.filled.len() as u16;
        let header = VirtioNetHdr {
            num_buffers: traffic.arriving.num_buffers.unwrap_or(count),
            ..frame.header()
        };
        let Some(first) = first else { return Ok(true) };
        scatter(ring, first.clone(), &header.to_bytes(), least)?;
        let filled = std::mem::take(&mut self.traffic.filled);
        self.complete(i, memory, &filled);
        self.traffic.filled = filled;
        self.flicker(i, first);
        Ok(true)
    }

    /// § *Setting Up Receive Buffers*: how small a buffer may be.
    fn least_buffer(&self) -> usize {
        let accepted = self.accepted;
        let large = [
            VIRTIO_NET_F_GUEST_TSO4,
            VIRTIO_NET_F_GUEST_TSO6,
            VIRTIO_NET_F_GUEST_UFO,
            VIRTIO_NET_F_GUEST_USO4,
            VIRTIO_NET_F_GUEST_USO6,
        ];
        if accepted.has(VIRTIO_NET_F_MRG_RXBUF) {
            VirtioNetHdr::SIZE
        } else if large.into_iter().any(|bit| accepted.has(bit)) {
            // 1.2 says 65562 here and 65601 elsewhere; the smaller one is wrong by either.
            65_562
        } else if accepted.has(VIRTIO_NET_F_MTU) {
            VirtioNetHdr::SIZE + 14 + usize::from(self.config.mtu)
        } else {
            1526
        }
    }
}

/// Reads all of a transmit buffer.
fn gather(ring: &Ring, chain: Chain<'_>, frame: &mut Frame) -> Result<(), Violation> {
    let memory: &Memory = chain.memory();
    let index = ring.index;
    let bytes = frame.buffer();
    bytes.clear();
    for part in chain.clone() {
        if part.is_write_only() {
            let what = format!("queue {index}: a transmit buffer has a device-writable part");
            return Err(Violation::new("Packet Transmission", what));
        }
        read_onto(bytes, memory, part.addr(), part.len())?;
    }
    let short = bytes.len() < VirtioNetHdr::SIZE;
    bytes.resize(bytes.len().max(VirtioNetHdr::SIZE), 0);
    if short {
        let what = format!("queue {index}: a transmit buffer is shorter than its header");
        return Err(Violation::new("Packet Transmission", what));
    }
    Ok(())
}

fn read_onto(
    bytes: &mut Vec<u8>,
    memory: &Memory,
    at: GuestAddress,
    len: u32,
) -> Result<(), Violation> {
    let start = bytes.len();
    if start + len as usize > MAX_LARGE_FRAME + VirtioNetHdr::SIZE {
        return Err(Violation::new(
            "Message Framing",
            format!("a buffer of {len} bytes and more is too large"),
        ));
    }
    bytes.resize(start + len as usize, 0);
    memory
        .read_slice(&mut bytes[start..], at)
        .map_err(|e| dma_fault(at, &e))
}

/// Writes as much of `bytes` as fits into a receive buffer; how much that is.
fn scatter(ring: &Ring, chain: Chain<'_>, bytes: &[u8], least: usize) -> Result<usize, Violation> {
    let memory: &Memory = chain.memory();
    let about = |what: &str| {
        Violation::new(
            "Setting Up Receive Buffers",
            format!("queue {}: {what}", ring.index),
        )
    };
    let (mut written, mut capacity) = (0, 0);
    for part in chain.clone() {
        if !part.is_write_only() {
            return Err(about(
                "a receive buffer has a part that the device may not write",
            ));
        }
        let len = (part.len() as usize).min(bytes.len() - written);
        memory
            .write_slice(&bytes[written..written + len], part.addr())
            .map_err(|e| dma_fault(part.addr(), &e))?;
        written += len;
        capacity += part.len() as usize;
    }
    if capacity < least {
        return Err(about(&format!(
            "a receive buffer of {capacity} bytes is smaller than {least}"
        )));
    }
    Ok(written)
}

fn dma_fault(at: GuestAddress, error: &dyn std::fmt::Display) -> Violation {
    Violation::new(
        "The Virtqueue Descriptor Table",
        format!("DMA fault at {:#x}: {error}", at.0),
    )
}
