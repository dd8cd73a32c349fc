//! A block of memory shared with the device, and pieces of it.
//!
//! Only this module and the one beside it, `table`, turn the block's address into accesses.
#![allow(unsafe_code)] // the one place that knows the block's pointer and length together

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

use memmap2::{MmapOptions, MmapRaw};
use vm_memory::VolatileSlice;

use super::Iova;

/// Memory that the device will be given, before it has a device address.
///
/// It is a sealed memfd, so that another process (or a second mapping in this one) can be
/// handed the very same pages.
#[derive(Debug)]
pub struct DmaRegion {
    map: MmapRaw,
    file: File,
    #[cfg(loom)]
    words: crate::sync::Words,
}

/// An offset and length that do not lie inside a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes {offset}..+{len} are outside a DMA region of {region_len} bytes")]
pub struct OutOfRegion {
    /// First byte asked for.
    pub offset: usize,
    /// Bytes asked for.
    pub len: usize,
    /// Bytes there are.
    pub region_len: usize,
}

impl DmaRegion {
    /// Allocates `len` bytes, zeroed, rounded up to whole pages.
    ///
    /// # Errors
    /// What the kernel answers when memory or descriptors have run out.
    pub fn new(len: usize) -> io::Result<Self> {
        #[cfg(loom)]
        let words = crate::sync::Words::new(len);
        let len = len.max(1).next_multiple_of(page_size());
        let file = sealed_memfd(len)?;
        let map = MmapOptions::new().len(len).map_raw(&file)?;
        Ok(Self {
            map,
            file,
            #[cfg(loom)]
            words,
        })
    }

    /// Memory that another process has made, of `len` bytes.
    ///
    /// The file must not shrink while it is mapped: an access beyond its end would end the
    /// process. What [`DmaRegion::new`] makes cannot shrink.
    ///
    /// # Errors
    /// What the kernel answers when the file cannot be mapped.
    pub fn shared(file: File, len: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(len).map_raw(&file)?;
        Ok(Self {
            map,
            file,
            #[cfg(loom)]
            words: crate::sync::Words::new(len),
        })
    }

    /// Size in bytes, a multiple of the page size.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether the region holds no bytes; it never does.
    pub fn is_empty(&self) -> bool {
        self.map.len() == 0
    }

    /// The memfd behind the region.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where the region lies in this process, for the system call that maps it for a device.
    pub fn host_address(&self) -> u64 {
        self.map.as_mut_ptr() as u64
    }

    /// The whole region as a slice that the device knows by `iova`.
    pub fn at(self: &Arc<Self>, iova: Iova) -> DmaSlice {
        DmaSlice {
            region: Arc::clone(self),
            start: self.map.as_mut_ptr(),
            offset: 0,
            len: self.len(),
            iova,
        }
    }
}

/// A piece of a [`DmaRegion`] together with its device address.
///
/// Multi-byte values are little-endian, as virtio's are. Accessors panic when `offset` lies
/// outside the piece or is not aligned: offsets are the driver's own, never the device's.
#[derive(Clone, Debug)]
pub struct DmaSlice {
    region: Arc<DmaRegion>,
    /// The first byte, `offset` bytes into the mapping of `region`: known here, where every access
    /// begins, and not behind two pointers.
    start: *mut u8,
    offset: usize,
    len: usize,
    iova: Iova,
}

// SAFETY: the pointer is into a mapping that lives as long as the `Arc` beside it and that no
// thread owns: it is only reached by atomic and volatile accesses, as the device reaches it.
unsafe impl Send for DmaSlice {}
// SAFETY: the same; nothing in a `DmaSlice` changes.
unsafe impl Sync for DmaSlice {}

impl DmaSlice {
    /// The part `offset..offset + len`.
    ///
    /// # Errors
    /// [`OutOfRegion`] when that is not inside this piece.
    pub fn slice(&self, offset: usize, len: usize) -> Result<Self, OutOfRegion> {
        let outside = OutOfRegion {
            offset,
            len,
            region_len: self.len,
        };
        let end = offset.checked_add(len).ok_or(outside)?;
        let iova = self.iova.checked_add(offset as u64).ok_or(outside)?;
        if end > self.len {
            return Err(outside);
        }
        Ok(Self {
            region: Arc::clone(&self.region),
            start: self.start.wrapping_add(offset),
            offset: self.offset + offset,
            len,
            iova,
        })
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the piece holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first byte; what lies behind it is foreign, and ends after [`DmaSlice::len`] bytes.
    #[inline]
    pub(super) fn start(&self) -> *mut u8 {
        self.start
    }

    /// The region it is a piece of.
    pub fn region(&self) -> &DmaRegion {
        &self.region
    }

    /// The address the device knows the first byte by.
    pub fn iova(&self) -> Iova {
        self.iova
    }

    /// The piece as `vm-memory` sees foreign memory.
    #[inline]
    pub fn bytes(&self) -> VolatileSlice<'_> {
        // SAFETY: `slice` keeps start + len within the region, whose mapping lives as long
        // as the `Arc` this borrow holds; a VolatileSlice is made for memory that others
        // write, and nothing here ever forms a reference into the mapping.
        unsafe { VolatileSlice::new(self.start, self.len) }
    }

