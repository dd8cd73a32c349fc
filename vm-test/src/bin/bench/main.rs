//! `bench`: umnet and the kernel's virtio_net, on the same kind of device, in the same guest.
//!
//! One boot, one virtual processor, three like cards on TAPs in a network namespace of the host.
//! The first is driven by the kernel with the IOMMU translating, the second by the kernel with
//! its IOMMU group switched to passthrough, the third by umnet; a fourth, with `--dpdk`, by DPDK,
//! which like umnet gives the guest an ordinary interface for it. Every kind of traffic is measured
//! on each in turn, within seconds, in an order that rotates; what is reported are medians of the
//! ratios inside such a trip.

mod dpdk_tap;
mod events;
mod instructions;
mod measure;
mod options;
mod tap_calls;
mod testbed;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use serde_json::Value;
use vm_test::report::{Circumstances, Driver, Report, Row, Series, Trip, rotated};
use vm_test::{Accel, Error, Lab, Result};

use events::Tally;
use instructions::{Budget, Symbols};
use measure::{Meter, Traffic};
use options::Options;
use testbed::Testbed;

fn main() -> ExitCode {
    // The far end of a measurement is this program again, in the host's namespace.
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(measure::FAR_END) {
        return guest_runner::traffic::main(words);
    }
    let options = Options::parse();
    match bench(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Unavailable(why)) => {
            eprintln!("bench: cannot measure here: {why}");
            ExitCode::from(3)
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    let started = Instant::now();
    let lab = Lab::open("bench")?;
    let outcome = boot_and_measure(&lab, options, started);
    match outcome {
        Ok(()) => lab.clean(),
        Err(Error::Unavailable(_)) => {}
        Err(_) => eprint!("{}", lab.report()),
    }
    outcome
}

fn boot_and_measure(lab: &Lab, options: &Options, started: Instant) -> Result<()> {
    let acceleration = if options.icount {
        Accel::Tcg
    } else {
        lab.accel()?
    };
    if options.tap_calls {
        let about = circumstances(lab, options, BTreeMap::new(), acceleration);
        return tap_calls::show(lab, options, &about);
    }
    let mut bed = Testbed::lay_out(lab, options)?;
    eprintln!(
        "bench: ready after {:.1} s; {}",
        started.elapsed().as_secs_f32(),
        bed.describe()
    );
    let mut details = bed.details();
    details.extend(options.details(acceleration));
    let about = circumstances(lab, options, details, acceleration);
    let meter = Meter::new(&bed, options.icount, options.udp_rate(acceleration));
    if options.events {
        let told = (Tally::to_json, events::table);
        count(options, &meter, &about, Tally::take, told)?;
        return bed.stop_umnet();
    }
    if options.instructions {
        let told = (Budget::to_json, instructions::table);
        let symbols = Symbols::of(bed.guest())?;
        let take = |meter: &Meter, traffic, driver| Budget::take(&symbols, meter, traffic, driver);
        count(options, &meter, &about, take, told)?;
        return bed.stop_umnet();
    }
    let report = rounds(options, &meter, about)?;
    bed.stop_umnet()?;
    report.write(&options.json())?;
    println!("{}", report.to_table());
    println!("{}\n{}", options.json().display(), options.svg().display());
    eprintln!("bench: {:.0} s in all", started.elapsed().as_secs_f32());
    complete(options, &report)
}

/// Measures round after round; shows the first result as soon as there is one.
fn rounds(options: &Options, meter: &Meter, mut about: Circumstances) -> Result<Report> {
    let rounds = options.rounds();
    let mut all = Traffic::ALL.map(|traffic| Series::new(traffic.metric()));
    let mut turn = 0;
    for round in 1..=rounds {
        let trips = Traffic::one_round(meter.icount).iter().copied();
        for traffic in trips.filter(|&traffic| options.wants(traffic)) {
            eprint!("round {round}/{rounds}  {:<26}", traffic.metric().label);
            all[traffic as usize]
                .trips
                .push(trip(meter, traffic, turn)?);
            if options.umnet_stats && !options.without_umnet {
                eprintln!("{}", meter.bed.umnet_stats()?);
            }
            turn += 1;
        }
        about.rounds = round;
        if round == 1 && rounds > 1 {
            println!(
                "\nAfter the first round:\n{}",
                Report::new(about.clone(), &all).to_table()
            );
        }
    }
    Ok(Report::new(about, &all))
}

/// What each frame cost the machine or the guest, of every kind of traffic on every driver.
fn count<T>(
    options: &Options,
    meter: &Meter,
    about: &Circumstances,
    take: impl Fn(&Meter, Traffic, Driver) -> Result<T>,
    told: (impl Fn(&T) -> Value, impl Fn(&[T]) -> String),
) -> Result<()> {
    let (to_json, table) = told;
    let mut counts = Vec::new();
    for traffic in Traffic::ALL
        .into_iter()
        .filter(|&traffic| options.wants(traffic))
    {
        for driver in meter.bed.drivers() {
            eprintln!("counting {:<26} {}", traffic.metric().label, driver.key());
            counts.push(take(meter, traffic, driver)?);
        }
    }
    let rows: Vec<_> = counts.iter().map(to_json).collect();
    let report = serde_json::json!({ "circumstances": about, "rows": rows });
    vm_test::report::write(&options.json(), &format!("{report:#}\n"))?;
    println!("{}{}", table(&counts), options.json().display());
    Ok(())
}

/// One kind of traffic on every driver, each figure shown as it comes.
fn trip(meter: &Meter, traffic: Traffic, turn: usize) -> Result<Trip> {
    let mut trip = Trip::new();
    for driver in rotated(&meter.bed.drivers(), turn) {
        match meter.measure(driver, traffic) {
            Ok(figure) => {
                eprint!("  {} {}", driver.key(), vm_test::report::figure(figure));
                trip.insert(driver, figure);
            }
            Err(error @ Error::Command(_)) => {
                eprint!("\n  {}: no figure: {error}\n  ", driver.key())
            }
            Err(error) => return Err(error),
        }
        let _ = io::stderr().flush();
    }
    eprintln!("  {}", traffic.metric().unit);
    Ok(trip)
}

fn circumstances(
    lab: &Lab,
    options: &Options,
    details: BTreeMap<String, String>,
    acceleration: Accel,
) -> Circumstances {
    Circumstances {
        revision: figures::revision(Path::new(env!("CARGO_MANIFEST_DIR"))),
        guest_kernel: lab.image().kernel_release().to_owned(),
        qemu: lab.qemu_number().to_owned(),
        acceleration: acceleration.to_string().to_lowercase(),
        icount: options.icount,
        rounds: 0,
        details,
    }
}

/// A table with holes is shown, but it is not a success.
fn complete(options: &Options, report: &Report) -> Result<()> {
    let hole = |row: &&Row| {
        row.kernel.is_none()
            || row.kernel_pt.is_none()
            || (row.umnet.is_none() && !options.without_umnet)
            || (row.dpdk.is_none() && options.dpdk)
    };
    let wanted = Traffic::ALL
        .into_iter()
        .filter(|&traffic| options.wants(traffic));
    match report.rows().iter().find(hole) {
        None if report.rows().len() == wanted.count() => Ok(()),
        None => Err(Error::Command(
            "some kinds of traffic gave no figure at all".to_owned(),
        )),
        Some(row) => Err(Error::Command(format!("{} lacks figures", row.name))),
    }
}
