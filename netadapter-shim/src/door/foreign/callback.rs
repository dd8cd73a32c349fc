//! Functions of the client.

#![allow(unsafe_code)] // calls the client's code

use crate::abi::RawCallback;

/// A function that the client gave for a purpose, of the type that its place in a structure or
/// argument list has. NULL is `None` of an `Option` around it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Callback<F>(F);

#[cfg(test)]
impl<F> Callback<F> {
    /// A unit test's.
    pub(crate) fn of(function: F) -> Self {
        Self(function)
    }
}

/// The same for each number of arguments.
macro_rules! callable {
    ($($argument:ident: $kind:ident),*) => {
        impl<$($kind,)* R> Callback<unsafe extern "C" fn($($kind),*) -> R> {
            /// Takes the pointer that a client put into a structure, whose member has this very
            /// type in C.
            #[allow(dead_code)] // not with every number of arguments
            pub(crate) fn from_raw(raw: RawCallback) -> Option<Self> {
                type Typed<$($kind,)* R> = unsafe extern "C" fn($($kind),*) -> R;
                // SAFETY: both are plain function pointers, and it is called as what the client
                // declared it to be.
                raw.map(|raw| Self(unsafe {
                    std::mem::transmute::<extern "C" fn(), Typed<$($kind,)* R>>(raw)
                }))
            }

            /// Calls the client.
            #[allow(clippy::too_many_arguments)] // C's
            pub(crate) fn call(self, $($argument: $kind),*) -> R {
                // SAFETY: only a client makes one, by putting the address of a function of this
                // type in a place that means a call like this one; its library stays loaded
                // for as long as it has objects.
                unsafe { (self.0)($($argument),*) }
            }
        }
    };
}

callable!(a: A);
callable!(a: A, b: B);
callable!(a: A, b: B, c: C);
callable!(a: A, b: B, c: C, d: D, e: E);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_none_and_a_function_is_called() {
        extern "C" fn add(a: u32, b: u32) -> u32 {
            a + b
        }
        type Add = Option<Callback<unsafe extern "C" fn(u32, u32) -> u32>>;
        assert_eq!(size_of::<Add>(), size_of::<usize>());
        let add: Add = Some(Callback::of(add));
        assert_eq!(add.map(|add| add.call(2, 3)), Some(5));
    }
}
