//! What the door asks of the process that hosts a client.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::configuration_store::ConfigurationStore;
use crate::AdapterConfig;
use crate::port::SystemPort;

/// Which part of the configuration a client opens. Devices and adapters are numbered in the order
/// in which they are created, adapters over all devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigurationScope {
    /// The driver's own parameters (`WdfDriverOpenParametersRegistryKey`).
    Driver,
    /// `NetDeviceOpenConfiguration`
    Device(usize),
    /// `NetAdapterOpenConfiguration`
    Adapter {
        /// The device it belongs to.
        device: usize,
        /// The adapter.
        adapter: usize,
    },
}

/// The process that hosts a client: ports into the system, and configuration.
///
/// Called on the client's threads, with no lock of the door held.
pub trait ClientHost: Send + Sync {
    /// A seat in the system for the adapter with this number; called once for each, from
    /// `NetAdapterCreate`, and again for the adapter that takes its place when its device is
    /// restarted. The port hears of MTU, address and link state as the client sets them.
    ///
    /// # Errors
    /// Whatever the operating system says. The adapter is not created then.
    fn open_port(&self, adapter: usize) -> io::Result<Box<dyn SystemPort>>;

    /// What `scope` is configured with; an empty table if there is nothing.
    fn configuration(&self, scope: ConfigurationScope) -> Arc<dyn ConfigurationStore>;

    /// Where programs reach the I/O queues of the device with this number; nowhere by default.
    ///
    /// # Errors
    /// There was to be a place, and it cannot be had.
    fn io_socket(&self, _device: usize) -> io::Result<Option<IoListener>> {
        Ok(None)
    }

    /// Where programs reach the I/O queues of the client's control device with this number, in
    /// the order in which they are finished; nowhere by default.
    ///
    /// # Errors
    /// As [`ClientHost::io_socket`].
    fn control_socket(&self, _device: usize) -> io::Result<Option<IoListener>> {
        Ok(None)
    }

    /// How adapters are built, and whether the verifier watches them.
    fn adapter_config(&self) -> AdapterConfig;
}

/// A unix socket on which programs reach a device, and what is done when the device is gone. The
/// process may have been given it by another one, and need not reach the socket's path.
pub struct IoListener {
    pub(crate) socket: UnixListener,
    closed: Option<Box<dyn FnOnce() + Send>>,
}

impl IoListener {
    /// A socket that somebody looks after: `closed` tells them that nobody answers any more.
    pub fn new(socket: UnixListener, closed: impl FnOnce() + Send + 'static) -> Self {
        let closed: Box<dyn FnOnce() + Send> = Box::new(closed);
        Self {
            socket,
            closed: Some(closed),
        }
    }

    /// A socket of this process at `path`, where a dead one's is replaced. It is removed in the end.
    ///
    /// # Errors
    /// The path cannot be bound, or somebody answers there.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if UnixStream::connect(path).is_err() {
            let _ = std::fs::remove_file(path);
        }
        let socket = UnixListener::bind(path)?;
        let path = path.to_owned();
        Ok(Self::new(socket, move || {
            let _ = std::fs::remove_file(path);
        }))
    }
}

impl Drop for IoListener {
    fn drop(&mut self) {
        if let Some(closed) = self.closed.take() {
            closed();
        }
    }
}

static HOST: RwLock<Option<Arc<dyn ClientHost>>> = RwLock::new(None);

/// Names the host that clients loaded from now on live in; a process has one at a time.
pub(crate) fn install(host: Option<Arc<dyn ClientHost>>) {
    *HOST.write().unwrap_or_else(PoisonError::into_inner) = host;
}

/// The host, while a client is loaded.
pub(crate) fn current() -> Option<Arc<dyn ClientHost>> {
    HOST.read().unwrap_or_else(PoisonError::into_inner).clone()
}
