//! A client driver in its host: loaded, its devices brought up, and everything taken down again.
//!
//! ```text
//!   load ── DriverEntry ── add_device: EvtDriverDeviceAdd, then up the ladder of `pnp`
//!   shut_down: each device down the ladder and deleted, last one first ── EvtDriverUnload
//! ```

// Calls DriverEntry, which was found in a library.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::client_host::{self, ClientHost};
use super::loader::{self, LoadError, Loaded};
use super::net::{self, adapter::AdapterObject};
use super::object::{self, Handle, Kind};
use super::pnp::device_calls::DeviceCalls;
use super::pnp::{Pnp, PnpError};
use super::types::UnicodeString;
use super::watchdog::{OnExpiry, Watchdog};
use super::wdf::{self, io_socket::IoSocket};
use super::{fail, globals};
use crate::abi::{FailureCode, NetPacketFilterFlags as Flags, NtStatus};
use crate::{Adapter, ReceiveFilter};

/// How a client is hosted.
pub struct HostOptions {
    /// Whether a broken rule ends the process.
    pub verifier: bool,
    /// How long the client may stay in one callback.
    pub deadline: Duration,
    /// Called with a callback's name when the client has stayed in it for too long. The thread
    /// that called it cannot be taken back; ending the process is all that is left.
    pub on_stuck: Box<dyn Fn(&'static str, Duration) + Send>,
    /// Called before a broken rule ends the process.
    pub on_breach: Box<dyn Fn() + Send + Sync>,
    /// Called, on a thread of the client, when it gives a device up (`WdfDeviceSetFailed`).
    pub on_failed: Arc<dyn Fn() + Send + Sync>,
}

/// Longest time in a queue's callback before it counts as stuck.
const QUEUE_DEADLINE: Duration = Duration::from_secs(10);

/// Why a client does not run.
#[derive(Debug, thiserror::Error)]
pub enum HostedError {
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// No thread to watch it.
    #[error("cannot start the watchdog: {0}")]
    Watchdog(std::io::Error),
    /// `DriverEntry` failed.
    #[error("{client}: DriverEntry failed with {status}")]
    Entry {
        /// The client.
        client: String,
        /// What it returned.
        status: NtStatus,
    },
    /// `DriverEntry` created no driver.
    #[error("{client}: DriverEntry succeeded without WdfDriverCreate")]
    NoDriver {
        /// The client.
        client: String,
    },
    /// `EvtDriverDeviceAdd` failed.
    #[error("{client}: EvtDriverDeviceAdd failed with {status}")]
    DeviceAdd {
        /// The client.
        client: String,
        /// What it returned.
        status: NtStatus,
    },
    /// A device did not come up.
    #[error("{client}: {step} failed with {status}")]
    Start {
        /// The client.
        client: String,
        /// The callback, or what the framework did.
        step: &'static str,
        /// What it returned.
        status: NtStatus,
    },
}

/// A client driver that was loaded and has a driver object.
pub struct HostedClient {
    client: Arc<globals::Client>,
    driver: Handle,
    devices: Vec<Running>,
    host: Arc<dyn ClientHost>,
    on_failed: Arc<dyn Fn() + Send + Sync>,
    watchdog: Arc<Watchdog>,
    // What DriverEntry was given; clients keep pointers into it.
    _entry: Box<EntryArguments>,
}

/// A device that was brought up.
struct Running {
    pnp: Pnp<DeviceCalls>,
    /// Through which programs reach its I/O queues, if it has any.
    _socket: Option<IoSocket>,
}

impl HostedClient {
    /// Loads a client and calls its `DriverEntry`. A process hosts one client at a time.
    ///
    /// # Errors
    /// [`HostedError`]; nothing of the client is left then but its code in memory.
    pub fn load(
        file: &Path,
        host: Arc<dyn ClientHost>,
        options: HostOptions,
    ) -> Result<Self, HostedError> {
        fail::set_verifier(options.verifier);
        fail::on_fatal(options.on_breach);
        // Before anybody who waits for a queue loses patience.
        let patience = (options.deadline / 2).min(QUEUE_DEADLINE) * 9 / 10;
        net::pace::set_limits(patience / 5, patience);
        let watchdog = Watchdog::new(options.deadline, stuck(options.on_stuck));
        let watchdog = Arc::new(watchdog.map_err(HostedError::Watchdog)?);
        let Loaded { client, entry } = loader::load(file)?;
        client_host::install(Some(Arc::clone(&host)));
        let mut arguments = Box::new(EntryArguments::new(client.name()));
        // SAFETY: a client's DriverEntry takes these two, which outlive the driver; its table is
        // filled.
        let status = watchdog.watch("DriverEntry", || unsafe {
            entry(arguments.object(), arguments.registry_path())
        });
        let name = client.name().to_owned();
        let failed = match (status.is_success(), client.driver()) {
            (true, Some(driver)) => {
                return Ok(Self {
                    client,
                    driver,
                    devices: Vec::new(),
                    host,
                    on_failed: options.on_failed,
                    watchdog,
                    _entry: arguments,
                });
            }
            (true, None) => HostedError::NoDriver { client: name },
            (false, driver) => {
                if let Some(driver) = driver {
                    object::delete(driver);
                }
                let client = name;
                HostedError::Entry { client, status }
            }
        };
        forget(&client);
        Err(failed)
    }

