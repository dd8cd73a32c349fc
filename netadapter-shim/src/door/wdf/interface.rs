//! Device interfaces and symbolic links: names under which programs would
//! find the device. Here they name its unix socket's requests.

#![allow(non_snake_case)] // C's names

use super::create::{Globals, required, status};
use super::{device, string};
use crate::abi::NtStatus;
use crate::door::foreign::In;
use crate::door::object::Handle;
use crate::door::table::{Functions, entries};
use crate::door::types::{Boolean, Guid, UnicodeString};

pub(crate) const FUNCTIONS: Functions = entries![
    WdfDeviceCreateDeviceInterface,
    WdfDeviceSetDeviceInterfaceState,
    WdfDeviceRetrieveDeviceInterfaceString,
    WdfDeviceCreateSymbolicLink,
];

/// One interface of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    class: Guid,
    reference: Option<Vec<u16>>,
    enabled: bool,
}

/// Class and reference string, as each of the calls is given them.
fn identity(
    call: &str,
    class: In<'_, Guid>,
    reference: In<'_, UnicodeString>,
) -> Result<(Guid, Option<Vec<u16>>), NtStatus> {
    required(call, "InterfaceClassGUID", class)?;
    let class = class.read().unwrap_or_default();
    if reference.is_null() {
        return Ok((class, None));
    }
    let text = reference.text().ok_or(NtStatus::INVALID_PARAMETER)?;
    Ok((class, Some(text)))
}

extern "C" fn WdfDeviceCreateDeviceInterface(
    _: Globals,
    device: Handle,
    class: In<'_, Guid>,
    reference: In<'_, UnicodeString>,
) -> NtStatus {
    let call = "WdfDeviceCreateDeviceInterface";
    status((|| {
        let found = device::checked(call, device)?;
        let (class, reference) = identity(call, class, reference)?;
        if reference.is_none() && found.network().is_some() {
            log::warn!("{call}: an interface of a network device needs a ReferenceString");
        }
        let mut state = found.state();
        let same = |other: &Interface| other.class == class && other.reference == reference;
        if !state.interfaces.iter().any(same) {
            state.interfaces.push(Interface {
                class,
                reference,
                enabled: true,
            });
        }
        Ok(())
    })())
}

extern "C" fn WdfDeviceSetDeviceInterfaceState(
    _: Globals,
    device: Handle,
    class: In<'_, Guid>,
    reference: In<'_, UnicodeString>,
    enabled: Boolean,
) {
    let call = "WdfDeviceSetDeviceInterfaceState";
    let Ok(found) = device::checked(call, device) else {
        return;
    };
    let Ok((class, reference)) = identity(call, class, reference) else {
        return;
    };
    let mut state = found.state();
    let mut interfaces = state.interfaces.iter_mut();
    match interfaces.find(|other| other.class == class && other.reference == reference) {
        Some(interface) => interface.enabled = enabled != 0,
        None => log::warn!("{call}: the device has no such interface"),
    }
}

/// `\\?\umnet#{class}\reference`, as long as the interface exists.
extern "C" fn WdfDeviceRetrieveDeviceInterfaceString(
    _: Globals,
    device: Handle,
    class: In<'_, Guid>,
    reference: In<'_, UnicodeString>,
    text: Handle,
) -> NtStatus {
    let call = "WdfDeviceRetrieveDeviceInterfaceString";
    status((|| {
        let (found, text) = (device::checked(call, device)?, string::checked(call, text)?);
        let (class, reference) = identity(call, class, reference)?;
        let interfaces = found.state().interfaces.clone();
        let known = interfaces
            .into_iter()
            .find(|other| other.class == class && other.reference == reference)
            .ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        text.set(&known.name())
    })())
}

