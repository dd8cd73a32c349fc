//! The driver host is killed, hangs, and dies over and over under load: nothing is lost that must
//! not be. `make kills` does the same a thousand times.

use std::path::PathBuf;
use std::time::Duration;

use kills::campaign::{Blow, Hang, Plan, SETTLED, blows, calm, crash_loop, hangs};
use kills::{Check, Limits, Load, Programs, Rig};

/// What the arguments of the device follow.
const DEVICE: [&str; 5] = [
    "--exact",
    "device_process",
    "--ignored",
    "--nocapture",
    "--",
];

#[test]
#[ignore = "not a test: the tests start themselves again as the device's process"]
fn device_process() {
    let own = std::env::args_os().skip(DEVICE.len());
    panic!(
        "the device ended: {:?}",
        vhost_user_net_device::cli::main(own)
    );
}

/// What is run; nothing where it cannot be.
fn programs(test: &str) -> Option<Programs> {
    if !rustix::process::geteuid().is_root() {
        println!("SKIP: {test}: only root can have a caged host and two namespaces");
        return None;
    }
    if let Err(error) = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
    {
        println!("SKIP: {test}: /dev/net/tun: {error}");
        return None;
    }
    Some(Programs {
        umnet: PathBuf::from(env!("CARGO_BIN_EXE_umnet")),
        device: std::env::current_exe().expect("a test knows its program"),
        device_arguments: DEVICE.map(str::to_owned).into(),
    })
}

fn plan(count: u32) -> Plan {
    Plan {
        load: Load::full(8),
        count,
        pause: SETTLED,
        limits: Limits::BESIDE_OTHERS,
    }
}

fn all_pass(checks: &[Check]) {
    let failed: Vec<_> = checks.iter().filter(|check| !check.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn twenty_kills_under_load_lose_no_connection_and_few_frames() {
    let Some(programs) = programs("twenty_kills_under_load_lose_no_connection_and_few_frames")
    else {
        return;
    };
    let mut rig = Rig::start(programs).expect("a rig");
    all_pass(
        &calm(&rig, Load::full(8), Duration::from_secs(2))
            .expect("a rig")
            .checks,
    );
    let found = blows(&mut rig, Blow::Kill, plan(20), &mut |_| ()).expect("hosts that take over");
    all_pass(&found.checks);
    assert_eq!(found.each.len(), 20);
    assert!(rig.stop().expect("it ends"));
}

#[test]
fn hosts_and_supervisors_are_replaced_under_load_and_no_connection_is_lost() {
    let test = "hosts_and_supervisors_are_replaced_under_load_and_no_connection_is_lost";
    let Some(programs) = programs(test) else {
        return;
    };
    let mut rig = Rig::start(programs).expect("a rig");
    for kind in [Blow::Update, Blow::Supervisor] {
        let found = blows(&mut rig, kind, plan(3), &mut |_| ()).expect("somebody takes over");
        all_pass(&found.checks);
    }
    assert!(rig.stop().expect("it ends"));
}

#[test]
fn hosts_that_hang_are_found_and_replaced() {
    let Some(programs) = programs("hosts_that_hang_are_found_and_replaced") else {
        return;
    };
    let mut rig = Rig::start(programs).expect("a rig");
    for kind in [Hang::Stopped, Hang::Loop] {
        let found = hangs(&mut rig, kind, plan(3), &mut |_| ()).expect("hosts that take over");
        all_pass(&found.checks);
    }
    assert!(rig.stop().expect("it ends"));
}

#[test]
fn a_crash_loop_ends_with_the_link_down_and_heals_by_itself() {
    let Some(programs) = programs("a_crash_loop_ends_with_the_link_down_and_heals_by_itself")
    else {
        return;
    };
    let found = crash_loop(programs, 8, &mut |_| ()).expect("a rig");
    all_pass(&found.checks);
}
