//! § *Common configuration structure layout*, field by field.

use super::regs::RegisterBlock;
use crate::net::FeatureSet;
use crate::queue::QueueSize;
use crate::spec::pci::common::*;
use crate::spec::status;
use crate::transport::{QueueSetup, TransportError};

/// Feature bits come in words of 32, and a [`FeatureSet`] holds four of them.
const FEATURE_WORDS: u32 = 4;
/// Words that every device has; the others are written only when needed, because a device of
/// version 1.3 or older need not tell them apart from these.
const BASE_FEATURE_WORDS: u32 = 2;

/// The registers that every virtio PCI device has.
pub(super) struct CommonConfig(RegisterBlock);

impl CommonConfig {
    pub(super) fn new(registers: RegisterBlock) -> Self {
        Self(registers)
    }

    pub(super) fn is_mapped(&self) -> bool {
        self.0.is_mapped()
    }

    pub(super) fn read_status(&self) -> Result<u8, TransportError> {
        match self.0.read_u8(DEVICE_STATUS)? {
            status::ALL_ONES => Err(self.gone()),
            status => Ok(status),
        }
    }

    pub(super) fn write_status(&self, status: u8) -> Result<(), TransportError> {
        self.0.write_u8(DEVICE_STATUS, status)
    }

    pub(super) fn read_device_features(&self) -> Result<FeatureSet, TransportError> {
        let mut features = 0;
        for word in 0..FEATURE_WORDS {
            self.0.write_u32(DEVICE_FEATURE_SELECT, word)?;
            features |= u128::from(self.0.read_u32(DEVICE_FEATURE)?) << (32 * word);
        }
        self.here_if(features != u128::MAX)?;
        Ok(FeatureSet(features))
    }

    pub(super) fn write_driver_features(&self, features: FeatureSet) -> Result<(), TransportError> {
        for word in 0..FEATURE_WORDS {
            let bits = (features.0 >> (32 * word)) as u32;
            if word < BASE_FEATURE_WORDS || bits != 0 {
                self.0.write_u32(DRIVER_FEATURE_SELECT, word)?;
                self.0.write_u32(DRIVER_FEATURE, bits)?;
            }
        }
        Ok(())
    }

    pub(super) fn read_generation(&self) -> Result<u8, TransportError> {
        let generation = self.0.read_u8(CONFIG_GENERATION)?;
        self.here_if(generation != u8::MAX)?;
        Ok(generation)
    }

    pub(super) fn read_queue_count(&self) -> Result<u16, TransportError> {
        let count = self.0.read_u16(NUM_QUEUES)?;
        self.here_if(count != u16::MAX)?;
        Ok(count)
    }

    pub(super) fn read_max_queue_size(&self, queue: u16) -> Result<u16, TransportError> {
        self.select(queue)?;
        let size = self.0.read_u16(QUEUE_SIZE)?;
        self.here_if(size != u16::MAX)?;
        Ok(size)
    }

    pub(super) fn set_config_vector(&self, vector: u16) -> Result<(), TransportError> {
        self.set_vector(CONFIG_MSIX_VECTOR, vector, "configuration changes")
    }

    /// Writes everything a queue needs but `queue_enable`, and returns its `queue_notify_off`.
    pub(super) fn prepare_queue(&self, setup: &QueueSetup) -> Result<u16, TransportError> {
        self.select(setup.index)?;
        self.set_queue_size(setup.index, setup.size)?;
        match setup.vector {
            Some(vector) => {
                self.set_vector(QUEUE_MSIX_VECTOR, vector, &format!("queue {}", setup.index))?;
            }
            None => self.0.write_u16(QUEUE_MSIX_VECTOR, NO_VECTOR)?,
        }
        self.0.write_u64(QUEUE_DESC, setup.desc.0)?;
        self.0.write_u64(QUEUE_DRIVER, setup.driver.0)?;
        self.0.write_u64(QUEUE_DEVICE, setup.device.0)?;
        self.0.read_u16(QUEUE_NOTIFY_OFF)
    }

    /// Lets the device use a queue that has been prepared.
    pub(super) fn start_queue(&self, queue: u16) -> Result<(), TransportError> {
        self.select(queue)?;
        self.0.write_u16(QUEUE_ENABLE, 1)
    }

    /// Begins to reset a queue. A capability that ends before the register has none.
    pub(super) fn reset_queue(&self, queue: u16) -> Result<(), TransportError> {
        if self.0.len() < QUEUE_RESET + 2 {
            let reason = format!(
                "its {} bytes of common configuration end before queue_reset",
                self.0.len()
            );
            return Err(self.unusable(reason));
        }
        self.select(queue)?;
        self.0.write_u16(QUEUE_RESET, 1)
    }

