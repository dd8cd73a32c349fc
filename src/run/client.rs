//! `umnet run --client FILE.so`: the supervisor of somebody's NetAdapterCx client.
//!
//! ```text
//! client host: load ─► lock in ─► DriverEntry ─► a device for each one configured, and until every
//!              --ifname is taken ─► until told to stop: devices ended, last one first, and unloaded
//! here:        an interface for each adapter that is started ─► until a signal, or until no device is
//!              left: hosts that die or hang; interface changes; questions ─► interfaces gone
//! ```
//!
//! The client runs in a [client host](crate::client_host). Its interfaces and sockets are kept here,
//! for the next one.

mod error;
mod filter;
mod names;
mod places;
mod report;
mod seat;
mod seats;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, info};
use serde::{Deserialize, Serialize};

pub use self::error::ClientError;
use self::names::Names;
use self::report::Reporter;
use self::seats::{KeptSeats, Seats};
use super::board::SharedBoard;
use super::handover::{self, HostsState, Left, RunState, State};
use super::hosts::{HostSettings, Hosts, News};
use super::managed::{self, Manager};
use super::moment::Moment;
use super::orders::{Order, OrderBook, Orders, orders};
use super::store::{self, Kept, Store};
use super::succession::Run;
use super::{Event, events, rehearse_cage, signals};
use crate::cage::Profile;
use crate::channel::{ClientSetup, PROTOCOL, Report, ToHost};
use crate::config::{ClientSection, RestartConfig};
use crate::control::{Server, socket_path};
use crate::host::state::DeviceLock;
use crate::host::{Host, IfName};
use crate::poller::Poller;
use crate::signals::Signals;

/// How often to look which multicast groups interfaces are in: Linux tells nobody when that changes.
const LOOK: Duration = Duration::from_secs(1);

/// What a run of a client is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientConfig {
    /// The machine.
    pub host: Host,
    /// The shared library.
    pub file: PathBuf,
    /// Names of the interfaces in the order in which the client creates its adapters; those
    /// beyond are called `umnet0`, `umnet1` and so on.
    pub ifnames: Vec<IfName>,
    /// Whether a broken rule ends the client host.
    pub verifier: bool,
    /// How long the client may stay in one callback.
    pub deadline: Duration,
    /// What the configuration file says to this client.
    pub section: ClientSection,
    /// What is done about client hosts that die.
    pub restart: RestartConfig,
    /// Whether client hosts lock themselves in.
    pub caged: bool,
}

impl ClientConfig {
    /// What configuration, messages and files in the run folder call the client.
    pub fn name(&self) -> String {
        let stem = self.file.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// A name for the control socket. Several runs of one client may go on at once.
    fn new_stem(&self) -> String {
        format!("client-{}-{}", self.name(), std::process::id())
    }

    fn setup(&self) -> ClientSetup {
        ClientSetup {
            protocol: PROTOCOL,
            verifier: self.verifier,
            deadline_ms: u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX),
            section: self.section.clone(),
            adapters: self.ifnames.len(),
        }
    }
}

/// Has the client hosted until SIGINT or SIGTERM.
///
/// # Errors
/// [`ClientError`]; the client has been taken down then as far as that was possible.
pub fn run(config: ClientConfig) -> Result<(), ClientError> {
    // First of all, so that a signal at any later point ends the run in good order.
    let signals = signals().map_err(events("register for signals"))?;
    if config.caged {
        rehearse_cage(&Profile::client())?;
    }
    let stem = config.new_stem();
    Session::new(config, stem, Moment::now(), Store::default(), signals)?.live()
}

/// What another program has to know of a run of a client.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClientRun {
    config: ClientConfig,
    /// Names the control socket.
    stem: String,
    /// Their descriptors are all that there are.
    seats: KeptSeats,
}

/// Goes on where another program in this process has left off.
pub(super) fn go_on(signals: Signals, run: ClientRun, left: Left) -> Result<(), ClientError> {
    Session::take_over(signals, run, left)?.live()
}

/// What a supervisor before this one has left with the service manager for `config`'s client. The
/// settings of today apply, to the interfaces of before.
pub fn kept(config: &ClientConfig) -> Option<Kept<ClientRun>> {
    Kept::received(|run| match run {
        RunState::Client(run) if run.config.file == config.file => Ok(ClientRun {
            config: config.clone(),
            ..*run
        }),
        _ => Err(store::unfit(format!("it is not of {}", config.name()))),
    })
}

