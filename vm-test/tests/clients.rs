//! Client drivers in C, in a guest: only a dynamically linked umnet loads them.

use std::time::Duration;
use vm_test::{Machine, scenario, traffic};

const START: Duration = Duration::from_secs(30);

#[test]
fn a_client_in_c_carries_traffic_between_two_namespaces() {
    scenario(|lab| {
        lab.needs_dynamic_umnet()?;
        let client = lab.client("tests/clients/pair.c")?;
        let vm = lab.boot(Machine::new())?;
        let guest = &vm.guest;
        guest.push("/tmp/pair.so", 0o755, &client)?;
        let job = guest
            .spawn("exec umnet-dynamic run --client /tmp/pair.so --ifname left --ifname right")?;
        guest.eventually("umnet-dynamic status right | grep -q 'adapter 1'", START);

        let other_side = guest.netns("far")?;
        guest.ok("ip link set right netns far; ip addr add 10.0.0.1/24 dev left");
        other_side.ok("ip addr add 10.0.0.2/24 dev right && ip link set right up");
        guest.ok("ping -c 3 -W 2 10.0.0.2");
        traffic::stream(guest, &other_side, "10.0.0.2:5001", 4)?;
        traffic::datagrams(guest, &other_side, "10.0.0.2:7", Some("1,59,1400"))?;

        let ended = job.terminate()?;
        assert_eq!(ended.code(), Some(0), "{}", ended.story());
        guest.exits(1, "ls /run/umnet");
        Ok(())
    });
}

#[test]
fn a_static_umnet_says_that_it_cannot_load_clients() {
    scenario(|lab| {
        lab.needs_umnet()?;
        lab.needs_dynamic_umnet()?;
        let client = lab.client("netadapter-shim/examples/loopback.c")?;
        let vm = lab.boot(Machine::new())?;
        vm.guest.push("/tmp/loopback.so", 0o755, &client)?;
        let refused = vm.guest.exits(3, "umnet run --client /tmp/loopback.so");
        assert!(
            refused.stderr.contains("linked statically"),
            "{}",
            refused.story()
        );
        Ok(())
    });
}
