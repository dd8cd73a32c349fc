//! The two ends of a hub in one guest: the card for umnet, and the kernel's in a namespace.

use crate::guest::Guest;
use crate::vm::Vm;
use crate::{Backend, Lab, Machine, Nic, Result};

/// Near and far end of the link `n0` – `n1`, over IPv4 only: nothing else is on the wire.
#[derive(Debug)]
pub struct HubLink {
    /// Where umnet drives `n0`, at [`HubLink::NEAR`].
    pub near: Guest,
    /// Where the kernel drives `n1`, at [`HubLink::FAR`].
    pub far: Guest,
    /// The kernel's interface at the far end.
    pub far_ifname: String,
}

impl HubLink {
    /// The near end's address.
    pub const NEAR: &str = "10.0.0.1";
    /// The far end's address.
    pub const FAR: &str = "10.0.0.2";

    /// A machine with both cards.
    pub fn machine() -> Machine {
        let nic = |id| Nic::new(id, Backend::hub(0));
        Machine::new().nic(nic("n0")).nic(nic("n1"))
    }

    /// Boots a machine with umnet and both cards, and brings the ends up.
    ///
    /// # Errors
    /// As [`Lab::boot_with_umnet`] and [`HubLink::up`].
    pub fn boot(lab: &Lab, machine: Machine) -> Result<(Vm, Self)> {
        let vm = lab.boot_with_umnet(machine)?;
        let link = Self::up(&vm)?;
        Ok((vm, link))
    }

    /// Brings both ends up, the near one with the kernel's driver for now.
    ///
    /// # Errors
    /// When the guest does not answer.
    pub fn up(vm: &Vm) -> Result<Self> {
        let near = vm.guest.clone();
        near.ok("echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 >/dev/null");
        Self::raise(vm, "n0", Self::NEAR)?;
        let far = near.netns("far")?;
        far.ok("echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 >/dev/null");
        let (far, far_ifname) = vm.set_apart("n1", "far")?;
        far.ok(&format!(
            "ip addr add {}/24 dev {far_ifname} && ip link set {far_ifname} up",
            Self::FAR
        ));
        Ok(Self {
            near,
            far,
            far_ifname,
        })
    }

    /// Gives the kernel's interface of a card an address, and brings it up.
    ///
    /// # Errors
    /// When the guest does not answer or has no such interface.
    pub fn raise(vm: &Vm, nic: &str, address: &str) -> Result<String> {
        let ifname = vm.ifname(nic)?;
        vm.guest.ok(&format!(
            "ip addr add {address}/24 dev {ifname} && ip link set {ifname} up"
        ));
        Ok(ifname)
    }
}
