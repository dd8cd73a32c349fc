//! The TOML file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use log::LevelFilter;
use serde::Deserialize;
use thiserror::Error;

use super::{ClientSection, Settings};
use crate::exit::{Exit, Explain};
use crate::host::DeviceSpec;
use crate::host::pci::VirtioNetCard;

/// A configuration file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConfigFile {
    /// How much to log.
    pub log: Option<LevelFilter>,
    defaults: Settings,
    cards: Vec<(DeviceSpec, Settings)>,
    clients: BTreeMap<String, ClientSection>,
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Layout {
    log: Option<String>,
    defaults: Settings,
    card: BTreeMap<String, Settings>,
    client: BTreeMap<String, toml::Table>,
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
        for (name, section) in layout.client {
            let parsed = ClientSection::parse(section).map_err(|bad| {
                wrong(format!("client.{name}.{}", bad.key), bad.value, bad.allowed)
            })?;
            file.clients.insert(name, parsed);
        }
        Ok(file)
    }

    /// What the file says to a client driver, by the name of its file without ending.
    pub fn client(&self, name: &str) -> ClientSection {
        self.clients.get(name).cloned().unwrap_or_default()
    }

    /// What the file says to every run: of a client, too, as far as that has a device's settings.
    pub fn defaults(&self) -> Settings {
        self.defaults.clone()
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
#[path = "file_tests.rs"]
mod tests;
