//! Sizes of a ring and where its parts lie (§ *Split Virtqueues*, § *Packed Virtqueues*).

use crate::spec::ring::{MAX_QUEUE_SIZE, avail, desc, packed, used};

/// The number of descriptors of a virtqueue: a power of two up to 32768. A packed ring could be
/// of any size up to that; this driver takes none that a split ring could not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueueSize(u16);

/// A number that cannot be the size of a virtqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("queue size {0} is not a power of two between 1 and 32768")]
pub struct InvalidQueueSize(
    /// The number.
    pub u16,
);

impl QueueSize {
    /// Checks a size.
    ///
    /// # Errors
    /// [`InvalidQueueSize`] for anything but 1, 2, 4 .. 32768.
    pub const fn new(size: u16) -> Result<Self, InvalidQueueSize> {
        if size.is_power_of_two() && size <= MAX_QUEUE_SIZE {
            Ok(Self(size))
        } else {
            Err(InvalidQueueSize(size))
        }
    }

    /// The largest usable size within what the device offers and `wish`; `None` when the
    /// device has no such queue (it says 0) or the wish is 0. A device may offer a number that
    /// is no power of two or is beyond the limit: the next lower size is taken.
    pub fn within(device_max: u16, wish: u16) -> Option<Self> {
        let limit = device_max.min(wish).min(MAX_QUEUE_SIZE);
        limit.checked_ilog2().map(|exponent| Self(1 << exponent))
    }

    /// The number of descriptors.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Where index `idx`, which runs freely, lies in a ring of this size.
    #[inline]
    pub(super) const fn position(self, idx: u16) -> usize {
        (idx & (self.0 - 1)) as usize
    }
}

/// What was agreed on that shapes a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingFeatures {
    /// `VIRTIO_F_RING_PACKED`: one ring of descriptors instead of a table and two rings.
    pub packed: bool,
    /// `VIRTIO_F_EVENT_IDX`: each side says at which buffer it wants to be told.
    pub event_idx: bool,
    /// `VIRTIO_F_IN_ORDER`: buffers are used in the order they were made available.
    pub in_order: bool,
}

/// Byte offsets of the three parts of a ring in one block of memory (§ *Virtqueues*).
///
/// Each part lies on cache lines of its own: driver and device write different parts. The block
/// starts on a cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingLayout {
    /// Descriptor area: the table, or the packed ring.
    pub desc: usize,
    /// Driver area: the available ring, or the driver's event suppression.
    pub driver: usize,
    /// Device area: the used ring, or the device's event suppression.
    pub device: usize,
    /// Bytes in all.
    pub len: usize,
}

const CACHE_LINE: usize = 64;
/// Where in its first cache line the used ring starts: behind flags and idx, so that each entry
/// lies on a multiple of its size and none crosses a page. The specification asks for an
/// alignment of 4 only, but behind an IOMMU, QEMU (10.0) translates the first byte of an entry and
/// writes the rest behind it in the guest's memory, wherever that is: into somebody else's page.
/// `DmaTable` counts on it too.
const USED_OFFSET: usize = used::ENTRY_SIZE - used::RING;

impl RingLayout {
    /// The layout for `size` descriptors in the format agreed on.
    pub const fn new(size: QueueSize, features: RingFeatures) -> Self {
        if features.packed {
            Self::packed(size)
        } else {
            Self::split(size)
        }
    }

    pub(super) const fn split(size: QueueSize) -> Self {
        let n = size.0 as usize;
        let driver = (n * desc::SIZE).next_multiple_of(CACHE_LINE);
        let device = (driver + Self::avail_len(size)).next_multiple_of(CACHE_LINE) + USED_OFFSET;
        let len = (device + Self::used_len(size)).next_multiple_of(CACHE_LINE);
        Self {
            desc: 0,
            driver,
            device,
            len,
        }
    }

    pub(super) const fn packed(size: QueueSize) -> Self {
        let driver = (size.0 as usize * packed::desc::SIZE).next_multiple_of(CACHE_LINE);
        Self {
            desc: 0,
            driver,
            device: driver + CACHE_LINE,
            len: driver + 2 * CACHE_LINE,
        }
    }

    /// Bytes of the available ring with its event word.
    pub const fn avail_len(size: QueueSize) -> usize {
        avail::RING + avail::ENTRY_SIZE * size.0 as usize + 2
    }

    /// Bytes of the used ring with its event word.
    pub const fn used_len(size: QueueSize) -> usize {
        used::RING + used::ENTRY_SIZE * size.0 as usize + 2
    }
}

const _: () = assert!(CACHE_LINE.is_multiple_of(desc::ALIGN));
const _: () =
    assert!(CACHE_LINE.is_multiple_of(avail::ALIGN) && CACHE_LINE.is_multiple_of(used::ALIGN));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_up_to_32768_are_sizes() {
        let good = (0..=u16::MAX)
            .filter(|&n| QueueSize::new(n).is_ok())
            .count();
        assert_eq!(good, 16);
        assert_eq!(QueueSize::new(0), Err(InvalidQueueSize(0)));
    }

    #[test]
    fn a_size_within_limits_is_the_largest_possible() {
        for max in 0..=u16::MAX {
            for wish in [0, 1, 7, 8, 256, 32768, u16::MAX] {
                let limit = max.min(wish).min(32768);
                match QueueSize::within(max, wish) {
                    None => assert_eq!(limit, 0),
                    Some(QueueSize(n)) => {
                        assert!(n <= limit && u32::from(n) * 2 > u32::from(limit))
                    }
                }
            }
        }
    }

    #[test]
    fn parts_do_not_overlap_and_are_aligned() {
        for exponent in 0..=15 {
            let size = QueueSize::new(1 << exponent).unwrap();
            let n = usize::from(size.get());
            let layout = RingLayout::split(size);
            assert!(layout.driver >= n * 16);
            assert!(layout.device >= layout.driver + 6 + 2 * n);
            assert!(layout.len >= layout.device + 6 + 8 * n);
            assert_eq!((layout.driver % 64, layout.device % 4), (0, 0));
            assert_eq!((layout.device + used::RING) % used::ENTRY_SIZE, 0);
            assert!((layout.driver + 6 + 2 * n).div_ceil(64) <= layout.device / 64);

            let layout = RingLayout::packed(size);
            assert!(layout.driver >= n * 16);
            assert_eq!((layout.driver % 64, layout.device % 64), (0, 0));
            assert!(layout.device > layout.driver && layout.len > layout.device);
        }
    }

    #[test]
    fn no_field_crosses_a_page_wherever_the_block_lies() {
        let size = QueueSize::new(1024).unwrap();
        let layout = RingLayout::split(size);
        let crosses = |at: usize, len: usize| at / 4096 != (at + len - 1) / 4096;
        for base in (0..4096).step_by(CACHE_LINE) {
            for n in 0..1024 {
                let entry = base + layout.device + used::RING + n * used::ENTRY_SIZE;
                assert!(
                    !crosses(entry, used::ENTRY_SIZE),
                    "used entry {n} at {base}"
                );
                assert!(!crosses(base + layout.desc + n * desc::SIZE, desc::SIZE));
                assert!(!crosses(base + layout.driver + avail::RING + n * 2, 2));
            }
        }
    }
}
