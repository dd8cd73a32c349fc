//! `WdfString*`.

#![allow(non_snake_case)] // C's names

use std::sync::{Arc, Mutex, PoisonError};

use super::create::{Globals, create, required, status};
use crate::abi::NtStatus;
use crate::door::foreign::{In, Out};
use crate::door::object::{self, Attributes, Handle, Kind, Rules};
use crate::door::table::{Functions, entries};
use crate::door::types::{UnicodeString, WdfObjectAttributes};

pub(crate) const FUNCTIONS: Functions = entries![WdfStringCreate, WdfStringGetUnicodeString];

/// Longest text of a UNICODE_STRING with its terminator, in units.
const MAXIMUM: usize = 32_766;

/// What `WDFSTRING` stands for. The text has a terminator, so that clients
/// that rely on one find it; replaced texts stay until the object goes, for a
/// client may still look at one.
pub(crate) struct Text(Mutex<Vec<Arc<[u16]>>>);

impl Text {
    fn new(units: &[u16]) -> Result<Arc<Self>, NtStatus> {
        let text = Self(Mutex::default());
        text.set(units)?;
        Ok(Arc::new(text))
    }

    /// Replaces the text.
    ///
    /// # Errors
    /// STATUS_INVALID_PARAMETER for one that no UNICODE_STRING can hold.
    pub(crate) fn set(&self, units: &[u16]) -> Result<(), NtStatus> {
        if units.len() > MAXIMUM {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let terminated = units.iter().copied().chain([0]).collect();
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.push(terminated);
        Ok(())
    }

    fn last(&self) -> Option<Arc<[u16]>> {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.last().cloned()
    }

    /// The text without its terminator.
    pub(crate) fn units(&self) -> Vec<u16> {
        let text = self.last().unwrap_or_default();
        text.split_last()
            .map_or(&[][..], |(_, units)| units)
            .to_vec()
    }
}

/// Makes a string object.
///
/// # Errors
/// Those of [`object::create_with`], and STATUS_INVALID_PARAMETER for a text
/// of more than 32766 units.
pub(crate) fn create_with_units(
    parent: Handle,
    attributes: &Attributes,
    units: &[u16],
) -> Result<Handle, NtStatus> {
    let text = Text::new(units)?;
    object::create_with(Kind::String, Some(parent), attributes, text)
}

/// The string behind a handle, or a breach.
///
/// # Errors
/// STATUS_INVALID_HANDLE.
pub(crate) fn checked(call: &str, string: Handle) -> Result<Arc<Text>, NtStatus> {
    object::checked(call, string, Kind::String)
}

extern "C" fn WdfStringCreate(
    globals: Globals,
    text: In<'_, UnicodeString>,
    attributes: In<'_, WdfObjectAttributes>,
    string: Out<'_, Handle>,
) -> NtStatus {
    let (call, kind, wanted) = ("WdfStringCreate", Kind::String, (attributes, Rules::PLAIN));
    status((|| {
        let units = match text.is_null() {
            true => Vec::new(),
            false => text.text().ok_or(NtStatus::INVALID_PARAMETER)?,
        };
        create(call, globals, kind, wanted, Text::new(&units)?, string).map(drop)
    })())
}

extern "C" fn WdfStringGetUnicodeString(_: Globals, string: Handle, place: Out<'_, UnicodeString>) {
    let call = "WdfStringGetUnicodeString";
    let (Ok(found), Ok(())) = (
        checked(call, string),
        required(call, "UnicodeString", place),
    ) else {
        return;
    };
    let text = found.last().unwrap_or_default();
    let bytes = u16::try_from(text.len() * 2).unwrap_or(0);
    let view = UnicodeString {
        length: bytes.saturating_sub(2),
        maximum_length: bytes,
        buffer: text.as_ptr().cast_mut(),
    };
    place.store(view);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::{WdfFault, recorded};
    use crate::door::wdf::test_client::TestClient;
    use std::ptr::{null, null_mut};

    fn view(string: Handle) -> Option<Vec<u16>> {
        let mut view = UnicodeString {
            length: 1,
            maximum_length: 0,
            buffer: null_mut(),
        };
        WdfStringGetUnicodeString(null(), string, Out::of(&mut view));
        assert!(view.length + 2 == view.maximum_length || view.length == 1);
        In::of(&view).text()
    }

    #[test]
    fn a_string_is_a_terminated_copy() {
        let client = TestClient::new();
        let mut text: Vec<u16> = "värde".encode_utf16().collect();
        let length = u16::try_from(text.len() * 2).unwrap();
        let given = UnicodeString {
            length,
            maximum_length: length,
            buffer: text.as_mut_ptr(),
        };
        let handle =
            client.create(|globals, out| WdfStringCreate(globals, In::of(&given), In::NULL, out));
        let copy = text.clone();
        text.fill(0);
        assert_eq!(view(handle), Some(copy.clone()));
        let found = checked("test", handle).unwrap();
        found.set(&[65]).unwrap();
        assert_eq!((found.units(), view(handle)), (vec![65], Some(vec![65])));
        assert!(found.set(&vec![1; 40_000]).is_err());
    }

    #[test]
    fn without_a_text_it_is_empty() {
        let client = TestClient::new();
        let handle =
            client.create(|globals, out| WdfStringCreate(globals, In::NULL, In::NULL, out));
        assert_eq!(view(handle), Some(Vec::new()));
    }

    #[test]
    fn a_malformed_text_is_refused_and_a_bad_handle_a_breach() {
        let client = TestClient::new();
        let odd = UnicodeString {
            length: 3,
            maximum_length: 3,
            buffer: null_mut(),
        };
        let mut handle = Handle::NULL;
        let status = WdfStringCreate(
            client.globals(),
            In::of(&odd),
            In::NULL,
            Out::of(&mut handle),
        );
        assert_eq!(status, NtStatus::INVALID_PARAMETER);
        assert_eq!(view(Handle::NULL), None);
        recorded::take_one(WdfFault::InvalidHandle);
    }
}
