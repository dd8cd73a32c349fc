//! Pointers among the arguments of a function that C calls.
//!
//! A function of the door is entered from C alone, through the client's table.
//! What its signature says about a pointer is what the interface's
//! documentation says to the client, and these types are how it says it: an
//! [`In`] is NULL or points to a `T` to read, an [`Out`] is NULL or points to
//! room for one, each for as long as the call. They borrow from the call, so
//! that none outlives it, and no code outside this module makes one from an
//! address; unit tests make them from references.

#![allow(unsafe_code)] // follows the client's pointers

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char};
use std::marker::PhantomData;

use super::{BadStruct, Sized32, read_sized, size_of_foreign, unicode_string, wide_string};
use crate::abi::NetExtensionQuery;
use crate::door::types::{UnicodeString, WdfContextTypeInfo, WdfObjectAttributes};

/// Whether C gave a pointer.
pub(crate) trait Pointer {
    /// It is NULL.
    fn is_null(&self) -> bool;
}

/// A pointer to what is to be read: a structure, a text, a number.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct In<'a, T>(*const T, PhantomData<&'a T>);

/// A pointer to room for a result.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Out<'a, T>(*mut T, PhantomData<&'a T>);

impl<T> Pointer for In<'_, T> {
    fn is_null(&self) -> bool {
        self.0.is_null()
    }
}

impl<T> Pointer for Out<'_, T> {
    fn is_null(&self) -> bool {
        self.0.is_null()
    }
}

impl<T> Pointer for *const T {
    fn is_null(&self) -> bool {
        (*self).is_null()
    }
}

impl<T> Pointer for *mut T {
    fn is_null(&self) -> bool {
        (*self).is_null()
    }
}

/// What may be read from a client whatever its bits are.
///
/// # Safety
/// Every bit pattern is a value.
pub(crate) unsafe trait AnyBits: Copy {}

/// A structure that begins with `USHORT Size`.
///
/// # Safety
/// It does.
pub(crate) unsafe trait Sized16 {}

impl<'a, T> In<'a, T> {
    /// C passed NULL.
    pub(crate) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// The pointer itself, for code that follows it under its own argument.
    pub(crate) fn pointer(self) -> *const T {
        self.0
    }

    /// NULL.
    #[cfg(test)]
    pub(crate) const NULL: Self = Self(std::ptr::null(), PhantomData);

    /// A unit test's.
    #[cfg(test)]
    pub(crate) fn of(value: &'a T) -> Self {
        Self(value, PhantomData)
    }
}

impl<T: Sized32> In<'_, T> {
    /// Copies a structure whose `Size` must be that of `T`.
    ///
    /// # Errors
    /// See [`BadStruct`].
    pub(crate) fn sized(self) -> Result<T, BadStruct> {
        // SAFETY: NULL or the client's structure, as the type says.
        unsafe { read_sized(self.0) }
    }

    /// The same for one that had but `shortest` bytes in an earlier version; what such a one does
    /// not have is taken from `rest`.
    ///
    /// # Errors
    /// See [`BadStruct`].
    pub(crate) fn sized_since(self, shortest: u32, rest: T) -> Result<T, BadStruct> {
        // SAFETY: NULL or the client's structure, as the type says.
        let found = unsafe { size_of_foreign(self.0) }?;
        let expected = size_of::<T>();
        if found != shortest && found as usize != expected {
            return Err(BadStruct::Size { found, expected });
        }
        let mut copy = rest;
        let bytes = expected.min(found as usize);
        // SAFETY: the client's structure has as many bytes as its `Size` says, and the copy no
        // fewer; every bit pattern is a value of it.
        unsafe {
            std::ptr::copy_nonoverlapping(self.0.cast::<u8>(), (&raw mut copy).cast(), bytes);
        }
        Ok(copy)
    }
}

impl In<'_, NetExtensionQuery> {
    /// Copies a query, and the name it points to; `None` for a name that is NULL or does not end.
    ///
    /// # Errors
    /// See [`BadStruct`].
    pub(crate) fn query(self) -> Result<(NetExtensionQuery, Option<Vec<u16>>), BadStruct> {
        let query = self.sized()?;
        // SAFETY: NULL or a terminated text, as the structure's documentation has it.
        let name = unsafe { wide_string(query.name) };
        Ok((query, name))
    }
}

impl<'a> In<'a, WdfObjectAttributes> {
    /// Copies attributes, and where they say that the context's type information is.
    ///
    /// # Errors
    /// See [`BadStruct`].
    pub(crate) fn attributes(
        self,
    ) -> Result<(WdfObjectAttributes, In<'a, WdfContextTypeInfo>), BadStruct> {
        let attributes = self.sized()?;
        // NULL or the client's type information, as the structure's documentation has it.
        let kind = In(attributes.context_type, PhantomData);
        Ok((attributes, kind))
    }
}

impl In<'_, WdfContextTypeInfo> {
    /// Copies type information, and the name in it; an empty one for NULL.
    ///
    /// # Errors
    /// See [`BadStruct`].
    pub(crate) fn context_type(self) -> Result<(WdfContextTypeInfo, CString), BadStruct> {
        let info = self.sized()?;
        // SAFETY: not NULL, and a terminated text, as the structure's documentation has it.
        let name = (!info.name.is_null()).then(|| unsafe { CStr::from_ptr(info.name) });
        Ok((info, name.map(CStr::to_owned).unwrap_or_default()))
    }
}

