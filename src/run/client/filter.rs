//! What an interface wants received, as clients hear it in EvtSetReceiveFilter.

use crate::channel::Filter;
use crate::host::interface::Link;

/// Where Linux lists multicast addresses: of all interfaces of the reader's namespace.
pub(super) const GROUPS: &str = "/proc/net/dev_mcast";
/// More groups than fit a message; whoever is in more of them gets all multicast.
const MAX_GROUPS: usize = 500;

/// The filter for an interface. Without a list of all `groups`, as for one in another namespace,
/// all multicast is received, and the interface filters.
pub(super) fn filter_of(adapter: usize, link: &Link, groups: Option<&str>) -> Filter {
    let listed = groups.map(|text| groups_of(text, link.index));
    let listed = listed.filter(|groups| groups.len() <= MAX_GROUPS);
    Filter {
        adapter,
        promisc: link.promisc,
        all_multicast: listed.is_none() || link.allmulti,
        groups: listed.unwrap_or_default(),
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
        let here = filter_of(0, &plain, Some(LISTED));
        assert!(!here.all_multicast && !here.promisc);
        let away = filter_of(0, &plain, None);
        assert!(away.all_multicast && away.groups.is_empty());
        let promiscuous = Link {
            promisc: true,
            ..Link::default()
        };
        assert!(filter_of(0, &promiscuous, Some(LISTED)).promisc);
    }

    #[test]
    fn whoever_is_in_too_many_groups_gets_all_multicast() {
        let line = |number: usize| format!("3 wire0 1 0 01005e{number:06x}\n");
        let link = Link {
            index: 3,
            ..Link::default()
        };
        let listed = |count: usize| (0..count).map(line).collect::<String>();
        let many = filter_of(0, &link, Some(&listed(MAX_GROUPS)));
        assert!(!many.all_multicast && many.groups.len() == MAX_GROUPS);
        let more = filter_of(0, &link, Some(&listed(MAX_GROUPS + 1)));
        assert!(more.all_multicast && more.groups.is_empty());
    }
}
