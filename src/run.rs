//! `umnet run`: the supervisor. It takes a card, has it driven, and gives it back.
//!
//! ```text
//! Session::open   bind ─► VFIO ─► TAP ─► driver host ─► the old interface's name, addresses, routes
//! Session::serve  until a signal: hosts that die, hang or are replaced; interface changes; questions
//! Session::close  host stopped ─► TAP gone (or kept) ─► card back with the kernel
//! ```
//!
//! This process owns what must not be lost, and touches no frame. The device is driven by
//! [driver hosts](crate::driver_host), one after the other.

mod activity;
mod board;
pub mod client;
mod device;
mod handover;
pub mod hearing;
mod holding;
mod host_process;
mod hosts;
mod interface;
mod managed;
mod moment;
mod notify;
mod orders;
mod policy;
mod pulse;
mod report;
mod store;
mod succession;
mod update;
mod work;

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use log::{debug, error, info, warn};
use netadapter_shim::os::tap::TapError;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use thiserror::Error;
use virtio::net::FeatureSet;
use virtio::spec::feature::*;
use virtio::spec::net::feature::*;
use virtio::transport::TransportError;

pub use self::board::Board;
use self::board::SharedBoard;
use self::device::Device;
pub use self::device::DeviceRun;
pub(crate) use self::handover::{CHECK, answer};
use self::handover::{HostsState, Left, RunState, State};
use self::holding::Holding;
pub(crate) use self::host_process::{CLIENT_VERB, REHEARSAL, RESUME, ROOT_KEEPER, UNCAGED, VERB};
use self::host_process::{HostId, Program};
use self::hosts::{HostSettings, Hosts, News};
use self::interface::{Port, discard, dress, find, look_at};
use self::managed::Manager;
use self::moment::Moment;
use self::orders::{Order, OrderBook, orders};
use self::report::Reporter;
pub use self::store::Kept;
use self::store::Store;
use self::succession::Run;
use crate::cage::{self, CageError, Profile, SelfTest};
use crate::channel::{Interface, Report, StartFailure};
use crate::config::RunConfig;
use crate::control::{ControlError, Server};
use crate::exit::{Exit, Explain};
use crate::host::binding::{Binding, Released, Restore, TakeOptions};
use crate::host::interface::{Interfaces, Link};
use crate::host::state::{DeviceLock, Purpose};
use crate::host::watch::{LinkEvent, LinkWatch};
use crate::host::{DeviceSpec, HostError, IfName};
use crate::poller::Poller;
use crate::signals::Signals;

/// A run ended before its time.
#[derive(Debug, Error)]
pub enum RunError {
    /// The machine said no.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The device cannot be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The device could not be started.
    #[error("{device}: {}", .failure.why)]
    NotStarted {
        /// The device.
        device: DeviceSpec,
        /// What the driver host told.
        failure: StartFailure,
    },
    /// Driver hosts died one after the other, and the fallback is to give the card back.
    #[error("{device}: too many driver hosts died; the card is back with the kernel")]
    GivenUp {
        /// The device.
        device: String,
    },
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
        source: io::Error,
    },
    /// The cage could not be tried.
    #[error(transparent)]
    Cage(#[from] CageError),
    /// A driver host could not live in its cage.
    #[error("{0}")]
    CageTooNarrow(SelfTest),
    /// Somebody wanted the run to end before it had begun.
    #[error("stopped before the device was started")]
    Interrupted,
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
            Self::NotStarted { failure, .. } if failure.refused => Exit::EnvironmentLacks,
            Self::NotStarted {
                device: DeviceSpec::VhostUser(_),
                ..
            } => Exit::EnvironmentLacks,
            Self::Tap(error) => tap_exit(error),
            Self::Transport(error) => transport_exit(error),
            Self::Interrupted => Exit::Done,
            Self::CageTooNarrow(_) => Exit::EnvironmentLacks,
            _ => Exit::Failed,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.next_step(),
            Self::Control(error) => error.next_step(),
            Self::NotStarted {
                device: device @ DeviceSpec::VhostUser(_),
                ..
            } => Some(format!("umnet doctor {device}")),
            Self::GivenUp { device } => Some(format!(
                "look at the log for why they died, then: umnet run {device}"
            )),
            Self::CageTooNarrow(_) => Some(
                "report this line with the C library's version; --uncaged runs without the cage, \
                 and without its protection"
                    .to_owned(),
            ),
            Self::Removed { .. } => Some("plug it in again, then the same command".to_owned()),
            _ => None,
        }
    }
}

