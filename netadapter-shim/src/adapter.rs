//! The adapter object and its lifecycle.
//!
//! The control thread that owns the [`Adapter`] drives both the interface
//! (`start`, `stop`) and the power transitions (`io_start`, `io_stop`):
//!
//! ```text
//! new -> set_..._capabilities, set_..., offload_set_... -> start
//!     -> io_start: queues created, Start, polling   (device powered)
//!     -> io_stop:  Cancel, Advance until idle, Stop, queues deleted
//!     -> io_start again, or stop
//! ```
//!
//! Over `io_stop` and `io_start` the system port stays as it is: the interface
//! does not go away while the device is reset and its queues are rebuilt.

mod capabilities;
mod datapath;
mod error;
mod keywords;
mod offload_capabilities;
mod offloads;
mod plan;
mod scaling;
mod statements;

pub(crate) use statements::check_link_state;

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use self::datapath::call_failed;
use crate::abi::{
    NetAdapterLinkLayerAddress, NetAdapterLinkLayerCapabilities, NetAdapterLinkState,
    NetIfMediaConnectState, NetOffloadIeee8021qFlags, NetPacketHashProtocolType,
    NetReceiveScalingHashType, NtStatus,
};
use crate::execution::{ExecutionConfig, ExecutionContext, FaultHook, Faults, Heart};
use crate::port::{Interface, SystemPort};
pub use crate::queue::{DemandHook, TxDemux};
use crate::queue::{Lanes, PacketQueue, QueueFault, QueueInit};
use crate::ring::Extensions;
use crate::stats::{AdapterStatistics, Counters};
pub use capabilities::{ReceiveFilter, ReceiveFilterCapabilities, RxCapabilities, TxCapabilities};
pub use error::AdapterError;
pub use keywords::OffloadKeywords;
pub use offload_capabilities::{
    OffloadGsoCapabilities, OffloadRscCapabilities, OffloadTxChecksumCapabilities,
};
pub use offloads::{ActiveOffloads, EnabledOffloads};
pub use scaling::{IndirectionEntry, ReceiveScalingCapabilities};

