//! Every way the harness can wire a guest, each shown to work with the kernel's driver.

use std::time::Duration;
use vm_test::{Backend, Error, Guest, Iommu, Mac, Machine, Nic, Vm, scenario};

const SOON: Duration = Duration::from_secs(10);
/// Where the test process sits on its wire.
const OURS: Mac = Mac([0x02, 0, 0, 0, 0, 0xaa]);

/// Brings the kernel's interface of a card up and returns its name.
fn up(vm: &Vm, nic: &str, address: &str) -> String {
    let ifname = vm.ifname(nic).unwrap();
    vm.guest.ok(&format!(
        "ip addr add {address} dev {ifname} && ip link set {ifname} up"
    ));
    ifname
}

fn has_carrier(guest: &Guest, ifname: &str, expected: &str) {
    guest.eventually(
        &format!("[ \"$(cat /sys/class/net/{ifname}/carrier)\" = {expected} ]"),
        SOON,
    );
}

#[test]
fn many_shapes_of_cards_share_one_guest() {
    scenario(|lab| {
        let wire = lab.wire("wire")?;
        let vm = lab.boot(
            Machine::new()
                .nic(Nic::new("user", Backend::user()).dump())
                .nic(
                    Nic::new("wired", wire.backend())
                        .host_mtu(9000)
                        .rx_queue_size(1024)
                        .mrg_rxbuf(false),
                )
                .nic(Nic::new("plug", Backend::hub(0)).unpluggable()),
        )?;
        let guest = &vm.guest;

        up(&vm, "user", "10.0.2.15/24");
        guest.ok("ping -c 2 -W 2 10.0.2.2");
        let dump = std::fs::read(lab.directory().join("user.pcap"))
            .map_err(|error| Error::Command(error.to_string()))?;
        assert!(
            dump.windows(6).any(|bytes| bytes == vm.nic("user").mac.0),
            "the dump saw the guest's frames"
        );

        // An ARP request of the guest's comes out of the wire, and our answer goes into its table.
        let wired = up(&vm, "wired", "192.168.9.1/24");
        assert_eq!(
            guest.ok(&format!("cat /sys/class/net/{wired}/mtu")).trim(),
            "9000"
        );
        let mut peer = wire.peer()?;
        let _ping = guest.spawn("ping -c 20 192.168.9.2")?;
        let request = peer.receive_where(SOON, |frame| frame[12..14] == [0x08, 0x06])?;
        peer.send(&arp_answer(&request))?;
        guest.eventually(&format!("ip neigh show 192.168.9.2 | grep -q {OURS}"), SOON);

        // QMP's levers, each seen in the guest.
        vm.qmp.set_link("wired", false)?;
        has_carrier(guest, &wired, "0");
        vm.qmp.set_link("wired", true)?;
        has_carrier(guest, &wired, "1");
        assert_eq!(vm.qmp.virtio_status("wired")?["broken"], false);
        assert_eq!(vm.qmp.queue_status("wired", 0)?["vring-num"], 1024);
        assert_eq!(vm.qmp.rx_filter("wired")?["promiscuous"], false);

        let plug = vm.nic("plug");
        guest.ok(&format!(
            "grep -q 0x1af4 /sys/bus/pci/devices/{}/vendor",
            plug.pci
        ));
        vm.qmp.device_del("plug")?;
        vm.qmp.event("DEVICE_DELETED", SOON)?;
        guest.ok(&format!("[ ! -e /sys/bus/pci/devices/{} ]", plug.pci));
        Ok(())
    });
}

fn arp_answer(request: &[u8]) -> Vec<u8> {
    let (asker, asked) = (&request[22..32], &request[38..42]);
    let header = [&request[6..12], &OURS.0, &request[12..20], &[0, 2]].concat();
    [header.as_slice(), &OURS.0, asked, asker].concat()
}

#[test]
fn a_tap_in_a_namespace_offers_offloads_and_queues() {
    scenario(|lab| {
        let host = lab.host_net()?;
        host.tap("tap0", 2)?;
        host.ok("ip addr add 10.9.0.2/24 dev tap0");
        let nic = Nic::new("n0", Backend::tap("tap0"))
            .queue_pairs(2)
            .host_tso6(false);
        let vm = lab.boot(Machine::new().cpus(2).nic(nic).inside(&host))?;

        let card = up(&vm, "n0", "10.9.0.1/24");
        vm.guest.ok("ping -c 2 -W 2 10.9.0.2");
        let features = vm.guest.ok(&format!("ethtool -k {card}"));
        assert!(features.contains("tx-tcp-segmentation: on"), "{features}");
        assert!(features.contains("tx-tcp6-segmentation: off"), "{features}");
        let channels = vm.guest.ok(&format!("ethtool -l {card}"));
        assert!(
            channels
                .lines()
                .any(|line| line.split_whitespace().eq(["Combined:", "2"])),
            "{channels}"
        );
        Ok(())
    });
}

#[test]
fn two_guests_hear_each_other_over_a_cable() {
    scenario(|lab| {
        let [left, right] = Backend::cable("c0");
        let [left, right] = lab.boot_all([
            Machine::new().named("left").nic(Nic::new("n0", left)),
            Machine::new().named("right").nic(Nic::new("n0", right)),
        ])?;
        assert_ne!(left.nic("n0").mac, right.nic("n0").mac);
        up(&left, "n0", "10.8.0.1/24");
        up(&right, "n0", "10.8.0.2/24");
        left.guest.eventually("ping -c 1 -W 1 10.8.0.2", SOON);
        right.guest.ok("ping -c 2 -W 2 10.8.0.1");
        Ok(())
    });
}

#[test]
fn without_an_iommu_vfio_refuses_the_card() {
    scenario(|lab| {
        let nic = Nic::new("n0", Backend::hub(0)).iommu_platform(false);
        let vm = lab.boot(Machine::new().iommu(Iommu::None).nic(nic))?;
        let device = format!("/sys/bus/pci/devices/{}", vm.nic("n0").pci);
        vm.guest.ok(&format!("[ ! -e {device}/iommu_group ]"));
        vm.guest.ok(&format!(
            "echo vfio-pci > {device}/driver_override; echo {} > {device}/driver/unbind",
            vm.nic("n0").pci
        ));
        vm.guest.exits(
            1,
            &format!(
                "echo {} > /sys/bus/pci/drivers/vfio-pci/bind",
                vm.nic("n0").pci
            ),
        );
        Ok(())
    });
}

#[test]
fn in_deterministic_time_the_same_work_takes_the_same_time() {
    scenario(|lab| {
        let vm = lab.boot(Machine::new().icount())?;
        let work = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
        let clock = "awk '{print $1 * 1000}' /proc/uptime";
        let round = || {
            let times = vm.guest.ok(&format!("{clock}; {work}; {clock}"));
            let times: Vec<f64> = times.lines().map(|line| line.parse().unwrap()).collect();
            times[1] - times[0]
        };
        // Kernels finish their own start behind the first rounds (6.12 for about a second).
        round();
        round();
        let (first, second) = (round(), round());
        // The clock counts in steps of 10 ms.
        assert!((first - second).abs() <= 20.0, "{first} and {second} ms");
        Ok(())
    });
}
