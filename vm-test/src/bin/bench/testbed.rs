//! The guest, its cards, who drives them, and the host's ends.

use std::collections::BTreeMap;
use std::time::Duration;

use vm_test::report::Driver;
use vm_test::{Backend, Error, Guest, HostNet, Job, Lab, Machine, Nic, Result, Vm};

use crate::dpdk_tap::{self, Forwarder, Forwarding};
use crate::instructions;
use crate::measure::{facts, number};
use crate::options::Options;

/// One card with both its ends.
pub(crate) struct Card {
    pub(crate) driver: Driver,
    /// Interface in the guest.
    pub(crate) ifname: String,
    /// Interface on the host.
    pub(crate) tap: String,
    /// Third byte of its addresses.
    subnet: usize,
    /// What the guest's kernel says about the group, such as `DMA` or `identity`.
    iommu: String,
}

impl Card {
    pub(crate) fn guest_address(&self) -> String {
        format!("10.77.{}.2", self.subnet)
    }

    pub(crate) fn host_address(&self) -> String {
        format!("10.77.{}.1", self.subnet)
    }
}

/// Everything a measurement needs, until it goes.
pub(crate) struct Testbed {
    umnet: Option<Job>,
    dpdk: Option<Forwarder>,
    cards: Vec<Card>,
    vm: Vm,
    pub(crate) net: HostNet,
    busy_when_idle: f64,
    switching: Switching,
}

/// Microseconds until a byte has come back from somebody else who was asleep: what each request
/// costs beyond the kernel's own work when a process has a hand in it.
#[derive(Default)]
struct Switching {
    processes: f64,
    threads: f64,
}

/// Where the guest has umnet's configuration.
const UMNET_CONFIG: &str = "/tmp/umnet.toml";
/// What umnet's interface is called.
const UMNET_IFNAME: &str = "um0";
/// For DPDK's pool, and its libraries in the file system.
const MEMORY_WITH_DPDK_MIB: u32 = 768;
/// An idle guest that is busier than this has somebody in it who disturbs the others.
const TOLERATED_BUSY: f64 = 0.05;

impl Testbed {
    /// Boots the guest and hands each card to its driver.
    pub(crate) fn lay_out(lab: &Lab, options: &Options) -> Result<Self> {
        let drivers = drivers(options);
        if !options.without_umnet {
            lab.needs_umnet()?;
        }
        let net = lab.host_net()?;
        let mut machine = Machine::new().kernel_args("quiet").inside(&net);
        machine = machine.cpus(options.processors);
        if options.icount {
            machine = machine.icount();
        }
        if options.instructions {
            machine = instructions::counted(machine)?;
        }
        if options.dpdk {
            machine = machine.memory_mib(MEMORY_WITH_DPDK_MIB);
        }
        // Nothing of IPv6 shall speak up in between; a host without it has nothing to switch off.
        net.run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")?;
        for (index, driver) in drivers.iter().enumerate() {
            make_tap(&net, &tap_name(index), index)?;
            let nic = Nic::new(driver.key(), Backend::tap(&tap_name(index)));
            machine = machine.nic(options.card(nic));
        }
        let vm = lab.boot(machine)?;
        let mut bed = Self {
            umnet: None,
            dpdk: None,
            cards: Vec::new(),
            vm,
            net,
            busy_when_idle: 0.0,
            switching: Switching::default(),
        };
        for (index, driver) in drivers.into_iter().enumerate() {
            match bed.hand_over(index, driver, options) {
                Ok(card) => bed.cards.push(card),
                Err(error) => return Err(bed.with_umnets_words(error)),
            }
        }
        bed.check_idle()?;
        bed.switching = Switching {
            processes: bed.there_and_back_us("processes")?,
            threads: bed.there_and_back_us("threads")?,
        };
        Ok(bed)
    }

    pub(crate) fn vm(&self) -> &Vm {
        &self.vm
    }

    pub(crate) fn guest(&self) -> &Guest {
        &self.vm.guest
    }

