//! How long the rings of a card are: as the device has them, and as far as memory goes.

use std::ops::RangeInclusive;

use virtio::init::Negotiated;
use virtio::queue::QueueSize;

use super::CardError;

/// Most memory of the slots of one queue, in bytes. A ring of the largest size takes half of it where
/// slots are no larger than a page; one whose slots hold 64 KiB each has 2048 of them at most.
const SLOT_MEMORY: usize = 256 << 20;
/// Most memory of all slots; each queue has the same share of it.
const ALL_SLOT_MEMORY: usize = 768 << 20;

/// What is asked of the rings of one purpose, one in each pair.
#[derive(Clone, Copy)]
pub(super) struct RingWish {
    pub(super) purpose: &'static str,
    /// Most descriptors.
    pub(super) most: u16,
    /// Bytes of memory that the slot of a descriptor takes.
    pub(super) slot: usize,
    pub(super) pairs: u16,
}

impl RingWish {
    /// Bytes that the slots of one ring may take.
    fn room(&self) -> usize {
        SLOT_MEMORY.min(ALL_SLOT_MEMORY / (2 * usize::from(self.pairs)))
    }

    /// As many of `possible` descriptors as there is memory for.
    fn affordable(&self, possible: QueueSize) -> QueueSize {
        let slots = u16::try_from(self.room() / self.slot).unwrap_or(u16::MAX);
        QueueSize::within(possible.get(), slots).unwrap_or(possible)
    }
}

/// The rings of one purpose, all of one size.
#[derive(Clone, Copy)]
pub(super) struct Rings {
    wish: RingWish,
    /// As long as the device has them, up to what was asked for.
    possible: QueueSize,
    pub(super) size: QueueSize,
}

impl Rings {
    pub(super) fn new(
        device: &mut Negotiated,
        queues: impl Iterator<Item = u16>,
        wish: RingWish,
    ) -> Result<Self, CardError> {
        let possible = common_size(device, queues, wish.purpose, wish.most)?;
        Ok(Self {
            wish,
            possible,
            size: wish.affordable(possible),
        })
    }

    /// For people, where there was no memory for all that the device would have had.
    pub(super) fn shortened(&self) -> Option<String> {
        let Self { wish, size, .. } = self;
        (*size < self.possible).then(|| {
            format!(
                "{} rings were asked for with {} descriptors and have {}: each has a slot of {} bytes, \
                 and those of a ring may take {} MiB (docs/umnet.toml tells what makes slots smaller)",
                wish.purpose,
                wish.most,
                size.get(),
                wish.slot,
                wish.room() >> 20,
            )
        })
    }
}

/// The size that queues of one purpose can all have, as large as possible up to `most`.
fn common_size(
    device: &mut Negotiated,
    queues: impl Iterator<Item = u16>,
    purpose: &'static str,
    most: u16,
) -> Result<QueueSize, CardError> {
    let mut largest = most;
    let mut size = None;
    for queue in queues {
        let own = queue_size(device, queue, purpose, 1..=largest)?;
        largest = own.get();
        size = Some(own);
    }
    Ok(size.unwrap_or_else(|| unreachable!("there is at least one pair")))
}

/// The size of a queue that must exist, the largest possible within `sizes`.
pub(super) fn queue_size(
    device: &mut Negotiated,
    index: u16,
    purpose: &'static str,
    sizes: RangeInclusive<u16>,
) -> Result<QueueSize, CardError> {
    let count = device.transport().read_queue_count()?;
    let max_size = if index < count {
        device.transport().read_max_queue_size(index)?
    } else {
        0
    };
    QueueSize::within(max_size, *sizes.end())
        .filter(|size| sizes.contains(&size.get()))
        .ok_or(CardError::NoQueue {
            index,
            purpose,
            count,
            max_size,
            least: *sizes.start(),
        })
}

#[cfg(test)]
mod tests {
    use virtio::spec::net::{MAX_LARGE_FRAME, MAX_PLAIN_FRAME};

    use super::*;
    use crate::card::frames::MERGEABLE_BUFFER;
    use crate::card::{CardConfig, MAX_QUEUE_PAIRS};
    use crate::slots::SlotShape;

    /// Rings of a device that would have them as long as is asked for.
    fn rings(most: u16, pairs: u16, frame: usize, head: usize) -> Rings {
        let slot = SlotShape::for_frames_of(frame, head, false).stride();
        let wish = RingWish {
            purpose: "transmit",
            most,
            slot,
            pairs,
        };
        let possible = QueueSize::new(most).unwrap();
        Rings {
            wish,
            possible,
            size: wish.affordable(possible),
        }
    }

    #[test]
    fn the_largest_ring_is_had_for_ordinary_frames_and_a_shorter_one_for_large() {
        for head in [12, 20] {
            let size = |frame| rings(32_768, 1, frame, head).size.get();
            assert_eq!(size(MERGEABLE_BUFFER - head), 32_768);
            assert_eq!(size(MAX_PLAIN_FRAME), 32_768);
            assert_eq!(size(MAX_LARGE_FRAME), 2048);
            // However many pairs there are, the default is not too long.
            let default = CardConfig::default().tx_ring;
            let all = rings(default, MAX_QUEUE_PAIRS, MAX_LARGE_FRAME, head);
            assert_eq!(all.size.get(), default);
        }
    }

    #[test]
    fn only_rings_that_memory_made_shorter_are_told_of() {
        assert_eq!(rings(32_768, 1, MAX_PLAIN_FRAME, 12).shortened(), None);
        assert_eq!(rings(2048, 1, MAX_LARGE_FRAME, 12).shortened(), None);
        let pairs = rings(2048, 8, MAX_LARGE_FRAME, 12);
        let words = pairs.shortened().expect("eight pairs share the memory");
        let told = "transmit rings were asked for with 2048 descriptors and have 512";
        assert!(words.starts_with(told), "{words}");
        assert!(words.contains("may take 48 MiB"), "{words}");
    }
}
