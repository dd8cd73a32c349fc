//! `umnet list`.

use serde::Serialize;

use super::{Failure, output};
use crate::exit::{Exit, Explain};
use crate::host::Host;
use crate::host::obstacle::Obstacle;
use crate::host::pci::VirtioNetCard;
use crate::host::state::DeviceState;

#[derive(Serialize)]
struct List {
    cards: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    #[serde(flatten)]
    card: VirtioNetCard,
    /// Taken by umnet, running or not.
    held_by_umnet: bool,
    could_be_taken: bool,
    obstacles: Vec<Reason>,
}

#[derive(Serialize)]
struct Reason {
    #[serde(flatten)]
    obstacle: Obstacle,
    text: String,
    next: Option<String>,
}

pub(super) fn list(host: &Host, json: bool) -> Result<Exit, Failure> {
    let entries: Vec<Entry> = host
        .cards()
        .into_iter()
        .map(|card| entry(host, card))
        .collect();
    if json {
        output::json(&List { cards: entries })?;
    } else if entries.is_empty() {
        output::text(
            "no virtio-net cards on the PCI bus (umnet selftest and vhost-user devices need none)\n",
        )?;
    } else {
        output::text(&output::columns(&table(&entries)))?;
    }
    Ok(Exit::Done)
}

fn entry(host: &Host, card: VirtioNetCard) -> Entry {
    // What the network stack does not tell now, it tells whoever takes the card.
    let obstacles = host.obstacles(&card).unwrap_or_else(|error| {
        log::warn!("{}: {error}", card.address);
        Vec::new()
    });
    let reason = |obstacle: Obstacle| Reason {
        text: obstacle.to_string(),
        next: obstacle.next_step(),
        obstacle,
    };
    Entry {
        held_by_umnet: DeviceState::load(host, card.address).is_ok_and(|state| state.is_some()),
        could_be_taken: obstacles.is_empty(),
        obstacles: obstacles.into_iter().map(reason).collect(),
        card,
    }
}

fn table(entries: &[Entry]) -> Vec<Vec<String>> {
    let heads = [
        "DEVICE",
        "INTERFACE",
        "MAC",
        "DRIVER",
        "GROUP",
        "UMNET COULD TAKE IT",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(row));
    rows
}

fn row(entry: &Entry) -> Vec<String> {
    let card = &entry.card;
    let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    vec![
        card.address.to_string(),
        or_dash(card.interface().map(str::to_owned)),
        or_dash(card.mac.map(|mac| mac.to_string())),
        or_dash(card.driver.clone()),
        or_dash(card.iommu_group.as_ref().map(|group| group.id.to_string())),
        verdict(entry),
    ]
}

fn verdict(entry: &Entry) -> String {
    match entry.obstacles.first() {
        None if entry.held_by_umnet => "umnet has it".to_owned(),
        None => "yes".to_owned(),
        Some(first) if first.obstacle.yields_to_force() => format!("with --force: {}", first.text),
        Some(first) => format!("no: {}", first.text),
    }
}
