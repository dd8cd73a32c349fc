//! § *Virtio Over PCI Bus*: identifiers, capabilities, common configuration.

/// PCI vendor of virtio devices.
pub const VENDOR_ID: u16 = 0x1af4;
/// A network device that speaks only the modern interface.
pub const DEVICE_ID_NET: u16 = 0x1041;
/// A network device that also speaks the legacy interface.
pub const DEVICE_ID_NET_TRANSITIONAL: u16 = 0x1000;

/// § *Virtio Structure PCI Capabilities*: offsets within a vendor-specific capability.
pub mod cap {
    /// PCI capability id: vendor specific.
    pub const VENDOR_SPECIFIC: u8 = 0x09;
    /// `u8 cap_next`.
    pub const NEXT: usize = 1;
    /// `u8 cap_len`.
    pub const LEN: usize = 2;
    /// `u8 cfg_type`.
    pub const CFG_TYPE: usize = 3;
    /// `u8 bar`.
    pub const BAR: usize = 4;
    /// `le32 offset`.
    pub const OFFSET: usize = 8;
    /// `le32 length`.
    pub const LENGTH: usize = 12;
    /// `le32 notify_off_multiplier`, after the notification capability.
    pub const NOTIFY_OFF_MULTIPLIER: usize = 16;
    /// Bytes of a capability.
    pub const SIZE: usize = 16;
    /// Type: common configuration.
    pub const COMMON_CFG: u8 = 1;
    /// Type: notifications.
    pub const NOTIFY_CFG: u8 = 2;
    /// Type: interrupt status.
    pub const ISR_CFG: u8 = 3;
    /// Type: device-specific configuration.
    pub const DEVICE_CFG: u8 = 4;
    /// Type: window through configuration space.
    pub const PCI_CFG: u8 = 5;
}

/// § *Common configuration structure layout*: offsets.
pub mod common {
    /// `le32`: which 32 feature bits `DEVICE_FEATURE` shows.
    pub const DEVICE_FEATURE_SELECT: usize = 0x00;
    /// `le32`.
    pub const DEVICE_FEATURE: usize = 0x04;
    /// `le32`: which 32 feature bits `DRIVER_FEATURE` shows.
    pub const DRIVER_FEATURE_SELECT: usize = 0x08;
    /// `le32`.
    pub const DRIVER_FEATURE: usize = 0x0c;
    /// `le16`.
    pub const CONFIG_MSIX_VECTOR: usize = 0x10;
    /// `le16`.
    pub const NUM_QUEUES: usize = 0x12;
    /// `u8`.
    pub const DEVICE_STATUS: usize = 0x14;
    /// `u8`.
    pub const CONFIG_GENERATION: usize = 0x15;
    /// `le16`: which queue the fields below belong to.
    pub const QUEUE_SELECT: usize = 0x16;
    /// `le16`.
    pub const QUEUE_SIZE: usize = 0x18;
    /// `le16`.
    pub const QUEUE_MSIX_VECTOR: usize = 0x1a;
    /// `le16`.
    pub const QUEUE_ENABLE: usize = 0x1c;
    /// `le16`.
    pub const QUEUE_NOTIFY_OFF: usize = 0x1e;
    /// `le64`, written as two halves.
    pub const QUEUE_DESC: usize = 0x20;
    /// `le64`, written as two halves.
    pub const QUEUE_DRIVER: usize = 0x28;
    /// `le64`, written as two halves.
    pub const QUEUE_DEVICE: usize = 0x30;
    /// `le16`, of devices with `VIRTIO_F_RING_RESET`.
    pub const QUEUE_RESET: usize = 0x3a;
    /// Bytes that every device has.
    pub const SIZE: usize = 0x38;
    /// Vector value: none, or the device could not allocate one.
    pub const NO_VECTOR: u16 = 0xffff;
}
