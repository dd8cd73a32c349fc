//! What can be chosen on the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;
use vm_test::{Accel, Nic};

use crate::measure::Traffic;

const HOW: &str = "\
How it is measured:
  One guest, one virtual processor (--processors), three like virtio-net cards on TAPs in a network namespace
  (root or a user namespace is needed for these). Card 1: the kernel's driver, IOMMU translating.
  Card 2: the kernel's driver, its IOMMU group set to passthrough. Card 3: umnet.
  With --dpdk, card 4: testpmd between the card and a TAP (virtio-user on vhost-net), at work in its
  own turns only, for it never sleeps. Where the cards have offloads it passes them on (csum engine,
  LRO, TSO), without them it forwards unread (io). On one processor it runs at nice 10, which is best
  for it: at 0 the kernel lets it look at empty rings while the programs it serves wait.
  A trip measures one kind of traffic on all of them within seconds; the order rotates. Figures
  are medians over all trips, ratios are medians of the trips' ratios.

    tcp_to_guest     one connection, counted by the reader in the guest
    tcp_from_guest   one connection, counted by the reader outside
    udp_to_guest     18-byte datagrams at --udp-rate, counted by the reader in the guest
    udp_from_guest   18-byte datagrams, unpaced, counted by the far end's interface
    round_trip       one byte there and back over TCP, asked for by the guest

  With --icount, guest time counts instructions (4 ns each) and repeats within about 1 % on a noisy
  machine; all rates are then per guest second, and round_trip keeps eight requests under way (with
  one, the guest would mostly wait for the host, whose time is not counted in instructions).

Examples:
  bench                          everything, in under four minutes
  bench --rounds 1               a first impression in half a minute
  bench --icount                 deterministic time: what to watch for regressions
  bench --only udp_to_guest      one row, to try something out
  bench --dpdk                   DPDK's way to an interface beside it
  bench --without-umnet          the two kernel baselines only
  bench --without-offloads       cards that leave checksums and segmentation to the guest
  bench --events                 doorbells, interrupts and IOTLB invalidations of a frame
  bench --icount --instructions  where a frame's instructions go in the guest, by function
  bench --icount --tap-calls     instructions of reading and writing a TAP, one by one and in batches

Exit codes: 0 done, 1 failed, 2 usage, 3 the machine at hand lacks something.";

/// Compares umnet with the kernel's virtio_net inside one QEMU guest.
#[derive(Debug, Parser)]
#[command(name = "bench", after_help = HOW)]
pub(crate) struct Options {
    /// Times around; each makes two trips per TCP direction and three per small-packet kind (with --icount, one each)
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Deterministic time: QEMU counts instructions instead of seconds (forces TCG)
    #[arg(long)]
    pub(crate) icount: bool,
    /// Processors of the guest
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "icount", value_parser = clap::value_parser!(u16).range(1..=8))]
    pub(crate) processors: u16,
    /// Cards with packed rings, for all drivers
    #[arg(long)]
    pub(crate) packed: bool,
    /// Cards without checksum and segmentation offloads, for all drivers
    #[arg(long)]
    pub(crate) without_offloads: bool,
    /// A fourth card, which DPDK's testpmd forwards to a TAP of its own (virtio-user on vhost-net)
    #[arg(long, conflicts_with = "icount")]
    pub(crate) dpdk: bool,
    /// Instead of rates, count what QEMU saw for each frame: doorbells, interrupts, IOTLB invalidations
    #[arg(long, conflicts_with_all = ["rounds", "umnet_stats"])]
    pub(crate) events: bool,
    /// Instead of rates, count the guest's instructions for each frame, by what they are spent on
    #[arg(long, requires = "icount", conflicts_with_all = ["rounds", "umnet_stats", "events"])]
    pub(crate) instructions: bool,
    /// Instead of rates, what a frame costs at a TAP by a system call of its own and in batches (io_uring)
    #[arg(long, conflicts_with_all = ["rounds", "umnet_stats", "events", "instructions", "dpdk", "only"])]
    pub(crate) tap_calls: bool,
    /// Where the result goes; the picture goes beside it, as .svg
    /// [default: target/report/run.json, with --events, --instructions and --tap-calls named after these]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure this kind of traffic only; may be repeated
    #[arg(long, value_name = "ROW", value_parser = Traffic::parse)]
    only: Vec<Traffic>,
    /// Leave card 3 alone: only the kernel's two baselines
    #[arg(long)]
    pub(crate) without_umnet: bool,
    /// Datagrams a second offered to the guest; 0 for as many as the host can send
    /// [default: 80000 under TCG, 0 under KVM]
    #[arg(long, value_name = "PPS")]
    udp_rate: Option<u32>,
    /// Print umnet's counters and interrupts after each of its figures
    #[arg(long)]
    pub(crate) umnet_stats: bool,
    /// How long umnet looks on before it sleeps, in microseconds [default: umnet's own]
    #[arg(long, value_name = "N", conflicts_with = "without_umnet")]
    busy_poll_us: Option<u16>,
    /// Log level of umnet in the guest (error, warn, info, debug, trace)
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(crate) umnet_log: String,
}