/// A client driver's adapter callbacks. Called on the control thread.
pub trait AdapterEvents: Send {
    /// EvtAdapterCreateTxQueue: creates the client's half of a Tx queue.
    ///
    /// # Errors
    /// The client's status; the datapath is torn down again.
    fn create_tx_queue(&mut self, init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus>;

    /// EvtAdapterCreateRxQueue: creates the client's half of an Rx queue.
    ///
    /// # Errors
    /// The client's status; the datapath is torn down again.
    fn create_rx_queue(&mut self, init: &mut QueueInit) -> Result<Box<dyn PacketQueue>, NtStatus>;

    /// EvtSetReceiveFilter: what the system wants received from now on.
    fn set_receive_filter(&mut self, _filter: &ReceiveFilter) {}

    /// EvtAdapterOffloadSet…: the offloads in use from now on.
    fn offloads_changed(&mut self, _active: &ActiveOffloads) {}

    /// EvtAdapterReceiveScalingEnable
    ///
    /// # Errors
    /// The client's status; the device then does not spread what it receives.
    fn receive_scaling_enable(
        &mut self,
        _hash_types: NetReceiveScalingHashType,
        _protocols: NetPacketHashProtocolType,
    ) -> Result<(), NtStatus> {
        Err(NtStatus::NOT_SUPPORTED)
    }

    /// EvtAdapterReceiveScalingDisable: everything to queue 0.
    fn receive_scaling_disable(&mut self) {}

    /// EvtAdapterReceiveScalingSetHashSecretKey
    ///
    /// # Errors
    /// The client's status.
    fn receive_scaling_set_key(&mut self, _key: &[u8]) -> Result<(), NtStatus> {
        Ok(())
    }

    /// EvtAdapterReceiveScalingSetIndirectionEntries: each entry's status is
    /// the client's to set.
    ///
    /// # Errors
    /// The client's status.
    fn receive_scaling_set_entries(
        &mut self,
        _entries: &mut [IndirectionEntry],
    ) -> Result<(), NtStatus> {
        Ok(())
    }
}

/// What the client stated about itself.
#[derive(Default)]
pub(crate) struct Settings {
    tx: Option<TxCapabilities>,
    rx: Option<RxCapabilities>,
    link_layer: Option<NetAdapterLinkLayerCapabilities>,
    mtu: u32,
    permanent_address: Option<NetAdapterLinkLayerAddress>,
    current_address: Option<NetAdapterLinkLayerAddress>,
    receive_filter: Option<ReceiveFilterCapabilities>,
    tx_checksum: Option<OffloadTxChecksumCapabilities>,
    rx_checksum: bool,
    gso: Option<OffloadGsoCapabilities>,
    rsc: Option<OffloadRscCapabilities>,
    ieee8021q: NetOffloadIeee8021qFlags,
    receive_scaling: Option<ReceiveScalingCapabilities>,
    tx_demux: Option<TxDemux>,
    /// What a user switched off; what the client can do stays stated.
    keywords: OffloadKeywords,
}

impl Settings {
    fn extensions(&self) -> Extensions {
        Extensions {
            checksum: self.tx_checksum.is_some() || self.rx_checksum,
            gso: self.gso.is_some(),
            rsc: self.rsc.is_some(),
            rsc_timestamp: self.rsc.is_some_and(|rsc| rsc.tcp_timestamp_option),
            ieee8021q: self.ieee8021q.0 != 0,
            hash: self.receive_scaling.is_some(),
        }
    }
}

/// How an adapter is built; what a client wishes comes first.
#[derive(Clone, Debug)]
pub struct AdapterConfig {
    /// The threads.
    pub execution: ExecutionConfig,
    /// Pairs of queues, each with a queue of the port, if client and port have as
    /// many. Further Rx queues of a device that spreads only receive.
    pub queue_pairs: usize,
    /// Elements of a Tx ring if the client has no wish.
    pub tx_ring: u32,
    /// Elements of an Rx ring if the client has no wish.
    pub rx_ring: u32,
    /// Whether clients are held to the ring contract around every call.
    pub verifier: bool,
    /// How long a queue may take to do what it is asked.
    pub deadline: Duration,
    /// Frames that cannot be described are shown to the client as packets with
    /// Ignore set, instead of being dropped unseen.
    pub post_ignored: bool,
    /// Whether the layout of frames to send is told of which nothing is asked, too. A client that
    /// has no use for it saves the parsing of every such frame.
    pub layout_of_plain_frames: bool,
    /// A checksum that the client calls valid is not checked again by the
    /// stack, whatever the frame holds.
    pub trust_rx_checksums: bool,
    /// Received TCP segments that follow each other go to the stack as one
    /// frame, where port and stack have such frames and the client does not
    /// coalesce itself.
    pub coalesce_received: bool,
    /// Called by the queue's own thread as soon as a client breaks the ring
    /// contract.
    pub fault_hook: Option<FaultHook>,
    /// Called when frames wait for a Tx queue that does not exist yet. Without
    /// it all Tx queues are created with the first.
    pub demand_hook: Option<DemandHook>,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self {
            execution: ExecutionConfig::default(),
            queue_pairs: 1,
            tx_ring: 64,
            rx_ring: 64,
            verifier: cfg!(debug_assertions),
            deadline: Duration::from_secs(2),
            post_ignored: false,
            layout_of_plain_frames: true,
            trust_rx_checksums: false,
            coalesce_received: false,
            fault_hook: None,
            demand_hook: None,
        }
    }
}

/// A network adapter: a client driver between its device and a system port.
pub struct Adapter {
    events: Box<dyn AdapterEvents>,
    port: Box<dyn SystemPort>,
    settings: Settings,
    link_state: NetAdapterLinkState,
    filter: ReceiveFilter,
    active: ActiveOffloads,
    offloads_paused: bool,
    interface_started: bool,
    io_started: bool,
    config: AdapterConfig,
    contexts: Vec<(usize, ExecutionContext)>,
    /// Between the port and several Tx queues.
    lanes: Option<Arc<Lanes>>,
    counters: Vec<Arc<Counters>>,
    faults: Arc<Faults>,
    pool_bytes: usize,
    /// Whether received segments are joined where [`AdapterConfig::coalesce_received`] asks for it.
    coalesces: Arc<AtomicBool>,
}

