//! Reading what a client points to: once, into a copy.

#![allow(unsafe_code)] // follows the client's pointers

mod argument;
mod callback;
mod plain;
mod shared;

use super::types::UnicodeString;
use crate::abi::NtStatus;

pub(crate) use argument::{AnyBits, In, Out, Pointer, Sized16};
pub(crate) use callback::Callback;
pub(crate) use shared::{Atomics, Shared};

/// A structure of the C interface that begins with `ULONG Size`.
///
/// # Safety
/// `repr(C)`, with a `u32` size first, and every bit pattern is a value.
pub(crate) unsafe trait Sized32: Copy {}

/// Why a structure was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadStruct {
    /// A pointer that must be given was NULL.
    #[error("the structure is NULL")]
    Null,
    /// Another size than that of the structure.
    #[error("Size is {found}, expected {expected}; use the structure's _INIT")]
    Size {
        /// What the client filled in.
        found: u32,
        /// What the structure has.
        expected: usize,
    },
}

impl BadStruct {
    /// What WDF answers to it.
    pub(crate) fn status(self) -> NtStatus {
        match self {
            Self::Null => NtStatus::INVALID_PARAMETER,
            Self::Size { .. } => NtStatus::INFO_LENGTH_MISMATCH,
        }
    }
}

/// The `Size` a client filled in.
///
/// # Safety
/// `pointer` is NULL or points to at least four readable bytes.
///
/// # Errors
/// [`BadStruct::Null`].
unsafe fn size_of_foreign<T: Sized32>(pointer: *const T) -> Result<u32, BadStruct> {
    if pointer.is_null() {
        return Err(BadStruct::Null);
    }
    // SAFETY: not NULL, so that the caller vouches for four bytes; a client
    // may have aligned them as it liked.
    Ok(unsafe { pointer.cast::<u32>().read_unaligned() })
}

/// Copies a structure whose `Size` must be that of `T`.
///
/// # Safety
/// `pointer` is NULL or points to as many readable bytes as its `Size` says,
/// and to four at least.
///
/// # Errors
/// See [`BadStruct`].
unsafe fn read_sized<T: Sized32>(pointer: *const T) -> Result<T, BadStruct> {
    // SAFETY: passed on from the caller.
    let found = unsafe { size_of_foreign(pointer) }?;
    let expected = size_of::<T>();
    if found as usize != expected {
        return Err(BadStruct::Size { found, expected });
    }
    // SAFETY: the caller vouches for as many bytes as `Size` says.
    Ok(unsafe { pointer.read_unaligned() })
}

/// Stores a result where C wants it; NULL means that it does not.
///
/// # Safety
/// `pointer` is NULL or points to a writable `T`.
unsafe fn store<T>(pointer: *mut T, value: T) {
    if !pointer.is_null() {
        // SAFETY: the caller vouches for the room.
        unsafe { pointer.write_unaligned(value) }
    }
}

/// Copies the text of a `UNICODE_STRING`; NULL or an odd length gives `None`.
///
/// # Safety
/// `pointer` is NULL or points to a `UNICODE_STRING` whose buffer holds
/// `Length` readable bytes.
unsafe fn unicode_string(pointer: *const UnicodeString) -> Option<Vec<u16>> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL, so that the caller vouches for the structure.
    let string = unsafe { pointer.read_unaligned() };
    let units = usize::from(string.length / 2);
    if !string.length.is_multiple_of(2) || string.length > string.maximum_length {
        return None;
    }
    if units == 0 {
        return Some(Vec::new());
    }
    if string.buffer.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for `Length` bytes of text.
    Some(unsafe { copy_units(string.buffer, units) })
}

/// Copies a NUL-terminated UTF-16 string of at most 32767 units; `None` for
/// NULL or a longer one.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string.
unsafe fn wide_string(pointer: *const u16) -> Option<Vec<u16>> {
    if pointer.is_null() {
        return None;
    }
    let mut units = Vec::new();
    for index in 0..32768 {
        // SAFETY: no NUL was met before this unit.
        let unit = unsafe { pointer.add(index) };
        // SAFETY: as above, so that the unit is part of the string.
        match unsafe { unit.read_unaligned() } {
            0 => return Some(units),
            unit => units.push(unit),
        }
    }
    None
}

/// # Safety
/// `pointer` points to that many units.
unsafe fn copy_units(pointer: *const u16, units: usize) -> Vec<u16> {
    let mut copy = vec![0u16; units];
    // SAFETY: both sides have the room, and the copy is ours.
    unsafe {
        std::ptr::copy_nonoverlapping(
            pointer.cast::<u8>(),
            copy.as_mut_ptr().cast::<u8>(),
            units * 2,
        );
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::{null, null_mut};

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Sample {
        size: u32,
        value: u32,
    }
    // SAFETY: two integers in C's order.
    unsafe impl Sized32 for Sample {}

    #[test]
    fn a_structure_is_copied_only_if_its_size_is_right() {
        let good = Sample { size: 8, value: 3 };
        // SAFETY: a live structure.
        assert_eq!(unsafe { read_sized(&raw const good) }, Ok(good));
        let bad = Sample { size: 9, value: 3 };
        // SAFETY: a live structure.
        let error = unsafe { read_sized(&raw const bad) }.unwrap_err();
        assert_eq!(error.status(), NtStatus::INFO_LENGTH_MISMATCH);
        assert!(error.to_string().contains("9, expected 8"), "{error}");
        // SAFETY: NULL is allowed.
        let none = unsafe { read_sized::<Sample>(null()) };
        assert_eq!(none.unwrap_err().status(), NtStatus::INVALID_PARAMETER);
    }

    #[test]
    fn nothing_is_stored_through_null() {
        let mut place = 1u32;
        // SAFETY: a live integer.
        unsafe { store(&raw mut place, 2) };
        assert_eq!(place, 2);
        // SAFETY: NULL is allowed.
        unsafe { store(null_mut(), 3u32) };
    }

    #[test]
    fn strings_are_copied_as_far_as_they_say() {
        let mut text: Vec<u16> = "hello\0".encode_utf16().collect();
        let mut string = UnicodeString {
            length: 8,
            maximum_length: 12,
            buffer: text.as_mut_ptr(),
        };
        // SAFETY: the buffer outlives the calls.
        let read = |string: &UnicodeString| unsafe { unicode_string(string) };
        assert_eq!(read(&string).as_deref(), Some(&text[..4]));
        string.length = 7;
        assert_eq!(read(&string), None, "half a unit");
        (string.length, string.buffer) = (0, null_mut());
        assert_eq!(read(&string), Some(Vec::new()));
        string.length = 2;
        assert_eq!(read(&string), None, "no buffer");
        // SAFETY: NUL-terminated.
        let wide = unsafe { wide_string(text.as_ptr()) };
        assert_eq!(wide.as_deref(), Some(&text[..5]));
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { wide_string(null()) }, None);
    }
}