impl Options {
    pub(crate) fn rounds(&self) -> usize {
        usize::from(self.rounds)
    }

    /// Whether this kind of traffic was asked for.
    pub(crate) fn wants(&self, traffic: Traffic) -> bool {
        self.only.is_empty() || self.only.contains(&traffic)
    }

    /// What the cards of all drivers are like.
    pub(crate) fn card(&self, nic: Nic) -> Nic {
        let nic = nic.packed(self.packed);
        let nic = match self.without_offloads {
            true => nic.without_offloads(),
            false => nic,
        };
        // A doorbell that is an eventfd's is not traced.
        match self.events {
            true => nic.set("ioeventfd", "off"),
            false => nic,
        }
    }

    pub(crate) fn json(&self) -> PathBuf {
        let usual = if self.events {
            "events"
        } else if self.instructions {
            "instructions"
        } else if self.tap_calls {
            "tap-calls"
        } else if self.dpdk {
            "dpdk-tap"
        } else {
            "run"
        };
        self.json.clone().unwrap_or_else(|| report(usual))
    }

    pub(crate) fn svg(&self) -> PathBuf {
        self.json().with_extension("svg")
    }

    /// umnet's configuration file, as far as it is not to be umnet's own choice.
    pub(crate) fn umnet_config(&self) -> String {
        self.busy_poll_us
            .map(|us| format!("[defaults]\\nbusy_poll_us = {us}\\n"))
            .unwrap_or_default()
    }

    /// None: unpaced.
    ///
    /// An emulated guest receives 30,000 to 50,000 a second. 80,000 saturate it, and up to 100,000
    /// what it receives stays level; beyond, the sender takes the core that QEMU's main loop needs
    /// on a machine with two.
    pub(crate) fn udp_rate(&self, acceleration: Accel) -> Option<u32> {
        let usual = if acceleration == Accel::Tcg {
            80_000
        } else {
            0
        };
        Some(self.udp_rate.unwrap_or(usual)).filter(|rate| *rate > 0)
    }

    pub(crate) fn details(&self, acceleration: Accel) -> BTreeMap<String, String> {
        let rate = self
            .udp_rate(acceleration)
            .map_or("unpaced".to_owned(), |rate| rate.to_string());
        let ring = if self.packed { "packed" } else { "split" };
        let offloads = if self.without_offloads { "off" } else { "on" };
        let busy_poll = match self.busy_poll_us {
            Some(us) => format!("{us} us"),
            None => "umnet's own".to_owned(),
        };
        BTreeMap::from([
            ("busy_poll".to_owned(), busy_poll),
            ("udp_to_guest_offered_pps".to_owned(), rate),
            ("processors".to_owned(), self.processors.to_string()),
            ("ring".to_owned(), ring.to_owned()),
            ("offloads".to_owned(), offloads.to_owned()),
        ])
    }
}

fn report(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/report");
    PathBuf::from(format!("{folder}/{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn defaults_depend_on_the_clock_and_the_processor() {
        let plain = parsed("bench").unwrap();
        assert_eq!(
            (plain.rounds(), plain.udp_rate(Accel::Tcg)),
            (5, Some(80_000))
        );
        assert_eq!(plain.udp_rate(Accel::Kvm), None);
        assert_eq!(plain.details(Accel::Tcg)["ring"], "split");
        assert_eq!(plain.details(Accel::Tcg)["offloads"], "on");
        let packed = parsed("bench --packed").unwrap();
        assert_eq!(packed.details(Accel::Tcg)["ring"], "packed");
        let icount = parsed("bench --icount --udp-rate 0").unwrap();
        assert_eq!((icount.rounds(), icount.udp_rate(Accel::Tcg)), (5, None));
    }

    #[test]
    fn the_picture_lies_beside_the_json() {
        assert_eq!(
            parsed("bench --json /a/b.json").unwrap().svg(),
            PathBuf::from("/a/b.svg")
        );
        let default = |line| parsed(line).unwrap().json();
        assert!(default("bench --dpdk").ends_with("target/report/dpdk-tap.json"));
        assert!(default("bench").ends_with("target/report/run.json"));
        assert!(default("bench --tap-calls").ends_with("target/report/tap-calls.json"));
        assert!(default("bench --events").ends_with("target/report/events.json"));
        let instructions = default("bench --icount --instructions");
        assert!(instructions.ends_with("target/report/instructions.json"));
    }

    #[test]
    fn no_rounds_is_refused() {
        assert!(parsed("bench --rounds 0").is_err());
    }
    #[test]
    fn rows_are_asked_for_by_the_names_they_have_in_the_report() {
        let some = parsed("bench --only udp_to_guest --only round_trip").unwrap();
        let wanted = Traffic::ALL
            .into_iter()
            .filter(|&traffic| some.wants(traffic));
        assert!(wanted.eq([Traffic::UdpToGuest, Traffic::RoundTrip]));
        let all = parsed("bench").unwrap();
        assert!(Traffic::ALL.into_iter().all(|traffic| all.wants(traffic)));
        assert!(
            parsed("bench --only tcp")
                .unwrap_err()
                .to_string()
                .contains("tcp_to_guest")
        );
    }
}
