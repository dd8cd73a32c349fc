//! A client for unit tests, with a driver object and without code.

use std::ffi::c_void;
use std::sync::Arc;

use super::create::Globals;
use super::driver::Driver;
use crate::abi::{NetAdapterCxVersion, NtStatus};
use crate::door::foreign::{Callback, Out};
use crate::door::globals::{self, Client};
use crate::door::object::{self, Handle, Kind};
use crate::door::types::WdfObjectAttributes;

/// Bound with a driver object; both are gone when it is dropped.
pub(crate) struct TestClient {
    client: Arc<Client>,
    driver: Handle,
}

impl TestClient {
    /// A client with a driver object that has no callbacks.
    pub(crate) fn new() -> Self {
        extern "C" fn refuse(_: Handle, _: Handle) -> NtStatus {
            NtStatus::UNSUCCESSFUL
        }
        Self::with_device_add(refuse)
    }

    /// A client whose driver object has that EvtDriverDeviceAdd.
    pub(crate) fn with_device_add(device_add: extern "C" fn(Handle, Handle) -> NtStatus) -> Self {
        let client = globals::bind("test", NetAdapterCxVersion::OFFERED);
        let payload = Arc::new(Driver::for_test(Callback::of(device_add)));
        let driver = object::create(Kind::Driver, None, payload).unwrap();
        client.set_driver(Some(driver));
        Self { client, driver }
    }

    /// The hidden first argument.
    pub(crate) fn globals(&self) -> Globals {
        self.client.pointer().cast_const()
    }

    /// The driver object.
    pub(crate) fn driver(&self) -> Handle {
        self.driver
    }

    /// The handle a create function stores, which must succeed.
    pub(crate) fn create(
        &self,
        call: impl FnOnce(*const c_void, Out<'_, Handle>) -> NtStatus,
    ) -> Handle {
        let mut handle = Handle::NULL;
        assert_eq!(
            call(self.globals(), Out::of(&mut handle)),
            NtStatus::SUCCESS
        );
        assert!(object::is_alive(handle));
        handle
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        object::delete(self.driver);
        globals::unbind(&self.client);
    }
}

/// What WDF_OBJECT_ATTRIBUTES_INIT gives.
pub(crate) fn attributes() -> WdfObjectAttributes {
    WdfObjectAttributes {
        size: 56,
        evt_cleanup: None,
        evt_destroy: None,
        execution_level: 1,
        synchronization_scope: 1,
        parent: Handle::NULL,
        context_size_override: 0,
        context_type: std::ptr::null(),
    }
}
