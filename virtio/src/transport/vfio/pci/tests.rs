use super::Width::{U16, U32};
use super::*;

const BAR4: [u64; BAR_COUNT] = [0, 0x1000, 0, 0, 0x4000, 0];
const COMMON_AT: usize = 0x40;
const NOTIFY_AT: usize = 0x50;
const DEVICE_AT: usize = 0x64;
const MSIX_AT: usize = 0x74;

/// A configuration space laid out as QEMU does: common, notification and device structures in
/// BAR 4, MSI-X in BAR 1.
struct Config([u8; CONFIG_LEN]);

impl Config {
    fn honest() -> Self {
        let mut config = Self([0; CONFIG_LEN]);
        config.put(header::VENDOR, &VENDOR_ID.to_le_bytes());
        config.put(header::DEVICE, &DEVICE_ID_NET.to_le_bytes());
        config.put(header::STATUS, &header::STATUS_CAPABILITIES.to_le_bytes());
        config.put(header::BARS + 16, &[0x0c]);
        config.put(header::CAPABILITIES, &[COMMON_AT as u8]);
        config.capability(COMMON_AT, NOTIFY_AT, cap::COMMON_CFG, 16, 0, 0x1000);
        config.capability(NOTIFY_AT, DEVICE_AT, cap::NOTIFY_CFG, 20, 0x3000, 0x1000);
        config.put(NOTIFY_AT + cap::NOTIFY_OFF_MULTIPLIER, &[4]);
        config.capability(DEVICE_AT, MSIX_AT, cap::DEVICE_CFG, 16, 0x2000, 0x1000);
        config.put(MSIX_AT, &[CAP_MSIX, 0, 3, 0, 1, 0, 0, 0, 1, 8, 0, 0]);
        config
    }

    fn capability(&mut self, at: usize, next: usize, kind: u8, len: u8, offset: u32, size: u32) {
        self.put(at, &[cap::VENDOR_SPECIFIC, next as u8, len, kind, 4]);
        self.put(at + cap::OFFSET, &offset.to_le_bytes());
        self.put(at + cap::LENGTH, &size.to_le_bytes());
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.put(at, bytes);
        self
    }

    fn parse(&self) -> Result<Layout, PciFault> {
        Layout::parse(&self.0, &BAR4)
    }

    /// Why the device's common configuration is not usable.
    fn common_unfit(&self) -> Unfit {
        match self.parse() {
            Err(PciFault::Missing { structure, unfit }) => {
                assert_eq!(structure, "common configuration");
                unfit.expect("a reason")
            }
            other => panic!("{other:?}"),
        }
    }
}

fn window(offset: u64, len: u64) -> Window {
    Window {
        bar: 4,
        offset,
        len,
    }
}

#[test]
fn an_honest_device_is_understood() {
    let layout = Config::honest().parse().unwrap();
    assert_eq!(layout.common, window(0, 0x1000));
    assert_eq!(layout.notify, window(0x3000, 0x1000));
    assert_eq!(layout.notify_off_multiplier, 4);
    assert_eq!(layout.device, Some(window(0x2000, 0x1000)));
    let msix = |offset, len| Window {
        bar: 1,
        offset,
        len,
    };
    assert_eq!(layout.msix, vec![msix(0, 64), msix(0x800, 8)]);
}

#[test]
fn other_devices_are_refused() {
    let intel = Config::honest().with(header::VENDOR, &[0x86, 0x80]);
    let expected = PciFault::NotVirtioNet {
        vendor: 0x8086,
        device: DEVICE_ID_NET,
    };
    assert_eq!(intel.parse(), Err(expected));
    let disk = Config::honest().with(header::DEVICE, &[0x42, 0x10]);
    assert!(matches!(disk.parse(), Err(PciFault::NotVirtioNet { .. })));
    let gone = Config([0xff; CONFIG_LEN]);
    assert_eq!(gone.parse(), Err(PciFault::Absent));
}

#[test]
fn a_transitional_device_is_taken_by_its_modern_capabilities_only() {
    let id = DEVICE_ID_NET_TRANSITIONAL.to_le_bytes();
    let both = Config::honest().with(header::DEVICE, &id);
    assert!(both.parse().is_ok());
    let legacy = both.with(header::CAPABILITIES, &[MSIX_AT as u8]);
    assert_eq!(legacy.parse(), Err(PciFault::LegacyOnly));
}

#[test]
fn a_capability_list_that_the_status_denies_is_not_walked() {
    let config = Config::honest().with(header::STATUS, &[0, 0]);
    let expected = PciFault::Missing {
        structure: "common configuration",
        unfit: None,
    };
    assert_eq!(config.parse(), Err(expected));
}

