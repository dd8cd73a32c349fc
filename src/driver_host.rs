//! The driver host: the process in which a device is driven, and which may die at any time.
//!
//! ```text
//! Setup ─► build what can be built ─► lock in ─► Ready     a spare, waiting on one read
//! Go    ─► Driver::start ─► Started ─► serve until Stop, or until the supervisor is gone
//! ```
//!
//! It is started by its [supervisor](crate::run) with nothing but a socket as its standard input.
//! What it cannot do itself it asks for over the same socket. Frames move on a thread made beforehand;
//! this one, the control thread, talks to the supervisor and follows the device.

mod port;
mod serve;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use netadapter_shim::os::tap::Tap;
use netadapter_shim::{AdapterConfig, Crew, ExecutionConfig};
use virtio::transport::in_process::{DeviceConfig, DeviceThread, Echo, InProcess};
use virtio::transport::vfio::{Loan, VfioPci};
use virtio::transport::vhost_user::{self, Spawn, VhostUser};
use virtio::{Transport, TransportError};

use syscalls::Sysno;

use self::port::LentPort;
use self::serve::Service;
use crate::cage::{self, Confined, Confinement, Profile};
use crate::card::CardConfig;
use crate::channel::{DeviceSetup, FromHost, Line, PROTOCOL, Setup, SharedLine, ToHost};
use crate::driver::DriverConfig;
use crate::exit::Exit;
use crate::hosting::{self, HostEnd, system};

/// Runs the host whose supervisor is at the other end of standard input, and ends the process: a
/// thread that ended before it would make calls that its cage has not.
pub fn main(caged: bool) -> ! {
    let mut threads = Threads::default();
    let done = run(caged, &mut threads).map(|()| Exit::Done);
    hosting::end("driver host", done)
}

/// Threads that last as long as the process.
#[derive(Default)]
struct Threads {
    crews: Vec<Arc<Crew>>,
    /// That of a device which lives in this process.
    device: Option<DeviceThread>,
}

fn run(caged: bool, threads: &mut Threads) -> Result<(), HostEnd> {
    let base = scheduled();
    // While it is still permitted; threads made from here on have it from this one.
    base.adapter.execution.schedule_this_thread();
    let confined = caged
        .then(|| cage::enter(&Confinement::default()))
        .transpose()?;
    let (line, message, fds) = hosting::first_message()?;
    let ToHost::Setup(setup) = message else {
        return Err(hosting::unexpected("a set-up", &message));
    };
    let mut service = prepare(line, &setup, fds, base, confined, threads)?;
    service.serve()
}

/// Builds everything that does not touch the device, and locks the process in.
fn prepare(
    line: Line,
    setup: &Setup,
    fds: Vec<OwnedFd>,
    base: DriverConfig,
    confined: Option<Confined>,
    threads: &mut Threads,
) -> Result<Service, HostEnd> {
    let line = SharedLine::new(line);
    let mut lent = Descriptors::split(setup, fds)?;
    let tap = Tap::attached(&setup.port.name, lent.queues, setup.port.uso);
    let port = LentPort::new(tap, line.clone());
    let made = |crew: io::Result<Crew>| crew.map(Arc::new).map_err(system("make threads"));
    let crew = made(Crew::new(thread_count(&setup.device), THREADS))?;
    // How many pairs the device has is not known yet.
    let several = match setup.port.queues {
        0 | 1 => None,
        queues => Some(made(Crew::pinned(queues, THREADS))?),
    };
    threads.crews = std::iter::once(&crew).chain(&several).cloned().collect();
    let device = device(setup, &mut lent.device, &line, threads, &crew)?;
    hosting::end_with_supervisor()?;
    let cage = match confined {
        Some(confined) => {
            let locked = cage::lock_down(&device.profile)?;
            format!("{confined}; {locked}")
        }
        None => "NOT CAGED: it could do whatever its supervisor can".to_owned(),
    };
    line.send(&FromHost::Ready {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cage,
    })?;
    let mut config = driver_config(setup, base);
    config.adapter.execution.crew = Some(crew);
    config.crew_of_several = several;
    Ok(Service::new(line, device, port, config))
}

/// What came with the set-up, by what it is for.
struct Descriptors {
    device: Vec<OwnedFd>,
    queues: Vec<OwnedFd>,
}

impl Descriptors {
    fn split(setup: &Setup, mut fds: Vec<OwnedFd>) -> Result<Self, HostEnd> {
        let device = match &setup.device {
            DeviceSetup::Vfio { vectors, .. } => 1 + vectors,
            DeviceSetup::VhostUser { .. } | DeviceSetup::InProcess { .. } => 0,
        };
        let announced = device + setup.port.queues;
        if fds.len() != announced {
            return Err(HostEnd::Descriptors(fds.len(), announced));
        }
        let queues = fds.split_off(device);
        Ok(Self {
            device: fds,
            queues,
        })
    }
}

/// What all threads that move frames are called.
const THREADS: &str = "umnet-q";

/// One for the queues of a single pair; one for the connection to a back end.
fn thread_count(device: &DeviceSetup) -> usize {
    match device {
        DeviceSetup::VhostUser { .. } => 2,
        DeviceSetup::Vfio { .. } | DeviceSetup::InProcess { .. } => 1,
    }
}

