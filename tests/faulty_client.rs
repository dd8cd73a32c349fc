//! The faulty example, hosted once for each rule that it can break: the run ends, and its line
//! names the rule.

mod support;

use std::time::{Duration, Instant};

use support::clients::{Hosted, compile};
use support::machine::Machine;
use support::namespace::{in_namespace, sh};

const SOURCE: &str = "netadapter-shim/examples/faulty.c";
/// Faults that are no failure code: a queue callback that never returns, rings that are never
/// given back, a mapping that the Rx code covers, a callback that creates nothing.
const OTHERS: [&str; 4] = ["NeverReturns", "NeverIdle", "Mapping", "NoQueue"];

/// The faults that the source knows, as it spells them.
fn faults() -> Vec<String> {
    let text = std::fs::read_to_string(SOURCE).expect("the example");
    let calls = text.split("Is(\"").skip(1);
    let mut names: Vec<String> = calls
        .filter_map(|rest| rest.split('"').next())
        .filter(|name| !OTHERS.contains(name))
        .map(str::to_owned)
        .collect();
    names.push("InvalidRingUnmodifiedRxPacket".to_owned());
    names.sort();
    names.dedup();
    names
}

/// Hosts the client with a fault until it ends; sending starts the Tx queue's turns.
fn hosted_with(client: &std::path::Path, fault: &str) -> support::machine::Outcome {
    let machine = Machine::new();
    machine.file(
        "umnet.toml",
        &format!("[client.faulty]\nFault = \"{fault}\"\n"),
    );
    let config = machine.path("umnet.toml").display().to_string();
    let hosted = Hosted::start(
        &machine,
        client,
        &["--ifname", "faulty", "--config", &config],
    );
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end && !hosted.said().contains(fault) {
        sh("sleep 0.05; ip link set faulty up 2>/dev/null || true");
    }
    hosted.stop_if_running()
}

#[test]
fn every_rule_that_the_example_breaks_is_named_when_the_run_ends() {
    let test = "every_rule_that_the_example_breaks_is_named_when_the_run_ends";
    let Some(client) = compile(SOURCE, "faulty", &[]) else {
        return;
    };
    in_namespace(test, || {
        let faults = faults();
        assert!(faults.len() > 40, "{faults:?}");
        for fault in faults {
            let outcome = hosted_with(&client, &fault);
            let name = format!("FailureCode_{fault}");
            assert!(outcome.stderr.contains(&name), "{fault}: {outcome:?}");
            assert_ne!(outcome.code, 0, "{fault}: {outcome:?}");
        }
    });
}
