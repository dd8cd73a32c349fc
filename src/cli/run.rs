//! `umnet run`: from arguments and file to a checked configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args};
use log::LevelFilter;
use thiserror::Error;

use super::{Failure, start_log};
use crate::config::{
    ClientSection, ConfigFile, Limit, MTU, QUEUES, RING_SIZE, RunConfig, Settings,
};
use crate::exit::{Exit, Explain};
use crate::host::obstacle::Obstacle;
use crate::host::pci::VirtioNetCard;
use crate::host::{DeviceSpec, Host, HostError, IfName, MacAddress};
use crate::run::client::{self, ClientConfig, ClientError};

pub(super) const EXAMPLES: &str = "\
The new interface takes the old one's name, MAC, MTU, addresses and routes. When umnet is stopped
(Ctrl-C or SIGTERM), a card it took goes back to the kernel's driver with all of them.

Examples:
  sudo umnet run eth1
  sudo umnet run 0000:00:03.0 --ifname lan0 --no-adopt
  sudo umnet run mac=52:54:00:12:34:56 --config umnet.toml
  sudo umnet run eth1 --rx-ring 1024 --log debug
  sudo umnet run in-process --ifname um0
  sudo umnet run vhost-user:/run/device.sock --ifname um0
  sudo umnet run --client wire.so --ifname left --ifname right";

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The device
    #[arg(required_unless_present = "client")]
    device: Option<DeviceSpec>,
    /// Host this NetAdapterCx client driver; without DEVICE, one that needs no hardware
    #[arg(long, value_name = "FILE.so")]
    client: Option<PathBuf>,
    /// Name of the new interface, instead of the old one's; may be repeated with --client, in the
    /// order in which the client creates its adapters
    #[arg(long, value_name = "NAME")]
    ifname: Vec<IfName>,
    /// Whether a client that breaks a rule is ended: on or off
    #[arg(long, value_name = "on|off", requires = "client", action = ArgAction::Set,
          value_parser = on_off, default_value = "on")]
    verifier: bool,
    /// Seconds a client may stay in one callback
    #[arg(long, value_name = "SECONDS", requires = "client", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    client_timeout: u64,
    /// Configuration file; docs/umnet.toml shows every key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Leave MAC, MTU, addresses and routes alone
    #[arg(long, conflicts_with = "client")]
    no_adopt: bool,
    /// Leave the new interface in place at the end
    #[arg(long, conflicts_with = "client")]
    keep_interface: bool,
    /// Take the card even if it carries the default route or your shell
    #[arg(long, conflicts_with = "client")]
    force: bool,
    /// Leave the driver host open, for debuggers, sanitizers and profilers: it can then do whatever
    /// root can
    #[arg(long)]
    uncaged: bool,
    /// Receive queue size in descriptors, a power of two from 4 to 32768
    #[arg(long, value_name = "SIZE", conflicts_with = "client", value_parser = |text: &str| number(text, RING_SIZE))]
    rx_ring: Option<i64>,
    /// Transmit queue size in descriptors, a power of two from 4 to 32768
    #[arg(long, value_name = "SIZE", conflicts_with = "client", value_parser = |text: &str| number(text, RING_SIZE))]
    tx_ring: Option<i64>,
    /// Most queue pairs, from 1 to 8, each with a queue of the interface and a thread that stays on
    /// one processor; without it a card has as many as there are processors, other devices one.
    /// Never more than the device has
    #[arg(long, value_name = "COUNT", conflicts_with = "client", value_parser = |text: &str| number(text, QUEUES))]
    queues: Option<i64>,
    /// MTU in bytes, from 68 to 65521
    #[arg(long, value_name = "BYTES", conflicts_with = "client", value_parser = |text: &str| number(text, MTU))]
    mtu: Option<i64>,
    /// Address of a vhost-user device, in place of what its back end says
    #[arg(long, value_name = "ADDRESS", conflicts_with = "client")]
    mac: Option<MacAddress>,
}

fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("allowed is on or off".to_owned()),
    }
}

fn number(text: &str, limit: Limit) -> Result<i64, String> {
    let value = text.parse().ok().filter(|value| limit.allows(*value));
    value.ok_or_else(|| format!("allowed is {limit}"))
}

impl RunArgs {
    /// A switch on the command line only ever overrules the file in its own direction.
    fn settings(&self) -> Settings {
        let set = |given: bool, value: bool| given.then_some(value);
        Settings {
            ifname: self.ifname.first().cloned(),
            adopt: set(self.no_adopt, false),
            keep_interface: set(self.keep_interface, true),
            force: set(self.force, true),
            caged: set(self.uncaged, false),
            rx_ring: self.rx_ring,
            tx_ring: self.tx_ring,
            queues: self.queues,
            mtu: self.mtu,
            mac: self.mac,
            ..Settings::default()
        }
    }
}

pub(super) fn run(host: Host, args: RunArgs, log: Option<LevelFilter>) -> Result<Exit, Failure> {
    let file = match &args.config {
        Some(path) => ConfigFile::read(path)?,
        None => ConfigFile::default(),
    };
    start_log(log, file.log, LevelFilter::Info);
    match (&args.client, &args.device) {
        (Some(client), None) => run_client(host, &args, client, &file)?,
        (Some(client), Some(device)) => {
            let (device, file) = (device.clone(), client.clone());
            return Err(ClientError::NotYet { device, file }.into());
        }
        (None, Some(device)) => run_device(host, &args, device.clone(), &file)?,
        (None, None) => unreachable!("the parser wants one of both"),
    }
    Ok(Exit::Done)
}

fn run_device(
    host: Host,
    args: &RunArgs,
    device: DeviceSpec,
    file: &ConfigFile,
) -> Result<(), Failure> {
    one_name(&args.ifname)?;
    own_address(args.mac, &device)?;
    let card = on_the_bus(&host, &device)?;
    let from_file = file.settings_for(&device, card.as_ref())?;
    let config = args.settings().or(from_file).into_run(host, device);
    match crate::run::kept(&config) {
        Some(kept) => crate::run::restart(kept)?,
        None => {
            check_name(&config, card.as_ref())?;
            crate::run::run(config)?;
        }
    }
    Ok(())
}

fn run_client(host: Host, args: &RunArgs, client: &Path, file: &ConfigFile) -> Result<(), Failure> {
    for (index, name) in args.ifname.iter().enumerate() {
        if args.ifname[..index].contains(name) {
            return Err(NamesError::Twice { name: name.clone() }.into());
        }
    }
    let settings = args.settings().or(file.defaults());
    let mut config = ClientConfig {
        host,
        file: client.to_owned(),
        ifnames: args.ifname.clone(),
        verifier: args.verifier,
        deadline: Duration::from_secs(args.client_timeout),
        section: ClientSection::default(),
        restart: settings.restart.into(),
        caged: settings.caged.unwrap_or(true),
    };
    config.section = file.client(&config.name());
    match client::kept(&config) {
        Some(kept) => client::restart(kept)?,
        None => {
            for name in &config.ifnames {
                if config.host.has_interface(name) {
                    return Err(HostError::from(Obstacle::NameTaken { name: name.clone() }).into());
                }
            }
            client::run(config)?;
        }
    }
    Ok(())
}

/// The names given do not fit what is to be named.
#[derive(Debug, Error)]
enum NamesError {
    #[error("--ifname {name} is given twice")]
    Twice { name: IfName },
    #[error("--ifname is given {count} times, and a device has one interface")]
    TooMany { count: usize },
}

impl Explain for NamesError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

fn one_name(names: &[IfName]) -> Result<(), NamesError> {
    match names.len() {
        0 | 1 => Ok(()),
        count => Err(NamesError::TooMany { count }),
    }
}

