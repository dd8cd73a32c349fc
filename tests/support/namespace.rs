//! Runs a test in a network namespace of its own, where it may change whatever it likes.

use std::process::{Command, Output};

/// Set in the process that runs inside the namespace.
const INSIDE: &str = "UMNET_TEST_NAMESPACE";

/// Runs `body` in a network namespace of its own. `test` is the calling test's name: the test
/// binary starts itself again for that one test.
///
/// Where neither root nor a user namespace allows it, prints SKIP and returns.
pub(crate) fn in_namespace(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        sh("ip link set lo up");
        return body();
    }
    let Some(options) = permitted() else {
        println!("SKIP: {test}: no network namespace can be made here (or no iproute2)");
        return;
    };
    let program = std::env::current_exe().expect("a test knows its own program");
    let output = Command::new("unshare")
        .args(options)
        .arg(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare was there a moment ago");
    let text = text(&output);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "in the namespace:\n{text}"
    );
}

/// The options with which unshare works here, if any.
fn permitted() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--net"], &["--user", "--map-root-user", "--net"]];
    let works = |options: &&[&str]| {
        let output = Command::new("unshare")
            .args(*options)
            .args(["ip", "link"])
            .output();
        output.is_ok_and(|output| output.status.success())
    };
    ways.into_iter().find(works)
}

/// Runs a shell command that must succeed, and returns what it printed.
pub(crate) fn sh(command: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", command])
        .output()
        .expect("sh starts");
    assert!(output.status.success(), "{command}\n{}", text(&output));
    String::from_utf8(output.stdout).expect("text")
}

fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}
