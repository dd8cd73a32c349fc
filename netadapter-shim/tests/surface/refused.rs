//! What user mode refuses: with the verifier the process ends under the code, without it the call
//! answers as if there were nothing.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use netadapter_shim::door::configuration_store::{ConfigurationTable, ConfigurationValue};

use super::host::{BOTH, Language, Session, Setting, all, compile};

const CLIENT: &str = "refused.c";

/// The calls in the client's order, and the code of each; none for what is only said.
const CALLS: [(&str, &str); 28] = [
    (
        "NetAdapterOffloadSetChecksumCapabilities",
        "DeprecatedFunction",
    ),
    ("NetOffloadIsChecksumIPv4Enabled", "DeprecatedFunction"),
    ("NetOffloadIsChecksumTcpEnabled", "DeprecatedFunction"),
    ("NetOffloadIsChecksumUdpEnabled", "DeprecatedFunction"),
    ("NetTxQueueGetDemuxWmmInfo", "DemuxNotPresent"),
    ("NetTxQueueGetDemuxPeerAddress", "DemuxNotPresent"),
    ("NetTxQueueGetDemux8021p", "DemuxNotPresent"),
    ("NetDeviceGetPowerOffloadList", "PowerNotInTransition"),
    (
        "NetPowerOffloadListGetCount",
        "InvalidPowerOffloadListSignature",
    ),
    (
        "NetPowerOffloadListGetElement",
        "InvalidPowerOffloadListSignature",
    ),
    ("NetPowerOffloadGetType", "InvalidPowerOffloadListSignature"),
    (
        "NetPowerOffloadGetAdapter",
        "InvalidPowerOffloadListSignature",
    ),
    (
        "NetPowerOffloadGetArpParameters",
        "InvalidPowerOffloadListSignature",
    ),
    (
        "NetPowerOffloadGetNSParameters",
        "InvalidPowerOffloadListSignature",
    ),
    ("NetDeviceGetWakeSourceList", "PowerNotInTransition"),
    (
        "NetWakeSourceListGetCount",
        "InvalidWakeSourceListSignature",
    ),
    (
        "NetWakeSourceListGetElement",
        "InvalidWakeSourceListSignature",
    ),
    ("NetWakeSourceGetType", "InvalidWakeSourceListSignature"),
    ("NetWakeSourceGetAdapter", "InvalidWakeSourceListSignature"),
    (
        "NetWakeSourceGetBitmapParameters",
        "InvalidWakeSourceListSignature",
    ),
    (
        "NetWakeSourceGetMediaChangeParameters",
        "InvalidWakeSourceListSignature",
    ),
    ("NetAdapterReportWakeReasonPacket", "WakeNotInProgress"),
    ("NetAdapterReportWakeReasonMediaChange", "WakeNotInProgress"),
    (
        "NetAdapterReportWakeReasonMediaChange",
        "InvalidNetAdapterWakeReasonMediaChange",
    ),
    (
        "NetDeviceStoreResetDiagnostics",
        "IsNotCollectingResetDiagnostics",
    ),
    (
        "NetDeviceStoreResetDiagnostics",
        "ResetDiagnosticsSizeTooLarge",
    ),
    ("NetConfigurationQueryUlong", "InvalidQueryUlongFlag"),
    ("NetDeviceRequestReset", ""),
];

/// Kinds of capabilities, by the client's numbers: the code, and how NetAdapterStart ends without
/// the verifier.
const CAPABILITIES: [(u32, &str, &str); 7] = [
    (1, "InvalidAdapterTxCapabilities", "STATUS_NOT_SUPPORTED"),
    (2, "InvalidAdapterRxCapabilities", "STATUS_NOT_SUPPORTED"),
    (3, "InvalidAdapterRxCapabilities", "STATUS_NOT_SUPPORTED"),
    (4, "InvalidAdapterRxCapabilities", "STATUS_NOT_SUPPORTED"),
    (5, "InvalidAdapterRxCapabilities", "STATUS_NOT_SUPPORTED"),
    (6, "InvalidAdapterRxCapabilities", "STATUS_NOT_SUPPORTED"),
    (
        7,
        "InvalidAdapterTxCapabilities",
        "STATUS_INVALID_PARAMETER",
    ),
];

