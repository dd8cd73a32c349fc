//! The load in peace.

use std::time::Duration;

use serde::Serialize;

use super::cost::connections;
use crate::rig::Rig;
use crate::traffic::Account;
use crate::verdict::Check;
use crate::{Load, Result, Traffic};

/// The load in peace.
#[derive(Debug, Serialize)]
pub struct Calm {
    seconds: f64,
    bytes: u64,
    account: Account,
    probes_sent: usize,
    probes_lost: usize,
    longest_silence_ms: f64,
    /// What has to be true.
    pub checks: Vec<Check>,
}

/// Runs the load in peace.
///
/// # Errors
/// When the rig fails.
pub fn calm(rig: &Rig, load: Load, time: Duration) -> Result<Calm> {
    let traffic = Traffic::start(rig, load)?;
    std::thread::sleep(time);
    let until = traffic.now();
    let passed = traffic.finish(rig)?;
    let silences = passed.traces.iter().map(|trace| {
        let (from, to) = trace.silence(Duration::ZERO, until);
        to - from
    });
    let longest = silences.max().unwrap_or_default();
    let account = passed.account;
    let mut checks = connections(&passed);
    checks.push(Check::exactly(
        "frames lost near to far",
        0,
        account.lost[0],
    ));
    checks.push(Check::exactly(
        "frames lost far to near",
        0,
        account.lost[1],
    ));
    checks.push(Check::exactly(
        "numbered frames lost",
        0,
        passed.probes_lost(),
    ));
    Ok(Calm {
        seconds: until.as_secs_f64(),
        bytes: passed.bytes(),
        account,
        probes_sent: passed.traces.iter().map(|trace| trace.sent.len()).sum(),
        probes_lost: passed.probes_lost(),
        longest_silence_ms: longest.as_secs_f64() * 1e3,
        checks: checks
            .into_iter()
            .map(|check| check.of("in peace"))
            .collect(),
    })
}
