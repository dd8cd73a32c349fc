//! The binary interface: structures, bit fields and status codes a client
//! driver sees, with the sizes and offsets of NetAdapterCx on a 64-bit
//! machine. No behaviour lives here.
//!
//! Enumerations are 32-bit newtypes: a C client may store any value in them,
//! and an unknown value must stay representable.

mod capabilities;
mod extension;
mod fragment;
mod packet;
mod ring;
mod status;
mod version;

pub use capabilities::*;
pub use extension::*;
pub use fragment::NetFragment;
pub use packet::*;
pub use ring::*;
pub use status::{FailureCode, NtStatus};
pub use version::{BindError, NetAdapterCxVersion};

/// Declares a 32-bit enumeration of the C ABI as a newtype with constants.
macro_rules! abi_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $value:ident = $number:expr),+ $(,)? }) => {
        $(#[$meta])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name(pub u32);

        impl $name {
            $($(#[$vmeta])* pub const $value: Self = Self($number);)+
        }
    };
}
pub(crate) use abi_enum;
