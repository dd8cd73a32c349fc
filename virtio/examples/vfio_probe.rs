//! Shows what a virtio-net card offers, through VFIO: features, queues, address, interrupts.
//!
//! ```text
//! vfio_probe 0000:00:03.0          look only
//! vfio_probe 0000:00:03.0 --send   also send one broadcast frame and wait for its interrupt
//! ```
//!
//! vfio-pci must have the card: write `vfio-pci` to its `driver_override` and its address to
//! `/sys/bus/pci/drivers_probe`. To send is to show that DMA, doorbell and MSI-X work.

use std::error::Error;
use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use virtio::net::FeatureSet;
use virtio::net::features::{all_known, choose};
use virtio::queue::{Arming, Part, QueueSize, RingLayout, SlotId, SlotLayout};
use virtio::spec::net::{config, feature::VIRTIO_NET_F_MAC, header};
use virtio::spec::status::{ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK};
use virtio::transport::vfio::{Held, VfioPci};
use virtio::{DmaRegion, Transport, Virtqueue};
use vmm_sys_util::eventfd::EventFd;

/// The longest wait for anything the device is to do.
const DEADLINE: Duration = Duration::from_secs(2);
/// First transmit queue (§ *Network Device* / *Virtqueues*).
const TRANSMIT: u16 = 1;
/// A broadcast frame: destination, source, an ethertype for local experiments, nothing.
const FRAME_LEN: usize = 60;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (address, send) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [address] => (address, false),
        [address, "--send"] => (address, true),
        _ => {
            eprintln!("usage: vfio_probe 0000:00:03.0 [--send]");
            return ExitCode::from(2);
        }
    };
    match probe(address, send) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn complain(error: &dyn Error) {
    eprint!("vfio_probe: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprint!(": {cause}");
        source = cause.source();
    }
    eprintln!();
}

fn probe(address: &str, send: bool) -> Outcome<()> {
    let mut held = Held::open(address)?;
    println!(
        "removal request event: {}",
        held.removal_request().is_some()
    );
    let mut device = VfioPci::from(held);
    reset(&mut device)?;
    let offered = device.read_device_features()?;
    println!(
        "{address}: offers {:#x}: {}",
        offered.0,
        offered.names().join(" ")
    );
    show_queues(&mut device)?;
    show_config(&mut device, offered)?;
    println!("interrupts {}", device.vector_count());
    if send {
        send_one(&mut device, offered)?;
    }
    Ok(())
}

fn reset(device: &mut VfioPci) -> Outcome<()> {
    device.write_status(0)?;
    let start = Instant::now();
    while device.read_status()? != 0 {
        if start.elapsed() > DEADLINE {
            return Err("the reset is not done in time".into());
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn show_queues(device: &mut VfioPci) -> Outcome<()> {
    let count = device.read_queue_count()?;
    let sizes: Result<Vec<u16>, _> = (0..count).map(|q| device.read_max_queue_size(q)).collect();
    println!("queues {count}, sizes {:?}", sizes?);
    Ok(())
}

fn show_config(device: &mut VfioPci, offered: FeatureSet) -> Outcome<()> {
    let generation = device.read_config_generation()?;
    println!(
        "config {} bytes, generation {generation}",
        device.config_len()
    );
    if offered.has(VIRTIO_NET_F_MAC) {
        println!("mac {}", mac_text(&read_mac(device)?));
    }
    Ok(())
}

fn read_mac(device: &mut VfioPci) -> Outcome<[u8; 6]> {
    let mut mac = [0; 6];
    device.read_config(config::MAC, &mut mac)?;
    Ok(mac)
}

fn mac_text(mac: &[u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Brings one transmit queue up, sends one frame with it and waits for the interrupt.
fn send_one(device: &mut VfioPci, offered: FeatureSet) -> Outcome<()> {
    let accepted = negotiate(device, offered)?;
    let start = Instant::now();
    let region = Arc::new(DmaRegion::new(8 << 20)?);
    let memory = region.at(device.map_dma(&region)?);
    println!(
        "mapped {} bytes at {} in {:?}",
        memory.len(),
        memory.iova(),
        start.elapsed()
    );

    let max = device.read_max_queue_size(TRANSMIT)?;
    let size = QueueSize::within(max, 64).ok_or("there is no transmit queue")?;
    let ring = memory.slice(0, RingLayout::new(size, accepted.ring()).len)?;
    let slots = memory.slice(64 << 10, usize::from(size.get()) * 2048)?;
    let part = Part {
        offset: 0,
        len: (header::SIZE + FRAME_LEN) as u32,
        device_writes: false,
    };
    let layout = SlotLayout {
        stride: 2048,
        parts: &[part],
    };
    let mut queue = Virtqueue::new(&ring, size, accepted.ring(), &slots, layout)?;
    let vector = device.vector_count().checked_sub(1);
    let event = vector.map(|v| device.interrupt(v)).transpose()?;
    let doorbell = device.enable_queue(&queue.setup(TRANSMIT, vector))?;
    device.write_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)?;

    let mut frame = [0u8; FRAME_LEN];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&read_mac(device)?);
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    slots.range(header::SIZE, FRAME_LEN).copy_from(&frame[..]);
    let start = Instant::now();
    let armed = queue.arm(1)? == Arming::Armed;
    queue.add(SlotId(0));
    queue.publish();
    let kicked = queue.kick_if_needed(doorbell.as_ref());
    println!("sent one frame (armed {armed}, kicked {kicked})");
    match &event {
        Some(event) => wait_for(event)?,
        None => println!("no MSI-X: polling"),
    }
    while queue.pop_used()?.is_none() {
        if start.elapsed() > DEADLINE {
            return Err("the frame was not used in time".into());
        }
        sleep(Duration::from_millis(1));
    }
    println!("used after {:?}, interrupt {vector:?}", start.elapsed());
    Ok(())
}

fn negotiate(device: &mut VfioPci, offered: FeatureSet) -> Outcome<FeatureSet> {
    device.write_status(ACKNOWLEDGE | DRIVER)?;
    let accepted = choose(offered, all_known(), device.is_behind_iommu())?;
    device.write_driver_features(accepted)?;
    device.write_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)?;
    if device.read_status()? & FEATURES_OK == 0 {
        return Err(format!("the device refuses {accepted:?}").into());
    }
    Ok(accepted)
}

/// Waits for a non-blocking event by looking at it, which is enough for an example.
fn wait_for(event: &EventFd) -> Outcome<()> {
    let start = Instant::now();
    loop {
        match event.read() {
            Ok(_) => return Ok(()),
            Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e.into()),
            Err(_) if start.elapsed() > DEADLINE => return Err("no interrupt came in time".into()),
            Err(_) => sleep(Duration::from_millis(1)),
        }
    }
}
