//! How long a device may put notifications off, in ethtool's words.

use serde::{Deserialize, Serialize};
use virtio::net::Coalescing;

use super::limits::{FRAMES, Limit, MICROSECONDS};
use super::settings::settings;

/// How long a device that can (`VIRTIO_NET_F_NOTF_COAL`) may put notifications off; a direction of
/// which nothing is said is left as the device has it, which is at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coalesce {
    /// Of frames received.
    pub rx: Option<Late>,
    /// Of frames sent.
    pub tx: Option<Late>,
}

/// Whichever comes first; 0 of either: at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// After the first frame, microseconds.
    pub usecs: u32,
    /// Frames.
    pub frames: u32,
}

impl From<Late> for Coalescing {
    fn from(late: Late) -> Self {
        Self {
            max_packets: late.frames,
            max_usecs: late.usecs,
        }
    }
}

settings! {
    /// [`Coalesce`] as a file gives it.
    struct CoalesceSettings {
        rx_usecs: Option<i64>,
        rx_frames: Option<i64>,
        tx_usecs: Option<i64>,
        tx_frames: Option<i64>,
    }
}

impl CoalesceSettings {
    /// Every number given, with its key and limit.
    pub(super) fn numbers(&self) -> [(&'static str, Option<i64>, Limit); 4] {
        [
            ("coalesce.rx_usecs", self.rx_usecs, MICROSECONDS),
            ("coalesce.rx_frames", self.rx_frames, FRAMES),
            ("coalesce.tx_usecs", self.tx_usecs, MICROSECONDS),
            ("coalesce.tx_frames", self.tx_frames, FRAMES),
        ]
    }
}

impl From<CoalesceSettings> for Coalesce {
    /// Frames without a time would wait for ever; a time without frames is all that counts.
    fn from(settings: CoalesceSettings) -> Self {
        let number = |given: i64| u32::try_from(given).unwrap_or(0);
        let late = |usecs: Option<i64>, frames: Option<i64>| {
            usecs.map(|usecs| Late {
                usecs: number(usecs),
                frames: frames.map_or(FRAMES.max(), number),
            })
        };
        Self {
            rx: late(settings.rx_usecs, settings.rx_frames),
            tx: late(settings.tx_usecs, settings.tx_frames),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_alone_counts_and_frames_alone_do_not() {
        let coalesce = Coalesce::from(CoalesceSettings {
            rx_usecs: Some(50),
            tx_frames: Some(16),
            ..Default::default()
        });
        let rx = Late {
            usecs: 50,
            frames: 32_768,
        };
        assert_eq!((coalesce.rx, coalesce.tx), (Some(rx), None));
    }
}
