//! Queries that answer with objects, and the assignments that take them.
//!
//! What is answered is a child of the configuration unless the attributes name
//! a parent; strings of a list go into the collection that is given.

use super::{Result, assign, configuration, name};
use crate::abi::NtStatus;
use crate::door::configuration_store::ConfigurationValue as Value;
use crate::door::foreign::{In, Out};
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
fn value(
    call: &str,
    globals: Globals,
    handle: Handle,
    value_name: In<'_, UnicodeString>,
) -> Result<Value> {
    let configuration = configuration(call, globals, handle)?;
    let name = name(call, value_name)?;
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

extern "C" fn NetConfigurationQueryString(
    globals: Globals,
    handle: Handle,
    value_name: In<'_, UnicodeString>,
    attributes: In<'_, WdfObjectAttributes>,
    answer: Out<'_, Handle>,
) -> i32 {
    const CALL: &str = "NetConfigurationQueryString";
    let query = || {
        guard::given(CALL, "WdfString", answer)?;
        let found = value(CALL, globals, handle, value_name)?;
        let attributes = Attributes::of(attributes, Rules::PLAIN)?;
        let Value::String(text) = found else {
            return Err(NtStatus::OBJECT_TYPE_MISMATCH);
        };
        let parent = parent(&attributes, handle);
        let made = string::create_with_units(parent, &attributes, &units(&text))?;
        answer.store(made);
        Ok(())
    };
    status(query())
}

extern "C" fn NetConfigurationQueryMultiString(
    globals: Globals,
    handle: Handle,
    value_name: In<'_, UnicodeString>,
    attributes: In<'_, WdfObjectAttributes>,
    into: Handle,
) -> i32 {
    const CALL: &str = "NetConfigurationQueryMultiString";
    let query = || {
        let found = value(CALL, globals, handle, value_name)?;
        let attributes = Attributes::of(attributes, Rules::PLAIN)?;
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

extern "C" fn NetConfigurationQueryBinary(
    globals: Globals,
    handle: Handle,
    value_name: In<'_, UnicodeString>,
    _pool: u32,
    attributes: In<'_, WdfObjectAttributes>,
    answer: Out<'_, Handle>,
) -> i32 {
    const CALL: &str = "NetConfigurationQueryBinary";
    let query = || {
        guard::given(CALL, "WdfMemory", answer)?;
        let found = value(CALL, globals, handle, value_name)?;
        let attributes = Attributes::of(attributes, Rules::PLAIN)?;
        let Value::Binary(bytes) = found else {
            return Err(NtStatus::NOT_FOUND);
        };
        let parent = parent(&attributes, handle);
        let made = memory::create_with_bytes(parent, &attributes, &bytes)?;
        answer.store(made);
        Ok(())
    };
    status(query())
}

extern "C" fn NetConfigurationAssignMultiString(
    globals: Globals,
    handle: Handle,
    value_name: In<'_, UnicodeString>,
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
    status(assign(CALL, globals, handle, value_name, texts))
}

extern "C" fn NetConfigurationAssignBinary(
    globals: Globals,
    handle: Handle,
    value_name: In<'_, UnicodeString>,
    buffer: In<'_, u8>,
    length: u32,
) -> i32 {
    const CALL: &str = "NetConfigurationAssignBinary";
    let bytes = || {
        if length > LARGEST_BINARY {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        if length > 0 {
            guard::given(CALL, "Buffer", buffer)?;
        }
        let bytes = buffer.bytes(length as usize).unwrap_or_default();
        Ok(Value::Binary(bytes))
    };
    status(assign(CALL, globals, handle, value_name, bytes))
}
