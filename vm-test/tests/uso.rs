//! UDP segments: used where the guest's TAP carries them (Linux 6.2), left alone before.

use vm_test::{Error, Lab, Machine, Result, Umnet, scenario, scenario_on, tap_link, traffic};

const USO: [&str; 3] = ["HOST_USO", "GUEST_USO4", "GUEST_USO6"];
/// Just over one segment, two whole ones, an odd number with a short last one, nearly the largest send.
const SIZES: &str = "1401,2800,9001,60000";
const SEGMENT: u16 = 1400;
/// Sends of a check at the least: sizes, four of each, over both families.
const SENDS: u64 = 4 * 4 * 2;

#[test]
fn udp_segments_arrive_unchanged_and_stay_whole_where_the_guest_can_take_them() {
    scenario(udp_segments);
}

#[test]
fn udp_segments_stay_whole_both_ways_in_a_newer_guest() {
    scenario_on("6.12", |lab| {
        assert!(carries_udp_segments(lab.image().kernel_release()));
        udp_segments(lab)
    });
}

/// Sends from both ends that the kernel may cut as late as it can.
fn udp_segments(lab: &Lab) -> Result<()> {
    lab.needs_umnet()?;
    let host = lab.host_net()?;
    let nic = tap_link::card(&host, 0, 1, "n0")?;
    let vm = lab.boot(Machine::new().nic(nic).inside(&host))?;
    let guest = &vm.guest;
    let umnet = tap_link::run(&vm, 0, "n0")?;
    let whole = carries_udp_segments(lab.image().kernel_release());
    agreed_on(&umnet, whole)?;

    let counts = || -> Result<_> {
        Ok((
            umnet.counter("tx_gso_packets")?,
            umnet.counter("rx_gso_packets")?,
        ))
    };
    let at_least = if whole { SENDS } else { 0 };
    for address in ["10.9.0.2:7", "[fd00:9::2]:7"] {
        traffic::segments(guest, &host, address, SIZES, SEGMENT)?;
    }
    let (sent, received) = counts()?;
    assert!(
        sent >= at_least && (whole || sent == 0),
        "{}",
        umnet.stats()?
    );
    assert_eq!(received, 0, "the host answers with single datagrams");
    for address in ["10.9.0.1:7", "[fd00:9::1]:7"] {
        traffic::segments(&host, guest, address, SIZES, SEGMENT)?;
    }
    let (_, received) = counts()?;
    assert!(
        received >= at_least && (whole || received == 0),
        "{}",
        umnet.stats()?
    );
    for fault in ["rx_errors", "tx_dropped", "tx_timeout", "resets"] {
        assert_eq!(umnet.counter(fault)?, 0, "{fault}: {}", umnet.stats()?);
    }
    umnet.stop()?;
    Ok(())
}

/// The three features are in use, or refused, all alike.
fn agreed_on(umnet: &Umnet, whole: bool) -> Result<()> {
    let status = umnet.status()?;
    let has = |list: &str, feature| {
        let names = status[list].as_array().into_iter().flatten();
        names.into_iter().any(|name| name == feature)
    };
    for feature in USO {
        if has("features_not_offered", feature) {
            return Err(Error::Unavailable(format!(
                "the device offers no {feature}; it does with QEMU 8.2 on Linux 6.2 or newer"
            )));
        }
        assert_eq!(has("features", feature), whole, "{feature}: {status}");
    }
    Ok(())
}

/// Whether a TAP of this kernel has TUN_F_USO4 and TUN_F_USO6.
fn carries_udp_segments(release: &str) -> bool {
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|word| word.parse().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udp_segments_came_with_linux_6_2() {
        assert!(carries_udp_segments("6.12.117+deb12-cloud-amd64"));
        assert!(carries_udp_segments("6.8.0-45-generic"));
        assert!(carries_udp_segments("7.0.1"));
        assert!(!carries_udp_segments("6.1.0-56-cloud-amd64"));
        assert!(!carries_udp_segments("5.19"));
    }
}
