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
mod announcer;
mod board;
mod card;
pub mod client;
mod device;
mod error;
mod handover;
pub mod hearing;
mod holding;
mod host_process;
mod hosts;
mod interface;
mod managed;
mod moment;
mod notify;
mod opening;
mod orders;
mod policy;
mod pulse;
mod report;
mod settings;
mod store;
mod succession;
mod taking_over;
mod update;
mod work;

use std::io;
use std::time::Instant;

use log::{debug, warn};
use netadapter_shim::os::ethtool::has_gro;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use self::announcer::Announcer;
pub use self::board::Board;
use self::card::{forget, release};
use self::device::Device;
pub use self::device::DeviceRun;
pub use self::error::RunError;
use self::handover::RunState;
pub(crate) use self::handover::{CHECK, answer};
pub(crate) use self::host_process::{CLIENT_VERB, REHEARSAL, RESUME, ROOT_KEEPER, UNCAGED, VERB};
use self::host_process::{HostId, Program};
use self::hosts::{Hosts, News};
use self::managed::Manager;
use self::moment::Moment;
use self::orders::{Order, OrderBook};
pub use self::store::Kept;
use crate::cage::{self, Profile};
use crate::channel::Interface;
use crate::config::RunConfig;
use crate::control::Server;
use crate::exit::Explain;
use crate::host::IfName;
use crate::host::binding::{Binding, Restore};
use crate::host::interface::{Interfaces, Link};
use crate::host::state::DeviceLock;
use crate::host::watch::{LinkEvent, LinkWatch};
use crate::signals::Signals;

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
    announcer: Announcer,
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

impl Session {
    /// To the end.
    fn live(mut self) -> Result<(), RunError> {
        let served = self.serve();
        let removed = matches!(served, Err(RunError::Removed { .. }));
        let closed = self.close(removed);
        served.and(closed)
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
                    News::Announce => {
                        let (device, index) = (self.hosts.name(), self.link.index);
                        self.announcer.asked(device, index, Instant::now());
                    }
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
            // Of an interface in another namespace nothing is known.
            gro: has_gro(&link.name).unwrap_or(true),
        });
        self.link = link;
    }
}
