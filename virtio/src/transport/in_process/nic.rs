//! The data path of the device: frames out, frames in, commands.

use std::sync::Arc;

use vm_memory::{Bytes, GuestAddress};

use super::Frame;
use super::check::{self, Violation};
use super::conduct::{Answer, Interrupts};
use super::config::Role;
use super::core::Core;
use super::ring::{Chain, Memory, Ring};
use crate::net::{HashReport, VirtioNetHdr, header_len};
use crate::spec::feature::VIRTIO_F_NOTIFICATION_DATA;
use crate::spec::net::MAX_LARGE_FRAME;
use crate::spec::net::config::S_ANNOUNCE;
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
    /// Frames lost because too many wait for the same pair.
    pub rx_overruns: u64,
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
    /// Buffers to be handed back together.
    used: Vec<(u16, u32)>,
}

/// Buffers looked at in one go before another queue gets its turn.
pub(super) const BUDGET: usize = 256;

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
            if !self.conduct.serves(self.rings[i].role) {
                continue;
            }
            let rung = self.bells.take(self.rings[i].index);
            if rung {
                self.check_told(i);
            }
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
        for ring in &self.rings {
            self.conduct.visited(&ring.view(&self.memory));
        }
        if self.is_restless() {
            (0..self.vector_count()).for_each(|vector| {
                self.raise(Some(vector));
            });
        }
        busy
    }

    /// § *Available Buffer Notifications*: with `VIRTIO_F_NOTIFICATION_DATA` a doorbell says up to
    /// where there are buffers, and there are.
    fn check_told(&mut self, i: usize) {
        if !self.accepted.has(VIRTIO_F_NOTIFICATION_DATA) {
            return;
        }
        let ring = &self.rings[i];
        let told = self.bells.told(ring.index);
        let true_so_far = told.is_some_and(|told| ring.has_up_to(&self.memory, told));
        let index = ring.index;
        self.violations
            .check(!true_so_far, "Available Buffer Notifications", || {
                format!("queue {index}: the doorbell says {told:x?}, where there is nothing yet")
            });
    }

    /// Hands buffers of ring `i` back, all but the last of which are written completely if
    /// `filled`.
    pub(super) fn complete(
        &mut self,
        i: usize,
        memory: &Memory,
        used: &[(u16, u32)],
        filled: bool,
    ) {
        let ring = &mut self.rings[i];
        match self.conduct.used(&ring.view(memory), used) {
            Some(moved) => {
                ring.completed_elsewhere(used, moved);
                let vector = ring.vector;
                self.raise(vector);
            }
            None => ring.complete(memory, used, filled),
        }
    }

    /// Whether the device is to be driven on although there is nothing to do.
    pub(super) fn is_restless(&self) -> bool {
        self.conduct.interrupts() == Interrupts::Storm
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
        let mut used = std::mem::take(&mut self.traffic.used);
        used.clear();
        for served in 0..BUDGET {
            self.rings[i].disable_doorbell(&memory);
            let Some(chain) = self.rings[i].take(&memory, self.conduct.as_mut())? else {
                if self.rings[i].enable_doorbell(&memory) {
                    continue;
                }
                self.complete_kept(i, &memory, used);
                return Ok(served > 0);
            };
            let id = chain.id();
            let Some(len) = serve(self, i, chain)? else {
                continue;
            };
            used.push((id, len));
            // In order, one used entry says it all at the end.
            if !self.rings[i].is_in_order() {
                self.complete(i, &memory, &used, true);
                used.clear();
            }
        }
        self.complete_kept(i, &memory, used);
        self.bells.again(self.rings[i].index);
        Ok(true)
    }

    /// Hands back what was kept to be handed back together.
    fn complete_kept(&mut self, i: usize, memory: &Memory, used: Vec<(u16, u32)>) {
        if !used.is_empty() {
            self.complete(i, memory, &used, true);
        }
        self.traffic.used = used;
    }

    fn transmit_one(&mut self, i: usize, chain: Chain<'_>) -> Result<Option<u32>, Violation> {
        let frame = &mut self.traffic.leaving;
        gather(&self.rings[i], chain, frame, header_len(self.accepted))?;
        let mtu = self.config.mtu;
        for what in check::transmitted(frame.header(), frame.payload(), self.accepted, mtu) {
            self.violations
                .add(Violation::new("Packet Transmission", what));
        }
        let (pair, pairs) = (self.rings[i].pair(), self.pairs_in_use());
        let frame = &self.traffic.leaving;
        self.violations.check(
            pair >= pairs,
            "Automatic receive steering in multiqueue mode",
            || format!("a frame is sent on pair {pair}, and {pairs} are in use"),
        );
        if pairs > 1 {
            self.steering.sent(frame.payload(), pair);
        }
        self.link.send(frame);
        self.traffic.counters.tx_frames += 1;
        Ok(Some(0))
    }

    fn execute_one(&mut self, _i: usize, chain: Chain<'_>) -> Result<Option<u32>, Violation> {
        let memory = chain.memory();
        let mut command = Vec::new();
        for part in chain.clone().readable() {
            read_onto(&mut command, memory, part.addr(), part.len())?;
        }
        let announced = self.control.announced;
        let ack = self
            .control
            .execute(&command, self.accepted, &self.config, &mut self.violations);
        if self.control.announced > announced {
            self.config.status &= !S_ANNOUNCE;
        }
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
        let ack = match self.conduct.answer(ack) {
            Answer::Never => return Ok(None),
            Answer::Nothing => return Ok(Some(1)),
            Answer::Byte(byte) => byte,
        };
        memory
            .write_obj(ack, part.addr())
            .map_err(|e| dma_fault(part.addr(), &e))?;
        Ok(Some(1))
    }
}

/// Reads all of a transmit buffer, whose first `head` bytes are header and hash; the latter of a
/// frame to be sent means nothing.
fn gather(ring: &Ring, chain: Chain<'_>, frame: &mut Frame, head: usize) -> Result<(), Violation> {
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
    let short = bytes.len() < head;
    bytes.resize(bytes.len().max(head), 0);
    bytes.drain(VirtioNetHdr::SIZE..head);
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
    if start + len as usize > MAX_LARGE_FRAME + VirtioNetHdr::SIZE + HashReport::SIZE {
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

pub(super) fn dma_fault(at: GuestAddress, error: &dyn std::fmt::Display) -> Violation {
    Violation::new(
        "The Virtqueue Descriptor Table",
        format!("DMA fault at {:#x}: {error}", at.0),
    )
}
