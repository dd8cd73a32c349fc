//! What an interface's peers hear when they are told where it is, at the other end of a TAP. VLANs,
//! which not every kernel has, are looked at in guests.

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

use netadapter_shim::SystemPort;
use netadapter_shim::os::tap::{Tap, TapConfig};
use netadapter_shim::os::vnet::HEADER_LENGTH;
use support::namespace::{in_namespace, sh};
use umnet::host::announcement::announce;
use umnet::host::interface::Interfaces;

/// The end of the address that is announced by a frame, and whose frame it is.
fn heard(frame: &[u8]) -> Option<(Vec<u8>, u8)> {
    let address = match frame[12..14] {
        [0x08, 0x06] => &frame[38..42],
        [0x86, 0xdd] if frame[54] == 136 => &frame[76..78],
        _ => return None,
    };
    Some((address.to_vec(), frame[11]))
}

/// What has been said since the last call.
fn all_heard(mut wire: &File) -> BTreeSet<(Vec<u8>, u8)> {
    let (mut buffer, mut all) = ([0; 2048], BTreeSet::new());
    while let Ok(read) = wire.read(&mut buffer) {
        if let Some(said) = heard(&buffer[HEADER_LENGTH..read]) {
            assert!(all.insert(said.clone()), "{said:?} twice");
        }
    }
    all
}

/// Interfaces say things by themselves when they come up or belong to a bridge.
fn after_a_while(wire: &File) {
    std::thread::sleep(Duration::from_millis(300));
    let mut buffer = [0; 2048];
    while { wire }.read(&mut buffer).is_ok() {}
}

#[test]
fn every_address_behind_a_card_is_announced_once_and_no_other() {
    let test = "every_address_behind_a_card_is_announced_once_and_no_other";
    in_namespace(test, || {
        let mut tap = match Tap::open(&TapConfig::new("um0")) {
            Ok(tap) => tap,
            Err(error) => return println!("SKIP: {test}: {error}"),
        };
        tap.set_link_state(true).unwrap();
        let queue = tap.queues().next().unwrap().try_clone_to_owned();
        let wire = File::from(queue.unwrap());
        sh(
            "ip link set um0 address 02:00:00:00:00:01 addrgenmode none; \
            ip link add mv1 link um0 address 02:00:00:00:00:02 type macvlan; \
            ip link add mv2 link um0 type macvlan; \
            ip link add other type veth peer name another; ip link add on link other type macvlan; \
            ip link set mv1 addrgenmode none; \
            ip addr add 192.0.2.1/24 dev um0; ip addr add 192.0.2.2/24 dev um0; \
            ip addr add 192.0.2.3/24 dev mv1; ip addr add 192.0.2.4/24 dev mv2; \
            ip addr add 192.0.2.5/24 dev other; ip addr add 192.0.2.6/24 dev on; \
            ip addr add 2001:db8::aa01/64 dev um0 nodad; ip addr add 2001:db8::aa03/64 dev mv1 nodad; \
            for i in um0 mv1 other on; do ip link set $i up; done",
        );
        let card = Interfaces::open().unwrap().find("um0").unwrap().unwrap();
        after_a_while(&wire);
        // One that is not yet known to be nobody else's is not announced.
        sh("ip addr add 2001:db8::aa02/64 dev um0");
        let sent = announce(card.index).unwrap();
        let expected = [
            (vec![192, 0, 2, 1], 1),
            (vec![192, 0, 2, 2], 1),
            (vec![192, 0, 2, 3], 2),
            (vec![0xaa, 1], 1),
            (vec![0xaa, 3], 2),
        ];
        assert_eq!(all_heard(&wire), expected.into());
        assert_eq!(sent, 5);

        sh("ip link del mv1; ip link del mv2; ip addr flush dev um0; \
            ip link add br0 address 02:00:00:00:00:09 type bridge stp_state 0 forward_delay 0; \
            ip link set um0 master br0; ip link set br0 addrgenmode none; \
            ip addr add 192.0.2.9/24 dev br0; ip link set br0 up");
        after_a_while(&wire);
        announce(card.index).unwrap();
        assert_eq!(all_heard(&wire), [(vec![192, 0, 2, 9], 9)].into());

        sh("ip link del br0; ip addr add 192.0.2.1/24 dev um0; ip link set um0 down");
        after_a_while(&wire);
        assert_eq!(announce(card.index).unwrap(), 0, "it is down");
        assert_eq!(announce(card.index + 1000).unwrap(), 0, "there is none");
        assert_eq!(all_heard(&wire), BTreeSet::new());
    });
}
