//! § *Control Virtqueue*, device side.

use std::collections::BTreeSet;

use super::DeviceConfig;
use super::check::Violations;
use crate::net::{Coalescing, FeatureSet, RssConfig, guest_offloads};
use crate::spec::net::feature::*;
use crate::spec::net::{ctrl, hash};

/// Numbers of VLANs have 12 bits.
const VLANS: u16 = 1 << 12;

/// What the driver has told the device over the control queue. A reset clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlState {
    /// Everything is to be received.
    pub promiscuous: bool,
    /// All multicast is to be received.
    pub all_multicast: bool,
    /// The unicast table.
    pub unicast: Vec<[u8; 6]>,
    /// The multicast table.
    pub multicast: Vec<[u8; 6]>,
    /// The address, if the driver has set one.
    pub mac: Option<[u8; 6]>,
    /// Pairs in use, if the driver has set that.
    pub pairs: Option<u16>,
    /// How received frames are spread, if not automatically.
    pub rss: Option<RssConfig>,
    /// VLANs whose frames are to be received.
    pub vlans: BTreeSet<u16>,
    /// Announcements that were acknowledged.
    pub announced: u32,
    /// Receive offloads that are on, if the driver has said so.
    pub guest_offloads: Option<FeatureSet>,
    /// How long notifications of transmit queues may be put off. This device puts none off.
    pub tx_coalescing: Coalescing,
    /// The same of receive queues.
    pub rx_coalescing: Coalescing,
}

impl ControlState {
    /// Carries out `command` (class, command, data) and returns the acknowledgement.
    pub(super) fn execute(
        &mut self,
        command: &[u8],
        accepted: FeatureSet,
        config: &DeviceConfig,
        violations: &mut Violations,
    ) -> u8 {
        let done = match command {
            [ctrl::CLASS_RX, mode, data @ ..] if accepted.has(VIRTIO_NET_F_CTRL_RX) => {
                self.set_mode(*mode, data)
            }
            [ctrl::CLASS_MAC, ctrl::MAC_TABLE_SET, data @ ..]
                if accepted.has(VIRTIO_NET_F_CTRL_RX) =>
            {
                self.set_tables(data)
            }
            [ctrl::CLASS_MAC, ctrl::MAC_ADDR_SET, data @ ..]
                if accepted.has(VIRTIO_NET_F_CTRL_MAC_ADDR) =>
            {
                self.set_mac(data)
            }
            [ctrl::CLASS_VLAN, what, data @ ..] if accepted.has(VIRTIO_NET_F_CTRL_VLAN) => {
                self.set_vlan(*what, data)
            }
            [ctrl::CLASS_ANNOUNCE, ctrl::ANNOUNCE_ACK]
                if accepted.has(VIRTIO_NET_F_GUEST_ANNOUNCE) =>
            {
                self.announced += 1;
                Some(())
            }
            [
                ctrl::CLASS_GUEST_OFFLOADS,
                ctrl::GUEST_OFFLOADS_SET,
                data @ ..,
            ] if accepted.has(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) => {
                self.set_guest_offloads(data, accepted)
            }
            [ctrl::CLASS_NOTF_COAL, what, data @ ..] if accepted.has(VIRTIO_NET_F_NOTF_COAL) => {
                self.set_coalescing(*what, data)
            }
            [ctrl::CLASS_MQ, ctrl::MQ_VQ_PAIRS_SET, data @ ..] if accepted.has(VIRTIO_NET_F_MQ) => {
                self.set_pairs(data, config.max_pairs)
            }
            [ctrl::CLASS_MQ, ctrl::MQ_RSS_CONFIG, data @ ..] if accepted.has(VIRTIO_NET_F_RSS) => {
                self.set_rss(data, config)
            }
            _ => None,
        };
        violations.check(done.is_none(), "Control Virtqueue", || {
            format!("command {command:02x?} is malformed or was not negotiated")
        });
        if done.is_some() {
            ctrl::ACK_OK
        } else {
            ctrl::ACK_ERR
        }
    }

