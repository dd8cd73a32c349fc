//! Frames for the driver: from the link, or from a lie, into its buffers.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use vm_memory::{Bytes, GuestAddress};

use super::check::{self, Violation};
use super::conduct::Delivery;
use super::core::Core;
use super::nic::{BUDGET, dma_fault};
use super::ring::{Chain, Memory, Ring};
use super::{Frame, steer};
use crate::net::{FeatureSet, RssConfig, VirtioNetHdr, header_len};
use crate::spec::net::feature::*;

/// The frame on its way to the driver over one pair, and those behind it.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    /// What the link gave while another pair was served.
    backlog: VecDeque<Frame>,
    delivery: Delivery,
    /// It waits for buffers.
    waiting: bool,
    /// The buffers it has got so far, each with what was written.
    filled: Vec<(u16, u32)>,
}

/// Frames that wait for a pair at most, beside the one on its way.
const MAX_BACKLOG: usize = 1024;

impl Arriving {
    /// Takes the next frame of the backlog; whether there was one.
    fn take_backlog(&mut self) -> bool {
        let next = self.backlog.pop_front();
        next.map(|frame| self.delivery.frame = frame).is_some()
    }
}

/// Whether a frame fits into what the driver has given.
enum Fit<'m> {
    /// It does; this is its first buffer.
    Whole(Chain<'m>),
    /// Not into the buffers there are.
    NotNow,
    /// Not even into all that there can be.
    TooLarge,
}

impl Core {
    /// Gives frames to the driver for as long as there are frames and buffers.
    pub(super) fn receive(&mut self, i: usize) -> Result<bool, Violation> {
        let pair = self.rings[i].pair();
        if pair >= self.pairs_in_use() {
            return Ok(false);
        }
        let memory = Arc::clone(&self.memory);
        let (mut served, mut elsewhere) = (0, 0);
        while served < BUDGET && !self.rings[i].starved && self.next_arriving(pair, &mut elsewhere)
        {
            self.rings[i].disable_doorbell(&memory);
            if self.deliver(i, &memory)? {
                self.arriving[usize::from(pair)].waiting = false;
                served += 1;
            } else if !self.rings[i].enable_doorbell(&memory) {
                self.rings[i].starved = true;
                self.traffic.counters.rx_starved += 1;
            }
        }
        Ok(served + elsewhere > 0)
    }

    /// Makes sure of a frame to deliver on `pair`, if there is one that this driver can be
    /// given; `elsewhere` counts those that turned out to be for another.
    fn next_arriving(&mut self, pair: u16, elsewhere: &mut usize) -> bool {
        let k = usize::from(pair);
        if !self.arriving[k].waiting
            && let Some(planted) = self.conduct.plant()
        {
            self.arriving[k].delivery = planted;
            self.arriving[k].waiting = true;
        }
        while !self.arriving[k].waiting && *elsewhere < BUDGET {
            if !self.arriving[k].take_backlog() {
                if !self.link.receive(&mut self.arriving[k].delivery.frame) {
                    break;
                }
                let right = self.pair_for(k);
                if right != pair {
                    *elsewhere += 1;
                    self.pass_on(k, right.into());
                    continue;
                }
            }
            self.arriving[k].delivery.be_honest();
            self.arriving[k].waiting = self.prepare(k);
        }
        self.arriving[k].waiting
    }

    /// The pair that the frame which was got for pair `k` is for. One that is not there is not
    /// believed to be.
    fn pair_for(&self, k: usize) -> u16 {
        let pairs = self.pairs_in_use();
        if pairs == 1 {
            return 0;
        }
        let frame = self.arriving[k].delivery.frame.payload();
        let pair = match &self.control.rss {
            Some(rss) => steer::scaled(rss, frame),
            None => self.steering.pair_of(frame, pairs),
        };
        let there = usize::from(pair) < self.arriving.len();
        if there { pair } else { 0 }
    }

    /// Gives the frame of pair `k` to pair `to`, if there is room.
    fn pass_on(&mut self, k: usize, to: usize) {
        let frame = std::mem::take(&mut self.arriving[k].delivery.frame);
        let backlog = &mut self.arriving[to].backlog;
        if backlog.len() < MAX_BACKLOG {
            backlog.push_back(frame);
        } else {
            self.traffic.counters.rx_overruns += 1;
        }
    }

