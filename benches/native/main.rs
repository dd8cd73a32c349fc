//! `umnet bench`, and next to it another driver of the same device: the network driver of the
//! crate `virtio-drivers`, which the shipped binary does not carry.
//!
//! `make bench`, or `cargo bench -p umnet -- [ROUNDS]`; results in `target/report`.
#![allow(missing_docs)]

mod machine;
#[path = "../../virtio/hostile/examples/virtio_drivers/registers.rs"]
mod registers;
mod rival;

use std::path::Path;
use std::process::ExitCode;

use umnet::bench::{Options, measure};

fn main() -> ExitCode {
    // `cargo bench` runs this from the package's folder and adds `--bench`.
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let options = Options {
        rounds: rounds.unwrap_or(Options::default().rounds),
        ..Options::default()
    };
    let rivals: [umnet::bench::Rival<'_>; 1] = [("virtio-drivers", &rival::start)];
    let outcome =
        measure(&options, &rivals, &mut |words| eprintln!("bench: {words}")).and_then(|report| {
            report.write(Path::new("target/report"), "native")?;
            print!("{}", report.to_table());
            Ok(())
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
