//! Time as Windows counts it: in 100 ns, since 1601 or relative.

use crate::door::foreign::In;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Units of 100 ns between 1601 and 1970.
const UNIX_EPOCH_IN_NT: i64 = 116_444_736_000_000_000;

/// How long a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// Until it has what it waits for.
    Never,
    /// No longer than that; zero only looks.
    After(Duration),
}

impl Timeout {
    /// `PLONGLONG`/`PLARGE_INTEGER` Timeout: NULL waits for ever.
    pub(crate) fn of(timeout: In<'_, i64>) -> Self {
        timeout.read().map_or(Self::Never, Self::from_nt)
    }

    /// Negative: relative, in 100 ns. Positive: a system time. Zero: only look.
    pub(crate) fn from_nt(timeout: i64) -> Self {
        let units = match timeout {
            ..=0 => timeout.unsigned_abs(),
            _ => u64::try_from(timeout.saturating_sub(system_time())).unwrap_or(0),
        };
        Self::After(from_units(units))
    }

    /// `dwMilliseconds`: all ones is INFINITE.
    pub(crate) fn from_milliseconds(milliseconds: u32) -> Self {
        match milliseconds {
            u32::MAX => Self::Never,
            _ => Self::After(Duration::from_millis(milliseconds.into())),
        }
    }

    /// When the waiting ends; `None` for never.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Never => None,
            Self::After(duration) => Instant::now().checked_add(duration),
        }
    }
}

/// A number of 100 ns.
pub(crate) fn from_units(units: u64) -> Duration {
    Duration::from_secs(units / 10_000_000) + Duration::from_nanos(units % 10_000_000 * 100)
}

/// The system time in 100 ns since 1601.
pub(crate) fn system_time() -> i64 {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let units = i64::try_from(since_1970.as_nanos() / 100).unwrap_or(i64::MAX);
    units.saturating_add(UNIX_EPOCH_IN_NT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_windows_means_them() {
        assert_eq!(Timeout::of(In::NULL), Timeout::Never);
        let relative = Timeout::from_nt(-15_000);
        assert_eq!(relative, Timeout::After(Duration::from_micros(1500)));
        assert_eq!(Timeout::from_nt(0), Timeout::After(Duration::ZERO));
        let past = Timeout::from_nt(1);
        assert_eq!(past, Timeout::After(Duration::ZERO));
        let Timeout::After(left) = Timeout::from_nt(system_time() + 50_000_000) else {
            panic!("an absolute time ends");
        };
        assert!(left > Duration::from_secs(4) && left <= Duration::from_secs(5));
        assert_eq!(Timeout::from_milliseconds(u32::MAX), Timeout::Never);
        let extreme = Timeout::from_nt(i64::MIN);
        assert!(extreme.deadline().is_some());
    }
}
