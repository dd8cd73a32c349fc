//! A frame together with its `virtio_net_hdr`.

use crate::spec::net::header;

/// A frame as it lies in a virtqueue: the header's bytes, then the frame's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Vec<u8>,
}

impl Default for Frame {
    /// An empty frame with a zero header.
    fn default() -> Self {
        Self {
            bytes: vec![0; header::SIZE],
        }
    }
}

impl Frame {
    /// A frame that asks for nothing: its header is zero.
    pub fn plain(payload: &[u8]) -> Self {
        Self::with_header([0; header::SIZE], payload)
    }

    /// A frame with the given header bytes.
    pub fn with_header(header: [u8; header::SIZE], payload: &[u8]) -> Self {
        let mut frame = Self::default();
        frame.bytes.copy_from_slice(&header);
        frame.bytes.extend_from_slice(payload);
        frame
    }

    /// The header's bytes.
    pub fn header(&self) -> [u8; header::SIZE] {
        let mut bytes = [0; header::SIZE];
        bytes.copy_from_slice(&self.bytes[..header::SIZE]);
        bytes
    }

    /// The frame without its header.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[header::SIZE..]
    }

    /// The frame without its header, to be changed.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[header::SIZE..]
    }

    /// Puts other bytes in the place of the header.
    pub fn set_header(&mut self, header: [u8; header::SIZE]) {
        self.bytes[..header::SIZE].copy_from_slice(&header);
    }

    /// Makes this frame equal to `other`, keeping its memory.
    pub fn copy_from(&mut self, other: &Self) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// Header and frame in one.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Header and frame in one, for the device to fill. At least a header must be left.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}