impl Interface {
    fn name(&self) -> Vec<u16> {
        let class = &self.class;
        let mut name = format!(
            "\\\\?\\umnet#{{{:08x}-{:04x}-{:04x}-",
            class.data1, class.data2, class.data3
        );
        for (index, byte) in class.data4.iter().enumerate() {
            name += if index == 2 { "-" } else { "" };
            name += &format!("{byte:02x}");
        }
        name += "}";
        let mut units: Vec<u16> = name.encode_utf16().collect();
        if let Some(reference) = &self.reference {
            units.push(u16::from(b'\\'));
            units.extend_from_slice(reference);
        }
        units
    }
}

extern "C" fn WdfDeviceCreateSymbolicLink(
    _: Globals,
    device: Handle,
    name: In<'_, UnicodeString>,
) -> NtStatus {
    let call = "WdfDeviceCreateSymbolicLink";
    status((|| {
        device::checked(call, device)?;
        required(call, "SymbolicLinkName", name)?;
        let name = name.text();
        name.filter(|name| !name.is_empty())
            .map(drop)
            .ok_or(NtStatus::INVALID_PARAMETER)
    })())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::fail::{WdfFault, recorded};
    use crate::door::object::Attributes;
    use crate::door::wdf::device::tests::device;
    use crate::door::wdf::test_client::TestClient;
    use std::ptr::null;

    const CLASS: Guid = Guid {
        data1: 0xcac8_8484,
        data2: 0x7515,
        data3: 0x4c03,
        data4: [0x82, 0xe6, 0x71, 0xa8, 0x7a, 0xba, 0xc3, 0x61],
    };

    fn create(device: Handle, class: *const Guid, reference: *const UnicodeString) -> NtStatus {
        WdfDeviceCreateDeviceInterface(null(), device, In::from(class), In::from(reference))
    }

    #[test]
    fn an_interface_is_found_under_its_class_and_reference() {
        let client = TestClient::new();
        let device = device(&client);
        let mut text: Vec<u16> = "ctl".encode_utf16().collect();
        let reference = UnicodeString {
            length: 6,
            maximum_length: 6,
            buffer: text.as_mut_ptr(),
        };
        assert_eq!(create(device, &CLASS, &reference), NtStatus::SUCCESS);
        let none = Attributes::default();
        let name = string::create_with_units(client.driver(), &none, &[]).unwrap();
        let retrieve = |reference: *const UnicodeString| {
            WdfDeviceRetrieveDeviceInterfaceString(
                null(),
                device,
                In::of(&CLASS),
                In::from(reference),
                name,
            )
        };
        assert_eq!(retrieve(null()), NtStatus::OBJECT_NAME_NOT_FOUND);
        assert_eq!(retrieve(&reference), NtStatus::SUCCESS);
        let units = string::checked("test", name).unwrap().units();
        assert_eq!(
            String::from_utf16(&units).unwrap(),
            r"\\?\umnet#{cac88484-7515-4c03-82e6-71a87abac361}\ctl"
        );
    }

    #[test]
    fn interfaces_are_switched_off_and_on() {
        let client = TestClient::new();
        let device = device(&client);
        create(device, &CLASS, null());
        create(device, &CLASS, null());
        let found = device::checked("test", device).unwrap();
        let switch = |state| {
            WdfDeviceSetDeviceInterfaceState(null(), device, In::of(&CLASS), In::NULL, state);
            let interfaces = found.state().interfaces.clone();
            assert_eq!(interfaces.len(), 1);
            interfaces[0].enabled
        };
        assert!(!switch(0));
        assert!(switch(1));
    }

    #[test]
    fn a_missing_class_or_name_is_refused() {
        let client = TestClient::new();
        let device = device(&client);
        assert_eq!(create(device, null(), null()), NtStatus::INVALID_PARAMETER);
        recorded::take_one(WdfFault::RequiredParameterIsNull);
        let link = WdfDeviceCreateSymbolicLink(null(), device, In::NULL);
        assert_eq!(link, NtStatus::INVALID_PARAMETER);
        recorded::take_one(WdfFault::RequiredParameterIsNull);
    }
}
