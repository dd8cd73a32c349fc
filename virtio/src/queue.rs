//! The driver's half of a virtqueue.
//!
//! A [`Virtqueue`] has *slots*: slot k and the addresses of its parts belong together for the
//! life of the queue. In a split ring the descriptor table is written once and lengths at most
//! change; in a packed ring a slot's descriptors are written where the ring has come to.
//!
//! ```text
//! add ──► publish ──► kick_if_needed          once per buffer, per batch, per batch
//! pop_used                                    one checked completion at a time
//! arm                                         "sleep" or "work arrived meanwhile"
//! ```
//!
//! All bookkeeping is private to the driver: of ring memory it reads only what the device used,
//! the device's event word and its flags, each once. The queue makes no system call, allocates
//! nothing after creation, and panics for no value that a device can write.

mod event_idx;
mod in_order;
mod layout;
mod packed;
mod split;
mod virtqueue;

pub use layout::{InvalidQueueSize, QueueSize, RingFeatures, RingLayout};
pub use virtqueue::{Part, SlotLayout, Virtqueue};

use std::fmt;

/// A slot of one queue: memory for one buffer, together with the descriptors that name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u16);

/// A buffer that the device has handed back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Which buffer; it was with the device until now.
    pub slot: SlotId,
    /// Bytes that the device says it wrote, or `None` when it claims more than the slot can
    /// hold: such a buffer's content means nothing. Devices get this wrong for buffers
    /// they only read; there it is best ignored.
    pub len: Option<u32>,
}

/// What [`Virtqueue::arm`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arming {
    /// Nothing is waiting: an interrupt will tell of the next used buffer.
    Armed,
    /// A buffer was used meanwhile: look again before sleeping.
    MoreWork,
}

/// How a device broke the protocol of a queue. The queue is unusable from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceFault {
    /// A used entry names a descriptor beyond the table.
    UsedIdOutOfRange {
        /// What it says.
        id: u32,
        /// Descriptors there are.
        size: u16,
    },
    /// A used entry names a descriptor that is not the first of a buffer.
    UsedIdNotHead {
        /// What it says.
        id: u32,
    },
    /// A used entry names a buffer that is not with the device.
    UsedIdNotOutstanding {
        /// What it says.
        id: u32,
    },
    /// The used index moved further than there are buffers with the device, or backwards.
    UsedIndexJump {
        /// Where the driver stands.
        from: u16,
        /// What the device says.
        to: u16,
        /// Buffers with the device.
        outstanding: u16,
    },
    /// The device agreed to `VIRTIO_F_IN_ORDER`, and a used entry names no buffer that comes next
    /// or ends a batch beginning with the one that does.
    UsedOutOfOrder {
        /// What it says. It is below the queue size; and a fault of more than eight bytes would be
        /// paid for with every frame.
        id: u16,
        /// The id of the buffer that comes next.
        next: u16,
        /// The most buffers that the batch can have.
        limit: u16,
    },
}

impl fmt::Display for DeviceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsedIdOutOfRange { id, size } => write!(f, "used id {id} >= size {size}"),
            Self::UsedIdNotHead { id } => write!(f, "used id {id} is not the head of a buffer"),
            Self::UsedIdNotOutstanding { id } => {
                write!(f, "used id {id} names a buffer that is not with the device")
            }
            Self::UsedIndexJump {
                from,
                to,
                outstanding,
            } => {
                write!(
                    f,
                    "used idx jumps from {from} to {to} with {outstanding} outstanding"
                )
            }
            Self::UsedOutOfOrder { id, next, limit } => {
                write!(
                    f,
                    "used id {id} keeps no order: the next is {next}, and at most {limit} are used"
                )
            }
        }
    }
}

impl std::error::Error for DeviceFault {}
