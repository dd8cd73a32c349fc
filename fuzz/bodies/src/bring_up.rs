//! Bring-up against a device whose registers lie: it ends, and a device that is started was
//! given queues that lie in mapped memory, each apart from the others.

use std::ops::Range;
use std::time::Duration;

use umnet::card::{Card, CardConfig};
use virtio::net::FeatureSet;
use virtio::queue::RingLayout;
use virtio::transport::QueueSetup;

use crate::device::{FuzzedDevice, Heard};

/// Starts and stops, so that what was learnt the first time meets something else.
const ROUNDS: usize = 2;

/// Runs one input.
pub fn run(data: &[u8]) {
    let (device, heard) = FuzzedDevice::new(data);
    let config = CardConfig {
        rx_ring: 8,
        tx_ring: 8,
        timeout: Duration::ZERO,
        ..Default::default()
    };
    let Ok(mut card) = Card::new(Box::new(device), config) else {
        return;
    };
    for _ in 0..ROUNDS {
        match card.start() {
            Ok(started) => {
                assert!(!started.pairs.is_empty());
                for pair in &started.pairs {
                    assert!(pair.rx.queue.slot_count() <= 8 && pair.tx.queue.slot_count() <= 8);
                }
                assert!(started.info.max_rx_frame >= 14 && started.info.max_tx_frame >= 14);
                check(&heard.lock().expect("nobody panics with it"));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        let _ = card.read_config();
        let _ = card.stop();
    }
}

fn check(heard: &Heard) {
    let areas: Vec<Range<u64>> = heard
        .queues
        .iter()
        .flat_map(|setup| areas(setup, heard.features))
        .collect();
    for (i, area) in areas.iter().enumerate() {
        let inside = heard
            .mapped
            .iter()
            .any(|&(start, len)| start <= area.start && area.end <= start + len);
        assert!(inside, "{area:x?} is not mapped");
        let others = &areas[i + 1..];
        let apart = |other: &Range<u64>| area.end <= other.start || other.end <= area.start;
        assert!(others.iter().all(apart), "{areas:x?} overlap");
    }
}

fn areas(setup: &QueueSetup, features: FeatureSet) -> [Range<u64>; 3] {
    let (size, packed) = (setup.size, features.ring().packed);
    let of = |start: u64, len: usize| start..start + len as u64;
    [
        of(setup.desc.0, usize::from(size.get()) * 16),
        of(
            setup.driver.0,
            if packed {
                4
            } else {
                RingLayout::avail_len(size)
            },
        ),
        of(
            setup.device.0,
            if packed {
                4
            } else {
                RingLayout::used_len(size)
            },
        ),
    ]
}
