//! A client's adapters, as their host sees them.

use std::sync::Arc;

use crate::abi::{NetPacketFilterFlags as Flags, NtStatus};
use crate::door::net::power::{SleepDuty, WakeReason};
use crate::door::net::{self, adapter::AdapterObject};
use crate::door::object::{self, Handle, Kind};
use crate::{Adapter, ReceiveFilter};

/// The adapters of a device, in the order of their creation.
pub(super) fn adapters_of(device: Handle) -> Vec<HostedAdapter> {
    let handles = object::children(device, Kind::Adapter);
    let adapter = |handle| object::payload::<AdapterObject>(handle, Kind::Adapter).ok();
    handles
        .into_iter()
        .filter_map(adapter)
        .map(HostedAdapter)
        .collect()
}

/// A client's adapter, as its host sees it.
#[derive(Clone)]
pub struct HostedAdapter(Arc<AdapterObject>);

impl HostedAdapter {
    /// Adapters of a process are numbered from 0 in the order of creation.
    pub fn number(&self) -> usize {
        self.0.number
    }

    /// Whether the client has started it.
    pub fn is_started(&self) -> bool {
        self.0.is_started()
    }

    /// Tells the client what the system wants received, as far as it can receive it. One that
    /// cannot hears nothing.
    pub fn set_receive_filter(&self, filter: ReceiveFilter) {
        let supported = self.with(|core| core.supported_packet_filters());
        let Some(filter) = fitted(filter, supported.unwrap_or_default()) else {
            return;
        };
        // A filter that the client does not have was logged where it was refused.
        let _ = net::adapter::set_receive_filter(&self.0, filter);
    }

    /// Wants one more thing of the device while it sleeps; tells the number under which it is
    /// taken back. Clients find it in their lists from the next power transition on.
    ///
    /// # Errors
    /// STATUS_NOT_SUPPORTED for what the client does not offer, STATUS_INSUFFICIENT_RESOURCES for
    /// more than it offers, or the status with which it vetoes this one.
    pub fn add_sleep_duty(&self, duty: SleepDuty) -> Result<u32, NtStatus> {
        net::power::add(&self.0, duty)
    }

    /// Does not want it any more; whether it did.
    pub fn remove_sleep_duty(&self, id: u32) -> bool {
        net::power::remove(&self.0, id)
    }

    /// Why the client says that its device woke; once for each time.
    pub fn take_wake_reason(&self) -> Option<WakeReason> {
        net::power::take_wake_reason(&self.0)
    }

    /// Looks at the adapter, or changes it.
    ///
    /// # Errors
    /// Another thread works with it and does not end, or it is being deleted.
    pub fn with<T>(&self, work: impl FnOnce(&mut Adapter) -> T) -> Result<T, NtStatus> {
        self.0.with("the host", work)
    }

    /// Looks at the adapter unless another thread works with it at the moment: waits for nobody,
    /// and never enters the client. `look` is to be quick.
    pub fn peek<T>(&self, look: impl FnOnce(&Adapter) -> T) -> Option<T> {
        self.0.peek(look)
    }
}

/// What of a filter a client has; all multicast stands in for a list it does not have.
fn fitted(filter: ReceiveFilter, supported: Flags) -> Option<ReceiveFilter> {
    let mut flags = filter.packet_filter;
    if flags.contains(Flags::MULTICAST) && !supported.contains(Flags::MULTICAST) {
        flags = flags | Flags::ALL_MULTICAST;
    }
    let packet_filter = Flags(flags.0 & supported.0);
    let listed = packet_filter.contains(Flags::MULTICAST);
    let multicast_addresses = match listed {
        true => filter.multicast_addresses,
        false => Vec::new(),
    };
    (packet_filter.0 != 0).then_some(ReceiveFilter {
        packet_filter,
        multicast_addresses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_cut_to_what_the_client_has() {
        let wanted = ReceiveFilter {
            packet_filter: Flags::DIRECTED | Flags::MULTICAST | Flags::PROMISCUOUS,
            multicast_addresses: vec![[1, 0, 0x5e, 0, 0, 1]],
        };
        assert_eq!(fitted(wanted.clone(), Flags::default()), None);
        let listed = fitted(wanted.clone(), Flags::DIRECTED | Flags::MULTICAST).unwrap();
        assert_eq!(listed.packet_filter, Flags::DIRECTED | Flags::MULTICAST);
        assert_eq!(listed.multicast_addresses, wanted.multicast_addresses);
        let all = fitted(wanted, Flags::DIRECTED | Flags::ALL_MULTICAST).unwrap();
        assert_eq!(all.packet_filter, Flags::DIRECTED | Flags::ALL_MULTICAST);
        assert!(all.multicast_addresses.is_empty());
    }
}