    pub(crate) fn drivers(&self) -> Vec<Driver> {
        self.cards.iter().map(|card| card.driver).collect()
    }

    pub(crate) fn card(&self, driver: Driver) -> Result<&Card> {
        let card = self.cards.iter().find(|card| card.driver == driver);
        card.ok_or_else(|| Error::Command(format!("no card for {}", driver.key())))
    }

    fn hand_over(&mut self, index: usize, driver: Driver, options: &Options) -> Result<Card> {
        let pci = self.vm.nic(driver.key()).pci.clone();
        let ifname = match driver {
            Driver::Kernel => self.kernel_ifname(driver)?,
            Driver::KernelPt => {
                self.sh(&passthrough(&pci))?;
                self.kernel_ifname(driver)?
            }
            Driver::Umnet => self.start_umnet(&pci, options)?,
            Driver::Dpdk => self.start_dpdk(&pci, options)?,
        };
        let card = Card {
            driver,
            ifname,
            tap: tap_name(index),
            subnet: index + 1,
            iommu: self
                .sh(&format!("cat /sys/bus/pci/devices/{pci}/iommu_group/type"))?
                .trim()
                .to_owned(),
        };
        check_iommu(&card)?;
        self.in_turn(driver, || self.address(&card))?;
        Ok(card)
    }

    fn kernel_ifname(&self, driver: Driver) -> Result<String> {
        self.vm.ifname(driver.key())
    }

    /// Addresses and neighbours are fixed, so that no resolution gets lost in a flood.
    fn address(&self, card: &Card) -> Result<()> {
        let Card { ifname, tap, .. } = card;
        let (here, there) = (card.guest_address(), card.host_address());
        let host_mac = host_mac(card.subnet - 1);
        self.sh(&format!(
            "echo 1 >/proc/sys/net/ipv6/conf/{ifname}/disable_ipv6; \
             ip addr add {here}/24 dev {ifname} && ip link set {ifname} up && \
             ip neigh replace {there} lladdr {host_mac} dev {ifname} nud permanent"
        ))?;
        let guest_mac = self.sh(&format!("cat /sys/class/net/{ifname}/address"))?;
        let guest_mac = guest_mac.trim();
        let neighbour =
            format!("ip neigh replace {here} lladdr {guest_mac} dev {tap} nud permanent");
        self.net.run(&neighbour)?.into_stdout()?;
        self.wait_for_reply(card)
    }

    /// The first frames may be lost: Linux starts to send some time after the carrier came.
    fn wait_for_reply(&self, card: &Card) -> Result<()> {
        let there = card.host_address();
        let line = format!(
            "n=0; until ping -c 1 -W 1 {there} >/dev/null; do n=$((n+1)); [ $n -lt 10 ] || exit 1; done"
        );
        if self.vm.guest.run(&line)?.success() {
            return Ok(());
        }
        let driver = card.driver.key();
        let interface = self.sh(&format!("ip -s link show {}", card.ifname))?;
        Err(Error::Command(format!(
            "{there} does not answer over {driver}'s card:\n{interface}"
        )))
    }

    fn start_umnet(&mut self, pci: &str, options: &Options) -> Result<String> {
        let log = &options.umnet_log;
        let config = options.umnet_config();
        self.sh(&format!("printf '{config}' > {UMNET_CONFIG}"))?;
        let line = format!(
            "exec umnet --log {log} run {pci} --ifname {UMNET_IFNAME} --no-adopt --config {UMNET_CONFIG}"
        );
        let mut job = self.vm.guest.spawn(&line)?;
        // The TAP is there before it has the card's address, which the host is told below.
        let mac = self.vm.nic(Driver::Umnet.key()).mac;
        let up = format!(
            "n=0; until grep -qs {mac} /sys/class/net/{UMNET_IFNAME}/address; do \
             n=$((n+1)); [ $n -le 200 ] || exit 1; sleep 0.05; done"
        );
        if !self.vm.guest.run(&up)?.success() {
            let story = job.peek()?.story();
            return Err(Error::Command(format!(
                "{UMNET_IFNAME} does not come up: {story}"
            )));
        }
        self.umnet = Some(job);
        Ok(UMNET_IFNAME.to_owned())
    }

