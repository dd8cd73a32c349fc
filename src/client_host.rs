//! `umnet run --client FILE.so`: hosts somebody's NetAdapterCx client.
//!
//! ```text
//! load ─► DriverEntry ─► a device for each one configured, and until every --ifname is taken
//!      ─► TAP for each adapter that is started ─► until a signal: interface changes, faults
//!      ─► devices ended, last one first ─► EvtDriverUnload ─► TAPs gone
//! ```

mod configuration;
mod error;
mod events;
mod port;
mod report;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use log::{error, info, warn};
use netadapter_shim::abi::NetPacketFilterFlags as Filter;
use netadapter_shim::door::adapters::{self, HostedAdapter};
use netadapter_shim::door::client_host::{ClientHost, ConfigurationScope};
use netadapter_shim::door::configuration_store::ConfigurationStore;
use netadapter_shim::door::hosted::{HostOptions, HostedClient};
use netadapter_shim::{AdapterConfig, ExecutionConfig, ReceiveFilter, SystemPort};

use self::configuration::Stores;
use self::events::{Event, Events};
use self::port::{ClientPort, Names, Seat, SharedSeat, look};
use self::report::Reporter;
use crate::control::{Server, socket_path};
use crate::host::interface::{Interfaces, Link};
use crate::host::watch::{LinkEvent, LinkWatch};
use crate::host::{Host, IfName};

pub use configuration::{BadValue, ClientSection};
pub use error::ClientError;

/// How long a client may stay in one callback, as Windows has it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// More devices than anybody wants from one client.
const MOST_DEVICES: usize = 64;

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
    let host = Arc::new(Seats::new(&config));
    let client = HostedClient::load(&config.file, host.clone(), options(&config))?;
    let mut session = Session {
        client,
        host,
        events,
        watches: Vec::new(),
    };
    let served = session.bring_up(&config).and_then(|()| {
        let _server = session.answer(&config)?;
        session.serve()
    });
    session.client.shut_down();
    served
}

fn options(config: &ClientConfig) -> HostOptions {
    let name = config.name();
    let socket = socket_path(&config.host, &config.stem());
    let ended = socket.clone();
    netadapter_shim::door::on_breach(Box::new(move || drop(std::fs::remove_file(&ended))));
    let on_stuck = move |callback: &'static str, deadline: Duration| {
        error!("{name}: {callback} has not returned after {deadline:?}; the host ends");
        let _ = std::fs::remove_file(&socket);
        // The client's thread is in its code, so none of that may run any more, not even what
        // it left to be run at exit.
        std::process::abort();
    };
    HostOptions {
        verifier: config.verifier,
        deadline: config.deadline,
        on_stuck: Box::new(on_stuck),
    }
}

/// What the client gets from this process, and what came of it.
struct Seats {
    names: Names,
    stores: Stores,
    verifier: bool,
    deadline: Duration,
    seats: Mutex<Vec<SharedSeat>>,
}

impl Seats {
    fn new(config: &ClientConfig) -> Self {
        let names = Names {
            host: config.host.clone(),
            wished: config.ifnames.clone(),
        };
        Self {
            names,
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
        let port = ClientPort::new(adapter, self.names.clone(), seat);
        Ok(Box::new(port))
    }

    fn configuration(&self, scope: ConfigurationScope) -> Arc<dyn ConfigurationStore> {
        self.stores.open(scope)
    }

    fn adapter_config(&self) -> AdapterConfig {
        AdapterConfig {
            execution: ExecutionConfig::default(),
            verifier: self.verifier,
            deadline: self.deadline.min(Duration::from_secs(10)),
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
}

/// One adapter's interface, as it was last seen.
struct Watched {
    adapter: HostedAdapter,
    watch: LinkWatch,
    link: Link,
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

    fn answer(&mut self, config: &ClientConfig) -> Result<Server, ClientError> {
        let reporter = Reporter::new(config, self.host.all());
        Ok(Server::start(
            &config.host,
            &config.stem(),
            Arc::new(reporter),
        )?)
    }

    /// Handles events until a signal asks for the end.
    fn serve(&mut self) -> Result<(), ClientError> {
        self.watch_interfaces()?;
        loop {
            for event in self.events.wait()? {
                match event {
                    Event::Signal => return Ok(()),
                    Event::Link(number) => self.link_changed(number)?,
                    Event::Fault(number) => self.fault(number),
                }
            }
        }
    }

    fn watch_interfaces(&mut self) -> Result<(), ClientError> {
        for (adapter, seat) in adapters::all().into_iter().zip(self.host.all()) {
            let index = look(&seat).index;
            let number = self.watches.len();
            let watch = LinkWatch::new(index)?;
            let link = Interfaces::open()?.get(index)?.unwrap_or_default();
            self.events.add(&watch, Event::Link(number))?;
            if let Some(fault) = adapter.fault_event() {
                self.events.add(&fault, Event::Fault(number))?;
            }
            let mut watched = Watched {
                adapter,
                watch,
                link: Link::default(),
            };
            watched.follow(link);
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
                LinkEvent::Changed(link) => watched.follow(link),
                LinkEvent::Removed => info!(
                    "{}: moved to another network namespace, or removed by somebody else",
                    watched.link.name
                ),
            }
        }
        Ok(())
    }

    fn fault(&self, number: usize) {
        let Some(watched) = self.watches.get(number) else {
            return;
        };
        for fault in watched.adapter.take_faults() {
            error!("{}: {fault}", watched.link.name);
        }
    }
}

impl Watched {
    /// Tells the client what the interface wants received, if that changed.
    fn follow(&mut self, link: Link) {
        let before = std::mem::replace(&mut self.link, link);
        let link = &self.link;
        let first = before.index == 0;
        if first || (link.promisc, link.allmulti) != (before.promisc, before.allmulti) {
            self.adapter.set_receive_filter(filter_of(link));
        }
    }
}

/// What an interface wants received. Which multicast groups its sockets joined, Linux tells
/// nobody outside the kernel, so all multicast is received and the interface filters.
fn filter_of(link: &Link) -> ReceiveFilter {
    let mut filter = Filter::DIRECTED | Filter::BROADCAST | Filter::MULTICAST;
    filter = filter | Filter::ALL_MULTICAST;
    if link.promisc {
        filter = filter | Filter::PROMISCUOUS;
    }
    ReceiveFilter {
        packet_filter: filter,
        multicast_addresses: Vec::new(),
    }
}
