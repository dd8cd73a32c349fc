//! What can be wrong with how a device describes itself.

use super::Window;

/// Why a device cannot be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum PciFault {
    #[error("its configuration space reads as all ones: the device is gone")]
    Absent,
    #[error("its configuration space ends in the middle of a structure")]
    Truncated,
    #[error("it is {vendor:04x}:{device:04x}, not a virtio network device (1af4:1041)")]
    NotVirtioNet { vendor: u16, device: u16 },
    #[error(
        "it has the legacy interface only, which is not supported; in QEMU use disable-legacy=on,disable-modern=off"
    )]
    LegacyOnly,
    #[error("its capability list points to {pointer:#x}, into the header")]
    IntoHeader { pointer: u8 },
    #[error("its capability list has no end")]
    EndlessList,
    #[error("it has no usable {structure} structure{}", because(.unfit))]
    Missing {
        structure: &'static str,
        unfit: Option<Unfit>,
    },
    #[error("its structures at {first:#x} and {second:#x} of BAR {bar} overlap")]
    Overlap { bar: u8, first: u64, second: u64 },
}

fn because(unfit: &Option<Unfit>) -> String {
    unfit.map_or_else(String::new, |unfit| format!(": {unfit}"))
}

/// Why one capability is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Unfit {
    #[error("the capability runs past the configuration space")]
    CutOff,
    #[error("cap_len is {cap_len}, not {need}")]
    CapLen { cap_len: u8, need: usize },
    #[error("it names BAR {0}, and there are 0 to 5")]
    ReservedBar(u8),
    #[error("BAR {0} does not exist")]
    AbsentBar(u8),
    #[error("BAR {0} is in I/O space")]
    IoBar(u8),
    #[error(
        "bytes {:#x}..+{:#x} are outside BAR {} of {limit:#x} bytes",
        window.offset, window.len, window.bar
    )]
    OutsideBar { window: Window, limit: u64 },
    #[error("it is {} bytes long, and {min_len} are needed", window.len)]
    TooSmall { window: Window, min_len: usize },
    #[error("its offset {:#x} is not a multiple of {align}", window.offset)]
    Misaligned { window: Window, align: u64 },
    #[error("notify_off_multiplier is {0}, neither 0 nor an even power of two")]
    Multiplier(u32),
}

/// A doorbell that the driver must not ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "queue_notify_off {queue_notify_off} times {multiplier} is no place for {width} bytes in the {len} of the notification structure, or inside another structure"
)]
pub(in super::super) struct DoorbellFault {
    pub(super) queue_notify_off: u16,
    pub(super) multiplier: u32,
    pub(super) len: u64,
    pub(super) width: u64,
}
