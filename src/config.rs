//! What a run is told: the built-in values, the TOML file, the command line, in this order.
//!
//! Everything is parsed and checked here, so that the code that runs has nothing left to doubt.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use log::LevelFilter;
use serde::Deserialize;
use thiserror::Error;

use crate::exit::{Exit, Explain};
use crate::host::pci::VirtioNetCard;
use crate::host::{DeviceSpec, Host, IfName};

mod limits;

pub use limits::{Limit, MTU, RING_SIZE};

/// Everything `run` needs to know, checked.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// The machine.
    pub host: Host,
    /// What to drive.
    pub device: DeviceSpec,
    /// Name of the new interface; without one it takes the old interface's.
    pub ifname: Option<IfName>,
    /// Whether the new interface takes the old one's MAC, MTU, addresses and routes.
    pub adopt: bool,
    /// Whether the new interface stays when the run ends.
    pub keep_interface: bool,
    /// Whether to take a card that the user may be coming in through.
    pub force: bool,
    /// Receive queue size in descriptors, a power of two; the device's own if not given.
    pub rx_ring: Option<u16>,
    /// Transmit queue size in descriptors, a power of two; the device's own if not given.
    pub tx_ring: Option<u16>,
    /// MTU in bytes; the old interface's or the device's if not given.
    pub mtu: Option<u16>,
    /// Which offloads may be used where the device has them.
    pub offload: Offload,
    /// Which ring features may be used where the device has them.
    pub feature: Feature,
    /// Sizes of the system buffer pools.
    pub buffers: Buffers,
}

impl RunConfig {
    /// A run of `device` with the built-in values.
    pub fn new(host: Host, device: DeviceSpec) -> Self {
        Settings::default().into_run(host, device)
    }
}

/// Switches for what the device can do to whole frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offload {
    /// The device completes checksums of frames sent (`VIRTIO_NET_F_CSUM`).
    pub tx_checksum: bool,
    /// The device cuts TCP frames sent into segments (`VIRTIO_NET_F_HOST_TSO4`/`6`).
    pub tx_tso: bool,
    /// The device cuts UDP frames sent into segments (`VIRTIO_NET_F_HOST_USO`).
    pub tx_uso: bool,
    /// Frames received may have checksums checked or left open (`VIRTIO_NET_F_GUEST_CSUM`).
    pub rx_checksum: bool,
    /// TCP frames received may be larger than the MTU (`VIRTIO_NET_F_GUEST_TSO4`/`6`).
    pub rx_tso: bool,
    /// UDP frames received may be larger than the MTU (`VIRTIO_NET_F_GUEST_USO4`/`6`).
    pub rx_uso: bool,
}

/// Switches for how rings are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Notifications by index (`VIRTIO_F_EVENT_IDX`).
    pub event_idx: bool,
    /// Descriptor tables beside the ring (`VIRTIO_F_INDIRECT_DESC`).
    pub indirect_desc: bool,
    /// Received frames over several buffers (`VIRTIO_NET_F_MRG_RXBUF`).
    pub mrg_rxbuf: bool,
}

/// Sizes of the system buffer pools; what is not given follows from the rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffers {
    /// Buffers for frames received, a power of two.
    pub rx_count: Option<u32>,
    /// Buffers for frames sent, a power of two.
    pub tx_count: Option<u32>,
    /// Size of one buffer in bytes.
    pub bytes: Option<u32>,
}