/// An address was given for a device that has one.
#[derive(Debug, Error)]
#[error("--mac is for vhost-user devices: {device} has an address of its own")]
struct OwnAddress {
    device: DeviceSpec,
}

impl Explain for OwnAddress {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

fn own_address(mac: Option<MacAddress>, device: &DeviceSpec) -> Result<(), OwnAddress> {
    match (mac, device) {
        (Some(_), DeviceSpec::Pci(_) | DeviceSpec::Mac(_) | DeviceSpec::Interface(_))
        | (Some(_), DeviceSpec::InProcess) => Err(OwnAddress {
            device: device.clone(),
        }),
        _ => Ok(()),
    }
}

/// The card, for devices on the PCI bus.
fn on_the_bus(host: &Host, device: &DeviceSpec) -> Result<Option<VirtioNetCard>, HostError> {
    match device {
        DeviceSpec::VhostUser(_) | DeviceSpec::InProcess => Ok(None),
        _ => host.find(device).map(Some),
    }
}

/// The name must be free, that of the interface which makes way, or that of one which an earlier
/// run has kept.
fn check_name(config: &RunConfig, card: Option<&VirtioNetCard>) -> Result<(), HostError> {
    let Some(name) = &config.ifname else {
        return Ok(());
    };
    let own = card.is_some_and(|card| card.interfaces.iter().any(|i| i == name.as_str()));
    let kept = config.keep_interface && config.host.is_tap(name);
    if !own && !kept && config.host.has_interface(name) {
        return Err(Obstacle::NameTaken { name: name.clone() }.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::super::{Cli, Verb};
    use super::*;

    fn config(line: &str, file: &str) -> RunConfig {
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Verb::Run(args) = cli.verb else {
            panic!("{line}");
        };
        let file = ConfigFile::parse(Path::new("test.toml"), file).unwrap();
        let device = args.device.clone().unwrap();
        let from_file = file.settings_for(&device, None).unwrap();
        args.settings()
            .or(from_file)
            .into_run(Host::at("/nowhere"), device)
    }

    #[test]
    fn without_options_everything_is_taken_over_and_given_back() {
        let config = config("umnet run eth1", "");
        assert!(config.adopt && !config.keep_interface && !config.force);
        assert_eq!(
            (config.ifname, config.rx_ring, config.mtu),
            (None, None, None)
        );
        assert!(config.offload.tx_tso && config.feature.event_idx);
    }

    #[test]
    fn every_option_reaches_the_run() {
        let config = config(
            "umnet run 0000:00:03.0 --ifname lan0 --no-adopt --keep-interface --force \
             --rx-ring 1024 --tx-ring 64 --queues 4 --mtu 9000 --mac 02:00:00:00:00:07",
            "",
        );
        assert_eq!(config.mac.unwrap().to_string(), "02:00:00:00:00:07");
        assert_eq!(config.device.to_string(), "0000:00:03.0");
        assert_eq!(config.ifname.unwrap().as_str(), "lan0");
        assert!(!config.adopt && config.keep_interface && config.force);
        assert_eq!(
            (config.rx_ring, config.tx_ring, config.mtu),
            (Some(1024), Some(64), Some(9000))
        );
        assert_eq!(config.queues, Some(4));
    }

    #[test]
    fn queues_are_one_to_eight() {
        for count in ["0", "9", "-1", "all"] {
            let line = format!("umnet run eth1 --queues={count}");
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{count}");
        }
        assert_eq!(
            config("umnet run eth1", "[defaults]\nqueues = 8").queues,
            Some(8)
        );
    }

    #[test]
    fn options_come_before_the_file() {
        let file = "[defaults]\nrx_ring = 8\ntx_ring = 16\nkeep_interface = true\nadopt = false";
        let config = config("umnet run eth1 --rx-ring 32", file);
        assert_eq!((config.rx_ring, config.tx_ring), (Some(32), Some(16)));
        assert!(config.keep_interface && !config.adopt);
    }
}
