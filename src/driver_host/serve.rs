//! A host at work.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use log::{error, info, warn};
use netadapter_shim::ReceiveFilter;
use netadapter_shim::abi::NetPacketFilterFlags as Filter;

use super::port::{Leaving, LentPort};
use super::{Prepared, SYSTEM_RX_RING, SYSTEM_TX_RING};
use crate::card::CardError;
use crate::channel::{ChannelError, FromHost, Interface, Report, SharedLine, StartFailure, ToHost};
use crate::driver::{Driver, DriverConfig, DriverError};
use crate::hosting::{HostEnd, system};
use crate::poller::Poller;
use crate::recovery::{Recovery, Step};

/// How long a poll loop may take for a sign of life before this thread stops waiting for it; the
/// supervisor has lost patience before.
const PULSE: Duration = Duration::from_secs(10);
/// The longest that stopping and starting the device may keep this thread from answering.
const BUSY: Duration = Duration::from_secs(8);

/// What the control thread waits for.
#[derive(Clone, Copy)]
enum Event {
    Supervisor,
    Config,
    Fault,
}

/// Whether to go on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    End,
}

/// A host that has been set up.
pub(super) struct Service {
    line: SharedLine,
    /// What the device is started from; taken by the first [`ToHost::Go`].
    start: Option<(Prepared, LentPort, DriverConfig)>,
    leaving: Leaving,
}

impl Service {
    pub(super) fn new(
        line: SharedLine,
        device: Prepared,
        port: LentPort,
        config: DriverConfig,
    ) -> Self {
        Self {
            line,
            leaving: port.leaving(),
            start: Some((device, port, config)),
        }
    }

    /// Waits as a spare, then drives the device until told to stop.
    pub(super) fn serve(&mut self) -> Result<(), HostEnd> {
        let interface = loop {
            let (message, _) = self.line.lock().wait(None)?;
            match message {
                ToHost::Go(interface) => break interface,
                ToHost::Stop => return Ok(()),
                // Nothing there is to follow before there is a device.
                _ => {}
            }
        };
        match self.start(interface) {
            Ok(mut run) => {
                let served = run.serve();
                // However this ends: that a host goes says nothing of the carrier.
                run.leaving.begin();
                served
            }
            Err(failed) => Ok(self.line.send(&FromHost::Failed(failed))?),
        }
    }

    fn start(&mut self, interface: Option<Interface>) -> Result<Run, StartFailure> {
        let Some((device, port, config)) = self.start.take() else {
            unreachable!("a host is told to go once");
        };
        let open = device.open;
        let transport = open().map_err(|error| failure(&CardError::from(error).into()))?;
        let mut driver =
            Driver::start(transport, config, Box::new(port)).map_err(|e| failure(&e))?;
        let mut seen = None;
        if let Some(now) = interface {
            follow(&mut driver, &mut seen, now);
        }
        let mut run = Run {
            report: report(&driver),
            driver,
            line: self.line.clone(),
            leaving: self.leaving.clone(),
            recovery: Recovery::default(),
            reset_at: None,
            seen,
        };
        run.report = report(&run.driver);
        let started = FromHost::Started(Box::new(run.report.clone()));
        // A supervisor that is gone is noticed by the next read.
        let _ = run.line.send(&started);
        Ok(run)
    }
}

/// A device that runs.
struct Run {
    driver: Driver,
    line: SharedLine,
    leaving: Leaving,
    recovery: Recovery,
    reset_at: Option<Instant>,
    /// The interface as it was followed last.
    seen: Option<Interface>,
    /// What the supervisor knows.
    report: Report,
}

