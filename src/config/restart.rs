//! What is done about driver hosts that die or hang.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::{Limit, MILLISECONDS, RESTARTS};
use super::settings::settings;

/// What is done about driver hosts that die or hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartConfig {
    /// A host that has lived so long is no longer young, and clears the count.
    pub settled_after: Duration,
    /// The wait after the third young death in a row; it doubles with each further one.
    pub first_delay: Duration,
    /// The longest wait.
    pub longest_delay: Duration,
    /// Young deaths in a row until the fallback.
    pub give_up_after: u32,
    /// The fallback.
    pub fallback: Fallback,
    /// How long the fallback lasts until the next attempt.
    pub retry_after: Duration,
    /// How long a host may show no sign of life until it is taken for hung.
    pub hang_after: Duration,
}

/// What becomes of the interface when driver hosts die one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// It stays without carrier, until the next attempt succeeds.
    LinkDown,
    /// The card goes back to the kernel's driver, and the run ends.
    Kernel,
}

impl Default for RestartConfig {
    fn default() -> Self {
        Self {
            settled_after: Duration::from_millis(500),
            first_delay: Duration::from_millis(20),
            longest_delay: Duration::from_millis(1500),
            give_up_after: 20,
            fallback: Fallback::LinkDown,
            retry_after: Duration::from_secs(30),
            hang_after: Duration::from_secs(1),
        }
    }
}

settings! {
    /// [`RestartConfig`] as a file gives it.
    struct RestartSettings {
        settled_after_ms: Option<i64>,
        first_delay_ms: Option<i64>,
        longest_delay_ms: Option<i64>,
        give_up_after: Option<i64>,
        fallback: Option<Fallback>,
        retry_after_ms: Option<i64>,
        hang_after_ms: Option<i64>,
    }
}

impl RestartSettings {
    /// Every number given, with its key and limit.
    pub(super) fn numbers(&self) -> [(&'static str, Option<i64>, Limit); 6] {
        [
            (
                "restart.settled_after_ms",
                self.settled_after_ms,
                MILLISECONDS,
            ),
            ("restart.first_delay_ms", self.first_delay_ms, MILLISECONDS),
            (
                "restart.longest_delay_ms",
                self.longest_delay_ms,
                MILLISECONDS,
            ),
            ("restart.give_up_after", self.give_up_after, RESTARTS),
            ("restart.retry_after_ms", self.retry_after_ms, MILLISECONDS),
            ("restart.hang_after_ms", self.hang_after_ms, MILLISECONDS),
        ]
    }
}

impl From<RestartSettings> for RestartConfig {
    fn from(settings: RestartSettings) -> Self {
        let built_in = Self::default();
        let time = |given: Option<i64>, built_in: Duration| {
            let given = given.and_then(|n| u64::try_from(n).ok());
            given.map_or(built_in, Duration::from_millis)
        };
        let count = settings.give_up_after.and_then(|n| u32::try_from(n).ok());
        Self {
            settled_after: time(settings.settled_after_ms, built_in.settled_after),
            first_delay: time(settings.first_delay_ms, built_in.first_delay),
            longest_delay: time(settings.longest_delay_ms, built_in.longest_delay),
            give_up_after: count.unwrap_or(built_in.give_up_after),
            fallback: settings.fallback.unwrap_or(built_in.fallback),
            retry_after: time(settings.retry_after_ms, built_in.retry_after),
            hang_after: time(settings.hang_after_ms, built_in.hang_after),
        }
    }
}
