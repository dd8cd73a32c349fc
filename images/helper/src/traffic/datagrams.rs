//! `udp-echo` and `udp-check`: random datagrams of chosen sizes, every echoed byte compared.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Report;
use super::args::{Args, usage};
use super::error::{TrafficError, socket};
use super::pattern::Pattern;
use super::sockets::{self, Deadline, UdpListen, is_try_again};

/// The largest UDP payload over IPv4; IPv6 carries 20 bytes more.
const LARGEST: usize = 65_527;
/// How long an echo may take before its datagram is sent again. An emulated guest reassembles
/// 45 fragments of a 64 KiB datagram in well under this.
const REPLY_WAIT: Duration = Duration::from_millis(600);

/// Sends every datagram back to where it came from, for `--seconds`.
pub(super) fn echo(args: &mut Args) -> Result<Report, TrafficError> {
    let listen_on = UdpListen::from_args(args)?;
    let seconds = args.seconds("seconds")?.unwrap_or(Duration::MAX);
    let deadline = Deadline::from_args(args)?;
    args.finish()?;

    let udp = listen_on.open()?;
    let started = Instant::now();
    let mut buffer = vec![0; LARGEST + 1];
    let mut echoed = 0u64;
    while started.elapsed() < seconds && !deadline.passed() {
        match udp.recv_from(&mut buffer) {
            // A reply that cannot be sent is a lost one; the other end asks again.
            Ok((len, peer)) => echoed += u64::from(udp.send_to(&buffer[..len], peer).is_ok()),
            Err(error) if is_try_again(&error) => {}
            Err(error) => return Err(socket("receive")(error)),
        }
    }
    Ok(Report::passed(json!({ "datagrams": echoed })))
}

/// Sends `--count` datagrams of each of `--sizes` to an echo and compares what comes back; with
/// `--segment`, each is left to the kernel to cut into datagrams of so many bytes.
pub(super) fn check(args: &mut Args) -> Result<Report, TrafficError> {
    let to: SocketAddr = args.required("to")?;
    let from: Option<IpAddr> = args.optional("from")?;
    let sizes: String = args
        .optional("sizes")?
        .unwrap_or_else(|| DEFAULT_SIZES.to_owned());
    let sizes = parse_sizes(&sizes)?;
    let count: u32 = args.optional("count")?.unwrap_or(4);
    let seed: u64 = args.optional("seed")?.unwrap_or(1);
    let retries: u32 = args.optional("retries")?.unwrap_or(5);
    let segment: Option<NonZeroU16> = args.optional("segment")?;
    let deadline = Deadline::from_args(args)?;
    args.finish()?;

    let udp = sockets::udp_towards(to, from)?;
    udp.set_read_timeout(Some(REPLY_WAIT))
        .map_err(socket("set the reply time"))?;
    if let Some(size) = segment {
        sockets::cut_into(&udp, size.get())?;
    }
    let mut checker = Checker::new(udp, to, Pattern::new(seed), retries);
    checker.segment = segment.map_or(usize::MAX, |size| size.get().into());
    let mut rows = Vec::new();
    for size in sizes {
        rows.push(checker.check_size(size, count, deadline)?);
    }
    let ok = rows.iter().all(|row| row.echoed == count);
    let rows: Vec<_> = rows.iter().map(SizeRow::json).collect();
    Ok(Report {
        ok,
        facts: json!({ "to": to.to_string(), "sizes": rows }),
    })
}

/// Around every edge a frame has: the smallest, Ethernet's padding, a full 1500-byte frame, one
/// byte into fragments, a jumbo frame, the largest datagram.
const DEFAULT_SIZES: &str = "1,59,60,1471,1472,1473,9000,65507";

fn parse_sizes(list: &str) -> Result<Vec<usize>, TrafficError> {
    let parse = |word: &str| match word.trim().parse() {
        Ok(size) if size <= LARGEST => Ok(size),
        _ => Err(usage(format!(
            "--sizes {list}: '{word}' is not a number up to {LARGEST}"
        ))),
    };
    list.split(',').map(parse).collect()
}

#[derive(Debug, Default)]
struct SizeRow {
    size: usize,
    sent: u32,
    echoed: u32,
    corrupt: u32,
    lost: u32,
    first_difference: Option<String>,
}

