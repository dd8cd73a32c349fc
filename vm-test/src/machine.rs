//! The guest machine as a scenario describes it, and QEMU's command line for it.

use crate::accel::Accel;
use crate::host_net::HostNet;
use crate::nic::{Mac, Nic, Placement};
use guest_runner::protocol::PORT_NAME;
use std::path::Path;

/// Slots 0 to 2 are left to the chipset and the IOMMU.
const FIRST_SLOT: usize = 3;
/// The runner's port sits out of the way of the cards.
const RUNNER_SLOT: &str = "0x1e";

/// What stands between devices and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Iommu {
    /// QEMU's `intel-iommu`, which VFIO works behind.
    Intel,
    /// The same without interrupt remapping.
    IntelWithoutRemapping,
    /// Nothing.
    None,
}

/// A q35 machine. The default has one processor, 512 MiB and an Intel IOMMU that translates.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(crate) name: String,
    pub(crate) nics: Vec<Nic>,
    pub(crate) icount: bool,
    pub(crate) prefix: Vec<String>,
    memory_mib: u32,
    cpus: u16,
    iommu: Iommu,
    kernel_args: Vec<String>,
    qemu_args: Vec<String>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            name: "guest".to_string(),
            nics: Vec::new(),
            icount: false,
            prefix: Vec::new(),
            memory_mib: 512,
            cpus: 1,
            iommu: Iommu::Intel,
            kernel_args: Vec::new(),
            qemu_args: Vec::new(),
        }
    }
}

impl Machine {
    /// A machine without cards.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name its logs and messages carry, for scenarios with more than one guest.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_string();
        self
    }

    /// Adds a card. The first sits at 0000:00:03.0, the next at 0000:00:04.0 and so on.
    #[must_use]
    pub fn nic(mut self, nic: Nic) -> Self {
        self.nics.push(nic);
        self
    }

    /// Memory in MiB.
    #[must_use]
    pub fn memory_mib(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Virtual processors; one in deterministic time.
    #[must_use]
    pub fn cpus(mut self, count: u16) -> Self {
        self.cpus = count;
        self
    }

    /// Another IOMMU than Intel's.
    #[must_use]
    pub fn iommu(mut self, iommu: Iommu) -> Self {
        self.iommu = iommu;
        self
    }

    /// Appends to the guest kernel's command line, for instance `iommu=pt`.
    #[must_use]
    pub fn kernel_args(mut self, args: &str) -> Self {
        self.kernel_args.push(args.to_string());
        self
    }

    /// Appends a word to QEMU's command line.
    #[must_use]
    pub fn qemu_arg(mut self, word: impl Into<String>) -> Self {
        self.qemu_args.push(word.into());
        self
    }

    /// Deterministic time: the guest's clock counts instructions, 4 ns each. Forces TCG.
    #[must_use]
    pub fn icount(mut self) -> Self {
        self.icount = true;
        self
    }

    /// Runs QEMU inside a network namespace of the host, where its TAPs are.
    #[must_use]
    pub fn inside(mut self, net: &HostNet) -> Self {
        self.prefix = net.enter();
        self
    }

    /// The address made for a card without one; `guest` tells guests of one scenario apart.
    pub(crate) fn mac(&self, index: usize, guest: u8) -> Mac {
        let number = u8::try_from(index).unwrap_or(u8::MAX);
        self.nics[index]
            .mac
            .unwrap_or(Mac([0x52, 0x54, 0x00, 0x75, guest, number]))
    }

    /// The PCI address of a card after the firmware has numbered the buses.
    pub(crate) fn pci(&self, index: usize) -> String {
        match self.nics[index].placement {
            Placement::RootBus => format!("0000:00:{:02x}.0", FIRST_SLOT + index),
            Placement::RootPort => format!("0000:{:02x}:00.0", self.port_number(index)),
        }
    }

    /// Root ports count from 1 in the order of their slots, and so do the buses behind them.
    fn port_number(&self, index: usize) -> usize {
        self.nics[..=index]
            .iter()
            .filter(|nic| nic.placement == Placement::RootPort)
            .count()
    }

    /// QEMU's words. Files are named relative to QEMU's working directory, sockets by `label`.
    pub(crate) fn qemu_words(
        &self,
        accel: Accel,
        label: &str,
        guest: u8,
        kernel: &Path,
        initrd: &str,
    ) -> Vec<String> {
        let mut words = Words::default();
        words.flags(&[
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display none",
        ]);
        self.processor(&mut words, accel);
        words.option("-m", self.memory_mib.to_string());
        let remapping = match self.iommu {
            Iommu::Intel => Some("on"),
            Iommu::IntelWithoutRemapping => Some("off"),
            Iommu::None => None,
        };
        if let Some(remapping) = remapping {
            let iommu = format!("intel-iommu,intremap={remapping},caching-mode=on");
            words.option("-device", iommu);
        }
        words.option("-kernel", kernel.display().to_string());
        words.option("-initrd", initrd);
        words.option("-append", self.kernel_command_line());
        words.option("-serial", format!("file:{label}.console.log"));
        words.option("-qmp", format!("unix:{label}.qmp,server=on,wait=off"));
        self.runner_port(&mut words, label);
        (0..self.nics.len()).for_each(|index| self.card(&mut words, index, guest));
        words.0.extend(self.qemu_args.iter().cloned());
        words.0
    }

    fn processor(&self, words: &mut Words, accel: Accel) {
        match accel {
            Accel::Kvm => {
                // Interrupt remapping needs the interrupt controller half in user space.
                words.option("-machine", "q35,kernel-irqchip=split");
                words.flags(&["-accel kvm", "-cpu host"]);
            }
            Accel::Tcg => {
                words.option("-machine", "q35");
                words.option(
                    "-accel",
                    if self.icount {
                        "tcg,thread=single"
                    } else {
                        "tcg"
                    },
                );
                // TCG emulates `rep movsb` byte by byte; the guest copies faster without it.
                words.option("-cpu", "max,-erms,-fsrm");
            }
        }
        if self.icount {
            words.option("-icount", "shift=2,sleep=on");
        }
        words.option("-smp", if self.icount { 1 } else { self.cpus }.to_string());
    }

    fn kernel_command_line(&self) -> String {
        // Without no_timer_check a busy host makes the kernel miss timer interrupts at boot and panic.
        let fixed = [
            "console=ttyS0",
            "panic=-1",
            "mitigations=off",
            "no_timer_check",
        ];
        let own = self.kernel_args.iter().map(String::as_str);
        fixed.into_iter().chain(own).collect::<Vec<_>>().join(" ")
    }

    /// The runner's device takes no part in the IOMMU, so it works whatever a scenario does to that.
    fn runner_port(&self, words: &mut Words, label: &str) {
        words.option(
            "-device",
            format!("virtio-serial-pci,addr={RUNNER_SLOT},disable-legacy=on,romfile="),
        );
        words.option(
            "-chardev",
            format!("socket,id=runner,path={label}.runner,server=on,wait=off"),
        );
        words.option(
            "-device",
            format!("virtserialport,chardev=runner,name={PORT_NAME}"),
        );
    }

    fn card(&self, words: &mut Words, index: usize, guest: u8) {
        let nic = &self.nics[index];
        let slot = format!("{:#x}", FIRST_SLOT + index);
        words.option("-netdev", nic.backend.netdev(&nic.netdev_id()));
        let place = match nic.placement {
            Placement::RootBus => format!("bus=pcie.0,addr={slot}"),
            Placement::RootPort => {
                let (id, port) = (format!("port-{}", nic.id), self.port_number(index));
                words.option(
                    "-device",
                    format!(
                        "pcie-root-port,id={id},bus=pcie.0,addr={slot},chassis={port},slot={port}"
                    ),
                );
                format!("bus={id}")
            }
        };
        let properties = nic.device(self.mac(index, guest));
        // What this QEMU cannot do yet is off without being told so.
        let properties = properties
            .iter()
            .filter(|(name, value)| value != "off" || crate::lab::qemu_knows(name))
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>();
        words.option(
            "-device",
            format!("virtio-net-pci,{place},{}", properties.join(",")),
        );
        if nic.dump {
            words.option(
                "-object",
                format!(
                    "filter-dump,id=dump-{id},netdev={id}-net,file={id}.pcap",
                    id = nic.id
                ),
            );
        }
    }
}