/// Goes on where a process has left off of which the service manager has kept everything but the
/// client host.
///
/// # Errors
/// As [`run`]; nothing is kept any more then.
pub fn restart(kept: Kept<ClientRun>) -> Result<(), ClientError> {
    let signals = signals().map_err(events("register for signals"))?;
    store::go_on(kept, |run, left| Session::take_over(signals, run, left))?.live()
}

/// One run.
struct Session {
    config: ClientConfig,
    hosts: Hosts<Seats>,
    board: SharedBoard,
    orders: Orders,
    book: OrderBook,
    signals: Signals,
    /// Once the client runs for the first time.
    server: Option<Server>,
    look_at: Instant,
    manager: Manager,
    /// When the run began, also if that was in another program.
    began: Moment,
    lock: DeviceLock,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    End,
}

impl Session {
    fn new(
        config: ClientConfig,
        stem: String,
        began: Moment,
        store: Store,
        signals: Signals,
    ) -> Result<Self, ClientError> {
        let lock = DeviceLock::acquire(&config.host, &stem)?;
        let manager = Manager::new(store).map_err(events("reach the service manager"))?;
        let mut poller = Poller::new().map_err(events("make an epoll set"))?;
        let (orders, book) = orders().map_err(events("make an eventfd"))?;
        let mut watched = vec![
            (signals.as_raw_fd(), Event::Signal),
            (book.bell.as_raw_fd(), Event::Order),
        ];
        watched.extend(manager.leave().map(|fd| (fd, Event::Leave)));
        for (fd, event) in watched {
            poller
                .add(fd, event)
                .map_err(events("watch a descriptor"))?;
        }
        let board = SharedBoard::default();
        let files = socket_path(&config.host, lock.device());
        let names = Names(config.ifnames.clone());
        // The same wherever a host is started.
        let library = std::path::absolute(&config.file).unwrap_or_else(|_| config.file.clone());
        let client = (config.name(), library);
        let seats = Seats::new(client, config.setup(), names, files, board.clone());
        let settings = HostSettings::of_client(config.restart, config.caged);
        let hosts = Hosts::new(poller, seats, settings, board.clone());
        Ok(Self {
            hosts: hosts.map_err(events("open the program of client hosts"))?,
            config,
            board,
            orders,
            book,
            signals,
            server: None,
            look_at: Instant::now(),
            manager,
            began,
            lock,
        })
    }

    /// From what another supervisor has left.
    fn take_over(signals: Signals, run: ClientRun, left: Left) -> Result<Self, ClientError> {
        let taken = events("take over from the program before");
        let ClientRun {
            config,
            stem,
            seats,
        } = run;
        let mut session = Self::new(config, stem, left.began, left.store, signals)?;
        let hosts = &mut session.hosts;
        hosts.work_mut().resume(seats, left.fds)?;
        let has_run = left.hosts.has_run;
        hosts.resume(left.hosts, left.channel).map_err(taken)?;
        if has_run {
            session.answer_questions()?;
        }
        let name = session.config.name();
        info!("{name}: this is umnet {} now", env!("CARGO_PKG_VERSION"));
        Ok(session)
    }

    /// To the end.
    fn live(mut self) -> Result<(), ClientError> {
        let served = self.serve();
        let closed = self.close();
        served.and(closed)
    }

    /// Handles events until a signal asks for the end, or nothing is left to go on with.
    fn serve(&mut self) -> Result<(), ClientError> {
        loop {
            self.hosts.tick(Instant::now())?;
            self.watch_seats()?;
            self.look_around();
            managed::manage(self);
            let flow = self.wait()?;
            // Also what came just before the signal.
            for news in self.hosts.news() {
                self.hear(news)?;
            }
            if flow == Flow::End {
                return Ok(());
            }
        }
    }

    fn wait(&mut self) -> Result<Flow, ClientError> {
        let deadlines = [self.hosts.deadline(), self.manager.deadline()];
        let until = deadlines.into_iter().flatten().chain([self.look_at]);
        let ready = self.hosts.poller.wait(until.min());
        for event in ready.map_err(events("wait for events"))? {
            match event {
                Event::Order => self.obey(),
                Event::Said(host) => self.hosts.said(host),
                Event::Ended(host) => self.hosts.ended(host),
                Event::Seat(adapter) => self.hosts.work_mut().changed(adapter)?,
                Event::Signal | Event::Leave | Event::Link | Event::Removal => {}
            }
        }
        if self.manager.wants_to_leave() {
            managed::leave_with_manager(self);
        }
        // After what came with it: the last words of a host count.
        Ok(match self.signals.have_come() {
            true => Flow::End,
            false => Flow::On,
        })
    }

