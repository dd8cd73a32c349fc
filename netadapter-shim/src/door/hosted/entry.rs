//! What DriverEntry is given.

use std::ffi::c_void;

use crate::door::types::UnicodeString;

/// `DRIVER_OBJECT` and the registry path: opaque to user-mode clients, who only hand them on.
pub(crate) struct EntryArguments {
    object: [u64; 8],
    path: Vec<u16>,
    registry_path: UnicodeString,
}

impl EntryArguments {
    pub(crate) fn new(client: &str) -> Self {
        let key = format!("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{client}");
        let mut path: Vec<u16> = key.encode_utf16().take(MOST_UNITS).collect();
        path.push(0);
        let registry_path = UnicodeString {
            length: (path.len() as u16 - 1) * 2,
            maximum_length: path.len() as u16 * 2,
            buffer: path.as_mut_ptr(),
        };
        Self {
            object: [0; 8],
            path,
            registry_path,
        }
    }

    pub(crate) fn object(&mut self) -> *mut c_void {
        self.object.as_mut_ptr().cast()
    }

    pub(crate) fn registry_path(&mut self) -> *mut c_void {
        debug_assert!(std::ptr::eq(self.registry_path.buffer, self.path.as_ptr()));
        (&raw mut self.registry_path).cast()
    }
}

/// Units of text that fit a UNICODE_STRING, with the final NUL.
const MOST_UNITS: usize = 32_766;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_path_ends_with_the_clients_name() {
        let mut arguments = EntryArguments::new("wire");
        let string = arguments.registry_path;
        let units = usize::from(string.length) / 2;
        let text = String::from_utf16(&arguments.path[..units]).unwrap();
        assert!(text.ends_with("\\Services\\wire"), "{text}");
        assert_eq!(arguments.path[units], 0);
        assert_eq!(string.maximum_length, string.length + 2);
        assert!(!arguments.object().is_null() && !arguments.registry_path().is_null());
    }
}