    /// Whether the reset of a queue is done: neither resetting nor enabled.
    pub(super) fn read_queue_reset_done(&self, queue: u16) -> Result<bool, TransportError> {
        self.select(queue)?;
        let resetting = self.0.read_u16(QUEUE_RESET)?;
        self.here_if(resetting != u16::MAX)?;
        Ok(resetting == 0 && self.0.read_u16(QUEUE_ENABLE)? == 0)
    }

    pub(super) fn unusable(&self, reason: String) -> TransportError {
        TransportError::Unusable {
            device: self.0.device().to_owned(),
            reason,
        }
    }

    fn select(&self, queue: u16) -> Result<(), TransportError> {
        self.0.write_u16(QUEUE_SELECT, queue)
    }

    fn set_queue_size(&self, queue: u16, size: QueueSize) -> Result<(), TransportError> {
        let (size, max) = (size.get(), self.0.read_u16(QUEUE_SIZE)?);
        if max < size {
            let reason = format!("queue {queue} has {max} descriptors at most, not {size}");
            return Err(self.unusable(reason));
        }
        self.0.write_u16(QUEUE_SIZE, size)?;
        // Driver and device must agree on the size: it decides where everything in a ring lies.
        match self.0.read_u16(QUEUE_SIZE)? {
            kept if kept == size => Ok(()),
            kept => Err(self.unusable(format!(
                "queue {queue} keeps {kept} descriptors after {size} were written"
            ))),
        }
    }

    /// Routes an interrupt, and checks that the device took it (§ *MSI-X Vector Configuration*).
    fn set_vector(&self, field: usize, vector: u16, of: &str) -> Result<(), TransportError> {
        self.0.write_u16(field, vector)?;
        match self.0.read_u16(field)? {
            taken if taken == vector => Ok(()),
            NO_VECTOR => Err(self.unusable(format!("interrupt {vector} for {of} was refused"))),
            other => {
                Err(self.unusable(format!("interrupt {vector} for {of} reads back as {other}")))
            }
        }
    }

    /// All ones in another register may be a value; in the status they never are.
    fn here_if(&self, plausible: bool) -> Result<(), TransportError> {
        if plausible {
            Ok(())
        } else {
            self.read_status().map(drop)
        }
    }

