//! The guest, its three cards, who drives them, and the cables' other ends.

use std::collections::BTreeMap;
use std::time::Duration;

use vm_test::dpdk::{self, Dpdk};
use vm_test::report::Driver;
use vm_test::{Backend, Error, HostNet, Lab, Machine, Nic, Result, Vm, Wire};

use crate::far_end::FarEnd;
use crate::{Traffic, Way, lane};

/// Memory of the guest: testpmd's pool, and its libraries in the initramfs.
const MEMORY_MIB: u32 = 768;
/// Guest time within which any one measurement must be over: testpmd takes seconds to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Frames that wait in a socket at most: some may have been given before.
const IN_THE_CABLE: u64 = 8192;

/// Who has a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Kernel,
    /// The kernel, the card's IOMMU group switched to passthrough.
    KernelPt,
    /// vfio-pci.
    User,
}

impl Owner {
    const ALL: [Self; 3] = [Self::Kernel, Self::KernelPt, Self::User];

    fn of(driver: Driver) -> Self {
        match driver {
            Driver::Kernel => Self::Kernel,
            Driver::KernelPt => Self::KernelPt,
            Driver::Umnet | Driver::Dpdk => Self::User,
        }
    }

    /// Where its card that sends is plugged in.
    fn tap(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::KernelPt => "kernelpt",
            Self::User => "user",
        }
    }

    /// The id of its card that frames go this way over.
    fn card(self, way: Way) -> &'static str {
        match (self, way) {
            (Self::Kernel, Way::Sent) => "kernel-sends",
            (Self::Kernel, Way::Received) => "kernel-receives",
            (Self::KernelPt, Way::Sent) => "kernel-pt-sends",
            (Self::KernelPt, Way::Received) => "kernel-pt-receives",
            (Self::User, Way::Sent) => "user-sends",
            (Self::User, Way::Received) => "user-receives",
        }
    }
}

/// Everything a measurement needs, until it goes.
pub(crate) struct Testbed {
    vm: Vm,
    net: HostNet,
    /// Of the cards that receive, in the order of [`Owner::ALL`].
    far_ends: Vec<FarEnd>,
    dpdk: Dpdk,
    turn_ms: u64,
    /// How long umnet looks on, if it is not to decide by itself.
    busy_poll_us: Option<u16>,
}

impl Testbed {
    /// Boots the guest and hands each card to who drives it.
    pub(crate) fn lay_out(lab: &Lab, turn: Duration, busy_poll_us: Option<u16>) -> Result<Self> {
        lab.needs_umnet()?;
        let net = lab.host_net()?;
        // Nothing of IPv6 shall speak up in between; a host without it has nothing to switch off.
        net.run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")?;
        let machine = Machine::new().kernel_args("quiet").memory_mib(MEMORY_MIB);
        let mut machine = machine.inside(&net);
        let mut wires = Vec::new();
        for owner in Owner::ALL {
            net.tap(owner.tap(), 1)?;
            machine = machine.nic(Nic::new(owner.card(Way::Sent), Backend::tap(owner.tap())));
            let card = owner.card(Way::Received);
            let wire = lab.wire(card)?;
            machine = machine.nic(Nic::new(card, wire.backend()));
            wires.push((card, wire));
        }
        let vm = lab.boot(machine)?;
        let far_end = |(card, wire): &(&str, Wire)| FarEnd::new(wire.peer()?, vm.nic(card).mac);
        let far_ends = wires.iter().map(far_end).collect::<Result<_>>()?;
        let dpdk = dpdk::install(&vm.guest)?;
        let bed = Self {
            vm,
            net,
            far_ends,
            dpdk,
            turn_ms: turn.as_millis() as u64,
            busy_poll_us,
        };
        bed.sh("modprobe pktgen && modprobe vfio-pci")?;
        for owner in Owner::ALL {
            for way in [Way::Sent, Way::Received] {
                bed.hand_over(owner, owner.card(way))?;
            }
        }
        for owner in [Owner::Kernel, Owner::KernelPt] {
            let pci = &bed.vm.nic(owner.card(Way::Received)).pci;
            bed.sh(&format!(
                "echo {pci} >/sys/bus/pci/devices/{pci}/driver/unbind"
            ))?;
        }
        Ok(bed)
    }

    fn hand_over(&self, owner: Owner, card: &str) -> Result<()> {
        let pci = &self.vm.nic(card).pci;
        match owner {
            Owner::User => drop(self.sh(&format!("umnet bind {pci}"))?),
            Owner::Kernel => self.set_up(card)?,
            Owner::KernelPt => {
                self.sh(&format!(
                    "set -e; d=/sys/bus/pci/devices/{pci}; echo {pci} >$d/driver/unbind; \
                     echo identity >$d/iommu_group/type; echo {pci} >/sys/bus/pci/drivers_probe; \
                     n=0; until ls -d $d/virtio*/net/* >/dev/null 2>&1; do \
                     n=$((n+1)); [ $n -le 100 ]; sleep 0.05; done"
                ))?;
                self.set_up(card)?;
            }
        }
        let group = self.sh(&format!("cat /sys/bus/pci/devices/{pci}/iommu_group/type"))?;
        let passed = group.trim() == "identity";
        if passed != (owner == Owner::KernelPt) {
            let why =
                format!("the IOMMU group of {card} is {group}; the figures would not compare");
            return Err(Error::Command(why));
        }
        Ok(())
    }

