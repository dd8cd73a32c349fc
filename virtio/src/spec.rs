//! Layouts and constants of the specification, with its section names. No logic.

pub mod net;
pub mod pci;
pub mod ring;
pub mod vhost_user;

/// § *Device Status Field*.
pub mod status {
    /// The guest has noticed the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// The guest knows how to drive it.
    pub const DRIVER: u8 = 2;
    /// The driver is ready.
    pub const DRIVER_OK: u8 = 4;
    /// Feature negotiation is complete.
    pub const FEATURES_OK: u8 = 8;
    /// The device has met an error it cannot recover from.
    pub const DEVICE_NEEDS_RESET: u8 = 64;
    /// The driver has given up on the device.
    pub const FAILED: u8 = 128;
    /// What every register of a removed PCI device reads as.
    pub const ALL_ONES: u8 = 0xff;
}

/// § *Reserved Feature Bits*: bits that do not depend on the kind of device.
pub mod feature {
    /// One ring entry may name a table of descriptors.
    pub const VIRTIO_F_INDIRECT_DESC: u32 = 28;
    /// `used_event` and `avail_event` say when to notify.
    pub const VIRTIO_F_EVENT_IDX: u32 = 29;
    /// The device follows this specification and not its forerunner.
    pub const VIRTIO_F_VERSION_1: u32 = 32;
    /// Addresses given to the device are those of the platform's DMA.
    pub const VIRTIO_F_ACCESS_PLATFORM: u32 = 33;
    /// The packed virtqueue layout.
    pub const VIRTIO_F_RING_PACKED: u32 = 34;
    /// Buffers are used in the order they were made available.
    pub const VIRTIO_F_IN_ORDER: u32 = 35;
    /// Memory accesses are ordered by the platform's barriers.
    pub const VIRTIO_F_ORDER_PLATFORM: u32 = 36;
    /// Single root I/O virtualisation.
    pub const VIRTIO_F_SR_IOV: u32 = 37;
    /// Doorbells carry the ring position.
    pub const VIRTIO_F_NOTIFICATION_DATA: u32 = 38;
    /// Doorbells carry a value that the device chose.
    pub const VIRTIO_F_NOTIF_CONFIG_DATA: u32 = 39;
    /// Single queues can be reset.
    pub const VIRTIO_F_RING_RESET: u32 = 40;
}
