//! `umnet bind` and `umnet release`.

use clap::Args;

use super::{Failure, output};
use crate::exit::Exit;
use crate::host::binding::{self, Binding, Released, TakeOptions};
use crate::host::state::Purpose;
use crate::host::{DeviceSpec, Host};

#[derive(Debug, Args)]
pub(super) struct BindArgs {
    /// The card
    device: DeviceSpec,
    /// Take it even if it carries the default route or your shell
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// The card, also by the name or MAC address it had before
    device: DeviceSpec,
}

pub(super) fn bind(host: &Host, args: &BindArgs) -> Result<Exit, Failure> {
    let card = host.find(&args.device)?;
    let options = TakeOptions {
        force: args.force,
        purpose: Purpose::Bind,
        resumed: false,
    };
    let binding = Binding::take(host, &card, options)?;
    let file = binding.group_file();
    output::text(&format!(
        "{0} is with vfio-pci ({1}); back with: umnet release {0}\n",
        card.address,
        file.display()
    ))?;
    Ok(Exit::Done)
}

pub(super) fn release(host: &Host, args: &ReleaseArgs) -> Result<Exit, Failure> {
    let card = host.find(&args.device)?;
    match binding::release(host, &card)? {
        Some(released) => output::text(&told(&released))?,
        None => {
            let driver = card.driver.as_deref().unwrap_or("no driver");
            output::text(&format!(
                "{} is with {driver}; umnet holds nothing of it\n",
                card.address
            ))?;
        }
    }
    Ok(Exit::Done)
}

fn told(released: &Released) -> String {
    let driver = released.driver.as_deref().unwrap_or("no driver");
    let mut text = format!("{} is back with {driver}", released.card);
    if let Some(interface) = &released.interface {
        text += &format!(" as {interface}");
    }
    if released.refused > 0 {
        text += &format!(
            "; {} addresses or routes would not come back",
            released.refused
        );
    }
    text + "\n"
}
