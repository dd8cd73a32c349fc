//! The program's command line. Options that every vhost-user back end has are named as QEMU's
//! *Backend program conventions* name them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use log::LevelFilter;
use virtio::net::FeatureSet;
use virtio::net::features::bit_named;
use virtio::spec::feature::{VIRTIO_F_IN_ORDER, VIRTIO_F_RING_PACKED};
use virtio::spec::net::feature::*;
use virtio::transport::TransportError;
use virtio::transport::in_process::{Device, DeviceConfig, Echo, InProcess, Link};
use virtio_hostile::{CATALOGUE, Format, Lie};

use crate::model::{InProcessModel, device_config};
use crate::server::{Server, ServerError};
use crate::tap::{Tap, TapError};

/// A virtio-net device in a process of its own: a vhost-user back end
#[derive(Debug, Parser)]
#[command(name = "vhost-user-net-device")]
struct Cli {
    /// Where to listen
    #[arg(long, value_name = "PATH")]
    socket_path: PathBuf,
    /// The far end of the cable is this TAP interface; without it, frames come back as they went
    #[arg(long, value_name = "NAME")]
    tap: Option<String>,
    /// Pairs of queues
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    queues: u16,
    /// Leave checksums and segmentation to the stacks at both ends
    #[arg(long)]
    no_offloads: bool,
    /// Offer this too: RING_PACKED, IN_ORDER
    #[arg(long, value_name = "FEATURE", value_parser = on_request)]
    offer: Vec<u32>,
    /// Break the specification in this way; docs/lies.md lists them
    #[arg(long, value_name = "NAME", value_parser = lie)]
    lie: Option<&'static Lie>,
    /// How much to log
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: LevelFilter,
}

fn lie(name: &str) -> Result<&'static Lie, String> {
    let found = CATALOGUE.iter().find(|lie| lie.name == name);
    found.ok_or_else(|| "no lie has that name; docs/lies.md lists them".to_owned())
}

fn on_request(name: &str) -> Result<u32, String> {
    let known = [VIRTIO_F_RING_PACKED, VIRTIO_F_IN_ORDER];
    let bit = bit_named(name).filter(|bit| known.contains(bit));
    bit.ok_or_else(|| "it is offered anyway, or cannot be over vhost-user".to_owned())
}

/// Why the device ended.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the lie cannot be told in rings of this format; add or remove --offer RING_PACKED")]
    Format,
    #[error(transparent)]
    Tap(#[from] TapError),
    #[error(transparent)]
    Device(#[from] TransportError),
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// Parses `arguments`, the program's name first, and serves until the process is ended.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = Cli::parse_from(arguments);
    env_logger::Builder::new().filter_level(cli.log).init();
    match serve(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vhost-user-net-device: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(cli: &Cli) -> Result<(), Error> {
    let format = match cli.offer.contains(&VIRTIO_F_RING_PACKED) {
        true => Format::Packed,
        false => Format::Split,
    };
    if cli.lie.is_some_and(|lie| !lie.can_be_told_in(format)) {
        return Err(Error::Format);
    }
    let Some(name) = &cli.tap else {
        let model = model(cli, config(cli, true), Echo::default())?;
        return Ok(Server::bind(&cli.socket_path, Box::new(model))?.run()?);
    };
    let tap = Tap::open(name)?;
    let model = model(cli, config(cli, tap.has_uso()), tap.clone())?;
    let mut server = Server::bind(&cli.socket_path, Box::new(model))?;
    server.watch_link(&tap)?;
    Ok(server.run()?)
}

fn model(
    cli: &Cli,
    config: DeviceConfig,
    link: impl Link + 'static,
) -> Result<InProcessModel, TransportError> {
    let Some(lie) = cli.lie else {
        let (registers, device) = InProcess::new(config, link)?;
        return Ok(InProcessModel::new(registers, device).with_pairs(cli.queues));
    };
    let (registers, device) = lie.device(config, link)?;
    if !lie.is_told_at_birth() {
        device.tell(lie);
    }
    log::warn!("this device lies: {} (§ {})", lie.rule, lie.section);
    let model = InProcessModel::new(registers, Device::clone(&device));
    Ok(model.with_pairs(cli.queues))
}

const OFFLOADS: FeatureSet = FeatureSet::of(&[
    VIRTIO_NET_F_CSUM,
    VIRTIO_NET_F_HOST_TSO4,
    VIRTIO_NET_F_HOST_TSO6,
    VIRTIO_NET_F_HOST_ECN,
    VIRTIO_NET_F_GUEST_CSUM,
    VIRTIO_NET_F_GUEST_TSO4,
    VIRTIO_NET_F_GUEST_TSO6,
    VIRTIO_NET_F_GUEST_ECN,
]);

const UDP_OFFLOADS: FeatureSet = FeatureSet::of(&[
    VIRTIO_NET_F_HOST_USO,
    VIRTIO_NET_F_GUEST_USO4,
    VIRTIO_NET_F_GUEST_USO6,
]);

fn config(cli: &Cli, has_uso: bool) -> DeviceConfig {
    let mut config = device_config(cli.queues).offering(&cli.offer);
    if cli.no_offloads {
        config.offered = config.offered.without(OFFLOADS);
    }
    if cli.no_offloads || !has_uso {
        config.offered = config.offered.without(UDP_OFFLOADS);
    }
    config
}
