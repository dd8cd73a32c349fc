//! The capture around another port: what passes both ways is in the file.

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use common::*;
use netadapter_shim::os::loopback::{StackFrame, loopback};
use netadapter_shim::os::pcap::{CaptureLimits, PcapPort};
use netadapter_shim::*;

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The records of a pcap file: bytes kept, and length on the wire.
fn records(file: &[u8]) -> Vec<(Vec<u8>, usize)> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(word(0), 0xa1b2_c3d4);
    assert_eq!(
        (file[4], file[6], word(20)),
        (2, 4, 1),
        "version 2.4, Ethernet"
    );
    let (mut at, mut records) = (24, Vec::new());
    while at < file.len() {
        let kept = word(at + 8);
        records.push((file[at + 16..at + 16 + kept].to_vec(), word(at + 12)));
        at += 16 + kept;
    }
    records
}

fn captured(limits: CaptureLimits, frames: u32) -> Vec<(Vec<u8>, usize)> {
    let memory = Memory::default();
    let (port, seat) = loopback(1, PortOffloads::ALL).unwrap();
    let port = PcapPort::new(Box::new(port), Box::new(memory.clone()), limits).unwrap();
    let device = Arc::new(Device::default());
    let events = Box::new(FakeDriver(device.clone()));
    let mut adapter = Adapter::new(events, Box::new(port), config()).unwrap();
    state_all(&mut adapter, 1);
    adapter.start().unwrap();
    adapter.io_start().unwrap();
    for number in 0..frames {
        seat.send(StackFrame::new(frame(number, 100)));
        eventually("sent", || device.sent().len() == number as usize + 1);
        device.arrive(Arriving::new(frame(1000 + number, 200)));
        seat.wait_receive(PATIENCE).expect("received");
    }
    drop(adapter);
    let file = memory.0.lock().unwrap().clone();
    records(&file)
}

#[test]
fn every_frame_of_both_directions_is_in_the_file() {
    let records = captured(CaptureLimits::default(), 10);
    assert_eq!(records.len(), 20);
    for number in 0..10 {
        let sent = &records[2 * number as usize];
        let received = &records[2 * number as usize + 1];
        assert_eq!(*sent, (frame(number, 100), 100));
        assert_eq!(*received, (frame(1000 + number, 200), 200));
    }
}

#[test]
fn capture_keeps_to_its_limits_and_traffic_goes_on() {
    let limits = CaptureLimits {
        snap_length: 64,
        file_size: 24 + 3 * (16 + 64),
    };
    let records = captured(limits, 10);
    assert_eq!(records.len(), 3);
    assert_eq!(records[0], (frame(0, 100)[..64].to_vec(), 100));
}
