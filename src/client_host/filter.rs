//! What an interface wants received, as clients hear it in EvtSetReceiveFilter.

use std::fs;

use netadapter_shim::ReceiveFilter;
use netadapter_shim::abi::NetPacketFilterFlags as Filter;

use crate::host::interface::Link;

/// Where Linux lists multicast addresses: of all interfaces of the reader's namespace.
const GROUPS: &str = "/proc/net/dev_mcast";

/// The filter for an interface. Of one that is not `here` but in another namespace, groups cannot
/// be seen: all multicast is received, and the interface filters.
pub(super) fn filter_of(link: &Link, here: bool) -> ReceiveFilter {
    let groups = fs::read_to_string(GROUPS).ok().filter(|_| here);
    let all = groups.is_none() || link.allmulti;
    let mut filter = Filter::DIRECTED | Filter::BROADCAST | Filter::MULTICAST;
    if all {
        filter = filter | Filter::ALL_MULTICAST;
    }
    if link.promisc {
        filter = filter | Filter::PROMISCUOUS;
    }
    let groups = groups.map(|text| groups_of(&text, link.index));
    ReceiveFilter {
        packet_filter: filter,
        multicast_addresses: groups.unwrap_or_default(),
    }
}

/// The groups of one interface; a line is `index name references global address`.
fn groups_of(text: &str, index: u32) -> Vec<[u8; 6]> {
    let address = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [number, _, _, _, address] = words[..] else {
            return None;
        };
        let own = number.parse() == Ok(index);
        own.then(|| bare(address)).flatten()
    };
    text.lines().filter_map(address).collect()
}

/// `01005e000001`
fn bare(text: &str) -> Option<[u8; 6]> {
    let number = u64::from_str_radix(text, 16).ok();
    let number = number.filter(|_| text.len() == 12)?;
    let [_, _, mac @ ..] = number.to_be_bytes();
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "\
2    eth0            1     0     333300000001
3    wire0           1     0     01005e000001
3    wire0           2     0     3333ff000102
3    ib0             1     0     00ffffffff12401bffff000000000000000000fb
";

    #[test]
    fn an_interface_has_its_own_groups_and_no_other_ones() {
        let groups = groups_of(LISTED, 3);
        let expected = [[1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0xff, 0, 1, 2]];
        assert_eq!(groups, expected);
        assert!(groups_of(LISTED, 4).is_empty());
    }

    #[test]
    fn promiscuous_and_foreign_interfaces_want_more() {
        let plain = Link::default();
        let listed = Filter::DIRECTED | Filter::BROADCAST | Filter::MULTICAST;
        assert_eq!(filter_of(&plain, true).packet_filter, listed);
        let away = filter_of(&plain, false).packet_filter;
        assert_eq!(away, listed | Filter::ALL_MULTICAST);
        let promiscuous = Link {
            promisc: true,
            ..Link::default()
        };
        let filter = filter_of(&promiscuous, true).packet_filter;
        assert_eq!(filter, listed | Filter::PROMISCUOUS);
    }
}
