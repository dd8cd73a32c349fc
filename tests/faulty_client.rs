//! The faulty example, hosted once for each fault in its lists: the run ends, one line names the
//! code, the object and what was expected, and nothing else on the machine has changed.

mod support;

use std::thread;
use std::time::Duration;

use support::clients::{Hosted, compile_all};
use support::faults::{Ended, FAULTY, Fault, all, host_all, is_up_or_failed, send_frames};
use support::machine::Machine;
use support::namespace::in_namespace;

/// What a shell shows for a process that the verifier ended (128 + SIGABRT).
const ABORTED: i32 = 134;

fn is_over(fault: &Fault, said: &str) -> bool {
    match fault.acts_at_the_end() {
        true => is_up_or_failed(said),
        false => said.contains("broke a rule") || said.contains(" failed with "),
    }
}

/// What is wrong with the end of a run, if anything is.
fn complaint(fault: &Fault, ended: &Ended) -> Option<String> {
    let outcome = &ended.outcome;
    let (told, code) = match fault.is_advice() {
        true => ("[WARN  netadapter_shim::door::fail] client driver: ", 0),
        false => ("umnet: client driver broke a rule: ", ABORTED),
    };
    let lines = outcome.stderr.lines();
    let lines: Vec<_> = lines.filter_map(|line| line.strip_prefix(told)).collect();
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
    if ended.left {
        return Some(format!("files left behind: {outcome:?}"));
    }
    (rest.len() < 20).then(|| format!("says too little: {line}"))
}

/// "adapter 0: rx queue 0: returned packet 3: … must …"
fn names_queue_and_index(fault: &Fault, line: &str) -> bool {
    let queue = format!("adapter 0: {} queue 0: ", fault.direction());
    let Some(detail) = line.strip_prefix(&queue) else {
        return false;
    };
    let expected = [" must ", " may ", "framework's"];
    let expected = expected.iter().any(|word| detail.contains(word));
    expected && detail.chars().any(|c| c.is_ascii_digit())
}

/// All faults that have a code, or those of them whose names the environment lists.
fn wanted() -> Vec<Fault> {
    let only = std::env::var("FAULTS").unwrap_or_default();
    let is_wanted =
        |fault: &Fault| only.is_empty() || only.split(',').any(|name| fault.name == name);
    let coded = all().into_iter().filter(Fault::has_a_code);
    coded.filter(is_wanted).collect()
}

#[test]
fn every_fault_ends_its_host_with_one_line_that_names_it() {
    let test = "every_fault_ends_its_host_with_one_line_that_names_it";
    let Some(client) = compile_all(&FAULTY, "faulty", &[]) else {
        return;
    };
    in_namespace(test, || {
        host_all(&client, &[], &wanted(), is_over, complaint);
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
        send_frames("faulty0", 0);
        // Longer than the verifier's looks at sleeping queues are apart.
        thread::sleep(Duration::from_millis(2500));
        let outcome = hosted.stop();
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert!(!outcome.stderr.contains("broke a rule"), "{outcome:?}");
    });
}
