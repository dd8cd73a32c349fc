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

mod mending;
mod scaling;

pub use mending::Ended;

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::{debug, info, warn};
use netadapter_shim::abi::{
    NetAdapterLinkLayerAddress, NetAdapterLinkLayerCapabilities, NetAdapterLinkState,
    NetIfMediaDuplexState, NetOffloadLayer3Flags as L3, NetOffloadLayer4Flags as L4,
    NetPacketFilterFlags as Filter, NetPacketHashProtocolType, NetReceiveScalingHashType, NtStatus,
};
use netadapter_shim::{
    Adapter, AdapterConfig, AdapterError, AdapterEvents, AdapterStatistics, Crew, IndirectionEntry,
    OffloadGsoCapabilities, OffloadTxChecksumCapabilities, PacketQueue, QueueInit, ReceiveFilter,
    ReceiveFilterCapabilities, RxCapabilities, SystemPort, TxCapabilities,
};
use virtio::Transport;
use virtio::net::{Coalescing, ControlQueue, CtrlError, FeatureSet, NetConfig, guest_offloads};
use virtio::spec::net::feature::*;
use vmm_sys_util::eventfd::EventFd;

use self::mending::{Place, Returned, Returning};
use self::scaling::Scaling;
use crate::card::{Card, CardConfig, CardError, CardInfo, PairParts, QueueParts};
use crate::control::QueueStats;
use crate::fault::{Fault, FaultSink, Report};
use crate::rx_queue::{RxParts, RxQueue};
use crate::stats::{RxStats, TxStats};
use crate::tx_queue::{TxParts, TxQueue};

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
    /// Processors for threads to run on. Unless there are more of them than pairs, none is spent on
    /// looking for frames awake, whatever `adapter` says.
    pub processors: usize,
}

/// Counters of a pair of the device's queues; they go on over every recovery.
#[derive(Debug, Default)]
pub struct PairStats {
    /// The receive queue.
    pub rx: Arc<RxStats>,
    /// The transmit queue.
    pub tx: Arc<TxStats>,
}

/// What passes from the control thread to the adapter's callbacks.
#[derive(Default)]
struct HandOver {
    /// By pair.
    rx: Vec<Option<QueueParts>>,
    tx: Vec<Option<QueueParts>>,
    ctrl: Option<ControlQueue>,
    /// Of queues that have ended.
    returned: Vec<Returned>,
}

impl HandOver {
    fn of(pairs: Vec<PairParts>, ctrl: Option<ControlQueue>) -> Self {
        let pairs = pairs.into_iter().map(|pair| (Some(pair.rx), Some(pair.tx)));
        let (rx, tx) = pairs.unzip();
        Self {
            rx,
            tx,
            ctrl,
            returned: Vec::new(),
        }
    }
}

/// The queue with that number, once.
fn take(queues: &mut [Option<QueueParts>], id: u32) -> Result<QueueParts, NtStatus> {
    let queue = queues.get_mut(id as usize).and_then(Option::take);
    queue.ok_or(NtStatus::UNSUCCESSFUL)
}

/// What the callbacks and the control thread share.
struct Shared {
    name: String,
    hand_over: Mutex<HandOver>,
    /// By pair.
    stats: Vec<PairStats>,
    faults: FaultSink,
    features: FeatureSet,
    frame_limit: usize,
    /// What may be hashed and told of; 0: nothing is told.
    hash_types: u32,
}

impl Shared {
    fn hand_over(&self) -> MutexGuard<'_, HandOver> {
        self.hand_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a device that can how long it may put notifications off.
    fn set_coalescing(&self, [rx, tx]: [Option<Coalescing>; 2]) {
        if rx.or(tx).is_none() {
            return;
        }
        self.command(VIRTIO_NET_F_NOTF_COAL, "put notifications off", |ctrl| {
            rx.map_or(Ok(()), |limits| ctrl.set_rx_coalescing(limits))?;
            tx.map_or(Ok(()), |limits| ctrl.set_tx_coalescing(limits))
        });
    }

