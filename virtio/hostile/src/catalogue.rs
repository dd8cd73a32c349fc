//! All the lies, by where a driver meets them.

mod frame;
mod in_order;
mod packed;
mod ring;
mod running;
mod start;

use std::sync::LazyLock;

use super::{Act, DeviceConfig, Format, Layer, Lie, Outcome};
use virtio::net::FeatureSet;

/// Every lie, each with a name and a rule of its own.
pub static CATALOGUE: LazyLock<Vec<Lie>> = LazyLock::new(|| {
    [
        ring::LIES,
        packed::LIES,
        in_order::LIES,
        frame::LIES,
        start::LIES,
        running::LIES,
    ]
    .concat()
});

const fn lie(
    name: &'static str,
    section: &'static str,
    rule: &'static str,
    outcome: Outcome,
    layer: Layer,
    act: Act,
) -> Lie {
    Lie {
        name,
        section,
        rule,
        outcome,
        layer,
        only: None,
        made: |_| {},
        act,
    }
}

impl Lie {
    const fn made(self, made: fn(&mut DeviceConfig)) -> Self {
        Self { made, ..self }
    }

    const fn only(self, format: Format) -> Self {
        Self {
            only: Some(format),
            ..self
        }
    }
}

fn withhold(config: &mut DeviceConfig, bits: &[u32]) {
    config.offered = config.offered.without(FeatureSet::of(bits));
}
