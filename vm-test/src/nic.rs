//! A virtio-net card: the `-device virtio-net-pci` of QEMU with typed properties.

use crate::topology::Backend;
use std::fmt;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Where a card sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// On the root bus, in an IOMMU group of its own; cannot be unplugged.
    RootBus,
    /// Behind a root port of its own, so that it can be unplugged.
    RootPort,
}

/// One card, by default modern-only and behind the IOMMU (`disable-legacy=on,iommu_platform=on`).
#[derive(Debug, Clone)]
pub struct Nic {
    pub(crate) id: String,
    pub(crate) backend: Backend,
    pub(crate) mac: Option<Mac>,
    pub(crate) placement: Placement,
    pub(crate) dump: bool,
    properties: Vec<(&'static str, String)>,
}

/// On/off properties under QEMU's names.
macro_rules! switches {
    ($($method:ident = $property:literal,)*) => {
        impl Nic {
            $(
                #[doc = concat!("QEMU's `", $property, "`.")]
                #[must_use]
                pub fn $method(self, on: bool) -> Self {
                    self.set($property, if on { "on" } else { "off" })
                }
            )*
        }
    };
}

switches! {
    ats = "ats",
    csum = "csum",
    ctrl_guest_offloads = "ctrl_guest_offloads",
    ctrl_mac_addr = "ctrl_mac_addr",
    ctrl_rx = "ctrl_rx",
    ctrl_rx_extra = "ctrl_rx_extra",
    ctrl_vlan = "ctrl_vlan",
    ctrl_vq = "ctrl_vq",
    disable_legacy = "disable-legacy",
    event_idx = "event_idx",
    guest_announce = "guest_announce",
    guest_csum = "guest_csum",
    guest_ecn = "guest_ecn",
    guest_tso4 = "guest_tso4",
    guest_tso6 = "guest_tso6",
    guest_ufo = "guest_ufo",
    guest_uso4 = "guest_uso4",
    guest_uso6 = "guest_uso6",
    hash = "hash",
    host_ecn = "host_ecn",
    host_tso4 = "host_tso4",
    host_tso6 = "host_tso6",
    host_ufo = "host_ufo",
    host_uso = "host_uso",
    in_order = "in_order",
    indirect_desc = "indirect_desc",
    iommu_platform = "iommu_platform",
    mrg_rxbuf = "mrg_rxbuf",
    packed = "packed",
    page_per_vq = "page-per-vq",
    queue_reset = "queue_reset",
    rss = "rss",
    status = "status",
}

/// Everything a card does to a frame besides carrying it; on only over a TAP back end.
const OFFLOADS: &[&str] = &[
    "csum",
    "guest_csum",
    "guest_ecn",
    "guest_tso4",
    "guest_tso6",
    "guest_ufo",
    "guest_uso4",
    "guest_uso6",
    "host_ecn",
    "host_tso4",
    "host_tso6",
    "host_ufo",
    "host_uso",
];

impl Nic {
    /// A card on `backend`. The id names it in this crate and in QMP.
    pub fn new(id: &str, backend: Backend) -> Self {
        Self {
            id: id.to_string(),
            backend,
            mac: None,
            placement: Placement::RootBus,
            dump: false,
            properties: Vec::new(),
        }
        .disable_legacy(true)
        .iommu_platform(true)
    }

    /// Names of the offload properties, for tests that go through them one by one.
    pub fn offloads() -> impl Iterator<Item = &'static str> {
        OFFLOADS.iter().copied()
    }

    /// Every offload off.
    #[must_use]
    pub fn without_offloads(self) -> Self {
        Self::offloads().fold(self, |nic, offload| nic.set(offload, "off"))
    }

    /// Sets any property of `virtio-net-pci`; the last setting of a property counts.
    #[must_use]
    pub fn set(mut self, property: &'static str, value: impl fmt::Display) -> Self {
        self.properties.retain(|(name, _)| *name != property);
        self.properties.push((property, value.to_string()));
        self
    }

    /// The MTU the device announces, in bytes.
    #[must_use]
    pub fn host_mtu(self, mtu: u16) -> Self {
        self.set("host_mtu", mtu)
    }

    /// Largest receive queue, in descriptors (a power of two, 256 to 1024).
    #[must_use]
    pub fn rx_queue_size(self, size: u16) -> Self {
        self.set("rx_queue_size", size)
    }

    /// MSI-X vectors; 0 leaves only INTx.
    #[must_use]
    pub fn vectors(self, count: u16) -> Self {
        self.set("vectors", count)
    }

    /// Announced speed in Mb/s and full duplex.
    #[must_use]
    pub fn speed(self, megabits: u32) -> Self {
        self.set("speed", megabits).set("duplex", "full")
    }

    /// Queue pairs, on a TAP back end made for as many: multiqueue with a vector for each queue.
    #[must_use]
    pub fn queue_pairs(mut self, pairs: u16) -> Self {
        self.backend = self.backend.with_queues(pairs);
        self.set("mq", "on").vectors(2 * pairs + 2)
    }

    /// The address on the card; otherwise one is made up from its position.
    #[must_use]
    pub fn mac(mut self, mac: Mac) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Behind a root port, so that `device_del` and `device_add` work.
    #[must_use]
    pub fn unpluggable(mut self) -> Self {
        self.placement = Placement::RootPort;
        self
    }

    /// Records what is on the wire in `<id>.pcap` beside the logs.
    #[must_use]
    pub fn dump(mut self) -> Self {
        self.dump = true;
        self
    }

    /// `virtio-net-pci` and its properties as pairs; the caller adds the place.
    pub(crate) fn device(&self, mac: Mac) -> Vec<(&str, String)> {
        let mut words = vec![
            ("id", self.id.clone()),
            ("netdev", self.netdev_id()),
            ("mac", mac.to_string()),
            ("romfile", String::new()),
        ];
        words.extend(
            self.properties
                .iter()
                .map(|(name, value)| (*name, value.clone())),
        );
        words
    }

    pub(crate) fn netdev_id(&self) -> String {
        format!("{}-net", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_setting_counts_and_the_iommu_is_on_by_default() {
        let nic = Nic::new("n0", Backend::hub(0))
            .host_mtu(9000)
            .csum(true)
            .without_offloads();
        let words = nic.device(Mac([0x52, 0x54, 0, 0, 0, 1]));
        let value = |name| {
            words
                .iter()
                .filter(|(n, _)| *n == name)
                .map(|(_, v)| v.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(value("csum"), ["off"]);
        assert_eq!(value("host_mtu"), ["9000"]);
        assert_eq!(value("iommu_platform"), ["on"]);
        assert_eq!(value("mac"), ["52:54:00:00:00:01"]);
        assert_eq!(value("netdev"), ["n0-net"]);
    }
}
