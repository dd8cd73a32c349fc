//! Sends frames through the whole data path to a device in this process, which sends them back.
//!
//! ```sh
//! cargo run --release --example echo [FRAMES]
//! ```

use std::time::Instant;

use umnet::selftest::{Bench, SelftestError};
use virtio::transport::in_process::DeviceConfig;

const LEN: usize = 1514;
const BURST: u32 = 32;

fn main() -> Result<(), SelftestError> {
    let frames = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(100_000);
    let bench = Bench::start(DeviceConfig::default())?;
    let start = Instant::now();
    for first in (0..frames).step_by(BURST as usize) {
        let burst = first..frames.min(first + BURST);
        burst.clone().for_each(|number| bench.send(number, LEN));
        burst
            .into_iter()
            .try_for_each(|number| bench.expect("echo", number, LEN))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{frames} frames of {LEN} bytes there and back in {seconds:.2} s");
    let stats = &bench.driver.device_stats()[0];
    println!("received: {:?}", stats.rx.snapshot());
    println!("transmitted: {:?}", stats.tx.snapshot());
    Ok(())
}
