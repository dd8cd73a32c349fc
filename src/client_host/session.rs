//! The life of a client in its host: the thread that enters it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use log::{error, warn};
use netadapter_shim::ReceiveFilter;
use netadapter_shim::abi::NetPacketFilterFlags as Flags;
use netadapter_shim::door::hosted::{self, HostOptions, HostedClient, HostedError, LoadedClient};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::failure::{failure, no_device_left};
use super::ground::Ground;
use super::shared::Shared;
use crate::channel::{ClientSetup, Filter, FromHost, SharedLine, StartFailure};
use crate::control::DeviceEvent;
use crate::poller::Poller;

/// More devices than anybody wants from one client.
const MOST_DEVICES: usize = 64;

/// Something to be done in the client.
pub(super) enum Job {
    /// Its interface wants this received.
    Filter(Filter),
    /// This happens to all its devices.
    Happen(DeviceEvent),
    /// It is to end.
    Stop,
}

/// Where jobs are given.
pub(super) struct Jobs {
    sender: Sender<Job>,
    bell: EventFd,
}

impl Jobs {
    /// Has something done.
    pub(super) fn give(&self, job: Job) {
        // A session that has ended does nothing more.
        let _ = self.sender.send(job);
        let _ = self.bell.write(1);
    }
}

/// What the session waits for.
#[derive(Clone, Copy)]
enum Event {
    /// There is a job, or the client has given a device up.
    Woken,
    /// A queue of an adapter met a fault.
    Fault(usize),
}

/// How a session ends.
enum End {
    Stopped,
    NoDeviceLeft,
}

/// A session that is about to begin.
pub(super) struct Session {
    setup: ClientSetup,
    ground: Arc<Ground>,
    line: SharedLine,
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    woken: EventFd,
    poller: Poller<Event>,
}

impl Session {
    pub(super) fn new(
        setup: &ClientSetup,
        ground: Arc<Ground>,
        line: SharedLine,
        shared: Arc<Shared>,
    ) -> io::Result<(Self, Jobs)> {
        let woken = EventFd::new(EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        let mut poller = Poller::new()?;
        poller.add(woken.as_raw_fd(), Event::Woken)?;
        let (sender, jobs) = channel();
        let bell = woken.try_clone()?;
        let session = Self {
            setup: setup.clone(),
            ground,
            line,
            shared,
            jobs,
            woken,
            poller,
        };
        Ok((session, Jobs { sender, bell }))
    }

    /// From DriverEntry to the end.
    pub(super) fn run(self, client: LoadedClient) {
        let (line, shared) = (self.line.clone(), Arc::clone(&self.shared));
        if let Err(failed) = self.live(client) {
            shared.fail();
            // A supervisor that is gone needs not know.
            let _ = line.send(&FromHost::Failed(failed));
        }
    }

    fn live(self, client: LoadedClient) -> Result<(), StartFailure> {
        let options = self
            .options()
            .map_err(|error| broken("make an eventfd", &error))?;
        let ground = Arc::clone(&self.ground);
        let entered = self.shared.busy_with(|| client.enter(ground, options));
        let mut running = Running {
            client: entered.map_err(|error| failure(&error))?,
            session: self,
            filters: BTreeMap::new(),
            next: None,
        };
        let served = match running.bring_up() {
            Ok(()) => running.serve(),
            Err(error) => Err(failure(&error)),
        };
        running.end(served)
    }

    fn options(&self) -> io::Result<HostOptions> {
        let waker = self.woken.try_clone()?;
        let on_stuck = |callback: &'static str, deadline: Duration| {
            error!("{callback} has not returned for {deadline:?}: the client host ends");
            // The client's thread is in the client's code, so none of that may run any more, not
            // even what it left to be run at exit.
            std::process::abort();
        };
        Ok(HostOptions {
            verifier: self.setup.verifier,
            deadline: Duration::from_millis(self.setup.deadline_ms),
            on_stuck: Box::new(on_stuck),
            // What the process leaves behind is the supervisor's matter.
            on_breach: Box::new(|| ()),
            on_failed: Arc::new(move || drop(waker.write(1))),
        })
    }
}