    /// The bytes `offset..offset + len` of the piece as `vm-memory` sees foreign memory.
    #[inline]
    pub fn range(&self, offset: usize, len: usize) -> VolatileSlice<'_> {
        match self.bytes().subslice(offset, len) {
            Ok(slice) => slice,
            Err(_) => outside(offset, self.len),
        }
    }

    /// Makes every byte zero.
    pub fn clear(&self) {
        const ZEROS: [u8; 4096] = [0; 4096];
        for offset in (0..self.len).step_by(ZEROS.len()) {
            let len = ZEROS.len().min(self.len - offset);
            self.range(offset, len).copy_from(&ZEROS[..len]);
        }
    }

    /// Loads a 16-bit value; `order` as for atomics.
    #[inline]
    pub fn load_u16(&self, offset: usize, order: Ordering) -> u16 {
        #[cfg(loom)]
        return self.load(offset, order);
        // SAFETY: `word` checked that the bytes lie aligned inside the piece, whose mapping
        // lives as long as the `Arc` it holds; others reach them only atomically or volatilely.
        #[cfg(not(loom))]
        u16::from_le(unsafe { AtomicU16::from_ptr(self.word(offset)) }.load(order))
    }

    /// Stores a 16-bit value; `order` as for atomics.
    #[inline]
    pub fn store_u16(&self, offset: usize, value: u16, order: Ordering) {
        #[cfg(loom)]
        return self.store(offset, value, order);
        // SAFETY: as in `load_u16`.
        #[cfg(not(loom))]
        unsafe { AtomicU16::from_ptr(self.word(offset)) }.store(value.to_le(), order);
    }

    /// Loads a 32-bit value.
    #[inline]
    pub fn load_u32(&self, offset: usize, order: Ordering) -> u32 {
        #[cfg(loom)]
        return self.load(offset, order);
        // SAFETY: `word` checked that the bytes lie aligned inside the piece, whose mapping
        // lives as long as the `Arc` it holds; others reach them only atomically or volatilely.
        #[cfg(not(loom))]
        u32::from_le(unsafe { AtomicU32::from_ptr(self.word(offset)) }.load(order))
    }

    /// Stores a 32-bit value.
    #[inline]
    pub fn store_u32(&self, offset: usize, value: u32, order: Ordering) {
        #[cfg(loom)]
        return self.store(offset, value, order);
        // SAFETY: as in `load_u32`.
        #[cfg(not(loom))]
        unsafe { AtomicU32::from_ptr(self.word(offset)) }.store(value.to_le(), order);
    }

    /// Loads a 64-bit value.
    #[inline]
    pub fn load_u64(&self, offset: usize, order: Ordering) -> u64 {
        #[cfg(loom)]
        return self.load(offset, order);
        // SAFETY: `word` checked that the bytes lie aligned inside the piece, whose mapping
        // lives as long as the `Arc` it holds; others reach them only atomically or volatilely.
        #[cfg(not(loom))]
        u64::from_le(unsafe { AtomicU64::from_ptr(self.word(offset)) }.load(order))
    }

    /// Stores a 64-bit value.
    #[inline]
    pub fn store_u64(&self, offset: usize, value: u64, order: Ordering) {
        #[cfg(loom)]
        return self.store(offset, value, order);
        // SAFETY: as in `load_u64`.
        #[cfg(not(loom))]
        unsafe { AtomicU64::from_ptr(self.word(offset)) }.store(value.to_le(), order);
    }

    /// Loads `N` 32-bit values that follow each other, each once and in no particular order.
    #[inline]
    pub fn load_u32s<const N: usize>(&self, offset: usize) -> [u32; N] {
        #[cfg(loom)]
        return std::array::from_fn(|i| self.load_u32(offset + 4 * i, Ordering::Relaxed));
        #[cfg(not(loom))]
        {
            let first: *mut u32 = self.words(offset, N);
            std::array::from_fn(|i| {
                // SAFETY: `words` checked that N aligned words lie inside the piece, whose mapping
                // lives as long as the `Arc` it holds; others reach them only atomically or volatilely.
                let word = unsafe { AtomicU32::from_ptr(first.wrapping_add(i)) };
                u32::from_le(word.load(Ordering::Relaxed))
            })
        }
    }

    /// Stores `N` 32-bit values that follow each other, in no particular order.
    #[inline]
    pub fn store_u32s<const N: usize>(&self, offset: usize, values: [u32; N]) {
        #[cfg(loom)]
        for (i, value) in values.into_iter().enumerate() {
            self.store_u32(offset + 4 * i, value, Ordering::Relaxed);
        }
        #[cfg(not(loom))]
        {
            let first: *mut u32 = self.words(offset, N);
            for (i, value) in values.into_iter().enumerate() {
                // SAFETY: as in `load_u32s`.
                let word = unsafe { AtomicU32::from_ptr(first.wrapping_add(i)) };
                word.store(value.to_le(), Ordering::Relaxed);
            }
        }
    }

    /// The word at `offset`, checked to lie aligned inside the piece.
    #[cfg(not(loom))]
    #[inline]
    fn word<T>(&self, offset: usize) -> *mut T {
        self.words(offset, 1)
    }

    /// The first of `count` words from `offset` on, checked to lie aligned inside the piece.
    #[cfg(not(loom))]
    #[inline]
    fn words<T>(&self, offset: usize, count: usize) -> *mut T {
        let end = offset.checked_add(count * size_of::<T>());
        let at: *mut T = self.start.wrapping_add(offset).cast();
        if end.is_none_or(|end| end > self.len) || !at.is_aligned() {
            outside(offset, self.len);
        }
        at
    }

    #[cfg(loom)]
    fn load<T: crate::sync::Word>(&self, offset: usize, order: Ordering) -> T {
        self.region.words.load(self.offset + offset, order)
    }

    #[cfg(loom)]
    fn store<T: crate::sync::Word>(&self, offset: usize, value: T, order: Ordering) {
        self.region.words.store(self.offset + offset, value, order);
    }
}

