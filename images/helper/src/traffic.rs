//! Traffic tools: small, plain socket programs that come in pairs, one per end of a link.
//!
//! Why not iperf3 alone: a comparison of two drivers wants the same few system calls per unit of
//! work on either side and nothing else. iperf3 adds a control connection over the measured link,
//! a `select` and a timer check per datagram, and reports what its own clock saw at the sender.
//! Here the hot loop is one `send` or `recv`; a second thread samples a counter, so no clock is
//! read per packet, and the receiver itself says in which window it counted.
//!
//! Every verb prints one line of JSON on stdout and ends with exit code 0 (what it checks held),
//! 1 (it did not, or a deadline passed; the line then carries `error`) or 2 (usage). A listener
//! says `listening ADDR` on stderr once it can be reached, which also resolves port 0.

mod args;
mod bulk;
mod datagrams;
mod error;
mod latency;
mod meter;
mod packet_rate;
mod pattern;
mod probe;
mod sockets;
mod stream_rate;
mod switching;
mod tap_calls;

use std::process::ExitCode;

use serde_json::{Value, json};

use args::Args;
use error::TrafficError;

const HELP: &str = "\
guest-runner traffic: socket programs for tests and measurements, one line of JSON each

usage: guest-runner traffic <verb> --option value ...

integrity
  send        --to ADDR --bytes N [--seed S]        seeded random bytes over TCP, digest printed
              [--until FILE]                        ... as many as go until that file is there
  receive     --listen ADDR [--bytes N] [--seed S]  reads to the end, digest printed;
                                                    with a seed says which bytes differ
  udp-echo    --listen ADDR [--seconds S]           sends every datagram back
              [--group ADDR --group-on IF]          ... after joining a multicast group
  udp-check   --to ADDR [--sizes 1,59,...] [--count 4] [--seed S] [--retries 5]
              [--from IP] [--segment BYTES]         compares every echoed byte; a segment is what
                                                    the kernel cuts each into (UDP_SEGMENT)
  probe       --to ADDR [--rate 1000] [--size 64] --until FILE
                                                    numbered datagrams at a steady rate
  probe-sink  --listen ADDR --until FILE [--gaps N] which of them came, twice or altered, and the
                                                    N longest times without any (10)
rate
  tcp-flood   --to ADDR --seconds S [--warmup W]    writes as fast as the socket takes it
  tcp-sink    --listen ADDR [--seconds S] [--warmup W]
                                                    counts; closes after S, or reads to the end
  udp-flood   --to ADDR --seconds S [--size 18] [--rate PPS]
                                                    datagrams, unpaced or at PPS per second
  udp-sink    --listen ADDR --seconds S [--warmup W]
                                                    counts from W after the first datagram
  echo        --listen ADDR [--connections N]       sends every byte back
  round-trip  --to ADDR --seconds S [--size 1] [--warmup W]
              [--connections N]                     one request, one reply, with percentiles
              [--pause S] [--until FILE]            ... as somebody types, until that file is there
  switches    --seconds S [--between processes|threads]
                                                    one byte to somebody asleep and back, over pipes
  pass-back                                         the other process of that
  tap-calls   [--size 60] [--turns 40]              a frame at a TAP by a call of its own, and in
                                                    batches (io_uring); as root

Rates also take --interface IF: the interface's own counters over the same window.
--group-on is an interface's IPv4 address for an IPv4 group, its name for an IPv6 one.
All take --deadline SECONDS (default 60): the longest the whole command may last.
ADDR is 10.0.0.1:5001, [fd00::1]:5001 or [fe80::1%2]:5001 (2 is the interface's index).
";

type Verb = fn(&mut Args) -> Result<Report, TrafficError>;

const VERBS: [(&str, Verb); 15] = [
    ("send", bulk::send),
    ("receive", bulk::receive),
    ("udp-echo", datagrams::echo),
    ("udp-check", datagrams::check),
    ("probe", probe::send),
    ("probe-sink", probe::sink),
    ("tcp-flood", stream_rate::flood),
    ("tcp-sink", stream_rate::sink),
    ("udp-flood", packet_rate::flood),
    ("udp-sink", packet_rate::sink),
    ("echo", latency::echo),
    ("round-trip", latency::round_trip),
    ("switches", switching::switches),
    ("pass-back", switching::pass_back),
    ("tap-calls", tap_calls::tap_calls),
];

/// What a verb found: whether its check held, and the facts for the JSON line.
struct Report {
    ok: bool,
    facts: Value,
}

impl Report {
    fn passed(facts: Value) -> Self {
        Self { ok: true, facts }
    }
}

/// Runs `guest-runner traffic <words>`; other programs may offer the same words.
pub fn main(words: impl Iterator<Item = String>) -> ExitCode {
    let mut words = words.peekable();
    let name = words.next().unwrap_or_default();
    let asks_help = words.peek().is_some_and(|word| word == "--help");
    if matches!(name.as_str(), "--help" | "-h" | "help") || asks_help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match VERBS.iter().find(|(verb, _)| *verb == name) {
        Some((verb, run)) => finish(verb, parse_and_run(*run, words)),
        None => {
            eprint!("unknown verb '{name}'\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn parse_and_run(run: Verb, words: impl Iterator<Item = String>) -> Result<Report, TrafficError> {
    let mut args = Args::parse(words)?;
    run(&mut args)
}

fn finish(verb: &str, outcome: Result<Report, TrafficError>) -> ExitCode {
    let (code, ok, facts) = match outcome {
        Ok(report) => (u8::from(!report.ok), report.ok, report.facts),
        Err(error) => {
            eprintln!("traffic {verb}: {error}");
            (
                error.exit_code(),
                false,
                json!({ "error": error.to_string() }),
            )
        }
    };
    println!("{}", line(verb, ok, facts));
    ExitCode::from(code)
}

fn line(verb: &str, ok: bool, facts: Value) -> Value {
    let mut line = json!({ "verb": verb, "ok": ok });
    if let (Value::Object(line), Value::Object(facts)) = (&mut line, facts) {
        line.extend(facts);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_starts_with_the_verdict_and_carries_the_facts() {
        let line = line("send", false, json!({ "error": "no route" }));
        assert_eq!(
            line,
            json!({ "verb": "send", "ok": false, "error": "no route" })
        );
    }

    #[test]
    fn every_verb_is_in_the_help() {
        for (verb, _) in VERBS {
            assert!(HELP.contains(&format!("\n  {verb} ")), "{verb} is missing");
        }
    }
}
