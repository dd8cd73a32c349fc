//! `umnet run in-process` with a real TAP, in a network namespace of its own.

mod support;

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::machine::{Machine, umnet};
use support::namespace::{in_namespace, sh};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running umnet with a device in its process.
struct Run<'m> {
    machine: &'m Machine,
    child: Child,
}

impl<'m> Run<'m> {
    fn start(machine: &'m Machine, ifname: &str) -> Self {
        let mut command = umnet();
        command.arg("--root").arg(machine.path(""));
        command.args(["run", "in-process", "--ifname", ifname]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut run = Self {
            machine,
            child: child.expect("umnet starts"),
        };
        run.wait_until(|run| run.device().is_some());
        run
    }

    /// What it says of itself among all that run.
    fn status(&self) -> Option<Value> {
        let all = self.machine.umnet(&["status", "--json"]);
        let all: Value = serde_json::from_str(&all.stdout).ok()?;
        let own = |status: &&Value| status["pid"] == self.child.id();
        all["devices"].as_array()?.iter().find(own).cloned()
    }

    fn device(&self) -> Option<String> {
        Some(self.status()?["device"].as_str()?.to_owned())
    }

    fn wait_until(&mut self, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            let ended = self.child.try_wait().expect("a child of ours");
            assert_eq!(ended, None, "umnet has ended");
            assert!(start.elapsed() < PATIENCE, "{:?}", self.status());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends as by SIGTERM.
    fn stop(mut self) {
        sh(&format!("kill {}", self.child.id()));
        let ended = self.child.wait().expect("a child of ours");
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // Of one that has ended already, nothing is left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `body` where interfaces can be made.
fn with_taps(test: &str, body: impl FnOnce()) {
    in_namespace(test, || {
        let tun = File::options().read(true).write(true).open("/dev/net/tun");
        match tun {
            Ok(_) => body(),
            Err(error) => println!("SKIP: {test}: /dev/net/tun: {error}"),
        }
    });
}

#[test]
fn two_runs_side_by_side_do_not_take_each_others_name() {
    let test = "two_runs_side_by_side_do_not_take_each_others_name";
    with_taps(test, || {
        let machine = Machine::new();
        let first = Run::start(&machine, "um0");
        let second = Run::start(&machine, "um1");
        assert_eq!(first.device().as_deref(), Some("in-process"));
        assert_eq!(second.device().as_deref(), Some("in-process-2"));
        for asked in ["in-process-2", "um1"] {
            let status = machine.umnet(&["status", asked, "--json"]).json();
            assert_eq!(status["devices"][0]["ifname"], "um1", "{asked}");
        }
        first.stop();
        assert!(second.device().is_some(), "the other one still answers");
        let third = Run::start(&machine, "um2");
        assert_eq!(third.device().as_deref(), Some("in-process"), "free again");
        third.stop();
        second.stop();
        assert!(!machine.path("run/umnet").exists(), "nothing stays behind");
    });
}

#[test]
fn an_interface_renamed_while_it_is_driven_is_known_by_its_new_name() {
    let test = "an_interface_renamed_while_it_is_driven_is_known_by_its_new_name";
    with_taps(test, || {
        let machine = Machine::new();
        let mut run = Run::start(&machine, "um0");
        sh("ip link set um0 down; ip link set um0 name lan0; ip link set lan0 mtu 1400 up");
        run.wait_until(|run| run.status().is_some_and(|status| status["mtu"] == 1400));
        assert_eq!(run.status().expect("it runs")["ifname"], "lan0");
        let stats = machine.umnet(&["stats", "lan0", "--json"]).json();
        assert_eq!(stats["devices"][0]["ifname"], "lan0");
        run.stop();
        assert!(!sh("ip -o link").contains("lan0"), "it goes with the run");
    });
}
