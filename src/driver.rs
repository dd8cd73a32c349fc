//! The driver of one card: a NetAdapterCx client, and what its control thread does.
//!
//! ```text
//! Driver::start ──► frames flow on the adapter's execution context
//!    │   config_changed   link state follows the device
//!    │   recover          after a fault: queues cancelled, device reset, everything rebuilt
//!    │   set_mtu, set_mac, set_filter      what the system asks for
//! Driver::stop ──► queues cancelled, device reset
//! ```
//!
//! The system port, and with it the interface, stays over every recovery.

mod callbacks;
mod capabilities;
mod mending;
mod scaling;
mod shared;
mod wishes;

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use log::{info, warn};
use netadapter_shim::{Adapter, AdapterConfig, AdapterError, AdapterStatistics, Crew, SystemPort};
use virtio::Transport;
use virtio::net::{FeatureSet, NetConfig};
use virtio::spec::net::feature::VIRTIO_NET_F_CTRL_MAC_ADDR;
use vmm_sys_util::eventfd::EventFd;

use self::callbacks::Events;
use self::capabilities::{beyond, hash_types, joins};
pub use self::mending::Ended;
pub use self::shared::PairStats;
use self::shared::{HandOver, Shared};
use crate::card::{Card, CardConfig, CardError, CardInfo};
use crate::control::QueueStats;
use crate::fault::{Fault, FaultSink, Report};

/// Why a driver could not be started or brought back.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The device.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The adapter.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

/// How a card and its adapter are driven.
#[derive(Clone, Debug, Default)]
pub struct DriverConfig {
    /// Queue sizes, features, deadlines.
    pub card: CardConfig,
    /// System buffers, execution contexts, the verifier.
    pub adapter: AdapterConfig,
    /// Threads for several pairs, which share out the processors among them; without, those of
    /// `adapter`.
    pub crew_of_several: Option<Arc<Crew>>,
    /// How long a thread that finds no frame looks on before it sleeps, in place of what `adapter`
    /// says. If not given it is 50 microseconds where there are more processors than pairs, and
    /// nothing otherwise: a thread that looks on keeps the processor from whoever the frames are for.
    pub busy_poll: Option<Duration>,
    /// Processors for threads to run on.
    pub processors: usize,
}

/// What a processor to spare is used for.
const BUSY_POLL: Duration = Duration::from_micros(50);

/// The driver of one card.
pub struct Driver {
    card: Card,
    adapter: Adapter,
    shared: Arc<Shared>,
    info: CardInfo,
    config: NetConfig,
    config_interrupt: Arc<EventFd>,
    fault_event: Arc<EventFd>,
    reports: Receiver<Report>,
    /// The address set by the system, if it is not the device's own.
    mac: Option<[u8; 6]>,
    mtu: u32,
    /// Whether received segments may be joined.
    gro: bool,
    /// Receive offloads agreed on that the device was told not to use.
    switched_off: FeatureSet,
    busy_poll: Duration,
    resets: u64,
    queue_resets: u64,
    /// Whether all faults since the last recovery were single queues' own; none: there were none.
    only_queues: Option<bool>,
    started: bool,
}