    fn set_mode(&mut self, mode: u8, data: &[u8]) -> Option<()> {
        let &[on @ (0 | 1)] = data else { return None };
        match mode {
            ctrl::RX_PROMISC => self.promiscuous = on == 1,
            ctrl::RX_ALLMULTI => self.all_multicast = on == 1,
            _ => return None,
        }
        Some(())
    }

    fn set_tables(&mut self, data: &[u8]) -> Option<()> {
        let (unicast, rest) = table(data)?;
        let (multicast, rest) = table(rest)?;
        if !rest.is_empty() || multicast.iter().any(|mac| mac[0] & 1 == 0) {
            return None;
        }
        (self.unicast, self.multicast) = (unicast, multicast);
        Some(())
    }

    fn set_mac(&mut self, data: &[u8]) -> Option<()> {
        self.mac = Some(data.try_into().ok()?);
        Some(())
    }

    fn set_vlan(&mut self, what: u8, data: &[u8]) -> Option<()> {
        let id = u16::from_le_bytes(data.try_into().ok()?);
        (id < VLANS).then_some(())?;
        match what {
            ctrl::VLAN_ADD => self.vlans.insert(id),
            ctrl::VLAN_DEL => self.vlans.remove(&id),
            _ => return None,
        };
        Some(())
    }

    /// Only what was agreed on can be switched, and nothing without what it needs.
    fn set_guest_offloads(&mut self, data: &[u8], accepted: FeatureSet) -> Option<()> {
        let on = FeatureSet(u64::from_le_bytes(data.try_into().ok()?).into());
        let agreed = accepted.and(guest_offloads());
        let needs_csum = on.without(FeatureSet::of(&[VIRTIO_NET_F_GUEST_CSUM]));
        let sound = on.without(agreed) == FeatureSet::EMPTY
            && (needs_csum == FeatureSet::EMPTY || on.has(VIRTIO_NET_F_GUEST_CSUM));
        sound.then(|| self.guest_offloads = Some(on))
    }

    fn set_coalescing(&mut self, what: u8, data: &[u8]) -> Option<()> {
        let (packets, usecs) = data.split_first_chunk::<4>()?;
        let limits = Coalescing {
            max_packets: u32::from_le_bytes(*packets),
            max_usecs: u32::from_le_bytes(usecs.try_into().ok()?),
        };
        match what {
            ctrl::NOTF_COAL_TX_SET => self.tx_coalescing = limits,
            ctrl::NOTF_COAL_RX_SET => self.rx_coalescing = limits,
            _ => return None,
        }
        Some(())
    }

    /// Of the features agreed on those that hold now.
    pub(super) fn receives(&self, accepted: FeatureSet) -> FeatureSet {
        match self.guest_offloads {
            Some(on) => accepted.without(guest_offloads().without(on)),
            None => accepted,
        }
    }

    /// Whether a frame has no tag, or that of a VLAN to be received.
    pub(super) fn passes_vlan(&self, frame: &[u8]) -> bool {
        match frame.get(12..16) {
            Some(&[0x81, 0x00, high, low]) => {
                let id = u16::from_be_bytes([high, low]) % VLANS;
                self.vlans.contains(&id)
            }
            _ => true,
        }
    }

    /// The last of the commands about pairs holds.
    fn set_pairs(&mut self, data: &[u8], most: u16) -> Option<()> {
        let pairs = u16::from_le_bytes(data.try_into().ok()?);
        (ctrl::MQ_VQ_PAIRS_MIN..=most)
            .contains(&pairs)
            .then_some(())?;
        (self.pairs, self.rss) = (Some(pairs), None);
        Some(())
    }

    fn set_rss(&mut self, data: &[u8], config: &DeviceConfig) -> Option<()> {
        let (rss, key_len) = read_rss(data)?;
        let sound = key_len <= config.rss_key_size
            && rss.table.len() <= usize::from(config.rss_table_len)
            && rss.hash_types & !config.hash_types == 0
            && (1..=config.max_pairs).contains(&rss.transmit_queues)
            && rss
                .table
                .iter()
                .chain([&rss.unclassified])
                .all(|&pair| pair < config.max_pairs);
        sound.then_some(())?;
        let received = rss.table.iter().chain([&rss.unclassified]).max()?;
        self.pairs = Some(rss.transmit_queues.max(received + 1));
        self.rss = Some(rss);
        Some(())
    }