/// The system has refused something without which there is no client.
fn broken(what: &str, error: &io::Error) -> StartFailure {
    StartFailure {
        why: format!("cannot {what}: {error}"),
        ..StartFailure::default()
    }
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

/// A client whose DriverEntry has succeeded.
struct Running {
    session: Session,
    client: HostedClient,
    /// What each adapter's interface wants received.
    filters: BTreeMap<usize, Filter>,
    /// When a device is due to be restarted.
    next: Option<Instant>,
}

impl Running {
    /// Adds the devices that are configured, at least one, and more as long as adapters are wanted
    /// that there are not.
    fn bring_up(&mut self) -> Result<(), HostedError> {
        let Session {
            setup,
            ground,
            shared,
            ..
        } = &self.session;
        let configured = setup.section.devices().max(1);
        loop {
            let before = ground.adapters();
            shared.busy_with(|| self.client.add_device())?;
            let adapters = ground.adapters();
            let enough = self.client.devices() >= configured && adapters >= setup.adapters;
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
        Ok(())
    }

    fn serve(&mut self) -> Result<End, StartFailure> {
        self.look_around();
        let report = Box::new(self.session.shared.report());
        self.tell(&FromHost::Started(report));
        loop {
            let ready = self.session.poller.wait(self.next);
            let ready = ready.map_err(|error| broken("wait for events", &error))?;
            for event in ready {
                match event {
                    // What is there to be read is the bell's.
                    Event::Woken => drop(self.session.woken.read()),
                    Event::Fault(number) => self.fault(number),
                }
            }
            while let Ok(job) = self.session.jobs.try_recv() {
                match job {
                    Job::Filter(filter) => self.filter(filter),
                    Job::Happen(event) => self.happen(event),
                    Job::Stop => return Ok(End::Stopped),
                }
            }
            if !self.tend(false) {
                return Ok(End::NoDeviceLeft);
            }
        }
    }

    fn tell(&self, message: &FromHost) {
        // A supervisor that is gone is noticed by the control thread.
        let _ = self.session.line.send(message);
    }

    fn happen(&mut self, event: DeviceEvent) {
        let shared = &self.session.shared;
        let happened = shared.busy_with(|| self.client.happen(event.into()));
        // Whether a device is left is seen at the next turn.
        self.tend(true);
        let happened = happened.map_err(|error| error.to_string());
        self.tell(&FromHost::Happened(happened));
    }

    /// Has failed devices taken down and restarted. Something may have `happened` to devices.
    /// Whether one is left.
    fn tend(&mut self, happened: bool) -> bool {
        let shared = Arc::clone(&self.session.shared);
        let tended = shared.busy_with(|| self.client.tend(Instant::now()));
        self.next = tended.next;
        if happened || tended.changed {
            self.look_around();
            let report = Box::new(shared.report());
            self.tell(&FromHost::Changed(report));
        }
        tended.alive
    }

    /// Adapters have come or gone.
    fn look_around(&mut self) {
        let adapters = self.client.adapters();
        let shared = &self.session.shared;
        shared.update(adapters, self.client.devices(), self.client.restarts());
        if self.next.is_none() {
            self.session.ground.leave_vacated();
        }
        for filter in self.filters.values() {
            self.apply(filter);
        }
        self.watch_faults();
    }

    fn watch_faults(&mut self) {
        for adapter in self.client.adapters() {
            let Ok(fault) = adapter.with(|core| core.fault_event()) else {
                continue;
            };
            let poller = &mut self.session.poller;
            // It may be watched already, or have the number of one that is closed.
            poller.remove(fault);
            if let Err(error) = poller.add(fault, Event::Fault(adapter.number())) {
                warn!(
                    "adapter {}: its faults stay unknown: {error}",
                    adapter.number()
                );
            }
        }
    }

    fn filter(&mut self, filter: Filter) {
        self.apply(&filter);
        self.filters.insert(filter.adapter, filter);
    }

    /// Tells the client what an interface wants received.
    fn apply(&self, filter: &Filter) {
        let mut adapters = self.client.adapters().into_iter();
        let adapter = adapters.find(|adapter| adapter.number() == filter.adapter);
        if let Some(adapter) = adapter {
            let shared = &self.session.shared;
            shared.busy_with(|| adapter.set_receive_filter(receive_filter(filter)));
        }
    }

    fn fault(&self, number: usize) {
        let mut adapters = self.client.adapters().into_iter();
        let Some(adapter) = adapters.find(|adapter| adapter.number() == number) else {
            return;
        };
        let faults = adapter.with(|core| core.take_faults());
        for (queue, fault) in faults.unwrap_or_default() {
            error!("adapter {number}: queue pair {queue}: {fault}");
        }
    }

    /// Takes the client down, and tells how it went.
    fn end(self, served: Result<End, StartFailure>) -> Result<(), StartFailure> {
        let Self {
            session, client, ..
        } = self;
        let Session { shared, ground, .. } = &session;
        let counters = shared.counters();
        let name = client.name().to_owned();
        ground.leaving.begin();
        shared.busy_with(|| client.shut_down());
        match served? {
            End::NoDeviceLeft => Err(no_device_left(&name)),
            End::Stopped => {
                let _ = session.line.send(&FromHost::Stopped { counters });
                Ok(())
            }
        }
    }
}

fn receive_filter(filter: &Filter) -> ReceiveFilter {
    let mut flags = Flags::DIRECTED | Flags::BROADCAST | Flags::MULTICAST;
    if filter.all_multicast {
        flags = flags | Flags::ALL_MULTICAST;
    }
    if filter.promisc {
        flags = flags | Flags::PROMISCUOUS;
    }
    ReceiveFilter {
        packet_filter: flags,
        multicast_addresses: filter.groups.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_reaches_the_client_with_all_it_says() {
        let filter = |promisc, all_multicast| Filter {
            adapter: 0,
            promisc,
            all_multicast,
            groups: vec![[1, 0, 0x5e, 0, 0, 1]],
        };
        let listed = Flags::DIRECTED | Flags::BROADCAST | Flags::MULTICAST;
        let plain = receive_filter(&filter(false, false));
        assert_eq!(plain.packet_filter, listed);
        assert_eq!(plain.multicast_addresses, [[1, 0, 0x5e, 0, 0, 1]]);
        let more = receive_filter(&filter(true, true)).packet_filter;
        assert_eq!(more, listed | Flags::ALL_MULTICAST | Flags::PROMISCUOUS);
    }
}
