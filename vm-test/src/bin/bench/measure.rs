//! One figure: one kind of traffic over one card.
//!
//! Whoever receives counts, and the guest's clock is the one that matters: without `--icount` it
//! runs like the host's, with it the host's means nothing. So what leaves the guest is counted by
//! the far end in ordinary time, and set against the guest's seconds in deterministic time.

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use vm_test::report::{Driver, Metric};
use vm_test::{Error, HostJob, Result};

use crate::testbed::{Card, PATIENCE, Testbed};

/// First word with which this program plays the far end.
pub(crate) const FAR_END: &str = "traffic";

/// Payload of a small datagram, in bytes: with its headers the smallest Ethernet frame.
const SMALL: usize = 18;
/// Requests under way at once in deterministic time.
const ICOUNT_CONNECTIONS: usize = 8;

/// A kind of traffic; the discriminant is its place in [`Traffic::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    TcpToGuest,
    TcpFromGuest,
    UdpToGuest,
    UdpFromGuest,
    RoundTrip,
}

impl Traffic {
    pub(crate) const ALL: [Self; 5] = [
        Self::TcpToGuest,
        Self::TcpFromGuest,
        Self::UdpToGuest,
        Self::UdpFromGuest,
        Self::RoundTrip,
    ];

    /// The order of one round. Many short trips rather than few long ones: on a busy machine the
    /// median of many wanders less, and small packets wander most. Deterministic time does not
    /// wander: there each kind comes once, for longer.
    pub(crate) fn one_round(icount: bool) -> &'static [Self] {
        use Traffic::{RoundTrip, TcpFromGuest, TcpToGuest, UdpFromGuest, UdpToGuest};
        if icount {
            return &Self::ALL;
        }
        &[
            TcpToGuest,
            UdpToGuest,
            UdpFromGuest,
            RoundTrip,
            TcpFromGuest,
            UdpToGuest,
            UdpFromGuest,
            RoundTrip,
            TcpToGuest,
            TcpFromGuest,
            UdpToGuest,
            UdpFromGuest,
            RoundTrip,
        ]
    }

    /// The kind whose row has this name.
    pub(crate) fn parse(name: &str) -> std::result::Result<Self, String> {
        let names = Self::ALL.map(|traffic| traffic.metric().name);
        let known = Self::ALL
            .into_iter()
            .find(|traffic| traffic.metric().name == name);
        known.ok_or_else(|| format!("rows are {}", names.join(", ")))
    }

    pub(crate) fn metric(self) -> Metric {
        let (name, label, unit) = match self {
            Self::TcpToGuest => ("tcp_to_guest", "TCP to the guest", "Mb/s"),
            Self::TcpFromGuest => ("tcp_from_guest", "TCP from the guest", "Mb/s"),
            Self::UdpToGuest => ("udp_to_guest", "18-byte UDP to the guest", "kpps"),
            Self::UdpFromGuest => ("udp_from_guest", "18-byte UDP from the guest", "kpps"),
            Self::RoundTrip => ("round_trip", "Request and reply", "/s"),
        };
        Metric { name, label, unit }
    }
}

/// How long to count, in seconds of whoever counts.
struct Windows {
    stream: f64,
    small: f64,
    warmup: f64,
}

impl Windows {
    const SHORT: Self = Self {
        stream: 0.7,
        small: 0.45,
        warmup: 0.2,
    };
    /// A sender that counts for itself counts what its growing socket buffer took in, too; a longer
    /// warm-up and window keep that below the 1 % by which figures repeat.
    const LONG: Self = Self {
        stream: 1.0,
        small: 0.8,
        warmup: 0.4,
    };
}