    fn gone(&self) -> TransportError {
        TransportError::Gone {
            device: self.0.device().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::mem::Iova;
    use crate::transport::vfio::regs::Width;
    use crate::transport::vfio::regs::fake::FakeRegisters;

    fn common(stuck: &[(usize, u32)]) -> (CommonConfig, Arc<FakeRegisters>) {
        let registers = FakeRegisters::new(SIZE, stuck);
        let block = RegisterBlock::new(&"dev".into(), "common", registers.clone());
        (CommonConfig::new(block), registers)
    }

    const SETUP: QueueSetup = QueueSetup {
        index: 3,
        size: match QueueSize::new(64) {
            Ok(size) => size,
            Err(_) => unreachable!(),
        },
        desc: Iova(0x1_0000_1000),
        driver: Iova(0x2000),
        device: Iova(0x3000),
        vector: Some(1),
    };

    fn prepare(stuck: &[(usize, u32)]) -> Result<u16, TransportError> {
        common(stuck).0.prepare_queue(&SETUP)
    }

    #[test]
    fn all_ones_are_a_device_that_is_gone() {
        let all: Vec<(usize, u32)> = (0..SIZE).map(|at| (at, u32::MAX)).collect();
        let (gone, _) = common(&all);
        for result in [
            gone.read_status().map(drop),
            gone.read_device_features().map(drop),
            gone.read_generation().map(drop),
            gone.read_queue_count().map(drop),
            gone.read_max_queue_size(0).map(drop),
        ] {
            assert!(
                matches!(result, Err(TransportError::Gone { .. })),
                "{result:?}"
            );
        }
    }

    #[test]
    fn all_ones_in_one_register_of_a_living_device_are_a_value() {
        let (common, _) = common(&[(DEVICE_STATUS, 3), (CONFIG_GENERATION, 0xff)]);
        assert_eq!(common.read_generation().unwrap(), 0xff);
    }

    #[test]
    fn features_are_read_from_four_windows() {
        let (common, registers) = common(&[(DEVICE_FEATURE, 0x8000_0001)]);
        let features = common.read_device_features().unwrap();
        let word = 0x8000_0001u128;
        assert_eq!(features.0, word | word << 32 | word << 64 | word << 96);
        let selected: Vec<u32> = registers.writes().iter().map(|w| w.2).collect();
        assert_eq!(selected, [0, 1, 2, 3]);
    }

    #[test]
    fn feature_words_beyond_the_second_are_written_only_when_set() {
        let (common, registers) = common(&[]);
        common
            .write_driver_features(FeatureSet::of(&[32, 5]))
            .unwrap();
        let values = |r: &FakeRegisters| r.writes().iter().map(|w| w.2).collect::<Vec<_>>();
        assert_eq!(values(&registers), [0, 32, 1, 1]);
        common.write_driver_features(FeatureSet::of(&[65])).unwrap();
        assert_eq!(values(&registers)[4..], [0, 0, 1, 0, 2, 2]);
    }

    #[test]
    fn a_queue_is_described_completely_before_it_is_started() {
        let max = [(QUEUE_SIZE, 64), (QUEUE_NOTIFY_OFF, 3)];
        let (common, registers) = common(&max);
        assert_eq!(common.prepare_queue(&SETUP).unwrap(), 3);
        common.start_queue(SETUP.index).unwrap();
        use Width::{U16, U32};
        let expected = [
            (QUEUE_SELECT, U16, 3),
            (QUEUE_SIZE, U16, 64),
            (QUEUE_MSIX_VECTOR, U16, 1),
            (QUEUE_DESC, U32, 0x1000),
            (QUEUE_DESC + 4, U32, 1),
            (QUEUE_DRIVER, U32, 0x2000),
            (QUEUE_DRIVER + 4, U32, 0),
            (QUEUE_DEVICE, U32, 0x3000),
            (QUEUE_DEVICE + 4, U32, 0),
            (QUEUE_SELECT, U16, 3),
            (QUEUE_ENABLE, U16, 1),
        ];
        assert_eq!(registers.writes(), expected);
    }

    #[test]
    fn a_queue_is_reset_once_it_is_neither_resetting_nor_enabled() {
        let reset = |stuck: &[(usize, u32)]| {
            let registers = FakeRegisters::new(QUEUE_RESET + 2, stuck);
            let block = RegisterBlock::new(&"dev".into(), "common", registers.clone());
            let common = CommonConfig::new(block);
            common.reset_queue(2).unwrap();
            let asked = [(QUEUE_SELECT, Width::U16, 2), (QUEUE_RESET, Width::U16, 1)];
            assert_eq!(registers.writes(), asked);
            common.read_queue_reset_done(2)
        };
        assert!(reset(&[(QUEUE_RESET, 0), (QUEUE_ENABLE, 0)]).unwrap());
        assert!(!reset(&[(QUEUE_RESET, 1), (QUEUE_ENABLE, 0)]).unwrap());
        assert!(!reset(&[(QUEUE_RESET, 0), (QUEUE_ENABLE, 1)]).unwrap());
        let gone = reset(&[(QUEUE_RESET, 0xffff), (DEVICE_STATUS, 0xff)]);
        assert!(matches!(gone, Err(TransportError::Gone { .. })));
        let short = common(&[]).0.reset_queue(2).unwrap_err();
        assert!(short.to_string().contains("end before queue_reset"));
    }

    fn reason(result: Result<u16, TransportError>) -> String {
        match result {
            Err(TransportError::Unusable { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_queue_that_is_absent_or_too_small_is_refused() {
        let absent = reason(prepare(&[(QUEUE_SIZE, 0)]));
        assert_eq!(absent, "queue 3 has 0 descriptors at most, not 64");
        assert!(reason(prepare(&[(QUEUE_SIZE, 32)])).contains("32 descriptors"));
    }

    #[test]
    fn a_queue_that_keeps_its_own_size_is_refused() {
        let kept = reason(prepare(&[(QUEUE_SIZE, 256)]));
        assert_eq!(kept, "queue 3 keeps 256 descriptors after 64 were written");
    }

    #[test]
    fn an_interrupt_that_the_device_does_not_take_is_refused() {
        let size = (QUEUE_SIZE, 64);
        let refused = prepare(&[size, (QUEUE_MSIX_VECTOR, 0xffff)]);
        assert_eq!(reason(refused), "interrupt 1 for queue 3 was refused");
        let changed = prepare(&[size, (QUEUE_MSIX_VECTOR, 7)]);
        assert!(reason(changed).contains("reads back as 7"));
        let (common, _) = common(&[(CONFIG_MSIX_VECTOR, 0xffff)]);
        let config = common.set_config_vector(0).map(|()| 0);
        assert!(reason(config).contains("configuration changes"));
    }

    #[test]
    fn a_queue_without_interrupt_says_so_to_the_device() {
        let (common, registers) = common(&[(QUEUE_SIZE, 64)]);
        let silent = QueueSetup {
            vector: None,
            ..SETUP
        };
        common.prepare_queue(&silent).unwrap();
        let said = registers
            .writes()
            .iter()
            .find(|w| w.0 == QUEUE_MSIX_VECTOR)
            .copied();
        assert_eq!(said, Some((QUEUE_MSIX_VECTOR, Width::U16, 0xffff)));
    }
}
