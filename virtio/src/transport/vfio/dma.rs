//! Device addresses: which are free, and what is mapped where.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::info::IommuInfo;
use super::sys::{self, Container};
use crate::mem::{DmaRegion, Iova};

/// Mappings begin at multiples of this, so that the IOMMU can use large pages.
const ALIGN: u64 = 2 << 20;
/// Addresses below are never given out: a device that uses 0 by mistake is to fault.
const FLOOR: u64 = ALIGN;
/// What is assumed of a kernel that does not list its ranges: 39 bits without the interrupt
/// window of x86.
const ASSUMED: [RangeInclusive<u64>; 2] = [0..=0xfedf_ffff, 0xfef0_0000..=0x7f_ffff_ffff];

/// The device addresses of one container.
struct IovaSpace {
    allowed: Vec<RangeInclusive<u64>>,
    /// Start and length of what is taken.
    taken: BTreeMap<u64, u64>,
}

impl IovaSpace {
    fn new(allowed: Vec<RangeInclusive<u64>>) -> Self {
        Self {
            allowed,
            taken: BTreeMap::new(),
        }
    }

    /// Takes `len` bytes at the lowest free address.
    fn take(&mut self, len: u64) -> Option<u64> {
        let start = self.allowed.iter().find_map(|range| self.fit(range, len))?;
        self.taken.insert(start, len);
        Some(start)
    }

    /// Takes `len` bytes at `start`, if they are free.
    fn claim(&mut self, start: u64, len: u64) -> bool {
        let Some(end) = start.checked_add(len) else {
            return false;
        };
        let overlaps = self.taken.range(..end).next_back();
        let free = overlaps.is_none_or(|(at, taken)| at + taken <= start);
        if free {
            self.taken.insert(start, len);
        }
        free
    }

    fn give_back(&mut self, start: u64) -> Option<u64> {
        self.taken.remove(&start)
    }

    /// The lowest aligned start within `range` that overlaps nothing taken.
    fn fit(&self, range: &RangeInclusive<u64>, len: u64) -> Option<u64> {
        let mut start = (*range.start())
            .max(FLOOR)
            .checked_next_multiple_of(ALIGN)?;
        loop {
            let last = start.checked_add(len.checked_sub(1)?)?;
            if last > *range.end() {
                return None;
            }
            // Taken pieces do not overlap, so the last one that begins before our end decides.
            let below = self.taken.range(..=last).next_back();
            match below.map(|(at, len)| at + len) {
                Some(end) if end > start => start = end.checked_next_multiple_of(ALIGN)?,
                _ => return Some(start),
            }
        }
    }
}

/// What the devices of a container can reach.
pub(super) struct DmaMappings {
    container: Container,
    space: IovaSpace,
    page_size: u64,
    /// Kept alive so that addresses given to the device always mean something.
    regions: BTreeMap<u64, Arc<DmaRegion>>,
}

impl DmaMappings {
    pub(super) fn new(container: Container, info: IommuInfo) -> Self {
        let allowed = info.ranges.unwrap_or_else(|| ASSUMED.to_vec());
        log::debug!(
            "device addresses: {allowed:#x?}, pages of {}",
            info.page_size
        );
        Self {
            container,
            space: IovaSpace::new(allowed),
            page_size: info.page_size,
            regions: BTreeMap::new(),
        }
    }

