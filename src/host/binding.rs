//! Handing a card to vfio-pci, and back as it was.
//!
//! The order is what makes it safe to die anywhere: look, lock, remember on disk, then change;
//! and on the way back change, then forget.

mod restore;
mod sysfs;

use std::path::PathBuf;
use std::time::Duration;

use restore::restore_interface;

use super::interface::{InterfaceSnapshot, Interfaces};
use super::obstacle::Obstacle;
use super::pci::{VFIO_DRIVER, VirtioNetCard};
use super::state::{DeviceLock, DeviceState, Purpose};
use super::{Host, HostError, IfName, PciAddress, files};

/// How long a driver may take to let go of a card or to start on it.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long the kernel may take to remove a card after its last file was closed.
const UNPLUG_DEADLINE: Duration = Duration::from_secs(2);

/// How to take a card.
#[derive(Debug, Clone, Copy)]
pub struct TakeOptions {
    /// Take it even if that may cut the user off.
    pub force: bool,
    /// What for.
    pub purpose: Purpose,
    /// Whether its VFIO files are this process's already, and with whoever keeps them for it.
    pub resumed: bool,
}

/// How much of a card's old state to bring back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// The driver, and the interface with its name, addresses and routes.
    Everything,
    /// Only the driver: name and addresses have gone to an interface that stays.
    DriverOnly,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The card.
    pub card: PciAddress,
    /// The driver it has now.
    pub driver: Option<String>,
    /// The interface it has now.
    pub interface: Option<String>,
    /// Addresses and routes that would not come back; the log names them.
    pub refused: usize,
}

/// A card that vfio-pci holds for us. No other umnet can take it meanwhile.
///
/// Dropping it only gives up the lock: the card stays with vfio-pci and `umnet release` brings it
/// back. Whoever drives the card closes all its VFIO files before [`Binding::release`].
#[derive(Debug)]
pub struct Binding {
    host: Host,
    state: DeviceState,
    group: u32,
    /// Whether the card was taken for this run, so that it goes back with it.
    ours: bool,
    _lock: DeviceLock,
}

impl Binding {
    /// Hands the card to vfio-pci.
    ///
    /// A card that vfio-pci has already is used as it is; a run that died on it hands its duty of
    /// giving it back over to this one.
    ///
    /// # Errors
    ///
    /// The first [`super::obstacle::Obstacle`] in the way, or what failed; the card is then as it
    /// was.
    pub fn take(
        host: &Host,
        card: &VirtioNetCard,
        options: TakeOptions,
    ) -> Result<Self, HostError> {
        let lock = DeviceLock::acquire(host, &card.address.to_string())?;
        // Now that nobody else can change it, look once more.
        let card = settle(host, host.card(card.address)?)?;
        let group = check(host, &card, options)?;
        let (state, ours) = match DeviceState::load(host, card.address)? {
            Some(mut state) => {
                bind_to_vfio(host, &card, group)?;
                if state.purpose == Purpose::Run && options.purpose == Purpose::Bind {
                    state.purpose = Purpose::Bind;
                    state.save(host)?;
                }
                let ours = state.purpose == Purpose::Run;
                (state, ours)
            }
            None if card.on_vfio() => (as_it_is(host, &card, Purpose::Bind)?, false),
            None => {
                let state = hand_over(host, &card, group, options.purpose)?;
                (state, options.purpose == Purpose::Run)
            }
        };
        Ok(Self {
            host: host.clone(),
            state,
            group,
            ours,
            _lock: lock,
        })
    }

    /// The card.
    pub fn card(&self) -> PciAddress {
        self.state.device
    }

    /// The IOMMU group's number.
    pub fn group(&self) -> u32 {
        self.group
    }

    /// Whether the machine remaps the device's interrupts, see [`Host::has_interrupt_remapping`].
    pub fn has_interrupt_remapping(&self) -> bool {
        self.host.has_interrupt_remapping()
    }

    /// The group's character device, to be opened by whoever drives the card.
    pub fn group_file(&self) -> PathBuf {
        self.host.group_file(self.group)
    }

    /// The interface the card had, with all that it carried.
    pub fn interface(&self) -> Option<&InterfaceSnapshot> {
        self.state.interface.as_ref()
    }

    /// From now on this is what the card's interface gets back, instead of what it carried when
    /// the card was taken: addresses come and go while a run lasts. Its name stays the old one.
    ///
    /// # Errors
    ///
    /// [`HostError`] if the state file cannot be written; what was remembered before stays.
    pub fn remember(&mut self, now: InterfaceSnapshot) -> Result<(), HostError> {
        let Some(before) = &self.state.interface else {
            return Ok(());
        };
        let name = before.name.clone();
        let mut state = self.state.clone();
        state.interface = Some(InterfaceSnapshot { name, ..now });
        if self.ours {
            state.save(&self.host)?;
        }
        self.state = state;
        Ok(())
    }

    /// Gives the card back if it was taken for this run; a card that was bound before stays.
    ///
    /// # Errors
    ///
    /// What failed; the state file stays, so that `umnet release` can try again.
    pub fn release(self, restore: Restore) -> Result<Option<Released>, HostError> {
        if !self.ours {
            return Ok(None);
        }
        give_back(&self.host, &self.state, restore).map(Some)
    }

