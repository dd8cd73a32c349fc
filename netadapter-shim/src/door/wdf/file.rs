//! Files: one for each connection to a device's socket.

#![allow(non_snake_case)] // C's names

use std::ptr::null;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use super::create::Globals;
use super::device::{self, Device};
use super::io_queue;
use super::request::{Completed, IoRequest, RequestType};
use super::serialize::{self, hold};
use crate::abi::NtStatus;
use crate::door::object::{self, Handle, Kind};
use crate::door::table::{Functions, entries};
use crate::door::types::UnicodeString;

pub(crate) const FUNCTIONS: Functions = entries![WdfFileObjectGetDevice, WdfFileObjectGetFileName];

/// Held while a file is made, so that an exclusive device has one of them.
static OPENING: Mutex<()> = Mutex::new(());

/// What `WDFFILEOBJECT` stands for.
pub(crate) struct File {
    device: Handle,
}

/// Files of a socket have no name: an empty `UNICODE_STRING`, all zeros, for all of them.
static NO_NAME: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
const _: () = assert!(size_of::<UnicodeString>() == size_of_val(&NO_NAME));

/// Opens a file on a device: the client's EvtDeviceFileCreate decides, if it
/// has one. `completed` is called with the answer.
///
/// # Errors
/// The device is gone or going, or is exclusive and open.
pub(crate) fn open(device: Handle, completed: Completed) -> Result<Handle, NtStatus> {
    let found = object::payload::<Device>(device, Kind::Device)
        .map_err(|_| NtStatus::INVALID_DEVICE_STATE)?;
    let payload = Arc::new(File { device });
    let said = found.statements();
    let attributes = &said.file_attributes;
    let file = {
        let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        if said.exclusive && !object::children(device, Kind::FileObject).is_empty() {
            log::warn!("{device} is open already, and is opened once at a time");
            return Err(NtStatus::ACCESS_DENIED);
        }
        object::create_with(Kind::FileObject, Some(device), attributes, payload)?
    };
    let asked = IoRequest {
        kind: RequestType::CREATE,
        code: 0,
        input: Vec::new(),
        output: 0,
        file: Some(file),
    };
    match said.files.create {
        Some(callback) => {
            let request =
                super::request::create(device, &said.request_attributes, asked, completed)?;
            let serialized = serialize::of_device(&found);
            let _held = hold(&serialized);
            callback.call(device, request, file);
        }
        None if device::has_queue_of_its_own(&found, RequestType::CREATE) => {
            io_queue::deliver(device, asked, completed);
        }
        None => completed(super::request::Completion {
            status: NtStatus::SUCCESS,
            information: 0,
            output: Vec::new(),
        }),
    }
    Ok(file)
}

/// Closes a file: cleanup, then close, then its end.
pub(crate) fn close(file: Handle) {
    let Ok(found) = object::payload::<File>(file, Kind::FileObject) else {
        return;
    };
    if let Ok(device) = object::payload::<Device>(found.device, Kind::Device) {
        let callbacks = device.statements().files;
        let serialized = serialize::of_device(&device);
        for callback in [callbacks.cleanup, callbacks.close].into_iter().flatten() {
            let _held = hold(&serialized);
            callback.call(file);
        }
    }
    object::delete(file);
}

extern "C" fn WdfFileObjectGetDevice(_: Globals, file: Handle) -> Handle {
    let found = object::checked::<File>("WdfFileObjectGetDevice", file, Kind::FileObject);
    found.map_or(Handle::NULL, |found| found.device)
}

extern "C" fn WdfFileObjectGetFileName(_: Globals, file: Handle) -> *const UnicodeString {
    let found = object::checked::<File>("WdfFileObjectGetFileName", file, Kind::FileObject);
    found.map_or(null(), |_| NO_NAME.as_ptr().cast())
}

#[cfg(test)]
#[allow(unsafe_code)] // reads the name
mod tests {
    use super::*;
    use crate::door::fail::{WdfFault, recorded};
    use crate::door::foreign::Callback;
    use crate::door::object::Attributes;
    use crate::door::wdf::device_init::DeviceInit;
    use crate::door::wdf::test_client::TestClient;
    use std::cell::RefCell;
    use std::sync::mpsc::channel;

    thread_local!(static CALLS: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) });

    extern "C" fn created(_: Handle, request: Handle, _: Handle) {
        CALLS.with_borrow_mut(|calls| calls.push("create"));
        let status = NtStatus::NOT_SUPPORTED;
        crate::door::wdf::request::complete("test", request, status, None);
    }

    extern "C" fn cleaned(_: Handle) {
        CALLS.with_borrow_mut(|calls| calls.push("cleanup"));
    }

    extern "C" fn closed(_: Handle) {
        CALLS.with_borrow_mut(|calls| calls.push("close"));
    }

    fn new_device(client: &TestClient, with_callbacks: bool) -> Handle {
        let init = DeviceInit::create(client.driver()).unwrap();
        if with_callbacks {
            let said = device_init(init);
            let mut statements = said.statements();
            statements.files.create = Some(Callback::of(created));
            statements.files.cleanup = Some(Callback::of(cleaned));
            statements.files.close = Some(Callback::of(closed));
        }
        device::create("test", init, &Attributes::default()).unwrap()
    }

    fn device_init(init: Handle) -> Arc<DeviceInit> {
        crate::door::wdf::device_init::checked("test", init).unwrap()
    }

    fn opened(device: Handle) -> (Handle, NtStatus) {
        let (sender, receiver) = channel();
        let completed = Box::new(move |answer| sender.send(answer).unwrap());
        let file = open(device, completed).unwrap();
        (file, receiver.recv().unwrap().status)
    }

    #[test]
    fn a_client_decides_about_files_and_hears_of_their_end() {
        let client = TestClient::new();
        let device = new_device(&client, true);
        let (file, status) = opened(device);
        assert_eq!(status, NtStatus::NOT_SUPPORTED);
        assert_eq!(WdfFileObjectGetDevice(null(), file), device);
        close(file);
        assert_eq!(CALLS.take(), ["create", "cleanup", "close"]);
        assert_eq!(object::kind(file), None);
        WdfFileObjectGetDevice(null(), file);
        recorded::take_one(WdfFault::InvalidHandle);
    }

    #[test]
    fn an_exclusive_device_is_opened_once_at_a_time() {
        let client = TestClient::new();
        let init = DeviceInit::create(client.driver()).unwrap();
        device_init(init).statements().exclusive = true;
        let device = device::create("test", init, &Attributes::default()).unwrap();
        let (first, _) = opened(device);
        let refused = open(device, Box::new(|_| ()));
        assert_eq!(refused.err(), Some(NtStatus::ACCESS_DENIED));
        close(first);
        close(opened(device).0);
    }

    #[test]
    fn a_client_without_an_opinion_lets_everybody_in() {
        let client = TestClient::new();
        let device = new_device(&client, false);
        let (file, status) = opened(device);
        assert_eq!(status, NtStatus::SUCCESS);
        let name = WdfFileObjectGetFileName(null(), file);
        // SAFETY: the file lives.
        assert_eq!(unsafe { (*name).length }, 0);
        close(file);
    }
}