/// Takes figures.
pub(crate) struct Meter<'a> {
    pub(crate) bed: &'a Testbed,
    pub(crate) icount: bool,
    udp_rate: Option<u32>,
    windows: Windows,
    next_port: AtomicU16,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(bed: &'a Testbed, icount: bool, udp_rate: Option<u32>) -> Self {
        Self {
            bed,
            icount,
            udp_rate,
            windows: if icount {
                Windows::LONG
            } else {
                Windows::SHORT
            },
            next_port: AtomicU16::new(20_000),
        }
    }

    /// One figure, in the unit of the traffic's metric; a second try if the first was spoilt.
    pub(crate) fn measure(&self, driver: Driver, traffic: Traffic) -> Result<f64> {
        let card = self.bed.card(driver)?;
        self.bed
            .in_turn(driver, || match self.measure_once(card, traffic) {
                Err(Error::Command(_)) => self.measure_once(card, traffic),
                other => other,
            })
    }

    fn measure_once(&self, card: &Card, traffic: Traffic) -> Result<f64> {
        let port = self.next_port.fetch_add(1, Relaxed);
        let guest = format!("{}:{port}", card.guest_address());
        let host = format!("{}:{port}", card.host_address());
        match traffic {
            Traffic::TcpToGuest => self.tcp_to_guest(&guest),
            Traffic::TcpFromGuest => self.tcp_from_guest(&host),
            Traffic::UdpToGuest => self.udp_to_guest(&guest),
            Traffic::UdpFromGuest => self.udp_from_guest(card, &host),
            Traffic::RoundTrip => self.round_trip(&host),
        }
    }

    fn tcp_to_guest(&self, guest: &str) -> Result<f64> {
        let Windows { stream, warmup, .. } = self.windows;
        let _flood = self.far_end(&format!("tcp-flood --to {guest} --seconds 60"))?;
        let facts = self.in_guest(&format!(
            "tcp-sink --listen {guest} --warmup {warmup} --seconds {stream}"
        ))?;
        whole_window(&facts, warmup + stream)?;
        number(&facts, "mbit_per_s")
    }

    fn tcp_from_guest(&self, host: &str) -> Result<f64> {
        let Windows { stream, warmup, .. } = self.windows;
        if self.icount {
            let _sink = self.far_end(&format!("tcp-sink --listen {host}"))?;
            let flood = format!("tcp-flood --to {host} --warmup {warmup} --seconds {stream}");
            return number(&self.in_guest(&flood)?, "mbit_per_s");
        }
        let sink = format!("tcp-sink --listen {host} --warmup {warmup} --seconds {stream}");
        let flood = format!("tcp-flood --to {host} --seconds 20");
        let facts = self.counted_by_far_end(&sink, &flood)?;
        whole_window(&facts, warmup + stream)?;
        number(&facts, "mbit_per_s")
    }

    fn udp_to_guest(&self, guest: &str) -> Result<f64> {
        let Windows { small, warmup, .. } = self.windows;
        let sink = format!("udp-sink --listen {guest} --warmup {warmup} --seconds {small}");
        let mut sink = self.bed.guest().spawn(&guest_line(&sink))?;
        let rate = self
            .udp_rate
            .map(|rate| format!(" --rate {rate}"))
            .unwrap_or_default();
        let _flood = self.far_end(&format!(
            "udp-flood --to {guest} --size {SMALL} --seconds 60{rate}"
        ))?;
        let facts = facts(&sink.wait(PATIENCE)?.into_stdout()?)?;
        whole_window(&facts, warmup + small)?;
        Ok(number(&facts, "per_s")? / 1000.0)
    }

    /// What the guest's socket took in the window, times the share of the whole flood that the
    /// TAP got: a driver's queue may drop silently, and what is still queued when the window
    /// closes must not count as sent in it.
    fn udp_from_guest(&self, card: &Card, host: &str) -> Result<f64> {
        let Windows { small, warmup, .. } = self.windows;
        let _sink = self.far_end(&format!("udp-sink --listen {host} --seconds 600"))?;
        let before = self.tap_packets(&card.tap)?;
        let flood =
            format!("udp-flood --to {host} --size {SMALL} --warmup {warmup} --seconds {small}");
        let flood = self.in_guest(&flood)?;
        let arrived = self.tap_packets_at_rest(&card.tap)? - before;
        let share = arrived / number(&flood, "total_count")?;
        Ok(number(&flood, "per_s")? * share / 1000.0)
    }

    /// In deterministic time one connection would mostly measure how long the host takes to
    /// answer, in its own time; several keep the guest busy.
    fn round_trip(&self, host: &str) -> Result<f64> {
        let Windows { small, warmup, .. } = self.windows;
        let connections = if self.icount { ICOUNT_CONNECTIONS } else { 1 };
        let _echo = self.far_end(&format!("echo --listen {host} --connections {connections}"))?;
        let ask = format!(
            "round-trip --to {host} --size 1 --warmup {warmup} --seconds {small} --connections {connections}"
        );
        number(&self.in_guest(&ask)?, "per_s")
    }

    /// Frames that the card's TAP has seen, both ways.
    pub(crate) fn frames(&self, driver: Driver) -> Result<f64> {
        self.both_ways(driver, [1, 9])
    }

    /// The bytes of these frames.
    pub(crate) fn bytes(&self, driver: Driver) -> Result<f64> {
        self.both_ways(driver, [0, 8])
    }

    fn both_ways(&self, driver: Driver, columns: [usize; 2]) -> Result<f64> {
        let card = self.bed.card(driver)?;
        let table = self.bed.net.run("cat /proc/net/dev")?.into_stdout()?;
        let [rx, tx] = columns.map(|column| counter(&table, &card.tap, column));
        let both = rx.and_then(|rx| Some(rx + tx?));
        both.ok_or_else(|| Error::Command(format!("no counters of {} in:\n{table}", card.tap)))
    }

    fn in_guest(&self, line: &str) -> Result<Value> {
        facts(
            &self
                .bed
                .guest()
                .run_for(&guest_line(line), PATIENCE)?
                .into_stdout()?,
        )
    }

    /// Starts this program as the far end; it is killed when the returned value goes.
    fn far_end(&self, line: &str) -> Result<HostJob> {
        let words: Vec<&str> = [FAR_END].into_iter().chain(line.split(' ')).collect();
        self.bed.net.spawn(&this_program()?, &words)
    }

    /// Runs `flood` in the guest while the far end runs `sink`; answers what the sink found.
    fn counted_by_far_end(&self, sink: &str, flood: &str) -> Result<Value> {
        let sink = format!("exec '{}' {FAR_END} {sink}", this_program()?);
        thread::scope(|scope| {
            let sink = scope.spawn(|| self.bed.net.run_for(&sink, PATIENCE));
            let flooded = self.in_guest(flood);
            let sunk = sink
                .join()
                .map_err(|_| Error::Command("the far end panicked".to_owned()))?;
            flooded?;
            facts(&sunk?.into_stdout()?)
        })
    }

    /// After the last frame has come through.
    fn tap_packets_at_rest(&self, tap: &str) -> Result<f64> {
        let mut before = self.tap_packets(tap)?;
        for _ in 0..40 {
            thread::sleep(Duration::from_millis(30));
            let now = self.tap_packets(tap)?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
        Err(Error::Command(format!("frames keep coming out of {tap}")))
    }

    fn tap_packets(&self, tap: &str) -> Result<f64> {
        let table = self.bed.net.run("cat /proc/net/dev")?.into_stdout()?;
        counter(&table, tap, 1)
            .ok_or_else(|| Error::Command(format!("no counters of {tap} in:\n{table}")))
    }
}

