//! The figures as they were taken.

use std::collections::BTreeMap;

/// What drives the device under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Driver {
    /// The guest kernel's virtio_net, the IOMMU translating: the protection umnet gives.
    Kernel,
    /// The guest kernel's virtio_net, the device's IOMMU group set to `identity`: no protection.
    KernelPt,
    /// umnet, over VFIO.
    Umnet,
    /// DPDK's poll-mode driver, over VFIO.
    Dpdk,
}

impl Driver {
    /// All, in the order of tables and pictures.
    pub const ALL: [Self; 4] = [Self::Kernel, Self::KernelPt, Self::Umnet, Self::Dpdk];

    /// The word for it in JSON and on the command line.
    pub fn key(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::KernelPt => "kernel_pt",
            Self::Umnet => "umnet",
            Self::Dpdk => "dpdk",
        }
    }

    /// The words for it in a picture's legend.
    pub fn label(self) -> &'static str {
        match self {
            Self::Kernel => "kernel virtio_net, IOMMU translating",
            Self::KernelPt => "kernel virtio_net, IOMMU passthrough",
            Self::Umnet => "umnet",
            Self::Dpdk => "DPDK's virtio driver",
        }
    }
}

/// One kind of traffic, and how its figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The row's name in JSON, such as `tcp_to_guest`.
    pub name: &'static str,
    /// What a reader is told, such as `TCP to the guest`.
    pub label: &'static str,
    /// Unit of every figure, such as `Mb/s`.
    pub unit: &'static str,
}

/// One figure per driver, taken within seconds of each other. A figure that could not be taken is
/// absent.
pub type Trip = BTreeMap<Driver, f64>;

/// The order of a trip: whoever comes first in one comes last in the next.
pub fn rotated(drivers: &[Driver], turn: usize) -> Vec<Driver> {
    let mut order = drivers.to_vec();
    if !order.is_empty() {
        order.rotate_left(turn % drivers.len());
    }
    order
}

/// All trips of one kind of traffic.
#[derive(Clone, Debug)]
pub struct Series {
    /// What was measured.
    pub metric: Metric,
    /// One entry per time around.
    pub trips: Vec<Trip>,
}

impl Series {
    /// Nothing measured yet.
    pub fn new(metric: Metric) -> Self {
        let trips = Vec::new();
        Self { metric, trips }
    }

    /// One driver's figures, in the order they were taken.
    pub fn values(&self, driver: Driver) -> Vec<f64> {
        self.trips
            .iter()
            .filter_map(|trip| trip.get(&driver).copied())
            .collect()
    }

    /// `driver` over `base`, trip by trip, where both were measured.
    pub fn ratios(&self, driver: Driver, base: Driver) -> Vec<f64> {
        let ratio = |trip: &Trip| Some(trip.get(&driver)? / trip.get(&base)?);
        self.trips
            .iter()
            .filter_map(ratio)
            .filter(|ratio| ratio.is_finite())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_driver_comes_first_equally_often() {
        let all = Driver::ALL;
        let firsts: Vec<_> = (0..8).map(|turn| rotated(&all, turn)[0]).collect();
        assert_eq!(firsts[..4], all);
        assert_eq!(firsts[4..], all);
        assert_eq!(rotated(&[], 5), []);
    }
}
