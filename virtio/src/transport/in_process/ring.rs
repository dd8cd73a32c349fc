//! One virtqueue, device side, in the format that was agreed on.

mod packed;
mod split;

use virtio_queue::desc::split::Descriptor;
use vm_memory::{GuestAddress, GuestMemoryMmap};

use self::packed::{PackedChain, PackedRing};
use self::split::{SplitChain, SplitRing};
use super::check::Violation;
use super::conduct::{Conduct, RingView};
use super::config::Role;
use crate::queue::RingFeatures;
use crate::transport::QueueSetup;

/// The driver's memory as the device reaches it.
pub(super) type Memory = GuestMemoryMmap;

/// A buffer of the driver: its descriptors, read as they are asked for.
#[derive(Clone)]
pub(super) enum Chain<'m> {
    Split(SplitChain<'m>),
    Packed(PackedChain<'m>),
}

impl Chain<'_> {
    /// By what the driver knows the buffer: its first descriptor in a split ring, its id in a
    /// packed one.
    pub(super) fn id(&self) -> u16 {
        match self {
            Self::Split(chain) => chain.head_index(),
            Self::Packed(chain) => chain.id(),
        }
    }

    pub(super) fn memory(&self) -> &Memory {
        match self {
            Self::Split(chain) => chain.memory(),
            Self::Packed(chain) => chain.memory(),
        }
    }

    /// Places that it takes in the ring: an entry in a split one, its descriptors in a packed one.
    fn span(&self) -> u16 {
        match self {
            Self::Split(_) => 1,
            Self::Packed(chain) => chain.len(),
        }
    }

    pub(super) fn readable(self) -> impl Iterator<Item = Descriptor> {
        self.filter(|part| !part.is_write_only())
    }

    pub(super) fn writable(self) -> impl Iterator<Item = Descriptor> {
        self.filter(|part| part.is_write_only())
    }
}

impl Iterator for Chain<'_> {
    type Item = Descriptor;

    fn next(&mut self) -> Option<Descriptor> {
        match self {
            Self::Split(chain) => chain.next(),
            Self::Packed(chain) => chain.next(),
        }
    }
}

/// What is done otherwise in each format.
#[derive(Debug)]
enum Format {
    Split(SplitRing),
    Packed(PackedRing),
}

/// Does the same with a ring of either format.
macro_rules! on_format {
    ($format:expr, $r:ident => $what:expr) => {
        match $format {
            Format::Split($r) => $what,
            Format::Packed($r) => $what,
        }
    };
}

/// A virtqueue that the driver has enabled.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) index: u16,
    pub(super) role: Role,
    pub(super) vector: Option<u16>,
    size: u16,
    /// Descriptor, driver and device area.
    areas: [GuestAddress; 3],
    format: Format,
    /// For each id the places in the ring of the buffer that the device holds under it, or 0.
    held: Box<[u16]>,
    /// The device waits for the doorbell before it looks for buffers again.
    pub(super) starved: bool,
}

impl Ring {
    /// Takes over what the driver says of the queue.
    pub(super) fn new(
        setup: &QueueSetup,
        role: Role,
        features: RingFeatures,
        memory: &Memory,
    ) -> Result<Self, Violation> {
        let format = if features.packed {
            Format::Packed(PackedRing::new(setup, features, memory)?)
        } else {
            Format::Split(SplitRing::new(setup, features, memory)?)
        };
        let size = setup.size.get();
        Ok(Self {
            index: setup.index,
            role,
            vector: setup.vector,
            size,
            areas: [setup.desc, setup.driver, setup.device].map(|iova| GuestAddress(iova.0)),
            format,
            held: vec![0; usize::from(size)].into(),
            starved: false,
        })
    }

    /// The pair that the queue is part of, if it is for frames.
    pub(super) fn pair(&self) -> u16 {
        self.index / 2
    }

    /// Descriptors of the queue.
    pub(super) fn size(&self) -> u16 {
        self.size
    }

