//! NetAdapterCx's half of a user-mode network driver.
//!
//! ```text
//!  network stack        this crate                       client driver
//!   +------+   +--------------------------------+   +----------------------+
//!   | TAP  |---| port <-> system buffers, rings |---| PacketQueue::advance |--- device
//!   +------+   +--------------------------------+   +----------------------+
//! ```
//!
//! The client owns no DMA and no packet buffer: every buffer is allocated here
//! and lent to the client through rings. A client implements
//! [`AdapterEvents`] and [`PacketQueue`] and is driven by an [`Adapter`].
//!
//! Modules import only leftwards:
//! `abi <- ring, os_ring, buffer_pool <- queue, verifier <- execution, os <- adapter`.

pub mod abi;
mod adapter;
mod buffer_pool;
pub mod door;
mod execution;
pub mod frame_layout;
mod offload;
pub mod os;
mod os_ring;
mod port;
mod queue;
mod ring;
mod stats;
mod sync;
#[cfg(test)]
mod test_random;
mod verifier;
mod wake;

pub use adapter::*;
pub use buffer_pool::SystemBuffer;
pub use execution::{Crew, ExecutionConfig, FaultHook, Heart};
pub use offload::{pseudo_sum_with_length, pseudo_sum_without_length};
pub use port::{Interface, PortOffloads, PortQueue, RxFrame, SystemPort, TxFrame};
pub use queue::{Direction, Notifier, PacketQueue, QueueFault, QueueInit, RingInfo};
pub use ring::{Extensions, NetRing, NetRings, RingMap};
pub use stats::{AdapterStatistics, Counter, QueueStatistics};
pub use verifier::Violation;
pub use vm_memory::VolatileSlice;
