//! The far end of the device's cable.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Frame;
use super::bell::Bells;
use crate::net::FeatureSet;

/// Where frames from the driver go and frames for the driver come from.
///
/// A link runs under the device's lock: it must not call the device, and must not wait.
pub trait Link: Send {
    /// Learns how to make the device look for frames.
    fn attach(&mut self, _waker: Waker) {}

    /// Learns what the driver accepted, each time that the device is started.
    fn start(&mut self, _accepted: FeatureSet) {}

    /// Takes a frame that the driver sent.
    fn send(&mut self, frame: &Frame);

    /// Puts the next frame for the driver into `frame`; whether there was one.
    fn receive(&mut self, frame: &mut Frame) -> bool;
}

/// Makes a device look for frames on its link.
#[derive(Clone, Debug)]
pub struct Waker(pub(super) Arc<Bells>);

impl Waker {
    /// Makes the device look.
    pub fn wake(&self) {
        self.0.wake();
    }
}

/// Frames on their way, up to a limit; what comes beyond it is lost, as on a real cable.
#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    /// Frames whose memory can be used again.
    spare: Vec<Frame>,
    lost: u64,
}

const LIMIT: usize = 4096;

impl Queue {
    fn push(&mut self, frame: &Frame) {
        if self.frames.len() >= LIMIT {
            self.lost += 1;
            return;
        }
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.copy_from(frame);
        self.frames.push_back(copy);
    }

    fn pop_into(&mut self, frame: &mut Frame) -> bool {
        let Some(mut next) = self.frames.pop_front() else {
            return false;
        };
        std::mem::swap(&mut next, frame);
        self.spare.push(next);
        true
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Swallows everything and gives nothing.
#[derive(Debug, Default)]
pub struct Sink;

impl Link for Sink {
    fn send(&mut self, _frame: &Frame) {}

    fn receive(&mut self, _frame: &mut Frame) -> bool {
        false
    }
}

/// Sends every frame back as it came.
#[derive(Debug, Default)]
pub struct Echo(Queue);

impl Link for Echo {
    fn send(&mut self, frame: &Frame) {
        self.0.push(frame);
    }

    fn receive(&mut self, frame: &mut Frame) -> bool {
        self.0.pop_into(frame)
    }
}

/// One end of a cable between two devices.
pub struct Cable {
    ours: Arc<Mutex<End>>,
    theirs: Arc<Mutex<End>>,
}

/// What lies before one end of a cable.
#[derive(Debug, Default)]
struct End {
    arriving: Queue,
    waker: Option<Waker>,
}

impl Cable {
    /// The two ends of a cable.
    pub fn pair() -> (Self, Self) {
        let (a, b) = <(Arc<Mutex<End>>, Arc<Mutex<End>>)>::default();
        let other = Self {
            ours: Arc::clone(&b),
            theirs: Arc::clone(&a),
        };
        (Self { ours: a, theirs: b }, other)
    }
}

impl fmt::Debug for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cable").finish_non_exhaustive()
    }
}

impl Link for Cable {
    fn attach(&mut self, waker: Waker) {
        locked(&self.ours).waker = Some(waker);
    }

    fn send(&mut self, frame: &Frame) {
        let mut end = locked(&self.theirs);
        end.arriving.push(frame);
        if let Some(waker) = &end.waker {
            waker.wake();
        }
    }

    fn receive(&mut self, frame: &mut Frame) -> bool {
        locked(&self.ours).arriving.pop_into(frame)
    }
}

/// A link whose far end is the program: it sees what the driver sends and says what arrives.
///
/// Clones share one far end, so a program keeps a clone of what it gave the device.
#[derive(Clone, Debug, Default)]
pub struct Port(Arc<Mutex<PortEnds>>);

#[derive(Debug, Default)]
struct PortEnds {
    sent: Queue,
    arriving: Queue,
    waker: Option<Waker>,
}

impl Port {
    /// Lets `frame` arrive at the driver.
    pub fn inject(&self, frame: &Frame) {
        let mut ends = locked(&self.0);
        ends.arriving.push(frame);
        if let Some(waker) = &ends.waker {
            waker.wake();
        }
    }

    /// The oldest frame the driver has sent and nobody has taken yet.
    pub fn take_sent(&self) -> Option<Frame> {
        locked(&self.0).sent.frames.pop_front()
    }

    /// Frames that still wait to be given to the driver.
    pub fn arriving_count(&self) -> usize {
        locked(&self.0).arriving.frames.len()
    }

    /// Frames lost because nobody took them, in either direction.
    pub fn lost_count(&self) -> u64 {
        let ends = locked(&self.0);
        ends.sent.lost + ends.arriving.lost
    }
}

impl Link for Port {
    fn attach(&mut self, waker: Waker) {
        locked(&self.0).waker = Some(waker);
    }

    fn send(&mut self, frame: &Frame) {
        locked(&self.0).sent.push(frame);
    }

    fn receive(&mut self, frame: &mut Frame) -> bool {
        locked(&self.0).arriving.pop_into(frame)
    }
}