    fn start_dpdk(&mut self, pci: &str, options: &Options) -> Result<String> {
        let forwarding = Forwarding {
            pci,
            mac: self.vm.nic(Driver::Dpdk.key()).mac,
            processors: options.processors,
            offloads: !options.without_offloads,
        };
        self.dpdk = Some(Forwarder::start(&self.vm.guest, &forwarding)?);
        Ok(dpdk_tap::IFNAME.to_owned())
    }

    /// Has `driver` at work while `work` lasts. All but DPDK always are, and rest when they are not
    /// needed.
    pub(crate) fn in_turn<T>(&self, driver: Driver, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let dpdk = self.dpdk.as_ref().filter(|_| driver == Driver::Dpdk);
        let Some(dpdk) = dpdk else { return work() };
        dpdk.forward(true)?;
        let outcome = work();
        dpdk.forward(false)?;
        outcome
    }

    /// What umnet has said so far, where it may be to blame.
    fn with_umnets_words(&mut self, error: Error) -> Error {
        match self.umnet.as_mut().map(Job::peek) {
            Some(Ok(output)) => Error::Command(format!("{error}\n{}", output.story())),
            _ => error,
        }
    }

    /// What umnet and its interrupts have counted, for whoever tunes it.
    pub(crate) fn umnet_stats(&self) -> Result<String> {
        self.sh("umnet stats --json; grep vfio /proc/interrupts; grep ctxt /proc/stat")
    }

    /// Ends umnet as a user would; it must end well.
    pub(crate) fn stop_umnet(&mut self) -> Result<()> {
        match self.umnet.take() {
            Some(job) => job.terminate()?.into_stdout().map(drop),
            None => Ok(()),
        }
    }

    /// All drivers up, no traffic: the guest must be at rest, or one driver's idling would be
    /// charged to the others.
    fn check_idle(&mut self) -> Result<()> {
        let stat = self.sh("sleep 0.5; head -n1 /proc/stat; sleep 1; head -n1 /proc/stat")?;
        self.busy_when_idle = busy_fraction(&stat);
        if self.busy_when_idle > TOLERATED_BUSY {
            let percent = self.busy_when_idle * 100.0;
            eprintln!(
                "bench: the guest is {percent:.0} % busy without traffic; ratios will be off"
            );
        }
        Ok(())
    }

    fn there_and_back_us(&self, between: &str) -> Result<f64> {
        let line = format!("guest-runner traffic switches --seconds 0.4 --between {between}");
        number(&facts(&self.sh(&line)?)?, "there_and_back_us")
    }

    pub(crate) fn describe(&self) -> String {
        let card = |card: &Card| {
            format!(
                "{} on {} (IOMMU {})",
                card.driver.key(),
                card.ifname,
                card.iommu
            )
        };
        let cards: Vec<_> = self.cards.iter().map(card).collect();
        let Switching { processes, threads } = self.switching;
        format!(
            "{}; a byte to another process and back takes {processes:.0} us, to a thread {threads:.0} us",
            cards.join(", ")
        )
    }

    pub(crate) fn details(&self) -> BTreeMap<String, String> {
        let iommu = |card: &Card| (format!("iommu_{}", card.driver.key()), card.iommu.clone());
        let busy = (
            "guest_busy_when_idle".to_owned(),
            format!("{:.3}", self.busy_when_idle),
        );
        let switching = [
            ("process_there_and_back_us", self.switching.processes),
            ("thread_there_and_back_us", self.switching.threads),
        ];
        let switching = switching.map(|(name, us)| (name.to_owned(), format!("{us:.1}")));
        let cards = self.cards.iter().map(iommu);
        let dpdk = self.dpdk.iter().flat_map(Forwarder::details);
        cards.chain([busy]).chain(switching).chain(dpdk).collect()
    }

