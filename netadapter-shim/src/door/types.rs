//! Base types of the C interface that more than one part of the door uses.

use std::ffi::c_void;

use super::foreign::Callback;
use super::object::Handle;

/// A client callback that takes a handle and returns nothing.
pub(crate) type ObjectCallback = Callback<unsafe extern "C" fn(Handle)>;

/// `BOOLEAN`: zero is false, everything else true.
pub(crate) type Boolean = u8;

/// `TRUE`
pub(crate) const TRUE: Boolean = 1;
/// `FALSE`
pub(crate) const FALSE: Boolean = 0;

/// Declares an enumeration of C, of which any 32-bit value must be
/// representable, as a newtype with constants.
macro_rules! c_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $value:ident = $number:expr),+ $(,)? }) => {
        $(#[$meta])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) u32);

        impl $name {
            $($(#[$vmeta])* pub(crate) const $value: Self = Self($number);)+
        }
    };
}
pub(crate) use c_enum;

/// `WDF_OBJECT_ATTRIBUTES`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct WdfObjectAttributes {
    /// Bytes of this structure.
    pub(crate) size: u32,
    /// Called when the object is being deleted.
    pub(crate) evt_cleanup: Option<ObjectCallback>,
    /// Called when the last reference is gone.
    pub(crate) evt_destroy: Option<ObjectCallback>,
    /// `WDF_EXECUTION_LEVEL`: InheritFromParent 1, Passive 2, Dispatch 3.
    pub(crate) execution_level: u32,
    /// `WDF_SYNCHRONIZATION_SCOPE`: InheritFromParent 1, Device 2, Queue 3, None 4.
    pub(crate) synchronization_scope: u32,
    /// The parent, or NULL for the default one.
    pub(crate) parent: Handle,
    /// Larger context than the type says, or 0.
    pub(crate) context_size_override: usize,
    /// The context's type, or NULL for none.
    pub(crate) context_type: *const WdfContextTypeInfo,
}

/// `WDF_OBJECT_CONTEXT_TYPE_INFO`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct WdfContextTypeInfo {
    /// Bytes of this structure.
    pub(crate) size: u32,
    /// The type's name, NUL-terminated.
    pub(crate) name: *const std::ffi::c_char,
    /// Bytes of the context.
    pub(crate) context_size: usize,
    /// The instance that stands for the type.
    pub(crate) unique_type: *const WdfContextTypeInfo,
    /// `EvtDriverGetUniqueContextType`: finds that instance at run time.
    pub(crate) get_unique_type: *const c_void,
}

/// `GUID`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Guid {
    /// First group.
    pub(crate) data1: u32,
    /// Second group.
    pub(crate) data2: u16,
    /// Third group.
    pub(crate) data3: u16,
    /// The rest.
    pub(crate) data4: [u8; 8],
}

/// `UNICODE_STRING`: UTF-16 text of `length` bytes, not NUL-terminated.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnicodeString {
    /// Bytes of text.
    pub(crate) length: u16,
    /// Bytes of the buffer.
    pub(crate) maximum_length: u16,
    /// The text.
    pub(crate) buffer: *mut u16,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{offset_of, size_of};

    #[test]
    fn layouts_are_those_of_a_64_bit_windows() {
        assert_eq!(size_of::<WdfObjectAttributes>(), 56);
        assert_eq!(offset_of!(WdfObjectAttributes, execution_level), 24);
        assert_eq!(offset_of!(WdfObjectAttributes, parent), 32);
        assert_eq!(offset_of!(WdfObjectAttributes, context_type), 48);
        assert_eq!(size_of::<WdfContextTypeInfo>(), 40);
        assert_eq!(offset_of!(WdfContextTypeInfo, unique_type), 24);
        assert_eq!(size_of::<Guid>(), 16);
        assert_eq!(size_of::<UnicodeString>(), 16);
        assert_eq!(offset_of!(UnicodeString, buffer), 8);
    }
}
