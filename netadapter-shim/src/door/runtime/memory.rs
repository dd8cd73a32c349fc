//! Heap and pool: both are the C library's allocator, whose blocks are
//! aligned to 16 bytes as those of Windows are.

#![allow(unsafe_code)] // hands out raw memory
#![allow(non_snake_case)] // C's names

use std::ffi::c_void;
use std::ptr::null_mut;

use super::last_error;
use crate::door::table::{Functions, entries};

pub(crate) const FUNCTIONS: Functions = entries![
    GetProcessHeap,
    HeapAlloc,
    HeapFree,
    ExAllocatePool2,
    ExFreePoolWithTag,
];

const HEAP_ZERO_MEMORY: u32 = 8;
const POOL_FLAG_UNINITIALIZED: u64 = 2;
/// There is one heap; its handle is never followed.
const HEAP: usize = 0x4f00_0000_0000_0010;

extern "C" fn GetProcessHeap() -> usize {
    HEAP
}

/// NULL if there is no room. Zero bytes are a block of their own, as on
/// Windows.
fn allocate(bytes: usize, zeroed: bool) -> *mut c_void {
    match zeroed {
        // SAFETY: any size may be asked for.
        true => unsafe { libc::calloc(1, bytes.max(1)) },
        // SAFETY: as above.
        false => unsafe { libc::malloc(bytes.max(1)) },
    }
}

extern "C" fn HeapAlloc(_heap: usize, flags: u32, bytes: usize) -> *mut c_void {
    allocate(bytes, flags & HEAP_ZERO_MEMORY != 0)
}

unsafe extern "C" fn HeapFree(_heap: usize, _flags: u32, memory: *mut c_void) -> i32 {
    // SAFETY: the client passes what HeapAlloc gave it, or NULL.
    unsafe { libc::free(memory) };
    1
}

extern "C" fn ExAllocatePool2(flags: u64, bytes: usize, _tag: u32) -> *mut c_void {
    if bytes == 0 {
        last_error::set(last_error::INVALID_PARAMETER);
        return null_mut();
    }
    allocate(bytes, flags & POOL_FLAG_UNINITIALIZED == 0)
}

unsafe extern "C" fn ExFreePoolWithTag(memory: *mut c_void, _tag: u32) {
    // SAFETY: the client passes what ExAllocatePool2 gave it.
    unsafe { libc::free(memory) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_zero(memory: *const c_void, bytes: usize) -> bool {
        // SAFETY: the caller allocated that many bytes, all initialised.
        let all = unsafe { std::slice::from_raw_parts(memory.cast::<u8>(), bytes) };
        all.iter().all(|byte| *byte == 0)
    }

    #[test]
    fn heap_memory_is_zeroed_on_demand() {
        let memory = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, 100);
        assert!(is_zero(memory, 100));
        assert_eq!(memory.addr() % 16, 0);
        // SAFETY: allocated above.
        assert_eq!(unsafe { HeapFree(HEAP, 0, memory) }, 1);
        let plain = HeapAlloc(HEAP, 0, 0);
        assert!(!plain.is_null());
        // SAFETY: allocated above.
        unsafe { HeapFree(HEAP, 0, plain) };
        assert!(HeapAlloc(HEAP, 0, isize::MAX as usize).is_null());
    }

    #[test]
    fn pool_memory_is_zeroed_unless_told_otherwise() {
        let memory = ExAllocatePool2(0x40, 64, 0x31313131);
        assert!(is_zero(memory, 64));
        // SAFETY: allocated above.
        unsafe { ExFreePoolWithTag(memory, 0x31313131) };
        assert!(ExAllocatePool2(0x40, 0, 0).is_null());
        let raw = ExAllocatePool2(0x42, 64, 0);
        assert!(!raw.is_null());
        // SAFETY: allocated above.
        unsafe { ExFreePoolWithTag(raw, 0) };
    }
}