fn tap_exit(error: &TapError) -> Exit {
    match error {
        TapError::Exists { .. } | TapError::Busy { .. } => Exit::Busy,
        TapError::InvalidName { .. } => Exit::Usage,
        TapError::NoDevice | TapError::Permission { .. } => Exit::EnvironmentLacks,
        _ => Exit::Failed,
    }
}

/// By the kind of what the system answered, as [`virtio::transport::vfio::VfioParts::open`] has it.
fn transport_exit(error: &TransportError) -> Exit {
    let TransportError::Io { source, .. } = error else {
        return Exit::Failed;
    };
    match source.kind() {
        // No interrupt remapping is told as a permission that is not given.
        ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::NotFound => {
            Exit::EnvironmentLacks
        }
        ErrorKind::ResourceBusy => Exit::Busy,
        _ => Exit::Failed,
    }
}

/// Somebody wants the process to end.
pub(crate) fn signals() -> io::Result<Signals> {
    Signals::of(&[SIGINT, SIGTERM, SIGHUP])
}

/// What the supervisor waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The run is to end.
    Signal,
    /// The run is to end and leave everything with the service manager.
    Leave,
    /// The interface changed.
    Link,
    /// The system wants the device back.
    Removal,
    /// Something is asked of the supervisor.
    Order,
    /// A driver host has something to say.
    Said(HostId),
    /// A driver host's process has ended.
    Ended(HostId),
    /// The interface of a client's adapter changed.
    Seat(usize),
}

fn events(action: &'static str) -> impl Fn(io::Error) -> RunError {
    move |source| RunError::Events { action, source }
}

/// Drives the device until SIGINT or SIGTERM.
///
/// # Errors
///
/// [`RunError`]; what was changed has been put back as far as that was possible.
pub fn run(config: RunConfig) -> Result<(), RunError> {
    // First of all, so that a signal at any later point ends the run in good order.
    let signals = signals().map_err(events("register for signals"))?;
    if config.caged {
        rehearse_cage(&Profile::driver())?;
    }
    Session::open(&config, signals)?.live()
}

/// Whether a host can live in its cage on this machine: found out before anything is changed.
fn rehearse_cage(profile: &Profile) -> Result<(), RunError> {
    let program = Program::own().map_err(events("open the program of driver hosts"))?;
    let rehearsal = || {
        let mut command = program.command();
        command.arg(REHEARSAL);
        command
    };
    let test = cage::selftest(profile, rehearsal)?;
    match test.passed() {
        true => {
            debug!("{test}");
            Ok(())
        }
        false => Err(RunError::CageTooNarrow(test)),
    }
}

/// Goes on where another program in this process has left off.
///
/// # Errors
///
/// As [`run`] or [`client::run`]; the host and what it works with are stopped then.
pub fn resume() -> Result<(), Box<dyn Explain>> {
    let signals = signals().map_err(events("register for signals"))?;
    let left = handover::receive();
    match left.map_err(events("take over from the program before"))? {
        (RunState::Device(run), left) => Session::take_over(signals, *run, left)?.live()?,
        (RunState::Client(run), left) => client::go_on(signals, *run, left)?,
    }
    Ok(())
}

/// What a supervisor before this one has left with the service manager for `config`'s device. The
/// settings of today apply, to the interface of before.
pub fn kept(config: &RunConfig) -> Option<Kept<DeviceRun>> {
    Kept::received(|run| match run {
        RunState::Device(run) if run.config.device == config.device => Ok(DeviceRun {
            config: RunConfig {
                ifname: run.config.ifname,
                keep_interface: run.config.keep_interface,
                ..config.clone()
            },
            ..*run
        }),
        _ => Err(store::unfit(format!("it is not of {}", config.device))),
    })
}

/// Goes on where a process has left off of which the service manager has kept everything but the
/// driver host.
///
/// # Errors
///
/// As [`run`]; nothing is kept any more then.
pub fn restart(kept: Kept<DeviceRun>) -> Result<(), RunError> {
    let signals = signals().map_err(events("register for signals"))?;
    let session = store::go_on(kept, |run, left| Session::take_over(signals, run, left));
    session?.live()
}

/// One run.
struct Session {
    config: RunConfig,
    hosts: Hosts<Device>,
    watch: LinkWatch,
    link: Link,
    binding: Option<Binding>,
    /// What the interface was called at first; it can be renamed, its index stays.
    ifname: IfName,
    adopt: bool,
    keep_interface: bool,
    book: OrderBook,
    _server: Server,
    signals: Signals,
    lock: Option<DeviceLock>,
    manager: Manager,
    /// When the run began, also if that was in another program.
    began: Moment,
}