impl Run {
    fn serve(&mut self) -> Result<(), HostEnd> {
        let poller = self.poller().map_err(system("wait for events"))?;
        // Something may have come between starting the device and waiting for it.
        self.have_announced()?;
        let mut flow = self.told()?;
        while flow == Flow::On {
            let events = poller.wait(self.reset_at);
            for event in events.map_err(system("wait for events"))? {
                match event {
                    Event::Supervisor => flow = self.told()?,
                    Event::Config => self.config_changed()?,
                    Event::Fault => self.fault()?,
                }
                if flow == Flow::End {
                    return Ok(());
                }
            }
            if self.reset_at.is_some_and(|at| at <= Instant::now()) {
                self.reset_at = None;
                self.reset()?;
            }
            self.tell_changes()?;
        }
        Ok(())
    }

    fn poller(&self) -> std::io::Result<Poller<Event>> {
        let mut poller = Poller::new()?;
        for fd in self.line.descriptors() {
            poller.add(fd, Event::Supervisor)?;
        }
        let config = self.driver.config_interrupt().as_raw_fd();
        poller.add(config, Event::Config)?;
        poller.add(self.driver.fault_event().as_raw_fd(), Event::Fault)?;
        Ok(poller)
    }

    /// Does what the supervisor says, in its order.
    fn told(&mut self) -> Result<Flow, HostEnd> {
        loop {
            let Some((message, _)) = self.line.lock().next()? else {
                return Ok(Flow::On);
            };
            match message {
                ToHost::Follow(interface) => {
                    self.busy()?;
                    follow(&mut self.driver, &mut self.seen, interface);
                }
                ToHost::Challenge(challenge) => self.answer(challenge)?,
                ToHost::Count => {
                    let counters = self.driver.counters();
                    self.line.send(&FromHost::Counted { counters })?;
                }
                ToHost::Stop => {
                    self.stop()?;
                    return Ok(Flow::End);
                }
                ToHost::Setup(_)
                | ToHost::Go(_)
                | ToHost::Answer(_)
                | ToHost::Client(_)
                | ToHost::Filter(_)
                | ToHost::Happen(_) => {
                    let text = "what is not for it, or an answer nobody asked for".to_owned();
                    return Err(ChannelError::Nonsense(text).into());
                }
            }
        }
    }

    fn answer(&mut self, challenge: u64) -> Result<(), HostEnd> {
        match self.driver.check_pulse(PULSE) {
            Ok(()) => {
                let counters = self.driver.counters();
                let alive = FromHost::Alive {
                    challenge,
                    counters,
                };
                Ok(self.line.send(&alive)?)
            }
            Err(error) => {
                warn!("{}: {error}", self.driver.name());
                Ok(())
            }
        }
    }

    fn stop(&mut self) -> Result<(), HostEnd> {
        self.leaving.begin();
        if let Err(error) = self.driver.stop() {
            warn!("{}: {error}", self.driver.name());
        }
        let counters = self.driver.counters();
        Ok(self.line.send(&FromHost::Stopped { counters })?)
    }

    fn busy(&self) -> Result<(), HostEnd> {
        let milliseconds = BUSY.as_millis() as u32;
        Ok(self.line.send(&FromHost::Busy(milliseconds))?)
    }

    fn tell_changes(&mut self) -> Result<(), HostEnd> {
        let now = report(&self.driver);
        if now != self.report {
            self.report = now;
            let changed = FromHost::Changed(Box::new(self.report.clone()));
            self.line.send(&changed)?;
        }
        Ok(())
    }

    fn config_changed(&mut self) -> Result<(), HostEnd> {
        if let Err(error) = self.driver.config_changed() {
            warn!("{}: {error}", self.driver.name());
            self.schedule_reset()?;
        }
        self.have_announced()
    }

    /// Peers are told by the supervisor, who has the interface.
    fn have_announced(&mut self) -> Result<(), HostEnd> {
        if self.driver.wants_announcement() {
            self.line.send(&FromHost::Announce)?;
            self.driver.announced();
        }
        Ok(())
    }

    fn fault(&mut self) -> Result<(), HostEnd> {
        if let Some(report) = self.driver.take_fault() {
            warn!("{}: {}, resetting", report.source, report.fault);
            self.schedule_reset()?;
        }
        Ok(())
    }

