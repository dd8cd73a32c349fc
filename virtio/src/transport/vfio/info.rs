//! What the kernel says of regions and I/O address spaces, decoded.
//!
//! Answers that carry capabilities grow: a fixed structure, then a chain of capabilities, each
//! naming the offset of the next.

use std::mem::{offset_of, size_of};
use std::ops::{Range, RangeInclusive};

use vfio_bindings::bindings::vfio::*;

pub(super) const REGION_INFO_LEN: usize = size_of::<vfio_region_info>();
pub(super) const REGION_INFO_INDEX: usize = offset_of!(vfio_region_info, index);
pub(super) const IOMMU_INFO_LEN: usize = size_of::<vfio_iommu_type1_info>();

/// More than any answer of the kernel needs; a longer one is cut.
const MAX_ANSWER: usize = 64 * 1024;
/// More capabilities than the kernel knows for any answer.
const MAX_CAPS: usize = 32;
/// `argsz`, the first word of every structure.
const ARGSZ: usize = 0;

/// Room for an answer, in words so that it is aligned for every structure.
pub(super) struct Grown {
    words: Vec<u64>,
}

impl Grown {
    pub(super) fn new(len: usize) -> Self {
        Self {
            words: vec![0; len.div_ceil(size_of::<u64>())],
        }
    }

    /// Clears the answer and sets `argsz` and `fields`.
    pub(super) fn prepare(&mut self, fields: &[(usize, u32)]) {
        self.words.fill(0);
        let argsz = size_of_val(self.words.as_slice()) as u32;
        for &(offset, value) in fields.iter().chain(&[(ARGSZ, argsz)]) {
            self.put_u32(offset, value);
        }
    }

    /// Makes room for as much as the kernel said it has; whether there was more.
    pub(super) fn grow(&mut self) -> bool {
        let said = u32_at(&self.bytes(), ARGSZ).unwrap_or(0) as usize;
        let wanted = said.min(MAX_ANSWER).div_ceil(size_of::<u64>());
        let grew = wanted > self.words.len();
        if grew {
            self.words.resize(wanted, 0);
        }
        grew
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u64 {
        self.words.as_mut_ptr()
    }

    fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|w| w.to_ne_bytes()).collect()
    }

    fn put_u32(&mut self, offset: usize, value: u32) {
        let mut bytes = self.words[offset / 8].to_ne_bytes();
        bytes[offset % 8..offset % 8 + 4].copy_from_slice(&value.to_ne_bytes());
        self.words[offset / 8] = u64::from_ne_bytes(bytes);
    }
}

/// One region of a device: a BAR or the configuration space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RegionInfo {
    /// Bytes; 0 when there is no such region.
    pub(super) size: u64,
    /// Where it begins in the device's file.
    pub(super) offset: u64,
    /// The parts that may be mapped.
    pub(super) mappable: Vec<Range<u64>>,
}

impl RegionInfo {
    pub(super) fn decode(answer: &Grown) -> Self {
        let bytes = answer.bytes();
        let flags = field_u32(&bytes, offset_of!(vfio_region_info, flags));
        let cap_offset = field_u32(&bytes, offset_of!(vfio_region_info, cap_offset));
        let size = field_u64(&bytes, offset_of!(vfio_region_info, size));
        let first = (flags & VFIO_REGION_INFO_FLAG_CAPS != 0).then_some(cap_offset);
        let sparse = find_cap(&bytes, first, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
        let mappable = match sparse {
            _ if flags & VFIO_REGION_INFO_FLAG_MMAP == 0 => Vec::new(),
            Some(cap) => sparse_areas(cap),
            None => std::iter::once(0..size).collect(),
        };
        Self {
            size,
            offset: field_u64(&bytes, offset_of!(vfio_region_info, offset)),
            mappable,
        }
    }
}

fn sparse_areas(cap: &[u8]) -> Vec<Range<u64>> {
    let count = field_u32(cap, offset_of!(vfio_region_info_cap_sparse_mmap, nr_areas));
    let areas = cap.get(size_of::<vfio_region_info_cap_sparse_mmap>()..);
    pairs(areas.unwrap_or_default(), count)
        .filter_map(|(offset, size)| Some(offset..offset.checked_add(size)?))
        .collect()
}

/// The I/O address space of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IommuInfo {
    /// The smallest page that can be mapped.
    pub(super) page_size: u64,
    /// Addresses that can be mapped; `None` when the kernel does not say (before Linux 5.4).
    pub(super) ranges: Option<Vec<RangeInclusive<u64>>>,
}