    /// Up to where the device has taken buffers: in a split ring their number, modulo 65536, in
    /// a packed one offset and wrap counter as in an event word.
    pub(super) fn position(&self) -> u16 {
        on_format!(&self.format, ring => ring.next_avail())
    }

    /// The next buffer that the driver has made available.
    pub(super) fn take<'m>(
        &mut self,
        memory: &'m Memory,
        conduct: &mut dyn Conduct,
    ) -> Result<Option<Chain<'m>>, Violation> {
        let taken = match &mut self.format {
            Format::Split(ring) => ring.take(memory).map(|taken| taken.map(Chain::Split)),
            Format::Packed(ring) => ring.take(memory).map(|taken| taken.map(Chain::Packed)),
        };
        let section = match self.format {
            Format::Split(_) => "The Virtqueue Available Ring",
            Format::Packed(_) => "Packed Virtqueues",
        };
        let about = |what| Violation::new(section, format!("queue {}: {what}", self.index));
        let Some(chain) = taken.map_err(about)? else {
            return Ok(None);
        };
        let id = chain.id();
        match self.held.get_mut(usize::from(id)) {
            Some(held) if *held == 0 => *held = chain.span(),
            Some(_) => return Err(about(format!("descriptor {id} is made available twice"))),
            None => return Err(about(format!("descriptor {id} is beyond the table"))),
        }
        conduct.taken(&self.view(memory), id);
        Ok(Some(chain))
    }

    /// Gives back the last buffers taken, the latest first, as if they had not been looked at.
    pub(super) fn put_back(&mut self, ids: impl Iterator<Item = u16>) {
        for id in ids {
            let span = self.let_go(id);
            on_format!(&mut self.format, ring => ring.put_back(span));
        }
    }

    /// The device holds buffer `id` no more; how many places it takes.
    fn let_go(&mut self, id: u16) -> u16 {
        std::mem::take(&mut self.held[usize::from(id)])
    }

    /// Hands `(id, bytes written)` back to the driver; all become visible at once.
    pub(super) fn complete(&mut self, memory: &Memory, used: &[(u16, u32)]) {
        match &mut self.format {
            Format::Split(ring) => ring.complete(memory, used),
            Format::Packed(ring) => ring.complete(memory, used, &self.held),
        }
        for &(id, _) in used {
            self.let_go(id);
        }
    }

    /// Goes on behind what somebody else wrote of these buffers into the ring, `moved` further.
    pub(super) fn completed_elsewhere(&mut self, used: &[(u16, u32)], moved: u16) {
        for &(id, _) in used {
            self.let_go(id);
        }
        on_format!(&mut self.format, ring => ring.go_on(moved));
    }

    /// The ring as it is now.
    pub(super) fn view<'a>(&'a self, memory: &'a Memory) -> RingView<'a> {
        let [desc, driver, device] = self.areas;
        let (next_avail, next_used) =
            on_format!(&self.format, ring => (ring.next_avail(), ring.next_used()));
        RingView {
            role: self.role,
            packed: matches!(self.format, Format::Packed(_)),
            size: self.size,
            desc,
            driver,
            device,
            next_avail,
            next_used,
            held: &self.held,
            memory,
        }
    }

    /// Whether the driver wants to be told of what was used since it was last asked.
    pub(super) fn wants_interrupt(&mut self, memory: &Memory) -> bool {
        on_format!(&mut self.format, ring => ring.wants_interrupt(memory))
    }

    /// Tells the driver not to ring; it may still.
    pub(super) fn disable_doorbell(&mut self, memory: &Memory) {
        on_format!(&mut self.format, ring => ring.disable_doorbell(memory));
    }

    /// Asks for the doorbell; whether buffers have come meanwhile. Those that were put back are
    /// no news: too few for a frame, they would be looked at for ever.
    pub(super) fn enable_doorbell(&mut self, memory: &Memory) -> bool {
        on_format!(&mut self.format, ring => ring.enable_doorbell(memory))
    }
}
