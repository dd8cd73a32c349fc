//! The three names a card goes by: PCI address, MAC address, interface name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A name that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Not `domain:bus:device.function`.
    #[error(
        "'{0}' is not a PCI address: write domain:bus:device.function in hexadecimal, \
         like 0000:00:03.0"
    )]
    Pci(String),
    /// Not six octets.
    #[error("'{0}' is not a MAC address: write six octets, like 52:54:00:12:34:56")]
    Mac(String),
    /// Longer than the kernel's 15 bytes.
    #[error("interface name '{0}' has {len} bytes; Linux allows at most 15", len = .0.len())]
    TooLong(String),
    /// Characters the kernel refuses, or would treat as a pattern.
    #[error(
        "'{0}' is not an interface name: 1 to 15 visible characters without '/', ':' or '%', \
         and neither '.' nor '..'"
    )]
    Interface(String),
}

/// The address of a PCI function. The domain is never assumed: behind Hyper-V or a VMD it is
/// rarely 0000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PciAddress {
    /// PCI domain (segment); more than 16 bits wide behind some host bridges.
    pub domain: u32,
    /// Bus number.
    pub bus: u8,
    /// Device number, below 32.
    pub device: u8,
    /// Function number, below 8.
    pub function: u8,
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            domain,
            bus,
            device,
            function,
        } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

impl FromStr for PciAddress {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        parse_pci(text).ok_or_else(|| NameError::Pci(text.to_owned()))
    }
}

fn parse_pci(text: &str) -> Option<PciAddress> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let address = PciAddress {
        domain: hex(domain, 4..=8)?,
        bus: u8::try_from(hex(bus, 2..=2)?).ok()?,
        device: u8::try_from(hex(device, 2..=2)?).ok()?,
        function: u8::try_from(hex(function, 1..=1)?).ok()?,
    };
    (address.device < 32 && address.function < 8).then_some(address)
}

/// Hexadecimal digits only: `from_str_radix` alone would take a sign.
fn hex(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_hexdigit());
    if !plain || !digits.contains(&text.len()) {
        return None;
    }
    u32::from_str_radix(text, 16).ok()
}

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        parse_mac(text).ok_or_else(|| NameError::Mac(text.to_owned()))
    }
}

fn parse_mac(text: &str) -> Option<MacAddress> {
    let mut octets = [0; 6];
    let mut parts = text.split(':');
    for octet in &mut octets {
        *octet = u8::try_from(hex(parts.next()?, 2..=2)?).ok()?;
    }
    parts.next().is_none().then_some(MacAddress(octets))
}

/// An interface name the kernel takes as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IfName(String);

impl IfName {
    /// Longest name in bytes: the kernel's `IFNAMSIZ` without its closing zero.
    pub const MAX_LEN: usize = 15;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for IfName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/:%".contains(c);
        if text.is_empty() || text == "." || text == ".." || text.contains(odd) {
            return Err(NameError::Interface(text.to_owned()));
        }
        if text.len() > Self::MAX_LEN {
            return Err(NameError::TooLong(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Serde reads and writes these types as the text the user knows.
macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

as_text!(PciAddress, MacAddress, IfName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_of_any_domain_survive_a_round_trip() {
        for text in [
            "0000:00:03.0",
            "0001:ff:1f.7",
            "10000:e1:00.0",
            "7a4f:00:02.0",
        ] {
            assert_eq!(text.parse::<PciAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn malformed_pci_addresses_are_refused() {
        let bad = [
            "",
            "00:03.0",
            "0000:00:03",
            "0000:00:20.0",
            "0000:00:03.8",
            "0000:0:03.0",
            "000:00:03.0",
            "0000:00:+3.0",
            "0000:00:03.0 ",
            "g000:00:03.0",
            "123456789:00:03.0",
            "0000:00:03.0.0",
        ];
        for text in bad {
            assert!(text.parse::<PciAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn mac_addresses_take_six_octets_and_nothing_else() {
        let mac: MacAddress = "52:54:00:AB:cd:ef".parse().unwrap();
        assert_eq!(mac.to_string(), "52:54:00:ab:cd:ef");
        for text in [
            "52:54:00:12:34",
            "52:54:00:12:34:56:78",
            "5:54:00:12:34:56",
            "52-54-00-12-34-56",
        ] {
            assert!(text.parse::<MacAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn interface_names_keep_the_kernels_rules() {
        for text in ["eth0", "fifteen-bytes-x", "wan.100", "ü"] {
            assert!(text.parse::<IfName>().is_ok(), "{text}");
        }
        for text in ["", ".", "..", "a/b", "a b", "eth0:1", "eth%d", "a\nb"] {
            assert!(
                matches!(text.parse::<IfName>(), Err(NameError::Interface(_))),
                "{text}"
            );
        }
        assert!(matches!(
            "sixteen-bytes-xx".parse::<IfName>(),
            Err(NameError::TooLong(_))
        ));
    }
}