    /// Fits the frame of pair `k` to what the driver accepted; whether it can be given to it.
    fn prepare(&mut self, k: usize) -> bool {
        let vlans = self.accepted.has(VIRTIO_NET_F_CTRL_VLAN);
        let accepted = self.control.receives(self.accepted);
        let frame = &mut self.arriving[k].delivery.frame;
        let header = frame.header();
        let stranger =
            self.config.filters && !self.control.passes(frame.payload(), self.config.mac);
        if stranger || (vlans && !self.control.passes_vlan(frame.payload())) {
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

    /// Gives the waiting frame to the driver, or up; false if it has to wait for buffers.
    fn deliver(&mut self, i: usize, memory: &Memory) -> Result<bool, Violation> {
        match self.fill(i, memory)? {
            Fit::Whole(first) => self.hand_over(i, memory, first)?,
            Fit::TooLarge => self.traffic.counters.rx_oversize += 1,
            Fit::NotNow => return Ok(false),
        }
        Ok(true)
    }

    /// Writes the waiting frame into buffers of ring `i`; if it does not fit, they are the
    /// driver's again.
    fn fill<'m>(&mut self, i: usize, memory: &'m Memory) -> Result<Fit<'m>, Violation> {
        let mergeable = self.accepted.has(VIRTIO_NET_F_MRG_RXBUF);
        let least = self.least_buffer();
        let ring = &mut self.rings[i];
        let arriving = &mut self.arriving[usize::from(ring.pair())];
        let whole = with_hash(&arriving.delivery, self.accepted, self.control.rss.as_ref());
        let (delivery, filled) = (&arriving.delivery, &mut arriving.filled);
        let most = if mergeable { ring.size() } else { 1 };
        let mut rest = &whole[..];
        let mut first = None;
        filled.clear();
        while filled.len() < usize::from(most) {
            let Some(chain) = ring.take(memory, self.conduct.as_mut())? else {
                ring.put_back(filled.iter().rev().map(|&(id, _)| id));
                return Ok(Fit::NotNow);
            };
            let part = &rest[..rest.len().min(delivery.fill)];
            let len = scatter(ring, chain.clone(), part, least)?;
            filled.push((chain.id(), len as u32));
            let first = first.get_or_insert(chain);
            rest = &rest[len..];
            if rest.is_empty() {
                return Ok(Fit::Whole(first.clone()));
            }
        }
        ring.put_back(filled.iter().rev().map(|&(id, _)| id));
        Ok(Fit::TooLarge)
    }

    /// Says how many buffers the frame has, and hands them over together.
    fn hand_over(&mut self, i: usize, memory: &Memory, first: Chain<'_>) -> Result<(), Violation> {
        let k = usize::from(self.rings[i].pair());
        let filled = std::mem::take(&mut self.arriving[k].filled);
        let delivery = &self.arriving[k].delivery;
        let header = VirtioNetHdr {
            num_buffers: delivery.num_buffers.unwrap_or(filled.len() as u16),
            ..delivery.frame.header()
        };
        let counters = &mut self.traffic.counters;
        counters.rx_frames += 1;
        counters.rx_bytes += delivery.frame.payload().len() as u64;
        scatter(&self.rings[i], first.clone(), &header.to_bytes(), 0)?;
        // Descriptors are the driver's again once their buffers are used.
        let begins = first.clone().next().map(|part| part.addr());
        let whole = self.arriving[k].delivery.fill == usize::MAX;
        self.complete(i, memory, &filled, whole);
        self.arriving[k].filled = filled;
        if let Some(at) = begins {
            self.handed_over(i, memory, at);
        }
        Ok(())
    }

    fn handed_over(&mut self, i: usize, memory: &Memory, at: GuestAddress) {
        let vector = self.rings[i].vector;
        let Self {
            conduct, platform, ..
        } = self;
        conduct.handed_over(memory, at, &mut || {
            platform.fire(vector);
        });
    }

    /// § *Setting Up Receive Buffers*: how small a buffer may be.
    fn least_buffer(&self) -> usize {
        let accepted = self.accepted;
        let head = header_len(accepted);
        let hash = head - VirtioNetHdr::SIZE;
        let large = [
            VIRTIO_NET_F_GUEST_TSO4,
            VIRTIO_NET_F_GUEST_TSO6,
            VIRTIO_NET_F_GUEST_UFO,
            VIRTIO_NET_F_GUEST_USO4,
            VIRTIO_NET_F_GUEST_USO6,
        ];
        if accepted.has(VIRTIO_NET_F_MRG_RXBUF) {
            head
        } else if large.into_iter().any(|bit| accepted.has(bit)) {
            // Older texts say 65562, newer ones 65601: below this is wrong by either.
            65_562 + hash
        } else if accepted.has(VIRTIO_NET_F_MTU) {
            head + 14 + usize::from(self.config.mtu)
        } else {
            1526 + hash
        }
    }
}

/// A frame as it goes into buffers: with its hash between header and frame, where that was agreed on.
fn with_hash<'a>(
    delivery: &'a Delivery,
    accepted: FeatureSet,
    rss: Option<&RssConfig>,
) -> Cow<'a, [u8]> {
    let bytes = delivery.frame.as_bytes();
    if !accepted.has(VIRTIO_NET_F_HASH_REPORT) {
        return bytes.into();
    }
    let truth = || rss.and_then(|rss| steer::hashed(rss, delivery.frame.payload()));
    let hash = delivery.hash.or_else(truth).unwrap_or_default();
    let (header, frame) = bytes.split_at(VirtioNetHdr::SIZE);
    [header, &hash.to_bytes(), frame].concat().into()
}

/// Writes as much of `bytes` as fits into a receive buffer; how much that is.
fn scatter(ring: &Ring, chain: Chain<'_>, bytes: &[u8], least: usize) -> Result<usize, Violation> {
    let memory = chain.memory();
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