impl Driver {
    /// Brings `transport`'s device up and lets frames flow between it and `port`.
    ///
    /// # Errors
    /// [`DriverError`]; the device is reset and dropped.
    pub fn start(
        transport: Box<dyn Transport>,
        mut config: DriverConfig,
        port: Box<dyn SystemPort>,
    ) -> Result<Self, DriverError> {
        let fault_event = new_event()?;
        let disabled = &mut config.card.disabled;
        *disabled = FeatureSet(disabled.0 | beyond(port.as_ref()).0);
        let may_join = joins(FeatureSet(!disabled.0));
        let of_port = u16::try_from(port.max_queues()).unwrap_or(u16::MAX);
        config.card.queue_pairs = config.card.queue_pairs.min(of_port);
        let mut card = Card::new(transport, config.card)?;
        let started = card.start()?;
        let pairs = started.pairs.len();
        config.adapter.queue_pairs = pairs;
        // The kernel does not join what is written to a TAP, so somebody before it should.
        config.adapter.coalesce_received = may_join && !joins(started.info.features);
        // `TxQueue` asks for the layout of those frames only that it has something to do about.
        config.adapter.layout_of_plain_frames = false;
        if let Some(crew) = config.crew_of_several.filter(|_| pairs > 1) {
            config.adapter.execution.crew = Some(crew);
        }
        let to_spare = config.processors > pairs;
        let by_itself = if to_spare { BUSY_POLL } else { Duration::ZERO };
        let busy_poll = config.busy_poll.unwrap_or(by_itself);
        config.adapter.execution.busy_poll = busy_poll;
        let wake = Arc::clone(&fault_event);
        let (faults, reports) = FaultSink::new(move || drop(wake.write(1)));
        let shared = Arc::new(Shared {
            name: card.name().to_owned(),
            hand_over: Mutex::new(HandOver::of(started.pairs, started.ctrl)),
            stats: (0..pairs).map(|_| PairStats::default()).collect(),
            faults,
            features: started.info.features,
            frame_limit: started.info.frame_limit,
            hash_types: hash_types(&started.info),
        });
        shared.set_coalescing(card.coalescing());
        let events = Box::new(Events::new(Arc::clone(&shared)));
        let adapter = Adapter::new(events, port, config.adapter)?;
        let mut driver = Self {
            card,
            adapter,
            shared,
            config: started.info.config,
            info: started.info,
            config_interrupt: started.config_interrupt,
            fault_event,
            reports,
            mac: None,
            mtu: started.info.mtu().into(),
            gro: true,
            switched_off: FeatureSet::EMPTY,
            busy_poll,
            resets: 0,
            queue_resets: 0,
            only_queues: None,
            started: false,
        };
        driver.state_capabilities()?;
        // Before the adapter starts: where a driver takes over from another, the interface never
        // sees its carrier go. A kernel that does takes a second to believe that it is back.
        driver.show_link()?;
        driver.adapter.start()?;
        driver.adapter.io_start()?;
        driver.started = true;
        info!(
            "{}: started, features {:?}",
            driver.name(),
            driver.info.features
        );
        Ok(driver)
    }

    /// The name that people know the device by.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What was found out when the card was started.
    pub fn info(&self) -> &CardInfo {
        &self.info
    }

    /// The device's configuration when it was last read.
    pub fn config(&self) -> &NetConfig {
        &self.config
    }

    /// The address that the interface should have.
    pub fn mac(&self) -> Option<[u8; 6]> {
        self.mac.or(self.config.mac)
    }

    /// The MTU that the interface should have, in bytes of payload.
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// Longest time that its threads look for frames awake before they sleep.
    pub fn busy_poll(&self) -> Duration {
        self.busy_poll
    }

    /// How often the device, or queues of it, were reset after a fault.
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// How often it was queues alone.
    pub fn queue_resets(&self) -> u64 {
        self.queue_resets
    }

    /// Counters of the device's queues, by pair; there is at least one.
    pub fn device_stats(&self) -> &[PairStats] {
        &self.shared.stats
    }

    /// Counters of the adapter.
    pub fn adapter_statistics(&self) -> AdapterStatistics {
        self.adapter.statistics()
    }

    /// Bytes of memory set aside for system buffers.
    pub fn pool_bytes(&self) -> usize {
        self.adapter.pool_bytes()
    }

    /// Readable when the device's configuration changed; then call
    /// [`Driver::config_changed`].
    pub fn config_interrupt(&self) -> &EventFd {
        &self.config_interrupt
    }

    /// Readable when a queue met a fault; then call [`Driver::take_fault`].
    pub fn fault_event(&self) -> &EventFd {
        &self.fault_event
    }

    /// The first fault that was reported since the last call, others being its consequences.
    pub fn take_fault(&mut self) -> Option<Report> {
        let _ = self.fault_event.read();
        let first = self.reports.try_recv().ok();
        for report in first.iter().cloned().chain(self.reports.try_iter()) {
            let alone = self.only_queues.unwrap_or(true) && report.fault.is_of_one_queue();
            self.only_queues = Some(alone);
        }
        first
    }