/// Settings of which each may be left open, to be laid over others.
macro_rules! settings {
    ($($(#[$doc:meta])* struct $name:ident { $($field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
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

settings! {
    /// [`RunConfig`] as a file or a command line gives it.
    struct Settings {
        ifname: Option<IfName>,
        adopt: Option<bool>,
        keep_interface: Option<bool>,
        force: Option<bool>,
        rx_ring: Option<i64>,
        tx_ring: Option<i64>,
        mtu: Option<i64>,
        offload: OffloadSettings,
        feature: FeatureSettings,
        buffers: BufferSettings,
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
        mrg_rxbuf: Option<bool>,
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
            mtu: narrow(self.mtu),
            offload: self.offload.into(),
            feature: self.feature.into(),
            buffers: self.buffers.into(),
        }
    }

    /// Every number given, with its key and limit.
    fn numbers(&self) -> [(&'static str, Option<i64>, Limit); 6] {
        [
            ("rx_ring", self.rx_ring, RING_SIZE),
            ("tx_ring", self.tx_ring, RING_SIZE),
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
        ]
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
            mrg_rxbuf: settings.mrg_rxbuf.unwrap_or(true),
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

/// A configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigFile {
    /// How much to log.
    pub log: Option<LevelFilter>,
    defaults: Settings,
    cards: Vec<(DeviceSpec, Settings)>,
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Layout {
    log: Option<String>,
    defaults: Settings,
    card: BTreeMap<String, Settings>,
}

impl ConfigFile {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming file, key, value and what is allowed.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            file: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Checks the text of a file; `path` is for messages.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let layout: Layout = toml::from_str(text).map_err(|source| ConfigError::Syntax {
            file: path.to_owned(),
            source: Box::new(source),
        })?;
        let wrong = |key: String, value: String, allowed: &str| ConfigError::Value {
            file: path.to_owned(),
            key,
            value,
            allowed: allowed.to_owned(),
        };
        let mut file = Self::default();
        if let Some(level) = layout.log {
            let parsed = level.parse();
            file.log = Some(parsed.map_err(|_| wrong("log".to_owned(), level, LOG_LEVELS))?);
        }
        if let Some(name) = &layout.defaults.ifname {
            let allowed = "only in a [card] section, since two cards cannot share a name";
            return Err(wrong(
                "defaults.ifname".to_owned(),
                name.to_string(),
                allowed,
            ));
        }
        check("defaults", &layout.defaults, &wrong)?;
        file.defaults = layout.defaults;
        for (name, settings) in layout.card {
            let section = format!("card.\"{name}\"");
            check(&section, &settings, &wrong)?;
            let device = name
                .parse()
                .map_err(|e| wrong(section, name, &format!("{e}")))?;
            file.cards.push((device, settings));
        }
        Ok(file)
    }

    /// What the file says about a device, its own section over the defaults. A card's section may
    /// name it in any form.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Ambiguous`] if several sections mean it.
    pub fn settings_for(
        &self,
        device: &DeviceSpec,
        card: Option<&VirtioNetCard>,
    ) -> Result<Settings, ConfigError> {
        let mut sections = self
            .cards
            .iter()
            .filter(|(name, _)| means(name, device, card));
        let Some((name, section)) = sections.next() else {
            return Ok(self.defaults.clone());
        };
        if let Some((second, _)) = sections.next() {
            return Err(ConfigError::Ambiguous {
                device: device.to_string(),
                sections: [name.to_string(), second.to_string()],
            });
        }
        Ok(section.clone().or(self.defaults.clone()))
    }
}

const LOG_LEVELS: &str = "one of off, error, warn, info, debug, trace";

fn means(section: &DeviceSpec, device: &DeviceSpec, card: Option<&VirtioNetCard>) -> bool {
    let by_card = card.is_some_and(|card| match section {
        DeviceSpec::Pci(address) => card.address == *address,
        DeviceSpec::Mac(mac) => card.mac == Some(*mac),
        DeviceSpec::Interface(name) => card.interfaces.iter().any(|i| i == name.as_str()),
        _ => false,
    });
    by_card || section == device
}

fn check(
    section: &str,
    settings: &Settings,
    wrong: &dyn Fn(String, String, &str) -> ConfigError,
) -> Result<(), ConfigError> {
    for (key, value, limit) in settings.numbers() {
        if let Some(value) = value.filter(|value| !limit.allows(*value)) {
            return Err(wrong(
                format!("{section}.{key}"),
                value.to_string(),
                &limit.to_string(),
            ));
        }
    }
    Ok(())
}

/// The configuration file is not what it should be.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// It is no TOML, or has a key nobody knows.
    #[error("{}: {source}", .file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A value is out of range.
    #[error("{}: {key} = {value}: allowed is {allowed}", .file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The key, with its section.
        key: String,
        /// What stands there.
        value: String,
        /// What may stand there.
        allowed: String,
    },
    /// Two sections mean the same card.
    #[error("sections [card.\"{}\"] and [card.\"{}\"] both mean {device}", .sections[0], .sections[1])]
    Ambiguous {
        /// The card.
        device: String,
        /// The sections.
        sections: [String; 2],
    },
}

impl Explain for ConfigError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn next_step(&self) -> Option<String> {
        Some("docs/umnet.toml shows every key with its range".to_owned())
    }
}

#[cfg(test)]
mod tests;
