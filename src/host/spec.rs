//! What the user writes for DEVICE.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{IfName, MacAddress, NameError, PciAddress};

/// The forms DEVICE takes, for messages and help.
const FORMS: &str = "a PCI address (0000:00:03.0), mac=52:54:00:12:34:56, an interface name \
                         (eth1), vhost-user:/path/to.sock, or in-process";

/// A device as named on the command line, before anybody looks whether it exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceSpec {
    /// The PCI function at this address.
    Pci(PciAddress),
    /// The card that has this MAC address.
    Mac(MacAddress),
    /// The card behind this network interface.
    Interface(IfName),
    /// The back end that listens on this Unix socket.
    VhostUser(PathBuf),
    /// A device inside this process, for tests and demonstrations.
    InProcess,
}

/// DEVICE was written in no form umnet knows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{source}. DEVICE is {FORMS}")]
pub struct SpecError {
    source: SpecErrorKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum SpecErrorKind {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("vhost-user: needs the absolute path of a socket, not '{0}'")]
    SocketPath(String),
}

impl TryFrom<String> for DeviceSpec {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        text.parse()
    }
}

impl From<DeviceSpec> for String {
    fn from(device: DeviceSpec) -> Self {
        device.to_string()
    }
}

impl FromStr for DeviceSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        parse(text).map_err(|source| SpecError { source })
    }
}

impl DeviceSpec {
    /// The name of this device's files in the run folder. A socket path can be longer than a file
    /// name may be, so it stands there as a hash.
    pub fn file_stem(&self) -> String {
        match self {
            Self::VhostUser(path) => {
                format!(
                    "vhost-user-{:016x}",
                    fnv1a(path.as_os_str().as_encoded_bytes())
                )
            }
            other => other.to_string(),
        }
    }
}

/// FNV-1a, 64 bits: the same from one build of umnet to the next.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn parse(text: &str) -> Result<DeviceSpec, SpecErrorKind> {
    if text == "in-process" {
        return Ok(DeviceSpec::InProcess);
    }
    if let Some(mac) = text.strip_prefix("mac=") {
        return Ok(DeviceSpec::Mac(mac.parse()?));
    }
    if let Some(path) = text.strip_prefix("vhost-user:") {
        return socket(path);
    }
    // No interface name holds a colon, so this can only be meant as a PCI address.
    if text.contains(':') {
        return Ok(DeviceSpec::Pci(text.parse()?));
    }
    Ok(DeviceSpec::Interface(text.parse()?))
}

fn socket(path: &str) -> Result<DeviceSpec, SpecErrorKind> {
    if !path.starts_with('/') {
        return Err(SpecErrorKind::SocketPath(path.to_owned()));
    }
    Ok(DeviceSpec::VhostUser(PathBuf::from(path)))
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pci(address) => address.fmt(f),
            Self::Mac(mac) => write!(f, "mac={mac}"),
            Self::Interface(name) => name.fmt(f),
            Self::VhostUser(path) => write!(f, "vhost-user:{}", path.display()),
            Self::InProcess => f.write_str("in-process"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for text in [
            "0000:00:03.0",
            "mac=52:54:00:12:34:56",
            "eth1",
            "vhost-user:/run/vhost.sock",
            "in-process",
        ] {
            assert_eq!(text.parse::<DeviceSpec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_malformed_device_names_the_accepted_forms() {
        for text in [
            "00:03.0",
            "mac=1",
            "vhost-user:relative",
            "vhost-user:",
            "",
            "a/b",
        ] {
            let message = text.parse::<DeviceSpec>().unwrap_err().to_string();
            assert!(message.contains(FORMS), "{text}: {message}");
        }
    }
}