impl Adapter {
    /// An adapter that has stated nothing yet.
    ///
    /// # Errors
    /// No more file descriptors.
    pub fn new(
        events: Box<dyn AdapterEvents>,
        port: Box<dyn SystemPort>,
        config: AdapterConfig,
    ) -> Result<Self, AdapterError> {
        let faults =
            Faults::new(config.fault_hook.clone()).map_err(|source| AdapterError::Execution {
                operation: "create an eventfd",
                queue: 0,
                source,
            })?;
        Ok(Self {
            events,
            port,
            settings: Settings::default(),
            link_state: NetAdapterLinkState::disconnected(),
            filter: ReceiveFilter::default(),
            active: ActiveOffloads::default(),
            offloads_paused: false,
            interface_started: false,
            io_started: false,
            config,
            contexts: Vec::new(),
            lanes: None,
            counters: Vec::new(),
            faults,
            pool_bytes: 0,
            coalesces: Arc::new(AtomicBool::new(true)),
        })
    }

    /// `NetAdapterStart`: the interface becomes visible. If the device is
    /// powered already, queues are created before this returns.
    ///
    /// # Errors
    /// Missing or contradicting statements, a failing port, `AdapterAlreadyStarted`.
    pub fn start(&mut self) -> Result<(), AdapterError> {
        self.before_start("NetAdapterStart")?;
        self.check_complete()?;
        self.open_port()?;
        self.settle_offloads()?;
        self.interface_started = true;
        self.show_link()?;
        if self.io_started {
            self.build_queues()
        } else {
            Ok(())
        }
    }

    /// `NetAdapterStop`: the interface loses its carrier; queues end. The
    /// statements persist. Nothing happens if the adapter is stopped.
    ///
    /// # Errors
    /// A queue that does not end in time, a failing port.
    pub fn stop(&mut self) -> Result<(), AdapterError> {
        if !self.interface_started {
            return Ok(());
        }
        self.interface_started = false;
        let ended = self.tear_down_queues();
        let shown = self.show_link();
        ended.and(shown)
    }

    /// The device is powered: creates the queues, starts them and begins to
    /// poll. Without effect on queues until [`Self::start`].
    ///
    /// # Errors
    /// A queue the client did not create, memory, a failing port; nothing is
    /// left running then.
    pub fn io_start(&mut self) -> Result<(), AdapterError> {
        if self.io_started {
            return Ok(());
        }
        if self.interface_started {
            self.build_queues()?;
        }
        self.io_started = true;
        self.push_filter();
        Ok(())
    }

    /// The device is about to lose power or be reset: Cancel, Advance until
    /// idle, Stop, and the queues are deleted. The system port stays.
    ///
    /// # Errors
    /// A queue that does not end in time; the adapter is stopped all the same.
    pub fn io_stop(&mut self) -> Result<(), AdapterError> {
        self.io_started = false;
        self.tear_down_queues()
    }

    /// Counters of all queues.
    pub fn statistics(&self) -> AdapterStatistics {
        let queues = self.counters.iter().map(|counters| counters.snapshot());
        AdapterStatistics {
            queues: queues.collect(),
        }
    }

    /// Becomes readable when a queue has broken the ring contract and is not
    /// called any more; see [`Self::take_faults`].
    pub fn fault_event(&self) -> RawFd {
        self.faults.event().as_raw_fd()
    }

    /// What has gone wrong since the last call: the number of the pair and the
    /// fault.
    pub fn take_faults(&self) -> Vec<(usize, QueueFault)> {
        self.faults.take()
    }

    /// Asks all execution contexts for a sign that their poll loops go round; together they get
    /// `patience`.
    ///
    /// # Errors
    /// [`AdapterError::Timeout`] for the first that gives none: its client is stuck in a
    /// callback, or has panicked.
    pub fn check_pulse(&self, patience: Duration) -> Result<(), AdapterError> {
        let until = Instant::now() + patience;
        let asked: Vec<_> = self
            .contexts
            .iter()
            .map(|(_, one)| one.ask_pulse())
            .collect();
        let answers = self.contexts.iter().map(|(index, _)| *index).zip(asked);
        answers.into_iter().try_for_each(|(index, asked)| {
            let left = until.saturating_duration_since(Instant::now());
            let answered = asked.and_then(|answer| answer.wait(left));
            answered.map_err(|error| call_failed(index, "answer", patience, error))
        })
    }

