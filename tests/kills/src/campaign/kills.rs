//! SIGKILL, over and over, under load; and the same load in peace.

use std::time::Duration;

use rustix::process::Signal;
use serde::Serialize;

use super::{Holds, Plan, Watcher, pause, tell};
use crate::noise::Noise;
use crate::process::signal;
use crate::rig::{Rig, Status};
use crate::traffic::{Account, Passed};
use crate::verdict::{Check, Spread};
use crate::{Result, Traffic};

/// What a driver host holds of frames beside its rings: what it has taken from the interface at
/// once, or is about to give it. (`AdapterConfig::tx_ring`)
const BATCH: u64 = 64;
/// A frame that was sent so long before a kill may have been lost by it.
const UNDER_WAY: Duration = Duration::from_millis(100);
/// Samples that are not compared: whatever is made once has been made after them.
const WARM_UP: usize = 5;

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
pub fn calm(rig: &Rig, streams: u64, time: Duration) -> Result<Calm> {
    let traffic = Traffic::start(rig, streams)?;
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
        "frames lost near to far, no kills",
        0,
        account.lost[0],
    ));
    checks.push(Check::exactly(
        "frames lost far to near, no kills",
        0,
        account.lost[1],
    ));
    checks.push(Check::exactly(
        "numbered frames lost, no kills",
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
        checks,
    })
}

/// One kill.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Kill {
    /// When, since the traffic began.
    pub at_ms: f64,
    /// The longer one of both ways' silences.
    pub gap_ms: f64,
    /// Numbered frames lost, near to far and far to near.
    pub lost: [u64; 2],
}

/// The load under kills.
#[derive(Debug, Serialize)]
pub struct Kills {
    /// Each.
    pub kills: Vec<Kill>,
    gap: Spread,
    bytes: u64,
    seconds: f64,
    interactive_bytes: u64,
    interactive_longest_ms: f64,
    account: Account,
    /// Frames that a kill may cost, near to far and far to near.
    bound: [u64; 2],
    holds: Vec<Holds>,
    /// What has to be true.
    pub checks: Vec<Check>,
}

/// What was seen while it lasted.
struct Seen {
    kills: Vec<Duration>,
    holds: Vec<Holds>,
    changed: u32,
    first: Status,
    last: Status,
}

/// Kills the host under load.
///
/// # Errors
/// When the rig fails, or no host takes over.
pub fn kills(rig: &mut Rig, plan: Plan, watcher: Watcher<'_>) -> Result<Kills> {
    let Plan {
        streams,
        count,
        limits,
    } = plan;
    let traffic = Traffic::start(rig, streams)?;
    let carrier = rig.carrier_changes()?;
    let seen = kill_all(rig, &traffic, count, watcher)?;
    let end = traffic.now();
    let passed = traffic.finish(rig)?;
    let kills = each_kill(&seen.kills, end, &passed);
    let gaps = kills
        .iter()
        .map(|kill| Duration::from_secs_f64(kill.gap_ms / 1e3));
    let gap = Spread::of(gaps.collect());
    let bound = [seen.first.tx_ring + BATCH, seen.first.rx_ring + BATCH];
    let typed = passed.session.clone().unwrap_or_default();
    let mut checks = connections(&passed);
    checks.push(Check::exactly(
        "index, addresses or routes changed",
        0,
        seen.changed,
    ));
    let carrier = rig.carrier_changes()? - carrier;
    checks.push(Check::exactly("carrier lost or got", 0, carrier));
    checks.extend(gap.checks("gap per kill", limits.gap_p50, limits.gap_p99));
    checks.extend(losses(&kills, &passed.account, bound));
    checks.push(Check::exactly(
        "hosts that took over",
        u64::from(count),
        seen.last.restarts - seen.first.restarts,
    ));
    checks.push(Check::exactly(
        "device resets for a fault",
        seen.first.resets,
        seen.last.resets,
    ));
    checks.extend(held(&seen.holds));
    Ok(Kills {
        gap,
        bytes: passed.bytes(),
        seconds: end.as_secs_f64(),
        interactive_bytes: typed.bytes,
        interactive_longest_ms: typed.longest.as_secs_f64() * 1e3,
        account: passed.account,
        bound,
        holds: seen.holds,
        kills,
        checks,
    })
}