impl SizeRow {
    fn json(&self) -> serde_json::Value {
        json!({
            "size": self.size, "sent": self.sent, "echoed": self.echoed,
            "corrupt": self.corrupt, "lost": self.lost,
            "first_difference": self.first_difference,
        })
    }
}

enum Reply {
    Equal,
    Different(String),
    Nothing,
}

struct Checker {
    udp: UdpSocket,
    to: SocketAddr,
    pattern: Pattern,
    retries: u32,
    /// The kernel cuts what is sent after so many bytes.
    segment: usize,
    /// Datagrams that were sent more than once: their echoes may still arrive, and are no error.
    stale: Vec<Vec<u8>>,
    buffer: Vec<u8>,
}

impl Checker {
    fn new(udp: UdpSocket, to: SocketAddr, pattern: Pattern, retries: u32) -> Self {
        Self {
            udp,
            to,
            pattern,
            retries,
            segment: usize::MAX,
            stale: Vec::new(),
            buffer: vec![0; LARGEST + 1],
        }
    }

    fn check_size(
        &mut self,
        size: usize,
        count: u32,
        deadline: Deadline,
    ) -> Result<SizeRow, TrafficError> {
        let mut row = SizeRow {
            size,
            ..SizeRow::default()
        };
        for _ in 0..count {
            deadline.check(&format!("check datagrams of {size} bytes"))?;
            let mut datagram = vec![0; size];
            self.pattern.fill(&mut datagram);
            self.check_one(datagram, &mut row)?;
        }
        Ok(row)
    }

    fn check_one(&mut self, datagram: Vec<u8>, row: &mut SizeRow) -> Result<(), TrafficError> {
        for attempt in 0..=self.retries {
            let doing = || format!("send {} bytes to {}", datagram.len(), self.to);
            self.udp
                .send_to(&datagram, self.to)
                .map_err(|error| socket(doing())(error))?;
            row.sent += 1;
            match self.reply(&datagram)? {
                Reply::Equal => {
                    row.echoed += 1;
                    if attempt > 0 {
                        self.forget(&datagram);
                    }
                    return Ok(());
                }
                Reply::Different(how) => {
                    row.corrupt += 1;
                    row.first_difference.get_or_insert(how);
                    return Ok(());
                }
                Reply::Nothing => {}
            }
        }
        row.lost += 1;
        self.forget(&datagram);
        Ok(())
    }

    /// Echoes of this may come late.
    fn forget(&mut self, sent: &[u8]) {
        let pieces = pieces(sent, self.segment).map(<[u8]>::to_vec);
        self.stale.extend(pieces);
    }

    fn reply(&mut self, sent: &[u8]) -> Result<Reply, TrafficError> {
        for piece in pieces(sent, self.segment) {
            match self.reply_to(piece)? {
                Reply::Equal => {}
                other => return Ok(other),
            }
        }
        Ok(Reply::Equal)
    }

    fn reply_to(&mut self, datagram: &[u8]) -> Result<Reply, TrafficError> {
        let sent = Instant::now();
        while sent.elapsed() < REPLY_WAIT {
            let got = match self.udp.recv_from(&mut self.buffer) {
                Ok((len, _)) => &self.buffer[..len],
                Err(error) if is_try_again(&error) => return Ok(Reply::Nothing),
                Err(error) => return Err(socket("receive the echo")(error)),
            };
            if got == datagram {
                return Ok(Reply::Equal);
            }
            if !self.stale.iter().any(|old| old == got) {
                return Ok(Reply::Different(difference(datagram, got)));
            }
        }
        Ok(Reply::Nothing)
    }
}

/// The datagrams that leave when `sent` is cut after every `segment` bytes.
fn pieces(sent: &[u8], segment: usize) -> impl Iterator<Item = &[u8]> {
    let (first, rest) = sent.split_at(sent.len().min(segment));
    [first].into_iter().chain(rest.chunks(segment))
}

