//! Hosts that are there and do nothing, or nothing but loop.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::Serialize;

use super::{Plan, Watcher, pause, tell};
use crate::noise::Noise;
use crate::process::{is_alive, signal, spin, wait_until};
use crate::rig::{PATIENCE, Rig};
use crate::traffic::Passed;
use crate::verdict::{Check, Spread};
use crate::{Result, Traffic, system};

/// How a host hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hang {
    /// All of it stands still (SIGSTOP).
    Stopped,
    /// The thread that moves frames loops for ever; the others go on.
    Loop,
}

impl Hang {
    fn name(self) -> &'static str {
        match self {
            Self::Stopped => "hangs (SIGSTOP)",
            Self::Loop => "hangs (endless loop)",
        }
    }

    fn begin(self, pid: u32) -> std::io::Result<()> {
        match self {
            Self::Stopped => signal(pid, Signal::STOP),
            Self::Loop => spin(pid),
        }
    }
}

/// One host that hung.
#[derive(Clone, Copy, Debug, Serialize)]
struct Hung {
    /// Until it was gone.
    found_ms: f64,
    /// Until frames passed again, near to far and far to near.
    back_ms: [f64; 2],
}

/// What became of hosts that hang.
#[derive(Debug, Serialize)]
pub struct Hangs {
    kind: Hang,
    each: Vec<Hung>,
    found: Spread,
    back: Spread,
    /// What has to be true.
    pub checks: Vec<Check>,
}

/// Lets the host hang under load.
///
/// # Errors
/// When the rig fails, or no host takes over.
pub fn hangs(rig: &mut Rig, kind: Hang, plan: Plan, watcher: Watcher<'_>) -> Result<Hangs> {
    let Plan {
        load,
        count,
        pause: least,
        limits,
    } = plan;
    let mut noise = Noise::new(u64::from(std::process::id()));
    let traffic = Traffic::start(rig, load)?;
    let mut status = rig.wait_for_host(0)?;
    let (hangs_before, mut began, mut found) = (status.hangs, Vec::new(), Vec::new());
    for done in 0..count {
        tell(watcher, kind.name(), (done, count), &traffic);
        pause(least, &mut noise);
        let pid = status.host.as_ref().map_or(0, |host| host.pid);
        kind.begin(pid)
            .map_err(system("make the driver host hang"))?;
        began.push(traffic.now());
        let begin = Instant::now();
        wait_until("a hung host is not found", PATIENCE, || {
            (!is_alive(pid)).then_some(())
        })?;
        found.push(begin.elapsed());
        status = rig.wait_for_host(pid)?;
    }
    tell(watcher, kind.name(), (count, count), &traffic);
    pause(least, &mut noise);
    let end = traffic.now();
    let passed = traffic.finish(rig)?;
    let each = each_hang(&began, &found, end, &passed);
    let back = each.iter().map(|hung| hung.back_ms[0].max(hung.back_ms[1]));
    let back: Vec<Duration> = back.map(|ms| Duration::from_secs_f64(ms / 1e3)).collect();
    let name = |what: &str| format!("{}: {what}", kind.name());
    let longest = |times: &[Duration]| times.iter().copied().max().unwrap_or_default();
    let checks = vec![
        Check::exactly(
            &name("found"),
            u64::from(count),
            status.hangs - hangs_before,
        ),
        Check::within(
            &name("longest until found"),
            limits.hang_found,
            longest(&found),
        ),
        Check::within(
            &name("longest until back in service"),
            limits.hang_back,
            longest(&back),
        ),
        Check::exactly(&name("connections lost"), 0, passed.connections_lost()),
        passed.digests(&name("digests")),
    ];
    Ok(Hangs {
        kind,
        each,
        found: Spread::of(found),
        back: Spread::of(back),
        checks,
    })
}

fn each_hang(began: &[Duration], found: &[Duration], end: Duration, passed: &Passed) -> Vec<Hung> {
    let until = began.iter().skip(1).copied().chain([end]);
    let each = began
        .iter()
        .zip(found)
        .zip(until)
        .map(|((&at, found), until)| {
            let back = |way: usize| {
                let (_, ended) = passed.traces[way].silence(at, until);
                ended.saturating_sub(at).as_secs_f64() * 1e3
            };
            Hung {
                found_ms: found.as_secs_f64() * 1e3,
                back_ms: [back(0), back(1)],
            }
        });
    each.collect()
}
