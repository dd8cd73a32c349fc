//! Telling a legacy-only card from one that umnet can drive.

use serde::Serialize;

/// Which interfaces of the spec the card offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    /// Modern device id: virtio 1.0 and later only.
    Modern,
    /// Transitional id with the modern capabilities beside the legacy interface.
    Transitional,
    /// Transitional id without modern capabilities; nothing umnet can drive.
    Legacy,
    /// Transitional id whose capabilities only root may read.
    Unknown,
}

/// Bytes of configuration space everybody may read.
const PUBLIC_CONFIG: usize = 64;

/// Looks for the modern common configuration among the capabilities of a card with the
/// transitional id (virtio 1.2 §4.1.4).
pub(super) fn generation_of(config: &[u8]) -> Generation {
    const STATUS: usize = 0x06;
    const STATUS_CAPABILITIES: u8 = 0x10;
    const CAPABILITIES: usize = 0x34;
    const CAP_VENDOR: u8 = 0x09;
    const CFG_TYPE_COMMON: u8 = 1;

    if config
        .get(STATUS)
        .is_none_or(|status| status & STATUS_CAPABILITIES == 0)
    {
        return Generation::Legacy;
    }
    let mut next = config.get(CAPABILITIES).copied().unwrap_or(0);
    // A list longer than the space it lives in runs in a circle.
    for _ in 0..PUBLIC_CONFIG {
        let at = usize::from(next & !3);
        if at == 0 {
            return Generation::Legacy;
        }
        let Some(&[id, following, _, cfg_type]) = config.get(at..at + 4) else {
            return Generation::Unknown;
        };
        if id == CAP_VENDOR && cfg_type == CFG_TYPE_COMMON {
            return Generation::Transitional;
        }
        next = following;
    }
    Generation::Legacy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(capabilities: &[(u8, [u8; 4])]) -> Vec<u8> {
        let mut config = vec![0; 256];
        config[0x06] = 0x10;
        config[0x34] = capabilities.first().map_or(0, |(at, _)| *at);
        for (at, bytes) in capabilities {
            config[usize::from(*at)..][..4].copy_from_slice(bytes);
        }
        config
    }

    #[test]
    fn a_common_configuration_behind_other_capabilities_is_found() {
        let space = config(&[(0x98, [0x11, 0x84, 3, 0]), (0x84, [0x09, 0, 16, 1])]);
        assert_eq!(generation_of(&space), Generation::Transitional);
    }

    #[test]
    fn no_common_configuration_means_legacy() {
        assert_eq!(
            generation_of(&config(&[(0x98, [0x11, 0, 3, 0])])),
            Generation::Legacy
        );
        assert_eq!(generation_of(&[0; 256]), Generation::Legacy);
    }

    #[test]
    fn a_circle_of_capabilities_ends() {
        assert_eq!(
            generation_of(&config(&[(0x40, [0x11, 0x40, 0, 0])])),
            Generation::Legacy
        );
    }

    #[test]
    fn capabilities_beyond_what_may_be_read_are_unknown() {
        let mut space = config(&[(0x98, [0x09, 0, 16, 1])]);
        space.truncate(PUBLIC_CONFIG);
        assert_eq!(generation_of(&space), Generation::Unknown);
    }
}
