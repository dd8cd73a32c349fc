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
mod report;
mod seat;
mod seats;

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{debug, info};

pub use self::error::ClientError;
use self::report::Reporter;
use self::seats::{Names, Seats};
use super::board::SharedBoard;
use super::hosts::{HostSettings, Hosts, News};
use super::orders::{Order, OrderBook, Orders, orders};
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
#[derive(Debug, Clone)]
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

    /// The name of the control socket. Several runs of one client may go on at once.
    fn stem(&self) -> String {
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
    let _lock = DeviceLock::acquire(&config.host, &config.stem())?;
    let mut session = Session::new(config, signals)?;
    let served = session.serve();
    let closed = session.close();
    served.and(closed)
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
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    End,
}

impl Session {
    fn new(config: ClientConfig, signals: Signals) -> Result<Self, ClientError> {
        let mut poller = Poller::new().map_err(events("make an epoll set"))?;
        let (orders, book) = orders().map_err(events("make an eventfd"))?;
        let watched = [
            (signals.as_raw_fd(), Event::Signal),
            (book.bell.as_raw_fd(), Event::Order),
        ];
        for (fd, event) in watched {
            poller
                .add(fd, event)
                .map_err(events("watch a descriptor"))?;
        }
        let board = SharedBoard::default();
        let files = socket_path(&config.host, &config.stem());
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
        })
    }

    /// Handles events until a signal asks for the end, or nothing is left to go on with.
    fn serve(&mut self) -> Result<(), ClientError> {
        loop {
            self.hosts.tick(Instant::now())?;
            self.watch_seats()?;
            self.look_around();
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
        let until = self.hosts.deadline().into_iter().chain([self.look_at]);
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
        // After what came with it: the last words of a host count.
        Ok(match self.signals.have_come() {
            true => Flow::End,
            false => Flow::On,
        })
    }

    fn hear(&mut self, news: News) -> Result<(), ClientError> {
        let client = self.config.name();
        match news {
            News::Started(report) => self.answer(&report),
            News::Failed(failure) | News::Gone(failure) => Err(ClientError::NotStarted { failure }),
            News::Died(how) => Err(ClientError::died(client, how, "before its devices ran")),
            News::GivenUp(how) => Err(ClientError::GivenUp {
                client,
                code: how.map(|how| how.code()),
            }),
        }
    }

    /// Answers questions from now on.
    fn answer(&mut self, report: &Report) -> Result<(), ClientError> {
        // What wants the filters of its interfaces is another client now.
        self.hosts.work_mut().forget_filters();
        self.look_at = Instant::now();
        if self.server.is_none() {
            let shared = (self.board.clone(), self.orders.clone());
            let reporter = Reporter::new(&self.config, shared);
            let stem = self.config.stem();
            self.server = Some(Server::start(&self.config.host, &stem, Arc::new(reporter))?);
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
                Order::Update { what, reply } if what.supervisor || what.binary.is_some() => {
                    let why = "a client's run takes another library only: umnet update";
                    let _ = reply.try_send(Err(why.to_owned()));
                }
                Order::Update { reply, .. } => self.hosts.begin_update(None, reply),
            }
        }
    }

    fn close(mut self) -> Result<(), ClientError> {
        drop(self.server.take());
        let (seats, how) = self.hosts.end();
        drop(seats);
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
