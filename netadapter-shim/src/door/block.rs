//! Memory that a client writes while it lives here: zeroed and 16-byte aligned.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::abi::NtStatus;

/// Bytes that a client gets at once: more than any has a use for. Memory that is not there would end
/// the process when it is first touched, and the allocator refuses far less than that.
const LARGEST: usize = 256 << 20;

/// Atomics, because the client writes while Rust holds a shared reference.
#[repr(align(16))]
#[derive(Default)]
struct Line {
    _words: [AtomicU64; 2],
}

/// A block of memory; clones are the same block. Shared ownership, because a
/// `Box` would claim to be the only access.
#[derive(Clone)]
pub(crate) struct Block(Arc<Vec<Line>>);

impl Block {
    /// At least that many bytes, and at least one line, so that every block
    /// has an address of its own.
    ///
    /// # Errors
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub(crate) fn zeroed(size: usize) -> Result<Self, NtStatus> {
        let lines = size.div_ceil(size_of::<Line>()).max(1);
        let mut block = Vec::new();
        if size > LARGEST || block.try_reserve_exact(lines).is_err() {
            log::error!("a client driver asks for {size} bytes at once, which are not there");
            return Err(NtStatus::INSUFFICIENT_RESOURCES);
        }
        block.resize_with(lines, Line::default);
        Ok(Self(Arc::new(block)))
    }

    /// Where it begins.
    pub(crate) fn address(&self) -> *mut c_void {
        self.0.as_ptr().cast_mut().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_apart() {
        let [first, second] = [0, 17].map(|size| Block::zeroed(size).unwrap());
        assert!(first.address() != second.address());
        assert_eq!((first.address().addr() | second.address().addr()) % 16, 0);
        assert_eq!(second.0.len(), 2);
        assert_eq!(first.clone().address(), first.address());
    }

    #[test]
    fn more_than_there_can_be_is_refused() {
        for size in [LARGEST + 1, 1 << 40, isize::MAX as usize, usize::MAX] {
            let refused = Block::zeroed(size).err();
            assert_eq!(refused, Some(NtStatus::INSUFFICIENT_RESOURCES), "{size}");
        }
    }
}
