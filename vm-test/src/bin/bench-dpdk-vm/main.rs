//! `bench-dpdk-vm`: frames at the driver, of umnet, DPDK and the kernel, in the same guest.
//!
//! One boot, one virtual processor, three owners of like cards: the kernel with the IOMMU
//! translating, the kernel with its IOMMU group switched to passthrough, and vfio-pci, whose card
//! umnet and DPDK's testpmd drive in turn. Each owner has a card to send, which is on a TAP of the
//! host, and one to receive, whose cable ends in this process. In the guest there is no network
//! stack and no TAP on a frame's way: frames are made and dropped by `umnet bench drive`, by
//! testpmd, and by the kernel's pktgen.
//!
//! Every kind of traffic is measured on each in turn, within seconds, in an order that rotates;
//! what is reported are medians of the ratios inside such a trip.

mod far_end;
mod lane;
mod testbed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use vm_test::report::{Circumstances, Driver, Metric, Report, Series, Trip, rotated};
use vm_test::{Error, Lab, Result};

use testbed::Testbed;

/// Compares umnet with DPDK and with the kernel's virtio_net, frame by frame, in one guest.
#[derive(Debug, Parser)]
#[command(name = "bench-dpdk-vm")]
struct Options {
    /// Times around
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Time of counting in a turn
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(100..=10_000))]
    turn: u64,
    /// How long umnet looks on before it sleeps, in microseconds; DPDK never sleeps [default: as
    /// umnet does by itself, on one processor not at all]
    #[arg(long, value_name = "N")]
    busy_poll_us: Option<u16>,
    /// Measure this kind of traffic only: sent_64, received_64, sent_1518, received_1518; may be repeated
    #[arg(long, value_name = "ROW", value_parser = Traffic::parse)]
    only: Vec<Traffic>,
    /// Where the result goes; the picture goes beside it, as .svg
    #[arg(long, value_name = "FILE", default_value_os_t = default_json())]
    json: PathBuf,
}

fn default_json() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/report/dpdk-vm.json"
    ))
}

/// Which way frames go, seen from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Sent,
    Received,
}

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Traffic {
    way: Way,
    /// Bytes of a frame, without its checksum.
    len: usize,
    metric: Metric,
}

const fn traffic(way: Way, len: usize, name: &'static str, label: &'static str) -> Traffic {
    let unit = "kpps";
    Traffic {
        way,
        len,
        metric: Metric { name, label, unit },
    }
}

impl Traffic {
    const ALL: [Self; 4] = [
        traffic(Way::Sent, 64, "sent_64", "64 B sent"),
        traffic(Way::Received, 64, "received_64", "64 B received"),
        traffic(Way::Sent, 1518, "sent_1518", "1518 B sent"),
        traffic(Way::Received, 1518, "received_1518", "1518 B received"),
    ];

    fn parse(name: &str) -> std::result::Result<Self, String> {
        let known = Self::ALL.into_iter().find(|it| it.metric.name == name);
        known.ok_or_else(|| format!("rows are {}", Self::ALL.map(|it| it.metric.name).join(", ")))
    }
}

fn main() -> ExitCode {
    match bench(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Unavailable(why)) => {
            eprintln!("bench-dpdk-vm: cannot measure here: {why}");
            ExitCode::from(3)
        }
        Err(error) => {
            eprintln!("bench-dpdk-vm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    let started = Instant::now();
    let lab = Lab::open("bench-dpdk")?;
    let outcome = boot_and_measure(&lab, options);
    match outcome {
        Ok(()) => lab.clean(),
        Err(Error::Unavailable(_)) => {}
        Err(_) => eprint!("{}", lab.report()),
    }
    eprintln!(
        "bench-dpdk-vm: {:.0} s in all",
        started.elapsed().as_secs_f32()
    );
    outcome
}

fn boot_and_measure(lab: &Lab, options: &Options) -> Result<()> {
    let bed = Testbed::lay_out(
        lab,
        Duration::from_millis(options.turn),
        options.busy_poll_us,
    )?;
    let report = rounds(options, &bed, circumstances(lab, options, &bed)?)?;
    report.write(&options.json)?;
    println!("{}", report.to_table());
    println!("{}", options.json.display());
    Ok(())
}

fn rounds(options: &Options, bed: &Testbed, mut about: Circumstances) -> Result<Report> {
    let wanted = |it: &Traffic| options.only.is_empty() || options.only.contains(it);
    let kinds: Vec<_> = Traffic::ALL.into_iter().filter(wanted).collect();
    let mut all: Vec<_> = kinds.iter().map(|it| Series::new(it.metric)).collect();
    let mut turn = 0;
    for round in 1..=usize::from(options.rounds) {
        for (traffic, series) in kinds.iter().zip(&mut all) {
            eprint!(
                "round {round}/{}  {:<18}",
                options.rounds, traffic.metric.label
            );
            series.trips.push(trip(bed, *traffic, turn)?);
            turn += 1;
        }
        about.rounds = round;
    }
    Ok(Report::new(about, &all))
}

/// One kind of traffic on every driver, each figure shown as it comes.
fn trip(bed: &Testbed, traffic: Traffic, turn: usize) -> Result<Trip> {
    let mut trip = Trip::new();
    for driver in rotated(&Driver::ALL, turn) {
        let figure = bed.measure(driver, traffic)?;
        eprint!("  {} {}", driver.key(), vm_test::report::figure(figure));
        trip.insert(driver, figure);
    }
    eprintln!("  {}", traffic.metric.unit);
    Ok(trip)
}

fn circumstances(lab: &Lab, options: &Options, bed: &Testbed) -> Result<Circumstances> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut details: BTreeMap<String, String> = bed.details();
    details.insert("turn_ms".to_owned(), options.turn.to_string());
    if let Some(us) = options.busy_poll_us {
        details.insert("busy_poll_us".to_owned(), us.to_string());
    }
    let hostname = read("/proc/sys/kernel/hostname");
    details.insert("host".to_owned(), hostname.trim().to_owned());
    let kernel = read("/proc/sys/kernel/osrelease");
    details.insert("host_kernel".to_owned(), kernel.trim().to_owned());
    Ok(Circumstances {
        revision: figures::revision(Path::new(env!("CARGO_MANIFEST_DIR"))),
        guest_kernel: lab.image().kernel_release().to_owned(),
        qemu: lab.qemu_number().to_owned(),
        acceleration: lab.accel()?.to_string().to_lowercase(),
        icount: false,
        rounds: 0,
        details,
    })
}