fn difference(sent: &[u8], got: &[u8]) -> String {
    match sent.iter().zip(got).position(|(sent, got)| sent != got) {
        Some(at) => format!("byte {at}: sent {:#04x}, got {:#04x}", sent[at], got[at]),
        None => format!("sent {} bytes, got {}", sent.len(), got.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// An echo that runs `change` over each datagram, for as many datagrams as `lifetime`.
    fn crooked_echo(lifetime: u32, change: fn(u32, Vec<u8>) -> Vec<Vec<u8>>) -> SocketAddr {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let addr = udp.local_addr().unwrap();
        thread::spawn(move || {
            let mut buffer = vec![0; LARGEST + 1];
            for nth in 0..lifetime {
                let (len, peer) = udp.recv_from(&mut buffer).unwrap();
                for reply in change(nth, buffer[..len].to_vec()) {
                    udp.send_to(&reply, peer).unwrap();
                }
            }
        });
        addr
    }

    fn run(to: SocketAddr, options: &str) -> Report {
        let line = format!("--to {to} {options}");
        check(&mut Args::parse(line.split_whitespace().map(str::to_owned)).unwrap()).unwrap()
    }

    #[test]
    fn a_flipped_bit_is_found_and_located() {
        let to = crooked_echo(1, |_, mut datagram| {
            datagram[40] ^= 1;
            vec![datagram]
        });
        let report = run(to, "--sizes 60 --count 1");
        assert!(!report.ok);
        let row = &report.facts["sizes"][0];
        assert_eq!(row["corrupt"], 1);
        assert!(
            row["first_difference"]
                .as_str()
                .unwrap()
                .starts_with("byte 40:"),
            "{row}"
        );
    }

    #[test]
    fn a_cut_datagram_is_a_difference() {
        let to = crooked_echo(1, |_, datagram| vec![datagram[..59].to_vec()]);
        let report = run(to, "--sizes 60 --count 1");
        assert!(!report.ok);
        assert_eq!(
            report.facts["sizes"][0]["first_difference"],
            "sent 60 bytes, got 59"
        );
    }

    #[test]
    fn a_lost_datagram_is_sent_again_and_its_late_echo_is_no_error() {
        let to = crooked_echo(4, |nth, datagram| match nth {
            0 => vec![],
            1 => vec![datagram.clone(), datagram],
            _ => vec![datagram],
        });
        let report = run(to, "--sizes 60 --count 2");
        assert!(report.ok, "{}", report.facts);
        assert_eq!(report.facts["sizes"][0]["sent"], 3);
    }

    #[test]
    fn every_segment_is_a_datagram_of_its_own_and_compared() {
        let to = crooked_echo(4, |nth, mut datagram| {
            let expected = if nth == 3 { 1 } else { 1400 };
            datagram[0] ^= u8::from(datagram.len() != expected);
            vec![datagram]
        });
        let report = run(to, "--sizes 4201 --count 1 --segment 1400");
        assert!(report.ok, "{}", report.facts);

        let to = crooked_echo(2, |nth, mut datagram| {
            datagram[7] ^= u8::from(nth == 1);
            vec![datagram]
        });
        let report = run(to, "--sizes 2800 --count 1 --segment 1400");
        assert!(!report.ok);
        let row = &report.facts["sizes"][0];
        assert_eq!(row["corrupt"], 1, "{row}");
    }

    #[test]
    fn nothing_too_is_a_datagram() {
        let lens = |len, segment| {
            pieces(&[0; 9][..len], segment)
                .map(<[u8]>::len)
                .collect::<Vec<_>>()
        };
        assert_eq!(lens(0, 4), [0]);
        assert_eq!(lens(8, 4), [4, 4]);
        assert_eq!(lens(9, 4), [4, 4, 1]);
        assert_eq!(lens(9, usize::MAX), [9]);
    }

    #[test]
    fn retries_are_bounded() {
        let to = crooked_echo(9, |_, _| vec![]);
        let report = run(to, "--sizes 60 --count 1 --retries 1");
        assert!(!report.ok);
        assert_eq!(report.facts["sizes"][0]["sent"], 2);
        assert_eq!(report.facts["sizes"][0]["lost"], 1);
    }

    #[test]
    fn sizes_that_no_datagram_has_are_refused() {
        assert!(parse_sizes("1,65528").is_err());
        assert!(parse_sizes("1,,2").is_err());
        assert_eq!(parse_sizes("1, 60").unwrap(), [1, 60]);
    }
}
