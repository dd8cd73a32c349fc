//! The self-test passes with the profiles as they are, and names what was taken away.

use std::process::Command;

fn selftest(profile: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_cage-escape"))
        .args(["selftest", profile])
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_profiles_suffice_for_this_c_library() {
    for profile in ["driver", "driver+regions", "client"] {
        let owed = format!("self-test of seccomp profile {profile}: passed\n");
        assert_eq!(selftest(profile), owed);
    }
}

#[test]
fn a_call_that_is_not_there_is_named_with_what_needed_it() {
    let told = selftest("driver-clock_nanosleep");
    assert!(
        told.contains("failed at \"sleep\": the C library here needs clock_nanosleep\n"),
        "{told}"
    );
}

#[test]
fn several_calls_are_named_all_of_them() {
    let told = selftest("driver-writev-eventfd2-brk");
    assert!(told.ends_with("needs eventfd2, writev, brk\n"), "{told}");
}

#[test]
fn a_client_profile_is_tried_with_a_new_thread() {
    let told = selftest("client-set_robust_list");
    assert!(told.contains("\"start and end a thread\": "), "{told}");
    assert!(told.ends_with("needs set_robust_list\n"), "{told}");
}

#[test]
fn a_profile_that_there_is_not_is_refused_by_name() {
    assert!(selftest("drivel").contains("no seccomp profile \"drivel\""));
}
