//! Boots guests in QEMU and runs scenarios over the built umnet.

pub mod report;
