//! umnet takes a card over from the kernel and gives it back.

use std::time::Duration;
use vm_test::{Backend, Machine, Nic, Umnet, scenario};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_card_is_taken_over_with_its_addresses_and_given_back() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let vm = lab.boot(Machine::new().nic(Nic::new("n0", Backend::user())))?;
        let guest = &vm.guest;
        let card = guest.ifname(&vm.nic("n0").mac)?;
        guest.ok(&format!(
            "ip addr add 10.0.2.15/24 dev {card} && ip link set {card} up && ip route add 10.99.0.0/16 via 10.0.2.2"
        ));
        guest.ok("ping -c 1 -W 2 10.0.2.2");
        let dressed = || {
            guest.ok(&format!("ip addr show {card} | grep -q 10.0.2.15/24"));
            guest.ok("ip route show 10.99.0.0/16 | grep -q 'via 10.0.2.2'");
        };

        let umnet = Umnet::run(&vm, "n0", "--log debug")?;
        assert_eq!(umnet.ifname(), card);
        guest.ok(&format!("[ -e /sys/class/net/{card}/tun_flags ]"));
        dressed();
        guest.ok("ping -c 5 -i 0.2 -W 2 10.0.2.2");
        let features = umnet.features()?;
        assert!(
            features.iter().any(|name| name == "ACCESS_PLATFORM"),
            "{features:?}"
        );
        assert!(umnet.counter("rx_packets")? >= 5);

        umnet.stop()?;
        guest.ok(&format!("[ ! -e /sys/class/net/{card}/tun_flags ]"));
        dressed();
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        Ok(())
    });
}