    /// Sends control commands, if there is a control queue that can; a refusal is worth a
    /// word, silence or nonsense a reset. Whether they were carried out.
    fn command(
        &self,
        feature: u32,
        what: &str,
        send: impl FnOnce(&mut ControlQueue) -> Result<(), CtrlError>,
    ) -> bool {
        let mut hand_over = self.hand_over();
        let Some(ctrl) = hand_over
            .ctrl
            .as_mut()
            .filter(|_| self.features.has(feature))
        else {
            debug!("{}: the device cannot {what}", self.name);
            return false;
        };
        let sent = send(ctrl);
        let done = sent.is_ok();
        match sent {
            Ok(()) => {}
            Err(error @ (CtrlError::Refused { .. } | CtrlError::TooLong { .. })) => {
                warn!("{}: cannot {what}: {error}", self.name);
            }
            Err(error) => {
                warn!("{}: cannot {what}: {error}", self.name);
                hand_over.ctrl = None;
                self.faults
                    .report(&format!("{} ctrl", self.name), Fault::Control);
            }
        }
        done
    }
}

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
        let of_port = u16::try_from(port.max_queues()).unwrap_or(u16::MAX);
        config.card.queue_pairs = config.card.queue_pairs.min(of_port);
        let mut card = Card::new(transport, config.card)?;
        let started = card.start()?;
        let pairs = started.pairs.len();
        config.adapter.queue_pairs = pairs;
        // `TxQueue` asks for the layout of those frames only that it has something to do about.
        config.adapter.layout_of_plain_frames = false;
        if let Some(crew) = config.crew_of_several.filter(|_| pairs > 1) {
            config.adapter.execution.crew = Some(crew);
        }
        if config.processors <= pairs {
            config.adapter.execution.busy_poll = Duration::ZERO;
        }
        let busy_poll = config.adapter.execution.busy_poll;
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

    /// Whether the device asks that the interface's peers be told where it is now (§ *Gratuitous
    /// Packet Sending*), since the last [`Driver::config_changed`]; then somebody who knows its
    /// addresses is to do that, and [`Driver::announced`] is to be called.
    pub fn wants_announcement(&self) -> bool {
        self.config.announce
    }

    /// Tells the device that its peers are told: it stops asking.
    pub fn announced(&mut self) {
        self.config.announce = false;
        let what = "say that peers were told";
        let sent = ControlQueue::acknowledge_announcement;
        self.shared.command(VIRTIO_NET_F_GUEST_ANNOUNCE, what, sent);
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

    /// Changes the MTU of the interface, in bytes of payload.
    ///
    /// # Errors
    /// [`DriverError`], as for [`Driver::recover`].
    pub fn set_mtu(&mut self, mtu: u32) -> Result<(), DriverError> {
        self.pause()?;
        self.mtu = mtu;
        self.adapter.set_link_layer_mtu_size(mtu)?;
        self.resume()
    }

    /// Changes the address of the interface.
    ///
    /// # Errors
    /// [`DriverError`], as for [`Driver::recover`].
    pub fn set_mac(&mut self, mac: [u8; 6]) -> Result<(), DriverError> {
        self.pause()?;
        self.mac = Some(mac);
        let address = NetAdapterLinkLayerAddress::ethernet(mac);
        self.adapter.set_current_link_layer_address(address)?;
        self.resume()
    }

    /// Changes which frames are received.
    ///
    /// # Errors
    /// [`DriverError::Adapter`].
    pub fn set_filter(&mut self, filter: ReceiveFilter) -> Result<(), DriverError> {
        Ok(self.adapter.set_receive_filter(filter)?)
    }

    /// Has segments that the device receives joined by it, or not. Unless it can be told so while it
    /// runs (`VIRTIO_NET_F_CTRL_GUEST_OFFLOADS`), it goes on as was agreed; see
    /// [`Driver::switched_off`].
    pub fn set_gro(&mut self, on: bool) {
        self.gro = on;
        self.switch_offloads();
    }

    /// Receive offloads that were agreed on and are switched off.
    pub fn switched_off(&self) -> FeatureSet {
        self.switched_off
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

    /// Tells the device which receive offloads are on, where that is not what it knows.
    fn switch_offloads(&mut self) {
        let agreed = self.info.features.and(guest_offloads());
        let off = match self.gro {
            true => FeatureSet::EMPTY,
            false => agreed.and(JOINING),
        };
        if off == self.switched_off {
            return;
        }
        let what = "switch receive offloads";
        let sent = |ctrl: &mut ControlQueue| ctrl.set_guest_offloads(agreed.without(off));
        let bit = VIRTIO_NET_F_CTRL_GUEST_OFFLOADS;
        if self.shared.command(bit, what, sent) {
            self.switched_off = off;
        }
    }

    fn state_capabilities(&mut self) -> Result<(), DriverError> {
        let info = self.info;
        let speed = bits_per_second(&info.config);
        let a = &mut self.adapter;
        a.set_link_layer_capabilities(NetAdapterLinkLayerCapabilities::new(speed, speed))?;
        a.set_link_layer_mtu_size(info.mtu().into())?;
        if let Some(mac) = info.config.mac {
            a.set_permanent_link_layer_address(NetAdapterLinkLayerAddress::ethernet(mac))?;
        }
        let pairs = usize::from(info.queue_pairs);
        let rx = RxCapabilities::system_managed(info.max_rx_frame, pairs);
        a.set_datapath_capabilities(TxCapabilities::new(pairs), rx)?;
        if let Some(limits) = info.config.rss.filter(|_| pairs > 1) {
            a.set_receive_scaling_capabilities(scaling::capabilities(limits, pairs))?;
        }
        a.set_receive_filter_capabilities(ReceiveFilterCapabilities {
            supported_packet_filters: Filter::ALL,
            maximum_multicast_addresses: MULTICAST_LIST,
        })?;
        if info.features.has(VIRTIO_NET_F_GUEST_CSUM) {
            a.offload_set_rx_checksum_capabilities()?;
        }
        if info.features.has(VIRTIO_NET_F_CSUM) {
            a.offload_set_tx_checksum_capabilities(OffloadTxChecksumCapabilities::all())?;
        }
        if let Some(gso) = gso_capabilities(info.features) {
            a.offload_set_gso_capabilities(gso)?;
        }
        Ok(())
    }

    fn show_link(&mut self) -> Result<(), DriverError> {
        let state = if self.config.link_up {
            let duplex = match self.config.full_duplex {
                Some(true) => NetIfMediaDuplexState::FULL,
                Some(false) => NetIfMediaDuplexState::HALF,
                None => NetIfMediaDuplexState::UNKNOWN,
            };
            NetAdapterLinkState::connected(bits_per_second(&self.config), duplex)
        } else {
            NetAdapterLinkState::disconnected()
        };
        Ok(self.adapter.set_link_state(state)?)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            warn!("{}: stopping: {error}", self.name());
        }
    }
}

