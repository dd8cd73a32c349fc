//! The walk through PCI capabilities: whatever a device says of itself, what the driver would
//! touch lies in the BARs, and no doorbell in anything else.

use virtio::transport::vfio::{BarRange, Capabilities};

use crate::input::Input;

/// Runs one input: the sizes of six BARs in units of 256 bytes, then the configuration space.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let bars = [(); 6].map(|()| u64::from(input.u16()) << 8);
    let Ok(found) = Capabilities::parse(input.rest(), &bars) else {
        return;
    };
    let inside = |(bar, range): &BarRange| {
        range.start <= range.end
            && bars
                .get(usize::from(*bar))
                .is_some_and(|&len| range.end <= len)
    };
    let structures = found.structures();
    assert!(structures.iter().all(inside), "{found:?} outside {bars:x?}");
    let (notify_bar, notify) = found.notify();
    assert!(inside(&(notify_bar, notify.clone())));
    for queue_notify_off in [0, 1, 2, 3, 7, 64, 0x7fff, u16::MAX] {
        if let Some(offset) = found.doorbell(queue_notify_off) {
            let start = notify.start + offset as u64;
            assert!(start + 2 <= notify.end, "{found:?}");
            let hits = |other: &BarRange| {
                other.0 == notify_bar && start < other.1.end && other.1.start < start + 2
            };
            assert!(!found.msix().iter().any(hits), "{found:?}");
        }
    }
}
