//! The examination of a driver that is not ours: the network driver of the crate
//! `virtio-drivers`, reached through its own traits for a machine and a transport.
//!
//! ```sh
//! cargo run -p virtio-hostile --example virtio_drivers                  # all lies
//! cargo run -p virtio-hostile --example virtio_drivers used-idx-jumps   # one of them
//! ```

mod adapter;
mod machine;
mod registers;

use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    virtio_hostile::report::main::<adapter::Rcore>(Duration::from_millis(500))
}
