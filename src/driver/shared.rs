//! What the control thread and the adapter's callbacks share: queues on their way, counters, the
//! control queue.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::{debug, warn};
use netadapter_shim::abi::NtStatus;
use virtio::net::{Coalescing, ControlQueue, CtrlError, FeatureSet};
use virtio::spec::net::feature::VIRTIO_NET_F_NOTF_COAL;

use super::mending::Returned;
use crate::card::{PairParts, QueueParts};
use crate::fault::{Fault, FaultSink};
use crate::stats::{RxStats, TxStats};

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
pub(super) struct HandOver {
    /// By pair.
    pub(super) rx: Vec<Option<QueueParts>>,
    pub(super) tx: Vec<Option<QueueParts>>,
    pub(super) ctrl: Option<ControlQueue>,
    /// Of queues that have ended.
    pub(super) returned: Vec<Returned>,
}

impl HandOver {
    pub(super) fn of(pairs: Vec<PairParts>, ctrl: Option<ControlQueue>) -> Self {
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
pub(super) fn take(queues: &mut [Option<QueueParts>], id: u32) -> Result<QueueParts, NtStatus> {
    let queue = queues.get_mut(id as usize).and_then(Option::take);
    queue.ok_or(NtStatus::UNSUCCESSFUL)
}

/// What the callbacks and the control thread share.
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) hand_over: Mutex<HandOver>,
    /// By pair.
    pub(super) stats: Vec<PairStats>,
    pub(super) faults: FaultSink,
    pub(super) features: FeatureSet,
    pub(super) frame_limit: usize,
    /// What may be hashed and told of; 0: nothing is told.
    pub(super) hash_types: u32,
}

impl Shared {
    pub(super) fn hand_over(&self) -> MutexGuard<'_, HandOver> {
        self.hand_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a device that can how long it may put notifications off.
    pub(super) fn set_coalescing(&self, [rx, tx]: [Option<Coalescing>; 2]) {
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
    pub(super) fn command(
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
