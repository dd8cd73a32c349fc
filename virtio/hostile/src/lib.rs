//! Devices that lie: what they do, which rule that breaks, and what a driver is to make of it.
//!
//! A lie is data. [`CATALOGUE`] names them all, so that a test can walk through it:
//!
//! ```text
//! let (transport, device) = lie.device(config, link)?;   the device is made as the lie needs it
//! start the driver                                       told at birth: the lie is on already
//! device.tell(lie)                                       otherwise it begins here, once
//! let frames pass, then compare with lie.outcome
//! ```
//!
//! Every lie is told once unless it says otherwise, and a reset ends it, so that a driver that
//! resets the device finds an honest one.

mod catalogue;
pub mod exam;
pub mod frames;
pub mod report;
mod rings;
mod telling;

pub use catalogue::CATALOGUE;
pub use exam::{DriverUnderTest, Observed, examine};

use std::ops::Deref;

use telling::Telling;
use virtio::transport::TransportError;
pub use virtio::transport::in_process::{Answer, Delivery, Interrupts, Role};
use virtio::transport::in_process::{Device, DeviceConfig, InProcess, Link};

/// One way in which a device may break the specification.
#[derive(Clone, Copy, Debug)]
pub struct Lie {
    /// A name for messages, unique.
    pub name: &'static str,
    /// Section of the specification that is broken.
    pub section: &'static str,
    /// What an honest device does.
    pub rule: &'static str,
    /// What a driver is to make of it.
    pub outcome: Outcome,
    /// Which part of a driver has to notice.
    pub layer: Layer,
    /// The only format of rings in which the lie can be told, if there is but one.
    pub only: Option<Format>,
    /// How the device is made, so that the lie can be told or because that is the lie.
    pub made: fn(&mut DeviceConfig),
    /// What the device does.
    pub act: Act,
}

/// What a driver is to make of a lie. It never panics, never waits without end and never
/// reaches memory that is not its own, whatever the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The frame is dropped and counted; what follows passes.
    Drop,
    /// The queue stops with a `DeviceFault`, the device is reset, and what follows passes.
    Break,
    /// The driver does not start, or not again after a reset, and says why.
    Refuse,
    /// The driver starts with less, or with a value of its own.
    Adapt,
    /// Frames pass as if nothing had been said.
    Ignore,
    /// A command fails with an error that says what was answered; frames pass.
    Fail,
    /// A wait ends when its time is up.
    TimeOut,
    /// The driver notices, resets the device, and what follows passes.
    Reset,
    /// The driver resets the device in vain, and stops trying after a while, saying so.
    GiveUp,
    /// The device counts as removed.
    Gone,
}

/// The format of a device's rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A descriptor table and two rings.
    Split,
    /// One ring of descriptors that both sides write.
    Packed,
}

impl Format {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Split, Self::Packed];

    /// A device whose rings are of this format, if its driver knows it.
    pub fn device(self) -> DeviceConfig {
        match self {
            Self::Split => DeviceConfig::default(),
            Self::Packed => DeviceConfig::default().with_packed_ring(),
        }
    }
}

/// Which part of a driver has to notice a lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// [`virtio::queue::Virtqueue`].
    Queue,
    /// [`virtio::init`] and [`virtio::net::config`].
    Start,
    /// [`virtio::net::ctrl`].
    Control,
    /// A driver that moves frames.
    Driver,
}

/// What a lying device does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Nothing: it is made wrong.
    Made,
    /// It changes in the course of the next reset.
    Reset(fn(&mut DeviceConfig)),
    /// It changes while it runs, and tells.
    Change(fn(&mut DeviceConfig)),
    /// Its registers lie from the beginning.
    Registers(Registers),
    /// These frames arrive, as they are.
    Frames(fn() -> Vec<Delivery>),
    /// The next frame arrives, and its header changes while the driver may be reading it: the
    /// frame is dropped, or passed on with the honest header, but not with parts of both.
    Flicker,
    /// The next used entries of a queue are others. A receive queue gets a frame for that.
    Used(Role, fn(&mut UsedEntries)),
    /// What the driver wrote into a ring is overwritten when the device takes a buffer.
    Overwrite(Overwrite),
    /// The words by which the device says when it wants doorbells are always these.
    Suppression {
        /// `used.flags`.
        flags: u16,
        /// How far behind the next index to be seen `avail_event` stands.
        behind: u16,
        /// The flags of the device's event suppression structure, in a packed ring.
        event_flags: u16,
    },
    /// The device's event suppression structure is always this.
    Event {
        /// Offset and wrap counter.
        word: u16,
        /// `flags`.
        flags: u16,
    },
    /// Interrupts come otherwise than they should.
    Interrupts(Interrupts),
    /// Commands are answered like this.
    Answer(Answer),
    /// A queue is not served any more.
    Stall(Role),
    /// The device demands a reset.
    DemandReset {
        /// And again as soon as it is started.
        always: bool,
    },
}

