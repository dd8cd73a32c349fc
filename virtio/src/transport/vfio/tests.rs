use std::error::Error;
use std::fs::File;
use std::io;
use std::time::Instant;

use super::common::CommonConfig;
use super::config_space::ConfigSpace;
use super::dma::DmaMappings;
use super::irq::MsixVectors;
use super::pci::{Layout, Window};
use super::regs::fake::FakeRegisters;
use super::sys::{Container, Device};
use super::*;
use crate::queue::QueueSize;
use crate::spec::pci::common::*;
use crate::spec::status;
use crate::transport::LentMemory;

/// A file for which no VFIO call works.
fn no_device() -> File {
    DmaRegion::new(4096).unwrap().file().try_clone().unwrap()
}

/// A device whose registers are the test's, each `stuck` one reading as given, and for which
/// every system call fails.
fn device(stuck: &[(usize, u32)]) -> (VfioPci, [Arc<FakeRegisters>; 3]) {
    let (held, registers) = held(stuck);
    (held.into(), registers)
}

fn held(stuck: &[(usize, u32)]) -> (Held, [Arc<FakeRegisters>; 3]) {
    let name: Arc<str> = "dev".into();
    let common = FakeRegisters::new(SIZE, stuck);
    let notify = FakeRegisters::new(64, &[]);
    let config = FakeRegisters::new(24, &[(8, 0x0201), (12, 0x0403_0201)]);
    let device = Arc::new(Device::new(no_device().into()));
    let addresses = info::IommuInfo {
        page_size: 4096,
        ranges: None,
    };
    let window = |offset, len| Window {
        bar: 4,
        offset,
        len,
    };
    let function = Function {
        layout: Layout {
            common: window(0, SIZE as u64),
            notify: window(0x3000, 64),
            notify_off_multiplier: 4,
            device: Some(window(0x2000, 24)),
            msix: Vec::new(),
        },
        common: CommonConfig::new(RegisterBlock::new(&name, "common", common.clone())),
        notify: notify.clone(),
        config: Some(RegisterBlock::new(&name, "config", config.clone())),
        name,
    };
    let held = Held {
        function: Arc::new(function),
        vectors: MsixVectors::default(),
        mappings: DmaMappings::new(Container::new(no_device().into()), addresses),
        space: ConfigSpace::at(&device, 0),
        device,
        memory: None,
        group: None,
    };
    (held, [common, notify, config])
}

fn setup(index: u16) -> QueueSetup {
    QueueSetup {
        index,
        size: QueueSize::new(64).unwrap(),
        desc: Iova(0x1000),
        driver: Iova(0x2000),
        device: Iova(0x3000),
        vector: None,
    }
}

#[test]
fn a_doorbell_is_rung_with_the_index_of_its_queue_at_its_own_place() {
    let (mut transport, [_, notify, _]) = device(&[(QUEUE_SIZE, 64), (QUEUE_NOTIFY_OFF, 5)]);
    transport.enable_queue(&setup(3)).unwrap().ring();
    assert_eq!(notify.writes(), [(20, Width::U16, 3)]);
}

#[test]
fn a_doorbell_with_data_says_up_to_where_the_queue_has_buffers() {
    let (mut transport, [_, notify, _]) = device(&[(QUEUE_SIZE, 64), (QUEUE_NOTIFY_OFF, 5)]);
    let with_data = FeatureSet::of(&[VIRTIO_F_NOTIFICATION_DATA]);
    transport.write_driver_features(with_data).unwrap();
    transport.enable_queue(&setup(3)).unwrap().ring_at(0x8002);
    assert_eq!(notify.writes(), [(20, Width::U32, 0x8002_0003)]);
    transport.write_driver_features(FeatureSet::EMPTY).unwrap();
    transport.enable_queue(&setup(3)).unwrap().ring_at(0x8002);
    assert_eq!(notify.writes()[1..], [(20, Width::U16, 3)]);
}

#[test]
fn a_queue_whose_doorbell_lies_outside_is_never_enabled() {
    let (mut transport, [common, ..]) = device(&[(QUEUE_SIZE, 64), (QUEUE_NOTIFY_OFF, 16)]);
    let refused = transport.enable_queue(&setup(3)).map(drop).unwrap_err();
    assert!(
        matches!(refused, TransportError::Unusable { .. }),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("queue 3: queue_notify_off 16"),
        "{refused}"
    );
    assert!(common.writes().iter().all(|write| write.0 != QUEUE_ENABLE));
}

#[test]
fn fields_of_the_configuration_are_read_with_one_access_of_their_width() {
    let (mut transport, _) = device(&[]);
    let (mut two, mut four) = ([0; 2], [0; 4]);
    transport.read_config(8, &mut two).unwrap();
    transport.read_config(12, &mut four).unwrap();
    // Only a read of the whole register sees the stuck value.
    assert_eq!((two, four), ([1, 2], [1, 2, 3, 4]));
    transport.read_config(11, &mut four).unwrap();
    assert_eq!(four, [0, 1, 0, 0]);
}