    /// The file's stem.
    pub fn name(&self) -> &str {
        self.client.name()
    }

    /// Asks the driver to add a device and brings it to D0.
    ///
    /// # Errors
    /// [`HostedError`]; the device is gone then.
    pub fn add_device(&mut self) -> Result<(), HostedError> {
        let add = || wdf::driver::add_device(self.driver);
        let added = self.watchdog.watch("EvtDriverDeviceAdd", add);
        let device = added.map_err(|status| HostedError::DeviceAdd {
            client: self.name().to_owned(),
            status,
        })?;
        let on_failed = Arc::clone(&self.on_failed);
        let calls = DeviceCalls::new(device, Arc::clone(&self.watchdog));
        let calls = calls.map_err(|status| HostedError::DeviceAdd {
            client: self.name().to_owned(),
            status,
        })?;
        calls.on_failed(Box::new(move |_| on_failed()));
        let mut pnp = Pnp::new(calls);
        if let Err(PnpError { call, status }) = pnp.start() {
            self.end(pnp);
            return Err(HostedError::Start {
                client: self.name().to_owned(),
                step: call.name(),
                status,
            });
        }
        let _socket = self.listen(&pnp);
        self.devices.push(Running { pnp, _socket });
        Ok(())
    }

    /// Opens the device's queues to other programs, if it has queues.
    fn listen(&self, pnp: &Pnp<DeviceCalls>) -> Option<IoSocket> {
        let path = self.host.io_socket(self.devices.len())?;
        if !pnp.calls().has_io_queue() {
            return None;
        }
        let socket = IoSocket::listen(&path, pnp.calls().handle());
        if let Err(error) = &socket {
            log::warn!(
                "{}: no program reaches its I/O queues: {error}",
                path.display()
            );
        }
        socket.ok()
    }

    /// The adapters of all devices that run, in the order of their creation.
    pub fn adapters(&self) -> Vec<HostedAdapter> {
        let devices = self
            .devices
            .iter()
            .map(|running| running.pnp.calls().handle());
        devices.flat_map(adapters_of).collect()
    }

    /// How many devices run.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Takes power away from all devices and gives it back: queues end and are built again.
    ///
    /// # Errors
    /// [`HostedError::Start`]: the devices before it run, it and those after it do not.
    pub fn power_cycle(&mut self) -> Result<(), HostedError> {
        for Running { pnp, .. } in &mut self.devices {
            pnp.power_down();
            pnp.start().map_err(|error| HostedError::Start {
                client: self.client.name().to_owned(),
                step: error.call.name(),
                status: error.status,
            })?;
        }
        Ok(())
    }

    /// Ends everything: devices, last one first, then the driver.
    pub fn shut_down(mut self) {
        while let Some(Running { pnp, _socket }) = self.devices.pop() {
            drop(_socket);
            self.end(pnp);
        }
        let unload = || wdf::driver::unload(self.driver);
        self.watchdog.watch("EvtDriverUnload", unload);
        forget(&self.client);
    }

