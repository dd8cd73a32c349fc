//! `umnet status` and `umnet stats`.

use std::fmt::Write;

use serde::Serialize;

use super::{Failure, output};
use crate::card::{LEFT_OUT, WHY_LEFT_OUT};
use crate::config::Fallback;
use crate::control::{self, AdapterStatus, ClientStatus, ControlError, Counters, Stats, Status};
use crate::exit::Exit;
use crate::host::{DeviceSpec, Host, IfName, MacAddress};

#[derive(Serialize)]
struct Devices<T> {
    devices: Vec<T>,
}

pub(super) fn status(host: &Host, device: Option<DeviceSpec>, json: bool) -> Result<Exit, Failure> {
    tell(host, device, json, control::status, status_text)
}

pub(super) fn stats(host: &Host, device: Option<DeviceSpec>, json: bool) -> Result<Exit, Failure> {
    tell(host, device, json, control::stats, stats_text)
}

/// Asks one device, or all that are driven, and prints what they say.
fn tell<T: Serialize>(
    host: &Host,
    device: Option<DeviceSpec>,
    json: bool,
    ask: impl Fn(&Host, &DeviceSpec, &str) -> Result<T, ControlError>,
    text: impl Fn(&T) -> String,
) -> Result<Exit, Failure> {
    let devices: Vec<T> = match device {
        Some(device) => vec![ask(host, &device, &stem(host, &device)?)?],
        None => all(host, ask)?,
    };
    if json {
        output::json(&Devices { devices })?;
    } else {
        let texts: Vec<String> = devices.iter().map(text).collect();
        output::text(&texts.join("\n"))?;
    }
    Ok(Exit::Done)
}

/// All that answer. A socket whose owner died is passed over; if that leaves none, it is as if
/// nothing ran.
fn all<T>(
    host: &Host,
    ask: impl Fn(&Host, &DeviceSpec, &str) -> Result<T, ControlError>,
) -> Result<Vec<T>, ControlError> {
    let mut answers = Vec::new();
    for stem in control::running(host)? {
        let device = stem.parse().unwrap_or(DeviceSpec::InProcess);
        match ask(host, &device, &stem) {
            Err(ControlError::NotRunning { .. }) => log::warn!("{stem}: the umnet there has died"),
            answer => answers.push(answer?),
        }
    }
    match answers.is_empty() {
        true => Err(ControlError::NothingRuns {
            dir: host.run_dir().to_owned(),
        }),
        false => Ok(answers),
    }
}

/// The device that is meant, and its name in the run folder: where none is named, the only one.
pub(super) fn the_one(
    host: &Host,
    device: Option<DeviceSpec>,
) -> Result<(DeviceSpec, String), Failure> {
    if let Some(device) = device {
        let stem = stem(host, &device)?;
        return Ok((device, stem));
    }
    let stems = control::running(host)?;
    match stems.as_slice() {
        [only] => Ok((only.parse().unwrap_or(DeviceSpec::InProcess), only.clone())),
        several => Err(ControlError::Refused(format!(
            "umnet drives several devices, name one: {}",
            several.join(" ")
        ))
        .into()),
    }
}

/// The device's name in the run folder. While umnet drives a card, the card is found by the name
/// and MAC address it had before; they are the new interface's as well.
fn stem(host: &Host, device: &DeviceSpec) -> Result<String, Failure> {
    match device {
        DeviceSpec::Mac(_) | DeviceSpec::Interface(_) => Ok(by_interface(host, device)
            .map_or_else(
                || host.find(device).map(|card| card.address.to_string()),
                Ok,
            )?),
        other => Ok(other.file_stem()),
    }
}

/// Whoever is running knows best which interface it gives. A second in-process device is called
/// like an interface, too.
fn by_interface(host: &Host, device: &DeviceSpec) -> Option<String> {
    control::running(host).ok()?.into_iter().find(|stem| {
        let is_itself = *stem == device.file_stem();
        is_itself
            || control::status(host, device, stem).is_ok_and(|status| match device {
                DeviceSpec::Mac(mac) => macs(&status).any(|own| own == *mac),
                DeviceSpec::Interface(name) => names(&status).any(|own| own == name),
                _ => false,
            })
    })
}

fn adapters(status: &Status) -> &[AdapterStatus] {
    status
        .client
        .as_ref()
        .map_or(&[], |client| &client.adapters)
}

fn macs(status: &Status) -> impl Iterator<Item = MacAddress> + '_ {
    let theirs = adapters(status).iter().filter_map(|adapter| adapter.mac);
    std::iter::once(status.mac).chain(theirs)
}

fn names(status: &Status) -> impl Iterator<Item = &IfName> {
    let theirs = adapters(status)
        .iter()
        .filter_map(|adapter| adapter.ifname.as_ref());
    status.ifname.iter().chain(theirs)
}

fn status_text(status: &Status) -> String {
    match &status.client {
        Some(client) => client_text(status, client),
        None => device_text(status),
    }
}

