//! Measuring a hot loop without reading a clock in it: the loop counts, a second thread samples.
//!
//! The window opens a warm-up after the first unit was seen and closes after `--seconds`, or when
//! the loop ends by itself. Its ends are the sampler's own readings, so a sampler that is
//! scheduled late widens the window and the count alike, and the rate stays true.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::args::{Args, usage};
use super::error::{TrafficError, socket};
use super::sockets::Deadline;

/// Between two looks at the counters: 100 wake-ups a second are lost in any rate worth measuring.
const TICK: Duration = Duration::from_millis(10);

/// What the hot loop keeps up to date and the sampler reads. One writer: plain stores suffice.
#[derive(Default)]
pub(super) struct Counters {
    count: AtomicU64,
    bytes: AtomicU64,
    stop: AtomicBool,
    ended: AtomicBool,
}

impl Counters {
    pub(super) fn set(&self, count: u64, bytes: u64) {
        self.bytes.store(bytes, Relaxed);
        self.count.store(count, Relaxed);
    }

    /// The loop asks: has the sampler seen enough?
    pub(super) fn should_stop(&self) -> bool {
        self.stop.load(Relaxed)
    }

    fn read(&self) -> (u64, u64) {
        (self.count.load(Relaxed), self.bytes.load(Relaxed))
    }
}

/// When to count, and which interface to watch meanwhile.
#[derive(Debug)]
pub(super) struct Window {
    warmup: Duration,
    length: Option<Duration>,
    interface: Option<String>,
    deadline: Deadline,
}

impl Window {
    /// From `--warmup`, `--seconds`, `--interface` and `--deadline`.
    pub(super) fn from_args(args: &mut Args) -> Result<Self, TrafficError> {
        Ok(Self {
            warmup: args.seconds("warmup")?.unwrap_or_default(),
            length: args.seconds("seconds")?,
            interface: args.optional("interface")?,
            deadline: Deadline::from_args(args)?,
        })
    }

    /// The same with `--seconds` required: for loops that would never end by themselves.
    pub(super) fn bounded(args: &mut Args) -> Result<Self, TrafficError> {
        let window = Self::from_args(args)?;
        match window.length {
            Some(_) => Ok(window),
            None => Err(usage("--seconds is missing".to_owned())),
        }
    }

