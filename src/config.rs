//! What a run is told: the built-in values, the TOML file, the command line, in this order.
//!
//! Everything is parsed and checked here, so that the code that runs has nothing left to doubt.

mod client;
mod coalesce;
mod file;
mod limits;
mod restart;
mod settings;

pub(crate) use client::Stores;
pub use client::{BadValue, ClientSection};
pub use coalesce::{Coalesce, CoalesceSettings, Late};
pub use file::{ConfigError, ConfigFile};
pub use limits::{Limit, MTU, QUEUES, RING_SIZE};
pub use restart::{Fallback, RestartConfig, RestartSettings};
pub use settings::{BufferSettings, FeatureSettings, OffloadSettings, Settings};

use serde::{Deserialize, Serialize};

use crate::host::{DeviceSpec, Host, IfName, MacAddress};

/// Everything `run` needs to know, checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunConfig {
    /// The machine.
    pub host: Host,
    /// What to drive.
    pub device: DeviceSpec,
    /// Name of the new interface; without one it takes the old interface's.
    pub ifname: Option<IfName>,
    /// Whether the new interface takes the old one's MAC, MTU, addresses and routes.
    pub adopt: bool,
    /// Whether the new interface stays when the run ends.
    pub keep_interface: bool,
    /// Whether to take a card that the user may be coming in through.
    pub force: bool,
    /// Receive queue size in descriptors, a power of two; the device's own if not given.
    pub rx_ring: Option<u16>,
    /// Transmit queue size in descriptors, a power of two; the device's own if not given.
    pub tx_ring: Option<u16>,
    /// Most queue pairs; as many as there are processors if not given.
    #[serde(default)]
    pub queues: Option<u16>,
    /// Microseconds at most that threads which find nothing look on before they sleep; 0: not at
    /// all. The driver's own choice if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_poll_us: Option<u16>,
    /// MTU in bytes; the old interface's or the device's if not given.
    pub mtu: Option<u16>,
    /// The address of a vhost-user device, in place of what its back end says.
    pub mac: Option<MacAddress>,
    /// Which offloads may be used where the device has them.
    pub offload: Offload,
    /// Which ring features may be used where the device has them.
    pub feature: Feature,
    /// How long the device may put notifications off.
    #[serde(default)]
    pub coalesce: Coalesce,
    /// Sizes of the system buffer pools.
    pub buffers: Buffers,
    /// What is done about driver hosts that die.
    pub restart: RestartConfig,
    /// Whether driver hosts lock themselves in. Debuggers and profilers want them open.
    pub caged: bool,
}

impl RunConfig {
    /// A run of `device` with the built-in values.
    pub fn new(host: Host, device: DeviceSpec) -> Self {
        Settings::default().into_run(host, device)
    }
}

/// Switches for what the device can do to whole frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offload {
    /// The device completes checksums of frames sent (`VIRTIO_NET_F_CSUM`).
    pub tx_checksum: bool,
    /// The device cuts TCP frames sent into segments (`VIRTIO_NET_F_HOST_TSO4`/`6`).
    pub tx_tso: bool,
    /// The device cuts UDP frames sent into segments (`VIRTIO_NET_F_HOST_USO`).
    pub tx_uso: bool,
    /// Frames received may have checksums checked or left open (`VIRTIO_NET_F_GUEST_CSUM`).
    pub rx_checksum: bool,
    /// TCP frames received may be larger than the MTU (`VIRTIO_NET_F_GUEST_TSO4`/`6`).
    pub rx_tso: bool,
    /// UDP frames received may be larger than the MTU (`VIRTIO_NET_F_GUEST_USO4`/`6`).
    pub rx_uso: bool,
}

/// Switches for how rings are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// Notifications by index (`VIRTIO_F_EVENT_IDX`).
    pub event_idx: bool,
    /// Descriptor tables beside the ring (`VIRTIO_F_INDIRECT_DESC`). Nothing follows from it: each frame is
    /// one descriptor.
    pub indirect_desc: bool,
    /// One ring of descriptors instead of a table and two rings (`VIRTIO_F_RING_PACKED`).
    pub packed: bool,
    /// Received frames over several buffers (`VIRTIO_NET_F_MRG_RXBUF`).
    pub mrg_rxbuf: bool,
    /// Buffers used in the order in which they were given (`VIRTIO_F_IN_ORDER`).
    /// Not without being asked: DPDK as a back end took a quarter fewer small frames with it.
    #[serde(default)]
    pub in_order: bool,
}

/// Sizes of the system buffer pools; what is not given follows from the rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Buffers {
    /// Buffers for frames received, a power of two.
    pub rx_count: Option<u32>,
    /// Buffers for frames sent, a power of two.
    pub tx_count: Option<u32>,
    /// Size of one buffer in bytes.
    pub bytes: Option<u32>,
}