/// What a session is made of, once the device runs.
struct Running {
    hosts: Hosts<Device>,
    board: SharedBoard,
    ifname: IfName,
    /// The interface's.
    index: u32,
    signals: Signals,
    lock: Option<DeviceLock>,
    /// What the service manager keeps.
    store: Store,
    began: Moment,
}

impl Session {
    /// To the end.
    fn live(mut self) -> Result<(), RunError> {
        let served = self.serve();
        let removed = matches!(served, Err(RunError::Removed { .. }));
        let closed = self.close(removed);
        served.and(closed)
    }

    fn open(config: &RunConfig, signals: Signals) -> Result<Self, RunError> {
        let binding = bind(config, false)?;
        match Self::open_bound(config, signals, binding.as_ref()) {
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
        signals: Signals,
        binding: Option<&Binding>,
    ) -> Result<Self, RunError> {
        let (holding, lock) = hold(config, binding)?;
        let port = Port::open(config, binding)?;
        let (name, kept) = (port.name.clone(), port.kept);
        let opened = Self::open_between(config, signals, binding, (holding, lock), port);
        if opened.is_err() && config.keep_interface && !kept {
            discard(&name);
        }
        opened
    }

    fn open_between(
        config: &RunConfig,
        signals: Signals,
        binding: Option<&Binding>,
        (holding, lock): (Holding, Option<DeviceLock>),
        port: Port,
    ) -> Result<Self, RunError> {
        let Port { tap, name, kept } = port;
        let board = SharedBoard::default();
        let mut poller = Poller::new().map_err(events("make an epoll set"))?;
        let watch_for = |poller: &mut Poller<Event>, fd, event| {
            poller.add(fd, event).map_err(events("watch a descriptor"))
        };
        watch_for(&mut poller, signals.as_raw_fd(), Event::Signal)?;
        if let Some(removal) = holding.removal() {
            watch_for(&mut poller, removal.as_raw_fd(), Event::Removal)?;
        }
        let device = Device::new(holding, tap);
        let hosts = Hosts::new(poller, device, host_settings(config), board.clone());
        let mut hosts = hosts.map_err(events("open the program of driver hosts"))?;
        let report = first_start(config, &mut hosts, &signals)?;
        if !kept {
            dress(config, &report, binding, &name)?;
        }
        info!(
            "{}: driving interface {name}; memory: {} KiB of rings and slots, {} KiB of system buffers",
            hosts.name(),
            report.pinned_bytes / 1024,
            report.pool_bytes / 1024
        );
        let running = Running {
            hosts,
            board,
            index: find(&mut Interfaces::open()?, &name)?.index,
            ifname: name,
            signals,
            lock,
            store: Store::default(),
            began: Moment::now(),
        };
        Self::run(config, running, binding)
    }

    /// Watches the interface, and answers questions.
    fn run(
        config: &RunConfig,
        running: Running,
        binding: Option<&Binding>,
    ) -> Result<Self, RunError> {
        let Running {
            mut hosts,
            board,
            ifname,
            index,
            signals,
            lock,
            store,
            began,
        } = running;
        let watch = LinkWatch::new(index)?;
        let link = look_at(index)?;
        let (orders, book) = orders().map_err(events("make an eventfd"))?;
        let manager = Manager::new(store).map_err(events("reach the service manager"))?;
        let mut watched = vec![
            (watch.as_raw_fd(), Event::Link),
            (book.bell.as_raw_fd(), Event::Order),
        ];
        watched.extend(manager.leave().map(|fd| (fd, Event::Leave)));
        for (fd, event) in watched {
            let watched = hosts.poller.add(fd, event);
            watched.map_err(events("watch a descriptor"))?;
        }
        let shared = (board, orders);
        let reporter = Reporter::new(
            hosts.name(),
            shared,
            binding,
            &link,
            ifname.clone(),
            (config.restart, began),
        );
        let server = Server::start(&config.host, &reporter.stem(), Arc::new(reporter))?;
        let mut session = Self {
            config: config.clone(),
            hosts,
            watch,
            binding: None,
            ifname,
            adopt: config.adopt,
            keep_interface: config.keep_interface,
            link: Link::default(),
            book,
            _server: server,
            signals,
            lock,
            manager,
            began,
        };
        session.follow(link);
        Ok(session)
    }

    /// From what another supervisor has left.
    fn take_over(signals: Signals, run: DeviceRun, left: Left) -> Result<Self, RunError> {
        let taken = events("take over from the program before");
        let config = run.config;
        // Locks first: they were the old program's.
        let binding = bind(&config, true)?;
        let lock = run.lock.as_deref();
        let lock = lock.map(|stem| DeviceLock::acquire(&config.host, stem));
        let lock = lock.transpose()?;
        let device = Device::resume(run.device, left.fds)?;
        let mut poller = Poller::new().map_err(&taken)?;
        let mut watched = vec![(signals.as_raw_fd(), Event::Signal)];
        let removal = device.holding.removal();
        watched.extend(removal.map(|event| (event.as_raw_fd(), Event::Removal)));
        for (fd, event) in watched {
            poller.add(fd, event).map_err(&taken)?;
        }
        let board = SharedBoard::default();
        let settings = host_settings(&config);
        let hosts = Hosts::new(poller, device, settings, board.clone());
        let mut hosts = hosts.map_err(&taken)?;
        hosts.resume(left.hosts, left.channel).map_err(&taken)?;
        info!(
            "{}: this is umnet {} now",
            hosts.name(),
            env!("CARGO_PKG_VERSION")
        );
        let running = Running {
            hosts,
            board,
            ifname: run.ifname,
            index: run.index,
            signals,
            lock,
            store: left.store,
            began: left.began,
        };
        let mut session = Self::run(&config, running, binding.as_ref())?;
        session.binding = binding;
        Ok(session)
    }

    /// Handles events until a signal asks for the end.
    fn serve(&mut self) -> Result<(), RunError> {
        loop {
            managed::manage(self);
            let deadlines = [self.hosts.deadline(), self.manager.deadline()];
            let ready = self
                .hosts
                .poller
                .wait(deadlines.into_iter().flatten().min());
            let ready = ready.map_err(events("wait for events"))?;
            if self.signals.have_come() {
                return Ok(());
            }
            if self.manager.wants_to_leave() {
                managed::leave_with_manager(self);
            }
            for event in ready {
                match event {
                    // Both only wake.
                    Event::Signal | Event::Leave => {}
                    Event::Link => self.link_changed()?,
                    Event::Removal => return Err(self.removed()),
                    Event::Order => self.obey(),
                    Event::Said(host) => self.hosts.said(host),
                    Event::Ended(host) => self.hosts.ended(host),
                    Event::Seat(_) => {}
                }
            }
            self.hosts.tick(Instant::now())?;
            for news in self.hosts.news() {
                match news {
                    News::Started(_) | News::Failed(_) | News::Died(_) => {}
                    News::Lent => {
                        managed::keep_with_manager(self);
                        self.hosts.answer_held();
                    }
                    News::Gone(_) => return Err(self.removed()),
                    News::GivenUp(_) => {
                        let device = self.hosts.name().to_owned();
                        return Err(RunError::GivenUp { device });
                    }
                }
            }
        }
    }

    fn obey(&mut self) {
        for order in self.book.take() {
            match order {
                Order::Count(done) => self.hosts.count_now(done),
                Order::Happen { reply, .. } => {
                    let why = "only the devices of a client driver (run --client) can be told";
                    let _ = reply.try_send(Err(why.to_owned()));
                }
                Order::Update { what, reply } if what.supervisor => {
                    handover::replace(self, what.binary.as_deref(), &reply);
                }
                Order::Update { what, reply } => {
                    self.hosts.begin_update(what.binary.as_deref(), reply);
                }
            }
        }
    }

    fn removed(&self) -> RunError {
        RunError::Removed {
            device: self.hosts.name().to_owned(),
        }
    }

    fn close(mut self, removed: bool) -> Result<(), RunError> {
        if self.adopt && !removed {
            self.remember_interface();
        }
        let Self {
            hosts,
            binding,
            keep_interface,
            _server,
            mut manager,
            ..
        } = self;
        manager.stopping();
        drop(_server);
        // With these the device is closed.
        drop(hosts.end());
        manager.clear();
        let restore = if keep_interface {
            Restore::DriverOnly
        } else {
            Restore::Everything
        };
        match binding {
            Some(binding) if removed && binding.is_unplugged() => forget(binding),
            binding => release(binding, restore),
        }
        Ok(())
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

    fn link_changed(&mut self) -> Result<(), RunError> {
        while let Some(event) = self.watch.next_event()? {
            match event {
                LinkEvent::Changed(link) => self.follow(link),
                LinkEvent::Removed => warn!("the interface was removed by somebody else"),
            }
        }
        Ok(())
    }

    /// What was done to the interface is for the device to follow.
    fn follow(&mut self, link: Link) {
        self.hosts.follow(Interface {
            mac: link.mac.map(|mac| mac.0),
            mtu: link.mtu,
            promisc: link.promisc,
        });
        self.link = link;
    }
}

impl Run for Session {
    type Work = Device;

    fn hosts(&self) -> &Hosts<Device> {
        &self.hosts
    }

    fn hosts_mut(&mut self) -> &mut Hosts<Device> {
        &mut self.hosts
    }

    fn manager(&mut self) -> &mut Manager {
        &mut self.manager
    }

    fn title(&self) -> String {
        self.ifname.to_string()
    }

    fn keep(&self, hosts: HostsState) -> io::Result<(State, Vec<OwnedFd>)> {
        let (device, fds) = self.hosts.work().keep()?;
        let run = DeviceRun {
            config: self.config.clone(),
            ifname: self.ifname.clone(),
            index: self.link.index,
            lock: self.lock.as_ref().map(|lock| lock.device().to_owned()),
            device,
        };
        let run = RunState::Device(Box::new(run));
        Ok((State::new(self.began, run, hosts), fds))
    }
}

/// Waits for the first host to start the device. The deadlines are those of the hosts.
fn first_start(
    config: &RunConfig,
    hosts: &mut Hosts<Device>,
    signals: &Signals,
) -> Result<Report, RunError> {
    loop {
        hosts.tick(Instant::now())?;
        for news in hosts.news() {
            match news {
                News::Started(report) => return Ok(report),
                News::Failed(failure) => {
                    let device = config.device.clone();
                    return Err(RunError::NotStarted { device, failure });
                }
                News::Gone(_) | News::Died(_) | News::GivenUp(_) => return Err(given_up(hosts)),
                // There is nothing to lose yet.
                News::Lent => hosts.answer_held(),
            }
        }
        if hosts.is_down() {
            return Err(given_up(hosts));
        }
        let ready = hosts.poller.wait(hosts.deadline());
        let ready = ready.map_err(events("wait for events"))?;
        if signals.have_come() {
            return Err(RunError::Interrupted);
        }
        for event in ready {
            match event {
                Event::Said(host) => hosts.said(host),
                Event::Ended(host) => hosts.ended(host),
                // A signal only wakes.
                _ => {}
            }
        }
    }
}

fn given_up(hosts: &Hosts<Device>) -> RunError {
    RunError::GivenUp {
        device: hosts.name().to_owned(),
    }
}

/// `resumed`: its files are open already, and not only here if a service manager keeps them too.
fn bind(config: &RunConfig, resumed: bool) -> Result<Option<Binding>, RunError> {
    match &config.device {
        DeviceSpec::InProcess | DeviceSpec::VhostUser(_) => Ok(None),
        device => {
            let card = config.host.find(device)?;
            let options = TakeOptions {
                force: config.force,
                purpose: Purpose::Run,
                resumed,
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

/// Opens the device, and takes the lock of one that no [`Binding`] holds.
fn hold(
    config: &RunConfig,
    binding: Option<&Binding>,
) -> Result<(Holding, Option<DeviceLock>), RunError> {
    if let Some(binding) = binding {
        let holding = Holding::vfio(&binding.card().to_string())?;
        if !binding.has_interrupt_remapping() {
            warn!(
                "{}: NO INTERRUPT REMAPPING: whoever controls the device can raise any interrupt",
                holding.name()
            );
        }
        return Ok((holding, None));
    }
    let stem = config.device.file_stem();
    match &config.device {
        DeviceSpec::VhostUser(socket) => {
            let lock = DeviceLock::acquire(&config.host, &stem)?;
            let holding = Holding::BackEnd {
                name: config.device.to_string(),
                socket: socket.clone(),
                mac: config.mac.map(|mac| mac.0),
            };
            Ok((holding, Some(lock)))
        }
        _ => {
            let lock = DeviceLock::acquire_own(&config.host, &stem)?;
            let name = lock.device().to_owned();
            Ok((Holding::InProcess { name }, Some(lock)))
        }
    }
}

fn host_settings(config: &RunConfig) -> HostSettings {
    HostSettings {
        rx_ring: config.rx_ring,
        tx_ring: config.tx_ring,
        disabled: disabled(config).0,
        caged: config.caged,
        restart: config.restart,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_has_an_exit_code_of_its_own() {
        let exit = |kind: ErrorKind| {
            let error = TransportError::Io {
                device: "0000:00:03.0".to_owned(),
                operation: "setting the container's IOMMU".to_owned(),
                source: kind.into(),
            };
            RunError::Transport(error).exit()
        };
        assert_eq!(exit(ErrorKind::PermissionDenied), Exit::EnvironmentLacks);
        assert_eq!(exit(ErrorKind::Unsupported), Exit::EnvironmentLacks);
        assert_eq!(exit(ErrorKind::ResourceBusy), Exit::Busy);
        assert_eq!(exit(ErrorKind::TimedOut), Exit::Failed);
    }
}
