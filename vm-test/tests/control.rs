//! What passes between device and interface beside frames: carrier, address, receive mode.

use serde_json::json;
use std::time::Duration;
use vm_test::{Guest, Mac, Machine, Umnet, Vm, scenario, tap_link, traffic};

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
        let wire = lab.wire("wire")?;
        let vm = lab.boot_card(wire.backend())?;
        let guest = &vm.guest;
        let card = vm.ifname("n0")?;
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

/// The address that a frame announces, over IPv4 or IPv6 (its end), and on which VLAN.
fn announced(frame: &[u8]) -> Option<(Vec<u8>, Option<u16>)> {
    let tagged = frame.get(12..14)? == [0x81, 0x00];
    let vlan = tagged.then(|| u16::from_be_bytes([frame[14], frame[15]]));
    let packet = frame.get(if tagged { 16 } else { 12 }..)?;
    let is_arp = packet.get(..2)? == [0x08, 0x06] && packet.get(16..20)? == packet.get(26..30)?;
    let is_advertisement = || packet.get(42) == Some(&136) && packet[..2] == [0x86, 0xdd];
    match packet.get(..2)? {
        _ if is_arp => Some((packet[26..30].to_vec(), vlan)),
        _ if is_advertisement() => Some((packet.get(64..66)?.to_vec(), vlan)),
        _ => None,
    }
}

#[test]
fn a_machine_that_has_moved_tells_its_peers_where_its_addresses_are() {
    scenario(|lab| {
        let wire = lab.wire("wire")?;
        let vm = lab.boot_card(wire.backend())?;
        let guest = &vm.guest;
        let card = vm.ifname("n0")?;
        let umnet = Umnet::run(&vm, "n0", "")?;
        guest.ok(&format!(
            "modprobe 8021q; ip link set {card} up; ip addr add 10.0.0.1/24 dev {card}; \
             ip addr add 2001:db8::aa01/64 dev {card} nodad; \
             ip link add link {card} name tagged type vlan id 7; ip link set tagged up; \
             ip addr add 10.0.7.1/24 dev tagged"
        ));
        let mut peer = wire.peer()?;
        // Once at a time: a guest that is slow answers several rounds with one.
        let mut moved = || -> vm_test::Result<()> {
            let arguments = json!({ "initial": 50, "max": 100, "rounds": 1, "step": 10 });
            vm.qmp.execute("announce-self", arguments)?;
            for expected in [
                (vec![10, 0, 0, 1], None),
                (vec![10, 0, 7, 1], Some(7)),
                (vec![0xaa, 1], None),
            ] {
                let told = |frame: &[u8]| announced(frame).as_ref() == Some(&expected);
                let frame = peer.receive_where(SOON, told);
                frame.unwrap_or_else(|error| panic!("{expected:?}: {error}"));
            }
            Ok(())
        };
        moved()?;
        // The VLAN is heard; why the device was not told of it is said.
        guest.ok("umnet status | grep -q 'CTRL_VLAN: the device would drop'");
        // The next host has the device ask it just the same.
        let host = umnet.status()?["host"]["pid"].to_string();
        guest.ok(&format!("kill -9 {host}"));
        guest.eventually("umnet status | grep -q 'restarts *1,'", SOON);
        moved()?;
        let status = vm.qmp.virtio_status("n0")?;
        assert_eq!(status["broken"], false, "{status}");
        let umnet_status = umnet.status()?;
        assert_eq!(umnet_status["resets"], 0, "{umnet_status}");
        umnet.stop()?;
        Ok(())
    });
}

#[test]
fn who_switches_joined_segments_off_gets_single_ones_from_every_host() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let host = lab.host_net()?;
        let nic = tap_link::card(&host, 0, 1, "n0")?;
        let vm = lab.boot(Machine::new().nic(nic).inside(&host))?;
        let guest = &vm.guest;
        let umnet = tap_link::run(&vm, 0, "n0")?;
        let ifname = umnet.ifname();
        let mut port = 5001..;
        let mut joined = || -> vm_test::Result<u64> {
            let before = umnet.counter("rx_gso_packets")?;
            let address = format!("10.9.0.1:{}", port.next().unwrap_or_default());
            traffic::stream(&host, guest, &address, 4)?;
            Ok(umnet.counter("rx_gso_packets")? - before)
        };
        let off = "umnet status | grep offloads | grep -qv large-receive";
        let on = "umnet status | grep -q 'offloads.*large-receive'";
        guest.ok(on);
        assert!(joined()? > 10);
        guest.ok(&format!("ethtool -K {ifname} gro off"));
        guest.eventually(off, SOON);
        assert_eq!(joined()?, 0);
        // Nor after another reset of the device, nor from another host.
        guest.ok(&format!("ip link set {ifname} mtu 1400"));
        guest.eventually("umnet status | grep -q 'MTU 1400'", SOON);
        assert_eq!(joined()?, 0);
        let killed = umnet.status()?["host"]["pid"].to_string();
        guest.ok(&format!("kill -9 {killed}"));
        guest.eventually("umnet status | grep -q 'restarts *1,'", SOON);
        guest.eventually(off, SOON);
        assert_eq!(joined()?, 0);
        guest.ok(&format!("ethtool -K {ifname} gro on"));
        guest.eventually(on, SOON);
        assert!(joined()? > 10);
        umnet.stop()?;
        Ok(())
    });
}
