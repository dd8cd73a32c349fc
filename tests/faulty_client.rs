//! The faulty example, hosted once for each fault in its lists: the run ends, one line names the
//! code, the object and what was expected, and nothing else on the machine has changed.

mod support;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::clients::{Hosted, compile_all};
use support::faults::{FAULTY, Fault, all};
use support::machine::{Machine, Outcome};
use support::namespace::{in_namespace, sh};

/// What a shell shows for a process that the verifier ended (128 + SIGABRT).
const ABORTED: i32 = 134;
/// Runs at a time; each mostly waits.
const LANES: usize = 4;
/// How long a fault may take to be seen.
const PATIENCE: Duration = Duration::from_secs(15);

/// Hosts the client with a fault until it ends; what is wrong with the end, if anything is.
fn hosted_with(client: &Path, fault: &Fault, lane: usize) -> Option<String> {
    let machine = Machine::new();
    let name = &fault.name;
    machine.file(
        "umnet.toml",
        &format!("[client.faulty]\nFault = \"{name}\"\n"),
    );
    let config = machine.path("umnet.toml").display().to_string();
    let ifname = format!("faulty{lane}");
    let args = ["--ifname", &ifname, "--config", &config];
    let args = [&args[..], &["--client-timeout", "2"]].concat();
    let hosted = Hosted::start(&machine, client, &args);
    if fault.needs_frames() {
        send_frames(&hosted, &ifname, lane);
    }
    let outcome = match fault.acts_at_the_end() {
        true => {
            wait_until(|| is_up(&hosted) || has_broken(&hosted));
            hosted.stop_if_running()
        }
        false => {
            wait_until(|| has_broken(&hosted));
            hosted.stop_if_running()
        }
    };
    let left = machine.path("run/umnet").exists();
    let left = left.then(|| format!("files left behind: {outcome:?}"));
    complaint(fault, &outcome).or(left)
}

fn wait_until(mut come: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !come() && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
}

fn is_up(hosted: &Hosted) -> bool {
    hosted.said().contains(" device(s) with ")
}

fn has_broken(hosted: &Hosted) -> bool {
    let said = hosted.said();
    said.contains("broke a rule") || said.contains(" failed with ")
}

/// Enough of them to go round the ring; the interface may go away meanwhile.
fn send_frames(hosted: &Hosted, ifname: &str, lane: usize) {
    wait_until(|| is_up(hosted) || has_broken(hosted));
    sh(&format!(
        "(ip link set {ifname} up; ip addr add 10.9.{lane}.1/24 dev {ifname}; \
          ip neigh add 10.9.{lane}.2 lladdr 02:00:00:00:00:02 dev {ifname}; \
          ping -q -c 100 -i 0.002 -W 0.1 10.9.{lane}.2) >/dev/null 2>&1 || true"
    ));
}

/// What is wrong with the end of a run, if anything is.
fn complaint(fault: &Fault, outcome: &Outcome) -> Option<String> {
    let (told, code) = match fault.is_advice() {
        true => ("[WARN  netadapter_shim::door::fail] client driver: ", 0),
        false => ("umnet: client driver broke a rule: ", ABORTED),
    };
    let lines: Vec<_> = outcome.stderr.lines().collect();
    let lines: Vec<_> = lines.iter().filter_map(|l| l.strip_prefix(told)).collect();
    let [line] = lines[..] else {
        return Some(format!("{} lines: {outcome:?}", lines.len()));
    };
    let Some(rest) = line.strip_prefix(&format!("{}: ", fault.code())) else {
        return Some(format!("another code: {line}"));
    };
    if outcome.code != code {
        return Some(format!("exit code {}: {line}", outcome.code));
    }
    if fault.is_of_a_ring() && !names_queue_and_index(fault, rest) {
        return Some(format!("no queue, no index, or nothing expected: {line}"));
    }
    // The call or the object, then what is wrong with it.
    (rest.split(": ").count() < 2 && rest.len() < 20).then(|| format!("says too little: {line}"))
}

/// "adapter 0: rx queue 0: returned packet 3: …must…"
fn names_queue_and_index(fault: &Fault, line: &str) -> bool {
    let queue = format!("adapter 0: {} queue 0: ", fault.direction());
    let Some(detail) = line.strip_prefix(&queue) else {
        return false;
    };
    let index = detail.chars().any(|c| c.is_ascii_digit());
    index
        && [" must ", " may ", "framework's"]
            .iter()
            .any(|word| detail.contains(word))
}

/// All faults, or those whose names the environment lists.
fn wanted() -> Vec<Fault> {
    let only = std::env::var("FAULTS").unwrap_or_default();
    let is_wanted =
        |fault: &Fault| only.is_empty() || only.split(',').any(|name| fault.name == name);
    all().into_iter().filter(is_wanted).collect()
}

#[test]
fn every_fault_ends_its_host_with_one_line_that_names_it() {
    let test = "every_fault_ends_its_host_with_one_line_that_names_it";
    let Some(client) = compile_all(&FAULTY, "faulty", &[]) else {
        return;
    };
    in_namespace(test, || {
        let interfaces = sh("ip -o link");
        let faults: Vec<_> = wanted().into_iter().filter(Fault::has_a_code).collect();
        let (next, complaints) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for lane in 0..LANES {
                let (faults, client, next, complaints) = (&faults, &client, &next, &complaints);
                scope.spawn(move || {
                    while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Some(why) = hosted_with(client, fault, lane) {
                            let mut complaints = complaints.lock().unwrap();
                            complaints.push(format!("FAULT {}: {why}", fault.name));
                        }
                    }
                });
            }
        });
        assert_eq!(
            sh("ip -o link"),
            interfaces,
            "the interfaces of this machine"
        );
        let complaints = complaints.into_inner().unwrap();
        println!("{} faults, {} complaints", faults.len(), complaints.len());
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    });
}

#[test]
fn without_a_fault_the_example_runs_until_it_is_stopped() {
    let test = "without_a_fault_the_example_runs_until_it_is_stopped";
    let Some(client) = compile_all(&FAULTY, "faultless", &[]) else {
        return;
    };
    in_namespace(test, || {
        let machine = Machine::new();
        let hosted = Hosted::up(&machine, &client, &["--ifname", "faulty0"]);
        send_frames(&hosted, "faulty0", 0);
        // Longer than the verifier's looks at sleeping queues are apart.
        thread::sleep(Duration::from_millis(2500));
        let outcome = hosted.stop();
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert!(!outcome.stderr.contains("broke a rule"), "{outcome:?}");
    });
}
