//! A client driver in its host: loaded, its devices brought up, and everything taken down again.
//!
//! ```text
//!   load ── DriverEntry ── add_device: EvtDriverDeviceAdd, then up the ladder of `pnp`
//!   tend: devices that failed are taken down, and added again when it is time (`restart`)
//!   shut_down: each device down the ladder and deleted, last one first ── EvtDriverUnload
//! ```

mod adapter;
pub(super) mod entry;
mod slot;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::adapter::adapters_of;
use self::entry::EntryArguments;
use self::slot::{Running, Slot};
use super::client_host::{self, ClientHost};
use super::loader::{self, LoadError, Loaded};
use super::object::{self, Handle};
use super::pnp::device_calls::DeviceCalls;
use super::pnp::{Pnp, PnpError};
use super::watchdog::{OnExpiry, Watchdog};
use super::wdf::{self, io_socket::IoSocket};
use super::{fail, globals, net};
use crate::abi::{FailureCode, NtStatus};

pub use self::adapter::HostedAdapter;
pub use super::net::power::{SleepDuty, WakeReason};

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
    slots: Vec<Slot>,
    host: Arc<dyn ClientHost>,
    on_failed: Arc<dyn Fn() + Send + Sync>,
    watchdog: Arc<Watchdog>,
    restarts: u64,
    // What DriverEntry was given; clients keep pointers into it.
    _entry: Box<EntryArguments>,
}

/// What happens to a device from outside, as Windows would have it happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceEvent {
    /// It sleeps and wakes up: `EvtDeviceD0Exit`, then `EvtDeviceD0Entry` with new queues.
    PowerCycle,
    /// Its hardware is taken away and given back: `EvtDeviceReleaseHardware`, then
    /// `EvtDevicePrepareHardware`.
    Rebalance,
    /// It was pulled out: `EvtDeviceSurpriseRemoval`, and it is gone.
    SurpriseRemoval,
}

/// How the devices of a client are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tended {
    /// Adapters have come or gone.
    pub changed: bool,
    /// When a device is due to be restarted.
    pub next: Option<Instant>,
    /// Whether a device runs, or will.
    pub alive: bool,
}

/// A client whose library is loaded and whose functions are bound; of its own code only what its
/// language runs when a library is loaded has run.
pub struct LoadedClient(Loaded);

impl LoadedClient {
    /// Loads a client. What it does wrong is a breach from here on, if `verifier` is on.
    ///
    /// # Errors
    /// [`HostedError::Load`].
    pub fn load(file: &Path, verifier: bool) -> Result<Self, HostedError> {
        fail::set_verifier(verifier);
        let loaded = loader::load(file)?;
        log::info!(
            "{}: built for NetAdapterCx {}",
            loaded.client.name(),
            loaded.client.version()
        );
        Ok(Self(loaded))
    }

    /// Calls the client's `DriverEntry`. A process hosts one client at a time.
    ///
    /// # Errors
    /// [`HostedError`]; nothing of the client is left then but its code in memory.
    pub fn enter(
        self,
        host: Arc<dyn ClientHost>,
        options: HostOptions,
    ) -> Result<HostedClient, HostedError> {
        let Self(loaded) = self;
        fail::set_verifier(options.verifier);
        fail::on_fatal(options.on_breach);
        // Before anybody who waits for a queue loses patience.
        let patience = (options.deadline / 2).min(QUEUE_DEADLINE) * 9 / 10;
        net::pace::set_limits(patience / 5, patience);
        let watchdog = Watchdog::new(options.deadline, stuck(options.on_stuck));
        let watchdog = Arc::new(watchdog.map_err(HostedError::Watchdog)?);
        let client = Arc::clone(&loaded.client);
        client_host::install(Some(Arc::clone(&host)));
        let mut arguments = Box::new(EntryArguments::new(client.name()));
        let status = watchdog.watch("DriverEntry", || loaded.enter(&mut arguments));
        match entered(&client, status) {
            Ok(driver) => Ok(HostedClient {
                client,
                driver,
                slots: Vec::new(),
                restarts: 0,
                host,
                on_failed: options.on_failed,
                watchdog,
                _entry: arguments,
            }),
            Err(failed) => {
                forget(&client);
                Err(failed)
            }
        }
    }
}

/// What came of a DriverEntry; a driver that was made before it failed is gone.
fn entered(client: &globals::Client, status: NtStatus) -> Result<Handle, HostedError> {
    let name = client.name().to_owned();
    match (status.is_success(), client.driver()) {
        (true, Some(driver)) => Ok(driver),
        (true, None) => Err(HostedError::NoDriver { client: name }),
        (false, driver) => {
            if let Some(driver) = driver {
                object::delete(driver);
            }
            Err(HostedError::Entry {
                client: name,
                status,
            })
        }
    }
}

impl HostedClient {
    /// Loads a client and calls its `DriverEntry`: [`LoadedClient::load`] and
    /// [`LoadedClient::enter`].
    ///
    /// # Errors
    /// [`HostedError`]; nothing of the client is left then but its code in memory.
    pub fn load(
        file: &Path,
        host: Arc<dyn ClientHost>,
        options: HostOptions,
    ) -> Result<Self, HostedError> {
        LoadedClient::load(file, options.verifier)?.enter(host, options)
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
        let running = self.bring_up(self.slots.len())?;
        self.slots.push(Slot::new(running));
        Ok(())
    }

