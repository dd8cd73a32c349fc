//! Everything at once between two ends: streams both ways with digests, a session as somebody
//! types it, and numbered probes both ways; or one stream alone. It lasts as long as what is done to the driver meanwhile.

use crate::guest::{Guest, Job};
use crate::{Error, Result};
use serde_json::Value;
use std::time::Duration;

/// Streams each way.
const STREAMS: u16 = 4;
/// Probes each way in a second.
const RATE: u32 = 1000;
/// The longest gaps that are told.
const GAPS: usize = 512;
/// For the tools: no scenario lasts longer.
const DEADLINE: u32 = 3600;
/// After the end is announced, what is under way may take so long: one retransmission that has
/// backed off many times, on a machine that does other things too.
const LAST_BYTES: Duration = Duration::from_secs(90);
/// The file that ends it.
const OVER: &str = "/run/load.over";

/// A load that runs. Dropped, it is killed.
#[derive(Debug)]
pub struct Load {
    guest: Guest,
    /// What sends and what receives.
    streams: Vec<[Job; 2]>,
    /// Sender and sink.
    probes: Vec<[Job; 2]>,
    session: Job,
    _echo: Job,
}

/// What became of a load.
#[derive(Debug)]
pub struct Findings {
    /// Bytes that the streams have moved, from near to far and back.
    pub bytes: [u64; 2],
    /// The longest time in milliseconds until a typed byte came back.
    pub slowest_echo_ms: f64,
    /// Bytes typed.
    pub typed: u64,
    /// The numbered probes, from near to far and back.
    pub probes: [Probes; 2],
}

/// Numbered probes of one direction.
#[derive(Debug, Default)]
pub struct Probes {
    /// What the sender's socket has taken.
    pub sent: u64,
    /// Different ones that came.
    pub received: u64,
    /// Times without any, the longest first, in milliseconds.
    pub gaps_ms: Vec<f64>,
}

impl Load {
    /// Starts all of it between two places of one guest, at these addresses.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn start(near: &Guest, far: &Guest, addresses: [&str; 2]) -> Result<Self> {
        near.ok(&format!("rm -f {OVER}"));
        let [here, there] = addresses;
        let (ways, mut streams, mut probes) = (
            [(near, far, there), (far, near, here)],
            Vec::new(),
            Vec::new(),
        );
        for (way, (from, to, address)) in ways.into_iter().enumerate() {
            let first = 5000 + 100 * u16::try_from(way).unwrap_or_default();
            for port in first..first + STREAMS {
                streams.push(stream(from, to, address, port)?);
            }
            probes.push(probe(from, to, address)?);
        }
        let words = format!("echo --listen {there}:7000");
        let echo = tool(far, &words)?;
        let words = format!("round-trip --to {there}:7000 --seconds {DEADLINE} --pause 0.1");
        let session = tool(near, &format!("{words} --until {OVER}"))?;
        Ok(Self {
            guest: near.clone(),
            streams,
            probes,
            session,
            _echo: echo,
        })
    }

    /// Ends it. Every stream must have come whole, every probe at most once and unaltered, and
    /// every connection must have lived to its end.
    ///
    /// # Errors
    /// [`Error::Command`] with the story of what failed.
    pub fn finish(self) -> Result<Findings> {
        self.guest.ok(&format!(": > {OVER}"));
        let mut bytes = [0; 2];
        for (index, pair) in self.streams.into_iter().enumerate() {
            bytes[index / usize::from(STREAMS)] += whole(pair)?;
        }
        let mut probes = Vec::new();
        for pair in self.probes {
            let [sent, got] = facts_of(pair)?;
            let gaps = got["gaps_ms"].as_array().into_iter().flatten();
            probes.push(Probes {
                sent: sent["sent"].as_u64().unwrap_or_default(),
                received: got["received"].as_u64().unwrap_or_default(),
                gaps_ms: gaps.filter_map(Value::as_f64).collect(),
            });
        }
        let session = facts(self.session)?;
        let back = probes.pop().unwrap_or_default();
        Ok(Findings {
            bytes,
            slowest_echo_ms: session["latency_us"]["max"].as_f64().unwrap_or_default() / 1000.0,
            typed: session["transactions"].as_u64().unwrap_or_default(),
            probes: [probes.pop().unwrap_or_default(), back],
        })
    }
}

