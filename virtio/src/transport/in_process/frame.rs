//! A frame together with its `virtio_net_hdr`.

use super::check;
use crate::net::{FeatureSet, VirtioNetHdr};

/// A frame as it lies in a virtqueue: the header's bytes, then the frame's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Vec<u8>,
}

impl Default for Frame {
    /// An empty frame with a zero header.
    fn default() -> Self {
        Self {
            bytes: vec![0; VirtioNetHdr::SIZE],
        }
    }
}

impl Frame {
    /// A frame that asks for nothing: its header is zero.
    pub fn plain(payload: &[u8]) -> Self {
        Self::with_header(VirtioNetHdr::default(), payload)
    }

    /// A frame with the given header.
    pub fn with_header(header: VirtioNetHdr, payload: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(VirtioNetHdr::SIZE + payload.len());
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(payload);
        Self { bytes }
    }

    /// The header.
    pub fn header(&self) -> VirtioNetHdr {
        let mut bytes = [0; VirtioNetHdr::SIZE];
        bytes.copy_from_slice(&self.bytes[..VirtioNetHdr::SIZE]);
        VirtioNetHdr::from_bytes(&bytes)
    }

    /// The frame without its header.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[VirtioNetHdr::SIZE..]
    }

    /// The frame without its header, to be changed.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[VirtioNetHdr::SIZE..]
    }

    /// Puts another header in the place of the header.
    pub fn set_header(&mut self, header: VirtioNetHdr) {
        self.bytes[..VirtioNetHdr::SIZE].copy_from_slice(&header.to_bytes());
    }

    /// Which rules a driver breaks that sends this frame, having accepted `accepted` from a
    /// device with an MTU of `mtu`.
    pub fn flaws(&self, accepted: FeatureSet, mtu: u16) -> Vec<String> {
        check::transmitted(self.header(), self.payload(), accepted, mtu)
    }

    /// Makes this frame equal to `other`, keeping its memory.
    pub fn copy_from(&mut self, other: &Self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// The frame that `bytes` hold, its header first.
    ///
    /// # Panics
    /// Where there is no whole header.
    pub fn set_bytes(&mut self, bytes: &[u8]) {
        assert!(bytes.len() >= VirtioNetHdr::SIZE, "{} bytes", bytes.len());
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
    }

    /// Header and frame in one.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Header and frame in one, for the device to fill. At least a header must be left.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}
