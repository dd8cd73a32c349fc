//! `probe` and `probe-sink`: numbered datagrams at a steady rate, so that the far end can say to a
//! frame what was lost, came twice or altered, and how long nothing came at all.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Report;
use super::args::{Args, usage};
use super::error::{TrafficError, socket};
use super::packet_rate::is_no_room;
use super::sockets::{self, Deadline, UdpListen, Until, is_try_again};

/// Bytes of a number.
const NUMBER: usize = 8;
/// The largest probe.
const MOST_BYTES: usize = 1472;
/// Numbers that a sink tells apart: four hours at 1 kHz.
const MOST_PROBES: u64 = 1 << 24;
/// A sink goes on for so long after its file has come: what is on its way still counts.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// Sends a datagram of `--size` bytes `--rate` times a second until the file `--until` is there.
/// A datagram that is late is sent at once, none is left out.
pub(super) fn send(args: &mut Args) -> Result<Report, TrafficError> {
    let to: SocketAddr = args.required("to")?;
    let rate: u32 = args.optional("rate")?.unwrap_or(1000);
    let size: usize = args.optional("size")?.unwrap_or(64);
    let until = required_until(args)?;
    let deadline = Deadline::from_args(args)?;
    args.finish()?;
    if rate == 0 || !(NUMBER..=MOST_BYTES).contains(&size) {
        return Err(usage(format!(
            "want a --rate above 0 and a --size of {NUMBER} to {MOST_BYTES}"
        )));
    }

    let udp = sockets::udp_towards(to, None)?;
    udp.connect(to)
        .map_err(socket(format!("choose a route to {to}")))?;
    let interval = Duration::from_secs(1) / rate;
    let mut next = Instant::now();
    let (mut number, mut refused) = (0, 0_u64);
    while !until.reached() && number < MOST_PROBES {
        deadline.check("send probes")?;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        next += interval;
        refused += u64::from(!send_one(&udp, &probe(number, size))?);
        number += 1;
    }
    let sent = number - refused;
    Ok(Report::passed(json!({ "sent": sent, "refused": refused })))
}

/// Whether it went.
fn send_one(udp: &UdpSocket, datagram: &[u8]) -> Result<bool, TrafficError> {
    match udp.send(datagram) {
        Ok(_) => Ok(true),
        Err(error) if is_no_room(&error) => Ok(false),
        Err(error) => Err(socket("send a probe")(error)),
    }
}

/// The number, and bytes that follow from it and from their place.
fn probe(number: u64, size: usize) -> Vec<u8> {
    let filler = |at: usize| (number as u8).wrapping_mul(31).wrapping_add(at as u8);
    let mut bytes: Vec<u8> = (0..size).map(filler).collect();
    bytes[..NUMBER].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn required_until(args: &mut Args) -> Result<Until, TrafficError> {
    let until = Until::from_args(args)?;
    match until.is_given() {
        true => Ok(until),
        false => Err(usage("--until is missing".to_owned())),
    }
}

/// Takes probes until the file `--until` is there. Fails on one that is altered or comes twice.
pub(super) fn sink(args: &mut Args) -> Result<Report, TrafficError> {
    let listen_on = UdpListen::from_args(args)?;
    let until = required_until(args)?;
    let gaps: usize = args.optional("gaps")?.unwrap_or(10);
    let deadline = Deadline::from_args(args)?;
    args.finish()?;

    let udp = listen_on.open()?;
    let mut tally = Tally::default();
    let mut buffer = vec![0; 65_536];
    let mut last: Option<Instant> = None;
    while last.is_none_or(|last| last.elapsed() < AFTERWARDS) {
        deadline.check("take probes")?;
        match udp.recv(&mut buffer) {
            Ok(len) => tally.take(&buffer[..len], Instant::now()),
            Err(error) if is_try_again(&error) => {}
            Err(error) => return Err(socket("receive")(error)),
        }
        if last.is_none() && until.reached() {
            last = Some(Instant::now());
        }
    }
    Ok(tally.report(gaps))
}

/// What has come.
#[derive(Default)]
struct Tally {
    /// A bit for each number.
    seen: Vec<u64>,
    distinct: u64,
    duplicated: u64,
    altered: u64,
    /// After one with a higher number.
    late: u64,
    highest: u64,
    arrived: Option<Instant>,
    gaps: Vec<Duration>,
}

impl Tally {
    fn take(&mut self, datagram: &[u8], now: Instant) {
        let number = datagram
            .first_chunk()
            .map(|bytes| u64::from_be_bytes(*bytes));
        let Some(number) = number
            .filter(|&number| number < MOST_PROBES && datagram == probe(number, datagram.len()))
        else {
            self.altered += 1;
            return;
        };
        self.gaps.extend(
            self.arrived
                .map(|arrived| now.saturating_duration_since(arrived)),
        );
        self.arrived = Some(now);
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit != 0 {
            self.duplicated += 1;
            return;
        }
        self.seen[word] |= bit;
        self.distinct += 1;
        self.late += u64::from(number < self.highest);
        self.highest = self.highest.max(number);
    }

    fn report(mut self, count: usize) -> Report {
        self.gaps.sort_unstable_by(|a, b| b.cmp(a));
        let milliseconds = |gap: &Duration| (gap.as_secs_f64() * 1e4).round() / 10.0;
        let gaps: Vec<f64> = self.gaps.iter().take(count).map(milliseconds).collect();
        Report {
            ok: self.altered == 0 && self.duplicated == 0,
            facts: json!({
                "received": self.distinct, "duplicated": self.duplicated,
                "altered": self.altered, "late": self.late, "gaps_ms": gaps,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_twice_late_or_altered_is_told_apart() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut tally = Tally::default();
        let mut bad = probe(9, 64);
        bad[40] ^= 1;
        for (number, ms) in [(0, 0), (1, 1), (300, 251), (2, 252), (1, 253)] {
            tally.take(&probe(number, 64), at(ms));
        }
        tally.take(&bad, at(254));
        tally.take(b"short", at(255));
        let report = tally.report(2);
        assert!(!report.ok);
        assert_eq!(
            report.facts,
            json!({
                "received": 4, "duplicated": 1, "altered": 2, "late": 1, "gaps_ms": [250.0, 1.0],
            })
        );
    }
}
