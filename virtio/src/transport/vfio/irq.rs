//! MSI-X vectors as eventfds. Interrupts by wire (INTx) are not supported: a device without
//! MSI-X has no vectors, and is polled.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use vfio_bindings::bindings::vfio::{VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_REQ_IRQ_INDEX};
use vmm_sys_util::eventfd::EventFd;

use super::sys::{self, Device, NO_EVENT};

/// More vectors than any number of queues here has use for; what a device has beyond stays idle.
const MAX_VECTORS: u32 = 256;
/// How often the kernel may answer that it has fewer vectors than it said before.
const MAX_ATTEMPTS: usize = 4;

/// The MSI-X vectors of a device; by default there are none.
#[derive(Default)]
pub(super) struct MsixVectors {
    events: Vec<Option<Arc<EventFd>>>,
}

impl MsixVectors {
    /// Sets up all vectors in one call, because not every kernel can add to them later. None
    /// has an eventfd yet.
    pub(super) fn enable(device: &Device) -> io::Result<Self> {
        let offered = device.irq_count(VFIO_PCI_MSIX_IRQ_INDEX)?.min(MAX_VECTORS);
        let count = settle(offered, |count| {
            let none: Vec<RawFd> = vec![NO_EVENT; count as usize];
            device.set_irqs(VFIO_PCI_MSIX_IRQ_INDEX, 0, &none)
        })?;
        let events = (0..count).map(|_| None).collect();
        Ok(Self { events })
    }

    /// Vectors that somebody has set up and connected already.
    pub(super) fn resume(events: Vec<OwnedFd>) -> Self {
        let events = events.into_iter().map(sys::event_of);
        Self {
            events: events.map(|event| Some(Arc::new(event))).collect(),
        }
    }

    /// The events of the vectors up to the first that is not connected.
    pub(super) fn connected(&self) -> io::Result<Vec<OwnedFd>> {
        let connected = self.events.iter().map_while(Option::as_deref);
        connected.map(duplicate).collect()
    }

    pub(super) fn count(&self) -> u16 {
        self.events.len() as u16
    }

    /// The event of `vector`; made and connected on first use.
    pub(super) fn event(&mut self, device: &Device, vector: u16) -> io::Result<Arc<EventFd>> {
        let count = self.events.len();
        let slot = self.events.get_mut(usize::from(vector)).ok_or_else(|| {
            let text = format!("there are {count} MSI-X vectors");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        if let Some(event) = slot {
            return Ok(Arc::clone(event));
        }
        let event = sys::new_eventfd()?;
        let fd = event.as_raw_fd();
        device.set_irqs(VFIO_PCI_MSIX_IRQ_INDEX, vector.into(), &[fd])?;
        Ok(Arc::clone(slot.insert(Arc::new(event))))
    }

    pub(super) fn disable(&mut self, device: &Device) -> io::Result<()> {
        if self.events.is_empty() {
            return Ok(());
        }
        self.events.clear();
        device.disable_irqs(VFIO_PCI_MSIX_IRQ_INDEX)
    }
}

/// The same event for another process.
pub(super) fn duplicate(event: &EventFd) -> io::Result<OwnedFd> {
    event.try_clone().map(sys::fd_of)
}

/// An event that fires when the system wants the device back.
pub(super) fn removal_request(device: &Device) -> io::Result<EventFd> {
    if device.irq_count(VFIO_PCI_REQ_IRQ_INDEX)? == 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let event = sys::new_eventfd()?;
    device.set_irqs(VFIO_PCI_REQ_IRQ_INDEX, 0, &[event.as_raw_fd()])?;
    Ok(event)
}

/// Asks for `count` vectors, then for as many as the kernel says it has; how many there are.
fn settle(mut count: u32, mut attempt: impl FnMut(u32) -> io::Result<u32>) -> io::Result<u32> {
    for _ in 0..MAX_ATTEMPTS {
        if count == 0 {
            return Ok(0);
        }
        match attempt(count)? {
            0 => return Ok(count),
            fewer if fewer < count => count = fewer,
            _ => break,
        }
    }
    Err(io::Error::other(
        "the system cannot say how many MSI-X vectors it has",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_vectors_are_taken_where_the_system_has_them() {
        assert_eq!(settle(4, |_| Ok(0)).unwrap(), 4);
    }

    #[test]
    fn a_device_without_vectors_is_not_asked() {
        assert_eq!(settle(0, |_| panic!("asked")).unwrap(), 0);
    }

    #[test]
    fn fewer_vectors_are_taken_where_the_system_has_fewer() {
        let mut asked = Vec::new();
        let settled = settle(64, |count| {
            asked.push(count);
            Ok(if count > 20 { 20 } else { 0 })
        });
        assert_eq!(settled.unwrap(), 20);
        assert_eq!(asked, [64, 20]);
    }

    #[test]
    fn a_system_that_never_settles_is_an_error() {
        assert!(settle(64, |count| Ok(count - 1)).is_err());
        let more = settle(64, |count| {
            assert!(count <= 64, "asked for {count}");
            Ok(1000)
        });
        assert!(more.is_err());
        assert!(settle(64, |_| Err(io::ErrorKind::ResourceBusy.into())).is_err());
    }
}
