//! One loaded client driver: what the hidden first argument of every WDF and
//! NET function stands for.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use super::object::{Handle, SpreadState};
use crate::abi::NetAdapterCxVersion;

/// `WDF_DRIVER_GLOBALS`, what a client sees behind the pointer. It is never
/// read back: the pointer itself is looked up.
#[repr(C)]
struct DriverGlobals {
    driver: AtomicUsize,
    flags: AtomicU32,
    tag: AtomicU32,
    name: [AtomicU8; 32],
    displace_unload: AtomicU8,
}

/// A client driver from its bind call until it is unloaded.
pub(crate) struct Client {
    name: String,
    version: NetAdapterCxVersion,
    driver: RwLock<Option<Handle>>,
    globals: Box<DriverGlobals>,
}

static CLIENTS: LazyLock<RwLock<HashMap<usize, Arc<Client>, SpreadState>>> =
    LazyLock::new(RwLock::default);

/// The globals pointer that was given out last, or 0: a process hosts one client at a time, and
/// that one's calls are known without a lock.
static LATEST: AtomicUsize = AtomicUsize::new(0);

/// Makes a client known under a new globals pointer.
pub(crate) fn bind(name: &str, version: NetAdapterCxVersion) -> Arc<Client> {
    let client = Arc::new(Client {
        name: name.to_owned(),
        version,
        driver: RwLock::new(None),
        globals: Box::new(DriverGlobals::named(name)),
    });
    let mut clients = CLIENTS.write().unwrap_or_else(PoisonError::into_inner);
    clients.insert(client.address(), Arc::clone(&client));
    LATEST.store(client.address(), Ordering::Release);
    client
}

/// Whether a hidden first argument is that of a client that is loaded.
pub(crate) fn is_known(globals: *const c_void) -> bool {
    let address = globals.addr();
    (address != 0 && address == LATEST.load(Ordering::Acquire)) || client(globals).is_some()
}

/// The client behind a hidden first argument; `None` if there is none (any more).
pub(crate) fn client(globals: *const c_void) -> Option<Arc<Client>> {
    let clients = CLIENTS.read().unwrap_or_else(PoisonError::into_inner);
    clients.get(&globals.addr()).cloned()
}

/// Forgets a client; its globals pointer is refused from now on.
pub(crate) fn unbind(client: &Client) {
    let mut clients = CLIENTS.write().unwrap_or_else(PoisonError::into_inner);
    let address = client.address();
    clients.remove(&address);
    let _ = LATEST.compare_exchange(address, 0, Ordering::AcqRel, Ordering::Relaxed);
}

impl Client {
    /// The pointer for the client's `Globals` field.
    pub(crate) fn pointer(&self) -> *mut c_void {
        (&raw const *self.globals).cast_mut().cast()
    }

    fn address(&self) -> usize {
        self.pointer().addr()
    }

    /// The file's stem, as messages and the configuration name this client.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The NetAdapterCx version the client was built for.
    pub(crate) fn version(&self) -> NetAdapterCxVersion {
        self.version
    }

    /// The driver object, once WdfDriverCreate made it.
    pub(crate) fn driver(&self) -> Option<Handle> {
        *self.driver.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the driver object, also where `WdfGetDriver` looks for it.
    pub(crate) fn set_driver(&self, driver: Option<Handle>) {
        *self.driver.write().unwrap_or_else(PoisonError::into_inner) = driver;
        let address = driver.map_or(0, Handle::address);
        self.globals.driver.store(address, Ordering::Release);
    }
}

impl DriverGlobals {
    fn named(name: &str) -> Self {
        let mut bytes = name.bytes().take(31);
        Self {
            driver: AtomicUsize::new(0),
            flags: AtomicU32::new(0),
            tag: AtomicU32::new(u32::from_le_bytes(*b"Umnt")),
            name: std::array::from_fn(|_| AtomicU8::new(bytes.next().unwrap_or(0))),
            displace_unload: AtomicU8::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_found_by_its_pointer_until_it_is_unbound() {
        let bound = bind("loopback", NetAdapterCxVersion::OFFERED);
        let found = client(bound.pointer()).unwrap();
        assert_eq!(found.name(), "loopback");
        assert!(is_known(bound.pointer()));
        unbind(&bound);
        assert!(client(bound.pointer()).is_none() && !is_known(bound.pointer()));
        assert!(client(std::ptr::null()).is_none() && !is_known(std::ptr::null()));
    }

    #[test]
    fn each_of_several_clients_is_known_until_it_goes() {
        let [first, second] = ["a", "b"].map(|name| bind(name, NetAdapterCxVersion::OFFERED));
        assert!(is_known(first.pointer()) && is_known(second.pointer()));
        unbind(&second);
        assert!(is_known(first.pointer()) && !is_known(second.pointer()));
        unbind(&first);
        assert!(!is_known(first.pointer()));
    }

    #[test]
    fn the_driver_handle_stands_first_in_the_globals() {
        let bound = bind("x", NetAdapterCxVersion::OFFERED);
        assert_eq!(bound.driver(), None);
        bound.set_driver(Some(Handle::from_address(0x50)));
        assert_eq!(bound.globals.driver.load(Ordering::Relaxed), 0x50);
        assert_eq!(std::mem::offset_of!(DriverGlobals, driver), 0);
        assert_eq!(std::mem::offset_of!(DriverGlobals, name), 16);
        unbind(&bound);
    }
}