impl In<'_, u8> {
    /// Copies that many bytes, which the client says there are; `None` for NULL, unless they are
    /// none.
    pub(crate) fn bytes(self, count: usize) -> Option<Vec<u8>> {
        let mut copy = vec![0; count];
        if count > 0 {
            let from = (!self.0.is_null()).then_some(self.0)?;
            // SAFETY: not NULL, and of the size that came along with it.
            unsafe { std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), count) };
        }
        Some(copy)
    }
}

impl Out<'_, u8> {
    /// Copies bytes out if there is a place, and room for all of them; says whether.
    pub(crate) fn fill(self, bytes: &[u8], room: usize) -> bool {
        if self.0.is_null() || room < bytes.len() {
            return false;
        }
        // SAFETY: not NULL, and with as much room as came along with it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0, bytes.len()) };
        true
    }
}

impl Out<'_, UnicodeString> {
    /// Copies text into the string's buffer if there is room for all of it; says whether.
    pub(crate) fn fill_text(self, units: &[u16]) -> bool {
        let Some(mut string) = self.given().read() else {
            return false;
        };
        let bytes = u16::try_from(units.len() * 2).ok();
        let Some(bytes) = bytes.filter(|bytes| *bytes <= string.maximum_length) else {
            return false;
        };
        if string.buffer.is_null() {
            return false;
        }
        // SAFETY: the client's buffer has `MaximumLength` bytes.
        unsafe { std::ptr::copy_nonoverlapping(units.as_ptr(), string.buffer, units.len()) };
        string.length = bytes;
        self.store(string);
        true
    }
}

impl<T: Sized16> In<'_, T> {
    /// The size the client filled in; `None` for NULL.
    pub(crate) fn size(self) -> Option<u16> {
        let size = self.0.cast::<u16>();
        // SAFETY: not NULL, and the structure begins with it.
        (!size.is_null()).then(|| unsafe { size.read_unaligned() })
    }
}

impl<T: AnyBits> In<'_, T> {
    /// Copies that many values, which the client says there are; `None` for NULL.
    pub(crate) fn elements(self, count: usize) -> Option<Vec<T>> {
        let one = |index| {
            // SAFETY: not NULL, and as many as came along with it.
            let element = unsafe { self.0.add(index) };
            // SAFETY: as above, and one of the client's values.
            unsafe { element.read_unaligned() }
        };
        (!self.0.is_null()).then(|| (0..count).map(one).collect())
    }

    /// Copies the value; `None` for NULL.
    pub(crate) fn read(self) -> Option<T> {
        // SAFETY: not NULL, and the client's value, as the type says.
        (!self.0.is_null()).then(|| unsafe { self.0.read_unaligned() })
    }
}

impl<'a> In<'a, c_char> {
    /// The text up to its NUL; `None` for NULL.
    pub(crate) fn c_text(self) -> Option<Cow<'a, str>> {
        // SAFETY: not NULL, and the client's terminated text, for as long as the call.
        let text = (!self.0.is_null()).then(|| unsafe { CStr::from_ptr(self.0) });
        text.map(CStr::to_string_lossy)
    }
}

impl In<'_, UnicodeString> {
    /// Copies the text; `None` for NULL, an odd length or a missing buffer.
    pub(crate) fn text(self) -> Option<Vec<u16>> {
        // SAFETY: NULL or the client's string, as the type says.
        unsafe { unicode_string(self.0) }
    }
}

impl<'a, T> Out<'a, T> {
    /// C passed NULL.
    pub(crate) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// Stores a result, if it is wanted.
    pub(crate) fn store(self, value: T) {
        // SAFETY: NULL or the client's room, as the type says.
        unsafe { super::store(self.0, value) }
    }

    /// What is there already, to be read.
    pub(crate) fn given(self) -> In<'a, T> {
        In(self.0, PhantomData)
    }

    /// NULL.
    #[cfg(test)]
    pub(crate) const NULL: Self = Self(std::ptr::null_mut(), PhantomData);

    /// A unit test's.
    #[cfg(test)]
    pub(crate) fn of(place: &'a mut T) -> Self {
        Self(place, PhantomData)
    }
}

#[cfg(test)]
impl<'a, T> From<&'a T> for In<'a, T> {
    fn from(value: &'a T) -> Self {
        Self::of(value)
    }
}

/// A unit test's, for what it keeps as an address.
#[cfg(test)]
impl<T> From<*const T> for In<'_, T> {
    fn from(address: *const T) -> Self {
        Self(address, PhantomData)
    }
}

/// A unit test's, likewise.
#[cfg(test)]
impl<T> From<*mut T> for Out<'_, T> {
    fn from(address: *mut T) -> Self {
        Self(address, PhantomData)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_gives_and_takes_nothing() {
        assert!(In::<i64>::NULL.is_null() && Out::<u32>::NULL.is_null());
        assert_eq!(In::<i64>::NULL.read(), None);
        assert_eq!(In::<UnicodeString>::NULL.text(), None);
        Out::NULL.store(3u32);
        let mut place = 1;
        Out::of(&mut place).store(2);
        assert_eq!((place, In::of(&place).is_null()), (2, false));
        assert_eq!(In::of(&-5i64).read(), Some(-5));
    }

    #[test]
    fn they_are_what_c_passes() {
        assert_eq!(size_of::<In<'_, u64>>(), size_of::<usize>());
        assert_eq!(size_of::<Out<'_, u64>>(), size_of::<usize>());
    }
}
