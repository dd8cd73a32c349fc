//! Contexts that look on for a while before they sleep.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::*;
use netadapter_shim::QueueStatistics;

/// Threads of contexts of this name; tests of one process tell theirs apart by it.
fn running_as(name: &str, busy_poll: Duration) -> Bench {
    let mut config = config();
    config.execution.name = name.to_owned();
    config.execution.busy_poll = busy_poll;
    let mut bench = bench_with(config, 1);
    bench.adapter.start().unwrap();
    bench.adapter.io_start().unwrap();
    bench
}

/// Processor time that the context of that name has had.
fn processor_time(name: &str) -> Duration {
    let thread = format!("{name}-q0\n");
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let mut its = tasks.filter(|task| {
        let called = fs::read_to_string(task.path().join("comm"));
        called.is_ok_and(|called| called == thread)
    });
    let task = its.next().expect("the context's thread");
    let ran = fs::read_to_string(task.path().join("schedstat")).unwrap();
    Duration::from_nanos(ran.split(' ').next().unwrap().parse().unwrap())
}

/// Long enough for a context to go to sleep, and short enough to be looked through.
const GAP: Duration = Duration::from_micros(30);

/// Frames, each of which comes soon after the one before has been received.
fn quick_succession(bench: &Bench, count: u32) -> QueueStatistics {
    for number in 0..count {
        let start = Instant::now();
        while start.elapsed() < GAP {
            std::hint::spin_loop();
        }
        bench.device.arrive(Arriving::new(frame(number, 60)));
        bench.seat.wait_receive(PATIENCE).expect("a frame");
    }
    bench.adapter.statistics().total()
}

#[test]
fn frames_in_quick_succession_are_waited_for_awake() {
    const COUNT: u32 = 2_000;
    let sleepy = quick_succession(&running_as("sleepy", Duration::ZERO), COUNT);
    assert_eq!(sleepy.busy_polls, 0);
    let awake = quick_succession(&running_as("awake", Duration::from_secs(1)), COUNT);
    println!(
        "{} sleeps of one, {} of the other, which found {} frames awake",
        sleepy.wakeups, awake.wakeups, awake.busy_polls
    );
    assert!(awake.wakeups < sleepy.wakeups / 4, "{awake:?}");
    assert!(awake.busy_polls > 0, "{awake:?}");
}

#[test]
fn a_context_without_work_sleeps_however_busy_it_was() {
    const NAME: &str = "idle";
    let bench = running_as(NAME, Duration::from_micros(1000));
    quick_succession(&bench, 2_000);
    // The look behind the last frame.
    std::thread::sleep(Duration::from_millis(50));
    let before = processor_time(NAME);
    std::thread::sleep(Duration::from_secs(2));
    let ran = processor_time(NAME) - before;
    println!("{ran:?} in two seconds");
    assert!(ran < Duration::from_millis(20), "{ran:?}, beyond 1 %");
}

#[test]
fn frames_that_come_slowly_are_not_looked_for() {
    let bench = running_as("slow", Duration::from_micros(1000));
    quick_succession(&bench, 2_000);
    // The first of them ends the looking.
    let mut polls = Vec::new();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(10));
        quick_succession(&bench, 1);
        polls.push(bench.adapter.statistics().total().polls);
    }
    let each = (polls[19] - polls[1]) / 18;
    println!("{each} turns a frame");
    assert!(each < 50, "{polls:?}");
}
