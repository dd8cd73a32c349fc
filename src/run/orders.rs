//! What is asked of the supervisor through its control socket and takes the supervisor's own
//! thread to do.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::hosts::Happening;
use super::update::Reply;
use crate::control::{DeviceEvent, UpdateRequest};

/// Longer than a host may take to get ready, to stop and to start.
const PATIENCE: Duration = Duration::from_secs(45);

/// How long somebody who asks for counters waits for fresh ones.
const COUNT_PATIENCE: Duration = Duration::from_secs(1);

/// How long a client may take for what is to happen, before whoever asked is told to look later.
const HAPPEN_PATIENCE: Duration = Duration::from_secs(8);

/// Something to be done.
pub(super) enum Order {
    /// Another program is to do the work.
    Update { what: UpdateRequest, reply: Reply },
    /// Something is to happen to the devices of a client.
    Happen {
        event: DeviceEvent,
        reply: Happening,
    },
    /// The host's counters are to be on the board.
    Count(SyncSender<()>),
}

/// Where orders are given.
#[derive(Clone)]
pub(super) struct Orders {
    sender: Sender<Order>,
    bell: Arc<EventFd>,
}

/// Where they arrive.
pub(super) struct OrderBook {
    receiver: Receiver<Order>,
    pub(super) bell: Arc<EventFd>,
}

/// Both ends.
pub(super) fn orders() -> std::io::Result<(Orders, OrderBook)> {
    let bell = Arc::new(EventFd::new(EFD_NONBLOCK | libc::EFD_CLOEXEC)?);
    let (sender, receiver) = channel();
    let orders = Orders {
        sender,
        bell: Arc::clone(&bell),
    };
    Ok((orders, OrderBook { receiver, bell }))
}

impl Orders {
    /// Has it done, and waits for that.
    pub(super) fn give(&self, what: UpdateRequest) -> Result<String, String> {
        let (reply, answer) = sync_channel(1);
        let ended = || "the supervisor is about to end".to_owned();
        if !self.send(Order::Update { what, reply }) {
            return Err(ended());
        }
        match answer.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(format!("not done after {PATIENCE:?}")),
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
        }
    }
}

impl Orders {
    /// Has the host's counters put on the board; returns without them if that takes too long.
    pub(super) fn count(&self) {
        let (done, wait) = sync_channel(1);
        if self.send(Order::Count(done)) {
            let _ = wait.recv_timeout(COUNT_PATIENCE);
        }
    }

    /// Has something happen to the devices of a client, and waits for it.
    pub(super) fn happen(&self, event: DeviceEvent) -> Result<(), String> {
        let (reply, answer) = sync_channel(1);
        if !self.send(Order::Happen { event, reply }) {
            return Err("the run is ending".to_owned());
        }
        let late = |_| format!("not done within {HAPPEN_PATIENCE:?}; it goes on");
        answer.recv_timeout(HAPPEN_PATIENCE).map_err(late)?
    }

    /// Whether there is still somebody to do it.
    fn send(&self, order: Order) -> bool {
        let sent = self.sender.send(order).is_ok();
        // Full only if rung very often, and then it is heard.
        let _ = self.bell.write(1);
        sent
    }
}

impl OrderBook {
    /// What has been ordered since the last call.
    pub(super) fn take(&self) -> Vec<Order> {
        let _ = self.bell.read();
        self.receiver.try_iter().collect()
    }
}
