//! What is done to the driver host or to its supervisor over and over, under load.

use std::time::Duration;

use rustix::process::Signal;
use serde::Serialize;

use super::cost::{self, Gap, connections, each_gap, held, losses};
use super::{Holds, Plan, Watcher, pause, tell};
use crate::noise::Noise;
use crate::process::signal;
use crate::rig::{Rig, Status};
use crate::traffic::Account;
use crate::verdict::{Check, Spread};
use crate::{Result, Traffic};

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blow {
    /// The driver host gets SIGKILL.
    Kill,
    /// `umnet update`: another driver host takes over in good order.
    Update,
    /// `umnet update --supervisor`: another supervisor takes over, and the driver host goes on.
    Supervisor,
}

impl Blow {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kills",
            Self::Update => "updates",
            Self::Supervisor => "supervisor restarts",
        }
    }

    /// Does it, and waits until it is over.
    fn strike(self, rig: &mut Rig, before: &Status) -> Result<Status> {
        let pid = before.host.as_ref().map_or(0, |host| host.pid);
        match self {
            Self::Kill => {
                signal(pid, Signal::KILL).map_err(crate::system("kill the driver host"))?;
                rig.wait_for_host(pid)
            }
            Self::Update => {
                rig.umnet(&["update"])?;
                rig.wait_for_host(pid)
            }
            Self::Supervisor => {
                rig.umnet(&["update", "--supervisor"])?;
                rig.wait_for_host(0)
            }
        }
    }

    /// What has to be true of its own kind.
    fn checks(self, count: u32, seen: &Seen) -> Vec<Check> {
        let (first, last) = (&seen.first, &seen.last);
        let took_over = last.restarts - first.restarts;
        let supervisors = last.supervisor_restarts - first.supervisor_restarts;
        let (hosts_asked, supervisors_asked) = match self {
            Self::Kill | Self::Update => (count, 0),
            Self::Supervisor => (0, count),
        };
        let supervisors_asked = u64::from(supervisors_asked);
        vec![
            Check::exactly("hosts that took over", u64::from(hosts_asked), took_over),
            Check::exactly("supervisors that took over", supervisors_asked, supervisors),
            Check::exactly("device resets for a fault", first.resets, last.resets),
        ]
    }

    /// Frames that one may cost, near to far and far to near.
    fn bound(self, status: &Status) -> [u64; 2] {
        match self {
            Self::Kill | Self::Update => cost::bound(status),
            // Nobody who moves frames is touched.
            Self::Supervisor => [0, 0],
        }
    }
}

/// The load under blows.
#[derive(Debug, Serialize)]
pub struct Blows {
    /// What was done.
    pub kind: Blow,
    /// Each.
    pub each: Vec<Gap>,
    gap: Spread,
    bytes: u64,
    seconds: f64,
    interactive_bytes: u64,
    interactive_longest_ms: f64,
    account: Account,
    /// Frames that one may cost, near to far and far to near.
    bound: [u64; 2],
    holds: Vec<Holds>,
    /// What has to be true.
    pub checks: Vec<Check>,
}

/// What was seen while it lasted.
struct Seen {
    times: Vec<Duration>,
    holds: Vec<Holds>,
    changed: u32,
    first: Status,
    last: Status,
}

/// Does it over and over under load.
///
/// # Errors
/// When the rig fails, or nobody takes over.
pub fn blows(rig: &mut Rig, kind: Blow, plan: Plan, watcher: Watcher<'_>) -> Result<Blows> {
    let traffic = Traffic::start(rig, plan.load)?;
    let carrier = rig.carrier_changes()?;
    let seen = strike_all(rig, kind, &traffic, plan, watcher)?;
    let end = traffic.now();
    let passed = traffic.finish(rig)?;
    let carrier = rig.carrier_changes()? - carrier;
    let each = each_gap(&seen.times, end, &passed);
    let gaps = each.iter().map(Gap::time);
    let gap = Spread::of(gaps.collect());
    let bound = kind.bound(&seen.first);
    let mut checks = connections(&passed);
    checks.push(Check::exactly(
        "index, addresses or routes changed",
        0,
        seen.changed,
    ));
    checks.push(Check::exactly("carrier lost or got", 0, carrier));
    checks.extend(gap.checks("gap", plan.limits.gap_p50, plan.limits.gap_p99));
    checks.extend(losses(&each, &passed.account, bound));
    checks.extend(kind.checks(plan.count, &seen));
    checks.extend(held(&seen.holds));
    let checks = checks.into_iter().map(|check| check.of(kind.name()));
    let typed = passed.session.clone().unwrap_or_default();
    Ok(Blows {
        kind,
        each,
        gap,
        bytes: passed.bytes(),
        seconds: end.as_secs_f64(),
        interactive_bytes: typed.bytes,
        interactive_longest_ms: typed.longest.as_secs_f64() * 1e3,
        account: passed.account,
        bound,
        holds: seen.holds,
        checks: checks.collect(),
    })
}

fn strike_all(
    rig: &mut Rig,
    kind: Blow,
    traffic: &Traffic,
    plan: Plan,
    watcher: Watcher<'_>,
) -> Result<Seen> {
    let mut noise = Noise::new(u64::from(std::process::id()));
    let first = rig.wait_for_host(0)?;
    let before = rig.identity()?;
    let mut seen = Seen {
        times: Vec::new(),
        holds: Vec::new(),
        changed: 0,
        last: first.clone(),
        first,
    };
    for done in 0..plan.count {
        tell(watcher, kind.name(), (done, plan.count), traffic);
        pause(plan.pause, &mut noise);
        seen.holds.push(Holds::of(rig)?);
        seen.times.push(traffic.now());
        seen.last = kind.strike(rig, &seen.last)?;
        seen.changed += u32::from(rig.identity()? != before);
    }
    tell(watcher, kind.name(), (plan.count, plan.count), traffic);
    pause(plan.pause, &mut noise);
    seen.holds.push(Holds::of(rig)?);
    Ok(seen)
}