/// Lies of the common configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registers {
    /// `FEATURES_OK` does not stay set.
    FeaturesRefused,
    /// `config_generation` is another each time.
    GenerationMoves,
    /// Status never becomes 0.
    ResetNeverEnds,
    /// Everything reads as all ones, as from a removed device.
    AllOnes,
    /// No interrupt is given to a queue, whatever the number of interrupts.
    InterruptsRefused,
}

/// What a device overwrites of that which the driver wrote and has no more use for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// `next` of descriptors that name no next one.
    DescNext,
    /// Entries of the available ring that the device has seen.
    AvailEntries,
    /// The entry of the used ring that comes next, before it means anything.
    NextUsed,
    /// What the driver sends, once it was read.
    TransmitBuffers,
}

/// What a device is about to write into a ring of buffers that it has used.
#[derive(Clone, Debug)]
pub struct UsedEntries {
    /// `id` and `len` of each entry.
    pub entries: Vec<(u32, u32)>,
    /// The index after them, in a split ring.
    pub idx: u16,
    /// Flags that are the opposite of what they should be, in a packed ring.
    pub flags: u16,
    /// Descriptors that are left out before the first entry, in a packed ring.
    pub skipped: u16,
    /// Entries of the ring.
    pub size: u16,
    /// A head that is not with the device, or the ring's size if all are.
    pub idle_id: u32,
}

impl Lie {
    /// Whether the lie can be told in rings of this format.
    pub fn can_be_told_in(&self, format: Format) -> bool {
        self.only.is_none_or(|only| only == format)
    }

    /// Whether the lie is on from the device's birth.
    pub fn is_told_at_birth(&self) -> bool {
        use Interrupts::Early;
        use Registers::{FeaturesRefused, GenerationMoves, InterruptsRefused};
        matches!(
            self.act,
            Act::Made
                | Act::Registers(FeaturesRefused | GenerationMoves | InterruptsRefused)
                | Act::Interrupts(Early)
        )
    }

    /// Makes a device that can tell this lie, and tells it if it is one from birth.
    ///
    /// # Errors
    /// As [`InProcess::new`].
    pub fn device(
        &self,
        mut config: DeviceConfig,
        link: impl Link + 'static,
    ) -> Result<(InProcess, LyingDevice), TransportError> {
        (self.made)(&mut config);
        let telling = Telling::default();
        let (transport, device) = InProcess::with_conduct(config, link, telling.clone())?;
        let device = LyingDevice { device, telling };
        if self.is_told_at_birth() {
            device.tell(self);
        }
        Ok((transport, device))
    }
}

/// A device that can be made to lie; otherwise a [`Device`] like any other.
#[derive(Clone, Debug)]
pub struct LyingDevice {
    device: Device,
    telling: Telling,
}

impl LyingDevice {
    /// How often the driver has reset the device, the first time included.
    pub fn resets(&self) -> u32 {
        self.telling.resets()
    }

    /// Begins to tell `lie`.
    pub fn tell(&self, lie: &Lie) {
        log::debug!("in-process device: lies ({}): not {}", lie.name, lie.rule);
        self.telling.begin(lie);
        match lie.act {
            Act::Change(change) => self.device.change_config(change),
            Act::DemandReset { .. } => self.device.demand_reset(),
            _ => {}
        }
        self.device.wake();
    }
}

impl Deref for LyingDevice {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_there_are_enough() {
        let mut names: Vec<_> = CATALOGUE.iter().map(|lie| lie.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CATALOGUE.len());
        assert!(names.len() >= 40, "{} lies", names.len());
    }

    #[test]
    fn no_two_lies_break_the_same_rule() {
        let mut rules: Vec<_> = CATALOGUE.iter().map(|lie| lie.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        assert_eq!(rules.len(), CATALOGUE.len());
    }
}
