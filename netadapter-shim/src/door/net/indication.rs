//! What the system wants of a running adapter: receive filters and offloads.
//!
//! A client is told only while its device has power, and never while the core
//! is at work, so that it may call whatever it likes. What it is told with,
//! NETRECEIVEFILTER or NETOFFLOAD, means something on the calling thread for
//! the length of the callback only.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::adapter::AdapterObject;
use super::callbacks::AdapterAndNumber;
use super::guard::{self, Globals};
use crate::abi::{FailureCode, NetAdapterLinkLayerAddress};
use crate::adapter::{EnabledOffloads, ReceiveFilter};
use crate::door::fail::breach;

/// One thing to tell a client.
#[derive(Clone)]
pub(super) enum Indication {
    /// EvtSetReceiveFilter
    Filter(ReceiveFilter),
    /// The EvtAdapterOffloadSet callbacks.
    Offloads(EnabledOffloads),
}

/// What is to be told, in order.
#[derive(Default)]
pub(super) struct Outbox(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    indications: VecDeque<Indication>,
    powered: bool,
    /// A thread is telling; it takes along what is added meanwhile.
    delivering: bool,
}

/// What a client is being told on this thread.
enum Current {
    Filter {
        number: usize,
        flags: u32,
        list: Box<[NetAdapterLinkLayerAddress]>,
    },
    Offloads {
        number: usize,
        enabled: EnabledOffloads,
    },
}

thread_local! {
    /// Innermost last: a callback may bring about another.
    static CURRENT: RefCell<Vec<Current>> = const { RefCell::new(Vec::new()) };
}

/// Numbers that look like nothing that can be followed.
static NEXT: AtomicUsize = AtomicUsize::new(0x4d20_0000_0000_0010);

fn fresh() -> usize {
    NEXT.fetch_add(16, Ordering::Relaxed)
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Indication> {
        let mut waiting = self.lock();
        let next = waiting.indications.pop_front();
        waiting.delivering = next.is_some();
        next
    }

    fn begin(&self) -> bool {
        let mut waiting = self.lock();
        let begins = waiting.powered && !waiting.delivering;
        waiting.delivering |= begins;
        begins
    }
}

impl AdapterObject {
    /// Keeps something to be told by [`Self::deliver`].
    pub(super) fn indicate(&self, indication: Indication) {
        self.outbox.lock().indications.push_back(indication);
    }

    /// The device has power, or has it no longer; whether it had before.
    pub(super) fn set_powered(&self, powered: bool) -> bool {
        std::mem::replace(&mut self.outbox.lock().powered, powered)
    }

    /// Tells the client all that is waiting, if its device has power.
    pub(super) fn deliver(&self) {
        if !self.outbox.begin() {
            return;
        }
        while let Some(indication) = self.outbox.next() {
            match indication {
                Indication::Filter(filter) => self.tell_filter(&filter),
                Indication::Offloads(enabled) => self.tell_offloads(enabled),
            }
        }
    }

    fn tell_filter(&self, filter: &ReceiveFilter) {
        let Some(callback) = self.callbacks().set_receive_filter else {
            return;
        };
        let addresses = filter.multicast_addresses.iter();
        let number = fresh();
        let current = Current::Filter {
            number,
            flags: filter.packet_filter.0,
            list: addresses
                .map(|mac| NetAdapterLinkLayerAddress::ethernet(*mac))
                .collect(),
        };
        self.tell(callback, number, current);
    }

    fn tell_offloads(&self, enabled: EnabledOffloads) {
        let all = self.callbacks();
        let told = [
            all.set_tx_checksum,
            all.set_rx_checksum,
            all.set_gso,
            all.set_rsc,
        ];
        for callback in told.into_iter().flatten() {
            let number = fresh();
            self.tell(callback, number, Current::Offloads { number, enabled });
        }
    }

    fn tell(&self, callback: AdapterAndNumber, number: usize, current: Current) {
        CURRENT.with_borrow_mut(|all| all.push(current));
        callback.call(self.handle(), number);
        CURRENT.with_borrow_mut(Vec::pop);
    }
}

/// What the filter of that number says, asked for inside its callback.
fn filter<T>(
    call: &str,
    globals: Globals,
    wanted: usize,
    read: impl Fn(u32, &[NetAdapterLinkLayerAddress]) -> T,
) -> Option<T> {
    guard::client(call, globals).ok()?;
    let found = CURRENT.with_borrow(|all| {
        all.iter().find_map(|current| match current {
            Current::Filter {
                number,
                flags,
                list,
            } if *number == wanted => Some(read(*flags, list)),
            _ => None,
        })
    });
    if found.is_none() {
        breach(
            FailureCode::SetReceiveFilterFromWrongThread,
            format_args!(
                "{call}: {wanted:#x} means something only inside EvtSetReceiveFilter, on its \
                 thread"
            ),
        );
    }
    found
}

/// `NetReceiveFilterGetPacketFilter`
pub(super) fn packet_filter(globals: Globals, number: usize) -> u32 {
    let call = "NetReceiveFilterGetPacketFilter";
    filter(call, globals, number, |flags, _| flags).unwrap_or(0)
}

/// `NetReceiveFilterGetMulticastAddressCount`
pub(super) fn multicast_count(globals: Globals, number: usize) -> usize {
    let call = "NetReceiveFilterGetMulticastAddressCount";
    filter(call, globals, number, |_, list| list.len()).unwrap_or(0)
}

/// `NetReceiveFilterGetMulticastAddressList`: stable for the callback's length.
pub(super) fn multicast_list(globals: Globals, number: usize) -> *const NetAdapterLinkLayerAddress {
    let call = "NetReceiveFilterGetMulticastAddressList";
    filter(call, globals, number, |_, list| list.as_ptr()).unwrap_or(std::ptr::null())
}

/// The `NetOffloadIs…Enabled` functions.
pub(super) fn offload(
    call: &str,
    globals: Globals,
    wanted: usize,
    read: impl Fn(&EnabledOffloads) -> bool,
) -> bool {
    if guard::client(call, globals).is_err() {
        return false;
    }
    let found = CURRENT.with_borrow(|all| {
        all.iter().find_map(|current| match current {
            Current::Offloads { number, enabled } if *number == wanted => Some(read(enabled)),
            _ => None,
        })
    });
    if found.is_none() {
        let text = format_args!(
            "{call}: {wanted:#x} means something only inside an EvtAdapterOffloadSet callback"
        );
        breach(FailureCode::ShimInvalidObjectHandle, text);
    }
    found.unwrap_or(false)
}
