//! The supervisor's calls: while it starts, replaces a killed host, and stops. It may go on, or
//! end with a reason.

use crate::bench::{Bench, Run, STEP};
use crate::calls::{Injection, calls};

/// What the supervisor is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Start,
    Recovery,
    Stop,
}

/// How a run was that a call failed in.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    WentOn,
    EndedWithReason,
    Aborted,
    NotReached,
}

/// A run, and one call of it that fails if there is an injection.
fn play<'b>(bench: &'b Bench, phase: Phase, options: &[String]) -> Result<Run<'b>, String> {
    if phase == Phase::Start {
        let mut run = bench.start(Some(options));
        run.wait_until(|status| status["host"].is_object())?;
        return Ok(run);
    }
    let mut run = bench.serving()?;
    if phase == Phase::Recovery {
        // One that has the spare ready.
        std::thread::sleep(30 * STEP);
    }
    let before = run.status();
    run.attach(options);
    match phase {
        Phase::Recovery => {
            run.kill("KILL", &before["host"]["pid"]);
            run.serves_again(&before)?;
            // The next spare is started after that.
            std::thread::sleep(50 * STEP);
        }
        _ => run.kill("TERM", run.pid()),
    }
    if phase == Phase::Stop {
        run.end()?;
    }
    Ok(run)
}

/// The calls of a phase, from a run in which nothing fails.
pub(crate) fn record(bench: &Bench, phase: Phase) -> Vec<Injection> {
    let run = play(bench, phase, &[]).unwrap_or_else(|why| panic!("{phase:?}: {why}"));
    let found = calls(&run.trace());
    assert!(found.len() > 15, "{phase:?}: only {found:?}");
    found.into_iter().map(|(_, one)| one).collect()
}

/// Fails one call, and looks at what comes of it.
pub(crate) fn inject(
    bench: &Bench,
    phase: Phase,
    injection: &Injection,
) -> Result<Outcome, String> {
    let mut run = play(bench, phase, &injection.options())?;
    let told = |why, run: &Run<'_>| format!("{why}; its log:\n{}", run.log());
    run.detach();
    let early = run.has_ended();
    let ended = match early {
        Some(ended) => ended,
        None => run.stop().map_err(|why| told(why, &run))?,
    };
    let reached = run.trace().contains("(INJECTED)");
    let aborted = ended.code().is_none();
    let removes = ["unlink", "rmdir"].contains(&injection.call.as_str());
    run.nothing_left(aborted || removes)
        .map_err(|why| told(why, &run))?;
    if !ended.success() && run.log().trim().is_empty() {
        return Err(format!("ends with {ended} and says nothing"));
    }
    Ok(match (reached, early.is_some_and(|_| !ended.success())) {
        (false, _) => Outcome::NotReached,
        (true, _) if aborted => Outcome::Aborted,
        (true, true) => Outcome::EndedWithReason,
        (true, false) => Outcome::WentOn,
    })
}
