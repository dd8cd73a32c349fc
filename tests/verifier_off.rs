//! Clients that break rules, hosted without the verifier: what a client states wrongly fails the
//! start of its adapter with a documented status; whatever else it does, the host neither crashes
//! nor leaves anything behind.

mod support;

use support::clients::{compile, compile_all};
use support::faults::{Ended, FAULTY, Fault, all, host_all, is_up_or_failed};
use support::machine::Machine;
use support::namespace::in_namespace;
use support::rules::{LOADING, RULES};

/// Faults whose client brings its process down by itself: it writes to memory that is gone, or its
/// callback never returns.
const BEYOND_HELP: [&str; 4] = [
    "ShimUseAfterCompletion",
    "ShimUseAfterCompletion/tx",
    "ShimCallbackStuck",
    "ShimCallbackStuck/prepare",
];

fn is_over(_: &Fault, said: &str) -> bool {
    is_up_or_failed(said)
}

/// What is wrong with the end of a run, if anything is.
fn complaint(fault: &Fault, ended: &Ended) -> Option<String> {
    let outcome = &ended.outcome;
    if ended.left {
        return Some(format!("files left behind: {outcome:?}"));
    }
    let rule = RULES.iter().find(|(name, ..)| *name == fault.name);
    let Some((_, step, status)) = rule else {
        let failed = outcome.stderr.contains("umnet: ") || outcome.code != 0;
        return failed.then(|| format!("the run did not go on: {outcome:?}"));
    };
    let said = format!("umnet: unverified: {step} failed with {status}");
    let lines = outcome.stderr.lines();
    let lines: Vec<_> = lines.filter(|line| line.starts_with("umnet: ")).collect();
    let right = lines == [said.as_str()] && outcome.code == 1;
    (!right).then(|| format!("expected '{said}': {outcome:?}"))
}

#[test]
fn a_wrong_statement_is_a_status_and_nothing_crashes_the_host() {
    let test = "a_wrong_statement_is_a_status_and_nothing_crashes_the_host";
    let Some(client) = compile_all(&FAULTY, "unverified", &[]) else {
        return;
    };
    let faults = all().into_iter();
    let faults: Vec<_> = faults
        .filter(|fault| !BEYOND_HELP.contains(&fault.name.as_str()))
        .collect();
    for (rule, ..) in RULES {
        assert!(faults.iter().any(|fault| fault.name == rule), "{rule}");
    }
    in_namespace(test, || {
        let args = ["--verifier", "off"];
        host_all(&client, &args, &faults, is_over, complaint);
    });
}

#[test]
fn a_library_that_does_not_bind_is_refused_in_one_line() {
    for (number, (what, defines, words, _)) in LOADING.into_iter().enumerate() {
        let name = format!("unbound-{number}");
        let Some(client) = compile("tests/clients/bad_binding.c", &name, defines) else {
            return;
        };
        let machine = Machine::new();
        let client = client.display().to_string();
        let outcome = machine.umnet(&["run", "--client", &client]);
        assert!([1, 2].contains(&outcome.code), "{what}: {outcome:?}");
        let lines: Vec<_> = outcome.stderr.lines().collect();
        assert!(lines[0].starts_with("umnet: "), "{what}: {outcome:?}");
        assert!(lines[0].contains(words), "{what}: {outcome:?}");
        assert!(lines.len() <= 2, "a hint at most: {what}: {outcome:?}");
        assert!(!machine.path("run/umnet").exists(), "files left behind");
    }
}
