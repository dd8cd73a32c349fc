//! `umnet run --client FILE.so`: hosts somebody's NetAdapterCx client.
//!
//! ```text
//! load ─► DriverEntry ─► a device for each one configured, and until every --ifname is taken
//!      ─► TAP for each adapter that is started ─► until a signal, or until no device is left:
//!         interface changes, faults, devices that are restarted or that something happens to
//!      ─► devices ended, last one first ─► EvtDriverUnload ─► TAPs gone
//! ```

mod configuration;
mod error;
mod events;
mod filter;
mod live;
mod port;
mod report;
mod watched;

use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{error, info, warn};
use netadapter_shim::door::client_host::{ClientHost, ConfigurationScope};
use netadapter_shim::door::configuration_store::ConfigurationStore;
use netadapter_shim::door::hosted::{self, HostOptions, HostedClient};
use netadapter_shim::{AdapterConfig, ExecutionConfig, SystemPort};
use vmm_sys_util::eventfd::EventFd;

use self::configuration::Stores;
use self::events::{Event, Events};
use self::live::{EventSender, Shared, Wish};
use self::port::{ClientPort, Names, Seat, SharedSeat, look};
use self::report::Reporter;
use self::watched::Watched;
use crate::control::{DeviceEvent, Server, socket_path};
use crate::host::interface::Interfaces;
use crate::host::state::DeviceLock;
use crate::host::watch::{LinkEvent, LinkWatch};
use crate::host::{Host, IfName};

pub use configuration::{BadValue, ClientSection};
pub use error::ClientError;

/// How long a client may stay in one callback, as Windows has it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often to look which multicast groups an interface is in: Linux tells nobody when that
/// changes.
const LOOK: Duration = Duration::from_secs(1);

/// More devices than anybody wants from one client.
const MOST_DEVICES: usize = 64;

/// Held by whoever makes files in the run folder, and for good by whoever takes them away because
/// the process ends: a client may break a rule while the main thread still sets up.
static FILES: Mutex<()> = Mutex::new(());

/// Ring elements for clients that have no wish. Many emulate a link on a thread of their own and
/// drop what finds the receive ring full: it must last for as long as the scheduler may keep the
/// queue's thread waiting, which is milliseconds where processors are few.
const TX_RING: u32 = 128;
const RX_RING: u32 = 1024;

/// What a run of a client is told.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The machine.
    pub host: Host,
    /// The shared library.
    pub file: PathBuf,
    /// Names of the interfaces in the order in which the client creates its adapters; those
    /// beyond are called `umnet0`, `umnet1` and so on.
    pub ifnames: Vec<IfName>,
    /// Whether a broken rule ends the run.
    pub verifier: bool,
    /// How long the client may stay in one callback.
    pub deadline: Duration,
    /// What the configuration file says to this client.
    pub section: ClientSection,
}

impl ClientConfig {
    /// What configuration, messages and files in the run folder call the client.
    pub fn name(&self) -> String {
        let stem = self.file.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// The name of the control socket. Several runs of one client may go on at once.
    fn stem(&self) -> String {
        format!("client-{}-{}", self.name(), std::process::id())
    }
}

/// Hosts the client until SIGINT or SIGTERM.
///
/// # Errors
/// [`ClientError`]; the client has been taken down then as far as that was possible.
pub fn run(config: ClientConfig) -> Result<(), ClientError> {
    // First of all, so that a signal at any later point ends the run in good order.
    let events = Events::new()?;
    let _lock = DeviceLock::acquire(&config.host, &config.stem())?;
    let host = Arc::new(Seats::new(&config));
    let waker = events.waker()?;
    let client = HostedClient::load(&config.file, host.clone(), options(&config, waker))?;
    let (sender, wishes) = channel();
    let sender = EventSender::new(sender, events.waker()?);
    let mut session = Session {
        client,
        host,
        events,
        watches: Vec::new(),
        shared: Arc::default(),
        wishes,
        next: None,
    };
    let served = session.bring_up(&config).and_then(|()| {
        let _server = session.answer(&config, sender)?;
        session.serve()
    });
    session.watches.clear();
    session.client.shut_down();
    served
}

fn options(config: &ClientConfig, waker: EventFd) -> HostOptions {
    let (name, tidy) = (config.name(), tidying(config));
    let on_stuck = move |callback: &'static str, deadline: Duration| {
        error!("{name}: {callback} has not returned for {deadline:?}: the host ends");
        tidy();
        // The client's thread is in the client's code, so none of that may run any more, not
        // even what it left to be run at exit.
        std::process::abort();
    };
    HostOptions {
        verifier: config.verifier,
        deadline: config.deadline,
        on_stuck: Box::new(on_stuck),
        on_breach: Box::new(tidying(config)),
        on_failed: Arc::new(move || drop(waker.write(1))),
    }
}