#[test]
fn a_capability_list_without_end_is_refused() {
    let to_itself = Config::honest().with(MSIX_AT + cap::NEXT, &[MSIX_AT as u8]);
    assert_eq!(to_itself.parse(), Err(PciFault::EndlessList));
    let to_the_start = Config::honest().with(MSIX_AT + cap::NEXT, &[COMMON_AT as u8]);
    assert_eq!(to_the_start.parse(), Err(PciFault::EndlessList));
}

#[test]
fn a_capability_list_that_fills_the_space_is_walked_to_its_end() {
    let mut config = Config::honest();
    for at in (FIRST_CAPABILITY..CONFIG_LEN).step_by(4) {
        config.put(at, &[0x01, at.wrapping_add(4) as u8]);
    }
    config.put(header::CAPABILITIES, &[FIRST_CAPABILITY as u8]);
    let missing = config.parse();
    assert!(
        matches!(missing, Err(PciFault::Missing { .. })),
        "{missing:?}"
    );
}

#[test]
fn a_capability_pointer_into_the_header_is_refused() {
    let config = Config::honest().with(MSIX_AT + cap::NEXT, &[0x10]);
    assert_eq!(config.parse(), Err(PciFault::IntoHeader { pointer: 0x10 }));
}

#[test]
fn the_reserved_bits_of_a_pointer_are_ignored() {
    let config = Config::honest().with(header::CAPABILITIES, &[COMMON_AT as u8 | 3]);
    assert_eq!(config.parse(), Config::honest().parse());
}

#[test]
fn a_short_configuration_space_is_refused_at_every_length() {
    let config = Config::honest();
    for len in 0..MSIX_AT + 2 {
        assert!(
            Layout::parse(&config.0[..len], &BAR4).is_err(),
            "{len} bytes"
        );
    }
}

#[test]
fn a_cap_len_below_the_structure_is_skipped() {
    let config = Config::honest().with(COMMON_AT + cap::LEN, &[15]);
    let expected = Unfit::CapLen {
        cap_len: 15,
        need: 16,
    };
    assert_eq!(config.common_unfit(), expected);
    let notify = Config::honest().with(NOTIFY_AT + cap::LEN, &[16]);
    let refused = notify.parse().unwrap_err().to_string();
    assert!(refused.contains("cap_len is 16, not 20"), "{refused}");
}

#[test]
fn a_cap_len_beyond_the_structure_is_accepted() {
    let config = Config::honest().with(COMMON_AT + cap::LEN, &[200]);
    assert_eq!(config.parse(), Config::honest().parse());
}

#[test]
fn a_capability_across_the_end_of_the_space_is_skipped() {
    let mut config = Config::honest().with(header::CAPABILITIES, &[0xf4]);
    config.put(0xf4, &[cap::VENDOR_SPECIFIC, 0, 16, cap::COMMON_CFG, 4]);
    assert_eq!(config.common_unfit(), Unfit::CutOff);
}

#[test]
fn bars_that_are_reserved_absent_or_in_io_space_are_skipped() {
    let bar = |n| Config::honest().with(COMMON_AT + cap::BAR, &[n]);
    for n in 6..=u8::MAX {
        assert_eq!(bar(n).common_unfit(), Unfit::ReservedBar(n));
    }
    assert_eq!(bar(5).common_unfit(), Unfit::AbsentBar(5));
    let io = Config::honest().with(header::BARS + 16, &[1]);
    assert_eq!(io.common_unfit(), Unfit::IoBar(4));
}

#[test]
fn windows_outside_their_bar_are_skipped_even_where_the_sum_would_wrap() {
    for (offset, len) in [(0x3fc8, 0x3c), (0x4000, 0x38), (u32::MAX - 3, u32::MAX)] {
        let mut config = Config::honest();
        config.capability(COMMON_AT, NOTIFY_AT, cap::COMMON_CFG, 16, offset, len);
        let unfit = config.common_unfit();
        assert!(
            matches!(unfit, Unfit::OutsideBar { limit: 0x4000, .. }),
            "{unfit:?}"
        );
    }
}

#[test]
fn a_common_configuration_that_is_too_short_is_skipped() {
    let config = Config::honest().with(COMMON_AT + cap::LENGTH, &0x37u32.to_le_bytes());
    assert!(matches!(
        config.common_unfit(),
        Unfit::TooSmall { min_len: 0x38, .. }
    ));
    let enough = Config::honest().with(COMMON_AT + cap::LENGTH, &0x38u32.to_le_bytes());
    assert!(enough.parse().is_ok());
}

#[test]
fn misaligned_structures_are_skipped() {
    let config = Config::honest().with(COMMON_AT + cap::OFFSET, &[2]);
    assert!(matches!(
        config.common_unfit(),
        Unfit::Misaligned { align: 4, .. }
    ));
    let notify = Config::honest().with(NOTIFY_AT + cap::OFFSET, &[1]);
    assert!(matches!(notify.parse(), Err(PciFault::Missing { .. })));
}

