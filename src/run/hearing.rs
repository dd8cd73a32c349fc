//! What a driver host says, weighed before anything follows from it.
//!
//! A host may be anybody's: texts end at people's terminals and are made printable and short,
//! counters are checked, an excuse has an end, and what the host may not say now is refused.

use std::time::Duration;

use crate::channel::{Ask, FromHost, MAX_ADAPTERS, PROTOCOL, Report, StartFailure, checked};
use crate::control::QueueStats;

/// The longest excuse that is taken.
pub const LONGEST_EXCUSE: Duration = Duration::from_secs(10);
/// Longest text of a host that is kept, in characters.
pub const LONGEST_TEXT: usize = 400;

/// Which host speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The one that drives the device, or is about to.
    Active,
    /// The one that waits to take over.
    Spare,
}

/// What a message leads to.
#[derive(Debug)]
pub enum Lead {
    /// The spare can take over.
    Ready {
        /// Version of its program.
        version: String,
        /// How it is confined, in a line.
        cage: String,
    },
    /// It asks for something.
    Answer(Ask),
    /// The device runs.
    Started(Box<Report>),
    /// The device could not be started.
    Failed(StartFailure),
    /// Something of the report is different now.
    Changed(Box<Report>),
    /// The interface's peers are to be told where it is.
    Announce,
    /// Its poll loops go round.
    Alive {
        /// The challenge it says to answer.
        challenge: u64,
        /// Its counters.
        counters: Vec<QueueStats>,
    },
    /// Its counters, as it was asked for them.
    Counted(Vec<QueueStats>),
    /// What was to happen to a client's devices has happened, or why it has not.
    Happened(Result<(), String>),
    /// It may be silent for so long.
    Excused(Duration),
    /// It has given the device up, and why.
    GivenUp(String),
    /// The device is stopped; its last counters.
    Stopped(Vec<QueueStats>),
    /// It is to be killed, and why.
    Refused(String),
}

/// What a message of a host leads to.
pub fn weigh(message: FromHost, speaker: Speaker) -> Lead {
    match (speaker, message) {
        (
            Speaker::Spare,
            FromHost::Ready {
                protocol,
                version,
                cage,
            },
        ) => ready(protocol, &version, &cage),
        (_, FromHost::Failed(failure)) => failed(failure),
        (Speaker::Active, message) => weigh_active(message),
        (Speaker::Spare, other) => out_of_turn(&other),
    }
}

fn weigh_active(message: FromHost) -> Lead {
    match message {
        FromHost::Ask(ask) => Lead::Answer(ask),
        FromHost::Started(report) => reported(report, Lead::Started),
        FromHost::Changed(report) => reported(report, Lead::Changed),
        FromHost::Announce => Lead::Announce,
        FromHost::Happened(outcome) => Lead::Happened(outcome.map_err(|why| printable(&why))),
        FromHost::Alive {
            challenge,
            counters,
        } => counted(counters, |counters| Lead::Alive {
            challenge,
            counters,
        }),
        FromHost::Counted { counters } => counted(counters, Lead::Counted),
        FromHost::Busy(milliseconds) => {
            let asked = Duration::from_millis(milliseconds.into());
            Lead::Excused(asked.min(LONGEST_EXCUSE))
        }
        FromHost::GivenUp(why) => Lead::GivenUp(printable(&why)),
        FromHost::Stopped { counters } => counted(counters, Lead::Stopped),
        other @ (FromHost::Ready { .. } | FromHost::Failed(_)) => out_of_turn(&other),
    }
}

fn ready(protocol: u32, version: &str, cage: &str) -> Lead {
    if protocol != PROTOCOL {
        return Lead::Refused(format!("that it speaks version {protocol}, not {PROTOCOL}"));
    }
    Lead::Ready {
        version: printable(version),
        cage: printable(cage),
    }
}

fn failed(failure: StartFailure) -> Lead {
    Lead::Failed(StartFailure {
        why: printable(&failure.why),
        next: failure.next.as_deref().map(printable),
        ..failure
    })
}

/// A report of a client has no more adapters than there can be.
fn reported(report: Box<Report>, lead: impl FnOnce(Box<Report>) -> Lead) -> Lead {
    let adapters = report
        .client
        .as_ref()
        .map_or(0, |client| client.adapters.len());
    match adapters <= MAX_ADAPTERS {
        true => lead(report),
        false => Lead::Refused(format!("that it has {adapters} adapters")),
    }
}

fn counted(counters: Vec<QueueStats>, lead: impl FnOnce(Vec<QueueStats>) -> Lead) -> Lead {
    let refused = || Lead::Refused("counters with names that are none".to_owned());
    checked(counters).map_or_else(refused, lead)
}

fn out_of_turn(message: &FromHost) -> Lead {
    // The text is escaped as debug output is.
    let text = format!("{message:?}");
    Lead::Refused(printable(&format!("out of turn {text:.80}")))
}

fn printable(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_control());
    kept.take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_start_failed_is_made_fit_for_a_terminal() {
        let failure = StartFailure {
            why: format!("\u{1b}[2J{}", "x".repeat(1000)),
            refused: true,
            ..StartFailure::default()
        };
        let Lead::Failed(told) = weigh(FromHost::Failed(failure), Speaker::Active) else {
            panic!("a failure is one");
        };
        assert!(told.why.starts_with("[2Jx") && told.why.len() == LONGEST_TEXT);
        assert!(told.refused && !told.gone);
    }

    #[test]
    fn what_is_said_out_of_turn_is_refused() {
        let ready = || FromHost::Ready {
            protocol: PROTOCOL,
            version: "1".to_owned(),
            cage: String::new(),
        };
        assert!(matches!(weigh(ready(), Speaker::Spare), Lead::Ready { .. }));
        for (message, speaker) in [
            (ready(), Speaker::Active),
            (FromHost::Busy(1), Speaker::Spare),
            (FromHost::Started(Box::default()), Speaker::Spare),
        ] {
            assert!(matches!(weigh(message, speaker), Lead::Refused(_)));
        }
    }

    #[test]
    fn an_excuse_has_an_end() {
        let lead = weigh(FromHost::Busy(u32::MAX), Speaker::Active);
        assert!(matches!(lead, Lead::Excused(time) if time == LONGEST_EXCUSE));
    }
}