/// Takes the run's files away where the process ends without coming back here.
fn tidying(config: &ClientConfig) -> impl Fn() + Send + Sync + use<> {
    let socket = socket_path(&config.host, &config.stem());
    move || {
        std::mem::forget(FILES.lock());
        let _ = std::fs::remove_file(&socket);
        let _ = std::fs::remove_file(socket.with_extension("lock"));
        for device in 0..MOST_DEVICES {
            let _ = std::fs::remove_file(socket.with_extension(format!("io{device}")));
            let _ = std::fs::remove_file(socket.with_extension(format!("control{device}")));
        }
        // Fails as long as another run has files there.
        let _ = socket.parent().map(std::fs::remove_dir);
    }
}

/// What the client gets from this process, and what came of it.
struct Seats {
    names: Names,
    stores: Stores,
    /// The control socket; others lie beside it.
    files: PathBuf,
    verifier: bool,
    deadline: Duration,
    seats: Mutex<Vec<SharedSeat>>,
}

impl Seats {
    fn new(config: &ClientConfig) -> Self {
        Self {
            names: Names(config.ifnames.clone()),
            files: socket_path(&config.host, &config.stem()),
            stores: Stores::new(config.section.clone()),
            verifier: config.verifier,
            deadline: config.deadline,
            seats: Mutex::default(),
        }
    }

    fn all(&self) -> Vec<SharedSeat> {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.clone()
    }

    /// The seat of one adapter, made when it is first asked for.
    fn seat(&self, adapter: usize) -> SharedSeat {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        while seats.len() <= adapter {
            seats.push(Arc::new(Mutex::new(Seat::default())));
        }
        Arc::clone(&seats[adapter])
    }
}

impl ClientHost for Seats {
    fn open_port(&self, adapter: usize) -> io::Result<Box<dyn SystemPort>> {
        let seat = self.seat(adapter);
        let port = ClientPort::new(adapter, self.names.clone(), 1, seat);
        Ok(Box::new(port))
    }

    fn configuration(&self, scope: ConfigurationScope) -> Arc<dyn ConfigurationStore> {
        self.stores.open(scope)
    }

    fn io_socket(&self, device: usize) -> Option<PathBuf> {
        // Not `.sock`: that is what the sockets for status and stats are called.
        Some(self.files.with_extension(format!("io{device}")))
    }

    fn control_socket(&self, device: usize) -> Option<PathBuf> {
        let extension = format!("control{device}");
        (device < MOST_DEVICES).then(|| self.files.with_extension(extension))
    }

    fn adapter_config(&self) -> AdapterConfig {
        AdapterConfig {
            execution: ExecutionConfig::default(),
            verifier: self.verifier,
            // Before the callback that waits for the queues counts as one that does not return.
            deadline: (self.deadline / 2).min(Duration::from_secs(10)),
            tx_ring: TX_RING,
            rx_ring: RX_RING,
            ..AdapterConfig::default()
        }
    }
}

/// One run.
struct Session {
    client: HostedClient,
    host: Arc<Seats>,
    events: Events,
    watches: Vec<Watched>,
    shared: Arc<Shared>,
    wishes: Receiver<Wish>,
    /// When a device is due to be restarted.
    next: Option<Instant>,
}

impl From<DeviceEvent> for hosted::DeviceEvent {
    fn from(event: DeviceEvent) -> Self {
        match event {
            DeviceEvent::PowerCycle => Self::PowerCycle,
            DeviceEvent::Rebalance => Self::Rebalance,
            DeviceEvent::SurpriseRemoval => Self::SurpriseRemoval,
        }
    }
}

impl Session {
    /// Adds the devices that are configured, at least one, and more as long as names are left
    /// that no adapter has taken.
    fn bring_up(&mut self, config: &ClientConfig) -> Result<(), ClientError> {
        let configured = config.section.devices().max(1);
        loop {
            let before = self.host.all().len();
            self.client.add_device()?;
            let adapters = self.host.all().len();
            let enough = self.client.devices() >= configured && adapters >= config.ifnames.len();
            if enough {
                break;
            }
            if adapters == before && self.client.devices() >= configured {
                warn!("the client creates no more adapters: some names stay unused");
                break;
            }
            if self.client.devices() >= MOST_DEVICES {
                warn!("{MOST_DEVICES} devices are enough");
                break;
            }
        }
        let (devices, adapters) = (self.client.devices(), self.host.all().len());
        info!(
            "{}: {devices} device(s) with {adapters} adapter(s)",
            self.client.name()
        );
        Ok(())
    }