    fn bring_up(&self, number: usize) -> Result<Running, HostedError> {
        let refused = |status| HostedError::DeviceAdd {
            client: self.name().to_owned(),
            status,
        };
        let add = || wdf::driver::add_device(self.driver);
        let added = self.watchdog.watch("EvtDriverDeviceAdd", add);
        let calls = DeviceCalls::new(added.map_err(refused)?, Arc::clone(&self.watchdog));
        let calls = calls.map_err(refused)?;
        let on_failed = Arc::clone(&self.on_failed);
        calls.on_failed(Box::new(move |_| on_failed()));
        let mut pnp = Pnp::new(calls);
        if let Err(error) = pnp.start() {
            self.end(pnp);
            return Err(self.not_started(error));
        }
        let socket = self.listen(number, &pnp);
        Ok(Running { pnp, socket })
    }

    fn not_started(&self, PnpError { call, status }: PnpError) -> HostedError {
        HostedError::Start {
            client: self.name().to_owned(),
            step: call.name(),
            status,
        }
    }

    /// Opens the device's queues to other programs, if it has queues.
    fn listen(&self, number: usize, pnp: &Pnp<DeviceCalls>) -> Option<IoSocket> {
        if !pnp.calls().has_io_queue() {
            return None;
        }
        let listener = self.host.io_socket(number).transpose()?;
        let device = pnp.calls().handle();
        let socket = listener.and_then(|listener| IoSocket::listen(listener, device));
        if let Err(error) = &socket {
            log::warn!("device {number}: no program reaches its I/O queues: {error}");
        }
        socket.ok()
    }

    /// The adapters of all devices that run, in the order of their creation.
    pub fn adapters(&self) -> Vec<HostedAdapter> {
        let running = self.slots.iter().filter_map(|slot| slot.running.as_ref());
        let devices = running.map(|running| running.pnp.calls().handle());
        devices.flat_map(adapters_of).collect()
    }

    /// How many devices there are, those included that are down.
    pub fn devices(&self) -> usize {
        self.slots.len()
    }

    /// How often a device was started again.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Has something happen to all devices that run.
    ///
    /// # Errors
    /// The first device that refuses, or does not come back: that one has failed, the others have
    /// not.
    pub fn happen(&mut self, event: DeviceEvent) -> Result<(), HostedError> {
        let mut first = None;
        for number in 0..self.slots.len() {
            if let Err(error) = self.happen_to(number, event) {
                log::error!("device {number}: {error}");
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// [`DeviceEvent::PowerCycle`]: power goes and comes back, queues end and are built again.
    ///
    /// # Errors
    /// As for [`Self::happen`].
    pub fn power_cycle(&mut self) -> Result<(), HostedError> {
        self.happen(DeviceEvent::PowerCycle)
    }

    fn happen_to(&mut self, number: usize, event: DeviceEvent) -> Result<(), HostedError> {
        let Some(mut running) = self.slots[number].running.take() else {
            return Ok(());
        };
        let back = match event {
            DeviceEvent::PowerCycle => {
                running.pnp.power_down();
                running.pnp.start()
            }
            DeviceEvent::Rebalance => running.pnp.stop().and_then(|()| running.pnp.start()),
            DeviceEvent::SurpriseRemoval => {
                self.pull_out(running);
                return Ok(());
            }
        };
        if running.pnp.is_working() {
            self.slots[number].running = Some(running);
        } else {
            self.pull_out(running);
            self.slots[number].fail(Instant::now());
        }
        back.map_err(|error| self.not_started(error))
    }

    /// Takes devices down that the client has given up, and starts those again whose time has
    /// come. To be called when `on_failed` was, and at [`Tended::next`].
    pub fn tend(&mut self, now: Instant) -> Tended {
        let mut changed = false;
        for number in 0..self.slots.len() {
            changed |= self.take_down(number, now);
            changed |= self.restart(number, now);
        }
        Tended {
            changed,
            next: self.slots.iter().filter_map(|slot| slot.due).min(),
            alive: self.slots.iter().any(Slot::is_alive),
        }
    }

    fn take_down(&mut self, number: usize, now: Instant) -> bool {
        let slot = &mut self.slots[number];
        let Some((running, action)) = slot.take_failed() else {
            return false;
        };
        self.pull_out(running);
        self.slots[number].given_up(action, now);
        true
    }

    fn restart(&mut self, number: usize, now: Instant) -> bool {
        if !self.slots[number].take_due(now) {
            return false;
        }
        match self.bring_up(number) {
            Ok(running) => {
                log::info!("device {number} runs again");
                self.restarts += 1;
                self.slots[number].running = Some(running);
            }
            Err(error) => {
                log::error!("device {number} does not start again: {error}");
                self.slots[number].fail(now);
            }
        }
        true
    }

    /// Ends everything: devices, last one first, then the driver.
    pub fn shut_down(mut self) {
        while let Some(slot) = self.slots.pop() {
            if let Some(Running { pnp, socket }) = slot.running {
                drop(socket);
                self.end(pnp);
            }
        }
        let unload = || wdf::driver::unload(self.driver);
        self.watchdog.watch("EvtDriverUnload", unload);
        forget(&self.client);
        report_breaches(self.name());
    }

    /// Ends a device that is gone already, as far as the client can know.
    fn pull_out(&self, Running { mut pnp, socket }: Running) {
        drop(socket);
        pnp.surprise_remove();
        self.end(pnp);
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

/// A run without the verifier ends with what the verifier would have ended it for.
fn report_breaches(name: &str) {
    let codes = fail::remembered();
    if !codes.is_empty() {
        let codes: Vec<_> = codes.iter().map(ToString::to_string).collect();
        log::warn!("{name} broke these rules: {}", codes.join(", "));
    }
}

fn forget(client: &globals::Client) {
    globals::unbind(client);
    client_host::install(None);
}

/// What is in the table of objects, each by kind and handle. Once a client has been shut down, what
/// is still there it has taken references to, and never gave them back.
pub fn objects() -> Vec<String> {
    object::all().iter().map(ToString::to_string).collect()
}
