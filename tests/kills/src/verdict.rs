//! What was asked for beside what was found.

use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What it is.
    pub what: String,
    /// What was asked for.
    pub asked: String,
    /// What was found.
    pub found: String,
    /// Whether that will do.
    pub passed: bool,
}

impl Check {
    pub(crate) fn new(what: &str, asked: impl Display, found: impl Display, passed: bool) -> Self {
        Self {
            what: what.to_owned(),
            asked: asked.to_string(),
            found: found.to_string(),
            passed,
        }
    }

    /// The same, of this load.
    pub(crate) fn of(self, load: &str) -> Self {
        Self {
            what: format!("{load}: {}", self.what),
            ..self
        }
    }

    /// A number that has to be this one.
    pub(crate) fn exactly<T: Display + PartialEq>(what: &str, asked: T, found: T) -> Self {
        let passed = asked == found;
        Self::new(what, asked, found, passed)
    }

    /// A number that may not be more than this one.
    pub(crate) fn at_most<T: Display + PartialOrd>(what: &str, asked: T, found: T) -> Self {
        let passed = found <= asked;
        Self::new(what, format!("at most {asked}"), found, passed)
    }

    /// A number that may not be less than this one.
    pub(crate) fn at_least<T: Display + PartialOrd>(what: &str, asked: T, found: T) -> Self {
        let passed = found >= asked;
        Self::new(what, format!("at least {asked}"), found, passed)
    }

    /// A time that may not be longer than this one.
    pub(crate) fn within(what: &str, asked: Duration, found: Duration) -> Self {
        let asked_ms = format!("at most {}", milliseconds(asked));
        Self::new(what, asked_ms, milliseconds(found), found <= asked)
    }
}

pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The median gap after a kill.
    pub gap_p50: Duration,
    /// The gap after all kills but one in a hundred.
    pub gap_p99: Duration,
    /// Until a hung host is found.
    pub hang_found: Duration,
    /// Until frames pass again after a host hangs.
    pub hang_back: Duration,
}

impl Limits {
    /// What is promised for a release build that has the machine to itself.
    pub const PROMISED: Self = Self {
        gap_p50: Duration::from_millis(20),
        gap_p99: Duration::from_millis(100),
        hang_found: Duration::from_millis(1000),
        hang_back: Duration::from_millis(1500),
    };

    /// For a debug build, or beside whatever else the machine does: what is lost is exact there too, but not how long
    /// anything takes.
    pub const BESIDE_OTHERS: Self = Self {
        gap_p50: Duration::from_millis(500),
        gap_p99: Duration::from_millis(2000),
        hang_found: Duration::from_millis(2000),
        hang_back: Duration::from_millis(5000),
    };
}

/// Times, from the shortest to the longest.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Spread {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Spread {
    /// Each quantile is one of the values, the next longer one where it lies between two.
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |hundredths: usize| {
            let rank = (times.len() * hundredths).div_ceil(100).max(1);
            times
                .get(rank - 1)
                .map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        Self {
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
        }
    }

    pub(crate) fn checks(self, what: &str, p50: Duration, p99: Duration) -> Vec<Check> {
        let check = |name: &str, limit: Duration, found: f64| {
            let (what, asked) = (format!("{what}, {name}"), milliseconds(limit));
            let passed = found <= limit.as_secs_f64() * 1e3;
            Check::new(
                &what,
                format!("at most {asked}"),
                format!("{found:.1} ms"),
                passed,
            )
        };
        vec![
            check("p50", p50, self.p50_ms),
            check("p99", p99, self.p99_ms),
            Check::new(
                &format!("{what}, longest"),
                "told",
                format!("{:.1} ms", self.max_ms),
                true,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let spread = Spread::of((1..=200).rev().map(Duration::from_millis).collect());
        assert_eq!(
            (spread.p50_ms, spread.p99_ms, spread.max_ms),
            (100.0, 198.0, 200.0)
        );
        let spread = Spread::of(vec![Duration::from_millis(7)]);
        assert_eq!(
            (spread.p50_ms, spread.p99_ms, spread.max_ms),
            (7.0, 7.0, 7.0)
        );
    }

    #[test]
    fn a_limit_that_is_missed_does_not_pass() {
        assert!(Check::at_most("x", 3, 3).passed);
        assert!(!Check::at_most("x", 3, 4).passed);
        assert!(!Check::exactly("x", 3, 2).passed);
        let spread = Spread::of(vec![Duration::from_millis(7)]);
        let checks = spread.checks("x", Duration::from_millis(6), Duration::from_millis(7));
        let passed: Vec<bool> = checks.iter().map(|check| check.passed).collect();
        assert_eq!(passed, [false, true, true]);
    }
}