    fn end(&self, mut pnp: Pnp<DeviceCalls>) {
        pnp.remove();
        let device = pnp.calls().handle();
        let delete = || object::delete(device);
        self.watchdog.watch("the cleanup callbacks", delete);
    }
}

/// A callback that does not return is a breach; without the verifier the host decides.
fn stuck(on_stuck: Box<dyn Fn(&'static str, Duration) + Send>) -> OnExpiry {
    Box::new(move |callback, patience| {
        fail::breach(
            FailureCode::ShimCallbackStuck,
            format_args!("{callback} has not returned for {patience:?}; it must not wait for ever"),
        );
        on_stuck(callback, patience);
    })
}

fn forget(client: &globals::Client) {
    globals::unbind(client);
    client_host::install(None);
}

/// The adapters of a device, in the order of their creation.
fn adapters_of(device: Handle) -> Vec<HostedAdapter> {
    let handles = object::children(device, Kind::Adapter);
    let adapter = |handle| object::payload::<AdapterObject>(handle, Kind::Adapter).ok();
    handles
        .into_iter()
        .filter_map(adapter)
        .map(HostedAdapter)
        .collect()
}

/// A client's adapter, as its host sees it.
#[derive(Clone)]
pub struct HostedAdapter(Arc<AdapterObject>);

impl HostedAdapter {
    /// Adapters of a process are numbered from 0 in the order of creation.
    pub fn number(&self) -> usize {
        self.0.number
    }

    /// Whether the client has started it.
    pub fn is_started(&self) -> bool {
        self.0.is_started()
    }

    /// Tells the client what the system wants received, as far as it can receive it. One that
    /// cannot hears nothing.
    pub fn set_receive_filter(&self, filter: ReceiveFilter) {
        let supported = self.with(|core| core.supported_packet_filters());
        let Some(filter) = fitted(filter, supported.unwrap_or_default()) else {
            return;
        };
        // A filter that the client does not have was logged where it was refused.
        let _ = net::adapter::set_receive_filter(&self.0, filter);
    }

    /// Looks at the adapter, or changes it.
    ///
    /// # Errors
    /// Another thread works with it and does not end, or it is being deleted.
    pub fn with<T>(&self, work: impl FnOnce(&mut Adapter) -> T) -> Result<T, NtStatus> {
        self.0.with("the host", work)
    }
}

/// What of a filter a client has; all multicast stands in for a list it does not have.
fn fitted(filter: ReceiveFilter, supported: Flags) -> Option<ReceiveFilter> {
    let mut flags = filter.packet_filter;
    if flags.contains(Flags::MULTICAST) && !supported.contains(Flags::MULTICAST) {
        flags = flags | Flags::ALL_MULTICAST;
    }
    let packet_filter = Flags(flags.0 & supported.0);
    let listed = packet_filter.contains(Flags::MULTICAST);
    let multicast_addresses = match listed {
        true => filter.multicast_addresses,
        false => Vec::new(),
    };
    (packet_filter.0 != 0).then_some(ReceiveFilter {
        packet_filter,
        multicast_addresses,
    })
}

/// `DRIVER_OBJECT` and the registry path: opaque to user-mode clients, who only hand them on.
struct EntryArguments {
    object: [u64; 8],
    path: Vec<u16>,
    registry_path: UnicodeString,
}

impl EntryArguments {
    fn new(client: &str) -> Self {
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

    fn object(&mut self) -> *mut c_void {
        self.object.as_mut_ptr().cast()
    }

    fn registry_path(&mut self) -> *mut c_void {
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
    fn a_filter_is_cut_to_what_the_client_has() {
        let wanted = ReceiveFilter {
            packet_filter: Flags::DIRECTED | Flags::MULTICAST | Flags::PROMISCUOUS,
            multicast_addresses: vec![[1, 0, 0x5e, 0, 0, 1]],
        };
        assert_eq!(fitted(wanted.clone(), Flags::default()), None);
        let listed = fitted(wanted.clone(), Flags::DIRECTED | Flags::MULTICAST).unwrap();
        assert_eq!(listed.packet_filter, Flags::DIRECTED | Flags::MULTICAST);
        assert_eq!(listed.multicast_addresses, wanted.multicast_addresses);
        let all = fitted(wanted, Flags::DIRECTED | Flags::ALL_MULTICAST).unwrap();
        assert_eq!(all.packet_filter, Flags::DIRECTED | Flags::ALL_MULTICAST);
        assert!(all.multicast_addresses.is_empty());
    }

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
