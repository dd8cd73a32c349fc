//! Settings as somebody gave them, each of which may be left open.

use super::limits::{self, Limit, MTU, QUEUES, RING_SIZE};
use super::{Buffers, CoalesceSettings, Feature, Offload, RestartSettings, RunConfig};
use crate::host::{DeviceSpec, Host, IfName, MacAddress};

/// Settings of which each may be left open, to be laid over others.
macro_rules! settings {
    ($($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $(#[allow(missing_docs, reason = "the type that results from it documents it")]
            pub $field: $type,)*
        }

        impl $name {
            /// These settings, and `below` where they say nothing.
            #[must_use]
            pub fn or(self, below: Self) -> Self {
                Self { $($field: self.$field.or(below.$field),)* }
            }
        }
    )*};
}

pub(super) use settings;

settings! {
    /// [`RunConfig`] as a file or a command line gives it.
    struct Settings {
        ifname: Option<IfName>,
        adopt: Option<bool>,
        keep_interface: Option<bool>,
        force: Option<bool>,
        rx_ring: Option<i64>,
        tx_ring: Option<i64>,
        queues: Option<i64>,
        busy_poll_us: Option<i64>,
        mtu: Option<i64>,
        mac: Option<MacAddress>,
        offload: OffloadSettings,
        feature: FeatureSettings,
        coalesce: CoalesceSettings,
        buffers: BufferSettings,
        restart: RestartSettings,
        caged: Option<bool>,
    }
    /// [`Offload`] as a file gives it.
    struct OffloadSettings {
        tx_checksum: Option<bool>,
        tx_tso: Option<bool>,
        tx_uso: Option<bool>,
        rx_checksum: Option<bool>,
        rx_tso: Option<bool>,
        rx_uso: Option<bool>,
    }
    /// [`Feature`] as a file gives it.
    struct FeatureSettings {
        event_idx: Option<bool>,
        indirect_desc: Option<bool>,
        packed: Option<bool>,
        mrg_rxbuf: Option<bool>,
        in_order: Option<bool>,
    }
    /// [`Buffers`] as a file gives it.
    struct BufferSettings {
        rx_count: Option<i64>,
        tx_count: Option<i64>,
        bytes: Option<i64>,
    }
}

impl Settings {
    /// The finished configuration. Numbers were checked when they were read; one that does not
    /// fit all the same counts as not given.
    pub fn into_run(self, host: Host, device: DeviceSpec) -> RunConfig {
        let narrow = |n: Option<i64>| n.and_then(|n| u16::try_from(n).ok());
        RunConfig {
            host,
            device,
            ifname: self.ifname,
            adopt: self.adopt.unwrap_or(true),
            keep_interface: self.keep_interface.unwrap_or(false),
            force: self.force.unwrap_or(false),
            rx_ring: narrow(self.rx_ring),
            tx_ring: narrow(self.tx_ring),
            queues: narrow(self.queues),
            busy_poll_us: narrow(self.busy_poll_us),
            mtu: narrow(self.mtu),
            mac: self.mac,
            offload: self.offload.into(),
            feature: self.feature.into(),
            coalesce: self.coalesce.into(),
            buffers: self.buffers.into(),
            restart: self.restart.into(),
            caged: self.caged.unwrap_or(true),
        }
    }

    /// Every number given, with its key and limit.
    pub(super) fn numbers(&self) -> Vec<(&'static str, Option<i64>, Limit)> {
        let mut numbers = vec![
            ("rx_ring", self.rx_ring, RING_SIZE),
            ("tx_ring", self.tx_ring, RING_SIZE),
            ("queues", self.queues, QUEUES),
            ("busy_poll_us", self.busy_poll_us, limits::BUSY_POLL_US),
            ("mtu", self.mtu, MTU),
            (
                "buffers.rx_count",
                self.buffers.rx_count,
                limits::BUFFER_COUNT,
            ),
            (
                "buffers.tx_count",
                self.buffers.tx_count,
                limits::BUFFER_COUNT,
            ),
            ("buffers.bytes", self.buffers.bytes, limits::BUFFER_BYTES),
        ];
        numbers.extend(self.coalesce.numbers());
        numbers.extend(self.restart.numbers());
        numbers
    }
}

impl From<OffloadSettings> for Offload {
    fn from(settings: OffloadSettings) -> Self {
        Self {
            tx_checksum: settings.tx_checksum.unwrap_or(true),
            tx_tso: settings.tx_tso.unwrap_or(true),
            tx_uso: settings.tx_uso.unwrap_or(true),
            rx_checksum: settings.rx_checksum.unwrap_or(true),
            rx_tso: settings.rx_tso.unwrap_or(true),
            rx_uso: settings.rx_uso.unwrap_or(true),
        }
    }
}

impl From<FeatureSettings> for Feature {
    fn from(settings: FeatureSettings) -> Self {
        Self {
            event_idx: settings.event_idx.unwrap_or(true),
            indirect_desc: settings.indirect_desc.unwrap_or(true),
            packed: settings.packed.unwrap_or(true),
            mrg_rxbuf: settings.mrg_rxbuf.unwrap_or(true),
            in_order: settings.in_order.unwrap_or(false),
        }
    }
}

impl From<BufferSettings> for Buffers {
    fn from(settings: BufferSettings) -> Self {
        let narrow = |n: Option<i64>| n.and_then(|n| u32::try_from(n).ok());
        Self {
            rx_count: narrow(settings.rx_count),
            tx_count: narrow(settings.tx_count),
            bytes: narrow(settings.bytes),
        }
    }
}
