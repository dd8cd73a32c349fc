//! `umnet run in-process` with a real TAP, in a network namespace of its own.

mod support;

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::machine::{Machine, umnet};
use support::namespace::{in_namespace, sh};

const PATIENCE: Duration = Duration::from_secs(20);

fn umnet_on(machine: &Machine) -> Command {
    let mut command = umnet();
    command.arg("--root").arg(machine.path(""));
    command
}

/// The same as in a guest with one processor.
fn umnet_on_one_processor(machine: &Machine) -> Command {
    let status = std::fs::read_to_string("/proc/self/status").expect("ours");
    let (_, allowed) = status.split_once("Cpus_allowed_list:\t").expect("a list");
    let first = allowed.split(['-', ',', '\n']).next().expect("a number");
    let all = umnet_on(machine);
    let mut command = Command::new("taskset");
    command.args(["-c", first]).arg(all.get_program());
    command.args(all.get_args());
    command
}

/// A running umnet with a device in its process.
struct Run<'m> {
    machine: &'m Machine,
    child: Child,
}

impl<'m> Run<'m> {
    fn start(machine: &'m Machine, ifname: &str) -> Self {
        let mut command = umnet_on(machine);
        command.args(["run", "in-process", "--ifname", ifname]);
        Self::started_by(machine, command)
    }

    fn started_by(machine: &'m Machine, mut command: Command) -> Self {
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

/// A machine whose configuration has this setting, and the name of the file.
fn machine_with(setting: &str) -> (Machine, String) {
    let machine = Machine::new();
    let file = machine.path("umnet.toml");
    let text = format!("[defaults]\n{setting}\n");
    std::fs::write(&file, text).expect("a file of ours");
    let file = file.to_string_lossy().into_owned();
    (machine, file)
}

#[test]
fn looking_for_frames_awake_is_set_by_the_file_or_takes_a_second_processor() {
    let test = "looking_for_frames_awake_is_set_by_the_file_or_takes_a_second_processor";
    with_taps(test, || {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let found = |command: fn(&Machine) -> Command, setting: &str| {
            let (machine, file) = machine_with(setting);
            let mut command = command(&machine);
            command.args(["run", "in-process", "--ifname", "um0", "--config", &file]);
            let run = Run::started_by(&machine, command);
            let status = run.status().expect("it runs");
            run.stop();
            status["busy_poll_us"].as_u64()
        };
        let by_itself = if processors > 1 { 50 } else { 0 };
        assert_eq!(found(umnet_on, ""), Some(by_itself));
        assert_eq!(found(umnet_on_one_processor, ""), Some(0));
        for command in [umnet_on, umnet_on_one_processor] {
            assert_eq!(found(command, "busy_poll_us = 70"), Some(70));
            assert_eq!(found(command, "busy_poll_us = 0"), Some(0));
        }
    });
}

/// Processor time of a process and all its threads.
fn processor_time(pid: u64) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let ran = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.flatten().filter_map(ran).sum())
}

#[test]
fn a_run_without_traffic_costs_less_than_a_hundredth_of_a_processor() {
    let test = "a_run_without_traffic_costs_less_than_a_hundredth_of_a_processor";
    const LONG: Duration = Duration::from_secs(4);
    with_taps(test, || {
        let (machine, file) = machine_with("busy_poll_us = 1000");
        let mut command = umnet_on(&machine);
        command.args(["run", "in-process", "--ifname", "um0", "--config", &file]);
        let run = Run::started_by(&machine, command);
        // What an interface says when it is new, and a spare host that is made, are no rest.
        std::thread::sleep(Duration::from_secs(3));
        let status = run.status().expect("it runs");
        let processes = [&status["pid"], &status["host"]["pid"]];
        let used = || -> Duration {
            let each = processes.map(|pid| processor_time(pid.as_u64().expect("a number")));
            each.iter().sum()
        };
        let before = used();
        std::thread::sleep(LONG);
        let used = used() - before;
        println!("{used:?} in {LONG:?}");
        assert!(used < LONG / 100, "{used:?} in {LONG:?}");
        run.stop();
    });
}