    pub(super) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Runs `hot_loop` on its own thread and samples it until the window closes or the loop ends.
    pub(super) fn measure<F>(&self, hot_loop: F) -> Result<Value, TrafficError>
    where
        F: FnOnce(&Counters) -> Result<(), TrafficError> + Send,
    {
        let counters = Counters::default();
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let outcome = hot_loop(&counters);
                counters.ended.store(true, Relaxed);
                outcome
            });
            let sampled = self.sample(&counters);
            counters.stop.store(true, Relaxed);
            match worker.join() {
                Ok(outcome) => outcome?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
            let mut facts = sampled?;
            let (count, bytes) = counters.read();
            facts["total_count"] = json!(count);
            facts["total_bytes"] = json!(bytes);
            Ok(facts)
        })
    }

    fn sample(&self, counters: &Counters) -> Result<Value, TrafficError> {
        let started = Instant::now();
        let first = self.wait_for_first(counters)?;
        self.sleep_while_running(counters, first + self.warmup)?;
        let open = Sample::take(counters);
        let interface_open = self.interface_counters()?;
        let (close, last) = self.watch(counters, &open)?;
        let interface_close = self.interface_counters()?;

        let mut facts = close.rates_since(&open);
        facts["first_s"] = json!((first - started).as_secs_f64());
        facts["last_s"] = json!((last - started).as_secs_f64());
        facts["total_s"] = json!(started.elapsed().as_secs_f64());
        if let (Some(open), Some(close)) = (interface_open, interface_close) {
            facts["interface"] = close.rates_since(&open);
        }
        Ok(facts)
    }

    fn wait_for_first(&self, counters: &Counters) -> Result<Instant, TrafficError> {
        while counters.read().0 == 0 && !counters.ended.load(Relaxed) {
            self.deadline.check("wait for the first bytes")?;
            thread::sleep(TICK / 2);
        }
        Ok(Instant::now())
    }

    fn sleep_while_running(&self, counters: &Counters, until: Instant) -> Result<(), TrafficError> {
        while Instant::now() < until && !counters.ended.load(Relaxed) {
            self.deadline.check("warm up")?;
            thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    /// Follows the counters until the window is over; answers its end and when they last moved.
    /// A loop that ended by itself closes the window where its counters last moved.
    fn watch(&self, counters: &Counters, open: &Sample) -> Result<(Sample, Instant), TrafficError> {
        let mut moved = open.clone();
        loop {
            let ended = counters.ended.load(Relaxed);
            let now = Sample::take(counters);
            if now.count != moved.count {
                moved = now.clone();
            }
            if ended {
                let last = moved.at;
                return Ok((moved, last));
            }
            let left = self
                .length
                .map(|length| (open.at + length).saturating_duration_since(now.at));
            match left {
                Some(Duration::ZERO) => return Ok((now, moved.at)),
                _ => thread::sleep(left.unwrap_or(TICK).min(TICK)),
            }
            self.deadline.check("measure")?;
        }
    }

    fn interface_counters(&self) -> Result<Option<InterfaceSample>, TrafficError> {
        self.interface
            .as_deref()
            .map(InterfaceSample::take)
            .transpose()
    }
}

#[derive(Clone, Debug)]
struct Sample {
    at: Instant,
    count: u64,
    bytes: u64,
}

impl Sample {
    fn take(counters: &Counters) -> Self {
        let (count, bytes) = counters.read();
        Self {
            at: Instant::now(),
            count,
            bytes,
        }
    }

    fn rates_since(&self, open: &Self) -> Value {
        let seconds = (self.at - open.at).as_secs_f64();
        let (count, bytes) = (self.count - open.count, self.bytes - open.bytes);
        json!({
            "seconds": seconds,
            "count": count,
            "bytes": bytes,
            "per_s": per_second(count, seconds),
            "mbit_per_s": per_second(bytes, seconds) * 8e-6,
        })
    }
}

/// An interface's own counters, as the kernel shows them.
struct InterfaceSample {
    at: Instant,
    values: [u64; 4],
}

const STATISTICS: [&str; 4] = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"];

impl InterfaceSample {
    /// From `/proc/net/dev`, which knows the caller's network namespace; `/sys/class/net` shows
    /// that of whoever mounted it.
    fn take(name: &str) -> Result<Self, TrafficError> {
        let table =
            std::fs::read_to_string("/proc/net/dev").map_err(socket("read /proc/net/dev"))?;
        match counters_of(name, &table) {
            Some(values) => Ok(Self {
                at: Instant::now(),
                values,
            }),
            None => Err(usage(format!("--interface {name}: no such interface"))),
        }
    }

    fn rates_since(&self, open: &Self) -> Value {
        let seconds = (self.at - open.at).as_secs_f64();
        let mut facts = json!({ "seconds": seconds });
        for ((name, close), open) in STATISTICS.iter().zip(self.values).zip(open.values) {
            let delta = close.saturating_sub(open);
            facts[*name] = json!(delta);
            facts[format!("{name}_per_s")] = json!(per_second(delta, seconds));
        }
        facts
    }
}

/// The columns of one line: eight about receiving, then eight about sending.
fn counters_of(name: &str, table: &str) -> Option<[u64; 4]> {
    let columns = |line: &str| {
        Some(
            line.trim_start()
                .strip_prefix(name)?
                .strip_prefix(':')?
                .to_owned(),
        )
    };
    let line = table.lines().find_map(columns)?;
    let values: Vec<u64> = line
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    Some([
        *values.get(1)?,
        *values.first()?,
        *values.get(9)?,
        *values.get(8)?,
    ])
}

pub(super) fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(warmup_ms: u64, length_ms: Option<u64>) -> Window {
        Window {
            warmup: Duration::from_millis(warmup_ms),
            length: length_ms.map(Duration::from_millis),
            interface: Some("lo".to_owned()),
            deadline: Deadline::after(Duration::from_secs(10)),
        }
    }

    /// Counts once a millisecond, by the clock, until told to stop or `ends_after`.
    fn count_milliseconds(counters: &Counters, ends_after: Duration) -> Result<(), TrafficError> {
        let started = Instant::now();
        while !counters.should_stop() && started.elapsed() < ends_after {
            let count = started.elapsed().as_millis() as u64;
            counters.set(count, 10 * count);
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    #[test]
    fn the_rate_is_that_of_the_window_alone() {
        let facts = window(50, Some(200))
            .measure(|counters| count_milliseconds(counters, Duration::from_secs(60)))
            .unwrap();
        let rate = facts["per_s"].as_f64().unwrap();
        assert!((900.0..1100.0).contains(&rate), "{facts}");
        assert!(facts["seconds"].as_f64().unwrap() >= 0.2, "{facts}");
        assert!(
            facts["count"].as_u64() < facts["total_count"].as_u64(),
            "{facts}"
        );
        assert!(facts["interface"]["rx_packets"].is_u64(), "{facts}");
    }

    #[test]
    fn a_loop_that_ends_closes_the_window_where_it_last_counted() {
        let facts = window(0, None)
            .measure(|counters| {
                count_milliseconds(counters, Duration::from_millis(100))?;
                thread::sleep(Duration::from_millis(200));
                Ok(())
            })
            .unwrap();
        assert!(facts["seconds"].as_f64().unwrap() < 0.2, "{facts}");
        assert!(facts["total_s"].as_f64().unwrap() >= 0.3, "{facts}");
    }

    #[test]
    fn an_interface_is_found_by_its_whole_name() {
        let table = " face |bytes packets\n  tap10: 1 2 0 0 0 0 0 0 3 4 0\n   tap1:50 6 0 0 0 0 0 0 70 8 0\n";
        assert_eq!(counters_of("tap1", table), Some([6, 50, 8, 70]));
        assert_eq!(counters_of("tap", table), None);
    }

    #[test]
    fn nothing_to_count_ends_at_the_deadline() {
        let mut window = window(0, Some(100));
        window.deadline = Deadline::after(Duration::from_millis(50));
        let idle = |counters: &Counters| {
            while !counters.should_stop() {
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        };
        assert!(matches!(
            window.measure(idle),
            Err(TrafficError::Deadline { .. })
        ));
    }

    #[test]
    fn the_loops_own_error_is_the_one_reported() {
        let failing = |_: &Counters| Err(usage("broken".to_owned()));
        let error = window(0, Some(100)).measure(failing).unwrap_err();
        assert!(error.to_string().starts_with("broken"), "{error}");
    }
}
