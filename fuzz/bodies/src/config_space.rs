//! The configuration of a device that changes and means nothing: it is read a bounded number
//! of times, and what comes out means something.

use virtio::net::{FeatureSet, NetConfig, config::MIN_MTU};

use crate::device::FuzzedDevice;
use crate::input::Input;

/// 16 attempts of at most ten accesses.
const MAX_READS: usize = 160;

/// Runs one input: 8 bytes of features, then what registers read as.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let features = FeatureSet(u64::from_le_bytes(input.array()).into());
    let (mut device, heard) = FuzzedDevice::new(input.rest());
    let config = NetConfig::read(&mut device, features);
    let reads = heard.lock().expect("nobody panics with it").config_reads;
    assert!(reads <= MAX_READS, "{reads} accesses");
    if let Ok(config) = config {
        assert!(
            config
                .mac
                .is_none_or(|mac| mac[0] & 1 == 0 && mac != [0; 6])
        );
        assert!(config.mtu.is_none_or(|mtu| mtu >= MIN_MTU));
        assert!(config.speed.is_none_or(|speed| speed <= i32::MAX as u32));
    }
}
