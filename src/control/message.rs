//! What is asked and what is told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Fallback;
use crate::host::{IfName, MacAddress};

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    Status,
    Stats,
    /// Another program is to do the work.
    Update(UpdateRequest),
    /// Something is to happen to the devices of a client driver.
    Event(DeviceEvent),
}

/// Which program is to do which work from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateRequest {
    /// The program; without one, what is installed where the present one was.
    pub binary: Option<PathBuf>,
    /// The supervisor's work, not the driver host's.
    pub supervisor: bool,
}

/// What happens to a device: as [`netadapter_shim::door::hosted::DeviceEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceEvent {
    /// It sleeps and wakes up.
    PowerCycle,
    /// Its hardware is taken away and given back.
    Rebalance,
    /// It was pulled out.
    SurpriseRemoval,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) schema: u32,
    pub(super) ask: Ask,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) schema: u32,
    #[serde(flatten)]
    pub(super) body: Body,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    Status(Box<Status>),
    Stats(Stats),
    /// What was to happen has happened.
    Done,
    /// It has, and this came of it.
    Told(String),
    Error(String),
}

/// How an adapter is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The device: PCI address, `vhost-user:/path` or `in-process`.
    pub device: String,
    /// The interface umnet gives; the first one of a client driver, once it has one.
    pub ifname: Option<IfName>,
    /// The process that answers, and keeps the interface.
    pub pid: u32,
    /// Version of umnet in that process.
    pub version: String,
    /// Seconds since the device was first driven, whatever was replaced since.
    pub uptime_seconds: u64,
    /// Whether the device has carrier.
    pub link_up: bool,
    /// Speed in Mb/s, if the device tells.
    pub speed_mbps: Option<u32>,
    /// Full duplex, if the device tells.
    pub full_duplex: Option<bool>,
    /// MTU in bytes.
    pub mtu: u32,
    /// The interface's MAC address.
    pub mac: MacAddress,
    /// Queue pairs in use.
    pub queue_pairs: u16,
    /// Descriptors in each receive queue.
    pub rx_ring: u16,
    /// Descriptors in each transmit queue.
    pub tx_ring: u16,
    /// Microseconds at most that its threads look for frames awake before they sleep; 0: not at all.
    #[serde(default)]
    pub busy_poll_us: u16,
    /// Features in use, by the spec's names.
    pub features: Vec<String>,
    /// Features the device offers and umnet does not take.
    pub features_refused: Vec<String>,
    /// Features umnet would take and the device does not offer.
    pub features_not_offered: Vec<String>,
    /// Offloads of the interface that are on, by ethtool's names.
    pub offloads: Vec<String>,
    /// Driver hosts that took over from one that died, hung or was replaced.
    pub restarts: u64,
    /// Driver hosts that were ended because they gave no sign of life.
    #[serde(default)]
    pub hangs: u64,
    /// How often the supervisor was restarted in place.
    #[serde(default)]
    pub supervisor_restarts: u64,
    /// Times the device was reset because it broke the protocol.
    pub resets: u64,
    /// Memory in use.
    pub memory: Memory,
    /// What confines the device's DMA; nothing for devices that are not on a bus.
    pub iommu: Option<Iommu>,
    /// The process that drives the device; nothing while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostStatus>,
    /// What is done about driver hosts that die or hang.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyStatus>,
    /// What is lost at most when the driver host dies.
    #[serde(default)]
    pub loss_bound: LossBound,
    /// Why the interface is without a driver for now, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<String>,
    /// The client driver that is hosted, if it is not umnet's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientStatus>,
}

/// What is done about driver hosts that die or hang, and how far it has come to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// Milliseconds without a sign of life until a host is ended.
    pub hang_after_ms: u64,
    /// Milliseconds after which a host is no longer young.
    pub settled_after_ms: u64,
    /// Hosts that died young, one after the other.
    pub young_deaths: u32,
    /// How many of them it takes for the fallback.
    pub give_up_after: u32,
    /// The fallback.
    pub fallback: Fallback,
    /// Milliseconds that it lasts until the next attempt.
    pub retry_after_ms: u64,
}

/// Frames that are lost at most when a driver host dies: those in the device's ring and in the
/// system's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossBound {
    /// Of those received.
    pub rx_frames: u32,
    /// Of those sent.
    pub tx_frames: u32,
}

/// The process that drives a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// Its number.
    pub pid: u32,
    /// Version of umnet in it.
    pub version: String,
    /// How it is confined.
    pub cage: String,
}

/// A hosted client driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientStatus {
    /// The shared library.
    pub file: String,
    /// Whether a broken rule ends the run.
    pub verifier: bool,
    /// Its adapters, in the order of their creation.
    pub adapters: Vec<AdapterStatus>,
}

/// One adapter of a hosted client driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterStatus {
    /// Which one, from 0 in the order of creation.
    pub number: usize,
    /// Its interface, once it was started.
    pub ifname: Option<IfName>,
    /// Its Ethernet address, if it has one.
    pub mac: Option<MacAddress>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether the client has started it.
    pub started: bool,
    /// Whether its link is up.
    pub link_up: bool,
    /// Speed in Mb/s, if the client tells.
    pub speed_mbps: Option<u32>,
    /// Full duplex, if the client tells.
    pub full_duplex: Option<bool>,
    /// Queue pairs in use.
    pub queue_pairs: u16,
    /// Bytes of its system buffers.
    pub pool_bytes: u64,
}

/// Memory in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Pinned and shared with the device: rings and frame slots.
    pub pinned_bytes: u64,
    /// System buffers, out of the device's reach.
    pub pool_bytes: u64,
}

/// The IOMMU's view of the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Iommu {
    /// Its group.
    pub group: u32,
    /// Bytes the device can reach.
    pub mapped_bytes: u64,
    /// Number of mappings.
    pub mappings: u32,
    /// Whether interrupts are remapped. Where they are not, the device can send any interrupt to
    /// any processor by writing to an address that no mapping is needed for.
    #[serde(default)]
    pub interrupt_remapping: bool,
}

/// Counters by name, in ethtool's words (`rx_packets`, `tx_dropped`).
pub type Counters = BTreeMap<String, u64>;

/// Counters of an adapter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// The device.
    pub device: String,
    /// The interface umnet gives.
    pub ifname: String,
    /// All queues together, and what belongs to no queue.
    pub total: Counters,
    /// Each queue, in their order.
    pub queues: Vec<QueueStats>,
    /// Each adapter of a hosted client driver, in the order of their creation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<AdapterStats>,
}

/// Counters of one adapter of a hosted client driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterStats {
    /// Which one, from 0 in the order of creation.
    pub number: usize,
    /// Its interface, once it was started.
    pub ifname: Option<IfName>,
    /// All its queues together.
    pub total: Counters,
    /// Each queue, in their order.
    pub queues: Vec<QueueStats>,
}

/// Counters of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStats {
    /// `rx0`, `tx0` and so on.
    pub queue: String,
    /// Its counters.
    pub counters: Counters,
}

impl QueueStats {
    /// The counters of a queue from a snapshot of them.
    pub fn new(queue: String, counters: Vec<(&'static str, u64)>) -> Self {
        let named = counters
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Self {
            queue,
            counters: named.collect(),
        }
    }
}