#[test]
fn the_configuration_ends_where_the_device_says() {
    let (mut transport, _) = device(&[]);
    assert_eq!(transport.config_len(), 24);
    assert!(transport.read_config(22, &mut [0; 2]).is_ok());
    for offset in [23, 24, usize::MAX] {
        let outside = transport.read_config(offset, &mut [0; 2]);
        assert!(matches!(
            outside,
            Err(TransportError::OutOfRange { limit: 24, .. })
        ));
    }
}

#[test]
fn a_device_without_vectors_has_no_interrupts() {
    let (mut transport, _) = device(&[]);
    assert_eq!(transport.vector_count(), 0);
    let refused = transport.interrupt(0).unwrap_err();
    let why = refused.source().unwrap().to_string();
    assert_eq!(why, "there are 0 MSI-X vectors");
    assert!(held(&[]).0.removal_request().is_none());
}

#[test]
fn memory_that_cannot_be_mapped_leaves_nothing_behind() {
    let (mut transport, _) = device(&[]);
    let region = Arc::new(DmaRegion::new(4096).unwrap());
    for _ in 0..3 {
        assert!(transport.map_dma(&region).is_err());
    }
    assert_eq!(Arc::strong_count(&region), 1);
    assert!(transport.unmap_dma(Iova(2 << 20)).is_err());
}

#[test]
fn letting_a_device_go_resets_it_even_where_every_system_call_fails() {
    let (transport, [common, ..]) = device(&[]);
    drop(transport);
    assert_eq!(common.writes(), [(DEVICE_STATUS, Width::U8, 0)]);
}

#[test]
fn letting_a_device_go_that_never_finishes_its_reset_ends_in_time() {
    let (transport, _) = device(&[(DEVICE_STATUS, status::DEVICE_NEEDS_RESET.into())]);
    let start = Instant::now();
    drop(transport);
    let took = start.elapsed();
    assert!(
        took >= RESET_DEADLINE && took < 5 * RESET_DEADLINE,
        "{took:?}"
    );
}

#[test]
fn letting_a_device_go_that_is_gone_does_not_wait() {
    let (transport, _) = device(&[(DEVICE_STATUS, status::ALL_ONES.into())]);
    let start = Instant::now();
    drop(transport);
    assert!(start.elapsed() < RESET_DEADLINE);
}

#[test]
fn descriptors_that_are_not_of_vfio_are_refused() {
    let parts = VfioParts {
        address: "0000:00:03.0".into(),
        container: no_device().into(),
        group: None,
        device: no_device().into(),
    };
    let refused = Held::from_parts(parts).map(drop).unwrap_err();
    let text = refused.to_string();
    let expected = "0000:00:03.0: finding configuration space failed: ";
    assert!(text.starts_with(expected), "{text}");
}

/// Counts what is borrowed.
#[derive(Debug)]
struct Lender(Vec<usize>);

impl MemoryLender for Lender {
    fn lend(&mut self, len: usize) -> io::Result<LentMemory> {
        self.0.push(len);
        let region = DmaRegion::new(4096)?;
        Ok(LentMemory {
            file: region.file().try_clone()?,
            len: 4096,
            iova: Iova(0x20_0000),
        })
    }
}

fn lent(events: usize) -> Lent {
    let event = |_| Arc::new(sys::new_eventfd().unwrap());
    Lent {
        name: "dev".into(),
        events: (0..events).map(event).collect(),
        memory: Box::new(Lender(Vec::new())),
    }
}

#[test]
fn a_borrower_maps_nothing_of_its_own() {
    let mut lent = lent(0);
    let region = Arc::new(DmaRegion::new(4096).unwrap());
    let refused = lent.map(&region).unwrap_err();
    assert!(matches!(refused, TransportError::Unusable { .. }));
    let memory = lent.allocate(100).unwrap();
    assert_eq!((memory.iova(), memory.len()), (Iova(0x20_0000), 4096));
    let refused = lent.allocate(5000).unwrap_err();
    let refused = refused.source().unwrap().to_string();
    assert!(
        refused.contains("4096 bytes were lent, 5000 are needed"),
        "{refused}"
    );
}

#[test]
fn a_borrower_has_the_interrupts_it_was_lent() {
    let mut lent = lent(2);
    assert_eq!(lent.vector_count(), 2);
    lent.interrupt(1).unwrap().write(3).unwrap();
    assert_eq!(lent.interrupt(1).unwrap().read().unwrap(), 3);
    let refused = lent.interrupt(2).unwrap_err().to_string();
    assert!(
        refused.contains("interrupt 2 was not lent (of 2)"),
        "{refused}"
    );
}

#[test]
fn a_held_device_is_stopped_whoever_drove_it() {
    let (held, [common, ..]) = held(&[]);
    held.stop_device().unwrap();
    assert_eq!(common.writes(), [(DEVICE_STATUS, Width::U8, 0)]);
}

#[test]
fn a_held_device_that_neither_reset_stops_is_an_error_in_time() {
    let (held, _) = held(&[(DEVICE_STATUS, status::DRIVER_OK.into())]);
    let start = Instant::now();
    assert!(held.stop_device().is_err());
    assert!(start.elapsed() < 5 * RESET_DEADLINE);
}
