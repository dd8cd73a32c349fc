//! umnet as a service of a systemd that is the guest's first process: killed, hung, restarted and
//! reloaded under traffic, it gets card and interface back from the file-descriptor store.

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use vm_test::load::Load;
use vm_test::{Guest, HubLink, Lab, Result, Vm, scenario_on};

const UNIT: &[u8] = include_bytes!("../../dist/systemd/umnet@.service");
/// What the tests cannot wait for: the shipped unit leaves a silent supervisor thirty seconds. And the
/// guest has no journal.
const QUICK: &[u8] = b"[Service]\nWatchdogSec=6\nStandardError=append:/run/umnet.log\n";
/// One step of systemd's, and another driver at work after it.
const SOON: Duration = Duration::from_secs(40);

/// umnet@CARD.service on one end of a link.
struct Service {
    vm: Vm,
    link: HubLink,
    unit: String,
}

impl Service {
    fn start(lab: &Lab) -> Result<Self> {
        let (vm, link) = HubLink::boot(lab, HubLink::machine())?;
        let guest = &vm.guest;
        guest.ok("mkdir -p /usr/local/bin /etc/systemd/system/umnet@.service.d && ln -s /bin/umnet /usr/local/bin/umnet");
        guest.push("/etc/systemd/system/umnet@.service", 0o644, UNIT)?;
        guest.push(
            "/etc/systemd/system/umnet@.service.d/quick.conf",
            0o644,
            QUICK,
        )?;
        let unit = format!("umnet@{}.service", vm.nic("n0").pci);
        guest.eventually(
            "systemctl is-system-running | grep -e running -e degraded",
            SOON,
        );
        // It is started once it is ready, so after this the device is driven.
        guest.ok_for(
            &format!("systemctl daemon-reload && systemctl start {unit}"),
            SOON,
        );
        link.near
            .eventually(&format!("ping -c 1 -W 1 {}", HubLink::FAR), SOON);
        Ok(Self { vm, link, unit })
    }

    fn guest(&self) -> &Guest {
        &self.link.near
    }

    fn status(&self) -> Value {
        let said = self.guest().run("umnet status --json");
        let said = said.map(|output| output.stdout).unwrap_or_default();
        let all: Value = serde_json::from_str(&said).unwrap_or_default();
        all["devices"][0].clone()
    }

    /// The first status for which `wanted` holds.
    #[track_caller]
    fn status_with(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + SOON * vm_test::margin();
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "{status}\n{}",
                self.guest()
                    .ok(&format!("systemctl status {} || true", self.unit))
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn property(&self, name: &str) -> String {
        let line = format!("systemctl show --property {name} --value {}", self.unit);
        self.guest().ok(&line).trim().to_string()
    }

    /// Does something to the supervisor, and waits for one that drives the device and is another.
    #[track_caller]
    fn replaced_by(&self, line: &str) -> Value {
        let before = self.status();
        let supervisor = self.property("MainPID");
        let line = line
            .replace("UNIT", &self.unit)
            .replace("MAIN", &supervisor);
        self.guest().ok_for(&line, SOON);
        let after = self.status_with(|now| {
            now["host"]["pid"].is_u64() && now["host"]["pid"] != before["host"]["pid"]
        });
        assert_eq!(self.property("ActiveState"), "active");
        // Settled, with a spare.
        self.guest().ok("sleep 1");
        after
    }

    /// What a connection depends on.
    fn interface(&self) -> String {
        let name = self.status()["ifname"]
            .as_str()
            .unwrap_or_default()
            .to_string();
        self.guest().ok(&format!(
            "cat /sys/class/net/{name}/ifindex; ip -o -4 addr show dev {name}; ip route"
        ))
    }
}

#[test]
fn systemd_restarts_the_supervisor_and_no_connection_is_lost() {
    scenario_on("systemd", |lab| {
        let service = Service::start(lab)?;
        let interface = service.interface();
        let load = Load::start(
            &service.link.near,
            &service.link.far,
            [HubLink::NEAR, HubLink::FAR],
        )?;
        service.guest().ok("sleep 1");

        service.replaced_by("systemctl kill --signal=KILL --kill-whom=main UNIT");
        assert_eq!(service.property("NRestarts"), "1");
        service.replaced_by("systemctl restart UNIT");
        assert_eq!(service.interface(), interface);

        // Standing still, it does not feed the watchdog.
        service.replaced_by("kill -STOP MAIN");
        assert_eq!(service.property("Result"), "success");
        assert_eq!(service.interface(), interface);

        // Another supervisor in the same process; the driver host goes on.
        let before = service.status();
        service
            .guest()
            .ok_for(&format!("systemctl reload {}", service.unit), SOON);
        let after = service.status_with(|now| {
            now["supervisor_restarts"].as_u64() > before["supervisor_restarts"].as_u64()
        });
        assert_eq!(after["host"]["pid"], before["host"]["pid"]);
        assert_eq!(service.interface(), interface);

        let findings = load.finish()?;
        println!(
            "killed, restarted, hung and reloaded: 8 streams whole, {} MiB sent, {} received, slowest echo {:.0} ms",
            findings.bytes[0] >> 20,
            findings.bytes[1] >> 20,
            findings.slowest_echo_ms
        );
        for (way, probes) in ["sent", "received"].iter().zip(&findings.probes) {
            println!(
                "  probes {way}: {} of {} came, the four longest gaps at least {:.0} ms, at most {:.0} ms",
                probes.received,
                probes.sent,
                probes.percentile_ms(4, 1),
                probes.percentile_ms(4, 100),
            );
        }
        assert!(findings.typed > 0, "nobody could type");
        // Without the leave to do so the receive context would wait behind what it is to feed.
        let nice = format!(
            "cat /proc/{}/task/*/stat | cut -d' ' -f19",
            after["host"]["pid"]
        );
        assert!(service.guest().ok(&nice).contains("-10"));
        // Frames of its own, which its device has it send, take a leave and a kind of socket.
        let once = json!({ "initial": 50, "max": 100, "rounds": 1, "step": 10 });
        service.vm.qmp.execute("announce-self", once)?;
        let told = "grep 'told its peers of 1 address' /run/umnet.log";
        service.guest().eventually(told, SOON);
        let complaints = "dmesg | grep -e BUG -e 'DMAR.*fault' || true";
        assert_eq!(service.guest().ok(complaints), "");

        service
            .guest()
            .ok_for(&format!("systemctl stop {}", service.unit), SOON);
        let driver = "readlink /sys/bus/pci/devices/0000:00:03.0/driver";
        assert!(service.guest().ok(driver).contains("virtio-pci"));
        service
            .guest()
            .ok(&format!("ping -c 1 -W 5 {}", HubLink::FAR));
        Ok(())
    });
}
