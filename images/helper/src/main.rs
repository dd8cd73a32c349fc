//! `guest-runner`: the one program that the test images add to a guest.
//!
//! Statically linked and without dependencies on the guest's file system, so the same binary also
//! runs on the host, in a network namespace, as the other end of a measurement.

mod serve;

use std::process::ExitCode;

use guest_runner::traffic;

const HELP: &str = "\
guest-runner: the helper inside umnet's test images

usage: guest-runner <part> [options]

  serve     run commands for the test harness, over a virtio-serial port
  traffic   send, receive and measure TCP and UDP   (guest-runner traffic --help)
";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("serve") => serve::main(words),
        Some("traffic") => traffic::main(words),
        Some("--help" | "-h" | "help") => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("{HELP}");
            ExitCode::from(2)
        }
    }
}
