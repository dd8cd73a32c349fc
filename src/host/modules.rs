//! Loading the kernel modules umnet needs.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::pci::VFIO_DRIVER;
use super::{Host, HostError, files};

const DEADLINE: Duration = Duration::from_secs(20);

impl Host {
    /// Whether the vfio-pci driver is there, as a module or built in.
    pub(super) fn has_vfio_pci(&self) -> bool {
        self.path("sys/bus/pci/drivers").join(VFIO_DRIVER).exists()
    }

    /// Whether VFIO's IOMMU back end is there. It has parameters, so that it shows in
    /// `/sys/module` even when built in.
    pub(super) fn has_vfio_iommu(&self) -> bool {
        self.path("sys/module/vfio_iommu_type1").exists()
    }

    /// Loads what is missing of VFIO.
    ///
    /// # Errors
    ///
    /// [`HostError::Module`] with modprobe's words.
    pub(super) fn load_vfio(&self) -> Result<(), HostError> {
        if !self.has_vfio_pci() {
            self.modprobe(VFIO_DRIVER)?;
        }
        if !self.has_vfio_iommu() {
            // Only a soft dependency of vfio-pci, so nothing else loads it.
            self.modprobe("vfio_iommu_type1")?;
        }
        Ok(())
    }

    fn modprobe(&self, module: &'static str) -> Result<(), HostError> {
        log::info!("loading kernel module {module}");
        let refused = |reason: String| HostError::Module { module, reason };
        if !self.is_real() {
            return Err(refused("this is a picture of a machine".to_owned()));
        }
        let mut child = Command::new("modprobe")
            .arg(module)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| refused(format!("cannot run modprobe: {e}")))?;
        let ended = files::wait_for("modprobe", DEADLINE, || child.try_wait().transpose());
        let Ok(status) = ended else {
            // It may end between the last look and this; either way it is gone afterwards.
            let _ = child.kill();
            let _ = child.wait();
            return Err(refused(format!("modprobe took longer than {DEADLINE:?}")));
        };
        let status = status.map_err(|e| refused(e.to_string()))?;
        if status.success() {
            return Ok(());
        }
        let mut words = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            // What can be read is shown; the exit status alone says enough otherwise.
            let _ = stderr.read_to_string(&mut words);
        }
        Err(refused(format!("modprobe: {status}: {}", words.trim())))
    }
}
