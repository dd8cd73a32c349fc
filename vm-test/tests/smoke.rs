//! The harness itself: a guest boots, its runner answers, the kernel's driver and VFIO work in it.

use std::time::{Duration, Instant};
use vm_test::{Backend, Ending, HubLink, Machine, Nic, scenario};

#[test]
fn a_guest_boots_and_its_runner_tells_codes_and_output() {
    scenario(|lab| {
        let vm = lab.boot(Machine::new())?;
        let guest = &vm.guest;

        let output = guest.run("echo out; echo err >&2; exit 3")?;
        assert_eq!(
            (
                output.code(),
                output.stdout.as_str(),
                output.stderr.as_str()
            ),
            (Some(3), "out\n", "err\n")
        );
        assert_eq!(guest.ok("uname -r").trim(), lab.image().kernel_release());
        assert_eq!(
            guest
                .run_for("sleep 30", Duration::from_millis(200))?
                .ending,
            Ending::TimedOut
        );

        guest.push("/tmp/file", 0o600, b"\0\xff")?;
        assert_eq!(guest.pull("/tmp/file")?, b"\0\xff");

        let mut job = guest.spawn("echo up; exec sleep 60")?;
        let start = Instant::now();
        while job.peek()?.stdout != "up\n" {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "the job does not speak"
            );
        }
        assert_eq!(job.terminate()?.ending, Ending::Signal(15));
        Ok(())
    });
}

#[test]
fn the_kernel_driver_pings_across_the_hub() {
    scenario(|lab| {
        let vm = lab.boot(HubLink::machine())?;
        let guest = &vm.guest;

        let near = vm.ifname("n0")?;
        let (other_side, far) = vm.set_apart("n1", "far")?;
        guest.ok(&format!(
            "ip addr add 10.0.0.1/24 dev {near} && ip link set {near} up"
        ));
        other_side.ok(&format!(
            "ip addr add 10.0.0.2/24 dev {far} && ip link set {far} up"
        ));

        guest.ok("ping -c 3 -W 2 10.0.0.2");
        other_side.ok("ping -c 3 -W 2 10.0.0.1");
        other_side.ok(&format!("ip link set {far} down"));
        guest.exits(1, "ping -c 1 -W 1 10.0.0.2");
        Ok(())
    });
}

#[test]
fn vfio_takes_the_card_and_its_group_appears() {
    scenario(|lab| {
        let vm = lab.boot(Machine::new().nic(Nic::new("n0", Backend::hub(0))))?;
        let (guest, card) = (&vm.guest, vm.nic("n0"));
        let device = format!("/sys/bus/pci/devices/{}", card.pci);
        guest.ifname(&card.mac)?;

        guest.ok(&format!("echo {} > {device}/driver/unbind", card.pci));
        guest.ok(&format!("echo vfio-pci > {device}/driver_override"));
        guest.ok(&format!("echo {} > /sys/bus/pci/drivers_probe", card.pci));

        let group = guest.ok(&format!("basename $(readlink {device}/iommu_group)"));
        guest.ok(&format!("test -c /dev/vfio/{}", group.trim()));
        assert!(
            guest.ifname(&card.mac).is_err(),
            "the kernel's interface is gone"
        );
        Ok(())
    });
}
