//! A guest moves to another QEMU while umnet drives its card through VFIO inside.

use serde_json::Value;
use std::time::Duration;
use vm_test::traffic::End;
use vm_test::{Backend, HubLink, Machine, Nic, Umnet, scenario};

const SOON: Duration = Duration::from_secs(20);

/// Both QEMUs are plugged into one bridge of the host, as in a data centre; the far end of the
/// transfer is the host's.
#[test]
fn a_transfer_survives_that_its_guest_migrates_to_another_qemu() {
    scenario(|lab| {
        lab.needs_umnet()?;
        let host = lab.host_net()?;
        host.ok(&format!(
            "ip link add br0 type bridge && ip link set br0 up && ip addr add {}/24 dev br0",
            HubLink::FAR
        ));
        for tap in ["tap0", "tap1"] {
            host.tap(tap, 1)?;
            host.ok(&format!("ip link set {tap} master br0"));
        }
        let mac = vm_test::Mac([0x02, 0, 0, 0, 0, 0x55]);
        let machine = |tap| {
            let nic = Nic::new("n0", Backend::tap(tap)).mac(mac);
            Machine::new().nic(nic).inside(&host)
        };
        let vm = lab.boot(machine("tap0"))?;
        HubLink::raise(&vm, "n0", HubLink::NEAR)?;
        let _umnet = Umnet::run(&vm, "n0", "")?;
        let ping = format!("ping -c 1 -W 1 {}", HubLink::FAR);
        vm.guest.eventually(&ping, SOON);
        let listen = format!("receive --listen {}:5001 --seed 1", HubLink::FAR);
        let (sent, received) = std::thread::scope(|scope| -> vm_test::Result<_> {
            let receiver = scope.spawn(|| host.traffic(&listen, SOON * 5));
            // Of nobody whom the harness would miss in the other QEMU.
            vm.guest.ok(&format!(
                "setsid guest-runner traffic send --to {}:5001 --seed 1 --until /run/over \
                 > /tmp/sent 2>&1 < /dev/null &",
                HubLink::FAR
            ));
            let moved = || host.ok(r"sed -n 's/^ *br0: *\([0-9]*\).*/\1/p' /proc/net/dev");
            let moves = |before: u64| {
                (0..200).any(|_| {
                    std::thread::sleep(Duration::from_millis(100));
                    moved()
                        .trim()
                        .parse::<u64>()
                        .is_ok_and(|now| now > before + (1 << 20))
                })
            };
            assert!(moves(0), "nothing moves");
            let vm = lab.migrate(vm, machine("tap1"))?;
            let before = moved().trim().parse().unwrap_or_default();
            assert!(moves(before), "nothing moves after the migration");
            let status = vm.guest.ok("umnet status --json");
            let status: Value = serde_json::from_str(&status).unwrap_or_default();
            for none in ["restarts", "hangs", "resets"] {
                assert_eq!(status["devices"][0][none], 0, "{none}: {status}");
            }
            vm.guest.ok(": > /run/over");
            let received = receiver.join().expect("the receiver")?.into_stdout()?;
            let sent = vm.guest.eventually("cat /tmp/sent | grep bytes", SOON);
            Ok((sent, received))
        })?;
        let digest = |line: &str| -> Value {
            let line = line.lines().last().unwrap_or_default();
            serde_json::from_str::<Value>(line).unwrap_or_default()["xxh3_128"].clone()
        };
        assert!(digest(&sent).is_string(), "{sent}");
        assert_eq!(digest(&sent), digest(&received), "{sent} {received}");
        Ok(())
    });
}