    /// Reads the configuration anew: the link follows it, and a device that asks for a reset
    /// reports a fault. Spurious calls do no harm.
    ///
    /// # Errors
    /// [`DriverError`] when the device is gone or its configuration never stands still.
    pub fn config_changed(&mut self) -> Result<(), DriverError> {
        let _ = self.config_interrupt.read();
        let (config, needs_reset) = self.card.read_config()?;
        if needs_reset {
            self.shared
                .faults
                .report(&self.shared.name, Fault::NeedsReset);
        }
        // Only link and speed change while a device runs (§ Device configuration layout); one
        // that says otherwise is not believed.
        self.config = NetConfig {
            mac: self.config.mac,
            mtu: self.config.mtu,
            max_pairs: self.config.max_pairs,
            rss: self.config.rss,
            ..config
        };
        self.show_link()
    }

    /// Cancels the queues, resets the device and rebuilds everything, for instance after a
    /// fault; where the fault was a queue's own and the device can, only that queue is reset. The
    /// interface stays.
    ///
    /// # Errors
    /// [`DriverError`]: the device does not run; another call tries again.
    pub fn recover(&mut self) -> Result<(), DriverError> {
        self.resets += 1;
        let alone = self.only_queues.take() == Some(true) && self.card.resets_queues();
        if alone && self.mend_queues().is_ok() {
            self.queue_resets += 1;
            return Ok(());
        }
        self.rebuild()
    }

    /// Asks the poll loops for a sign of life; each gets `patience`.
    ///
    /// # Errors
    /// [`DriverError::Adapter`] for the first that gives none.
    pub fn check_pulse(&self, patience: Duration) -> Result<(), DriverError> {
        Ok(self.adapter.check_pulse(patience)?)
    }

    /// All counters by queue: the device's `rx0`, `tx0`, `rx1` and so on, the system's `port0`
    /// and so on.
    pub fn counters(&self) -> Vec<QueueStats> {
        let ports = self.adapter.statistics().queues.into_iter().enumerate();
        let ports = ports.map(|(index, port)| (format!("port{index}"), port.named().collect()));
        let pairs = self.shared.stats.iter().enumerate();
        let device = pairs.flat_map(|(pair, stats)| {
            [
                (format!("rx{pair}"), stats.rx.snapshot()),
                (format!("tx{pair}"), stats.tx.snapshot()),
            ]
        });
        let queues = device.chain(ports);
        queues
            .map(|(queue, named)| QueueStats::new(queue, named))
            .collect()
    }

    /// Ends: queues cancelled, interface without carrier, device reset.
    ///
    /// # Errors
    /// What went wrong first; the rest is done all the same.
    pub fn stop(&mut self) -> Result<(), DriverError> {
        if !std::mem::take(&mut self.started) {
            return Ok(());
        }
        let paused = self.pause();
        let stopped = self.adapter.stop();
        paused?;
        stopped?;
        Ok(())
    }

    fn rebuild(&mut self) -> Result<(), DriverError> {
        self.pause()?;
        self.resume()
    }

    /// Queues cancelled and gone, device reset.
    fn pause(&mut self) -> Result<(), DriverError> {
        let ended = self.adapter.io_stop();
        let stopped = self.card.stop();
        self.shared.forget_queues();
        stopped?;
        Ok(ended?)
    }

    /// Device brought up again, queues created, control state replayed.
    fn resume(&mut self) -> Result<(), DriverError> {
        let started = self.card.start()?;
        // The configuration interrupt is the same event as before.
        self.config = started.info.config;
        self.info = started.info;
        *self.shared.hand_over() = HandOver::of(started.pairs, started.ctrl);
        self.shared.set_coalescing(self.card.coalescing());
        // With a reset all are on again.
        self.switched_off = FeatureSet::EMPTY;
        self.switch_offloads();
        if let Some(mac) = self.mac {
            let what = "set the MAC address";
            self.shared
                .command(VIRTIO_NET_F_CTRL_MAC_ADDR, what, |ctrl| ctrl.set_mac(mac));
        }
        self.adapter.io_start()?;
        self.show_link()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            warn!("{}: stopping: {error}", self.name());
        }
    }
}

fn new_event() -> Result<Arc<EventFd>, CardError> {
    let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
    event.map(Arc::new).map_err(event_error)
}

fn event_error(source: std::io::Error) -> CardError {
    CardError::Memory {
        len: size_of::<EventFd>(),
        source,
    }
}
