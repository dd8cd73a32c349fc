//! Cards on TAPs of the host: on number N the host is at `10.9.N.2` and `fd00:9:N::2`, the guest at
//! `10.9.N.1` and `fd00:9:N::1`.

use crate::host_net::HostNet;
use crate::umnet::Umnet;
use crate::vm::Vm;
use crate::{Backend, Guest, Nic, Result};

/// A card with so many queue pairs on a TAP of its own, whose end of the link is up.
///
/// # Errors
/// As [`HostNet::tap`].
pub fn card(host: &HostNet, number: usize, pairs: u16, id: &str) -> Result<Nic> {
    let tap = format!("tap{number}");
    host.tap(&tap, pairs)?;
    host.ok(&format!(
        "ip addr add 10.9.{number}.2/24 dev {tap} && ip addr add fd00:9:{number}::2/64 dev {tap} nodad"
    ));
    let nic = Nic::new(id, Backend::tap(&tap));
    Ok(if pairs > 1 {
        nic.queue_pairs(pairs)
    } else {
        nic
    })
}

/// umnet on that card, with the guest's end of the link up.
///
/// # Errors
/// As [`Umnet::run`].
pub fn run(vm: &Vm, number: usize, id: &str) -> Result<Umnet> {
    let umnet = Umnet::run(vm, id, "")?;
    address(&vm.guest, umnet.ifname(), number, 1);
    Ok(umnet)
}

/// Gives an interface the addresses of one end of link `number`, and brings it up.
pub fn address(guest: &Guest, ifname: &str, number: usize, end: u8) {
    guest.ok(&format!(
        "ip addr add 10.9.{number}.{end}/24 dev {ifname} && \
         ip addr add fd00:9:{number}::{end}/64 dev {ifname} nodad && ip link set {ifname} up"
    ));
}
