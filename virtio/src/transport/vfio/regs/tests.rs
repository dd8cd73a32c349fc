use std::os::fd::OwnedFd;

use super::fake::FakeRegisters;
use super::*;
use crate::mem::DmaRegion;

const PAGE: u64 = 4096;

fn window(offset: u64, len: u64) -> Window {
    Window {
        bar: 4,
        offset,
        len,
    }
}

/// A BAR whose mappable areas are given by start and end.
fn region(mappable: &[(u64, u64)]) -> RegionInfo {
    RegionInfo {
        size: 0x4000,
        offset: 0,
        mappable: mappable.iter().map(|&(start, end)| start..end).collect(),
    }
}

/// Two views of the same file, which stands in for a BAR: mapped, and through the file.
fn both_views(offset: u64, len: u64) -> [Arc<dyn Registers>; 2] {
    let memory = DmaRegion::new(0x4000).unwrap();
    let device = Arc::new(Device::new(OwnedFd::from(
        memory.file().try_clone().unwrap(),
    )));
    let mapped = open(&device, &region(&[(0, 0x4000)]), window(offset, len), &[]);
    let through_file = open(&device, &region(&[]), window(offset, len), &[]);
    [mapped, through_file]
}

#[test]
fn both_views_see_the_same_little_endian_registers() {
    let [a, b] = both_views(0x1004, 0x40);
    a.write(0, Width::U32, 0x0403_0201).unwrap();
    b.write(4, Width::U16, 0x0605).unwrap();
    a.write(6, Width::U8, 7).unwrap();
    for view in [a, b] {
        assert_eq!(view.read(0, Width::U8).unwrap(), 1);
        assert_eq!(view.read(2, Width::U16).unwrap(), 0x0403);
        assert_eq!(view.read(4, Width::U32).unwrap(), 0x0007_0605);
        assert_eq!(view.len(), 0x40);
    }
}

#[test]
fn accesses_outside_or_misaligned_are_errors() {
    for view in both_views(0, 0x40) {
        for (offset, width) in [
            (0x3e, Width::U32),
            (0x40, Width::U8),
            (1, Width::U16),
            (2, Width::U32),
            (usize::MAX, Width::U8),
        ] {
            assert!(view.read(offset, width).is_err(), "{offset:#x} {width:?}");
            assert!(
                view.write(offset, width, 0).is_err(),
                "{offset:#x} {width:?}"
            );
        }
    }
}

#[test]
fn a_window_that_is_misaligned_in_its_bar_is_an_error_when_mapped() {
    let [mapped, _] = both_views(2, 0x40);
    assert!(mapped.read(0, Width::U16).is_ok());
    assert!(mapped.read(0, Width::U32).is_err());
}

#[test]
fn a_window_is_mapped_only_where_its_pages_lie_in_one_mappable_area() {
    let bar = region(&[(0, 0x1000), (0x2000, 0x4000)]);
    let may = |offset, len| may_map(&bar, window(offset, len), &[], PAGE);
    assert!(may(0, 0x38));
    assert!(may(0x2000, 0x2000));
    assert!(may(0x3ffc, 4));
    assert!(!may(0x1000, 4));
    assert!(!may(0xffc, 8));
}

#[test]
fn a_small_bar_is_mapped_by_its_page() {
    assert!(may_map(&region(&[(0, 0x100)]), window(0, 0x38), &[], PAGE));
    assert!(!may_map(&region(&[]), window(0, 0x38), &[], PAGE));
}

#[test]
fn pages_that_hold_the_msix_table_are_never_mapped() {
    let bar = region(&[(0, 0x4000)]);
    let table = [window(0x1800, 0x40)];
    assert!(!may_map(&bar, window(0x1000, 0x38), &table, PAGE));
    assert!(may_map(&bar, window(0, 0x1000), &table, PAGE));
    let elsewhere = [Window { bar: 1, ..table[0] }];
    assert!(may_map(&bar, window(0x1000, 0x38), &elsewhere, PAGE));
}

#[test]
fn wide_fields_are_written_as_two_halves() {
    let registers = FakeRegisters::new(16, &[]);
    let block = RegisterBlock::new(&"dev".into(), "common", registers.clone());
    block.write_u64(8, 0x1122_3344_5566_7788).unwrap();
    assert_eq!(
        registers.writes(),
        [(8, Width::U32, 0x5566_7788), (12, Width::U32, 0x1122_3344)]
    );
}

#[test]
fn an_error_names_device_structure_and_offset() {
    let block = RegisterBlock::new(&"dev".into(), "common", FakeRegisters::new(16, &[]));
    let text = block.read_u32(0x14).unwrap_err().to_string();
    assert!(
        text.starts_with("dev: reading common+0x14 failed: "),
        "{text}"
    );
}