    /// Whether the card is unplugged, or about to be: the kernel removes a card only once all its
    /// VFIO files are closed.
    pub fn is_unplugged(&self) -> bool {
        let dir = self.host.pci_dir(self.card());
        let what = format!("{} to go away", self.card());
        files::wait_for(&what, UNPLUG_DEADLINE, || (!dir.exists()).then_some(())).is_ok()
    }

    /// Ends the binding of a card that is no more: there is nothing to give back.
    ///
    /// # Errors
    ///
    /// [`HostError::File`] if the record cannot be removed.
    pub fn forget(self) -> Result<(), HostError> {
        DeviceState::remove(&self.host, self.card())
    }
}

/// Gives a card back that an earlier umnet has taken; `None` if there is nothing to give back.
///
/// # Errors
///
/// [`super::obstacle::Obstacle::Running`] while an umnet drives it,
/// [`super::obstacle::Obstacle::InUse`] while another process has it open,
/// [`HostError::NotHeld`] if somebody else handed it to vfio-pci, or what failed.
pub fn release(host: &Host, card: &VirtioNetCard) -> Result<Option<Released>, HostError> {
    let _lock = DeviceLock::acquire(host, &card.address.to_string())?;
    // The kernel would wait for them to let go.
    if let Some(obstacle) = host.in_use(card) {
        return Err(obstacle.into());
    }
    match DeviceState::load(host, card.address)? {
        Some(state) => give_back(host, &state, Restore::Everything).map(Some),
        None if card.on_vfio() => Err(HostError::NotHeld(card.address)),
        None => Ok(None),
    }
}

/// Ends what a crash left half done: where the kernel's driver is back already, the interface gets
/// its name and addresses. Where it is not, the record is still the right one to take the card by.
fn settle(host: &Host, card: VirtioNetCard) -> Result<VirtioNetCard, HostError> {
    let Some(state) = DeviceState::load(host, card.address)? else {
        return Ok(card);
    };
    if card.driver.is_none() || card.on_vfio() {
        return Ok(card);
    }
    log::warn!(
        "{}: an earlier umnet did not give it back to the end; doing so now",
        card.address
    );
    give_back(host, &state, Restore::Everything)?;
    host.card(card.address)
}

/// The card's group, if nothing is in the way.
fn check(host: &Host, card: &VirtioNetCard, options: TakeOptions) -> Result<u32, HostError> {
    for obstacle in host.obstacles(card)? {
        if options.resumed && matches!(obstacle, Obstacle::InUse { .. }) {
            continue;
        }
        if !(options.force && obstacle.yields_to_force()) {
            return Err(obstacle.into());
        }
        log::warn!("{}: {obstacle}; taken all the same", card.address);
    }
    Ok(host.group_of(card)?.id)
}

fn as_it_is(host: &Host, card: &VirtioNetCard, purpose: Purpose) -> Result<DeviceState, HostError> {
    let mut state = DeviceState::new(card.address, purpose);
    state.driver.clone_from(&card.driver);
    state.driver_override.clone_from(&card.driver_override);
    if let Some(name) = card
        .interface()
        .and_then(|name| name.parse::<IfName>().ok())
    {
        state.interface = Interfaces::open()?.snapshot(&name)?;
    }
    log::debug!("{}: was {state:?}", host.pci_dir(card.address).display());
    Ok(state)
}

fn hand_over(
    host: &Host,
    card: &VirtioNetCard,
    group: u32,
    purpose: Purpose,
) -> Result<DeviceState, HostError> {
    let state = as_it_is(host, card, purpose)?;
    state.save(host)?;
    match bind_to_vfio(host, card, group) {
        Ok(()) => {
            log::info!(
                "{}: taken from {}",
                card.address,
                name(card.driver.as_deref())
            );
            Ok(state)
        }
        Err(error) => {
            if let Err(second) = give_back(host, &state, Restore::Everything) {
                log::error!("{}: cannot be given back either: {second}", card.address);
            }
            Err(error)
        }
    }
}

fn bind_to_vfio(host: &Host, card: &VirtioNetCard, group: u32) -> Result<(), HostError> {
    host.load_vfio()?;
    if !card.on_vfio() {
        host.reserve(card.address, VFIO_DRIVER)?;
        if card.driver.is_some() {
            host.unbind(card.address)?;
        }
        host.probe(card.address)?;
    }
    let file = host.group_file(group);
    let what = format!(
        "vfio-pci to take {} and {} to appear",
        card.address,
        file.display()
    );
    files::wait_for(&what, DEADLINE, || {
        let taken = host.driver_of(card.address).as_deref() == Some(VFIO_DRIVER);
        (taken && file.exists()).then_some(())
    })
}

fn give_back(host: &Host, state: &DeviceState, restore: Restore) -> Result<Released, HostError> {
    let card = state.device;
    host.reserve(card, state.driver_override.as_deref().unwrap_or(""))?;
    let present = host.driver_of(card);
    if present != state.driver {
        if present.is_some() {
            host.unbind(card)?;
        }
        if let Some(driver) = &state.driver {
            host.bind(card, driver)?;
        }
    }
    let (interface, refused) = match &state.interface {
        Some(snapshot) => restore_interface(host, card, snapshot, restore)?,
        None => (None, 0),
    };
    DeviceState::remove(host, card)?;
    log::info!("{card}: back with {}", name(state.driver.as_deref()));
    Ok(Released {
        card,
        driver: state.driver.clone(),
        interface,
        refused,
    })
}

fn name(driver: Option<&str>) -> &str {
    driver.unwrap_or("no driver")
}
