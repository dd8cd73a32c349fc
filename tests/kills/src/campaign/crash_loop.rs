//! Every new host dies as soon as it is up: what that costs, and where it ends.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::Serialize;

use super::{Progress, Watcher};
use crate::process::{children, signal, ticks, wait_until};
use crate::rig::{FAR, PATIENCE, Programs, Restart, Rig};
use crate::verdict::Check;
use crate::{Result, system};

/// After how long the supervisor is to try again by itself.
const RETRY: Duration = Duration::from_secs(4);
/// Clock ticks in a second, as `/proc` counts them. (`USER_HZ`)
const TICKS: f64 = 100.0;

/// As many as it takes to see what a crash loop costs.
const WHOLE: u32 = 50;
/// For the whole of it.
const LONGEST: Duration = Duration::from_secs(300);
const NEVER: &str = "never";

/// What came of it.
#[derive(Debug, Serialize)]
pub struct CrashLoop {
    deaths: u32,
    seconds: f64,
    /// Processor time of supervisor and hosts, in hundredths of a core.
    percent_of_a_core: f64,
    /// What the supervisor said it does about it.
    fallback: String,
    recovered_after_seconds: f64,
    /// What has to be true.
    pub checks: Vec<Check>,
}

/// Kills every host of a new rig until its supervisor gives up for a while, which it is told to do
/// after `count` deaths; then waits for its next attempt.
///
/// # Errors
/// When the rig fails, or the supervisor never gives up.
pub fn crash_loop(programs: Programs, count: u32, watcher: Watcher<'_>) -> Result<CrashLoop> {
    let restart = Restart {
        give_up_after: Some(count),
        retry_after: Some(RETRY),
    };
    let rig = Rig::with_restart(programs, &restart)?;
    let found = live_through(&rig, count, watcher)?;
    rig.stop()?;
    Ok(found)
}

fn live_through(rig: &Rig, count: u32, watcher: Watcher<'_>) -> Result<CrashLoop> {
    let before = rig.identity()?;
    let (begin, cost_before) = (Instant::now(), cost(rig));
    let (deaths, fallback) = kill_until_it_gives_up(rig, count, watcher)?;
    let elapsed = begin.elapsed();
    let percent = (cost(rig) - cost_before) / elapsed.as_secs_f64() * 100.0;
    let down = rig.near.sh("ip -o link show near0")?.contains("NO-CARRIER");
    let kept = rig.identity()? == before;
    wait_until("no further attempt", PATIENCE, || {
        let status = rig.status()?;
        (status.down.is_none() && status.link_up && status.host.is_some()).then_some(())
    })?;
    let back = begin.elapsed() - elapsed;
    let ping = || rig.near.sh(&format!("ping -c 1 -W 1 {FAR}")).ok();
    let reached = wait_until("nobody answers", PATIENCE, ping).is_ok();
    let kept = kept && rig.identity()? == before;
    let mut checks = vec![
        Check::at_least("crash loop: deaths until then", count, deaths),
        Check::new(
            "crash loop: said by status",
            "why",
            &fallback,
            fallback != NEVER,
        ),
        Check::exactly("crash loop: link down then", true, down),
        Check::exactly("crash loop: interface kept", true, kept),
        Check::exactly(
            "crash loop: in service after the next attempt",
            true,
            reached,
        ),
    ];
    // Fewer deaths are all at the beginning, where one follows the other at once.
    if count >= WHOLE {
        let (what, asked) = ("crash loop: processor", "at most 5 % of a core");
        let found = format!("{percent:.1} %");
        checks.push(Check::new(what, asked, found, percent <= 5.0));
    }
    Ok(CrashLoop {
        deaths,
        seconds: elapsed.as_secs_f64(),
        percent_of_a_core: percent,
        fallback,
        recovered_after_seconds: back.as_secs_f64(),
        checks,
    })
}

/// How many it took, and what `status` said in the end.
fn kill_until_it_gives_up(rig: &Rig, count: u32, watcher: Watcher<'_>) -> Result<(u32, String)> {
    let begin = Instant::now();
    let (mut deaths, mut last) = (0, 0);
    while deaths <= 2 * count && begin.elapsed() < LONGEST {
        std::thread::sleep(Duration::from_millis(5));
        let Some(status) = rig.status() else { continue };
        if let Some(why) = status.down {
            return Ok((deaths, why));
        }
        let Some(host) = status.host.filter(|host| host.pid != last) else {
            continue;
        };
        last = host.pid;
        deaths += 1;
        signal(last, Signal::KILL).map_err(system("kill the driver host"))?;
        watcher(Progress {
            what: "crash loop",
            done: deaths,
            of: count,
            bytes: 0,
            time: begin.elapsed(),
        });
    }
    Ok((deaths, NEVER.to_owned()))
}

/// Processor seconds of the supervisor, of its hosts, and of those that it has buried.
fn cost(rig: &Rig) -> f64 {
    let supervisor = rig.supervisor();
    let all = children(supervisor).into_iter().chain([supervisor]);
    all.filter_map(ticks).sum::<u64>() as f64 / TICKS
}
