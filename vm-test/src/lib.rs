//! Boots guests in QEMU and runs scenarios over the built umnet.
//!
//! A scenario is a test that reads from top to bottom: lay out a machine, boot it, say what is to
//! happen in the guest, assert.
//!
//! ```no_run
//! use vm_test::{Backend, Machine, Nic, scenario};
//!
//! #[test]
//! fn the_kernel_driver_pings_the_host() {
//!     scenario(|lab| {
//!         let vm = lab.boot(Machine::new().nic(Nic::new("n0", Backend::user())))?;
//!         let card = vm.ifname("n0")?;
//!         vm.guest.ok(&format!("ip link set {card} up; ip addr add 10.0.2.15/24 dev {card}"));
//!         vm.guest.ok("ping -c 3 10.0.2.2");
//!         Ok(())
//!     });
//! }
//! ```
//!
//! What is needed: QEMU, the image of `images/build`, and the static `guest-runner` (for most
//! scenarios `umnet` too). What is missing makes a scenario print `SKIP:` and why. A scenario that
//! fails prints the end of the guest's console, QEMU's command line and where the logs are.
//!
//! | environment | |
//! |---|---|
//! | `ACCEL=kvm\|tcg` | forces the acceleration; otherwise KVM is used once a guest was seen to boot under it |
//! | `QEMU` | the QEMU binary |
//! | `KERNEL=6.12` | the guest image of another kernel, see `images/build` |
//! | `UMNET_BIN`, `GUEST_RUNNER_BIN` | static binaries to put into the guest |
//! | `VM_MARGIN=3` | stretches every deadline, for slow machines |
//! | `VM_LOCK=FILE` | one scenario at a time on this machine, among all who name the same file |
//! | `VM_KEEP=1` | keeps the logs of scenarios that passed |
//!
//! The crate imports nothing of umnet: it sees the built command as a user does.

mod accel;
mod console;
mod cpio;
pub mod dpdk;
mod error;
mod guest;
mod host_net;
mod hub_link;
mod image;
mod lab;
pub mod load;
mod machine;
mod nic;
mod output;
mod process;
mod qmp;
pub mod report;
pub mod tap_link;
mod topology;
pub mod traffic;
mod umnet;
mod vm;

pub use accel::Accel;
pub use error::{Error, Result};
pub use guest::{Guest, Job};
pub use host_net::{HostJob, HostNet};
pub use hub_link::HubLink;
pub use image::Image;
pub use lab::{Lab, margin, scenario, scenario_on};
pub use machine::{Iommu, Machine};
pub use nic::{Mac, Nic, Placement};
pub use output::{Ending, Output};
pub use qmp::Qmp;
pub use topology::{Backend, Peer, Wire};
pub use umnet::Umnet;
pub use vm::Vm;
