//! `umnet run`: takes a card, drives it, and gives it back.
//!
//! ```text
//! Session::open   bind ─► VFIO ─► TAP ─► driver ─► the old interface's name, addresses, routes
//! Session::serve  until a signal: link and interface changes, faults, questions
//! Session::close  driver stopped ─► TAP gone (or kept) ─► card back with the kernel
//! ```
//!
//! This is the control thread. Frames move on the adapter's execution context.

mod events;
mod report;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use log::{error, info, warn};
use netadapter_shim::abi::NetPacketFilterFlags as Filter;
use netadapter_shim::os::tap::{Tap, TapConfig, TapError};
use netadapter_shim::{AdapterConfig, ExecutionConfig, ReceiveFilter};
use thiserror::Error;
use virtio::Transport;
use virtio::net::FeatureSet;
use virtio::spec::feature::*;
use virtio::spec::net::feature::*;
use virtio::transport::TransportError;
use virtio::transport::in_process::{DeviceConfig, DeviceThread, Echo, InProcess};
use virtio::transport::vfio::{Held, VfioPci};
use virtio::transport::vhost_user::{self, VhostUser};
use vmm_sys_util::eventfd::EventFd;

pub(crate) use self::events::signals;
use self::events::{Event, Events};
use self::report::Reporter;
use crate::card::{CardConfig, CardError};
use crate::config::RunConfig;
use crate::control::{ControlError, Server};
use crate::driver::{Driver, DriverConfig, DriverError};
use crate::exit::{Exit, Explain};
use crate::host::binding::{Binding, Released, Restore, TakeOptions};
use crate::host::interface::{Interfaces, Link};
use crate::host::state::{DeviceLock, Purpose};
use crate::host::watch::{LinkEvent, LinkWatch};
use crate::host::{DeviceSpec, HostError, IfName, MacAddress};
use crate::recovery::{Recovery, Step};

/// A run ended before its time.
#[derive(Debug, Error)]
pub enum RunError {
    /// The machine said no.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The device cannot be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Nobody plays the device, or nobody that can be talked to.
    #[error("{source}")]
    BackEnd {
        /// The device.
        device: DeviceSpec,
        /// What went wrong.
        source: TransportError,
    },
    /// The device or the adapter.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The interface could not be made.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// The control socket could not be made.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Waiting for events failed.
    #[error("cannot {action}: {source}")]
    Events {
        /// What was being done.
        action: &'static str,
        /// What the kernel answered.
        source: std::io::Error,
    },
    /// The device was removed while it was driven.
    #[error("{device}: the device was removed")]
    Removed {
        /// The device.
        device: String,
    },
}

impl Explain for RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Host(error) => error.exit(),
            Self::Control(error) => error.exit(),
            Self::Driver(DriverError::Card(error)) if is_refusal(error) => Exit::EnvironmentLacks,
            Self::Tap(error) => tap_exit(error),
            Self::BackEnd { .. } => Exit::EnvironmentLacks,
            _ => Exit::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.next_step(),
            Self::Control(error) => error.next_step(),
            Self::BackEnd { device, .. } => Some(format!("umnet doctor {device}")),
            Self::Removed { .. } => Some("plug it in again, then the same command".to_owned()),
            _ => None,
        }
    }
}

/// Whether the device is one that cannot be driven, whatever is tried.
fn is_refusal(error: &CardError) -> bool {
    use virtio::init::InitError;
    matches!(
        error,
        CardError::Init(InitError::Refused(_)) | CardError::NoInterrupts
    )
}

fn tap_exit(error: &TapError) -> Exit {
    match error {
        TapError::Exists { .. } | TapError::Busy { .. } => Exit::Busy,
        TapError::InvalidName { .. } => Exit::Usage,
        TapError::NoDevice | TapError::Permission { .. } => Exit::EnvironmentLacks,
        _ => Exit::Failed,
    }
}

/// Drives the device until SIGINT or SIGTERM.
///
/// # Errors
///
/// [`RunError`]; what was changed has been put back as far as that was possible.
pub fn run(config: RunConfig) -> Result<(), RunError> {
    // First of all, so that a signal at any later point ends the run in good order.
    let events = Events::new()?;
    let mut session = Session::open(&config, events)?;
    let served = session.serve();
    let removed = matches!(served, Err(RunError::Removed { .. }));
    let closed = session.close(removed);
    served.and(closed)
}

