//! The driver host: the process in which a device is driven, and which may die at any time.
//!
//! ```text
//! Setup ─► build what can be built ─► lock in ─► Ready     a spare, waiting on one read
//! Go    ─► Driver::start ─► Started ─► serve until Stop, or until the supervisor is gone
//! ```
//!
//! It is started by its [supervisor](crate::run) with nothing but a socket as its standard input.
//! What it cannot do itself it asks for: [`Line`]. Frames move on a thread made beforehand;
//! this one, the control thread, talks to the supervisor and follows the device.

mod line;
mod port;
mod serve;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use log::{debug, error};
use netadapter_shim::os::tap::Tap;
use netadapter_shim::{AdapterConfig, Crew, ExecutionConfig};
use rustix::process::{Signal, set_parent_process_death_signal};
use thiserror::Error;
use virtio::Transport;
use virtio::transport::TransportError;
use virtio::transport::in_process::{DeviceConfig, DeviceThread, Echo, InProcess};
use virtio::transport::vfio::{Loan, VfioPci};
use virtio::transport::vhost_user::{self, Spawn, VhostUser};

use self::line::{Line, SharedLine};
use self::port::LentPort;
use self::serve::Service;
use crate::card::CardConfig;
use crate::channel::{Channel, ChannelError, DeviceSetup, FromHost, PROTOCOL, Setup, ToHost};
use crate::driver::DriverConfig;
use crate::exit::Exit;

/// How long the supervisor may take to say what there is to drive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host cannot go on. Its supervisor sees the process end and needs no more; the log does.
#[derive(Debug, Error)]
pub enum HostEnd {
    /// The supervisor is gone or makes no sense.
    #[error("supervisor: {0}")]
    Channel(#[from] ChannelError),
    /// Something of what was lent does not work.
    #[error("cannot {what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the system answered.
        source: io::Error,
    },
    /// The device cannot be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// What came with the set-up is not what belongs to it.
    #[error("{0} descriptors came, {1} were announced")]
    Descriptors(usize, usize),
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> HostEnd {
    move |source| HostEnd::System { what, source }
}

/// Runs the host whose supervisor is at the other end of standard input.
pub fn main() -> Exit {
    match run() {
        Ok(()) => Exit::Done,
        Err(HostEnd::Channel(ChannelError::Closed)) => {
            debug!("driver host: the supervisor is gone");
            Exit::Done
        }
        Err(end) => {
            error!("driver host: {end}");
            Exit::Failed
        }
    }
}

fn run() -> Result<(), HostEnd> {
    let socket = io::stdin().as_fd().try_clone_to_owned();
    let channel = Channel::new(socket.map_err(system("take the socket"))?);
    let mut line = Line::new(channel).map_err(system("watch the socket"))?;
    let (message, fds) = line.wait(Some(PATIENCE))?;
    let ToHost::Setup(setup) = message else {
        let text = format!("expected a set-up, not {message:?}");
        return Err(ChannelError::Nonsense(text).into());
    };
    let mut service = prepare(line, &setup, fds)?;
    service.serve()
}

/// Builds everything that does not touch the device, and locks the process in.
fn prepare(line: Line, setup: &Setup, fds: Vec<OwnedFd>) -> Result<Service, HostEnd> {
    let execution = scheduling();
    // While it is still permitted; threads made from here on have it from this one.
    execution.schedule_this_thread();
    let line = SharedLine::new(line);
    let mut lent = Descriptors::split(setup, fds)?;
    let tap = Tap::attached(&setup.port.name, lent.queues, setup.port.uso);
    let port = LentPort::new(tap, line.clone());
    let crew = Crew::new(threads(&setup.device), "umnet-q").map_err(system("make threads"))?;
    let crew = Arc::new(crew);
    let device = device(&setup.device, &mut lent.device, &line, &crew)?;
    let cage = "uncaged".to_owned();
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| system("ask to end with the supervisor")(errno.into()))?;
    line.send(&FromHost::Ready {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cage,
    })?;
    let execution = ExecutionConfig {
        crew: Some(crew),
        ..execution
    };
    Ok(Service::new(
        line,
        device,
        port,
        driver_config(setup, execution),
    ))
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

/// One for the queues; one for the connection to a back end.
fn threads(device: &DeviceSetup) -> usize {
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
    /// That of a device which lives in this process.
    _thread: Option<DeviceThread>,
}

fn device(
    setup: &DeviceSetup,
    fds: &mut Vec<OwnedFd>,
    line: &SharedLine,
    crew: &Arc<Crew>,
) -> Result<Prepared, HostEnd> {
    match setup {
        DeviceSetup::Vfio { name, .. } => {
            let loan = Loan {
                name: name.clone(),
                device: fds.remove(0),
                events: std::mem::take(fds),
            };
            let vfio = VfioPci::lent(loan, Box::new(line.clone()))?;
            Ok(Prepared {
                open: Box::new(move || Ok(Box::new(vfio))),
                _thread: None,
            })
        }
        DeviceSetup::VhostUser { name, mac } => Ok(back_end(name, *mac, line, crew)),
        DeviceSetup::InProcess { name } => in_process(name, line),
    }
}

fn back_end(name: &str, mac: Option<[u8; 6]>, line: &SharedLine, crew: &Arc<Crew>) -> Prepared {
    let (name, crew) = (name.to_owned(), Arc::clone(crew));
    let options = vhost_user::Options {
        mac,
        spawn: Spawn::new(move |job| crew.run(job)),
        ..vhost_user::Options::default()
    };
    let (lender, mut connector) = (line.clone(), line.clone());
    let open = move || {
        let connect = Box::new(move || connector.connection());
        let transport = VhostUser::connect_by(&name, connect, options)?;
        Ok(Box::new(transport.with_memory_of(Box::new(lender))) as Box<dyn Transport>)
    };
    Prepared {
        open: Box::new(open),
        _thread: None,
    }
}

fn in_process(name: &str, line: &SharedLine) -> Result<Prepared, HostEnd> {
    let config = DeviceConfig {
        name: name.to_owned(),
        ..DeviceConfig::default()
    };
    let (transport, device) = InProcess::new(config, Echo::default())?;
    let transport = transport.with_memory_of(Box::new(line.clone()));
    let thread = device.run().map_err(system("start the device's thread"))?;
    Ok(Prepared {
        open: Box::new(move || Ok(Box::new(transport))),
        _thread: Some(thread),
    })
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

fn driver_config(setup: &Setup, execution: ExecutionConfig) -> DriverConfig {
    let default = CardConfig::default();
    let card = CardConfig {
        rx_ring: setup.rx_ring.unwrap_or(default.rx_ring),
        tx_ring: setup.tx_ring.unwrap_or(default.tx_ring),
        disabled: setup.disabled(),
        ..default
    };
    let adapter = AdapterConfig {
        execution,
        rx_ring: SYSTEM_RX_RING,
        ..AdapterConfig::default()
    };
    DriverConfig { card, adapter }
}
