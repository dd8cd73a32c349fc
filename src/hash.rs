//! Between virtio's words for what is hashed of a frame and NetAdapterCx's.

use netadapter_shim::abi::{NetPacketHash, NetPacketHashProtocolType as Protocol};
use virtio::net::HashReport;
use virtio::spec::net::hash::*;
use virtio::spec::net::header::HASH_REPORT_NONE;

/// For each bit of the device's the framework's that must all be wanted.
const HASHED: [(u32, Protocol); 6] = [
    (TYPE_IPV4, Protocol::IPV4),
    (TYPE_IPV6, Protocol::IPV6),
    (TYPE_TCPV4, Protocol(Protocol::IPV4.0 | Protocol::TCP.0)),
    (TYPE_TCPV6, Protocol(Protocol::IPV6.0 | Protocol::TCP.0)),
    (TYPE_UDPV4, Protocol(Protocol::IPV4.0 | Protocol::UDP.0)),
    (TYPE_UDPV6, Protocol(Protocol::IPV6.0 | Protocol::UDP.0)),
];

/// What must be wanted for all of these `types`.
pub fn protocols(types: u32) -> Protocol {
    let hashed = HASHED.iter().filter(|(bit, _)| types & bit != 0);
    Protocol(hashed.fold(0, |all, (_, needs)| all | needs.0))
}

/// The types that come to nothing but these `protocols`.
pub fn types(protocols: Protocol) -> u32 {
    let wanted = HASHED
        .iter()
        .filter(|(_, needs)| protocols.contains(*needs));
    wanted.fold(0, |all, (bit, _)| all | bit)
}

/// Whether a device that was told to hash these `types` may say so of a frame (§ *Hash reporting
/// for incoming packets*). They may have changed since the frame was hashed, so a driver asks with
/// all that it may ever have said.
#[inline]
pub fn is_possible(report: HashReport, types: u32) -> bool {
    report.report == HASH_REPORT_NONE || report.hash_type() & types != 0
}

/// The same hash in the framework's words.
#[cold]
pub fn packet_hash(report: HashReport) -> NetPacketHash {
    NetPacketHash::new(report.value, protocols(report.hash_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hashed_survives_the_way_there_and_back() {
        assert_eq!(types(protocols(TYPES)), TYPES);
        assert_eq!(types(protocols(TYPE_IPV4)), TYPE_IPV4);
        assert_eq!(types(Protocol::TCP), 0, "over neither protocol");
    }

    #[test]
    fn of_all_reports_those_of_the_types_and_none_are_possible() {
        let possible = |types| {
            let reports = (0..=u16::MAX).map(|report| HashReport { value: 1, report });
            let possible = reports.filter(|&report| is_possible(report, types));
            possible.map(|report| report.report).collect::<Vec<_>>()
        };
        assert_eq!(possible(0), [0]);
        assert_eq!(possible(TYPE_TCPV4 | TYPE_UDPV6), [0, 2, 6]);
        assert_eq!(possible(TYPES), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_packet_says_over_what_its_hash_is() {
        let of = |report| {
            let hash = packet_hash(HashReport { value: 7, report });
            (hash.hash_value, u32::from(hash.protocol_type))
        };
        assert_eq!(of(2), (7, Protocol::IPV4.0 | Protocol::TCP.0));
        assert_eq!(of(0), (7, 0));
    }
}