    fn answer(
        &mut self,
        config: &ClientConfig,
        events: EventSender,
    ) -> Result<Server, ClientError> {
        let reporter = Reporter::new(config, Arc::clone(&self.shared), events);
        let _files = FILES.lock();
        Ok(Server::start(
            &config.host,
            &config.stem(),
            Arc::new(reporter),
        )?)
    }

    /// Handles events until a signal asks for the end, or no device is left.
    fn serve(&mut self) -> Result<(), ClientError> {
        self.look_around()?;
        loop {
            for event in self.events.wait(self.patience())? {
                match event {
                    Event::Signal => return Ok(()),
                    Event::Woken => self.events.acknowledge(),
                    Event::Link(number) => self.link_changed(number)?,
                    Event::Fault(number) => self.fault(number),
                }
            }
            self.grant_wishes()?;
            self.tend(false)?;
            self.watches.iter_mut().for_each(Watched::refresh);
        }
    }

    /// Until the next look at everything.
    fn patience(&self) -> Duration {
        let due = |next: Instant| next.saturating_duration_since(Instant::now());
        self.next.map_or(LOOK, |next| due(next).min(LOOK))
    }

    fn grant_wishes(&mut self) -> Result<(), ClientError> {
        while let Ok(Wish { event, done }) = self.wishes.try_recv() {
            let happened = self.client.happen(event.into());
            let settled = self.tend(true);
            // Whoever asked may have gone.
            let _ = done.send(happened.map_err(|error| error.to_string()));
            settled?;
        }
        Ok(())
    }

    /// Has failed devices taken down and restarted. Something may have `happened` to devices.
    fn tend(&mut self, happened: bool) -> Result<(), ClientError> {
        let tended = self.client.tend(Instant::now());
        self.next = tended.next;
        if happened || tended.changed {
            self.look_around()?;
        }
        if tended.alive {
            return Ok(());
        }
        let client = self.client.name().to_owned();
        Err(ClientError::NoDeviceLeft { client })
    }

    /// Adapters have come or gone: those there are now are watched and shown.
    fn look_around(&mut self) -> Result<(), ClientError> {
        let adapters = self.client.adapters().into_iter();
        let seated = adapters.map(|adapter| {
            let seat = self.host.seat(adapter.number());
            (adapter, seat)
        });
        self.shared.update(seated.collect(), self.client.restarts());
        if self.next.is_none() {
            self.host.all().iter().for_each(|seat| look(seat).leave());
        }
        self.watch_interfaces()
    }

    fn watch_interfaces(&mut self) -> Result<(), ClientError> {
        self.watches.clear();
        for adapter in self.client.adapters() {
            let index = look(&self.host.seat(adapter.number())).index;
            if index == 0 {
                // Never started: it has no interface.
                continue;
            }
            let watch = LinkWatch::new(index)?;
            let number = self.watches.len();
            self.events.add(watch.as_raw_fd(), Event::Link(number))?;
            if let Ok(fault) = adapter.with(|core| core.fault_event()) {
                self.events.add(fault, Event::Fault(number))?;
            }
            let link = Interfaces::open()?.get(index)?;
            let mut watched = Watched {
                adapter,
                watch,
                link: link.unwrap_or_default(),
                here: true,
                filter: None,
            };
            watched.refresh();
            self.watches.push(watched);
        }
        Ok(())
    }

    fn link_changed(&mut self, number: usize) -> Result<(), ClientError> {
        let Some(watched) = self.watches.get_mut(number) else {
            return Ok(());
        };
        while let Some(event) = watched.watch.next_event()? {
            match event {
                LinkEvent::Changed(link) => watched.link = link,
                LinkEvent::Removed => watched.leave(),
            }
        }
        Ok(())
    }

    fn fault(&self, number: usize) {
        let Some(watched) = self.watches.get(number) else {
            return;
        };
        let faults = watched.adapter.with(|core| core.take_faults());
        for (queue, fault) in faults.unwrap_or_default() {
            error!("{}: queue pair {queue}: {fault}", watched.link.name);
        }
    }
}
