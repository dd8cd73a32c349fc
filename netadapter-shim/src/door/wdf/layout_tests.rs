//! The structures that clients fill have the sizes their headers give them.

use std::io::Write;
use std::mem::offset_of;
use std::process::{Command, Stdio};

use super::*;
use crate::door::types::{Guid, UnicodeString, WdfContextTypeInfo, WdfObjectAttributes};
use io_queue::QueueConfig;
use pnp_callbacks::PnpCallbacks;

/// The C compiler's name, if there is one that understands the headers.
fn compiler() -> Option<&'static str> {
    let works = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    ["clang", "clang-19", "clang-14"].into_iter().find(works)
}

macro_rules! sizes {
    ($($name:literal = $kind:ty),* $(,)?) => {
        vec![$((format!("sizeof({})", $name), size_of::<$kind>())),*]
    };
}

fn expected() -> Vec<(String, usize)> {
    let mut all = sizes![
        "WDF_OBJECT_ATTRIBUTES" = WdfObjectAttributes,
        "WDF_OBJECT_CONTEXT_TYPE_INFO" = WdfContextTypeInfo,
        "GUID" = Guid,
        "UNICODE_STRING" = UnicodeString,
        "WDF_DRIVER_CONFIG" = driver::DriverConfig,
        "WDF_DRIVER_VERSION_AVAILABLE_PARAMS" = driver::VersionAvailable,
        "WDF_PNPPOWER_EVENT_CALLBACKS" = PnpCallbacks,
        "WDF_POWER_POLICY_EVENT_CALLBACKS" = device_init::PowerPolicyCallbacks,
        "WDF_FILEOBJECT_CONFIG" = device_init::FileCallbacks,
        "WDF_IO_TYPE_CONFIG" = device_init::IoTypeConfig,
        "WDF_IO_QUEUE_CONFIG" = QueueConfig,
        "WDF_REQUEST_PARAMETERS" = request_api::Parameters,
        "WDF_REQUEST_REUSE_PARAMS" = request_api::ReuseParams,
        "WDF_REQUEST_COMPLETION_PARAMS" = io_target::CompletionParams,
        "WDF_TIMER_CONFIG" = deferred_api::TimerConfig,
        "WDF_WORKITEM_CONFIG" = deferred_api::RoutineConfig,
        "WDF_DPC_CONFIG" = deferred_api::RoutineConfig,
        "WDF_DEVICE_POWER_POLICY_IDLE_SETTINGS" = device_power::IdleSettings,
        "WDF_DEVICE_POWER_POLICY_WAKE_SETTINGS" = device_power::WakeSettings,
        "WDF_DEVICE_PNP_CAPABILITIES" = device_power::PnpCapabilities,
        "WDF_DEVICE_POWER_CAPABILITIES" = device_power::PowerCapabilities,
        "WDF_DEVICE_STATE" = device_power::DeviceState,
        "WDF_DEVICE_PROPERTY_DATA" = property::PropertyData,
        "DEVPROPKEY" = property::PropertyKey,
    ];
    let queue = |field: &str, offset| {
        let text = format!("offsetof(WDF_IO_QUEUE_CONFIG, {field})");
        (text, offset)
    };
    all.push(queue("EvtIoDefault", offset_of!(QueueConfig, default)));
    all.push(queue("EvtIoStop", offset_of!(QueueConfig, stop)));
    all.push(queue("Driver", offset_of!(QueueConfig, driver)));
    all
}

#[test]
fn structures_are_as_large_as_in_the_headers() {
    let Some(compiler) = compiler() else {
        println!("SKIP: there is no clang to read the headers with");
        return;
    };
    let mut source = String::from("#include <windows.h>\n#include <wdf.h>\n");
    for (what, size) in expected() {
        source += &format!("_Static_assert({what} == {size}, \"{what} is not {size}\");\n");
    }
    let headers = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include");
    let mut child = Command::new(compiler)
        .args([
            "-fms-extensions",
            "-fshort-wchar",
            "-std=c11",
            "-fsyntax-only",
        ])
        .args([headers, "-xc", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.take().unwrap();
    (&input).write_all(source.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}
