//! Queries that answer with objects, and the assignments that take them.
//!
//! What is answered is a child of the configuration unless the attributes name
//! a parent; strings of a list go into the collection that is given.

use std::ffi::c_void;

use super::{Result, assign, configuration, name};
use crate::abi::NtStatus;
use crate::door::configuration_store::ConfigurationValue as Value;
use crate::door::foreign::store;
use crate::door::net::guard::{self, Globals};
use crate::door::net::status;
use crate::door::object::{Attributes, Handle, Rules};
use crate::door::table::{Entry, entries};
use crate::door::types::{UnicodeString, WdfObjectAttributes};
use crate::door::wdf::{collection, memory, string};

/// Every function of this part, by its C name.
pub(super) const FUNCTIONS: &[(&str, Entry)] = entries![
    NetConfigurationQueryString,
    NetConfigurationQueryMultiString,
    NetConfigurationQueryBinary,
    NetConfigurationAssignMultiString,
    NetConfigurationAssignBinary,
];

/// Longest binary value; more is a length that was never meant.
const LARGEST_BINARY: u32 = 1 << 20;

/// The value of that name.
///
/// # Safety
/// `value_name` is NULL or points to a UNICODE_STRING of readable text.
unsafe fn value(
    call: &str,
    globals: Globals,
    handle: Handle,
    value_name: *const UnicodeString,
) -> Result<Value> {
    let configuration = configuration(call, globals, handle)?;
    // SAFETY: passed on from the caller.
    let name = unsafe { name(call, value_name) }?;
    let found = configuration.table.get(&name);
    found.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)
}

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// The parent of an answer.
fn parent(attributes: &Attributes, configuration: Handle) -> Handle {
    attributes.parent.unwrap_or(configuration)
}

unsafe extern "C" fn NetConfigurationQueryString(
    globals: Globals,
    handle: Handle,
    value_name: *const UnicodeString,
    attributes: *const WdfObjectAttributes,
    answer: *mut Handle,
) -> i32 {
    const CALL: &str = "NetConfigurationQueryString";
    let query = || {
        guard::given(CALL, "WdfString", answer)?;
        // SAFETY: the client called with C's prototype.
        let found = unsafe { value(CALL, globals, handle, value_name) }?;
        // SAFETY: as above.
        let attributes = unsafe { Attributes::read(attributes, Rules::PLAIN) }?;
        let Value::String(text) = found else {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        };
        let parent = parent(&attributes, handle);
        let made = string::create_with_units(parent, &attributes, &units(&text))?;
        // SAFETY: not NULL, so that the client vouches for the place.
        unsafe { store(answer, made) };
        Ok(())
    };
    status(query())
}

unsafe extern "C" fn NetConfigurationQueryMultiString(
    globals: Globals,
    handle: Handle,
    value_name: *const UnicodeString,
    attributes: *const WdfObjectAttributes,
    into: Handle,
) -> i32 {
    const CALL: &str = "NetConfigurationQueryMultiString";
    let query = || {
        // SAFETY: the client called with C's prototype.
        let found = unsafe { value(CALL, globals, handle, value_name) }?;
        // SAFETY: as above.
        let attributes = unsafe { Attributes::read(attributes, Rules::PLAIN) }?;
        let into = collection::checked(CALL, into)?;
        let Value::MultiString(texts) = found else {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        };
        let parent = parent(&attributes, handle);
        for text in texts {
            into.add(string::create_with_units(
                parent,
                &attributes,
                &units(&text),
            )?);
        }
        Ok(())
    };
    status(query())
}

unsafe extern "C" fn NetConfigurationQueryBinary(
    globals: Globals,
    handle: Handle,
    value_name: *const UnicodeString,
    _pool: u32,
    attributes: *const WdfObjectAttributes,
    answer: *mut Handle,
) -> i32 {
    const CALL: &str = "NetConfigurationQueryBinary";
    let query = || {
        guard::given(CALL, "WdfMemory", answer)?;
        // SAFETY: the client called with C's prototype.
        let found = unsafe { value(CALL, globals, handle, value_name) }?;
        // SAFETY: as above.
        let attributes = unsafe { Attributes::read(attributes, Rules::PLAIN) }?;
        let Value::Binary(bytes) = found else {
            return Err(NtStatus::NOT_FOUND);
        };
        let parent = parent(&attributes, handle);
        let made = memory::create_with_bytes(parent, &attributes, &bytes)?;
        // SAFETY: not NULL, so that the client vouches for the place.
        unsafe { store(answer, made) };
        Ok(())
    };
    status(query())
}

unsafe extern "C" fn NetConfigurationAssignMultiString(
    globals: Globals,
    handle: Handle,
    value_name: *const UnicodeString,
    from: Handle,
) -> i32 {
    const CALL: &str = "NetConfigurationAssignMultiString";
    let texts = || {
        let items = collection::checked(CALL, from)?.items();
        let texts = items.into_iter().map(|item| {
            let text = string::checked(CALL, item)?;
            Ok(String::from_utf16_lossy(&text.units()))
        });
        texts.collect::<Result<Vec<_>>>().map(Value::MultiString)
    };
    // SAFETY: the client called with C's prototype.
    status(unsafe { assign(CALL, globals, handle, value_name, texts) })
}

unsafe extern "C" fn NetConfigurationAssignBinary(
    globals: Globals,
    handle: Handle,
    value_name: *const UnicodeString,
    buffer: *const c_void,
    length: u32,
) -> i32 {
    const CALL: &str = "NetConfigurationAssignBinary";
    let bytes = || {
        if length > LARGEST_BINARY {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let mut bytes = vec![0; length as usize];
        if length > 0 {
            guard::given(CALL, "Buffer", buffer)?;
            // SAFETY: the client vouches for `length` bytes; the copy has them.
            unsafe {
                std::ptr::copy_nonoverlapping(buffer.cast(), bytes.as_mut_ptr(), bytes.len());
            }
        }
        Ok(Value::Binary(bytes))
    };
    // SAFETY: the client called with C's prototype.
    status(unsafe { assign(CALL, globals, handle, value_name, bytes) })
}
