//! What is said about client drivers: their set-up, what they ask for, and how they are.

use serde::{Deserialize, Serialize};

use super::message::Offloads;
use crate::config::ClientSection;

/// More adapters than anybody wants from one client.
pub const MAX_ADAPTERS: usize = 64;

/// Everything a client host is built from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientSetup {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// Whether a broken rule ends the host.
    pub verifier: bool,
    /// Milliseconds that the client may stay in one callback.
    pub deadline_ms: u64,
    /// What the configuration file says to this client.
    pub section: ClientSection,
    /// Devices are added until there are so many adapters.
    pub adapters: usize,
}

/// What a client host asks its supervisor for. Adapters are numbered from 0 in the order of their
/// creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientAsk {
    /// The interface of an adapter that is started: the one it had before, or a new one. Answered
    /// with [`super::Answer::Port`].
    Interface(AdapterWish),
    /// It has, or has not, a carrier.
    Carrier {
        /// Whose.
        adapter: usize,
        /// Whether it has.
        up: bool,
    },
    /// What the stack may leave to the adapter.
    Offloads {
        /// Whose.
        adapter: usize,
        /// These.
        offloads: Offloads,
    },
    /// It has this MTU now.
    Mtu {
        /// Whose.
        adapter: usize,
        /// Bytes.
        mtu: u32,
    },
    /// It has this address now.
    Address {
        /// Whose.
        adapter: usize,
        /// Ethernet.
        mac: [u8; 6],
    },
    /// The adapter is gone, and nobody takes its place: its interface goes too.
    Leave(usize),
    /// A socket on which programs reach a device. A listening descriptor comes with the answer.
    Listen(Place),
    /// Nobody answers there any more.
    Close(Place),
}

/// Which of a client's devices programs reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Place {
    /// The device of `EvtDriverDeviceAdd` with this number.
    Device(usize),
    /// The control device with this number.
    Control(usize),
}

/// What an adapter's interface is to be like. Its name is the supervisor's matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterWish {
    /// Which one.
    pub adapter: usize,
    /// Its address, if it has an Ethernet one.
    pub mac: Option<[u8; 6]>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// How many queues.
    pub queues: usize,
}

/// What an interface wants received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Whose interface.
    pub adapter: usize,
    /// Everything.
    pub promisc: bool,
    /// All multicast, and not the groups alone.
    pub all_multicast: bool,
    /// The groups that the interface is in.
    pub groups: Vec<[u8; 6]>,
}

/// How a client is, beside what its supervisor knows itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientReport {
    /// How many devices it has, those included that are down.
    pub devices: usize,
    /// Its adapters, in the order of their creation.
    pub adapters: Vec<AdapterReport>,
}

/// How one adapter is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterReport {
    /// Which one.
    pub number: usize,
    /// Whether the client has started it.
    pub started: bool,
    /// Mb/s, if the client tells.
    pub speed: Option<u32>,
    /// Full duplex, if the client tells.
    pub full_duplex: Option<bool>,
    /// Queue pairs in use.
    pub queue_pairs: u16,
    /// Bytes of system buffers.
    pub pool_bytes: u64,
}

/// What stands in front of an adapter's queues in the counters of a client host.
pub(crate) fn counter_prefix(adapter: usize) -> String {
    format!("adapter{adapter}_")
}