impl IommuInfo {
    pub(super) fn decode(answer: &Grown) -> Self {
        let bytes = answer.bytes();
        let flags = field_u32(&bytes, offset_of!(vfio_iommu_type1_info, flags));
        let page_sizes = field_u64(&bytes, offset_of!(vfio_iommu_type1_info, iova_pgsizes));
        let cap_offset = field_u32(&bytes, offset_of!(vfio_iommu_type1_info, cap_offset));
        let known = flags & VFIO_IOMMU_INFO_PGSIZES != 0 && page_sizes != 0;
        let first = (flags & VFIO_IOMMU_INFO_CAPS != 0).then_some(cap_offset);
        Self {
            page_size: if known {
                page_sizes & page_sizes.wrapping_neg()
            } else {
                4096
            },
            ranges: find_cap(&bytes, first, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE).map(ranges),
        }
    }
}

fn ranges(cap: &[u8]) -> Vec<RangeInclusive<u64>> {
    let count = field_u32(
        cap,
        offset_of!(vfio_iommu_type1_info_cap_iova_range, nr_iovas),
    );
    let body = cap.get(size_of::<vfio_iommu_type1_info_cap_iova_range>()..);
    pairs(body.unwrap_or_default(), count)
        .filter(|(start, end)| start <= end)
        .map(|(start, end)| start..=end)
        .collect()
}

/// The capability `id` from its header to the end of the answer.
fn find_cap(bytes: &[u8], first: Option<u32>, id: u32) -> Option<&[u8]> {
    let mut offset = first? as usize;
    for _ in 0..MAX_CAPS {
        let cap = bytes.get(offset..).filter(|_| offset != 0)?;
        let here = u16_at(cap, offset_of!(vfio_info_cap_header, id))?;
        if u32::from(here) == id {
            return Some(cap);
        }
        offset = u32_at(cap, offset_of!(vfio_info_cap_header, next))? as usize;
    }
    None
}

/// Up to `count` pairs of 64-bit words, as many as there are bytes for.
fn pairs(bytes: &[u8], count: u32) -> impl Iterator<Item = (u64, u64)> + '_ {
    bytes
        .chunks_exact(16)
        .take(count as usize)
        .map(|pair| (field_u64(pair, 0), field_u64(pair, 8)))
}

fn field_u32(bytes: &[u8], offset: usize) -> u32 {
    u32_at(bytes, offset).unwrap_or(0)
}

