//! A device's side of a packed ring for tests, as § *Packed Virtqueues* has it: positions count
//! descriptors and never wrap.

use std::sync::atomic::Ordering;

use virtio::queue::RingFeatures;
use virtio::transport::QueueSetup;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// A buffer as the device finds it: its id, and address, length and whether it is the device's to
/// write, of each part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub id: u16,
    pub parts: Vec<(u64, u32, bool)>,
}

pub struct PackedDevice {
    memory: GuestMemoryMmap,
    setup: QueueSetup,
    size: u64,
    event_idx: bool,
    avail: u64,
    used: u64,
    signalled: u64,
}

impl PackedDevice {
    pub fn new(memory: GuestMemoryMmap, setup: QueueSetup, features: RingFeatures) -> Self {
        Self {
            memory,
            size: setup.size.get().into(),
            setup,
            event_idx: features.event_idx,
            avail: 0,
            used: 0,
            signalled: 0,
        }
    }

    fn first_lap(&self, position: u64) -> bool {
        (position / self.size).is_multiple_of(2)
    }

    fn field(&self, position: u64, offset: u64) -> GuestAddress {
        GuestAddress(self.setup.desc.0 + position % self.size * 16 + offset)
    }

    fn flags(&self, position: u64) -> u16 {
        let at = self.field(position, 14);
        self.memory.load(at, Ordering::Acquire).unwrap()
    }

    fn is_available(&self, position: u64) -> bool {
        let flags = self.flags(position);
        let (avail, used) = (flags >> 7 & 1 == 1, flags >> 15 == 1);
        avail == self.first_lap(position) && avail != used
    }

    pub fn take(&mut self) -> Option<Found> {
        if !self.is_available(self.avail) {
            return None;
        }
        let mut parts = Vec::new();
        loop {
            let at = self.avail;
            assert!(self.is_available(at), "half a buffer is available");
            self.avail += 1;
            let flags = self.flags(at);
            let addr = self.memory.read_obj(self.field(at, 0)).unwrap();
            let len = self.memory.read_obj(self.field(at, 8)).unwrap();
            parts.push((addr, len, flags & 2 != 0));
            if flags & 1 == 0 {
                let id = self.memory.read_obj(self.field(at, 12)).unwrap();
                return Some(Found { id, parts });
            }
        }
    }

    /// Uses a buffer of `descs` descriptors.
    pub fn complete(&mut self, id: u16, len: u32, descs: u16) {
        let at = self.used;
        self.memory.write_obj(len, self.field(at, 8)).unwrap();
        self.memory.write_obj(id, self.field(at, 12)).unwrap();
        let shown: u16 = if self.first_lap(at) {
            1 << 7 | 1 << 15
        } else {
            0
        };
        let flags = self.field(at, 14);
        self.memory
            .store(shown | 2, flags, Ordering::Release)
            .unwrap();
        self.used += u64::from(descs);
    }

    /// Whether the driver wants to be told of what was used since the last call: in words, one of
    /// those descriptors is the one it named.
    pub fn needs_notification(&mut self) -> bool {
        let request: u32 = self
            .memory
            .read_obj(GuestAddress(self.setup.driver.0))
            .unwrap();
        let old = std::mem::replace(&mut self.signalled, self.used);
        match request >> 16 {
            1 => false,
            2 if self.event_idx => (old..self.used).any(|at| self.word(at) == request as u16),
            _ => old != self.used,
        }
    }

    fn word(&self, position: u64) -> u16 {
        (position % self.size) as u16 | u16::from(self.first_lap(position)) << 15
    }

    /// Asks to be told of the next buffer; whether there is one already.
    pub fn enable_notification(&mut self) -> bool {
        let flags = if self.event_idx { 2 } else { 0 };
        self.ask(u32::from(self.word(self.avail)) | flags << 16);
        self.is_available(self.avail)
    }

    pub fn disable_notification(&mut self) {
        self.ask(1 << 16);
    }

    fn ask(&self, request: u32) {
        let at = GuestAddress(self.setup.device.0);
        self.memory.write_obj(request, at).unwrap();
    }
}
