//! Clocks.

#![allow(non_snake_case)] // C's names

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::clock::{Timeout, from_units, system_time};
use crate::abi::NtStatus;
use crate::door::foreign::{In, Out};
use crate::door::table::{Functions, entries};

pub(crate) const FUNCTIONS: Functions = entries![
    GetTickCount,
    GetTickCount64,
    QueryPerformanceCounter,
    QueryPerformanceFrequency,
    GetSystemTimeAsFileTime,
    KeDelayExecutionThread,
    KeStallExecutionProcessor,
    KeQuerySystemTimePrecise,
    KeQueryInterruptTime,
    KeQueryPerformanceCounter,
    KeQueryTickCount,
    KeQueryTimeIncrement,
];

/// Counts a second, of the performance counter: Windows has this number too.
const FREQUENCY: i64 = 10_000_000;
/// 100 ns in a tick: Windows ticks 64 times a second.
const TIME_INCREMENT: u32 = 156_250;
/// A stall longer than this is cut short, as it is meant for microseconds.
const LONGEST_STALL: Duration = Duration::from_millis(50);

/// 100 ns since some moment before the first client was loaded. Not zero, so
/// that differences to a time before that moment stay positive.
fn uptime() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let since = START.elapsed() + Duration::from_secs(3600);
    u64::try_from(since.as_nanos() / 100).unwrap_or(u64::MAX)
}

fn count() -> i64 {
    i64::try_from(uptime()).unwrap_or(i64::MAX)
}

extern "C" fn GetTickCount() -> u32 {
    (GetTickCount64() & u64::from(u32::MAX)) as u32
}

extern "C" fn GetTickCount64() -> u64 {
    uptime() / 10_000
}

extern "C" fn QueryPerformanceCounter(place: Out<'_, i64>) -> i32 {
    place.store(count());
    1
}

extern "C" fn QueryPerformanceFrequency(place: Out<'_, i64>) -> i32 {
    place.store(FREQUENCY);
    1
}

extern "C" fn GetSystemTimeAsFileTime(place: Out<'_, i64>) {
    place.store(system_time());
}

extern "C" fn KeDelayExecutionThread(_mode: i8, _alertable: u8, interval: In<'_, i64>) -> NtStatus {
    match Timeout::of(interval) {
        Timeout::Never => return NtStatus::INVALID_PARAMETER,
        Timeout::After(time) => std::thread::sleep(time),
    }
    NtStatus::SUCCESS
}

extern "C" fn KeStallExecutionProcessor(microseconds: u32) {
    let stall = Duration::from_micros(microseconds.into()).min(LONGEST_STALL);
    let end = Instant::now() + stall;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

extern "C" fn KeQuerySystemTimePrecise(place: Out<'_, i64>) {
    place.store(system_time());
}

extern "C" fn KeQueryInterruptTime() -> u64 {
    uptime()
}

extern "C" fn KeQueryPerformanceCounter(frequency: Out<'_, i64>) -> i64 {
    frequency.store(FREQUENCY);
    count()
}

extern "C" fn KeQueryTickCount(place: Out<'_, i64>) {
    place.store(count() / i64::from(TIME_INCREMENT));
}

extern "C" fn KeQueryTimeIncrement() -> u32 {
    debug_assert!(from_units(TIME_INCREMENT.into()) == Duration::from_micros(15_625));
    TIME_INCREMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(call: extern "C" fn(Out<'_, i64>)) -> i64 {
        let mut value = -1;
        call(Out::of(&mut value));
        value
    }

    #[test]
    fn all_clocks_tell_the_same_time() {
        let (ticks, counts) = (GetTickCount64(), count());
        let ke = KeQueryInterruptTime();
        assert!(ke.abs_diff(ticks * 10_000) < 20_000_000);
        assert!(ke.abs_diff(counts.unsigned_abs()) < 20_000_000);
        assert_eq!(u64::from(GetTickCount()), GetTickCount64() & 0xffff_ffff);
        let tick = read(KeQueryTickCount) * i64::from(KeQueryTimeIncrement());
        assert!(tick.abs_diff(counts) < 20_000_000);
    }

    #[test]
    fn the_performance_counter_counts_at_its_frequency() {
        let (mut before, mut after, mut frequency) = (0, 0, 0);
        let ok = QueryPerformanceFrequency(Out::of(&mut frequency));
        let ok = ok & QueryPerformanceCounter(Out::of(&mut before));
        std::thread::sleep(Duration::from_millis(10));
        let ok = ok & QueryPerformanceCounter(Out::of(&mut after));
        assert_eq!(ok, 1);
        assert!(after - before >= frequency / 100);
        let mut same = 0;
        assert!(KeQueryPerformanceCounter(Out::of(&mut same)) >= after);
        assert_eq!(same, frequency);
    }

    #[test]
    fn system_times_are_of_this_century() {
        let year_2020 = 132_223_104_000_000_000;
        assert!(read(GetSystemTimeAsFileTime) > year_2020);
        let (first, second) = (system_time(), read(KeQuerySystemTimePrecise));
        assert!(second >= first && second - first < 50_000_000);
    }

    #[test]
    fn delays_take_their_time() {
        let begin = Instant::now();
        let ten_milliseconds = -100_000;
        let status = KeDelayExecutionThread(0, 0, In::of(&ten_milliseconds));
        assert_eq!(status, NtStatus::SUCCESS);
        KeStallExecutionProcessor(1000);
        assert!(begin.elapsed() >= Duration::from_millis(11));
        let status = KeDelayExecutionThread(0, 0, In::NULL);
        assert_eq!(status, NtStatus::INVALID_PARAMETER);
    }
}
