//! DPDK's `testpmd`, which is a rival, and the far side of a vhost-user socket: what it is told,
//! and what it answers.
//!
//! It is run as Debian ships it and talked to as a user does: words in, text out. Nothing in here
//! starts it.

use std::fmt;

pub mod forward;

/// Memory buffers of its pool: the fewest that its queues and its cache are content with.
const BUFFERS: u32 = 4096;
/// Descriptors of a queue, as umnet has them.
pub const RING: u16 = 256;
/// MiB of ordinary pages that the pool and the rings fit into.
const MEMORY: u32 = 128;

/// What its one forwarding core does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Sends frames of this length, as fast as they are taken.
    Send(usize),
    /// Receives frames and drops them.
    Receive,
}

impl Work {
    /// Its name among testpmd's forwarding modes.
    fn mode(self) -> &'static str {
        match self {
            Self::Send(_) => "txonly",
            Self::Receive => "rxonly",
        }
    }

    /// Commands that let a running testpmd do this from now on.
    pub fn commands(self) -> Vec<String> {
        let mut commands = vec!["stop".to_owned(), format!("set fwd {}", self.mode())];
        if let Self::Send(len) = self {
            commands.push(format!("set txpkts {len}"));
        }
        commands.push("start".to_owned());
        commands
    }
}

/// Its command line: one port, one forwarding core, ordinary pages.
///
/// `processor` carries both its threads; the one that talks sleeps unless it is talked to.
pub fn command_line(program: &str, processor: usize, port: &[&str], work: Work) -> Vec<String> {
    let mut words = environment(program, processor, port);
    words.extend(["--interactive", "--auto-start", "--no-mlockall"].map(str::to_owned));
    words.extend([
        format!("--total-num-mbufs={BUFFERS}"),
        format!("--rxd={RING}"),
        format!("--txd={RING}"),
        format!("--forward-mode={}", work.mode()),
    ]);
    if let Work::Send(len) = work {
        words.push(format!("--txpkts={len}"));
    }
    words
}

/// The first part of the command line of any program of DPDK's, up to where its own words begin.
pub fn environment(program: &str, processor: usize, port: &[&str]) -> Vec<String> {
    let mut words = vec![
        program.to_owned(),
        format!("--lcores=0@{processor},1@{processor}"),
        format!("--file-prefix=umnet-{}", std::process::id()),
        format!("-m{MEMORY}"),
    ];
    let quiet = ["--no-huge", "--no-shconf", "--no-telemetry"];
    words.extend(quiet.iter().chain(port).map(|&word| word.to_owned()));
    words.push("--".to_owned());
    words
}

/// The command that makes testpmd say how its port has fared since it was last asked.
pub const SHOW: &str = "show port stats 0";

/// How a port has fared, as `show port stats` says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Frames received in a second, since the last time it was asked.
    pub received: u64,
    /// Frames sent in a second, since the last time it was asked.
    pub sent: u64,
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, sent } = self;
        write!(f, "{received} received and {sent} sent in a second")
    }
}

/// The rates of every answer to [`SHOW`] in `text`, in the order in which they were given; one
/// that was cut off is left out.
pub fn rates(text: &str) -> Vec<Rates> {
    let mut answers = Vec::new();
    let mut received = None;
    for line in text.lines() {
        if let Some(rate) = number_after(line, "Rx-pps:") {
            received = Some(rate);
        } else if let Some(sent) = number_after(line, "Tx-pps:")
            && let Some(received) = received.take()
        {
            answers.push(Rates { received, sent });
        }
    }
    answers
}

/// The features that a front end and testpmd's vhost port last agreed on.
pub fn agreed_features(text: &str) -> Option<u64> {
    let mut lines = text.lines().rev();
    lines.find_map(|line| {
        let (_, word) = line.split_once("negotiated Virtio features: 0x")?;
        u64::from_str_radix(word.trim(), 16).ok()
    })
}

fn number_after(line: &str, name: &str) -> Option<u64> {
    let (_, rest) = line.split_once(name)?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "
  ######################## NIC statistics for port 0  ########################
  RX-packets: 12345678   RX-missed: 0          RX-bytes:  790123392
  RX-errors: 0
  RX-nombuf:  0
  TX-packets: 77         TX-errors: 0          TX-bytes:  4928

  Throughput (since last show)
  Rx-pps:      4081632          Rx-bps:   2089795584
  Tx-pps:           12          Tx-bps:         6144
  ############################################################################
";

    #[test]
    fn each_answer_gives_its_rates_and_half_an_answer_gives_none() {
        let first = Rates {
            received: 4_081_632,
            sent: 12,
        };
        assert_eq!(rates(ANSWER), [first]);
        assert_eq!(rates(&ANSWER.repeat(2)).len(), 2);
        let (half, _) = ANSWER.split_once("Tx-pps").unwrap();
        assert_eq!(rates(half), []);
    }

    #[test]
    fn the_features_are_those_of_the_last_front_end() {
        let log = "VHOST_CONFIG: (/s) negotiated Virtio features: 0x17020b982\n\
                   VHOST_CONFIG: (/s) negotiated Virtio features: 0x110008000\n";
        assert_eq!(agreed_features(log), Some(0x1_1000_8000));
        assert_eq!(agreed_features("testpmd> "), None);
    }

    #[test]
    fn who_sends_is_told_how_long_frames_are() {
        let line = command_line("testpmd", 1, &["--no-pci"], Work::Send(1518)).join(" ");
        assert!(line.contains("--lcores=0@1,1@1"), "{line}");
        assert!(
            line.ends_with("--forward-mode=txonly --txpkts=1518"),
            "{line}"
        );
        let commands = ["stop", "set fwd rxonly", "start"].map(str::to_owned);
        assert_eq!(Work::Receive.commands(), commands);
    }
}
