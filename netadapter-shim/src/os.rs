//! System ports: the network stack's seat.

pub mod ethtool;
pub mod frame_socket;
pub mod loopback;
pub mod pcap;
pub(crate) mod sched;
pub mod tap;
pub mod vnet;