/// One run.
struct Session {
    driver: Shared<Driver>,
    events: Events,
    watch: LinkWatch,
    link: Link,
    recovery: Recovery,
    reset_at: Option<Instant>,
    binding: Option<Binding>,
    /// What the interface was called at first; it can be renamed, its index stays.
    ifname: IfName,
    adopt: bool,
    keep_interface: bool,
    _server: Server,
    /// Kept open as long as events are awaited from it.
    _removal: Option<EventFd>,
    /// Moves the frames of an in-process device.
    _device_thread: Option<DeviceThread>,
    _lock: Option<DeviceLock>,
}

/// What the control thread and those who ask for status share.
type Shared<T> = Arc<Mutex<T>>;

fn lock<T>(shared: &Shared<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    fn open(config: &RunConfig, events: Events) -> Result<Self, RunError> {
        let binding = bind(config)?;
        match Self::open_bound(config, events, binding.as_ref()) {
            Ok(mut session) => {
                session.binding = binding;
                Ok(session)
            }
            Err(failed) => {
                // Whatever held the device has been dropped by now.
                release(binding, Restore::Everything);
                Err(failed)
            }
        }
    }

    fn open_bound(
        config: &RunConfig,
        events: Events,
        binding: Option<&Binding>,
    ) -> Result<Self, RunError> {
        let device = open_device(config, binding)?;
        let name = interface_name(config, binding);
        let kept = config.host.has_interface(&name);
        let tap = open_tap(config, &name)?;
        let port = Port {
            tap,
            name: name.clone(),
            kept,
        };
        let opened = Self::open_between(config, events, binding, device, port);
        if opened.is_err() && config.keep_interface && !kept {
            discard(&name);
        }
        opened
    }

    fn open_between(
        config: &RunConfig,
        events: Events,
        binding: Option<&Binding>,
        device: Device,
        port: Port,
    ) -> Result<Self, RunError> {
        let Device {
            transport,
            thread,
            removal,
            lock,
        } = device;
        let Port { tap, name, kept } = port;
        let driver = Driver::start(transport, driver_config(config), Box::new(tap))?;
        let mut interfaces = Interfaces::open()?;
        let link = find(&mut interfaces, &name)?;
        if !kept {
            dress(config, &driver, binding, &mut interfaces, &link, &name)?;
        }
        let watch = LinkWatch::new(link.index)?;
        let link = find(&mut interfaces, &name)?;
        events.watch(&driver, &watch, removal.as_ref())?;
        info!(
            "{}: driving interface {name}; memory: {} KiB of rings and slots, {} KiB of system buffers",
            driver.name(),
            driver.info().pinned_bytes / 1024,
            driver.pool_bytes() / 1024
        );
        let driver = Arc::new(Mutex::new(driver));
        let reporter = Reporter::new(Arc::clone(&driver), binding, &link, name.clone());
        let server = Server::start(&config.host, &reporter.stem(), Arc::new(reporter))?;
        let mut session = Self {
            driver,
            events,
            watch,
            recovery: Recovery::default(),
            reset_at: None,
            binding: None,
            ifname: name,
            adopt: config.adopt,
            keep_interface: config.keep_interface,
            link: Link::default(),
            _server: server,
            _removal: removal,
            _device_thread: thread,
            _lock: lock,
        };
        session.follow(link);
        Ok(session)
    }

    /// Handles events until a signal asks for the end.
    fn serve(&mut self) -> Result<(), RunError> {
        loop {
            for event in self.events.wait(self.reset_at)? {
                match event {
                    Event::Signal => return Ok(()),
                    Event::Config => self.config_changed()?,
                    Event::Fault => self.fault(),
                    Event::Link => self.link_changed()?,
                    Event::Removal => return Err(self.removed()),
                }
            }
            if self.reset_at.is_some_and(|at| at <= Instant::now()) {
                self.reset_at = None;
                self.reset()?;
            }
        }
    }

    fn removed(&self) -> RunError {
        RunError::Removed {
            device: lock(&self.driver).name().to_owned(),
        }
    }

    fn close(mut self, removed: bool) -> Result<(), RunError> {
        if self.adopt && !removed {
            self.remember_interface();
        }
        let Self {
            driver,
            binding,
            keep_interface,
            events,
            _server,
            ..
        } = self;
        drop(events);
        drop(_server);
        let stopped = lock(&driver).stop();
        // The last owner: the server, which had the other, is gone.
        drop(driver);
        let restore = if keep_interface {
            Restore::DriverOnly
        } else {
            Restore::Everything
        };
        match binding {
            Some(binding) if removed && binding.is_unplugged() => forget(binding),
            binding => release(binding, restore),
        }
        Ok(stopped?)
    }

    /// What the interface carries at the end goes to the kernel's: a lease got meanwhile stays.
    fn remember_interface(&mut self) {
        let Some(binding) = &mut self.binding else {
            return;
        };
        let remembered = Interfaces::open()
            .and_then(|mut interfaces| interfaces.snapshot_at(self.link.index, &self.ifname))
            .and_then(|now| now.map_or(Ok(()), |now| binding.remember(now)));
        if let Err(error) = remembered {
            warn!("what the interface carries now will not be taken back: {error}");
        }
    }

    fn config_changed(&mut self) -> Result<(), RunError> {
        let mut driver = lock(&self.driver);
        let outcome = driver.config_changed();
        let name = driver.name().to_owned();
        drop(driver);
        match outcome {
            Err(error) if is_gone(&error) => Err(RunError::Removed { device: name }),
            Err(error) => {
                warn!("{name}: {error}");
                self.schedule_reset();
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn fault(&mut self) {
        let fault = lock(&self.driver).take_fault();
        if let Some(report) = fault {
            warn!("{}: {}, resetting", report.source, report.fault);
            self.schedule_reset();
        }
    }

    fn schedule_reset(&mut self) {
        if self.reset_at.is_some() {
            return;
        }
        match self.recovery.on_fault(Instant::now()) {
            Step::ResetAt(at) => self.reset_at = Some(at),
            Step::GiveUp => {
                let mut driver = lock(&self.driver);
                let name = driver.name().to_owned();
                error!(
                    "{name}: given up after {} resets; next: stop umnet, look at the device, start again",
                    self.recovery.resets()
                );
                if let Err(error) = driver.stop() {
                    warn!("{name}: {error}");
                }
            }
        }
    }

    fn reset(&mut self) -> Result<(), RunError> {
        let mut driver = lock(&self.driver);
        let outcome = driver.recover();
        let name = driver.name().to_owned();
        drop(driver);
        match outcome {
            Ok(()) => {
                info!("{name}: reset, running again");
                Ok(())
            }
            Err(error) if is_gone(&error) => Err(RunError::Removed { device: name }),
            Err(error) => {
                warn!("{name}: reset failed: {error}");
                self.schedule_reset();
                Ok(())
            }
        }
    }

    fn link_changed(&mut self) -> Result<(), RunError> {
        while let Some(event) = self.watch.next_event()? {
            match event {
                LinkEvent::Changed(link) => self.follow(link),
                LinkEvent::Removed => warn!("the interface was removed by somebody else"),
            }
        }
        Ok(())
    }

    /// Does to the device what was done to the interface.
    fn follow(&mut self, link: Link) {
        let before = std::mem::replace(&mut self.link, link);
        let link = &self.link;
        let mut driver = lock(&self.driver);
        let attempt = |what: &str, outcome: Result<(), DriverError>| {
            if let Err(error) = outcome {
                warn!("cannot follow the interface's {what}: {error}");
            }
        };
        if let Some(MacAddress(mac)) = link.mac.filter(|mac| Some(mac.0) != driver.mac()) {
            attempt("address", driver.set_mac(mac));
        }
        if link.mtu != driver.mtu() {
            attempt("MTU", driver.set_mtu(link.mtu));
        }
        if (link.promisc, link.allmulti) != (before.promisc, before.allmulti) || before.index == 0 {
            attempt("receive mode", driver.set_filter(filter_of(link)));
        }
    }
}

/// What an interface wants received. Which multicast groups its sockets joined, Linux tells
/// nobody outside the kernel, so all multicast is received and the interface filters.
fn filter_of(link: &Link) -> ReceiveFilter {
    let mut filter = Filter::DIRECTED | Filter::BROADCAST | Filter::ALL_MULTICAST;
    if link.promisc {
        filter = filter | Filter::PROMISCUOUS;
    }
    ReceiveFilter {
        packet_filter: filter,
        multicast_addresses: Vec::new(),
    }
}

fn is_gone(error: &DriverError) -> bool {
    use crate::card::CardError as C;
    use virtio::init::InitError as I;
    use virtio::net::ConfigError as N;
    let DriverError::Card(card) = error else {
        return false;
    };
    match card {
        C::Transport(e) | C::Init(I::Transport(e)) | C::Config(N::Transport(e)) => {
            matches!(e, TransportError::Gone { .. })
        }
        _ => false,
    }
}

fn bind(config: &RunConfig) -> Result<Option<Binding>, RunError> {
    match &config.device {
        DeviceSpec::InProcess | DeviceSpec::VhostUser(_) => Ok(None),
        device => {
            let card = config.host.find(device)?;
            let options = TakeOptions {
                force: config.force,
                purpose: Purpose::Run,
            };
            Ok(Some(Binding::take(&config.host, &card, options)?))
        }
    }
}

fn release(binding: Option<Binding>, restore: Restore) {
    let Some(binding) = binding else { return };
    let card = binding.card();
    match binding.release(restore) {
        Ok(Some(Released {
            driver, interface, ..
        })) => info!(
            "{card}: back with {}, interface {}",
            driver.as_deref().unwrap_or("no driver"),
            interface.as_deref().unwrap_or("none")
        ),
        Ok(None) => info!("{card}: stays with vfio-pci, as it was"),
        Err(error) => {
            error!("{card}: cannot be given back: {error}; next: umnet release {card}");
        }
    }
}

fn forget(binding: Binding) {
    let card = binding.card();
    match binding.forget() {
        Ok(()) => info!("{card}: unplugged"),
        Err(error) => error!("{card}: unplugged, but {error}"),
    }
}

/// Removes an interface that was made to stay, for a run that did not come about.
fn discard(name: &IfName) {
    let removed =
        Interfaces::open().and_then(|mut interfaces| match interfaces.find(name.as_str())? {
            Some(link) => interfaces.delete(link.index),
            None => Ok(()),
        });
    if let Err(error) = removed {
        warn!("{name} stays behind: {error}");
    }
}

/// The way to the system.
struct Port {
    tap: Tap,
    name: IfName,
    /// An earlier run has left the interface, with addresses of its own: it stays as it is.
    kept: bool,
}

/// The way to the device.
struct Device {
    transport: Box<dyn Transport>,
    /// That of a device which lives in this process.
    thread: Option<DeviceThread>,
    /// Fires when the system wants the device back.
    removal: Option<EventFd>,
    /// Keeps the name of a device that no [`Binding`] holds.
    lock: Option<DeviceLock>,
}

fn open_device(config: &RunConfig, binding: Option<&Binding>) -> Result<Device, RunError> {
    if let Some(binding) = binding {
        let mut held = Held::open(&binding.card().to_string())?;
        let removal = held.removal_request();
        return Ok(Device {
            transport: Box::new(VfioPci::from(held)),
            thread: None,
            removal,
            lock: None,
        });
    }
    if let DeviceSpec::VhostUser(socket) = &config.device {
        return open_back_end(config, socket);
    }
    let lock = DeviceLock::acquire_own(&config.host, &config.device.file_stem())?;
    let device_config = DeviceConfig {
        name: lock.device().to_owned(),
        ..DeviceConfig::default()
    };
    let (transport, device) = InProcess::new(device_config, Echo::default())?;
    let thread = device.run().map_err(|source| RunError::Events {
        action: "start the device's thread",
        source,
    })?;
    Ok(Device {
        transport: Box::new(transport),
        thread: Some(thread),
        removal: None,
        lock: Some(lock),
    })
}

fn open_back_end(config: &RunConfig, socket: &Path) -> Result<Device, RunError> {
    let lock = DeviceLock::acquire(&config.host, &config.device.file_stem())?;
    let name = config.device.to_string();
    let options = vhost_user::Options {
        mac: config.mac.map(|mac| mac.0),
        ..vhost_user::Options::default()
    };
    let connected = VhostUser::connect(&name, socket, options);
    let transport = connected.map_err(|source| RunError::BackEnd {
        device: config.device.clone(),
        source,
    })?;
    Ok(Device {
        transport: Box::new(transport),
        thread: None,
        removal: None,
        lock: Some(lock),
    })
}

fn open_tap(config: &RunConfig, name: &IfName) -> Result<Tap, TapError> {
    let attach = config.keep_interface;
    let mut tap = Tap::open(&TapConfig {
        attach,
        ..TapConfig::new(name.as_str())
    })?;
    if config.keep_interface {
        tap.set_persistent(true)?;
    }
    Ok(tap)
}

/// The name asked for, the old interface's, or a free one.
fn interface_name(config: &RunConfig, binding: Option<&Binding>) -> IfName {
    let asked = config.ifname.clone();
    let adopted = || Some(binding.and_then(Binding::interface)?.name.clone());
    asked.or_else(adopted).unwrap_or_else(|| free_name(config))
}

/// The first of `umnet0`, `umnet1` .. that no interface has.
fn free_name(config: &RunConfig) -> IfName {
    let names = (0u32..).filter_map(|n| format!("umnet{n}").parse::<IfName>().ok());
    names
        .into_iter()
        .find(|name| !config.host.has_interface(name))
        .unwrap_or_else(|| unreachable!("names do not run out"))
}

fn find(interfaces: &mut Interfaces, name: &IfName) -> Result<Link, RunError> {
    interfaces
        .find(name.as_str())?
        .ok_or_else(|| RunError::Events {
            action: "find the interface just made",
            source: std::io::ErrorKind::NotFound.into(),
        })
}

/// Gives the new interface what the old one had, or what the device says.
fn dress(
    config: &RunConfig,
    driver: &Driver,
    binding: Option<&Binding>,
    interfaces: &mut Interfaces,
    link: &Link,
    name: &IfName,
) -> Result<(), RunError> {
    if let Some(mac) = driver.mac() {
        interfaces.set_mac(link.index, MacAddress(mac))?;
    }
    let mtu = config.mtu.unwrap_or(driver.info().mtu());
    interfaces.set_mtu(link.index, mtu.into())?;
    match binding
        .filter(|_| config.adopt)
        .and_then(Binding::interface)
    {
        Some(snapshot) => {
            interfaces.apply_as(link.index, name, snapshot)?;
            if let Some(mtu) = config.mtu {
                interfaces.set_mtu(link.index, mtu.into())?;
            }
        }
        None => interfaces.set_up(link.index, true)?,
    }
    Ok(())
}

/// Packets in the system's receive ring. The system takes frames as soon as they are returned,
/// so few buffers do; many would only push each other out of caches and translation buffers.
const SYSTEM_RX_RING: u32 = 16;

/// How the threads that move frames are scheduled: see docs/decisions/0004.
fn scheduling() -> ExecutionConfig {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (nice, pause_after) = match processors {
        1 => (-10, Some(128)),
        _ => (-5, None),
    };
    ExecutionConfig {
        sched_batch: true,
        nice,
        pause_after,
        ..ExecutionConfig::default()
    }
}

fn driver_config(config: &RunConfig) -> DriverConfig {
    let default = CardConfig::default();
    let card = CardConfig {
        rx_ring: config.rx_ring.unwrap_or(default.rx_ring),
        tx_ring: config.tx_ring.unwrap_or(default.tx_ring),
        disabled: disabled(config),
        ..default
    };
    let adapter = AdapterConfig {
        execution: scheduling(),
        rx_ring: SYSTEM_RX_RING,
        ..AdapterConfig::default()
    };
    DriverConfig { card, adapter }
}

/// The features that the configuration switches off.
fn disabled(config: &RunConfig) -> FeatureSet {
    let (offload, feature) = (&config.offload, &config.feature);
    let switches: [(bool, &[u32]); 9] = [
        (offload.tx_checksum, &[VIRTIO_NET_F_CSUM]),
        (
            offload.tx_tso,
            &[VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6],
        ),
        (offload.tx_uso, &[VIRTIO_NET_F_HOST_USO]),
        (offload.rx_checksum, &[VIRTIO_NET_F_GUEST_CSUM]),
        (
            offload.rx_tso,
            &[VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6],
        ),
        (
            offload.rx_uso,
            &[VIRTIO_NET_F_GUEST_USO4, VIRTIO_NET_F_GUEST_USO6],
        ),
        (feature.event_idx, &[VIRTIO_F_EVENT_IDX]),
        (feature.mrg_rxbuf, &[VIRTIO_NET_F_MRG_RXBUF]),
        (feature.packed, &[VIRTIO_F_RING_PACKED]),
    ];
    let off = switches
        .iter()
        .filter(|(on, _)| !on)
        .flat_map(|(_, bits)| *bits);
    off.fold(FeatureSet::EMPTY, |set, &bit| set.with(bit))
}