/// QEMU's command line as it grows.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn option(&mut self, name: &str, value: impl Into<String>) {
        self.0.extend([name.to_string(), value.into()]);
    }

    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(
            flags
                .iter()
                .flat_map(|flag| flag.split(' '))
                .map(str::to_string),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Backend;

    fn words(machine: &Machine, accel: Accel) -> String {
        machine
            .qemu_words(accel, "g", 0, Path::new("/k"), "i")
            .join(" ")
    }

    #[test]
    fn cards_get_the_addresses_that_qemu_is_told() {
        let nic = |id| Nic::new(id, Backend::hub(0));
        let machine = Machine::new()
            .nic(nic("a"))
            .nic(nic("b").unpluggable())
            .nic(nic("c"))
            .nic(nic("d").unpluggable());
        let addresses: Vec<_> = (0..4).map(|index| machine.pci(index)).collect();
        assert_eq!(
            addresses,
            [
                "0000:00:03.0",
                "0000:01:00.0",
                "0000:00:05.0",
                "0000:02:00.0"
            ]
        );
        let line = words(&machine, Accel::Tcg);
        assert!(
            line.contains(
                "virtio-net-pci,bus=pcie.0,addr=0x3,id=a,netdev=a-net,mac=52:54:00:75:00:00"
            ),
            "{line}"
        );
        assert!(
            line.contains("pcie-root-port,id=port-d,bus=pcie.0,addr=0x6,chassis=2,slot=2"),
            "{line}"
        );
    }

    #[test]
    fn deterministic_time_takes_one_thread_and_one_processor() {
        let line = words(&Machine::new().cpus(4).icount(), Accel::Tcg);
        assert!(line.contains("-accel tcg,thread=single"), "{line}");
        assert!(line.contains("-icount shift=2,sleep=on -smp 1 "), "{line}");
    }

    #[test]
    fn a_machine_without_iommu_has_none() {
        assert!(words(&Machine::new(), Accel::Kvm).contains("intel-iommu"));
        assert!(!words(&Machine::new().iommu(Iommu::None), Accel::Kvm).contains("iommu"));
    }
}