fn kill_all(rig: &mut Rig, traffic: &Traffic, count: u32, watcher: Watcher<'_>) -> Result<Seen> {
    let mut noise = Noise::new(u64::from(std::process::id()));
    let first = rig.wait_for_host(0)?;
    let before = rig.identity()?;
    let mut seen = Seen {
        kills: Vec::new(),
        holds: Vec::new(),
        changed: 0,
        last: first.clone(),
        first,
    };
    for done in 0..count {
        tell(watcher, "kills", (done, count), traffic);
        pause(&mut noise);
        seen.holds.push(Holds::of(rig)?);
        let pid = seen.last.host.as_ref().map_or(0, |host| host.pid);
        seen.kills.push(traffic.now());
        signal(pid, Signal::KILL).map_err(crate::system("kill the driver host"))?;
        seen.last = rig.wait_for_host(pid)?;
        seen.changed += u32::from(rig.identity()? != before);
    }
    tell(watcher, "kills", (count, count), traffic);
    pause(&mut noise);
    seen.holds.push(Holds::of(rig)?);
    Ok(seen)
}

fn each_kill(times: &[Duration], end: Duration, passed: &Passed) -> Vec<Kill> {
    let until = times.iter().skip(1).copied().chain([end]);
    let each = times.iter().zip(until).map(|(&at, until)| {
        let gap = |trace: &crate::probe::Trace| {
            let (from, to) = trace.silence(at, until);
            to - from
        };
        let lost = |way: usize| {
            let from = at.saturating_sub(UNDER_WAY);
            passed.traces[way].lost_between(from, until.saturating_sub(UNDER_WAY))
        };
        let gap = passed.traces.iter().map(gap).max().unwrap_or_default();
        Kill {
            at_ms: at.as_secs_f64() * 1e3,
            gap_ms: gap.as_secs_f64() * 1e3,
            lost: [lost(0), lost(1)],
        }
    });
    each.collect()
}

/// What has to be true of any load.
fn connections(passed: &Passed) -> Vec<Check> {
    vec![
        Check::exactly("connections lost", 0, passed.connections_lost()),
        passed.digests("digests"),
        Check::exactly("frames duplicated", 0, passed.duplicated()),
        Check::exactly("frames altered", 0, passed.altered()),
        Check::exactly(
            "frames an interface had no room for",
            0,
            passed.account.refused,
        ),
    ]
}

fn losses(kills: &[Kill], account: &Account, bound: [u64; 2]) -> Vec<Check> {
    let ways = ["near to far", "far to near"];
    let of_way = |way: usize| {
        let worst = kills
            .iter()
            .map(|kill| kill.lost[way])
            .max()
            .unwrap_or_default();
        let bound_of_all = (bound[way] * kills.len() as u64).cast_signed();
        let name = ways[way];
        let lost = account.lost[way];
        [
            Check::at_most(
                &format!("numbered frames lost by one kill, {name}"),
                bound[way],
                worst,
            ),
            Check::at_most(
                &format!("frames of any kind lost, {name}"),
                bound_of_all,
                lost,
            ),
            Check::new(
                &format!("frames that came twice, {name}"),
                0,
                (-lost).max(0),
                lost >= 0,
            ),
        ]
    };
    (0..2).flat_map(of_way).collect()
}

fn held(holds: &[Holds]) -> Vec<Check> {
    let warm = &holds[WARM_UP.min(holds.len() - 1)..];
    let spread = |of: fn(&Holds) -> u64| {
        let (least, most) = (warm.iter().map(of).min(), warm.iter().map(of).max());
        most.unwrap_or_default() - least.unwrap_or_default()
    };
    vec![
        Check::at_most(
            "supervisor's memory wanders by KiB",
            1024,
            spread(|holds| holds.resident_kib),
        ),
        Check::exactly(
            "supervisor's descriptors wander by",
            0,
            spread(|holds| holds.descriptors as u64),
        ),
    ]
}