/// Receive offloads by which segments come joined.
const JOINING: FeatureSet = FeatureSet::of(&[
    VIRTIO_NET_F_GUEST_TSO4,
    VIRTIO_NET_F_GUEST_TSO6,
    VIRTIO_NET_F_GUEST_ECN,
    VIRTIO_NET_F_GUEST_USO4,
    VIRTIO_NET_F_GUEST_USO6,
]);

/// Length of the multicast list handed to the device; beyond it, all multicast is received.
const MULTICAST_LIST: usize = 64;

/// The speed that stands for a device that does not say: that of a 10 Gbit/s link, as virtual
/// network cards are commonly shown.
const DEFAULT_SPEED: u32 = 10_000;

fn bits_per_second(config: &NetConfig) -> u64 {
    u64::from(config.speed.unwrap_or(DEFAULT_SPEED)) * 1_000_000
}

/// What of frames may be hashed, where their headers tell of it.
fn hash_types(info: &CardInfo) -> u32 {
    let told = info.features.has(VIRTIO_NET_F_HASH_REPORT);
    let limits = info.config.rss.filter(|_| told);
    limits.map_or(0, |limits| limits.hash_types)
}

/// Features that the port cannot carry.
fn beyond(port: &dyn SystemPort) -> FeatureSet {
    let (rx, tx) = (port.rx_offloads(), port.tx_offloads());
    let pairs = [
        (rx.checksum, VIRTIO_NET_F_GUEST_CSUM),
        (rx.tso4, VIRTIO_NET_F_GUEST_TSO4),
        (rx.tso6, VIRTIO_NET_F_GUEST_TSO6),
        (rx.tso_ecn, VIRTIO_NET_F_GUEST_ECN),
        (rx.uso, VIRTIO_NET_F_GUEST_USO4),
        (rx.uso, VIRTIO_NET_F_GUEST_USO6),
        (port.takes_hash(), VIRTIO_NET_F_HASH_REPORT),
        (tx.checksum, VIRTIO_NET_F_CSUM),
        (tx.tso4, VIRTIO_NET_F_HOST_TSO4),
        (tx.tso6, VIRTIO_NET_F_HOST_TSO6),
        (tx.tso_ecn, VIRTIO_NET_F_HOST_ECN),
        (tx.uso, VIRTIO_NET_F_HOST_USO),
    ];
    pairs
        .into_iter()
        .filter(|(has, _)| !has)
        .fold(FeatureSet::EMPTY, |set, (_, bit)| set.with(bit))
}

