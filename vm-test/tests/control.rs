//! What passes between device and interface beside frames: carrier, address, receive mode.

use std::time::Duration;
use vm_test::{Guest, Mac, Machine, Nic, Umnet, Vm, scenario};

const SOON: Duration = Duration::from_secs(10);
/// Where the test process sits on its wire.
const OURS: Mac = Mac([0x02, 0, 0, 0, 0, 0xaa]);

fn has_carrier(guest: &Guest, ifname: &str, expected: &str) {
    guest.eventually(
        &format!("[ \"$(cat /sys/class/net/{ifname}/carrier)\" = {expected} ]"),
        SOON,
    );
}

/// Waits until the device's own receive filter says so.
#[track_caller]
fn filter_becomes(vm: &Vm, nic: &str, key: &str, expected: &str) {
    for _ in 0..50 {
        let filter = vm.qmp.rx_filter(nic).unwrap();
        if filter[key].to_string().trim_matches('"') == expected {
            return;
        }
        vm.guest.ok("sleep 0.1");
    }
    let filter = vm.qmp.rx_filter(nic).unwrap();
    panic!("{key} does not become {expected}: {filter}");
}

/// Frames of ours that the interface has let in, as a counter of the kernel.
fn received(guest: &Guest, ifname: &str) -> u64 {
    let text = guest.ok(&format!(
        "cat /sys/class/net/{ifname}/statistics/rx_packets"
    ));
    text.trim().parse().unwrap()
}

#[test]
fn carrier_address_and_receive_mode_pass_between_interface_and_device() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let wire = lab.wire("wire")?;
        let vm = lab.boot(Machine::new().nic(Nic::new("n0", wire.backend())))?;
        let guest = &vm.guest;
        let card = guest.ifname(&vm.nic("n0").mac)?;
        guest.ok(&format!(
            "echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 >/dev/null; \
             ip addr add 10.0.0.1/24 dev {card} && ip link set {card} up"
        ));
        let mut peer = wire.peer()?;
        let umnet = Umnet::run(&vm, "n0", "")?;
        has_carrier(guest, &card, "1");

        // The cable is pulled, and plugged in again.
        vm.qmp.set_link("n0", false)?;
        has_carrier(guest, &card, "0");
        assert_eq!(umnet.status()?["link_up"], false);
        guest.eventually(&format!("ip route | grep -q 'dev {card}.*linkdown'"), SOON);
        vm.qmp.set_link("n0", true)?;
        has_carrier(guest, &card, "1");
        assert_eq!(umnet.status()?["link_up"], true);
        answers_arp(guest, &mut peer)?;

        // Another address, told to the device, and used.
        let mac = vm.nic("n0").mac;
        filter_becomes(&vm, "n0", "main-mac", &mac.to_string());
        let moved = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x99]);
        guest.ok(&format!("ip link set {card} address {moved}"));
        filter_becomes(&vm, "n0", "main-mac", &moved.to_string());
        let status = umnet.status()?;
        assert_eq!(status["mac"], moved.to_string());
        assert_eq!(answers_arp(guest, &mut peer)?, moved);

        // Who is not meant is not heard, but for promiscuous mode.
        let stranger = Mac([0x52, 0x54, 0, 0x77, 0x77, 0x77]);
        let foreign = [&stranger.0[..], &OURS.0, &[0x88, 0xb5], &[0; 50]].concat();
        let mut hears = |count: u64| -> vm_test::Result<u64> {
            let before = received(guest, &card);
            (0..count).try_for_each(|_| peer.send(&foreign))?;
            guest.ok("sleep 0.5");
            Ok(received(guest, &card) - before)
        };
        filter_becomes(&vm, "n0", "promiscuous", "false");
        assert_eq!(hears(10)?, 0);
        guest.ok(&format!("ip link set {card} promisc on"));
        filter_becomes(&vm, "n0", "promiscuous", "true");
        assert_eq!(hears(10)?, 10);
        // Rebuilding the device forgets nothing of it.
        guest.ok(&format!("ip link set {card} mtu 1400"));
        filter_becomes(&vm, "n0", "promiscuous", "true");
        filter_becomes(&vm, "n0", "main-mac", &moved.to_string());
        guest.ok(&format!("ip link set {card} promisc off"));
        filter_becomes(&vm, "n0", "promiscuous", "false");
        assert_eq!(hears(10)?, 0);
        filter_becomes(&vm, "n0", "multicast", "all");

        // A capture is promiscuous too, as long as it lasts.
        let bridge = format!("ip link add br0 type bridge; ip link set {card} master br0");
        guest.ok(&bridge);
        filter_becomes(&vm, "n0", "promiscuous", "true");
        guest.ok("ip link del br0");
        filter_becomes(&vm, "n0", "promiscuous", "false");

        let end = vm.qmp.virtio_status("n0")?;
        assert_eq!(end["broken"], false, "{end}");
        umnet.stop()?;
        Ok(())
    });
}

/// Asks for 10.0.0.1 and returns who says to have it.
fn answers_arp(guest: &Guest, peer: &mut vm_test::Peer) -> vm_test::Result<Mac> {
    let question = [
        &[0xff; 6][..],
        &OURS.0,
        &[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1],
        &OURS.0,
        &[10, 0, 0, 9],
        &[0; 6],
        &[10, 0, 0, 1],
        &[0; 18],
    ]
    .concat();
    for _ in 0..20 {
        peer.send(&question)?;
        let is_answer = |frame: &[u8]| {
            frame.len() >= 42 && frame[12..14] == [0x08, 0x06] && frame[20..22] == [0, 2]
        };
        if let Ok(answer) = peer.receive_where(Duration::from_millis(500), is_answer) {
            let mac: [u8; 6] = answer[22..28].try_into().unwrap_or_default();
            return Ok(Mac(mac));
        }
        guest.ok("true");
    }
    panic!("nobody answers for 10.0.0.1");
}
