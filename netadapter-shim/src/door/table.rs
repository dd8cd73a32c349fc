//! The registry: every API function this host has, by its C name.

#![allow(unsafe_code)] // function pointers are shared between threads

use std::ffi::c_void;

use super::{net, runtime, wdf};

/// The address of an API function, as it is written into a client's table.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry(*const c_void);

// SAFETY: the address of a function is never read or written through, only
// handed to the client; the code behind it lives as long as the process.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

impl Entry {
    /// Wraps a function's address. Use [`entries!`], which names it as well.
    pub(crate) const fn new(function: *const c_void) -> Self {
        Self(function)
    }

    /// The address for the client's table.
    pub(crate) fn address(self) -> *mut c_void {
        self.0.cast_mut()
    }
}

/// The functions of one module, by their C names.
pub(crate) type Functions = &'static [(&'static str, Entry)];

/// Lists functions under their own names: `entries![WdfDriverCreate, ...]`.
macro_rules! entries {
    ($($function:ident),* $(,)?) => {
        const {
            &[$((
                stringify!($function),
                $crate::door::table::Entry::new($function as *const std::ffi::c_void),
            )),*]
        }
    };
}
pub(crate) use entries;

/// Every function with its name, in no particular order.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Entry)> {
    let parts = [wdf::FUNCTIONS, runtime::FUNCTIONS, net::FUNCTIONS];
    parts.into_iter().flatten().copied().flatten().copied()
}

/// The function a client asks for by name, if this host has it.
pub(crate) fn find(name: &str) -> Option<Entry> {
    all()
        .find(|(known, _)| *known == name)
        .map(|(_, entry)| entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[allow(non_snake_case)] // C's name
    extern "C" fn Sample() {}

    #[test]
    fn a_listed_function_has_its_own_name_and_address() {
        let list: Functions = entries![Sample];
        assert_eq!(list[0].0, "Sample");
        assert_eq!(list[0].1.address().cast_const(), Sample as *const c_void);
    }

    #[test]
    fn no_name_is_listed_twice() {
        let mut names: Vec<_> = all().map(|(name, _)| name).collect();
        names.sort_unstable();
        let doubled = names.windows(2).find(|pair| pair[0] == pair[1]);
        assert_eq!(doubled, None);
    }

    /// The names of the headers' lists, `X(result, name, ...`.
    fn declared() -> impl Iterator<Item = &'static str> {
        let lists = [
            include_str!("../../include/umnet/net_functions.h"),
            include_str!("../../include/umnet/wdf_functions.h"),
            include_str!("../../include/umnet/runtime_functions.h"),
        ];
        let lines = lists.into_iter().flat_map(str::lines);
        let entries = lines.filter_map(|line| line.trim_start().strip_prefix("X("));
        entries.filter_map(|entry| entry.split(',').nth(1).map(str::trim))
    }

    #[test]
    fn the_headers_and_the_host_have_the_same_functions() {
        let declared: BTreeSet<_> = declared().collect();
        let known: BTreeSet<_> = all().map(|(name, _)| name).collect();
        assert!(declared.len() > 200, "the lists were not understood");
        let missing: Vec<_> = declared.difference(&known).collect();
        let hidden: Vec<_> = known.difference(&declared).collect();
        assert!(missing.is_empty(), "declared, but not here: {missing:?}");
        assert!(hidden.is_empty(), "here, but not declared: {hidden:?}");
    }

    #[test]
    fn an_unknown_name_is_not_found() {
        assert_eq!(find("NetAdapterFly"), None);
    }
}
