//! The parser of frames' headers: what it finds lies within the bytes at hand.

use netadapter_shim::abi::{NetPacketLayer3Type as L3, NetPacketLayer4Type as L4};
use netadapter_shim::frame_layout;

/// Runs one input, a frame.
pub fn run(frame: &[u8]) {
    let layout = frame_layout::parse(frame);
    let end = (layout.layer4_offset() + layout.layer4_header_length()) as usize;
    if layout.layer4_type() != L4::UNSPECIFIED {
        assert!(end <= frame.len(), "{layout:?} of {} bytes", frame.len());
        assert_ne!(layout.layer3_type(), L3::UNSPECIFIED);
    }
    if layout.layer3_type() != L3::UNSPECIFIED {
        let end = (layout.layer2_header_length() + layout.layer3_header_length()) as usize;
        assert!(end <= frame.len(), "{layout:?} of {} bytes", frame.len());
    }
}
