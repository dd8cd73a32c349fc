//! The figures of one kind of traffic, condensed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Driver, Series, Spread, median};

/// One line of the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Such as `tcp_to_guest`.
    pub name: &'static str,
    /// Of the drivers' figures.
    pub unit: &'static str,
    /// Median, IOMMU translating.
    pub kernel: Option<f64>,
    /// Median, IOMMU passthrough.
    pub kernel_pt: Option<f64>,
    /// Median of umnet.
    pub umnet: Option<f64>,
    /// Median of the trips' umnet / kernel.
    pub ratio: Option<f64>,
    /// Median of the trips' umnet / kernel_pt.
    pub ratio_pt: Option<f64>,
    /// Median of DPDK, where it took part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dpdk: Option<f64>,
    /// Median of the trips' umnet / dpdk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_dpdk: Option<f64>,
    #[serde(skip)]
    pub(super) label: &'static str,
    /// Median of the trips' kernel_pt / kernel: the length of its bar.
    #[serde(skip)]
    pt_over_kernel: Option<f64>,
    /// The same of DPDK.
    #[serde(skip)]
    dpdk_over_kernel: Option<f64>,
}

impl Row {
    pub(super) fn of(series: &Series) -> Self {
        let middle = |driver| median(&series.values(driver));
        let ratio = |driver, base| median(&series.ratios(driver, base));
        Self {
            name: series.metric.name,
            unit: series.metric.unit,
            kernel: middle(Driver::Kernel),
            kernel_pt: middle(Driver::KernelPt),
            umnet: middle(Driver::Umnet),
            ratio: ratio(Driver::Umnet, Driver::Kernel),
            ratio_pt: ratio(Driver::Umnet, Driver::KernelPt),
            dpdk: middle(Driver::Dpdk),
            ratio_dpdk: ratio(Driver::Umnet, Driver::Dpdk),
            label: series.metric.label,
            pt_over_kernel: ratio(Driver::KernelPt, Driver::Kernel),
            dpdk_over_kernel: ratio(Driver::Dpdk, Driver::Kernel),
        }
    }

    pub(super) fn value(&self, driver: Driver) -> Option<f64> {
        match driver {
            Driver::Kernel => self.kernel,
            Driver::KernelPt => self.kernel_pt,
            Driver::Umnet => self.umnet,
            Driver::Dpdk => self.dpdk,
        }
    }

    /// A driver's figure in units of the translating kernel's.
    pub(super) fn relative(&self, driver: Driver) -> Option<f64> {
        match driver {
            Driver::Kernel => self.kernel.map(|_| 1.0),
            Driver::KernelPt => self.pt_over_kernel,
            Driver::Umnet => self.ratio,
            Driver::Dpdk => self.dpdk_over_kernel,
        }
    }
}

/// How far the figures of one row lie apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RowSpread {
    /// Of each driver's figures, by [`Driver::key`].
    #[serde(flatten)]
    pub drivers: BTreeMap<&'static str, Spread>,
    /// Of the trips' umnet / kernel.
    pub ratio: Option<Spread>,
    /// Of the trips' umnet / kernel_pt.
    pub ratio_pt: Option<Spread>,
    /// Of the trips' umnet / dpdk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_dpdk: Option<Spread>,
    /// Of the trips' kernel_pt / kernel.
    #[serde(skip)]
    pt_over_kernel: Option<Spread>,
    /// Of the trips' dpdk / kernel.
    #[serde(skip)]
    dpdk_over_kernel: Option<Spread>,
}

impl RowSpread {
    pub(super) fn of(series: &Series) -> Self {
        let spread = |driver: Driver| Some((driver.key(), Spread::of(&series.values(driver))?));
        let ratio = |driver, base| Spread::of(&series.ratios(driver, base));
        Self {
            drivers: Driver::ALL.into_iter().filter_map(spread).collect(),
            ratio: ratio(Driver::Umnet, Driver::Kernel),
            ratio_pt: ratio(Driver::Umnet, Driver::KernelPt),
            ratio_dpdk: ratio(Driver::Umnet, Driver::Dpdk),
            pt_over_kernel: ratio(Driver::KernelPt, Driver::Kernel),
            dpdk_over_kernel: ratio(Driver::Dpdk, Driver::Kernel),
        }
    }

    /// Of a driver's figures in units of the translating kernel's.
    pub(super) fn relative(&self, driver: Driver) -> Option<Spread> {
        match driver {
            Driver::Kernel => None,
            Driver::KernelPt => self.pt_over_kernel,
            Driver::Umnet => self.ratio,
            Driver::Dpdk => self.dpdk_over_kernel,
        }
    }
}