/// A client driver's adapters, each with its interface.
fn client_text(status: &Status, client: &ClientStatus) -> String {
    let verifier = if client.verifier { "on" } else { "off" };
    let mut out = format!("{} ({}, verifier {verifier})\n", status.device, client.file);
    for adapter in &client.adapters {
        let name = adapter.ifname.as_ref().map_or("-", IfName::as_str);
        let mac = adapter.mac.map_or("-".to_owned(), |mac| mac.to_string());
        let link = link(adapter.link_up, adapter.speed_mbps, adapter.full_duplex);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "  adapter {:<6}{name}, MAC {mac}, MTU {}, {link}, {} queue pair(s)",
            adapter.number, adapter.mtu, adapter.queue_pairs
        );
    }
    let _ = writeln!(
        out,
        "  {:<14}{} KiB of system buffers",
        "memory",
        status.memory.pool_bytes / 1024
    );
    out + &hosts_text(status, "client host") + &process_line(status)
}

fn process_line(status: &Status) -> String {
    format!(
        "  {:<14}{}, umnet {}, up {} s\n",
        "supervisor", status.pid, status.version, status.uptime_seconds
    )
}

fn device_text(status: &Status) -> String {
    let mut out = String::new();
    let ifname = status.ifname.as_ref().map_or("-", IfName::as_str);
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {name:<14}{value}");
    };
    line(
        "interface",
        format!("{ifname}, MAC {}, MTU {}", status.mac, status.mtu),
    );
    line(
        "link",
        link(status.link_up, status.speed_mbps, status.full_duplex),
    );
    line(
        "queues",
        format!(
            "{} pair(s), rx ring {}, tx ring {}",
            status.queue_pairs, status.rx_ring, status.tx_ring
        ),
    );
    line("busy poll", busy_poll(status.busy_poll_us));
    line("features", words(&status.features));
    line("refused", words(&status.features_refused));
    for name in LEFT_OUT.names() {
        if status.features_refused.contains(&name) {
            line("", format!("{name}: {WHY_LEFT_OUT}"));
        }
    }
    line("not offered", words(&status.features_not_offered));
    line("offloads", words(&status.offloads));
    line(
        "memory",
        format!(
            "{} KiB pinned for the device, {} KiB of system buffers",
            status.memory.pinned_bytes / 1024,
            status.memory.pool_bytes / 1024
        ),
    );
    if let Some(iommu) = &status.iommu {
        line(
            "IOMMU",
            format!(
                "group {}, {} KiB in {} mapping(s), {}",
                iommu.group,
                iommu.mapped_bytes / 1024,
                iommu.mappings,
                match iommu.interrupt_remapping {
                    true => "interrupts remapped",
                    false => "NO INTERRUPT REMAPPING: the device can raise any interrupt",
                }
            ),
        );
    }
    line(
        "at stake",
        format!(
            "at most {} frames received and {} sent when the driver host dies",
            status.loss_bound.rx_frames, status.loss_bound.tx_frames
        ),
    );
    out += &hosts_text(status, "driver host");
    format!("{}\n{out}{}", status.device, process_line(status))
}

fn busy_poll(microseconds: u16) -> String {
    match microseconds {
        0 => "off".to_owned(),
        some => format!("up to {some} us before a sleep, while frames come that quickly"),
    }
}

/// How often hosts were replaced, when they are, and the one there is.
fn hosts_text(status: &Status, host: &str) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {name:<14}{value}");
    };
    line(
        "restarts",
        format!(
            "{}, of them after a hang {}; device resets {}",
            status.restarts, status.hangs, status.resets
        ),
    );
    if let Some(policy) = &status.policy {
        line(
            "policy",
            format!(
                "{} of {} young deaths in a row, then {}; without a sign of life replaced after {} ms",
                policy.young_deaths,
                policy.give_up_after,
                match policy.fallback {
                    Fallback::LinkDown => format!("no link for {} ms", policy.retry_after_ms),
                    Fallback::Kernel if status.client.is_some() => "the run ends".to_owned(),
                    Fallback::Kernel => "back to the kernel".to_owned(),
                },
                policy.hang_after_ms
            ),
        );
    }
    match (&status.host, &status.down) {
        (Some(one), _) => line(
            host,
            format!("{}, umnet {}, {}", one.pid, one.version, one.cage),
        ),
        (None, Some(why)) => line(host, format!("none: {why}")),
        (None, None) => line(host, "none, the next one begins".to_owned()),
    }
    out
}

fn link(up: bool, speed: Option<u32>, full_duplex: Option<bool>) -> String {
    let mut text = if up { "up" } else { "down" }.to_owned();
    if let Some(speed) = speed {
        text += &format!(", {speed} Mb/s");
    }
    match full_duplex {
        Some(true) => text + ", full duplex",
        Some(false) => text + ", half duplex",
        None => text,
    }
}

fn words(words: &[String]) -> String {
    match words.is_empty() {
        true => "-".to_owned(),
        false => words.join(" "),
    }
}

fn stats_text(stats: &Stats) -> String {
    let mut out = format!("{} ({})\n", stats.device, stats.ifname);
    out += &counters("total", &stats.total);
    for queue in &stats.queues {
        out += &counters(&queue.queue, &queue.counters);
    }
    for adapter in &stats.adapters {
        let name = adapter.ifname.as_ref().map_or("-", IfName::as_str);
        out += &counters(
            &format!("adapter {} ({name})", adapter.number),
            &adapter.total,
        );
    }
    out
}

fn counters(name: &str, counters: &Counters) -> String {
    let lines = counters
        .iter()
        .map(|(counter, value)| format!("    {counter}: {value}\n"));
    format!("  {name}:\n{}", lines.collect::<String>())
}