    /// Whether a frame passes the filters of a device whose address is `mac`.
    pub(super) fn passes(&self, frame: &[u8], mac: [u8; 6]) -> bool {
        let Some(destination) = frame.first_chunk::<6>() else {
            return true;
        };
        let own = *destination == self.mac.unwrap_or(mac);
        let multicast = destination[0] & 1 == 1;
        let listed = self.unicast.contains(destination) || self.multicast.contains(destination);
        self.promiscuous
            || own
            || *destination == [0xff; 6]
            || listed
            || (multicast && self.all_multicast)
    }
}

/// A `virtio_net_rss_config`, and the length of its key, which a shorter one ends with zeros.
fn read_rss(data: &[u8]) -> Option<(RssConfig, u8)> {
    let (types, rest) = data.split_first_chunk::<4>()?;
    let (mask, rest) = word(rest)?;
    let (unclassified, rest) = word(rest)?;
    let entries = usize::from(mask) + 1;
    let (table, rest) = rest.split_at_checked(2 * entries)?;
    let (transmit_queues, rest) = word(rest)?;
    let (&key_len, bytes) = rest.split_first()?;
    let whole = entries.is_power_of_two() && bytes.len() == usize::from(key_len);
    let mut key = [0; hash::KEY_SIZE];
    key.get_mut(..bytes.len())
        .filter(|_| whole)?
        .copy_from_slice(bytes);
    let table = table.as_chunks::<2>().0.iter();
    let rss = RssConfig {
        hash_types: u32::from_le_bytes(*types),
        table: table.map(|&entry| u16::from_le_bytes(entry)).collect(),
        unclassified,
        transmit_queues,
        key,
    };
    Some((rss, key_len))
}

fn word(data: &[u8]) -> Option<(u16, &[u8])> {
    let (word, rest) = data.split_first_chunk::<2>()?;
    Some((u16::from_le_bytes(*word), rest))
}