fn field_u64(bytes: &[u8], offset: usize) -> u64 {
    array_at(bytes, offset).map_or(0, u64::from_ne_bytes)
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_ne_bytes)
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MMAP: u32 = VFIO_REGION_INFO_FLAG_MMAP;
    const CAPS: u32 = VFIO_REGION_INFO_FLAG_CAPS;

    fn answer(words: &[u64]) -> Grown {
        Grown {
            words: words.to_vec(),
        }
    }

    fn word(low: u32, high: u32) -> u64 {
        let [a, b] = [low, high].map(u32::to_ne_bytes);
        u64::from_ne_bytes([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]])
    }

    /// argsz, flags, index, cap_offset, size, offset.
    fn region(flags: u32, cap_offset: u32, size: u64, caps: &[u64]) -> RegionInfo {
        let mut words = vec![word(0, flags), word(4, cap_offset), size, 0x4000];
        words.extend(caps);
        RegionInfo::decode(&answer(&words))
    }

    fn header(id: u32, next: u32) -> u64 {
        word(id, next)
    }

    #[test]
    fn a_region_without_capabilities_is_mappable_as_a_whole_or_not_at_all() {
        assert_eq!(region(MMAP, 0, 0x1000, &[]).mappable, vec![0..0x1000]);
        assert!(region(0, 0, 0x1000, &[]).mappable.is_empty());
        assert_eq!(region(MMAP, 0, 0x1000, &[]).offset, 0x4000);
    }

    #[test]
    fn only_sparse_areas_are_mappable() {
        let caps = [
            header(VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 40),
            header(VFIO_REGION_INFO_CAP_SPARSE_MMAP, 0),
            word(2, 0),
            0,
            0x1000,
            0x3000,
            0x2000,
        ];
        let info = region(MMAP | CAPS, 32, 0x8000, &caps);
        assert_eq!(info.mappable, vec![0..0x1000, 0x3000..0x5000]);
    }

    #[test]
    fn a_capability_chain_that_loops_or_leaves_the_answer_ends() {
        let looping = [header(99, 32)];
        assert_eq!(region(MMAP | CAPS, 32, 8, &looping).mappable, vec![0..8]);
        let outside = [header(99, 4000)];
        assert_eq!(region(MMAP | CAPS, 32, 8, &outside).mappable, vec![0..8]);
        assert_eq!(region(MMAP | CAPS, u32::MAX, 8, &[]).mappable, vec![0..8]);
    }

    #[test]
    fn a_sparse_capability_that_claims_more_areas_than_bytes_gives_those_there_are() {
        let caps = [
            header(VFIO_REGION_INFO_CAP_SPARSE_MMAP, 0),
            word(u32::MAX, 0),
            0x1000,
            0x1000,
        ];
        let info = region(MMAP | CAPS, 32, 0x8000, &caps);
        assert_eq!(info.mappable, vec![0x1000..0x2000]);
    }

    #[test]
    fn a_sparse_area_past_the_end_of_all_addresses_is_left_out() {
        let caps = [
            header(VFIO_REGION_INFO_CAP_SPARSE_MMAP, 0),
            word(1, 0),
            u64::MAX,
            2,
        ];
        assert!(region(MMAP | CAPS, 32, 8, &caps).mappable.is_empty());
    }

    fn iommu(flags: u32, page_sizes: u64, caps: &[u64]) -> IommuInfo {
        let mut words = vec![word(0, flags), page_sizes, word(24, 0)];
        words.extend(caps);
        IommuInfo::decode(&answer(&words))
    }

    #[test]
    fn address_ranges_are_listed_with_their_hole_and_without_empty_ones() {
        let caps = [
            header(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0),
            word(3, 0),
            0,
            0xfedf_ffff,
            0xfef0_0000,
            0x7f_ffff_ffff,
            2,
            1,
        ];
        let flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
        let info = iommu(flags, 0x4020_1000, &caps);
        assert_eq!(info.page_size, 4096);
        let expected = vec![0..=0xfedf_ffff, 0xfef0_0000..=0x7f_ffff_ffff];
        assert_eq!(info.ranges, Some(expected));
    }

    #[test]
    fn a_kernel_without_capabilities_names_no_ranges() {
        let info = iommu(0, 0, &[]);
        assert_eq!((info.page_size, info.ranges), (4096, None));
    }

    #[test]
    fn an_answer_grows_once_to_what_the_kernel_needs_and_no_further_than_the_limit() {
        let mut answer = Grown::new(REGION_INFO_LEN);
        answer.prepare(&[(REGION_INFO_INDEX, 7)]);
        assert!(!answer.grow());
        assert_eq!(u32_at(&answer.bytes(), REGION_INFO_INDEX), Some(7));
        answer.put_u32(ARGSZ, 100);
        assert!(answer.grow());
        assert_eq!(answer.words.len(), 13);
        answer.put_u32(ARGSZ, u32::MAX);
        assert!(answer.grow());
        assert_eq!(answer.bytes().len(), MAX_ANSWER);
    }
}