    /// Maps `region` at an address of our choice.
    pub(super) fn map(&mut self, region: &Arc<DmaRegion>) -> io::Result<Iova> {
        let len = region.len() as u64;
        if !len.is_multiple_of(self.page_size) {
            let text = format!(
                "{len} bytes are not whole IOMMU pages of {}",
                self.page_size
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let start = self.space.take(len).ok_or_else(|| {
            let text = format!("no {len} free bytes of device addresses");
            io::Error::new(io::ErrorKind::StorageFull, text)
        })?;
        if let Err(e) = self.container.map_dma(region, start) {
            self.space.give_back(start);
            return Err(explain(e, len, sys::locked_memory_limit()));
        }
        self.regions.insert(start, Arc::clone(region));
        Ok(Iova(start))
    }

    /// Notes what another process has mapped at `iova`.
    pub(super) fn know(&mut self, region: &Arc<DmaRegion>, iova: Iova) -> io::Result<()> {
        let len = region.len() as u64;
        if !self.space.claim(iova.0, len) {
            let text = format!("{len} bytes at {iova} cannot be mapped");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.regions.insert(iova.0, Arc::clone(region));
        Ok(())
    }

    /// The container, for another process.
    pub(super) fn container(&self) -> io::Result<OwnedFd> {
        self.container.try_clone()
    }

    /// Takes a mapping back; the address must be one that [`DmaMappings::map`] returned.
    pub(super) fn unmap(&mut self, iova: Iova) -> io::Result<()> {
        let Some(region) = self.regions.get(&iova.0) else {
            let text = format!("nothing is mapped at {iova}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        self.container.unmap_dma(iova.0, region.len() as u64)?;
        self.regions.remove(&iova.0);
        self.space.give_back(iova.0);
        Ok(())
    }

    /// Takes all mappings back; the first failure, if any.
    pub(super) fn unmap_all(&mut self) -> io::Result<()> {
        let mapped: Vec<u64> = self.regions.keys().copied().collect();
        let results = mapped.into_iter().map(|start| self.unmap(Iova(start)));
        results.fold(Ok(()), Result::and)
    }
}

/// Adds to a refusal for want of locked memory what can be done about it.
fn explain(e: io::Error, len: u64, limit: Option<u64>) -> io::Error {
    match limit {
        Some(limit) if e.raw_os_error() == Some(libc::ENOMEM) => io::Error::new(
            io::ErrorKind::OutOfMemory,
            format!(
                "this process may lock {} KiB of memory and {} KiB more are needed; type: \
                 ulimit -l unlimited (under systemd: LimitMEMLOCK=infinity), or run as root",
                limit / 1024,
                len / 1024
            ),
        ),
        _ => e,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn addresses_are_aligned_and_never_zero() {
        let mut space = IovaSpace::new([0..=u64::MAX].into());
        assert_eq!(space.take(4096), Some(2 * MIB));
        assert_eq!(space.take(3 * MIB), Some(4 * MIB));
        assert_eq!(space.take(1), Some(8 * MIB));
    }

    #[test]
    fn the_hole_is_avoided() {
        let mut space = IovaSpace::new(ASSUMED.to_vec());
        let first = space.take(0xfeb0_0000 - FLOOR).unwrap();
        assert_eq!(first, FLOOR);
        // What is left below the hole is 3 MiB from an aligned start.
        assert_eq!(space.take(4 * MIB), Some(0xff00_0000));
        assert_eq!(space.take(2 * MIB), Some(0xfec0_0000));
    }

    #[test]
    fn the_end_of_a_range_is_inclusive_and_not_passed() {
        let mut space = IovaSpace::new([0..=4 * MIB - 1].into());
        assert_eq!(space.take(2 * MIB + 1), None);
        assert_eq!(space.take(2 * MIB), Some(2 * MIB));
        assert_eq!(space.take(1), None);
        let mut top = IovaSpace::new([u64::MAX - 4 * MIB..=u64::MAX].into());
        assert_eq!(top.take(u64::MAX), None);
        assert_eq!(top.take(2 * MIB), Some(u64::MAX - 4 * MIB + 1));
    }

    #[test]
    fn what_is_given_back_is_found_again() {
        let mut space = IovaSpace::new(ASSUMED.to_vec());
        let taken: Vec<u64> = (0..4).map(|_| space.take(2 * MIB).unwrap()).collect();
        assert_eq!(space.give_back(taken[1]), Some(2 * MIB));
        assert_eq!(space.take(4 * MIB), Some(10 * MIB));
        assert_eq!(space.take(MIB), Some(taken[1]));
        assert_eq!(space.give_back(123), None);
    }

    #[test]
    fn nothing_ever_overlaps() {
        let mut space = IovaSpace::new(ASSUMED.to_vec());
        let mut state = 7u64;
        for _ in 0..2000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let starts: Vec<u64> = space.taken.keys().copied().collect();
            if state >> 62 == 0 && !starts.is_empty() {
                space.give_back(starts[(state >> 8) as usize % starts.len()]);
            } else {
                space.take((state >> 40) % (8 * MIB) + 1);
            }
            let pieces: Vec<(u64, u64)> = space.taken.iter().map(|(a, l)| (*a, a + l)).collect();
            assert!(pieces.windows(2).all(|w| w[0].1 <= w[1].0), "{pieces:#x?}");
        }
    }

    #[test]
    fn what_is_claimed_is_not_given_out_again() {
        let mut space = IovaSpace::new(ASSUMED.to_vec());
        assert!(space.claim(FLOOR, 3 * MIB));
        assert!(!space.claim(FLOOR + MIB, MIB) && !space.claim(u64::MAX, 2));
        assert!(!space.claim(0, FLOOR + 1) && space.claim(0, FLOOR));
        assert_eq!(space.take(MIB), Some(FLOOR + 4 * MIB));
    }

    #[test]
    fn a_space_without_ranges_gives_nothing() {
        assert_eq!(IovaSpace::new(Vec::new()).take(4096), None);
        assert_eq!(IovaSpace::new(ASSUMED.to_vec()).take(0), None);
    }

    #[test]
    fn a_mapping_that_the_system_refuses_takes_no_address() {
        let region = Arc::new(DmaRegion::new(4096).unwrap());
        let not_vfio = region.file().try_clone().unwrap();
        let container = Container::new(not_vfio.into());
        let info = IommuInfo {
            page_size: 4096,
            ranges: None,
        };
        let mut mappings = DmaMappings::new(container, info);
        let refused = mappings.map(&region).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOTTY));
        assert!(mappings.space.taken.is_empty() && mappings.regions.is_empty());
    }

    #[test]
    fn a_region_that_is_not_whole_pages_of_the_iommu_is_refused() {
        let region = Arc::new(DmaRegion::new(4096).unwrap());
        let container = Container::new(region.file().try_clone().unwrap().into());
        let large_pages = IommuInfo {
            page_size: 2 * MIB,
            ranges: None,
        };
        let refused = DmaMappings::new(container, large_pages)
            .map(&region)
            .unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_lack_of_locked_memory_says_what_to_type() {
        let refused = || io::Error::from_raw_os_error(libc::ENOMEM);
        let text = explain(refused(), 8 * MIB, Some(64 * 1024)).to_string();
        assert!(
            text.contains("may lock 64 KiB") && text.contains("ulimit -l"),
            "{text}"
        );
        assert_eq!(
            explain(refused(), MIB, None).raw_os_error(),
            Some(libc::ENOMEM)
        );
    }
}