    fn hear(&mut self, news: News) -> Result<(), ClientError> {
        let client = self.config.name();
        match news {
            News::Started(report) => self.started(&report),
            // A client tells its devices' peers itself.
            News::Announce => Ok(()),
            News::Lent => {
                managed::keep_with_manager(self);
                self.hosts.answer_held();
                Ok(())
            }
            News::Failed(failure) | News::Gone(failure) => Err(ClientError::NotStarted { failure }),
            News::Died(how) => Err(ClientError::died(client, how, "before its devices ran")),
            News::GivenUp(how) => Err(ClientError::GivenUp {
                client,
                code: how.map(|how| how.code()),
            }),
        }
    }

    /// Answers questions from now on.
    fn started(&mut self, report: &Report) -> Result<(), ClientError> {
        // What wants the filters of its interfaces is another client now.
        self.hosts.work_mut().forget_filters();
        self.look_at = Instant::now();
        if self.server.is_none() {
            self.answer_questions()?;
            let client = report.client.as_ref();
            let (devices, adapters) =
                client.map_or((0, 0), |client| (client.devices, client.adapters.len()));
            info!(
                "{}: {devices} device(s) with {adapters} adapter(s)",
                self.config.name()
            );
        }
        Ok(())
    }

    fn answer_questions(&mut self) -> Result<(), ClientError> {
        let shared = (self.board.clone(), self.orders.clone());
        let reporter = Reporter::new(&self.config, shared, self.began);
        let server = Server::start(&self.config.host, self.lock.device(), Arc::new(reporter))?;
        self.server = Some(server);
        Ok(())
    }

    /// Interfaces that are new are watched, and those that are gone are not any more.
    fn watch_seats(&mut self) -> Result<(), ClientError> {
        for seat in self.hosts.work_mut().take_left() {
            self.hosts.poller.remove(seat.watch.as_raw_fd());
        }
        for (adapter, fd) in self.hosts.work_mut().take_new() {
            let watched = self.hosts.poller.add(fd, Event::Seat(adapter));
            watched.map_err(events("watch an interface"))?;
        }
        Ok(())
    }

    /// Tells the client what its interfaces want received, where that is different now.
    fn look_around(&mut self) {
        let now = Instant::now();
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK;
        if !self.hosts.is_running() {
            return;
        }
        for filter in self.hosts.work_mut().new_filters() {
            self.hosts.tell(&ToHost::Filter(filter));
        }
    }

    fn obey(&mut self) {
        for order in self.book.take() {
            match order {
                Order::Count(done) => self.hosts.count_now(done),
                Order::Happen { event, reply } => self.hosts.happen(event, reply),
                Order::Update { what, reply } if what.supervisor => {
                    handover::replace(self, what.binary.as_deref(), &reply);
                }
                Order::Update { what, reply } => {
                    self.hosts.begin_update(what.binary.as_deref(), reply);
                }
            }
        }
    }

    fn close(mut self) -> Result<(), ClientError> {
        self.manager.stopping();
        drop(self.server.take());
        let (seats, how) = self.hosts.end();
        drop(seats);
        self.manager.clear();
        debug!("{}: ended", self.config.name());
        match how {
            Some(how) if !how.well() => {
                let client = self.config.name();
                Err(ClientError::died(
                    client,
                    how,
                    "while its devices were taken down",
                ))
            }
            _ => Ok(()),
        }
    }
}

impl Run for Session {
    type Work = Seats;

    fn hosts(&self) -> &Hosts<Seats> {
        &self.hosts
    }

    fn hosts_mut(&mut self) -> &mut Hosts<Seats> {
        &mut self.hosts
    }

    fn manager(&mut self) -> &mut Manager {
        &mut self.manager
    }

    fn title(&self) -> String {
        self.config.name()
    }

    fn keep(&self, hosts: HostsState) -> io::Result<(State, Vec<OwnedFd>)> {
        let (seats, fds) = self.hosts.work().keep()?;
        let run = ClientRun {
            config: self.config.clone(),
            stem: self.lock.device().to_owned(),
            seats,
        };
        let run = RunState::Client(Box::new(run));
        Ok((State::new(self.began, run, hosts), fds))
    }
}
