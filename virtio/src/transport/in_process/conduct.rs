//! Where a device may be made to behave otherwise than it should.
//!
//! The device asks its [`Conduct`] at every place at which a driver could be told something that
//! is not so. What is answered here by default is honest; the crate `virtio-hostile` has the
//! other answers.

use vm_memory::{GuestAddress, GuestMemoryMmap};

use super::{DeviceConfig, Frame, Role};
use crate::net::{HashReport, VirtioNetHdr};

/// How a device behaves where its driver can see it. The answers given here are the honest ones.
pub trait Conduct: Send {
    /// The driver resets the device. Whatever is changed in `config` holds from then on.
    fn at_reset(&mut self, config: &mut DeviceConfig) {
        let _ = config;
    }

    /// Whether the device is there; otherwise its registers read as all ones.
    fn is_there(&self) -> bool {
        true
    }

    /// Whether a reset is ever finished.
    fn finishes_reset(&self) -> bool {
        true
    }

    /// Whether the reset of a queue is ever finished.
    fn finishes_queue_reset(&self) -> bool {
        true
    }

    /// Whether `FEATURES_OK` stays set when there is nothing against it.
    fn agrees_to_features(&self) -> bool {
        true
    }

    /// Whether the device works once `DRIVER_OK` is set; otherwise it demands a reset.
    fn works_when_started(&self) -> bool {
        true
    }

    /// The `config_generation` to be read where it was `last`.
    fn generation(&self, last: u8) -> u8 {
        last
    }

    /// Whether an interrupt that exists is given to a queue that asks for it.
    fn grants_interrupts(&self) -> bool {
        true
    }

    /// When interrupts come.
    fn interrupts(&self) -> Interrupts {
        Interrupts::AsAsked
    }

    /// Whether queues of this role are served.
    fn serves(&self, role: Role) -> bool {
        let _ = role;
        true
    }

    /// How a command is answered for which `ack` is the right answer.
    fn answer(&self, ack: u8) -> Answer {
        Answer::Byte(ack)
    }

    /// A frame to be given to the driver before those of the link, whatever was negotiated.
    fn plant(&mut self) -> Option<Delivery> {
        None
    }

    /// The device has taken the buffer `id` from the ring: its head, in a split one.
    fn taken(&mut self, ring: &RingView<'_>, id: u16) {
        let _ = (ring, id);
    }

    /// The device is about to hand `(id, bytes written)` back. With an answer, the ring has been
    /// written, and the device goes on so many entries, or descriptors, further.
    fn used(&mut self, ring: &RingView<'_>, used: &[(u16, u32)]) -> Option<u16> {
        let _ = (ring, used);
        None
    }

    /// A frame was handed over whose first buffer begins at `at`; `raise` interrupts the driver
    /// before the device would.
    fn handed_over(&mut self, memory: &GuestMemoryMmap, at: GuestAddress, raise: &mut dyn FnMut()) {
        let _ = (memory, at, raise);
    }

    /// The device has looked at this ring, as often as it visits its rings.
    fn visited(&mut self, ring: &RingView<'_>) {
        let _ = ring;
    }
}

/// A device that does what the specification says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Honest;

impl Conduct for Honest {}

/// A virtqueue as the device has it.
#[derive(Clone, Copy, Debug)]
pub struct RingView<'a> {
    /// What the queue is for.
    pub role: Role,
    /// Its format: packed, or split.
    pub packed: bool,
    /// Descriptors.
    pub size: u16,
    /// Descriptor table, or packed ring.
    pub desc: GuestAddress,
    /// Driver area.
    pub driver: GuestAddress,
    /// Device area.
    pub device: GuestAddress,
    /// Where the next buffer is made available: an index, or in a packed ring offset and wrap
    /// counter as in an event word.
    pub next_avail: u16,
    /// Where the next buffer is used, in the same way.
    pub next_used: u16,
    /// For each id the places in the ring of the buffer that the device holds under it, or 0: an
    /// entry in a split ring, its descriptors in a packed one.
    pub held: &'a [u16],
    /// The driver's memory.
    pub memory: &'a GuestMemoryMmap,
}

/// When interrupts come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupts {
    /// When they were asked for.
    AsAsked,
    /// Also before the device is started.
    Early,
    /// Without end.
    Storm,
    /// Not at all.
    Never,
}

/// How a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With this byte.
    Byte(u8),
    /// The buffer comes back without the byte having been written.
    Nothing,
    /// The buffer does not come back.
    Never,
}

/// A frame on its way to the driver.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Header and frame; `num_buffers` is the true one unless it is given below.
    pub frame: Frame,
    /// What the header says instead of the true number of buffers.
    pub num_buffers: Option<u16>,
    /// What the header says of the frame's hash instead of the truth, where it says any.
    pub hash: Option<HashReport>,
    /// How much of each buffer is filled at most.
    pub fill: usize,
}

impl Delivery {
    /// `payload` behind `header`, in as many buffers as it takes.
    pub fn new(header: VirtioNetHdr, payload: &[u8]) -> Self {
        Self {
            frame: Frame::with_header(header, payload),
            num_buffers: None,
            hash: None,
            fill: usize::MAX,
        }
    }

    /// The same, said to have `num_buffers`.
    pub fn counted(self, num_buffers: u16) -> Self {
        Self {
            num_buffers: Some(num_buffers),
            ..self
        }
    }

    /// The same, with this hash where there is one.
    pub fn hashed(self, hash: HashReport) -> Self {
        Self {
            hash: Some(hash),
            ..self
        }
    }

    /// The same, with no more than `fill` bytes in a buffer.
    pub fn filling(self, fill: usize) -> Self {
        Self { fill, ..self }
    }

    /// Makes all but the frame itself as the rules have it.
    pub(super) fn be_honest(&mut self) {
        self.num_buffers = None;
        self.hash = None;
        self.fill = usize::MAX;
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self::new(VirtioNetHdr::default(), &[])
    }
}