/// Makes the transport once the device may be touched.
type Open = Box<dyn FnOnce() -> Result<Box<dyn Transport>, TransportError>>;

/// A device that is not touched yet.
struct Prepared {
    open: Open,
    /// The system calls that it takes.
    profile: Profile,
}

fn device(
    setup: &Setup,
    fds: &mut Vec<OwnedFd>,
    line: &SharedLine,
    threads: &mut Threads,
    crew: &Arc<Crew>,
) -> Result<Prepared, HostEnd> {
    match &setup.device {
        DeviceSetup::Vfio { name, .. } => {
            let loan = Loan {
                name: name.clone(),
                device: fds.remove(0),
                events: std::mem::take(fds),
            };
            let vfio = VfioPci::lent(loan, Box::new(line.clone()))?;
            Ok(Prepared {
                profile: match vfio.is_mapped() {
                    true => Profile::driver(),
                    false => Profile::driver().with_region_access(),
                },
                open: Box::new(move || Ok(Box::new(vfio))),
            })
        }
        DeviceSetup::VhostUser { name, mac } => {
            let default = vhost_user::Options::default();
            let wished = setup.rx_ring.max(setup.tx_ring).unwrap_or_default();
            let options = vhost_user::Options {
                mac: *mac,
                // Nobody knows what the back end can do, but whoever wishes for a ring may.
                max_queue_size: wished.max(default.max_queue_size),
                ..default
            };
            Ok(back_end(name, options, line, crew))
        }
        DeviceSetup::InProcess { name } => {
            in_process(name, setup.port.queues as u16, line, threads)
        }
    }
}

fn back_end(
    name: &str,
    options: vhost_user::Options,
    line: &SharedLine,
    crew: &Arc<Crew>,
) -> Prepared {
    let (name, crew) = (name.to_owned(), Arc::clone(crew));
    let options = vhost_user::Options {
        spawn: Spawn::new(move |job| crew.run(job)),
        ..options
    };
    let (lender, mut connector) = (line.clone(), line.clone());
    let open = move || {
        let connect = Box::new(move || connector.connection());
        let transport = VhostUser::connect_by(&name, connect, options)?;
        Ok(Box::new(transport.with_memory_of(Box::new(lender))) as Box<dyn Transport>)
    };
    Prepared {
        open: Box::new(open),
        // Its connection is waited for, has a second one beside it, and is closed.
        profile: Profile::driver()
            .with(Sysno::ppoll)
            .with(Sysno::socketpair)
            .with(Sysno::shutdown),
    }
}

fn in_process(
    name: &str,
    pairs: u16,
    line: &SharedLine,
    threads: &mut Threads,
) -> Result<Prepared, HostEnd> {
    let config = DeviceConfig {
        name: name.to_owned(),
        ..DeviceConfig::default().with_pairs(pairs.max(1))
    };
    let (transport, device) = InProcess::new(config, Echo::default())?;
    let transport = transport.with_memory_of(Box::new(line.clone()));
    let thread = device.run().map_err(system("start the device's thread"))?;
    threads.device = Some(thread);
    Ok(Prepared {
        open: Box::new(move || Ok(Box::new(transport))),
        // It maps memory as a stranger to the driver would, from a descriptor of its own and
        // having looked how much there is.
        profile: Profile::driver().with(Sysno::fcntl).with(Sysno::lseek),
    })
}

/// Packets in the system's receive ring. The system takes frames as soon as they are returned,
/// so few buffers do; many would only push each other out of caches and translation buffers.
const SYSTEM_RX_RING: u32 = 16;

/// Packets in the system's transmit ring.
const SYSTEM_TX_RING: u32 = 64;

/// How the threads that move frames are scheduled: see docs/decisions/0004. What the system says of
/// processors it says to whoever is not locked in yet.
fn scheduled() -> DriverConfig {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (nice, pause_after) = match processors {
        1 => (-10, Some(128)),
        _ => (-5, None),
    };
    let execution = ExecutionConfig {
        sched_batch: true,
        nice,
        pause_after,
        ..ExecutionConfig::default()
    };
    DriverConfig {
        adapter: AdapterConfig {
            execution,
            ..AdapterConfig::default()
        },
        processors,
        ..DriverConfig::default()
    }
}

fn driver_config(setup: &Setup, base: DriverConfig) -> DriverConfig {
    let default = CardConfig::default();
    let card = CardConfig {
        rx_ring: setup.rx_ring.unwrap_or(default.rx_ring),
        tx_ring: setup.tx_ring.unwrap_or(default.tx_ring),
        disabled: setup.disabled(),
        rx_coalescing: setup.coalesce.rx.map(Into::into),
        tx_coalescing: setup.coalesce.tx.map(Into::into),
        ..default
    };
    let mut adapter = base.adapter;
    adapter.rx_ring = SYSTEM_RX_RING;
    adapter.tx_ring = SYSTEM_TX_RING;
    let told = |us: u16| Duration::from_micros(us.into());
    DriverConfig {
        card,
        adapter,
        busy_poll: setup.busy_poll_us.map(told),
        ..base
    }
}