    fn sh(&self, line: &str) -> Result<String> {
        self.vm.guest.run(line)?.into_stdout()
    }
}

fn drivers(options: &Options) -> Vec<Driver> {
    let wanted = |driver: &Driver| match driver {
        Driver::Kernel | Driver::KernelPt => true,
        Driver::Umnet => !options.without_umnet,
        Driver::Dpdk => options.dpdk,
    };
    Driver::ALL.into_iter().filter(wanted).collect()
}

fn tap_name(index: usize) -> String {
    format!("bench{index}")
}

fn host_mac(index: usize) -> String {
    format!("52:54:00:76:00:{index:02x}")
}

fn make_tap(net: &HostNet, tap: &str, index: usize) -> Result<()> {
    net.tap(tap, 1)?;
    let address = format!("10.77.{}.1/24", index + 1);
    let mac = host_mac(index);
    net.run(&format!(
        "ip link set {tap} address {mac} && ip addr add {address} dev {tap}"
    ))?
    .into_stdout()
    .map(drop)
}

/// The group's type can be changed while its device has no driver; this is what `iommu=pt` would do
/// to every device.
fn passthrough(pci: &str) -> String {
    let device = format!("/sys/bus/pci/devices/{pci}");
    format!(
        "set -e; echo {pci} >{device}/driver/unbind; echo identity >{device}/iommu_group/type; \
         echo {pci} >/sys/bus/pci/drivers_probe; n=0; \
         until ls -d {device}/virtio*/net/* >/dev/null 2>&1; do n=$((n+1)); [ $n -le 100 ]; sleep 0.05; done"
    )
}

/// The whole comparison rests on who is translated and who is not.
fn check_iommu(card: &Card) -> Result<()> {
    let passthrough = card.iommu == "identity";
    if passthrough == (card.driver == Driver::KernelPt) {
        return Ok(());
    }
    let (driver, iommu) = (card.driver.key(), &card.iommu);
    Err(Error::Command(format!(
        "{driver}'s IOMMU group has type {iommu}; the figures would not compare"
    )))
}

/// Of two `cpu` lines of `/proc/stat`: the share of time that was neither idle nor waiting.
fn busy_fraction(stat: &str) -> f64 {
    let line = |line: &str| {
        line.split_whitespace()
            .skip(1)
            .filter_map(|word| word.parse().ok())
            .collect()
    };
    let lines: Vec<Vec<f64>> = stat.lines().map(line).collect();
    let [before, after] = lines.as_slice() else {
        return 0.0;
    };
    let passed: Vec<f64> = before
        .iter()
        .zip(after)
        .map(|(before, after)| after - before)
        .collect();
    let (all, idle): (f64, f64) = (passed.iter().sum(), passed.iter().skip(3).take(2).sum());
    if all > 0.0 { 1.0 - idle / all } else { 0.0 }
}

/// Guest time within which any one measurement must be over.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_is_neither_idle_nor_waiting() {
        assert!((busy_fraction("cpu 10 0 10 100 0 0\ncpu 15 0 15 180 10 0\n") - 0.1).abs() < 1e-9);
        assert_eq!(busy_fraction("cpu 1 2 3 4\ncpu 1 2 3 4\n"), 0.0);
        assert_eq!(busy_fraction(""), 0.0);
    }

    #[test]
    fn a_card_in_the_wrong_protection_is_refused() {
        let card = |driver, iommu: &str| Card {
            driver,
            ifname: "x".to_owned(),
            tap: "y".to_owned(),
            subnet: 1,
            iommu: iommu.to_owned(),
        };
        assert!(check_iommu(&card(Driver::Kernel, "DMA")).is_ok());
        assert!(check_iommu(&card(Driver::Umnet, "DMA-FQ")).is_ok());
        assert!(check_iommu(&card(Driver::KernelPt, "identity")).is_ok());
        assert!(check_iommu(&card(Driver::KernelPt, "DMA")).is_err());
        assert!(check_iommu(&card(Driver::Kernel, "identity")).is_err());
    }
}
