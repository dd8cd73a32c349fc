//! umnet takes a card over from the kernel and gives it back.

use std::time::Duration;
use vm_test::{Backend, Machine, Nic, scenario};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_card_is_taken_over_with_its_addresses_and_given_back() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let vm = lab.boot(Machine::new().nic(Nic::new("n0", Backend::user())))?;
        let guest = &vm.guest;
        let card = vm.nic("n0");
        let ifname = guest.ifname(&card.mac)?;
        guest.ok(&format!(
            "ip addr add 10.0.2.15/24 dev {ifname} && ip link set {ifname} up && ip route add 10.99.0.0/16 via 10.0.2.2"
        ));
        guest.ok("ping -c 1 -W 2 10.0.2.2");

        let run = guest.spawn(&format!("exec umnet run {ifname} --log debug"))?;
        guest.eventually(&format!("[ -e /sys/class/net/{ifname}/tun_flags ]"), SOON);
        guest.eventually(
            &format!("ip addr show {ifname} | grep -q 10.0.2.15/24"),
            SOON,
        );
        guest.ok("ip route show 10.99.0.0/16 | grep -q 'via 10.0.2.2'");
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        guest.ok("ping -c 5 -i 0.2 -W 2 10.0.2.2");
        guest.ok("umnet status --json && umnet stats --json");

        let ended = run.terminate()?;
        assert!(ended.success(), "{ended:?}");
        guest.ok(&format!("[ ! -e /sys/class/net/{ifname}/tun_flags ]"));
        guest.ok(&format!("ip addr show {ifname} | grep -q 10.0.2.15/24"));
        guest.ok("ip route show 10.99.0.0/16 | grep -q 'via 10.0.2.2'");
        guest.eventually("ping -c 1 -W 1 10.0.2.2", SOON);
        Ok(())
    });
}