fn guest_line(line: &str) -> String {
    format!("exec guest-runner traffic {line}")
}

fn this_program() -> Result<String> {
    let path = std::env::current_exe();
    let path = path.map_err(|source| Error::Io {
        what: "finding this program".to_owned(),
        source,
    })?;
    Ok(path.display().to_string())
}

pub(crate) fn facts(stdout: &str) -> Result<Value> {
    serde_json::from_str(stdout).map_err(|error| Error::Command(format!("{error} in: {stdout}")))
}

pub(crate) fn number(facts: &Value, key: &str) -> Result<f64> {
    let found = facts[key].as_f64().filter(|number| *number > 0.0);
    found.ok_or_else(|| Error::Command(format!("no {key} in {facts}")))
}

/// The sender must have been sending until the window closed, or the rate is that of a pause.
fn whole_window(facts: &Value, seconds: f64) -> Result<()> {
    const PAUSE: f64 = 0.1;
    let quiet = number(facts, "first_s")? + seconds - number(facts, "last_s")?;
    if quiet <= PAUSE {
        return Ok(());
    }
    Err(Error::Command(format!(
        "nothing arrived for the last {quiet:.2} s: {facts}"
    )))
}

/// A column of `/proc/net/dev`: 1 has the packets received, 9 those transmitted.
fn counter(table: &str, interface: &str, column: usize) -> Option<f64> {
    let columns = |line: &str| {
        Some(
            line.trim_start()
                .strip_prefix(interface)?
                .strip_prefix(':')?
                .to_owned(),
        )
    };
    table
        .lines()
        .find_map(columns)?
        .split_whitespace()
        .nth(column)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_and_discriminants_agree() {
        let places = Traffic::ALL.map(|traffic| traffic as usize);
        assert_eq!(places, [0, 1, 2, 3, 4]);
        let names = Traffic::ALL.map(|traffic| traffic.metric().name);
        assert_eq!(
            names,
            [
                "tcp_to_guest",
                "tcp_from_guest",
                "udp_to_guest",
                "udp_from_guest",
                "round_trip"
            ]
        );
    }

    #[test]
    fn a_window_that_ended_in_silence_is_no_figure() {
        assert!(whole_window(&json!({ "first_s": 0.5, "last_s": 1.45 }), 1.0).is_ok());
        assert!(whole_window(&json!({ "first_s": 0.5, "last_s": 1.2 }), 1.0).is_err());
        assert!(whole_window(&json!({}), 1.0).is_err());
    }

    #[test]
    fn nothing_counted_is_no_figure() {
        assert!(number(&json!({ "per_s": 0.0 }), "per_s").is_err());
        assert!(number(&json!({ "per_s": "9" }), "per_s").is_err());
        assert_eq!(number(&json!({ "per_s": 9.5 }), "per_s").unwrap(), 9.5);
    }

    #[test]
    fn packets_are_those_of_the_whole_name() {
        let table = "  face |bytes packets\nbench10: 5 6 0\n bench1: 700 8 0 0 0 0 0 0 900 4 0\n";
        assert_eq!(counter(table, "bench1", 1), Some(8.0));
        assert_eq!(counter(table, "bench1", 9), Some(4.0));
        assert_eq!(counter(table, "bench", 1), None);
    }
}
