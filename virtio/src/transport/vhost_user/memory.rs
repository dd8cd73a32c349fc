//! Memory shared with the back end, and the addresses it knows it by.
//!
//! A back end translates addresses by the table it was sent; what they are is the front end's
//! choice. They have nothing to do with where the memory lies in this process, which a back end
//! has no business to learn.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use super::messages::MemoryRegion;
use crate::mem::{DmaRegion, Iova};
use crate::spec::vhost_user::MAX_REGIONS;

/// Addresses start beyond what a 32-bit mistake reaches.
const FIRST: u64 = 0x1_0000_0000;
/// Nothing is shared for this far behind a region, so that running over its end is seen.
const GUARD: u64 = 1 << 30;

/// What is to be shared.
#[derive(Debug)]
pub(super) struct SharedMemory {
    regions: Vec<(Iova, Arc<DmaRegion>)>,
    next: u64,
}

impl Default for SharedMemory {
    fn default() -> Self {
        Self {
            regions: Vec::new(),
            next: FIRST,
        }
    }
}

impl SharedMemory {
    /// Adds a region, at an address that no region had before.
    pub(super) fn add(&mut self, region: &Arc<DmaRegion>) -> io::Result<Iova> {
        let len = region.len() as u64;
        let next = self.next.checked_add(len).and_then(|end| {
            let aligned = end.checked_next_multiple_of(GUARD)?;
            aligned.checked_add(GUARD)
        });
        let Some(next) = next.filter(|_| self.regions.len() < MAX_REGIONS) else {
            return Err(io::Error::from(io::ErrorKind::OutOfMemory));
        };
        let iova = Iova(std::mem::replace(&mut self.next, next));
        self.regions.push((iova, Arc::clone(region)));
        Ok(iova)
    }

    /// Takes a region back, by where it begins.
    pub(super) fn remove(&mut self, iova: Iova) -> io::Result<()> {
        let at = self.regions.iter().position(|(start, _)| *start == iova);
        let at = at.ok_or(io::ErrorKind::NotFound)?;
        self.regions.remove(at);
        Ok(())
    }

    /// The table to send, and its descriptors in the same order.
    pub(super) fn table(&self) -> (Vec<MemoryRegion>, Vec<RawFd>) {
        let row = |(iova, region): &(Iova, Arc<DmaRegion>)| MemoryRegion {
            address: iova.0,
            len: region.len() as u64,
        };
        let rows = self.regions.iter().map(row).collect();
        let fds = self
            .regions
            .iter()
            .map(|(_, r)| r.file().as_raw_fd())
            .collect();
        (rows, fds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(len: usize) -> Arc<DmaRegion> {
        Arc::new(DmaRegion::new(len).unwrap())
    }

    #[test]
    fn regions_lie_apart_and_never_where_one_was_before() {
        let mut memory = SharedMemory::default();
        let first = memory.add(&region(5000)).unwrap();
        let second = memory.add(&region(1)).unwrap();
        assert!(second.0 >= first.0 + 8192 + GUARD);
        memory.remove(second).unwrap();
        assert!(memory.add(&region(1)).unwrap().0 > second.0);
        assert!(memory.remove(second).is_err(), "it is gone");
    }

    #[test]
    fn the_table_has_a_descriptor_for_each_row_and_an_end() {
        let mut memory = SharedMemory::default();
        for _ in 0..MAX_REGIONS {
            memory.add(&region(1)).unwrap();
        }
        let (rows, fds) = memory.table();
        assert_eq!((rows.len(), fds.len()), (MAX_REGIONS, MAX_REGIONS));
        assert!(rows.iter().all(|row| row.len == 4096));
        assert!(memory.add(&region(1)).is_err());
    }
}
