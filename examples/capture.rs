//! Writes what passes a driver into a pcap file: frames to a device in this process and back.
//!
//! ```sh
//! cargo run --release --example capture out.pcap && tcpdump -nr out.pcap | head
//! ```

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::time::Duration;

use netadapter_shim::PortOffloads;
use netadapter_shim::os::loopback::{StackFrame, loopback};
use netadapter_shim::os::pcap::{CaptureLimits, PcapPort};
use umnet::driver::{Driver, DriverConfig};
use virtio::transport::in_process::{DeviceConfig, Echo, InProcess};

const FRAMES: u32 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "capture.pcap".to_owned());
    let file = BufWriter::new(File::create(&path)?);
    let (port, seat) = loopback(1, PortOffloads::ALL)?;
    let port = PcapPort::new(Box::new(port), Box::new(file), CaptureLimits::default())?;
    let (transport, device) = InProcess::new(DeviceConfig::default(), Echo::default())?;
    let thread = device.run()?;
    let mut driver = Driver::start(Box::new(transport), DriverConfig::default(), Box::new(port))?;
    for number in 0..FRAMES {
        seat.send(StackFrame::new(udp_frame(number)));
        let back = seat
            .wait_receive(Duration::from_secs(1))
            .ok_or("a frame was lost")?;
        assert_eq!(back.bytes, udp_frame(number));
    }
    driver.stop()?;
    drop((driver, thread, device));
    println!("{} frames in {path}", 2 * FRAMES);
    Ok(())
}

/// A UDP datagram without checksum, from 192.0.2.1 to 192.0.2.2, that carries its number.
fn udp_frame(number: u32) -> Vec<u8> {
    let mut frame = vec![
        0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x52, 0x54, 0, 0, 0, 1, 0x08, 0x00,
    ];
    let mut ip = vec![
        0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ];
    let sum: u32 = ip
        .chunks(2)
        .map(|w| u32::from(u16::from_be_bytes([w[0], w[1]])))
        .sum();
    let folded = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&folded.to_be_bytes());
    frame.extend(ip);
    frame.extend([0x30, 0x39, 0x30, 0x39, 0, 12, 0, 0]);
    frame.extend(number.to_be_bytes());
    frame
}