fn setting(case: u32, verifier_off: bool) -> Setting {
    let table = ConfigurationTable::default().with("Case", ConfigurationValue::Ulong(case));
    Setting {
        configuration: Arc::new(table),
        verifier_off,
        ..Setting::default()
    }
}

const LIBRARY: &str = "UMNET_TEST_LIBRARY";
const CASE: &str = "UMNET_TEST_CASE";
const CALL: &str = "UMNET_TEST_CALL";

/// Hosts the client in a process that may die of it.
fn elsewhere(client: &Path, case: u32, call: usize) -> Output {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("refused::a_client_that_breaks_a_rule")
        .env(LIBRARY, client)
        .env(CASE, case.to_string())
        .env(CALL, call.to_string())
        .output()
        .expect("this test runs once more")
}

/// Not a test of its own: what the others run in a process that is to end.
#[test]
#[ignore = "run by the other tests of this file, in a process that may end"]
fn a_client_that_breaks_a_rule() {
    let Some(library) = std::env::var_os(LIBRARY).map(PathBuf::from) else {
        return;
    };
    let number = |name| std::env::var(name).unwrap().parse::<u32>().unwrap();
    let client = Session::host(&library, setting(number(CASE), false)).unwrap();
    client.command(number(CALL), 0);
    println!("nothing happened: {:?}", all());
}

const SIGABRT: i32 = 6;

#[test]
fn each_refused_call_ends_the_process_under_its_code() {
    for language in BOTH {
        let Some(client) = compile(CLIENT, language, &[]) else {
            return;
        };
        for (number, (name, code)) in CALLS.into_iter().enumerate() {
            let output = elsewhere(&client, 0, number);
            let said = String::from_utf8_lossy(&output.stderr);
            if code.is_empty() {
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(text.contains("nothing happened"), "{name}: {said} {text}");
                continue;
            }
            assert_eq!(output.status.signal(), Some(SIGABRT), "{name}: {said}");
            let line = format!("broke a rule: FailureCode_{code}: {name}: ");
            assert!(said.contains(&line), "{line}: {said}");
        }
    }
}

#[test]
fn each_refused_kind_of_capability_ends_the_process_under_its_code() {
    let Some(client) = compile(CLIENT, Language::C, &[]) else {
        return;
    };
    for (case, code, _) in CAPABILITIES {
        let output = elsewhere(&client, case, CALLS.len());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(SIGABRT), "{case}: {said}");
        let line = format!("FailureCode_{code}: NetAdapterSetDataPathCapabilities: ");
        assert!(said.contains(&line), "{case}: {said}");
    }
}

/// Without the verifier nothing ends; every call has answered with nothing, as the client checks.
#[test]
fn without_the_verifier_refused_calls_answer_with_nothing() {
    for language in BOTH {
        let Some(client) = Session::up(CLIENT, language, setting(0, true)) else {
            return;
        };
        client.command(CALLS.len() as u32, 0);
        assert_eq!(client.said(1), [format!("{} calls", CALLS.len())]);
        for number in 0..CALLS.len() as u32 {
            client.command(number, 0);
        }
        let words = "NetDeviceRequestReset: ";
        let beyond = |line: &String| {
            line.contains(words)
                && line.contains("resets on request are beyond the user-mode surface")
        };
        assert!(all().iter().any(beyond), "{:?}", all());
        assert!(
            client.end().is_empty(),
            "no callback that was withdrawn was called"
        );
    }
}

#[test]
fn without_the_verifier_refused_capabilities_fail_the_start() {
    for (case, _, status) in CAPABILITIES {
        let Some(client) = compile(CLIENT, Language::C, &[]) else {
            return;
        };
        let failed = Session::host(&client, setting(case, true)).err();
        let text = failed.expect("NetAdapterStart fails").to_string();
        assert!(text.contains(status), "{case}: {text}");
    }
}
