//! § *Network Device*: feature bits, configuration, packet header, control commands.

/// § *Network Device* / *Feature bits*.
pub mod feature {
    /// The device completes checksums of frames it sends.
    pub const VIRTIO_NET_F_CSUM: u32 = 0;
    /// The driver takes frames with partial or verified checksums.
    pub const VIRTIO_NET_F_GUEST_CSUM: u32 = 1;
    /// Receive offloads can be switched while running.
    pub const VIRTIO_NET_F_CTRL_GUEST_OFFLOADS: u32 = 2;
    /// The configuration says the MTU.
    pub const VIRTIO_NET_F_MTU: u32 = 3;
    /// The configuration says the MAC address.
    pub const VIRTIO_NET_F_MAC: u32 = 5;
    /// The driver takes TCP over IPv4 larger than the MTU.
    pub const VIRTIO_NET_F_GUEST_TSO4: u32 = 7;
    /// The driver takes TCP over IPv6 larger than the MTU.
    pub const VIRTIO_NET_F_GUEST_TSO6: u32 = 8;
    /// The same with ECN.
    pub const VIRTIO_NET_F_GUEST_ECN: u32 = 9;
    /// The driver takes UDP fragments offload (obsolete).
    pub const VIRTIO_NET_F_GUEST_UFO: u32 = 10;
    /// The device segments TCP over IPv4.
    pub const VIRTIO_NET_F_HOST_TSO4: u32 = 11;
    /// The device segments TCP over IPv6.
    pub const VIRTIO_NET_F_HOST_TSO6: u32 = 12;
    /// The same with ECN.
    pub const VIRTIO_NET_F_HOST_ECN: u32 = 13;
    /// The device fragments UDP (obsolete).
    pub const VIRTIO_NET_F_HOST_UFO: u32 = 14;
    /// A received frame may span several buffers.
    pub const VIRTIO_NET_F_MRG_RXBUF: u32 = 15;
    /// The configuration says the link status.
    pub const VIRTIO_NET_F_STATUS: u32 = 16;
    /// There is a control queue.
    pub const VIRTIO_NET_F_CTRL_VQ: u32 = 17;
    /// The control queue sets receive modes and address tables.
    pub const VIRTIO_NET_F_CTRL_RX: u32 = 18;
    /// The control queue filters VLANs.
    pub const VIRTIO_NET_F_CTRL_VLAN: u32 = 19;
    /// Four more receive modes.
    pub const VIRTIO_NET_F_CTRL_RX_EXTRA: u32 = 20;
    /// The device asks for gratuitous announcements.
    pub const VIRTIO_NET_F_GUEST_ANNOUNCE: u32 = 21;
    /// Several queue pairs.
    pub const VIRTIO_NET_F_MQ: u32 = 22;
    /// The control queue sets the MAC address.
    pub const VIRTIO_NET_F_CTRL_MAC_ADDR: u32 = 23;
    /// The control queue says how long notifications may be put off (since 1.3).
    pub const VIRTIO_NET_F_NOTF_COAL: u32 = 53;
    /// The driver takes UDP over IPv4 larger than the MTU (since 1.3).
    pub const VIRTIO_NET_F_GUEST_USO4: u32 = 54;
    /// The driver takes UDP over IPv6 larger than the MTU (since 1.3).
    pub const VIRTIO_NET_F_GUEST_USO6: u32 = 55;
    /// The device segments UDP.
    pub const VIRTIO_NET_F_HOST_USO: u32 = 56;
    /// Received frames carry a hash.
    pub const VIRTIO_NET_F_HASH_REPORT: u32 = 57;
    /// `hdr_len` of transmitted frames is exact.
    pub const VIRTIO_NET_F_GUEST_HDRLEN: u32 = 59;
    /// Receive side scaling.
    pub const VIRTIO_NET_F_RSS: u32 = 60;
    /// A standby for another device.
    pub const VIRTIO_NET_F_STANDBY: u32 = 62;
    /// The configuration says speed and duplex.
    pub const VIRTIO_NET_F_SPEED_DUPLEX: u32 = 63;
}

/// § *Device configuration layout*: offsets.
pub mod config {
    /// `u8 mac[6]`.
    pub const MAC: usize = 0;
    /// `le16 status`.
    pub const STATUS: usize = 6;
    /// `le16 max_virtqueue_pairs`.
    pub const MAX_VIRTQUEUE_PAIRS: usize = 8;
    /// `le16 mtu`.
    pub const MTU: usize = 10;
    /// `le32 speed`, in Mbit/s.
    pub const SPEED: usize = 12;
    /// `u8 duplex`.
    pub const DUPLEX: usize = 16;
    /// `u8 rss_max_key_size`.
    pub const RSS_MAX_KEY_SIZE: usize = 17;
    /// `le16 rss_max_indirection_table_length`.
    pub const RSS_MAX_INDIRECTION_TABLE_LENGTH: usize = 18;
    /// `le32 supported_hash_types`.
    pub const SUPPORTED_HASH_TYPES: usize = 20;
    /// In `status`: the link is up.
    pub const S_LINK_UP: u16 = 1;
    /// In `status`: the device asks for gratuitous announcements.
    pub const S_ANNOUNCE: u16 = 2;
}