/// A `virtio_net_ctrl_mac`: a count and as many addresses; what stands behind it too.
fn table(data: &[u8]) -> Option<(Vec<[u8; 6]>, &[u8])> {
    let (count, rest) = data.split_first_chunk::<4>()?;
    let bytes = (u32::from_le_bytes(*count) as usize).checked_mul(6)?;
    let (entries, rest) = rest.split_at_checked(bytes)?;
    Some((entries.as_chunks::<6>().0.to_vec(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: FeatureSet = FeatureSet::of(&[VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_MAC_ADDR]);

    fn run(state: &mut ControlState, accepted: FeatureSet, command: &[u8]) -> (u8, usize) {
        let mut violations = Violations::default();
        let config = DeviceConfig::default().with_pairs(4);
        let ack = state.execute(command, accepted, &config, &mut violations);
        (ack, violations.kept().len())
    }

    #[test]
    fn tables_are_taken_whole_or_not_at_all() {
        let mut state = ControlState::default();
        let good = [
            1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 1,
        ];
        assert_eq!(run(&mut state, ALL, &good), (ctrl::ACK_OK, 0));
        assert_eq!(state.unicast, [[2, 0, 0, 0, 0, 1]]);
        assert_eq!(state.multicast, [[0x33, 0x33, 0, 0, 0, 1]]);
        for short in 2..good.len() {
            assert_eq!(
                run(&mut state, ALL, &good[..short]),
                (ctrl::ACK_ERR, 1),
                "{short} bytes"
            );
        }
        let unicast_as_multicast = [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1];
        assert_eq!(run(&mut state, ALL, &unicast_as_multicast).0, ctrl::ACK_ERR);
    }

    #[test]
    fn pairs_are_set_within_what_there_is() {
        let several = FeatureSet::of(&[VIRTIO_NET_F_MQ]);
        let mut state = ControlState::default();
        for (pairs, ack) in [(4, ctrl::ACK_OK), (0, ctrl::ACK_ERR), (5, ctrl::ACK_ERR)] {
            assert_eq!(
                run(&mut state, several, &[4, 0, pairs, 0]).0,
                ack,
                "{pairs}"
            );
        }
        assert_eq!(state.pairs, Some(4));
        assert_eq!(run(&mut state, ALL, &[4, 0, 2, 0]).0, ctrl::ACK_ERR);
        assert_eq!(run(&mut state, several, &[4, 0, 2]).0, ctrl::ACK_ERR);
    }

    fn rss(queues: u16) -> RssConfig {
        RssConfig {
            hash_types: hash::TYPE_TCPV4,
            table: (0..128).map(|entry| entry % queues).collect(),
            unclassified: 0,
            transmit_queues: queues,
            key: [7; hash::KEY_SIZE],
        }
    }

    #[test]
    fn what_is_spread_by_a_hash_is_taken_whole_or_not_at_all() {
        let spread = FeatureSet::of(&[VIRTIO_NET_F_RSS]);
        let command = |rss: &RssConfig| [&[4, 1][..], &rss.to_bytes()].concat();
        let mut state = ControlState::default();
        let good = command(&rss(4));
        assert_eq!(run(&mut state, spread, &good), (ctrl::ACK_OK, 0));
        assert_eq!((state.pairs, state.rss.as_ref()), (Some(4), Some(&rss(4))));
        for len in 2..good.len() {
            assert_eq!(
                run(&mut state, spread, &good[..len]).0,
                ctrl::ACK_ERR,
                "{len}"
            );
        }
        let mut wrong = [rss(5), rss(2), rss(2), rss(2), rss(2)];
        wrong[1].table.extend(wrong[2].table.clone());
        wrong[2].hash_types = 1 << 6;
        wrong[3].unclassified = 4;
        wrong[4].transmit_queues = 0;
        for wrong in &wrong {
            assert_eq!(run(&mut state, spread, &command(wrong)).0, ctrl::ACK_ERR);
        }
        assert_eq!(
            run(&mut state, ALL, &good).0,
            ctrl::ACK_ERR,
            "not agreed on"
        );
        let back = FeatureSet::of(&[VIRTIO_NET_F_MQ]);
        assert_eq!(run(&mut state, back, &[4, 0, 2, 0]).0, ctrl::ACK_OK);
        assert_eq!(
            (state.pairs, state.rss),
            (Some(2), None),
            "the last one holds"
        );
    }

    #[test]
    fn commands_need_their_feature() {
        let mut state = ControlState::default();
        let no = FeatureSet::EMPTY;
        for command in [
            &[0, 0, 1][..],
            &[0, 1, 1],
            &[1, 1, 2, 0, 0, 0, 0, 1],
            &[9, 9],
        ] {
            assert_eq!(run(&mut state, no, command), (ctrl::ACK_ERR, 1));
        }
        assert_eq!(state, ControlState::default());
        assert_eq!(run(&mut state, ALL, &[0, 0, 1]), (ctrl::ACK_OK, 0));
        assert!(state.promiscuous);
        assert_eq!(
            run(&mut state, ALL, &[0, 0, 2]).0,
            ctrl::ACK_ERR,
            "neither on nor off"
        );
    }

    #[test]
    fn filters_pass_what_was_asked_for() {
        let (own, other) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let group = [0x33, 0x33, 0, 0, 0, 1];
        let mut state = ControlState::default();
        let passes = |state: &ControlState| {
            [own, [0xff; 6], other, group].map(|mac| state.passes(&mac, own))
        };
        assert_eq!(passes(&state), [true, true, false, false]);
        state.all_multicast = true;
        assert_eq!(passes(&state), [true, true, false, true]);
        state.promiscuous = true;
        assert_eq!(passes(&state), [true; 4]);
        let listed = ControlState {
            unicast: vec![other],
            multicast: vec![group],
            ..Default::default()
        };
        assert_eq!(passes(&listed), [true; 4]);
        let moved = ControlState {
            mac: Some(other),
            ..Default::default()
        };
        assert_eq!(passes(&moved), [false, true, true, false]);
    }
}
