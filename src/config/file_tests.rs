use super::super::{FeatureSettings, OffloadSettings};
use super::*;
use crate::host::Host;

fn parse(text: &str) -> Result<ConfigFile, ConfigError> {
    ConfigFile::parse(Path::new("test.toml"), text)
}

fn device(text: &str) -> DeviceSpec {
    text.parse().unwrap()
}

#[test]
fn the_documented_example_is_valid_and_holds_every_key() {
    let text = include_str!("../../docs/umnet.toml");
    let file = parse(text).unwrap();
    assert_eq!(file.log, Some(LevelFilter::Info));
    let all = file.settings_for(&device("0000:00:03.0"), None).unwrap();
    assert!(all.ifname.is_some() && all.adopt.is_some() && all.keep_interface.is_some());
    assert!(all.force.is_some() && all.caged.is_some() && all.restart.fallback.is_some());
    assert!(
        all.numbers().iter().all(|(_, value, _)| value.is_some()),
        "{all:?}"
    );
    let back_end = device("vhost-user:/run/device.sock");
    assert!(file.settings_for(&back_end, None).unwrap().mac.is_some());
    let OffloadSettings {
        tx_checksum,
        tx_tso,
        tx_uso,
        rx_checksum,
        rx_tso,
        rx_uso,
    } = all.offload;
    let FeatureSettings {
        event_idx,
        indirect_desc,
        packed,
        mrg_rxbuf,
        in_order,
    } = all.feature;
    let switches = [
        tx_checksum,
        tx_tso,
        tx_uso,
        rx_checksum,
        rx_tso,
        rx_uso,
        event_idx,
        indirect_desc,
        packed,
        mrg_rxbuf,
        in_order,
    ];
    assert!(switches.iter().all(Option::is_some), "{switches:?}");
}

#[test]
fn a_cards_section_lies_over_the_defaults() {
    let file = parse(
        "[defaults]\nrx_ring = 256\ntx_ring = 128\noffload.tx_tso = false\n\
         [card.eth1]\nrx_ring = 1024\noffload.rx_tso = false\n",
    )
    .unwrap();
    let eth1 = file.settings_for(&device("eth1"), None).unwrap();
    let run = eth1.into_run(Host::at("/nowhere"), device("eth1"));
    assert_eq!((run.rx_ring, run.tx_ring), (Some(1024), Some(128)));
    assert!(!run.offload.tx_tso && !run.offload.rx_tso && run.offload.rx_checksum);
    let other = file.settings_for(&device("eth2"), None).unwrap();
    assert_eq!(other.rx_ring, Some(256));
}

#[test]
fn numbers_out_of_range_name_file_key_value_and_range() {
    let cases = [
        (
            "[defaults]\nrx_ring = 100",
            "test.toml: defaults.rx_ring = 100: allowed is a power of two from 4 to 32768",
        ),
        (
            "[card.eth1]\nmtu = -1",
            "test.toml: card.\"eth1\".mtu = -1: allowed is from 68 to 65521",
        ),
        (
            "[card.eth1]\nbuffers.bytes = 99999999",
            "test.toml: card.\"eth1\".buffers.bytes = 99999999: allowed is from 1536 to 131072",
        ),
        (
            "[defaults.restart]\nhang_after_ms = 1",
            "test.toml: defaults.restart.hang_after_ms = 1: allowed is from 10 to 3600000",
        ),
        (
            "log = 'loud'",
            "test.toml: log = loud: allowed is one of off, error, warn, info, debug, trace",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(parse(text).unwrap_err().to_string(), message);
    }
}

#[test]
fn unknown_keys_and_malformed_devices_are_refused_by_name() {
    for (text, word) in [
        ("[defaults]\nrx_rings = 4", "rx_rings"),
        ("[card.eth1.offload]\nlro = true", "lro"),
        ("defaults = 3", "defaults"),
        ("[card.\"0000:00\"]\nmtu = 1500", "0000:00"),
        ("[card.eth1]\nifname = 'much-too-long-for-linux'", "15"),
        ("[defaults]\nifname = 'eth0'", "two cards"),
    ] {
        let message = parse(text).unwrap_err().to_string();
        assert!(
            message.contains("test.toml") && message.contains(word),
            "{text}: {message}"
        );
    }
}

#[test]
fn two_sections_for_one_card_are_refused() {
    let file = parse("[card.eth1]\nmtu = 1500\n[card.\"0000:00:03.0\"]\nmtu = 9000").unwrap();
    let card = VirtioNetCard {
        address: "0000:00:03.0".parse().unwrap(),
        generation: crate::host::pci::Generation::Modern,
        driver: None,
        driver_override: None,
        interfaces: vec!["eth1".to_owned()],
        mac: None,
        iommu_group: None,
        irq: None,
        msi_irqs: 0,
    };
    let refused = file.settings_for(&device("eth1"), Some(&card)).unwrap_err();
    assert!(
        matches!(refused, ConfigError::Ambiguous { .. }),
        "{refused}"
    );
    assert!(file.settings_for(&device("eth1"), None).is_ok());
}