    /// The poll loops, to be asked by somebody who must not keep the adapter meanwhile.
    pub fn hearts(&self) -> Vec<Heart> {
        let contexts = self.contexts.iter();
        contexts.map(|(_, context)| context.heart()).collect()
    }

    /// Memory set aside for system buffers, in bytes; pages never touched do
    /// not count against the process.
    pub fn pool_bytes(&self) -> usize {
        self.pool_bytes
    }

    /// The offloads in use; settled by [`Self::start`].
    pub fn active_offloads(&self) -> ActiveOffloads {
        self.active
    }

    /// The link state set last.
    pub fn link_state(&self) -> NetAdapterLinkState {
        self.link_state
    }

    /// `NetAdapterPauseOffloadCapabilities` and `NetAdapterResume...`: the
    /// offloads in use are put aside and taken up again; what the client can do
    /// stays stated.
    ///
    /// # Errors
    /// A failing port.
    pub fn pause_offloads(&mut self, paused: bool) -> Result<(), AdapterError> {
        if self.offloads_paused == paused {
            return Ok(());
        }
        self.offloads_paused = paused;
        self.settle_offloads()
    }

    fn check_complete(&mut self) -> Result<(), AdapterError> {
        let settings = &mut self.settings;
        let missing = |why| Err(AdapterError::NotReady { why });
        if settings.tx.is_none() || settings.rx.is_none() {
            return missing("call NetAdapterSetDataPathCapabilities first, and let it succeed");
        }
        if settings.link_layer.is_none() {
            return missing("call NetAdapterSetLinkLayerCapabilities first");
        }
        if settings.mtu == 0 {
            return missing("call NetAdapterSetLinkLayerMtuSize with a size above 0 first");
        }
        // One address alone stands for both.
        let permanent = settings.permanent_address.or(settings.current_address);
        let current = settings.current_address.or(settings.permanent_address);
        if permanent.map(|a| a.length) != current.map(|a| a.length) {
            return missing("the permanent and the current address have different lengths");
        }
        (settings.permanent_address, settings.current_address) = (permanent, current);
        Ok(())
    }

    fn open_port(&mut self) -> Result<(), AdapterError> {
        let settings = &self.settings;
        let interface = Interface {
            permanent_address: settings.permanent_address.unwrap_or_default(),
            current_address: settings.current_address.unwrap_or_default(),
            mtu: settings.mtu,
        };
        let opened = self.port.open(&interface);
        opened.map_err(|source| AdapterError::Port {
            operation: "open the interface",
            source,
        })
    }

    fn settle_offloads(&mut self) -> Result<(), AdapterError> {
        let (tx, rx) = (self.port.tx_offloads(), self.port.rx_offloads());
        self.active = match self.offloads_paused {
            false => offloads::active(&self.settings, tx, rx),
            true => ActiveOffloads::default(),
        };
        let told = self.port.set_tx_offloads(self.active.tx);
        told.map_err(|source| AdapterError::Port {
            operation: "set its offloads",
            source,
        })?;
        self.events.offloads_changed(&self.active);
        Ok(())
    }

    fn show_link(&mut self) -> Result<(), AdapterError> {
        let connected = self.link_state.media_connect_state == NetIfMediaConnectState::CONNECTED;
        let shown = self
            .port
            .set_link_state(self.interface_started && connected);
        shown.map_err(|source| AdapterError::Port {
            operation: "show the link state",
            source,
        })
    }

    fn push_filter(&mut self) {
        if self.settings.receive_filter.is_some() {
            self.events.set_receive_filter(&self.filter);
        }
    }

    fn rebuild(&mut self) -> Result<(), AdapterError> {
        if !(self.io_started && self.interface_started) {
            return Ok(());
        }
        self.tear_down_queues()?;
        self.build_queues()
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        // Errors were logged on the way; there is nobody left to tell.
        let _ = self.tear_down_queues();
    }
}
