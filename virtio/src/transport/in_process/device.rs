//! The program's handle on the device, and the thread that can drive it.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use vm_memory::FileOffset;

use super::bell::Bells;
use super::conduct::Conduct;
use super::core::Core;
use super::{ControlState, Counters, DeviceConfig, Link, Violation, Waker};
use crate::mem::Iova;
use crate::net::FeatureSet;
use crate::transport::TransportError;

/// A handle on an in-process device, beside the driver's. Clones name the same device.
#[derive(Clone)]
pub struct Device {
    core: Arc<Mutex<Core>>,
    bells: Arc<Bells>,
}

impl Device {
    pub(super) fn new(
        config: DeviceConfig,
        mut link: Box<dyn Link>,
        conduct: Box<dyn Conduct>,
    ) -> Result<Self, TransportError> {
        let bells = Bells::new(config.queue_sizes.len()).map_err(|source| TransportError::Io {
            device: config.name.clone(),
            operation: "eventfd".to_owned(),
            source,
        })?;
        let bells = Arc::new(bells);
        link.attach(Waker(Arc::clone(&bells)));
        let core = Core::new(config, link, conduct, Arc::clone(&bells));
        Ok(Self {
            core: Arc::new(Mutex::new(core)),
            bells,
        })
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bells(&self) -> &Arc<Bells> {
        &self.bells
    }

    /// Lets the device do what there is to do: queues that were rung, frames that have
    /// arrived. Returns whether anything was done. A queue that was not rung is not looked at,
    /// so a driver that forgets a doorbell stands still.
    pub fn step(&self) -> bool {
        self.core().service()
    }

    /// The same; also says yes if the device is to be driven on regardless.
    fn step_again(&self) -> bool {
        let mut core = self.core();
        core.service() || core.is_restless()
    }

    /// Steps until there is nothing more to do.
    pub fn settle(&self) {
        while self.step() {}
    }

    /// Gives the device a thread of its own until the answer is dropped.
    ///
    /// It has begun when this returns.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn run(&self) -> io::Result<DeviceThread> {
        let stop = Arc::new(AtomicBool::new(false));
        let (device, stopped) = (self.clone(), Arc::clone(&stop));
        let (begun, beginning) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("device".to_owned())
            .spawn(move || {
                let _ = begun.send(());
                // The look at `stopped` stands between the step, which forgets earlier
                // wake-ups, and the sleep, which is only for want of later ones.
                loop {
                    let busy = device.step_again();
                    if stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    if !busy {
                        device.bells.sleep();
                    }
                }
            })?;
        let begun = beginning.recv();
        begun.map_err(|_| io::Error::other("the thread ended at once"))?;
        Ok(DeviceThread {
            bells: Arc::clone(&self.bells),
            stop,
            thread: Some(thread),
        })
    }

    /// Lets the device reach `len` bytes of `file` from `offset` on, at the address `iova`: for
    /// memory that another process shares, where [`Transport::map_dma`] is for the driver's own.
    ///
    /// # Errors
    /// When the bytes are not there, or addresses overlap.
    ///
    /// [`Transport::map_dma`]: crate::Transport::map_dma
    pub fn map_at(
        &self,
        iova: Iova,
        file: File,
        offset: u64,
        len: usize,
    ) -> Result<(), TransportError> {
        self.core().map_at(iova, FileOffset::new(file, offset), len)
    }

    /// Takes all memory away. Only for a device that was reset.
    pub fn unmap_all(&self) {
        self.core().memory = Arc::default();
    }

    /// Lets interrupt `vector` go to `event`, an eventfd that came from outside.
    ///
    /// # Errors
    /// When there is no such interrupt.
    pub fn connect_interrupt(&self, vector: u16, event: File) -> Result<(), TransportError> {
        self.core().connect_interrupt(vector, event)
    }

    /// How many buffers the device has taken from a queue that is enabled, modulo 65536; of a
    /// packed ring, the offset up to which it has, and in bit 15 the wrap counter.
    pub fn ring_position(&self, queue: u16) -> Option<u16> {
        let core = self.core();
        let ring = core.rings.iter().find(|ring| ring.index == queue)?;
        Some(ring.position())
    }

    /// Up to where the last doorbell of a queue said that there are buffers, in the same way.
    pub fn doorbell_position(&self, queue: u16) -> Option<u16> {
        self.bells.told(queue)
    }

    /// What the driver has done that it may not, in the order in which it was noticed.
    pub fn violations(&self) -> Vec<Violation> {
        self.core().all_violations()
    }

    /// What the device has done so far.
    pub fn counters(&self) -> Counters {
        Counters {
            doorbells: self.bells.rings(),
            ..self.core().traffic.counters
        }
    }

    /// Device status, without touching it.
    pub fn status(&self) -> u8 {
        self.core().status
    }

    /// The features the driver accepted.
    pub fn accepted_features(&self) -> FeatureSet {
        self.core().accepted
    }

    /// What the driver has said over the control queue.
    pub fn control_state(&self) -> ControlState {
        self.core().control.clone()
    }

    /// Pulls or plugs the cable and raises the configuration interrupt.
    pub fn set_link_up(&self, up: bool) {
        self.core().set_link_up(up);
    }

    /// Asks the driver to tell its peers where it is (§ *Gratuitous Packet Sending*), until it
    /// says that it has.
    pub fn ask_for_announcement(&self) {
        self.core().ask_for_announcement();
    }

    /// Changes the configuration and raises the configuration interrupt.
    pub fn change_config(&self, change: impl FnOnce(&mut DeviceConfig)) {
        self.core().change_config(change);
    }

    /// Makes the device look whether there is something to do.
    pub fn wake(&self) {
        self.bells.wake();
    }

    /// Sets `DEVICE_NEEDS_RESET`, raises the configuration interrupt and does nothing more
    /// until reset.
    pub fn demand_reset(&self) {
        self.core().demand_reset();
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// A device that runs by itself; dropping this stops it.
#[derive(Debug)]
pub struct DeviceThread {
    bells: Arc<Bells>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for DeviceThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.bells.wake();
        if let Some(thread) = self.thread.take() {
            // A device that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}
