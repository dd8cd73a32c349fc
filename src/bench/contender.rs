//! Who takes part: everything that can be given frames and be timed.

use std::hint::black_box;
use std::time::Duration;

use vm_memory::{MmapRegion, VolatileMemory, VolatileSlice};

use super::case::{Case, Direction};
use super::clock::Stopwatch;
use super::driver::DriverLeg;
use super::layer::{QueueLeg, RingLeg};
use super::{BenchError, frames::Frame};

/// Something that moves frames.
pub trait Contender {
    /// Moves so many frames and tells how long that took.
    ///
    /// # Errors
    /// [`BenchError`] when they do not arrive.
    fn run(&mut self, frames: u64) -> Result<Duration, BenchError>;

    /// Moves a few frames and compares what arrives; a contender that copies nothing, or whose
    /// copy is the comparison, has nothing to do.
    ///
    /// # Errors
    /// [`BenchError::Changed`], or as [`Self::run`].
    fn verify(&mut self, _frames: u64) -> Result<(), BenchError> {
        Ok(())
    }
}

/// Names of those that are always there.
pub const UMNET: &str = "umnet";
/// A plain copy of the same frames, over as many places as the driver has.
pub const MEMCPY: &str = "memcpy";
/// A plain copy of the same frames between two places that stay in the cache.
pub const MEMCPY_CACHED: &str = "memcpy-cached";
/// The virtqueue alone.
pub const QUEUE: &str = "queue";
/// The packet ring alone.
pub const RING: &str = "ring";

/// The built-in contenders' names, in the order in which they are shown.
pub const BUILT_IN: [&str; 5] = [UMNET, MEMCPY, MEMCPY_CACHED, QUEUE, RING];

/// Makes a built-in contender.
///
/// # Errors
/// What the system or the driver say.
pub fn built_in(name: &str, case: Case) -> Result<Box<dyn Contender>, BenchError> {
    Ok(match name {
        UMNET => Box::new(DriverLeg::new(case)?),
        MEMCPY => Box::new(Memcpy::new(case)?),
        MEMCPY_CACHED => Box::new(Memcpy::in_cache(case)?),
        QUEUE => Box::new(QueueLeg::new(case)?),
        RING => Box::new(RingLeg::new(case)?),
        _ => return Err(BenchError::NoSuchContender(name.to_owned())),
    })
}

/// The C library's copy, over as many places as the driver copies between: the physical limit
/// of a driver that copies every byte once.
struct Memcpy {
    from: Places,
    to: Places,
    len: usize,
}

/// Equal places in memory, used in turn.
struct Places {
    region: MmapRegion,
    stride: usize,
    count: usize,
    next: usize,
}

/// Slots of a queue of the usual size, and buffers that a ring of the usual size has.
const SLOTS: usize = 256;
const BUFFERS: usize = 63;
/// From one slot or buffer to the next.
const LARGE: usize = 65_728;
const RX_SLOT: usize = 4096;

impl Memcpy {
    fn new(case: Case) -> Result<Self, BenchError> {
        let slots = match case.direction {
            Direction::Rx => Places::new(RX_SLOT.max(case.len), SLOTS * RX_SLOT)?,
            Direction::Tx => Places::new(LARGE, SLOTS * LARGE)?,
        };
        let buffers = Places::new(LARGE, BUFFERS * LARGE)?;
        let (from, to) = match case.direction {
            Direction::Rx => (slots, buffers),
            Direction::Tx => (buffers, slots),
        };
        Self {
            from,
            to,
            len: case.len,
        }
        .filled(case)
    }

    /// From one place to one other, as fast as the first cache that holds both allows.
    fn in_cache(case: Case) -> Result<Self, BenchError> {
        let place = || Places::new(LARGE, LARGE);
        let (from, to) = (place()?, place()?);
        Self {
            from,
            to,
            len: case.len,
        }
        .filled(case)
    }

    fn filled(mut self, case: Case) -> Result<Self, BenchError> {
        let frame = Frame::new(case.len);
        for _ in 0..self.from.count {
            self.from.next(self.len)?.copy_from(frame.bytes());
        }
        for _ in 0..self.to.count {
            self.to.next(self.len)?.copy_from(frame.bytes());
        }
        Ok(self)
    }
}

impl Places {
    fn new(stride: usize, size: usize) -> Result<Self, BenchError> {
        let region =
            MmapRegion::new(size).map_err(|error| BenchError::Memory(error.to_string()))?;
        Ok(Self {
            region,
            stride,
            count: size / stride,
            next: 0,
        })
    }

    #[inline]
    fn next(&mut self, len: usize) -> Result<VolatileSlice<'_>, BenchError> {
        let at = self.next;
        self.next = if at + 1 == self.count { 0 } else { at + 1 };
        let slice = self.region.get_slice(at * self.stride, len);
        slice.map_err(|error| BenchError::Memory(error.to_string()))
    }
}

impl Contender for Memcpy {
    fn run(&mut self, frames: u64) -> Result<Duration, BenchError> {
        let watch = Stopwatch::start();
        for _ in 0..frames {
            let from = self.from.next(self.len)?;
            from.copy_to_volatile_slice(black_box(self.to.next(self.len)?));
        }
        Ok(watch.elapsed())
    }
}