#[cold]
fn outside(offset: usize, len: usize) -> ! {
    panic!("offset {offset} is unaligned or outside a DMA slice of {len} bytes")
}

fn page_size() -> usize {
    // SAFETY: sysconf reads a constant of the running system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// A memfd of fixed length: sealed against shrinking, so that a mapping never faults.
fn sealed_memfd(len: usize) -> io::Result<File> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a NUL-terminated constant.
    let fd = unsafe { libc::memfd_create(c"umnet-dma".as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor and nobody else holds it.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(len as u64)?;
    // The last one: who is handed the file cannot keep others from mapping it either.
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: the descriptor is open for as long as `file` lives.
    if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seals) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(len: usize) -> DmaSlice {
        Arc::new(DmaRegion::new(len).unwrap()).at(Iova(0x1000))
    }

    #[test]
    fn whoever_gets_the_file_can_neither_resize_nor_seal_it() {
        let region = DmaRegion::new(4096).unwrap();
        let file = region.file().try_clone().unwrap();
        assert!(file.set_len(1).is_err() && file.set_len(1 << 20).is_err());
        let seals = rustix::fs::SealFlags::FUTURE_WRITE;
        assert!(rustix::fs::fcntl_add_seals(&file, seals).is_err());
    }

    #[test]
    fn words_are_little_endian_in_memory() {
        let slice = region(64);
        slice.store_u32(4, 0x0403_0201, Ordering::Relaxed);
        let mut bytes = [0u8; 4];
        slice.range(4, 4).copy_to(&mut bytes[..]);
        assert_eq!(bytes, [1, 2, 3, 4]);
        assert_eq!(slice.load_u16(6, Ordering::Relaxed), 0x0403);
    }

    #[test]
    fn a_piece_keeps_its_device_address() {
        let part = region(4096).slice(256, 64).unwrap().slice(16, 8).unwrap();
        assert_eq!(part.iova(), Iova(0x1000 + 272));
        assert_eq!(part.len(), 8);
    }

    #[test]
    fn pieces_outside_are_refused_even_where_the_sum_wraps() {
        let slice = region(4096);
        assert!(slice.slice(4000, 97).is_err());
        assert!(slice.slice(usize::MAX, 2).is_err());
        assert!(slice.slice(4096, 0).is_ok());
    }

    #[test]
    fn clearing_reaches_the_last_byte_and_none_beyond() {
        let slice = region(12288);
        slice.range(0, 12288).copy_from(&[7u8; 12288]);
        slice.slice(0, 8193).unwrap().clear();
        let mut bytes = [1u8; 12288];
        slice.range(0, 12288).copy_to(&mut bytes);
        assert!(bytes[..8193].iter().all(|&b| b == 0));
        assert!(bytes[8193..].iter().all(|&b| b == 7));
    }

    #[test]
    #[should_panic(expected = "outside a DMA slice")]
    fn a_word_across_the_end_panics() {
        let slice = region(4096).slice(0, 6).unwrap();
        slice.load_u32(4, Ordering::Relaxed);
    }

    #[test]
    fn a_second_mapping_sees_the_same_bytes() {
        let region = Arc::new(DmaRegion::new(4096).unwrap());
        let again = MmapOptions::new().map_raw(region.file()).unwrap();
        region.at(Iova(0)).store_u16(0, 0xabcd, Ordering::Relaxed);
        // SAFETY: the mapping is at least two bytes long and page-aligned.
        let seen = unsafe { again.as_ptr().cast::<u16>().read_volatile() };
        assert_eq!(seen, 0xabcd);
    }
}