    fn set_up(&self, card: &str) -> Result<()> {
        let ifname = self.ifname(card)?;
        self.sh(&format!(
            "echo 1 >/proc/sys/net/ipv6/conf/{ifname}/disable_ipv6; ip link set {ifname} up"
        ))
        .map(drop)
    }

    fn ifname(&self, card: &str) -> Result<String> {
        self.vm.ifname(card)
    }

    /// One figure, in thousands of frames a second; a second try if the first was spoilt.
    pub(crate) fn measure(&self, driver: Driver, traffic: Traffic) -> Result<f64> {
        match self.measure_once(driver, traffic) {
            Err(Error::Command(why)) => {
                eprint!("\n  {why}\n  ");
                self.measure_once(driver, traffic)
            }
            other => other,
        }
    }

    /// The other end of the cable must have seen as many frames as the driver says, at least.
    fn measure_once(&self, driver: Driver, traffic: Traffic) -> Result<f64> {
        let owner = Owner::of(driver);
        let card = owner.card(traffic.way);
        let far_end = &self.far_ends[owner as usize];
        let before = self.seen(owner, traffic)?;
        far_end.flood((traffic.way == Way::Received).then_some(traffic.len));
        let figure = self.run(driver, card, traffic);
        far_end.flood(None);
        let (figure, seen) = (figure?, self.seen(owner, traffic)? - before);
        let said = (figure * self.turn_ms as f64) as u64;
        let slack = match traffic.way {
            Way::Sent => 0,
            Way::Received => IN_THE_CABLE,
        };
        if said == 0 || seen + slack < said {
            let who = driver.key();
            let why = format!("{who} says {said} frames, the other end has seen {seen}");
            return Err(Error::Command(why));
        }
        Ok(figure)
    }

    /// Frames that the other end of the cable has seen so far.
    fn seen(&self, owner: Owner, traffic: Traffic) -> Result<u64> {
        if traffic.way == Way::Received {
            return Ok(self.far_ends[owner as usize].given());
        }
        let tap = owner.tap();
        // Bytes and frames received.
        let counter = format!("sed -n 's/^ *{tap}: *[0-9]* *\\([0-9]*\\).*/\\1/p' /proc/net/dev");
        let text = self.net.run(&counter)?.into_stdout()?;
        text.trim()
            .parse()
            .map_err(|_| Error::Command(format!("{tap} has counted {text}")))
    }

    /// A card of the kernel that receives is bound for its turn only: what QEMU still keeps for it
    /// is thrown away by the reset, and does not occupy the processor in the turns of others.
    fn receive_in_the_kernel(&self, card: &str) -> Result<String> {
        let pci = &self.vm.nic(card).pci;
        self.sh(&format!("echo {pci} >/sys/bus/pci/drivers_probe"))?;
        self.set_up(card)?;
        let ifname = self.ifname(card)?;
        let said = self.sh(&lane::kernel_receives(&ifname, self.turn_ms));
        self.sh(&format!(
            "echo {pci} >/sys/bus/pci/devices/{pci}/driver/unbind"
        ))?;
        said
    }

    fn run(&self, driver: Driver, card: &str, traffic: Traffic) -> Result<f64> {
        let turn = self.turn_ms;
        let pci = &self.vm.nic(card).pci;
        match (driver, traffic.way) {
            (Driver::Umnet, _) => {
                let line = lane::umnet(pci, traffic, turn, self.busy_poll_us);
                lane::umnets_words(&self.sh(&line)?)
            }
            (Driver::Dpdk, way) => {
                let said = self.sh(&lane::dpdk(&self.dpdk, pci, traffic, turn))?;
                lane::testpmds_words(&said, way)
            }
            (Driver::Kernel | Driver::KernelPt, way) => {
                let said = match way {
                    Way::Sent => self.sh(&lane::pktgen(&self.ifname(card)?, traffic, turn))?,
                    Way::Received => self.receive_in_the_kernel(card)?,
                };
                lane::kernels_words(&said)
            }
        }
    }

    pub(crate) fn details(&self) -> BTreeMap<String, String> {
        let fixed = [
            ("dpdk", self.dpdk.version.as_str()),
            (
                "device",
                "QEMU's virtio-net-pci; frames are sent to a TAP, with its offloads, and received \
                 from a stream, which has none and always more frames than the card can take",
            ),
            ("virtual_processors", "1"),
            ("descriptors_of_a_queue", "256"),
        ];
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        fixed.into_iter().map(own).collect()
    }

    fn sh(&self, line: &str) -> Result<String> {
        self.vm.guest.run_for(line, PATIENCE)?.into_stdout()
    }
}