#[test]
fn the_first_usable_capability_of_a_type_wins() {
    let mut config = Config::honest();
    config.put(MSIX_AT + cap::NEXT, &[0x80]);
    config.capability(0x80, 0x90, cap::COMMON_CFG, 16, 0x1000, 0x40);
    config.capability(0x90, 0, cap::COMMON_CFG, 16, 0x1800, 0x40);
    assert_eq!(config.parse().unwrap().common, window(0, 0x1000));
    config.put(COMMON_AT + cap::BAR, &[7]);
    assert_eq!(config.parse().unwrap().common, window(0x1000, 0x40));
}

#[test]
fn only_zero_and_even_powers_of_two_multiply() {
    let multiplier =
        |m: u32| Config::honest().with(NOTIFY_AT + cap::NOTIFY_OFF_MULTIPLIER, &m.to_le_bytes());
    for good in [0, 2, 4, 4096, 1 << 31] {
        assert_eq!(
            multiplier(good).parse().unwrap().notify_off_multiplier,
            good
        );
    }
    for bad in [1, 3, 6, 4097, u32::MAX] {
        let refused = multiplier(bad).parse().unwrap_err();
        let unfit = Some(Unfit::Multiplier(bad));
        assert!(matches!(refused, PciFault::Missing { unfit: u, .. } if u == unfit));
    }
}

#[test]
fn a_doorbell_lies_inside_the_notification_structure() {
    let mut layout = Config::honest().parse().unwrap();
    assert_eq!(layout.doorbell(0, U16), Ok(0));
    assert_eq!(layout.doorbell(0x3ff, U16), Ok(0xffc));
    assert!(layout.doorbell(0x400, U16).is_err());
    assert!(layout.doorbell(u16::MAX, U16).is_err());
    layout.notify_off_multiplier = 1 << 31;
    assert_eq!(layout.doorbell(0, U16), Ok(0));
    assert!(layout.doorbell(1, U16).is_err());
    layout.notify_off_multiplier = 0;
    assert_eq!(layout.doorbell(u16::MAX, U16), Ok(0));
}

#[test]
fn a_doorbell_with_data_takes_four_bytes_on_a_multiple_of_four() {
    let mut layout = Config::honest().parse().unwrap();
    assert_eq!(layout.doorbell(0x3ff, U32), Ok(0xffc));
    layout.notify.len -= 2;
    assert!(layout.doorbell(0x3ff, U32).is_err());
    assert_eq!(layout.doorbell(0x3ff, U16), Ok(0xffc));
    layout.notify_off_multiplier = 2;
    assert_eq!(layout.doorbell(2, U32), Ok(4));
    assert!(layout.doorbell(1, U32).is_err());
}

#[test]
fn a_doorbell_inside_another_structure_is_refused() {
    let mut layout = Config::honest().parse().unwrap();
    layout.notify = window(0, 0x4000);
    assert!(layout.doorbell(0, U16).is_err(), "common configuration");
    assert!(layout.doorbell(0x34 / 4, U16).is_err(), "its last field");
    assert_eq!(layout.doorbell(0x38 / 4, U16), Ok(0x38));
    assert!(
        layout.doorbell(0x2000 / 4, U16).is_err(),
        "device configuration"
    );
}

#[test]
fn structures_that_overlap_are_refused() {
    let config = Config::honest().with(DEVICE_AT + cap::OFFSET, &0x34u32.to_le_bytes());
    assert!(matches!(
        config.parse(),
        Err(PciFault::Overlap { bar: 4, .. })
    ));
    let table = Config::honest().with(MSIX_AT + 4, &[4]);
    assert!(matches!(table.parse(), Err(PciFault::Overlap { .. })));
}

#[test]
fn a_device_configuration_that_is_unfit_is_absent() {
    let config = Config::honest().with(DEVICE_AT + cap::BAR, &[6]);
    assert_eq!(config.parse().unwrap().device, None);
}

/// Any bytes at all: an answer without panic, and windows inside their BAR.
#[test]
fn random_configuration_spaces_never_yield_a_window_outside_its_bar() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut understood = 0;
    for _ in 0..200_000 {
        let mut config = Config::honest();
        for _ in 0..next() % 6 {
            let at = FIRST_CAPABILITY + next() as usize % 0x50;
            config.put(at, &[next() as u8]);
        }
        let Ok(layout) = config.parse() else { continue };
        understood += 1;
        for w in [Some(layout.common), Some(layout.notify), layout.device] {
            assert!(
                w.is_none_or(|w| w.end() <= BAR4[usize::from(w.bar)]),
                "{layout:?}"
            );
        }
    }
    assert!(understood > 1000, "{understood}");
}