/// What the device segments. The structure pairs every network header with every transport,
/// so UDP is left out where TCP is segmented for one of the families only.
fn gso_capabilities(features: FeatureSet) -> Option<OffloadGsoCapabilities> {
    let (v4, v6) = (
        features.has(VIRTIO_NET_F_HOST_TSO4),
        features.has(VIRTIO_NET_F_HOST_TSO6),
    );
    let udp = features.has(VIRTIO_NET_F_HOST_USO) && v4 == v6;
    let pick = |wanted: bool, flags: u32| if wanted { flags } else { 0 };
    let ipv4 = (L3::IPV4_NO_OPTIONS | L3::IPV4_WITH_OPTIONS).0;
    let ipv6 = (L3::IPV6_NO_EXTENSIONS | L3::IPV6_WITH_EXTENSIONS).0;
    let tcp = (L4::TCP_NO_OPTIONS | L4::TCP_WITH_OPTIONS).0;
    let layer3 = L3(pick(v4 || udp, ipv4) | pick(v6 || udp, ipv6));
    let layer4 = L4(pick(v4 || v6, tcp) | pick(udp, L4::UDP.0));
    let mut gso = OffloadGsoCapabilities::new(layer3, layer4);
    gso.tcp_ecn = features.has(VIRTIO_NET_F_HOST_ECN);
    (layer3.0 != 0).then_some(gso)
}

/// The adapter's callbacks.
struct Events {
    shared: Arc<Shared>,
    scaling: Scaling,
}

impl Events {
    fn new(shared: Arc<Shared>) -> Self {
        let pairs = shared.stats.len() as u16;
        Self {
            shared,
            scaling: Scaling::over(pairs),
        }
    }
}

impl AdapterEvents for Events {
    fn create_tx_queue(&mut self, init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        let (shared, id) = (&self.shared, init.queue_id());
        let parts = take(&mut shared.hand_over().tx, id)?;
        init.register_interrupt(Arc::clone(&parts.interrupt));
        let (interrupt, laid_out) = (parts.interrupt, parts.laid_out);
        let parts = TxParts {
            name: format!("{} tx{id}", shared.name),
            queue: parts.queue,
            doorbell: parts.doorbell,
            slots: parts.slots,
            stats: Arc::clone(&shared.stats[id as usize].tx),
            faults: shared.faults.clone(),
        };
        let queue = TxQueue::new(parts, init.notifier());
        let place = Place::Tx(id);
        let queue = Returning::new(queue, place, interrupt, laid_out, shared);
        Ok(Box::new(queue))
    }

    fn create_rx_queue(&mut self, init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus> {
        let (shared, id) = (&self.shared, init.queue_id());
        let parts = take(&mut shared.hand_over().rx, id)?;
        init.register_interrupt(Arc::clone(&parts.interrupt));
        let (interrupt, laid_out) = (parts.interrupt, parts.laid_out);
        let parts = RxParts {
            name: format!("{} rx{id}", shared.name),
            queue: parts.queue,
            doorbell: parts.doorbell,
            slots: parts.slots,
            features: shared.features,
            frame_limit: shared.frame_limit,
            hash_types: shared.hash_types,
            stats: Arc::clone(&shared.stats[id as usize].rx),
            faults: shared.faults.clone(),
        };
        let queue = RxQueue::new(parts, init.notifier());
        let place = Place::Rx(id);
        let queue = Returning::new(queue, place, interrupt, laid_out, shared);
        Ok(Box::new(queue))
    }

    fn receive_scaling_set_entries(
        &mut self,
        entries: &mut [IndirectionEntry],
    ) -> Result<(), NtStatus> {
        self.scaling.set_entries(entries)
    }

    fn receive_scaling_set_key(&mut self, key: &[u8]) -> Result<(), NtStatus> {
        self.scaling.set_key(key)
    }

    fn receive_scaling_enable(
        &mut self,
        _hash_types: NetReceiveScalingHashType,
        protocols: NetPacketHashProtocolType,
    ) -> Result<(), NtStatus> {
        let rss = self.scaling.enabled(protocols);
        let what = "spread what it receives by a hash";
        let sent = |ctrl: &mut ControlQueue| ctrl.set_rss(&rss);
        match self.shared.command(VIRTIO_NET_F_RSS, what, sent) {
            true => Ok(()),
            false => Err(NtStatus::UNSUCCESSFUL),
        }
    }

    /// Back to what every device with several pairs does by itself.
    fn receive_scaling_disable(&mut self) {
        if let Some(pairs) = self.scaling.disabled() {
            let sent = |ctrl: &mut ControlQueue| ctrl.set_pairs(pairs);
            self.shared
                .command(VIRTIO_NET_F_MQ, "set the number of pairs", sent);
        }
    }

    fn set_receive_filter(&mut self, filter: &ReceiveFilter) {
        let has = |flag| filter.packet_filter.contains(flag);
        let (promisc, allmulti) = (has(Filter::PROMISCUOUS), has(Filter::ALL_MULTICAST));
        let multicast = &filter.multicast_addresses;
        self.shared
            .command(VIRTIO_NET_F_CTRL_RX, "set the receive filter", |ctrl| {
                ctrl.set_promisc(promisc)?;
                ctrl.set_allmulti(allmulti)?;
                ctrl.set_mac_table(&[], multicast)
            });
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