    fn schedule_reset(&mut self) -> Result<(), HostEnd> {
        if self.reset_at.is_some() {
            return Ok(());
        }
        match self.recovery.on_fault(Instant::now()) {
            Step::ResetAt(at) => {
                self.reset_at = Some(at);
                Ok(())
            }
            Step::GiveUp => self.give_up(),
        }
    }

    fn give_up(&mut self) -> Result<(), HostEnd> {
        let name = self.driver.name().to_owned();
        let why = format!("given up after {} resets", self.recovery.resets());
        error!("{name}: {why}");
        self.busy()?;
        if let Err(error) = self.driver.stop() {
            warn!("{name}: {error}");
        }
        Ok(self.line.send(&FromHost::GivenUp(why))?)
    }

    fn reset(&mut self) -> Result<(), HostEnd> {
        self.busy()?;
        match self.driver.recover() {
            Ok(()) => {
                info!("{}: reset, running again", self.driver.name());
                self.have_announced()
            }
            Err(error) => {
                warn!("{}: reset failed: {error}", self.driver.name());
                self.schedule_reset()
            }
        }
    }
}

/// Does to the device what was done to the interface.
fn follow(driver: &mut Driver, seen: &mut Option<Interface>, now: Interface) {
    let before = seen.replace(now);
    let attempt = |what: &str, outcome: Result<(), DriverError>| {
        if let Err(error) = outcome {
            warn!("cannot follow the interface's {what}: {error}");
        }
    };
    if let Some(mac) = now.mac.filter(|mac| Some(*mac) != driver.mac()) {
        attempt("address", driver.set_mac(mac));
    }
    if now.mtu != driver.mtu() {
        attempt("MTU", driver.set_mtu(now.mtu));
    }
    if before.is_none_or(|before| before.promisc != now.promisc) {
        attempt("receive mode", driver.set_filter(filter_of(&now)));
    }
    if before.is_none_or(|before| before.gro != now.gro) {
        driver.set_gro(now.gro);
    }
}

/// What an interface wants received. Which multicast groups its sockets joined, Linux tells
/// nobody outside the kernel, so all multicast is received and the interface filters.
fn filter_of(interface: &Interface) -> ReceiveFilter {
    let mut filter = Filter::DIRECTED | Filter::BROADCAST | Filter::ALL_MULTICAST;
    if interface.promisc {
        filter = filter | Filter::PROMISCUOUS;
    }
    ReceiveFilter {
        packet_filter: filter,
        multicast_addresses: Vec::new(),
    }
}

fn report(driver: &Driver) -> Report {
    let (info, config) = (driver.info(), driver.config());
    let pairs = u32::from(info.queue_pairs);
    Report {
        link_up: config.link_up,
        speed: config.speed,
        full_duplex: config.full_duplex,
        mac: driver.mac(),
        device_mtu: info.mtu(),
        mtu: driver.mtu(),
        queue_pairs: info.queue_pairs,
        rx_ring: info.rx_ring.get(),
        tx_ring: info.tx_ring.get(),
        busy_poll_us: driver.busy_poll().as_micros() as u16,
        offered: info.offered.0,
        features: info.features.0,
        switched_off: driver.switched_off().0,
        pinned_bytes: info.pinned_bytes as u64,
        pool_bytes: driver.pool_bytes() as u64,
        resets: driver.resets(),
        rx_at_stake: pairs * (u32::from(info.rx_ring.get()) + SYSTEM_RX_RING),
        tx_at_stake: pairs * (u32::from(info.tx_ring.get()) + SYSTEM_TX_RING),
        client: None,
    }
}

fn failure(error: &DriverError) -> StartFailure {
    StartFailure {
        why: error.to_string(),
        refused: matches!(error, DriverError::Card(card) if card.is_refusal()),
        gone: matches!(error, DriverError::Card(card) if card.is_gone()),
        exit: None,
        next: None,
    }
}