/// § *Device Operation*: `struct virtio_net_hdr`, as a device with `VIRTIO_F_VERSION_1` has it.
pub mod header {
    /// Bytes of the header without hash or tunnel fields.
    pub const SIZE: usize = 12;
    /// Bytes of the fields that `VIRTIO_NET_F_HASH_REPORT` adds: `le32 hash_value`, `le16
    /// hash_report`, `le16 padding_reserved`.
    pub const HASH_SIZE: usize = 8;
    /// `hash_report`: nothing was hashed. Otherwise it is the number of the type's bit, and 1.
    pub const HASH_REPORT_NONE: u16 = 0;
    /// Flag: the checksum is partial.
    pub const F_NEEDS_CSUM: u8 = 1;
    /// Flag: the checksum has been verified.
    pub const F_DATA_VALID: u8 = 2;
    /// Flag: `csum_start` and `csum_offset` count coalesced segments instead.
    pub const F_RSC_INFO: u8 = 4;
    /// One segment.
    pub const GSO_NONE: u8 = 0;
    /// TCP over IPv4.
    pub const GSO_TCPV4: u8 = 1;
    /// UDP fragments (obsolete).
    pub const GSO_UDP: u8 = 3;
    /// TCP over IPv6.
    pub const GSO_TCPV6: u8 = 4;
    /// UDP segments.
    pub const GSO_UDP_L4: u8 = 5;
    /// Or'ed in: TCP has ECN set.
    pub const GSO_ECN: u8 = 0x80;
}

/// § *Control Virtqueue*: classes, commands and acknowledgements.
pub mod ctrl {
    /// The command was carried out.
    pub const ACK_OK: u8 = 0;
    /// The command was refused.
    pub const ACK_ERR: u8 = 1;
    /// Class: receive modes.
    pub const CLASS_RX: u8 = 0;
    /// Receive everything.
    pub const RX_PROMISC: u8 = 0;
    /// Receive all multicast.
    pub const RX_ALLMULTI: u8 = 1;
    /// Class: MAC addresses.
    pub const CLASS_MAC: u8 = 1;
    /// Set the unicast and multicast tables.
    pub const MAC_TABLE_SET: u8 = 0;
    /// Set the device's own address.
    pub const MAC_ADDR_SET: u8 = 1;
    /// Class: VLANs.
    pub const CLASS_VLAN: u8 = 2;
    /// Receive frames of a VLAN.
    pub const VLAN_ADD: u8 = 0;
    /// Receive them no longer.
    pub const VLAN_DEL: u8 = 1;
    /// Class: gratuitous packets.
    pub const CLASS_ANNOUNCE: u8 = 3;
    /// They were sent.
    pub const ANNOUNCE_ACK: u8 = 0;
    /// Class: receive offloads.
    pub const CLASS_GUEST_OFFLOADS: u8 = 5;
    /// Set which are on.
    pub const GUEST_OFFLOADS_SET: u8 = 0;
    /// Class: notifications that wait for others.
    pub const CLASS_NOTF_COAL: u8 = 6;
    /// Of transmit queues.
    pub const NOTF_COAL_TX_SET: u8 = 0;
    /// Of receive queues.
    pub const NOTF_COAL_RX_SET: u8 = 1;
    /// Class: several queue pairs.
    pub const CLASS_MQ: u8 = 4;
    /// How many pairs are in use, steered automatically.
    pub const MQ_VQ_PAIRS_SET: u8 = 0;
    /// How received frames are spread by a hash.
    pub const MQ_RSS_CONFIG: u8 = 1;
    /// Fewest pairs (§ *Automatic receive steering in multiqueue mode*).
    pub const MQ_VQ_PAIRS_MIN: u16 = 1;
    /// Most pairs.
    pub const MQ_VQ_PAIRS_MAX: u16 = 0x8000;
}

/// § *Supported/enabled hash types*: what of a received frame is hashed.
pub mod hash {
    /// Addresses of IPv4.
    pub const TYPE_IPV4: u32 = 1 << 0;
    /// Addresses and ports of TCP over IPv4.
    pub const TYPE_TCPV4: u32 = 1 << 1;
    /// Addresses and ports of UDP over IPv4.
    pub const TYPE_UDPV4: u32 = 1 << 2;
    /// Addresses of IPv6.
    pub const TYPE_IPV6: u32 = 1 << 3;
    /// Addresses and ports of TCP over IPv6.
    pub const TYPE_TCPV6: u32 = 1 << 4;
    /// Addresses and ports of UDP over IPv6.
    pub const TYPE_UDPV6: u32 = 1 << 5;
    /// All of these: those with home addresses of extension headers are left out.
    pub const TYPES: u32 = 0x3f;
    /// Bytes of a Toeplitz key, and the shortest that a device may want.
    pub const KEY_SIZE: usize = 40;
}

/// Largest frame that the driver may be given without segmentation offloads: 1514 bytes and
/// one VLAN tag (§ *Setting Up Receive Buffers*).
pub const MAX_PLAIN_FRAME: usize = 1518;
/// Largest frame with receive segmentation offloads (§ *Setting Up Receive Buffers*: 65601
/// with a header of 12 bytes).
pub const MAX_LARGE_FRAME: usize = 65_589;