impl Probes {
    /// The gap that so many hundredths of the `count` longest gaps do not exceed. Where each of
    /// `count` events made one gap, it is that of the events or a longer one.
    pub fn percentile_ms(&self, count: usize, hundredths: usize) -> f64 {
        let longest = &self.gaps_ms[..count.min(self.gaps_ms.len())];
        let rank = (longest.len() * hundredths).div_ceil(100).max(1);
        longest
            .len()
            .checked_sub(rank)
            .map_or(0.0, |from_the_longest| longest[from_the_longest])
    }

    /// Those that did not come.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

/// One stream that lasts until it is told to end. Dropped, it is killed.
#[derive(Debug)]
pub struct Transfer {
    near: Guest,
    far: Guest,
    pair: [Job; 2],
}

impl Transfer {
    /// Starts it from `near` to `far`, at this address.
    ///
    /// # Errors
    /// When a guest does not answer.
    pub fn start(near: &Guest, far: &Guest, address: &str) -> Result<Self> {
        near.ok(&format!("rm -f {OVER}"));
        let pair = stream(near, far, address, 5001)?;
        let (near, far) = (near.clone(), far.clone());
        Ok(Self { near, far, pair })
    }

    /// Bytes move: the far end's interfaces count 256 KiB more than they have so far.
    ///
    /// # Panics
    /// When they do not, for a quarter of a minute.
    #[track_caller]
    pub fn moves(&self) {
        let count = "cat /sys/class/net/e*/statistics/rx_bytes | tr '\\n' + | sed 's/+$//'";
        self.far.ok(&format!(
            "before=$(($({count}))); n=0; until [ $(($({count}))) -gt $((before + 262144)) ]; do \
             n=$((n+1)); [ $n -lt 150 ] || exit 1; sleep 0.1; done"
        ));
    }

    /// Ends it; it must have come whole.
    ///
    /// # Errors
    /// [`Error::Command`] with what either end said.
    pub fn finish(self) -> Result<()> {
        self.near.ok(&format!(": > {OVER}"));
        whole(self.pair).map(drop)
    }
}

/// The bytes of a stream that came as they were sent.
fn whole(pair: [Job; 2]) -> Result<u64> {
    let [sent, got] = facts_of(pair)?;
    let moved = sent["bytes"].as_u64().unwrap_or_default();
    if moved == 0 || sent["xxh3_128"] != got["xxh3_128"] || got["bytes"] != sent["bytes"] {
        return Err(Error::Command(format!("{sent} sent, {got} received")));
    }
    Ok(moved)
}

fn tool(guest: &Guest, words: &str) -> Result<Job> {
    guest.spawn(&format!(
        "exec guest-runner traffic {words} --deadline {DEADLINE}"
    ))
}

fn stream(from: &Guest, to: &Guest, address: &str, port: u16) -> Result<[Job; 2]> {
    let receive = format!("receive --listen {address}:{port} --seed {port}");
    let receiver = tool(to, &receive)?;
    let send = format!("send --to {address}:{port} --seed {port} --until {OVER}");
    Ok([tool(from, &send)?, receiver])
}

fn probe(from: &Guest, to: &Guest, address: &str) -> Result<[Job; 2]> {
    let sink = format!("probe-sink --listen {address}:6000 --until {OVER} --gaps {GAPS}");
    let sink = tool(to, &sink)?;
    let send = format!("probe --to {address}:6000 --rate {RATE} --until {OVER}");
    Ok([tool(from, &send)?, sink])
}

fn facts_of(pair: [Job; 2]) -> Result<[Value; 2]> {
    let [sender, receiver] = pair;
    Ok([facts(sender)?, facts(receiver)?])
}

fn facts(mut job: Job) -> Result<Value> {
    let output = job.wait(LAST_BYTES)?;
    let story = output.story();
    let line = output.into_stdout()?;
    serde_json::from_str(&line).map_err(|error| Error::Command(format!("{error}: {story}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_taken_from_the_longest_gaps() {
        let probes = Probes {
            gaps_ms: (1..=200).rev().map(f64::from).collect(),
            ..Probes::default()
        };
        assert!((probes.percentile_ms(100, 100) - 200.0).abs() < 0.1);
        assert!((probes.percentile_ms(100, 99) - 199.0).abs() < 0.1);
        assert!((probes.percentile_ms(100, 50) - 150.0).abs() < 0.1);
        assert!((probes.percentile_ms(1, 50) - 200.0).abs() < 0.1);
        assert!(Probes::default().percentile_ms(5, 50).abs() < 0.1);
    }
}
