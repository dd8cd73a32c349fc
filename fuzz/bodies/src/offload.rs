//! Header to packet and back: a header that is believed fits its frame, and a frame sent on as
//! it was described gets the header it came with.

use netadapter_shim::abi::{NetPacketChecksum, NetPacketChecksumState, NetPacketGso};
use netadapter_shim::frame_layout;
use umnet::offload::{self, Received, ToTransmit};
use virtio::net::features::all_known;
use virtio::net::{FeatureSet, VirtioNetHdr};
use virtio::spec::net::header::F_NEEDS_CSUM;
use vm_memory::VolatileSlice;

use crate::input::Input;

/// Runs one input: what is asked for, a header, a frame.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let settings = input.u8();
    let mss = input.u32();
    let header = VirtioNetHdr::from_bytes(&input.array());
    let mut frame = input.rest().to_vec();
    let features = match settings & 1 {
        0 => all_known(),
        _ => FeatureSet(u128::from(mss)),
    };
    let slice = VolatileSlice::from(&mut frame[..]);
    if let Ok(received) = offload::received(header, &slice, features) {
        check(header, received, frame.len());
    }
    send(&frame, settings, mss);
}

fn check(header: VirtioNetHdr, received: Received, len: usize) {
    let partial = received.partial;
    if partial.is_partial() {
        let at = usize::from(partial.checksum_start) + usize::from(partial.checksum_offset);
        assert!(partial.checksum_start >= 14 && at + 2 <= len, "{partial:?}");
    }
    if !partial.is_segmented() {
        return;
    }
    assert!(partial.segment_size > 0 && usize::from(partial.header_length) <= len);
    let request = ToTransmit {
        layout: received.layout,
        checksum: required(),
        gso: NetPacketGso::new(partial.segment_size.into()),
        ecn: partial.segment_type.has_ecn(),
    };
    let sent = offload::transmit(request).expect("what was believed can be sent");
    let honest = VirtioNetHdr {
        flags: F_NEEDS_CSUM,
        hdr_len: partial.header_length,
        num_buffers: 0,
        ..header
    };
    assert_eq!(sent.header, honest);
}

/// A frame of the system's, with requests that need not make sense.
fn send(frame: &[u8], settings: u8, mss: u32) {
    let layout = frame_layout::parse(frame);
    let request = ToTransmit {
        layout,
        checksum: if settings & 2 != 0 {
            required()
        } else {
            NetPacketChecksum::default()
        },
        gso: NetPacketGso::new(mss),
        ecn: settings & 4 != 0,
    };
    let Some(sent) = offload::transmit(request) else {
        return;
    };
    if sent.header.flags & F_NEEDS_CSUM != 0 {
        let at = usize::from(sent.header.csum_start) + usize::from(sent.header.csum_offset);
        assert!(at + 2 <= frame.len(), "{sent:?}");
    }
    if let Some(at) = sent.add_length_at {
        assert!(at + 2 <= frame.len(), "{sent:?}");
    }
}

fn required() -> NetPacketChecksum {
    NetPacketChecksum::default().with_layer4(NetPacketChecksumState::REQUIRED)
}
